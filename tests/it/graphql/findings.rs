//! Lists of findings: every filter and order against the whole list, in pages both ways.

use packtrail::service::ingest::batch::{self, Request};
use packtrail::storage::Store;
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::SAMPLES;
use crate::support::ingest::{BOUNDS, prepared, terms};

/// 2026-01-01T00:00:00Z in microseconds.
const START: i64 = 1_767_225_600_000_000;
const HOUR: i64 = 3_600_000_000;

const FIELDS: &str =
    "id code severity source subject cluster namespace raisedAt raisedSeq clearedAt clearedSeq message detail";

/// Writes items as one commit of the given hour.
async fn send_at(store: &Store, tenant: &str, source: &str, hour: i64, items: &[Value]) {
    let now = START + hour * HOUR;
    let mut tx = store.write(tenant, source, now).await.unwrap();
    let items = prepared(&terms(source), items);
    let request = Request { principal: "tester", items: &items };
    batch::write(&mut tx, &[request], BOUNDS, now).await.unwrap();
    tx.commit().await.unwrap();
}

fn hour(hour: i64) -> String {
    format!("2026-01-{:02}T{:02}:00:00Z", 1 + hour / 24, hour % 24)
}

/// The samples of two sources, three events an hour: much is raised and cleared on the way.
async fn with_history(store: &Store, tenant: &str) -> Api {
    for (start, source) in [(0, "a"), (40, "b")] {
        let items: Vec<Value> =
            SAMPLES.iter().flat_map(|file| file.lines()).filter_map(|line| serde_json::from_str(line).ok()).collect();
        for (n, items) in (0..).zip(items.chunks(3)) {
            send_at(store, tenant, source, start + n, items).await;
        }
    }
    Api::new(store, tenant)
}

async fn nodes(api: &Api, arguments: &str) -> Vec<Value> {
    let question = format!("{{ findings({arguments}) {{ nodes {{ {FIELDS} }} }} }}");
    api.ask(&question).await["findings"]["nodes"].as_array().unwrap().clone()
}

/// The whole list, as its default order has it.
async fn whole(api: &Api) -> Vec<Value> {
    let all = nodes(api, "filter: {state: ALL}, first: 100").await;
    assert!(all.len() > 30 && all.len() < 100, "{}", all.len());
    all
}

/// All pages of a list, read forwards or backwards, three at a time.
async fn pages(api: &Api, arguments: &str, backwards: bool) -> Vec<Value> {
    let (size, from, cursor) =
        if backwards { ("last", "before", "startCursor") } else { ("first", "after", "endCursor") };
    let (mut all, mut place) = (Vec::new(), String::new());
    loop {
        let question = format!(
            "{{ findings({arguments} {size}: 3 {place}) {{ nodes {{ {FIELDS} }}
                pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        );
        let page = api.ask(&question).await["findings"].clone();
        let nodes = page["nodes"].as_array().unwrap().clone();
        all = if backwards { [nodes, all].concat() } else { [all, nodes].concat() };
        if page["pageInfo"][if backwards { "hasPreviousPage" } else { "hasNextPage" }] != true {
            return all;
        }
        place = format!("{from}: {}", page["pageInfo"][cursor]);
    }
}

fn rank(finding: &Value) -> usize {
    ["INFO", "WARNING", "ERROR", "CRITICAL"].iter().position(|word| finding["severity"] == *word).unwrap()
}

type Holds = fn(&Value) -> bool;

