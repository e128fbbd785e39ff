//! What packs aim at and how their runs did; what waits for workers.

use async_graphql::SimpleObject;

use crate::domain::run::objective::Measured;
use crate::domain::taskpack::Slo;
use crate::graphql::scalar::{DateTime, Int53};
use crate::storage::QueueDepth;

/// How the newest 100 runs of a task pack did, beside what the pack aims at. What is missed is a finding,
/// `OBJECTIVE_MISSED`.
#[derive(Debug, Clone, SimpleObject)]
pub struct TaskPackObjectives {
    /// The name of the pack.
    pack: String,
    /// Its version.
    version: String,
    /// How many of these runs ended and were not cancelled.
    runs: Int53,
    /// In how many seconds 95 of 100 of them ended, from their creation, rounded up; null if none has.
    run_p95_seconds: Option<Int53>,
    /// In how many they should.
    run_p95_aim: Option<Int53>,
    /// How many approvals of these runs were decided.
    approvals: Int53,
    /// In how many seconds 95 of 100 of them were, from when a gate asked, rounded up; null if none was.
    approval_p95_seconds: Option<Int53>,
    /// In how many they should be.
    approval_p95_aim: Option<Int53>,
    /// How many runs of the pack have not begun.
    waiting_runs: Int53,
    /// How many there should be at most.
    max_queue_depth: Option<Int53>,
    /// The names of the objectives that are missed, as in the manifest.
    missed: Vec<String>,
}

impl TaskPackObjectives {
    /// What was measured, beside what is aimed at.
    #[must_use]
    pub fn new(pack: String, version: String, slo: Option<&Slo>, measured: &Measured) -> Self {
        let slo = slo.cloned().unwrap_or_default();
        let count = |count: usize| Int53(i64::try_from(count).unwrap_or(i64::MAX));
        let seconds = |micros: Option<i64>| micros.map(|micros| Int53(micros.saturating_add(999_999) / 1_000_000));
        let aim = |aim: Option<u32>| aim.map(|aim| Int53(aim.into()));
        Self {
            pack,
            version,
            runs: count(measured.runs),
            run_p95_seconds: seconds(measured.run_p95),
            run_p95_aim: aim(slo.run_p95_seconds),
            approvals: count(measured.approvals),
            approval_p95_seconds: seconds(measured.approval_p95),
            approval_p95_aim: aim(slo.approval_p95_seconds),
            waiting_runs: Int53(measured.waiting),
            max_queue_depth: aim(slo.max_queue_depth),
            missed: measured.missed(&slo).into_iter().map(|(objective, ..)| objective.field().to_owned()).collect(),
        }
    }
}

/// Steps that wait for workers that can do the same.
#[derive(Debug, Clone, SimpleObject)]
pub struct WorkQueue {
    /// What a worker must be able to do.
    uses: String,
    /// How many steps wait.
    depth: Int53,
    /// Since when the first of them waits.
    waiting_since: DateTime,
}

impl From<QueueDepth> for WorkQueue {
    fn from(queue: QueueDepth) -> Self {
        Self { uses: queue.uses, depth: Int53(queue.depth), waiting_since: DateTime(queue.ready_at) }
    }
}
