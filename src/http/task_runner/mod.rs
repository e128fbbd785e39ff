//! The `TaskRunner` contract: `/v1/task-runner/…`. It holds no rule of its own: each route reads what was
//! sent, calls a use case, and writes its answer in the contract's shape.

mod content;
mod failure;
mod input;
mod log;
mod wire;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::TryFutureExt as _;
use serde::Serialize;
use serde_json::json;

use self::failure::Failure;
use self::log::{Parameters, Reader};
use self::wire::{RunArtifact, RunState};
use super::App;
use super::body::{self, BodyError, BodyLimits};
use super::error::RestError;
use super::graphql::{Place, media};
use super::identity::{self, Admission, trace_id};
use crate::auth::{Principal, Scope as Permission};
use crate::domain::run::Decide;
use crate::service::query::{RunDetail, Scope};
use crate::service::run::{CreateRun, valid_run_id};

/// The largest body, in bytes: a manifest has at most 256 KiB, and its inputs belong to a request, not to
/// a store of files.
const BODY: usize = 1 << 20;
/// How much of a body over the limit is read on.
const DRAINED: usize = 64 << 20;
/// Tells that an answer repeats an earlier one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

type Answer = Result<Response, Failure>;
type Named<T> = Result<Path<T>, PathRejection>;

/// The routes. Callers are known, and counted together with those of other surfaces.
pub fn routes(app: &Arc<App>, admission: Admission) -> Router<Arc<App>> {
    Router::new()
        .route("/v1/task-runner/simulations", post(simulate))
        .route("/v1/task-runner/runs", post(create))
        .route("/v1/task-runner/runs/{runId}", get(state))
        .route("/v1/task-runner/runs/{runId}/logs", get(logs))
        .route("/v1/task-runner/runs/{runId}/artifacts", get(artifacts))
        .route(
            "/v1/task-runner/runs/{runId}/artifacts/{name}/content",
            get(content::get).put(content::put).layer(DefaultBodyLimit::disable()),
        )
        .route("/v1/task-runner/runs/{runId}/approvals/{approvalId}", post(decide))
        .route("/v1/task-runner/runs/{runId}/cancel", post(cancel))
        .method_not_allowed_fallback(super::error::other_method)
        .layer(from_fn_with_state(admission, identity::within_bounds))
        .layer(from_fn_with_state(Arc::clone(app), identity::require_caller))
        .layer(from_fn(unsniffed))
}

