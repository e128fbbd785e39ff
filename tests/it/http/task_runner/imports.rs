//! Runs that happened elsewhere, read by the contract that they were reported by.

use reqwest::Method;
use serde_json::{Value, json};

use super::contract::{assert_shape, contract};
use super::{Answer, PLAIN, RUNS, Rest, for_each_server};

/// Sends items, a line each, as another `TaskRunner` would.
async fn report(rest: &Rest, items: &[Value]) {
    let body = items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let request = rest.request(Method::POST, "/v1/ingest?source=elsewhere", "collector");
    let answer = Answer::to(request.header("content-type", "application/x-ndjson").body(body)).await;
    let last: Value = serde_json::from_str(answer.text.lines().last().unwrap()).unwrap();
    assert_eq!((last["summary"]["quarantined"].as_i64(), last["summary"]["rejected"].as_i64()), (Some(0), Some(0)));
}

/// The value with the members that make it an item.
fn item(kind: &str, value: &Value) -> Value {
    let mut item = value.clone();
    item["kind"] = json!(kind);
    item["runId"] = json!("run-20251206-001");
    item
}

#[tokio::test]
async fn the_examples_of_the_contract_are_read_back_as_they_were_reported() {
    for_each_server(async |rest: &Rest| {
        let contract = contract();
        let example = |path: &str, media: &str, name: &str| {
            contract["paths"][path]["get"]["responses"]["200"]["content"][media]["examples"][name]["value"].clone()
        };
        let state = example("/v1/task-runner/runs/{runId}", "application/json", "running");
        let log = example("/v1/task-runner/runs/{runId}/logs", "application/x-ndjson", "log-stream");
        let artifacts = example("/v1/task-runner/runs/{runId}/artifacts", "application/json", "artifacts");
        let log = log.as_str().unwrap();
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut items = vec![item("Run", &state)];
        items.extend(lines.iter().map(|line| item("RunLog", line)));
        items.extend(artifacts.as_array().unwrap().iter().map(|artifact| item("RunArtifact", artifact)));
        for _ in 0..2 {
            report(rest, &items).await;
            let path = format!("{RUNS}/run-20251206-001");
            let found = rest.get("viewer", &path).await;
            assert_eq!(found.text, state.to_string());
            assert_eq!(rest.get("viewer", &format!("{path}/logs")).await.text.trim_end(), log.trim_end());
            // They come by their names.
            let mut sorted = artifacts.as_array().unwrap().clone();
            sorted.sort_by_key(|artifact| artifact["name"].to_string());
            assert_eq!(rest.get("viewer", &format!("{path}/artifacts")).await.text, json!(sorted).to_string());
        }
    })
    .await;
}

#[tokio::test]
async fn a_run_elsewhere_is_neither_decided_nor_cancelled_nor_created_here() {
    for_each_server(async |rest: &Rest| {
        let log = json!({"timestamp": "2025-12-06T10:00:00Z", "level": "info", "eventType": "e", "message": ""});
        report(rest, &[item("RunLog", &log)]).await;
        let run = "run-20251206-001";
        let decision = json!({"decision": "approved", "planHash": format!("sha256:{}", "0".repeat(64))});
        let decided = rest.decide("operator", run, &decision).await;
        assert_eq!(decided.refusal(), (409, "run_imported"));
        assert_shape("ErrorEnvelope", &decided.body);
        let cancelled = Answer::to(rest.request(Method::POST, &format!("{RUNS}/{run}/cancel"), "operator")).await;
        assert_eq!(cancelled.refusal(), (409, "run_imported"));
        let created = rest.post("operator", RUNS, &json!({"runId": run, "manifest": PLAIN})).await;
        assert_eq!(created.refusal(), (409, "run_id_conflict"));
        // Until its state is reported it has no steps and no plan.
        let found = rest.get("viewer", &format!("{RUNS}/{run}")).await.expect(200);
        assert_eq!((&found["planHash"], &found["steps"]), (&json!(""), &json!([])));
        assert_eq!(found["createdAt"], "2025-12-06T10:00:00Z");
    })
    .await;
}
