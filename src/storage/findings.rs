//! Reading findings: lists that one filter drives through an index, while the others are checked.

use serde::Serialize;
use sqlx::FromRow;

use super::driver::{Arg, json};
use super::error::StoreError;
use super::page::{Page, Rows};
use super::read::{AsOf, EntryPlace, or_empty, or_zero};
use super::sql::{self, Statement};
use crate::domain::findings::Severity;

/// A finding as of a commit.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredFinding {
    /// Hash of code and subject.
    pub id: i64,
    /// Its source's row.
    #[sqlx(rename = "source_id")]
    pub source: i64,
    /// Its code.
    pub code: String,
    /// Its severity.
    pub severity: String,
    /// What it is about.
    pub subject: String,
    /// What it was derived from, as JSON.
    pub detail: String,
    /// The cluster that it is about; empty where there is none.
    pub cluster: String,
    /// The namespace that it is about; empty where there is none.
    pub namespace: String,
    /// The commit that raised it; what changed while it stood does not move it.
    pub raised_seq: i64,
    /// When that was, microseconds.
    pub raised_at: i64,
    /// The commit that cleared it; `None` while it is open.
    pub cleared_seq: Option<i64>,
    /// When that was, microseconds.
    pub cleared_at: Option<i64>,
    /// The namespace of the record or sequence that derives it.
    pub unit_namespace: String,
    /// Its name.
    pub unit_name: String,
}

/// Whether findings stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
pub enum FindingState {
    /// Their cause holds.
    #[default]
    Open = 0,
    /// They were cleared.
    Cleared = 1,
    /// Either.
    All = 2,
}

/// What findings are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub enum FindingsAbout {
    /// Subjects, as they are stored.
    Subjects(Vec<String>),
    /// A sequence, its chains and its results' place in it: the sequence's row.
    Unit(i64),
}

/// What narrows a list of findings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FindingFilter {
    /// Whether they stand.
    pub state: FindingState,
    /// Their codes; empty for all.
    pub codes: Vec<String>,
    /// Their severities; empty for all.
    pub severities: Vec<Severity>,
    /// The source's row.
    pub source: Option<i64>,
    /// What they are about.
    pub about: Option<FindingsAbout>,
    /// The cluster that they are about.
    pub cluster: Option<String>,
    /// The namespace that they are about.
    pub namespace: Option<String>,
    /// Raised at this time or later, microseconds.
    pub raised_from: Option<i64>,
    /// Raised before this time, microseconds.
    pub raised_until: Option<i64>,
}

/// The order of a list of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FindingOrder {
    /// By severity first, then by when they were raised.
    pub by_severity: bool,
    /// Oldest, or least severe, first.
    pub ascending: bool,
}

/// The place of a finding in a list: its severity where that is the order, else 0; the commit that
/// raised it; its hash.
pub type FindingPlace = (i64, i64, i64);

/// How many findings there are of a code and severity.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct FindingCount(pub String, pub String, pub i64);

/// All severities, least severe first.
const SEVERITIES: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

/// The statements that one filter drives.
struct Drive {
    page: &'static Statement,
    page_back: &'static Statement,
    count: &'static Statement,
}

macro_rules! drive {
    ($page:ident, $page_back:ident, $count:ident) => {
        Drive { page: &sql::$page, page_back: &sql::$page_back, count: &sql::$count }
    };
}

impl FindingOrder {
    /// The place of a finding.
    #[must_use]
    pub fn place(&self, finding: &StoredFinding) -> FindingPlace {
        let severity = if self.by_severity { rank(&finding.severity) } else { 0 };
        (severity, finding.raised_seq, finding.id)
    }
}

