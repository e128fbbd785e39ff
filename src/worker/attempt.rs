//! One attempt of a step, from the lease to the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::builtin;
use super::capture::{self, capture, written};
use super::client::Client;
use super::command::{self, CommandEnd};
use super::config::{POLICY, PolicyAnswer, StepCommand, WorkerConfig};
use super::lease::{Ending, Held, Reason, Undone};
use super::log::{LogSender, Undelivered, pipe};
use super::protocol::{Ended, FileCapture, StepArtifact, StepLease, Uploaded};
use super::sandbox;
use super::secrets::{Masks, Secrets};

/// The longest outputs that are read, in bytes.
const MAX_OUTPUTS: u64 = 256 * 1024;
/// The longest error that is reported, in bytes.
const MAX_ERROR: usize = 2 * 1024;
/// How often the server may ask for files before the worker takes it that it never gets enough.
const MAX_CAPTURE_ROUNDS: u32 = 3;

/// What all attempts of a worker share.
pub struct Shared {
    /// The configuration.
    pub config: WorkerConfig,
    /// The connection to the server.
    pub client: Client,
    /// The values of secrets.
    pub secrets: Secrets,
    /// What hides them.
    pub masks: Arc<Masks>,
    /// Where attempts get their folders.
    pub work_dir: PathBuf,
    /// The program that guards commands.
    pub guard: PathBuf,
    /// What ends the worker.
    pub ending: Arc<Ending>,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Well, with these outputs.
    Completed(Option<Value>),
    /// Badly.
    Failed {
        /// As the server is told it.
        error: String,
        /// Whether another attempt may go better.
        retryable: bool,
    },
    /// It was ended from outside.
    Halted,
}

impl Outcome {
    /// A failure.
    pub fn failed(error: impl Into<String>, retryable: bool) -> Self {
        Self::Failed { error: error.into(), retryable }
    }
}

/// Runs an attempt whose lease was asked for at `asked`, and reports it.
pub async fn run(shared: Arc<Shared>, lease: StepLease, asked: Instant) {
    let begun = Instant::now();
    let (run, step, number) = (lease.run_id.clone(), lease.step_id.clone(), lease.attempt);
    tracing::info!(run, step, attempt = number, uses = lease.uses, "step begins");
    let held = Arc::new(Held::new(shared.client.clone(), lease.token.clone(), Arc::clone(&shared.ending)));
    let outcome = Attempt { shared, lease, held }.run(asked).await;
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(run, step, attempt = number, outcome, ms, "step ends");
}

struct Attempt {
    shared: Arc<Shared>,
    lease: StepLease,
    held: Arc<Held>,
}

impl Attempt {
    /// What became of it, for the log.
    async fn run(self, asked: Instant) -> String {
        // Ends with this function, however it ends.
        let mut renewal = JoinSet::new();
        let (held, seconds) = (Arc::clone(&self.held), self.lease.lease_seconds);
        renewal.spawn(async move { held.renew(asked, seconds).await });
        let folder = match self.folder() {
            Ok(folder) => folder,
            Err(error) => {
                let outcome = Outcome::failed(format!("no-folder: {error}"), true);
                return self.report(outcome, Path::new("")).await;
            }
        };
        let outcome = self.perform_logged(folder.path()).await;
        let told = match self.held.reason() {
            Some(reason) => reason.as_str().to_owned(),
            None => self.report(outcome, folder.path()).await,
        };
        remove(folder).await;
        told
    }

    fn folder(&self) -> std::io::Result<tempfile::TempDir> {
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        let step: String = self.lease.step_id.chars().filter(plain).take(40).collect();
        tempfile::Builder::new().prefix(&format!("{step}-")).tempdir_in(&self.shared.work_dir)
    }

    /// Does the step, and brings all that it logs to the server.
    async fn perform_logged(&self, folder: &Path) -> Outcome {
        let (logs, delivery) = pipe(Arc::clone(&self.held), Arc::clone(&self.shared.masks));
        let halt = self.held.halt().clone();
        let mut delivering = JoinSet::new();
        delivering.spawn(async move {
            let delivered = delivery.run().await;
            if delivered.is_err() {
                halt.cancel();
            }
            delivered
        });
        let outcome = self.perform(folder, logs).await;
        match delivering.join_next().await {
            Some(Ok(Ok(()))) if outcome == Outcome::Halted => Outcome::failed("worker-stopped", true),
            Some(Ok(Ok(()))) => outcome,
            Some(Ok(Err(Undelivered::Refused(message)))) => Outcome::failed(format!("logs-refused: {message}"), false),
            Some(Ok(Err(Undelivered::Late)) | Err(_)) | None => Outcome::Halted,
        }
    }

