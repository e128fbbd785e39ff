//! Task packs: a manifest and its inputs become a plan, which has a hash and can be simulated.
//!
//! Planning is pure and bounded: the text before it is parsed, what it holds once its aliases are
//! written out, the steps once its maps are expanded, and the work of its expressions are all counted.
//! It collects every error that it can find, each with its place.
//!
//! Decisions that a reader of manifests must know:
//!
//! - A plain YAML scalar that readers understand differently (`no`, `012`, `1e3`) is an error.
//! - Numbers have one form: `5.0` is 5. Beyond ±(2^53−1) they are errors.
//! - `{{ expression }}` alone keeps the type of the value; what does not exist is null, also in `with`.
//!   `{{ secrets.<name> }}` stands alone in parameters; [`Plan::secret_references`] is what the root
//!   `secrets` is when they are rendered.
//! - A condition is false for `false`, null and what is empty. 0 is true.
//! - `!a.b`, which other readers take for `(!a).b`, is an error: one writes `!(a.b)`.
//! - What is planned does not depend on the order of keys: `keys`, `values`, `*` and objects in texts
//!   go by sorted names.
//! - Hosts of a step must be on the allow-list unless the sandbox is open; without a sandbox there is
//!   no list.
//! - A step knows the outputs of steps that ended before it starts. A step inside a map or a loop is
//!   known only inside the same iteration.
//! - Ranges end before `end`.

mod budget;
mod check;
mod duration;
mod errors;
mod expand;
pub mod expression;
mod fields;
mod functions;
mod hash;
mod hosts;
mod input;
mod interpreter;
mod manifest;
mod number;
mod order;
mod plan;
mod references;
mod scalar;
mod schema;
mod simulate;
mod step;
mod syntax;
pub mod template;
mod yaml;

use serde_json::{Map, Value};

pub use budget::{Budget, MAX_STEPS, MAX_VALUE_BYTES};
pub use errors::PlanError;
pub use expand::MAX_PLAN_BYTES;
pub use expression::{Expression, ExpressionError, is_true};
pub use input::MAX_INPUTS;
pub use plan::{
    Aggregation, Approval, Branch, FailureAction, FailurePolicy, LoopItems, OutputSource, Plan, PlanOutput, PlanStep,
    Reason, Sandbox, SandboxMode, Secret, Slo, StepKind,
};
pub use references::References;
pub use simulate::{
    BranchInfo, ConditionalInfo, LoopInfo, PolicyInfo, SimulatedOutput, SimulatedStatus, SimulatedStep, Simulation,
    simulate,
};
pub use yaml::{MAX_ALIASES, MAX_YAML_DEPTH, MAX_YAML_NODES};

use errors::Errors;

/// The largest manifest, in bytes.
pub const MAX_MANIFEST: usize = 256 * 1024;
/// How many steps a plan may have, containers and the steps of maps included.
pub const MAX_NODES: usize = 5000;
/// How many steps may be inside each other.
pub const MAX_NESTING: usize = 8;
/// How many errors are told.
pub const MAX_ERRORS: usize = 100;

/// Reads a YAML text as manifests are read.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_yaml(text: &str) -> Result<Value, Vec<PlanError>> {
    let mut errors = Errors::default();
    yaml::read(text, &mut errors).ok_or_else(|| errors.into_vec())
}

/// Plans a run of a manifest with these inputs.
///
/// # Errors
/// Everything that is wrong, up to [`MAX_ERRORS`].
pub fn plan(manifest: &str, inputs: &Map<String, Value>) -> Result<Plan, Vec<PlanError>> {
    let mut errors = Errors::default();
    match make(manifest, inputs, &mut errors) {
        Some(plan) if errors.is_empty() => Ok(plan),
        _ => Err(errors.into_vec()),
    }
}

/// The plan; where there are errors it is incomplete or none.
fn make(text: &str, given: &Map<String, Value>, errors: &mut Errors) -> Option<Plan> {
    let mut value = yaml::read(text, errors)?;
    fields::normalise(&mut value, "", MAX_YAML_DEPTH, errors);
    let manifest = manifest::read(&value, errors);
    check::check(&manifest, errors);
    let before = errors.len();
    let inputs = input::resolve(&manifest, given, errors);
    // With other inputs than the author meant, what follows from them is noise.
    let steps = if errors.len() == before && !errors.any_within("spec.inputs") {
        expand::expand(&manifest.steps, &inputs, errors)
    } else {
        Vec::new()
    };
    Some(Plan {
        name: manifest.name,
        version: manifest.version,
        inputs,
        sandbox: manifest.sandbox,
        slo: manifest.slo,
        failure: manifest.failure,
        approvals: manifest.approvals.into_iter().map(|(_, approval)| approval).collect(),
        secrets: manifest.secrets,
        steps,
        outputs: manifest.outputs.into_iter().map(|(_, output)| output).collect(),
    })
}
