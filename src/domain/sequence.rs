//! Operation sequences: epochs, revision chains, their gaps, forks and broken links.
//!
//! A sequence is all results of one execution name. Executions are deleted and made again under the
//! same name, so a sequence falls into epochs, one for each execution that lived. Names are not
//! identities, and revisions start over with each epoch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::findings::{Finding, Severity, Subject, rewrite};
use super::identity::NaturalKey;
use super::kind;
use super::world::{Object, Reader, lookup_namespaces, result_facts};

mod advance;

pub use advance::{Advance, Change, Known, Placed, Turn, advance};

/// The epoch of results whose epoch no rule tells.
pub const UNKNOWN_EPOCH: &str = "unknown";

/// How whole a chain is, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChainStatus {
    /// Every revision from the first to the head is known.
    Complete,
    /// The first revisions are missing: the server came late.
    StartedLate,
    /// Revisions between known ones are missing.
    Incomplete,
    /// A reference cannot be true.
    Broken,
    /// Two results claim one place.
    Forked,
    /// A result was rewritten after it was sealed.
    Conflicted,
}

/// A stretch of revisions that were never seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which end of the chain it is at.
    pub kind: GapKind,
    /// The first missing revision.
    pub from: i64,
    /// The last missing revision.
    pub to: i64,
}

/// The kinds of gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GapKind {
    /// Between seen revisions.
    Hole,
    /// Below the lowest seen revision.
    BeforeFirstSeen,
}

/// Results that claim one place in a chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fork {
    /// The lowest revision of the members.
    pub revision: i64,
    /// Identities of the members (uid, or object key), sorted.
    pub members: Vec<String>,
}

/// A place in a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRef {
    /// The revision.
    pub revision: i64,
    /// The identity of the result (uid, or object key).
    pub ident: String,
}

/// One result at one revision. A result that was patched in place has a row for each revision it carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The revision; 0 where the result has none.
    pub revision: i64,
    /// The result's row in the store.
    pub object: i64,
    /// The identity of the result (uid, or object key).
    pub ident: String,
    /// The object key of the result: two names may share a uid.
    pub key: String,
    /// The index of the version that gives this revision's content.
    pub version: usize,
    /// First effective time of the result, microseconds.
    pub first_at: i64,
    /// It exists.
    pub live: bool,
    /// It is labelled as superseded.
    pub superseded: bool,
}

impl Row {
    /// It exists and no later result replaced it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.live && !self.superseded
    }
}

/// What is known of an epoch without its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its stable identity: the execution's uid where known.
    pub uid: String,
    /// 1…, by age. May change as older epochs become known.
    pub rank: i64,
    /// The earliest birth of its results, microseconds.
    pub born_at: i64,
    /// The worst that holds.
    pub status: ChainStatus,
    /// How many rows it has.
    pub rows: i64,
    /// The result that is the head.
    pub head_id: i64,
    /// The result that is active.
    pub active_id: Option<i64>,
    /// The rest.
    pub detail: Detail,
}

/// What is known of an epoch beside its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// Where it forks.
    pub forks: Vec<Fork>,
    /// Rows whose reference cannot be true.
    pub broken: Vec<RowRef>,
    /// The highest revision.
    pub head: RowRef,
    /// The highest live revision that is not superseded; newest epoch only.
    pub active: Option<RowRef>,
    /// How many rows are live and not superseded.
    pub actives: i64,
    /// The latest time at which its results were born or looked up their predecessors, microseconds:
    /// what comes to exist later than that changes nothing of it but its end.
    pub latest_at: i64,
    /// How many of its results have no owner that tells their epoch.
    pub unowned: i64,
    /// The target of its latest result that names one.
    pub cluster: Option<String>,
}

/// One epoch: the chain of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// All but its rows.
    pub summary: Summary,
    /// The rows by revision.
    pub rows: Vec<Row>,
}

/// A derived sequence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sequence {
    /// The epochs by rank.
    pub epochs: Vec<Epoch>,
    /// The findings about the sequence, its epochs and its results' place in it.
    pub findings: Vec<Finding>,
}

