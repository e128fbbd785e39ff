//! History and delta: what was true when, as is known by now.

use serde_json::{Value, json};

use crate::records::model::Input;
use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::ingest::send_all;

fn event(kind: &str, second: u32, object: &Value) -> Input {
    let at = format!("2026-05-01T00:00:{second:02}Z");
    Input::Item { source: "default".to_owned(), item: json!({"type": kind, "observedAt": at, "object": object}) }
}

fn pack(version: &str, resource_version: u32) -> Value {
    json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "ClusterPack",
        "metadata": {"namespace": "seam-tenant-c", "name": "p", "uid": "pack", "resourceVersion": resource_version.to_string(),
            "creationTimestamp": "2026-05-01T00:00:00Z"},
        "spec": {"version": version, "basePackName": "base", "targetClusters": ["c"],
            "rbacDigest": "sha256:1111111111111111111111111111111111111111111111111111111111111111"}})
}

fn execution(name: &str, pack: &str) -> Value {
    json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackExecution",
        "metadata": {"namespace": "seam-tenant-c", "name": name, "uid": name, "resourceVersion": "50",
            "creationTimestamp": "2026-05-01T00:00:03Z"},
        "spec": {"clusterPackRef": {"name": pack, "version": "v1"}, "targetClusterRef": "c"}})
}

fn result(revision: u32, completed: &str, resources: &Value) -> Value {
    json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackOperationResult",
        "metadata": {"namespace": "seam-tenant-c", "name": format!("r{revision}"), "uid": format!("result-{revision}"),
            "resourceVersion": "60", "creationTimestamp": completed,
            "labels": {"ontai.dev/pack-execution": "p-c"}},
        "spec": {"revision": revision, "packExecutionRef": "p-c", "clusterPackRef": "p", "targetClusterRef": "c",
            "status": "Succeeded", "completedAt": completed, "deployedResources": resources}})
}

async fn tale(database: &Database) -> Api {
    let store = database.open().await;
    let api = Api::new(&store, "t");
    let one = json!([{"apiVersion": "v1", "kind": "Namespace", "name": "a"}]);
    let two = json!([{"apiVersion": "v1", "kind": "Namespace", "name": "a"}, {"apiVersion": "v1", "kind": "Secret",
        "namespace": "a", "name": "s"}]);
    let inputs = [
        event("ADDED", 0, &pack("v1", 1)),
        event("ADDED", 3, &execution("p-c", "p")),
        event("ADDED", 4, &result(1, "2026-05-01T00:00:04Z", &one)),
        event("MODIFIED", 10, &pack("v2", 2)),
        event("ADDED", 12, &result(2, "2026-05-01T00:00:12Z", &two)),
        event("DELETED", 13, &result(1, "2026-05-01T00:00:04Z", &one)),
        event("DELETED", 20, &pack("v2", 3)),
        event("ADDED", 30, &pack("v1", 4)),
    ];
    send_all(&store, "t", &inputs, 3).await;
    api
}

async fn id(api: &Api, question: &str) -> Value {
    let found = api.ask(&format!("{{ found: {question} {{ id }} }}")).await;
    found["found"]["id"].clone()
}

const PACK: &str = "clusterPack(namespace: \"seam-tenant-c\", name: \"p\")";

#[tokio::test]
async fn a_history_has_every_version_and_event_with_what_changed() {
    let question = "query ($node: ID!, $from: DateTime, $to: DateTime, $first: Int, $after: String, $last: Int,
        $before: String) { history(node: $node, from: $from, to: $to, first: $first, after: $after, last: $last,
        before: $before) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        nodes { at event closedBy version { number } changes { diff { changedPaths(first: 5) { nodes { path } } } } } } }";
    for database in Database::all() {
        let api = tale(&database).await;
        let node = id(&api, PACK).await;
        let ask = async |more: Value| {
            let mut variables = json!({"node": node});
            variables.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            api.ask_with(question, variables).await["history"].clone()
        };
        let all = ask(json!({})).await;
        let events: Vec<String> = all["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| {
                format!("{} {} {}", n["at"].as_str().unwrap(), n["event"].as_str().unwrap(), n["version"]["number"])
            })
            .collect();
        let expected = [
            "2026-05-01T00:00:00Z CREATED 1",
            "2026-05-01T00:00:10Z CHANGED 2",
            "2026-05-01T00:00:20Z CLOSED 2",
            "2026-05-01T00:00:30Z REOPENED 3",
        ];
        assert_eq!(events, expected);
        assert_eq!(all["totalCount"], 4);
        let nodes = &all["nodes"];
        assert_eq!((&nodes[0]["changes"], &nodes[2]["changes"]), (&Value::Null, &Value::Null));
        assert_eq!((&nodes[2]["closedBy"], &nodes[1]["closedBy"]), (&json!("DELETED"), &Value::Null));
        assert_eq!(nodes[1]["changes"]["diff"]["changedPaths"]["nodes"], json!([{"path": "/spec/version"}]));
        let window = ask(json!({"from": "2026-05-01T00:00:10Z", "to": "2026-05-01T00:00:30Z"})).await;
        assert_eq!(window["nodes"], json!([nodes[1], nodes[2]]), "the end is exclusive");
        let first = ask(json!({"first": 3})).await;
        let rest = ask(json!({"first": 3, "after": first["pageInfo"]["endCursor"]})).await;
        assert_eq!((first["nodes"].as_array().unwrap().len(), &rest["nodes"]), (3, &json!([nodes[3]])));
        let back = ask(json!({"last": 3, "before": rest["pageInfo"]["startCursor"]})).await;
        assert_eq!(back["nodes"], first["nodes"]);
        let cluster = id(&api, "cluster(name: \"c\")").await;
        assert_eq!(api.code(&format!("{{ history(node: {cluster}) {{ totalCount }} }}")).await, "BAD_USER_INPUT");
        api.store.close().await;
    }
}

