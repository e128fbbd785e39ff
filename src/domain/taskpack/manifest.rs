//! The manifest as its author wrote it, read into declarations. Whatever is wrong is noted, and
//! whatever is right is kept, so that one mistake hides no other.

use std::collections::HashSet;

use serde_json::Value;

use super::errors::Errors;
use super::fields::{Fields, choose, distinct, name};
use super::hosts;
use super::plan::{Approval, FailurePolicy, OutputSource, PlanOutput, Sandbox, SandboxMode, Secret, Slo};
use super::step::{self, StepDecl};
use super::{duration, template};

/// The longest text for people, in bytes.
pub(super) const MAX_TEXT: usize = 4096;
/// The longest path of an output, in bytes.
const MAX_PATH: usize = 1024;
/// The longest name of anything else, such as a grant, in bytes.
pub(super) const MAX_NAME: usize = 253;
/// The largest number that limits and durations in seconds may be.
const MAX_COUNT: u32 = 2_147_483_647;
/// How many attempts a step may have.
const MAX_ATTEMPTS: u32 = 1000;
/// The longest pause between two attempts: a week.
const MAX_BACKOFF_SECONDS: u32 = 7 * 24 * 3600;

/// A manifest as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub name: String,
    pub version: String,
    pub inputs: Vec<InputDecl>,
    pub sandbox: Option<Sandbox>,
    pub slo: Option<Slo>,
    pub failure: FailurePolicy,
    pub approvals: Vec<(String, Approval)>,
    pub secrets: Vec<Secret>,
    pub steps: Vec<StepDecl>,
    pub outputs: Vec<(String, PlanOutput)>,
    /// The names of all approvals.
    pub approval_ids: HashSet<String>,
    /// Whether the names of all inputs, approvals and secrets could be read, so that others are
    /// certainly unknown.
    pub knows_inputs: bool,
    pub knows_approvals: bool,
    pub knows_secrets: bool,
}

/// The declaration of an input.
#[derive(Debug)]
pub(super) struct InputDecl {
    pub path: String,
    pub name: String,
    pub kind: Option<InputType>,
    pub required: bool,
    pub default: Option<Value>,
    pub schema: Option<Value>,
}

/// What an input may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputType {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

const INPUT_TYPES: [(&str, InputType); 6] = [
    ("string", InputType::String),
    ("integer", InputType::Integer),
    ("number", InputType::Number),
    ("boolean", InputType::Boolean),
    ("array", InputType::Array),
    ("object", InputType::Object),
];

/// Reads the declarations.
pub(super) fn read(value: &Value, errors: &mut Errors) -> Manifest {
    let mut manifest = Manifest::default();
    let Value::Object(_) = value else {
        errors.add("manifest", "the manifest must be a mapping");
        return manifest;
    };
    let Some(mut fields) = Fields::of(value, "", errors) else {
        return manifest;
    };
    for (field, wanted) in [("apiVersion", "stellaops.io/pack.v1"), ("kind", "TaskPack")] {
        if fields.required(field, errors).is_some_and(|value| value.as_str() != Some(wanted)) {
            errors.add(field, format!("must be '{wanted}'"));
        }
    }
    if let Some(metadata) = fields.required("metadata", errors) {
        read_metadata(metadata, &mut manifest, errors);
    }
    if let Some(spec) = fields.required("spec", errors) {
        read_spec(spec, &mut manifest, errors);
    }
    fields.finish(errors);
    manifest
}

fn read_metadata(value: &Value, manifest: &mut Manifest, errors: &mut Errors) {
    let Some(mut fields) = Fields::of(value, "metadata", errors) else {
        return;
    };
    manifest.name = name(&mut fields, "name", errors).unwrap_or_default();
    if let Some(version) = fields.required_text("version", 128, errors) {
        if semver::Version::parse(&version).is_err() {
            errors.add("metadata.version", "must be a version such as 1.2.3 (SemVer)");
        }
        manifest.version = version;
    }
    fields.text("description", MAX_TEXT, errors);
    fields.texts("tags", MAX_NAME, errors);
    fields.text("license", MAX_NAME, errors);
    fields.choice("tenantVisibility", &[("private", ()), ("public", ()), ("shared", ())], errors);
    for (path, value) in fields.list("maintainers", errors) {
        if let Some(mut fields) = Fields::of(value, &path, errors) {
            fields.required_text("name", MAX_NAME, errors);
            fields.text("email", MAX_NAME, errors);
            fields.finish(errors);
        }
    }
    fields.finish(errors);
}

