//! Sequences are advanced without their other results where that suffices: to the same rows as
//! deriving them whole, and at a cost that does not grow with their length.

use packtrail::service::ingest::batch::{self, Request};
use packtrail::service::rebuild::rebuild;
use packtrail::storage::{Store, Work};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::fleet::fleet;
use super::model::{self, Input};
use super::samples::pretty_assertions;
use crate::support::counts::Counts;
use crate::support::db::Database;
use crate::support::ingest::{BOUNDS, NOW, prepared, send, send_all, state, terms};

const SOURCE: &str = "default";
const NAMESPACE: &str = "seam-tenant-a";

/// How many tales and fleets a quick run tries on each database; the long run tries hundreds.
fn tales() -> u64 {
    std::env::var("PACKTRAIL_TEST_FLEETS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

/// Second `at` of the tests' day as RFC 3339.
fn time(at: i64) -> String {
    chrono::DateTime::from_timestamp(1_777_593_600 + at, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn event(kind: &str, at: i64, object: &Value) -> Value {
    json!({"type": kind, "observedAt": time(at), "object": object})
}

fn object(kind: &str, name: &str, uid: &str, at: i64, spec: &Value) -> Value {
    json!({
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": uid, "creationTimestamp": time(at),
            "resourceVersion": (at * 10 + 1).to_string()},
    })
}

fn execution(name: &str, uid: &str, at: i64) -> Value {
    object(
        "PackExecution",
        name,
        uid,
        at,
        &json!({"clusterPackRef": {"name": "pack", "version": "v1"}, "targetClusterRef": "a"}),
    )
}

/// The result of a revision, owned by an execution.
fn result(execution: &str, owner: Option<&str>, revision: i64, previous: Option<&str>, uid: &str, at: i64) -> Value {
    let mut spec = json!({"packExecutionRef": execution, "revision": revision, "status": "Succeeded",
        "targetClusterRef": "a", "capability": uid, "clusterPackRef": "pack"});
    if let Some(previous) = previous {
        spec["previousRevisionRef"] = previous.into();
    }
    let mut made = object("PackOperationResult", &name(execution, revision), uid, at, &spec);
    if let Some(owner) = owner {
        made["metadata"]["ownerReferences"] = json!([{"apiVersion": "infrastructure.ontai.dev/v1alpha1",
            "kind": "PackExecution", "name": execution, "uid": owner}]);
    }
    made
}

fn name(execution: &str, revision: i64) -> String {
    format!("{execution}-r{revision}")
}

/// A later state of an object.
fn later(object: &Value, at: i64) -> Value {
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = (at * 10 + 5).to_string().into();
    object
}

fn superseded(object: &Value, at: i64) -> Value {
    let mut object = later(object, at);
    object["metadata"]["labels"] = json!({"ontai.dev/superseded": "true"});
    object
}

/// The common life of a few sequences, with mishaps: mostly one revision after the other, each labelled
/// when the next one comes, and executions that are made anew under their names.
struct Tale {
    random: ChaCha8Rng,
    now: i64,
    uids: u32,
    items: Vec<Value>,
    /// What is told later than it happened.
    held: Vec<Value>,
}

impl Tale {
    fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), now: 0, uids: 0, items: Vec::new(), held: Vec::new() }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    fn uid(&mut self) -> String {
        self.uids += 1;
        format!("uid-{:03}", self.uids)
    }

    /// Time goes on, but for now and then.
    fn tick(&mut self) -> i64 {
        if !self.chance(8) {
            self.now += self.random.random_range(1..30);
        }
        self.now
    }

    fn say(&mut self, kind: &str, object: &Value) {
        let at = self.tick();
        let mut item = event(kind, at, object);
        if self.chance(4) {
            item = object.clone();
        }
        if self.chance(3) {
            item["metadata"].as_object_mut().map(|metadata| metadata.remove("uid"));
        }
        if self.chance(8) {
            self.held.push(item);
            return;
        }
        self.items.push(item.clone());
        if self.chance(10) {
            self.items.push(item);
        }
        if self.chance(20) && !self.held.is_empty() {
            let late = self.random.random_range(0..self.held.len());
            let late = self.held.swap_remove(late);
            self.items.push(late);
        }
    }

    /// One execution and its revisions.
    fn epoch(&mut self, execution_name: &str) {
        let owner = self.uid();
        let at = self.tick();
        let made = execution(execution_name, &owner, at);
        if !self.chance(8) {
            self.say("ADDED", &made);
        }
        let mut known: Vec<Value> = Vec::new();
        let mut revision = if self.chance(85) { 1 } else { self.random.random_range(0..4) };
        for _ in 0..self.random.random_range(1..9) {
            let uid = self.uid();
            let at = self.tick();
            let previous =
                name(execution_name, if self.chance(94) { revision - 1 } else { self.random.random_range(0..5) });
            let previous = (revision > 1 && !self.chance(6)).then_some(previous);
            let owner = (!self.chance(6)).then_some(owner.as_str());
            let mut new = result(execution_name, owner, revision, previous.as_deref(), &uid, at);
            if self.chance(3) {
                new["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
            }
            self.say("ADDED", &new);
            if let Some(last) = known.last().cloned()
                && self.chance(80)
            {
                let at = self.now;
                self.say("MODIFIED", &superseded(&last, at));
            }
            known.push(new);
            self.mishap(execution_name, &made, &known);
            revision += if self.chance(94) { 1 } else { self.random.random_range(0..3) };
        }
        if self.chance(60) {
            self.say("DELETED", &made);
        }
    }

    fn mishap(&mut self, execution_name: &str, made: &Value, known: &[Value]) {
        let any = known[self.random.random_range(0..known.len())].clone();
        let at = self.now + 1;
        match self.random.random_range(0..12) {
            0 => self.say("DELETED", &later(&any, at)),
            1 => self.say("MODIFIED", &later(&any, at)),
            2 => {
                let mut changed = later(made, at);
                changed["status"] = json!({"operationResultRef": any["metadata"]["name"], "jobName": at.to_string()});
                self.say("MODIFIED", &changed);
            }
            3 => {
                let mut rewritten = later(&any, at);
                rewritten["spec"]["status"] = "Failed".into();
                self.say("MODIFIED", &rewritten);
            }
            4 => {
                let mut annotated = later(&any, at);
                annotated["metadata"]["annotations"] = json!({"note": at.to_string()});
                self.say("MODIFIED", &annotated);
            }
            5 => {
                let mut moved = later(&any, at);
                moved["spec"]["packExecutionRef"] = format!("{execution_name}-x").into();
                self.say("MODIFIED", &moved);
            }
            _ => {}
        }
    }

    fn tell(mut self) -> Vec<Input> {
        for _ in 0..self.random.random_range(1..5) {
            let name = if self.chance(70) { "one" } else { "two" };
            self.epoch(name);
        }
        self.held.shuffle(&mut self.random);
        let mut items = self.items;
        items.extend(self.held);
        items.into_iter().map(|item| Input::Item { source: SOURCE.to_owned(), item }).collect()
    }
}

/// Sends inputs batch by batch; after each, deriving everything whole changes nothing.
async fn send_and_verify(store: &Store, tenant: &str, inputs: &[Input], chunk: usize, what: &str) {
    for (n, batch) in inputs.chunks(chunk).enumerate() {
        send_all(store, tenant, batch, chunk).await;
        for source in state(store, tenant).await.as_object().unwrap().keys() {
            let report = rebuild(store, tenant, source, true, NOW).await.unwrap();
            assert!(report.is_clean(), "{what}, batch {n}: {report:?}");
        }
    }
}

#[tokio::test]
async fn each_batch_of_a_tale_gives_the_rows_of_a_derivation_from_nothing() {
    for database in Database::all() {
        let store = database.open().await;
        let (counts, _guard) = Counts::start();
        for seed in 0..tales() {
            let mut inputs = Tale::new(seed).tell();
            if seed % 8 == 7 {
                inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            }
            let (tenant, what) = (format!("t{seed}"), format!("tale {seed}"));
            send_and_verify(&store, &tenant, &inputs, 1 + usize::try_from(seed).unwrap() % 4, &what).await;
            pretty_assertions(&state(&store, &tenant).await, &model::state(&inputs), &what);
        }
        let (advanced, whole) = (counts.advanced(), counts.whole());
        assert!(advanced > whole / 2, "{advanced} advanced, {whole} derived whole");
        store.close().await;
    }
}

#[tokio::test]
async fn each_batch_of_a_fleet_gives_the_rows_of_a_derivation_from_nothing() {
    for database in Database::all() {
        let store = database.open().await;
        let (counts, _guard) = Counts::start();
        for seed in 0..tales() {
            let inputs = fleet(seed);
            let chunk = 1 + usize::try_from(seed).unwrap() % 5;
            send_and_verify(&store, &format!("t{seed}"), &inputs, chunk, &format!("fleet {seed}")).await;
        }
        assert!(counts.advanced() > 0 && counts.whole() > 0, "both ways are taken");
        store.close().await;
    }
}

/// A chain without mishaps: every revision but the last is superseded.
fn chain(length: i64) -> Vec<Value> {
    let revision = |n: i64| {
        let previous = (n > 1).then(|| name("long", n - 1));
        let made = result("long", Some("owner"), n, previous.as_deref(), &format!("result-{n}"), n * 10);
        event("ADDED", n * 10, &if n < length { superseded(&made, n * 10) } else { made })
    };
    std::iter::once(event("ADDED", 0, &execution("long", "owner", 0))).chain((1..=length).map(revision)).collect()
}

/// As many states of the execution of a chain.
fn states_of_execution(length: i64) -> impl Iterator<Item = Value> {
    (1..=length).map(|n| {
        let mut ran = later(&execution("long", "owner", 0), n * 10);
        ran["status"] = json!({"jobName": format!("job-{n}")});
        event("MODIFIED", n * 10 + 1, &ran)
    })
}

async fn work(store: &Store, tenant: &str, items: &[Value]) -> Work {
    let mut tx = store.write(tenant, SOURCE, NOW).await.unwrap();
    let before = tx.work();
    let items = prepared(&terms(SOURCE), items);
    batch::write(&mut tx, &[Request { principal: "tester", items: &items }], BOUNDS, NOW).await.unwrap();
    let after = tx.work();
    tx.commit().await.unwrap();
    Work {
        statements: after.statements - before.statements,
        read: after.read - before.read,
        written: after.written - before.written,
    }
}

/// What usually happens to a chain of a length, in this order.
fn common_life(length: i64) -> Vec<(&'static str, Value)> {
    let at = (length + 1) * 10;
    let made = |n: i64| result("long", Some("owner"), n, Some(&name("long", n - 1)), &format!("result-{n}"), n * 10);
    let (last, next) = (made(length), made(length + 1));
    let mut ran = later(&execution("long", "owner", 0), at);
    ran["status"] = json!({"operationResultRef": name("long", length + 1), "jobName": "job"});
    vec![
        ("the next revision", event("ADDED", at, &next)),
        ("the same again", event("ADDED", at, &next)),
        ("a heartbeat", event("MODIFIED", at + 1, &later(&next, at + 1))),
        ("the label of the one before", event("MODIFIED", at + 2, &superseded(&last, at + 2))),
        ("the status of the execution", event("MODIFIED", at + 3, &ran)),
        ("the deletion of the one before", event("DELETED", at + 4, &superseded(&last, at + 4))),
    ]
}

#[tokio::test]
async fn what_usually_happens_costs_the_same_at_any_length() {
    for database in Database::all() {
        let store = database.open().await;
        let mut costs: Vec<Vec<(&str, Work)>> = Vec::new();
        for length in [10, 100, 1000] {
            let tenant = format!("t{length}");
            for items in chain(length).chunks(100) {
                send(&store, &tenant, &terms(SOURCE), items).await;
            }
            let (counts, _guard) = Counts::start();
            let mut cost = Vec::new();
            for (what, item) in common_life(length) {
                cost.push((what, work(&store, &tenant, std::slice::from_ref(&item)).await));
            }
            // A new execution ends all results of the former one, which costs as many as there are; the
            // next epoch costs what the last one did.
            let at = (length + 10) * 10;
            work(&store, &tenant, &[event("ADDED", at, &execution("long", "owner-2", at))]).await;
            let first = result("long", Some("owner-2"), 1, None, "anew-1", at + 10);
            let second = result("long", Some("owner-2"), 2, Some(&name("long", 1)), "anew-2", at + 20);
            for (what, item, at) in [("a new epoch", first, at + 10), ("its second revision", second, at + 20)] {
                cost.push((what, work(&store, &tenant, &[event("ADDED", at, &item)]).await));
            }
            assert_eq!(counts.whole(), 0, "at length {length}: {cost:?}");
            assert!(counts.advanced() >= 6, "at length {length}: {cost:?}");
            let report = rebuild(&store, &tenant, SOURCE, true, NOW).await.unwrap();
            assert!(report.is_clean(), "at length {length}: {report:?}");
            costs.push(cost);
        }
        assert_eq!(costs[0], costs[1]);
        assert_eq!(costs[0], costs[2]);
        store.close().await;
    }
}

#[tokio::test]
async fn a_result_costs_the_same_however_often_its_execution_changed() {
    for database in Database::all() {
        let store = database.open().await;
        let mut costs: Vec<Vec<Work>> = Vec::new();
        for length in [10, 100] {
            let tenant = format!("t{length}");
            let items: Vec<Value> = chain(length).into_iter().chain(states_of_execution(length)).collect();
            send(&store, &tenant, &terms(SOURCE), &items).await;
            let mut cost = Vec::new();
            for (what, item) in common_life(length) {
                if !what.contains("execution") {
                    cost.push(work(&store, &tenant, std::slice::from_ref(&item)).await);
                }
            }
            let report = rebuild(&store, &tenant, SOURCE, true, NOW).await.unwrap();
            assert!(report.is_clean(), "at length {length}: {report:?}");
            costs.push(cost);
        }
        assert_eq!(costs[0], costs[1]);
        store.close().await;
    }
}

/// What becomes of a pack that many executions read, and of one of them.
fn life_with_readers() -> Vec<(&'static str, Value)> {
    let mut pack = object("ClusterPack", "pack", "pack", 0, &json!({"version": "v1", "basePackName": "base"}));
    pack["metadata"]["resourceVersion"] = "9000".into();
    pack["status"] = json!({"conditions": [{"type": "Available", "status": "True"}]});
    let mut ran = later(&execution("execution-1", "execution-1", 1), 900);
    ran["status"] = json!({"jobName": "job"});
    vec![
        ("a condition that no rule knows", event("MODIFIED", 900, &pack)),
        ("the status of an execution", event("MODIFIED", 901, &ran)),
    ]
}

#[tokio::test]
async fn what_no_rule_asks_about_costs_the_same_with_any_number_of_readers() {
    for database in Database::all() {
        let store = database.open().await;
        let mut costs: Vec<Vec<(&str, Work)>> = Vec::new();
        for readers in [3, 30, 300] {
            let tenant = format!("t{readers}");
            let pack = object("ClusterPack", "pack", "pack", 0, &json!({"version": "v1", "basePackName": "base"}));
            let executions = (1..=readers).map(|n| {
                let name = format!("execution-{n}");
                event("ADDED", n, &execution(&name, &name, n))
            });
            let items: Vec<Value> = std::iter::once(event("ADDED", 0, &pack)).chain(executions).collect();
            send(&store, &tenant, &terms(SOURCE), &items).await;
            let mut cost = Vec::new();
            for (what, item) in life_with_readers() {
                cost.push((what, work(&store, &tenant, &[item]).await));
            }
            let report = rebuild(&store, &tenant, SOURCE, true, NOW).await.unwrap();
            assert!(report.is_clean(), "with {readers} readers: {report:?}");
            costs.push(cost);
        }
        assert_eq!(costs[0], costs[1]);
        assert_eq!(costs[0], costs[2]);
        store.close().await;
    }
}
