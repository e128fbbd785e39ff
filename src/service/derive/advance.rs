//! Deriving the ends of sequences alone, where that suffices.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::identity::{NaturalKey, SEQUENCE};
use crate::domain::kind;
use crate::domain::sequence::{Advance, ChainStatus, Change, Known, Placed, Row, Summary, advance};
use crate::domain::world::{Object, Reader};
use crate::storage::{ActiveRow, EdgeKind, EpochRow, FindingRow, RevisionRow, StoreError, Tails, WithSeq};

use super::{Causes, Derivation, epoch_row, finding_row};

/// How many active rows a sequence may have for its end to be derived alone: each is read, and named
/// in a finding.
const MOST_ACTIVES: i64 = 64;

/// The one finding on a sequence as such.
const TWO_ACTIVES: &str = "TWO_ACTIVES";

/// A sequence that changed, with what is stored of it.
struct Stored {
    key: NaturalKey,
    id: i64,
    changes: Vec<Change>,
    epochs: Vec<WithSeq<EpochRow>>,
    known: Known,
    revisions: Vec<WithSeq<RevisionRow>>,
    findings: Vec<WithSeq<FindingRow>>,
}

impl Derivation<'_> {
    /// Advances the sequences that can be; returns them. The others are to be derived whole.
    pub(super) async fn advance(
        &mut self,
        collections: &BTreeMap<NaturalKey, Causes>,
    ) -> Result<Vec<NaturalKey>, StoreError> {
        let mut pending = self.stored(collections).await?;
        let mut advanced = Vec::new();
        while !pending.is_empty() {
            let (mut missing, mut missing_ends) = (BTreeSet::new(), BTreeSet::new());
            let mut again = Vec::new();
            for sequence in pending {
                let reader = Reader::new(&self.world);
                let next = advance(&reader, &sequence.key, &sequence.known, &sequence.changes);
                let reads = reader.finish();
                if !reads.is_complete() {
                    missing.extend(reads.missing);
                    missing_ends.extend(reads.missing_ends);
                    again.push(sequence);
                } else if let Some(next) = next {
                    // The results that it read are members, which it need not note.
                    for key in reads.read.into_iter().filter(|key| key.kind == kind::EXECUTION) {
                        self.edges.insert((sequence.key.clone(), EdgeKind::Reads, key));
                    }
                    self.note(&sequence, &next);
                    advanced.push(sequence.key);
                }
            }
            self.load(&missing).await?;
            self.load_ends(&missing_ends).await?;
            pending = again;
        }
        let whole = collections.keys().filter(|key| key.kind == SEQUENCE).count() - advanced.len();
        tracing::trace!(advanced = advanced.len(), whole, "sequences");
        Ok(advanced)
    }

    /// What is stored of the sequences whose rows say enough of them.
    async fn stored(&mut self, collections: &BTreeMap<NaturalKey, Causes>) -> Result<Vec<Stored>, StoreError> {
        let keys: Vec<NaturalKey> = collections.keys().filter(|key| key.kind == SEQUENCE).cloned().collect();
        self.tx.find_nodes(&keys).await?;
        let ids: Vec<i64> = keys.iter().filter_map(|key| self.tx.node(key)).collect();
        let mut epochs: HashMap<i64, Vec<WithSeq<EpochRow>>> = HashMap::new();
        for epoch in self.tx.open_epochs(&ids).await? {
            epochs.entry(epoch.row.sequence_id).or_default().push(epoch);
        }
        let mut found = Vec::new();
        for key in keys {
            let Some((id, epochs)) = self.tx.node(&key).and_then(|id| Some((id, epochs.remove(&id)?))) else {
                continue;
            };
            let Some(known) = summaries(&epochs) else { continue };
            let changes = self.changes(&collections[&key]);
            found.push(Stored { key, id, changes, epochs, known, revisions: Vec::new(), findings: Vec::new() });
        }
        self.load_tails(&mut found).await?;
        Ok(found)
    }

    async fn load_tails(&mut self, sequences: &mut [Stored]) -> Result<(), StoreError> {
        let ids: Vec<i64> = sequences.iter().map(|sequence| sequence.id).collect();
        let results: Vec<i64> = sequences.iter().flat_map(|s| results_before(&s.changes)).map(|o| o.id).collect();
        let Tails { actives, revisions, findings } = self.tx.open_tails(&ids, &results, TWO_ACTIVES).await?;
        for sequence in sequences {
            sequence.known.actives = actives.iter().filter(|row| row.sequence_id == sequence.id).map(active).collect();
            sequence.revisions = revisions.iter().filter(|r| r.row.sequence_id == sequence.id).cloned().collect();
            sequence.findings = findings.iter().filter(|f| f.row.unit_id == sequence.id).cloned().collect();
            sequence.known.touched = results_before(&sequence.changes)
                .flat_map(|object| sequence.revisions.iter().filter_map(|r| placed(&r.row, object)))
                .collect();
        }
        Ok(())
    }

    fn changes(&self, causes: &Causes) -> Vec<Change> {
        causes
            .members
            .union(&causes.reads)
            .map(|key| Change { key: key.clone(), before: self.before(key), after: self.after(key).to_vec() })
            .collect()
    }

    /// Notes which rows the next state ends and which it begins.
    fn note(&mut self, stored: &Stored, next: &Advance) {
        let epochs: Vec<EpochRow> = next.epochs.iter().map(|epoch| epoch_row(stored.id, epoch)).collect();
        let turned = |row: &RevisionRow| {
            next.turned.iter().any(|turn| turn.before.object == row.object_id && turn.before.revision == row.revision)
        };
        let rows = next
            .added
            .iter()
            .map(|placed| (&placed.epoch, &placed.row))
            .chain(next.turned.iter().map(|turn| (&turn.epoch, &turn.after)));
        let rows: Vec<RevisionRow> = rows.map(|(epoch, row)| self.revision_row(stored.id, epoch, row)).collect();
        let two_actives: Vec<FindingRow> = next.two_actives.iter().map(|f| finding_row(stored.id, f)).collect();
        let orphans = next.orphans.iter().map(|finding| finding_row(stored.id, finding));

        let patch = &mut self.patch;
        patch.old_epochs.extend(stored.epochs.iter().filter(|old| !epochs.contains(&old.row)).cloned());
        let is_known = |row: &EpochRow| stored.epochs.iter().any(|old| old.row == *row);
        patch.new_epochs.extend(epochs.iter().filter(|row| !is_known(row)).cloned());
        patch.old_revisions.extend(stored.revisions.iter().filter(|old| turned(&old.row)).cloned());
        patch.new_revisions.extend(rows);
        patch.old_findings.extend(stored.findings.iter().filter(|old| !two_actives.contains(&old.row)).cloned());
        let is_open = |row: &FindingRow| stored.findings.iter().any(|old| old.row == *row);
        patch.new_findings.extend(two_actives.iter().filter(|row| !is_open(row)).cloned());
        patch.new_findings.extend(orphans);
    }
}

