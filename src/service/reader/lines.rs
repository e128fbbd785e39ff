//! NDJSON: one item a line.

use super::{Found, Partial};

/// Splits a text into its lines. Blank lines are no items; CR before the line's end is dropped.
#[derive(Debug)]
pub(super) struct LineSplitter {
    line: u64,
    item: Partial,
}

impl LineSplitter {
    /// A splitter whose lines have at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { line: 1, item: Partial::new(limit) }
    }

    /// Takes in the chunk up to the end of its first line.
    pub(super) fn push(&mut self, chunk: &[u8]) -> (usize, Option<Found>) {
        let Some(end) = chunk.iter().position(|b| *b == b'\n') else {
            self.item.extend(chunk);
            return (chunk.len(), None);
        };
        self.item.extend(&chunk[..end]);
        let found = self.finish();
        self.line += 1;
        (end + 1, found)
    }

    /// Gives out a last line without an end.
    pub(super) fn finish(&mut self) -> Option<Found> {
        if !self.item.too_large {
            let kept = self.item.bytes.trim_ascii_end().len();
            self.item.bytes.truncate(kept);
        }
        if self.item.bytes.trim_ascii_start().is_empty() && !self.item.too_large {
            self.item.bytes.clear();
            return None;
        }
        Some(self.item.take(self.line))
    }

    pub(super) fn buffered(&self) -> usize {
        self.item.bytes.capacity()
    }
}
