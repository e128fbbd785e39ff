//! One batch of items in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::digest::Digest;
use crate::domain::findings::{Severity, rewrite};
use crate::domain::history::{History, Observation, Observed, Prepared as PreparedGroup};
use crate::domain::identity::NaturalKey;
use crate::domain::world::Object;
use crate::service::derive::{self, ChangedObject, Derived, Touched};
use crate::storage::{
    Entry, MovedObservation, NewObject, NewObservation, NewQuarantine, SeenObject, StoreError, StoredObserved, WriteTx,
};

use super::heartbeat::{HEARTBEATS_KEPT, Heartbeats, steady};
use super::item::{Item, ItemResult, Outcome, Prepared, RecordName, Refusal, Sighting};

/// The actor of what follows from records and was sent by nobody.
pub const DERIVED_BY: &str = "packtrail";

/// Bounds of the quarantine of a tenant.
#[derive(Debug, Clone, Copy)]
pub struct QuarantineBounds {
    /// At most so many items.
    pub items: i64,
    /// At most so many bytes.
    pub bytes: i64,
}

/// Items of one sender.
#[derive(Debug)]
pub struct Request<'a> {
    /// Who sends.
    pub principal: &'a str,
    /// The items.
    pub items: &'a [Prepared],
}

/// Writes the items of some requests to one source and tells what became of each.
///
/// # Errors
/// If the database fails; nothing was written then.
pub async fn write(
    tx: &mut WriteTx,
    requests: &[Request<'_>],
    bounds: QuarantineBounds,
    now: i64,
) -> Result<Vec<Vec<ItemResult>>, StoreError> {
    let heartbeats = Heartbeats::find(tx, requests).await?;
    let mut batch = Batch::load(tx, requests, heartbeats, now).await?;
    for request in requests {
        for prepared in request.items {
            batch.take(prepared, request.principal).await?;
        }
    }
    batch.finish(bounds).await.map(|results| split(results, requests))
}

fn split(results: Vec<ItemResult>, requests: &[Request]) -> Vec<Vec<ItemResult>> {
    let mut results = results.into_iter();
    requests.iter().map(|request| results.by_ref().take(request.items.len()).collect()).collect()
}

/// The objects of one natural key while the batch adds to them.
struct Group {
    ids: Vec<i64>,
    observed: Vec<Observed>,
    last_seen: Vec<i64>,
    /// The observations that their next heartbeats move, as stored.
    beats: Vec<Option<i64>>,
    /// Their histories without inferred closings, after the last item.
    histories: Vec<History>,
}

impl Group {
    fn new(stored: Vec<StoredObserved>) -> Self {
        let mut group = Self {
            ids: Vec::new(),
            observed: Vec::new(),
            last_seen: Vec::new(),
            beats: Vec::new(),
            histories: Vec::new(),
        };
        for object in stored {
            group.ids.push(object.id);
            group.beats.push(object.beat_id);
            group.observed.push(object.observed);
            group.last_seen.push(object.last_seen_at);
        }
        group.histories = group.derive();
        group
    }

    fn derive(&self) -> Vec<History> {
        PreparedGroup::new(&self.observed).finish(&vec![None; self.observed.len()], |_| None)
    }

    fn into_stored(self) -> Vec<StoredObserved> {
        self.ids
            .into_iter()
            .zip(self.observed)
            .zip(self.last_seen)
            .zip(self.beats)
            .map(|(((id, observed), last_seen_at), beat_id)| StoredObserved { id, observed, last_seen_at, beat_id })
            .collect()
    }
}

struct Batch<'t> {
    tx: &'t mut WriteTx,
    now: i64,
    groups: BTreeMap<NaturalKey, Group>,
    heartbeats: Heartbeats,
    /// The keys of which something is new. What says nothing new is not derived again.
    touched: BTreeSet<NaturalKey>,
    new_objects: BTreeMap<i64, NewObject>,
    new_observations: Vec<NewObservation>,
    moved: BTreeMap<(i64, i64), MovedObservation>,
    seen: BTreeMap<i64, SeenObject>,
    results: Vec<ItemResult>,
    /// The ledger's entry of each item that has one.
    entries: Vec<(usize, Entry)>,
    /// The last item of each object.
    last_item: HashMap<i64, (usize, String)>,
    quarantine: BTreeMap<i64, (usize, NewQuarantine)>,
    incarnation: Option<String>,
}

