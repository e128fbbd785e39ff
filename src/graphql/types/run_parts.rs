//! The parts of a run: steps, approvals, artifacts, log entries, moves.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object};

use super::run::{Run, RunWait, plan_of, told};
use crate::domain::run::{self, Decision};
use crate::domain::taskpack::StepKind;
use crate::domain::taskpack::template;
use crate::graphql::connection::{Connection, List, Listed, PageArgs, Total};
use crate::graphql::context::RequestContext;
use crate::graphql::error::ApiError;
use crate::graphql::scalar::{DateTime, Digest, Int53, Json};
use crate::graphql::view::{BareRunKey, View};
use crate::service::query::RunDetail;
use crate::storage::{Page, StoredApproval, StoredTransition};

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "run::StepStatus")]
pub enum RunStepStatus {
    /// It has not begun, or waits for its next attempt.
    Pending,
    /// A worker has it; of a container: one of its steps has begun.
    Running,
    /// It is done.
    Succeeded,
    /// It failed for good.
    Failed,
    /// It will not run.
    Skipped,
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RunStepKind {
    /// Work that a worker does.
    Run,
    /// Waits for an approval.
    GateApproval,
    /// Waits for the verdict of a policy.
    GatePolicy,
    /// Steps side by side.
    Parallel,
    /// One step for each item, side by side.
    Map,
    /// Steps again and again, one after the other.
    Loop,
    /// The steps of the first branch whose condition is true.
    Conditional,
    /// Something that a run elsewhere did.
    Unknown,
}

impl RunStepKind {
    /// The kind of a planned step.
    #[must_use]
    pub fn of(kind: &StepKind) -> Self {
        match kind {
            StepKind::Run { .. } => Self::Run,
            StepKind::GateApproval { .. } => Self::GateApproval,
            StepKind::GatePolicy { .. } => Self::GatePolicy,
            StepKind::Parallel { .. } => Self::Parallel,
            StepKind::Map { .. } => Self::Map,
            StepKind::Loop { .. } => Self::Loop,
            StepKind::Conditional { .. } => Self::Conditional,
            StepKind::Unknown => Self::Unknown,
        }
    }
}

/// A step of a run.
#[derive(Clone)]
pub struct RunStep {
    view: View,
    detail: Arc<RunDetail>,
    n: usize,
}

impl RunStep {
    /// A step of a run, by its number.
    #[must_use]
    pub fn new(view: &View, detail: &Arc<RunDetail>, n: usize) -> Self {
        Self { view: view.clone(), detail: Arc::clone(detail), n }
    }

    /// A page of steps, which are at hand.
    #[must_use]
    pub fn connection(
        view: &View,
        detail: &Arc<RunDetail>,
        listed: &List,
        page: &Page<i64>,
        order: &[usize],
    ) -> Connection<Self> {
        // The number of a step says where it came to be, not where it stands: the place is what counts.
        let places: Vec<(i64, usize)> = (0..).zip(order.iter().copied()).collect();
        let total = Total::Known(i64::try_from(places.len()).unwrap_or(i64::MAX));
        let from = |n: &i64| places.iter().position(|(_, step)| i64::try_from(*step) == Ok(*n)).unwrap_or(places.len());
        let from = |n: &i64| i64::try_from(from(n)).unwrap_or(i64::MAX);
        let rows = page.of(places.clone(), |(place, _)| *place, from);
        let number = |(_, n): &(i64, usize)| i64::try_from(*n).unwrap_or(i64::MAX);
        Connection::new(listed, page, rows, total, number, |(_, n)| Self::new(view, detail, n))
    }

    fn step(&self) -> &run::Step {
        &self.detail.run.run.steps[self.n]
    }

    fn kind_of(&self) -> &StepKind {
        &run::planned(&self.detail.plan, &self.step().path).kind
    }
}

/// A step of a run: as it is planned, and where it stands.
#[Object]
impl RunStep {
    /// Its id, unique in the run: `deploy`, `each[2]::deploy`.
    async fn step_id(&self) -> &str {
        &self.step().id
    }

    /// Its id in the manifest.
    async fn template_id(&self) -> &str {
        &run::planned(&self.detail.plan, &self.step().path).template_id
    }

    /// Its name, for people.
    async fn name(&self) -> Option<&str> {
        run::planned(&self.detail.plan, &self.step().path).name.as_deref()
    }

    /// What it is.
    async fn kind(&self) -> RunStepKind {
        RunStepKind::of(self.kind_of())
    }

