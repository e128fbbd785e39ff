//! What can go wrong in the store. The cause is for the log; clients are told a code.

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or did not answer in time.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refused a statement: a defect of ours.
    #[error("the database refused a statement: {0}")]
    Database(#[source] sqlx::Error),
    /// The database URL is wrong.
    #[error("database URL: {0}")]
    Url(String),
    /// The schema cannot be brought to this version.
    #[error("migration: {0}")]
    Migration(String),
    /// The database is set up in a way that could lose acknowledged records.
    #[error("unsafe database setting: {0}")]
    UnsafeSetting(String),
    /// A stored row does not read back.
    #[error("a stored row does not read back: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether a later try may succeed.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unavailable(error),
            sqlx::Error::Database(cause) if is_transient(cause.code().as_deref()) => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

/// Codes that say "not now": Postgres classes 08 (connection), 53 (resources), 57 (operator
/// intervention, time-outs), 40 (serialisation, deadlock); `SQLite` busy (5), locked (6), full (13), I/O (10).
fn is_transient(code: Option<&str>) -> bool {
    code.is_some_and(|code| {
        let is_postgres = code.len() == 5 && ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class));
        let is_sqlite = code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13));
        is_postgres || (code.len() < 5 && is_sqlite)
    })
}
