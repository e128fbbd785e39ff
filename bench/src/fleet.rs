//! A seeded fleet of records as clusters send them: packs, executions, results with 25 deployed
//! resources and about 3.5 KB of JSON, receipts. The same seed gives the same bytes.

use std::ops::ControlFlow;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Resources that each result has deployed.
pub const RESOURCES: usize = 25;
/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;
/// No fleet reaches further than so many seconds, so that none is of the future.
const SPAN: i64 = 24_000_000;
const API: &str = "infrastructure.ontai.dev/v1alpha1";
/// The namespace of packs.
pub const PACKS: &str = "seam-system";
const RESOURCE_KINDS: [(&str, &str); 10] = [
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "Deployment"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("v1", "PersistentVolumeClaim"),
    ("batch/v1", "CronJob"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("v1", "Secret"),
];
const COMPONENTS: [&str; 5] = ["controller", "webhook", "injector", "check", "metrics"];
const STEPS: [&str; 2] = ["apply-workload", "wait-ready"];

/// A pack as it is delivered: its name, its uid and the resources that it brings.
pub struct Pack {
    /// `metadata.name`.
    pub name: String,
    uid: String,
    base: String,
    digests: [String; 3],
    resources: Value,
}

/// One execution of a pack on a cluster.
pub struct Execution {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// The target cluster.
    pub cluster: String,
    uid: String,
    /// When it was created, seconds since [`START`].
    at: i64,
}

/// The generator. Every method draws from one stream of random numbers.
pub struct Fleet {
    random: ChaCha8Rng,
    version: u64,
}

impl Fleet {
    /// The fleet of a seed.
    pub fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), version: 1000 }
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.random.random::<u64>()));
        }
        text.truncate(digits);
        text
    }

    fn uid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn metadata(&mut self, namespace: &str, name: &str, uid: &str, at: i64) -> Value {
        self.version += self.random.random_range(1..9);
        json!({
            "creationTimestamp": time(at),
            "generation": 1,
            "name": name,
            "namespace": namespace,
            "resourceVersion": self.version.to_string(),
            "uid": uid,
        })
    }

    /// The `i`th pack.
    pub fn pack(&mut self, i: usize) -> Pack {
        let base = format!("addon-{i:05}");
        let resource = |n: usize| {
            let (api_version, kind) = RESOURCE_KINDS[n % RESOURCE_KINDS.len()];
            let component = COMPONENTS[n % COMPONENTS.len()];
            let name = format!("{component}-{n:02}");
            let global = format!("addon-{i:05}-{component}-{n:02}");
            if [4, 5, 8].contains(&(n % 10)) {
                json!({"apiVersion": api_version, "kind": kind, "name": global})
            } else {
                json!({"apiVersion": api_version, "kind": kind, "name": name, "namespace": format!("addon-{i:05}")})
            }
        };
        Pack {
            name: pack_name(i),
            uid: self.uid(),
            digests: [self.hex(64), self.hex(64), self.hex(64)],
            resources: (0..RESOURCES).map(resource).collect(),
            base,
        }
    }

    /// The watch event of a pack.
    pub fn pack_event(&mut self, pack: &Pack, at: i64) -> Value {
        let mut metadata = self.metadata(PACKS, &pack.name, &pack.uid, at);
        metadata["annotations"] = json!({"infrastructure.ontai.dev/declaring-principal": "platform-team"});
        let [checksum, rbac, workload] = &pack.digests;
        let object = json!({
            "apiVersion": API, "kind": "InfrastructureClusterPack", "metadata": metadata,
            "spec": {
                "basePackName": pack.base, "checksum": checksum, "version": "v1.0.0-r1",
                "chartName": pack.base, "chartURL": "https://charts.example.com", "chartVersion": "v1.0.0",
                "helmVersion": "v3.17.3",
                "rbacDigest": format!("sha256:{rbac}"), "workloadDigest": format!("sha256:{workload}"),
                "registryRef": {"digest": format!("sha256:{workload}"), "url": format!("10.20.0.1:5000/packs/{}", pack.base)},
                "sourceBuildRef": format!("packbuilds/{}.yaml", pack.name),
            },
            "status": {
                "conditions": [{"lastTransitionTime": time(at), "message": "Pack is signed and available for deployment.",
                    "observedGeneration": 1, "reason": "PackAvailable", "status": "True", "type": "Available"}],
                "observedGeneration": 1, "packSignature": format!("{checksum}=="), "signed": true,
            },
        });
        event("ADDED", at + 1, object)
    }

    /// An execution of a pack on a cluster, created at a second since the start.
    pub fn execution(&mut self, pack: &Pack, cluster: &str, at: i64) -> Execution {
        Execution {
            name: format!("{}-{cluster}", pack.name),
            namespace: format!("seam-tenant-{cluster}"),
            cluster: cluster.to_owned(),
            uid: self.uid(),
            at,
        }
    }

    /// The watch event of an execution.
    pub fn execution_event(&mut self, pack: &Pack, execution: &Execution) -> Value {
        let mut metadata = self.metadata(&execution.namespace, &execution.name, &execution.uid, execution.at);
        metadata["labels"] =
            json!({"infrastructure.ontai.dev/cluster": execution.cluster, "infrastructure.ontai.dev/pack": pack.name});
        let object = json!({
            "apiVersion": API, "kind": "InfrastructurePackExecution", "metadata": metadata,
            "spec": {
                "admissionProfileRef": pack.name, "targetClusterRef": execution.cluster,
                "chartName": pack.base, "chartURL": "https://charts.example.com", "chartVersion": "v1.0.0",
                "helmVersion": "v3.17.3",
                "clusterPackRef": {"name": pack.name, "version": "v1.0.0-r1"},
            },
            "status": {
                "conditions": [{"lastTransitionTime": time(execution.at + 9), "message": "All gates cleared.",
                    "reason": "JobSubmitted", "status": "False", "type": "Pending"}],
                "jobName": format!("pack-deploy-{}", execution.name), "observedGeneration": 1,
            },
        });
        event("ADDED", execution.at + 10, object)
    }

    /// The watch event of a result. One in `failing` fails; 0 for none.
    pub fn result_event(&mut self, pack: &Pack, execution: &Execution, revision: usize, failing: u32) -> Value {
        let at = execution.at + 60 + i64::try_from(revision).unwrap_or(0) * 120;
        let uid = self.uid();
        let name = result_name(execution, revision);
        let mut metadata = self.metadata(&execution.namespace, &name, &uid, at);
        metadata["labels"] = json!({"ontai.dev/cluster-pack": pack.name, "ontai.dev/pack-execution": execution.name});
        metadata["ownerReferences"] = json!([{"apiVersion": API, "blockOwnerDeletion": true,
            "kind": "InfrastructurePackExecution", "name": execution.name, "uid": execution.uid}]);
        let fails = failing > 0 && self.random.random_ratio(1, failing);
        let status = if fails { "Failed" } else { "Succeeded" };
        let [_, _, workload] = &pack.digests;
        let layer = |role: &str, digest: &str| {
            json!({"checksum": format!("sha256:{digest}"), "kind": "OCIImage", "name": format!("{role}-layer"),
                "reference": format!("10.20.0.1:5000/packs/{}@sha256:{digest}", pack.base)})
        };
        let step =
            |name: &str| json!({"completedAt": time(at), "name": name, "startedAt": time(at - 30), "status": status});
        let mut spec = json!({
            "artifacts": [layer("workload", workload)],
            "capability": "pack-deploy", "clusterPackRef": pack.name, "completedAt": time(at),
            "deployedResources": pack.resources, "packExecutionRef": execution.name, "revision": revision,
            "startedAt": time(at - 30), "status": status, "steps": STEPS.map(step),
            "targetClusterRef": execution.cluster,
        });
        if revision > 1 {
            spec["previousRevisionRef"] = json!(result_name(execution, revision - 1));
        }
        if fails {
            spec["failureReason"] = json!({"category": "ExecutionFailure", "failedStep": "wait-ready",
                "reason": "rollout did not become ready within 5m0s"});
        }
        event(
            "ADDED",
            at + 1,
            json!({"apiVersion": API, "kind": "PackOperationResult", "metadata": metadata, "spec": spec}),
        )
    }

    /// The watch event of the receipt of a delivery.
    pub fn receipt_event(&mut self, pack: &Pack, execution: &Execution) -> Value {
        let (at, uid) = (execution.at + 90, self.uid());
        let name = format!("{}-{}", pack.base, execution.cluster);
        let metadata = self.metadata("ont-system", &name, &uid, at);
        let [checksum, rbac, workload] = &pack.digests;
        // Something must be found: a forged signature is a finding.
        let is_verified = !self.random.random_ratio(1, 50);
        let object = json!({
            "apiVersion": API, "kind": "PackReceipt", "metadata": metadata,
            "spec": {
                "chartName": pack.base, "chartURL": "https://charts.example.com", "chartVersion": "v1.0.0",
                "helmVersion": "v3.17.3",
                "clusterPackRef": {"name": pack.name, "version": "v1.0.0-r1"}, "packSignature": format!("{checksum}=="),
                "rbacDigest": format!("sha256:{rbac}"), "signatureVerified": is_verified, "targetClusterRef": execution.cluster,
                "workloadDigest": format!("sha256:{workload}"),
            },
            "status": {
                "conditions": [{"lastTransitionTime": time(at), "message": "", "reason": "Verified", "status": "True",
                    "type": "SignatureVerified"}],
                "deliveredAt": time(at), "driftStatus": "InSync", "driftSummary": "", "lastDriftCheckAt": time(at),
            },
        });
        event("ADDED", at + 1, object)
    }

    /// The watch event of the deletion of what an event brought: the platform deletes each result
    /// when it writes the next.
    pub fn deletion(&mut self, event: &Value, observed: &Value) -> Value {
        self.version += 1;
        let mut event = event.clone();
        event["type"] = json!("DELETED");
        event["observedAt"] = observed.clone();
        event["object"]["metadata"]["resourceVersion"] = json!(self.version.to_string());
        event
    }

    /// The results of an execution, each followed by the deletion of the one before.
    pub fn result_events(&mut self, pack: &Pack, execution: &Execution, revisions: usize, failing: u32) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        let mut before: Option<Value> = None;
        for revision in 1..=revisions {
            let event = self.result_event(pack, execution, revision, failing);
            events.push(event.clone());
            if let Some(before) = before.replace(event.clone()) {
                events.push(self.deletion(&before, &event["observedAt"]));
            }
        }
        events
    }

    /// The same receipt `beats` drift checks later: its content has not changed.
    pub fn heartbeat(&mut self, receipt: &Value, beats: i64) -> Value {
        self.version += 1;
        let mut event = receipt.clone();
        let at = 1_000_000 + beats * 60;
        event["type"] = json!("MODIFIED");
        event["observedAt"] = json!(time(at + 1));
        event["object"]["metadata"]["resourceVersion"] = json!(self.version.to_string());
        event["object"]["status"]["lastDriftCheckAt"] = json!(time(at));
        event
    }
}

