//! Records: look-ups by natural key, and lists.

use async_graphql::{Context, Object};

use crate::auth::Scope;
use crate::domain::identity::{NaturalKey, RECEIPT_NAMESPACE};
use crate::domain::kind;
use crate::graphql::connection::{Connection, PageArgs};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::record_list::records;
use crate::graphql::types::cluster_pack::ClusterPack;
use crate::graphql::types::operation_result::PackOperationResult;
use crate::graphql::types::pack_execution::PackExecution;
use crate::graphql::types::pack_history::PackHistoryEntry;
use crate::graphql::types::pack_receipt::PackReceipt;
use crate::graphql::types::record::{Record, Recorded};
use crate::graphql::types::record_filter::{
    ClusterPackFilter, OperationResultFilter, PackExecutionFilter, PackReceiptFilter, RecordOrder,
};
use crate::service::query::RecordsAsked;
use crate::storage::{RecordFilter, RecordList};

#[derive(Clone, Default)]
pub struct RecordQuery(pub Seat);

#[Object]
impl RecordQuery {
    /// A pack by natural key; null if it was never seen.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn cluster_pack(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The namespace.")] namespace: String,
        #[graphql(desc = "The name.")] name: String,
        #[graphql(
            desc = "The uid; without it, the newest live object of the name is meant, else the newest closed one."
        )]
        uid: Option<String>,
    ) -> Result<Option<ClusterPack>, ApiError> {
        let key = NaturalKey::new(kind::PACK, &namespace, &name);
        Ok(find(&self.0, ctx, source, key, uid).await?.map(ClusterPack))
    }

    /// An execution by natural key; null if it was never seen.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn pack_execution(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The namespace.")] namespace: String,
        #[graphql(desc = "The name.")] name: String,
        #[graphql(
            desc = "The uid; without it, the newest live object of the name is meant, else the newest closed one."
        )]
        uid: Option<String>,
    ) -> Result<Option<PackExecution>, ApiError> {
        let key = NaturalKey::new(kind::EXECUTION, &namespace, &name);
        Ok(find(&self.0, ctx, source, key, uid).await?.map(PackExecution))
    }

    /// A result by natural key; null if it was never seen.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn operation_result(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The namespace.")] namespace: String,
        #[graphql(desc = "The name.")] name: String,
        #[graphql(
            desc = "The uid; without it, the newest live object of the name is meant, else the newest closed one."
        )]
        uid: Option<String>,
    ) -> Result<Option<PackOperationResult>, ApiError> {
        let key = NaturalKey::new(kind::RESULT, &namespace, &name);
        Ok(find(&self.0, ctx, source, key, uid).await?.map(PackOperationResult))
    }

    /// A receipt by natural key; null if it was never seen.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn pack_receipt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The cluster that the receipt is of.")] cluster: String,
        #[graphql(desc = "The namespace; the same on every cluster.", default_with = "RECEIPT_NAMESPACE.to_owned()")]
        namespace: String,
        #[graphql(desc = "The name.")] name: String,
        #[graphql(
            desc = "The uid; without it, the newest live object of the name is meant, else the newest closed one."
        )]
        uid: Option<String>,
    ) -> Result<Option<PackReceipt>, ApiError> {
        let key = NaturalKey { cluster, ..NaturalKey::new(kind::RECEIPT, &namespace, &name) };
        Ok(find(&self.0, ctx, source, key, uid).await?.map(PackReceipt))
    }

    /// A record of any kind by natural key; null if it was never seen.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "the parts of a natural key")]
    async fn record(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(
            desc = "The canonical kind, such as `PackInstance`, or `Kind.group` outside of the platform's groups."
        )]
        kind: String,
        #[graphql(desc = "The cluster, for kinds that have the same namespace on every cluster: receipts.")]
        cluster: Option<String>,
        #[graphql(desc = "The namespace; left out for cluster-scoped objects.")] namespace: Option<String>,
        #[graphql(desc = "The name.")] name: String,
        #[graphql(
            desc = "The uid; without it, the newest live object of the name is meant, else the newest closed one."
        )]
        uid: Option<String>,
    ) -> Result<Option<Record>, ApiError> {
        let cluster = cluster.unwrap_or_default();
        let key = NaturalKey { cluster, ..NaturalKey::new(&kind, &namespace.unwrap_or_default(), &name) };
        if key.is_collection() {
            return Ok(None);
        }
        Ok(find(&self.0, ctx, source, key, uid).await?.map(Record::of))
    }

    /// Packs, the newest first unless ordered otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn cluster_packs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<ClusterPackFilter>,
        #[graphql(desc = "What orders it; by creation, the newest first, unless said otherwise.")] order_by: Option<
            RecordOrder,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<ClusterPack>, ApiError> {
        let asked = filter.unwrap_or_default().asked(order_by)?;
        records(&self.0, ctx, "clusterPacks", kind::PACK, asked, PageArgs::new(first, after, last, before), ClusterPack)
            .await
    }

    /// Executions, the newest first unless ordered otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn pack_executions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<PackExecutionFilter>,
        #[graphql(desc = "What orders it; by creation, the newest first, unless said otherwise.")] order_by: Option<
            RecordOrder,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackExecution>, ApiError> {
        let asked = filter.unwrap_or_default().asked(order_by)?;
        records(
            &self.0,
            ctx,
            "packExecutions",
            kind::EXECUTION,
            asked,
            PageArgs::new(first, after, last, before),
            PackExecution,
        )
        .await
    }

    /// Results, the newest first unless ordered otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn operation_results(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<OperationResultFilter>,
        #[graphql(desc = "What orders it; by creation, the newest first, unless said otherwise.")] order_by: Option<
            RecordOrder,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackOperationResult>, ApiError> {
        let asked = filter.unwrap_or_default().asked(order_by)?;
        records(
            &self.0,
            ctx,
            "operationResults",
            kind::RESULT,
            asked,
            PageArgs::new(first, after, last, before),
            PackOperationResult,
        )
        .await
    }

    /// Receipts, the newest first unless ordered otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn pack_receipts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<PackReceiptFilter>,
        #[graphql(desc = "What orders it; by creation, the newest first, unless said otherwise.")] order_by: Option<
            RecordOrder,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackReceipt>, ApiError> {
        let asked = filter.unwrap_or_default().asked(order_by)?;
        records(
            &self.0,
            ctx,
            "packReceipts",
            kind::RECEIPT,
            asked,
            PageArgs::new(first, after, last, before),
            PackReceipt,
        )
        .await
    }

    /// All results of a base pack on a cluster, newest birth first, across the versions of the pack and
    /// the epochs of its executions.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn pack_history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The name that all versions of the pack share: its `basePackName`.")] base_pack: String,
        #[graphql(desc = "The cluster.")] cluster: String,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackHistoryEntry>, ApiError> {
        let filter = RecordFilter { base_pack: Some(base_pack), cluster: Some(cluster), ..RecordFilter::default() };
        let asked = RecordsAsked { source: None, list: RecordList { filter, ..RecordList::default() } };
        let page = PageArgs::new(first, after, last, before);
        records(&self.0, ctx, "packHistory", kind::RESULT, asked, page, PackHistoryEntry).await
    }
}

async fn find(
    seat: &Seat,
    ctx: &Context<'_>,
    source: Option<String>,
    key: NaturalKey,
    uid: Option<String>,
) -> Result<Option<Recorded>, ApiError> {
    let view = seat.view(ctx).await?;
    let found = view.scope().find_record(source.as_deref(), key, uid).await?;
    Ok(found.map(|record| Recorded::new(&view, record)))
}
