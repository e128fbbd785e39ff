//! Runs of task packs.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use futures_util::future::try_join_all;

use super::node::{Node, find};
use super::run_parts::{Artifact, LogEntry, RunApproval, RunStep, RunTransition};
use crate::domain::{run, taskpack};
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::context::RequestContext;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::scalar::{DateTime, Digest, Int53, Json};
use crate::graphql::view::{ManifestKey, PlanKey, RunKey, View};
use crate::service::query::RunDetail;
use crate::storage::{Page, StoredRun};

/// The most things that a run is shown to wait for.
const MAX_WAITS: usize = 100;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "run::RunStatus")]
pub enum RunStatus {
    /// No step has begun.
    Pending,
    /// Steps run, or wait for a worker.
    Running,
    /// It can go on only after a decision.
    AwaitingApproval,
    /// All steps are done, but those whose failure is tolerated.
    Succeeded,
    /// A step failed whose failure is not tolerated, or an approval was denied.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// What happens when a step fails.
#[derive(Debug, Clone, SimpleObject)]
pub struct FailurePolicy {
    /// How often a step is tried, the first time included.
    max_attempts: i32,
    /// Seconds between two attempts.
    backoff_seconds: i32,
    /// Whether the run goes on after any failed step.
    continue_on_error: bool,
}

impl FailurePolicy {
    /// That of a plan.
    #[must_use]
    pub fn of(policy: &taskpack::FailurePolicy) -> Self {
        let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        Self {
            max_attempts: int(policy.max_attempts),
            backoff_seconds: int(policy.backoff_seconds),
            continue_on_error: policy.continue_on_error,
        }
    }
}

/// The hash of a plan.
///
/// # Errors
/// If it is none.
pub fn plan_hash(text: &str) -> Result<Digest, ApiError> {
    text.parse().map(Digest).map_err(|_| {
        tracing::error!(text, "a plan has no hash");
        ApiError::internal()
    })
}

/// What a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RunWaitKind {
    /// Another step, which comes before it or holds it.
    Step,
    /// The steps within it.
    Children,
    /// The decision of an approval.
    Approval,
    /// A worker that does what it uses.
    Worker,
    /// The time of its next attempt.
    Backoff,
    /// A free place among the steps that run side by side.
    Place,
}

/// What a pending step waits for.
#[derive(Debug, Clone, SimpleObject)]
pub struct RunWait {
    /// The step that waits.
    step_id: String,
    /// For what kind of thing.
    kind: RunWaitKind,
    /// The approval.
    approval_id: Option<String>,
    /// What a worker must be able to do.
    uses: Option<String>,
    /// When it ends at the latest.
    until: Option<DateTime>,
    /// The step that comes first, or the container that has no place.
    for_step_id: Option<String>,
}

impl RunWait {
    /// What a step of a run waits for.
    #[must_use]
    pub fn new(detail: &RunDetail, n: usize, waiting: &run::Waiting) -> Self {
        let id = |n: usize| detail.run.run.steps[n].id.clone();
        let none = Self {
            step_id: id(n),
            kind: RunWaitKind::Children,
            approval_id: None,
            uses: None,
            until: None,
            for_step_id: None,
        };
        match waiting {
            run::Waiting::Children => none,
            run::Waiting::Step(other) => Self { kind: RunWaitKind::Step, for_step_id: Some(id(*other)), ..none },
            run::Waiting::Place(other) => Self { kind: RunWaitKind::Place, for_step_id: Some(id(*other)), ..none },
            run::Waiting::Approval(approval) => {
                let expires = detail.run.run.approvals.get(approval).and_then(|approval| approval.expires_at);
                let until = expires.map(DateTime);
                Self { kind: RunWaitKind::Approval, approval_id: told(approval), until, ..none }
            }
            run::Waiting::Worker(uses) => Self { kind: RunWaitKind::Worker, uses: told(uses), ..none },
            run::Waiting::Backoff(at) => Self { kind: RunWaitKind::Backoff, until: Some(DateTime(*at)), ..none },
        }
    }
}