/// The epochs by rank, if their rows are of a form that tells all, and few results are active.
fn summaries(rows: &[WithSeq<EpochRow>]) -> Option<Known> {
    let mut epochs: Vec<Summary> = rows.iter().map(|row| summary(&row.row)).collect::<Option<_>>()?;
    epochs.sort_by_key(|epoch| epoch.rank);
    let actives: i64 = epochs.iter().map(|epoch| epoch.detail.actives).sum();
    (actives <= MOST_ACTIVES).then(|| Known { epochs, ..Known::default() })
}

fn summary(row: &EpochRow) -> Option<Summary> {
    let status: ChainStatus = serde_json::from_value(row.status.as_str().into()).ok()?;
    Some(Summary {
        uid: row.uid.clone(),
        rank: row.position,
        born_at: row.born_at,
        status,
        rows: row.revisions,
        head_id: row.head_id,
        active_id: row.active_id,
        detail: serde_json::from_str(&row.detail).ok()?,
    })
}

fn results_before(changes: &[Change]) -> impl Iterator<Item = &Object> {
    changes.iter().filter(|change| change.key.kind == kind::RESULT).flat_map(|change| &change.before)
}

fn active(row: &ActiveRow) -> Placed {
    Placed {
        epoch: row.epoch_uid.clone(),
        row: Row {
            revision: row.revision,
            object: row.object_id,
            ident: row.uid.clone().unwrap_or_else(|| row.key.object_key(None)),
            key: row.key.object_key(row.uid.as_deref()),
            version: usize::try_from(row.version_n).unwrap_or_default(),
            first_at: row.first_at,
            live: true,
            superseded: false,
        },
    }
}

fn placed(row: &RevisionRow, object: &Object) -> Option<Placed> {
    (row.object_id == object.id).then(|| Placed {
        epoch: row.epoch_uid.clone(),
        row: Row {
            revision: row.revision,
            object: row.object_id,
            ident: object.ident(),
            key: object.object_key(),
            version: usize::try_from(row.version_n).unwrap_or_default(),
            first_at: row.first_at,
            live: row.live != 0,
            superseded: row.superseded != 0,
        },
    })
}
