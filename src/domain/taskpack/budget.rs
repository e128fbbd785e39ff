//! Counted work: what evaluation may cost, and how large values may be.

use serde_json::Value;

use super::expression::{Expression, ExpressionError};

/// How many steps one expression may take.
pub const MAX_STEPS: usize = 10_000;
/// The largest value that an expression gives, in bytes of JSON without escapes.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;
/// How many arrays and objects of a value may be open at once: readers of stored plans recurse.
pub const MAX_VALUE_DEPTH: usize = 64;
/// How much text one step covers, in bytes.
const STEP_BYTES: usize = 64;

/// The steps that are left.
#[derive(Clone, Debug)]
pub struct Budget {
    left: usize,
    used: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(MAX_STEPS)
    }
}

impl Budget {
    /// A budget of this many steps.
    #[must_use]
    pub fn new(steps: usize) -> Self {
        Self { left: steps, used: 0 }
    }

    /// How many steps were taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Evaluates one expression, which may take no more than is left, and no more than an expression
    /// may take. Its steps are taken whether or not it has a value.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate(&mut self, expression: &Expression, context: &Value) -> Result<Value, ExpressionError> {
        let mut part = Self::new(self.left.min(MAX_STEPS));
        let value = expression.evaluate_within(context, &mut part);
        self.take(part.used())?;
        value
    }

    /// Takes steps.
    ///
    /// # Errors
    /// [`ExpressionError::TooManySteps`] where fewer are left.
    pub fn take(&mut self, steps: usize) -> Result<(), ExpressionError> {
        let taken = steps.min(self.left);
        self.used += taken;
        self.left -= taken;
        if taken == steps { Ok(()) } else { Err(ExpressionError::TooManySteps) }
    }

    /// Takes the steps of touching this much text.
    ///
    /// # Errors
    /// As [`Budget::take`].
    pub fn take_text(&mut self, bytes: usize) -> Result<(), ExpressionError> {
        self.take(1 + bytes / STEP_BYTES)
    }

    /// Takes the steps of copying a value, and stops looking at it once they are too many.
    ///
    /// # Errors
    /// As [`Budget::take`].
    pub fn take_value(&mut self, value: &Value) -> Result<(), ExpressionError> {
        match value {
            Value::String(text) => self.take_text(text.len()),
            Value::Array(elements) => {
                self.take(1)?;
                elements.iter().try_for_each(|element| self.take_value(element))
            }
            Value::Object(members) => {
                self.take(1)?;
                members.iter().try_for_each(|(name, value)| {
                    self.take_text(name.len())?;
                    self.take_value(value)
                })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.take(1),
        }
    }
}

/// Refuses a value of more than `bytes` bytes of JSON or more than `depth` levels.
///
/// # Errors
/// [`ExpressionError::TooLarge`].
pub fn check_size(value: &Value, bytes: usize, depth: usize) -> Result<(), ExpressionError> {
    let mut left = bytes;
    measure(value, &mut left, depth).ok_or(ExpressionError::TooLarge)
}

/// The bytes of a value, or `None` where they are more than `limit` or it has more than `depth`
/// levels.
#[must_use]
pub fn size_within(value: &Value, limit: usize, depth: usize) -> Option<usize> {
    let mut left = limit;
    measure(value, &mut left, depth)?;
    Some(limit - left)
}

fn measure(value: &Value, left: &mut usize, depth: usize) -> Option<()> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => spend(left, 4),
        Value::String(text) => spend(left, text.len() + 2),
        Value::Array(elements) => {
            let depth = depth.checked_sub(1)?;
            spend(left, 2)?;
            elements.iter().try_for_each(|element| {
                spend(left, 1)?;
                measure(element, left, depth)
            })
        }
        Value::Object(members) => {
            let depth = depth.checked_sub(1)?;
            spend(left, 2)?;
            members.iter().try_for_each(|(name, value)| {
                spend(left, name.len() + 4)?;
                measure(value, left, depth)
            })
        }
    }
}

fn spend(left: &mut usize, bytes: usize) -> Option<()> {
    *left = left.checked_sub(bytes)?;
    Some(())
}
