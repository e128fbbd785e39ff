//! Strict JSON: what the stock decoder lets pass silently is an error with its path here.
//!
//! The stock decoder keeps the last of duplicate keys and turns large integers into floats; both
//! change what a sender said, and the second makes two different records hash alike.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Number, Value};

use super::canonical;
use super::path::{JsonPath, PathSegment, bounded};

/// The largest integer that every JSON reader keeps exactly, 2^53−1.
pub const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

/// 2^53 as a float: from here on every float is an integer, and no longer its own only neighbour.
const FIRST_UNSAFE_FLOAT: f64 = 9_007_199_254_740_992.0;

/// The longest message of an error, in characters.
const MESSAGE_CHARS: usize = 160;

/// The bounds of one JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonLimits {
    /// The largest text, in bytes. A record fits in etcd, whose requests end at 1.5 MiB.
    pub max_bytes: usize,
    /// How many objects and arrays may be open at once. Real records need about ten; readers
    /// that recurse, here and downstream, must not run out of stack.
    pub max_depth: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { max_bytes: 3 * 512 * 1024, max_depth: 64 }
    }
}

/// What is wrong with a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// Longer than [`JsonLimits::max_bytes`].
    TooLarge,
    /// Not UTF-8.
    InvalidUtf8,
    /// Not JSON, or more than one value.
    Syntax,
    /// The text ends inside a value.
    Truncated,
    /// Nested deeper than [`JsonLimits::max_depth`].
    TooDeep,
    /// A key comes twice in one object.
    DuplicateKey,
    /// A NUL character in a string or a key, which Postgres cannot store.
    NulCharacter,
    /// A number that other readers would change: beyond ±(2^53−1), or beyond a double.
    UnsafeInteger,
}

impl JsonErrorKind {
    /// The stable code that clients see.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "ITEM_TOO_LARGE",
            Self::InvalidUtf8 => "INVALID_UTF8",
            Self::Syntax => "INVALID_JSON",
            Self::Truncated => "TRUNCATED",
            Self::TooDeep => "TOO_DEEP",
            Self::DuplicateKey => "DUPLICATE_KEY",
            Self::NulCharacter => "NUL_CHARACTER",
            Self::UnsafeInteger => "UNSAFE_INTEGER",
        }
    }
}

/// Why a JSON text was refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at {path}, line {line}, column {column}")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// The value in which it was found.
    pub path: JsonPath,
    /// The line in the text, from 1.
    pub line: usize,
    /// The byte in the line, from 1; 0 where the line is empty.
    pub column: usize,
    /// One short sentence, which quotes no value of the input.
    pub message: String,
}

/// Reads exactly one JSON value.
///
/// # Errors
/// The first thing that is wrong, in the order of the text; size and encoding come before it.
pub fn parse(text: &[u8], limits: &JsonLimits) -> Result<Value, JsonError> {
    if text.len() > limits.max_bytes {
        let message = format!("the text has more than {} bytes", limits.max_bytes);
        return Err(at_start(JsonErrorKind::TooLarge, message));
    }
    let text = std::str::from_utf8(text).map_err(|error| not_utf8(text, error.valid_up_to()))?;
    let mut state = State { max_depth: limits.max_depth, depth: 0, fault: None, trail: Vec::new() };
    let mut deserializer = Deserializer::from_str(text);
    let outcome = ValueSeed(&mut state).deserialize(&mut deserializer);
    outcome.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| state.explain(&error))
}

/// The canonical form of a value (RFC 8785): sorted keys, no spaces, one spelling a number.
///
/// Two values have the same form exactly if they are equal, provided that they came from [`parse`]:
/// integers beyond ±(2^53−1) would be rounded.
///
#[must_use]
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    canonical::write(value, &[], &mut out);
    out
}

/// An error about the text as a whole.
fn at_start(kind: JsonErrorKind, message: String) -> JsonError {
    JsonError { kind, path: JsonPath::default(), line: 1, column: 1, message }
}

/// The error for a text whose first `valid` bytes are UTF-8 and no more.
fn not_utf8(text: &[u8], valid: usize) -> JsonError {
    let before = &text[..valid];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    JsonError {
        kind: JsonErrorKind::InvalidUtf8,
        path: JsonPath::default(),
        line: before.split(|b| *b == b'\n').count(),
        column: valid - line_start + 1,
        message: "the text is not UTF-8".to_owned(),
    }
}

