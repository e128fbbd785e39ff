//! Server-sent events, read from bytes however they are cut.
//!
//! Own, because it is small and bounded: the crate for it keeps an event of any size in memory.
//! Unlike a browser's, this reader gives an event without data out too: that is how a stream says
//! that it is complete. What `id` and `retry` say is not used: cursors are in the data, and how
//! long to wait is for the reader to say.

use std::mem::take;

/// The longest event that is read, in bytes: far above what a batch of entries needs.
pub const MAX_EVENT: usize = 16 * 1024 * 1024;

/// What a stream may begin with; it means nothing.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` if the stream does not say.
    pub name: String,
    /// Its lines of data, with a newline between each two.
    pub data: Vec<u8>,
}

/// An event is longer than what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it sent an event of more than {} MiB", MAX_EVENT / 1024 / 1024)]
pub struct TooLong;

/// Makes events of bytes.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    /// What of the current line has come.
    line: Vec<u8>,
    /// Whether the last line ended in a carriage return, to which a line feed may belong.
    after_return: bool,
    /// Whether the first line is over.
    begun: bool,
    name: Option<String>,
    data: Option<Vec<u8>>,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new(MAX_EVENT)
    }
}

impl Parser {
    /// At the beginning of a stream whose events have at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), after_return: false, begun: false, name: None, data: None }
    }

    /// Takes bytes from the beginning of `bytes` until an event is whole, or all of them.
    ///
    /// # Errors
    /// The event is too long; the stream cannot be read on.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, TooLong> {
        while self.fill_line(bytes)? {
            let line = take(&mut self.line);
            let line = if self.begun { &line } else { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line) };
            self.begun = true;
            if !line.is_empty() {
                self.read_field(line);
            } else if let Some(event) = self.dispatch() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Whether the line is whole.
    fn fill_line(&mut self, bytes: &mut &[u8]) -> Result<bool, TooLong> {
        if self.after_return && !bytes.is_empty() {
            self.after_return = false;
            *bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let held = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
        if part.len() > self.limit.saturating_sub(held) {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        let Some(end) = end else {
            *bytes = &[];
            return Ok(false);
        };
        self.after_return = bytes[end] == b'\r';
        *bytes = &bytes[end + 1..];
        Ok(true)
    }

    fn read_field(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => self.name = Some(String::from_utf8_lossy(value).into_owned()),
            b"data" => self.add_data(value),
            // A comment has no name.
            _ => (),
        }
    }

    fn add_data(&mut self, value: &[u8]) {
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
    }

    fn dispatch(&mut self) -> Option<Event> {
        let (name, data) = (self.name.take(), self.data.take());
        if name.is_none() && data.is_none() {
            return None;
        }
        Some(Event { name: name.unwrap_or_else(|| "message".to_owned()), data: data.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.as_bytes().to_vec() }
    }

    fn read<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Result<(), TooLong>) {
        let mut parser = Parser::new(limit);
        let mut events = Vec::new();
        for mut chunk in chunks {
            loop {
                match parser.next(&mut chunk) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(error) => return (events, Err(error)),
                }
            }
        }
        (events, Ok(()))
    }

    fn whole(text: &str) -> Vec<Event> {
        let (events, ended) = read(MAX_EVENT, [text.as_bytes()]);
        assert_eq!(ended, Ok(()));
        events
    }

    #[test]
    fn lines_end_in_any_of_the_three_ways() {
        let expected = [event("next", "1"), event("complete", "")];
        assert_eq!(whole("event: next\ndata: 1\n\nevent: complete\n\n"), expected);
        assert_eq!(whole("event: next\r\ndata: 1\r\n\r\nevent: complete\r\n\r\n"), expected);
        assert_eq!(whole("event: next\rdata: 1\r\revent: complete\r\r"), expected);
    }

    #[test]
    fn lines_of_data_are_joined_by_newlines() {
        assert_eq!(whole("data: a\ndata:b\ndata\ndata:  c\n\n"), [event("message", "a\nb\n\n c")]);
    }

    #[test]
    fn an_event_without_data_is_one() {
        assert_eq!(whole("event: complete\n\n"), [event("complete", "")]);
        assert_eq!(whole("event: complete\ndata:\n\n"), [event("complete", "")]);
    }

    #[test]
    fn comments_and_unknown_fields_are_no_events() {
        assert_eq!(whole(":\n\n: beat\n\nid: 7\nretry: 1\nfoo\n\n\n\n"), []);
        assert_eq!(whole("event: next\n: beat\ndata: 1\n\n"), [event("next", "1")]);
    }

    #[test]
    fn half_an_event_is_none() {
        assert_eq!(whole("event: next\ndata: 1\n"), []);
    }

    #[test]
    fn a_byte_order_mark_counts_only_at_the_beginning() {
        assert_eq!(whole("\u{feff}data: 1\n\n\u{feff}data: 2\n\n"), [event("message", "1")]);
    }

    #[test]
    fn an_event_that_is_too_long_ends_the_stream_after_those_before_it() {
        let text = b"data: 1\n\ndata: 0123456789\n\n";
        assert_eq!(read(16, [&text[..]]), (vec![event("message", "1"), event("message", "0123456789")], Ok(())));
        assert_eq!(read(15, [&text[..]]), (vec![event("message", "1")], Err(TooLong)));
        let lines = b"data: 0123\ndata: 0123\n\n".as_slice();
        assert_eq!(read(14, [lines]), (vec![event("message", "0123\n0123")], Ok(())));
        assert_eq!(read(13, [lines]), (vec![], Err(TooLong)));
        assert_eq!(read(14, [b": a comment without end".as_slice()]), (vec![], Err(TooLong)));
    }

    /// Bytes that look like a stream of events, or nearly.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"event: next".to_vec()),
            Just(b"data: {\"a\":\"\xc3\xa9\"}".to_vec()),
            Just(b"data".to_vec()),
            Just(b":".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(BYTE_ORDER_MARK.to_vec()),
            proptest::collection::vec(any::<u8>(), 0..8),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_same_events_come_however_the_bytes_are_cut(
            bytes in stream(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
            limit in prop_oneof![Just(MAX_EVENT), 0usize..64],
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            let expected = read(limit, [bytes.as_slice()]);
            prop_assert_eq!(&read(limit, chunks), &expected);
            prop_assert_eq!(&read(limit, bytes.chunks(1)), &expected);
        }
    }
}
