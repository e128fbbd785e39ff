//! Items are read as the contract has them, and refused where they break it.

use packtrail::domain::run::MAX_STEPS;
use packtrail::domain::run::import::{ImportItem, MAX_ENTRIES, MAX_NAME, MAX_TEXT};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::reports::{self, RUN_ID};
use super::{cases, read, refusal};

/// What the contract asks for of an object of these members, and what it allows.
const RUN: (&[&str], &[&str]) = (&["runId", "planHash", "failurePolicy", "createdAt", "updatedAt", "steps"], &[]);
const POLICY: (&[&str], &[&str]) = (&["maxAttempts", "backoffSeconds", "continueOnError"], &[]);
const STEP: (&[&str], &[&str]) = (
    &["stepId", "kind", "enabled", "continueOnError", "status", "attempts"],
    &["maxParallel", "approvalId", "gateMessage", "lastTransitionAt", "nextAttemptAt", "statusReason"],
);
const ENTRY: (&[&str], &[&str]) = (&["timestamp", "level", "eventType", "message"], &["stepId", "metadata"]);
const ARTIFACT: (&[&str], &[&str]) =
    (&["runId", "name", "type", "status"], &["sourcePath", "storedPath", "notes", "capturedAt", "expressionJson"]);

/// A random object within an item: its path, its JSON pointer, and what the contract says of it.
fn place(item: &Value, rng: &mut ChaCha8Rng) -> (String, String, (&'static [&'static str], &'static [&'static str])) {
    let within = |list: &str, rng: &mut ChaCha8Rng| {
        let count = item[list].as_array().map_or(0, Vec::len);
        (count > 0).then(|| rng.random_range(0..count)).map(|n| (format!("$.{list}[{n}]"), format!("/{list}/{n}")))
    };
    let root = ("$".to_owned(), String::new());
    match (item["kind"].as_str().unwrap(), rng.random_range(0..3)) {
        ("Run", 0) => (root.0, root.1, RUN),
        ("Run", 1) => ("$.failurePolicy".to_owned(), "/failurePolicy".to_owned(), POLICY),
        ("Run", _) => within("steps", rng).map_or((root.0, root.1, RUN), |(path, at)| (path, at, STEP)),
        ("RunArtifact", _) => (root.0, root.1, ARTIFACT),
        _ if item.get("entries").is_none() => (root.0, root.1, ENTRY),
        _ => {
            let empty: (&[&str], &[&str]) = (&["runId"], &[]);
            within("entries", rng).map_or((root.0, root.1, empty), |(path, at)| (path, at, ENTRY))
        }
    }
}

fn members<'a>(item: &'a mut Value, pointer: &str) -> &'a mut Map<String, Value> {
    item.pointer_mut(pointer).unwrap().as_object_mut().unwrap()
}

#[test]
fn what_is_missing_or_of_another_type_is_told_with_its_path() {
    for (seed, mut rng) in cases() {
        let item = reports::item(&mut rng);
        let (path, pointer, (required, optional)) = place(&item, &mut rng);
        for key in required.iter().chain(optional) {
            let mut wrong = item.clone();
            let is_list = matches!(*key, "steps" | "entries");
            members(&mut wrong, &pointer).insert((*key).to_owned(), if is_list { json!("x") } else { json!([1]) });
            assert_eq!(refusal(&wrong).0, format!("{path}.{key}"), "seed {seed}");
        }
        for key in required {
            let mut without = item.clone();
            members(&mut without, &pointer).shift_remove(*key);
            assert_eq!(refusal(&without), (path.clone(), format!("\"{key}\" is missing")), "seed {seed}");
            let mut null = item.clone();
            members(&mut null, &pointer).insert((*key).to_owned(), Value::Null);
            assert_eq!(refusal(&null).0, format!("{path}.{key}"), "seed {seed}");
        }
        for key in optional {
            let mut without = item.clone();
            members(&mut without, &pointer).shift_remove(*key);
            let mut null = without.clone();
            members(&mut null, &pointer).insert((*key).to_owned(), Value::Null);
            assert_eq!(read(&null), read(&without), "seed {seed}");
        }
    }
}

#[test]
fn what_is_read_is_written_as_the_contract_has_it_and_read_the_same() {
    for (seed, mut rng) in cases() {
        let item = reports::item(&mut rng);
        let first = read(&item);
        let mut written = match &first {
            ImportItem::Run(report) => serde_json::to_value(report).unwrap(),
            ImportItem::Artifact { artifact, .. } => serde_json::to_value(artifact).unwrap(),
            ImportItem::Log { entries, .. } => json!({ "entries": entries }),
        };
        written["kind"] = item["kind"].clone();
        written["runId"] = json!(first.run_id());
        assert_eq!(read(&written), first, "seed {seed}");
        if let ImportItem::Run(report) = &first {
            let kept: packtrail::domain::run::import::RunReport =
                serde_json::from_value(serde_json::to_value(report).unwrap()).unwrap();
            assert_eq!(&kept, report.as_ref(), "seed {seed}");
        }
    }
}

