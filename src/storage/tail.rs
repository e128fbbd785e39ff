//! Ends: of chains, the rows that a change near the head reads and writes, however long they are; of
//! objects, when they were closed.

use std::collections::HashMap;

use sqlx::FromRow;

use super::driver::json;
use super::error::StoreError;
use super::sql;
use super::write::{EpochRow, FindingRow, RevisionRow, WithSeq, WriteTx};
use crate::domain::identity::NaturalKey;
use crate::domain::world::Ended;

/// Rows to end and rows to begin, where the writer knows both and nothing is to be compared.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// Epochs that no longer hold as they were.
    pub old_epochs: Vec<WithSeq<EpochRow>>,
    /// Epochs that hold from now on.
    pub new_epochs: Vec<EpochRow>,
    /// Revisions that no longer hold as they were.
    pub old_revisions: Vec<WithSeq<RevisionRow>>,
    /// Revisions that hold from now on.
    pub new_revisions: Vec<RevisionRow>,
    /// Findings that are no longer open, or not as they were.
    pub old_findings: Vec<WithSeq<FindingRow>>,
    /// Findings that are open from now on.
    pub new_findings: Vec<FindingRow>,
}

/// A row of a chain that is live and not superseded, with the key and uid of its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveRow {
    /// The sequence's node.
    pub sequence_id: i64,
    /// The epoch's identity.
    pub epoch_uid: String,
    /// The revision.
    pub revision: i64,
    /// First effective time of the result.
    pub first_at: i64,
    /// The result.
    pub object_id: i64,
    /// The version that gives the content.
    pub version_n: i64,
    /// The result's natural key.
    pub key: NaturalKey,
    /// The result's uid.
    pub uid: Option<String>,
}

/// The ends of some chains.
#[derive(Debug, Default)]
pub struct Tails {
    /// All rows of the sequences that are live and not superseded.
    pub actives: Vec<ActiveRow>,
    /// All rows of the results.
    pub revisions: Vec<WithSeq<RevisionRow>>,
    /// The open findings of the one code on the sequences.
    pub findings: Vec<WithSeq<FindingRow>>,
}

impl WriteTx {
    /// The epochs that hold now of sequences.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open_epochs(&mut self, sequences: &[i64]) -> Result<Vec<WithSeq<EpochRow>>, StoreError> {
        self.open_rows(&sql::EPOCHS_OPEN, sequences).await
    }

    /// Of sequences, the active rows and the open findings of `code`; of results, the rows. Reads no
    /// more rows than it answers.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn open_tails(&mut self, sequences: &[i64], results: &[i64], code: &str) -> Result<Tails, StoreError> {
        #[derive(FromRow)]
        struct Row {
            sequence_id: i64,
            epoch_uid: String,
            revision: i64,
            first_at: i64,
            object_id: i64,
            version_n: i64,
            uid: String,
            kind: String,
            cluster: String,
            namespace: String,
            name: String,
        }
        if sequences.is_empty() {
            return Ok(Tails::default());
        }
        let actives: Vec<Row> = self.tx.rows(&sql::ACTIVES_OPEN, &[self.tenant.into(), json(&sequences)]).await?;
        let actives = actives
            .into_iter()
            .map(|row| ActiveRow {
                sequence_id: row.sequence_id,
                epoch_uid: row.epoch_uid,
                revision: row.revision,
                first_at: row.first_at,
                object_id: row.object_id,
                version_n: row.version_n,
                key: NaturalKey { kind: row.kind, cluster: row.cluster, namespace: row.namespace, name: row.name },
                uid: Some(row.uid).filter(|uid| !uid.is_empty()),
            })
            .collect();
        let revisions = self.open_rows(&sql::REVISIONS_OF_OBJECTS_OPEN, results).await?;
        let args = [self.tenant.into(), json(&sequences), code.into()];
        let findings = self.tx.rows(&sql::FINDINGS_OPEN_OF_CODE, &args).await?;
        Ok(Tails { actives, revisions, findings })
    }

    /// The objects of nodes, and when they were closed: what is asked of owners, without their histories.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ends(&mut self, nodes: &[i64]) -> Result<HashMap<i64, Vec<Ended>>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            node_id: i64,
            object_id: i64,
            uid: String,
            closed_at: Option<i64>,
        }
        let mut ends: HashMap<i64, Vec<Ended>> = HashMap::new();
        if nodes.is_empty() {
            return Ok(ends);
        }
        let rows: Vec<Row> = self.tx.rows(&sql::ENDS_OF_NODES, &[self.tenant.into(), json(&nodes)]).await?;
        for Row { node_id, object_id: id, uid, closed_at } in rows {
            let uid = Some(uid).filter(|uid| !uid.is_empty());
            ends.entry(node_id).or_default().push(Ended { id, uid, closed_at });
        }
        Ok(ends)
    }
}
