//! What holds of every run, whatever is done to it.

use std::collections::{BTreeMap, BTreeSet};

use packtrail::domain::run::{
    ApprovalStatus, Completed, Decision, Effects, Run, RunStatus, Step, StepStatus, Waiting, planned, preorder,
};
use packtrail::domain::taskpack::{FailureAction, Plan, StepKind};
use serde_json::{Value, json};

use super::histories::{self, Command, HASH, History, SECOND, START};
use super::plans::{self, gate, loops, parallel, policy, range, work};

fn kind<'a>(plan: &'a Plan, step: &Step) -> &'a StepKind {
    &planned(plan, &step.path).kind
}

/// Whether workers do it: policies too, until they are left to people.
fn is_work(plan: &Plan, step: &Step) -> bool {
    let is_left_to_people = step.reason.as_deref() == Some("awaiting-approval");
    match kind(plan, step) {
        StepKind::Run { .. } => true,
        StepKind::GatePolicy { .. } => !is_left_to_people,
        _ => false,
    }
}

fn is_gate(plan: &Plan, step: &Step) -> bool {
    matches!(kind(plan, step), StepKind::GateApproval { .. } | StepKind::GatePolicy { .. })
}

fn children(run: &Run, n: usize) -> impl Iterator<Item = (usize, &Step)> {
    run.steps.iter().enumerate().filter(move |(_, step)| step.parent == Some(n))
}

#[test]
fn no_step_begins_after_a_gate_was_denied_or_the_run_was_aborted() {
    for history in histories::all() {
        for moment in &history.moments {
            let denied = moment
                .before
                .steps
                .iter()
                .any(|step| is_gate(&history.plan, step) && step.status == StepStatus::Failed);
            assert!(!denied || moment.before.is_aborted, "seed {}: a denied gate aborts", history.seed);
            let begins = |effects: &Effects| {
                effects
                    .transitions
                    .iter()
                    .any(|t| t.to == StepStatus::Running && is_work(&history.plan, &moment.after.steps[t.step]))
            };
            if moment.before.is_aborted || moment.before.is_cancelled {
                assert!(!begins(&moment.effects), "seed {}: {:?}", history.seed, moment.command);
            }
        }
    }
}

#[test]
fn a_run_that_is_aborted_has_no_pending_step() {
    for history in histories::all() {
        for run in history.states().filter(|run| run.is_aborted) {
            assert!(run.steps.iter().all(|step| step.status != StepStatus::Pending), "seed {}", history.seed);
            let asks = run.approvals.values().any(|approval| approval.status == ApprovalStatus::Waiting);
            assert!(!asks, "seed {}: nobody is asked any more", history.seed);
        }
    }
}

#[test]
fn no_more_lanes_of_a_container_are_with_workers_than_it_allows() {
    for history in histories::all() {
        for run in history.states() {
            for (n, step) in run.steps.iter().enumerate() {
                let most = kind(&history.plan, step).max_parallel().map_or(usize::MAX, |most| most as usize);
                let lanes = children(run, n).filter(|(child, _)| is_worked_on(&history.plan, run, *child)).count();
                assert!(lanes <= most, "seed {}: {lanes} lanes of {}", history.seed, step.id);
            }
        }
    }
}

fn is_worked_on(plan: &Plan, run: &Run, n: usize) -> bool {
    let is_live = is_work(plan, &run.steps[n]) && run.steps[n].status == StepStatus::Running;
    is_live || children(run, n).any(|(child, _)| is_worked_on(plan, run, child))
}

#[test]
fn no_step_is_tried_more_often_than_the_policy_allows() {
    for history in histories::all() {
        for step in &history.last().steps {
            let most = match kind(&history.plan, step) {
                StepKind::Run { .. } => history.plan.failure.max_attempts,
                StepKind::GateApproval { .. } => 0,
                StepKind::GatePolicy { retry_count, .. } => retry_count + 1,
                _ => 1,
            };
            assert!(step.attempts <= most, "seed {}: {}", history.seed, step.id);
        }
    }
}

