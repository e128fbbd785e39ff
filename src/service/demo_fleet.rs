//! A generated fleet: three months of watch events of six clusters and eight packs, for the demo,
//! tests and benchmarks.
//!
//! The same events come every time. Beside the ordinary (deliveries, upgrades, failures and
//! retries) they hold what real clusters do and what is hard to get right: a missed result, a watch
//! that begins late, a fork, a rewritten result, drift with its epoch resets, a rollback, a forged
//! signature, redelivered events.

mod catalog;
mod objects;
mod random;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use catalog::{CLUSTERS, Cluster, PACKS, Pack, SCENARIOS, Scenario};
use objects::{Attempt, Build, FAILURES, text, time};
use random::Random;

const SEED: u64 = 20_260_801;

/// 2026-08-01T00:00:00Z.
const START: i64 = 1_785_542_400;
/// 2026-11-01T00:00:00Z, when the last events are observed.
const END: i64 = 1_793_491_200;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The fleet's watch events `{type, observedAt, object}`, by time of observation.
pub fn events() -> impl Iterator<Item = Value> {
    let mut fleet = Fleet::new();
    for pack in &PACKS {
        fleet.release_all(pack);
    }
    fleet.check_for_drift();
    fleet.into_events().into_iter()
}

/// One event before it is numbered.
struct Event {
    kind: &'static str,
    observed: i64,
    object: Value,
}

/// What is on one cluster of one pack.
#[derive(Default)]
struct Delivery {
    execution: Value,
    index: Value,
    /// The living results of the execution, oldest first.
    results: Vec<Value>,
    /// Null while there is none.
    instance: Value,
    /// Null while there is none.
    receipt: Value,
    version: &'static str,
    /// When the last event of this delivery happened.
    until: i64,
}

struct Fleet {
    random: Random,
    events: Vec<Event>,
    /// By base pack and cluster.
    deliveries: BTreeMap<(&'static str, &'static str), Delivery>,
}

impl Fleet {
    fn new() -> Self {
        Self { random: Random::new(SEED), events: Vec::new(), deliveries: BTreeMap::new() }
    }

    /// A collector sees what happens a moment later.
    fn emit(&mut self, kind: &'static str, at: i64, object: &Value) {
        self.events.push(Event { kind, observed: at + self.random.between(1, 3), object: object.clone() });
    }

    fn release_all(&mut self, pack: &'static Pack) {
        for release in pack.releases {
            let meant_for = |cluster: &&Cluster| release.only.is_empty() || release.only.contains(&cluster.name);
            let clusters: Vec<&'static Cluster> = CLUSTERS.iter().filter(meant_for).collect();
            let build = Build {
                pack,
                release,
                uid: self.random.uuid(),
                created: START + release.day * DAY + 7 * HOUR + self.random.between(0, HOUR),
                clusters: clusters.iter().map(|cluster| cluster.name).collect(),
            };
            self.sign(&build);
            for cluster in clusters {
                self.roll_out(&build, cluster);
            }
        }
    }

    fn sign(&mut self, build: &Build<'_>) {
        self.emit("ADDED", build.created, &build.cluster_pack(None));
        let signed_at = build.created + self.random.between(20, 90);
        self.emit("MODIFIED", signed_at, &build.cluster_pack(Some(signed_at)));
    }

    fn roll_out(&mut self, build: &Build<'static>, cluster: &'static Cluster) {
        let start = build.created + cluster.wave * DAY + 2 * HOUR + self.random.between(0, 6 * HOUR);
        let key = (build.pack.base, cluster.name);
        let mut delivery = self.deliveries.remove(&key).unwrap_or_default();
        let scenario = scenario_of(build, cluster);
        self.retire_execution(&delivery, cluster, start);
        self.deploy(build, cluster, &mut delivery, start, scenario);
        match scenario {
            Some(Scenario::Drift) => self.drift(build, cluster, &mut delivery),
            Some(Scenario::TerminalDrift) => self.drift_for_good(build, cluster, &mut delivery),
            Some(Scenario::Rewritten) => self.rewrite(&mut delivery),
            _ => {}
        }
        self.deliveries.insert(key, delivery);
    }

