//! Look-ups and lists of the kinds that are not of the four contracts, and of any kind.

use async_graphql::{Context, Object};

use crate::auth::Scope;
use crate::domain::identity::NaturalKey;
use crate::domain::kind;
use crate::graphql::connection::{Connection, PageArgs};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::record_list::records;
use crate::graphql::types::drift_signal::DriftSignal;
use crate::graphql::types::lineage_index::LineageIndex;
use crate::graphql::types::pack_instance::PackInstance;
use crate::graphql::types::record::{Record, Recorded};
use crate::graphql::types::record_filter::{RecordFilter, RecordOrder};

#[derive(Clone, Default)]
pub struct KindQuery(pub Seat);

#[Object]
impl KindQuery {
    /// An installed pack by natural key; null if it was never seen.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn pack_instance(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The namespace.")] namespace: String,
        #[graphql(desc = "The name.")] name: String,
        #[graphql(
            desc = "The uid; without it, the newest live object of the name is meant, else the newest closed one."
        )]
        uid: Option<String>,
    ) -> Result<Option<PackInstance>, ApiError> {
        let view = self.0.view(ctx).await?;
        let key = NaturalKey::new(kind::INSTANCE, &namespace, &name);
        let found = view.scope().find_record(source.as_deref(), key, uid).await?;
        Ok(found.map(|record| PackInstance(Recorded::new(&view, record))))
    }

    /// Installed packs, the newest first unless ordered otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn pack_instances(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<RecordFilter>,
        #[graphql(desc = "What orders it; by creation, the newest first, unless said otherwise.")] order_by: Option<
            RecordOrder,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackInstance>, ApiError> {
        let asked = filter.unwrap_or_default().asked(order_by)?;
        let page = PageArgs::new(first, after, last, before);
        records(&self.0, ctx, "packInstances", kind::INSTANCE, asked, page, PackInstance).await
    }

    /// A drift signal by natural key; null if it was never seen.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn drift_signal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The namespace.")] namespace: String,
        #[graphql(desc = "The name.")] name: String,
        #[graphql(
            desc = "The uid; without it, the newest live object of the name is meant, else the newest closed one."
        )]
        uid: Option<String>,
    ) -> Result<Option<DriftSignal>, ApiError> {
        let view = self.0.view(ctx).await?;
        let key = NaturalKey::new(kind::DRIFT_SIGNAL, &namespace, &name);
        let found = view.scope().find_record(source.as_deref(), key, uid).await?;
        Ok(found.map(|record| DriftSignal(Recorded::new(&view, record))))
    }

    /// Drift signals, the newest first unless ordered otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn drift_signals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<RecordFilter>,
        #[graphql(desc = "What orders it; by creation, the newest first, unless said otherwise.")] order_by: Option<
            RecordOrder,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<DriftSignal>, ApiError> {
        let asked = filter.unwrap_or_default().asked(order_by)?;
        let page = PageArgs::new(first, after, last, before);
        records(&self.0, ctx, "driftSignals", kind::DRIFT_SIGNAL, asked, page, DriftSignal).await
    }

    /// A lineage index by natural key; null if it was never seen.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn lineage_index(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The namespace.")] namespace: String,
        #[graphql(desc = "The name.")] name: String,
        #[graphql(
            desc = "The uid; without it, the newest live object of the name is meant, else the newest closed one."
        )]
        uid: Option<String>,
    ) -> Result<Option<LineageIndex>, ApiError> {
        let view = self.0.view(ctx).await?;
        let key = NaturalKey::new(kind::LINEAGE_INDEX, &namespace, &name);
        let found = view.scope().find_record(source.as_deref(), key, uid).await?;
        Ok(found.map(|record| LineageIndex(Recorded::new(&view, record))))
    }

    /// Lineage indexes, the newest first unless ordered otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn lineage_indexes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<RecordFilter>,
        #[graphql(desc = "What orders it; by creation, the newest first, unless said otherwise.")] order_by: Option<
            RecordOrder,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<LineageIndex>, ApiError> {
        let asked = filter.unwrap_or_default().asked(order_by)?;
        let page = PageArgs::new(first, after, last, before);
        records(&self.0, ctx, "lineageIndexes", kind::LINEAGE_INDEX, asked, page, LineageIndex).await
    }

    /// The records of any one kind, the newest first unless ordered otherwise.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "four of them are those of every list")]
    async fn records(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The kind, by any of the platform's names for it, such as `PackInstalled`, or `Kind.group` \
                          outside of the platform's groups.")]
        kind: String,
        #[graphql(desc = "What narrows the list.")] filter: Option<RecordFilter>,
        #[graphql(desc = "What orders it; by creation, the newest first, unless said otherwise.")] order_by: Option<
            RecordOrder,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<Record>, ApiError> {
        let kind = kind::named(&kind);
        if NaturalKey::new(&kind, "", "").is_collection() {
            return Err(ApiError::bad_input("This is no kind."));
        }
        let asked = filter.unwrap_or_default().asked(order_by)?;
        records(
            &self.0,
            ctx,
            &format!("records of {kind}"),
            &kind,
            asked,
            PageArgs::new(first, after, last, before),
            Record::of,
        )
        .await
    }
}
