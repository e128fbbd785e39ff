//! Operations that are followed rather than answered once: begun, and executed again for each piece.

use std::panic::AssertUnwindSafe;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType, Selection};
use async_graphql::{Executor, Request, Response as Executed, ServerError, Value, Variables};
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use futures_util::{FutureExt as _, StreamExt as _};

use super::media::{self, Media};
use super::{GraphqlService, Refusal, input, reply, trace_id};
use crate::graphql::code;
use crate::graphql::patience::Patience;
use crate::graphql::subscription::{Delivery, Opened, Opening};

/// An operation that came over a transport of subscriptions.
pub enum Operation<E> {
    /// A query or mutation, and the JSON of its answer.
    Answered(String),
    /// A subscription.
    Followed(Box<Followed<E>>),
}

/// Where an operation is written.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// In JSON.
    Json(&'a [u8]),
    /// In the query of a URI: no mutation may be there.
    Uri(&'a Uri),
}

/// What a request sent.
pub enum Sent {
    /// JSON, in its body.
    Json(Bytes),
    /// A URI.
    Uri(Uri),
}

impl Sent {
    /// Where its operation is written.
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        match self {
            Self::Json(body) => Source::Json(body),
            Self::Uri(uri) => Source::Uri(uri),
        }
    }
}

/// A subscription within the limits.
pub struct Followed<E> {
    service: GraphqlService<E>,
    parts: Parts,
    query: String,
    operation_name: Option<String>,
    variables: Variables,
    document: ExecutableDocument,
}

/// The JSON array of errors that a client is told.
pub type Errors = String;

/// What became of a delivery.
pub enum Delivered {
    /// The JSON of its answers, none if there is nothing to tell.
    Told(Vec<String>),
    /// It has no answer; whether it may have one later, since the store is away or the server failed.
    Failed(Errors, bool),
}

impl<E: Executor> GraphqlService<E> {
    /// Answers or begins an operation.
    ///
    /// # Errors
    /// The errors to tell, if it is refused.
    pub async fn operation(&self, parts: &Parts, source: Source<'_>) -> Result<Operation<E>, Errors> {
        let patience = Patience::new(Box::new(self.admit(parts).map_err(told)?));
        let request = match source {
            Source::Json(body) => input::from_json(body, &self.limits),
            Source::Uri(uri) => input::from_uri(uri, &self.limits),
        };
        let checked = self.check(parts, request.map_err(told)?, Media::Json).map_err(told)?;
        if checked.guarded.operation == Some(OperationType::Mutation) && matches!(source, Source::Uri(_)) {
            return Err(told(Refusal::method("POST", "Send mutations by POST.")));
        }
        if checked.guarded.operation != Some(OperationType::Subscription) {
            let reply = self.execute(parts, checked, Media::Json, &patience).await.map_err(told)?;
            return Ok(Operation::Answered(String::from_utf8_lossy(&reply.body).into_owned()));
        }
        let mut request = checked.guarded.request;
        let document = request.parsed_query().map_err(|error| errors(std::slice::from_ref(&error)))?.clone();
        let Request { query, operation_name, variables, .. } = request;
        let service = self.clone();
        let followed = Followed { service, parts: parts.clone(), query, operation_name, variables, document };
        Ok(Operation::Followed(Box::new(followed)))
    }
}

impl<E: Executor> GraphqlService<E> {
    /// Takes what a request asks for out of it.
    ///
    /// # Errors
    /// The errors to tell, if it cannot be read.
    pub async fn sent(&self, parts: &Parts, body: Body) -> Result<Sent, Errors> {
        match parts.method {
            Method::GET => Ok(Sent::Uri(parts.uri.clone())),
            Method::POST if media::is_json(&parts.headers) => {
                input::read(&parts.headers, body, &self.limits).await.map(Sent::Json).map_err(told)
            }
            Method::POST => Err(told(Refusal::not_json())),
            _ => Err(told(Refusal::method("GET, POST", "Use POST, or GET for queries and subscriptions."))),
        }
    }
}

impl<E: Executor> Followed<E> {
    /// Begins it.
    ///
    /// # Errors
    /// The errors to tell, if it is refused.
    pub async fn begin(&self) -> Result<Opened, Errors> {
        let opening = Opening::default();
        let answers = self.execute(self.request().data(opening.clone())).await.map_err(told)?;
        if let Some(refused) = answers.into_iter().find(|answer| !answer.errors.is_empty()) {
            return Err(errors(&self.published(refused).errors));
        }
        opening.opened().ok_or_else(|| told(Refusal::malformed("A subscription has one field.")))
    }

