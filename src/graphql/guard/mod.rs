//! Decides before execution whether a request is worth executing.
//!
//! Parser, validator and executor all recurse over the document and expand its fragments, so a
//! short text can cost them a stack or minutes. The guard therefore goes from cheap to dear: bytes,
//! tokens and brackets of the raw text, then the parse, then a measure of the expansion that looks
//! at each fragment once. The parsed document is handed on, so that it is parsed only once.

mod measure;
mod repeats;
mod scan;

use std::collections::HashSet;

use async_graphql::parser::Error as ParseError;
use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Name, Pos, Request, ServerError, Value, Variables};

use self::measure::{Meter, Size, Tally};
pub use self::repeats::repeats;
use super::code;
use super::limits::GuardLimits;

/// A request within the limits, its document parsed.
#[derive(Debug)]
pub struct Guarded {
    /// The request to execute; it holds the document and only the variables its operation declares.
    pub request: Request,
    /// What the chosen operation does; none if the request names no operation of the document,
    /// which execution reports.
    pub operation: Option<OperationType>,
    /// Fields multiplied by page sizes, of the chosen operation.
    pub cost: u64,
    /// Selections the guard looked at: grows with the text, not with its expansion.
    pub visited: u64,
    /// Several selections may give one field of the answer, which is merged from them.
    pub repeats: bool,
}

/// Whether a document is wrong in itself or only too much for this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A syntax or validation error, as any GraphQL server would report.
    Invalid,
    /// A limit of this server.
    Limit,
}

/// Why a request is not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardError {
    /// What kind of refusal this is.
    pub cause: Cause,
    /// A word of [`code`].
    pub code: &'static str,
    /// A sentence for people.
    pub message: String,
    /// Where in the text, when known.
    pub locations: Vec<Pos>,
    /// Numbers for `extensions`: the limit and, where known, what was asked.
    pub extensions: Vec<(&'static str, u64)>,
}

impl GuardError {
    fn limit(code: &'static str, what: &str, actual: u64, limit: u64) -> Self {
        let message = format!("The query has {actual} {what}; at most {limit} are allowed.");
        Self::over(code, message, vec![("limit", limit), ("actual", actual)])
    }

    fn too_deep(what: &str, limit: u64) -> Self {
        let message = format!("The query has more than {limit} {what}.");
        Self::over(code::QUERY_TOO_DEEP, message, vec![("limit", limit)])
    }

    fn cost(cost: u64, limit: u64) -> Self {
        let message = format!("The query costs {cost} (fields multiplied by page sizes); at most {limit} is allowed.");
        let extensions = vec![("limit", limit), ("cost", cost)];
        Self::over(code::QUERY_TOO_COMPLEX, message, extensions)
    }

    fn over(code: &'static str, message: String, extensions: Vec<(&'static str, u64)>) -> Self {
        Self { cause: Cause::Limit, code, message, locations: Vec::new(), extensions }
    }

    fn cycle(fragment: &str) -> Self {
        Self::invalid(format!("Fragment \"{fragment}\" contains itself."), None)
    }

    fn invalid(message: String, at: Option<Pos>) -> Self {
        Self {
            cause: Cause::Invalid,
            code: code::BAD_USER_INPUT,
            message,
            locations: at.into_iter().collect(),
            extensions: Vec::new(),
        }
    }

    fn syntax(error: &ParseError) -> Self {
        Self { locations: error.positions().collect(), ..Self::invalid(error.to_string(), None) }
    }
}

impl From<GuardError> for ServerError {
    fn from(error: GuardError) -> Self {
        let mut server = ServerError::new(error.message, None);
        server.locations = error.locations;
        let extensions = server.extensions.get_or_insert_default();
        extensions.set("code", error.code);
        for (name, value) in error.extensions {
            extensions.set(name, value);
        }
        server
    }
}

/// Checks a request against the limits and parses its document.
///
/// # Errors
/// [`GuardError`] for the first limit exceeded, a syntax error, a fragment that contains itself,
/// or a required variable that is missing.
pub fn check(mut request: Request, limits: &GuardLimits) -> Result<Guarded, GuardError> {
    check_text(&request.query, limits)?;
    let document = async_graphql::parser::parse_query(&request.query).map_err(|error| GuardError::syntax(&error))?;
    check_tally(Tally::of(&document), limits)?;
    let chosen = chosen(&document.operations, request.operation_name.as_deref());
    let (cost, visited) = check_size(&document, &request.variables, chosen, limits)?;
    let operation = chosen.map(|operation| operation.ty);
    if let Some(chosen) = chosen {
        check_variables(chosen, &request.variables)?;
        keep_declared(chosen, &mut request.variables);
    }
    let repeats = repeats(&document);
    request.set_parsed_query(document);
    Ok(Guarded { request, operation, cost, visited, repeats })
}

