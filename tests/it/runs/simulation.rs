//! What a simulation says of each kind of step, in the words of the contract.

use packtrail::domain::taskpack::{Plan, plan, simulate};
use serde_json::{Map, Value, json};

use super::pack::{inputs, object, plan_of, rich, run, text};

fn simulated(plan: &Plan) -> Value {
    serde_json::to_value(simulate(plan)).expect("a simulation is JSON")
}

const SCAN: &str = r#"
apiVersion: stellaops.io/pack.v1
kind: TaskPack
metadata:
  name: scan-deploy
  version: 1.0.0
spec:
  inputs:
    - name: target
      type: string
      required: true
  sandbox:
    mode: sealed
    egressAllowlist: []
    cpuLimitMillicores: 100
    memoryLimitMiB: 128
    quotaSeconds: 60
  slo:
    runP95Seconds: 300
    approvalP95Seconds: 900
    maxQueueDepth: 100
  steps:
    - id: scan
      run:
        uses: builtin:scanner
        with:
          target: "{{ inputs.target }}"
"#;

const DEPLOY: &str = r#"
apiVersion: stellaops.io/pack.v1
kind: TaskPack
metadata:
  name: deploy-app
  version: 2.0.0
spec:
  sandbox:
    mode: sealed
    egressAllowlist: []
    cpuLimitMillicores: 200
    memoryLimitMiB: 256
    quotaSeconds: 120
  slo:
    runP95Seconds: 600
    approvalP95Seconds: 1800
    maxQueueDepth: 50
  approvals:
    - id: security-review
      grants: [packs.approve]
  steps:
    - id: build
      run:
        uses: builtin:build
    - id: approval
      gate:
        approval:
          id: security-review
          message: "Security review required before deploy"
    - id: deploy
      run:
        uses: builtin:deploy
"#;

#[test]
fn the_contracts_first_manifest_simulates_as_it_says() {
    let plan = plan(SCAN, &object(json!({"target": "registry.example.com/app:v1.2.3"}))).unwrap();
    let expected = json!({
        "planHash": plan.hash(),
        "failurePolicy": {"maxAttempts": 1, "backoffSeconds": 0, "continueOnError": false},
        "steps": [{"id": "scan", "templateId": "scan", "kind": "Run", "enabled": true, "status": "Pending",
                   "uses": "builtin:scanner", "children": []}],
        "outputs": [],
        "hasPendingApprovals": false
    });
    assert_eq!(simulated(&plan), expected);
}

#[test]
fn the_contracts_second_manifest_waits_for_its_approval() {
    let plan = plan(DEPLOY, &Map::new()).unwrap();
    assert!(plan.requires_approval());
    let answer = simulated(&plan);
    assert_eq!(answer["hasPendingApprovals"], json!(true));
    let gate = json!({"id": "approval", "templateId": "approval", "kind": "GateApproval", "enabled": true,
        "status": "RequiresApproval", "approvalId": "security-review",
        "gateMessage": "Security review required before deploy", "children": []});
    assert_eq!(answer["steps"][1], gate);
    let statuses: Vec<&Value> = answer["steps"].as_array().unwrap().iter().map(|step| &step["status"]).collect();
    assert_eq!(statuses, ["Pending", "RequiresApproval", "Pending"]);
}

fn kinds(when: &str) -> Vec<Value> {
    let mut steps = vec![
        json!({"id": "s", "run": {"uses": "x"}}),
        json!({"id": "s", "gate": {"approval": {"id": "ok"}}}),
        json!({"id": "s", "gate": {"policy": {"policyId": "p"}}}),
        json!({"id": "s", "parallel": {"steps": [run("in")]}}),
        json!({"id": "s", "map": {"items": [1], "step": run("in")}}),
        json!({"id": "s", "loop": {"items": {"static": [1]}, "body": [run("in")]}}),
        json!({"id": "s", "conditional": {"branches": [{"condition": "inputs.target", "steps": [run("in")]}], "else": [run("else")]}}),
    ];
    for step in &mut steps {
        step["when"] = json!(when);
    }
    steps
}

