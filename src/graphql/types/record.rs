//! What every record has, and the type of the kinds that have nothing else.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, ID, Interface, OutputType, Positioned, ServerResult, Value};
use futures_util::FutureExt as _;

use super::cluster_pack::ClusterPack;
use super::common::{Condition, KeyValue, RecordWarning};
use super::drift_signal::DriftSignal;
use super::enums::{self, ClosedBy};
use super::finding::Finding;
use super::lineage::{LineageLabels, SealedLineage};
use super::lineage_index::LineageIndex;
use super::operation_result::PackOperationResult;
use super::pack_execution::PackExecution;
use super::pack_instance::PackInstance;
use super::pack_receipt::PackReceipt;
use super::reference::RecordRef;
use super::version::RecordVersion;
use crate::domain::kind;
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::rows::{One, PlainField, one};
use crate::graphql::scalar::{DateTime, Digest, Int53, Json};
use crate::graphql::view::{FindingsKey, VersionKey, VersionsKey, View};
use crate::service::query::{Body, Question, Relation, member_text};
use crate::storage::{EntryPlace, FindingState, Page, Provenance, Rows, StoredFinding, StoredRecord};

/// A record with the view that it was read through.
#[derive(Clone)]
pub struct Recorded {
    /// The view.
    pub view: View,
    /// The record.
    pub record: Arc<StoredRecord>,
}

impl Recorded {
    /// A record of a view.
    pub fn new(view: &View, record: impl Into<Arc<StoredRecord>>) -> Self {
        Self { view: view.clone(), record: record.into() }
    }

    /// The name of its source.
    #[must_use]
    pub fn source(&self) -> &str {
        self.view.scope().source_name(self.record.source)
    }

    /// Its global id.
    #[must_use]
    pub fn id(&self) -> ID {
        GlobalId::of_record(self.source(), &self.record.key, self.record.uid.as_deref())
    }

    /// Its raw object.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn body(&self) -> Result<Arc<Body>, ApiError> {
        self.view.body(self.provenance().await?.body).await
    }

    /// The provenance of its content: what was read with it, else looked up.
    ///
    /// # Errors
    /// If the store fails or has lost it.
    pub async fn provenance(&self) -> Result<Arc<Provenance>, ApiError> {
        if let Some(provenance) = &self.record.provenance {
            return Ok(Arc::clone(provenance));
        }
        let key = VersionKey(self.record.object, self.record.content.n);
        let version = self.view.load(key).await?.ok_or_else(|| {
            tracing::error!(row = self.record.object, "a version is missing");
            ApiError::internal()
        })?;
        Ok(Arc::clone(&version.provenance))
    }

    /// A text of its raw object.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn text(&self, path: &[&str]) -> Result<Option<String>, ApiError> {
        Ok(self.body().await?.text(path))
    }

    /// One of its references.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn refer(&self, relation: Relation) -> Result<Option<One<RecordRef>>, ApiError> {
        let question = Question { record: Arc::clone(&self.record), relation };
        let reference = self.view.load(question).await?;
        Ok(reference.map(|reference| One(RecordRef::resolved(&self.view, reference))))
    }

    /// Its owners.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn owners(&self) -> Result<Vec<One<RecordRef>>, ApiError> {
        let body = self.body().await?;
        let relations: Vec<Relation> = body
            .objects(&["metadata", "ownerReferences"])
            .filter_map(|owner| {
                let kind = kind::canonical(&member_text(owner, "apiVersion")?, &member_text(owner, "kind")?);
                Some(Relation::Owner { kind, name: member_text(owner, "name")?, uid: member_text(owner, "uid")? })
            })
            .collect();
        let owners = relations.into_iter().map(|relation| self.refer(relation));
        Ok(futures_util::future::try_join_all(owners).await?.into_iter().flatten().collect())
    }

    /// The contract's breaches.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn warnings(&self) -> Result<Vec<RecordWarning>, ApiError> {
        Ok(warnings(self.provenance().await?.warnings.as_deref()))
    }

    /// A page of the findings on it.
    ///
    /// # Errors
    /// If the store fails, or the page cannot be had.
    pub async fn findings(&self, state: FindingState, page: PageArgs) -> Result<Connection<Finding>, ApiError> {
        let subject = format!("object:{}", self.record.key.object_key(self.record.uid.as_deref()));
        findings(&self.view, self.record.source, vec![subject], state, page).await
    }

    /// A page of its versions.
    ///
    /// # Errors
    /// If the store fails, or the page cannot be had.
    pub async fn versions(&self, page: PageArgs) -> Result<Connection<RecordVersion>, ApiError> {
        let listed = List::new(&self.view, "versions", &self.id().as_str());
        let page: Page<i64> = page.page(&listed)?;
        let rows = self.view.load(VersionsKey(self.record.object, page.clone())).await?.unwrap_or_else(Rows::none);
        let node = |version| RecordVersion { view: self.view.clone(), version };
        Ok(Connection::new(&listed, &page, rows, Total::Known(self.record.versions), |row| row.content.n, node))
    }
}

