//! G9, G10: what a delivery to a subscriber costs, beside a raw WebSocket broadcast. G11: the memory of
//! idle subscribers. G12: writing while another server follows, and how soon it does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use hyper::body::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::ingest;
use super::work::{CLAIM, CREATE, ask, manifest};
use crate::Bench;
use crate::database::{Database, Kind};
use crate::fleet::Shape;
use crate::http::{Call, Connection};
use crate::measure::{Line, Pairs, Sample, Target, bounds, figure, median};
use crate::process::Process;
use crate::subscriber::{Arrival, MARK, Subscribers, Way};

/// What every subscriber asks for.
const LOGS: &str = "subscription ($r: String!) { runLogs(runId: $r) { entries { seq message } cursor } }";
const APPEND: &str = "mutation ($input: AppendStepLogsInput!) { appendStepLogs(input: $input) { __typename } }";
const CHANGES: &str =
    "subscription { recordChanges(from: NOW) { changes { leaf type record { id kind name } } cursor } }";

/// The run that is listened to, and one that is not.
const RUNS: [&str; 2] = ["heard", "unheard"];
/// Lines of a burst.
const BURST: usize = 64;
/// Subscribers that are there before memory is measured: they pay for what the server has once.
const FIRST: usize = 100;
/// Subscribers at the other server.
const FOLLOWERS: usize = 10;

/// A worker that has a step, and appends lines to the log of its run.
struct Writer {
    connection: Connection,
    token: Value,
    /// Lines that it has appended.
    lines: usize,
}

impl Writer {
    /// Creates the run, and takes its only step.
    async fn open(host: &str, run: &str) -> Result<Self> {
        let mut connection = Connection::open(host).await?;
        let manifest = manifest("{id: s, run: {uses: 'builtin:noop'}}");
        let made = ask(&mut connection, CREATE, json!({"runId": run, "manifest": manifest})).await?;
        ensure!(made["createRun"]["__typename"] == "CreateRunSuccess", "{made}");
        let claim = json!({"worker": "w", "capabilities": ["builtin:*"], "max": 1, "leaseSeconds": 3600});
        let claimed = ask(&mut connection, CLAIM, claim).await?;
        let lease = &claimed["claimSteps"]["leases"][0];
        ensure!(lease["runId"] == run, "{claimed}");
        Ok(Self { connection, token: lease["token"].clone(), lines: 0 })
    }

    /// A line, always of the same size.
    fn line(&self, n: usize, is_last: bool) -> String {
        let end = if is_last { char::from(MARK) } else { '.' };
        format!("{:07} pulled layer 12 of registry.example.com/packs/edge-gateway in 1.2 s{end}", self.lines + n)
    }

    /// The next lines; the last of them has the mark.
    fn next(&self, count: usize) -> Vec<String> {
        (0..count).map(|n| self.line(n, n + 1 == count)).collect()
    }

    /// Appends the next lines at once.
    async fn append(&mut self, count: usize) -> Result<()> {
        let lines: Vec<Value> = self.next(count).into_iter().map(|text| json!({"text": text})).collect();
        let input = json!({"token": self.token, "firstSeq": self.lines, "lines": lines});
        let answer = ask(&mut self.connection, APPEND, input).await?;
        ensure!(answer["appendStepLogs"]["__typename"] == "AppendStepLogsSuccess", "{answer}");
        self.lines += count;
        Ok(())
    }
}

/// What sends deliveries.
enum Source {
    /// Appends to the log of the run that is listened to, and of the other.
    System { heard: Box<Writer>, unheard: Box<Writer> },
    /// Posts of the same text.
    Twin { connection: Connection, body: Bytes },
}

impl Source {
    /// Sends one delivery: so many lines at once, which the twin sends as `texts` texts.
    async fn send(&mut self, is_heard: bool, lines: usize, texts: usize) -> Result<()> {
        match self {
            Self::System { heard, unheard } => {
                if is_heard {
                    heard.append(lines).await
                } else {
                    unheard.append(lines).await
                }
            }
            Self::Twin { connection, body } => {
                let path = format!("/{}/{texts}", if is_heard { "publish" } else { "quiet" });
                connection.post(&Call { path, media: "text/plain", body: body.clone() }).await.map(drop)
            }
        }
    }
}

