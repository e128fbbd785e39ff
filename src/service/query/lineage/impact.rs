//! What something reaches: a walk to the effects, without what merely came later.

use super::walk::Walk;
use super::{Completeness, Direction, LineageAsked, MAX_DEPTH, MAX_EDGES, WalkedNode};
use crate::domain::lineage::EdgeKind;
use crate::service::query::{QueryError, Scope};
use crate::storage::VertexId;

/// What something reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impacted {
    /// All nodes but the root, the nearest first.
    pub nodes: Vec<WalkedNode>,
    /// Whether these are all.
    pub completeness: Completeness,
}

impl Scope {
    /// What a vertex reaches. The result that came next in a chain, and the others of a sequence, are
    /// no effects of what the one before was made of.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn impact(&self, root: VertexId, at: Option<i64>) -> Result<Impacted, QueryError> {
        let is_effect = |kind: &EdgeKind| !matches!(kind, EdgeKind::Supersedes | EdgeKind::PartOf);
        let asked = LineageAsked {
            root,
            direction: Direction::Downstream,
            depth: MAX_DEPTH,
            nodes: None,
            edges: Some(EdgeKind::ALL.into_iter().filter(is_effect).collect()),
            limit: MAX_EDGES,
            after: None,
            at,
            wants_edges: false,
        };
        let walked = Walk::new(self, &asked).answer().await?;
        let nodes = walked.nodes.into_iter().filter(|node| node.depth > 0).collect();
        Ok(Impacted { nodes, completeness: walked.completeness })
    }
}
