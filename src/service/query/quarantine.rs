//! What could not be stored as a record.

use std::collections::HashMap;

use crate::storage::{EntryPlace, Page, QuarantineFilter, Rows, StoredQuarantine};

use super::{QueryError, Scope};

impl Scope {
    /// The items in quarantine, newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_quarantine(
        &self,
        source: Option<&str>,
        code: Option<&str>,
        page: &Page<EntryPlace>,
    ) -> Result<Rows<StoredQuarantine>, QueryError> {
        Ok(self.as_of.list_quarantine(&self.quarantine_filter(source, code), page).await?)
    }

    /// How many items [`Self::list_quarantine`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_quarantine(&self, source: Option<&str>, code: Option<&str>) -> Result<i64, QueryError> {
        Ok(self.as_of.count_quarantine(&self.quarantine_filter(source, code)).await?)
    }

    fn quarantine_filter(&self, source: Option<&str>, code: Option<&str>) -> QuarantineFilter {
        QuarantineFilter { source: self.filter_source(source), code: code.map(ToOwned::to_owned) }
    }

    /// Items in quarantine by id; those that are not there (any longer) are left out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn quarantine_by_id(&self, ids: &[i64]) -> Result<Vec<StoredQuarantine>, QueryError> {
        Ok(self.as_of.quarantine_by_id(ids).await?)
    }

    /// The bytes of items in quarantine as they came.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn quarantine_bytes(&self, ids: &[i64]) -> Result<HashMap<i64, Vec<u8>>, QueryError> {
        Ok(self.as_of.quarantine_bytes(ids).await?)
    }
}
