//! RUNS: runs through workers. G15: runs and approvals beside ingest that runs flat out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Bench;
use crate::copies::copy_run;
use crate::database::Kind;
use crate::fleet::Shape;
use crate::http::{Call, Connection};
use crate::measure::{Line, Target};
use crate::process::Process;

/// Workers that claim one step at a time.
const WORKERS: usize = 8;
/// Steps of a run.
const STEPS: usize = 10;
/// Connections that create runs.
const CREATORS: usize = 16;
/// Senders of ingest beside the interactive commands.
const SENDERS: usize = 8;

/// Creates a run.
pub(super) const CREATE: &str = "mutation ($input: CreateRunInput!) { createRun(input: $input) { __typename
    ... on CreateRunSuccess { run { planHash } } } }";
/// Claims steps.
pub(super) const CLAIM: &str =
    "mutation ($input: ClaimStepsInput!) { claimSteps(input: $input) { ... on ClaimStepsSuccess {
    leases { token runId stepId uses with attempt leaseSeconds } } } }";
const COMPLETE: &str = "mutation ($input: CompleteStepInput!) { completeStep(input: $input) { __typename } }";
/// All that is told of a run but its numbers and its name.
const RUN: &str =
    "query ($run: String!) { run(runId: $run) { pack version planHash status createdAt createdBy updatedAt
    startedAt endedAt failurePolicy inputs manifest subjectIds waitsFor { __typename }
    steps(first: 100) { nodes { stepId status statusReason attempts lastTransitionAt outputs } }
    approvals(first: 100) { nodes { approvalId status reason requestedAt } }
    artifacts(first: 100) { totalCount }
    logs(first: 100) { nodes { seq timestamp level eventType message stepId metadata } }
    transitions(first: 100) { nodes { stepId from to at cause reason } } } }";
const RUN_ID: &str = "query ($run: String!) { run(runId: $run) { id } }";
const AROUND: &str = "query ($node: ID!) { lineage(node: $node, depth: 1) { nodes { kind name } } }";
const DECIDE: &str = "mutation ($input: DecideApprovalInput!) { decideApproval(input: $input) { __typename } }";

/// A pack of some steps.
pub(super) fn manifest(steps: &str) -> String {
    format!(
        "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {{name: bench, version: 1.0.0}}\n\
         spec: {{inputs: [{{name: run, type: boolean, default: true}}], approvals: [{{id: go}}], steps: [{steps}]}}"
    )
}

fn working() -> String {
    let steps: Vec<String> = (0..STEPS).map(|n| format!("{{id: s{n}, run: {{uses: 'builtin:noop'}}}}")).collect();
    manifest(&steps.join(", "))
}

/// The data of the answer to a mutation.
pub(super) async fn ask(connection: &mut Connection, query: &str, input: Value) -> Result<Value> {
    let answer = connection.post(&Call::graphql(query, &json!({"input": input}))).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    ensure!(answer.get("errors").is_none(), "{answer}");
    Ok(answer["data"].clone())
}

/// What is told of a run and of what is around it, under a name that all runs have in common.
async fn told_of(host: &str, run: &str) -> Result<Value> {
    let mut connection = Connection::open(host).await?;
    let mut told = Vec::new();
    for query in [RUN, RUN_ID] {
        let answer = connection.post(&Call::graphql(query, &json!({"run": run}))).await?;
        told.push(serde_json::from_slice::<Value>(&answer)?);
    }
    let id = told.pop().context("an id")?["data"]["run"]["id"].clone();
    ensure!(id.is_string(), "there is no run {run}");
    let answer = connection.post(&Call::graphql(AROUND, &json!({"node": id}))).await?;
    told.push(serde_json::from_slice(&answer)?);
    ensure!(told.iter().all(|answer| answer.get("errors").is_none()), "{told:?}");
    Ok(serde_json::from_str(&json!(told).to_string().replace(&format!("\"{run}\""), "\"a run\""))?)
}