/// One side: a server, its subscribers, and who sends.
struct Fan<'a> {
    process: &'a Process,
    /// The database of the product.
    database: Option<&'a Database>,
    subscribers: Subscribers,
    source: Source,
    /// Lines of a delivery.
    lines: usize,
    /// Deliveries that each subscriber has got.
    delivered: usize,
    /// CPU seconds of a sending that nobody listens to, while there are no subscribers.
    alone: f64,
}

/// A repetition.
struct Measured {
    /// All CPU time of the server; from the first subscriber's receipt to each other's.
    gross: Sample,
    /// Less that of as many sendings to nobody; from before the sending to each receipt.
    net: Sample,
}

impl<'a> Fan<'a> {
    /// Without subscribers yet; measures what sending to nobody costs.
    async fn new(
        process: &'a Process,
        database: Option<&'a Database>,
        mut source: Source,
        lines: usize,
        sendings: usize,
    ) -> Result<Self> {
        let mut cpu = 0.0;
        // The first half warms up.
        for half in 0..2 {
            cpu = process.cpu();
            for _ in 0..sendings * (half + 1) {
                source.send(false, lines, lines).await?;
            }
        }
        let alone = (process.cpu() - cpu) / (sendings * 2) as f64;
        Ok(Self { process, database, subscribers: Subscribers::none(), source, lines, delivered: 0, alone })
    }

    /// Lets subscribers come, and waits until all are there.
    async fn join(&mut self, count: usize) -> Result<()> {
        let variables = json!({"r": RUNS[0]});
        let way = match self.source {
            Source::System { .. } => Way::GraphQl { document: LOGS, variables: &variables },
            Source::Twin { .. } => Way::Raw,
        };
        self.subscribers.join(&self.process.host, way, count).await?;
        self.subscribers.begun().await
    }

    /// Sends a delivery, as so many texts of the twin, and waits until all have it.
    async fn deliver(&mut self, texts: usize) -> Result<Arrival> {
        let send = async {
            let sent = Instant::now();
            self.source.send(true, self.lines, texts).await?;
            Ok(sent)
        };
        let arrival = self.subscribers.deliver(send).await?;
        self.delivered += 1;
        Ok(arrival)
    }

    /// A delivery that is kept: what each subscriber got, which must be the same, and hold what was sent;
    /// and in how many texts.
    async fn checked(&mut self) -> Result<(Vec<u8>, usize)> {
        let expected = match &self.source {
            Source::System { heard, .. } => heard.next(self.lines),
            Source::Twin { .. } => Vec::new(),
        };
        self.subscribers.keep(true)?;
        let before = self.subscribers.texts();
        self.deliver(self.lines).await?;
        let texts = (self.subscribers.texts() - before) / self.subscribers.count();
        self.subscribers.keep(false)?;
        let mut kept = self.subscribers.kept()?;
        let one = kept.pop().context("there are subscribers")?;
        let words = || String::from_utf8_lossy(&one);
        ensure!(kept.iter().all(|other| *other == one), "subscribers got other texts than {}", words());
        ensure!(one.iter().filter(|byte| **byte == MARK).count() == 1, "not one mark: {}", words());
        match &self.source {
            Source::System { .. } => check_entries(&one, &expected)?,
            Source::Twin { body, .. } => ensure!(one == *body, "the twin delivers other bytes: {}", words()),
        }
        Ok((one, texts))
    }

    /// One repetition of so many deliveries.
    async fn measure(&mut self, deliveries: usize, texts: usize) -> Result<Measured> {
        let (mut spread, mut whole) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
        let database_cpu = self.database_cpu().await?;
        let cpu = self.process.cpu();
        let mut took = Duration::ZERO;
        for _ in 0..deliveries {
            let sent = Instant::now();
            let arrival = self.deliver(texts).await?;
            took += sent.elapsed();
            arrival.spread.into_iter().try_for_each(|micros| spread.record(micros))?;
            arrival.whole.into_iter().try_for_each(|micros| whole.record(micros))?;
        }
        let cpu = self.process.cpu() - cpu;
        let database_cpu = self.database_cpu().await? - database_cpu;
        self.subscribers.check(self.delivered)?;
        let entries = deliveries * self.subscribers.count() * self.lines;
        let gross = Sample::new(entries, took, cpu).with_database(database_cpu);
        let net = Sample::new(entries, took, cpu - self.alone * deliveries as f64).with_database(database_cpu);
        Ok(Measured { gross: gross.with_latency(&spread), net: net.with_latency(&whole) })
    }

