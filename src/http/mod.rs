//! The HTTP surfaces.

mod body;
pub mod content_digest;
pub mod error;
pub mod graphiql;
pub mod graphql;
pub mod health;
pub mod identity;
pub mod ingest;
pub mod live;
pub mod openapi;
pub mod range;
pub mod server;
mod task_runner;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use self::graphql::{GraphqlLimits, GraphqlService, Prepare};
use self::identity::{Admission, Identity};
use self::live::{LiveLimits, Places, Transports};
use crate::auth::Authenticator;
use crate::clock::SharedClock;
use crate::config::Limits;
use crate::domain::json::JsonLimits;
use crate::graphql::context::RequestContext;
use crate::graphql::limits::GuardLimits;
use crate::graphql::{ApiSchema, builder};
use crate::service::ingest::writer::Writer;
use crate::service::live::Hub;
use crate::service::run::Runs;
use crate::shutdown::Shutdown;
use crate::storage::Store;
use crate::storage::artifacts::ArtifactStore;
use crate::telemetry::Metrics;

/// How many bodies are read at once: each holds an item, a chunk and its answer.
const INGESTS: usize = 64;

/// What the surfaces share.
pub struct App {
    /// The store.
    pub store: Store,
    /// The one writer.
    pub writer: Writer,
    /// The commands on runs.
    pub runs: Runs,
    /// The content of artifacts.
    pub artifacts: ArtifactStore,
    /// The time.
    pub clock: SharedClock,
    /// Who may ask.
    pub authenticator: Authenticator,
    /// The limits.
    pub limits: Limits,
    /// Origins whose pages may open `WebSocket`s beside the server's own.
    pub allowed_origins: Vec<String>,
    /// What is followed.
    pub hub: Hub,
    /// The `WebSocket`s there are.
    pub sockets: Arc<Places>,
    /// The metrics, if this process has them.
    pub metrics: Option<Metrics>,
    /// Whether the server is stopping.
    pub shutdown: Shutdown,
    /// Places for bodies being read.
    pub ingests: Semaphore,
}

impl App {
    /// Places for bodies being read.
    #[must_use]
    pub fn ingest_places() -> Semaphore {
        Semaphore::new(INGESTS)
    }

    /// The bounds of one record.
    #[must_use]
    pub fn item_limits(&self) -> JsonLimits {
        JsonLimits { max_bytes: self.limits.ingest_record_bytes, max_depth: self.limits.json_depth }
    }
}

/// All routes.
pub fn router(app: &Arc<App>) -> Router {
    let rest = Router::new()
        .route("/v1/ingest", post(ingest::post))
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(app), identity::require));
    let service = graphql_service(app);
    let (rate, in_flight) = (service.rate(), service.in_flight());
    let runs = task_runner::routes(app, Admission { rate, in_flight, idle: app.limits.read_timeout() });
    let transports = Transports::new(app, service.clone(), live_limits(&app.limits));
    let sockets = transports.routes();
    let api = service
        .routes()
        .layer(from_fn_with_state(transports, live::divert))
        .layer(from_fn_with_state(Arc::clone(app), identity::require_graphql));
    let open = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics));
    Router::new()
        .merge(rest)
        .merge(runs)
        .merge(open)
        .with_state(Arc::clone(app))
        .merge(api)
        .merge(sockets)
        .merge(graphiql::routes())
        .merge(openapi::routes())
        .fallback(error::unknown_path)
        .layer(CatchPanicLayer::new())
        .layer(from_fn(identity::bound_headers))
        .layer(from_fn_with_state(Arc::clone(app), identity::trace))
}

/// `/graphql`: the schema with its limits, and what each request brings to its resolvers.
fn graphql_service(app: &Arc<App>) -> GraphqlService<ApiSchema> {
    let limits = graphql_limits(&app.limits);
    let schema = limits.guard.harden(builder(), false).finish();
    let app = Arc::clone(app);
    let prepare: Prepare = Arc::new(move |parts, request| match parts.extensions.get::<Identity>() {
        // Without an identity, resolvers find nobody to answer.
        None => request,
        Some(Identity { principal, tenant }) => {
            let (store, writer) = (app.store.clone(), Some(app.writer.clone()));
            let clock = Arc::clone(&app.clock);
            let context = RequestContext::new(principal.clone(), Arc::clone(tenant), store, writer, clock);
            let context = context.with_runs(app.runs.clone());
            request.data(context.with_item_limits(app.item_limits()).with_largest_page(app.limits.page_size))
        }
    });
    GraphqlService::new(schema, limits).with_prepare(prepare)
}

fn live_limits(limits: &Limits) -> LiveLimits {
    LiveLimits {
        connections: limits.sockets_total,
        connections_each: limits.sockets_per_principal,
        init_timeout: Duration::from_secs(limits.socket_init_secs),
        message_bytes: limits.socket_message_bytes,
        event_bytes: limits.response_bytes,
        subscriptions: limits.socket_subscriptions,
        ping_every: Duration::from_secs(limits.socket_ping_secs),
        dead_after: Duration::from_secs(limits.socket_dead_secs),
        flush_timeout: Duration::from_secs(limits.slow_consumer_secs),
        ..LiveLimits::default()
    }
}

fn graphql_limits(limits: &Limits) -> GraphqlLimits {
    GraphqlLimits {
        body_bytes: limits.graphql_body_bytes,
        read_timeout: limits.read_timeout(),
        response_bytes: limits.response_bytes,
        execution_timeout: limits.request_timeout(),
        in_flight: limits.in_flight_total,
        in_flight_each: limits.in_flight_per_principal,
        operations_per_minute: limits.rate_per_minute,
        worker_operations_per_minute: limits.worker_rate_per_minute,
        cached_documents: limits.cached_documents,
        cached_document_bytes: limits.cached_document_bytes,
        guard: GuardLimits {
            query_bytes: limits.query_bytes,
            tokens: limits.query_tokens,
            nesting: limits.query_nesting,
            selections: limits.query_selections,
            depth: limits.query_depth,
            aliases: limits.query_aliases,
            root_fields: limits.query_root_fields,
            directives: limits.query_directives,
            cost: limits.query_cost,
            ..GuardLimits::default()
        },
        ..GraphqlLimits::default()
    }
}
