//! Numbers: each has one form, and is such as every reader keeps.

use serde_json::{Number, Value};

use crate::domain::json::MAX_SAFE_INTEGER;

/// 2^53 as a float: from here on every float is an integer, and no longer its own only neighbour.
const FIRST_UNSAFE_FLOAT: f64 = 9_007_199_254_740_992.0;

/// The one form of a number: an integer where it is one, so `1.0` is 1 and `-0.0` is 0.
///
/// `None` for an integer beyond ±(2^53−1), which some readers would change.
#[must_use]
pub fn normal(number: &Number) -> Option<Number> {
    if let Some(integer) = number.as_i64() {
        return (integer.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs()).then(|| number.clone());
    }
    if number.is_u64() {
        return None;
    }
    from_f64(number.as_f64()?).filter(|_| number.as_f64().is_some_and(|float| float.abs() < FIRST_UNSAFE_FLOAT))
}

/// A float as a number, an integer where it is one and every reader keeps it; `None` where it is not
/// finite.
#[must_use]
pub fn from_f64(float: f64) -> Option<Number> {
    if float.fract() == 0.0 && float.abs() < FIRST_UNSAFE_FLOAT {
        return format!("{float:.0}").parse::<i64>().ok().map(Number::from);
    }
    Number::from_f64(float)
}

/// Brings the numbers of a value into their one form; `false` where one has none, and then some are
/// left as they were.
pub fn normalise(value: &mut Value) -> bool {
    match value {
        Value::Number(number) => match normal(number) {
            Some(normal) => {
                *number = normal;
                true
            }
            None => false,
        },
        Value::Array(elements) => elements.iter_mut().all(normalise),
        Value::Object(members) => members.values_mut().all(normalise),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
