//! The plan: what a run of a manifest with its inputs will do, every default written out.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::template;

/// The plan of one run. It is stored with the run and never made anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The name of the pack.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The value of every input that has one, defaults included.
    pub inputs: Map<String, Value>,
    /// What steps may use.
    pub sandbox: Option<Sandbox>,
    /// What the author aims at; measured, not enforced.
    pub slo: Option<Slo>,
    /// What happens when a step fails.
    pub failure: FailurePolicy,
    /// The approvals that gates wait for.
    pub approvals: Vec<Approval>,
    /// The secrets that steps may refer to. Their values are never here.
    pub secrets: Vec<Secret>,
    /// The steps, in order.
    pub steps: Vec<PlanStep>,
    /// What the run gives.
    pub outputs: Vec<PlanOutput>,
}

/// What steps may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sandbox {
    /// Whether steps reach the network.
    pub mode: SandboxMode,
    /// The hosts that steps may reach, sorted, in lower case.
    pub egress_allowlist: Vec<String>,
    /// Thousandths of a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_limit_millicores: Option<u32>,
    /// Mebibytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_mib: Option<u32>,
    /// Seconds that an attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_seconds: Option<u32>,
}

/// Whether steps reach the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SandboxMode {
    /// Only the hosts of the allow-list.
    #[default]
    Sealed,
    /// Any host.
    Open,
}

/// What the author aims at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Slo {
    /// Seconds in which 95 of 100 runs end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_p95_seconds: Option<u32>,
    /// Seconds in which 95 of 100 approvals are decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_p95_seconds: Option<u32>,
    /// How many runs should wait at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queue_depth: Option<u32>,
}

/// What happens when a step fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailurePolicy {
    /// How often a step is tried, the first time included.
    pub max_attempts: u32,
    /// Seconds between two attempts.
    pub backoff_seconds: u32,
    /// Whether the run goes on after any failed step.
    pub continue_on_error: bool,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self { max_attempts: 1, backoff_seconds: 0, continue_on_error: false }
    }
}

/// An approval that gates wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// The name by which gates refer to it.
    pub id: String,
    /// What the approver must be granted, sorted.
    pub grants: Vec<String>,
    /// The text that asks for a decision; a template over the inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_template: Option<String>,
    /// Seconds after the gate is reached when it is too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<i64>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A secret that steps may refer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// The name by which steps refer to it.
    pub name: String,
    /// Where it is from; a word of the platform's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One step, with the steps inside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// Its id in the run: `outer[0]::inner[1]::leaf` inside maps, else the authored one.
    pub id: String,
    /// The authored id.
    pub template_id: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The condition, as authored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whether it is not skipped already.
    pub enabled: bool,
    /// Why it is skipped; absent where it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Whether the run goes on after this step failed. That of the containers and of the policy
    /// comes on top.
    pub continue_on_error: bool,
    /// The values of the iterators of enclosing maps.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub scope: Map<String, Value>,
    /// What it does.
    pub kind: StepKind,
}

impl PlanStep {
    /// Whether the condition must be evaluated when the step could start: it reads what only the run
    /// knows.
    #[must_use]
    pub fn condition_requires_runtime(&self) -> bool {
        let Some(Ok(condition)) = self.when.as_deref().map(template::expression) else {
            return false;
        };
        self.enabled && needs_run(&condition.references().roots, &self.scope)
    }
}

/// Whether something is read that is neither an input nor an iterator of an enclosing map.
pub(super) fn needs_run(roots: &BTreeSet<String>, scope: &Map<String, Value>) -> bool {
    roots.iter().any(|root| root != "inputs" && !scope.contains_key(root))
}

/// Why a step is skipped, or not certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its own condition is false.
    ConditionFalse,
    /// A container around it is skipped.
    ParentSkipped,
    /// Its condition is evaluated only when it could start. Plans leave this out: a simulation says
    /// it of enabled steps.
    ConditionRequiresRuntime,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum StepKind {
    /// Work that a worker does.
    Run {
        /// What does it.
        uses: String,
        /// The parameters; templates are rendered when it starts.
        with: Value,
        /// The hosts that it reaches.
        egress: Vec<String>,
    },
    /// Waits for an approval.
    GateApproval {
        /// The approval.
        approval_id: String,
        /// For the approver.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Waits for the verdict of a policy.
    GatePolicy {
        /// The policy.
        policy_id: String,
        /// Its version, if a certain one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy_version: Option<String>,
        /// What a negative verdict does.
        failure_action: FailureAction,
        /// How often it is asked again.
        retry_count: u32,
        /// For people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Steps at the same time.
    Parallel {
        /// How many at most; without a bound where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_parallel: Option<u32>,
        /// The steps.
        steps: Vec<PlanStep>,
    },
    /// One step for each item.
    Map {
        /// The items.
        items: Value,
        /// How many at most at the same time; without a bound where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_parallel: Option<u32>,
        /// The step of each item.
        steps: Vec<PlanStep>,
    },
    /// Steps again and again.
    Loop {
        /// What it iterates over.
        items: LoopItems,
        /// The name of the item in expressions.
        iterator: String,
        /// The name of its number in expressions.
        index: String,
        /// How many iterations there may be.
        max_iterations: u32,
        /// What becomes of the outputs.
        aggregation: Aggregation,
        /// The steps, once.
        body: Vec<PlanStep>,
    },
    /// The steps of the first branch whose condition is true.
    Conditional {
        /// The branches, in order.
        branches: Vec<Branch>,
        /// The steps where none is.
        otherwise: Vec<PlanStep>,
        /// Whether the outputs of all branches count as its own.
        output_union: bool,
    },
    /// Something that a run elsewhere did. No manifest has it.
    Unknown,
}

/// One branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// The condition, as authored.
    pub condition: String,
    /// The steps.
    pub steps: Vec<PlanStep>,
}

/// What a negative verdict of a policy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureAction {
    /// The step fails.
    #[default]
    Abort,
    /// The step succeeds with a warning.
    Warn,
    /// Somebody decides.
    RequestOverride,
}

