//! Vertices by their names: what a client knows them by, and how they are ordered.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::domain::identity::NaturalKey;
use crate::domain::lineage::thing;
use crate::domain::record::Resource;
use crate::service::query::{Identity, QueryError, Scope, Which};
use crate::storage::{Hop, StoreError, VertexId, VertexNames, Way};

/// What a vertex is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EntityKind {
    /// A record that was seen, of this canonical kind.
    Record(String),
    /// A record that was named and not seen, of this canonical kind.
    Placeholder(String),
    /// What is no record: see [`thing`].
    Thing(String),
    /// A resource on a cluster: its API version and kind.
    Resource(String, String),
}

/// A vertex by its natural identity. The order of answers is that of entities, the same in every store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entity {
    /// The source's name.
    pub source: String,
    /// What it is.
    pub kind: EntityKind,
    /// The cluster of residence, or that which a resource or an artifact is on; the version of a chart.
    pub cluster: String,
    /// The namespace; the kind of an artifact, the URL of a chart.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The uid, of a record with one.
    pub uid: Option<String>,
}

impl Entity {
    fn of(scope: &Scope, names: &VertexNames) -> Self {
        let VertexNames { key, source, uid, is_object } = names;
        let source = scope.source_name(*source).to_owned();
        let NaturalKey { kind, cluster, namespace, name } = key.clone();
        if kind == thing::UNSEEN {
            let (kind, name) = thing::unseen_names(&name);
            let (kind, name) = (EntityKind::Placeholder(kind.to_owned()), name.to_owned());
            return Self { source, kind, cluster: String::new(), namespace, name, uid: Some(cluster) };
        }
        let kind = match (is_object, kind.starts_with('~')) {
            (true, _) => EntityKind::Record(kind),
            (false, true) => EntityKind::Thing(kind),
            (false, false) => EntityKind::Placeholder(kind),
        };
        Self { source, kind, cluster, namespace, name, uid: uid.clone() }
    }

    /// What is no record, by its key.
    #[must_use]
    pub fn thing(source: &str, key: NaturalKey) -> Self {
        let NaturalKey { kind, cluster, namespace, name } = key;
        Self { source: source.to_owned(), kind: EntityKind::Thing(kind), cluster, namespace, name, uid: None }
    }

    /// Whether it is a record that was named and not seen.
    #[must_use]
    pub fn is_placeholder(&self) -> bool {
        matches!(self.kind, EntityKind::Placeholder(_))
    }

    /// The stored kind: canonical, or that of a thing.
    #[must_use]
    pub fn stored_kind(&self) -> &str {
        match &self.kind {
            EntityKind::Record(kind) | EntityKind::Placeholder(kind) | EntityKind::Thing(kind) => kind,
            EntityKind::Resource(..) => crate::storage::FOUND_RESOURCE,
        }
    }

    /// The natural key of the node that stands for it; that of its cluster for a resource.
    fn key(&self) -> NaturalKey {
        let key = |kind: &str| NaturalKey {
            kind: kind.to_owned(),
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        };
        match &self.kind {
            EntityKind::Record(kind) | EntityKind::Thing(kind) => key(kind),
            EntityKind::Placeholder(kind) if self.uid.is_none() => key(kind),
            EntityKind::Placeholder(kind) => thing::unseen(&crate::domain::names::Named {
                kind: kind.clone(),
                namespace: self.namespace.clone(),
                name: self.name.clone(),
                uid: self.uid.clone(),
            }),
            EntityKind::Resource(..) => thing::cluster(&self.cluster),
        }
    }
}

