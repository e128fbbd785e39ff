//! The plan and the state that follow from what was reported of a run.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::{ArtifactKind, ArtifactReport, Imported, ReportedKind, RunReport, StepReport};
use crate::domain::run::advance::AWAITING;
use crate::domain::run::{Approval, ApprovalStatus, Artifact, Run, RunStatus, Step, StepStatus, Transition};
use crate::domain::taskpack::{Aggregation, FailureAction, FailurePolicy, LoopItems, Plan, PlanStep, Reason, StepKind};

/// The reason of a gate that was denied.
const REJECTED: &str = "approval-rejected";

/// The reason of a gate that nobody decided in time.
const EXPIRED: &str = "approval-expired";

/// The reason of a step that was skipped because its run was cancelled.
const CANCELLED: &str = "cancelled";

/// The cause of transitions that are known from reports.
const IMPORTED: &str = "imported";

/// What is known of a run beside its merged reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The first time that is known of it, microseconds. It stands for what only a report of its state
    /// tells, until there is one.
    pub since: i64,
    /// How many log entries it has.
    pub logged: i64,
    /// How many transitions it had.
    pub moved: i64,
}

/// A plan that says what is known of the one of a run elsewhere: its steps, all at the top level, and what
/// happens when one fails. Texts that nobody told are empty. Without a report it has no steps.
#[must_use]
pub fn plan_of(report: Option<&RunReport>) -> Plan {
    Plan {
        name: String::new(),
        version: String::new(),
        inputs: Map::new(),
        sandbox: None,
        slo: None,
        failure: report.map_or_else(FailurePolicy::default, |report| report.failure_policy.clone()),
        approvals: Vec::new(),
        secrets: Vec::new(),
        steps: report.map(|report| report.steps.iter().map(planned).collect()).unwrap_or_default(),
        outputs: Vec::new(),
    }
}

fn planned(step: &StepReport) -> PlanStep {
    let reason = match step.status_reason.as_deref() {
        _ if step.enabled => None,
        Some("condition-false") => Some(Reason::ConditionFalse),
        Some("parent-skipped") => Some(Reason::ParentSkipped),
        _ => None,
    };
    PlanStep {
        id: step.step_id.clone(),
        template_id: step.step_id.clone(),
        name: None,
        when: None,
        enabled: step.enabled,
        reason,
        continue_on_error: step.continue_on_error,
        scope: Map::new(),
        kind: kind(step),
    }
}

fn kind(step: &StepReport) -> StepKind {
    match step.kind {
        ReportedKind::Run => StepKind::Run { uses: String::new(), with: Value::Null, egress: Vec::new() },
        ReportedKind::GateApproval => StepKind::GateApproval {
            approval_id: step.approval_id.clone().unwrap_or_default(),
            message: step.gate_message.clone(),
        },
        ReportedKind::GatePolicy => StepKind::GatePolicy {
            policy_id: String::new(),
            policy_version: None,
            // An approval is told of policy gates that somebody may override.
            failure_action: if step.approval_id.is_some() {
                FailureAction::RequestOverride
            } else {
                FailureAction::Abort
            },
            retry_count: 0,
            message: step.gate_message.clone(),
        },
        ReportedKind::Parallel => StepKind::Parallel { max_parallel: step.max_parallel, steps: Vec::new() },
        ReportedKind::Map => StepKind::Map { items: Value::Null, max_parallel: step.max_parallel, steps: Vec::new() },
        ReportedKind::Loop => StepKind::Loop {
            items: LoopItems::Expression(String::new()),
            iterator: String::new(),
            index: String::new(),
            max_iterations: 0,
            aggregation: Aggregation::None,
            body: Vec::new(),
        },
        ReportedKind::Conditional => {
            StepKind::Conditional { branches: Vec::new(), otherwise: Vec::new(), output_union: false }
        }
        ReportedKind::Unknown => StepKind::Unknown,
    }
}

/// The plan of a run elsewhere once it is as its holding report tells: of steps that `known` had, what is told
/// now, in their places; then the new ones. `known` only grows, so that earlier states find their steps in it.
/// The steps of `run`, which follow from the same report, are told their places.
#[must_use]
pub fn grown(known: Option<&Plan>, report: Option<&RunReport>, run: &mut Run) -> Plan {
    let mut plan = plan_of(report);
    let Some(known) = known else { return plan };
    let told = std::mem::replace(&mut plan.steps, known.steps.clone());
    let places: HashMap<&str, usize> =
        known.steps.iter().enumerate().map(|(place, step)| (step.id.as_str(), place)).collect();
    for (n, step) in told.into_iter().enumerate() {
        let place = places.get(step.id.as_str()).copied().unwrap_or(plan.steps.len());
        match plan.steps.get_mut(place) {
            Some(known) => *known = step,
            None => plan.steps.push(step),
        }
        run.steps[n].path = vec![place];
    }
    plan
}

