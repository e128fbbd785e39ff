//! The reading side: one tenant as of one commit of its ledger, so that all that is read through one
//! [`AsOf`] is one consistent view, whatever is written meanwhile.
//!
//! Lists are read in pages, everything else in batches: never a statement for each row.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::Store;
use super::body::{BodyRow, unpack};
use super::driver::{Arg, Pool, Row, json};
use super::error::StoreError;
use super::pack::{Cells, Columns, Packed, packed_row};
use super::page::{Page, Rows};
use super::sql::{self, Statement};
use super::write::{parse_end, read_digest};
use crate::domain::digest::Digest;
use crate::domain::facts::Facts;
use crate::domain::history::{Content, End, History, Version};
use crate::domain::identity::NaturalKey;
use crate::domain::sequence::{ChainStatus, Fork, Gap, RowRef};
use crate::domain::world::Object;

/// A tenant as of a commit. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AsOf {
    pub(super) pool: Pool,
    pub(super) tenant: i64,
    pub(super) seq: i64,
    committed_at: i64,
    sources: Arc<[StoredSource]>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredSource {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its incarnation; empty where none is known.
    pub incarnation: String,
    /// When its first record came, microseconds.
    pub created_at: i64,
}

/// What an object said in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContent {
    /// The version's place in the object's history, from 0.
    pub n: i64,
    /// What the rules need of it.
    pub facts: Facts,
}

/// Which content it was, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// SHA-256 of the content.
    pub digest: Digest,
    /// SHA-256 of its `spec`.
    pub spec_digest: Digest,
    /// The contract's breaches, as JSON.
    pub warnings: Option<String>,
    /// The row of the raw object.
    pub body: i64,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<String>,
    /// Who sent it.
    pub asserter: String,
}

/// An object's latest state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its row.
    pub object: i64,
    /// Its source's row.
    pub source: i64,
    /// Its natural key's row.
    pub node: i64,
    /// Hash of its natural identity.
    pub key_hash: i64,
    /// Its natural key.
    pub key: NaturalKey,
    /// Its uid.
    pub uid: Option<String>,
    /// The cluster that it acts on; empty for none.
    pub cluster: String,
    /// Its birth, microseconds.
    pub born_at: i64,
    /// Its first observation, microseconds.
    pub first_at: i64,
    /// When it last changed or was closed, microseconds.
    pub changed_at: i64,
    /// Its closing, microseconds.
    pub closed_at: Option<i64>,
    /// How it was closed.
    pub end: Option<End>,
    /// It still exists, as far as is known.
    pub live: bool,
    /// How many versions it has.
    pub versions: i64,
    /// When it was last seen in any way, microseconds: a live value, outside of the ledger.
    pub last_seen_at: i64,
    /// The volatile fields of the latest heartbeat, as JSON: likewise.
    pub heartbeat: Option<String>,
    /// Its latest content, or that of the version asked for.
    pub content: StoredContent,
    /// The provenance of that content; `None` where the record was read without it.
    pub provenance: Option<Arc<Provenance>>,
}

impl StoredRecord {
    /// The object with its history, where the content at hand is all that it ever had.
    #[must_use]
    pub fn alone(&self) -> Option<Object> {
        if self.versions != 1 {
            return None;
        }
        // A lean record does not tell the digests, which nobody asks a referrer for.
        let unknown = Digest([0; 32]);
        let digests = self.provenance.as_ref().map_or((unknown, unknown), |known| (known.digest, known.spec_digest));
        let version = Version {
            from: self.first_at,
            to: self.closed_at,
            end: self.end,
            content: Arc::new(Content { digest: digests.0, spec: digests.1, facts: self.content.facts.clone() }),
            observation: 0,
        };
        let history = History { versions: vec![version] };
        Some(Object { id: self.object, key: self.key.clone(), uid: self.uid.clone(), history })
    }
}

/// How much of a record is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Breadth {
    /// All of it.
    #[default]
    Full,
    /// All but the provenance of its content, which takes two more look-ups a row.
    Lean,
}

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVersion {
    /// The object's row.
    pub object: i64,
    /// From when, microseconds.
    pub from_at: i64,
    /// Until when, microseconds; `None` while it is open.
    pub to_at: Option<i64>,
    /// How it ended.
    pub end: Option<End>,
    /// What it said.
    pub content: StoredContent,
    /// The provenance of that.
    pub provenance: Arc<Provenance>,
}

