//! Nodes and edges of the lineage graph.

use async_graphql::{ID, Object};

use super::lineage_kind::{LineageEdgeKind, LineageNodeKind};
use super::node::{Node, find_record};
use crate::domain::identity::{NaturalKey, SEQUENCE};
use crate::domain::lineage::{EdgeKind, Field, thing};
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::{DateTime, Int53};
use crate::graphql::view::{RecordKey, VersionKey, View};
use crate::service::query::lineage::{Entity, EntityKind};
use crate::storage::{Breadth, LineageRow, WithSeq};

/// The id of an entity: that of the object which it is, where it is one, so that it can be given to
/// `node` and to all that takes the id of a node.
#[must_use]
pub fn id_of(entity: &Entity) -> GlobalId {
    let Entity { source, kind, cluster, namespace, name, uid } = entity.clone();
    match &kind {
        EntityKind::Record(kind) => GlobalId::Record(source, kind.clone(), cluster, namespace, name, uid),
        // The id that the record will have when it comes.
        EntityKind::Placeholder(kind) if uid.is_some() => {
            GlobalId::Record(source, kind.clone(), cluster, namespace, name, uid)
        }
        EntityKind::Thing(kind) if kind == thing::CLUSTER => GlobalId::Cluster(source, name),
        EntityKind::Thing(kind) if kind == thing::PACK_FAMILY => GlobalId::PackFamily(source, name),
        EntityKind::Thing(kind) if kind == thing::RUN => GlobalId::Run(name),
        EntityKind::Thing(kind) if kind == SEQUENCE => GlobalId::Sequence(source, namespace, name),
        _ => GlobalId::Vertex(entity.clone()),
    }
}

/// [`id_of`] as clients see it, without a copy of the names for each of thousands of nodes.
fn written_id(entity: &Entity) -> ID {
    match &entity.kind {
        EntityKind::Record(kind) => GlobalId::of_record_entity(kind, entity),
        EntityKind::Placeholder(kind) if entity.uid.is_some() => GlobalId::of_record_entity(kind, entity),
        EntityKind::Thing(kind)
            if [thing::CLUSTER, thing::PACK_FAMILY, thing::RUN, SEQUENCE].contains(&kind.as_str()) =>
        {
            id_of(entity).encode()
        }
        _ => GlobalId::of_vertex(entity),
    }
}

/// The entity that an id names; `None` for what is no node of the graph.
#[must_use]
pub fn entity_of(id: GlobalId) -> Option<Entity> {
    Some(match id {
        GlobalId::Record(source, kind, cluster, namespace, name, uid) => {
            Entity { source, kind: EntityKind::Record(kind), cluster, namespace, name, uid }
        }
        GlobalId::Cluster(source, name) => Entity::thing(&source, thing::cluster(&name)),
        GlobalId::PackFamily(source, name) => Entity::thing(&source, thing::pack_family(&name)),
        GlobalId::Sequence(source, namespace, name) => Entity::thing(&source, NaturalKey::sequence(&namespace, &name)),
        GlobalId::Vertex(entity) => entity,
        GlobalId::Run(name) => Entity::thing("", thing::named(thing::RUN, &name)),
        GlobalId::Source(_) | GlobalId::Chain(..) | GlobalId::Finding(..) | GlobalId::Quarantined(_) => return None,
    })
}

/// A node of the lineage graph.
#[derive(Clone)]
pub struct LineageNode {
    view: View,
    entity: Entity,
    depth: Option<usize>,
}

impl LineageNode {
    /// A node of a view, with its distance from the root of an answer.
    #[must_use]
    pub fn new(view: &View, entity: Entity, depth: Option<usize>) -> Self {
        Self { view: view.clone(), entity, depth }
    }

    /// Whether its version stands where others have their cluster.
    fn has_version(&self) -> bool {
        self.is_thing(thing::CHART) || self.is_thing(thing::TASK_PACK)
    }

    fn is_thing(&self, kind: &str) -> bool {
        matches!(&self.entity.kind, EntityKind::Thing(own) if own == kind)
    }
}