#[test]
fn what_has_ended_never_changes_again() {
    for history in histories::all() {
        for moment in &history.moments {
            for (before, after) in moment.before.steps.iter().zip(&moment.after.steps) {
                assert!(!before.status.is_terminal() || before == after, "seed {}: {}", history.seed, before.id);
            }
            if moment.before.status.is_terminal() {
                assert_eq!(moment.before, moment.after, "seed {}: {:?}", history.seed, moment.command);
                assert_eq!(moment.effects, Effects::default(), "seed {}: {:?}", history.seed, moment.command);
            }
        }
    }
}

#[test]
fn a_refused_command_changes_nothing() {
    for history in histories::all() {
        for moment in history.moments.iter().filter(|moment| moment.answer.is_err()) {
            assert_eq!(moment.before, moment.after, "seed {}: {:?}", history.seed, moment.command);
        }
    }
}

#[test]
fn the_numbers_of_steps_never_change() {
    for history in histories::all() {
        for moment in &history.moments {
            let ids = |run: &Run| run.steps.iter().map(|step| step.id.clone()).collect::<Vec<_>>();
            assert!(ids(&moment.after).starts_with(&ids(&moment.before)), "seed {}", history.seed);
        }
        let last = history.last();
        let distinct: BTreeSet<&str> = last.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(distinct.len(), last.steps.len(), "seed {}", history.seed);
        let mut order = preorder(&last.steps);
        for (at, n) in order.iter().enumerate() {
            let parent = last.steps[*n].parent;
            assert!(parent.is_none_or(|parent| order[..at].contains(&parent)), "seed {}", history.seed);
        }
        order.sort_unstable();
        assert!(order.into_iter().eq(0..last.steps.len()), "seed {}", history.seed);
    }
}

#[test]
fn log_entries_are_numbered_from_one_without_gaps() {
    for history in histories::all() {
        let numbers = history.effects().flat_map(|effects| &effects.logs).map(|entry| entry.seq);
        assert!(numbers.eq(1..=history.last().logged), "seed {}", history.seed);
        let moved: usize = history.effects().map(|effects| effects.transitions.len()).sum();
        assert_eq!(i64::try_from(moved).unwrap(), history.last().moved, "seed {}", history.seed);
    }
}

#[test]
fn time_never_runs_backwards_in_logs_and_transitions() {
    for history in histories::all() {
        let entries = history.effects().flat_map(|effects| &effects.logs).map(|entry| entry.at);
        assert!(entries.is_sorted(), "seed {}", history.seed);
        let transitions = history.effects().flat_map(|effects| &effects.transitions).map(|t| t.at);
        assert!(transitions.is_sorted(), "seed {}", history.seed);
    }
}

#[test]
fn every_transition_has_its_log_entry_in_the_same_effects() {
    for history in histories::all() {
        for effects in history.effects() {
            let mut said: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            for entry in &effects.logs {
                *said.entry((entry.step.as_deref().unwrap_or(""), &entry.event)).or_default() += 1;
            }
            for transition in &effects.transitions {
                let step = &history.last().steps[transition.step];
                let event = match (transition.from, transition.to) {
                    (_, StepStatus::Running) => "step.started",
                    (_, StepStatus::Skipped) => "step.skipped",
                    (StepStatus::Running, StepStatus::Pending) => match transition.reason {
                        None => "step.released",
                        Some(_) if said.contains_key(&(step.id.as_str(), "policy.hold")) => "policy.hold",
                        Some(_) => "step.failed",
                    },
                    (_, StepStatus::Failed) => "step.failed",
                    (StepStatus::Pending, StepStatus::Succeeded) if is_gate(&history.plan, step) => "gate.approved",
                    _ => "step.completed",
                };
                let left = said.get_mut(&(&step.id, event)).filter(|left| **left > 0);
                *left.unwrap_or_else(|| panic!("seed {}: {event} of {}", history.seed, step.id)) -= 1;
            }
            let rest = said.iter().filter(|((_, event), _)| event.starts_with("step."));
            assert_eq!(rest.map(|(_, left)| left).sum::<usize>(), 0, "seed {}: {said:?}", history.seed);
        }
    }
}

