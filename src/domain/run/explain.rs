//! Where a run stands, and what each of its steps waits for.

use std::collections::HashMap;

use super::advance::AWAITING;
use super::{Machine, Run, RunStatus, Step, StepStatus};
use crate::domain::taskpack::{Plan, StepKind};

/// What a step that is pending waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// Another step, by its number, which comes before it or holds it.
    Step(usize),
    /// A decision of an approval.
    Approval(String),
    /// A worker that does what it uses; empty where that is not known.
    Worker(String),
    /// The time of its next attempt, microseconds.
    Backoff(i64),
    /// A free place in a container that bounds how much runs at once, by its number.
    Place(usize),
    /// The steps within it.
    Children,
}

/// The places of steps in a list that has each container before what is in it.
#[must_use]
pub fn preorder(steps: &[Step]) -> Vec<usize> {
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (n, step) in steps.iter().enumerate() {
        children.entry(step.parent).or_default().push(n);
    }
    for inner in children.values_mut() {
        inner.sort_by_key(|n| (steps[*n].lane, steps[*n].place));
    }
    let mut open: Vec<usize> = children.remove(&None).unwrap_or_default();
    open.reverse();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(n) = open.pop() {
        order.push(n);
        open.extend(children.remove(&Some(n)).unwrap_or_default().into_iter().rev());
    }
    order
}

/// A step that a worker can take, now or when its time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its number.
    pub n: usize,
    /// What does it.
    pub uses: String,
    /// Before when it is not tried again, microseconds.
    pub not_before: Option<i64>,
}

impl Run {
    /// The steps that workers can take, now or once their time has come.
    #[must_use]
    pub fn ready(&self, plan: &Plan) -> Vec<Ready> {
        if self.ended_at.is_some() || self.is_aborted {
            return Vec::new();
        }
        let mut run = self.clone();
        let machine = Machine::new(plan, &mut run, 0);
        let overview = machine.overview();
        let is_open = |n: &usize| machine.asks_workers(*n) && machine.step(*n).status == StepStatus::Pending;
        let found = (0..machine.run.steps.len()).filter(is_open).filter_map(|n| {
            let not_before = match machine.waits(n, &overview) {
                Waiting::Worker(_) => None,
                Waiting::Backoff(at) if machine.full(n, &overview).is_none() => Some(at),
                _ => return None,
            };
            Some(Ready { n, uses: machine.kind(n).uses()?.into_owned(), not_before })
        });
        found.collect()
    }

    /// What the steps of a run wait for: one for each that is pending, by its number.
    #[must_use]
    pub fn waiting(&self, plan: &Plan, now: i64) -> Vec<(usize, Waiting)> {
        let mut run = self.clone();
        let machine = Machine::new(plan, &mut run, now);
        let overview = machine.overview();
        let pending = (0..machine.run.steps.len()).filter(|n| machine.step(*n).status == StepStatus::Pending);
        pending.map(|n| (n, machine.waits(n, &overview))).collect()
    }

    /// The status where flags alone tell it.
    pub(super) fn plain_status(&self) -> Option<RunStatus> {
        match (self.ended_at, self.is_cancelled, self.is_aborted) {
            (None, ..) => None,
            (Some(_), true, _) => Some(RunStatus::Cancelled),
            (Some(_), false, true) => Some(RunStatus::Failed),
            (Some(_), false, false) => Some(RunStatus::Succeeded),
        }
    }
}