    /// Whether the plan lets it run.
    async fn enabled(&self) -> bool {
        self.step().enabled
    }

    /// Whether its failure is tolerated: by itself, by what it is in, or by the pack.
    async fn continue_on_error(&self) -> bool {
        self.step().continue_on_error
    }

    /// How many of the steps in it may run side by side; null without a bound.
    async fn max_parallel(&self) -> Option<Int53> {
        self.kind_of().max_parallel().map(|most| Int53(i64::from(most)))
    }

    /// What a worker must be able to do; null where it is not known.
    async fn uses(&self) -> Option<&str> {
        match self.kind_of() {
            StepKind::Run { uses, .. } => Some(uses.as_str()).filter(|uses| !uses.is_empty()),
            _ => None,
        }
    }

    /// The approval that it waits for, of a gate.
    async fn approval_id(&self) -> Option<&str> {
        match self.kind_of() {
            StepKind::GateApproval { approval_id, .. } => Some(approval_id.as_str()).filter(|id| !id.is_empty()),
            _ => None,
        }
    }

    /// The message of a gate.
    async fn gate_message(&self) -> Option<&str> {
        match self.kind_of() {
            StepKind::GateApproval { message, .. } | StepKind::GatePolicy { message, .. } => message.as_deref(),
            _ => None,
        }
    }

    /// Where it stands.
    async fn status(&self) -> RunStepStatus {
        self.step().status.into()
    }

    /// Why it stands there, as a word: `awaiting-approval`, `run-aborted` …; of a failure, what the worker said.
    async fn status_reason(&self) -> Option<&str> {
        self.step().reason.as_deref()
    }

    /// How often it began.
    async fn attempts(&self) -> Int53 {
        Int53(i64::from(self.step().attempts))
    }

    /// When it last went from one status to another.
    async fn last_transition_at(&self) -> Option<DateTime> {
        self.step().last_transition_at.map(DateTime)
    }

    /// Before when it is not tried again.
    async fn next_attempt_at(&self) -> Option<DateTime> {
        self.step().next_attempt_at.map(DateTime)
    }

    /// What it gave.
    async fn outputs(&self) -> Option<Json> {
        self.step().outputs.clone().map(Json)
    }

    /// What it waits for; null unless it is pending.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn waits_for(&self, ctx: &Context<'_>) -> Result<Option<RunWait>, ApiError> {
        let now = RequestContext::of(ctx)?.clock.now();
        let own = self.detail.waiting(now).get(&self.n);
        Ok(own.map(|waiting| RunWait::new(&self.detail, self.n, waiting)))
    }

    /// The step that it is in; null at the top.
    async fn parent(&self) -> Option<RunStep> {
        self.step().parent.map(|n| Self::new(&self.view, &self.detail, n))
    }

    /// The steps directly in it.
    #[expect(clippy::unused_async, reason = "fields are asynchronous")]
    async fn children(
        &self,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<RunStep>, ApiError> {
        let listed = List::new(&self.view, "runStepChildren", &(&self.detail.run.run_id, self.n));
        let page: Page<i64> = PageArgs::new(first, after, last, before).page(&listed)?;
        let steps = &self.detail.run.run.steps;
        let mut order: Vec<usize> = (0..steps.len()).filter(|n| steps[*n].parent == Some(self.n)).collect();
        order.sort_by_key(|n| (steps[*n].lane, steps[*n].place));
        Ok(RunStep::connection(&self.view, &self.detail, &listed, &page, &order))
    }
}

impl Listed for RunStep {
    const NAME: &'static str = "RunStep";
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "run::ApprovalStatus")]
pub enum RunApprovalStatus {
    /// No gate waits for it yet. It can be decided early.
    NotRequested,
    /// A gate waits for it.
    Waiting,
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// The run ended before it was decided.
    Void,
}

/// What is decided of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Decision")]
pub enum ApprovalDecision {
    /// Its gates pass.
    Approved,
    /// Its gates fail, and the run with them.
    Rejected,
    /// Nobody decided in time: as rejected.
    Expired,
}

/// An approval of a run.
#[derive(Clone)]
pub struct RunApproval {
    view: View,
    run: i64,
    id: String,
    approval: run::Approval,
}

impl RunApproval {
    /// An approval of a run, by the run's row.
    #[must_use]
    pub fn new(view: &View, run: i64, id: String, approval: run::Approval) -> Self {
        Self { view: view.clone(), run, id, approval }
    }

