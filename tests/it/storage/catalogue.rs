//! The catalogue of statements: each prepares on both databases, as the driver binds and reads it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use packtrail::storage::catalogue;
use sqlx::postgres::PgTypeInfo;
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Either, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _,
};

use crate::support::db::Database;

/// The only types that the driver binds and the store reads on Postgres.
const TYPES: [&str; 3] = ["INT8", "TEXT", "BYTEA"];

/// Statements that nothing runs yet: they serve reads that are still to come. A statement that is
/// used must leave this list.
const UNUSED: &[&str] = &[];

/// What a database says of a statement.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    parameters: usize,
    columns: Vec<String>,
}

#[tokio::test]
async fn every_statement_prepares_alike_on_both_databases() {
    let mut shapes: Vec<Vec<Shape>> = Vec::new();
    for database in Database::all() {
        let url = database.url().await;
        database.open().await.close().await;
        shapes.push(if url.starts_with("sqlite") { sqlite_shapes(&url).await } else { postgres_shapes(&url).await });
    }
    let (first, others) = shapes.split_first().unwrap();
    for other in others {
        for ((name, ..), (a, b)) in catalogue().zip(first.iter().zip(other)) {
            assert_eq!(a.parameters, b.parameters, "{name}: parameters");
            assert_eq!(a.columns.len(), b.columns.len(), "{name}: columns");
            // A column that is an expression has no name that a reader could rely on.
            let named = a.columns.iter().zip(&b.columns).filter(|(a, _)| is_name(a));
            for (a, b) in named {
                assert_eq!(a, b, "{name}: names of columns");
            }
        }
    }
}

fn is_name(column: &str) -> bool {
    column.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

async fn sqlite_shapes(url: &str) -> Vec<Shape> {
    let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
    let mut shapes = Vec::new();
    for (name, text, _) in catalogue() {
        let statement = match connection.prepare(AssertSqlSafe(text).into_sql_str()).await {
            Ok(statement) => statement,
            Err(error) => panic!("{name}: {error}\n{text}"),
        };
        let Some(Either::Right(parameters)) = statement.parameters() else { panic!("{name}: no count of parameters") };
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        shapes.push(Shape { parameters, columns });
    }
    shapes
}

async fn postgres_shapes(url: &str) -> Vec<Shape> {
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    let mut shapes = Vec::new();
    for (name, _, text) in catalogue() {
        let types = bound_types(&mut connection, name, text).await;
        // Prepared again with the types that the driver will send, which are wider than those guessed.
        let statement = match connection.prepare_with(AssertSqlSafe(text).into_sql_str(), &types).await {
            Ok(statement) => statement,
            Err(error) => panic!("{name}, as bound: {error}\n{text}"),
        };
        for column in statement.columns() {
            let kind = column.type_info().name();
            assert!(TYPES.contains(&kind), "{name}: column {} is {kind}, which the store does not read", column.name());
        }
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        shapes.push(Shape { parameters: types.len(), columns });
    }
    shapes
}

async fn bound_types(connection: &mut sqlx::PgConnection, name: &str, text: &'static str) -> Vec<PgTypeInfo> {
    let statement = match connection.prepare(AssertSqlSafe(text).into_sql_str()).await {
        Ok(statement) => statement,
        Err(error) => panic!("{name}: {error}\n{text}"),
    };
    let Some(Either::Left(guessed)) = statement.parameters() else { panic!("{name}: no types of parameters") };
    guessed
        .iter()
        .map(|guess| match guess.name() {
            "INT2" | "INT4" | "INT8" => PgTypeInfo::with_name("INT8"),
            // Lists travel as text, which the statement itself casts.
            "JSON" => PgTypeInfo::with_name("TEXT"),
            kind if TYPES.contains(&kind) => guess.clone(),
            kind => panic!("{name}: a parameter is {kind}, which the driver does not bind"),
        })
        .collect()
}

#[test]
fn every_statement_is_used() {
    let mut unused: BTreeSet<&str> = catalogue().map(|(name, ..)| name).collect();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.file_name().is_some_and(|name| name == "sql.rs") {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let words: BTreeSet<&str> = source.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
            unused.retain(|name| !words.contains(name));
        }
    }
    let expected: BTreeSet<&str> = UNUSED.iter().copied().collect();
    let surplus: Vec<_> = unused.difference(&expected).collect();
    let stale: Vec<_> = expected.difference(&unused).collect();
    assert!(surplus.is_empty(), "no module runs these statements: {surplus:?}");
    assert!(stale.is_empty(), "used or gone, so strike them off UNUSED: {stale:?}");
}

#[test]
fn statements_have_names_of_their_own() {
    let names: Vec<&str> = catalogue().map(|(name, ..)| name).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(distinct.len(), names.len());
}
