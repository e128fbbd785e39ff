//! Every dialect of a record answers in the same fields.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::feed_values;

fn object(kind: &str, name: &str, parts: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "seam-tenant-c", "uid": format!("u-{name}"),
            "creationTimestamp": "2026-05-04T08:00:00Z"},
    });
    for (part, value) in parts.as_object().unwrap() {
        match object.get_mut(part) {
            Some(Value::Object(known)) => known.extend(value.as_object().unwrap().clone()),
            _ => object[part] = value.clone(),
        }
    }
    json!({"type": "ADDED", "observedAt": "2026-05-04T08:00:01Z", "object": object})
}

fn execution(name: &str, lineage: &Value) -> Value {
    let spec = json!({"clusterPackRef": {"name": "p", "version": "v1"}, "targetClusterRef": "c",
        "admissionProfileRef": "p", "lineage": lineage});
    object("PackExecution", name, &json!({"spec": spec}))
}

const LINEAGE: &str = "lineage { shape rootKind rootName rootNamespace rootUid creatingOperator { name version }
    creationRationale creationRationaleRaw rootGenerationAtCreation sealedAt sealedBy }";

#[tokio::test]
async fn both_shapes_of_a_causal_chain_are_one_type() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let root = json!({"rootKind": "TalosCluster", "rootName": "c", "rootNamespace": "seam-system", "rootUID": "u",
            "creatingOperator": {"name": "wrapper", "version": "v1"}, "creationRationale": "PackExecution",
            "rootGenerationAtCreation": 3});
        let origin = json!({"originKind": "TalosCluster", "originName": "c", "originNamespace": "seam-system",
            "creationRationale": "Whim", "sealedAt": "2026-05-04T08:00:00Z", "sealedBy": "webhook"});
        let items = vec![
            execution("root", &root),
            execution("origin", &origin),
            execution("other", &json!({"note": 1})),
            execution("text", &json!("no chain")),
        ];
        feed_values(&api.writer, tenant, "s", &items).await;
        let ask = async |name: &str| {
            let query = format!("{{ packExecution(namespace: \"seam-tenant-c\", name: \"{name}\") {{ {LINEAGE} }} }}");
            api.ask(&query).await["packExecution"]["lineage"].clone()
        };
        let blank = json!({"shape": "UNKNOWN", "rootKind": null, "rootName": null, "rootNamespace": null,
            "rootUid": null, "creatingOperator": null, "creationRationale": "UNKNOWN", "creationRationaleRaw": null,
            "rootGenerationAtCreation": null, "sealedAt": null, "sealedBy": null});
        let with = |parts: Value| {
            let mut whole = blank.clone();
            let named = json!({"rootKind": "TalosCluster", "rootName": "c", "rootNamespace": "seam-system"});
            for part in [named, parts] {
                whole.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            }
            whole
        };
        let expected = json!({"shape": "ROOT", "rootUid": "u", "creatingOperator": {"name": "wrapper", "version": "v1"},
            "creationRationale": "PACK_EXECUTION", "creationRationaleRaw": "PackExecution", "rootGenerationAtCreation": 3});
        assert_eq!(ask("root").await, with(expected));
        let expected = json!({"shape": "ORIGIN", "creationRationale": "UNKNOWN", "creationRationaleRaw": "Whim",
            "sealedAt": "2026-05-04T08:00:00Z", "sealedBy": "webhook"});
        assert_eq!(ask("origin").await, with(expected));
        assert_eq!(ask("other").await, blank);
        assert_eq!(ask("text").await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_pack_tells_its_stages_layers_and_origin() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let spec = json!({"version": "v1.0.0-r1", "registryRef": {"url": "r/p", "digest": "sha256:w"},
            "rbacDigest": "sha256:r", "workloadDigest": "sha256:w", "sourceBuildRef": "builds/p.yaml",
            "valuesFile": "values.yaml", "lifecyclePolicies": {"retainOnDeletion": true},
            "executionOrder": [{"name": "rbac", "manifests": ["a.yaml"]}, "stateful", {"name": "canary"}, 7],
            "provenance": {"buildID": "42", "buildTimestamp": "2026-05-04T07:00:00Z", "sourceRef": "abc", "more": [1]}});
        let status = json!({"packSignature": "eA==", "conditions": [
            {"type": "Available", "status": "True"}, {"type": "Odd", "status": "Perhaps"}]});
        let annotations = json!({"ontai.dev/pack-signature": "!",
            "infrastructure.ontai.dev/spec-checksum-snapshot": "c", "infrastructure.ontai.dev/declaring-principal": "me"});
        let parts = json!({"metadata": {"annotations": annotations}, "spec": spec, "status": status});
        feed_values(&api.writer, tenant, "s", &[object("InfrastructureClusterPack", "p", &parts)]).await;
        let query = "{ clusterPack(namespace: \"seam-tenant-c\", name: \"p\") { layers { role digest }
            executionOrder { stage stageRaw manifests } retainOnDeletion specChecksumSnapshot declaringPrincipal
            provenance { sourceBuildRef valuesFile chart { name } buildId buildTimestamp sourceRef raw }
            signatureClaim { signature form verified copies { place path form } }
            conditions { type status statusRaw } } }";
        let expected = json!({
            "layers": [{"role": "RBAC", "digest": "sha256:r"}, {"role": "WORKLOAD", "digest": "sha256:w"},
                {"role": "ARTIFACT", "digest": "sha256:w"}],
            "executionOrder": [{"stage": "RBAC", "stageRaw": "rbac", "manifests": ["a.yaml"]},
                {"stage": "STATEFUL", "stageRaw": "stateful", "manifests": []},
                {"stage": "UNKNOWN", "stageRaw": "canary", "manifests": []}],
            "retainOnDeletion": true, "specChecksumSnapshot": "c", "declaringPrincipal": "me",
            "provenance": {"sourceBuildRef": "builds/p.yaml", "valuesFile": "values.yaml", "chart": null, "buildId": "42",
                "buildTimestamp": "2026-05-04T07:00:00Z", "sourceRef": "abc",
                "raw": {"buildID": "42", "buildTimestamp": "2026-05-04T07:00:00Z", "sourceRef": "abc", "more": [1]}},
            "signatureClaim": {"signature": "eA==", "form": "WRONG_LENGTH", "verified": null, "copies": [
                {"place": "STATUS", "path": "status/packSignature", "form": "WRONG_LENGTH"},
                {"place": "ANNOTATION", "path": "metadata/annotations/ontai.dev/pack-signature", "form": "MALFORMED"}]},
            "conditions": [{"type": "Available", "status": "TRUE", "statusRaw": "True"},
                {"type": "Odd", "status": "UNKNOWN", "statusRaw": "Perhaps"}],
        });
        assert_eq!(api.ask(query).await["clusterPack"], expected);
    })
    .await;
}

