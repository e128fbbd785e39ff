//! What can go wrong with artifacts' content.
//!
//! Texts are safe for logs: answers of an S3 service repeat signed headers, among them session
//! tokens, so that no text of a foreign error gets into ours.

use std::error::Error;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

use crate::domain::digest::Digest;

/// An error of whoever sends a body.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A failure of the store of artifacts.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The body is longer than it may be.
    #[error("the artifact is larger than {limit} bytes")]
    TooLarge {
        /// The largest body, in bytes.
        limit: u64,
    },
    /// The body is not the content that was announced.
    #[error("the content's digest is {found}")]
    DigestMismatch {
        /// The digest of the body.
        found: Digest,
    },
    /// The body ended with an error.
    #[error("the upload broke off")]
    BodyBroke(#[source] BodyError),
    /// The content is not stored.
    #[error("no such artifact")]
    NotFound,
    /// The range is not within the content.
    #[error("the range is not within the artifact")]
    OutOfRange,
    /// What is stored is not the content of its digest: something else wrote or cut it.
    #[error("a stored artifact is damaged: {stored} bytes instead of {expected}")]
    Damaged {
        /// How many bytes there are.
        stored: u64,
        /// How many there should be.
        expected: u64,
    },
    /// The store cannot be used now, or not by this process; the text says what failed.
    #[error("the artifact store is unavailable: {0}")]
    Unavailable(String),
    /// The store's URL is wrong; the text says how, without repeating the URL.
    #[error("artifact store URL: {0}")]
    BadUrl(String),
    /// The tenant's name is not one.
    #[error("a tenant's name has 1 to 253 letters, digits, `-`, `_` or `.`")]
    BadTenant,
}

impl ArtifactError {
    /// Whether a later try may succeed.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// A step of ours failed on the file system.
    pub(super) fn io(doing: &str, error: &io::Error) -> Self {
        Self::Unavailable(format!("{doing}: {}", io_cause(error)))
    }

    /// A step of ours did not run to its end: the runtime is shutting down.
    pub(super) fn stopped(doing: &str) -> Self {
        Self::Unavailable(format!("{doing}: stopped"))
    }
}

/// An error of the object store while `doing` something.
pub(super) fn failed(doing: &str, error: &object_store::Error) -> ArtifactError {
    match error {
        object_store::Error::NotFound { .. } => ArtifactError::NotFound,
        _ => ArtifactError::Unavailable(format!("{doing}: {}", cause(error))),
    }
}

/// The innermost cause that has a text of its own, else the kind of the error.
fn cause(error: &object_store::Error) -> String {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(link) = next {
        if let Some(error) = link.downcast_ref::<HttpError>() {
            return http_cause(error.kind()).to_owned();
        }
        if let Some(error) = link.downcast_ref::<io::Error>() {
            return io_cause(error);
        }
        next = link.source();
    }
    match error {
        object_store::Error::PermissionDenied { .. } => "permission denied",
        object_store::Error::Unauthenticated { .. } => "the credentials are not accepted",
        object_store::Error::NotFound { .. } => "not found",
        object_store::Error::JoinError { .. } => "stopped",
        _ => "the store answered with an error",
    }
    .to_owned()
}

/// The system's own text; the text of any other error of I/O could be anyone's.
fn io_cause(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => error.to_string(),
        None => error.kind().to_string(),
    }
}

fn http_cause(kind: HttpErrorKind) -> &'static str {
    match kind {
        HttpErrorKind::Connect => "cannot connect",
        HttpErrorKind::Timeout => "no answer in time",
        HttpErrorKind::Interrupted => "the connection broke",
        HttpErrorKind::Decode => "the answer cannot be read",
        _ => "the request failed",
    }
}
