//! What workers do: claim steps, tell that they live, append lines, and report.

use std::time::Duration;

use async_graphql::{Context, InputObject, Object, SimpleObject, Union};

use super::run::runs;
use crate::auth::Scope;
use crate::graphql::context::RequestContext;
use crate::graphql::error::ApiError;
use crate::graphql::patience::Patience;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::{DateTime, Digest, Int53, Json};
use crate::graphql::types::lease::{StepLease, StepLogLineInput, StepLogStream, seconds};
use crate::graphql::types::user_error::{
    CapturesNeeded, InputInvalid, LeaseLost, LogOutOfSequence, UserError, expected,
};
use crate::service::run::work::{Abilities, Claim, FileReport, Line, MAX_WAIT, Report};

/// A claim of steps.
#[derive(InputObject)]
struct ClaimStepsInput {
    /// What the worker calls itself, for people; 1 to 255 bytes.
    worker: String,
    /// What it can do, as patterns over what steps use, `*` for any characters: `builtin:*`, `scan`; for the
    /// policies that it evaluates `policy:` and their ids. What its access token does not let it do is left out.
    capabilities: Vec<String>,
    /// How many steps at most, 1 to 100.
    #[graphql(default = 1)]
    max: i32,
    /// How long to wait for the first one, at most 30 seconds.
    #[graphql(default)]
    wait_seconds: i32,
    /// How long the lease holds after each sign of life, 1 to 3,600 seconds.
    #[graphql(default = 30)]
    lease_seconds: i32,
}

/// A sign of life.
#[derive(InputObject)]
struct HeartbeatStepInput {
    /// The token of the lease.
    token: String,
}

/// Lines that a step wrote.
#[derive(InputObject)]
struct AppendStepLogsInput {
    /// The token of the lease.
    token: String,
    /// The number of the first line: each attempt numbers its lines from 0.
    first_seq: Int53,
    /// The lines, 10,000 at most.
    lines: Vec<StepLogLineInput>,
}

/// What became of a file that the run is to leave behind.
#[derive(InputObject)]
struct StepArtifactInput {
    /// The name of the artifact.
    name: String,
    /// The digest of the content that was uploaded; null if there is none.
    sha256: Option<Digest>,
    /// Why there is none.
    note: Option<String>,
}

/// A step is done.
#[derive(InputObject)]
struct CompleteStepInput {
    /// The token of the lease.
    token: String,
    /// What it gave, 256 KiB at most; of a policy an object whose `allowed` is true or false.
    outputs: Option<Json>,
    /// What became of the files that the run is to leave behind.
    #[graphql(default)]
    artifacts: Vec<StepArtifactInput>,
}

/// An attempt failed.
#[derive(InputObject)]
struct FailStepInput {
    /// The token of the lease.
    token: String,
    /// Why; what is beyond 4 KiB is cut.
    error: String,
    /// Whether another attempt is of any use. How many there are is the pack's to say.
    #[graphql(default = true)]
    retryable: bool,
}

/// A step is given back.
#[derive(InputObject)]
struct ReleaseStepInput {
    /// The token of the lease.
    token: String,
}

/// The steps that were claimed.
#[derive(SimpleObject)]
struct ClaimStepsSuccess {
    /// One for each step; empty if there was none in time.
    leases: Vec<StepLease>,
}

/// The worker was heard.
#[derive(SimpleObject)]
struct HeartbeatStepSuccess {
    /// When the lease ends without another sign of life.
    expires_at: DateTime,
    /// The same, in whole seconds from now.
    lease_seconds: i32,
    /// Whether the worker is to stop: the run was cancelled, and the step is no longer its own.
    cancel_requested: bool,
}

/// The lines are in the run's log.
#[derive(SimpleObject)]
struct AppendStepLogsSuccess {
    /// The number of the next line.
    next_seq: Int53,
    /// Whether the worker is to stop: the run was cancelled, and its log has ended.
    cancel_requested: bool,
    /// Whether the run's log is full: its steps' lines are not kept any more, and it says so.
    truncated: bool,
}

/// The report was taken, now or when it came first.
#[derive(SimpleObject)]
struct CompleteStepSuccess {
    /// True.
    ok: bool,
}

