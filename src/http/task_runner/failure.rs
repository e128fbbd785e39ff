//! What goes wrong, in the two shapes that the contract has for it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::domain::run::Refusal;
use crate::domain::taskpack::PlanError;
use crate::http::error::RestError;
use crate::service::query::QueryError;
use crate::service::run::RunError;
use crate::storage::StoreError;

/// Why a request has no other answer.
#[derive(Debug)]
pub enum Failure {
    /// What was sent is no plan: `PlanErrorResponse`.
    Plan(Vec<PlanError>),
    /// Anything else: `ErrorEnvelope`.
    Rest(RestError),
}

impl Failure {
    /// The answer.
    pub fn respond(&self, trace: &str) -> Response {
        match self {
            Self::Plan(errors) => (StatusCode::BAD_REQUEST, Json(plan_errors(errors))).into_response(),
            Self::Rest(error) => error.respond(trace),
        }
    }

    /// The answer of an operation whose 400 is a `PlanErrorResponse`: an error that is none of the plan
    /// is shown in both shapes.
    pub fn respond_planning(&self, trace: &str) -> Response {
        match self {
            Self::Rest(error) if error.status == StatusCode::BAD_REQUEST => {
                let path = if error.code.starts_with("TENANT") { "tenantId" } else { "request" };
                let mut body = plan_errors(&[PlanError { path: path.to_owned(), message: error.message.clone() }]);
                body["error"] = error.envelope(trace)["error"].take();
                (StatusCode::BAD_REQUEST, Json(body)).into_response()
            }
            _ => self.respond(trace),
        }
    }
}

fn plan_errors(errors: &[PlanError]) -> Value {
    let errors: Vec<Value> = errors.iter().map(|error| json!({"path": error.path, "message": error.message})).collect();
    json!({"errors": errors})
}

impl From<RestError> for Failure {
    fn from(error: RestError) -> Self {
        Self::Rest(error)
    }
}

impl From<Vec<PlanError>> for Failure {
    fn from(errors: Vec<PlanError>) -> Self {
        Self::Plan(errors)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::Plan(vec![error])
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let message = error.sentence();
        let (status, code) = match error {
            RunError::Plan(errors) => return Self::Plan(errors),
            RunError::BadRunId => return Self::Plan(vec![PlanError { path: "runId".to_owned(), message }]),
            RunError::Store(error) | RunError::Query(QueryError::Store(error)) => return error.into(),
            RunError::Query(_) | RunError::Broken => return internal(),
            RunError::Exists => (StatusCode::CONFLICT, "RUN_ID_CONFLICT"),
            RunError::KeyReused => (StatusCode::CONFLICT, "IDEMPOTENCY_CONFLICT"),
            RunError::NotFound => (StatusCode::NOT_FOUND, "RUN_NOT_FOUND"),
            RunError::Imported => (StatusCode::CONFLICT, "RUN_IMPORTED"),
            RunError::Refused(refusal) => refused(&refusal),
            RunError::LeaseLost => (StatusCode::CONFLICT, "LEASE_LOST"),
            RunError::UnknownArtifact(_) => (StatusCode::NOT_FOUND, "ARTIFACT_NOT_FOUND"),
            RunError::UnknownSubject(_)
            | RunError::TooLong(_)
            | RunError::BadClaim(..)
            | RunError::LinesMissing(_)
            | RunError::NotUploaded(_)
            | RunError::FilesWanted(_) => (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"),
        };
        Self::Rest(RestError::new(status, code, message))
    }
}

fn refused(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::UnknownApproval => (StatusCode::NOT_FOUND, "APPROVAL_NOT_FOUND"),
        Refusal::MissingGrants => (StatusCode::FORBIDDEN, "GRANTS_MISSING"),
        Refusal::PlanHashMismatch => (StatusCode::CONFLICT, "PLAN_HASH_MISMATCH"),
        Refusal::AlreadyDecided => (StatusCode::CONFLICT, "APPROVAL_ALREADY_DECIDED"),
        // Steps begin and end by workers, who have no route here.
        Refusal::RunNotActive | Refusal::NotReady | Refusal::NotRunning | Refusal::NoVerdict => {
            (StatusCode::CONFLICT, "RUN_NOT_ACTIVE")
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a run could not be read or written");
        if error.is_unavailable() {
            let message = "The database is unavailable; try again.";
            Self::Rest(RestError::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message))
        } else {
            internal()
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => error.into(),
            error => {
                tracing::error!(%error, "a question about a run has no answer");
                internal()
            }
        }
    }
}

fn internal() -> Failure {
    let message = "An unexpected error occurred.";
    Failure::Rest(RestError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message))
}
