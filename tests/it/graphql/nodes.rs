//! Global ids.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::feed_values;

const EVERYTHING: &str = "{
    clusterPacks { nodes { __typename id } } packExecutions { nodes { __typename id } }
    operationResults(first: 50) { nodes { __typename id } } packReceipts { nodes { __typename id } }
    sources { nodes { __typename id } } findings(first: 50) { nodes { __typename id } }
    quarantine { nodes { __typename id } } runs { nodes { __typename id } }
    packInstances { nodes { __typename id } } clusters { nodes { __typename id } } packFamilies { nodes { __typename id } }
    records(kind: \"RBACProfile.security.ontai.dev\") { nodes { __typename id } }
    operationSequences { nodes { __typename id epochs { nodes { __typename id } } } }
    a: record(kind: \"DriftSignal\", namespace: \"seam-tenant-ccs-dev\", name: \"drift-cert-manager-helm-ccs-dev\") { __typename id }
    b: record(kind: \"LineageIndex\", namespace: \"seam-tenant-ccs-dev\",
        name: \"infrastructurepackexecution-cert-manager-helm-v1.14.0-r1-ccs-dev\") { __typename id }
}";

fn collect(value: &Value, found: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(members) => {
            if let (Some(kind), Some(id)) = (members.get("__typename"), members.get("id")) {
                found.insert((kind.as_str().unwrap().to_owned(), id.as_str().unwrap().to_owned()));
            }
            members.values().for_each(|member| collect(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_id_leads_back_to_its_thing() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let other = json!({"apiVersion": "security.ontai.dev/v1", "kind": "RBACProfile",
            "metadata": {"name": "p", "namespace": "n", "uid": "u"}});
        feed_values(&api.writer, tenant, "default", &[other]).await;
        let mut found = BTreeSet::new();
        crate::runs::fixture::train(&api).await;
        let lists = api.ask(EVERYTHING).await;
        collect(&lists, &mut found);
        let things = "query ($node: ID!) { lineage(node: $node, nodeKinds: [ARTIFACT, HELM_CHART, SOURCE_BUILD]) {
            nodes { __typename id } } }";
        for pack in lists["clusterPacks"]["nodes"].as_array().unwrap() {
            collect(&api.ask_with(things, json!({"node": pack["id"]})).await, &mut found);
        }
        let kinds: BTreeSet<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
        let schema = packtrail::graphql::sdl();
        let nodes = schema.split("type ").filter(|part| {
            part.lines().next().unwrap().contains(" implements Node") || part.lines().next().unwrap().contains("& Node")
        });
        let expected: BTreeSet<&str> = nodes.map(|part| part.split_whitespace().next().unwrap()).collect();
        assert_eq!(kinds, expected, "every type with an id is tried");
        for (kind, id) in &found {
            let node = api.ask_with("query ($id: ID!) { node(id: $id) { __typename id } }", json!({"id": id})).await;
            assert_eq!(node["node"], json!({"__typename": kind, "id": id}));
        }
        let ids: Vec<&String> = found.iter().map(|(_, id)| id).collect();
        let nodes = api.ask_with("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({"ids": ids})).await;
        let answered: Vec<&str> =
            nodes["nodes"].as_array().unwrap().iter().map(|n| n["id"].as_str().unwrap()).collect();
        assert_eq!(answered, ids);
    })
    .await;
}

#[tokio::test]
async fn an_id_of_nothing_is_null_and_a_text_that_is_none_is_refused() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let id = packtrail::graphql::ids::GlobalId::Source("nobody".into()).encode().to_string();
        let query = format!("{{ node(id: \"{id}\") {{ id }} }}");
        assert_eq!(api.ask(&query).await, json!({"node": null}));
        assert_eq!(api.code("{ node(id: \"nonsense\") { id } }").await, "BAD_USER_INPUT");
        let many: Vec<&str> = vec![id.as_str(); 101];
        let refused = api.execute("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({"ids": many})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    })
    .await;
}
