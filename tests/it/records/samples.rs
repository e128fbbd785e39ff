//! The sample files, against their reviewed state.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::model::{self, Input};
use crate::support::db::{Database, number};
use crate::support::ingest::{send, send_all, state, terms};

const FILES: [&str; 3] = [
    include_str!("../../fixtures/samples/events.ndjson"),
    include_str!("../../fixtures/samples/more-events.ndjson"),
    include_str!("../../fixtures/samples/dialect-code.ndjson"),
];

/// How many random orders a quick run tries on each database; the long run tries 200.
fn orders() -> u64 {
    std::env::var("PACKTRAIL_TEST_ORDERS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

pub fn items() -> Vec<Value> {
    FILES.iter().flat_map(|file| file.lines()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn expected() -> Value {
    let text = include_str!("../../fixtures/samples_state.json");
    serde_json::from_str(text).unwrap()
}

fn inputs(source: &str) -> Vec<Input> {
    items().into_iter().map(|item| Input::Item { source: source.to_owned(), item }).collect()
}

#[test]
fn the_naive_model_gives_the_reviewed_state() {
    assert_eq!(model::state(&inputs("default")), expected());
}

#[tokio::test]
async fn the_samples_in_any_order_give_the_reviewed_state() {
    let mut orders_to_try: Vec<Vec<Input>> = vec![inputs("default"), inputs("default").into_iter().rev().collect()];
    for seed in 0..orders() {
        let mut inputs = inputs("default");
        inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        orders_to_try.push(inputs);
    }
    for database in Database::all() {
        let store = database.open().await;
        for (n, order) in orders_to_try.iter().enumerate() {
            let tenant = format!("t{n}");
            send_all(&store, &tenant, order, 1 + n % 7).await;
            pretty_assertions(&state(&store, &tenant).await, &expected(), &tenant);
        }
        store.close().await;
    }
}

#[tokio::test]
async fn two_sources_know_nothing_of_each_other() {
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..4 {
            let mut both: Vec<Input> = inputs("a").into_iter().chain(inputs("b")).collect();
            both.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            let tenant = format!("t{seed}");
            send_all(&store, &tenant, &both, 5).await;
            let state = state(&store, &tenant).await;
            pretty_assertions(&state["a"], &expected()["default"], "a");
            pretty_assertions(&state["b"], &expected()["default"], "b");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn the_same_files_again_are_duplicates_and_leave_the_ledger_alone() {
    for database in Database::all() {
        let store = database.open().await;
        send(&store, "t", &terms("default"), &items()).await;
        let head = store.head("t").await.unwrap();
        let again = send(&store, "t", &terms("default"), &items()).await;
        let outcomes: Vec<&str> = again.iter().map(|result| result.outcome.as_str()).collect();
        assert_eq!(outcomes, vec!["DUPLICATE"; again.len()]);
        assert_eq!(store.head("t").await.unwrap(), head);
        store.close().await;
    }
}

/// A re-list at a later time: the same objects, each seen again under a newer resourceVersion with
/// nothing but its heartbeats moved.
fn relisted(item: &Value, hours: usize) -> Value {
    let mut item = item.clone();
    let object = &mut item["object"];
    if object["metadata"]["uid"].is_null() {
        return item;
    }
    object["metadata"]["resourceVersion"] = format!("{}", 100_000 + hours).into();
    object["metadata"]["generation"] = hours.into();
    if object["status"].is_object() {
        object["status"]["lastDriftCheckAt"] = format!("2026-06-01T{:02}:00:00Z", hours % 24).into();
        object["status"]["observedGeneration"] = hours.into();
    }
    item["observedAt"] = format!("2026-06-{:02}T{:02}:00:00Z", 1 + hours / 24, hours % 24).into();
    item["type"] = "MODIFIED".into();
    item
}

#[tokio::test]
async fn heartbeats_move_what_is_live_and_leave_ledger_and_store_alone() {
    for database in Database::all() {
        let store = database.open().await;
        send(&store, "t", &terms("default"), &items()).await;
        let head = store.head("t").await.unwrap();
        let before = state(&store, "t").await;
        // The last state of every object that still lives.
        let live: Vec<Value> = items().into_iter().filter(|item| is_last_and_live(item, &before)).collect();
        assert!(live.len() > 8, "{}", live.len());
        for hours in 0..40 {
            let heartbeats: Vec<Value> = live.iter().map(|item| relisted(item, hours)).collect();
            let results = send(&store, "t", &terms("default"), &heartbeats).await;
            assert!(results.iter().all(|r| r.outcome.as_str() == "DUPLICATE" && r.seq.is_none()), "{results:?}");
        }
        assert_eq!(store.head("t").await.unwrap(), head);
        pretty_assertions(&state(&store, "t").await, &before, "after heartbeats");
        let rows = number(&database.url().await, "SELECT COUNT(*) FROM observation").await;
        assert!(rows <= 36 + 8 * i64::try_from(live.len()).unwrap(), "{rows} observations");
        store.close().await;
    }
}

/// Whether an item has the content that its object has now, while it lives.
fn is_last_and_live(item: &Value, state: &Value) -> bool {
    let alone = [Input::Item { source: "default".to_owned(), item: item.clone() }];
    let alone = model::state(&alone);
    let Some(objects) = alone["default"]["objects"].as_object() else { return false };
    objects.iter().any(|(key, object)| {
        let now = &state["default"]["objects"][key];
        now["live"] == true
            && item["type"] != "DELETED"
            && now["versions"].as_array().unwrap().last().unwrap()["content"] == object["versions"][0]["content"]
    })
}

/// Compares two states and shows the first places where they differ.
pub fn pretty_assertions(found: &Value, expected: &Value, name: &str) {
    let mut differences = Vec::new();
    differ("", found, expected, &mut differences);
    assert!(differences.is_empty(), "{name}:\n{}", differences.join("\n"));
}

fn differ(path: &str, found: &Value, expected: &Value, into: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let null = &Value::Null;
                differ(&format!("{path}/{key}"), a.get(key).unwrap_or(null), b.get(key).unwrap_or(null), into);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&format!("{path}[{i}]"), a, b, into);
            }
        }
        _ if found != expected => into.push(format!("{path}\n   found {found}\nexpected {expected}")),
        _ => {}
    }
}
