//! What expressions of a step can see.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::{Machine, StepStatus};
use crate::domain::taskpack::expression::ExpressionError;
use crate::domain::taskpack::template::{self, Piece};

/// The steps that the templates of a value name.
pub(super) fn steps_of(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) => {
            let pieces = template::pieces(text).unwrap_or_default();
            let named = pieces.iter().filter_map(|piece| match piece {
                Piece::Expression(expression) => Some(expression.references().steps),
                Piece::Text(_) => None,
            });
            named.flatten().collect()
        }
        Value::Array(elements) => elements.iter().flat_map(steps_of).collect(),
        Value::Object(members) => members.values().flat_map(steps_of).collect(),
        _ => BTreeSet::new(),
    }
}

/// The steps that an expression names, bare or between braces.
pub(super) fn steps_of_expression(text: &str) -> BTreeSet<String> {
    template::expression(text).map(|expression| expression.references().steps).unwrap_or_default()
}

/// What expressions can see, kept from one to the next: inputs and outputs may be large, and many
/// expressions read the same.
#[derive(Default)]
pub(super) struct Known {
    /// Inputs and secrets; `None` before the first expression.
    context: Option<Map<String, Value>>,
    /// The outputs of steps, by the names that expressions had for them.
    steps: Map<String, Value>,
    /// Which step each of those names meant, and whether it had outputs.
    meant: HashMap<String, (Option<usize>, bool)>,
}

impl Machine<'_> {
    /// Whether a condition of a step holds now.
    pub(super) fn holds(&mut self, n: usize, condition: &str) -> Result<bool, ExpressionError> {
        self.within(Some(n), &steps_of_expression(condition), |context| template::condition(condition, context))
    }

    /// What an expression gives for a step now, or for the run as a whole.
    pub(super) fn value(&mut self, n: Option<usize>, expression: &str) -> Result<Value, ExpressionError> {
        self.within(n, &steps_of_expression(expression), |context| template::value(expression, context))
    }

    /// A value with its templates rendered for a step, or for the run as a whole.
    pub(super) fn render(&mut self, n: Option<usize>, value: &Value) -> Result<Value, ExpressionError> {
        self.within(n, &steps_of(value), |context| template::render(value, context))
    }

    /// Evaluates in the context of a step: inputs, secrets as references, iterators, and the outputs of the
    /// steps that are named. What a step that did not succeed gave is null.
    fn within<T>(&mut self, n: Option<usize>, names: &BTreeSet<String>, evaluate: impl FnOnce(&Value) -> T) -> T {
        for name in names {
            self.know(n, name);
        }
        let mut context = self.known.context.take().unwrap_or_else(|| self.base());
        let around = n.map(|n| self.step(n).scope.clone()).unwrap_or_default();
        let around: Vec<(String, Value)> = around.into_iter().filter(|(name, _)| !context.contains_key(name)).collect();
        let iterators: Vec<String> = around.iter().map(|(name, _)| name.clone()).collect();
        context.extend(around);
        context.insert("steps".to_owned(), Value::Object(std::mem::take(&mut self.known.steps)));
        let mut context = Value::Object(context);
        let result = evaluate(&context);
        if let Some(context) = context.as_object_mut() {
            if let Some(Value::Object(steps)) = context.get_mut("steps").map(Value::take) {
                self.known.steps = steps;
            }
            for name in &iterators {
                context.swap_remove(name);
            }
            self.known.context = Some(std::mem::take(context));
        }
        result
    }

    fn base(&self) -> Map<String, Value> {
        let inputs = Value::Object(self.plan.inputs.clone());
        let secrets = self.plan.secret_references();
        [("inputs", inputs), ("secrets", secrets), ("steps", Value::Null)]
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }

    /// Has the outputs of the step at hand that a name means for another.
    fn know(&mut self, n: Option<usize>, name: &str) {
        let meant = self.resolve(n, name);
        let meant = (meant, meant.is_some_and(|n| self.step(n).status == StepStatus::Succeeded));
        if self.known.meant.get(name) != Some(&meant) {
            let outputs = meant.0.and_then(|n| self.outputs(n));
            self.known.steps.insert(name.to_owned(), json!({ "outputs": outputs }));
            self.known.meant.insert(name.to_owned(), meant);
        }
    }

    fn outputs(&self, n: usize) -> Option<Value> {
        let step = self.step(n);
        if step.status == StepStatus::Succeeded { step.outputs.clone() } else { None }
    }

    /// The step that a name means for another: of the same iteration, else of the one around it ….
    pub(super) fn resolve(&self, from: Option<usize>, name: &str) -> Option<usize> {
        let mut at = from;
        while let Some(n) = at {
            let step = self.step(n);
            if let Some(found) = self.by_id.get(&format!("{}{name}", step.prefix)) {
                return Some(*found);
            }
            at = step.parent;
        }
        self.by_id.get(name).copied()
    }
}