    /// An approval of a list.
    #[must_use]
    pub fn listed(view: &View, stored: StoredApproval) -> Self {
        Self::new(view, stored.run, stored.id, stored.approval)
    }
}

/// An approval of a run: declared by its pack, or the override of a policy gate, whose id is that of the step.
#[Object]
impl RunApproval {
    /// Its id in the run.
    async fn approval_id(&self) -> &str {
        &self.id
    }

    /// The run.
    async fn run(&self) -> Result<Run, ApiError> {
        let stored = self.view.load(BareRunKey(self.run)).await?.ok_or_else(ApiError::internal)?;
        Ok(Run::new(&self.view, stored))
    }

    /// Where it stands.
    async fn status(&self) -> RunApprovalStatus {
        self.approval.status.into()
    }

    /// What a token must be granted to decide it, beside the scope `taskrunner.operator`.
    async fn grants(&self) -> &[String] {
        &self.approval.grants
    }

    /// Whether the caller may decide it. Nobody may here, if its run happens elsewhere.
    async fn decidable_by_me(&self, ctx: &Context<'_>) -> Result<bool, ApiError> {
        let principal = &RequestContext::of(ctx)?.principal;
        if !principal.has(crate::auth::Scope::Operator) {
            return Ok(false);
        }
        let run = self.view.load(BareRunKey(self.run)).await?.ok_or_else(ApiError::internal)?;
        Ok(run.source.is_none() && self.approval.grants.iter().all(|grant| principal.grants.has(grant)))
    }

    /// What is asked, in the words of the pack with its inputs filled in; null where it has none.
    async fn reason(&self) -> Result<Option<String>, ApiError> {
        let plan = plan_of(&self.view, self.run).await?;
        let declared = plan.approvals.iter().find(|approval| approval.id == self.id);
        let Some(text) = declared.and_then(|approval| approval.reason_template.clone()) else { return Ok(None) };
        let context = serde_json::json!({"inputs": plan.inputs});
        let rendered = template::render(&text.clone().into(), &context);
        Ok(Some(rendered.map_or(text, |value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))))
    }

    /// When a gate first waited for it.
    async fn requested_at(&self) -> Option<DateTime> {
        self.approval.requested_at.map(DateTime)
    }

    /// When it is too late to decide it.
    async fn expires_at(&self) -> Option<DateTime> {
        self.approval.expires_at.map(DateTime)
    }

    /// What was decided.
    async fn decision(&self) -> Option<ApprovalDecision> {
        self.approval.decided.as_ref().map(|decided| decided.decision.into())
    }

    /// When it was decided.
    async fn decided_at(&self) -> Option<DateTime> {
        self.approval.decided.as_ref().map(|decided| DateTime(decided.at))
    }

    /// Who decided: the caller as the server knows them, `system` for what expired.
    async fn decided_by(&self) -> Option<&str> {
        self.approval.decided.as_ref().map(|decided| decided.actor.as_str())
    }

    /// Who decided, as the caller put it.
    async fn claimed_actor(&self) -> Option<&str> {
        self.approval.decided.as_ref().and_then(|decided| decided.claimed_actor.as_deref())
    }

    /// Why, in the words of who decided.
    async fn summary(&self) -> Option<&str> {
        self.approval.decided.as_ref().and_then(|decided| decided.summary.as_deref())
    }

    /// Whether a gate was waiting when it was approved, and the run went on.
    async fn resumed(&self) -> Option<bool> {
        self.approval.decided.as_ref().map(|decided| decided.resumed)
    }
}

impl Listed for RunApproval {
    const NAME: &'static str = "Approval";
}

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum RunArtifactType {
    /// A file that a worker captured.
    File,
    /// The value of an expression.
    Object,
}

/// Where an artifact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "run::ArtifactStatus")]
pub enum RunArtifactStatus {
    /// Its steps have not ended.
    Pending,
    /// It is kept.
    Captured,
    /// It could not be kept; its notes say why. That never fails the run.
    Failed,
}

/// What a run leaves behind.
pub struct Artifact {
    /// The run.
    pub run_id: String,
    /// What it leaves behind.
    pub artifact: run::Artifact,
}

/// What a run leaves behind, as its pack declares.
#[Object(name = "RunArtifact")]
impl Artifact {
    /// Its name.
    async fn name(&self) -> &str {
        &self.artifact.name
    }

    /// What it is.
    #[graphql(name = "type")]
    async fn kind(&self) -> RunArtifactType {
        if self.artifact.is_file { RunArtifactType::File } else { RunArtifactType::Object }
    }

