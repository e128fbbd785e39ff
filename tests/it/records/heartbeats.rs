//! Heartbeats are stored without a look at the history of their records: to the same state as if each was looked at.

use std::collections::BTreeMap;

use packtrail::service::ingest::batch::{self, Request};
use packtrail::service::rebuild::rebuild;
use packtrail::storage::{Store, Work};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::model::{self, Input};
use super::samples::pretty_assertions;
use crate::support::db::{Database, fetch};
use crate::support::ingest::{BOUNDS, NOW, prepared, send_all, state, terms};

const SOURCE: &str = "default";
const NAMESPACE: &str = "seam-tenant-a";

fn tales() -> u64 {
    std::env::var("PACKTRAIL_TEST_FLEETS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

/// Second `at` of the tests' day as RFC 3339.
fn time(at: i64) -> String {
    chrono::DateTime::from_timestamp(1_777_593_600 + at, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn micros(at: i64) -> i64 {
    (1_777_593_600 + at) * 1_000_000
}

fn record(kind: &str, name: &str, uid: &str, at: i64, spec: &Value) -> Value {
    json!({
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind, "spec": spec,
        "status": {"driftStatus": "InSync", "lastDriftCheckAt": time(at)},
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": uid, "creationTimestamp": time(at),
            "resourceVersion": (at * 10).to_string()},
    })
}

/// An execution, and records that it owns or does not own, as they are now; what was sent of them in order.
struct Tale {
    random: ChaCha8Rng,
    at: i64,
    records: Vec<Value>,
    deleted: Vec<bool>,
    sent: Vec<Value>,
    inputs: Vec<Input>,
    /// The latest sighting of each uid, microseconds.
    last_seen: BTreeMap<String, i64>,
}

impl Tale {
    fn new(seed: u64) -> Self {
        let owner = record("PackExecution", "e", "u-e", 1, &json!({"targetClusterRef": "a"}));
        let mut held = record("PackReceipt", "r", "u-r", 2, &json!({"targetClusterRef": "a"}));
        held["metadata"]["ownerReferences"] =
            json!([{"apiVersion": owner["apiVersion"], "kind": "PackExecution", "name": "e", "uid": "u-e"}]);
        let free = record("PackReceipt", "s", "u-s", 3, &json!({"targetClusterRef": "a"}));
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            at: 10,
            records: vec![owner, held, free],
            deleted: vec![false; 3],
            sent: Vec::new(),
            inputs: Vec::new(),
            last_seen: BTreeMap::new(),
        }
    }

    fn push(&mut self, item: Value, seen_at: i64) {
        let object = if item["object"].is_object() { &item["object"] } else { &item };
        if let Some(uid) = object["metadata"]["uid"].as_str() {
            let last = self.last_seen.entry(uid.to_owned()).or_insert(seen_at);
            *last = seen_at.max(*last);
        }
        self.sent.push(item.clone());
        self.inputs.push(Input::Item { source: SOURCE.to_owned(), item });
    }

    fn tell(&mut self, kind: &str, object: &Value) {
        let item = json!({"type": kind, "observedAt": time(self.at), "object": object});
        self.push(item, micros(self.at));
    }

    fn move_on(&mut self, i: usize) {
        let at = self.at;
        self.records[i]["metadata"]["resourceVersion"] = (at * 10).to_string().into();
        self.records[i]["status"]["lastDriftCheckAt"] = time(at).into();
    }

    fn beat(&mut self, i: usize) {
        if self.deleted[i] && self.random.random_ratio(3, 4) {
            return;
        }
        self.deleted[i] = false;
        self.move_on(i);
        let now = self.records[i].clone();
        self.tell("MODIFIED", &now);
    }

    fn step(&mut self) {
        self.at += self.random.random_range(1..5);
        let i = self.random.random_range(0..self.records.len());
        match self.random.random_range(0..40) {
            0 => {
                self.records[i]["status"]["driftStatus"] = self.at.to_string().into();
                self.beat(i);
            }
            1 => {
                self.move_on(i);
                self.deleted[i] = true;
                let now = self.records[i].clone();
                self.tell("DELETED", &now);
            }
            // Another object under the name.
            2 => {
                self.records[i]["metadata"]["uid"] = format!("u-{}", self.at).into();
                self.records[i]["metadata"]["creationTimestamp"] = time(self.at).into();
                self.beat(i);
            }
            // Listed, without a time.
            3 => {
                self.move_on(i);
                self.deleted[i] = false;
                self.push(self.records[i].clone(), NOW);
            }
            // A dump without uid.
            4 => {
                let mut dump = self.records[i].clone();
                dump["metadata"].as_object_mut().unwrap().remove("uid");
                self.tell("MODIFIED", &dump);
            }
            // What was sent before, and what was sent before at another time.
            5 | 6 => {
                let before = self.sent.choose(&mut self.random).cloned();
                if let Some(before) = before {
                    let at = before["observedAt"]
                        .as_str()
                        .map_or(NOW, |text| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros());
                    self.push(before, at);
                }
            }
            7 if !self.deleted[i] => {
                let now = self.records[i].clone();
                self.tell("MODIFIED", &now);
            }
            8 => {
                let items = (0..self.records.len()).filter(|_| self.random.random_ratio(1, 2)).collect::<Vec<_>>();
                let listed: Vec<Value> =
                    items.into_iter().filter(|i| !self.deleted[*i]).map(|i| self.records[i].clone()).collect();
                for object in &listed {
                    let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
                    let last = self.last_seen.entry(uid).or_insert(0);
                    *last = micros(self.at).max(*last);
                }
                self.inputs.push(Input::Snapshot {
                    source: SOURCE.to_owned(),
                    kinds: vec!["PackReceipt".to_owned(), "PackExecution".to_owned()],
                    namespaces: Vec::new(),
                    at: time(self.at),
                    items: listed,
                });
            }
            _ => self.beat(i),
        }
    }
}

#[tokio::test]
async fn a_tale_of_heartbeats_and_all_that_may_come_between_gives_the_state_of_the_rules() {
    for database in Database::all() {
        let url = database.url().await;
        let store = database.open().await;
        for seed in 0..tales() {
            let mut tale = Tale::new(seed);
            for _ in 0..300 {
                tale.step();
            }
            let tenant = format!("t{seed}");
            send_all(&store, &tenant, &tale.inputs, usize::try_from(seed % 7).unwrap() + 1).await;
            pretty_assertions(&state(&store, &tenant).await, &model::state(&tale.inputs), &format!("tale {seed}"));
            let report = rebuild(&store, &tenant, SOURCE, true, NOW).await.unwrap();
            assert!(report.is_clean() && report.keys > 0, "tale {seed}: {report:?}");
            let question = format!(
                "SELECT uid, last_seen_at FROM object WHERE uid <> '' AND tenant_id = \
                (SELECT id FROM tenant WHERE name = '{tenant}')"
            );
            let seen: Vec<(String, i64)> = fetch(&url, &question).await;
            assert_eq!(seen.into_iter().collect::<BTreeMap<_, _>>(), tale.last_seen, "tale {seed}");
        }
        store.close().await;
    }
}

async fn beat_all(store: &Store, records: &[Value], at: i64) -> Work {
    let beats: Vec<Value> = records
        .iter()
        .map(|record| {
            let mut object = record.clone();
            object["metadata"]["resourceVersion"] = (at * 10).to_string().into();
            object["status"]["lastDriftCheckAt"] = time(at).into();
            json!({"type": "MODIFIED", "observedAt": time(at), "object": object})
        })
        .collect();
    let items = prepared(&terms(SOURCE), &beats);
    let mut tx = store.write("t", SOURCE, NOW).await.unwrap();
    let before = tx.work();
    batch::write(&mut tx, &[Request { principal: "tester", items: &items }], BOUNDS, NOW).await.unwrap();
    let work = tx.work();
    tx.commit().await.unwrap();
    Work {
        statements: work.statements - before.statements,
        read: work.read - before.read,
        written: work.written - before.written,
    }
}

#[tokio::test]
async fn a_heartbeat_reads_one_row_and_writes_two() {
    for database in Database::all() {
        let store = database.open().await;
        let records: Vec<Value> = (0..20)
            .map(|i| record("PackReceipt", &format!("r{i}"), &format!("u{i}"), 1, &json!({"targetClusterRef": "a"})))
            .collect();
        for at in 10..30 {
            beat_all(&store, &records, at).await;
        }
        let work = beat_all(&store, &records, 30).await;
        assert_eq!((work.read, work.written), (20, 40), "{work:?}");
        store.close().await;
    }
}
