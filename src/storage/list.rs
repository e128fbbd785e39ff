//! Lists of records: narrowed by facets, in several orders, by key and never by offset.
//!
//! For each facet of a record there is a *listing*: a row in the order of birth under a term, the hash
//! of kind, facet and value. A page is read through the rarest of the terms that are asked for, and the
//! others are looked up for each row, so that no page reads what has nothing to do with it.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::driver::{Arg, json};
use super::error::StoreError;
use super::hash63;
use super::pack::packed_row;
use super::page::{Page, Rows};
use super::read::{AsOf, Breadth, StoredRecord};
use super::sql::{self, Statement};
use super::write::{Changes, FindingRow, StateRow, WithSeq, WriteTx};
use crate::domain::kind;

/// How many rows of a term are counted to tell whether it is rare. A term below can be read whole and
/// sorted; above, the order is read and the term is looked up.
const RARE: i64 = 2_000;

/// What a record can be listed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Facet {
    All,
    Changed,
    Source,
    Namespace,
    Cluster,
    Pack,
    BasePack,
    Status,
    Capability,
    FailureCategory,
    FailedStep,
    Drift,
    Verified,
    Live,
    Findings,
    Deployed,
}

/// The term of a kind's facet and value.
fn term(kind: &str, facet: Facet, value: &str) -> i64 {
    hash63(&[kind.as_bytes(), &[facet as u8], value.as_bytes()])
}

/// The term of the successful results by which packs of a base came to a cluster, in the order in which
/// they count.
pub(super) fn deployed_term(source: i64, cluster: &str, base: &str) -> i64 {
    term(kind::RESULT, Facet::Deployed, &format!("{source}/{cluster}/{base}"))
}

/// A row of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, FromRow)]
pub(super) struct ListingRow {
    term: i64,
    place: i64,
    key_hash: i64,
    object_id: i64,
}

/// The listings that a state is in. They follow from nothing else but whether findings are open on the
/// record, so that what has to be changed follows from the states of before and after.
pub(super) fn listings(source_id: i64, state: &StateRow, has_findings: bool) -> Vec<ListingRow> {
    let kind = state.kind.as_str();
    let source = source_id.to_string();
    let live = if state.live == 0 { "false" } else { "true" };
    let mut facets = vec![
        (Facet::All, ""),
        (Facet::Source, source.as_str()),
        (Facet::Namespace, &state.namespace),
        (Facet::Live, live),
        (Facet::Pack, &state.pack),
        (Facet::Cluster, &state.cluster),
        (Facet::BasePack, &state.base_pack),
        (Facet::Status, &state.status),
        (Facet::Capability, &state.capability),
        (Facet::FailureCategory, &state.failure_category),
        (Facet::FailedStep, &state.failed_step),
        (Facet::Drift, &state.drift),
        (Facet::Verified, &state.verified),
    ];
    facets.extend(state.targets.split(' ').map(|cluster| (Facet::Cluster, cluster)));
    if has_findings {
        facets.push((Facet::Findings, ""));
    }
    let always = |facet| matches!(facet, Facet::All | Facet::Findings);
    let row = |term, place| ListingRow { term, place, key_hash: state.key_hash, object_id: state.object_id };
    let mut rows: Vec<ListingRow> = facets
        .into_iter()
        .filter(|(facet, value)| always(*facet) || !value.is_empty())
        .map(|(facet, value)| row(term(kind, facet, value), state.born_at))
        .collect();
    rows.push(row(term(kind, Facet::Changed, ""), state.changed_at));
    if state.counted_at > 0 && !state.family().is_empty() {
        rows.push(row(deployed_term(source_id, &state.cluster, state.family()), state.counted_at));
    }
    rows.sort();
    rows.dedup();
    rows
}

