//! G8: the lineage of a pack against the raw SQL for it on the same store.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::Bench;
use crate::database::Database;
use crate::fleet::PACKS;
use crate::http::{Call, Until, closed_loop, once};
use crate::measure::{Line, Pairs, Sample, Target, figure};
use crate::process::Process;
use crate::store::{Stored, WIDE, Wide};

/// Records of the smaller store: about a million edges.
const SMALLER: usize = 100_000;

/// All that a pack led to.
const LINEAGE: &str = "query ($node: ID!) {
  lineage(node: $node, direction: DOWNSTREAM, depth: 10, limit: 5000) { nodes { id kind name } }
}";
const COMPLETE: &str = "query ($node: ID!) {
  lineage(node: $node, direction: DOWNSTREAM, depth: 10, limit: 5000) { completeness { complete } }
}";
const PACK: &str =
    "query ($namespace: String!, $name: String!) { clusterPack(namespace: $namespace, name: $name) { id } }";

/// Small and large lineages in two stores.
pub async fn run(bench: &Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        let mut sizes = vec![bench.size(500, SMALLER), bench.large];
        sizes.dedup();
        for records in sizes {
            let stored = Stored::of(bench, kind, records).await?;
            let mut command = std::process::Command::new(std::env::current_exe()?);
            command.args(["twin", &stored.database.url]);
            let twin = Process::start(&mut command, &bench.product.log)?;
            let edges = stored.database.number("SELECT COUNT(*) FROM lineage").await?;
            let both = Both { bench, database: &stored.database, server: &stored.server, twin: &twin };
            for wide in &WIDE {
                let what =
                    format!("{kind}: lineage of about {} in a store of {:.1} M edges", wide.name, edges as f64 / 1e6);
                lines.extend(both.compare(wide, &what).await?);
            }
            twin.stop()?;
            stored.end().await?;
        }
    }
    Ok(lines)
}

struct Both<'a> {
    bench: &'a Bench,
    database: &'a Database,
    server: &'a Process,
    twin: &'a Process,
}

impl Both<'_> {
    async fn compare(&self, wide: &Wide, what: &str) -> Result<Vec<Line>> {
        let (mut system, mut by_hop, mut by_cte) = (Vec::new(), Vec::new(), Vec::new());
        let mut found = 0;
        for name in wide.names() {
            let calls = [self.call(&name).await?, raw("/lineage/hop", &name), raw("/lineage/cte", &name)];
            found = self.check(&calls).await?;
            let [call, hop, cte] = calls;
            system.push(call);
            by_hop.push(hop);
            by_cte.push(cte);
        }
        let [system, by_hop, by_cte] = [system, by_hop, by_cte].map(Arc::<[Call]>::from);
        let time = self.bench.time;
        for (process, calls) in [(self.twin, &by_hop), (self.twin, &by_cte), (self.server, &system)] {
            self.sample(process, calls, Duration::from_millis(500)).await?;
        }
        // The better one of the two ways is the limit.
        let (hop, cte) = (self.sample(self.twin, &by_hop, time).await?, self.sample(self.twin, &by_cte, time).await?);
        let is_hop = hop.p99 <= cte.p99;
        let better = if is_hop { &by_hop } else { &by_cte };
        let pairs = Pairs::run(
            self.bench.pairs,
            async || self.sample(self.twin, better, time).await,
            async || self.sample(self.server, &system, time).await,
        )
        .await?;
        let what = format!("{what} ({found} nodes)");
        let mut tail = pairs.line("G8", format!("{what}: p99"), "× p99", Target::AtMost(1.2), |s| s.p99 as f64);
        let millis = |micros: u64| figure(micros as f64 / 1e3);
        tail.detail += &format!(
            "; the limit is {}: p99 {} ms by hop, {} ms by one recursive statement",
            if is_hop { "a statement a hop" } else { "one recursive statement" },
            millis(hop.p99),
            millis(cte.p99)
        );
        let mut middle = pairs.line("G8", format!("{what}: p50"), "× p50", Target::AtMost(1.2), |s| s.p50 as f64);
        middle.target = None;
        middle.detail.clear();
        Ok(vec![tail, middle])
    }

    /// The call for the lineage of a pack, by its id.
    async fn call(&self, name: &str) -> Result<Call> {
        let pack = Call::graphql(PACK, &json!({"namespace": PACKS, "name": name}));
        let answer = self.ask(self.server, &pack).await?;
        let id = answer["data"]["clusterPack"]["id"].as_str().with_context(|| answer.to_string())?;
        let variables = json!({"node": id});
        let complete = self.ask(self.server, &Call::graphql(COMPLETE, &variables)).await?;
        ensure!(complete["data"]["lineage"]["completeness"]["complete"] == true, "G8 {name}: {complete}");
        Ok(Call::graphql(LINEAGE, &variables))
    }

    /// Sees that all calls answer the same nodes, in whatever order; returns how many.
    async fn check(&self, [system, hop, cte]: &[Call; 3]) -> Result<usize> {
        let expected = sorted(&self.ask(self.server, system).await?);
        for call in [hop, cte] {
            let limit = sorted(&self.ask(self.twin, call).await?);
            ensure!(!limit.is_empty(), "{} answers nothing", call.path);
            let difference = limit.iter().zip(&expected).find(|(limit, system)| limit != system);
            ensure!(limit == expected, "G8: {} nodes against {}: {difference:?}", limit.len(), expected.len());
        }
        Ok(expected.len())
    }

    async fn ask(&self, process: &Process, call: &Call) -> Result<Value> {
        let answer: Value = serde_json::from_slice(&once(&process.host, call).await?)?;
        ensure!(answer["errors"].is_null(), "G8: {}", answer["errors"]);
        Ok(answer)
    }

    async fn sample(&self, process: &Process, calls: &Arc<[Call]>, time: Duration) -> Result<Sample> {
        let (cpu, database_cpu) = (process.cpu(), self.database.cpu().await?);
        let load = closed_loop(&process.host, calls, 1, Until::Passed(time)).await?;
        let database_cpu = self.database.cpu().await? - database_cpu;
        Ok(Sample::new(load.requests, load.wall, process.cpu() - cpu)
            .with_latency(&load.latency)
            .with_database(database_cpu))
    }
}

fn raw(path: &str, name: &str) -> Call {
    Call::json(path, &json!({"variables": {"name": name}}))
}

fn sorted(answer: &Value) -> Vec<String> {
    let nodes = answer["data"]["lineage"]["nodes"].as_array();
    let mut nodes: Vec<String> = nodes.into_iter().flatten().map(Value::to_string).collect();
    nodes.sort_unstable();
    nodes
}