/// What a token of a document may take once it is parsed, in bytes: a field alone with its name.
const BYTES_A_TOKEN: usize = 320;

/// A document that was found within the limits, with what was measured of it.
#[derive(Debug)]
pub struct Known {
    document: ExecutableDocument,
    /// The cost of each operation, in the order of the document; none where variables decide it.
    costs: Vec<Option<u64>>,
    repeats: bool,
    size: usize,
}

impl Known {
    /// About how many bytes it takes, its text included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The cost of an operation, of which every page size is written in the document.
    fn cost(&self, chosen: &OperationDefinition) -> Option<u64> {
        let operations = self.document.operations.iter().map(|(_, operation)| &operation.node);
        operations.zip(&self.costs).find(|(operation, _)| std::ptr::eq(*operation, chosen)).and_then(|(_, cost)| *cost)
    }
}

/// Notes the document of a request that [`check`] let pass; none if the request holds no document.
pub fn known(request: &mut Request, limits: &GuardLimits) -> Option<Known> {
    let document = request.parsed_query().ok()?.clone();
    let none = Variables::default();
    let cost = |operation: &OperationDefinition| {
        let mut meter = Meter::new(&document, limits, &none, Some(operation));
        let size = meter.set(&operation.selection_set.node, 0).ok()?;
        (!meter.is_asked()).then_some(size.cost)
    };
    let costs = document.operations.iter().map(|(_, operation)| cost(&operation.node)).collect();
    let tokens = scan::scan(&request.query).ok()?.tokens;
    Some(Known { size: 2 * request.query.len() + tokens * BYTES_A_TOKEN, costs, repeats: repeats(&document), document })
}

/// Checks a request whose document is known: what its variables and its choice of an operation decide.
/// All else was decided when [`check`] let the document pass.
///
/// # Errors
/// As [`check`], for the cost and for a required variable that is missing.
pub fn check_known(mut request: Request, known: &Known, limits: &GuardLimits) -> Result<Guarded, GuardError> {
    let chosen = chosen(&known.document.operations, request.operation_name.as_deref());
    let (mut cost, mut visited) = (0, 0);
    if let Some(chosen) = chosen {
        let fixed = known.cost(chosen);
        if fixed.is_none() {
            let mut meter = Meter::new(&known.document, limits, &request.variables, Some(chosen));
            cost = meter.set(&chosen.selection_set.node, 0)?.cost;
            visited = meter.visited;
        }
        cost = fixed.unwrap_or(cost);
        check_cost(cost, limits)?;
        check_variables(chosen, &request.variables)?;
        keep_declared(chosen, &mut request.variables);
    }
    let operation = chosen.map(|operation| operation.ty);
    request.set_parsed_query(known.document.clone());
    Ok(Guarded { request, operation, cost, visited, repeats: known.repeats })
}

fn check_text(text: &str, limits: &GuardLimits) -> Result<(), GuardError> {
    at_most(text.len(), limits.query_bytes, code::QUERY_TOO_LARGE, "bytes")?;
    let found = scan::scan(text).map_err(|scan::Unterminated(at)| {
        GuardError::invalid("A string is not terminated.".into(), Some(position(text, at)))
    })?;
    at_most(found.tokens, limits.tokens, code::QUERY_TOO_LARGE, "tokens")?;
    at_most(found.nesting, limits.nesting, code::QUERY_TOO_LARGE, "levels of brackets")
}

fn check_tally(tally: Tally, limits: &GuardLimits) -> Result<(), GuardError> {
    let code = code::QUERY_TOO_COMPLEX;
    at_most(tally.aliases, limits.aliases, code, "aliases")?;
    at_most(tally.directives, limits.directives, code, "directives")
}

fn at_most(actual: usize, limit: usize, code: &'static str, what: &str) -> Result<(), GuardError> {
    if actual <= limit {
        return Ok(());
    }
    Err(GuardError::limit(code, what, actual as u64, limit as u64))
}

