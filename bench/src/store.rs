//! Large stores: a fleet sent to the product, as clusters would, without ever being in memory, and
//! stores that were filled so before.

use std::io::{ErrorKind, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::Bench;
use crate::database::{Database, Kind};
use crate::fleet::{Fleet, Shape, cluster, lines};
use crate::http::{Call, Until, closed_loop};
use crate::measure::figure;
use crate::process::{Process, Product};

/// Results of each execution.
pub const REVISIONS: usize = 20;
/// The seed of large stores.
const SEED: u64 = 14;
/// Deliveries that are made ahead of those that are sent.
const PART: usize = 256;
/// Clients that send.
const CLIENTS: usize = 16;

/// Packs with a known lineage: on so many clusters, each with the execution, its job, results, receipt and
/// artifact, and 25 resources.
pub struct Wide {
    /// How large the lineage of each is, about.
    pub name: &'static str,
    /// How many such packs there are.
    packs: usize,
    clusters: usize,
    revisions: usize,
    /// Their number is beyond those of the fleet's own packs.
    first: usize,
}

/// The packs that the lineage goal asks for. An answer has at most 5,000 nodes.
pub const WIDE: [Wide; 2] = [
    Wide { name: "200 nodes", packs: 20, clusters: 5, revisions: 8, first: 9_000_000 },
    Wide { name: "5,000 nodes", packs: 4, clusters: 98, revisions: 20, first: 9_100_000 },
];

impl Wide {
    /// The names of its packs.
    pub fn names(&self) -> impl Iterator<Item = String> {
        (self.first..self.first + self.packs).map(crate::fleet::pack_name)
    }

    fn each_delivery(&self, mut send: impl FnMut(Vec<Value>) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut fleet = Fleet::new(u64::try_from(self.first).unwrap_or(0));
        for p in 0..self.packs {
            let pack = fleet.pack(self.first + p);
            send(vec![fleet.pack_event(&pack, 60)])?;
            for c in 0..self.clusters {
                // Clusters of their own: no other pack is on them.
                let execution = fleet.execution(&pack, &cluster(1_000 + c), 120 + i64::try_from(c).unwrap_or(0));
                let mut events = vec![fleet.execution_event(&pack, &execution)];
                events.extend(fleet.result_events(&pack, &execution, self.revisions, 10));
                events.push(fleet.receipt_event(&pack, &execution));
                send(events)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Calls `send` with the deliveries of a large store, each with how many records of the fleet it is.
fn each_delivery(shape: Shape, mut send: impl FnMut(usize, Vec<Value>) -> ControlFlow<()>) -> ControlFlow<()> {
    shape.try_each_delivery(SEED, |_, execution, events| send(execution.map_or(1, |_| shape.revisions + 2), events))?;
    WIDE.iter().try_for_each(|wide| wide.each_delivery(|events| send(0, events)))
}

/// Writes the events of a large store of about so many records to standard output, one a line.
pub fn generate(records: usize) -> Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let mut written = Ok(());
    let _goes_to_the_end_unless_broken = each_delivery(Shape::of_records(records, REVISIONS), |_, events| {
        written = out.write_all(lines(&events).as_bytes());
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    match written.and_then(|()| out.flush()) {
        // Whoever reads has had enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// A store of some size with a server on it.
pub struct Stored {
    /// The fleet that it holds, beside the packs of [`WIDE`].
    pub shape: Shape,
    /// Where it is.
    pub database: Database,
    /// The server on it.
    pub server: Process,
    /// How it was filled: events a second, and seconds; `None` if it was there before.
    pub filled: Option<(f64, f64)>,
}

impl Stored {
    /// The store of so many records that was named, or a new one.
    pub async fn of(bench: &Bench, kind: Kind, records: usize) -> Result<Self> {
        let shape = Shape::of_records(records, REVISIONS);
        for (_, url) in bench.stores.iter().filter(|(size, _)| *size == records) {
            let database = Database::kept(url)?;
            if database.kind == kind {
                let server = bench.product.serve(&database.url)?;
                return Ok(Self { shape, database, server, filled: None });
            }
        }
        let database = bench.database(kind).await?;
        let server = bench.product.serve(&database.url)?;
        let start = Instant::now();
        send(&server, shape, 0, async |_| Ok(true)).await?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Self { shape, database, server, filled: Some((shape.events() as f64 / seconds, seconds)) })
    }

    /// Stops the server, and drops the store unless it is to be kept.
    pub async fn end(self) -> Result<()> {
        self.server.stop()?;
        self.database.drop().await
    }
}

/// Sends the deliveries of a large store but for the first `stored` records, and tells after each part how
/// many records of the fleet were sent so far. Ends when `goes_on` says no.
async fn send(
    server: &Process,
    shape: Shape,
    stored: usize,
    mut goes_on: impl AsyncFnMut(usize) -> Result<bool>,
) -> Result<()> {
    let (sender, mut parts) = tokio::sync::mpsc::channel::<(usize, Vec<Call>)>(2);
    let generator = std::thread::spawn(move || {
        let (mut sent, mut part) = (0, Vec::new());
        let end = each_delivery(shape, |records, events| {
            sent += records;
            if sent <= stored {
                return ControlFlow::Continue(());
            }
            part.push(Call::ingest(lines(&events)));
            // Nobody receives any more where the store is full.
            let is_taken = part.len() < PART || sender.blocking_send((sent, std::mem::take(&mut part))).is_ok();
            if is_taken { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if end.is_continue() {
            let _nobody_receives = sender.blocking_send((sent, part));
        }
    });
    while let Some((sent, part)) = parts.recv().await {
        closed_loop(&server.host, &part.into(), CLIENTS, Until::Sent).await?;
        if !goes_on(sent).await? {
            break;
        }
    }
    drop(parts);
    generator.join().map_err(|_| anyhow::anyhow!("the generator panicked"))
}

/// Records between two lines of a fill's report.
const STEP: usize = 100_000;

/// Fills a store through the real way of ingest, and tells at every [`STEP`] records how that goes. Goes on
/// where an earlier fill of the same size was stopped, and ends early where less than `keep_free` bytes of
/// disk are left.
pub async fn fill(product: &Product, url: &str, records: usize, keep_free: u64) -> Result<()> {
    let shape = Shape::of_records(records, REVISIONS);
    let database = Database::kept(url)?;
    let server = product.serve(url)?;
    // Deliveries arrive nearly in their order; what was under way is sent again, and known.
    let stored = usize::try_from(database.number("SELECT COUNT(*) FROM object").await?)?;
    let stored = stored.saturating_sub(2 * PART * (shape.revisions + 2));
    println!("| records | seconds | records/s | CPU µs an event | bytes a record | GiB on disk | resident MiB |");
    println!("|---|---|---|---|---|---|---|");
    let start = Instant::now();
    let mut before = Mark { records: stored, time: start, cpu: server.cpu() + database.cpu().await? };
    let events_a_record = shape.events() as f64 / shape.records() as f64;
    let is_full = AtomicBool::new(false);
    send(&server, shape, stored, async |sent| {
        if sent / STEP == before.records / STEP && sent < shape.records() {
            return Ok(true);
        }
        let now = Mark { records: sent, time: Instant::now(), cpu: server.cpu() + database.cpu().await? };
        let new = (now.records - before.records) as f64;
        if new > 0.0 {
            let (bytes, (resident, _)) = (database.bytes().await?, server.memory());
            println!(
                "| {sent} | {:.0} | {} | {} | {:.0} | {:.2} | {:.0} |",
                (now.time - start).as_secs_f64(),
                figure(new / (now.time - before.time).as_secs_f64()),
                figure((now.cpu - before.cpu) * 1e6 / (new * events_a_record)),
                bytes as f64 / sent as f64,
                bytes as f64 / GIB,
                resident as f64 / MIB,
            );
        }
        before = now;
        let is_enough = free(&database)? >= keep_free;
        is_full.store(!is_enough, Ordering::Relaxed);
        Ok(is_enough)
    })
    .await?;
    let edges = database.number("SELECT COUNT(*) FROM lineage").await?;
    let (_, most) = server.memory();
    let stopping = Instant::now();
    server.stop()?;
    let seconds = stopping.elapsed().as_secs_f64();
    println!("\n{edges} edges; at most {:.0} MiB resident; stopped within {seconds:.1} s", most as f64 / MIB);
    ensure!(!is_full.load(Ordering::Relaxed), "the disk is full but for what is to be kept free");
    Ok(())
}

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;

/// Where a fill was at a time.
struct Mark {
    records: usize,
    time: Instant,
    cpu: f64,
}

/// Bytes that are free where a database is; of Postgres, where this runs.
fn free(database: &Database) -> Result<u64> {
    let folder = database.file().parent().filter(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let out = Command::new("df").args(["--output=avail", "-B1"]).arg(folder).output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.lines().last().and_then(|line| line.trim().parse().ok()).context(text)
}
