//! GraphQL over HTTP at `/graphql`.
//!
//! `POST` takes `application/json`; `GET` takes queries only, so that no link and no form of
//! another site can change anything. Every answer is JSON, and every error has a stable code.

mod admission;
mod documents;
mod followed;
mod input;
mod limits;
pub(super) mod media;
mod refusal;
mod reply;

use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_graphql::parser::types::OperationType;
use async_graphql::{Executor, Request, Response as Executed};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use futures_util::FutureExt;

pub use self::admission::{Full, InFlight, Now, Place, PrincipalKey, Rate};
use self::documents::Documents;
pub use self::followed::{Delivered, Followed, Operation, Source};
pub use self::input::{RawVariables, from_json};
pub use self::limits::GraphqlLimits;
use self::media::Media;
pub use self::refusal::Refusal;
use self::reply::Reply;
pub use self::reply::publish;
use crate::graphql::code;
use crate::graphql::guard::{self, Guarded, Known};
use crate::graphql::limits::GuardLimits;
use crate::graphql::patience::Patience;
use crate::graphql::written::WriteLists;

/// Methods of `/graphql`.
const METHODS: &str = "GET, HEAD, POST";

/// The id under which the log has this request. Middleware puts it into the request's extensions.
#[derive(Clone, Debug)]
pub struct TraceId(pub Arc<str>);

/// Adds what resolvers need, such as the principal and loaders, to each request.
pub type Prepare = Arc<dyn Fn(&Parts, Request) -> Request + Send + Sync>;

/// Everything `/graphql` needs.
#[derive(Clone)]
pub struct GraphqlService<E> {
    executor: E,
    limits: Arc<GraphqlLimits>,
    rate: Arc<Rate>,
    in_flight: Arc<InFlight>,
    documents: Arc<Documents>,
    prepare: Prepare,
}

impl<E: Executor> GraphqlService<E> {
    /// A service on the system's clock that passes requests on as they are.
    #[must_use]
    pub fn new(executor: E, limits: GraphqlLimits) -> Self {
        Self {
            executor,
            rate: Arc::new(rate(&limits, Arc::new(Instant::now))),
            in_flight: InFlight::new(limits.in_flight, limits.in_flight_each),
            documents: Arc::new(Documents::new(limits.cached_documents, limits.cached_document_bytes)),
            limits: Arc::new(limits),
            prepare: Arc::new(|_, request| request),
        }
    }

    /// The service on another clock.
    #[must_use]
    pub fn with_clock(mut self, now: Now) -> Self {
        self.rate = Arc::new(rate(&self.limits, now));
        self
    }

    /// The service with a step between the guard and execution.
    #[must_use]
    pub fn with_prepare(mut self, prepare: Prepare) -> Self {
        self.prepare = prepare;
        self
    }

    /// The buckets, to be shared with other transports of the same principals.
    #[must_use]
    pub fn rate(&self) -> Arc<Rate> {
        Arc::clone(&self.rate)
    }

    /// The counts, to be shared with other transports of the same principals.
    #[must_use]
    pub fn in_flight(&self) -> Arc<InFlight> {
        Arc::clone(&self.in_flight)
    }

    /// The route `/graphql`.
    pub fn routes(self) -> Router {
        let methods = get(by_get::<E>).post(by_post::<E>).fallback(by_other);
        Router::new().route("/graphql", methods).with_state(self)
    }

    async fn post(&self, parts: &Parts, body: Body, media: Media) -> Result<Reply, Refusal> {
        if !media::is_json(&parts.headers) {
            return Err(Refusal::not_json());
        }
        let body = input::read(&parts.headers, body, &self.limits).await?;
        let patience = Patience::new(Box::new(self.admit(parts)?));
        let request = input::from_json(&body, &self.limits)?;
        drop(body);
        let checked = self.guard(parts, request, media)?;
        self.execute(parts, checked, media, &patience).await
    }

    async fn get(&self, parts: &Parts, media: Media) -> Result<Reply, Refusal> {
        let patience = Patience::new(Box::new(self.admit(parts)?));
        let request = input::from_uri(&parts.uri, &self.limits)?;
        let checked = self.guard(parts, request, media)?;
        if checked.guarded.operation == Some(OperationType::Mutation) {
            return Err(Refusal::method("POST", "Send mutations by POST."));
        }
        self.execute(parts, checked, media, &patience).await
    }

    /// Takes a place in flight and one token, the least any request costs.
    fn admit(&self, parts: &Parts) -> Result<Place, Refusal> {
        let principal = principal(parts);
        let place = self.in_flight.enter(&principal).map_err(|full| match full {
            Full::Server => Refusal::overloaded(),
            Full::Principal => Refusal::rate_limited(1, "Too many operations in flight."),
        })?;
        self.charge(&principal, 1)?;
        Ok(place)
    }

    fn charge(&self, principal: &PrincipalKey, tokens: u32) -> Result<(), Refusal> {
        self.rate.take(principal, tokens).map_err(too_often)
    }

    /// Charges what the operation costs beyond the token its request has paid. A client that
    /// tries again pays for the request again, so the wait is for both.
    fn charge_rest(&self, principal: &PrincipalKey, cost: u64) -> Result<(), Refusal> {
        let weight = cost.div_ceil(self.limits.cost_per_operation.max(1));
        let weight = u32::try_from(weight).unwrap_or(u32::MAX).max(1);
        self.rate.take(principal, weight - 1).map_err(|_wait| too_often(self.rate.wait(principal, weight)))
    }

