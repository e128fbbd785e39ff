//! Small requests that bring a stock GraphQL server down: each is refused here, and the server does
//! not even grow.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::db::Database;
use crate::support::server::Server;

/// How much the process may grow over all of them, in KiB: the largest body is read once.
const GROWTH: u64 = 64 * 1024;

fn doubling_fragments(levels: usize) -> String {
    let doubled = repeated(levels, |i| format!("fragment F{i} on Viewer {{ ...F{} ...F{} }}", i + 1, i + 1));
    format!("query {{ viewer {{ ...F0 }} }} {doubled} fragment F{levels} on Viewer {{ principal }}")
}

fn repeated(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect::<Vec<_>>().join(" ")
}

/// Queries with the code that each must be refused with.
fn killers() -> Vec<(&'static str, String, &'static str)> {
    let deep = 2000;
    vec![
        (
            "nested lists",
            format!("{{ nodes(ids: {}{}) {{ id }} }}", "[".repeat(deep), "]".repeat(deep)),
            "QUERY_TOO_LARGE",
        ),
        (
            "nested objects",
            format!("{{ findings(filter: {}1{}) {{ nodes {{ id }} }} }}", "{a:".repeat(deep), "}".repeat(deep)),
            "QUERY_TOO_LARGE",
        ),
        ("fragments that double", doubling_fragments(26), "QUERY_TOO_DEEP"),
        ("aliases", format!("{{ {} }}", repeated(2000, |i| format!("a{i}: viewer {{ tenant }}"))), "QUERY_TOO_LARGE"),
        (
            "few aliases too many",
            format!("{{ {} }}", repeated(40, |i| format!("a{i}: __typename"))),
            "QUERY_TOO_COMPLEX",
        ),
        ("directives", format!("{{ viewer {} {{ tenant }} }}", "@skip(if: false) ".repeat(200)), "QUERY_TOO_COMPLEX"),
        (
            "pages of pages of pages",
            "{ packExecutions(first: 100) { nodes { versions(first: 100) { nodes { number warnings { code } } } } } }"
                .to_owned(),
            "QUERY_TOO_COMPLEX",
        ),
        ("a page without end", "{ findings(first: 2147483647) { nodes { id } } }".to_owned(), "QUERY_TOO_COMPLEX"),
        ("a page before its beginning", "{ findings(first: -1) { nodes { id } } }".to_owned(), "BAD_USER_INPUT"),
        ("an open block string", "{ viewer { tenant } } \"\"\"[[[[[[[[".to_owned(), "BAD_USER_INPUT"),
    ]
}

async fn refused(server: &Server, name: &str, body: String) -> (StatusCode, Value) {
    let client = reqwest::Client::new();
    let request = client.post(format!("{}/graphql", server.url())).header("content-type", "application/json");
    let response = request.body(body).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(text.len() < 64 * 1024, "{name}: an answer of {} bytes", text.len());
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn killer_requests_are_refused_and_leave_the_server_as_it_was() {
    let database = Database::all().remove(0);
    let mut server = Server::start(&database.url().await);
    refused(&server, "a first request", json!({"query": "{ viewer { tenant } }"}).to_string()).await;
    let before = server.memory("VmRSS");
    for (name, query, expected) in killers() {
        let (status, answer) = refused(&server, name, json!({ "query": query }).to_string()).await;
        assert!(!status.is_server_error(), "{name}: {status}");
        assert_eq!(code(&answer), expected, "{name}: {answer}");
        assert!(server.is_alive().await, "{name}");
    }
    let unused: serde_json::Map<String, Value> = (0..50_000).map(|i| (format!("v{i}"), Value::from(i))).collect();
    let body = json!({"query": "{ viewer { tenant } }", "variables": unused}).to_string();
    let (status, answer) = refused(&server, "variables that nobody declared", body).await;
    assert!(status == StatusCode::OK && answer["errors"].is_null(), "{status} {answer}");
    let batch = Value::from(vec![json!({"query": "{ viewer { tenant } }"}); 5000]);
    let (status, answer) = refused(&server, "a batch", batch.to_string()).await;
    assert_eq!((status, code(&answer)), (StatusCode::BAD_REQUEST, "BATCH_DISABLED"));
    let (status, answer) =
        refused(&server, "a large body", format!("{{\"query\":\"{}\"}}", " ".repeat(64 << 20))).await;
    assert_eq!((status, code(&answer)), (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"));
    assert!(server.is_alive().await);
    let after = server.memory("VmRSS");
    assert!(after < before + GROWTH, "from {before} to {after} KiB");
}

#[tokio::test]
async fn mutations_come_by_post_and_as_json_only() {
    let database = Database::all().remove(0);
    let server = Server::start(&database.url().await);
    let mutation = "mutation { ingest(input: {items: []}) { results { index } } }";
    let client = reqwest::Client::new();
    let url = format!("{}/graphql", server.url());
    let by_get = client.get(format!("{url}?query=mutation%7B__typename%7D")).send().await.unwrap();
    assert_eq!(by_get.status(), StatusCode::METHOD_NOT_ALLOWED);
    for media in ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""] {
        let mut request = client.post(&url).body(json!({ "query": mutation }).to_string());
        if !media.is_empty() {
            request = request.header("content-type", media);
        }
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media}");
    }
}
