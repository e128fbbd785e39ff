//! The objects of the generated fleet, as a Kubernetes watch shows them.
//!
//! `resourceVersion` is missing: it counts the writes of the whole fleet, which are ordered last.

use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::catalog::{Pack, Release};

const API_VERSION: &str = "infrastructure.ontai.dev/v1alpha1";
const REGISTRY: &str = "10.20.0.1:5000/ontai-dev/packs";
const HELM: &str = "v3.17.3";

/// RFC 3339 of `seconds` since 1970.
pub fn time(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `sha256:…` of a text that stands for some content.
pub fn digest(content: &str) -> String {
    format!("sha256:{}", checksum(content))
}

fn checksum(content: &str) -> String {
    hex::encode(Sha256::digest(content.as_bytes()))
}

/// 64 bytes in base64, the same for the same text, as Ed25519 signs. No key made it.
pub fn signature(text: &str) -> String {
    let halves = [format!("0{text}"), format!("1{text}")];
    let bytes: Vec<u8> = halves.iter().flat_map(Sha256::digest).collect();
    base64(&bytes)
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| usize::from(chunk.get(i).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let sextet = group >> (18 - 6 * place) & 63;
            text.push(if place > chunk.len() { '=' } else { char::from(ALPHABET[sextet]) });
        }
    }
    text
}

fn object(kind: &str, namespace: &str, name: &str, uid: &str, created: i64) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "creationTimestamp": time(created),
            "generation": 1,
        },
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str, at: i64) -> Value {
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": time(at),
    })
}

fn owner(execution: &Value) -> Value {
    json!([{
        "apiVersion": API_VERSION,
        "kind": execution["kind"],
        "name": execution["metadata"]["name"],
        "uid": execution["metadata"]["uid"],
        "blockOwnerDeletion": true,
        "controller": true,
    }])
}

/// A release of a pack, going out.
pub struct Build<'a> {
    pub pack: &'a Pack,
    pub release: &'a Release,
    /// The `ClusterPack`'s.
    pub uid: String,
    /// The `ClusterPack`'s creation, in seconds since 1970.
    pub created: i64,
    /// The clusters it is meant for.
    pub clusters: Vec<&'static str>,
}

