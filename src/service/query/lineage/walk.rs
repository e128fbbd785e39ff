//! Walks: breadth first, level by level.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Completeness, Direction, Entity, EntityKind, Incomplete, MAX_EDGES, WalkedEdge, codes};
use crate::domain::lineage::EdgeKind;
use crate::service::query::{QueryError, Scope};
use crate::storage::{Hop, LineageRow, Reached, VertexId, Way, WithSeq};

/// What is asked of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageAsked {
    /// Where it starts.
    pub root: VertexId,
    /// Where it goes.
    pub direction: Direction,
    /// How far.
    pub depth: usize,
    /// The stored kinds of nodes that are answered; the walk goes through others.
    pub nodes: Option<NodeKinds>,
    /// The kinds of edges that are followed; all where none are named.
    pub edges: Option<Vec<EdgeKind>>,
    /// How many nodes are answered.
    pub limit: usize,
    /// Where an earlier answer ended.
    pub after: Option<Cursor>,
    /// Only edges that held then, microseconds.
    pub at: Option<i64>,
    /// Whether the edges are answered too.
    pub wants_edges: bool,
}

/// The kinds of nodes that are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeKinds {
    /// These stored kinds.
    pub stored: Vec<String>,
    /// All kinds but these, too.
    pub beside: Option<Vec<String>>,
}

impl NodeKinds {
    fn has(&self, entity: &Entity) -> bool {
        let kind = entity.stored_kind();
        let is_record = matches!(entity.kind, EntityKind::Record(_) | EntityKind::Placeholder(_));
        self.stored.iter().any(|stored| stored == kind)
            || is_record && self.beside.as_ref().is_some_and(|known| !known.iter().any(|known| known == kind))
    }

    fn has_resources(&self) -> bool {
        self.stored.iter().any(|kind| kind == crate::storage::FOUND_RESOURCE)
    }
}

/// The last node of an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// Its depth.
    pub depth: usize,
    /// The node.
    pub entity: Entity,
}

/// A node of an answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalkedNode {
    /// How far it is from the root, at the least.
    pub depth: usize,
    /// What it is.
    pub entity: Entity,
    /// Where it is.
    pub vertex: VertexId,
}

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// The nodes, by depth and entity.
    pub nodes: Vec<WalkedNode>,
    /// The edges that the walk followed between nodes of this answer or earlier ones: each comes with the
    /// later of its two nodes.
    pub edges: Vec<WalkedEdge>,
    /// What the ends of the edges are.
    pub entities: HashMap<VertexId, Entity>,
    /// How much of it there is.
    pub completeness: Completeness,
}

/// The nodes of an answer. Those of whole levels get their names together, at its end: names cost more
/// than the walk, and a statement for each level as much again where levels are small.
#[derive(Default)]
struct Found {
    nodes: Vec<WalkedNode>,
    /// Vertices without names yet, each with its depth: after the nodes.
    unnamed: Vec<(usize, VertexId)>,
}

impl Found {
    fn len(&self) -> usize {
        self.nodes.len() + self.unnamed.len()
    }
}

/// One direction of a walk.
struct Cone {
    way: Way,
    depths: HashMap<VertexId, usize>,
    /// The vertices of the last level.
    last: Vec<VertexId>,
}

/// The state of a walk.
pub(super) struct Walk<'a> {
    scope: &'a Scope,
    asked: &'a LineageAsked,
    kinds: Vec<i64>,
    cones: Vec<Cone>,
    /// The least depth of every vertex reached.
    depths: HashMap<VertexId, usize>,
    /// The edges that were followed, each with how far its ends are from the root in the cones that did.
    edges: HashMap<WalkedEdge, Vec<(usize, usize)>>,
    /// How many edges may still be read.
    budget: usize,
}

