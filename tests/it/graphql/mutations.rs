//! Sending records.

use std::sync::Arc;

use packtrail::auth::{IngestBinding, Principal, Scope};
use packtrail::domain::json::JsonLimits;
use packtrail::service::ingest::batch::{self, Request};
use packtrail::service::ingest::prepare::Terms;
use serde_json::{Value, json};

use crate::support::api::{Api, principal};
use crate::support::db::for_each_database;
use crate::support::ingest::{BOUNDS, prepared, terms};

const INGEST: &str = "mutation ($input: IngestInput!) { ingest(input: $input) {
    results { index outcome seq record { kind namespace name uid record { __typename name } }
        warnings { code path } error { code path message } }
    summary { items created duplicate quarantined rejected closedBySnapshot seq }
} }";

fn result(name: &str, uid: &str, revision: &str) -> String {
    format!(
        r#"{{"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackOperationResult",
            "metadata": {{"name": "{name}", "namespace": "ns", "uid": "{uid}", "creationTimestamp": "2026-05-01T00:00:00Z"}},
            "spec": {{"revision": {revision}, "capability": "pack-deploy", "status": "Succeeded", "packExecutionRef": "e"}}}}"#
    )
}

async fn ingest(api: &Api, input: &str) -> Value {
    let response = api.execute_raw(INGEST, &format!(r#"{{"input": {input}}}"#)).await;
    assert!(response.get("errors").is_none(), "{response:#}");
    response["data"]["ingest"].clone()
}

fn outcomes(payload: &Value) -> Vec<&str> {
    payload["results"].as_array().unwrap().iter().map(|r| r["outcome"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn one_bad_item_never_loses_its_neighbours() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let items = [
            result("a", "u1", "1"),
            result("b", "u2", "9007199254740993"),
            r#"{"kind": "Pod", "kind": "Node"}"#.to_owned(),
            "7".to_owned(),
            result("a", "u1", "1"),
            result("c", "u3", "2"),
        ];
        let payload = ingest(&api, &format!(r#"{{"items": [{}]}}"#, items.join(","))).await;
        assert_eq!(
            outcomes(&payload),
            ["CREATED", "QUARANTINED", "QUARANTINED", "QUARANTINED", "DUPLICATE", "CREATED"]
        );
        let results = payload["results"].as_array().unwrap();
        assert_eq!(results[1]["error"]["code"], "UNSAFE_INTEGER");
        assert_eq!(results[1]["error"]["path"], "$.spec.revision");
        assert_eq!(results[2]["error"]["code"], "DUPLICATE_KEY");
        let written = json!({"kind": "PackOperationResult", "namespace": "ns", "name": "a", "uid": "u1",
            "record": {"__typename": "PackOperationResult", "name": "a"}});
        assert_eq!(results[0]["record"], written);
        assert_eq!(results[0]["seq"], 1);
        assert_eq!(payload["summary"]["items"], 6);
        assert_eq!(payload["summary"]["quarantined"], 3);
        let listed = api.ask("{ quarantine { totalCount nodes { code raw } } }").await["quarantine"].clone();
        assert_eq!(listed["totalCount"], 3);
        let raw: Vec<&str> = listed["nodes"].as_array().unwrap().iter().map(|n| n["raw"].as_str().unwrap()).collect();
        assert!(raw.contains(&items[1].as_str()), "kept as it came: {raw:?}");
    })
    .await;
}

#[tokio::test]
async fn items_reach_ingest_as_they_were_written_by_whatever_variable() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let long = result("a", "u", "9007199254740993");
        for (query, variables) in [
            (
                "mutation ($items: [JSON!]!) { ingest(input: {items: $items}) { results { error { code } } } }",
                format!(r#"{{"items": [{long}]}}"#),
            ),
            (
                "mutation ($i: JSON!) { ingest(input: {items: [$i]}) { results { error { code } } } }",
                format!(r#"{{"i": {long}}}"#),
            ),
        ] {
            let response = api.execute_raw(query, &variables).await;
            let expected = json!({"ingest": {"results": [{"error": {"code": "UNSAFE_INTEGER"}}]}});
            assert_eq!(response["data"], expected, "{response}");
        }
        let literal =
            "mutation { ingest(input: {items: [{kind: \"Pod\", n: 9007199254740993}]}) { results { index } } }";
        assert_eq!(api.code(literal).await, "BAD_USER_INPUT");
        let twice = format!(r#"{{"input": {{"items": [], "items": [{long}]}}}}"#);
        let response = api.execute_raw(INGEST, &twice).await;
        assert_eq!(response["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
        let many = format!(r#"{{"input": {{"items": [{}]}}}}"#, vec!["1"; 1001].join(","));
        let response = api.execute_raw(INGEST, &many).await;
        assert_eq!(response["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    })
    .await;
}

fn bound(tenant: &str, binding: IngestBinding) -> Principal {
    Principal { ingest_binding: Arc::new(binding), ..principal(tenant, &[Scope::Viewer, Scope::Ingest]) }
}

#[tokio::test]
async fn a_bound_sender_sends_within_its_binding_only() {
    for_each_database(async |store, tenant| {
        let binding = IngestBinding {
            sources: ["mgmt".to_owned()].into(),
            namespaces: ["ns".to_owned()].into(),
            ..IngestBinding::default()
        };
        let api = Api::new(&store, tenant).for_principal(bound(tenant, binding));
        let elsewhere = result("b", "u2", "1").replace("\"ns\"", "\"other\"");
        let items = format!("[{}, {elsewhere}]", result("a", "u1", "1"));
        let payload = ingest(&api, &format!(r#"{{"items": {items}, "source": "mgmt"}}"#)).await;
        assert_eq!(outcomes(&payload), ["CREATED", "REJECTED"]);
        assert_eq!(payload["results"][1]["error"]["code"], "FORBIDDEN");
        let forbidden = |input: &str| format!(r#"{{"input": {input}}}"#);
        for input in [
            r#"{"items": []}"#,
            r#"{"items": [], "source": "other"}"#,
            r#"{"items": [], "source": "mgmt",
                "snapshot": {"kinds": ["Pod"], "namespaces": [], "at": "2026-06-01T00:00:00Z"}}"#,
            r#"{"items": [], "source": "mgmt",
                "snapshot": {"kinds": ["Pod"], "namespaces": ["ns", "other"], "at": "2026-06-01T00:00:00Z"}}"#,
        ] {
            let response = api.execute_raw(INGEST, &forbidden(input)).await;
            assert_eq!(response["errors"][0]["extensions"]["code"], "FORBIDDEN", "{input}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_complete_listing_closes_what_it_omits() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let both = format!(r#"{{"items": [{}, {}]}}"#, result("a", "u1", "1"), result("b", "u2", "2"));
        ingest(&api, &both).await;
        let listing = format!(
            r#"{{"items": [{}], "snapshot": {{"kinds": ["PackOperationResult"], "namespaces": ["ns"], "at": "2026-06-01T00:00:00Z"}}}}"#,
            result("a", "u1", "1")
        );
        assert_eq!(ingest(&api, &listing).await["summary"]["closedBySnapshot"], 1);
        let found = api.ask("{ operationResults { nodes { name live closedBy closedAt } } }").await;
        let mut nodes = found["operationResults"]["nodes"].as_array().unwrap().clone();
        nodes.sort_by_key(|node| node["name"].as_str().unwrap().to_owned());
        let expected = [
            json!({"name": "a", "live": true, "closedBy": null, "closedAt": null}),
            json!({"name": "b", "live": false, "closedBy": "SNAPSHOT", "closedAt": "2026-06-01T00:00:00Z"}),
        ];
        assert_eq!(nodes, expected);
    })
    .await;
}

const REPLAY: &str = "mutation ($ids: [ID!]!, $mode: IngestMode!) { replayQuarantine(ids: $ids, mode: $mode) {
    results { id released result { outcome error { code } record { name record { asserter } } } } } }";

#[tokio::test]
async fn an_item_leaves_the_quarantine_once_it_can_be_stored() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let odd = result("a", "u1", "1").replace("\"capability\"", "\"surprise\": 1, \"capability\"");
        let payload = ingest(&api, &format!(r#"{{"items": [{odd}, {{"kind": "Odd"}}], "mode": "STRICT"}}"#)).await;
        assert_eq!(outcomes(&payload), ["QUARANTINED", "QUARANTINED"]);
        let items =
            api.ask("{ quarantine { nodes { id code strict principal } } }").await["quarantine"]["nodes"].clone();
        let id = |code: &str| {
            let item = items.as_array().unwrap().iter().find(|item| item["code"] == code);
            item.unwrap_or_else(|| panic!("{items}"))["id"].clone()
        };
        let (strict, broken) = (id("CONTRACT_BREACH"), id("INVALID_RECORD"));
        let replay = async |ids: Value, mode: &str| {
            api.ask_with(REPLAY, json!({"ids": ids, "mode": mode})).await["replayQuarantine"]["results"].clone()
        };
        let stays = replay(json!([strict]), "STRICT").await;
        assert_eq!((&stays[0]["released"], &stays[0]["result"]["outcome"]), (&json!(false), &json!("QUARANTINED")));
        let released = replay(json!([broken, strict]), "LENIENT").await;
        assert_eq!(released[0]["released"], false);
        assert_eq!(released[0]["result"]["error"]["code"], "INVALID_RECORD");
        let stored =
            json!({"outcome": "CREATED", "error": null, "record": {"name": "a", "record": {"asserter": "tester"}}});
        assert_eq!((&released[1]["released"], &released[1]["result"]), (&json!(true), &stored));
        let left = api.ask("{ quarantine { totalCount nodes { id } } }").await;
        assert_eq!(left, json!({"quarantine": {"totalCount": 1, "nodes": [{"id": broken}]}}));
        let gone = replay(json!([strict]), "LENIENT").await;
        assert_eq!((&gone[0]["released"], &gone[0]["result"]), (&json!(false), &Value::Null));
    })
    .await;
}

const LISTED: &str =
    "{ quarantine { totalCount nodes { id code path message strict principal refusedAgainAt refusedAgainBy seq } } }";

#[tokio::test]
async fn an_item_that_is_refused_anew_keeps_the_new_reason() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let deep = json!({"kind": "Odd", "apiVersion": "v1", "metadata": {"name": "n"}, "spec": {"a": {"b": 9_007_199_254_740_993_i64}}});
        // Of a time when less depth was allowed.
        let shallow = Terms { limits: JsonLimits { max_depth: 2, ..JsonLimits::default() }, ..terms("default") };
        let items = prepared(&shallow, std::slice::from_ref(&deep));
        let mut tx = store.write(tenant, "default", 5).await.unwrap();
        batch::write(&mut tx, &[Request { principal: "sender", items: &items }], BOUNDS, 5).await.unwrap();
        tx.commit().await.unwrap();
        let first = api.ask(LISTED).await["quarantine"]["nodes"][0].clone();
        assert_eq!((&first["code"], &first["refusedAgainAt"]), (&json!("TOO_DEEP"), &Value::Null));

        let replay = async || {
            api.ask_with(REPLAY, json!({"ids": [first["id"]], "mode": "LENIENT"})).await["replayQuarantine"]["results"][0].clone()
        };
        let told = replay().await;
        assert_eq!((&told["released"], &told["result"]["outcome"]), (&json!(false), &json!("QUARANTINED")));
        let head = store.head(tenant).await.unwrap();
        let now = api.ask(LISTED).await["quarantine"]["nodes"][0].clone();
        assert_eq!((&now["code"], &now["id"], &now["seq"]), (&json!("UNSAFE_INTEGER"), &first["id"], &first["seq"]));
        assert_ne!(now["message"], first["message"]);
        assert_eq!((&now["principal"], &now["refusedAgainBy"]), (&json!("sender"), &json!("tester")));
        assert_eq!(now["refusedAgainAt"], "2026-06-01T00:00:00Z");
        for (code, count) in [("UNSAFE_INTEGER", 1), ("TOO_DEEP", 0)] {
            let question = format!("{{ quarantine(filter: {{code: \"{code}\"}}) {{ totalCount nodes {{ code }} }} }}");
            let found = api.ask(&question).await["quarantine"].clone();
            assert_eq!((&found["totalCount"], found["nodes"].as_array().unwrap().len()), (&json!(count), count), "{code}");
        }
        // For the reason that is known already: nothing to note.
        replay().await;
        assert_eq!(api.ask(LISTED).await["quarantine"]["nodes"][0], now);
        assert_eq!(store.head(tenant).await.unwrap(), head, "a replay that tells nothing new makes no commit");
    })
    .await;
}

#[tokio::test]
async fn the_quarantine_is_listed_by_when_items_came() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        // 2026-01-01T00:00:00Z and the seconds after it; the clock goes back once.
        for (n, second) in [(0, 0), (1, 10), (2, 5), (3, 20)] {
            let now = 1_767_225_600_000_000 + second * 1_000_000;
            let items = prepared(&terms("default"), &[json!({"kind": "Odd", "n": n})]);
            let mut tx = store.write(tenant, "default", now).await.unwrap();
            batch::write(&mut tx, &[Request { principal: "sender", items: &items }], BOUNDS, now).await.unwrap();
            tx.commit().await.unwrap();
        }
        for (filter, expected) in [
            ("", vec![3, 2, 1, 0]),
            ("receivedAfter: \"2026-01-01T00:00:05Z\"", vec![3, 2, 1]),
            ("receivedBefore: \"2026-01-01T00:00:10Z\"", vec![2, 0]),
            ("receivedAfter: \"2026-01-01T00:00:05Z\", receivedBefore: \"2026-01-01T00:00:10Z\"", vec![2]),
            ("receivedAfter: \"2026-01-01T00:00:21Z\"", vec![]),
            ("source: \"default\", code: \"INVALID_RECORD\", receivedAfter: \"2026-01-01T00:00:20Z\"", vec![3]),
            ("source: \"nobody\"", vec![]),
        ] {
            let question =
                |page: &str| format!("{{ quarantine(filter: {{{filter}}}, {page}) {{ totalCount nodes {{ raw }} }} }}");
            for page in ["first: 10", "last: 10"] {
                let found = api.ask(&question(page)).await["quarantine"].clone();
                let raw = |item: &Value| {
                    serde_json::from_str::<Value>(item["raw"].as_str().unwrap()).unwrap()["n"].as_i64().unwrap()
                };
                let items: Vec<i64> = found["nodes"].as_array().unwrap().iter().map(raw).collect();
                assert_eq!(items, expected, "{filter}, {page}");
                assert_eq!(found["totalCount"], expected.len(), "{filter}");
            }
        }
    })
    .await;
}
