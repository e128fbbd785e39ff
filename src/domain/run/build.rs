//! The steps of a new run, and those of a loop that is unrolled.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::artifact::Artifact;
use super::{Approval, ApprovalStatus, Effects, LogLevel, Machine, Run, RunStatus, Step, StepStatus};
use crate::domain::taskpack::{FailureAction, Plan, PlanStep, Reason, StepKind};
use crate::domain::time::format_micros;

/// Where new steps go.
#[derive(Clone)]
struct Place {
    parent: Option<usize>,
    lane: usize,
    nth: usize,
    path: Vec<usize>,
    prefix: String,
    scope: Map<String, Value>,
    /// Whether what it is in tolerates failures.
    is_tolerated: bool,
}

impl Run {
    /// A new run of a plan, advanced as far as it goes by itself. `hash` is the hash of the plan.
    #[must_use]
    pub fn create(plan: &Plan, hash: &str, now: i64) -> (Self, Effects) {
        let declared =
            plan.approvals.iter().map(|approval| (approval.id.clone(), new_approval(approval.grants.clone())));
        let mut run = Self {
            steps: Vec::new(),
            approvals: declared.collect(),
            status: RunStatus::Pending,
            artifacts: plan.outputs.iter().map(Artifact::new).collect(),
            created_at: now,
            updated_at: now,
            started_at: None,
            ended_at: None,
            is_aborted: false,
            is_cancelled: false,
            logged: 0,
            moved: 0,
            unrolled_bytes: 0,
        };
        let mut machine = Machine::new(plan, &mut run, now);
        machine.cause = "created";
        let metadata = [("planHash", hash.to_owned()), ("requestedAt", format_micros(now))];
        machine.log(LogLevel::Info, "run.created", "Run created via API.".to_owned(), None, &metadata);
        let top = Place {
            parent: None,
            lane: 0,
            nth: 0,
            path: Vec::new(),
            prefix: String::new(),
            scope: Map::new(),
            is_tolerated: plan.failure.continue_on_error,
        };
        for (place, step) in plan.steps.iter().enumerate() {
            let path = vec![place];
            machine.add(step, &Place { nth: place, path, ..top.clone() }, &step.id);
        }
        machine.skip_disabled(0);
        machine.cause = "advance";
        machine.advance();
        let effects = machine.finish();
        (run, effects)
    }
}

fn new_approval(grants: Vec<String>) -> Approval {
    Approval { status: ApprovalStatus::NotRequested, grants, requested_at: None, expires_at: None, decided: None }
}

/// How many steps a planned step becomes, the bodies of its loops left out.
pub(super) fn size(step: &PlanStep) -> usize {
    match &step.kind {
        StepKind::Loop { .. } => 1,
        kind => 1 + kind.children().map(size).sum::<usize>(),
    }
}

/// How many bytes of iterators the steps of a loop hold once it is unrolled: each of them has all that are
/// around it.
pub(super) fn unrolled_bytes(scope: &Map<String, Value>, body: &[PlanStep], items: &[Value]) -> usize {
    if items.is_empty() {
        return 0;
    }
    let (steps, own): (usize, usize) = (body.iter().map(size).sum(), body.iter().map(scope_bytes).sum());
    let around = bytes_of(scope);
    let each = items.iter().map(|item| around.saturating_add(item.to_string().len()).saturating_mul(steps));
    each.fold(own.saturating_mul(items.len()), usize::saturating_add)
}

fn scope_bytes(step: &PlanStep) -> usize {
    let inner: usize = match &step.kind {
        StepKind::Loop { .. } => 0,
        kind => kind.children().map(scope_bytes).sum(),
    };
    bytes_of(&step.scope) + inner
}

fn bytes_of(scope: &Map<String, Value>) -> usize {
    scope.iter().map(|(name, value)| name.len() + value.to_string().len()).sum()
}