/// A sequence's key.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredSequence {
    /// Its row.
    pub id: i64,
    /// Its source's row.
    #[sqlx(rename = "source_id")]
    pub source: i64,
    /// Its namespace.
    pub namespace: String,
    /// The execution's name.
    pub name: String,
}

/// One epoch of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEpoch {
    /// The sequence.
    pub sequence: StoredSequence,
    /// Its identity.
    pub uid: String,
    /// Its rank, from 1.
    pub rank: i64,
    /// The worst that holds.
    pub status: ChainStatus,
    /// The earliest birth in it, microseconds.
    pub born_at: i64,
    /// How many rows it has.
    pub revisions: i64,
    /// The row of the head.
    pub head: i64,
    /// The head's revision.
    pub head_revision: i64,
    /// The row of the active result.
    pub active: Option<i64>,
    /// Gaps, forks and broken links.
    pub detail: EpochDetail,
}

/// What is wrong with an epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct EpochDetail {
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// Where it forks.
    pub forks: Vec<Fork>,
    /// Rows whose reference cannot be true.
    pub broken: Vec<RowRef>,
}

/// One row of a chain.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredRevision {
    /// The sequence's row.
    #[sqlx(rename = "sequence_id")]
    pub sequence: i64,
    /// The epoch.
    pub epoch_uid: String,
    /// The revision.
    pub revision: i64,
    /// First effective time of the result, microseconds.
    pub first_at: i64,
    /// Hash of the result's natural identity.
    pub key_hash: i64,
    /// The result's row.
    #[sqlx(rename = "object_id")]
    pub object: i64,
    /// The version that gives the content.
    #[sqlx(rename = "version_n")]
    pub version: i64,
    /// 1 while the result is live.
    pub live: i64,
    /// 1 if it is labelled as superseded.
    pub superseded: i64,
}

/// One row of a chain with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    /// Its place.
    pub place: RevisionPlace,
    /// The result, with the content of the row's revision: one that was patched in place has a row for
    /// each revision that it carried.
    pub record: Arc<StoredRecord>,
}

/// An item in quarantine, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredQuarantine {
    /// Hash of source and bytes.
    pub id: i64,
    /// Its source's row.
    #[sqlx(rename = "source_id")]
    pub source: i64,
    /// The commit that put it there.
    pub from_seq: i64,
    /// SHA-256 of its bytes.
    #[sqlx(try_from = "Vec<u8>")]
    pub digest: Digest,
    /// The stable code of the reason.
    pub code: String,
    /// Where in the item.
    pub path: String,
    /// The reason.
    pub message: String,
    /// Who sent it.
    pub principal: String,
    /// When, microseconds.
    pub received_at: i64,
    /// 1 if strict mode refused it.
    pub strict: i64,
    /// Its size in bytes.
    pub size: i64,
    /// When it was refused again, for the reason that it has now, microseconds.
    pub refused_at: Option<i64>,
    /// Who tried then.
    pub refused_by: Option<String>,
}

impl TryFrom<Vec<u8>> for Digest {
    type Error = StoreError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, StoreError> {
        read_digest(&bytes)
    }
}

/// What narrows a list of sequences.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SequenceFilter {
    /// The source's row.
    pub source: Option<i64>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The execution's name.
    pub name: Option<String>,
    /// The status of any of their epochs.
    pub status: Option<ChainStatus>,
}

/// What narrows a list of items in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuarantineFilter {
    /// The source's row.
    pub source: Option<i64>,
    /// The code of the reason.
    pub code: Option<String>,
    /// Received at this time or later, microseconds.
    pub received_from: Option<i64>,
    /// Received before this time, microseconds.
    pub received_until: Option<i64>,
}

/// The place of what is ordered by birth alone: birth and hash of the natural identity.
pub type BirthPlace = (i64, i64);
/// The place of a sequence in a list: source, namespace, name.
pub type SequencePlace = (i64, String, String);
/// The place of a row in its chain: revision, first effective time, hash of its natural identity.
pub type RevisionPlace = (i64, i64, i64);
/// The place of a finding or an item in quarantine: the commit that raised it, and its hash.
pub type EntryPlace = (i64, i64);

#[derive(FromRow)]
struct HeadRow {
    tenant_id: i64,
    seq: i64,
    committed_at: i64,
    id: Option<i64>,
    name: Option<String>,
    incarnation: Option<String>,
    created_at: Option<i64>,
}

impl HeadRow {
    fn source(self) -> Option<StoredSource> {
        let (id, name) = (self.id?, self.name?);
        Some(StoredSource { id, name, incarnation: self.incarnation?, created_at: self.created_at? })
    }
}

