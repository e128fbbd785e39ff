//! The steps of a manifest as their author wrote them.

use serde_json::{Map, Value};

use super::errors::Errors;
use super::fields::{Fields, choose, name};
use super::hosts;
use super::manifest::{MAX_NAME, MAX_TEXT};
use super::plan::{Aggregation, FailureAction, LoopItems};
use super::{MAX_NESTING, expression::MAX_EXPRESSION};

/// How many iterations a loop has at most where it does not say.
const DEFAULT_ITERATIONS: u32 = 1000;
/// How many iterations a loop may ask for.
const MAX_ITERATIONS: u32 = 10_000;
/// How many steps may be asked to run at the same time, and how often a policy may be asked again.
const MAX_PARALLEL: u32 = 10_000;
const MAX_RETRIES: u32 = 100;
/// The longest expression with its braces and some space.
const MAX_CONDITION: usize = MAX_EXPRESSION + 64;

/// A step as far as it could be read.
#[derive(Debug)]
pub(super) struct StepDecl {
    pub path: String,
    /// Empty where it could not be read.
    pub id: String,
    pub name: Option<String>,
    pub when: Option<String>,
    pub continue_on_error: bool,
    pub kind: KindDecl,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum KindDecl {
    Run {
        uses: String,
        with: Value,
        egress: Vec<(String, String)>,
    },
    GateApproval {
        approval_id: String,
        message: Option<String>,
    },
    GatePolicy(PolicyDecl),
    Parallel {
        max_parallel: Option<u32>,
        steps: Vec<StepDecl>,
    },
    Map {
        items: Value,
        names: Names,
        max_parallel: Option<u32>,
        step: Vec<StepDecl>,
    },
    Loop(LoopDecl),
    Conditional {
        branches: Vec<BranchDecl>,
        otherwise: Vec<StepDecl>,
        output_union: bool,
    },
    /// It could not be read.
    Broken,
}

#[derive(Debug)]
pub(super) struct PolicyDecl {
    pub policy_id: String,
    pub policy_version: Option<String>,
    pub failure_action: FailureAction,
    pub retry_count: u32,
    pub message: Option<String>,
}

#[derive(Debug)]
pub(super) struct LoopDecl {
    pub items: Option<LoopItems>,
    pub names: Names,
    pub max_iterations: u32,
    pub aggregation: Aggregation,
    pub body: Vec<StepDecl>,
}

/// The names of the item and of its number in expressions.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub iterator: String,
    pub index: String,
}

#[derive(Debug)]
pub(super) struct BranchDecl {
    pub path: String,
    pub condition: String,
    pub steps: Vec<StepDecl>,
}

/// Reads the steps of a list that is `level` deep.
pub(super) fn read_all(elements: Vec<(String, &Value)>, level: usize, errors: &mut Errors) -> Vec<StepDecl> {
    elements.into_iter().map(|(path, value)| read(path, value, level, errors)).collect()
}

fn read(path: String, value: &Value, level: usize, errors: &mut Errors) -> StepDecl {
    if level > MAX_NESTING {
        errors.add(path.as_str(), format!("steps are nested deeper than {MAX_NESTING}"));
        return StepDecl::unreadable(path);
    }
    let Some(mut fields) = Fields::of(value, &path, errors) else {
        return StepDecl::unreadable(path);
    };
    let id = name(&mut fields, "id", errors).unwrap_or_default();
    let display = fields.text("name", MAX_NAME, errors);
    let when = read_condition(&mut fields, "when", errors);
    let own = fields.boolean("continueOnError", errors);
    let (kind, inner) = read_kind(&mut fields, level, errors);
    fields.finish(errors);
    StepDecl { path, id, name: display, when, continue_on_error: own || inner, kind }
}

/// A condition: a text, or true or false, which become the literals of expressions.
fn read_condition(fields: &mut Fields<'_>, field: &'static str, errors: &mut Errors) -> Option<String> {
    match fields.take(field) {
        Some(Value::Bool(value)) => Some(format!("`{value}`")),
        _ => fields.text(field, MAX_CONDITION, errors),
    }
}

/// Reads the one kind of a step, and whether that says to go on after errors.
fn read_kind(fields: &mut Fields<'_>, level: usize, errors: &mut Errors) -> (KindDecl, bool) {
    const KINDS: [&str; 6] = ["run", "gate", "parallel", "map", "loop", "conditional"];
    let present: Vec<&'static str> = KINDS.into_iter().filter(|kind| fields.take(kind).is_some()).collect();
    if present.len() != 1 {
        let found = if present.is_empty() { "none".to_owned() } else { present.join(", ") };
        let message = format!("must have exactly one of {}; it has {found}", KINDS.join(", "));
        errors.add(fields.path.as_str(), message);
    }
    let mut read = (KindDecl::Broken, false);
    // All that are there are read, so that what is wrong in them is told.
    for kind in present.iter().rev() {
        let Some(mut inner) = fields.object(kind, errors) else {
            continue;
        };
        let decl = match *kind {
            "run" => read_run(&mut inner, errors),
            "gate" => read_gate(&mut inner, errors),
            "parallel" => read_parallel(&mut inner, level, errors),
            "map" => read_map(&mut inner, level, errors),
            "loop" => read_loop(&mut inner, level, errors),
            _ => read_conditional(&mut inner, level, errors),
        };
        let is_container = matches!(*kind, "parallel" | "loop" | "map");
        read = (decl, is_container && inner.boolean("continueOnError", errors));
        inner.finish(errors);
    }
    read
}