    async fn perform(&self, folder: &Path, logs: LogSender) -> Outcome {
        let uses = self.lease.uses.as_str();
        let config = &self.shared.config;
        if let Some(id) = uses.strip_prefix(POLICY) {
            return match config.policies.iter().find(|policy| policy.id == id) {
                Some(policy) => self.answer(policy, folder, logs).await,
                None => unknown(uses),
            };
        }
        match config.steps.iter().find(|step| step.uses == uses) {
            Some(step) => self.serve(step, folder, logs).await,
            None if config.builtins => self.builtin(&logs).await,
            None => unknown(uses),
        }
    }

    /// The most that the sandbox gives an attempt.
    fn quota(&self) -> Option<u32> {
        self.lease.sandbox.as_ref()?.quota_seconds
    }

    async fn builtin(&self, logs: &LogSender) -> Outcome {
        let quota = self.quota();
        let too_long = async {
            match quota {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds.into())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.held.halt().cancelled() => Outcome::Halted,
            outcome = builtin::run(&self.lease.uses, &self.lease.with, logs) => {
                outcome.unwrap_or_else(|| unknown(&self.lease.uses))
            }
            () = too_long => timed_out(quota.unwrap_or_default()),
        }
    }

    async fn answer(&self, policy: &PolicyAnswer, folder: &Path, logs: LogSender) -> Outcome {
        let verdict = |allowed: bool| Outcome::Completed(Some(json!({"allowed": allowed, "message": policy.message})));
        if let Some(allowed) = policy.allow {
            return verdict(allowed);
        }
        match self.command(&policy.step(), folder, logs).await {
            Ok(0) => verdict(true),
            Ok(1) => verdict(false),
            Ok(code) => exit_code(code),
            Err(outcome) => outcome,
        }
    }

    async fn serve(&self, step: &StepCommand, folder: &Path, logs: LogSender) -> Outcome {
        match self.command(step, folder, logs).await {
            Ok(0) => outputs(step, folder),
            Ok(code) => exit_code(code),
            Err(outcome) => outcome,
        }
    }

    /// The exit code of a command, or what happened instead.
    async fn command(&self, step: &StepCommand, folder: &Path, logs: LogSender) -> Result<i32, Outcome> {
        sandbox::check(&self.lease, &step.enforces).map_err(|error| Outcome::failed(error, false))?;
        let declared: Vec<&str> = self.lease.secrets.iter().map(|secret| secret.name.as_str()).collect();
        let with = self.shared.secrets.fill(&self.lease.with, &declared);
        let with = with.map_err(|name| Outcome::failed(format!("secret-unavailable: {name}"), false))?;
        let order = command::order(step, &self.lease, &with, folder);
        let seconds = self.quota().unwrap_or(u32::MAX).min(step.timeout_seconds);
        let limit = Duration::from_secs(seconds.into());
        match command::run(&self.shared.guard, &order, logs, limit, self.held.halt()).await {
            Ok(CommandEnd::Exited(code)) => Ok(code),
            Ok(CommandEnd::Signalled(signal)) => Err(Outcome::failed(format!("signal: {signal}"), true)),
            Ok(CommandEnd::TimedOut) => Err(timed_out(seconds)),
            Ok(CommandEnd::Halted) => Err(Outcome::Halted),
            Err(error) => Err(Outcome::failed(format!("guard-failed: {error}"), true)),
        }
    }

    /// Tells the server, and says what was told.
    async fn report(&self, outcome: Outcome, folder: &Path) -> String {
        let told = match outcome {
            Outcome::Completed(outputs) => self.complete(outputs.as_ref(), folder).await,
            Outcome::Failed { error, retryable } => self.fail(&error, retryable).await,
            Outcome::Halted => Err(Undone::Late),
        };
        match told {
            Ok(told) => told,
            Err(Undone::Late) => self.held.reason().map_or("unreported", Reason::as_str).to_owned(),
            Err(Undone::Refused(message)) => {
                tracing::error!(run = self.lease.run_id, step = self.lease.step_id, message, "the report is refused");
                "unreported".to_owned()
            }
        }
    }

