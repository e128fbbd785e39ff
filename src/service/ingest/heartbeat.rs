//! Heartbeats: sightings of a record that has not changed, of which nothing follows.
//!
//! Of a stretch of equal content eight observations are kept, and each later one takes the place of the latest. Where
//! such a sighting comes to an object that is alone under its name, lives, and was seen with stamps only, its versions
//! stay as they are and no closing can begin to hold: it only moves times. So it is stored without its history being
//! loaded or derived. What is needed to see this is on the object: [`steady`] tells which of its observations the next
//! heartbeat moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::history::Observed;
use crate::domain::identity::NaturalKey;
use crate::storage::{AskedBeat, Beat, MovedObservation, SeenObject, StoreError, WriteTx};

use super::batch::Request;
use super::item::{Item, Sighting};

/// How many observations of one unchanging content are kept apart. Beyond that, the latest moves in
/// place, so that heartbeats do not grow the store.
pub const HEARTBEATS_KEPT: usize = 8;

/// The observation that the next heartbeat of a group's object moves, by position; `None` where the next sighting
/// has to be looked at.
///
/// All observations must be stamped, so that none takes its time from another. The latest ones must be of one content,
/// come after all others, and have begun before the last of them, so that the version that they are begins
/// elsewhere.
#[must_use]
pub fn steady(group: &[Observed]) -> Option<usize> {
    let [Observed { uid: Some(_), observations, .. }] = group else { return None };
    let mut latest: Vec<(i64, usize)> = Vec::with_capacity(observations.len());
    for (i, observation) in observations.iter().enumerate() {
        latest.push((observation.stamped_at?, i));
    }
    latest.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let (first, last) = (latest.get(HEARTBEATS_KEPT - 1)?, latest[0]);
    let content = observations[last.1].content.digest;
    let is_beat = |i: usize| !observations[i].deleted && observations[i].content.digest == content;
    let holds = first.0 < last.0
        && latest[..HEARTBEATS_KEPT].iter().all(|(_, i)| is_beat(*i))
        && latest[HEARTBEATS_KEPT..].iter().all(|(at, i)| is_beat(*i) || *at < first.0);
    holds.then_some(last.1)
}

/// The heartbeats of a batch, and what they move.
#[derive(Debug, Default)]
pub struct Heartbeats {
    objects: BTreeMap<NaturalKey, i64>,
    /// Live values of objects.
    pub seen: Vec<SeenObject>,
    /// Observations that move in place.
    pub moved: Vec<MovedObservation>,
}

impl Heartbeats {
    /// Finds the natural keys of which a batch has nothing but heartbeats.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(tx: &mut WriteTx, requests: &[Request<'_>]) -> Result<Self, StoreError> {
        let mut by_key: BTreeMap<&NaturalKey, Vec<&Sighting>> = BTreeMap::new();
        for prepared in requests.iter().flat_map(|request| request.items) {
            if let Item::Sighting(sighting) = &prepared.item {
                by_key.entry(&sighting.record.key).or_default().push(sighting);
            }
        }
        by_key.retain(|_, sightings| sightings.iter().all(|sighting| can_be_heartbeat(sighting)));
        let sightings: Vec<&Sighting> = by_key.values().flatten().copied().collect();
        let asked: Vec<AskedBeat> = sightings
            .iter()
            .map(|sighting| AskedBeat {
                key: &sighting.record.key,
                uid: sighting.record.uid.as_deref().unwrap_or_default(),
                resource_version: sighting.record.resource_version.as_deref().unwrap_or_default(),
            })
            .collect();
        let mut stored: HashMap<usize, Beat> = tx.beats(&asked).await?;
        let mut found = Self::default();
        let mut i = 0;
        for (key, sightings) in by_key {
            let beats: Vec<Option<Beat>> = (i..i + sightings.len()).map(|i| stored.remove(&i)).collect();
            i += sightings.len();
            found.add(key, &sightings, beats);
        }
        Ok(found)
    }

    /// Takes the sightings of a key if each of them moves the observation on from the one before.
    fn add(&mut self, key: &NaturalKey, sightings: &[&Sighting], beats: Vec<Option<Beat>>) {
        let Some(beats): Option<Vec<Beat>> = beats.into_iter().collect() else { return };
        let Some(mut beat) = beats.into_iter().next() else { return };
        let mut seen = SeenObject {
            id: beat.object,
            sighted_at: beat.sighted_at,
            last_seen_at: beat.last_seen_at,
            heartbeat: None,
            beat_id: Some(beat.observation),
        };
        let mut versions = BTreeSet::new();
        for sighting in sightings {
            let record = &sighting.record;
            let Some(at) = stamp(sighting).filter(|at| *at > beat.stamped_at) else { return };
            if record.uid.as_deref() != Some(&beat.uid)
                || record.content.digest != beat.content
                || !versions.insert(record.resource_version.as_deref())
            {
                return;
            }
            beat.stamped_at = at;
            let shown_at = sighting.observed_at.max(sighting.listed_at).unwrap_or(at);
            let is_latest = shown_at >= seen.last_seen_at;
            seen.sighted_at = seen.sighted_at.max(Some(shown_at));
            seen.last_seen_at = seen.last_seen_at.max(shown_at);
            if is_latest && !record.heartbeat.is_empty() {
                seen.heartbeat = Some(serde_json::Value::Object(record.heartbeat.clone()).to_string());
            }
        }
        self.moved.push(MovedObservation {
            object_id: beat.object,
            id: beat.observation,
            resource_version: sightings.last().and_then(|sighting| sighting.record.resource_version.clone()),
            stamped_at: Some(beat.stamped_at),
            sighted_at: None,
        });
        self.seen.push(seen);
        self.objects.insert(key.clone(), beat.object);
    }

    /// The object of a key of which the batch has nothing but heartbeats.
    #[must_use]
    pub fn object(&self, key: &NaturalKey) -> Option<i64> {
        self.objects.get(key).copied()
    }
}

