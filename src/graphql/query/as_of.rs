//! The schema as of an earlier commit.

use async_graphql::{Context, Object, OneofObject};

use super::QueryRoot;
use crate::auth::Scope;
use crate::graphql::context::{RequestContext, Seat};
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::{DateTime, Int53};
use crate::graphql::view::View;

/// A point of the ledger.
#[derive(Debug, Clone, Copy, OneofObject)]
pub enum AsOfPoint {
    /// The commit with this number; 0 is before the first.
    Seq(Int53),
    /// The last commit that was made at this time or before.
    Time(DateTime),
}

#[derive(Clone, Default)]
pub struct AsOfQuery(pub Seat);

#[Object]
impl AsOfQuery {
    /// Everything below as this server knew it at an earlier commit: exactly what was answered then,
    /// whatever was learned since. Live values, which are outside of the ledger, are null; `search`,
    /// `operationStats` and `workQueue` answer with `NOT_SUPPORTED_AS_OF`. Cannot be nested.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn as_of(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "As of when.")] point: AsOfPoint,
    ) -> Result<QueryRoot, ApiError> {
        if self.0.is_asked() {
            return Err(ApiError::bad_input("asOf cannot be asked for below asOf."));
        }
        let request = RequestContext::of(ctx)?;
        let seq = match point {
            AsOfPoint::Seq(Int53(seq)) => seq,
            AsOfPoint::Time(DateTime(at)) => {
                crate::service::query::Scope::seq_at(&request.store, &request.tenant, at).await?
            }
        };
        let view = View::as_of(ctx, seq).await?;
        let view = view.ok_or_else(|| ApiError::bad_input("There is no such commit yet."))?;
        Ok(QueryRoot::at(view))
    }
}