/// A text; null where it is empty, since nobody told it.
pub(super) fn told(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The plan of a run, by the run's row.
///
/// # Errors
/// If the store fails or has lost it.
pub async fn plan_of(view: &View, run: i64) -> Result<Arc<taskpack::Plan>, ApiError> {
    view.load(PlanKey(run)).await?.ok_or_else(|| {
        tracing::error!(run, "a run has lost its plan");
        ApiError::internal()
    })
}

/// A run of a task pack.
#[derive(Clone)]
pub struct Run {
    view: View,
    stored: Arc<StoredRun>,
}

impl Run {
    /// A run of a view.
    #[must_use]
    pub fn new(view: &View, stored: Arc<StoredRun>) -> Self {
        Self { view: view.clone(), stored }
    }

    /// A run by its name.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(view: &View, run_id: &str) -> Result<Option<Self>, ApiError> {
        Ok(view.scope().find_run(run_id).await?.map(|stored| Self::new(view, Arc::new(stored))))
    }

    /// The run with its steps, approvals and plan.
    async fn detail(&self) -> Result<Arc<RunDetail>, ApiError> {
        let found = self.view.load(RunKey(self.stored.id)).await?;
        found.ok_or_else(|| {
            tracing::error!(run = self.stored.run_id, "a run has lost its parts");
            ApiError::internal()
        })
    }

    fn is_imported(&self) -> bool {
        self.stored.source.is_some()
    }

    /// Its row.
    pub(crate) fn row(&self) -> i64 {
        self.stored.id
    }

    /// A list of its own.
    pub(crate) fn list(&self, field: &str) -> List {
        List::new(&self.view, field, &self.stored.run_id)
    }
}