/// What narrows a list of records; `None` everywhere is all of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RecordFilter {
    /// The source's row.
    pub source: Option<i64>,
    /// Their namespace.
    pub namespace: Option<String>,
    /// The cluster that they act on; of a pack, one that it is meant for.
    pub cluster: Option<String>,
    /// The pack that they are about.
    pub pack: Option<String>,
    /// The name that all versions of that pack share.
    pub base_pack: Option<String>,
    /// A result's status, in the record's word.
    pub status: Option<String>,
    /// A result's capability.
    pub capability: Option<String>,
    /// The category of a result's failure, in the record's word.
    pub failure_category: Option<String>,
    /// The step that failed.
    pub failed_step: Option<String>,
    /// A receipt's drift, in the record's word.
    pub drift: Option<String>,
    /// What a receipt claims of the signature.
    pub verified: Option<bool>,
    /// Whether they still exist.
    pub live: Option<bool>,
    /// Whether findings are open on them.
    pub has_findings: Option<bool>,
    /// Born at or after, microseconds.
    pub born_from: Option<i64>,
    /// Born before, microseconds.
    pub born_before: Option<i64>,
}

impl RecordFilter {
    /// The terms that must hold.
    fn required(&self, kind: &str) -> Vec<i64> {
        let flag = |value: bool| Some(value.to_string());
        let asked = [
            (Facet::Source, self.source.map(|source| source.to_string())),
            (Facet::Namespace, self.namespace.clone()),
            (Facet::Cluster, self.cluster.clone()),
            (Facet::Pack, self.pack.clone()),
            (Facet::BasePack, self.base_pack.clone()),
            (Facet::Status, self.status.clone()),
            (Facet::Capability, self.capability.clone()),
            (Facet::FailureCategory, self.failure_category.clone()),
            (Facet::FailedStep, self.failed_step.clone()),
            (Facet::Drift, self.drift.clone()),
            (Facet::Verified, self.verified.and_then(flag)),
            (Facet::Live, self.live.and_then(flag)),
            (Facet::Findings, self.has_findings.filter(|has| *has).map(|_| String::new())),
        ];
        asked.into_iter().filter_map(|(facet, value)| Some(term(kind, facet, &value?))).collect()
    }

    /// The terms that must not hold.
    fn excluded(&self, kind: &str) -> Vec<i64> {
        let without = self.has_findings == Some(false);
        without.then(|| term(kind, Facet::Findings, "")).into_iter().collect()
    }
}

/// What a list is ordered by. Ties are in the order of the hash of the natural identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RecordOrder {
    /// The birth.
    #[default]
    Born,
    /// When the record last changed or was closed.
    Changed,
    /// Source, namespace, name, cluster of residence.
    Name,
}

/// The place of a record in a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecordPlace {
    /// By a time: birth or change.
    Time(i64, i64),
    /// By name: source, namespace, name, cluster of residence.
    Name(i64, String, String, String, i64),
}

/// Which records to list, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RecordList {
    /// What narrows them.
    pub filter: RecordFilter,
    /// What they are ordered by.
    pub order: RecordOrder,
    /// Lowest first.
    pub ascending: bool,
}

packed_row! {
    struct TimeRow {
        object_id: i64,
        place: i64,
        key_hash: i64,
    }
}

packed_row! {
    struct NameRow {
        object_id: i64,
        source_id: i64,
        namespace: String,
        name: String,
        cluster: String,
        key_hash: i64,
    }
}

packed_row! {
    struct TermCount {
        term: i64,
        rows: i64,
    }
}

#[derive(Serialize)]
struct Term {
    term: i64,
}

/// How a list is read: through which term, and what is looked up beside it.
struct Drive {
    term: i64,
    others: Arg,
    excluded: Arg,
    /// The term is rare enough to be read whole.
    is_rare: bool,
}

fn terms(terms: &[i64]) -> Arg {
    let rows: Vec<Term> = terms.iter().map(|term| Term { term: *term }).collect();
    json(&rows)
}

/// The page in terms of one ascending or descending walk.
struct Walk {
    descending: bool,
    limit: i64,
}

