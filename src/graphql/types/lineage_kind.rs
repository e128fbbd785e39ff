//! The kinds of nodes and edges of the lineage graph.

use async_graphql::Enum;

use crate::domain::identity::SEQUENCE;
use crate::domain::kind;
use crate::domain::lineage::{EdgeKind, thing};
use crate::graphql::written::written_enums;
use crate::storage::{FOUND_CLUSTER, FOUND_FAMILY, FOUND_RESOURCE};

/// The kinds of things that are linked by lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
pub enum LineageNodeKind {
    /// A cluster.
    Cluster,
    /// A pack of one version.
    ClusterPack,
    /// All packs of one base.
    PackFamily,
    /// A request to apply a pack to a cluster.
    PackExecution,
    /// The result of an operation.
    OperationResult,
    /// All results of one execution name.
    OperationSequence,
    /// A pack as installed on a cluster.
    PackInstance,
    /// What a cluster acknowledged.
    PackReceipt,
    /// A resource that results applied.
    DeployedResource,
    /// An artifact, or the digest of one.
    Artifact,
    /// A Helm chart.
    HelmChart,
    /// A profile of permissions.
    RbacProfile,
    /// The job that ran an execution.
    Job,
    /// The root of a causal chain.
    RootDeclaration,
    /// The operator that created something.
    Operator,
    /// Somebody who declared something.
    Principal,
    /// What a pack was built from.
    SourceBuild,
    /// The signal that asks for a redeployment after drift.
    DriftSignal,
    /// A run of a task pack.
    Run,
    /// A task pack of one version.
    TaskPack,
    /// A record of any other kind.
    Record,
}

/// The kinds that records have, and under which canonical kind they are stored.
const RECORDS: [(&str, LineageNodeKind); 9] = [
    (kind::PACK, LineageNodeKind::ClusterPack),
    (kind::EXECUTION, LineageNodeKind::PackExecution),
    (kind::RESULT, LineageNodeKind::OperationResult),
    (kind::INSTANCE, LineageNodeKind::PackInstance),
    (kind::RECEIPT, LineageNodeKind::PackReceipt),
    (kind::LINEAGE_INDEX, LineageNodeKind::RootDeclaration),
    (kind::DRIFT_SIGNAL, LineageNodeKind::DriftSignal),
    ("RBACProfile", LineageNodeKind::RbacProfile),
    ("Job.batch", LineageNodeKind::Job),
];

/// The kinds that are no records. A family is stored under two names, in the index and in the graph.
const THINGS: [(&str, LineageNodeKind); 13] = [
    (FOUND_CLUSTER, LineageNodeKind::Cluster),
    (FOUND_FAMILY, LineageNodeKind::PackFamily),
    (FOUND_RESOURCE, LineageNodeKind::DeployedResource),
    (thing::PACK_FAMILY, LineageNodeKind::PackFamily),
    (SEQUENCE, LineageNodeKind::OperationSequence),
    (thing::DIGEST, LineageNodeKind::Artifact),
    (thing::ARTIFACT, LineageNodeKind::Artifact),
    (thing::CHART, LineageNodeKind::HelmChart),
    (thing::OPERATOR, LineageNodeKind::Operator),
    (thing::PRINCIPAL, LineageNodeKind::Principal),
    (thing::BUILD, LineageNodeKind::SourceBuild),
    (thing::RUN, LineageNodeKind::Run),
    (thing::TASK_PACK, LineageNodeKind::TaskPack),
];

impl LineageNodeKind {
    /// The kind of what is stored under a kind.
    #[must_use]
    pub fn of(stored: &str) -> Self {
        let mut known = RECORDS.iter().chain(&THINGS);
        known.find(|(name, _)| *name == stored).map_or(Self::Record, |(_, kind)| *kind)
    }

    /// The stored kinds of kinds, and with [`Self::Record`] those that it is not.
    #[must_use]
    pub fn stored(kinds: &[Self]) -> (Vec<String>, Option<Vec<String>>) {
        let known = RECORDS.iter().chain(&THINGS).filter(|(_, kind)| kinds.contains(kind));
        let beside =
            kinds.contains(&Self::Record).then(|| RECORDS.iter().map(|(name, _)| (*name).to_owned()).collect());
        (known.map(|(name, _)| (*name).to_owned()).collect(), beside)
    }
}

/// What an edge of the lineage graph says. Edges run from cause to effect, whichever of the two records
/// has the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[graphql(remote = "EdgeKind")]
pub enum LineageEdgeKind {
    /// A result → the result that came after it in its chain.
    Supersedes,
    /// An execution → its result.
    ResultOf,
    /// An execution → the result that it reports.
    Reports,
    /// A pack → the result of deploying it.
    Deployed,
    /// An execution, result, receipt, instance or drift signal → the cluster that it acts on.
    Targets,
    /// A pack → an execution of it.
    Executes,
    /// A profile of permissions → the execution that it admitted.
    AdmittedBy,
    /// An execution or drift signal → the job that ran for it.
    RanAs,
    /// A pack → a cluster that it is meant for.
    IntendedFor,
    /// A pack family → a version of it.
    VersionOf,
    /// A source build → the pack made of it.
    BuiltFrom,
    /// A Helm chart → the pack made of it.
    RenderedFrom,
    /// A digest → the pack or receipt that has a layer with it, or the result of deploying one.
    HasLayer,
    /// A pack → the receipt that acknowledges it.
    Acknowledges,
    /// A result → a resource that it applied.
    Applied,
    /// A result → an artifact that it produced; of one that is about no pack, also its digest.
    Produced,
    /// A root declaration or lineage index → what was derived from it.
    DerivedFrom,
    /// An operator → what it made.
    CreatedBy,
    /// A principal → what they declared.
    DeclaredBy,
    /// A result → the result of the cluster operation that it refers to.
    CrossRef,
    /// A sequence → its executions and results.
    PartOf,
    /// An execution → the instance that it installed.
    Installs,
    /// A pack → the instance of it.
    InstanceOf,
    /// An instance → the receipt for it.
    ReceiptOf,
    /// A receipt → the drift signal about it.
    Drifted,
    /// A drift signal → the execution that was redone because of it.
    Retriggered,
    /// A root declaration → its lineage index.
    IndexedBy,
    /// A lineage index → a descendant that it registers.
    Registers,
    /// An execution → any other record that it owns.
    Owns,
    /// A task pack → a run of it.
    RunOf,
    /// A run → what its creator said that it acts on.
    ActsOn,
    /// A run → the execution that it triggered.
    Triggered,
    /// A principal → the run of which they decided an approval.
    Decided,
}

written_enums![LineageNodeKind, LineageEdgeKind];
