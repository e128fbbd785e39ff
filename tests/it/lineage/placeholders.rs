//! What was named before it was seen: its id leads to the record once that has come.

use serde_json::{Value, json};

use crate::records::model::Input;
use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::ingest::send_all;

fn event(kind: &str, name: &str, mut metadata: Value, spec: &Value) -> Input {
    let own = json!({"namespace": "n", "name": name, "uid": format!("{name}-uid"), "resourceVersion": "1",
        "creationTimestamp": "2026-05-01T00:00:00Z"});
    metadata.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let object = json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind, "metadata": metadata,
        "spec": spec});
    Input::Item {
        source: "default".to_owned(),
        item: json!({"type": "ADDED", "observedAt": "2026-05-01T00:00:01Z", "object": object}),
    }
}

/// A result whose execution is named with its uid, and whose pack is named alone.
fn result() -> Input {
    let owner = json!({"ownerReferences": [{"apiVersion": "infrastructure.ontai.dev/v1alpha1",
        "kind": "PackExecution", "name": "execution", "uid": "execution-uid", "controller": true}]});
    let spec = json!({"revision": 1, "packExecutionRef": "execution", "clusterPackRef": "pack",
        "targetClusterRef": "c", "status": "Succeeded"});
    event("PackOperationResult", "result", owner, &spec)
}

const UPSTREAM: &str = "query ($id: ID!) { lineage(node: $id, direction: UPSTREAM, depth: 1) {
    root { id name placeholder } nodes { id name kind placeholder } } }";
const DOWNSTREAM: &str = "query ($id: ID!) { lineage(node: $id, direction: DOWNSTREAM, depth: 1) {
    nodes { id } } node(id: $id) { id ... on ClusterPack { uid } ... on PackExecution { uid } } }";

#[tokio::test]
async fn the_id_of_a_placeholder_leads_to_the_record_once_that_has_come() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        send_all(&store, "t", &[result()], 1).await;
        let found = api.ask("{ operationResults { nodes { id } } }").await;
        let result_id = found["operationResults"]["nodes"][0]["id"].clone();
        let walked = api.ask_with(UPSTREAM, json!({"id": result_id})).await;
        let nodes = walked["lineage"]["nodes"].as_array().unwrap().clone();
        let placeholder = |name: &str| {
            let node = nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("{name}: {walked:#}"));
            assert_eq!(node["placeholder"], true, "{node}");
            node["id"].clone()
        };
        let before = [("pack", placeholder("pack")), ("execution", placeholder("execution"))];
        let spec = json!({"version": "v1", "targetClusters": ["c"]});
        let later = [
            event("ClusterPack", "pack", json!({}), &spec),
            event("PackExecution", "execution", json!({}), &json!({"clusterPackRef": {"name": "pack"}})),
        ];
        send_all(&store, "t", &later, 1).await;
        for (name, id) in before {
            let answer = api.ask_with(DOWNSTREAM, json!({"id": id})).await;
            assert_eq!(answer["node"]["uid"], format!("{name}-uid"), "{name}: {answer:#}");
            let below = answer["lineage"]["nodes"].as_array().unwrap();
            assert!(below.iter().any(|node| node["id"] == result_id), "{name}: {answer:#}");
        }
        let walked = api.ask_with(UPSTREAM, json!({"id": result_id})).await;
        for node in walked["lineage"]["nodes"].as_array().unwrap() {
            let is_record = ["pack", "execution"].contains(&node["name"].as_str().unwrap());
            assert!(!is_record || node["placeholder"] == false, "{walked:#}");
        }
        store.close().await;
    }
}
