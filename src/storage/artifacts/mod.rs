//! The store of artifacts' content: a directory, or a bucket of an S3 service.
//!
//! Content is found by tenant and SHA-256, at `<tenant>/sha256/<first two digits>/<64 digits>`.
//! It never changes: the same content again is the same object, and an object is visible only as
//! a whole, after its digest was checked.

mod body;
mod error;
mod open;
#[cfg(test)]
mod tests;
mod unfinished;
mod upload;
mod url;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::{Path as Key, PathPart};
use object_store::{GetOptions, GetResultPayload, ObjectStore, ObjectStoreExt as _};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use self::body::Body;
use self::error::failed;
pub use self::error::{ArtifactError, BodyError};
use self::upload::{Upload, unavailable};
pub use self::url::{ArtifactUrl, S3Location};
use crate::domain::digest::Digest;

/// The size of a part of an upload: S3 takes none below 5 MiB, and larger ones only cost memory.
const PART_BYTES: usize = 8 << 20;

/// S3 takes no more parts than this of one object, so no artifact is larger than 78 GiB.
const MAX_PARTS: u64 = 10_000;

/// How much of a file is read at once: few calls, little memory a reader.
const READ_BYTES: usize = 256 << 10;

/// The longest name of a tenant, in bytes.
const MAX_TENANT_BYTES: usize = 253;

/// The directories of a key: tenant, algorithm, first two digits; and the store's own.
const DIRECTORIES: usize = 4;

const READING: &str = "reading an artifact";

/// Content as it is read.
pub type Content = BoxStream<'static, Result<Bytes, ArtifactError>>;

/// The store of artifacts' content. Clones are cheap and share it.
#[derive(Clone, Debug)]
pub struct ArtifactStore {
    objects: Arc<dyn ObjectStore>,
    /// What all keys begin with.
    prefix: Key,
    /// The same objects, if they are files.
    directory: Option<LocalFileSystem>,
    /// The size of a part; smaller in tests.
    part_bytes: usize,
}

impl ArtifactStore {
    /// Stores a body as the content of this digest, and returns its size in bytes.
    ///
    /// The body is checked while it is read. It becomes visible as a whole, durably, or leaves
    /// nothing behind, also if this future is dropped. If the content is there already the body
    /// is still read and checked, and not stored again.
    ///
    /// # Errors
    ///
    /// If the body is longer than `max_bytes`, breaks off, or has another digest; if the store
    /// cannot be written to; if the tenant's name is none.
    pub async fn put<S, E>(&self, tenant: &str, digest: &Digest, max_bytes: u64, body: S) -> Result<u64, ArtifactError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
        E: Into<BodyError>,
    {
        let key = self.key(tenant, digest)?;
        let body = Body::new(body, max_bytes.min(self.largest()));
        let size = match self.stored_size(&key).await? {
            Some(stored) => same_size(stored, body.drain(digest).await?)?,
            None => self.store(&key, digest, body).await?,
        };
        self.sync_directories(&key).await?;
        Ok(size)
    }

    /// The size of the content in bytes, if it is stored.
    ///
    /// # Errors
    ///
    /// If the store cannot be read; if the tenant's name is none.
    pub async fn size(&self, tenant: &str, digest: &Digest) -> Result<Option<u64>, ArtifactError> {
        self.stored_size(&self.key(tenant, digest)?).await
    }

