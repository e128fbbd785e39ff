//! Findings.

use async_graphql::{Context, InputObject, Object};

use crate::auth::Scope;
use crate::domain::findings;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::view;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::types::enums::{FindingCode, Severity};
use crate::graphql::types::finding::Finding;
use crate::graphql::types::record::place;
use crate::service::query::FindingsAsked;
use crate::storage::{EntryPlace, Page};

/// What narrows a list of findings.
#[derive(Debug, Clone, Default, InputObject)]
struct FindingFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only with this code.
    code: Option<FindingCode>,
    /// Only of this severity.
    severity: Option<Severity>,
}

impl FindingFilter {
    fn asked(self) -> Result<FindingsAsked, ApiError> {
        let code = match self.code.map(FindingCode::word) {
            Some(None) => return Err(ApiError::bad_input("Findings cannot be filtered by the code UNKNOWN.")),
            other => other.flatten().map(ToOwned::to_owned),
        };
        let severity = self.severity.map(|severity| findings::Severity::from(severity).as_str().to_owned());
        Ok(FindingsAsked { source: self.source, code, severity })
    }
}

#[derive(Default)]
pub struct FindingQuery;

#[Object]
impl FindingQuery {
    /// The open findings, newest first.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn findings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<FindingFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<Finding>, ApiError> {
        let view = view(ctx).await?;
        let asked = filter.unwrap_or_default().asked()?;
        let listed = List::new(&view, "findings", &(&asked.source, &asked.code, &asked.severity));
        let page: Page<EntryPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = view.scope().list_findings(&asked, &page).await?;
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let (scope, asked) = (scope.clone(), asked.clone());
            async move { Ok(scope.count_findings(&asked).await?) }
        });
        Ok(Connection::new(&listed, &page, rows, total, place, |finding| Finding::new(&view, finding)))
    }
}
