//! The tree of an expression, within its bounds.

use jmespath::Variable;
use jmespath::ast::{Ast, Comparator};
use serde_json::Value;

use super::expression::{ExpressionError, MAX_EXPRESSION};
use super::functions::Function;
use crate::domain::path::bounded;

/// How deep the tree may be, and how many brackets, prefixes and wildcards the text may have. The
/// parser and the interpreter recurse, and must not run out of stack.
const MAX_DEPTH: usize = 100;

/// The longest quotation of the parser's own words, in characters.
const MESSAGE_CHARS: usize = 120;

/// One part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// The value at hand.
    Current,
    Field(String),
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    Literal(Value),
    List(Vec<Node>),
    Hash(Vec<(String, Node)>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Compare(Comparator, Box<Node>, Box<Node>),
    /// The second part, of the value of the first.
    Then(Box<Node>, Box<Node>),
    /// The second part, of each element of the first.
    Project(Box<Node>, Box<Node>),
    /// The values of an object.
    Values(Box<Node>),
    Flatten(Box<Node>),
    /// The second part where the first is true, and null elsewhere.
    Where(Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    /// An expression that a function applies to elements.
    Applied(Box<Node>),
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Node, ExpressionError> {
    if text.len() > MAX_EXPRESSION {
        return Err(ExpressionError::TooLong);
    }
    if text.trim().is_empty() {
        return Err(ExpressionError::Syntax("the expression is empty".to_owned()));
    }
    if nesting_marks(text) > MAX_DEPTH {
        return Err(ExpressionError::TooDeep);
    }
    let tree = jmespath::parse(text).map_err(|error| {
        let reason = format!("{}", error.reason);
        let hint = if reason.contains("'-'") { "; a name with '-' is quoted, as in steps.\"my-step\"" } else { "" };
        ExpressionError::Syntax(format!("invalid expression: {}{hint}", bounded(&reason, MESSAGE_CHARS)))
    })?;
    convert(&tree, 0)
}

/// How many marks of a text can make the parser recurse.
fn nesting_marks(text: &str) -> usize {
    let mut quote = None;
    let mut chars = text.chars();
    let mut marks = 0;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                chars.next();
            }
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{' | '!' | '&' | '*') => marks += 1,
            _ => {}
        }
    }
    marks
}

fn convert(tree: &Ast, depth: usize) -> Result<Node, ExpressionError> {
    if depth > MAX_DEPTH {
        return Err(ExpressionError::TooDeep);
    }
    let boxed = |tree: &Ast| convert(tree, depth + 1).map(Box::new);
    Ok(match tree {
        Ast::Identity { .. } => Node::Current,
        Ast::Field { name, .. } => Node::Field(name.clone()),
        Ast::Index { idx, .. } => Node::Index(i64::from(*idx)),
        Ast::Slice { start, stop, step, .. } => slice(*start, *stop, *step)?,
        Ast::Literal { value, .. } => Node::Literal(literal(value)?),
        Ast::MultiList { elements, .. } => Node::List(convert_all(elements, depth)?),
        Ast::MultiHash { elements, .. } => {
            let members = elements.iter().map(|pair| Ok((pair.key.clone(), convert(&pair.value, depth + 1)?)));
            Node::Hash(members.collect::<Result<_, ExpressionError>>()?)
        }
        Ast::Not { node, .. } => Node::Not(boxed(node)?),
        Ast::And { lhs, rhs, .. } => Node::And(boxed(lhs)?, boxed(rhs)?),
        Ast::Or { lhs, rhs, .. } => Node::Or(boxed(lhs)?, boxed(rhs)?),
        Ast::Comparison { comparator, lhs, rhs, .. } => Node::Compare(comparator.clone(), boxed(lhs)?, boxed(rhs)?),
        Ast::Subexpr { lhs, rhs, .. } => {
            check_negation(lhs, begins_with_member(rhs))?;
            Node::Then(boxed(lhs)?, boxed(rhs)?)
        }
        Ast::Projection { lhs, rhs, .. } => Node::Project(boxed(lhs)?, boxed(rhs)?),
        Ast::ObjectValues { node, .. } => {
            check_negation(node, true)?;
            Node::Values(boxed(node)?)
        }
        Ast::Flatten { node, .. } => Node::Flatten(boxed(node)?),
        Ast::Condition { predicate, then, .. } => Node::Where(boxed(predicate)?, boxed(then)?),
        Ast::Function { name, args, .. } => call(name, args, depth)?,
        Ast::Expref { .. } => return Err(syntax("'&' stands only before an argument of a function")),
    })
}

/// Refuses a member of a negation. `JMESPath` reads `!a.b` as `(!a).b`, which is always null: as a
/// condition it would silently skip its step, whatever its author meant.
fn check_negation(left: &Ast, takes_member: bool) -> Result<(), ExpressionError> {
    match left {
        Ast::Not { .. } if takes_member => Err(syntax("'!' binds tighter than '.': write !(a.b)")),
        _ => Ok(()),
    }
}

/// Whether the first thing that a part does is to take a member.
fn begins_with_member(tree: &Ast) -> bool {
    match tree {
        Ast::Field { .. } => true,
        Ast::Subexpr { lhs, .. } | Ast::Projection { lhs, .. } => begins_with_member(lhs),
        Ast::ObjectValues { node, .. } | Ast::Flatten { node, .. } => begins_with_member(node),
        _ => false,
    }
}

fn convert_all(trees: &[Ast], depth: usize) -> Result<Vec<Node>, ExpressionError> {
    trees.iter().map(|tree| convert(tree, depth + 1)).collect()
}

fn slice(start: Option<i32>, end: Option<i32>, step: i32) -> Result<Node, ExpressionError> {
    if step == 0 {
        return Err(syntax("the step of a slice is 0"));
    }
    Ok(Node::Slice { start: start.map(i64::from), end: end.map(i64::from), step: i64::from(step) })
}

fn call(name: &str, args: &[Ast], depth: usize) -> Result<Node, ExpressionError> {
    let function = Function::named(name).ok_or_else(|| syntax(&format!("unknown function '{}'", bounded(name, 60))))?;
    let (least, most) = function.arity();
    if args.len() < least || args.len() > most {
        return Err(syntax(&format!("wrong number of arguments for '{name}'")));
    }
    let mut nodes = Vec::with_capacity(args.len());
    for (position, arg) in args.iter().enumerate() {
        nodes.push(match (arg, function.applies() == Some(position)) {
            (Ast::Expref { ast, .. }, true) => Node::Applied(Box::new(convert(ast, depth + 1)?)),
            (_, true) => return Err(syntax(&format!("argument {} of '{name}' begins with '&'", position + 1))),
            (arg, false) => convert(arg, depth + 1)?,
        });
    }
    Ok(Node::Call(function, nodes))
}

/// A literal, whose numbers must be such as every reader keeps.
fn literal(value: &Variable) -> Result<Value, ExpressionError> {
    let mut value = serde_json::to_value(value).map_err(|error| syntax(&error.to_string()))?;
    if super::number::normalise(&mut value) { Ok(value) } else { Err(syntax("a number lies beyond ±(2^53−1)")) }
}

fn syntax(message: &str) -> ExpressionError {
    ExpressionError::Syntax(message.to_owned())
}