    /// Where it stands.
    async fn status(&self) -> RunArtifactStatus {
        self.artifact.status.into()
    }

    /// The path or the expression, as the pack has it; null where it is not known.
    async fn source(&self) -> Option<String> {
        told(&self.artifact.source)
    }

    /// The path of a file where the worker found it.
    async fn source_path(&self) -> Option<&str> {
        self.artifact.source_path.as_deref()
    }

    /// Where the content of a file is kept.
    async fn stored_path(&self) -> Option<&str> {
        self.artifact.stored_path.as_deref()
    }

    /// The SHA-256 of the content of a file.
    async fn digest(&self) -> Option<Digest> {
        self.artifact.digest.map(Digest)
    }

    /// The size of the content of a file, in bytes.
    async fn size(&self) -> Option<Int53> {
        self.artifact.size.map(Int53)
    }

    /// Where the content of a file can be had, relative to the server: with the same access as here, whole or in
    /// ranges. Null while there is none.
    async fn url(&self) -> Option<String> {
        let run::Artifact { name, .. } = &self.artifact;
        let has_content = self.artifact.digest.is_some() && self.artifact.status == run::ArtifactStatus::Captured;
        has_content.then(|| format!("/v1/task-runner/runs/{}/artifacts/{name}/content", self.run_id))
    }

    /// Why it could not be kept.
    async fn notes(&self) -> Option<&str> {
        self.artifact.notes.as_deref()
    }

    /// When it was kept.
    async fn captured_at(&self) -> Option<DateTime> {
        self.artifact.captured_at.map(DateTime)
    }

    /// The value of an object.
    async fn value(&self) -> Option<Json> {
        self.artifact.expression_json.as_deref().and_then(|text| serde_json::from_str(text).ok()).map(Json)
    }
}

impl Listed for Artifact {
    const NAME: &'static str = "RunArtifact";
}

/// How grave a log entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "run::LogLevel")]
pub enum LogLevel {
    /// For who looks for a cause.
    Debug,
    /// As it should be.
    Info,
    /// Somebody should look.
    Warn,
    /// It failed.
    Error,
}

/// An entry of a run's log.
pub struct LogEntry(pub run::LogEntry);

/// An entry of a run's log.
#[Object(name = "RunLogEntry")]
impl LogEntry {
    /// Its number in the run, from 1, without gaps.
    async fn seq(&self) -> Int53 {
        Int53(self.0.seq)
    }

    /// When.
    async fn timestamp(&self) -> DateTime {
        DateTime(self.0.at)
    }

    /// How grave.
    async fn level(&self) -> LogLevel {
        self.0.level.into()
    }

    /// What happened: `run.created`, `step.started` …
    async fn event_type(&self) -> &str {
        &self.0.event
    }

    /// The same for people.
    async fn message(&self) -> &str {
        &self.0.message
    }

    /// The step that it is about.
    async fn step_id(&self) -> Option<&str> {
        self.0.step.as_deref()
    }

    /// Details: an object of texts.
    async fn metadata(&self) -> Option<Json> {
        (!self.0.metadata.is_empty()).then(|| Json(serde_json::json!(self.0.metadata)))
    }
}

impl Listed for LogEntry {
    const NAME: &'static str = "RunLogEntry";
}

/// A move of a step.
pub struct RunTransition(pub StoredTransition);

/// A step went from one status to another.
#[Object]
impl RunTransition {
    /// The step.
    async fn step_id(&self) -> &str {
        &self.0.transition.id
    }

    /// Where it stood.
    async fn from(&self) -> RunStepStatus {
        self.0.transition.from.into()
    }

    /// Where it stood then.
    async fn to(&self) -> RunStepStatus {
        self.0.transition.to.into()
    }

    /// When.
    async fn at(&self) -> DateTime {
        DateTime(self.0.transition.at)
    }

    /// What moved it: `created`, `worker`, `advance`, `decision`, `expiry`, `cancel`; `imported` where a report from
    /// elsewhere told it.
    async fn cause(&self) -> &str {
        &self.0.transition.cause
    }

    /// The reason that it had then.
    async fn reason(&self) -> Option<&str> {
        self.0.transition.reason.as_deref()
    }

    /// The commit of the ledger that has it.
    async fn seq(&self) -> Int53 {
        Int53(self.0.seq)
    }
}

impl Listed for RunTransition {
    const NAME: &'static str = "RunTransition";
}
