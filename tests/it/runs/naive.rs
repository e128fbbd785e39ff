//! The rules of runs, told a second time and as plainly as possible: look for the first rule that applies
//! anywhere, apply it, and look again. It shares no code with the machine but the evaluation of expressions.

use std::collections::{BTreeMap, BTreeSet};

use packtrail::domain::run::{ApprovalStatus, Completed, Decide, Decision, Refusal, RunStatus, StepStatus};
use packtrail::domain::taskpack::{Aggregation, FailureAction, LoopItems, Plan, PlanStep, StepKind, template};
use serde_json::{Map, Value, json};

use StepStatus::{Failed, Pending, Running, Skipped, Succeeded};

/// A step, as far as the rules look at it.
#[derive(Debug)]
pub struct Node {
    pub id: String,
    step: PlanStep,
    parent: Option<usize>,
    /// What ids of its surroundings begin with, the innermost first; the last is empty.
    prefixes: Vec<String>,
    lanes: Vec<Vec<usize>>,
    scope: Map<String, Value>,
    is_tolerant: bool,
    pub status: StepStatus,
    pub attempts: u32,
    pub reason: Option<String>,
    pub next_attempt_at: Option<i64>,
    pub outputs: Option<Value>,
    had_its_turn: bool,
}

#[derive(Debug)]
pub struct Asked {
    pub status: ApprovalStatus,
    pub expires_at: Option<i64>,
    pub answer: Option<(Decision, bool)>,
    grants: Vec<String>,
    expires_after: Option<i64>,
}

/// A run.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "naive")]
pub struct Naive {
    plan: Plan,
    hash: String,
    pub nodes: Vec<Node>,
    top: Vec<usize>,
    pub approvals: BTreeMap<String, Asked>,
    is_aborted: bool,
    is_cancelled: bool,
    has_started: bool,
    is_over: bool,
    changed_at: i64,
    now: i64,
}

impl Naive {
    pub fn create(plan: &Plan, hash: &str, now: i64) -> Self {
        let asked = plan.approvals.iter().map(|a| (a.id.clone(), ask(a.grants.clone(), a.expires_after)));
        let mut run = Self {
            plan: plan.clone(),
            hash: hash.to_owned(),
            nodes: Vec::new(),
            top: Vec::new(),
            approvals: asked.collect(),
            is_aborted: false,
            is_cancelled: false,
            has_started: false,
            is_over: false,
            changed_at: now,
            now,
        };
        for step in &plan.steps {
            let top = run.add(step, None, &[String::new()], &Map::new());
            run.top.push(top);
        }
        run.go_on();
        run
    }

    pub fn status(&self) -> RunStatus {
        let is_gate_open = |n: &Node| n.asks_people() && n.status == Pending && n.had_its_turn;
        let is_worked_on =
            |n: &Node| n.asks_workers() && (n.status == Running || n.status == Pending && n.had_its_turn);
        if self.is_cancelled {
            RunStatus::Cancelled
        } else if self.is_over {
            if self.is_aborted { RunStatus::Failed } else { RunStatus::Succeeded }
        } else if self.nodes.iter().any(is_gate_open) && !self.nodes.iter().any(is_worked_on) {
            RunStatus::AwaitingApproval
        } else if self.has_started {
            RunStatus::Running
        } else {
            RunStatus::Pending
        }
    }

