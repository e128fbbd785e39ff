//! What is shown of a run that happened elsewhere follows from what was reported of it.

use packtrail::domain::run::import::{Imported, RunReport, moves, plan_of, run_of};
use packtrail::domain::run::{ApprovalStatus, Machine, RunStatus, StepStatus, Waiting, planned, preorder};
use packtrail::domain::taskpack::{Plan, StepKind};
use serde_json::{Value, json};

use super::reports::{self, RUN_ID};
use super::{KNOWN, cases, imported, read, report};

/// The naive model of the status of a run, on the JSON of its report.
fn status(item: &Value) -> RunStatus {
    let steps = item["steps"].as_array().unwrap();
    let is_pack_tolerant = item["failurePolicy"]["continueOnError"] == true;
    let is_gate = |step: &Value| step["kind"] == "GateApproval" || step["kind"] == "GatePolicy";
    let is_container =
        |step: &Value| ["Parallel", "Map", "Loop", "Conditional"].iter().any(|kind| step["kind"] == *kind);
    let is_fatal = |step: &Value| {
        let is_tolerated = is_pack_tolerant || step["continueOnError"] == true;
        step["status"] == "Failed" && (is_gate(step) || !is_tolerated)
    };
    let is_terminal = |step: &Value| ["Succeeded", "Failed", "Skipped"].iter().any(|word| step["status"] == *word);
    if steps.iter().all(is_terminal) {
        let is_cancelled = |step: &Value| step["status"] == "Skipped" && step["statusReason"] == "cancelled";
        return match (steps.iter().any(is_cancelled), steps.iter().any(is_fatal)) {
            (true, _) => RunStatus::Cancelled,
            (false, true) => RunStatus::Failed,
            (false, false) => RunStatus::Succeeded,
        };
    }
    let waits =
        |step: &Value| is_gate(step) && step["status"] == "Pending" && step["statusReason"] == "awaiting-approval";
    let was_tried = |step: &Value| step["attempts"] != 0 || step.get("nextAttemptAt").is_some();
    let retries = |step: &Value| step["status"] == "Pending" && was_tried(step) && !waits(step);
    let works = |step: &Value| !is_container(step) && (step["status"] == "Running" || retries(step));
    let has_begun = |step: &Value| {
        retries(step)
            || step["attempts"] != 0
            || ["Running", "Succeeded", "Failed"].iter().any(|w| step["status"] == *w)
    };
    if steps.iter().any(waits) && !steps.iter().any(works) {
        RunStatus::AwaitingApproval
    } else if steps.iter().any(has_begun) {
        RunStatus::Running
    } else {
        RunStatus::Pending
    }
}

#[test]
fn the_status_of_a_run_is_what_the_model_derives_from_its_steps() {
    let mut seen = std::collections::BTreeSet::new();
    for (seed, mut rng) in cases() {
        let item = reports::state(&mut rng);
        let run = run_of(&imported(&item), &KNOWN);
        assert_eq!(run.status, status(&item), "seed {seed}: {item:#}");
        assert_eq!(run.ended_at, run.status.is_terminal().then_some(run.updated_at), "seed {seed}");
        assert_eq!(run.is_cancelled, run.status == RunStatus::Cancelled, "seed {seed}");
        if run.status.is_terminal() && !run.is_cancelled {
            assert_eq!(run.is_aborted, run.status == RunStatus::Failed, "seed {seed}");
        }
        assert_eq!((run.logged, run.moved), (KNOWN.logged, KNOWN.moved));
        seen.insert(run.status);
    }
    assert_eq!(seen.len(), RunStatus::ALL.len(), "every status is looked at");
}