    /// Executes it for a piece.
    pub async fn deliver(&self, delivery: Delivery) -> Delivered {
        let answers = match self.execute(self.request().data(delivery)).await {
            Ok(answers) => answers,
            Err(refusal) => return Delivered::Failed(told(refusal), true),
        };
        let mut told = Vec::with_capacity(answers.len());
        for answer in answers {
            let answer = self.published(answer);
            let is_passing = answer.errors.iter().any(is_passing);
            // What has no data has no cursor either: to go on behind it would be to pass it over.
            if is_passing || (!answer.errors.is_empty() && answer.data == Value::Null) {
                return Delivered::Failed(errors(&answer.errors), is_passing);
            }
            told.push(serde_json::to_string(&answer).unwrap_or_default());
        }
        Delivered::Told(told)
    }

    /// Tells apart what is executed apart: the document, what it is given but for the cursor, and who may see what.
    #[must_use]
    pub fn key(&self) -> String {
        let cursor = self.cursor_variable();
        let given: Vec<_> = self.variables.iter().filter(|(name, _)| Some(name.as_str()) != cursor).collect();
        let identity = self.parts.extensions.get::<crate::http::identity::Identity>();
        let sight = identity.map(|it| (&it.tenant, &it.principal.scopes, &it.principal.grants));
        format!("{sight:?}\n{:?}\n{given:?}\n{}", self.operation_name, self.query)
    }

    /// The variable that is the cursor and nothing else.
    fn cursor_variable(&self) -> Option<&str> {
        let operation = match &self.document.operations {
            DocumentOperations::Single(operation) => operation,
            DocumentOperations::Multiple(all) => all.get(self.operation_name.as_deref()?)?,
        };
        let fields = operation.node.selection_set.node.items.iter();
        let field = fields.filter_map(|selection| match &selection.node {
            Selection::Field(field) => Some(&field.node),
            _ => None,
        });
        let name = field.filter_map(|field| field.get_argument("after")).find_map(|argument| match &argument.node {
            async_graphql_value::Value::Variable(name) => Some(name.as_str()),
            _ => None,
        })?;
        // What is apart from its sign could be any: then none is known to be the cursor alone.
        let is_name = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
        if self.query.match_indices('$').any(|(at, _)| !self.query.get(at + 1..).is_some_and(is_name)) {
            return None;
        }
        // Once where it is declared, and once where it is the cursor.
        let ends = |rest: &str| !rest.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
        let written = format!("${name}");
        let mut uses = self.query.match_indices(&written);
        let uses = uses.by_ref().filter(|(at, found)| self.query.get(at + found.len()..).is_some_and(ends)).count();
        (uses == 2).then_some(name)
    }

    fn request(&self) -> Request {
        let mut request = Request::new(self.query.clone()).variables(self.variables.clone());
        request.operation_name.clone_from(&self.operation_name);
        request.set_parsed_query(self.document.clone());
        (self.service.prepare)(&self.parts, request)
    }

    /// Runs to the end, the time-out or a panic, whichever is first.
    async fn execute(&self, request: Request) -> Result<Vec<Executed>, Refusal> {
        let trace = trace_id(&self.parts);
        let answers = self.service.executor.execute_stream(request, None).collect::<Vec<Executed>>();
        let run = AssertUnwindSafe(answers).catch_unwind();
        match tokio::time::timeout(self.service.limits.execution_timeout, run).await {
            Ok(Ok(answers)) => Ok(answers),
            Ok(Err(_panic)) => {
                tracing::error!(trace = &*trace, "a delivery panicked");
                Err(Refusal::internal(&trace))
            }
            Err(_elapsed) => Err(Refusal::too_long()),
        }
    }

    fn published(&self, mut answer: Executed) -> Executed {
        reply::publish(&mut answer, &self.service.limits, &trace_id(&self.parts));
        answer
    }
}

/// Whether an error may be gone when it is tried again.
fn is_passing(error: &ServerError) -> bool {
    let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
    [code::UNAVAILABLE, code::TIMEOUT, code::INTERNAL].iter().any(|passing| code == Some(&Value::from(*passing)))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what errors are mapped by")]
fn told(refusal: Refusal) -> Errors {
    errors(std::slice::from_ref(&*refusal.error))
}

fn errors(errors: &[ServerError]) -> Errors {
    serde_json::to_string(errors).unwrap_or_default()
}
