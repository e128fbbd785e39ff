//! The lineage graph: what was made of what, as records declare it.
//!
//! Edges run from cause to effect. Each is asserted by the record at one of its ends, by a field that
//! names the other; nothing is inferred from names that merely look alike. What is named and was never
//! seen is a placeholder, which gives way to the record when that arrives.

mod declare;

use super::identity::NaturalKey;

pub use declare::declare;

/// What an edge says. The number is how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EdgeKind {
    /// A result → the result that came after it in its chain.
    Supersedes = 1,
    /// An execution → its result.
    ResultOf = 2,
    /// An execution → the result that it reports.
    Reports = 3,
    /// A pack → the result of deploying it.
    Deployed = 4,
    /// An execution, result, receipt, instance or drift signal → the cluster that it acts on.
    Targets = 5,
    /// A pack → an execution of it.
    Executes = 6,
    /// A profile of permissions → the execution that it admitted.
    AdmittedBy = 7,
    /// An execution or drift signal → the job that ran for it.
    RanAs = 8,
    /// A pack → a cluster that it is meant for.
    IntendedFor = 9,
    /// A pack family → a version of it.
    VersionOf = 10,
    /// A source build → the pack made of it.
    BuiltFrom = 11,
    /// A Helm chart → the pack made of it.
    RenderedFrom = 12,
    /// A digest → the pack or receipt that has a layer with it, or the result of deploying one.
    HasLayer = 13,
    /// A pack → the receipt that acknowledges it.
    Acknowledges = 14,
    /// A result → a resource that it applied.
    Applied = 15,
    /// A result → an artifact that it produced; of one that is about no pack, also its digest.
    Produced = 16,
    /// A root declaration or lineage index → what was derived from it.
    DerivedFrom = 17,
    /// An operator → what it made.
    CreatedBy = 18,
    /// A principal → what they declared.
    DeclaredBy = 19,
    /// A result → the result of the cluster operation that it refers to.
    CrossRef = 20,
    /// A sequence → its executions and results.
    PartOf = 21,
    /// An execution → the instance that it installed.
    Installs = 22,
    /// A pack → the instance of it.
    InstanceOf = 23,
    /// An instance → the receipt for it.
    ReceiptOf = 24,
    /// A receipt → the drift signal about it.
    Drifted = 25,
    /// A drift signal → the execution that was redone because of it.
    Retriggered = 26,
    /// A root declaration → its lineage index.
    IndexedBy = 27,
    /// A lineage index → a descendant that it registers.
    Registers = 28,
    /// An execution → any other record that it owns.
    Owns = 29,
    /// A task pack → a run of it.
    RunOf = 30,
    /// A run → what its creator said that it acts on.
    ActsOn = 31,
    /// A run → the execution that it triggered.
    Triggered = 32,
    /// A principal → the run of which they decided an approval.
    Decided = 33,
}

impl EdgeKind {
    /// All kinds.
    pub const ALL: [Self; 33] = [
        Self::Supersedes,
        Self::ResultOf,
        Self::Reports,
        Self::Deployed,
        Self::Targets,
        Self::Executes,
        Self::AdmittedBy,
        Self::RanAs,
        Self::IntendedFor,
        Self::VersionOf,
        Self::BuiltFrom,
        Self::RenderedFrom,
        Self::HasLayer,
        Self::Acknowledges,
        Self::Applied,
        Self::Produced,
        Self::DerivedFrom,
        Self::CreatedBy,
        Self::DeclaredBy,
        Self::CrossRef,
        Self::PartOf,
        Self::Installs,
        Self::InstanceOf,
        Self::ReceiptOf,
        Self::Drifted,
        Self::Retriggered,
        Self::IndexedBy,
        Self::Registers,
        Self::Owns,
        Self::RunOf,
        Self::ActsOn,
        Self::Triggered,
        Self::Decided,
    ];

    /// The number under which it is stored.
    #[must_use]
    pub fn code(self) -> i64 {
        self as i64
    }

