//! Every test of the store runs on both databases.

use std::sync::atomic::{AtomicU64, Ordering};

use packtrail::storage::Store;

/// Names a Postgres in which tests may make databases.
const POSTGRES: &str = "PACKTRAIL_TEST_POSTGRES_URL";
/// Lets a developer leave Postgres out; no script sets it.
const SQLITE_ONLY: &str = "PACKTRAIL_TEST_SQLITE_ONLY";

/// A fresh database of each kind.
pub enum Database {
    Sqlite(tempfile::TempDir),
    Postgres { server: String, name: String },
}

impl Database {
    /// All databases that a test must pass on.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Sqlite(tempfile::tempdir().unwrap())];
        match std::env::var(POSTGRES) {
            Ok(server) => all.push(Self::Postgres { server, name: fresh_name() }),
            Err(_) if std::env::var_os(SQLITE_ONLY).is_some() => {}
            Err(_) => panic!("{POSTGRES} is not set: run ./scripts/test, or ./scripts/pg for a Postgres of your own"),
        }
        all
    }

    /// The URL of the database; it is made if need be.
    pub async fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}", folder.path().join("packtrail.db").display()),
            Self::Postgres { server, name } => {
                let (base, _) = server.rsplit_once('/').unwrap();
                create(server, name).await;
                format!("{base}/{name}")
            }
        }
    }

    /// A store on the database.
    pub async fn open(&self) -> Store {
        Store::open(&self.url().await, true).await.unwrap()
    }
}

fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("t_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn create(server: &str, name: &str) {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if !exists {
        let statement = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
}

/// Runs a statement behind the store's back.
pub async fn execute(url: &str, statement: &'static str) {
    use sqlx::Connection as _;
    if url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
}

/// The one number that a query gives.
pub async fn number(url: &str, query: &'static str) -> i64 {
    use sqlx::Connection as _;
    if url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    }
}

/// Runs a statement of a test's own making on a Postgres.
pub async fn execute_in(url: &str, statement: String) {
    use sqlx::Connection as _;
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
}