#[test]
fn the_log_of_a_run_begins_once_and_ends_once() {
    for history in histories::all() {
        let events: Vec<&str> =
            history.effects().flat_map(|effects| &effects.logs).map(|entry| entry.event.as_str()).collect();
        let of_run: Vec<&str> = events.iter().copied().filter(|event| event.starts_with("run.")).collect();
        let end: &[&str] = match history.last().status {
            RunStatus::Succeeded => &["run.completed"],
            RunStatus::Failed => &["run.failed"],
            _ => &["run.cancel-requested", "run.cancelled"],
        };
        let begin: &[&str] =
            if history.last().started_at.is_some() { &["run.created", "run.started"] } else { &["run.created"] };
        assert_eq!(of_run, [begin, end].concat(), "seed {}", history.seed);
        assert_eq!(events.last(), end.last(), "seed {}", history.seed);
    }
}

#[test]
fn a_gate_says_once_that_it_waits() {
    for history in histories::all() {
        let waits = history.effects().flat_map(|effects| &effects.logs).filter(|entry| entry.event == "gate.awaiting");
        let gates: Vec<&str> = waits.filter_map(|entry| entry.step.as_deref()).collect();
        let distinct: BTreeSet<&str> = gates.iter().copied().collect();
        assert_eq!(distinct.len(), gates.len(), "seed {}", history.seed);
    }
}

#[test]
fn transitions_chain_and_add_up_to_the_state() {
    for history in histories::all() {
        let mut statuses: Vec<StepStatus> = Vec::new();
        for (effects, run) in history.effects().zip(history.states()) {
            statuses.resize(run.steps.len(), StepStatus::Pending);
            for transition in &effects.transitions {
                assert_eq!(transition.from, statuses[transition.step], "seed {}: {transition:?}", history.seed);
                assert_eq!(transition.id, run.steps[transition.step].id, "seed {}", history.seed);
                assert!(is_allowed(transition.from, transition.to), "seed {}: {transition:?}", history.seed);
                statuses[transition.step] = transition.to;
            }
            let now: Vec<StepStatus> = run.steps.iter().map(|step| step.status).collect();
            assert_eq!(statuses, now, "seed {}", history.seed);
        }
    }
}

fn is_allowed(from: StepStatus, to: StepStatus) -> bool {
    match from {
        StepStatus::Pending => to != StepStatus::Pending,
        StepStatus::Running => to != StepStatus::Running,
        _ => false,
    }
}

#[test]
fn whatever_is_pending_waits_for_something_that_can_act() {
    for history in histories::all() {
        let moments = history.moments.iter().map(|moment| (&moment.after, moment.now));
        for (run, now) in [(&history.created, START)].into_iter().chain(moments) {
            let waiting: BTreeMap<usize, Waiting> = run.waiting(&history.plan, now).into_iter().collect();
            let pending: BTreeSet<usize> =
                (0..run.steps.len()).filter(|n| run.steps[*n].status == StepStatus::Pending).collect();
            assert!(waiting.keys().copied().eq(pending), "seed {}", history.seed);
            for n in waiting.keys() {
                let mut seen = BTreeSet::new();
                let can_act = leads_to_action(&history.plan, run, &waiting, *n, &mut seen);
                assert!(can_act, "seed {}: {} waits for {:?}", history.seed, run.steps[*n].id, waiting[n]);
            }
        }
    }
}

