//! Reading versions in the order in which the ledger learned them.

use sqlx::FromRow;

use super::error::StoreError;
use super::read::AsOf;
use super::sql;

/// A version, as a commit of the ledger wrote it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LedgerVersion {
    /// The commit.
    pub seq: i64,
    /// The entry's number in it.
    pub entry: i64,
    /// What the entry says happened.
    pub entry_kind: String,
    /// When the commit was made, microseconds.
    pub committed_at: i64,
    /// Who did it.
    pub principal: String,
    /// The source's row.
    pub source_id: i64,
    /// The object's row.
    pub object_id: i64,
    /// The version's number, from 0.
    pub n: i64,
    /// From when, microseconds.
    pub from_at: i64,
    /// Until when, as far as was known then.
    pub to_at: Option<i64>,
    /// How it ended.
    pub end_kind: Option<String>,
    /// The row of the raw object.
    pub body_id: i64,
}

impl AsOf {
    /// The versions of the entries of the `commits` commits after one, in the ledger's order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_ledger_versions(&self, after: i64, commits: i64) -> Result<Vec<LedgerVersion>, StoreError> {
        let until = self.seq.min(after.saturating_add(commits));
        self.pool.rows(&sql::LEDGER_VERSIONS, &[self.tenant.into(), after.into(), until.into()]).await
    }

    /// How many entries name their object in words alone, as those of before the ledger had rows for
    /// objects do.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_worded_entries(&self) -> Result<i64, StoreError> {
        self.count(&sql::LEDGER_WORDED, &[self.tenant.into(), self.seq.into()]).await
    }
}
