//! Random reports, as the JSON that another `TaskRunner` sends. Few values, so that reports meet.

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

pub const RUN_ID: &str = "run-20251206-001";

/// The instants of reports, some spelled in two ways.
const TIMES: [&str; 6] = [
    "2025-12-06T10:00:00Z",
    "2025-12-06T11:00:00+01:00",
    "2025-12-06T10:00:01Z",
    "2025-12-06T10:00:01.0000000Z",
    "2025-12-06T10:02:00.5Z",
    "9999-12-31T23:59:59.999999Z",
];

const REASONS: [&str; 6] =
    ["awaiting-approval", "approval-rejected", "approval-expired", "cancelled", "condition-false", "boom"];

fn time(rng: &mut ChaCha8Rng) -> Value {
    json!(TIMES.choose(rng).unwrap())
}

fn word<const N: usize>(words: [&str; N], rng: &mut ChaCha8Rng) -> Value {
    json!(words.choose(rng).unwrap())
}

fn maybe(members: &mut Map<String, Value>, key: &str, value: Value, rng: &mut ChaCha8Rng) {
    if rng.random_bool(0.5) {
        members.insert(key.to_owned(), value);
    }
}

/// The state of a run. In half of them all steps have ended.
pub fn state(rng: &mut ChaCha8Rng) -> Value {
    let has_ended = rng.random_bool(0.5);
    let count = rng.random_range(0..6);
    let steps: Vec<Value> = (0..count).map(|n| step(n, has_ended, rng)).collect();
    json!({
        "kind": "Run",
        "runId": RUN_ID,
        "planHash": "sha256:a1b2c3d4...",
        "failurePolicy": {
            "maxAttempts": rng.random_range(1..3),
            "backoffSeconds": rng.random_range(0..2),
            "continueOnError": rng.random_bool(0.2),
        },
        "createdAt": time(rng),
        "updatedAt": time(rng),
        "steps": steps,
    })
}

fn step(n: usize, has_ended: bool, rng: &mut ChaCha8Rng) -> Value {
    let kinds = ["Run", "Run", "GateApproval", "GatePolicy", "Parallel", "Map", "Loop", "Conditional", "Unknown"];
    let ends = ["Succeeded", "Succeeded", "Failed", "Skipped"];
    let status = if has_ended || rng.random_bool(0.4) {
        word(ends, rng)
    } else {
        word(["Pending", "Pending", "Pending", "Running"], rng)
    };
    let mut step = Map::from_iter([
        ("stepId".to_owned(), json!(format!("each[{n}]::step"))),
        ("kind".to_owned(), word(kinds, rng)),
        ("enabled".to_owned(), json!(rng.random_bool(0.9))),
        ("continueOnError".to_owned(), json!(rng.random_bool(0.3))),
        ("status".to_owned(), status),
        ("attempts".to_owned(), json!(rng.random_range(0..2))),
    ]);
    maybe(&mut step, "maxParallel", json!(rng.random_range(0..3)), rng);
    let approval = word(["review", "release"], rng);
    maybe(&mut step, "approvalId", approval, rng);
    maybe(&mut step, "gateMessage", json!("May it?"), rng);
    for key in ["lastTransitionAt", "nextAttemptAt"] {
        let at = time(rng);
        maybe(&mut step, key, at, rng);
    }
    let reason = word(REASONS, rng);
    maybe(&mut step, "statusReason", reason, rng);
    Value::Object(step)
}

/// What a run leaves behind.
pub fn artifact(rng: &mut ChaCha8Rng) -> Value {
    let mut artifact = Map::from_iter([
        ("kind".to_owned(), json!("RunArtifact")),
        ("runId".to_owned(), json!(RUN_ID)),
        ("name".to_owned(), word(["report", "bundle"], rng)),
        ("type".to_owned(), word(["file", "object"], rng)),
        ("status".to_owned(), word(["pending", "captured", "failed"], rng)),
    ]);
    for (key, text) in [("sourcePath", "/out/a"), ("storedPath", "runs/a"), ("notes", "n"), ("expressionJson", "{...}")]
    {
        maybe(&mut artifact, key, json!(text), rng);
    }
    let at = time(rng);
    maybe(&mut artifact, "capturedAt", at, rng);
    Value::Object(artifact)
}

/// An entry of a log.
pub fn entry(rng: &mut ChaCha8Rng) -> Map<String, Value> {
    let mut entry = Map::from_iter([
        ("timestamp".to_owned(), time(rng)),
        ("level".to_owned(), word(["debug", "info", "warn", "error"], rng)),
        ("eventType".to_owned(), word(["step.log", "step.started"], rng)),
        ("message".to_owned(), word(["", "hello"], rng)),
    ]);
    maybe(&mut entry, "stepId", json!("build"), rng);
    maybe(&mut entry, "metadata", json!({"attempt": "1", "reason": ""}), rng);
    maybe(&mut entry, "seq", json!(rng.random_range(0..9)), rng);
    entry
}

/// A part of a log: a list of entries, or one of them in the item itself.
pub fn log(rng: &mut ChaCha8Rng) -> Value {
    let mut item = Map::from_iter([("kind".to_owned(), json!("RunLog")), ("runId".to_owned(), json!(RUN_ID))]);
    if rng.random_bool(0.3) {
        item.extend(entry(rng));
    } else {
        let entries: Vec<Value> = (0..rng.random_range(0..5)).map(|_| Value::Object(entry(rng))).collect();
        item.insert("entries".to_owned(), json!(entries));
    }
    Value::Object(item)
}

/// Any item.
pub fn item(rng: &mut ChaCha8Rng) -> Value {
    match rng.random_range(0..3) {
        0 => state(rng),
        1 => artifact(rng),
        _ => log(rng),
    }
}
