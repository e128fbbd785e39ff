//! History, and what differs between two times.

use async_graphql::{Context, ID, Object};

use super::lineage::vertex;
use crate::auth::Scope;
use crate::domain::lineage::thing;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::DateTime;
use crate::graphql::types::delta::{Delta, DeltaScopeName};
use crate::graphql::types::history::HistoryEntry;
use crate::graphql::types::lineage_node::id_of;
use crate::graphql::types::record::Recorded;
use crate::graphql::view::RecordKey;
use crate::service::query::lineage::{Entity, EntityKind};
use crate::service::query::{HistoryEvent, RunEvent};
use crate::storage::{Breadth, Page};

#[derive(Clone, Default)]
pub struct HistoryQuery(pub Seat);

#[Object]
impl HistoryQuery {
    /// Every version and event of one record, oldest first, with what changed between versions; or every move
    /// of the steps of a run.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "what is asked, and the four of a page")]
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The record or run.")] node: ID,
        #[graphql(desc = "Only what happened at this time or later.")] from: Option<DateTime>,
        #[graphql(desc = "Only what happened before this time.")] to: Option<DateTime>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<HistoryEntry>, ApiError> {
        let view = self.0.view(ctx).await?;
        let listed = List::new(&view, "history", &(&*node, from.map(|at| at.0), to.map(|at| at.0)));
        let page: Page<(i64, bool)> = PageArgs::new(first, after, last, before).page(&listed)?;
        let (from, to) = (from.map(|at| at.0), to.map(|at| at.0));
        if let GlobalId::Run(run_id) = GlobalId::decode(&node)? {
            let events = view.scope().run_history(&run_id, from, to).await?;
            let events = events.ok_or_else(|| ApiError::not_found("There is no such run."))?;
            let total = Total::Known(i64::try_from(events.len()).unwrap_or(i64::MAX));
            let rows = page.of(events, RunEvent::place, Clone::clone);
            return Ok(Connection::new(&listed, &page, rows, total, RunEvent::place, HistoryEntry::Run));
        }
        let (vertex, entity) = vertex(&view, &node).await?;
        if !matches!(entity.kind, EntityKind::Record(_)) {
            return Err(ApiError::bad_input(
                "Only a run, and a record that was seen, has a history: ask for the lineage of others.",
            ));
        }
        let record = view.load(RecordKey(vertex.id, Breadth::Full)).await?;
        let record = record.ok_or_else(|| ApiError::not_found("There is no such record."))?;
        let recorded = Recorded::new(&view, record);
        let events = view.scope().history(vertex.id, from, to).await?;
        let total = Total::Known(i64::try_from(events.len()).unwrap_or(i64::MAX));
        let rows = page.of(events, HistoryEvent::place, Clone::clone);
        Ok(Connection::new(&listed, &page, rows, total, HistoryEvent::place, |event| {
            HistoryEntry::Record(recorded.clone(), Box::new(event))
        }))
    }

    /// What differs between two times: of a node, with or without what is around it, or of a cluster with
    /// what is on it. Give a node or a cluster.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "each narrows the comparison")]
    async fn delta(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The node.")] node: Option<ID>,
        #[graphql(desc = "The cluster.")] cluster: Option<String>,
        #[graphql(desc = "The source; may be left out while the tenant has only one. For `cluster` only.")]
        source: Option<String>,
        #[graphql(desc = "The first time.")] from: DateTime,
        #[graphql(desc = "The second time.")] to: DateTime,
        #[graphql(desc = "How much is compared.", default_with = "DeltaScopeName::ObjectOnly")] scope: DeltaScopeName,
    ) -> Result<Delta, ApiError> {
        if to < from {
            return Err(ApiError::bad_input("The second time is before the first."));
        }
        let view = self.0.view(ctx).await?;
        let times = (from.0, to.0);
        let (id, deployments) = match (node, cluster) {
            (Some(node), None) => (node, Vec::new()),
            (None, Some(cluster)) => {
                let missing = || ApiError::not_found("No record names this cluster.");
                let source = view.scope().pick_source(source.as_deref())?.ok_or_else(missing)?.clone();
                let changed = view.scope().deployments_delta(source.id, &cluster, times.0, times.1).await?;
                (id_of(&Entity::thing(&source.name, thing::cluster(&cluster))).encode(), changed)
            }
            _ => return Err(ApiError::bad_input("Give a node or a cluster.")),
        };
        let root = vertex(&view, &id).await?;
        let found = view.scope().delta(root, scope.into(), times.0, times.1).await?;
        let asked = format!("{}/{}", *id, scope as u8);
        Ok(Delta::new(&view, asked, times, found, deployments))
    }
}