/// Answers are what they say they are, and of the moment.
async fn unsniffed(request: Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn simulate(State(app): State<Arc<App>>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.simulate(body).await.unwrap_or_else(|failure| failure.respond_planning(&call.trace))
}

async fn create(State(app): State<Arc<App>>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.create(body).await.unwrap_or_else(|failure| failure.respond_planning(&call.trace))
}

async fn state(State(app): State<Arc<App>>, run: Named<String>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.finish(body, call.state(run)).await
}

async fn artifacts(State(app): State<Arc<App>>, run: Named<String>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.finish(body, call.artifacts(run)).await
}

async fn logs(State(app): State<Arc<App>>, run: Named<String>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.finish(body, call.logs(run)).await
}

async fn cancel(State(app): State<Arc<App>>, run: Named<String>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.finish(body, call.cancel(run)).await
}

async fn decide(State(app): State<Arc<App>>, names: Named<(String, String)>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.decide(names, body).await.unwrap_or_else(|failure| failure.respond(&call.trace))
}

/// A request of a known caller.
struct Call {
    app: Arc<App>,
    parts: Parts,
    trace: Arc<str>,
}

impl Call {
    fn new(app: Arc<App>, request: Request) -> (Self, Body) {
        let trace = trace_id(&request);
        let (parts, body) = request.into_parts();
        (Self { app, parts, trace }, body)
    }

    /// The answer of an operation that takes no body: if there is one, it is not read.
    async fn finish(&self, body: Body, answer: impl Future<Output = Answer>) -> Response {
        super::ingest::discard(body, self.app.limits.read_timeout());
        self.in_time(answer).await.unwrap_or_else(|failure| failure.respond(&self.trace))
    }

    /// Gives up on what takes too long.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let done = tokio::time::timeout(self.app.limits.request_timeout(), work).await;
        done.unwrap_or_else(|_| {
            let message = "The operation took too long.";
            Err(RestError::new(StatusCode::GATEWAY_TIMEOUT, "TIMEOUT", message).into())
        })
    }

    /// The caller, who must have a permission.
    fn caller(&self, needed: Permission) -> Result<&Principal, RestError> {
        let caller = self.parts.extensions.get::<Principal>().ok_or(crate::auth::AuthError::Unauthenticated)?;
        if caller.has(needed) {
            return Ok(caller);
        }
        let message = format!("This needs the scope {needed}.");
        Err(RestError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message))
    }

    /// The tenant: one that the caller has, named by the header or the body, which must agree.
    fn tenant(&self, caller: &Principal, in_body: Option<&str>) -> Result<Arc<str>, RestError> {
        let in_header = identity::named_tenant(&self.parts.headers);
        if let (Some(header), Some(body)) = (in_header, in_body)
            && header != body
        {
            let message = "The header X-StellaOps-Tenant and tenantId name different tenants.";
            return Err(RestError::new(StatusCode::BAD_REQUEST, "TENANT_MISMATCH", message));
        }
        Ok(caller.tenant(in_header.or(in_body))?)
    }

    /// The tenant and the name of a run that the caller asks about.
    fn named(&self, needed: Permission, run: Named<String>) -> Result<(Arc<str>, String), Failure> {
        let tenant = self.tenant(self.caller(needed)?, None)?;
        Ok((tenant, run_name(run.ok().map(|Path(name)| name))?))
    }

    /// A body of JSON.
    async fn json(&self, body: Body) -> Result<Bytes, Failure> {
        let headers = &self.parts.headers;
        let is_plain = headers
            .get(header::CONTENT_ENCODING)
            .is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
        let time = self.app.limits.read_timeout();
        if !is_plain || !media::is_json(headers) {
            let message = "Send the body as application/json, plain.";
            let refused = RestError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message);
            return Err(self.discarding(body, refused));
        }
        let limits = BodyLimits { bytes: BODY, time, drained: DRAINED };
        body::read(headers, body, limits).await.map_err(|error| unread(error).into())
    }

    /// A refusal; the body is read on beside it.
    fn discarding(&self, body: Body, refused: RestError) -> Failure {
        super::ingest::discard(body, self.app.limits.read_timeout());
        refused.into()
    }

    fn json_limits(&self) -> crate::domain::json::JsonLimits {
        crate::domain::json::JsonLimits { max_bytes: BODY, ..self.app.item_limits() }
    }

    async fn simulate(&self, body: Body) -> Answer {
        let known = self.caller(Permission::Viewer).and_then(|caller| self.tenant(caller, None));
        if let Err(refused) = known {
            return Err(self.discarding(body, refused));
        }
        let asked = input::Simulate::read(&self.json(body).await?, &self.json_limits())?;
        let simulation = self.app.runs.simulate(asked.manifest, asked.inputs);
        let simulation = self.in_time(simulation.map_err(Failure::from)).await?;
        Ok(Json(simulation).into_response())
    }

    async fn create(&self, body: Body) -> Answer {
        let caller = match self.caller(Permission::Operator) {
            Ok(caller) => caller,
            Err(refused) => return Err(self.discarding(body, refused)),
        };
        let asked = input::Create::read(&self.json(body).await?, &self.json_limits())?;
        let tenant = self.tenant(caller, asked.tenant.as_deref())?;
        let asked = CreateRun {
            run_id: asked.run_id,
            manifest: asked.manifest,
            inputs: asked.inputs,
            subjects: Vec::new(),
            idempotency_key: self.idempotency_key()?,
        };
        self.in_time(async {
            let (run_id, is_new) = self.app.runs.create(&tenant, &caller.subject, asked).await?;
            let run = self.find(&tenant, &run_id).await?;
            let mut response = (StatusCode::CREATED, location(&run_id), Json(RunState::of(&run))).into_response();
            if !is_new {
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            }
            Ok::<_, Failure>(response)
        })
        .await
    }

    fn idempotency_key(&self) -> Result<Option<String>, RestError> {
        let Some(key) = self.parts.headers.get("idempotency-key") else { return Ok(None) };
        let key = key.to_str().map_err(|_| RestError::bad_input("An Idempotency-Key is visible ASCII characters."))?;
        Ok(Some(key.to_owned()))
    }

    async fn find(&self, tenant: &Arc<str>, run_id: &str) -> Result<RunDetail, Failure> {
        let scope = Scope::now(&self.app.store, Arc::clone(tenant)).await?;
        scope.run_detail(run_id).await?.ok_or_else(unknown_run)
    }

    async fn state(&self, run: Named<String>) -> Answer {
        let (tenant, run_id) = self.named(Permission::Viewer, run)?;
        let scope = Scope::now(&self.app.store, tenant).await?;
        let run = scope.find_run(&run_id).await?.ok_or_else(unknown_run)?;
        // What was reported is in the contract's shape.
        if let Some(report) = scope.run_report(&run).await? {
            return Ok(Json(report).into_response());
        }
        let detail = scope.run_detail(&run_id).await?.ok_or_else(unknown_run)?;
        Ok(Json(RunState::of(&detail)).into_response())
    }

    async fn artifacts(&self, run: Named<String>) -> Answer {
        let (tenant, run_id) = self.named(Permission::Viewer, run)?;
        let scope = Scope::now(&self.app.store, tenant).await?;
        let run = scope.find_run(&run_id).await?.ok_or_else(unknown_run)?;
        let artifacts: Vec<RunArtifact> = run.run.artifacts.iter().map(RunArtifact::of).collect();
        Ok(Json(artifacts).into_response())
    }

    async fn logs(&self, run: Named<String>) -> Answer {
        let (tenant, run_id) = self.named(Permission::Viewer, run)?;
        let parameters = Parameters::read(self.parts.uri.query().unwrap_or_default())?;
        let scope = Scope::now(&self.app.store, Arc::clone(&tenant)).await?;
        scope.find_run(&run_id).await?.ok_or_else(unknown_run)?;
        let place = self.parts.extensions.get::<Arc<Place>>().cloned();
        let reader = Reader { app: Arc::clone(&self.app), tenant, run_id, parameters };
        Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], reader.body(place)).into_response())
    }

    async fn decide(&self, names: Named<(String, String)>, body: Body) -> Answer {
        let known = self.caller(Permission::Operator).and_then(|caller| Ok((caller, self.tenant(caller, None)?)));
        let (caller, tenant) = match known {
            Ok(known) => known,
            Err(refused) => return Err(self.discarding(body, refused)),
        };
        let asked = input::Decided::read(&self.json(body).await?, &self.json_limits())?;
        let (run_id, approval) = names.map(|Path(names)| names).map_err(|_| unknown_run())?;
        let run_id = run_name(Some(run_id))?;
        let decide = Decide {
            approval: &approval,
            decision: asked.decision,
            plan_hash: &asked.plan_hash,
            actor: &caller.subject,
            claimed_actor: asked.actor.as_deref(),
            summary: asked.summary.as_deref(),
            has_grant: &|grant: &str| caller.grants.has(grant),
        };
        let decided = self.app.runs.decide(&tenant, &run_id, &decide);
        let decided = self.in_time(decided.map_err(Failure::from)).await?;
        Ok(Json(ApprovalDecided { status: decided.decision.word(), resumed: decided.resumed }).into_response())
    }

    async fn cancel(&self, run: Named<String>) -> Answer {
        let (tenant, run_id) = self.named(Permission::Operator, run)?;
        let actor = &self.caller(Permission::Operator)?.subject;
        self.app.runs.cancel(&tenant, &run_id, actor).await?;
        Ok((StatusCode::ACCEPTED, location(&run_id), Json(json!({"status": "cancelled"}))).into_response())
    }
}

fn unread(error: BodyError) -> RestError {
    match error {
        BodyError::TooLarge => {
            let message = format!("The body is larger than {BODY} bytes.");
            RestError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
        }
        BodyError::TooSlow => {
            RestError::new(StatusCode::REQUEST_TIMEOUT, "TIMEOUT", "The body did not arrive in time.")
        }
        BodyError::BrokeOff => RestError::bad_input("The body broke off."),
    }
}

/// `ApprovalDecisionResponse`.
#[derive(Serialize)]
struct ApprovalDecided {
    status: &'static str,
    resumed: bool,
}

fn location(run_id: &str) -> [(HeaderName, String); 1] {
    [(header::LOCATION, format!("/v1/task-runner/runs/{run_id}"))]
}

/// A name that a run can have; no other run is there.
fn run_name(name: Option<String>) -> Result<String, Failure> {
    name.filter(|name| valid_run_id(name)).ok_or_else(unknown_run)
}

fn unknown_run() -> Failure {
    crate::service::run::RunError::NotFound.into()
}
