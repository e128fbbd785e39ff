//! The HTTP surfaces.

pub mod error;
pub mod graphiql;
pub mod graphql;
pub mod health;
pub mod identity;
pub mod ingest;
pub mod server;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::Authenticator;
use crate::clock::SharedClock;
use crate::config::Limits;
use crate::domain::json::JsonLimits;
use crate::service::ingest::writer::Writer;
use crate::shutdown::Shutdown;
use crate::storage::Store;
use crate::telemetry::Metrics;

/// How many bodies are read at once: each holds an item, a chunk and its answer.
const INGESTS: usize = 64;

/// What the surfaces share.
pub struct App {
    /// The store.
    pub store: Store,
    /// The one writer.
    pub writer: Writer,
    /// The time.
    pub clock: SharedClock,
    /// Who may ask.
    pub authenticator: Authenticator,
    /// The limits.
    pub limits: Limits,
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
    let open = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics));
    Router::new()
        .merge(rest)
        .merge(open)
        .with_state(Arc::clone(app))
        .merge(graphiql::routes())
        .layer(CatchPanicLayer::new())
        .layer(from_fn(identity::bound_headers))
        .layer(from_fn_with_state(Arc::clone(app), identity::trace))
}
