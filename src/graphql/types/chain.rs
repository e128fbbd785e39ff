//! Revision chains.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use futures_util::future::try_join_all;

use super::enums::{ChainStatus, FindingState, GapKind};
use super::finding::Finding;
use super::operation_result::PackOperationResult;
use super::record::{Recorded, findings};
use super::sequence::OperationSequence;
use crate::domain::findings::Subject;
use crate::domain::identity::NaturalKey;
use crate::domain::sequence::{Fork, Gap};
use crate::graphql::breadth::{of_list, of_record};
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::{DateTime, Int53};
use crate::graphql::view::{IdentKey, RecordKey, RevisionsKey, View};
use crate::service::query::{ChainPick, SequenceName};
use crate::storage::{ChainRow, Page, RevisionPlace, Rows, StoredEpoch, StoredRecord};

/// The chain of results of one execution: one epoch of a sequence.
#[derive(Clone)]
pub struct RevisionChain {
    view: View,
    epoch: Arc<StoredEpoch>,
}

/// A stretch of revisions that were never seen.
#[derive(Debug, Clone, SimpleObject)]
pub struct RevisionGap {
    /// Where it is.
    kind: GapKind,
    /// The first missing revision.
    from_revision: Int53,
    /// The last missing revision.
    to_revision: Int53,
}

impl From<&Gap> for RevisionGap {
    fn from(gap: &Gap) -> Self {
        Self { kind: gap.kind.into(), from_revision: Int53(gap.from), to_revision: Int53(gap.to) }
    }
}

/// Results that claim one place in a chain.
pub struct RevisionFork {
    view: View,
    source: i64,
    fork: Fork,
}

/// Results that claim one place in a chain.
#[Object]
impl RevisionFork {
    /// The lowest revision of the members.
    async fn revision(&self) -> Int53 {
        Int53(self.fork.revision)
    }

    /// The results, by first observation.
    async fn members(&self) -> Result<Vec<PackOperationResult>, ApiError> {
        let members = self.fork.members.iter().map(|ident| self.view.load(IdentKey(self.source, ident.clone())));
        let mut found: Vec<Arc<StoredRecord>> = try_join_all(members).await?.into_iter().flatten().collect();
        found.sort_by_key(|record| (record.first_at, record.key_hash));
        Ok(found.into_iter().map(|record| PackOperationResult(Recorded::new(&self.view, record))).collect())
    }
}

impl RevisionChain {
    /// A chain of a view.
    #[must_use]
    pub fn new(view: &View, epoch: StoredEpoch) -> Self {
        Self { view: view.clone(), epoch: Arc::new(epoch) }
    }

    /// The chain of a sequence that is meant.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(view: &View, sequence: SequenceName, pick: &ChainPick) -> Result<Option<Self>, ApiError> {
        let epochs = view.load(sequence).await?.unwrap_or_default();
        Ok(pick.of(&epochs).map(|epoch| Self::new(view, epoch)))
    }

    async fn result(&self, ctx: &Context<'_>, row: i64) -> Result<Option<PackOperationResult>, ApiError> {
        let record = self.view.load(RecordKey(row, of_record(ctx))).await?;
        Ok(record.map(|record| PackOperationResult(Recorded::new(&self.view, record))))
    }
}

/// The chain of results of one execution: one epoch of a sequence. It is ordered by revision, never by
/// time: clocks differ.
#[Object]
impl RevisionChain {
    /// The global id, for `node`.
    pub(crate) async fn id(&self) -> ID {
        let sequence = &self.epoch.sequence;
        let source = self.view.scope().source_name(sequence.source).to_owned();
        GlobalId::Chain(source, sequence.namespace.clone(), sequence.name.clone(), self.epoch.uid.clone()).encode()
    }

    /// The sequence that the chain is an epoch of.
    async fn sequence(&self) -> OperationSequence {
        OperationSequence::new(&self.view, self.epoch.sequence.clone())
    }

    /// The rank of the epoch in its sequence, from 1, by age. It changes when older epochs become known.
    async fn epoch(&self) -> Int53 {
        Int53(self.epoch.rank)
    }

    /// The stable identity of the epoch: the uid of its execution where that is known.
    async fn epoch_uid(&self) -> &str {
        &self.epoch.uid
    }

    /// How whole the chain is.
    async fn status(&self) -> ChainStatus {
        self.epoch.status.into()
    }

    /// The earliest birth of its results.
    async fn born_at(&self) -> DateTime {
        DateTime(self.epoch.born_at)
    }

    /// The result of the highest revision.
    async fn head(&self, ctx: &Context<'_>) -> Result<Option<PackOperationResult>, ApiError> {
        self.result(ctx, self.epoch.head).await
    }

    /// The highest live result that is not superseded; null in all but the newest epoch.
    async fn active(&self, ctx: &Context<'_>) -> Result<Option<PackOperationResult>, ApiError> {
        match self.epoch.active {
            Some(row) => self.result(ctx, row).await,
            None => Ok(None),
        }
    }

    /// The results in the order of the chain.
    async fn revisions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackOperationResult>, ApiError> {
        let sequence = &self.epoch.sequence;
        let source = self.view.scope().source_name(sequence.source);
        let narrowed_by = (source, &sequence.namespace, &sequence.name, &self.epoch.uid);
        let listed = List::new(&self.view, "revisions", &narrowed_by);
        let page: Page<RevisionPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let key = RevisionsKey(sequence.id, self.epoch.uid.clone(), page.clone(), of_list(ctx));
        let rows = self.view.load(key).await?.unwrap_or_else(Rows::none);
        let node = |row: ChainRow| PackOperationResult(Recorded::new(&self.view, row.record));
        Ok(Connection::new(&listed, &page, rows, Total::Known(self.epoch.revisions), |row| row.place, node))
    }

    /// The revisions that were never seen.
    async fn gaps(&self) -> Vec<RevisionGap> {
        self.epoch.detail.gaps.iter().map(Into::into).collect()
    }

    /// Where two results claim one place.
    async fn forks(&self) -> Vec<RevisionFork> {
        let source = self.epoch.sequence.source;
        let fork = |fork: &Fork| RevisionFork { view: self.view.clone(), source, fork: fork.clone() };
        self.epoch.detail.forks.iter().map(fork).collect()
    }

    /// The findings on the chain and its sequence, newest first: those that stand unless asked otherwise.
    /// Those on single results are at the results.
    async fn findings(
        &self,
        #[graphql(desc = "Those that stand, those that were cleared, or both.", default)] state: FindingState,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<Finding>, ApiError> {
        let sequence = &self.epoch.sequence;
        let key = NaturalKey::sequence(&sequence.namespace, &sequence.name);
        let subjects =
            vec![Subject::Epoch(key.clone(), self.epoch.uid.clone()).to_string(), Subject::Sequence(key).to_string()];
        findings(&self.view, sequence.source, subjects, state.into(), PageArgs::new(first, after, last, before)).await
    }
}

impl Listed for RevisionChain {
    const NAME: &'static str = "RevisionChain";
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[plain![id, epoch, epoch_uid, status, born_at]];
}
