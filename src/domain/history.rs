//! From observations to versions: what an object was, from when to when, and how it ended.
//!
//! Everything here is a pure function of the *set* of observations, so that the same records give
//! the same history in whatever order they arrive. The unit is the natural-key group: all objects
//! that ever had one kind, namespace and name, because a younger one ends an older one and because
//! a dump without uid belongs to whichever of them has its spec.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::facts::{Facts, Owner};

/// A content that an object had: everything but its volatile parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of the content's canonical JSON.
    pub digest: Digest,
    /// SHA-256 of the canonical JSON of `spec` alone.
    pub spec: Digest,
    /// What the rules need of it.
    pub facts: Facts,
}

/// One stored observation of an object.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Its row in the store; 0 while it has none.
    pub id: i64,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<String>,
    /// The content seen.
    pub content: Arc<Content>,
    /// Seen by its deletion.
    pub deleted: bool,
    /// The earliest `observedAt` of its sightings; `None` while no sighting was stamped.
    pub stamped_at: Option<i64>,
    /// The latest stamped sighting, for a record without uid; objects with one keep it for all
    /// observations together.
    pub sighted_at: Option<i64>,
    /// The latest of the record's own times.
    pub own_time: i64,
}

impl Observation {
    /// Whether a new sighting is of this very observation.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.deleted == other.deleted
            && self.resource_version == other.resource_version
            && self.content.digest == other.content.digest
            && (self.resource_version.is_some() || self.stamped_at == other.stamped_at)
    }
}

/// How a version ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum End {
    /// Another content followed.
    Changed,
    /// The object was seen to be deleted.
    Deleted,
    /// A complete listing did not have it.
    Snapshot,
    /// Its owner was closed: the cluster's garbage collection.
    Owner,
    /// A younger object took its name.
    Successor,
}

/// One version: a stretch of equal content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// From when, microseconds (inclusive).
    pub from: i64,
    /// Until when, microseconds (exclusive); `None` while it is open.
    pub to: Option<i64>,
    /// How it ended.
    pub end: Option<End>,
    /// Its content.
    pub content: Arc<Content>,
    /// The observation that began it ([`Observation::id`]).
    pub observation: i64,
}

/// All that was observed of one object.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// `metadata.uid`; `None` for what came without one.
    pub uid: Option<String>,
    /// The latest stamped sighting of any of its observations, microseconds.
    pub sighted_at: Option<i64>,
    /// The observations, in any order.
    pub observations: Vec<Observation>,
}

/// The history of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The versions in order; never empty for an object that exists.
    pub versions: Vec<Version>,
}

impl History {
    /// The latest version.
    #[must_use]
    pub fn latest(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// Whether the object still exists, as far as is known.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.latest().is_some_and(|version| version.to.is_none())
    }

    /// When it was closed.
    #[must_use]
    pub fn closed_at(&self) -> Option<i64> {
        self.latest().and_then(|version| version.to)
    }

    /// When it was first observed, microseconds.
    #[must_use]
    pub fn first_at(&self) -> i64 {
        self.versions.first().map_or(0, |version| version.from)
    }

    /// `creationTimestamp` of the latest version that has one, else the first effective time.
    #[must_use]
    pub fn birth(&self) -> i64 {
        self.latest_fact(|facts| facts.created).unwrap_or_else(|| self.first_at())
    }

    /// The owner that the latest version with an ownerReference names; orphaning strips it.
    #[must_use]
    pub fn owner(&self) -> Option<&Owner> {
        self.versions.iter().rev().find_map(|version| version.content.facts.owner.as_ref())
    }

    /// Open although it was seen deleted before.
    #[must_use]
    pub fn is_resurrected(&self) -> bool {
        self.is_live() && self.versions.iter().any(|version| version.end == Some(End::Deleted))
    }

    /// The version at a time: the last that began until then, else the first.
    #[must_use]
    pub fn version_at(&self, at: i64) -> Option<&Version> {
        self.versions.iter().rev().find(|version| version.from <= at).or_else(|| self.versions.first())
    }

    fn latest_fact<T>(&self, fact: impl Fn(&Facts) -> Option<T>) -> Option<T> {
        self.versions.iter().rev().find_map(|version| fact(&version.content.facts))
    }
}

/// A group whose observations are in order, before the inferred closings are known.
pub struct Prepared<'a> {
    objects: &'a [Observed],
    attached: Vec<Attached<'a>>,
    histories: Vec<History>,
}

impl<'a> Prepared<'a> {
    /// Deals out the dumps without uid, puts the observations in order and builds their runs.
    #[must_use]
    pub fn new(objects: &'a [Observed]) -> Self {
        let attached = attach_dumps(objects);
        let histories = attached.iter().map(|group| runs(&group.observations)).collect();
        Self { objects, attached, histories }
    }

