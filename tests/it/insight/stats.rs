//! Statistics of operations, against a group-by over all results.

use std::collections::BTreeMap;

use packtrail::service::query::{OperationsAsked, Scope};
use packtrail::storage::{Dimension, OperationFilter, Store, StoredStats};
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::records::fleet::fleet;
use crate::records::model::{self, Operation};
use crate::support::api::Api;
use crate::support::db::{Database, for_each_database};
use crate::support::feed::feed_values;
use crate::support::ingest::send_all;

const DIMENSIONS: [Dimension; 8] = [
    Dimension::Cluster,
    Dimension::Pack,
    Dimension::BasePack,
    Dimension::Status,
    Dimension::FailureCategory,
    Dimension::FailedStep,
    Dimension::Day,
    Dimension::Hour,
];
const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;

/// What the operations of a bucket have in common.
fn bucket(operation: &Operation, by: &[Dimension]) -> StoredStats {
    let text = |dimension, text: &String| if by.contains(&dimension) { text.clone() } else { String::new() };
    let start = |dimension, length: i64| {
        if by.contains(&dimension) { operation.at.div_euclid(length) * length } else { 0 }
    };
    StoredStats {
        cluster: text(Dimension::Cluster, &operation.cluster),
        pack: text(Dimension::Pack, &operation.pack),
        base: text(Dimension::BasePack, &operation.base),
        status: text(Dimension::Status, &operation.status),
        category: text(Dimension::FailureCategory, &operation.category),
        step: text(Dimension::FailedStep, &operation.step),
        day: start(Dimension::Day, DAY),
        hour: start(Dimension::Hour, HOUR),
        ..StoredStats::default()
    }
}

fn is_asked(operation: &Operation, asked: &OperationsAsked) -> bool {
    let filter = &asked.filter;
    let is = |wanted: &Option<String>, text: &String| wanted.as_ref().is_none_or(|wanted| wanted == text);
    is(&asked.source, &operation.source)
        && is(&filter.cluster, &operation.cluster)
        && is(&filter.pack, &operation.pack)
        && is(&filter.base, &operation.base)
        && is(&filter.status, &operation.status)
        && is(&filter.capability, &operation.capability)
        && is(&filter.category, &operation.category)
        && is(&filter.step, &operation.step)
        && filter.from.is_none_or(|from| operation.at >= from)
        && filter.to.is_none_or(|to| operation.at < to)
}

fn naive(operations: &[Operation], asked: &OperationsAsked) -> Vec<StoredStats> {
    let mut groups: BTreeMap<StoredStats, Vec<&Operation>> = BTreeMap::new();
    if asked.by.is_empty() {
        groups.insert(StoredStats::default(), Vec::new());
    }
    for operation in operations.iter().filter(|operation| is_asked(operation, asked)) {
        groups.entry(bucket(operation, &asked.by)).or_default().push(operation);
    }
    let length = |count: usize| i64::try_from(count).unwrap();
    let count = |group: &[&Operation], status: &str| length(group.iter().filter(|o| o.status == status).count());
    groups
        .into_iter()
        .map(|(key, group)| {
            let durations: Vec<i64> = group.iter().filter_map(|operation| operation.duration).collect();
            StoredStats {
                operations: length(group.len()),
                succeeded: count(&group, "Succeeded"),
                failed: count(&group, "Failed"),
                timed: length(durations.len()),
                duration: (
                    durations.iter().map(|d| d / 1_000_000).sum(),
                    durations.iter().map(|d| d % 1_000_000).sum(),
                ),
                shortest: durations.iter().min().copied(),
                longest: durations.iter().max().copied(),
                first_at: group.iter().map(|operation| operation.at).min(),
                last_at: group.iter().map(|operation| operation.at).max(),
                ..key
            }
        })
        .collect()
}

