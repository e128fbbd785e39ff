//! Executions.

use super::chain::RevisionChain;
use super::common::{HelmChart, chart};
use super::record::record_object;
use super::reference::RecordRef;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::rows::{LateField, One, PlainField, late, plain};
use crate::service::query::{ChainPick, Relation, SequenceName};

record_object! {
    /// A request to apply one pack to one cluster. Executions are deleted and made again under the same
    /// name; each begins an epoch of its sequence.
    PackExecution {
        /// The pack, with the version that the execution expects.
        async fn cluster_pack(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Pack).await
        }

        /// The cluster to deploy to.
        async fn target_cluster_ref(&self) -> Option<&str> {
            self.0.record.content.facts.cluster.as_deref()
        }

        /// The `RBACProfile` that governs the execution.
        async fn admission_profile_ref(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "admissionProfileRef"]).await
        }

        /// The chart that is deployed; null for packs that are no charts.
        async fn chart(&self) -> Result<Option<HelmChart>, ApiError> {
            Ok(chart(&*self.0.body().await?))
        }

        /// The Job that was submitted.
        async fn job_name(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["status", "jobName"]).await
        }

        /// The result that the execution reports. It may never have been seen.
        async fn operation_result(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Report).await
        }

        /// The chain of results of this very execution; null while there are none.
        async fn revision_chain(&self) -> Result<Option<RevisionChain>, ApiError> {
            let key = &self.0.record.key;
            let Some(uid) = self.0.record.uid.clone() else { return Ok(None) };
            let sequence = SequenceName {
                source: self.0.record.source,
                namespace: key.namespace.clone(),
                name: key.name.clone(),
            };
            RevisionChain::find(&self.0.view, sequence, &ChainPick::Uid(uid)).await
        }
    }
}

impl Listed for PackExecution {
    const NAME: &'static str = "PackExecution";
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[Self::RECORD_PLAIN, plain![target_cluster_ref]];
    const LATE: &'static [LateField<Self>] = late![cluster_pack, operation_result, revision_chain];
}
