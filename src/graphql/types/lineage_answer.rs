//! Answers of the lineage graph: walks, paths, impact, and how complete they are.

use async_graphql::{Enum, Object, SimpleObject};

use super::lineage_kind::LineageNodeKind;
use super::lineage_node::{LineageEdge, LineageNode};
use crate::graphql::rows::Nodes;
use crate::graphql::scalar::Int53;
use crate::graphql::view::View;
use crate::service::query::lineage::{self, Direction, Entity, Impacted, Incomplete, Paths, Walked};

/// Where a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Direction")]
pub enum LineageDirection {
    /// To the causes: against the edges.
    Upstream,
    /// To the effects: along the edges.
    Downstream,
    /// The two side by side. The walk never turns round at a node that both have, which would drag in
    /// strangers.
    Both,
}

/// Why an answer is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Incomplete")]
pub enum CompletenessReason {
    /// The graph goes on beyond the depth that was asked for.
    Depth,
    /// There is more than the limit that was asked for, or than one question may read.
    Limit,
}

/// How much of what was asked for an answer has. No answer is cut silently.
#[derive(Debug, Clone, SimpleObject)]
pub struct Completeness {
    /// Whether it has all of it.
    complete: bool,
    /// Why not; null if it has.
    reason: Option<CompletenessReason>,
    /// How many nodes are known to be next: reached and not in the answer, or leading on and not followed.
    frontier: i32,
    /// The commit that the answer is as of.
    as_of_seq: Int53,
    /// Asks for exactly the rest, as `after` of the same question; null where there is none, or where a
    /// question narrowed otherwise has to be asked.
    continue_cursor: Option<String>,
}

impl Completeness {
    /// How complete an answer of a view is.
    #[must_use]
    pub fn new(view: &View, found: lineage::Completeness, continue_cursor: Option<String>) -> Self {
        Self {
            complete: found.reason.is_none(),
            reason: found.reason.map(Into::into),
            frontier: i32::try_from(found.frontier).unwrap_or(i32::MAX),
            as_of_seq: Int53(view.scope().seq()),
            continue_cursor,
        }
    }
}

/// What a walk of the lineage graph found.
pub struct Lineage {
    root: LineageNode,
    nodes: Vec<LineageNode>,
    edges: Vec<LineageEdge>,
    completeness: Completeness,
}

impl Lineage {
    /// What a walk of a view found.
    #[must_use]
    pub fn new(view: &View, root: Entity, walked: Walked, continue_cursor: Option<String>) -> Self {
        let Walked { nodes, edges, entities, completeness } = walked;
        Self {
            root: LineageNode::new(view, root, Some(0)),
            completeness: Completeness::new(view, completeness, continue_cursor),
            nodes: nodes.into_iter().map(|node| LineageNode::new(view, node.entity, Some(node.depth))).collect(),
            edges: edges_of(view, edges, &entities),
        }
    }
}

fn edges_of(
    view: &View,
    edges: Vec<lineage::WalkedEdge>,
    entities: &std::collections::HashMap<crate::storage::VertexId, Entity>,
) -> Vec<LineageEdge> {
    let ends = |edge: &lineage::WalkedEdge| Some((entities.get(&edge.src)?.clone(), entities.get(&edge.dst)?.clone()));
    edges
        .into_iter()
        .filter_map(|edge| ends(&edge).map(|(from, to)| LineageEdge::new(view, from, to, edge.stored)))
        .collect()
}

/// What a walk of the lineage graph found.
#[Object]
impl Lineage {
    /// Where it started.
    async fn root(&self) -> &LineageNode {
        &self.root
    }

    /// The nodes, the root among them: by depth, then by source, kind and names.
    async fn nodes(&self) -> Nodes<'_, LineageNode> {
        Nodes(&self.nodes)
    }

    /// The edges that the walk followed, each with the later one of its two nodes: between nodes of this
    /// answer, and to those of the answers that it continues.
    async fn edges(&self) -> Nodes<'_, LineageEdge> {
        Nodes(&self.edges)
    }

    /// How much of it there is.
    async fn completeness(&self) -> &Completeness {
        &self.completeness
    }
}

/// A way from cause to effect.
pub struct LineagePath(Vec<LineageNode>);

/// A way from cause to effect.
#[Object]
impl LineagePath {
    /// How many edges it has.
    async fn length(&self) -> i32 {
        i32::try_from(self.0.len()).unwrap_or(i32::MAX) - 1
    }