packed_row! {
    struct Found {
        i: i64,
        id: i64,
    }
}

#[derive(FromRow)]
struct Count(i64);

#[derive(FromRow)]
struct BytesRow {
    id: i64,
    bytes: Vec<u8>,
}

packed_row! {
    struct RecordRow {
        object_id: i64,
        source_id: i64,
        node_id: i64,
        key_hash: i64,
        kind: String,
        namespace: String,
        name: String,
        cluster: String,
        born_at: i64,
        first_at: i64,
        changed_at: i64,
        closed_at: Option<i64>,
        end_kind: Option<String>,
        live: i64,
        versions: i64,
        uid: String,
        last_seen_at: i64,
        heartbeat: Option<String>,
        residence: String,
        facts: String,
    }
}

packed_row! {
    struct ProvenanceRow {
        digest: Vec<u8>,
        spec_digest: Vec<u8>,
        warnings: Option<String>,
        body_id: i64,
        resource_version: Option<String>,
        asserter: String,
    }
}

packed_row! {
    struct FullRecordRow {
        #[sqlx(flatten)]
        record: RecordRow,
        #[sqlx(flatten)]
        provenance: ProvenanceRow,
    }
}

packed_row! {
    struct RevisionRow {
        revision: i64,
        place_at: i64,
        place_hash: i64,
        version_n: i64,
        #[sqlx(flatten)]
        record: RecordRow,
    }
}

packed_row! {
    struct FullRevisionRow {
        #[sqlx(flatten)]
        row: RevisionRow,
        #[sqlx(flatten)]
        provenance: ProvenanceRow,
    }
}

packed_row! {
    struct VersionRow {
        object_id: i64,
        n: i64,
        from_at: i64,
        to_at: Option<i64>,
        end_kind: Option<String>,
        facts: String,
        #[sqlx(flatten)]
        provenance: ProvenanceRow,
    }
}

#[derive(FromRow)]
struct Numbered<T> {
    i: i64,
    #[sqlx(flatten)]
    row: T,
}

impl<T: Packed> Packed for Numbered<T> {
    fn columns(_name: &'static str, columns: &mut Columns) {
        i64::columns("i", columns);
        T::columns("", columns);
    }

    fn read(cells: &mut Cells<'_>) -> Result<Self, StoreError> {
        Ok(Self { i: Packed::read(cells)?, row: T::read(cells)? })
    }
}

packed_row! {
    struct GroupRow {
        i: i64,
        uid: String,
        object_id: i64,
        from_at: i64,
        to_at: Option<i64>,
        end_kind: Option<String>,
        observation_id: i64,
        digest: Vec<u8>,
        spec_digest: Vec<u8>,
        facts: String,
    }
}

packed_row! {
    struct EpochRow {
        sequence_id: i64,
        source_id: i64,
        namespace: String,
        name: String,
        uid: String,
        position: i64,
        status: String,
        born_at: i64,
        revisions: i64,
        head_id: i64,
        head_revision: i64,
        active_id: Option<i64>,
        detail: String,
    }
}

/// A namespace and name within a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct SourcePlace {
    /// The source's row.
    pub source_id: i64,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Store {
    /// A tenant as of its latest commit. An unknown tenant is an empty one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn as_of_now(&self, tenant: &str) -> Result<AsOf, StoreError> {
        let rows = self.pool.rows(&sql::HEAD_OF_TENANT, &[tenant.into()]).await?;
        Ok(self.as_of_head(rows).unwrap_or_else(|| self.before_all()))
    }

    /// Before anything was known.
    fn before_all(&self) -> AsOf {
        // No row has the tenant 0.
        AsOf { pool: self.pool.clone(), tenant: 0, seq: 0, committed_at: 0, sources: Arc::default() }
    }

    /// The last commit of a tenant that was made at a time or before, microseconds; 0 where there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn seq_at(&self, tenant: &str, at: i64) -> Result<i64, StoreError> {
        let Some(tenant) = self.tenant_id(tenant).await? else { return Ok(0) };
        let found: Option<(i64,)> = self.pool.row(&sql::COMMIT_AT, &[tenant.into(), at.into()]).await?;
        Ok(found.map_or(0, |(seq,)| seq))
    }

    /// A tenant as of one of its commits; `None` if there is no such commit. Before its first, at 0,
    /// nothing is known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn as_of(&self, tenant: &str, seq: i64) -> Result<Option<AsOf>, StoreError> {
        if seq == 0 {
            return Ok(Some(self.before_all()));
        }
        Ok(self.as_of_head(self.pool.rows(&sql::COMMIT_OF_TENANT, &[tenant.into(), seq.into()]).await?))
    }

    fn as_of_head(&self, rows: Vec<HeadRow>) -> Option<AsOf> {
        let (tenant, seq, committed_at) = rows.first().map(|head| (head.tenant_id, head.seq, head.committed_at))?;
        let sources = rows.into_iter().filter_map(HeadRow::source).collect();
        Some(AsOf { pool: self.pool.clone(), tenant, seq, committed_at, sources })
    }
}

