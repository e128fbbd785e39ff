//! Drift signals.

use async_graphql::SimpleObject;
use serde_json::Value;

use super::enums::DriftSignalState;
use super::pack_receipt::PackReceipt;
use super::record::{Recorded, record_object};
use crate::domain::identity::{NaturalKey, RECEIPT_NAMESPACE};
use crate::domain::kind;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::scalar::{DateTime, Int53};
use crate::service::query::{Identity, Which, member_text};

/// What a drift signal says has drifted.
#[derive(Debug, Clone, SimpleObject)]
pub struct DriftedResource {
    /// Its API version, where the record has it.
    api_version: Option<String>,
    /// Its API group, where the record has that alone.
    group: Option<String>,
    /// Its kind.
    kind: Option<String>,
    /// Its namespace; null for cluster-scoped resources.
    namespace: Option<String>,
    /// Its name.
    name: Option<String>,
}

record_object! {
    /// A cluster's signal that something is not any more as its pack left it, on its way to a correction.
    DriftSignal {
        /// The cluster that drifted.
        async fn target_cluster_ref(&self) -> Option<&str> {
            self.0.record.content.facts.cluster.as_deref()
        }

        /// The name of the receipt of the pack that drifted.
        async fn receipt_ref(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "receiptRef"]).await
        }

        /// The newest receipt of that name on that cluster; null while it was never seen.
        async fn receipt(&self) -> Result<Option<PackReceipt>, ApiError> {
            let Some(name) = self.0.text(&["spec", "receiptRef"]).await? else { return Ok(None) };
            let cluster = self.0.record.content.facts.cluster.clone().unwrap_or_default();
            let key = NaturalKey { cluster, ..NaturalKey::new(kind::RECEIPT, RECEIPT_NAMESPACE, &name) };
            let found = self.0.view.load(Identity { source: self.0.record.source, key, which: Which::Newest }).await?;
            Ok(found.map(|record| PackReceipt(Recorded::new(&self.0.view, record))))
        }

        /// What drifted; null where the record does not say.
        async fn affected_resource(&self) -> Result<Option<DriftedResource>, ApiError> {
            let body = self.0.body().await?;
            let named = ["affectedResource", "affectedCRRef"].iter().find_map(|name| body.at(&["spec", name]));
            Ok(named.and_then(Value::as_object).map(|named| DriftedResource {
                api_version: member_text(named, "apiVersion"),
                group: member_text(named, "group"),
                kind: member_text(named, "kind"),
                namespace: member_text(named, "namespace").filter(|namespace| !namespace.is_empty()),
                name: member_text(named, "name"),
            }))
        }

        /// How far the signal got.
        async fn state(&self) -> Result<DriftSignalState, ApiError> {
            let word = self.0.text(&["spec", "state"]).await?;
            Ok(DriftSignalState::of(word.as_deref().unwrap_or_default()))
        }

        /// The word that the record has for it.
        async fn state_raw(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "state"]).await
        }

        /// How often the signal was sent again without an answer.
        async fn escalation_counter(&self) -> Result<Option<Int53>, ApiError> {
            Ok(self.0.body().await?.int(&["spec", "escalationCounter"]).map(Int53))
        }

        /// What tells this drift from others, where the record carries it.
        async fn correlation_id(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "correlationID"]).await
        }

        /// When the cluster first saw the drift, where the record says so.
        async fn drift_observed_at(&self) -> Result<Option<DateTime>, ApiError> {
            Ok(self.0.body().await?.time(&["spec", "observedAt"]).map(DateTime))
        }

        /// Why it counts as drift, for people.
        async fn drift_reason(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "driftReason"]).await
        }

        /// The Job that corrects it.
        async fn correction_job_ref(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "correctionJobRef"]).await
        }
    }
}

impl Listed for DriftSignal {
    const NAME: &'static str = "DriftSignal";
}