/// A run of a task pack. Its plan was made when it was created, and is never made anew; its status is that of
/// its steps. One that happens elsewhere is as reports of it tell.
#[Object]
impl Run {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        GlobalId::Run(self.stored.run_id.clone()).encode()
    }

    /// Its name, unique in the tenant: as its creator named it, or as it was given.
    async fn run_id(&self) -> &str {
        &self.stored.run_id
    }

    /// The source that reports it, of a run that happens elsewhere; null for a run of this server.
    async fn imported_from(&self) -> Option<&str> {
        self.stored.source.as_deref()
    }

    /// The name of its pack; null where it is not known.
    async fn pack(&self) -> Option<String> {
        told(&self.stored.pack)
    }

    /// The version of its pack; null where it is not known.
    async fn version(&self) -> Option<String> {
        told(&self.stored.version)
    }

    /// The hash of its plan: what a decision must name, so that nobody approves another plan than they saw. Of a
    /// run elsewhere the one that was reported last, whatever the commit; null if it is no digest.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn plan_hash(&self) -> Result<Option<Digest>, ApiError> {
        if self.is_imported() {
            return Ok(self.stored.plan_hash.parse().ok().map(Digest));
        }
        plan_hash(&self.stored.plan_hash).map(Some)
    }

    /// Where it stands.
    async fn status(&self) -> RunStatus {
        self.stored.run.status.into()
    }

    /// When it was created. Lists have a run elsewhere at the first time that was reported of it.
    async fn created_at(&self) -> DateTime {
        DateTime(self.stored.run.created_at)
    }

    /// Who created it; of a run elsewhere, who reported it first.
    async fn created_by(&self) -> &str {
        &self.stored.created_by
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.stored.run.updated_at)
    }

    /// When its first step began; null before.
    async fn started_at(&self) -> Option<DateTime> {
        self.stored.run.started_at.map(DateTime)
    }

    /// When it ended; null before.
    async fn ended_at(&self) -> Option<DateTime> {
        self.stored.run.ended_at.map(DateTime)
    }

    /// The commit of the ledger that last changed it.
    async fn seq(&self) -> Int53 {
        Int53(self.stored.seq)
    }

    /// What happens when a step fails; null of a run elsewhere whose state was not reported.
    async fn failure_policy(&self) -> Result<Option<FailurePolicy>, ApiError> {
        if self.is_imported() && self.stored.plan_hash.is_empty() {
            return Ok(None);
        }
        Ok(Some(FailurePolicy::of(&plan_of(&self.view, self.stored.id).await?.failure)))
    }

    /// The value of each input, defaults included; null where they are not known.
    async fn inputs(&self) -> Result<Option<Json>, ApiError> {
        if self.is_imported() {
            return Ok(None);
        }
        Ok(Some(Json(plan_of(&self.view, self.stored.id).await?.inputs.clone().into())))
    }

    /// The manifest as it was sent, YAML; null where it is not known.
    async fn manifest(&self) -> Result<Option<String>, ApiError> {
        if self.is_imported() {
            return Ok(None);
        }
        let text = self.view.load(ManifestKey(self.stored.id)).await?;
        Ok(Some(text.map(|text| text.to_string()).unwrap_or_default()))
    }

    /// What its creator said that it acts on: their global ids.
    async fn subject_ids(&self) -> Vec<ID> {
        self.stored.subjects.iter().map(Into::into).collect()
    }

    /// The same, as far as they are there; null for what is not.
    async fn subjects(&self) -> Result<Vec<Option<Node>>, ApiError> {
        // Side by side, so that they are read together.
        let ids: Vec<ID> = self.stored.subjects.iter().map(Into::into).collect();
        try_join_all(ids.iter().map(|id| find(&self.view, id))).await
    }

    /// What it waits for: of each step that could go on, what keeps it; the first 100.
    async fn waits_for(&self, ctx: &Context<'_>) -> Result<Vec<RunWait>, ApiError> {
        let detail = self.detail().await?;
        let now = RequestContext::of(ctx)?.clock.now();
        let waiting = detail.waiting(now).iter();
        let direct = waiting.filter(|(_, waiting)| !matches!(waiting, run::Waiting::Step(_) | run::Waiting::Children));
        Ok(direct.take(MAX_WAITS).map(|(n, waiting)| RunWait::new(&detail, *n, waiting)).collect())
    }

    /// Its steps, each container before what is in it; those of loops once they are unrolled.
    async fn steps(
        &self,
        #[graphql(desc = "Only those that are in no other step.", default)] top_only: bool,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<RunStep>, ApiError> {
        let detail = self.detail().await?;
        let listed = List::new(&self.view, "runSteps", &(&self.stored.run_id, top_only));
        let page: Page<i64> = PageArgs::new(first, after, last, before).page(&listed)?;
        let mut order = run::preorder(&detail.run.run.steps);
        if top_only {
            order.retain(|n| detail.run.run.steps[*n].parent.is_none());
        }
        Ok(RunStep::connection(&self.view, &detail, &listed, &page, &order))
    }

    /// A step by its id; null if there is none.
    async fn step(
        &self,
        #[graphql(desc = "The id, such as `each[2]::deploy`.")] step_id: String,
    ) -> Result<Option<RunStep>, ApiError> {
        let detail = self.detail().await?;
        let found = detail.run.run.steps.iter().position(|step| step.id == step_id);
        Ok(found.map(|n| RunStep::new(&self.view, &detail, n)))
    }

    /// Its approvals, by their ids.
    async fn approvals(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<RunApproval>, ApiError> {
        let detail = self.detail().await?;
        let listed = self.list("runApprovals");
        let page: Page<String> = PageArgs::new(first, after, last, before).page(&listed)?;
        let all: Vec<_> = detail.run.run.approvals.clone().into_iter().collect();
        let total = Total::Known(i64::try_from(all.len()).unwrap_or(i64::MAX));
        let rows = page.of(all, |(id, _)| id.clone(), Clone::clone);
        let approval =
            |(id, approval): (String, run::Approval)| RunApproval::new(&self.view, self.stored.id, id, approval);
        Ok(Connection::new(&listed, &page, rows, total, |(id, _)| id.clone(), approval))
    }

    /// What it leaves behind, as its pack declares, in that order.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn artifacts(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<Artifact>, ApiError> {
        let listed = self.list("runArtifacts");
        let page: Page<i64> = PageArgs::new(first, after, last, before).page(&listed)?;
        let all: Vec<(i64, run::Artifact)> = (0..).zip(self.stored.run.artifacts.iter().cloned()).collect();
        let total = Total::Known(i64::try_from(all.len()).unwrap_or(i64::MAX));
        let rows = page.of(all, |(place, _)| *place, |place| *place);
        let shown = |(_, artifact)| Artifact { run_id: self.stored.run_id.clone(), artifact };
        Ok(Connection::new(&listed, &page, rows, total, |(place, _)| *place, shown))
    }

    /// Its log, oldest entry first. Entries are numbered from 1, without gaps.
    async fn logs(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<LogEntry>, ApiError> {
        let listed = self.list("runLogs");
        let page: Page<i64> = PageArgs::new(first, after, last, before).page(&listed)?;
        let logged = self.view.scope().run_logged(&self.stored).await?;
        let rows = self.view.scope().run_log(self.stored.id, logged, &page).await?;
        Ok(Connection::new(&listed, &page, rows, Total::Known(logged), |entry| entry.seq, LogEntry))
    }

    /// Every move of its steps, in their order, with the commit of the ledger that has it.
    async fn transitions(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<RunTransition>, ApiError> {
        let listed = self.list("runTransitions");
        let page: Page<i64> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = self.view.scope().run_transitions(self.stored.id, &page).await?;
        let total = Total::Known(self.stored.run.moved);
        Ok(Connection::new(&listed, &page, rows, total, |moved| moved.n, RunTransition))
    }
}

impl Listed for Run {
    const NAME: &'static str = "Run";
}