impl Build<'_> {
    /// The `ClusterPack`'s name.
    pub fn name(&self) -> String {
        format!("{}-{}", self.pack.base, self.release.version)
    }

    /// The digest of one layer: `rbac`, `workload` or `cluster-scoped`.
    pub fn layer(&self, role: &str) -> String {
        digest(&format!("{}/{role}", self.name()))
    }

    /// The name of the execution on a cluster.
    pub fn execution_name(&self, cluster: &str) -> String {
        format!("{}-{cluster}", self.name())
    }

    /// Chart and Helm fields; nothing for packs that are not rendered from a chart.
    fn add_chart(&self, spec: &mut Value) {
        if let Some(chart) = &self.pack.chart {
            let (version, _) = self.release.version.split_once("-r").unwrap_or_default();
            spec["chartName"] = json!(chart.name);
            spec["chartURL"] = json!(chart.url);
            spec["chartVersion"] = json!(version);
            spec["helmVersion"] = json!(HELM);
        }
    }

    /// The `ClusterPack`; `signed_at` once the signing loop has passed.
    pub fn cluster_pack(&self, signed_at: Option<i64>) -> Value {
        let name = self.name();
        let mut pack = object("InfrastructureClusterPack", "seam-system", &name, &self.uid, self.created);
        pack["metadata"]["annotations"] =
            json!({"infrastructure.ontai.dev/declaring-principal": "platform-team@example.com"});
        pack["spec"] = json!({
            "version": self.release.version,
            "basePackName": self.pack.base,
            "registryRef": {
                "url": format!("{REGISTRY}/{}", self.pack.base),
                "digest": self.layer("workload"),
            },
            "checksum": checksum(&name),
            "rbacDigest": self.layer("rbac"),
            "workloadDigest": self.layer("workload"),
            "clusterScopedDigest": self.layer("cluster-scoped"),
            "sourceBuildRef": format!("packbuilds/{name}.yaml"),
            "targetClusters": self.clusters,
        });
        self.add_chart(&mut pack["spec"]);
        match signed_at {
            None => {
                let pending = condition("SignaturePending", "True", "AwaitingSignature", "", self.created);
                pack["status"] = json!({"signed": false, "conditions": [pending]});
            }
            Some(at) => {
                let signature = signature(&name);
                let message = "Pack is signed and available for deployment.";
                let available = condition("Available", "True", "PackAvailable", message, at);
                pack["metadata"]["annotations"]["ontai.dev/pack-signature"] = json!(signature);
                pack["status"] = json!({"signed": true, "packSignature": signature, "conditions": [available]});
            }
        }
        pack
    }

    /// The execution on a cluster, as it is created.
    pub fn execution(&self, cluster: &str, uid: &str, created: i64) -> Value {
        let name = self.execution_name(cluster);
        let namespace = tenant_namespace(cluster);
        let mut execution = object("InfrastructurePackExecution", &namespace, &name, uid, created);
        execution["metadata"]["labels"] = json!({
            "infrastructure.ontai.dev/cluster": cluster,
            "infrastructure.ontai.dev/pack": self.name(),
            "infrastructure.ontai.dev/pack-version": self.release.version,
        });
        execution["spec"] = json!({
            "clusterPackRef": {"name": self.name(), "version": self.release.version},
            "targetClusterRef": cluster,
            "admissionProfileRef": self.name(),
            "lineage": {
                "rootKind": "InfrastructureClusterPack",
                "rootName": self.name(),
                "rootNamespace": "seam-system",
                "rootUID": self.uid,
                "rootGenerationAtCreation": 1,
                "creatingOperator": {"name": "wrapper", "version": "v1.9.3-r1"},
                "creationRationale": "PackExecution",
            },
        });
        self.add_chart(&mut execution["spec"]);
        let message = "Waiting for the pack-deploy Job.";
        execution["status"] = json!({
            "observedGeneration": 1,
            "conditions": [condition("Pending", "True", "JobPending", message, created)],
        });
        execution
    }

    /// The pack's resources on a cluster, as a result lists them.
    fn resources(&self) -> Value {
        let resource = |(api_version, kind, namespace, name): &(&str, &str, &str, &str)| {
            let mut resource = json!({"apiVersion": api_version, "kind": kind, "name": name});
            if !namespace.is_empty() {
                resource["namespace"] = json!(namespace);
            }
            resource
        };
        self.pack.resources.iter().map(resource).collect()
    }

    fn artifacts(&self) -> Value {
        let image = |name: &str, role: &str| {
            let layer = self.layer(role);
            json!({
                "name": name,
                "kind": "OCIImage",
                "reference": format!("{REGISTRY}/{}@{layer}", self.pack.base),
                "checksum": layer,
            })
        };
        json!([image("rbac-layer", "rbac"), image("workload-layer", "workload")])
    }

    /// The delivered pack on a cluster.
    pub fn instance(&self, execution: &Value, cluster: &str, uid: &str, created: i64) -> Value {
        let name = self.instance_name(cluster);
        let namespace = tenant_namespace(cluster);
        let mut instance = object("InfrastructurePackInstance", &namespace, &name, uid, created);
        let root = format!("packexecution-{}", self.execution_name(cluster));
        instance["metadata"]["labels"] = json!({
            "infrastructure.ontai.dev/root-ili": root,
            "infrastructure.ontai.dev/root-ili-namespace": namespace,
            "infrastructure.ontai.dev/seam-operator": "wrapper",
            "infrastructure.ontai.dev/creation-rationale": "PackExecution",
            "infrastructure.ontai.dev/actor-ref": "",
        });
        instance["metadata"]["annotations"] =
            json!({"infrastructure.ontai.dev/management-signature": self.instance_signature(cluster)});
        instance["metadata"]["ownerReferences"] = owner(execution);
        instance["spec"] = json!({
            "clusterPackRef": self.name(),
            "targetClusterRef": cluster,
            "version": self.release.version,
        });
        instance
    }

    /// The `PackInstance`'s name, the same for every version.
    pub fn instance_name(&self, cluster: &str) -> String {
        format!("{}-{cluster}", self.pack.base)
    }

    fn instance_signature(&self, cluster: &str) -> String {
        signature(&self.execution_name(cluster))
    }

    /// The target cluster's receipt; `verified` is what it says of the signature.
    pub fn receipt(&self, cluster: &str, uid: &str, created: i64, at: i64, verified: bool) -> Value {
        let name = self.instance_name(cluster);
        let mut receipt = object("PackReceipt", "ont-system", &name, uid, created);
        let genuine = self.instance_signature(cluster);
        let forged = signature(&format!("forged {genuine}"));
        receipt["spec"] = json!({
            "clusterPackRef": {"name": self.name(), "version": self.release.version},
            "targetClusterRef": cluster,
            "packSignature": if verified { genuine } else { forged },
            "signatureVerified": verified,
            "rbacDigest": self.layer("rbac"),
            "workloadDigest": self.layer("workload"),
        });
        self.add_chart(&mut receipt["spec"]);
        let conditions = if verified {
            json!([condition("SignatureVerified", "True", "Verified", "", at)])
        } else {
            let message = "Ed25519 signature verification failed (INV-026)";
            json!([
                condition("SignatureVerified", "False", "SignatureVerifyFailed", message, at),
                condition("SecurityViolation", "True", "SignatureVerifyFailed", message, at),
            ])
        };
        receipt["status"] = json!({
            "deliveredAt": time(at),
            "driftStatus": if verified { "InSync" } else { "Unknown" },
            "driftSummary": "",
            "lastDriftCheckAt": time(at),
            "conditions": conditions,
        });
        receipt
    }
}

