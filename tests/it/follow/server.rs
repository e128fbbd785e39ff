//! A server that answers as a test tells it to.

use std::io;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};

/// What a client asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub headers: HeaderMap,
    pub body: Value,
}

impl Asked {
    pub fn is_subscription(&self) -> bool {
        self.body["query"].as_str().unwrap().starts_with("subscription")
    }

    pub fn variables(&self) -> &Value {
        &self.body["variables"]
    }

    /// How many entries the cursor is behind.
    pub fn after(&self) -> usize {
        match &self.variables()["after"] {
            Value::Null => 0,
            cursor => place(cursor.as_str().unwrap()),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The cursor behind this many entries.
pub fn cursor(count: usize) -> String {
    format!("=c{count}/")
}

fn place(cursor: &str) -> usize {
    cursor.strip_prefix("=c").unwrap().strip_suffix('/').unwrap().parse().unwrap()
}

pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers the n-th request, from 0, by `answer`.
    pub async fn start(answer: impl Fn(usize, &Asked) -> Response + Send + Sync + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let answer = Arc::new(answer);
        let handler = async move |headers: HeaderMap, Json(body): Json<Value>| {
            let asked = Asked { headers, body };
            let n = {
                let mut log = log.lock().unwrap();
                log.push(asked.clone());
                log.len() - 1
            };
            answer(n, &asked)
        };
        let app = Router::new().route("/graphql", axum::routing::post(handler));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// A stream of events from its pieces; an error cuts the connection.
pub fn events(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Response {
    ([("content-type", "text/event-stream; charset=utf-8")], Body::from_stream(pieces)).into_response()
}

/// A stream of events that ends.
pub fn whole(text: impl Into<String>) -> Response {
    let text = Bytes::from(text.into());
    events(stream::iter([Ok(text)]))
}

/// A stream of events that stays open and silent.
pub fn open(text: impl Into<String>) -> Response {
    let text = Bytes::from(text.into());
    events(stream::iter([Ok(text)]).chain(stream::pending()))
}

/// An event with the result of an operation.
pub fn next(result: &Value) -> String {
    format!("event: next\ndata: {result}\n\n")
}

pub const COMPLETE: &str = "event: complete\ndata:\n\n";

/// An event with these entries, and the cursor behind so many of all.
pub fn batch(items: &[Value], behind: usize, end: bool) -> String {
    next(&json!({"data": {"answer": {"items": items, "cursor": cursor(behind), "end": end}}}))
}

/// The result of an operation that failed.
pub fn failed(code: &str, message: &str) -> Value {
    json!({"data": null, "errors": [{"message": message, "extensions": {"code": code}}]})
}

pub fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap().into_response()
}

/// An answer with this status and result.
pub fn answer(code: u16, result: &Value) -> Response {
    (StatusCode::from_u16(code).unwrap(), Json(result)).into_response()
}

/// A page of a log.
pub fn page(entries: &[Value], asked: &Asked) -> Response {
    let from = asked.after();
    let to = entries.len().min(from + 100);
    let page = json!({"hasNextPage": to < entries.len(), "endCursor": cursor(to)});
    Json(json!({"data": {"answer": {"logs": {"items": entries[from..to], "page": page}}}})).into_response()
}

/// Gives the executor the word between two pieces, so that they are sent apart.
pub fn apart(pieces: Vec<io::Result<Bytes>>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    })
}
