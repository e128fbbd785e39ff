//! YAML: documents, translated to JSON event by event.
//!
//! A body is cut at every line that begins with `---` and a space or the line's end, and after every
//! such line with `...`. That is YAML's own rule: these lines end a document even inside a quoted or
//! block scalar. So a broken document costs its neighbours nothing.
//!
//! The translation works on the parser's events, since only they tell a plain scalar from a quoted
//! one. A plain scalar is a number, boolean or null where JSON would spell it the same; where YAML
//! 1.1, YAML 1.2 and Kubernetes disagree (`010`, `1_000`, `1e3`, `yes`, `1:30`, a bare U+2028) it is refused; all else,
//! timestamps too, is a string. What `kubectl` writes passes unchanged, since it quotes all of those.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::Value;
use tokio::sync::mpsc;

use super::values::ValueSplitter;
use super::{Found, ItemCode, ItemError, Piece, newlines};
use crate::domain::json::JsonErrorKind;
use crate::domain::path::bounded;
use crate::domain::yaml_scalar::{Scalar, resolve};

/// How many aliases one body part may have. `kubectl` writes none; hand-written files have a few.
const MAX_ALIASES: usize = 100;

/// How many bytes aliases may bring into one body part: a few lines can otherwise stand for
/// petabytes.
const MAX_ALIASED_BYTES: usize = 1024 * 1024;

/// The longest quotation of the parser's own words, in characters.
const MESSAGE_CHARS: usize = 160;

/// Cuts a body into its documents.
#[derive(Debug)]
pub(super) struct DocumentSplitter {
    limit: usize,
    /// How many bytes came before `text`.
    passed: usize,
    text: Vec<u8>,
    line_start: usize,
    /// The line of the body on which `text` begins, and that of the next byte.
    first_line: u64,
    line: u64,
    /// Whether `text` holds more than directives, comments and marks.
    has_content: bool,
    failed: bool,
}

/// The text of one document, or of several where empty ones are among them.
#[derive(Debug)]
pub(super) struct Document {
    text: Vec<u8>,
    first_line: u64,
}

/// What the thread that reads a document has to say.
#[derive(Debug)]
pub(super) enum Message {
    /// An item.
    Found(Found),
    /// There are no more.
    End,
}

impl DocumentSplitter {
    /// A splitter of a body with at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            passed: 0,
            text: Vec::new(),
            line_start: 0,
            first_line: 1,
            line: 1,
            has_content: false,
            failed: false,
        }
    }

    /// Takes in the chunk up to the end of its first line.
    pub(super) fn push(&mut self, chunk: &[u8]) -> (usize, Option<Piece>) {
        if self.failed {
            return (chunk.len(), None);
        }
        let end = chunk.iter().position(|b| *b == b'\n');
        let used = end.map_or(chunk.len(), |end| end + 1);
        if self.passed + self.text.len() + used > self.limit {
            return (used, Some(Piece::Item(self.too_large())));
        }
        self.text.extend_from_slice(&chunk[..used]);
        if end.is_none() {
            return (used, None);
        }
        (used, self.end_line().map(Piece::Document))
    }

    /// Gives out the last document.
    pub(super) fn finish(&mut self) -> Option<Document> {
        if self.failed || self.text.is_empty() {
            return None;
        }
        Some(self.cut(self.text.len()))
    }

    pub(super) fn buffered(&self) -> usize {
        self.text.capacity()
    }

    /// Looks at the line that just ended, and cuts where it says so.
    fn end_line(&mut self) -> Option<Document> {
        let line = &self.text[self.line_start..];
        let begins = is_mark(line, b"---");
        let ends = is_mark(line, b"...");
        let rest = if begins { &line[3..] } else { line };
        let adds_content = !ends && !is_idle(rest, begins || !self.has_content);
        let start = self.line_start;
        self.line_start = self.text.len();
        self.line += 1;
        let cut = if begins && self.has_content {
            Some(self.cut(start))
        } else if ends && self.has_content {
            Some(self.cut(self.line_start))
        } else {
            None
        };
        self.has_content |= adds_content;
        cut
    }

    /// Takes out the text before `end`.
    fn cut(&mut self, end: usize) -> Document {
        let rest = self.text.split_off(end);
        let text = std::mem::replace(&mut self.text, rest);
        let first_line = self.first_line;
        self.first_line = self.line - newlines(&self.text);
        self.passed += end;
        self.line_start = self.text.len();
        self.has_content = false;
        Document { text, first_line }
    }

    fn too_large(&mut self) -> Found {
        self.failed = true;
        self.text = Vec::new();
        let message = format!("the YAML body has more than {} bytes", self.limit);
        Err(ItemError::new(ItemCode::BodyTooLarge, message).at(self.line, 1).fatal())
    }
}

