//! The one error of resolvers: a stable code and a sentence. It has no `Display` on purpose, since
//! the executor shows clients whatever has one.

use async_graphql::{Error, ErrorExtensions};

use super::code;
use crate::service::ingest::writer::WriteError;
use crate::service::query::QueryError;
use crate::storage::StoreError;

/// What a client is told.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: &'static str,
    message: String,
}

impl ApiError {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The request cannot be meant so.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(code::BAD_USER_INPUT, message)
    }

    /// What is asked about is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(code::NOT_FOUND, message)
    }

    /// The caller may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(code::FORBIDDEN, message)
    }

    /// Nobody is known to be asking.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(code::UNAUTHENTICATED, "Authenticate first.")
    }

    /// The store, or the writer, is away.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(code::UNAVAILABLE, "The store is unavailable; try again.")
    }

    /// A fault of ours; the cause is in the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(code::INTERNAL, "The server failed; its log has the cause.")
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::new(error.message).extend_with(|_, extensions| extensions.set("code", error.code))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a read failed");
        if error.is_unavailable() { Self::unavailable() } else { Self::internal() }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::AmbiguousSource => {
                Self::new(code::AMBIGUOUS_SOURCE, "There are several sources: name one with the argument \"source\".")
            }
            QueryError::NotSupportedAsOf(_) => Self::new(
                code::NOT_SUPPORTED_AS_OF,
                "This is answered as of the latest commit only: ask for it outside of asOf.",
            ),
            QueryError::NotExported | QueryError::NoCommit(_) => Self::internal(),
            QueryError::Question(error) => Self::bad_input(error.to_string()),
            QueryError::TooMany(most, instead) => {
                Self::bad_input(format!("The answer would have more than {most} parts: {instead}."))
            }
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unavailable | WriteError::Stopped => Self::unavailable(),
            WriteError::Failed => Self::internal(),
        }
    }
}
