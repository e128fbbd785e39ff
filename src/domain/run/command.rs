//! What workers, people and the time do to a run.

use serde_json::Value;

use super::artifact::{FileWanted, Files};
use super::{ApprovalStatus, DecidedApproval, Decision, Effects, LogLevel, Machine, Run, StepStatus};
use crate::domain::taskpack::{FailureAction, Plan, StepKind};
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
    /// What a worker says of a policy does not say whether it allows.
    #[error("a policy is answered by outputs with `allowed`: true or false")]
    NoVerdict,
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

    /// A worker takes a step, and gets its parameters. The log has what the worker calls itself.
    ///
    /// # Errors
    /// [`Refusal::NotReady`] if it is not its turn. A step whose parameters cannot be rendered fails: then
    /// there are effects and no parameters.
    pub fn start(
        &mut self,
        plan: &Plan,
        n: usize,
        worker: Option<&str>,
        now: i64,
    ) -> Result<(Option<Value>, Effects), Refusal> {
        let mut machine = Machine::new(plan, self, now);
        machine.cause = "worker";
        if n >= machine.run.steps.len() || machine.run.ended_at.is_some() || !machine.is_startable(n) {
            return Err(Refusal::NotReady);
        }
        let rendered = match machine.kind(n) {
            StepKind::Run { with, .. } => machine.render(Some(n), with),
            _ => Ok(Value::Null),
        };
        let given = match rendered {
            Ok(given) => {
                machine.enter(n);
                machine.begin(n);
                if let (Some(entry), Some(worker)) = (machine.effects.logs.last_mut(), worker) {
                    entry.metadata.insert("worker".to_owned(), worker.to_owned());
                }
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
        let mut machine = Machine::at_work(plan, self, n, now)?;
        machine.ended(n, ended)?;
        machine.advance();
        Ok(machine.finish())
    }

    /// An attempt of a step ended well, with what became of the files that the run is to leave behind. Where
    /// the worker has yet to say that of some, these are returned, and the run is not to be kept.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub fn complete_with(
        &mut self,
        plan: &Plan,
        n: usize,
        outputs: Value,
        files: &Files<'_>,
        now: i64,
    ) -> Result<(Vec<FileWanted>, Effects), Refusal> {
        let mut machine = Machine::at_work(plan, self, n, now)?;
        machine.ended(n, Completed::Succeeded(outputs))?;
        let is_done = machine.step(n).status == StepStatus::Succeeded;
        let wanted = if is_done && machine.is_work(n) { machine.take_files(files) } else { Vec::new() };
        machine.advance();
        Ok((wanted, machine.finish()))
    }

    /// The files of which the worker of a step can say already where they would be.
    #[must_use]
    pub fn files_wanted(&self, plan: &Plan, n: usize) -> Vec<FileWanted> {
        let mut run = self.clone();
        let mut machine = Machine::new(plan, &mut run, 0);
        if machine.is_work(n) { machine.files().into_iter().map(|(_, file)| file).collect() } else { Vec::new() }
    }

    /// A worker gives a step back before it did anything: as if the attempt had never begun.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub fn release(&mut self, plan: &Plan, n: usize, now: i64) -> Result<Effects, Refusal> {
        let mut machine = Machine::at_work(plan, self, n, now)?;
        machine.run.steps[n].attempts -= 1;
        machine.transit(n, StepStatus::Pending, None);
        let id = machine.step(n).id.clone();
        machine.log(LogLevel::Info, "step.released", format!("Step released: {id}"), Some(n), &[]);
        machine.advance();
        Ok(machine.finish())
    }

    /// The worker of a step was not heard of in time: the attempt failed.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub fn expire(&mut self, plan: &Plan, n: usize, reason: &str, now: i64) -> Result<Effects, Refusal> {
        let mut machine = Machine::at_work(plan, self, n, now)?;
        machine.cause = "expiry";
        machine.ended(n, Completed::Failed { error: reason.to_owned(), is_retryable: true })?;
        machine.advance();
        Ok(machine.finish())
    }
}

