//! G1, G2, G3: ingest against raw inserts of the same rows. G17: heartbeats.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::Bench;
use crate::database::{Database, Kind, connect};
use crate::fleet::{Fleet, Shape, lines};
use crate::http::{Call, Until, closed_loop, once};
use crate::measure::{Line, Pairs, Sample, Side, Target, words};
use crate::process::{Process, check_summary, feed, own_cpu};
use crate::rows;

/// Concurrent senders.
pub(super) const SENDERS: usize = 64;
/// Records a transaction of the raw twin.
const BATCH: [usize; 2] = [1_000, 100];

/// G1 to G3.
pub async fn run(bench: &Bench, asked: &[&str]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        let wanted = match kind {
            Kind::Sqlite => asked.iter().any(|goal| ["G1", "G3"].contains(goal)),
            Kind::Postgres => asked.contains(&"G2"),
        };
        if wanted {
            lines.extend(measure(bench, kind).await?);
        }
    }
    Ok(lines)
}

async fn measure(bench: &Bench, kind: Kind) -> Result<Vec<Line>> {
    let shape = bench.size(
        Shape { packs: 4, clusters: 10, revisions: 4, failing: 10 },
        Shape { packs: 40, clusters: 25, revisions: 5, failing: 10 },
    );
    let bodies = shape.bodies(1);
    let events = bodies.iter().map(|body| body.lines().count()).sum::<usize>();
    ensure!(events == shape.events(), "the fleet has {events} events");
    let bytes = bodies.iter().map(String::len).sum::<usize>() / events;
    let calls: Arc<[Call]> = bodies.into_iter().map(Call::ingest).collect();

    // The rows that the twin writes, and the proof that it writes all of them.
    let database = bench.database(kind).await?;
    let (server, _) = fill(bench, &database, &calls, events).await?;
    server.stop()?;
    let stored = database.number("SELECT (SELECT COUNT(*) FROM object) - (SELECT COUNT(*) FROM quarantine)").await?;
    ensure!(usize::try_from(stored) == Ok(shape.records()), "{stored} records are stored");
    let tables = rows::read(&database).await?;
    let copy = empty_copy(bench, kind).await?;
    write(&copy, &tables, events).await?;
    ensure!(
        rows::digest(&rows::read(&copy).await?) == rows::digest(&tables),
        "the twin has other rows than the system"
    );
    copy.drop().await?;
    database.drop().await?;

    let mut again = Side::default();
    let limit = async || {
        let copy = empty_copy(bench, kind).await?;
        let database_cpu = copy.cpu().await?;
        let (start, cpu) = (Instant::now(), own_cpu());
        let database_after = write(&copy, &tables, events).await?;
        let sample = Sample::new(events, start.elapsed(), own_cpu() - cpu).with_database(database_after - database_cpu);
        copy.drop().await?;
        Ok(sample)
    };
    let system = async || {
        let database = bench.database(kind).await?;
        let (server, new) = fill(bench, &database, &calls, events).await?;
        let repeated = send(&server, &database, &calls, events).await?;
        let answer = once(&server.host, &calls[0]).await?;
        let summary = check_summary(&answer)?;
        ensure!(summary.duplicate == summary.items, "a repeated body is not all duplicates: {summary:?}");
        again.samples.push(repeated);
        server.stop()?;
        database.drop().await?;
        Ok(new)
    };
    let pairs = Pairs::run(bench.pairs, limit, system).await?;

    let (goal, target) = if kind == Kind::Sqlite { ("G1", 0.6) } else { ("G2", 0.8) };
    let what = format!(
        "{kind}: ingest of {events} events of {bytes} bytes by {SENDERS} clients, against raw inserts of the same rows"
    );
    let repeated = Pairs { limit: pairs.system.clone(), system: again };
    let what_again = format!("{kind}: the same events again, against new ones");
    Ok(vec![pairs.rate_line(goal, what, target), repeated.rate_line("G3", what_again, 3.0)])
}

/// A started server with all bodies in it, and how that went.
async fn fill(bench: &Bench, database: &Database, calls: &Arc<[Call]>, events: usize) -> Result<(Process, Sample)> {
    let server = bench.product.serve(&database.url)?;
    let sample = send(&server, database, calls, events).await?;
    Ok((server, sample))
}