/// The report was taken, now or when it came first.
#[derive(SimpleObject)]
struct FailStepSuccess {
    /// True.
    ok: bool,
}

/// The step was given back, now or when that was said first.
#[derive(SimpleObject)]
struct ReleaseStepSuccess {
    /// True.
    ok: bool,
}

/// What became of a claim.
#[derive(Union)]
enum ClaimStepsResult {
    /// Steps, or none.
    Success(ClaimStepsSuccess),
    /// The input cannot be used.
    InputInvalid(InputInvalid),
}

/// What became of a sign of life.
#[derive(Union)]
enum HeartbeatStepResult {
    /// It was heard.
    Success(HeartbeatStepSuccess),
    /// The worker has the step no more.
    LeaseLost(LeaseLost),
}

/// What became of lines.
#[derive(Union)]
enum AppendStepLogsResult {
    /// They are kept.
    Success(AppendStepLogsSuccess),
    /// Lines before the first are missing.
    OutOfSequence(LogOutOfSequence),
    /// The worker has the step no more.
    LeaseLost(LeaseLost),
    /// The input cannot be used.
    InputInvalid(InputInvalid),
}

/// What became of a report.
#[derive(Union)]
enum CompleteStepResult {
    /// It was taken.
    Success(CompleteStepSuccess),
    /// The worker has yet to say what became of files.
    CapturesNeeded(CapturesNeeded),
    /// The worker has the step no more.
    LeaseLost(LeaseLost),
    /// The input cannot be used.
    InputInvalid(InputInvalid),
}

/// What became of a report.
#[derive(Union)]
enum FailStepResult {
    /// It was taken.
    Success(FailStepSuccess),
    /// The worker has the step no more.
    LeaseLost(LeaseLost),
}

/// What became of a report.
#[derive(Union)]
enum ReleaseStepResult {
    /// It was taken.
    Success(ReleaseStepSuccess),
    /// The worker has the step no more.
    LeaseLost(LeaseLost),
}

async fn report(request: &RequestContext, token: &str, report: Report) -> Result<Option<UserError>, ApiError> {
    match runs(request)?.report(&request.tenant, &request.principal.subject, token, report).await {
        Ok(()) => Ok(None),
        Err(error) => expected(error).map(Some),
    }
}

/// The mutations of workers.
#[derive(Default)]
pub struct WorkMutation;

