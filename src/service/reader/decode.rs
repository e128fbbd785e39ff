//! Content encodings, with a guard against bodies that are small only on the wire.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};

/// The largest zstd window, as a power of two: 8 MiB, which is what every decoder should support.
/// The frame of a stranger would otherwise choose how much memory it takes.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip, of one or several members.
    Gzip,
    /// zstd, of one or several frames.
    Zstd,
}

impl Encoding {
    /// Reads a `Content-Encoding`; `None` for one that is not supported.
    #[must_use]
    pub fn from_header(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Tells by the first bytes of a file.
    #[must_use]
    pub fn sniff(first_bytes: &[u8]) -> Self {
        match first_bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Identity,
        }
    }
}

/// How far a compressed body may grow. An item is bounded by itself; this bounds the time that a
/// few bytes can cost.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// Up to here, in bytes, a body may grow as it likes.
    pub free_bytes: u64,
    /// Beyond, it may have so many times the bytes that came over the wire. Real dumps, which
    /// repeat themselves a lot, reach about 60.
    pub max_ratio: u64,
    /// The largest body, in bytes; `None` for any.
    pub max_bytes: Option<u64>,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { free_bytes: 16 * 1024 * 1024, max_ratio: 200, max_bytes: None }
    }
}

/// The input error of a body that grew beyond its limits.
#[derive(Debug)]
pub(super) struct TooMuch;

/// The input error of a body that is not what its encoding says.
#[derive(Debug)]
pub(super) struct Corrupt;

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body grows too much when it is decompressed")
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body is not what its content encoding says")
    }
}

impl std::error::Error for TooMuch {}
impl std::error::Error for Corrupt {}

/// Undoes a content encoding while the body is read.
pub fn decode<R>(reader: R, encoding: Encoding, limits: DecodeLimits) -> Box<dyn AsyncBufRead + Send + Unpin>
where
    R: AsyncBufRead + Send + Unpin + 'static,
{
    let wire = Arc::new(Wire::default());
    let counted = BufReader::new(Counted { reader, wire: Arc::clone(&wire) });
    match encoding {
        Encoding::Identity => Box::new(counted.into_inner().reader),
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(counted);
            decoder.multiple_members(true);
            Box::new(BufReader::new(Guarded { decoder, wire, limits, decoded: 0 }))
        }
        Encoding::Zstd => {
            let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
            let mut decoder = ZstdDecoder::with_params(counted, &window);
            decoder.multiple_members(true);
            Box::new(BufReader::new(Guarded { decoder, wire, limits, decoded: 0 }))
        }
    }
}

/// What came over the wire so far.
#[derive(Debug, Default)]
struct Wire {
    bytes: AtomicU64,
    failure: Mutex<Option<io::Error>>,
}

impl Wire {
    fn take_failure(&self) -> Option<io::Error> {
        self.failure.lock().ok()?.take()
    }
}

/// Counts what is read. A failure is kept aside and looks like the end: a decoder that met it would
/// drop what it has already decoded.
struct Counted<R> {
    reader: R,
    wire: Arc<Wire>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.reader).poll_read(context, buffer))
            && let Ok(mut failure) = self.wire.failure.lock()
        {
            *failure = Some(error);
        }
        let count = (buffer.filled().len() - before) as u64;
        self.wire.bytes.fetch_add(count, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

/// Compares what is decoded with what was read.
struct Guarded<D> {
    decoder: D,
    wire: Arc<Wire>,
    limits: DecodeLimits,
    decoded: u64,
}

impl<D> Guarded<D> {
    fn check(&self) -> io::Result<()> {
        let allowed = self.wire.bytes.load(Ordering::Relaxed).saturating_mul(self.limits.max_ratio);
        let grown = self.decoded > self.limits.free_bytes && self.decoded > allowed;
        if grown || self.limits.max_bytes.is_some_and(|max| self.decoded > max) {
            return Err(io::Error::other(TooMuch));
        }
        Ok(())
    }
}

impl<D: AsyncRead + Unpin> AsyncRead for Guarded<D> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = ready!(Pin::new(&mut self.decoder).poll_read(context, buffer));
        let count = (buffer.filled().len() - before) as u64;
        if (count == 0 || outcome.is_err())
            && let Some(failure) = self.wire.take_failure()
        {
            return Poll::Ready(Err(failure));
        }
        if outcome.is_err() {
            return Poll::Ready(Err(io::Error::other(Corrupt)));
        }
        self.decoded += count;
        Poll::Ready(self.check())
    }
}
