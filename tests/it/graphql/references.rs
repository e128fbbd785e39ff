//! References from record to record.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::feed_values;

const NS: &str = "seam-tenant-ccs-dev";

async fn result(api: &Api, name: &str) -> Value {
    let query = "query ($name: String!) { operationResult(namespace: \"seam-tenant-ccs-dev\", name: $name) {
        previous { kind namespace name uid record { name } }
        packExecution { kind name uid record { uid } }
        clusterPack { name record { name } }
    } }";
    api.ask_with(query, json!({"name": name})).await["operationResult"].clone()
}

#[tokio::test]
async fn references_lead_to_the_objects_that_they_mean() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let found = result(&api, "pack-deploy-result-cert-manager-helm-v1.14.0-r1-ccs-dev-r2").await;
        let first = "pack-deploy-result-cert-manager-helm-v1.14.0-r1-ccs-dev-r1";
        assert_eq!(found["previous"]["record"], json!({"name": first}));
        assert_eq!(found["packExecution"]["uid"], found["packExecution"]["record"]["uid"]);
        assert!(found["packExecution"]["uid"].as_str().unwrap().starts_with("a75ee1d0"));
        assert_eq!(found["clusterPack"]["record"], json!({"name": "cert-manager-helm-v1.14.0-r1"}));
        // An early failure names no pack; its execution does.
        let failed = result(&api, first).await;
        assert_eq!(failed["previous"], Value::Null);
        assert_eq!(failed["clusterPack"]["record"], json!({"name": "cert-manager-helm-v1.14.0-r1"}));
    })
    .await;
}

#[tokio::test]
async fn a_reference_to_what_was_never_seen_has_a_name_and_no_record() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let found = result(&api, "pack-deploy-result-nginx-ccs-dev-ccs-dev-r4").await;
        let expected = json!({"kind": "PackOperationResult", "namespace": NS,
            "name": "pack-deploy-result-nginx-ccs-dev-ccs-dev-r3", "uid": null, "record": null});
        assert_eq!(found["previous"], expected);
    })
    .await;
}

#[tokio::test]
async fn executions_of_one_name_report_their_own_results() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ packExecutions(filter: {pack: \"nginx-ccs-dev\"}) { nodes { uid
            operationResult { name uid record { ... on PackOperationResult { packExecution { uid } } } }
            revisionChain { epoch epochUid } clusterPack { version record { __typename } } } } }";
        let list = api.ask(query).await["packExecutions"]["nodes"].clone();
        let executions = list.as_array().unwrap();
        assert_eq!(executions.len(), 2);
        for execution in executions {
            assert_eq!(execution["operationResult"]["record"]["packExecution"]["uid"], execution["uid"], "{execution}");
            assert_eq!(execution["revisionChain"]["epochUid"], execution["uid"]);
            let pack = json!({"version": "v4.11.0-r1", "record": {"__typename": "ClusterPack"}});
            assert_eq!(execution["clusterPack"], pack);
        }
    })
    .await;
}

#[tokio::test]
async fn findings_lead_to_what_they_are_about() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ findings(first: 100) { totalCount nodes { code severity subject source raisedSeq detail
            record { name } chain { epoch } sequence { name } } } }";
        let findings = api.ask(query).await["findings"].clone();
        let nodes = findings["nodes"].as_array().unwrap();
        assert_eq!(findings["totalCount"], nodes.len());
        let find =
            |code: &str| nodes.iter().find(|node| node["code"] == code).unwrap_or_else(|| panic!("{code}: {nodes:#?}"));
        assert_eq!(find("REVISION_GAP")["chain"], json!({"epoch": 1}));
        assert_eq!(find("REVISION_FORK")["sequence"]["name"], "nginx-ccs-dev-ccs-dev");
        let unverified = find("RECEIPT_UNVERIFIED");
        assert_eq!(
            (&unverified["severity"], &unverified["record"]["name"]),
            (&json!("CRITICAL"), &json!("nginx-ccs-dev"))
        );
        let on_record =
            "{ packReceipt(cluster: \"ccs-dev\", name: \"nginx-ccs-dev\") { findings { nodes { code } } } }";
        let on_record = api.ask(on_record).await["packReceipt"]["findings"]["nodes"].clone();
        assert!(on_record.as_array().unwrap().contains(&json!({"code": "RECEIPT_UNVERIFIED"})), "{on_record}");
        let critical = "{ findings(filter: {severities: [CRITICAL]}) { totalCount nodes { severity } } }";
        for node in api.ask(critical).await["findings"]["nodes"].as_array().unwrap() {
            assert_eq!(node["severity"], "CRITICAL");
        }
        let gaps = "{ findings(filter: {codes: [REVISION_GAP]}) { totalCount } }";
        assert_eq!(api.ask(gaps).await, json!({"findings": {"totalCount": 1}}));
    })
    .await;
}

#[tokio::test]
async fn a_reference_of_any_length_is_kept_and_breaks_no_neighbour() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        // Of no pattern that a database could compress.
        let long: String = (0..200_u8).map(|i| packtrail::domain::digest::Digest::of_bytes(&[i]).hex()).collect();
        let result = |name: &str, text: &str| {
            json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackOperationResult",
                "metadata": {"namespace": NS, "name": name, "uid": name},
                "spec": {"revision": 2, "packExecutionRef": text, "clusterPackRef": text, "previousRevisionRef": text,
                    "targetClusterRef": text, "capability": text, "status": "Succeeded",
                    "artifacts": [{"kind": text, "reference": text}], "lineage": {"rootKind": text, "rootName": text}}})
        };
        feed_values(&api.writer, tenant, "default", &[result("long", &long), result("short", "x")]).await;
        let query = format!(
            "{{ operationResults {{ nodes {{ id name }} }} long: operationResult(namespace: \"{NS}\", name: \"long\") {{ raw }} }}"
        );
        let found = api.ask(&query).await;
        let nodes = found["operationResults"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 2);
        assert_eq!(found["long"]["raw"]["spec"]["packExecutionRef"], *long, "the record is whole");
        let walk = "query ($id: ID!) { lineage(node: $id, direction: UPSTREAM, depth: 1) { nodes { name placeholder } } }";
        let id = nodes.iter().find(|node| node["name"] == "long").unwrap()["id"].clone();
        let walked = api.ask_with(walk, json!({"id": id})).await;
        let placeholders = walked["lineage"]["nodes"].as_array().unwrap().iter().filter(|n| n["placeholder"] == true);
        assert!(placeholders.count() >= 3, "{walked:#}");
    })
    .await;
}
