//! The history of a base pack on a cluster.

use crate::storage::{PackResults, Page, RecordPlace, Rows, StoredRecord};

use super::{QueryError, Scope};

impl Scope {
    /// All results of a base pack on a cluster, newest birth first, across its packs, their
    /// executions and epochs. A name alone would not do: compiled packs carry their version in it,
    /// so that each version begins a sequence of its own.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pack_history(
        &self,
        base: &str,
        cluster: &str,
        page: &Page<RecordPlace>,
    ) -> Result<Rows<StoredRecord>, QueryError> {
        let packs = self.as_of.packs_of_base(base).await?;
        if packs.is_empty() {
            return Ok(Rows::none());
        }
        let executions = self.as_of.executions_of_packs(cluster, &packs).await?;
        let asked = PackResults { cluster: cluster.to_owned(), packs, executions };
        Ok(self.as_of.list_pack_results(&asked, page).await?)
    }
}
