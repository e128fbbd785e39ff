//! Reading runs, as of a commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use sqlx::FromRow;

use super::log::entries;
use super::{read_json, read_plan, unpack};
use crate::domain::run::{Approval, ApprovalStatus, LogEntry, Run, RunStatus, Step, Transition};
use crate::domain::taskpack::Plan;
use crate::storage::Store;
use crate::storage::driver::{Arg, json};
use crate::storage::error::StoreError;
use crate::storage::page::{Page, Rows};
use crate::storage::read::AsOf;
use crate::storage::sql::{self, Statement};

/// How many chunks of a log are read at once: each may be large, and few have what is asked for.
const CHUNKS: i64 = 8;

/// A run as of a commit, without its steps and approvals.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRun {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub run_id: String,
    /// The name of its pack.
    pub pack: String,
    /// The version of its pack.
    pub version: String,
    /// The hash of its plan.
    pub plan_hash: String,
    /// The global ids of what it acts on.
    pub subjects: Vec<String>,
    /// When it was created, microseconds; of a run elsewhere, what was first known of that. Its place in lists.
    pub created_at: i64,
    /// Who created it; of a run elsewhere, who reported it first.
    pub created_by: String,
    /// The source that reports it; `None` for a run of this server.
    pub source: Option<String>,
    /// Its state; steps and approvals are read apart.
    pub run: Run,
    /// The commit that last changed it.
    pub seq: i64,
}

/// An approval of a run as of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredApproval {
    /// The row of its run.
    pub run: i64,
    /// Its id.
    pub id: String,
    /// When it was asked for, microseconds; 0 before.
    pub requested_at: i64,
    /// Its state.
    pub approval: Approval,
}

/// A move of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTransition {
    /// Its number in the run, from 0.
    pub n: i64,
    /// The commit that wrote it.
    pub seq: i64,
    /// The move.
    pub transition: Transition,
}

/// A run with which the time has something to do.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DueRun {
    /// The name of its tenant.
    pub tenant: String,
    /// Its name.
    pub run_id: String,
}

/// What narrows a list of runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RunFilter {
    /// Of this pack.
    pub pack: Option<String>,
    /// Of this status.
    pub status: Option<RunStatus>,
    /// Created at this time or later, microseconds.
    pub created_from: Option<i64>,
    /// Created before this time, microseconds.
    pub created_until: Option<i64>,
}

/// What narrows a list of approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalFilter {
    /// Of this status.
    pub status: ApprovalStatus,
    /// Of this run, by its row.
    pub run: Option<i64>,
}

/// The place of a run in a list: when it was created, and its row.
pub type RunPlace = (i64, i64);
/// The place of an approval in a list: when it was asked for, the row of its run, its id.
pub type ApprovalPlace = (i64, i64, String);

#[derive(FromRow)]
struct RunRow {
    id: i64,
    run_id: String,
    pack: String,
    version: String,
    plan_hash: String,
    subjects: String,
    created_at: i64,
    created_by: String,
    source: Option<String>,
    state: String,
    from_seq: i64,
}

#[derive(FromRow)]
struct ApprovalRow {
    run: i64,
    approval: String,
    requested_at: i64,
    state: String,
}

#[derive(FromRow)]
struct Packed {
    id: i64,
    plan: Vec<u8>,
}

#[derive(FromRow)]
struct Chunk {
    first: i64,
    packed: i64,
    entries: Vec<u8>,
}

impl RunRow {
    fn read(self) -> Result<StoredRun, StoreError> {
        Ok(StoredRun {
            id: self.id,
            run_id: self.run_id,
            pack: self.pack,
            version: self.version,
            plan_hash: self.plan_hash,
            subjects: read_json(&self.subjects)?,
            created_at: self.created_at,
            created_by: self.created_by,
            source: self.source,
            run: read_json(&self.state)?,
            seq: self.from_seq,
        })
    }
}

impl ApprovalRow {
    fn read(self) -> Result<StoredApproval, StoreError> {
        let approval = read_json(&self.state)?;
        Ok(StoredApproval { run: self.run, id: self.approval, requested_at: self.requested_at, approval })
    }
}

impl RunFilter {
    /// Whether it leaves a run in.
    #[must_use]
    pub fn includes(&self, run: &StoredRun) -> bool {
        self.pack.as_ref().is_none_or(|pack| *pack == run.pack)
            && self.status.is_none_or(|status| status == run.run.status)
            && self.created_from.is_none_or(|from| run.created_at >= from)
            && self.created_until.is_none_or(|until| run.created_at < until)
    }

