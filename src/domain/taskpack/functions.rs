//! The 26 functions of `JMESPath`.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::budget::Budget;
use super::expression::ExpressionError;
use super::interpreter::{Found, equal, evaluate, in_key_order, own, text_of};
use super::number::from_f64;
use super::syntax::Node;

macro_rules! functions {
    ($($name:literal $variant:ident $least:literal $most:expr;)*) => {
        /// A function that expressions may call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function {
            $($variant,)*
        }

        impl Function {
            /// The function of this name.
            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// How expressions spell it.
            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The least and the largest number of arguments.
            pub(super) fn arity(self) -> (usize, usize) {
                match self {
                    $(Self::$variant => ($least, $most),)*
                }
            }
        }
    };
}

functions! {
    "abs" Abs 1 1;
    "avg" Avg 1 1;
    "ceil" Ceil 1 1;
    "contains" Contains 2 2;
    "ends_with" EndsWith 2 2;
    "floor" Floor 1 1;
    "join" Join 2 2;
    "keys" Keys 1 1;
    "length" Length 1 1;
    "map" Map 2 2;
    "max" Max 1 1;
    "max_by" MaxBy 2 2;
    "merge" Merge 1 usize::MAX;
    "min" Min 1 1;
    "min_by" MinBy 2 2;
    "not_null" NotNull 1 usize::MAX;
    "reverse" Reverse 1 1;
    "sort" Sort 1 1;
    "sort_by" SortBy 2 2;
    "starts_with" StartsWith 2 2;
    "sum" Sum 1 1;
    "to_array" ToArray 1 1;
    "to_number" ToNumber 1 1;
    "to_string" ToString 1 1;
    "type" Type 1 1;
    "values" Values 1 1;
}

impl Function {
    /// Which argument is an expression that is applied to elements.
    pub(super) fn applies(self) -> Option<usize> {
        match self {
            Self::Map => Some(0),
            Self::MaxBy | Self::MinBy | Self::SortBy => Some(1),
            _ => None,
        }
    }

    /// The error of a call with other arguments than it takes.
    fn wants(self, what: &str) -> ExpressionError {
        ExpressionError::Argument(format!("{}() takes {what}", self.name()))
    }
}

/// One argument.
pub(super) enum Arg<'a> {
    Value(Cow<'a, Value>),
    Applied(&'a Node),
}

impl<'a> Arg<'a> {
    fn value(self) -> Cow<'a, Value> {
        match self {
            Self::Value(value) => value,
            Self::Applied(_) => Cow::Owned(Value::Null),
        }
    }
}

/// Calls a function.
pub(super) fn call<'a>(function: Function, args: Vec<Arg<'a>>, budget: &mut Budget) -> Found<'a> {
    use Function as F;
    if function == F::NotNull {
        let found = args.into_iter().map(Arg::value).find(|value| !value.is_null());
        return Ok(found.unwrap_or(Cow::Owned(Value::Null)));
    }
    if function == F::Merge {
        return merge(args, budget).map(Cow::Owned);
    }
    let mut args = args.into_iter();
    let (Some(first), second) = (args.next(), args.next()) else {
        return Ok(Cow::Owned(Value::Null));
    };
    let result = match (first, second) {
        (Arg::Value(value), None) => of_one(function, value, budget)?,
        (Arg::Value(a), Some(Arg::Value(b))) => of_two(function, &a, &b, budget)?,
        (Arg::Value(list), Some(Arg::Applied(part))) => by(function, &list, part, budget)?,
        (Arg::Applied(part), Some(list)) => map(&list.value(), part, budget)?,
        (Arg::Applied(_), None) => Value::Null,
    };
    Ok(Cow::Owned(result))
}

type Made = Result<Value, ExpressionError>;

fn of_one(function: Function, value: Cow<'_, Value>, budget: &mut Budget) -> Made {
    use Function as F;
    match function {
        F::Abs | F::Ceil | F::Floor => rounded(function, &value),
        F::Avg | F::Sum => total(function, &value, budget),
        F::Max | F::Min => extreme(function, &value, budget),
        F::Length => length(function, &value, budget),
        F::Keys | F::Values => members(function, &value, budget),
        F::Reverse => reverse(function, value, budget),
        F::Sort => sort(function, &value, budget),
        F::ToArray => match own(value, budget)? {
            Value::Array(elements) => Ok(Value::Array(elements)),
            other => Ok(Value::Array(vec![other])),
        },
        F::ToNumber => to_number(&value, budget),
        F::ToString => to_string(value, budget),
        _ => Ok(Value::from(type_of(&value))),
    }
}