    /// Outside production the execution of the version before is cleared away after a week.
    fn retire_execution(&mut self, old: &Delivery, cluster: &Cluster, upgraded: i64) {
        if !old.execution.is_null() && !cluster.name.contains("prod") {
            self.delete_execution(old, upgraded + 7 * DAY);
        }
    }

    /// What an execution owns goes with it, a little later.
    fn delete_execution(&mut self, delivery: &Delivery, at: i64) {
        self.emit("DELETED", at, &delivery.execution);
        for result in &delivery.results {
            let at = at + self.random.between(3, 9);
            self.emit("DELETED", at, result);
        }
        self.emit("DELETED", at + 5, &delivery.index);
    }

    /// Creates an execution, tries until it succeeds, and delivers.
    fn deploy(
        &mut self,
        build: &Build<'static>,
        cluster: &'static Cluster,
        delivery: &mut Delivery,
        start: i64,
        scenario: Option<Scenario>,
    ) {
        let uid = self.random.uuid();
        delivery.execution = build.execution(cluster.name, &uid, start);
        let uid = self.random.uuid();
        delivery.index = objects::lineage_index(&delivery.execution, &uid, start + 2);
        delivery.results.clear();
        // A watch that begins late sees the execution as it is by then.
        if scenario != Some(Scenario::LateStart) {
            self.emit("ADDED", start, &delivery.execution);
            self.emit("ADDED", start + 2, &delivery.index);
            if self.random.chance(20) {
                objects::hold_execution(&mut delivery.execution, start + 10);
                self.emit("MODIFIED", start + 10, &delivery.execution);
            }
        }
        let done = self.attempt_until_done(build, cluster, delivery, start + 2 * MINUTE, scenario);
        delivery.until = done;
        let Some(last) = delivery.results.last().cloned() else {
            return;
        };
        objects::finish_execution(&mut delivery.execution, &last, done);
        if scenario == Some(Scenario::LateStart) {
            self.emit("ADDED", done, &delivery.index);
            self.emit("ADDED", done, &delivery.execution);
        } else {
            self.emit("MODIFIED", done, &delivery.execution);
        }
        if last["spec"]["status"] == "Succeeded" {
            self.deliver(build, cluster, delivery, done + 5, scenario);
            objects::register(&mut delivery.index, &delivery.instance, &last, done);
            self.emit("MODIFIED", done + 10, &delivery.index);
        }
    }

    /// Writes one result an attempt and returns when the last was written.
    fn attempt_until_done(
        &mut self,
        build: &Build<'static>,
        cluster: &'static Cluster,
        delivery: &mut Delivery,
        mut at: i64,
        scenario: Option<Scenario>,
    ) -> i64 {
        let attempts = self.number_of_attempts(scenario);
        for revision in 1..=attempts {
            let fails = revision < attempts || scenario == Some(Scenario::Failing);
            let failure = fails.then(|| *self.random.pick(&FAILURES));
            let attempt = Attempt {
                revision,
                uid: self.random.uuid(),
                started: at,
                completed: at + self.random.between(20, 400),
                failure,
                previous: delivery.results.last(),
            };
            let written = attempt.completed;
            let result = objects::result(build, &delivery.execution, cluster.name, &attempt);
            if !unseen(scenario, &result) {
                self.emit("ADDED", written, &result);
            }
            if scenario == Some(Scenario::Fork) && revision == 2 {
                self.fork(build, cluster, delivery, &attempt);
            }
            self.supersede(cluster, delivery, written + 1, scenario);
            delivery.results.push(result);
            at = written + self.random.between(10 * MINUTE, 14 * MINUTE);
        }
        delivery.results.last().map_or(at, |last| parse_time(&last["spec"]["completedAt"]))
    }

    fn number_of_attempts(&mut self, scenario: Option<Scenario>) -> i64 {
        match scenario {
            Some(Scenario::Hole | Scenario::Failing | Scenario::LateStart) => 3,
            Some(Scenario::Fork) => 2,
            _ if self.random.chance(72) => 1,
            _ => self.random.between(2, 3),
        }
    }

    /// A second executor, started when the first was taken for dead, has just written the same
    /// revision; the first then replaced it.
    fn fork(&mut self, build: &Build<'static>, cluster: &'static Cluster, delivery: &Delivery, first: &Attempt<'_>) {
        let second = Attempt {
            revision: first.revision,
            uid: self.random.uuid(),
            started: first.started + 4,
            completed: first.completed - 10,
            failure: Some(FAILURES[4]),
            previous: first.previous,
        };
        let result = objects::result(build, &delivery.execution, cluster.name, &second);
        self.emit("ADDED", second.completed, &result);
        self.emit("DELETED", second.completed + 5, &result);
    }

