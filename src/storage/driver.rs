//! The two drivers behind one interface: each method body is written once and expanded per driver.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, FromRow, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction};

use super::checkpoint::{Checkpoints, LAST_RESORT};
use super::dialect::Dialect;
use super::error::StoreError;
use super::pack::{Packed, unpack};
use super::sql::Statement;
use super::wake::{Topic, Wakes};

/// How long a reader waits for the database.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection, before the database counts as away.
    pub acquire: Duration,
    /// For one statement.
    pub statement: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { acquire: Duration::from_secs(2), statement: Duration::from_secs(5) }
    }
}

/// Analyzes the tables of the schema, and nothing of others in the same database.
const ANALYZE: &str = "DO $$ DECLARE t TEXT; BEGIN \
    FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP \
    EXECUTE format('ANALYZE %I', t); END LOOP; END $$";

/// How long a connection to Postgres is taken to be alive after it was used.
const TRUSTED: Duration = Duration::from_secs(1);

/// Readers beside the one writer.
const READERS: u32 = 8;
/// The writer's page cache, in KiB (below zero by `SQLite`'s convention). With the default of 2 MiB the pages of one
/// batch do not fit: they are written to the log before the transaction ends, and read and written again.
const WRITER_CACHE: &str = "-65536";

/// The connections to one database.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    /// One writer, so that writers queue here and not in the database; readers apart.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
        checkpoints: Checkpoints,
        statement: Duration,
    },
    Postgres(PgPool),
}

/// A transaction.
pub(super) struct Tx {
    on: On,
    pub(super) work: Work,
    /// What is to be told once it is committed: how far topics have come.
    moved: Vec<(Topic, i64)>,
}

enum On {
    Sqlite(Transaction<'static, Sqlite>, Checkpoints),
    Postgres(Transaction<'static, Postgres>),
}

/// What a transaction did so far: counted, because it says more of what a write costs than its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Statements.
    pub statements: u64,
    /// Rows that they answered.
    pub read: u64,
    /// Rows that they wrote.
    pub written: u64,
}

/// A parameter of a statement.
#[derive(Debug, Clone)]
pub(super) enum Arg {
    Int(i64),
    OptInt(Option<i64>),
    Text(String),
    OptText(Option<String>),
    Bytes(Vec<u8>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::OptInt(value)
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        Self::OptText(value)
    }
}

impl From<Vec<u8>> for Arg {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

/// A JSON array parameter.
pub(super) fn json(rows: &impl serde::Serialize) -> Arg {
    Arg::Text(serde_json::to_string(rows).unwrap_or_default())
}

/// A row that both drivers can read.
pub(super) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

macro_rules! bind {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for arg in $args {
            query = match arg {
                Arg::Int(value) => query.bind(*value),
                Arg::OptInt(value) => query.bind(*value),
                Arg::Text(value) => query.bind(value.clone()),
                Arg::OptText(value) => query.bind(value.clone()),
                Arg::Bytes(value) => query.bind(value.clone()),
            };
        }
        query
    }};
}

