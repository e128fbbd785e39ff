//! Sources.

use async_graphql::{Context, Object};

use crate::auth::Scope;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::types::source::Source;
use crate::storage::{Page, StoredSource};

#[derive(Clone, Default)]
pub struct SourceQuery(pub Seat);

#[Object]
impl SourceQuery {
    /// The sources of the tenant, by name.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn sources(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<Source>, ApiError> {
        let view = self.0.view(ctx).await?;
        let listed = List::new(&view, "sources", &());
        let page: Page<String> = PageArgs::new(first, after, last, before).page(&listed)?;
        let all = view.scope().sources().to_vec();
        let total = Total::Known(i64::try_from(all.len()).unwrap_or(i64::MAX));
        let place = |source: &StoredSource| source.name.clone();
        let rows = page.of(all, place, Clone::clone);
        Ok(Connection::new(&listed, &page, rows, total, place, Source))
    }
}