    fn add(
        &mut self,
        step: &PlanStep,
        parent: Option<usize>,
        prefixes: &[String],
        scope: &Map<String, Value>,
    ) -> usize {
        let n = self.nodes.len();
        let mut scope = scope.clone();
        scope.extend(step.scope.clone());
        let id = format!("{}{}", prefixes[0], step.template_id);
        let is_around = parent.map_or(self.plan.failure.continue_on_error, |parent| self.nodes[parent].is_tolerant);
        if let StepKind::GatePolicy { failure_action: FailureAction::RequestOverride, .. } = step.kind {
            self.approvals.insert(id.clone(), ask(Vec::new(), None));
        }
        self.nodes.push(Node {
            id: id.clone(),
            step: step.clone(),
            parent,
            prefixes: prefixes.to_vec(),
            lanes: Vec::new(),
            scope: scope.clone(),
            is_tolerant: is_around || step.continue_on_error,
            status: if step.enabled { Pending } else { Skipped },
            attempts: 0,
            reason: step.reason.map(|reason| serde_json::to_value(reason).unwrap().as_str().unwrap().to_owned()),
            next_attempt_at: None,
            outputs: None,
            had_its_turn: false,
        });
        let lanes = match &step.kind {
            StepKind::Parallel { steps, .. } => {
                steps.iter().map(|child| vec![self.add(child, Some(n), prefixes, &scope)]).collect()
            }
            StepKind::Map { steps, .. } => {
                let item = |i| [vec![format!("{id}[{i}]::")], prefixes.to_vec()].concat();
                let items = steps.iter().enumerate();
                items.map(|(i, child)| vec![self.add(child, Some(n), &item(i), &scope)]).collect()
            }
            StepKind::Conditional { branches, otherwise, .. } => {
                let lanes = branches.iter().map(|branch| &branch.steps).chain([otherwise]);
                let lanes: Vec<Vec<usize>> = lanes
                    .map(|steps| steps.iter().map(|child| self.add(child, Some(n), prefixes, &scope)).collect())
                    .collect();
                lanes
            }
            _ => Vec::new(),
        };
        self.nodes[n].lanes = lanes;
        n
    }

    /// Applies rules until none applies.
    fn go_on(&mut self) {
        while self.apply_one_rule() {}
    }

    fn apply_one_rule(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        if self.is_aborted {
            self.ask_nobody();
            if self.nodes.iter().any(|n| n.status == Pending) {
                self.skip_where("run-aborted", |n| n.status == Pending);
                return true;
            }
        }
        let preorder = self.preorder();
        if let Some(n) = preorder.iter().copied().find(|n| self.is_done(*n)) {
            self.close(n);
            return true;
        }
        if let Some(n) = preorder.iter().copied().find(|n| self.is_its_turn(*n)) {
            self.nodes[n].had_its_turn = true;
            self.open(n);
            return true;
        }
        if self.nodes.iter().all(|n| n.status.is_terminal()) {
            self.is_over = true;
            self.ask_nobody();
            return true;
        }
        false
    }

    fn preorder(&self) -> Vec<usize> {
        fn walk(run: &Naive, lane: &[usize], order: &mut Vec<usize>) {
            for n in lane {
                order.push(*n);
                run.nodes[*n].lanes.iter().for_each(|lane| walk(run, lane, order));
            }
        }
        let mut order = Vec::new();
        walk(self, &self.top, &mut order);
        order
    }

    /// Whether what comes before a step has ended, and what is around it goes on.
    fn is_its_turn(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        let lane = match node.parent {
            None => &self.top,
            Some(parent) => self.nodes[parent].lanes.iter().find(|lane| lane.contains(&n)).unwrap(),
        };
        let before = lane.iter().take_while(|other| **other != n);
        !self.is_aborted
            && !node.had_its_turn
            && node.status == Pending
            && node.parent.is_none_or(|p| self.nodes[p].had_its_turn && !self.nodes[p].status.is_terminal())
            && before.into_iter().all(|other| self.nodes[*other].status.is_terminal())
    }

    fn is_done(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        let mut inner = node.lanes.iter().flatten();
        node.is_container()
            && node.had_its_turn
            && !node.status.is_terminal()
            && inner.all(|child| self.nodes[*child].status.is_terminal())
    }

    fn open(&mut self, n: usize) {
        let step = self.nodes[n].step.clone();
        if let Some(when) = &step.when
            && step.condition_requires_runtime()
        {
            match template::condition(when, &self.known(n)) {
                Ok(true) => {}
                Ok(false) => return self.skip(n, "condition-false", "parent-skipped"),
                Err(error) => return self.fail(n, &format!("condition-failed: {error}")),
            }
        }
        match &step.kind {
            StepKind::GateApproval { approval_id, .. } => self.arrive(n, approval_id),
            StepKind::Loop { items, max_iterations, .. } => match self.items(n, items) {
                Err(reason) => self.fail(n, &reason),
                Ok(items) if items.len() > *max_iterations as usize => self.fail(n, "too-many-iterations"),
                Ok(items) => self.iterate(n, &step, items),
            },
            StepKind::Conditional { branches, .. } => {
                let known = self.known(n);
                let mut taken = branches.len();
                for (lane, branch) in branches.iter().enumerate() {
                    match template::condition(&branch.condition, &known) {
                        Ok(holds) if holds && taken == branches.len() => taken = lane,
                        Err(error) if taken == branches.len() => {
                            return self.fail(n, &format!("condition-failed: {error}"));
                        }
                        _ => {}
                    }
                }
                let lanes = self.nodes[n].lanes.clone();
                for child in lanes.iter().enumerate().filter(|(lane, _)| *lane != taken).flat_map(|(_, lane)| lane) {
                    self.skip(*child, "branch-not-taken", "branch-not-taken");
                }
            }
            _ => {}
        }
    }

