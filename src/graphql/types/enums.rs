//! Enums. Each that shows a record's own word has `UNKNOWN` for words that are not in the contract yet,
//! and stands beside a field with the word itself.

use async_graphql::Enum;

use crate::domain::findings;
use crate::domain::history::End;
use crate::domain::sequence;
use crate::graphql::written::written_enums;
use crate::storage;

/// Defines an enum of words that records use.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ } $(#[$unknown:meta])*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            $(#[$unknown])*
            Unknown,
        }

        impl $name {
            /// The value for a word.
            #[must_use]
            pub fn of(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    _ => Self::Unknown,
                }
            }

            /// The word of a value; `None` for `UNKNOWN`.
            #[must_use]
            pub fn word(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($word),)+
                    Self::Unknown => None,
                }
            }
        }
    };
}

words! {
    /// How an operation, or one of its steps, ended.
    OperationStatus {
        /// It did what it should.
        Succeeded = "Succeeded",
        /// It did not.
        Failed = "Failed",
    }
    /// Another word than the contract has, or none.
}

words! {
    /// The domain of a failure.
    FailureCategory {
        /// The input was invalid.
        ValidationFailure = "ValidationFailure",
        /// The executor has no such capability.
        CapabilityUnavailable = "CapabilityUnavailable",
        /// The capability failed while it ran.
        ExecutionFailure = "ExecutionFailure",
        /// Something outside, such as a registry, failed.
        ExternalDependencyFailure = "ExternalDependencyFailure",
        /// A promise of the platform would have been broken.
        InvariantViolation = "InvariantViolation",
        /// The licence does not cover it.
        LicenseViolation = "LicenseViolation",
        /// Storage could not be reached.
        StorageUnavailable = "StorageUnavailable",
    }
    /// Another word than the contract has, or none.
}

words! {
    /// What an artifact is.
    ArtifactKind {
        /// A `ConfigMap`, referenced as `namespace/name`.
        ConfigMap = "ConfigMap",
        /// A Secret, referenced as `namespace/name`.
        Secret = "Secret",
        /// An OCI image, referenced as `repository[:tag]@digest`.
        OciImage = "OCIImage",
        /// An object in S3, referenced as `s3://bucket/key`.
        S3Object = "S3Object",
    }
    /// Another word than the contract has, or none.
}

words! {
    /// Whether the cluster still is as the pack left it.
    DriftStatus {
        /// It is.
        InSync = "InSync",
        /// It is not.
        Drifted = "Drifted",
    }
    /// The cluster does not know, or says a word that the contract does not have.
}

words! {
    /// Why an object was created, as its sealed causal chain says.
    CreationRationale {
        /// A cluster was provisioned.
        ClusterProvision = "ClusterProvision",
        /// A cluster was taken down.
        ClusterDecommission = "ClusterDecommission",
        /// Security policy was enforced.
        SecurityEnforcement = "SecurityEnforcement",
        /// A pack was executed.
        PackExecution = "PackExecution",
        /// Virtualization was asked for and provided.
        VirtualizationFulfillment = "VirtualizationFulfillment",
        /// A conductor was assigned.
        ConductorAssignment = "ConductorAssignment",
        /// A query interface was bound.
        VortexBinding = "VortexBinding",
    }
    /// Another word than the platform's vocabulary has, or none.
}

words! {
    /// A stage of applying a pack. The values stand in the order in which stages run.
    PackStage {
        /// Roles and their bindings.
        Rbac = "rbac",
        /// Storage classes and claims.
        Storage = "storage",
        /// Workloads that keep state.
        Stateful = "stateful",
        /// Workloads that keep none.
        Stateless = "stateless",
    }
    /// Another stage than the platform knows.
}

words! {
    /// The status of a condition.
    ConditionStatus {
        /// It holds.
        True = "True",
        /// It does not hold.
        False = "False",
    }
    /// The controller cannot tell, or says a word that Kubernetes does not have.
}

words! {
    /// How the version of an installed pack moved with its last deployment.
    UpgradeDirection {
        /// It was deployed for the first time.
        Initial = "Initial",
        /// To a newer version.
        Upgrade = "Upgrade",
        /// To an older version.
        Rollback = "Rollback",
        /// The same version was applied again.
        Redeploy = "Redeploy",
    }
    /// Another word than the operators have, or none.
}

words! {
    /// What an installed pack does while a pack that it depends on has drifted.
    DependencyDriftPolicy {
        /// Nothing more is deployed on the cluster.
        Block = "Block",
        /// A warning is given.
        Warn = "Warn",
        /// Nothing is done.
        Ignore = "Ignore",
    }
    /// Another word than the operators have, or none.
}

words! {
    /// How far a drift signal got.
    DriftSignalState {
        /// It was written on the tenant cluster.
        Pending = "pending",
        /// The management cluster has it.
        Delivered = "delivered",
        /// A correction was asked for.
        Queued = "queued",
        /// The correction was confirmed: the end.
        Confirmed = "confirmed",
    }
    /// Another word than the operators have, or none.
}

words! {
    /// How a derived object of a lineage index ended.
    LineageOutcomeType {
        /// It did what it should.
        Succeeded = "Succeeded",
        /// It did not.
        Failed = "Failed",
        /// It is not any more as it was left.
        Drifted = "Drifted",
        /// Another took its place.
        Superseded = "Superseded",
    }
    /// Another word than the operators have, or none.
}

