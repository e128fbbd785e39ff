//! The `GraphiQL` page at `/graphiql`, from files built into the binary.

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Response;
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `scripts/build-graphiql` writes.
#[derive(RustEmbed)]
#[folder = "assets/graphiql"]
struct Assets;

/// Only files of this origin; the editor's libraries set styles, and its fonts and icons are data
/// inside the style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    font-src data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The name of a file is a hash of its content, so it never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The routes `/graphiql` and its files.
pub fn routes() -> Router {
    Router::new()
        .route("/graphiql", get(|headers: HeaderMap| async move { page(&headers) }))
        .route("/graphiql/{file}", get(file))
}

fn page(headers: &HeaderMap) -> Response {
    serve("index.html", "no-cache", headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    if name.starts_with("graphiql-") { serve(&name, FOR_EVER, &headers) } else { serve(&name, "no-cache", &headers) }
}

fn serve(name: &str, cache: &'static str, headers: &HeaderMap) -> Response {
    let Some(asset) = Assets::get(name) else {
        return answer(StatusCode::NOT_FOUND, Body::empty());
    };
    let tag = entity_tag(&asset);
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|it| *it == tag);
    let mut response = if known {
        answer(StatusCode::NOT_MODIFIED, Body::empty())
    } else {
        answer(StatusCode::OK, Body::from(asset.data))
    };
    let set = response.headers_mut();
    set.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    set.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        set.insert(ETAG, tag);
    }
    response
}

fn answer(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let set = response.headers_mut();
    set.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    set.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    set.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn entity_tag(asset: &EmbeddedFile) -> String {
    format!("\"{}\"", hex::encode(asset.metadata.sha256_hash()))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}