fn question(operations: &[Operation], random: &mut ChaCha8Rng) -> OperationsAsked {
    let mut by = DIMENSIONS.to_vec();
    by.shuffle(random);
    by.truncate(random.random_range(0..=4));
    let one = operations.choose(random).unwrap();
    let mut maybe = |text: &String| {
        let is_asked = random.random_ratio(1, 5) && !text.is_empty();
        is_asked.then(|| if random.random_ratio(9, 10) { text.clone() } else { format!("{text}?") })
    };
    let filter = OperationFilter {
        source: None,
        cluster: maybe(&one.cluster),
        pack: maybe(&one.pack),
        base: maybe(&one.base),
        status: maybe(&one.status),
        capability: maybe(&one.capability),
        category: maybe(&one.category),
        step: maybe(&one.step),
        from: None,
        to: None,
    };
    let source = maybe(&one.source);
    let times: Vec<i64> = operations.iter().map(|operation| operation.at).collect();
    let from = random.random_ratio(1, 3).then(|| *times.choose(random).unwrap());
    let to = random.random_ratio(1, 3).then(|| *times.choose(random).unwrap());
    OperationsAsked { source, filter: OperationFilter { from, to, ..filter }, by }
}

fn fleets() -> u64 {
    std::env::var("PACKTRAIL_TEST_FLEETS").ok().and_then(|count| count.parse().ok()).unwrap_or(15)
}

async fn check(store: &Store, tenant: &str, seed: u64, operations: &[Operation]) {
    let scope = Scope::now(store, tenant.into()).await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let all = OperationsAsked { by: DIMENSIONS[..6].to_vec(), ..OperationsAsked::default() };
    let asked = (0..20).map(|_| question(operations, &mut random));
    for asked in std::iter::once(all).chain(asked) {
        let found = scope.operation_stats(&asked).await.unwrap();
        assert_eq!(found, naive(operations, &asked), "fleet {seed}: {asked:?}");
    }
}

#[tokio::test]
async fn random_groups_of_random_fleets_are_those_of_all_results() {
    for database in Database::all() {
        let store = database.open().await;
        let (mut with_base, mut through_execution) = (0, 0);
        for seed in 0..fleets() {
            let mut inputs = fleet(seed);
            let operations = model::operations(&inputs);
            if operations.is_empty() {
                continue;
            }
            with_base += operations.iter().filter(|operation| !operation.base.is_empty()).count();
            through_execution += operations.iter().filter(|o| o.status == "Failed" && !o.pack.is_empty()).count();
            inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed + 77));
            let tenant = format!("t{seed}");
            send_all(&store, &tenant, &inputs, 1 + usize::try_from(seed).unwrap() % 9).await;
            check(&store, &tenant, seed, &operations).await;
        }
        assert!(with_base > 10 && through_execution > 0, "{with_base} {through_execution}");
        store.close().await;
    }
}

const BUCKET: &str = "cluster pack basePack status statusRaw failureCategory failedStep day hour count succeeded failed \
    other durations { count average min max } firstAt lastAt";

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": "ns", "uid": format!("{kind}-{name}"),
            "creationTimestamp": "2026-05-01T00:00:00Z"}})
}

#[tokio::test]
async fn a_pack_that_arrives_last_gives_its_base_to_results_that_never_named_it() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let result = json!({"revision": 1, "packExecutionRef": "e", "targetClusterRef": "c", "capability": "pack-deploy",
            "status": "Failed", "failureReason": {"category": "ExecutionFailure", "reason": "x", "failedStep": "wait-ready"},
            "startedAt": "2026-05-02T23:59:58Z", "completedAt": "2026-05-03T00:00:01.500Z"});
        let execution = json!({"clusterPackRef": {"name": "p", "version": "v1"}, "targetClusterRef": "c"});
        let ask = async || {
            let query = format!("{{ operationStats(groupBy: [BASE_PACK, PACK, FAILED_STEP, DAY]) {{ {BUCKET} }} }}");
            api.ask(&query).await["operationStats"][0].clone()
        };
        feed_values(&api.writer, tenant, "default", &[object("PackOperationResult", "r", &result)]).await;
        let alone = ask().await;
        assert_eq!((&alone["pack"], &alone["basePack"]), (&Value::Null, &Value::Null), "{alone}");
        feed_values(&api.writer, tenant, "default", &[object("PackExecution", "e", &execution)]).await;
        assert_eq!(ask().await["pack"], "p");
        let pack = |base: &str| object("ClusterPack", "p", &json!({"version": "v1", "basePackName": base}));
        feed_values(&api.writer, tenant, "default", &[pack("base")]).await;
        let expected = json!({"cluster": null, "pack": "p", "basePack": "base", "status": null, "statusRaw": null,
            "failureCategory": null, "failedStep": "wait-ready", "day": "2026-05-03T00:00:00Z", "hour": null, "count": 1,
            "succeeded": 0, "failed": 1, "other": 0, "durations": {"count": 1, "average": 3.5, "min": 3.5, "max": 3.5},
            "firstAt": "2026-05-03T00:00:01.500000Z", "lastAt": "2026-05-03T00:00:01.500000Z"});
        assert_eq!(ask().await, expected);
        feed_values(&api.writer, tenant, "default", &[pack("other")]).await;
        assert_eq!(ask().await["basePack"], "other");
    })
    .await;
}

