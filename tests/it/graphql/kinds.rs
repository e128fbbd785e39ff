//! The kinds beside the four contracts, and lists of any kind.

use serde_json::json;

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::feed_values;

#[tokio::test]
async fn an_installed_pack_tells_its_version_direction_and_signature() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ packInstance(namespace: \"seam-tenant-ccs-dev\", name: \"cert-manager-helm-ccs-dev\") {
            version targetClusterRef upgradeDirection upgradeDirectionRaw dependsOn onDependencyDrift deliveredAt
            driftSummary clusterPack { name version record { name } } packExecution { name record { name } }
            deployedResources { totalCount } signatureClaim { form copies { place } }
            lineageLabels { operator creationRationale actorRef rootIndex { name record { name } } } } }";
        let expected = json!({
            "version": "v1.14.4-r1", "targetClusterRef": "ccs-dev", "upgradeDirection": "UPGRADE",
            "upgradeDirectionRaw": "Upgrade", "dependsOn": [], "onDependencyDrift": null, "deliveredAt": null,
            "driftSummary": null, "deployedResources": null,
            "clusterPack": {"name": "cert-manager-helm-v1.14.4-r1", "version": "v1.14.4-r1",
                "record": {"name": "cert-manager-helm-v1.14.4-r1"}},
            "packExecution": {"name": "cert-manager-helm-v1.14.0-r1-ccs-dev",
                "record": {"name": "cert-manager-helm-v1.14.0-r1-ccs-dev"}},
            "signatureClaim": {"form": "PLAUSIBLE", "copies": [{"place": "ANNOTATION"}]},
            // The label leaves out the prefix that the index has.
            "lineageLabels": {"operator": "wrapper", "creationRationale": "PACK_EXECUTION", "actorRef": "",
                "rootIndex": {"name": "packexecution-cert-manager-helm-v1.14.0-r1-ccs-dev",
                    "record": {"name": "infrastructurepackexecution-cert-manager-helm-v1.14.0-r1-ccs-dev"}}},
        });
        assert_eq!(api.ask(query).await["packInstance"], expected);
    })
    .await;
}

#[tokio::test]
async fn drift_signals_answer_alike_in_both_dialects() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let other = json!({"apiVersion": "seam.ontai.dev/v1", "kind": "DriftSignal",
            "metadata": {"name": "other", "namespace": "seam-tenant-ccs-dev", "uid": "u-other"},
            "spec": {"state": "melting", "correlationID": "id-1", "observedAt": "2026-05-09T02:00:00Z",
                "driftReason": "gone", "correctionJobRef": "job", "escalationCounter": 2,
                "affectedCRRef": {"group": "apps", "kind": "Deployment", "namespace": "", "name": "d"}}});
        feed_values(&api.writer, tenant, "default", &[other]).await;
        let fields = "state stateRaw escalationCounter correlationId driftObservedAt driftReason correctionJobRef
            targetClusterRef receiptRef receipt { name } affectedResource { apiVersion group kind namespace name }";
        let ask = async |name: &str| {
            let query = format!("{{ driftSignal(namespace: \"seam-tenant-ccs-dev\", name: \"{name}\") {{ {fields} }} }}");
            api.ask(&query).await["driftSignal"].clone()
        };
        let expected = json!({"state": "PENDING", "stateRaw": "pending", "escalationCounter": 0, "correlationId": null,
            "driftObservedAt": null, "driftReason": null, "correctionJobRef": null, "targetClusterRef": "ccs-dev",
            "receiptRef": "cert-manager-helm-ccs-dev", "receipt": {"name": "cert-manager-helm-ccs-dev"},
            "affectedResource": {"apiVersion": "apps/v1", "group": null, "kind": "Deployment",
                "namespace": "cert-manager", "name": "cert-manager"}});
        assert_eq!(ask("drift-cert-manager-helm-ccs-dev").await, expected);
        let expected = json!({"state": "UNKNOWN", "stateRaw": "melting", "escalationCounter": 2, "correlationId": "id-1",
            "driftObservedAt": "2026-05-09T02:00:00Z", "driftReason": "gone", "correctionJobRef": "job",
            "targetClusterRef": null, "receiptRef": null, "receipt": null,
            "affectedResource": {"apiVersion": null, "group": "apps", "kind": "Deployment", "namespace": null, "name": "d"}});
        assert_eq!(ask("other").await, expected);
    })
    .await;
}

#[tokio::test]
async fn a_lineage_index_lists_what_its_root_brought() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "{ lineageIndexes { totalCount nodes { domainRef
            rootBinding { rootKind rootUid rootObservedGeneration declaringPrincipal }
            descendants(first: 1) { totalCount nodes { group kind name operator creationRationale createdAt } }
            outcomes { totalCount nodes { outcome } } policyBinding { policyRef }
            retentionPolicy { descendantRetentionDays deleteWithRoot } } } }";
        let expected = json!({"totalCount": 1, "nodes": [{
            "domainRef": "infrastructure.core.ontai.dev",
            "rootBinding": {"rootKind": "InfrastructurePackExecution", "rootUid": "a75ee1d0-e4f8-55c0-96c0-ab294acdaa42",
                "rootObservedGeneration": 1, "declaringPrincipal": "system:unknown"},
            "descendants": {"totalCount": 1, "nodes": [{"group": "infrastructure.ontai.dev",
                "kind": "InfrastructurePackInstance", "name": "cert-manager-helm-ccs-dev", "operator": "wrapper",
                "creationRationale": "PACK_EXECUTION", "createdAt": "2026-05-04T08:14:40Z"}]},
            "outcomes": {"totalCount": 0, "nodes": []}, "policyBinding": null,
            "retentionPolicy": {"descendantRetentionDays": 30, "deleteWithRoot": true},
        }]});
        assert_eq!(api.ask(query).await["lineageIndexes"], expected);
    })
    .await;
}

#[tokio::test]
async fn any_kind_is_listed_by_any_of_its_names_as_records() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let ask = async |kind: &str, filter: &str| {
            let query = format!(
                "{{ records(kind: \"{kind}\"{filter}) {{ totalCount nodes {{ __typename name canonicalKind }} }} }}"
            );
            api.ask(&query).await["records"].clone()
        };
        let instance =
            |name: &str| json!({"__typename": "PackInstance", "name": name, "canonicalKind": "PackInstance"});
        let expected =
            json!({"totalCount": 2, "nodes": [instance("nginx-ccs-dev"), instance("cert-manager-helm-ccs-dev")]});
        assert_eq!(ask("PackInstalled", "").await, expected);
        assert_eq!(ask("InfrastructurePackInstance", ", filter: {cluster: \"ccs-dev\"}").await, expected);
        assert_eq!(ask("PackInstance", ", filter: {cluster: \"elsewhere\"}").await["totalCount"], 0);
        assert_eq!(ask("PackLog", "").await["nodes"][0]["__typename"], "PackOperationResult");
        assert_eq!(ask("Deployment.apps", "").await["totalCount"], 0);
        assert_eq!(api.code("{ records(kind: \"~sequence\") { totalCount } }").await, "BAD_USER_INPUT");
    })
    .await;
}