impl Scope {
    /// The vertex of an entity, with the entity that it is as of this commit: a placeholder gives way to
    /// the record once that was seen. `None` if the graph does not have it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_vertex(&self, entity: &Entity) -> Result<Option<(VertexId, Entity)>, QueryError> {
        // Runs and their packs are of no source, but of the tenant.
        let source = if entity.source.is_empty() { Some(0) } else { self.source(&entity.source).map(|s| s.id) };
        let Some(source) = source else { return Ok(None) };
        if let EntityKind::Record(kind) | EntityKind::Placeholder(kind) = &entity.kind {
            let key = NaturalKey { kind: kind.clone(), ..entity.key_of_record() };
            let which = match (&entity.uid, &entity.kind) {
                (None, EntityKind::Placeholder(_)) => Which::Newest,
                (uid, _) => Which::Uid(uid.clone()),
            };
            let found = self.find_records(&[Identity { source, key, which }]).await?.pop().flatten();
            if let Some(record) = found {
                let kind = EntityKind::Record(kind.clone());
                let entity = Entity { kind, uid: record.uid.clone(), ..entity.clone() };
                return Ok(Some((VertexId::plain(record.object), entity)));
            }
        }
        let kind = match &entity.kind {
            EntityKind::Record(kind) => EntityKind::Placeholder(kind.clone()),
            kind => kind.clone(),
        };
        let entity = Entity { kind, ..entity.clone() };
        let Some(node) = self.as_of.find_nodes(&[(source, entity.key())]).await?.remove(&0) else { return Ok(None) };
        let vertex = match &entity.kind {
            EntityKind::Resource(api_version, kind) => {
                let resource = Resource {
                    api_version: api_version.clone(),
                    kind: kind.clone(),
                    namespace: entity.namespace.clone(),
                    name: entity.name.clone(),
                };
                match self.as_of.find_resource(&resource).await? {
                    Some(id) => VertexId { id, within: node },
                    None => return Ok(None),
                }
            }
            _ => VertexId::plain(node),
        };
        Ok(self.has_edges(vertex).await?.then_some((vertex, entity)))
    }

    /// Whether a vertex that is no record is there as of this commit: through its edges.
    async fn has_edges(&self, vertex: VertexId) -> Result<bool, QueryError> {
        if vertex.is_resource() {
            return Ok(!self.as_of.appliers(&[vertex], None, 1).await?.is_empty());
        }
        let kinds = super::codes(None);
        for way in [Way::Up, Way::Down] {
            let hop = Hop { way, from: &[vertex.id], kinds: &kinds, at: None, limit: 1 };
            if !self.as_of.hop(&hop).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The entities of vertices.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn entities(&self, vertices: &[VertexId]) -> Result<HashMap<VertexId, Entity>, QueryError> {
        let mut ids: Vec<i64> = Vec::with_capacity(vertices.len());
        let mut resources: Vec<i64> = Vec::new();
        for vertex in vertices {
            if vertex.is_resource() {
                resources.push(vertex.id);
                ids.push(vertex.within);
            } else {
                ids.push(vertex.id);
            }
        }
        for list in [&mut ids, &mut resources] {
            list.sort_unstable();
            list.dedup();
        }
        let (names, resources) =
            futures_util::try_join!(self.as_of.vertex_names(&ids), self.as_of.resources(&resources))?;
        let entity = |vertex: &VertexId| {
            if !vertex.is_resource() {
                return names.get(&vertex.id).map(|names| Entity::of(self, names));
            }
            let (cluster, resource) = (names.get(&vertex.within)?, resources.get(&vertex.id)?);
            Some(Entity {
                source: self.source_name(cluster.source).to_owned(),
                kind: EntityKind::Resource(resource.api_version.clone(), resource.kind.clone()),
                cluster: cluster.key.name.clone(),
                namespace: resource.namespace.clone(),
                name: resource.name.clone(),
                uid: None,
            })
        };
        let missing = || StoreError::Corrupt("a vertex of the graph has no names".to_owned());
        vertices.iter().map(|vertex| Ok((*vertex, entity(vertex).ok_or_else(missing)?))).collect()
    }

    /// Vertices with their entities, in the order of entities.
    pub(super) async fn ordered(&self, vertices: &[VertexId]) -> Result<BTreeMap<Entity, VertexId>, QueryError> {
        let entities = self.entities(vertices).await?;
        Ok(entities.into_iter().map(|(vertex, entity)| (entity, vertex)).collect())
    }
}

impl Entity {
    fn key_of_record(&self) -> NaturalKey {
        NaturalKey {
            kind: String::new(),
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}
