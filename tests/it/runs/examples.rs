//! The rules of runs by example, one claim a test.

use packtrail::domain::run::{
    ApprovalStatus, ArtifactStatus, Completed, Decided, Decision, Effects, LogEntry, Refusal, Run, RunStatus,
    StepStatus,
};
use packtrail::domain::taskpack::{
    Aggregation, FailureAction, LoopItems, OutputSource, Plan, PlanOutput, PlanStep, StepKind,
};
use serde_json::{Value, json};

use super::histories::{HASH, SECOND, START, asking};
use super::plans::{
    approval, branches, disabled, gate, loops, map, parallel, plan, policy, range, tolerant, when, within, work,
    work_with,
};

/// A run in which steps are called by their ids, at a time that the test moves.
struct Example {
    plan: Plan,
    run: Run,
    now: i64,
    log: Vec<LogEntry>,
}

impl Example {
    fn of(steps: Vec<PlanStep>) -> Self {
        let mut plan = plan(steps);
        plan.approvals = vec![approval("go", None), approval("hurry", Some(60))];
        Self::planned(plan)
    }

    fn planned(plan: Plan) -> Self {
        let (run, effects) = Run::create(&plan, HASH, START);
        Self { plan, run, now: START, log: effects.logs }
    }

    fn n(&self, id: &str) -> usize {
        self.run.steps.iter().position(|step| step.id == id).unwrap_or(usize::MAX)
    }

    fn note(&mut self, effects: Effects) {
        self.log.extend(effects.logs);
    }

    fn try_start(&mut self, id: &str) -> Result<Option<Value>, Refusal> {
        let (given, effects) = self.run.start(&self.plan, self.n(id), None, self.now)?;
        self.note(effects);
        Ok(given)
    }

    fn start(&mut self, id: &str) -> Option<Value> {
        self.try_start(id).unwrap()
    }

    fn try_complete(&mut self, id: &str, ended: Completed) -> Result<(), Refusal> {
        let effects = self.run.complete(&self.plan, self.n(id), ended, self.now)?;
        self.note(effects);
        Ok(())
    }

    fn succeed(&mut self, id: &str, outputs: Value) {
        self.start(id);
        self.try_complete(id, Completed::Succeeded(outputs)).unwrap();
    }

    fn fail(&mut self, id: &str) {
        self.start(id);
        self.try_complete(id, failed()).unwrap();
    }

    fn decide(&mut self, approval: &str, decision: Decision) -> Result<Decided, Refusal> {
        let (decided, effects) =
            self.run.decide(&self.plan, HASH, &asking(approval, decision, HASH, &|_| true), self.now)?;
        self.note(effects);
        Ok(decided)
    }

    fn cancel(&mut self) {
        let effects = self.run.cancel(&self.plan, "ann", self.now).unwrap();
        self.note(effects);
    }

    fn tick(&mut self) {
        let effects = self.run.tick(&self.plan, self.now);
        self.note(effects);
    }

    /// `Succeeded`, or `Skipped: run-aborted`.
    fn of_step(&self, id: &str) -> String {
        let step = &self.run.steps[self.n(id)];
        let reason = step.reason.as_ref().map(|reason| format!(": {reason}"));
        format!("{:?}{}", step.status, reason.unwrap_or_default())
    }

    /// The events of the log, with their steps.
    fn events(&self) -> Vec<String> {
        let events = self.log.iter();
        events
            .map(|entry| format!("{} {}", entry.event, entry.step.as_deref().unwrap_or("")).trim().to_owned())
            .collect()
    }

    fn outputs(&self, id: &str) -> Value {
        self.run.steps[self.n(id)].outputs.clone().unwrap_or(Value::Null)
    }
}

fn failed() -> Completed {
    Completed::Failed { error: "boom".to_owned(), is_retryable: true }
}

fn retrying(steps: Vec<PlanStep>, max_attempts: u32, backoff_seconds: u32) -> Example {
    let mut plan = plan(steps);
    plan.failure.max_attempts = max_attempts;
    plan.failure.backoff_seconds = backoff_seconds;
    plan.approvals = vec![approval("go", None)];
    Example::planned(plan)
}

// Attempts.

