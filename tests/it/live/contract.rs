//! The contract of streams: whatever breaks, who goes on from its cursor gets every entry once, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::client::LOGS;
use super::servers::{Servers, read};
use crate::support::db::{Database, execute};
use crate::support::server::times;

/// Follows a log to its end, over connections that it breaks off itself at random, at random servers.
async fn follow(servers: Arc<Servers>, seed: u64) -> Vec<(i64, String)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let mut socket = servers.socket(random.random_range(0..servers.count())).await;
        if socket.subscribe("1", LOGS, json!({"r": "r", "a": cursor})).await.is_none() {
            continue;
        }
        for _ in 0..random.random_range(1..60) {
            let Some(message) = socket.next().await else { break };
            match message["type"].as_str().unwrap() {
                "next" => {
                    let batch = &message["payload"]["data"]["runLogs"];
                    found.extend(read(&batch["entries"]));
                    cursor = batch["cursor"].clone();
                    if batch["endOfLog"] == true {
                        assert_eq!(socket.next().await.unwrap()["type"], "complete");
                        return found;
                    }
                }
                // What ends before its end may be gone on with, from the cursor.
                "error" | "closed" => break,
                other => panic!("{seed}: {other}"),
            }
        }
    }
}

async fn write(servers: &Servers, token: &str, lines: usize) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut first = 0;
    while first < lines {
        let count = random.random_range(1..8).min(lines - first);
        let batch: Vec<String> = (first..first + count).map(|n| format!("line {n}")).collect();
        servers.append(token, first, &batch).await;
        first += count;
    }
    servers.end(token).await;
}

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
    WHERE application_name = 'packtrail listener' AND datname = current_database()";

/// Breaks what can be broken, until told to stop, and at least so often.
async fn break_things(servers: &Servers, kills: usize, listens: usize, is_over: &AtomicBool) {
    let mut done = (0, 0);
    while !is_over.load(Ordering::Relaxed) || done.0 < kills || done.1 < listens {
        if done.0 < kills && done.1 * kills >= done.0 * listens {
            servers.restart(done.0 % servers.count());
            done.0 += 1;
        } else if servers.count() > 1 {
            execute(servers.database(), TERMINATE).await;
            done.1 += 1;
        } else {
            done.1 = listens;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_breaks_every_subscriber_gets_the_log_as_it_is_stored() {
    let subscribers = times("PACKTRAIL_TEST_SUBSCRIBERS", 24);
    let count = |variable, quick| usize::try_from(times(variable, quick)).unwrap();
    let (kills, listens) = (count("PACKTRAIL_TEST_SERVER_KILLS", 2), count("PACKTRAIL_TEST_LISTEN_ENDS", 6));
    for database in Database::all() {
        let servers = Servers::start(&database, "").await;
        let (token, lines) = (servers.begin("r").await, count("PACKTRAIL_TEST_LINES", 400));
        let is_over = AtomicBool::new(false);
        let writing = async {
            write(&servers, &token, lines).await;
            is_over.store(true, Ordering::Relaxed);
        };
        let following = join_all((0..subscribers).map(|seed| tokio::spawn(follow(Arc::clone(&servers), seed))));
        let breaking = break_things(&servers, kills, listens, &is_over);
        let ((), found, ()) = tokio::join!(writing, following, breaking);
        let stored = servers.stored("r").await;
        assert!(stored.iter().map(|(seq, _)| *seq).eq(1..=i64::try_from(stored.len()).unwrap()));
        assert!(stored.len() > lines, "all lines are there, and what the server says of the step");
        for (seed, found) in found.into_iter().enumerate() {
            let found = found.unwrap();
            assert!(found == stored, "subscriber {seed}: {} of {} entries", found.len(), stored.len());
        }
    }
}