/// Creates runs `0..count` of a manifest.
async fn create(host: &str, name: &str, manifest: &str, inputs: Value, count: usize) -> Result<Duration> {
    let start = Instant::now();
    let mut creating = JoinSet::new();
    for creator in 0..CREATORS {
        let (host, name, manifest, inputs) = (host.to_owned(), name.to_owned(), manifest.to_owned(), inputs.clone());
        creating.spawn(async move {
            let mut connection = Connection::open(&host).await?;
            for n in (creator..count).step_by(CREATORS) {
                let input = json!({"runId": format!("{name}-{n}"), "manifest": manifest, "inputs": inputs});
                let made = ask(&mut connection, CREATE, input).await?;
                ensure!(made["createRun"]["__typename"] == "CreateRunSuccess", "{made}");
            }
            Ok(())
        });
    }
    while let Some(done) = creating.join_next().await {
        done??;
    }
    Ok(start.elapsed())
}

/// What workers did.
struct Worked {
    wall: Duration,
    steps: u64,
    /// Of claims that gave a step, microseconds.
    claims: Histogram<u64>,
}

/// Lets the workers do all steps that there are.
async fn work(host: &str, steps: u64) -> Result<Worked> {
    let start = Instant::now();
    let is_over = Arc::new(AtomicBool::new(false));
    let done = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut working = JoinSet::new();
    for worker in 0..WORKERS {
        let (host, is_over, done) = (host.to_owned(), Arc::clone(&is_over), Arc::clone(&done));
        working.spawn(async move {
            let mut claims = Histogram::<u64>::new(3)?;
            let mut connection = Connection::open(&host).await?;
            let claim = json!({"worker": format!("w{worker}"), "capabilities": ["builtin:*"], "waitSeconds": 1});
            while !is_over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let answer = ask(&mut connection, CLAIM, claim.clone()).await?;
                let leases = answer["claimSteps"]["leases"].as_array().context("leases")?;
                let Some(lease) = leases.first() else { continue };
                claims.record(u64::try_from(asked.elapsed().as_micros())?)?;
                let input = json!({"token": lease["token"], "outputs": {"ok": true}});
                let ended = ask(&mut connection, COMPLETE, input).await?;
                ensure!(ended["completeStep"]["__typename"] == "CompleteStepSuccess", "{ended}");
                if done.fetch_add(1, Ordering::Relaxed) + 1 == steps {
                    is_over.store(true, Ordering::Relaxed);
                }
            }
            Ok::<_, anyhow::Error>(claims)
        });
    }
    let mut claims = Histogram::<u64>::new(3)?;
    while let Some(one) = working.join_next().await {
        claims.add(one??)?;
    }
    Ok(Worked { wall: start.elapsed(), steps, claims })
}

fn milliseconds(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

/// RUNS: throughput of runs through workers, and what a claim costs with many runs that ended.
pub async fn runs(bench: &Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        lines.extend(runs_on(bench, kind).await?);
    }
    Ok(lines)
}

async fn runs_on(bench: &Bench, kind: Kind) -> Result<Vec<Line>> {
    let (count, ended) = bench.size((20, 100), (1_000, 100_000));
    let database = bench.database(kind).await?;
    let server = bench.product.serve(&database.url)?;
    let steps = u64::try_from(count * STEPS)?;
    let creating = create(&server.host, "first", &working(), json!({}), count).await?;
    let cpu = server.cpu();
    let empty = work(&server.host, steps).await?;
    let cpu = server.cpu() - cpu;
    // A run that ends when it is created, and copies of it.
    let none = manifest("{id: s, when: inputs.run, run: {uses: 'builtin:noop'}}");
    create(&server.host, "ended", &none, json!({"run": false}), 1).await?;
    server.stop()?;
    copy_run(&database, "ended-0", "ended", ended - 1).await?;
    let server = bench.product.serve(&database.url)?;
    let real = told_of(&server.host, "ended-0").await?;
    for n in [1, ended / 2, ended - 1] {
        let copy = told_of(&server.host, &format!("ended-{n}")).await?;
        ensure!(copy == real, "a copy differs: {copy} {real}");
    }
    create(&server.host, "second", &working(), json!({}), count).await?;
    let full = work(&server.host, steps).await?;
    server.stop()?;
    database.drop().await?;
    let rate = |worked: &Worked| worked.steps as f64 / worked.wall.as_secs_f64();
    let told = |worked: &Worked| {
        format!(
            "{:.0} steps/s; claims p50 {:.1} ms, p99 {:.1} ms",
            rate(worked),
            milliseconds(&worked.claims, 0.5),
            milliseconds(&worked.claims, 0.99)
        )
    };
    let what =
        format!("{kind}: {count} runs of {STEPS} steps through {WORKERS} workers, each step claimed and completed");
    let mut first = Line::figure("RUNS", what, "steps/s", None, rate(&empty));
    first.detail = format!(
        "{}; {:.1} ms CPU a step of the server; {:.0} creations/s",
        told(&empty),
        cpu / empty.steps as f64 * 1e3,
        count as f64 / creating.as_secs_f64()
    );
    let slower = milliseconds(&full.claims, 0.5) / milliseconds(&empty.claims, 0.5);
    let what = format!("{kind}: the median claim with {ended} runs that ended in the store, against none");
    let mut second = Line::figure("RUNS", what, "×", Some(Target::AtMost(1.5)), slower);
    second.detail = told(&full);
    Ok(vec![first, second])
}