impl AsOf {
    /// The commit.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// When it was made, microseconds; 0 before the first.
    #[must_use]
    pub fn committed_at(&self) -> i64 {
        self.committed_at
    }

    async fn batch<T: Row + Packed>(
        &self,
        statement: &'static Statement,
        list: &impl Serialize,
    ) -> Result<Vec<T>, StoreError> {
        self.pool.list(statement, &[self.tenant.into(), json(list), self.seq.into()]).await
    }

    /// The records that a statement on states reads.
    pub(super) async fn read_records(
        &self,
        statement: &'static Statement,
        args: &[Arg],
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let rows: Vec<FullRecordRow> = self.pool.list(statement, args).await?;
        rows.into_iter().map(full_record).collect()
    }

    pub(super) async fn count(&self, statement: &'static Statement, args: &[Arg]) -> Result<i64, StoreError> {
        Ok(self.pool.row(statement, args).await?.map_or(0, |Count(count)| count))
    }

    /// All sources, by name.
    #[must_use]
    pub fn sources(&self) -> &[StoredSource] {
        &self.sources
    }

    /// The nodes of keys within sources, by their place in `keys`; keys that have none are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_nodes(&self, keys: &[(i64, NaturalKey)]) -> Result<HashMap<usize, i64>, StoreError> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let args = [self.tenant.into(), json(&asked_keys(keys))];
        let found: Vec<Found> = self.pool.list(&sql::NODES_LOOKUP, &args).await?;
        found.into_iter().map(|Found { i, id }| Ok((place(i)?, id))).collect()
    }

    /// The objects of keys within sources with their whole histories, by their place in `keys`; keys that
    /// have none are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_groups(&self, keys: &[(i64, NaturalKey)]) -> Result<HashMap<usize, Vec<Object>>, StoreError> {
        let mut groups: HashMap<usize, Vec<Object>> = HashMap::new();
        if keys.is_empty() {
            return Ok(groups);
        }
        let rows: Vec<GroupRow> = self.batch(&sql::GROUPS_BY_NAME, &asked_keys(keys)).await?;
        for row in rows {
            let version = Version {
                from: row.from_at,
                to: row.to_at,
                end: row.end_kind.as_deref().map(parse_end).transpose()?,
                content: Arc::new(Content {
                    digest: read_digest(&row.digest)?,
                    spec: read_digest(&row.spec_digest)?,
                    facts: read_facts(&row.facts)?,
                }),
                observation: row.observation_id,
            };
            let i = place(row.i)?;
            let objects = groups.entry(i).or_default();
            match objects.last_mut().filter(|object| object.id == row.object_id) {
                Some(object) => object.history.versions.push(version),
                None => objects.push(Object {
                    id: row.object_id,
                    key: keys.get(i).map(|(_, key)| key.clone()).ok_or_else(no_place)?,
                    uid: some_text(row.uid),
                    history: History { versions: vec![version] },
                }),
            }
        }
        Ok(groups)
    }

    /// Records by row; those that do not exist (any longer) are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn records_by_object(&self, objects: &[i64], breadth: Breadth) -> Result<Vec<StoredRecord>, StoreError> {
        if objects.is_empty() || breadth == Breadth::Full {
            return self.records(&sql::RECORDS_BY_OBJECT, objects).await;
        }
        let rows: Vec<RecordRow> = self.batch(&sql::RECORDS_BY_OBJECT_LEAN, &objects).await?;
        rows.into_iter().map(record).collect()
    }

    /// All records of natural keys.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn records_by_node(&self, nodes: &[i64]) -> Result<Vec<StoredRecord>, StoreError> {
        self.records(&sql::RECORDS_BY_NODE, nodes).await
    }

    async fn records(&self, statement: &'static Statement, ids: &[i64]) -> Result<Vec<StoredRecord>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<FullRecordRow> = self.batch(statement, &ids).await?;
        rows.into_iter().map(full_record).collect()
    }

    /// The records with uids, of whatever source.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn records_by_uid(&self, uids: &[&str]) -> Result<Vec<StoredRecord>, StoreError> {
        #[derive(Serialize)]
        struct Uid<'a> {
            uid: &'a str,
        }
        if uids.is_empty() {
            return Ok(Vec::new());
        }
        let uids: Vec<Uid> = uids.iter().map(|uid| Uid { uid }).collect();
        let rows: Vec<FullRecordRow> = self.batch(&sql::RECORDS_BY_UID, &uids).await?;
        rows.into_iter().map(full_record).collect()
    }

    /// The versions of an object, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_versions(&self, object: i64, page: &Page<i64>) -> Result<Rows<StoredVersion>, StoreError> {
        let from = page.from.unwrap_or(if page.backward { i64::MAX } else { -1 });
        let args = [self.tenant.into(), object.into(), self.seq.into(), from.into(), page.fetch().into()];
        let statement = if page.backward { &sql::VERSIONS_PAGE_BACK } else { &sql::VERSIONS_PAGE };
        let rows: Vec<VersionRow> = self.pool.list(statement, &args).await?;
        Ok(page.rows(rows.into_iter().map(version).collect::<Result<_, _>>()?))
    }

    /// Pages of the versions of objects, in their order: all pages of one form in one statement.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_versions_of(&self, asked: &[(i64, Page<i64>)]) -> Result<Vec<Rows<StoredVersion>>, StoreError> {
        #[derive(Serialize)]
        struct Key {
            i: usize,
            object_id: i64,
            n: i64,
        }
        if let [(object, page)] = asked {
            return Ok(vec![self.list_versions(*object, page).await?]);
        }
        let mut found: Vec<Rows<StoredVersion>> = asked.iter().map(|_| Rows::none()).collect();
        for (form, members) in Page::alike(asked.iter().map(|(_, page)| page)) {
            let end = if form.backward { i64::MAX } else { -1 };
            let key = |i: usize| Key { i, object_id: asked[i].0, n: asked[i].1.from.unwrap_or(end) };
            let keys: Vec<Key> = members.iter().map(|i| key(*i)).collect();
            let statement = if form.backward { &sql::VERSIONS_PAGES_BACK } else { &sql::VERSIONS_PAGES };
            let args = [self.tenant.into(), json(&keys), self.seq.into(), form.fetch().into()];
            let mut rows: HashMap<i64, Vec<VersionRow>> = self.grouped(statement, &args).await?;
            for i in members {
                let rows = i64::try_from(i).ok().and_then(|i| rows.remove(&i)).unwrap_or_default();
                found[i] = form.rows(rows.into_iter().map(version).collect::<Result<_, _>>()?);
            }
        }
        Ok(found)
    }

    /// Rows by the number that the statement was given for them, in their order.
    async fn grouped<T>(&self, statement: &'static Statement, args: &[Arg]) -> Result<HashMap<i64, Vec<T>>, StoreError>
    where
        T: Packed,
        Numbered<T>: Row,
    {
        let mut groups: HashMap<i64, Vec<T>> = HashMap::new();
        let rows: Vec<Numbered<T>> = self.pool.list(statement, args).await?;
        for Numbered { i, row } in rows {
            groups.entry(i).or_default().push(row);
        }
        Ok(groups)
    }

    /// Versions by object and number.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn versions_by_n(&self, asked: &[(i64, i64)]) -> Result<Vec<StoredVersion>, StoreError> {
        #[derive(Serialize)]
        struct Key {
            object_id: i64,
            n: i64,
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Key> = asked.iter().map(|(object_id, n)| Key { object_id: *object_id, n: *n }).collect();
        let rows: Vec<VersionRow> = self.batch(&sql::VERSIONS_BY_N, &keys).await?;
        rows.into_iter().map(version).collect()
    }

    /// Raw objects, by row.
    ///
    /// # Errors
    /// If the database fails, or a body does not unpack.
    pub async fn bodies(&self, ids: &[i64]) -> Result<HashMap<i64, Vec<u8>>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<BodyRow> = self.pool.rows(&sql::BODIES_BY_ID, &[self.tenant.into(), json(&ids)]).await?;
        rows.into_iter().map(|row| Ok((row.id, unpack(&row)?))).collect()
    }

    /// Sequences by source, namespace and name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_sequences(
        &self,
        filter: &SequenceFilter,
        page: &Page<SequencePlace>,
    ) -> Result<Rows<StoredSequence>, StoreError> {
        let first = if page.backward { i64::MAX } else { 0 };
        let (source, namespace, name) = page.from.clone().unwrap_or((first, String::new(), String::new()));
        let args = [
            self.tenant.into(),
            self.seq.into(),
            source.into(),
            namespace.into(),
            name.into(),
            page.fetch().into(),
            or_zero(filter.source),
            or_empty(filter.namespace.as_deref()),
            or_empty(filter.name.as_deref()),
            status_arg(filter.status),
        ];
        let statement = if page.backward { &sql::SEQUENCES_PAGE_BACK } else { &sql::SEQUENCES_PAGE };
        Ok(page.rows(self.pool.rows(statement, &args).await?))
    }

    /// How many sequences [`Self::list_sequences`] has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_sequences(&self, filter: &SequenceFilter) -> Result<i64, StoreError> {
        let args = [
            self.tenant.into(),
            self.seq.into(),
            or_zero(filter.source),
            or_empty(filter.namespace.as_deref()),
            or_empty(filter.name.as_deref()),
            status_arg(filter.status),
        ];
        self.count(&sql::SEQUENCES_COUNT, &args).await
    }

    /// The epochs of sequences, by sequence and rank.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_epochs(&self, sequences: &[i64]) -> Result<Vec<StoredEpoch>, StoreError> {
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<EpochRow> = self.batch(&sql::EPOCHS_OF, &sequences).await?;
        rows.into_iter().map(epoch).collect()
    }

    /// The epochs of sequences by source, namespace and name, by rank, in the order of the names.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn epochs_by_name(&self, names: &[SourcePlace]) -> Result<Vec<Vec<StoredEpoch>>, StoreError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            i: usize,
            #[serde(flatten)]
            name: &'a SourcePlace,
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<Asked> = names.iter().enumerate().map(|(i, name)| Asked { i, name }).collect();
        let args = [self.tenant.into(), json(&asked), self.seq.into()];
        let mut rows: HashMap<i64, Vec<EpochRow>> = self.grouped(&sql::EPOCHS_BY_NAME, &args).await?;
        let mut of = |i: i64| rows.remove(&i).unwrap_or_default().into_iter().map(epoch).collect();
        (0..).take(names.len()).map(&mut of).collect()
    }

    /// The rows of an epoch in the order of the chain.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_revisions(
        &self,
        sequence: i64,
        epoch_uid: &str,
        page: &Page<RevisionPlace>,
        breadth: Breadth,
    ) -> Result<Rows<ChainRow>, StoreError> {
        let end = if page.backward { i64::MAX } else { i64::MIN };
        let (revision, first_at, key_hash) = page.from.unwrap_or((end, end, end));
        let args = [
            self.tenant.into(),
            sequence.into(),
            epoch_uid.into(),
            self.seq.into(),
            revision.into(),
            first_at.into(),
            key_hash.into(),
            page.fetch().into(),
        ];
        let rows: Result<Vec<ChainRow>, StoreError> = match breadth {
            Breadth::Full => {
                let statement = if page.backward { &sql::REVISIONS_PAGE_BACK } else { &sql::REVISIONS_PAGE };
                self.pool.list(statement, &args).await?.into_iter().map(full_chain_row).collect()
            }
            Breadth::Lean => {
                let statement = if page.backward { &sql::REVISIONS_LEAN_PAGE_BACK } else { &sql::REVISIONS_LEAN_PAGE };
                self.pool.list(statement, &args).await?.into_iter().map(chain_row).collect()
            }
        };
        Ok(page.rows(rows?))
    }

    /// Pages of the rows of epochs (sequence and identity), in their order: all pages of one form in one
    /// statement.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_revisions_of(
        &self,
        asked: &[(i64, String, Page<RevisionPlace>)],
        breadth: Breadth,
    ) -> Result<Vec<Rows<ChainRow>>, StoreError> {
        if let [(sequence, epoch_uid, page)] = asked {
            return Ok(vec![self.list_revisions(*sequence, epoch_uid, page, breadth).await?]);
        }
        let mut found: Vec<Rows<ChainRow>> = asked.iter().map(|_| Rows::none()).collect();
        for (form, members) in Page::alike(asked.iter().map(|(_, _, page)| page)) {
            let mut pages = self.revision_pages(asked, &form, &members, breadth).await?;
            for i in members {
                let rows = i64::try_from(i).ok().and_then(|i| pages.remove(&i)).unwrap_or_default();
                found[i] = form.rows(rows);
            }
        }
        Ok(found)
    }

    /// The rows of the pages of one form, by their places in `asked`.
    async fn revision_pages(
        &self,
        asked: &[(i64, String, Page<RevisionPlace>)],
        form: &Page<()>,
        members: &[usize],
        breadth: Breadth,
    ) -> Result<HashMap<i64, Vec<ChainRow>>, StoreError> {
        #[derive(Serialize)]
        struct Asked<'a> {
            i: usize,
            sequence_id: i64,
            epoch_uid: &'a str,
            revision: i64,
            first_at: i64,
            key_hash: i64,
        }
        let end = if form.backward { i64::MAX } else { i64::MIN };
        let key = |i: usize| {
            let (sequence_id, epoch_uid, page) = &asked[i];
            let (revision, first_at, key_hash) = page.from.unwrap_or((end, end, end));
            Asked { i, sequence_id: *sequence_id, epoch_uid, revision, first_at, key_hash }
        };
        let keys: Vec<Asked> = members.iter().map(|i| key(*i)).collect();
        let args = [self.tenant.into(), json(&keys), self.seq.into(), form.fetch().into()];
        match breadth {
            Breadth::Full => {
                let statement = if form.backward { &sql::REVISIONS_PAGES_BACK } else { &sql::REVISIONS_PAGES };
                each(self.grouped(statement, &args).await?, full_chain_row)
            }
            Breadth::Lean => {
                let statement =
                    if form.backward { &sql::REVISIONS_LEAN_PAGES_BACK } else { &sql::REVISIONS_LEAN_PAGES };
                each(self.grouped(statement, &args).await?, chain_row)
            }
        }
    }

    /// The rows of results in their chains.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn revisions_of_objects(&self, objects: &[i64]) -> Result<Vec<StoredRevision>, StoreError> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let args = [self.tenant.into(), json(&objects), self.seq.into()];
        self.pool.rows(&sql::REVISIONS_OF_OBJECTS, &args).await
    }

    /// The items in quarantine, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_quarantine(
        &self,
        filter: &QuarantineFilter,
        page: &Page<EntryPlace>,
    ) -> Result<Rows<StoredQuarantine>, StoreError> {
        let (from_seq, id) = descending(page);
        let mut args = self.quarantine_args(filter).to_vec();
        args.extend([from_seq.into(), id.into(), page.fetch().into()]);
        let statement = if page.backward { &sql::QUARANTINE_PAGE_BACK } else { &sql::QUARANTINE_PAGE };
        Ok(page.rows(self.pool.rows(statement, &args).await?))
    }

    /// How many items [`Self::list_quarantine`] has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_quarantine(&self, filter: &QuarantineFilter) -> Result<i64, StoreError> {
        self.count(&sql::QUARANTINE_COUNT, &self.quarantine_args(filter)).await
    }

    fn quarantine_args(&self, filter: &QuarantineFilter) -> [Arg; 6] {
        [
            self.tenant.into(),
            self.seq.into(),
            or_zero(filter.source),
            or_empty(filter.code.as_deref()),
            filter.received_from.unwrap_or(i64::MIN).into(),
            filter.received_until.unwrap_or(i64::MAX).into(),
        ]
    }

    /// Items in quarantine by id; those that are not there (any longer) are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn quarantine_by_id(&self, ids: &[i64]) -> Result<Vec<StoredQuarantine>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.pool.rows(&sql::QUARANTINE_BY_ID, &[self.tenant.into(), self.seq.into(), json(&ids)]).await
    }

    /// The bytes of items in quarantine as they came.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn quarantine_bytes(&self, ids: &[i64]) -> Result<HashMap<i64, Vec<u8>>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<BytesRow> = self.pool.rows(&sql::QUARANTINE_BYTES, &[self.tenant.into(), json(&ids)]).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.bytes)).collect())
    }
}

