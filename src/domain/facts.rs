//! What the rules need to know of a record's content, and nothing more: small enough to be read in
//! bulk without opening the stored bodies.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::kind;
use super::lineage::thing::bounded;
use super::names::Names;
use super::time::parse_rfc3339;

/// The label by which the operators mark a result that a later one replaced.
const SUPERSEDED: &str = "ontai.dev/superseded";
/// The label that names a result's execution.
pub(super) const EXECUTION_LABEL: &str = "ontai.dev/pack-execution";
/// The label that names a result's pack.
pub(super) const PACK_LABEL: &str = "ontai.dev/cluster-pack";
/// The annotations in which the management cluster signs an instance, newest name first.
const MANAGEMENT_SIGNATURES: [&str; 2] =
    ["infrastructure.ontai.dev/management-signature", "runner.ontai.dev/management-signature"];

/// The facts of one content.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// `metadata.creationTimestamp`, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// The ownerReference to a `PackExecution`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// `spec.targetClusterRef` (`clusterRef` of a drift signal).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What only this kind has.
    #[serde(skip_serializing_if = "Detail::is_none")]
    pub detail: Detail,
    /// What else it names, for the graph.
    #[serde(skip_serializing_if = "Names::is_empty")]
    pub names: Names,
}

/// An ownerReference to a `PackExecution`; its namespace is the owned object's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The owner's uid: the epoch of a result.
    pub uid: String,
    /// The owner's name.
    pub name: String,
}

/// The facts that only one kind has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Detail {
    /// A kind without rules of its own.
    #[default]
    None,
    /// A `PackOperationResult`.
    Result(ResultFacts),
    /// A `PackExecution`.
    Execution(ExecutionFacts),
    /// A `ClusterPack`.
    Pack(PackFacts),
    /// A `PackReceipt`.
    Receipt(ReceiptFacts),
    /// A `PackInstance`.
    Instance(InstanceFacts),
}

impl Detail {
    fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// Facts of a `PackOperationResult`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ResultFacts {
    /// `spec.packExecutionRef`, else the execution label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// `spec.revision`, 0 where absent.
    pub revision: i64,
    /// `spec.previousRevisionRef`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Labelled as superseded.
    #[serde(skip_serializing_if = "is_false")]
    pub superseded: bool,
    /// `spec.clusterPackRef` (its name), else the pack label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    /// `spec.capability`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// `spec.status`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `spec.failureReason` is there.
    #[serde(skip_serializing_if = "is_false")]
    pub has_failure: bool,
    /// `spec.failureReason.category`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_category: Option<String>,
    /// `spec.failureReason.failedStep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_step: Option<String>,
    /// One of `spec.steps` has the status Failed.
    #[serde(skip_serializing_if = "is_false")]
    pub has_failed_step: bool,
    /// `spec.startedAt`, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    /// `spec.completedAt`, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<i64>,
}

/// Facts of a `PackExecution`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecutionFacts {
    /// `spec.clusterPackRef`.
    #[serde(flatten)]
    pub pack: PackRef,
    /// The chart fields copied from the pack.
    #[serde(skip_serializing_if = "Chart::is_empty")]
    pub chart: Chart,
    /// `status.operationResultRef`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// It ran: it has a Job, a result, or a condition that says so.
    #[serde(skip_serializing_if = "is_false")]
    pub executed: bool,
    /// The earliest transition of a condition that says that it ran, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executed_at: Option<i64>,
}

/// Facts of a `ClusterPack`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PackFacts {
    /// `spec.version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `spec.basePackName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// `spec.targetClusters`, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// The chart fields.
    #[serde(skip_serializing_if = "Chart::is_empty")]
    pub chart: Chart,
    /// `spec.rbacDigest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rbac_digest: Option<String>,
    /// `spec.workloadDigest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_digest: Option<String>,
    /// SHA-256 (hex) over checksum, version, registryRef and the layer digests: what CI-INV-002 seals.
    pub anchor: String,
    /// `spec.rollbackToRevision` is set: the one sanctioned rewrite.
    #[serde(skip_serializing_if = "is_false")]
    pub rollback: bool,
    /// `status.signed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<bool>,
    /// The condition Revoked is True.
    #[serde(skip_serializing_if = "is_false")]
    pub revoked: bool,
}