    async fn database_cpu(&self) -> Result<f64> {
        match self.database {
            Some(database) => database.cpu().await,
            None => Ok(0.0),
        }
    }
}

/// Fails unless batches have exactly the lines that were appended, numbered without gaps.
fn check_entries(texts: &[u8], expected: &[String]) -> Result<()> {
    let mut entries = Vec::new();
    for text in serde_json::Deserializer::from_slice(texts).into_iter::<Value>() {
        let mut text = text?;
        ensure!(text["type"] == "next" && text["payload"].get("errors").is_none(), "{text}");
        let batch = &mut text["payload"]["data"]["runLogs"];
        ensure!(batch["cursor"].is_string(), "no cursor: {batch}");
        entries.extend(std::mem::take(batch["entries"].as_array_mut().context("entries")?));
    }
    let messages: Vec<&str> = entries.iter().filter_map(|entry| entry["message"].as_str()).collect();
    ensure!(messages == expected, "{messages:?} were delivered, not {expected:?}");
    let numbers: Vec<i64> = entries.iter().filter_map(|entry| entry["seq"].as_i64()).collect();
    let is_next = |pair: &[i64]| pair[0] + 1 == pair[1];
    ensure!(numbers.len() == expected.len() && numbers.windows(2).all(is_next), "numbered {numbers:?}");
    Ok(())
}

/// Starts the twin.
fn twin(bench: &Bench) -> Result<Process> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    Process::start(command.arg("broadcast"), &bench.product.log)
}

/// The writers of the product.
async fn writers(server: &Process) -> Result<Source> {
    let heard = Box::new(Writer::open(&server.host, RUNS[0]).await?);
    let unheard = Box::new(Writer::open(&server.host, RUNS[1]).await?);
    Ok(Source::System { heard, unheard })
}

/// Fails where so many connections cannot be had: the servers inherit the limit of the harness.
fn check_files(subscribers: usize) -> Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(usize::MAX);
    let needed = 2 * subscribers + 500;
    ensure!(most >= needed, "{most} files can be open; say `ulimit -n {needed}` first");
    Ok(())
}

/// G9 and G10.
pub async fn fan_out(bench: &Bench, asked: &[&str]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        if asked.contains(&"G9") {
            for (subscribers, deliveries) in bench.size(vec![(100, 20)], vec![(1_000, 200), (5_000, 40)]) {
                lines.extend(fan(bench, kind, subscribers, deliveries, 1).await?);
            }
        }
        if asked.contains(&"G10") {
            let (subscribers, deliveries) = bench.size((100, 10), (1_000, 50));
            lines.extend(fan(bench, kind, subscribers, deliveries, BURST).await?);
        }
    }
    Ok(lines)
}