impl Scope {
    /// Walks the graph.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn lineage(&self, asked: &LineageAsked) -> Result<Walked, QueryError> {
        Walk::new(self, asked).answer().await
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(scope: &'a Scope, asked: &'a LineageAsked) -> Self {
        let ways: &[Way] = match asked.direction {
            Direction::Upstream => &[Way::Up],
            Direction::Downstream => &[Way::Down],
            Direction::Both => &[Way::Up, Way::Down],
        };
        let root = asked.root;
        let cone = |way: &Way| Cone { way: *way, depths: HashMap::from([(root, 0)]), last: vec![root] };
        Self {
            scope,
            asked,
            kinds: codes(asked.edges.as_deref()),
            cones: ways.iter().map(cone).collect(),
            depths: HashMap::from([(root, 0)]),
            edges: HashMap::new(),
            budget: MAX_EDGES,
        }
    }

    pub(super) async fn answer(mut self) -> Result<Walked, QueryError> {
        let mut found = Found::default();
        let mut level = vec![self.asked.root];
        for depth in 0..=self.asked.depth {
            let rest = self.page(&mut found, &level, depth).await?;
            let goes_on = |beyond| Some((Incomplete::Limit, beyond, true));
            if depth == self.asked.depth {
                let beyond = if rest == 0 { self.frontier().await? } else { 0 };
                let reason = if rest > 0 { goes_on(rest) } else { beyond_depth(beyond) };
                return self.finish(found, depth, reason).await;
            }
            // Also where the answer is full: the edges between its last nodes are found with their neighbours.
            let Some(next) = self.step(depth).await? else {
                return self.finish(found, depth, Some((Incomplete::Limit, level.len(), false))).await;
            };
            let is_full = found.len() == self.asked.limit && self.asked.nodes.is_none();
            if rest > 0 || is_full && !next.is_empty() {
                return self.finish(found, depth, goes_on(rest + next.len())).await;
            }
            if self.cones.iter().all(|cone| cone.last.is_empty()) {
                break;
            }
            level = next;
        }
        let deepest = self.asked.depth;
        self.finish(found, deepest, None).await
    }

    /// Adds the nodes of a level that belong to the answer, and returns how many more there are.
    async fn page(&self, found: &mut Found, level: &[VertexId], depth: usize) -> Result<usize, QueryError> {
        if self.asked.after.as_ref().is_some_and(|after| after.depth > depth) {
            return Ok(0);
        }
        let room = self.asked.limit - found.len();
        if self.asked.after.is_none() && self.asked.nodes.is_none() && level.len() <= room {
            found.unnamed.extend(level.iter().map(|vertex| (depth, *vertex)));
            return Ok(0);
        }
        self.name(found).await?;
        let mut rest = 0;
        for (entity, vertex) in self.scope.ordered(level).await? {
            let place = Cursor { depth, entity };
            let is_earlier = self.asked.after.as_ref().is_some_and(|after| place <= *after);
            if is_earlier || self.asked.nodes.as_ref().is_some_and(|kinds| !kinds.has(&place.entity)) {
                continue;
            }
            if found.nodes.len() < self.asked.limit {
                found.nodes.push(WalkedNode { depth, entity: place.entity, vertex });
            } else {
                rest += 1;
            }
        }
        Ok(rest)
    }

    /// Gives names to the vertices that wait for them.
    async fn name(&self, found: &mut Found) -> Result<(), QueryError> {
        let depths: HashMap<VertexId, usize> =
            std::mem::take(&mut found.unnamed).into_iter().map(|(depth, vertex)| (vertex, depth)).collect();
        let vertices: Vec<VertexId> = depths.keys().copied().collect();
        let entities = self.scope.entities(&vertices).await?;
        let node = |(vertex, entity)| WalkedNode { depth: depths[&vertex], entity, vertex };
        let mut nodes: Vec<WalkedNode> = entities.into_iter().map(node).collect();
        nodes.sort_unstable();
        nodes.dedup_by(|a, b| (a.depth, &a.entity) == (b.depth, &b.entity));
        found.nodes.extend(nodes);
        Ok(())
    }

