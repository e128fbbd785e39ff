//! Manifests that ask for too much are refused by what they count, not by how long they take.

use packtrail::domain::taskpack::{
    MAX_ALIASES, MAX_MANIFEST, MAX_NODES, MAX_PLAN_BYTES, MAX_YAML_DEPTH, MAX_YAML_NODES, plan,
};
use serde_json::{Map, Value, json};

use super::pack::{errors_of, object, pack, plan_of, refused, run, text};

fn only(errors: &[(String, String)], path: &str, fragment: &str) {
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!(errors[0].0, path);
    assert!(errors[0].1.contains(fragment), "{errors:#?}");
}

#[test]
fn a_large_manifest_is_refused_unread() {
    let manifest = format!("a: \"{}\"", "x".repeat(MAX_MANIFEST));
    only(&refused(&manifest, &Map::new()), "manifest", "262144 bytes");
}

#[test]
fn the_values_of_a_manifest_are_counted() {
    let manifest = format!("a: [{}]", vec!["0"; MAX_YAML_NODES].join(","));
    only(&refused(&manifest, &Map::new()), "manifest", "20000 values");
}

#[test]
fn the_depth_of_a_manifest_is_bounded() {
    for depth in [MAX_YAML_DEPTH + 1, 2_000, 100_000] {
        for unit in ["[", "{a: ", "- "] {
            let manifest: String = unit.repeat(depth).chars().take(MAX_MANIFEST).collect();
            let errors = refused(&manifest, &Map::new());
            assert_eq!(errors[0].0, "manifest", "{unit}: {errors:#?}");
        }
    }
    let ok = format!("a: {}{}", "[".repeat(MAX_YAML_DEPTH - 1), "]".repeat(MAX_YAML_DEPTH - 1));
    assert!(!refused(&ok, &Map::new()).iter().any(|(path, _)| path == "manifest"));
    let inside = format!("x: &x {}1{}\na: {}*x{}", "[".repeat(20), "]".repeat(20), "[".repeat(20), "]".repeat(20));
    only(&refused(&inside, &Map::new()), "manifest", "nested too deeply");
}

#[test]
fn aliases_count_as_what_they_stand_for() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let line = format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 2].join(", "));
        bomb.push_str(&line);
    }
    assert!(bomb.matches('*').count() <= MAX_ALIASES);
    assert!(!refused(&bomb, &Map::new()).iter().any(|(path, _)| path == "manifest"));
    let wide = format!("a: &a [{}]\nb: [{}]", vec!["x"; 1_500].join(", "), vec!["*a"; 15].join(", "));
    only(&refused(&wide, &Map::new()), "manifest", "20000 values");
    let text = format!("a: &a \"{}\"\nb: [{}]", "x".repeat(200_000), vec!["*a"; 15].join(", "));
    only(&refused(&text, &Map::new()), "manifest", "values");
    let many = format!("a: &a x\nb: [{}]", vec!["*a"; MAX_ALIASES + 1].join(", "));
    only(&refused(&many, &Map::new()), "manifest", "20 aliases");
}

#[test]
fn a_map_is_counted_before_it_is_made() {
    let items = |n: usize| (0..n).collect::<Vec<_>>();
    let map = |n: usize, step: Value| json!({"id": "m", "map": {"items": items(n), "step": step}});
    let inner =
        |n: usize| json!({"id": "in", "map": {"items": items(n), "iterator": "i", "index": "k", "step": run("leaf")}});
    only(&errors_of(json!([map(1_000, inner(1_000))])), "spec.steps[0].map", "5000 steps");
    only(&errors_of(json!([run("a"), map(MAX_NODES, run("x"))])), "spec.steps[1].map", "5000 steps");
    assert_eq!(plan_of(json!([map(MAX_NODES - 1, run("x"))])).steps().count(), MAX_NODES);
    let from_inputs = json!({"id": "m", "map": {"items": "inputs.list", "step":
        {"id": "in", "map": {"items": "inputs.list", "iterator": "i", "index": "k", "step": run("leaf")}}}});
    let given = object(json!({"list": items(1_000)}));
    only(&refused(&text(&pack(json!([from_inputs]))), &given), "spec.steps[0].map.step.map", "5000 steps");
}