/// A page of the findings on subjects of a source, newest first.
///
/// # Errors
/// If the store fails, or the page cannot be had.
pub async fn findings(
    view: &View,
    source: i64,
    subjects: Vec<String>,
    state: FindingState,
    page: PageArgs,
) -> Result<Connection<Finding>, ApiError> {
    let listed = List::new(view, "findingsOf", &(view.scope().source_name(source), &subjects, state));
    let page: Page<EntryPlace> = page.page(&listed)?;
    let found = subjects.into_iter().map(|subject| view.load(FindingsKey(source, subject, state)));
    let found = futures_util::future::try_join_all(found).await?;
    let mut all: Vec<StoredFinding> = found.into_iter().flatten().flat_map(|part| part.to_vec()).collect();
    all.sort_by_key(|finding| std::cmp::Reverse(place(finding)));
    let total = Total::Known(i64::try_from(all.len()).unwrap_or(i64::MAX));
    let rows = page.of(all, |finding| std::cmp::Reverse(place(finding)), |key| std::cmp::Reverse(*key));
    Ok(Connection::new(&listed, &page, rows, total, place, |finding| Finding::new(view, finding)))
}

/// A finding's place in a list.
#[must_use]
pub fn place(finding: &StoredFinding) -> EntryPlace {
    (finding.raised_seq, finding.id)
}

