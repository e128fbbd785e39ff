//! Derives everything that follows from what was observed, for the part of a source that a batch touches.
//!
//! First the histories of the touched natural keys, and of what their executions own. Then every rule
//! that read one of the changed keys, or whose collection has one as a member, runs again. What a rule
//! asks for and is not loaded is fetched in bulk, and the rule runs again with it.
//!
//! Collections are long, and most changes of their members are small: `advance` derives the end of a
//! sequence alone where that suffices.

mod advance;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::RULES;
use crate::domain::digest::Digest;
use crate::domain::face::{looks_same, looks_same_but_for_status, looks_same_to_results};
use crate::domain::facts::{Detail, Owner};
use crate::domain::findings::{self, Finding};
use crate::domain::history::{History, Observed, Prepared, Version};
use crate::domain::identity::{DELIVERY, FAMILY, NaturalKey, SEQUENCE};
use crate::domain::kind;
use crate::domain::lineage::{self, Declared, Vertex};
use crate::domain::mention::{Named, mentions, pack_on_cluster};
use crate::domain::operation::{self, Operation};
use crate::domain::sequence::{self, Row, Sequence, Summary};
use crate::domain::world::{Object, Reader, World, pack_name};
use crate::storage::{
    Changes, EdgeKind, EpochRow, FindingRow, LineageRow, NewOperation, NewVersion, OldVersion, Patch, RevisionRow,
    StateRow, StoreError, StoredObject, StoredObserved, WriteTx, end_name, hash63,
};

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
    let mut derivation = Derivation {
        tx,
        world: World::default(),
        old: HashMap::new(),
        edges: BTreeSet::new(),
        patch: Patch::default(),
        newly_owned: BTreeSet::new(),
        all,
    };
    let (histories, changed) = derivation.histories(touched).await?;
    let dirty: BTreeSet<NaturalKey> = if all { histories.keys().cloned().collect() } else { changed };
    let unheard = derivation.put_changed(&histories);
    let units = derivation.dirty_units(&dirty, &unheard).await?;
    let outputs = derivation.run(units).await?;
    derivation.collect(&histories, outputs).await
}

type Histories = BTreeMap<NaturalKey, Vec<Object>>;

struct Derivation<'t> {
    tx: &'t mut WriteTx,
    world: World,
    old: HashMap<NaturalKey, Vec<StoredObject>>,
    edges: BTreeSet<(NaturalKey, EdgeKind, NaturalKey)>,
    /// What changes of the sequences that were advanced.
    patch: Patch,
    /// What is owned by an execution that was not seen before.
    newly_owned: BTreeSet<NaturalKey>,
    /// Every unit runs, whether or not what it reads looks the same.
    all: bool,
}

/// What is to run again, and why.
#[derive(Default)]
struct Units {
    records: BTreeSet<NaturalKey>,
    collections: BTreeMap<NaturalKey, Causes>,
    /// A pack changed in what its readers see.
    has_new_packs: bool,
}

/// Why a collection is to run again.
#[derive(Default)]
struct Causes {
    /// Members that changed, or that read what changed.
    members: BTreeSet<NaturalKey>,
    /// Changed keys that its rule read by name.
    reads: BTreeSet<NaturalKey>,
}