impl Machine<'_> {
    /// Where the run stands.
    pub(super) fn status(&self) -> RunStatus {
        if let Some(status) = self.run.plain_status() {
            return status;
        }
        let is_leaf = |n: &usize| self.asks_workers(*n);
        let is_at_work = |n: &usize| {
            let step = self.step(*n);
            step.status == StepStatus::Running || step.status == StepStatus::Pending && step.is_reached
        };
        let steps = 0..self.run.steps.len();
        let works = steps.clone().filter(is_leaf).any(|n| is_at_work(&n));
        let waits = steps.clone().any(|n| self.awaited(n).is_some());
        match (works, waits, self.run.started_at) {
            (false, true, _) => RunStatus::AwaitingApproval,
            (_, _, Some(_)) => RunStatus::Running,
            (_, _, None) => RunStatus::Pending,
        }
    }

    /// Whether a step is for workers: a policy until it is left to people.
    pub(super) fn asks_workers(&self, n: usize) -> bool {
        match self.kind(n) {
            StepKind::Run { .. } => true,
            StepKind::GatePolicy { .. } => self.step(n).reason.as_deref() != Some(AWAITING),
            _ => false,
        }
    }

    /// Whether a worker may take a step now.
    pub(super) fn is_startable(&self, n: usize) -> bool {
        self.asks_workers(n)
            && self.step(n).status == StepStatus::Pending
            && matches!(self.waits(n, &self.overview()), Waiting::Worker(_))
    }

    /// What a pending step waits for.
    fn waits(&self, n: usize, overview: &Overview) -> Waiting {
        let step = self.step(n);
        if !step.is_reached {
            return Waiting::Step(self.blocker(n, overview));
        }
        match self.kind(n) {
            StepKind::GateApproval { approval_id, .. } => Waiting::Approval(approval_id.clone()),
            StepKind::GatePolicy { .. } if !self.asks_workers(n) => Waiting::Approval(step.id.clone()),
            StepKind::Unknown => Waiting::Worker(String::new()),
            kind @ (StepKind::Run { .. } | StepKind::GatePolicy { .. }) => {
                match (step.next_attempt_at.filter(|at| *at > self.now), self.full(n, overview)) {
                    (Some(at), _) => Waiting::Backoff(at),
                    (None, Some(container)) => Waiting::Place(container),
                    (None, None) => Waiting::Worker(kind.uses().unwrap_or_default().into_owned()),
                }
            }
            _ => Waiting::Children,
        }
    }

    /// What comes before a step that was not reached: the step of its lane that has not ended, else the
    /// container around it.
    fn blocker(&self, n: usize, overview: &Overview) -> usize {
        let step = self.step(n);
        let first = overview.first_open.get(&(step.parent, step.lane)).copied();
        first.filter(|first| *first != n).or(step.parent).unwrap_or(n)
    }

    /// The container around a step that has no room for it: what counts is how many of its lanes have a
    /// step with a worker.
    fn full(&self, n: usize, overview: &Overview) -> Option<usize> {
        let mut child = n;
        while let Some(parent) = self.step(child).parent {
            let others = overview.busy[parent] - usize::from(overview.works[child]);
            let most = self.kind(parent).max_parallel();
            if most.is_some_and(|most| usize::try_from(most).is_ok_and(|most| others >= most)) {
                return Some(parent);
            }
            child = parent;
        }
        None
    }

    fn overview(&self) -> Overview {
        let count = self.run.steps.len();
        let mut overview =
            Overview { works: vec![false; count], busy: vec![0; count], first_open: HashMap::with_capacity(count) };
        for (n, step) in self.run.steps.iter().enumerate() {
            if step.status == StepStatus::Running && self.asks_workers(n) {
                self.note_work(n, &mut overview);
            }
            // The steps of a lane are numbered in their order.
            if !step.status.is_terminal() {
                overview.first_open.entry((step.parent, step.lane)).or_insert(n);
            }
        }
        overview
    }

    /// Notes that a worker has a step, with all that is around it.
    fn note_work(&self, n: usize, overview: &mut Overview) {
        let mut at = Some(n);
        while let Some(n) = at.filter(|n| !overview.works[*n]) {
            overview.works[n] = true;
            at = self.step(n).parent;
            if let Some(parent) = at {
                overview.busy[parent] += 1;
            }
        }
    }
}

/// What is known of all steps at once, so that asking what each one waits for does not count them again.
struct Overview {
    /// Whether a worker has the step, or one within it.
    works: Vec<bool>,
    /// How many of the steps directly within it are such.
    busy: Vec<usize>,
    /// The first step that has not ended of each lane, by container and number.
    first_open: HashMap<(Option<usize>, usize), usize>,
}
