//! The value of a YAML scalar.

use granit_parser::ScalarStyle;
use serde_json::{Number, Value};

use crate::domain::yaml_scalar::{self, Scalar};

/// The value of a scalar, or `None` where readers do not agree on it.
///
/// An integer that does not fit becomes the float next to it, which is beyond the safe ones.
#[must_use]
pub fn resolve(text: &str, style: ScalarStyle) -> Option<Value> {
    Some(match yaml_scalar::resolve(text, style) {
        Scalar::Ambiguous => return None,
        Scalar::Text(_) => Value::from(text),
        Scalar::Other(word) => match &*word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            digits => Value::Number(number(digits)?),
        },
    })
}

fn number(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(integer) => Some(integer.into()),
        Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plain(text: &str) -> Option<Value> {
        resolve(text, ScalarStyle::Plain)
    }

    #[test]
    fn what_json_spells_alike_is_no_string() {
        for (text, value) in [
            ("0", json!(0)),
            ("-1", json!(-1)),
            ("1.5", json!(1.5)),
            ("1.5E-7", json!(1.5e-7)),
            ("true", json!(true)),
            ("null", json!(null)),
            ("~", json!(null)),
            ("", json!(null)),
        ] {
            assert_eq!(plain(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_readers_understand_differently_has_no_value() {
        for text in
            ["010", "1e3", "1_000", "+1", "0x1F", "0b1", "1.", ".5", "1:30", "-.inf", ".NaN", "yes", "ON", "True"]
        {
            assert_eq!(plain(text), None, "{text}");
        }
        assert_eq!(resolve("a\u{85}", ScalarStyle::SingleQuoted), None);
    }

    #[test]
    fn all_else_is_a_string() {
        for text in ["2026-05-04T08:00:00Z", "1.14.0", "10.20.0.1:5000/packs", "y", "-", "1:75", "PT4H"] {
            assert_eq!(plain(text), Some(json!(text)), "{text}");
        }
        for text in ["010", "yes", "", "null", "5"] {
            assert_eq!(resolve(text, ScalarStyle::SingleQuoted), Some(json!(text)), "{text}");
        }
    }
}
