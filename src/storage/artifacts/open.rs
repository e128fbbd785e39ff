//! Opening a store at its URL.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ClientConfigKey, RetryConfig};

use super::error::failed;
use super::url::S3Location;
use super::{ArtifactError, ArtifactStore, ArtifactUrl, PART_BYTES};

/// How long S3 may take for an answer, or between two pieces of one.
const ANSWER_TIME: &str = "60 seconds";

/// How long a whole answer may take: a large artifact is read as slowly as its reader likes.
const READING_TIME: &str = "1 day";

/// How often, and how long, a request to S3 is tried again: a client is waiting.
const RETRIES: usize = 4;
const RETRY_TIME: Duration = Duration::from_secs(30);

const DOING: &str = "opening the artifact store";

impl ArtifactStore {
    /// Opens the store at this URL; a directory is made, and must be writable. S3 is not asked
    /// yet, and its credentials come from `AWS_*` variables.
    ///
    /// # Errors
    ///
    /// If the URL is none, or the directory cannot be made or written to.
    pub fn open(url: &str) -> Result<Self, ArtifactError> {
        Self::at(&url.parse()?)
    }

    /// Opens the store at this place; see [`Self::open`].
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn at(url: &ArtifactUrl) -> Result<Self, ArtifactError> {
        match url {
            ArtifactUrl::Directory(path) => directory(path),
            ArtifactUrl::S3(location) => s3(AmazonS3Builder::from_env(), location),
            ArtifactUrl::Memory => Ok(ArtifactStore {
                objects: Arc::new(InMemory::new()),
                prefix: Key::ROOT,
                directory: None,
                part_bytes: PART_BYTES,
            }),
        }
    }
}

fn directory(path: &Path) -> Result<ArtifactStore, ArtifactError> {
    prepare(path).map_err(|error| ArtifactError::io(DOING, &error))?;
    // Each file is synced before it gets its name, and its directory after.
    let files = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(DOING, &error))?.with_fsync(true);
    Ok(ArtifactStore {
        objects: Arc::new(files.clone()),
        prefix: Key::ROOT,
        directory: Some(files),
        part_bytes: PART_BYTES,
    })
}

/// Makes the directory, and tries to write a nameless file into it.
fn prepare(path: &Path) -> io::Result<()> {
    make_durably(&std::path::absolute(path)?)?;
    tempfile::tempfile_in(path).map(drop)
}

/// Makes what is missing of the directory's path, and syncs each directory that got an entry.
fn make_durably(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|directory| !directory.is_dir()).count();
    std::fs::create_dir_all(path)?;
    path.ancestors().skip(1).take(missing).try_for_each(|directory| File::open(directory)?.sync_all())
}

/// The store in this bucket; `builder` knows the credentials.
pub(super) fn s3(builder: AmazonS3Builder, location: &S3Location) -> Result<ArtifactStore, ArtifactError> {
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() };
    let mut builder = builder
        .with_bucket_name(&location.bucket)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), READING_TIME)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ReadTimeout), ANSWER_TIME)
        .with_retry(retry);
    if let Some(region) = &location.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &location.endpoint {
        // The URL goes before both variables that name an endpoint.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint.as_str().trim_end_matches('/'));
    }
    if location.allow_http {
        builder = builder.with_allow_http(true);
    }
    let bucket = builder.build().map_err(|_| {
        ArtifactError::BadUrl("the bucket, the region or an AWS_* variable cannot be used with S3".to_owned())
    })?;
    Ok(ArtifactStore {
        objects: Arc::new(bucket),
        prefix: location.prefix.clone(),
        directory: None,
        part_bytes: PART_BYTES,
    })
}
