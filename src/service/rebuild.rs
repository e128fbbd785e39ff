//! Deriving everything anew from the stored observations.

use serde_json::{Map, Value};

use crate::domain::RULES;
use crate::domain::facts;
use crate::service::derive::{self, ChangedObject, Derived};
use crate::service::ingest::batch::{DERIVED_BY, derived_entry};
use crate::service::ingest::item::Outcome;
use crate::storage::{Changes, Difference, Entry, Store, StoreError, WriteTx};

/// How many natural keys are derived together.
const PAGE: i64 = 500;
/// How often a source is gone through until nothing differs: what a page derives can follow from
/// rows that a later page mends.
const PASSES: usize = 4;

/// What a rebuild found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Natural keys gone through.
    pub keys: u64,
    /// Derived rows that should not have been there.
    pub surplus: u64,
    /// Derived rows that should have been there.
    pub missing: u64,
    /// Commits that mended them; none where only differences were asked for.
    pub commits: u64,
}

impl Report {
    /// Whether all derived rows are as the rules say.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.surplus == 0 && self.missing == 0
    }

    fn add(&mut self, difference: Difference) {
        self.surplus += u64::try_from(difference.surplus).unwrap_or(u64::MAX);
        self.missing += u64::try_from(difference.missing).unwrap_or(u64::MAX);
    }
}

/// Derives all of a source anew. With `verify`, only counts how the stored rows differ; else mends
/// them, in commits of their own, so that the past stays as it was answered.
///
/// # Errors
/// If the database fails.
pub async fn rebuild(store: &Store, tenant: &str, source: &str, verify: bool, now: i64) -> Result<Report, StoreError> {
    let mut report = pass(store, tenant, source, verify, now).await?;
    let mut last = report;
    for _ in 1..PASSES {
        if verify || last.is_clean() {
            break;
        }
        last = pass(store, tenant, source, verify, now).await?;
        report.surplus += last.surplus;
        report.missing += last.missing;
        report.commits += last.commits;
    }
    Ok(report)
}

async fn pass(store: &Store, tenant: &str, source: &str, verify: bool, now: i64) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let mut after = 0;
    loop {
        let mut tx = store.write(tenant, source, now).await?;
        let page = tx.nodes_page(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(report) };
        after = *last;
        let records: Vec<_> = page.into_iter().filter(|(_, key)| !key.is_collection()).collect();
        report.keys += u64::try_from(records.len()).unwrap_or(0);
        let nodes: Vec<i64> = records.iter().map(|(node, _)| *node).collect();
        let refreshed = refresh_facts(&mut tx, &nodes).await?;
        report.missing += refreshed;
        let mut observed = tx.observed(&nodes).await?;
        let touched =
            records.into_iter().map(|(node, key)| (key, observed.remove(&node).unwrap_or_default())).collect();
        let Derived { mut changes, changed } = derive::derive(&mut tx, touched, true).await?;
        changes.relist = true;
        let difference = tx.compare(&changes).await?;
        report.add(difference);
        let is_mended = !verify && difference != Difference::default();
        if is_mended {
            apply_mended(&mut tx, &mut changes, &changed, now).await?;
        }
        // After the states, whose births it repeats.
        let index = tx.check_index(&nodes, !verify).await?;
        report.add(index);
        if verify || !(is_mended || index != Difference::default() || refreshed > 0) {
            // Dropping the transaction takes back what it may have noted.
            continue;
        }
        tx.commit().await?;
        report.commits += 1;
    }
}

/// Reads anew what the rules need of contents, since newer rules may need more; returns how many differed.
async fn refresh_facts(tx: &mut WriteTx, nodes: &[i64]) -> Result<u64, StoreError> {
    let mut changed = Vec::new();
    for content in tx.contents(nodes).await? {
        let object: Map<String, Value> = serde_json::from_slice(&content.body)
            .map_err(|e| StoreError::Corrupt(format!("body of content {}: {e}", content.id)))?;
        let facts = serde_json::to_string(&facts::extract(&content.kind, &object))
            .map_err(|e| StoreError::Corrupt(format!("facts: {e}")))?;
        if facts != content.facts {
            changed.push((content.id, facts));
        }
    }
    tx.set_facts(&changed).await?;
    Ok(u64::try_from(changed.len()).unwrap_or(u64::MAX))
}

/// Sees that all derived rows follow the rules of this program: with `apply` derives the tenants anew
/// whose rows follow older ones, else refuses them, since their answers would lack what is new.
///
/// # Errors
/// If the database fails, or follows older rules and `apply` is off.
pub async fn follow_rules(store: &Store, apply: bool, now: i64) -> Result<(), StoreError> {
    let behind = store.tenants_behind(RULES).await?;
    if !behind.is_empty() && !apply {
        let reason = "what is derived follows older rules than this program's; run `packtrail migrate`";
        return Err(StoreError::Migration(reason.to_owned()));
    }
    for tenant in &behind {
        for source in store.source_names(tenant).await? {
            let report = rebuild(store, tenant, &source, false, now).await?;
            tracing::info!(tenant, source, keys = report.keys, rules = RULES, "derived anew by newer rules");
        }
        store.set_rules(tenant, RULES).await?;
    }
    Ok(())
}

async fn apply_mended(
    tx: &mut WriteTx,
    changes: &mut Changes,
    objects: &[ChangedObject],
    now: i64,
) -> Result<(), StoreError> {
    changes.entries =
        objects.iter().map(|object| derived_entry(object, Outcome::Updated, DERIVED_BY.to_owned())).collect();
    changes.entries.push(Entry {
        kind: "REBUILT",
        identity: format!("rules/{RULES}"),
        object: None,
        content: None,
        previous: None,
        principal: DERIVED_BY.to_owned(),
    });
    tx.apply(changes, now).await?;
    Ok(())
}
