//! Runs that happened elsewhere: what another `TaskRunner` reports of them, in any order, again and again.
//!
//! A report is read strictly ([`ImportItem::read`]), what holds of all reports is merged without regard to
//! their order ([`Imported`], [`new_entries`]), and from that follows the state that is shown ([`plan_of`],
//! [`run_of`], [`moves`]). Such a run has no plan of ours: no command may be applied to it.

mod fields;
mod log;
mod merge;
mod read;
mod state;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ArtifactStatus, LogEntry, LogLevel, StepStatus};
use crate::domain::digest::Digest;
use crate::domain::path::JsonPath;
use crate::domain::taskpack::FailurePolicy;

pub use log::new_entries;
pub use merge::Imported;
pub use state::{Known, grown, moves, plan_of, run_of};

/// The most entries of one report of a log; a longer log comes in several.
pub const MAX_ENTRIES: usize = 10_000;
/// The longest text that is not a name, in bytes: a message, a reason, a value of metadata.
pub const MAX_TEXT: usize = 64 * 1024;
/// The longest name, in bytes: of a step, an approval, an artifact, an event. Ids of steps in maps and
/// loops are long; an index must still hold them.
pub const MAX_NAME: usize = 1024;
/// The most artifacts that are kept of a run: each report of one writes all of them.
pub const MAX_ARTIFACTS: usize = 5_000;

/// The most ids of steps that are known of a run, of all reports that ever held: all of them are kept.
pub const MAX_KNOWN_STEPS: usize = 20_000;
/// The most that is kept of the reports of a run, and of its plan, in bytes of JSON: each report writes it anew.
pub const MAX_KEPT: usize = 8 << 20;

/// One item of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportItem {
    /// The state of a run.
    Run(Box<RunReport>),
    /// A part of the log of a run.
    Log {
        /// The run.
        run_id: String,
        /// The entries, in the order of the report.
        entries: Vec<Entry>,
    },
    /// What a run leaves behind.
    Artifact {
        /// The run.
        run_id: String,
        /// What is said of it.
        artifact: ArtifactReport,
    },
}

impl ImportItem {
    /// The kinds of items, as they name them.
    pub const KINDS: [&'static str; 3] = ["Run", "RunLog", "RunArtifact"];

    /// The run that it is about.
    #[must_use]
    pub fn run_id(&self) -> &str {
        match self {
            Self::Run(report) => &report.run_id,
            Self::Log { run_id, .. } | Self::Artifact { run_id, .. } => run_id,
        }
    }

    /// The first time that it knows of its run, microseconds.
    #[must_use]
    pub fn since(&self) -> Option<i64> {
        match self {
            Self::Run(report) => Some(report.created_at),
            Self::Log { entries, .. } => entries.iter().map(|entry| entry.timestamp).min(),
            Self::Artifact { artifact, .. } => artifact.captured_at,
        }
    }

    /// How much of it is kept beside the log, in bytes of JSON.
    ///
    /// # Panics
    /// Never: reports are JSON with text keys.
    #[must_use]
    pub fn size(&self) -> usize {
        let size = |json: serde_json::Result<Vec<u8>>| json.expect("a report is JSON").len();
        match self {
            Self::Run(report) => size(serde_json::to_vec(report)),
            Self::Log { .. } => 0,
            Self::Artifact { artifact, .. } => size(serde_json::to_vec(artifact)) + artifact.name.len(),
        }
    }
}

/// Why an item is no report of a run: the first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at {path}")]
pub struct ImportError {
    /// The value at fault; for a missing member, the object that misses it.
    pub path: JsonPath,
    /// One short sentence, which quotes no value of the item.
    pub message: String,
}

/// What breaks the contract and is taken all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportWarning {
    /// The value at fault.
    pub path: JsonPath,
    /// One short sentence, which quotes no value of the item.
    pub message: String,
}

/// The state of a run as it was reported: `RunStateResponse` of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// The run.
    pub run_id: String,
    /// The hash of its plan, which is not ours to check.
    pub plan_hash: String,
    /// What happens when a step fails.
    pub failure_policy: FailurePolicy,
    /// When the run was created, microseconds.
    #[serde(with = "time")]
    pub created_at: i64,
    /// When it last changed, microseconds.
    #[serde(with = "time")]
    pub updated_at: i64,
    /// Its steps, in the order of the report.
    pub steps: Vec<StepReport>,
}

