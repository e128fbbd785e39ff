//! The messages of `graphql-transport-ws`: text in, text out, no I/O.

use std::borrow::Cow;

use axum::extract::ws::Utf8Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The name of the sub-protocol.
pub const PROTOCOL: &str = "graphql-transport-ws";

/// The longest id of an operation, in bytes: each is kept and repeated with each event.
const MAX_ID: usize = 128;

/// The longest reason a close frame has room for, in bytes.
const MAX_REASON: usize = 123;

/// The answer to `connection_init`.
pub const ACK: &str = r#"{"type":"connection_ack"}"#;

/// Why a connection is closed, as the close frame says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: u16,
    /// A few words.
    pub reason: Cow<'static, str>,
}

impl Close {
    /// A close with a fixed reason.
    #[must_use]
    pub const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }

    /// A close with a reason that is cut to the room of a close frame.
    #[must_use]
    pub fn because(code: u16, mut reason: String) -> Self {
        if reason.len() > MAX_REASON {
            let end = (0..=MAX_REASON).rev().find(|at| reason.is_char_boundary(*at));
            reason.truncate(end.unwrap_or(0));
        }
        Self { code, reason: reason.into() }
    }

    const fn invalid(reason: &'static str) -> Self {
        Self::new(4400, reason)
    }
}

/// What a client says.
#[derive(Debug)]
pub enum ClientMessage {
    /// Who it is; an empty map if it says nothing of that.
    Init(Map<String, Value>),
    /// An answer, please, with the same payload.
    Ping(Option<Box<RawValue>>),
    /// An answer.
    Pong,
    /// Begin an operation.
    Subscribe {
        /// Its id, not in use.
        id: Box<str>,
        /// A JSON object.
        payload: Box<RawValue>,
    },
    /// End an operation.
    Complete {
        /// Its id, which may be unknown: ends cross each other on their ways.
        id: Box<str>,
    },
}

/// Members that no message of the protocol has are ignored, as the reference server does.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Reads a client's message.
///
/// # Errors
/// The close it deserves instead.
pub fn parse(text: &str) -> Result<ClientMessage, Close> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| Close::invalid("Invalid message"))?;
    let Envelope { kind, id, payload } = envelope;
    match kind.as_ref() {
        "connection_init" => Ok(ClientMessage::Init(members(payload)?)),
        "ping" => Ok(ClientMessage::Ping(optional_object(payload)?.map(RawValue::to_owned))),
        "pong" => optional_object(payload).map(|_payload| ClientMessage::Pong),
        "subscribe" => {
            let payload = optional_object(payload)?.ok_or(Close::invalid("Invalid message: no payload"))?;
            Ok(ClientMessage::Subscribe { id: checked(id)?, payload: payload.to_owned() })
        }
        "complete" => Ok(ClientMessage::Complete { id: checked(id)? }),
        _ => Err(Close::invalid("Invalid message: unknown type")),
    }
}

fn checked(id: Option<Cow<'_, str>>) -> Result<Box<str>, Close> {
    match id {
        None => Err(Close::invalid("Invalid message: no id")),
        Some(id) if id.is_empty() => Err(Close::invalid("Invalid message: empty id")),
        Some(id) if id.len() > MAX_ID => Err(Close::invalid("Invalid message: id too long")),
        Some(id) => Ok(id.into()),
    }
}

/// `null` is nothing, as some clients write it.
fn optional_object(payload: Option<&RawValue>) -> Result<Option<&RawValue>, Close> {
    match payload {
        Some(payload) if !payload.get().starts_with('{') => Err(Close::invalid("Invalid message: payload")),
        other => Ok(other),
    }
}

fn members(payload: Option<&RawValue>) -> Result<Map<String, Value>, Close> {
    let Some(payload) = optional_object(payload)? else { return Ok(Map::new()) };
    serde_json::from_str(payload.get()).map_err(|_| Close::invalid("Invalid message: payload"))
}

/// The answer to a ping.
#[must_use]
pub fn pong(payload: Option<&RawValue>) -> Utf8Bytes {
    match payload {
        None => r#"{"type":"pong"}"#.into(),
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#).into(),
    }
}

/// An operation's id, and the beginning of its frames, made once.
#[derive(Debug)]
pub struct Id {
    /// Where the text of the id ends within `text`, and the beginning of frames starts.
    end: usize,
    text: Box<str>,
}

impl Id {
    /// An id as the client gave it.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let json = Value::from(id);
        Self { end: id.len(), text: format!(r#"{id}{{"id":{json},"type":""#).into() }
    }

    /// As the client gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text[..self.end]
    }

    /// `{"id":…,"type":"`
    fn beginning(&self) -> &str {
        &self.text[self.end..]
    }

    /// A frame of these parts, each copied once into text of exactly the right size.
    fn frame(&self, kind: &str, payload: &str) -> Utf8Bytes {
        let beginning = self.beginning();
        let mut frame = String::with_capacity(beginning.len() + kind.len() + payload.len() + 1);
        for part in [beginning, kind, payload, "}"] {
            frame.push_str(part);
        }
        frame.into()
    }

