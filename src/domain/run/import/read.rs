//! Reads items: what the contract asks for must be there and as it says. Members that it does not know are
//! passed over; the raw item keeps them.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::fields::{Fields, count, flag, instant, long_text, name, one_of, plan_hash, run_id, text, word};
use super::{
    ArtifactKind, ArtifactReport, Entry, ImportError, ImportItem, ImportWarning, MAX_ENTRIES, ReportedKind, RunReport,
    StepReport,
};
use crate::domain::digest::Digest;
use crate::domain::path::JsonPath;
use crate::domain::run::{ArtifactStatus, LogLevel, MAX_STEPS, StepStatus};
use crate::domain::taskpack::FailurePolicy;

const KINDS: [(&str, ReportedKind); 8] = [
    ("Run", ReportedKind::Run),
    ("GateApproval", ReportedKind::GateApproval),
    ("GatePolicy", ReportedKind::GatePolicy),
    ("Parallel", ReportedKind::Parallel),
    ("Map", ReportedKind::Map),
    ("Loop", ReportedKind::Loop),
    ("Conditional", ReportedKind::Conditional),
    ("Unknown", ReportedKind::Unknown),
];

const STATUSES: [(&str, StepStatus); 5] = [
    ("Pending", StepStatus::Pending),
    ("Running", StepStatus::Running),
    ("Succeeded", StepStatus::Succeeded),
    ("Failed", StepStatus::Failed),
    ("Skipped", StepStatus::Skipped),
];

const LEVELS: [(&str, LogLevel); 4] =
    [("debug", LogLevel::Debug), ("info", LogLevel::Info), ("warn", LogLevel::Warn), ("error", LogLevel::Error)];

const ARTIFACT_KINDS: [(&str, ArtifactKind); 2] = [("file", ArtifactKind::File), ("object", ArtifactKind::Object)];

const ARTIFACT_STATUSES: [(&str, ArtifactStatus); 3] =
    [("pending", ArtifactStatus::Pending), ("captured", ArtifactStatus::Captured), ("failed", ArtifactStatus::Failed)];

impl ImportItem {
    /// Reads an item. `None` if it is no report of a run: of another kind, or a Kubernetes record, which
    /// has an `apiVersion`.
    ///
    /// # Errors
    /// The first thing that is wrong with a report.
    pub fn read(item: &Map<String, Value>) -> Result<Option<Self>, ImportError> {
        if item.contains_key("apiVersion") {
            return Ok(None);
        }
        let fields = Fields::root(item);
        let read = match item.get("kind").and_then(Value::as_str) {
            Some("Run") => Self::Run(Box::new(run(&fields)?)),
            Some("RunLog") => Self::Log { run_id: fields.required("runId", run_id)?, entries: entries(&fields)? },
            Some("RunArtifact") => {
                Self::Artifact { run_id: fields.required("runId", run_id)?, artifact: artifact(&fields)? }
            }
            _ => return Ok(None),
        };
        Ok(Some(read))
    }

    /// What breaks the contract and is taken all the same.
    #[must_use]
    pub fn warnings(&self) -> Vec<ImportWarning> {
        match self {
            Self::Run(report) if report.plan_hash.parse::<Digest>().is_err() => {
                let message = "the hash is not sha256: and 64 lowercase hex digits".to_owned();
                vec![ImportWarning { path: JsonPath::key("planHash"), message }]
            }
            _ => Vec::new(),
        }
    }
}

fn run(fields: &Fields) -> Result<RunReport, ImportError> {
    Ok(RunReport {
        run_id: fields.required("runId", run_id)?,
        plan_hash: fields.required("planHash", plan_hash)?,
        failure_policy: failure_policy(&fields.inner("failurePolicy")?)?,
        created_at: fields.required("createdAt", instant)?,
        updated_at: fields.required("updatedAt", instant)?,
        steps: steps(&fields.list("steps", MAX_STEPS)?)?,
    })
}

fn failure_policy(fields: &Fields) -> Result<FailurePolicy, ImportError> {
    Ok(FailurePolicy {
        max_attempts: fields.required("maxAttempts", count(1))?,
        backoff_seconds: fields.required("backoffSeconds", count(0))?,
        continue_on_error: fields.required("continueOnError", flag)?,
    })
}

fn steps(list: &[Fields]) -> Result<Vec<StepReport>, ImportError> {
    let mut ids = HashSet::with_capacity(list.len());
    let mut steps = Vec::with_capacity(list.len());
    for fields in list {
        let step = step(fields)?;
        if !ids.insert(step.step_id.clone()) {
            return Err(fields.error("stepId", "another step has the same id"));
        }
        steps.push(step);
    }
    Ok(steps)
}

fn step(fields: &Fields) -> Result<StepReport, ImportError> {
    Ok(StepReport {
        step_id: fields.required("stepId", name)?,
        kind: fields.required("kind", one_of(&KINDS))?,
        enabled: fields.required("enabled", flag)?,
        continue_on_error: fields.required("continueOnError", flag)?,
        max_parallel: fields.optional("maxParallel", count(0))?,
        approval_id: fields.optional("approvalId", name)?,
        gate_message: fields.optional("gateMessage", text)?,
        status: fields.required("status", one_of(&STATUSES))?,
        attempts: fields.required("attempts", count(0))?,
        last_transition_at: fields.optional("lastTransitionAt", instant)?,
        next_attempt_at: fields.optional("nextAttemptAt", instant)?,
        status_reason: fields.optional("statusReason", text)?,
    })
}

/// The entries of a report of a log: a list of them, or the one whose members the item itself has.
fn entries(fields: &Fields) -> Result<Vec<Entry>, ImportError> {
    if fields.has("entries") {
        fields.list("entries", MAX_ENTRIES)?.iter().map(entry).collect()
    } else {
        Ok(vec![entry(fields)?])
    }
}

fn entry(fields: &Fields) -> Result<Entry, ImportError> {
    let metadata = match fields.optional("metadata", Ok)? {
        Some(_) => fields.inner("metadata")?.each(text)?,
        None => Vec::new(),
    };
    Ok(Entry {
        timestamp: fields.required("timestamp", instant)?,
        level: fields.required("level", one_of(&LEVELS))?,
        event_type: fields.required("eventType", word)?,
        message: fields.required("message", text)?,
        step_id: fields.optional("stepId", word)?,
        metadata: metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    })
}

fn artifact(fields: &Fields) -> Result<ArtifactReport, ImportError> {
    Ok(ArtifactReport {
        name: fields.required("name", name)?,
        kind: fields.required("type", one_of(&ARTIFACT_KINDS))?,
        source_path: fields.optional("sourcePath", text)?,
        stored_path: fields.optional("storedPath", text)?,
        status: fields.required("status", one_of(&ARTIFACT_STATUSES))?,
        notes: fields.optional("notes", text)?,
        captured_at: fields.optional("capturedAt", instant)?,
        // As large as the item lets it be: it is a value, not a text.
        expression_json: fields.optional("expressionJson", long_text)?,
    })
}