/// Whether a line is this mark, alone or before a space.
fn is_mark(line: &[u8], mark: &[u8]) -> bool {
    line.strip_prefix(mark).is_some_and(|rest| matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n')))
}

/// Whether a line adds nothing to a document: it is blank, a comment, or before all content a
/// directive.
fn is_idle(line: &[u8], may_be_directive: bool) -> bool {
    match line.trim_ascii_start().first() {
        None | Some(b'#') => true,
        Some(b'%') => may_be_directive,
        Some(_) => false,
    }
}

impl Document {
    /// Reads the document on a thread where that may take its time, no faster than its items are
    /// taken.
    pub(super) fn spawn(self, item_limit: usize) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::task::spawn_blocking(move || {
            self.translate(item_limit, &mut |found| sender.blocking_send(Message::Found(found)).is_ok());
            // Nobody may be left to hear it.
            let _ = sender.blocking_send(Message::End);
        });
        receiver
    }

    /// Gives each item to `give`, until that returns `false`.
    fn translate(self, item_limit: usize, give: &mut dyn FnMut(Found) -> bool) {
        let text = match std::str::from_utf8(&self.text) {
            Ok(text) => text,
            Err(error) => {
                give(Err(self.not_utf8(error.valid_up_to())));
                return;
            }
        };
        let mut translation = Translation::new(text, item_limit, give);
        if let Err(Stop::Broken(error)) = translation.run(self.first_line) {
            give(Err(error));
        }
    }

    fn not_utf8(&self, valid: usize) -> ItemError {
        let before = &self.text[..valid];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let kind = JsonErrorKind::InvalidUtf8;
        ItemError::new(ItemCode::Json(kind), "the document is not UTF-8")
            .at(self.first_line + newlines(before), (valid - line_start) as u64 + 1)
    }
}

/// Why a translation ended early.
enum Stop {
    /// The document cannot be read on.
    Broken(ItemError),
    /// Nobody takes the items.
    Unwanted,
}

/// A mapping or sequence that is open.
struct Frame {
    is_mapping: bool,
    /// In a mapping: the next node is a value.
    wants_value: bool,
    is_empty: bool,
    /// The anchor on it, with where its JSON begins in the recording.
    anchor: Option<(usize, usize)>,
}

/// The translation of one part of a body.
struct Translation<'g> {
    give: &'g mut dyn FnMut(Found) -> bool,
    item_limit: usize,
    values: ValueSplitter,
    frames: Vec<Frame>,
    /// The JSON since the outermost open anchor.
    recording: Vec<u8>,
    anchors: HashMap<usize, Vec<u8>>,
    open_anchors: usize,
    aliases: usize,
    aliased_bytes: usize,
    place: (u64, u64),
    text: &'g str,
    /// Where in the text the event at hand begins.
    offset: usize,
}

impl<'g> Translation<'g> {
    fn new(text: &'g str, item_limit: usize, give: &'g mut dyn FnMut(Found) -> bool) -> Self {
        Self {
            give,
            item_limit,
            values: ValueSplitter::new(item_limit),
            frames: Vec::new(),
            recording: Vec::new(),
            anchors: HashMap::new(),
            open_anchors: 0,
            aliases: 0,
            aliased_bytes: 0,
            place: (1, 1),
            text,
            offset: 0,
        }
    }

