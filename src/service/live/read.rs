//! Reading a feed on from a place, a bounded part at a time.

use std::sync::Arc;

use super::{Feed, FeedOf, Piece, Position};
use crate::domain::run::LogEntry;
use crate::service::query::{FindingsAsked, QueryError, Scope};
use crate::storage::{FindingOrder, Page, StoredApproval, StoredChange, StoredFinding, StoredRun};

/// How many entries of a log are read at once.
const ENTRIES: usize = 500;
/// How many changes or findings are read at once: each may be asked for its record, and all that leads to.
const ROWS: usize = 100;
/// How many bytes of a log are read at once, beside the first entry.
const LOG_BYTES: usize = 256 * 1024;
/// How many commits of runs are read at once.
const COMMITS: usize = 100;
/// Over how many commits changes are looked for at once: most may have none.
const SPAN: i64 = 10_000;
/// About how many bytes a row of the others takes.
const ROW_BYTES: usize = 1024;

/// What is in a piece of a feed.
#[derive(Debug, Clone)]
pub enum Batch {
    /// Entries of a log.
    Log(Vec<LogEntry>),
    /// Changes of records.
    Changes(Scope, Vec<StoredChange>),
    /// Findings that were raised.
    Findings(Scope, Vec<StoredFinding>),
    /// Approvals that gates began to wait for, as they stand.
    Approvals(Scope, Vec<StoredApproval>),
    /// Runs that changed, as they stand.
    Runs(Scope, Vec<Arc<StoredRun>>),
}