#[test]
fn each_kind_has_its_status() {
    let enabled = ["Pending", "RequiresApproval", "RequiresPolicy", "Pending", "Pending", "WillIterate", "WillBranch"];
    let names = ["Run", "GateApproval", "GatePolicy", "Parallel", "Map", "Loop", "Conditional"];
    for ((step, status), name) in kinds("inputs.target").into_iter().zip(enabled).zip(names) {
        let answer = simulated(&plan_of(json!([step])));
        let step = &answer["steps"][0];
        assert_eq!((&step["status"], &step["kind"], &step["enabled"]), (&json!(status), &json!(name), &json!(true)));
        assert_eq!(step.get("statusReason"), None);
        assert_eq!(answer["hasPendingApprovals"], json!(name == "GateApproval"));
        for child in step["children"].as_array().unwrap() {
            assert_eq!(child["status"], "Pending");
        }
    }
}

#[test]
fn disabled_wins_over_every_kind_and_reaches_what_is_inside() {
    for step in kinds("inputs.target == 'other'") {
        let answer = simulated(&plan_of(json!([step])));
        let step = &answer["steps"][0];
        assert_eq!((&step["status"], &step["enabled"]), (&json!("Skipped"), &json!(false)));
        assert_eq!(step["statusReason"], "condition-false");
        assert_eq!(answer["hasPendingApprovals"], json!(false));
        for child in step["children"].as_array().unwrap() {
            assert_eq!((&child["status"], &child["statusReason"]), (&json!("Skipped"), &json!("parent-skipped")));
        }
    }
}

#[test]
fn a_condition_on_a_step_is_left_to_the_run() {
    for step in kinds("steps.before.outputs.ok") {
        let plan = plan_of(json!([run("before"), step]));
        assert_eq!((plan.steps[1].enabled, plan.steps[1].reason), (true, None));
        assert!(plan.steps[1].condition_requires_runtime());
        let answer = simulated(&plan);
        assert_eq!(answer["steps"][1]["statusReason"], "condition-requires-runtime");
        assert_ne!(answer["steps"][1]["status"], "Skipped");
    }
}

#[test]
fn a_gate_inside_a_skipped_container_is_not_pending() {
    let gate = json!({"id": "g", "gate": {"approval": {"id": "ok"}}});
    let deep = json!({"id": "p", "parallel": {"steps": [{"id": "c", "conditional": {"branches": [
        {"condition": "inputs.target", "steps": [gate]}]}}]}});
    assert_eq!(simulated(&plan_of(json!([deep.clone()])))["hasPendingApprovals"], json!(true));
    let mut skipped = deep;
    skipped["when"] = json!(false);
    let answer = simulated(&plan_of(json!([skipped])));
    assert_eq!(answer["hasPendingApprovals"], json!(false));
    let gate = &answer["steps"][0]["children"][0]["children"][0];
    assert_eq!((&gate["status"], &gate["statusReason"]), (&json!("Skipped"), &json!("parent-skipped")));
}

