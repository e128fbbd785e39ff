//! G16: bytes on disk.

use anyhow::Result;
use serde_json::json;

use crate::Bench;
use crate::database::{Kind, Sizes};
use crate::fleet::{Execution, Fleet, Pack, cluster, lines};
use crate::measure::{Line, Target};
use crate::process::feed;

/// Each body has so many items: what a collector sends in one go.
const BODY: usize = 100;

/// Fills a store in phases and tells what each phase added, a record.
pub async fn run(bench: &Bench) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for kind in bench.kinds() {
        lines.extend(measure(bench, kind).await?);
    }
    Ok(lines)
}

/// The phases: packs and executions; a first result of each; the same packs on other clusters;
/// redeployments of both, each with the deletion of the result before.
async fn measure(bench: &Bench, kind: Kind) -> Result<Vec<Line>> {
    let packs = bench.size(100, 1_000);
    let again = bench.size(3, 6);
    let database = bench.database(kind).await?;
    let mut fleet = Fleet::new(16);
    let packs: Vec<Pack> = (0..packs).map(|i| fleet.pack(i)).collect();
    let executions: Vec<(&Pack, Execution)> =
        packs.iter().map(|pack| (pack, fleet.execution(pack, &cluster(0), 60))).collect();
    let elsewhere: Vec<(&Pack, Execution)> =
        packs.iter().map(|pack| (pack, fleet.execution(pack, &cluster(1), 90))).collect();

    let mut events = Vec::new();
    for (pack, execution) in &executions {
        events.push(fleet.pack_event(pack, 0));
        events.push(fleet.execution_event(pack, execution));
    }
    for (pack, execution) in &elsewhere {
        events.push(fleet.execution_event(pack, execution));
    }
    let mut sizes = vec![phase(bench, &database, &events).await?];

    let firsts: Vec<_> = executions.iter().map(|(pack, execution)| fleet.result_event(pack, execution, 1, 0)).collect();
    let json_bytes = firsts.iter().map(|event| event["object"].to_string().len()).sum::<usize>() / firsts.len();
    sizes.push(phase(bench, &database, &firsts).await?);

    let others: Vec<_> = elsewhere.iter().map(|(pack, execution)| fleet.result_event(pack, execution, 1, 0)).collect();
    sizes.push(phase(bench, &database, &others).await?);

    let mut before = firsts;
    let mut redeploys = Vec::new();
    for revision in 2..2 + again {
        for (i, (pack, execution)) in executions.iter().enumerate() {
            let event = fleet.result_event(pack, execution, revision, 0);
            redeploys.push(event.clone());
            let old = std::mem::replace(&mut before[i], event.clone());
            redeploys.push(fleet.deletion(&old, &event["observedAt"]));
        }
    }
    sizes.push(phase(bench, &database, &redeploys).await?);
    database.drop().await?;

    let n = packs.len();
    let shape = format!("{kind}: {json_bytes} bytes of JSON, 25 resources");
    Ok(vec![
        line(&shape, "per first-time result, of a new pack", Some(5_000.0), &sizes[0], &sizes[1], n),
        line(
            &shape,
            "per first-time result, of a pack known from another cluster",
            Some(5_000.0),
            &sizes[1],
            &sizes[2],
            n,
        ),
        line(
            &shape,
            "per unchanged redeploy, with the deletion of the result before",
            Some(1_500.0),
            &sizes[2],
            &sizes[3],
            n * again,
        ),
    ])
}

async fn phase(bench: &Bench, database: &crate::database::Database, events: &[serde_json::Value]) -> Result<Sizes> {
    let server = bench.product.serve(&database.url)?;
    feed(&server.host, events.chunks(BODY).map(lines)).await?;
    server.stop()?;
    database.sizes().await
}

fn line(shape: &str, what: &str, target: Option<f64>, before: &Sizes, after: &Sizes, records: usize) -> Line {
    let each = |bytes: i64| bytes as f64 / records as f64;
    let mut parts: Vec<(&str, f64, f64)> = after
        .iter()
        .map(|(name, size)| {
            let old = before.get(name).copied().unwrap_or_default();
            (name.as_str(), each(size.bytes - old.bytes), each(size.rows - old.rows))
        })
        .filter(|(_, bytes, _)| bytes.abs() >= 0.5)
        .collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let total: f64 = parts.iter().map(|(_, bytes, _)| bytes).sum();
    let mut table = "| table or table.index | bytes a record | rows a record |\n|---|---|---|\n".to_owned();
    for (name, bytes, rows) in &parts {
        let rows = if *rows == 0.0 { String::new() } else { format!("{rows:.2}") };
        table += &format!("| {name} | {bytes:.0} | {rows} |\n");
    }
    let mut line = Line::figure("G16", format!("{shape}, {what}"), "bytes", target.map(Target::AtMost), total);
    line.detail = format!("{records} records");
    line.data = json!({"markdown": table, "parts": parts.iter().map(|(name, bytes, rows)| json!([name, bytes, rows])).collect::<Vec<_>>()});
    line
}