/// A step as it was reported: `RunStateStep` of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its id, unique in the report.
    pub step_id: String,
    /// What it does.
    pub kind: ReportedKind,
    /// Whether its plan lets it run.
    pub enabled: bool,
    /// Whether its failure is tolerated.
    pub continue_on_error: bool,
    /// How many of the steps within run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// The approval that a gate waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// What a gate says to the approver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_message: Option<String>,
    /// Where it stands.
    pub status: StepStatus,
    /// How often it began.
    pub attempts: u32,
    /// When it last went from one status to another, microseconds.
    #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub last_transition_at: Option<i64>,
    /// Before when it is not tried again, microseconds.
    #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<i64>,
    /// Why it stands where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
}

/// The kind of a step, as the contract names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReportedKind {
    /// Work.
    Run,
    /// Waits for an approval.
    GateApproval,
    /// Waits for the verdict of a policy.
    GatePolicy,
    /// Steps at the same time.
    Parallel,
    /// One step for each item.
    Map,
    /// Steps again and again.
    Loop,
    /// The steps of one branch.
    Conditional,
    /// Something else.
    Unknown,
}

impl ReportedKind {
    /// Whether it only holds other steps, and does nothing itself.
    #[must_use]
    pub fn is_container(self) -> bool {
        matches!(self, Self::Parallel | Self::Map | Self::Loop | Self::Conditional)
    }

    /// Whether it waits for a verdict.
    #[must_use]
    pub fn is_gate(self) -> bool {
        matches!(self, Self::GateApproval | Self::GatePolicy)
    }
}

/// What a run leaves behind, as it was reported: `RunArtifact` of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactReport {
    /// Its name, unique in the run.
    pub name: String,
    /// Whether it is a file or the value of an expression.
    #[serde(rename = "type")]
    pub kind: ArtifactKind,
    /// The path of a file where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_path: Option<String>,
    /// Where the content of a file is kept; not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_path: Option<String>,
    /// Where it stands.
    pub status: ArtifactStatus,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When it was kept, microseconds.
    #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<i64>,
    /// The value of an object, as JSON; not parsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression_json: Option<String>,
}

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// A file.
    File,
    /// The value of an expression.
    Object,
}

/// An entry of a log as it was reported: `RunLogEntry` of the contract. It has no number there, so what it
/// says is all that it is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When, microseconds.
    #[serde(with = "time")]
    pub timestamp: i64,
    /// How grave.
    pub level: LogLevel,
    /// What happened.
    pub event_type: String,
    /// The same for people.
    pub message: String,
    /// The step it is about, which need not be one that was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_id: Option<String>,
    /// Details. None and an empty object are the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Entry {
    /// The same in the log here, under a number.
    #[must_use]
    pub fn numbered(&self, seq: i64) -> LogEntry {
        LogEntry {
            seq,
            at: self.timestamp,
            level: self.level,
            event: self.event_type.clone(),
            message: self.message.clone(),
            step: self.step_id.clone(),
            metadata: self.metadata.clone(),
        }
    }

    /// What tells it from others: the digest of all that it says.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(self)
    }
}

/// The digest of the canonical form of a report as the contract writes it, so that spelling (the order of
/// members, the offset of a time) is no difference. Times are texts there: as numbers, late ones would be
/// beyond what the canonical form keeps.
///
/// # Panics
/// Never: reports are JSON with text keys.
fn digest<T: Serialize>(report: &T) -> [u8; 32] {
    Digest::of_value(&serde_json::to_value(report).expect("a report is JSON")).0
}

/// Instants as the contract writes them.
mod time {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::domain::time::{format_micros, parse_rfc3339};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub fn serialize<S: Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_micros(*micros))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_rfc3339(&text).ok_or_else(|| D::Error::custom("not a date-time"))
    }
}

/// Instants that may be absent, as the contract writes them.
mod optional_time {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    use crate::domain::time::format_micros;

    #[derive(Deserialize)]
    struct Time(#[serde(with = "super::time")] i64);

    #[expect(clippy::ref_option, reason = "serde asks for a reference")]
    pub fn serialize<S: Serializer>(micros: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        micros.map(format_micros).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|time| time.0))
    }
}