fn of_two(function: Function, a: &Value, b: &Value, budget: &mut Budget) -> Made {
    use Function as F;
    match (function, a, b) {
        (F::Contains, Value::Array(elements), wanted) => contains(elements, wanted, budget),
        (F::Join, Value::String(glue), Value::Array(parts)) => join(glue, parts, budget),
        (F::Contains | F::StartsWith | F::EndsWith, Value::String(text), Value::String(part)) => {
            budget.take_text(text.len())?;
            Ok(Value::Bool(match function {
                F::Contains => text.contains(part.as_str()),
                F::StartsWith => text.starts_with(part.as_str()),
                _ => text.ends_with(part.as_str()),
            }))
        }
        (F::Contains, Value::String(_), _) => Ok(Value::Bool(false)),
        (F::Contains, ..) => Err(function.wants("an array or a string, and what may be in it")),
        (F::Join, ..) => Err(function.wants("a string and an array of strings")),
        _ => Err(function.wants("two strings")),
    }
}

fn contains(elements: &[Value], wanted: &Value, budget: &mut Budget) -> Made {
    for element in elements {
        if equal(element, wanted, budget)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn join(glue: &str, parts: &[Value], budget: &mut Budget) -> Made {
    budget.take(parts.len())?;
    let texts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
    let texts = texts.ok_or_else(|| Function::Join.wants("a string and an array of strings"))?;
    let bytes = texts.iter().map(|text| text.len().saturating_add(glue.len())).fold(0, usize::saturating_add);
    budget.take_text(bytes)?;
    Ok(Value::String(texts.join(glue)))
}

fn rounded(function: Function, value: &Value) -> Made {
    let number = value.as_f64().ok_or_else(|| function.wants("a number"))?;
    number_value(match function {
        Function::Abs => number.abs(),
        Function::Ceil => number.ceil(),
        _ => number.floor(),
    })
}

fn number_value(number: f64) -> Made {
    let number = from_f64(number).ok_or_else(|| ExpressionError::Argument("a number is not finite".to_owned()))?;
    Ok(Value::Number(number))
}

fn array(function: Function, value: &Value) -> Result<&[Value], ExpressionError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| function.wants("an array"))
}

fn total(function: Function, value: &Value, budget: &mut Budget) -> Made {
    let elements = array(function, value)?;
    budget.take(elements.len())?;
    let numbers: Option<Vec<f64>> = elements.iter().map(Value::as_f64).collect();
    let numbers = numbers.ok_or_else(|| function.wants("an array of numbers"))?;
    let sum: f64 = numbers.iter().sum();
    match function {
        Function::Sum => number_value(sum),
        _ if numbers.is_empty() => Ok(Value::Null),
        _ => number_value(sum / count(numbers.len())),
    }
}

/// A count as a float; beyond 2^32 no array reaches.
fn count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// What arrays are ordered by: all numbers, or all strings.
enum Keys<'a> {
    Numbers(Vec<f64>),
    Texts(Vec<&'a str>),
}

impl<'a> Keys<'a> {
    fn of(values: &'a [Value], budget: &mut Budget) -> Result<Option<Self>, ExpressionError> {
        budget.take(values.len())?;
        let numbers: Option<Vec<f64>> = values.iter().map(Value::as_f64).collect();
        if let Some(numbers) = numbers {
            return Ok(Some(Self::Numbers(numbers)));
        }
        let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
        if let Some(texts) = &texts {
            budget.take_text(texts.iter().map(|text| text.len()).fold(0, usize::saturating_add))?;
        }
        Ok(texts.map(Self::Texts))
    }

    fn order(&self, a: usize, b: usize) -> Ordering {
        match self {
            Self::Numbers(numbers) => numbers[a].total_cmp(&numbers[b]),
            Self::Texts(texts) => texts[a].cmp(texts[b]),
        }
    }

    /// The positions in their order; equal keys keep theirs.
    fn sorted(&self, budget: &mut Budget) -> Result<Vec<usize>, ExpressionError> {
        let length = match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        };
        let rounds = usize::try_from(length.checked_ilog2().unwrap_or(0)).unwrap_or(usize::MAX);
        budget.take(length.saturating_mul(rounds))?;
        let mut positions: Vec<usize> = (0..length).collect();
        positions.sort_by(|a, b| self.order(*a, *b));
        Ok(positions)
    }

    /// The position of the largest or of the smallest key; of equal ones the first.
    fn extreme(&self, largest: bool) -> Option<usize> {
        let length = match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        };
        let better = if largest { Ordering::Greater } else { Ordering::Less };
        (0..length).reduce(|best, at| if self.order(at, best) == better { at } else { best })
    }
}

