//! The state of a run, and what moves it: a pure machine, driven by commands and the time.
//!
//! A run is its plan and a flat list of steps. Steps form a tree; the children of a container lie in
//! *lanes*: lanes go on side by side, the steps of one lane one after the other. The top level and a loop
//! have one lane, `parallel` and `map` a lane for each child, a conditional one for each branch, of which
//! one is taken.
//!
//! Every command leaves the run advanced as far as it can go without a worker or a person.

mod advance;
mod artifact;
mod build;
mod command;
mod explain;
pub mod import;
pub mod objective;
mod scope;
pub mod uses;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::taskpack::{Plan, PlanStep, StepKind};

pub use artifact::{Artifact, ArtifactStatus, FileAnswer, FileWanted, Files};
pub use command::{Completed, Decide, Decided, Refusal};
pub use explain::{Ready, Waiting, preorder};

/// The most steps of a run: planned ones and those of loops.
pub const MAX_STEPS: usize = super::taskpack::MAX_NODES;
/// The largest outputs of a container that gathers those of its children, in bytes of JSON.
pub const MAX_GATHERED: usize = 1 << 20;

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StepStatus {
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

impl StepStatus {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunStatus {
    /// No step has begun.
    Pending,
    /// Steps run, or wait for a worker.
    Running,
    /// It can go on only after a decision.
    AwaitingApproval,
    /// All steps are done, but those whose failure is tolerated.
    Succeeded,
    /// A step failed whose failure is not tolerated.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::AwaitingApproval, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The number under which it is stored.
    #[must_use]
    pub fn code(self) -> i64 {
        self as i64
    }

    /// The status of a stored number.
    #[must_use]
    pub fn of_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its id, unique in the run: `deploy`, `each[2]::deploy`.
    pub id: String,
    /// What ids of its surroundings begin with: `""`, `each[2]::`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The container it is in, by its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// Its lane in the container.
    pub lane: usize,
    /// Its place in the lane.
    pub place: usize,
    /// Where it is in the plan: which child of which child.
    pub path: Vec<usize>,
    /// Whether the plan lets it run.
    pub enabled: bool,
    /// Whether its failure is tolerated, by itself, what it is in, or the pack.
    pub continue_on_error: bool,
    /// Where it stands.
    pub status: StepStatus,
    /// How often it began.
    pub attempts: u32,
    /// Why it stands where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it last went from one status to another, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_at: Option<i64>,
    /// Before when it is not tried again, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<i64>,
    /// Whether its turn has come: its condition is decided, a gate is announced, a loop is unrolled.
    pub is_reached: bool,
    /// The values of the iterators around it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub scope: Map<String, Value>,
    /// What it gave; null is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ApprovalStatus {
    /// No gate waits for it yet.
    NotRequested,
    /// A gate waits for it.
    Waiting,
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// The run ended, or was aborted, before it was decided.
    Void,
}

impl ApprovalStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::NotRequested, Self::Waiting, Self::Approved, Self::Rejected, Self::Expired, Self::Void];

    /// The number under which it is stored.
    #[must_use]
    pub fn code(self) -> i64 {
        self as i64
    }

    /// The status of a stored number.
    #[must_use]
    pub fn of_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

/// What is decided of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Its gates pass.
    Approved,
    /// Its gates fail, and the run with them.
    Rejected,
    /// Nobody decided in time: as rejected.
    Expired,
}

impl Decision {
    /// The word of the contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    fn status(self) -> ApprovalStatus {
        match self {
            Self::Approved => ApprovalStatus::Approved,
            Self::Rejected => ApprovalStatus::Rejected,
            Self::Expired => ApprovalStatus::Expired,
        }
    }
}

/// The decision of an approval, with the answer that was given to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedApproval {
    /// What was decided.
    pub decision: Decision,
    /// When, microseconds.
    pub at: i64,
    /// Who decided: the authenticated caller, or `system`.
    pub actor: String,
    /// Who the caller said decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_actor: Option<String>,
    /// Why, in the words of who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Whether a gate was waiting and the run went on.
    pub resumed: bool,
}

/// An approval of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Where it stands.
    pub status: ApprovalStatus,
    /// What a token must hold to decide it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// When the first gate began to wait, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<i64>,
    /// When it expires, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<DecidedApproval>,
}

impl Approval {
    /// Whether a gate waits for it and its time is over.
    #[must_use]
    pub fn is_due(&self, now: i64) -> bool {
        self.status == ApprovalStatus::Waiting && self.expires_at.is_some_and(|at| at <= now)
    }
}

/// How grave a log entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

