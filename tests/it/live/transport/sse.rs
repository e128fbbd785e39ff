//! Event streams, chunk by chunk.

use std::sync::Arc;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::{HeaderMap, HeaderValue};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use packtrail::http::live::{Draining, Event, LiveLimits, sse};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::fake::next;

struct Response {
    chunks: BodyDataStream,
    /// Dropped with the operation.
    held: std::sync::Weak<()>,
}

impl Response {
    fn new(events: BoxStream<'static, Event>, expires: Option<Instant>, draining: &Draining) -> Self {
        let guard = Arc::new(());
        let held = Arc::downgrade(&guard);
        let response = sse::respond(events, expires, draining, &LiveLimits::default(), guard);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { chunks: response.into_body().into_data_stream(), held }
    }

    async fn chunk(&mut self) -> Option<String> {
        let chunk = self.chunks.next().await?.unwrap();
        Some(String::from_utf8(chunk.to_vec()).unwrap())
    }

    fn is_running(&self) -> bool {
        self.held.strong_count() > 0
    }
}

fn never() -> Draining {
    Draining::when(std::future::pending())
}

fn driven() -> (mpsc::UnboundedSender<Event>, BoxStream<'static, Event>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    (sender, stream::poll_fn(move |cx| receiver.poll_recv(cx)).boxed())
}

#[tokio::test(start_paused = true)]
async fn events_are_framed_and_completed() {
    let events = stream::iter([next(&json!(1)), next(&json!("ä"))]).boxed();
    let mut response = Response::new(events, None, &never());
    assert_eq!(response.chunk().await.unwrap(), ":\n\n");
    let rest = response.chunk().await.unwrap();
    let expected =
        "event: next\ndata: {\"data\":1}\n\nevent: next\ndata: {\"data\":\"ä\"}\n\nevent: complete\ndata:\n\n";
    assert_eq!(rest, expected);
    assert_eq!(response.chunk().await, None);
    tokio::task::yield_now().await;
    assert!(!response.is_running());
}

#[tokio::test(start_paused = true)]
async fn errors_are_an_event_of_the_stream() {
    let events = stream::iter([Event::Error(r#"[{"message":"no"}]"#.into())]).boxed();
    let mut response = Response::new(events, None, &never());
    response.chunk().await.unwrap();
    let expected = "event: next\ndata: {\"errors\":[{\"message\":\"no\"}]}\n\nevent: complete\ndata:\n\n";
    assert_eq!(response.chunk().await.unwrap(), expected);
    assert_eq!(response.chunk().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_has_a_heartbeat() {
    let started = Instant::now();
    let (sender, events) = driven();
    let mut response = Response::new(events, None, &never());
    for beat in 0..5 {
        assert_eq!(response.chunk().await.unwrap(), ":\n\n");
        assert_eq!(started.elapsed().as_secs(), beat * 12);
    }
    sender.send(next(&json!(1))).unwrap();
    assert_eq!(response.chunk().await.unwrap(), "event: next\ndata: {\"data\":1}\n\n");
}

#[tokio::test(start_paused = true)]
async fn a_drain_or_an_expired_token_ends_the_stream_without_complete() {
    let (drain, drained) = oneshot::channel::<()>();
    let draining = Draining::when(async { drop(drained.await) });
    let (_sender, events) = driven();
    let (_other, others) = driven();
    let mut expiring = Response::new(others, Some(Instant::now() + Duration::from_secs(5)), &draining);
    let mut response = Response::new(events, None, &draining);
    for response in [&mut expiring, &mut response] {
        assert_eq!(response.chunk().await.unwrap(), ":\n\n");
    }
    assert_eq!(expiring.chunk().await, None);
    assert!(response.chunks.next().now_or_never().is_none());
    drain.send(()).unwrap();
    assert_eq!(response.chunk().await, None);
    assert!(!response.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_is_cut_off() {
    let events = stream::iter(0..).map(|n| next(&json!(n))).boxed();
    let response = Response::new(events, None, &never());
    sleep(Duration::from_millis(9_900)).await;
    assert!(response.is_running());
    sleep(Duration::from_millis(200)).await;
    assert!(!response.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_operation() {
    let (_sender, events) = driven();
    let mut response = Response::new(events, None, &never());
    response.chunk().await.unwrap();
    drop(std::mem::replace(&mut response.chunks, axum::body::Body::empty().into_data_stream()));
    sleep(Duration::from_millis(1)).await;
    assert!(!response.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_of_the_stream() {
    let events = stream::iter([1, 2]).map(|n| if n == 1 { next(&json!(n)) } else { panic!("a stream that panics") });
    let mut response = Response::new(events.boxed(), None, &never());
    response.chunk().await.unwrap();
    let rest = response.chunk().await.unwrap();
    assert!(rest.contains("INTERNAL") && rest.ends_with("event: complete\ndata:\n\n"), "{rest}");
}

#[test]
fn event_streams_are_asked_for_by_name() {
    let wants = |accept: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static(accept));
        sse::is_wanted(&headers)
    };
    assert!(wants("text/event-stream"));
    assert!(wants("application/json, Text/Event-Stream;q=0.5"));
    assert!(!wants("*/*"));
    assert!(!wants("application/json"));
    assert!(!sse::is_wanted(&HeaderMap::new()));
}
