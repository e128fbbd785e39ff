//! What the store refuses to open.

use packtrail::storage::{Store, StoreError};

use crate::support::db::{Database, execute};

/// Opens a database both ways, as `serve` and as `migrate` do, and gives the refusals.
async fn refusals(url: &str) -> Vec<StoreError> {
    let mut refusals = Vec::new();
    for migrate in [false, true] {
        refusals.push(Store::open(url, migrate).await.unwrap_err());
    }
    refusals
}

#[tokio::test]
async fn an_empty_database_is_only_opened_to_migrate_it() {
    for database in Database::all() {
        let url = database.url().await;
        let error = Store::open(&url, false).await.unwrap_err();
        assert_eq!(error.to_string(), "migration: the schema is empty; run `packtrail migrate`", "{url}");
        Store::open(&url, true).await.unwrap().close().await;
        Store::open(&url, false).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn a_migration_that_only_a_newer_program_knows_is_refused() {
    for database in Database::all() {
        let url = database.url().await;
        database.open().await.close().await;
        let later = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
            SELECT 9999, 'later', installed_on, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
        execute(&url, later).await;
        for error in refusals(&url).await {
            assert_eq!(
                error.to_string(),
                "migration: the schema has migration 9999, which this program does not know: it is too old"
            );
        }
    }
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    for database in Database::all() {
        let url = database.url().await;
        database.open().await.close().await;
        let other = if url.starts_with("sqlite") { "x'00'" } else { "'\\x00'" };
        execute(&url, &format!("UPDATE _sqlx_migrations SET checksum = {other} WHERE version = 1")).await;
        for error in refusals(&url).await {
            assert_eq!(error.to_string(), "migration: migration 1 was changed after it was applied");
        }
    }
}

#[tokio::test]
async fn a_schema_that_lacks_a_migration_is_only_opened_to_migrate_it() {
    for database in Database::all() {
        let url = database.url().await;
        database.open().await.close().await;
        execute(&url, "DELETE FROM _sqlx_migrations").await;
        let error = Store::open(&url, false).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "migration: the schema is older than this program; run `packtrail migrate`",
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_postgres_that_could_lose_acknowledged_records_is_refused() {
    for database in Database::all() {
        let Database::Postgres { name, .. } = &database else { continue };
        let url = database.url().await;
        execute(&url, &format!("ALTER DATABASE {name} SET synchronous_commit TO off")).await;
        for error in refusals(&url).await {
            assert!(matches!(error, StoreError::UnsafeSetting(_)), "{error}");
            assert!(error.to_string().contains("synchronous_commit is off"), "{error}");
        }
        execute(&url, &format!("ALTER DATABASE {name} RESET synchronous_commit")).await;
        database.open().await.close().await;
    }
}

#[tokio::test]
async fn a_url_of_no_known_database_is_refused() {
    for url in ["mysql://localhost/packtrail", "packtrail.db", ""] {
        let error = Store::open(url, true).await.unwrap_err();
        assert!(matches!(error, StoreError::Url(_)), "{url}: {error}");
    }
}
