//! Laws of planning, on manifests made at random.

use packtrail::domain::taskpack::{Expression, Plan, plan, simulate};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Map, Value, json};

use super::pack::{inputs, pack, planned, rich, text};

fn config() -> Config {
    Config { cases: 200, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..Config::default() }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1_i64 << 53).prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        (-1e-9..1e-9_f64).prop_map(Value::from),
        "[a-zA-Z0-9 é\u{1F600}:#'\"\\\\-]{0,8}".prop_map(Value::from),
        Just(json!("{{ inputs.target }} and {{ inputs.list }}")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-zé.]{0,4}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Steps without ids, which are given afterwards.
fn step() -> impl Strategy<Value = Value> {
    let when = prop_oneof![
        Just(None),
        Just(Some("inputs.target == 'app'")),
        Just(Some("inputs.list[?@ > `5`]")),
        Just(Some("steps.first.outputs.ok")),
    ];
    let leaf = prop_oneof![
        prop::collection::vec(("[a-z]{1,4}", value()), 0..4).prop_map(|members| {
            let with: Map<String, Value> = members.into_iter().collect();
            json!({"run": {"uses": "builtin:x", "with": with}})
        }),
        Just(json!({"gate": {"approval": {"id": "ok", "message": "Go?"}}})),
        (0_u32..3).prop_map(|n| json!({"gate": {"policy": {"policyId": "p", "retryCount": n}}})),
    ];
    let step = leaf.prop_recursive(3, 10, 3, |inner| {
        let some = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            some.clone().prop_map(|steps| json!({"parallel": {"steps": steps}})),
            (prop::collection::vec(0_i64..9, 0..3), inner)
                .prop_map(|(items, step)| json!({"map": {"items": items, "step": step}})),
            (some.clone(), 0_i64..9)
                .prop_map(|(body, end)| json!({"loop": {"items": {"range": {"start": 0, "end": end}}, "body": body}})),
            (some.clone(), some).prop_map(
                |(a, b)| json!({"conditional": {"branches": [{"condition": "inputs.target", "steps": a}], "else": b}})
            ),
        ]
    });
    (step, when).prop_map(|(mut step, when)| {
        if let Some(when) = when {
            step["when"] = json!(when);
        }
        step
    })
}

/// Gives every step an id, and every map and loop names of its own.
fn name(step: &mut Value, next: &mut usize) {
    *next += 1;
    let n = *next;
    step["id"] = json!(format!("s{n}"));
    for kind in ["map", "loop"] {
        if let Some(inner) = step.get_mut(kind) {
            inner["iterator"] = json!(format!("i{n}"));
            inner["index"] = json!(format!("k{n}"));
        }
    }
    for list in ["/parallel/steps", "/loop/body", "/conditional/branches/0/steps", "/conditional/else"] {
        if let Some(Value::Array(steps)) = step.pointer_mut(list) {
            for step in steps {
                name(step, next);
            }
        }
    }
    if let Some(step) = step.pointer_mut("/map/step") {
        name(step, next);
    }
}

fn manifest() -> impl Strategy<Value = Value> {
    prop::collection::vec(step(), 1..5).prop_map(|mut steps| {
        let mut next = 0;
        for step in &mut steps {
            name(step, &mut next);
        }
        steps.insert(0, json!({"id": "first", "run": {"uses": "builtin:first"}}));
        pack(json!(steps))
    })
}

/// The same value with the members of its objects the other way round.
fn turned(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.iter().rev().map(|(name, value)| (name.clone(), turned(value))).collect())
        }
        Value::Array(elements) => elements.iter().map(turned).collect(),
        leaf => leaf.clone(),
    }
}

fn bytes(plan: &Plan) -> String {
    serde_json::to_string(plan).expect("a plan is JSON")
}

