//! The lineage graph.

use async_graphql::{Context, ID, Object};

use crate::auth::Scope;
use crate::domain::lineage::thing;
use crate::graphql::connection::List;
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::{DateTime, Digest};
use crate::graphql::types::lineage_answer::{Impact, Lineage, LineageDirection, LineagePaths};
use crate::graphql::types::lineage_kind::{LineageEdgeKind, LineageNodeKind};
use crate::graphql::types::lineage_node::entity_of;
use crate::graphql::view::View;
use crate::service::query::lineage::{Cursor, Entity, LineageAsked, MAX_DEPTH, MAX_NODES, NodeKinds, PathsAsked};
use crate::storage::VertexId;

/// The most paths of one answer.
const MAX_PATHS: usize = 100;
/// The most nodes of each list of an impact.
const MAX_IMPACT: usize = 1_000;

#[derive(Clone, Default)]
pub struct LineageQuery(pub Seat);

#[Object]
impl LineageQuery {
    /// What led to something, and what came of it: a walk of the lineage graph from one node, breadth
    /// first. Without `at` it follows every edge that was ever declared.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "each narrows the walk")]
    async fn lineage(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where to start: any record, cluster, pack family, sequence, or node of the graph.")] node: ID,
        #[graphql(desc = "Where to go.", default_with = "LineageDirection::Both")] direction: LineageDirection,
        #[graphql(desc = "How far, 100 at most.", default = 3)] depth: i32,
        #[graphql(desc = "Only nodes of these kinds are answered; the walk goes through the others.")]
        node_kinds: Option<Vec<LineageNodeKind>>,
        #[graphql(desc = "Only edges of these kinds are followed.")] edge_kinds: Option<Vec<LineageEdgeKind>>,
        #[graphql(desc = "How many nodes, 5,000 at most.", default = 500)] limit: i32,
        #[graphql(desc = "The `continueCursor` of the answer that this one continues.")] after: Option<String>,
        #[graphql(desc = "Only edges that their records declared at this time.")] at: Option<DateTime>,
    ) -> Result<Lineage, ApiError> {
        let mut view = self.0.view(ctx).await?;
        let depth = bounded("depth", depth, 0, MAX_DEPTH)?;
        let limit = bounded("limit", limit, 1, MAX_NODES)?;
        let list = List::new(
            &view,
            "lineage",
            &(
                &*node,
                direction as u8,
                depth,
                kind_names(node_kinds.as_deref()),
                kind_codes(edge_kinds.as_deref()),
                at.map(|at| at.0),
            ),
        );
        let cursor: Option<(i64, Cursor)> = after.as_deref().map(|after| list.decode(after)).transpose()?;
        if let Some((seq, _)) = &cursor
            && *seq != view.scope().seq()
        {
            let then = view.pinned(ctx, *seq).await?;
            view = then.ok_or_else(|| ApiError::bad_input("This cursor is of a commit that is not there."))?;
        }
        let (root, entity) = vertex(&view, &node).await?;
        let asked = LineageAsked {
            root,
            direction: direction.into(),
            depth,
            nodes: node_kinds.as_deref().map(|kinds| {
                let (stored, beside) = LineageNodeKind::stored(kinds);
                NodeKinds { stored, beside }
            }),
            edges: edge_kinds.map(|kinds| kinds.into_iter().map(Into::into).collect()),
            limit,
            after: cursor.map(|(_, cursor)| cursor),
            at: at.map(|at| at.0),
            wants_edges: ctx.look_ahead().field("edges").exists(),
        };
        let walked = view.scope().lineage(&asked).await?;
        let latest = walked.nodes.last().filter(|_| walked.completeness.goes_on);
        let place = latest.map(|node| Cursor { depth: node.depth, entity: node.entity.clone() });
        let next = place.map(|place| list.encode(&(view.scope().seq(), place)));
        Ok(Lineage::new(&view, entity, walked, next))
    }

