//! What comes with each request.

use std::sync::Arc;

use async_graphql::Context;
use tokio::sync::OnceCell;

use super::error::ApiError;
use super::view::View;
use crate::auth::Principal;
use crate::clock::SharedClock;
use crate::config::Limits;
use crate::domain::json::JsonLimits;
use crate::service::ingest::writer::Writer;
use crate::service::run::Runs;
use crate::storage::Store;

/// Who asks, in which tenant, and what resolvers work with. The transport makes one for each request
/// and puts it into the request's data.
pub struct RequestContext {
    /// Who asks.
    pub principal: Principal,
    /// The tenant, one of the principal's.
    pub tenant: Arc<str>,
    /// The store.
    pub store: Store,
    /// The writer; `None` on a server that only reads.
    pub writer: Option<Writer>,
    /// The commands on runs.
    pub runs: Runs,
    /// The time.
    pub clock: SharedClock,
    /// The bounds of one item of ingest.
    pub item_limits: JsonLimits,
    /// The largest page that a list gives.
    pub largest_page: usize,
    view: OnceCell<View>,
}

impl RequestContext {
    /// The context of one request.
    #[must_use]
    pub fn new(
        principal: Principal,
        tenant: Arc<str>,
        store: Store,
        writer: Option<Writer>,
        clock: SharedClock,
    ) -> Self {
        let item_limits = JsonLimits::default();
        let largest_page = Limits::default().page_size;
        let runs = Runs::new(store.clone(), Arc::clone(&clock));
        Self { principal, tenant, store, writer, runs, clock, item_limits, largest_page, view: OnceCell::new() }
    }

    /// The context with the commands on runs that all requests of a server share.
    #[must_use]
    pub fn with_runs(self, runs: Runs) -> Self {
        Self { runs, ..self }
    }

    /// The context with other bounds of one item of ingest.
    #[must_use]
    pub fn with_item_limits(self, item_limits: JsonLimits) -> Self {
        Self { item_limits, ..self }
    }

    /// The context with another largest page.
    #[must_use]
    pub fn with_largest_page(self, largest_page: usize) -> Self {
        Self { largest_page, ..self }
    }

    /// The context of a request that has one.
    ///
    /// # Errors
    /// If it has none: nobody is known to be asking.
    pub fn of<'a>(ctx: &Context<'a>) -> Result<&'a Self, ApiError> {
        ctx.data_opt::<Self>().ok_or_else(ApiError::unauthenticated)
    }

    /// The tenant as of one commit, the same for the whole request.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn view(&self) -> Result<View, ApiError> {
        let view = || View::now(&self.store, Arc::clone(&self.tenant), self.largest_page);
        self.view.get_or_try_init(view).await.cloned()
    }
}

/// Where the fields of a query stand: at the commit of the request, or at the one that `asOf` named.
#[derive(Clone, Default)]
pub struct Seat(Option<View>);

impl Seat {
    /// At a view that was asked for.
    #[must_use]
    pub fn at(view: View) -> Self {
        Self(Some(view))
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// The view of the fields.
    ///
    /// # Errors
    /// If the store fails, or nobody is known to be asking.
    pub async fn view(&self, ctx: &Context<'_>) -> Result<View, ApiError> {
        match &self.0 {
            Some(view) => Ok(view.clone()),
            None => RequestContext::of(ctx)?.view().await,
        }
    }
}