    /// Follows the edges of the last level; returns the vertices that are new, or `None` if there are
    /// more edges than may be read.
    async fn step(&mut self, depth: usize) -> Result<Option<Vec<VertexId>>, QueryError> {
        let mut level = Vec::new();
        for i in 0..self.cones.len() {
            let (way, last) = (self.cones[i].way, std::mem::take(&mut self.cones[i].last));
            let (reached, edges) = if self.needs_edges() {
                let Some(edges) = self.follow(way, &last).await? else { return Ok(None) };
                (edges.iter().map(|edge| if way == Way::Down { edge.dst } else { edge.src }).collect(), edges)
            } else {
                let Some(reached) = self.reach(way, &last).await? else { return Ok(None) };
                (reached, Vec::new())
            };
            let cone = &mut self.cones[i];
            for reached in reached {
                if cone.depths.contains_key(&reached) {
                    continue;
                }
                cone.depths.insert(reached, depth + 1);
                cone.last.push(reached);
                self.depths.entry(reached).or_insert_with(|| {
                    level.push(reached);
                    depth + 1
                });
            }
            // Each is hashed in full.
            for edge in edges.into_iter().filter(|_| self.asked.wants_edges) {
                let ends = (cone.depths[&edge.src], cone.depths[&edge.dst]);
                self.edges.entry(edge).or_default().push(ends);
            }
        }
        Ok(Some(level))
    }

    /// Whether edges are asked for, or tell whether they are followed.
    fn needs_edges(&self) -> bool {
        self.asked.wants_edges || self.asked.at.is_some() || self.kinds.len() != EdgeKind::ALL.len()
    }

    /// What vertices lead to in one direction, by all edges that ever were; `None` if there are more edges
    /// than may be read. As many count as read as where they are asked for.
    async fn reach(&mut self, way: Way, from: &[VertexId]) -> Result<Option<Vec<VertexId>>, QueryError> {
        let (resources, plain): (Vec<VertexId>, Vec<VertexId>) = from.iter().partition(|vertex| vertex.is_resource());
        let ids: Vec<i64> = plain.iter().map(|vertex| vertex.id).collect();
        let found = self.scope.as_of.reach(way, &ids, self.limit()).await?;
        let edges = |found: &Reached| usize::try_from(found.edges).unwrap_or(usize::MAX);
        if !self.spend(found.iter().map(edges).sum()) {
            return Ok(None);
        }
        let (plain, sets): (Vec<Reached>, Vec<Reached>) = found.into_iter().partition(|found| found.within == 0);
        let mut reached: Vec<VertexId> = plain.into_iter().map(|found| VertexId::plain(found.id)).collect();
        if self.wants_resources() {
            let Some(members) = self.members(sets.iter().map(|set| set.id).collect()).await? else { return Ok(None) };
            let of = |set: &Reached| members.get(&set.id).map_or(&[][..], Vec::as_slice);
            if !self.spend(sets.iter().map(|set| of(set).len() * edges(set)).sum()) {
                return Ok(None);
            }
            for set in &sets {
                reached.extend(of(set).iter().map(|resource| VertexId { id: *resource, within: set.within }));
            }
        }
        let Some(applied) = self.appliers(way, &resources).await? else { return Ok(None) };
        reached.extend(applied.into_iter().map(|edge| edge.src));
        Ok(Some(reached))
    }

    /// The most rows to read, with one more to see that there are more.
    fn limit(&self) -> i64 {
        i64::try_from(self.budget + 1).unwrap_or(i64::MAX)
    }

    fn wants_resources(&self) -> bool {
        self.asked.nodes.as_ref().is_none_or(NodeKinds::has_resources)
    }