/// Where to begin in a list whose highest place comes first.
fn descending(page: &Page<(i64, i64)>) -> (i64, i64) {
    page.from.unwrap_or(if page.backward { (i64::MIN, i64::MIN) } else { (i64::MAX, i64::MAX) })
}

pub(super) fn or_zero(id: Option<i64>) -> Arg {
    Arg::Int(id.unwrap_or(0))
}

pub(super) fn or_empty(text: Option<&str>) -> Arg {
    text.unwrap_or_default().into()
}

fn status_arg(status: Option<ChainStatus>) -> Arg {
    let name = status.and_then(|status| serde_json::to_value(status).ok());
    name.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().into()
}

/// A key that is asked for, with its place.
#[derive(Serialize)]
struct AskedKey<'a> {
    i: usize,
    source_id: i64,
    kind: &'a str,
    cluster: &'a str,
    namespace: &'a str,
    name: &'a str,
}

fn asked_keys(keys: &[(i64, NaturalKey)]) -> Vec<AskedKey<'_>> {
    keys.iter()
        .enumerate()
        .map(|(i, (source_id, key))| AskedKey {
            i,
            source_id: *source_id,
            kind: &key.kind,
            cluster: &key.cluster,
            namespace: &key.namespace,
            name: &key.name,
        })
        .collect()
}

