//! The two schemas are one: tables, columns, nullability, keys and indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::db::{Database, fetch};

/// A table as both databases can tell of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    columns: Vec<Column>,
    primary: Vec<String>,
    unique: BTreeSet<Vec<String>>,
    /// By name: the columns, and whether they are unique together.
    indexes: BTreeMap<String, (Vec<String>, bool)>,
    foreign_keys: i64,
}

#[derive(Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: String,
    not_null: bool,
    has_default: bool,
}

type Schema = BTreeMap<String, Table>;

/// The migrator's own table is not ours to compare.
const OURS: &str = "NOT LIKE '\\_sqlx%' ESCAPE '\\'";

#[tokio::test]
async fn both_schemas_have_the_same_tables() {
    let mut schemas: Vec<Schema> = Vec::new();
    for database in Database::all() {
        let url = database.url().await;
        database.open().await.close().await;
        schemas.push(if url.starts_with("sqlite") { sqlite(&url).await } else { postgres(&url).await });
    }
    assert!(schemas[0].len() > 15, "the schema was not read");
    for other in &schemas[1..] {
        let names = |schema: &Schema| schema.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&schemas[0]), names(other));
        for (name, table) in &schemas[0] {
            assert_eq!(table, &other[name], "table {name}");
        }
    }
}

async fn sqlite(url: &str) -> Schema {
    let mut schema = Schema::new();
    let tables: Vec<(String, i64)> =
        fetch(url, &format!("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%' AND name {OURS}")).await;
    for (table, strict) in tables {
        assert_eq!(strict, 1, "table {table} would take a value of any type");
        schema.insert(table.clone(), sqlite_table(url, &table).await);
    }
    schema
}

async fn sqlite_table(url: &str, table: &str) -> Table {
    let mut read = Table::default();
    let columns: Vec<(String, String, i64, i64, i64)> = fetch(
        url,
        &format!(
            "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk FROM pragma_table_info('{table}') ORDER BY cid"
        ),
    )
    .await;
    let mut primary: Vec<(i64, String)> = Vec::new();
    for (name, kind, not_null, has_default, place) in columns {
        if place > 0 {
            primary.push((place, name.clone()));
        }
        read.columns.push(Column { name, kind, not_null: not_null != 0, has_default: has_default != 0 });
    }
    primary.sort();
    read.primary = primary.into_iter().map(|(_, name)| name).collect();
    let indexes: Vec<(String, i64, String, i64)> =
        fetch(url, &format!("SELECT name, \"unique\", origin, partial FROM pragma_index_list('{table}')")).await;
    for (index, unique, origin, partial) in indexes {
        assert_eq!(partial, 0, "index {index} is partial, which this test does not compare");
        let columns: Vec<(String, i64, String)> = fetch(
            url,
            &format!("SELECT name, \"desc\", coll FROM pragma_index_xinfo('{index}') WHERE key = 1 ORDER BY seqno"),
        )
        .await;
        assert!(
            columns.iter().all(|(_, descending, collation)| *descending == 0 && collation == "BINARY"),
            "index {index}"
        );
        let columns: Vec<String> = columns.into_iter().map(|(name, ..)| name).collect();
        match origin.as_str() {
            "pk" => assert_eq!(columns, read.primary, "table {table}"),
            "u" => drop(read.unique.insert(columns)),
            _ => drop(read.indexes.insert(index, (columns, unique != 0))),
        }
    }
    let keys: Vec<(i64,)> =
        fetch(url, &format!("SELECT COUNT(DISTINCT id) FROM pragma_foreign_key_list('{table}')")).await;
    read.foreign_keys = keys[0].0;
    read
}

async fn postgres(url: &str) -> Schema {
    let mut schema = Schema::new();
    let tables: Vec<(String,)> = fetch(
        url,
        &format!("SELECT CAST(relname AS text) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname {OURS}"),
    )
    .await;
    for (table,) in tables {
        schema.insert(table.clone(), postgres_table(url, &table).await);
    }
    schema
}

