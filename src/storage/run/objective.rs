//! How the runs of a pack did, and the findings about it.

use serde::Serialize;
use sqlx::FromRow;

use super::read_json;
use super::write::RunTx;
use crate::domain::RULES;
use crate::domain::identity::NaturalKey;
use crate::domain::run::objective::{Measured, WINDOW};
use crate::domain::run::{Approval, Run, RunStatus};
use crate::storage::driver::{Arg, json};
use crate::storage::error::StoreError;
use crate::storage::read::AsOf;
use crate::storage::{FindingRow, OPEN, Store, sql};

/// The most things that steps in the queues use of which is told at once.
const MAX_USES: i64 = 1_000;

#[derive(FromRow)]
struct Ran {
    id: i64,
    state: String,
}

#[derive(FromRow)]
struct OpenFinding {
    subject: String,
    from_seq: i64,
}

#[derive(Serialize)]
struct Closing<'a> {
    unit_id: i64,
    code: &'a str,
    subject: String,
    from_seq: i64,
    replaced: i64,
}

/// How many steps wait in the queue of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct TenantQueue {
    /// The tenant.
    pub tenant: String,
    /// What does them.
    pub uses: String,
    /// How many there are.
    pub depth: i64,
    /// Since when the first waits, microseconds.
    pub ready_at: i64,
}

impl Store {
    /// How many steps wait in the queues of all tenants, the longest wait first; at most 1,000 rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn queue_depths(&self, now: i64) -> Result<Vec<TenantQueue>, StoreError> {
        self.pool.rows(&sql::QUEUE_DEPTHS, &[now.into(), MAX_USES.into()]).await
    }
}

/// What is measured of runs, as the database has them.
fn measured(runs: &[Ran], approvals: &[String], waiting: i64) -> Result<Measured, StoreError> {
    let mut took = Vec::new();
    for row in runs {
        let run: Run = read_json(&row.state)?;
        if let Some(ended) = run.ended_at.filter(|_| run.status != RunStatus::Cancelled) {
            took.push(ended - run.created_at);
        }
    }
    let mut waited = Vec::new();
    for state in approvals {
        let approval: Approval = read_json(state)?;
        if let (Some(asked), Some(decided)) = (approval.requested_at, approval.decided) {
            waited.push(decided.at - asked);
        }
    }
    Ok(Measured::of(took, waited, waiting))
}

fn window() -> Arg {
    i64::try_from(WINDOW).unwrap_or(i64::MAX).into()
}

impl AsOf {
    /// The newest run of a pack, by its row.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn newest_run(&self, pack: &str, version: &str) -> Result<Option<i64>, StoreError> {
        let args = [self.tenant.into(), self.seq.into(), pack.into(), version.into(), 1.into()];
        let runs: Vec<Ran> = self.pool.rows(&sql::RUNS_OF_PACK, &args).await?;
        Ok(runs.first().map(|run| run.id))
    }

    /// How the newest runs of a pack did.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn measure_pack(&self, pack: &str, version: &str) -> Result<Measured, StoreError> {
        let of_pack = [self.tenant.into(), self.seq.into(), pack.into(), version.into()];
        let runs: Vec<Ran> = self.pool.rows(&sql::RUNS_OF_PACK, &[&of_pack[..], &[window()]].concat()).await?;
        let ids: Vec<i64> = runs.iter().map(|run| run.id).collect();
        let args = [self.tenant.into(), self.seq.into(), json(&ids)];
        let approvals: Vec<(i64, String, String)> = self.pool.rows(&sql::RUN_APPROVALS, &args).await?;
        let approvals: Vec<String> = approvals.into_iter().map(|(_, _, state)| state).collect();
        let waiting: Option<(i64,)> = self.pool.row(&sql::RUNS_WAITING, &of_pack).await?;
        measured(&runs, &approvals, waiting.map_or(0, |(waiting,)| waiting))
    }
}

impl RunTx {
    /// How the newest runs of a pack did, as this transaction has them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn measure_pack(&mut self, pack: &str, version: &str) -> Result<Measured, StoreError> {
        // The rows that still hold.
        let of_pack = [self.tenant.into(), (OPEN - 1).into(), pack.into(), version.into()];
        let runs: Vec<Ran> = self.tx.rows(&sql::RUNS_OF_PACK, &[&of_pack[..], &[window()]].concat()).await?;
        let ids: Vec<i64> = runs.iter().map(|run| run.id).collect();
        let args = [self.tenant.into(), (OPEN - 1).into(), json(&ids)];
        let approvals: Vec<(i64, String, String)> = self.tx.rows(&sql::RUN_APPROVALS, &args).await?;
        let approvals: Vec<String> = approvals.into_iter().map(|(_, _, state)| state).collect();
        let waiting: Option<(i64,)> = self.tx.row(&sql::RUNS_WAITING, &of_pack).await?;
        measured(&runs, &approvals, waiting.map_or(0, |(waiting,)| waiting))
    }

    /// Makes the findings of a code about a vertex of the tenant what they are to be, as of a commit of this
    /// transaction. One that stands stays as it was raised. `make` is given the vertex's row.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn put_findings(
        &mut self,
        about: &NaturalKey,
        code: &str,
        make: impl FnOnce(i64) -> Vec<FindingRow>,
        seq: i64,
    ) -> Result<(), StoreError> {
        let Some(unit_id) = self.find_nodes(std::slice::from_ref(about)).await?.remove(about) else { return Ok(()) };
        let wanted = make(unit_id);
        let args = [self.tenant.into(), json(&[unit_id]), code.into()];
        let open: Vec<OpenFinding> = self.tx.rows(&sql::FINDINGS_OPEN_OF_CODE, &args).await?;
        let over = open.iter().filter(|open| !wanted.iter().any(|wanted| wanted.subject == open.subject));
        let over: Vec<Closing> = over
            .map(|open| Closing { unit_id, code, subject: open.subject.clone(), from_seq: open.from_seq, replaced: 0 })
            .collect();
        if !over.is_empty() {
            self.tx.execute(&sql::FINDINGS_CLOSE, &[self.tenant.into(), seq.into(), json(&over)]).await?;
        }
        let is_new = |wanted: &&FindingRow| !open.iter().any(|open| open.subject == wanted.subject);
        let new: Vec<&FindingRow> = wanted.iter().filter(is_new).collect();
        if !new.is_empty() {
            let args = [self.tenant.into(), seq.into(), json(&new), 0.into(), RULES.into()];
            self.tx.execute(&sql::FINDINGS_INSERT, &args).await?;
        }
        Ok(())
    }
}