impl Batch {
    /// How much is in it.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Log(entries) => entries.len(),
            Self::Changes(_, changes) => changes.len(),
            Self::Findings(_, findings) => findings.len(),
            Self::Approvals(_, approvals) => approvals.len(),
            Self::Runs(_, runs) => runs.len(),
        }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FeedOf {
    /// What follows a place, up to another or before; at most so many entries or changes, or of so many commits.
    pub(super) async fn read(&self, from: Position, upto: Position, most: usize) -> Result<Piece<Batch>, QueryError> {
        match &self.feed {
            Feed::Log(run) => self.read_log(*run, from, upto, most.min(ENTRIES)).await,
            Feed::Changes => self.read_changes(from, upto, most.min(ROWS)).await,
            Feed::Findings(asked) => self.read_findings(asked, from, upto, most.min(ROWS)).await,
            Feed::Approvals => self.read_approvals(from, upto, most.min(COMMITS)).await,
            Feed::Runs => self.read_runs(from, upto, most.min(COMMITS)).await,
            Feed::Run(run) => self.read_run(*run, from, upto).await,
        }
    }

    async fn read_log(
        &self,
        run: i64,
        from: Position,
        upto: Position,
        most: usize,
    ) -> Result<Piece<Batch>, QueryError> {
        let mut entries = Vec::new();
        if from.0 < upto.0 {
            // A log follows no commit: any scope of the tenant reads it.
            let scope = self.any.get_or_try_init(|| Scope::now(&self.store, Arc::clone(&self.tenant))).await?;
            entries = scope.log_between(run, from.0, upto.0, most).await?;
        }
        let size = bound(&mut entries);
        let to = (entries.last().map_or(from.0, |entry| entry.seq), 0);
        let is_last = to >= upto && {
            let number = self.store.look_at(self.topic).await?;
            self.feed.is_over(number) && to >= self.feed.position(number)
        };
        Ok(Piece { from, to, size, is_last, content: Batch::Log(entries) })
    }

    async fn read_changes(&self, from: Position, upto: Position, most: usize) -> Result<Piece<Batch>, QueryError> {
        let far = (from.0.saturating_add(SPAN), i64::MAX);
        let upto = if upto > far { far } else { upto };
        let scope = self.scope(upto).await?;
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let mut changes = if from < upto { scope.changes_after(from, limit).await? } else { Vec::new() };
        let is_part = changes.len() == most;
        changes.retain(|change| (change.seq, change.n) <= upto);
        let last = changes.last().filter(|_| is_part && changes.len() == most);
        let to = last.map_or(upto, |last| (last.seq, last.n));
        Ok(rows(from, to, changes.len(), Batch::Changes(scope, changes)))
    }

    async fn read_findings(
        &self,
        asked: &FindingsAsked,
        from: Position,
        upto: Position,
        most: usize,
    ) -> Result<Piece<Batch>, QueryError> {
        let scope = self.scope(upto).await?;
        let order = FindingOrder { by_severity: false, ascending: true };
        let page = Page { limit: most, backward: false, from: Some((0, from.0, from.1)) };
        let found = scope.list_findings(asked, order, &page).await?;
        let mut findings = found.rows;
        findings.retain(|finding| (finding.raised_seq, finding.id) <= upto);
        let last = findings.last().filter(|_| found.more && findings.len() == most);
        let to = last.map_or(upto, |last| (last.raised_seq, last.id));
        Ok(rows(from, to, findings.len(), Batch::Findings(scope, findings)))
    }

    async fn read_approvals(&self, from: Position, upto: Position, most: usize) -> Result<Piece<Batch>, QueryError> {
        let (scope, to) = self.commits(from, upto, most).await?;
        let found = scope.approvals_requested(from.0).await?;
        Ok(rows(from, to, found.len(), Batch::Approvals(scope, found)))
    }

    async fn read_runs(&self, from: Position, upto: Position, most: usize) -> Result<Piece<Batch>, QueryError> {
        let (scope, to) = self.commits(from, upto, most).await?;
        let found: Vec<Arc<StoredRun>> = scope.runs_changed(from.0).await?.into_iter().map(Arc::new).collect();
        Ok(rows(from, to, found.len(), Batch::Runs(scope, found)))
    }

    async fn read_run(&self, run: i64, from: Position, upto: Position) -> Result<Piece<Batch>, QueryError> {
        let scope = self.scope(upto).await?;
        let found = scope.bare_run(run).await?.filter(|found| found.seq > from.0);
        let found: Vec<Arc<StoredRun>> = found.into_iter().map(Arc::new).collect();
        // Nothing follows the end of a run of this server; of others, more may be reported.
        let is_last = found.iter().any(|found| found.source.is_none() && found.run.status.is_terminal());
        Ok(Piece { is_last, ..rows(from, upto, found.len(), Batch::Runs(scope, found)) })
    }

    /// The tenant as of the end of the first commits of runs after a place, and that end.
    async fn commits(&self, from: Position, upto: Position, most: usize) -> Result<(Scope, Position), QueryError> {
        let scope = self.scope(upto).await?;
        let commits = scope.run_commits(from.0, i64::try_from(most).unwrap_or(i64::MAX)).await?;
        let is_part = commits.len() == most;
        match commits.last().filter(|last| is_part && **last < upto.0) {
            Some(last) => Ok((self.scope((*last, 0)).await?, (*last, i64::MAX))),
            None => Ok((scope, upto)),
        }
    }

    async fn scope(&self, upto: Position) -> Result<Scope, QueryError> {
        let scope = Scope::at(&self.store, Arc::clone(&self.tenant), upto.0).await?;
        scope.ok_or_else(|| QueryError::NoCommit(upto.0))
    }
}

fn rows(from: Position, to: Position, count: usize, content: Batch) -> Piece<Batch> {
    Piece { from, to, size: (count + 1) * ROW_BYTES, is_last: false, content }
}

/// Leaves out what is beyond the bytes that are read at once, and returns about how many the rest takes.
fn bound(entries: &mut Vec<LogEntry>) -> usize {
    let mut size = 0;
    let fit = entries.iter().take_while(|entry| {
        size += entry_bytes(entry);
        size <= LOG_BYTES
    });
    let fit = fit.count().max(1);
    entries.truncate(fit);
    entries.iter().map(entry_bytes).sum()
}

/// About how many bytes an entry takes.
fn entry_bytes(entry: &LogEntry) -> usize {
    let details: usize = entry.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    entry.message.len() + details + 128
}
