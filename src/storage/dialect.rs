//! One text for two databases.
//!
//! Statements are written once. Lists of keys and rows travel as one JSON parameter, so that a
//! statement has one text whatever their number, and costs one hand-off to the database however many
//! rows it touches. A few placeholders stand for what the databases spell differently:
//!
//! * `{ints $2}`: the integers of a JSON array, as a sub-query;
//! * `{rows $2: a int, b text, c bytes}`: the objects of a JSON array as rows; bytes travel as hex;
//! * `{field t.column a.b}`: a text inside of a JSON column;
//! * `{texts t.column a.b}`: the texts of an array inside of a JSON column, as a sub-query;
//! * `{turn $1 $2}`: waits until no other transaction has turn `$2` of tenant `$1`, and has it until the end. On
//!   `SQLite` there is nothing to wait for;
//! * `{unlocked t}`: only rows of `t` that no other transaction has locked, which are locked by that.
//!   `SQLite` has one writing transaction at a time.

/// The databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `SQLite`.
    Sqlite,
    /// Postgres.
    Postgres,
}

/// Expands the placeholders of a statement.
#[must_use]
pub fn expand(text: &str, dialect: Dialect) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, after) = rest.split_at(start);
        let Some(end) = after.find('}') else { break };
        out.push_str(before);
        out.push_str(&placeholder(&after[1..end], dialect));
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    out
}

fn placeholder(inner: &str, dialect: Dialect) -> String {
    match inner.split_once(' ') {
        Some(("ints", parameter)) => ints(parameter, dialect),
        Some(("rows", spec)) => match spec.split_once(':') {
            Some((parameter, columns)) => rows(parameter.trim(), columns, dialect),
            None => format!("{{{inner}}}"),
        },
        Some(("texts", spec)) => match spec.split_once(' ') {
            Some((column, path)) => texts(column, path, dialect),
            None => format!("{{{inner}}}"),
        },
        Some(("turn", spec)) => match spec.split_once(' ') {
            Some((tenant, turn)) => turn_of(tenant, turn, dialect),
            None => format!("{{{inner}}}"),
        },
        Some(("unlocked", table)) => match dialect {
            Dialect::Sqlite => String::new(),
            Dialect::Postgres => format!("FOR UPDATE OF {table} SKIP LOCKED"),
        },
        Some(("field", spec)) => match spec.split_once(' ') {
            Some((column, path)) => field(column, path, dialect),
            None => format!("{{{inner}}}"),
        },
        _ => format!("{{{inner}}}"),
    }
}

fn field(column: &str, path: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => format!("({column} ->> '$.{path}')"),
        Dialect::Postgres => format!("(CAST({column} AS json) #>> '{{{}}}')", path.replace('.', ",")),
    }
}

fn turn_of(tenant: &str, turn: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => format!("CAST({tenant} + {turn} AS TEXT)"),
        // Keys of such locks are of the whole database, which may have other schemas.
        Dialect::Postgres => format!(
            "CAST(pg_advisory_xact_lock(hashtextextended(CAST(current_schema() AS text), \
             CAST({tenant} AS bigint) * 2 + CAST({turn} AS bigint))) AS text)"
        ),
    }
}

fn texts(column: &str, path: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => format!("(SELECT value FROM json_each({column}, '$.{path}'))"),
        Dialect::Postgres => {
            let path = path.replace('.', ",");
            format!("(SELECT value FROM json_array_elements_text(CAST({column} AS json) #> '{{{path}}}'))")
        }
    }
}

fn ints(parameter: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => format!("(SELECT value FROM json_each({parameter}))"),
        Dialect::Postgres => {
            format!("(SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST({parameter} AS json)))")
        }
    }
}

fn rows(parameter: &str, columns: &str, dialect: Dialect) -> String {
    let columns: Vec<(&str, &str)> = columns.split(',').filter_map(|column| column.trim().split_once(' ')).collect();
    match dialect {
        Dialect::Sqlite => {
            let fields: Vec<String> = columns
                .iter()
                .map(|(name, kind)| match *kind {
                    "bytes" => format!("unhex(value ->> '{name}') AS {name}"),
                    _ => format!("value ->> '{name}' AS {name}"),
                })
                .collect();
            // In the binary form: as text, each row would be written out and parsed again for its fields.
            format!("(SELECT {} FROM jsonb_each({parameter}))", fields.join(", "))
        }
        Dialect::Postgres => {
            let fields: Vec<String> = columns
                .iter()
                .map(|(name, kind)| match *kind {
                    "bytes" => format!("decode({name}, 'hex') AS {name}"),
                    _ => (*name).to_owned(),
                })
                .collect();
            let types: Vec<String> = columns
                .iter()
                .map(|(name, kind)| format!("{name} {}", if *kind == "int" { "BIGINT" } else { "TEXT" }))
                .collect();
            format!(
                "(SELECT {} FROM json_to_recordset(CAST({parameter} AS json)) AS t({}))",
                fields.join(", "),
                types.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_rows_are_spelled_for_each_database() {
        let text = "SELECT 1 WHERE x IN {ints $1} AND EXISTS (SELECT 1 FROM {rows $2: a int, b bytes} r)";
        assert_eq!(
            expand(text, Dialect::Sqlite),
            "SELECT 1 WHERE x IN (SELECT value FROM json_each($1)) AND EXISTS (SELECT 1 FROM \
             (SELECT value ->> 'a' AS a, unhex(value ->> 'b') AS b FROM jsonb_each($2)) r)"
        );
        assert!(expand(text, Dialect::Postgres).contains("AS t(a BIGINT, b TEXT)"));
        let text = "{texts c.facts a.b}";
        assert_eq!(expand(text, Dialect::Sqlite), "(SELECT value FROM json_each(c.facts, '$.a.b'))");
        assert!(expand(text, Dialect::Postgres).contains("CAST(c.facts AS json) #> '{a,b}'"));
        let text = "SELECT {turn $1 $2}";
        assert_eq!(expand(text, Dialect::Sqlite), "SELECT CAST($1 + $2 AS TEXT)");
        assert!(expand(text, Dialect::Postgres).contains("pg_advisory_xact_lock(hashtextextended("));
        let text = "SELECT {field c.facts a.b}";
        assert_eq!(expand(text, Dialect::Sqlite), "SELECT (c.facts ->> '$.a.b')");
        assert_eq!(expand(text, Dialect::Postgres), "SELECT (CAST(c.facts AS json) #>> '{a,b}')");
    }
}
