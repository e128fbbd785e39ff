//! Results.

use std::sync::Arc;

use async_graphql::SimpleObject;
use serde_json::{Map, Value};

use super::chain::RevisionChain;
use super::cluster_pack::{PackLayer, layers};
use super::common::{AppliedResource, OperationStep, applied_resources, duration_ms, steps};
use super::enums::{ArtifactKind, FailureCategory, OperationStatus};
use super::listing::part_of_record;
use super::record::{Recorded, record_object};
use super::reference::RecordRef;
use super::sequence::OperationSequence;
use crate::domain::facts::{Detail, ResultFacts};
use crate::graphql::connection::{Connection, Listed, PageArgs};
use crate::graphql::error::ApiError;
use crate::graphql::rows::{LateField, One, PlainField, late, plain};
use crate::graphql::scalar::{DateTime, Int53};
use crate::graphql::view::PositionKey;
use crate::service::query::{Body, Position, Relation, member_text};

/// Why an operation failed.
#[derive(Debug, Clone, SimpleObject)]
pub struct FailureReason {
    /// The domain of the failure.
    category: FailureCategory,
    /// The word that the record has for it.
    category_raw: Option<String>,
    /// What happened, in the words of the program that failed.
    reason: Option<String>,
    /// The step that failed.
    failed_step: Option<String>,
}

/// A reference to something that an operation made. Never the thing itself.
#[derive(Debug, Clone, SimpleObject)]
pub struct OperationArtifact {
    /// Its name within the result.
    name: Option<String>,
    /// What it is.
    kind: ArtifactKind,
    /// The word that the record has for it.
    kind_raw: Option<String>,
    /// Where it is, in the form of its kind.
    reference: Option<String>,
    /// Its checksum, as the record has it.
    checksum: Option<String>,
}

impl From<&Map<String, Value>> for OperationArtifact {
    fn from(artifact: &Map<String, Value>) -> Self {
        let kind_raw = member_text(artifact, "kind");
        Self {
            name: member_text(artifact, "name"),
            kind: ArtifactKind::of(kind_raw.as_deref().unwrap_or_default()),
            kind_raw,
            reference: member_text(artifact, "reference"),
            checksum: member_text(artifact, "checksum"),
        }
    }
}

/// `spec.failureReason`.
#[must_use]
pub fn failure_reason(body: &Body) -> Option<FailureReason> {
    body.at(&["spec", "failureReason"]).filter(|reason| reason.is_object())?;
    let text = |name| body.text(&["spec", "failureReason", name]);
    let category_raw = text("category");
    Some(FailureReason {
        category: FailureCategory::of(category_raw.as_deref().unwrap_or_default()),
        category_raw,
        reason: text("reason"),
        failed_step: text("failedStep"),
    })
}

