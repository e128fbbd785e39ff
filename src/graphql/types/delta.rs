//! What differs between two times.

use async_graphql::{Enum, Object, SimpleObject};

use super::deployed::ClusterDeployment;
use super::diff::VersionDiff;
use super::lineage_answer::Completeness;
use super::lineage_kind::LineageEdgeKind;
use super::lineage_node::{LineageNode, edge_kind};
use super::record::Recorded;
use super::version::RecordVersion;
use crate::graphql::connection::{Connection, Listed, PageArgs};
use crate::graphql::error::ApiError;
use crate::graphql::scalar::DateTime;
use crate::graphql::types::listing::part;
use crate::graphql::view::{RecordKey, VersionKey, View};
use crate::service::query::Deployment;
use crate::service::query::lineage::{self, Change, DeltaScope, EdgeNames, NodeChange};
use crate::storage::Breadth;

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "DeltaScope", remote = "DeltaScope")]
pub enum DeltaScopeName {
    /// The node alone.
    ObjectOnly,
    /// The node and what it is linked to.
    Dependencies,
    /// All that led to it and came of it.
    FullGraph,
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Change")]
pub enum DeltaChangeKind {
    /// It is there at the second time alone.
    Added,
    /// It was there at the first time alone.
    Removed,
    /// It differs.
    Changed,
}

/// A node that differs between two times.
#[derive(Clone)]
pub struct DeltaChange {
    view: View,
    change: NodeChange,
}

impl DeltaChange {
    async fn version(&self, n: Option<i64>) -> Result<Option<RecordVersion>, ApiError> {
        let Some((object, n)) = self.change.object.zip(n) else { return Ok(None) };
        let found = self.view.load(VersionKey(object, n)).await?;
        Ok(found.map(|version| RecordVersion { view: self.view.clone(), version: (*version).clone() }))
    }
}

/// A node that differs between two times.
#[Object]
impl DeltaChange {
    /// What became of it.
    async fn change(&self) -> DeltaChangeKind {
        self.change.change.into()
    }

    /// The node.
    async fn node(&self) -> LineageNode {
        LineageNode::new(&self.view, self.change.entity.clone(), None)
    }

    /// The version of the record at the first time; null for what is no record, or was not there.
    async fn before(&self) -> Result<Option<RecordVersion>, ApiError> {
        self.version(self.change.before).await
    }

    /// The version of the record at the second time.
    async fn after(&self) -> Result<Option<RecordVersion>, ApiError> {
        self.version(self.change.after).await
    }

    /// What differs between the two versions; null unless there are two.
    async fn diff(&self) -> Result<Option<VersionDiff>, ApiError> {
        let NodeChange { object: Some(object), before: Some(before), after: Some(after), .. } = self.change else {
            return Ok(None);
        };
        let version = |n| self.view.load(VersionKey(object, n));
        let record = self.view.load(RecordKey(object, Breadth::Full));
        let (record, before, after) = tokio::try_join!(record, version(before), version(after))?;
        let (Some(record), Some(before), Some(after)) = (record, before, after) else { return Ok(None) };
        let recorded = Recorded::new(&self.view, record);
        VersionDiff::of(recorded, (*before).clone(), (*after).clone()).await.map(Some)
    }
}

impl Listed for DeltaChange {
    const NAME: &'static str = "DeltaChange";
}

/// An edge that is there at one of two times.
#[derive(Clone)]
pub struct DeltaEdge {
    view: View,
    change: DeltaChangeKind,
    names: EdgeNames,
}

/// An edge that is there at one of two times.
#[Object]
impl DeltaEdge {
    /// What became of it.
    async fn change(&self) -> DeltaChangeKind {
        self.change
    }

    /// What it says.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn kind(&self) -> Result<LineageEdgeKind, ApiError> {
        edge_kind(self.names.2)
    }

    /// The cause.
    async fn from_node(&self) -> LineageNode {
        LineageNode::new(&self.view, self.names.0.clone(), None)
    }

    /// The effect.
    async fn to_node(&self) -> LineageNode {
        LineageNode::new(&self.view, self.names.1.clone(), None)
    }
}

impl Listed for DeltaEdge {
    const NAME: &'static str = "DeltaEdge";
}

/// A pack family on a cluster that differs between two times.
pub struct DeploymentChange {
    view: View,
    before: Option<Deployment>,
    after: Option<Deployment>,
}

/// A pack family on a cluster that differs between two times.
#[Object]
impl DeploymentChange {
    /// What became of it.
    async fn change(&self) -> DeltaChangeKind {
        match (&self.before, &self.after) {
            (None, _) => DeltaChangeKind::Added,
            (_, None) => DeltaChangeKind::Removed,
            _ => DeltaChangeKind::Changed,
        }
    }

