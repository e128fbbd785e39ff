//! Look-ups by natural key.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::{feed_samples, feed_values};

const PACK: &str = "clusterPack(namespace: \"seam-tenant-ccs-dev\", name: \"nginx-ccs-dev\")";

#[tokio::test]
async fn the_newest_live_object_of_a_name_is_meant_else_the_newest_closed_one() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let of = |uid: &str| {
            format!(
                "{{ packExecution(namespace: \"seam-tenant-ccs-dev\", name: \"nginx-ccs-dev-ccs-dev\"{uid}) {{ uid live }} }}"
            )
        };
        let newest = api.ask(&of("")).await["packExecution"].clone();
        assert!(newest["uid"].as_str().unwrap().starts_with("85ef3432"));
        assert_eq!(newest["live"], true);
        let all = api.ask("{ packExecutions(filter: {live: false}) { nodes { uid name } } }").await;
        let closed = all["packExecutions"]["nodes"][0]["uid"].as_str().unwrap().to_owned();
        let older = api.ask(&of(&format!(", uid: \"{closed}\""))).await["packExecution"].clone();
        assert_eq!(older, json!({"uid": closed, "live": false}));
        assert_eq!(api.ask(&of(", uid: \"nobody\"")).await["packExecution"], Value::Null);
        let gone = api
            .ask("{ operationResult(namespace: \"seam-tenant-ccs-dev\",
                name: \"pack-deploy-result-nginx-ccs-dev-ccs-dev-r4\") { live closedBy } }")
            .await;
        assert_eq!(gone["operationResult"], json!({"live": false, "closedBy": "DELETED"}));
    })
    .await;
}

#[tokio::test]
async fn without_its_source_a_name_is_ambiguous_once_there_are_two() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = format!("{{ {PACK} {{ source }} }}");
        assert_eq!(api.ask(&query).await, json!({"clusterPack": {"source": "default"}}));
        feed_samples(&api.writer, tenant, "second").await;
        assert_eq!(api.code(&query).await, "AMBIGUOUS_SOURCE");
        let named = "{ clusterPack(source: \"second\", namespace: \"seam-tenant-ccs-dev\", name: \"nginx-ccs-dev\") { source } }";
        assert_eq!(api.ask(named).await, json!({"clusterPack": {"source": "second"}}));
        let unknown = named.replace("second", "third");
        assert_eq!(api.ask(&unknown).await, json!({"clusterPack": null}));
        let sources = api.ask("{ sources { totalCount nodes { name } } }").await;
        assert_eq!(sources["sources"], json!({"totalCount": 2, "nodes": [{"name": "default"}, {"name": "second"}]}));
    })
    .await;
}

#[tokio::test]
async fn a_receipt_is_found_by_its_cluster() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ packReceipt(cluster: \"ccs-dev\", name: \"cert-manager-helm-ccs-dev\") {
            targetClusterRef signatureVerified driftStatus lastDriftCheckAt clusterPack { name version } } }";
        let receipt = &api.ask(query).await["packReceipt"];
        assert_eq!(receipt["targetClusterRef"], "ccs-dev");
        assert_eq!(receipt["driftStatus"], "DRIFTED");
        assert_eq!(receipt["clusterPack"]["version"], "v1.14.0-r1");
        let elsewhere = query.replace("cluster: \"ccs-dev\"", "cluster: \"other\"");
        assert_eq!(api.ask(&elsewhere).await["packReceipt"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn the_operators_dialect_maps_to_the_same_fields() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ packReceipt(cluster: \"ccs-dev\", name: \"cert-manager-helm-ccs-dev-operator\") {
            kind canonicalKind signatureVerified packSignature acknowledged signatureRef
            clusterPack { name version record { name } } packInstance { name record { canonicalKind } }
            deployedResources { totalCount } warnings { code } } }";
        let receipt = &api.ask(query).await["packReceipt"];
        assert_eq!(receipt["kind"], "InfrastructurePackReceipt");
        assert_eq!(receipt["canonicalKind"], "PackReceipt");
        assert_eq!(receipt["signatureVerified"], true);
        assert!(receipt["packSignature"].as_str().unwrap().starts_with("Z3vJ7"));
        assert_eq!(receipt["acknowledged"], true);
        let pack = json!({"name": "cert-manager-helm-v1.14.0-r1", "version": null,
            "record": {"name": "cert-manager-helm-v1.14.0-r1"}});
        assert_eq!(receipt["clusterPack"], pack);
        assert_eq!(receipt["packInstance"]["record"], json!({"canonicalKind": "PackInstance"}));
        assert_eq!(receipt["deployedResources"]["totalCount"], 5);
        assert!(!receipt["warnings"].as_array().unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_kind_without_a_type_of_its_own_is_a_record() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let profile = json!({"apiVersion": "security.ontai.dev/v1", "kind": "RBACProfile",
            "metadata": {"name": "p", "namespace": "n", "uid": "u"}});
        feed_values(&api.writer, tenant, "default", &[profile]).await;
        let query = "{ record(kind: \"RBACProfile.security.ontai.dev\", namespace: \"n\", name: \"p\") {
            __typename canonicalKind raw versions { totalCount } } }";
        let record = &api.ask(query).await["record"];
        assert_eq!(record["__typename"], "KubernetesRecord");
        assert_eq!(record["raw"]["kind"], "RBACProfile");
        assert_eq!(record["versions"]["totalCount"], 1);
        let query = "{ record(kind: \"PackInstance\", namespace: \"seam-tenant-ccs-dev\", name: \"cert-manager-helm-ccs-dev\") {
            __typename raw versions { totalCount nodes { number end } } owners { name record { canonicalKind } } } }";
        let record = &api.ask(query).await["record"];
        assert_eq!(record["__typename"], "PackInstance");
        assert_eq!(record["raw"]["kind"], "InfrastructurePackInstance");
        assert_eq!(record["versions"]["totalCount"], 2);
        assert_eq!(record["owners"][0]["record"], json!({"canonicalKind": "PackExecution"}));
        let typed = "{ record(kind: \"ClusterPack\", namespace: \"seam-tenant-ccs-dev\", name: \"nginx-ccs-dev\") { __typename } }";
        assert_eq!(api.ask(typed).await, json!({"record": {"__typename": "ClusterPack"}}));
        let inside = "{ record(kind: \"~sequence\", namespace: \"seam-tenant-ccs-dev\", name: \"nginx-ccs-dev-ccs-dev\") { id } }";
        assert_eq!(api.ask(inside).await, json!({"record": null}));
    })
    .await;
}

