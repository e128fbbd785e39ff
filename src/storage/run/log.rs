//! The log of a run: chunks of entries.

use super::{corrupt, pack, unpack};
use crate::domain::run::LogEntry;
use crate::storage::error::StoreError;

/// How much of a log is packed together, in bytes of JSON: what a reader of one entry has to unpack.
const CHUNK: usize = 64 * 1024;

/// Packs chunks together, in their order.
pub(super) fn seal(chunks: Vec<(i64, i64, Vec<u8>)>) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError> {
    let mut sealed: Vec<(i64, i64, Vec<u8>)> = Vec::new();
    let mut open: Option<(i64, i64, Vec<u8>)> = None;
    for (first, last, lines) in chunks {
        open = Some(match open.take() {
            Some((begin, _, mut text)) if text.len() + lines.len() < CHUNK => {
                text.push(b'\n');
                text.extend_from_slice(&lines);
                (begin, last, text)
            }
            Some(full) => {
                sealed.push(full);
                (first, last, lines)
            }
            None => (first, last, lines),
        });
    }
    sealed.extend(open);
    sealed.into_iter().map(|(first, last, text)| Ok((first, last, pack(&text)?))).collect()
}

/// The entries of a chunk.
pub(super) fn entries(is_packed: bool, bytes: &[u8]) -> Result<Vec<LogEntry>, StoreError> {
    let unpacked = if is_packed { unpack(bytes)? } else { bytes.to_vec() };
    let lines = unpacked.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|_| corrupt("the log"))).collect()
}
