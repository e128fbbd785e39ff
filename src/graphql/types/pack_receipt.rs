//! Receipts.

use serde_json::Value;

use super::cluster_pack::{PackLayer, layers};
use super::common::{AppliedResource, HelmChart, chart};
use super::drift::{DriftObservation, drift_history};
use super::enums::DriftStatus;
use super::operation_result::deployed_resources;
use super::record::record_object;
use super::reference::RecordRef;
use super::security::{DegradedSecurityState, SignatureClaim, SignaturePlace, degraded_security_state};
use crate::domain::facts::{Detail, ReceiptFacts};
use crate::domain::time::parse_rfc3339;
use crate::graphql::connection::{Connection, Listed, PageArgs};
use crate::graphql::error::ApiError;
use crate::graphql::rows::{LateField, One, PlainField, late, plain};
use crate::graphql::scalar::DateTime;
use crate::service::query::Relation;

/// Where receipts carry the signature: in the published contract, and as the operators write it.
const SIGNATURES: &[(SignaturePlace, &[&str])] = &[
    (SignaturePlace::Spec, &["spec", "packSignature"]),
    (SignaturePlace::Status, &["status", "signature"]),
    (SignaturePlace::Annotation, &["metadata", "annotations", "infrastructure.ontai.dev/management-signature"]),
    (SignaturePlace::LegacyAnnotation, &["metadata", "annotations", "runner.ontai.dev/management-signature"]),
];

record_object! {
    /// What a target cluster acknowledged: that a pack was delivered, and whether its signature held.
    PackReceipt {
        /// The cluster that the receipt is of.
        async fn target_cluster_ref(&self) -> Option<&str> {
            self.0.record.content.facts.cluster.as_deref()
        }

        /// The pack that was delivered, with its version where the record carries it.
        async fn cluster_pack(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Pack).await
        }

        /// The instance that the receipt is of: the one that it names, else the one of its own name.
        async fn pack_instance(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Instance).await
        }

        /// The signature that the cluster checked, base64.
        async fn pack_signature(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.signature.as_deref())
        }

        /// The Secret that the signature was read from.
        async fn signature_ref(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "signatureRef"]).await
        }

        /// Whether the cluster says that the signature held: a claim, not our verdict. False is a
        /// security incident.
        async fn signature_verified(&self) -> Option<bool> {
            self.facts().and_then(|facts| facts.verified)
        }

        /// Why the signature did not hold.
        async fn verification_failed_reason(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["status", "verificationFailedReason"]).await
        }

        /// What the cluster says of the signature that it checked. Nothing of it is our verdict.
        async fn signature_claim(&self) -> Result<Option<SignatureClaim>, ApiError> {
            let body = self.0.body().await?;
            let claim = SignatureClaim {
                signature_ref: body.text(&["spec", "signatureRef"]),
                verified: self.facts().and_then(|facts| facts.verified),
                failure_reason: body.text(&["status", "verificationFailedReason"]),
                ..SignatureClaim::at(&body, SIGNATURES)
            };
            Ok(claim.some())
        }

        /// The layers that were delivered, with their roles, as far as the record carries their digests.
        async fn layers(&self) -> Result<Vec<PackLayer>, ApiError> {
            Ok(layers(&*self.0.body().await?))
        }

        /// The digest of the RBAC layer.
        async fn rbac_digest(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.rbac_digest.as_deref())
        }

        /// The digest of the workload layer.
        async fn workload_digest(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.workload_digest.as_deref())
        }

        /// The chart that was delivered; null for packs that are no charts.
        async fn chart(&self) -> Result<Option<HelmChart>, ApiError> {
            Ok(chart(&*self.0.body().await?))
        }

        /// The resources that were applied, in the order of the record; null where it does not list them.
        async fn deployed_resources(
            &self,
            #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
            #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
            #[graphql(desc = "How many, from the end.")] last: Option<i32>,
            #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
        ) -> Result<Option<Connection<AppliedResource>>, ApiError> {
            deployed_resources(&self.0, &["spec", "deployedResources"], PageArgs::new(first, after, last, before)).await
        }

        /// When the cluster first acknowledged the delivery.
        async fn delivered_at(&self) -> Result<Option<DateTime>, ApiError> {
            Ok(self.0.body().await?.time(&["status", "deliveredAt"]).map(DateTime))
        }

        /// Whether the cluster acknowledges the delivery, where the record says so.
        async fn acknowledged(&self) -> Result<Option<bool>, ApiError> {
            Ok(self.0.body().await?.flag(&["status", "acknowledged"]))
        }

        /// What the cluster says of a degraded security state; null where it says nothing.
        async fn degraded_security_state(&self) -> Result<Option<DegradedSecurityState>, ApiError> {
            Ok(degraded_security_state(&*self.0.body().await?))
        }

        /// Whether the cluster still is as the pack left it; null where the record does not say.
        async fn drift_status(&self) -> Option<DriftStatus> {
            self.facts().and_then(|facts| facts.drift.as_deref()).map(DriftStatus::of)
        }

        /// The word that the record has for it.
        async fn drift_status_raw(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.drift.as_deref())
        }

        /// What drifted, for people.
        async fn drift_summary(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["status", "driftSummary"]).await
        }

        /// What each version of the receipt says of drift, oldest first.
        async fn drift_history(
            &self,
            #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
            #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
            #[graphql(desc = "How many, from the end.")] last: Option<i32>,
            #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
        ) -> Result<Connection<DriftObservation>, ApiError> {
            drift_history(&self.0, PageArgs::new(first, after, last, before)).await
        }

        /// When the cluster last looked for drift. A live value, outside of the ledger: null under `asOf`.
        async fn last_drift_check_at(&self) -> Result<Option<DateTime>, ApiError> {
            if !self.0.view.scope().is_live() {
                return Ok(None);
            }
            match self.heartbeat("lastDriftCheckAt") {
                Some(time) => Ok(Some(time)),
                None => Ok(self.0.body().await?.time(&["status", "lastDriftCheckAt"]).map(DateTime)),
            }
        }

    }
}

impl PackReceipt {
    fn facts(&self) -> Option<&ReceiptFacts> {
        match &self.0.record.content.facts.detail {
            Detail::Receipt(facts) => Some(facts),
            _ => None,
        }
    }

    /// A time of the latest heartbeat.
    fn heartbeat(&self, name: &str) -> Option<DateTime> {
        let fields: Value = serde_json::from_str(self.0.record.heartbeat.as_deref()?).ok()?;
        parse_rfc3339(fields.get(name)?.as_str()?).map(DateTime)
    }
}

impl Listed for PackReceipt {
    const NAME: &'static str = "PackReceipt";
    const LATE: &'static [LateField<Self>] = late![cluster_pack, pack_instance];
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[
        Self::RECORD_PLAIN,
        plain![
            target_cluster_ref,
            pack_signature,
            signature_verified,
            rbac_digest,
            workload_digest,
            drift_status,
            drift_status_raw
        ],
    ];
}
