//! Clusters and pack families.

use async_graphql::{Context, Object};

use crate::auth::Scope;
use crate::domain::mention::Named;
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::types::mention::{Cluster, Mentioned, PackFamily};
use crate::storage::{Page, StoredMention};

#[derive(Clone, Default)]
pub struct MentionQuery(pub Seat);

#[Object]
impl MentionQuery {
    /// A cluster by name; null if no record names it.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn cluster(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The name.")] name: String,
    ) -> Result<Option<Cluster>, ApiError> {
        Ok(find(&self.0, ctx, source, Named::Cluster, name).await?.map(Cluster))
    }

    /// The clusters that records name, by source and name.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn clusters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of this source.")] source: Option<String>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<Cluster>, ApiError> {
        list(&self.0, ctx, "clusters", Named::Cluster, source, PageArgs::new(first, after, last, before), Cluster).await
    }

    /// A pack family by name; null if no pack is of it.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn pack_family(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The name: the `basePackName` of its packs.")] name: String,
    ) -> Result<Option<PackFamily>, ApiError> {
        Ok(find(&self.0, ctx, source, Named::PackFamily, name).await?.map(PackFamily))
    }

    /// The families that packs are of, by source and name.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn pack_families(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of this source.")] source: Option<String>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackFamily>, ApiError> {
        list(
            &self.0,
            ctx,
            "packFamilies",
            Named::PackFamily,
            source,
            PageArgs::new(first, after, last, before),
            PackFamily,
        )
        .await
    }
}

async fn find(
    seat: &Seat,
    ctx: &Context<'_>,
    source: Option<String>,
    named: Named,
    name: String,
) -> Result<Option<Mentioned>, ApiError> {
    let view = seat.view(ctx).await?;
    let Some(source) = view.scope().pick_source(source.as_deref())? else { return Ok(None) };
    Mentioned::find(&view, source.id, named, name).await
}

async fn list<N: Listed>(
    seat: &Seat,
    ctx: &Context<'_>,
    field: &str,
    named: Named,
    source: Option<String>,
    page: PageArgs,
    node: impl Fn(Mentioned) -> N,
) -> Result<Connection<N>, ApiError> {
    let view = seat.view(ctx).await?;
    let listed = List::new(&view, field, &source);
    let page: Page<(String, String)> = page.page(&listed)?;
    let rows = view.scope().list_mentions(named, source.as_deref(), page.clone()).await?;
    let scope = view.scope().clone();
    let total = Total::count(move || {
        let (scope, source) = (scope.clone(), source.clone());
        async move { Ok(scope.count_mentions(named, source.as_deref()).await?) }
    });
    let place = |mention: &StoredMention| (view.scope().source_name(mention.source).to_owned(), mention.name.clone());
    Ok(Connection::new(&listed, &page, rows, total, place, |mention| node(Mentioned::new(&view, mention))))
}
