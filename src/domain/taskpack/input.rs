//! The values of a run's inputs.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::budget::size_within;
use super::errors::Errors;
use super::fields::normalise;
use super::manifest::{InputDecl, InputType, Manifest};
use super::schema::Schema;
use super::yaml::MAX_YAML_DEPTH;

/// The largest inputs of a run, in bytes of JSON without escapes.
pub const MAX_INPUTS: usize = 1024 * 1024;

/// The values of all inputs that have one. An input that is null is as if it was not given.
pub(super) fn resolve(manifest: &Manifest, given: &Map<String, Value>, errors: &mut Errors) -> Map<String, Value> {
    let decls = &manifest.inputs;
    if !are_bounded(given) {
        let message = format!("the inputs have more than {MAX_INPUTS} bytes or {MAX_YAML_DEPTH} levels");
        errors.add("inputs", message);
        return Map::new();
    }
    let known: HashSet<&str> = decls.iter().map(|decl| decl.name.as_str()).collect();
    for name in given.keys().filter(|name| manifest.knows_inputs && !known.contains(name.as_str())) {
        errors.add(super::fields::member("inputs", name), format!("unknown input '{name}'"));
    }
    let mut work = super::schema::MAX_WORK;
    let mut values = Map::new();
    for decl in decls {
        if let Some(value) = one(decl, given.get(&decl.name), &mut work, errors) {
            values.insert(decl.name.clone(), value);
        }
    }
    values
}

fn are_bounded(given: &Map<String, Value>) -> bool {
    let mut left = MAX_INPUTS;
    given.iter().all(|(name, value)| {
        let size = size_within(value, left, MAX_YAML_DEPTH).map(|size| size + name.len());
        size.and_then(|size| left.checked_sub(size)).is_some_and(|rest| {
            left = rest;
            true
        })
    })
}

/// The value of one input.
fn one(decl: &InputDecl, given: Option<&Value>, work: &mut usize, errors: &mut Errors) -> Option<Value> {
    let schema = decl.schema.as_ref().and_then(|schema| Schema::read(schema, &format!("{}.schema", decl.path), errors));
    // A default is checked whether or not it is used, so that a pack is good or bad by itself.
    let default_path = format!("{}.default", decl.path);
    let default = decl.default.clone().filter(|value| check(decl, value, schema.as_ref(), &default_path, work, errors));
    let path = format!("inputs.{}", decl.name);
    let Some(given) = given.filter(|value| !value.is_null()) else {
        if decl.required && decl.default.is_none() {
            errors.add(path, "is required");
        }
        return default;
    };
    let before = errors.len();
    let mut value = given.clone();
    normalise(&mut value, &path, MAX_YAML_DEPTH, errors);
    (errors.len() == before && check(decl, &value, schema.as_ref(), &path, work, errors)).then_some(value)
}

fn check(
    decl: &InputDecl,
    value: &Value,
    schema: Option<&Schema>,
    path: &str,
    work: &mut usize,
    errors: &mut Errors,
) -> bool {
    // Where the type is unknown, that was said.
    if let Some(kind) = decl.kind.filter(|kind| !kind.holds(value)) {
        errors.add(path, format!("must be {}", kind.described()));
        return false;
    }
    schema.is_none_or(|schema| schema.check(value, path, work, errors))
}

impl InputType {
    /// Whether a value, whose numbers are in their one form, is of this type.
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    fn described(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }
}
