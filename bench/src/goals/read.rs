//! G4 to G7: chains and nested lists against a raw server on the same database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::Bench;
use crate::database::{Database, Kind};
use crate::fleet::{Fleet, Shape, cluster, lines};
use crate::http::{Call, Until, closed_loop, once};
use crate::measure::{Line, Pairs, Sample, Target};
use crate::process::{Process, feed, own_cpu};

/// A chain, with the fields that lists of revisions show.
pub const CHAIN: &str = "query ($namespace: String!, $name: String!, $first: Int!) {
  revisionChain(namespace: $namespace, packExecution: $name) {
    status epochUid
    revisions(first: $first) { nodes {
      id name namespace uid revision status startedAt completedAt capability targetClusterRef live
    } }
  }
}";

/// Executions with their results and packs.
pub const NESTED: &str = "query ($executions: Int!, $revisions: Int!) {
  packExecutions(first: $executions) { nodes {
    name uid live targetClusterRef
    clusterPack { name version record { uid } }
    revisionChain { status revisions(first: $revisions) { nodes {
      name revision status completedAt clusterPack { name record { uid } }
    } } }
  } }
}";

/// 20 fields that need nothing but the row.
const WIDE: &str = "id source canonicalKind namespace name uid resourceVersion live firstSeenAt creationTimestamp \
    closedBy digest specDigest asserter revision targetClusterRef capability status startedAt completedAt";

/// Goal, length and target of the chains.
pub fn chains(bench: &Bench) -> [(&'static str, usize, f64); 2] {
    [("G4", bench.size(100, 1_000), 0.75), ("G5", bench.size(10, 100), 0.7)]
}
/// Executions, and results of each, in the nested list.
pub const NESTED_SIZE: (usize, usize) = (20, 10);

/// Variables of the chain of so many revisions.
pub fn chain_variables(length: usize) -> Value {
    json!({"namespace": format!("seam-tenant-{}", cluster(0)), "name": format!("chain-{length}"), "first": length})
}

/// Variables of the nested list.
pub fn nested_variables() -> Value {
    json!({"executions": NESTED_SIZE.0, "revisions": NESTED_SIZE.1})
}

/// A store with a fleet around the chains that are asked for.
pub async fn prepare(bench: &Bench, kind: Kind) -> Result<(Database, Process)> {
    let database = bench.database(kind).await?;
    let server = bench.product.serve(&database.url)?;
    let mut fleet = Fleet::new(4);
    let pack = fleet.pack(99_999);
    let mut events = vec![fleet.pack_event(&pack, 0)];
    for (_, length, _) in chains(bench) {
        let mut execution = fleet.execution(&pack, &cluster(0), 0);
        execution.name = format!("chain-{length}");
        events.push(fleet.execution_event(&pack, &execution));
        events.extend(fleet.result_events(&pack, &execution, length, 10));
    }
    feed(&server.host, [lines(&events)]).await?;
    let shape = Shape { packs: bench.size(1, 8), clusters: 25, revisions: NESTED_SIZE.1, failing: 10 };
    feed(&server.host, shape.bodies(5)).await?;
    Ok((database, server))
}

/// G4 to G7 on each database.
pub async fn run(bench: &Bench, asked: &[&str]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        let (database, server) = prepare(bench, kind).await?;
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(["twin", &database.url]);
        let twin = Process::start(&mut command, &bench.product.log)?;
        let both = Both { bench, kind, database: &database, server: &server, twin: &twin };
        for (goal, length, target) in chains(bench) {
            if asked.contains(&goal) {
                let what = format!("chain of {length} revisions");
                lines.extend(both.compare(goal, &what, "/chain", CHAIN, &chain_variables(length), target).await?);
            }
        }
        if asked.contains(&"G6") {
            let what =
                format!("{} executions, their pack, {} results of each, their packs", NESTED_SIZE.0, NESTED_SIZE.1);
            lines.extend(both.compare("G6", &what, "/nested", NESTED, &nested_variables(), 0.6).await?);
        }
        if asked.contains(&"G7") {
            lines.push(both.execution().await?);
        }
        twin.stop()?;
        server.stop()?;
        database.drop().await?;
    }
    Ok(lines)
}

struct Both<'a> {
    bench: &'a Bench,
    kind: Kind,
    database: &'a Database,
    server: &'a Process,
    twin: &'a Process,
}

