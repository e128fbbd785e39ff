//! The writing side: one transaction for one tenant and source.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use super::body::{BodyRow, unpack};
use super::driver::{Arg, Tx, json};
use super::error::StoreError;
use super::lineage::LineageRow;
use super::search::Document;
use super::sql::{self, Statement};
use super::stats::NewOperation;
use super::tail::Patch;
use super::turn::{self, Turn};
use super::{Store, TenantName, Topic, Wakes, Work, hash63, ids};
use crate::domain::RULES;
use crate::domain::digest::Digest;
use crate::domain::facts::Facts;
use crate::domain::history::{Content, End, History, Observation, Observed, Version};
use crate::domain::identity::NaturalKey;
use crate::domain::lineage::thing;
use crate::domain::mention::Named;
use crate::domain::record::{Resource, resource_set_digest};

/// Ids are taken in blocks: one statement for a batch, where they are not at hand.
const ID_BLOCK: i64 = 4096;

/// What an edge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EdgeKind {
    /// `src` reads `dst`.
    Reads = 1,
    /// `src` is owned by `dst`.
    OwnedBy = 2,
    /// `src` is a member of `dst`.
    MemberOf = 3,
}

/// A writing transaction. It has the tenant's turn to write records.
pub struct WriteTx {
    pub(super) tx: Tx,
    wakes: Wakes,
    pub(super) tenant: i64,
    tenant_name: String,
    ids: ids::Ids,
    pub(super) source: i64,
    pub(super) source_name: String,
    next_id: i64,
    last_id: i64,
    nodes: HashMap<NaturalKey, i64>,
    contents: HashMap<Digest, i64>,
    facts: HashMap<i64, Arc<Content>>,
    pub(super) unindexed: Vec<Document>,
}

/// An object as it is stored.
#[derive(Debug, Clone)]
pub struct StoredObject {
    /// Its row.
    pub id: i64,
    /// Its uid.
    pub uid: Option<String>,
    /// The history that holds now.
    pub history: History,
    /// The commit that wrote each version.
    pub from_seq: Vec<i64>,
}

/// All that is stored of one object's observations.
#[derive(Debug, Clone, Default)]
pub struct StoredObserved {
    /// Its row.
    pub id: i64,
    /// What was observed.
    pub observed: Observed,
    /// When it was last seen in any way.
    pub last_seen_at: i64,
    /// The observation that its next heartbeat moves; `None` where that has to be looked at.
    pub beat_id: Option<i64>,
}

/// A new observation to write.
#[derive(Debug, Clone)]
pub struct NewObservation {
    /// The object.
    pub object_id: i64,
    /// The row.
    pub id: i64,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<String>,
    /// Its content.
    pub content: Arc<Content>,
    /// The contract's breaches, as JSON.
    pub warnings: Option<String>,
    /// The resources that it applied.
    pub resources: Option<Vec<Resource>>,
    /// The raw object, as compact JSON.
    pub body: Arc<[u8]>,
    /// The same, where it is at hand: what its words are read from without parsing it again.
    pub object: Option<Arc<Value>>,
    /// Seen by its deletion.
    pub deleted: bool,
    /// The earliest stamped sighting.
    pub stamped_at: Option<i64>,
    /// The latest stamped sighting, of a record without uid.
    pub sighted_at: Option<i64>,
    /// The latest of its own times.
    pub own_time: i64,
    /// When this server got it.
    pub received_at: i64,
    /// Who sent it.
    pub asserter: String,
}

/// A new object to write.
#[derive(Debug, Clone, Serialize)]
pub struct NewObject {
    /// The row.
    pub id: i64,
    /// Its natural key's row.
    pub node_id: i64,
    /// Its uid, or nothing.
    pub uid: String,
    /// Live value: see the table.
    pub sighted_at: Option<i64>,
    /// Live value: see the table.
    pub last_seen_at: i64,
    /// Live value: see the table.
    pub heartbeat: Option<String>,
}

/// The live values of an object, moved in place.
#[derive(Debug, Clone, Serialize)]
pub struct SeenObject {
    /// The row.
    pub id: i64,
    /// The latest stamped sighting.
    pub sighted_at: Option<i64>,
    /// The latest sighting.
    pub last_seen_at: i64,
    /// The latest heartbeat's fields; `None` leaves them.
    pub heartbeat: Option<String>,
    /// The observation that the next heartbeat moves; `None` where that has to be looked at.
    pub beat_id: Option<i64>,
}

/// An observation moved in place.
#[derive(Debug, Clone, Serialize)]
pub struct MovedObservation {
    /// The object.
    pub object_id: i64,
    /// The row.
    pub id: i64,
    /// Its resourceVersion.
    pub resource_version: Option<String>,
    /// Its earliest stamped sighting.
    pub stamped_at: Option<i64>,
    /// Its latest stamped sighting, without uid.
    pub sighted_at: Option<i64>,
}

/// An entry of the ledger.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What happened.
    pub kind: &'static str,
    /// To what: an object key, or a name in quarantine.
    pub identity: String,
    /// The object, if it is one: its row is stored in place of the text.
    pub object: Option<i64>,
    /// The content's digest after it.
    pub content: Option<Digest>,
    /// The content's digest before it.
    pub previous: Option<Digest>,
    /// By whom.
    pub principal: String,
}

/// An item for the quarantine.
#[derive(Debug, Clone)]
pub struct NewQuarantine {
    /// The stable code of the reason.
    pub code: String,
    /// Where in the item.
    pub path: String,
    /// The reason.
    pub message: String,
    /// Who sent it.
    pub principal: String,
    /// When.
    pub received_at: i64,
    /// Whether it was sent in strict mode.
    pub strict: bool,
    /// The item.
    pub bytes: Vec<u8>,
}

impl NewQuarantine {
    /// Its id: a hash of source and bytes, so that the same item is kept once.
    #[must_use]
    pub fn id(&self, source: &str) -> i64 {
        hash63(&[source.as_bytes(), &self.bytes])
    }
}

/// A version to write.
#[derive(Debug, Clone, Serialize)]
pub struct NewVersion {
    /// The object.
    pub object_id: i64,
    /// Its place in the object's history, from 0.
    pub n: i64,
    /// From when.
    pub from_at: i64,
    /// Until when.
    pub to_at: Option<i64>,
    /// How it ended.
    pub end_kind: Option<&'static str>,
    /// Its content's row.
    pub content_id: i64,
    /// The observation that began it.
    pub observation_id: i64,
}

/// The key of a version row that no longer holds.
#[derive(Debug, Clone, Serialize)]
pub struct OldVersion {
    /// The object.
    pub object_id: i64,
    /// Its place.
    pub n: i64,
    /// The commit that wrote it.
    pub from_seq: i64,
}

/// A content with what is stored of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContentBody {
    /// Its row.
    pub id: i64,
    /// The canonical kind of what says it.
    pub kind: String,
    /// What the rules need of it, as JSON.
    pub facts: String,
    /// An object that says it, as JSON.
    pub body: Vec<u8>,
}

