//! The shapes of the contract.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::run::{Artifact, ArtifactStatus, LogEntry, LogLevel, Step, StepStatus, planned, preorder};
use crate::domain::taskpack::{FailureAction, FailurePolicy, Plan, PlanStep, StepKind};
use crate::domain::time::format_micros;
use crate::service::query::RunDetail;

/// `RunStateResponse`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunState<'a> {
    run_id: &'a str,
    plan_hash: &'a str,
    failure_policy: &'a FailurePolicy,
    created_at: String,
    updated_at: String,
    steps: Vec<RunStateStep<'a>>,
}

/// `RunStateStep`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RunStateStep<'a> {
    step_id: &'a str,
    kind: &'static str,
    enabled: bool,
    continue_on_error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_parallel: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate_message: Option<&'a str>,
    status: StepStatus,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_transition_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_reason: Option<&'a str>,
}

impl<'a> RunState<'a> {
    /// A run; its steps in pre-order, containers before what is in them.
    pub fn of(detail: &'a RunDetail) -> Self {
        let RunDetail { run, plan, .. } = detail;
        let steps = &run.run.steps;
        Self {
            run_id: &run.run_id,
            plan_hash: &run.plan_hash,
            failure_policy: &plan.failure,
            created_at: format_micros(run.run.created_at),
            updated_at: format_micros(run.run.updated_at),
            steps: preorder(steps).into_iter().map(|n| RunStateStep::of(&steps[n], plan)).collect(),
        }
    }
}

impl<'a> RunStateStep<'a> {
    fn of(step: &'a Step, plan: &'a Plan) -> Self {
        let planned = planned(plan, &step.path);
        let (approval_id, gate_message) = gate(step, planned);
        Self {
            step_id: &step.id,
            kind: planned.kind.name(),
            enabled: step.enabled,
            continue_on_error: step.continue_on_error,
            max_parallel: planned.kind.max_parallel(),
            approval_id,
            gate_message,
            status: step.status,
            attempts: step.attempts,
            last_transition_at: step.last_transition_at.map(format_micros),
            next_attempt_at: step.next_attempt_at.map(format_micros),
            status_reason: step.reason.as_deref(),
        }
    }
}

/// The approval and the message of a gate. A policy gate that can be overridden is approved under the id
/// of its step.
fn gate<'a>(step: &'a Step, planned: &'a PlanStep) -> (Option<&'a str>, Option<&'a str>) {
    match &planned.kind {
        StepKind::GateApproval { approval_id, message } => (Some(approval_id), message.as_deref()),
        StepKind::GatePolicy { failure_action, message, .. } => {
            let is_overridable = *failure_action == FailureAction::RequestOverride;
            (is_overridable.then_some(&*step.id), message.as_deref())
        }
        _ => (None, None),
    }
}

/// `RunArtifact`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunArtifact<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored_path: Option<&'a str>,
    status: ArtifactStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression_json: Option<&'a str>,
}

impl<'a> RunArtifact<'a> {
    /// What a run leaves behind.
    pub fn of(artifact: &'a Artifact) -> Self {
        Self {
            name: &artifact.name,
            kind: if artifact.is_file { "file" } else { "object" },
            source_path: artifact.source_path.as_deref(),
            stored_path: artifact.stored_path.as_deref(),
            status: artifact.status,
            notes: artifact.notes.as_deref(),
            captured_at: artifact.captured_at.map(format_micros),
            expression_json: artifact.expression_json.as_deref(),
        }
    }
}

/// `RunLogEntry`, with its number where a client goes on from one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunLogEntry<'a> {
    timestamp: String,
    level: LogLevel,
    event_type: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_id: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
}

impl<'a> RunLogEntry<'a> {
    /// An entry, with its number or without.
    pub fn of(entry: &'a LogEntry, is_numbered: bool) -> Self {
        Self {
            timestamp: format_micros(entry.at),
            level: entry.level,
            event_type: &entry.event,
            message: &entry.message,
            step_id: entry.step.as_deref(),
            metadata: &entry.metadata,
            seq: is_numbered.then_some(entry.seq),
        }
    }
}
