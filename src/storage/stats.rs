//! Operations: what statistics count, one row a result, and the counting.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;
use sqlx::FromRow;

use super::driver::json;
use super::error::StoreError;
use super::read::AsOf;
use super::sql;
use super::write::{Changes, WriteTx, index};
use crate::domain::operation::Operation;

/// The longest label, in bytes: that of a name. Longer ones are cut, since an index holds them.
const MAX_LABEL: usize = 253;
/// The label that stands for no text.
const NONE: i64 = 0;
/// A label that no row has.
const UNKNOWN: i64 = -1;

/// An operation to write.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// The node of its result.
    pub node: i64,
    /// What it was.
    pub operation: Operation,
}

/// An operation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, FromRow)]
pub struct OperationRow {
    object_id: i64,
    node_id: i64,
    content_id: i64,
    counted_at: i64,
    duration: Option<i64>,
    cluster_id: i64,
    pack_id: i64,
    base_id: i64,
    status_id: i64,
    capability_id: i64,
    category_id: i64,
    step_id: i64,
}

#[derive(FromRow)]
struct Pair(i64, i64);

#[derive(FromRow)]
struct Label {
    id: i64,
    text: String,
}

#[derive(Serialize)]
struct LabelRow<'a> {
    i: usize,
    id: i64,
    text: &'a str,
}

impl LabelRow<'_> {
    fn list<'a>(texts: &[&'a str]) -> Vec<LabelRow<'a>> {
        texts.iter().enumerate().map(|(i, text)| LabelRow { i, id: 0, text }).collect()
    }
}

/// The text of a label: the text, cut at a character.
fn label(text: &str) -> &str {
    let mut end = text.len().min(MAX_LABEL);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn labels(operation: &Operation) -> [&str; 7] {
    let Operation { cluster, pack, base, status, capability, category, step, .. } = operation;
    [cluster, pack, base, status, capability, category, step].map(|text| label(text))
}

impl WriteTx {
    /// The stored operations of the derived units that should not be there, and the derived ones that
    /// should.
    pub(super) async fn diff_operations(
        &mut self,
        changes: &Changes,
    ) -> Result<(Vec<OperationRow>, Vec<OperationRow>), StoreError> {
        if changes.units.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let args = [self.tenant.into(), json(&changes.units)];
        let stored: HashSet<OperationRow> = self.tx.rows(&sql::OPERATIONS_OF_NODES, &args).await?.into_iter().collect();
        let derived = self.operation_rows(&changes.operations).await?;
        let old = stored.iter().filter(|row| !derived.contains(row)).cloned().collect();
        let new = derived.into_iter().filter(|row| !stored.contains(row)).collect();
        Ok((old, new))
    }

    async fn operation_rows(&mut self, new: &[NewOperation]) -> Result<HashSet<OperationRow>, StoreError> {
        let texts: BTreeSet<&str> = new.iter().flat_map(|new| labels(&new.operation)).collect();
        let ids = self.ensure_labels(&texts).await?;
        new.iter()
            .map(|NewOperation { node, operation }| {
                let [cluster_id, pack_id, base_id, status_id, capability_id, category_id, step_id] =
                    labels(operation).map(|text| ids.get(text).copied().unwrap_or(NONE));
                Ok(OperationRow {
                    object_id: operation.object,
                    node_id: *node,
                    content_id: self.content_id(&operation.content)?,
                    counted_at: operation.at,
                    duration: operation.duration,
                    cluster_id,
                    pack_id,
                    base_id,
                    status_id,
                    capability_id,
                    category_id,
                    step_id,
                })
            })
            .collect()
    }

    async fn ensure_labels<'a>(&mut self, texts: &BTreeSet<&'a str>) -> Result<HashMap<&'a str, i64>, StoreError> {
        let texts: Vec<&str> = texts.iter().copied().filter(|text| !text.is_empty()).collect();
        let mut ids = HashMap::new();
        if texts.is_empty() {
            return Ok(ids);
        }
        let args = [self.tenant.into(), json(&LabelRow::list(&texts))];
        for Pair(i, id) in self.tx.rows(&sql::LABELS_FIND, &args).await? {
            ids.insert(texts[index(i)?], id);
        }
        let mut rows = Vec::new();
        for text in texts {
            if !ids.contains_key(text) {
                let id = self.id().await?;
                ids.insert(text, id);
                rows.push(LabelRow { i: 0, id, text });
            }
        }
        self.write_rows(&sql::LABELS_INSERT, &[self.tenant.into()], &rows, &[]).await?;
        Ok(ids)
    }

    pub(super) async fn write_operations(
        &mut self,
        (old, new): (Vec<OperationRow>, Vec<OperationRow>),
        rules: i64,
    ) -> Result<(), StoreError> {
        let old: Vec<i64> = old.into_iter().map(|row| row.object_id).collect();
        self.write_rows(&sql::OPERATIONS_DELETE, &[self.tenant.into()], &old, &[]).await?;
        let before = [self.tenant.into(), self.source.into()];
        self.write_rows(&sql::OPERATIONS_INSERT, &before, &new, &[rules.into()]).await
    }
}

