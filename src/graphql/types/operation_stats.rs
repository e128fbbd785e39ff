//! Statistics of operations.

use async_graphql::{Enum, SimpleObject};

use super::enums::{FailureCategory, OperationStatus};
use crate::graphql::scalar::{DateTime, Int53};
use crate::storage::{Dimension, StoredStats};

/// By what operations are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Enum)]
pub enum OperationStatsDimension {
    /// The cluster that they acted on.
    Cluster,
    /// The pack that they are about: their own reference, else that of their execution.
    Pack,
    /// The base of that pack.
    BasePack,
    /// Their status.
    Status,
    /// The domain of their failure.
    FailureCategory,
    /// The step that failed.
    FailedStep,
    /// The day on which they count, UTC.
    Day,
    /// The hour in which they count, UTC.
    Hour,
}

impl OperationStatsDimension {
    /// As the store has it.
    #[must_use]
    pub fn stored(self) -> Dimension {
        match self {
            Self::Cluster => Dimension::Cluster,
            Self::Pack => Dimension::Pack,
            Self::BasePack => Dimension::BasePack,
            Self::Status => Dimension::Status,
            Self::FailureCategory => Dimension::FailureCategory,
            Self::FailedStep => Dimension::FailedStep,
            Self::Day => Dimension::Day,
            Self::Hour => Dimension::Hour,
        }
    }
}

/// How long operations took, in seconds. Counted are those with both times, the completion not before
/// the start.
#[derive(Debug, Clone, SimpleObject)]
pub struct OperationDurations {
    /// How many were counted.
    count: Int53,
    /// The average; null if none was counted.
    average: Option<f64>,
    /// The shortest; null if none was counted.
    min: Option<f64>,
    /// The longest; null if none was counted.
    max: Option<f64>,
}

/// Operations that are alike in the dimensions that were asked for. The other dimensions are null, and
/// so is one that the records do not tell.
#[derive(Debug, Clone, SimpleObject)]
pub struct OperationStatsBucket {
    /// The cluster that they acted on.
    cluster: Option<String>,
    /// The pack that they are about.
    pack: Option<String>,
    /// The base of that pack.
    base_pack: Option<String>,
    /// Their status.
    status: Option<OperationStatus>,
    /// The word that the records have for it.
    status_raw: Option<String>,
    /// The domain of their failure.
    failure_category: Option<FailureCategory>,
    /// The word that the records have for it.
    failure_category_raw: Option<String>,
    /// The step that failed.
    failed_step: Option<String>,
    /// The beginning of the day, UTC.
    day: Option<DateTime>,
    /// The beginning of the hour, UTC.
    hour: Option<DateTime>,
    /// How many results.
    count: Int53,
    /// How many of them have the status Succeeded.
    succeeded: Int53,
    /// How many of them have the status Failed.
    failed: Int53,
    /// How many of them have another status, or none.
    other: Int53,
    /// How long they took.
    durations: OperationDurations,
    /// When the first of them counts: at its completion, else its start, else its birth. Null if there
    /// is none.
    first_at: Option<DateTime>,
    /// When the last of them counts; likewise.
    last_at: Option<DateTime>,
}

impl OperationStatsBucket {
    /// A group, of which the dimensions `by` mean something.
    #[must_use]
    pub fn new(stats: StoredStats, by: &[Dimension]) -> Self {
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let time = |dimension, at| by.contains(&dimension).then_some(DateTime(at));
        let (status_raw, failure_category_raw) = (text(stats.status), text(stats.category));
        Self {
            cluster: text(stats.cluster),
            pack: text(stats.pack),
            base_pack: text(stats.base),
            status: status_raw.as_deref().map(OperationStatus::of),
            status_raw,
            failure_category: failure_category_raw.as_deref().map(FailureCategory::of),
            failure_category_raw,
            failed_step: text(stats.step),
            day: time(Dimension::Day, stats.day),
            hour: time(Dimension::Hour, stats.hour),
            count: Int53(stats.operations),
            succeeded: Int53(stats.succeeded),
            failed: Int53(stats.failed),
            other: Int53(stats.operations - stats.succeeded - stats.failed),
            durations: OperationDurations {
                count: Int53(stats.timed),
                average: average(stats.duration, stats.timed),
                min: stats.shortest.map(seconds),
                max: stats.longest.map(seconds),
            },
            first_at: stats.first_at.map(DateTime),
            last_at: stats.last_at.map(DateTime),
        }
    }
}

/// Microseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "whole microseconds of three centuries are exact enough")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// The average of `count` durations, to the microsecond, so that it is the same whatever the order of
/// the sum.
fn average((whole, rest): (i64, i64), count: i64) -> Option<f64> {
    let sum = i128::from(whole) * 1_000_000 + i128::from(rest);
    let average = sum.checked_div(i128::from(count))?;
    i64::try_from(average).ok().map(seconds)
}

#[cfg(test)]
mod tests {
    use super::average;

    #[test]
    fn an_average_is_in_seconds_and_none_of_none() {
        assert_eq!(average((3, 500_000), 2), Some(1.75));
        assert_eq!(average((0, 0), 0), None);
    }
}
