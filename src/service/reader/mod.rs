//! From bytes to items: splits a body into the JSON texts of its records, one at a time.
//!
//! A body may be far larger than memory. The reader holds one item and a buffer, so that its
//! memory does not grow with the body; only a YAML body is held whole, and bounded for it.

mod decode;
mod detect;
mod lines;
mod scan;
mod values;
mod yaml;

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio::sync::mpsc;

pub use decode::{DecodeLimits, Encoding, decode};
pub use detect::{Format, FormatError, detect};

use crate::domain::json::{JsonErrorKind, JsonLimits};
use crate::domain::path::JsonPath;
use decode::{Corrupt, TooMuch};
use lines::LineSplitter;
use values::ValueSplitter;
use yaml::{DocumentSplitter, Message};

/// How much of a refused item is kept for whoever mends it, in bytes.
const RAW_KEPT: usize = 4 * 1024;

/// What a text may begin with to say that it is UTF-8; it means nothing more.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bounds of a body.
#[derive(Clone, Copy, Debug)]
pub struct ReaderLimits {
    /// The bounds of one item.
    pub item: JsonLimits,
    /// The largest YAML body, in bytes: a document has no end before it is read, so it is held.
    pub yaml_bytes: usize,
}

impl Default for ReaderLimits {
    fn default() -> Self {
        Self { item: JsonLimits::default(), yaml_bytes: 64 * 1024 * 1024 }
    }
}

/// One item of a body, not yet read as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawItem {
    /// Its place among the items of the body, from 0; refused ones count.
    pub index: u64,
    /// The line of the body on which it begins, from 1.
    pub line: Option<u64>,
    /// Its own JSON text. Only its end was looked for: it may still be anything but JSON.
    pub text: Vec<u8>,
}

/// What is wrong with an item, or with the body from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemCode {
    /// A fault that the JSON reader knows too.
    Json(JsonErrorKind),
    /// A list says of itself that it is no list.
    InvalidList,
    /// Not YAML, or a part of YAML that records do not need: tags, merge keys, keys that are no
    /// strings, aliases beyond a few.
    InvalidYaml,
    /// A plain YAML scalar that readers understand differently, such as `010` or `yes`.
    AmbiguousScalar,
    /// A YAML body beyond its bound.
    BodyTooLarge,
    /// The body is not what its content encoding says.
    InvalidEncoding,
    /// A compressed body that grows suspiciously.
    DecodedTooLarge,
    /// The body broke off.
    ReadFailed,
}

impl ItemCode {
    /// The stable code that clients see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json(kind) => kind.code(),
            Self::InvalidList => "INVALID_LIST",
            Self::InvalidYaml => "INVALID_YAML",
            Self::AmbiguousScalar => "AMBIGUOUS_SCALAR",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::InvalidEncoding => "INVALID_ENCODING",
            Self::DecodedTooLarge => "DECODED_TOO_LARGE",
            Self::ReadFailed => "READ_FAILED",
        }
    }
}

/// An item that could not be had, or the end of a body that cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ItemError {
    /// Its place among the items of the body, from 0.
    pub index: u64,
    /// The line of the body, from 1, where it is known.
    pub line: Option<u64>,
    /// The byte in that line, from 1, where it is known.
    pub column: Option<u64>,
    /// What is wrong.
    pub code: ItemCode,
    /// One short sentence, which quotes no value of the input.
    pub message: String,
    /// The member at fault, where it is known.
    pub path: JsonPath,
    /// Nothing after this can be read; what came before stands.
    pub fatal: bool,
    /// What was seen of the item: its beginning, at most 4 KiB; or, where it was refused for its
    /// YAML, its source within the record limit.
    pub raw: Option<Vec<u8>>,
}

impl ItemError {
    fn new(code: ItemCode, message: impl Into<String>) -> Self {
        Self {
            index: 0,
            line: None,
            column: None,
            code,
            message: message.into(),
            path: JsonPath::default(),
            fatal: false,
            raw: None,
        }
    }

    fn at(mut self, line: u64, column: u64) -> Self {
        (self.line, self.column) = (Some(line), Some(column));
        self
    }

    fn fatal(mut self) -> Self {
        self.fatal = true;
        self
    }

