//! Files that are taken from a step's folder, without ever leaving it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

/// How much is hashed at once.
const CHUNK: usize = 64 * 1024;

/// A file and what is in it.
#[derive(Debug)]
pub struct Captured {
    /// Opened once: what was hashed is what is uploaded.
    pub file: File,
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// In bytes.
    pub size: u64,
}

/// Opens a regular file by a path inside a folder; a `/` at its beginning means the folder. No part of
/// the path may be a symbolic link, since a step could point it at any file of the machine.
///
/// # Errors
/// The reason, as the server is told it.
pub fn open(folder: &Path, path: &str) -> Result<File, String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err("path-refused: it leaves the step's folder".to_owned());
    }
    let Some((name, folders)) = parts.split_last() else {
        return Err("path-refused: it names no file".to_owned());
    };
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at: OwnedFd = File::open(folder).map_err(|error| format!("folder-unreadable: {error}"))?.into();
    for part in folders {
        at = openat(&at, *part, read | OFlags::DIRECTORY, Mode::empty()).map_err(refusal)?;
    }
    // A pipe would wait for a writer.
    let file = openat(&at, *name, read | OFlags::NONBLOCK, Mode::empty()).map_err(refusal)?;
    let file = File::from(file);
    let is_file = file.metadata().is_ok_and(|data| data.is_file());
    if is_file { Ok(file) } else { Err("file-refused: not a regular file".to_owned()) }
}

fn refusal(error: Errno) -> String {
    match error {
        Errno::NOENT => "file-missing: the step left no such file".to_owned(),
        Errno::LOOP => "file-refused: a symbolic link".to_owned(),
        Errno::NOTDIR => "file-refused: what is on the way to it is not a folder, or is a symbolic link".to_owned(),
        error => format!("file-unreadable: {error}"),
    }
}

/// Opens a file like [`open`] and computes its digest.
///
/// # Errors
/// The reason, as the server is told it.
pub fn capture(folder: &Path, path: &str) -> Result<Captured, String> {
    let mut file = open(folder, path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let count = file.read(&mut buffer).map_err(|error| format!("file-unreadable: {error}"))?;
        if count == 0 {
            return Ok(Captured { file, digest: hash.finalize().into(), size });
        }
        hash.update(&buffer[..count]);
        size += count as u64;
    }
}

/// The contents of a file like [`open`]'s, if they are not longer than `longest` bytes; none if there
/// is no such file.
///
/// # Errors
/// The reason, as the server is told it.
pub fn read(folder: &Path, path: &str, longest: u64) -> Result<Option<Vec<u8>>, String> {
    let file = match open(folder, path) {
        Ok(file) => file,
        Err(reason) if reason.starts_with("file-missing") => return Ok(None),
        Err(reason) => return Err(reason),
    };
    let mut contents = Vec::new();
    file.take(longest + 1).read_to_end(&mut contents).map_err(|error| format!("file-unreadable: {error}"))?;
    if contents.len() as u64 > longest {
        return Err(format!("longer than {longest} bytes"));
    }
    Ok(Some(contents))
}

/// As the server writes digests: `sha256:` and 64 hexadecimal digits.
pub fn written(digest: &[u8]) -> String {
    format!("sha256:{}", hex::encode(digest))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::create_dir_all(path.join("output/deep")).unwrap();
        std::fs::write(path.join("output/report.json"), "{}").unwrap();
        symlink("/etc/passwd", path.join("output/link")).unwrap();
        symlink("/etc", path.join("etc")).unwrap();
        folder
    }

    #[test]
    fn a_path_of_the_pack_is_one_in_the_folder() {
        let folder = folder();
        for path in ["/output/report.json", "output/report.json", "./output//./report.json"] {
            let captured = capture(folder.path(), path).unwrap();
            assert_eq!(captured.size, 2);
            assert_eq!(
                written(&captured.digest),
                "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
            );
        }
    }

    #[test]
    fn what_is_not_a_file_of_the_step_is_refused() {
        let folder = folder();
        for (path, reason) in [
            ("/output/none", "file-missing"),
            ("/none/none", "file-missing"),
            ("../output/report.json", "path-refused"),
            ("/output/../output/report.json", "path-refused"),
            ("/", "path-refused"),
            ("", "path-refused"),
            ("/output/link", "file-refused"),
            ("/etc/passwd", "file-refused"),
            ("/output/deep", "file-refused"),
            ("/output/report.json/x", "file-refused"),
        ] {
            let error = open(folder.path(), path).unwrap_err();
            assert!(error.starts_with(reason), "{path}: {error}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let folder = folder();
        assert_eq!(read(folder.path(), "output/report.json", 2).unwrap().unwrap(), b"{}");
        assert!(read(folder.path(), "output/report.json", 1).is_err());
        assert_eq!(read(folder.path(), "output/none", 1).unwrap(), None);
    }
}
