//! The history of a record.

use async_graphql::{Enum, Object};

use super::diff::VersionDiff;
use super::enums::VersionEnd;
use super::record::Recorded;
use super::version::RecordVersion;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::scalar::DateTime;
use crate::service::query::{Event, HistoryEvent};

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Event")]
pub enum HistoryEventKind {
    /// It was first seen.
    Created,
    /// Its content changed.
    Changed,
    /// It was closed.
    Closed,
    /// It was seen again after it had been closed.
    Reopened,
}

/// Something that happened to a record.
pub struct HistoryEntry {
    recorded: Recorded,
    event: HistoryEvent,
}

impl HistoryEntry {
    /// An event of a record.
    #[must_use]
    pub fn new(recorded: &Recorded, event: HistoryEvent) -> Self {
        Self { recorded: recorded.clone(), event }
    }
}

/// Something that happened to a record, as is known by now: what arrives late is put in its place.
#[Object]
impl HistoryEntry {
    /// When it happened.
    async fn at(&self) -> DateTime {
        DateTime(self.event.at)
    }

    /// What happened.
    async fn event(&self) -> HistoryEventKind {
        self.event.event.into()
    }

    /// The version that began then; of a closing, the one that ended.
    async fn version(&self) -> RecordVersion {
        RecordVersion { view: self.recorded.view.clone(), version: self.event.version.clone() }
    }

    /// How the record was closed; null for all else.
    async fn closed_by(&self) -> Option<VersionEnd> {
        (self.event.event == Event::Closed).then_some(self.event.version.end).flatten().map(Into::into)
    }

    /// What the version changed; null for the first one and for closings.
    async fn changes(&self) -> Result<Option<VersionDiff>, ApiError> {
        let Some(before) = self.event.before.clone() else { return Ok(None) };
        VersionDiff::of(self.recorded.clone(), before, self.event.version.clone()).await.map(Some)
    }
}

impl Listed for HistoryEntry {
    const NAME: &'static str = "History";
}