#[test]
fn a_step_runs_and_succeeds() {
    let mut run = Example::of(vec![work("a")]);
    assert_eq!(run.run.status, RunStatus::Pending);
    run.start("a");
    assert_eq!((run.of_step("a").as_str(), run.run.steps[0].attempts), ("Running", 1));
    run.now += 119 * SECOND;
    run.try_complete("a", Completed::Succeeded(json!({}))).unwrap();
    assert_eq!(run.run.status, RunStatus::Succeeded);
    let expected = ["run.created", "run.started", "step.started a", "step.completed a", "run.completed"];
    assert_eq!(run.events(), expected);
    assert_eq!(run.log[3].metadata["duration"], "119s");
}

#[test]
fn a_failed_attempt_is_followed_by_another_after_the_backoff() {
    let mut run = retrying(vec![work("a")], 2, 30);
    run.fail("a");
    let step = &run.run.steps[0];
    assert_eq!((step.status, step.next_attempt_at), (StepStatus::Pending, Some(START + 30 * SECOND)));
    run.now += 30 * SECOND - 1;
    assert_eq!(run.try_start("a"), Err(Refusal::NotReady));
    run.now += 1;
    run.start("a");
    assert_eq!((run.run.steps[0].attempts, run.run.steps[0].next_attempt_at), (2, None));
    run.try_complete("a", failed()).unwrap();
    assert_eq!((run.of_step("a").as_str(), run.run.status), ("Failed: boom", RunStatus::Failed));
}

#[test]
fn an_attempt_that_the_worker_calls_hopeless_is_the_last() {
    let mut run = retrying(vec![work("a")], 5, 0);
    run.start("a");
    run.try_complete("a", Completed::Failed { error: "no".to_owned(), is_retryable: false }).unwrap();
    assert_eq!(run.of_step("a"), "Failed: no");
}

#[test]
fn a_step_waits_for_the_one_before_it() {
    let mut run = Example::of(vec![work("a"), work("b")]);
    assert_eq!(run.try_start("b"), Err(Refusal::NotReady));
    run.succeed("a", json!({}));
    run.start("b");
}

#[test]
fn a_report_about_a_step_that_does_not_run_is_refused() {
    let mut run = Example::of(vec![work("a"), parallel("p", None, vec![])]);
    assert_eq!(run.try_complete("a", failed()), Err(Refusal::NotRunning));
    assert_eq!(run.try_complete("p", failed()), Err(Refusal::NotRunning));
    assert_eq!(run.try_complete("nobody", failed()), Err(Refusal::NotRunning));
    assert_eq!(run.try_start("p"), Err(Refusal::NotReady));
}

#[test]
fn a_disabled_step_is_skipped_when_the_run_is_created() {
    let mut run = Example::of(vec![disabled(parallel("p", None, vec![work("a")])), work("b")]);
    assert_eq!(run.of_step("p"), "Skipped: condition-false");
    assert_eq!(run.of_step("a"), "Skipped: parent-skipped");
    run.succeed("b", json!({}));
    assert_eq!(run.run.status, RunStatus::Succeeded);
}

// Failure.

#[test]
fn a_failure_skips_what_has_not_begun_and_lets_what_runs_finish() {
    let mut run = Example::of(vec![parallel("p", None, vec![work("a"), work("b"), work("c")]), work("d")]);
    run.start("b");
    run.fail("a");
    assert_eq!(run.of_step("b"), "Running");
    assert_eq!(run.of_step("c"), "Skipped: run-aborted");
    assert_eq!(run.of_step("d"), "Skipped: run-aborted");
    assert_eq!((run.of_step("p").as_str(), run.run.status), ("Running", RunStatus::Running));
    run.try_complete("b", Completed::Succeeded(json!({}))).unwrap();
    assert_eq!((run.of_step("p").as_str(), run.run.status), ("Failed: step-failed", RunStatus::Failed));
    assert_eq!(run.events().last().unwrap(), "run.failed");
}

#[test]
fn a_running_step_is_not_tried_again_after_an_abort() {
    let mut run = retrying(vec![parallel("p", None, vec![work("a"), work("b")])], 9, 0);
    run.start("a");
    run.start("b");
    run.try_complete("a", Completed::Failed { error: "no".to_owned(), is_retryable: false }).unwrap();
    run.try_complete("b", failed()).unwrap();
    assert_eq!((run.of_step("b").as_str(), run.run.status), ("Failed: boom", RunStatus::Failed));
}