/// An object's latest state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, FromRow)]
pub struct StateRow {
    /// The object.
    pub object_id: i64,
    /// Its natural key's row.
    pub node_id: i64,
    /// Hash of its natural identity.
    pub key_hash: i64,
    /// Its canonical kind.
    pub kind: String,
    /// Its birth.
    pub born_at: i64,
    /// Its first observation.
    pub first_at: i64,
    /// Its closing.
    pub closed_at: Option<i64>,
    /// How it was closed.
    pub end_kind: Option<String>,
    /// 1 while it lives.
    pub live: i64,
    /// How many versions it has.
    pub versions: i64,
    /// The latest content.
    pub content_id: i64,
    /// The observation of the latest version.
    pub observation_id: i64,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The cluster that it acts on.
    pub cluster: String,
    /// The pack that it is about.
    pub pack: String,
    /// A result's status.
    pub status: String,
    /// When it last changed: the beginning of its latest version, or its closing.
    pub changed_at: i64,
    /// The name that all versions of its pack share.
    pub base_pack: String,
    /// A result's capability.
    pub capability: String,
    /// The category of a result's failure.
    pub failure_category: String,
    /// The step that failed.
    pub failed_step: String,
    /// The clusters that a pack is meant for, with a space between.
    pub targets: String,
    /// A receipt's drift.
    pub drift: String,
    /// A receipt's claim: `true`, `false`, or empty where it makes none.
    pub verified: String,
    /// From when a successful result counts as what is on its cluster, microseconds; 0 for all else.
    pub counted_at: i64,
    /// The pack that such a result is about, where neither its base nor the result itself names it.
    pub deployed_pack: String,
}

impl StateRow {
    /// The pack family that the record is about, by the best name that is known of it; empty for none.
    #[must_use]
    pub fn family(&self) -> &str {
        let names = [&self.base_pack, &self.pack, &self.deployed_pack];
        names.into_iter().find(|name| !name.is_empty()).map_or("", |name| name)
    }
}

/// One epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, FromRow)]
pub struct EpochRow {
    /// The sequence's node.
    pub sequence_id: i64,
    /// The epoch's identity.
    pub uid: String,
    /// Its rank.
    pub position: i64,
    /// Its chain status.
    pub status: String,
    /// The earliest birth in it.
    pub born_at: i64,
    /// How many rows it has.
    pub revisions: i64,
    /// The head.
    pub head_id: i64,
    /// The head's revision.
    pub head_revision: i64,
    /// The active result.
    pub active_id: Option<i64>,
    /// Its revision.
    pub active_revision: Option<i64>,
    /// Gaps, forks and broken links as JSON.
    pub detail: String,
}

/// One row of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, FromRow)]
pub struct RevisionRow {
    /// The sequence's node.
    pub sequence_id: i64,
    /// The epoch's identity.
    pub epoch_uid: String,
    /// The revision.
    pub revision: i64,
    /// First effective time of the result.
    pub first_at: i64,
    /// Hash of the result's natural identity.
    pub key_hash: i64,
    /// The result.
    pub object_id: i64,
    /// The version that gives the content.
    pub version_n: i64,
    /// 1 while it is live.
    pub live: i64,
    /// 1 if it is labelled as superseded.
    pub superseded: i64,
}

/// One open finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, FromRow)]
pub struct FindingRow {
    /// The unit that derives it.
    pub unit_id: i64,
    /// Its code.
    pub code: String,
    /// Its subject.
    pub subject: String,
    /// The record that it is about, if it is about one.
    pub object_id: Option<i64>,
    /// Its severity.
    pub severity: String,
    /// Its details as JSON.
    pub detail: String,
    /// Hash of code and subject.
    pub id: i64,
    /// The cluster that it is about; empty where there is none.
    pub cluster: String,
    /// The namespace that it is about; empty where there is none.
    pub namespace: String,
}

/// A new reason for which an item in quarantine was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefusal {
    /// The item.
    pub id: i64,
    /// The reason.
    pub reason: QuarantineReason,
    /// Who tried.
    pub principal: String,
    /// When, microseconds.
    pub refused_at: i64,
}

/// Why an item is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct QuarantineReason {
    /// The stable code.
    pub code: String,
    /// Where in the item.
    pub path: String,
    /// The reason.
    pub message: String,
    /// 1 if strict mode refused it.
    pub strict: i64,
}

/// Everything that a commit writes beside the observations.
#[derive(Debug, Default)]
pub struct Changes {
    /// Entries of the ledger; without any there is no commit.
    pub entries: Vec<Entry>,
    /// Versions that no longer hold.
    pub old_versions: Vec<OldVersion>,
    /// Versions that hold from now on.
    pub new_versions: Vec<NewVersion>,
    /// The objects whose states were derived.
    pub objects: Vec<i64>,
    /// Their states; those without one exist no longer.
    pub states: Vec<StateRow>,
    /// The sequences whose chains were derived.
    pub sequences: Vec<i64>,
    /// All their epochs.
    pub epochs: Vec<EpochRow>,
    /// All their rows.
    pub revisions: Vec<RevisionRow>,
    /// The units whose findings were derived.
    pub units: Vec<i64>,
    /// All their findings.
    pub findings: Vec<FindingRow>,
    /// What is known to change of sequences that were not derived whole.
    pub patch: Patch,
    /// All operations of the results among the units.
    pub operations: Vec<NewOperation>,
    /// All edges that the objects whose states were derived assert.
    pub lineage: Vec<LineageRow>,
    /// What the derived versions name.
    pub mentions: BTreeSet<(Named, String)>,
    /// Edges that may be new.
    pub edges: Vec<(i64, EdgeKind, i64)>,
    /// Items for the quarantine.
    pub quarantine: Vec<NewQuarantine>,
    /// Items to take out of quarantine.
    pub released: Vec<i64>,
    /// Items that stay in quarantine for another reason than before.
    pub refused: Vec<NewRefusal>,
    /// The version of the rules.
    pub rules: i64,
    /// Writes listings that are missing though the state is as it should be: after a change of what is
    /// listed, or damage.
    pub relist: bool,
}

/// A commit of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Its number.
    pub seq: i64,
    /// Its time, microseconds.
    pub committed_at: i64,
}

/// How many derived rows differ from what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Difference {
    /// Rows that should not be there.
    pub surplus: usize,
    /// Rows that should be there.
    pub missing: usize,
}

#[derive(FromRow)]
struct Id(i64);

#[derive(FromRow)]
struct Pair(i64, i64);

#[derive(FromRow)]
struct MaybePair(i64, Option<i64>);

#[derive(FromRow)]
struct NodeLink {
    dst: i64,
    src: i64,
    kind: String,
    cluster: String,
    namespace: String,
    name: String,
}

#[derive(FromRow)]
struct NodeRow {
    id: i64,
    kind: String,
    cluster: String,
    namespace: String,
    name: String,
}

#[derive(FromRow)]
struct ObjectRow {
    id: i64,
    node_id: i64,
    uid: String,
    sighted_at: Option<i64>,
    last_seen_at: i64,
    beat_id: Option<i64>,
}

#[derive(FromRow)]
struct ObservationRow {
    object_id: i64,
    id: i64,
    resource_version: Option<String>,
    content_id: i64,
    deleted: i64,
    stamped_at: Option<i64>,
    sighted_at: Option<i64>,
    own_time: i64,
    digest: Vec<u8>,
    spec_digest: Vec<u8>,
    facts: String,
}

#[derive(FromRow)]
struct VersionRow {
    node_id: i64,
    uid: String,
    object_id: i64,
    from_seq: i64,
    from_at: i64,
    to_at: Option<i64>,
    end_kind: Option<String>,
    observation_id: i64,
    content_id: i64,
    digest: Vec<u8>,
    spec_digest: Vec<u8>,
    facts: String,
}