/// The management cluster's namespace for a target cluster.
pub fn tenant_namespace(cluster: &str) -> String {
    format!("seam-tenant-{cluster}")
}

/// Why an attempt failed: category, reason, and the index of the failed step, `None` if it failed
/// before the first.
pub type Failure = (&'static str, &'static str, Option<usize>);

/// The failures of the fleet.
pub const FAILURES: [Failure; 7] = [
    ("ExternalDependencyFailure", "pull RBAC layer: dial tcp 10.20.0.1:5000: connect: connection refused", None),
    ("ExternalDependencyFailure", "pull workload layer: unexpected EOF", Some(1)),
    ("ValidationFailure", "namespace manifest: spec.finalizers: unknown field", Some(2)),
    ("CapabilityUnavailable", "capability pack-deploy is not published by the runner", None),
    ("ExecutionFailure", "rollout did not become ready within 5m0s", Some(7)),
    ("InvariantViolation", "RBACProfile is not provisioned (INV-014)", Some(4)),
    ("StorageUnavailable", "no default StorageClass on the target cluster", Some(6)),
];

const STEPS: [&str; 8] = [
    "pull-rbac-layer",
    "pull-workload-layer",
    "apply-namespaces",
    "rbac-intake",
    "wait-rbac-profile",
    "apply-rbac-tenant",
    "apply-workload",
    "wait-ready",
];

/// One attempt to deploy.
pub struct Attempt<'a> {
    pub revision: i64,
    pub uid: String,
    pub started: i64,
    pub completed: i64,
    /// `None` if it succeeded.
    pub failure: Option<Failure>,
    /// The result before it in this epoch.
    pub previous: Option<&'a Value>,
}

/// The result of an attempt.
pub fn result(build: &Build<'_>, execution: &Value, cluster: &str, attempt: &Attempt<'_>) -> Value {
    let sequence = build.execution_name(cluster);
    let name = format!("pack-deploy-result-{sequence}-r{}", attempt.revision);
    let namespace = tenant_namespace(cluster);
    let mut result = object("PackOperationResult", &namespace, &name, &attempt.uid, attempt.completed);
    result["metadata"]["labels"] = json!({"ontai.dev/pack-execution": sequence});
    result["metadata"]["ownerReferences"] = owner(execution);
    let spec = &mut result["spec"];
    *spec = json!({
        "revision": attempt.revision,
        "packExecutionRef": sequence,
        "targetClusterRef": cluster,
        "capability": "pack-deploy",
        "status": if attempt.failure.is_none() { "Succeeded" } else { "Failed" },
        "startedAt": time(attempt.started),
        "completedAt": time(attempt.completed),
    });
    if let Some(previous) = attempt.previous {
        spec["previousRevisionRef"] = previous["metadata"]["name"].clone();
    }
    match attempt.failure {
        None => {
            spec["clusterPackRef"] = json!(build.name());
            spec["artifacts"] = build.artifacts();
            spec["deployedResources"] = build.resources();
            spec["steps"] = steps(attempt, STEPS.len() - 1, false);
            result["metadata"]["labels"]["ontai.dev/cluster-pack"] = json!(build.name());
        }
        Some((category, reason, failed)) => {
            let mut why = Map::new();
            why.insert("category".to_owned(), json!(category));
            why.insert("reason".to_owned(), json!(reason));
            if let Some(failed) = failed {
                why.insert("failedStep".to_owned(), json!(STEPS[failed]));
                spec["steps"] = steps(attempt, failed, true);
            }
            spec["failureReason"] = Value::Object(why);
        }
    }
    result
}

/// The steps up to `last`, which share the attempt's time evenly.
fn steps(attempt: &Attempt<'_>, last: usize, failed: bool) -> Value {
    let count = i64::try_from(last + 1).unwrap_or(1);
    let share = (attempt.completed - attempt.started) / count;
    let mut start = attempt.started;
    let mut steps = Vec::new();
    for (index, name) in STEPS.iter().enumerate().take(last + 1) {
        let end = if index == last { attempt.completed } else { start + share };
        let status = if failed && index == last { "Failed" } else { "Succeeded" };
        steps.push(json!({
            "name": name,
            "status": status,
            "startedAt": time(start),
            "completedAt": time(end),
        }));
        start = end;
    }
    Value::Array(steps)
}