#[test]
fn members_that_the_contract_does_not_know_are_passed_over() {
    for (seed, mut rng) in cases() {
        let item = reports::item(&mut rng);
        let (_, pointer, _) = place(&item, &mut rng);
        let mut more = item.clone();
        members(&mut more, &pointer).insert("sequence".to_owned(), json!({"deep": [1, null]}));
        assert_eq!(read(&more), read(&item), "seed {seed}");
    }
}

#[test]
fn other_kinds_and_kubernetes_records_are_no_reports() {
    let mut record = reports::state(&mut cases().next().unwrap().1);
    record["apiVersion"] = json!("example.org/v1");
    for item in [json!({}), json!({"kind": 1}), json!({"kind": "run"}), json!({"kind": "Pod"}), record] {
        assert_eq!(ImportItem::read(item.as_object().unwrap()), Ok(None), "{item}");
    }
}

fn state() -> Value {
    json!({
        "kind": "Run", "runId": RUN_ID, "planHash": format!("sha256:{}", "a1".repeat(32)),
        "failurePolicy": {"maxAttempts": 1, "backoffSeconds": 0, "continueOnError": false},
        "createdAt": "2025-12-06T10:00:00Z", "updatedAt": "2025-12-06T10:00:00Z",
        "steps": [
            {"stepId": "a", "kind": "Run", "enabled": true, "continueOnError": false, "status": "Pending", "attempts": 0},
            {"stepId": "b", "kind": "Run", "enabled": true, "continueOnError": false, "status": "Pending", "attempts": 0},
        ],
    })
}

fn entry() -> Value {
    json!({
        "kind": "RunLog", "runId": RUN_ID, "timestamp": "2025-12-06T10:00:00Z", "level": "info",
        "eventType": "run.created", "message": "Run created via API.",
    })
}

#[test]
fn values_beyond_the_contract_are_refused_where_they_are() {
    let upper = format!("{}", u64::from(u32::MAX) + 1).parse::<u64>().unwrap();
    for (pointer, value, path, message) in [
        ("/runId", json!(""), "$.runId", "the text is not 1 to 128 letters, digits, _ and -"),
        ("/runId", json!("a/b"), "$.runId", "the text is not 1 to 128 letters, digits, _ and -"),
        ("/runId", json!("a".repeat(129)), "$.runId", "the text is not 1 to 128 letters, digits, _ and -"),
        ("/planHash", json!("sha 256"), "$.planHash", "the text is not 1 to 128 visible characters"),
        ("/planHash", json!("é".repeat(129)), "$.planHash", "the text is not 1 to 128 visible characters"),
        ("/updatedAt", json!("yesterday"), "$.updatedAt", "the value is no RFC 3339 date-time"),
        ("/updatedAt", json!(0), "$.updatedAt", "the value is no RFC 3339 date-time"),
        (
            "/failurePolicy/maxAttempts",
            json!(0),
            "$.failurePolicy.maxAttempts",
            "the value is no integer from 1 to 4294967295",
        ),
        (
            "/steps/1/status",
            json!("pending"),
            "$.steps[1].status",
            "the value is none of Pending, Running, Succeeded, Failed, Skipped",
        ),
        ("/steps/1/status", json!({"Pending": null}), "$.steps[1].status", ""),
        ("/steps/0/kind", json!("gate.approval"), "$.steps[0].kind", ""),
        ("/steps/0/attempts", json!(-1), "$.steps[0].attempts", ""),
        ("/steps/0/attempts", json!(-0.5), "$.steps[0].attempts", ""),
        ("/steps/0/attempts", json!(1.5), "$.steps[0].attempts", ""),
        ("/steps/0/attempts", json!(1e300), "$.steps[0].attempts", ""),
        ("/steps/0/attempts", json!(upper), "$.steps[0].attempts", ""),
        ("/steps/0/attempts", json!("1"), "$.steps[0].attempts", ""),
        ("/steps/0/stepId", json!(""), "$.steps[0].stepId", "the text is empty"),
        ("/steps/0/stepId", json!("s".repeat(MAX_NAME + 1)), "$.steps[0].stepId", ""),
        ("/steps/0/approvalId", json!(""), "$.steps[0].approvalId", "the text is empty"),
        ("/steps/1/stepId", json!("a"), "$.steps[1].stepId", "another step has the same id"),
        ("/steps/1", json!("a"), "$.steps[1]", "the value is no object"),
        ("/failurePolicy", json!("strict"), "$.failurePolicy", "the value is no object"),
    ] {
        let mut item = state();
        item["steps"][0]["approvalId"] = json!("go");
        *item.pointer_mut(pointer).unwrap() = value;
        let (at, why) = refusal(&item);
        assert_eq!(at, path, "{why}");
        assert!(message.is_empty() || why == message, "{why}");
    }
}