/// A derived row that holds now.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, FromRow)]
pub struct WithSeq<T> {
    /// The row.
    #[sqlx(flatten)]
    pub row: T,
    /// The commit that wrote it.
    pub from_seq: i64,
}

#[derive(Serialize)]
pub(super) struct NodeKey<'a> {
    i: usize,
    id: i64,
    kind: &'a str,
    cluster: &'a str,
    namespace: &'a str,
    name: &'a str,
}

/// The links of nodes: by the node asked for, the nodes at the other end.
pub type Links = HashMap<i64, Vec<(i64, NaturalKey)>>;

impl Store {
    /// Begins writing for a tenant and source, making them if they are new.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn write(&self, tenant: &str, source: &str, now: i64) -> Result<WriteTx, StoreError> {
        self.stock_ids(tenant).await?;
        let mut tx = self.pool.begin().await?;
        let tenant_name = tenant.to_owned();
        let tenant = ensure_tenant(&mut tx, tenant).await?;
        turn::take(&mut tx, tenant, Turn::Records).await?;
        let mut write = WriteTx {
            tx,
            wakes: self.wakes.clone(),
            tenant,
            tenant_name,
            ids: self.ids.clone(),
            source: 0,
            source_name: source.to_owned(),
            next_id: 0,
            last_id: 0,
            nodes: HashMap::new(),
            contents: HashMap::new(),
            facts: HashMap::new(),
            unindexed: Vec::new(),
        };
        write.source = write.ensure_source(source, now).await?;
        Ok(write)
    }
}

impl Store {
    /// The tenants whose derived rows follow older rules.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn tenants_behind(&self, rules: i64) -> Result<Vec<String>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            name: String,
        }
        let rows: Vec<Row> = self.pool.rows(&sql::TENANTS_BEHIND, &[rules.into()]).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// Notes the rules that a tenant's derived rows follow.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_rules(&self, tenant: &TenantName, rules: i64) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        tx.execute(&sql::TENANT_RULES, &[tenant.into(), rules.into()]).await?;
        tx.commit().await
    }

    /// The answer given to a request with this key, with the request's digest.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_answer(&self, tenant: &TenantName, key: &str) -> Result<Option<(Digest, String)>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            request_digest: Vec<u8>,
            answer: String,
        }
        let Some(tenant) = self.tenant_id(tenant).await? else { return Ok(None) };
        let row: Option<Row> = self.pool.row(&sql::IDEMPOTENCY_FIND, &[tenant.into(), key.into()]).await?;
        row.map(|r| Ok((read_digest(&r.request_digest)?, r.answer))).transpose()
    }

    /// Keeps the answer to a request, and forgets those older than `keep` microseconds.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn keep_answer(
        &self,
        tenant: &TenantName,
        key: &str,
        request: &Digest,
        answer: &str,
        now: i64,
        keep: i64,
    ) -> Result<(), StoreError> {
        let Some(tenant) = self.tenant_id(tenant).await? else { return Ok(()) };
        let mut tx = self.pool.begin().await?;
        tx.execute(&sql::IDEMPOTENCY_PRUNE, &[tenant.into(), (now - keep).into()]).await?;
        let args = [tenant.into(), key.into(), request.0.to_vec().into(), answer.into(), now.into()];
        tx.execute(&sql::IDEMPOTENCY_INSERT, &args).await?;
        tx.commit().await
    }
}

impl WriteTx {
    /// The source's name.
    #[must_use]
    pub fn source_name(&self) -> &str {
        &self.source_name
    }

    /// What it did so far.
    #[must_use]
    pub fn work(&self) -> Work {
        self.tx.work
    }

    async fn take_ids(&mut self, count: i64) -> Result<(), StoreError> {
        let first = ids::take(&mut self.tx, &self.ids, (&self.tenant_name, self.tenant), count).await?;
        self.next_id = first;
        self.last_id = first + count;
        Ok(())
    }

    /// The next free id of the tenant.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn id(&mut self) -> Result<i64, StoreError> {
        if self.next_id == self.last_id {
            self.take_ids(ID_BLOCK).await?;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    async fn ensure_source(&mut self, name: &str, now: i64) -> Result<i64, StoreError> {
        #[derive(FromRow)]
        struct Row {
            id: i64,
        }
        let args = [self.tenant.into(), name.into()];
        if let Some(Row { id }) = self.tx.row(&sql::SOURCE_BY_NAME, &args).await? {
            return Ok(id);
        }
        let id = self.id().await?;
        let head = self.head().await?;
        let args = [self.tenant.into(), id.into(), name.into(), now.into(), (head.seq + 1).into()];
        self.tx.execute(&sql::SOURCE_INSERT, &args).await?;
        Ok(id)
    }

    /// Notes that the source was rebuilt under its name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_incarnation(&mut self, incarnation: &str) -> Result<(), StoreError> {
        let args = [self.tenant.into(), self.source.into(), incarnation.into()];
        self.tx.execute(&sql::SOURCE_INCARNATION, &args).await?;
        Ok(())
    }

    async fn head(&mut self) -> Result<Commit, StoreError> {
        #[derive(FromRow)]
        struct Row {
            seq: i64,
            committed_at: i64,
        }
        let row: Option<Row> = self.tx.row(&sql::LEDGER_HEAD, &[self.tenant.into()]).await?;
        Ok(row.map_or(Commit { seq: 0, committed_at: 0 }, |r| Commit { seq: r.seq, committed_at: r.committed_at }))
    }

