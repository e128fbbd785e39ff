//! Whether the runs of a pack do what it aims at: findings where they do not, and figures of the queues.

use std::collections::BTreeSet;

use super::{RunError, Runs};
use crate::domain::lineage::thing;
use crate::domain::run::Run;
use crate::domain::run::objective::{self, MISSED, Measured};
use crate::domain::taskpack::Plan;
use crate::service::derive::finding_row;
use crate::storage::RunTx;

/// Whether a change of a run can change how the runs of its pack do.
fn is_news(before: Option<&Run>, after: &Run) -> bool {
    let decided = |run: &Run| run.approvals.values().filter(|approval| approval.decided.is_some()).count();
    let Some(before) = before else { return true };
    before.ended_at != after.ended_at || before.started_at != after.started_at || decided(before) != decided(after)
}

impl Runs {
    /// Raises or clears the findings about what a pack aims at, as of a commit of the transaction.
    pub(super) async fn follow_objectives(
        &self,
        tx: &mut RunTx,
        plan: &Plan,
        before: Option<&Run>,
        after: &Run,
        seq: i64,
    ) -> Result<(), RunError> {
        if plan.slo.is_none() || !is_news(before, after) {
            return Ok(());
        }
        let measured = tx.measure_pack(&plan.name, &plan.version).await?;
        let pack = thing::task_pack(&plan.name, &plan.version);
        let findings = objective::findings(plan, &measured);
        let make = |unit| findings.iter().map(|finding| finding_row(unit, finding)).collect();
        tx.put_findings(&pack, MISSED, make, seq).await?;
        gauge(plan, &measured);
        Ok(())
    }

    /// Tells how many steps wait, for the metrics. `known` are the series that were told before: those that are
    /// gone are told as empty.
    pub(super) async fn tell_queues(&self, known: &mut BTreeSet<(String, String)>) -> Result<(), RunError> {
        let now = self.clock.now();
        let mut gone = std::mem::take(known);
        for queue in self.store.queue_depths(now).await? {
            let series = (queue.tenant, queue.uses);
            gone.remove(&series);
            tell_queue(&series, queue.depth, now.saturating_sub(queue.ready_at));
            known.insert(series);
        }
        for series in gone {
            tell_queue(&series, 0, 0);
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn tell_queue((tenant, uses): &(String, String), depth: i64, age: i64) {
    let labels = [("tenant", tenant.clone()), ("uses", uses.clone())];
    metrics::gauge!("packtrail_work_queue_steps", &labels).set(depth as f64);
    metrics::gauge!("packtrail_work_queue_age_seconds", &labels).set(age as f64 / 1e6);
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn gauge(plan: &Plan, measured: &Measured) {
    let labels = [("pack", plan.name.clone()), ("version", plan.version.clone())];
    if let Some(p95) = measured.run_p95 {
        metrics::gauge!("packtrail_pack_run_p95_seconds", &labels).set(p95 as f64 / 1e6);
    }
    if let Some(p95) = measured.approval_p95 {
        metrics::gauge!("packtrail_pack_approval_p95_seconds", &labels).set(p95 as f64 / 1e6);
    }
    metrics::gauge!("packtrail_pack_waiting_runs", &labels).set(measured.waiting as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finding_says_what_was_missed_by_how_much() {
        let detail = serde_json::json!({"pack": "p", "version": "1.0.0", "objective": "runP95Seconds",
            "aim": 10, "measured": 12, "runs": 100});
        let text = crate::domain::finding_text::explain(MISSED, "warning", &detail);
        assert!(text.contains("p 1.0.0") && text.contains("12") && text.contains("10"), "{text}");
    }
}