    /// The statement that reads a page through the index that narrows most, forwards and backwards.
    fn drive(&self) -> [&'static Statement; 2] {
        match (self.status, &self.pack) {
            (Some(status), _) if !status.is_terminal() => [&sql::RUNS_PAGE_ACTIVE, &sql::RUNS_PAGE_ACTIVE_BACK],
            (_, Some(_)) => [&sql::RUNS_PAGE_PACK, &sql::RUNS_PAGE_PACK_BACK],
            (Some(_), None) => [&sql::RUNS_PAGE_ENDED, &sql::RUNS_PAGE_ENDED_BACK],
            (None, None) => [&sql::RUNS_PAGE, &sql::RUNS_PAGE_BACK],
        }
    }

    fn args(&self) -> [Arg; 4] {
        [
            self.pack.clone().unwrap_or_default().into(),
            self.created_from.unwrap_or(i64::MIN).into(),
            self.created_until.unwrap_or(i64::MAX).into(),
            self.status.map_or(-1, RunStatus::code).into(),
        ]
    }
}

impl Store {
    /// The runs with which the time has something to do by now, the most urgent first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn due_runs(&self, now: i64, limit: i64) -> Result<Vec<DueRun>, StoreError> {
        self.pool.rows(&sql::RUNS_DUE, &[now.into(), limit.into()]).await
    }
}

