//! What is wrong with a manifest is told, with its place.

use packtrail::domain::taskpack::{MAX_ERRORS, plan};
use serde_json::{Map, Value, json};

use super::pack::{errors_of, inputs, object, pack, planned, refused, rich, run, text, with, without};

/// What is not as claimed: some error has this path and message, and no error has another path.
pub fn objection(case: &str, errors: &[(String, String)], path: &str, fragment: &str) -> Option<String> {
    let found = errors.iter().any(|(at, message)| at == path && message.contains(fragment));
    let others = errors.iter().any(|(at, _)| at != path);
    (!found || others).then(|| format!("{case}: wanted only {path}: {fragment}, found {errors:#?}"))
}

#[track_caller]
fn claim(case: &str, errors: &[(String, String)], path: &str, fragment: &str) {
    assert_eq!(objection(case, errors, path, fragment), None);
}

#[test]
fn the_rich_manifest_is_good() {
    assert_eq!(planned(&rich()).steps.len(), 8);
}

#[test]
fn what_is_missing_is_told_at_its_place() {
    for (pointer, path) in [
        ("/apiVersion", "apiVersion"),
        ("/kind", "kind"),
        ("/metadata", "metadata"),
        ("/metadata/name", "metadata.name"),
        ("/metadata/version", "metadata.version"),
        ("/metadata/maintainers/0/name", "metadata.maintainers[0].name"),
        ("/spec", "spec"),
        ("/spec/steps", "spec.steps"),
        ("/spec/inputs/3/type", "spec.inputs[3].type"),
        ("/spec/approvals/1/id", "spec.approvals[1].id"),
        ("/spec/steps/7/id", "spec.steps[7].id"),
        ("/spec/steps/3/parallel/steps/0/run/uses", "spec.steps[3].parallel.steps[0].run.uses"),
        ("/spec/steps/1/gate/approval/id", "spec.steps[1].gate.approval.id"),
        ("/spec/steps/2/gate/policy/policyId", "spec.steps[2].gate.policy.policyId"),
        ("/spec/steps/4/map/items", "spec.steps[4].map.items"),
        ("/spec/steps/4/map/step", "spec.steps[4].map.step"),
        ("/spec/steps/5/loop/items", "spec.steps[5].loop.items"),
        ("/spec/steps/5/loop/items/range/start", "spec.steps[5].loop.items.range.start"),
        ("/spec/steps/6/conditional/branches/0/condition", "spec.steps[6].conditional.branches[0].condition"),
        ("/spec/outputs/0/name", "spec.outputs[0].name"),
        ("/spec/outputs/0/type", "spec.outputs[0].type"),
    ] {
        let manifest = without(rich(), pointer);
        let errors = refused(&text(&manifest), &inputs());
        let found = errors.iter().any(|(at, message)| at == path && message == "is required");
        assert!(found, "{pointer}: {errors:#?}");
    }
    let errors = refused(&text(&without(rich(), "/spec/steps/7/run")), &inputs());
    assert!(errors.iter().any(|(at, message)| at == "spec.steps[7]" && message.contains("it has none")), "{errors:#?}");
    claim(
        "steps",
        &refused(&text(&with(rich(), "/spec/outputs", json!([{"name": "x", "type": "file"}]))), &inputs()),
        "spec.outputs[0]",
        "exactly one",
    );
}