    /// The last time at which each object is known to have existed: its last observation or any
    /// later stamped sighting. Only a listing taken after it can tell that the object is gone.
    #[must_use]
    pub fn evidence(&self) -> Vec<i64> {
        self.attached.iter().map(|group| group.evidence).collect()
    }

    /// The owners of the objects.
    pub fn owners(&self) -> impl Iterator<Item = &Owner> {
        self.histories.iter().filter_map(History::owner)
    }

    /// The histories, in the order of the objects. An object whose dumps all belong to others gets a
    /// history without versions: it does not exist.
    ///
    /// `omitted` has for each object the first complete listing after its evidence;
    /// `owner_closed` tells when an owner was closed, `None` while it lives or was never seen.
    /// Inferred closings hold only while nothing later refutes them.
    #[must_use]
    pub fn finish(self, omitted: &[Option<i64>], owner_closed: impl Fn(&Owner) -> Option<i64>) -> Vec<History> {
        let successors: Vec<Option<i64>> =
            (0..self.objects.len()).map(|i| successor_birth(i, self.objects, &self.histories)).collect();
        let mut histories = self.histories;
        for (i, history) in histories.iter_mut().enumerate() {
            let Attached { last, evidence, .. } = self.attached[i];
            let candidates = [
                (omitted[i], End::Snapshot),
                (history.owner().and_then(&owner_closed).filter(|at| *at >= evidence), End::Owner),
                (successors[i].map(|birth| birth.max(last)), End::Successor),
            ];
            let closing = candidates.into_iter().filter_map(|(at, end)| Some((at?, end))).min_by_key(|(at, _)| *at);
            if let Some((at, end)) = closing {
                close(&mut history.versions, at, end);
            }
        }
        histories
    }
}

/// An object's observations after the dumps without uid were dealt out.
struct Attached<'a> {
    observations: Vec<Timed<'a>>,
    /// Effective time of the last observation that is no deletion.
    last: i64,
    /// The last time at which it is known to have existed.
    evidence: i64,
}

/// An observation with its effective time.
#[derive(Clone, Copy)]
struct Timed<'a> {
    at: i64,
    seen: Seen<'a>,
}

/// An observation as one of an object: a dump that is attached says nothing by its resourceVersion.
#[derive(Clone, Copy)]
struct Seen<'a> {
    observation: &'a Observation,
    resource_version: Option<&'a str>,
}

impl<'a> Seen<'a> {
    fn own(observation: &'a Observation) -> Self {
        Self { observation, resource_version: observation.resource_version.as_deref() }
    }

    fn attached(observation: &'a Observation) -> Self {
        Self { observation, resource_version: None }
    }

    /// `resourceVersion` as a number, 0 where it is absent or none: a tie-breaker, never an order.
    fn rank(&self) -> u64 {
        self.resource_version.and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl Timed<'_> {
    fn order(&self, other: &Self) -> Ordering {
        let key = |timed: &Self| {
            let Seen { observation, .. } = timed.seen;
            (timed.at, observation.deleted, timed.seen.rank(), observation.content.digest)
        };
        key(self).cmp(&key(other))
    }
}

fn attach_dumps(objects: &[Observed]) -> Vec<Attached<'_>> {
    let mut own: Vec<Vec<Seen>> = objects.iter().map(|_| Vec::new()).collect();
    let mut sighted: Vec<Option<i64>> =
        objects.iter().map(|object| object.uid.as_ref().and(object.sighted_at)).collect();
    let twins = Twins::new(objects);
    for (i, object) in objects.iter().enumerate() {
        for observation in &object.observations {
            match object.uid.is_none().then(|| twins.of(observation)).flatten() {
                None => {
                    own[i].push(Seen::own(observation));
                    sighted[i] = sighted[i].max(observation.sighted_at);
                }
                Some(twin) if observation.deleted => own[twin].push(Seen::attached(observation)),
                Some(twin) => sighted[twin] = sighted[twin].max(observation.sighted_at),
            }
        }
    }
    own.iter()
        .zip(sighted)
        .map(|(observations, sighted)| {
            let observations = timed(observations);
            let last =
                observations.iter().filter(|o| !o.seen.observation.deleted).map(|o| o.at).max().unwrap_or(i64::MIN);
            Attached { observations, last, evidence: last.max(sighted.unwrap_or(i64::MIN)) }
        })
        .collect()
}

/// The objects with a uid that a dump without one can belong to, by spec digest.
struct Twins<'a> {
    by_spec: HashMap<Digest, Vec<Twin<'a>>>,
}

struct Twin<'a> {
    index: usize,
    created: Option<i64>,
    birth: i64,
    uid: &'a str,
}