/// Filters, and what they let through.
const FILTERS: &[(&str, Holds)] = &[
    ("state: ALL", |_| true),
    ("", |f| f["clearedSeq"].is_null()),
    ("state: CLOSED", |f| !f["clearedSeq"].is_null()),
    ("state: ALL, codes: [REVISION_GAP]", |f| f["code"] == "REVISION_GAP"),
    ("state: ALL, codes: [TWO_ACTIVES, ORPHAN_RESULT, TWO_ACTIVES]", |f| {
        f["code"] == "TWO_ACTIVES" || f["code"] == "ORPHAN_RESULT"
    }),
    ("state: ALL, codes: []", |_| true),
    ("state: ALL, severities: [CRITICAL]", |f| rank(f) == 3),
    ("state: ALL, severities: [INFO, ERROR]", |f| rank(f) == 0 || rank(f) == 2),
    ("state: ALL, minSeverity: WARNING", |f| rank(f) >= 1),
    ("state: ALL, minSeverity: INFO", |_| true),
    ("state: ALL, minSeverity: WARNING, severities: [INFO]", |_| false),
    ("state: ALL, source: \"b\"", |f| f["source"] == "b"),
    ("state: ALL, source: \"nobody\"", |_| false),
    ("state: ALL, cluster: \"ccs-dev\"", |f| f["cluster"] == "ccs-dev"),
    ("state: ALL, namespace: \"ont-system\"", |f| f["namespace"] == "ont-system"),
    ("state: ALL, cluster: \"ccs-dev\", codes: [STARTED_LATE, ORPHAN_RESULT], source: \"a\"", |f| {
        f["cluster"] == "ccs-dev" && f["source"] == "a" && (f["code"] == "STARTED_LATE" || f["code"] == "ORPHAN_RESULT")
    }),
    ("namespace: \"seam-tenant-ccs-dev\", minSeverity: WARNING", |f| {
        f["namespace"] == "seam-tenant-ccs-dev" && rank(f) >= 1 && f["clearedSeq"].is_null()
    }),
];

#[tokio::test]
async fn every_filter_and_order_is_a_part_of_the_whole_list_in_pages_both_ways() {
    for_each_database(async |store, tenant| {
        let api = with_history(&store, tenant).await;
        let whole = whole(&api).await;
        let raised: Vec<(i64, String)> = whole.iter().map(|f| (f["raisedSeq"].as_i64().unwrap(), f["id"].to_string())).collect();
        assert!(raised.windows(2).all(|pair| pair[0].0 >= pair[1].0), "newest first");
        let mut seen = [0; 4];
        for (filter, holds) in FILTERS {
            let newest: Vec<Value> = whole.iter().filter(|finding| holds(finding)).cloned().collect();
            seen[newest.len().min(3)] += 1;
            let oldest: Vec<Value> = newest.iter().rev().cloned().collect();
            let mut worst = newest.clone();
            worst.sort_by_key(|finding| std::cmp::Reverse(rank(finding)));
            let least: Vec<Value> = worst.iter().rev().cloned().collect();
            let orders = [
                ("", newest),
                ("orderBy: {field: RAISED_AT, direction: ASC}", oldest),
                ("orderBy: {field: SEVERITY}", worst),
                ("orderBy: {field: SEVERITY, direction: ASC}", least),
            ];
            for (order, expected) in orders {
                let arguments = format!("filter: {{{filter}}} {order}");
                assert_eq!(pages(&api, &arguments, false).await, expected, "{arguments}");
                assert_eq!(pages(&api, &arguments, true).await, expected, "{arguments}, backwards");
                let counted = api.ask(&format!("{{ findings({arguments}) {{ totalCount }} findingCounts(filter: {{{filter}}}) {{ code severity count }} }}")).await;
                assert_eq!(counted["findings"]["totalCount"], expected.len(), "{arguments}");
                for count in counted["findingCounts"].as_array().unwrap() {
                    let alike = |f: &&Value| f["code"] == count["code"] && f["severity"] == count["severity"];
                    assert_eq!(count["count"], expected.iter().filter(alike).count(), "{arguments}: {count}");
                }
                let sum: u64 = counted["findingCounts"].as_array().unwrap().iter().map(|c| c["count"].as_u64().unwrap()).sum();
                assert_eq!(sum, u64::try_from(expected.len()).unwrap());
            }
        }
        assert!(seen[3] > 9, "most filters must find something: {seen:?}");
    })
    .await;
}

