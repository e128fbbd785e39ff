//! What streams deliver: entries in their order, and the cursor to go on from.

use async_graphql::{Context, Enum, Object, SimpleObject};
use futures_util::future::try_join_all;

use super::Delivery;
use super::filter::{RecordChangeFilter, RunLogFilter};
use crate::domain::run::ApprovalStatus;
use crate::graphql::context::RequestContext;
use crate::graphql::error::ApiError;
use crate::graphql::query::run::ApprovalFilter;
use crate::graphql::scalar::{DateTime, Digest, Int53};
use crate::graphql::types::finding::Finding;
use crate::graphql::types::record::{Record, Recorded};
use crate::graphql::types::run_parts::{LogEntry, RunApproval};
use crate::graphql::view::{RecordKey, View};
use crate::service::live::Batch;
use crate::service::query::Scope;
use crate::storage::{Breadth, StoredChange};

fn view(ctx: &Context<'_>, scope: &Scope) -> Result<View, ApiError> {
    Ok(View::over(scope.clone(), RequestContext::of(ctx)?.largest_page))
}

/// Entries of a log.
#[derive(SimpleObject)]
pub struct RunLogBatch {
    /// The entries, in the order of their numbers.
    entries: Vec<LogEntry>,
    /// Where to go on: after all entries up to here, those that the filter left out included.
    cursor: String,
    /// Whether the run ended and this is all of its log. The stream completes then.
    end_of_log: bool,
}

impl RunLogBatch {
    /// The entries of a piece that are asked for; `None` if there is nothing to tell.
    pub(super) fn of(delivery: &Delivery, filter: &RunLogFilter) -> Option<Self> {
        let Batch::Log(entries) = &delivery.piece.content else { return None };
        let entries = entries.iter().filter(|entry| filter.includes(entry));
        let entries: Vec<LogEntry> = entries.cloned().map(LogEntry).collect();
        let is_told = !entries.is_empty() || delivery.is_told();
        is_told.then(|| Self { entries, cursor: delivery.cursor(), end_of_log: delivery.piece.is_last })
    }
}

/// Approvals that gates began to wait for.
#[derive(SimpleObject)]
pub struct ApprovalBatch {
    /// The approvals, in the order in which they were asked for.
    approvals: Vec<RunApproval>,
    /// Where to go on.
    cursor: String,
}

impl ApprovalBatch {
    pub(super) async fn of(
        ctx: &Context<'_>,
        delivery: &Delivery,
        filter: Option<ApprovalFilter>,
    ) -> Result<Option<Self>, ApiError> {
        let Batch::Approvals(scope, found) = &delivery.piece.content else { return Err(ApiError::internal()) };
        let run = match filter.as_ref().and_then(|filter| filter.run_id.as_deref()) {
            Some(run_id) => Some(scope.find_run(run_id).await?.map_or(i64::MAX, |run| run.id)),
            None => None,
        };
        let status: Option<ApprovalStatus> = filter.map(|filter| filter.status.into());
        let view = view(ctx, scope)?;
        let found = found.iter().filter(|found| {
            run.is_none_or(|run| found.run == run) && status.is_none_or(|status| found.approval.status == status)
        });
        let approvals: Vec<RunApproval> = found.cloned().map(|found| RunApproval::listed(&view, found)).collect();
        let is_told = !approvals.is_empty() || delivery.is_told();
        Ok(is_told.then(|| Self { approvals, cursor: delivery.cursor() }))
    }
}

/// Findings that were raised.
#[derive(SimpleObject)]
pub struct FindingBatch {
    /// The findings, in the order in which they were raised.
    findings: Vec<Finding>,
    /// Where to go on.
    cursor: String,
}

impl FindingBatch {
    pub(super) fn of(ctx: &Context<'_>, delivery: &Delivery) -> Result<Option<Self>, ApiError> {
        let Batch::Findings(scope, found) = &delivery.piece.content else { return Err(ApiError::internal()) };
        let view = view(ctx, scope)?;
        let findings: Vec<Finding> = found.iter().cloned().map(|found| Finding::new(&view, found)).collect();
        let is_told = !findings.is_empty() || delivery.is_told();
        Ok(is_told.then(|| Self { findings, cursor: delivery.cursor() }))
    }
}

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RecordChangeType {
    /// It was seen for the first time.
    Created,
    /// It says something else, or something else is known of it: also because of other records.
    Updated,
    /// It is gone: deleted, or missing in a complete listing.
    Closed,
    /// The same identity came with two contents. Both are kept.
    Conflict,
    /// Something that this version of the schema has no word for.
    Unknown,
}