async fn postgres_table(url: &str, table: &str) -> Table {
    let mut read = Table::default();
    let columns: Vec<(String, String, bool, bool, String)> = fetch(
        url,
        &format!(
            "SELECT CAST(a.attname AS text), CAST(t.typname AS text), a.attnotnull, a.atthasdef, \
             COALESCE((SELECT CAST(c.collname AS text) FROM pg_collation c WHERE c.oid = a.attcollation), '') \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
             WHERE a.attrelid = '{table}'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        ),
    )
    .await;
    for (name, kind, not_null, has_default, collation) in columns {
        let kind = match kind.as_str() {
            "int8" => "INTEGER",
            "text" => "TEXT",
            "bytea" => "BLOB",
            other => panic!("{table}.{name} is {other}, which has no counterpart"),
        };
        // Any other collation orders and compares unlike SQLite does, and changes with the system's library.
        assert_eq!(collation, if kind == "TEXT" { "C" } else { "" }, "collation of {table}.{name}");
        read.columns.push(Column { name, kind: kind.to_owned(), not_null, has_default });
    }
    let indexes: Vec<(String, bool, bool, bool, String)> = fetch(
        url,
        &format!(
            "SELECT CAST(c.relname AS text), i.indisprimary, i.indisunique, \
             EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype = 'u'), \
             (SELECT string_agg(CAST(a.attname AS text), ',' ORDER BY k.place) \
                FROM unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY AS k(number, place) \
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number) \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = '{table}'::regclass AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid \
             AND 0 = ALL (CAST(i.indoption AS int2[]))"
        ),
    )
    .await;
    let all: Vec<(i64,)> =
        fetch(url, &format!("SELECT COUNT(*) FROM pg_index WHERE indrelid = '{table}'::regclass")).await;
    assert_eq!(i64::try_from(indexes.len()).unwrap(), all[0].0, "{table} has an index that this test does not compare");
    for (index, primary, unique, constraint, columns) in indexes {
        let columns: Vec<String> = columns.split(',').map(str::to_owned).collect();
        if primary {
            read.primary = columns;
        } else if constraint {
            read.unique.insert(columns);
        } else {
            read.indexes.insert(index, (columns, unique));
        }
    }
    let keys: Vec<(i64,)> = fetch(
        url,
        &format!("SELECT COUNT(*) FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'f'"),
    )
    .await;
    read.foreign_keys = keys[0].0;
    read
}

#[tokio::test]
async fn sqlite_is_told_the_figures_of_every_index() {
    for database in Database::all().into_iter().filter(|database| matches!(database, Database::Sqlite(_))) {
        let url = database.url().await;
        database.open().await.close().await;
        // The primary key of a table without row ids has the table's name in the figures.
        let question = format!(
            "SELECT t.name, CASE WHEN i.origin = 'pk' AND t.wr = 1 THEN t.name ELSE i.name END, \
             (SELECT COUNT(*) + 1 FROM pragma_index_info(i.name)), \
             (SELECT COUNT(*) FROM sqlite_stat1 f, json_each('[' || replace(f.stat, ' ', ',') || ']') \
              WHERE f.tbl = t.name AND f.idx = CASE WHEN i.origin = 'pk' AND t.wr = 1 THEN t.name ELSE i.name END) \
             FROM pragma_table_list t, pragma_index_list(t.name) i \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name {OURS}"
        );
        let indexes: Vec<(String, String, i64, i64)> = fetch(&url, &question).await;
        assert!(indexes.len() > 30, "the indexes were not read");
        for (table, index, expected, figures) in indexes {
            assert_eq!(figures, expected, "figures of index {index} of table {table} in migrations/sqlite");
        }
    }
}

#[test]
fn both_folders_have_the_same_migrations() {
    let names = |folder: &str| -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let sqlite = names("sqlite");
    assert_eq!(sqlite, names("postgres"));
    for (i, name) in sqlite.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", i + 1)), "{name} leaves a gap in the numbers");
    }
}
