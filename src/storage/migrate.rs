//! Bringing the schema up to date, and refusing databases that could lose acknowledged records.

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use super::driver::Pool;
use super::error::StoreError;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Applies what is missing, or with `apply` off only checks that nothing is.
pub(super) async fn run(pool: &Pool, apply: bool) -> Result<(), StoreError> {
    match pool {
        Pool::Sqlite { writer, .. } if apply => SQLITE.run(writer).await.map_err(explain),
        Pool::Postgres(pool) if apply => POSTGRES.run(pool).await.map_err(explain),
        Pool::Sqlite { writer, .. } => {
            let mut connection = writer.acquire().await?;
            let applied = connection.list_applied_migrations(SQLITE.table_name.as_ref()).await;
            check_applied(&SQLITE, applied.map(|list| list.into_iter().map(|m| m.version).collect()))
        }
        Pool::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            let applied = connection.list_applied_migrations(POSTGRES.table_name.as_ref()).await;
            check_applied(&POSTGRES, applied.map(|list| list.into_iter().map(|m| m.version).collect()))
        }
    }
}

fn check_applied(migrator: &Migrator, applied: Result<Vec<i64>, MigrateError>) -> Result<(), StoreError> {
    let applied =
        applied.map_err(|_| StoreError::Migration("the schema is empty; run `packtrail migrate`".to_owned()))?;
    let known: Vec<i64> = migrator.iter().map(|migration| migration.version).collect();
    if let Some(unknown) = applied.iter().find(|version| !known.contains(version)) {
        return Err(newer(*unknown));
    }
    if known.iter().any(|version| !applied.contains(version)) {
        return Err(StoreError::Migration("the schema is older than this program; run `packtrail migrate`".to_owned()));
    }
    Ok(())
}

fn newer(version: i64) -> StoreError {
    StoreError::Migration(format!(
        "the schema has migration {version}, which this program does not know: it is too old"
    ))
}

fn explain(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => newer(version),
        MigrateError::VersionMismatch(version) => {
            StoreError::Migration(format!("migration {version} was changed after it was applied"))
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Migration(other.to_string()),
    }
}

/// Postgres settings without which an acknowledged commit may be lost.
const MUST_BE_ON: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

pub(super) async fn check_settings(pool: &Pool) -> Result<(), StoreError> {
    let Pool::Postgres(pool) = pool else {
        return Ok(());
    };
    for setting in MUST_BE_ON {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(pool).await?;
        if value == "off" {
            return Err(StoreError::UnsafeSetting(format!("{setting} is off: acknowledged records could be lost")));
        }
    }
    Ok(())
}