/// What the visitors share while one text is read.
struct State {
    max_depth: usize,
    depth: usize,
    /// What a visitor refused; `None` where the decoder itself did.
    fault: Option<(JsonErrorKind, &'static str)>,
    /// The path of the failure, innermost first: it is written only while unwinding, so that a
    /// good text pays nothing for it.
    trail: Vec<PathSegment>,
}

impl State {
    /// Refuses the value at hand.
    fn refuse<E: serde::de::Error>(&mut self, kind: JsonErrorKind, message: &'static str) -> E {
        self.fault = Some((kind, message));
        E::custom(message)
    }

    /// Enters an object or array.
    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > self.max_depth {
            return Err(self.refuse(JsonErrorKind::TooDeep, "the value is nested too deeply"));
        }
        Ok(())
    }

    /// Refuses a string with a NUL in it.
    fn check_text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        if text.as_bytes().contains(&0) {
            return Err(self.refuse(JsonErrorKind::NulCharacter, "a string holds a NUL character"));
        }
        Ok(())
    }

    /// Refuses an integer that a double does not keep.
    fn unsafe_integer<E: serde::de::Error>(&mut self) -> E {
        self.refuse(JsonErrorKind::UnsafeInteger, "an integer lies beyond ±(2^53−1)")
    }

    /// Turns the decoder's error into ours.
    fn explain(mut self, error: &serde_json::Error) -> JsonError {
        self.trail.reverse();
        let (kind, message) = match self.fault {
            Some((kind, message)) => (kind, message.to_owned()),
            None => classify(error),
        };
        JsonError { kind, path: JsonPath(self.trail), line: error.line(), column: error.column(), message }
    }
}

/// The kind and message of an error that the decoder found itself.
fn classify(error: &serde_json::Error) -> (JsonErrorKind, String) {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let kind = if error.is_eof() {
        JsonErrorKind::Truncated
    } else if message == "number out of range" {
        JsonErrorKind::UnsafeInteger
    } else {
        JsonErrorKind::Syntax
    };
    (kind, bounded(message, MESSAGE_CHARS))
}

/// Reads one value.
struct ValueSeed<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(self.0.unsafe_integer()),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_SAFE_INTEGER.unsigned_abs() {
            return Err(self.0.unsafe_integer());
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        match Number::from_f64(value) {
            Some(number) if value.abs() < FIRST_UNSAFE_FLOAT => Ok(Value::Number(number)),
            _ => Err(self.0.unsafe_integer()),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.0.check_text(value)?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        self.0.check_text(&value)?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let state = self.0;
        state.enter()?;
        let mut values = Vec::new();
        loop {
            match seq.next_element_seed(ValueSeed(state)) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(error) => {
                    state.trail.push(PathSegment::Index(values.len()));
                    return Err(error);
                }
            }
        }
        state.depth -= 1;
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let state = self.0;
        state.enter()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key_seed(KeySeed(state))? {
            let value = match member(state, &members, &key, &mut map) {
                Ok(value) => value,
                Err(error) => {
                    state.trail.push(PathSegment::Key(key));
                    return Err(error);
                }
            };
            members.insert(key, value);
        }
        state.depth -= 1;
        Ok(Value::Object(members))
    }
}

/// Reads the value of `key`, which must be new.
fn member<'de, A: MapAccess<'de>>(
    state: &mut State,
    members: &Map<String, Value>,
    key: &str,
    map: &mut A,
) -> Result<Value, A::Error> {
    if members.contains_key(key) {
        return Err(state.refuse(JsonErrorKind::DuplicateKey, "a key comes twice in one object"));
    }
    map.next_value_seed(ValueSeed(state))
}