    /// The ways from a cause to an effect, no node twice in one of them.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "each narrows the search")]
    async fn lineage_paths(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cause.")] from: ID,
        #[graphql(desc = "The effect.")] to: ID,
        #[graphql(desc = "The most edges of a path, 100 at most.", default = 10)] max_depth: i32,
        #[graphql(desc = "Only edges of these kinds.")] edge_kinds: Option<Vec<LineageEdgeKind>>,
        #[graphql(desc = "How many paths, 100 at most.", default = 10)] limit: i32,
        #[graphql(desc = "Only edges that their records declared at this time.")] at: Option<DateTime>,
    ) -> Result<LineagePaths, ApiError> {
        let view = self.0.view(ctx).await?;
        let asked = PathsAsked {
            from: vertex(&view, &from).await?.0,
            to: vertex(&view, &to).await?.0,
            depth: bounded("maxDepth", max_depth, 0, MAX_DEPTH)?,
            edges: edge_kinds.map(|kinds| kinds.into_iter().map(Into::into).collect()),
            limit: bounded("limit", limit, 1, MAX_PATHS)?,
            at: at.map(|at| at.0),
        };
        let found = view.scope().lineage_paths(&asked).await?;
        Ok(LineagePaths::new(&view, found))
    }

    /// What something reaches: who runs a digest, a pack or a chart, on which clusters, and what it
    /// applied there. Give a node or a digest. Without `at` it is what was ever reached; with the present
    /// time, what records that still exist reach.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn impact(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What reaches.")] node: Option<ID>,
        #[graphql(desc = "The digest of a layer or an artifact.")] digest: Option<Digest>,
        #[graphql(desc = "The source; may be left out while the tenant has only one. For `digest` only.")]
        source: Option<String>,
        #[graphql(desc = "How many nodes each list holds, 1,000 at most.", default = 100)] limit: i32,
        #[graphql(desc = "Only edges that their records declared at this time.")] at: Option<DateTime>,
    ) -> Result<Impact, ApiError> {
        let view = self.0.view(ctx).await?;
        let limit = bounded("limit", limit, 1, MAX_IMPACT)?;
        let (root, entity) = match (node, digest) {
            (Some(node), None) => vertex(&view, &node).await?,
            (None, Some(digest)) => digest_vertex(&view, source.as_deref(), digest).await?,
            _ => return Err(ApiError::bad_input("Give a node or a digest.")),
        };
        let found = view.scope().impact(root, at.map(|at| at.0)).await?;
        Ok(Impact::new(&view, entity, found, limit))
    }
}

/// The vertex that an id names.
///
/// # Errors
/// If the store fails, or the id names no node of the graph.
pub async fn vertex(view: &View, id: &ID) -> Result<(VertexId, Entity), ApiError> {
    let entity =
        entity_of(GlobalId::decode(id)?).ok_or_else(|| ApiError::bad_input("The lineage graph has no such nodes."))?;
    view.scope()
        .find_vertex(&entity)
        .await?
        .ok_or_else(|| ApiError::not_found("The lineage graph does not have this node."))
}

async fn digest_vertex(view: &View, source: Option<&str>, digest: Digest) -> Result<(VertexId, Entity), ApiError> {
    let missing = || ApiError::not_found("No record names this digest.");
    let source = view.scope().pick_source(source)?.ok_or_else(missing)?.name.clone();
    let entity = Entity::thing(&source, thing::digest(&digest.0.to_string()));
    view.scope().find_vertex(&entity).await?.ok_or_else(missing)
}

fn bounded(name: &str, value: i32, least: usize, most: usize) -> Result<usize, ApiError> {
    usize::try_from(value)
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| ApiError::bad_input(format!("{name} is {least} to {most}.")))
}

fn kind_names(kinds: Option<&[LineageNodeKind]>) -> Option<Vec<u8>> {
    kinds.map(|kinds| kinds.iter().map(|kind| *kind as u8).collect())
}

fn kind_codes(kinds: Option<&[LineageEdgeKind]>) -> Option<Vec<u8>> {
    kinds.map(|kinds| kinds.iter().map(|kind| *kind as u8).collect())
}
