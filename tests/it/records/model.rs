//! The naive twin of the pack-record rules: the state of a source as one pure function of the set
//! of everything that was ever sent.
//!
//! It is slow and literal on purpose. Nothing is kept between calls, nothing is indexed, every
//! question is answered by looking at all objects again. The product reaches the same state step
//! by step, with shortcuts for the common case; because this file has no shortcuts, a difference
//! between the two points at one of them. For the same reason it shares no code with the product.
//!
//! Times are microseconds since the Unix epoch, UTC.

pub mod lineage;

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The largest integer that JSON readers agree on, 2^53 − 1; beyond it an item is quarantined.
const MAX_SAFE_INTEGER: u64 = 9_007_199_254_740_991;

/// API groups whose kinds are one family under different names.
const FAMILY_GROUPS: [&str; 4] = ["infrastructure.ontai.dev", "infra.ontai.dev", "runner.ontai.dev", "seam.ontai.dev"];

/// Members of `metadata` that change without the record saying anything new.
const VOLATILE_METADATA: [&str; 4] = ["resourceVersion", "managedFields", "generation", "selfLink"];

/// Members of `status`, at any depth, that are heartbeats.
const HEARTBEATS: [&str; 3] = ["lastDriftCheckAt", "observedGeneration", "lastHeartbeatTime"];

/// Digests and versions of a `ClusterPack` that only a rollback may change.
const PACK_IDENTITY: [&str; 6] =
    ["checksum", "version", "registryRef", "rbacDigest", "workloadDigest", "clusterScopedDigest"];

/// Chart facts that a pack, its executions and its receipts repeat.
const CHART_FIELDS: [&str; 4] = ["chartName", "chartURL", "chartVersion", "helmVersion"];

const RESULT: &str = "PackOperationResult";
const EXECUTION: &str = "PackExecution";
const PACK: &str = "ClusterPack";
const INSTANCE: &str = "PackInstance";
const RECEIPT: &str = "PackReceipt";

/// One thing sent to the server.
#[derive(Debug, Clone)]
pub enum Input {
    /// One record: a bare object or a watch event `{type, observedAt, object}`.
    Item {
        /// Name of the source.
        source: String,
        /// The record as sent.
        item: Value,
    },
    /// A complete listing of kinds and namespaces at one time.
    Snapshot {
        /// Name of the source.
        source: String,
        /// Canonical kinds that the listing covers; empty = all.
        kinds: Vec<String>,
        /// Namespaces that the listing covers; empty = all.
        namespaces: Vec<String>,
        /// When the listing was taken, RFC 3339.
        at: String,
        /// What was listed: bare objects or watch events.
        items: Vec<Value>,
    },
}

/// Computes the whole state that follows from a set of inputs, whatever their order.
#[must_use]
pub fn state(inputs: &[Input]) -> Value {
    let mut sources: BTreeMap<&str, Received> = BTreeMap::new();
    for input in inputs {
        let (Input::Item { source, .. } | Input::Snapshot { source, .. }) = input;
        sources.entry(source).or_default().add(input);
    }
    let states = sources.iter().filter(|(_, received)| !received.sightings.is_empty());
    Value::Object(states.map(|(name, received)| ((*name).to_owned(), World::new(received).state())).collect())
}

// ---------------------------------------------------------------------------------------------
// What was received
// ---------------------------------------------------------------------------------------------

/// Everything that one source sent.
#[derive(Default)]
struct Received {
    sightings: Vec<Sighting>,
    listings: Vec<Listing>,
}

/// A snapshot without its bodies.
struct Listing {
    kinds: Vec<String>,
    namespaces: Vec<String>,
    at: i64,
}

/// One accepted record as it was seen once.
#[derive(Clone)]
struct Sighting {
    natural: Natural,
    uid: Option<String>,
    resource_version: Option<String>,
    /// What an effective time is computed from: `observedAt`, else the time of the listing.
    stamp: Option<i64>,
    /// When the record was last there: its stamp, or the time of the listing if that is later.
    seen: Option<i64>,
    deleted: bool,
    /// Sent without uid, and counted for an object that has one.
    attached: bool,
    body: Body,
}

/// What names an object without a uid.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Natural {
    kind: String,
    cluster: String,
    namespace: String,
    name: String,
}

/// Content of a record and its digests.
#[derive(Clone)]
struct Body {
    content: Value,
    digest: String,
    spec_digest: String,
    /// The latest of the record's own times, 0 if it has none.
    own_time: i64,
    created: Option<i64>,
}

impl Received {
    fn add(&mut self, input: &Input) {
        match input {
            Input::Item { item, .. } => self.sightings.extend(sighting(item, None)),
            Input::Snapshot { kinds, namespaces, at, items, .. } => {
                let Some(at) = time(&json!(at)) else { return };
                let listed = items.iter().filter_map(|item| sighting(item, Some(at)));
                self.sightings.extend(listed);
                let (kinds, namespaces) = (kinds.clone(), namespaces.clone());
                self.listings.push(Listing { kinds, namespaces, at });
            }
        }
    }
}

/// Reads an item; `None` where it is quarantined, rejected or skipped.
fn sighting(item: &Value, listed_at: Option<i64>) -> Option<Sighting> {
    if has_unsafe_integer(item) {
        return None;
    }
    let is_event = item["object"].is_object();
    let object = if is_event { &item["object"] } else { item };
    let event_type = if is_event { item["type"].as_str().unwrap_or_default() } else { "" };
    let deleted = match event_type {
        "ADDED" | "MODIFIED" | "" => false,
        "DELETED" => true,
        _ => return None,
    };
    let stamp = if is_event { time(&item["observedAt"]) } else { None };
    let kind = canonical_kind(text(object, &["apiVersion"])?, text(object, &["kind"])?);
    let name = text(object, &["metadata", "name"])?.to_owned();
    let namespace = owned(object, &["metadata", "namespace"]).unwrap_or_default();
    let cluster = if kind == RECEIPT { owned(object, &["spec", "targetClusterRef"]) } else { None };
    Some(Sighting {
        body: body(&kind, object),
        natural: Natural { kind, cluster: cluster.unwrap_or_default(), namespace, name },
        uid: owned(object, &["metadata", "uid"]),
        resource_version: owned(object, &["metadata", "resourceVersion"]),
        stamp: stamp.or(listed_at),
        seen: stamp.max(listed_at),
        deleted,
        attached: false,
    })
}

fn has_unsafe_integer(value: &Value) -> bool {
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => signed.unsigned_abs() > MAX_SAFE_INTEGER,
            // An integer beyond 64 bits reads as a float; so this is a `u64` or one of those.
            (None, _) => number.is_u64() || number.as_f64().is_some_and(|f| f.abs() > 9_007_199_254_740_991.0),
        },
        Value::Array(items) => items.iter().any(has_unsafe_integer),
        Value::Object(members) => members.values().any(has_unsafe_integer),
        _ => false,
    }
}

/// One name for a kind that several groups and generations call differently.
fn canonical_kind(api_version: &str, kind: &str) -> String {
    let Some((group, _)) = api_version.split_once('/') else {
        return kind.to_owned();
    };
    if !FAMILY_GROUPS.contains(&group) {
        return format!("{kind}.{group}");
    }
    match kind.strip_prefix("Infrastructure").unwrap_or(kind) {
        "PackDelivery" => PACK,
        "PackInstalled" => INSTANCE,
        "PackLog" => RESULT,
        "LineageRecord" => "LineageIndex",
        other => other,
    }
    .to_owned()
}

