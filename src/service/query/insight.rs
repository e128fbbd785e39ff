//! Insight over all records: the search, and the statistics of operations.

use crate::domain::search::Question;
use crate::storage::{
    BirthPlace, Dimension, OperationFilter, Page, Rows, SearchFilter, StoredHit, StoredRecord, StoredStats,
};

use super::{QueryError, Scope};

/// The most buckets of one answer: enough for a thousand clusters, or for six weeks of hours.
pub const MAX_BUCKETS: usize = 1000;

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchAsked {
    /// The text.
    pub text: String,
    /// The source's name; `None` for all.
    pub source: Option<String>,
    /// Only these kinds: canonical kinds of records, and those of things; `None` for all.
    pub kinds: Option<Vec<String>>,
    /// With `kinds`: also records of kinds that are none of these.
    pub beside: Option<Vec<String>>,
}

/// What operations are counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperationsAsked {
    /// The source's name; `None` for all.
    pub source: Option<String>,
    /// The rest of the filter; its source is not looked at.
    pub filter: OperationFilter,
    /// By what they are grouped.
    pub by: Vec<Dimension>,
}

impl Scope {
    /// What has all words of a text: first the records, newest birth first, then the other things.
    ///
    /// # Errors
    /// If the text is no question, the scope is not the latest, or the store fails.
    pub async fn search(&self, asked: &SearchAsked, page: &Page<BirthPlace>) -> Result<Rows<StoredHit>, QueryError> {
        self.needs_latest("search")?;
        let question = Question::read(&asked.text)?;
        Ok(self.as_of.search(&question, &self.search_filter(asked), page).await?)
    }

    /// How many answers [`Self::search`] has.
    ///
    /// # Errors
    /// As there.
    pub async fn count_search(&self, asked: &SearchAsked) -> Result<i64, QueryError> {
        self.needs_latest("search")?;
        let question = Question::read(&asked.text)?;
        Ok(self.as_of.count_search(&question, &self.search_filter(asked)).await?)
    }

    fn search_filter(&self, asked: &SearchAsked) -> SearchFilter {
        SearchFilter {
            source: self.filter_source(asked.source.as_deref()),
            kinds: asked.kinds.clone(),
            beside: asked.beside.clone(),
        }
    }

    /// The results of a source whose latest version applied a resource, newest birth first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_appliers(
        &self,
        source: i64,
        resource: i64,
        page: &Page<BirthPlace>,
    ) -> Result<Rows<StoredRecord>, QueryError> {
        Ok(self.as_of.list_appliers(source, resource, page).await?)
    }

    /// How many results [`Self::list_appliers`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_appliers(&self, source: i64, resource: i64) -> Result<i64, QueryError> {
        Ok(self.as_of.count_appliers(source, resource).await?)
    }

    /// Operations, grouped. Without dimensions, one group of all.
    ///
    /// # Errors
    /// If there are more than [`MAX_BUCKETS`] groups, the scope is not the latest, or the store fails.
    pub async fn operation_stats(&self, asked: &OperationsAsked) -> Result<Vec<StoredStats>, QueryError> {
        self.needs_latest("operationStats")?;
        let source = self.filter_source(asked.source.as_deref());
        let filter = OperationFilter { source, ..asked.filter.clone() };
        let beyond = i64::try_from(MAX_BUCKETS).unwrap_or(i64::MAX - 1) + 1;
        let stats = self.as_of.operation_stats(&filter, &asked.by, beyond).await?;
        if stats.len() > MAX_BUCKETS {
            return Err(QueryError::TooMany(MAX_BUCKETS, "narrow the filter, or group by less"));
        }
        // No rows make no group, but none is an answer to "how many".
        let is_empty_total = stats.is_empty() && asked.by.is_empty();
        Ok(if is_empty_total { vec![StoredStats::default()] } else { stats })
    }
}