    /// The content, or the part of it in this range of bytes.
    ///
    /// The stream gives as many bytes as were asked for, or ends with an error.
    ///
    /// # Errors
    ///
    /// If the content is not stored, or ends before the range does; if the store cannot be read;
    /// if the tenant's name is none.
    pub async fn get(
        &self,
        tenant: &str,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Content, ArtifactError> {
        let key = self.key(tenant, digest)?;
        match range {
            Some(range) if range.is_empty() => self.nothing(&key, &range).await,
            Some(range) => self.part(&key, range).await,
            None => self.read(&key, None).await,
        }
    }

    /// The key of a tenant's content. Part by part, so that a tenant `..` is a name like others.
    fn key(&self, tenant: &str, digest: &Digest) -> Result<Key, ArtifactError> {
        if !is_tenant(tenant) {
            return Err(ArtifactError::BadTenant);
        }
        let digits = digest.hex();
        let parts = [tenant, "sha256", &digits[..2], &digits].map(PathPart::from);
        Ok(self.prefix.parts().chain(parts).collect())
    }

    /// The largest artifact, in bytes.
    fn largest(&self) -> u64 {
        MAX_PARTS.saturating_mul(self.part_bytes as u64)
    }

    async fn stored_size(&self, key: &Key) -> Result<Option<u64>, ArtifactError> {
        match self.objects.head(key).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(READING, &error)),
        }
    }

    /// Stores a body: a small one in one step, a large one in parts.
    async fn store<S, E>(&self, key: &Key, digest: &Digest, mut body: Body<S>) -> Result<u64, ArtifactError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<BodyError>,
    {
        let first = body.part(self.part_bytes).await?;
        if first.len() == self.part_bytes {
            return self.store_parts(key, digest, first, body).await;
        }
        let size = body.check(digest)?;
        self.objects.put(key, first.into()).await.map_err(|error| unavailable(&error))?;
        Ok(size)
    }

    async fn store_parts<S, E>(
        &self,
        key: &Key,
        digest: &Digest,
        first: Bytes,
        body: Body<S>,
    ) -> Result<u64, ArtifactError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<BodyError>,
    {
        let mut upload = Upload::begin(Arc::clone(&self.objects), key.clone()).await?;
        match self.send(&mut upload, digest, first, body).await {
            Ok(size) => upload.finish().await.map(|()| size),
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    /// Sends the body's parts and checks it.
    async fn send<S, E>(
        &self,
        upload: &mut Upload,
        digest: &Digest,
        first: Bytes,
        mut body: Body<S>,
    ) -> Result<u64, ArtifactError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<BodyError>,
    {
        let mut part = first;
        while !part.is_empty() {
            upload.part(part).await?;
            part = body.part(self.part_bytes).await?;
        }
        body.check(digest)
    }

    /// Syncs the directories above a file, up to the store's own.
    ///
    /// The object store syncs those it made itself; another upload may have made one a moment
    /// ago, or the file itself, and not have come to sync it.
    async fn sync_directories(&self, key: &Key) -> Result<(), ArtifactError> {
        const DOING: &str = "syncing directories";
        let Some(directory) = &self.directory else { return Ok(()) };
        let path = directory.path_to_filesystem(key).map_err(|error| failed(DOING, &error))?;
        let synced = tokio::task::spawn_blocking(move || sync_above(&path)).await;
        synced.map_err(|_| ArtifactError::stopped(DOING))?.map_err(|error| ArtifactError::io(DOING, &error))
    }

    /// An empty part of the content; the object store knows none.
    async fn nothing(&self, key: &Key, range: &Range<u64>) -> Result<Content, ArtifactError> {
        match self.stored_size(key).await? {
            None => Err(ArtifactError::NotFound),
            Some(size) if range.start.max(range.end) > size => Err(ArtifactError::OutOfRange),
            Some(_) => Ok(stream::empty().boxed()),
        }
    }

    /// A part of the content. Stores differ in what they say of a range that is none, so the
    /// size is asked for then.
    async fn part(&self, key: &Key, range: Range<u64>) -> Result<Content, ArtifactError> {
        match self.read(key, Some(range.clone())).await {
            Err(error @ ArtifactError::Unavailable(_)) => match self.stored_size(key).await {
                Ok(Some(size)) if range.end > size => Err(ArtifactError::OutOfRange),
                _ => Err(error),
            },
            other => other,
        }
    }

    async fn read(&self, key: &Key, range: Option<Range<u64>>) -> Result<Content, ArtifactError> {
        let options = GetOptions { range: range.clone().map(Into::into), ..GetOptions::default() };
        let found = self.objects.get_opts(key, options).await.map_err(|error| failed(READING, &error))?;
        let given = found.range.clone();
        if range.is_some_and(|range| range != given) {
            return Err(ArtifactError::OutOfRange);
        }
        let bytes = match found.payload {
            GetResultPayload::File(file, _) => file_part(file, &given).await?,
            GetResultPayload::Stream(bytes) => bytes.map_err(|error| failed(READING, &error)).boxed(),
        };
        Ok(exactly(bytes, given.end - given.start))
    }
}

/// Whether this is a tenant's name.
fn is_tenant(name: &str) -> bool {
    (1..=MAX_TENANT_BYTES).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// The size of a body that is stored already, if what is stored can be it.
fn same_size(stored: u64, expected: u64) -> Result<u64, ArtifactError> {
    if stored == expected { Ok(stored) } else { Err(ArtifactError::Damaged { stored, expected }) }
}

/// Syncs the directories of a key, the innermost first.
fn sync_above(file: &Path) -> io::Result<()> {
    file.ancestors().skip(1).take(DIRECTORIES).try_for_each(|directory| File::open(directory)?.sync_all())
}

/// A part of a file, in pieces of [`READ_BYTES`].
async fn file_part(file: File, range: &Range<u64>) -> Result<Content, ArtifactError> {
    let mut file = tokio::fs::File::from_std(file);
    file.seek(io::SeekFrom::Start(range.start)).await.map_err(|error| ArtifactError::io(READING, &error))?;
    let part = file.take(range.end - range.start);
    let pieces = ReaderStream::with_capacity(part, READ_BYTES);
    Ok(pieces.map_err(|error| ArtifactError::io(READING, &error)).boxed())
}

/// The stream, with an error instead of an end if it has another number of bytes.
fn exactly(bytes: Content, expected: u64) -> Content {
    stream::try_unfold((bytes, 0), move |(mut bytes, before)| async move {
        let chunk = bytes.try_next().await?;
        let read = chunk.as_ref().map_or(before, |chunk| before + chunk.len() as u64);
        match chunk {
            Some(chunk) if read <= expected => Ok(Some((chunk, (bytes, read)))),
            None if read == expected => Ok(None),
            _ => Err(ArtifactError::Damaged { stored: read, expected }),
        }
    })
    .boxed()
}
