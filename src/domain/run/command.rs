//! What workers, people and the time do to a run.

use serde_json::Value;

use super::{ApprovalStatus, DecidedApproval, Decision, Effects, LogLevel, Machine, Run, StepStatus};
use crate::domain::taskpack::{Plan, StepKind};
use crate::domain::time::format_micros;

/// Why a command was refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The run has no such approval.
    #[error("the run has no such approval")]
    UnknownApproval,
    /// The caller lacks grants that the approval asks for.
    #[error("this approval asks for grants that you do not have")]
    MissingGrants,
    /// The decision is about another plan.
    #[error("the decision is about another plan than the run has")]
    PlanHashMismatch,
    /// It was decided otherwise before, or its time is over.
    #[error("the approval was decided otherwise before")]
    AlreadyDecided,
    /// The run has ended.
    #[error("the run is not active any more")]
    RunNotActive,
    /// The step cannot begin now.
    #[error("the step cannot begin now")]
    NotReady,
    /// The step is not running.
    #[error("the step is not running")]
    NotRunning,
}

/// A decision of an approval.
#[derive(Clone)]
pub struct Decide<'a> {
    /// The approval.
    pub approval: &'a str,
    /// What is decided.
    pub decision: Decision,
    /// The hash of the plan that was looked at.
    pub plan_hash: &'a str,
    /// Who decides: the authenticated caller.
    pub actor: &'a str,
    /// Who the caller says decides.
    pub claimed_actor: Option<&'a str>,
    /// Why.
    pub summary: Option<&'a str>,
    /// Whether the caller is granted something.
    pub has_grant: &'a (dyn Fn(&str) -> bool + Sync),
}

/// The answer to a decision; the same each time it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// What was decided.
    pub decision: Decision,
    /// Whether a gate was waiting and the run went on.
    pub resumed: bool,
}

/// How an attempt of a step ended.
#[derive(Debug, Clone)]
pub enum Completed {
    /// Well, with what it gave.
    Succeeded(Value),
    /// Badly; whether it may be tried again is the server's to decide, unless the worker says that it is
    /// of no use.
    Failed {
        /// Why.
        error: String,
        /// Whether another attempt is of any use.
        is_retryable: bool,
    },
}

impl Run {
    /// Decides an approval.
    ///
    /// # Errors
    /// See [`Refusal`]; the checks are made in the order of its variants.
    pub fn decide(&mut self, plan: &Plan, hash: &str, asked: &Decide, now: i64) -> Result<(Decided, Effects), Refusal> {
        let approval = self.approvals.get(asked.approval).ok_or(Refusal::UnknownApproval)?;
        if !approval.grants.iter().all(|grant| (asked.has_grant)(grant)) {
            return Err(Refusal::MissingGrants);
        }
        if hash != asked.plan_hash {
            return Err(Refusal::PlanHashMismatch);
        }
        if let Some(decided) = &approval.decided {
            let first = Decided { decision: decided.decision, resumed: decided.resumed };
            return if first.decision == asked.decision {
                Ok((first, Effects::default()))
            } else {
                Err(Refusal::AlreadyDecided)
            };
        }
        if self.status.is_terminal() {
            return Err(Refusal::RunNotActive);
        }
        // Too late is too late, also before a tick has said so.
        if approval.is_due(now.max(self.updated_at)) && asked.decision != Decision::Expired {
            return Err(Refusal::AlreadyDecided);
        }
        let resumed = asked.decision == Decision::Approved && approval.status == ApprovalStatus::Waiting;
        let mut machine = Machine::new(plan, self, now);
        machine.cause = "decision";
        machine.note(
            asked.approval,
            DecidedApproval {
                decision: asked.decision,
                at: machine.now,
                actor: asked.actor.to_owned(),
                claimed_actor: asked.claimed_actor.map(ToOwned::to_owned),
                summary: asked.summary.map(ToOwned::to_owned),
                resumed,
            },
        );
        machine.pass_decided();
        machine.advance();
        Ok((Decided { decision: asked.decision, resumed }, machine.finish()))
    }

    /// Cancels the run: what has not ended is skipped, what runs is taken from its worker. A run that was
    /// cancelled before stays as it is.
    ///
    /// # Errors
    /// [`Refusal::RunNotActive`] if it completed or failed.
    pub fn cancel(&mut self, plan: &Plan, actor: &str, now: i64) -> Result<Effects, Refusal> {
        if self.is_cancelled {
            return Ok(Effects::default());
        }
        if self.status.is_terminal() {
            return Err(Refusal::RunNotActive);
        }
        let mut machine = Machine::new(plan, self, now);
        machine.cause = "cancel";
        let by = [("actor", actor.to_owned())];
        machine.log(LogLevel::Info, "run.cancel-requested", "Cancellation requested.".to_owned(), None, &by);
        machine.run.is_cancelled = true;
        for n in 0..machine.run.steps.len() {
            machine.skip_one(n, "cancelled");
        }
        machine.capture_rest();
        machine.void_approvals();
        machine.run.ended_at = Some(machine.now);
        machine.run.updated_at = machine.now;
        machine.log(LogLevel::Info, "run.cancelled", "Run cancelled.".to_owned(), None, &[]);
        Ok(machine.finish())
    }

