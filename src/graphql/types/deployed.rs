//! What is on a cluster, who claims it, and what was meant to be there.

use std::collections::BTreeSet;

use async_graphql::{InputObject, Object};

use super::cluster_pack::ClusterPack;
use super::operation_result::PackOperationResult;
use super::pack_execution::PackExecution;
use super::pack_receipt::PackReceipt;
use super::record::Recorded;
use crate::domain::facts::Detail;
use crate::domain::record::Resource;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::scalar::DateTime;
use crate::graphql::view::{RecordKey, View};
use crate::service::query::{Deployment, Intent};
use crate::storage::{Breadth, ResourceFilter, StoredRecord};

/// What narrows the resources on a cluster.
#[derive(Debug, Clone, Default, InputObject)]
pub struct DeployedResourceFilter {
    /// Only of this kind.
    kind: Option<String>,
    /// Only in this namespace.
    namespace: Option<String>,
}

impl From<DeployedResourceFilter> for ResourceFilter {
    fn from(filter: DeployedResourceFilter) -> Self {
        Self { kind: filter.kind.unwrap_or_default(), namespace: filter.namespace.unwrap_or_default() }
    }
}

/// A pack that is on a cluster.
#[derive(Clone)]
pub struct ClusterDeployment {
    view: View,
    deployment: Deployment,
}

impl ClusterDeployment {
    /// A deployment of a view.
    #[must_use]
    pub fn new(view: &View, deployment: Deployment) -> Self {
        Self { view: view.clone(), deployment }
    }

    async fn record(&self) -> Result<Option<PackOperationResult>, ApiError> {
        let found = self.view.load(RecordKey(self.deployment.result, Breadth::Full)).await?;
        Ok(found.map(|record| PackOperationResult(Recorded::new(&self.view, record))))
    }
}

/// A pack that is on a cluster: by the latest successful result of its family there, until its pack or
/// instance is closed. That the result itself was deleted undeploys nothing.
#[Object]
impl ClusterDeployment {
    /// The pack family.
    async fn base_pack(&self) -> &str {
        &self.deployment.base
    }

    /// The result by which it is there.
    async fn result(&self) -> Result<Option<PackOperationResult>, ApiError> {
        self.record().await
    }

    /// From when the result counts: its completion, else its creation, else when it was first seen.
    async fn since(&self) -> DateTime {
        DateTime(self.deployment.since)
    }

    /// Whether the result lists what it applied. If not, what is on the cluster is unknown, not nothing.
    async fn resources_known(&self) -> bool {
        self.deployment.set.is_some()
    }
}

/// That a pack on a cluster has a resource.
pub struct ResourceClaim {
    deployment: ClusterDeployment,
    contested: bool,
}

impl ResourceClaim {
    /// The claims of deployments, by place, on one resource.
    #[must_use]
    pub fn all(view: &View, deployments: &[Deployment], claims: &[usize]) -> Vec<Self> {
        let claims = claims.iter().filter_map(|place| deployments.get(*place));
        let claims: Vec<ClusterDeployment> =
            claims.map(|deployment| ClusterDeployment::new(view, deployment.clone())).collect();
        let contested = claims.len() > 1;
        claims.into_iter().map(|deployment| Self { deployment, contested }).collect()
    }
}

/// That a pack on a cluster has a resource.
#[Object]
impl ResourceClaim {
    /// The pack on the cluster, with the revision that put the resource there.
    async fn deployment(&self) -> &ClusterDeployment {
        &self.deployment
    }

    /// Whether another pack on the cluster claims the resource too.
    async fn contested(&self) -> bool {
        self.contested
    }
}

/// A resource on a cluster.
pub struct DeployedResource {
    resource: Resource,
    claims: Vec<ResourceClaim>,
}

impl DeployedResource {
    /// A resource with those that claim it.
    #[must_use]
    pub fn new(resource: Resource, claims: Vec<ResourceClaim>) -> Self {
        Self { resource, claims }
    }
}

/// A resource on a cluster, as the results that count there list it.
#[Object]
impl DeployedResource {
    /// Its API version.
    async fn api_version(&self) -> &str {
        &self.resource.api_version
    }

    /// Its kind.
    async fn kind(&self) -> &str {
        &self.resource.kind
    }

    /// Its namespace; null for cluster-scoped resources.
    async fn namespace(&self) -> Option<&str> {
        Some(self.resource.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.resource.name
    }

    /// The packs that claim it: one, unless they conflict.
    async fn claims(&self) -> &[ResourceClaim] {
        &self.claims
    }
}

impl Listed for DeployedResource {
    const NAME: &'static str = "DeployedResource";
}

impl Listed for ClusterDeployment {
    const NAME: &'static str = "ClusterDeployment";
}

/// A pack family on a cluster, with what was meant and what came of it.
pub struct PackIntent {
    view: View,
    base: String,
    intent: Intent,
}

impl PackIntent {
    /// What is known of a family in a view.
    #[must_use]
    pub fn new(view: &View, base: String, intent: Intent) -> Self {
        Self { view: view.clone(), base, intent }
    }

    fn recorded(&self, record: &StoredRecord) -> Recorded {
        Recorded::new(&self.view, record.clone())
    }

    /// The versions of each of the three that say any.
    fn versions(&self) -> [BTreeSet<Option<String>>; 3] {
        let version = |record: &StoredRecord| match &record.content.facts.detail {
            Detail::Pack(facts) => facts.version.clone(),
            Detail::Execution(facts) => facts.pack.version.clone(),
            Detail::Receipt(facts) => facts.pack.version.clone(),
            _ => None,
        };
        [
            self.intent.intended.iter().map(version).collect(),
            self.intent.executed.iter().map(version).collect(),
            self.intent.acknowledged.iter().filter_map(version).map(Some).collect(),
        ]
    }
}

/// A pack family on a cluster: what is meant to be there, what was executed, what is there, and what the
/// cluster acknowledged. Only live records count as meant, executed and acknowledged.
#[Object]
impl PackIntent {
    /// The pack family.
    async fn base_pack(&self) -> &str {
        &self.base
    }

    /// The packs of the family that are meant for the cluster.
    async fn intended(&self) -> Vec<ClusterPack> {
        self.intent.intended.iter().map(|record| ClusterPack(self.recorded(record))).collect()
    }

    /// The newest execution.
    async fn executed(&self) -> Option<PackExecution> {
        self.intent.executed.as_ref().map(|record| PackExecution(self.recorded(record)))
    }

    /// What is there.
    async fn deployed(&self) -> Option<ClusterDeployment> {
        self.intent.deployed.clone().map(|deployment| ClusterDeployment::new(&self.view, deployment))
    }

    /// The receipts. There can be two for one delivery.
    async fn acknowledged(&self) -> Vec<PackReceipt> {
        self.intent.acknowledged.iter().map(|record| PackReceipt(self.recorded(record))).collect()
    }

    /// Whether one version is meant, was executed, is there, and is acknowledged. A receipt that names no
    /// version does not disagree.
    async fn agrees(&self) -> bool {
        let [intended, executed, acknowledged] = self.versions();
        intended.len() == 1
            && executed == intended
            && self.intent.deployed.is_some()
            && !self.intent.acknowledged.is_empty()
            && acknowledged.is_subset(&intended)
    }
}

impl Listed for PackIntent {
    const NAME: &'static str = "PackIntent";
}