#[test]
fn the_run_goes_on_after_a_failure_that_the_step_its_container_or_the_pack_tolerates() {
    let itself = Example::of(vec![tolerant(work("a")), work("b")]);
    let container = Example::of(vec![tolerant(parallel("p", None, vec![work("a")])), work("b")]);
    let mut pack = plan(vec![work("a"), work("b")]);
    pack.failure.continue_on_error = true;
    for mut run in [itself, container, Example::planned(pack)] {
        run.fail("a");
        assert_eq!(run.of_step("a"), "Failed: boom");
        run.succeed("b", json!({}));
        assert_eq!(run.run.status, RunStatus::Succeeded);
    }
}

#[test]
fn a_container_with_a_tolerated_failure_succeeds() {
    let mut run = Example::of(vec![parallel("p", None, vec![tolerant(work("a"))]), work("b")]);
    run.fail("a");
    assert_eq!(run.of_step("p"), "Succeeded");
}

#[test]
fn a_container_runs_once_one_of_its_steps_runs() {
    let mut run = Example::of(vec![parallel("p", None, vec![work("a"), work("b")])]);
    assert_eq!(run.of_step("p"), "Pending");
    run.start("a");
    assert_eq!(run.of_step("p"), "Running");
    run.try_complete("a", Completed::Succeeded(json!({}))).unwrap();
    assert_eq!(run.of_step("p"), "Running");
    run.succeed("b", json!({}));
    assert_eq!(run.of_step("p"), "Succeeded");
    let of_container: Vec<String> = run.events().into_iter().filter(|event| event.ends_with(" p")).collect();
    assert_eq!(of_container, ["step.started p", "step.completed p"]);
}

#[test]
fn what_a_skipped_or_failed_step_gave_is_null() {
    let with = |name: &str| json!({"value": format!("{{{{ steps.{name}.outputs.x }}}}")});
    let mut run = Example::of(vec![tolerant(work("a")), disabled(work("b")), work_with("c", with("a"))]);
    run.fail("a");
    assert_eq!(run.start("c"), Some(json!({"value": null})));
    let mut run = Example::of(vec![disabled(work("b")), work_with("c", with("b"))]);
    assert_eq!(run.start("c"), Some(json!({"value": null})));
}

#[test]
fn a_step_whose_parameters_cannot_be_rendered_fails_before_it_begins() {
    let mut run = Example::of(vec![work_with("a", json!({"x": "{{ length(inputs.n) }}"}))]);
    assert_eq!(run.start("a"), None);
    assert!(run.of_step("a").starts_with("Failed: unresolved-reference: "), "{}", run.of_step("a"));
    assert_eq!((run.run.steps[0].attempts, run.run.status), (0, RunStatus::Failed));
}

#[test]
fn no_more_lanes_than_a_container_allows_are_with_workers() {
    let mut run = Example::of(vec![parallel("p", Some(2), vec![work("a"), work("b"), work("c")])]);
    run.start("a");
    run.start("b");
    assert_eq!(run.try_start("c"), Err(Refusal::NotReady));
    run.try_complete("a", Completed::Succeeded(json!({}))).unwrap();
    run.start("c");
}

#[test]
fn an_inner_container_takes_one_place_of_the_outer_one() {
    let inner = parallel("i", None, vec![work("a"), work("b")]);
    let mut run = Example::of(vec![parallel("p", Some(1), vec![inner, work("c")])]);
    run.start("a");
    run.start("b");
    assert_eq!(run.try_start("c"), Err(Refusal::NotReady));
}

// Gates.

#[test]
fn a_gate_stays_pending_until_somebody_approves() {
    let mut run = Example::of(vec![gate("g", "go"), work("a")]);
    assert_eq!(
        (run.of_step("g").as_str(), run.run.status),
        ("Pending: awaiting-approval", RunStatus::AwaitingApproval)
    );
    assert_eq!(run.run.steps[0].attempts, 0);
    let decided = run.decide("go", Decision::Approved).unwrap();
    assert!(decided.resumed);
    assert_eq!(run.of_step("g"), "Succeeded");
    run.start("a");
    let expected = ["run.created", "gate.awaiting g", "gate.approved g", "run.started", "step.started a"];
    assert_eq!(run.events(), expected);
}

#[test]
fn a_rejected_gate_fails_the_run_whatever_is_tolerated() {
    let mut plan = plan(vec![tolerant(parallel("p", None, vec![tolerant(gate("g", "go"))])), work("a")]);
    plan.failure.continue_on_error = true;
    plan.approvals = vec![approval("go", None)];
    let mut run = Example::planned(plan);
    assert!(!run.decide("go", Decision::Rejected).unwrap().resumed);
    assert_eq!(run.of_step("g"), "Failed: approval-rejected");
    assert_eq!(run.of_step("a"), "Skipped: run-aborted");
    assert_eq!(run.run.status, RunStatus::Failed);
}

