//! The queue of steps, and who has which: leases of workers.

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::FromRow;

use super::write::{Live, RunTx};
use super::{State, corrupt, read_json};
use crate::domain::digest::Digest;
use crate::domain::run::{LogEntry, Run, Step};
use crate::storage::driver::json;
use crate::storage::error::StoreError;
use crate::storage::sql;
use crate::storage::write::{index, read_digest};
use crate::storage::{DueRun, Store, Topic, log_number};

/// The most different things that steps in the queue use of which is told at once.
const MAX_USES: i64 = 1_000;

/// What finds a lease: the parts of its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseKey {
    /// The row of its run.
    pub run: i64,
    /// The number of its step.
    pub n: usize,
    /// The digest of the secret part of its token.
    pub secret: Digest,
}

/// How a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It holds, unless its time is over.
    Open,
    /// Its worker reported.
    Reported,
    /// Its worker was not heard of in time.
    Expired,
    /// The run was cancelled.
    Taken,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLease {
    /// Which attempt of the step it is.
    pub attempt: u32,
    /// Whose token claimed it.
    pub principal: String,
    /// What the worker called itself.
    pub worker: String,
    /// When it ends without a sign of life, microseconds.
    pub expires_at: i64,
    /// How it stands.
    pub state: LeaseState,
    /// The number of the next line of its log, from 0.
    pub next_line: i64,
    /// The digest of the report that ended it.
    pub report: Option<Digest>,
}

/// A lease to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLease {
    /// What finds it.
    pub key: LeaseKey,
    /// Which attempt of the step it is.
    pub attempt: u32,
    /// When it ends without a sign of life, microseconds.
    pub expires_at: i64,
    /// When it ends in any case, microseconds.
    pub deadline: i64,
}

/// How many steps wait for something that does them.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct QueueDepth {
    /// What does them.
    pub uses: String,
    /// How many there are.
    pub depth: i64,
    /// Since when the first waits, microseconds.
    pub ready_at: i64,
}

/// A file that a worker brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The name of the artifact.
    pub name: String,
    /// The SHA-256 of its content.
    pub digest: Digest,
    /// Its size, bytes.
    pub size: i64,
}

#[derive(FromRow)]
struct LeaseRow {
    attempt: i64,
    principal: String,
    worker: String,
    expires_at: i64,
    state: i64,
    next_line: i64,
    report: Option<Vec<u8>>,
}

#[derive(FromRow)]
struct UploadRow {
    name: String,
    digest: Vec<u8>,
    size: i64,
}

#[derive(Serialize)]
struct Range<'a> {
    low: &'a str,
    high: &'a str,
}

#[derive(Serialize)]
struct NewRow {
    run: i64,
    n: usize,
    secret: String,
    attempt: u32,
    expires_at: i64,
    deadline: i64,
}

impl LeaseRow {
    fn read(self) -> Result<StoredLease, StoreError> {
        let state = match self.state {
            0 => LeaseState::Open,
            1 => LeaseState::Reported,
            2 => LeaseState::Expired,
            _ => LeaseState::Taken,
        };
        Ok(StoredLease {
            attempt: u32::try_from(self.attempt).map_err(|_| corrupt("a lease"))?,
            principal: self.principal,
            worker: self.worker,
            expires_at: self.expires_at,
            state,
            next_line: self.next_line,
            report: self.report.map(|report| read_digest(&report)).transpose()?,
        })
    }
}

impl LeaseKey {
    fn args(&self, tenant: i64) -> [crate::storage::driver::Arg; 4] {
        let n = i64::try_from(self.n).unwrap_or(i64::MAX);
        [tenant.into(), self.run.into(), n.into(), self.secret.0.to_vec().into()]
    }
}

impl Store {
    /// What the steps in the queue use whose names are in one of some ranges, from the first name on and before
    /// the second, each with since when the first of them waits, microseconds. 1,000 of them, and of each range
    /// the first; one that is in several ranges may come several times.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn queue_uses(
        &self,
        tenant: &str,
        ranges: &BTreeSet<(String, String)>,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let Some(tenant) = self.tenant_id(tenant).await? else { return Ok(Vec::new()) };
        let ranges: Vec<Range> = ranges.iter().map(|(low, high)| Range { low, high }).collect();
        let most = MAX_USES.max(i64::try_from(ranges.len()).unwrap_or(i64::MAX));
        self.pool.rows(&sql::QUEUE_USES, &[tenant.into(), json(&ranges), most.into()]).await
    }

    /// How many steps wait now, by what does them, the longest wait first; at most 1,000.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn queue_depth(&self, tenant: &str, now: i64) -> Result<Vec<QueueDepth>, StoreError> {
        let Some(tenant) = self.tenant_id(tenant).await? else { return Ok(Vec::new()) };
        self.pool.rows(&sql::QUEUE_DEPTH, &[tenant.into(), now.into(), MAX_USES.into()]).await
    }

    /// The runs of which workers were not heard of in time, the longest silence first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn silent_runs(&self, now: i64, limit: i64) -> Result<Vec<DueRun>, StoreError> {
        let mut runs: Vec<DueRun> = self.pool.rows(&sql::LEASES_OVER, &[now.into(), limit.into()]).await?;
        let mut seen = BTreeSet::new();
        runs.retain(|run| seen.insert((run.tenant.clone(), run.run_id.clone())));
        Ok(runs)
    }
}

