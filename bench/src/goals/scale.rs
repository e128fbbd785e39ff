//! G14: what a query costs in a small and in a large store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::Bench;
use crate::fleet::{cluster, pack_name};
use crate::http::{Call, Until, closed_loop, once};
use crate::measure::{Line, Pairs, Sample, Target};
use crate::store::Stored;

/// Records in the small store.
const SMALL: usize = 10_000;
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
        let small = Stored::of(bench, kind, bench.size(500, SMALL)).await?;
        let large = Stored::of(bench, kind, bench.large).await?;
        let label = format!("{kind}: {} records against {}", large.shape.records(), small.shape.records());
        if let Some((rate, seconds)) = large.filled {
            let mut line = Line::figure("G14", format!("{kind}: filling the large store"), "events/s", None, rate);
            line.detail = format!("{seconds:.0} s for {} events by 16 clients", large.shape.events());
            lines.push(line);
        }
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

impl Stored {
    /// Requests for names from the whole store.
    fn calls(&self, document: &str) -> Arc<[Call]> {
        let mut random = ChaCha8Rng::seed_from_u64(140);
        let mut call = |_| {
            let cluster = cluster(random.random_range(0..self.shape.clusters));
            let execution = format!("{}-{cluster}", pack_name(random.random_range(0..self.shape.packs)));
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
}
