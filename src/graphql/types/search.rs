//! What is found.

use std::sync::Arc;

use async_graphql::{Object, Union};

use super::cluster_pack::ClusterPack;
use super::drift_signal::DriftSignal;
use super::lineage_index::LineageIndex;
use super::lineage_kind::LineageNodeKind;
use super::mention::{Cluster, Mentioned, PackFamily};
use super::operation_result::PackOperationResult;
use super::pack_execution::PackExecution;
use super::pack_instance::PackInstance;
use super::pack_receipt::PackReceipt;
use super::record::{KubernetesRecord, Record, Recorded};
use crate::domain::mention::Named;
use crate::domain::record::Resource;
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::error::ApiError;
use crate::graphql::view::{RecordKey, View};
use crate::storage::{BirthPlace, Breadth, FOUND_CLUSTER, FOUND_FAMILY, Page, StoredHit};

/// A Kubernetes resource that results of a source applied.
#[derive(Clone)]
pub struct KnownResource {
    view: View,
    source: i64,
    id: i64,
    resource: Arc<Resource>,
}

/// A Kubernetes resource that results of a source applied, whichever cluster it is on.
#[Object]
impl KnownResource {
    /// The source whose results applied it.
    async fn source(&self) -> &str {
        self.view.scope().source_name(self.source)
    }

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

    /// The results whose latest version applied it, newest birth first.
    async fn applied_by(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackOperationResult>, ApiError> {
        let (view, source, id) = (&self.view, self.source, self.id);
        let r = &self.resource;
        let names = (view.scope().source_name(source), &r.api_version, &r.kind, &r.namespace, &r.name);
        let listed = List::new(view, "appliedBy", &names);
        let page: Page<BirthPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = view.scope().list_appliers(source, id, &page).await?;
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let scope = scope.clone();
            async move { Ok(scope.count_appliers(source, id).await?) }
        });
        let node = |record| PackOperationResult(Recorded::new(view, record));
        Ok(Connection::new(&listed, &page, rows, total, |row| (row.born_at, row.key_hash), node))
    }
}

/// What can be found.
#[derive(Clone, Union)]
pub enum SearchNode {
    /// A pack.
    ClusterPack(ClusterPack),
    /// An execution.
    PackExecution(PackExecution),
    /// A result.
    PackOperationResult(PackOperationResult),
    /// A receipt.
    PackReceipt(PackReceipt),
    /// An installed pack.
    PackInstance(PackInstance),
    /// A drift signal.
    DriftSignal(DriftSignal),
    /// A lineage index.
    LineageIndex(LineageIndex),
    /// A record of any other kind.
    KubernetesRecord(KubernetesRecord),
    /// A resource that results applied.
    KnownResource(KnownResource),
    /// A cluster.
    Cluster(Cluster),
    /// A family of packs.
    PackFamily(PackFamily),
}

impl From<Record> for SearchNode {
    fn from(record: Record) -> Self {
        match record {
            Record::ClusterPack(record) => record.into(),
            Record::PackExecution(record) => record.into(),
            Record::PackOperationResult(record) => record.into(),
            Record::PackReceipt(record) => record.into(),
            Record::PackInstance(record) => record.into(),
            Record::DriftSignal(record) => record.into(),
            Record::LineageIndex(record) => record.into(),
            Record::KubernetesRecord(record) => record.into(),
        }
    }
}

/// Something that was found.
#[derive(Clone)]
pub struct SearchHit {
    view: View,
    hit: StoredHit,
}

impl SearchHit {
    /// A hit of a view.
    #[must_use]
    pub fn new(view: &View, hit: StoredHit) -> Self {
        Self { view: view.clone(), hit }
    }

    /// What has only a name.
    async fn named(&self, named: Named) -> Result<Option<SearchNode>, ApiError> {
        let found = Mentioned::find(&self.view, self.hit.source, named, self.hit.name.clone()).await?;
        Ok(found.and_then(|mentioned| match named {
            Named::Cluster => Some(Cluster(mentioned).into()),
            Named::PackFamily => Some(PackFamily(mentioned).into()),
            Named::PackOnCluster => None,
        }))
    }
}

/// Something that was found.
#[Object]
impl SearchHit {
    /// What was found; null for a record that cannot be shown.
    async fn node(&self) -> Result<Option<SearchNode>, ApiError> {
        let hit = &self.hit;
        if let Some((id, resource)) = hit.resource.clone() {
            let resource = Arc::new(resource);
            return Ok(Some(KnownResource { view: self.view.clone(), source: hit.source, id, resource }.into()));
        }
        match hit.kind.as_str() {
            FOUND_CLUSTER => return self.named(Named::Cluster).await,
            FOUND_FAMILY => return self.named(Named::PackFamily).await,
            _ => {}
        }
        let record = self.view.load(RecordKey(hit.document, Breadth::Full)).await?;
        Ok(record.map(|record| Record::of(Recorded::new(&self.view, record)).into()))
    }

    /// What it is.
    async fn kind(&self) -> LineageNodeKind {
        LineageNodeKind::of(&self.hit.kind)
    }

    /// Words of it, in lower case, that the text asked for; eight at most.
    async fn matched(&self) -> &[String] {
        &self.hit.matched
    }
}

impl Listed for SearchHit {
    const NAME: &'static str = "Search";
}