    /// What was there at the first time.
    async fn before(&self) -> Option<ClusterDeployment> {
        self.before.clone().map(|deployment| ClusterDeployment::new(&self.view, deployment))
    }

    /// What is there at the second time.
    async fn after(&self) -> Option<ClusterDeployment> {
        self.after.clone().map(|deployment| ClusterDeployment::new(&self.view, deployment))
    }
}

impl Listed for DeploymentChange {
    const NAME: &'static str = "DeploymentChange";
}

/// How much differs.
#[derive(Debug, Clone, SimpleObject)]
pub struct DeltaSummary {
    /// Nodes that are there at the second time alone.
    added: i32,
    /// Nodes that were there at the first time alone.
    removed: i32,
    /// Records that are another version of themselves.
    changed: i32,
    /// Nodes that are the same.
    unchanged: i32,
    /// Edges that are there at the second time alone.
    edges_added: i32,
    /// Edges that were there at the first time alone.
    edges_removed: i32,
    /// Pack families on the cluster that differ; 0 where no cluster was asked about.
    deployments_changed: i32,
}

/// What differs between two times, by what was true then as is known by now.
pub struct Delta {
    view: View,
    asked: String,
    times: (i64, i64),
    found: lineage::Delta,
    deployments: Vec<(Option<Deployment>, Option<Deployment>)>,
}

impl Delta {
    /// What differs in a view; `asked` tells the question from others.
    #[must_use]
    pub fn new(
        view: &View,
        asked: String,
        times: (i64, i64),
        found: lineage::Delta,
        deployments: Vec<(Option<Deployment>, Option<Deployment>)>,
    ) -> Self {
        Self { view: view.clone(), asked, times, found, deployments }
    }

    fn narrowed_by(&self) -> (&str, (i64, i64), i64) {
        (&self.asked, self.times, self.view.scope().seq())
    }
}

/// What differs between two times, by what was true then as is known by now.
#[Object]
impl Delta {
    /// The first time.
    async fn from(&self) -> DateTime {
        DateTime(self.times.0)
    }

    /// The second time.
    async fn to(&self) -> DateTime {
        DateTime(self.times.1)
    }

    /// How much differs.
    async fn summary(&self) -> DeltaSummary {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let of = |kind: Change| count(self.found.changes.iter().filter(|change| change.change == kind).count());
        DeltaSummary {
            added: of(Change::Added),
            removed: of(Change::Removed),
            changed: of(Change::Changed),
            unchanged: count(self.found.unchanged),
            edges_added: count(self.found.edges_added.len()),
            edges_removed: count(self.found.edges_removed.len()),
            deployments_changed: count(self.deployments.len()),
        }
    }

    /// The nodes that differ.
    #[expect(clippy::unused_async, reason = "a resolver with a page has to be asynchronous")]
    async fn changes(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<DeltaChange>, ApiError> {
        let changes = self.found.changes.iter();
        let changes = changes.map(|change| DeltaChange { view: self.view.clone(), change: change.clone() }).collect();
        let page = PageArgs::new(first, after, last, before);
        part(&self.view, "changes", &self.narrowed_by(), changes, &page)
    }

    /// The edges that differ: those that were added, then those that were removed.
    #[expect(clippy::unused_async, reason = "a resolver with a page has to be asynchronous")]
    async fn edges(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<DeltaEdge>, ApiError> {
        let edge =
            |change| move |names: &EdgeNames| DeltaEdge { view: self.view.clone(), change, names: names.clone() };
        let added = self.found.edges_added.iter().map(edge(DeltaChangeKind::Added));
        let edges = added.chain(self.found.edges_removed.iter().map(edge(DeltaChangeKind::Removed))).collect();
        let page = PageArgs::new(first, after, last, before);
        part(&self.view, "edges", &self.narrowed_by(), edges, &page)
    }

    /// The pack families on the cluster that differ; empty where no cluster was asked about.
    #[expect(clippy::unused_async, reason = "a resolver with a page has to be asynchronous")]
    async fn deployments(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<DeploymentChange>, ApiError> {
        let change = |(before, after): &(Option<Deployment>, Option<Deployment>)| DeploymentChange {
            view: self.view.clone(),
            before: before.clone(),
            after: after.clone(),
        };
        let changes = self.deployments.iter().map(change).collect();
        let page = PageArgs::new(first, after, last, before);
        part(&self.view, "deployments", &self.narrowed_by(), changes, &page)
    }

    /// Whether all that was asked about was compared: more than 5,000 nodes at a time are not.
    async fn completeness(&self) -> Completeness {
        Completeness::new(&self.view, self.found.completeness, None)
    }
}
