//! Installed packs.

use super::common::{AppliedResource, HelmChart, chart};
use super::enums::{DependencyDriftPolicy, UpgradeDirection};
use super::operation_result::deployed_resources;
use super::record::record_object;
use super::reference::RecordRef;
use super::security::{SignatureClaim, SignaturePlace};
use crate::domain::facts::Detail;
use crate::graphql::connection::{Connection, Listed, PageArgs};
use crate::graphql::error::ApiError;
use crate::graphql::rows::One;
use crate::graphql::scalar::DateTime;
use crate::service::query::Relation;

/// Where instances carry the signature of the management cluster.
const SIGNATURES: &[(SignaturePlace, &[&str])] = &[
    (SignaturePlace::Annotation, &["metadata", "annotations", "infrastructure.ontai.dev/management-signature"]),
    (SignaturePlace::LegacyAnnotation, &["metadata", "annotations", "runner.ontai.dev/management-signature"]),
];

record_object! {
    /// A pack as it is installed on a cluster. A newer version of the same base pack replaces the older one
    /// in place.
    PackInstance {
        /// The pack that is installed, with its version.
        async fn cluster_pack(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Pack).await
        }

        /// The version that is installed.
        async fn version(&self) -> Option<&str> {
            match &self.0.record.content.facts.detail {
                Detail::Instance(facts) => facts.pack.version.as_deref(),
                _ => None,
            }
        }

        /// The cluster that the pack is installed on.
        async fn target_cluster_ref(&self) -> Option<&str> {
            self.0.record.content.facts.cluster.as_deref()
        }

        /// The execution that owns the instance.
        async fn pack_execution(&self) -> Result<Option<One<RecordRef>>, ApiError> {
            self.0.refer(Relation::Execution).await
        }

        /// The base packs that have to be delivered first.
        async fn depends_on(&self) -> Result<Vec<String>, ApiError> {
            Ok(self.0.body().await?.texts(&["spec", "dependsOn"]))
        }

        /// What happens while one of them has drifted; null where the record does not say.
        async fn on_dependency_drift(&self) -> Result<Option<DependencyDriftPolicy>, ApiError> {
            Ok(self.drift_policy().await?.map(|word| DependencyDriftPolicy::of(&word)))
        }

        /// The word that the record has for it.
        async fn on_dependency_drift_raw(&self) -> Result<Option<String>, ApiError> {
            self.drift_policy().await
        }

        /// The chart that is installed; null for packs that are no charts.
        async fn chart(&self) -> Result<Option<HelmChart>, ApiError> {
            Ok(chart(&*self.0.body().await?))
        }

        /// What the record says of the management cluster's signature over the instance's `spec`. The
        /// operators keep an old one when they update an instance in place.
        async fn signature_claim(&self) -> Result<Option<SignatureClaim>, ApiError> {
            Ok(SignatureClaim::at(&*self.0.body().await?, SIGNATURES).some())
        }

        /// When the pack was last confirmed to be delivered.
        async fn delivered_at(&self) -> Result<Option<DateTime>, ApiError> {
            Ok(self.0.body().await?.time(&["status", "deliveredAt"]).map(DateTime))
        }

        /// What drifted, for people.
        async fn drift_summary(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["status", "driftSummary"]).await
        }

        /// How the version moved with the last deployment; null where the record does not say.
        async fn upgrade_direction(&self) -> Result<Option<UpgradeDirection>, ApiError> {
            Ok(self.direction().await?.map(|word| UpgradeDirection::of(&word)))
        }

        /// The word that the record has for it.
        async fn upgrade_direction_raw(&self) -> Result<Option<String>, ApiError> {
            self.direction().await
        }

        /// The resources that were applied, in the order of the record; null where it does not list them.
        async fn deployed_resources(
            &self,
            #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
            #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
            #[graphql(desc = "How many, from the end.")] last: Option<i32>,
            #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
        ) -> Result<Option<Connection<AppliedResource>>, ApiError> {
            deployed_resources(&self.0, &["status", "deployedResources"], PageArgs::new(first, after, last, before)).await
        }
    }
}

impl PackInstance {
    async fn drift_policy(&self) -> Result<Option<String>, ApiError> {
        self.0.text(&["spec", "dependencyPolicy", "onDrift"]).await
    }

    async fn direction(&self) -> Result<Option<String>, ApiError> {
        self.0.text(&["status", "upgradeDirection"]).await
    }
}

impl Listed for PackInstance {
    const NAME: &'static str = "PackInstance";
}
