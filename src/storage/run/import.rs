//! Runs that happened elsewhere: what holds of all that was reported of them.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::FromRow;

use super::write::{LockedRun, RunTx};
use super::{corrupt, pack, unpack, write_json};
use crate::domain::run::import::{Imported, RunReport};
use crate::domain::taskpack::Plan;
use crate::storage::driver::json;
use crate::storage::error::StoreError;
use crate::storage::read::AsOf;
use crate::storage::sql;
use crate::storage::write::read_digest;

/// A run that a report names.
#[derive(Debug, Clone)]
pub enum FoundImport {
    /// A run of this server.
    Own,
    /// A run elsewhere, whose row is locked.
    Import(Box<LockedImport>),
}

/// A run elsewhere whose row is locked.
#[derive(Debug, Clone)]
pub struct LockedImport {
    /// The run as it is shown.
    pub locked: LockedRun,
    /// Its place in lists: what was first known of its creation, microseconds.
    pub listed_at: i64,
    /// The first time that is known of it, microseconds.
    pub since: i64,
    /// What holds of all its reports.
    pub imported: Imported,
}

/// What reports told of a run.
#[derive(Debug, Clone, Copy)]
pub struct ImportChange<'a> {
    /// When they came, microseconds.
    pub at: i64,
    /// Its place in lists, which never changes, microseconds.
    pub listed_at: i64,
    /// The first time that is known of it, microseconds.
    pub since: i64,
    /// What holds of all its reports.
    pub imported: &'a Imported,
    /// Whether its plan, or the hash of it, is another one than before.
    pub is_replanned: bool,
}

#[derive(FromRow)]
struct Found {
    source: Option<String>,
    created_at: i64,
}

#[derive(FromRow)]
struct ImportRow {
    since: i64,
    state: Vec<u8>,
}

#[derive(Serialize)]
struct Line {
    digest: String,
    times: u32,
}

fn read_imported(packed: &[u8]) -> Result<Imported, StoreError> {
    serde_json::from_slice(&unpack(packed)?).map_err(|_| corrupt("what was reported"))
}

impl RunTx {
    /// Locks the run that a report names; `None` if there is none of this name.
    ///
    /// Takes the turn to make vertices first, so that a transaction can do so for several runs: whoever waits
    /// for one of them holds nothing that this one could come to need. A run of this server is not locked.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lock_import(&mut self, run_id: &str) -> Result<Option<FoundImport>, StoreError> {
        self.take_turn().await?;
        let args = [self.tenant.into(), run_id.into()];
        let Some(found): Option<Found> = self.tx.row(&sql::RUN_SOURCE, &args).await? else { return Ok(None) };
        if found.source.is_none() {
            return Ok(Some(FoundImport::Own));
        }
        let locked = self.lock(run_id).await?.ok_or_else(|| corrupt("the state"))?;
        let row: Option<ImportRow> = self.tx.row(&sql::RUN_IMPORT, &[self.tenant.into(), locked.id.into()]).await?;
        let row = row.ok_or_else(|| corrupt("what was reported"))?;
        let imported = read_imported(&row.state)?;
        let import = LockedImport { locked, listed_at: found.created_at, since: row.since, imported };
        Ok(Some(FoundImport::Import(Box::new(import))))
    }

    /// How often the log of a run has entries, by the digests of what they say.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn known_lines(&mut self, run: i64, digests: &[[u8; 32]]) -> Result<HashMap<[u8; 32], u32>, StoreError> {
        if digests.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<Line> = digests.iter().map(|digest| Line { digest: hex::encode(digest), times: 0 }).collect();
        let args = [self.tenant.into(), run.into(), json(&rows)];
        let known: Vec<(Vec<u8>, i64)> = self.tx.rows(&sql::RUN_LINES_KNOWN, &args).await?;
        let read = |(digest, times): (Vec<u8>, i64)| {
            Ok((read_digest(&digest)?.0, u32::try_from(times).map_err(|_| corrupt("the log"))?))
        };
        known.into_iter().map(read).collect()
    }

    /// Notes how often the log of a run has entries now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note_lines(&mut self, run: i64, lines: &BTreeMap<[u8; 32], u32>) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        let row = |(digest, times): (&[u8; 32], &u32)| Line { digest: hex::encode(digest), times: *times };
        let rows: Vec<Line> = lines.iter().map(row).collect();
        self.tx.execute(&sql::RUN_LINES_NOTE, &[self.tenant.into(), run.into(), json(&rows)]).await?;
        Ok(())
    }

    /// Writes what holds of all reports of a run, and what its plan is known to be.
    pub(super) async fn write_import(
        &mut self,
        id: i64,
        plan: &Plan,
        import: &ImportChange<'_>,
    ) -> Result<(), StoreError> {
        let state = pack(write_json(import.imported)?.as_bytes())?;
        let args = [self.tenant.into(), id.into(), import.since.into(), state.into()];
        self.tx.execute(&sql::RUN_IMPORT_SAVE, &args).await?;
        if import.is_replanned {
            let hash = import.imported.state.as_ref().map_or("", |report| report.plan_hash.as_str());
            let args = [self.tenant.into(), id.into(), pack(write_json(plan)?.as_bytes())?.into(), hash.into()];
            self.tx.execute(&sql::RUN_REPLAN, &args).await?;
        }
        Ok(())
    }
}

impl AsOf {
    /// The report of the state of a run elsewhere that holds now, whatever the commit; `None` if there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_report(&self, run: i64) -> Result<Option<RunReport>, StoreError> {
        let row: Option<ImportRow> = self.pool.row(&sql::RUN_IMPORT, &[self.tenant.into(), run.into()]).await?;
        Ok(row.map(|row| read_imported(&row.state)).transpose()?.and_then(|imported| imported.state))
    }
}
