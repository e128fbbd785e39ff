//! Records: look-ups by natural key, and lists.

use async_graphql::{Context, InputObject, Object};

use crate::auth::Scope;
use crate::domain::identity::{NaturalKey, RECEIPT_NAMESPACE};
use crate::domain::kind;
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::context::view;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::types::cluster_pack::ClusterPack;
use crate::graphql::types::enums::OperationStatus;
use crate::graphql::types::operation_result::PackOperationResult;
use crate::graphql::types::pack_execution::PackExecution;
use crate::graphql::types::pack_history::PackHistoryEntry;
use crate::graphql::types::pack_receipt::PackReceipt;
use crate::graphql::types::record::{Record, Recorded};
use crate::service::query::RecordsAsked;
use crate::storage::{Page, RecordFilter, RecordPlace, StoredRecord};

/// What narrows a list of packs.
#[derive(Debug, Clone, Default, InputObject)]
struct ClusterPackFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only in this namespace.
    namespace: Option<String>,
    /// Only with this name.
    pack: Option<String>,
    /// Only those that still exist, or only those that do not.
    live: Option<bool>,
}

/// What narrows a list of executions.
#[derive(Debug, Clone, Default, InputObject)]
struct PackExecutionFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only in this namespace.
    namespace: Option<String>,
    /// Only those that deploy to this cluster.
    cluster: Option<String>,
    /// Only those of the pack with this name.
    pack: Option<String>,
    /// Only those that still exist, or only those that do not.
    live: Option<bool>,
}

/// What narrows a list of results.
#[derive(Debug, Clone, Default, InputObject)]
struct OperationResultFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only in this namespace.
    namespace: Option<String>,
    /// Only those that ran against this cluster.
    cluster: Option<String>,
    /// Only those that name the pack of this name. Early failures name none.
    pack: Option<String>,
    /// Only those that ended so. For words that the contract does not have, use `statusRaw`.
    status: Option<OperationStatus>,
    /// Only those with this word as their status.
    status_raw: Option<String>,
    /// Only those that still exist, or only those that do not.
    live: Option<bool>,
}

/// What narrows a list of receipts.
#[derive(Debug, Clone, Default, InputObject)]
struct PackReceiptFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only in this namespace.
    namespace: Option<String>,
    /// Only those of this cluster.
    cluster: Option<String>,
    /// Only those for the pack with this name.
    pack: Option<String>,
    /// Only those that still exist, or only those that do not.
    live: Option<bool>,
}

#[expect(clippy::unnecessary_wraps, reason = "the same form for every filter")]
impl ClusterPackFilter {
    fn asked(self) -> Result<RecordsAsked, ApiError> {
        let Self { source, namespace, pack, live } = self;
        Ok(RecordsAsked { source, filter: RecordFilter { pack, live, namespace, ..RecordFilter::default() } })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the same form for every filter")]
impl PackExecutionFilter {
    fn asked(self) -> Result<RecordsAsked, ApiError> {
        let Self { source, namespace, cluster, pack, live } = self;
        Ok(RecordsAsked { source, filter: RecordFilter { cluster, pack, live, namespace, ..RecordFilter::default() } })
    }
}

impl OperationResultFilter {
    fn asked(self) -> Result<RecordsAsked, ApiError> {
        let Self { source, namespace, cluster, pack, status, status_raw, live } = self;
        let word = match status.map(OperationStatus::word) {
            None => None,
            Some(Some(word)) => Some(word.to_owned()),
            Some(None) => return Err(ApiError::bad_input("Filter unknown words by statusRaw.")),
        };
        if word.is_some() && status_raw.is_some() {
            return Err(ApiError::bad_input("Filter by status or by statusRaw, not by both."));
        }
        let status = word.or(status_raw);
        let filter = RecordFilter { cluster, pack, status, live, namespace, ..RecordFilter::default() };
        Ok(RecordsAsked { source, filter })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the same form for every filter")]
impl PackReceiptFilter {
    fn asked(self) -> Result<RecordsAsked, ApiError> {
        let Self { source, namespace, cluster, pack, live } = self;
        Ok(RecordsAsked { source, filter: RecordFilter { cluster, pack, live, namespace, ..RecordFilter::default() } })
    }
}

#[derive(Default)]
pub struct RecordQuery;

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
        Ok(find(ctx, source, key, uid).await?.map(ClusterPack))
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
        Ok(find(ctx, source, key, uid).await?.map(PackExecution))
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
        Ok(find(ctx, source, key, uid).await?.map(PackOperationResult))
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
        Ok(find(ctx, source, key, uid).await?.map(PackReceipt))
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
        Ok(find(ctx, source, key, uid).await?.map(Record::of))
    }

    /// Packs, newest birth first.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn cluster_packs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<ClusterPackFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<ClusterPack>, ApiError> {
        let asked = filter.unwrap_or_default().asked()?;
        list(ctx, kind::PACK, asked, PageArgs::new(first, after, last, before), ClusterPack).await
    }

    /// Executions, newest birth first.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn pack_executions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<PackExecutionFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackExecution>, ApiError> {
        let asked = filter.unwrap_or_default().asked()?;
        list(ctx, kind::EXECUTION, asked, PageArgs::new(first, after, last, before), PackExecution).await
    }