    /// The nodes of keys; keys that have none are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_nodes(&mut self, keys: &[NaturalKey]) -> Result<(), StoreError> {
        let unknown: Vec<NodeKey> = keys
            .iter()
            .enumerate()
            .filter(|(_, key)| !self.nodes.contains_key(*key))
            .map(|(i, key)| node_key(i, 0, key))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let args = [self.tenant.into(), self.source.into(), json(&unknown)];
        for Pair(i, id) in self.tx.rows(&sql::NODES_FIND, &args).await? {
            self.nodes.insert(keys[index(i)?].clone(), id);
        }
        Ok(())
    }

    /// The node of a key that was found or made before.
    #[must_use]
    pub fn node(&self, key: &NaturalKey) -> Option<i64> {
        self.nodes.get(key).copied()
    }

    /// Makes the nodes of keys that have none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ensure_nodes(&mut self, keys: &[NaturalKey]) -> Result<(), StoreError> {
        self.find_nodes(keys).await?;
        if keys.iter().any(|key| key.kind == thing::RUN && !self.nodes.contains_key(key)) {
            // A command may make them at the same time.
            turn::take(&mut self.tx, self.tenant, Turn::Vertices).await?;
            self.find_nodes(keys).await?;
        }
        let mut ids = Vec::new();
        for key in keys {
            if !self.nodes.contains_key(key) {
                let id = self.id().await?;
                self.nodes.insert(key.clone(), id);
                ids.push((id, key));
            }
        }
        let rows: Vec<NodeKey> = ids.iter().map(|(id, key)| node_key(0, *id, key)).collect();
        self.write_rows(&sql::NODES_INSERT, &[self.tenant.into(), self.source.into()], &rows, &[]).await
    }

    pub(super) async fn write_rows<T: Serialize>(
        &mut self,
        statement: &'static Statement,
        before: &[Arg],
        rows: &[T],
        after: &[Arg],
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut args = before.to_vec();
        args.push(json(&rows));
        args.extend_from_slice(after);
        self.tx.execute(statement, &args).await?;
        Ok(())
    }

    /// The objects of nodes with the histories that hold now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn groups(&mut self, nodes: &[i64]) -> Result<HashMap<i64, Vec<StoredObject>>, StoreError> {
        let mut groups: HashMap<i64, Vec<StoredObject>> = HashMap::new();
        if nodes.is_empty() {
            return Ok(groups);
        }
        let rows: Vec<VersionRow> = self.tx.rows(&sql::VERSIONS_OF_NODES, &[self.tenant.into(), json(&nodes)]).await?;
        for row in rows {
            let content = self.content(row.content_id, &row.digest, &row.spec_digest, &row.facts)?;
            let objects = groups.entry(row.node_id).or_default();
            if objects.last().is_none_or(|object| object.id != row.object_id) {
                objects.push(StoredObject {
                    id: row.object_id,
                    uid: Some(row.uid).filter(|uid| !uid.is_empty()),
                    history: History::default(),
                    from_seq: Vec::new(),
                });
            }
            if let Some(object) = objects.last_mut() {
                object.from_seq.push(row.from_seq);
                object.history.versions.push(Version {
                    from: row.from_at,
                    to: row.to_at,
                    end: row.end_kind.as_deref().map(parse_end).transpose()?,
                    content,
                    observation: row.observation_id,
                });
            }
        }
        Ok(groups)
    }

    /// The observations of the objects of nodes.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn observed(&mut self, nodes: &[i64]) -> Result<HashMap<i64, Vec<StoredObserved>>, StoreError> {
        let args = [self.tenant.into(), json(&nodes)];
        let objects: Vec<ObjectRow> = self.tx.rows(&sql::OBJECTS_OF_NODES, &args).await?;
        let mut observations: HashMap<i64, Vec<Observation>> = HashMap::new();
        if !objects.is_empty() {
            let rows: Vec<ObservationRow> = self.tx.rows(&sql::OBSERVATIONS_OF_NODES, &args).await?;
            for row in rows {
                let content = self.content(row.content_id, &row.digest, &row.spec_digest, &row.facts)?;
                observations.entry(row.object_id).or_default().push(Observation {
                    id: row.id,
                    resource_version: row.resource_version,
                    content,
                    deleted: row.deleted != 0,
                    stamped_at: row.stamped_at,
                    sighted_at: row.sighted_at,
                    own_time: row.own_time,
                });
            }
        }
        let mut groups: HashMap<i64, Vec<StoredObserved>> = HashMap::new();
        for row in objects {
            groups.entry(row.node_id).or_default().push(StoredObserved {
                id: row.id,
                observed: Observed {
                    uid: Some(row.uid).filter(|uid| !uid.is_empty()),
                    sighted_at: row.sighted_at,
                    observations: observations.remove(&row.id).unwrap_or_default(),
                },
                last_seen_at: row.last_seen_at,
                beat_id: row.beat_id,
            });
        }
        Ok(groups)
    }

    fn content(&mut self, id: i64, digest: &[u8], spec: &[u8], facts: &str) -> Result<Arc<Content>, StoreError> {
        if let Some(content) = self.facts.get(&id) {
            return Ok(Arc::clone(content));
        }
        let facts: Facts =
            serde_json::from_str(facts).map_err(|e| StoreError::Corrupt(format!("facts of content {id}: {e}")))?;
        let content = Arc::new(Content { digest: read_digest(digest)?, spec: read_digest(spec)?, facts });
        self.contents.insert(content.digest, id);
        self.facts.insert(id, Arc::clone(&content));
        Ok(content)
    }

    /// The keys that ever joined collections, by collection.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn members(&mut self, collections: &[i64]) -> Result<Links, StoreError> {
        self.links(&sql::MEMBERS, collections, None, |link| (link.dst, link.src)).await
    }

    /// What reads nodes, or is owned by them, by node.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn dependents(&mut self, nodes: &[i64], kind: EdgeKind) -> Result<Links, StoreError> {
        self.links(&sql::DEPENDENTS, nodes, Some(kind), |link| (link.dst, link.src)).await
    }

    /// The collections that nodes ever joined, by node.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn collections(&mut self, nodes: &[i64]) -> Result<Links, StoreError> {
        self.links(&sql::COLLECTIONS_OF, nodes, None, |link| (link.src, link.dst)).await
    }

    async fn links(
        &mut self,
        statement: &'static Statement,
        nodes: &[i64],
        kind: Option<EdgeKind>,
        ends: fn(&NodeLink) -> (i64, i64),
    ) -> Result<Links, StoreError> {
        let mut links = Links::new();
        if nodes.is_empty() {
            return Ok(links);
        }
        let mut args = vec![self.tenant.into(), json(&nodes)];
        args.extend(kind.map(|kind| Arg::Int(kind as i64)));
        let rows: Vec<NodeLink> = self.tx.rows(statement, &args).await?;
        for row in rows {
            let (asked, found) = ends(&row);
            let key = NaturalKey { kind: row.kind, cluster: row.cluster, namespace: row.namespace, name: row.name };
            self.nodes.insert(key.clone(), found);
            links.entry(asked).or_default().push((found, key));
        }
        Ok(links)
    }

    /// For each kind, namespace and time, the first complete listing after it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn next_snapshots(&mut self, asked: &[(&str, &str, i64)]) -> Result<Vec<Option<i64>>, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            i: usize,
            kind: &'a str,
            namespace: &'a str,
            t: i64,
        }
        let mut found = vec![None; asked.len()];
        if asked.is_empty() {
            return Ok(found);
        }
        let rows: Vec<Row> =
            asked.iter().enumerate().map(|(i, (kind, namespace, t))| Row { i, kind, namespace, t: *t }).collect();
        let args = [self.tenant.into(), self.source.into(), json(&rows)];
        for MaybePair(i, at) in self.tx.rows(&sql::SNAPSHOT_NEXT, &args).await? {
            found[index(i)?] = at;
        }
        Ok(found)
    }

    /// Notes a complete listing of kinds and namespaces; empty lists mean all.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn insert_snapshot(
        &mut self,
        kinds: &[String],
        namespaces: &[String],
        at: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            kind: &'a str,
            namespace: &'a str,
        }
        let or_all = |names: &[String]| {
            if names.is_empty() { vec![String::new()] } else { names.to_vec() }
        };
        let (kinds, namespaces) = (or_all(kinds), or_all(namespaces));
        let rows: Vec<Row> =
            kinds.iter().flat_map(|kind| namespaces.iter().map(move |namespace| Row { kind, namespace })).collect();
        let before = [self.tenant.into(), self.source.into()];
        self.write_rows(&sql::SNAPSHOT_INSERT, &before, &rows, &[at.into(), now.into()]).await
    }

    /// The keys of live objects that a listing covers and did not see, a page at a time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn omitted(
        &mut self,
        kinds: &[String],
        namespaces: &[String],
        at: i64,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, NaturalKey)>, StoreError> {
        #[derive(Serialize)]
        struct Name<'a> {
            name: &'a str,
        }
        #[derive(FromRow)]
        struct Row {
            node_id: i64,
            kind: String,
            cluster: String,
            namespace: String,
            name: String,
        }
        let names = |names: &[String]| json(&names.iter().map(|name| Name { name }).collect::<Vec<_>>());
        let args = [
            self.tenant.into(),
            self.source.into(),
            names(kinds),
            i64::from(kinds.is_empty()).into(),
            names(namespaces),
            i64::from(namespaces.is_empty()).into(),
            at.into(),
            after.into(),
            limit.into(),
        ];
        let rows: Vec<Row> = self.tx.rows(&sql::SNAPSHOT_OMITTED, &args).await?;
        Ok(rows
            .into_iter()
            .map(|r| {
                let key = NaturalKey { kind: r.kind, cluster: r.cluster, namespace: r.namespace, name: r.name };
                self.nodes.insert(key.clone(), r.node_id);
                (r.node_id, key)
            })
            .collect())
    }

    /// The keys of the source after a node, a page at a time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn nodes_page(&mut self, after: i64, limit: i64) -> Result<Vec<(i64, NaturalKey)>, StoreError> {
        let args = [self.tenant.into(), after.into(), self.source.into(), limit.into()];
        let rows: Vec<NodeRow> = self.tx.rows(&sql::NODES_PAGE, &args).await?;
        Ok(rows
            .into_iter()
            .map(|r| {
                let key = NaturalKey { kind: r.kind, cluster: r.cluster, namespace: r.namespace, name: r.name };
                self.nodes.insert(key.clone(), r.id);
                (r.id, key)
            })
            .collect())
    }

    /// Writes new objects.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn insert_objects(&mut self, objects: &[NewObject]) -> Result<(), StoreError> {
        self.write_rows(&sql::OBJECTS_INSERT, &[self.tenant.into()], objects, &[]).await
    }

    /// Moves the live values of objects.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn update_seen(&mut self, seen: &[SeenObject]) -> Result<(), StoreError> {
        self.write_rows(&sql::OBJECTS_SEEN, &[self.tenant.into()], seen, &[]).await
    }

    /// Moves observations in place.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn move_observations(&mut self, moved: &[MovedObservation]) -> Result<(), StoreError> {
        self.write_rows(&sql::OBSERVATIONS_MOVE, &[self.tenant.into()], moved, &[]).await
    }

    /// Writes new observations with their contents, resource sets and bodies.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn insert_observations(&mut self, new: &[NewObservation]) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            object_id: i64,
            id: i64,
            resource_version: Option<&'a str>,
            content_id: i64,
            body_id: i64,
            deleted: i64,
            stamped_at: Option<i64>,
            sighted_at: Option<i64>,
            own_time: i64,
            received_at: i64,
            asserter: &'a str,
        }
        if new.is_empty() {
            return Ok(());
        }
        self.ensure_contents(new).await?;
        self.note_words(new).await?;
        let bodies = self.ensure_bodies(new).await?;
        let mut rows = Vec::with_capacity(new.len());
        for (observation, body_id) in new.iter().zip(bodies) {
            rows.push(Row {
                object_id: observation.object_id,
                id: observation.id,
                resource_version: observation.resource_version.as_deref(),
                content_id: self.content_id(&observation.content.digest)?,
                body_id,
                deleted: i64::from(observation.deleted),
                stamped_at: observation.stamped_at,
                sighted_at: observation.sighted_at,
                own_time: observation.own_time,
                received_at: observation.received_at,
                asserter: &observation.asserter,
            });
        }
        self.write_rows(&sql::OBSERVATIONS_INSERT, &[self.tenant.into()], &rows, &[]).await
    }

    /// The row of a content that was loaded or written before.
    ///
    /// # Errors
    /// If it was not.
    pub fn content_id(&self, digest: &Digest) -> Result<i64, StoreError> {
        self.contents.get(digest).copied().ok_or_else(|| StoreError::Corrupt("content".to_owned()))
    }

    async fn ensure_contents(&mut self, new: &[NewObservation]) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: i64,
            digest: String,
            spec_digest: String,
            facts: String,
            warnings: Option<&'a str>,
            resource_set_id: Option<i64>,
        }
        let unknown: BTreeMap<Digest, &NewObservation> = new
            .iter()
            .filter(|o| !self.contents.contains_key(&o.content.digest))
            .map(|o| (o.content.digest, o))
            .collect();
        let digests: Vec<Digest> = unknown.keys().copied().collect();
        for (i, id) in self.find_digests(&sql::CONTENTS_FIND, &digests).await? {
            self.contents.insert(digests[i], id);
        }
        let missing: Vec<&NewObservation> =
            unknown.into_values().filter(|o| !self.contents.contains_key(&o.content.digest)).collect();
        let sets = self.ensure_resource_sets(&missing).await?;
        let mut rows = Vec::with_capacity(missing.len());
        for observation in missing {
            let id = self.id().await?;
            let content = &observation.content;
            self.contents.insert(content.digest, id);
            let set = observation.resources.as_ref().map(|resources| resource_set_digest(resources));
            rows.push(Row {
                id,
                digest: content.digest.hex(),
                spec_digest: content.spec.hex(),
                facts: serde_json::to_string(&content.facts).unwrap_or_default(),
                warnings: observation.warnings.as_deref(),
                resource_set_id: set.and_then(|digest| sets.get(&digest).copied()),
            });
        }
        self.write_rows(&sql::CONTENTS_INSERT, &[self.tenant.into()], &rows, &[]).await
    }

    pub(super) async fn find_digests(
        &mut self,
        statement: &'static Statement,
        digests: &[Digest],
    ) -> Result<Vec<(usize, i64)>, StoreError> {
        #[derive(Serialize)]
        struct Row {
            i: usize,
            digest: String,
        }
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Row> = digests.iter().enumerate().map(|(i, digest)| Row { i, digest: digest.hex() }).collect();
        let found: Vec<Pair> = self.tx.rows(statement, &[self.tenant.into(), json(&rows)]).await?;
        found.into_iter().map(|Pair(i, id)| Ok((index(i)?, id))).collect()
    }

    async fn ensure_resource_sets(&mut self, new: &[&NewObservation]) -> Result<HashMap<Digest, i64>, StoreError> {
        #[derive(Serialize)]
        struct Row {
            id: i64,
            digest: String,
            size: usize,
        }
        #[derive(Serialize)]
        struct Member {
            set_id: i64,
            resource_id: i64,
        }
        let sets: BTreeMap<Digest, &[Resource]> = new
            .iter()
            .filter_map(|o| o.resources.as_deref())
            .map(|resources| (resource_set_digest(resources), resources))
            .collect();
        let digests: Vec<Digest> = sets.keys().copied().collect();
        let mut ids: HashMap<Digest, i64> = self
            .find_digests(&sql::RESOURCE_SETS_FIND, &digests)
            .await?
            .into_iter()
            .map(|(i, id)| (digests[i], id))
            .collect();
        let missing: Vec<(Digest, &[Resource])> =
            sets.into_iter().filter(|(digest, _)| !ids.contains_key(digest)).collect();
        let resources = self.ensure_resources(&missing).await?;
        let (mut rows, mut members) = (Vec::new(), Vec::new());
        for (digest, set) in missing {
            let id = self.id().await?;
            ids.insert(digest, id);
            rows.push(Row { id, digest: digest.hex(), size: set.len() });
            members.extend(set.iter().map(|r| Member { set_id: id, resource_id: resources[r] }));
        }
        self.write_rows(&sql::RESOURCE_SETS_INSERT, &[self.tenant.into()], &rows, &[]).await?;
        self.write_rows(&sql::RESOURCE_MEMBERS_INSERT, &[self.tenant.into()], &members, &[]).await?;
        Ok(ids)
    }

    async fn ensure_resources<'a>(
        &mut self,
        sets: &[(Digest, &'a [Resource])],
    ) -> Result<HashMap<&'a Resource, i64>, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            i: usize,
            id: i64,
            api_version: &'a str,
            kind: &'a str,
            namespace: &'a str,
            name: &'a str,
        }
        fn row(i: usize, id: i64, r: &Resource) -> Row<'_> {
            Row { i, id, api_version: &r.api_version, kind: &r.kind, namespace: &r.namespace, name: &r.name }
        }
        let mut all: Vec<&Resource> = sets.iter().flat_map(|(_, set)| set.iter()).collect();
        all.sort();
        all.dedup();
        if all.is_empty() {
            return Ok(HashMap::new());
        }
        let asked: Vec<Row> = all.iter().enumerate().map(|(i, r)| row(i, 0, r)).collect();
        let found: Vec<Pair> = self.tx.rows(&sql::RESOURCES_FIND, &[self.tenant.into(), json(&asked)]).await?;
        let mut ids: HashMap<&Resource, i64> = HashMap::new();
        for Pair(i, id) in found {
            ids.insert(all[index(i)?], id);
        }
        let mut rows = Vec::new();
        for resource in all {
            if !ids.contains_key(resource) {
                let id = self.id().await?;
                ids.insert(resource, id);
                rows.push(row(0, id, resource));
            }
        }
        self.write_rows(&sql::RESOURCES_INSERT, &[self.tenant.into()], &rows, &[]).await?;
        Ok(ids)
    }

    /// Which of these ids are or were in quarantine.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn quarantined(&mut self, ids: &[i64]) -> Result<Vec<i64>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found: Vec<Id> = self.tx.rows(&sql::QUARANTINE_FIND, &[self.tenant.into(), json(&ids)]).await?;
        Ok(found.into_iter().map(|Id(id)| id).collect())
    }

    /// How many items and bytes are in quarantine.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn quarantine_size(&mut self) -> Result<(i64, i64), StoreError> {
        let row: Option<Pair> = self.tx.row(&sql::QUARANTINE_SIZE, &[self.tenant.into()]).await?;
        Ok(row.map_or((0, 0), |Pair(items, bytes)| (items, bytes)))
    }

    /// The contents of the objects of nodes, each with the facts that are stored and a body that says it.
    ///
    /// # Errors
    /// If the database fails or a body does not unpack.
    pub async fn contents(&mut self, nodes: &[i64]) -> Result<Vec<StoredContentBody>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            id: i64,
            kind: String,
            facts: String,
            body_id: i64,
        }
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Row> = self.tx.rows(&sql::FACTS_OF_NODES, &[self.tenant.into(), json(&nodes)]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.body_id).collect();
        let bodies: Vec<BodyRow> = self.tx.rows(&sql::BODIES_BY_ID, &[self.tenant.into(), json(&ids)]).await?;
        let bodies: HashMap<i64, BodyRow> = bodies.into_iter().map(|body| (body.id, body)).collect();
        rows.into_iter()
            .map(|Row { id, kind, facts, body_id }| {
                let body = bodies.get(&body_id).ok_or_else(|| StoreError::Corrupt(format!("body {body_id}")))?;
                Ok(StoredContentBody { id, kind, facts, body: unpack(body)? })
            })
            .collect()
    }

    /// Writes what newer rules need of contents.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_facts(&mut self, facts: &[(i64, String)]) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: i64,
            facts: &'a str,
        }
        let rows: Vec<Row> = facts.iter().map(|(id, facts)| Row { id: *id, facts }).collect();
        self.write_rows(&sql::FACTS_UPDATE, &[self.tenant.into()], &rows, &[]).await
    }

    /// The reasons for which items in quarantine were refused last; those that are not there are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn quarantine_reasons(&mut self, ids: &[i64]) -> Result<HashMap<i64, QuarantineReason>, StoreError> {
        #[derive(FromRow)]
        struct Found {
            id: i64,
            #[sqlx(flatten)]
            reason: QuarantineReason,
        }
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found: Vec<Found> = self.tx.rows(&sql::QUARANTINE_REASONS, &[self.tenant.into(), json(&ids)]).await?;
        Ok(found.into_iter().map(|row| (row.id, row.reason)).collect())
    }

    /// How the derived rows of `changes` differ from the stored ones.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn compare(&mut self, changes: &Changes) -> Result<Difference, StoreError> {
        let mut difference = Difference { surplus: changes.old_versions.len(), missing: changes.new_versions.len() };
        let (old, new) = self.diff_states(changes).await?;
        difference.surplus += old.len();
        difference.missing += new.len();
        // The listings of states that differ differ with them.
        let same = changes.states.iter().filter(|state| !new.contains(state));
        difference.missing += self.missing_listings(same).await?.len();
        let (old, new) = self.diff_epochs(changes).await?;
        difference.surplus += old.len();
        difference.missing += new.len();
        let (old, new) = self.diff_revisions(changes).await?;
        difference.surplus += old.len();
        difference.missing += new.len();
        let (old, new) = self.diff_findings(changes).await?;
        difference.surplus += old.len();
        difference.missing += new.len();
        let (old, new) = self.diff_operations(changes).await?;
        difference.surplus += old.len();
        difference.missing += new.len();
        let (old, new) = self.diff_lineage(changes).await?;
        difference.surplus += old.len();
        difference.missing += new.len();
        difference.missing += self.new_mentions(changes).await?;
        Ok(difference)
    }

    pub(super) async fn open_rows<T>(
        &mut self,
        statement: &'static Statement,
        ids: &[i64],
    ) -> Result<Vec<WithSeq<T>>, StoreError>
    where
        WithSeq<T>: super::driver::Row,
    {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.tx.rows(statement, &[self.tenant.into(), json(&ids)]).await
    }

    async fn diff_states(&mut self, changes: &Changes) -> Result<(Vec<WithSeq<StateRow>>, Vec<StateRow>), StoreError> {
        let open = self.open_rows(&sql::STATES_OPEN, &changes.objects).await?;
        Ok(diff(&open, &changes.states))
    }

    async fn diff_epochs(&mut self, changes: &Changes) -> Result<(Vec<WithSeq<EpochRow>>, Vec<EpochRow>), StoreError> {
        let open = self.open_rows(&sql::EPOCHS_OPEN, &changes.sequences).await?;
        let (mut old, mut new) = diff(&open, &changes.epochs);
        old.extend_from_slice(&changes.patch.old_epochs);
        new.extend_from_slice(&changes.patch.new_epochs);
        Ok((old, new))
    }

    async fn diff_revisions(
        &mut self,
        changes: &Changes,
    ) -> Result<(Vec<WithSeq<RevisionRow>>, Vec<RevisionRow>), StoreError> {
        let open = self.open_rows(&sql::REVISIONS_OPEN, &changes.sequences).await?;
        let (mut old, mut new) = diff(&open, &changes.revisions);
        old.extend_from_slice(&changes.patch.old_revisions);
        new.extend_from_slice(&changes.patch.new_revisions);
        Ok((old, new))
    }

    async fn diff_findings(
        &mut self,
        changes: &Changes,
    ) -> Result<(Vec<WithSeq<FindingRow>>, Vec<FindingRow>), StoreError> {
        let open = self.open_rows(&sql::FINDINGS_OPEN, &changes.units).await?;
        let (mut old, mut new) = diff(&open, &changes.findings);
        old.extend_from_slice(&changes.patch.old_findings);
        new.extend_from_slice(&changes.patch.new_findings);
        Ok((old, new))
    }

    /// Writes the changes as one commit of the ledger. Without entries nothing is written but edges.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn apply(&mut self, changes: &Changes, now: i64) -> Result<Option<Commit>, StoreError> {
        self.insert_edges(&changes.edges).await?;
        self.write_index(&changes.states).await?;
        if changes.entries.is_empty() {
            return Ok(None);
        }
        let operations = self.diff_operations(changes).await?;
        let epochs = self.diff_epochs(changes).await?;
        let revisions = self.diff_revisions(changes).await?;
        let findings = self.diff_findings(changes).await?;
        let states = self.diff_states(changes).await?;
        let listings = self.diff_listings(changes, &states, &findings).await?;
        let lineage = self.diff_lineage(changes).await?;
        self.move_documents(&states.0, &states.1).await?;
        // Last of all what the whole tenant waits for: the head of the ledger.
        let commit = self.take_commit(&changes.entries, now).await?;
        let seq = commit.seq;
        self.write_versions(changes, seq).await?;
        self.write_states(states, seq, changes.rules).await?;
        self.write_epochs(epochs, seq, changes.rules).await?;
        self.write_revisions(revisions, seq, changes.rules).await?;
        self.write_findings(findings, seq, changes.rules).await?;
        self.write_listings(listings, seq).await?;
        self.write_lineage(lineage, seq, changes.rules).await?;
        self.write_operations(operations, changes.rules).await?;
        self.write_mentions(changes, seq).await?;
        self.write_quarantine(changes, seq).await?;
        Ok(Some(commit))
    }

    async fn insert_edges(&mut self, edges: &[(i64, EdgeKind, i64)]) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row {
            dst: i64,
            kind: i64,
            src: i64,
        }
        let rows: Vec<Row> =
            edges.iter().map(|(src, kind, dst)| Row { dst: *dst, kind: *kind as i64, src: *src }).collect();
        self.write_rows(&sql::EDGES_INSERT, &[self.tenant.into()], &rows, &[]).await
    }

    async fn take_commit(&mut self, entries: &[Entry], now: i64) -> Result<Commit, StoreError> {
        let row = |entry: &'_ Entry| {
            let content = |digest: Option<Digest>| match digest {
                Some(digest) => match self.known_content(entry, &digest) {
                    Some(id) => (Some(id), None),
                    None => (None, Some(digest.hex())),
                },
                None => (None, None),
            };
            let ((content_id, content_digest), (previous_id, previous_digest)) =
                (content(entry.content), content(entry.previous));
            (content_id, content_digest, previous_id, previous_digest)
        };
        let known: Vec<_> = entries.iter().map(row).collect();
        let rows = entries.iter().zip(known).map(|(entry, known)| LedgerRow {
            kind: entry.kind,
            source_id: Some(self.source),
            identity: if entry.object.is_some() { "" } else { &entry.identity },
            object_id: entry.object,
            content_id: known.0,
            content_digest: known.1,
            previous_id: known.2,
            previous_digest: known.3,
            principal: &entry.principal,
        });
        take_commit(&mut self.tx, self.tenant, rows.collect(), now).await
    }

    /// The row of a content that an object's entry names.
    fn known_content(&self, entry: &Entry, digest: &Digest) -> Option<i64> {
        entry.object.and_then(|_| self.contents.get(digest).copied())
    }

    async fn write_versions(&mut self, changes: &Changes, seq: i64) -> Result<(), StoreError> {
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::VERSIONS_CLOSE, &before, &changes.old_versions, &[]).await?;
        self.write_rows(&sql::VERSIONS_INSERT, &before, &changes.new_versions, &[changes.rules.into()]).await
    }

    async fn write_states(
        &mut self,
        (old, new): (Vec<WithSeq<StateRow>>, Vec<StateRow>),
        seq: i64,
        rules: i64,
    ) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Old {
            object_id: i64,
            from_seq: i64,
        }
        let old: Vec<Old> = old.into_iter().map(|o| Old { object_id: o.row.object_id, from_seq: o.from_seq }).collect();
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::STATES_CLOSE, &before, &old, &[]).await?;
        self.write_rows(&sql::STATES_INSERT, &before, &new, &[self.source.into(), rules.into()]).await
    }

    async fn write_epochs(
        &mut self,
        (old, new): (Vec<WithSeq<EpochRow>>, Vec<EpochRow>),
        seq: i64,
        rules: i64,
    ) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Old {
            sequence_id: i64,
            uid: String,
            from_seq: i64,
        }
        let old: Vec<Old> = old
            .into_iter()
            .map(|o| Old { sequence_id: o.row.sequence_id, uid: o.row.uid, from_seq: o.from_seq })
            .collect();
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::EPOCHS_CLOSE, &before, &old, &[]).await?;
        self.write_rows(&sql::EPOCHS_INSERT, &before, &new, &[self.source.into(), rules.into()]).await
    }

    async fn write_revisions(
        &mut self,
        (old, new): (Vec<WithSeq<RevisionRow>>, Vec<RevisionRow>),
        seq: i64,
        rules: i64,
    ) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Old {
            sequence_id: i64,
            epoch_uid: String,
            revision: i64,
            first_at: i64,
            key_hash: i64,
            from_seq: i64,
        }
        let old: Vec<Old> = old
            .into_iter()
            .map(|o| Old {
                sequence_id: o.row.sequence_id,
                epoch_uid: o.row.epoch_uid,
                revision: o.row.revision,
                first_at: o.row.first_at,
                key_hash: o.row.key_hash,
                from_seq: o.from_seq,
            })
            .collect();
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::REVISIONS_CLOSE, &before, &old, &[]).await?;
        self.write_rows(&sql::REVISIONS_INSERT, &before, &new, &[rules.into()]).await
    }

    async fn write_findings(
        &mut self,
        (old, new): (Vec<WithSeq<FindingRow>>, Vec<FindingRow>),
        seq: i64,
        rules: i64,
    ) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Old {
            unit_id: i64,
            code: String,
            subject: String,
            from_seq: i64,
            replaced: i64,
        }
        let goes_on = |old: &FindingRow| {
            new.iter().any(|n| (n.unit_id, &n.code, &n.subject) == (old.unit_id, &old.code, &old.subject))
        };
        let old: Vec<Old> = old
            .into_iter()
            .map(|o| Old {
                replaced: i64::from(goes_on(&o.row)),
                unit_id: o.row.unit_id,
                code: o.row.code,
                subject: o.row.subject,
                from_seq: o.from_seq,
            })
            .collect();
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::FINDINGS_CLOSE, &before, &old, &[]).await?;
        self.write_rows(&sql::FINDINGS_INSERT, &before, &new, &[self.source.into(), rules.into()]).await
    }

    /// How many of the names are not stored yet.
    async fn new_mentions(&mut self, changes: &Changes) -> Result<usize, StoreError> {
        if changes.mentions.is_empty() {
            return Ok(0);
        }
        let rows = mention_rows(changes);
        let found: Vec<Pair> =
            self.tx.rows(&sql::MENTIONS_FIND, &[self.tenant.into(), self.source.into(), json(&rows)]).await?;
        Ok(rows.len() - found.len())
    }

    async fn write_mentions(&mut self, changes: &Changes, seq: i64) -> Result<(), StoreError> {
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::MENTIONS_INSERT, &before, &mention_rows(changes), &[self.source.into()]).await
    }

    async fn write_quarantine(&mut self, changes: &Changes, seq: i64) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: i64,
            digest: String,
            code: &'a str,
            path: &'a str,
            message: &'a str,
            principal: &'a str,
            received_at: i64,
            strict: i64,
            size: usize,
            bytes: String,
        }
        let rows: Vec<Row> = changes
            .quarantine
            .iter()
            .map(|item| Row {
                id: item.id(&self.source_name),
                digest: Digest::of_bytes(&item.bytes).hex(),
                code: &item.code,
                path: &item.path,
                message: &item.message,
                principal: &item.principal,
                received_at: item.received_at,
                strict: i64::from(item.strict),
                size: item.bytes.len(),
                bytes: hex::encode(&item.bytes),
            })
            .collect();
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::QUARANTINE_INSERT, &before, &rows, &[self.source.into()]).await?;
        self.write_rows(&sql::QUARANTINE_CLOSE, &before, &changes.released, &[]).await?;
        self.write_refusals(&changes.refused, seq).await
    }

    async fn write_refusals(&mut self, refused: &[NewRefusal], seq: i64) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: i64,
            code: &'a str,
            path: &'a str,
            message: &'a str,
            principal: &'a str,
            refused_at: i64,
            strict: i64,
        }
        let rows: Vec<Row> = refused
            .iter()
            .map(|refusal| Row {
                id: refusal.id,
                code: &refusal.reason.code,
                path: &refusal.reason.path,
                message: &refusal.reason.message,
                principal: &refusal.principal,
                refused_at: refusal.refused_at,
                strict: refusal.reason.strict,
            })
            .collect();
        let ids: Vec<i64> = refused.iter().map(|refusal| refusal.id).collect();
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::QUARANTINE_REFUSALS_CLOSE, &before, &ids, &[]).await?;
        self.write_rows(&sql::QUARANTINE_REFUSALS_INSERT, &before, &rows, &[]).await
    }

    /// Makes everything written durable: when this returns, it is on disk.
    ///
    /// # Errors
    /// If the database fails; nothing was written then.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit_and_tell(&self.wakes).await
    }
}