#[test]
fn the_machine_reads_every_run_and_nothing_waits_for_itself() {
    for (seed, mut rng) in cases() {
        let imported = imported(&reports::state(&mut rng));
        let (plan, mut run) = (plan_of(imported.state.as_ref()), run_of(&imported, &KNOWN));
        assert_eq!(preorder(&run.steps), (0..run.steps.len()).collect::<Vec<_>>(), "seed {seed}");
        let told = &imported.state.as_ref().unwrap().steps;
        assert_eq!(told.len(), run.steps.len(), "seed {seed}");
        for (n, step) in run.steps.iter().enumerate() {
            assert_eq!(planned(&plan, &step.path).id, step.id);
            assert_eq!(planned(&plan, &step.path).kind.name(), format!("{:?}", told[n].kind));
            assert_eq!((step.status, step.attempts), (told[n].status, told[n].attempts));
            assert_eq!(step.reason, told[n].status_reason);
        }
        let waiting = run.waiting(&plan, run.updated_at);
        let pending = run.steps.iter().enumerate().filter(|(_, step)| step.status == StepStatus::Pending);
        assert_eq!(waiting.iter().map(|(n, _)| *n).collect::<Vec<_>>(), pending.map(|(n, _)| n).collect::<Vec<_>>());
        for (n, what) in &waiting {
            if let Waiting::Step(before) = what {
                assert!(before < n && !run.steps[*before].status.is_terminal(), "seed {seed}: {n} waits for {before}");
            }
        }
        let machine = Machine::new(&plan, &mut run, 0);
        for n in 0..told.len() {
            let _ = machine.planned(n);
        }
        let kept: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(kept, plan, "seed {seed}");
        assert!(plan.hash().starts_with("sha256:"));
    }
}

#[test]
fn moves_lead_from_one_version_to_the_next() {
    for (seed, mut rng) in cases() {
        let before = run_of(&imported(&reports::state(&mut rng)), &KNOWN);
        let after = run_of(&imported(&reports::state(&mut rng)), &KNOWN);
        for before in [None, Some(&before)] {
            let moves = moves(before, &after);
            assert!(moves.is_sorted_by_key(|moved| moved.at), "seed {seed}");
            for (n, step) in after.steps.iter().enumerate() {
                let known = before.and_then(|run| run.steps.iter().find(|other| other.id == step.id));
                let from = known.map_or(StepStatus::Pending, |step| step.status);
                let of_step: Vec<_> = moves.iter().filter(|moved| moved.id == step.id).collect();
                if from == step.status {
                    assert!(of_step.is_empty(), "seed {seed}");
                } else {
                    let told = (of_step[0].step, of_step[0].from, of_step[0].to, of_step[0].cause.as_str());
                    assert_eq!(told, (n, from, step.status, "imported"), "seed {seed}");
                    assert_eq!(of_step[0].at, step.last_transition_at.unwrap_or(after.updated_at), "seed {seed}");
                    assert_eq!(of_step.len(), 1, "seed {seed}");
                }
            }
        }
        assert_eq!(moves(Some(&after), &after), [], "seed {seed}");
    }
}

#[test]
fn without_a_report_of_its_state_a_run_is_pending_since_it_is_known() {
    let artifact = json!({"kind": "RunArtifact", "runId": RUN_ID, "name": "a", "type": "file", "status": "captured"});
    let imported = imported(&artifact);
    let (plan, run) = (plan_of(None), run_of(&imported, &KNOWN));
    assert_eq!((run.status, run.created_at, run.updated_at), (RunStatus::Pending, KNOWN.since, KNOWN.since));
    assert!(run.steps.is_empty() && plan.steps.is_empty() && run.ended_at.is_none());
    assert_eq!(run.artifacts.len(), 1);
    assert_eq!(run.waiting(&plan, 0), []);
    assert_eq!(run_of(&Imported::default(), &KNOWN).artifacts, []);
}

/// A report of these steps, each given by what it has beside the rest.
fn told(steps: &[Value]) -> Value {
    let steps = steps.iter().enumerate().map(|(n, more)| {
        let mut step = json!({
            "stepId": format!("s{n}"), "kind": "Run", "enabled": true, "continueOnError": false,
            "status": "Pending", "attempts": 0,
        });
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step
    });
    json!({
        "kind": "Run", "runId": RUN_ID, "planHash": "sha256:a1b2c3d4...",
        "failurePolicy": {"maxAttempts": 2, "backoffSeconds": 30, "continueOnError": false},
        "createdAt": "2025-12-06T10:00:00Z", "updatedAt": "2025-12-06T10:05:00Z",
        "steps": steps.collect::<Vec<_>>(),
    })
}

