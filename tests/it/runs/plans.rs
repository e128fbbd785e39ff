//! Plans for tests, made without a manifest: by hand, and at random.

use packtrail::domain::taskpack::{
    Aggregation, Approval, Branch, FailureAction, FailurePolicy, LoopItems, OutputSource, Plan, PlanOutput, PlanStep,
    Reason, StepKind,
};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// How many containers may be inside each other.
const NESTING: usize = 4;
/// How many steps a random plan has at most, those of loops counted once.
const NODES: usize = 24;

/// A plan of these steps, with the inputs that conditions of tests read.
pub fn plan(steps: Vec<PlanStep>) -> Plan {
    let inputs = json!({"yes": true, "no": false, "n": 1, "list": [1, 2]});
    Plan {
        name: "pack".to_owned(),
        version: "1.0.0".to_owned(),
        inputs: inputs.as_object().unwrap().clone(),
        sandbox: None,
        slo: None,
        failure: FailurePolicy::default(),
        approvals: Vec::new(),
        secrets: Vec::new(),
        steps,
        outputs: Vec::new(),
    }
}

pub fn approval(id: &str, expires_after: Option<i64>) -> Approval {
    Approval { id: id.to_owned(), grants: Vec::new(), reason_template: None, expires_after, description: None }
}

pub fn step(id: &str, kind: StepKind) -> PlanStep {
    PlanStep {
        id: id.to_owned(),
        template_id: id.to_owned(),
        name: None,
        when: None,
        enabled: true,
        reason: None,
        continue_on_error: false,
        scope: Map::new(),
        kind,
    }
}

pub fn work(id: &str) -> PlanStep {
    work_with(id, json!({}))
}

pub fn work_with(id: &str, with: Value) -> PlanStep {
    step(id, StepKind::Run { uses: "builtin:noop".to_owned(), with, egress: Vec::new() })
}

pub fn gate(id: &str, approval: &str) -> PlanStep {
    step(id, StepKind::GateApproval { approval_id: approval.to_owned(), message: None })
}

pub fn policy(id: &str, failure_action: FailureAction) -> PlanStep {
    let kind = StepKind::GatePolicy {
        policy_id: "policy".to_owned(),
        policy_version: None,
        failure_action,
        retry_count: 0,
        message: None,
    };
    step(id, kind)
}

pub fn parallel(id: &str, max_parallel: Option<u32>, steps: Vec<PlanStep>) -> PlanStep {
    step(id, StepKind::Parallel { max_parallel, steps })
}

/// A map over numbers whose step is made by `make`, from the prefix of its ids.
pub fn map(id: &str, count: usize, make: impl Fn(&str) -> PlanStep) -> PlanStep {
    let child = |i: usize| {
        let mut child = make(&format!("{id}[{i}]::"));
        child.scope.insert("item".to_owned(), Value::from(i));
        child.scope.insert("index".to_owned(), Value::from(i));
        child
    };
    let items = (0..count).collect();
    step(id, StepKind::Map { items, max_parallel: None, steps: (0..count).map(child).collect() })
}

/// A step of a map: its id has a prefix that its name in the pack has not.
pub fn within(prefix: &str, mut inner: PlanStep) -> PlanStep {
    inner.id = format!("{prefix}{}", inner.template_id);
    inner
}

pub fn loops(id: &str, items: LoopItems, body: Vec<PlanStep>) -> PlanStep {
    let kind = StepKind::Loop {
        items,
        iterator: "item".to_owned(),
        index: "index".to_owned(),
        max_iterations: 1000,
        aggregation: Aggregation::Collect,
        body,
    };
    step(id, kind)
}

pub fn range(count: i64) -> LoopItems {
    LoopItems::Range { start: 0, end: count, step: 1 }
}

pub fn branches(id: &str, branches: Vec<(&str, Vec<PlanStep>)>, otherwise: Vec<PlanStep>) -> PlanStep {
    let branches = branches.into_iter().map(|(condition, steps)| Branch { condition: condition.to_owned(), steps });
    step(id, StepKind::Conditional { branches: branches.collect(), otherwise, output_union: true })
}

pub fn when(condition: &str, mut inner: PlanStep) -> PlanStep {
    inner.when = Some(condition.to_owned());
    inner
}

pub fn tolerant(mut inner: PlanStep) -> PlanStep {
    inner.continue_on_error = true;
    inner
}

