//! What narrows streams.

use async_graphql::InputObject;

use super::batch::RecordChangeType;
use crate::domain::run::LogEntry;
use crate::graphql::types::run_parts::LogLevel;
use crate::storage::StoredRecord;

/// What narrows the entries of a log. All that is given must hold.
#[derive(Debug, Clone, Default, InputObject)]
pub struct RunLogFilter {
    /// Only about these steps; an empty list is no filter.
    step_ids: Option<Vec<String>>,
    /// Only as grave as this or graver.
    min_level: Option<LogLevel>,
    /// Only of these events, such as `step.log`; an empty list is no filter.
    event_types: Option<Vec<String>>,
    /// Only with this text in their message, as it is spelled.
    contains: Option<String>,
}

/// Whether a value is among those asked for.
fn is_among(asked: Option<&Vec<String>>, value: Option<&str>) -> bool {
    asked.is_none_or(|asked| asked.is_empty() || asked.iter().any(|one| Some(one.as_str()) == value))
}

impl RunLogFilter {
    /// Whether an entry is asked for.
    pub fn includes(&self, entry: &LogEntry) -> bool {
        is_among(self.step_ids.as_ref(), entry.step.as_deref())
            && is_among(self.event_types.as_ref(), Some(&entry.event))
            && self.min_level.is_none_or(|least| entry.level >= least.into())
            && self.contains.as_ref().is_none_or(|text| entry.message.contains(text))
    }
}

/// What narrows the changes of records. All that is given must hold.
#[derive(Debug, Clone, Default, InputObject)]
pub struct RecordChangeFilter {
    /// Only of these sources; an empty list is no filter.
    sources: Option<Vec<String>>,
    /// Only these changes; an empty list is no filter.
    types: Option<Vec<RecordChangeType>>,
    /// Only of records of these kinds, such as `PackExecution`; an empty list is no filter.
    kinds: Option<Vec<String>>,
    /// Only of records that act on these clusters; an empty list is no filter. A pack acts on none.
    clusters: Option<Vec<String>>,
}

impl RecordChangeFilter {
    /// Whether a change of this type and source is asked for.
    pub fn includes(&self, change: RecordChangeType, source: Option<&str>) -> bool {
        self.types.as_ref().is_none_or(|types| types.is_empty() || types.contains(&change))
            && is_among(self.sources.as_ref(), source)
    }

    /// Whether it asks anything of the record.
    pub fn is_of_records(&self) -> bool {
        let is_filter = |asked: &Option<Vec<String>>| asked.as_ref().is_some_and(|asked| !asked.is_empty());
        is_filter(&self.kinds) || is_filter(&self.clusters)
    }

    /// Whether changes of a record are asked for.
    pub fn includes_record(&self, record: Option<&StoredRecord>) -> bool {
        is_among(self.kinds.as_ref(), record.map(|record| record.key.kind.as_str()))
            && is_among(self.clusters.as_ref(), record.map(|record| record.cluster.as_str()))
    }
}