#[test]
fn a_gate_expires_that_long_after_it_began_to_wait() {
    let mut run = Example::of(vec![work("a"), gate("g", "hurry")]);
    run.now += 1000 * SECOND;
    run.succeed("a", json!({}));
    run.now += 60 * SECOND - 1;
    run.tick();
    assert_eq!(run.of_step("g"), "Pending: awaiting-approval");
    run.now += 1;
    run.tick();
    assert_eq!((run.of_step("g").as_str(), run.run.status), ("Failed: approval-expired", RunStatus::Failed));
    let entry = run.log.iter().find(|entry| entry.event == "gate.rejected").unwrap();
    assert_eq!(entry.metadata["decision"], "expired");
    assert_eq!(run.run.approvals["hurry"].decided.as_ref().unwrap().actor, "system");
}

#[test]
fn a_policy_waits_for_a_worker_that_evaluates_it_and_passes_once_it_allows() {
    for action in [FailureAction::Abort, FailureAction::Warn, FailureAction::RequestOverride] {
        let mut run = Example::of(vec![policy("g", action), work("a")]);
        assert_eq!((run.of_step("g").as_str(), run.run.status), ("Pending", RunStatus::Pending));
        assert_eq!(run.run.ready(&run.plan)[0].uses, "policy:policy");
        run.succeed("g", json!({"allowed": true, "message": "fine"}));
        assert_eq!((run.of_step("g").as_str(), run.of_step("a").as_str()), ("Succeeded", "Pending"));
    }
}

#[test]
fn a_policy_that_denies_does_what_its_pack_says() {
    let denied = |action| {
        let mut run = Example::of(vec![tolerant(policy("g", action)), work("a")]);
        run.succeed("g", json!({"allowed": false}));
        run
    };
    let run = denied(FailureAction::Abort);
    assert_eq!((run.of_step("g").as_str(), run.run.status), ("Failed: policy-denied", RunStatus::Failed));
    let run = denied(FailureAction::Warn);
    assert_eq!((run.of_step("g").as_str(), run.run.status), ("Succeeded", RunStatus::Running));
    assert!(run.log.iter().any(|entry| entry.event == "policy.warned"));
    let mut run = denied(FailureAction::RequestOverride);
    assert_eq!(
        (run.of_step("g").as_str(), run.run.status),
        ("Pending: awaiting-approval", RunStatus::AwaitingApproval)
    );
    assert!(run.run.ready(&run.plan).is_empty(), "it is for people now");
    assert!(run.decide("g", Decision::Approved).unwrap().resumed);
    assert_eq!((run.of_step("g").as_str(), run.of_step("a").as_str()), ("Succeeded", "Pending"));
}

#[test]
fn without_a_verdict_no_policy_passes_but_by_a_person() {
    let hopeless = || Completed::Failed { error: "no evaluator".to_owned(), is_retryable: false };
    for action in [FailureAction::Abort, FailureAction::Warn] {
        let mut run = Example::of(vec![tolerant(policy("g", action)), work("a")]);
        run.start("g");
        run.try_complete("g", hopeless()).unwrap();
        assert_eq!(run.of_step("g"), "Failed: policy-not-evaluated: no evaluator");
        assert_eq!(run.run.status, RunStatus::Failed);
    }
    let mut run = Example::of(vec![policy("g", FailureAction::RequestOverride)]);
    run.start("g");
    run.try_complete("g", hopeless()).unwrap();
    assert_eq!(run.of_step("g"), "Pending: awaiting-approval");
    let mut run = Example::of(vec![policy("g", FailureAction::Warn)]);
    run.start("g");
    let said = Completed::Succeeded(json!({"allowed": "yes"}));
    assert_eq!(run.try_complete("g", said), Err(Refusal::NoVerdict));
    assert_eq!(run.of_step("g"), "Running");
}

