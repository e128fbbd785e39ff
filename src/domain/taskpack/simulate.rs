//! What a run of a plan would do, told without doing anything.

use serde::Serialize;

use super::plan::{
    Aggregation, FailureAction, FailurePolicy, LoopItems, OutputSource, Plan, PlanOutput, PlanStep, Reason, StepKind,
};
use super::template::{self, Piece};

/// The answer to a simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// The hash of the plan.
    pub plan_hash: String,
    /// What happens when a step fails.
    pub failure_policy: FailurePolicy,
    /// The steps.
    pub steps: Vec<SimulatedStep>,
    /// What the run would give.
    pub outputs: Vec<SimulatedOutput>,
    /// Whether some enabled step waits for an approval; policies do not count.
    pub has_pending_approvals: bool,
}

/// One step of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedStep {
    /// Its id in the run.
    pub id: String,
    /// The authored id.
    pub template_id: String,
    /// The name of its kind.
    pub kind: &'static str,
    /// Whether it is not skipped already.
    pub enabled: bool,
    /// What would become of it first.
    pub status: SimulatedStatus,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<Reason>,
    /// What does the work of a run step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<String>,
    /// The approval that a gate waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// The message of a gate, as authored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_message: Option<String>,
    /// How many steps inside may run at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// Left out where it is false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continue_on_error: bool,
    /// The steps inside.
    pub children: Vec<SimulatedStep>,
    /// Of a loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loop_info: Option<LoopInfo>,
    /// Of a conditional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditional_info: Option<ConditionalInfo>,
    /// Of a policy gate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_info: Option<PolicyInfo>,
}

/// What would become of a step first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SimulatedStatus {
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

/// Details of a loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoopInfo {
    /// The expression that gives the items; absent where they are written out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_expression: Option<String>,
    /// The name of the item.
    pub iterator: String,
    /// The name of its number.
    pub index: String,
    /// How many iterations there may be.
    pub max_iterations: u32,
    /// What becomes of the outputs.
    pub aggregation_mode: Aggregation,
}

/// Details of a conditional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionalInfo {
    /// The branches.
    pub branches: Vec<BranchInfo>,
    /// How many steps are directly in the else branch.
    pub else_step_count: usize,
    /// Whether the outputs of all branches count as its own.
    pub output_union: bool,
}

/// Details of a branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BranchInfo {
    /// The condition, as authored.
    pub condition: String,
    /// How many steps are directly in it.
    pub step_count: usize,
}

/// Details of a policy gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyInfo {
    /// The policy.
    pub policy_id: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// What a negative verdict does.
    pub failure_action: FailureAction,
    /// How often it is asked again.
    pub retry_count: u32,
}

/// One output of a simulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedOutput {
    /// Its name.
    pub name: String,
    /// `file` or `object`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it depends on what steps give.
    pub requires_runtime_value: bool,
    /// The path, as authored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_expression: Option<String>,
    /// The expression, as authored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_expression: Option<String>,
}

/// Tells what a run of a plan would do.
#[must_use]
pub fn simulate(plan: &Plan) -> Simulation {
    Simulation {
        plan_hash: plan.hash(),
        failure_policy: plan.failure.clone(),
        steps: plan.steps.iter().map(step).collect(),
        outputs: plan.outputs.iter().map(output).collect(),
        has_pending_approvals: plan.requires_approval(),
    }
}

fn step(step: &PlanStep) -> SimulatedStep {
    let mut simulated = SimulatedStep {
        id: step.id.clone(),
        template_id: step.template_id.clone(),
        kind: step.kind.name(),
        enabled: step.enabled,
        status: status(step),
        status_reason: reason(step),
        uses: None,
        approval_id: None,
        gate_message: None,
        max_parallel: step.kind.max_parallel(),
        continue_on_error: step.continue_on_error,
        children: step.kind.children().map(self::step).collect(),
        loop_info: None,
        conditional_info: None,
        policy_info: None,
    };
    add_details(&step.kind, &mut simulated);
    simulated
}

fn status(step: &PlanStep) -> SimulatedStatus {
    if !step.enabled {
        return SimulatedStatus::Skipped;
    }
    match step.kind {
        StepKind::Run { .. } | StepKind::Parallel { .. } | StepKind::Map { .. } | StepKind::Unknown => {
            SimulatedStatus::Pending
        }
        StepKind::GateApproval { .. } => SimulatedStatus::RequiresApproval,
        StepKind::GatePolicy { .. } => SimulatedStatus::RequiresPolicy,
        StepKind::Loop { .. } => SimulatedStatus::WillIterate,
        StepKind::Conditional { .. } => SimulatedStatus::WillBranch,
    }
}

fn reason(step: &PlanStep) -> Option<Reason> {
    step.reason.or_else(|| step.condition_requires_runtime().then_some(Reason::ConditionRequiresRuntime))
}

fn add_details(kind: &StepKind, simulated: &mut SimulatedStep) {
    match kind {
        StepKind::Run { uses, .. } => simulated.uses = Some(uses.clone()),
        StepKind::GateApproval { approval_id, message } => {
            simulated.approval_id = Some(approval_id.clone());
            simulated.gate_message.clone_from(message);
        }
        StepKind::GatePolicy { policy_id, policy_version, failure_action, retry_count, message } => {
            simulated.gate_message.clone_from(message);
            simulated.policy_info = Some(PolicyInfo {
                policy_id: policy_id.clone(),
                policy_version: policy_version.clone(),
                failure_action: *failure_action,
                retry_count: *retry_count,
            });
        }
        StepKind::Loop { items, iterator, index, max_iterations, aggregation, .. } => {
            let items_expression = match items {
                LoopItems::Expression(text) => Some(text.clone()),
                LoopItems::Range { .. } | LoopItems::Static(_) => None,
            };
            simulated.loop_info = Some(LoopInfo {
                items_expression,
                iterator: iterator.clone(),
                index: index.clone(),
                max_iterations: *max_iterations,
                aggregation_mode: *aggregation,
            });
        }
        StepKind::Conditional { branches, otherwise, output_union } => {
            let branches = branches
                .iter()
                .map(|branch| BranchInfo { condition: branch.condition.clone(), step_count: branch.steps.len() });
            simulated.conditional_info = Some(ConditionalInfo {
                branches: branches.collect(),
                else_step_count: otherwise.len(),
                output_union: *output_union,
            });
        }
        StepKind::Parallel { .. } | StepKind::Map { .. } | StepKind::Unknown => {}
    }
}

fn output(output: &PlanOutput) -> SimulatedOutput {
    let (kind, path, value) = match &output.source {
        OutputSource::File(path) => ("file", Some(path.clone()), None),
        OutputSource::Object(expression) => ("object", None, Some(expression.clone())),
    };
    SimulatedOutput {
        name: output.name.clone(),
        kind,
        requires_runtime_value: output.source.requires_runtime(),
        path_expression: path,
        value_expression: value,
    }
}

impl OutputSource {
    /// Whether it depends on what steps give.
    #[must_use]
    pub fn requires_runtime(&self) -> bool {
        let expressions = match self {
            Self::File(path) => template::pieces(path).unwrap_or_default(),
            Self::Object(text) => template::expression(text).map(Piece::Expression).into_iter().collect(),
        };
        expressions.iter().any(|piece| match piece {
            Piece::Expression(expression) => expression.references().roots.contains("steps"),
            Piece::Text(_) => false,
        })
    }
}
