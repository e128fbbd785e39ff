//! Two plans have one hash exactly if they do the same.

use std::collections::HashSet;

use packtrail::domain::taskpack::{Plan, plan};
use serde_json::{Map, Value, json};

use super::pack::{inputs, object, planned, rich, text, with, without};

const SPELLINGS: [&str; 11] = [
    "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: p, version: 1.0.0}\nspec:\n  inputs: [{name: t, type: string, default: app}]\n  steps:\n  - id: a\n    run: {uses: 'x', with: {n: 1, s: two, l: [1, 2]}}\n  - {id: b, run: {uses: x, with: {n: 1, s: two, l: [1, 2]}}}\n",
    // JSON.
    r#"{"apiVersion": "stellaops.io/pack.v1", "kind": "TaskPack", "metadata": {"name": "p", "version": "1.0.0"}, "spec": {"inputs": [{"name": "t", "type": "string", "default": "app"}], "steps": [{"id": "a", "run": {"uses": "x", "with": {"n": 1, "s": "two", "l": [1, 2]}}}, {"id": "b", "run": {"uses": "x", "with": {"n": 1, "s": "two", "l": [1, 2]}}}]}}"#,
    // Other order of keys.
    "kind: TaskPack\nspec:\n  steps:\n  - run: {with: {l: [1, 2], s: two, n: 1}, uses: x}\n    id: a\n  - run: {with: {s: two, l: [1, 2], n: 1}, uses: x}\n    id: b\n  inputs: [{default: app, type: string, name: t}]\nmetadata: {version: 1.0.0, name: p}\napiVersion: stellaops.io/pack.v1\n",
    // Comments, marks and space.
    "---\n# The pack\napiVersion:   stellaops.io/pack.v1 # v1\nkind: TaskPack\n\nmetadata:\n    name: p\n    version: 1.0.0\nspec:\n    inputs:\n        -   name: t\n            type: string\n            default: app\n    steps:\n        -   id: a\n            run:\n                uses: x\n                with: {n: 1, s: two, l: [1, 2]}\n        -   id: b\n            run:\n                uses: x\n                with: {n: 1, s: two, l: [1, 2]}\n...\n",
    // Anchors.
    "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: p, version: 1.0.0}\nspec:\n  inputs: [{name: t, type: string, default: app}]\n  steps:\n  - id: a\n    run: &run {uses: x, with: {n: 1, s: two, l: [1, 2]}}\n  - id: b\n    run: *run\n",
    // Quotes and block scalars.
    "apiVersion: \"stellaops.io/pack.v1\"\nkind: 'TaskPack'\nmetadata: {name: \"p\", version: '1.0.0'}\nspec:\n  inputs: [{name: t, type: string, default: \"\\x61pp\"}]\n  steps:\n  - id: a\n    run:\n      uses: >-\n        x\n      with: {n: 1, s: \"two\", l: [1, 2]}\n  - id: b\n    run:\n      uses: |-\n        x\n      with: {n: 1, s: 'two', l: [1, 2]}\n",
    // Other spellings of numbers.
    "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: p, version: 1.0.0}\nspec:\n  inputs: [{name: t, type: string, default: app}]\n  steps:\n  - id: a\n    run: {uses: x, with: {n: 1.0, s: two, l: [1.00, 2]}}\n  - {id: b, run: {uses: x, with: {n: 1, s: two, l: [1, 2.0e+0]}}}\n",
    // Defaults written out.
    "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: p, version: 1.0.0}\nspec:\n  inputs: [{name: t, type: string, required: false, default: app}]\n  approvals: []\n  secrets: []\n  outputs: []\n  failure: {continueOnError: false, retries: {maxAttempts: 1, backoffSeconds: 0}}\n  steps:\n  - id: a\n    continueOnError: false\n    run: {uses: x, with: {n: 1, s: two, l: [1, 2]}, egress: []}\n  - {id: b, run: {uses: x, with: {n: 1, s: two, l: [1, 2]}}}\n",
    // Absent as null.
    "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: p, version: 1.0.0, description: ~}\nspec:\n  inputs: [{name: t, type: string, default: app, schema: null}]\n  sandbox:\n  slo: null\n  failure:\n  steps:\n  - id: a\n    when: ~\n    name:\n    run: {uses: x, with: {n: 1, s: two, l: [1, 2]}}\n  - {id: b, run: {uses: x, with: {n: 1, s: two, l: [1, 2]}}}\n",
    // What only people read.
    "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: p, version: 1.0.0, description: Some pack, tags: [a], license: MIT, tenantVisibility: private, maintainers: [{name: Team}]}\nspec:\n  inputs: [{name: t, type: string, default: app, description: The target}]\n  steps:\n  - id: a\n    run: {uses: x, with: {n: 1, s: two, l: [1, 2]}}\n  - {id: b, run: {uses: x, with: {n: 1, s: two, l: [1, 2]}}}\n",
    // Windows line ends.
    "apiVersion: stellaops.io/pack.v1\r\nkind: TaskPack\r\nmetadata: {name: p, version: 1.0.0}\r\nspec:\r\n  inputs: [{name: t, type: string, default: app}]\r\n  steps:\r\n  - id: a\r\n    run: {uses: x, with: {n: 1, s: two, l: [1, 2]}}\r\n  - {id: b, run: {uses: x, with: {n: 1, s: two, l: [1, 2]}}}\r\n",
];

