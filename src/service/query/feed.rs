//! What happened, for those who follow it.

use super::{QueryError, Scope};
use crate::domain::run::LogEntry;
use crate::storage::{StoredApproval, StoredChange, StoredRun};

impl Scope {
    /// Entries of a run's log, by its row: those after one and up to another, as many as asked for.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn log_between(
        &self,
        run: i64,
        after: i64,
        upto: i64,
        limit: usize,
    ) -> Result<Vec<LogEntry>, QueryError> {
        Ok(self.as_of.run_log(run, after + 1, upto, limit).await?)
    }

    /// Changes of records after a commit and a place in it, oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn changes_after(&self, after: (i64, i64), limit: i64) -> Result<Vec<StoredChange>, QueryError> {
        Ok(self.as_of.changes_after(after, limit).await?)
    }

    /// The first commits after one of them that changed runs.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_commits(&self, after: i64, limit: i64) -> Result<Vec<i64>, QueryError> {
        Ok(self.as_of.run_commits(after, limit).await?)
    }

    /// The runs that changed after a commit, as they stand, the one that changed longest ago first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn runs_changed(&self, after: i64) -> Result<Vec<StoredRun>, QueryError> {
        Ok(self.as_of.runs_changed(after).await?)
    }

    /// The approvals that gates began to wait for after a commit, as they stand, oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn approvals_requested(&self, after: i64) -> Result<Vec<StoredApproval>, QueryError> {
        Ok(self.as_of.approvals_requested(after).await?)
    }

    /// A run by its row, without its parts.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn bare_run(&self, run: i64) -> Result<Option<StoredRun>, QueryError> {
        Ok(self.as_of.runs_by_id(&[run]).await?.remove(&run))
    }
}