impl<'a> Twins<'a> {
    fn new(objects: &'a [Observed]) -> Self {
        let mut by_spec: HashMap<Digest, Vec<Twin>> = HashMap::new();
        if objects.iter().all(|object| object.uid.is_some()) {
            return Self { by_spec };
        }
        for (index, object) in objects.iter().enumerate() {
            let Some(uid) = &object.uid else { continue };
            let observations: Vec<Seen> = object.observations.iter().map(Seen::own).collect();
            let history = runs(&timed(&observations));
            let created = history.latest_fact(|facts| facts.created);
            for observation in &object.observations {
                let twins = by_spec.entry(observation.content.spec).or_default();
                if twins.last().is_none_or(|twin| twin.index != index) {
                    twins.push(Twin { index, created, birth: history.birth(), uid });
                }
            }
        }
        Self { by_spec }
    }

    fn of(&self, dump: &Observation) -> Option<usize> {
        let created = dump.content.facts.created;
        let twins = self.by_spec.get(&dump.content.spec)?;
        twins
            .iter()
            .max_by_key(|twin| (created.is_some() && twin.created == created, twin.birth, twin.uid))
            .map(|twin| twin.index)
    }
}

/// Gives each observation its effective time and sorts them. A sighting that adds nothing is left out.
fn timed<'a>(all: &[Seen<'a>]) -> Vec<Timed<'a>> {
    let mut timed: Vec<Timed> = Vec::with_capacity(all.len());
    for (i, &seen) in all.iter().enumerate() {
        let Seen { observation, resource_version } = seen;
        let at = match (observation.stamped_at, resource_version) {
            (Some(at), _) => at,
            (None, Some(_)) => {
                let is_older = |other: &Seen| other.resource_version.is_some() && other.rank() < seen.rank();
                latest_stamp(all, is_older).max(observation.own_time)
            }
            (None, None) if observation.deleted => latest_stamp(all, |_| true).max(observation.own_time),
            (None, None) if is_known(i, all) => continue,
            (None, None) => observation.own_time,
        };
        timed.push(Timed { at, seen });
    }
    timed.sort_by(Timed::order);
    timed
}

/// The latest stamped observation that is no deletion, among those that `precedes` lets through. An
/// unstamped listing cannot be older than what it supersedes, nor a deletion than what it deletes.
fn latest_stamp(all: &[Seen], precedes: impl Fn(&Seen) -> bool) -> i64 {
    all.iter()
        .filter(|other| !other.observation.deleted && precedes(other))
        .filter_map(|other| other.observation.stamped_at)
        .max()
        .unwrap_or(i64::MIN)
}

fn is_known(index: usize, all: &[Seen]) -> bool {
    let digest = |seen: &Seen| seen.observation.content.digest;
    all.iter().enumerate().any(|(i, other)| i != index && digest(other) == digest(&all[index]))
}

/// The runs of equal content, ended by changes and by deletions that were seen.
fn runs(observations: &[Timed]) -> History {
    let mut versions: Vec<Version> = Vec::new();
    for Timed { at, seen: Seen { observation, .. } } in observations {
        let open_digest = versions.last().filter(|v| v.to.is_none()).map(|v| v.content.digest);
        let repeats = open_digest == Some(observation.content.digest);
        if observation.deleted {
            let closed_same = versions
                .last()
                .is_some_and(|v| v.end == Some(End::Deleted) && v.content.digest == observation.content.digest);
            if closed_same {
                continue;
            }
            if !repeats {
                begin(&mut versions, *at, observation);
            }
            close(&mut versions, *at, End::Deleted);
        } else if !repeats {
            begin(&mut versions, *at, observation);
        }
    }
    History { versions }
}

fn begin(versions: &mut Vec<Version>, at: i64, observation: &Observation) {
    close(versions, at, End::Changed);
    versions.push(Version {
        from: at,
        to: None,
        end: None,
        content: Arc::clone(&observation.content),
        observation: observation.id,
    });
}

fn close(versions: &mut [Version], at: i64, end: End) {
    if let Some(version) = versions.last_mut().filter(|version| version.to.is_none()) {
        version.to = Some(at);
        version.end = Some(end);
    }
}

/// The birth of the next younger object with a uid: two cannot live under one name at once.
fn successor_birth(index: usize, objects: &[Observed], histories: &[History]) -> Option<i64> {
    let age = |i: usize| (histories[i].birth(), histories[i].first_at(), objects[i].uid.as_deref().unwrap_or_default());
    let exists = |i: &usize| !histories[*i].versions.is_empty();
    let is_younger = |i: &usize| match objects[index].uid {
        Some(_) => age(*i) > age(index),
        None => (age(*i).0, age(*i).1) > (age(index).0, age(index).1),
    };
    (0..objects.len())
        .filter(|i| *i != index && objects[*i].uid.is_some())
        .filter(exists)
        .filter(is_younger)
        .min_by_key(|i| age(*i))
        .map(|i| histories[i].birth())
}