impl AsOf {
    /// Records of a kind, with their places.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_records(
        &self,
        kind: &str,
        list: &RecordList,
        page: &Page<RecordPlace>,
        breadth: Breadth,
    ) -> Result<Rows<(RecordPlace, StoredRecord)>, StoreError> {
        let drive = self.drive(kind, list).await?;
        let walk = Walk { descending: list.ascending == page.backward, limit: page.fetch() };
        let places = match list.order {
            RecordOrder::Born | RecordOrder::Changed => self.walk_times(kind, list, &drive, &walk, page).await?,
            RecordOrder::Name => self.walk_names(kind, list, &drive, &walk, page).await?,
        };
        let rows = page.rows(places);
        let objects: Vec<i64> = rows.rows.iter().map(|(_, object)| *object).collect();
        let records = self.records_by_object(&objects, breadth).await?;
        let mut records: HashMap<i64, StoredRecord> =
            records.into_iter().map(|record| (record.object, record)).collect();
        let mut found = Vec::with_capacity(rows.rows.len());
        for (place, object) in rows.rows {
            let record = records.remove(&object);
            let record = record.ok_or_else(|| StoreError::Corrupt(format!("listed object {object} has no state")))?;
            found.push((place, record));
        }
        Ok(Rows { rows: found, more: rows.more })
    }

    /// How many records [`Self::list_records`] has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_records(&self, kind: &str, filter: &RecordFilter) -> Result<i64, StoreError> {
        let list = RecordList { filter: filter.clone(), ..RecordList::default() };
        let drive = self.drive(kind, &list).await?;
        let args = [
            self.tenant.into(),
            drive.term.into(),
            self.seq.into(),
            filter.born_from.unwrap_or(i64::MIN).into(),
            filter.born_before.unwrap_or(i64::MAX).into(),
            drive.others,
            drive.excluded,
        ];
        self.count(&sql::LISTING_COUNT, &args).await
    }

    /// Chooses the term to read through.
    async fn drive(&self, kind: &str, list: &RecordList) -> Result<Drive, StoreError> {
        let mut required = list.filter.required(kind);
        let excluded = terms(&list.filter.excluded(kind));
        let all = term(kind, Facet::All, "");
        // One term in the order of its own rows needs no comparison.
        if required.is_empty() || (required.len() == 1 && list.order == RecordOrder::Born) {
            let term = required.pop().unwrap_or(all);
            return Ok(Drive { term, others: terms(&[]), excluded, is_rare: false });
        }
        let args = [self.tenant.into(), terms(&required), self.seq.into(), RARE.into()];
        let counts: Vec<TermCount> = self.pool.list(&sql::LISTING_RARITY, &args).await?;
        let rarest = counts.iter().min_by_key(|count| (count.rows, count.term));
        let (term, is_rare) = rarest.map_or((all, false), |count| (count.term, count.rows < RARE));
        required.retain(|other| *other != term);
        Ok(Drive { term, others: terms(&required), excluded, is_rare })
    }

    async fn walk_times(
        &self,
        kind: &str,
        list: &RecordList,
        drive: &Drive,
        walk: &Walk,
        page: &Page<RecordPlace>,
    ) -> Result<Vec<(RecordPlace, i64)>, StoreError> {
        let end = if walk.descending { (i64::MAX, i64::MAX) } else { (i64::MIN, i64::MIN) };
        let mut from = match page.from {
            Some(RecordPlace::Time(place, key_hash)) => (place, key_hash),
            _ => end,
        };
        let (born_from, born_before) =
            (list.filter.born_from.unwrap_or(i64::MIN), list.filter.born_before.unwrap_or(i64::MAX));
        let is_born = list.order == RecordOrder::Born;
        if is_born && walk.descending {
            // The window's far end is the walk's beginning: nothing before it is read.
            from = from.min((born_before, i64::MIN));
        } else if is_born {
            from = from.max((born_from.saturating_sub(1), i64::MAX));
        }
        let statement = match (is_born, drive.is_rare, walk.descending) {
            (true, _, true) => &sql::LISTING_PAGE,
            (true, _, false) => &sql::LISTING_PAGE_BACK,
            (false, false, true) => &sql::LISTING_CHANGED_PAGE,
            (false, false, false) => &sql::LISTING_CHANGED_PAGE_BACK,
            (false, true, true) => &sql::LISTING_CHANGED_SORTED,
            (false, true, false) => &sql::LISTING_CHANGED_SORTED_BACK,
        };
        let (term, others) = if is_born || drive.is_rare {
            (drive.term, drive.others.clone())
        } else {
            (term(kind, Facet::Changed, ""), terms(&list.filter.required(kind)))
        };
        let args = [
            self.tenant.into(),
            term.into(),
            self.seq.into(),
            from.0.into(),
            from.1.into(),
            born_from.into(),
            born_before.into(),
            others,
            drive.excluded.clone(),
            walk.limit.into(),
        ];
        let rows: Vec<TimeRow> = self.pool.list(statement, &args).await?;
        Ok(rows.into_iter().map(|row| (RecordPlace::Time(row.place, row.key_hash), row.object_id)).collect())
    }

    async fn walk_names(
        &self,
        kind: &str,
        list: &RecordList,
        drive: &Drive,
        walk: &Walk,
        page: &Page<RecordPlace>,
    ) -> Result<Vec<(RecordPlace, i64)>, StoreError> {
        let end = if walk.descending { i64::MAX } else { i64::MIN };
        let from = match page.from.clone() {
            Some(RecordPlace::Name(source, namespace, name, cluster, key_hash)) => {
                (source, namespace, name, cluster, key_hash)
            }
            _ => (end, String::new(), String::new(), String::new(), end),
        };
        let statement: &'static Statement = match (drive.is_rare, walk.descending) {
            (false, true) => &sql::LISTING_NAME_PAGE_BACK,
            (false, false) => &sql::LISTING_NAME_PAGE,
            (true, true) => &sql::LISTING_NAME_SORTED_BACK,
            (true, false) => &sql::LISTING_NAME_SORTED,
        };
        let others = if drive.is_rare { drive.others.clone() } else { terms(&list.filter.required(kind)) };
        let by: Arg = if drive.is_rare { drive.term.into() } else { kind.into() };
        let args = [
            self.tenant.into(),
            by,
            self.seq.into(),
            from.0.into(),
            from.1.into(),
            from.2.into(),
            from.3.into(),
            from.4.into(),
            list.filter.born_from.unwrap_or(i64::MIN).into(),
            list.filter.born_before.unwrap_or(i64::MAX).into(),
            others,
            drive.excluded.clone(),
            walk.limit.into(),
        ];
        let rows: Vec<NameRow> = self.pool.list(statement, &args).await?;
        let place = |row: NameRow| {
            let at = RecordPlace::Name(row.source_id, row.namespace, row.name, row.cluster, row.key_hash);
            (at, row.object_id)
        };
        Ok(rows.into_iter().map(place).collect())
    }
}

