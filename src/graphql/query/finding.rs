//! Findings.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use serde::Serialize;

use crate::auth::Scope;
use crate::domain::findings;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::DateTime;
use crate::graphql::types::enums::{FindingCode, FindingState, Severity};
use crate::graphql::types::finding::{self, Finding, FindingCount};
use crate::graphql::view::View;
use crate::service::query::FindingsAsked;
use crate::storage::{FindingOrder, FindingPlace, Page, Rows};

/// What narrows a list of findings. All that is given must hold.
#[derive(Debug, Clone, Default, InputObject)]
pub struct FindingFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only those that stand, or only those that were cleared, or both.
    #[graphql(default)]
    state: FindingState,
    /// Only with one of these codes; an empty list is no filter.
    codes: Option<Vec<FindingCode>>,
    /// Only of one of these severities; an empty list is no filter.
    severities: Option<Vec<Severity>>,
    /// Only as bad as this or worse.
    min_severity: Option<Severity>,
    /// Only about the record, the chain or the sequence with this global id. Of a sequence: those on it, on its
    /// chains, and on its results for their place in it.
    record: Option<ID>,
    /// Only about records that act on this cluster. A pack acts on none.
    cluster: Option<String>,
    /// Only about records or sequences in this namespace.
    namespace: Option<String>,
    /// Only raised at this time or later, by this server's clock.
    raised_after: Option<DateTime>,
    /// Only raised before this time, by this server's clock.
    raised_before: Option<DateTime>,
}

/// What findings can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
enum FindingOrderField {
    /// When they were raised.
    #[default]
    RaisedAt,
    /// How bad they are, and then when they were raised.
    Severity,
}

/// Which way a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
enum FindingOrderDirection {
    /// Oldest, or least severe, first.
    Asc,
    /// Newest, or worst, first.
    #[default]
    Desc,
}

/// The order of a list of findings.
#[derive(Debug, Clone, Copy, Default, InputObject)]
struct FindingOrderBy {
    /// By what.
    #[graphql(default)]
    field: FindingOrderField,
    /// Which way.
    #[graphql(default)]
    direction: FindingOrderDirection,
}

impl FindingFilter {
    /// What is asked; `None` where it asks for nothing that there is.
    ///
    /// # Errors
    /// If a filter makes no sense, or the store fails.
    pub async fn asked(self, view: &View) -> Result<Option<FindingsAsked>, ApiError> {
        let Some(severities) = severities(self.severities.as_deref().unwrap_or_default(), self.min_severity) else {
            return Ok(None);
        };
        let mut asked = FindingsAsked {
            state: self.state.into(),
            codes: codes(self.codes.unwrap_or_default())?,
            severities,
            source: self.source,
            about: None,
            cluster: self.cluster,
            namespace: self.namespace,
            raised_from: self.raised_after.map(|at| at.0),
            raised_until: self.raised_before.map(|at| at.0),
        };
        if let Some(id) = self.record {
            let Some((source, about)) = finding::about(view, &id).await? else { return Ok(None) };
            if asked.source.as_ref().is_some_and(|wanted| *wanted != source) {
                return Ok(None);
            }
            (asked.source, asked.about) = (Some(source), Some(about));
        }
        Ok(Some(asked))
    }
}

fn codes(codes: Vec<FindingCode>) -> Result<Vec<String>, ApiError> {
    let word = |code: FindingCode| {
        let word = code.word().map(ToOwned::to_owned);
        word.ok_or_else(|| ApiError::bad_input("Findings cannot be filtered by the code UNKNOWN."))
    };
    let mut words = codes.into_iter().map(word).collect::<Result<Vec<_>, _>>()?;
    words.sort();
    words.dedup();
    Ok(words)
}

/// The severities that are asked for, least severe first, where no filter is an empty list; `None` if the
/// two filters leave none.
fn severities(named: &[Severity], least: Option<Severity>) -> Option<Vec<findings::Severity>> {
    let all = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];
    let is_asked = |severity: &Severity| {
        (named.is_empty() || named.contains(severity))
            && least.is_none_or(|least| findings::Severity::from(*severity) >= least.into())
    };
    let asked: Vec<findings::Severity> = all.into_iter().filter(is_asked).map(Into::into).collect();
    match asked.len() {
        0 => None,
        4 => Some(Vec::new()),
        _ => Some(asked),
    }
}

fn narrowed_by(asked: &FindingsAsked, order: FindingOrder) -> impl Serialize {
    let FindingsAsked { source, state, codes, severities, about, cluster, namespace, raised_from, raised_until } =
        asked.clone();
    (
        (source, state, codes, severities, about),
        (cluster, namespace, raised_from, raised_until),
        (order.by_severity, order.ascending),
    )
}

/// The root fields of findings.
#[derive(Clone, Default)]
pub struct FindingQuery(pub Seat);

#[Object]
impl FindingQuery {
    /// The findings: unless asked otherwise, those that stand, newest first. What is found anew after it was
    /// cleared is another finding; one whose severity or detail changes while it stands remains the same.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "the arguments of the field")]
    async fn findings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<FindingFilter>,
        #[graphql(desc = "The order; newest first unless said otherwise.")] order_by: Option<FindingOrderBy>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<Finding>, ApiError> {
        let view = self.0.view(ctx).await?;
        let order = order_by.unwrap_or_default();
        let order = FindingOrder {
            by_severity: order.field == FindingOrderField::Severity,
            ascending: order.direction == FindingOrderDirection::Asc,
        };
        let asked = filter.unwrap_or_default().asked(&view).await?;
        let listed = List::new(&view, "findings", &asked.as_ref().map(|asked| narrowed_by(asked, order)));
        let page: Page<FindingPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = match &asked {
            Some(asked) => view.scope().list_findings(asked, order, &page).await?,
            None => Rows::none(),
        };
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let (scope, asked) = (scope.clone(), asked.clone());
            async move {
                let Some(asked) = asked else { return Ok(0) };
                Ok(scope.count_findings(&asked).await?.iter().map(|count| count.2).sum())
            }
        });
        let place = |finding: &_| order.place(finding);
        Ok(Connection::new(&listed, &page, rows, total, place, |finding| Finding::new(&view, finding)))
    }

    /// How many findings there are of each code and severity, worst first; those that stand unless asked otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn finding_counts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the findings.")] filter: Option<FindingFilter>,
    ) -> Result<Vec<FindingCount>, ApiError> {
        let view = self.0.view(ctx).await?;
        let Some(asked) = filter.unwrap_or_default().asked(&view).await? else { return Ok(Vec::new()) };
        Ok(view.scope().count_findings(&asked).await?.into_iter().map(Into::into).collect())
    }
}
