//! Derives everything that follows from what was observed, for the part of a source that a batch touches.
//!
//! First the histories of the touched natural keys, and of what their executions own. Then every rule
//! that read one of the changed keys, or whose collection has one as a member, runs again. What a rule
//! asks for and is not loaded is fetched in bulk, and the rule runs again with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;

use crate::domain::digest::Digest;
use crate::domain::facts::{Detail, Owner};
use crate::domain::findings::{self, Finding};
use crate::domain::history::{History, Observed, Prepared, Version};
use crate::domain::identity::{DELIVERY, FAMILY, NaturalKey, SEQUENCE};
use crate::domain::kind;
use crate::domain::mention::mentions;
use crate::domain::sequence::{self, Epoch, RowRef, Sequence};
use crate::domain::world::{Object, Reader, World, pack_name};
use crate::storage::{
    Changes, EdgeKind, EpochRow, FindingRow, NewVersion, OldVersion, RevisionRow, StateRow, StoreError, StoredObject,
    StoredObserved, WriteTx, end_name, hash63,
};

/// The version of the rules. Raise it with every change of what they derive, and rebuild.
pub const RULES: i64 = 1;

/// The observations of the natural keys that a batch touches.
pub type Touched = BTreeMap<NaturalKey, Vec<StoredObserved>>;

/// What a derivation found.
#[derive(Debug, Default)]
pub struct Derived {
    /// What to write.
    pub changes: Changes,
    /// The objects whose history changed.
    pub changed: Vec<ChangedObject>,
}

/// An object whose history changed.
#[derive(Debug, Clone)]
pub struct ChangedObject {
    /// Its row.
    pub id: i64,
    /// Its object key.
    pub identity: String,
    /// The digest of its latest content before.
    pub previous: Option<Digest>,
    /// The digest of its latest content now; `None` if it exists no longer.
    pub current: Option<Digest>,
    /// It was live before and is not now.
    pub closed: bool,
}

/// Derives what follows from the touched observations. With `all`, every rule on the touched keys runs
/// even if their histories are what is stored.
///
/// # Errors
/// If the database fails.
pub async fn derive(tx: &mut WriteTx, touched: Touched, all: bool) -> Result<Derived, StoreError> {
    let mut derivation = Derivation { tx, world: World::default(), old: HashMap::new(), edges: BTreeSet::new(), all };
    let (histories, changed) = derivation.histories(touched).await?;
    let dirty: BTreeSet<NaturalKey> = if all { histories.keys().cloned().collect() } else { changed };
    let lifetimes_only = derivation.put_changed(&histories);
    let units = derivation.dirty_units(&dirty, &lifetimes_only).await?;
    let outputs = derivation.run(units).await?;
    derivation.collect(&histories, outputs).await
}

type Histories = BTreeMap<NaturalKey, Vec<Object>>;

struct Derivation<'t> {
    tx: &'t mut WriteTx,
    world: World,
    old: HashMap<NaturalKey, Vec<StoredObject>>,
    edges: BTreeSet<(NaturalKey, EdgeKind, NaturalKey)>,
    /// Every touched object's rows are derived, not only those of objects that changed.
    all: bool,
}

/// What one unit derived.
#[derive(Default)]
struct Output {
    findings: Vec<Finding>,
    sequence: Option<Sequence>,
    joins: Vec<NaturalKey>,
}

