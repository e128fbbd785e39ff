//! Random histories: a random plan, and what workers, people and the time do to a run of it. A history is
//! told by its seed alone.

use packtrail::domain::run::{ApprovalStatus, Completed, Decide, Decision, Effects, Refusal, Run, StepStatus, Waiting};
use packtrail::domain::taskpack::{Plan, StepKind};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::plans;

pub const HASH: &str = "sha256:aaaa";
pub const SECOND: i64 = 1_000_000;
/// When histories begin.
pub const START: i64 = 1_800_000_000 * SECOND;
/// How many random commands a history has before a diligent driver ends it.
const COMMANDS: usize = 25;
/// How many histories each test looks at, unless `PACKTRAIL_TEST_RUNS` says otherwise.
const HISTORIES: u64 = 150;

/// What is done to a run.
#[derive(Debug, Clone)]
pub enum Command {
    Start(usize),
    Complete(usize, Completed),
    Release(usize),
    Expire(usize),
    Decide { approval: String, decision: Decision, hash: &'static str, is_granted: bool },
    Cancel,
    Tick,
}

/// What came of it: whether a start gave parameters, whether a decision resumed the run.
pub type Answer = Result<Option<bool>, Refusal>;

impl Command {
    pub fn apply(&self, plan: &Plan, run: &mut Run, now: i64) -> (Answer, Effects) {
        let done = match self {
            Self::Start(n) => run.start(plan, *n, None, now).map(|(given, effects)| (Some(given.is_some()), effects)),
            Self::Complete(n, ended) => run.complete(plan, *n, ended.clone(), now).map(|effects| (None, effects)),
            Self::Release(n) => run.release(plan, *n, now).map(|effects| (None, effects)),
            Self::Expire(n) => run.expire(plan, *n, "lease-expired", now).map(|effects| (None, effects)),
            Self::Decide { approval, decision, hash, is_granted } => {
                let has_grant = |_: &str| *is_granted;
                run.decide(plan, HASH, &asking(approval, *decision, hash, &has_grant), now)
                    .map(|(decided, effects)| (Some(decided.resumed), effects))
            }
            Self::Cancel => run.cancel(plan, "ann", now).map(|effects| (None, effects)),
            Self::Tick => Ok((None, run.tick(plan, now))),
        };
        match done {
            Ok((answer, effects)) => (Ok(answer), effects),
            Err(refusal) => (Err(refusal), Effects::default()),
        }
    }
}

pub fn asking<'a>(
    approval: &'a str,
    decision: Decision,
    plan_hash: &'a str,
    has_grant: &'a (dyn Fn(&str) -> bool + Sync),
) -> Decide<'a> {
    Decide { approval, decision, plan_hash, actor: "ann", claimed_actor: None, summary: None, has_grant }
}

/// One command of a history.
pub struct Moment {
    pub command: Command,
    pub now: i64,
    pub before: Run,
    pub after: Run,
    pub answer: Answer,
    pub effects: Effects,
}

pub struct History {
    pub seed: u64,
    pub plan: Plan,
    pub created: Run,
    pub first_effects: Effects,
    pub moments: Vec<Moment>,
    /// How many of the moments were the driver's.
    pub driven: usize,
}

impl History {
    /// The effects of all commands, from the creation on.
    pub fn effects(&self) -> impl Iterator<Item = &Effects> {
        [&self.first_effects].into_iter().chain(self.moments.iter().map(|moment| &moment.effects))
    }

    /// The run after each command, from the creation on.
    pub fn states(&self) -> impl Iterator<Item = &Run> {
        [&self.created].into_iter().chain(self.moments.iter().map(|moment| &moment.after))
    }

    pub fn last(&self) -> &Run {
        self.moments.last().map_or(&self.created, |moment| &moment.after)
    }

    fn apply(&mut self, command: Command, now: i64) {
        let before = self.last().clone();
        let mut after = before.clone();
        let (answer, effects) = command.apply(&self.plan, &mut after, now);
        self.moments.push(Moment { command, now, before, after, answer, effects });
    }
}

pub fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("PACKTRAIL_TEST_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(HISTORIES)
}

pub fn all() -> impl Iterator<Item = History> {
    seeds().map(history)
}

pub fn history(seed: u64) -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let plan = plans::random(&mut rng);
    let mut now = START;
    let (created, first_effects) = Run::create(&plan, HASH, now);
    let mut history = History { seed, plan, created, first_effects, moments: Vec::new(), driven: 0 };
    for _ in 0..rng.random_range(0..COMMANDS) {
        now += if rng.random_bool(0.05) { -3 * SECOND } else { rng.random_range(0..4) * SECOND };
        let command = command(&history.plan, history.last(), now, &mut rng);
        history.apply(command, now);
    }
    drive(&mut history, now, &mut rng);
    // A run that has ended is knocked at, too.
    for _ in 0..3 {
        now += 1000 * SECOND;
        let command = command(&history.plan, history.last(), now, &mut rng);
        history.apply(command, now);
    }
    history
}