fn read_run(fields: &mut Fields<'_>, errors: &mut Errors) -> KindDecl {
    let uses = fields.required_text("uses", MAX_NAME, errors).unwrap_or_default();
    if !uses.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/@+-".contains(&b)) {
        errors.add(fields.at("uses"), "must be letters, digits and . _ : / @ + -");
    }
    let with = match fields.take("with") {
        None => Value::Object(Map::new()),
        Some(with) => {
            if !with.is_object() {
                errors.add(fields.at("with"), "must be an object");
            }
            with.clone()
        }
    };
    let mut egress = hosts::read(fields, "egress", errors);
    egress.sort_by(|(_, a), (_, b)| a.cmp(b));
    egress.dedup_by(|(_, a), (_, b)| a == b);
    KindDecl::Run { uses, with, egress }
}

fn read_gate(fields: &mut Fields<'_>, errors: &mut Errors) -> KindDecl {
    let (has_approval, has_policy) = (fields.take("approval").is_some(), fields.take("policy").is_some());
    if has_approval == has_policy {
        errors.add(fields.path.as_str(), "must have exactly one of approval and policy");
    }
    let policy = fields.object("policy", errors).map(|policy| read_policy(policy, errors));
    let approval = fields.object("approval", errors).map(|mut approval| {
        let approval_id = name(&mut approval, "id", errors).unwrap_or_default();
        let message = approval.text("message", MAX_TEXT, errors);
        approval.finish(errors);
        KindDecl::GateApproval { approval_id, message }
    });
    approval.or(policy).unwrap_or(KindDecl::Broken)
}

fn read_policy(mut fields: Fields<'_>, errors: &mut Errors) -> KindDecl {
    let policy_id = fields.required_text("policyId", MAX_NAME, errors).unwrap_or_default();
    if policy_id.contains(char::is_control) {
        errors.add(fields.at("policyId"), "must not hold a control character");
    }
    let policy_version = fields.text("policyVersion", MAX_NAME, errors);
    let actions = [
        ("abort", FailureAction::Abort),
        ("warn", FailureAction::Warn),
        ("requestOverride", FailureAction::RequestOverride),
    ];
    let failure_action = if fields.take("failureAction").and_then(Value::as_str) == Some("branch") {
        errors.add(fields.at("failureAction"), "'branch' is not supported: its steps are not defined");
        FailureAction::Abort
    } else {
        fields.choice("failureAction", &actions, errors).unwrap_or_default()
    };
    let retry_count = fields.count("retryCount", (0, MAX_RETRIES), errors).unwrap_or(0);
    let message = fields.text("message", MAX_TEXT, errors);
    fields.finish(errors);
    KindDecl::GatePolicy(PolicyDecl { policy_id, policy_version, failure_action, retry_count, message })
}

fn read_parallel(fields: &mut Fields<'_>, level: usize, errors: &mut Errors) -> KindDecl {
    let max_parallel = fields.count("maxParallel", (1, MAX_PARALLEL), errors);
    let steps = read_all(fields.filled_list("steps", errors), level + 1, errors);
    KindDecl::Parallel { max_parallel, steps }
}

fn read_map(fields: &mut Fields<'_>, level: usize, errors: &mut Errors) -> KindDecl {
    let items = fields.required("items", errors).cloned().unwrap_or(Value::Array(Vec::new()));
    if !items.is_array() && !items.is_string() {
        errors.add(fields.at("items"), "must be a list or an expression");
    }
    let names = read_names(fields, errors);
    let max_parallel = fields.count("maxParallel", (1, MAX_PARALLEL), errors);
    let path = fields.at("step");
    let step = fields.required("step", errors).map(|step| read(path, step, level + 1, errors));
    KindDecl::Map { items, names, max_parallel, step: step.into_iter().collect() }
}

fn read_names(fields: &mut Fields<'_>, errors: &mut Errors) -> Names {
    let mut read = |field: &'static str, default: &str| {
        let name = fields.text(field, 64, errors)?;
        let is_good = !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_good || ["inputs", "steps", "secrets"].contains(&name.as_str()) {
            errors.add(fields.at(field), "must be a word of letters, digits and '_', and not inputs, steps or secrets");
            return Some(default.to_owned());
        }
        Some(name)
    };
    let iterator = read("iterator", "item").unwrap_or_else(|| "item".to_owned());
    let index = read("index", "index").unwrap_or_else(|| "index".to_owned());
    if iterator == index {
        errors.add(fields.at("index"), "must not be the name of the item");
    }
    Names { iterator, index }
}