/// Sends all bodies by [`SENDERS`] clients.
pub(super) async fn send(server: &Process, database: &Database, calls: &Arc<[Call]>, events: usize) -> Result<Sample> {
    let (cpu, database_cpu) = (server.cpu(), database.cpu().await?);
    let load = closed_loop(&server.host, calls, SENDERS, Until::Sent).await?;
    let database_cpu = database.cpu().await? - database_cpu;
    Ok(Sample::new(events, load.wall, server.cpu() - cpu).with_latency(&load.latency).with_database(database_cpu))
}

/// An empty database with the product's tables and indexes.
async fn empty_copy(bench: &Bench, kind: Kind) -> Result<Database> {
    let database = bench.database(kind).await?;
    bench.product.migrate(&database.url)?;
    Ok(database)
}

/// Writes the rows, and tells the CPU time of the database's processes while the connection is still there.
async fn write(copy: &Database, tables: &[rows::Table], events: usize) -> Result<f64> {
    match copy.kind {
        Kind::Sqlite => {
            rows::write_sqlite(copy, tables, events.div_ceil(BATCH[0]))?;
            Ok(0.0)
        }
        Kind::Postgres => {
            let mut client = connect(&copy.url).await?;
            rows::write_postgres(&mut client, tables, events.div_ceil(BATCH[1])).await?;
            copy.cpu().await
        }
    }
}

/// G17: the same receipts with a new drift check, again and again.
pub async fn heartbeats(bench: &Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        lines.extend(beat(bench, kind).await?);
    }
    Ok(lines)
}

async fn beat(bench: &Bench, kind: Kind) -> Result<Vec<Line>> {
    let packs = bench.size(2, 40);
    let (each, senders) = (250, 16);
    let shape = Shape { packs, clusters: 50, revisions: 1, failing: 0 };
    let mut receipts: Vec<Value> = Vec::new();
    let mut bodies = Vec::new();
    shape.each_delivery(17, |_, execution, events| {
        if execution.is_some() {
            receipts.push(events[events.len() - 1].clone());
        }
        bodies.push(lines(&events));
    });
    let database = bench.database(kind).await?;
    let server = bench.product.serve(&database.url)?;
    feed(&server.host, bodies).await?;
    let mut fleet = Fleet::new(170);
    let mut round = 0;
    let mut side = Side::default();
    let ledger = "SELECT (SELECT COUNT(*) FROM ledger_commit) + (SELECT COUNT(*) FROM ledger_entry)";
    let mut before = 0;
    // The first rounds fill the stretch of heartbeats that are kept one by one.
    let warm_up = 10;
    for repetition in 0..warm_up + bench.pairs {
        let rounds = if repetition < warm_up { 1 } else { bench.size(1, 5) };
        let mut calls = Vec::new();
        for _ in 0..rounds {
            round += 1;
            let beats: Vec<Value> = receipts.iter().map(|receipt| fleet.heartbeat(receipt, round)).collect();
            calls.extend(beats.chunks(each).map(|part| Call::ingest(lines(part))));
        }
        let calls: Arc<[Call]> = calls.into();
        let events = receipts.len() * usize::try_from(rounds)?;
        let sample = {
            let (cpu, database_cpu) = (server.cpu(), database.cpu().await?);
            let load = closed_loop(&server.host, &calls, senders, Until::Sent).await?;
            let database_cpu = database.cpu().await? - database_cpu;
            Sample::new(events, load.wall, server.cpu() - cpu).with_latency(&load.latency).with_database(database_cpu)
        };
        if repetition >= warm_up {
            side.samples.push(sample);
        }
        if repetition + 1 == warm_up {
            before = database.number(ledger).await?;
        }
    }
    let grown = database.number(ledger).await? - before;
    server.stop()?;
    database.drop().await?;
    let rates: Vec<f64> = side.samples.iter().map(Sample::rate).collect();
    let mut line = Line::figure(
        "G17",
        format!("{kind}: heartbeats of {} receipts in bodies of {each} by {senders} clients", receipts.len()),
        "a second",
        Some(Target::AtLeast(20_000.0)),
        crate::measure::median(&rates),
    );
    line.range = crate::measure::bounds(&rates);
    line.detail = words(&side);
    line.data = json!({"rates": rates});
    if side.spread() > 0.25 {
        line.noisy = Some(format!("the repetitions spread by {:.0} %", side.spread() * 100.0));
    }
    let what = format!("{kind}: rows that the ledger grew by meanwhile");
    Ok(vec![line, Line::figure("G17", what, "rows", Some(Target::AtMost(0.0)), grown as f64)])
}