/// Does what the run waits for, until it has ended.
fn drive(history: &mut History, mut now: i64, rng: &mut ChaCha8Rng) {
    now = now.max(history.last().updated_at);
    let bound = history.moments.len() + 4000;
    while !history.last().status.is_terminal() {
        assert!(history.moments.len() < bound, "seed {}: it does not end", history.seed);
        let run = history.last();
        let waiting = run.waiting(&history.plan, now);
        let working = working(run).first().copied();
        let command = match waiting.iter().find(|(_, waiting)| is_doable(waiting)) {
            Some((n, Waiting::Worker(_))) => Command::Start(*n),
            Some((_, Waiting::Approval(id))) if is_late(run, id, now) => Command::Tick,
            Some((_, Waiting::Approval(id))) => {
                Command::Decide { approval: id.clone(), decision: Decision::Approved, hash: HASH, is_granted: true }
            }
            Some(_) => unreachable!(),
            None => match (working, waiting.iter().find_map(|(_, waiting)| until(waiting))) {
                (Some(n), _) if is_policy(&history.plan, run, n) => {
                    Command::Complete(n, Completed::Succeeded(json!({"allowed": true})))
                }
                (Some(n), _) => Command::Complete(n, Completed::Succeeded(outputs(rng))),
                (None, Some(at)) => {
                    now = at;
                    continue;
                }
                (None, None) => panic!("seed {}: nothing can be done: {waiting:?}\n{run:#?}", history.seed),
            },
        };
        history.apply(command, now);
        history.driven += 1;
        let moment = history.moments.last().unwrap();
        assert!(moment.answer.is_ok(), "seed {}: {:?}: {:?}", history.seed, moment.command, moment.answer);
    }
}

fn is_late(run: &Run, approval: &str, now: i64) -> bool {
    run.approvals[approval].expires_at.is_some_and(|at| at <= now)
}

fn is_doable(waiting: &Waiting) -> bool {
    matches!(waiting, Waiting::Worker(_) | Waiting::Approval(_))
}

fn until(waiting: &Waiting) -> Option<i64> {
    if let Waiting::Backoff(at) = waiting { Some(*at) } else { None }
}

/// The steps that workers have.
pub fn working(run: &Run) -> Vec<usize> {
    let steps = run.steps.iter().enumerate();
    // Containers are running too, but hold others.
    let has_inner = |n: usize| run.steps.iter().any(|step| step.parent == Some(n));
    steps.filter(|(n, step)| step.status == StepStatus::Running && !has_inner(*n)).map(|(n, _)| n).collect()
}

fn command(plan: &Plan, run: &Run, now: i64, rng: &mut ChaCha8Rng) -> Command {
    let any = rng.random_range(0..=run.steps.len());
    let pick = |from: Vec<usize>, rng: &mut ChaCha8Rng| {
        if from.is_empty() { any } else { from[rng.random_range(0..from.len())] }
    };
    match rng.random_range(0..100) {
        0..=34 => {
            let ready = run.waiting(plan, now).into_iter().filter(|(_, waiting)| matches!(waiting, Waiting::Worker(_)));
            Command::Start(pick(ready.map(|(n, _)| n).collect(), rng))
        }
        35..=39 => Command::Start(any),
        40..=63 => Command::Complete(pick(working(run), rng), ended(rng)),
        64 | 65 => Command::Release(pick(working(run), rng)),
        66..=68 => Command::Expire(pick(working(run), rng)),
        69..=71 => Command::Complete(any, ended(rng)),
        72..=89 => decision(plan, run, rng),
        90 | 91 => Command::Cancel,
        _ => Command::Tick,
    }
}

fn is_policy(plan: &Plan, run: &Run, n: usize) -> bool {
    matches!(packtrail::domain::run::planned(plan, &run.steps[n].path).kind, StepKind::GatePolicy { .. })
}

fn decision(plan: &Plan, run: &Run, rng: &mut ChaCha8Rng) -> Command {
    let overrides = run.steps.iter().filter(|step| {
        let planned = packtrail::domain::run::planned(plan, &step.path);
        matches!(planned.kind, StepKind::GatePolicy { .. })
    });
    let mut ids: Vec<String> = overrides.map(|step| step.id.clone()).collect();
    ids.extend(["a0", "a1", "a2", "a0", "a1", "a2", "nobody"].map(ToOwned::to_owned));
    let waiting = run.approvals.iter().filter(|(_, approval)| approval.status == ApprovalStatus::Waiting);
    let waiting: Vec<String> = waiting.map(|(id, _)| id.clone()).collect();
    if !waiting.is_empty() && rng.random_bool(0.6) {
        ids = waiting;
    }
    let approval = ids[rng.random_range(0..ids.len())].clone();
    let decision = match rng.random_range(0..10) {
        0 | 1 => Decision::Rejected,
        2 => Decision::Expired,
        _ => Decision::Approved,
    };
    let hash = if rng.random_bool(0.1) { "sha256:bbbb" } else { HASH };
    Command::Decide { approval, decision, hash, is_granted: rng.random_bool(0.85) }
}

fn ended(rng: &mut ChaCha8Rng) -> Completed {
    match rng.random_range(0..10) {
        0..=6 => Completed::Succeeded(outputs(rng)),
        7 | 8 => Completed::Failed { error: "boom".to_owned(), is_retryable: true },
        _ => Completed::Failed { error: "hopeless".to_owned(), is_retryable: false },
    }
}

fn outputs(rng: &mut ChaCha8Rng) -> Value {
    match rng.random_range(0..8) {
        0 => Value::Null,
        1 => json!("text"),
        2 => json!({"list": "no list"}),
        _ => {
            let list: Vec<u32> = (0..rng.random_range(0..4)).collect();
            json!({"ok": rng.random_bool(0.6), "allowed": rng.random_bool(0.6), "list": list})
        }
    }
}