/// Rows to end, and rows to write.
pub(super) type ListingDiff = (Vec<ListingRow>, Vec<ListingRow>);

#[derive(FromRow)]
struct OnObject {
    object_id: i64,
}

impl WriteTx {
    /// How the listings change with states and findings (stored rows to end, rows to write).
    pub(super) async fn diff_listings(
        &mut self,
        changes: &Changes,
        (old_states, new_states): &(Vec<WithSeq<StateRow>>, Vec<StateRow>),
        (old_findings, new_findings): &(Vec<WithSeq<FindingRow>>, Vec<FindingRow>),
    ) -> Result<ListingDiff, StoreError> {
        let mut before: HashMap<i64, StateRow> = old_states.iter().map(|o| (o.row.object_id, o.row.clone())).collect();
        let mut after: HashMap<i64, StateRow> = new_states.iter().map(|s| (s.object_id, s.clone())).collect();
        let ended = old_findings.iter().filter_map(|finding| finding.row.object_id);
        let raised = new_findings.iter().filter_map(|finding| finding.object_id);
        let touched: BTreeSet<i64> =
            before.keys().chain(after.keys()).copied().chain(ended.clone()).chain(raised.clone()).collect();
        let touched: Vec<i64> = touched.into_iter().collect();
        let counts_before = self.count_findings_of(&touched).await?;
        let mut counts_after = counts_before.clone();
        for object in ended {
            *counts_after.entry(object).or_default() -= 1;
        }
        for object in raised {
            *counts_after.entry(object).or_default() += 1;
        }
        // Records whose state stays as it is, but not whether findings are open on them.
        let same: Vec<i64> =
            touched.iter().copied().filter(|id| !before.contains_key(id) && !after.contains_key(id)).collect();
        let same: Vec<WithSeq<StateRow>> = self.open_rows(&sql::STATES_OPEN, &same).await?;
        for state in same {
            before.insert(state.row.object_id, state.row.clone());
            after.insert(state.row.object_id, state.row);
        }
        let listed = |states: &HashMap<i64, StateRow>, counts: &HashMap<i64, i64>| -> BTreeSet<ListingRow> {
            let has_findings = |id| counts.get(id).is_some_and(|count| *count > 0);
            states.iter().flat_map(|(id, state)| listings(self.source, state, has_findings(id))).collect()
        };
        let (before, after) = (listed(&before, &counts_before), listed(&after, &counts_after));
        let mut insert: BTreeSet<ListingRow> = after.difference(&before).cloned().collect();
        if changes.relist {
            let missing = self.missing_listings(changes.states.iter()).await?;
            insert.extend(missing.into_iter().filter(|row| !before.contains(row) || after.contains(row)));
            // What was stored as the state of before may be what is wrong, and its listings right.
            let stored = self.stored_listings(&insert.iter().cloned().collect::<Vec<_>>()).await?;
            insert.retain(|row| !stored.contains(row));
        }
        Ok((before.difference(&after).cloned().collect(), insert.into_iter().collect()))
    }

