//! Who asks.

use async_graphql::{Context, Object};

use crate::graphql::context::RequestContext;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Authenticated;
use crate::graphql::types::viewer::Viewer;

#[derive(Clone, Default)]
pub struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// Who asks, where, and what they may do. Needs no scope.
    #[graphql(guard = "Authenticated")]
    #[expect(clippy::unused_async, reason = "a resolver with a context has to be asynchronous")]
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer, ApiError> {
        let request = RequestContext::of(ctx)?;
        Ok(Viewer {
            principal: request.principal.subject.to_string(),
            tenant: request.tenant.to_string(),
            scopes: request.principal.scopes.iter().map(ToString::to_string).collect(),
        })
    }
}