/// Product and twin with so many subscribers each, and repetitions of `deliveries` deliveries of `lines`
/// lines, each after the one before.
async fn fan(bench: &Bench, kind: Kind, subscribers: usize, deliveries: usize, lines: usize) -> Result<Vec<Line>> {
    check_files(subscribers)?;
    let database = bench.database(kind).await?;
    let (server, raw) = (bench.product.serve(&database.url)?, twin(bench)?);
    let sendings = bench.size(20, if lines == 1 { 500 } else { 100 });
    let mut system = Fan::new(&server, Some(&database), writers(&server).await?, lines, sendings).await?;
    system.join(subscribers).await?;
    // The twin sends the very bytes that the product did.
    let (body, texts) = system.checked().await?;
    let bytes = body.len();
    let source = Source::Twin { connection: Connection::open(&raw.host).await?, body: body.into() };
    let mut limit = Fan::new(&raw, None, source, lines, sendings).await?;
    limit.join(subscribers).await?;
    limit.checked().await?;
    for side in [&mut system, &mut limit] {
        side.measure(deliveries.div_ceil(4), lines).await?;
    }
    let (mut limit_net, mut system_net, mut whole_text) = (Vec::new(), Vec::new(), Vec::new());
    let gross = Pairs::run(
        bench.pairs,
        async || {
            let measured = limit.measure(deliveries, lines).await?;
            limit_net.push(measured.net);
            if lines > 1 {
                whole_text.push(limit.measure(deliveries, 1).await?.gross);
            }
            Ok(measured.gross)
        },
        async || {
            let measured = system.measure(deliveries, lines).await?;
            system_net.push(measured.net);
            Ok(measured.gross)
        },
    )
    .await?;
    // Nothing was lost or repeated on the way.
    system.checked().await?;
    let alone = format!(
        "a sending to nobody costs {} µs CPU of the limit, {} µs of the system; {bytes} bytes in {texts} text(s) of \
         the system",
        figure(limit.alone * 1e6),
        figure(system.alone * 1e6)
    );
    drop((system, limit));
    server.stop()?;
    raw.stop()?;
    database.drop().await?;
    let mut net = Pairs::default();
    (net.limit.samples, net.system.samples) = (limit_net, system_net);
    let mut whole = Pairs::default();
    (whole.limit.samples, whole.system.samples) = (whole_text, gross.system.samples.clone());
    let label = format!("{kind}: {subscribers} subscribers");
    let mut found = if lines == 1 { single(&label, &gross, &net) } else { bursts(&label, &gross, &net, &whole) };
    found.iter_mut().for_each(|line| line.detail = format!("{}; {alone}", line.detail));
    Ok(found)
}

fn single(label: &str, gross: &Pairs, net: &Pairs) -> Vec<Line> {
    let label = format!("{label}, one entry at a time");
    let each = |sample: &Sample| sample.cpu / sample.operations;
    let p99 = |sample: &Sample| sample.p99 as f64;
    let (cpu, time) = (Target::AtMost(1.15), Target::AtMost(1.3));
    let mut whole = net.line("G9", format!("{label}: p99 from before the sending to each receipt"), "× p99", time, p99);
    whole.target = None;
    vec![
        gross.line(
            "G9",
            format!("{label}: CPU of the server a delivery, that of appending included"),
            "× CPU",
            cpu,
            each,
        ),
        net.line("G9", format!("{label}: the same without that of appending"), "× CPU", cpu, each),
        gross.line("G9", format!("{label}: p99 from the first receipt to each other"), "× p99", time, p99),
        whole,
    ]
}

fn bursts(label: &str, gross: &Pairs, net: &Pairs, whole: &Pairs) -> Vec<Line> {
    let label = format!("{label}, {BURST} entries at once");
    let rate = |sample: &Sample| sample.operations / sample.cpu;
    let (unit, target) = ("× entries a CPU second", Target::AtLeast(0.65));
    let what = format!("{label}: against {BURST} texts flushed once, appending included");
    let without = format!("{label}: the same without appending");
    let mut one = whole.line("G10", format!("{label}: against one text, appending included"), unit, target, rate);
    one.target = None;
    vec![gross.line("G10", what, unit, target, rate), net.line("G10", without, unit, target, rate), one]
}

/// G11: memory of idle subscribers.
pub async fn idle(bench: &Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        lines.push(idle_on(bench, kind).await?);
    }
    Ok(lines)
}