#[test]
fn the_spelling_of_a_manifest_does_not_matter() {
    let hashes: HashSet<String> = SPELLINGS
        .iter()
        .map(|manifest| plan(manifest, &Map::new()).unwrap_or_else(|errors| panic!("{manifest}: {errors:#?}")).hash())
        .collect();
    assert_eq!(hashes.len(), 1);
    let given = [json!({"t": "app"}), json!({"t": null}), json!({})];
    let hashes: HashSet<String> =
        given.into_iter().map(|given| plan(SPELLINGS[0], &object(given)).unwrap().hash()).collect();
    assert_eq!(hashes.len(), 1);
}

#[test]
fn the_hash_is_the_one_it_always_was() {
    let hash = plan(SPELLINGS[0], &Map::new()).unwrap().hash();
    assert_eq!(hash, "sha256:ee43d560c87e7f60ead8dd957e2e7c7eec5b253ffea7ad3210f2de5441b4531e");
}

/// What a plan does not depend on: texts for people, and what inputs are declared to be.
fn is_left_out(pointer: &str) -> bool {
    let people = ["/description", "/tags", "/tenantVisibility", "/license", "/maintainers"];
    people.iter().any(|part| pointer.contains(part))
        || pointer.starts_with("/spec/inputs") && ["/type", "/required", "/schema"].iter().any(|part| pointer.contains(part))
        // An input without a value.
        || pointer.starts_with("/spec/inputs/3/")
}

/// Every leaf with its pointer.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                leaves(value, &format!("{pointer}/{}", name.replace('/', "~1")), found);
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            for (index, value) in elements.iter().enumerate() {
                leaves(value, &format!("{pointer}/{index}"), found);
            }
        }
        leaf => found.push((pointer.to_owned(), leaf.clone())),
    }
}

/// Values near a leaf, of which at least one makes a good manifest where the leaf is not fixed.
fn near(leaf: &Value) -> Vec<Value> {
    match leaf {
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => {
            let number = number.as_f64().expect("numbers of JSON are floats");
            vec![json!(number + 1.0), json!(number - 1.0)]
        }
        Value::String(text) => [
            "x",
            "warn",
            "abort",
            "requestOverride",
            "open",
            "first",
            "operations",
            "2.0.0",
            "PT5H",
            "`true`",
            "inputs.target",
            "{{ inputs.regions[0:1] }}",
            "number",
            "array",
            "public",
            "api.example.com:443",
        ]
        .into_iter()
        .map(Value::from)
        .chain([json!(format!("{text}x"))])
        .filter(|other| other != leaf)
        .collect(),
        Value::Array(_) => vec![json!(["x"]), json!([1])],
        Value::Object(_) => vec![json!({"x": 1})],
        Value::Null => vec![json!(1)],
    }
}

/// Leaves that have only one value.
const FIXED: [&str; 2] = ["/apiVersion", "/kind"];