    fn items(&self, n: usize, items: &LoopItems) -> Result<Vec<Value>, String> {
        match items {
            LoopItems::Range { start, end, step } => {
                let mut numbers = Vec::new();
                let mut at = *start;
                while (*step > 0 && at < *end) || (*step < 0 && at > *end) {
                    numbers.push(Value::from(at));
                    at += step;
                }
                Ok(numbers)
            }
            LoopItems::Static(values) => {
                match template::render(&Value::Array(values.clone()), &self.known(n)).map_err(|_| "items-failed")? {
                    Value::Array(items) => Ok(items),
                    _ => Err("items-failed".to_owned()),
                }
            }
            LoopItems::Expression(text) => match template::value(text, &self.known(n)) {
                Ok(Value::Array(items)) => Ok(items),
                Ok(_) => Err("items-not-an-array".to_owned()),
                Err(error) => Err(format!("items-failed: {error}")),
            },
        }
    }

    fn iterate(&mut self, n: usize, step: &PlanStep, items: Vec<Value>) {
        let StepKind::Loop { body, iterator, index, .. } = &step.kind else { unreachable!() };
        let mut lane = Vec::new();
        for (i, item) in items.into_iter().enumerate() {
            let prefixes = [vec![format!("{}[{i}]::", self.nodes[n].id)], self.nodes[n].prefixes.clone()].concat();
            let mut scope = self.nodes[n].scope.clone();
            scope.insert(iterator.clone(), item);
            scope.insert(index.clone(), Value::from(i));
            for inner in body {
                lane.push(self.add(inner, Some(n), &prefixes, &scope));
            }
        }
        self.nodes[n].lanes = vec![lane];
    }

    fn arrive(&mut self, n: usize, id: &str) {
        let now = self.now;
        let Some(asked) = self.approvals.get_mut(id) else { return self.fail(n, "unknown-approval") };
        if let Some((decision, _)) = asked.answer {
            self.answer(n, decision);
        } else {
            if asked.status == ApprovalStatus::NotRequested {
                asked.status = ApprovalStatus::Waiting;
                asked.expires_at = asked.expires_after.map(|seconds| now + seconds * 1_000_000);
            }
            self.nodes[n].reason = Some("awaiting-approval".to_owned());
        }
    }

    fn answer(&mut self, n: usize, decision: Decision) {
        if decision == Decision::Approved {
            self.begin_around(n);
            self.nodes[n].status = Succeeded;
            self.nodes[n].reason = None;
        } else {
            self.fail(n, &format!("approval-{}", decision.word()));
        }
    }

    /// Ends a container.
    fn close(&mut self, n: usize) {
        let children: Vec<usize> = self.nodes[n].lanes.concat();
        if children.iter().any(|child| self.is_fatal(*child)) {
            return self.fail(n, "step-failed");
        }
        if children.iter().any(|child| self.nodes[*child].reason.as_deref() == Some("run-aborted")) {
            self.nodes[n].status = Skipped;
            self.nodes[n].reason = Some("run-aborted".to_owned());
            return;
        }
        let outputs = self.gather(n, &children);
        self.begin_around(n);
        self.begin(n);
        self.nodes[n].status = Succeeded;
        self.nodes[n].outputs = outputs.filter(|outputs| !outputs.is_null());
    }