record_object! {
    /// The result of one run of a capability, most often the deployment of a pack. Results of one
    /// execution name form a sequence; a later one supersedes the earlier.
    PackOperationResult {
        /// The place in the chain, from 1; 0 where the record has none.
        async fn revision(&self) -> Int53 {
            Int53(self.facts().map_or(0, |facts| facts.revision))
        }

        /// The predecessor in the chain. Null for a first revision.
        async fn previous(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Previous { version: self.0.record.content.n }).await
        }

        /// Reserved by the contract for a result of the cluster's own operations.
        async fn talos_cluster_operation_result_ref(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "talosClusterOperationResultRef"]).await
        }

        /// The execution that the result is of: its owner, else the one that it names.
        async fn pack_execution(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Execution).await
        }

        /// The pack that was deployed; where an early failure names none, that of the execution.
        async fn cluster_pack(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Pack).await
        }

        /// The pack's version, where the record carries it.
        async fn cluster_pack_version(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "clusterPackVersion"]).await
        }

        /// The digest of the RBAC layer, where the record carries it: an anchor for rollbacks.
        async fn rbac_digest(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "rbacDigest"]).await
        }

        /// The digest of the workload layer, where the record carries it: an anchor for rollbacks.
        async fn workload_digest(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "workloadDigest"]).await
        }

        /// The layers that were applied, with their roles, as far as the record carries their digests.
        async fn layers(&self) -> Result<Vec<PackLayer>, ApiError> {
            Ok(layers(&*self.0.body().await?))
        }

        /// The cluster that the operation ran against.
        async fn target_cluster_ref(&self) -> Option<&str> {
            self.0.record.content.facts.cluster.as_deref()
        }

        /// The capability that ran, such as `pack-deploy`.
        async fn capability(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.capability.as_deref())
        }

        /// The phase of the `RunnerConfig` that the result belongs to.
        async fn phase(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "phase"]).await
        }

        /// How the operation ended.
        async fn status(&self) -> OperationStatus {
            OperationStatus::of(self.facts().and_then(|facts| facts.status.as_deref()).unwrap_or_default())
        }

        /// The word that the record has for it.
        async fn status_raw(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.status.as_deref())
        }

        /// When the operation began.
        async fn started_at(&self) -> Option<DateTime> {
            self.facts().and_then(|facts| facts.started).map(DateTime)
        }

        /// When the operation ended.
        async fn completed_at(&self) -> Option<DateTime> {
            self.facts().and_then(|facts| facts.completed).map(DateTime)
        }

        /// How long the operation took, in milliseconds; null where a time is missing or the end is before
        /// the start.
        async fn duration_ms(&self) -> Option<Int53> {
            let facts = self.facts()?;
            duration_ms(facts.started.map(DateTime), facts.completed.map(DateTime))
        }

        /// Why the operation failed; null where the record gives no reason.
        async fn failure_reason(&self) -> Result<Option<FailureReason>, ApiError> {
            Ok(failure_reason(&*self.0.body().await?))
        }

        /// The resources that were applied, in the order of the record. Null where the record does not
        /// list them: that says *unknown*, not *none*.
        async fn deployed_resources(
            &self,
            #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
            #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
            #[graphql(desc = "How many, from the end.")] last: Option<i32>,
            #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
        ) -> Result<Option<Connection<AppliedResource>>, ApiError> {
            deployed_resources(&self.0, &["spec", "deployedResources"], PageArgs::new(first, after, last, before)).await
        }

        /// References to what the operation made.
        async fn artifacts(&self) -> Result<Vec<OperationArtifact>, ApiError> {
            Ok(self.0.body().await?.objects(&["spec", "artifacts"]).map(Into::into).collect())
        }

        /// The steps of the operation.
        async fn steps(&self) -> Result<Vec<OperationStep>, ApiError> {
            Ok(steps(&*self.0.body().await?))
        }

        /// Whether the operators labelled the result as superseded.
        async fn superseded(&self) -> bool {
            self.facts().is_some_and(|facts| facts.superseded)
        }

        /// The sequence that the result is of.
        async fn sequence(&self) -> Result<Option<OperationSequence>, ApiError> {
            let position = self.position().await?;
            Ok(position.map(|position| OperationSequence::new(&self.0.view, position.epoch.sequence.clone())))
        }

        /// The chain that the result is in.
        async fn chain(&self) -> Result<Option<RevisionChain>, ApiError> {
            Ok(self.position().await?.map(|position| RevisionChain::new(&self.0.view, position.epoch.clone())))
        }

        /// The rank of the result's epoch, from 1. It changes when older epochs become known.
        async fn epoch(&self) -> Result<Option<Int53>, ApiError> {
            Ok(self.position().await?.map(|position| Int53(position.epoch.rank)))
        }

        /// The identity of the result's epoch: the uid of its execution where that is known.
        async fn epoch_uid(&self) -> Result<Option<String>, ApiError> {
            Ok(self.position().await?.map(|position| position.epoch.uid.clone()))
        }
    }
}

impl PackOperationResult {
    fn facts(&self) -> Option<&ResultFacts> {
        match &self.0.record.content.facts.detail {
            Detail::Result(facts) => Some(facts),
            _ => None,
        }
    }

    async fn position(&self) -> Result<Option<Arc<Position>>, ApiError> {
        self.0.view.load(PositionKey(self.0.record.object)).await
    }
}

impl Listed for PackOperationResult {
    const NAME: &'static str = "PackOperationResult";
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[
        Self::RECORD_PLAIN,
        plain![revision, target_cluster_ref, capability, status, status_raw, started_at, completed_at, superseded],
    ];
    const LATE: &'static [LateField<Self>] = late![cluster_pack, pack_execution, previous];
}

/// A page of the resources that a record lists as deployed; `None` where it does not.
///
/// # Errors
/// If the store fails, or the page cannot be had.
pub async fn deployed_resources(
    recorded: &Recorded,
    path: &[&str],
    page: PageArgs,
) -> Result<Option<Connection<AppliedResource>>, ApiError> {
    let body = recorded.body().await?;
    if !body.at(path).is_some_and(Value::is_array) {
        return Ok(None);
    }
    part_of_record(recorded, "deployedResources", applied_resources(&body, path), &page).await.map(Some)
}
