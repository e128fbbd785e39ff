//! Expected failures of mutations: data, not errors, each a type of its own.

use async_graphql::{Interface, SimpleObject};

use crate::domain::run::Refusal;
use crate::domain::taskpack;
use crate::graphql::error::ApiError;
use crate::graphql::scalar::Int53;
use crate::graphql::types::lease::FileCapture;
use crate::service::run::RunError;

/// A failure that a client can expect.
#[expect(clippy::duplicated_attributes, reason = "each field has its own")]
#[derive(Clone, Interface)]
#[graphql(
    field(name = "code", ty = "&String", desc = "A stable word."),
    field(name = "message", ty = "&String", desc = "One sentence for people."),
    field(name = "path", ty = "&Option<Vec<String>>", desc = "Where in the input, if it is one place.")
)]
pub enum UserError {
    /// The manifest or its inputs are no plan.
    PlanInvalid(PlanInvalid),
    /// A run cannot be made of this input.
    InputInvalid(InputInvalid),
    /// There is a run of this name.
    RunIdConflict(RunIdConflict),
    /// The idempotency key was used for another request.
    IdempotencyKeyReused(IdempotencyKeyReused),
    /// There is no such run.
    RunNotFound(RunNotFound),
    /// The run has no such approval.
    ApprovalNotFound(ApprovalNotFound),
    /// The caller lacks grants that the approval asks for.
    GrantsMissing(GrantsMissing),
    /// The decision is about another plan than the run has.
    PlanHashMismatch(PlanHashMismatch),
    /// The approval was decided otherwise before.
    ApprovalAlreadyDecided(ApprovalAlreadyDecided),
    /// The run has ended.
    RunNotActive(RunNotActive),
    /// The run happens elsewhere.
    RunImported(RunImported),
    /// The worker has the step no more.
    LeaseLost(LeaseLost),
    /// Lines before the first one are missing.
    LogOutOfSequence(LogOutOfSequence),
    /// The worker has yet to say what became of files.
    CapturesNeeded(CapturesNeeded),
}

/// One thing that is wrong with a manifest or its inputs.
#[derive(Debug, Clone, SimpleObject)]
pub struct PlanProblem {
    /// Where: `spec.steps[1].gate.approval.id`, `inputs.target`; `manifest` for the text as a whole.
    path: String,
    /// What.
    message: String,
}

impl From<taskpack::PlanError> for PlanProblem {
    fn from(error: taskpack::PlanError) -> Self {
        Self { path: error.path, message: error.message }
    }
}

/// The manifest or its inputs are no plan.
#[derive(Debug, Clone, SimpleObject)]
pub struct PlanInvalid {
    /// A stable word.
    code: String,
    /// One sentence for people.
    message: String,
    /// Where in the input, if it is one place.
    path: Option<Vec<String>>,
    /// All that is wrong, the first 100.
    errors: Vec<PlanProblem>,
}

impl PlanInvalid {
    /// All that is wrong with a plan.
    #[must_use]
    pub fn new(errors: Vec<taskpack::PlanError>) -> Self {
        Self {
            code: "PLAN_INVALID".to_owned(),
            message: "The manifest or its inputs are no plan.".to_owned(),
            path: Some(vec!["input".to_owned(), "manifest".to_owned()]),
            errors: errors.into_iter().map(Into::into).collect(),
        }
    }
}

macro_rules! failures {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $message:literal, [$($path:literal),*];)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, SimpleObject)]
            pub struct $name {
                /// A stable word.
                code: String,
                /// One sentence for people.
                message: String,
                /// Where in the input, if it is one place.
                path: Option<Vec<String>>,
            }

            impl $name {
                /// The failure.
                #[must_use]
                pub fn new() -> Self {
                    let path: Vec<String> = [$($path),*].map(str::to_owned).to_vec();
                    let path = (!path.is_empty()).then_some(path);
                    Self { code: $code.to_owned(), message: $message.to_owned(), path }
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    Self::new()
                }
            }
        )+
    };
}

