//! The lineage graph: walks, paths, and what a change would reach.
//!
//! A walk goes level by level, one statement a level and way, and stops at what it was asked for: a
//! depth, a number of nodes, or the bound of its work. It never stops silently.

mod delta;
mod entity;
mod impact;
mod paths;
mod walk;

use crate::domain::lineage::EdgeKind;
use crate::storage::{LineageRow, VertexId, WithSeq};

pub use delta::{Change, Delta, DeltaScope, EdgeNames, NodeChange};
pub use entity::{Entity, EntityKind};
pub use impact::Impacted;
pub use paths::{Paths, PathsAsked};
pub use walk::{Cursor, LineageAsked, NodeKinds, Walked, WalkedNode};

/// The most edges that one question reads: some ten megabytes, and a second.
pub const MAX_EDGES: usize = 200_000;
/// The greatest depth of a walk. Longer chains are walked in parts, or asked for as chains.
pub const MAX_DEPTH: usize = 100;
/// The most nodes of one answer.
pub const MAX_NODES: usize = 5_000;

/// Where a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the causes.
    Upstream,
    /// To the effects.
    Downstream,
    /// To both, side by side.
    Both,
}

/// An edge between two vertices, as a walk found it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WalkedEdge {
    /// The cause.
    pub src: VertexId,
    /// The effect.
    pub dst: VertexId,
    /// The stored edge; that to a set of resources stands for one to each of them.
    pub stored: WithSeq<LineageRow>,
}

impl WalkedEdge {
    fn plain(stored: WithSeq<LineageRow>) -> Self {
        Self { src: VertexId::plain(stored.row.src), dst: VertexId::plain(stored.row.dst), stored }
    }

    fn to_resource(stored: WithSeq<LineageRow>, resource: VertexId) -> Self {
        Self { src: VertexId::plain(stored.row.src), dst: resource, stored }
    }
}

/// Why an answer is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// There is more beyond the depth.
    Depth,
    /// There is more than the limit, or than one question may read.
    Limit,
}

/// How much of what was asked for an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completeness {
    /// Why it is not complete; `None` if it is.
    pub reason: Option<Incomplete>,
    /// How many nodes were reached and are not in the answer, or lead on and were not followed.
    pub frontier: usize,
    /// Whether the rest can be asked for.
    pub goes_on: bool,
}

impl Completeness {
    /// All there is.
    pub const COMPLETE: Self = Self { reason: None, frontier: 0, goes_on: false };
}

/// The numbers of kinds of edges; of all where none are named.
fn codes(kinds: Option<&[EdgeKind]>) -> Vec<i64> {
    let kinds = kinds.unwrap_or(&EdgeKind::ALL);
    let mut codes: Vec<i64> = kinds.iter().map(|kind| kind.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}