fn body(kind: &str, object: &Value) -> Body {
    let mut content = Map::new();
    content.insert("kind".into(), json!(kind));
    for (key, value) in object.as_object().into_iter().flatten() {
        let kept = match key.as_str() {
            "apiVersion" | "kind" => continue,
            "metadata" => without(value, &VOLATILE_METADATA, false),
            "status" => without(value, &HEARTBEATS, true),
            _ => value.clone(),
        };
        content.insert(key.clone(), kept);
    }
    let own_times = [
        vec![&object["metadata"]["deletionTimestamp"], &object["status"]["deliveredAt"]],
        list(&object["status"]["conditions"]).map(|c| &c["lastTransitionTime"]).collect(),
        vec![&object["spec"]["completedAt"], &object["metadata"]["creationTimestamp"]],
    ];
    let content = Value::Object(content);
    Body {
        digest: digest(&content),
        spec_digest: digest(&object["spec"]),
        own_time: own_times.concat().into_iter().filter_map(time).max().unwrap_or(0),
        created: time(&object["metadata"]["creationTimestamp"]),
        content,
    }
}

/// Copies a value without some members, of the top level or of any.
fn without(value: &Value, dropped: &[&str], any_depth: bool) -> Value {
    let inner = |value: &Value| {
        if any_depth { without(value, dropped, true) } else { value.clone() }
    };
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(key, _)| !dropped.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), inner(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(inner).collect()),
        other => other.clone(),
    }
}

