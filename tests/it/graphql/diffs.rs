//! What differs between results, and between versions of a record.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::feed_values;

const DIFF: &str = "diff { identical resourcesKnown resourcesAdded { totalCount nodes { kind namespace name } }
    resourcesRemoved { totalCount nodes { name } } resourcesKept { totalCount nodes { name } }
    artifactsAdded { name } artifactsRemoved { name } artifactsChanged { old { reference } new { reference } }
    statusBefore statusAfter failureBefore { reason } failureAfter { reason }
    changedPaths { totalCount nodes { path kind old new } } }";

fn result(name: &str, resource_version: &str, parts: &Value) -> Value {
    let mut spec =
        json!({"capability": "pack-deploy", "packExecutionRef": "e", "revision": 1, "targetClusterRef": "c"});
    spec.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    json!({"type": "MODIFIED", "observedAt": format!("2026-05-04T08:0{resource_version}:00Z"), "object": {
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackOperationResult",
        "metadata": {"name": name, "namespace": "n", "uid": name, "resourceVersion": resource_version}, "spec": spec}})
}

fn resource(name: &str, namespace: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "namespace": namespace})
}

fn artifact(name: &str, reference: &str) -> Value {
    json!({"name": name, "kind": "ConfigMap", "reference": reference})
}

async fn id(api: &Api, name: &str) -> Value {
    let query = format!("{{ operationResult(namespace: \"n\", name: \"{name}\") {{ id }} }}");
    api.ask(&query).await["operationResult"]["id"].clone()
}

async fn diff(api: &Api, from: &str, to: &str) -> Value {
    let query = format!(
        "query($from: ID!, $to: ID!) {{ revisionDiff(from: $from, to: $to) {{ from {{ name }} to {{ name }} {DIFF} }} }}"
    );
    let variables = json!({"from": id(api, from).await, "to": id(api, to).await});
    api.ask_with(&query, variables).await["revisionDiff"].clone()
}

async fn three_results(api: &Api) {
    let old = json!({"status": "Failed", "failureReason": {"category": "ExecutionFailure", "reason": "oh"},
        "deployedResources": [resource("gone", &json!("a")), resource("kept", &json!("")), resource("kept", &Value::Null)],
        "artifacts": [artifact("gone", "n/gone"), artifact("moved", "n/1"), artifact("same", "n/same")]});
    let new = json!({"status": "Succeeded", "revision": 2,
        "deployedResources": [resource("kept", &Value::Null), resource("new", &json!("b"))],
        "artifacts": [artifact("same", "n/same"), artifact("moved", "n/2"), artifact("new", "n/new")]});
    let silent = json!({"status": "Failed", "revision": 3});
    let items = [result("old", "1", &old), result("new", "2", &new), result("silent", "3", &silent)];
    feed_values(&api.writer, &api.tenant, "s", &items).await;
}

#[tokio::test]
async fn two_results_differ_in_resources_artifacts_status_and_paths() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        three_results(&api).await;
        let found = diff(&api, "old", "new").await;
        assert_eq!((&found["from"]["name"], &found["to"]["name"]), (&json!("old"), &json!("new")));
        let mut found = found["diff"].clone();
        let paths = found.as_object_mut().unwrap().remove("changedPaths").unwrap();
        let expected = json!({
            "identical": false, "resourcesKnown": true,
            "resourcesAdded": {"totalCount": 1, "nodes": [{"kind": "ConfigMap", "namespace": "b", "name": "new"}]},
            "resourcesRemoved": {"totalCount": 1, "nodes": [{"name": "gone"}]},
            "resourcesKept": {"totalCount": 1, "nodes": [{"name": "kept"}]},
            "artifactsAdded": [{"name": "new"}], "artifactsRemoved": [{"name": "gone"}],
            "artifactsChanged": [{"old": {"reference": "n/1"}, "new": {"reference": "n/2"}}],
            "statusBefore": "FAILED", "statusAfter": "SUCCEEDED",
            "failureBefore": {"reason": "oh"}, "failureAfter": null,
        });
        assert_eq!(found, expected);
        let nodes = paths["nodes"].as_array().unwrap();
        assert_eq!(paths["totalCount"], nodes.len());
        assert!(
            nodes.contains(&json!({"path": "/spec/status", "kind": "CHANGED", "old": "Failed", "new": "Succeeded"}))
        );
        let gone = json!({"path": "/spec/failureReason", "kind": "REMOVED", "new": null,
            "old": {"category": "ExecutionFailure", "reason": "oh"}});
        assert!(nodes.contains(&gone), "{paths:#}");
        let moves = |node: &&Value| node["path"].as_str().unwrap().contains("resourceVersion");
        assert_eq!(nodes.iter().find(moves), None, "what moves by itself is no difference");
    })
    .await;
}

