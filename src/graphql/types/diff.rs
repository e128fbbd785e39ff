//! What differs between two results, or two versions of one record.

use std::sync::Arc;

use async_graphql::{Enum, Object, SimpleObject};
use serde_json::{Map, Value};

use super::common::AppliedResource;
use super::enums::OperationStatus;
use super::listing::part;
use super::operation_result::{FailureReason, OperationArtifact, PackOperationResult, failure_reason};
use super::record::{Record, Recorded};
use super::version::RecordVersion;
use crate::domain::diff::{PathChange, SetDiff};
use crate::domain::digest::Digest;
use crate::domain::record::Resource;
use crate::graphql::connection::{Connection, Listed, PageArgs};
use crate::graphql::error::ApiError;
use crate::graphql::scalar::Json;
use crate::graphql::view::View;
use crate::service::query::{Body, ContentDiff, bounded};
use crate::storage::{Provenance, StoredVersion};

/// One side of a comparison.
#[derive(Clone)]
struct Side {
    id: String,
    kind: String,
    digest: Digest,
    body: Arc<Body>,
}

impl Side {
    async fn of(recorded: &Recorded, provenance: &Provenance) -> Result<Self, ApiError> {
        Ok(Self {
            id: recorded.id().to_string(),
            kind: recorded.record.key.kind.clone(),
            digest: provenance.digest,
            body: recorded.view.body(provenance.body).await?,
        })
    }

    fn status(&self) -> Option<String> {
        self.body.text(&["spec", "status"])
    }
}

/// What differs between two contents.
pub struct RecordDiff {
    view: View,
    from: Side,
    to: Side,
    diff: ContentDiff,
}

impl RecordDiff {
    fn new(view: &View, from: Side, to: Side) -> Self {
        let diff = ContentDiff::of((&from.kind, &from.body), (&to.kind, &to.body));
        Self { view: view.clone(), from, to, diff }
    }

    /// What cursors are bound to: the very contents that are compared.
    fn narrowed_by(&self) -> (&str, Digest, &str, Digest) {
        (&self.from.id, self.from.digest, &self.to.id, self.to.digest)
    }

    fn resources(
        &self,
        field: &str,
        pick: impl Fn(&SetDiff<Resource>) -> &Vec<Resource>,
        page: &PageArgs,
    ) -> Result<Option<Connection<AppliedResource>>, ApiError> {
        let Some(resources) = &self.diff.resources else { return Ok(None) };
        let items = pick(resources).iter().map(AppliedResource::of).collect();
        let (from, from_digest, to, to_digest) = self.narrowed_by();
        let narrowed_by = (from, from_digest.hex(), to, to_digest.hex());
        part(&self.view, field, &narrowed_by, items, page).map(Some)
    }
}

/// How a place changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ChangeKind {
    /// Only the second side has something there.
    Added,
    /// Only the first side has something there.
    Removed,
    /// Both have something there, and not the same.
    Changed,
}

/// A place in which two objects differ.
#[derive(Debug, Clone, SimpleObject)]
pub struct ChangedPath {
    /// The JSON pointer (RFC 6901) of the place.
    path: String,
    /// How it changed.
    kind: ChangeKind,
    /// What the first side has there; null where it has nothing, or null.
    old: Option<Json>,
    /// What the second side has there; null where it has nothing, or null.
    new: Option<Json>,
}

impl From<&PathChange> for ChangedPath {
    fn from(change: &PathChange) -> Self {
        Self {
            path: bounded(&change.path),
            kind: match (&change.old, &change.new) {
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
                _ => ChangeKind::Changed,
            },
            old: change.old.clone().map(Json),
            new: change.new.clone().map(Json),
        }
    }
}

impl Listed for ChangedPath {
    const NAME: &'static str = "ChangedPath";
}

/// An artifact that both sides name, and not with the same content.
#[derive(Debug, Clone, SimpleObject)]
pub struct ChangedArtifact {
    /// As the first side has it.
    old: OperationArtifact,
    /// As the second side has it.
    new: OperationArtifact,
}

/// What differs between two contents. What moves by itself, such as heartbeats, is left out.
#[Object]
impl RecordDiff {
    /// Whether nothing differs.
    async fn identical(&self) -> bool {
        self.diff.paths.is_empty()
    }

    /// Whether both sides list their resources. If not, nothing can be said of what came or went.
    async fn resources_known(&self) -> bool {
        self.diff.resources.is_some()
    }