    /// Lets the time do its work: approvals that nobody decided expire.
    pub fn tick(&mut self, plan: &Plan, now: i64) -> Effects {
        let mut machine = Machine::new(plan, self, now);
        machine.cause = "expiry";
        let due = machine.run.approvals.iter().filter(|(_, approval)| approval.is_due(machine.now));
        let due: Vec<String> = due.map(|(id, _)| id.clone()).collect();
        for id in &due {
            machine.note(
                id,
                DecidedApproval {
                    decision: Decision::Expired,
                    at: machine.now,
                    actor: "system".to_owned(),
                    claimed_actor: None,
                    summary: None,
                    resumed: false,
                },
            );
        }
        if !due.is_empty() {
            machine.pass_decided();
            machine.advance();
        }
        machine.finish()
    }

    /// A worker takes a step, and gets its parameters.
    ///
    /// # Errors
    /// [`Refusal::NotReady`] if it is not its turn. A step whose parameters cannot be rendered fails: then
    /// there are effects and no parameters.
    pub fn start(&mut self, plan: &Plan, n: usize, now: i64) -> Result<(Option<Value>, Effects), Refusal> {
        let mut machine = Machine::new(plan, self, now);
        machine.cause = "worker";
        if n >= machine.run.steps.len() || machine.run.ended_at.is_some() || !machine.is_startable(n) {
            return Err(Refusal::NotReady);
        }
        let StepKind::Run { with, .. } = machine.kind(n) else { return Err(Refusal::NotReady) };
        let given = match machine.render(Some(n), with) {
            Ok(given) => {
                machine.enter(n);
                machine.begin(n);
                Some(given)
            }
            Err(error) => {
                machine.fail(n, &format!("unresolved-reference: {error}"));
                machine.advance();
                None
            }
        };
        Ok((given, machine.finish()))
    }

    /// An attempt of a step ended.
    ///
    /// # Errors
    /// [`Refusal::NotRunning`] if the step is not running: it was cancelled, or its time was over.
    pub fn complete(&mut self, plan: &Plan, n: usize, ended: Completed, now: i64) -> Result<Effects, Refusal> {
        let mut machine = Machine::new(plan, self, now);
        machine.cause = "worker";
        let is_running = machine.run.steps.get(n).is_some_and(|step| step.status == StepStatus::Running);
        if !is_running || !matches!(machine.kind(n), StepKind::Run { .. }) {
            return Err(Refusal::NotRunning);
        }
        match ended {
            Completed::Succeeded(outputs) => machine.succeed(n, Some(outputs)),
            Completed::Failed { error, is_retryable } => machine.attempt_failed(n, &error, is_retryable),
        }
        machine.advance();
        Ok(machine.finish())
    }
}

impl Machine<'_> {
    /// Notes a decision.
    fn note(&mut self, id: &str, decided: DecidedApproval) {
        let Some(approval) = self.run.approvals.get_mut(id) else { return };
        approval.status = decided.decision.status();
        approval.decided = Some(decided);
        self.run.updated_at = self.now;
    }

    /// Lets the gates go on that wait for what is decided by now.
    fn pass_decided(&mut self) {
        for n in 0..self.run.steps.len() {
            let Some(id) = self.awaited(n).map(ToOwned::to_owned) else { continue };
            let decided = self.run.approvals.get(&id).and_then(|approval| approval.decided.as_ref());
            if let Some(decision) = decided.map(|decided| decided.decision) {
                self.pass(n, &id, decision);
            }
        }
    }

    /// The approval that a gate waits for, if it does.
    pub(super) fn awaited(&self, n: usize) -> Option<&str> {
        let step = self.step(n);
        match self.kind(n) {
            _ if !step.is_reached || step.status != StepStatus::Pending => None,
            StepKind::GateApproval { approval_id, .. } => Some(approval_id),
            StepKind::GatePolicy { .. } => Some(&step.id),
            _ => None,
        }
    }

    /// A step that is running is done, with what it gave.
    pub(super) fn succeed(&mut self, n: usize, outputs: Option<Value>) {
        let took = self.now.saturating_sub(self.step(n).last_transition_at.unwrap_or(self.now));
        // What is stored cannot tell null from nothing.
        self.run.steps[n].outputs = outputs.filter(|outputs| !outputs.is_null());
        self.transit(n, StepStatus::Succeeded, None);
        let id = self.step(n).id.clone();
        let metadata = [("duration", format!("{}s", took / 1_000_000))];
        self.log(LogLevel::Info, "step.completed", format!("Step completed: {id}"), Some(n), &metadata);
    }

    fn attempt_failed(&mut self, n: usize, error: &str, is_retryable: bool) {
        let attempts = self.step(n).attempts;
        let policy = &self.plan.failure;
        // After an abort nothing begins any more, not even again.
        if !is_retryable || attempts >= policy.max_attempts || self.run.is_aborted {
            return self.fail(n, error);
        }
        let next = self.now.saturating_add(i64::from(policy.backoff_seconds) * 1_000_000);
        self.transit(n, StepStatus::Pending, Some(error));
        self.run.steps[n].next_attempt_at = Some(next);
        let id = self.step(n).id.clone();
        let metadata =
            [("attempt", attempts.to_string()), ("reason", error.to_owned()), ("nextAttemptAt", format_micros(next))];
        self.log(LogLevel::Warn, "step.failed", format!("Attempt failed: {id}: {error}"), Some(n), &metadata);
    }
}
