//! Makes the steps of a plan from those of a manifest: conditions that can be known are evaluated, and
//! maps become one step an item. Everything is counted before it is made.

use serde_json::{Map, Value};

use super::budget::{Budget, MAX_VALUE_DEPTH, size_within};
use super::errors::Errors;
use super::expression::ExpressionError;
use super::plan::{Branch, LoopItems, PlanStep, Reason, StepKind, needs_run};
use super::step::{KindDecl, LoopDecl, Names, PolicyDecl, StepDecl};
use super::{MAX_NODES, template};

/// The largest plan, in bytes: what its steps hold, once for each item of a map.
pub const MAX_PLAN_BYTES: usize = 4 * 1024 * 1024;
/// How many steps all evaluations of one planning may take.
const MAX_PLANNING_STEPS: usize = 500_000;
/// What a step counts beside its texts, in bytes.
const STEP_BYTES: usize = 128;

/// Makes the steps. One top-level step with an error of its own is left out, and no other.
pub(super) fn expand(steps: &[StepDecl], inputs: &Map<String, Value>, errors: &mut Errors) -> Vec<PlanStep> {
    let mut context = Map::new();
    context.insert("inputs".to_owned(), Value::Object(inputs.clone()));
    let mut expansion = Expansion {
        context: Value::Object(context),
        scope: Map::new(),
        maps: Vec::new(),
        nodes_left: MAX_NODES,
        bytes_left: MAX_PLAN_BYTES,
        budget: Budget::new(MAX_PLANNING_STEPS),
        errors,
    };
    let mut made = Vec::new();
    for step in steps {
        if expansion.errors.is_full() {
            break;
        }
        if expansion.errors.any_within(&step.path) {
            continue;
        }
        let left = (expansion.nodes_left, expansion.bytes_left);
        if let Some(step) = expansion.step(step, "", true) {
            made.push(step);
        } else {
            (expansion.nodes_left, expansion.bytes_left) = left;
            expansion.leave_maps();
        }
    }
    made
}

struct Expansion<'m, 'e> {
    /// What expressions see: the inputs, and the iterators of the maps around.
    context: Value,
    scope: Map<String, Value>,
    /// The paths of the maps around.
    maps: Vec<&'m str>,
    nodes_left: usize,
    bytes_left: usize,
    budget: Budget,
    errors: &'e mut Errors,
}

