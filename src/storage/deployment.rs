//! What is on a cluster: which results count, and what they applied.

use std::collections::HashMap;

use serde::Serialize;

use super::driver::json;
use super::error::StoreError;
use super::lineage::ResourceRow;
use super::list::deployed_term;
use super::page::{Page, Rows};
use super::read::AsOf;
use super::sql;
use crate::domain::mention::{Named, packs_on};
use crate::domain::record::Resource;

/// A result that counts as what is on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDeployment {
    /// The result.
    pub object: i64,
    /// From when it counts, microseconds.
    pub counted_at: i64,
    /// The resources that it applied; `None` where it does not say.
    pub set: Option<i64>,
}

/// The place of a resource in a list: kind, namespace, name, API version.
pub type ResourcePlace = (String, String, String, String);

/// What narrows a list of resources; empty for all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ResourceFilter {
    /// Only of this kind.
    pub kind: String,
    /// Only in this namespace.
    pub namespace: String,
}

impl AsOf {
    /// The base packs that were ever on a cluster of a source, or meant for it, by name; at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn packs_on_cluster(&self, source: i64, cluster: &str, limit: i64) -> Result<Vec<String>, StoreError> {
        let (from, to) = packs_on(cluster);
        let begin = from.len();
        let args = [
            self.tenant.into(),
            Named::PackOnCluster.word().into(),
            source.into(),
            from.into(),
            to.into(),
            self.seq.into(),
            limit.into(),
        ];
        let found: Vec<(String,)> = self.pool.rows(&sql::MENTIONS_OF_PREFIX, &args).await?;
        Ok(found.into_iter().map(|(name,)| name[begin..].to_owned()).collect())
    }

    /// The result by which each of some base packs is on a cluster at a time, in their order: the highest
    /// revision that counts then, in the epoch whose results count latest.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn deployments(
        &self,
        source: i64,
        cluster: &str,
        bases: &[String],
        at: i64,
    ) -> Result<Vec<Option<StoredDeployment>>, StoreError> {
        #[derive(Serialize)]
        struct Asked {
            i: usize,
            term: i64,
            object_id: i64,
        }
        if bases.is_empty() {
            return Ok(Vec::new());
        }
        let terms: Vec<i64> = bases.iter().map(|base| deployed_term(source, cluster, base)).collect();
        let asked: Vec<Asked> =
            terms.iter().enumerate().map(|(i, term)| Asked { i, term: *term, object_id: 0 }).collect();
        let args = [self.tenant.into(), self.seq.into(), at.into(), json(&asked)];
        let latest: Vec<(i64, Option<i64>)> = self.pool.rows(&sql::DEPLOYED_LATEST, &args).await?;
        let mut objects: HashMap<usize, i64> = HashMap::new();
        for (i, object) in latest {
            objects.extend(usize::try_from(i).ok().zip(object));
        }
        let asked: Vec<Asked> =
            objects.iter().map(|(i, object)| Asked { i: *i, term: terms[*i], object_id: *object }).collect();
        let args = [self.tenant.into(), self.seq.into(), at.into(), json(&asked)];
        let higher: Vec<(i64, i64, i64)> = self.pool.rows(&sql::DEPLOYED_HIGHER, &args).await?;
        let mut highest: HashMap<usize, (i64, i64)> = HashMap::new();
        for (i, revision, object) in higher {
            let Ok(i) = usize::try_from(i) else { continue };
            let best = highest.entry(i).or_insert((revision, object));
            *best = (*best).max((revision, object));
        }
        objects.extend(highest.into_iter().map(|(i, (_, object))| (i, object)));
        let found = self.deployed_by(objects.values().copied().collect()).await?;
        Ok((0..bases.len()).map(|i| found.get(objects.get(&i)?).cloned()).collect())
    }

    async fn deployed_by(&self, objects: Vec<i64>) -> Result<HashMap<i64, StoredDeployment>, StoreError> {
        let args = [self.tenant.into(), self.seq.into(), json(&objects)];
        let rows: Vec<(i64, i64, Option<i64>)> = self.pool.rows(&sql::DEPLOYED_BY, &args).await?;
        let deployment = |(object, counted_at, set)| (object, StoredDeployment { object, counted_at, set });
        Ok(rows.into_iter().map(deployment).collect())
    }

    /// When the packs of results were closed, by result.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn packs_closed(&self, results: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
        if results.is_empty() {
            return Ok(Vec::new());
        }
        let args = [self.tenant.into(), self.seq.into(), json(&results)];
        self.pool.rows(&sql::DEPLOYED_PACKS_CLOSED, &args).await
    }

    /// When the objects of nodes were deleted, or missing from a listing, by node.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn torn_down(&self, nodes: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        self.pool.rows(&sql::NODES_TORN_DOWN, &[self.tenant.into(), self.seq.into(), json(&nodes)]).await
    }

    /// The resources of sets, by kind and names, each once.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_resources(
        &self,
        sets: &[i64],
        filter: &ResourceFilter,
        page: &Page<ResourcePlace>,
    ) -> Result<Rows<(i64, Resource)>, StoreError> {
        let (kind, namespace, name, api_version) = page.from.clone().unwrap_or_default();
        let args = [
            self.tenant.into(),
            json(&sets),
            kind.into(),
            namespace.into(),
            name.into(),
            api_version.into(),
            filter.kind.as_str().into(),
            filter.namespace.as_str().into(),
            page.fetch().into(),
            i64::from(page.from.is_some()).into(),
        ];
        let rows: Vec<ResourceRow> = if page.backward {
            self.pool.rows(&sql::RESOURCES_OF_SETS_BACK, &args).await?
        } else {
            self.pool.rows(&sql::RESOURCES_OF_SETS, &args[..9]).await?
        };
        Ok(page.rows(rows).map(ResourceRow::named))
    }

    /// How many resources [`Self::list_resources`] has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_resources(&self, sets: &[i64], filter: &ResourceFilter) -> Result<i64, StoreError> {
        let args = [self.tenant.into(), json(&sets), filter.kind.as_str().into(), filter.namespace.as_str().into()];
        self.count(&sql::RESOURCES_OF_SETS_COUNT, &args).await
    }

    /// Which of some sets have which of some resources, as (set, resource).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sets_with(&self, sets: &[i64], resources: &[i64]) -> Result<Vec<(i64, i64)>, StoreError> {
        if sets.is_empty() || resources.is_empty() {
            return Ok(Vec::new());
        }
        self.pool.rows(&sql::SETS_WITH_RESOURCES, &[self.tenant.into(), json(&sets), json(&resources)]).await
    }
}