#[test]
fn maps_become_one_step_an_item_with_ids_that_compose() {
    let leaf = json!({"id": "leaf", "when": "a != b", "run": {"uses": "x", "with": {"v": "{{ b }}"}}});
    let inner = json!({"id": "inner", "map": {"items": ["p", "q"], "iterator": "b", "index": "j", "step": leaf}});
    let outer = json!({"id": "outer", "map": {"items": ["p", "z"], "iterator": "a", "index": "i", "step":
        {"id": "both", "parallel": {"steps": [inner, run("other")]}}}});
    let plan = plan_of(json!([outer]));
    let seen: Vec<(String, bool)> = plan.steps().map(|step| (step.id.clone(), step.enabled)).collect();
    let expected = [
        ("outer", true),
        ("outer[0]::both", true),
        ("outer[0]::inner", true),
        ("outer[0]::inner[0]::leaf", false),
        ("outer[0]::inner[1]::leaf", true),
        ("outer[0]::other", true),
        ("outer[1]::both", true),
        ("outer[1]::inner", true),
        ("outer[1]::inner[0]::leaf", true),
        ("outer[1]::inner[1]::leaf", true),
        ("outer[1]::other", true),
    ];
    assert_eq!(seen, expected.map(|(id, enabled)| (id.to_owned(), enabled)));
    let leaf = plan.steps().find(|step| step.id == "outer[1]::inner[0]::leaf").unwrap();
    assert_eq!(leaf.template_id, "leaf");
    assert_eq!(Value::Object(leaf.scope.clone()), json!({"a": "z", "i": 1, "b": "p", "j": 0}));
    assert_eq!(plan.steps[0].scope.len(), 0);
}

#[test]
fn an_empty_map_has_no_children_and_a_skipped_one_needs_no_list() {
    let map = |items: &str| json!({"id": "m", "when": items, "map": {"items": items, "step": run("x")}});
    assert_eq!(plan_of(json!([{"id": "m", "map": {"items": [], "step": run("x")}}])).steps().count(), 1);
    let skipped = plan_of(json!([map("inputs.absent")]));
    assert_eq!((skipped.steps[0].enabled, skipped.steps().count()), (false, 1));
    assert_eq!(plan_of(json!([map("inputs.list")])).steps().count(), 3);
}

#[test]
fn the_details_of_each_kind_are_told() {
    let plan = plan(&text(&rich()), &inputs()).unwrap();
    let answer = simulated(&plan);
    let steps = &answer["steps"];
    assert_eq!(
        steps[2]["policyInfo"],
        json!({"policyId": "no-criticals", "policyVersion": "3", "failureAction": "warn", "retryCount": 2})
    );
    assert_eq!(steps[2]["gateMessage"], "Checks findings");
    assert_eq!((&steps[3]["maxParallel"], &steps[4]["maxParallel"]), (&json!(2), &json!(1)));
    assert_eq!(
        steps[5]["loopInfo"],
        json!({"iterator": "turn", "index": "number", "maxIterations": 5, "aggregationMode": "last"})
    );
    assert_eq!(
        steps[6]["conditionalInfo"],
        json!({"branches": [{"condition": "steps.scan.outputs.ok", "stepCount": 1}], "elseStepCount": 1, "outputUnion": true})
    );
    assert_eq!(steps[7]["continueOnError"], true);
    assert_eq!(
        answer["outputs"],
        json!([
            {"name": "report.json", "type": "file", "requiresRuntimeValue": false, "pathExpression": "/output/{{ inputs.target }}/report.json"},
            {"name": "summary", "type": "object", "requiresRuntimeValue": true, "valueExpression": "steps.notify.outputs"}
        ])
    );
    assert_eq!(answer["failurePolicy"], json!({"maxAttempts": 3, "backoffSeconds": 10, "continueOnError": true}));
    let expression =
        json!([run("a"), {"id": "l", "loop": {"items": {"expression": "steps.a.outputs.list"}, "body": [run("b")]}}]);
    let info = &simulated(&plan_of(expression))["steps"][1]["loopInfo"];
    assert_eq!(
        info,
        &json!({"itemsExpression": "steps.a.outputs.list", "iterator": "item", "index": "index", "maxIterations": 1000, "aggregationMode": "collect"})
    );
}

#[test]
fn a_secret_is_a_reference_and_never_a_value() {
    let plan = plan(&text(&rich()), &inputs()).unwrap();
    assert_eq!(plan.secret_references(), json!({"registry-token": {"secretRef": "registry-token"}}));
    assert_eq!(plan.approvals[0].expires_after, Some(4 * 3600));
}
