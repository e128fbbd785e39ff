//! What has a global id.

use async_graphql::{ID, Interface};

use super::chain::RevisionChain;
use super::cluster_pack::ClusterPack;
use super::drift_signal::DriftSignal;
use super::finding::Finding;
use super::lineage_index::LineageIndex;
use super::lineage_node::{LineageNode, entity_of, id_of};
use super::mention::{Cluster, Mentioned, PackFamily};
use super::operation_result::PackOperationResult;
use super::pack_execution::PackExecution;
use super::pack_instance::PackInstance;
use super::pack_receipt::PackReceipt;
use super::quarantine::QuarantinedItem;
use super::record::{KubernetesRecord, Record, Recorded};
use super::run::Run;
use super::sequence::OperationSequence;
use super::source::Source;
use crate::domain::identity::NaturalKey;
use crate::domain::mention::Named;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::view::{FindingsKey, View};
use crate::service::query::lineage::EntityKind;
use crate::service::query::{ChainPick, Identity, SequenceName, Which};
use crate::storage::FindingState;

/// Anything that has a global id.
#[derive(Clone, Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "The global id: opaque, the same in every copy of the store."))]
pub enum Node {
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
    /// A source.
    Source(Source),
    /// A cluster.
    Cluster(Cluster),
    /// A pack family.
    PackFamily(PackFamily),
    /// A sequence.
    OperationSequence(OperationSequence),
    /// A chain.
    RevisionChain(RevisionChain),
    /// A finding.
    Finding(Finding),
    /// An item in quarantine.
    QuarantinedItem(QuarantinedItem),
    /// A run.
    Run(Run),
    /// A node of the lineage graph that is nothing of the above.
    LineageNode(LineageNode),
}

impl From<Record> for Node {
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

/// What an id leads to; `None` if it is not there.
///
/// # Errors
/// If the id is none of ours, or the store fails.
pub async fn find(view: &View, id: &ID) -> Result<Option<Node>, ApiError> {
    let id = GlobalId::decode(id)?;
    if let Some(found) = find_record(view, id.clone()).await? {
        return Ok(Some(found));
    }
    // What only the graph has: things, and records that are named and were never seen.
    let is_vertex = matches!(&id, GlobalId::Vertex(_) | GlobalId::Record(_, _, _, _, _, Some(_)));
    let Some(entity) = entity_of(id).filter(|_| is_vertex) else { return Ok(None) };
    Ok(match view.scope().find_vertex(&entity).await? {
        Some((_, found)) if matches!(found.kind, EntityKind::Record(_)) => find_record(view, id_of(&found)).await?,
        Some((_, found)) => Some(LineageNode::new(view, found, None).into()),
        None => None,
    })
}

/// What an id leads to, if that is more than a node of the graph; `None` if it is not there.
///
/// # Errors
/// If the store fails.
pub async fn find_record(view: &View, id: GlobalId) -> Result<Option<Node>, ApiError> {
    let scope = view.scope();
    Ok(match id {
        GlobalId::Vertex(_) => None,
        GlobalId::Record(source, kind, cluster, namespace, name, uid) => {
            let Some(source) = scope.source(&source) else { return Ok(None) };
            let key = NaturalKey { kind, cluster, namespace, name };
            let found = view.load(Identity { source: source.id, key, which: Which::Uid(uid) }).await?;
            found.map(|record| Record::of(Recorded::new(view, record)).into())
        }
        GlobalId::Source(name) => scope.source(&name).map(|source| Source(source.clone()).into()),
        GlobalId::Sequence(source, namespace, name) => {
            let Some(source) = scope.source(&source) else { return Ok(None) };
            let sequence = SequenceName { source: source.id, namespace, name };
            OperationSequence::find(view, sequence).await?.map(Into::into)
        }
        GlobalId::Chain(source, namespace, name, uid) => {
            let Some(source) = scope.source(&source) else { return Ok(None) };
            let sequence = SequenceName { source: source.id, namespace, name };
            RevisionChain::find(view, sequence, &ChainPick::Uid(uid)).await?.map(Into::into)
        }
        GlobalId::Finding(source, code, subject) => {
            // What is about task packs is of the tenant and of no source.
            let source = if source.is_empty() { Some(0) } else { scope.source(&source).map(|source| source.id) };
            let Some(source) = source else { return Ok(None) };
            let found = view.load(FindingsKey(source, subject, FindingState::Open)).await?.unwrap_or_default();
            found.iter().find(|finding| finding.code == code).map(|finding| Finding::new(view, finding.clone()).into())
        }
        GlobalId::Cluster(source, name) => {
            let Some(source) = scope.source(&source) else { return Ok(None) };
            Mentioned::find(view, source.id, Named::Cluster, name).await?.map(|found| Cluster(found).into())
        }
        GlobalId::PackFamily(source, name) => {
            let Some(source) = scope.source(&source) else { return Ok(None) };
            Mentioned::find(view, source.id, Named::PackFamily, name).await?.map(|found| PackFamily(found).into())
        }
        GlobalId::Run(run_id) => Run::find(view, &run_id).await?.map(Into::into),
        GlobalId::Quarantined(id) => {
            let found = scope.quarantine_by_id(&[id]).await?;
            found.into_iter().next().map(|item| QuarantinedItem::new(view, item).into())
        }
    })
}
