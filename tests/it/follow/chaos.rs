//! Whatever happens to connections, the output is the list.

use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use super::server::{Asked, COMPLETE, Server, apart, batch, cursor, events, failed, next, open, page, status, whole};
use super::{change_lines, changes, entries, entry_lines, json_lines, program, run, signal, stderr, stdout};

/// How many processes run at a time.
const AT_A_TIME: usize = 64;

/// Serves a list by cursor, badly.
struct Chaos {
    items: Vec<Value>,
    /// Whether the list has an end.
    ends: bool,
    random: ChaCha8Rng,
    /// From where was asked last, and how often in a row.
    stuck: (usize, u32),
}

impl Chaos {
    fn new(items: Vec<Value>, ends: bool, seed: u64) -> Self {
        Self { items, ends, random: ChaCha8Rng::seed_from_u64(seed), stuck: (0, 0) }
    }

    async fn serve(self) -> Server {
        let chaos = Arc::new(Mutex::new(self));
        Server::start(move |_, asked| chaos.lock().unwrap().answer(asked)).await
    }

    fn answer(&mut self, asked: &Asked) -> Response {
        let after = asked.after();
        self.stuck = if self.stuck.0 == after { (after, self.stuck.1 + 1) } else { (after, 1) };
        match self.random.random_range(0..100) {
            // Clients wait longer from failure to failure; nothing is learnt from that here.
            _ if self.is_kind() => self.kind_answer(asked),
            0..8 => status(503),
            8..12 => ([("retry-after", "0")], status(429)).into_response(),
            12..16 => events(stream::iter([Err(io::Error::other("cut"))])),
            16..20 => status(503).map(|_| "a proxy's own page".into()),
            _ if asked.is_subscription() => self.subscription(asked.after()),
            _ => self.page(asked),
        }
    }

    /// Whether enough has failed for now.
    fn is_kind(&self) -> bool {
        self.stuck.1 > 3
    }

    fn kind_answer(&mut self, asked: &Asked) -> Response {
        if !asked.is_subscription() {
            return page(&self.items, asked);
        }
        let rest = batch(&self.items[asked.after()..], self.items.len(), self.ends);
        if self.ends { whole(rest) } else { open(rest) }
    }

    fn page(&mut self, asked: &Asked) -> Response {
        if self.random.random_bool(0.3) {
            let part = Bytes::from_static(b"{\"data\":{\"answer\":{\"logs\":{\"items\":[");
            let pieces = stream::iter([Ok(part), Err(io::Error::other("cut"))]);
            return axum::body::Body::from_stream(pieces).into_response();
        }
        page(&self.items, asked)
    }

    /// The rest of the list, mostly not all of it.
    fn subscription(&mut self, after: usize) -> Response {
        let text = self.text(after);
        let text = text.replace('\n', ["\n", "\r\n", "\r"][self.random.random_range(0..3)]);
        let fate = self.random.random_range(0..100);
        let cut = if fate < 75 { self.random.random_range(0..=text.len()) } else { text.len() };
        let mut pieces = self.cut_up(&text.as_bytes()[..cut]);
        // A body that ends, or breaks off, or says nothing more.
        if fate < 35 {
            pieces.push(Err(io::Error::other("cut")));
        }
        let hangs = fate >= 75 && !self.ends;
        let pieces = apart(pieces);
        if hangs { events(pieces.chain(stream::pending())) } else { events(pieces) }
    }

    fn text(&mut self, after: usize) -> String {
        let mut text = String::from(":\n\n");
        let mut at = after;
        while at < self.items.len() {
            let to = self.items.len().min(at + self.random.random_range(0..30));
            text += &batch(&self.items[at..to], to, false);
            at = to;
            match self.random.random_range(0..20) {
                0..5 => text += ": still here\n\n",
                5 => return text + &next(&failed("SLOW_CONSUMER", "too slow")) + COMPLETE,
                6 => return text + &next(&failed("OVERLOADED", "too much")) + COMPLETE,
                _ => (),
            }
        }
        if self.ends {
            text += &batch(&[], at, true);
            text += COMPLETE;
        }
        text
    }

    fn cut_up(&mut self, mut bytes: &[u8]) -> Vec<io::Result<Bytes>> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(self.random.random_range(1..1500)));
            pieces.push(Ok(Bytes::copy_from_slice(piece)));
            bytes = rest;
        }
        pieces
    }
}

async fn for_seeds<F: Future<Output = usize> + Send>(count: u64, claim: impl Fn(u64) -> F) {
    let connections: Vec<usize> = stream::iter((0..count).map(claim)).buffer_unordered(AT_A_TIME).collect().await;
    println!("{count} seeds, {} requests", connections.iter().sum::<usize>());
}

/// Entries whose messages hold whatever a process could print.
fn hostile(count: usize, random: &mut impl Rng) -> Vec<Value> {
    let mut entries = entries(count);
    for entry in &mut entries {
        let message: String = (0..random.random_range(0..80)).map(|_| random.random::<char>()).collect();
        entry["message"] = Value::from(message + "\x1b]0;\u{9b}\r\n\u{202e}\"\\");
    }
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_followed_is_printed_whole_and_once() {
    for_seeds(60, |seed| async move {
        let entries = entries(300);
        let server = Chaos::new(entries.clone(), true, seed).serve().await;
        let output = run(&server, &["logs", "r", "--follow"]).await;
        assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", stderr(&output));
        assert_eq!(stdout(&output), entry_lines(&entries), "seed {seed}");
        server.asked().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_json_means_what_the_server_gave() {
    for_seeds(30, |seed| async move {
        let entries = hostile(200, &mut ChaCha8Rng::seed_from_u64(seed));
        let server = Chaos::new(entries.clone(), true, seed).serve().await;
        let output = run(&server, &["logs", "r", "-f", "--json"]).await;
        assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", stderr(&output));
        let printed: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(printed, entries, "seed {seed}");
        assert!(!stdout(&output).chars().any(|c| c.is_control() && c != '\n'), "seed {seed}");
        server.asked().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_log_are_printed_whole_and_once() {
    for_seeds(20, |seed| async move {
        let entries = entries(300);
        let server = Chaos::new(entries.clone(), true, seed).serve().await;
        let output = run(&server, &["logs", "r"]).await;
        assert_eq!(output.status.code(), Some(0), "seed {seed}: {}", stderr(&output));
        assert_eq!(stdout(&output), entry_lines(&entries), "seed {seed}");
        server.asked().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_is_printed_whole_and_once_until_it_is_interrupted() {
    for_seeds(30, |seed| async move {
        let changes = changes(300);
        let server = Chaos::new(changes.clone(), false, seed).serve().await;
        let json = seed % 2 == 0;
        let expected = if json { json_lines(&changes) } else { change_lines(&changes) };
        let args: &[&str] = if json { &["tail", "--from-start", "--json"] } else { &["tail", "--from-start"] };
        let mut child = program(&server, args).spawn().unwrap();
        let mut printed = vec![0; expected.len()];
        child.stdout.as_mut().unwrap().read_exact(&mut printed).await.unwrap();
        assert_eq!(String::from_utf8(printed).unwrap(), expected, "seed {seed}");
        signal(&child, Signal::INT);
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(130), "seed {seed}");
        assert_eq!(stdout(&output), "", "seed {seed}");
        let told = format!("go on with --after={}\n", cursor(300));
        assert!(stderr(&output).ends_with(&told), "seed {seed}: {}", stderr(&output));
        server.asked().len()
    })
    .await;
}
