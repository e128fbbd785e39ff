//! Subscribers that take nothing, beside others that do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::{LOGS, Socket};
use super::servers::{Servers, read};
use crate::support::db::Database;
use crate::support::server::times;

/// How much the server may need beyond what it needs without subscribers, KiB.
const GROWTH: u64 = 64 * 1024;
/// Lines of this size make some connections full.
const LINE: usize = 15 * 1024;

/// Reads from a cursor to the end; what it got, and how its operation ended.
async fn read_on(socket: &mut Socket, found: &mut Vec<(i64, String)>, cursor: &mut Value) -> String {
    while let Some(message) = socket.next().await {
        match message["type"].as_str().unwrap() {
            "next" => {
                let batch = &message["payload"]["data"]["runLogs"];
                found.extend(read(&batch["entries"]));
                *cursor = batch["cursor"].clone();
            }
            "error" => return message["payload"][0]["extensions"]["code"].as_str().unwrap().to_owned(),
            other => return other.to_owned(),
        }
    }
    "gone".to_owned()
}

async fn follow(servers: Arc<Servers>, run_id: &str) -> Vec<(i64, String)> {
    let mut socket = servers.socket(0).await;
    socket.subscribe("1", LOGS, json!({"r": run_id})).await.unwrap();
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    assert_eq!(read_on(&mut socket, &mut found, &mut cursor).await, "complete");
    found
}

async fn write(servers: &Servers, token: &str, lines: usize) {
    for first in (0..lines).step_by(20) {
        let batch: Vec<String> = (first..first + 20).map(|n| format!("{n} {}", "x".repeat(LINE))).collect();
        servers.append(token, first, &batch).await;
    }
    servers.end(token).await;
}

/// Sends as fast as it can what the server has to answer, and reads no answer.
async fn flood(servers: Arc<Servers>) {
    let mut socket = servers.socket(0).await;
    socket.subscribe("1", LOGS, json!({"r": "r"})).await.unwrap();
    for n in 0.. {
        let id = format!("x{n}");
        let is_sent = socket.send(&json!({"type": "ping", "payload": {"n": n}})).await.is_some()
            && socket.subscribe(&id, LOGS, json!({"r": "none"})).await.is_some()
            && socket.send(&json!({"type": "complete", "id": id})).await.is_some();
        if !is_sent {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_healthy_are_not_held_up_by_those_that_take_nothing() {
    let count = |variable, quick| usize::try_from(times(variable, quick)).unwrap();
    let (healthy, stalled) = (count("PACKTRAIL_TEST_HEALTHY", 5), count("PACKTRAIL_TEST_STALLED", 3));
    let lines = count("PACKTRAIL_TEST_LONG_LINES", 800);
    for database in Database::all() {
        let servers = Servers::start(&database, "slow_consumer_secs = 5\nrun_log_bytes = 1073741824\n").await;
        // What any log of this size takes, with one who follows it, is not the matter.
        let token = servers.begin("warm").await;
        let warming = tokio::spawn(follow(Arc::clone(&servers), "warm"));
        write(&servers, &token, lines / 4).await;
        warming.await.unwrap();
        let token = servers.begin("r").await;
        let before = servers.memory(0, "VmHWM");
        let mut stuck = Vec::new();
        for _ in 0..stalled {
            let mut socket = servers.socket(0).await;
            socket.subscribe("1", LOGS, json!({"r": "r"})).await.unwrap();
            stuck.push(socket);
        }
        let flooding = tokio::spawn(flood(Arc::clone(&servers)));
        let following: Vec<_> = (0..healthy).map(|_| tokio::spawn(follow(Arc::clone(&servers), "r"))).collect();
        write(&servers, &token, lines).await;
        let found = join_all(following).await;
        let stored = servers.stored("r").await;
        assert!(stored.len() > lines);
        assert!(found.into_iter().all(|found| found.unwrap() == stored), "the healthy have it all");
        // The time that they may take nothing is the one thing here that nothing else tells.
        tokio::time::sleep(Duration::from_secs(11)).await;
        for mut socket in stuck {
            let (mut found, mut cursor) = (Vec::new(), Value::Null);
            let ended = read_on(&mut socket, &mut found, &mut cursor).await;
            assert!(["SLOW_CONSUMER", "closed", "gone"].contains(&ended.as_str()), "{ended}");
            assert!(found.len() < stored.len(), "more was written than connections hold");
            drop(socket);
            let mut socket = servers.socket(0).await;
            socket.subscribe("1", LOGS, json!({"r": "r", "a": cursor})).await.unwrap();
            assert_eq!(read_on(&mut socket, &mut found, &mut cursor).await, "complete");
            assert!(found == stored, "the stalled go on without a gap");
        }
        flooding.abort();
        let grown = servers.memory(0, "VmHWM") - before;
        println!("the server grew by {grown} KiB");
        assert!(grown < GROWTH, "the server grew by {grown} KiB");
    }
}