#[test]
fn a_policy_is_asked_again_as_often_as_its_pack_says() {
    let mut step = policy("g", FailureAction::Abort);
    if let StepKind::GatePolicy { retry_count, .. } = &mut step.kind {
        *retry_count = 2;
    }
    let mut run = Example::of(vec![step.clone()]);
    for _ in 0..2 {
        run.succeed("g", json!({"allowed": false}));
        assert_eq!(run.of_step("g"), "Pending: policy-denied");
    }
    run.succeed("g", json!({"allowed": false}));
    assert_eq!(run.of_step("g"), "Failed: policy-denied");
    let mut run = Example::of(vec![step]);
    run.succeed("g", json!({"allowed": false}));
    run.succeed("g", json!({"allowed": true}));
    assert_eq!(run.run.status, RunStatus::Succeeded);
}

#[test]
fn a_step_that_is_given_back_has_never_begun() {
    let mut run = Example::of(vec![work("a")]);
    run.start("a");
    run.run.release(&run.plan, 0, run.now).unwrap();
    assert_eq!((run.of_step("a").as_str(), run.run.steps[0].attempts), ("Pending", 0));
    run.succeed("a", json!({}));
    assert_eq!(run.run.steps[0].attempts, 1);
}

#[test]
fn a_worker_that_is_not_heard_of_costs_an_attempt() {
    let mut run = Example::of(vec![work("a")]);
    run.start("a");
    run.run.expire(&run.plan, 0, "lease-expired", run.now).unwrap();
    assert_eq!((run.of_step("a").as_str(), run.run.status), ("Failed: lease-expired", RunStatus::Failed));
}

// Decisions.

#[test]
fn a_decision_is_checked_in_the_order_approval_grants_hash_first_decision_run() {
    let mut plan = plan(vec![gate("g", "go")]);
    plan.approvals = vec![approval("go", None)];
    plan.approvals[0].grants = vec!["deploy".to_owned()];
    let mut run = Example::planned(plan);
    let mut ask = |id: &str, hash: &str, is_granted: bool, decision: Decision| {
        let has_grant = |_: &str| is_granted;
        run.run.decide(&run.plan, HASH, &asking(id, decision, hash, &has_grant), START).map(|(decided, _)| decided)
    };
    assert_eq!(ask("nobody", "other", false, Decision::Approved), Err(Refusal::UnknownApproval));
    assert_eq!(ask("go", "other", false, Decision::Approved), Err(Refusal::MissingGrants));
    assert_eq!(ask("go", "other", true, Decision::Approved), Err(Refusal::PlanHashMismatch));
    let first = ask("go", HASH, true, Decision::Approved).unwrap();
    assert_eq!(ask("go", HASH, true, Decision::Approved), Ok(first), "the run has ended, and the answer is the same");
    assert_eq!(ask("go", HASH, true, Decision::Rejected), Err(Refusal::AlreadyDecided));
}

#[test]
fn nobody_decides_about_a_run_that_has_ended() {
    let mut run = Example::of(vec![]);
    assert_eq!(run.run.status, RunStatus::Succeeded);
    assert_eq!(run.decide("go", Decision::Approved), Err(Refusal::RunNotActive));
    assert_eq!(run.run.approvals["go"].status, ApprovalStatus::Void);
}

#[test]
fn a_decision_before_the_gate_is_reached_counts_when_it_is() {
    let mut run = Example::of(vec![work("a"), gate("g", "go"), work("b")]);
    assert!(!run.decide("go", Decision::Approved).unwrap().resumed);
    assert_eq!(run.of_step("g"), "Pending");
    run.succeed("a", json!({}));
    assert_eq!(run.of_step("g"), "Succeeded");
    assert!(!run.events().contains(&"gate.awaiting g".to_owned()));
    assert!(!run.decide("go", Decision::Approved).unwrap().resumed, "the first answer");
    let mut run = Example::of(vec![work("a"), gate("g", "go"), work("b")]);
    run.decide("go", Decision::Rejected).unwrap();
    run.succeed("a", json!({}));
    assert_eq!((run.of_step("g").as_str(), run.run.status), ("Failed: approval-rejected", RunStatus::Failed));
}

#[test]
fn a_decision_after_an_abort_resumes_nothing() {
    let mut run = Example::of(vec![parallel("p", None, vec![work("a"), work("b"), gate("g", "hurry")])]);
    run.start("b");
    run.fail("a");
    assert_eq!(run.of_step("g"), "Skipped: run-aborted");
    assert_eq!(run.run.approvals["hurry"].status, ApprovalStatus::Void);
    assert!(!run.decide("hurry", Decision::Approved).unwrap().resumed);
    assert_eq!(run.of_step("g"), "Skipped: run-aborted");
}

// Cancelling.

