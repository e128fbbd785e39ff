//! A run of this server, told in the words of the contract and taken for one from elsewhere, is shown as it
//! is, as far as the contract tells it.

use packtrail::domain::run::import::{Known, run_of};
use packtrail::domain::run::{ApprovalStatus, Run, RunStatus, StepStatus, planned, preorder};
use packtrail::domain::taskpack::{FailureAction, Plan, StepKind};
use packtrail::domain::time::format_micros;
use serde_json::{Map, Value, json};

use super::super::histories;
use super::imported;

/// The state of a run as the contract has it.
fn tell(plan: &Plan, run: &Run) -> Value {
    let steps = preorder(&run.steps).into_iter().map(|n| {
        let step = &run.steps[n];
        let kind = &planned(plan, &step.path).kind;
        let approval = match kind {
            StepKind::GateApproval { approval_id, .. } => Some(approval_id.clone()),
            StepKind::GatePolicy { failure_action: FailureAction::RequestOverride, .. } => Some(step.id.clone()),
            _ => None,
        };
        let members = json!({
            "stepId": step.id, "kind": kind.name(), "enabled": step.enabled,
            "continueOnError": step.continue_on_error, "maxParallel": kind.max_parallel(), "approvalId": approval,
            "status": step.status, "attempts": step.attempts,
            "lastTransitionAt": step.last_transition_at.map(format_micros),
            "nextAttemptAt": step.next_attempt_at.map(format_micros), "statusReason": step.reason,
        });
        members.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>()
    });
    json!({
        "kind": "Run", "runId": "r", "planHash": plan.hash(), "failurePolicy": plan.failure,
        "createdAt": format_micros(run.created_at), "updatedAt": format_micros(run.updated_at),
        "steps": steps.map(Value::Object).collect::<Vec<_>>(),
    })
}

/// Whether a step could go to a worker, of which the contract tells nothing.
fn is_ready_unseen(plan: &Plan, run: &Run) -> bool {
    run.steps.iter().any(|step| {
        let kind = &planned(plan, &step.path).kind;
        let is_for_people = step.reason.as_deref() == Some("awaiting-approval");
        let is_work = matches!(kind, StepKind::Run { .. } | StepKind::GatePolicy { .. }) && !is_for_people;
        is_work && step.status == StepStatus::Pending && step.is_reached && step.attempts == 0
    })
}

#[test]
fn a_run_of_this_server_is_shown_as_it_is() {
    let known = Known { since: 0, logged: 0, moved: 0 };
    let (mut ended, mut waited) = (0, 0);
    for history in histories::all() {
        let (seed, plan) = (history.seed, &history.plan);
        for run in history.states() {
            let shown = run_of(&imported(&tell(plan, run)), &known);
            if shown.status != run.status {
                let expected = (RunStatus::AwaitingApproval, true);
                assert_eq!((shown.status, is_ready_unseen(plan, run)), expected, "seed {seed}: {:?}", run.status);
            }
            assert_eq!(shown.ended_at, run.ended_at, "seed {seed}");
            assert_eq!(shown.is_cancelled, run.is_cancelled, "seed {seed}");
            assert_eq!(shown.is_aborted, run.is_aborted, "seed {seed}");
            assert_eq!(shown.started_at.is_some(), run.started_at.is_some(), "seed {seed}");
            assert!(shown.started_at >= run.started_at, "seed {seed}");
            let decided = [ApprovalStatus::Approved, ApprovalStatus::Waiting, ApprovalStatus::Expired];
            for (id, approval) in shown.approvals.iter().filter(|(_, approval)| decided.contains(&approval.status)) {
                assert_eq!(approval.status, run.approvals[id].status, "seed {seed}: {id}");
            }
            ended += usize::from(run.ended_at.is_some());
            waited += usize::from(run.status == RunStatus::AwaitingApproval);
        }
    }
    assert!(ended > 100 && waited > 100, "{ended} {waited}");
}
