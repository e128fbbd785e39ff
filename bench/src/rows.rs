//! The limits of ingest: the rows that the product has written, read back and written again into an
//! empty database by nothing but the database's own interface.

use anyhow::{Context as _, Result, ensure};
use rusqlite::types::Value;
use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::database::{Database, Kind, connect};

/// Tables that are no records: migrations and answers kept for repetition.
const OTHER: [&str; 2] = ["_sqlx_migrations", "idempotency"];
/// How many parameters one SQLite statement has at most.
const PARAMETERS: usize = 2_000;

/// The rows of one table in the order of its key.
pub struct Table {
    name: String,
    columns: Vec<String>,
    types: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// The rows of all tables.
pub async fn read(database: &Database) -> Result<Vec<Table>> {
    match database.kind {
        Kind::Sqlite => read_sqlite(database),
        Kind::Postgres => read_postgres(database).await,
    }
}

fn read_sqlite(database: &Database) -> Result<Vec<Table>> {
    let db = database.read_sqlite()?;
    let names: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rootpage")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut tables = Vec::new();
    for name in names.into_iter().filter(|name| !OTHER.contains(&name.as_str())) {
        let mut statement = db.prepare(&format!("SELECT * FROM \"{name}\""))?;
        let columns: Vec<String> = statement.column_names().into_iter().map(ToOwned::to_owned).collect();
        let width = columns.len();
        let rows = statement
            .query_map([], |row| (0..width).map(|i| row.get(i)).collect())?
            .collect::<rusqlite::Result<Vec<Vec<Value>>>>()?;
        tables.push(Table { name, columns, types: Vec::new(), rows });
    }
    Ok(tables)
}

async fn read_postgres(database: &Database) -> Result<Vec<Table>> {
    let client = connect(&database.url).await?;
    let names = client
        .query(
            "SELECT table_name::text FROM information_schema.tables \
             WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name",
            &[],
        )
        .await?;
    let mut tables = Vec::new();
    for name in names.iter().map(|row| row.get::<_, String>(0)).filter(|name| !OTHER.contains(&name.as_str())) {
        let statement = client.prepare(&format!("SELECT * FROM \"{name}\"")).await?;
        let columns: Vec<String> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let types: Vec<String> = statement.columns().iter().map(|column| column.type_().name().to_owned()).collect();
        let mut rows = Vec::new();
        for row in client.query(&statement, &[]).await? {
            let value = |i: usize| -> Result<Value> {
                Ok(match types[i].as_str() {
                    "int8" => row.get::<_, Option<i64>>(i).map_or(Value::Null, Value::Integer),
                    "int4" => row.get::<_, Option<i32>>(i).map_or(Value::Null, |n| Value::Integer(n.into())),
                    "text" => row.get::<_, Option<String>>(i).map_or(Value::Null, Value::Text),
                    "bytea" => row.get::<_, Option<Vec<u8>>>(i).map_or(Value::Null, Value::Blob),
                    other => anyhow::bail!("{name} has a column of type {other}"),
                })
            };
            rows.push((0..columns.len()).map(value).collect::<Result<_>>()?);
        }
        tables.push(Table { name, columns, types, rows });
    }
    Ok(tables)
}

/// A digest over all rows, by which two databases are told to be the same.
pub fn digest(tables: &[Table]) -> String {
    let mut hashes: Vec<String> = Vec::new();
    for table in tables {
        let mut rows: Vec<String> = table.rows.iter().map(|row| format!("{row:?}")).collect();
        rows.sort_unstable();
        let mut hasher = Sha256::new();
        rows.iter().for_each(|row| hasher.update(row));
        hashes.push(format!("{}={:x?}", table.name, hasher.finalize()));
    }
    hashes.sort_unstable();
    hashes.join("\n")
}

/// The rows of the `part`th of `parts` transactions, of each table its share.
fn share(rows: usize, part: usize, parts: usize) -> std::ops::Range<usize> {
    rows * part / parts..rows * (part + 1) / parts
}

/// Writes all rows with prepared multi-row statements in `parts` transactions.
pub fn write_sqlite(database: &Database, tables: &[Table], parts: usize) -> Result<()> {
    let mut db = rusqlite::Connection::open(database.file())?;
    // As the product's writer has it.
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 8192;",
    )?;
    db.set_prepared_statement_cache_capacity(256);
    for part in 0..parts {
        let tx = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for table in tables {
            let width = table.columns.len();
            for rows in table.rows[share(table.rows.len(), part, parts)].chunks((PARAMETERS / width).min(100)) {
                let row = format!("({})", vec!["?"; width].join(","));
                let sql = format!("INSERT INTO \"{}\" VALUES {}", table.name, vec![row; rows.len()].join(","));
                let written = tx.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(rows.iter().flatten()))?;
                ensure!(written == rows.len(), "{written} of {} rows", rows.len());
            }
        }
        tx.commit()?;
    }
    Ok(())
}

/// Writes all rows with `UNNEST` on one connection, in `parts` transactions.
pub async fn write_postgres(client: &mut Client, tables: &[Table], parts: usize) -> Result<()> {
    let mut statements = Vec::new();
    for table in tables {
        let arrays: Vec<String> =
            table.types.iter().enumerate().map(|(i, kind)| format!("${}::{kind}[]", i + 1)).collect();
        let sql = format!("INSERT INTO \"{}\" SELECT * FROM UNNEST({})", table.name, arrays.join(", "));
        statements.push(client.prepare(&sql).await.with_context(|| sql)?);
    }
    for part in 0..parts {
        let tx = client.transaction().await?;
        for (table, statement) in tables.iter().zip(&statements) {
            let rows = &table.rows[share(table.rows.len(), part, parts)];
            if rows.is_empty() {
                continue;
            }
            let arrays: Vec<Box<dyn ToSql + Sync + Send>> =
                (0..table.columns.len()).map(|i| array(&table.types[i], rows.iter().map(|row| &row[i]))).collect();
            let arguments: Vec<&(dyn ToSql + Sync)> =
                arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect();
            tx.execute(statement, &arguments).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

fn array<'a>(kind: &str, values: impl Iterator<Item = &'a Value>) -> Box<dyn ToSql + Sync + Send> {
    match kind {
        "int8" => Box::new(values.map(integer).collect::<Vec<Option<i64>>>()),
        "int4" => {
            Box::new(values.map(|v| integer(v).and_then(|n| i32::try_from(n).ok())).collect::<Vec<Option<i32>>>())
        }
        "bytea" => Box::new(
            values.map(|v| if let Value::Blob(bytes) = v { Some(bytes.clone()) } else { None }).collect::<Vec<_>>(),
        ),
        _ => Box::new(
            values.map(|v| if let Value::Text(text) = v { Some(text.clone()) } else { None }).collect::<Vec<_>>(),
        ),
    }
}

fn integer(value: &Value) -> Option<i64> {
    if let Value::Integer(n) = value { Some(*n) } else { None }
}