/// A step that the inputs switch off, with all that is in it.
pub fn disabled(mut inner: PlanStep) -> PlanStep {
    fn off(step: &mut PlanStep, reason: Reason) {
        step.enabled = false;
        step.reason = Some(reason);
        for child in children_mut(&mut step.kind) {
            off(child, Reason::ParentSkipped);
        }
    }
    off(&mut inner, Reason::ConditionFalse);
    inner
}

fn children_mut(kind: &mut StepKind) -> Vec<&mut PlanStep> {
    match kind {
        StepKind::Parallel { steps, .. } | StepKind::Map { steps, .. } | StepKind::Loop { body: steps, .. } => {
            steps.iter_mut().collect()
        }
        StepKind::Conditional { branches, otherwise, .. } => {
            branches.iter_mut().flat_map(|branch| &mut branch.steps).chain(otherwise).collect()
        }
        StepKind::Run { .. } | StepKind::GateApproval { .. } | StepKind::GatePolicy { .. } | StepKind::Unknown => {
            Vec::new()
        }
    }
}

/// A random plan, with everything in it that a plan can have.
pub fn random(rng: &mut ChaCha8Rng) -> Plan {
    let mut plan = plan(Vec::new());
    plan.failure = FailurePolicy {
        max_attempts: rng.random_range(1..=3),
        backoff_seconds: [0, 5][rng.random_range(0..2)],
        continue_on_error: rng.random_bool(0.2),
    };
    for i in 0..3 {
        let mut approval = approval(&format!("a{i}"), rng.random_bool(0.4).then_some(10));
        approval.grants = if rng.random_bool(0.3) { vec!["deploy".to_owned()] } else { Vec::new() };
        plan.approvals.push(approval);
    }
    let mut author = Author { rng, left: NODES, named: Vec::new(), iterators: Vec::new(), prefix: String::new() };
    for _ in 0..author.rng.random_range(1..=5) {
        let step = author.step(0, None);
        plan.steps.push(step);
    }
    for i in 0..author.rng.random_range(0..3) {
        let source = OutputSource::Object(format!("steps.{}.outputs", author.name()));
        plan.outputs.push(PlanOutput { name: format!("o{i}"), source });
    }
    plan
}

/// Writes a random plan.
struct Author<'r> {
    rng: &'r mut ChaCha8Rng,
    left: usize,
    /// The names of the steps so far, which expressions read.
    named: Vec<String>,
    /// The names of the numbers of the loops and maps around.
    iterators: Vec<String>,
    /// What ids in the maps around begin with.
    prefix: String,
}

