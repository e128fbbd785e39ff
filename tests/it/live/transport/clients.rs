//! Clients that people use, as they use them: Node scripts against a server of a real socket.
//!
//! The scripts in `tests/clients` know nothing of this server. `npm ci` there installs the clients.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures_util::StreamExt as _;
use futures_util::stream;
use packtrail::http::live::{Begun, Draining, Event, Live, LiveLimits, Stalling, Subscriptions as _, routes, sse};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::fake::Fake;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/subscriptions");

/// `/graphql` for event streams, as a server would have it.
async fn graphql(State(live): State<Arc<Live<Fake>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !sse::is_wanted(&parts.headers) {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    let Ok(admitted) = live.subscriptions.admit(&parts, None).await else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let body = to_bytes(body, 65_536).await.unwrap();
    let payload: Box<RawValue> = serde_json::from_slice(&body).unwrap();
    let events = match live.subscriptions.begin(&admitted.caller, payload).await {
        Begun::Refused(errors) => stream::iter([Event::Error(errors)]).boxed(),
        Begun::Events(events) => events,
    };
    sse::respond(events, admitted.expires, &live.draining, &live.limits, ())
}

/// The address of a server on a real socket.
async fn serve() -> String {
    let live = Arc::new(Live::new(Fake::default(), LiveLimits::default(), Draining::when(std::future::pending())));
    let router = Router::new().route("/graphql", any(graphql)).with_state(Arc::clone(&live)).merge(routes(live));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(Stalling::new(listener, Duration::from_secs(15)), router).into_future());
    format!("http://{address}")
}

async fn run(name: &str, token: &str, document: &str) -> (bool, String, String) {
    script(name, &serve().await, token, document, &serde_json::json!({"to": 3}), 3).await
}

/// Runs a script against a server: whether it got as many events, what it printed of them, and its complaints.
pub async fn script(
    name: &str,
    url: &str,
    token: &str,
    document: &str,
    variables: &Value,
    count: usize,
) -> (bool, String, String) {
    let child = Command::new("node")
        .current_dir(SCRIPTS)
        .args([name, url, token, document, &variables.to_string(), &count.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_mins(2), child).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

async fn gets_every_event(script: &str) {
    let (success, out, err) = run(script, "someone", "subscription Count($to: Int!) { count(to: $to) }").await;
    assert!(success, "{script}: {err}");
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let counts: Vec<_> = events.iter().map(|event| event["count"].clone()).collect();
    assert_eq!(counts, [1, 2, 3], "{script}: {out}");
}

async fn hears_of_errors(script: &str) {
    let (success, _out, err) = run(script, "someone", "subscription Nothing { nothing }").await;
    assert!(!success && err.contains("no such field"), "{script}: {err}");
    let (success, _out, err) = run(script, "bad", "subscription Nothing { nothing }").await;
    assert!(!success, "{script}: {err}");
}

macro_rules! clients {
    ($($name:ident: $script:literal,)*) => {
        $(#[tokio::test]
        async fn $name() {
            gets_every_event($script).await;
            hears_of_errors($script).await;
        })*
    };
}

clients! {
    graphql_ws_with_the_token_in_its_first_message: "graphql-ws.mjs",
    graphql_ws_with_the_token_in_the_upgrade: "graphql-ws-header.mjs",
    graphql_sse: "graphql-sse.mjs",
    apollo_client: "apollo.mjs",
    urql: "urql.mjs",
}