async fn idle_on(bench: &Bench, kind: Kind) -> Result<Line> {
    let subscribers = bench.size(200, 2_000);
    check_files(subscribers + FIRST)?;
    let (mut system, mut limit) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..bench.pairs {
        let raw = twin(bench)?;
        let body = Bytes::from_static(&[MARK]);
        let source = Source::Twin { connection: Connection::open(&raw.host).await?, body };
        footprint(Fan::new(&raw, None, source, 1, 1).await?, subscribers, &mut limit).await?;
        raw.stop()?;
        let database = bench.database(kind).await?;
        let server = bench.product.serve(&database.url)?;
        let fan = Fan::new(&server, None, writers(&server).await?, 1, 1).await?;
        footprint(fan, subscribers, &mut system).await?;
        server.stop()?;
        database.drop().await?;
    }
    let what = format!("{kind}: resident memory of each of {subscribers} idle subscribers");
    let mut line = Line::figure("G11", what, "KB", Some(Target::AtMost(10.0)), median(&system[0]));
    line.range = bounds(&system[0]);
    line.detail = format!(
        "after an entry was delivered {}; the limit {}, after a delivery {}; beyond {FIRST} subscribers that were there",
        figure(median(&system[1])),
        figure(median(&limit[0])),
        figure(median(&limit[1]))
    );
    line.data = json!({"system": system, "limit": limit});
    line.noisy = few(&system[0]);
    eprintln!("  G11 {}: {} KB", line.what, figure(line.value));
    Ok(line)
}

/// Adds to `found` what each subscriber takes, KB: before and after a delivery.
async fn footprint(mut fan: Fan<'_>, subscribers: usize, found: &mut [Vec<f64>; 2]) -> Result<()> {
    fan.join(FIRST).await?;
    fan.deliver(1).await?;
    let before = settled(fan.process).await;
    fan.join(subscribers).await?;
    let idle = settled(fan.process).await;
    fan.deliver(1).await?;
    let after = settled(fan.process).await;
    let each = |now: u64| (now as f64 - before as f64) / subscribers as f64 / 1e3;
    found[0].push(each(idle));
    found[1].push(each(after));
    Ok(())
}

/// Resident bytes, when all has calmed down.
async fn settled(process: &Process) -> u64 {
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.memory().0
}

/// Why a median of so few repetitions proves nothing, if so.
fn few(repetitions: &[f64]) -> Option<String> {
    (repetitions.len() < 5).then(|| format!("only {} repetitions", repetitions.len()))
}

/// G12: Postgres alone can have a second server.
pub async fn replicas(bench: &Bench) -> Result<Vec<Line>> {
    if !bench.kinds().contains(&Kind::Postgres) {
        eprintln!("  G12 needs --postgres");
        return Ok(Vec::new());
    }
    let mut lines = beside(bench).await?;
    lines.push(following(bench).await?);
    Ok(lines)
}

/// Ingest of one server, while another one follows and while there is none.
async fn beside(bench: &Bench) -> Result<Vec<Line>> {
    let shape = bench.size(
        Shape { packs: 4, clusters: 10, revisions: 4, failing: 10 },
        Shape { packs: 40, clusters: 25, revisions: 5, failing: 10 },
    );
    let events = shape.events();
    let calls: std::sync::Arc<[Call]> = shape.bodies(1).into_iter().map(Call::ingest).collect();
    let (mut lags, mut others) = (Vec::new(), Vec::new());
    let pairs = Pairs::run(
        bench.pairs,
        async || {
            let database = bench.database(Kind::Postgres).await?;
            let server = bench.product.serve(&database.url)?;
            let sample = ingest::send(&server, &database, &calls, events).await?;
            server.stop()?;
            database.drop().await?;
            Ok(sample)
        },
        async || {
            let database = bench.database(Kind::Postgres).await?;
            let (server, other) = (bench.product.serve(&database.url)?, bench.product.serve(&database.url)?);
            let mut followers = Subscribers::none();
            let way = Way::GraphQl { document: CHANGES, variables: &json!({}) };
            followers.join(&other.host, way, FOLLOWERS).await?;
            followers.begun().await?;
            followers.keep(true)?;
            let cpu = other.cpu();
            let sample = ingest::send(&server, &database, &calls, events).await?;
            let sent = Instant::now();
            let last = quiet(&followers).await;
            lags.push(last.saturating_duration_since(sent).as_secs_f64() * 1e3);
            others.push((other.cpu() - cpu) * 1e6 / events as f64);
            check_changes(&followers.kept()?, shape.records())?;
            drop(followers);
            server.stop()?;
            other.stop()?;
            database.drop().await?;
            Ok(sample)
        },
    )
    .await?;
    let what = format!(
        "Postgres: ingest of {events} events by {} clients while another server follows with {FOLLOWERS} subscribers \
         of `recordChanges`, against no other server",
        ingest::SENDERS
    );
    let note = format!(
        "both servers, Postgres and the clients share this machine's CPU: the other server takes {} µs an event; it \
         is done {} ms after the last answer",
        figure(median(&others)),
        figure(median(&lags))
    );
    let mut cpu = pairs.line(
        "G12",
        "Postgres: CPU of the writing server an event, likewise",
        "× CPU",
        Target::AtMost(1.0),
        |sample| sample.cpu / sample.operations,
    );
    cpu.target = None;
    let mut lines = vec![pairs.rate_line("G12", what, 0.9), cpu];
    for line in &mut lines {
        line.detail = line.detail.replace("limit", "alone").replace("system", "followed") + "; " + &note;
    }
    Ok(lines)
}