failures! {
    /// A run cannot be made of this input.
    InputInvalid = "INPUT_INVALID", "The input cannot be used.", ["input"];
    /// There is a run of this name.
    RunIdConflict = "RUN_ID_CONFLICT", "There is a run of this name.", ["input", "runId"];
    /// The idempotency key was used for another request.
    IdempotencyKeyReused = "IDEMPOTENCY_CONFLICT", "The idempotency key was used for another request.",
        ["input", "idempotencyKey"];
    /// There is no such run.
    RunNotFound = "RUN_NOT_FOUND", "There is no such run.", ["input", "runId"];
    /// The run has no such approval.
    ApprovalNotFound = "APPROVAL_NOT_FOUND", "The run has no such approval.", ["input", "approvalId"];
    /// The caller lacks grants that the approval asks for.
    GrantsMissing = "GRANTS_MISSING", "This approval asks for grants that you do not have.", ["input", "approvalId"];
    /// The decision is about another plan than the run has.
    PlanHashMismatch = "PLAN_HASH_MISMATCH", "The decision is about another plan than the run has.",
        ["input", "planHash"];
    /// The approval was decided otherwise before.
    ApprovalAlreadyDecided = "APPROVAL_ALREADY_DECIDED", "The approval was decided otherwise before.",
        ["input", "decision"];
    /// The run has ended.
    RunNotActive = "RUN_NOT_ACTIVE", "The run is not active any more.", ["input", "runId"];
    /// The run happens elsewhere, and is only reported here: nobody here can move it.
    RunImported = "RUN_IMPORTED", "The run happens elsewhere, and is only reported here.", ["input", "runId"];
    /// The worker has the step no more: its time was over, it has reported, or the run was cancelled.
    LeaseLost = "LEASE_LOST", "The lease does not hold any more.", ["input", "token"];
}

/// Lines before the first one are missing.
#[derive(Debug, Clone, SimpleObject)]
pub struct LogOutOfSequence {
    /// A stable word.
    code: String,
    /// One sentence for people.
    message: String,
    /// Where in the input, if it is one place.
    path: Option<Vec<String>>,
    /// The number of the line to go on from.
    next_seq: Int53,
}

/// The worker has yet to say what became of files.
#[derive(Debug, Clone, SimpleObject)]
pub struct CapturesNeeded {
    /// A stable word.
    code: String,
    /// One sentence for people.
    message: String,
    /// Where in the input, if it is one place.
    path: Option<Vec<String>>,
    /// The files: to be uploaded, or said not to be there, in the same report sent again.
    captures: Vec<FileCapture>,
}

impl InputInvalid {
    /// The failure of one field of the input.
    #[must_use]
    pub fn of(field: &str, message: String) -> Self {
        Self { message, path: Some(vec!["input".to_owned(), field.to_owned()]), ..Self::new() }
    }
}

/// The failure that a client can expect, of what a command ran into; other faults are errors.
///
/// # Errors
/// Faults of the server.
pub fn expected(error: RunError) -> Result<UserError, ApiError> {
    Ok(match error {
        RunError::Plan(errors) => PlanInvalid::new(errors).into(),
        RunError::BadRunId => InputInvalid::of("runId", error.sentence()).into(),
        RunError::TooLong(message) => InputInvalid { message: message.to_owned(), ..InputInvalid::new() }.into(),
        RunError::Exists => RunIdConflict::new().into(),
        RunError::KeyReused => IdempotencyKeyReused::new().into(),
        RunError::NotFound => RunNotFound::new().into(),
        RunError::Imported => RunImported::new().into(),
        RunError::Refused(Refusal::UnknownApproval) => ApprovalNotFound::new().into(),
        RunError::Refused(Refusal::MissingGrants) => GrantsMissing::new().into(),
        RunError::Refused(Refusal::PlanHashMismatch) => PlanHashMismatch::new().into(),
        RunError::Refused(Refusal::AlreadyDecided) => ApprovalAlreadyDecided::new().into(),
        RunError::Refused(Refusal::NoVerdict) => InputInvalid::of("outputs", error.sentence()).into(),
        RunError::Refused(_) => RunNotActive::new().into(),
        RunError::LeaseLost => LeaseLost::new().into(),
        RunError::BadClaim(field, message) => InputInvalid::of(field, message).into(),
        RunError::LinesMissing(next) => LogOutOfSequence {
            code: "LOG_OUT_OF_SEQUENCE".to_owned(),
            message: error.sentence(),
            path: Some(vec!["input".to_owned(), "firstSeq".to_owned()]),
            next_seq: Int53(next),
        }
        .into(),
        RunError::UnknownArtifact(_) | RunError::NotUploaded(_) => {
            InputInvalid::of("artifacts", error.sentence()).into()
        }
        RunError::FilesWanted(files) => CapturesNeeded {
            code: "CAPTURES_NEEDED".to_owned(),
            message: "Files are to be looked for first.".to_owned(),
            path: Some(vec!["input".to_owned(), "artifacts".to_owned()]),
            captures: files.into_iter().map(Into::into).collect(),
        }
        .into(),
        RunError::UnknownSubject(_) => InputInvalid::of("subjects", error.sentence()).into(),
        RunError::Store(error) => return Err(error.into()),
        RunError::Query(error) => return Err(error.into()),
        RunError::Broken => return Err(ApiError::internal()),
    })
}
