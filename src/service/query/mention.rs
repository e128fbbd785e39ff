//! Clusters and pack families: what records name without being it.

use crate::domain::mention::Named;
use crate::storage::{Page, Rows, StoredMention};

use super::{QueryError, Scope};

impl Scope {
    /// What is named, by source and name; a place names its source, as its rows differ by store.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_mentions(
        &self,
        named: Named,
        source: Option<&str>,
        page: Page<(String, String)>,
    ) -> Result<Rows<StoredMention>, QueryError> {
        let page = page.map(|(source, name)| (self.source(&source).map_or(0, |source| source.id), name));
        Ok(self.as_of.list_mentions(named, self.filter_source(source), &page).await?)
    }

    /// How many [`Self::list_mentions`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_mentions(&self, named: Named, source: Option<&str>) -> Result<i64, QueryError> {
        Ok(self.as_of.count_mentions(named, self.filter_source(source)).await?)
    }

    /// What is named so, in the order asked for (source, kind, name).
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_mentions(
        &self,
        asked: &[(i64, Named, String)],
    ) -> Result<Vec<Option<StoredMention>>, QueryError> {
        let mut found = self.as_of.find_mentions(asked).await?;
        Ok((0..asked.len()).map(|i| found.remove(&i)).collect())
    }
}
