//! From bytes to records: what is read, what is refused, and where.

pub mod corpus;
mod laws;
mod memory;
mod refusals;
mod shapes;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use packtrail::domain::envelope::{self, Envelope};
use packtrail::domain::json;
use packtrail::service::reader::{DecodeLimits, Encoding, Format, ItemReader, ReaderLimits, decode, detect};
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};

/// What a client would be told of an item that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub index: u64,
    pub code: &'static str,
    pub path: String,
    pub line: Option<u64>,
    pub fatal: bool,
    pub message: String,
}

/// Runs a future to its end.
pub fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A body that arrives in pieces of the given sizes, over and over.
pub struct Pieces {
    body: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    turn: usize,
}

impl Pieces {
    pub fn new(body: Vec<u8>, sizes: Vec<usize>) -> Self {
        Self { body, at: 0, sizes, turn: 0 }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let size = self.sizes[self.turn % self.sizes.len()].max(1);
        let end = self.body.len().min(self.at + size.min(buffer.remaining()));
        buffer.put_slice(&self.body[self.at..end]);
        (self.at, self.turn) = (end, self.turn + 1);
        Poll::Ready(Ok(()))
    }
}

/// Reads a body to its end: each item as an envelope, or what is wrong with it.
pub async fn examine<R: AsyncBufRead + Unpin>(reader: R, format: Format) -> Vec<Result<Envelope, Refused>> {
    let limits = ReaderLimits::default();
    let mut reader = ItemReader::new(reader, format, limits);
    let mut outcomes = Vec::new();
    while let Some(found) = reader.next().await {
        outcomes.push(match found {
            Err(error) => {
                assert!(error.raw.as_ref().is_none_or(|raw| raw.len() <= limits.item.max_bytes));
                Err(Refused {
                    index: error.index,
                    code: error.code.as_str(),
                    path: error.path.to_string(),
                    line: error.line,
                    fatal: error.fatal,
                    message: error.message,
                })
            }
            Ok(item) => open(item.index, item.line, &item.text),
        });
    }
    outcomes
}

fn open(index: u64, line: Option<u64>, text: &[u8]) -> Result<Envelope, Refused> {
    let limits = ReaderLimits::default().item;
    let refused = |code, path: String, message: String| Refused { index, code, path, line, fatal: false, message };
    let value = json::parse(text, &limits)
        .map_err(|error| refused(error.kind.code(), error.path.to_string(), error.message))?;
    envelope::open(value).map_err(|error| {
        let message = error.message.to_owned();
        refused(envelope::EnvelopeError::CODE, error.path.to_string(), message)
    })
}

/// Reads a body as the server would: by its content type and encoding.
pub fn examine_body(body: &[u8], content_type: &str, encoding: Option<&str>) -> Vec<Result<Envelope, Refused>> {
    let format = detect(Some(content_type), None, &[]).unwrap();
    let encoding = Encoding::from_header(encoding.unwrap_or("")).unwrap();
    let reader = BufReader::new(io::Cursor::new(body.to_vec()));
    wait(examine(decode(reader, encoding, DecodeLimits::default()), format))
}