/// What a loop iterates over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LoopItems {
    /// What an expression gives, as authored.
    Expression(String),
    /// Numbers from `start`, without `end`.
    Range {
        /// The first number.
        start: i64,
        /// The number before which it ends.
        end: i64,
        /// The distance of two, never 0.
        step: i64,
    },
    /// These values; templates in them are rendered when the loop starts.
    Static(Vec<Value>),
}

impl LoopItems {
    /// How many there are, where that is known.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Expression(_) => None,
            Self::Range { start, end, step } => {
                let (distance, step_size) = (i128::from(*end) - i128::from(*start), i128::from(*step));
                if step_size == 0 || distance.signum() != step_size.signum() {
                    return Some(0);
                }
                let count = (distance.abs() + step_size.abs() - 1) / step_size.abs();
                Some(u64::try_from(count).unwrap_or(u64::MAX))
            }
            Self::Static(values) => u64::try_from(values.len()).ok(),
        }
    }
}

/// What becomes of the outputs of a loop's iterations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Aggregation {
    /// An array of them.
    #[default]
    Collect,
    /// One object of all.
    Merge,
    /// Those of the last iteration.
    Last,
    /// Those of the first iteration.
    First,
    /// Nothing.
    None,
}

/// One thing that the run gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanOutput {
    /// Its name.
    pub name: String,
    /// What it is and where it comes from.
    pub source: OutputSource,
}

/// What an output is and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutputSource {
    /// A file at this path; a template.
    File(String),
    /// The value of this expression.
    Object(String),
}

impl Plan {
    /// `sha256:` and 64 lowercase hex digits over what the plan means: everything but descriptions.
    #[must_use]
    pub fn hash(&self) -> String {
        super::hash::hash(self)
    }

    /// Whether some enabled step waits for an approval.
    #[must_use]
    pub fn requires_approval(&self) -> bool {
        self.steps().any(|step| step.enabled && matches!(step.kind, StepKind::GateApproval { .. }))
    }

    /// Every step, containers before what is inside them, in order.
    pub fn steps(&self) -> impl Iterator<Item = &PlanStep> {
        let mut open: Vec<&PlanStep> = self.steps.iter().rev().collect();
        std::iter::from_fn(move || {
            let step = open.pop()?;
            let children: Vec<&PlanStep> = step.kind.children().collect();
            open.extend(children.into_iter().rev());
            Some(step)
        })
    }

    /// What expressions know as `secrets`: an opaque reference for each, never a value.
    #[must_use]
    pub fn secret_references(&self) -> Value {
        self.secrets.iter().map(|secret| (secret.name.clone(), json!({"secretRef": secret.name}))).collect()
    }
}

impl StepKind {
    /// The name of the kind in the contract.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run { .. } => "Run",
            Self::GateApproval { .. } => "GateApproval",
            Self::GatePolicy { .. } => "GatePolicy",
            Self::Parallel { .. } => "Parallel",
            Self::Map { .. } => "Map",
            Self::Loop { .. } => "Loop",
            Self::Conditional { .. } => "Conditional",
            Self::Unknown => "Unknown",
        }
    }

    /// The steps directly inside, in order; those of all branches, and then of the else branch.
    pub fn children(&self) -> impl Iterator<Item = &PlanStep> {
        let (branches, steps): (&[Branch], &[PlanStep]) = match self {
            Self::Parallel { steps, .. } | Self::Map { steps, .. } | Self::Loop { body: steps, .. } => (&[], steps),
            Self::Conditional { branches, otherwise, .. } => (branches, otherwise),
            Self::Run { .. } | Self::GateApproval { .. } | Self::GatePolicy { .. } | Self::Unknown => (&[], &[]),
        };
        branches.iter().flat_map(|branch| &branch.steps).chain(steps)
    }

    /// What a worker must be able to do for this: what a step uses, `policy:` and the id of a policy.
    #[must_use]
    pub fn uses(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Run { uses, .. } if !uses.is_empty() => Some(Cow::Borrowed(uses)),
            Self::GatePolicy { policy_id, .. } if !policy_id.is_empty() => {
                Some(Cow::Owned(format!("policy:{policy_id}")))
            }
            _ => None,
        }
    }

    /// How many steps may run at the same time, where that is bounded.
    #[must_use]
    pub fn max_parallel(&self) -> Option<u32> {
        match self {
            Self::Parallel { max_parallel, .. } | Self::Map { max_parallel, .. } => *max_parallel,
            _ => None,
        }
    }
}