#[test]
fn an_integer_may_be_spelled_as_a_float() {
    for (spelled, meant) in [(json!(3.0), 3), (json!(0.0), 0), (json!(-0.0), 0), (json!(4_294_967_295.0), u32::MAX)] {
        let mut item = state();
        item["steps"][0]["attempts"] = spelled;
        assert_eq!(super::report(&item).steps[0].attempts, meant);
    }
}

#[test]
fn only_a_hash_that_breaks_the_contract_is_warned_of() {
    let mut item = state();
    assert_eq!(read(&item).warnings(), []);
    item["planHash"] = json!("sha256:A1b2c3d4...");
    let warnings = read(&item).warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].path.to_string(), "$.planHash");
    assert_eq!(super::report(&item).plan_hash, "sha256:A1b2c3d4...");
}

#[test]
fn entries_are_refused_where_they_are() {
    for (key, value, path) in [
        ("message", json!("m".repeat(MAX_TEXT + 1)), "$.message"),
        ("level", json!("INFO"), "$.level"),
        ("metadata", json!({"a": "b", "attempt": 1}), "$.metadata.attempt"),
        ("metadata", json!({"a b": null}), "$.metadata[\"a b\"]"),
        ("metadata", json!(["a"]), "$.metadata"),
        ("eventType", json!("e".repeat(MAX_NAME + 1)), "$.eventType"),
    ] {
        let mut inline = entry();
        inline[key] = value;
        assert_eq!(refusal(&inline).0, path);
        let listed = json!({"kind": "RunLog", "runId": RUN_ID, "entries": [entry(), inline]});
        assert_eq!(refusal(&listed).0, path.replacen('$', "$.entries[1]", 1));
    }
    let mut longest = entry();
    longest["message"] = json!("m".repeat(MAX_TEXT));
    assert!(matches!(read(&longest), ImportItem::Log { entries, .. } if entries[0].message.len() == MAX_TEXT));
}

#[test]
fn lists_are_bounded() {
    let steps = |count: usize| {
        let mut item = state();
        let step = item["steps"][0].clone();
        let steps = (0..count).map(|n| {
            let mut step = step.clone();
            step["stepId"] = json!(format!("s{n}"));
            step
        });
        item["steps"] = steps.collect();
        item
    };
    assert_eq!(super::report(&steps(MAX_STEPS)).steps.len(), MAX_STEPS);
    assert_eq!(
        refusal(&steps(MAX_STEPS + 1)),
        ("$.steps".to_owned(), "the array has more than 5000 elements".to_owned())
    );
    let log = |count: usize| json!({"kind": "RunLog", "runId": RUN_ID, "entries": vec![entry(); count]});
    assert!(matches!(read(&log(MAX_ENTRIES)), ImportItem::Log { entries, .. } if entries.len() == MAX_ENTRIES));
    assert_eq!(refusal(&log(MAX_ENTRIES + 1)).0, "$.entries");
}

/// The examples of an answer of the contract.
fn examples(path: &str, content: &str) -> Vec<Value> {
    let contract: Value =
        serde_saphyr::from_str(include_str!("../../../../contracts/taskrunner.openapi.yaml")).unwrap();
    let content = &contract["paths"][path]["get"]["responses"]["200"]["content"][content]["examples"];
    content.as_object().unwrap().values().map(|example| example["value"].clone()).collect()
}

/// An object of an answer of the contract as an item.
fn item(kind: &str, object: &Value) -> Value {
    let mut item = object.clone();
    item["kind"] = json!(kind);
    item["runId"] = json!(RUN_ID);
    item
}

#[test]
fn the_examples_of_the_contract_are_read() {
    let run = "/v1/task-runner/runs/{runId}";
    let states = examples(run, "application/json");
    assert!(!states.is_empty());
    for state in states {
        let read = read(&item("Run", &state));
        assert_eq!(read.warnings().len(), 1, "its hash is shortened");
    }
    let logs = examples(&format!("{run}/logs"), "application/x-ndjson");
    let lines = logs[0].as_str().unwrap().lines();
    let entries: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 4);
    for entry in &entries {
        let listed = json!({"kind": "RunLog", "runId": RUN_ID, "entries": [entry]});
        assert_eq!(read(&item("RunLog", entry)), read(&listed));
    }
    let artifacts = examples(&format!("{run}/artifacts"), "application/json");
    assert_eq!(artifacts[0].as_array().unwrap().len(), 2);
    for artifact in artifacts[0].as_array().unwrap() {
        read(&item("RunArtifact", artifact));
    }
}