/// The place of what was asked for.
fn place(i: i64) -> Result<usize, StoreError> {
    usize::try_from(i).map_err(|_| no_place())
}

fn no_place() -> StoreError {
    StoreError::Corrupt("a row for what was not asked".to_owned())
}

fn some_text(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn read_facts(text: &str) -> Result<Facts, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Corrupt(format!("facts: {e}")))
}

fn provenance(row: ProvenanceRow) -> Result<Arc<Provenance>, StoreError> {
    Ok(Arc::new(Provenance {
        digest: read_digest(&row.digest)?,
        spec_digest: read_digest(&row.spec_digest)?,
        warnings: row.warnings,
        body: row.body_id,
        resource_version: row.resource_version,
        asserter: row.asserter,
    }))
}

fn record(row: RecordRow) -> Result<StoredRecord, StoreError> {
    Ok(StoredRecord {
        object: row.object_id,
        source: row.source_id,
        node: row.node_id,
        key_hash: row.key_hash,
        key: NaturalKey { kind: row.kind, cluster: row.residence, namespace: row.namespace, name: row.name },
        uid: some_text(row.uid),
        cluster: row.cluster,
        born_at: row.born_at,
        first_at: row.first_at,
        changed_at: row.changed_at,
        closed_at: row.closed_at,
        end: row.end_kind.as_deref().map(parse_end).transpose()?,
        live: row.live != 0,
        versions: row.versions,
        last_seen_at: row.last_seen_at,
        heartbeat: row.heartbeat,
        content: StoredContent { n: row.versions - 1, facts: read_facts(&row.facts)? },
        provenance: None,
    })
}

