//! A Kubernetes object as it came in, read into what the rules and the store need of it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::digest::Digest;
use super::facts;
use super::history::Content;
use super::identity::NaturalKey;
use super::{canonical, json, kind};

/// The longest name, namespace, kind or uid that is accepted: that of a DNS subdomain (RFC 1123).
const MAX_NAME: usize = 253;
/// Metadata that moves without the object changing.
const VOLATILE_METADATA: [&str; 4] = ["resourceVersion", "managedFields", "generation", "selfLink"];
/// Status fields that move without the object changing, at any depth.
const VOLATILE_STATUS: [&str; 3] = ["lastDriftCheckAt", "observedGeneration", "lastHeartbeatTime"];

/// A resource that a result applied. Cluster-scoped resources have an empty namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `namespace`; empty if it is absent or empty.
    pub namespace: String,
    /// `name`.
    pub name: String,
}

/// One record.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its natural key.
    pub key: NaturalKey,
    /// `metadata.uid`.
    pub uid: Option<String>,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<String>,
    /// The latest of its own times, microseconds.
    pub own_time: i64,
    /// Its content.
    pub content: Arc<Content>,
    /// `spec.deployedResources`, sorted and without repeats; `None` where the field is absent.
    pub resources: Option<Vec<Resource>>,
    /// The volatile status fields at the top of `status`.
    pub heartbeat: Map<String, Value>,
}

/// Why an object is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Where, as a JSON path.
    pub path: &'static str,
    /// What is wrong.
    pub message: String,
}

impl Resource {
    /// Reads an entry of a list of resources; `None` where it is none.
    #[must_use]
    pub fn read(entry: &Value) -> Option<Self> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        Some(Self {
            api_version: text("apiVersion")?,
            kind: text("kind")?,
            namespace: text("namespace").unwrap_or_default(),
            name: text("name")?,
        })
    }
}

impl Record {
    /// Reads an object.
    ///
    /// # Errors
    /// If `apiVersion`, `kind` or `metadata.name` is missing, or a name cannot be one.
    pub fn read(object: &Map<String, Value>) -> Result<Self, RecordError> {
        let api_version = name(object.get("apiVersion"), "$.apiVersion")?;
        let original_kind = name(object.get("kind"), "$.kind")?;
        let Some(metadata) = object.get("metadata").and_then(Value::as_object) else {
            return Err(error("$.metadata", "must be an object with a name"));
        };
        let kind = kind::canonical(&api_version, &original_kind);
        if kind.starts_with('~') {
            return Err(error("$.kind", "is not a kind"));
        }
        let facts = facts::extract(&kind, object);
        let key = NaturalKey {
            cluster: receipt_cluster(&kind, &facts)?,
            namespace: segment(optional(metadata.get("namespace"), "$.metadata.namespace")?, "$.metadata.namespace")?,
            name: segment(name(metadata.get("name"), "$.metadata.name")?, "$.metadata.name")?,
            kind,
        };
        let uid = segment(optional(metadata.get("uid"), "$.metadata.uid")?, "$.metadata.uid")?;
        let resource_version = optional(metadata.get("resourceVersion"), "$.metadata.resourceVersion")?;
        let resources = resources(object);
        let spec = json::canonical(object.get("spec").unwrap_or(&Value::Null));
        Ok(Self {
            uid: Some(uid).filter(|uid| !uid.is_empty()),
            resource_version: Some(resource_version).filter(|version| !version.is_empty()),
            own_time: facts::own_time(object),
            heartbeat: heartbeat(object),
            content: Arc::new(Content {
                digest: Digest::of_bytes(&canonical_content(&key.kind, object, &spec)),
                spec: Digest::of_bytes(&spec),
                facts,
            }),
            resources,
            key,
        })
    }
}

fn error(path: &'static str, message: impl Into<String>) -> RecordError {
    RecordError { path, message: message.into() }
}

fn optional(value: Option<&Value>, path: &'static str) -> Result<String, RecordError> {
    match value {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if text.len() <= MAX_NAME => Ok(text.clone()),
        Some(Value::String(_)) => Err(error(path, format!("must be at most {MAX_NAME} bytes long"))),
        Some(_) => Err(error(path, "must be a string")),
    }
}

fn name(value: Option<&Value>, path: &'static str) -> Result<String, RecordError> {
    let text = optional(value, path)?;
    if text.is_empty() { Err(error(path, "is missing")) } else { Ok(text) }
}

/// Names are segments of keys, as they are segments of paths in Kubernetes.
fn segment(text: String, path: &'static str) -> Result<String, RecordError> {
    if text.chars().any(|c| c == '/' || c.is_control()) {
        return Err(error(path, "must not contain `/` or control characters"));
    }
    Ok(text)
}

fn receipt_cluster(kind: &str, facts: &facts::Facts) -> Result<String, RecordError> {
    if kind != kind::RECEIPT {
        return Ok(String::new());
    }
    let cluster = facts.cluster.clone().unwrap_or_default();
    if cluster.len() > MAX_NAME {
        return Err(error("$.spec.targetClusterRef", format!("must be at most {MAX_NAME} bytes long")));
    }
    segment(cluster, "$.spec.targetClusterRef")
}

