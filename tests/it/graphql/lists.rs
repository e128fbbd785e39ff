//! Lists of records: filters and orders.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::feed_values;

const PACKS: [&str; 3] = ["alpha-v1.0.0-r1", "alpha-v1.1.0-r1", "beta-v1.0.0-r1"];
const CLUSTERS: [&str; 3] = ["c0", "c1", "edge"];
const STEPS: [&str; 3] = ["", "apply-workload", "wait-ready"];

fn at(seconds: usize) -> String {
    format!("2026-05-01T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn object(kind: &str, name: &str, created: usize, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": if kind == "ClusterPack" { "seam-system" } else { "ns" },
            "uid": format!("uid-{kind}-{name}"), "creationTimestamp": at(created)},
        "spec": spec, "status": status,
    })
}

/// A fleet in which every facet has several values: its objects with what is true of each.
fn fleet() -> Vec<(Value, Truth)> {
    let mut found = Vec::new();
    for (i, name) in PACKS.iter().enumerate() {
        let base = name.split('-').next().unwrap();
        let targets = if i == 0 { vec!["c0", "c1"] } else { vec!["edge"] };
        let spec = json!({"version": "v1.0.0-r1", "basePackName": base, "targetClusters": targets,
            "registryRef": {"url": "r", "digest": format!("sha256:{i}")}});
        let truth = Truth { pack: name, base, clusters: targets, created: i, ..Truth::new("ClusterPack", name) };
        found.push((object("ClusterPack", name, i, &spec, &json!({"signed": true})), truth));
    }
    for i in 0..40 {
        let (pack, cluster) = (PACKS[i % 3], CLUSTERS[i / 3 % 3]);
        let base = pack.split('-').next().unwrap();
        let name = format!("e{:02}", i * 7 % 40);
        let spec = json!({"clusterPackRef": {"name": pack, "version": "v1.0.0-r1"}, "targetClusterRef": cluster});
        let truth =
            Truth { pack, base, clusters: vec![cluster], created: 100 + i, ..Truth::new("PackExecution", &name) };
        found.push((object("PackExecution", &name, 100 + i, &spec, &json!({})), truth));

        let step = STEPS[i / 2 % 3];
        // Early failures name no pack: theirs is that of their execution.
        let is_early = i % 5 == 0;
        let status = if step.is_empty() && !is_early { "Succeeded" } else { "Failed" };
        let result = format!("pack-deploy-result-{name}-r1");
        let mut spec = json!({"revision": 1, "packExecutionRef": name, "targetClusterRef": cluster,
            "capability": if i % 4 == 0 { "pack-remove" } else { "pack-deploy" }, "status": status});
        if !is_early {
            spec["clusterPackRef"] = pack.into();
        }
        let category = ["ExecutionFailure", "StorageUnavailable"][i % 2];
        if status == "Failed" {
            spec["failureReason"] = json!({"category": category, "reason": "x", "failedStep": step});
        }
        let truth = Truth {
            pack: if is_early { "" } else { pack },
            base,
            clusters: vec![cluster],
            status,
            capability: if i % 4 == 0 { "pack-remove" } else { "pack-deploy" },
            category: if status == "Failed" { category } else { "" },
            step: if status == "Failed" { step } else { "" },
            created: 200 + i,
            ..Truth::new("PackOperationResult", &result)
        };
        found.push((object("PackOperationResult", &result, 200 + i, &spec, &json!({})), truth));

        let drift = ["InSync", "Drifted"][i % 2];
        let receipt = format!("r{i}");
        let spec = json!({"clusterPackRef": {"name": pack, "version": "v1.0.0-r1"}, "targetClusterRef": cluster,
            "signatureVerified": i % 3 > 0});
        let truth = Truth {
            pack,
            base,
            clusters: vec![cluster],
            drift,
            verified: Some(i % 3 > 0),
            created: 300 + i,
            ..Truth::new("PackReceipt", &receipt)
        };
        found.push((object("PackReceipt", &receipt, 300 + i, &spec, &json!({"driftStatus": drift})), truth));
    }
    found
}

/// What is true of an object, said without the code under test.
#[derive(Debug, Clone)]
struct Truth {
    kind: &'static str,
    name: String,
    pack: &'static str,
    base: &'static str,
    clusters: Vec<&'static str>,
    status: &'static str,
    capability: &'static str,
    category: &'static str,
    step: &'static str,
    drift: &'static str,
    verified: Option<bool>,
    created: usize,
}