fn full_record(row: FullRecordRow) -> Result<StoredRecord, StoreError> {
    Ok(StoredRecord { provenance: Some(provenance(row.provenance)?), ..record(row.record)? })
}

fn chain_row(row: RevisionRow) -> Result<ChainRow, StoreError> {
    let mut record = record(row.record)?;
    record.content.n = row.version_n;
    Ok(ChainRow { place: (row.revision, row.place_at, row.place_hash), record: Arc::new(record) })
}

fn full_chain_row(row: FullRevisionRow) -> Result<ChainRow, StoreError> {
    let FullRevisionRow { row, provenance } = row;
    let mut record = full_record(FullRecordRow { record: row.record, provenance })?;
    record.content.n = row.version_n;
    Ok(ChainRow { place: (row.revision, row.place_at, row.place_hash), record: Arc::new(record) })
}

/// Groups of rows, each row read.
fn each<R, T>(
    groups: HashMap<i64, Vec<R>>,
    read: impl Fn(R) -> Result<T, StoreError>,
) -> Result<HashMap<i64, Vec<T>>, StoreError> {
    let group = |(i, rows): (i64, Vec<R>)| Ok((i, rows.into_iter().map(&read).collect::<Result<_, StoreError>>()?));
    groups.into_iter().map(group).collect()
}

fn version(row: VersionRow) -> Result<StoredVersion, StoreError> {
    Ok(StoredVersion {
        object: row.object_id,
        from_at: row.from_at,
        to_at: row.to_at,
        end: row.end_kind.as_deref().map(parse_end).transpose()?,
        content: StoredContent { n: row.n, facts: read_facts(&row.facts)? },
        provenance: provenance(row.provenance)?,
    })
}

fn epoch(row: EpochRow) -> Result<StoredEpoch, StoreError> {
    let corrupt = |e: serde_json::Error| StoreError::Corrupt(format!("epoch {}: {e}", row.uid));
    Ok(StoredEpoch {
        status: serde_json::from_value(row.status.into()).map_err(corrupt)?,
        detail: serde_json::from_str(&row.detail).map_err(corrupt)?,
        sequence: StoredSequence {
            id: row.sequence_id,
            source: row.source_id,
            namespace: row.namespace,
            name: row.name,
        },
        uid: row.uid,
        rank: row.position,
        born_at: row.born_at,
        revisions: row.revisions,
        head: row.head_id,
        head_revision: row.head_revision,
        active: row.active_id,
    })
}