fn stamp(sighting: &Sighting) -> Option<i64> {
    sighting.observed_at.or(sighting.listed_at)
}

/// Whether a sighting can be a heartbeat by itself. A namespace may tell of a new incarnation of its source.
fn can_be_heartbeat(sighting: &Sighting) -> bool {
    let record = &sighting.record;
    !sighting.deleted
        && stamp(sighting).is_some()
        && record.uid.is_some()
        && record.resource_version.is_some()
        && record.key.kind != "Namespace"
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::facts::Facts;
    use crate::domain::history::{Content, Observation};

    fn observed(stamps: impl IntoIterator<Item = i64>, content: &str) -> Vec<Observation> {
        let digest = Digest::of_bytes(content.as_bytes());
        let content = Arc::new(Content { digest, spec: digest, facts: Facts::default() });
        let observation = |at| Observation {
            id: at,
            resource_version: Some(at.to_string()),
            content: Arc::clone(&content),
            deleted: false,
            stamped_at: Some(at),
            sighted_at: None,
            own_time: 0,
        };
        stamps.into_iter().map(observation).collect()
    }

    fn group(observations: Vec<Observation>) -> [Observed; 1] {
        [Observed { uid: Some("u".to_owned()), sighted_at: None, observations }]
    }

    #[test]
    fn eight_of_one_content_after_all_others_are_steady() {
        assert_eq!(steady(&group(observed(1..8, "a"))), None, "seven");
        assert_eq!(steady(&group(observed((1..9).rev(), "a"))), Some(0));
        let mut changed = observed([0], "b");
        changed.extend(observed(1..9, "a"));
        assert_eq!(steady(&group(changed.clone())), Some(8));
        changed[0].stamped_at = Some(5);
        assert_eq!(steady(&group(changed)), None, "a stretch of less than eight");
    }

    #[test]
    fn what_may_take_its_time_from_others_is_not_steady() {
        let steady_one = observed(1..9, "a");
        let mut unstamped = steady_one.clone();
        unstamped.extend(observed([0], "b"));
        unstamped[8].stamped_at = None;
        assert_eq!(steady(&group(unstamped)), None);
        let mut deleted = steady_one.clone();
        deleted[3].deleted = true;
        assert_eq!(steady(&group(deleted)), None);
        let mut same_time = observed([1], "b");
        same_time.extend(observed(1..9, "a"));
        assert_eq!(steady(&group(same_time)), None, "which of the two came first is not clear");
        assert_eq!(steady(&group(observed([5; 8], "a"))), None, "the last may be the first");
        let [one] = group(steady_one.clone());
        assert_eq!(steady(&[one.clone(), one.clone()]), None, "two under one name");
        assert_eq!(steady(&[Observed { uid: None, ..one }]), None);
    }
}
