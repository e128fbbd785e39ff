//! Databases to measure on: a SQLite file, or a database of its own in a Postgres.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use rusqlite::OpenFlags;
use tokio_postgres::NoTls;

use crate::process::cpu_of;

/// Which database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Kind {
    /// A SQLite file.
    Sqlite,
    /// A Postgres database.
    Postgres,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
        })
    }
}

/// A database that is dropped in the end, unless it was there before.
pub struct Database {
    /// Its kind.
    pub kind: Kind,
    /// The URL that the product is given.
    pub url: String,
    name: String,
    admin: Option<String>,
    file: PathBuf,
    /// It was there before, and is left there.
    is_kept: bool,
}

/// Bytes and rows by table or index.
pub type Sizes = BTreeMap<String, Size>;

/// What a table or an index takes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Size {
    /// Bytes on disk.
    pub bytes: i64,
    /// Rows, of a table.
    pub rows: i64,
}

impl Database {
    /// A new, empty database: a file in the folder, or a database in the Postgres of a URL.
    pub async fn create(kind: Kind, folder: &Path, postgres: Option<&str>) -> Result<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("packtrail_bench_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let file = folder.join(format!("{name}.db"));
        if kind == Kind::Sqlite {
            let url = format!("sqlite://{}", file.display());
            return Ok(Self { kind, url, name, admin: None, file, is_kept: false });
        }
        let admin = postgres.context("--postgres names none")?.to_owned();
        connect(&admin).await?.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let (server, _) = admin.rsplit_once('/').context("a Postgres URL ends with /database")?;
        Ok(Self { kind, url: format!("{server}/{name}"), name, admin: Some(admin), file, is_kept: false })
    }

