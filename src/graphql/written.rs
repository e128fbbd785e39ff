//! Answers as text.
//!
//! A long list is a tree of many small values, each allocated, named and freed for itself, only to become
//! text in the end. So lists are written as text at once where that is allowed ([`WriteLists`]), and stand
//! in the answer as `Value::Binary`, which nothing else in the schema makes. Only [`write_value`] knows
//! what they are.

use async_graphql::resolver_utils::EnumType;
use async_graphql::{ID, Value};

use super::scalar::{DateTime, Digest, Int53, Json};
use crate::domain::time::format_micros;

/// In the data of a request: its lists may be text. To be set only where no two selections of the
/// document give one field of the answer, since text cannot be merged, and where the answer is written by
/// [`write_value`].
pub struct WriteLists;

/// The value that stands for JSON text.
#[must_use]
pub fn text(json: Vec<u8>) -> Value {
    Value::Binary(json.into())
}

/// The size of the texts in a value, in bytes: nearly that of the value where it is large.
#[must_use]
pub fn text_size(value: &Value) -> usize {
    match value {
        Value::Binary(text) => text.len(),
        Value::List(items) => items.iter().map(text_size).sum(),
        Value::Object(members) => members.values().map(text_size).sum(),
        _ => 0,
    }
}

/// Writes a value as JSON.
pub fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Number(number) => write_json(number, out),
        Value::String(text) => write_json(text, out),
        Value::Boolean(flag) => flag.write(out),
        Value::Enum(name) => name.as_str().write(out),
        Value::Binary(text) => out.extend_from_slice(text),
        Value::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                // Members of records have any name.
                name.as_str().write(out);
                out.push(b':');
                write_value(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes the name of a field with its colon. Names of GraphQL need no escaping.
pub fn write_name(name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Texts, numbers and maps of texts always become JSON, and memory takes them.
fn write_json(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

/// The value of a field in memory, as the answer has it.
pub trait Written {
    /// Writes it as JSON, the same that its `Value` becomes.
    fn write(&self, out: &mut Vec<u8>);
}

impl<T: Written + ?Sized> Written for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl<T: Written> Written for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl Written for str {
    fn write(&self, out: &mut Vec<u8>) {
        write_json(&self, out);
    }
}

impl Written for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }
}

impl Written for ID {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }
}

impl Written for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Written for i32 {
    fn write(&self, out: &mut Vec<u8>) {
        write_json(self, out);
    }
}

impl Written for Int53 {
    fn write(&self, out: &mut Vec<u8>) {
        write_json(&self.0, out);
    }
}

impl Written for Json {
    fn write(&self, out: &mut Vec<u8>) {
        write_json(&self.0, out);
    }
}

/// Writes what needs no escaping.
fn write_plain(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

impl Written for DateTime {
    fn write(&self, out: &mut Vec<u8>) {
        write_plain(&format_micros(self.0), out);
    }
}

impl Written for Digest {
    fn write(&self, out: &mut Vec<u8>) {
        write_plain(&self.0.to_string(), out);
    }
}

/// Writes the name of an enum's value.
pub fn write_enum<E: EnumType>(value: &E, out: &mut Vec<u8>) {
    match E::items().iter().find(|item| item.value == *value) {
        Some(item) => write_plain(item.name, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Enums whose values stand in lists.
macro_rules! written_enums {
    ($($name:ident),* $(,)?) => {
        $(impl $crate::graphql::written::Written for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $crate::graphql::written::write_enum(self, out);
            }
        })*
    };
}
pub(crate) use written_enums;

#[cfg(test)]
mod tests {
    use async_graphql::{Name, ScalarType, value};

    use super::*;

    fn json(value: &Value) -> String {
        let mut out = Vec::new();
        write_value(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_value_becomes_the_json_that_it_always_became() {
        let value = value!({
            "a": [1, -2.5, null, true, false, "x\"\\\n\u{1}ä\u{2028}"], "empty": {}, "none": [], "deep": {"\" \\": 1, "b": {"c": [[], [0]]}},
        });
        assert_eq!(json(&value), serde_json::to_string(&value).unwrap());
        assert_eq!(json(&Value::Enum(Name::new("FAILED"))), "\"FAILED\"");
    }

    #[test]
    fn text_stands_as_it_is() {
        let value = Value::List(vec![text(b"{\"a\":1}".to_vec()), Value::Null]);
        assert_eq!(json(&value), "[{\"a\":1},null]");
        assert_eq!(text_size(&value), 7);
    }

    #[test]
    fn scalars_are_written_as_their_values_are() {
        fn check(scalar: &(impl ScalarType + Written)) {
            let mut out = Vec::new();
            scalar.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json(&scalar.to_value()));
        }
        for micros in [i64::MIN, -1, 0, 1, 1_700_000_000_000_000, 1_700_000_000_123_456, i64::MAX] {
            check(&DateTime(micros));
        }
        check(&Int53(-7));
        check(&Json(serde_json::json!({"z": [1.5, null, {"\"": "ä"}], "a": 12_345_678_901_234_567_890_u64})));
        check(&Digest(crate::domain::digest::Digest::of_bytes(b"")));
    }
}
