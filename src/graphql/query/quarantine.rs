//! The quarantine.

use async_graphql::{Context, InputObject, Object};
use serde::Serialize;

use crate::auth::Scope;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::DateTime;
use crate::graphql::types::quarantine::QuarantinedItem;
use crate::service::query::QuarantineAsked;
use crate::storage::{EntryPlace, Page, StoredQuarantine};

/// What narrows a list of items in quarantine.
#[derive(Debug, Clone, Default, InputObject)]
struct QuarantineFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only refused with this code, the last time that they were tried.
    code: Option<String>,
    /// Only received at this time or later.
    received_after: Option<DateTime>,
    /// Only received before this time.
    received_before: Option<DateTime>,
}

fn narrowed_by(asked: &QuarantineAsked) -> impl Serialize {
    (asked.source.clone(), asked.code.clone(), asked.received_from, asked.received_until)
}

#[derive(Clone, Default)]
pub struct QuarantineQuery(pub Seat);

#[Object]
impl QuarantineQuery {
    /// The items that could not be stored as records, newest first.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn quarantine(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<QuarantineFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<QuarantinedItem>, ApiError> {
        let view = self.0.view(ctx).await?;
        let filter = filter.unwrap_or_default();
        let asked = QuarantineAsked {
            source: filter.source,
            code: filter.code,
            received_from: filter.received_after.map(|at| at.0),
            received_until: filter.received_before.map(|at| at.0),
        };
        let listed = List::new(&view, "quarantine", &narrowed_by(&asked));
        let page: Page<EntryPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = view.scope().list_quarantine(&asked, &page).await?;
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let (scope, asked) = (scope.clone(), asked.clone());
            async move { Ok(scope.count_quarantine(&asked).await?) }
        });
        let place = |item: &StoredQuarantine| (item.from_seq, item.id);
        Ok(Connection::new(&listed, &page, rows, total, place, |item| QuarantinedItem::new(&view, item)))
    }
}