/// A node of the lineage graph: a record, one that was named and never seen, or what records name that
/// is no record. What belongs to the node alone is here; `node` leads to all else.
#[Object]
impl LineageNode {
    /// The global id. That of a placeholder leads to the record once that was seen.
    pub(crate) async fn id(&self) -> ID {
        written_id(&self.entity)
    }

    /// What it is.
    async fn kind(&self) -> LineageNodeKind {
        LineageNodeKind::of(self.entity.stored_kind())
    }

    /// The name: that of a record, a digest, the reference of an artifact, the path of a source build.
    async fn name(&self) -> &str {
        &self.entity.name
    }

    /// The namespace of a record or resource; null for what has none.
    async fn namespace(&self) -> Option<&str> {
        let has_namespace = !matches!(&self.entity.kind, EntityKind::Thing(kind) if kind != SEQUENCE);
        Some(self.entity.namespace.as_str()).filter(|text| has_namespace && !text.is_empty())
    }

    /// The cluster that it is on, where that is part of its identity: of receipts, resources and artifacts.
    async fn cluster(&self) -> Option<&str> {
        Some(self.entity.cluster.as_str()).filter(|text| !text.is_empty() && !self.has_version())
    }

    /// The source whose records name it; empty for what is of the tenant: runs, their packs, who decided them.
    async fn source(&self) -> &str {
        &self.entity.source
    }

    /// The uid of a record.
    async fn uid(&self) -> Option<&str> {
        self.entity.uid.as_deref()
    }

    /// The canonical kind of a record, the kind of a resource or of an artifact; null for the rest.
    async fn resource_kind(&self) -> Option<&str> {
        match &self.entity.kind {
            EntityKind::Record(kind) | EntityKind::Placeholder(kind) | EntityKind::Resource(_, kind) => Some(kind),
            EntityKind::Thing(kind) if kind == thing::ARTIFACT => Some(&self.entity.namespace),
            EntityKind::Thing(_) => None,
        }
    }

    /// The API version of a resource.
    async fn api_version(&self) -> Option<&str> {
        match &self.entity.kind {
            EntityKind::Resource(api_version, _) => Some(api_version),
            _ => None,
        }
    }

    /// The version of a chart or a task pack.
    async fn version(&self) -> Option<&str> {
        Some(self.entity.cluster.as_str()).filter(|text| !text.is_empty() && self.has_version())
    }

    /// The URL of a chart.
    async fn url(&self) -> Option<&str> {
        Some(self.entity.namespace.as_str()).filter(|text| !text.is_empty() && self.is_thing(thing::CHART))
    }

    /// Whether it is a record that others name and that was never seen.
    async fn placeholder(&self) -> bool {
        self.entity.is_placeholder()
    }

    /// How far it is from the root of the answer, at the least; null outside of a walk.
    async fn depth(&self) -> Option<i32> {
        self.depth.and_then(|depth| i32::try_from(depth).ok())
    }

    /// What it is in full: the record, cluster, pack family, sequence or run. Null for what only the graph has.
    async fn node(&self) -> Result<Option<Node>, ApiError> {
        match id_of(&self.entity) {
            GlobalId::Vertex(_) => Ok(None),
            id => find_record(&self.view, id).await,
        }
    }
}

impl Listed for LineageNode {
    const NAME: &'static str = "LineageNode";
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[plain![
        id,
        kind,
        name,
        namespace,
        cluster,
        source,
        uid,
        resource_kind,
        api_version,
        version,
        url,
        placeholder,
        depth
    ]];
}

/// The kind of a stored edge.
///
/// # Errors
/// If there is no such kind.
pub fn edge_kind(code: i64) -> Result<LineageEdgeKind, ApiError> {
    EdgeKind::of_code(code).map(Into::into).ok_or_else(|| {
        tracing::error!(code, "an edge has a kind that is none");
        ApiError::internal()
    })
}

