//! The contract's own examples, and answers of its shapes.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{RUNS, Rest, SIMULATIONS, for_each_server};

/// The contract as it was published.
pub(super) fn contract() -> Value {
    serde_saphyr::from_str(include_str!("../../../../contracts/taskrunner.openapi.yaml")).unwrap()
}

/// A schema of a document by its name.
fn schema_of(document: &Value, name: &str) -> Validator {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{name}"),
        "components": document["components"],
    });
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

/// Holds an answer against the contract and against the document that the server keeps.
pub(super) fn assert_shape(name: &str, answer: &Value) {
    let kept = serde_saphyr::from_str(include_str!("../../../../openapi.yaml")).unwrap();
    for document in [contract(), kept] {
        let errors: Vec<String> = schema_of(&document, name).iter_errors(answer).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?} in {answer:#}");
    }
}

fn example(path: &str, name: &str) -> Value {
    contract()["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"][name]["value"].take()
}

#[test]
fn a_wrong_shape_is_found() {
    let schema = schema_of(&contract(), "RunStateResponse");
    assert!(!schema.is_valid(&json!({"runId": "a"})));
    let state = json!({"runId": "a", "planHash": format!("sha256:{:064}", 0), "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z", "steps": [],
        "failurePolicy": {"maxAttempts": 1, "backoffSeconds": 0, "continueOnError": false}});
    assert!(schema.is_valid(&state));
    for (member, wrong) in [("planHash", "sha256:A"), ("createdAt", "yesterday")] {
        let mut other = state.clone();
        other[member] = json!(wrong);
        assert!(!schema.is_valid(&other), "{member}");
    }
}

#[tokio::test]
async fn the_example_of_a_simulation_is_simulated_as_it_says() {
    for_each_server(async |rest: &Rest| {
        let answer = rest.post("viewer", SIMULATIONS, &example(SIMULATIONS, "basic-simulation")).await;
        assert_eq!(answer.header("content-type"), "application/json");
        let simulation = answer.expect(200);
        assert_shape("SimulationResponse", &simulation);
        let mut told = contract()["paths"][SIMULATIONS]["post"]["responses"]["200"]["content"]["application/json"]
            ["examples"]["simulation-result"]["value"]
            .take();
        // The example abbreviates the hash.
        told["planHash"] = simulation["planHash"].clone();
        assert_eq!(simulation, told);
    })
    .await;
}

#[tokio::test]
async fn the_example_of_a_run_goes_from_its_creation_to_its_end() {
    for_each_server(async |rest: &Rest| {
        let mut asked = example(RUNS, "create-run");
        asked["tenantId"] = json!("default");
        let created = rest.post("operator", RUNS, &asked).await;
        assert_eq!(created.header("location"), format!("{RUNS}/run-20251206-001"));
        assert_eq!(created.header("cache-control"), "no-store");
        let created = created.expect(201);
        assert_shape("RunStateResponse", &created);
        let path = format!("{RUNS}/run-20251206-001");
        assert_eq!(rest.get("viewer", &path).await.expect(200), created);
        let step = |id: &str, kind: &str, rest: Value| {
            let mut step = json!({"stepId": id, "kind": kind, "enabled": true, "continueOnError": false,
                "status": "Pending", "attempts": 0});
            step.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            step
        };
        let gate = json!({"approvalId": "security-review", "gateMessage": "Security review required before deploy"});
        let expected = json!([
            step("build", "Run", json!({})),
            step("approval", "GateApproval", gate),
            step("deploy", "Run", json!({}))
        ]);
        assert_eq!(created["steps"], expected);
        assert_eq!(created["createdAt"], "2026-06-01T00:00:00Z");

        rest.work("run-20251206-001", 0, json!({})).await;
        let waiting = rest.get("viewer", &path).await.expect(200);
        assert_shape("RunStateResponse", &waiting);
        assert_eq!(waiting["steps"][0]["status"], "Succeeded");
        assert_eq!(waiting["steps"][0]["lastTransitionAt"], "2026-06-01T00:00:00Z");
        assert_eq!(waiting["steps"][1]["statusReason"], "awaiting-approval");

        let approval = format!("{path}/approvals/security-review");
        let mut approve = example(&format!("{RUNS}/{{runId}}/approvals/{{approvalId}}"), "approve");
        let stale = rest.post("operator", &approval, &approve).await;
        assert_eq!(stale.refusal(), (409, "plan_hash_mismatch"));
        approve["planHash"] = waiting["planHash"].clone();
        let approved = rest.post("operator", &approval, &approve).await.expect(200);
        assert_eq!(approved, json!({"status": "approved", "resumed": true}));
        assert_shape("ApprovalDecisionResponse", &approved);
        rest.work("run-20251206-001", 2, json!({})).await;
        let ended = rest.get("viewer", &path).await.expect(200);
        let statuses: Vec<&Value> = ended["steps"].as_array().unwrap().iter().map(|step| &step["status"]).collect();
        assert_eq!(statuses, ["Succeeded"; 3]);

        let log = rest.get("viewer", &format!("{path}/logs")).await;
        assert_eq!((log.status, log.header("content-type")), (200, "application/x-ndjson"));
        let entries: Vec<Value> = log.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for entry in &entries {
            assert_shape("RunLogEntry", entry);
            assert!(entry.get("seq").is_none(), "{entry}");
        }
        let events: Vec<&str> = entries.iter().map(|entry| entry["eventType"].as_str().unwrap()).collect();
        let expected = [
            "run.created",
            "run.started",
            "step.started",
            "step.completed",
            "gate.awaiting",
            "gate.approved",
            "step.started",
            "step.completed",
            "run.completed",
        ];
        for event in expected {
            assert!(events.contains(&event), "{event} in {events:?}");
        }
        assert_eq!((events[0], events[events.len() - 1]), ("run.created", "run.completed"));
        assert_eq!(rest.get("viewer", &format!("{path}/artifacts")).await.expect(200), json!([]));
    })
    .await;
}