/// The state of a run elsewhere. Its steps lie flat, in the order of the report: which one holds which is
/// not told. `plan_of` the same report is its plan.
#[must_use]
pub fn run_of(imported: &Imported, known: &Known) -> Run {
    let mut run = Run {
        steps: Vec::new(),
        approvals: BTreeMap::new(),
        status: RunStatus::Pending,
        artifacts: imported.artifacts.values().map(artifact).collect(),
        created_at: known.since,
        updated_at: known.since,
        started_at: None,
        ended_at: None,
        is_aborted: false,
        is_cancelled: false,
        logged: known.logged,
        moved: known.moved,
        unrolled_bytes: 0,
    };
    if let Some(report) = &imported.state {
        tell(report, &mut run);
    }
    run
}

/// Has a run be as a report tells it.
fn tell(report: &RunReport, run: &mut Run) {
    run.steps = steps(report);
    run.approvals = approvals(&report.steps);
    run.status = status(report);
    run.created_at = report.created_at;
    run.updated_at = report.updated_at;
    let begun = report.steps.iter().filter(|step| step.has_begun());
    run.started_at = begun.filter_map(|step| step.last_transition_at).min();
    run.ended_at = run.status.is_terminal().then_some(report.updated_at);
    run.is_aborted = report.is_aborted();
    run.is_cancelled = run.status == RunStatus::Cancelled;
}

fn steps(report: &RunReport) -> Vec<Step> {
    let first_open = report.steps.iter().position(|step| !step.status.is_terminal());
    let steps = report.steps.iter().enumerate();
    steps.map(|(n, told)| step(n, told, first_open == Some(n), report.failure_policy.continue_on_error)).collect()
}

/// A step at its place. The turn of a pending one has come if it says so, or if nothing is before it.
fn step(n: usize, told: &StepReport, is_first_open: bool, is_tolerated: bool) -> Step {
    Step {
        id: told.step_id.clone(),
        prefix: String::new(),
        parent: None,
        lane: 0,
        place: n,
        path: vec![n],
        enabled: told.enabled,
        continue_on_error: told.continue_on_error || is_tolerated,
        status: told.status,
        attempts: told.attempts,
        reason: told.status_reason.clone(),
        last_transition_at: told.last_transition_at,
        next_attempt_at: told.next_attempt_at,
        is_reached: told.status != StepStatus::Pending || told.is_awaiting() || told.is_retrying() || is_first_open,
        scope: Map::new(),
        outputs: None,
    }
}

impl StepReport {
    /// Whether it waits for a decision.
    fn is_awaiting(&self) -> bool {
        self.kind.is_gate() && self.status == StepStatus::Pending && self.status_reason.as_deref() == Some(AWAITING)
    }

    /// Whether it waits for another attempt.
    fn is_retrying(&self) -> bool {
        let was_tried = self.attempts > 0 || self.next_attempt_at.is_some();
        self.status == StepStatus::Pending && was_tried && !self.is_awaiting()
    }

    /// Whether it ever was more than pending. One that was skipped before an attempt was not.
    fn has_begun(&self) -> bool {
        matches!(self.status, StepStatus::Running | StepStatus::Succeeded | StepStatus::Failed) || self.attempts > 0
    }

    /// Whether it is work that goes on without a decision. A container that runs tells nothing: what it
    /// holds may be the gate that waits.
    fn is_at_work(&self) -> bool {
        !self.kind.is_container() && (self.status == StepStatus::Running || self.is_retrying())
    }

    /// The approval that decides it. That of a policy gate has the id of the step.
    fn approval(&self) -> Option<&str> {
        let told = self.approval_id.as_deref()?;
        match self.kind {
            ReportedKind::GateApproval => Some(told),
            ReportedKind::GatePolicy => Some(&self.step_id),
            _ => None,
        }
    }

    /// Where its approval stands, as far as this step tells it. A policy gate that passed or failed without
    /// such a word may have done so by its policy: all that is known is that nobody is asked any more.
    fn approval_status(&self) -> ApprovalStatus {
        let is_for_people = self.kind == ReportedKind::GateApproval;
        match (self.status, self.status_reason.as_deref()) {
            (StepStatus::Pending, Some(AWAITING)) => ApprovalStatus::Waiting,
            (StepStatus::Pending | StepStatus::Running, _) => ApprovalStatus::NotRequested,
            (StepStatus::Failed, Some(EXPIRED)) => ApprovalStatus::Expired,
            (StepStatus::Failed, Some(REJECTED)) => ApprovalStatus::Rejected,
            (StepStatus::Failed, _) if is_for_people => ApprovalStatus::Rejected,
            (StepStatus::Succeeded, _) if is_for_people => ApprovalStatus::Approved,
            (StepStatus::Failed | StepStatus::Succeeded | StepStatus::Skipped, _) => ApprovalStatus::Void,
        }
    }
}