/// Lowercase hex SHA-256 of the compact JSON with sorted keys.
fn digest(value: &Value) -> String {
    hex::encode(Sha256::digest(sorted(value).to_string()))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let by_key: BTreeMap<_, _> = members.iter().collect();
            Value::Object(by_key.into_iter().map(|(k, v)| (k.clone(), sorted(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Microseconds of an RFC 3339 string; unparsable = absent.
fn time(value: &Value) -> Option<i64> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|t| t.timestamp_micros())
}

/// The string at a path; an empty one counts as absent.
fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().fold(value, |value, key| &value[*key]).as_str().filter(|text| !text.is_empty())
}

fn owned(value: &Value, path: &[&str]) -> Option<String> {
    text(value, path).map(str::to_owned)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

// ---------------------------------------------------------------------------------------------
// Objects, observations, versions
// ---------------------------------------------------------------------------------------------

/// One state of an object at one time, however often it was seen.
struct Observation {
    effective: i64,
    deleted: bool,
    resource_version: u64,
    body: Body,
}

/// A stretch of time with one content.
struct Version {
    from: i64,
    to: Option<i64>,
    end: Option<&'static str>,
    body: Body,
}

/// Everything under one object key.
struct Object {
    natural: Natural,
    uid: Option<String>,
    observations: Vec<Observation>,
    versions: Vec<Version>,
    /// When a stamped, not deleted sighting last showed it, also one that is no observation.
    last_seen: Option<i64>,
}

impl Object {
    /// Builds an object; `None` if nothing that was seen of it is an observation.
    fn new(natural: &Natural, uid: Option<String>, sightings: &[Sighting]) -> Option<Self> {
        let observations = observations(sightings);
        let versions = versions(&observations);
        let object = Self {
            natural: natural.clone(),
            uid,
            observations,
            versions,
            last_seen: sightings.iter().filter(|s| !s.deleted).filter_map(|s| s.seen).max(),
        };
        (!object.versions.is_empty()).then_some(object)
    }

    fn key(&self) -> String {
        let Natural { kind, cluster, namespace, name } = &self.natural;
        let uid = self.uid.as_deref().unwrap_or("-");
        format!("{kind}/{cluster}/{namespace}/{name}/{uid}")
    }

    /// The uid, or the object key where there is none.
    fn id(&self) -> String {
        self.uid.clone().unwrap_or_else(|| self.key())
    }

    fn is(&self, kind: &str) -> bool {
        self.natural.kind == kind
    }

    fn latest(&self) -> &Value {
        self.versions.last().map_or(&Value::Null, |version| &version.body.content)
    }

    fn closed(&self) -> Option<i64> {
        self.versions.last().and_then(|version| version.to)
    }

    fn live(&self) -> bool {
        self.closed().is_none()
    }

    fn created(&self) -> Option<i64> {
        self.versions.iter().rev().find_map(|version| version.body.created)
    }

    fn birth(&self) -> i64 {
        self.created().unwrap_or(self.first())
    }

    /// Effective time of the first observation.
    fn first(&self) -> i64 {
        self.observations.first().map_or(0, |observation| observation.effective)
    }

    /// Effective time of the last observation, if that one is not a deletion.
    fn tail(&self) -> Option<i64> {
        let last = self.observations.last().filter(|observation| !observation.deleted);
        last.map(|observation| observation.effective)
    }

    /// Until when the object is known to have been there, if its last observation is no deletion.
    fn evidence(&self) -> Option<i64> {
        self.tail().map(|last| self.last_seen.map_or(last, |seen| seen.max(last)))
    }

    /// The content of the last version that began by `at`, else of the first.
    fn content_at(&self, at: i64) -> &Value {
        let known = self.versions.iter().rev().find(|version| version.from <= at);
        known.or(self.versions.first()).map_or(&Value::Null, |version| &version.body.content)
    }

    /// The `PackExecution` ownerReference of the latest version that has one.
    fn owner(&self) -> Option<&Value> {
        self.versions.iter().rev().find_map(|version| {
            list(&version.body.content["metadata"]["ownerReferences"]).find(|reference| {
                let api_version = reference["apiVersion"].as_str().unwrap_or_default();
                let kind = reference["kind"].as_str().unwrap_or_default();
                canonical_kind(api_version, kind) == EXECUTION
            })
        })
    }

    fn owner_uid(&self) -> Option<&str> {
        self.owner().and_then(|owner| text(owner, &["uid"]))
    }

    /// Index of the first version of the last stretch in which a value stayed what it is now.
    fn stretch(&self, value: impl Fn(&Value) -> Option<String>) -> usize {
        let current = value(self.latest());
        let changed = self.versions.iter().rposition(|version| value(&version.body.content) != current);
        changed.map_or(0, |index| index + 1)
    }

    /// When a reference in `spec` is to be read: at birth, unless it was changed in place.
    fn spec_time(&self, value: impl Fn(&Value) -> Option<String>) -> i64 {
        match self.stretch(value) {
            0 => self.birth(),
            index => self.versions[index].from,
        }
    }

    /// When a reference in `status` is to be read: when it was set.
    fn status_time(&self, value: impl Fn(&Value) -> Option<String>) -> i64 {
        self.versions[self.stretch(value)].from
    }

    /// Namespaces in which packs, executions and instances are looked up, in order.
    fn lookup_namespaces(&self) -> Vec<String> {
        let tenant = text(self.latest(), &["spec", "targetClusterRef"]);
        let tenant = tenant.map(|cluster| format!("seam-tenant-{cluster}"));
        let all = [Some(self.natural.namespace.clone()), Some("seam-system".into()), tenant];
        let mut namespaces: Vec<String> = Vec::new();
        for namespace in all.into_iter().flatten() {
            if !namespaces.contains(&namespace) {
                namespaces.push(namespace);
            }
        }
        namespaces
    }

    fn subject(&self) -> String {
        format!("object:{}", self.key())
    }
}

/// Turns what was seen of an object into its observations, in their total order.
fn observations(sightings: &[Sighting]) -> Vec<Observation> {
    let mut found: Vec<Observation> = Vec::new();
    // Of what was attached only deletions are observations.
    let counted = || sightings.iter().filter(|sighting| sighting.deleted || !sighting.attached);
    let mut add = |sighting: &Sighting, effective: i64| {
        found.push(Observation {
            effective,
            deleted: sighting.deleted,
            resource_version: version_number(sighting),
            body: sighting.body.clone(),
        });
    };

    let mut versioned: BTreeMap<_, Vec<&Sighting>> = BTreeMap::new();
    for sighting in counted() {
        if let Some(resource_version) = &sighting.resource_version {
            let identity = (resource_version, &sighting.body.digest, sighting.deleted);
            versioned.entry(identity).or_default().push(sighting);
        }
    }
    let stamp = |seen: &[&Sighting]| seen.iter().filter_map(|sighting| sighting.stamp).min();
    for seen in versioned.values() {
        let first = seen[0];
        let lower =
            versioned.values().filter(|other| !other[0].deleted && version_number(other[0]) < version_number(first));
        let after = lower.filter_map(|other| stamp(other)).max().unwrap_or(0);
        add(first, stamp(seen).unwrap_or(first.body.own_time.max(after)));
    }

    let unversioned = || counted().filter(|sighting| sighting.resource_version.is_none());
    // The latest effective time of a stamped, not deleted observation.
    let alive = || unversioned().filter(|sighting| !sighting.deleted);
    let last_alive = versioned
        .values()
        .filter(|seen| !seen[0].deleted)
        .filter_map(|seen| stamp(seen))
        .chain(alive().filter_map(|sighting| sighting.stamp))
        .max()
        .unwrap_or(0);
    let mut known = BTreeSet::new();
    for sighting in unversioned() {
        let identity = (sighting.stamp, &sighting.body.digest, sighting.deleted);
        let counts = sighting.stamp.is_some() || sighting.deleted;
        if counts && known.insert(identity) {
            let inferred = sighting.body.own_time.max(last_alive);
            add(sighting, sighting.stamp.unwrap_or(inferred));
        }
    }
    for sighting in unversioned().filter(|sighting| sighting.stamp.is_none() && !sighting.deleted) {
        if found.iter().all(|observation| observation.body.digest != sighting.body.digest) {
            found.push(Observation {
                effective: sighting.body.own_time,
                deleted: false,
                resource_version: 0,
                body: sighting.body.clone(),
            });
        }
    }
    found.sort_by(|a, b| position(a).cmp(&position(b)));
    found
}

/// The place of an observation in the order of its object.
fn position(observation: &Observation) -> (i64, bool, u64, &str) {
    let Observation { effective, deleted, resource_version, body } = observation;
    (*effective, *deleted, *resource_version, &body.digest)
}

/// The resource version as a number, 0 where it is none.
fn version_number(sighting: &Sighting) -> u64 {
    let resource_version = sighting.resource_version.as_deref();
    resource_version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Walks observations in their order into versions; inferred closings come later.
fn versions(observations: &[Observation]) -> Vec<Version> {
    let mut versions: Vec<Version> = Vec::new();
    for Observation { effective, deleted, body, .. } in observations {
        let at = *effective;
        let same = versions.last().is_some_and(|version| version.body.digest == body.digest);
        let open = versions.last_mut().filter(|version| version.to.is_none());
        match (open, same, deleted) {
            // Still the same; or a closing that is told again.
            (Some(_), true, false) | (None, true, true) => continue,
            (Some(version), true, true) => {
                (version.to, version.end) = (Some(at), Some("DELETED"));
                continue;
            }
            (Some(version), false, _) => (version.to, version.end) = (Some(at), Some("CHANGED")),
            (None, _, _) => {}
        }
        let (to, end) = if *deleted { (Some(at), Some("DELETED")) } else { (None, None) };
        versions.push(Version { from: at, to, end, body: body.clone() });
    }
    versions
}

/// The object with a uid that a record without one is about: same natural key, same spec.
fn twin<'a>(sighting: &Sighting, with_uid: &'a [Object]) -> Option<&'a Object> {
    let twins = || {
        with_uid.iter().filter(|object| {
            object.natural == sighting.natural
                && object.observations.iter().any(|seen| seen.body.spec_digest == sighting.body.spec_digest)
        })
    };
    let created = sighting.body.created;
    let same_creation = twins().filter(|object| created.is_some() && object.created() == created);
    let latest = |object: &&Object| (object.birth(), object.uid.clone());
    same_creation.max_by_key(latest).or_else(|| twins().max_by_key(latest))
}

/// The key of the object that a record counts for.
fn target(sighting: &Sighting, with_uid: &[Object]) -> (Natural, Option<String>) {
    let uid = sighting.uid.clone();
    let uid = uid.or_else(|| twin(sighting, with_uid).and_then(|object| object.uid.clone()));
    (sighting.natural.clone(), uid)
}

fn group(sightings: impl Iterator<Item = ((Natural, Option<String>), Sighting)>) -> Vec<Object> {
    let mut grouped: BTreeMap<(Natural, Option<String>), Vec<Sighting>> = BTreeMap::new();
    for (key, sighting) in sightings {
        grouped.entry(key).or_default().push(sighting);
    }
    let objects = grouped.into_iter();
    objects.filter_map(|((natural, uid), seen)| Object::new(&natural, uid, &seen)).collect()
}

/// Every object of a source, its tail still open where only inference could close it.
fn objects(received: &Received) -> Vec<Object> {
    let own = received.sightings.iter().filter(|sighting| sighting.uid.is_some());
    let with_uid = group(own.map(|seen| ((seen.natural.clone(), seen.uid.clone()), seen.clone())));
    let all = received.sightings.iter().map(|sighting| {
        let key = target(sighting, &with_uid);
        let mut sighting = sighting.clone();
        if sighting.uid.is_none() && key.1.is_some() {
            sighting.attached = true;
            sighting.resource_version = None;
        }
        (key, sighting)
    });
    group(all)
}

// ---------------------------------------------------------------------------------------------
// The world: inferred closings and references
// ---------------------------------------------------------------------------------------------

/// All objects of one source with their final versions, sorted by natural key and uid.
struct World {
    objects: Vec<Object>,
}

impl World {
    fn new(received: &Received) -> Self {
        let mut world = Self { objects: objects(received) };
        // Executions first: what they own closes with them. They are owned by no execution.
        for executions in [true, false] {
            for index in 0..world.objects.len() {
                if world.objects[index].is(EXECUTION) == executions {
                    let closing = world.inferred_closing(index, received);
                    let version = world.objects[index].versions.last_mut();
                    if let (Some((at, end)), Some(version)) = (closing, version) {
                        (version.to, version.end) = (Some(at), Some(end));
                    }
                }
            }
        }
        world
    }

    /// The earliest closing that nobody reported; ties go to the one named first.
    fn inferred_closing(&self, index: usize, received: &Received) -> Option<(i64, &'static str)> {
        let object = &self.objects[index];
        let (last, evidence) = (object.tail()?, object.evidence()?);
        let closings = [
            (missing_since(object, evidence, received), "SNAPSHOT"),
            (self.owner_closed(object, evidence), "OWNER"),
            (self.succeeded_at(object, last), "SUCCESSOR"),
        ];
        let closings = closings.into_iter().filter_map(|(at, end)| Some((at?, end)));
        closings.min_by_key(|(at, _)| *at)
    }

    /// When the owning execution closed, unless the object was seen after that.
    fn owner_closed(&self, object: &Object, evidence: i64) -> Option<i64> {
        if object.is(EXECUTION) {
            return None;
        }
        let owner = self.seen_owner(object)?;
        owner.closed().filter(|closed| *closed >= evidence)
    }

    /// The execution that the ownerReference names by name and uid.
    fn seen_owner(&self, object: &Object) -> Option<&Object> {
        let (uid, name) = (object.owner_uid()?, text(object.owner()?, &["name"])?);
        self.objects.iter().find(|owner| {
            owner.is(EXECUTION)
                && owner.uid.as_deref() == Some(uid)
                && owner.natural.namespace == object.natural.namespace
                && owner.natural.name == name
        })
    }

    /// When the next newer object of the same natural key took the place of this one.
    fn succeeded_at(&self, object: &Object, last: i64) -> Option<i64> {
        let named = self.objects.iter().filter(|other| other.natural == object.natural);
        let age = |other: &Object| (other.birth(), other.first(), other.uid.clone());
        let newer = named.filter(|other| {
            let by_time = (other.birth(), other.first()) > (object.birth(), object.first());
            let by_uid = object.uid.is_some() && age(other) > age(object);
            other.uid.is_some() && (by_time || by_uid)
        });
        newer.min_by_key(|other| age(other)).map(|next| next.birth().max(last))
    }

    /// What a name means at a time: who lived then, else who died last before, else nobody.
    fn resolve(
        &self,
        kind: &str,
        namespaces: &[String],
        name: &str,
        at: i64,
        admits: impl Fn(&Object) -> bool,
    ) -> Option<&Object> {
        let alive = self.resolve_alive(kind, namespaces, name, at, &admits);
        alive.or_else(|| {
            let named = self.named(kind, namespaces, name).into_iter();
            let dead = named
                .filter(|object| admits(object) && object.birth() <= at && object.closed().is_some_and(|c| c <= at));
            dead.max_by_key(|object| (object.closed(), object.birth(), object.id()))
        })
    }

    /// Who of a name lived at a time; the first namespace that has one decides.
    fn resolve_alive(
        &self,
        kind: &str,
        namespaces: &[String],
        name: &str,
        at: i64,
        admits: impl Fn(&Object) -> bool,
    ) -> Option<&Object> {
        namespaces.iter().find_map(|namespace| {
            let named = self.named(kind, std::slice::from_ref(namespace), name).into_iter();
            let alive =
                named.filter(|object| admits(object) && object.birth() <= at && object.closed().is_none_or(|c| at < c));
            alive.max_by_key(|object| (object.birth(), object.id()))
        })
    }

    fn named(&self, kind: &str, namespaces: &[String], name: &str) -> Vec<&Object> {
        let named = self.objects.iter().filter(|object| {
            object.is(kind)
                && object.natural.cluster.is_empty()
                && object.natural.name == name
                && namespaces.contains(&object.natural.namespace)
        });
        named.collect()
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects.iter().filter(move |object| object.is(kind))
    }

    /// The pack that `spec.clusterPackRef` of the latest version names.
    fn pack_of(&self, object: &Object) -> Option<&Object> {
        let name = pack_name(object.latest())?;
        let at = object.spec_time(pack_name);
        self.resolve(PACK, &object.lookup_namespaces(), &name, at, |_| true)
    }

    fn state(&self) -> Value {
        let sequences = self.sequences();
        let mut findings = BTreeSet::new();
        for sequence in sequences.values() {
            findings.extend(self.sequence_findings(sequence));
        }
        for object in &self.objects {
            findings.extend(self.object_findings(object));
        }
        findings.extend(self.duplicate_receipts());
        findings.extend(self.family_regressions());
        let findings = findings
            .into_iter()
            .map(|(subject, code, severity)| json!({"code": code, "severity": severity, "subject": subject}));
        let objects = self.objects.iter().map(|object| (object.key(), object_state(object)));
        let objects: BTreeMap<_, _> = objects.collect();
        let sequences = sequences.into_iter().map(|(key, epochs)| {
            let epochs: Vec<_> = epochs.iter().map(|epoch| self.epoch_state(epoch)).collect();
            (key, json!(epochs))
        });
        json!({
            "objects": Value::Object(objects.into_iter().collect()),
            "sequences": Value::Object(sequences.collect()),
            "findings": findings.collect::<Vec<_>>(),
        })
    }
}

/// The time of the first listing that should show the object, taken after it was last seen.
/// A listing that shows the object is evidence of its own time, and so never one of these.
fn missing_since(object: &Object, evidence: i64, received: &Received) -> Option<i64> {
    let Natural { kind, namespace, .. } = &object.natural;
    let missing = received.listings.iter().filter(|listing| {
        (listing.kinds.is_empty() || listing.kinds.contains(kind))
            && (listing.namespaces.is_empty() || listing.namespaces.contains(namespace))
            && listing.at > evidence
    });
    missing.map(|listing| listing.at).min()
}

fn object_state(object: &Object) -> Value {
    let versions = object.versions.iter().map(|version| {
        json!({
            "from": version.from,
            "to": version.to,
            "content": version.body.digest,
            "spec": version.body.spec_digest,
            "end": version.end,
        })
    });
    json!({"live": object.live(), "versions": versions.collect::<Vec<_>>()})
}

/// The name in `spec.clusterPackRef`, which is an object or a string.
fn pack_name(content: &Value) -> Option<String> {
    owned(content, &["spec", "clusterPackRef", "name"]).or_else(|| owned(content, &["spec", "clusterPackRef"]))
}

// ---------------------------------------------------------------------------------------------
// Sequences
// ---------------------------------------------------------------------------------------------

/// One revision that one result object carried.
struct Row {
    /// Index of the object in the world.
    object: usize,
    revision: i64,
    spec_digest: String,
    live: bool,
    superseded: bool,
    previous: Option<Previous>,
}

/// What a `previousRevisionRef` means.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Previous {
    /// Index of an object in the world.
    Object(usize),
    /// A name that nobody had.
    Placeholder(String),
}

/// The results of one life of an execution.
struct Epoch {
    /// `{namespace}/{name}` of the sequence.
    sequence: String,
    uid: String,
    rank: usize,
    newest: bool,
    rows: Vec<Row>,
}

/// A gap in the revisions of an epoch: kind, first and last missing revision.
type Gap = (&'static str, i64, i64);

/// A fork: lowest revision and members.
type Fork = (i64, BTreeSet<String>);

fn revision(content: &Value) -> i64 {
    content["spec"]["revision"].as_i64().unwrap_or(0)
}

fn revisions(object: &Object) -> BTreeSet<i64> {
    object.versions.iter().map(|version| revision(&version.body.content)).collect()
}

fn lowest_revision(object: &Object) -> i64 {
    revisions(object).first().copied().unwrap_or(0)
}

/// The name of a result's sequence, `None` where only its own name is left.
fn given_sequence_name(object: &Object) -> Option<String> {
    let latest = object.latest();
    owned(latest, &["spec", "packExecutionRef"])
        .or_else(|| owned(latest, &["metadata", "labels", "ontai.dev/pack-execution"]))
        .or_else(|| object.owner().and_then(|owner| owned(owner, &["name"])))
}

fn sequence_name(object: &Object) -> String {
    given_sequence_name(object).unwrap_or_else(|| object.natural.name.clone())
}

fn sequence_key(object: &Object) -> String {
    format!("{}/{}", object.natural.namespace, sequence_name(object))
}

impl World {
    /// All sequences with their epochs by rank.
    fn sequences(&self) -> BTreeMap<String, Vec<Epoch>> {
        let mut members: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
        for (index, object) in self.objects.iter().enumerate() {
            if object.is(RESULT) {
                let epochs = members.entry(sequence_key(object)).or_default();
                epochs.entry(self.epoch_uid(index)).or_default().push(index);
            }
        }
        let sequences = members.into_iter();
        sequences.map(|(key, epochs)| (key.clone(), self.ranked(&key, epochs))).collect()
    }

    fn ranked(&self, sequence: &str, epochs: BTreeMap<String, Vec<usize>>) -> Vec<Epoch> {
        let mut epochs: Vec<_> = epochs.into_iter().collect();
        let birth = |members: &[usize]| members.iter().map(|i| self.objects[*i].birth()).min();
        epochs.sort_by_key(|(uid, members)| (birth(members), uid.clone()));
        let count = epochs.len();
        let ranked = epochs.into_iter().zip(1..);
        let epoch = |((uid, members), rank): ((String, Vec<usize>), usize)| {
            let mut rows: Vec<Row> = members.iter().flat_map(|i| self.rows(*i)).collect();
            rows.sort_by_key(|row| self.row_position(row));
            Epoch { sequence: sequence.to_owned(), uid, rank, newest: rank == count, rows }
        };
        ranked.map(epoch).collect()
    }

    /// Order of rows in an epoch; the last is the head.
    fn row_position(&self, row: &Row) -> (i64, i64, String, String) {
        let object = &self.objects[row.object];
        (row.revision, object.first(), object.id(), object.key())
    }

    /// One row a revision, with the facts of the last version that carried it.
    fn rows(&self, index: usize) -> Vec<Row> {
        let object = &self.objects[index];
        let row = |wanted: i64| {
            let carries = |version: &Version| revision(&version.body.content) == wanted;
            let last = object.versions.iter().rposition(carries)?;
            let body = &object.versions[last].body;
            let superseded = text(&body.content, &["metadata", "labels", "ontai.dev/superseded"]);
            Some(Row {
                object: index,
                revision: wanted,
                spec_digest: body.spec_digest.clone(),
                live: object.live() && last + 1 == object.versions.len(),
                superseded: superseded == Some("true"),
                previous: self.previous(index, wanted),
            })
        };
        revisions(object).into_iter().filter_map(row).collect()
    }

    /// What the previousRevisionRef of an object's row refers to.
    fn previous(&self, index: usize, wanted: i64) -> Option<Previous> {
        let object = &self.objects[index];
        let carries = |version: &Version| revision(&version.body.content) == wanted;
        let last = object.versions.iter().rev().find(|version| carries(version))?;
        let name = text(&last.body.content, &["spec", "previousRevisionRef"])?;
        let first = object.versions.iter().position(carries)?;
        let at = if first == 0 { object.birth() } else { object.versions[first].from };
        let namespace = std::slice::from_ref(&object.natural.namespace);
        let found = self.resolve(RESULT, namespace, name, at, |_| true);
        let found = found.and_then(|found| self.index_of(found));
        Some(found.map_or_else(|| Previous::Placeholder(name.to_owned()), Previous::Object))
    }

    fn index_of(&self, object: &Object) -> Option<usize> {
        self.objects.iter().position(|other| std::ptr::eq(other, object))
    }

    /// The epoch of a result: the first rule that applies.
    fn epoch_uid(&self, index: usize) -> String {
        let object = &self.objects[index];
        if let Some(uid) = object.owner_uid() {
            return uid.to_owned();
        }
        let lowest = lowest_revision(object);
        let before = |other: &Object| {
            other.is(RESULT) && sequence_key(other) == sequence_key(object) && lowest_revision(other) < lowest
        };
        if let Some(Previous::Object(previous)) = self.previous(index, lowest)
            && before(&self.objects[previous])
        {
            return self.epoch_uid(previous);
        }
        let (name, namespaces) = (sequence_name(object), object.lookup_namespaces());
        let execution = self.resolve_alive(EXECUTION, &namespaces, &name, object.birth(), |_| true);
        if let Some(execution) = execution {
            return execution.id();
        }
        if lowest == 1 {
            return object.id();
        }
        let earlier =
            self.objects.iter().enumerate().filter(|(_, other)| before(other) && other.birth() < object.birth());
        let last = earlier.max_by_key(|(_, other)| (other.birth(), lowest_revision(other), other.id(), other.key()));
        last.map_or_else(|| "unknown".to_owned(), |(earlier, _)| self.epoch_uid(earlier))
    }

    fn gaps(&self, epoch: &Epoch) -> Vec<Gap> {
        let revisions: BTreeSet<i64> =
            epoch.rows.iter().map(|row| row.revision).filter(|revision| *revision >= 1).collect();
        let mut gaps = Vec::new();
        if let Some(&lowest) = revisions.first() {
            let mut lowest_rows = epoch.rows.iter().filter(|row| row.revision == lowest);
            if lowest > 1 && !lowest_rows.any(|row| self.comes_from_elsewhere(epoch, row)) {
                gaps.push(("BEFORE_FIRST_SEEN", 1, lowest - 1));
            }
        }
        for (&seen, &next) in revisions.iter().zip(revisions.iter().skip(1)) {
            if next > seen + 1 {
                gaps.push(("HOLE", seen + 1, next - 1));
            }
        }
        gaps
    }

    /// Whether the predecessor of a row belongs to another epoch of the same sequence.
    fn comes_from_elsewhere(&self, epoch: &Epoch, row: &Row) -> bool {
        let Some(Previous::Object(previous)) = row.previous else {
            return false;
        };
        sequence_key(&self.objects[previous]) == epoch.sequence && self.epoch_uid(previous) != epoch.uid
    }

    fn forks(&self, epoch: &Epoch) -> Vec<Fork> {
        let mut groups: Vec<Vec<&Row>> = Vec::new();
        for revision in epoch.rows.iter().map(|row| row.revision).collect::<BTreeSet<_>>() {
            groups.push(epoch.rows.iter().filter(|row| row.revision == revision).collect());
        }
        let parents: BTreeSet<_> = epoch.rows.iter().filter_map(|row| row.previous.as_ref()).collect();
        for parent in parents {
            let children = epoch.rows.iter().filter(|row| row.previous.as_ref() == Some(parent));
            groups.push(children.collect());
        }
        let mut forks: BTreeMap<BTreeSet<String>, i64> = BTreeMap::new();
        for rows in groups {
            let kinds: BTreeSet<_> = rows.iter().map(|row| (row.revision, &row.spec_digest)).collect();
            let members: BTreeSet<_> = rows.iter().map(|row| self.objects[row.object].id()).collect();
            if kinds.len() > 1 && members.len() > 1 {
                let lowest = rows.iter().map(|row| row.revision).min().unwrap_or(0);
                let known = forks.entry(members).or_insert(lowest);
                *known = lowest.min(*known);
            }
        }
        let forks: BTreeSet<Fork> = forks.into_iter().map(|(members, revision)| (revision, members)).collect();
        forks.into_iter().collect()
    }

    fn is_broken(&self, epoch: &Epoch, row: &Row) -> bool {
        let carries = |index: usize, revision: i64| {
            epoch.rows.iter().any(|other| other.object == index && other.revision == revision)
        };
        let before = row.revision - 1;
        let before_is_seen = epoch.rows.iter().any(|other| other.revision == before);
        match row.previous {
            None => false,
            Some(Previous::Placeholder(_)) => before_is_seen,
            Some(Previous::Object(previous)) => {
                let target = &self.objects[previous];
                let upward = sequence_key(target) == epoch.sequence
                    && revisions(target).iter().all(|revision| *revision >= row.revision);
                let elsewhere = before_is_seen && !carries(previous, before);
                previous == row.object || upward || elsewhere
            }
        }
    }

    fn status(&self, epoch: &Epoch) -> &'static str {
        let rewritten = |row: &Row| rewrite(&self.objects[row.object]) == Some("error");
        let gaps = self.gaps(epoch);
        if epoch.rows.iter().any(rewritten) {
            "CONFLICTED"
        } else if !self.forks(epoch).is_empty() {
            "FORKED"
        } else if epoch.rows.iter().any(|row| self.is_broken(epoch, row)) {
            "BROKEN"
        } else if gaps.iter().any(|gap| gap.0 == "HOLE") {
            "INCOMPLETE"
        } else if gaps.is_empty() {
            "COMPLETE"
        } else {
            "STARTED_LATE"
        }
    }

    fn epoch_state(&self, epoch: &Epoch) -> Value {
        let id = |row: &Row| self.objects[row.object].id();
        let named = |row: &Row| json!({"revision": row.revision, "uid": id(row)});
        let mut active = epoch.rows.iter().filter(|row| epoch.newest && row.live && !row.superseded);
        let gaps = self.gaps(epoch);
        let gaps = gaps.iter().map(|(kind, from, to)| json!({"kind": kind, "from": from, "to": to}));
        let forks = self.forks(epoch).into_iter();
        let forks = forks.map(|(revision, members)| json!({"revision": revision, "members": members}));
        let rows = epoch.rows.iter().map(|row| json!({"revision": row.revision, "uid": id(row), "live": row.live}));
        json!({
            "uid": epoch.uid,
            "rank": epoch.rank,
            "status": self.status(epoch),
            "head": epoch.rows.last().map(named),
            "active": active.next_back().map(named),
            "gaps": gaps.collect::<Vec<_>>(),
            "forks": forks.collect::<Vec<_>>(),
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

// ---------------------------------------------------------------------------------------------
// Findings
// ---------------------------------------------------------------------------------------------

/// Subject, code, severity: in the order in which findings are sorted.
type Finding = (String, &'static str, &'static str);

impl World {
    fn sequence_findings(&self, epochs: &[Epoch]) -> Vec<Finding> {
        let mut findings = Vec::new();
        for epoch in epochs {
            let gaps = self.gaps(epoch);
            let gap = |kind: &str| gaps.iter().any(|gap| gap.0 == kind);
            let raised = [
                (gap("HOLE"), "REVISION_GAP", "warning"),
                (gap("BEFORE_FIRST_SEEN"), "STARTED_LATE", "info"),
                (!self.forks(epoch).is_empty(), "REVISION_FORK", "error"),
                (epoch.rows.iter().any(|row| self.is_broken(epoch, row)), "BROKEN_LINK", "warning"),
            ];
            let subject = format!("epoch:{}@{}", epoch.sequence, epoch.uid);
            let raised = raised.into_iter().filter(|(raised, ..)| *raised);
            findings.extend(raised.map(|(_, code, severity)| (subject.clone(), code, severity)));
        }
        let rows = epochs.iter().flat_map(|epoch| &epoch.rows);
        if rows.filter(|row| row.live && !row.superseded).count() > 1 {
            let subject = format!("sequence:{}", epochs[0].sequence);
            findings.push((subject, "TWO_ACTIVES", "warning"));
        }
        findings
    }

    fn object_findings(&self, object: &Object) -> Vec<Finding> {
        let result = object.is(RESULT);
        let execution = object.is(EXECUTION);
        let receipt = object.is(RECEIPT);
        let executed = if execution { self.executed_pack(object) } else { None };
        let unsigned = executed.is_some_and(|pack| pack["status"]["signed"] == json!(false));
        let revoked = executed.is_some_and(|pack| is_true(pack, "Revoked"));
        let raised = [
            (result && self.is_orphan_result(object), "ORPHAN_RESULT", "info"),
            (result && is_status_inconsistent(object), "STATUS_INCONSISTENT", "warning"),
            (result && is_time_inconsistent(object), "TIME_INCONSISTENT", "info"),
            (execution && self.is_orphan_execution(object), "ORPHAN_EXECUTION", "info"),
            (execution && self.is_version_mismatch(object), "PACK_VERSION_MISMATCH", "warning"),
            (execution && self.is_result_dangling(object), "DANGLING_RESULT_REF", "info"),
            (unsigned, "EXECUTED_UNSIGNED", "error"),
            (revoked, "EXECUTED_REVOKED", "error"),
            ((execution || receipt) && self.is_chart_mismatch(object), "CHART_MISMATCH", "warning"),
            (receipt && is_unverified(object), "RECEIPT_UNVERIFIED", "critical"),
            (receipt && is_drifted(object), "RECEIPT_DRIFTED", "warning"),
            (receipt && self.is_layer_mismatch(object), "LAYER_DIGEST_MISMATCH", "error"),
            (receipt && self.is_signature_mismatch(object), "SIGNATURE_MISMATCH", "error"),
            (object.is(PACK) && is_regressed(object), "VERSION_REGRESSED", "info"),
            (is_resurrected(object), "RESURRECTED", "warning"),
        ];
        let raised = raised.into_iter().filter(|(raised, ..)| *raised);
        let raised = raised.map(|(_, code, severity)| (object.subject(), code, severity));
        let rewritten = rewrite(object).map(|severity| (object.subject(), "SPEC_REWRITTEN", severity));
        raised.chain(rewritten).collect()
    }

    fn is_orphan_result(&self, object: &Object) -> bool {
        if object.owner_uid().is_some() {
            return self.seen_owner(object).is_none();
        }
        let Some(name) = given_sequence_name(object) else {
            return true;
        };
        let namespaces = object.lookup_namespaces();
        self.resolve(EXECUTION, &namespaces, &name, object.birth(), |_| true).is_none()
    }

    fn is_orphan_execution(&self, object: &Object) -> bool {
        pack_name(object.latest()).is_some() && self.pack_of(object).is_none()
    }

    fn is_version_mismatch(&self, object: &Object) -> bool {
        let Some(pack) = self.pack_of(object) else {
            return false;
        };
        let wanted = text(object.latest(), &["spec", "clusterPackRef", "version"]);
        let found = text(pack.content_at(object.birth()), &["spec", "version"]);
        wanted.is_some() && found.is_some() && wanted != found
    }

    fn is_chart_mismatch(&self, object: &Object) -> bool {
        let Some(pack) = self.pack_of(object) else {
            return false;
        };
        CHART_FIELDS.iter().any(|field| {
            let told = text(object.latest(), &["spec", field]);
            let packed = text(pack.content_at(object.birth()), &["spec", field]);
            told.is_some() && packed.is_some() && told != packed
        })
    }

    fn is_layer_mismatch(&self, receipt: &Object) -> bool {
        let Some(pack) = self.pack_of(receipt) else {
            return false;
        };
        ["rbacDigest", "workloadDigest"].iter().any(|role| {
            let told = text(receipt.latest(), &["spec", role]);
            let mut carried = pack.versions.iter().map(|v| text(&v.body.content, &["spec", role]));
            told.is_some() && !carried.any(|digest| digest == told)
        })
    }

    fn is_signature_mismatch(&self, receipt: &Object) -> bool {
        let Some(signature) = receipt_signature(receipt.latest()) else {
            return false;
        };
        let instance_name = |content: &Value| {
            let own_name = || Some(receipt.natural.name.clone());
            owned(content, &["spec", "packInstanceRef"]).or_else(own_name)
        };
        let name = instance_name(receipt.latest()).unwrap_or_default();
        let signed_for =
            |content: &Value| Some(format!("{:?} {:?}", instance_name(content), receipt_signature(content)));
        let at = receipt.spec_time(signed_for);
        let instance = self.resolve(INSTANCE, &receipt.lookup_namespaces(), &name, at, |_| true);
        let versions = instance.map(|instance| &instance.versions).into_iter().flatten();
        let signed: Vec<_> = versions.filter_map(|version| management_signature(&version.body.content)).collect();
        !signed.is_empty() && !signed.contains(&signature)
    }

    fn is_result_dangling(&self, execution: &Object) -> bool {
        let reference = |content: &Value| owned(content, &["status", "operationResultRef"]);
        let Some(name) = reference(execution.latest()) else {
            return false;
        };
        let at = execution.status_time(reference);
        let namespace = std::slice::from_ref(&execution.natural.namespace);
        let own = |result: &Object| execution.uid.is_some() && result.owner_uid() == execution.uid.as_deref();
        let found = self.resolve(RESULT, namespace, &name, at, own);
        found.or_else(|| self.resolve(RESULT, namespace, &name, at, |_| true)).is_none()
    }

    /// The content of an execution's pack when it was executed.
    fn executed_pack(&self, execution: &Object) -> Option<&Value> {
        if !is_executed(execution.latest()) {
            return None;
        }
        let conditions = list(&execution.latest()["status"]["conditions"]);
        let told = conditions.filter(|condition| is_execution_condition(condition));
        let told = told.filter_map(|condition| time(&condition["lastTransitionTime"])).min();
        let mut seen = execution.versions.iter().filter(|v| is_executed(&v.body.content));
        let at = told.or_else(|| seen.next().map(|version| version.from))?;
        self.pack_of(execution).map(|pack| pack.content_at(at))
    }

    fn duplicate_receipts(&self) -> Vec<Finding> {
        let mut deliveries: BTreeMap<String, usize> = BTreeMap::new();
        for receipt in self.of_kind(RECEIPT).filter(|receipt| receipt.live()) {
            let cluster = text(receipt.latest(), &["spec", "targetClusterRef"]);
            if let (Some(cluster), Some(pack)) = (cluster, pack_name(receipt.latest())) {
                *deliveries.entry(format!("delivery:{cluster}/{pack}")).or_default() += 1;
            }
        }
        let duplicates = deliveries.into_iter().filter(|(_, count)| *count > 1);
        duplicates.map(|(subject, _)| (subject, "DUPLICATE_RECEIPT", "info")).collect()
    }

    fn family_regressions(&self) -> Vec<Finding> {
        let mut families: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
        for execution in self.of_kind(EXECUTION) {
            let cluster = text(execution.latest(), &["spec", "targetClusterRef"]);
            let pack = self.pack_of(execution);
            let base = pack.and_then(|pack| text(pack.latest(), &["spec", "basePackName"]));
            if let (Some(cluster), Some(base)) = (cluster, base) {
                families.entry(format!("family:{cluster}/{base}")).or_default().push(execution);
            }
        }
        let version = |execution: &Object| {
            text(execution.latest(), &["spec", "clusterPackRef", "version"]).and_then(pack_version)
        };
        let regressed = families.into_iter().filter_map(|(subject, mut executions)| {
            executions.sort_by_key(|execution| (execution.birth(), execution.id(), execution.key()));
            let versions: Vec<_> = executions.into_iter().map(version).collect();
            falls_back(&versions).then_some((subject, "VERSION_REGRESSED", "info"))
        });
        regressed.collect()
    }
}

/// Severity of an object's rewritten spec, `None` where it was never rewritten.
fn rewrite(object: &Object) -> Option<&'static str> {
    if ![RESULT, EXECUTION, PACK, RECEIPT].contains(&object.natural.kind.as_str()) {
        return None;
    }
    let steps = object.versions.windows(2);
    let steps = steps.filter(|step| step[0].body.spec_digest != step[1].body.spec_digest);
    let expected: Vec<bool> =
        steps.map(|step| is_expected(object, &step[0].body.content, &step[1].body.content)).collect();
    match (expected.is_empty(), expected.contains(&false)) {
        (true, _) => None,
        (false, true) => Some("error"),
        (false, false) => Some("info"),
    }
}

/// Whether a step between two specs of one object is what its writer does by design.
fn is_expected(object: &Object, before: &Value, after: &Value) -> bool {
    match object.natural.kind.as_str() {
        RESULT => object.natural.name == format!("pack-deploy-result-{}", sequence_name(object)),
        PACK => {
            let rolls_back = |content: &Value| !content["spec"]["rollbackToRevision"].is_null();
            let keeps = |field: &&str| before["spec"].get(*field) == after["spec"].get(*field);
            rolls_back(before) || rolls_back(after) || PACK_IDENTITY.iter().all(keeps)
        }
        RECEIPT => receipt_signature(before) != receipt_signature(after),
        _ => false,
    }
}

fn receipt_signature(content: &Value) -> Option<&str> {
    text(content, &["spec", "packSignature"]).or_else(|| text(content, &["status", "signature"]))
}

fn management_signature(content: &Value) -> Option<&str> {
    let annotation = |group: &str| {
        let name = format!("{group}.ontai.dev/management-signature");
        text(content, &["metadata", "annotations", &name])
    };
    annotation("infrastructure").or_else(|| annotation("runner"))
}

fn is_true(content: &Value, condition_type: &str) -> bool {
    list(&content["status"]["conditions"])
        .any(|condition| condition["type"] == json!(condition_type) && condition["status"] == json!("True"))
}

fn is_execution_condition(condition: &Value) -> bool {
    let told = condition["type"].as_str().unwrap_or_default();
    ["Running", "Succeeded", "Failed"].contains(&told) && condition["status"] == json!("True")
}

fn is_executed(content: &Value) -> bool {
    text(content, &["status", "jobName"]).is_some()
        || text(content, &["status", "operationResultRef"]).is_some()
        || list(&content["status"]["conditions"]).any(is_execution_condition)
}

fn is_resurrected(object: &Object) -> bool {
    let first_deletion = object.observations.iter().position(|observation| observation.deleted);
    let last_life = object.observations.iter().rposition(|observation| !observation.deleted);
    object.live() && first_deletion.is_some_and(|deletion| last_life > Some(deletion))
}

fn is_status_inconsistent(result: &Object) -> bool {
    let spec = &result.latest()["spec"];
    let failed_step = list(&spec["steps"]).any(|step| step["status"] == json!("Failed"));
    match spec["status"].as_str() {
        Some("Succeeded") => failed_step || spec["failureReason"].is_object(),
        Some("Failed") => !spec["failureReason"].is_object(),
        _ => false,
    }
}

fn is_time_inconsistent(result: &Object) -> bool {
    let spec = &result.latest()["spec"];
    let times = time(&spec["completedAt"]).zip(time(&spec["startedAt"]));
    times.is_some_and(|(completed, started)| completed < started)
}

fn is_unverified(receipt: &Object) -> bool {
    let claim = |version: &Version| {
        let content = &version.body.content;
        let told = content["spec"]["signatureVerified"].as_bool();
        told.or_else(|| content["status"]["verified"].as_bool())
    };
    receipt.versions.iter().rev().find_map(claim) == Some(false)
}

fn is_drifted(receipt: &Object) -> bool {
    receipt.live() && text(receipt.latest(), &["status", "driftStatus"]) == Some("Drifted")
}

fn is_regressed(pack: &Object) -> bool {
    let version = |v: &Version| text(&v.body.content, &["spec", "version"]).and_then(pack_version);
    falls_back(&pack.versions.iter().map(version).collect::<Vec<_>>())
}

/// Whether the last of some versions is lower than one before it.
fn falls_back(versions: &[Option<[u64; 4]>]) -> bool {
    let Some((Some(last), earlier)) = versions.split_last() else {
        return false;
    };
    earlier.iter().flatten().any(|version| version > last)
}

/// Reads `vX.Y.Z-rN`; `v`, `.Y`, `.Z` and `-rN` are optional.
fn pack_version(text: &str) -> Option<[u64; 4]> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (numbers, release) = text.split_once("-r").map_or((text, "0"), |(a, b)| (a, b));
    let numbers: Vec<_> = numbers.split('.').map(number).collect::<Option<_>>()?;
    let release = number(release)?;
    match numbers[..] {
        [x] => Some([x, 0, 0, release]),
        [x, y] => Some([x, y, 0, release]),
        [x, y, z] => Some([x, y, z, release]),
        _ => None,
    }
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

// ---------------------------------------------------------------------------------------------
// What searches and statistics must know
// ---------------------------------------------------------------------------------------------

/// An object with all that was ever seen under its own uid.
pub struct Seen {
    /// Name of the source.
    pub source: String,
    /// Its canonical kind.
    pub kind: String,
    /// Its object key.
    pub key: String,
    /// Its birth.
    pub birth: i64,
    /// Every content.
    pub contents: Vec<Value>,
}

/// A result as statistics count it; empty where the records do not tell.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Name of the source.
    pub source: String,
    /// When it counts.
    pub at: i64,
    /// How long it took.
    pub duration: Option<i64>,
    /// The cluster.
    pub cluster: String,
    /// The pack.
    pub pack: String,
    /// The base pack.
    pub base: String,
    /// The status.
    pub status: String,
    /// The capability.
    pub capability: String,
    /// The category of the failure.
    pub category: String,
    /// The failed step.
    pub step: String,
}

/// All sources with what they sent.
fn received(inputs: &[Input]) -> BTreeMap<&str, Received> {
    let mut sources: BTreeMap<&str, Received> = BTreeMap::new();
    for input in inputs {
        let (Input::Item { source, .. } | Input::Snapshot { source, .. }) = input;
        sources.entry(source).or_default().add(input);
    }
    sources
}

/// Every object that exists.
#[must_use]
pub fn seen(inputs: &[Input]) -> Vec<Seen> {
    let sources = received(inputs);
    let of_source = |(source, received): (&&str, &Received)| {
        let world = World::new(received);
        let seen = |object: &Object| Seen {
            source: (*source).to_owned(),
            kind: object.natural.kind.clone(),
            key: object.key(),
            birth: object.birth(),
            contents: received
                .sightings
                .iter()
                .filter(|sighting| sighting.natural == object.natural && sighting.uid == object.uid)
                .map(|sighting| sighting.body.content.clone())
                .collect(),
        };
        world.objects.iter().map(seen).collect::<Vec<_>>()
    };
    sources.iter().flat_map(of_source).collect()
}

/// Every content that was ever sent, with its source.
#[must_use]
pub fn contents(inputs: &[Input]) -> Vec<(String, Value)> {
    let sources = received(inputs);
    let of_source = |(source, received): (&&str, &Received)| {
        let of = |sighting: &Sighting| ((*source).to_owned(), sighting.body.content.clone());
        received.sightings.iter().map(of).collect::<Vec<_>>()
    };
    sources.iter().flat_map(of_source).collect()
}

/// Every result.
#[must_use]
pub fn operations(inputs: &[Input]) -> Vec<Operation> {
    let sources = received(inputs);
    let of_source = |(source, received): (&&str, &Received)| {
        let world = World::new(received);
        world.of_kind(RESULT).map(|object| world.operation(source, object)).collect::<Vec<_>>()
    };
    sources.iter().flat_map(of_source).collect()
}

/// The pack that a result itself names.
fn result_pack(content: &Value) -> Option<String> {
    pack_name(content).or_else(|| owned(content, &["metadata", "labels", "ontai.dev/cluster-pack"]))
}

impl World {
    fn operation(&self, source: &str, object: &Object) -> Operation {
        let latest = object.latest();
        let of = |path: &[&str]| owned(latest, path).unwrap_or_default();
        let started = time(&latest["spec"]["startedAt"]);
        let completed = time(&latest["spec"]["completedAt"]);
        let (pack, base) = if let Some(name) = result_pack(latest) {
            let at = object.spec_time(result_pack);
            let found = self.resolve(PACK, &object.lookup_namespaces(), &name, at, |_| true);
            (Some(name), found)
        } else {
            let execution = self.execution_of(object);
            (execution.and_then(|e| pack_name(e.latest())), execution.and_then(|e| self.pack_of(e)))
        };
        // A pack that names no base is its own.
        let own = |pack: &Object| owned(pack.latest(), &["metadata", "name"]);
        let base = base.and_then(|pack| owned(pack.latest(), &["spec", "basePackName"]).or_else(|| own(pack)));
        Operation {
            source: source.to_owned(),
            at: completed.or(started).unwrap_or_else(|| object.birth()),
            duration: completed.zip(started).map(|(c, s)| c - s).filter(|duration| *duration >= 0),
            cluster: of(&["spec", "targetClusterRef"]),
            pack: pack.unwrap_or_default(),
            base: base.unwrap_or_default(),
            status: of(&["spec", "status"]),
            capability: of(&["spec", "capability"]),
            category: of(&["spec", "failureReason", "category"]),
            step: of(&["spec", "failureReason", "failedStep"]),
        }
    }

    /// The execution of a result: its owner, else who had the name that it gives.
    fn execution_of(&self, result: &Object) -> Option<&Object> {
        if result.owner_uid().is_some() {
            return self.seen_owner(result);
        }
        let name = given_sequence_name(result)?;
        self.resolve(EXECUTION, &result.lookup_namespaces(), &name, result.birth(), |_| true)
    }
}
