//! A manifest with everything in it, and ways to change it.

use packtrail::domain::taskpack::{Plan, PlanError, plan};
use serde_json::{Map, Value, json};

/// A manifest with every kind of step and every field.
pub fn rich() -> Value {
    json!({
        "apiVersion": "stellaops.io/pack.v1",
        "kind": "TaskPack",
        "metadata": {
            "name": "release-train", "version": "1.2.0", "description": "Releases", "tags": ["release"],
            "tenantVisibility": "private", "license": "Apache-2.0",
            "maintainers": [{"name": "Release team", "email": "release@example.com"}]
        },
        "spec": {
            "inputs": [
                {"name": "target", "type": "string", "required": true, "description": "What", "schema": {"minLength": 2}},
                {"name": "replicas", "type": "integer", "default": 2, "schema": {"minimum": 1, "maximum": 10}},
                {"name": "regions", "type": "array", "default": ["eu", "us"], "schema": {"items": {"type": "string"}}},
                {"name": "config", "type": "object"},
                {"name": "dry-run", "type": "boolean", "default": false},
                {"name": "ratio", "type": "number", "default": 0.25}
            ],
            "sandbox": {
                "mode": "sealed", "egressAllowlist": ["registry.example.com", "api.example.com:443"],
                "cpuLimitMillicores": 100, "memoryLimitMiB": 128, "quotaSeconds": 60
            },
            "slo": {"runP95Seconds": 300, "approvalP95Seconds": 900, "maxQueueDepth": 100},
            "approvals": [
                {"id": "security-review", "grants": ["packs.approve"], "reasonTemplate": "Deploy {{ inputs.target }}",
                 "expiresAfter": "PT4H", "description": "By security"},
                {"id": "operations", "grants": []}
            ],
            "secrets": [{"name": "registry-token", "scope": "tenant", "description": "Reads images"}],
            "steps": [
                {"id": "scan", "name": "Scan", "run": {
                    "uses": "builtin:scanner",
                    "with": {"target": "{{ inputs.target }}", "token": "{{ secrets.\"registry-token\" }}",
                             "deep": {"n": 3, "on": true, "none": null, "list": [1, 2.5, "x {{ inputs.ratio }}"]}},
                    "egress": ["registry.example.com"]}},
                {"id": "approval", "gate": {"approval": {"id": "security-review", "message": "Review {{ inputs.target }}"}}},
                {"id": "policy", "gate": {"policy": {
                    "policyId": "no-criticals", "policyVersion": "3", "failureAction": "warn", "retryCount": 2,
                    "message": "Checks findings"}}},
                {"id": "checks", "parallel": {"maxParallel": 2, "steps": [
                    {"id": "lint", "run": {"uses": "builtin:lint"}},
                    {"id": "test", "when": "inputs.\"dry-run\" == `false`", "run": {"uses": "builtin:test"}}]}},
                {"id": "rollout", "map": {"items": "{{ inputs.regions }}", "maxParallel": 1, "step":
                    {"id": "deploy", "when": "item != 'moon'", "run": {
                        "uses": "builtin:deploy", "with": {"region": "{{ item }}", "at": "{{ index }}"}}}}},
                {"id": "poll", "loop": {"items": {"range": {"start": 0, "end": 10, "step": 2}}, "iterator": "turn",
                    "index": "number", "maxIterations": 5, "aggregation": {"mode": "last"}, "body": [
                    {"id": "probe", "run": {"uses": "builtin:probe", "with": {"turn": "{{ turn }}"}}}]}},
                {"id": "choice", "conditional": {"outputUnion": true,
                    "branches": [{"condition": "steps.scan.outputs.ok", "steps": [
                        {"id": "promote", "run": {"uses": "builtin:promote"}}]}],
                    "else": [{"id": "rollback", "run": {"uses": "builtin:rollback"}}]}},
                {"id": "notify", "when": "{{ steps.checks.outputs }}", "continueOnError": true,
                    "run": {"uses": "builtin:notify", "with": {"text": "Scanned: {{ steps.scan.outputs.count }}"}}}
            ],
            "outputs": [
                {"name": "report.json", "type": "file", "path": "/output/{{ inputs.target }}/report.json"},
                {"name": "summary", "type": "object", "expression": "steps.notify.outputs"}
            ],
            "failure": {"continueOnError": true, "retries": {"maxAttempts": 3, "backoffSeconds": 10}}
        }
    })
}

/// The inputs that it wants.
pub fn inputs() -> Map<String, Value> {
    object(json!({"target": "app:v1"}))
}

pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

/// The text of a manifest: JSON is YAML.
pub fn text(manifest: &Value) -> String {
    serde_json::to_string_pretty(manifest).expect("a manifest is JSON")
}

pub fn planned(manifest: &Value) -> Plan {
    plan(&text(manifest), &inputs()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

pub fn refused(manifest: &str, inputs: &Map<String, Value>) -> Vec<(String, String)> {
    let errors = plan(manifest, inputs).expect_err("the manifest is bad");
    assert!(!errors.is_empty());
    errors.into_iter().map(|PlanError { path, message }| (path, message)).collect()
}

/// The manifest with something else at a pointer; a member that is not there is added, an index `-`
/// appends.
pub fn with(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let last = last.replace("~1", "/");
    match manifest.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Array(elements) if last == "-" => elements.push(value),
        Value::Array(elements) => elements[last.parse::<usize>().expect("an index")] = value,
        Value::Object(members) => {
            members.insert(last, value);
        }
        other => panic!("{other} has no members"),
    }
    manifest
}

/// The manifest without what is at a pointer.
pub fn without(mut manifest: Value, pointer: &str) -> Value {
    let (parent, last) = pointer.rsplit_once('/').expect("a pointer has a slash");
    match manifest.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Array(elements) => {
            elements.remove(last.parse::<usize>().expect("an index"));
        }
        Value::Object(members) => assert!(members.shift_remove(last).is_some(), "no {pointer}"),
        other => panic!("{other} has no members"),
    }
    manifest
}

/// A small manifest with these steps.
pub fn pack(steps: impl Into<Value>) -> Value {
    json!({
        "apiVersion": "stellaops.io/pack.v1", "kind": "TaskPack", "metadata": {"name": "p", "version": "1.0.0"},
        "spec": {
            "inputs": [{"name": "target", "type": "string", "default": "app"},
                       {"name": "list", "type": "array", "default": [1, 2]},
                       {"name": "absent", "type": "array"}],
            "approvals": [{"id": "ok"}],
            "steps": steps.into()
        }
    })
}

/// A step that does nothing of note.
pub fn run(id: &str) -> Value {
    json!({"id": id, "run": {"uses": "builtin:noop"}})
}

/// The plan of these steps, without inputs.
pub fn plan_of(steps: Value) -> Plan {
    plan(&text(&pack(steps)), &Map::new()).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// The errors of these steps, without inputs.
pub fn errors_of(steps: Value) -> Vec<(String, String)> {
    refused(&text(&pack(steps)), &Map::new())
}
