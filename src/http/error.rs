//! The error envelope of everything that is not GraphQL: `{"error": {"code", "message", "traceId"}}`.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::identity::trace_id;
use crate::auth::AuthError;
use crate::service::ingest::writer::WriteError;

/// An error of a REST surface.
#[derive(Debug)]
pub struct RestError {
    /// The status.
    pub status: StatusCode,
    /// The stable code, in capitals; shown in `snake_case`.
    pub code: &'static str,
    /// One sentence for people. Never a cause from inside.
    pub message: String,
}

impl RestError {
    /// An error.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// What cannot be understood.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_USER_INPUT", message)
    }

    /// The envelope.
    #[must_use]
    pub fn envelope(&self, trace: &str) -> serde_json::Value {
        json!({"error": {"code": self.code.to_ascii_lowercase(), "message": self.message, "traceId": trace}})
    }

    /// The answer to a request.
    #[must_use]
    pub fn respond(&self, trace: &str) -> Response {
        let mut response = (self.status, Json(self.envelope(trace))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The answer to a method that a path does not have; the router adds those that it has.
pub async fn other_method(request: Request) -> Response {
    let message = "This path does not have this method.";
    RestError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message).respond(&trace_id(&request))
}

/// The answer to a path that there is not.
pub async fn unknown_path(request: Request) -> Response {
    let message = "There is no such path.";
    RestError::new(StatusCode::NOT_FOUND, "NOT_FOUND", message).respond(&trace_id(&request))
}

impl From<AuthError> for RestError {
    fn from(error: AuthError) -> Self {
        let (status, message) = match error {
            AuthError::Unauthenticated => (StatusCode::UNAUTHORIZED, "Send a known token: Authorization: Bearer …"),
            AuthError::TenantForbidden => (StatusCode::FORBIDDEN, "This token may not act in that tenant."),
            AuthError::TenantRequired => {
                (StatusCode::BAD_REQUEST, "This token has several tenants: name one by X-StellaOps-Tenant.")
            }
        };
        Self::new(status, error.code(), message)
    }
}

impl From<WriteError> for RestError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Unavailable | WriteError::Stopped => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "The database is unavailable; try again.")
            }
            WriteError::Failed => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "The records could not be written.")
            }
        }
    }
}