    /// The frame of an event.
    #[must_use]
    pub fn next(&self, payload: &str) -> Utf8Bytes {
        self.frame(r#"next","payload":"#, payload)
    }

    /// The frame of errors, which ends the operation.
    #[must_use]
    pub fn error(&self, errors: &str) -> Utf8Bytes {
        self.frame(r#"error","payload":"#, errors)
    }

    /// The frame of a good end.
    #[must_use]
    pub fn complete(&self) -> Utf8Bytes {
        self.frame(r#"complete""#, "")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> u16 {
        parse(text).map(|message| format!("{message:?}")).unwrap_err().code
    }

    #[test]
    fn messages_of_the_protocol_are_read() {
        assert!(matches!(parse(r#"{"type":"connection_init"}"#), Ok(ClientMessage::Init(map)) if map.is_empty()));
        let init = parse(r#" {"payload":{"Authorization":"Bearer x"},"type":"connection_init"} "#);
        assert!(matches!(init, Ok(ClientMessage::Init(map)) if map["Authorization"] == "Bearer x"));
        assert!(matches!(parse(r#"{"type":"ping","payload":null}"#), Ok(ClientMessage::Ping(None))));
        assert!(matches!(parse(r#"{"type":"pong","payload":{"a":1}}"#), Ok(ClientMessage::Pong)));
        let subscribe = parse(r#"{"id":"\u0061","type":"subscribe","payload":{"query":"{a}"},"more":[1]}"#);
        let Ok(ClientMessage::Subscribe { id, payload }) = subscribe else { panic!("{subscribe:?}") };
        assert_eq!((&*id, payload.get()), ("a", r#"{"query":"{a}"}"#));
        assert!(matches!(parse(r#"{"id":"a","type":"complete"}"#), Ok(ClientMessage::Complete { id }) if &*id == "a"));
    }

    #[test]
    fn anything_else_deserves_4400() {
        let long = format!(r#"{{"type":"complete","id":"{}"}}"#, "x".repeat(MAX_ID + 1));
        let deep = format!(r#"{{"type":"connection_init","payload":{{"a":{}{}}}}}"#, "[".repeat(500), "]".repeat(500));
        let wrong = [
            "",
            "[]",
            "null",
            "{}",
            "{",
            r#"{"type":1}"#,
            r#"{"type":"start","id":"a"}"#,
            r#"{"type":"ping"}{}"#,
            r#"{"type":"ping","type":"ping"}"#,
            r#"{"type":"ping","payload":1}"#,
            r#"{"type":"pong","payload":"x"}"#,
            r#"{"type":"connection_init","payload":[]}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"complete","id":""}"#,
            r#"{"type":"complete","id":7}"#,
            r#"{"type":"subscribe","id":"a"}"#,
            r#"{"type":"subscribe","id":"a","payload":[]}"#,
            r#"{"type":"subscribe","payload":{}}"#,
            &long,
            &deep,
        ];
        for text in wrong {
            assert_eq!(code(text), 4400, "{text}");
        }
        let longest = format!(r#"{{"type":"complete","id":"{}"}}"#, "x".repeat(MAX_ID));
        assert!(parse(&longest).is_ok());
    }

    #[test]
    fn a_reason_fits_into_a_close_frame() {
        let close = Close::because(4409, "ä".repeat(100));
        assert_eq!(&*close.reason, "ä".repeat(61));
    }

    #[test]
    fn frames_are_json() {
        let id = Id::new("a\"\n");
        assert_eq!(id.as_str(), "a\"\n");
        assert_eq!(id.next("{}").as_str(), r#"{"id":"a\"\n","type":"next","payload":{}}"#);
        assert_eq!(id.error("[]").as_str(), r#"{"id":"a\"\n","type":"error","payload":[]}"#);
        assert_eq!(id.complete().as_str(), r#"{"id":"a\"\n","type":"complete"}"#);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let key = prop_oneof![Just("type".to_owned()), Just("id".to_owned()), Just("payload".to_owned()), ".{0,4}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..4).prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    fn kind() -> impl Strategy<Value = Value> {
        let names = ["connection_init", "ping", "pong", "subscribe", "complete", "next", "connection_ack"];
        prop_oneof![prop::sample::select(names.to_vec()).prop_map(Value::from), json()]
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_json_makes_it_panic(kind in kind(), id in json(), payload in json(), rest in json()) {
            let whole = serde_json::json!({"type": kind, "id": id, "payload": payload, "rest": rest}).to_string();
            for text in [whole.as_str(), &whole[..whole.len() - 1], &rest.to_string()] {
                if let Err(close) = parse(text) {
                    prop_assert_eq!(close.code, 4400);
                    prop_assert!(close.reason.len() <= MAX_REASON);
                }
            }
        }

        #[test]
        fn what_was_cut_is_never_read(cut in 0_usize..60) {
            let text = r#"{"id":"a","type":"subscribe","payload":{"query":"{ a }"}}"#;
            prop_assert_eq!(parse(&text[..cut.min(text.len())]).is_ok(), cut >= text.len());
        }

        #[test]
        fn every_id_comes_back_as_it_was(id in ".{1,40}") {
            let frame: Value = serde_json::from_str(Id::new(&id).next("1").as_str()).unwrap();
            prop_assert_eq!(frame["id"].as_str(), Some(id.as_str()));
        }
    }
}