impl Pool {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Opens the database of a URL. A `SQLite` file is created.
    pub(super) async fn open(url: &str, create: bool, timeouts: Timeouts) -> Result<Self, StoreError> {
        if url.starts_with("sqlite:") {
            Self::open_sqlite(url, create, timeouts).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url, timeouts, false).await
        } else {
            Err(StoreError::Url("a database URL begins with sqlite:// or postgres://".to_owned()))
        }
    }

    async fn open_sqlite(url: &str, create: bool, timeouts: Timeouts) -> Result<Self, StoreError> {
        let options =
            SqliteConnectOptions::from_str(url).map_err(|_| StoreError::Url("not a valid sqlite:// URL".to_owned()))?;
        let file: PathBuf = options.get_filename().to_owned();
        if !create && !file.exists() {
            return Err(StoreError::Migration("the schema is empty; run `packtrail migrate`".to_owned()));
        }
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| StoreError::Url(format!("cannot make the folder: {e}")))?;
        }
        let options = options
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: NORMAL loses acknowledged commits on power loss.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            // Rows cross from SQLite's own thread in lots of this size; the default of 50 wakes both
            // sides twenty times for a chain of a thousand.
            .row_buffer_size(1024)
            .statement_cache_capacity(256);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(30))
            .connect_with(options.clone().pragma("cache_size", WRITER_CACHE).pragma("wal_autocheckpoint", LAST_RESORT))
            .await?;
        let beside = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().create_if_missing(false));
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(timeouts.acquire)
            // A file does not go away, and a sign of life costs as much as a small statement.
            .test_before_acquire(false)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        let checkpoints = Checkpoints::new(beside, writer.clone());
        Ok(Self::Sqlite { writer, readers, checkpoints, statement: timeouts.statement })
    }

    /// Opens a Postgres through a pooler.
    pub(super) async fn open_pooled(url: &str, timeouts: Timeouts) -> Result<Self, StoreError> {
        Self::open_postgres(url, timeouts, true).await
    }

    async fn open_postgres(url: &str, timeouts: Timeouts, is_pooled: bool) -> Result<Self, StoreError> {
        let timeout = timeouts.statement.as_millis().to_string();
        let options = PgConnectOptions::from_str(url)
            .map_err(|_| StoreError::Url("not a valid postgres:// URL".to_owned()))?
            .application_name("packtrail")
            .statement_cache_capacity(256);
        // What is set when a connection begins is refused by a pooler, or not passed on.
        let options = if is_pooled {
            options.extra_float_digits(None)
        } else {
            options.options([("statement_timeout", timeout.as_str())])
        };
        let pool = PgPoolOptions::new()
            .max_connections(READERS + 2)
            .acquire_timeout(timeouts.acquire)
            // A sign of life costs as much as a small statement: only after a pause, in which the
            // server or what is between may have dropped the connection.
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await?;
        Ok(Self::Postgres(pool))
    }

    /// Begins a writing transaction. On `SQLite` it takes the write lock at once, since a later
    /// upgrade would fail instead of wait.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        let on = match self {
            Self::Sqlite { writer, checkpoints, .. } => {
                On::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?, checkpoints.clone())
            }
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                // A batch may write more than a reader is given time for.
                sqlx::query("SET LOCAL statement_timeout = '60s'").execute(&mut *tx).await?;
                On::Postgres(tx)
            }
        };
        Ok(Tx { on, work: Work::default(), moved: Vec::new() })
    }

    /// Reads rows outside of any transaction.
    pub(super) async fn rows<T: Row>(&self, statement: &'static Statement, args: &[Arg]) -> Result<Vec<T>, StoreError> {
        let sql = AssertSqlSafe(statement.text(self.dialect()));
        Ok(match self {
            Self::Sqlite { readers, statement: limit, .. } => {
                let rows = bind!(sqlx::query_as::<Sqlite, T>(sql), args).fetch_all(readers);
                // SQLite has no limit of its own; Postgres is told its.
                tokio::time::timeout(*limit, rows).await.map_err(|_| sqlx::Error::PoolTimedOut)??
            }
            Self::Postgres(pool) => bind!(sqlx::query_as::<Postgres, T>(sql), args).fetch_all(pool).await?,
        })
    }

    /// [`Self::rows`] of a list that may be long: on `SQLite` they cross from its thread as one value.
    pub(super) async fn list<T: Row + Packed>(
        &self,
        statement: &'static Statement,
        args: &[Arg],
    ) -> Result<Vec<T>, StoreError> {
        let Self::Sqlite { readers, statement: limit, .. } = self else { return self.rows(statement, args).await };
        let sql = AssertSqlSafe(statement.packed::<T>());
        let row = bind!(sqlx::query::<Sqlite>(sql), args).fetch_one(readers);
        let row = tokio::time::timeout(*limit, row).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        unpack(row.try_get::<Option<&str>, _>(0)?.unwrap_or_default())
    }

    /// Reads at most one row.
    pub(super) async fn row<T: Row>(
        &self,
        statement: &'static Statement,
        args: &[Arg],
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(statement, args).await?.into_iter().next())
    }

    /// Counts what the tables hold, for the planner of Postgres. `SQLite` plans by figures that come
    /// with the schema.
    pub(super) async fn analyze(&self) -> Result<(), StoreError> {
        if let Self::Postgres(pool) = self {
            let mut tx = pool.begin().await?;
            sqlx::query("SET LOCAL statement_timeout = '60s'").execute(&mut *tx).await?;
            sqlx::raw_sql(ANALYZE).execute(&mut *tx).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, checkpoints, .. } => {
                readers.close().await;
                checkpoints.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    pub(super) fn dialect(&self) -> Dialect {
        match self.on {
            On::Sqlite(..) => Dialect::Sqlite,
            On::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(super) async fn rows<T: Row>(
        &mut self,
        statement: &'static Statement,
        args: &[Arg],
    ) -> Result<Vec<T>, StoreError> {
        let sql = AssertSqlSafe(statement.text(self.dialect()));
        let rows = match &mut self.on {
            On::Sqlite(tx, _) => bind!(sqlx::query_as::<Sqlite, T>(sql), args).fetch_all(&mut **tx).await?,
            On::Postgres(tx) => bind!(sqlx::query_as::<Postgres, T>(sql), args).fetch_all(&mut **tx).await?,
        };
        self.work.statements += 1;
        self.work.read += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Ok(rows)
    }

    pub(super) async fn row<T: Row>(
        &mut self,
        statement: &'static Statement,
        args: &[Arg],
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(statement, args).await?.into_iter().next())
    }

    pub(super) async fn execute(&mut self, statement: &'static Statement, args: &[Arg]) -> Result<u64, StoreError> {
        let sql = AssertSqlSafe(statement.text(self.dialect()));
        let written = match &mut self.on {
            On::Sqlite(tx, _) => bind!(sqlx::query::<Sqlite>(sql), args).execute(&mut **tx).await?.rows_affected(),
            On::Postgres(tx) => bind!(sqlx::query::<Postgres>(sql), args).execute(&mut **tx).await?.rows_affected(),
        };
        self.work.statements += 1;
        self.work.written += written;
        Ok(written)
    }

    /// Notes how far the transaction brings a topic.
    pub(super) fn moves(&mut self, topic: Topic, number: i64) {
        self.moved.push((topic, number));
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.commit_and_tell(&Wakes::default()).await
    }

    /// Commits, and then tells those who follow what moved. They are never told of what they cannot read yet.
    pub(super) async fn commit_and_tell(self, wakes: &Wakes) -> Result<(), StoreError> {
        match self.on {
            On::Sqlite(tx, checkpoints) => {
                tx.commit().await?;
                checkpoints.committed(self.work.written);
            }
            On::Postgres(tx) => tx.commit().await?,
        }
        for (topic, number) in self.moved {
            wakes.tell(topic, number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From this release on `SQLite` resets a write-ahead log without a race that could corrupt the file.
    const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

    async fn value(pool: &SqlitePool, question: &'static str) -> String {
        sqlx::query_scalar(question).fetch_one(pool).await.unwrap()
    }

    #[tokio::test]
    async fn sqlite_writes_through_a_log_that_survives_power_loss() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("new/packtrail.db").display());
        let Pool::Sqlite { writer, readers, .. } = Pool::open(&url, true, Timeouts::default()).await.unwrap() else {
            unreachable!()
        };
        for (question, expected) in [
            ("SELECT journal_mode FROM pragma_journal_mode", "wal"),
            ("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous", "2"),
            ("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys", "1"),
        ] {
            assert_eq!(value(&writer, question).await, expected, "{question}");
        }
        assert_eq!(writer.options().get_max_connections(), 1, "one writer");
        assert!(sqlx::query("CREATE TABLE t (id INTEGER)").execute(&readers).await.is_err(), "readers only read");
    }

    #[tokio::test]
    async fn the_bundled_sqlite_is_new_enough() {
        let Pool::Sqlite { writer, .. } = Pool::open("sqlite::memory:", true, Timeouts::default()).await.unwrap()
        else {
            unreachable!()
        };
        let version = value(&writer, "SELECT sqlite_version()").await;
        let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(parts.as_slice() >= OLDEST_SQLITE.as_slice(), "SQLite {version}");
    }
}