fn picked(values: &[Value], at: Option<usize>, budget: &mut Budget) -> Made {
    match at.and_then(|at| values.get(at)) {
        Some(value) => own(Cow::Borrowed(value), budget),
        None => Ok(Value::Null),
    }
}

const ORDERED: &str = "an array of numbers or of strings";

fn extreme(function: Function, value: &Value, budget: &mut Budget) -> Made {
    let elements = array(function, value)?;
    let keys = Keys::of(elements, budget)?.ok_or_else(|| function.wants(ORDERED))?;
    picked(elements, keys.extreme(function == Function::Max), budget)
}

fn sort(function: Function, value: &Value, budget: &mut Budget) -> Made {
    let elements = array(function, value)?;
    let keys = Keys::of(elements, budget)?.ok_or_else(|| function.wants(ORDERED))?;
    in_order(elements, &keys.sorted(budget)?, budget)
}

fn in_order(elements: &[Value], positions: &[usize], budget: &mut Budget) -> Made {
    let mut sorted = Vec::with_capacity(elements.len());
    for at in positions {
        sorted.push(picked(elements, Some(*at), budget)?);
    }
    Ok(Value::Array(sorted))
}

fn by(function: Function, list: &Value, part: &Node, budget: &mut Budget) -> Made {
    let elements = array(function, list)?;
    let mut keys = Vec::with_capacity(elements.len());
    for element in elements {
        let key = evaluate(part, element, budget)?;
        keys.push(own(key, budget)?);
    }
    let wants = || function.wants("an expression that gives only numbers or only strings");
    let order = Keys::of(&keys, budget)?.ok_or_else(wants)?;
    match function {
        Function::SortBy => in_order(elements, &order.sorted(budget)?, budget),
        _ => picked(elements, order.extreme(function == Function::MaxBy), budget),
    }
}

fn map(list: &Value, part: &Node, budget: &mut Budget) -> Made {
    let elements = array(Function::Map, list)?;
    let mut results = Vec::with_capacity(elements.len());
    for element in elements {
        let result = evaluate(part, element, budget)?;
        results.push(own(result, budget)?);
    }
    Ok(Value::Array(results))
}

fn merge(args: Vec<Arg<'_>>, budget: &mut Budget) -> Made {
    let mut merged = Map::new();
    for arg in args {
        match own(arg.value(), budget)? {
            Value::Object(members) => merged.extend(members),
            _ => return Err(Function::Merge.wants("objects")),
        }
    }
    Ok(Value::Object(merged))
}

fn length(function: Function, value: &Value, budget: &mut Budget) -> Made {
    match value {
        Value::String(text) => {
            budget.take_text(text.len())?;
            Ok(Value::from(text.chars().count()))
        }
        Value::Array(elements) => Ok(Value::from(elements.len())),
        Value::Object(members) => Ok(Value::from(members.len())),
        _ => Err(function.wants("a string, an array or an object")),
    }
}

fn members(function: Function, value: &Value, budget: &mut Budget) -> Made {
    let members = value.as_object().ok_or_else(|| function.wants("an object"))?;
    budget.take_value(value)?;
    Ok(match function {
        Function::Keys => in_key_order(members).map(|(name, _)| Value::from(name.as_str())).collect(),
        _ => in_key_order(members).map(|(_, value)| value.clone()).collect(),
    })
}

fn reverse(function: Function, value: Cow<'_, Value>, budget: &mut Budget) -> Made {
    match own(value, budget)? {
        Value::String(text) => {
            budget.take_text(text.len())?;
            Ok(Value::String(text.chars().rev().collect()))
        }
        Value::Array(mut elements) => {
            elements.reverse();
            Ok(Value::Array(elements))
        }
        _ => Err(function.wants("a string or an array")),
    }
}

fn to_number(value: &Value, budget: &mut Budget) -> Made {
    match value {
        Value::Number(number) => Ok(Value::Number(number.clone())),
        Value::String(text) => {
            budget.take_text(text.len())?;
            let number = serde_json::from_str::<serde_json::Number>(text).ok();
            Ok(number.as_ref().and_then(super::number::normal).map_or(Value::Null, Value::Number))
        }
        _ => Ok(Value::Null),
    }
}

fn to_string(value: Cow<'_, Value>, budget: &mut Budget) -> Made {
    if !value.is_string() {
        budget.take_value(&value)?;
        return Ok(Value::String(text_of(value.into_owned())));
    }
    own(value, budget)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