#[test]
fn a_change_of_meaning_changes_the_hash_and_no_other_change_does() {
    let original = planned(&rich()).hash();
    let mut found = Vec::new();
    leaves(&rich(), "", &mut found);
    assert!(found.len() > 100, "{}", found.len());
    let mut seen = HashSet::from([original.clone()]);
    for (pointer, leaf) in found {
        let plans: Vec<(Value, Plan)> = near(&leaf)
            .into_iter()
            .filter_map(|other| Some((other.clone(), plan(&text(&with(rich(), &pointer, other)), &inputs()).ok()?)))
            .collect();
        let is_reference = ["/name", "/type", "/id", "/iterator", "/schema", "/egressAllowlist/0"]
            .iter()
            .any(|end| pointer.ends_with(end));
        assert!(
            !plans.is_empty() || FIXED.contains(&pointer.as_str()) || is_reference || pointer.contains("/schema/"),
            "{pointer}"
        );
        for (other, plan) in plans {
            let hash = plan.hash();
            if is_left_out(&pointer) {
                assert_eq!(hash, original, "{pointer} = {other}");
            } else {
                assert_ne!(hash, original, "{pointer} = {other}");
            }
            seen.insert(hash);
        }
    }
    assert!(seen.len() > 100, "different changes have different hashes: {}", seen.len());
}

#[test]
fn what_is_left_out_of_a_manifest_changes_the_hash_too() {
    let original = planned(&rich()).hash();
    for pointer in [
        "/spec/sandbox/quotaSeconds",
        "/spec/slo",
        "/spec/slo/maxQueueDepth",
        "/spec/approvals/1",
        "/spec/approvals/0/reasonTemplate",
        "/spec/approvals/0/expiresAfter",
        "/spec/approvals/0/grants/0",
        "/spec/secrets/0/scope",
        "/spec/steps/0/name",
        "/spec/steps/0/run/with/deep/none",
        "/spec/steps/0/run/egress",
        "/spec/steps/1/gate/approval/message",
        "/spec/steps/2/gate/policy/policyVersion",
        "/spec/steps/3/parallel/maxParallel",
        "/spec/steps/3/parallel/steps/0",
        "/spec/steps/4/map/maxParallel",
        "/spec/steps/4/map/step/when",
        "/spec/steps/5/loop/aggregation",
        "/spec/steps/6/conditional/else",
        "/spec/steps/7/when",
        "/spec/steps/7/continueOnError",
        "/spec/outputs/0",
        "/spec/failure",
        "/spec/inputs/5/default",
        "/spec/steps/5/loop/maxIterations",
        "/spec/steps/6/conditional/outputUnion",
        "/spec/sandbox/egressAllowlist/1",
    ] {
        let manifest = without(rich(), pointer);
        assert_ne!(planned(&manifest).hash(), original, "{pointer}");
    }
}

#[test]
fn inputs_and_the_order_of_steps_matter_and_the_order_of_names_does_not() {
    let original = planned(&rich()).hash();
    for given in [
        json!({"target": "app:v2"}),
        json!({"target": "app:v1", "replicas": 3}),
        json!({"target": "app:v1", "config": {}}),
        json!({"target": "app:v1", "regions": ["us", "eu"]}),
        json!({"target": "app:v1", "dry-run": true}),
    ] {
        assert_ne!(plan(&text(&rich()), &object(given.clone())).unwrap().hash(), original, "{given}");
    }
    let spelled = json!({"target": "app:v1", "replicas": 2.0, "ratio": 0.25, "dry-run": false, "config": null});
    assert_eq!(plan(&text(&rich()), &object(spelled)).unwrap().hash(), original);
    let mut turned = rich();
    for list in ["/spec/approvals", "/spec/outputs", "/spec/inputs", "/spec/sandbox/egressAllowlist"] {
        turned.pointer_mut(list).unwrap().as_array_mut().unwrap().reverse();
    }
    assert_eq!(planned(&turned).hash(), original);
    let mut steps = rich();
    steps.pointer_mut("/spec/steps").unwrap().as_array_mut().unwrap().swap(1, 2);
    assert_ne!(planned(&steps).hash(), original);
}

#[test]
fn zero_has_no_sign() {
    let pack = |n: &str| SPELLINGS[0].replace("n: 1,", &format!("n: {n},"));
    let hash = |n: &str| plan(&pack(n), &Map::new()).unwrap().hash();
    assert_eq!(hash("0"), hash("-0.0"));
    assert_eq!(hash("0"), hash("-0"));
    assert_eq!(hash("9007199254740991"), hash("9007199254740991.0"));
    assert_ne!(hash("9007199254740991"), hash("9007199254740990"));
    assert_ne!(hash("1"), hash("\"1\""));
}