impl Both<'_> {
    async fn compare(
        &self,
        goal: &'static str,
        what: &str,
        path: &str,
        query: &str,
        variables: &Value,
        target: f64,
    ) -> Result<Vec<Line>> {
        let raw = Call::json(path, &json!({"variables": variables}));
        let call = Call::graphql(query, variables);
        let limit: Value = serde_json::from_slice(&once(&self.twin.host, &raw).await?)?;
        let system: Value = serde_json::from_slice(&once(&self.server.host, &call).await?)?;
        ensure!(system["errors"].is_null(), "{goal}: {}", system["errors"]);
        ensure!(limit == system, "{goal}: the answers differ:\n{limit}\n{system}");
        let (raw, call): (Arc<[Call]>, Arc<[Call]>) = ([raw].into(), [call].into());
        for (process, calls) in [(self.twin, &raw), (self.server, &call)] {
            self.sample(process, calls, Duration::from_millis(500)).await?;
        }
        let time = self.bench.time;
        let pairs = Pairs::run(
            self.bench.pairs,
            async || self.sample(self.twin, &raw, time).await,
            async || self.sample(self.server, &call, time).await,
        )
        .await?;
        let what = format!("{}: {what}, against the same SQL and serde_json behind axum", self.kind);
        let mut lines = vec![pairs.rate_line(goal, &what, target)];
        if goal != "G6" {
            let mut tail = pairs.line(goal, format!("{what}: p99"), "× p99", Target::AtMost(1.5), |s| s.p99 as f64);
            tail.detail.clear();
            lines.push(tail);
        }
        Ok(lines)
    }

    async fn sample(&self, process: &Process, calls: &Arc<[Call]>, time: Duration) -> Result<Sample> {
        let (cpu, database_cpu) = (process.cpu(), self.database.cpu().await?);
        let load = closed_loop(&process.host, calls, self.bench.clients, Until::Passed(time)).await?;
        let database_cpu = self.database.cpu().await? - database_cpu;
        Ok(Sample::new(load.requests, load.wall, process.cpu() - cpu)
            .with_latency(&load.latency)
            .with_database(database_cpu))
    }

    /// G7: what 20 fields of 1,000 nodes cost beyond the same nodes with one of them, for which the same
    /// columns are read, against the same difference of serde_json with structs.
    async fn execution(&self) -> Result<Line> {
        let length = chains(self.bench)[0].1;
        let with = |fields: &str| {
            let query = CHAIN.replace(
                "id name namespace uid revision status startedAt completedAt capability targetClusterRef live",
                fields,
            );
            Call::graphql(&query, &chain_variables(length))
        };
        let (bare, wide) = (with("asserter"), with(WIDE));
        let answer: Value = serde_json::from_slice(&once(&self.server.host, &wide).await?)?;
        let nodes: Vec<Wide> = serde_json::from_value(answer["data"]["revisionChain"]["revisions"]["nodes"].clone())?;
        ensure!(nodes.len() == length, "{} nodes", nodes.len());
        ensure!(
            serde_json::to_value(&nodes)? == answer["data"]["revisionChain"]["revisions"]["nodes"],
            "the structs differ"
        );
        let (bare, wide): (Arc<[Call]>, Arc<[Call]>) = ([bare].into(), [wide].into());
        let time = self.bench.time;
        let passes = self.bench.size(50, 2_000);
        // Both sides by CPU time: requests of the system wait for the store as well.
        let narrow: Vec<Narrow> = nodes.iter().map(|node| Narrow { asserter: &node.asserter }).collect();
        let limit = async || {
            let (start, cpu) = (Instant::now(), own_cpu());
            for _ in 0..passes {
                std::hint::black_box(serde_json::to_vec(std::hint::black_box(&nodes))?);
            }
            let (wall, wide) = (start.elapsed(), own_cpu() - cpu);
            for _ in 0..passes {
                std::hint::black_box(serde_json::to_vec(std::hint::black_box(&narrow))?);
            }
            Ok(Sample::new(passes, wall, 2.0 * wide - (own_cpu() - cpu)))
        };
        let system = async || {
            let bare = self.sample(self.server, &bare, time).await?;
            let wide = self.sample(self.server, &wide, time).await?;
            let each = (wide.cpu / wide.operations - bare.cpu / bare.operations) * wide.operations;
            Ok(Sample { cpu: each, ..wide })
        };
        let pairs = Pairs::run(self.bench.pairs, limit, system).await?;
        let what = format!("{}: executing {length} × 20 fields, against serde_json of structs (CPU)", self.kind);
        Ok(pairs.line("G7", what, "× CPU", Target::AtMost(3.5), |s| s.cpu / s.operations))
    }
}

/// A node with the one field that is asked for in any case.
#[derive(serde::Serialize)]
struct Narrow<'a> {
    asserter: &'a str,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wide {
    id: String,
    source: String,
    canonical_kind: String,
    namespace: Option<String>,
    name: String,
    uid: Option<String>,
    resource_version: Option<String>,
    live: bool,
    first_seen_at: String,
    creation_timestamp: Option<String>,
    closed_by: Option<String>,
    digest: String,
    spec_digest: String,
    asserter: String,
    revision: i64,
    target_cluster_ref: Option<String>,
    capability: Option<String>,
    status: String,
    started_at: Option<String>,
    completed_at: Option<String>,
}
