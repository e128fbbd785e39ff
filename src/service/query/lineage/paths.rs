//! Paths between two vertices.

use std::collections::{HashMap, HashSet};

use super::walk::sort_edges;
use super::{Completeness, Entity, Incomplete, MAX_EDGES, WalkedEdge, codes};
use crate::domain::lineage::EdgeKind;
use crate::service::query::{QueryError, Scope};
use crate::storage::{Hop, VertexId, Way};

/// How many steps the search for paths takes: paths can be exponentially many, and so can be the ways
/// that end nowhere.
const MAX_STEPS: usize = 200_000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathsAsked {
    /// The cause.
    pub from: VertexId,
    /// The effect.
    pub to: VertexId,
    /// The most edges of a path.
    pub depth: usize,
    /// The kinds of edges that paths may use; all where none are named.
    pub edges: Option<Vec<EdgeKind>>,
    /// How many paths.
    pub limit: usize,
    /// Only edges that held then, microseconds.
    pub at: Option<i64>,
}

/// Paths from cause to effect, the shortest first, then in the order of their nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The nodes of each path, from the cause to the effect.
    pub paths: Vec<Vec<VertexId>>,
    /// The edges that lead along the paths.
    pub edges: Vec<WalkedEdge>,
    /// What the nodes are.
    pub entities: HashMap<VertexId, Entity>,
    /// Whether these are all of them.
    pub completeness: Completeness,
}

/// The part of the graph that paths can go through.
struct Between {
    /// The neighbours of each vertex towards the effect.
    next: HashMap<VertexId, Vec<VertexId>>,
    /// How far each vertex is from the effect.
    left: HashMap<VertexId, usize>,
    edges: Vec<WalkedEdge>,
}

impl Scope {
    /// The simple paths from one vertex to another, along edges from cause to effect.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn lineage_paths(&self, asked: &PathsAsked) -> Result<Paths, QueryError> {
        let Some(mut between) = self.between(asked).await? else {
            let completeness = Completeness { reason: Some(Incomplete::Limit), frontier: 1, goes_on: false };
            return Ok(Paths { paths: Vec::new(), edges: Vec::new(), entities: HashMap::new(), completeness });
        };
        let vertices: Vec<VertexId> = between.left.keys().copied().chain([asked.from, asked.to]).collect();
        let entities = self.entities(&vertices).await?;
        for next in between.next.values_mut() {
            next.sort_by(|a, b| entities.get(a).cmp(&entities.get(b)));
            next.dedup();
        }
        let mut search = Search { between: &between, asked, paths: Vec::new(), steps: 0 };
        let is_whole = search.all();
        let paths = search.paths;
        let used: HashSet<(VertexId, VertexId)> =
            paths.iter().flat_map(|path| path.windows(2).map(|pair| (pair[0], pair[1]))).collect();
        between.edges.retain(|edge| used.contains(&(edge.src, edge.dst)));
        sort_edges(&mut between.edges, &entities);
        let completeness = if is_whole {
            Completeness::COMPLETE
        } else {
            Completeness { reason: Some(Incomplete::Limit), frontier: 1, goes_on: false }
        };
        Ok(Paths { paths, edges: between.edges, entities, completeness })
    }

    /// What lies between two vertices within the depth; `None` if there is more than may be read. Read
    /// from the effect, since causes are fewer than effects.
    async fn between(&self, asked: &PathsAsked) -> Result<Option<Between>, QueryError> {
        let kinds = codes(asked.edges.as_deref());
        let mut between = Between { next: HashMap::new(), left: HashMap::from([(asked.to, 0)]), edges: Vec::new() };
        let mut last = vec![asked.to];
        let mut budget = MAX_EDGES;
        for left in 1..=asked.depth {
            if last.is_empty() {
                break;
            }
            let Some(edges) = self.causes(&last, &kinds, asked.at, budget).await? else { return Ok(None) };
            budget -= edges.len();
            last.clear();
            for edge in edges {
                between.next.entry(edge.src).or_default().push(edge.dst);
                if let std::collections::hash_map::Entry::Vacant(vacant) = between.left.entry(edge.src) {
                    vacant.insert(left);
                    last.push(edge.src);
                }
                between.edges.push(edge);
            }
        }
        Ok(Some(between))
    }

    /// The edges into vertices; `None` if there are more than `budget`.
    async fn causes(
        &self,
        of: &[VertexId],
        kinds: &[i64],
        at: Option<i64>,
        budget: usize,
    ) -> Result<Option<Vec<WalkedEdge>>, QueryError> {
        let limit = i64::try_from(budget + 1).unwrap_or(i64::MAX);
        let (resources, plain): (Vec<VertexId>, Vec<VertexId>) = of.iter().partition(|vertex| vertex.is_resource());
        let ids: Vec<i64> = plain.iter().map(|vertex| vertex.id).collect();
        let rows = self.as_of.hop(&Hop { way: Way::Up, from: &ids, kinds, at, limit }).await?;
        let mut edges: Vec<WalkedEdge> = rows.into_iter().map(WalkedEdge::plain).collect();
        if kinds.contains(&EdgeKind::Applied.code()) {
            let applied = self.as_of.appliers(&resources, at, limit).await?;
            edges.extend(applied.into_iter().map(|(stored, resource)| WalkedEdge::to_resource(stored, resource)));
        }
        Ok((edges.len() <= budget).then_some(edges))
    }
}

struct Search<'a> {
    between: &'a Between,
    asked: &'a PathsAsked,
    paths: Vec<Vec<VertexId>>,
    steps: usize,
}

impl Search<'_> {
    /// Finds the paths of each length in turn; whether they are all.
    fn all(&mut self) -> bool {
        if self.asked.from == self.asked.to {
            self.paths.push(vec![self.asked.from]);
            return true;
        }
        let Some(shortest) = self.between.left.get(&self.asked.from) else { return true };
        for length in *shortest..=self.asked.depth {
            let mut path = vec![self.asked.from];
            if !self.of_length(&mut path, length) {
                return false;
            }
        }
        true
    }

    /// Extends a path by exactly `left` edges to the effect; `false` once the search is to end.
    fn of_length(&mut self, path: &mut Vec<VertexId>, left: usize) -> bool {
        let end = path[path.len() - 1];
        if left == 0 {
            if self.paths.len() == self.asked.limit {
                return false;
            }
            self.paths.push(path.clone());
            return true;
        }
        for next in self.between.next.get(&end).into_iter().flatten() {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return false;
            }
            let is_near = self.between.left.get(next).is_some_and(|more| *more < left);
            let is_end = *next == self.asked.to;
            if !is_near || is_end != (left == 1) || path.contains(next) {
                continue;
            }
            path.push(*next);
            let goes_on = self.of_length(path, left - 1);
            path.pop();
            if !goes_on {
                return false;
            }
        }
        true
    }
}