    /// The edges of vertices in one direction; `None` if there are more than may be read.
    async fn follow(&mut self, way: Way, from: &[VertexId]) -> Result<Option<Vec<WalkedEdge>>, QueryError> {
        let (resources, plain): (Vec<VertexId>, Vec<VertexId>) = from.iter().partition(|vertex| vertex.is_resource());
        let ids: Vec<i64> = plain.iter().map(|vertex| vertex.id).collect();
        let hop = Hop { way, from: &ids, kinds: &self.kinds, at: self.asked.at, limit: self.limit() };
        let rows = self.scope.as_of.hop(&hop).await?;
        let mut edges = Vec::with_capacity(rows.len());
        let mut applied: Vec<WithSeq<LineageRow>> = Vec::new();
        for stored in rows {
            if stored.row.within == 0 {
                edges.push(WalkedEdge::plain(stored));
            } else {
                applied.push(stored);
            }
        }
        if !self.spend(edges.len() + applied.len()) {
            return Ok(None);
        }
        if self.wants_resources() {
            let Some(expanded) = self.expand(&applied).await? else { return Ok(None) };
            edges.extend(expanded);
        }
        let Some(applied) = self.appliers(way, &resources).await? else { return Ok(None) };
        edges.extend(applied);
        Ok(Some(edges))
    }

    /// The edges from the results that applied resources.
    async fn appliers(&mut self, way: Way, resources: &[VertexId]) -> Result<Option<Vec<WalkedEdge>>, QueryError> {
        if way == Way::Down || resources.is_empty() || !self.kinds.contains(&EdgeKind::Applied.code()) {
            return Ok(Some(Vec::new()));
        }
        let found = self.scope.as_of.appliers(resources, self.asked.at, self.limit()).await?;
        if !self.spend(found.len()) {
            return Ok(None);
        }
        let edge = |(stored, resource)| WalkedEdge::to_resource(stored, resource);
        Ok(Some(found.into_iter().map(edge).collect()))
    }

    /// The resources of sets; `None` if there are more than may be read.
    async fn members(&self, sets: BTreeSet<i64>) -> Result<Option<HashMap<i64, Vec<i64>>>, QueryError> {
        let sets: Vec<i64> = sets.into_iter().collect();
        let found = self.scope.as_of.set_members(&sets, self.limit()).await?;
        if found.len() > self.budget {
            return Ok(None);
        }
        let mut members: HashMap<i64, Vec<i64>> = HashMap::new();
        for (set, resource) in found {
            members.entry(set).or_default().push(resource);
        }
        Ok(Some(members))
    }

    /// The edges to the resources of sets, last of all: most answers have more of them than of all else.
    async fn expand(&mut self, applied: &[WithSeq<LineageRow>]) -> Result<Option<Vec<WalkedEdge>>, QueryError> {
        let sets: BTreeSet<i64> = applied.iter().map(|stored| stored.row.dst).collect();
        let Some(members) = self.members(sets).await? else { return Ok(None) };
        let count: usize = applied.iter().filter_map(|stored| members.get(&stored.row.dst)).map(Vec::len).sum();
        if !self.spend(count) {
            return Ok(None);
        }
        let mut edges = Vec::with_capacity(count);
        for stored in applied {
            for resource in members.get(&stored.row.dst).into_iter().flatten() {
                let resource = VertexId { id: *resource, within: stored.row.within };
                edges.push(WalkedEdge::to_resource(stored.clone(), resource));
            }
        }
        Ok(Some(edges))
    }

    fn spend(&mut self, edges: usize) -> bool {
        let is_enough = edges <= self.budget;
        self.budget -= edges.min(self.budget);
        is_enough
    }

    /// How many vertices of the last level lead to what was not reached.
    async fn frontier(&mut self) -> Result<usize, QueryError> {
        let mut leading: HashSet<VertexId> = HashSet::new();
        for i in 0..self.cones.len() {
            let (way, last) = (self.cones[i].way, std::mem::take(&mut self.cones[i].last));
            let Some(edges) = self.follow(way, &last).await? else {
                return Ok(last.len().max(1));
            };
            for edge in edges {
                let (from, to) = if way == Way::Down { (edge.src, edge.dst) } else { (edge.dst, edge.src) };
                if !self.cones[i].depths.contains_key(&to) {
                    leading.insert(from);
                }
            }
        }
        Ok(leading.len())
    }

