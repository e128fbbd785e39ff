//! What is wrong with a manifest: every error with its path, up to a cap.

use std::fmt;

use super::MAX_ERRORS;
use crate::domain::path::bounded;

/// The longest path and the longest message of an error, in characters. Both quote what was sent.
const SHOWN_CHARS: usize = 300;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The place: `spec.steps[1].gate.approval.id`, `inputs.target`, or `manifest` for a text that
    /// is no YAML.
    pub path: String,
    /// What is wrong there, for people.
    pub message: String,
}

/// The errors so far, at most [`MAX_ERRORS`].
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<PlanError>);

impl Errors {
    /// Adds an error, unless there are enough or it was told, as by another item of the same map.
    pub(super) fn add(&mut self, path: impl fmt::Display, message: impl Into<String>) {
        if !self.is_full() {
            let (path, message) = (path.to_string(), message.into());
            let error = PlanError { path: bounded(&path, SHOWN_CHARS), message: bounded(&message, SHOWN_CHARS) };
            if !self.0.contains(&error) {
                self.0.push(error);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether more errors would not be kept.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_ERRORS
    }

    /// Whether something is wrong at this place or inside it.
    pub(super) fn any_within(&self, place: &str) -> bool {
        self.0.iter().any(|error| {
            error.path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether something is wrong at exactly this place.
    pub(super) fn any_at(&self, place: &str) -> bool {
        self.0.iter().any(|error| error.path == place)
    }

    pub(super) fn into_vec(self) -> Vec<PlanError> {
        self.0
    }
}
