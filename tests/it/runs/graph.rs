//! Runs in the lineage graph.

use std::collections::BTreeSet;

use packtrail::auth::Scope;
use packtrail::domain::run::Decision;
use serde_json::{Value, json};

use super::fixture::{create, decide, gate, hash_of, runs_at};
use super::pack::{pack, run, text};
use crate::support::api::{Api, principal};
use crate::support::db::Database;
use crate::support::feed::{NOW, feed_values};

const WALK: &str = "query ($node: ID!, $way: LineageDirection!, $at: DateTime) {
    lineage(node: $node, direction: $way, depth: 2, limit: 200, at: $at) { root { kind name source node { __typename } }
        nodes { kind name version depth } edges { kind field validFrom fromNode { name } toNode { name } }
        completeness { complete } } }";

fn names(walked: &Value, depth: i64) -> BTreeSet<String> {
    let nodes = walked["lineage"]["nodes"].as_array().unwrap().iter().filter(|node| node["depth"] == depth);
    nodes.map(|node| format!("{} {}", node["kind"].as_str().unwrap(), node["name"].as_str().unwrap())).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn a_run_stands_between_its_pack_and_what_it_did() {
    for database in Database::all() {
        let store = database.open().await;
        let reader = Api::with_samples(&store, "t").await;
        let api = reader.for_principal(principal("t", &[Scope::Viewer, Scope::Operator]));
        let pack_id = api
            .ask("{ clusterPack(namespace: \"seam-tenant-ccs-dev\", name: \"cert-manager-helm-v1.14.4-r1\") { id } }")
            .await["clusterPack"]["id"]
            .clone();
        let cluster = api.ask("{ cluster(name: \"ccs-dev\") { id } }").await["cluster"]["id"].clone();
        let input = json!({"runId": "r", "manifest": text(&pack(json!([run("one")]))), "subjects": [pack_id, cluster]});
        let create_run = "mutation ($input: CreateRunInput!) { createRun(input: $input) { __typename
            ... on CreateRunSuccess { run { id subjects { __typename } } } ... on InputInvalid { path } } }";
        let created = api.ask_with(create_run, json!({"input": input})).await["createRun"].clone();
        let subjects = json!([{"__typename": "ClusterPack"}, {"__typename": "Cluster"}]);
        assert_eq!(created["run"]["subjects"], subjects, "{created}");
        let id = &created["run"]["id"];
        let gone = packtrail::graphql::ids::GlobalId::Cluster("default".into(), "gone".into()).encode().to_string();
        let input = json!({"manifest": text(&pack(json!([run("one")]))), "subjects": [gone]});
        let refused = api.ask_with(create_run, json!({"input": input})).await;
        assert_eq!(refused["createRun"]["path"], json!(["input", "subjects"]), "{refused}");

        // An execution says that the run triggered it, and came before the run was known to it.
        let execution = json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackExecution",
            "metadata": {"namespace": "n", "name": "by-run", "uid": "u", "annotations": {"packtrail.dev/run-id": "r"}},
            "spec": {"clusterPackRef": {"name": "p"}, "targetClusterRef": "ccs-dev"}});
        feed_values(&reader.writer, "t", "default", &[execution]).await;

        let walk =
            async |way: &str, at: Option<&str>| api.ask_with(WALK, json!({"node": id, "way": way, "at": at})).await;
        let down = walk("DOWNSTREAM", None).await;
        let root = json!({"kind": "RUN", "name": "r", "source": "", "node": {"__typename": "Run"}});
        assert_eq!(down["lineage"]["root"], root);
        let below = names(&down, 1);
        let expected = ["CLUSTER ccs-dev", "CLUSTER_PACK cert-manager-helm-v1.14.4-r1", "PACK_EXECUTION by-run"];
        assert_eq!(below, set(&expected));
        let up = walk("UPSTREAM", None).await;
        assert_eq!(names(&up, 1), set(&["PRINCIPAL tester", "TASK_PACK p"]), "{up:#}");
        let edges = up["lineage"]["edges"].as_array().unwrap();
        assert!(edges.iter().all(|edge| edge["validFrom"] == "2026-06-01T00:00:00Z"), "{edges:#?}");
        // What the run says holds from its creation on.
        assert_eq!(names(&walk("UPSTREAM", Some("2026-05-31T23:59:59Z")).await, 1), set(&[]));
        assert_eq!(names(&walk("UPSTREAM", Some("2026-06-01T00:00:00Z")).await, 1).len(), 2);
        // From the pack, too, the run is found.
        let from_pack = api.ask_with(WALK, json!({"node": pack_id, "way": "UPSTREAM", "at": null})).await;
        assert!(names(&from_pack, 1).contains("RUN r"), "{from_pack:#}");
        let before = format!("{{ asOf(point: {{seq: 1}}) {{ run(runId: \"r\") {{ id }} node(id: {id}) {{ id }} }} }}");
        assert_eq!(api.ask(&before).await["asOf"], json!({"run": null, "node": null}));
        store.close().await;
    }
}

#[tokio::test]
async fn who_decides_becomes_a_cause_of_the_run_once() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        create(&api, "r", json!([gate("wait", "go")])).await;
        let hash = hash_of(&api, "r").await;
        for _ in 0..2 {
            let runs = runs_at(&api, NOW + 1_000_000);
            runs.decide("t", "r", &decide("go", Decision::Approved, &hash, "approver@example.com")).await.unwrap();
        }
        let id = api.ask("{ run(runId: \"r\") { id } }").await["run"]["id"].clone();
        let question = "query ($id: ID!) { lineage(node: $id, direction: UPSTREAM, depth: 1, edgeKinds: [DECIDED]) {
            edges { kind field version validFrom assertedBy fromNode { kind name } } } }";
        let found = api.ask_with(question, json!({"id": id})).await;
        let expected = json!([{"kind": "DECIDED", "field": "run.approvals", "version": "go: approved",
            "validFrom": "2026-06-01T00:00:01Z", "assertedBy": id,
            "fromNode": {"kind": "PRINCIPAL", "name": "approver@example.com"}}]);
        assert_eq!(found["lineage"]["edges"], expected);
        store.close().await;
    }
}
