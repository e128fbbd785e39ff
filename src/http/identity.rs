//! Who is asking: from headers to a principal and a tenant, and a line in the log for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::App;
use super::error::RestError;
use super::graphql::{self, PrincipalKey, Refusal, TraceId};
use crate::auth::{AuthError, Principal};
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

fn identify(app: &App, headers: &HeaderMap) -> Result<Identity, AuthError> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let principal = app.authenticator.authenticate(text("authorization"))?;
    let tenant = principal.tenant(text(TENANT))?;
    Ok(Identity { principal, tenant })
}

fn admit(request: &mut Request, identity: Identity) {
    request.extensions_mut().insert(PrincipalKey(Arc::clone(&identity.principal.subject)));
    request.extensions_mut().insert(identity);
}

/// Lets only known callers through to REST.
pub async fn require(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match identify(&app, request.headers()) {
        Ok(identity) => {
            admit(&mut request, identity);
            next.run(request).await
        }
        Err(error) => {
            let trace = trace_id(&request);
            super::ingest::discard(request.into_body(), app.limits.read_timeout());
            RestError::from(error).respond(&trace)
        }
    }
}

/// Lets only known callers through to GraphQL, whose errors have their own shape.
pub async fn require_graphql(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    match identify(&app, request.headers()) {
        Ok(identity) => {
            admit(&mut request, identity);
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
    let response = next.run(request).await;
    let micros = app.clock.now() - started;
    let status = response.status().as_u16();
    tracing::info!(%method, path, status, micros, trace_id = %id, "request");
    metrics::counter!("packtrail_http_requests_total", "path" => known(&path), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("packtrail_http_request_seconds", "path" => known(&path)).record(seconds(micros));
    response
}

/// Paths as metric labels: only known ones, so that a scanner cannot make labels without end.
fn known(path: &str) -> &'static str {
    ["/graphql", "/graphiql", "/v1/ingest", "/livez", "/readyz", "/metrics"]
        .into_iter()
        .find(|known| *known == path)
        .unwrap_or("other")
}

#[expect(clippy::cast_precision_loss, reason = "a duration in seconds for a histogram")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