/// Whether what a step waits for is a worker, a person, a time, or another step of which that is true.
fn leads_to_action(
    plan: &Plan,
    run: &Run,
    waiting: &BTreeMap<usize, Waiting>,
    n: usize,
    seen: &mut BTreeSet<usize>,
) -> bool {
    let step = &run.steps[n];
    if !seen.insert(n) || step.status.is_terminal() {
        return false;
    }
    let mut follow = |n: usize| leads_to_action(plan, run, waiting, n, seen);
    match waiting.get(&n) {
        Some(Waiting::Worker(_) | Waiting::Approval(_) | Waiting::Backoff(_)) => true,
        Some(Waiting::Step(other)) => follow(*other),
        Some(Waiting::Place(container)) => is_worked_on(plan, run, *container),
        _ if is_work(plan, step) => step.status == StepStatus::Running,
        // One of the steps within can go on.
        _ => children(run, n).any(|(child, step)| !step.status.is_terminal() && step.is_reached && follow(child)),
    }
}

#[test]
fn a_run_of_which_all_that_it_waits_for_is_done_ends_in_bounded_steps() {
    for history in histories::all() {
        let attempts = history.plan.failure.max_attempts as usize;
        let bound = history.last().steps.len() * (2 * attempts + 1) + 1;
        assert!(history.driven <= bound, "seed {}: {} of {bound}", history.seed, history.driven);
        assert!(history.last().status.is_terminal());
    }
}