#[test]
fn a_text_that_is_not_good_yaml_is_an_error_of_the_manifest() {
    let good = "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: p, version: 1.0.0}\nspec:\n  steps:\n  - {id: a, run: {uses: x, with: {v: 1}}}\n";
    assert!(plan(good, &Map::new()).is_ok());
    let mut objections = Vec::new();
    let changed = |from: &str, to: &str| good.replace(from, to);
    for (manifest, fragment) in [
        (String::new(), "empty"),
        ("# nothing\n".to_owned(), "empty"),
        ("~".to_owned(), "empty"),
        ("[1, 2]".to_owned(), "must be a mapping"),
        ("hello".to_owned(), "must be a mapping"),
        ("a: [1".to_owned(), "line"),
        ("a:\n\t- 1".to_owned(), "line"),
        (good.to_owned() + "---\n" + good, "more than one document"),
        (good.to_owned() + "kind: TaskPack\n", "the key 'kind' comes twice"),
        (changed("v: 1", "v: 1, v: 2"), "the key 'v' comes twice, line 6"),
        (changed("v: 1", "v: no"), "wants quotes"),
        (changed("v: 1", "v: Yes"), "wants quotes"),
        (changed("v: 1", "v: 012"), "wants quotes"),
        (changed("v: 1", "v: 0x1F"), "wants quotes"),
        (changed("v: 1", "v: 1e3"), "wants quotes"),
        (changed("v: 1", "v: .nan"), "wants quotes"),
        (changed("v: 1", "v: -.inf"), "wants quotes"),
        (changed("v: 1", "v: 12:30"), "wants quotes"),
        (changed("v: 1", "v: !!str 1"), "tags are not accepted"),
        (changed("v: 1", "v: !secret x"), "tags are not accepted"),
        (changed("v: 1", "<<: {v: 2}"), "merge keys"),
        (changed("v: 1", "1: 2"), "a key that is no string"),
        (changed("v: 1", "true: 2"), "a key that is no string"),
        (changed("v: 1", "[a]: 2"), "a key is not a string"),
        (changed("v: 1", "v: *nobody"), "line"),
        (changed("v: 1", "v: &a [*a]"), "inside its own anchor"),
        (changed("v: 1", "v: \"a\\0b\""), "NUL"),
        (changed("v: 1", "v: {{ inputs.target }}"), "a template wants quotes"),
        ("target: {{ inputs.target }}\n".to_owned(), "a template wants quotes"),
        ("target: {{ inputs.target }} tail\n".to_owned(), "a template wants quotes"),
        ("target:\n  - {{ steps.a.outputs }}\n".to_owned(), "a template wants quotes"),
    ] {
        objections.extend(objection(&manifest, &refused(&manifest, &Map::new()), "manifest", fragment));
    }
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn wrong_inputs_are_told_at_the_input() {
    for (given, path, fragment) in [
        (json!({}), "inputs.target", "is required"),
        (json!({"target": null}), "inputs.target", "is required"),
        (json!({"target": 5}), "inputs.target", "must be a string"),
        (json!({"target": "x"}), "inputs.target", "shorter than 2"),
        (json!({"target": "app", "nope": 1}), "inputs.nope", "unknown input 'nope'"),
        (json!({"target": "app", "replicas": "2"}), "inputs.replicas", "must be an integer"),
        (json!({"target": "app", "replicas": 2.5}), "inputs.replicas", "must be an integer"),
        (json!({"target": "app", "replicas": 11}), "inputs.replicas", "maximum"),
        (json!({"target": "app", "replicas": u64::MAX}), "inputs.replicas", "2^53"),
        (json!({"target": "app", "regions": {}}), "inputs.regions", "must be a list"),
        (json!({"target": "app", "regions": ["eu", 7]}), "inputs.regions[1]", "string"),
        (
            json!({"target": "app", "config": {"a": {"b": [1, 9_007_199_254_740_992_i64]}}}),
            "inputs.config.a.b[1]",
            "2^53",
        ),
        (json!({"target": "app", "config": []}), "inputs.config", "must be an object"),
        (json!({"target": "app", "config": {"a": "\u{0}"}}), "inputs.config.a", "NUL"),
        (json!({"target": "app", "dry-run": "true"}), "inputs.dry-run", "true or false"),
        (json!({"target": "app", "dry-run": 0}), "inputs.dry-run", "true or false"),
        (json!({"target": "app", "ratio": true}), "inputs.ratio", "must be a number"),
        (json!({"target": "x".repeat(1_100_000)}), "inputs", "1048576 bytes"),
    ] {
        let errors = refused(&text(&rich()), &object(given.clone()));
        claim(&given.to_string()[..given.to_string().len().min(80)], &errors, path, fragment);
    }
}

#[test]
fn good_inputs_are_taken_in_their_one_form() {
    let given = json!({"target": "app", "replicas": 5.0, "ratio": 3, "config": null, "dry-run": true});
    let plan = plan(&text(&rich()), &object(given)).unwrap();
    let expected = json!({"target": "app", "replicas": 5, "regions": ["eu", "us"], "dry-run": true, "ratio": 3});
    assert_eq!(Value::Object(plan.inputs), expected);
}

#[test]
fn one_mistake_hides_no_other() {
    let mut manifest = rich();
    for (pointer, value) in [
        ("/spec/inputs/1/default", json!("x")),
        ("/spec/steps/0/run/uses", json!("")),
        ("/spec/steps/1/gate/approval/id", json!("nobody")),
        ("/spec/steps/3/parallel/maxParallel", json!(0)),
        ("/spec/steps/7/when", json!("steps.ghost.outputs")),
        ("/spec/outputs/0/name", json!("..")),
        ("/spec/slo/maxQueueDepth", json!(-1)),
        ("/wrong", json!(1)),
    ] {
        manifest = with(manifest, pointer, value);
    }
    let mut paths: Vec<String> = refused(&text(&manifest), &Map::new()).into_iter().map(|(path, _)| path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "inputs.target",
            "spec.inputs[1].default",
            "spec.outputs[0].name",
            "spec.slo.maxQueueDepth",
            "spec.steps[0].run.uses",
            "spec.steps[1].gate.approval.id",
            "spec.steps[3].parallel.maxParallel",
            "spec.steps[7].when",
            "wrong",
        ]
    );
    let errors = errors_of(json!([
        {"id": "a", "map": {"items": "inputs.target", "step": run("b")}},
        {"id": "c", "when": "abs('x')", "run": {"uses": "x"}},
        {"id": "d", "map": {"items": "inputs.absent", "step": run("e")}}
    ]));
    let paths: Vec<&str> = errors.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["spec.steps[0].map.items", "spec.steps[1].when", "spec.steps[2].map.items"]);
}

