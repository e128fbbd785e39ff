//! Chains as clients see them.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::feed_values;

const NS: &str = "seam-tenant-ccs-dev";
const NGINX: &str = "nginx-ccs-dev-ccs-dev";

const CHAIN: &str = "query ($name: String!, $epoch: Int, $uid: String) {
    revisionChain(namespace: \"seam-tenant-ccs-dev\", packExecution: $name, epoch: $epoch, epochUid: $uid) {
        epoch epochUid status
        sequence { source namespace name }
        head { revision status uid } active { revision status uid }
        revisions { totalCount nodes { revision name status live superseded } }
        gaps { kind fromRevision toRevision }
        forks { revision members { uid status } }
        findings { nodes { code severity } }
    }
}";

async fn chain(api: &Api, variables: Value) -> Value {
    api.ask_with(CHAIN, variables).await["revisionChain"].clone()
}

fn revisions(chain: &Value) -> Vec<(i64, &str)> {
    let nodes = chain["revisions"]["nodes"].as_array().unwrap().iter();
    nodes.map(|n| (n["revision"].as_i64().unwrap(), n["status"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a_hole_in_a_chain_is_a_gap_and_makes_it_incomplete() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let chain = chain(&api, json!({"name": NGINX, "epoch": 1})).await;
        assert_eq!(chain["status"], "INCOMPLETE");
        assert_eq!(revisions(&chain), [(1, "SUCCEEDED"), (2, "SUCCEEDED"), (4, "SUCCEEDED")]);
        assert_eq!(chain["gaps"], json!([{"kind": "HOLE", "fromRevision": 3, "toRevision": 3}]));
        assert_eq!(chain["head"]["revision"], 4);
        assert_eq!(chain["active"], Value::Null, "only the newest epoch has an active result");
        assert_eq!(chain["sequence"], json!({"source": "default", "namespace": NS, "name": NGINX}));
        let codes = chain["findings"]["nodes"].as_array().unwrap();
        assert!(codes.contains(&json!({"code": "REVISION_GAP", "severity": "WARNING"})), "{codes:?}");
    })
    .await;
}

#[tokio::test]
async fn the_newest_epoch_is_meant_unless_another_is_named() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let newest = chain(&api, json!({"name": NGINX})).await;
        assert_eq!((&newest["epoch"], &newest["status"]), (&json!(2), &json!("FORKED")));
        assert_eq!(newest, chain(&api, json!({"name": NGINX, "epoch": 2})).await);
        assert_eq!(newest, chain(&api, json!({"name": NGINX, "uid": newest["epochUid"]})).await);
        assert_eq!(chain(&api, json!({"name": NGINX, "epoch": 3})).await, Value::Null);
        assert_eq!(chain(&api, json!({"name": "nobody"})).await, Value::Null);
        let forks = newest["forks"].as_array().unwrap();
        assert_eq!((forks.len(), &forks[0]["revision"]), (1, &json!(1)));
        let statuses: Vec<&Value> = forks[0]["members"].as_array().unwrap().iter().map(|m| &m["status"]).collect();
        assert_eq!(statuses, ["SUCCEEDED", "FAILED"]);
        let both = api.execute(CHAIN, json!({"name": NGINX, "epoch": 1, "uid": "x"})).await;
        assert_eq!(both["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    })
    .await;
}

#[tokio::test]
async fn sequences_are_listed_with_their_epochs() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ operationSequences { totalCount nodes { name newest { epoch } epochs { totalCount nodes { epoch } } } } }";
        let list = api.ask(query).await["operationSequences"].clone();
        assert_eq!(list["totalCount"], 3);
        let nginx = list["nodes"].as_array().unwrap().iter().find(|node| node["name"] == NGINX).unwrap();
        assert_eq!(nginx["newest"]["epoch"], 2);
        assert_eq!(nginx["epochs"], json!({"totalCount": 2, "nodes": [{"epoch": 1}, {"epoch": 2}]}));
        let forked = "{ operationSequences(filter: {status: FORKED}) { totalCount nodes { name } } }";
        let expected = json!({"operationSequences": {"totalCount": 1, "nodes": [{"name": NGINX}]}});
        assert_eq!(api.ask(forked).await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_result_knows_its_place() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ operationResult(namespace: \"seam-tenant-ccs-dev\",
            name: \"pack-deploy-result-nginx-ccs-dev-ccs-dev-r2\") { epoch epochUid sequence { name } chain { epoch } } }";
        let result = &api.ask(query).await["operationResult"];
        assert_eq!((&result["epoch"], &result["chain"]["epoch"]), (&json!(1), &json!(1)));
        assert_eq!(result["sequence"]["name"], NGINX);
        assert!(result["epochUid"].as_str().unwrap().starts_with("fa39c87d"));
    })
    .await;
}

#[tokio::test]
async fn the_history_of_a_pack_spans_its_versions_and_epochs() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ packHistory(basePack: \"cert-manager-helm\", cluster: \"ccs-dev\") { totalCount nodes {
            result { revision statusRaw packExecution { name } } clusterPack { name } chain { epoch } } } }";
        let history = api.ask(query).await["packHistory"].clone();
        assert_eq!(history["totalCount"], 4);
        let told: Vec<(&str, i64, &str)> = history["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| {
                let result = &node["result"];
                let pack = node["clusterPack"]["name"].as_str().unwrap();
                (pack, result["revision"].as_i64().unwrap(), result["statusRaw"].as_str().unwrap())
            })
            .collect();
        let expected = [
            ("cert-manager-helm-v1.14.4-r1", 2, "Succeeded"),
            ("cert-manager-helm-v1.14.4-r1", 1, "Succeeded"),
            ("cert-manager-helm-v1.14.0-r1", 2, "Succeeded"),
            // An early failure names no pack: its execution does.
            ("cert-manager-helm-v1.14.0-r1", 1, "Failed"),
        ];
        assert_eq!(told, expected);
        let nobody = "{ packHistory(basePack: \"nobody\", cluster: \"ccs-dev\") { totalCount nodes { __typename } } }";
        assert_eq!(api.ask(nobody).await, json!({"packHistory": {"totalCount": 0, "nodes": []}}));
    })
    .await;
}

#[tokio::test]
async fn a_result_that_was_patched_in_place_shows_each_revision_that_it_carried() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let patched = |revision: i64, status: &str| {
            json!({"type": "MODIFIED", "observedAt": format!("2026-05-01T00:00:0{revision}Z"), "object": {
                "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackOperationResult",
                "metadata": {"name": "pack-deploy-result-e", "namespace": "ns", "uid": "u",
                    "resourceVersion": revision.to_string(), "creationTimestamp": "2026-05-01T00:00:00Z"},
                "spec": {"revision": revision, "capability": "pack-deploy", "status": status, "packExecutionRef": "e"},
            }})
        };
        feed_values(&api.writer, tenant, "default", &[patched(1, "Failed"), patched(2, "Succeeded")]).await;
        let query = "{ revisionChain(namespace: \"ns\", packExecution: \"e\") { status revisions { totalCount nodes {
            uid revision status resourceVersion } } } }";
        let expected = json!({"status": "COMPLETE", "revisions": {"totalCount": 2, "nodes": [
            {"uid": "u", "revision": 1, "status": "FAILED", "resourceVersion": "1"},
            {"uid": "u", "revision": 2, "status": "SUCCEEDED", "resourceVersion": "2"},
        ]}});
        assert_eq!(api.ask(query).await["revisionChain"], expected);
    })
    .await;
}
