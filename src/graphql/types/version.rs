//! Versions of records.

use async_graphql::Object;

use super::common::RecordWarning;
use super::enums::VersionEnd;
use super::record::warnings;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::{DateTime, Digest, Int53, Json};
use crate::graphql::view::View;
use crate::storage::StoredVersion;

/// One version of a record: a stretch of equal content.
pub struct RecordVersion {
    pub(super) view: View,
    pub(super) version: StoredVersion,
}

/// One version of a record: a stretch of equal content.
#[Object]
impl RecordVersion {
    /// Its place in the record's history, from 1.
    async fn number(&self) -> Int53 {
        Int53(self.version.content.n + 1)
    }

    /// From when, inclusive.
    async fn from(&self) -> DateTime {
        DateTime(self.version.from_at)
    }

    /// Until when, exclusive; null while it is open.
    async fn to(&self) -> Option<DateTime> {
        self.version.to_at.map(DateTime)
    }

    /// How it ended; null while it is open.
    async fn end(&self) -> Option<VersionEnd> {
        self.version.end.map(Into::into)
    }

    /// The digest of its content.
    async fn digest(&self) -> Digest {
        Digest(self.version.provenance.digest)
    }

    /// The digest of its `spec`.
    async fn spec_digest(&self) -> Digest {
        Digest(self.version.provenance.spec_digest)
    }

    /// `metadata.resourceVersion`.
    async fn resource_version(&self) -> Option<&str> {
        self.version.provenance.resource_version.as_deref()
    }

    /// Where it breaches its contract.
    async fn warnings(&self) -> Vec<RecordWarning> {
        warnings(self.version.provenance.warnings.as_deref())
    }

    /// Who sent it first.
    async fn asserter(&self) -> &str {
        &self.version.provenance.asserter
    }

    /// The whole object, as sent.
    async fn raw(&self) -> Result<Json, ApiError> {
        Ok(Json(self.view.body(self.version.provenance.body).await?.value().clone()))
    }
}

impl Listed for RecordVersion {
    const NAME: &'static str = "RecordVersion";
    const PLAIN: &'static [&'static [PlainField<Self>]] =
        &[plain![number, from, to, end, digest, spec_digest, resource_version, asserter]];
}
