//! Creating, deciding and cancelling runs.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject, Union};

use crate::auth::Scope;
use crate::domain::run::Decide;
use crate::graphql::context::RequestContext;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::permission::Needs;
use crate::graphql::query::run::inputs;
use crate::graphql::scalar::{Digest, Json};
use crate::graphql::types::lineage_node::entity_of;
use crate::graphql::types::run::Run;
use crate::graphql::types::run_parts::ApprovalDecision;
use crate::graphql::types::user_error::{
    ApprovalAlreadyDecided, ApprovalNotFound, GrantsMissing, IdempotencyKeyReused, InputInvalid, PlanHashMismatch,
    PlanInvalid, RunIdConflict, RunImported, RunNotActive, RunNotFound, UserError, expected,
};
use crate::graphql::view::View;
use crate::service::run::{CreateRun, Runs, Subject};

/// A run to be created.
#[derive(InputObject)]
struct CreateRunInput {
    /// Its name, 1 to 128 letters, digits, `-` or `_`; made up where there is none.
    run_id: Option<String>,
    /// The manifest of its pack, YAML; 256 KiB at most.
    manifest: String,
    /// The inputs, an object.
    inputs: Option<Json>,
    /// The global ids of what it acts on: clusters, packs, digests, any node; 100 at most.
    subjects: Option<Vec<ID>>,
    /// Tells a creation that is repeated, 1 to 255 bytes: the same creation with the same key is answered with
    /// the run of the first one.
    idempotency_key: Option<String>,
}

/// A decision of an approval.
#[derive(InputObject)]
struct DecideApprovalInput {
    /// The run.
    run_id: String,
    /// The approval; of the override of a policy gate, the id of its step.
    approval_id: String,
    /// What is decided.
    decision: ApprovalDecision,
    /// The hash of the plan that was looked at: must be that of the run.
    plan_hash: Digest,
    /// Why.
    summary: Option<String>,
    /// Who decides, where the caller acts for somebody. Recorded beside the caller.
    actor_id: Option<String>,
}

/// A run to be cancelled.
#[derive(InputObject)]
struct CancelRunInput {
    /// The run.
    run_id: String,
}

/// The run was created, by this call or by the one that it repeats.
#[derive(SimpleObject)]
struct CreateRunSuccess {
    /// The run.
    run: Run,
    /// Whether this call created it.
    created: bool,
}

/// The decision holds.
#[derive(SimpleObject)]
struct DecideApprovalSuccess {
    /// What was decided.
    decision: ApprovalDecision,
    /// Whether a gate was waiting and the run went on. A decision that is repeated has the answer of the first.
    resumed: bool,
    /// The run.
    run: Run,
}

/// The run is cancelled.
#[derive(SimpleObject)]
struct CancelRunSuccess {
    /// The run.
    run: Run,
}

/// What became of a creation.
#[derive(Union)]
enum CreateRunResult {
    /// The run was created.
    Success(CreateRunSuccess),
    /// There is no plan.
    PlanInvalid(PlanInvalid),
    /// The input cannot be used.
    InputInvalid(InputInvalid),
    /// There is a run of this name.
    RunIdConflict(RunIdConflict),
    /// The key was used for another request.
    IdempotencyKeyReused(IdempotencyKeyReused),
}

/// What became of a decision.
#[derive(Union)]
enum DecideApprovalResult {
    /// It holds.
    Success(DecideApprovalSuccess),
    /// The input cannot be used.
    InputInvalid(InputInvalid),
    /// There is no such run.
    RunNotFound(RunNotFound),
    /// The run has no such approval.
    ApprovalNotFound(ApprovalNotFound),
    /// The caller lacks grants.
    GrantsMissing(GrantsMissing),
    /// It is about another plan.
    PlanHashMismatch(PlanHashMismatch),
    /// It was decided otherwise before.
    AlreadyDecided(ApprovalAlreadyDecided),
    /// The run has ended.
    RunNotActive(RunNotActive),
    /// It happens elsewhere.
    RunImported(RunImported),
}

/// What became of a cancellation.
#[derive(Union)]
enum CancelRunResult {
    /// It is cancelled.
    Success(CancelRunSuccess),
    /// There is no such run.
    RunNotFound(RunNotFound),
    /// It completed or failed before.
    RunNotActive(RunNotActive),
    /// It happens elsewhere.
    RunImported(RunImported),
}

/// The commands of a request.
///
/// # Errors
/// On a server that only reads.
pub(super) fn runs(request: &RequestContext) -> Result<&Runs, ApiError> {
    if request.writer.is_none() {
        return Err(ApiError::unavailable());
    }
    Ok(&request.runs)
}

