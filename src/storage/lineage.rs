//! The lineage graph: writing what records declare, and walking it, one statement a hop.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::FromRow;

use super::driver::json;
use super::error::StoreError;
use super::pack::{Cells, Columns, Packed, packed_row};
use super::read::AsOf;
use super::sql;
use super::write::{Changes, WithSeq, WriteTx, diff};
use crate::domain::identity::NaturalKey;
use crate::domain::lineage::EdgeKind;
use crate::domain::record::Resource;

packed_row! {
    /// One edge, as it is stored.
    #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
    pub struct LineageRow {
        /// The cause.
        pub src: i64,
        /// 1 if the effect asserts it, else the cause does.
        pub by_dst: i64,
        /// What it says.
        pub kind: i64,
        /// The effect: an object, a node, or a set of resources.
        pub dst: i64,
        /// The cluster of a set of resources, else 0.
        pub within: i64,
        /// The field that declares it.
        pub field: i64,
        /// The first version of the asserting object that says so.
        pub from_n: i64,
        /// The last one; `None` while the latest does.
        pub to_n: Option<i64>,
        /// What the field says beside the name.
        pub attribute: Option<String>,
    }
}

impl<T: Packed> Packed for WithSeq<T> {
    fn columns(_name: &'static str, columns: &mut Columns) {
        T::columns("", columns);
        i64::columns("from_seq", columns);
    }

    fn read(cells: &mut Cells<'_>) -> Result<Self, StoreError> {
        Ok(Self { row: T::read(cells)?, from_seq: Packed::read(cells)? })
    }
}

impl LineageRow {
    /// The object that asserts it.
    #[must_use]
    pub fn asserter(&self) -> i64 {
        if self.by_dst == 1 { self.dst } else { self.src }
    }
}

impl WriteTx {
    /// The resource sets of contents; contents without one are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn resource_sets(&mut self, contents: &[i64]) -> Result<HashMap<i64, i64>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            id: i64,
            resource_set_id: i64,
        }
        if contents.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<Row> = self.tx.rows(&sql::CONTENTS_SETS, &[self.tenant.into(), json(&contents)]).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.resource_set_id)).collect())
    }

    /// How the edges that the derived objects assert change (stored rows to end, rows to write).
    pub(super) async fn diff_lineage(
        &mut self,
        changes: &Changes,
    ) -> Result<(Vec<WithSeq<LineageRow>>, Vec<LineageRow>), StoreError> {
        let open = self.open_rows(&sql::LINEAGE_OPEN, &changes.objects).await?;
        Ok(diff(&open, &changes.lineage))
    }

    pub(super) async fn write_lineage(
        &mut self,
        (old, new): (Vec<WithSeq<LineageRow>>, Vec<LineageRow>),
        seq: i64,
        rules: i64,
    ) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Old {
            #[serde(flatten)]
            row: LineageRow,
            from_seq: i64,
        }
        let old: Vec<Old> = old.into_iter().map(|old| Old { row: old.row, from_seq: old.from_seq }).collect();
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::LINEAGE_CLOSE, &before, &old, &[]).await?;
        self.write_rows(&sql::LINEAGE_INSERT, &before, &new, &[rules.into()]).await
    }
}

/// A vertex: an object, a node, or, with the cluster, a resource on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VertexId {
    /// The row of the object, node or resource.
    pub id: i64,
    /// The row of a resource's cluster, else 0.
    pub within: i64,
}

impl VertexId {
    /// A vertex that is no resource.
    #[must_use]
    pub fn plain(id: i64) -> Self {
        Self { id, within: 0 }
    }

    /// Whether it is a resource on a cluster.
    #[must_use]
    pub fn is_resource(self) -> bool {
        self.within != 0
    }
}

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From cause to effect.
    Down,
    /// From effect to cause.
    Up,
}

/// How many kinds of edges are looked for one by one: each is a look-up of its own for each vertex.
const FEW_KINDS: usize = 6;

/// How kinds of edges are looked for.
enum Kinds {
    All,
    Few,
    Many,
}