#[Object]
impl WorkMutation {
    /// Gives steps to a worker, those that wait longest first. The worker has each for as long as it is heard of:
    /// by heartbeats, or by the lines that it appends. A lease that ends otherwise is a failed attempt.
    #[graphql(guard = "Needs(Scope::Worker)")]
    async fn claim_steps(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The claim.")] input: ClaimStepsInput,
    ) -> Result<ClaimStepsResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        let wait = Duration::from_secs(u64::try_from(input.wait_seconds).unwrap_or(u64::MAX));
        if wait > MAX_WAIT {
            let message = format!("A claim waits 0 to {} seconds.", MAX_WAIT.as_secs());
            return Ok(InputInvalid::of("waitSeconds", message).into());
        }
        let claim = Claim {
            worker: input.worker,
            abilities: Abilities::new(input.capabilities, request.principal.capabilities.iter().cloned()),
            max: usize::try_from(input.max).unwrap_or(0),
            lease_seconds: i64::from(input.lease_seconds),
        };
        let may_wait = wait.is_zero() || ctx.data_opt::<std::sync::Arc<Patience>>().is_none_or(|p| p.wait(wait));
        let wait = if may_wait { wait } else { Duration::ZERO };
        match runs(request)?.claim(&request.tenant, &request.principal.subject, &claim, wait).await {
            Ok(granted) => Ok(ClaimStepsSuccess { leases: granted.into_iter().map(Into::into).collect() }.into()),
            Err(error) => match expected(error)? {
                UserError::InputInvalid(refused) => Ok(refused.into()),
                _ => Err(ApiError::internal()),
            },
        }
    }

    /// Tells that a worker lives: its lease holds on from now. It says whether the worker is to stop.
    #[graphql(guard = "Needs(Scope::Worker)")]
    async fn heartbeat_step(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The sign of life.")] input: HeartbeatStepInput,
    ) -> Result<HeartbeatStepResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        match runs(request)?.heartbeat(&request.tenant, &request.principal.subject, &input.token).await {
            Ok(renewed) => Ok(HeartbeatStepSuccess {
                expires_at: DateTime(renewed.expires_at),
                lease_seconds: seconds(renewed.lease_seconds),
                cancel_requested: renewed.is_cancelled,
            }
            .into()),
            Err(error) => match expected(error)? {
                UserError::LeaseLost(refused) => Ok(refused.into()),
                _ => Err(ApiError::internal()),
            },
        }
    }

    /// Appends lines of a step to the log of its run. It is a sign of life. Lines that are there already are not
    /// appended again, so that a worker without an answer sends them once more.
    #[graphql(guard = "Needs(Scope::Worker)")]
    async fn append_step_logs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lines.")] input: AppendStepLogsInput,
    ) -> Result<AppendStepLogsResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        let line = |line: StepLogLineInput| Line {
            text: line.text,
            is_stderr: line.stream == StepLogStream::Stderr,
            level: line.level.map(Into::into),
        };
        let lines: Vec<Line> = input.lines.into_iter().map(line).collect();
        let (tenant, principal) = (&request.tenant, &request.principal.subject);
        match runs(request)?.append_lines(tenant, principal, &input.token, input.first_seq.0, &lines).await {
            Ok(appended) => Ok(AppendStepLogsSuccess {
                next_seq: Int53(appended.next_line),
                cancel_requested: appended.is_cancelled,
                truncated: appended.is_truncated,
            }
            .into()),
            Err(error) => match expected(error)? {
                UserError::LogOutOfSequence(refused) => Ok(refused.into()),
                UserError::LeaseLost(refused) => Ok(refused.into()),
                UserError::InputInvalid(refused) => Ok(refused.into()),
                _ => Err(ApiError::internal()),
            },
        }
    }

    /// A step is done. The same report again is taken again, and changes nothing.
    #[graphql(guard = "Needs(Scope::Worker)")]
    async fn complete_step(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The report.")] input: CompleteStepInput,
    ) -> Result<CompleteStepResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        let file = |file: StepArtifactInput| FileReport {
            name: file.name,
            digest: file.sha256.map(|digest| digest.0),
            note: file.note,
        };
        let completed = Report::Completed {
            outputs: input.outputs.map_or(serde_json::Value::Null, |outputs| outputs.0),
            files: input.artifacts.into_iter().map(file).collect(),
        };
        match report(request, &input.token, completed).await? {
            None => Ok(CompleteStepSuccess { ok: true }.into()),
            Some(UserError::CapturesNeeded(refused)) => Ok(refused.into()),
            Some(UserError::LeaseLost(refused)) => Ok(refused.into()),
            Some(UserError::InputInvalid(refused)) => Ok(refused.into()),
            Some(_) => Err(ApiError::internal()),
        }
    }

    /// An attempt failed. Whether there is another one is decided by the pack's failure policy.
    #[graphql(guard = "Needs(Scope::Worker)")]
    async fn fail_step(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The report.")] input: FailStepInput,
    ) -> Result<FailStepResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        let failed = Report::Failed { error: input.error, is_retryable: input.retryable };
        match report(request, &input.token, failed).await? {
            None => Ok(FailStepSuccess { ok: true }.into()),
            Some(UserError::LeaseLost(refused)) => Ok(refused.into()),
            Some(_) => Err(ApiError::internal()),
        }
    }

    /// A worker that did nothing with a step gives it back: the attempt does not count.
    #[graphql(guard = "Needs(Scope::Worker)")]
    async fn release_step(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The step.")] input: ReleaseStepInput,
    ) -> Result<ReleaseStepResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        match report(request, &input.token, Report::Released).await? {
            None => Ok(ReleaseStepSuccess { ok: true }.into()),
            Some(UserError::LeaseLost(refused)) => Ok(refused.into()),
            Some(_) => Err(ApiError::internal()),
        }
    }
}