/// The row of a tenant, which is made if it is new, with the head of its ledger.
pub(super) async fn ensure_tenant(tx: &mut Tx, name: &str) -> Result<i64, StoreError> {
    if let Some(Id(known)) = tx.row(&sql::TENANT_BY_NAME, &[name.into()]).await? {
        return Ok(known);
    }
    tx.execute(&sql::TENANT_ENSURE, &[name.into(), RULES.into()]).await?;
    let made: Option<Id> = tx.row(&sql::TENANT_BY_NAME, &[name.into()]).await?;
    let Id(tenant) = made.ok_or_else(|| StoreError::Corrupt("tenant".to_owned()))?;
    tx.execute(&sql::LEDGER_ENSURE, &[tenant.into()]).await?;
    Ok(tenant)
}

/// An entry of the ledger, as it is stored.
#[derive(Serialize)]
pub(super) struct LedgerRow<'a> {
    pub(super) kind: &'a str,
    pub(super) source_id: Option<i64>,
    pub(super) identity: &'a str,
    pub(super) object_id: Option<i64>,
    pub(super) content_id: Option<i64>,
    pub(super) content_digest: Option<String>,
    pub(super) previous_id: Option<i64>,
    pub(super) previous_digest: Option<String>,
    pub(super) principal: &'a str,
}

