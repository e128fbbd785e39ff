//! The store: all that touches SQL. Rows stay private; what leaves is in terms of the domain.

pub mod artifacts;
mod beat;
mod body;
mod checkpoint;
mod deployment;
mod dialect;
mod driver;
mod dump;
mod error;
mod export;
mod feed;
mod findings;
mod ids;
mod lineage;
mod list;
mod mention;
mod migrate;
mod pack;
mod page;
mod read;
pub mod replica;
mod run;
mod search;
mod sql;
mod stats;
mod tail;
mod turn;
mod wake;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

pub use beat::{AskedBeat, Beat};
pub use deployment::*;
pub use driver::{Timeouts, Work};
pub use error::StoreError;
pub use export::*;
pub use feed::*;
pub use findings::*;
pub use lineage::*;
pub use list::{RecordFilter, RecordList, RecordOrder, RecordPlace};
pub use mention::{MentionPlace, StoredMention};
pub use page::{Page, Rows};
pub use read::*;
pub use run::*;
pub use search::*;
pub use stats::*;
pub use tail::*;
pub use wake::*;
pub use write::*;

use dialect::Dialect;
use driver::Pool;

/// `to_seq` of a row that still holds.
pub const OPEN: i64 = i64::MAX;

/// The name of a tenant.
pub type TenantName = str;

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Pool,
    wakes: Wakes,
    ids: ids::Ids,
    commands: Arc<AtomicU64>,
}

impl Store {
    /// Opens the database of a URL, `sqlite://path` or `postgres://…`; a `SQLite` file is created.
    /// With `migrate`, brings an empty or older schema up to date.
    ///
    /// # Errors
    /// If the database cannot be opened, is set up unsafely, or has a schema this program does not know.
    pub async fn open(url: &str, migrate: bool) -> Result<Self, StoreError> {
        Self::open_with(url, migrate, Timeouts::default()).await
    }

    /// [`Self::open`] with other time limits for readers.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(url: &str, migrate: bool, timeouts: Timeouts) -> Result<Self, StoreError> {
        let pool = Pool::open(url, migrate, timeouts).await?;
        migrate::check_settings(&pool).await?;
        migrate::run(&pool, migrate).await?;
        Ok(Self::over(pool))
    }

    /// Opens a database that is up to date through a pooler, which gives its connections away after each
    /// transaction. The pooler must know prepared statements (`PgBouncer` from 1.21 on with `max_prepared_statements`):
    /// without, one client could get the answer of another.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_pooled(url: &str, timeouts: Timeouts) -> Result<Self, StoreError> {
        let pool = Pool::open_pooled(url, timeouts).await?;
        migrate::check_settings(&pool).await?;
        migrate::run(&pool, false).await?;
        Ok(Self::over(pool))
    }

    fn over(pool: Pool) -> Self {
        Self { pool, wakes: Wakes::default(), ids: ids::Ids::default(), commands: Arc::default() }
    }

    /// Whether other servers may work on the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.pool.dialect() == Dialect::Postgres
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// If it gives none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        #[derive(sqlx::FromRow)]
        #[expect(dead_code, reason = "only its arrival matters")]
        struct One(i64);
        self.pool.rows::<One>(&sql::PING, &[]).await.map(|_| ())
    }

    /// Tells the planner of the database how much there is: until a server of Postgres does so by
    /// itself, about a minute after a bulk load, it takes every table for a small one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn analyze(&self) -> Result<(), StoreError> {
        self.pool.analyze().await
    }

    /// How many commands on runs this process has begun: while the number grows, people and workers wait for
    /// whatever else is written.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Every statement as its name and its texts for `SQLite` and Postgres: for tests and `packtrail doctor`.
pub fn catalogue() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    sql::CATALOGUE
        .iter()
        .map(|statement| (statement.name, statement.text(Dialect::Sqlite), statement.text(Dialect::Postgres)))
}

/// A positive 63-bit hash of texts: a tie-breaker that is the same in every store.
#[must_use]
pub fn hash63(parts: &[&[u8]]) -> i64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(bytes) & i64::MAX
}