/// What ids name; `None` if one is no node of the graph.
fn subjects(ids: Vec<ID>) -> Option<Vec<Subject>> {
    let subject = |id: ID| {
        let entity = entity_of(GlobalId::decode(&id).ok()?)?;
        Some(Subject { id: id.to_string(), entity })
    };
    ids.into_iter().map(subject).collect()
}

/// A run as it is after a command. Not of the view of the request: that may be older.
async fn after(request: &RequestContext, run_id: &str) -> Result<Run, ApiError> {
    let view = View::now(&request.store, Arc::clone(&request.tenant), request.largest_page).await?;
    Run::find(&view, run_id).await?.ok_or_else(ApiError::internal)
}

/// The mutations of runs.
#[derive(Default)]
pub struct RunMutation;

#[Object]
impl RunMutation {
    /// Creates a run of a task pack, and lets it go as far as it goes without workers and decisions.
    #[graphql(guard = "Needs(Scope::Operator)")]
    async fn create_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run.")] input: CreateRunInput,
    ) -> Result<CreateRunResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        let inputs = match inputs(input.inputs) {
            Ok(inputs) => inputs,
            Err(refused) => return Ok(refused.into()),
        };
        let Some(subjects) = subjects(input.subjects.unwrap_or_default()) else {
            let refused = InputInvalid::of("subjects", "A subject is the global id of a node of the graph.".to_owned());
            return Ok(refused.into());
        };
        let asked = CreateRun {
            run_id: input.run_id,
            manifest: input.manifest,
            inputs,
            subjects,
            idempotency_key: input.idempotency_key,
        };
        match runs(request)?.create(&request.tenant, &request.principal.subject, asked).await {
            Ok((run_id, created)) => Ok(CreateRunSuccess { run: after(request, &run_id).await?, created }.into()),
            Err(error) => match expected(error)? {
                UserError::PlanInvalid(refused) => Ok(refused.into()),
                UserError::InputInvalid(refused) => Ok(refused.into()),
                UserError::RunIdConflict(refused) => Ok(refused.into()),
                UserError::IdempotencyKeyReused(refused) => Ok(refused.into()),
                _ => Err(ApiError::internal()),
            },
        }
    }

    /// Decides an approval of a run, once: whoever decides first wins, and a decision that is repeated has the
    /// answer of the first. One that is decided before its gate is reached is kept for it.
    #[graphql(guard = "Needs(Scope::Operator)")]
    async fn decide_approval(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The decision.")] input: DecideApprovalInput,
    ) -> Result<DecideApprovalResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        let grants = &request.principal.grants;
        let asked = Decide {
            approval: &input.approval_id,
            decision: input.decision.into(),
            plan_hash: &input.plan_hash.0.to_string(),
            actor: &request.principal.subject,
            claimed_actor: input.actor_id.as_deref(),
            summary: input.summary.as_deref(),
            has_grant: &|grant| grants.has(grant),
        };
        match runs(request)?.decide(&request.tenant, &input.run_id, &asked).await {
            Ok(decided) => {
                let run = after(request, &input.run_id).await?;
                let (decision, resumed) = (decided.decision.into(), decided.resumed);
                Ok(DecideApprovalSuccess { decision, resumed, run }.into())
            }
            Err(error) => match expected(error)? {
                UserError::InputInvalid(refused) => Ok(refused.into()),
                UserError::RunNotFound(refused) => Ok(refused.into()),
                UserError::ApprovalNotFound(refused) => Ok(refused.into()),
                UserError::GrantsMissing(refused) => Ok(refused.into()),
                UserError::PlanHashMismatch(refused) => Ok(refused.into()),
                UserError::ApprovalAlreadyDecided(refused) => Ok(refused.into()),
                UserError::RunNotActive(refused) => Ok(refused.into()),
                UserError::RunImported(refused) => Ok(refused.into()),
                _ => Err(ApiError::internal()),
            },
        }
    }

    /// Cancels a run: what has not ended is skipped, what runs is taken from its worker. A run that was
    /// cancelled before stays as it is.
    #[graphql(guard = "Needs(Scope::Operator)")]
    async fn cancel_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run.")] input: CancelRunInput,
    ) -> Result<CancelRunResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        match runs(request)?.cancel(&request.tenant, &input.run_id, &request.principal.subject).await {
            Ok(()) => Ok(CancelRunSuccess { run: after(request, &input.run_id).await? }.into()),
            Err(error) => match expected(error)? {
                UserError::RunNotFound(refused) => Ok(refused.into()),
                UserError::RunNotActive(refused) => Ok(refused.into()),
                UserError::RunImported(refused) => Ok(refused.into()),
                _ => Err(ApiError::internal()),
            },
        }
    }
}
