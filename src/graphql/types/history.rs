//! The history of a record or a run.

use async_graphql::{Enum, Object};

use super::diff::VersionDiff;
use super::enums::VersionEnd;
use super::record::Recorded;
use super::run_parts::RunTransition;
use super::version::RecordVersion;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::scalar::DateTime;
use crate::service::query::{Event, HistoryEvent, RunEvent};

/// What happened to a record or a run.
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

/// Something that happened to a record or a run.
pub enum HistoryEntry {
    /// To a record.
    Record(Recorded, Box<HistoryEvent>),
    /// To a run.
    Run(RunEvent),
}

/// Something that happened to a record or a run, as is known by now: what arrives late is put in its place.
#[Object]
impl HistoryEntry {
    /// When it happened.
    async fn at(&self) -> DateTime {
        DateTime(match self {
            Self::Record(_, event) => event.at,
            Self::Run(event) => event.at,
        })
    }

    /// What happened.
    async fn event(&self) -> HistoryEventKind {
        match self {
            Self::Record(_, event) => event.event.into(),
            Self::Run(event) => event.event.into(),
        }
    }

    /// The version of the record that began then; of a closing, the one that ended. Null for runs.
    async fn version(&self) -> Option<RecordVersion> {
        match self {
            Self::Record(recorded, event) => {
                Some(RecordVersion { view: recorded.view.clone(), version: event.version.clone() })
            }
            Self::Run(_) => None,
        }
    }

    /// How the record was closed; null for all else.
    async fn closed_by(&self) -> Option<VersionEnd> {
        match self {
            Self::Record(_, event) if event.event == Event::Closed => event.version.end.map(Into::into),
            _ => None,
        }
    }

    /// What the version changed; null for the first one, for closings and for runs.
    async fn changes(&self) -> Result<Option<VersionDiff>, ApiError> {
        let Self::Record(recorded, event) = self else { return Ok(None) };
        let Some(before) = event.before.clone() else { return Ok(None) };
        VersionDiff::of(recorded.clone(), before, event.version.clone()).await.map(Some)
    }

    /// The step of a run that moved; null for its creation and its end, and for records.
    async fn transition(&self) -> Option<RunTransition> {
        match self {
            Self::Run(event) => event.transition.clone().map(RunTransition),
            Self::Record(..) => None,
        }
    }
}

impl Listed for HistoryEntry {
    const NAME: &'static str = "History";
}