impl Author<'_> {
    /// A step, with a name of its own or a given one.
    fn step(&mut self, depth: usize, name: Option<&str>) -> PlanStep {
        self.left = self.left.saturating_sub(1);
        let name = name.map_or_else(|| format!("s{}", self.named.len()), ToOwned::to_owned);
        self.named.push(name.clone());
        let kind = self.kind(depth, &name);
        let mut step = step(&name, kind);
        step.id = format!("{}{name}", self.prefix);
        step.continue_on_error = self.rng.random_bool(0.2);
        match self.rng.random_range(0..20) {
            0 => disabled(step),
            1 => when("inputs.yes", step),
            2 | 3 => {
                let condition = self.condition();
                let step = when(&condition, step);
                // What is known at planning was decided there.
                if step.condition_requires_runtime() { step } else { PlanStep { when: None, ..step } }
            }
            _ => step,
        }
    }

    fn kind(&mut self, depth: usize, name: &str) -> StepKind {
        let is_leaf = depth >= NESTING || self.left == 0;
        match self.rng.random_range(0..if is_leaf { 12 } else { 22 }) {
            0..=7 => {
                let with = [json!({}), json!({"from": format!("{{{{ steps.{}.outputs.ok }}}}", self.name())})];
                let broken = json!({"bad": "{{ length(inputs.n) }}"});
                let with = if self.rng.random_bool(0.05) { broken } else { with[self.rng.random_range(0..2)].clone() };
                StepKind::Run { uses: "builtin:noop".to_owned(), with, egress: Vec::new() }
            }
            8 | 9 => {
                // Now and then one that nobody declared: such a plan is not made, yet must not hang.
                let number = if self.rng.random_bool(0.03) { 9 } else { self.rng.random_range(0..3) };
                StepKind::GateApproval { approval_id: format!("a{number}"), message: None }
            }
            10 | 11 => {
                let action = match self.rng.random_range(0..4) {
                    0 => FailureAction::Abort,
                    1 => FailureAction::Warn,
                    _ => FailureAction::RequestOverride,
                };
                let mut kind = policy(name, action).kind;
                if let StepKind::GatePolicy { retry_count, .. } = &mut kind {
                    *retry_count = self.rng.random_range(0..3);
                }
                kind
            }
            12..=14 => {
                let steps = self.steps(depth, 0..4);
                StepKind::Parallel { max_parallel: self.bound(), steps }
            }
            15 | 16 => self.map(depth, name),
            17..=19 => self.loop_kind(depth),
            _ => {
                let branches = (0..self.rng.random_range(1..=2))
                    .map(|_| Branch { condition: self.condition(), steps: self.steps(depth, 0..3) })
                    .collect();
                let otherwise = self.steps(depth, 0..2);
                StepKind::Conditional { branches, otherwise, output_union: self.rng.random_bool(0.5) }
            }
        }
    }

    fn bound(&mut self) -> Option<u32> {
        self.rng.random_bool(0.5).then(|| self.rng.random_range(1..=2))
    }

    fn steps(&mut self, depth: usize, count: std::ops::Range<usize>) -> Vec<PlanStep> {
        (0..self.rng.random_range(count)).map(|_| self.step(depth + 1, None)).collect()
    }

    /// The steps of one map differ here, more than an author can make them.
    fn map(&mut self, depth: usize, name: &str) -> StepKind {
        let count = self.rng.random_range(0..4);
        let max_parallel = self.bound();
        let inner = format!("s{}", self.named.len());
        let outside = self.prefix.clone();
        self.iterators.push(format!("m{depth}"));
        let mut steps = Vec::new();
        for i in 0..count {
            self.prefix = format!("{outside}{name}[{i}]::");
            let mut step = self.step(depth + 1, Some(&inner));
            bind(&mut step, &format!("m{depth}"), i);
            steps.push(step);
        }
        self.prefix = outside;
        self.iterators.pop();
        StepKind::Map { items: (0..count).collect(), max_parallel, steps }
    }

    fn loop_kind(&mut self, depth: usize) -> StepKind {
        let items = match self.rng.random_range(0..5) {
            0 => range(self.rng.random_range(0..4)),
            1 => LoopItems::Range { start: 2, end: -3, step: -2 },
            2 => LoopItems::Static(vec![json!(0), json!(format!("{{{{ steps.{}.outputs.ok }}}}", self.name()))]),
            3 => LoopItems::Expression("inputs.list".to_owned()),
            _ => LoopItems::Expression(format!("steps.{}.outputs.list", self.name())),
        };
        let max_iterations = if self.rng.random_bool(0.1) { 1 } else { 1000 };
        let aggregations =
            [Aggregation::Collect, Aggregation::Merge, Aggregation::Last, Aggregation::First, Aggregation::None];
        let aggregation = aggregations[self.rng.random_range(0..5)];
        self.iterators.push(format!("l{depth}"));
        let body = self.steps(depth, 1..3);
        self.iterators.pop();
        let (iterator, index) = (format!("i{depth}"), format!("l{depth}"));
        StepKind::Loop { items, iterator, index, max_iterations, aggregation, body }
    }

    fn name(&mut self) -> String {
        if self.named.is_empty() {
            return "nothing".to_owned();
        }
        self.named[self.rng.random_range(0..self.named.len())].clone()
    }

    fn condition(&mut self) -> String {
        let name = self.name();
        match self.rng.random_range(0..8) {
            0 => "inputs.yes".to_owned(),
            1 => "inputs.no".to_owned(),
            2 => format!("{{{{ !steps.{name}.outputs.ok }}}}"),
            3 => format!("length(steps.{name}.outputs.list) > `1`"),
            4 if !self.iterators.is_empty() => {
                let iterator = &self.iterators[self.rng.random_range(0..self.iterators.len())];
                format!("{iterator} == `1`")
            }
            5 => format!("steps.{name}.outputs"),
            _ => format!("steps.{name}.outputs.ok"),
        }
    }
}

/// Gives a step of a map, and all in it, the value of the iterator.
fn bind(step: &mut PlanStep, iterator: &str, value: usize) {
    step.scope.insert(iterator.to_owned(), Value::from(value));
    for child in children_mut(&mut step.kind) {
        bind(child, iterator, value);
    }
}
