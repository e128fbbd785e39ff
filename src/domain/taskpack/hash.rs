//! The hash of a plan: two plans have the same one exactly if they do the same.
//!
//! It is the SHA-256 of the canonical form (RFC 8785) of what follows, so neither the order of keys
//! nor any way to write YAML matters, nor whether a default was written out:
//!
//! - `hashVersion`, `apiVersion`, and the name and version of the pack;
//! - the values of the inputs, not their declarations;
//! - sandbox, objectives, failure policy;
//! - approvals by id and secrets by name, without their descriptions and without any value of a secret;
//! - the steps, each with every field, `with` and conditions as authored, and the iterators' values;
//! - the outputs by name.
//!
//! Left out are descriptions, maintainers, tags, licence and visibility, and all that belongs to one
//! run only.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::plan::Plan;
use crate::domain::digest::Digest;

/// Raise it with every change of what is hashed.
const HASH_VERSION: u32 = 1;

/// `sha256:` and 64 lowercase hex digits.
pub(super) fn hash(plan: &Plan) -> String {
    let mut hashed = Map::new();
    let mut add = |name: &str, value: Value| {
        if !value.is_null() {
            hashed.insert(name.to_owned(), value);
        }
    };
    add("hashVersion", json!(HASH_VERSION));
    add("apiVersion", json!("stellaops.io/pack.v1"));
    add("metadata", json!({"name": plan.name, "version": plan.version}));
    add("inputs", Value::Object(plan.inputs.clone()));
    add("sandbox", value(&plan.sandbox));
    add("slo", value(&plan.slo));
    add("failurePolicy", value(&plan.failure));
    add("approvals", sorted(&plan.approvals, "id"));
    add("secrets", sorted(&plan.secrets, "name"));
    add("steps", value(&plan.steps));
    add("outputs", sorted(&plan.outputs, "name"));
    Digest::of_value(&Value::Object(hashed)).to_string()
}

/// The JSON of a part of a plan, which has only string keys.
fn value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).unwrap_or(Value::Null)
}

/// The JSON of a list by the names in it, without descriptions.
fn sorted(parts: &[impl Serialize], name: &str) -> Value {
    let mut values: Vec<Value> = parts.iter().map(value).collect();
    for value in &mut values {
        if let Value::Object(members) = value {
            members.shift_remove("description");
        }
    }
    values.sort_by(|a, b| a[name].as_str().cmp(&b[name].as_str()));
    Value::Array(values)
}