fn read_loop(fields: &mut Fields<'_>, level: usize, errors: &mut Errors) -> KindDecl {
    let max_iterations = fields.count("maxIterations", (1, MAX_ITERATIONS), errors).unwrap_or(DEFAULT_ITERATIONS);
    let items = match fields.required("items", errors) {
        Some(_) => fields.object("items", errors).and_then(|items| read_loop_items(items, errors)),
        None => None,
    };
    if items.as_ref().and_then(LoopItems::count).is_some_and(|count| count > u64::from(max_iterations)) {
        errors.add(fields.at("items"), format!("are more than {max_iterations} iterations"));
    }
    let names = read_names(fields, errors);
    let aggregation = read_aggregation(fields, errors);
    let body = read_all(fields.filled_list("body", errors), level + 1, errors);
    KindDecl::Loop(LoopDecl { items, names, max_iterations, aggregation, body })
}

fn read_loop_items(mut fields: Fields<'_>, errors: &mut Errors) -> Option<LoopItems> {
    let present = ["expression", "range", "static"].into_iter().filter(|name| fields.take(name).is_some()).count();
    if present != 1 {
        errors.add(fields.path.as_str(), "must have exactly one of expression, range and static");
    }
    let expression = fields.text("expression", MAX_CONDITION, errors).map(LoopItems::Expression);
    let range = fields.object("range", errors).and_then(|range| read_range(range, errors));
    let values = fields.take("static").is_some().then(|| {
        let values = fields.list("static", errors);
        LoopItems::Static(values.into_iter().map(|(_, value)| value.clone()).collect())
    });
    fields.finish(errors);
    expression.or(range).or(values)
}

fn read_range(mut fields: Fields<'_>, errors: &mut Errors) -> Option<LoopItems> {
    let bounds = (-(1_i64 << 53) + 1, (1_i64 << 53) - 1);
    let mut required = |name| {
        fields.required(name, errors)?;
        fields.integer(name, bounds, errors)
    };
    let (start, end) = (required("start"), required("end"));
    let step = match fields.take("step") {
        None => Some(1),
        Some(_) => fields.integer("step", bounds, errors),
    };
    if step == Some(0) {
        errors.add(fields.at("step"), "must not be 0");
    }
    fields.finish(errors);
    Some(LoopItems::Range { start: start?, end: end?, step: step.filter(|step| *step != 0)? })
}

/// The mode, alone or in an object.
fn read_aggregation(fields: &mut Fields<'_>, errors: &mut Errors) -> Aggregation {
    let modes = [
        ("collect", Aggregation::Collect),
        ("merge", Aggregation::Merge),
        ("last", Aggregation::Last),
        ("first", Aggregation::First),
        ("none", Aggregation::None),
    ];
    let mode = match fields.take("aggregation") {
        Some(Value::Object(_)) => fields.object("aggregation", errors).and_then(|mut inner| {
            let mode = inner.choice("mode", &modes, errors);
            inner.finish(errors);
            mode
        }),
        Some(value) => choose(value, &fields.at("aggregation"), &modes, errors),
        None => None,
    };
    mode.unwrap_or_default()
}

fn read_conditional(fields: &mut Fields<'_>, level: usize, errors: &mut Errors) -> KindDecl {
    let mut branches = Vec::new();
    for (path, value) in fields.filled_list("branches", errors) {
        let Some(mut branch) = Fields::of(value, &path, errors) else {
            continue;
        };
        branch.required("condition", errors);
        let condition = read_condition(&mut branch, "condition", errors).unwrap_or_default();
        let steps = read_all(branch.filled_list("steps", errors), level + 1, errors);
        branch.finish(errors);
        branches.push(BranchDecl { path, condition, steps });
    }
    let otherwise = read_all(fields.list("else", errors), level + 1, errors);
    let output_union = fields.boolean("outputUnion", errors);
    KindDecl::Conditional { branches, otherwise, output_union }
}

impl StepDecl {
    /// A step of which nothing is known.
    fn unreadable(path: String) -> Self {
        let kind = KindDecl::Broken;
        Self { path, id: String::new(), name: None, when: None, continue_on_error: false, kind }
    }

    /// The lists of steps inside.
    pub(super) fn blocks(&self) -> Vec<&[StepDecl]> {
        match &self.kind {
            KindDecl::Parallel { steps, .. } | KindDecl::Map { step: steps, .. } => vec![steps],
            KindDecl::Loop(decl) => vec![&decl.body],
            KindDecl::Conditional { branches, otherwise, .. } => {
                let mut blocks: Vec<&[StepDecl]> = branches.iter().map(|branch| branch.steps.as_slice()).collect();
                blocks.push(otherwise);
                blocks
            }
            _ => Vec::new(),
        }
    }
}
