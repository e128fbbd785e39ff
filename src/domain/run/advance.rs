//! How far a run goes by itself: conditions, gates, loops, branches, ends.

use serde_json::{Map, Value};

use super::build::{size, unrolled_bytes};
use super::{ApprovalStatus, Decision, LogLevel, MAX_GATHERED, MAX_STEPS, Machine, StepStatus, Transition};
use crate::domain::taskpack::{Aggregation, LoopItems, MAX_PLAN_BYTES, StepKind};

/// The reason of a step that waits for a decision, as the contract's example has it.
pub(super) const AWAITING: &str = "awaiting-approval";

/// The reason of what a failure elsewhere kept from running.
const ABORTED: &str = "run-aborted";

impl Machine<'_> {
    /// Lets the run go on until a worker, a person or the time must do something.
    pub(super) fn advance(&mut self) {
        let top = self.children(None).to_vec();
        self.reach_lane(&top);
        if self.run.is_aborted {
            self.abort(&top);
        }
        self.capture();
        self.end();
    }

    /// Skips what has not begun, and ends the containers whose last step has ended. Nobody is asked any
    /// more: no answer could let the run go on.
    fn abort(&mut self, top: &[usize]) {
        for n in 0..self.run.steps.len() {
            if self.step(n).status == StepStatus::Pending {
                self.skip_one(n, ABORTED);
            }
        }
        self.void_approvals();
        for n in top {
            self.settle_within(*n);
        }
    }

    fn reach_lane(&mut self, lane: &[usize]) {
        for n in lane {
            if self.run.is_aborted {
                return;
            }
            if !self.step(*n).status.is_terminal() {
                self.reach(*n);
            }
            if !self.step(*n).status.is_terminal() {
                return;
            }
        }
    }

    /// The turn of a step has come, or it goes on.
    fn reach(&mut self, n: usize) {
        if !self.step(n).is_reached {
            self.run.steps[n].is_reached = true;
            if !self.passes(n) {
                return;
            }
            self.open(n);
        }
        if self.step(n).status.is_terminal() {
            return;
        }
        for lane in self.lanes(Some(n)) {
            self.reach_lane(&lane);
        }
        self.settle(n);
    }

    /// Whether the condition of a step lets it run; if not, it is skipped, or fails.
    fn passes(&mut self, n: usize) -> bool {
        let planned = self.planned(n);
        let Some(when) = planned.when.as_deref().filter(|_| planned.condition_requires_runtime()) else {
            return true;
        };
        match self.holds(n, when) {
            Ok(true) => true,
            Ok(false) => {
                self.skip(n, "condition-false");
                false
            }
            Err(error) => {
                self.fail(n, &format!("condition-failed: {error}"));
                false
            }
        }
    }

    /// What happens once when the turn of a step has come.
    fn open(&mut self, n: usize) {
        match self.kind(n) {
            StepKind::GateApproval { approval_id, .. } => self.arrive(n, approval_id),
            StepKind::Loop { .. } => self.open_loop(n),
            StepKind::Conditional { .. } => self.choose(n),
            StepKind::Run { .. }
            | StepKind::GatePolicy { .. }
            | StepKind::Parallel { .. }
            | StepKind::Map { .. }
            | StepKind::Unknown => {}
        }
    }

    /// A gate begins to wait for an approval, unless that is decided already.
    pub(super) fn arrive(&mut self, n: usize, id: &str) {
        let Some(approval) = self.run.approvals.get_mut(id) else {
            return self.fail(n, "unknown-approval");
        };
        if let Some(decided) = &approval.decided {
            let decision = decided.decision;
            return self.pass(n, id, decision);
        }
        if approval.status == ApprovalStatus::NotRequested {
            let expires_after = self.plan.approvals.iter().find(|a| a.id == id).and_then(|a| a.expires_after);
            approval.status = ApprovalStatus::Waiting;
            approval.requested_at = Some(self.now);
            approval.expires_at =
                expires_after.map(|seconds| self.now.saturating_add(seconds.saturating_mul(1_000_000)));
        }
        self.run.steps[n].reason = Some(AWAITING.to_owned());
        let metadata = [("approvalId", id.to_owned())];
        self.log(LogLevel::Warn, "gate.awaiting", format!("Awaiting approval: {id}"), Some(n), &metadata);
    }

    /// A decision reaches a gate.
    pub(super) fn pass(&mut self, n: usize, id: &str, decision: Decision) {
        let metadata = [("approvalId", id.to_owned()), ("decision", decision.word().to_owned())];
        if decision == Decision::Approved {
            self.log(LogLevel::Info, "gate.approved", format!("Approved: {id}"), Some(n), &metadata);
            self.enter(n);
            self.transit(n, StepStatus::Succeeded, None);
        } else {
            let message = if decision == Decision::Rejected { "Rejected" } else { "Expired" };
            self.log(LogLevel::Error, "gate.rejected", format!("{message}: {id}"), Some(n), &metadata);
            self.fail(n, &format!("approval-{}", decision.word()));
        }
    }

    fn open_loop(&mut self, n: usize) {
        let StepKind::Loop { items, max_iterations, body, .. } = self.kind(n) else { return };
        let items = match items {
            LoopItems::Expression(text) => match self.value(Some(n), text) {
                Ok(Value::Array(items)) => items,
                Ok(_) => return self.fail(n, "items-not-an-array"),
                Err(error) => return self.fail(n, &format!("items-failed: {error}")),
            },
            LoopItems::Range { start, step, .. } => {
                let count = items.count().unwrap_or(0).min(u64::from(*max_iterations) + 1);
                let numbers = (0..count).map(|i| i128::from(*start) + i128::from(i) * i128::from(*step));
                numbers.filter_map(|number| i64::try_from(number).ok()).map(Value::from).collect()
            }
            LoopItems::Static(items) => match self.render(Some(n), &Value::Array(items.clone())) {
                Ok(Value::Array(items)) => items,
                _ => return self.fail(n, "items-failed"),
            },
        };
        if items.len() > usize::try_from(*max_iterations).unwrap_or(usize::MAX) {
            return self.fail(n, "too-many-iterations");
        }
        let each: usize = body.iter().map(size).sum();
        if self.run.steps.len() + items.len().saturating_mul(each) > MAX_STEPS {
            return self.fail(n, "too-many-steps");
        }
        let bytes = unrolled_bytes(&self.step(n).scope, body, &items);
        if self.run.unrolled_bytes.saturating_add(bytes) > MAX_PLAN_BYTES {
            return self.fail(n, "iterations-too-large");
        }
        self.run.unrolled_bytes += bytes;
        self.unroll(n, items);
    }

    /// Takes the first branch whose condition holds, and skips the others.
    fn choose(&mut self, n: usize) {
        let StepKind::Conditional { branches, .. } = self.kind(n) else { return };
        let mut taken = branches.len();
        for (lane, branch) in branches.iter().enumerate() {
            match self.holds(n, &branch.condition) {
                Ok(true) => {
                    taken = lane;
                    break;
                }
                Ok(false) => {}
                Err(error) => return self.fail(n, &format!("condition-failed: {error}")),
            }
        }
        for child in self.children(Some(n)).to_vec() {
            if self.step(child).lane != taken {
                self.skip(child, "branch-not-taken");
            }
        }
    }

    /// Settles the containers below a step, the inner ones first, and the step itself.
    fn settle_within(&mut self, n: usize) {
        if self.step(n).status.is_terminal() {
            return;
        }
        for child in self.children(Some(n)).to_vec() {
            self.settle_within(child);
        }
        self.settle(n);
    }

    /// Ends a container whose steps have all ended.
    fn settle(&mut self, n: usize) {
        let is_leaf = matches!(
            self.kind(n),
            StepKind::Run { .. } | StepKind::GateApproval { .. } | StepKind::GatePolicy { .. } | StepKind::Unknown
        );
        let children = self.children(Some(n));
        let is_open = children.iter().any(|child| !self.step(*child).status.is_terminal());
        if is_leaf || is_open || !self.step(n).is_reached || self.step(n).status.is_terminal() {
            return;
        }
        if children.iter().any(|child| self.is_fatal(*child)) {
            return self.fail(n, "step-failed");
        }
        let is_cut_short = |child: &usize| {
            let child = self.step(*child);
            child.status == StepStatus::Skipped && child.reason.as_deref() == Some(ABORTED)
        };
        if children.iter().any(is_cut_short) {
            return self.skip_one(n, ABORTED);
        }
        match self.gather(n) {
            Ok(outputs) => {
                self.enter(n);
                if self.step(n).status == StepStatus::Pending {
                    self.begin(n);
                }
                self.succeed(n, outputs);
            }
            Err(reason) => self.fail(n, reason),
        }
    }

    /// Whether a step failed in a way that ends the run: a gate that was denied is never tolerated.
    fn is_fatal(&self, n: usize) -> bool {
        let is_gate = matches!(self.kind(n), StepKind::GateApproval { .. } | StepKind::GatePolicy { .. });
        self.step(n).status == StepStatus::Failed && (is_gate || !self.step(n).continue_on_error)
    }

    /// What a container gives: what its steps gave.
    fn gather(&self, n: usize) -> Result<Option<Value>, &'static str> {
        let given = |child: &usize| self.step(*child).outputs.clone().unwrap_or(Value::Null);
        let children = self.children(Some(n));
        let outputs = match self.kind(n) {
            StepKind::Map { .. } => Some(results(children.iter().map(given).collect())),
            StepKind::Loop { aggregation, body, .. } => {
                let ends = children.chunks(body.len().max(1)).map(|iteration| {
                    let last = iteration.iter().rfind(|child| self.step(**child).status == StepStatus::Succeeded);
                    last.map_or(Value::Null, given)
                });
                aggregate(*aggregation, ends.collect())
            }
            StepKind::Conditional { output_union: true, .. } => Some(union(children.iter().map(given))),
            _ => None,
        };
        let size = outputs.as_ref().map_or(0, |outputs| outputs.to_string().len());
        if size > MAX_GATHERED { Err("outputs-too-large") } else { Ok(outputs) }
    }

    /// The containers around a step have begun, with its first step.
    pub(super) fn enter(&mut self, n: usize) {
        if self.run.started_at.is_none() {
            self.run.started_at = Some(self.now);
            self.log(LogLevel::Info, "run.started", "Run started.".to_owned(), None, &[]);
        }
        let mut around = Vec::new();
        let mut parent = self.step(n).parent;
        while let Some(n) = parent {
            around.push(n);
            parent = self.step(n).parent;
        }
        for n in around.into_iter().rev() {
            if self.step(n).status == StepStatus::Pending {
                self.begin(n);
            }
        }
    }

    /// A step begins an attempt.
    pub(super) fn begin(&mut self, n: usize) {
        let step = &mut self.run.steps[n];
        step.attempts += 1;
        self.transit(n, StepStatus::Running, None);
        let id = self.step(n).id.clone();
        let attempt = [("attempt", self.step(n).attempts.to_string())];
        self.log(LogLevel::Info, "step.started", format!("Starting step: {id}"), Some(n), &attempt);
    }

    /// A step fails for good. If that is not tolerated, nothing begins any more; what is pending then is
    /// skipped once the run advances, so that all gates of a denied approval have its reason.
    pub(super) fn fail(&mut self, n: usize, reason: &str) {
        self.enter(n);
        self.transit(n, StepStatus::Failed, Some(reason));
        let step = self.step(n);
        let message = format!("Step failed: {}: {reason}", step.id);
        let attempt = [("attempt", step.attempts.to_string()), ("reason", reason.to_owned())];
        self.log(LogLevel::Error, "step.failed", message, Some(n), &attempt);
        for child in self.children(Some(n)).to_vec() {
            self.skip(child, "parent-failed");
        }
        self.run.is_aborted |= self.is_fatal(n);
    }

    /// Skips a step and all within that has not ended.
    pub(super) fn skip(&mut self, n: usize, reason: &str) {
        self.skip_one(n, reason);
        for child in self.children(Some(n)).to_vec() {
            self.skip(child, if reason == "condition-false" { "parent-skipped" } else { reason });
        }
    }

    pub(super) fn skip_one(&mut self, n: usize, reason: &str) {
        if self.step(n).status.is_terminal() {
            return;
        }
        self.transit(n, StepStatus::Skipped, Some(reason));
        let id = self.step(n).id.clone();
        let metadata = [("reason", reason.to_owned())];
        self.log(LogLevel::Info, "step.skipped", format!("Step skipped: {id}"), Some(n), &metadata);
    }

    /// Moves a step, and notes that.
    pub(super) fn transit(&mut self, n: usize, to: StepStatus, reason: Option<&str>) {
        let (now, cause) = (self.now, self.cause);
        let step = &mut self.run.steps[n];
        let transition = Transition {
            step: n,
            id: step.id.clone(),
            from: step.status,
            to,
            at: now,
            cause: cause.to_owned(),
            reason: reason.map(ToOwned::to_owned),
        };
        step.status = to;
        step.reason = reason.map(ToOwned::to_owned);
        step.next_attempt_at = None;
        step.last_transition_at = Some(now);
        self.run.updated_at = now;
        self.run.moved += 1;
        self.effects.transitions.push(transition);
    }

    /// Nobody is asked any more.
    pub(super) fn void_approvals(&mut self) {
        for approval in self.run.approvals.values_mut().filter(|approval| approval.decided.is_none()) {
            approval.status = ApprovalStatus::Void;
        }
    }

    /// Ends the run when all its steps have ended.
    fn end(&mut self) {
        let is_over = self.run.steps.iter().all(|step| step.status.is_terminal());
        if !is_over || self.run.ended_at.is_some() || self.run.is_cancelled {
            return;
        }
        self.run.ended_at = Some(self.now);
        self.run.updated_at = self.now;
        self.capture_rest();
        self.void_approvals();
        if self.run.is_aborted {
            self.log(LogLevel::Error, "run.failed", "Run failed.".to_owned(), None, &[]);
        } else {
            self.log(LogLevel::Info, "run.completed", "Run completed.".to_owned(), None, &[]);
        }
    }
}

fn results(values: Vec<Value>) -> Value {
    Value::Object(Map::from_iter([("results".to_owned(), Value::Array(values))]))
}

fn aggregate(aggregation: Aggregation, mut values: Vec<Value>) -> Option<Value> {
    match aggregation {
        Aggregation::Collect => Some(results(values)),
        Aggregation::Merge => Some(union(values.into_iter())),
        Aggregation::Last => values.pop(),
        Aggregation::First => values.into_iter().next(),
        Aggregation::None => None,
    }
}

/// One object of the members of all; of a name that comes twice, the later value.
fn union(values: impl Iterator<Item = Value>) -> Value {
    let mut members = Map::new();
    for value in values {
        if let Value::Object(more) = value {
            members.extend(more);
        }
    }
    Value::Object(members)
}
