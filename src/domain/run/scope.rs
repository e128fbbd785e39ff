//! What expressions of a step can see.

use std::collections::BTreeSet;

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

impl Machine<'_> {
    /// Whether a condition of a step holds now.
    pub(super) fn holds(&self, n: usize, condition: &str) -> Result<bool, ExpressionError> {
        template::condition(condition, &self.context(Some(n), &steps_of_expression(condition)))
    }

    /// What an expression gives for a step now, or for the run as a whole.
    pub(super) fn value(&self, n: Option<usize>, expression: &str) -> Result<Value, ExpressionError> {
        template::value(expression, &self.context(n, &steps_of_expression(expression)))
    }

    /// A value with its templates rendered for a step, or for the run as a whole.
    pub(super) fn render(&self, n: Option<usize>, value: &Value) -> Result<Value, ExpressionError> {
        template::render(value, &self.context(n, &steps_of(value)))
    }

    /// The context of a step's expressions: inputs, secrets as references, iterators, and the outputs of
    /// the steps they name. What a step that did not succeed gave is null.
    fn context(&self, n: Option<usize>, names: &BTreeSet<String>) -> Value {
        let mut steps = Map::new();
        for name in names {
            let outputs = self.resolve(n, name).and_then(|found| self.outputs(found)).unwrap_or(Value::Null);
            steps.insert(name.clone(), json!({ "outputs": outputs }));
        }
        let mut context = n.map(|n| self.step(n).scope.clone()).unwrap_or_default();
        context.insert("inputs".to_owned(), Value::Object(self.plan.inputs.clone()));
        context.insert("secrets".to_owned(), self.plan.secret_references());
        context.insert("steps".to_owned(), Value::Object(steps));
        Value::Object(context)
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
