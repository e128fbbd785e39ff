//! Drift over time.

use async_graphql::Object;

use super::enums::DriftStatus;
use super::record::Recorded;
use crate::domain::facts::Detail;
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::error::ApiError;
use crate::graphql::scalar::{DateTime, Int53};
use crate::graphql::view::{VersionsKey, View};
use crate::storage::{Page, Rows, StoredVersion};

/// What one version of a receipt says of drift.
pub struct DriftObservation {
    view: View,
    version: StoredVersion,
}

/// What one version of a receipt says of drift. Versions that follow each other may say the same.
#[Object]
impl DriftObservation {
    /// The version of the receipt, from 1.
    async fn version(&self) -> Int53 {
        Int53(self.version.content.n + 1)
    }

    /// From when, inclusive.
    async fn from(&self) -> DateTime {
        DateTime(self.version.from_at)
    }

    /// Until when, exclusive; null while it holds.
    async fn to(&self) -> Option<DateTime> {
        self.version.to_at.map(DateTime)
    }

    /// Whether the cluster still is as the pack left it; null where the version does not say.
    async fn status(&self) -> Option<DriftStatus> {
        self.word().map(DriftStatus::of)
    }

    /// The word that the record has for it.
    async fn status_raw(&self) -> Option<&str> {
        self.word()
    }

    /// What drifted, for people.
    async fn summary(&self) -> Result<Option<String>, ApiError> {
        Ok(self.view.body(self.version.provenance.body).await?.text(&["status", "driftSummary"]))
    }
}

impl DriftObservation {
    fn word(&self) -> Option<&str> {
        match &self.version.content.facts.detail {
            Detail::Receipt(facts) => facts.drift.as_deref(),
            _ => None,
        }
    }
}

impl Listed for DriftObservation {
    const NAME: &'static str = "DriftObservation";
}

/// A page of what the versions of a receipt say of drift, oldest first.
///
/// # Errors
/// If the store fails, or the page cannot be had.
pub async fn drift_history(recorded: &Recorded, page: PageArgs) -> Result<Connection<DriftObservation>, ApiError> {
    let view = &recorded.view;
    let listed = List::new(view, "driftHistory", &recorded.id().as_str());
    let page: Page<i64> = page.page(&listed)?;
    let rows = view.load(VersionsKey(recorded.record.object, page.clone())).await?.unwrap_or_else(Rows::none);
    let node = |version| DriftObservation { view: view.clone(), version };
    Ok(Connection::new(&listed, &page, rows, Total::Known(recorded.record.versions), |row| row.content.n, node))
}