fn status_of(steps: &[Value]) -> RunStatus {
    run_of(&imported(&told(steps)), &KNOWN).status
}

#[test]
fn the_status_by_example() {
    let gate = json!({"kind": "GateApproval", "approvalId": "go", "statusReason": "awaiting-approval"});
    let done = json!({"status": "Succeeded", "attempts": 1});
    let skipped = |reason: &str| json!({"status": "Skipped", "statusReason": reason});
    let denied = json!({
        "kind": "GateApproval", "status": "Failed", "statusReason": "approval-rejected", "continueOnError": true,
    });
    for (steps, expected) in [
        (vec![json!({})], RunStatus::Pending),
        (vec![skipped("condition-false"), json!({})], RunStatus::Pending),
        (vec![json!({"status": "Running", "attempts": 1})], RunStatus::Running),
        (vec![json!({"attempts": 1, "statusReason": "boom"})], RunStatus::Running),
        (vec![done.clone(), json!({})], RunStatus::Running),
        (vec![done.clone(), gate.clone(), json!({})], RunStatus::AwaitingApproval),
        (vec![gate.clone(), json!({"status": "Running"})], RunStatus::Running),
        (vec![gate.clone(), json!({"nextAttemptAt": "2025-12-06T10:05:30Z"})], RunStatus::Running),
        (vec![json!({"kind": "Parallel", "status": "Running"}), gate.clone()], RunStatus::AwaitingApproval),
        (vec![done.clone(), skipped("condition-false")], RunStatus::Succeeded),
        (vec![json!({"status": "Failed"}), skipped("run-aborted")], RunStatus::Failed),
        (vec![json!({"status": "Failed", "continueOnError": true}), done.clone()], RunStatus::Succeeded),
        (vec![denied], RunStatus::Failed),
        (vec![json!({"status": "Failed"}), skipped("cancelled")], RunStatus::Cancelled),
        (vec![done, json!({"statusReason": "cancelled"})], RunStatus::Running),
        (vec![], RunStatus::Succeeded),
    ] {
        assert_eq!(status_of(&steps), expected, "{steps:?}");
    }
}

#[test]
fn approvals_stand_where_their_gates_stand() {
    let gate = |status: &str, reason: &str| json!({"kind": "GateApproval", "approvalId": "go", "status": status, "statusReason": reason});
    let waiting = gate("Pending", "awaiting-approval");
    for (gates, expected) in [
        (vec![gate("Pending", "")], ApprovalStatus::NotRequested),
        (vec![gate("Running", "")], ApprovalStatus::NotRequested),
        (vec![waiting.clone()], ApprovalStatus::Waiting),
        (vec![gate("Succeeded", "")], ApprovalStatus::Approved),
        (vec![gate("Failed", "approval-rejected")], ApprovalStatus::Rejected),
        (vec![gate("Failed", "boom")], ApprovalStatus::Rejected),
        (vec![gate("Failed", "approval-expired")], ApprovalStatus::Expired),
        (vec![gate("Skipped", "run-aborted")], ApprovalStatus::Void),
        (vec![gate("Succeeded", ""), waiting.clone(), gate("Skipped", "")], ApprovalStatus::Waiting),
        (vec![gate("Failed", "approval-rejected"), waiting], ApprovalStatus::Rejected),
        (vec![gate("Skipped", ""), gate("Pending", "")], ApprovalStatus::NotRequested),
    ] {
        let run = run_of(&imported(&told(&gates)), &KNOWN);
        assert_eq!(run.approvals.len(), 1);
        assert_eq!(run.approvals["go"].status, expected, "{gates:?}");
        assert_eq!(run.approvals["go"].decided, None, "nobody told who decided");
    }
}

#[test]
fn a_policy_gate_has_an_approval_only_if_one_is_told_and_under_the_id_of_its_step() {
    let plain = json!({"kind": "GatePolicy", "status": "Failed", "statusReason": "policy-not-evaluated"});
    let overridable = json!({"kind": "GatePolicy", "approvalId": "s1", "statusReason": "awaiting-approval"});
    let work = json!({"approvalId": "no gate"});
    let run = run_of(&imported(&told(&[plain, overridable, work])), &KNOWN);
    assert_eq!(run.approvals.keys().collect::<Vec<_>>(), ["s1"]);
    assert_eq!(run.approvals["s1"].status, ApprovalStatus::Waiting);
}