    fn gather(&self, n: usize, children: &[usize]) -> Option<Value> {
        let given = |child: usize| self.nodes[child].outputs.clone().unwrap_or(Value::Null);
        let merged = |values: Vec<Value>| {
            let members = values.iter().filter_map(Value::as_object).flatten();
            Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        match &self.nodes[n].step.kind {
            StepKind::Map { .. } => {
                Some(json!({"results": children.iter().map(|child| given(*child)).collect::<Vec<_>>()}))
            }
            StepKind::Conditional { output_union: true, .. } => {
                Some(merged(children.iter().map(|child| given(*child)).collect()))
            }
            StepKind::Loop { aggregation, body, .. } => {
                let last_of = |iteration: &[usize]| {
                    let good = iteration.iter().rev().find(|child| self.nodes[**child].status == Succeeded);
                    good.map_or(Value::Null, |child| given(*child))
                };
                let each: Vec<Value> =
                    if body.is_empty() { Vec::new() } else { children.chunks(body.len()).map(last_of).collect() };
                match aggregation {
                    Aggregation::Collect => Some(json!({"results": each})),
                    Aggregation::Merge => Some(merged(each)),
                    Aggregation::Last => each.last().cloned(),
                    Aggregation::First => each.first().cloned(),
                    Aggregation::None => None,
                }
            }
            _ => None,
        }
    }

    fn is_fatal(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        node.status == Failed && (node.is_gate() || !node.is_tolerant)
    }

    fn begin(&mut self, n: usize) {
        self.has_started = true;
        if self.nodes[n].status == Pending {
            self.nodes[n].status = Running;
            self.nodes[n].attempts += 1;
            self.nodes[n].reason = None;
            self.nodes[n].next_attempt_at = None;
        }
    }

    fn begin_around(&mut self, n: usize) {
        self.has_started = true;
        if let Some(parent) = self.nodes[n].parent {
            self.begin_around(parent);
            self.begin(parent);
        }
    }

    fn fail(&mut self, n: usize, reason: &str) {
        self.begin_around(n);
        self.nodes[n].status = Failed;
        self.nodes[n].reason = Some(reason.to_owned());
        for child in self.nodes[n].lanes.concat() {
            self.skip(child, "parent-failed", "parent-failed");
        }
        self.is_aborted |= self.is_fatal(n);
    }

    fn skip(&mut self, n: usize, reason: &str, inner_reason: &str) {
        if !self.nodes[n].status.is_terminal() {
            self.nodes[n].status = Skipped;
            self.nodes[n].reason = Some(reason.to_owned());
            self.nodes[n].next_attempt_at = None;
        }
        for child in self.nodes[n].lanes.concat() {
            self.skip(child, inner_reason, inner_reason);
        }
    }

    fn skip_where(&mut self, reason: &str, applies: impl Fn(&Node) -> bool) {
        for node in self.nodes.iter_mut().filter(|node| applies(node)) {
            node.status = Skipped;
            node.reason = Some(reason.to_owned());
            node.next_attempt_at = None;
        }
    }

    fn ask_nobody(&mut self) {
        for asked in self.approvals.values_mut().filter(|asked| asked.answer.is_none()) {
            asked.status = ApprovalStatus::Void;
        }
    }

    /// All that expressions of a step can see: of steps with one name, the one in the innermost iteration.
    fn known(&self, n: usize) -> Value {
        let node = &self.nodes[n];
        let mut steps = Map::new();
        for prefix in node.prefixes.iter().rev() {
            for other in &self.nodes {
                let name = other.id.strip_prefix(prefix.as_str()).filter(|rest| !rest.contains("::"));
                let outputs = other.outputs.clone().filter(|_| other.status == Succeeded);
                name.map(|name| steps.insert(name.to_owned(), json!({"outputs": outputs})));
            }
        }
        let mut known = node.scope.clone();
        known.insert("inputs".to_owned(), Value::Object(self.plan.inputs.clone()));
        known.insert("steps".to_owned(), Value::Object(steps));
        Value::Object(known)
    }

    // Commands.

    /// Sets the clock, which never goes back behind the last change.
    fn at(&mut self, now: i64) {
        self.now = now.max(self.changed_at);
    }

    fn changed(&mut self) {
        self.changed_at = self.now;
        self.go_on();
    }

    pub fn find(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// The lanes of a container in which a worker has a step.
    fn lanes_at_work(&self, container: usize) -> BTreeSet<usize> {
        let working = self.nodes.iter().enumerate().filter(|(_, node)| node.asks_workers() && node.status == Running);
        working.filter_map(|(n, _)| self.lane_within(container, n)).collect()
    }

    fn lane_within(&self, container: usize, n: usize) -> Option<usize> {
        let parent = self.nodes[n].parent?;
        if parent == container {
            self.nodes[parent].lanes.iter().position(|lane| lane.contains(&n))
        } else {
            self.lane_within(container, parent)
        }
    }

    fn may_start(&self, n: usize) -> bool {
        let node = &self.nodes[n];
        let mut around = std::iter::successors(node.parent, |n| self.nodes[*n].parent);
        let has_room = |container: usize| {
            let Some(most) = self.nodes[container].step.kind.max_parallel() else { return true };
            let mut lanes = self.lanes_at_work(container);
            lanes.extend(self.lane_within(container, n));
            lanes.len() <= most as usize
        };
        node.asks_workers()
            && node.status == Pending
            && node.had_its_turn
            && node.next_attempt_at.is_none_or(|at| at <= self.now)
            && around.all(has_room)
    }

    /// A worker takes a step: whether it has parameters.
    pub fn start(&mut self, id: &str, now: i64) -> Result<bool, Refusal> {
        self.at(now);
        let n = self.find(id).filter(|n| self.may_start(*n)).ok_or(Refusal::NotReady)?;
        let rendered = match &self.nodes[n].step.kind {
            StepKind::Run { with, .. } => template::render(with, &self.known(n)),
            _ => Ok(Value::Null),
        };
        match &rendered {
            Ok(_) => {
                self.begin_around(n);
                self.begin(n);
            }
            Err(error) => self.fail(n, &format!("unresolved-reference: {error}")),
        }
        self.changed();
        Ok(rendered.is_ok())
    }

    pub fn complete(&mut self, id: &str, ended: &Completed, now: i64) -> Result<(), Refusal> {
        self.at(now);
        let is_running = |n: &usize| self.nodes[*n].asks_workers() && self.nodes[*n].status == Running;
        let n = self.find(id).filter(is_running).ok_or(Refusal::NotRunning)?;
        if self.nodes[n].is_gate() {
            self.judge(n, ended)?;
            self.changed();
            return Ok(());
        }
        let policy = self.plan.failure.clone();
        match ended {
            Completed::Succeeded(outputs) => {
                self.nodes[n].outputs = Some(outputs.clone()).filter(|outputs| !outputs.is_null());
                self.nodes[n].status = Succeeded;
            }
            Completed::Failed { error, is_retryable: true }
                if self.nodes[n].attempts < policy.max_attempts && !self.is_aborted =>
            {
                self.nodes[n].status = Pending;
                self.nodes[n].reason = Some(error.clone());
                self.nodes[n].next_attempt_at = Some(self.now + i64::from(policy.backoff_seconds) * 1_000_000);
            }
            Completed::Failed { error, .. } => self.fail(n, error),
        }
        self.changed();
        Ok(())
    }

    /// A worker says what a policy says, or that it could not tell.
    fn judge(&mut self, n: usize, ended: &Completed) -> Result<(), Refusal> {
        let StepKind::GatePolicy { failure_action, retry_count, .. } = self.nodes[n].step.kind else { unreachable!() };
        let (reason, is_denied, may_ask_again) = match ended {
            Completed::Succeeded(verdict) => match verdict["allowed"] {
                Value::Bool(true) => {
                    self.nodes[n].outputs = Some(verdict.clone());
                    self.nodes[n].status = Succeeded;
                    return Ok(());
                }
                Value::Bool(false) => ("policy-denied".to_owned(), true, true),
                _ => return Err(Refusal::NoVerdict),
            },
            Completed::Failed { error, is_retryable } => {
                (format!("policy-not-evaluated: {error}"), false, *is_retryable)
            }
        };
        if self.is_aborted {
            self.fail(n, &reason);
        } else if may_ask_again && self.nodes[n].attempts <= retry_count {
            self.nodes[n].status = Pending;
            self.nodes[n].reason = Some(reason);
            self.nodes[n].next_attempt_at = Some(self.now + i64::from(self.plan.failure.backoff_seconds) * 1_000_000);
        } else if failure_action == FailureAction::RequestOverride {
            self.nodes[n].status = Pending;
            self.arrive(n, &self.nodes[n].id.clone());
        } else if failure_action == FailureAction::Warn && is_denied {
            let Completed::Succeeded(verdict) = ended else { unreachable!() };
            self.nodes[n].outputs = Some(verdict.clone());
            self.nodes[n].status = Succeeded;
        } else {
            self.fail(n, &reason);
        }
        Ok(())
    }

    /// A worker gives a step back as if it had never begun.
    pub fn release(&mut self, id: &str, now: i64) -> Result<(), Refusal> {
        self.at(now);
        let is_running = |n: &usize| self.nodes[*n].asks_workers() && self.nodes[*n].status == Running;
        let n = self.find(id).filter(is_running).ok_or(Refusal::NotRunning)?;
        self.nodes[n].status = Pending;
        self.nodes[n].attempts -= 1;
        self.changed();
        Ok(())
    }

    pub fn decide(&mut self, asked: &Decide, now: i64) -> Result<(Decision, bool), Refusal> {
        self.at(now);
        let approval = self.approvals.get(asked.approval).ok_or(Refusal::UnknownApproval)?;
        if approval.grants.iter().any(|grant| !(asked.has_grant)(grant)) {
            return Err(Refusal::MissingGrants);
        }
        if asked.plan_hash != self.hash {
            return Err(Refusal::PlanHashMismatch);
        }
        if let Some(first) = approval.answer {
            return if first.0 == asked.decision { Ok(first) } else { Err(Refusal::AlreadyDecided) };
        }
        if self.status().is_terminal() {
            return Err(Refusal::RunNotActive);
        }
        let is_late =
            approval.status == ApprovalStatus::Waiting && approval.expires_at.is_some_and(|at| at <= self.now);
        if is_late && asked.decision != Decision::Expired {
            return Err(Refusal::AlreadyDecided);
        }
        let is_waiting = approval.status == ApprovalStatus::Waiting;
        let answer = (asked.decision, is_waiting && asked.decision == Decision::Approved);
        self.note(asked.approval, answer);
        self.answer_gates();
        self.changed();
        Ok(answer)
    }

    fn note(&mut self, id: &str, answer: (Decision, bool)) {
        let asked = self.approvals.get_mut(id).unwrap();
        asked.answer = Some(answer);
        asked.status = match answer.0 {
            Decision::Approved => ApprovalStatus::Approved,
            Decision::Rejected => ApprovalStatus::Rejected,
            Decision::Expired => ApprovalStatus::Expired,
        };
    }

    /// Tells every gate that waits what was decided.
    fn answer_gates(&mut self) {
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            let id = match &node.step.kind {
                StepKind::GateApproval { approval_id, .. } => approval_id,
                StepKind::GatePolicy { .. } => &node.id,
                _ => continue,
            };
            let answer = self.approvals.get(id).and_then(|asked| asked.answer);
            if let Some((decision, _)) = answer
                && node.asks_people()
                && node.status == Pending
                && node.had_its_turn
            {
                self.answer(n, decision);
            }
        }
    }

    pub fn cancel(&mut self, now: i64) -> Result<(), Refusal> {
        self.at(now);
        if self.is_cancelled {
            return Ok(());
        }
        if self.is_over {
            return Err(Refusal::RunNotActive);
        }
        (self.is_cancelled, self.is_over) = (true, true);
        self.skip_where("cancelled", |node| !node.status.is_terminal());
        self.ask_nobody();
        self.changed_at = self.now;
        Ok(())
    }

    pub fn tick(&mut self, now: i64) {
        self.at(now);
        let is_due = |asked: &Asked| {
            asked.status == ApprovalStatus::Waiting && asked.expires_at.is_some_and(|at| at <= self.now)
        };
        let due: Vec<String> =
            self.approvals.iter().filter(|(_, asked)| is_due(asked)).map(|(id, _)| id.clone()).collect();
        for id in &due {
            self.note(id, (Decision::Expired, false));
        }
        if !due.is_empty() {
            self.answer_gates();
            self.changed();
        }
    }
}

impl Node {
    fn is_work(&self) -> bool {
        matches!(self.step.kind, StepKind::Run { .. })
    }

    fn is_gate(&self) -> bool {
        matches!(self.step.kind, StepKind::GateApproval { .. } | StepKind::GatePolicy { .. })
    }

    /// Whether workers do it: a policy until it is left to people.
    fn asks_workers(&self) -> bool {
        self.is_work() || matches!(self.step.kind, StepKind::GatePolicy { .. }) && !self.asks_people()
    }

    fn asks_people(&self) -> bool {
        let is_left_to_people = self.reason.as_deref() == Some("awaiting-approval");
        matches!(self.step.kind, StepKind::GateApproval { .. })
            || matches!(self.step.kind, StepKind::GatePolicy { .. }) && is_left_to_people
    }

    fn is_container(&self) -> bool {
        !self.is_work() && !self.is_gate()
    }
}

fn ask(grants: Vec<String>, expires_after: Option<i64>) -> Asked {
    Asked { status: ApprovalStatus::NotRequested, expires_at: None, answer: None, grants, expires_after }
}
