//! Sequences and their chains.

use std::collections::HashMap;

use crate::domain::identity::NaturalKey;
use crate::domain::kind;
use crate::storage::{
    Page, RevisionPlace, Rows, SequenceFilter, SequencePlace, StoredEpoch, StoredRecord, StoredRevision, StoredSequence,
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
        let page: Page<SequencePlace> = page.map(|(source, namespace, name)| {
            (self.source(&source).map_or(0, |source| source.id), namespace, name)
        });
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

    /// The epochs of a sequence by its natural key, by rank; none if it is not there.
    ///
    /// # Errors
    /// If the store fails, or the source is ambiguous.
    pub async fn find_epochs(
        &self,
        source: Option<&str>,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<StoredEpoch>, QueryError> {
        let Some(source) = self.pick_source(source)? else { return Ok(Vec::new()) };
        let key = (source.id, NaturalKey::sequence(namespace, name));
        let nodes: Vec<i64> = self.as_of.find_nodes(&[key]).await?.into_values().collect();
        Ok(self.as_of.list_epochs(&nodes).await?)
    }

    /// One chain of a sequence by its natural key.
    ///
    /// # Errors
    /// If the store fails, or the source is ambiguous.
    pub async fn find_chain(
        &self,
        source: Option<&str>,
        namespace: &str,
        name: &str,
        pick: &ChainPick,
    ) -> Result<Option<StoredEpoch>, QueryError> {
        let epochs = self.find_epochs(source, namespace, name).await?;
        let is_picked = |epoch: &StoredEpoch| match pick {
            ChainPick::Newest => true,
            ChainPick::Rank(rank) => epoch.rank == *rank,
            ChainPick::Uid(uid) => epoch.uid == *uid,
        };
        Ok(epochs.into_iter().rev().find(is_picked))
    }

    /// The rows of a chain in its order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_revisions(
        &self,
        epoch: &StoredEpoch,
        page: &Page<RevisionPlace>,
    ) -> Result<Rows<StoredRevision>, QueryError> {
        Ok(self.as_of.list_revisions(epoch.sequence.id, &epoch.uid, page).await?)
    }

    /// The results of a source by their identities, uid or object key, as chains name them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn results_by_ident(&self, source: i64, idents: &[String]) -> Result<Vec<StoredRecord>, QueryError> {
        // Neither a uid nor any other part of an object key holds the separator.
        let (keys, uids): (Vec<&str>, Vec<&str>) = idents.iter().map(String::as_str).partition(|id| id.contains('/'));
        let keys: Vec<Identity> = keys.into_iter().filter_map(|key| identity_of_key(source, key)).collect();
        let mut found: Vec<StoredRecord> = self.find_records(&keys).await?.into_iter().flatten().collect();
        let by_uid = self.records_by_uid(&uids).await?;
        found.extend(by_uid.into_iter().filter(|r| r.source == source && r.key.kind == kind::RESULT));
        found.sort_by_key(|record| (record.first_at, record.key_hash));
        Ok(found)
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