impl FindingFilter {
    /// The narrowest filter and the values that it takes one after the other: what a list of findings
    /// has most of is different commits, so a filter of several values is several lists to be merged.
    fn drive(&self) -> (Drive, Vec<String>) {
        let one = |value: &Option<String>| value.iter().cloned().collect();
        match &self.about {
            Some(FindingsAbout::Unit(id)) => {
                let drive = drive!(FINDINGS_OF_UNIT_PAGE, FINDINGS_OF_UNIT_PAGE_BACK, FINDINGS_OF_UNIT_COUNT);
                return (drive, vec![id.to_string()]);
            }
            Some(FindingsAbout::Subjects(subjects)) => {
                let drive = drive!(FINDINGS_OF_SUBJECT_PAGE, FINDINGS_OF_SUBJECT_PAGE_BACK, FINDINGS_OF_SUBJECT_COUNT);
                return (drive, subjects.clone());
            }
            None => {}
        }
        if self.cluster.is_some() {
            let drive = drive!(FINDINGS_OF_CLUSTER_PAGE, FINDINGS_OF_CLUSTER_PAGE_BACK, FINDINGS_OF_CLUSTER_COUNT);
            (drive, one(&self.cluster))
        } else if self.namespace.is_some() {
            let drive =
                drive!(FINDINGS_OF_NAMESPACE_PAGE, FINDINGS_OF_NAMESPACE_PAGE_BACK, FINDINGS_OF_NAMESPACE_COUNT);
            (drive, one(&self.namespace))
        } else if !self.codes.is_empty() {
            let drive = drive!(FINDINGS_OF_CODE_PAGE, FINDINGS_OF_CODE_PAGE_BACK, FINDINGS_OF_CODE_COUNT);
            (drive, self.codes.clone())
        } else if !self.severities.is_empty() {
            let drive = drive!(FINDINGS_OF_SEVERITY_PAGE, FINDINGS_OF_SEVERITY_PAGE_BACK, FINDINGS_OF_SEVERITY_COUNT);
            (drive, self.severities.iter().map(|severity| severity.as_str().to_owned()).collect())
        } else if self.source.is_some() {
            let drive = drive!(FINDINGS_OF_SOURCE_PAGE, FINDINGS_OF_SOURCE_PAGE_BACK, FINDINGS_OF_SOURCE_COUNT);
            (drive, vec![String::new()])
        } else {
            (drive!(FINDINGS_PAGE, FINDINGS_PAGE_BACK, FINDINGS_COUNT), vec![String::new()])
        }
    }
}

impl AsOf {
    /// The findings on subjects, newest raised first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn findings_by_subject(
        &self,
        subjects: &[&str],
        state: FindingState,
    ) -> Result<Vec<StoredFinding>, StoreError> {
        #[derive(Serialize)]
        struct Subject<'a> {
            subject: &'a str,
        }
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Subject> = subjects.iter().map(|subject| Subject { subject }).collect();
        let args = [self.tenant.into(), self.seq.into(), json(&rows), (state as i64).into()];
        self.pool.rows(&sql::FINDINGS_BY_SUBJECT, &args).await
    }

    /// A page of findings.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_findings(
        &self,
        filter: &FindingFilter,
        order: FindingOrder,
        page: &Page<FindingPlace>,
    ) -> Result<Rows<StoredFinding>, StoreError> {
        // Read backwards is read upwards where the list goes down, and downwards where it goes up.
        let upwards = page.backward != order.ascending;
        let window = self.window(filter).await?;
        let mut found = Vec::new();
        for (filter, from) in runs(filter, order, upwards, page.from) {
            let missing = page.fetch() - i64::try_from(found.len()).unwrap_or(i64::MAX);
            if missing <= 0 {
                break;
            }
            let limit = usize::try_from(missing - 1).unwrap_or_default();
            let run = Page { limit, backward: upwards, from };
            found.extend(self.merged(&filter, window, &run).await?);
        }
        Ok(page.rows(found))
    }

    /// How many findings [`Self::list_findings`] has, of each code and severity.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_findings(&self, filter: &FindingFilter) -> Result<Vec<FindingCount>, StoreError> {
        let window = self.window(filter).await?;
        let (drive, values) = filter.drive();
        let mut counts: Vec<FindingCount> = Vec::new();
        for value in &values {
            let found: Vec<FindingCount> = self.pool.rows(drive.count, &self.args(filter, value, window, None)).await?;
            for count in found {
                match counts.iter_mut().find(|known| (&known.0, &known.1) == (&count.0, &count.1)) {
                    Some(known) => known.2 += count.2,
                    None => counts.push(count),
                }
            }
        }
        counts.sort_by(|a, b| (rank(&b.1), &a.0).cmp(&(rank(&a.1), &b.0)));
        Ok(counts)
    }

    /// The first commit from a time on; beyond all if there is none.
    ///
    /// # Errors
    /// If the database fails.
    async fn commit_from(&self, at: i64) -> Result<i64, StoreError> {
        #[derive(FromRow)]
        struct Seq(i64);
        let row = self.pool.row(&sql::COMMIT_FROM, &[self.tenant.into(), at.into()]).await?;
        Ok(row.map_or(i64::MAX, |Seq(seq)| seq))
    }

    /// The commits that may have raised what the filter asks for: from the first, until before the second.
    async fn window(&self, filter: &FindingFilter) -> Result<(i64, i64), StoreError> {
        let first = match filter.raised_from {
            Some(at) => self.commit_from(at).await?,
            None => 0,
        };
        let end = match filter.raised_until {
            Some(at) => self.commit_from(at).await?,
            None => i64::MAX,
        };
        Ok((first, end))
    }

    /// The first rows of the lists that the filter's values make, in the order of reading.
    async fn merged(
        &self,
        filter: &FindingFilter,
        window: (i64, i64),
        page: &Page<EntryPlace>,
    ) -> Result<Vec<StoredFinding>, StoreError> {
        let (drive, values) = filter.drive();
        let statement = if page.backward { drive.page_back } else { drive.page };
        let mut found: Vec<StoredFinding> = Vec::new();
        for value in &values {
            let mut args = self.args(filter, value, window, Some(page));
            args.push(page.fetch().into());
            found.extend(self.pool.rows::<StoredFinding>(statement, &args).await?);
        }
        found.sort_by_key(|finding| (finding.raised_seq, finding.id));
        if !page.backward {
            found.reverse();
        }
        found.truncate(page.limit + 1);
        Ok(found)
    }

    fn args(
        &self,
        filter: &FindingFilter,
        driven: &str,
        window: (i64, i64),
        page: Option<&Page<EntryPlace>>,
    ) -> Vec<Arg> {
        let (lower, upper) = bounds(window, page);
        vec![
            self.tenant.into(),
            self.seq.into(),
            driven.into(),
            lower.0.into(),
            lower.1.into(),
            upper.0.into(),
            upper.1.into(),
            (filter.state as i64).into(),
            words(filter.codes.iter().map(String::as_str)),
            words(filter.severities.iter().map(|severity| severity.as_str())),
            or_zero(filter.source),
            or_empty(filter.cluster.as_deref()),
            or_empty(filter.namespace.as_deref()),
        ]
    }
}