#[test]
fn no_more_errors_are_told_than_a_reader_wants() {
    let steps: Vec<Value> = (0..500).map(|n| json!({"id": format!("s{n}"), "run": {"uses": ""}})).collect();
    assert_eq!(errors_of(json!(steps)).len(), MAX_ERRORS);
    let long = format!("a{}", "b".repeat(10_000));
    let errors = refused(&text(&with(pack(json!([run("a")])), &format!("/{long}"), json!(1))), &Map::new());
    assert!(errors[0].0.len() < 400 && errors[0].1.len() < 400);
}

#[test]
fn a_step_knows_only_what_has_ended_before_it() {
    let reads = |id: &str, step: &str| json!({"id": id, "run": {"uses": "x", "with": {"v": format!("{{{{ steps.{step}.outputs.x }}}}")}}});
    let good = json!([
        run("my-step"), reads("b", "\"my-step\""),
        {"id": "p", "parallel": {"steps": [reads("p1", "b"), {"id": "m", "map": {"items": "inputs.list", "step":
            {"id": "c", "conditional": {"branches": [{"condition": "steps.b.outputs.x", "steps": [run("c1"), reads("c2", "c1")]}]}}}}]}},
        reads("d", "p1"), reads("e", "m"), reads("f", "p")
    ]);
    let made = packtrail::domain::taskpack::plan(&text(&pack(good)), &Map::new());
    assert!(made.is_ok(), "{made:#?}");
    let nested =
        |step: Value| json!([{"id": "l", "loop": {"items": {"static": [1]}, "body": [run("l1"), step]}}, run("after")]);
    let path = "spec.steps[0].loop.body[1].run.with.v";
    claim("loop", &errors_of(nested(reads("l2", "l"))), path, "around");
    claim("loop", &errors_of(nested(reads("l2", "l2"))), path, "itself");
    claim("loop", &errors_of(nested(reads("l2", "after"))), path, "later");
}

#[test]
fn iterators_are_known_only_inside_and_have_names_of_their_own() {
    let inner = json!({"id": "in", "map": {"items": "item", "step": run("leaf")}});
    let errors = errors_of(json!([{"id": "out", "map": {"items": [[1], [2]], "step": inner}}]));
    let paths: Vec<&str> = errors.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["spec.steps[0].map.step.map.iterator", "spec.steps[0].map.step.map.index"]);
    let outer = json!([{"id": "l", "loop": {"items": {"expression": "inputs.list"}, "body": [
        {"id": "m", "map": {"items": "item", "iterator": "i", "index": "n", "step": run("x")}}]}}]);
    claim("map in loop", &errors_of(outer), "spec.steps[0].loop.body[0].map.items", "use a loop");
    let after = json!([{"id": "m", "map": {"items": [1], "step": run("x")}}, {"id": "y", "when": "item", "run": {"uses": "x"}}]);
    claim("after", &errors_of(after), "spec.steps[1].when", "unknown name 'item'");
}