/// By what operations are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The cluster.
    Cluster = 1,
    /// The pack.
    Pack = 2,
    /// The base pack.
    BasePack = 4,
    /// The status.
    Status = 8,
    /// The failure's category.
    FailureCategory = 16,
    /// The failed step.
    FailedStep = 32,
    /// The day, UTC.
    Day = 64,
    /// The hour, UTC.
    Hour = 128,
}

/// What narrows operations; `None` everywhere is all of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OperationFilter {
    /// The source's row.
    pub source: Option<i64>,
    /// The cluster.
    pub cluster: Option<String>,
    /// The pack.
    pub pack: Option<String>,
    /// The base pack.
    pub base: Option<String>,
    /// The status.
    pub status: Option<String>,
    /// The capability.
    pub capability: Option<String>,
    /// The failure's category.
    pub category: Option<String>,
    /// The failed step.
    pub step: Option<String>,
    /// From when, microseconds, inclusive.
    pub from: Option<i64>,
    /// Until when, microseconds, exclusive.
    pub to: Option<i64>,
}

/// Operations that are alike in the dimensions asked for; the others are empty, or `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct StoredStats {
    /// The cluster; empty where the result has none.
    pub cluster: String,
    /// The pack; likewise.
    pub pack: String,
    /// The base pack; likewise.
    pub base: String,
    /// The status; likewise.
    pub status: String,
    /// The failure's category; likewise.
    pub category: String,
    /// The failed step; likewise.
    pub step: String,
    /// The beginning of the day, microseconds.
    pub day: i64,
    /// The beginning of the hour, microseconds.
    pub hour: i64,
    /// How many.
    pub operations: i64,
    /// How many of them succeeded.
    pub succeeded: i64,
    /// How many of them failed.
    pub failed: i64,
    /// How many of them have a duration.
    pub timed: i64,
    /// The sum of the durations: whole seconds of each, and microseconds beyond them.
    pub duration: (i64, i64),
    /// The shortest duration, microseconds.
    pub shortest: Option<i64>,
    /// The longest duration, microseconds.
    pub longest: Option<i64>,
    /// When the first of them counts, microseconds.
    pub first_at: Option<i64>,
    /// When the last of them counts, microseconds.
    pub last_at: Option<i64>,
}

#[derive(FromRow)]
struct StatsRow {
    cluster_id: i64,
    pack_id: i64,
    base_id: i64,
    status_id: i64,
    category_id: i64,
    step_id: i64,
    day: i64,
    hour: i64,
    operations: i64,
    succeeded: i64,
    failed: i64,
    timed: i64,
    seconds: Option<i64>,
    micros: Option<i64>,
    shortest: Option<i64>,
    longest: Option<i64>,
    first_at: Option<i64>,
    last_at: Option<i64>,
}

