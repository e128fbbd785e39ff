//! Every test of the store runs on both databases.

use packtrail::storage::Store;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

/// Names a Postgres in which tests may make databases.
const POSTGRES: &str = "PACKTRAIL_TEST_POSTGRES_URL";
/// Lets a developer leave Postgres out; no script sets it.
const SQLITE_ONLY: &str = "PACKTRAIL_TEST_SQLITE_ONLY";

/// The tenant of tests that need only one.
pub const TENANT: &str = "acme";

/// Runs a test on a fresh database of each kind.
pub async fn for_each_database(test: impl AsyncFn(Store, &'static str)) {
    for database in Database::all() {
        let store = database.open().await;
        test(store.clone(), TENANT).await;
        store.close().await;
    }
}

/// A fresh database of each kind.
pub enum Database {
    Sqlite(tempfile::TempDir),
    Postgres { server: String, name: String },
}

impl Database {
    /// All databases that a test must pass on.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Sqlite(tempfile::tempdir().unwrap())];
        if let Ok(server) = std::env::var(POSTGRES) {
            all.push(Self::Postgres { server, name: fresh_name() });
        } else {
            let is_left_out = std::env::var_os(SQLITE_ONLY).is_some();
            assert!(
                is_left_out,
                "{POSTGRES} is not set: run ./scripts/test, or ./scripts/pg for a Postgres of your own"
            );
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

/// A name that no earlier run left behind on the same server.
fn fresh_name() -> String {
    format!("t_{:032x}", rand::random::<u128>())
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

/// Runs statements behind the store's back.
pub async fn execute(url: &str, statements: &str) {
    use sqlx::Connection as _;
    let statements = sqlx::AssertSqlSafe(statements.to_owned());
    if url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    }
}

/// Reads rows behind the store's back.
pub async fn fetch<T>(url: &str, question: &str) -> Vec<T>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    use sqlx::Connection as _;
    let question = sqlx::AssertSqlSafe(question.to_owned());
    if url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
        sqlx::query_as(question).fetch_all(&mut connection).await.unwrap()
    } else {
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        sqlx::query_as(question).fetch_all(&mut connection).await.unwrap()
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