impl Truth {
    fn new(kind: &'static str, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            pack: "",
            base: "",
            clusters: Vec::new(),
            status: "",
            capability: "",
            category: "",
            step: "",
            drift: "",
            verified: None,
            created: 0,
        }
    }

    fn is_closed(&self) -> bool {
        self.created.is_multiple_of(6) && self.kind != "ClusterPack"
    }
}

const KINDS: [(&str, &str); 4] = [
    ("ClusterPack", "clusterPacks"),
    ("PackExecution", "packExecutions"),
    ("PackOperationResult", "operationResults"),
    ("PackReceipt", "packReceipts"),
];

type Check = fn(&Truth) -> bool;

/// Filters with what they let through.
const FILTERS: &[(&str, &str, Check)] = &[
    ("*", "namespace: \"ns\"", |t| t.kind != "ClusterPack"),
    ("*", "source: \"default\"", |_| true),
    ("*", "source: \"nobody\"", |_| false),
    ("*", "cluster: \"c1\"", |t| t.clusters.contains(&"c1")),
    ("*", "pack: \"alpha-v1.1.0-r1\"", |t| t.pack == "alpha-v1.1.0-r1"),
    ("*", "basePack: \"alpha\"", |t| t.base == "alpha"),
    ("*", "live: true", |t| !t.is_closed()),
    ("*", "live: false", Truth::is_closed),
    ("*", "createdFrom: \"2026-05-01T00:03:25Z\"", |t| t.created >= 205),
    ("*", "createdBefore: \"2026-05-01T00:03:25Z\"", |t| t.created < 205),
    ("*", "createdFrom: \"2026-05-01T00:01:45Z\", createdBefore: \"2026-05-01T00:05:10Z\"", |t| {
        (105..310).contains(&t.created)
    }),
    ("*", "basePack: \"alpha\", cluster: \"c0\", live: true", |t| {
        t.base == "alpha" && t.clusters.contains(&"c0") && !t.is_closed()
    }),
    ("*", "pack: \"nobody\"", |_| false),
    ("operationResults", "status: FAILED", |t| t.status == "Failed"),
    ("operationResults", "statusRaw: \"Succeeded\"", |t| t.status == "Succeeded"),
    ("operationResults", "capability: \"pack-remove\"", |t| t.capability == "pack-remove"),
    ("operationResults", "failureCategory: STORAGE_UNAVAILABLE", |t| t.category == "StorageUnavailable"),
    ("operationResults", "failureCategoryRaw: \"ExecutionFailure\"", |t| t.category == "ExecutionFailure"),
    ("operationResults", "failedStep: \"wait-ready\"", |t| t.step == "wait-ready"),
    ("operationResults", "failedStep: \"wait-ready\", cluster: \"edge\", basePack: \"beta\"", |t| {
        t.step == "wait-ready" && t.clusters.contains(&"edge") && t.base == "beta"
    }),
    ("packReceipts", "drift: DRIFTED", |t| t.drift == "Drifted"),
    ("packReceipts", "driftRaw: \"InSync\"", |t| t.drift == "InSync"),
    ("packReceipts", "verified: false", |t| t.verified == Some(false)),
    ("packReceipts", "verified: true, drift: DRIFTED", |t| t.verified == Some(true) && t.drift == "Drifted"),
];

const ORDERS: [(&str, &str); 6] = [
    ("CREATED_AT", "ASC"),
    ("CREATED_AT", "DESC"),
    ("UPDATED_AT", "ASC"),
    ("UPDATED_AT", "DESC"),
    ("NAME", "ASC"),
    ("NAME", "DESC"),
];

async fn with_fleet(store: &packtrail::storage::Store, tenant: &str) -> (Api, Vec<Truth>) {
    let api = Api::new(store, tenant);
    let (objects, truths): (Vec<Value>, Vec<Truth>) = fleet().into_iter().unzip();
    // Packs last: what names them is there before.
    let (packs, others): (Vec<&Value>, Vec<&Value>) =
        objects.iter().partition(|object| object["kind"] == "ClusterPack");
    let others: Vec<Value> = others.into_iter().cloned().collect();
    feed_values(&api.writer, tenant, "default", &others).await;
    feed_values(&api.writer, tenant, "default", &packs.into_iter().cloned().collect::<Vec<_>>()).await;
    let closed: Vec<Value> = objects
        .iter()
        .zip(&truths)
        .filter(|(_, truth)| truth.is_closed())
        .map(|(object, _)| json!({"type": "DELETED", "observedAt": at(5000), "object": object}))
        .collect();
    feed_values(&api.writer, tenant, "default", &closed).await;
    (api, truths)
}