    /// A database that is there, or is made when it is first opened, and is not dropped: as the product is
    /// given it.
    pub fn kept(url: &str) -> Result<Self> {
        let url = url.to_owned();
        if let Some(file) = url.strip_prefix("sqlite://") {
            let file = PathBuf::from(file);
            return Ok(Self { kind: Kind::Sqlite, url, name: String::new(), admin: None, file, is_kept: true });
        }
        let (_, name) = url.rsplit_once('/').context("a Postgres URL ends with /database")?;
        let (name, file) = (name.to_owned(), PathBuf::new());
        Ok(Self { kind: Kind::Postgres, admin: Some(url.clone()), url, name, file, is_kept: true })
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Bytes on disk as they are, with those of the write-ahead log of a SQLite file.
    pub async fn bytes(&self) -> Result<u64> {
        match self.kind {
            Kind::Sqlite => {
                let files = ["", "-wal"].map(|end| std::fs::metadata(format!("{}{end}", self.file.display())));
                Ok(files.into_iter().flatten().map(|file| file.len()).sum())
            }
            Kind::Postgres => {
                let size = self.number("SELECT pg_database_size(current_database())").await?;
                Ok(u64::try_from(size)?)
            }
        }
    }

    /// Opens the SQLite file for reading.
    pub fn read_sqlite(&self) -> Result<rusqlite::Connection> {
        Ok(rusqlite::Connection::open_with_flags(self.file(), OpenFlags::SQLITE_OPEN_READ_ONLY)?)
    }

    /// CPU seconds of the Postgres processes that serve this database; 0 on SQLite or if they are not here.
    pub async fn cpu(&self) -> Result<f64> {
        if self.kind == Kind::Sqlite {
            return Ok(0.0);
        }
        let client = connect(self.admin.as_deref().unwrap_or_default()).await?;
        let rows = client.query("SELECT pid FROM pg_stat_activity WHERE datname = $1", &[&self.name]).await?;
        Ok(rows.iter().map(|row| cpu_of(u32::try_from(row.get::<_, i32>(0)).unwrap_or(0))).sum())
    }

    /// Packs the database and tells what each table and index takes.
    pub async fn sizes(&self) -> Result<Sizes> {
        match self.kind {
            Kind::Sqlite => self.sizes_sqlite(),
            Kind::Postgres => self.sizes_postgres().await,
        }
    }

    fn sizes_sqlite(&self) -> Result<Sizes> {
        let db = rusqlite::Connection::open(self.file())?;
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
        let mut sizes = Sizes::new();
        let mut statement = db.prepare(
            "SELECT d.name, SUM(d.pgsize), COALESCE(m.tbl_name, d.name), COALESCE(m.type, 'table') \
             FROM dbstat d LEFT JOIN sqlite_schema m ON m.name = d.name GROUP BY d.name",
        )?;
        let rows: Vec<(String, i64, String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (name, bytes, table, kind) in rows {
            let is_table = kind == "table";
            let rows = if is_table && !name.starts_with("sqlite_schema") {
                db.query_row(&format!("SELECT COUNT(*) FROM \"{name}\""), [], |row| row.get(0))?
            } else {
                0
            };
            let key = if is_table { table } else { format!("{table}.{name}") };
            sizes.insert(key, Size { bytes, rows });
        }
        Ok(sizes)
    }

    async fn sizes_postgres(&self) -> Result<Sizes> {
        let client = connect(&self.url).await?;
        client.batch_execute("VACUUM FULL").await?;
        client.batch_execute("ANALYZE").await?;
        let rows = client
            .query(
                "SELECT c.relname::text, pg_table_size(c.oid), c.reltuples::bigint, c.relkind::text, \
                 COALESCE(t.relname, '')::text FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid \
                 LEFT JOIN pg_class t ON t.oid = i.indrelid \
                 JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = 'public' \
                 WHERE c.relkind IN ('r', 'i')",
                &[],
            )
            .await?;
        let mut sizes = Sizes::new();
        for row in rows {
            let (name, bytes, rows, kind, table): (String, i64, i64, String, String) =
                (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
            if kind == "r" {
                sizes.insert(name, Size { bytes, rows: rows.max(0) });
            } else {
                sizes.insert(format!("{table}.{name}"), Size { bytes, rows: 0 });
            }
        }
        Ok(sizes)
    }

    /// A number that a statement answers.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        match self.kind {
            Kind::Sqlite => Ok(self.read_sqlite()?.query_row(sql, [], |row| row.get(0))?),
            Kind::Postgres => Ok(connect(&self.url).await?.query_one(sql, &[]).await?.get(0)),
        }
    }

    /// The texts that a statement answers: its form for SQLite, and for Postgres.
    pub async fn texts(&self, sqlite: &str, postgres: &str) -> Result<Vec<String>> {
        match self.kind {
            Kind::Sqlite => {
                let db = self.read_sqlite()?;
                let mut statement = db.prepare(sqlite)?;
                let rows = statement.query_map([], |row| row.get(0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            }
            Kind::Postgres => {
                Ok(connect(&self.url).await?.query(postgres, &[]).await?.iter().map(|row| row.get(0)).collect())
            }
        }
    }

    /// Runs statements behind the product's back.
    pub async fn execute(&self, statements: &str) -> Result<()> {
        match self.kind {
            Kind::Sqlite => rusqlite::Connection::open(self.file())?.execute_batch(statements)?,
            Kind::Postgres => connect(&self.url).await?.batch_execute(statements).await?,
        }
        Ok(())
    }

    /// Drops it, unless it is to be kept.
    pub async fn drop(self) -> Result<()> {
        if self.is_kept {
            return Ok(());
        }
        match &self.admin {
            Some(admin) => {
                connect(admin).await?.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await?;
            }
            None => {
                for end in ["", "-wal", "-shm"] {
                    let _not_there = std::fs::remove_file(format!("{}{end}", self.file().display()));
                }
            }
        }
        Ok(())
    }
}

/// Drops what a run that failed has left behind in a Postgres.
pub async fn sweep(admin: &str) -> Result<()> {
    let client = connect(admin).await?;
    let own = format!("packtrail_bench_{}_", std::process::id());
    let left =
        client.query("SELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1)", &[&own]).await?;
    for name in left.iter().map(|row| row.get::<_, String>(0)) {
        client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await?;
    }
    Ok(())
}

/// A connection to a Postgres.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connect to Postgres")?;
    tokio::spawn(async move {
        // What breaks it is told to whoever asks next.
        let _ended = connection.await;
    });
    Ok(client)
}