    async fn count_findings_of(&mut self, objects: &[i64]) -> Result<HashMap<i64, i64>, StoreError> {
        let mut counts = HashMap::new();
        if objects.is_empty() {
            return Ok(counts);
        }
        let rows: Vec<OnObject> =
            self.tx.rows(&sql::FINDINGS_ON_OBJECTS, &[self.tenant.into(), json(&objects)]).await?;
        for row in rows {
            *counts.entry(row.object_id).or_default() += 1;
        }
        Ok(counts)
    }

    /// The listings of the derived states that are not stored; whether findings are open is taken from
    /// what is stored.
    pub(super) async fn missing_listings<'a>(
        &mut self,
        states: impl Iterator<Item = &'a StateRow>,
    ) -> Result<Vec<ListingRow>, StoreError> {
        let states: Vec<&StateRow> = states.collect();
        if states.is_empty() {
            return Ok(Vec::new());
        }
        let objects: Vec<i64> = states.iter().map(|state| state.object_id).collect();
        let counts = self.count_findings_of(&objects).await?;
        let expected: Vec<ListingRow> = states
            .iter()
            .flat_map(|state| listings(self.source, state, counts.contains_key(&state.object_id)))
            .collect();
        let stored = self.stored_listings(&expected).await?;
        Ok(expected.into_iter().filter(|row| !stored.contains(row)).collect())
    }

    /// Those of some listings that hold now.
    async fn stored_listings(&mut self, rows: &[ListingRow]) -> Result<BTreeSet<ListingRow>, StoreError> {
        let stored: Vec<ListingRow> = self.tx.rows(&sql::LISTING_OPEN, &[self.tenant.into(), json(&rows)]).await?;
        Ok(stored.into_iter().collect())
    }

    pub(super) async fn write_listings(&mut self, (old, new): ListingDiff, seq: i64) -> Result<(), StoreError> {
        let before = [self.tenant.into(), seq.into()];
        self.write_rows(&sql::LISTING_CLOSE, &before, &old, &[]).await?;
        self.write_rows(&sql::LISTING_INSERT, &before, &new, &[]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_of_different_facets_kinds_and_values_differ() {
        let terms = [
            term("A", Facet::Pack, "x"),
            term("A", Facet::BasePack, "x"),
            term("B", Facet::Pack, "x"),
            term("A", Facet::Pack, "y"),
        ];
        for (i, term) in terms.iter().enumerate() {
            assert!(!terms[..i].contains(term));
        }
    }
}