/// Facts of a `PackReceipt`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReceiptFacts {
    /// `spec.clusterPackRef`.
    #[serde(flatten)]
    pub pack: PackRef,
    /// `spec.packSignature`, else `status.signature`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// `spec.signatureVerified`, else `status.verified`: a claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// `spec.rbacDigest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rbac_digest: Option<String>,
    /// `spec.workloadDigest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_digest: Option<String>,
    /// The chart fields.
    #[serde(skip_serializing_if = "Chart::is_empty")]
    pub chart: Chart,
    /// `status.driftStatus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
    /// `spec.packInstanceRef`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Facts of a `PackInstance`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceFacts {
    /// `spec.clusterPackRef` and `spec.version`.
    #[serde(flatten)]
    pub pack: PackRef,
    /// The management signature annotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// A reference to a pack: `{name, version}`, or a name alone in the operators' own dialect.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PackRef {
    /// The pack's name.
    #[serde(rename = "pack", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The pack's version.
    #[serde(rename = "pack_version", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The Helm provenance fields (Decision B of the platform).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Chart {
    /// `chartName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `chartURL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `chartVersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `helmVersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helm: Option<String>,
}

impl Chart {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a field that both have differs. Absent fields say nothing: current operators do not
    /// copy them along.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        [(&self.name, &other.name), (&self.url, &other.url), (&self.version, &other.version), (&self.helm, &other.helm)]
            .into_iter()
            .any(|(mine, theirs)| mine.is_some() && theirs.is_some() && mine != theirs)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Reads the facts of an object of the canonical kind `kind`.
#[must_use]
pub fn extract(kind: &str, object: &Map<String, Value>) -> Facts {
    let view = View::new(object);
    Facts {
        created: text(view.metadata, "creationTimestamp").as_deref().and_then(parse_rfc3339),
        owner: owner(view.metadata),
        cluster: text(view.spec, "targetClusterRef").or_else(|| text(view.spec, "clusterRef")),
        detail: match kind {
            kind::RESULT => Detail::Result(result(&view)),
            kind::EXECUTION => Detail::Execution(execution(&view)),
            kind::PACK => Detail::Pack(pack(&view)),
            kind::RECEIPT => Detail::Receipt(receipt(&view)),
            kind::INSTANCE => Detail::Instance(instance(&view)),
            _ => Detail::None,
        },
        names: Names::read(kind, &view),
    }
}

/// The latest of the record's own times: deletion, delivery, condition transitions, completion,
/// creation, in microseconds; 0 where it has none. Heartbeats are left out, they say nothing of the content.
#[must_use]
pub fn own_time(object: &Map<String, Value>) -> i64 {
    let view = View::new(object);
    let time = |text: Option<String>| text.as_deref().and_then(parse_rfc3339);
    let transitions = conditions(view.status).filter_map(|condition| time(string(condition.get("lastTransitionTime"))));
    [
        time(text(view.metadata, "deletionTimestamp")),
        time(text(view.status, "deliveredAt")),
        time(text(view.spec, "completedAt")),
        time(text(view.metadata, "creationTimestamp")),
    ]
    .into_iter()
    .flatten()
    .chain(transitions)
    .max()
    .unwrap_or(0)
}

/// A part of a record, if it is there and an object.
pub(super) type Object<'a> = Option<&'a Map<String, Value>>;

/// A record by its parts.
pub(super) struct View<'a> {
    pub(super) metadata: Object<'a>,
    pub(super) spec: Object<'a>,
    pub(super) status: Object<'a>,
}

impl<'a> View<'a> {
    fn new(object: &'a Map<String, Value>) -> Self {
        let part = |name: &str| object.get(name).and_then(Value::as_object);
        Self { metadata: part("metadata"), spec: part("spec"), status: part("status") }
    }

    pub(super) fn label(&self, name: &str) -> Option<String> {
        self.nested("labels", name)
    }

    pub(super) fn annotation(&self, name: &str) -> Option<String> {
        self.nested("annotations", name)
    }

    fn nested(&self, part: &str, name: &str) -> Option<String> {
        text(self.metadata?.get(part)?.as_object(), name)
    }
}

/// A text that is not empty, within bounds: names become keys, which the databases index.
pub(super) fn string(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(bounded)
}

/// A member that is a text and not empty.
pub(super) fn text(object: Object, name: &str) -> Option<String> {
    string(object?.get(name))
}

fn flag(object: Object, name: &str) -> Option<bool> {
    object?.get(name)?.as_bool()
}

fn owner(metadata: Object) -> Option<Owner> {
    metadata?.get("ownerReferences")?.as_array()?.iter().find_map(|reference| {
        let reference = reference.as_object()?;
        let kind = kind::canonical(reference.get("apiVersion")?.as_str()?, reference.get("kind")?.as_str()?);
        if kind != kind::EXECUTION {
            return None;
        }
        Some(Owner { uid: string(reference.get("uid"))?, name: string(reference.get("name"))? })
    })
}

/// `spec.clusterPackRef` in either shape.
pub(super) fn pack_ref(spec: Object) -> PackRef {
    match spec.and_then(|spec| spec.get("clusterPackRef")) {
        Some(Value::Object(reference)) => {
            PackRef { name: string(reference.get("name")), version: string(reference.get("version")) }
        }
        other => PackRef { name: string(other), version: None },
    }
}

