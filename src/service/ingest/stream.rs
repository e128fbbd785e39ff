//! Ingest of a whole body, in chunks, in bounded memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncBufRead;

use crate::service::reader::{ItemReader, RawItem};

use super::item::{ItemResult, Outcome, Prepared};
use super::prepare::{Terms, prepare, unreadable};
use super::snapshot::SnapshotScope;
use super::writer::{WriteError, Writer};

/// How many items of a body are written together.
const CHUNK: usize = 128;
/// How long an item waits for company.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many bytes of items are gathered before they are written, whatever their number.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Who sends, and where to.
#[derive(Debug, Clone)]
pub struct Sender {
    /// The tenant.
    pub tenant: String,
    /// The name recorded as the actor.
    pub principal: String,
    /// The rules under which the items are read.
    pub terms: Terms,
    /// What the body is a complete listing of.
    pub snapshot: Option<SnapshotScope>,
}

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// All items.
    pub items: u64,
    /// [`Outcome::Created`].
    pub created: u64,
    /// [`Outcome::Updated`].
    pub updated: u64,
    /// [`Outcome::Duplicate`].
    pub duplicate: u64,
    /// [`Outcome::Closed`].
    pub closed: u64,
    /// [`Outcome::Conflict`].
    pub conflict: u64,
    /// [`Outcome::Quarantined`].
    pub quarantined: u64,
    /// [`Outcome::Rejected`].
    pub rejected: u64,
    /// Of the duplicates, those that are in quarantine since they came before: they are no records still.
    pub quarantined_before: u64,
    /// Objects that the complete listing omitted and that were closed for it.
    pub closed_by_snapshot: u64,
    /// The last commit that was made.
    pub seq: Option<i64>,
}

impl Summary {
    /// Adds an item's result.
    pub fn add(&mut self, result: &ItemResult) {
        self.items += 1;
        self.seq = self.seq.max(result.seq);
        self.quarantined_before += u64::from(result.outcome == Outcome::Duplicate && result.error.is_some());
        *match result.outcome {
            Outcome::Created => &mut self.created,
            Outcome::Updated => &mut self.updated,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::Closed => &mut self.closed,
            Outcome::Conflict => &mut self.conflict,
            Outcome::Quarantined => &mut self.quarantined,
            Outcome::Rejected => &mut self.rejected,
        } += 1;
    }

    /// Items that did not become part of the records.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.quarantined + self.rejected + self.quarantined_before
    }
}

/// Reads and writes the items of a body; `tell` is handed each result, in order, after it is on disk.
///
/// A complete listing closes what it omits only if each of its items became a sighting: one that
/// was refused, or waits in quarantine, is not omitted, though it was not seen.
///
/// # Errors
/// If the store fails. What was told before is on disk.
pub async fn ingest<R: AsyncBufRead + Send + Unpin>(
    writer: &Writer,
    sender: &Sender,
    mut reader: ItemReader<R>,
    mut tell: impl FnMut(ItemResult) + Send,
) -> Result<Summary, WriteError> {
    let mut summary = Summary::default();
    let mut chunk: Vec<Prepared> = Vec::with_capacity(CHUNK);
    let mut bytes = 0;
    let mut whole = true;
    let mut tell = |result: ItemResult| {
        whole &= result.error.is_none();
        tell(result);
    };
    loop {
        let next = match tokio::time::timeout(PATIENCE, reader.next()).await {
            Ok(next) => next,
            // A slow sender, such as a watch: what it sent so far is not to wait for what it may send.
            Err(_) if !chunk.is_empty() => {
                bytes = 0;
                write(writer, sender, std::mem::take(&mut chunk), &mut summary, &mut tell).await?;
                continue;
            }
            Err(_) => reader.next().await,
        };
        let Some(found) = next else { break };
        match found {
            Ok(RawItem { index, line, text }) => {
                bytes += text.len();
                chunk.push(prepare(&sender.terms, index, line, &text));
            }
            Err(error) => chunk.push(unreadable(error)),
        }
        if chunk.len() >= CHUNK || bytes >= CHUNK_BYTES {
            bytes = 0;
            write(writer, sender, std::mem::take(&mut chunk), &mut summary, &mut tell).await?;
        }
    }
    write(writer, sender, chunk, &mut summary, &mut tell).await?;
    if let Some(scope) = sender.snapshot.as_ref().filter(|_| whole) {
        let closed =
            writer.close_omitted(&sender.tenant, &sender.terms.source, &sender.principal, scope.clone()).await?;
        summary.closed_by_snapshot = closed;
    }
    Ok(summary)
}

async fn write(
    writer: &Writer,
    sender: &Sender,
    chunk: Vec<Prepared>,
    summary: &mut Summary,
    tell: &mut (impl FnMut(ItemResult) + Send),
) -> Result<(), WriteError> {
    if chunk.is_empty() {
        return Ok(());
    }
    for result in writer.write(&sender.tenant, &sender.terms.source, &sender.principal, chunk).await? {
        summary.add(&result);
        tell(result);
    }
    Ok(())
}