#[tokio::test]
async fn a_window_has_what_was_raised_in_it() {
    for_each_database(async |store, tenant| {
        let api = with_history(&store, tenant).await;
        let whole = whole(&api).await;
        for (after, before) in [(0, 100), (0, 3), (2, 6), (3, 3), (9, 45), (40, 41), (200, 300)] {
            let (from, until) = (hour(after), hour(before));
            let raised = |f: &&Value| {
                f["raisedAt"].as_str().unwrap() >= from.as_str() && f["raisedAt"].as_str().unwrap() < until.as_str()
            };
            let expected: Vec<Value> = whole.iter().filter(raised).cloned().collect();
            let filter = format!("filter: {{state: ALL, raisedAfter: \"{from}\", raisedBefore: \"{until}\"}}");
            assert_eq!(pages(&api, &filter, false).await, expected, "{after} to {before}");
            assert_eq!(pages(&api, &filter, true).await, expected, "{after} to {before}, backwards");
        }
    })
    .await;
}

#[tokio::test]
async fn the_findings_about_a_thing_are_found_by_its_id() {
    for_each_database(async |store, tenant| {
        let api = with_history(&store, tenant).await;
        let whole = whole(&api).await;
        let things = api
            .ask(
                "{ packReceipts(first: 50) { nodes { id source } }
                operationSequences(first: 20) { nodes { id source namespace name epochs(first: 20) { nodes { id epochUid } } } } }",
            )
            .await;
        let about = async |id: &Value| nodes(&api, &format!("filter: {{state: ALL, record: {id}}}, first: 100")).await;
        let mut met = 0;
        for receipt in things["packReceipts"]["nodes"].as_array().unwrap() {
            let question = format!("{{ node(id: {}) {{ ... on PackReceipt {{ findings(state: ALL) {{ nodes {{ {FIELDS} }} }} }} }} }}", receipt["id"]);
            let on_record = api.ask(&question).await["node"]["findings"]["nodes"].as_array().unwrap().clone();
            assert_eq!(about(&receipt["id"]).await, on_record);
            met += on_record.len();
        }
        assert!(met > 2, "{met}");
        for sequence in things["operationSequences"]["nodes"].as_array().unwrap() {
            let place = format!("{}/{}", sequence["namespace"].as_str().unwrap(), sequence["name"].as_str().unwrap());
            let found = about(&sequence["id"]).await;
            for finding in whole.iter().filter(|f| f["source"] == sequence["source"]) {
                let subject = finding["subject"].as_str().unwrap();
                let is_of_it = subject == format!("sequence:{place}") || subject.starts_with(&format!("epoch:{place}@"));
                assert!(!is_of_it || found.contains(finding), "{place}: {finding}");
            }
            for chain in sequence["epochs"]["nodes"].as_array().unwrap() {
                let subject = format!("epoch:{place}@{}", chain["epochUid"].as_str().unwrap());
                let of_chain: Vec<Value> =
                    whole.iter().filter(|f| f["source"] == sequence["source"] && f["subject"] == subject.as_str()).cloned().collect();
                assert_eq!(about(&chain["id"]).await, of_chain);
            }
        }
        let source = api.ask("{ sources(first: 1) { nodes { id } } }").await["sources"]["nodes"][0]["id"].clone();
        assert_eq!(api.code(&format!("{{ findings(filter: {{record: {source}}}) {{ totalCount }} }}")).await, "BAD_USER_INPUT");
        assert_eq!(api.code("{ findings(filter: {codes: [UNKNOWN]}) { totalCount } }").await, "BAD_USER_INPUT");
    })
    .await;
}

fn pack(second: i64, spec: &Value) -> Value {
    json!({"type": "MODIFIED", "observedAt": format!("2026-05-04T10:00:{second:02}Z"), "object": {
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "ClusterPack", "spec": spec,
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "creationTimestamp": "2026-05-04T10:00:00Z"}}})
}