    /// The resources that only the second side lists; null unless both list theirs. Compared by
    /// `apiVersion`, `kind`, namespace and name.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn resources_added(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Option<Connection<AppliedResource>>, ApiError> {
        self.resources("resourcesAdded", |diff| &diff.added, &PageArgs::new(first, after, last, before))
    }

    /// The resources that only the first side lists; null unless both list theirs.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn resources_removed(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Option<Connection<AppliedResource>>, ApiError> {
        self.resources("resourcesRemoved", |diff| &diff.removed, &PageArgs::new(first, after, last, before))
    }

    /// The resources that both sides list; null unless both list theirs.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn resources_kept(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Option<Connection<AppliedResource>>, ApiError> {
        self.resources("resourcesKept", |diff| &diff.kept, &PageArgs::new(first, after, last, before))
    }

    /// The artifacts that only the second side names.
    async fn artifacts_added(&self) -> Vec<OperationArtifact> {
        artifacts(&self.diff.artifacts.added)
    }

    /// The artifacts that only the first side names.
    async fn artifacts_removed(&self) -> Vec<OperationArtifact> {
        artifacts(&self.diff.artifacts.removed)
    }

    /// The artifacts that both sides name, and not with the same content.
    async fn artifacts_changed(&self) -> Vec<ChangedArtifact> {
        let changed = self.diff.artifacts.changed.iter();
        changed.map(|(old, new)| ChangedArtifact { old: old.into(), new: new.into() }).collect()
    }

    /// The first side's status of the operation; null where it has none.
    async fn status_before(&self) -> Option<OperationStatus> {
        self.from.status().map(|word| OperationStatus::of(&word))
    }

    /// The word that the first side has for it.
    async fn status_before_raw(&self) -> Option<String> {
        self.from.status()
    }

    /// The second side's status of the operation; null where it has none.
    async fn status_after(&self) -> Option<OperationStatus> {
        self.to.status().map(|word| OperationStatus::of(&word))
    }

    /// The word that the second side has for it.
    async fn status_after_raw(&self) -> Option<String> {
        self.to.status()
    }

    /// Why the first side failed; null where it gives no reason.
    async fn failure_before(&self) -> Option<FailureReason> {
        failure_reason(&self.from.body)
    }

    /// Why the second side failed; null where it gives no reason.
    async fn failure_after(&self) -> Option<FailureReason> {
        failure_reason(&self.to.body)
    }

    /// Every place in which the two objects differ, from the outside in, in order of their members' names.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn changed_paths(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<ChangedPath>, ApiError> {
        let (from, from_digest, to, to_digest) = self.narrowed_by();
        let narrowed_by = (from, from_digest.hex(), to, to_digest.hex());
        let items = self.diff.paths.iter().map(ChangedPath::from).collect();
        part(&self.view, "changedPaths", &narrowed_by, items, &PageArgs::new(first, after, last, before))
    }
}

fn artifacts(found: &[Map<String, Value>]) -> Vec<OperationArtifact> {
    found.iter().map(Into::into).collect()
}

/// What differs between two results.
pub struct RevisionDiff {
    from: Recorded,
    to: Recorded,
    diff: RecordDiff,
}

impl RevisionDiff {
    /// Compares two results.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn of(from: Recorded, to: Recorded) -> Result<Self, ApiError> {
        let provenance = (from.provenance().await?, to.provenance().await?);
        let sides = (Side::of(&from, &provenance.0).await?, Side::of(&to, &provenance.1).await?);
        Ok(Self { diff: RecordDiff::new(&from.view, sides.0, sides.1), from, to })
    }
}

/// What differs between two results, of whatever chains.
#[Object]
impl RevisionDiff {
    /// The first result.
    async fn from(&self) -> PackOperationResult {
        PackOperationResult(self.from.clone())
    }

    /// The second result.
    async fn to(&self) -> PackOperationResult {
        PackOperationResult(self.to.clone())
    }

    /// What differs.
    async fn diff(&self) -> &RecordDiff {
        &self.diff
    }
}

/// What differs between two versions of a record.
pub struct VersionDiff {
    record: Recorded,
    from: StoredVersion,
    to: StoredVersion,
    diff: RecordDiff,
}

impl VersionDiff {
    /// Compares two versions of a record.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn of(record: Recorded, from: StoredVersion, to: StoredVersion) -> Result<Self, ApiError> {
        let sides = (Side::of(&record, &from.provenance).await?, Side::of(&record, &to.provenance).await?);
        Ok(Self { diff: RecordDiff::new(&record.view, sides.0, sides.1), record, from, to })
    }
}

/// What differs between two versions of a record.
#[Object]
impl VersionDiff {
    /// The record.
    async fn record(&self) -> Record {
        Record::of(self.record.clone())
    }

    /// The first version.
    async fn from(&self) -> RecordVersion {
        RecordVersion { view: self.record.view.clone(), version: self.from.clone() }
    }

    /// The second version.
    async fn to(&self) -> RecordVersion {
        RecordVersion { view: self.record.view.clone(), version: self.to.clone() }
    }

    /// What differs.
    async fn diff(&self) -> &RecordDiff {
        &self.diff
    }
}