impl RunTx {
    /// Steps that can be taken now, of runs that nobody else is changing: their runs, which are locked by that
    /// on a database that locks rows, and their numbers. The one that waits longest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next_steps(&mut self, uses: &str, now: i64, limit: usize) -> Result<Vec<(i64, usize)>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let args = [self.tenant.into(), uses.into(), now.into(), limit.into()];
        let rows: Vec<(i64, i64)> = self.tx.rows(&sql::QUEUE_NEXT, &args).await?;
        rows.into_iter().map(|(run, n)| Ok((run, index(n)?))).collect()
    }

    /// Gives steps to a worker, for `length` microseconds after each sign of life.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn grant(
        &mut self,
        leases: &[NewLease],
        principal: &str,
        worker: &str,
        now: i64,
        length: i64,
    ) -> Result<(), StoreError> {
        let row = |lease: &NewLease| NewRow {
            run: lease.key.run,
            n: lease.key.n,
            secret: lease.key.secret.hex(),
            attempt: lease.attempt,
            expires_at: lease.expires_at,
            deadline: lease.deadline,
        };
        let rows: Vec<NewRow> = leases.iter().map(row).collect();
        let args = [self.tenant.into(), json(&rows), principal.into(), worker.into(), now.into(), length.into()];
        self.tx.execute(&sql::LEASES_INSERT, &args).await?;
        Ok(())
    }

    /// A lease.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lease(&mut self, key: &LeaseKey) -> Result<Option<StoredLease>, StoreError> {
        let row: Option<LeaseRow> = self.tx.row(&sql::LEASE, &key.args(self.tenant)).await?;
        row.map(LeaseRow::read).transpose()
    }

    /// Prolongs a lease of a principal; `None` if it does not hold.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn renew(&mut self, key: &LeaseKey, principal: &str, now: i64) -> Result<Option<i64>, StoreError> {
        let args = [&key.args(self.tenant)[..], &[now.into(), principal.into()]].concat();
        let row: Option<(i64,)> = self.tx.row(&sql::LEASE_RENEW, &args).await?;
        Ok(row.map(|(expires_at,)| expires_at))
    }

    /// Ends a lease by a report, told by its digest.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn report(&mut self, key: &LeaseKey, report: Digest) -> Result<(), StoreError> {
        let args = [&key.args(self.tenant)[..], &[report.0.to_vec().into()]].concat();
        self.tx.execute(&sql::LEASE_REPORT, &args).await?;
        Ok(())
    }

    /// Ends the leases of a run whose time is over: the numbers of their steps, and whether they would have
    /// ended in any case.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn expire_leases(&mut self, run: i64, now: i64) -> Result<Vec<(usize, bool)>, StoreError> {
        let args = [self.tenant.into(), run.into(), now.into()];
        let rows: Vec<(i64, i64)> = self.tx.rows(&sql::LEASES_EXPIRE, &args).await?;
        rows.into_iter().map(|(n, deadline)| Ok((index(n)?, deadline <= now))).collect()
    }

    /// Takes all steps of a run away from their workers.
    pub(super) async fn take_away(&mut self, run: i64) -> Result<(), StoreError> {
        self.tx.execute(&sql::LEASES_TAKE, &[self.tenant.into(), run.into()]).await?;
        Ok(())
    }

    /// The id of the step of a lease.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn step_id(&mut self, key: &LeaseKey) -> Result<Option<String>, StoreError> {
        let args = &key.args(self.tenant)[..3];
        let state: Option<State> = self.tx.row(&sql::RUN_STEP_OPEN, args).await?;
        state.map(|state| read_json::<Step>(&state.state).map(|step| step.id)).transpose()
    }

    /// Where a run stands that is locked, without its steps, and how far its log is.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lock_log(&mut self, run: i64) -> Result<Option<(Run, Live)>, StoreError> {
        let rows: Vec<LiveRow> = self.tx.rows(&sql::RUNS_LOCK, &[self.tenant.into(), json(&[run])]).await?;
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let state: Option<State> = self.tx.row(&sql::RUN_STATE_OPEN, &[self.tenant.into(), run.into()]).await?;
        let run: Run = read_json(&state.ok_or_else(|| corrupt("the state"))?.state)?;
        Ok(Some((run, row.live)))
    }

    /// Appends lines of a worker to the log of a run that is locked, and prolongs its lease.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn append_lines(
        &mut self,
        key: &LeaseKey,
        live: Live,
        entries: &[LogEntry],
        next_line: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        self.append(key.run, live, entries, false).await?;
        let logged = entries.last().map_or(0, |entry| entry.seq);
        self.tx.moves(Topic::Log { tenant: self.tenant, run: key.run }, log_number(logged, false));
        let args = [&key.args(self.tenant)[..], &[now.into(), next_line.into()]].concat();
        self.tx.execute(&sql::LEASE_LINES, &args).await?;
        Ok(())
    }

    /// Notes a file that a worker brought.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note_upload(&mut self, key: &LeaseKey, upload: &Upload, now: i64) -> Result<(), StoreError> {
        let rest = [upload.name.as_str().into(), upload.digest.0.to_vec().into(), upload.size.into(), now.into()];
        let args = [&key.args(self.tenant)[..], &rest].concat();
        self.tx.execute(&sql::UPLOAD_INSERT, &args).await?;
        Ok(())
    }

    /// The files that a worker brought.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn uploads(&mut self, key: &LeaseKey) -> Result<Vec<Upload>, StoreError> {
        let rows: Vec<UploadRow> = self.tx.rows(&sql::UPLOADS, &key.args(self.tenant)).await?;
        let read = |row: UploadRow| Ok(Upload { name: row.name, digest: read_digest(&row.digest)?, size: row.size });
        rows.into_iter().map(read).collect()
    }
}

#[derive(FromRow)]
struct LiveRow {
    #[sqlx(flatten)]
    live: Live,
}