/// The contract's breaches, as they are stored.
#[must_use]
pub fn warnings(stored: Option<&str>) -> Vec<RecordWarning> {
    stored.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Defines the type of a kind: what every record has, and what only this kind has.
macro_rules! record_object {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name(pub $crate::graphql::types::record::Recorded);

        $(#[$meta])*
        #[async_graphql::Object]
        impl $name {
            /// The global id, for `node`.
            pub(crate) async fn id(&self) -> async_graphql::ID {
                self.0.id()
            }

            /// The source that the record comes from.
            pub(crate) async fn source(&self) -> &str {
                self.0.source()
            }

            /// `apiVersion`, as sent.
            pub(crate) async fn api_version(&self) -> Result<String, $crate::graphql::error::ApiError> {
                Ok(self.0.text(&["apiVersion"]).await?.unwrap_or_default())
            }

            /// `kind`, as sent.
            pub(crate) async fn kind(&self) -> Result<String, $crate::graphql::error::ApiError> {
                Ok(self.0.text(&["kind"]).await?.unwrap_or_default())
            }

            /// The one name of the kind, whatever prefix, group or release it was sent under.
            pub(crate) async fn canonical_kind(&self) -> &str {
                &self.0.record.key.kind
            }

            /// The namespace; null for cluster-scoped objects.
            pub(crate) async fn namespace(&self) -> Option<&str> {
                Some(self.0.record.key.namespace.as_str()).filter(|namespace| !namespace.is_empty())
            }

            /// The name. Names are reused: only with the uid is it an identity.
            pub(crate) async fn name(&self) -> &str {
                &self.0.record.key.name
            }

            /// The uid; null for what was sent without one.
            pub(crate) async fn uid(&self) -> Option<&str> {
                self.0.record.uid.as_deref()
            }

            /// `metadata.resourceVersion`. No order: it restarts when a cluster is restored.
            pub(crate) async fn resource_version(&self) -> Result<Option<String>, $crate::graphql::error::ApiError> {
                Ok(self.0.provenance().await?.resource_version.clone())
            }

            /// `metadata.labels`.
            pub(crate) async fn labels(
                &self,
            ) -> Result<Vec<$crate::graphql::types::common::KeyValue>, $crate::graphql::error::ApiError> {
                Ok($crate::graphql::types::common::pairs(&*self.0.body().await?, &["metadata", "labels"]))
            }

            /// `metadata.annotations`.
            pub(crate) async fn annotations(
                &self,
            ) -> Result<Vec<$crate::graphql::types::common::KeyValue>, $crate::graphql::error::ApiError> {
                Ok($crate::graphql::types::common::pairs(&*self.0.body().await?, &["metadata", "annotations"]))
            }

            /// `metadata.creationTimestamp`.
            pub(crate) async fn creation_timestamp(&self) -> Option<$crate::graphql::scalar::DateTime> {
                self.0.record.content.facts.created.map($crate::graphql::scalar::DateTime)
            }

            /// `metadata.generation`, as the record had it when its content was first seen.
            pub(crate) async fn generation(
                &self,
            ) -> Result<Option<$crate::graphql::scalar::Int53>, $crate::graphql::error::ApiError> {
                Ok(self.0.body().await?.int(&["metadata", "generation"]).map($crate::graphql::scalar::Int53))
            }

            /// `metadata.deletionTimestamp`: from when the object is being deleted.
            pub(crate) async fn deletion_timestamp(
                &self,
            ) -> Result<Option<$crate::graphql::scalar::DateTime>, $crate::graphql::error::ApiError> {
                Ok(self.0.body().await?.time(&["metadata", "deletionTimestamp"]).map($crate::graphql::scalar::DateTime))
            }

            /// The generation that the controller reconciled last, as the record had it when its content was
            /// first seen.
            pub(crate) async fn observed_generation(
                &self,
            ) -> Result<Option<$crate::graphql::scalar::Int53>, $crate::graphql::error::ApiError> {
                Ok(self.0.body().await?.int(&["status", "observedGeneration"]).map($crate::graphql::scalar::Int53))
            }

            /// `status.conditions`.
            pub(crate) async fn conditions(
                &self,
            ) -> Result<Vec<$crate::graphql::types::common::Condition>, $crate::graphql::error::ApiError> {
                Ok($crate::graphql::types::common::conditions(&*self.0.body().await?))
            }

            /// The sealed causal chain, in whichever of its shapes; null where the record carries none.
            pub(crate) async fn lineage(
                &self,
            ) -> Result<Option<$crate::graphql::types::lineage::SealedLineage>, $crate::graphql::error::ApiError> {
                Ok($crate::graphql::types::lineage::sealed(&*self.0.body().await?))
            }

            /// What the labels of the record say of its root; null where it has none of them.
            pub(crate) async fn lineage_labels(
                &self,
            ) -> Result<Option<$crate::graphql::types::lineage::LineageLabels>, $crate::graphql::error::ApiError> {
                $crate::graphql::types::lineage::LineageLabels::of(&self.0).await
            }

            /// Who declared the object, as the platform noted in its annotations.
            pub(crate) async fn declaring_principal(
                &self,
            ) -> Result<Option<String>, $crate::graphql::error::ApiError> {
                self.0.text(&["metadata", "annotations", $crate::domain::names::DECLARING_PRINCIPAL]).await
            }

            /// `metadata.ownerReferences`, resolved by uid.
            pub(crate) async fn owners(
                &self,
            ) -> Result<Vec<$crate::graphql::rows::One<$crate::graphql::types::reference::RecordRef>>, $crate::graphql::error::ApiError> {
                self.0.owners().await
            }

            /// Whether the object still exists, as far as is known.
            pub(crate) async fn live(&self) -> bool {
                self.0.record.live
            }

            /// From when the object is known: the earliest effective time of its observations.
            pub(crate) async fn first_seen_at(&self) -> $crate::graphql::scalar::DateTime {
                $crate::graphql::scalar::DateTime(self.0.record.first_at)
            }

            /// When the object last changed or was closed.
            pub(crate) async fn updated_at(&self) -> $crate::graphql::scalar::DateTime {
                $crate::graphql::scalar::DateTime(self.0.record.changed_at)
            }

            /// When the object was last seen in any way. A live value, outside of the ledger: null under `asOf`.
            pub(crate) async fn last_seen_at(&self) -> Option<$crate::graphql::scalar::DateTime> {
                let is_live = self.0.view.scope().is_live();
                is_live.then_some($crate::graphql::scalar::DateTime(self.0.record.last_seen_at))
            }

            /// When the object was closed; null while it lives.
            pub(crate) async fn closed_at(&self) -> Option<$crate::graphql::scalar::DateTime> {
                self.0.record.closed_at.map($crate::graphql::scalar::DateTime)
            }

            /// How the object was closed; null while it lives.
            pub(crate) async fn closed_by(&self) -> Option<$crate::graphql::types::enums::ClosedBy> {
                self.0.record.end.and_then($crate::graphql::types::enums::ClosedBy::of)
            }

            /// The whole object, as sent.
            pub(crate) async fn raw(&self) -> Result<$crate::graphql::scalar::Json, $crate::graphql::error::ApiError> {
                Ok($crate::graphql::scalar::Json(self.0.body().await?.value().clone()))
            }

            /// The digest of the content: of all but what moves without the object changing.
            pub(crate) async fn digest(&self) -> Result<$crate::graphql::scalar::Digest, $crate::graphql::error::ApiError> {
                Ok($crate::graphql::scalar::Digest(self.0.provenance().await?.digest))
            }

            /// The digest of `spec`.
            pub(crate) async fn spec_digest(
                &self,
            ) -> Result<$crate::graphql::scalar::Digest, $crate::graphql::error::ApiError> {
                Ok($crate::graphql::scalar::Digest(self.0.provenance().await?.spec_digest))
            }

            /// Where the object breaches its contract.
            pub(crate) async fn warnings(
                &self,
            ) -> Result<Vec<$crate::graphql::types::common::RecordWarning>, $crate::graphql::error::ApiError> {
                self.0.warnings().await
            }

            /// Who sent this content first.
            pub(crate) async fn asserter(&self) -> Result<String, $crate::graphql::error::ApiError> {
                Ok(self.0.provenance().await?.asserter.clone())
            }

            /// The findings on this record, newest first: those that stand unless asked otherwise.
            pub(crate) async fn findings(
                &self,
                #[graphql(desc = "Those that stand, those that were cleared, or both.", default)]
                state: $crate::graphql::types::enums::FindingState,
                #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
                #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
                #[graphql(desc = "How many, from the end.")] last: Option<i32>,
                #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
            ) -> Result<
                $crate::graphql::connection::Connection<$crate::graphql::types::finding::Finding>,
                $crate::graphql::error::ApiError,
            > {
                self.0.findings(state.into(), $crate::graphql::connection::PageArgs::new(first, after, last, before)).await
            }

            /// The versions of this record, oldest first: the stretches of equal content.
            pub(crate) async fn versions(
                &self,
                #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
                #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
                #[graphql(desc = "How many, from the end.")] last: Option<i32>,
                #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
            ) -> Result<
                $crate::graphql::connection::Connection<$crate::graphql::types::version::RecordVersion>,
                $crate::graphql::error::ApiError,
            > {
                self.0.versions($crate::graphql::connection::PageArgs::new(first, after, last, before)).await
            }

            $($own)*
        }

        impl $name {
            /// The fields of every record that are in memory.
            pub const RECORD_PLAIN: &'static [$crate::graphql::rows::PlainField<Self>] = $crate::graphql::rows::plain![
                id, source, canonical_kind, namespace, name, uid, creation_timestamp, live, first_seen_at,
                updated_at, last_seen_at, closed_at, closed_by;
                // Where it was read along.
                |row| row.0.record.provenance.is_some() => resource_version, digest, spec_digest, asserter,
            ];
        }
    };
}
pub(crate) use record_object;