#[tokio::test]
async fn a_finding_is_one_from_when_it_is_raised_until_it_is_cleared() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let asked =
            async |state: &str| nodes(&api, &format!("filter: {{codes: [SPEC_REWRITTEN], state: {state}}}")).await;
        let told = |findings: &[Value]| -> Vec<Value> {
            findings
                .iter()
                .map(|f| json!([f["severity"], f["raisedSeq"], f["raisedAt"], f["clearedSeq"], f["clearedAt"]]))
                .collect()
        };
        send_at(&store, tenant, "s", 1, &[pack(1, &json!({"version": "v1.0.0-r1"}))]).await;
        // Expected: nothing sealed changes.
        send_at(&store, tenant, "s", 2, &[pack(3, &json!({"version": "v1.0.0-r1", "targetClusters": ["c"]}))]).await;
        assert_eq!(told(&asked("ALL").await), [json!(["INFO", 2, hour(2), null, null])]);
        // Unexpected: it gets worse while it stands.
        send_at(&store, tenant, "s", 3, &[pack(5, &json!({"version": "v2.0.0-r1", "targetClusters": ["c"]}))]).await;
        let worse = [json!(["ERROR", 2, hour(2), null, null])];
        assert_eq!((told(&asked("ALL").await), told(&asked("OPEN").await)), (worse.to_vec(), worse.to_vec()));
        assert!(asked("CLOSED").await.is_empty());
        let pack_id = api.ask("{ clusterPacks { nodes { id } } }").await["clusterPacks"]["nodes"][0]["id"].clone();
        let subjects =
            api.ask("{ findings { nodes { subjects { __typename id } message } } }").await["findings"]["nodes"][0]
                .clone();
        assert_eq!(subjects["subjects"], json!([{"__typename": "ClusterPack", "id": pack_id}]));
        assert!(subjects["message"].as_str().unwrap().contains("under its uid"), "{subjects}");
    })
    .await;
}

fn receipt(kind: &str, second: i64, drift: &str) -> Value {
    json!({"type": kind, "observedAt": format!("2026-05-04T10:00:{second:02}Z"), "object": {
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackReceipt",
        "spec": {"targetClusterRef": "c1"}, "status": {"driftStatus": drift},
        "metadata": {"name": "r", "namespace": "ont-system", "uid": "u", "creationTimestamp": "2026-05-04T10:00:00Z"}}})
}

#[tokio::test]
async fn what_was_cleared_and_comes_again_is_another_finding() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        for (second, drift) in [(1, "Drifted"), (2, "InSync"), (3, "Drifted")] {
            send_at(&store, tenant, "s", second, &[receipt("MODIFIED", second, drift)]).await;
        }
        let told = |findings: &[Value]| -> Vec<Value> {
            findings.iter().map(|f| json!([f["raisedAt"], f["clearedAt"], f["raisedSeq"], f["clearedSeq"]])).collect()
        };
        let (first, second) = (json!([hour(1), hour(2), 1, 2]), json!([hour(3), null, 3, null]));
        assert_eq!(told(&nodes(&api, "filter: {state: ALL}").await), [second.clone(), first.clone()]);
        assert_eq!(told(&nodes(&api, "filter: {state: CLOSED}").await), std::slice::from_ref(&first));
        assert_eq!(told(&nodes(&api, "first: 50").await), std::slice::from_ref(&second));
        let on_record = async |state: &str| {
            let question = format!("{{ packReceipt(cluster: \"c1\", name: \"r\") {{ findings(state: {state}) {{ totalCount nodes {{ {FIELDS} }} }} }} }}");
            api.ask(&question).await["packReceipt"]["findings"]["nodes"].as_array().unwrap().clone()
        };
        assert_eq!(told(&on_record("ALL").await), [second.clone(), first.clone()]);
        assert_eq!(told(&on_record("CLOSED").await), [first]);
        assert_eq!(told(&on_record("OPEN").await), [second]);
    })
    .await;
}