impl Kinds {
    fn of(kinds: &[i64]) -> Self {
        match kinds.len() {
            count if count == EdgeKind::ALL.len() => Self::All,
            count if count <= FEW_KINDS => Self::Few,
            _ => Self::Many,
        }
    }
}

/// One hop of a walk.
#[derive(Debug, Clone)]
pub struct Hop<'a> {
    /// Which way.
    pub way: Way,
    /// The vertices to go on from.
    pub from: &'a [i64],
    /// The kinds of edges to follow, by their numbers.
    pub kinds: &'a [i64],
    /// Only edges that held then, microseconds; `None` for all that ever did.
    pub at: Option<i64>,
    /// The most edges to read.
    pub limit: i64,
}

packed_row! {
    /// What a hop reaches.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Reached {
        /// The object or node, or the set of resources.
        pub id: i64,
        /// The cluster of a set of resources, else 0.
        pub within: i64,
        /// How many edges lead there.
        pub edges: i64,
    }
}

/// The names of a vertex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VertexNames {
    /// The natural key: that of the record, or of what has only names.
    pub key: NaturalKey,
    /// The row of its source.
    pub source: i64,
    /// A record's uid.
    pub uid: Option<String>,
    /// Whether it is an object: a record that was seen.
    pub is_object: bool,
}

packed_row! {
    struct NamesRow {
        id: i64,
        is_object: i64,
        source_id: i64,
        kind: String,
        cluster: String,
        namespace: String,
        name: String,
        uid: String,
    }
}

packed_row! {
    struct MemberRow {
        set_id: i64,
        resource_id: i64,
    }
}

packed_row! {
    pub(super) struct ResourceRow {
        id: i64,
        api_version: String,
        kind: String,
        namespace: String,
        name: String,
    }
}

impl ResourceRow {
    /// The row and the resource.
    pub(super) fn named(self) -> (i64, Resource) {
        let Self { id, api_version, kind, namespace, name } = self;
        (id, Resource { api_version, kind, namespace, name })
    }
}