    fn run(&mut self, first_line: u64) -> Result<(), Stop> {
        let mut parser = Parser::<StrInput>::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| broken(&error, first_line))?;
            self.set_place(span, first_line);
            self.translate(event)?;
        }
        Ok(())
    }

    fn set_place(&mut self, span: Span, first_line: u64) {
        self.place = place(span.start.line(), span.start.col() + 1, first_line);
        self.offset = span.start.byte_offset().unwrap_or(self.offset);
        self.values.set_place(self.place.0, self.offset);
    }

    fn translate(&mut self, event: Event<'_>) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(..) => {
                self.values = ValueSplitter::new(self.item_limit);
                self.values.set_place(self.place.0, self.offset);
                self.anchors.clear();
            }
            Event::DocumentEnd => self.end_document()?,
            Event::Scalar(text, style, anchor, tag) => {
                self.check_tag(tag.is_some())?;
                self.scalar(&text, style, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => self.open(false, anchor, tag.is_some())?,
            Event::MappingStart(_, anchor, tag) => self.open(true, anchor, tag.is_some())?,
            Event::SequenceEnd | Event::MappingEnd => self.close()?,
            Event::Alias(anchor) => self.alias(anchor)?,
            _ => {}
        }
        Ok(())
    }

    fn end_document(&mut self) -> Result<(), Stop> {
        match self.values.finish() {
            Some(found) => self.hand_over(found),
            None => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize) -> Result<(), Stop> {
        let is_key = self.at_key();
        let json = match resolve(text, style) {
            // An empty document, such as the one before a leading mark, is no item.
            Scalar::Other(json) if json == "null" && self.frames.is_empty() => return Ok(()),
            Scalar::Other(_) if is_key => {
                self.refuse(ItemCode::AmbiguousScalar, "a key that is no string wants quotes")?;
                Value::from(text).to_string().into()
            }
            Scalar::Text(json) | Scalar::Other(json) => json,
            Scalar::Ambiguous => {
                let message = "a plain scalar that readers understand differently wants quotes";
                self.refuse(ItemCode::AmbiguousScalar, message)?;
                Value::from(text).to_string().into()
            }
        };
        if is_key && style == ScalarStyle::Plain && text == "<<" {
            self.refuse(ItemCode::InvalidYaml, "merge keys are not accepted")?;
        }
        self.separate()?;
        self.write(json.as_bytes())?;
        if anchor != 0 {
            self.keep_anchor(anchor, json.as_bytes().to_vec())?;
        }
        self.after_node();
        Ok(())
    }

    fn open(&mut self, is_mapping: bool, anchor: usize, tagged: bool) -> Result<(), Stop> {
        self.check_tag(tagged)?;
        if self.at_key() {
            return Err(self.stop("a key is not a string"));
        }
        self.separate()?;
        let anchor = (anchor != 0).then(|| {
            self.open_anchors += 1;
            (anchor, self.recording.len())
        });
        self.frames.push(Frame { is_mapping, wants_value: false, is_empty: true, anchor });
        self.write(if is_mapping { b"{" } else { b"[" })
    }

    fn close(&mut self) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        self.write(if frame.is_mapping { b"}" } else { b"]" })?;
        if let Some((anchor, start)) = frame.anchor {
            let json = self.recording[start..].to_vec();
            self.open_anchors -= 1;
            if self.open_anchors == 0 {
                self.recording.clear();
            }
            self.keep_anchor(anchor, json)?;
        }
        self.after_node();
        Ok(())
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Stop> {
        self.aliases += 1;
        if self.at_key() {
            return Err(self.stop("a key is an alias"));
        }
        let Some(json) = self.anchors.get(&anchor).cloned() else {
            return Err(self.stop("an alias stands inside its own anchor"));
        };
        self.separate()?;
        self.count_aliased(json.len())?;
        self.write(&json)?;
        self.after_node();
        Ok(())
    }

    fn keep_anchor(&mut self, anchor: usize, json: Vec<u8>) -> Result<(), Stop> {
        self.count_aliased(json.len())?;
        self.anchors.insert(anchor, json);
        Ok(())
    }

    /// Counts what anchors and aliases cost.
    fn count_aliased(&mut self, bytes: usize) -> Result<(), Stop> {
        self.aliased_bytes += bytes;
        if self.aliases > MAX_ALIASES || self.aliased_bytes > MAX_ALIASED_BYTES {
            return Err(self.stop("too much is written with anchors and aliases"));
        }
        Ok(())
    }

    fn check_tag(&mut self, tagged: bool) -> Result<(), Stop> {
        if tagged {
            self.refuse(ItemCode::InvalidYaml, "tags are not accepted")?;
        }
        Ok(())
    }

    fn at_key(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.is_mapping && !frame.wants_value)
    }

    /// Writes what JSON wants before the next node.
    fn separate(&mut self) -> Result<(), Stop> {
        let separator: &[u8] = match self.frames.last_mut() {
            None => b"",
            Some(frame) if frame.wants_value => b":",
            Some(frame) if frame.is_empty => {
                frame.is_empty = false;
                b""
            }
            Some(_) => b",",
        };
        self.write(separator)
    }

    fn after_node(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.wants_value = frame.is_mapping && !frame.wants_value;
        }
    }

    fn write(&mut self, mut json: &[u8]) -> Result<(), Stop> {
        if self.open_anchors > 0 {
            if self.recording.len() + json.len() > MAX_ALIASED_BYTES {
                return Err(self.stop("too much is written with anchors and aliases"));
            }
            self.recording.extend_from_slice(json);
        }
        while !json.is_empty() {
            let (used, found) = self.values.push(json);
            json = &json[used..];
            if let Some(found) = found {
                self.hand_over(found)?;
            }
        }
        Ok(())
    }

    /// Refuses the item at hand and goes on, so that its neighbours in the document are had.
    fn refuse(&mut self, code: ItemCode, message: &str) -> Result<(), Stop> {
        let error = ItemError::new(code, message).at(self.place.0, self.place.1);
        match self.values.refuse(error) {
            None => Ok(()),
            Some(error) => self.hand_over(Err(error)),
        }
    }

    fn hand_over(&mut self, found: Found) -> Result<(), Stop> {
        let found = found.map_err(|error| self.with_source(error));
        if (self.give)(found) { Ok(()) } else { Err(Stop::Unwanted) }
    }

    /// Adds what the item looks like in the document, which is all that is left of it.
    fn with_source(&self, mut error: ItemError) -> ItemError {
        error.fatal = false;
        let refused_here = matches!(error.code, ItemCode::AmbiguousScalar | ItemCode::InvalidYaml);
        let source = self.text.as_bytes().get(self.values.item_offset()..self.offset);
        if let (true, Some(source)) = (refused_here, source) {
            let source = source.trim_ascii_end();
            error.raw = Some(source[..source.len().min(self.item_limit)].to_vec());
        }
        error
    }

    fn stop(&self, message: &str) -> Stop {
        let error = ItemError::new(ItemCode::InvalidYaml, message);
        Stop::Broken(error.at(self.place.0, self.place.1))
    }
}