    /// An item beyond the record limit, of which `raw` is the beginning.
    fn too_large(line: u64, limit: usize, raw: Vec<u8>) -> Self {
        let message = format!("the item has more than {limit} bytes");
        let mut error = Self::new(ItemCode::Json(JsonErrorKind::TooLarge), message).at(line, 1);
        error.raw = Some(raw);
        error
    }
}

/// What a splitter finds. The reader sets its index.
type Found = Result<RawItem, ItemError>;

/// An item of which the end was not yet seen: its bytes, or its beginning once it is too large.
#[derive(Debug)]
struct Partial {
    limit: usize,
    bytes: Vec<u8>,
    too_large: bool,
}

impl Partial {
    fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new(), too_large: false }
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.too_large {
            return;
        }
        if self.bytes.len() + bytes.len() <= self.limit {
            self.bytes.extend_from_slice(bytes);
            return;
        }
        let room = RAW_KEPT.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.bytes.truncate(RAW_KEPT);
        self.bytes.shrink_to_fit();
        self.too_large = true;
    }

    /// Takes the item out and starts anew.
    fn take(&mut self, line: u64) -> Found {
        let bytes = std::mem::take(&mut self.bytes);
        if std::mem::take(&mut self.too_large) {
            return Err(ItemError::too_large(line, self.limit, bytes));
        }
        Ok(RawItem { index: 0, line: Some(line), text: bytes })
    }

    /// Takes out the beginning, to go with an error.
    fn take_raw(&mut self) -> Option<Vec<u8>> {
        let mut raw = std::mem::take(&mut self.bytes);
        raw.truncate(RAW_KEPT);
        (!raw.is_empty()).then_some(raw)
    }
}

/// Where the items of a body come from.
enum Source {
    Lines(LineSplitter),
    Values(Box<ValueSplitter>),
    Documents(DocumentSplitter),
}

/// Reads the items of a body, one by one.
pub struct ItemReader<R> {
    reader: R,
    limits: ReaderLimits,
    source: Source,
    /// The items of the YAML document at hand, from the thread that reads it.
    document: Option<mpsc::Receiver<Message>>,
    /// The first bytes of the body, until it is known that they are no byte order mark.
    lead: Option<Vec<u8>>,
    next_index: u64,
    ended: bool,
    peak_buffered: usize,
}

impl<R: AsyncBufRead + Unpin> ItemReader<R> {
    /// A reader of a body in this format. The body is read as [`next`](Self::next) is called.
    pub fn new(reader: R, format: Format, limits: ReaderLimits) -> Self {
        let source = match format {
            Format::Ndjson => Source::Lines(LineSplitter::new(limits.item.max_bytes)),
            Format::Json => Source::Values(Box::new(ValueSplitter::new(limits.item.max_bytes))),
            Format::Yaml => Source::Documents(DocumentSplitter::new(limits.yaml_bytes)),
        };
        Self {
            reader,
            limits,
            source,
            document: None,
            lead: Some(Vec::new()),
            next_index: 0,
            ended: false,
            peak_buffered: 0,
        }
    }

    /// The next item, or what is wrong with it; `None` at the end, and after a fatal error.
    ///
    /// Call it from within a tokio runtime: YAML is read on a blocking thread. A call that is dropped
    /// while it waits loses nothing.
    pub async fn next(&mut self) -> Option<Found> {
        if self.ended {
            return None;
        }
        let mut found = self.find().await;
        match &mut found {
            Some(Ok(item)) => item.index = self.next_index,
            Some(Err(error)) => {
                error.index = self.next_index;
                self.ended = error.fatal;
            }
            None => self.ended = true,
        }
        self.next_index += 1;
        found
    }

    /// The most bytes that the reader itself ever held at once, beside the buffer of its input.
    pub fn peak_buffered(&self) -> usize {
        self.peak_buffered
    }