#[test]
fn the_status_of_a_run_agrees_with_its_steps() {
    for history in histories::all() {
        for run in history.states() {
            let seed = history.seed;
            assert_eq!(run.status.is_terminal(), run.steps.iter().all(|step| step.status.is_terminal()), "seed {seed}");
            assert_eq!(run.status.is_terminal(), run.ended_at.is_some(), "seed {seed}");
            let is_fatal = |step: &Step| {
                step.status == StepStatus::Failed && (is_gate(&history.plan, step) || !step.continue_on_error)
            };
            assert_eq!(run.is_aborted, run.steps.iter().any(is_fatal), "seed {seed}");
            assert_eq!(run.status == RunStatus::Cancelled, run.is_cancelled, "seed {seed}");
            if run.status.is_terminal() && !run.is_cancelled {
                assert_eq!(run.status == RunStatus::Failed, run.is_aborted, "seed {seed}");
            }
            let begun = run.steps.iter().any(|step| matches!(step.status, StepStatus::Running | StepStatus::Succeeded));
            assert!(!begun || run.started_at.is_some(), "seed {seed}");
            if run.status == RunStatus::AwaitingApproval {
                let waiting = run.waiting(&history.plan, run.updated_at);
                let asks = |waiting: &Waiting| matches!(waiting, Waiting::Approval(_));
                assert!(waiting.iter().any(|(_, waiting)| asks(waiting)), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_cancelled_run_is_never_resumed() {
    for history in histories::all() {
        for moment in history.moments.iter().filter(|moment| moment.before.is_cancelled) {
            assert!(moment.after.is_cancelled, "seed {}", history.seed);
            if let (Command::Decide { approval, .. }, Ok(answer)) = (&moment.command, &moment.answer) {
                // Only what was answered before is answered again.
                let first = moment.before.approvals[approval].decided.as_ref().unwrap();
                assert_eq!(*answer, Some(first.resumed), "seed {}", history.seed);
            }
        }
    }
}

#[test]
fn a_container_ends_only_when_all_within_has_ended() {
    for history in histories::all() {
        for run in history.states() {
            for (n, step) in run.steps.iter().enumerate().filter(|(_, step)| step.status.is_terminal()) {
                let is_over = children(run, n).all(|(_, child)| child.status.is_terminal());
                assert!(is_over, "seed {}: {}", history.seed, step.id);
            }
        }
    }
}

#[test]
fn steps_of_a_lane_begin_one_after_the_other() {
    for history in histories::all() {
        for run in history.states() {
            for (n, step) in run.steps.iter().enumerate().filter(|(_, step)| step.status != StepStatus::Pending) {
                if step.status == StepStatus::Skipped {
                    continue;
                }
                let before = run.steps.iter().enumerate().filter(|(other, before)| {
                    *other != n && (before.parent, before.lane) == (step.parent, step.lane) && before.place < step.place
                });
                let mut before = before.map(|(_, before)| before.status);
                assert!(before.all(StepStatus::is_terminal), "seed {}: {}", history.seed, step.id);
            }
        }
    }
}

#[test]
fn only_a_step_that_succeeded_has_outputs() {
    for history in histories::all() {
        for step in history.states().flat_map(|run| &run.steps) {
            let has_none = step.outputs.is_none() || step.status == StepStatus::Succeeded;
            assert!(has_none, "seed {}: {}", history.seed, step.id);
        }
    }
}

#[test]
fn a_step_has_a_next_attempt_only_while_it_waits_for_it() {
    for history in histories::all() {
        for step in history.states().flat_map(|run| &run.steps) {
            // What was given back waits for no time, and what is left to people neither.
            let has_failed = step.reason.as_deref().is_some_and(|reason| reason != "awaiting-approval");
            let waits = step.status == StepStatus::Pending && step.attempts > 0 && has_failed;
            assert_eq!(step.next_attempt_at.is_some(), waits, "seed {}: {}", history.seed, step.id);
        }
    }
}

#[test]
fn a_decision_that_is_repeated_has_its_first_answer_and_no_effects() {
    for history in histories::all() {
        for moment in &history.moments {
            let Command::Decide { approval, decision, .. } = &moment.command else { continue };
            let Ok(answer) = moment.answer else { continue };
            let mut run = history.last().clone();
            let again =
                Command::Decide { approval: approval.clone(), decision: *decision, hash: HASH, is_granted: true };
            let (repeated, effects) = again.apply(&history.plan, &mut run, moment.now);
            assert_eq!(repeated, Ok(answer), "seed {}", history.seed);
            assert_eq!((&run, effects), (history.last(), Effects::default()), "seed {}", history.seed);
        }
    }
}

#[test]
fn only_a_decision_that_moved_a_gate_resumed_the_run() {
    for history in histories::all() {
        for moment in &history.moments {
            if let (Command::Decide { .. }, Ok(Some(true))) = (&moment.command, &moment.answer) {
                let first = moment.effects != Effects::default();
                let moved = moment.effects.transitions.iter().any(|t| t.to == StepStatus::Succeeded);
                assert!(moved || !first, "seed {}: {:?}", history.seed, moment.command);
            }
        }
    }
}

#[test]
fn a_run_goes_on_the_same_after_it_was_stored_and_loaded() {
    for history in histories::all() {
        let mut run = stored_and_loaded(&history.created);
        for moment in &history.moments {
            assert_eq!(run, moment.before, "seed {}", history.seed);
            let (answer, effects) = moment.command.apply(&history.plan, &mut run, moment.now);
            assert_eq!((answer, effects), (moment.answer.clone(), moment.effects.clone()), "seed {}", history.seed);
            run = stored_and_loaded(&run);
        }
        assert_eq!(run, *history.last(), "seed {}", history.seed);
    }
}

/// As the store does it: the steps, the approvals and the rest each for themselves.
fn stored_and_loaded(run: &Run) -> Run {
    let again = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    let mut loaded: Run = serde_json::from_value(again(serde_json::to_string(run).unwrap())).unwrap();
    let steps = run.steps.iter().map(|step| serde_json::from_str(&serde_json::to_string(step).unwrap()).unwrap());
    loaded.steps = steps.collect();
    loaded.approvals = serde_json::from_value(again(serde_json::to_string(&run.approvals).unwrap())).unwrap();
    loaded
}

#[test]
fn what_a_command_does_follows_from_the_state_the_command_and_the_time_alone() {
    for history in histories::all() {
        let (created, effects) = Run::create(&history.plan, HASH, START);
        assert_eq!((&created, &effects), (&history.created, &history.first_effects), "seed {}", history.seed);
        for moment in &history.moments {
            let mut run = moment.before.clone();
            let (answer, effects) = moment.command.apply(&history.plan, &mut run, moment.now);
            assert_eq!(answer, moment.answer, "seed {}", history.seed);
            assert_eq!((&run, &effects), (&moment.after, &moment.effects), "seed {}", history.seed);
        }
    }
}

#[test]
fn looking_at_a_run_advances_nothing() {
    for history in histories::all() {
        for moment in &history.moments {
            let mut run = moment.after.clone();
            let effects = run.tick(&history.plan, moment.now);
            // Time that runs backwards stands still.
            let at = moment.now.max(moment.after.updated_at);
            let due = moment.after.approvals.values().any(|approval| approval.is_due(at));
            assert!(due || (run == moment.after && effects == Effects::default()), "seed {}", history.seed);
        }
    }
}

/// Plans that no manifest gives, with the largest numbers everywhere.
fn extreme_plans() -> Vec<Plan> {
    let mut ranges = plans::plan(vec![
        loops("a", plans_range(i64::MIN, i64::MAX, 1), vec![work("b")]),
        loops("c", plans_range(i64::MIN, i64::MAX, i64::MAX), vec![work("d")]),
        loops("e", plans_range(i64::MAX, i64::MIN, i64::MIN), vec![work("f")]),
        loops("g", plans_range(-6_000_000_000_000_000_000, i64::MAX, 6_000_000_000_000_000_000), vec![work("h")]),
        loops("i", plans_range(7, 7, 0), vec![]),
        loops("j", range(3), vec![]),
    ]);
    ranges.failure.continue_on_error = true;
    let mut times = plans::plan(vec![parallel("p", Some(u32::MAX), vec![work("w"), gate("g", "a")])]);
    times.failure.max_attempts = u32::MAX;
    times.failure.backoff_seconds = u32::MAX;
    times.approvals = vec![plans::approval("a", Some(i64::MAX))];
    let empty = plans::plan(vec![]);
    let odd = plans::plan(vec![parallel("p", Some(0), vec![policy("q", FailureAction::RequestOverride), work("w")])]);
    vec![ranges, times, empty, odd]
}

fn plans_range(start: i64, end: i64, step: i64) -> packtrail::domain::taskpack::LoopItems {
    packtrail::domain::taskpack::LoopItems::Range { start, end, step }
}

#[test]
fn nothing_panics_whatever_the_numbers_are() {
    for plan in extreme_plans() {
        for now in [i64::MIN, -1, 0, i64::MAX] {
            let (mut run, _) = Run::create(&plan, "", now);
            for n in [0, 1, 2, run.steps.len(), usize::MAX] {
                for later in [i64::MIN, now, i64::MAX] {
                    let failed = Completed::Failed { error: "\0".repeat(3), is_retryable: true };
                    for command in [
                        Command::Start(n),
                        Command::Complete(n, failed.clone()),
                        Command::Start(n),
                        Command::Complete(n, Completed::Succeeded(json!([[[null]]]))),
                        Command::Tick,
                    ] {
                        let _ = command.apply(&plan, &mut run, later);
                        let _ = run.waiting(&plan, later);
                    }
                }
            }
            for approval in ["", "a", "p", "q", "::", "ü"] {
                let decision = Decision::Approved;
                let approval = approval.to_owned();
                let _ = Command::Decide { approval, decision, hash: "", is_granted: true }.apply(&plan, &mut run, now);
            }
            let _ = Command::Cancel.apply(&plan, &mut run, now.saturating_add(SECOND));
        }
    }
}

#[test]
fn a_history_is_told_by_its_seed() {
    let told = |seed| {
        let history: History = histories::history(seed);
        history.effects().cloned().collect::<Vec<_>>()
    };
    for seed in 0..5 {
        assert_eq!(told(seed), told(seed));
    }
}