record_object! {
    /// A record of a kind that has no type of its own.
    KubernetesRecord {}
}

/// What every record has, whatever its kind.
#[expect(clippy::duplicated_attributes, reason = "fields of one type are no duplicates")]
#[derive(Clone, Interface)]
#[graphql(
    field(name = "id", ty = "ID", desc = "The global id, for `node`."),
    field(name = "source", ty = "&str", desc = "The source that the record comes from."),
    field(name = "api_version", ty = "String", desc = "`apiVersion`, as sent."),
    field(name = "kind", ty = "String", desc = "`kind`, as sent."),
    field(
        name = "canonical_kind",
        ty = "&str",
        desc = "The one name of the kind, whatever prefix, group or release it was sent under."
    ),
    field(name = "namespace", ty = "Option<&str>", desc = "The namespace; null for cluster-scoped objects."),
    field(name = "name", ty = "&str", desc = "The name. Names are reused: only with the uid is it an identity."),
    field(name = "uid", ty = "Option<&str>", desc = "The uid; null for what was sent without one."),
    field(
        name = "resource_version",
        ty = "Option<String>",
        desc = "`metadata.resourceVersion`. No order: it restarts when a cluster is restored."
    ),
    field(name = "labels", ty = "Vec<KeyValue>", desc = "`metadata.labels`."),
    field(name = "annotations", ty = "Vec<KeyValue>", desc = "`metadata.annotations`."),
    field(name = "creation_timestamp", ty = "Option<DateTime>", desc = "`metadata.creationTimestamp`."),
    field(
        name = "generation",
        ty = "Option<Int53>",
        desc = "`metadata.generation`, as the record had it when its content was first seen."
    ),
    field(
        name = "deletion_timestamp",
        ty = "Option<DateTime>",
        desc = "`metadata.deletionTimestamp`: from when the object is being deleted."
    ),
    field(
        name = "observed_generation",
        ty = "Option<Int53>",
        desc = "The generation that the controller reconciled last, as the record had it when its content was first seen."
    ),
    field(name = "conditions", ty = "Vec<Condition>", desc = "`status.conditions`."),
    field(
        name = "lineage",
        ty = "Option<SealedLineage>",
        desc = "The sealed causal chain, in whichever of its shapes; null where the record carries none."
    ),
    field(
        name = "lineage_labels",
        ty = "Option<LineageLabels>",
        desc = "What the labels of the record say of its root; null where it has none of them."
    ),
    field(
        name = "declaring_principal",
        ty = "Option<String>",
        desc = "Who declared the object, as the platform noted in its annotations."
    ),
    field(name = "owners", ty = "Vec<One<RecordRef>>", desc = "`metadata.ownerReferences`, resolved by uid."),
    field(name = "live", ty = "bool", desc = "Whether the object still exists, as far as is known."),
    field(
        name = "first_seen_at",
        ty = "DateTime",
        desc = "From when the object is known: the earliest effective time of its observations."
    ),
    field(name = "updated_at", ty = "DateTime", desc = "When the object last changed or was closed."),
    field(
        name = "last_seen_at",
        ty = "Option<DateTime>",
        desc = "When the object was last seen in any way. A live value, outside of the ledger: null under `asOf`."
    ),
    field(name = "closed_at", ty = "Option<DateTime>", desc = "When the object was closed; null while it lives."),
    field(name = "closed_by", ty = "Option<ClosedBy>", desc = "How the object was closed; null while it lives."),
    field(name = "raw", ty = "Json", desc = "The whole object, as sent."),
    field(
        name = "digest",
        ty = "Digest",
        desc = "The digest of the content: of all but what moves without the object changing."
    ),
    field(name = "spec_digest", ty = "Digest", desc = "The digest of `spec`."),
    field(name = "warnings", ty = "Vec<RecordWarning>", desc = "Where the object breaches its contract."),
    field(name = "asserter", ty = "String", desc = "Who sent this content first."),
    field(
        name = "findings",
        ty = "Connection<Finding>",
        desc = "The findings on this record, newest first: those that stand unless asked otherwise.",
        arg(
            name = "state",
            ty = "enums::FindingState",
            desc = "Those that stand, those that were cleared, or both.",
            default
        ),
        arg(
            name = "first",
            ty = "Option<i32>",
            desc = "How many, from the start; 20 unless said otherwise, 100 at most."
        ),
        arg(name = "after", ty = "Option<String>", desc = "The cursor that the page follows."),
        arg(name = "last", ty = "Option<i32>", desc = "How many, from the end."),
        arg(name = "before", ty = "Option<String>", desc = "The cursor that the page precedes.")
    ),
    field(
        name = "versions",
        ty = "Connection<RecordVersion>",
        desc = "The versions of this record, oldest first: the stretches of equal content.",
        arg(
            name = "first",
            ty = "Option<i32>",
            desc = "How many, from the start; 20 unless said otherwise, 100 at most."
        ),
        arg(name = "after", ty = "Option<String>", desc = "The cursor that the page follows."),
        arg(name = "last", ty = "Option<i32>", desc = "How many, from the end."),
        arg(name = "before", ty = "Option<String>", desc = "The cursor that the page precedes.")
    )
)]
pub enum Record {
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
    /// Any other kind.
    KubernetesRecord(KubernetesRecord),
}