#[tokio::test]
async fn more_than_a_thousand_buckets_have_to_be_narrowed() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let results: Vec<Value> = (0..=1000)
            .map(|i| {
                let spec = json!({"revision": 1, "packExecutionRef": format!("e{i}"), "capability": "pack-deploy",
                    "targetClusterRef": format!("c{i}"), "status": if i % 2 == 0 { "Succeeded" } else { "Odd" }});
                object("PackOperationResult", &format!("r{i}"), &spec)
            })
            .collect();
        feed_values(&api.writer, tenant, "default", &results[..1000]).await;
        let by_cluster = "{ operationStats(groupBy: [CLUSTER]) { cluster count } }";
        let buckets = api.ask(by_cluster).await;
        assert_eq!(buckets["operationStats"].as_array().unwrap().len(), 1000);
        assert_eq!(buckets["operationStats"][1], json!({"cluster": "c1", "count": 1}));
        feed_values(&api.writer, tenant, "default", &results[1000..]).await;
        assert_eq!(api.code(by_cluster).await, "BAD_USER_INPUT");
        let narrowed = "{ operationStats(filter: {status: SUCCEEDED}, groupBy: [CLUSTER]) { cluster } }";
        assert_eq!(api.ask(narrowed).await["operationStats"].as_array().unwrap().len(), 501);
        let total = "{ operationStats(groupBy: []) { count succeeded failed other } }";
        let expected = json!([{"count": 1001, "succeeded": 501, "failed": 0, "other": 500}]);
        assert_eq!(api.ask(total).await["operationStats"], expected);
    })
    .await;
}

#[tokio::test]
async fn what_is_asked_of_statistics_is_bounded_and_nothing_is_none() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let nothing = api.ask(&format!("{{ operationStats(groupBy: []) {{ {BUCKET} }} }}")).await;
        assert_eq!(nothing["operationStats"][0]["count"], 0);
        assert_eq!(
            nothing["operationStats"][0]["durations"],
            json!({"count": 0, "average": null, "min": null, "max": null})
        );
        assert_eq!(api.ask("{ operationStats(groupBy: [DAY]) { count } }").await["operationStats"], json!([]));
        for query in [
            "{ operationStats(groupBy: [DAY, HOUR, PACK, CLUSTER, STATUS]) { count } }",
            "{ operationStats(filter: {status: UNKNOWN}, groupBy: []) { count } }",
            "{ operationStats(filter: {failureCategory: UNKNOWN}, groupBy: []) { count } }",
        ] {
            assert_eq!(api.code(query).await, "BAD_USER_INPUT", "{query}");
        }
        let strange = "query ($text: String!) { operationStats(filter: {cluster: $text}, groupBy: []) { count } }";
        for text in ["", "\0", "%", &"x".repeat(10_000)] {
            let answer = api.ask_with(strange, json!({"text": text})).await;
            assert_eq!(answer["operationStats"][0]["count"], 0);
        }
    })
    .await;
}