    /// Results, newest birth first.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn operation_results(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<OperationResultFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackOperationResult>, ApiError> {
        let asked = filter.unwrap_or_default().asked()?;
        list(ctx, kind::RESULT, asked, PageArgs::new(first, after, last, before), PackOperationResult).await
    }

    /// Receipts, newest birth first.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn pack_receipts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<PackReceiptFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackReceipt>, ApiError> {
        let asked = filter.unwrap_or_default().asked()?;
        list(ctx, kind::RECEIPT, asked, PageArgs::new(first, after, last, before), PackReceipt).await
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
        let view = view(ctx).await?;
        let listed = List::new(&view, "packHistory", &(&base_pack, &cluster));
        let page: Page<RecordPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = view.scope().pack_history(&base_pack, &cluster, &page).await?;
        let node = |record| PackHistoryEntry(Recorded::new(&view, record));
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let (scope, base_pack, cluster) = (scope.clone(), base_pack.clone(), cluster.clone());
            async move { Ok(scope.count_pack_history(&base_pack, &cluster).await?) }
        });
        Ok(Connection::new(&listed, &page, rows, total, place, node))
    }
}

async fn find(
    ctx: &Context<'_>,
    source: Option<String>,
    key: NaturalKey,
    uid: Option<String>,
) -> Result<Option<Recorded>, ApiError> {
    let view = view(ctx).await?;
    let found = view.scope().find_record(source.as_deref(), key, uid).await?;
    Ok(found.map(|record| Recorded::new(&view, record)))
}

fn place(record: &StoredRecord) -> RecordPlace {
    (record.born_at, record.key_hash)
}

async fn list<N: Listed>(
    ctx: &Context<'_>,
    kind: &'static str,
    asked: RecordsAsked,
    page: PageArgs,
    node: impl Fn(Recorded) -> N,
) -> Result<Connection<N>, ApiError> {
    let view = view(ctx).await?;
    let RecordFilter { source: _, cluster, pack, status, live, namespace } = &asked.filter;
    let listed = List::new(&view, kind, &(&asked.source, cluster, pack, status, live, namespace));
    let page: Page<RecordPlace> = page.page(&listed)?;
    let rows = view.scope().list_records(kind, &asked, &page).await?;
    let scope = view.scope().clone();
    let total = Total::count(move || {
        let (scope, asked) = (scope.clone(), asked.clone());
        async move { Ok(scope.count_records(kind, &asked).await?) }
    });
    Ok(Connection::new(&listed, &page, rows, total, place, |record| node(Recorded::new(&view, record))))
}