    async fn find(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.next_of_document().await {
                return Some(found);
            }
            match self.advance().await {
                Ok(Progress::Found(found)) => return Some(found),
                Ok(Progress::More) => {}
                Ok(Progress::End) => return None,
                Err(error) => return Some(Err(read_error(&error))),
            }
        }
    }

    /// The next item of the YAML document at hand.
    async fn next_of_document(&mut self) -> Option<Found> {
        let message = self.document.as_mut()?.recv().await;
        match message {
            Some(Message::Found(found)) => return Some(found),
            Some(Message::End) => self.document = None,
            // The thread is gone without a last word; to go on would lose items silently.
            None => {
                self.document = None;
                let message = "the document could not be read to its end";
                return Some(Err(ItemError::new(ItemCode::InvalidYaml, message)));
            }
        }
        None
    }

    /// Reads on by one chunk.
    async fn advance(&mut self) -> io::Result<Progress> {
        if self.lead.is_some() {
            return self.read_lead().await;
        }
        let chunk = self.reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(self.finish());
        }
        let (used, found) = self.source.push(chunk);
        self.reader.consume(used);
        Ok(self.after_push(found))
    }

    /// Reads the first bytes of the body and passes them on, unless they are a byte order mark.
    async fn read_lead(&mut self) -> io::Result<Progress> {
        let chunk = self.reader.fill_buf().await?;
        let mut lead = self.lead.take().unwrap_or_default();
        let used = chunk.len().min(BYTE_ORDER_MARK.len() - lead.len());
        lead.extend_from_slice(&chunk[..used]);
        self.reader.consume(used);
        let is_beginning = lead.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(&lead);
        if used > 0 && is_beginning {
            self.lead = Some(lead);
            return Ok(Progress::More);
        }
        if lead == BYTE_ORDER_MARK {
            return Ok(Progress::More);
        }
        Ok(self.push_lead(lead))
    }

    /// Passes on the first bytes; what is left of them after an item waits for the next call.
    fn push_lead(&mut self, mut lead: Vec<u8>) -> Progress {
        while !lead.is_empty() {
            let (used, found) = self.source.push(&lead);
            lead.drain(..used);
            if found.is_some() {
                // Three bytes can hold an item ("1\n2"); what follows it is read as a new lead,
                // which no longer can be a byte order mark.
                self.lead = (!lead.is_empty()).then_some(lead);
                return self.after_push(found);
            }
        }
        Progress::More
    }

    fn after_push(&mut self, found: Option<Piece>) -> Progress {
        self.peak_buffered = self.peak_buffered.max(self.source.buffered());
        match found {
            None => Progress::More,
            Some(Piece::Item(found)) => Progress::Found(found),
            Some(Piece::Document(document)) => {
                self.document = Some(document.spawn(self.limits.item.max_bytes));
                Progress::More
            }
        }
    }

    /// The input is at its end: gives out what is left.
    fn finish(&mut self) -> Progress {
        match self.source.finish() {
            None => Progress::End,
            found => self.after_push(found),
        }
    }
}

/// What one step of reading came to.
enum Progress {
    Found(Found),
    More,
    End,
}

/// What a splitter gives out.
enum Piece {
    Item(Found),
    Document(yaml::Document),
}

impl Source {
    /// Takes in a part of a chunk: how many bytes, and what they completed.
    fn push(&mut self, chunk: &[u8]) -> (usize, Option<Piece>) {
        match self {
            Self::Lines(lines) => item(lines.push(chunk)),
            Self::Values(values) => item(values.push(chunk)),
            Self::Documents(documents) => documents.push(chunk),
        }
    }

    fn finish(&mut self) -> Option<Piece> {
        match self {
            Self::Lines(lines) => lines.finish().map(Piece::Item),
            Self::Values(values) => values.finish().map(Piece::Item),
            Self::Documents(documents) => documents.finish().map(Piece::Document),
        }
    }

    fn buffered(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.buffered(),
            Self::Values(values) => values.buffered(),
            Self::Documents(documents) => documents.buffered(),
        }
    }
}

fn item((used, found): (usize, Option<Found>)) -> (usize, Option<Piece>) {
    (used, found.map(Piece::Item))
}

/// The end of a body whose input failed.
fn read_error(error: &io::Error) -> ItemError {
    let (code, message) = if is::<TooMuch>(error) {
        (ItemCode::DecodedTooLarge, "the body grows too much when it is decompressed")
    } else if is::<Corrupt>(error) {
        (ItemCode::InvalidEncoding, "the body is not what its content encoding says")
    } else {
        (ItemCode::ReadFailed, "the body could not be read to its end")
    };
    ItemError::new(code, message).fatal()
}

/// Whether an input error carries this cause.
fn is<E: std::error::Error + 'static>(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(cause) if cause.is::<E>())
}

/// How many lines end in these bytes.
fn newlines(bytes: &[u8]) -> u64 {
    bytes.split(|b| *b == b'\n').skip(1).count() as u64
}
