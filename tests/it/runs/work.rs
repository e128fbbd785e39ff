//! The largest runs: what bounds them, and that they go through.

use packtrail::domain::run::{Completed, Decision, MAX_GATHERED, MAX_STEPS, Run, RunStatus, StepStatus, Waiting};
use packtrail::domain::taskpack::{FailureAction, LoopItems, Plan, PlanStep, StepKind};
use serde_json::{Value, json};

use super::histories::{HASH, SECOND, START, asking};
use super::plans::{self, gate, loops, parallel, plan, policy, range, tolerant, when, work};

const FEW: usize = 200;

fn numbered(count: usize, make: impl Fn(&str) -> PlanStep) -> Vec<PlanStep> {
    (0..count).map(|i| make(&format!("s{i}"))).collect()
}

fn long(mut step: PlanStep) -> PlanStep {
    if let StepKind::Loop { max_iterations, .. } = &mut step.kind {
        *max_iterations = 10_000;
    }
    step
}

#[test]
fn a_loop_unrolls_to_the_largest_number_of_steps_and_no_further() {
    let count = i64::try_from(MAX_STEPS).unwrap();
    let (run, _) = Run::create(&plan(vec![long(loops("l", range(count - 1), vec![work("a")]))]), HASH, START);
    assert_eq!((run.steps.len(), run.steps[0].status), (MAX_STEPS, StepStatus::Pending));
    let (run, _) = Run::create(&plan(vec![long(loops("l", range(count), vec![work("a")]))]), HASH, START);
    assert_eq!((run.steps.len(), run.steps[0].reason.as_deref()), (1, Some("too-many-steps")));
    assert_eq!(run.status, RunStatus::Failed);
}

#[test]
fn the_items_of_a_loop_are_not_copied_beyond_bounds() {
    let mut plan = plan(vec![loops("l", LoopItems::Expression("inputs.big".to_owned()), numbered(1000, work))]);
    plan.inputs.insert("big".to_owned(), json!(["x".repeat(200_000)]));
    let (run, _) = Run::create(&plan, HASH, START);
    assert_eq!((run.steps.len(), run.steps[0].reason.as_deref()), (1, Some("iterations-too-large")));
}

#[test]
fn what_nested_loops_hold_is_counted_together() {
    // Each inner loop alone would do.
    let inner = loops("i", LoopItems::Expression("inputs.big".to_owned()), numbered(10, work));
    let mut outer = loops("o", range(10), vec![parallel("p", None, vec![inner])]);
    if let StepKind::Loop { iterator, index, .. } = &mut outer.kind {
        (*iterator, *index) = ("round".to_owned(), "number".to_owned());
    }
    let mut plan = plan(vec![tolerant(outer)]);
    plan.inputs.insert("big".to_owned(), json!(["x".repeat(200_000)]));
    let (mut run, _) = Run::create(&plan, HASH, START);
    for _ in 0..1000 {
        let ready = run.waiting(&plan, START).into_iter().find(|(_, waiting)| matches!(waiting, Waiting::Worker(_)));
        let Some((n, _)) = ready else { break };
        run.start(&plan, n, None, START).unwrap();
        run.complete(&plan, n, Completed::Succeeded(Value::Null), START).unwrap();
    }
    let refused = run.steps.iter().filter(|step| step.reason.as_deref() == Some("iterations-too-large")).count();
    assert_eq!((run.status, refused), (RunStatus::Succeeded, 8));
}

#[test]
fn a_container_does_not_give_more_than_its_bound() {
    let plan = plan(vec![loops("l", range(3), vec![work("a")]), work("b")]);
    let (mut run, _) = Run::create(&plan, HASH, START);
    for n in [2, 3, 4] {
        run.start(&plan, n, None, START).unwrap();
        run.complete(&plan, n, Completed::Succeeded(json!("x".repeat(MAX_GATHERED / 3))), START).unwrap();
    }
    assert_eq!((run.steps[0].status, run.steps[0].reason.as_deref()), (StepStatus::Failed, Some("outputs-too-large")));
    assert_eq!((run.steps[1].reason.as_deref(), run.status), (Some("run-aborted"), RunStatus::Failed));
}

/// The shapes that have most of something, with this many steps.
fn shapes(count: usize) -> Vec<(&'static str, Plan)> {
    let gates = |make: &dyn Fn(&str) -> PlanStep| {
        let mut plan = plan(vec![parallel("p", None, numbered(count - 1, make))]);
        plan.approvals = (0..count).map(|i| plans::approval(&format!("s{i}"), Some(60))).collect();
        plan
    };
    let mut conditions = numbered(count - 1, |id| when("inputs.n == steps.a.outputs.x", work(id)));
    conditions.insert(0, work("a"));
    let mut large = plan(conditions);
    large.inputs.insert("large".to_owned(), (0..100_000).map(Value::from).collect());
    vec![
        ("one after the other", plan(numbered(count, work))),
        ("side by side", plan(vec![parallel("p", None, numbered(count - 1, work))])),
        ("side by side, two at a time", plan(vec![parallel("p", Some(2), numbered(count - 1, work))])),
        ("a loop", plan(vec![long(loops("l", range(i64::try_from(count - 1).unwrap()), vec![work("a")]))])),
        ("gates, each with its approval", gates(&|id| gate(id, id))),
        ("gates with one approval", gates(&|id| gate(id, "s0"))),
        ("overrides", gates(&|id| policy(&format!("o{id}"), FailureAction::RequestOverride))),
        ("conditions over large inputs", large),
    ]
}

/// The first command that can be done of each kind.
fn commands(plan: &Plan, mut report: impl FnMut(&str, &Run)) {
    let (mut run, _) = Run::create(plan, HASH, START);
    report("create", &run);
    let waiting = run.waiting(plan, START);
    report("waiting", &run);
    if let Some((n, _)) = waiting.iter().find(|(_, waiting)| matches!(waiting, Waiting::Worker(_))) {
        run.start(plan, *n, None, START).unwrap();
        report("start", &run);
        run.complete(plan, *n, Completed::Succeeded(json!({"x": 2, "allowed": false})), START).unwrap();
        report("complete", &run);
    }
    let asked = run.waiting(plan, START).into_iter().find_map(|(_, waiting)| match waiting {
        Waiting::Approval(id) => Some(id),
        _ => None,
    });
    if let Some(id) = asked {
        run.decide(plan, HASH, &asking(&id, Decision::Approved, HASH, &|_| true), START).unwrap();
        report("decide", &run);
    }
    let mut late = run.clone();
    late.tick(plan, START + 60 * SECOND);
    report("tick", &late);
    if !run.status.is_terminal() {
        run.cancel(plan, "ann", START).unwrap();
        report("cancel", &run);
    }
}

#[test]
fn every_shape_of_run_goes_through() {
    for (name, plan) in shapes(FEW) {
        let mut last = RunStatus::Pending;
        commands(&plan, |_, run| last = run.status);
        assert!(last.is_terminal(), "{name}: {last:?}");
    }
}