impl AsOf {
    /// Operations of the latest commit, grouped by dimensions, in the order of the dimensions as
    /// [`StoredStats`] has them; at most `limit` groups, which of them is then left open.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn operation_stats(
        &self,
        filter: &OperationFilter,
        by: &[Dimension],
        limit: i64,
    ) -> Result<Vec<StoredStats>, StoreError> {
        let asked = [
            Some("Succeeded"),
            Some("Failed"),
            filter.cluster.as_deref(),
            filter.pack.as_deref(),
            filter.base.as_deref(),
            filter.status.as_deref(),
            filter.capability.as_deref(),
            filter.category.as_deref(),
            filter.step.as_deref(),
        ];
        let [succeeded, failed, cluster, pack, base, status, capability, category, step] =
            self.find_labels(asked).await?;
        let statement = if pack != NONE {
            &sql::STATS_BY_PACK
        } else if base != NONE {
            &sql::STATS_BY_BASE
        } else if cluster != NONE {
            &sql::STATS_BY_CLUSTER
        } else {
            &sql::STATS_BY_TIME
        };
        let dimensions = by.iter().fold(0, |mask, dimension| mask | *dimension as i64);
        let args = [
            self.tenant.into(),
            filter.from.unwrap_or(i64::MIN).into(),
            filter.to.unwrap_or(i64::MAX).into(),
            dimensions.into(),
            succeeded.into(),
            failed.into(),
            filter.source.unwrap_or(0).into(),
            cluster.into(),
            pack.into(),
            base.into(),
            status.into(),
            capability.into(),
            category.into(),
            step.into(),
            limit.into(),
        ];
        let rows: Vec<StatsRow> = self.pool.rows(statement, &args).await?;
        self.with_labels(rows).await
    }

    /// The labels of texts: none for no text, one that no row has for one that is not there, or empty.
    async fn find_labels<const N: usize>(&self, texts: [Option<&str>; N]) -> Result<[i64; N], StoreError> {
        let rows: Vec<LabelRow> = texts
            .iter()
            .enumerate()
            .filter_map(|(i, text)| Some(LabelRow { i, id: 0, text: label((*text)?) }))
            // No label has a NUL, and Postgres takes none.
            .filter(|row| !row.text.contains('\0'))
            .collect();
        let mut ids = texts.map(|text| if text.is_some() { UNKNOWN } else { NONE });
        for Pair(i, id) in self.pool.rows(&sql::LABELS_FIND, &[self.tenant.into(), json(&rows)]).await? {
            ids[index(i)?] = id;
        }
        Ok(ids)
    }

    async fn with_labels(&self, rows: Vec<StatsRow>) -> Result<Vec<StoredStats>, StoreError> {
        let ids: BTreeSet<i64> = rows
            .iter()
            .flat_map(|r| [r.cluster_id, r.pack_id, r.base_id, r.status_id, r.category_id, r.step_id])
            .filter(|id| *id != NONE)
            .collect();
        let labels: Vec<Label> = self.pool.rows(&sql::LABELS_BY_ID, &[self.tenant.into(), json(&ids)]).await?;
        let texts: HashMap<i64, String> = labels.into_iter().map(|label| (label.id, label.text)).collect();
        let text = |id: i64| texts.get(&id).cloned().unwrap_or_default();
        let mut stats: Vec<StoredStats> = rows
            .into_iter()
            .map(|r| StoredStats {
                cluster: text(r.cluster_id),
                pack: text(r.pack_id),
                base: text(r.base_id),
                status: text(r.status_id),
                category: text(r.category_id),
                step: text(r.step_id),
                day: r.day,
                hour: r.hour,
                operations: r.operations,
                succeeded: r.succeeded,
                failed: r.failed,
                timed: r.timed,
                duration: (r.seconds.unwrap_or(0), r.micros.unwrap_or(0)),
                shortest: r.shortest,
                longest: r.longest,
                first_at: r.first_at,
                last_at: r.last_at,
            })
            .collect();
        // By text and not by label, whose numbers depend on what came first.
        stats.sort();
        Ok(stats)
    }
}