/// The lists that follow each other in the order: all as one, or one a severity. Each with the place
/// after which it is read.
fn runs(
    filter: &FindingFilter,
    order: FindingOrder,
    upwards: bool,
    from: Option<FindingPlace>,
) -> Vec<(FindingFilter, Option<EntryPlace>)> {
    let place = from.map(|(_, raised, id)| (raised, id));
    if !order.by_severity {
        return vec![(filter.clone(), place)];
    }
    let asked = |severity: &Severity| filter.severities.is_empty() || filter.severities.contains(severity);
    let mut severities: Vec<Severity> = SEVERITIES.into_iter().filter(asked).collect();
    if !upwards {
        severities.reverse();
    }
    let is_ahead = |severity: &Severity| {
        let rank = rank(severity.as_str());
        from.is_none_or(|(at, ..)| if upwards { rank >= at } else { rank <= at })
    };
    let run = |severity: Severity| {
        let begun = from.is_some_and(|(at, ..)| at == rank(severity.as_str()));
        (FindingFilter { severities: vec![severity], ..filter.clone() }, place.filter(|_| begun))
    };
    severities.into_iter().filter(is_ahead).map(run).collect()
}

/// The places between which a page of a list lies, both exclusive: those of the commits from
/// the first of `window` until before the second, and beyond the place that the page follows.
fn bounds(window: (i64, i64), page: Option<&Page<EntryPlace>>) -> (EntryPlace, EntryPlace) {
    let (mut lower, mut upper) = ((window.0, -1), (window.1, -1));
    if let Some((page, from)) = page.and_then(|page| page.from.map(|from| (page, from))) {
        if page.backward {
            lower = lower.max(from);
        } else {
            upper = upper.min(from);
        }
    }
    (lower, upper)
}

fn rank(severity: &str) -> i64 {
    SEVERITIES.iter().position(|known| known.as_str() == severity).and_then(|i| i64::try_from(i).ok()).unwrap_or(0)
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> Arg {
    #[derive(Serialize)]
    struct Word<'a> {
        word: &'a str,
    }
    json(&words.map(|word| Word { word }).collect::<Vec<_>>())
}
