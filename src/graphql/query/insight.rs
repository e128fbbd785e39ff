//! Insight over all records: the search, and the statistics of operations.

use async_graphql::{Context, InputObject, Object};

use crate::auth::Scope;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::DateTime;
use crate::graphql::types::enums::{FailureCategory, OperationStatus};
use crate::graphql::types::lineage_kind::LineageNodeKind;
use crate::graphql::types::operation_stats::{OperationStatsBucket, OperationStatsDimension};
use crate::graphql::types::search::SearchHit;
use crate::service::query::{OperationsAsked, SearchAsked};
use crate::storage::{BirthPlace, OperationFilter, Page};

/// The most dimensions that operations are grouped by at once.
const MAX_DIMENSIONS: usize = 4;

/// What narrows the operations that are counted.
#[derive(Debug, Clone, Default, InputObject)]
struct OperationStatsFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only on this cluster.
    cluster: Option<String>,
    /// Only about this pack, also where only their execution names it.
    pack: Option<String>,
    /// Only about packs of this base.
    base_pack: Option<String>,
    /// Only with this status.
    status: Option<OperationStatus>,
    /// Only of this capability.
    capability: Option<String>,
    /// Only with a failure of this domain.
    failure_category: Option<FailureCategory>,
    /// Only those in which this step failed.
    failed_step: Option<String>,
    /// Only those that count at this time or later.
    from: Option<DateTime>,
    /// Only those that count before this time.
    to: Option<DateTime>,
}

impl OperationStatsFilter {
    fn asked(self, by: &[OperationStatsDimension]) -> Result<OperationsAsked, ApiError> {
        if by.len() > MAX_DIMENSIONS {
            return Err(ApiError::bad_input(format!("Group by at most {MAX_DIMENSIONS} dimensions.")));
        }
        let filter = OperationFilter {
            source: None,
            cluster: self.cluster,
            pack: self.pack,
            base: self.base_pack,
            status: word(self.status.map(OperationStatus::word))?,
            capability: self.capability,
            category: word(self.failure_category.map(FailureCategory::word))?,
            step: self.failed_step,
            from: self.from.map(|from| from.0),
            to: self.to.map(|to| to.0),
        };
        let by = by.iter().map(|dimension| dimension.stored()).collect();
        Ok(OperationsAsked { source: self.source, filter, by })
    }
}

/// The word of an enum in a filter.
#[expect(clippy::option_option, reason = "not asked for, and asked for by the one value without a word")]
fn word(asked: Option<Option<&'static str>>) -> Result<Option<String>, ApiError> {
    match asked {
        Some(None) => Err(ApiError::bad_input("Operations cannot be filtered by UNKNOWN.")),
        other => Ok(other.flatten().map(ToOwned::to_owned)),
    }
}

#[derive(Clone, Default)]
pub struct InsightQuery(pub Seat);

#[Object]
impl InsightQuery {
    /// What has all words of a text. Words are letters and digits, in any case; the last one is a
    /// beginning, of at least two characters, and so is the beginning of a digest of six hex digits or
    /// more. Found are records by names, references, versions, digests, failures and messages of
    /// conditions in any content that was ever seen of them; resources that results applied; clusters
    /// and pack families by name. First the records, newest birth first, then the rest in an order that
    /// stays.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "what is asked, and the four of a page")]
    async fn search(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The words: 16 different ones in 1,000 bytes at most.")] text: String,
        #[graphql(desc = "Only these kinds.")] kinds: Option<Vec<LineageNodeKind>>,
        #[graphql(desc = "Only of this source.")] source: Option<String>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<SearchHit>, ApiError> {
        let view = self.0.view(ctx).await?;
        let stored = kinds.as_deref().map(LineageNodeKind::stored);
        let (kinds, beside) = stored.map_or((None, None), |(kinds, beside)| (Some(kinds), beside));
        let asked = SearchAsked { text, source, kinds, beside };
        let narrowed_by = (&asked.text, &asked.source, &asked.kinds, &asked.beside);
        let listed = List::new(&view, "search", &narrowed_by);
        let page: Page<BirthPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = view.scope().search(&asked, &page).await?;
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let (scope, asked) = (scope.clone(), asked.clone());
            async move { Ok(scope.count_search(&asked).await?) }
        });
        Ok(Connection::new(&listed, &page, rows, total, |hit| hit.place, |hit| SearchHit::new(&view, hit)))
    }

    /// How many results there are, how they ended and how long they took. Each counts once, at its
    /// completion, else its start, else its birth. Sorted by the dimensions, in the order in which a
    /// bucket has them; at most 1,000 buckets, beyond which the question has to be narrowed.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn operation_stats(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the results.")] filter: Option<OperationStatsFilter>,
        #[graphql(desc = "By what the results are grouped, four dimensions at most; none makes one bucket of all.")]
        group_by: Vec<OperationStatsDimension>,
    ) -> Result<Vec<OperationStatsBucket>, ApiError> {
        let asked = filter.unwrap_or_default().asked(&group_by)?;
        let stats = self.0.view(ctx).await?.scope().operation_stats(&asked).await?;
        Ok(stats.into_iter().map(|stats| OperationStatsBucket::new(stats, &asked.by)).collect())
    }
}