/// Texts of expressions, most of them good.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("@".to_owned()),
        Just("*".to_owned()),
        Just("[*]".to_owned()),
        Just("[]".to_owned()),
        Just("`1`".to_owned()),
        Just("'x'".to_owned()),
        Just("[0]".to_owned()),
        (-3_i32..3).prop_map(|n| format!("[{n}]")),
        (-3_i32..3, 1_i32..3).prop_map(|(n, s)| format!("[{n}::{s}]")),
        (-3_i32..3, -3_i32..3).prop_map(|(n, m)| format!("[{n}:{m}:-1]")),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), prop::sample::select(vec![".", "|", "||", "&&", "==", "!=", "<", ">="]))
                .prop_map(|((a, b), between)| format!("{a}{between}{b}")),
            two.clone().prop_map(|(a, b)| format!("[{a},{b}]")),
            two.clone().prop_map(|(a, b)| format!("{{p:{a},q:{b}}}")),
            two.clone().prop_map(|(a, b)| format!("{a}[?{b}]")),
            two.prop_map(|(a, b)| format!("{a}[*].{b}")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("{a}[]")),
            (
                inner,
                prop::sample::select(vec![
                    "type",
                    "to_array",
                    "to_string",
                    "not_null",
                    "length",
                    "keys",
                    "values",
                    "sort",
                    "sum",
                    "max",
                    "reverse"
                ])
            )
                .prop_map(|(a, function)| format!("{function}({a})")),
        ]
    })
}

fn data() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        "[a-b]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-b]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Numbers in one form, as the other implementation does not care for it.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(Config { cases: 4_000, ..config() })]

    #[test]
    fn expressions_give_what_another_implementation_gives(text in expression(), data in data()) {
        let (Ok(ours), Ok(theirs)) = (Expression::parse(&text), jmespath::compile(&text)) else {
            return Ok(());
        };
        match (ours.evaluate(&data), theirs.search(data.clone())) {
            (Ok(ours), Ok(theirs)) => {
                let theirs = serde_json::to_value(&*theirs).unwrap();
                prop_assert!(same(&ours, &theirs), "{} of {}: {} and {}", text, data, ours, theirs);
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{} of {}: {:?} and {:?}", text, data, ours, theirs),
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn planning_twice_gives_the_same_bytes_and_a_stored_plan_is_itself(manifest in manifest()) {
        let once = plan(&text(&manifest), &Map::new()).map_err(|errors| TestCaseError::fail(format!("{errors:#?}")))?;
        let again = plan(&text(&manifest), &Map::new()).unwrap();
        prop_assert_eq!(bytes(&once), bytes(&again));
        let stored: Plan = serde_json::from_str(&bytes(&once)).unwrap();
        prop_assert_eq!(&stored, &once);
        prop_assert_eq!(bytes(&stored), bytes(&once));
        prop_assert_eq!(stored.hash(), once.hash());
        let other_order = plan(&text(&turned(&manifest)), &Map::new()).unwrap();
        prop_assert_eq!(other_order.hash(), once.hash());
    }

    #[test]
    fn a_simulation_has_every_step_once_and_skips_what_is_inside_skipped(manifest in manifest()) {
        let plan = plan(&text(&manifest), &Map::new()).unwrap();
        let mut ids: Vec<&str> = plan.steps().map(|step| step.id.as_str()).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), count);
        let simulated = serde_json::to_value(simulate(&plan)).unwrap();
        let mut open: Vec<(&Value, bool)> = simulated["steps"].as_array().unwrap().iter().map(|step| (step, false)).collect();
        let mut seen = 0;
        while let Some((step, parent_skipped)) = open.pop() {
            seen += 1;
            let skipped = step["status"] == "Skipped";
            prop_assert_eq!(skipped, step["enabled"] == false);
            prop_assert!(skipped || !parent_skipped);
            open.extend(step["children"].as_array().unwrap().iter().map(|step| (step, skipped)));
        }
        prop_assert_eq!(seen, count);
    }

    #[test]
    fn no_text_breaks_the_planner(text in "[ -~\n\t{}\\[\\]:&*!|>'\"#%@é]{0,120}", expression in "[a-c0-9 .|&!@*?<>='`\"(){}\\[\\],:-]{0,40}") {
        let _ = plan(&text, &Map::new());
        let manifest = pack(json!([{"id": "a", "when": expression, "run": {"uses": "x", "with": {"v": format!("{{{{{expression}}}}}")}}}]));
        if let Err(errors) = plan(&super::pack::text(&manifest), &Map::new()) {
            prop_assert!(!errors.is_empty());
        }
    }
}

#[test]
fn the_rich_plan_is_itself_when_stored() {
    let once = planned(&rich());
    let stored: Plan = serde_json::from_str(&bytes(&once)).unwrap();
    assert_eq!(stored, once);
    assert_eq!(stored.hash(), once.hash());
    assert_eq!(plan(&text(&rich()), &inputs()).map(|plan| bytes(&plan)).unwrap(), bytes(&once));
}