    async fn complete(&self, outputs: Option<&Value>, folder: &Path) -> Result<String, Undone> {
        let mut artifacts = Vec::new();
        self.capture_all(&self.lease.captures, folder, &mut artifacts).await?;
        for _ in 0..MAX_CAPTURE_ROUNDS {
            let held = &self.held;
            match held.insist(|| held.client().complete(held.token(), outputs, &artifacts)).await {
                Ok(Ended::Recorded) => return Ok("succeeded".to_owned()),
                Ok(Ended::CapturesNeeded(captures)) => self.capture_all(&captures, folder, &mut artifacts).await?,
                Ok(Ended::Lost) => return Err(self.lost()),
                Ok(Ended::Invalid(message)) => return self.fail(&format!("outputs-invalid: {message}"), false).await,
                Err(Undone::Refused(message)) => return self.fail(&format!("end-refused: {message}"), false).await,
                Err(late) => return Err(late),
            }
        }
        self.fail("captures-refused: the server keeps asking for files", true).await
    }

    async fn fail(&self, error: &str, retryable: bool) -> Result<String, Undone> {
        let mut error = self.shared.masks.hide(error);
        error.truncate(error.floor_char_boundary(MAX_ERROR));
        let held = &self.held;
        match held.insist(|| held.client().fail(held.token(), &error, retryable)).await? {
            Ended::Recorded => Ok(format!("failed: {error}")),
            Ended::Lost => Err(self.lost()),
            Ended::CapturesNeeded(_) => Err(Undone::Refused("a failure needs no files".to_owned())),
            Ended::Invalid(message) => Err(Undone::Refused(message)),
        }
    }

    fn lost(&self) -> Undone {
        self.held.give_up(Reason::Lost);
        Undone::Late
    }

    /// Uploads files, or finds out why not. What is said about a file replaces what was said before.
    async fn capture_all(
        &self,
        captures: &[FileCapture],
        folder: &Path,
        artifacts: &mut Vec<StepArtifact>,
    ) -> Result<(), Undone> {
        for wanted in captures {
            let artifact = match self.upload(wanted, folder).await? {
                Ok(sha256) => StepArtifact { name: wanted.name.clone(), sha256: Some(sha256), note: None },
                Err(note) => StepArtifact { name: wanted.name.clone(), sha256: None, note: Some(note) },
            };
            artifacts.retain(|known| known.name != wanted.name);
            artifacts.push(artifact);
        }
        Ok(())
    }

    /// The digest of what was uploaded, or why nothing was.
    async fn upload(&self, wanted: &FileCapture, folder: &Path) -> Result<Result<String, String>, Undone> {
        let (place, path) = (folder.to_owned(), wanted.path.clone());
        let hashed = tokio::task::spawn_blocking(move || capture(&place, &path)).await;
        let captured = match hashed.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(captured) => captured,
            Err(note) => return Ok(Err(note)),
        };
        let file = Arc::new(captured.file);
        let (digest, size) = (captured.digest, captured.size);
        let client = self.held.client();
        let send = || client.upload(&self.lease, &wanted.name, &digest, size, Arc::clone(&file));
        match self.held.insist(send).await {
            Ok(Uploaded::Stored) => Ok(Ok(written(&digest))),
            Ok(Uploaded::Lost) => Err(self.lost()),
            Ok(Uploaded::Refused(note)) | Err(Undone::Refused(note)) => Ok(Err(note)),
            Err(Undone::Late) => Err(Undone::Late),
        }
    }
}

fn unknown(uses: &str) -> Outcome {
    Outcome::failed(format!("uses-unknown: {uses}"), false)
}

fn exit_code(code: i32) -> Outcome {
    Outcome::failed(format!("exit-code: {code}"), true)
}

fn timed_out(seconds: u32) -> Outcome {
    Outcome::failed(format!("timed-out: {seconds}s"), true)
}

/// What a command that ended well leaves as its outputs.
fn outputs(step: &StepCommand, folder: &Path) -> Outcome {
    let Some(path) = &step.outputs else { return Outcome::Completed(None) };
    let read = capture::read(folder, path, MAX_OUTPUTS).and_then(|contents| match contents {
        Some(contents) => serde_json::from_slice(&contents).map_err(|error| error.to_string()),
        None => Ok(None),
    });
    match read {
        Ok(outputs) => Outcome::Completed(outputs),
        Err(reason) => Outcome::failed(format!("outputs-invalid: {reason}"), false),
    }
}

async fn remove(folder: tempfile::TempDir) {
    let path = folder.path().to_owned();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || folder.close()).await {
        tracing::warn!(folder = %path.display(), %error, "a step's folder could not be removed");
    }
}
