//! Evaluates expressions, counting each step.

use std::borrow::Cow;

use jmespath::ast::Comparator;
use serde_json::{Map, Value};

use super::budget::Budget;
use super::expression::{ExpressionError, is_true};
use super::functions::{self, Arg};
use super::syntax::Node;

/// A value that is part of the context or the expression, or was made.
pub(super) type Found<'a> = Result<Cow<'a, Value>, ExpressionError>;

/// Evaluates a part on the value at hand.
pub(super) fn evaluate<'a>(node: &'a Node, current: &'a Value, budget: &mut Budget) -> Found<'a> {
    budget.take(1)?;
    match node {
        Node::Current => Ok(Cow::Borrowed(current)),
        Node::Field(name) => Ok(borrowed(current.get(name.as_str()))),
        Node::Index(index) => Ok(borrowed(element(current, *index))),
        Node::Literal(value) => Ok(Cow::Borrowed(value)),
        Node::Slice { start, end, step } => slice(current, *start, *end, *step, budget),
        Node::List(parts) => list(parts, current, budget),
        Node::Hash(parts) => hash(parts, current, budget),
        Node::Not(part) => Ok(Cow::Owned(Value::Bool(!is_true(evaluate(part, current, budget)?.as_ref())))),
        Node::And(a, b) => choose(a, b, current, budget, false),
        Node::Or(a, b) => choose(a, b, current, budget, true),
        Node::Compare(comparator, a, b) => compare(comparator, a, b, current, budget),
        Node::Then(a, b) => then(evaluate(a, current, budget)?, b, budget),
        Node::Project(a, b) => project(evaluate(a, current, budget)?.as_ref(), b, budget),
        Node::Values(part) => values(evaluate(part, current, budget)?.as_ref(), budget),
        Node::Flatten(part) => flatten(evaluate(part, current, budget)?.as_ref(), budget),
        Node::Where(condition, part) if is_true(evaluate(condition, current, budget)?.as_ref()) => {
            evaluate(part, current, budget)
        }
        Node::Where(..) | Node::Applied(_) => Ok(NULL),
        Node::Call(function, parts) => {
            let mut args = Vec::with_capacity(parts.len());
            for part in parts {
                args.push(match part {
                    Node::Applied(part) => Arg::Applied(part),
                    part => Arg::Value(evaluate(part, current, budget)?),
                });
            }
            functions::call(*function, args, budget)
        }
    }
}

const NULL: Cow<'static, Value> = Cow::Owned(Value::Null);

fn borrowed(value: Option<&Value>) -> Cow<'_, Value> {
    value.map_or(NULL, Cow::Borrowed)
}

/// The value as one of its own, paid for where it must be copied.
pub(super) fn own(value: Cow<'_, Value>, budget: &mut Budget) -> Result<Value, ExpressionError> {
    if let Cow::Borrowed(value) = value {
        budget.take_value(value)?;
    }
    Ok(value.into_owned())
}

fn then<'a>(left: Cow<'a, Value>, right: &'a Node, budget: &mut Budget) -> Found<'a> {
    match left {
        Cow::Borrowed(value) => evaluate(right, value, budget),
        Cow::Owned(value) => {
            let found = evaluate(right, &value, budget)?;
            Ok(Cow::Owned(own(found, budget)?))
        }
    }
}

fn choose<'a>(a: &'a Node, b: &'a Node, current: &'a Value, budget: &mut Budget, keep: bool) -> Found<'a> {
    let first = evaluate(a, current, budget)?;
    if is_true(&first) == keep { Ok(first) } else { evaluate(b, current, budget) }
}

fn list<'a>(parts: &'a [Node], current: &'a Value, budget: &mut Budget) -> Found<'a> {
    if current.is_null() {
        return Ok(NULL);
    }
    let mut elements = Vec::with_capacity(parts.len());
    for part in parts {
        let value = evaluate(part, current, budget)?;
        elements.push(own(value, budget)?);
    }
    Ok(Cow::Owned(Value::Array(elements)))
}

fn hash<'a>(parts: &'a [(String, Node)], current: &'a Value, budget: &mut Budget) -> Found<'a> {
    if current.is_null() {
        return Ok(NULL);
    }
    let mut members = Map::new();
    for (name, part) in parts {
        budget.take_text(name.len())?;
        let value = evaluate(part, current, budget)?;
        members.insert(name.clone(), own(value, budget)?);
    }
    Ok(Cow::Owned(Value::Object(members)))
}

