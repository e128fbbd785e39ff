//! A body as it is read: counted, hashed, and cut into parts.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};

use super::error::BodyError;
use super::{ArtifactError, Digest};

/// A body of which one part is held at a time.
pub(super) struct Body<S> {
    stream: S,
    /// What was read and is not yet part of a part.
    rest: Bytes,
    hasher: Sha256,
    size: u64,
    limit: u64,
}

impl<S, E> Body<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<BodyError>,
{
    /// A body of at most `limit` bytes.
    pub(super) fn new(stream: S, limit: u64) -> Self {
        Self { stream, rest: Bytes::new(), hasher: Sha256::new(), size: 0, limit }
    }

    /// The next `length` bytes; fewer only at the end.
    ///
    /// They are copied: chunks can be a byte each, or windows into much larger buffers, and
    /// keeping them would let the sender decide how much memory a part takes.
    pub(super) async fn part(&mut self, length: usize) -> Result<Bytes, ArtifactError> {
        let mut part = BytesMut::new();
        while part.len() < length && self.fill().await? {
            let taken = self.rest.len().min(length - part.len());
            part.extend_from_slice(&self.rest.split_to(taken));
        }
        Ok(part.freeze())
    }

    /// Reads what is left and checks the whole; the size of the body.
    pub(super) async fn drain(mut self, digest: &Digest) -> Result<u64, ArtifactError> {
        while self.fill().await? {
            self.rest.clear();
        }
        self.check(digest)
    }

    /// Checks the digest of a body that was read to its end; its size.
    pub(super) fn check(self, digest: &Digest) -> Result<u64, ArtifactError> {
        let found = Digest(self.hasher.finalize().into());
        if found == *digest { Ok(self.size) } else { Err(ArtifactError::DigestMismatch { found }) }
    }

    /// Reads until there is something to take; false at the end.
    async fn fill(&mut self) -> Result<bool, ArtifactError> {
        while self.rest.is_empty() {
            let Some(chunk) = self.stream.next().await else { return Ok(false) };
            self.rest = self.counted(chunk.map_err(|error| ArtifactError::BodyBroke(error.into()))?)?;
        }
        Ok(true)
    }

    fn counted(&mut self, chunk: Bytes) -> Result<Bytes, ArtifactError> {
        self.size = self.size.saturating_add(chunk.len() as u64);
        if self.size > self.limit {
            return Err(ArtifactError::TooLarge { limit: self.limit });
        }
        self.hasher.update(&chunk);
        Ok(chunk)
    }
}