    /// The kind of a stored number.
    #[must_use]
    pub fn of_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// The fields that declare edges. The number is how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The object's own name.
    Name = 1,
    /// An owner.
    Owner = 2,
    /// The label that names a result's execution.
    ExecutionLabel = 3,
    /// The label that names a result's pack.
    PackLabel = 4,
    /// A result's execution.
    Execution = 5,
    /// A result's predecessor.
    Previous = 6,
    /// The result that an execution reports.
    Report = 7,
    /// A pack.
    Pack = 8,
    /// The pack of a result's execution.
    PackOfExecution = 9,
    /// The cluster that a record acts on.
    Cluster = 10,
    /// The cluster that a drift signal is about.
    ClusterRef = 11,
    /// The clusters that a pack is meant for.
    Targets = 12,
    /// A profile of permissions.
    Profile = 13,
    /// The job of an execution.
    Job = 14,
    /// The job of a drift signal.
    CorrectionJob = 15,
    /// The base of a pack.
    Base = 16,
    /// What a pack was built from.
    Build = 17,
    /// A Helm chart.
    Chart = 18,
    /// A digest of the RBAC layer.
    RbacDigest = 19,
    /// A digest of the workload.
    WorkloadDigest = 20,
    /// A digest of the cluster-scoped layer.
    ClusterScopedDigest = 21,
    /// A digest in the registry.
    RegistryDigest = 22,
    /// The resources that were applied.
    Resources = 23,
    /// The artifacts that were produced.
    Artifacts = 24,
    /// The sealed causal chain.
    Lineage = 25,
    /// The label that names an operator.
    OperatorLabel = 26,
    /// Who declared the object.
    Principal = 27,
    /// The label that names a lineage index.
    IndexLabel = 28,
    /// What a lineage index is bound to.
    RootBinding = 29,
    /// What a lineage index registers.
    Descendants = 30,
    /// The instance that a receipt is of.
    Instance = 31,
    /// The receipt that a drift signal is about.
    Receipt = 32,
    /// The result of a cluster operation.
    ClusterResult = 33,
    /// The label that names who declared the object.
    PrincipalLabel = 34,
    /// The pack of a run.
    RunPack = 35,
    /// What a run acts on.
    RunSubjects = 36,
    /// Who created a run.
    RunCreator = 37,
    /// Who decided an approval of a run.
    RunApprovals = 38,
    /// What a run left behind.
    RunArtifacts = 39,
    /// The annotation that names the run which triggered an execution.
    RunAnnotation = 40,
}

impl Field {
    /// Its number and its path in the record.
    const ALL: [(Self, &'static str); 40] = [
        (Self::Name, "metadata.name"),
        (Self::Owner, "metadata.ownerReferences"),
        (Self::ExecutionLabel, "metadata.labels[ontai.dev/pack-execution]"),
        (Self::PackLabel, "metadata.labels[ontai.dev/cluster-pack]"),
        (Self::Execution, "spec.packExecutionRef"),
        (Self::Previous, "spec.previousRevisionRef"),
        (Self::Report, "status.operationResultRef"),
        (Self::Pack, "spec.clusterPackRef"),
        (Self::PackOfExecution, "spec.packExecutionRef -> spec.clusterPackRef"),
        (Self::Cluster, "spec.targetClusterRef"),
        (Self::ClusterRef, "spec.clusterRef"),
        (Self::Targets, "spec.targetClusters"),
        (Self::Profile, "spec.admissionProfileRef"),
        (Self::Job, "status.jobName"),
        (Self::CorrectionJob, "spec.correctionJobRef"),
        (Self::Base, "spec.basePackName"),
        (Self::Build, "spec.sourceBuildRef"),
        (Self::Chart, "spec.chartName"),
        (Self::RbacDigest, "spec.rbacDigest"),
        (Self::WorkloadDigest, "spec.workloadDigest"),
        (Self::ClusterScopedDigest, "spec.clusterScopedDigest"),
        (Self::RegistryDigest, "spec.registryRef.digest"),
        (Self::Resources, "spec.deployedResources"),
        (Self::Artifacts, "spec.artifacts"),
        (Self::Lineage, "spec.lineage"),
        (Self::OperatorLabel, "metadata.labels[infrastructure.ontai.dev/seam-operator]"),
        (Self::Principal, "metadata.annotations[infrastructure.ontai.dev/declaring-principal]"),
        (Self::IndexLabel, "metadata.labels[infrastructure.ontai.dev/root-ili]"),
        (Self::RootBinding, "spec.rootBinding"),
        (Self::Descendants, "spec.descendantRegistry"),
        (Self::Instance, "spec.packInstanceRef"),
        (Self::Receipt, "spec.receiptRef"),
        (Self::ClusterResult, "spec.talosClusterOperationResultRef"),
        (Self::PrincipalLabel, "metadata.labels[infrastructure.ontai.dev/actor-ref]"),
        (Self::RunPack, "run.pack"),
        (Self::RunSubjects, "run.subjects"),
        (Self::RunCreator, "run.createdBy"),
        (Self::RunApprovals, "run.approvals"),
        (Self::RunArtifacts, "run.artifacts"),
        (Self::RunAnnotation, "metadata.annotations[packtrail.dev/run-id]"),
    ];

    /// The number under which it is stored.
    #[must_use]
    pub fn code(self) -> i64 {
        self as i64
    }

    /// Whether a stored number is that of a field of a run. A run has no versions: what it says holds from a
    /// time on, which stands where the first version does of a record.
    #[must_use]
    pub fn is_of_run(code: i64) -> bool {
        (Self::RunPack.code()..=Self::RunArtifacts.code()).contains(&code)
    }

    /// The path of a stored number; empty for one that is none.
    #[must_use]
    pub fn path(code: i64) -> &'static str {
        Self::ALL.iter().find(|(field, _)| field.code() == code).map_or("", |(_, path)| path)
    }
}

