//! G14: what a query costs in a small and in a large store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::Bench;
use crate::database::{Database, Kind};
use crate::fleet::{Shape, cluster};
use crate::http::{Call, Until, closed_loop, once};
use crate::measure::{Line, Pairs, Sample, Target};
use crate::process::Process;

/// Records in the small store.
const SMALL: usize = 10_000;
/// Results of each execution.
const REVISIONS: usize = 20;
/// Different requests of each query, spread over the whole store.
const CALLS: usize = 200;

const LOOK_UP: &str = "query ($namespace: String!, $result: String!) {
  operationResult(namespace: $namespace, name: $result) { id name revision status completedAt live }
}";
const CHAIN: &str = "query ($namespace: String!, $execution: String!) {
  revisionChain(namespace: $namespace, packExecution: $execution) {
    status revisions(first: 20) { nodes { id revision status name completedAt } }
  }
}";
const FIRST: &str =
    "{ operationResults(first: 20) { nodes { id name revision status } pageInfo { hasNextPage endCursor } } }";
const FILTERED: &str = "query ($cluster: String!) {
  operationResults(filter: {cluster: $cluster, status: FAILED}, first: 20) { nodes { id name status } pageInfo { hasNextPage } }
}";
const NESTED: &str = "{ packExecutions(first: 10) { nodes { name clusterPack { name record { uid } }
  revisionChain { status revisions(first: 5) { nodes { name revision status } } } } } }";
const FINDINGS: &str = "{ findings(first: 20) { nodes { code severity subject raisedAt } pageInfo { hasNextPage } } }";

/// The hot queries: name and document.
const QUERIES: [(&str, &str); 6] = [
    ("chain of 20", CHAIN),
    ("look-up", LOOK_UP),
    ("first page", FIRST),
    ("filtered page", FILTERED),
    ("nested list", NESTED),
    ("findings page", FINDINGS),
];

/// Each query in both stores.
pub async fn run(bench: &Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        let small = Stored::fill(bench, kind, bench.size(500, SMALL)).await?;
        let large = Stored::fill(bench, kind, bench.large).await?;
        let label = format!("{kind}: {} records against {}", large.shape.records(), small.shape.records());
        let mut rate = Line::figure("G14", format!("{kind}: filling the large store"), "events/s", None, large.rate);
        rate.detail = format!("{:.0} s for {} events by 16 clients", large.seconds, large.shape.events());
        lines.push(rate);
        for (name, document) in QUERIES {
            let (few, many) = (small.calls(document), large.calls(document));
            for (stored, calls) in [(&small, &few), (&large, &many)] {
                let answer: Value = serde_json::from_slice(&once(&stored.server.host, &calls[0]).await?)?;
                ensure!(answer["errors"].is_null(), "G14 {name}: {answer}");
                stored.sample(calls, Duration::from_millis(500)).await?;
            }
            let time = bench.time;
            let pairs = Pairs::run(
                bench.pairs,
                async || small.sample(&few, time).await,
                async || large.sample(&many, time).await,
            )
            .await?;
            let mut line =
                pairs.line("G14", format!("{label}, {name}: p50"), "× p50", Target::AtMost(1.5), |s| s.p50 as f64);
            line.detail = line.detail.replace("limit", "small").replace("system", "large");
            lines.push(line);
        }
        small.end().await?;
        large.end().await?;
    }
    Ok(lines)
}

/// A store of some size with a server on it.
struct Stored {
    shape: Shape,
    database: Database,
    server: Process,
    rate: f64,
    seconds: f64,
}

impl Stored {
    async fn fill(bench: &Bench, kind: Kind, records: usize) -> Result<Self> {
        let shape = Shape::of_records(records, REVISIONS);
        let database = bench.database(kind).await?;
        let server = bench.product.serve(&database.url)?;
        let start = Instant::now();
        // The generator must not hold a large fleet in memory: it makes a part, which is then sent.
        let (sender, mut parts) = tokio::sync::mpsc::channel::<Vec<Call>>(2);
        let generator = std::thread::spawn(move || {
            let mut part = Vec::new();
            shape.each_delivery(14, |_, execution, events| {
                part.push(Call::ingest(crate::fleet::lines(&events)));
                if execution.is_some() && part.len() >= 512 {
                    let _nobody_reads_on = sender.blocking_send(std::mem::take(&mut part));
                }
            });
            let _nobody_reads_on = sender.blocking_send(part);
        });
        while let Some(part) = parts.recv().await {
            closed_loop(&server.host, &part.into(), 16, Until::Sent).await?;
        }
        generator.join().map_err(|_| anyhow::anyhow!("the generator panicked"))?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Self { shape, database, server, rate: shape.events() as f64 / seconds, seconds })
    }

    /// Requests for names from the whole store.
    fn calls(&self, document: &str) -> Arc<[Call]> {
        let mut random = ChaCha8Rng::seed_from_u64(140);
        let mut call = |_| {
            let cluster = cluster(random.random_range(0..self.shape.clusters));
            let execution = format!("addon-{:05}-v1.0.0-r1-{cluster}", random.random_range(0..self.shape.packs));
            let revision = random.random_range(1..=self.shape.revisions);
            let result = format!("pack-deploy-result-{execution}-r{revision}");
            let variables = json!({"namespace": format!("seam-tenant-{cluster}"), "execution": execution, "result": result, "cluster": cluster});
            Call::graphql(document, &variables)
        };
        (0..CALLS).map(&mut call).collect()
    }

    async fn sample(&self, calls: &Arc<[Call]>, time: Duration) -> Result<Sample> {
        let (cpu, database_cpu) = (self.server.cpu(), self.database.cpu().await?);
        let load = closed_loop(&self.server.host, calls, 1, Until::Passed(time)).await?;
        let database_cpu = self.database.cpu().await? - database_cpu;
        Ok(Sample::new(load.requests, load.wall, self.server.cpu() - cpu)
            .with_latency(&load.latency)
            .with_database(database_cpu))
    }

    async fn end(self) -> Result<()> {
        self.server.stop()?;
        self.database.drop().await
    }
}