/// The content of an object: all of it but its volatile parts and the names that its kind had over time.
#[must_use]
pub fn content_of(kind: &str, object: &Map<String, Value>) -> Value {
    let mut content = Map::new();
    content.insert("kind".to_owned(), Value::from(kind));
    for (field, value) in object {
        let kept = match (field.as_str(), value) {
            ("apiVersion" | "kind", _) => continue,
            ("metadata", Value::Object(metadata)) => Value::Object(
                metadata
                    .iter()
                    .filter(|(name, _)| !VOLATILE_METADATA.contains(&name.as_str()))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            ),
            ("status", status) => without_heartbeats(status),
            (_, value) => value.clone(),
        };
        content.insert(field.clone(), kept);
    }
    Value::Object(content)
}

/// A member of a content on its way into the canonical form.
enum Member<'a> {
    Text(&'a str),
    Canonical(&'a [u8]),
    Metadata(&'a Map<String, Value>),
    Status(&'a Value),
    Other(&'a Value),
}

/// The canonical form of what [`content_of`] gives, without a copy of it; `spec` is that of the `spec`.
fn canonical_content(kind: &str, object: &Map<String, Value>, spec: &[u8]) -> Vec<u8> {
    let members = object.iter().filter_map(|(field, value)| {
        let member = match (field.as_str(), value) {
            ("apiVersion" | "kind", _) => return None,
            ("spec", _) => Member::Canonical(spec),
            ("metadata", Value::Object(metadata)) => Member::Metadata(metadata),
            ("status", status) => Member::Status(status),
            (_, value) => Member::Other(value),
        };
        Some((field.as_str(), member))
    });
    let mut out = Vec::with_capacity(spec.len() + 1024);
    canonical::write_members(members.chain([("kind", Member::Text(kind))]), &mut out, |member, out| match member {
        Member::Text(text) => canonical::write_text(text, out),
        Member::Canonical(text) => out.extend_from_slice(text),
        Member::Metadata(metadata) => canonical::write_without(metadata, &VOLATILE_METADATA, out),
        Member::Status(status) => canonical::write(status, &VOLATILE_STATUS, out),
        Member::Other(value) => canonical::write(value, &[], out),
    });
    out
}

fn without_heartbeats(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(name, _)| !VOLATILE_STATUS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), without_heartbeats(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_heartbeats).collect(),
        other => other.clone(),
    }
}

fn heartbeat(object: &Map<String, Value>) -> Map<String, Value> {
    let status = object.get("status").and_then(Value::as_object);
    VOLATILE_STATUS.iter().filter_map(|name| Some(((*name).to_owned(), status?.get(*name)?.clone()))).collect()
}

/// `spec.deployedResources`; entries that are none are left to the contract check.
pub(crate) fn resources(object: &Map<String, Value>) -> Option<Vec<Resource>> {
    let entries = object.get("spec")?.get("deployedResources")?.as_array()?;
    let mut resources: Vec<Resource> = entries.iter().filter_map(Resource::read).collect();
    resources.sort();
    resources.dedup();
    Some(resources)
}

/// The digest that names a set of resources, whatever order it was listed in.
#[must_use]
pub fn resource_set_digest(resources: &[Resource]) -> Digest {
    let mut text = vec![b'['];
    for (i, r) in resources.iter().enumerate() {
        text.extend_from_slice(if i > 0 { b",[" } else { b"[" });
        for (i, part) in [&r.api_version, &r.kind, &r.namespace, &r.name].into_iter().enumerate() {
            if i > 0 {
                text.push(b',');
            }
            canonical::write_text(part, &mut text);
        }
        text.push(b']');
    }
    text.push(b']');
    Digest::of_bytes(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_of_a_content_is_that_of_its_canonical_form() {
        let base = json!({"apiVersion": "v1", "kind": "Odd", "metadata": {"name": "n", "generation": 3, "uid": "u"}});
        let status = json!({"observedGeneration": 1, "conditions": [{"observedGeneration": 2, "type": "A"}]});
        for (field, value) in [
            ("spec", json!({"b": 1, "a": [true, null]})),
            ("spec", Value::Null),
            ("status", status),
            ("data", json!({"metadata": {"generation": 3}})),
            ("absent", Value::Null),
        ] {
            let mut object = base.as_object().unwrap().clone();
            object.insert(field.to_owned(), value);
            let record = Record::read(&object).unwrap();
            assert_eq!(record.content.digest, Digest::of_value(&content_of("Odd", &object)), "{field}");
            assert_eq!(record.content.spec, Digest::of_value(object.get("spec").unwrap_or(&Value::Null)));
        }
    }

    #[test]
    fn the_digest_of_resources_is_that_of_a_list_of_lists() {
        let resource = |name: &str| Resource {
            api_version: "v1".to_owned(),
            kind: "K\"".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        };
        let lists = json!([["v1", "K\"", "", "a"], ["v1", "K\"", "", "b"]]);
        assert_eq!(resource_set_digest(&[resource("a"), resource("b")]), Digest::of_value(&lists));
        assert_eq!(resource_set_digest(&[]), Digest::of_value(&json!([])));
    }
}