fn read_spec(value: &Value, manifest: &mut Manifest, errors: &mut Errors) {
    let Some(mut fields) = Fields::of(value, "spec", errors) else {
        return;
    };
    let inputs = fields.list("inputs", errors);
    let count = inputs.len();
    manifest.inputs = inputs.into_iter().filter_map(|(path, value)| read_input(value, path, errors)).collect();
    manifest.knows_inputs = manifest.inputs.len() == count && !errors.any_at("spec.inputs");
    distinct(manifest.inputs.iter().map(|i| (format!("{}.name", i.path), i.name.as_str())), "input", errors);
    manifest.sandbox = fields.object("sandbox", errors).map(|fields| read_sandbox(fields, errors));
    manifest.slo = fields.object("slo", errors).map(|fields| read_slo(fields, errors));
    read_approvals(&mut fields, manifest, errors);
    read_secrets(&mut fields, manifest, errors);
    let steps = match fields.required("steps", errors) {
        Some(_) => fields.filled_list("steps", errors),
        None => Vec::new(),
    };
    manifest.steps = step::read_all(steps, 1, errors);
    read_outputs(&mut fields, manifest, errors);
    if let Some(failure) = fields.object("failure", errors) {
        manifest.failure = read_failure(failure, errors);
    }
    fields.finish(errors);
}

fn read_input(value: &Value, path: String, errors: &mut Errors) -> Option<InputDecl> {
    let mut fields = Fields::of(value, &path, errors)?;
    let name = name(&mut fields, "name", errors);
    let kind = fields.required("type", errors).and_then(|kind| choose(kind, &fields.at("type"), &INPUT_TYPES, errors));
    let required = fields.boolean("required", errors);
    let default = fields.take("default").cloned();
    fields.text("description", MAX_TEXT, errors);
    let schema = fields.take("schema").cloned();
    fields.finish(errors);
    name.map(|name| InputDecl { path, name, kind, required, default, schema })
}

fn read_sandbox(mut fields: Fields<'_>, errors: &mut Errors) -> Sandbox {
    let modes = [("sealed", SandboxMode::Sealed), ("open", SandboxMode::Open)];
    let mode = fields.choice("mode", &modes, errors).unwrap_or_default();
    let hosts = hosts::read(&mut fields, "egressAllowlist", errors);
    let mut egress_allowlist: Vec<String> = hosts.into_iter().map(|(_, host)| host).collect();
    egress_allowlist.sort();
    egress_allowlist.dedup();
    let mut limit = |name| fields.count(name, (1, MAX_COUNT), errors);
    let (cpu, memory, quota) = (limit("cpuLimitMillicores"), limit("memoryLimitMiB"), limit("quotaSeconds"));
    fields.finish(errors);
    Sandbox { mode, egress_allowlist, cpu_limit_millicores: cpu, memory_limit_mib: memory, quota_seconds: quota }
}

fn read_slo(mut fields: Fields<'_>, errors: &mut Errors) -> Slo {
    let slo = Slo {
        run_p95_seconds: fields.count("runP95Seconds", (1, MAX_COUNT), errors),
        approval_p95_seconds: fields.count("approvalP95Seconds", (1, MAX_COUNT), errors),
        max_queue_depth: fields.count("maxQueueDepth", (1, MAX_COUNT), errors),
    };
    fields.finish(errors);
    slo
}

fn read_failure(mut fields: Fields<'_>, errors: &mut Errors) -> FailurePolicy {
    let mut policy =
        FailurePolicy { continue_on_error: fields.boolean("continueOnError", errors), ..FailurePolicy::default() };
    if let Some(mut retries) = fields.object("retries", errors) {
        policy.max_attempts = retries.count("maxAttempts", (1, MAX_ATTEMPTS), errors).unwrap_or(policy.max_attempts);
        policy.backoff_seconds = retries.count("backoffSeconds", (0, MAX_BACKOFF_SECONDS), errors).unwrap_or_default();
        retries.finish(errors);
    }
    fields.finish(errors);
    policy
}

