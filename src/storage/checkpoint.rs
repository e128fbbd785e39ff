//! Carries the write-ahead log of `SQLite` over into the file, beside the writer.
//!
//! Left to `SQLite`, the commit that makes the log too long carries all of it over, some 50 ms, and whoever wants to
//! write waits. Here another connection carries over what is there while the writer goes on. Since the log begins
//! anew only when nothing of it is left, the little that was written meanwhile is carried over in the writer's turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sqlx::SqlitePool;

/// Pages in the log before they are carried over: 32 MiB. By default it is done after 4 MiB, about once a batch, with
/// two syncs each time, and each page of an index is written as often.
const PAGES: i64 = 8192;
/// Pages in the log at which the writer itself carries them over, should it come to that: 128 MiB.
pub(super) const LAST_RESORT: &str = "32768";
/// Rows that are written between two looks at the log, a few MiB of it. A commit counts as some rows.
const ROWS: u64 = 1024;
/// As how many rows a commit counts.
const COMMIT: u64 = 16;

/// What carries the log over.
#[derive(Debug, Clone)]
pub(super) struct Checkpoints {
    beside: SqlitePool,
    writer: SqlitePool,
    rows: Arc<AtomicU64>,
    is_running: Arc<AtomicBool>,
}

/// What `SQLite` says of its log.
#[derive(sqlx::FromRow)]
struct Log {
    #[sqlx(rename = "log")]
    pages: i64,
    #[sqlx(rename = "checkpointed")]
    carried: i64,
}

impl Checkpoints {
    /// With a connection of their own, and that of the writer.
    pub(super) fn new(beside: SqlitePool, writer: SqlitePool) -> Self {
        Self { beside, writer, rows: Arc::default(), is_running: Arc::default() }
    }

    /// After a commit of so many rows: looks, now and then, whether the log is long, and carries it over. Nobody
    /// waits for it.
    pub(super) fn committed(&self, rows: u64) {
        let written = rows.saturating_add(COMMIT);
        if self.rows.fetch_add(written, Ordering::Relaxed).saturating_add(written) < ROWS {
            return;
        }
        if self.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        self.rows.store(0, Ordering::Relaxed);
        let this = self.clone();
        tokio::spawn(async move {
            match this.carry_over().await {
                // The server stops: the last connection to close carries over all.
                Ok(()) | Err(sqlx::Error::PoolClosed) => {}
                Err(error) => tracing::warn!(%error, "the log could not be carried over; the writer will"),
            }
            this.is_running.store(false, Ordering::Release);
        });
    }

    async fn carry_over(&self) -> Result<(), sqlx::Error> {
        let log: Log = sqlx::query_as("PRAGMA wal_checkpoint(NOOP)").fetch_one(&self.beside).await?;
        if log.pages - log.carried < PAGES {
            return Ok(());
        }
        for connection in [&self.beside, &self.writer] {
            sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await?;
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.beside.close().await;
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

    use super::*;

    async fn pool(file: &std::path::Path) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("wal_autocheckpoint", "0");
        SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
    }

    async fn write(writer: &SqlitePool) {
        sqlx::query("INSERT INTO t SELECT zeroblob(100000)").execute(writer).await.unwrap();
    }

    async fn log(of: &SqlitePool) -> Log {
        sqlx::query_as("PRAGMA wal_checkpoint(NOOP)").fetch_one(of).await.unwrap()
    }

    #[tokio::test]
    async fn a_long_log_is_carried_over_whole_so_that_it_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.db");
        let (writer, beside) = (pool(&file).await, pool(&file).await);
        sqlx::query("CREATE TABLE t (b BLOB)").execute(&writer).await.unwrap();
        let checkpoints = Checkpoints::new(beside.clone(), writer.clone());
        write(&writer).await;
        checkpoints.carry_over().await.unwrap();
        let short = log(&beside).await;
        assert!(short.pages > 20 && short.carried == 0, "looking carries nothing over, nor is a short log");
        while log(&beside).await.pages < PAGES {
            write(&writer).await;
        }
        checkpoints.carry_over().await.unwrap();
        let carried = log(&beside).await;
        assert!(carried.pages >= PAGES && carried.carried == carried.pages, "{} of {}", carried.carried, carried.pages);
        write(&writer).await;
        assert!(log(&beside).await.pages < 100, "it began anew");
    }
}
