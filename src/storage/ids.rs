//! Ids that a process took ahead of need.
//!
//! Ids of a tenant come from one counter, in its row. A transaction that takes them there holds that row until its
//! end, and on Postgres everybody else who needs an id waits for it. So a process takes many at a time, in a
//! statement of its own, and keeps them in memory. They are unique; those that a process leaves over are never used.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::FromRow;

use super::dialect::Dialect;
use super::driver::Tx;
use super::error::StoreError;
use super::{Store, sql};

/// How many are taken at a time: enough for dozens of batches.
const STOCK: i64 = 1 << 17;
/// More are taken when fewer than these are left: what a large batch needs.
const LEAST: i64 = 1 << 15;

/// The ids at hand, by the names of tenants. Empty on `SQLite`, where only one transaction writes at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct Ids(Arc<Mutex<HashMap<String, Range<i64>>>>);

#[derive(FromRow)]
struct First(i64);

impl Ids {
    /// The first of so many ids in a row, which are nobody else's; `None` if they are not at hand.
    fn take(&self, tenant: &str, count: i64) -> Option<i64> {
        let mut stocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stock = stocks.get_mut(tenant)?;
        let first = stock.start;
        let next = first.checked_add(count).filter(|next| *next <= stock.end)?;
        stock.start = next;
        Some(first)
    }

    fn is_low(&self, tenant: &str) -> bool {
        let stocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stocks.get(tenant).is_none_or(|stock| stock.end - stock.start < LEAST)
    }

    /// Puts so many ids in place of those that were left.
    fn put(&self, tenant: &str, first: i64, count: i64) {
        let mut stocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stocks.insert(tenant.to_owned(), first..first.saturating_add(count));
    }
}

impl Store {
    /// Sees to it that ids are at hand, before a transaction begins. A tenant that is not there yet has none: the
    /// transaction that makes it takes them from its row.
    pub(super) async fn stock_ids(&self, tenant: &str) -> Result<(), StoreError> {
        if self.pool.dialect() == Dialect::Sqlite || !self.ids.is_low(tenant) {
            return Ok(());
        }
        let first: Option<First> = self.pool.row(&sql::IDS_STOCK, &[tenant.into(), STOCK.into()]).await?;
        if let Some(First(first)) = first {
            self.ids.put(tenant, first, STOCK);
        }
        Ok(())
    }
}

/// Takes so many ids in a row of a tenant, given by its name and row: those at hand, or else from its row, which
/// is locked then.
pub(super) async fn take(tx: &mut Tx, ids: &Ids, (name, tenant): (&str, i64), count: i64) -> Result<i64, StoreError> {
    if let Some(first) = ids.take(name, count) {
        return Ok(first);
    }
    let first: Option<First> = tx.row(&sql::IDS_TAKE, &[tenant.into(), count.into()]).await?;
    first.map(|First(first)| first).ok_or_else(|| StoreError::Corrupt("tenant".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_at_hand_are_given_once_and_to_their_tenant() {
        let ids = Ids::default();
        assert_eq!(ids.take("a", 1), None);
        assert!(ids.is_low("a"));
        ids.put("a", 100, LEAST);
        assert!(!ids.is_low("a"));
        assert_eq!(ids.take("a", 3), Some(100));
        assert_eq!(ids.clone().take("a", 2), Some(103), "a copy has the same stock");
        assert!(ids.is_low("a"));
        assert_eq!(ids.take("b", 1), None);
        assert_eq!(ids.take("a", LEAST), None, "not so many are left");
        assert_eq!(ids.take("a", LEAST - 5), Some(105));
        assert_eq!(ids.take("a", 1), None);
    }
}