/// Waits until nothing has arrived for a second; when the last text did, about.
async fn quiet(followers: &Subscribers) -> Instant {
    let (mut last, mut texts) = (Instant::now(), followers.texts());
    while last.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if followers.texts() > texts {
            (last, texts) = (Instant::now(), followers.texts());
        }
    }
    last
}

/// Fails unless all followers saw the same changes, each once and in order, and at least one a record.
fn check_changes(kept: &[Vec<u8>], records: usize) -> Result<()> {
    let mut seen: Vec<Vec<i64>> = Vec::new();
    for texts in kept {
        let mut leaves = Vec::new();
        for text in serde_json::Deserializer::from_slice(texts).into_iter::<Value>() {
            let text = text?;
            let changes = text["payload"]["data"]["recordChanges"]["changes"].as_array();
            let changes = changes.with_context(|| format!("changes: {text}"))?;
            leaves.extend(changes.iter().filter_map(|change| change["leaf"].as_i64()));
        }
        ensure!(leaves.is_sorted_by(|a, b| a < b), "changes are repeated or out of order");
        ensure!(leaves.len() >= records, "{} changes of {records} records", leaves.len());
        seen.push(leaves);
    }
    ensure!(seen.windows(2).all(|pair| pair[0] == pair[1]), "followers saw different changes");
    Ok(())
}

/// From the answer to an append at one server to its receipt at another.
async fn following(bench: &Bench) -> Result<Line> {
    let appends = bench.size(50, 1_000);
    let database = bench.database(Kind::Postgres).await?;
    let (server, other) = (bench.product.serve(&database.url)?, bench.product.serve(&database.url)?);
    let mut writer = Writer::open(&server.host, RUNS[0]).await?;
    let mut follower = Subscribers::none();
    let variables = json!({"r": RUNS[0]});
    follower.join(&other.host, Way::GraphQl { document: LOGS, variables: &variables }, 1).await?;
    follower.begun().await?;
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let (mut p50, mut p99, mut most) = (Vec::new(), Vec::new(), Vec::new());
    // The first repetition warms up.
    for repetition in 0..=bench.pairs {
        let mut latency = Histogram::<u64>::new(3)?;
        for _ in 0..appends {
            // Out of step with whatever the servers do at intervals.
            tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
            let expected = writer.next(1);
            follower.keep(true)?;
            let append = async {
                writer.append(1).await?;
                Ok(Instant::now())
            };
            latency.record(follower.deliver(append).await?.whole[0])?;
            check_entries(&follower.kept()?[0], &expected)?;
        }
        if repetition > 0 {
            let at = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1e3;
            p50.push(at(0.5));
            p99.push(at(0.99));
            most.push(at(1.0));
        }
    }
    drop(follower);
    server.stop()?;
    other.stop()?;
    database.drop().await?;
    let what =
        format!("Postgres: from the answer to an append to its receipt at another server, p99 of {appends} appends");
    let mut line = Line::figure("G12", what, "ms", Some(Target::AtMost(10.0)), median(&p99));
    line.range = bounds(&p99);
    line.detail = format!("p50 {} ms, largest {} ms", figure(median(&p50)), figure(bounds(&most).1));
    line.noisy = few(&p99);
    line.data = json!({"p50": p50, "p99": p99, "largest": most});
    eprintln!("  G12 {}: {} ms", line.what, figure(line.value));
    Ok(line)
}
