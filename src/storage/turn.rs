//! Whose turn it is, among the transactions of a tenant on Postgres.
//!
//! `SQLite` has one writing transaction at a time. On Postgres those of a tenant take these turns, in this order,
//! before the head of its ledger, and keep them until they end. A command on a run needs the second one only where
//! it makes vertices, and never the first, so that it does not wait for a batch of records.

use super::dialect::Dialect;
use super::driver::Tx;
use super::error::StoreError;
use super::sql;

/// What only one transaction of a tenant does at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turn {
    /// Writing records and what follows from them.
    Records = 0,
    /// Making vertices of the tenant itself, which are of no source.
    Vertices = 1,
}

/// Waits for a turn, and keeps it until the transaction ends.
pub(super) async fn take(tx: &mut Tx, tenant: i64, turn: Turn) -> Result<(), StoreError> {
    if tx.dialect() == Dialect::Postgres {
        tx.execute(&sql::TURN_TAKE, &[tenant.into(), (turn as i64).into()]).await?;
    }
    Ok(())
}
