//! The `graphql-sse` protocol, distinct connections: one operation, one response.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, stream};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::operation::{Polled, Source};
use super::{Draining, Event, LiveLimits};

/// The media type.
pub const EVENT_STREAM: &str = "text/event-stream";

/// Says nothing, and keeps the connection.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// With a line of data, as browsers drop events that have none.
const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";

/// Events that are ready at once are sent as one chunk of about this size.
const CHUNK: usize = 16 * 1024;

/// Whether a request asks for an event stream.
#[must_use]
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(axum::http::header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|value| value.split(','));
    types.any(|it| it.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(EVENT_STREAM))
}

/// The response of an operation, with `guard`, such as its place in flight, held until it ends.
///
/// What is refused before it begins is a stream of one [`Event::Error`]: event streams have no
/// other way to say it. When the server drains or the token expires the response ends without
/// `complete`, so that clients connect again.
pub fn respond(
    events: BoxStream<'static, Event>,
    expires: Option<Instant>,
    draining: &Draining,
    limits: &LiveLimits,
    guard: impl Send + 'static,
) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    let pump = Pump { source: Source::new(events, limits.event_bytes), sender, patience: limits.flush_timeout };
    let ends = stop(draining.clone(), expires);
    let heartbeat = limits.heartbeat;
    tokio::spawn(async move {
        let _guard = guard;
        tokio::select! {
            () = ends => {}
            () = pump.run(heartbeat) => {}
        }
    });
    let chunks = stream::unfold(receiver, async |mut receiver| {
        let chunk: Bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(chunk), receiver))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Proxies that buffer whole responses would hold events back for ever.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

async fn stop(draining: Draining, expires: Option<Instant>) {
    let end_of_token = async {
        match expires {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = draining.begun() => {}
        () = end_of_token => {}
    }
}

/// Moves events from an operation to a response.
struct Pump {
    source: Source,
    sender: mpsc::Sender<Bytes>,
    patience: Duration,
}

impl Pump {
    async fn run(mut self, heartbeat: Duration) {
        let mut heartbeats = interval(heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (chunk, is_over) = tokio::select! {
                biased;
                // The first comes at once, and takes the headers along.
                _ = heartbeats.tick() => (HEARTBEAT, false),
                polled = self.source.next() => self.gather(polled),
                () = self.sender.closed() => return,
            };
            let is_sent = self.send(chunk).await;
            if is_over || !is_sent {
                return;
            }
        }
    }

    /// False when the client is gone, or takes nothing.
    async fn send(&mut self, chunk: Bytes) -> bool {
        matches!(timeout(self.patience, self.sender.send(chunk)).await, Ok(Ok(())))
    }

    /// The chunk of `first` and of what else is ready, and whether that is all.
    fn gather(&mut self, first: Polled) -> (Bytes, bool) {
        let mut chunk = BytesMut::new();
        let mut is_over = write(&mut chunk, first);
        while !is_over && chunk.len() < CHUNK {
            let Some(polled) = self.source.next().now_or_never() else { break };
            is_over = write(&mut chunk, polled);
        }
        (chunk.freeze(), is_over)
    }
}

/// Writes an event; true when it is the last.
fn write(chunk: &mut BytesMut, polled: Polled) -> bool {
    match polled {
        Polled::Next(payload) => {
            write_next(chunk, &[payload.as_str()]);
            false
        }
        Polled::Error(errors) => {
            write_next(chunk, &[r#"{"errors":"#, errors.as_str(), "}"]);
            chunk.put_slice(COMPLETE);
            true
        }
        Polled::Over => {
            chunk.put_slice(COMPLETE);
            true
        }
    }
}

fn write_next(chunk: &mut BytesMut, payload: &[&str]) {
    chunk.put_slice(b"event: next\ndata: ");
    for part in payload {
        debug_assert!(!part.contains(['\n', '\r']), "a newline would end the data");
        chunk.put_slice(part.as_bytes());
    }
    chunk.put_slice(b"\n\n");
}