words! {
    /// What a finding says. A finding is open while its cause holds.
    FindingCode {
        /// Revisions between seen ones were never seen.
        RevisionGap = "REVISION_GAP",
        /// Revisions before the first seen one were never seen.
        StartedLate = "STARTED_LATE",
        /// Two results claim one place in a chain.
        RevisionFork = "REVISION_FORK",
        /// A reference to a predecessor cannot be true.
        BrokenLink = "BROKEN_LINK",
        /// More than one spec was seen under one uid.
        SpecRewritten = "SPEC_REWRITTEN",
        /// More than one live result of a sequence is not superseded.
        TwoActives = "TWO_ACTIVES",
        /// An object lives after its deletion was seen.
        Resurrected = "RESURRECTED",
        /// A status contradicts the steps or the failure reason.
        StatusInconsistent = "STATUS_INCONSISTENT",
        /// Completed before it started.
        TimeInconsistent = "TIME_INCONSISTENT",
        /// A pack's version moved backwards.
        VersionRegressed = "VERSION_REGRESSED",
        /// A result whose execution was never seen.
        OrphanResult = "ORPHAN_RESULT",
        /// An execution whose pack was never seen.
        OrphanExecution = "ORPHAN_EXECUTION",
        /// A receipt says that the signature did not verify: a security incident.
        ReceiptUnverified = "RECEIPT_UNVERIFIED",
        /// A receipt says that its cluster drifted.
        ReceiptDrifted = "RECEIPT_DRIFTED",
        /// Two live receipts for one delivery.
        DuplicateReceipt = "DUPLICATE_RECEIPT",
        /// An execution names another version than its pack had.
        PackVersionMismatch = "PACK_VERSION_MISMATCH",
        /// Chart or Helm fields differ along the way.
        ChartMismatch = "CHART_MISMATCH",
        /// A receipt's layer digest is carried by no version of its pack.
        LayerDigestMismatch = "LAYER_DIGEST_MISMATCH",
        /// A receipt's signature is none that its instance ever had.
        SignatureMismatch = "SIGNATURE_MISMATCH",
        /// An execution ran while its pack was not signed.
        ExecutedUnsigned = "EXECUTED_UNSIGNED",
        /// An execution ran while its pack was revoked.
        ExecutedRevoked = "EXECUTED_REVOKED",
        /// The runs of a task pack miss what it aims at.
        ObjectiveMissed = "OBJECTIVE_MISSED",
        /// An execution reports a result that was never seen.
        DanglingResultRef = "DANGLING_RESULT_REF",
    }
    /// A code that a newer version of this server raised.
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[graphql(remote = "findings::Severity")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Should be looked at.
    Warning,
    /// The records contradict each other.
    Error,
    /// A security incident.
    Critical,
}

/// Whether findings stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Enum)]
pub enum FindingState {
    /// Their cause holds.
    #[default]
    Open,
    /// Their cause held, and holds no more.
    Closed,
    /// Either.
    All,
}

impl From<FindingState> for storage::FindingState {
    fn from(state: FindingState) -> Self {
        match state {
            FindingState::Open => Self::Open,
            FindingState::Closed => Self::Cleared,
            FindingState::All => Self::All,
        }
    }
}

/// How whole a chain is; where several hold, the worst, from last to first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[graphql(remote = "sequence::ChainStatus")]
pub enum ChainStatus {
    /// Every revision from the first to the head is known.
    Complete,
    /// The first revisions are missing: the server came late.
    StartedLate,
    /// Revisions between known ones are missing.
    Incomplete,
    /// A reference cannot be true.
    Broken,
    /// Two results claim one place.
    Forked,
    /// A result was rewritten after it was sealed.
    Conflicted,
}

/// Where revisions are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[graphql(remote = "sequence::GapKind")]
pub enum GapKind {
    /// Between seen revisions.
    Hole,
    /// Below the lowest seen revision.
    BeforeFirstSeen,
}

/// How a record was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
pub enum ClosedBy {
    /// Its deletion was seen.
    Deleted,
    /// A complete listing did not have it.
    Snapshot,
    /// Its owner was closed: the cluster's garbage collection.
    Owner,
    /// A younger object took its name.
    Successor,
}

impl ClosedBy {
    /// The closing that an ending is; `None` where the record went on with another version.
    #[must_use]
    pub fn of(end: End) -> Option<Self> {
        match end {
            End::Changed => None,
            End::Deleted => Some(Self::Deleted),
            End::Snapshot => Some(Self::Snapshot),
            End::Owner => Some(Self::Owner),
            End::Successor => Some(Self::Successor),
        }
    }
}

/// How a version ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
#[graphql(remote = "End")]
pub enum VersionEnd {
    /// Another content followed.
    Changed,
    /// The record's deletion was seen.
    Deleted,
    /// A complete listing did not have the record.
    Snapshot,
    /// The record's owner was closed.
    Owner,
    /// A younger object took the record's name.
    Successor,
}

written_enums![ChainStatus, ClosedBy, DriftStatus, FindingCode, OperationStatus, Severity, VersionEnd];
