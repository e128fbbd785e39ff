//! The log of a run: chunks of entries.

use super::{corrupt, pack, unpack};
use crate::domain::run::LogEntry;
use crate::storage::error::StoreError;

/// How much of a log is packed together, in bytes of JSON: what a reader of one entry has to unpack.
const CHUNK: usize = 64 * 1024;

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