#[tokio::test]
async fn a_delta_tells_what_a_node_its_links_and_a_cluster_became() {
    let question = "query ($node: ID, $cluster: String, $from: DateTime!, $to: DateTime!, $scope: DeltaScope!) {
        delta(node: $node, cluster: $cluster, from: $from, to: $to, scope: $scope) {
            summary { added removed changed unchanged edgesAdded edgesRemoved deploymentsChanged }
            changes(first: 50) { nodes { change node { kind name } before { number } after { number } diff { diff {
                identical } } } }
            edges(first: 50) { nodes { change kind fromNode { name } toNode { name } } }
            deployments { nodes { change before { result { name } } after { result { name } resourcesKnown } } }
            completeness { complete } } }";
    for database in Database::all() {
        let api = tale(&database).await;
        let node = id(&api, PACK).await;
        let at = |second: u32| format!("2026-05-01T00:00:{second:02}Z");
        let ask = async |what: Value, from: u32, to: u32, scope: &str| {
            let mut variables = json!({"from": at(from), "to": at(to), "scope": scope});
            variables.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
            let delta = api.ask_with(question, variables).await["delta"].clone();
            assert_eq!(delta["completeness"]["complete"], true, "{delta:#}");
            delta
        };
        let alone = ask(json!({"node": node}), 5, 15, "OBJECT_ONLY").await;
        assert_eq!(alone["summary"]["changed"], 1, "{alone:#}");
        let change = &alone["changes"]["nodes"][0];
        assert_eq!((&change["before"]["number"], &change["after"]["number"]), (&json!(1), &json!(2)));
        assert_eq!(change["diff"]["diff"]["identical"], false);
        let gone = ask(json!({"node": node}), 15, 25, "OBJECT_ONLY").await;
        assert_eq!(gone["changes"]["nodes"][0]["change"], "REMOVED", "{gone:#}");
        let back = ask(json!({"node": node}), 5, 35, "OBJECT_ONLY").await;
        assert_eq!(back["summary"]["unchanged"], 1, "the same content again: {back:#}");
        let linked = ask(json!({"node": node}), 5, 15, "DEPENDENCIES").await;
        let edges = linked["edges"]["nodes"].as_array().unwrap();
        let named = |change: &str, kind: &str, from: &str, to: &str| {
            let edge = json!({"change": change, "kind": kind, "fromNode": {"name": from}, "toNode": {"name": to}});
            assert!(edges.contains(&edge), "{edge}: {linked:#}");
        };
        named("ADDED", "DEPLOYED", "p", "r2");
        named("REMOVED", "DEPLOYED", "p", "r1");
        let cluster = ask(json!({"cluster": "c"}), 5, 15, "DEPENDENCIES").await;
        let expected = json!([{"change": "CHANGED", "before": {"result": {"name": "r1"}},
            "after": {"result": {"name": "r2"}, "resourcesKnown": true}}]);
        assert_eq!(cluster["deployments"]["nodes"], expected, "{cluster:#}");
        assert_eq!(cluster["summary"]["deploymentsChanged"], 1);
        let torn_down = ask(json!({"cluster": "c"}), 15, 25, "OBJECT_ONLY").await;
        assert_eq!(torn_down["deployments"]["nodes"][0]["change"], "REMOVED", "its pack was closed: {torn_down:#}");
        let code = async |arguments: &str| {
            api.code(&format!("{{ delta({arguments}, from: \"{}\", to: \"{}\") {{ __typename }} }}", at(1), at(0)))
                .await
        };
        assert_eq!(code("cluster: \"c\"").await, "BAD_USER_INPUT", "backwards");
        api.store.close().await;
    }
}
