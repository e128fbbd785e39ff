//! Packs.

use async_graphql::SimpleObject;

use super::common::{Condition, HelmChart, chart, conditions};
use super::record::record_object;
use crate::domain::facts::{Detail, PackFacts};
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::{Int53, Json};
use crate::service::query::member_text;

/// Where a pack's artifact is.
#[derive(Debug, Clone, SimpleObject)]
pub struct RegistryRef {
    /// The repository. Data: this server never fetches it.
    url: Option<String>,
    /// The digest of the artifact.
    digest: Option<String>,
}

record_object! {
    /// A compiled pack of one version: an immutable OCI artifact, to be delivered to clusters.
    ClusterPack {
        /// The version, such as `v1.14.0-r1`. A sanctioned rollback may move it backwards.
        async fn version(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.version.as_deref())
        }

        /// The name that all versions of the pack share.
        async fn base_pack_name(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.base.as_deref())
        }

        /// Where the artifact is.
        async fn registry_ref(&self) -> Result<Option<RegistryRef>, ApiError> {
            let body = self.0.body().await?;
            let text = |name| body.text(&["spec", "registryRef", name]);
            Ok(body.at(&["spec", "registryRef"]).map(|_| RegistryRef { url: text("url"), digest: text("digest") }))
        }

        /// The checksum of the whole manifest set.
        async fn checksum(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "checksum"]).await
        }

        /// The digest of the RBAC layer.
        async fn rbac_digest(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.rbac_digest.as_deref())
        }

        /// The digest of the workload layer.
        async fn workload_digest(&self) -> Option<&str> {
            self.facts().and_then(|facts| facts.workload_digest.as_deref())
        }

        /// The digest of the layer of cluster-scoped resources.
        async fn cluster_scoped_digest(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "clusterScopedDigest"]).await
        }

        /// The build specification in git that the pack was compiled from.
        async fn source_build_ref(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "sourceBuildRef"]).await
        }

        /// The stages in order, such as rbac, storage, stateful, stateless.
        async fn execution_order(&self) -> Result<Vec<String>, ApiError> {
            let body = self.0.body().await?;
            let stages = body.objects(&["spec", "executionOrder"]);
            Ok(stages.filter_map(|stage| member_text(stage, "name")).collect())
        }

        /// The build's own account of itself.
        async fn provenance(&self) -> Result<Option<Json>, ApiError> {
            Ok(self.0.body().await?.at(&["spec", "provenance"]).cloned().map(Json))
        }

        /// The clusters that the pack is meant for.
        async fn target_clusters(&self) -> Result<Vec<String>, ApiError> {
            Ok(self.0.body().await?.texts(&["spec", "targetClusters"]))
        }

        /// The chart that the pack was rendered from; null for packs that are no charts.
        async fn chart(&self) -> Result<Option<HelmChart>, ApiError> {
            Ok(chart(&*self.0.body().await?))
        }

        /// The revision that a rollback asks for; null while none does.
        async fn rollback_to_revision(&self) -> Result<Option<Int53>, ApiError> {
            Ok(self.0.body().await?.int(&["spec", "rollbackToRevision"]).map(Int53))
        }

        /// The sealed causal chain, in whichever of its shapes.
        async fn lineage(&self) -> Result<Option<Json>, ApiError> {
            Ok(self.0.body().await?.at(&["spec", "lineage"]).cloned().map(Json))
        }

        /// Whether the management cluster signed the pack.
        async fn signed(&self) -> Option<bool> {
            self.facts().and_then(|facts| facts.signed)
        }

        /// The platform's signature, base64.
        async fn pack_signature(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["status", "packSignature"]).await
        }

        /// The pack's conditions.
        async fn conditions(&self) -> Result<Vec<Condition>, ApiError> {
            Ok(conditions(&*self.0.body().await?))
        }
    }
}

impl ClusterPack {
    fn facts(&self) -> Option<&PackFacts> {
        match &self.0.record.content.facts.detail {
            Detail::Pack(facts) => Some(facts),
            _ => None,
        }
    }
}

impl Listed for ClusterPack {
    const NAME: &'static str = "ClusterPack";
    const PLAIN: &'static [&'static [PlainField<Self>]] =
        &[Self::RECORD_PLAIN, plain![version, base_pack_name, rbac_digest, workload_digest, signed]];
}
