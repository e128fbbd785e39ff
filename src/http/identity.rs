//! Who is asking: from headers to a principal and a tenant, and a line in the log for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::App;
use super::error::RestError;
use super::graphql::{self, Full, InFlight, Place, PrincipalKey, Rate, Refusal, TraceId};
use crate::auth::{AuthError, Principal, Scope};
use crate::domain::digest::Digest;

/// The header by which a caller with several tenants chooses one.
const TENANT: &str = "x-stellaops-tenant";

/// Who asks, and in which tenant.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Who.
    pub principal: Principal,
    /// Where.
    pub tenant: Arc<str>,
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is no text is nobody's token and no tenant's name.
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// The tenant that a request names in its headers.
#[must_use]
pub fn named_tenant(headers: &HeaderMap) -> Option<&str> {
    text(headers, TENANT)
}

/// The credentials that a request has in its headers.
#[must_use]
pub fn authorization(headers: &HeaderMap) -> Option<&str> {
    text(headers, "authorization")
}

fn authenticate(app: &App, headers: &HeaderMap) -> Result<Principal, AuthError> {
    app.authenticator.authenticate(authorization(headers))
}

fn identify(app: &App, headers: &HeaderMap) -> Result<Identity, AuthError> {
    let principal = authenticate(app, headers)?;
    let tenant = principal.tenant(named_tenant(headers))?;
    Ok(Identity { principal, tenant })
}

/// Whom a request counts for. Who may do everything is no worker: what people do is bounded as for people.
fn counted_as(principal: &Principal) -> PrincipalKey {
    let is_worker = *principal.scopes == [Scope::Worker];
    PrincipalKey::new(Arc::clone(&principal.subject), is_worker)
}

/// Notes who asks.
pub fn admit(extensions: &mut Extensions, identity: Identity) {
    extensions.insert(counted_as(&identity.principal));
    extensions.insert(identity);
}

/// Lets only known callers through to REST.
pub async fn require(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match identify(&app, request.headers()) {
        Ok(identity) => {
            admit(request.extensions_mut(), identity);
            next.run(request).await
        }
        Err(error) => {
            let trace = trace_id(&request);
            super::ingest::discard(request.into_body(), app.limits.read_timeout());
            RestError::from(error).respond(&trace)
        }
    }
}

/// Lets only known callers through, whose tenant may be named in the body.
pub async fn require_caller(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match authenticate(&app, request.headers()) {
        Ok(principal) => {
            request.extensions_mut().insert(counted_as(&principal));
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(error) => {
            let trace = trace_id(&request);
            super::ingest::discard(request.into_body(), app.limits.read_timeout());
            RestError::from(error).respond(&trace)
        }
    }
}

/// How often and how much at once each caller may ask, on all surfaces together.
#[derive(Clone)]
pub struct Admission {
    /// How often.
    pub rate: Arc<Rate>,
    /// How much at once.
    pub in_flight: Arc<InFlight>,
    /// How long the rest of a refused body may take.
    pub idle: Duration,
}

impl Admission {
    fn enter(&self, request: &Request) -> Result<Arc<Place>, (RestError, u64)> {
        let key = request.extensions().get::<PrincipalKey>().cloned().unwrap_or_else(PrincipalKey::anonymous);
        let too_many = |message| RestError::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message);
        let place = self.in_flight.enter(&key).map_err(|full| match full {
            Full::Server => {
                let message = "The server has as many operations in flight as it takes.";
                (RestError::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", message), 1)
            }
            Full::Principal => (too_many("Too many operations in flight."), 1),
        })?;
        self.rate.take(&key, 1).map_err(|seconds| (too_many("Too many operations a minute."), seconds))?;
        Ok(Arc::new(place))
    }
}

/// Lets through what a known caller may ask now, with its place in flight.
pub async fn within_bounds(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    match admission.enter(&request) {
        Ok(place) => {
            request.extensions_mut().insert(place);
            next.run(request).await
        }
        Err((error, seconds)) => {
            let mut response = error.respond(&trace_id(&request));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            super::ingest::discard(request.into_body(), admission.idle);
            response
        }
    }
}

/// Lets only known callers through to GraphQL, whose errors have their own shape.
pub async fn require_graphql(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match identify(&app, request.headers()) {
        Ok(identity) => {
            admit(request.extensions_mut(), identity);
            next.run(request).await
        }
        Err(error) => {
            let RestError { status, code, message } = RestError::from(error);
            let mut refusal = Refusal::new(status, code, message);
            if status == StatusCode::UNAUTHORIZED {
                refusal.headers.push((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            graphql::refuse(request.headers(), refusal)
        }
    }
}

/// The id under which the log has a request.
#[must_use]
pub fn trace_id(request: &Request) -> Arc<str> {
    request.extensions().get::<TraceId>().map_or_else(|| Arc::from(""), |trace| Arc::clone(&trace.0))
}

/// The trace id of a W3C `traceparent` header, if it has a valid one.
fn given_trace(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get("traceparent")?.to_str().ok()?.split('-').nth(1)?;
    let is_valid = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.bytes().any(|b| b != b'0');
    is_valid.then_some(id)
}

/// The largest header section of a request, in bytes.
const MAX_HEADERS: usize = 16 * 1024;

/// Refuses requests with too much in their headers.
pub async fn bound_headers(request: Request, next: Next) -> Response {
    let size: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size > MAX_HEADERS {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return RestError::new(status, "PAYLOAD_TOO_LARGE", "The headers are too large.").respond(&trace_id(&request));
    }
    next.run(request).await
}

/// Gives each request its trace id and writes one line about it.
pub async fn trace(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let started = app.clock.now();
    let id: Arc<str> = if let Some(id) = given_trace(request.headers()) {
        Arc::from(id.to_ascii_lowercase())
    } else {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let seed = format!("{started}/{n}/{}", std::process::id());
        Arc::from(&Digest::of_bytes(seed.as_bytes()).hex()[..32])
    };
    request.extensions_mut().insert(TraceId(Arc::clone(&id)));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = route(&request);
    let response = next.run(request).await;
    let micros = app.clock.now() - started;
    let status = response.status().as_u16();
    tracing::info!(%method, path, status, micros, trace_id = %id, "request");
    metrics::counter!("packtrail_http_requests_total", "path" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("packtrail_http_request_seconds", "path" => route).record(seconds(micros));
    response
}

/// The path of a request as a metric label: the pattern of its route, so that neither names nor a scanner
/// make labels without end.
fn route(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "a duration in seconds for a histogram")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