/// Measures all operations and fragments, chosen or not, since validation may visit them all.
fn check_size(
    document: &ExecutableDocument,
    variables: &Variables,
    chosen: Option<&OperationDefinition>,
    limits: &GuardLimits,
) -> Result<(u64, u64), GuardError> {
    let mut visited = 0;
    let mut cost = 0;
    let mut selections = 0_u64;
    for (_, operation) in document.operations.iter() {
        let operation = &operation.node;
        let mut meter = Meter::new(document, limits, variables, Some(operation));
        let size = meter.set(&operation.selection_set.node, 0)?;
        visited += meter.visited;
        selections = selections.saturating_add(size.selections);
        let is_chosen = chosen.is_some_and(|chosen| std::ptr::eq(chosen, operation));
        check_operation(size, is_chosen, limits)?;
        cost = if is_chosen { size.cost } else { cost };
    }
    check_selections(selections, limits)?;
    visited += check_fragments(document, variables, limits)?;
    Ok((cost, visited))
}

fn check_operation(size: Size, chosen: bool, limits: &GuardLimits) -> Result<(), GuardError> {
    check_selections(size.selections, limits)?;
    if size.depth > limits.depth {
        return Err(GuardError::too_deep("fields below one another", limits.depth));
    }
    if size.fields > limits.root_fields {
        let code = code::QUERY_TOO_COMPLEX;
        return Err(GuardError::limit(code, "root fields", size.fields, limits.root_fields));
    }
    if chosen { check_cost(size.cost, limits) } else { Ok(()) }
}

fn check_cost(cost: u64, limits: &GuardLimits) -> Result<(), GuardError> {
    if cost > limits.cost {
        return Err(GuardError::cost(cost, limits.cost));
    }
    Ok(())
}

/// Whether a validator expands fragments that no operation uses is its own affair, so they count.
fn check_fragments(
    document: &ExecutableDocument,
    variables: &Variables,
    limits: &GuardLimits,
) -> Result<u64, GuardError> {
    let mut meter = Meter::new(document, limits, variables, None);
    let mut selections = 0_u64;
    for name in document.fragments.keys() {
        let size = meter.fragment(name.as_str(), 0)?;
        selections = selections.saturating_add(size.selections);
    }
    check_selections(selections, limits)?;
    Ok(meter.visited)
}

fn check_selections(selections: u64, limits: &GuardLimits) -> Result<(), GuardError> {
    if selections > limits.selections {
        return Err(GuardError::too_deep("selections once its fragments are expanded", limits.selections));
    }
    Ok(())
}

/// The operation that execution will choose, by the same rules.
fn chosen<'a>(operations: &'a DocumentOperations, name: Option<&str>) -> Option<&'a OperationDefinition> {
    match (operations, name) {
        (DocumentOperations::Single(operation), None) => Some(&operation.node),
        (DocumentOperations::Multiple(named), Some(name)) => named.get(name).map(|it| &it.node),
        (DocumentOperations::Multiple(named), None) if named.len() == 1 => named.values().next().map(|it| &it.node),
        (DocumentOperations::Single(_), Some(_)) | (DocumentOperations::Multiple(_), None) => None,
    }
}

/// Execution would find a missing variable only in the middle of its work, field by field.
fn check_variables(operation: &OperationDefinition, variables: &Variables) -> Result<(), GuardError> {
    for definition in &operation.variable_definitions {
        let (name, kind) = (&definition.node.name.node, &definition.node.var_type.node);
        let missing = match variables.get(name) {
            Some(value) => *value == Value::Null,
            None => definition.node.default_value.is_none(),
        };
        if missing && !kind.nullable {
            let message = format!("Variable \"${name}\" of type \"{kind}\" is required.");
            return Err(GuardError::invalid(message, Some(definition.pos)));
        }
    }
    Ok(())
}

/// A variable the operation does not declare has no meaning, so it costs nothing either.
fn keep_declared(operation: &OperationDefinition, variables: &mut Variables) {
    let definitions = operation.variable_definitions.iter();
    let declared: HashSet<&Name> = definitions.map(|it| &it.node.name.node).collect();
    variables.retain(|name, _| declared.contains(name));
}

fn position(text: &str, offset: usize) -> Pos {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Pos { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}