/// What one unit derived.
#[derive(Default)]
struct Output {
    findings: Vec<Finding>,
    /// The base packs of a record's objects, in their order.
    bases: Vec<Option<String>>,
    operations: Vec<Operation>,
    lineage: Vec<Declared>,
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
        let born: BTreeSet<&NaturalKey> =
            ended.iter().filter(|key| uids(&self.before(key)) != uids(&histories[*key])).collect();
        self.add_owned(&ended, &born, &mut others).await?;
        for (key, objects) in &histories {
            self.world.put_group(key.clone(), objects.clone());
        }
        histories.extend(self.finish(others).await?);
        let changed =
            histories.iter().filter(|(key, now)| !self.is_stored(key, now)).map(|(key, _)| key.clone()).collect();
        Ok((histories, changed))
    }

    /// What owners own is to be derived again with them; where an owner is new, also what follows from it.
    async fn add_owned(
        &mut self,
        owners: &[NaturalKey],
        born: &BTreeSet<&NaturalKey>,
        into: &mut Touched,
    ) -> Result<(), StoreError> {
        let nodes: Vec<i64> = owners.iter().filter_map(|key| self.tx.node(key)).collect();
        let links = self.tx.dependents(&nodes, EdgeKind::OwnedBy).await?;
        for owner in born {
            let owned = self.tx.node(owner).and_then(|node| links.get(&node)).into_iter().flatten();
            self.newly_owned.extend(owned.map(|(_, key)| key.clone()));
        }
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
        self.load_ends(&owners).await
    }

    fn owner_closed(&self, key: &NaturalKey, owner: &Owner) -> Option<i64> {
        if key.kind == kind::EXECUTION {
            return None;
        }
        self.world.end(&owner_key(key, owner), &owner.uid)?.closed_at
    }

    /// Loads the ends of the objects of keys into the world, where their groups are not.
    async fn load_ends(&mut self, keys: &BTreeSet<NaturalKey>) -> Result<(), StoreError> {
        let missing: Vec<NaturalKey> = keys.iter().filter(|key| !self.world.has_ends(key)).cloned().collect();
        self.tx.find_nodes(&missing).await?;
        let nodes: Vec<i64> = missing.iter().filter_map(|key| self.tx.node(key)).collect();
        let mut ends = self.tx.ends(&nodes).await?;
        for key in missing {
            let found = self.tx.node(&key).and_then(|node| ends.remove(&node)).unwrap_or_default();
            self.world.put_ends(key, found);
        }
        Ok(())
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

    /// Puts the new histories into the world; returns what changed in nothing that some of its readers
    /// ask of it.
    fn put_changed(&mut self, histories: &Histories) -> Unheard {
        let mut unheard = Unheard::default();
        for (key, objects) in histories {
            let is_same_life = self.lifetimes(key) == lifetimes(objects);
            if key.kind == kind::EXECUTION && is_same_life {
                unheard.by_sequences.insert(key.clone());
            }
            let is_pack_or_execution = [kind::PACK, kind::EXECUTION].contains(&key.kind.as_str());
            if is_pack_or_execution && looks_same_to_results(&self.before(key), objects) {
                unheard.by_results.insert(key.clone());
            }
            self.world.put_group(key.clone(), objects.clone());
        }
        unheard
    }

    /// The changed keys themselves, the collections they ever joined, and what read them, if there is
    /// anything new to read.
    async fn dirty_units(&mut self, dirty: &BTreeSet<NaturalKey>, unheard: &Unheard) -> Result<Units, StoreError> {
        let mut units = Units { records: dirty.union(&self.newly_owned).cloned().collect(), ..Units::default() };
        let by_node: HashMap<i64, &NaturalKey> =
            dirty.iter().filter_map(|key| Some((self.tx.node(key)?, key))).collect();
        let nodes: Vec<i64> = by_node.keys().copied().collect();
        for (node, collections) in self.tx.collections(&nodes).await? {
            for (_, collection) in collections {
                units.collections.entry(collection).or_default().members.insert(by_node[&node].clone());
            }
        }
        let seen: BTreeSet<&NaturalKey> = dirty.iter().filter(|key| self.all || self.is_seen(key)).collect();
        units.has_new_packs = seen.iter().any(|key| key.kind == kind::PACK);
        let nodes: Vec<i64> = seen.iter().filter_map(|key| self.tx.node(key)).collect();
        for (node, readers) in self.tx.dependents(&nodes, EdgeKind::Reads).await? {
            let read = by_node[&node];
            let (by_sequences, by_results) = (unheard.by_sequences.contains(read), unheard.by_results.contains(read));
            for (_, reader) in readers {
                let is_unheard = match reader.kind.as_str() {
                    SEQUENCE => by_sequences,
                    kind::RESULT => by_results,
                    _ => false,
                };
                if is_unheard {
                    continue;
                }
                if reader.is_collection() {
                    units.collections.entry(reader).or_default().reads.insert(read.clone());
                } else {
                    units.records.insert(reader);
                }
            }
        }
        Ok(units)
    }

    /// The objects that a touched key had.
    fn before(&self, key: &NaturalKey) -> Vec<Object> {
        self.old.get(key).into_iter().flatten().map(|stored| object(key, stored)).collect()
    }

    fn after(&self, key: &NaturalKey) -> &[Object] {
        self.world.group(key).unwrap_or_default()
    }

    /// Whether a touched key changed in anything that its readers can see.
    fn is_seen(&self, key: &NaturalKey) -> bool {
        !looks_same(&self.before(key), self.after(key))
    }

    /// Runs the units: records first, since they tell which collections they join.
    async fn run(&mut self, units: Units) -> Result<BTreeMap<NaturalKey, Output>, StoreError> {
        let Units { records, mut collections, has_new_packs } = units;
        let mut outputs = self.run_all(records).await?;
        for (member, output) in &outputs {
            for collection in &output.joins {
                self.edges.insert((member.clone(), EdgeKind::MemberOf, collection.clone()));
                collections.entry(collection.clone()).or_default().members.insert(member.clone());
            }
        }
        if !self.all {
            collections.retain(|key, causes| key.kind != FAMILY || has_new_packs || self.moves_family(causes));
            for advanced in self.advance(&collections).await? {
                collections.remove(&advanced);
            }
        }
        self.load(&collections.keys().cloned().collect()).await?;
        for (collection, causes) in &collections {
            for member in &causes.members {
                self.world.join(collection, member);
            }
        }
        outputs.extend(self.run_all(collections.into_keys().collect()).await?);
        Ok(outputs)
    }

    /// Whether an execution changed in more than its status, of which its family asks nothing.
    fn moves_family(&self, causes: &Causes) -> bool {
        !causes.reads.is_empty()
            || causes.members.iter().any(|key| !looks_same_but_for_status(&self.before(key), self.after(key)))
    }

    async fn run_all(&mut self, mut pending: BTreeSet<NaturalKey>) -> Result<BTreeMap<NaturalKey, Output>, StoreError> {
        let mut outputs = BTreeMap::new();
        while !pending.is_empty() {
            let (mut missing, mut missing_ends) = (BTreeSet::new(), BTreeSet::new());
            for unit in std::mem::take(&mut pending) {
                let reader = Reader::new(&self.world);
                let output = run_unit(&reader, &unit);
                let members: BTreeSet<&NaturalKey> = self.world.members(&unit).iter().collect();
                let reads = reader.finish();
                if reads.is_complete() {
                    for key in reads.read.iter().filter(|key| **key != unit && !members.contains(key)) {
                        self.edges.insert((unit.clone(), EdgeKind::Reads, key.clone()));
                    }
                    outputs.insert(unit, output);
                } else {
                    missing.extend(reads.missing);
                    missing_ends.extend(reads.missing_ends);
                    pending.insert(unit);
                }
            }
            self.load(&missing).await?;
            self.load_ends(&missing_ends).await?;
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
        keys.extend(outputs.values().flat_map(|output| &output.lineage).filter_map(named_vertex).cloned());
        let keys: Vec<NaturalKey> = keys.into_iter().collect();
        self.tx.ensure_nodes(&keys).await?;
        let sets = self.resource_sets(&outputs).await?;
        let node = |key: &NaturalKey| self.tx.node(key).ok_or_else(|| StoreError::Corrupt(format!("node {key}")));

        let patch = std::mem::take(&mut self.patch);
        let changes = Changes { rules: RULES, patch, ..Changes::default() };
        let mut derived = Derived { changes, changed: Vec::new() };
        for (src, kind, dst) in &edges {
            derived.changes.edges.push((node(src)?, *kind, node(dst)?));
        }
        for (key, output) in outputs {
            let unit = node(&key)?;
            derived.changes.units.push(unit);
            let findings = output.findings.iter().chain(output.sequence.iter().flat_map(|s| &s.findings));
            derived.changes.findings.extend(findings.map(|finding| finding_row(unit, finding)));
            if !key.is_collection() {
                self.collect_states(unit, &key, output.bases, &output.operations, &mut derived.changes)?;
            }
            for declared in output.lineage {
                derived.changes.lineage.extend(self.lineage_row(&key, declared, &sets)?);
            }
            let operations = output.operations.into_iter().map(|operation| NewOperation { node: unit, operation });
            derived.changes.operations.extend(operations);
            if let Some(sequence) = output.sequence {
                derived.changes.sequences.push(unit);
                self.collect_sequence(unit, &sequence, &mut derived.changes);
            }
        }
        for (key, objects) in histories {
            self.collect_history(key, objects, &mut derived)?;
        }
        Ok(derived)
    }

    /// The resource sets of the contents by which resources were applied, by content.
    async fn resource_sets(
        &mut self,
        outputs: &BTreeMap<NaturalKey, Output>,
    ) -> Result<HashMap<Digest, i64>, StoreError> {
        let mut contents = BTreeMap::new();
        for (key, output) in outputs {
            for declared in output.lineage.iter().filter(|declared| matches!(declared.other, Vertex::Resources(_))) {
                let digest = self.content_of(key, declared)?;
                contents.insert(self.tx.content_id(&digest)?, digest);
            }
        }
        let ids: Vec<i64> = contents.keys().copied().collect();
        let sets = self.tx.resource_sets(&ids).await?;
        Ok(sets.into_iter().map(|(content, set)| (contents[&content], set)).collect())
    }

    /// The content of the first version that asserts an edge.
    fn content_of(&self, key: &NaturalKey, declared: &Declared) -> Result<Digest, StoreError> {
        let object = self.after(key).iter().find(|object| object.id == declared.object);
        let version = object.and_then(|object| object.history.versions.get(declared.first));
        version
            .map(|version| version.content.digest)
            .ok_or_else(|| StoreError::Corrupt(format!("an edge of {key} is asserted by no version")))
    }

    /// The row of an edge; `None` for resources of a content that has none.
    fn lineage_row(
        &self,
        key: &NaturalKey,
        declared: Declared,
        sets: &HashMap<Digest, i64>,
    ) -> Result<Option<LineageRow>, StoreError> {
        let node = |key: &NaturalKey| self.tx.node(key).ok_or_else(|| StoreError::Corrupt(format!("node {key}")));
        let (other, within) = match &declared.other {
            Vertex::Object(id) => (*id, 0),
            Vertex::Key(key) => (node(key)?, 0),
            Vertex::Resources(cluster) => match sets.get(&self.content_of(key, &declared)?) {
                Some(set) => (*set, node(cluster)?),
                None => return Ok(None),
            },
        };
        let (src, dst) = if declared.is_effect { (other, declared.object) } else { (declared.object, other) };
        Ok(Some(LineageRow {
            src,
            by_dst: i64::from(declared.is_effect),
            kind: declared.kind.code(),
            dst,
            within,
            field: declared.field.code(),
            from_n: position(declared.first),
            to_n: declared.last.map(position),
            attribute: declared.attribute,
        }))
    }

    fn collect_sequence(&self, unit: i64, sequence: &Sequence, changes: &mut Changes) {
        for epoch in &sequence.epochs {
            changes.epochs.push(epoch_row(unit, &epoch.summary));
            let rows = epoch.rows.iter().map(|row| self.revision_row(unit, &epoch.summary.uid, row));
            changes.revisions.extend(rows);
        }
    }

    fn revision_row(&self, sequence_id: i64, epoch: &str, row: &Row) -> RevisionRow {
        RevisionRow {
            sequence_id,
            epoch_uid: epoch.to_owned(),
            revision: row.revision,
            first_at: row.first_at,
            key_hash: hash63(&[self.tx.source_name().as_bytes(), row.key.as_bytes()]),
            object_id: row.object,
            version_n: position(row.version),
            live: i64::from(row.live),
            superseded: i64::from(row.superseded),
        }
    }

    fn collect_history(&self, key: &NaturalKey, objects: &[Object], derived: &mut Derived) -> Result<(), StoreError> {
        let stored = self.old.get(key).map(Vec::as_slice).unwrap_or_default();
        for old in stored.iter().filter(|old| !objects.iter().any(|object| object.id == old.id)) {
            derived.changes.old_versions.extend(old_versions(old, 0..old.from_seq.len()));
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

    /// The states of a record's objects: also of those whose history stays, since a state tells what
    /// follows from other records.
    fn collect_states(
        &self,
        node: i64,
        key: &NaturalKey,
        bases: Vec<Option<String>>,
        operations: &[Operation],
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        let objects = self.world.group(key).unwrap_or_default();
        changes.objects.extend(self.old.get(key).into_iter().flatten().map(|old| old.id));
        for (object, base) in objects.iter().zip(bases) {
            changes.objects.push(object.id);
            let mut state = self.state_row(node, object, base)?;
            if state.family().is_empty() {
                // A result of an early failure, or of an old writer, leaves its pack to its execution.
                let operation = operations.iter().find(|operation| operation.object == object.id);
                state.deployed_pack = operation.map(|operation| operation.pack.clone()).unwrap_or_default();
            }
            changes.mentions.extend(on_clusters(&state));
            changes.states.push(state);
            changes.mentions.extend(object.history.versions.iter().flat_map(|version| mentions(key, version)));
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

    fn state_row(&self, node_id: i64, object: &Object, base: Option<String>) -> Result<StateRow, StoreError> {
        let latest = object.latest();
        let pack = if object.key.kind == kind::PACK { Some(object.key.name.as_str()) } else { pack_name(latest) };
        let facets = Facets::of(&latest.content.facts.detail);
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
            changed_at: latest.from.max(object.history.closed_at().unwrap_or(latest.from)),
            base_pack: base.unwrap_or_default(),
            status: facets.status,
            capability: facets.capability,
            failure_category: facets.failure_category,
            failed_step: facets.failed_step,
            targets: facets.targets,
            drift: facets.drift,
            verified: facets.verified,
            counted_at: counted_at(object),
            deployed_pack: String::new(),
        })
    }
}

/// The pack that a record is about, with the clusters that it acts on or is meant for.
fn on_clusters(state: &StateRow) -> impl Iterator<Item = (Named, String)> {
    let base = state.family();
    let clusters = std::iter::once(state.cluster.as_str()).chain(state.targets.split(' '));
    clusters
        .filter(|cluster| !cluster.is_empty() && !base.is_empty())
        .map(|cluster| (Named::PackOnCluster, pack_on_cluster(cluster, base)))
}

/// From when a result counts as what is on its cluster: a success about a pack, from its completion, else
/// its creation, else when it was first seen.
fn counted_at(object: &Object) -> i64 {
    let Some(facts) = object.result() else { return 0 };
    let is_success = facts.status.as_deref() == Some("Succeeded") && object.cluster().is_some();
    if is_success { facts.completed.unwrap_or_else(|| object.birth()).max(1) } else { 0 }
}

/// What lists are narrowed by that only some kinds have; empty where it is absent.
#[derive(Default)]
struct Facets {
    status: String,
    capability: String,
    failure_category: String,
    failed_step: String,
    targets: String,
    drift: String,
    verified: String,
}

impl Facets {
    fn of(detail: &Detail) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        match detail {
            Detail::Result(facts) => Self {
                status: text(&facts.status),
                capability: text(&facts.capability),
                failure_category: text(&facts.failure_category),
                failed_step: text(&facts.failed_step),
                ..Self::default()
            },
            Detail::Pack(facts) => Self { targets: facts.targets.join(" "), ..Self::default() },
            Detail::Receipt(facts) => Self {
                drift: text(&facts.drift),
                verified: facts.verified.map(|claim| claim.to_string()).unwrap_or_default(),
                ..Self::default()
            },
            Detail::Execution(_) | Detail::Instance(_) | Detail::None => Self::default(),
        }
    }
}

fn run_unit(reader: &Reader, unit: &NaturalKey) -> Output {
    match unit.kind.as_str() {
        SEQUENCE => Output { sequence: Some(sequence::derive(reader, unit)), ..Output::default() },
        DELIVERY => Output { findings: findings::derive_delivery(reader, unit), ..Output::default() },
        FAMILY => Output { findings: findings::derive_family(reader, unit), ..Output::default() },
        _ => {
            let (findings, joins) = findings::derive(reader, unit);
            let bases = reader.group(unit).iter().map(|object| operation::base_pack(reader, object)).collect();
            let is_result = unit.kind == kind::RESULT;
            let operations = if is_result { operation::derive(reader, unit) } else { Vec::new() };
            let lineage = lineage::declare(reader, unit);
            Output { findings, bases, operations, lineage, joins, ..Output::default() }
        }
    }
}

/// What an edge leads to, if that has only names.
fn named_vertex(declared: &Declared) -> Option<&NaturalKey> {
    match &declared.other {
        Vertex::Object(_) => None,
        Vertex::Key(key) | Vertex::Resources(key) => Some(key),
    }
}

fn owner_key(key: &NaturalKey, owner: &Owner) -> NaturalKey {
    NaturalKey::new(kind::EXECUTION, &key.namespace, &owner.name)
}

fn object(key: &NaturalKey, stored: &StoredObject) -> Object {
    Object { id: stored.id, key: key.clone(), uid: stored.uid.clone(), history: stored.history.clone() }
}

fn uids(objects: &[Object]) -> BTreeSet<Option<String>> {
    objects.iter().map(|object| object.uid.clone()).collect()
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

/// What changed in nothing that some of its readers ask of it: a status that moves on a pack must not
/// touch each of its thousands of results.
#[derive(Default)]
struct Unheard {
    /// Executions with the same lifetimes.
    by_sequences: BTreeSet<NaturalKey>,
    /// Packs and executions that look the same to results.
    by_results: BTreeSet<NaturalKey>,
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

/// The row of a finding of a unit.
pub(super) fn finding_row(unit_id: i64, finding: &Finding) -> FindingRow {
    let subject = finding.subject.to_string();
    FindingRow {
        unit_id,
        code: finding.code.to_owned(),
        id: hash63(&[finding.code.as_bytes(), subject.as_bytes()]),
        subject,
        object_id: finding.object,
        severity: finding.severity.as_str().to_owned(),
        detail: serde_json::Value::Object(finding.detail.clone()).to_string(),
        cluster: finding.cluster.clone(),
        namespace: finding.subject.key().namespace.clone(),
    }
}

fn epoch_row(sequence_id: i64, epoch: &Summary) -> EpochRow {
    let status = serde_json::to_value(epoch.status).ok();
    EpochRow {
        sequence_id,
        uid: epoch.uid.clone(),
        position: epoch.rank,
        status: status.as_ref().and_then(|s| s.as_str()).unwrap_or_default().to_owned(),
        born_at: epoch.born_at,
        revisions: epoch.rows,
        head_id: epoch.head_id,
        head_revision: epoch.detail.head.revision,
        active_id: epoch.active_id,
        active_revision: epoch.detail.active.as_ref().map(|active| active.revision),
        detail: serde_json::to_string(&epoch.detail).unwrap_or_default(),
    }
}