fn read_approvals(fields: &mut Fields<'_>, manifest: &mut Manifest, errors: &mut Errors) {
    let elements = fields.list("approvals", errors);
    let count = elements.len();
    for (path, value) in elements {
        let Some(mut fields) = Fields::of(value, &path, errors) else {
            continue;
        };
        let id = name(&mut fields, "id", errors);
        let mut grants: Vec<String> =
            fields.texts("grants", MAX_NAME, errors).into_iter().map(|(_, grant)| grant).collect();
        grants.sort();
        grants.dedup();
        let reason_template = fields.text("reasonTemplate", MAX_TEXT, errors);
        let expires_after = fields.text("expiresAfter", 64, errors).and_then(|text| {
            let seconds = duration::seconds(&text);
            if seconds.is_none() {
                errors.add(fields.at("expiresAfter"), "must be a duration such as PT4H or P2D, of at most 366 days");
            }
            seconds
        });
        let description = fields.text("description", MAX_TEXT, errors);
        fields.finish(errors);
        if let Some(id) = id {
            manifest.approval_ids.insert(id.clone());
            manifest.approvals.push((path, Approval { id, grants, reason_template, expires_after, description }));
        }
    }
    let ids = manifest.approvals.iter().map(|(path, approval)| (format!("{path}.id"), approval.id.as_str()));
    distinct(ids, "approval", errors);
    manifest.knows_approvals = manifest.approvals.len() == count && !errors.any_at("spec.approvals");
}

fn read_secrets(fields: &mut Fields<'_>, manifest: &mut Manifest, errors: &mut Errors) {
    let mut paths = Vec::new();
    let elements = fields.list("secrets", errors);
    let count = elements.len();
    for (path, value) in elements {
        let Some(mut fields) = Fields::of(value, &path, errors) else {
            continue;
        };
        let name = name(&mut fields, "name", errors);
        let scope = fields.text("scope", MAX_NAME, errors);
        let description = fields.text("description", MAX_TEXT, errors);
        fields.finish(errors);
        if let Some(name) = name {
            paths.push(format!("{path}.name"));
            manifest.secrets.push(Secret { name, scope, description });
        }
    }
    manifest.knows_secrets = manifest.secrets.len() == count && !errors.any_at("spec.secrets");
    distinct(paths.into_iter().zip(manifest.secrets.iter().map(|s| s.name.as_str())), "secret", errors);
}

fn read_outputs(fields: &mut Fields<'_>, manifest: &mut Manifest, errors: &mut Errors) {
    for (path, value) in fields.list("outputs", errors) {
        if let Some(output) = read_output(value, &path, errors) {
            manifest.outputs.push((path, output));
        }
    }
    let names = manifest.outputs.iter().map(|(path, output)| (format!("{path}.name"), output.name.as_str()));
    distinct(names, "output", errors);
}

fn read_output(value: &Value, path: &str, errors: &mut Errors) -> Option<PlanOutput> {
    let mut fields = Fields::of(value, path, errors)?;
    let name = fields.required_text("name", 128, errors);
    if name.as_deref().is_some_and(|name| !is_segment(name)) {
        errors.add(fields.at("name"), "must be letters, digits, '.', '_' and '-', and not begin with '.'");
    }
    let is_file = fields
        .required("type", errors)
        .and_then(|kind| choose(kind, &fields.at("type"), &[("file", true), ("object", false)], errors));
    let (has_path, has_expression) = (fields.take("path").is_some(), fields.take("expression").is_some());
    let file = fields.text("path", MAX_PATH, errors);
    let object = fields.text("expression", MAX_PATH * 2, errors);
    if has_path == has_expression {
        errors.add(path, "must have exactly one of path and expression");
    } else if is_file.is_some_and(|is_file| is_file != has_path) {
        let field = if has_path { "path" } else { "expression" };
        errors.add(fields.at(field), "a file has a path, an object has an expression");
    }
    if file.as_deref().is_some_and(|file| !is_safe_path(file)) {
        errors.add(fields.at("path"), "must not hold '..', '\\' or a control character");
    }
    fields.finish(errors);
    let source = if is_file? { OutputSource::File(file?) } else { OutputSource::Object(object?) };
    Some(PlanOutput { name: name?, source })
}

/// Whether a name is one segment of a path that no file system reads as anything else.
fn is_segment(name: &str) -> bool {
    !name.starts_with('.') && name.split('.').all(|part| part.is_empty() || part.len() <= 128 && part_is_plain(part))
}

fn part_is_plain(part: &str) -> bool {
    part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Whether the text of a path, absolute or relative, leads nowhere up. What its templates give is
/// checked by whoever renders them.
#[must_use]
pub(super) fn is_safe_path(path: &str) -> bool {
    let Ok(pieces) = template::pieces(path) else {
        // The template's own error says it.
        return true;
    };
    pieces.iter().all(|piece| match piece {
        template::Piece::Text(text) => {
            !text.contains(['\\', '\0']) && !text.chars().any(char::is_control) && !text.split('/').any(|s| s == "..")
        }
        template::Piece::Expression(_) => true,
    })
}