    /// The nodes, from cause to effect.
    async fn nodes(&self) -> Nodes<'_, LineageNode> {
        Nodes(&self.0)
    }
}

/// The ways from cause to effect.
pub struct LineagePaths {
    paths: Vec<LineagePath>,
    edges: Vec<LineageEdge>,
    completeness: Completeness,
}

impl LineagePaths {
    /// The paths of a view.
    #[must_use]
    pub fn new(view: &View, found: Paths) -> Self {
        let Paths { paths, edges, entities, completeness } = found;
        let node = |(depth, vertex): (usize, _)| {
            entities.get(&vertex).map(|entity: &Entity| LineageNode::new(view, entity.clone(), Some(depth)))
        };
        let path = |path: Vec<_>| LineagePath(path.into_iter().enumerate().filter_map(node).collect());
        Self {
            paths: paths.into_iter().map(path).collect(),
            edges: edges_of(view, edges, &entities),
            completeness: Completeness::new(view, completeness, None),
        }
    }
}

/// The ways from cause to effect: no node twice in one of them.
#[Object]
impl LineagePaths {
    /// The paths, the shortest first, then in the order of their nodes.
    async fn paths(&self) -> &[LineagePath] {
        &self.paths
    }

    /// The edges along the paths. Two nodes can have several.
    async fn edges(&self) -> Nodes<'_, LineageEdge> {
        Nodes(&self.edges)
    }

    /// Whether these are all of the paths that are no longer than asked for.
    async fn completeness(&self) -> &Completeness {
        &self.completeness
    }
}

/// How many nodes of a kind are reached.
#[derive(Debug, Clone, SimpleObject)]
pub struct ImpactCount {
    /// The kind.
    kind: LineageNodeKind,
    /// How many there are.
    count: i32,
}

/// What something reaches: who would be affected.
pub struct Impact {
    view: View,
    root: Entity,
    found: Impacted,
    limit: usize,
}

impl Impact {
    /// What something reaches in a view; `limit` bounds each of the lists.
    #[must_use]
    pub fn new(view: &View, root: Entity, found: Impacted, limit: usize) -> Self {
        Self { view: view.clone(), root, found, limit }
    }

    fn of(&self, kind: LineageNodeKind) -> Vec<LineageNode> {
        let nodes = self.found.nodes.iter().filter(|node| LineageNodeKind::of(node.entity.stored_kind()) == kind);
        nodes.take(self.limit).map(|node| LineageNode::new(&self.view, node.entity.clone(), Some(node.depth))).collect()
    }
}

/// What something reaches along edges from cause to effect, but for what came after it in its chain: the
/// packs that have it, their executions and results, and the clusters and resources that these act on.
/// Each list holds at most `limit` nodes, the nearest first; `counts` has all.
#[Object]
impl Impact {
    /// Where it starts.
    async fn root(&self) -> LineageNode {
        LineageNode::new(&self.view, self.root.clone(), Some(0))
    }

    /// How many nodes of each kind are reached.
    async fn counts(&self) -> Vec<ImpactCount> {
        let mut counts: Vec<ImpactCount> = Vec::new();
        for node in &self.found.nodes {
            let kind = LineageNodeKind::of(node.entity.stored_kind());
            match counts.iter_mut().find(|count| count.kind == kind) {
                Some(count) => count.count += 1,
                None => counts.push(ImpactCount { kind, count: 1 }),
            }
        }
        counts.sort_by_key(|count| count.kind as u8);
        counts
    }

    /// The packs.
    async fn packs(&self) -> Vec<LineageNode> {
        self.of(LineageNodeKind::ClusterPack)
    }

    /// The executions.
    async fn executions(&self) -> Vec<LineageNode> {
        self.of(LineageNodeKind::PackExecution)
    }

    /// The results.
    async fn results(&self) -> Vec<LineageNode> {
        self.of(LineageNodeKind::OperationResult)
    }

    /// The receipts.
    async fn receipts(&self) -> Vec<LineageNode> {
        self.of(LineageNodeKind::PackReceipt)
    }

    /// The clusters.
    async fn clusters(&self) -> Vec<LineageNode> {
        self.of(LineageNodeKind::Cluster)
    }

    /// The resources.
    async fn resources(&self) -> Vec<LineageNode> {
        self.of(LineageNodeKind::DeployedResource)
    }

    /// Whether this is all that is reached.
    async fn completeness(&self) -> Completeness {
        Completeness::new(&self.view, self.found.completeness, None)
    }
}
