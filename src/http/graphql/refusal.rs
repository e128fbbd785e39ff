//! Answers to requests that are not executed.

use async_graphql::{ServerError, Value};
use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER};

use crate::graphql::code;
use crate::graphql::guard::{Cause, GuardError};

/// Why a request gets no result: the status, one coded error, and headers that go with them.
#[derive(Debug)]
pub struct Refusal {
    /// The status of the response.
    pub status: StatusCode,
    /// The one error of the response.
    pub error: Box<ServerError>,
    /// Headers that tell the client how to do better.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with `code` in its error's extensions.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let mut error = ServerError::new(message, None);
        error.extensions.get_or_insert_default().set("code", code);
        Self { status, error: Box::new(error), headers: Vec::new() }
    }

    /// The request is not a GraphQL request.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::BAD_USER_INPUT, message)
    }

    /// The guard stopped the request. A document that any server would refuse is a GraphQL
    /// response, whose status is 200 where the media type has no other.
    #[must_use]
    pub fn guarded(error: GuardError, invalid: StatusCode) -> Self {
        let status = match error.cause {
            Cause::Invalid => invalid,
            Cause::Limit => StatusCode::BAD_REQUEST,
        };
        Self { status, error: Box::new(error.into()), headers: Vec::new() }
    }

    /// The method is not served; `allow` lists those that are.
    pub fn method(allow: &'static str, message: &str) -> Self {
        let refusal = Self::new(StatusCode::METHOD_NOT_ALLOWED, code::METHOD_NOT_ALLOWED, message);
        refusal.with(ALLOW, HeaderValue::from_static(allow))
    }

    /// The principal must wait `seconds`.
    pub fn rate_limited(seconds: u64, message: &str) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, message);
        refusal.with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The server is full.
    pub fn overloaded() -> Self {
        let message = "The server has as many operations in flight as it takes.";
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, code::OVERLOADED, message);
        refusal.with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The body is of another media type.
    #[must_use]
    pub fn not_json() -> Self {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, code::UNSUPPORTED_MEDIA_TYPE, "Send the request as application/json.")
    }

    /// The operation takes longer than it may.
    #[must_use]
    pub fn too_long() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, code::TIMEOUT, "The operation took too long.")
    }

    /// The operation panicked; the trace id leads to the log.
    #[must_use]
    pub fn internal(trace: &str) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let mut refusal = Self::new(status, code::INTERNAL, super::reply::INTERNAL_MESSAGE);
        let extensions = refusal.error.extensions.get_or_insert_default();
        extensions.set("traceId", Value::from(trace));
        refusal
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}
