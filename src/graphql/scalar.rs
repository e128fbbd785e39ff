//! The scalars, each with the page that specifies it.

use async_graphql::{InputValueError, InputValueResult, Number, Scalar, ScalarType, Value};

use crate::domain::digest::Digest as Sha256;
use crate::domain::json::MAX_SAFE_INTEGER;
use crate::domain::time::{format_micros, parse_rfc3339};

/// An instant, microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DateTime(pub i64);

/// An RFC 3339 date-time. Answers are in UTC with `Z`, with microseconds where there are any.
#[Scalar(name = "DateTime", specified_by_url = "https://scalars.graphql.org/andimarek/date-time.html")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => parse_rfc3339(text)
                .map(Self)
                .ok_or_else(|| InputValueError::custom("the text is not an RFC 3339 date-time")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(format_micros(self.0))
    }
}

/// An integer within ±(2^53−1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int53(pub i64);

/// An integer within ±(2^53−1): a JSON number that every client reads exactly.
#[Scalar(name = "Int53", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259#section-6")]
impl ScalarType for Int53 {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => safe(number)
                .map(Self)
                .ok_or_else(|| InputValueError::custom("the number is not an integer within ±(2^53−1)")),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}

fn safe(number: &Number) -> Option<i64> {
    number.as_i64().filter(|value| (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(value))
}

/// Any JSON value.
#[derive(Debug, Clone, PartialEq)]
pub struct Json(pub serde_json::Value);

/// Any JSON value.
#[Scalar(name = "JSON", specified_by_url = "https://www.rfc-editor.org/rfc/rfc8259")]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        value.into_json().map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// A SHA-256 digest that this server computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub Sha256);

/// A SHA-256 digest that this server computed, `sha256:` and 64 lowercase hex digits. Checksums that
/// records carry themselves stay strings.
#[Scalar(
    name = "Digest",
    specified_by_url = "https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests"
)]
impl ScalarType for Digest {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text.parse().map(Self).map_err(InputValueError::custom),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn int53_takes_what_a_double_holds_exactly_and_nothing_else() {
        assert_eq!(Int53::parse(Value::from(MAX_SAFE_INTEGER)).unwrap(), Int53(MAX_SAFE_INTEGER));
        assert!(Int53::parse(Value::from(MAX_SAFE_INTEGER + 1)).is_err());
        assert!(Int53::parse(Value::from(-MAX_SAFE_INTEGER - 1)).is_err());
        assert!(Int53::parse(Value::from("1")).is_err());
        assert!(Int53::parse(Value::from(1.5)).is_err());
    }

    #[test]
    fn times_are_answered_in_utc() {
        let time = DateTime::parse(Value::from("1970-01-01T01:00:00.000001+01:00")).unwrap();
        assert_eq!(time, DateTime(1));
        assert_eq!(time.to_value(), Value::from("1970-01-01T00:00:00.000001Z"));
        assert!(DateTime::parse(Value::from("noon")).is_err());
    }

    #[test]
    fn digests_are_checked() {
        let text = Sha256::of_bytes(b"").to_string();
        assert_eq!(Digest::parse(Value::from(text.as_str())).unwrap().to_value(), Value::from(text));
        assert!(Digest::parse(Value::from("sha256:0")).is_err());
    }
}
