//! An upload in parts, of which nothing stays unless it is finished.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::ArtifactError;
use super::error::failed;

/// How many parts may be on their way at once. With the one that is being filled they are all
/// that an upload holds in memory; two keep the disk or the network busy while one is filled.
const IN_FLIGHT: usize = 2;

const DOING: &str = "storing an artifact";

/// An upload that was begun. Dropped, as when its client goes away, it is aborted.
pub(super) struct Upload {
    open: Option<Open>,
}

struct Open {
    parts: JoinSet<object_store::Result<()>>,
    upload: Box<dyn MultipartUpload>,
}

impl Upload {
    /// Begins an upload.
    ///
    /// In a task of its own: if the caller is dropped meanwhile, the task still learns the
    /// upload's id, without which it could not be aborted.
    pub(super) async fn begin(objects: Arc<dyn ObjectStore>, key: Key) -> Result<Self, ArtifactError> {
        let begun = tokio::spawn(async move {
            let upload = objects.put_multipart(&key).await?;
            Ok(Self { open: Some(Open { parts: JoinSet::new(), upload }) })
        });
        begun.await.map_err(|_| ArtifactError::stopped(DOING))?.map_err(|error| unavailable(&error))
    }

    /// Sends a part, once fewer than [`IN_FLIGHT`] are on their way.
    pub(super) async fn part(&mut self, bytes: Bytes) -> Result<(), ArtifactError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.at_most(IN_FLIGHT - 1).await?;
        open.parts.spawn(open.upload.put_part(bytes.into()));
        Ok(())
    }

    /// Makes the whole visible, or nothing.
    ///
    /// In a task of its own, so that it is not left half done if the caller is dropped.
    pub(super) async fn finish(self) -> Result<(), ArtifactError> {
        let finished = tokio::spawn(self.finish_here());
        finished.await.map_err(|_| ArtifactError::stopped(DOING))?
    }

    async fn finish_here(mut self) -> Result<(), ArtifactError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let done = open.complete().await;
        if done.is_err() {
            open.abort().await;
        }
        done
    }

    /// Removes all parts, and returns when they are gone.
    pub(super) async fn abort(mut self) {
        let Some(open) = self.open.take() else { return };
        // A task that is stopped has left the rest to the end of the process.
        let _stopped = tokio::spawn(open.abort()).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        // Outside of a runtime nothing can be sent; a local upload removes its file by itself.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(open.abort());
        }
    }
}

impl Open {
    /// Waits until at most `count` parts are on their way.
    async fn at_most(&mut self, count: usize) -> Result<(), ArtifactError> {
        while self.parts.len() > count
            && let Some(sent) = self.parts.join_next().await
        {
            sent.map_err(|_| ArtifactError::stopped(DOING))?.map_err(|error| unavailable(&error))?;
        }
        Ok(())
    }

    async fn complete(&mut self) -> Result<(), ArtifactError> {
        self.at_most(0).await?;
        self.upload.complete().await.map_err(|error| unavailable(&error))?;
        Ok(())
    }

    async fn abort(mut self) {
        self.parts.shutdown().await;
        // The upload has failed already, and its caller knows; what the store cannot remove now
        // is left to its own rules for unfinished uploads.
        let _left = self.upload.abort().await;
    }
}

/// What is missing while something is stored is the bucket or the upload: the store's fault.
pub(super) fn unavailable(error: &object_store::Error) -> ArtifactError {
    match failed(DOING, error) {
        ArtifactError::NotFound => ArtifactError::Unavailable(format!("{DOING}: the bucket or upload is gone")),
        other => other,
    }
}
