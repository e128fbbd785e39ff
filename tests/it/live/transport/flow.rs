//! Many events, many messages, slow peers.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use packtrail::http::live::Connection;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::fake::{Fake, next};
use super::server::Server;

#[test]
fn a_connection_is_small() {
    let bytes = size_of::<Connection<Fake>>();
    println!("a connection's future has {bytes} bytes");
    assert!(bytes <= 1_024, "{bytes}");
}

#[tokio::test(start_paused = true)]
async fn operations_go_on_while_others_begin() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ driven }").await;
    for id in 0..19 {
        client.subscribe(&id.to_string(), "{ never }").await;
    }
    client.settle().await;
    server.fake.driver("a").send(next(&json!(1))).unwrap();
    assert_eq!(client.hear().await["payload"]["data"], 1);
    assert_eq!(client.hear().await["type"], "complete");
    assert_eq!(server.fake.live(), 19);
    for id in 0..19 {
        client.complete(&id.to_string()).await;
    }
    client.settle().await;
    assert_eq!(server.fake.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endless_stream_starves_neither_its_neighbours_nor_messages() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("endless", "{ endless }").await;
    client.subscribe("a", "{ driven }").await;
    client.say(json!({"type": "ping"})).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&json!("pong")) {
        heard.push(client.hear().await["type"].clone());
    }
    let driver = server.fake.driver("a");
    for n in 0..100 {
        driver.send(next(&json!(n))).unwrap();
    }
    let (mut mine, mut others) = (0, 0);
    while mine < 100 {
        match client.hear().await["id"].as_str() {
            Some("a") => mine += 1,
            _ => others += 1,
        }
    }
    // What was on the wire before, and then an event of the one for each of the other.
    assert!(others < 5_000, "{others}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_arrives_whole_and_in_order() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ driven }").await;
    client.settle().await;
    let driver = server.fake.driver("a");
    for n in 0..5_000 {
        driver.send(next(&json!(n))).unwrap();
    }
    drop(driver);
    for n in 0..5_000 {
        assert_eq!(client.hear().await["payload"]["data"], n);
    }
    assert_eq!(client.hear().await["type"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_floods_still_gets_its_events() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ driven }").await;
    client.settle().await;
    let driver = server.fake.driver("a");
    let (mut sink, stream) = client.socket.split();
    let flood = tokio::spawn(async move {
        for _ in 0..5_000 {
            let subscribe = json!({"type": "subscribe", "id": "b", "payload": {"query": "{ never }"}});
            for message in [subscribe, json!({"type": "complete", "id": "b"}), json!({"type": "ping"})] {
                sink.feed(Message::text(message.to_string())).await.unwrap();
            }
        }
        sink.flush().await.unwrap();
    });
    for n in 0..100 {
        driver.send(next(&json!(n))).unwrap();
    }
    let texts = stream.filter_map(async |message| message.unwrap().into_text().ok());
    let messages = texts.map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let heard: Vec<Value> = messages.take(5_100).collect().await;
    flood.await.unwrap();
    let events: Vec<_> = heard.iter().filter(|it| it["id"] == "a").map(|it| it["payload"]["data"].clone()).collect();
    assert_eq!(events, (0..100).map(Value::from).collect::<Vec<_>>());
    let last = heard.iter().rposition(|it| it["id"] == "a").unwrap();
    assert!(last < 1_000, "the last event came after {last} messages");
}

/// Bytes that the server takes from a client that reads nothing.
async fn taken_from_a_deaf_client(message: Value) -> usize {
    let server = Server::new();
    let mut client = server.open().await;
    let text = Message::text(message.to_string());
    let mut bytes = 0;
    while let Ok(Ok(())) = timeout(Duration::from_secs(1), client.socket.send(text.clone())).await {
        bytes += text.len();
        assert!(bytes < 10_000_000);
    }
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hears_no_answers_is_not_listened_to() {
    let small = taken_from_a_deaf_client(json!({"type": "ping"})).await;
    let large = taken_from_a_deaf_client(json!({"type": "ping", "payload": {"a": "x".repeat(60_000)}})).await;
    // The wires of both directions, the buffers, and a message that is held.
    assert!(small < 300_000, "{small}");
    assert!(large < 500_000, "{large}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_told_and_left() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ endless }").await;
    client.subscribe("b", "{ driven }").await;
    sleep(Duration::from_millis(10_500)).await;
    // The streams were not asked for more than the wire and one buffer took.
    assert!(server.fake.pulled() < 3_000, "{}", server.fake.pulled());
    assert_eq!(server.fake.live(), 0);
    let mut ended = Vec::new();
    let close = loop {
        match client.receive().await {
            Message::Text(text) => {
                let heard: Value = serde_json::from_str(&text).unwrap();
                if heard["type"] == "error" {
                    ended.push((heard["id"].clone(), heard["payload"][0]["extensions"]["code"].clone()));
                }
            }
            close => break close,
        }
    };
    let slow = json!("SLOW_CONSUMER");
    assert_eq!(ended, [(json!("a"), slow.clone()), (json!("b"), slow)]);
    let Message::Close(Some(frame)) = close else { panic!("{close:?}") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1013, "SLOW_CONSUMER"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_takes_anything_costs_no_more_after_a_second() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ endless }").await;
    let started = tokio::time::Instant::now();
    server.live.places.empty().await;
    assert_eq!(started.elapsed().as_secs(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pauses_goes_on_without_a_gap() {
    let mut server = Server::new();
    server.wire_bytes = 4_096;
    let mut client = server.open().await;
    client
        .say(
            json!({"type": "subscribe", "id": "a", "payload": {"query": "{ endless }", "variables": {"bytes": 5_000}}}),
        )
        .await;
    for n in 0..200 {
        if n % 10 == 0 {
            sleep(Duration::from_secs(8)).await;
        }
        assert_eq!(client.hear().await["payload"]["data"]["n"], n);
    }
}

#[tokio::test(start_paused = true)]
async fn what_begins_goes_on_while_the_client_takes_nothing() {
    let server = Server::new();
    let mut client = server.open().await;
    client.subscribe("a", "{ endless }").await;
    sleep(Duration::from_secs(1)).await;
    client.subscribe("b", "{ driven }").await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.fake.begun(), 2);
    client.complete("b").await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.fake.live(), 1);
}
