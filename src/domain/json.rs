//! Strict JSON.
use serde_json::Value;
/// Canonical bytes (RFC 8785).
#[must_use]
pub fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap_or_default()
}