    /// What the executor does to the result before the one it has written.
    fn supersede(&mut self, cluster: &Cluster, delivery: &mut Delivery, at: i64, scenario: Option<Scenario>) {
        let Some(mut previous) = delivery.results.pop() else {
            return;
        };
        // Nobody sees what becomes of a result that nobody saw.
        let seen = !unseen(scenario, &previous);
        if !cluster.deletes_superseded {
            previous["metadata"]["labels"]["ontai.dev/superseded"] = json!("true");
        }
        if seen {
            let kind = if cluster.deletes_superseded { "DELETED" } else { "MODIFIED" };
            self.emit(kind, at, &previous);
        }
        if seen && !cluster.deletes_superseded {
            delivery.results.push(previous);
        }
    }

    /// Creates or upgrades instance and receipt.
    fn deliver(
        &mut self,
        build: &Build<'static>,
        cluster: &'static Cluster,
        delivery: &mut Delivery,
        at: i64,
        scenario: Option<Scenario>,
    ) {
        let old = &delivery.instance["metadata"];
        let (kind, uid, created) = match text(&old["uid"]) {
            "" => ("ADDED", self.random.uuid(), at),
            uid => ("MODIFIED", uid.to_owned(), parse_time(&old["creationTimestamp"])),
        };
        let mut instance = build.instance(&delivery.execution, cluster.name, &uid, created);
        let direction = direction(delivery.version, build.release.version);
        instance["status"] = json!({"upgradeDirection": direction});
        self.emit(kind, at, &instance);
        delivery.instance = instance;
        delivery.version = build.release.version;

        let acknowledged = at + self.random.between(20, 60);
        let old = &delivery.receipt["metadata"];
        let (kind, uid, created) = match text(&old["uid"]) {
            "" => ("ADDED", self.random.uuid(), acknowledged),
            uid => ("MODIFIED", uid.to_owned(), parse_time(&old["creationTimestamp"])),
        };
        let verified = scenario != Some(Scenario::Unverified);
        delivery.receipt = build.receipt(cluster.name, &uid, created, acknowledged, verified);
        self.emit(kind, acknowledged, &delivery.receipt);
        delivery.until = acknowledged;
    }

    /// Days later the receipt drifts: returns when, and the signal.
    fn signal_drift(&mut self, build: &Build<'static>, cluster: &Cluster, delivery: &mut Delivery) -> (i64, Value) {
        let at = delivery.until + self.random.between(4 * DAY, 7 * DAY);
        objects::drift_receipt(&mut delivery.receipt, build.pack, at);
        self.emit("MODIFIED", at, &delivery.receipt);
        let uid = self.random.uuid();
        let signal = objects::drift_signal(&delivery.receipt, build.pack, cluster.name, &uid, at + 5);
        self.emit("ADDED", at + 5, &signal);
        (at + 5, signal)
    }

    fn move_signal(&mut self, signal: &mut Value, at: i64, state: &str) {
        signal["spec"]["state"] = json!(state);
        self.emit("MODIFIED", at, signal);
    }

    /// Drift that a deployment anew repairs: the execution goes with all it owns, and comes back
    /// under the same name.
    fn drift(&mut self, build: &Build<'static>, cluster: &'static Cluster, delivery: &mut Delivery) {
        let (at, mut signal) = self.signal_drift(build, cluster, delivery);
        self.move_signal(&mut signal, at + MINUTE, "delivered");
        self.move_signal(&mut signal, at + 2 * MINUTE, "queued");
        let deleted = at + 3 * MINUTE;
        self.delete_execution(delivery, deleted);
        self.emit("DELETED", deleted + 4, &delivery.instance);
        delivery.instance = Value::Null;
        self.deploy(build, cluster, delivery, deleted + MINUTE, None);
        let repaired = delivery.until + MINUTE;
        self.move_signal(&mut signal, repaired, "confirmed");
        self.emit("DELETED", repaired + HOUR, &signal);
    }