/// The element at an index, which counts from the end where it is negative.
fn element(value: &Value, index: i64) -> Option<&Value> {
    let elements = value.as_array()?;
    let index = if index < 0 { index + length(elements) } else { index };
    elements.get(usize::try_from(index).ok()?)
}

fn length(elements: &[Value]) -> i64 {
    i64::try_from(elements.len()).unwrap_or(i64::MAX)
}

fn slice<'a>(value: &'a Value, start: Option<i64>, end: Option<i64>, step: i64, budget: &mut Budget) -> Found<'a> {
    let Value::Array(elements) = value else {
        return Ok(NULL);
    };
    let length = length(elements);
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let bound = |at: i64| (if at < 0 { at + length } else { at }).clamp(low, high);
    let mut at = start.map_or(if step > 0 { low } else { high }, bound);
    let end = end.map_or(if step > 0 { high } else { low }, bound);
    let mut taken = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        if let Some(element) = usize::try_from(at).ok().and_then(|at| elements.get(at)) {
            budget.take_value(element)?;
            taken.push(element.clone());
        }
        at += step;
    }
    Ok(Cow::Owned(Value::Array(taken)))
}

fn project<'a>(value: &Value, part: &Node, budget: &mut Budget) -> Found<'a> {
    let Value::Array(elements) = value else {
        return Ok(NULL);
    };
    let mut results = Vec::new();
    for element in elements {
        let result = evaluate(part, element, budget)?;
        if !result.is_null() {
            results.push(own(result, budget)?);
        }
    }
    Ok(Cow::Owned(Value::Array(results)))
}

fn values<'a>(value: &Value, budget: &mut Budget) -> Found<'a> {
    let Value::Object(members) = value else {
        return Ok(NULL);
    };
    budget.take_value(value)?;
    Ok(Cow::Owned(in_key_order(members).map(|(_, value)| value.clone()).collect()))
}

/// The members by their names: the order in which they were written means nothing, and the hash of a
/// plan does not know it.
pub(super) fn in_key_order(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members.into_iter()
}

/// The text of a value within other text: a string as it is, everything else as canonical JSON.
pub(super) fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => String::from_utf8_lossy(&crate::domain::json::canonical(&other)).into_owned(),
    }
}

fn flatten<'a>(value: &Value, budget: &mut Budget) -> Found<'a> {
    let Value::Array(elements) = value else {
        return Ok(NULL);
    };
    budget.take_value(value)?;
    let mut flat = Vec::new();
    for element in elements {
        match element {
            Value::Array(inner) => flat.extend(inner.iter().cloned()),
            other => flat.push(other.clone()),
        }
    }
    Ok(Cow::Owned(Value::Array(flat)))
}

fn compare<'a>(
    comparator: &Comparator,
    a: &'a Node,
    b: &'a Node,
    current: &'a Value,
    budget: &mut Budget,
) -> Found<'a> {
    let left = evaluate(a, current, budget)?;
    let right = evaluate(b, current, budget)?;
    let result = match comparator {
        Comparator::Equal => equal(&left, &right, budget)?,
        Comparator::NotEqual => !equal(&left, &right, budget)?,
        ordering => match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => ordered(ordering, left, right),
            // Only numbers have an order.
            _ => return Ok(NULL),
        },
    };
    Ok(Cow::Owned(Value::Bool(result)))
}

fn ordered(comparator: &Comparator, left: f64, right: f64) -> bool {
    match comparator {
        Comparator::LessThan => left < right,
        Comparator::LessThanEqual => left <= right,
        Comparator::GreaterThan => left > right,
        Comparator::GreaterThanEqual => left >= right,
        Comparator::Equal | Comparator::NotEqual => false,
    }
}

/// Whether two values are the same, whatever the order of members and the spelling of numbers.
pub(super) fn equal(a: &Value, b: &Value, budget: &mut Budget) -> Result<bool, ExpressionError> {
    budget.take(1)?;
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Ok(a == b || a.as_f64() == b.as_f64()),
        (Value::String(a), Value::String(b)) => {
            budget.take_text(a.len().min(b.len()))?;
            Ok(a == b)
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => all(a.iter().zip(b), |(a, b)| equal(a, b, budget)),
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            all(a.iter(), |(name, a)| b.get(name).map_or(Ok(false), |b| equal(a, b, budget)))
        }
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => Ok(false),
        (a, b) => Ok(a == b),
    }
}

fn all<T>(
    mut items: impl Iterator<Item = T>,
    mut holds: impl FnMut(T) -> Result<bool, ExpressionError>,
) -> Result<bool, ExpressionError> {
    items.try_fold(true, |so_far, item| if so_far { holds(item) } else { Ok(false) })
}
