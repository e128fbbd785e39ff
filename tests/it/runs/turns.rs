//! Commands on runs beside ingest, on both databases: they get their turn, and wait for no more than they must.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use packtrail::domain::lineage::thing;
use packtrail::domain::run::Decision;
use packtrail::service::ingest::item::Outcome;
use packtrail::service::ingest::writer::{Writer, WriterLimits};
use packtrail::storage::Store;
use serde_json::{Value, json};

use super::fixture::{create, decide, gate, hash_of, runs_at};
use super::pack::run;
use crate::support::api::Api;
use crate::support::db::{Database, TENANT};
use crate::support::feed::{NOW, clock, feed, feed_values};

/// Senders beside the commands.
const SENDERS: usize = 6;
/// Items of one request.
const ITEMS: usize = 12;
/// The most batches between a command and its commit: the one that is being written when it comes, those that a
/// slow machine lets through between its statements, and never so many as come in.
const MOST_BATCHES: i64 = 8;

fn record(name: &str) -> Value {
    json!({
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackExecution",
        "spec": {"targetClusterRef": "a", "clusterPackRef": {"name": "p", "version": "v1.0.0"}},
        "metadata": {"name": name, "namespace": "ns", "uid": format!("u-{name}"), "resourceVersion": "1",
            "creationTimestamp": "2026-05-01T00:00:00Z"},
    })
}

fn records(of: &str) -> Vec<Value> {
    (0..ITEMS).map(|n| record(&format!("{of}-{n}"))).collect()
}

/// Sends new records without end, several requests at a time.
fn feed_on(writer: &Writer, is_over: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<usize>> {
    let feeder = |sender: usize| {
        let (writer, is_over) = (writer.clone(), Arc::clone(is_over));
        tokio::spawn(async move {
            let mut sent = 0;
            while !is_over.load(Ordering::Relaxed) {
                feed_values(&writer, TENANT, "default", &records(&format!("s{sender}-{sent}"))).await;
                sent += 1;
            }
            sent
        })
    };
    (0..SENDERS).map(feeder).collect()
}

async fn committed_at(store: &Store, run_id: &str) -> i64 {
    store.as_of_now(TENANT).await.unwrap().find_run(run_id).await.unwrap().unwrap().seq
}

#[tokio::test]
async fn while_ingest_is_fed_without_end_a_command_waits_for_few_batches() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, TENANT);
        create(&api, "first", json!([gate("wait", "go"), run("after")])).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let feeders = feed_on(&api.writer, &is_over);
        let start = store.head(TENANT).await.unwrap();
        let mut waited = Vec::new();
        for n in 0..10 {
            let run_id = format!("r{n}");
            let came = store.head(TENANT).await.unwrap();
            create(&api, &run_id, json!([gate("wait", "go"), run("after")])).await;
            waited.push(committed_at(&store, &run_id).await - came - 1);
            let hash = hash_of(&api, &run_id).await;
            let came = store.head(TENANT).await.unwrap();
            let asked = decide("go", Decision::Approved, &hash, "tester");
            runs_at(&api, NOW).decide(TENANT, &run_id, &asked).await.unwrap();
            waited.push(committed_at(&store, &run_id).await - came - 1);
        }
        let batches = store.head(TENANT).await.unwrap() - start - 20;
        is_over.store(true, Ordering::Relaxed);
        for feeder in feeders {
            assert!(feeder.await.unwrap() > 0, "a sender got no turn");
        }
        assert!(batches > 0, "nothing was ingested meanwhile");
        assert!(waited.iter().all(|batches| *batches <= MOST_BATCHES), "batches that commands waited for: {waited:?}");
        store.close().await;
    }
}

#[tokio::test]
async fn on_postgres_a_command_waits_for_no_batch_that_is_being_written() {
    for database in Database::all() {
        let Database::Postgres { .. } = database else { continue };
        let store = database.open().await;
        let api = Api::new(&store, TENANT);
        feed_values(&api.writer, TENANT, "default", &records("known")).await;
        let mut batch = store.write(TENANT, "default", NOW).await.unwrap();
        let key = packtrail::domain::identity::NaturalKey::sequence("ns", "new");
        batch.ensure_nodes(std::slice::from_ref(&key)).await.unwrap();
        // All of this makes vertices, and commits, while the batch has its turn.
        create(&api, "r", json!([gate("wait", "go"), run("after")])).await;
        let hash = hash_of(&api, "r").await;
        let asked = decide("go", Decision::Approved, &hash, "somebody new");
        runs_at(&api, NOW).decide(TENANT, "r", &asked).await.unwrap();
        batch.commit().await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_run_that_a_batch_names_while_it_is_created_is_one_vertex() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Arc::new(Api::new(&store, TENANT));
        feed_values(&api.writer, TENANT, "default", &records("known")).await;
        let key = thing::named(thing::RUN, "r");
        let mut batch = store.write(TENANT, "default", NOW).await.unwrap();
        batch.ensure_nodes(std::slice::from_ref(&key)).await.unwrap();
        let named = batch.node(&key).unwrap();
        let creating = tokio::spawn({
            let api = Arc::clone(&api);
            async move { create(&api, "r", json!([run("one")])).await }
        });
        tokio::task::yield_now().await;
        batch.commit().await.unwrap();
        creating.await.unwrap();
        let mut batch = store.write(TENANT, "default", NOW).await.unwrap();
        batch.find_nodes(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(batch.node(&key), Some(named));
        drop(batch);
        store.close().await;
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_for_one_transaction_is_written_in_several_and_answered_in_order() {
    for database in Database::all() {
        let store = database.open().await;
        let limits = WriterLimits { batch: 5, ..WriterLimits::default() };
        let (writer, task) = Writer::new(store.clone(), clock(), limits);
        tokio::spawn(task.run());
        let lines: Vec<String> = records("one").iter().map(ToString::to_string).collect();
        let results = feed(&writer, TENANT, "default", lines.iter().map(String::as_str)).await;
        assert!(results.iter().all(|result| result.outcome == Outcome::Created), "{results:?}");
        let names: Vec<String> = results.iter().map(|result| result.record.clone().unwrap().name).collect();
        assert_eq!(names, (0..ITEMS).map(|n| format!("one-{n}")).collect::<Vec<_>>());
        let commits: Vec<i64> = results.iter().map(|result| result.seq.unwrap()).collect();
        assert_eq!(commits, (0..ITEMS).map(|n| 1 + i64::try_from(n / 5).unwrap()).collect::<Vec<_>>());
        store.close().await;
    }
}
