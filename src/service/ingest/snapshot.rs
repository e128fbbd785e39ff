//! Complete listings: what they omit is gone.

use serde::{Deserialize, Serialize};

use crate::domain::kind;
use crate::service::derive::{self, Derived};
use crate::storage::{Store, StoreError};

use super::batch::{DERIVED_BY, derived_entry};
use super::item::Outcome;

/// How many keys one commit of a listing closes at most, so that others get their turn in between.
const PAGE: i64 = 500;

/// What a listing covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotScope {
    /// Canonical kinds; empty for all.
    pub kinds: Vec<String>,
    /// Namespaces; empty for all.
    pub namespaces: Vec<String>,
    /// When it was taken, microseconds.
    pub at: i64,
}

impl SnapshotScope {
    /// The scope of a listing whose kinds a person named, by any of their names.
    #[must_use]
    pub fn named(kinds: &[String], namespaces: &[String], at: i64) -> Self {
        let kinds = kinds.iter().map(|name| kind::named(name)).collect();
        Self { kinds, namespaces: namespaces.to_vec(), at }
    }
}

/// Closes what a listing of `source` covers and did not see. All its items must be stored before.
/// Returns how many objects it closed.
///
/// # Errors
/// If the database fails. What was closed until then stays closed; the listing can be sent again.
pub async fn close_omitted(
    store: &Store,
    tenant: &str,
    source: &str,
    scope: &SnapshotScope,
    now: i64,
) -> Result<u64, StoreError> {
    let mut after = 0;
    let mut closed = 0;
    loop {
        let mut tx = store.write(tenant, source, now).await?;
        tx.insert_snapshot(&scope.kinds, &scope.namespaces, scope.at, now).await?;
        let page = tx.omitted(&scope.kinds, &scope.namespaces, scope.at, after, PAGE).await?;
        let Some((last, _)) = page.last() else {
            tx.commit().await?;
            return Ok(closed);
        };
        after = *last;
        let nodes: Vec<i64> = page.iter().map(|(node, _)| *node).collect();
        let mut observed = tx.observed(&nodes).await?;
        let touched = page.into_iter().map(|(node, key)| (key, observed.remove(&node).unwrap_or_default())).collect();
        let Derived { mut changes, changed } = derive::derive(&mut tx, touched, false).await?;
        for object in &changed {
            let outcome = if object.closed { Outcome::Closed } else { Outcome::Updated };
            closed += u64::from(object.closed);
            changes.entries.push(derived_entry(object, outcome, DERIVED_BY.to_owned()));
        }
        tx.apply(&changes, now).await?;
        tx.commit().await?;
    }
}
