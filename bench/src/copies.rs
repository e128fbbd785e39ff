//! Many runs that ended, made of one: its rows under new numbers and names.
//!
//! A hundred thousand runs take minutes when each is created by a request. What the product stored for one of them is
//! copied instead, by a statement a table; a column that comes to a table later is copied along.

use anyhow::{Context as _, Result, ensure};

use crate::database::{Database, Kind};

/// The rows of the run that is copied.
struct Model {
    name: String,
    tenant: i64,
    run: i64,
    node: i64,
    seq: i64,
}

/// Where copies begin.
struct Room {
    id: i64,
    seq: i64,
    leaf: i64,
}

/// Copies a run of one commit `count` times, as `name-1`, `name-2` and so on; the server must not run.
pub async fn copy_run(database: &Database, model: &str, name: &str, count: usize) -> Result<()> {
    let model = find(database, model).await?;
    let tenant = model.tenant;
    let head = format!("FROM ledger_head WHERE tenant_id = {tenant}");
    let room = Room {
        id: database.number(&format!("SELECT next_id FROM tenant WHERE id = {tenant}")).await?,
        seq: database.number(&format!("SELECT seq {head}")).await?,
        leaf: database.number(&format!("SELECT leaves {head}")).await?,
    };
    let mut statements = Vec::new();
    for (table, which, changed) in copied(&model, &room, name) {
        let of_table = columns(database, table).await?;
        ensure!(changed.iter().all(|(column, _)| of_table.contains(column)), "columns of {table}: {of_table:?}");
        let values: Vec<&str> = of_table
            .iter()
            .map(|column| changed.iter().find(|(other, _)| other == column).map_or(column.as_str(), |(_, to)| to))
            .collect();
        statements.push(format!(
            "WITH RECURSIVE copy(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM copy WHERE i < {count}) \
             INSERT INTO {table} ({}) SELECT {} FROM copy, {table} WHERE tenant_id = {tenant} AND {which}",
            of_table.join(", "),
            values.join(", "),
        ));
    }
    statements.push(format!(
        "UPDATE ledger_head SET seq = seq + {count}, leaves = leaves + {count} WHERE tenant_id = {tenant}"
    ));
    statements.push(format!("UPDATE tenant SET next_id = next_id + 2 * {count} + 2 WHERE id = {tenant}"));
    database.execute(&format!("BEGIN; {}; COMMIT", statements.join("; "))).await?;
    // The product tells SQLite's planner by figures of its own.
    if database.kind == Kind::Postgres {
        database.execute("ANALYZE").await?;
    }
    Ok(())
}

async fn find(database: &Database, name: &str) -> Result<Model> {
    let run = format!("FROM run WHERE run_id = '{name}'");
    let model = Model {
        name: name.to_owned(),
        tenant: database.number(&format!("SELECT tenant_id {run}")).await.context("the run to be copied")?,
        run: database.number(&format!("SELECT id {run}")).await?,
        node: database.number(&format!("SELECT id FROM node WHERE kind = '~run' AND name = '{name}'")).await?,
        seq: database.number(&format!("SELECT from_seq {run}")).await?,
    };
    let states = database.number(&format!("SELECT COUNT(*) FROM run_state WHERE run = {}", model.run)).await?;
    let entries = database.number(&format!("SELECT COUNT(*) FROM ledger_entry WHERE seq = {}", model.seq)).await?;
    ensure!((states, entries) == (1, 1), "{name} has {states} states, and {entries} entries in its commit");
    Ok(model)
}

type Changed = Vec<(String, String)>;

/// Each table with rows of the run: which rows, and the columns that differ in copy `i`.
fn copied(model: &Model, room: &Room, name: &str) -> Vec<(&'static str, String, Changed)> {
    let Model { run, node, seq, name: from, .. } = model;
    let new_run = format!("{} + 2 * i", room.id);
    let new_node = format!("{} + 2 * i + 1", room.id);
    let new_seq = format!("{} + i", room.seq);
    let new_name = format!("'{name}-' || i");
    let changed = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let of_run = format!("run = {run}");
    let end = |column: &str| format!("CASE WHEN {column} = {node} THEN {new_node} ELSE {column} END");
    let with_seq = || changed(&[("run", &new_run), ("from_seq", &new_seq)]);
    vec![
        ("run", format!("id = {run}"), changed(&[("id", &new_run), ("run_id", &new_name), ("from_seq", &new_seq)])),
        ("run_live", of_run.clone(), changed(&[("run", &new_run)])),
        ("run_state", of_run.clone(), with_seq()),
        ("run_step", of_run.clone(), with_seq()),
        ("run_approval", of_run.clone(), with_seq()),
        ("run_transition", of_run.clone(), changed(&[("run", &new_run), ("seq", &new_seq)])),
        ("run_log", of_run, changed(&[("run", &new_run)])),
        ("node", format!("id = {node}"), changed(&[("id", &new_node), ("name", &new_name)])),
        (
            "lineage",
            format!("(src = {node} OR dst = {node})"),
            changed(&[("src", &end("src")), ("dst", &end("dst")), ("from_seq", &new_seq)]),
        ),
        ("ledger_commit", format!("seq = {seq}"), changed(&[("seq", &new_seq)])),
        (
            "ledger_entry",
            format!("seq = {seq} AND identity = 'run/{from}'"),
            changed(&[
                ("seq", &new_seq),
                ("leaf", &format!("{} + i - 1", room.leaf)),
                ("identity", &format!("'run/{name}-' || i")),
            ]),
        ),
    ]
}

async fn columns(database: &Database, table: &str) -> Result<Vec<String>> {
    database
        .texts(
            &format!("SELECT name FROM pragma_table_info('{table}')"),
            &format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
            ),
        )
        .await
}