/// The parser's error, in the lines of the body.
fn broken(error: &ScanError, first_line: u64) -> Stop {
    let (line, column) = place(error.marker().line(), error.marker().col() + 1, first_line);
    let message = bounded(error.info().as_str(), MESSAGE_CHARS);
    Stop::Broken(ItemError::new(ItemCode::InvalidYaml, message).at(line, column))
}

fn place(line: usize, column: usize, first_line: u64) -> (u64, u64) {
    (first_line + (line as u64).saturating_sub(1), column as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_at_their_marks() {
        let body = b"%YAML 1.2\n---\na: |\n  ---\n--- # two\nb: '\n--- x'\n...\n# three\nc: 1\n";
        let mut splitter = DocumentSplitter::new(1_000);
        let mut found = Vec::new();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (used, piece) = splitter.push(rest);
            rest = &rest[used..];
            if let Some(Piece::Document(document)) = piece {
                found.push(document);
            }
        }
        found.extend(splitter.finish());
        let seen: Vec<_> =
            found.iter().map(|document| (document.first_line, std::str::from_utf8(&document.text).unwrap())).collect();
        assert_eq!(
            seen,
            [
                (1, "%YAML 1.2\n---\na: |\n  ---\n"),
                (5, "--- # two\nb: '\n"),
                (7, "--- x'\n...\n"),
                (9, "# three\nc: 1\n"),
            ]
        );
    }
}
