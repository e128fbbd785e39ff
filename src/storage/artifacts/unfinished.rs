//! Files that uploads left behind because their process was killed.
//!
//! An upload into a directory writes to `<digits>#<number>` beside the file it will be.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use object_store::path::Path as Key;

use super::{ArtifactError, ArtifactStore};

const DOING: &str = "removing unfinished uploads";

impl ArtifactStore {
    /// Removes uploads that wrote nothing since this time and were never finished, and returns
    /// how many there were. An upload that is still going on fails then, and stores nothing.
    ///
    /// Only a directory has some to remove: of a bucket this is the work of its lifecycle rule
    /// for incomplete multipart uploads.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read, or a file not be removed.
    pub async fn remove_unfinished(&self, before: SystemTime) -> Result<u64, ArtifactError> {
        let Some(directory) = &self.directory else { return Ok(0) };
        // The object store names no path for its root, so it is found from a key of one part.
        let inside = directory.path_to_filesystem(&Key::from("-")).map_err(|error| super::failed(DOING, &error))?;
        let removed = tokio::task::spawn_blocking(move || match inside.parent() {
            Some(root) => remove_below(root, before),
            None => Ok(0),
        });
        removed.await.map_err(|_| ArtifactError::stopped(DOING))?.map_err(|error| ArtifactError::io(DOING, &error))
    }
}

fn remove_below(root: &Path, before: SystemTime) -> io::Result<u64> {
    let mut removed = 0;
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.file_name().to_string_lossy().contains('#') {
                removed += u64::from(remove_if_old(&entry.path(), before)?);
            }
        }
    }
    Ok(removed)
}

/// Removes the file if nothing was written to it since; false if it is newer, or gone meanwhile.
fn remove_if_old(path: &Path, before: SystemTime) -> io::Result<bool> {
    let removed = fs::metadata(path).and_then(|file| file.modified()).and_then(|written| {
        if written >= before {
            return Ok(false);
        }
        fs::remove_file(path).map(|()| true)
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other,
    }
}
