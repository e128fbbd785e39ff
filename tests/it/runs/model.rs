//! The machine against the naive model, after every command.

use packtrail::domain::run::{Completed, Run, Waiting};

use super::histories::{self, Answer, Command, HASH, History, START, asking};
use super::naive::Naive;

#[test]
fn the_machine_and_the_naive_model_agree_after_every_command() {
    for history in histories::all() {
        let mut naive = Naive::create(&history.plan, HASH, START);
        compare(&history, "created", &history.created, &naive);
        for (i, moment) in history.moments.iter().enumerate() {
            let answer = apply(&mut naive, &moment.before, &moment.command, moment.now);
            let at = format!("command {i}: {:?} at {}", moment.command, moment.now - START);
            assert_eq!(moment.answer, answer, "seed {}, {at}", history.seed);
            compare(&history, &at, &moment.after, &naive);
        }
    }
}

#[test]
fn the_histories_of_these_tests_reach_what_they_are_about() {
    let (mut ends, mut reasons, mut waits) = (Vec::new(), Vec::new(), [0; 3]);
    for history in histories::all() {
        ends.push(history.states().find(|run| run.status.is_terminal()).unwrap().status);
        let moves = history.effects().flat_map(|effects| &effects.transitions);
        reasons.extend(moves.filter_map(|transition| transition.reason.clone()));
        for (_, waiting) in history.states().flat_map(|run| run.waiting(&history.plan, run.updated_at)) {
            match waiting {
                Waiting::Backoff(_) => waits[0] += 1,
                Waiting::Place(_) => waits[1] += 1,
                Waiting::Approval(_) => waits[2] += 1,
                _ => {}
            }
        }
    }
    ends.sort();
    ends.dedup();
    assert_eq!(ends.len(), 3, "runs end in every way: {ends:?}");
    let expected = [
        "approval-rejected",
        "approval-expired",
        "branch-not-taken",
        "cancelled",
        "condition-false",
        "items-not-an-array",
        "parent-skipped",
        "policy-denied",
        "policy-not-evaluated: lease-expired",
        "lease-expired",
        "run-aborted",
        "step-failed",
        "boom",
        "hopeless",
    ];
    for reason in expected {
        assert!(reasons.iter().any(|found| found == reason), "no step came to {reason}");
    }
    assert!(waits.iter().all(|count| *count > 0), "{waits:?}");
}

fn apply(naive: &mut Naive, run: &Run, command: &Command, now: i64) -> Answer {
    let id = |n: usize| run.steps.get(n).map_or("no such step", |step| step.id.as_str());
    match command {
        Command::Start(n) => naive.start(id(*n), now).map(Some),
        Command::Complete(n, ended) => naive.complete(id(*n), ended, now).map(|()| None),
        Command::Release(n) => naive.release(id(*n), now).map(|()| None),
        Command::Expire(n) => {
            let expired = Completed::Failed { error: "lease-expired".to_owned(), is_retryable: true };
            naive.complete(id(*n), &expired, now).map(|()| None)
        }
        Command::Decide { approval, decision, hash, is_granted } => {
            let has_grant = |_: &str| *is_granted;
            naive.decide(&asking(approval, *decision, hash, &has_grant), now).map(|(_, resumed)| Some(resumed))
        }
        Command::Cancel => naive.cancel(now).map(|()| None),
        Command::Tick => {
            naive.tick(now);
            Ok(None)
        }
    }
}

fn compare(history: &History, at: &str, run: &Run, naive: &Naive) {
    let about = format!("seed {}, {at}", history.seed);
    assert_eq!(run.steps.len(), naive.nodes.len(), "{about}");
    for (n, step) in run.steps.iter().enumerate() {
        let node = &naive.nodes[naive.find(&step.id).unwrap()];
        let machine = (step.status, &step.reason, step.attempts, step.next_attempt_at, &step.outputs);
        let model = (node.status, &node.reason, node.attempts, node.next_attempt_at, &node.outputs);
        assert_eq!(machine, model, "step {n} {}, {about}", step.id);
    }
    for (id, approval) in &run.approvals {
        let model = &naive.approvals[id];
        let machine = approval.decided.as_ref().map(|decided| (decided.decision, decided.resumed));
        assert_eq!((approval.status, machine), (model.status, model.answer), "approval {id}, {about}");
        assert_eq!(approval.expires_at, model.expires_at, "approval {id}, {about}");
    }
    assert_eq!(run.status, naive.status(), "{about}");
}