/// Derives the sequence `key` from the results that joined it.
pub fn derive(reader: &Reader, key: &NaturalKey) -> Sequence {
    let results: Vec<&Object> = reader
        .members(key)
        .into_iter()
        .filter(|object| object.key.kind == kind::RESULT && object.sequence_name().0 == key.name)
        .collect();
    if results.is_empty() {
        return Sequence::default();
    }
    let mut chain = Chain::new(reader, key, &results);
    chain.assign_epochs();
    let epochs = chain.epochs();
    let findings = chain.findings(&epochs);
    Sequence { epochs, findings }
}

struct Member<'a> {
    object: &'a Object,
    rows: Vec<MemberRow<'a>>,
    epoch: Option<String>,
}

struct MemberRow<'a> {
    row: Row,
    spec: Digest,
    /// When its object first had this revision: its birth, or the time of a later version.
    since: i64,
    reference: Option<Reference<'a>>,
    target: Option<Target<'a>>,
}

/// A `previousRevisionRef`: the name, and the time at which it is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reference<'a> {
    name: &'a str,
    at: i64,
}

/// What `previousRevisionRef` leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Target<'a> {
    /// Another result of the sequence, by its position.
    Member(usize),
    /// A result outside of the sequence.
    Stranger(i64),
    /// A name that was never seen.
    Placeholder(&'a str),
}

impl Member<'_> {
    fn min_revision(&self) -> i64 {
        self.rows.iter().map(|row| row.row.revision).min().unwrap_or(0)
    }

    /// The times at which others are looked at for it.
    fn times(&self) -> impl Iterator<Item = i64> {
        std::iter::once(self.object.birth()).chain(self.rows.iter().map(|row| row.since))
    }
}

struct Chain<'a, 'r> {
    reader: &'r Reader<'a>,
    key: &'r NaturalKey,
    members: Vec<Member<'a>>,
}