impl Derivation<'_> {
    /// The histories of the touched keys and of what their executions own, and the keys that changed.
    async fn histories(&mut self, touched: Touched) -> Result<(Histories, BTreeSet<NaturalKey>), StoreError> {
        let (executions, mut others): (Touched, Touched) =
            touched.into_iter().partition(|(key, _)| key.kind == kind::EXECUTION);
        let mut histories = self.finish(executions).await?;
        let ended: Vec<NaturalKey> = histories
            .iter()
            .filter(|(key, now)| self.lifetimes(key) != lifetimes(now))
            .map(|(key, _)| key.clone())
            .collect();
        self.add_owned(&ended, &mut others).await?;
        for (key, objects) in &histories {
            self.world.put_group(key.clone(), objects.clone());
        }
        histories.extend(self.finish(others).await?);
        let changed =
            histories.iter().filter(|(key, now)| !self.is_stored(key, now)).map(|(key, _)| key.clone()).collect();
        Ok((histories, changed))
    }

    async fn add_owned(&mut self, owners: &[NaturalKey], into: &mut Touched) -> Result<(), StoreError> {
        let nodes: Vec<i64> = owners.iter().filter_map(|key| self.tx.node(key)).collect();
        let links = self.tx.dependents(&nodes, EdgeKind::OwnedBy).await?;
        let owned: BTreeMap<i64, NaturalKey> =
            links.into_values().flatten().filter(|(_, key)| !into.contains_key(key)).collect();
        let ids: Vec<i64> = owned.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut observed = self.tx.observed(&ids).await?;
        for (id, key) in owned {
            into.insert(key, observed.remove(&id).unwrap_or_default());
        }
        Ok(())
    }

    /// The histories of keys whose observations are at hand.
    async fn finish(&mut self, touched: Touched) -> Result<Histories, StoreError> {
        let keys: Vec<NaturalKey> = touched.keys().cloned().collect();
        self.load_old(&keys).await?;
        let observed: Vec<(NaturalKey, Vec<i64>, Vec<Observed>)> = touched
            .into_iter()
            .map(|(key, objects)| {
                let (ids, observed) = objects.into_iter().map(|object| (object.id, object.observed)).unzip();
                (key, ids, observed)
            })
            .collect();
        let prepared: Vec<Prepared> = observed.iter().map(|(_, _, observed)| Prepared::new(observed)).collect();
        let omitted = self.omitted(&keys, &prepared).await?;
        self.load_owners(&keys, &prepared).await?;
        let mut histories = Histories::new();
        for (((key, ids, observed), prepared), omitted) in observed.iter().zip(prepared).zip(omitted) {
            let ended = |owner: &Owner| self.owner_closed(key, owner);
            let objects = prepared
                .finish(&omitted, ended)
                .into_iter()
                .zip(ids)
                .zip(observed)
                .filter(|((history, _), _)| !history.versions.is_empty())
                .map(|((history, id), observed)| Object {
                    id: *id,
                    key: key.clone(),
                    uid: observed.uid.clone(),
                    history,
                })
                .collect();
            histories.insert(key.clone(), objects);
        }
        Ok(histories)
    }

    async fn omitted(
        &mut self,
        keys: &[NaturalKey],
        prepared: &[Prepared<'_>],
    ) -> Result<Vec<Vec<Option<i64>>>, StoreError> {
        let evidence: Vec<Vec<i64>> = prepared.iter().map(Prepared::evidence).collect();
        let asked: Vec<(&str, &str, i64)> = keys
            .iter()
            .zip(&evidence)
            .flat_map(|(key, times)| times.iter().map(|t| (key.kind.as_str(), key.namespace.as_str(), *t)))
            .collect();
        let mut found = self.tx.next_snapshots(&asked).await?.into_iter();
        Ok(evidence.iter().map(|times| found.by_ref().take(times.len()).collect()).collect())
    }

    async fn load_owners(&mut self, keys: &[NaturalKey], prepared: &[Prepared<'_>]) -> Result<(), StoreError> {
        let mut owners = BTreeSet::new();
        for (key, prepared) in keys.iter().zip(prepared).filter(|(key, _)| key.kind != kind::EXECUTION) {
            for owner in prepared.owners() {
                let owner = owner_key(key, owner);
                self.edges.insert((key.clone(), EdgeKind::OwnedBy, owner.clone()));
                owners.insert(owner);
            }
        }
        let missing: BTreeSet<NaturalKey> = owners.into_iter().filter(|key| self.world.group(key).is_none()).collect();
        self.load(&missing).await
    }

    fn owner_closed(&self, key: &NaturalKey, owner: &Owner) -> Option<i64> {
        if key.kind == kind::EXECUTION {
            return None;
        }
        let group = self.world.group(&owner_key(key, owner))?;
        group.iter().find(|object| object.uid.as_ref() == Some(&owner.uid))?.history.closed_at()
    }

    async fn load_old(&mut self, keys: &[NaturalKey]) -> Result<(), StoreError> {
        let keys: Vec<NaturalKey> = keys.iter().filter(|key| !self.old.contains_key(*key)).cloned().collect();
        self.tx.find_nodes(&keys).await?;
        let nodes: Vec<i64> = keys.iter().filter_map(|key| self.tx.node(key)).collect();
        let mut groups = self.tx.groups(&nodes).await?;
        for key in keys {
            let stored = self.tx.node(&key).and_then(|node| groups.remove(&node)).unwrap_or_default();
            self.old.insert(key, stored);
        }
        Ok(())
    }

    /// Loads groups and the members of collections into the world.
    async fn load(&mut self, missing: &BTreeSet<NaturalKey>) -> Result<(), StoreError> {
        let (collections, mut records): (Vec<NaturalKey>, Vec<NaturalKey>) =
            missing.iter().cloned().partition(NaturalKey::is_collection);
        self.tx.find_nodes(&collections).await?;
        let nodes: Vec<i64> = collections.iter().filter_map(|key| self.tx.node(key)).collect();
        let mut members = self.tx.members(&nodes).await?;
        for key in collections {
            let stored = self.tx.node(&key).and_then(|node| members.remove(&node)).unwrap_or_default();
            let stored: Vec<NaturalKey> = stored.into_iter().map(|(_, key)| key).collect();
            records.extend(stored.iter().filter(|key| self.world.group(key).is_none()).cloned());
            self.world.put_members(key, stored);
        }
        records.sort();
        records.dedup();
        self.load_old(&records).await?;
        for key in records {
            if self.world.group(&key).is_none() {
                let objects = self.old[&key].iter().map(|stored| object(&key, stored)).collect();
                self.world.put_group(key, objects);
            }
        }
        Ok(())
    }

    fn lifetimes(&self, key: &NaturalKey) -> Vec<Lifetime> {
        let mut found: Vec<Lifetime> = self
            .old
            .get(key)
            .into_iter()
            .flatten()
            .map(|stored| lifetime(stored.uid.as_deref(), &stored.history))
            .collect();
        found.sort();
        found
    }

    fn is_stored(&self, key: &NaturalKey, now: &[Object]) -> bool {
        let stored = self.old.get(key).map(Vec::as_slice).unwrap_or_default();
        stored.len() == now.len()
            && now
                .iter()
                .all(|object| stored.iter().any(|s| s.id == object.id && same_history(&s.history, &object.history)))
    }

    /// Puts the new histories into the world; returns the executions that changed in nothing that a
    /// sequence asks of them.
    fn put_changed(&mut self, histories: &Histories) -> BTreeSet<NaturalKey> {
        let mut same_life = BTreeSet::new();
        for (key, objects) in histories {
            if key.kind == kind::EXECUTION && self.lifetimes(key) == lifetimes(objects) {
                same_life.insert(key.clone());
            }
            self.world.put_group(key.clone(), objects.clone());
        }
        same_life
    }

    /// The changed keys themselves, the collections they ever joined, and what read them.
    async fn dirty_units(
        &mut self,
        dirty: &BTreeSet<NaturalKey>,
        same_life: &BTreeSet<NaturalKey>,
    ) -> Result<BTreeSet<NaturalKey>, StoreError> {
        let mut units = dirty.clone();
        let by_node: HashMap<i64, &NaturalKey> =
            dirty.iter().filter_map(|key| Some((self.tx.node(key)?, key))).collect();
        let nodes: Vec<i64> = by_node.keys().copied().collect();
        units.extend(self.tx.collections(&nodes).await?.into_values().flatten().map(|(_, key)| key));
        for (node, readers) in self.tx.dependents(&nodes, EdgeKind::Reads).await? {
            let is_same_life = same_life.contains(by_node[&node]);
            units.extend(readers.into_iter().map(|(_, key)| key).filter(|key| !(is_same_life && key.kind == SEQUENCE)));
        }
        Ok(units)
    }

    /// Runs the units: records first, since they tell which collections they join.
    async fn run(&mut self, units: BTreeSet<NaturalKey>) -> Result<BTreeMap<NaturalKey, Output>, StoreError> {
        let (mut collections, records): (BTreeSet<NaturalKey>, BTreeSet<NaturalKey>) =
            units.into_iter().partition(NaturalKey::is_collection);
        let mut outputs = self.run_all(records).await?;
        let joins: Vec<(NaturalKey, NaturalKey)> = outputs
            .iter()
            .flat_map(|(key, output)| output.joins.iter().map(move |join| (key.clone(), join.clone())))
            .collect();
        let missing: BTreeSet<NaturalKey> = joins.iter().map(|(_, join)| join.clone()).collect();
        self.load(&missing).await?;
        for (member, collection) in joins {
            self.world.join(&collection, &member);
            self.edges.insert((member, EdgeKind::MemberOf, collection.clone()));
            collections.insert(collection);
        }
        outputs.extend(self.run_all(collections).await?);
        Ok(outputs)
    }

    async fn run_all(&mut self, mut pending: BTreeSet<NaturalKey>) -> Result<BTreeMap<NaturalKey, Output>, StoreError> {
        let mut outputs = BTreeMap::new();
        while !pending.is_empty() {
            let mut missing = BTreeSet::new();
            for unit in std::mem::take(&mut pending) {
                let reader = Reader::new(&self.world);
                let output = run_unit(&reader, &unit);
                let members: BTreeSet<&NaturalKey> = self.world.members(&unit).iter().collect();
                let reads = reader.finish();
                if reads.missing.is_empty() {
                    for key in reads.read.iter().filter(|key| **key != unit && !members.contains(key)) {
                        self.edges.insert((unit.clone(), EdgeKind::Reads, key.clone()));
                    }
                    outputs.insert(unit, output);
                } else {
                    missing.extend(reads.missing);
                    pending.insert(unit);
                }
            }
            self.load(&missing).await?;
        }
        Ok(outputs)
    }

    async fn collect(
        mut self,
        histories: &Histories,
        outputs: BTreeMap<NaturalKey, Output>,
    ) -> Result<Derived, StoreError> {
        let edges = std::mem::take(&mut self.edges);
        let mut keys: BTreeSet<NaturalKey> = outputs.keys().chain(histories.keys()).cloned().collect();
        keys.extend(edges.iter().flat_map(|(src, _, dst)| [src.clone(), dst.clone()]));
        let keys: Vec<NaturalKey> = keys.into_iter().collect();
        self.tx.ensure_nodes(&keys).await?;
        let node = |key: &NaturalKey| self.tx.node(key).ok_or_else(|| StoreError::Corrupt(format!("node {key}")));

        let mut derived = Derived { changes: Changes { rules: RULES, ..Changes::default() }, changed: Vec::new() };
        for (src, kind, dst) in &edges {
            derived.changes.edges.push((node(src)?, *kind, node(dst)?));
        }
        for (key, output) in outputs {
            let unit = node(&key)?;
            derived.changes.units.push(unit);
            let findings = output.findings.iter().chain(output.sequence.iter().flat_map(|s| &s.findings));
            derived.changes.findings.extend(findings.map(|finding| finding_row(unit, finding)));
            if let Some(sequence) = output.sequence {
                derived.changes.sequences.push(unit);
                self.collect_sequence(unit, &sequence, &mut derived.changes);
            }
        }
        for (key, objects) in histories {
            self.collect_history(node(key)?, key, objects, &mut derived)?;
        }
        Ok(derived)
    }

    fn collect_sequence(&self, unit: i64, sequence: &Sequence, changes: &mut Changes) {
        for epoch in &sequence.epochs {
            changes.epochs.push(epoch_row(unit, epoch));
            changes.revisions.extend(epoch.rows.iter().map(|row| RevisionRow {
                sequence_id: unit,
                epoch_uid: epoch.uid.clone(),
                revision: row.revision,
                first_at: row.first_at,
                key_hash: hash63(&[self.tx.source_name().as_bytes(), row.ident.as_bytes()]),
                object_id: row.object,
                version_n: position(row.version),
                live: i64::from(row.live),
                superseded: i64::from(row.superseded),
            }));
        }
    }

    fn collect_history(
        &self,
        node: i64,
        key: &NaturalKey,
        objects: &[Object],
        derived: &mut Derived,
    ) -> Result<(), StoreError> {
        let stored = self.old.get(key).map(Vec::as_slice).unwrap_or_default();
        for old in stored.iter().filter(|old| !objects.iter().any(|object| object.id == old.id)) {
            derived.changes.old_versions.extend(old_versions(old, 0..old.from_seq.len()));
            derived.changes.objects.push(old.id);
            derived.changed.push(ChangedObject {
                id: old.id,
                identity: key.object_key(old.uid.as_deref()),
                previous: old.history.latest().map(|version| version.content.digest),
                current: None,
                closed: false,
            });
        }
        for object in objects {
            let old = stored.iter().find(|old| old.id == object.id);
            if self.all {
                derived.changes.objects.push(object.id);
                derived.changes.states.push(self.state_row(node, object)?);
                derived.changes.mentions.extend(object.history.versions.iter().flat_map(|v| mentions(key, v)));
            }
            if old.is_some_and(|old| same_history(&old.history, &object.history)) {
                continue;
            }
            for (n, version) in object.history.versions.iter().enumerate() {
                let before = old.and_then(|old| old.history.versions.get(n));
                if before.is_some_and(|before| same_version(before, version)) {
                    continue;
                }
                if let Some(old) = old.filter(|_| before.is_some()) {
                    derived.changes.old_versions.extend(old_versions(old, n..n + 1));
                }
                derived.changes.new_versions.push(self.new_version(object.id, n, version)?);
                derived.changes.mentions.extend(mentions(key, version));
            }
            if let Some(old) = old {
                let surplus = object.history.versions.len()..old.from_seq.len();
                derived.changes.old_versions.extend(old_versions(old, surplus));
            }
            if !self.all {
                derived.changes.objects.push(object.id);
                derived.changes.states.push(self.state_row(node, object)?);
            }
            derived.changed.push(ChangedObject {
                id: object.id,
                identity: object.object_key(),
                previous: old.and_then(|old| old.history.latest()).map(|version| version.content.digest),
                current: Some(object.latest().content.digest),
                closed: old.is_some_and(|old| old.history.is_live()) && !object.history.is_live(),
            });
        }
        Ok(())
    }

    fn new_version(&self, object_id: i64, n: usize, version: &Version) -> Result<NewVersion, StoreError> {
        Ok(NewVersion {
            object_id,
            n: position(n),
            from_at: version.from,
            to_at: version.to,
            end_kind: version.end.map(end_name),
            content_id: self.tx.content_id(&version.content.digest)?,
            observation_id: version.observation,
        })
    }

    fn state_row(&self, node_id: i64, object: &Object) -> Result<StateRow, StoreError> {
        let latest = object.latest();
        let pack = if object.key.kind == kind::PACK { Some(object.key.name.as_str()) } else { pack_name(latest) };
        let status = match &latest.content.facts.detail {
            Detail::Result(facts) => facts.status.clone(),
            _ => None,
        };
        Ok(StateRow {
            object_id: object.id,
            node_id,
            key_hash: hash63(&[self.tx.source_name().as_bytes(), object.object_key().as_bytes()]),
            kind: object.key.kind.clone(),
            born_at: object.birth(),
            first_at: object.history.first_at(),
            closed_at: object.history.closed_at(),
            end_kind: latest.end.map(|end| end_name(end).to_owned()),
            live: i64::from(object.history.is_live()),
            versions: position(object.history.versions.len()),
            content_id: self.tx.content_id(&latest.content.digest)?,
            observation_id: latest.observation,
            namespace: object.key.namespace.clone(),
            name: object.key.name.clone(),
            cluster: object.cluster().unwrap_or_default().to_owned(),
            pack: pack.unwrap_or_default().to_owned(),
            status: status.unwrap_or_default(),
        })
    }
}

fn run_unit(reader: &Reader, unit: &NaturalKey) -> Output {
    match unit.kind.as_str() {
        SEQUENCE => Output { sequence: Some(sequence::derive(reader, unit)), ..Output::default() },
        DELIVERY => Output { findings: findings::derive_delivery(reader, unit), ..Output::default() },
        FAMILY => Output { findings: findings::derive_family(reader, unit), ..Output::default() },
        _ => {
            let (findings, joins) = findings::derive(reader, unit);
            Output { findings, joins, ..Output::default() }
        }
    }
}

fn owner_key(key: &NaturalKey, owner: &Owner) -> NaturalKey {
    NaturalKey::new(kind::EXECUTION, &key.namespace, &owner.name)
}

fn object(key: &NaturalKey, stored: &StoredObject) -> Object {
    Object { id: stored.id, key: key.clone(), uid: stored.uid.clone(), history: stored.history.clone() }
}

type Lifetime = (Option<String>, i64, i64, Option<i64>);

fn lifetime(uid: Option<&str>, history: &History) -> Lifetime {
    (uid.map(ToOwned::to_owned), history.birth(), history.first_at(), history.closed_at())
}

fn lifetimes(objects: &[Object]) -> Vec<Lifetime> {
    let mut found: Vec<Lifetime> =
        objects.iter().map(|object| lifetime(object.uid.as_deref(), &object.history)).collect();
    found.sort();
    found
}

fn same_version(a: &Version, b: &Version) -> bool {
    (a.from, a.to, a.end, a.content.digest, a.observation) == (b.from, b.to, b.end, b.content.digest, b.observation)
}

fn same_history(a: &History, b: &History) -> bool {
    a.versions.len() == b.versions.len() && a.versions.iter().zip(&b.versions).all(|(a, b)| same_version(a, b))
}

fn old_versions(old: &StoredObject, range: std::ops::Range<usize>) -> impl Iterator<Item = OldVersion> {
    range.map(|n| OldVersion { object_id: old.id, n: position(n), from_seq: old.from_seq[n] })
}

fn position(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn finding_row(unit_id: i64, finding: &Finding) -> FindingRow {
    let subject = finding.subject.to_string();
    FindingRow {
        unit_id,
        code: finding.code.to_owned(),
        id: hash63(&[finding.code.as_bytes(), subject.as_bytes()]),
        subject,
        severity: finding.severity.as_str().to_owned(),
        detail: serde_json::Value::Object(finding.detail.clone()).to_string(),
    }
}

fn epoch_row(sequence_id: i64, epoch: &Epoch) -> EpochRow {
    let object = |place: &RowRef| {
        epoch.rows.iter().find(|row| row.revision == place.revision && row.ident == place.ident).map(|row| row.object)
    };
    let status = serde_json::to_value(epoch.status).ok();
    EpochRow {
        sequence_id,
        uid: epoch.uid.clone(),
        position: epoch.rank,
        status: status.as_ref().and_then(|s| s.as_str()).unwrap_or_default().to_owned(),
        born_at: epoch.born_at,
        revisions: position(epoch.rows.len()),
        head_id: object(&epoch.head).unwrap_or_default(),
        head_revision: epoch.head.revision,
        active_id: epoch.active.as_ref().and_then(object),
        active_revision: epoch.active.as_ref().map(|active| active.revision),
        detail: json!({"gaps": epoch.gaps, "forks": epoch.forks, "broken": epoch.broken,
            "head": epoch.head, "active": epoch.active})
        .to_string(),
    }
}