impl<'t> Batch<'t> {
    async fn load(
        tx: &'t mut WriteTx,
        requests: &[Request<'_>],
        heartbeats: Heartbeats,
        now: i64,
    ) -> Result<Self, StoreError> {
        let keys: BTreeSet<NaturalKey> = requests
            .iter()
            .flat_map(|request| request.items)
            .filter_map(|prepared| match &prepared.item {
                Item::Sighting(sighting) => Some(&sighting.record.key),
                _ => None,
            })
            .filter(|key| heartbeats.object(key).is_none())
            .cloned()
            .collect();
        let keys: Vec<NaturalKey> = keys.into_iter().collect();
        tx.ensure_nodes(&keys).await?;
        let nodes: Vec<i64> = keys.iter().filter_map(|key| tx.node(key)).collect();
        let mut observed = tx.observed(&nodes).await?;
        let groups = keys
            .into_iter()
            .map(|key| {
                let stored = tx.node(&key).and_then(|node| observed.remove(&node)).unwrap_or_default();
                (key, Group::new(stored))
            })
            .collect();
        Ok(Self {
            tx,
            now,
            groups,
            heartbeats,
            touched: BTreeSet::new(),
            new_objects: BTreeMap::new(),
            new_observations: Vec::new(),
            moved: BTreeMap::new(),
            seen: BTreeMap::new(),
            results: Vec::new(),
            entries: Vec::new(),
            last_item: HashMap::new(),
            quarantine: BTreeMap::new(),
            incarnation: None,
        })
    }

    async fn take(&mut self, prepared: &Prepared, principal: &str) -> Result<(), StoreError> {
        let mut result = prepared.unchanged();
        match &prepared.item {
            // Reports of runs are written apart.
            Item::Bookmark | Item::Imported(_) => {}
            Item::Reject(refusal) => {
                result.outcome = Outcome::Rejected;
                result.error = Some(refusal.clone());
            }
            Item::Quarantine { refusal, bytes, strict } => {
                result.outcome = Outcome::Quarantined;
                result.error = Some(refusal.clone());
                self.quarantine_item(refusal, bytes, *strict, principal);
            }
            Item::Sighting(sighting) => {
                result.record = Some(record_name(sighting));
                match self.heartbeats.object(&sighting.record.key) {
                    Some(object) => {
                        self.last_item.insert(object, (self.results.len(), principal.to_owned()));
                    }
                    None => result.outcome = self.see(sighting, &prepared.warnings, principal).await?,
                }
            }
        }
        self.results.push(result);
        Ok(())
    }

    fn quarantine_item(&mut self, refusal: &Refusal, bytes: &[u8], strict: bool, principal: &str) {
        let item = NewQuarantine {
            code: refusal.code.clone(),
            path: refusal.path.clone(),
            message: refusal.message.clone(),
            principal: principal.to_owned(),
            received_at: self.now,
            strict,
            bytes: bytes.to_vec(),
        };
        let index = self.results.len();
        self.quarantine.entry(item.id(self.tx.source_name())).or_insert((index, item));
    }

    /// Adds a sighting to its object, and tells what it changed.
    async fn see(
        &mut self,
        sighting: &Sighting,
        warnings: &[super::item::Warning],
        principal: &str,
    ) -> Result<Outcome, StoreError> {
        let record = &sighting.record;
        if record.key.kind == "Namespace" && record.key.name == "kube-system" {
            self.incarnation.clone_from(&record.uid);
        }
        let (object, is_new) = self.object_of(sighting).await?;
        self.move_seen(sighting, object);
        let added = self.observe(sighting, object, warnings, principal).await?;
        let Some(group) = self.groups.get_mut(&record.key) else { return Ok(Outcome::Duplicate) };
        let id = group.ids[object];
        self.last_item.insert(id, (self.results.len(), principal.to_owned()));
        if !added {
            return Ok(Outcome::Duplicate);
        }
        let before = std::mem::take(&mut group.histories);
        group.histories = group.derive();
        let none = History::default();
        let is_same = |(i, now): (usize, &History)| same(before.get(i).unwrap_or(&none), now);
        if group.histories.iter().enumerate().all(is_same) {
            return Ok(Outcome::Duplicate);
        }
        let outcome = outcome(&record.key, before.get(object), &group.histories[object], is_new, sighting.deleted);
        let entry = Entry {
            kind: outcome.as_str(),
            identity: record.key.object_key(record.uid.as_deref()),
            object: Some(id),
            content: Some(record.content.digest),
            previous: before.get(object).and_then(latest_digest),
            principal: principal.to_owned(),
        };
        self.entries.push((self.results.len(), entry));
        Ok(outcome)
    }

    /// The position of the sighting's object in its group; it is made if it is new.
    async fn object_of(&mut self, sighting: &Sighting) -> Result<(usize, bool), StoreError> {
        let record = &sighting.record;
        let known = self
            .groups
            .get(&record.key)
            .and_then(|group| group.observed.iter().position(|observed| observed.uid == record.uid));
        if let Some(position) = known {
            return Ok((position, false));
        }
        self.touched.insert(record.key.clone());
        let id = self.tx.id().await?;
        let node_id = self.tx.node(&record.key).unwrap_or_default();
        let object = NewObject {
            id,
            node_id,
            uid: record.uid.clone().unwrap_or_default(),
            sighted_at: None,
            last_seen_at: self.now,
            heartbeat: None,
        };
        self.new_objects.insert(id, object);
        let group = self.groups.entry(record.key.clone()).or_insert_with(|| Group::new(Vec::new()));
        group.ids.push(id);
        group.observed.push(Observed { uid: record.uid.clone(), sighted_at: None, observations: Vec::new() });
        group.last_seen.push(i64::MIN);
        group.beats.push(None);
        Ok((group.ids.len() - 1, true))
    }

    /// Moves the live values of the object.
    fn move_seen(&mut self, sighting: &Sighting, object: usize) {
        let Some(group) = self.groups.get_mut(&sighting.record.key) else { return };
        let stamped = if sighting.deleted { None } else { sighting.observed_at.max(sighting.listed_at) };
        let seen_at = sighting.observed_at.max(sighting.listed_at).unwrap_or(self.now);
        let id = group.ids[object];
        let observed = &mut group.observed[object];
        let is_latest = seen_at >= group.last_seen[object];
        let before = (observed.sighted_at, group.last_seen[object]);
        observed.sighted_at = observed.sighted_at.max(stamped);
        group.last_seen[object] = group.last_seen[object].max(seen_at);
        if before.0 != observed.sighted_at {
            // A later sighting may refute a closing that was inferred.
            self.touched.insert(sighting.record.key.clone());
        }
        let heartbeat = (is_latest && !sighting.record.heartbeat.is_empty())
            .then(|| serde_json::Value::Object(sighting.record.heartbeat.clone()).to_string());
        let (sighted_at, last_seen_at) = (observed.sighted_at, group.last_seen[object]);
        if let Some(new) = self.new_objects.get_mut(&id) {
            new.sighted_at = sighted_at;
            new.last_seen_at = last_seen_at;
            new.heartbeat = heartbeat.or(new.heartbeat.take());
        } else if before != (sighted_at, last_seen_at) || heartbeat.is_some() {
            let beat_id = group.beats[object];
            let unmoved = SeenObject { id, sighted_at, last_seen_at, heartbeat: None, beat_id };
            let seen = self.seen.entry(id).or_insert(unmoved);
            seen.sighted_at = sighted_at;
            seen.last_seen_at = last_seen_at;
            seen.heartbeat = heartbeat.or(seen.heartbeat.take());
        }
    }

    /// Adds the observation if it is one; returns whether anything was added or moved.
    async fn observe(
        &mut self,
        sighting: &Sighting,
        object: usize,
        warnings: &[super::item::Warning],
        principal: &str,
    ) -> Result<bool, StoreError> {
        let record = &sighting.record;
        let id = self.tx.id().await?;
        let Some(group) = self.groups.get_mut(&record.key) else { return Ok(false) };
        let object_id = group.ids[object];
        let stamped_at = sighting.observed_at.or(sighting.listed_at);
        let new = Observation {
            id,
            resource_version: record.resource_version.clone(),
            content: record.content.clone(),
            deleted: sighting.deleted,
            stamped_at,
            sighted_at: last_sighting(sighting),
            own_time: record.own_time,
        };
        let observations = &mut group.observed[object].observations;
        if let Some(known) = observations.iter_mut().find(|known| known.is_same(&new)) {
            let earlier = match (known.stamped_at, stamped_at) {
                (Some(known), Some(new)) => new < known,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let later = new.sighted_at > known.sighted_at;
            if earlier || later {
                self.touched.insert(record.key.clone());
                known.stamped_at = if earlier { stamped_at } else { known.stamped_at };
                known.sighted_at = known.sighted_at.max(new.sighted_at);
                let moved = moved(object_id, known);
                self.note_move(moved);
            }
            return Ok(earlier);
        }
        self.touched.insert(record.key.clone());
        if let Some(last) = heartbeat_to_move(observations, &new) {
            let known = &mut observations[last];
            known.resource_version = new.resource_version;
            known.stamped_at = new.stamped_at;
            known.sighted_at = known.sighted_at.max(new.sighted_at);
            let moved = moved(object_id, known);
            self.note_move(moved);
            return Ok(true);
        }
        let sighted_at = new.sighted_at;
        observations.push(new);
        self.new_observations.push(NewObservation {
            object_id,
            id,
            resource_version: record.resource_version.clone(),
            content: record.content.clone(),
            warnings: stored_warnings(warnings),
            resources: record.resources.clone(),
            body: sighting.object.to_string().into_bytes().into(),
            object: Some(Arc::clone(&sighting.object)),
            deleted: sighting.deleted,
            stamped_at,
            sighted_at,
            own_time: record.own_time,
            received_at: self.now,
            asserter: principal.to_owned(),
        });
        Ok(true)
    }

    fn note_move(&mut self, moved: MovedObservation) {
        let is_it = |o: &&mut NewObservation| o.object_id == moved.object_id && o.id == moved.id;
        if let Some(new) = self.new_observations.iter_mut().find(is_it) {
            new.resource_version = moved.resource_version;
            new.stamped_at = moved.stamped_at;
            new.sighted_at = moved.sighted_at;
        } else {
            self.moved.insert((moved.object_id, moved.id), moved);
        }
    }

    async fn finish(mut self, bounds: QuarantineBounds) -> Result<Vec<ItemResult>, StoreError> {
        let quarantine = self.admit(bounds).await?;
        self.note_beats();
        let new_objects: Vec<NewObject> = std::mem::take(&mut self.new_objects).into_values().collect();
        self.tx.insert_objects(&new_objects).await?;
        self.tx.insert_observations(&self.new_observations).await?;
        let Heartbeats { mut seen, mut moved, .. } = std::mem::take(&mut self.heartbeats);
        moved.extend(std::mem::take(&mut self.moved).into_values());
        self.tx.move_observations(&moved).await?;
        seen.extend(std::mem::take(&mut self.seen).into_values());
        self.tx.update_seen(&seen).await?;
        if let Some(incarnation) = &self.incarnation {
            self.tx.set_incarnation(incarnation).await?;
        }
        let is_touched = |(key, _): &(NaturalKey, Group)| self.touched.contains(key);
        let touched: Touched =
            self.groups.into_iter().filter(is_touched).map(|(key, group)| (key, group.into_stored())).collect();
        let Derived { mut changes, changed } = derive::derive(self.tx, touched, false).await?;
        complete_entries(&mut self.entries, &mut self.results, &changed, &self.last_item);
        let with_entry: Vec<usize> = self.entries.iter().map(|(index, _)| *index).collect();
        changes.entries = self.entries.into_iter().map(|(_, entry)| entry).collect();
        changes.quarantine = quarantine;
        let commit = self.tx.apply(&changes, self.now).await?;
        for index in with_entry {
            if let Some(result) = self.results.get_mut(index) {
                result.seq = commit.map(|commit| commit.seq);
            }
        }
        Ok(self.results)
    }

    /// Notes which observations the next heartbeats of the touched objects move, where that changed.
    fn note_beats(&mut self) {
        for key in &self.touched {
            let Some(group) = self.groups.get(key) else { continue };
            let steady = steady(&group.observed).map(|i| group.observed[0].observations[i].id);
            for (i, id) in group.ids.iter().enumerate() {
                let is_known = group.beats[i] == steady && !self.seen.contains_key(id);
                if is_known || self.new_objects.contains_key(id) {
                    continue;
                }
                let (sighted_at, last_seen_at) = (group.observed[i].sighted_at, group.last_seen[i]);
                let unmoved = SeenObject { id: *id, sighted_at, last_seen_at, heartbeat: None, beat_id: None };
                self.seen.entry(*id).or_insert(unmoved).beat_id = steady;
            }
        }
    }

    /// Lets into quarantine what is new and fits.
    async fn admit(&mut self, bounds: QuarantineBounds) -> Result<Vec<NewQuarantine>, StoreError> {
        let candidates = std::mem::take(&mut self.quarantine);
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = candidates.keys().copied().collect();
        let known = self.tx.quarantined(&ids).await?;
        let (mut items, mut bytes) = self.tx.quarantine_size().await?;
        let mut admitted = Vec::new();
        let firsts: HashMap<i64, usize> = candidates.iter().map(|(id, (index, _))| (*id, *index)).collect();
        let mut refused = BTreeSet::new();
        for (id, (index, item)) in candidates {
            let size = i64::try_from(item.bytes.len()).unwrap_or(i64::MAX);
            if known.contains(&id) {
                self.results[index].outcome = Outcome::Duplicate;
            } else if items >= bounds.items || bytes.saturating_add(size) > bounds.bytes {
                refused.insert(index);
                let refusal = Refusal {
                    code: "QUARANTINE_FULL".to_owned(),
                    message: format!("the quarantine is full; the item was refused for: {}", item.message),
                    path: item.path.clone(),
                    line: self.results[index].error.as_ref().and_then(|error| error.line),
                };
                self.results[index].outcome = Outcome::Rejected;
                self.results[index].error = Some(refusal);
            } else {
                items += 1;
                bytes += size;
                let entry = Entry {
                    kind: Outcome::Quarantined.as_str(),
                    identity: format!("quarantine/{id}"),
                    object: None,
                    content: Some(Digest::of_bytes(&item.bytes)),
                    previous: None,
                    principal: item.principal.clone(),
                };
                self.entries.push((index, entry));
                admitted.push(item);
            }
        }
        // The same bytes twice in one batch: the second says nothing new.
        let admitted_indexes: BTreeSet<usize> = firsts.into_values().collect();
        for (index, result) in self.results.iter_mut().enumerate() {
            if result.outcome == Outcome::Quarantined && !admitted_indexes.contains(&index) && !refused.contains(&index)
            {
                result.outcome = Outcome::Duplicate;
            }
        }
        Ok(admitted)
    }
}

/// Objects that changed without an item saying so: what only the whole derivation sees. The last item
/// of such an object changed it after all; the rest follows from others.
fn complete_entries(
    entries: &mut Vec<(usize, Entry)>,
    results: &mut [ItemResult],
    changed: &[ChangedObject],
    last_item: &HashMap<i64, (usize, String)>,
) {
    let told: BTreeSet<String> = entries.iter().map(|(_, entry)| entry.identity.clone()).collect();
    for object in changed.iter().filter(|object| !told.contains(&object.identity)) {
        let outcome = if object.closed { Outcome::Closed } else { Outcome::Updated };
        let (index, principal) = match last_item.get(&object.id) {
            Some((index, principal)) => {
                results[*index].outcome = outcome;
                (*index, principal.clone())
            }
            None => (usize::MAX, DERIVED_BY.to_owned()),
        };
        entries.push((index, derived_entry(object, outcome, principal)));
    }
}

/// The entry of an object that changed by derivation.
#[must_use]
pub fn derived_entry(object: &ChangedObject, outcome: Outcome, principal: String) -> Entry {
    Entry {
        kind: outcome.as_str(),
        identity: object.identity.clone(),
        object: Some(object.id),
        content: object.current,
        previous: object.previous,
        principal,
    }
}

fn moved(object_id: i64, known: &Observation) -> MovedObservation {
    MovedObservation {
        object_id,
        id: known.id,
        resource_version: known.resource_version.clone(),
        stamped_at: known.stamped_at,
        sighted_at: known.sighted_at,
    }
}

/// The latest stamped sighting that a record without uid brings: as an object of its own or as a dump
/// of another, which is known only when the group is derived. With a uid, the object keeps it.
fn last_sighting(sighting: &Sighting) -> Option<i64> {
    let is_evidence = sighting.record.uid.is_none() && !sighting.deleted;
    is_evidence.then(|| sighting.observed_at.max(sighting.listed_at)).flatten()
}

fn record_name(sighting: &Sighting) -> RecordName {
    let key = &sighting.record.key;
    RecordName {
        kind: key.kind.clone(),
        cluster: key.cluster.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: sighting.record.uid.clone(),
    }
}

fn latest_digest(history: &History) -> Option<Digest> {
    history.latest().map(|version| version.content.digest)
}

fn same(a: &History, b: &History) -> bool {
    a.versions.len() == b.versions.len()
        && a.versions
            .iter()
            .zip(&b.versions)
            .all(|(a, b)| (a.from, a.to, a.end, a.content.digest) == (b.from, b.to, b.end, b.content.digest))
}

fn outcome(key: &NaturalKey, before: Option<&History>, after: &History, is_new: bool, deleted: bool) -> Outcome {
    let severity =
        |history: &History| rewrite(&Object { id: 0, key: key.clone(), uid: None, history: history.clone() });
    let was = before.filter(|history| !history.versions.is_empty()).and_then(severity);
    if after.versions.is_empty() {
        // A dump that says something of its twin: of when it was deleted, or that it is still there.
        return if deleted { Outcome::Closed } else { Outcome::Updated };
    }
    if severity(after) == Some(Severity::Error) && was != Some(Severity::Error) {
        Outcome::Conflict
    } else if deleted {
        Outcome::Closed
    } else if is_new {
        Outcome::Created
    } else {
        Outcome::Updated
    }
}

/// The observation that a further heartbeat takes the place of: the last of a long run of one content.
fn heartbeat_to_move(observations: &[Observation], new: &Observation) -> Option<usize> {
    let stamped = new.stamped_at?;
    if new.deleted || observations.len() < HEARTBEATS_KEPT {
        return None;
    }
    let mut latest: Vec<usize> = (0..observations.len()).collect();
    latest.sort_by_key(|i| std::cmp::Reverse(observations[*i].stamped_at.unwrap_or(observations[*i].own_time)));
    let tail = &latest[..HEARTBEATS_KEPT];
    let repeats = tail.iter().all(|i| {
        let observation = &observations[*i];
        !observation.deleted && observation.content.digest == new.content.digest && observation.stamped_at.is_some()
    });
    let last = tail[0];
    (repeats && observations[last].stamped_at < Some(stamped)).then_some(last)
}

fn stored_warnings(warnings: &[super::item::Warning]) -> Option<String> {
    (!warnings.is_empty()).then(|| serde_json::to_string(warnings).ok()).flatten()
}