/// `metadata.name` of a result.
pub fn result_name(execution: &Execution, revision: usize) -> String {
    format!("pack-deploy-result-{}-r{revision}", execution.name)
}

/// How large a whole fleet is.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Packs.
    pub packs: usize,
    /// Clusters, each with one execution and one receipt of each pack.
    pub clusters: usize,
    /// Results of each execution.
    pub revisions: usize,
    /// One of so many results fails; 0 for none.
    pub failing: u32,
}

impl Shape {
    /// The shape of about `records` records in executions of `revisions` results.
    pub fn of_records(records: usize, revisions: usize) -> Self {
        let clusters = 25;
        let packs = records.div_ceil(clusters * (revisions + 2)).max(1);
        Self { packs, clusters, revisions, failing: 10 }
    }

    /// Records (objects) in a fleet of this shape.
    pub fn records(&self) -> usize {
        self.packs * (1 + self.clusters * (self.revisions + 2))
    }

    /// Watch events that tell of them.
    pub fn events(&self) -> usize {
        self.packs * (1 + self.clusters * (2 * self.revisions + 1))
    }

    /// Seconds between packs: ten minutes, or less in a fleet that would reach beyond [`SPAN`].
    fn interval(&self) -> i64 {
        (SPAN / i64::try_from(self.packs).unwrap_or(SPAN)).clamp(1, 600)
    }

