//! Every close code, and every limit.

use std::time::Duration;

use axum::http::StatusCode;
use packtrail::http::live::{Event, LiveLimits};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::fake::next;
use super::server::Server;

#[tokio::test(start_paused = true)]
async fn an_upgrade_names_the_sub_protocol() {
    let server = Server::new();
    for headers in [vec![], vec![("sec-websocket-protocol", "graphql-ws")]] {
        let response = server.upgrade(&headers).await.err().unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
    let several = [("sec-websocket-protocol", "graphql-ws, graphql-transport-ws")];
    assert!(server.upgrade(&several).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_origins_are_refused() {
    let server = Server::new();
    assert_eq!(server.refusal(&[("origin", "https://evil.example")]).await, StatusCode::FORBIDDEN);
    assert_eq!(server.refusal(&[("origin", "null")]).await, StatusCode::FORBIDDEN);
    for origin in ["http://server", "https://app.example.com"] {
        assert_eq!(server.refusal(&[("origin", origin)]).await, StatusCode::SWITCHING_PROTOCOLS);
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_in_headers_are_judged_at_the_upgrade() {
    let server = Server::new();
    let statuses = [
        ("bad", StatusCode::UNAUTHORIZED),
        ("forbidden", StatusCode::FORBIDDEN),
        ("vague", StatusCode::BAD_REQUEST),
        ("away", StatusCode::SERVICE_UNAVAILABLE),
        ("someone", StatusCode::SWITCHING_PROTOCOLS),
    ];
    for (token, status) in statuses {
        assert_eq!(server.refusal(&[("authorization", &format!("Bearer {token}"))]).await, status, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_counted_in_all_and_for_each_principal() {
    let server = Server::with(LiveLimits { connections: 3, connections_each: 2, ..LiveLimits::default() });
    let known = [("authorization", "Bearer one")];
    let (first, _second) = (server.connect_as("one").await, server.connect_as("one").await);
    assert_eq!(server.refusal(&known).await, StatusCode::TOO_MANY_REQUESTS);
    let mut third = server.connect().await;
    assert_eq!(server.refusal(&[]).await, StatusCode::SERVICE_UNAVAILABLE);
    third.init("one").await;
    assert_eq!(third.close().await, (1013, "Too many connections".into()));
    drop((first, third));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(server.live.places.taken(), 1);
    let mut fourth = server.connect().await;
    fourth.init("one").await;
    assert_eq!(fourth.hear().await["type"], "connection_ack");
}

#[tokio::test(start_paused = true)]
async fn who_never_says_who_they_are_is_sent_away() {
    let server = Server::new();
    let started = Instant::now();
    let mut client = server.connect().await;
    assert_eq!(client.close().await, (4408, "Connection initialisation timeout".into()));
    assert_eq!(started.elapsed().as_secs(), 5);
    // The headers do not replace the message.
    assert_eq!(server.connect_as("someone").await.close().await.0, 4408);
}

#[tokio::test(start_paused = true)]
async fn who_says_so_twice_is_sent_away() {
    let server = Server::new();
    let mut client = server.open().await;
    client.init("someone").await;
    assert_eq!(client.close().await, (4429, "Too many initialisation requests".into()));
    let mut hasty = server.connect().await;
    hasty.init("slow").await;
    hasty.init("slow").await;
    assert_eq!(hasty.close().await.0, 4429);
}

#[tokio::test(start_paused = true)]
async fn nobody_subscribes_before_the_acknowledgement() {
    let server = Server::new();
    let mut client = server.connect_as("someone").await;
    client.subscribe("a", "{ one }").await;
    assert_eq!(client.close().await, (4401, "Unauthorized".into()));
    let mut hasty = server.connect().await;
    hasty.init("slow").await;
    hasty.subscribe("a", "{ one }").await;
    assert_eq!(hasty.close().await.0, 4401);
    assert_eq!(server.fake.begun(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_known_from_the_header_or_from_the_first_message() {
    let server = Server::new();
    let mut by_header = server.connect_as("someone").await;
    by_header.say(json!({"type": "connection_init"})).await;
    assert_eq!(by_header.hear().await, json!({"type": "connection_ack"}));
    let codes = [("bad", 4401), ("forbidden", 4403), ("vague", 4400), ("away", 1013)];
    for (token, code) in codes {
        let mut client = server.connect().await;
        client.init(token).await;
        assert_eq!(client.close().await.0, code, "{token}");
    }
    let mut silent = server.connect().await;
    silent.say(json!({"type": "connection_init"})).await;
    assert_eq!(silent.close().await, (4401, "Unauthorized: no token".into()));
}

#[tokio::test(start_paused = true)]
async fn messages_the_protocol_does_not_have_end_the_connection() {
    let server = Server::new();
    let long = json!({"type": "subscribe", "id": "x".repeat(129), "payload": {"query": "{ one }"}}).to_string();
    let texts = ["hello", "{}", r#"{"type":"start","id":"a"}"#, r#"{"type":"subscribe","payload":{}}"#, &long];
    let mut messages: Vec<_> = texts.into_iter().map(Message::text).collect();
    messages.push(Message::binary(&br#"{"type":"ping"}"#[..]));
    for message in messages {
        let mut client = server.open().await;
        client.send(message.clone()).await;
        assert_eq!(client.close().await.0, 4400, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_is_answered_with_1009() {
    let server = Server::new();
    let exact = |bytes: usize| {
        let empty = json!({"type": "ping", "payload": {"a": ""}}).to_string().len();
        json!({"type": "ping", "payload": {"a": "x".repeat(bytes - empty)}})
    };
    let mut client = server.open().await;
    client.say(exact(64 * 1024)).await;
    assert_eq!(client.hear().await["type"], "pong");
    client.say(exact(64 * 1024 + 1)).await;
    assert_eq!(client.close().await, (1009, "Message too big".into()));
}

#[tokio::test(start_paused = true)]
async fn a_client_still_sending_hears_of_1009() {
    use futures_util::{SinkExt as _, StreamExt as _};
    let server = Server::new();
    let (mut sink, mut stream) = server.open().await.socket.split();
    let sending = tokio::spawn(async move { sink.send(Message::text("x".repeat(1 << 20))).await });
    let Some(Ok(Message::Close(Some(frame)))) = stream.next().await else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 1009);
    drop(stream);
    assert!(sending.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_message_in_pieces_is_bounded_as_a_whole() {
    let server = Server::new();
    let mut client = server.open().await;
    let piece = Bytes::from(vec![b'x'; 30 * 1024]);
    for kind in [Data::Text, Data::Continue, Data::Continue] {
        client.send(Message::Frame(Frame::message(piece.clone(), OpCode::Data(kind), false))).await;
    }
    assert_eq!(client.close().await.0, 1009);
}

#[tokio::test(start_paused = true)]
async fn frames_that_cannot_be_read_have_codes_of_their_own() {
    let server = Server::new();
    let mut client = server.open().await;
    let frame = Frame::message(&b"\xff\xff"[..], OpCode::Data(Data::Text), true);
    client.send(Message::Frame(frame)).await;
    assert_eq!(client.close().await.0, 1007);
    let mut client = server.open().await;
    let frame = Frame::message(&b"x"[..], OpCode::Data(Data::Continue), true);
    client.send(Message::Frame(frame)).await;
    assert_eq!(client.close().await.0, 1002);
}

#[tokio::test(start_paused = true)]
async fn an_id_in_use_is_not_given_twice() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ one }").await;
    assert_eq!(client.hear().await, json!({"id": "a", "type": "next", "payload": {"data": {"one": 1}}}));
    assert_eq!(client.hear().await, json!({"id": "a", "type": "complete"}));
    client.subscribe("a", "{ unknown }").await;
    let error = client.hear().await;
    assert_eq!(
        (&error["type"], &error["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("BAD_USER_INPUT"))
    );
    client.subscribe("a", "{ never }").await;
    client.subscribe("a", "{ one }").await;
    assert_eq!(client.close().await, (4409, "Subscriber for a already exists".into()));
    assert_eq!(server.fake.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_at_most_so_many_subscriptions_and_lives_on() {
    let server = Server::new();
    let mut client = server.open().await;
    for id in 0..20 {
        client.subscribe(&id.to_string(), "{ driven }").await;
    }
    client.subscribe("more", "{ driven }").await;
    let error = client.hear().await;
    assert_eq!(error["id"], "more");
    assert_eq!(error["payload"][0]["extensions"]["code"], "TOO_MANY_SUBSCRIPTIONS");
    assert_eq!(server.fake.live(), 20);
    client.complete("7").await;
    client.subscribe("more", "{ one }").await;
    assert_eq!(client.hear().await["type"], "next");
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_and_what_needs_no_answer_gets_none() {
    let server = Server::new();
    let mut client = server.connect().await;
    client.say(json!({"type": "ping"})).await;
    assert_eq!(client.hear().await, json!({"type": "pong"}));
    client.init("someone").await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    client.say(json!({"type": "pong", "payload": {}})).await;
    client.complete("unknown").await;
    client.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_lives_as_long_as_pings_are_answered() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ driven }").await;
    client.settle().await;
    let driver = server.fake.driver("a");
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_mins(10)).await;
        driver.send(next(&json!(1))).unwrap();
    });
    assert_eq!(client.hear().await["payload"]["data"], 1);
    later.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_a_sign_of_life_is_left() {
    let server = Server::new();
    let client = server.open().await;
    let started = Instant::now();
    let mut wire = client.socket.into_inner();
    let mut ping = [0; 2];
    wire.read_exact(&mut ping).await.unwrap();
    assert_eq!((ping, started.elapsed().as_secs()), ([0x89, 0], 20));
    let mut close = [0; 4];
    wire.read_exact(&mut close).await.unwrap();
    assert_eq!(close[0], 0x88);
    assert_eq!((u16::from_be_bytes([close[2], close[3]]), started.elapsed().as_secs()), (1001, 40));
    // Nobody answers the goodbye either.
    let _ = wire.shutdown().await;
    server.live.places.empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_ends_the_connection() {
    let server = Server::new();
    for by_header in [true, false] {
        let started = Instant::now();
        let mut client = if by_header { server.connect_as("expiring").await } else { server.connect().await };
        client.init("expiring").await;
        assert_eq!(client.hear().await["type"], "connection_ack");
        client.subscribe("a", "{ driven }").await;
        assert_eq!(client.close().await.0, 4401);
        assert!((30..=31).contains(&started.elapsed().as_secs()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_says_so_to_all() {
    let mut server = Server::new();
    let (mut open, mut waiting) = (server.open().await, server.connect().await);
    open.subscribe("a", "{ driven }").await;
    open.settle().await;
    server.drain();
    assert_eq!(open.close().await, (1001, "Going away".into()));
    assert_eq!(waiting.close().await.0, 1001);
    assert_eq!(server.refusal(&[]).await, StatusCode::SERVICE_UNAVAILABLE);
    drop((open, waiting));
    server.live.places.empty().await;
    assert_eq!(server.fake.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_only_its_operation() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("fine", "{ driven }").await;
    client.subscribe("a", "{ panics }").await;
    let error = client.hear().await;
    assert_eq!((&error["id"], &error["payload"][0]["extensions"]["code"]), (&json!("a"), &json!("INTERNAL")));
    client.subscribe("b", "{ panicsLater }").await;
    assert_eq!(client.hear().await["type"], "next");
    let error = client.hear().await;
    assert_eq!((&error["id"], &error["payload"][0]["extensions"]["code"]), (&json!("b"), &json!("INTERNAL")));
    server.fake.driver("fine").send(next(&json!(1))).unwrap();
    assert_eq!(client.hear().await["id"], "fine");
}

#[tokio::test(start_paused = true)]
async fn an_operation_ends_with_its_errors_or_its_stream() {
    let server = Server::with(LiveLimits { event_bytes: 1_000, ..LiveLimits::default() });
    let mut client = server.open().await;
    for id in ["a", "b", "c"] {
        client.subscribe(id, "{ driven }").await;
    }
    client.settle().await;
    let (a, b, c) = (server.fake.driver("a"), server.fake.driver("b"), server.fake.driver("c"));
    a.send(Event::Error(r#"[{"message":"no"}]"#.into())).unwrap();
    assert_eq!(client.hear().await, json!({"id": "a", "type": "error", "payload": [{"message": "no"}]}));
    drop(b);
    assert_eq!(client.hear().await, json!({"id": "b", "type": "complete"}));
    c.send(next(&json!("x".repeat(1_000)))).unwrap();
    assert_eq!(client.hear().await["payload"][0]["extensions"]["code"], "PAYLOAD_TOO_LARGE");
    assert_eq!(server.fake.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_takes_its_operations_along() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ driven }").await;
    client.subscribe("b", "{ never }").await;
    client.settle().await;
    assert_eq!(server.fake.live(), 2);
    client.socket.close(None).await.unwrap();
    while client.socket.get_mut().read(&mut [0; 64]).await.unwrap_or(0) > 0 {}
    server.live.places.empty().await;
    assert_eq!(server.fake.live(), 0);
}