impl RunReport {
    /// Whether a step failed and that was not tolerated. The failure of a gate never is.
    fn is_aborted(&self) -> bool {
        let is_tolerated = |step: &StepReport| {
            !step.kind.is_gate() && (step.continue_on_error || self.failure_policy.continue_on_error)
        };
        self.steps.iter().any(|step| step.status == StepStatus::Failed && !is_tolerated(step))
    }
}

/// The status of a run, which the contract does not tell.
fn status(report: &RunReport) -> RunStatus {
    let any = |is: fn(&StepReport) -> bool| report.steps.iter().any(is);
    if any(|step| !step.status.is_terminal()) {
        return if any(StepReport::is_awaiting) && !any(StepReport::is_at_work) {
            RunStatus::AwaitingApproval
        } else if any(|step| step.has_begun() || step.is_retrying()) {
            RunStatus::Running
        } else {
            RunStatus::Pending
        };
    }
    let is_cancelled =
        |step: &StepReport| step.status == StepStatus::Skipped && step.status_reason.as_deref() == Some(CANCELLED);
    if any(is_cancelled) {
        RunStatus::Cancelled
    } else if report.is_aborted() {
        RunStatus::Failed
    } else {
        RunStatus::Succeeded
    }
}

/// The approvals that gates name. Who decided one, and when, nobody told.
fn approvals(steps: &[StepReport]) -> BTreeMap<String, Approval> {
    let mut approvals: BTreeMap<String, Approval> = BTreeMap::new();
    for step in steps {
        let Some(id) = step.approval() else { continue };
        let new = || Approval {
            status: ApprovalStatus::Void,
            grants: Vec::new(),
            requested_at: None,
            expires_at: None,
            decided: None,
        };
        let approval = approvals.entry(id.to_owned()).or_insert_with(new);
        let status = step.approval_status();
        if weight(status) > weight(approval.status) {
            approval.status = status;
        }
        if let Some(at) = step.last_transition_at.filter(|_| step.is_awaiting()) {
            approval.requested_at = Some(approval.requested_at.map_or(at, |earlier| earlier.min(at)));
        }
    }
    approvals
}

/// What holds where gates of one approval tell different things: a denial, then that somebody is asked.
fn weight(status: ApprovalStatus) -> u8 {
    match status {
        ApprovalStatus::Void => 0,
        ApprovalStatus::NotRequested => 1,
        ApprovalStatus::Approved => 2,
        ApprovalStatus::Waiting => 3,
        ApprovalStatus::Expired => 4,
        ApprovalStatus::Rejected => 5,
    }
}

/// An artifact. What its pack says of it is not told, but for the path of a file.
fn artifact(told: &ArtifactReport) -> Artifact {
    Artifact {
        name: told.name.clone(),
        is_file: told.kind == ArtifactKind::File,
        source: told.source_path.clone().unwrap_or_default(),
        status: told.status,
        source_path: told.source_path.clone(),
        stored_path: told.stored_path.clone(),
        digest: None,
        size: None,
        notes: told.notes.clone(),
        captured_at: told.captured_at,
        expression_json: told.expression_json.clone(),
    }
}

/// How the steps of a run went from what held before to what holds now, in the order of their times. What
/// happened in between is not known; a step that was not known before was pending.
#[must_use]
pub fn moves(before: Option<&Run>, after: &Run) -> Vec<Transition> {
    let known = before.iter().flat_map(|run| &run.steps);
    let known: HashMap<&str, StepStatus> = known.map(|step| (step.id.as_str(), step.status)).collect();
    let mut moves: Vec<Transition> = Vec::new();
    for (n, step) in after.steps.iter().enumerate() {
        let from = known.get(step.id.as_str()).copied().unwrap_or(StepStatus::Pending);
        if from != step.status {
            moves.push(Transition {
                step: n,
                id: step.id.clone(),
                from,
                to: step.status,
                at: step.last_transition_at.unwrap_or(after.updated_at),
                cause: IMPORTED.to_owned(),
                reason: step.reason.clone(),
            });
        }
    }
    moves.sort_by_key(|moved| (moved.at, moved.step));
    moves
}
