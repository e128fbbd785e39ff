//! Runs of task packs, what waits for whom, and what a run would do.

use async_graphql::{Context, InputObject, Object, Union};

use crate::auth::Scope;
use crate::domain::run::ApprovalStatus;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::{RequestContext, Seat};
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::{DateTime, Json};
use crate::graphql::types::objective::{TaskPackObjectives, WorkQueue};
use crate::graphql::types::run::{Run, RunStatus};
use crate::graphql::types::run_parts::{RunApproval, RunApprovalStatus};
use crate::graphql::types::simulation::Simulation;
use crate::graphql::types::user_error::{InputInvalid, PlanInvalid, UserError, expected};
use crate::service::query::RunsAsked;
use crate::storage::{ApprovalFilter as Asked, ApprovalPlace, Page, Rows, RunPlace};

/// What narrows a list of runs. All that is given must hold.
#[derive(Debug, Clone, Default, InputObject)]
pub struct RunFilter {
    /// Only of this pack.
    pack: Option<String>,
    /// Only those that stand here.
    status: Option<RunStatus>,
    /// Only created at this time or later.
    created_after: Option<DateTime>,
    /// Only created before this time.
    created_before: Option<DateTime>,
}

/// What narrows a list of approvals. All that is given must hold.
#[derive(Debug, Clone, InputObject)]
pub struct ApprovalFilter {
    /// Only those that stand here; those that a gate waits for, unless said otherwise.
    #[graphql(default_with = "RunApprovalStatus::Waiting")]
    pub status: RunApprovalStatus,
    /// Only of this run.
    pub run_id: Option<String>,
}

impl RunFilter {
    /// What is asked.
    #[must_use]
    pub fn asked(&self) -> RunsAsked {
        RunsAsked {
            pack: self.pack.clone().filter(|pack| !pack.is_empty()),
            status: self.status.map(Into::into),
            created_from: self.created_after.map(|at| at.0),
            created_until: self.created_before.map(|at| at.0),
        }
    }
}

impl Default for ApprovalFilter {
    fn default() -> Self {
        Self { status: RunApprovalStatus::Waiting, run_id: None }
    }
}

/// A manifest to be planned.
#[derive(InputObject)]
struct SimulateTaskPackInput {
    /// The manifest, YAML; 256 KiB at most.
    manifest: String,
    /// The inputs, an object.
    inputs: Option<Json>,
}

/// What became of a simulation.
#[derive(Union)]
enum SimulateTaskPackResult {
    /// What a run would do.
    Simulation(Simulation),
    /// There is no plan.
    PlanInvalid(PlanInvalid),
    /// The input cannot be used.
    InputInvalid(InputInvalid),
}

/// The inputs of a task pack.
///
/// # Errors
/// If they are no object.
pub fn inputs(given: Option<Json>) -> Result<serde_json::Map<String, serde_json::Value>, InputInvalid> {
    match given.map(|Json(value)| value) {
        None | Some(serde_json::Value::Null) => Ok(serde_json::Map::new()),
        Some(serde_json::Value::Object(members)) => Ok(members),
        Some(_) => Err(InputInvalid::of("inputs", "The inputs are an object.".to_owned())),
    }
}

/// The root fields of runs.
#[derive(Clone, Default)]
pub struct RunQuery(pub Seat);

#[Object]
impl RunQuery {
    /// A run by its name; null if there is none.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its name.")] run_id: String,
    ) -> Result<Option<Run>, ApiError> {
        Run::find(&self.0.view(ctx).await?, &run_id).await
    }

    /// The runs, newest first.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<RunFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<Run>, ApiError> {
        let view = self.0.view(ctx).await?;
        let asked = filter.unwrap_or_default().asked();
        let listed = List::new(&view, "runs", &asked);
        let page: Page<RunPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = view.scope().list_runs(&asked, &page).await?;
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let (scope, asked) = (scope.clone(), asked.clone());
            async move { Ok(scope.count_runs(&asked).await?) }
        });
        Ok(Connection::new(
            &listed,
            &page,
            rows,
            total,
            |run| (run.created_at, run.id),
            |run| Run::new(&view, std::sync::Arc::new(run)),
        ))
    }

    /// Approvals of all runs: unless asked otherwise those that a gate waits for, the one that waits longest
    /// first. What waits for you is decidable by you.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn approvals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<ApprovalFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<RunApproval>, ApiError> {
        let view = self.0.view(ctx).await?;
        let filter = filter.unwrap_or_default();
        let status: ApprovalStatus = filter.status.into();
        let listed = List::new(&view, "approvals", &(status, &filter.run_id));
        let page: Page<ApprovalPlace> = PageArgs::new(first, after, last, before).page(&listed)?;
        let run = match &filter.run_id {
            Some(run_id) => Some(view.scope().find_run(run_id).await?.map_or(i64::MAX, |run| run.id)),
            None => None,
        };
        let asked = Asked { status, run };
        let rows: Rows<_> = view.scope().list_approvals(&asked, &page).await?;
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let (scope, asked) = (scope.clone(), asked.clone());
            async move { Ok(scope.count_approvals(&asked).await?) }
        });
        let place = |found: &crate::storage::StoredApproval| (found.requested_at, found.run, found.id.clone());
        Ok(Connection::new(&listed, &page, rows, total, place, |found| RunApproval::listed(&view, found)))
    }

    /// How the runs of a task pack did, beside what the pack aims at; null if it has no runs.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn task_pack_objectives(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The name of the pack.")] pack: String,
        #[graphql(desc = "Its version.")] version: String,
    ) -> Result<Option<TaskPackObjectives>, ApiError> {
        let view = self.0.view(ctx).await?;
        let found = view.scope().pack_objectives(&pack, &version).await?;
        Ok(found.map(|(plan, measured)| TaskPackObjectives::new(pack, version, plan.slo.as_ref(), &measured)))
    }

    /// The steps that wait for workers now, by what a worker must be able to do, the longest wait first; the first
    /// 1,000. It is a live figure: asked as of a commit, it is refused.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn work_queue(&self, ctx: &Context<'_>) -> Result<Vec<WorkQueue>, ApiError> {
        self.0.view(ctx).await?.scope().needs_latest("workQueue")?;
        let request = RequestContext::of(ctx)?;
        let queues = request.store.queue_depth(&request.tenant, request.clock.now()).await?;
        Ok(queues.into_iter().map(Into::into).collect())
    }

    /// What a run of a manifest would do. Nothing is kept.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn simulate_task_pack(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The manifest.")] input: SimulateTaskPackInput,
    ) -> Result<SimulateTaskPackResult, ApiError> {
        let request = RequestContext::of(ctx)?;
        let given = match inputs(input.inputs) {
            Ok(given) => given,
            Err(refused) => return Ok(refused.into()),
        };
        match request.runs.simulate(input.manifest, given).await {
            Ok(simulation) => Ok(Simulation::new(simulation)?.into()),
            Err(error) => match expected(error)? {
                UserError::PlanInvalid(refused) => Ok(refused.into()),
                _ => Err(ApiError::internal()),
            },
        }
    }
}
