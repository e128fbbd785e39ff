//! The description of the REST surface: the document that this server keeps, and what tells of it.

use std::sync::OnceLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::graphql::media;
use crate::domain::digest::Digest;
use crate::domain::taskpack::read_yaml;

/// The document, as it is kept in the root of the project.
pub const DOCUMENT: &str = include_str!("../../openapi.yaml");

/// Where the document is served.
const PATH: &str = "/openapi";
const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

/// The document in one of its forms.
struct Form {
    text: String,
    media: &'static str,
    digest: String,
}

impl Form {
    fn new(text: String, media: &'static str) -> Self {
        let digest = Digest::of_bytes(text.as_bytes()).hex();
        Self { text, media, digest }
    }

    fn yaml() -> &'static Self {
        static FORM: OnceLock<Form> = OnceLock::new();
        FORM.get_or_init(|| Self::new(DOCUMENT.to_owned(), "application/yaml"))
    }

    fn json() -> &'static Self {
        static FORM: OnceLock<Form> = OnceLock::new();
        FORM.get_or_init(|| Self::new(value().to_string(), "application/json"))
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.digest)
    }

    fn signature(&self) -> String {
        format!("sha256:{}", self.digest)
    }

    /// What tells the forms apart and clients whether theirs is still good.
    fn headers(&self) -> [(HeaderName, String); 3] {
        [(header::ETAG, self.etag()), (SIGNATURE, self.signature()), (header::CACHE_CONTROL, "no-cache".to_owned())]
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let etag = self.etag();
        known
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    }
}

/// The document as a value. It is read once; a test reads it too, so that it can be read.
#[must_use]
pub fn value() -> &'static Value {
    static VALUE: OnceLock<Value> = OnceLock::new();
    VALUE.get_or_init(|| read_yaml(DOCUMENT).unwrap_or_default())
}

/// The routes, which ask for no token.
pub fn routes() -> Router {
    Router::new()
        .route("/.well-known/openapi", get(|headers: HeaderMap| async move { metadata(&headers) }))
        .route(PATH, get(|headers: HeaderMap| async move { document(&headers) }))
        .method_not_allowed_fallback(super::error::other_method)
}

fn metadata(headers: &HeaderMap) -> Response {
    let form = Form::yaml();
    if form.is_known(headers) {
        return (StatusCode::NOT_MODIFIED, form.headers()).into_response();
    }
    let body = json!({
        "specUrl": PATH,
        "version": value()["info"]["version"],
        "buildVersion": env!("CARGO_PKG_VERSION"),
        "etag": form.etag(),
        "signature": form.signature(),
    });
    (form.headers(), Json(body)).into_response()
}

fn document(headers: &HeaderMap) -> Response {
    let form = if media::prefers_json(headers) { Form::json() } else { Form::yaml() };
    let vary = (header::VARY, HeaderValue::from_static("accept"));
    if form.is_known(headers) {
        return (StatusCode::NOT_MODIFIED, form.headers(), [vary]).into_response();
    }
    let media = (header::CONTENT_TYPE, HeaderValue::from_static(form.media));
    (form.headers(), [vary, media], form.text.as_str()).into_response()
}
