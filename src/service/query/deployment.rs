//! What is on a cluster, what is meant for it, and what it acknowledged.

use std::collections::{BTreeMap, HashMap};

use crate::domain::facts::Detail;
use crate::domain::identity::NaturalKey;
use crate::domain::kind;
use crate::domain::record::Resource;
use crate::storage::{Breadth, Page, RecordFilter, RecordList, ResourceFilter, ResourcePlace, Rows, StoredRecord};

use super::{QueryError, RecordsAsked, Scope};

/// The most pack families on one cluster that are answered about.
pub const MAX_PACKS: usize = 2_000;
/// What to ask of a cluster that has more.
const LISTS: &str = "page through the lists of records, filtered by the cluster";

/// A pack that is on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The pack family.
    pub base: String,
    /// The row of the result by which it is there.
    pub result: i64,
    /// From when that counts, microseconds.
    pub since: i64,
    /// The row of its resources; `None` where the result does not list them, which is unknown and not
    /// nothing.
    pub set: Option<i64>,
}

/// A resource with the places, in the deployments asked about, of those that claim it.
pub type Claimed = (Resource, Vec<usize>);

/// What is known of a pack family on a cluster.
#[derive(Debug, Clone, Default)]
pub struct Intent {
    /// The live packs that are meant for the cluster.
    pub intended: Vec<StoredRecord>,
    /// The newest live execution.
    pub executed: Option<StoredRecord>,
    /// By which result it is there.
    pub deployed: Option<Deployment>,
    /// The live receipts.
    pub acknowledged: Vec<StoredRecord>,
}

impl Scope {
    /// The packs that are on a cluster, by family. A successful result counts from its completion until a
    /// newer one of the same family, or until its pack, or the instance, is closed. Its own deletion
    /// undeploys nothing.
    ///
    /// # Errors
    /// If the store fails, or there are more than [`MAX_PACKS`].
    pub async fn deployments(
        &self,
        source: i64,
        cluster: &str,
        at: Option<i64>,
    ) -> Result<Vec<Deployment>, QueryError> {
        let at = at.unwrap_or(i64::MAX);
        let bases = self.packs_on(source, cluster).await?;
        let found = self.as_of.deployments(source, cluster, &bases, at).await?;
        let mut deployments: Vec<Deployment> = bases
            .into_iter()
            .zip(found)
            .filter_map(|(base, found)| {
                let found = found?;
                Some(Deployment { base, result: found.object, since: found.counted_at, set: found.set })
            })
            .collect();
        let ended = self.torn_down(source, cluster, &deployments, at).await?;
        deployments.retain(|deployment| !ended.contains_key(&deployment.result));
        Ok(deployments)
    }

    async fn packs_on(&self, source: i64, cluster: &str) -> Result<Vec<String>, QueryError> {
        let limit = i64::try_from(MAX_PACKS + 1).unwrap_or(i64::MAX);
        let bases = self.as_of.packs_on_cluster(source, cluster, limit).await?;
        if bases.len() > MAX_PACKS { Err(QueryError::TooMany(MAX_PACKS, LISTS)) } else { Ok(bases) }
    }

    /// The results whose pack or instance was closed after they counted, with that time.
    async fn torn_down(
        &self,
        source: i64,
        cluster: &str,
        deployments: &[Deployment],
        at: i64,
    ) -> Result<HashMap<i64, i64>, QueryError> {
        let results: Vec<i64> = deployments.iter().map(|deployment| deployment.result).collect();
        let mut closed = self.as_of.packs_closed(&results).await?;
        closed.extend(self.instances_closed(source, cluster, deployments).await?);
        let since: HashMap<i64, i64> = deployments.iter().map(|d| (d.result, d.since)).collect();
        Ok(closed.into_iter().filter(|(result, closed)| since[result] < *closed && *closed <= at).collect())
    }

    /// When the instances of deployments were closed, by result. An instance that went with its execution,
    /// or gave its name to a younger one, was not torn down: executions are deleted to be redone.
    async fn instances_closed(
        &self,
        source: i64,
        cluster: &str,
        deployments: &[Deployment],
    ) -> Result<Vec<(i64, i64)>, QueryError> {
        let results: Vec<i64> = deployments.iter().map(|deployment| deployment.result).collect();
        let names = self.as_of.vertex_names(&results).await?;
        let mut asked: Vec<(i64, NaturalKey)> = Vec::new();
        let mut about: Vec<i64> = Vec::new();
        let tenant = format!("seam-tenant-{cluster}");
        for deployment in deployments {
            let own = names.get(&deployment.result).map_or("", |names| names.key.namespace.as_str());
            let mut places = vec![own, "seam-system", &tenant];
            places.dedup();
            for namespace in places {
                let name = format!("{}-{cluster}", deployment.base);
                asked.push((source, NaturalKey::new(kind::INSTANCE, namespace, &name)));
                about.push(deployment.result);
            }
        }
        let nodes = self.as_of.find_nodes(&asked).await?;
        let ids: Vec<i64> = nodes.values().copied().collect();
        let mut times: HashMap<i64, Vec<i64>> = HashMap::new();
        for (node, at) in self.as_of.torn_down(&ids).await? {
            times.entry(node).or_default().push(at);
        }
        let closed = |(i, node): (usize, i64)| {
            let times = times.get(&node).cloned().unwrap_or_default();
            times.into_iter().map(move |at| (i, at))
        };
        Ok(nodes.into_iter().flat_map(closed).map(|(i, at)| (about[i], at)).collect())
    }

