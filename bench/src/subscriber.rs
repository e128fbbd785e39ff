//! Subscribers over WebSockets, as light as can be: of what arrives they count marks, and parse nothing.
//!
//! Each delivery that is waited for holds [`MARK`] once, in its last text. The same code receives from the
//! product and from its twin.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Ends a delivery, and is nowhere else in one.
pub const MARK: u8 = b'~';
/// Connections that are opened at once.
const OPENING: usize = 32;
/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// How a connection becomes a subscriber.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// At the twin: it gets everything at once.
    Raw,
    /// At the product: by `graphql-transport-ws`, with one operation.
    GraphQl {
        /// The document.
        document: &'a str,
        /// Its variables.
        variables: &'a Value,
    },
}

/// What one subscriber received.
#[derive(Default)]
struct Slot {
    /// When the latest mark arrived, nanoseconds since the subscribers began.
    at: AtomicU64,
    marks: AtomicUsize,
    texts: AtomicUsize,
    /// The texts, while they are kept.
    kept: Mutex<Vec<u8>>,
}

/// What all subscribers of a server share.
struct Shared {
    begun: Instant,
    marks: AtomicUsize,
    /// Who waits is told at so many marks.
    awaited: AtomicUsize,
    arrived: Notify,
    keeps: AtomicBool,
}

/// Subscribers of one server, each with a connection of its own, until they are dropped.
pub struct Subscribers {
    shared: Arc<Shared>,
    slots: Vec<Arc<Slot>>,
    tasks: JoinSet<()>,
}

/// When a delivery arrived.
pub struct Arrival {
    /// From the first subscriber's receipt to each other's, microseconds.
    pub spread: Vec<u64>,
    /// From a moment before to each receipt, microseconds; 0 where it was before that moment.
    pub whole: Vec<u64>,
}

impl Subscribers {
    /// None, yet.
    pub fn none() -> Self {
        let shared = Shared {
            begun: Instant::now(),
            marks: AtomicUsize::new(0),
            awaited: AtomicUsize::new(usize::MAX),
            arrived: Notify::new(),
            keeps: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), slots: Vec::new(), tasks: JoinSet::new() }
    }

    /// So many more at `host:port`. The product may not have begun their operations yet.
    pub async fn join(&mut self, host: &str, way: Way<'_>, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let part = left.min(OPENING);
            let opening = futures_util::future::try_join_all((0..part).map(|_| open(host, way)));
            for (wire, unread) in opening.await? {
                let slot = Arc::new(Slot::default());
                self.slots.push(Arc::clone(&slot));
                self.tasks.spawn(receive(wire, unread, slot, Arc::clone(&self.shared)));
            }
            left -= part;
        }
        Ok(())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Texts that arrived so far.
    pub fn texts(&self) -> usize {
        self.slots.iter().map(|slot| slot.texts.load(Ordering::SeqCst)).sum()
    }

    /// Keeps what arrives from now on, without what was kept before; or keeps it no more.
    pub fn keep(&self, keeps: bool) -> Result<()> {
        for slot in self.slots.iter().filter(|_| keeps) {
            slot.kept.lock().ok().context("poisoned")?.clear();
        }
        self.shared.keeps.store(keeps, Ordering::SeqCst);
        Ok(())
    }

    /// What was kept of each.
    pub fn kept(&self) -> Result<Vec<Vec<u8>>> {
        self.slots.iter().map(|slot| Ok(slot.kept.lock().ok().context("poisoned")?.clone())).collect()
    }

    /// Waits until each has got at least one text.
    pub async fn begun(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let silent = self.slots.iter().filter(|slot| slot.texts.load(Ordering::SeqCst) == 0).count();
            if silent == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{silent} of {} subscribers got nothing", self.count());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until what `send` causes has arrived at all, once at each. What `send` returns is the moment
    /// from which the whole time is counted.
    pub async fn deliver(&self, send: impl Future<Output = Result<Instant>>) -> Result<Arrival> {
        let before = self.shared.marks.load(Ordering::SeqCst);
        let all = before + self.count();
        self.shared.awaited.store(all, Ordering::SeqCst);
        let sent = send.await?;
        while self.shared.marks.load(Ordering::SeqCst) < all {
            if tokio::time::timeout(PATIENCE, self.shared.arrived.notified()).await.is_err() {
                let arrived = self.shared.marks.load(Ordering::SeqCst) - before;
                bail!("a delivery arrived {arrived} times, not {}", self.count());
            }
        }
        let sent = u64::try_from(sent.saturating_duration_since(self.shared.begun).as_nanos())?;
        let at: Vec<u64> = self.slots.iter().map(|slot| slot.at.load(Ordering::SeqCst)).collect();
        let first = at.iter().copied().min().unwrap_or(0);
        let since = |from: u64| at.iter().map(|at| at.saturating_sub(from) / 1_000).collect();
        Ok(Arrival { spread: since(first), whole: since(sent) })
    }

    /// Fails unless each has got so many deliveries since it is there.
    pub fn check(&self, deliveries: usize) -> Result<()> {
        for slot in &self.slots {
            let got = slot.marks.load(Ordering::SeqCst);
            ensure!(got == deliveries, "a subscriber got {got} deliveries, not {deliveries}");
        }
        Ok(())
    }
}

