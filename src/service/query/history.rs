//! The history of one record: its versions and what happened between them.

use crate::domain::history::End;
use crate::storage::{Page, StoredVersion};

use super::{QueryError, Scope};

/// The most versions of a record whose history is told at once; their lists page further.
pub const MAX_VERSIONS: usize = 10_000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The record was first seen.
    Created,
    /// Its content changed.
    Changed,
    /// It was closed.
    Closed,
    /// It was seen again after it had been closed.
    Reopened,
}

/// One event of a record.
#[derive(Debug, Clone)]
pub struct HistoryEvent {
    /// When, microseconds.
    pub at: i64,
    /// What happened.
    pub event: Event,
    /// The version that began, or that ended with the closing.
    pub version: StoredVersion,
    /// The version before the one that began.
    pub before: Option<StoredVersion>,
}

impl HistoryEvent {
    /// Its place in the history: the number of the version, and whether it is about its end.
    #[must_use]
    pub fn place(&self) -> (i64, bool) {
        (self.version.content.n, self.event == Event::Closed)
    }
}

impl Scope {
    /// The events of a record in a stretch of time, its end exclusive, oldest first.
    ///
    /// # Errors
    /// If the store fails, or there are more than [`MAX_VERSIONS`] versions.
    pub async fn history(
        &self,
        object: i64,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<Vec<HistoryEvent>, QueryError> {
        let rows = self.as_of.list_versions(object, &Page::first(MAX_VERSIONS)).await?;
        if rows.more {
            return Err(QueryError::TooMany(MAX_VERSIONS, "page through the versions of the record"));
        }
        let mut events = Vec::new();
        let mut before: Option<StoredVersion> = None;
        for version in rows.rows {
            let event = match before.as_ref().map(|before| before.end) {
                None => Event::Created,
                Some(Some(End::Changed) | None) => Event::Changed,
                Some(Some(_)) => Event::Reopened,
            };
            events.push(HistoryEvent { at: version.from_at, event, version: version.clone(), before });
            if let (Some(at), Some(End::Deleted | End::Snapshot | End::Owner | End::Successor)) =
                (version.to_at, version.end)
            {
                events.push(HistoryEvent { at, event: Event::Closed, version: version.clone(), before: None });
            }
            before = Some(version);
        }
        let is_asked =
            |event: &HistoryEvent| from.is_none_or(|from| from <= event.at) && to.is_none_or(|to| event.at < to);
        events.retain(is_asked);
        Ok(events)
    }
}
