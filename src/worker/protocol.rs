//! What worker and server say to each other.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An attempt of a step that the server granted.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepLease {
    /// Proves that the lease is this one.
    pub token: String,
    /// The run.
    pub run_id: String,
    /// The step.
    pub step_id: String,
    /// Counted from 1.
    pub attempt: u32,
    /// What is to be done; `policy:<id>` for a policy gate.
    pub uses: String,
    /// The parameters, with references in place of secrets.
    pub with: Value,
    /// The question of a policy gate.
    pub policy: Option<Value>,
    /// What the step is held to, if anything.
    pub sandbox: Option<RunSandbox>,
    /// The hosts that the step reaches.
    pub egress: Vec<String>,
    /// The secrets that the run declares.
    pub secrets: Vec<RunSecret>,
    /// The files that are taken from the step.
    pub captures: Vec<FileCapture>,
    /// How long the lease lasts from the grant, in seconds.
    pub lease_seconds: u32,
}

/// What the steps of a run are held to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSandbox {
    /// Whether steps reach the network.
    pub mode: SandboxMode,
    /// The hosts that they may reach.
    pub egress_allowlist: Vec<String>,
    /// Thousandths of a processor.
    pub cpu_limit_millicores: Option<u32>,
    /// Mebibytes.
    #[serde(rename = "memoryLimitMiB")]
    pub memory_limit_mib: Option<u32>,
    /// Seconds that an attempt may take.
    pub quota_seconds: Option<u32>,
}

/// Whether steps reach the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SandboxMode {
    /// Only the hosts of the allow-list.
    Sealed,
    /// All of it.
    Open,
}

/// A secret that a run declares.
#[derive(Debug, Clone, Deserialize)]
pub struct RunSecret {
    /// Its name.
    pub name: String,
}

/// A file that is taken from a step.
#[derive(Debug, Clone, Deserialize)]
pub struct FileCapture {
    /// The output's name.
    pub name: String,
    /// Where the step leaves it.
    pub path: String,
}

/// Where a log line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A log line.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// At most 16 KiB of UTF-8.
    pub text: String,
    /// Where it comes from.
    pub stream: Stream,
    /// How much it matters.
    pub level: &'static str,
}

/// What became of a capture.
#[derive(Debug, Clone, Serialize)]
pub struct StepArtifact {
    /// The output's name.
    pub name: String,
    /// The digest of what was uploaded, `sha256:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The answer to a heartbeat.
#[derive(Debug)]
pub enum Beat {
    /// The lease is renewed.
    Renewed {
        /// From now, in seconds.
        lease_seconds: u32,
        /// Whether the step is to end.
        cancel: bool,
    },
    /// The lease is another's, or nobody's.
    Lost,
}

/// The answer to log lines.
#[derive(Debug)]
pub enum Appended {
    /// They are stored.
    Stored {
        /// The number of the next line.
        next: u64,
        /// Whether the step is to end.
        cancel: bool,
        /// Whether the run's log is full, so that no line is stored any more.
        truncated: bool,
    },
    /// The server expects another number.
    OutOfSequence {
        /// That number.
        next: u64,
    },
    /// The lease is another's, or nobody's.
    Lost,
    /// The server does not take these lines.
    Invalid(String),
}

/// The answer to the end of a step.
#[derive(Debug)]
pub enum Ended {
    /// It is recorded.
    Recorded,
    /// These files are to be uploaded first.
    CapturesNeeded(Vec<FileCapture>),
    /// The lease is another's, or nobody's.
    Lost,
    /// The server does not take this end.
    Invalid(String),
}

/// The answer to an upload.
#[derive(Debug)]
pub enum Uploaded {
    /// It is stored.
    Stored,
    /// The lease is another's, or nobody's.
    Lost,
    /// The server does not take this file.
    Refused(String),
}

/// What a worker asks for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The worker's name.
    pub worker: String,
    /// What it serves.
    pub capabilities: Vec<String>,
    /// How many steps at most.
    pub max: usize,
    /// How long the server may wait for one.
    pub wait_seconds: u32,
    /// How long the leases are to last.
    pub lease_seconds: u32,
}