impl<'m> Expansion<'m, '_> {
    /// Makes one step; `None` where there are too many, which is noted.
    fn step(&mut self, decl: &'m StepDecl, prefix: &str, parent_enabled: bool) -> Option<PlanStep> {
        self.count(decl, prefix)?;
        let id = format!("{prefix}{}", decl.id);
        let reason = if parent_enabled { self.condition(decl) } else { Some(Reason::ParentSkipped) };
        let kind = self.kind(decl, &id, prefix, reason.is_none())?;
        Some(PlanStep {
            id,
            template_id: decl.id.clone(),
            name: decl.name.clone(),
            when: decl.when.clone(),
            enabled: reason.is_none(),
            reason,
            continue_on_error: decl.continue_on_error,
            scope: self.scope.clone(),
            kind,
        })
    }

    /// Forgets the maps around, after their steps could not be made.
    fn leave_maps(&mut self) {
        self.maps.clear();
        self.scope.clear();
        if let Value::Object(context) = &mut self.context {
            context.retain(|name, _| name == "inputs");
        }
    }

    fn all(&mut self, decls: &'m [StepDecl], prefix: &str, enabled: bool) -> Option<Vec<PlanStep>> {
        decls.iter().map(|decl| self.step(decl, prefix, enabled)).collect()
    }

    /// Counts a step before it is made.
    fn count(&mut self, decl: &'m StepDecl, prefix: &str) -> Option<()> {
        let (scope, own) = (size_of_members(&self.scope), size_of(&decl.kind));
        let texts = [decl.name.as_deref(), decl.when.as_deref()].into_iter().flatten().map(str::len).sum::<usize>();
        let bytes = STEP_BYTES + prefix.len() + 2 * decl.id.len() + texts + scope + own;
        self.take(1, bytes, &decl.path)
    }

    /// Takes from what the plan may hold.
    fn take(&mut self, nodes: usize, bytes: usize, path: &str) -> Option<()> {
        let nodes_left = self.nodes_left.checked_sub(nodes);
        let bytes_left = self.bytes_left.checked_sub(bytes);
        if let (Some(nodes), Some(bytes)) = (nodes_left, bytes_left) {
            (self.nodes_left, self.bytes_left) = (nodes, bytes);
            return Some(());
        }
        let place = self.maps.last().map_or(path, |map| map);
        let message = match nodes_left {
            None => format!("the plan has more than {MAX_NODES} steps"),
            Some(_) => format!("the plan has more than {MAX_PLAN_BYTES} bytes"),
        };
        let is_in_map = !self.maps.is_empty();
        self.errors.add(if is_in_map { format!("{place}.map") } else { place.to_owned() }, message);
        None
    }

    /// Why the step is skipped, if that is certain.
    fn condition(&mut self, decl: &StepDecl) -> Option<Reason> {
        let condition = template::expression(decl.when.as_deref()?).ok()?;
        if needs_run(&condition.references().roots, &self.scope) {
            return None;
        }
        match self.budget.evaluate(&condition, &self.context) {
            Ok(value) => (!super::is_true(&value)).then_some(Reason::ConditionFalse),
            Err(error) => {
                self.errors.add(format!("{}.when", decl.path), error.to_string());
                None
            }
        }
    }

    fn kind(&mut self, decl: &'m StepDecl, id: &str, prefix: &str, enabled: bool) -> Option<StepKind> {
        Some(match &decl.kind {
            KindDecl::Run { uses, with, egress } => StepKind::Run {
                uses: uses.clone(),
                with: with.clone(),
                egress: egress.iter().map(|(_, host)| host.clone()).collect(),
            },
            KindDecl::GateApproval { approval_id, message } => {
                StepKind::GateApproval { approval_id: approval_id.clone(), message: message.clone() }
            }
            KindDecl::GatePolicy(policy) => policy_kind(policy),
            KindDecl::Parallel { max_parallel, steps } => {
                StepKind::Parallel { max_parallel: *max_parallel, steps: self.all(steps, prefix, enabled)? }
            }
            KindDecl::Map { items, names, max_parallel, step } => {
                let items = self.items(items, decl, enabled);
                let steps = self.map(&items, names, step, (decl, id), enabled)?;
                StepKind::Map { items, max_parallel: *max_parallel, steps }
            }
            KindDecl::Loop(inner) => {
                if enabled {
                    self.check_loop(decl, inner);
                }
                self.loop_kind(inner, prefix, enabled)?
            }
            KindDecl::Conditional { branches, otherwise, output_union } => {
                let mut made = Vec::with_capacity(branches.len());
                for branch in branches {
                    let steps = self.all(&branch.steps, prefix, enabled)?;
                    made.push(Branch { condition: branch.condition.clone(), steps });
                }
                let otherwise = self.all(otherwise, prefix, enabled)?;
                StepKind::Conditional { branches: made, otherwise, output_union: *output_union }
            }
            // Such a step has an error, and is not expanded.
            KindDecl::Broken => return None,
        })
    }

    fn loop_kind(&mut self, decl: &'m LoopDecl, prefix: &str, enabled: bool) -> Option<StepKind> {
        Some(StepKind::Loop {
            items: decl.items.clone()?,
            iterator: decl.names.iterator.clone(),
            index: decl.names.index.clone(),
            max_iterations: decl.max_iterations,
            aggregation: decl.aggregation,
            body: self.all(&decl.body, prefix, enabled)?,
        })
    }

    /// Evaluates the items of a loop where they can be known, so that what is wrong is told early.
    fn check_loop(&mut self, decl: &StepDecl, inner: &LoopDecl) {
        let Some(LoopItems::Expression(text)) = &inner.items else {
            return;
        };
        let is_known =
            template::expression(text).is_ok_and(|expression| !needs_run(&expression.references().roots, &self.scope));
        if !is_known {
            return;
        }
        let problem = match self.evaluate_items(&Value::from(text.as_str())) {
            Ok(Value::Array(items)) if items.len() <= usize::try_from(inner.max_iterations).unwrap_or(usize::MAX) => {
                return;
            }
            Ok(Value::Array(_)) => format!("are more than {} iterations", inner.max_iterations),
            Ok(_) => "the items are not a list".to_owned(),
            Err(error) => error.to_string(),
        };
        self.errors.add(format!("{}.loop.items.expression", decl.path), problem);
    }

    /// The items of a map. Those of a skipped one may be of any kind: nothing happens with them.
    fn items(&mut self, items: &Value, decl: &StepDecl, enabled: bool) -> Value {
        match self.evaluate_items(items) {
            Ok(items @ Value::Array(_)) => return items,
            Ok(_) | Err(_) if !enabled => {}
            Ok(_) => self.errors.add(format!("{}.map.items", decl.path), "the items are not a list"),
            Err(error) => self.errors.add(format!("{}.map.items", decl.path), error.to_string()),
        }
        Value::Array(Vec::new())
    }

    fn evaluate_items(&mut self, items: &Value) -> Result<Value, ExpressionError> {
        let Value::String(text) = items else {
            return template::render_within(items, &self.context, &mut self.budget);
        };
        self.budget.evaluate(&template::expression(text)?, &self.context)
    }

    /// The steps of a map, which are counted before the first one is made.
    fn map(
        &mut self,
        items: &Value,
        names: &'m Names,
        step: &'m [StepDecl],
        (decl, id): (&'m StepDecl, &str),
        enabled: bool,
    ) -> Option<Vec<PlanStep>> {
        let items = items.as_array()?;
        self.maps.push(&decl.path);
        let needed = items.len().saturating_mul(least_nodes(step));
        if needed > self.nodes_left {
            self.take(needed, 0, &decl.path)?;
        }
        self.take(0, items.iter().map(bytes_of).sum(), &decl.path)?;
        let mut made = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            self.bind(names, item.clone(), index);
            made.extend(self.all(step, &format!("{id}[{index}]::"), enabled)?);
        }
        self.unbind(names);
        self.maps.pop();
        Some(made)
    }

    fn bind(&mut self, names: &Names, item: Value, index: usize) {
        self.scope.insert(names.iterator.clone(), item.clone());
        self.scope.insert(names.index.clone(), Value::from(index));
        if let Value::Object(context) = &mut self.context {
            context.insert(names.iterator.clone(), item);
            context.insert(names.index.clone(), Value::from(index));
        }
    }

    fn unbind(&mut self, names: &Names) {
        for name in [&names.iterator, &names.index] {
            self.scope.shift_remove(name);
            if let Value::Object(context) = &mut self.context {
                context.shift_remove(name);
            }
        }
    }
}

