//! What narrows and orders lists of records.

use async_graphql::{Enum, InputObject};

use super::enums::{DriftStatus, FailureCategory, OperationStatus};
use crate::graphql::error::ApiError;
use crate::graphql::scalar::DateTime;
use crate::service::query::RecordsAsked;
use crate::storage::{self, RecordList};

/// Defines the filter of one kind: what every kind has, and its own.
macro_rules! record_filter {
    ($(#[$meta:meta])* $name:ident { $($(#[$own_meta:meta])* $own:ident: $ty:ty,)* } $self:ident, $list:ident => $fill:block) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, InputObject)]
        pub struct $name {
            /// Only of this source.
            pub source: Option<String>,
            /// Only in this namespace.
            pub namespace: Option<String>,
            /// Only of this cluster: the one that is acted on; of packs, one that they are meant for.
            pub cluster: Option<String>,
            /// Only those of the pack with this name.
            pub pack: Option<String>,
            /// Only those of a version of this base pack: the name that its versions share.
            pub base_pack: Option<String>,
            /// Only those that still exist, or only those that do not.
            pub live: Option<bool>,
            /// Only those that findings are open on, or only those without.
            pub has_findings: Option<bool>,
            /// Only those created at this time or later.
            pub created_from: Option<DateTime>,
            /// Only those created before this time.
            pub created_before: Option<DateTime>,
            $($(#[$own_meta])* pub $own: $ty,)*
        }

        impl $name {
            /// What is asked for, in the order asked for.
            ///
            /// # Errors
            /// If parts of the filter exclude each other.
            pub fn asked($self, order: Option<RecordOrder>) -> Result<RecordsAsked, ApiError> {
                let mut $list = RecordList::default();
                $fill
                let filter = &mut $list.filter;
                filter.namespace = $self.namespace;
                filter.cluster = $self.cluster;
                filter.pack = $self.pack;
                filter.base_pack = $self.base_pack;
                filter.live = $self.live;
                filter.has_findings = $self.has_findings;
                filter.born_from = $self.created_from.map(|time| time.0);
                filter.born_before = $self.created_before.map(|time| time.0);
                order.unwrap_or_default().apply(&mut $list);
                Ok(RecordsAsked { source: $self.source, list: $list })
            }
        }
    };
}

record_filter! {
    /// What narrows a list of packs. All that is given must hold.
    ClusterPackFilter {}
    self, list => {}
}

record_filter! {
    /// What narrows a list of executions. All that is given must hold.
    PackExecutionFilter {}
    self, list => {}
}

record_filter! {
    /// What narrows a list of records of any kind. All that is given must hold.
    RecordFilter {}
    self, list => {}
}

record_filter! {
    /// What narrows a list of results. All that is given must hold.
    OperationResultFilter {
        /// Only those that ended so. For words that the contract does not have, use `statusRaw`.
        status: Option<OperationStatus>,
        /// Only those with this word as their status.
        status_raw: Option<String>,
        /// Only those of this capability, such as `pack-deploy`.
        capability: Option<String>,
        /// Only failures of this category. For words that the contract does not have, use `failureCategoryRaw`.
        failure_category: Option<FailureCategory>,
        /// Only failures with this word as their category.
        failure_category_raw: Option<String>,
        /// Only failures of this step.
        failed_step: Option<String>,
    }
    self, list => {
        list.filter.status = word("status", self.status, OperationStatus::word, self.status_raw)?;
        list.filter.failure_category =
            word("failureCategory", self.failure_category, FailureCategory::word, self.failure_category_raw)?;
        list.filter.capability = self.capability;
        list.filter.failed_step = self.failed_step;
    }
}

record_filter! {
    /// What narrows a list of receipts. All that is given must hold.
    PackReceiptFilter {
        /// Only those whose cluster is so. For words that the contract does not have, use `driftRaw`.
        drift: Option<DriftStatus>,
        /// Only those with this word as their drift.
        drift_raw: Option<String>,
        /// Only those that claim that the signature held, or only those that claim that it did not.
        verified: Option<bool>,
    }
    self, list => {
        list.filter.drift = word("drift", self.drift, DriftStatus::word, self.drift_raw)?;
        list.filter.verified = self.verified;
    }
}

/// The word of a record that a value of an enum, or the word itself, asks for.
fn word<T>(
    name: &str,
    value: Option<T>,
    word_of: fn(T) -> Option<&'static str>,
    raw: Option<String>,
) -> Result<Option<String>, ApiError> {
    let Some(value) = value else { return Ok(raw) };
    if raw.is_some() {
        return Err(ApiError::bad_input(format!("Filter by {name} or by {name}Raw, not by both.")));
    }
    let known = word_of(value).map(ToOwned::to_owned);
    known.map(Some).ok_or_else(|| ApiError::bad_input(format!("Filter unknown words by {name}Raw.")))
}

/// What a list of records is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RecordOrderField {
    /// The birth: the creation time where it is known, else the first observation.
    CreatedAt,
    /// When the record last changed or was closed. All pages are read as of the commit that the first
    /// one was, so that what changes meanwhile is neither missed nor repeated.
    UpdatedAt,
    /// Source, namespace and name.
    Name,
}

/// The direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum OrderDirection {
    /// Lowest, earliest first.
    Asc,
    /// Highest, latest first.
    Desc,
}

/// How a list of records is ordered.
#[derive(Debug, Clone, Copy, InputObject)]
pub struct RecordOrder {
    /// By what.
    field: RecordOrderField,
    /// In which direction.
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

impl Default for RecordOrder {
    fn default() -> Self {
        Self { field: RecordOrderField::CreatedAt, direction: OrderDirection::Desc }
    }
}

impl RecordOrder {
    fn apply(self, list: &mut RecordList) {
        list.order = match self.field {
            RecordOrderField::CreatedAt => storage::RecordOrder::Born,
            RecordOrderField::UpdatedAt => storage::RecordOrder::Changed,
            RecordOrderField::Name => storage::RecordOrder::Name,
        };
        list.ascending = self.direction == OrderDirection::Asc;
    }
}