/// Reads the key of a member.
struct KeySeed<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        self.0.check_text(key)?;
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::test_runner::{Config as ProptestConfig, RngSeed};
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, JsonError> {
        parse(text.as_bytes(), &JsonLimits::default())
    }

    fn refused(text: &str) -> (JsonErrorKind, String) {
        let error = read(text).unwrap_err();
        (error.kind, error.path.to_string())
    }

    #[test]
    fn a_good_text_is_read_as_the_stock_decoder_reads_it() {
        let text = r#" {"z": [1, -2, 0.5, 1e3, null, true], "a": {"ü": "\ud83d\ude00"}, "": ""} "#;
        let value = read(text).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["z", "a", ""]);
    }

    #[test]
    fn a_duplicate_key_is_refused_with_its_path() {
        assert_eq!(
            refused(r#"{"spec": {"steps": [0, {"name": 1, "name": 1}]}}"#),
            (JsonErrorKind::DuplicateKey, "$.spec.steps[1].name".to_owned())
        );
        assert_eq!(refused(r#"{"a": 1, "\u0061": 2}"#).0, JsonErrorKind::DuplicateKey);
    }

    #[test]
    fn an_integer_that_a_double_does_not_keep_is_its_own_kind() {
        for number in [
            "9007199254740992",
            "-9007199254740992",
            "9007199254740993.0",
            "18446744073709551616",
            "1e16",
            "-1e300",
            "1e400",
            "99999999999999999999999999999999",
        ] {
            let text = format!(r#"{{"spec": {{"revision": {number}}}}}"#);
            let expected = (JsonErrorKind::UnsafeInteger, "$.spec.revision".to_owned());
            assert_eq!(refused(&text), expected, "{number}");
        }
        assert_eq!(read("9007199254740991").unwrap(), json!(MAX_SAFE_INTEGER));
        assert_eq!(read("-9007199254740991").unwrap(), json!(-MAX_SAFE_INTEGER));
    }

    #[test]
    fn a_nul_is_refused_in_values_and_keys() {
        assert_eq!(refused(r#"["a\u0000b"]"#), (JsonErrorKind::NulCharacter, "$[0]".to_owned()));
        assert_eq!(refused(r#"{"a": {"\u0000": 1}}"#), (JsonErrorKind::NulCharacter, "$.a".to_owned()));
    }

    #[test]
    fn depth_is_bounded_before_the_stack_is() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(64)).is_ok());
        for depth in [65, 5_000, 700_000] {
            assert_eq!(refused(&nested(depth)).0, JsonErrorKind::TooDeep);
        }
        assert_eq!(refused(&"{\"a\":".repeat(200_000)).0, JsonErrorKind::TooDeep);
        assert_eq!(refused(&"[".repeat(2_000_000)).0, JsonErrorKind::TooLarge);
        let wide = JsonLimits { max_bytes: usize::MAX, ..JsonLimits::default() };
        let error = parse("[".repeat(1_000_000).as_bytes(), &wide).unwrap_err();
        assert_eq!(error.kind, JsonErrorKind::TooDeep);
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let error = read("{\n  \"a\": 1,\n  \"b\": trux\n}").unwrap_err();
        assert_eq!((error.kind, error.line), (JsonErrorKind::Syntax, 3));
        assert_eq!(error.path.to_string(), "$.b");
        for text in ["{} {}", "[1,]", "{'a': 1}", "NaN", "\"\\ud800\"", "01", "+1", "\"\t\""] {
            assert_eq!(refused(text).0, JsonErrorKind::Syntax, "{text}");
        }
        for text in ["", " ", "{", "[1", "\"a", "{\"a\":"] {
            assert_eq!(refused(text).0, JsonErrorKind::Truncated, "{text}");
        }
    }

    #[test]
    fn what_is_not_utf8_has_its_place() {
        let error = parse(b"{\n\"a\": \"\xff\"}", &JsonLimits::default()).unwrap_err();
        let place = (error.kind, error.line, error.column);
        assert_eq!(place, (JsonErrorKind::InvalidUtf8, 2, 7));
    }

    #[test]
    fn the_size_limit_is_exact() {
        let limits = JsonLimits { max_bytes: 4, max_depth: 4 };
        assert!(parse(b"1234", &limits).is_ok());
        assert_eq!(parse(b"12345", &limits).unwrap_err().kind, JsonErrorKind::TooLarge);
    }

    #[test]
    fn an_error_quotes_no_more_than_a_little_of_the_input() {
        let long = "x".repeat(10_000);
        for text in [format!(r#"{{"{long}": 1, "{long}": 2}}"#), format!("[{long}]"), format!(r#"["{long}" {long}]"#)] {
            assert!(read(&text).unwrap_err().to_string().len() < 400);
        }
    }

    #[test]
    fn the_canonical_form_follows_rfc_8785() {
        let value = json!({"peach": 1e3, "\u{20ac}": [0.5, -0.0], "a": "\u{8}\n\u{1f}/"});
        assert_eq!(canonical(&value), "{\"a\":\"\\b\\n\\u001f/\",\"peach\":1000,\"\u{20ac}\":[0.5,0]}".as_bytes());
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_canonical_form_reads_back_as_itself(
            numbers in proptest::collection::vec(-1e15_f64..1e15, 0..6),
            keys in proptest::collection::vec("\\PC{0,6}", 0..6),
        ) {
            let members = keys.into_iter().zip(numbers).map(|(key, n)| (key, Value::from(n)));
            let form = canonical(&Value::Object(members.collect()));
            assert_eq!(canonical(&parse(&form, &JsonLimits::default()).unwrap()), form);
        }

        #[test]
        fn reading_never_panics(text in proptest::collection::vec(0_u8.., 0..200)) {
            let _ = parse(&text, &JsonLimits::default());
        }
    }
}