fn receipt(name: &str, status: &Value, observed: &str) -> Value {
    let spec =
        json!({"clusterPackRef": "p", "targetClusterRef": "c", "signatureRef": "secret", "rbacDigest": "sha256:r"});
    let mut event = object("InfrastructurePackReceipt", name, &json!({"spec": spec, "status": status}));
    event["observedAt"] = json!(observed);
    event
}

#[tokio::test]
async fn a_receipt_claims_its_signature_and_remembers_its_drift() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let state = |drift: &str, summary: &str| {
            json!({"driftStatus": drift, "driftSummary": summary, "verified": false, "signature": "eA==",
                "verificationFailedReason": "bad key", "degradedSecurityState": {"degraded": true, "reason": "no key"}})
        };
        let items = vec![
            receipt("r", &state("InSync", ""), "2026-05-04T09:00:00Z"),
            receipt("r", &state("Drifted", "gone"), "2026-05-04T10:00:00Z"),
            receipt("r", &state("Melted", "odd"), "2026-05-04T11:00:00Z"),
            receipt("bare", &json!({"degradedSecurityState": true}), "2026-05-04T11:00:00Z"),
        ];
        feed_values(&api.writer, tenant, "s", &items).await;
        let ask = async |name: &str| {
            let query = format!(
                "{{ packReceipt(cluster: \"c\", namespace: \"seam-tenant-c\", name: \"{name}\") {{ layers {{ role }}
                signatureClaim {{ signature form signatureRef verified failureReason copies {{ place }} }}
                degradedSecurityState {{ degraded reason raw }}
                driftHistory {{ totalCount nodes {{ version from to status statusRaw summary }} }} }} }}"
            );
            api.ask(&query).await["packReceipt"].clone()
        };
        let expected = json!({
            "layers": [{"role": "RBAC"}],
            "signatureClaim": {"signature": "eA==", "form": "WRONG_LENGTH", "signatureRef": "secret", "verified": false,
                "failureReason": "bad key", "copies": [{"place": "STATUS"}]},
            "degradedSecurityState": {"degraded": true, "reason": "no key", "raw": {"degraded": true, "reason": "no key"}},
            "driftHistory": {"totalCount": 3, "nodes": [
                {"version": 1, "from": "2026-05-04T09:00:00Z", "to": "2026-05-04T10:00:00Z", "status": "IN_SYNC",
                    "statusRaw": "InSync", "summary": ""},
                {"version": 2, "from": "2026-05-04T10:00:00Z", "to": "2026-05-04T11:00:00Z", "status": "DRIFTED",
                    "statusRaw": "Drifted", "summary": "gone"},
                {"version": 3, "from": "2026-05-04T11:00:00Z", "to": null, "status": "UNKNOWN", "statusRaw": "Melted",
                    "summary": "odd"}]},
        });
        assert_eq!(ask("r").await, expected);
        let bare = ask("bare").await;
        assert_eq!(bare["degradedSecurityState"], json!({"degraded": true, "reason": null, "raw": true}));
        assert_eq!(bare["signatureClaim"]["signatureRef"], "secret");
        assert_eq!(bare["driftHistory"]["nodes"][0]["status"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn steps_and_results_tell_how_long_they_took() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let step = |name: &str, from: &str, to: &str| json!({"name": name, "status": "Succeeded", "startedAt": from, "completedAt": to});
        let spec = json!({"capability": "pack-deploy", "status": "Succeeded", "revision": 1, "packExecutionRef": "e",
            "startedAt": "2026-05-04T08:00:00Z", "completedAt": "2026-05-04T08:01:20.5Z", "steps": [
                step("forth", "2026-05-04T08:00:00Z", "2026-05-04T08:00:00.25Z"),
                step("back", "2026-05-04T08:00:01Z", "2026-05-04T08:00:00Z"), {"name": "bare", "status": "Succeeded"}]});
        feed_values(&api.writer, tenant, "s", &[object("PackOperationResult", "r", &json!({"spec": spec}))]).await;
        let query = "{ operationResult(namespace: \"seam-tenant-c\", name: \"r\") { durationMs steps { name durationMs } } }";
        let expected = json!({"durationMs": 80500, "steps": [{"name": "forth", "durationMs": 250},
            {"name": "back", "durationMs": null}, {"name": "bare", "durationMs": null}]});
        assert_eq!(api.ask(query).await["operationResult"], expected);
    })
    .await;
}