impl AsOf {
    /// The edges of one hop, at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hop(&self, hop: &Hop<'_>) -> Result<Vec<WithSeq<LineageRow>>, StoreError> {
        if hop.from.is_empty() || hop.kinds.is_empty() {
            return Ok(Vec::new());
        }
        let args = [
            self.tenant.into(),
            self.seq.into(),
            json(&hop.from),
            hop.limit.into(),
            json(&hop.kinds),
            hop.at.unwrap_or_default().into(),
        ];
        let (statement, asked) = match (hop.way, hop.at, Kinds::of(hop.kinds)) {
            (Way::Down, None, Kinds::All) => (&sql::LINEAGE_DOWN, 4),
            (Way::Up, None, Kinds::All) => (&sql::LINEAGE_UP, 4),
            (Way::Down, None, Kinds::Few) => (&sql::LINEAGE_DOWN_KINDS, 5),
            (Way::Up, None, Kinds::Few) => (&sql::LINEAGE_UP_KINDS, 5),
            (Way::Down, None, Kinds::Many) => (&sql::LINEAGE_DOWN_AMONG, 5),
            (Way::Up, None, Kinds::Many) => (&sql::LINEAGE_UP_AMONG, 5),
            (Way::Down, Some(_), Kinds::Few) => (&sql::LINEAGE_DOWN_KINDS_AT, 6),
            (Way::Up, Some(_), Kinds::Few) => (&sql::LINEAGE_UP_KINDS_AT, 6),
            (Way::Down, Some(_), _) => (&sql::LINEAGE_DOWN_AMONG_AT, 6),
            (Way::Up, Some(_), _) => (&sql::LINEAGE_UP_AMONG_AT, 6),
        };
        self.pool.list(statement, &args[..asked]).await
    }

    /// What one hop by all kinds of edges that ever were reaches, of at most `limit` edges: for walks that
    /// are not asked for the edges, of which there are many to each vertex.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn reach(&self, way: Way, from: &[i64], limit: i64) -> Result<Vec<Reached>, StoreError> {
        if from.is_empty() {
            return Ok(Vec::new());
        }
        let statement = match way {
            Way::Down => &sql::LINEAGE_REACH_DOWN,
            Way::Up => &sql::LINEAGE_REACH_UP,
        };
        self.pool.list(statement, &[self.tenant.into(), self.seq.into(), json(&from), limit.into()]).await
    }

    /// The resources of sets, as (set, resource), at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_members(&self, sets: &[i64], limit: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        if sets.is_empty() {
            return Ok(Vec::new());
        }
        let args = [self.tenant.into(), json(&sets), limit.into()];
        let members: Vec<MemberRow> = self.pool.list(&sql::SET_MEMBERS, &args).await?;
        Ok(members.into_iter().map(|member| (member.set_id, member.resource_id)).collect())
    }

    /// The edges by which resources on clusters were applied, each with the resource, at most `limit`.
    /// `at` as in [`Hop`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn appliers(
        &self,
        resources: &[VertexId],
        at: Option<i64>,
        limit: i64,
    ) -> Result<Vec<(WithSeq<LineageRow>, VertexId)>, StoreError> {
        #[derive(Serialize)]
        struct Asked {
            id: i64,
            within: i64,
        }
        #[derive(FromRow)]
        struct Found {
            resource_id: i64,
            #[sqlx(flatten)]
            found: WithSeq<LineageRow>,
        }
        if resources.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<Asked> = resources.iter().map(|r| Asked { id: r.id, within: r.within }).collect();
        let args = [self.tenant.into(), self.seq.into(), json(&asked), limit.into(), at.unwrap_or_default().into()];
        let found: Vec<Found> = match at {
            None => self.pool.rows(&sql::LINEAGE_APPLIERS, &args[..4]).await?,
            Some(_) => self.pool.rows(&sql::LINEAGE_APPLIERS_AT, &args).await?,
        };
        let edge = |Found { resource_id, found }: Found| {
            let resource = VertexId { id: resource_id, within: found.row.within };
            (found, resource)
        };
        Ok(found.into_iter().map(edge).collect())
    }

    /// The versions of objects at a time, microseconds, as (object, number, row of the content).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn versions_at(&self, objects: &[i64], at: i64) -> Result<Vec<(i64, i64, i64)>, StoreError> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let args = [self.tenant.into(), self.seq.into(), json(&objects), at.into()];
        self.pool.rows(&sql::VERSIONS_AT, &args).await
    }

    /// The names of objects and nodes, by row.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn vertex_names(&self, ids: &[i64]) -> Result<HashMap<i64, VertexNames>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<NamesRow> = self.pool.list(&sql::VERTEX_NAMES, &[self.tenant.into(), json(&ids)]).await?;
        let names = |row: NamesRow| {
            let key = NaturalKey { kind: row.kind, cluster: row.cluster, namespace: row.namespace, name: row.name };
            let uid = Some(row.uid).filter(|uid| !uid.is_empty());
            (row.id, VertexNames { key, source: row.source_id, uid, is_object: row.is_object == 1 })
        };
        Ok(rows.into_iter().map(names).collect())
    }

    /// Resources by row.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn resources(&self, ids: &[i64]) -> Result<HashMap<i64, Resource>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<ResourceRow> = self.pool.list(&sql::RESOURCES_BY_ID, &[self.tenant.into(), json(&ids)]).await?;
        Ok(rows.into_iter().map(ResourceRow::named).collect())
    }

    /// The row of a resource, if any result ever applied it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_resource(&self, resource: &Resource) -> Result<Option<i64>, StoreError> {
        let args = [
            self.tenant.into(),
            resource.kind.as_str().into(),
            resource.namespace.as_str().into(),
            resource.name.as_str().into(),
            resource.api_version.as_str().into(),
        ];
        Ok(self.pool.row::<(i64,)>(&sql::RESOURCE_LOOKUP, &args).await?.map(|(id,)| id))
    }
}
