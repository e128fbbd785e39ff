//! What an export reads.

use std::collections::HashMap;

use crate::storage::{LedgerVersion, VertexNames};

use super::{QueryError, Scope};

impl Scope {
    /// The versions that the `commits` commits after one wrote, in the ledger's order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_ledger_versions(&self, after: i64, commits: i64) -> Result<Vec<LedgerVersion>, QueryError> {
        Ok(self.as_of.list_ledger_versions(after, commits).await?)
    }

    /// How many entries of the ledger name their object in words alone.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_worded_entries(&self) -> Result<i64, QueryError> {
        Ok(self.as_of.count_worded_entries().await?)
    }

    /// The names of objects, by row.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn vertex_names(&self, objects: &[i64]) -> Result<HashMap<i64, VertexNames>, QueryError> {
        Ok(self.as_of.vertex_names(objects).await?)
    }
}