fn chart(spec: Object) -> Chart {
    Chart {
        name: text(spec, "chartName"),
        url: text(spec, "chartURL"),
        version: text(spec, "chartVersion"),
        helm: text(spec, "helmVersion"),
    }
}

fn conditions(status: Object<'_>) -> impl Iterator<Item = &Map<String, Value>> {
    status
        .and_then(|status| status.get("conditions"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

fn is_true(condition: &Map<String, Value>) -> bool {
    condition.get("status").and_then(Value::as_str) == Some("True")
}

fn condition_type(condition: &Map<String, Value>) -> &str {
    condition.get("type").and_then(Value::as_str).unwrap_or_default()
}

fn result(view: &View) -> ResultFacts {
    let spec = view.spec;
    let failure = spec.and_then(|spec| spec.get("failureReason")).and_then(Value::as_object);
    let steps = spec.and_then(|spec| spec.get("steps")).and_then(Value::as_array);
    let time = |name: &str| text(spec, name).as_deref().and_then(parse_rfc3339);
    ResultFacts {
        execution: text(spec, "packExecutionRef").or_else(|| view.label(EXECUTION_LABEL)),
        revision: spec.and_then(|spec| spec.get("revision")).and_then(Value::as_i64).unwrap_or(0),
        previous: text(spec, "previousRevisionRef"),
        superseded: view.label(SUPERSEDED).as_deref() == Some("true"),
        pack: pack_ref(spec).name.or_else(|| view.label(PACK_LABEL)),
        capability: text(spec, "capability"),
        status: text(spec, "status"),
        has_failure: failure.is_some(),
        failure_category: text(failure, "category"),
        failed_step: text(failure, "failedStep"),
        has_failed_step: steps
            .into_iter()
            .flatten()
            .any(|step| step.get("status").and_then(Value::as_str) == Some("Failed")),
        started: time("startedAt"),
        completed: time("completedAt"),
    }
}

fn execution(view: &View) -> ExecutionFacts {
    let ran: Vec<_> = conditions(view.status)
        .filter(|c| is_true(c) && matches!(condition_type(c), "Running" | "Succeeded" | "Failed"))
        .collect();
    let result = text(view.status, "operationResultRef");
    ExecutionFacts {
        pack: pack_ref(view.spec),
        chart: chart(view.spec),
        executed: !ran.is_empty() || result.is_some() || text(view.status, "jobName").is_some(),
        executed_at: ran
            .iter()
            .filter_map(|c| string(c.get("lastTransitionTime")).as_deref().and_then(parse_rfc3339))
            .min(),
        result,
    }
}

fn pack(view: &View) -> PackFacts {
    let spec = view.spec;
    PackFacts {
        version: text(spec, "version"),
        base: text(spec, "basePackName"),
        targets: targets(spec),
        chart: chart(spec),
        rbac_digest: text(spec, "rbacDigest"),
        workload_digest: text(spec, "workloadDigest"),
        anchor: anchor(spec),
        rollback: spec.and_then(|spec| spec.get("rollbackToRevision")).is_some_and(|v| !v.is_null()),
        signed: flag(view.status, "signed"),
        revoked: conditions(view.status).any(|c| condition_type(c) == "Revoked" && is_true(c)),
    }
}

fn targets(spec: Object) -> Vec<String> {
    let clusters = spec.and_then(|spec| spec.get("targetClusters")).and_then(Value::as_array);
    let mut clusters: Vec<String> =
        clusters.into_iter().flatten().filter_map(|cluster| string(Some(cluster))).collect();
    clusters.sort();
    clusters.dedup();
    clusters
}

fn anchor(spec: Object) -> String {
    let sealed: Value = ["checksum", "version", "registryRef", "rbacDigest", "workloadDigest", "clusterScopedDigest"]
        .into_iter()
        .map(|name| spec.and_then(|spec| spec.get(name)).cloned().unwrap_or(Value::Null))
        .collect();
    hex::encode(Sha256::digest(super::json::canonical(&sealed)))
}

fn receipt(view: &View) -> ReceiptFacts {
    ReceiptFacts {
        pack: pack_ref(view.spec),
        signature: text(view.spec, "packSignature").or_else(|| text(view.status, "signature")),
        verified: flag(view.spec, "signatureVerified").or_else(|| flag(view.status, "verified")),
        rbac_digest: text(view.spec, "rbacDigest"),
        workload_digest: text(view.spec, "workloadDigest"),
        chart: chart(view.spec),
        drift: text(view.status, "driftStatus"),
        instance: text(view.spec, "packInstanceRef"),
    }
}

fn instance(view: &View) -> InstanceFacts {
    let mut pack = pack_ref(view.spec);
    pack.version = pack.version.or_else(|| text(view.spec, "version"));
    InstanceFacts { pack, signature: MANAGEMENT_SIGNATURES.iter().find_map(|name| view.annotation(name)) }
}
