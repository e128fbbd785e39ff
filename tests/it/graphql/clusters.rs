//! Clusters and pack families.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::{SAMPLES, feed, feed_samples, feed_values};

const NAMES: &str = "{ clusters { totalCount nodes { name } } packFamilies { totalCount nodes { name } } }";

#[tokio::test]
async fn clusters_and_families_are_there_once_a_record_names_them() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        assert_eq!(api.ask(NAMES).await["clusters"], json!({"totalCount": 0, "nodes": []}));
        let pack = |name: &str, spec: Value| {
            json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "ClusterPack",
                "metadata": {"name": name, "namespace": "seam-system", "uid": name}, "spec": spec})
        };
        let based = pack("p-v1", json!({"basePackName": "p", "targetClusters": ["b", "a"]}));
        feed_values(&api.writer, tenant, "s", &[based, pack("lone", json!({"targetClusters": []}))]).await;
        let receipt = json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackReceipt",
            "metadata": {"name": "r", "namespace": "ont-system", "uid": "r"},
            "spec": {"clusterPackRef": "p-v1", "targetClusterRef": "c"}});
        feed_values(&api.writer, tenant, "s", &[receipt]).await;
        let query = "{ clusters { nodes { name firstNamedAtSeq } } packFamilies { nodes { name firstNamedAtSeq } } }";
        let expected = json!({
            "clusters": {"nodes": [{"name": "a", "firstNamedAtSeq": 1}, {"name": "b", "firstNamedAtSeq": 1},
                {"name": "c", "firstNamedAtSeq": 2}]},
            "packFamilies": {"nodes": [{"name": "lone", "firstNamedAtSeq": 1}, {"name": "p", "firstNamedAtSeq": 1}]},
        });
        assert_eq!(api.ask(query).await, expected);
        let query = "{ cluster(name: \"a\") { clusterPacks { totalCount nodes { name } } packReceipts { totalCount } }
            other: cluster(name: \"c\") { clusterPacks { totalCount } packReceipts { totalCount nodes { name } } }
            none: cluster(name: \"x\") { name } lone: packFamily(name: \"lone\") { clusterPacks { nodes { name } } } }";
        let expected = json!({
            "cluster": {"clusterPacks": {"totalCount": 1, "nodes": [{"name": "p-v1"}]}, "packReceipts": {"totalCount": 0}},
            "other": {"clusterPacks": {"totalCount": 0}, "packReceipts": {"totalCount": 1, "nodes": [{"name": "r"}]}},
            "none": null, "lone": {"clusterPacks": {"nodes": [{"name": "lone"}]}},
        });
        assert_eq!(api.ask(query).await, expected);
    })
    .await;
}

#[tokio::test]
async fn the_same_names_are_known_whatever_order_records_come_in() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let there = api.ask(NAMES).await;
        assert_eq!(there["clusters"]["nodes"], json!([{"name": "ccs-dev"}]));
        let back = Api::new(&store, &format!("{tenant}-back"));
        for line in SAMPLES.iter().flat_map(|file| file.lines()).rev() {
            feed(&back.writer, &back.tenant, "default", [line]).await;
        }
        assert_eq!(back.ask(NAMES).await, there);
    })
    .await;
}

#[tokio::test]
async fn a_cluster_and_a_family_lead_to_what_they_have() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        feed_samples(&api.writer, tenant, "other").await;
        let lists = "packExecutions { totalCount nodes { source } } operationResults { totalCount }
            packReceipts { totalCount } packInstances { totalCount } driftSignals { totalCount }";
        let filter = "filter: {source: \"other\", cluster: \"ccs-dev\"}";
        let query = format!(
            "{{ cluster(source: \"other\", name: \"ccs-dev\") {{ id source {lists} }}
            packExecutions({filter}) {{ totalCount nodes {{ source }} }} operationResults({filter}) {{ totalCount }}
            packReceipts({filter}) {{ totalCount }} packInstances({filter}) {{ totalCount }}
            driftSignals({filter}) {{ totalCount }} }}"
        );
        let mut answer = api.ask(&query).await;
        let mut cluster = answer["cluster"].take();
        answer.as_object_mut().unwrap().remove("cluster");
        let id = cluster.as_object_mut().unwrap().remove("id").unwrap();
        assert_eq!(cluster.as_object_mut().unwrap().remove("source").unwrap(), "other");
        assert_eq!(cluster, answer);
        let found = api
            .ask_with("query($id: ID!) { node(id: $id) { ... on Cluster { name source } } }", json!({"id": id}))
            .await;
        assert_eq!(found["node"], json!({"name": "ccs-dev", "source": "other"}));
        let query = "{ packFamily(source: \"other\", name: \"cert-manager-helm\") { id
            packHistory(cluster: \"ccs-dev\") { totalCount nodes { result { source name } } }
            clusterPacks { totalCount nodes { basePackName source } } } }";
        let family = &api.ask(query).await["packFamily"];
        let packs = family["clusterPacks"]["nodes"].as_array().unwrap();
        assert_eq!(packs.len(), 2);
        assert!(packs.iter().all(|pack| *pack == json!({"basePackName": "cert-manager-helm", "source": "other"})));
        let results = family["packHistory"]["nodes"].as_array().unwrap();
        assert!(results.len() > 1 && results.iter().all(|entry| entry["result"]["source"] == "other"), "{family}");
        assert_eq!(family["packHistory"]["totalCount"], results.len());
        let found = api.ask_with("query($id: ID!) { node(id: $id) { __typename } }", json!({"id": family["id"]})).await;
        assert_eq!(found["node"], json!({"__typename": "PackFamily"}));
        assert_eq!(api.code("{ cluster(name: \"ccs-dev\") { id } }").await, "AMBIGUOUS_SOURCE");
    })
    .await;
}

#[tokio::test]
async fn pages_of_clusters_concatenate_both_ways() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        for source in ["one", "two"] {
            let clusters: Vec<String> = (0..7).map(|n| format!("c{n}")).collect();
            let pack = json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "ClusterPack",
                "metadata": {"name": "p", "namespace": "seam-system", "uid": "u"}, "spec": {"targetClusters": clusters}});
            feed_values(&api.writer, tenant, source, &[pack]).await;
        }
        let all = api.ask("{ clusters { totalCount nodes { source name } } }").await["clusters"].clone();
        assert_eq!(all["totalCount"], 14);
        for (size, from, more, edge) in
            [("first", "after", "hasNextPage", "endCursor"), ("last", "before", "hasPreviousPage", "startCursor")]
        {
            let mut parts: Vec<Vec<Value>> = Vec::new();
            let mut cursor = String::new();
            loop {
                let query = format!("{{ clusters({size}: 3{cursor}) {{ nodes {{ source name }} pageInfo {{ {more} {edge} }} }} }}");
                let page = api.ask(&query).await["clusters"].clone();
                parts.push(page["nodes"].as_array().unwrap().clone());
                cursor = format!(", {from}: {}", page["pageInfo"][edge]);
                if page["pageInfo"][more] == false {
                    break;
                }
            }
            if size == "last" {
                parts.reverse();
            }
            assert_eq!(json!(parts.concat()), all["nodes"], "{size}");
        }
        let one = api.ask("{ clusters(source: \"two\") { totalCount nodes { source } } }").await["clusters"].clone();
        assert_eq!(one["totalCount"], 7);
        assert!(one["nodes"].as_array().unwrap().iter().all(|cluster| cluster["source"] == "two"));
    })
    .await;
}