#[tokio::test]
async fn where_a_side_lists_no_resources_nothing_is_said_to_be_gone() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        three_results(&api).await;
        for (from, to) in [("new", "silent"), ("silent", "new")] {
            let found = &diff(&api, from, to).await["diff"];
            assert_eq!(found["resourcesKnown"], false);
            for part in ["resourcesAdded", "resourcesRemoved", "resourcesKept"] {
                assert_eq!(found[part], Value::Null, "{part}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_result_does_not_differ_from_itself() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        three_results(&api).await;
        let found = &diff(&api, "old", "old").await["diff"];
        assert_eq!(found["identical"], true);
        assert_eq!(found["resourcesAdded"]["totalCount"], 0);
        assert_eq!(found["resourcesKept"]["totalCount"], 2);
        assert_eq!(found["changedPaths"], json!({"totalCount": 0, "nodes": []}));
    })
    .await;
}

#[tokio::test]
async fn versions_of_one_record_differ_and_changes_come_in_pages() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let spec = |status: &str| json!({"status": status, "phase": status, "capability": status});
        let items = [result("r", "1", &spec("Failed")), result("r", "2", &spec("Succeeded"))];
        feed_values(&api.writer, tenant, "s", &items).await;
        let id = id(&api, "r").await;
        let ask = async |from: i64, to: i64, page: &str| {
            let query = format!(
                "query($id: ID!) {{ versionDiff(record: $id, from: {from}, to: {to}) {{ record {{ name }}
                from {{ number }} to {{ number }} diff {{ statusBefore statusAfter
                changedPaths({page}) {{ totalCount nodes {{ path }} pageInfo {{ hasNextPage endCursor }} }} }} }} }}"
            );
            api.ask_with(&query, json!({"id": id})).await["versionDiff"].clone()
        };
        let first = ask(1, 2, "first: 2").await;
        assert_eq!((&first["from"]["number"], &first["to"]["number"]), (&json!(1), &json!(2)));
        assert_eq!(
            (&first["diff"]["statusBefore"], &first["diff"]["statusAfter"]),
            (&json!("FAILED"), &json!("SUCCEEDED"))
        );
        let page = &first["diff"]["changedPaths"];
        assert_eq!(page["totalCount"], 3);
        assert_eq!(page["nodes"], json!([{"path": "/spec/capability"}, {"path": "/spec/phase"}]));
        let rest = ask(1, 2, &format!("first: 2, after: {}", page["pageInfo"]["endCursor"])).await;
        assert_eq!(rest["diff"]["changedPaths"]["nodes"], json!([{"path": "/spec/status"}]));
        assert_eq!(ask(1, 3, "first: 1").await, Value::Null);
        assert_eq!(ask(2, 2, "first: 1").await["diff"]["changedPaths"]["totalCount"], 0);
    })
    .await;
}

#[tokio::test]
async fn only_results_are_compared_as_results() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let packs = api.ask("{ clusterPacks(first: 1) { nodes { id } } sources { nodes { id } } }").await;
        let pack = &packs["clusterPacks"]["nodes"][0]["id"];
        assert_eq!(
            api.code(&format!("{{ revisionDiff(from: {pack}, to: {pack}) {{ from {{ id }} }} }}")).await,
            "BAD_USER_INPUT"
        );
        let source = &packs["sources"]["nodes"][0]["id"];
        let query = format!("{{ versionDiff(record: {source}, from: 1, to: 1) {{ from {{ number }} }} }}");
        assert_eq!(api.code(&query).await, "BAD_USER_INPUT");
        let query = format!("{{ versionDiff(record: {pack}, from: 1, to: 1) {{ diff {{ identical }} }} }}");
        assert_eq!(api.ask(&query).await, json!({"versionDiff": {"diff": {"identical": true}}}));
    })
    .await;
}