/// The longest name of a vertex that is kept as it is, in bytes: the databases index names, within
/// bounds. Of a longer one its beginning is kept, and its digest tells it apart.
const MAX_NAME: usize = 512;

/// What an edge leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Vertex {
    /// An object, by its row.
    Object(i64),
    /// What has only names: see [`thing`], and a record that was never seen, by its natural key.
    Key(NaturalKey),
    /// The resources of the asserting version, on a cluster.
    Resources(NaturalKey),
}

/// The kinds of what records name that is no record.
pub mod thing {
    use super::{MAX_NAME, NaturalKey};
    use crate::domain::digest::Digest;
    use crate::domain::names::{Artifact, Named};

    /// A cluster.
    pub const CLUSTER: &str = "~cluster";
    /// What all versions of a pack are versions of.
    pub const PACK_FAMILY: &str = "~pack-family";
    /// The digest of a layer or an artifact.
    pub const DIGEST: &str = "~digest";
    /// What an operation produced: kind and reference, on a cluster.
    pub const ARTIFACT: &str = "~artifact";
    /// A Helm chart: URL, name and version.
    pub const CHART: &str = "~chart";
    /// What a pack was built from.
    pub const BUILD: &str = "~build";
    /// An operator.
    pub const OPERATOR: &str = "~operator";
    /// A principal.
    pub const PRINCIPAL: &str = "~principal";
    /// A record that was named with a uid and never seen.
    pub const UNSEEN: &str = "~unseen";
    /// A run of a task pack: of the tenant, whichever source names it.
    pub const RUN: &str = "~run";
    /// A task pack: name and version. Of the tenant, as runs are.
    pub const TASK_PACK: &str = "~task-pack";

    /// A name within bounds.
    #[must_use]
    pub fn bounded(name: &str) -> String {
        if name.len() <= MAX_NAME {
            return name.to_owned();
        }
        let mut end = MAX_NAME - 72;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}…{}", &name[..end], Digest::of_bytes(name.as_bytes()).hex())
    }

    fn key(kind: &str, cluster: &str, namespace: &str, name: &str) -> NaturalKey {
        NaturalKey {
            kind: kind.to_owned(),
            cluster: bounded(cluster),
            namespace: bounded(namespace),
            name: bounded(name),
        }
    }

    /// A cluster.
    #[must_use]
    pub fn cluster(name: &str) -> NaturalKey {
        key(CLUSTER, "", "", name)
    }

    /// A pack family.
    #[must_use]
    pub fn pack_family(name: &str) -> NaturalKey {
        key(PACK_FAMILY, "", "", name)
    }

    /// A digest: `sha256:<hex>`, for which bare hex of that length counts too; any other text as it is.
    #[must_use]
    pub fn digest(text: &str) -> NaturalKey {
        key(DIGEST, "", "", &normal_digest(text))
    }

    /// One spelling for one digest: records write it with and without its algorithm.
    #[must_use]
    pub fn normal_digest(text: &str) -> String {
        let is_hex = |hex: &str| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if is_hex(hex) { format!("sha256:{}", hex.to_ascii_lowercase()) } else { text.to_owned() }
    }

    /// An artifact.
    #[must_use]
    pub fn artifact(cluster: &str, artifact: &Artifact) -> NaturalKey {
        key(ARTIFACT, cluster, &artifact.kind, &artifact.reference)
    }

    /// A Helm chart.
    #[must_use]
    pub fn chart(url: &str, name: &str, version: &str) -> NaturalKey {
        key(CHART, version, url, name)
    }

    /// A task pack.
    #[must_use]
    pub fn task_pack(name: &str, version: &str) -> NaturalKey {
        key(TASK_PACK, version, "", name)
    }

    /// What has only a name.
    #[must_use]
    pub fn named(kind: &str, name: &str) -> NaturalKey {
        key(kind, "", "", name)
    }

    /// A record that was named with its uid and never seen.
    #[must_use]
    pub fn unseen(named: &Named) -> NaturalKey {
        let uid = named.uid.as_deref().unwrap_or_default();
        key(UNSEEN, uid, &named.namespace, &format!("{}/{}", named.kind, named.name))
    }

    /// Kind and name of a record that was never seen.
    #[must_use]
    pub fn unseen_names(name: &str) -> (&str, &str) {
        name.split_once('/').unwrap_or(("", name))
    }
}

/// One edge that a record asserts, for a stretch of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Declared {
    /// The row of the asserting object.
    pub object: i64,
    /// Whether the object is the effect: the edge runs from the other vertex to it.
    pub is_effect: bool,
    /// What it says.
    pub kind: EdgeKind,
    /// The other vertex.
    pub other: Vertex,
    /// The field that declares it.
    pub field: Field,
    /// What the field says beside the name: the version of a pack, of an operator.
    pub attribute: Option<String>,
    /// The number of the first version that says so, from 0.
    pub first: usize,
    /// The number of the last one; `None` while the latest version still does.
    pub last: Option<usize>,
}
