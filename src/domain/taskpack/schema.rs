//! JSON Schemas of inputs (2020-12), such as can be checked with little work.
//!
//! A schema has no references: a few lines of them can ask for any amount of work, and the validator
//! does not count. Without them the work is at most the parts of the schema times those of the value,
//! and that is bounded. Patterns run on an engine whose time is linear in the text.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::errors::Errors;
use super::fields::member;
use crate::domain::path::PathSegment;
use jsonschema::paths::LocationSegment;

/// The parts of all schemas times those of the values, at most.
pub(super) const MAX_WORK: usize = 10_000_000;
/// The most memory that one compiled pattern may take, in bytes.
const MAX_PATTERN: usize = 256 * 1024;
/// How many errors of one value are told.
const MAX_TOLD: usize = 10;
/// The only dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Words that let a schema refer to other schemas, or look at others' results again and again.
const REFUSED: [&str; 9] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$vocabulary",
    "unevaluatedProperties",
    "unevaluatedItems",
];
/// Words whose members are named by the author, each with a schema.
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "dependentSchemas"];
/// Words whose values are no schemas.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];

/// A schema that was read.
pub(super) struct Schema {
    validator: Validator,
    parts: usize,
}

impl Schema {
    /// Reads a schema, and notes what is wrong with it.
    pub(super) fn read(schema: &Value, path: &str, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        refuse(schema, path, true, errors);
        if errors.len() > before || errors.is_full() {
            return None;
        }
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN));
        match options.build(schema) {
            Ok(validator) => Some(Self { validator, parts: parts(schema) }),
            Err(error) => {
                errors.add(path, format!("is no JSON Schema: {}", error.masked()));
                None
            }
        }
    }

    /// Whether a value is as the schema says; what is not is noted.
    pub(super) fn check(&self, value: &Value, path: &str, work: &mut usize, errors: &mut Errors) -> bool {
        let Some(left) = work.checked_sub(self.parts.saturating_mul(parts(value))) else {
            errors.add(path, "the value is too large for its schema");
            return false;
        };
        *work = left;
        let mut is_good = true;
        for error in self.validator.iter_errors(value).take(MAX_TOLD) {
            is_good = false;
            let place = error.instance_path().iter().fold(path.to_owned(), |place, segment| match segment {
                LocationSegment::Property(name) => member(&place, &name),
                LocationSegment::Index(index) => place + &PathSegment::Index(index).to_string(),
            });
            errors.add(place, error.masked().to_string());
        }
        is_good
    }
}

/// How many values are in a value; long texts count for several.
fn parts(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len() / 16,
        Value::Array(elements) => 1 + elements.iter().map(parts).sum::<usize>(),
        Value::Object(members) => 1 + members.iter().map(|(name, value)| name.len() / 16 + parts(value)).sum::<usize>(),
        _ => 1,
    }
}

/// Notes the words that a schema may not have.
fn refuse(schema: &Value, path: &str, is_root: bool, errors: &mut Errors) {
    match schema {
        Value::Array(elements) => elements.iter().for_each(|element| refuse(element, path, false, errors)),
        Value::Object(members) => {
            for (word, value) in members {
                let word = word.as_str();
                let is_dialect = word == "$schema" && is_root && value == DIALECT;
                if REFUSED.contains(&word) || word == "$schema" && !is_dialect {
                    errors.add(path, format!("a schema cannot have '{word}' here"));
                } else if NAMED.contains(&word) {
                    let inner = value.as_object().into_iter().flat_map(|named| named.values());
                    inner.for_each(|inner| refuse(inner, path, false, errors));
                } else if !DATA.contains(&word) {
                    refuse(value, path, false, errors);
                }
            }
        }
        _ => {}
    }
}
