//! Runs a test on both databases.

use std::env;

use packtrail::storage::Store;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

const POSTGRES: &str = "PACKTRAIL_TEST_POSTGRES_URL";
const SQLITE_ONLY: &str = "PACKTRAIL_TEST_SQLITE_ONLY";

/// The tenant of tests that need only one.
pub const TENANT: &str = "acme";

/// Runs a test on a new database of each kind. A test must never pass for want of a database, so
/// without a Postgres it fails and says how to get one.
pub async fn for_each_database(test: impl AsyncFn(Store, &'static str)) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}", folder.path().join("x.db").display()), true).await.unwrap();
    test(store.clone(), TENANT).await;
    store.close().await;
    match env::var(POSTGRES) {
        Ok(server) => on_postgres(&server, test).await,
        Err(_) if env::var(SQLITE_ONLY).is_ok_and(|only| only == "1") => {}
        Err(_) => panic!(
            "there is no Postgres to test on: run `scripts/pg run cargo test`, or name a server in {POSTGRES}; \
             {SQLITE_ONLY}=1 does without, for work on one machine only"
        ),
    }
}

async fn on_postgres(server: &str, test: impl AsyncFn(Store, &'static str)) {
    let name = format!("packtrail_{:032x}", rand::random::<u128>());
    run(server, format!("CREATE DATABASE {name}")).await;
    let store = Store::open(&database(server, &name), true).await.unwrap();
    test(store.clone(), TENANT).await;
    store.close().await;
    run(server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

async fn run(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The address of a database on the server of another.
fn database(server: &str, name: &str) -> String {
    let (address, parameters) = server.split_once('?').map_or((server, None), |(a, p)| (a, Some(p)));
    let (host, _) = address.rsplit_once('/').unwrap();
    parameters.map_or_else(|| format!("{host}/{name}"), |parameters| format!("{host}/{name}?{parameters}"))
}
