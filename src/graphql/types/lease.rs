//! What workers are given.

use async_graphql::{Enum, SimpleObject};

use super::run_parts::LogLevel;
use crate::domain::run::FileWanted;
use crate::domain::taskpack::{self, SandboxMode, StepKind};
use crate::graphql::scalar::{DateTime, Int53, Json};
use crate::service::run::work::Granted;

/// A policy that is to be evaluated.
#[derive(Debug, Clone, SimpleObject)]
pub struct PolicyQuestion {
    /// Its id.
    policy_id: String,
    /// Its version, if a certain one is meant.
    policy_version: Option<String>,
    /// What the pack says of it, for people.
    message: Option<String>,
}

/// Whether steps reach the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "SandboxMode")]
pub enum RunSandboxMode {
    /// Only the hosts of the allow-list.
    Sealed,
    /// Any host.
    Open,
}

/// What steps may use.
#[derive(Debug, Clone, SimpleObject)]
pub struct RunSandbox {
    /// Whether they reach the network.
    mode: RunSandboxMode,
    /// The hosts that they may reach.
    egress_allowlist: Vec<String>,
    /// Thousandths of a processor; null is no bound.
    cpu_limit_millicores: Option<Int53>,
    /// Mebibytes; null is no bound.
    #[graphql(name = "memoryLimitMiB")]
    memory_limit_mib: Option<Int53>,
    /// Seconds that an attempt may take; null is no bound.
    quota_seconds: Option<Int53>,
}

impl From<taskpack::Sandbox> for RunSandbox {
    fn from(sandbox: taskpack::Sandbox) -> Self {
        let number = |value: Option<u32>| value.map(|value| Int53(value.into()));
        Self {
            mode: sandbox.mode.into(),
            egress_allowlist: sandbox.egress_allowlist,
            cpu_limit_millicores: number(sandbox.cpu_limit_millicores),
            memory_limit_mib: number(sandbox.memory_limit_mib),
            quota_seconds: number(sandbox.quota_seconds),
        }
    }
}

/// A secret that a step refers to. Its value is the worker's to know.
#[derive(Debug, Clone, SimpleObject)]
pub struct RunSecret {
    /// Its name.
    name: String,
    /// Where it is from, in a word of the platform's own.
    scope: Option<String>,
}

impl From<taskpack::Secret> for RunSecret {
    fn from(secret: taskpack::Secret) -> Self {
        Self { name: secret.name, scope: secret.scope }
    }
}

/// A file that a run is to leave behind.
#[derive(Debug, Clone, SimpleObject)]
pub struct FileCapture {
    /// The name of the artifact.
    name: String,
    /// Where the step would have it, as the pack says.
    path: String,
}

impl From<FileWanted> for FileCapture {
    fn from(file: FileWanted) -> Self {
        Self { name: file.name, path: file.path }
    }
}

/// A step that a worker has, for as long as it is heard of.
#[derive(Debug, Clone, SimpleObject)]
pub struct StepLease {
    /// What the step is reported with. Nobody else can report it.
    token: String,
    /// The run.
    run_id: String,
    /// The step.
    step_id: String,
    /// Which attempt it is, from 1.
    attempt: i32,
    /// What does it: what the step uses, or `policy:` and the id of a policy.
    uses: String,
    /// Its parameters, rendered. Secrets are there by reference: `{"secretRef": "name"}`.
    with: Json,
    /// The policy that is to be evaluated; null where the step is none.
    policy: Option<PolicyQuestion>,
    /// What the pack lets its steps use; null if it does not say.
    sandbox: Option<RunSandbox>,
    /// The hosts that the step reaches.
    egress: Vec<String>,
    /// The secrets that its parameters refer to.
    secrets: Vec<RunSecret>,
    /// The files that the run is to leave behind and does not have yet, as far as it is known where they would be.
    captures: Vec<FileCapture>,
    /// When the lease ends without a sign of life, by the server's clock.
    expires_at: DateTime,
    /// The same, in whole seconds from now: what a worker goes by, whatever its clock says.
    lease_seconds: i32,
}

impl From<Granted> for StepLease {
    fn from(granted: Granted) -> Self {
        let policy = match &granted.kind {
            StepKind::GatePolicy { policy_id, policy_version, message, .. } => Some(PolicyQuestion {
                policy_id: policy_id.clone(),
                policy_version: policy_version.clone(),
                message: message.clone(),
            }),
            _ => None,
        };
        let egress = if let StepKind::Run { egress, .. } = &granted.kind { egress.clone() } else { Vec::new() };
        Self {
            token: granted.token,
            run_id: granted.run_id,
            step_id: granted.step_id,
            attempt: i32::try_from(granted.attempt).unwrap_or(i32::MAX),
            uses: granted.uses,
            with: Json(granted.with),
            policy,
            sandbox: granted.sandbox.map(Into::into),
            egress,
            secrets: granted.secrets.into_iter().map(Into::into).collect(),
            captures: granted.files.into_iter().map(Into::into).collect(),
            expires_at: DateTime(granted.expires_at),
            lease_seconds: seconds(granted.lease_seconds),
        }
    }
}

/// Seconds, as GraphQL has them.
#[must_use]
pub fn seconds(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// Where a step wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
pub enum StepLogStream {
    /// To its output.
    #[default]
    Stdout,
    /// To its errors.
    Stderr,
}

/// A line that a step wrote.
#[derive(Debug, Clone, async_graphql::InputObject)]
pub struct StepLogLineInput {
    /// Its text, without the end of the line; 16 KiB at most.
    pub text: String,
    /// Where it was written.
    #[graphql(default)]
    pub stream: StepLogStream,
    /// How grave it is; by default as its stream says.
    pub level: Option<LogLevel>,
}