impl<'a> Machine<'a> {
    /// The machine of a run of which a worker has a step.
    fn at_work(plan: &'a Plan, run: &'a mut Run, n: usize, now: i64) -> Result<Self, Refusal> {
        let mut machine = Self::new(plan, run, now);
        machine.cause = "worker";
        let is_running = machine.run.steps.get(n).is_some_and(|step| step.status == StepStatus::Running);
        if is_running && machine.asks_workers(n) { Ok(machine) } else { Err(Refusal::NotRunning) }
    }
}

impl Machine<'_> {
    fn is_work(&self, n: usize) -> bool {
        matches!(self.kind(n), StepKind::Run { .. })
    }

    fn ended(&mut self, n: usize, ended: Completed) -> Result<(), Refusal> {
        match (self.kind(n), ended) {
            (StepKind::GatePolicy { failure_action, retry_count, .. }, ended) => {
                self.judge(n, *failure_action, *retry_count, ended)?;
            }
            (_, Completed::Succeeded(outputs)) => self.succeed(n, Some(outputs)),
            (_, Completed::Failed { error, is_retryable }) => {
                let most = self.plan.failure.max_attempts;
                if !self.tries_again(n, &error, is_retryable, most) {
                    self.fail(n, &error);
                }
            }
        }
        Ok(())
    }

    /// A worker says whether a policy allows, or that it could not tell. Without a verdict no gate passes,
    /// but by a person.
    fn judge(&mut self, n: usize, action: FailureAction, retries: u32, ended: Completed) -> Result<(), Refusal> {
        let (reason, verdict, is_retryable) = match ended {
            Completed::Succeeded(verdict) => match verdict.get("allowed").and_then(Value::as_bool) {
                Some(true) => {
                    self.succeed(n, Some(verdict));
                    return Ok(());
                }
                Some(false) => ("policy-denied".to_owned(), Some(verdict), true),
                None => return Err(Refusal::NoVerdict),
            },
            Completed::Failed { error, is_retryable } => (format!("policy-not-evaluated: {error}"), None, is_retryable),
        };
        if self.tries_again(n, &reason, is_retryable, retries.saturating_add(1)) {
            return Ok(());
        }
        match (action, verdict) {
            _ if self.run.is_aborted => self.fail(n, &reason),
            (FailureAction::RequestOverride, _) => {
                self.transit(n, StepStatus::Pending, Some(&reason));
                let id = self.step(n).id.clone();
                let why = [("reason", reason)];
                self.log(LogLevel::Warn, "policy.hold", format!("Policy holds the run: {id}"), Some(n), &why);
                self.arrive(n, &id);
            }
            (FailureAction::Warn, Some(verdict)) => {
                let id = self.step(n).id.clone();
                let why = [("reason", reason)];
                self.log(
                    LogLevel::Warn,
                    "policy.warned",
                    format!("Policy denied, and only warns: {id}"),
                    Some(n),
                    &why,
                );
                self.succeed(n, Some(verdict));
            }
            (FailureAction::Abort | FailureAction::Warn, _) => self.fail(n, &reason),
        }
        Ok(())
    }

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
            StepKind::GatePolicy { .. } if !self.asks_workers(n) => Some(&step.id),
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

    /// Whether a step whose attempt failed is tried again, and if so, when.
    fn tries_again(&mut self, n: usize, error: &str, is_retryable: bool, most: u32) -> bool {
        let attempts = self.step(n).attempts;
        // After an abort nothing begins any more, not even again.
        if !is_retryable || attempts >= most || self.run.is_aborted {
            return false;
        }
        let next = self.now.saturating_add(i64::from(self.plan.failure.backoff_seconds) * 1_000_000);
        self.transit(n, StepStatus::Pending, Some(error));
        self.run.steps[n].next_attempt_at = Some(next);
        let id = self.step(n).id.clone();
        let metadata =
            [("attempt", attempts.to_string()), ("reason", error.to_owned()), ("nextAttemptAt", format_micros(next))];
        self.log(LogLevel::Warn, "step.failed", format!("Attempt failed: {id}: {error}"), Some(n), &metadata);
        true
    }
}