fn policy_kind(policy: &PolicyDecl) -> StepKind {
    StepKind::GatePolicy {
        policy_id: policy.policy_id.clone(),
        policy_version: policy.policy_version.clone(),
        failure_action: policy.failure_action,
        retry_count: policy.retry_count,
        message: policy.message.clone(),
    }
}

/// How many steps these are at least: maps inside count as one for each of their written items.
fn least_nodes(steps: &[StepDecl]) -> usize {
    steps.iter().fold(0_usize, |sum, step| sum.saturating_add(1).saturating_add(least_inside(step)))
}

fn least_inside(step: &StepDecl) -> usize {
    let inside = step.blocks().into_iter().fold(0_usize, |sum, block| sum.saturating_add(least_nodes(block)));
    match &step.kind {
        KindDecl::Map { items: Value::Array(items), .. } => inside.saturating_mul(items.len()),
        KindDecl::Map { .. } => 0,
        _ => inside,
    }
}

fn bytes_of(value: &Value) -> usize {
    size_within(value, MAX_PLAN_BYTES, MAX_VALUE_DEPTH).unwrap_or(MAX_PLAN_BYTES)
}

fn size_of_members(members: &Map<String, Value>) -> usize {
    members.iter().map(|(name, value)| name.len() + bytes_of(value)).sum()
}

/// The bytes of what a step holds beside the steps inside it.
fn size_of(kind: &KindDecl) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match kind {
        KindDecl::Run { uses, with, egress } => {
            uses.len() + bytes_of(with) + egress.iter().map(|(_, host)| host.len()).sum::<usize>()
        }
        KindDecl::GateApproval { approval_id, message } => approval_id.len() + text(message),
        KindDecl::GatePolicy(policy) => policy.policy_id.len() + text(&policy.policy_version) + text(&policy.message),
        KindDecl::Loop(decl) => match &decl.items {
            Some(LoopItems::Static(values)) => values.iter().map(bytes_of).sum(),
            Some(LoopItems::Expression(text)) => text.len(),
            _ => 0,
        },
        KindDecl::Conditional { branches, .. } => branches.iter().map(|branch| branch.condition.len()).sum(),
        KindDecl::Parallel { .. } | KindDecl::Map { .. } | KindDecl::Broken => 0,
    }
}