/// An edge of the lineage graph, with the names of its ends.
#[derive(Clone)]
pub struct LineageEdge {
    view: View,
    from: Entity,
    to: Entity,
    stored: WithSeq<LineageRow>,
}

impl LineageEdge {
    /// An edge of a view.
    #[must_use]
    pub fn new(view: &View, from: Entity, to: Entity, stored: WithSeq<LineageRow>) -> Self {
        Self { view: view.clone(), from, to, stored }
    }

    fn row(&self) -> &LineageRow {
        &self.stored.row
    }

    fn asserter(&self) -> &Entity {
        if self.row().by_dst == 1 { &self.to } else { &self.from }
    }
}

/// An edge of the lineage graph, from cause to effect: declared by a field of the record at one of its
/// ends.
#[Object]
impl LineageEdge {
    /// What it says.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn kind(&self) -> Result<LineageEdgeKind, ApiError> {
        edge_kind(self.row().kind)
    }

    /// The id of the cause.
    async fn from(&self) -> ID {
        written_id(&self.from)
    }

    /// The id of the effect.
    async fn to(&self) -> ID {
        written_id(&self.to)
    }

    /// The cause.
    async fn from_node(&self) -> LineageNode {
        LineageNode::new(&self.view, self.from.clone(), None)
    }

    /// The effect.
    async fn to_node(&self) -> LineageNode {
        LineageNode::new(&self.view, self.to.clone(), None)
    }

    /// The id of the record whose field declares it: one of the two.
    async fn asserted_by(&self) -> ID {
        written_id(self.asserter())
    }

    /// The field that declares it.
    async fn field(&self) -> &'static str {
        Field::path(self.row().field)
    }

    /// The version that the field names, of a pack or an operator; null where it names none.
    async fn version(&self) -> Option<&str> {
        self.row().attribute.as_deref()
    }

    /// The commit since which this server knows it.
    async fn known_since(&self) -> Int53 {
        Int53(self.stored.from_seq)
    }

    /// From when the record or the run says so.
    async fn valid_from(&self) -> Result<Option<DateTime>, ApiError> {
        if Field::is_of_run(self.row().field) {
            return Ok(Some(DateTime(self.row().from_n)));
        }
        let version = self.view.load(VersionKey(self.row().asserter(), self.row().from_n)).await?;
        Ok(version.map(|version| DateTime(version.from_at)))
    }

    /// Until when the record says so: another version does not, or the record was closed. Null while it
    /// does.
    async fn valid_to(&self) -> Result<Option<DateTime>, ApiError> {
        if Field::is_of_run(self.row().field) {
            return Ok(None);
        }
        let asserter = self.row().asserter();
        Ok(match self.row().to_n {
            Some(n) => self.view.load(VersionKey(asserter, n)).await?.and_then(|version| version.to_at),
            None => self.view.load(RecordKey(asserter, Breadth::Lean)).await?.and_then(|record| record.closed_at),
        }
        .map(DateTime))
    }
}

impl Listed for LineageEdge {
    const NAME: &'static str = "LineageEdge";
    const PLAIN: &'static [&'static [PlainField<Self>]] =
        &[plain![kind, from, to, asserted_by, field, version, known_since]];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_has_one_id_however_it_is_made() {
        let text = str::to_owned;
        let things = [thing::CLUSTER, thing::PACK_FAMILY, SEQUENCE, thing::RUN, thing::DIGEST, thing::ARTIFACT];
        let kinds = things.map(|kind| EntityKind::Thing(text(kind))).into_iter().chain([
            EntityKind::Record(text("k")),
            EntityKind::Placeholder(text("k")),
            EntityKind::Resource(text("v1"), text("Se\"cret")),
        ]);
        for kind in kinds {
            for uid in [None, Some(text("u"))] {
                let entity = Entity {
                    source: text("s"),
                    kind: kind.clone(),
                    cluster: text("c"),
                    namespace: text("ns"),
                    name: text("n\"ä"),
                    uid,
                };
                assert_eq!(written_id(&entity), id_of(&entity).encode(), "{entity:?}");
            }
        }
    }
}
