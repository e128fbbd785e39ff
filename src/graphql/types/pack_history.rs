//! The history of a pack on a cluster.

use async_graphql::Object;

use super::chain::RevisionChain;
use super::operation_result::PackOperationResult;
use super::record::Recorded;
use super::reference::RecordRef;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::rows::One;
use crate::graphql::view::PositionKey;
use crate::service::query::Relation;

/// One result in the history of a base pack on a cluster.
pub struct PackHistoryEntry(pub Recorded);

/// One result in the history of a base pack on a cluster, whatever version of the pack it deployed.
#[Object]
impl PackHistoryEntry {
    /// The result.
    async fn result(&self) -> PackOperationResult {
        PackOperationResult(self.0.clone())
    }

    /// The pack that it deployed.
    async fn cluster_pack(&self) -> Result<Option<One<RecordRef>>, ApiError> {
        self.0.refer(Relation::Pack).await
    }

    /// The execution that it is of.
    async fn pack_execution(&self) -> Result<Option<One<RecordRef>>, ApiError> {
        self.0.refer(Relation::Execution).await
    }

    /// The chain that it is in.
    async fn chain(&self) -> Result<Option<RevisionChain>, ApiError> {
        let position = self.0.view.load(PositionKey(self.0.record.object)).await?;
        Ok(position.map(|position| RevisionChain::new(&self.0.view, position.epoch.clone())))
    }
}

impl Listed for PackHistoryEntry {
    const NAME: &'static str = "PackHistory";
}