    /// Checks the document of what is answered once, and charges the rest of its cost.
    fn guard(&self, parts: &Parts, request: Request, media: Media) -> Result<Checked, Refusal> {
        let checked = self.check(parts, request, media)?;
        if checked.guarded.operation == Some(OperationType::Subscription) {
            let message = "Subscriptions are served at /graphql/ws, and here as text/event-stream.";
            return Err(Refusal::malformed(message));
        }
        Ok(checked)
    }

    /// Checks the document and charges the rest of its cost.
    fn check(&self, parts: &Parts, request: Request, media: Media) -> Result<Checked, Refusal> {
        let known = self.documents.get(&request.query);
        let limits = &self.limits.guard;
        let guarded = match &known {
            Some(known) => guard::check_known(request, known, limits),
            None => guard::check(request, limits),
        };
        let guarded = guarded.map_err(|error| Refusal::guarded(error, reply::invalid_status(media)))?;
        self.charge_rest(&principal(parts), guarded.cost)?;
        Ok(Checked { guarded, is_known: known.is_some() })
    }

    async fn execute(
        &self,
        parts: &Parts,
        mut checked: Checked,
        media: Media,
        patience: &Arc<Patience>,
    ) -> Result<Reply, Refusal> {
        let trace = trace_id(parts);
        let new = checked.new_document(&self.limits.guard);
        let mut request = (self.prepare)(parts, checked.guarded.request).data(Arc::clone(patience));
        if !checked.guarded.repeats {
            request = request.data(WriteLists);
        }
        let executed = self.run(request, &trace, patience).await?;
        if let Some((text, document)) = new.filter(|_| !reply::is_request_error(&executed)) {
            self.documents.keep(&text, document);
        }
        reply::executed(executed, media, &self.limits, &trace)
    }

    /// Runs to the end, the time-out or a panic, whichever is first.
    async fn run(&self, request: Request, trace: &str, patience: &Patience) -> Result<Executed, Refusal> {
        let mut run = std::pin::pin!(AssertUnwindSafe(self.executor.execute(request)).catch_unwind());
        let end = tokio::time::Instant::now() + self.limits.execution_timeout;
        let mut extra = patience.extra();
        let ended = loop {
            let ended = tokio::time::timeout_at(end + extra, &mut run).await;
            // Meanwhile it may have begun to wait.
            if ended.is_ok() || patience.extra() == extra {
                break ended;
            }
            extra = patience.extra();
        };
        match ended {
            Ok(Ok(executed)) => Ok(executed),
            Ok(Err(_panic)) => {
                tracing::error!(trace, "an operation panicked");
                Err(Refusal::internal(trace))
            }
            Err(_elapsed) => Err(Refusal::too_long()),
        }
    }
}

/// A request within the limits.
struct Checked {
    guarded: Guarded,
    /// Its document was answered before.
    is_known: bool,
}

impl Checked {
    /// The document of the request with its text, if it is to be known from now on.
    fn new_document(&mut self, limits: &GuardLimits) -> Option<(String, Known)> {
        if self.is_known {
            return None;
        }
        let known = guard::known(&mut self.guarded.request, limits)?;
        Some((self.guarded.request.query.clone(), known))
    }
}

async fn by_post<E: Executor>(State(service): State<GraphqlService<E>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    match acceptable(&parts.headers) {
        Ok(media) => respond(media, service.post(&parts, body, media).await),
        Err(refusal) => respond(Media::Json, Err(refusal)),
    }
}

async fn by_get<E: Executor>(State(service): State<GraphqlService<E>>, request: axum::extract::Request) -> Response {
    let (parts, _) = request.into_parts();
    match acceptable(&parts.headers) {
        Ok(media) => respond(media, service.get(&parts, media).await),
        Err(refusal) => respond(Media::Json, Err(refusal)),
    }
}

async fn by_other(headers: HeaderMap) -> Response {
    let media = Media::negotiate(&headers).unwrap_or(Media::Json);
    respond(media, Err(Refusal::method(METHODS, "Use POST, or GET for queries.")))
}

fn acceptable(headers: &HeaderMap) -> Result<Media, Refusal> {
    Media::negotiate(headers).ok_or_else(|| {
        let message = "Accept application/graphql-response+json or application/json.";
        Refusal::new(StatusCode::NOT_ACCEPTABLE, code::NOT_ACCEPTABLE, message)
    })
}

fn respond(media: Media, outcome: Result<Reply, Refusal>) -> Response {
    let (status, body, extra) = match outcome {
        Ok(reply) => (reply.status, reply.body, Vec::new()),
        Err(refusal) => {
            let body = reply::refused(&refusal).unwrap_or_default();
            (refusal.status, body, refusal.headers)
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.extend(extra);
    response
}

/// The answer to a request that is refused before it comes here, in the media type it accepts.
#[must_use]
pub fn refuse(headers: &HeaderMap, refusal: Refusal) -> Response {
    respond(Media::negotiate(headers).unwrap_or(Media::Json), Err(refusal))
}

fn rate(limits: &GraphqlLimits, now: Now) -> Rate {
    Rate::new(limits.operations_per_minute, limits.worker_operations_per_minute, now)
}

fn too_often(seconds: u64) -> Refusal {
    Refusal::rate_limited(seconds, "Too many operations a minute.")
}

fn principal(parts: &Parts) -> PrincipalKey {
    let key = parts.extensions.get::<PrincipalKey>();
    key.cloned().unwrap_or_else(PrincipalKey::anonymous)
}

/// The middleware's trace id, else one of this process's own.
fn trace_id(parts: &Parts) -> Arc<str> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if let Some(trace) = parts.extensions.get::<TraceId>() {
        return Arc::clone(&trace.0);
    }
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}", RandomState::new().hash_one(count)).into()
}