impl RecordChangeType {
    fn of(kind: &str) -> Self {
        match kind {
            "CREATED" => Self::Created,
            "UPDATED" => Self::Updated,
            "CLOSED" => Self::Closed,
            "CONFLICT" => Self::Conflict,
            _ => Self::Unknown,
        }
    }
}

/// Changes of records.
#[derive(SimpleObject)]
pub struct RecordChangeBatch {
    /// The changes, in the order of the ledger.
    changes: Vec<RecordChange>,
    /// Where to go on.
    cursor: String,
}

impl RecordChangeBatch {
    pub(super) async fn of(
        ctx: &Context<'_>,
        delivery: &Delivery,
        filter: &RecordChangeFilter,
    ) -> Result<Option<Self>, ApiError> {
        let Batch::Changes(scope, found) = &delivery.piece.content else { return Err(ApiError::internal()) };
        let view = view(ctx, scope)?;
        let all = found.iter().map(|change| RecordChange { view: view.clone(), change: change.clone() });
        let mut changes: Vec<RecordChange> = all.filter(|change| change.is_asked(filter)).collect();
        if filter.is_of_records() {
            let records = try_join_all(changes.iter().map(RecordChange::stored)).await?;
            let mut is_asked = records.iter().map(|found| filter.includes_record(found.as_deref()));
            changes.retain(|_| is_asked.next().unwrap_or_default());
        }
        let is_told = !changes.is_empty() || delivery.is_told();
        Ok(is_told.then(|| Self { changes, cursor: delivery.cursor() }))
    }
}

/// A change of a record, as the ledger has it.
pub struct RecordChange {
    view: View,
    change: StoredChange,
}

impl RecordChange {
    fn is_asked(&self, filter: &RecordChangeFilter) -> bool {
        filter.includes(RecordChangeType::of(&self.change.kind), self.source_name())
    }

    fn source_name(&self) -> Option<&str> {
        self.change.source.map(|source| self.view.scope().source_name(source))
    }

    async fn stored(&self) -> Result<Option<std::sync::Arc<crate::storage::StoredRecord>>, ApiError> {
        match self.change.object {
            Some(object) => self.view.load(RecordKey(object, Breadth::Full)).await,
            None => Ok(None),
        }
    }
}

/// A change of a record, as the ledger has it.
#[Object]
impl RecordChange {
    /// The commit of the ledger that has it.
    async fn seq(&self) -> Int53 {
        Int53(self.change.seq)
    }

    /// Its place in the whole ledger, from 0.
    async fn leaf(&self) -> Int53 {
        Int53(self.change.leaf)
    }

    /// When this server learned of it.
    async fn committed_at(&self) -> DateTime {
        DateTime(self.change.committed_at)
    }

    /// What happened.
    #[graphql(name = "type")]
    async fn change_type(&self) -> RecordChangeType {
        RecordChangeType::of(&self.change.kind)
    }

    /// The source of the record.
    async fn source(&self) -> Option<&str> {
        self.source_name()
    }

    /// The cluster that the record acts on.
    async fn cluster(&self) -> Result<Option<String>, ApiError> {
        let stored = self.stored().await?;
        Ok(stored.map(|record| record.cluster.clone()).filter(|cluster| !cluster.is_empty()))
    }

    /// Who sent it; `packtrail` where the record changed because of others.
    async fn principal(&self) -> &str {
        &self.change.principal
    }

    /// The digest of what the record says since.
    async fn digest(&self) -> Option<Digest> {
        self.change.digest.map(Digest)
    }

    /// The digest of what it said before.
    async fn previous_digest(&self) -> Option<Digest> {
        self.change.previous.map(Digest)
    }

    /// The record, as it was known when the batch was read: later changes may be in it already.
    async fn record(&self) -> Result<Option<Record>, ApiError> {
        Ok(self.stored().await?.map(|record| Record::of(Recorded::new(&self.view, record))))
    }
}