impl Machine<'_> {
    fn add(&mut self, planned: &PlanStep, at: &Place, id: &str) {
        let n = self.run.steps.len();
        let mut scope = at.scope.clone();
        scope.extend(planned.scope.clone());
        let continue_on_error = at.is_tolerated || planned.continue_on_error;
        if let StepKind::GatePolicy { failure_action: FailureAction::RequestOverride, .. } = &planned.kind {
            self.run.approvals.entry(id.to_owned()).or_insert_with(|| new_approval(Vec::new()));
        }
        self.run.steps.push(Step {
            id: id.to_owned(),
            prefix: at.prefix.clone(),
            parent: at.parent,
            lane: at.lane,
            place: at.nth,
            path: at.path.clone(),
            enabled: planned.enabled,
            continue_on_error,
            status: StepStatus::Pending,
            attempts: 0,
            reason: None,
            last_transition_at: None,
            next_attempt_at: None,
            is_reached: false,
            scope: scope.clone(),
            outputs: None,
        });
        self.index(n);
        for (k, child) in planned.kind.children().enumerate() {
            let mut path = at.path.clone();
            path.push(k);
            let inner = Place {
                parent: Some(n),
                lane: 0,
                nth: 0,
                path,
                prefix: at.prefix.clone(),
                scope: scope.clone(),
                is_tolerated: continue_on_error,
            };
            match &planned.kind {
                StepKind::Map { .. } => {
                    let prefix = format!("{id}[{k}]::");
                    let child_id = format!("{prefix}{}", child.template_id);
                    self.add(child, &Place { lane: k, prefix, ..inner }, &child_id);
                }
                StepKind::Parallel { .. } => {
                    let child_id = format!("{}{}", inner.prefix, child.template_id);
                    self.add(child, &Place { lane: k, ..inner }, &child_id);
                }
                StepKind::Conditional { .. } => {
                    let (lane, place) = branch_of(&planned.kind, k);
                    let child_id = format!("{}{}", inner.prefix, child.template_id);
                    self.add(child, &Place { lane, nth: place, ..inner }, &child_id);
                }
                // The body of a loop comes with its items.
                _ => {}
            }
        }
    }

    /// Adds the steps of each iteration of a loop.
    pub(super) fn unroll(&mut self, n: usize, items: Vec<Value>) {
        let StepKind::Loop { iterator, index, body, .. } = self.kind(n) else { return };
        let first = self.run.steps.len();
        let outer = self.step(n).clone();
        for (i, item) in items.into_iter().enumerate() {
            let prefix = format!("{}[{i}]::", outer.id);
            let mut scope = outer.scope.clone();
            scope.insert(iterator.clone(), item);
            scope.insert(index.clone(), Value::from(i));
            for (k, step) in body.iter().enumerate() {
                let mut path = outer.path.clone();
                path.push(k);
                let place = Place {
                    parent: Some(n),
                    lane: 0,
                    nth: i * body.len() + k,
                    path,
                    prefix: prefix.clone(),
                    scope: scope.clone(),
                    is_tolerated: outer.continue_on_error,
                };
                self.add(step, &place, &format!("{prefix}{}", step.template_id));
            }
        }
        self.skip_disabled(first);
    }

    /// Skips what the plan does not let run, from a step on.
    fn skip_disabled(&mut self, first: usize) {
        for n in first..self.run.steps.len() {
            if !self.step(n).enabled {
                let is_inner = self.planned(n).reason == Some(Reason::ParentSkipped);
                self.skip(n, if is_inner { "parent-skipped" } else { "condition-false" });
            }
        }
    }
}

/// The lane of the child of a conditional, and its place there.
fn branch_of(kind: &StepKind, k: usize) -> (usize, usize) {
    let StepKind::Conditional { branches, otherwise, .. } = kind else { return (0, k) };
    let lanes: BTreeMap<usize, usize> =
        branches.iter().map(|branch| branch.steps.len()).chain([otherwise.len()]).enumerate().collect();
    let mut rest = k;
    for (lane, len) in lanes {
        if rest < len {
            return (lane, rest);
        }
        rest -= len;
    }
    (0, rest)
}