/// G15: the latency of creating a run and deciding its approval while ingest runs flat out.
pub async fn interactive(bench: &Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        lines.extend(interactive_on(bench, kind).await?);
    }
    Ok(lines)
}

async fn interactive_on(bench: &Bench, kind: Kind) -> Result<Vec<Line>> {
    let shape = bench.size(
        Shape { packs: 4, clusters: 10, revisions: 4, failing: 10 },
        Shape { packs: 120, clusters: 25, revisions: 5, failing: 10 },
    );
    let database = bench.database(kind).await?;
    let server = bench.product.serve(&database.url)?;
    let bodies = shape.bodies(1);
    let events = shape.events();
    let start = Instant::now();
    let (sending, is_over) = send_all(&server, bodies);
    let asking = measure(&server.host, &is_over).await;
    sending.await??;
    let wall = start.elapsed();
    let (creations, decisions) = asking?;
    server.stop()?;
    database.drop().await?;
    let line = |what: &str, latency: &Histogram<u64>| {
        let what = format!("{kind}: {what}, p99, while {SENDERS} senders ingest flat out");
        let mut line = Line::figure("G15", what, "ms", Some(Target::AtMost(50.0)), milliseconds(latency, 0.99));
        line.detail = format!(
            "{} of them; p50 {:.1} ms, largest {:.1} ms; {:.0} events/s beside",
            latency.len(),
            milliseconds(latency, 0.5),
            milliseconds(latency, 1.0),
            events as f64 / wall.as_secs_f64()
        );
        line
    };
    Ok(vec![line("createRun", &creations), line("decideApproval", &decisions)])
}

type Sending = tokio::task::JoinHandle<Result<()>>;

/// Sends bodies, and tells when all are written.
fn send_all(server: &Process, bodies: Vec<String>) -> (Sending, Arc<AtomicBool>) {
    let is_over = Arc::new(AtomicBool::new(false));
    let (host, over) = (server.host.clone(), Arc::clone(&is_over));
    let calls: Arc<[Call]> = bodies.into_iter().map(Call::ingest).collect();
    let sending = tokio::spawn(async move {
        let sent = crate::http::closed_loop(&host, &calls, SENDERS, crate::http::Until::Sent).await;
        over.store(true, Ordering::Relaxed);
        sent.map(drop)
    });
    (sending, is_over)
}

/// Creates and approves runs, one after the other and with a pause, as people do.
async fn measure(host: &str, is_over: &AtomicBool) -> Result<(Histogram<u64>, Histogram<u64>)> {
    let (mut creations, mut decisions) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    let mut connection = Connection::open(host).await?;
    let manifest = manifest("{id: g, gate: {approval: {id: go}}}, {id: s, run: {uses: 'builtin:noop'}}");
    let mut n = 0;
    while !is_over.load(Ordering::Relaxed) {
        let run = format!("g15-{n}");
        n += 1;
        let asked = Instant::now();
        let made = ask(&mut connection, CREATE, json!({"runId": run, "manifest": manifest})).await?;
        creations.record(u64::try_from(asked.elapsed().as_micros())?)?;
        let hash = made["createRun"]["run"]["planHash"].clone();
        let input = json!({"runId": run, "approvalId": "go", "decision": "APPROVED", "planHash": hash});
        let asked = Instant::now();
        let decided = ask(&mut connection, DECIDE, input).await?;
        decisions.record(u64::try_from(asked.elapsed().as_micros())?)?;
        ensure!(decided["decideApproval"]["__typename"] == "DecideApprovalSuccess", "{decided}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((creations, decisions))
}