#[tokio::test]
async fn an_unknown_word_is_shown_beside_unknown() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let long = "x".repeat(70_000);
        let result = json!({
            "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackOperationResult",
            "metadata": {"name": "r", "namespace": "ns", "uid": "u"},
            "spec": {"revision": 1, "capability": "pack-deploy", "status": "Postponed",
                "failureReason": {"category": "Weather", "reason": long},
                "steps": [{"name": "s", "status": "Skipped"}], "artifacts": [{"name": "a", "kind": "Tape", "reference": "t"}]},
        });
        feed_values(&api.writer, tenant, "default", &[result]).await;
        let query = "{ operationResult(namespace: \"ns\", name: \"r\") { status statusRaw
            failureReason { category categoryRaw reason } steps { status statusRaw } artifacts { kind kindRaw } } }";
        let found = &api.ask(query).await["operationResult"];
        assert_eq!((&found["status"], &found["statusRaw"]), (&json!("UNKNOWN"), &json!("Postponed")));
        assert_eq!(found["steps"], json!([{"status": "UNKNOWN", "statusRaw": "Skipped"}]));
        assert_eq!(found["artifacts"], json!([{"kind": "UNKNOWN", "kindRaw": "Tape"}]));
        let reason = &found["failureReason"];
        assert_eq!((&reason["category"], &reason["categoryRaw"]), (&json!("UNKNOWN"), &json!("Weather")));
        let text = reason["reason"].as_str().unwrap();
        assert!(text.ends_with("x…[cut]") && text.len() < 66_000);
        let by_word = "{ operationResults(filter: {statusRaw: \"Postponed\"}) { totalCount } }";
        assert_eq!(api.ask(by_word).await, json!({"operationResults": {"totalCount": 1}}));
        assert_eq!(api.code("{ operationResults(filter: {status: UNKNOWN}) { totalCount } }").await, "BAD_USER_INPUT");
    })
    .await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let id = api.ask(&format!("{{ {PACK} {{ id }} }}")).await["clusterPack"]["id"].clone();
        let other = Api::new(&store, "other");
        assert_eq!(other.ask(&format!("{{ {PACK} {{ id }} }}")).await, json!({"clusterPack": null}));
        let node = other.ask_with("query ($id: ID!) { node(id: $id) { id } }", json!({"id": id})).await;
        assert_eq!(node, json!({"node": null}));
        let lists = "{ clusterPacks { totalCount } findings { totalCount } operationSequences { totalCount }
            quarantine { totalCount } sources { totalCount } }";
        for (_, list) in other.ask(lists).await.as_object().unwrap() {
            assert_eq!(*list, json!({"totalCount": 0}));
        }
    })
    .await;
}
