//! Bringing the schema up to date, and refusing databases that could lose acknowledged records.

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::postgres::PgPoolOptions;

use super::driver::Pool;
use super::error::StoreError;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// Applies what is missing, or with `apply` off only checks that nothing is.
pub(super) async fn run(pool: &Pool, apply: bool) -> Result<(), StoreError> {
    match pool {
        Pool::Sqlite { writer, .. } if apply => SQLITE.run(writer).await.map_err(explain),
        Pool::Postgres(pool) if apply => {
            // An index of a large table takes longer than a reader is given, and so does waiting for
            // another server that builds one: a connection of its own, without the time limit.
            let options = pool.connect_options().as_ref().clone().options([("statement_timeout", "0")]);
            let patient = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
            let done = POSTGRES.run(&patient).await.map_err(explain);
            patient.close().await;
            done
        }
        Pool::Sqlite { writer, .. } => {
            let mut connection = writer.acquire().await?;
            let applied = connection.list_applied_migrations(SQLITE.table_name.as_ref()).await;
            check_applied(&SQLITE, &applied.map_err(explain_missing)?)
        }
        Pool::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            let applied = connection.list_applied_migrations(POSTGRES.table_name.as_ref()).await;
            check_applied(&POSTGRES, &applied.map_err(explain_missing)?)
        }
    }
}

fn check_applied(migrator: &Migrator, applied: &[AppliedMigration]) -> Result<(), StoreError> {
    for done in applied {
        match migrator.iter().find(|known| known.version == done.version) {
            None => return Err(newer(done.version)),
            Some(known) if known.checksum != done.checksum => return Err(changed(done.version)),
            Some(_) => {}
        }
    }
    if migrator.iter().any(|known| applied.iter().all(|done| done.version != known.version)) {
        return Err(StoreError::Migration("the schema is older than this program; run `packtrail migrate`".to_owned()));
    }
    Ok(())
}

/// A database that answers, but not about migrations, has none.
fn explain_missing(error: MigrateError) -> StoreError {
    match explain(error) {
        StoreError::Database(_) => StoreError::Migration("the schema is empty; run `packtrail migrate`".to_owned()),
        other => other,
    }
}

fn newer(version: i64) -> StoreError {
    StoreError::Migration(format!(
        "the schema has migration {version}, which this program does not know: it is too old"
    ))
}

fn changed(version: i64) -> StoreError {
    StoreError::Migration(format!("migration {version} was changed after it was applied"))
}

fn explain(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => newer(version),
        MigrateError::VersionMismatch(version) => changed(version),
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