    /// Calls `send` with the events of each pack, and with those of each execution: its own, its
    /// results and its receipt.
    pub fn each_delivery(&self, seed: u64, mut send: impl FnMut(&Pack, Option<&Execution>, Vec<Value>)) {
        let _goes_to_the_end = self.try_each_delivery(seed, |pack, execution, events| {
            send(pack, execution, events);
            ControlFlow::Continue(())
        });
    }

    /// The same until `send` breaks off. Nothing is kept, so that a fleet can be larger than the memory.
    pub fn try_each_delivery(
        &self,
        seed: u64,
        mut send: impl FnMut(&Pack, Option<&Execution>, Vec<Value>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut fleet = Fleet::new(seed);
        for p in 0..self.packs {
            let pack = fleet.pack(p);
            let at = i64::try_from(p).unwrap_or(0) * self.interval();
            send(&pack, None, vec![fleet.pack_event(&pack, at)])?;
            for c in 0..self.clusters {
                let execution = fleet.execution(&pack, &cluster(c), at + 60 + i64::try_from(c).unwrap_or(0));
                let mut events = vec![fleet.execution_event(&pack, &execution)];
                events.extend(fleet.result_events(&pack, &execution, self.revisions, self.failing));
                events.push(fleet.receipt_event(&pack, &execution));
                send(&pack, Some(&execution), events)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The fleet as NDJSON bodies of one delivery each.
    pub fn bodies(&self, seed: u64) -> Vec<String> {
        let mut bodies = Vec::new();
        self.each_delivery(seed, |_, _, events| bodies.push(lines(&events)));
        bodies
    }
}

/// The name of the `i`th pack.
pub fn pack_name(i: usize) -> String {
    format!("addon-{i:05}-v1.0.0-r1")
}

/// The name of the `i`th cluster.
pub fn cluster(i: usize) -> String {
    format!("ccs-{i:03}")
}

/// Events as NDJSON.
pub fn lines(events: &[Value]) -> String {
    events.iter().map(|event| event.to_string() + "\n").collect()
}

fn event(kind: &str, observed: i64, object: Value) -> Value {
    json!({"type": kind, "observedAt": time(observed), "object": object})
}

/// RFC 3339 of seconds since the fleet's start.
fn time(at: i64) -> String {
    rfc3339((START + at) * 1_000_000)
}

/// RFC 3339 in UTC of microseconds since 1970, with a fraction only where there is one.
pub fn rfc3339(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    if fraction == 0 {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z")
    }
}