/// Takes the next commit of a tenant's ledger and writes its entries.
pub(super) async fn take_commit(
    tx: &mut Tx,
    tenant: i64,
    entries: Vec<LedgerRow<'_>>,
    now: i64,
) -> Result<Commit, StoreError> {
    #[derive(FromRow)]
    struct Head(i64, i64, i64);
    #[derive(Serialize)]
    struct Row<'a> {
        n: usize,
        leaf: i64,
        #[serde(flatten)]
        entry: LedgerRow<'a>,
    }
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let head = tx.row(&sql::LEDGER_TAKE, &[tenant.into(), count.into(), now.into()]).await?;
    let Some(Head(seq, leaf, committed_at)) = head else {
        return Err(StoreError::Corrupt("ledger head".to_owned()));
    };
    tx.execute(&sql::LEDGER_COMMIT_INSERT, &[tenant.into(), seq.into(), committed_at.into(), count.into()]).await?;
    let rows: Vec<Row> =
        entries.into_iter().zip(leaf..).enumerate().map(|(n, (entry, leaf))| Row { n, leaf, entry }).collect();
    tx.execute(&sql::LEDGER_ENTRIES_INSERT, &[tenant.into(), seq.into(), json(&rows)]).await?;
    tx.moves(Topic::Ledger { tenant }, seq);
    Ok(Commit { seq, committed_at })
}