    async fn finish(
        self,
        mut found: Found,
        deepest: usize,
        reason: Option<(Incomplete, usize, bool)>,
    ) -> Result<Walked, QueryError> {
        self.name(&mut found).await?;
        let nodes = found.nodes;
        let goes_on = reason.is_some_and(|(_, _, goes_on)| goes_on);
        let until = nodes.last().filter(|_| goes_on).map(|node| (node.depth, &node.entity));
        let (edges, entities) = if self.asked.wants_edges {
            self.edges_between(until, deepest).await?
        } else {
            (Vec::new(), HashMap::new())
        };
        let completeness = reason.map_or(Completeness::COMPLETE, |(reason, frontier, goes_on)| Completeness {
            reason: Some(reason),
            frontier,
            goes_on: goes_on && !nodes.is_empty(),
        });
        Ok(Walked { nodes, edges, entities, completeness })
    }

    /// The edges that come with an answer: those whose place is after where the earlier answer ended and
    /// not beyond where this one does. The place of an edge is that of its later end, by the distances in
    /// the cone that followed it: a node that both cones reach has its edges of the one when the other has
    /// long passed it.
    async fn edges_between(
        &self,
        until: Option<(usize, &Entity)>,
        deepest: usize,
    ) -> Result<(Vec<WalkedEdge>, HashMap<VertexId, Entity>), QueryError> {
        let after = self.asked.after.as_ref().map(|after| (after.depth, &after.entity));
        let is_near = |end: &VertexId| self.depths.get(end).is_some_and(|depth| *depth <= deepest);
        let candidates: Vec<(&WalkedEdge, &Vec<(usize, usize)>)> = self
            .edges
            .iter()
            .filter(|(edge, ends)| {
                let depth = ends.iter().map(|(src, dst)| *src.max(dst)).min().unwrap_or(usize::MAX);
                is_near(&edge.src)
                    && is_near(&edge.dst)
                    && after.is_none_or(|after| after.0 <= depth)
                    && until.is_none_or(|until| depth <= until.0)
            })
            .collect();
        let ends: BTreeSet<VertexId> = candidates.iter().flat_map(|(edge, _)| [edge.src, edge.dst]).collect();
        let mut entities = self.scope.entities(&ends.into_iter().collect::<Vec<_>>()).await?;
        entities.retain(|_, entity| self.asked.nodes.as_ref().is_none_or(|kinds| kinds.has(entity)));
        let place = |edge: &WalkedEdge, ends: &[(usize, usize)]| {
            let (src, dst) = (entities.get(&edge.src)?, entities.get(&edge.dst)?);
            ends.iter().map(|depths| (depths.0, src).max((depths.1, dst))).min()
        };
        let is_here = |(edge, ends): &(&WalkedEdge, &Vec<(usize, usize)>)| {
            let place = place(edge, ends);
            place.is_some_and(|place| {
                after.is_none_or(|after| after < place) && until.is_none_or(|until| place <= until)
            })
        };
        let mut edges: Vec<WalkedEdge> = candidates.into_iter().filter(is_here).map(|(edge, _)| edge.clone()).collect();
        sort_edges(&mut edges, &entities);
        Ok((edges, entities))
    }
}

/// Puts edges into an order that is the same in every store, each once.
pub(super) fn sort_edges(edges: &mut Vec<WalkedEdge>, entities: &HashMap<VertexId, Entity>) {
    edges.sort_by(|a, b| {
        let place = |edge: &WalkedEdge| {
            let row = &edge.stored.row;
            (row.kind, row.by_dst, row.field, row.from_n)
        };
        let ends = |edge: &WalkedEdge| (entities.get(&edge.src), entities.get(&edge.dst));
        ends(a).cmp(&ends(b)).then_with(|| place(a).cmp(&place(b)))
    });
    edges.dedup();
}

/// Why an answer that ends at its depth is not complete.
fn beyond_depth(frontier: usize) -> Option<(Incomplete, usize, bool)> {
    (frontier > 0).then_some((Incomplete::Depth, frontier, false))
}