/// An entry of the log of a run. The contract's shape, with the number that resumes a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its number in the run, from 1, without gaps.
    pub seq: i64,
    /// When, microseconds.
    pub at: i64,
    /// How grave.
    pub level: LogLevel,
    /// What happened: `run.created`, `step.started` ….
    pub event: String,
    /// The same for people.
    pub message: String,
    /// The step it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Details.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// A step went from one status to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The number of the step.
    pub step: usize,
    /// The id of the step.
    pub id: String,
    /// Where it stood.
    pub from: StepStatus,
    /// Where it stands.
    pub to: StepStatus,
    /// When, microseconds.
    pub at: i64,
    /// What moved it: `created`, `worker`, `advance`, `decision`, `expiry`, `cancel`; `imported` where a report
    /// from elsewhere told it.
    pub cause: String,
    /// The reason that the step has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its steps; their numbers are their places here, and never change.
    #[serde(skip)]
    pub steps: Vec<Step>,
    /// Its approvals by id: those that the pack declares, and the override of each policy gate that can
    /// be overridden, under the id of the step.
    #[serde(skip)]
    pub approvals: BTreeMap<String, Approval>,
    /// Where it stands.
    pub status: RunStatus,
    /// What it is to leave behind, in the order of the plan.
    pub artifacts: Vec<Artifact>,
    /// When it was created, microseconds.
    pub created_at: i64,
    /// When it last changed, microseconds.
    pub updated_at: i64,
    /// When its first step began, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    /// When it ended, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<i64>,
    /// A failure that is not tolerated ended it: nothing begins any more.
    #[serde(default)]
    pub is_aborted: bool,
    /// It was cancelled.
    #[serde(default)]
    pub is_cancelled: bool,
    /// How many log entries it has.
    pub logged: i64,
    /// How many transitions it had.
    pub moved: i64,
    /// How many bytes of iterators the steps of its loops hold.
    #[serde(default)]
    pub unrolled_bytes: usize,
}

/// What a command did beside changing the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effects {
    /// The transitions, in their order.
    pub transitions: Vec<Transition>,
    /// The log entries, in their order.
    pub logs: Vec<LogEntry>,
}

impl Effects {
    /// Adds what came after.
    pub fn extend(&mut self, more: Self) {
        self.transitions.extend(more.transitions);
        self.logs.extend(more.logs);
    }
}

/// A run with its plan, at a time: what commands work on.
pub struct Machine<'a> {
    plan: &'a Plan,
    run: &'a mut Run,
    now: i64,
    cause: &'static str,
    /// The children of each step, by lane and place; those of the top level last.
    children: Vec<Vec<usize>>,
    by_id: HashMap<String, usize>,
    known: scope::Known,
    effects: Effects,
}

impl<'a> Machine<'a> {
    /// The machine of a run, at a time in microseconds. Time that runs backwards stands still.
    #[must_use]
    pub fn new(plan: &'a Plan, run: &'a mut Run, now: i64) -> Self {
        let now = now.max(run.updated_at);
        let mut machine = Self {
            plan,
            run,
            now,
            cause: "advance",
            children: vec![Vec::new()],
            by_id: HashMap::new(),
            known: scope::Known::default(),
            effects: Effects::default(),
        };
        for n in 0..machine.run.steps.len() {
            machine.index(n);
        }
        machine
    }

    fn index(&mut self, n: usize) {
        let step = &self.run.steps[n];
        self.by_id.insert(step.id.clone(), n);
        let parent = step.parent;
        // The list of the top level stays the last one.
        self.children.insert(n, Vec::new());
        self.children_mut(parent).push(n);
    }

    fn children_mut(&mut self, parent: Option<usize>) -> &mut Vec<usize> {
        let last = self.children.len() - 1;
        &mut self.children[parent.unwrap_or(last)]
    }

    /// The children of a container, or of the run: by lane and place.
    fn children(&self, parent: Option<usize>) -> &[usize] {
        &self.children[parent.unwrap_or(self.children.len() - 1)]
    }

    /// The same, lane by lane.
    fn lanes(&self, parent: Option<usize>) -> Vec<Vec<usize>> {
        let mut lanes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for n in self.children(parent) {
            lanes.entry(self.run.steps[*n].lane).or_default().push(*n);
        }
        lanes.into_values().collect()
    }

    fn step(&self, n: usize) -> &Step {
        &self.run.steps[n]
    }

    /// What the plan says of a step.
    #[must_use]
    pub fn planned(&self, n: usize) -> &'a PlanStep {
        planned(self.plan, &self.run.steps[n].path)
    }

    fn kind(&self, n: usize) -> &'a StepKind {
        &self.planned(n).kind
    }

    fn log(&mut self, level: LogLevel, event: &str, message: String, step: Option<usize>, metadata: &[(&str, String)]) {
        self.run.logged += 1;
        let entry = LogEntry {
            seq: self.run.logged,
            at: self.now,
            level,
            event: event.to_owned(),
            message,
            step: step.map(|n| self.run.steps[n].id.clone()),
            metadata: metadata.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        };
        self.effects.logs.push(entry);
    }

    fn finish(self) -> Effects {
        self.run.status = self.status();
        self.effects
    }
}

/// What a plan says of the step at a path, or of the nearest one around it, were the path of another plan.
///
/// # Panics
/// If the plan has no such step at its top.
#[must_use]
pub fn planned<'a>(plan: &'a Plan, path: &[usize]) -> &'a PlanStep {
    let mut step = &plan.steps[path[0]];
    for place in &path[1..] {
        step = step.kind.children().nth(*place).unwrap_or(step);
    }
    step
}