impl<'a, 'r> Chain<'a, 'r> {
    fn new(reader: &'r Reader<'a>, key: &'r NaturalKey, results: &[&'a Object]) -> Self {
        let positions: HashMap<i64, usize> = results.iter().enumerate().map(|(i, o)| (o.id, i)).collect();
        let members = results
            .iter()
            .map(|object| Member { object, rows: rows(reader, &positions, object), epoch: None })
            .collect();
        Self { reader, key, members }
    }

    /// Gives every member its epoch. Rules that lean on another member only ever lean on one with a
    /// lower revision, so going up by revision finds their answer ready.
    fn assign_epochs(&mut self) {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|i| self.members[*i].min_revision());
        for i in order {
            self.members[i].epoch = Some(self.epoch_of(i));
        }
    }

    fn epoch_of(&self, i: usize) -> String {
        let member = &self.members[i];
        let object = member.object;
        if let Some(owner) = object.history.owner() {
            return owner.uid.clone();
        }
        if let Some(epoch) = self.epoch_of_predecessor(member) {
            return epoch;
        }
        let namespaces = lookup_namespaces(object);
        if let Some(execution) = self.reader.resolve_alive(kind::EXECUTION, &namespaces, &self.key.name, object.birth())
        {
            return execution.ident();
        }
        if member.min_revision() == 1 {
            return object.ident();
        }
        self.epoch_of_elder(i).unwrap_or_else(|| UNKNOWN_EPOCH.to_owned())
    }

    fn epoch_of_predecessor(&self, member: &Member) -> Option<String> {
        let lowest = member.rows.iter().min_by_key(|row| row.row.revision)?;
        let Some(Target::Member(j)) = lowest.target else {
            return None;
        };
        let target = &self.members[j];
        (target.min_revision() < member.min_revision()).then(|| target.epoch.clone()).flatten()
    }

    fn epoch_of_elder(&self, i: usize) -> Option<String> {
        let member = &self.members[i];
        self.members
            .iter()
            .filter(|other| {
                other.object.birth() < member.object.birth() && other.min_revision() < member.min_revision()
            })
            .max_by_key(|other| (other.object.birth(), other.min_revision(), other.object.ident()))
            .and_then(|other| other.epoch.clone())
    }

    fn epochs(&self) -> Vec<Epoch> {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, member) in self.members.iter().enumerate() {
            groups.entry(member.epoch.as_deref().unwrap_or(UNKNOWN_EPOCH)).or_default().push(i);
        }
        let mut ordered: Vec<(&str, Vec<usize>)> = groups.into_iter().collect();
        ordered.sort_by_key(|(uid, members)| (self.age(members), *uid));
        let newest = ordered.len();
        ordered.iter().enumerate().map(|(i, (uid, members))| self.epoch(uid, i + 1, i + 1 == newest, members)).collect()
    }

    fn age(&self, members: &[usize]) -> i64 {
        members.iter().map(|i| self.members[*i].object.birth()).min().unwrap_or(0)
    }

    fn epoch(&self, uid: &str, rank: usize, is_newest: bool, members: &[usize]) -> Epoch {
        let mut rows: Vec<(usize, &MemberRow)> =
            members.iter().flat_map(|i| self.members[*i].rows.iter().map(move |row| (*i, row))).collect();
        rows.sort_by(|(_, a), (_, b)| place(&a.row).cmp(&place(&b.row)));
        let revisions: BTreeSet<i64> = rows.iter().map(|(_, row)| row.row.revision).collect();
        let gaps = self.gaps(uid, &revisions, &rows);
        let forks = forks(&rows);
        let broken: Vec<RowRef> = rows
            .iter()
            .filter(|(i, row)| self.is_broken(uid, *i, row, &revisions))
            .map(|(_, row)| row_ref(&row.row))
            .collect();
        let status = status(members.iter().any(|i| is_conflicted(self.members[*i].object)), &gaps, &forks, &broken);
        let latest_at = members.iter().flat_map(|i| self.members[*i].times()).max().unwrap_or(i64::MIN);
        let unowned = members.iter().filter(|i| self.members[**i].object.history.owner().is_none()).count();
        let cluster = rows.iter().rev().find_map(|(i, _)| self.members[*i].object.cluster()).map(ToOwned::to_owned);
        let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row.row.clone()).collect();
        let head = rows.last();
        let active = rows.iter().rev().find(|row| is_newest && row.is_active());
        let summary = Summary {
            uid: uid.to_owned(),
            born_at: self.age(members),
            rank: count(rank),
            status,
            rows: count(rows.len()),
            head_id: head.map_or(0, |row| row.object),
            active_id: active.map(|row| row.object),
            detail: Detail {
                gaps,
                forks,
                broken,
                head: head.map_or(RowRef { revision: 0, ident: String::new() }, row_ref),
                active: active.map(row_ref),
                actives: count(rows.iter().filter(|row| row.is_active()).count()),
                latest_at,
                unowned: count(unowned),
                cluster,
            },
        };
        Epoch { summary, rows }
    }

    fn gaps(&self, uid: &str, revisions: &BTreeSet<i64>, rows: &[(usize, &MemberRow)]) -> Vec<Gap> {
        let seen: Vec<i64> = revisions.range(1..).copied().collect();
        let Some(&lowest) = seen.first() else {
            return Vec::new();
        };
        let continues_another = rows.iter().filter(|(_, row)| row.row.revision == lowest).any(
            |(_, row)| matches!(row.target, Some(Target::Member(j)) if self.members[j].epoch.as_deref() != Some(uid)),
        );
        let before =
            (lowest > 1 && !continues_another).then(|| Gap { kind: GapKind::BeforeFirstSeen, from: 1, to: lowest - 1 });
        let holes = seen.windows(2).filter(|pair| pair[1] > pair[0] + 1).map(|pair| Gap {
            kind: GapKind::Hole,
            from: pair[0] + 1,
            to: pair[1] - 1,
        });
        before.into_iter().chain(holes).collect()
    }

    /// A reference that cannot be true: to itself, to no lower revision of its sequence, or past a
    /// predecessor that is known.
    fn is_broken(&self, epoch: &str, i: usize, row: &MemberRow, revisions: &BTreeSet<i64>) -> bool {
        let Some(target) = row.target else {
            return false;
        };
        let before = row.row.revision - 1;
        let mut carries_predecessor = false;
        if let Target::Member(j) = target {
            let other = &self.members[j];
            let is_lower = other.rows.iter().any(|r| r.row.revision < row.row.revision);
            if j == i || !is_lower {
                return true;
            }
            carries_predecessor =
                other.epoch.as_deref() == Some(epoch) && other.rows.iter().any(|r| r.row.revision == before);
        }
        revisions.contains(&before) && !carries_predecessor
    }

    fn findings(&self, epochs: &[Epoch]) -> Vec<Finding> {
        let mut findings: Vec<Finding> =
            epochs.iter().flat_map(|epoch| epoch_findings(self.key, &epoch.summary)).collect();
        let active: Vec<RowRef> =
            epochs.iter().flat_map(|epoch| &epoch.rows).filter(|row| row.is_active()).map(row_ref).collect();
        findings.extend(two_actives(self.key, epochs.iter().map(|epoch| &epoch.summary), &active));
        findings.extend(self.members.iter().filter_map(|member| orphan(self.reader, member.object)));
        findings
    }
}

