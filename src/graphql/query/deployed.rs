//! What is on a cluster.

use std::sync::Arc;

use async_graphql::{Context, Object};

use crate::auth::Scope;
use crate::domain::record::Resource;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::DateTime;
use crate::graphql::types::deployed::{
    ClusterDeployment, DeployedResource, DeployedResourceFilter, PackIntent, ResourceClaim,
};
use crate::graphql::view::View;
use crate::service::query::Deployment;
use crate::storage::{Page, ResourceFilter, ResourcePlace};

#[derive(Clone, Default)]
pub struct DeployedQuery(pub Seat);

#[Object]
impl DeployedQuery {
    /// The resources on a cluster, by kind and names: what the successful results that count there list.
    /// A resource of a result that lists nothing is unknown; `deployments` tells which those are.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "what is asked, and the four of a page")]
    async fn deployed_resources(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cluster.")] cluster: String,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "What narrows the list.")] filter: Option<DeployedResourceFilter>,
        #[graphql(desc = "What was there at this time; what is there now, unless said otherwise.")] at: Option<
            DateTime,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<DeployedResource>, ApiError> {
        let view = self.0.view(ctx).await?;
        let filter: ResourceFilter = filter.unwrap_or_default().into();
        let listed = List::new(&view, "deployedResources", &(&cluster, &source, &filter, at.map(|at| at.0)));
        let page: Page<ResourcePlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let deployments: Arc<[Deployment]> = deployments(&view, source.as_deref(), &cluster, at).await?.into();
        let rows = view.scope().deployed_resources(&deployments, &filter, &page).await?;
        let (scope, counted) = (view.scope().clone(), Arc::clone(&deployments));
        let total = Total::count(move || {
            let (scope, counted, filter) = (scope.clone(), Arc::clone(&counted), filter.clone());
            async move { Ok(scope.count_deployed(&counted, &filter).await?) }
        });
        let place = |(resource, _): &(Resource, Vec<usize>)| {
            let Resource { api_version, kind, namespace, name } = resource.clone();
            (kind, namespace, name, api_version)
        };
        Ok(Connection::new(&listed, &page, rows, total, place, |(resource, claims)| {
            DeployedResource::new(resource, ResourceClaim::all(&view, &deployments, &claims))
        }))
    }

    /// The packs on a cluster that claim a resource; several conflict. None if no pack there has it.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "the names of a resource")]
    async fn resource_owners(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cluster.")] cluster: String,
        #[graphql(desc = "The resource's API version.")] api_version: String,
        #[graphql(desc = "The resource's kind.")] kind: String,
        #[graphql(desc = "The resource's namespace; none for cluster-scoped ones.")] namespace: Option<String>,
        #[graphql(desc = "The resource's name.")] name: String,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "Who claimed it at this time; who does now, unless said otherwise.")] at: Option<DateTime>,
    ) -> Result<Vec<ResourceClaim>, ApiError> {
        let view = self.0.view(ctx).await?;
        let deployments = deployments(&view, source.as_deref(), &cluster, at).await?;
        let resource = Resource { api_version, kind, namespace: namespace.unwrap_or_default(), name };
        let claims = view.scope().claims(&deployments, &resource).await?;
        Ok(ResourceClaim::all(&view, &deployments, &claims))
    }

    /// The packs on a cluster, by family: its state at a time.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "what is asked, and the four of a page")]
    async fn deployments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cluster.")] cluster: String,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "What was there at this time; what is there now, unless said otherwise.")] at: Option<
            DateTime,
        >,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<ClusterDeployment>, ApiError> {
        let view = self.0.view(ctx).await?;
        let listed = List::new(&view, "deployments", &(&cluster, &source, at.map(|at| at.0)));
        let page: Page<String> = PageArgs::new(first, after, last, before).page(&listed)?;
        let all = deployments(&view, source.as_deref(), &cluster, at).await?;
        let total = Total::Known(i64::try_from(all.len()).unwrap_or(i64::MAX));
        let place = |deployment: &Deployment| deployment.base.clone();
        let rows = page.of(all, place, Clone::clone);
        Ok(Connection::new(&listed, &page, rows, total, place, |deployment| ClusterDeployment::new(&view, deployment)))
    }

    /// What is meant to be on a cluster, what was executed, what is there, and what it acknowledged, by
    /// pack family.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    #[expect(clippy::too_many_arguments, reason = "what is asked, and the four of a page")]
    async fn intent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cluster.")] cluster: String,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<PackIntent>, ApiError> {
        let view = self.0.view(ctx).await?;
        let listed = List::new(&view, "intent", &(&cluster, &source));
        let page: Page<String> = PageArgs::new(first, after, last, before).page(&listed)?;
        let picked = view.scope().pick_source(source.as_deref())?.map(|source| source.name.clone());
        let families = match picked {
            Some(source) => view.scope().intent(&source, &cluster).await?,
            None => std::collections::BTreeMap::new(),
        };
        let total = Total::Known(i64::try_from(families.len()).unwrap_or(i64::MAX));
        let rows = page.of(families.into_iter().collect(), |(base, _)| base.clone(), Clone::clone);
        Ok(Connection::new(
            &listed,
            &page,
            rows,
            total,
            |(base, _)| base.clone(),
            |(base, intent)| PackIntent::new(&view, base, intent),
        ))
    }
}

async fn deployments(
    view: &View,
    source: Option<&str>,
    cluster: &str,
    at: Option<DateTime>,
) -> Result<Vec<Deployment>, ApiError> {
    let Some(source) = view.scope().pick_source(source)?.map(|source| source.id) else { return Ok(Vec::new()) };
    Ok(view.scope().deployments(source, cluster, at.map(|at| at.0)).await?)
}