#[test]
fn a_policy_gate_that_ended_tells_of_its_approval_only_what_its_reason_says() {
    for (status, reason, expected) in [
        ("Succeeded", "", ApprovalStatus::Void),
        ("Failed", "policy-not-evaluated", ApprovalStatus::Void),
        ("Failed", "approval-rejected", ApprovalStatus::Rejected),
        ("Failed", "approval-expired", ApprovalStatus::Expired),
    ] {
        let gate = json!({"kind": "GatePolicy", "approvalId": "s0", "status": status, "statusReason": reason});
        let run = run_of(&imported(&told(&[gate])), &KNOWN);
        assert_eq!(run.approvals["s0"].status, expected, "{status} {reason}");
    }
}

#[test]
fn times_are_those_that_were_told() {
    let steps = [
        json!({"status": "Skipped", "statusReason": "condition-false", "lastTransitionAt": "2025-12-06T10:00:00Z"}),
        json!({"status": "Succeeded", "attempts": 1, "lastTransitionAt": "2025-12-06T10:02:00Z"}),
        json!({"status": "Failed", "attempts": 1, "lastTransitionAt": "2025-12-06T10:01:00Z"}),
    ];
    let run = run_of(&imported(&told(&steps)), &KNOWN);
    let at = |text: &str| packtrail::domain::time::parse_rfc3339(text);
    assert_eq!(Some(run.created_at), at("2025-12-06T10:00:00Z"));
    assert_eq!(Some(run.updated_at), at("2025-12-06T10:05:00Z"));
    assert_eq!(run.started_at, at("2025-12-06T10:01:00Z"), "of the steps that began the first");
    assert_eq!(run.ended_at, Some(run.updated_at));
}

#[test]
fn a_plan_says_what_was_told_of_it_and_no_more() {
    let steps = [
        json!({"kind": "Parallel", "maxParallel": 2}),
        json!({"kind": "Map", "maxParallel": 3}),
        json!({"kind": "GateApproval", "approvalId": "go", "gateMessage": "May it?"}),
        json!({"kind": "Unknown"}),
    ];
    let report: RunReport = report(&told(&steps));
    let plan = plan_of(Some(&report));
    assert_eq!((plan.name.as_str(), plan.version.as_str()), ("", ""));
    assert_eq!(plan.failure, report.failure_policy);
    let kinds: Vec<&StepKind> = plan.steps.iter().map(|step| &step.kind).collect();
    assert_eq!(kinds.iter().map(|kind| kind.max_parallel()).collect::<Vec<_>>(), [Some(2), Some(3), None, None]);
    let gate = StepKind::GateApproval { approval_id: "go".to_owned(), message: Some("May it?".to_owned()) };
    assert_eq!((kinds[2], kinds[3]), (&gate, &StepKind::Unknown));
}

#[test]
fn an_artifact_is_shown_as_it_was_told() {
    for (seed, mut rng) in cases() {
        let item = reports::artifact(&mut rng);
        let run = run_of(&imported(&item), &KNOWN);
        let shown = &run.artifacts[0];
        let text = |key: &str| item.get(key).and_then(Value::as_str);
        assert_eq!(Some(shown.name.as_str()), text("name"), "seed {seed}");
        assert_eq!(shown.is_file, item["type"] == "file", "seed {seed}");
        assert_eq!(json!(shown.status), item["status"], "seed {seed}");
        let texts = [&shown.source_path, &shown.stored_path, &shown.notes, &shown.expression_json];
        let told = ["sourcePath", "storedPath", "notes", "expressionJson"].map(text);
        assert_eq!(texts.map(Option::as_deref), told, "seed {seed}");
        assert_eq!(shown.captured_at.is_some(), text("capturedAt").is_some(), "seed {seed}");
        assert!(matches!(read(&item), packtrail::domain::run::import::ImportItem::Artifact { .. }));
    }
}