/// The finding on more than one active result, on the cluster of the newest epoch that names one.
fn two_actives<'a>(
    key: &NaturalKey,
    epochs: impl DoubleEndedIterator<Item = &'a Summary>,
    active: &[RowRef],
) -> Option<Finding> {
    let cluster = epochs.rev().find_map(|epoch| epoch.detail.cluster.as_deref());
    (active.len() > 1).then(|| {
        Finding::new("TWO_ACTIVES", Severity::Warning, Subject::Sequence(key.clone()))
            .on_cluster(cluster)
            .with("results", active)
    })
}

fn orphan(reader: &Reader, object: &Object) -> Option<Finding> {
    is_orphan(reader, object).then(|| Finding::on("ORPHAN_RESULT", Severity::Info, object))
}

/// Whether the execution of a result was never seen.
fn is_orphan(reader: &Reader, object: &Object) -> bool {
    if let Some(owner) = object.history.owner() {
        let key = NaturalKey::new(kind::EXECUTION, &object.key.namespace, &owner.name);
        return !reader.was_seen(&key, &owner.uid);
    }
    let (name, is_named) = object.sequence_name();
    let namespaces = lookup_namespaces(object);
    !is_named || reader.resolve(kind::EXECUTION, &namespaces, name, object.birth()).is_none()
}

fn is_conflicted(object: &Object) -> bool {
    rewrite(object) == Some(Severity::Error)
}

/// The worst that holds of a chain.
fn status(is_conflicted: bool, gaps: &[Gap], forks: &[Fork], broken: &[RowRef]) -> ChainStatus {
    if is_conflicted {
        ChainStatus::Conflicted
    } else if !forks.is_empty() {
        ChainStatus::Forked
    } else if !broken.is_empty() {
        ChainStatus::Broken
    } else if gaps.iter().any(|gap| gap.kind == GapKind::Hole) {
        ChainStatus::Incomplete
    } else if gaps.is_empty() {
        ChainStatus::Complete
    } else {
        ChainStatus::StartedLate
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The order of a chain. Ties go to what was seen later, then to the uid: a label must not move the head.
fn place(row: &Row) -> (i64, i64, &str, &str) {
    (row.revision, row.first_at, &row.ident, &row.key)
}

fn row_ref(row: &Row) -> RowRef {
    RowRef { revision: row.revision, ident: row.ident.clone() }
}

fn rows<'a>(reader: &Reader<'a>, positions: &HashMap<i64, usize>, object: &'a Object) -> Vec<MemberRow<'a>> {
    let mut rows = own_rows(object);
    for row in &mut rows {
        row.target = row.reference.map(|reference| target(reader, positions, object, reference));
    }
    rows
}

/// The rows of a result by revision, their references not resolved.
fn own_rows(object: &Object) -> Vec<MemberRow<'_>> {
    let mut rows: BTreeMap<i64, MemberRow> = BTreeMap::new();
    let versions = &object.history.versions;
    for (i, version) in versions.iter().enumerate() {
        let Some(facts) = result_facts(version) else {
            continue;
        };
        let row = Row {
            revision: facts.revision,
            object: object.id,
            ident: object.ident(),
            key: object.object_key(),
            version: i,
            first_at: object.history.first_at(),
            live: i + 1 == versions.len() && object.history.is_live(),
            superseded: facts.superseded,
        };
        // The reference of its last version, at the time of its first.
        let at = rows
            .get(&facts.revision)
            .map_or_else(|| if i == 0 { object.birth() } else { version.from }, |earlier: &MemberRow| earlier.since);
        let reference = facts.previous.as_deref().map(|name| Reference { name, at });
        rows.insert(facts.revision, MemberRow { row, spec: version.content.spec, since: at, reference, target: None });
    }
    rows.into_values().collect()
}

fn target<'a>(
    reader: &Reader<'a>,
    positions: &HashMap<i64, usize>,
    object: &'a Object,
    Reference { name, at }: Reference<'a>,
) -> Target<'a> {
    let namespace = std::slice::from_ref(&object.key.namespace);
    match reader.resolve(kind::RESULT, namespace, name, at) {
        None => Target::Placeholder(name),
        Some(found) => positions.get(&found.id).map_or(Target::Stranger(found.id), |i| Target::Member(*i)),
    }
}

