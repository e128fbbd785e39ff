//! Operation sequences.

use std::sync::Arc;

use async_graphql::{ID, Object};

use super::chain::RevisionChain;
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::view::{EpochsKey, View};
use crate::service::query::SequenceName;
use crate::storage::{Page, StoredEpoch, StoredSequence};

/// All results of one execution name.
#[derive(Clone)]
pub struct OperationSequence {
    view: View,
    sequence: StoredSequence,
}

impl OperationSequence {
    /// A sequence of a view.
    #[must_use]
    pub fn new(view: &View, sequence: StoredSequence) -> Self {
        Self { view: view.clone(), sequence }
    }

    /// A sequence by its natural key.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(view: &View, sequence: SequenceName) -> Result<Option<Self>, ApiError> {
        let epochs = view.load(sequence).await?.unwrap_or_default();
        Ok(epochs.first().map(|epoch| Self::new(view, epoch.sequence.clone())))
    }

    async fn all(&self) -> Result<Arc<[StoredEpoch]>, ApiError> {
        Ok(self.view.load(EpochsKey(self.sequence.id)).await?.unwrap_or_default())
    }
}

/// All results of one execution name. Executions are deleted and made again under the same name, so a
/// sequence falls into epochs, each with a chain of its own.
#[Object]
impl OperationSequence {
    /// The global id, for `node`.
    pub(crate) async fn id(&self) -> ID {
        let source = self.view.scope().source_name(self.sequence.source).to_owned();
        GlobalId::Sequence(source, self.sequence.namespace.clone(), self.sequence.name.clone()).encode()
    }

    /// The source that the results come from.
    async fn source(&self) -> &str {
        self.view.scope().source_name(self.sequence.source)
    }

    /// The namespace of the results.
    async fn namespace(&self) -> &str {
        &self.sequence.namespace
    }

    /// The name of the execution.
    async fn name(&self) -> &str {
        &self.sequence.name
    }

    /// The chain of the newest epoch.
    async fn newest(&self) -> Result<Option<RevisionChain>, ApiError> {
        Ok(self.all().await?.last().map(|epoch| RevisionChain::new(&self.view, epoch.clone())))
    }

    /// The chains of all epochs, oldest first.
    async fn epochs(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<RevisionChain>, ApiError> {
        let narrowed_by =
            (self.view.scope().source_name(self.sequence.source), &self.sequence.namespace, &self.sequence.name);
        let listed = List::new(&self.view, "epochs", &narrowed_by);
        let page: Page<(i64, String)> = PageArgs::new(first, after, last, before).page(&listed)?;
        let all = self.all().await?.to_vec();
        let total = Total::Known(i64::try_from(all.len()).unwrap_or(i64::MAX));
        // Age and identity: the rank may change.
        let place = |epoch: &StoredEpoch| (epoch.born_at, epoch.uid.clone());
        let rows = page.of(all, place, Clone::clone);
        Ok(Connection::new(&listed, &page, rows, total, place, |epoch| RevisionChain::new(&self.view, epoch)))
    }
}

impl Listed for OperationSequence {
    const NAME: &'static str = "OperationSequence";
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[plain![id, source, namespace, name]];
}