    /// Drift that three tries do not repair.
    fn drift_for_good(&mut self, build: &Build<'static>, cluster: &Cluster, delivery: &mut Delivery) {
        let (mut at, mut signal) = self.signal_drift(build, cluster, delivery);
        for round in 1..=3 {
            self.move_signal(&mut signal, at + MINUTE, "queued");
            at += 30 * MINUTE;
            signal["spec"]["escalationCounter"] = json!(round);
            self.move_signal(&mut signal, at, "pending");
        }
        delivery.until = at;
    }

    /// Somebody edits a written result: the layer it names is another one.
    fn rewrite(&mut self, delivery: &mut Delivery) {
        let at = delivery.until + DAY;
        let Some(result) = delivery.results.last_mut() else {
            return;
        };
        let layer = objects::digest("another workload layer");
        result["spec"]["artifacts"][1]["checksum"] = json!(layer);
        result["metadata"]["generation"] = json!(2);
        let result = result.clone();
        self.emit("MODIFIED", at, &result);
        delivery.until = at;
    }

    /// The drift loop's heartbeats: one a fortnight, and a last one of every receipt at the end.
    fn check_for_drift(&mut self) {
        let deliveries = std::mem::take(&mut self.deliveries);
        for mut delivery in deliveries.into_values() {
            if delivery.receipt.is_null() {
                continue;
            }
            let mut at = delivery.until + 14 * DAY;
            while at < END - DAY {
                self.heartbeat(&mut delivery.receipt, at);
                at += 14 * DAY;
            }
            self.heartbeat(&mut delivery.receipt, END);
        }
    }

    fn heartbeat(&mut self, receipt: &mut Value, observed: i64) {
        receipt["status"]["lastDriftCheckAt"] = json!(time(observed - 1));
        self.events.push(Event { kind: "MODIFIED", observed, object: receipt.clone() });
    }

    /// Orders and numbers the events, and repeats some as a re-list does.
    fn into_events(mut self) -> Vec<Value> {
        self.events.retain(|event| event.observed <= END);
        self.events.sort_by_key(|event| event.observed);
        let mut version = 1000;
        for event in &mut self.events {
            version += self.random.between(1, 9);
            event.object["metadata"]["resourceVersion"] = json!(version.to_string());
        }
        for event in redelivered(&self.events) {
            self.events.push(event);
        }
        self.events.sort_by_key(|event| event.observed);
        let event = |event: Event| {
            json!({
                "type": event.kind,
                "observedAt": time(event.observed),
                "object": event.object,
            })
        };
        self.events.into_iter().map(event).collect()
    }
}

/// Results that a re-list shows again ten minutes later.
fn redelivered(events: &[Event]) -> Vec<Event> {
    let results = events.iter().filter(|event| event.kind == "ADDED" && event.object["kind"] == "PackOperationResult");
    let again =
        |event: &Event| Event { kind: "ADDED", observed: event.observed + 10 * MINUTE, object: event.object.clone() };
    results.step_by(20).map(again).collect()
}

/// Whether the collector misses a result.
fn unseen(scenario: Option<Scenario>, result: &Value) -> bool {
    let revision = result["spec"]["revision"].as_i64().unwrap_or_default();
    match scenario {
        Some(Scenario::Hole) => revision == 2,
        Some(Scenario::LateStart) => revision < 3,
        _ => false,
    }
}

fn scenario_of(build: &Build<'_>, cluster: &Cluster) -> Option<Scenario> {
    let here = (build.pack.base, build.release.version, cluster.name);
    let found = SCENARIOS.iter().find(|(base, version, cluster, _)| (*base, *version, *cluster) == here);
    found.map(|(.., scenario)| *scenario)
}

fn direction(from: &str, to: &str) -> &'static str {
    match version_numbers(from).cmp(&version_numbers(to)) {
        _ if from.is_empty() => "Initial",
        std::cmp::Ordering::Less => "Upgrade",
        std::cmp::Ordering::Equal => "Redeploy",
        std::cmp::Ordering::Greater => "Rollback",
    }
}

/// `v4.10.0-r1` as 4, 10, 0, 1.
fn version_numbers(version: &str) -> Vec<u64> {
    let numbers = version.split(|c: char| !c.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

fn parse_time(value: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text(value)).map_or(START, |time| time.timestamp())
}

#[cfg(test)]
mod tests;