/// Collisions at one revision, and children of one predecessor. Equal revision and spec is a
/// duplicate and no fork.
fn forks(rows: &[(usize, &MemberRow)]) -> Vec<Fork> {
    let mut groups: Vec<Vec<&MemberRow>> = Vec::new();
    for revision in rows.iter().map(|(_, row)| row.row.revision).collect::<BTreeSet<_>>() {
        groups.push(rows.iter().filter(|(_, r)| r.row.revision == revision).map(|(_, r)| *r).collect());
    }
    let mut children: BTreeMap<Target, Vec<&MemberRow>> = BTreeMap::new();
    for (_, row) in rows {
        if let Some(target) = row.target {
            children.entry(target).or_default().push(row);
        }
    }
    groups.extend(children.into_values());
    let mut forks: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    for (members, revision) in groups.iter().filter_map(|group| fork(group)) {
        forks.entry(members).and_modify(|lowest| *lowest = revision.min(*lowest)).or_insert(revision);
    }
    let mut forks: Vec<Fork> = forks.into_iter().map(|(members, revision)| Fork { revision, members }).collect();
    forks.sort();
    forks
}

fn fork(group: &[&MemberRow]) -> Option<(Vec<String>, i64)> {
    let first = group.first()?;
    let differs = group.iter().any(|row| (row.row.revision, row.spec) != (first.row.revision, first.spec));
    let members: BTreeSet<String> = group.iter().map(|row| row.row.ident.clone()).collect();
    let revision = group.iter().map(|row| row.row.revision).min()?;
    (differs && members.len() > 1).then(|| (members.into_iter().collect(), revision))
}

fn epoch_findings(key: &NaturalKey, Summary { uid, detail: epoch, .. }: &Summary) -> Vec<Finding> {
    let subject = || Subject::Epoch(key.clone(), uid.clone());
    let of_kind = |kind| -> Vec<&Gap> { epoch.gaps.iter().filter(|gap| gap.kind == kind).collect() };
    let (holes, before) = (of_kind(GapKind::Hole), of_kind(GapKind::BeforeFirstSeen));
    let mut findings = Vec::new();
    if !holes.is_empty() {
        findings.push(Finding::new("REVISION_GAP", Severity::Warning, subject()).with("gaps", &holes));
    }
    if !before.is_empty() {
        findings.push(Finding::new("STARTED_LATE", Severity::Info, subject()).with("gaps", &before));
    }
    if !epoch.forks.is_empty() {
        findings.push(Finding::new("REVISION_FORK", Severity::Error, subject()).with("forks", &epoch.forks));
    }
    if !epoch.broken.is_empty() {
        findings.push(Finding::new("BROKEN_LINK", Severity::Warning, subject()).with("results", &epoch.broken));
    }
    findings.into_iter().map(|finding| finding.on_cluster(epoch.cluster.as_deref())).collect()
}
