//! What a run would do.

use async_graphql::{Enum, SimpleObject};

use super::run::{FailurePolicy, plan_hash};
use crate::domain::taskpack::{SimulatedOutput, SimulatedStatus, SimulatedStep, Simulation as Simulated};
use crate::graphql::error::ApiError;
use crate::graphql::scalar::{Digest, Int53, Json};

/// What would become of a step first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "SimulatedStatus")]
pub enum SimulationStatus {
    /// It would run.
    Pending,
    /// It would not run.
    Skipped,
    /// It would wait for an approval.
    RequiresApproval,
    /// It would wait for a policy.
    RequiresPolicy,
    /// It would iterate.
    WillIterate,
    /// It would choose a branch.
    WillBranch,
}

/// A step of a simulation.
#[derive(Debug, Clone, SimpleObject)]
pub struct SimulationStep {
    /// Its id in the run.
    id: String,
    /// Its id in the manifest.
    template_id: String,
    /// What it is, in the word of the REST contract: `Run`, `GateApproval` …
    kind: String,
    /// Whether it is not skipped already.
    enabled: bool,
    /// What would become of it first.
    status: SimulationStatus,
    /// Why: `condition-false`, `parent-skipped`, `condition-requires-runtime`.
    status_reason: Option<String>,
    /// What a worker must be able to do.
    uses: Option<String>,
    /// The approval that a gate waits for.
    approval_id: Option<String>,
    /// The message of a gate.
    gate_message: Option<String>,
    /// How many steps in it may run side by side.
    max_parallel: Option<Int53>,
    /// Whether its failure is tolerated.
    continue_on_error: bool,
    /// The id of the step that it is in; null at the top. Steps are in a list that has each container before
    /// what is in it.
    parent_id: Option<String>,
    /// How many steps it is in.
    depth: Int53,
    /// Of a loop, in the shape of the REST contract.
    loop_info: Option<Json>,
    /// Of a conditional, in the shape of the REST contract.
    conditional_info: Option<Json>,
    /// Of a policy gate, in the shape of the REST contract.
    policy_info: Option<Json>,
}

/// What a run would give.
#[derive(Debug, Clone, SimpleObject)]
pub struct SimulationOutput {
    /// Its name.
    name: String,
    /// `file` or `object`.
    #[graphql(name = "type")]
    kind: String,
    /// Whether it depends on what steps give.
    requires_runtime_value: bool,
    /// The path of a file, as the pack has it.
    path_expression: Option<String>,
    /// The expression of an object, as the pack has it.
    value_expression: Option<String>,
}

/// What a run would do: planned as a run is, with the same hash, and nothing kept.
#[derive(Debug, Clone, SimpleObject)]
pub struct Simulation {
    /// The hash of the plan: that of a run of the same manifest and inputs.
    plan_hash: Digest,
    /// What happens when a step fails.
    failure_policy: FailurePolicy,
    /// All steps, each container before what is in it; 5,000 at most.
    steps: Vec<SimulationStep>,
    /// What the run would give.
    outputs: Vec<SimulationOutput>,
    /// Whether an enabled step waits for an approval. Policies do not count.
    has_pending_approvals: bool,
}

impl Simulation {
    /// A simulation.
    ///
    /// # Errors
    /// If its plan has no hash.
    pub fn new(simulated: Simulated) -> Result<Self, ApiError> {
        let mut steps = Vec::new();
        for step in simulated.steps {
            flatten(step, None, 0, &mut steps);
        }
        Ok(Self {
            plan_hash: plan_hash(&simulated.plan_hash)?,
            failure_policy: FailurePolicy::of(&simulated.failure_policy),
            steps,
            outputs: simulated.outputs.into_iter().map(Into::into).collect(),
            has_pending_approvals: simulated.has_pending_approvals,
        })
    }
}

impl From<SimulatedOutput> for SimulationOutput {
    fn from(output: SimulatedOutput) -> Self {
        Self {
            name: output.name,
            kind: output.kind.to_owned(),
            requires_runtime_value: output.requires_runtime_value,
            path_expression: output.path_expression,
            value_expression: output.value_expression,
        }
    }
}

fn flatten(step: SimulatedStep, parent: Option<&str>, depth: i64, steps: &mut Vec<SimulationStep>) {
    let reason = step.status_reason.and_then(|reason| serde_json::to_value(reason).ok());
    let id = step.id.clone();
    steps.push(SimulationStep {
        id: step.id,
        template_id: step.template_id,
        kind: step.kind.to_owned(),
        enabled: step.enabled,
        status: step.status.into(),
        status_reason: reason.and_then(|reason| reason.as_str().map(ToOwned::to_owned)),
        uses: step.uses,
        approval_id: step.approval_id,
        gate_message: step.gate_message,
        max_parallel: step.max_parallel.map(|most| Int53(i64::from(most))),
        continue_on_error: step.continue_on_error,
        parent_id: parent.map(ToOwned::to_owned),
        depth: Int53(depth),
        loop_info: step.loop_info.and_then(|info| serde_json::to_value(info).ok()).map(Json),
        conditional_info: step.conditional_info.and_then(|info| serde_json::to_value(info).ok()).map(Json),
        policy_info: step.policy_info.and_then(|info| serde_json::to_value(info).ok()).map(Json),
    });
    for child in step.children {
        flatten(child, Some(&id), depth + 1, steps);
    }
}
