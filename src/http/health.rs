//! What the platform asks: alive, ready, how much.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::App;

/// How long the database may take to give a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// `/livez`: the process answers. It says nothing of the database: restarting would not mend that.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// `/readyz`: 503 without the database or while draining.
pub async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if !app.shutdown.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    match tokio::time::timeout(SIGN_OF_LIFE, app.store.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database is unavailable\n"),
    }
}

/// `/metrics`, in the text format of Prometheus.
pub async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let text = app.metrics.as_ref().map(crate::telemetry::Metrics::render).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
