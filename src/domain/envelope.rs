//! The two shapes of an item: a bare object, or a watch event around one.

use serde_json::{Map, Value};

use super::path::JsonPath;
use super::time::parse_rfc3339;

/// What a sender says about the object it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// The object came into being, or into the watch.
    Added,
    /// The object changed.
    Modified,
    /// The object is gone; the body is its last state.
    Deleted,
    /// No watch event: the object alone.
    Bare,
    /// A mark in the watch stream, not an object.
    Bookmark,
    /// The watch failed; the body is a status, not an object.
    Error,
}

impl EventType {
    /// Reads the `type` of a watch event.
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "ADDED" => Some(Self::Added),
            "MODIFIED" => Some(Self::Modified),
            "DELETED" => Some(Self::Deleted),
            "BOOKMARK" => Some(Self::Bookmark),
            "ERROR" => Some(Self::Error),
            _ => None,
        }
    }
}

/// An item, opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// What the sender says about the object.
    pub event: EventType,
    /// When the collector saw it, in microseconds since the epoch; `None` if it did not say.
    pub observed_at: Option<i64>,
    /// The object itself.
    pub object: Map<String, Value>,
}

/// Why an item is neither an object nor a watch event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at {path}")]
pub struct EnvelopeError {
    /// The member at fault.
    pub path: JsonPath,
    /// One short sentence, which quotes no value of the input.
    pub message: &'static str,
}

impl EnvelopeError {
    /// The stable code that clients see.
    pub const CODE: &str = "INVALID_ENVELOPE";

    fn at(member: &str, message: &'static str) -> Self {
        Self { path: JsonPath::key(member), message }
    }
}

/// Opens an item.
///
/// An object with `kind` or `apiVersion` is bare, whatever else it holds: a record may well have a
/// member called `type` or `object`. One with `type` or `object` and neither of those is a watch
/// event. Anything else is bare too, and whoever reads it will miss its kind.
///
/// # Errors
/// The item is no object, or a watch event with an unknown type, a time that is not RFC 3339, or
/// no object.
pub fn open(value: Value) -> Result<Envelope, EnvelopeError> {
    let Value::Object(members) = value else {
        let path = JsonPath::default();
        return Err(EnvelopeError { path, message: "an item is an object or a watch event" });
    };
    let has = |name| members.contains_key(name);
    let bare = has("kind") || has("apiVersion") || !(has("type") || has("object"));
    if bare {
        return Ok(Envelope { event: EventType::Bare, observed_at: None, object: members });
    }
    open_event(members)
}

/// Opens a watch event.
fn open_event(mut members: Map<String, Value>) -> Result<Envelope, EnvelopeError> {
    let event = members
        .get("type")
        .and_then(Value::as_str)
        .and_then(EventType::from_name)
        .ok_or_else(|| EnvelopeError::at("type", "a watch event has a known type"))?;
    let observed_at = match members.get("observedAt") {
        None | Some(Value::Null) => None,
        Some(time) => Some(observed(time)?),
    };
    match members.shift_remove("object") {
        Some(Value::Object(object)) => Ok(Envelope { event, observed_at, object }),
        _ => Err(EnvelopeError::at("object", "a watch event holds an object")),
    }
}

/// Reads the collector's time.
fn observed(time: &Value) -> Result<i64, EnvelopeError> {
    time.as_str()
        .and_then(parse_rfc3339)
        .ok_or_else(|| EnvelopeError::at("observedAt", "the time is not an RFC 3339 date-time"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(value: Value) -> String {
        open(value).unwrap_err().path.to_string()
    }

    #[test]
    fn an_object_is_bare() {
        for value in [json!({"kind": "Run", "type": "x", "object": 1}), json!({"metadata": {}})] {
            let envelope = open(value.clone()).unwrap();
            assert_eq!((envelope.event, envelope.observed_at), (EventType::Bare, None));
            assert_eq!(Value::Object(envelope.object), value);
        }
    }

    #[test]
    fn a_watch_event_is_opened() {
        for (name, event) in [
            ("ADDED", EventType::Added),
            ("MODIFIED", EventType::Modified),
            ("DELETED", EventType::Deleted),
            ("BOOKMARK", EventType::Bookmark),
            ("ERROR", EventType::Error),
        ] {
            let value = json!({
                "object": {"kind": "ClusterPack"},
                "observedAt": "1970-01-01T00:00:01Z",
                "type": name,
            });
            let envelope = open(value).unwrap();
            assert_eq!((envelope.event, envelope.observed_at), (event, Some(1_000_000)));
            assert_eq!(envelope.object["kind"], "ClusterPack");
        }
        let unstamped = json!({"type": "ADDED", "object": {}, "observedAt": null});
        assert_eq!(open(unstamped).unwrap().observed_at, None);
    }

    #[test]
    fn a_broken_event_names_the_member_at_fault() {
        assert_eq!(refused(json!([])), "$");
        assert_eq!(refused(json!("x")), "$");
        assert_eq!(refused(json!({"type": "CHANGED", "object": {}})), "$.type");
        assert_eq!(refused(json!({"type": 1, "object": {}})), "$.type");
        assert_eq!(refused(json!({"object": {}})), "$.type");
        assert_eq!(refused(json!({"type": "ADDED"})), "$.object");
        assert_eq!(refused(json!({"type": "ADDED", "object": []})), "$.object");
        for time in [json!("yesterday"), json!(0), json!("2026-05-04")] {
            let event = json!({"type": "ADDED", "object": {}, "observedAt": time});
            assert_eq!(refused(event), "$.observedAt");
        }
    }
}