#[test]
fn cancelling_skips_all_that_has_not_ended_and_nothing_else() {
    let steps = vec![work("a"), tolerant(work("b")), parallel("p", None, vec![work("c"), gate("g", "go"), work("d")])];
    let mut run = Example::of(steps);
    run.succeed("a", json!({}));
    run.fail("b");
    run.start("c");
    run.cancel();
    assert_eq!((run.of_step("a").as_str(), run.of_step("b").as_str()), ("Succeeded", "Failed: boom"));
    for id in ["p", "c", "g", "d"] {
        assert_eq!(run.of_step(id), "Skipped: cancelled");
    }
    assert_eq!(run.run.status, RunStatus::Cancelled);
    assert_eq!(run.try_complete("c", Completed::Succeeded(json!({}))), Err(Refusal::NotRunning), "it comes too late");
    let of_run: Vec<String> = run.events().into_iter().filter(|event| event.starts_with("run.cancel")).collect();
    assert_eq!(of_run, ["run.cancel-requested", "run.cancelled"]);
}

// Artifacts.

#[test]
fn an_object_is_kept_when_its_step_ends_and_what_is_left_at_the_end() {
    use ArtifactStatus::{Captured, Failed, Pending};
    let mut plan = plan(vec![work("a"), work("b")]);
    let output = |name: &str, source| PlanOutput { name: name.to_owned(), source };
    plan.outputs = vec![
        output("early", OutputSource::Object("steps.a.outputs.x".to_owned())),
        output("late", OutputSource::Object("inputs.n".to_owned())),
        output("nothing", OutputSource::Object("steps.b.outputs.x".to_owned())),
        output("file", OutputSource::File("out.txt".to_owned())),
    ];
    let mut run = Example::planned(plan);
    let statuses = |run: &Example| run.run.artifacts.iter().map(|artifact| artifact.status).collect::<Vec<_>>();
    run.succeed("a", json!({"x": {"y": 1}}));
    assert_eq!(statuses(&run), [Captured, Pending, Pending, Pending]);
    assert_eq!(run.run.artifacts[0].expression_json.as_deref(), Some(r#"{"y":1}"#));
    run.succeed("b", json!({}));
    assert_eq!(statuses(&run), [Captured, Captured, Failed, Failed]);
    assert_eq!(run.run.status, RunStatus::Succeeded, "what cannot be kept fails nothing");
}

// Edge cases, by their numbers.

#[test]
fn edge_2_of_an_approval_and_a_cancellation_the_first_wins() {
    let mut run = Example::of(vec![gate("g", "go"), work("a")]);
    run.cancel();
    assert_eq!(run.decide("go", Decision::Approved), Err(Refusal::RunNotActive));
    let mut run = Example::of(vec![gate("g", "go"), work("a")]);
    run.decide("go", Decision::Approved).unwrap();
    run.cancel();
    assert_eq!((run.of_step("g").as_str(), run.of_step("a").as_str()), ("Succeeded", "Skipped: cancelled"));
    assert!(run.decide("go", Decision::Approved).unwrap().resumed, "the first answer, which resumes nothing now");
    assert_eq!(run.run.status, RunStatus::Cancelled);
}

#[test]
fn edge_3_of_two_opposite_decisions_the_first_wins() {
    let mut run = Example::of(vec![gate("g", "go"), work("a")]);
    run.decide("go", Decision::Approved).unwrap();
    assert_eq!(run.decide("go", Decision::Rejected), Err(Refusal::AlreadyDecided));
    assert_eq!(run.of_step("g"), "Succeeded");
}

#[test]
fn edge_4_an_approval_before_the_time_is_over_stands_and_one_after_it_is_too_late() {
    let mut run = Example::of(vec![gate("g", "hurry"), work("a")]);
    run.now += 60 * SECOND - 1;
    run.decide("hurry", Decision::Approved).unwrap();
    run.now += 1;
    run.tick();
    assert_eq!(run.of_step("g"), "Succeeded");
    let mut run = Example::of(vec![gate("g", "hurry"), work("a")]);
    run.now += 60 * SECOND;
    assert_eq!(run.decide("hurry", Decision::Approved), Err(Refusal::AlreadyDecided), "also before a tick says so");
    run.tick();
    assert_eq!(run.of_step("g"), "Failed: approval-expired");
}

#[test]
fn edge_5_a_decision_about_another_plan_is_not_noted() {
    let mut run = Example::of(vec![gate("g", "go")]);
    let before = run.run.clone();
    let asked = asking("go", Decision::Approved, "sha256:bbbb", &|_| true);
    assert_eq!(run.run.decide(&run.plan, HASH, &asked, START), Err(Refusal::PlanHashMismatch));
    assert_eq!(run.run, before);
}

#[test]
fn edge_6_gates_with_one_approval_share_its_decision() {
    let gates = || vec![parallel("p", None, vec![gate("g", "go"), gate("h", "go")])];
    let mut run = Example::of(gates());
    run.decide("go", Decision::Approved).unwrap();
    assert_eq!((run.of_step("g").as_str(), run.of_step("h").as_str()), ("Succeeded", "Succeeded"));
    let mut run = Example::of(gates());
    run.decide("go", Decision::Rejected).unwrap();
    assert_eq!(
        (run.of_step("g").as_str(), run.of_step("h").as_str()),
        ("Failed: approval-rejected", "Failed: approval-rejected")
    );
    let mut run = Example::of(vec![map("m", 2, |prefix| within(prefix, gate("g", "go")))]);
    run.decide("go", Decision::Approved).unwrap();
    assert_eq!((run.of_step("m[0]::g").as_str(), run.of_step("m[1]::g").as_str()), ("Succeeded", "Succeeded"));
}

#[test]
fn edge_6_a_disabled_gate_blocks_nothing_and_an_approval_without_a_gate_is_accepted() {
    let mut run = Example::of(vec![disabled(gate("g", "go")), work("a")]);
    assert!(!run.decide("go", Decision::Rejected).unwrap().resumed);
    assert!(!run.decide("hurry", Decision::Approved).unwrap().resumed);
    run.succeed("a", json!({}));
    assert_eq!(run.run.status, RunStatus::Succeeded);
}

#[test]
fn edge_12_empty_maps_and_loops_succeed_without_steps() {
    let run = Example::of(vec![map("m", 0, |_| work("a")), loops("l", range(0), vec![work("b")])]);
    assert_eq!((run.of_step("m").as_str(), run.of_step("l").as_str()), ("Succeeded", "Succeeded"));
    assert_eq!(run.run.steps.len(), 2);
    assert_eq!((run.outputs("m"), run.outputs("l")), (json!({"results": []}), json!({"results": []})));
    assert_eq!(run.run.status, RunStatus::Succeeded);
}

#[test]
fn edge_12_a_loop_over_what_is_no_list_fails_and_so_does_one_with_too_many_items() {
    let over = |text: &str| loops("l", LoopItems::Expression(text.to_owned()), vec![work("b")]);
    assert_eq!(Example::of(vec![over("inputs.n")]).of_step("l"), "Failed: items-not-an-array");
    let mut few = over("inputs.list");
    if let StepKind::Loop { max_iterations, .. } = &mut few.kind {
        *max_iterations = 1;
    }
    let run = Example::of(vec![few]);
    assert_eq!((run.of_step("l").as_str(), run.run.steps.len()), ("Failed: too-many-iterations", 1));
}

#[test]
fn edge_13_a_run_with_nothing_to_do_completes_at_once() {
    let run = Example::of(vec![disabled(work("a")), disabled(gate("g", "go"))]);
    assert_eq!(run.run.status, RunStatus::Succeeded);
    assert_eq!(run.events(), ["run.created", "step.skipped a", "step.skipped g", "run.completed"]);
}

#[test]
fn edge_13_a_conditional_without_a_true_branch_succeeds() {
    let run = Example::of(vec![branches("c", vec![("inputs.no", vec![work("a")])], vec![])]);
    assert_eq!((run.of_step("c").as_str(), run.of_step("a").as_str()), ("Succeeded", "Skipped: branch-not-taken"));
    assert_eq!(run.run.status, RunStatus::Succeeded);
}

#[test]
fn edge_16_cancelling_in_a_backoff_or_before_a_gate_skips_and_can_be_repeated() {
    let mut run = retrying(vec![parallel("p", None, vec![work("a"), gate("g", "go")])], 2, 30);
    run.fail("a");
    run.cancel();
    assert_eq!((run.of_step("a").as_str(), run.of_step("g").as_str()), ("Skipped: cancelled", "Skipped: cancelled"));
    assert_eq!(run.run.steps[run.n("a")].next_attempt_at, None);
    let before = run.run.clone();
    assert_eq!(run.run.cancel(&run.plan, "bob", START + SECOND), Ok(Effects::default()));
    assert_eq!(run.run, before);
    assert_eq!(run.run.approvals["go"].status, ApprovalStatus::Void);
}

#[test]
fn edge_16_a_run_that_completed_or_failed_is_not_cancelled() {
    let mut completed = Example::of(vec![]);
    let mut failed = Example::of(vec![policy("g", FailureAction::Abort)]);
    failed.succeed("g", json!({"allowed": false}));
    for run in [&mut completed, &mut failed] {
        assert_eq!(run.run.cancel(&run.plan, "ann", START), Err(Refusal::RunNotActive));
    }
}

// What containers choose and give.

#[test]
fn a_condition_on_outputs_is_decided_when_the_turn_of_the_step_has_come() {
    let steps = || vec![work("a"), when("steps.a.outputs.ok", parallel("p", None, vec![work("b")])), work("c")];
    let mut run = Example::of(steps());
    run.succeed("a", json!({"ok": false}));
    assert_eq!(
        (run.of_step("p").as_str(), run.of_step("b").as_str()),
        ("Skipped: condition-false", "Skipped: parent-skipped")
    );
    run.start("c");
    let mut run = Example::of(steps());
    run.succeed("a", json!({"ok": 0}));
    run.start("b");
}

#[test]
fn the_first_true_branch_is_taken() {
    let each = vec![("steps.a.outputs.x", vec![work("b")]), ("steps.a.outputs.y", vec![work("c"), work("d")])];
    let mut run = Example::of(vec![work("a"), branches("c0", each, vec![work("e")])]);
    run.succeed("a", json!({"x": true, "y": true}));
    run.succeed("b", json!({"got": 1}));
    for id in ["c", "d", "e"] {
        assert_eq!(run.of_step(id), "Skipped: branch-not-taken");
    }
    assert_eq!(run.outputs("c0"), json!({"got": 1}));
}

#[test]
fn the_iterations_of_a_loop_follow_each_other_and_know_their_item() {
    let body = vec![work_with("b", json!({"n": "{{ item }}", "i": "{{ index }}"}))];
    let mut run = Example::of(vec![loops("l", LoopItems::Static(vec![json!("x"), json!("y")]), body)]);
    assert_eq!(run.try_start("l[1]::b"), Err(Refusal::NotReady));
    assert_eq!(run.start("l[0]::b"), Some(json!({"n": "x", "i": 0})));
    run.try_complete("l[0]::b", Completed::Succeeded(json!({"v": 1}))).unwrap();
    assert_eq!(run.start("l[1]::b"), Some(json!({"n": "y", "i": 1})));
    run.try_complete("l[1]::b", Completed::Succeeded(json!({"w": 2}))).unwrap();
    assert_eq!(run.outputs("l"), json!({"results": [{"v": 1}, {"w": 2}]}));
}

#[test]
fn a_loop_gives_what_its_aggregation_says() {
    let given = |wanted: Aggregation| {
        let mut inner = loops("l", range(2), vec![work("b")]);
        if let StepKind::Loop { aggregation, .. } = &mut inner.kind {
            *aggregation = wanted;
        }
        let mut run = Example::of(vec![inner]);
        run.succeed("l[0]::b", json!({"v": 1, "x": 1}));
        run.succeed("l[1]::b", json!({"v": 2}));
        run.outputs("l")
    };
    assert_eq!(given(Aggregation::Merge), json!({"v": 2, "x": 1}));
    assert_eq!(given(Aggregation::First), json!({"v": 1, "x": 1}));
    assert_eq!(given(Aggregation::Last), json!({"v": 2}));
    assert_eq!(given(Aggregation::None), Value::Null);
}

#[test]
fn a_step_of_an_iteration_is_known_in_that_iteration_only() {
    let inside = vec![work("b"), work_with("c", json!({"b": "{{ steps.b.outputs.v }}"}))];
    let outside = work_with("d", json!({"b": "{{ steps.b.outputs.v }}", "l": "{{ steps.l.outputs.results[0] }}"}));
    let mut run = Example::of(vec![loops("l", range(1), inside), outside]);
    run.succeed("l[0]::b", json!({"v": 1}));
    assert_eq!(run.start("l[0]::c"), Some(json!({"b": 1})));
    run.try_complete("l[0]::c", Completed::Succeeded(json!("c"))).unwrap();
    assert_eq!(run.start("d"), Some(json!({"b": null, "l": "c"})));
}
