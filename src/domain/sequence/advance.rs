//! The next state of a sequence from a summary of its last one, for changes that leave alone all
//! results but those that changed.
//!
//! Deriving a sequence costs its length, and in its common life only its end changes: the next
//! revision arrives, the one before it is labelled or deleted, its execution comes or goes. Here
//! that end is derived alone. Every function answers `None` if anything could be affected that the
//! summary does not tell; then the sequence is to be derived whole. What is answered is exactly what
//! [`derive`](super::derive) would give.
//!
//! Two numbers of the summary carry the proof. Whatever came to exist after `latest_at` is seen by no
//! rule of an older result: names resolve among those born until then, and the last rules on epochs
//! look at the elder only. And while `unowned` is 0, no epoch depends on which executions lived.

use std::collections::BTreeSet;

use super::{
    ChainStatus, Detail, MemberRow, Row, RowRef, Summary, is_conflicted, orphan, own_rows, place, row_ref, two_actives,
};
use crate::domain::findings::Finding;
use crate::domain::identity::NaturalKey;
use crate::domain::kind;
use crate::domain::world::{Object, Reader};

/// What is known of a sequence without its results.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Its epochs by rank; all of them.
    pub epochs: Vec<Summary>,
    /// Every row of them that is live and not superseded.
    pub actives: Vec<Placed>,
    /// The rows of its results that changed, as they were.
    pub touched: Vec<Placed>,
}

/// A row and the epoch that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The epoch's uid.
    pub epoch: String,
    /// The row.
    pub row: Row,
}

/// A natural key that changed: one that has or had results in the sequence, or that it reads.
#[derive(Debug, Clone)]
pub struct Change {
    /// The key.
    pub key: NaturalKey,
    /// The objects that it had.
    pub before: Vec<Object>,
    /// The objects that it has.
    pub after: Vec<Object>,
}

/// A row that a known result had, and has now: live or not, superseded or not, of another version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The epoch that it is in.
    pub epoch: String,
    /// What it was.
    pub before: Row,
    /// What it is.
    pub after: Row,
}

/// The next state of a sequence.
#[derive(Debug, Clone, Default)]
pub struct Advance {
    /// Its epochs by rank; all of them.
    pub epochs: Vec<Summary>,
    /// The rows of new results.
    pub added: Vec<Placed>,
    /// The rows of known results that are no longer as they were.
    pub turned: Vec<Turn>,
    /// The finding on two or more active results. The findings of the epochs are as they were.
    pub two_actives: Option<Finding>,
    /// The findings on new results; those on known ones are as they were.
    pub orphans: Vec<Finding>,
}

/// The state of the sequence `key` after `changes`, if they are of the kinds that `known` suffices for.
#[must_use]
pub fn advance(reader: &Reader, key: &NaturalKey, known: &Known, changes: &[Change]) -> Option<Advance> {
    let mut tail = Tail::new(reader, key, known)?;
    for change in changes {
        let is_unnoticed = match change.key.kind.as_str() {
            kind::RESULT => resolves_alike(change, tail.latest_at),
            kind::EXECUTION => owns_alike(change, known),
            _ => false,
        };
        if !is_unnoticed {
            return None;
        }
    }
    let mut born = Vec::new();
    for change in changes.iter().filter(|change| change.key.kind == kind::RESULT) {
        for before in change.before.iter().filter(|object| belongs(object, key)) {
            tail.turn(before, find(&change.after, before.id)?)?;
        }
        for after in change.after.iter().filter(|object| belongs(object, key)) {
            match find(&change.before, after.id) {
                None => born.push(after),
                Some(before) if belongs(before, key) => {}
                Some(_) => return None,
            }
        }
    }
    born.sort_by_key(|object| object.birth());
    for object in born {
        tail.append(object)?;
    }
    Some(tail.finish())
}

fn belongs(object: &Object, key: &NaturalKey) -> bool {
    object.key.kind == kind::RESULT && object.key.namespace == key.namespace && object.sequence_name().0 == key.name
}

fn find(objects: &[Object], id: i64) -> Option<&Object> {
    objects.iter().find(|object| object.id == id)
}

