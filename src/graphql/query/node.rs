//! Anything by its global id.

use async_graphql::{Context, ID, Object};
use futures_util::future::try_join_all;

use crate::auth::Scope;
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::types::node::{Node, find};

/// The most ids of one request: as many as a page has at most.
const MAX_IDS: usize = 100;

#[derive(Clone, Default)]
pub struct NodeQuery(pub Seat);

#[Object]
impl NodeQuery {
    /// Anything by its global id; null if it is not there.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id, as an `id` field gave it.")] id: ID,
    ) -> Result<Option<Node>, ApiError> {
        find(&self.0.view(ctx).await?, &id).await
    }

    /// Things by their global ids, in their order; null for those that are not there.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Global ids, 100 at most.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>, ApiError> {
        if ids.len() > MAX_IDS {
            return Err(ApiError::bad_input(format!("Ask for at most {MAX_IDS} ids.")));
        }
        let view = self.0.view(ctx).await?;
        try_join_all(ids.iter().map(|id| find(&view, id))).await
    }
}
