//! Expressions: the `JMESPath` core over what a run knows.
//!
//! The `jmespath` crate reads the text. Evaluation is ours, because that crate cannot count what it
//! does: a few bytes such as `[@,@]|[@,@]|…` double their result with every part. Here each visited
//! node, produced value and touched stretch of text costs a step, and steps are bounded. There is no
//! clock, no randomness, no environment, and no function beyond the 26 of the specification.

use serde_json::Value;

use super::budget::{Budget, MAX_VALUE_BYTES, MAX_VALUE_DEPTH, check_size};
use super::interpreter;
use super::references::{self, References};
use super::syntax::{self, Node};

/// The longest text of one expression, in bytes.
pub const MAX_EXPRESSION: usize = 1024;

/// Why an expression cannot be read or evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The text is longer than [`MAX_EXPRESSION`].
    #[error("the expression has more than {MAX_EXPRESSION} bytes")]
    TooLong,
    /// The text nests or chains too many parts.
    #[error("the expression is nested too deeply")]
    TooDeep,
    /// The text is no expression.
    #[error("{0}")]
    Syntax(String),
    /// Evaluation needs more steps than it may take.
    #[error("the expression takes too many steps")]
    TooManySteps,
    /// The value is larger or more deeply nested than a value may be.
    #[error("the value is too large")]
    TooLarge,
    /// A function was called with what it does not take.
    #[error("{0}")]
    Argument(String),
}

/// An expression that was read and is within its bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    node: Node,
}

impl Expression {
    /// Reads a text without braces around it.
    ///
    /// # Errors
    /// [`ExpressionError::TooLong`], [`ExpressionError::TooDeep`] or [`ExpressionError::Syntax`];
    /// unknown functions and wrong numbers of arguments are errors of syntax.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        syntax::parse(text).map(|node| Self { node })
    }

    /// The value in this context, which is an object of the known roots.
    ///
    /// What does not exist is null.
    ///
    /// # Errors
    /// [`ExpressionError::TooManySteps`], [`ExpressionError::TooLarge`] or
    /// [`ExpressionError::Argument`].
    pub fn evaluate(&self, context: &Value) -> Result<Value, ExpressionError> {
        self.evaluate_within(context, &mut Budget::default())
    }

    /// As [`Expression::evaluate`], with steps taken from a budget that several evaluations share.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate_within(&self, context: &Value, budget: &mut Budget) -> Result<Value, ExpressionError> {
        let value = interpreter::evaluate(&self.node, context, budget)?;
        check_size(&value, MAX_VALUE_BYTES, MAX_VALUE_DEPTH)?;
        Ok(value.into_owned())
    }

    /// The names of an expression such as `inputs.target`; `None` for every other one.
    #[must_use]
    pub fn path(&self) -> Option<Vec<&str>> {
        references::names(&self.node)
    }

    /// What the expression reads of the context.
    #[must_use]
    pub fn references(&self) -> References {
        references::of(&self.node)
    }
}

/// Whether a value counts as true: all but `false`, `null`, `""`, `[]` and `{}`. So 0 is true, and
/// so is `"false"`.
#[must_use]
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