/// Whether the name resolves to the same objects as before, at any time until `latest_at`.
fn resolves_alike(change: &Change, latest_at: i64) -> bool {
    // A name that only one object ever had resolves to it from its birth on, alive or dead.
    let is_alone = change.before.len() == 1 && change.after.len() == 1;
    let is_same_end = |a: Option<i64>, b: Option<i64>| {
        let is_later = |at: Option<i64>| at.is_none_or(|at| at > latest_at);
        is_alone || a == b || (is_later(a) && is_later(b))
    };
    let is_kept = |before: &Object| {
        find(&change.after, before.id).is_some_and(|after| {
            before.birth() == after.birth()
                && before.uid == after.uid
                && is_same_end(before.history.closed_at(), after.history.closed_at())
        })
    };
    let is_new = |object: &Object| find(&change.before, object.id).is_none();
    change.before.iter().all(is_kept)
        && change.after.iter().filter(|object| is_new(object)).all(|object| object.birth() > latest_at)
}

/// Whether the same results have an owner that was seen, where all have their epoch from it.
fn owns_alike(change: &Change, known: &Known) -> bool {
    let uids = |objects: &[Object]| -> BTreeSet<String> { objects.iter().filter_map(|o| o.uid.clone()).collect() };
    let (before, after) = (uids(&change.before), uids(&change.after));
    known
        .epochs
        .iter()
        .all(|epoch| epoch.detail.unowned == 0 && before.contains(&epoch.uid) == after.contains(&epoch.uid))
}

struct Tail<'a, 'r> {
    reader: &'r Reader<'a>,
    key: &'r NaturalKey,
    known: &'r Known,
    latest_at: i64,
    actives: Vec<Placed>,
    advance: Advance,
}

impl<'a, 'r> Tail<'a, 'r> {
    fn new(reader: &'r Reader<'a>, key: &'r NaturalKey, known: &'r Known) -> Option<Self> {
        let latest_at = known.epochs.iter().map(|epoch| epoch.detail.latest_at).max()?;
        let advance = Advance { epochs: known.epochs.clone(), ..Advance::default() };
        Some(Self { reader, key, known, latest_at, actives: known.actives.clone(), advance })
    }

    /// Takes in a known result that kept its place: nothing changed but whether it lives, whether it
    /// is superseded, and what no rule on sequences asks about.
    fn turn(&mut self, before: &Object, after: &Object) -> Option<()> {
        let is_same = belongs(after, self.key)
            && before.ident() == after.ident()
            && before.birth() == after.birth()
            && before.sequence_name() == after.sequence_name()
            && before.history.owner() == after.history.owner()
            && before.cluster() == after.cluster()
            && is_conflicted(before) == is_conflicted(after);
        let (was, is) = (own_rows(before), own_rows(after));
        if !is_same || was.len() != is.len() || !was.iter().zip(&is).all(|(a, b)| keeps_place(a, b)) {
            return None;
        }
        for (before, after) in was.into_iter().zip(is).filter(|(a, b)| a.row != b.row) {
            let (before, after) = (before.row, after.row);
            // Else the summary is of another state than the object.
            let epoch = self.known.touched.iter().find(|placed| placed.row == before)?.epoch.clone();
            self.actives.retain(|active| !is_of(&active.row, &before));
            if after.is_active() {
                self.actives.push(Placed { epoch: epoch.clone(), row: after.clone() });
            }
            self.advance.turned.push(Turn { epoch, before, after });
        }
        Some(())
    }

    /// Takes in a new result that its owner puts at the end of an epoch, or at the start of a new one.
    fn append(&mut self, object: &Object) -> Option<()> {
        let owner = object.history.owner()?;
        let mut rows = own_rows(object);
        let row = rows.pop().filter(|_| rows.is_empty())?;
        if object.birth() <= self.latest_at || is_conflicted(object) {
            return None;
        }
        let position = self.advance.epochs.iter().position(|epoch| epoch.uid == owner.uid);
        let epoch = if let Some(position) = position {
            let epoch = self.advance.epochs[position].clone();
            self.advance.epochs[position] = self.follow(epoch, object, &row)?;
            &self.advance.epochs[position]
        } else {
            let rank = self.advance.epochs.last()?.rank + 1;
            self.advance.epochs.push(first(&owner.uid, rank, object, &row)?);
            self.advance.epochs.last()?
        };
        self.latest_at = epoch.detail.latest_at;
        let placed = Placed { epoch: epoch.uid.clone(), row: row.row };
        if placed.row.is_active() {
            self.actives.push(placed.clone());
        }
        self.advance.added.push(placed);
        self.advance.orphans.extend(orphan(self.reader, object));
        Some(())
    }

