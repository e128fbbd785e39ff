//! Runs: created once, seen by those who may, cancelled.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::contract::assert_shape;
use super::{Answer, GATED, PLAIN, RUNS, Rest, for_each_server};

#[tokio::test]
async fn of_concurrent_creations_of_one_name_one_makes_the_run() {
    for_each_server(async |rest: &Rest| {
        let asked = json!({"runId": "same", "manifest": PLAIN});
        let answers = join_all((0..8).map(|_| rest.post("operator", RUNS, &asked))).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        let refused = answers.iter().filter(|answer| answer.refusal() == (409, "run_id_conflict")).count();
        assert_eq!((made, refused), (1, 7));
        assert_shape("ErrorEnvelope", &answers.into_iter().find(|answer| answer.status == 409).unwrap().body);
    })
    .await;
}

#[tokio::test]
async fn a_run_without_a_name_gets_one() {
    for_each_server(async |rest: &Rest| {
        let asked = json!({"manifest": PLAIN});
        let first = rest.post("operator", RUNS, &asked).await.expect(201);
        let second = rest.post("operator", RUNS, &asked).await.expect(201);
        assert_ne!(first["runId"], second["runId"]);
        let path = format!("{RUNS}/{}", second["runId"].as_str().unwrap());
        assert_eq!(rest.get("viewer", &path).await.expect(200), second);
    })
    .await;
}

