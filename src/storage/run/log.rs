//! The log of a run: chunks of entries.

use super::write::{Live, RunTx};
use super::{corrupt, pack, unpack, write_json};
use crate::domain::run::LogEntry;
use crate::storage::error::StoreError;
use crate::storage::sql;

/// How much of a log is packed together, in bytes of JSON: what a reader of one entry has to unpack.
const CHUNK: usize = 64 * 1024;

/// How much of a log is in chunks that are not packed, in bytes of JSON: what is in memory when it is.
const OPEN_BYTES: i64 = 1 << 20;

impl RunTx {
    /// Appends entries to the log of a run that is locked, as one chunk. Where much has come together, or the
    /// run is over, what is not packed yet is packed.
    pub(super) async fn append(
        &mut self,
        run: i64,
        live: Live,
        entries: &[LogEntry],
        is_over: bool,
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let lines: Vec<String> = entries.iter().map(write_json).collect::<Result<_, _>>()?;
        let chunk = lines.join("\n").into_bytes();
        let open_bytes = live.open_bytes + i64::try_from(chunk.len()).unwrap_or(i64::MAX);
        let is_sealed = is_over || open_bytes > OPEN_BYTES;
        let place = [self.tenant.into(), run.into()];
        if is_sealed {
            let mut chunks: Vec<(i64, Vec<u8>)> = self.tx.rows(&sql::RUN_LOG_OPEN, &place).await?;
            chunks.push((first.seq, chunk));
            self.tx.execute(&sql::RUN_LOG_CLEAR, &place).await?;
            for (first, last, packed) in seal(&chunks)? {
                let args = [&place[..], &[first.into(), last.into(), 1.into(), packed.into()]].concat();
                self.tx.execute(&sql::RUN_LOG_INSERT, &args).await?;
            }
        } else {
            let args = [&place[..], &[first.seq.into(), last.seq.into(), 0.into(), chunk.into()]].concat();
            self.tx.execute(&sql::RUN_LOG_INSERT, &args).await?;
        }
        let open_bytes = if is_sealed { 0 } else { open_bytes };
        self.note_live(run, Live { logged: last.seq, open_bytes, ..live }).await
    }

    async fn note_live(&mut self, run: i64, live: Live) -> Result<(), StoreError> {
        let args = [
            self.tenant.into(),
            run.into(),
            live.logged.into(),
            live.line_bytes.into(),
            live.open_bytes.into(),
            live.is_cut.into(),
        ];
        self.tx.execute(&sql::RUN_LIVE_LOGGED, &args).await?;
        Ok(())
    }
}

/// Packs the entries of chunks anew, in their order, as many together as there is room for.
pub(super) fn seal(chunks: &[(i64, Vec<u8>)]) -> Result<Vec<(i64, i64, Vec<u8>)>, StoreError> {
    let mut sealed: Vec<(i64, i64, Vec<u8>)> = Vec::new();
    let lines = chunks.iter().flat_map(|(first, chunk)| (*first..).zip(chunk.split(|byte| *byte == b'\n')));
    for (seq, line) in lines {
        match sealed.last_mut() {
            Some((_, last, text)) if text.len() + 1 + line.len() <= CHUNK => {
                text.push(b'\n');
                text.extend_from_slice(line);
                *last = seq;
            }
            _ => sealed.push((seq, seq, line.to_vec())),
        }
    }
    sealed.into_iter().map(|(first, last, text)| Ok((first, last, pack(&text)?))).collect()
}

/// The entries of a chunk.
pub(super) fn entries(is_packed: bool, bytes: &[u8]) -> Result<Vec<LogEntry>, StoreError> {
    let unpacked = if is_packed { unpack(bytes)? } else { bytes.to_vec() };
    let lines = unpacked.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|_| corrupt("the log"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_chunks_are_bounded_and_lose_no_line() {
        let line = |n: usize| format!("{n}{}", "x".repeat(200));
        let chunk = |from: usize, to: usize| (from..to).map(line).collect::<Vec<_>>().join("\n").into_bytes();
        let sealed = seal(&[(1, chunk(1, 3)), (3, chunk(3, 2_000)), (2_000, chunk(2_000, 2_001))]).unwrap();
        let mut next = 1;
        for (first, last, packed) in &sealed {
            let text = String::from_utf8(unpack(packed).unwrap()).unwrap();
            assert!(text.len() <= CHUNK);
            assert_eq!(*first, i64::try_from(next).unwrap());
            for found in text.split('\n') {
                assert_eq!(found, line(next));
                next += 1;
            }
            assert_eq!(*last, i64::try_from(next - 1).unwrap());
        }
        assert_eq!(next, 2_001);
        assert!(sealed.len() > 5);
    }
}
