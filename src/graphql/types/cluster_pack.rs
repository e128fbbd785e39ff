//! Packs.

use async_graphql::{Enum, SimpleObject};
use serde_json::{Map, Value};

use super::common::{HelmChart, chart};
use super::enums::PackStage;
use super::record::record_object;
use super::security::{SignatureClaim, SignaturePlace};
use crate::domain::facts::{Detail, PackFacts};
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::{DateTime, Int53, Json};
use crate::service::query::{Body, bounded, member_text};

/// Where a pack's artifact is.
#[derive(Debug, Clone, SimpleObject)]
pub struct RegistryRef {
    /// The repository. Data: this server never fetches it.
    url: Option<String>,
    /// The digest of the artifact.
    digest: Option<String>,
}

/// A stage of applying a pack.
#[derive(Debug, Clone, SimpleObject)]
pub struct ExecutionStage {
    /// Which stage.
    stage: PackStage,
    /// The word that the record has for it.
    stage_raw: String,
    /// The manifests of the stage, where the record lists them.
    manifests: Vec<String>,
}

/// What a layer of a pack is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum LayerRole {
    /// Service accounts, roles and their bindings: applied first.
    Rbac,
    /// Cluster-scoped resources that are no RBAC, such as definitions of resources and webhooks.
    ClusterScoped,
    /// All the rest: applied last.
    Workload,
    /// The artifact that the registry is asked for. Compilers give it the digest of the workload layer.
    Artifact,
}

/// A layer of a pack's artifact, by its digest.
#[derive(Debug, Clone, SimpleObject)]
pub struct PackLayer {
    /// What it is for.
    role: LayerRole,
    /// Its digest, as the record has it.
    digest: String,
}

/// What a pack was built from and by, as the record tells it.
#[derive(Debug, Clone, SimpleObject)]
pub struct PackProvenance {
    /// The build specification in git that the pack was compiled from.
    source_build_ref: Option<String>,
    /// The values file that the build was given.
    values_file: Option<String>,
    /// The chart that the pack was rendered from; null for packs that are no charts.
    chart: Option<HelmChart>,
    /// The build's own identity.
    build_id: Option<String>,
    /// When the artifact was built.
    build_timestamp: Option<DateTime>,
    /// The commit or tag that was built.
    source_ref: Option<String>,
    /// Everything that the build says of itself, whatever it is.
    raw: Option<Json>,
}

/// Where packs carry their signature.
const SIGNATURES: &[(SignaturePlace, &[&str])] = &[
    (SignaturePlace::Status, &["status", "packSignature"]),
    (SignaturePlace::Annotation, &["metadata", "annotations", "ontai.dev/pack-signature"]),
];

/// The annotation in which the operators remember what must not change.
const SNAPSHOT: &[&str] = &["metadata", "annotations", "infrastructure.ontai.dev/spec-checksum-snapshot"];

/// Where records carry the digests of a pack's layers, in the order in which layers are applied.
const LAYERS: [(LayerRole, &[&str]); 4] = [
    (LayerRole::Rbac, &["spec", "rbacDigest"]),
    (LayerRole::ClusterScoped, &["spec", "clusterScopedDigest"]),
    (LayerRole::Workload, &["spec", "workloadDigest"]),
    (LayerRole::Artifact, &["spec", "registryRef", "digest"]),
];

/// The layers whose digests a record carries.
#[must_use]
pub fn layers(body: &Body) -> Vec<PackLayer> {
    LAYERS.iter().filter_map(|(role, path)| Some(PackLayer { role: *role, digest: body.text(path)? })).collect()
}

fn stages(body: &Body) -> Vec<ExecutionStage> {
    let stages = body.at(&["spec", "executionOrder"]).and_then(Value::as_array);
    stages.into_iter().flatten().filter_map(stage).collect()
}

/// A stage is an object with a name; the name alone says as much.
fn stage(value: &Value) -> Option<ExecutionStage> {
    let none = Map::new();
    let object = value.as_object().unwrap_or(&none);
    let stage_raw = value.as_str().map(bounded).or_else(|| member_text(object, "name"))?;
    let manifests = object.get("manifests").and_then(Value::as_array).into_iter().flatten();
    Some(ExecutionStage {
        stage: PackStage::of(&stage_raw),
        stage_raw,
        manifests: manifests.filter_map(Value::as_str).map(bounded).collect(),
    })
}

fn provenance(body: &Body) -> PackProvenance {
    let text = |name| body.text(&["spec", "provenance", name]);
    PackProvenance {
        source_build_ref: body.text(&["spec", "sourceBuildRef"]),
        values_file: body.text(&["spec", "valuesFile"]),
        chart: chart(body),
        build_id: text("buildID").or_else(|| text("buildId")),
        build_timestamp: body.time(&["spec", "provenance", "buildTimestamp"]).map(DateTime),
        source_ref: text("sourceRef"),
        raw: body.at(&["spec", "provenance"]).cloned().map(Json),
    }
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

        /// The layers of the artifact with their roles, in the order in which they are applied.
        async fn layers(&self) -> Result<Vec<PackLayer>, ApiError> {
            Ok(layers(&*self.0.body().await?))
        }

        /// The stages in the order in which they run.
        async fn execution_order(&self) -> Result<Vec<ExecutionStage>, ApiError> {
            Ok(stages(&*self.0.body().await?))
        }

        /// What the pack was built from and by.
        async fn provenance(&self) -> Result<PackProvenance, ApiError> {
            Ok(provenance(&*self.0.body().await?))
        }

        /// Whether the artifact outlives the pack, where the record says so.
        async fn retain_on_deletion(&self) -> Result<Option<bool>, ApiError> {
            Ok(self.0.body().await?.flag(&["spec", "lifecyclePolicies", "retainOnDeletion"]))
        }

        /// The build specification in git that the pack was compiled from.
        async fn source_build_ref(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["spec", "sourceBuildRef"]).await
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

        /// Whether the management cluster signed the pack.
        async fn signed(&self) -> Option<bool> {
            self.facts().and_then(|facts| facts.signed)
        }

        /// What the record says of the pack's signature. It covers the pack's own `spec`; nothing of it is
        /// our verdict.
        async fn signature_claim(&self) -> Result<Option<SignatureClaim>, ApiError> {
            Ok(SignatureClaim::at(&*self.0.body().await?, SIGNATURES).some())
        }

        /// What the operators remember of the fields that must not change; null while they remember nothing.
        async fn spec_checksum_snapshot(&self) -> Result<Option<String>, ApiError> {
            self.0.text(SNAPSHOT).await
        }

        /// The platform's signature, base64.
        async fn pack_signature(&self) -> Result<Option<String>, ApiError> {
            self.0.text(&["status", "packSignature"]).await
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