#[tokio::test]
async fn a_creation_that_is_repeated_is_answered_as_the_first() {
    for_each_server(async |rest: &Rest| {
        let create = async |key: &str, body: &Value| {
            let request = rest.request(Method::POST, RUNS, "operator").header("idempotency-key", key).json(body);
            Answer::to(request).await
        };
        let asked = json!({"manifest": PLAIN});
        let first = create("k", &asked).await;
        assert_eq!(first.header("idempotency-replayed"), "");
        let second = create("k", &asked).await;
        assert_eq!(second.header("idempotency-replayed"), "true");
        assert_eq!(second.header("location"), first.header("location"));
        assert_eq!(first.expect(201), second.expect(201));
        let other = create("k", &json!({"manifest": GATED})).await;
        assert_eq!(other.refusal(), (409, "idempotency_conflict"));
        let long = create(&"k".repeat(256), &asked).await;
        assert_eq!(long.refusal(), (400, "bad_user_input"));
        assert_shape("PlanErrorResponse", &long.body);
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_run_stays_cancelled_and_an_ended_one_is_refused() {
    for_each_server(async |rest: &Rest| {
        rest.create("a", GATED).await;
        let cancel = format!("{RUNS}/a/cancel");
        for _ in 0..2 {
            let answer = Answer::to(rest.request(Method::POST, &cancel, "operator")).await;
            assert_eq!(answer.header("location"), format!("{RUNS}/a"));
            assert_eq!(answer.expect(202), json!({"status": "cancelled"}));
        }
        let state = rest.get("viewer", &format!("{RUNS}/a")).await.expect(200);
        for step in state["steps"].as_array().unwrap() {
            assert_eq!((&step["status"], &step["statusReason"]), (&json!("Skipped"), &json!("cancelled")));
        }
        rest.create("b", PLAIN).await;
        rest.work("b", 0, json!({})).await;
        let late = Answer::to(rest.request(Method::POST, &format!("{RUNS}/b/cancel"), "operator")).await;
        assert_eq!(late.refusal(), (409, "run_not_active"));
    })
    .await;
}

#[tokio::test]
async fn artifacts_are_told_as_they_come() {
    for_each_server(async |rest: &Rest| {
        rest.create("a", GATED).await;
        let path = format!("{RUNS}/a/artifacts");
        let before = rest.get("viewer", &path).await.expect(200);
        let pending = |name: &str, kind: &str| json!({"name": name, "type": kind, "status": "pending"});
        assert_eq!(before, json!([pending("image", "object"), pending("report", "file")]));
        rest.work("a", 0, json!({"image": "registry/app:1"})).await;
        let after = rest.get("viewer", &path).await.expect(200);
        let captured = json!({"name": "image", "type": "object", "status": "captured",
            "capturedAt": "2026-06-01T00:00:00Z", "expressionJson": "\"registry/app:1\""});
        let report = json!({"name": "report", "type": "file", "status": "pending", "sourcePath": "out/report.json",
            "notes": "the file is not there"});
        assert_eq!(after, json!([captured, report]), "another step may bring it");
        Answer::to(rest.request(Method::POST, &format!("{RUNS}/a/cancel"), "operator")).await.expect(202);
        let lost = rest.get("viewer", &path).await.expect(200);
        assert_eq!((&lost[1]["status"], lost[1]["notes"].is_string()), (&json!("failed"), true));
        for artifact in lost.as_array().unwrap() {
            assert_shape("RunArtifact", artifact);
        }
    })
    .await;
}

#[tokio::test]
async fn containers_come_before_what_is_in_them() {
    let manifest = r"
apiVersion: stellaops.io/pack.v1
kind: TaskPack
metadata: {name: nested, version: 1.0.0}
spec:
  steps:
    - id: all
      parallel:
        maxParallel: 2
        steps:
          - {id: a, run: {uses: x}}
          - {id: each, map: {items: [1, 2], step: {id: b, run: {uses: x}}}}
    - {id: last, run: {uses: x}}
";
    for_each_server(async |rest: &Rest| {
        let state = rest.create("n", manifest).await;
        let steps = state["steps"].as_array().unwrap();
        let ids: Vec<&Value> = steps.iter().map(|step| &step["stepId"]).collect();
        assert_eq!(ids, ["all", "a", "each", "each[0]::b", "each[1]::b", "last"]);
        assert_eq!((&steps[0]["kind"], &steps[0]["maxParallel"]), (&json!("Parallel"), &json!(2)));
        assert_eq!(steps[2]["kind"], "Map");
    })
    .await;
}

#[tokio::test]
async fn a_tenant_is_named_by_the_token_then_the_header_then_the_body() {
    for_each_server(async |rest: &Rest| {
        let create = async |caller: &str, header: Option<&str>, body: Option<&str>| {
            let mut asked = json!({"manifest": PLAIN});
            if let Some(tenant) = body {
                asked["tenantId"] = json!(tenant);
            }
            let mut request = rest.request(Method::POST, RUNS, caller).json(&asked);
            if let Some(tenant) = header {
                request = request.header("x-stellaops-tenant", tenant);
            }
            Answer::to(request).await
        };
        let tenant_of = async |answer: Answer| {
            let run = answer.expect(201)["runId"].as_str().unwrap().to_owned();
            let path = format!("{RUNS}/{run}");
            match (rest.get("viewer", &path).await.status, rest.get("other", &path).await.status) {
                (200, 404) => "default",
                (404, 200) => "b",
                found => panic!("{found:?}"),
            }
        };
        // A token with one tenant.
        for (header, body) in [(None, None), (Some("default"), None), (None, Some("default"))] {
            assert_eq!(tenant_of(create("operator", header, body).await).await, "default");
        }
        for (header, body) in [(Some("b"), None), (None, Some("b")), (Some("b"), Some("b"))] {
            let answer = create("operator", header, body).await;
            assert_eq!(answer.refusal(), (403, "tenant_forbidden"), "{header:?} {body:?}");
        }
        // A token with two.
        assert_eq!(tenant_of(create("both", Some("b"), None).await).await, "b");
        assert_eq!(tenant_of(create("both", None, Some("b")).await).await, "b");
        assert_eq!(tenant_of(create("both", Some("default"), Some("default")).await).await, "default");
        assert_eq!(create("both", Some("c"), None).await.refusal(), (403, "tenant_forbidden"));
        for (header, body, code) in [(Some("default"), Some("b"), "tenant_mismatch"), (None, None, "tenant_required")] {
            let answer = create("both", header, body).await;
            assert_eq!(answer.refusal(), (400, code));
            assert_eq!(answer.paths(), ["tenantId"]);
            assert_shape("PlanErrorResponse", &answer.body);
        }
        assert_eq!(rest.get("both", &format!("{RUNS}/x")).await.refusal(), (400, "tenant_required"));
    })
    .await;
}

#[tokio::test]
async fn a_run_of_another_tenant_is_not_there() {
    for_each_server(async |rest: &Rest| {
        let state = rest.create("mine", GATED).await;
        for path in ["", "/logs", "/artifacts"] {
            let answer = rest.get("other", &format!("{RUNS}/mine{path}")).await;
            assert_eq!(answer.refusal(), (404, "run_not_found"), "{path}");
        }
        let decision = json!({"decision": "approved", "planHash": state["planHash"]});
        assert_eq!(rest.decide("other", "mine", &decision).await.refusal(), (404, "run_not_found"));
        let cancel = rest.request(Method::POST, &format!("{RUNS}/mine/cancel"), "other");
        assert_eq!(Answer::to(cancel).await.refusal(), (404, "run_not_found"));
        // The same name is free there.
        rest.post("other", RUNS, &json!({"runId": "mine", "manifest": PLAIN})).await.expect(201);
        assert_eq!(rest.get("viewer", &format!("{RUNS}/mine")).await.expect(200), state);
    })
    .await;
}
