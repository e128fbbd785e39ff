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
        match self.pack_results(base, cluster, None).await? {
            Some(asked) => Ok(self.as_of.list_pack_results(&asked, page).await?),
            None => Ok(Rows::none()),
        }
    }

    /// How many results [`Self::pack_history`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_pack_history(&self, base: &str, cluster: &str) -> Result<i64, QueryError> {
        match self.pack_results(base, cluster, None).await? {
            Some(asked) => Ok(self.as_of.count_pack_results(&asked).await?),
            None => Ok(0),
        }
    }

    /// [`Self::pack_history`] of one source alone.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn family_history(
        &self,
        source: i64,
        base: &str,
        cluster: &str,
        page: &Page<RecordPlace>,
    ) -> Result<Rows<StoredRecord>, QueryError> {
        match self.pack_results(base, cluster, Some(source)).await? {
            Some(asked) => Ok(self.as_of.list_pack_results(&asked, page).await?),
            None => Ok(Rows::none()),
        }
    }

    /// How many results [`Self::family_history`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_family_history(&self, source: i64, base: &str, cluster: &str) -> Result<i64, QueryError> {
        match self.pack_results(base, cluster, Some(source)).await? {
            Some(asked) => Ok(self.as_of.count_pack_results(&asked).await?),
            None => Ok(0),
        }
    }

    async fn pack_results(
        &self,
        base: &str,
        cluster: &str,
        source: Option<i64>,
    ) -> Result<Option<PackResults>, QueryError> {
        let mut packs = self.as_of.packs_of_base(base).await?;
        packs.retain(|pack| source.is_none_or(|source| pack.source_id == source));
        if packs.is_empty() {
            return Ok(None);
        }
        let executions = self.as_of.executions_of_packs(cluster, &packs).await?;
        Ok(Some(PackResults { cluster: cluster.to_owned(), packs, executions }))
    }
}
