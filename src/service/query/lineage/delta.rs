//! What differs between two times, on the axis of events.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Completeness, Direction, Entity, EntityKind, Incomplete, LineageAsked, MAX_DEPTH, MAX_NODES};
use crate::service::query::{Deployment, QueryError, Scope};
use crate::storage::VertexId;

/// How much around a node is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeltaScope {
    /// The node alone.
    ObjectOnly,
    /// The node and what it is linked to.
    Dependencies,
    /// All that led to it and came of it.
    FullGraph,
}

/// What became of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It is there at the second time alone.
    Added,
    /// It was there at the first time alone.
    Removed,
    /// It is another version of itself.
    Changed,
}

/// A node that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChange {
    /// What became of it.
    pub change: Change,
    /// The node.
    pub entity: Entity,
    /// The row of the record.
    pub object: Option<i64>,
    /// The version of the record at the first time, from 0.
    pub before: Option<i64>,
    /// That at the second time.
    pub after: Option<i64>,
}

/// An edge by its ends and its kind.
pub type EdgeNames = (Entity, Entity, i64);

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The nodes that differ, in the order of entities.
    pub changes: Vec<NodeChange>,
    /// How many are the same.
    pub unchanged: usize,
    /// The edges that are there at the second time alone.
    pub edges_added: Vec<EdgeNames>,
    /// Those that were there at the first time alone.
    pub edges_removed: Vec<EdgeNames>,
    /// Whether all that was asked about was compared.
    pub completeness: Completeness,
}

/// What was there at a time.
struct Moment {
    nodes: BTreeMap<Entity, VertexId>,
    edges: BTreeSet<EdgeNames>,
    /// The versions of records, with the rows of their contents.
    versions: HashMap<i64, (i64, i64)>,
    completeness: Completeness,
}

impl Scope {
    /// Compares a node and what is around it at two times, microseconds.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn delta(
        &self,
        root: (VertexId, Entity),
        scope: DeltaScope,
        from: i64,
        to: i64,
    ) -> Result<Delta, QueryError> {
        let before = self.moment(&root, scope, from).await?;
        let after = self.moment(&root, scope, to).await?;
        let mut delta = Delta {
            changes: Vec::new(),
            unchanged: 0,
            edges_added: after.edges.difference(&before.edges).cloned().collect(),
            edges_removed: before.edges.difference(&after.edges).cloned().collect(),
            completeness: worse(before.completeness, after.completeness),
        };
        let all: BTreeSet<&Entity> = before.nodes.keys().chain(after.nodes.keys()).collect();
        for entity in all {
            let vertex = before.nodes.get(entity).or(after.nodes.get(entity));
            let object = vertex.map(|v| v.id).filter(|_| matches!(entity.kind, EntityKind::Record(_)));
            let version = |moment: &Moment| object.and_then(|object| moment.versions.get(&object)).copied();
            let (old, new) = (version(&before), version(&after));
            let change = match (before.nodes.contains_key(entity), after.nodes.contains_key(entity)) {
                (false, _) => Change::Added,
                (_, false) => Change::Removed,
                _ if old.map(|(_, content)| content) != new.map(|(_, content)| content) => Change::Changed,
                _ => {
                    delta.unchanged += 1;
                    continue;
                }
            };
            let (before, after) = (old.map(|(n, _)| n), new.map(|(n, _)| n));
            delta.changes.push(NodeChange { change, entity: entity.clone(), object, before, after });
        }
        Ok(delta)
    }

    async fn moment(&self, root: &(VertexId, Entity), scope: DeltaScope, at: i64) -> Result<Moment, QueryError> {
        let depth = match scope {
            DeltaScope::ObjectOnly => 0,
            DeltaScope::Dependencies => 1,
            DeltaScope::FullGraph => MAX_DEPTH,
        };
        let asked = LineageAsked {
            root: root.0,
            direction: Direction::Both,
            depth,
            nodes: None,
            edges: None,
            limit: MAX_NODES,
            after: None,
            at: Some(at),
            wants_edges: true,
        };
        let walked = self.lineage(&asked).await?;
        let records: Vec<i64> = walked
            .nodes
            .iter()
            .filter(|node| matches!(node.entity.kind, EntityKind::Record(_)))
            .map(|node| node.vertex.id)
            .collect();
        let versions: HashMap<i64, (i64, i64)> = self
            .as_of
            .versions_at(&records, at)
            .await?
            .into_iter()
            .map(|(object, n, content)| (object, (n, content)))
            .collect();
        let is_root_there = versions.contains_key(&root.0.id) || walked.nodes.len() > 1;
        let names = |edge: &super::WalkedEdge| {
            Some((
                walked.entities.get(&edge.src)?.clone(),
                walked.entities.get(&edge.dst)?.clone(),
                edge.stored.row.kind,
            ))
        };
        let edges = walked.edges.iter().filter_map(names).collect();
        // That the graph goes on beyond what was asked about is no lack.
        let is_cut = walked.completeness.reason == Some(Incomplete::Limit) || scope == DeltaScope::FullGraph;
        let completeness = if is_cut { walked.completeness } else { Completeness::COMPLETE };
        let nodes = walked.nodes.into_iter().filter(|node| node.depth > 0 || is_root_there);
        Ok(Moment {
            nodes: nodes.map(|node| (node.entity, node.vertex)).collect(),
            edges,
            versions,
            completeness: Completeness { goes_on: false, ..completeness },
        })
    }

    /// What is on a cluster at two times, by pack family, where it differs.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn deployments_delta(
        &self,
        source: i64,
        cluster: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(Option<Deployment>, Option<Deployment>)>, QueryError> {
        let before = self.deployments(source, cluster, Some(from)).await?;
        let after = self.deployments(source, cluster, Some(to)).await?;
        let mut families: BTreeMap<String, (Option<Deployment>, Option<Deployment>)> = BTreeMap::new();
        for deployment in before {
            let base = deployment.base.clone();
            families.entry(base).or_default().0 = Some(deployment);
        }
        for deployment in after {
            let base = deployment.base.clone();
            families.entry(base).or_default().1 = Some(deployment);
        }
        Ok(families.into_values().filter(|(before, after)| before != after).collect())
    }
}

fn worse(a: Completeness, b: Completeness) -> Completeness {
    match (a.reason, b.reason) {
        (Some(Incomplete::Limit), _) | (_, None) => a,
        _ => b,
    }
}
