//! What happened, in the order of the ledger: read on from a place, a bounded part at a time.

use std::collections::HashSet;

use sqlx::FromRow;

use super::error::StoreError;
use super::read::AsOf;
use super::run::{StoredApproval, StoredRun};
use super::sql;
use super::write::read_digest;
use super::{Store, Topic};
use crate::domain::digest::Digest;
use crate::domain::run::ApprovalStatus;

/// A record changed: an entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChange {
    /// The commit.
    pub seq: i64,
    /// The entry's place in the commit, from 0.
    pub n: i64,
    /// The entry's place in the whole ledger.
    pub leaf: i64,
    /// When the commit was made, microseconds.
    pub committed_at: i64,
    /// What happened: `CREATED`, `UPDATED`, `CLOSED`, `CONFLICT`.
    pub kind: String,
    /// The source's row, where the entry has one.
    pub source: Option<i64>,
    /// The object's row; `None` in entries of before objects were named by their rows.
    pub object: Option<i64>,
    /// SHA-256 of the content that holds then.
    pub digest: Option<Digest>,
    /// SHA-256 of the content before.
    pub previous: Option<Digest>,
    /// Who did it.
    pub principal: String,
}

#[derive(FromRow)]
struct ChangeRow {
    seq: i64,
    n: i64,
    leaf: i64,
    committed_at: i64,
    kind: String,
    source_id: Option<i64>,
    object_id: Option<i64>,
    digest: Option<Vec<u8>>,
    previous: Option<Vec<u8>>,
    principal: String,
}

impl ChangeRow {
    fn read(self) -> Result<StoredChange, StoreError> {
        let digest = |bytes: Option<Vec<u8>>| bytes.as_deref().map(read_digest).transpose();
        Ok(StoredChange {
            seq: self.seq,
            n: self.n,
            leaf: self.leaf,
            committed_at: self.committed_at,
            kind: self.kind,
            source: self.source_id,
            object: self.object_id,
            digest: digest(self.digest)?,
            previous: digest(self.previous)?,
            principal: self.principal,
        })
    }
}

impl AsOf {
    /// Changes of records after a commit and a place in it, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn changes_after(&self, after: (i64, i64), limit: i64) -> Result<Vec<StoredChange>, StoreError> {
        let args = [self.tenant.into(), after.0.into(), after.1.into(), self.seq.into(), limit.into()];
        let rows: Vec<ChangeRow> = self.pool.rows(&sql::CHANGES_AFTER, &args).await?;
        rows.into_iter().map(ChangeRow::read).collect()
    }

    /// The first commits after one of them that changed runs.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_commits(&self, after: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        let args = [self.tenant.into(), after.into(), self.seq.into(), limit.into()];
        let rows: Vec<(i64,)> = self.pool.rows(&sql::RUN_COMMITS, &args).await?;
        Ok(rows.into_iter().map(|(seq,)| seq).collect())
    }

    /// The runs that changed after a commit, up to the one of this view and as they stand then, the one that changed
    /// longest ago first. How many there are is bounded by how many commits there are.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn runs_changed(&self, after: i64) -> Result<Vec<StoredRun>, StoreError> {
        let args = [self.tenant.into(), after.into(), self.seq.into()];
        let rows: Vec<(i64,)> = self.pool.rows(&sql::RUNS_CHANGED, &args).await?;
        let ids: Vec<i64> = rows.into_iter().map(|(run,)| run).collect();
        let mut runs: Vec<StoredRun> = self.runs_by_id(&ids).await?.into_values().collect();
        runs.sort_by_key(|run| (run.seq, run.id));
        Ok(runs)
    }

    /// The approvals that gates began to wait for after a commit, up to the one of this view and as they stand then,
    /// oldest first. Bounded as [`Self::runs_changed`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn approvals_requested(&self, after: i64) -> Result<Vec<StoredApproval>, StoreError> {
        let args = [self.tenant.into(), after.into(), self.seq.into(), ApprovalStatus::Waiting.code().into()];
        let rows: Vec<(i64, String)> = self.pool.rows(&sql::APPROVALS_REQUESTED, &args).await?;
        let runs: HashSet<i64> = rows.iter().map(|(run, _)| *run).collect();
        let runs: Vec<i64> = runs.into_iter().collect();
        let mut found = self.run_approvals(&runs).await?;
        let stand = |(run, id): (i64, String)| {
            let approval = found.get_mut(&run)?.remove(&id)?;
            Some(StoredApproval { run, id, requested_at: 0, approval })
        };
        Ok(rows.into_iter().filter_map(stand).collect())
    }
}

impl Store {
    /// The row of a tenant, which is made if it is new.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ensure_tenant(&self, tenant: &str) -> Result<i64, StoreError> {
        if let Some(known) = self.tenant_id(tenant).await? {
            return Ok(known);
        }
        self.write_run(tenant).await?.commit().await?;
        self.tenant_id(tenant).await?.ok_or_else(|| StoreError::Corrupt("tenant".to_owned()))
    }

    /// How far a topic has come now, and says so to who follows it; 0 if it is not there.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn look_at(&self, topic: Topic) -> Result<i64, StoreError> {
        Ok(self.look_at_all(&[topic]).await?.into_iter().next_back().unwrap_or_default())
    }
}