/// The stored rows that should not be there, and the derived rows that should.
pub(super) fn diff<T: Eq + Hash + Clone>(open: &[WithSeq<T>], derived: &[T]) -> (Vec<WithSeq<T>>, Vec<T>) {
    let known: HashSet<&T> = open.iter().map(|o| &o.row).collect();
    let new = derived.iter().filter(|row| !known.contains(row)).cloned().collect();
    let wanted: HashSet<&T> = derived.iter().collect();
    let old = open.iter().filter(|o| !wanted.contains(&o.row)).cloned().collect();
    (old, new)
}

#[derive(Serialize)]
struct MentionRow<'a> {
    i: usize,
    kind: &'static str,
    name: &'a str,
}

fn mention_rows(changes: &Changes) -> Vec<MentionRow<'_>> {
    changes.mentions.iter().enumerate().map(|(i, (named, name))| MentionRow { i, kind: named.word(), name }).collect()
}

pub(super) fn node_key(i: usize, id: i64, key: &NaturalKey) -> NodeKey<'_> {
    NodeKey { i, id, kind: &key.kind, cluster: &key.cluster, namespace: &key.namespace, name: &key.name }
}

pub(super) fn index(i: i64) -> Result<usize, StoreError> {
    usize::try_from(i).map_err(|_| StoreError::Corrupt("index".to_owned()))
}

pub(super) fn read_digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    bytes.try_into().map(Digest).map_err(|_| StoreError::Corrupt("digest".to_owned()))
}

/// The stored name of an ending.
#[must_use]
pub fn end_name(end: End) -> &'static str {
    match end {
        End::Changed => "CHANGED",
        End::Deleted => "DELETED",
        End::Snapshot => "SNAPSHOT",
        End::Owner => "OWNER",
        End::Successor => "SUCCESSOR",
    }
}

pub(super) fn parse_end(name: &str) -> Result<End, StoreError> {
    [End::Changed, End::Deleted, End::Snapshot, End::Owner, End::Successor]
        .into_iter()
        .find(|end| end_name(*end) == name)
        .ok_or_else(|| StoreError::Corrupt(format!("ending {name}")))
}