    /// The resources of deployments, by kind and names, each with those that claim it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn deployed_resources(
        &self,
        deployments: &[Deployment],
        filter: &ResourceFilter,
        page: &Page<ResourcePlace>,
    ) -> Result<Rows<Claimed>, QueryError> {
        let sets = sets(deployments);
        let rows = self.as_of.list_resources(&sets, filter, page).await?;
        let ids: Vec<i64> = rows.rows.iter().map(|(id, _)| *id).collect();
        let mut claims: HashMap<i64, Vec<usize>> = HashMap::new();
        for (set, resource) in self.as_of.sets_with(&sets, &ids).await? {
            let claimers = deployments.iter().enumerate().filter(|(_, deployment)| deployment.set == Some(set));
            claims.entry(resource).or_default().extend(claimers.map(|(i, _)| i));
        }
        for claims in claims.values_mut() {
            claims.sort_unstable();
        }
        Ok(rows.map(|(id, resource)| (resource, claims.remove(&id).unwrap_or_default())))
    }

    /// How many resources [`Self::deployed_resources`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_deployed(&self, deployments: &[Deployment], filter: &ResourceFilter) -> Result<i64, QueryError> {
        Ok(self.as_of.count_resources(&sets(deployments), filter).await?)
    }

    /// The deployments that claim a resource, by place.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn claims(&self, deployments: &[Deployment], resource: &Resource) -> Result<Vec<usize>, QueryError> {
        let Some(id) = self.as_of.find_resource(resource).await? else { return Ok(Vec::new()) };
        let with: Vec<i64> =
            self.as_of.sets_with(&sets(deployments), &[id]).await?.into_iter().map(|(set, _)| set).collect();
        let claims = |deployment: &Deployment| deployment.set.is_some_and(|set| with.contains(&set));
        Ok(deployments.iter().enumerate().filter(|(_, d)| claims(d)).map(|(i, _)| i).collect())
    }

    /// What is intended for a cluster, executed for it, there, and acknowledged by it, by pack family.
    ///
    /// # Errors
    /// If the store fails, or there are more than [`MAX_PACKS`] of anything.
    pub async fn intent(&self, source: &str, cluster: &str) -> Result<BTreeMap<String, Intent>, QueryError> {
        let Some(id) = self.source(source).map(|source| source.id) else { return Ok(BTreeMap::new()) };
        let mut families: BTreeMap<String, Intent> = BTreeMap::new();
        let mut bases: HashMap<String, String> = HashMap::new();
        for pack in self.live_on(source, cluster, kind::PACK).await? {
            let base = match &pack.content.facts.detail {
                Detail::Pack(facts) => facts.base.clone(),
                _ => None,
            };
            let base = base.unwrap_or_else(|| pack.key.name.clone());
            bases.insert(pack.key.name.clone(), base.clone());
            families.entry(base).or_default().intended.push(pack);
        }
        let base_of = |pack: &Option<String>| {
            let name = pack.clone().unwrap_or_default();
            bases.get(&name).cloned().unwrap_or(name)
        };
        for execution in self.live_on(source, cluster, kind::EXECUTION).await? {
            if let Detail::Execution(facts) = &execution.content.facts.detail {
                let family = families.entry(base_of(&facts.pack.name)).or_default();
                // Newest first.
                family.executed.get_or_insert(execution);
            }
        }
        for receipt in self.live_on(source, cluster, kind::RECEIPT).await? {
            if let Detail::Receipt(facts) = &receipt.content.facts.detail {
                families.entry(base_of(&facts.pack.name)).or_default().acknowledged.push(receipt);
            }
        }
        for deployment in self.deployments(id, cluster, None).await? {
            let base = deployment.base.clone();
            families.entry(base).or_default().deployed = Some(deployment);
        }
        Ok(families)
    }

    /// The live records of a kind that act on a cluster or are meant for it, newest first.
    async fn live_on(&self, source: &str, cluster: &str, kind: &str) -> Result<Vec<StoredRecord>, QueryError> {
        let filter = RecordFilter { cluster: Some(cluster.to_owned()), live: Some(true), ..RecordFilter::default() };
        let list = RecordList { filter, ..RecordList::default() };
        let asked = RecordsAsked { source: Some(source.to_owned()), list };
        let rows = self.list_records(kind, &asked, &Page::first(MAX_PACKS), Breadth::Full).await?;
        if rows.more {
            return Err(QueryError::TooMany(MAX_PACKS, LISTS));
        }
        Ok(rows.rows.into_iter().map(|(_, record)| record).collect())
    }
}

fn sets(deployments: &[Deployment]) -> Vec<i64> {
    let mut sets: Vec<i64> = deployments.iter().filter_map(|deployment| deployment.set).collect();
    sets.sort_unstable();
    sets.dedup();
    sets
}
