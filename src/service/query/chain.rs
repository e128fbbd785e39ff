//! Sequences and their chains.

use std::collections::HashMap;

use crate::domain::kind;
use crate::storage::{
    Breadth, ChainRow, Page, RevisionPlace, Rows, SequenceFilter, SequencePlace, SourcePlace, StoredEpoch,
    StoredRecord, StoredRevision, StoredSequence,
};

use super::finding::identity_of_key;
use super::{Identity, QueryError, Scope};

/// Which epoch of a sequence is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainPick {
    /// The newest.
    Newest,
    /// The one of this rank.
    Rank(i64),
    /// The one of this identity.
    Uid(String),
}

/// Where a result stands in its sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Its row in the chain; the last, where it was patched in place through several revisions.
    pub row: StoredRevision,
    /// Its epoch.
    pub epoch: StoredEpoch,
}

impl ChainPick {
    /// The epoch meant, of all epochs of a sequence by rank.
    #[must_use]
    pub fn of(&self, epochs: &[StoredEpoch]) -> Option<StoredEpoch> {
        let is_meant = |epoch: &&StoredEpoch| match self {
            Self::Newest => true,
            Self::Rank(rank) => epoch.rank == *rank,
            Self::Uid(uid) => epoch.uid == *uid,
        };
        epochs.iter().rev().find(is_meant).cloned()
    }
}

/// Names a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SequenceName {
    /// The source's row.
    pub source: i64,
    /// The namespace.
    pub namespace: String,
    /// The execution's name.
    pub name: String,
}

impl Scope {
    /// Sequences by source, namespace and name; a place names its source, as its rows differ by store.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_sequences(
        &self,
        source: Option<&str>,
        filter: &SequenceFilter,
        page: Page<(String, String, String)>,
    ) -> Result<Rows<StoredSequence>, QueryError> {
        let filter = SequenceFilter { source: self.filter_source(source), ..filter.clone() };
        let page: Page<SequencePlace> =
            page.map(|(source, namespace, name)| (self.source(&source).map_or(0, |source| source.id), namespace, name));
        Ok(self.as_of.list_sequences(&filter, &page).await?)
    }

    /// How many sequences [`Self::list_sequences`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_sequences(&self, source: Option<&str>, filter: &SequenceFilter) -> Result<i64, QueryError> {
        let filter = SequenceFilter { source: self.filter_source(source), ..filter.clone() };
        Ok(self.as_of.count_sequences(&filter).await?)
    }

    /// The epochs of sequences, by rank.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_epochs(&self, sequences: &[i64]) -> Result<HashMap<i64, Vec<StoredEpoch>>, QueryError> {
        let mut epochs: HashMap<i64, Vec<StoredEpoch>> = HashMap::new();
        for epoch in self.as_of.list_epochs(sequences).await? {
            epochs.entry(epoch.sequence.id).or_default().push(epoch);
        }
        Ok(epochs)
    }

    /// The epochs of sequences by their natural keys, by rank, in the order of the keys.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_epochs(&self, asked: &[SequenceName]) -> Result<Vec<Vec<StoredEpoch>>, QueryError> {
        let place = |asked: &SequenceName| SourcePlace {
            source_id: asked.source,
            namespace: asked.namespace.clone(),
            name: asked.name.clone(),
        };
        let names: Vec<SourcePlace> = asked.iter().map(place).collect();
        Ok(self.as_of.epochs_by_name(&names).await?)
    }

    /// Pages of the rows of chains (sequence and identity of the epoch) with their results, in their order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_revisions(
        &self,
        asked: &[(i64, String, Page<RevisionPlace>)],
        breadth: Breadth,
    ) -> Result<Vec<Rows<ChainRow>>, QueryError> {
        Ok(self.as_of.list_revisions_of(asked, breadth).await?)
    }

    /// Results by source and identity (uid or object key, as chains name them), in their order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn results_by_ident(&self, asked: &[(i64, &str)]) -> Result<Vec<Option<StoredRecord>>, QueryError> {
        // Neither a uid nor any part of an object key but its kind holds the separator.
        let keys: Vec<Identity> = asked.iter().filter_map(|(source, ident)| identity_of_key(*source, ident)).collect();
        let uids: Vec<&str> = asked.iter().map(|(_, ident)| *ident).filter(|ident| !ident.contains('/')).collect();
        let mut found: Vec<StoredRecord> = self.find_records(&keys).await?.into_iter().flatten().collect();
        found.extend(self.records_by_uid(&uids).await?.into_iter().filter(|record| record.key.kind == kind::RESULT));
        let is_it = |record: &StoredRecord, source: i64, ident: &str| {
            record.source == source
                && (record.uid.as_deref() == Some(ident) || record.key.object_key(record.uid.as_deref()) == ident)
        };
        Ok(asked.iter().map(|(source, ident)| found.iter().find(|r| is_it(r, *source, ident)).cloned()).collect())
    }

    /// Where results stand in their sequences, by their rows.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn positions(&self, objects: &[i64]) -> Result<HashMap<i64, Position>, QueryError> {
        let rows = self.as_of.revisions_of_objects(objects).await?;
        let mut sequences: Vec<i64> = rows.iter().map(|row| row.sequence).collect();
        sequences.sort_unstable();
        sequences.dedup();
        let epochs: HashMap<(i64, String), StoredEpoch> = self
            .as_of
            .list_epochs(&sequences)
            .await?
            .into_iter()
            .map(|epoch| ((epoch.sequence.id, epoch.uid.clone()), epoch))
            .collect();
        let place = |row: StoredRevision| {
            let epoch = epochs.get(&(row.sequence, row.epoch_uid.clone()))?.clone();
            Some((row.object, Position { row, epoch }))
        };
        Ok(rows.into_iter().filter_map(place).collect())
    }
}
