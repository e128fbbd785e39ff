//! A small HTTP client and the closed loop that drives a server with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A POST that is sent again and again.
#[derive(Clone)]
pub struct Call {
    /// Path and query.
    pub path: String,
    /// The media type of the body.
    pub media: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// A JSON request.
    pub fn json(path: &str, body: &serde_json::Value) -> Self {
        Self { path: path.to_owned(), media: "application/json", body: body.to_string().into() }
    }

    /// A GraphQL request.
    pub fn graphql(query: &str, variables: &serde_json::Value) -> Self {
        Self::json("/graphql", &serde_json::json!({"query": query, "variables": variables}))
    }

    /// A batch of records for a source.
    pub fn ingest(body: impl Into<Bytes>) -> Self {
        Self { path: "/v1/ingest".to_owned(), media: "application/x-ndjson", body: body.into() }
    }
}

/// One connection that is kept open.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// Connects to `host:port`.
    pub async fn open(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).await.with_context(|| format!("connect to {host}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host: host.to_owned() })
    }

    /// Sends a request and reads the whole answer, which must have status 200.
    pub async fn post(&mut self, call: &Call) -> Result<Bytes> {
        self.sender.ready().await?;
        let request = hyper::Request::post(&call.path)
            .header("host", &self.host)
            .header("content-type", call.media)
            .body(Full::new(call.body.clone()))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            status == 200,
            "{} answered {status}: {}",
            call.path,
            String::from_utf8_lossy(&body[..body.len().min(500)])
        );
        Ok(body)
    }
}

/// One request on a connection of its own.
pub async fn once(host: &str, call: &Call) -> Result<Bytes> {
    Connection::open(host).await?.post(call).await
}

/// What a closed loop saw.
pub struct Load {
    /// Requests.
    pub requests: usize,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// Latencies, microseconds.
    pub latency: Histogram<u64>,
}

/// When a closed loop ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// Every call was sent once.
    Sent,
    /// A time has passed; calls are sent in turn, again and again.
    Passed(Duration),
}

/// Sends calls with `clients` connections, each waiting for its answer before it sends again.
pub async fn closed_loop(host: &str, calls: &Arc<[Call]>, clients: usize, until: Until) -> Result<Load> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Connection::open(host).await?);
    }
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let (calls, next) = (Arc::clone(calls), Arc::clone(&next));
        tasks.spawn(async move {
            let mut latency = histogram();
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let over = match until {
                    Until::Sent => turn >= calls.len(),
                    Until::Passed(time) => start.elapsed() >= time,
                };
                if over {
                    return anyhow::Ok(latency);
                }
                let sent = Instant::now();
                connection.post(&calls[turn % calls.len()]).await?;
                latency.record(u64::try_from(sent.elapsed().as_micros())?)?;
            }
        });
    }
    let mut latency = histogram();
    while let Some(part) = tasks.join_next().await {
        latency.add(part??)?;
    }
    Ok(Load { requests: usize::try_from(latency.len())?, wall: start.elapsed(), latency })
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are possible")
}
