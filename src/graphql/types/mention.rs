//! Clusters and pack families: what records name without being it.

use async_graphql::{ID, Object};

use super::cluster_pack::ClusterPack;
use super::drift_signal::DriftSignal;
use super::operation_result::PackOperationResult;
use super::pack_execution::PackExecution;
use super::pack_history::PackHistoryEntry;
use super::pack_instance::PackInstance;
use super::pack_receipt::PackReceipt;
use super::record::Recorded;
use crate::domain::kind;
use crate::domain::mention::Named;
use crate::graphql::connection::{Connection, Listed, PageArgs};
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::record_list::records_of;
use crate::graphql::scalar::{DateTime, Int53};
use crate::graphql::view::{MentionKey, View};
use crate::service::query::RecordsAsked;
use crate::storage::{Breadth, RecordFilter, RecordList, StoredMention};

/// Something that records name, with the view that it was read through.
#[derive(Clone)]
pub struct Mentioned {
    view: View,
    mention: StoredMention,
}

impl Mentioned {
    /// What a list of a view has.
    #[must_use]
    pub fn new(view: &View, mention: StoredMention) -> Self {
        Self { view: view.clone(), mention }
    }

    /// What is named so in a source; `None` if no record names it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(view: &View, source: i64, named: Named, name: String) -> Result<Option<Self>, ApiError> {
        let found = view.load(MentionKey(source, named, name)).await?;
        Ok(found.map(|mention| Self::new(view, mention)))
    }

    fn source(&self) -> &str {
        self.view.scope().source_name(self.mention.source)
    }

    /// The records of a kind that belong to it.
    async fn records<N: Listed>(
        &self,
        field: &str,
        kind: &str,
        filter: RecordFilter,
        page: PageArgs,
        node: impl Fn(Recorded) -> N,
    ) -> Result<Connection<N>, ApiError> {
        let list = RecordList { filter, ..RecordList::default() };
        let asked = RecordsAsked { source: Some(self.source().to_owned()), list };
        records_of((&self.view, Breadth::Full), field, kind, asked, page, node).await
    }

    /// The records of a kind that act on the cluster, or are meant for it.
    async fn acting<N: Listed>(
        &self,
        field: &str,
        kind: &str,
        page: PageArgs,
        node: impl Fn(Recorded) -> N,
    ) -> Result<Connection<N>, ApiError> {
        let filter = RecordFilter { cluster: Some(self.mention.name.clone()), ..RecordFilter::default() };
        self.records(field, kind, filter, page, node).await
    }

    /// The records of a kind that belong to the family.
    async fn of_family<N: Listed>(
        &self,
        field: &str,
        kind: &str,
        cluster: Option<String>,
        page: PageArgs,
        node: impl Fn(Recorded) -> N,
    ) -> Result<Connection<N>, ApiError> {
        let base_pack = Some(self.mention.name.clone());
        let filter = RecordFilter { cluster, base_pack, ..RecordFilter::default() };
        self.records(field, kind, filter, page, node).await
    }
}

/// A cluster.
#[derive(Clone)]
pub struct Cluster(pub Mentioned);

/// A cluster, as records name it: one exists as soon as any record acts on it or is meant for it, and stays
/// when they are gone. Another source's cluster of the same name is another cluster.
#[Object]
impl Cluster {
    /// The global id, for `node`.
    pub(crate) async fn id(&self) -> ID {
        GlobalId::Cluster(self.0.source().to_owned(), self.0.mention.name.clone()).encode()
    }

    /// The source whose records name it.
    async fn source(&self) -> &str {
        self.0.source()
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.mention.name
    }

    /// The commit of the ledger that named it first.
    async fn first_named_at_seq(&self) -> Int53 {
        Int53(self.0.mention.from_seq)
    }

    /// When that commit was made.
    async fn first_named_at(&self) -> DateTime {
        DateTime(self.0.mention.committed_at)
    }

    /// The packs that are meant for it, newest birth first.
    async fn cluster_packs(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<ClusterPack>, ApiError> {
        self.0.acting("packsOfCluster", kind::PACK, PageArgs::new(first, after, last, before), ClusterPack).await
    }

    /// The executions that deploy to it, newest birth first.
    async fn pack_executions(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackExecution>, ApiError> {
        self.0
            .acting("executionsOfCluster", kind::EXECUTION, PageArgs::new(first, after, last, before), PackExecution)
            .await
    }

    /// The results of operations on it, newest birth first.
    async fn operation_results(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackOperationResult>, ApiError> {
        self.0
            .acting("resultsOfCluster", kind::RESULT, PageArgs::new(first, after, last, before), PackOperationResult)
            .await
    }

    /// Its receipts, newest birth first.
    async fn pack_receipts(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackReceipt>, ApiError> {
        self.0.acting("receiptsOfCluster", kind::RECEIPT, PageArgs::new(first, after, last, before), PackReceipt).await
    }

    /// The packs that are installed on it, newest birth first.
    async fn pack_instances(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackInstance>, ApiError> {
        self.0
            .acting("instancesOfCluster", kind::INSTANCE, PageArgs::new(first, after, last, before), PackInstance)
            .await
    }

    /// Its drift signals, newest birth first.
    async fn drift_signals(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<DriftSignal>, ApiError> {
        self.0
            .acting("signalsOfCluster", kind::DRIFT_SIGNAL, PageArgs::new(first, after, last, before), DriftSignal)
            .await
    }
}

impl Listed for Cluster {
    const NAME: &'static str = "Cluster";
}

/// A pack family.
#[derive(Clone)]
pub struct PackFamily(pub Mentioned);

/// What all versions of a pack are versions of: their `basePackName`. A pack that has none is a family of
/// its own, by its name.
#[Object]
impl PackFamily {
    /// The global id, for `node`.
    pub(crate) async fn id(&self) -> ID {
        GlobalId::PackFamily(self.0.source().to_owned(), self.0.mention.name.clone()).encode()
    }

    /// The source whose packs name it.
    async fn source(&self) -> &str {
        self.0.source()
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.0.mention.name
    }

    /// The commit of the ledger that named it first.
    async fn first_named_at_seq(&self) -> Int53 {
        Int53(self.0.mention.from_seq)
    }

    /// When that commit was made.
    async fn first_named_at(&self) -> DateTime {
        DateTime(self.0.mention.committed_at)
    }

    /// Its packs, newest birth first.
    async fn cluster_packs(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<ClusterPack>, ApiError> {
        let page = PageArgs::new(first, after, last, before);
        self.0.of_family("packsOfFamily", kind::PACK, None, page, ClusterPack).await
    }

    /// All results of its packs on a cluster, newest birth first, across versions and epochs.
    async fn pack_history(
        &self,
        #[graphql(desc = "The cluster.")] cluster: String,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackHistoryEntry>, ApiError> {
        let page = PageArgs::new(first, after, last, before);
        self.0.of_family("familyHistory", kind::RESULT, Some(cluster), page, PackHistoryEntry).await
    }
}

impl Listed for PackFamily {
    const NAME: &'static str = "PackFamily";
}