    /// The epoch with one more row, which is the next revision and refers to the head, or to nothing.
    fn follow(&self, mut epoch: Summary, object: &Object, row: &MemberRow) -> Option<Summary> {
        let head = epoch.detail.head.revision;
        // Below 1 there are revisions of which no gap is counted.
        if head < 1 || row.row.revision != head + 1 {
            return None;
        }
        if let Some(reference) = row.reference {
            // A second child of the head would be a fork. It would be of the head's revision or a lower
            // one, and so be noted as broken, if the head has no other rows.
            let namespace = std::slice::from_ref(&self.key.namespace);
            let found = self.reader.resolve(kind::RESULT, namespace, reference.name, reference.at)?;
            if found.id != epoch.head_id || own_rows(found).len() != 1 || !epoch.detail.broken.is_empty() {
                return None;
            }
        }
        if let Some(cluster) = object.cluster().filter(|cluster| epoch.detail.cluster.as_deref() != Some(*cluster)) {
            // The findings that stand on the epoch are about the cluster of before.
            if epoch.status != ChainStatus::Complete {
                return None;
            }
            epoch.detail.cluster = Some(cluster.to_owned());
        }
        epoch.rows += 1;
        epoch.head_id = row.row.object;
        epoch.detail.head = row_ref(&row.row);
        epoch.detail.latest_at = row.since;
        Some(epoch)
    }

    fn finish(mut self) -> Advance {
        let ranks = &self.advance.epochs;
        let rank = |placed: &Placed| ranks.iter().position(|epoch| epoch.uid == placed.epoch);
        self.actives.sort_by(|a, b| (rank(a), place(&a.row)).cmp(&(rank(b), place(&b.row))));
        let newest = self.advance.epochs.len();
        for (i, epoch) in self.advance.epochs.iter_mut().enumerate() {
            let rows: Vec<&Row> = self.actives.iter().filter(|p| p.epoch == epoch.uid).map(|p| &p.row).collect();
            let active = rows.last().filter(|_| i + 1 == newest);
            epoch.detail.actives = super::count(rows.len());
            epoch.detail.active = active.map(|row| row_ref(row));
            epoch.active_id = active.map(|row| row.object);
        }
        let actives: Vec<RowRef> = self.actives.iter().map(|placed| row_ref(&placed.row)).collect();
        self.advance.two_actives = two_actives(self.key, self.advance.epochs.iter(), &actives);
        self.advance
    }
}

/// The epoch of a first result that looks up nothing: the newest, since its result is the youngest.
fn first(uid: &str, rank: i64, object: &Object, row: &MemberRow) -> Option<Summary> {
    (row.row.revision == 1 && row.reference.is_none()).then(|| Summary {
        uid: uid.to_owned(),
        rank,
        born_at: object.birth(),
        status: ChainStatus::Complete,
        rows: 1,
        head_id: row.row.object,
        active_id: None,
        detail: Detail {
            gaps: Vec::new(),
            forks: Vec::new(),
            broken: Vec::new(),
            head: row_ref(&row.row),
            active: None,
            actives: 0,
            latest_at: row.since,
            unowned: 0,
            cluster: object.cluster().map(ToOwned::to_owned),
        },
    })
}

/// Whether two rows stand for the same result at the same revision.
fn is_of(a: &Row, b: &Row) -> bool {
    (a.object, a.revision) == (b.object, b.revision)
}

/// Whether a row has the place in the chain that it had.
fn keeps_place(before: &MemberRow, after: &MemberRow) -> bool {
    let place = |row: &MemberRow| (row.row.revision, row.row.first_at, row.spec, row.since);
    place(before) == place(after) && before.reference == after.reference
}