/// The lineage index rooted in an execution.
pub fn lineage_index(execution: &Value, uid: &str, created: i64) -> Value {
    let root = &execution["metadata"];
    let name = format!("infrastructurepackexecution-{}", text(&root["name"]));
    let namespace = text(&root["namespace"]);
    let mut index = object("InfrastructureLineageIndex", namespace, &name, uid, created);
    index["spec"] = json!({
        "rootBinding": {
            "rootKind": execution["kind"],
            "rootName": root["name"],
            "rootNamespace": root["namespace"],
            "rootUID": root["uid"],
            "rootObservedGeneration": 1,
            "declaringPrincipal": "system:unknown",
        },
        "domainRef": "infrastructure.core.ontai.dev",
        "descendantRegistry": [],
        "outcomeRegistry": [],
        "retentionPolicy": {"descendantRetentionDays": 30, "deleteWithRoot": true},
    });
    index
}

/// Enters an instance and its outcome in the lineage index.
pub fn register(index: &mut Value, instance: &Value, result: &Value, at: i64) {
    let child = &instance["metadata"];
    index["spec"]["descendantRegistry"] = json!([{
        "group": "infrastructure.ontai.dev",
        "version": "v1alpha1",
        "kind": instance["kind"],
        "name": child["name"],
        "namespace": child["namespace"],
        "uid": child["uid"],
        "seamOperator": "wrapper",
        "creationRationale": "PackExecution",
        "rootGenerationAtCreation": 1,
        "createdAt": child["creationTimestamp"],
        "actorRef": "",
    }]);
    index["spec"]["outcomeRegistry"] = json!([{
        "derivedObjectUID": child["uid"],
        "outcomeType": "Succeeded",
        "outcomeTimestamp": time(at),
        "outcomeRef": result["metadata"]["name"],
        "outcomeDetail": "",
    }]);
    index["metadata"]["generation"] = json!(2);
}

/// The execution's status once its Job has run.
pub fn finish_execution(execution: &mut Value, result: &Value, at: i64) {
    let succeeded = result["spec"]["status"] == "Succeeded";
    let last = if succeeded {
        let message = "pack-deploy Job completed and PackOperationResult written.";
        condition("Succeeded", "True", "JobSucceeded", message, at)
    } else {
        condition("Succeeded", "False", "CapabilityFailed", "pack-deploy failed.", at)
    };
    let pending = condition("Pending", "False", "JobSubmitted", "All gates cleared.", at);
    let job = format!("pack-deploy-{}", text(&execution["metadata"]["name"]));
    execution["status"] = json!({
        "observedGeneration": 1,
        "jobName": job,
        "operationResultRef": result["metadata"]["name"],
        "conditions": [pending, last],
    });
}

/// The execution's status while a gate is closed.
pub fn hold_execution(execution: &mut Value, at: i64) {
    let message = "PermissionSnapshot is not fresh.";
    let gate = condition("PermissionSnapshotOutOfSync", "True", "SnapshotStale", message, at);
    execution["status"]["conditions"] = json!([gate]);
}

/// Marks the receipt as drifted: the pack's last resource is gone.
pub fn drift_receipt(receipt: &mut Value, pack: &Pack, at: i64) {
    let (api_version, kind, namespace, name) = lost(pack);
    let message = format!("resource {api_version} {kind}/{namespace}/{name} missing from cluster");
    receipt["status"]["driftStatus"] = json!("Drifted");
    receipt["status"]["driftSummary"] = json!(message);
    receipt["status"]["lastDriftCheckAt"] = json!(time(at));
    if let Some(conditions) = receipt["status"]["conditions"].as_array_mut() {
        conditions.push(condition("Drifted", "True", "ResourceMissing", &message, at));
    }
}

fn lost(pack: &Pack) -> (&str, &str, &str, &str) {
    pack.resources.last().copied().unwrap_or_default()
}

/// The signal that a receipt drifted, at its first state.
pub fn drift_signal(receipt: &Value, pack: &Pack, cluster: &str, uid: &str, created: i64) -> Value {
    let receipt_name = text(&receipt["metadata"]["name"]);
    let name = format!("drift-{receipt_name}");
    let mut signal = object("DriftSignal", &tenant_namespace(cluster), &name, uid, created);
    let (api_version, kind, namespace, name) = lost(pack);
    let mut affected = json!({"apiVersion": api_version, "kind": kind, "name": name});
    if !namespace.is_empty() {
        affected["namespace"] = json!(namespace);
    }
    signal["spec"] = json!({
        "state": "pending",
        "clusterRef": cluster,
        "receiptRef": receipt_name,
        "affectedResource": affected,
        "escalationCounter": 0,
    });
    signal
}

/// The text of a value, or none of it.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_the_standard_says() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in pairs {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
