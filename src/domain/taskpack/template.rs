//! Templates: strings with `{{ expression }}` in them.
//!
//! A string that is one template and nothing else becomes the value itself, whatever its type. Within
//! longer text a string is put in as it is, and every other value as compact JSON with sorted keys. What does not
//! exist, such as an output of a step that was skipped, is null.

use serde_json::{Map, Value};

use super::budget::{Budget, MAX_VALUE_DEPTH, size_within};
use super::expression::{Expression, ExpressionError, is_true};
use super::interpreter::text_of;

/// How many steps one rendered value may take, all of its templates together.
const MAX_RENDER_STEPS: usize = 100_000;
/// The largest rendered value, in bytes of JSON without escapes.
pub const MAX_RENDERED: usize = 1024 * 1024;

/// One part of a string.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text that stands for itself.
    Text(String),
    /// An expression between its braces.
    Expression(Expression),
}

/// Cuts a string at its braces. A string without any is one piece of text; an empty one is none.
///
/// # Errors
/// The syntax of an expression, and braces that are not closed.
pub fn pieces(text: &str) -> Result<Vec<Piece>, ExpressionError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            found.push(Piece::Text(before.to_owned()));
        }
        let end = closing(after).ok_or_else(|| ExpressionError::Syntax("a template is not closed".to_owned()))?;
        found.push(Piece::Expression(Expression::parse(after[..end].trim())?));
        rest = &after[end + 2..];
    }
    if !rest.is_empty() {
        found.push(Piece::Text(rest.to_owned()));
    }
    Ok(found)
}

/// Where the braces close that opened before this text: not in quotes, and not within the braces of
/// the expression.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), byte) if open == byte => quote = None,
            (None, b'"' | b'\'' | b'`') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if text.as_bytes().get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    None
}

/// Reads a text that is an expression, bare or between braces, such as that of a condition.
///
/// # Errors
/// The syntax of the expression, and text before or behind the braces.
pub fn expression(text: &str) -> Result<Expression, ExpressionError> {
    let text = text.trim();
    if !text.starts_with("{{") {
        return Expression::parse(text);
    }
    match pieces(text)?.as_slice() {
        [Piece::Expression(expression)] => Ok(expression.clone()),
        _ => Err(ExpressionError::Syntax("text stands beside the braces of the expression".to_owned())),
    }
}

/// The value of a text that is an expression, bare or between braces.
///
/// # Errors
/// The syntax of the expression, and what evaluation gives.
pub fn value(text: &str, context: &Value) -> Result<Value, ExpressionError> {
    expression(text)?.evaluate(context)
}

/// Whether a condition holds; see [`is_true`].
///
/// # Errors
/// As [`value`].
pub fn condition(text: &str, context: &Value) -> Result<bool, ExpressionError> {
    value(text, context).map(|value| is_true(&value))
}

/// The value with every template in its strings replaced. Keys stay as they are.
///
/// # Errors
/// As [`value`], and [`ExpressionError::TooManySteps`] or [`ExpressionError::TooLarge`] where all
/// templates together take or give too much.
pub fn render(value: &Value, context: &Value) -> Result<Value, ExpressionError> {
    render_within(value, context, &mut Budget::new(MAX_RENDER_STEPS))
}

/// As [`render`], with steps from a budget that other work shares.
pub(super) fn render_within(value: &Value, context: &Value, budget: &mut Budget) -> Result<Value, ExpressionError> {
    let mut rendering = Rendering { context, budget, left: MAX_RENDERED };
    rendering.value(value, MAX_VALUE_DEPTH)
}

struct Rendering<'c> {
    context: &'c Value,
    budget: &'c mut Budget,
    /// How many bytes the value may still grow by.
    left: usize,
}

impl Rendering<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<Value, ExpressionError> {
        let inner = || depth.checked_sub(1).ok_or(ExpressionError::TooLarge);
        match value {
            Value::String(text) => self.text(text, depth),
            Value::Array(elements) => {
                self.spend(2 + elements.len())?;
                let depth = inner()?;
                elements.iter().map(|element| self.value(element, depth)).collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(members) => {
                let depth = inner()?;
                let mut rendered = Map::with_capacity(members.len());
                for (name, value) in members {
                    self.spend(name.len() + 4)?;
                    rendered.insert(name.clone(), self.value(value, depth)?);
                }
                Ok(Value::Object(rendered))
            }
            other => {
                self.spend(4)?;
                Ok(other.clone())
            }
        }
    }

    fn text(&mut self, text: &str, depth: usize) -> Result<Value, ExpressionError> {
        let pieces = pieces(text)?;
        if let [Piece::Expression(expression)] = pieces.as_slice() {
            let value = self.budget.evaluate(expression, self.context)?;
            let size = size_within(&value, self.left, depth).ok_or(ExpressionError::TooLarge)?;
            self.spend(size)?;
            return Ok(value);
        }
        let mut rendered = String::new();
        for piece in &pieces {
            let part = match piece {
                Piece::Text(text) => text.clone(),
                Piece::Expression(expression) => text_of(self.budget.evaluate(expression, self.context)?),
            };
            self.spend(part.len())?;
            rendered.push_str(&part);
        }
        Ok(Value::String(rendered))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), ExpressionError> {
        self.left = self.left.checked_sub(bytes).ok_or(ExpressionError::TooLarge)?;
        Ok(())
    }
}
