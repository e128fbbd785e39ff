//! What could not be stored as a record.

use std::collections::HashMap;

use crate::storage::{EntryPlace, Page, QuarantineFilter, Rows, StoredQuarantine};

use super::{QueryError, Scope};

/// What narrows a list of items in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuarantineAsked {
    /// The source's name; `None` for all.
    pub source: Option<String>,
    /// The code of the reason.
    pub code: Option<String>,
    /// Received at this time or later, microseconds.
    pub received_from: Option<i64>,
    /// Received before this time, microseconds.
    pub received_until: Option<i64>,
}

impl Scope {
    /// The items in quarantine, newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_quarantine(
        &self,
        asked: &QuarantineAsked,
        page: &Page<EntryPlace>,
    ) -> Result<Rows<StoredQuarantine>, QueryError> {
        Ok(self.as_of.list_quarantine(&self.quarantine_filter(asked), page).await?)
    }

    /// How many items [`Self::list_quarantine`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_quarantine(&self, asked: &QuarantineAsked) -> Result<i64, QueryError> {
        Ok(self.as_of.count_quarantine(&self.quarantine_filter(asked)).await?)
    }

    fn quarantine_filter(&self, asked: &QuarantineAsked) -> QuarantineFilter {
        QuarantineFilter {
            source: self.filter_source(asked.source.as_deref()),
            code: asked.code.clone(),
            received_from: asked.received_from,
            received_until: asked.received_until,
        }
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
