//! What is refused, in which shape.

use reqwest::Method;
use serde_json::{Value, json};

use super::contract::assert_shape;
use super::{Answer, GATED, PLAIN, RUNS, Rest, SIMULATIONS, for_each_server, for_each_server_with};

#[tokio::test]
async fn what_is_no_plan_is_told_with_its_places() {
    for_each_server(async |rest: &Rest| {
        let unknown = PLAIN.replace("uses:", "use:");
        let two = json!({"manifest": 1, "inputs": 2}).to_string();
        let input = json!({"manifest": PLAIN, "inputs": {"a": 1}}).to_string();
        let bodies: Vec<(String, &[&str])> = vec![
            (String::new(), &["body"]),
            ("{".to_owned(), &["body"]),
            ("null".to_owned(), &["body"]),
            ("[]".to_owned(), &["body"]),
            (r#"{"manifest": "a", "manifest": "b"}"#.to_owned(), &["body"]),
            (r#"{"manifest": "a\u0000"}"#.to_owned(), &["body"]),
            (format!(r#"{{"manifest": "a", "inputs": {{"a": {}1{}}}}}"#, "[".repeat(80), "]".repeat(80)), &["body"]),
            ("{}".to_owned(), &["manifest"]),
            (r#"{"manifest": null}"#.to_owned(), &["manifest"]),
            (r#"{"manifest": ""}"#.to_owned(), &["manifest"]),
            (json!({"manifest": "a: ["}).to_string(), &["manifest"]),
            (json!({"manifest": "x".repeat(262_145)}).to_string(), &["manifest"]),
            (json!({"manifest": PLAIN, "inputs": null}).to_string(), &["inputs"]),
            (json!({"manifest": PLAIN, "inputs": []}).to_string(), &["inputs"]),
            (two, &["manifest", "inputs"]),
            (input, &["inputs.a"]),
            (json!({"manifest": unknown}).to_string(), &["spec.steps[0].run.use", "spec.steps[0].run.uses"]),
        ];
        for path in [SIMULATIONS, RUNS] {
            for (body, expected) in &bodies {
                let request = rest.request(Method::POST, path, "admin").header("content-type", "application/json");
                let answer = Answer::to(request.body(body.clone())).await;
                let mut found = answer.paths();
                found.sort_by_key(|path| expected.iter().position(|expected| expected == path));
                assert_eq!((answer.status, &*found), (400, *expected), "{path}: {body:.80}: {}", answer.text);
                assert_shape("PlanErrorResponse", &answer.body);
            }
        }
        for run_id in [json!("a b"), json!(""), json!("a/b"), json!("ä"), json!("a".repeat(129)), json!(1), json!(null)]
        {
            let answer = rest.post("admin", RUNS, &json!({"runId": run_id, "manifest": PLAIN})).await;
            assert_eq!((answer.status, &*answer.paths()), (400, &["runId"][..]), "{run_id}");
        }
        rest.create(&"a".repeat(128), PLAIN).await;
    })
    .await;
}

/// Every operation with a token: its method, path, and the scope that it asks for.
const OPERATIONS: [(&str, &str, &str); 7] = [
    ("POST", SIMULATIONS, "viewer"),
    ("POST", RUNS, "operator"),
    ("GET", "/v1/task-runner/runs/a", "viewer"),
    ("GET", "/v1/task-runner/runs/a/logs", "viewer"),
    ("GET", "/v1/task-runner/runs/a/artifacts", "viewer"),
    ("POST", "/v1/task-runner/runs/a/approvals/security-review", "operator"),
    ("POST", "/v1/task-runner/runs/a/cancel", "operator"),
];

fn body(path: &str, hash: &Value) -> Option<Value> {
    match path {
        SIMULATIONS => Some(json!({"manifest": PLAIN})),
        RUNS => Some(json!({"runId": "other", "manifest": PLAIN})),
        path if path.contains("approvals") => Some(json!({"decision": "approved", "planHash": hash})),
        _ => None,
    }
}

#[tokio::test]
async fn each_operation_asks_for_its_scope() {
    for_each_server(async |rest: &Rest| {
        let hash = rest.create("a", GATED).await["planHash"].take();
        for (method, path, scope) in OPERATIONS {
            let ask = async |caller: &str| {
                let request = rest.request(method.parse().unwrap(), path, caller);
                let request = match body(path, &hash) {
                    Some(body) => request.json(&body),
                    None => request,
                };
                Answer::to(request).await
            };
            let refused = ["collector", if scope == "viewer" { "operator" } else { "viewer" }];
            for caller in refused {
                let answer = ask(caller).await;
                assert_eq!(answer.refusal(), (403, "forbidden"), "{caller} {method} {path}");
                assert_shape("ErrorEnvelope", &answer.body);
            }
            let answer = ask("unknown").await;
            assert_eq!(answer.refusal(), (401, "unauthenticated"), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            assert_eq!(answer.body["error"]["traceId"].as_str().map(str::len), Some(32));
            assert!(ask(scope).await.status < 300, "{scope} {method} {path}");
            let of_admin = ask("admin").await.refusal().1.to_owned();
            assert!(["", "run_id_conflict", "grants_missing"].contains(&&*of_admin), "{of_admin} {method} {path}");
        }
    })
    .await;
}

#[tokio::test]
async fn names_that_no_run_has_are_not_found() {
    for_each_server(async |rest: &Rest| {
        rest.create("a", PLAIN).await;
        for name in ["b", "a%20", "a%2Fb", "%00", "%ff", "a.b", "..%2fa", &"a".repeat(129)] {
            for rest_of in ["", "/logs", "/artifacts"] {
                let answer = rest.get("viewer", &format!("{RUNS}/{name}{rest_of}")).await;
                assert_eq!(answer.refusal(), (404, "run_not_found"), "{name}{rest_of}");
            }
            let cancel = rest.request(Method::POST, &format!("{RUNS}/{name}/cancel"), "operator");
            assert_eq!(Answer::to(cancel).await.refusal(), (404, "run_not_found"), "{name}");
        }
        for path in ["/v1/task-runner", "/v1/task-runner/runs/a/steps", "/nothing"] {
            assert_eq!(rest.get("viewer", path).await.refusal(), (404, "not_found"), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_of_another_kind_or_size_are_refused() {
    for_each_server(async |rest: &Rest| {
        for (method, path, _) in OPERATIONS.into_iter().filter(|(_, path, _)| body(path, &json!("")).is_some()) {
            let request = || rest.request(method.parse().unwrap(), path, "admin");
            for kind in [
                "text/plain",
                "application/yaml",
                "application/x-www-form-urlencoded",
                "application/json; charset=utf-16",
            ] {
                let answer = Answer::to(request().header("content-type", kind).body("{}")).await;
                assert_eq!(answer.refusal(), (415, "unsupported_media_type"), "{kind} {path}");
            }
            let untyped = Answer::to(request().body("{}")).await;
            assert_eq!(untyped.refusal(), (415, "unsupported_media_type"), "{path}");
            let packed = request().header("content-encoding", "gzip").json(&json!({}));
            assert_eq!(Answer::to(packed).await.refusal(), (415, "unsupported_media_type"), "{path}");
            let large = request().json(&json!({"manifest": "x".repeat(1 << 20)}));
            assert_eq!(Answer::to(large).await.refusal(), (413, "payload_too_large"), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    for_each_server(async |rest: &Rest| {
        let open = [("GET", "/openapi"), ("GET", "/.well-known/openapi")];
        for (method, path) in OPERATIONS.map(|(method, path, _)| (method, path)).into_iter().chain(open) {
            for other in ["DELETE", "PUT", "PATCH", "OPTIONS", if method == "GET" { "POST" } else { "GET" }] {
                let answer = Answer::to(rest.request(other.parse().unwrap(), path, "admin")).await;
                assert_eq!(answer.refusal(), (405, "method_not_allowed"), "{other} {path}");
                assert!(answer.header("allow").contains(method), "{other} {path}: {:?}", answer.headers);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let two_a_minute = |config: &mut packtrail::config::Config| config.limits.rate_per_minute = 2;
    for_each_server_with(two_a_minute, async |rest: &Rest| {
        for _ in 0..2 {
            rest.post("viewer", SIMULATIONS, &json!({"manifest": PLAIN})).await.expect(200);
        }
        let answer = rest.post("viewer", SIMULATIONS, &json!({"manifest": PLAIN})).await;
        assert_eq!(answer.refusal(), (429, "rate_limited"));
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        // Others are not held up.
        rest.post("admin", SIMULATIONS, &json!({"manifest": PLAIN})).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn followers_count_as_requests_in_flight() {
    let one = |config: &mut packtrail::config::Config| config.limits.in_flight_per_principal = 1;
    for_each_server_with(one, async |rest: &Rest| {
        rest.create("a", GATED).await;
        let path = format!("{RUNS}/a/logs?follow=true");
        let mut followed = rest.request(Method::GET, &path, "viewer").send().await.unwrap();
        followed.chunk().await.unwrap().unwrap();
        assert_eq!(rest.get("viewer", &format!("{RUNS}/a")).await.refusal(), (429, "rate_limited"));
        rest.app.runs.cancel("default", "a", "somebody").await.unwrap();
        followed.bytes().await.unwrap();
    })
    .await;
}