async fn names(api: &Api, field: &str, filter: &str, order: (&str, &str)) -> Vec<String> {
    let document = format!(
        "{{ {field}(filter: {{{filter}}}, orderBy: {{field: {}, direction: {}}}, first: 100) {{ totalCount nodes {{ name }} }} }}",
        order.0, order.1
    );
    let answer = api.ask(&document).await[field].take();
    let names: Vec<String> =
        answer["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(answer["totalCount"], names.len(), "{document}");
    names
}

/// When the records of a list changed, in the order of that.
async fn changes(api: &Api, field: &str, filter: &str) -> Vec<String> {
    let document = format!(
        "{{ {field}(filter: {{{filter}}}, orderBy: {{field: UPDATED_AT, direction: ASC}}, first: 100) \
         {{ nodes {{ updatedAt }} }} }}"
    );
    let nodes = api.ask(&document).await[field]["nodes"].take();
    nodes.as_array().unwrap().iter().map(|node| node["updatedAt"].as_str().unwrap().to_owned()).collect()
}

/// Each changed last when it was closed, else when it was created.
fn sorted_changes(expected: &[&Truth]) -> Vec<String> {
    let mut changes: Vec<String> =
        expected.iter().map(|truth| at(if truth.is_closed() { 5000 } else { truth.created })).collect();
    changes.sort();
    changes
}

#[tokio::test]
async fn each_filter_lets_through_what_it_says_in_each_order() {
    for_each_database(async |store, tenant| {
        let (api, truths) = with_fleet(&store, tenant).await;
        for (kind, field) in KINDS {
            for (_, filter, check) in FILTERS.iter().filter(|(of, ..)| *of == "*" || *of == field) {
                let expected: Vec<&Truth> = truths.iter().filter(|t| t.kind == kind && check(t)).collect();
                let by_birth: Vec<&str> = expected.iter().map(|t| t.name.as_str()).collect();
                assert_eq!(names(&api, field, filter, ("CREATED_AT", "ASC")).await, by_birth, "{field} {filter}");
                let mut by_name = by_birth.clone();
                by_name.sort_unstable();
                assert_eq!(names(&api, field, filter, ("NAME", "ASC")).await, by_name, "{field} {filter}");
                let changed = changes(&api, field, filter).await;
                assert_eq!(changed, sorted_changes(&expected), "{field} {filter}");
                let whole: BTreeSet<&str> = by_birth.iter().copied().collect();
                for order in ORDERS {
                    let found = names(&api, field, filter, order).await;
                    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), whole, "{field} {filter}");
                    let mut reversed =
                        names(&api, field, filter, (order.0, if order.1 == "ASC" { "DESC" } else { "ASC" })).await;
                    reversed.reverse();
                    assert_eq!(found, reversed, "{field} {filter} by {order:?}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_has_findings_while_one_is_open_on_it() {
    for_each_database(async |store, tenant| {
        let (api, _) = with_fleet(&store, tenant).await;
        let flagged = async || {
            let found = names(&api, "packReceipts", "hasFindings: true", ("NAME", "ASC")).await;
            let mut without = names(&api, "packReceipts", "hasFindings: false", ("NAME", "ASC")).await;
            assert!(without.iter().all(|name| !found.contains(name)));
            without.extend(found.iter().cloned());
            without.sort();
            let mut all = names(&api, "packReceipts", "", ("NAME", "ASC")).await;
            all.sort();
            assert_eq!(without, all);
            found
        };
        let document = "{ packReceipts(first: 100) { nodes { name findings { totalCount } } } }";
        let told = api.ask(document).await["packReceipts"]["nodes"].take();
        let mut expected: Vec<String> = told
            .as_array()
            .unwrap()
            .iter()
            .filter(|node| node["findings"]["totalCount"] != 0)
            .map(|node| node["name"].as_str().unwrap().to_owned())
            .collect();
        expected.sort();
        assert!(expected.contains(&"r9".to_owned()), "an unverified one: {expected:?}");
        assert_eq!(flagged().await, expected);
        // A cluster is in sync again: the finding ends, and with it what the list says.
        assert!(expected.contains(&"r1".to_owned()), "a drifted one: {expected:?}");
        let (mut mended, _) = fleet().into_iter().find(|(_, truth)| truth.name == "r1").unwrap();
        mended["status"]["driftStatus"] = "InSync".into();
        let event = json!({"type": "MODIFIED", "observedAt": at(6000), "object": mended});
        feed_values(&api.writer, tenant, "default", &[event]).await;
        let others: Vec<String> = expected.into_iter().filter(|name| name != "r1").collect();
        assert_eq!(flagged().await, others);
    })
    .await;
}

#[tokio::test]
async fn words_are_asked_for_in_one_way_at_a_time() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        for filter in ["status: UNKNOWN", "status: FAILED, statusRaw: \"Failed\"", "failureCategory: UNKNOWN"] {
            let document = format!("{{ operationResults(filter: {{{filter}}}) {{ nodes {{ id }} }} }}");
            assert_eq!(api.code(&document).await, "BAD_USER_INPUT", "{filter}");
        }
    })
    .await;
}

/// How many records the long walk is over.
fn walked() -> usize {
    std::env::var("PACKTRAIL_TEST_WALKED").ok().and_then(|count| count.parse().ok()).unwrap_or(600)
}

/// A result of the long walk; several are born in one second.
fn walked_result(i: usize, labelled: bool) -> Value {
    let mut result = object(
        "PackOperationResult",
        &format!("w{:05}", i * 7919 % 100_000),
        i / 3 % 80_000,
        &json!({"revision": 1, "packExecutionRef": format!("e{i}"), "targetClusterRef": CLUSTERS[i % 3],
            "capability": "pack-deploy", "status": "Succeeded"}),
        &json!({}),
    );
    if labelled {
        result["metadata"]["labels"] = json!({"ontai.dev/superseded": "true"});
    }
    result
}

#[tokio::test]
async fn a_walk_over_many_records_has_no_hole_and_no_duplicate_while_others_come() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let count = walked();
        let results: Vec<Value> = (0..count).map(|i| walked_result(i, false)).collect();
        for part in results.chunks(500) {
            feed_values(&api.writer, tenant, "default", part).await;
        }
        let known: BTreeSet<String> =
            results.iter().map(|result| result["metadata"]["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(known.len(), count);
        let mut newest = count;
        for order in ORDERS {
            for backward in [false, true] {
                let mut walked: Vec<String> = Vec::new();
                let mut cursor = Value::Null;
                loop {
                    let (size, from) = if backward { ("last", "before") } else { ("first", "after") };
                    let document = format!(
                        "query ($cursor: String) {{ operationResults(orderBy: {{field: {}, direction: {}}}, {size}: 100, \
                         {from}: $cursor) {{ pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} \
                         nodes {{ name }} }} }}",
                        order.0, order.1
                    );
                    let page = api.ask_with(&document, json!({"cursor": cursor})).await["operationResults"].take();
                    let names =
                        page["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned());
                    walked.extend(names);
                    let (more, next) =
                        if backward { ("hasPreviousPage", "startCursor") } else { ("hasNextPage", "endCursor") };
                    cursor = page["pageInfo"][next].clone();
                    if page["pageInfo"][more] == false {
                        break;
                    }
                    // Meanwhile a new one comes, and one of those that are walked over changes.
                    let mut meanwhile = vec![walked_result(newest, false)];
                    if order.0 == "UPDATED_AT" {
                        meanwhile.push(json!({"type": "MODIFIED", "observedAt": format!("2026-05-02T{:02}:{:02}:{:02}Z",
                            newest / 3600 % 24, newest / 60 % 60, newest % 60), "object": walked_result(newest % count, newest.is_multiple_of(2))}));
                    }
                    newest += 1;
                    feed_values(&api.writer, tenant, "default", &meanwhile).await;
                }
                let of_known: Vec<&String> = walked.iter().filter(|name| known.contains(*name)).collect();
                let distinct: BTreeSet<&String> = of_known.iter().copied().collect();
                assert_eq!(of_known.len(), distinct.len(), "twice, by {order:?}, backward {backward}");
                assert_eq!(distinct.len(), count, "a hole, by {order:?}, backward {backward}");
                let all: BTreeSet<&String> = walked.iter().collect();
                assert_eq!(all.len(), walked.len(), "twice, by {order:?}, backward {backward}");
            }
        }
    })
    .await;
}
