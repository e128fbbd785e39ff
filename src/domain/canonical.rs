//! The canonical form of JSON (RFC 8785): sorted keys, no spaces, one spelling a number.
//!
//! Every record is written in this form twice for its digests, which was the largest part of reading it. So the form
//! is written straight from the values: members are sorted as references, and what a digest leaves out is passed over
//! and not cut out of a copy.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::json::MAX_SAFE_INTEGER;

/// Writes a value. Members whose names are in `without` are passed over, at any depth.
///
/// # Panics
/// Never: a `Value` holds neither a number that JSON cannot write nor a key that is no string.
pub fn write(value: &Value, without: &[&str], out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(elements) => {
            out.push(b'[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(element, without, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !without.contains(&name.as_str()));
            write_members(kept.map(|(name, value)| (name.as_str(), value)), out, |value, out| {
                write(value, without, out);
            });
        }
    }
}

/// Writes an object without those of its own members whose names are in `without`.
pub fn write_without(members: &Map<String, Value>, without: &[&str], out: &mut Vec<u8>) {
    let kept = members.iter().filter(|(name, _)| !without.contains(&name.as_str()));
    write_members(kept.map(|(name, value)| (name.as_str(), value)), out, |value, out| write(value, &[], out));
}

/// Writes an object of some members, in any order and each once; `each` writes their values.
pub fn write_members<'a, T>(
    members: impl Iterator<Item = (&'a str, T)>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(T, &mut Vec<u8>),
) {
    let mut members: Vec<(&str, T)> = members.collect();
    members.sort_unstable_by(|(a, _), (b, _)| order(a, b));
    out.push(b'{');
    for (i, (name, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        each(value, out);
    }
    out.push(b'}');
}

/// Names are ordered by their UTF-16 units, which of ASCII are the bytes.
fn order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    match number.as_i64().filter(|n| (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(n)) {
        Some(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
        None => serde_json_canonicalizer::to_writer(number, out).expect("every JSON number has a canonical form"),
    }
}

/// Writes a string with its quotes.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        write_escaped(rest[at], out);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend([b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn canonical(value: &Value) -> String {
        let mut out = Vec::new();
        write(value, &[], &mut out);
        String::from_utf8(out).unwrap()
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let number = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-1_000_i32..1_000).prop_map(|n| json!(f64::from(n) / 8.0)),
        ];
        let text = prop_oneof![".{0,6}", "[\\x00-\\x7f\u{e000}\u{ffff}\u{10000}\"\\\\]{0,6}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            number,
            text.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(text.clone(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_has_the_form_that_another_implementation_gives_it(value in any_value()) {
            prop_assert_eq!(canonical(&value), serde_json_canonicalizer::to_string(&value).unwrap());
        }
    }

    #[test]
    fn keys_are_in_the_order_of_their_utf_16_units() {
        let value = json!({"\u{10000}": 1, "\u{e000}": 2, "b": 3, "a\u{1}\n": [1.0, -0.0, 1e21, "\u{7f}é"]});
        let expected = "{\"a\\u0001\\n\":[1,0,1e+21,\"\u{7f}é\"],\"b\":3,\"\u{10000}\":1,\"\u{e000}\":2}";
        assert_eq!(canonical(&value), expected);
    }

    #[test]
    fn what_is_left_out_is_as_if_it_was_not_there() {
        let value = json!({"a": 1, "at": {"at": 2, "b": [{"at": 3, "c": 4}]}, "b": {"at": 5}});
        let mut deep = Vec::new();
        write(&value, &["at"], &mut deep);
        assert_eq!(deep, br#"{"a":1,"b":{}}"#);
        let mut shallow = Vec::new();
        write_without(value.as_object().unwrap(), &["at", "a"], &mut shallow);
        assert_eq!(shallow, br#"{"b":{"at":5}}"#);
    }
}