impl Record {
    /// The record in the type of its kind.
    #[must_use]
    pub fn of(recorded: Recorded) -> Self {
        match recorded.record.key.kind.as_str() {
            kind::PACK => ClusterPack(recorded).into(),
            kind::EXECUTION => PackExecution(recorded).into(),
            kind::RESULT => PackOperationResult(recorded).into(),
            kind::RECEIPT => PackReceipt(recorded).into(),
            kind::INSTANCE => PackInstance(recorded).into(),
            kind::DRIFT_SIGNAL => DriftSignal(recorded).into(),
            kind::LINEAGE_INDEX => LineageIndex(recorded).into(),
            _ => KubernetesRecord(recorded).into(),
        }
    }
}

/// A record that stands alone, resolved as one of the type of its kind.
pub struct Shown(pub Record);

impl OutputType for Shown {
    fn type_name() -> Cow<'static, str> {
        <Record as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Record as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Record as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        match &self.0 {
            Record::ClusterPack(node) => one(node, ctx, field).boxed(),
            Record::PackExecution(node) => one(node, ctx, field).boxed(),
            Record::PackOperationResult(node) => one(node, ctx, field).boxed(),
            Record::PackReceipt(node) => one(node, ctx, field).boxed(),
            Record::PackInstance(node) => one(node, ctx, field).boxed(),
            Record::DriftSignal(node) => one(node, ctx, field).boxed(),
            Record::LineageIndex(node) => one(node, ctx, field).boxed(),
            Record::KubernetesRecord(node) => one(node, ctx, field).boxed(),
        }
        .await
    }
}

impl Listed for KubernetesRecord {
    const NAME: &'static str = "KubernetesRecord";
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[Self::RECORD_PLAIN];
}

impl Listed for Record {
    const NAME: &'static str = "Record";
}