/// A connection that is a subscriber, and what it has sent already.
async fn open(host: &str, way: Way<'_>) -> Result<(TcpStream, Vec<u8>)> {
    let mut wire = TcpStream::connect(host).await.with_context(|| format!("connect to {host}"))?;
    wire.set_nodelay(true)?;
    let (path, protocol) = match way {
        Way::Raw => ("/ws", ""),
        Way::GraphQl { .. } => ("/graphql/ws", "Sec-WebSocket-Protocol: graphql-transport-ws\r\n"),
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{protocol}\r\n"
    );
    wire.write_all(request.as_bytes()).await?;
    let mut unread = Vec::new();
    let head = loop {
        more(&mut wire, &mut unread).await?;
        if let Some(end) = unread.windows(4).position(|part| part == b"\r\n\r\n") {
            break unread.drain(..end + 4).collect::<Vec<u8>>();
        }
    };
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "no WebSocket: {}", String::from_utf8_lossy(&head));
    if let Way::GraphQl { document, variables } = way {
        wire.write_all(&masked(TEXT, br#"{"type":"connection_init"}"#)).await?;
        let acknowledged = loop {
            if let Some((frame, length)) = frame(&unread)? {
                let payload = unread[frame.payload].to_vec();
                unread.drain(..length);
                break payload;
            }
            more(&mut wire, &mut unread).await?;
        };
        let said: Value = serde_json::from_slice(&acknowledged)?;
        ensure!(said["type"] == "connection_ack", "{said}");
        let payload = json!({"query": document, "variables": variables});
        let subscribe = json!({"id": "1", "type": "subscribe", "payload": payload}).to_string();
        wire.write_all(&masked(TEXT, subscribe.as_bytes())).await?;
    }
    Ok((wire, unread))
}

async fn more(wire: &mut TcpStream, unread: &mut Vec<u8>) -> Result<()> {
    unread.reserve(1_024);
    ensure!(wire.read_buf(unread).await? > 0, "the connection ended");
    Ok(())
}

/// Counts what arrives until the connection ends; whoever waits for more finds out.
async fn receive(mut wire: TcpStream, mut unread: Vec<u8>, slot: Arc<Slot>, shared: Arc<Shared>) {
    if let Err(error) = receive_all(&mut wire, &mut unread, &slot, &shared).await {
        eprintln!("a subscriber ended: {error:#}");
    }
}

async fn receive_all(wire: &mut TcpStream, unread: &mut Vec<u8>, slot: &Slot, shared: &Shared) -> Result<()> {
    loop {
        let mut used = 0;
        while let Some((frame, length)) = frame(&unread[used..])? {
            let payload = &unread[used + frame.payload.start..used + frame.payload.end];
            match frame.kind {
                TEXT => take(payload, slot, shared)?,
                PING => wire.write_all(&masked(PONG, payload)).await?,
                CLOSE => bail!("closed: {}", String::from_utf8_lossy(payload)),
                _ => {}
            }
            used += length;
        }
        unread.drain(..used);
        unread.reserve(READ);
        ensure!(wire.read_buf(unread).await? > 0, "the connection ended");
    }
}

fn take(payload: &[u8], slot: &Slot, shared: &Shared) -> Result<()> {
    if shared.keeps.load(Ordering::Relaxed) {
        slot.kept.lock().ok().context("poisoned")?.extend_from_slice(payload);
    }
    slot.texts.fetch_add(1, Ordering::SeqCst);
    let marks = payload.iter().filter(|byte| **byte == MARK).count();
    if marks > 0 {
        slot.at.store(u64::try_from(shared.begun.elapsed().as_nanos())?, Ordering::SeqCst);
        slot.marks.fetch_add(marks, Ordering::SeqCst);
        let all = shared.marks.fetch_add(marks, Ordering::SeqCst) + marks;
        if all >= shared.awaited.load(Ordering::SeqCst) {
            shared.arrived.notify_one();
        }
    }
    Ok(())
}

// Frames

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame of a server: whole, and not masked.
struct Frame {
    kind: u8,
    payload: std::ops::Range<usize>,
}

/// The first frame of some bytes and how long it is; `None` if it is not all there.
fn frame(bytes: &[u8]) -> Result<Option<(Frame, usize)>> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    ensure!(first & 0x80 != 0 && second & 0x80 == 0, "a frame that is a part, or masked");
    let (head, length) = match (second, rest) {
        (126, &[a, b, ..]) => (4, usize::from(u16::from_be_bytes([a, b]))),
        (127, &[a, b, c, d, e, f, g, h, ..]) => (10, usize::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h]))?),
        (126 | 127, _) => return Ok(None),
        (length, _) => (2, usize::from(length)),
    };
    let whole = head + length;
    let frame = Frame { kind: first & 0x0f, payload: head..whole };
    Ok((bytes.len() >= whole).then_some((frame, whole)))
}

/// A frame of a client. It must be masked; a mask of zeros leaves the payload as it is.
fn masked(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | kind];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap_or(0)),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
