//! Walks that are not asked for their edges read less, and answer the same nodes.

use packtrail::service::demo_fleet;
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::ingest::{send, terms};

const LINEAGE: &str = "query ($node: ID!, $direction: LineageDirection!, $depth: Int!, $limit: Int!) {
    lineage(node: $node, direction: $direction, depth: $depth, limit: $limit) {
        nodes { id kind name depth } edges { kind }
        completeness { complete reason frontier continueCursor } } }";

async fn walk(api: &Api, question: &str, variables: &Value) -> Value {
    let mut found = api.ask_with(question, variables.clone()).await["lineage"].clone();
    found.as_object_mut().unwrap().remove("edges");
    found
}

/// A node of each kind around the packs of the demo, with resources among them.
async fn roots(api: &Api) -> Vec<(String, String)> {
    let packs = api.ask("{ clusterPacks(first: 1) { nodes { id } } }").await;
    let mut roots: Vec<(String, String)> = Vec::new();
    for pack in packs["clusterPacks"]["nodes"].as_array().unwrap() {
        let variables = json!({"node": pack["id"], "direction": "BOTH", "depth": 3, "limit": 5000});
        for node in walk(api, LINEAGE, &variables).await["nodes"].as_array().unwrap() {
            let (kind, id) = (node["kind"].as_str().unwrap().to_owned(), node["id"].as_str().unwrap().to_owned());
            if !roots.iter().any(|(known, _)| *known == kind) {
                roots.push((kind, id));
            }
        }
    }
    assert!(roots.iter().any(|(kind, _)| kind == "DEPLOYED_RESOURCE"), "{roots:?}");
    roots
}

#[tokio::test]
async fn a_walk_answers_the_same_nodes_whether_its_edges_are_asked_for_or_not() {
    let bare = LINEAGE.replace("edges { kind }", "");
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "demo");
        let events: Vec<Value> = demo_fleet::events().collect();
        for chunk in events.chunks(256) {
            send(&store, "demo", &terms("demo"), chunk).await;
        }
        for (kind, root) in roots(&api).await {
            for direction in ["UPSTREAM", "DOWNSTREAM", "BOTH"] {
                for (depth, limit) in [(2, 5), (3, 500)] {
                    let variables = json!({"node": root, "direction": direction, "depth": depth, "limit": limit});
                    let expected = walk(&api, LINEAGE, &variables).await;
                    assert_eq!(walk(&api, &bare, &variables).await, expected, "{kind} {variables}");
                }
            }
        }
        store.close().await;
    }
}