impl AsOf {
    /// A run by its name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_run(&self, run_id: &str) -> Result<Option<StoredRun>, StoreError> {
        let args = [self.tenant.into(), self.seq.into(), run_id.into()];
        let row: Option<RunRow> = self.pool.row(&sql::RUN_FIND, &args).await?;
        row.map(RunRow::read).transpose()
    }

    /// Runs by their rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn runs_by_id(&self, ids: &[i64]) -> Result<HashMap<i64, StoredRun>, StoreError> {
        let args = [self.tenant.into(), self.seq.into(), json(&ids)];
        let rows: Vec<RunRow> = self.pool.rows(&sql::RUNS_BY_ID, &args).await?;
        rows.into_iter().map(|row| Ok((row.id, row.read()?))).collect()
    }

    /// A page of runs, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_runs(&self, filter: &RunFilter, page: &Page<RunPlace>) -> Result<Rows<StoredRun>, StoreError> {
        let beyond = if page.backward { (i64::MIN, i64::MIN) } else { (i64::MAX, i64::MAX) };
        let (created_at, id) = page.from.unwrap_or(beyond);
        let place: [Arg; 3] = [created_at.into(), id.into(), page.fetch().into()];
        let args = [&[self.tenant.into(), self.seq.into()], &filter.args()[..], &place[..]].concat();
        let statement = filter.drive()[usize::from(page.backward)];
        let rows: Vec<RunRow> = self.pool.rows(statement, &args).await?;
        Ok(page.rows(rows.into_iter().map(RunRow::read).collect::<Result<_, _>>()?))
    }

    /// How many runs [`Self::list_runs`] has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_runs(&self, filter: &RunFilter) -> Result<i64, StoreError> {
        self.count(&sql::RUNS_COUNT, &[&[self.tenant.into(), self.seq.into()], &filter.args()[..]].concat()).await
    }

    /// The steps of runs, by the run's row, in the order in which they came to be; at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_steps(&self, runs: &[i64], limit: usize) -> Result<HashMap<i64, Vec<Step>>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let args = [self.tenant.into(), self.seq.into(), json(&runs), limit.into()];
        let rows: Vec<(i64, String)> = self.pool.rows(&sql::RUN_STEPS, &args).await?;
        let mut found: HashMap<i64, Vec<Step>> = HashMap::new();
        for (run, state) in rows {
            found.entry(run).or_default().push(read_json(&state)?);
        }
        Ok(found)
    }

    /// The approvals of runs, by the run's row.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_approvals(&self, runs: &[i64]) -> Result<HashMap<i64, BTreeMap<String, Approval>>, StoreError> {
        let args = [self.tenant.into(), self.seq.into(), json(&runs)];
        let rows: Vec<(i64, String, String)> = self.pool.rows(&sql::RUN_APPROVALS, &args).await?;
        let mut found: HashMap<i64, BTreeMap<String, Approval>> = HashMap::new();
        for (run, id, state) in rows {
            found.entry(run).or_default().insert(id, read_json(&state)?);
        }
        Ok(found)
    }

    /// The plans of runs, by the run's row.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_plans(&self, runs: &[i64]) -> Result<HashMap<i64, Arc<Plan>>, StoreError> {
        let rows: Vec<Packed> = self.pool.rows(&sql::RUN_PLANS, &[self.tenant.into(), json(&runs)]).await?;
        rows.into_iter().map(|row| Ok((row.id, Arc::new(read_plan(&row.plan)?)))).collect()
    }

    /// The manifests of runs as they were sent, by the run's row.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_manifests(&self, runs: &[i64]) -> Result<HashMap<i64, String>, StoreError> {
        let rows: Vec<Packed> = self.pool.rows(&sql::RUN_MANIFESTS, &[self.tenant.into(), json(&runs)]).await?;
        let text = |row: Packed| Ok((row.id, String::from_utf8_lossy(&unpack(&row.plan)?).into_owned()));
        rows.into_iter().map(text).collect()
    }

    /// A page of the moves of a run's steps, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_transitions(&self, run: i64, page: &Page<i64>) -> Result<Rows<StoredTransition>, StoreError> {
        let beyond = if page.backward { i64::MAX } else { -1 };
        let args =
            [self.tenant.into(), self.seq.into(), run.into(), page.from.unwrap_or(beyond).into(), page.fetch().into()];
        let statement = if page.backward { &sql::RUN_TRANSITIONS_BACK } else { &sql::RUN_TRANSITIONS };
        let rows: Vec<(i64, i64, String)> = self.pool.rows(statement, &args).await?;
        let read =
            |(n, seq, entry): (i64, i64, String)| Ok(StoredTransition { n, seq, transition: read_json(&entry)? });
        Ok(page.rows(rows.into_iter().map(read).collect::<Result<_, StoreError>>()?))
    }

    /// The entries of a run's log from a number on, at most `limit`; `last` is the number of the last one
    /// that is known as of the commit.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_log(&self, run: i64, from: i64, last: i64, limit: usize) -> Result<Vec<LogEntry>, StoreError> {
        let mut found: Vec<LogEntry> = Vec::new();
        loop {
            let next = found.last().map_or(from, |entry| entry.seq + 1);
            let args = [self.tenant.into(), run.into(), next.into(), CHUNKS.into()];
            let chunks: Vec<Chunk> = self.pool.rows(&sql::RUN_LOG, &args).await?;
            let before = found.len();
            for chunk in chunks.iter().take_while(|chunk| chunk.first <= last) {
                let entries = entries(chunk.packed == 1, &chunk.entries)?;
                found.extend(entries.into_iter().filter(|entry| (next..=last).contains(&entry.seq)));
            }
            let is_over = found.len() == before || found.last().is_some_and(|entry| entry.seq >= last);
            if found.len() >= limit || is_over {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// How many entries the log of a run has now: workers append between commits.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_logged(&self, run: i64) -> Result<i64, StoreError> {
        let logged: Option<(i64,)> = self.pool.row(&sql::RUN_LOGGED, &[self.tenant.into(), run.into()]).await?;
        Ok(logged.map_or(0, |(logged,)| logged))
    }

    /// A page of approvals, the one that waits longest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_approvals(
        &self,
        filter: &ApprovalFilter,
        page: &Page<ApprovalPlace>,
    ) -> Result<Rows<StoredApproval>, StoreError> {
        let beyond =
            if page.backward { (i64::MAX, i64::MAX, String::new()) } else { (i64::MIN, i64::MIN, String::new()) };
        let (requested_at, run, id) = page.from.clone().unwrap_or(beyond);
        let args = [
            self.tenant.into(),
            self.seq.into(),
            filter.status.code().into(),
            filter.run.unwrap_or(-1).into(),
            requested_at.into(),
            run.into(),
            id.into(),
            page.fetch().into(),
        ];
        let is_active = matches!(filter.status, ApprovalStatus::Waiting | ApprovalStatus::NotRequested);
        let statement = match (is_active, page.backward) {
            (true, false) => &sql::APPROVALS_PAGE_ACTIVE,
            (true, true) => &sql::APPROVALS_PAGE_ACTIVE_BACK,
            (false, false) => &sql::APPROVALS_PAGE_ENDED,
            (false, true) => &sql::APPROVALS_PAGE_ENDED_BACK,
        };
        let rows: Vec<ApprovalRow> = self.pool.rows(statement, &args).await?;
        Ok(page.rows(rows.into_iter().map(ApprovalRow::read).collect::<Result<_, _>>()?))
    }

    /// How many approvals [`Self::list_approvals`] has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_approvals(&self, filter: &ApprovalFilter) -> Result<i64, StoreError> {
        let args = [self.tenant.into(), self.seq.into(), filter.status.code().into(), filter.run.unwrap_or(-1).into()];
        self.count(&sql::APPROVALS_COUNT, &args).await
    }
}