#[test]
fn one_map_too_large_hides_no_other() {
    let map =
        |id: &str| json!({"id": id, "map": {"items": (0..6_000).collect::<Vec<_>>(), "step": run(&format!("{id}-x"))}});
    let errors = errors_of(json!([map("a"), run("b"), map("c")]));
    let paths: Vec<&str> = errors.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["spec.steps[0].map", "spec.steps[2].map"]);
}

#[test]
fn what_the_steps_hold_is_counted_for_each_item() {
    let with = json!({"text": "x".repeat(150_000)});
    let step = json!({"id": "x", "run": {"uses": "x", "with": with}});
    let map = json!({"id": "m", "map": {"items": (0..3_000).collect::<Vec<_>>(), "step": step}});
    only(&errors_of(json!([map])), "spec.steps[0].map", &format!("{MAX_PLAN_BYTES} bytes"));
    let leaf = json!({"id": "in", "map": {"items": "inputs.list", "iterator": "i", "index": "k", "step": run("leaf")}});
    let outer = json!({"id": "m", "map": {"items": ["y".repeat(200_000)], "step": leaf}});
    let given = object(json!({"list": (0..1_000).collect::<Vec<_>>()}));
    only(&refused(&text(&pack(json!([outer]))), &given), "spec.steps[0].map.step.map", "bytes");
}

#[test]
fn nesting_is_bounded() {
    fn nest(level: usize) -> Value {
        let id = format!("s{level}");
        if level == 1 { run(&id) } else { json!({"id": id, "parallel": {"steps": [nest(level - 1)]}}) }
    }
    assert_eq!(plan_of(json!([nest(8)])).steps().count(), 8);
    let path = format!("spec.steps[0]{}", ".parallel.steps[0]".repeat(8));
    only(&errors_of(json!([nest(9)])), &path, "deeper than 8");
}

#[test]
fn the_work_of_all_conditions_is_bounded() {
    let step = json!({"id": "x", "when": "length(sort(inputs.list)) == item", "run": {"uses": "x"}});
    let map = json!({"id": "m", "map": {"items": (0..4_000).collect::<Vec<_>>(), "step": step}});
    let given = object(json!({"list": (0..700).collect::<Vec<_>>()}));
    let errors = refused(&text(&pack(json!([map]))), &given);
    assert!(
        errors
            .iter()
            .all(|(path, message)| path == "spec.steps[0].map.step.when" && message.contains("too many steps"))
    );
}

#[test]
fn the_work_of_skipped_maps_is_counted_too() {
    let inner = json!({"id": "in", "when": false, "map": {
        "items": "sort(inputs.list)", "iterator": "i", "index": "k", "step": run("leaf")}});
    let map = json!({"id": "m", "map": {"items": (0..1_000).collect::<Vec<_>>(), "step": inner}});
    let last = json!({"id": "z", "when": "inputs.list", "run": {"uses": "x"}});
    let given = object(json!({"list": (0..3_000).map(|n| n.to_string()).collect::<Vec<_>>()}));
    let errors = refused(&text(&pack(json!([map, last]))), &given);
    assert!(errors.iter().all(|(_, message)| message.contains("too many steps")), "{errors:#?}");
    assert!(errors.iter().any(|(path, _)| path == "spec.steps[1].when"), "{errors:#?}");
}

#[test]
fn a_schema_cannot_ask_for_much_work() {
    let packed = |schema: Value| {
        let mut manifest = pack(json!([run("a")]));
        manifest["spec"]["inputs"] = json!([{"name": "v", "type": "string", "schema": schema}]);
        text(&manifest)
    };
    let given = object(json!({"v": format!("{}!", "a".repeat(50_000))}));
    let errors = refused(&packed(json!({"pattern": "^(a+)+$"})), &given);
    assert_eq!(errors[0].0, "inputs.v");
    let errors = refused(&packed(json!({"pattern": "((a{1,100}){1,100}){1,100}"})), &given);
    only(&errors, "spec.inputs[0].schema", "is no JSON Schema");
    let many: Vec<Value> = (0..3_000).map(|n| json!({"minLength": n})).collect();
    let errors = refused(&packed(json!({"allOf": many})), &given);
    only(&errors, "inputs.v", "too large for its schema");
    let good = packed(json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "pattern": "^a+!$"}));
    assert!(plan(&good, &given).is_ok());
    let named = json!({"properties": {"$ref": {"type": "string"}}, "enum": [{"$id": 1}, "x", format!("{}!", "a".repeat(50_000))]});
    assert!(plan(&packed(named), &given).is_ok());
}
