//! `POST /v1/ingest`: bodies of any size, read as they come.

use std::io::{Read as _, Seek as _, Write as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio_util::io::StreamReader;

use super::App;
use super::error::RestError;
use super::identity::{Identity, trace_id};
use crate::auth::Scope;
use crate::domain::digest::Digest;
use crate::domain::time::parse_rfc3339;
use crate::service::ingest::item::{ItemResult, Mode, Outcome};
use crate::service::ingest::prepare::Terms;
use crate::service::ingest::snapshot::SnapshotScope;
use crate::service::ingest::stream::{Sender, ingest};
use crate::service::reader::{DecodeLimits, Encoding, ItemReader, ReaderLimits, decode, detect};

/// The media type of the answer.
const NDJSON: &str = "application/x-ndjson";
/// Result lines are kept in memory up to here, in a temporary file beyond: the answer begins when the
/// request was read, since many clients read nothing before they have sent everything.
const ANSWER_IN_MEMORY: usize = 1 << 20;
/// The longest answer that is kept for a repeated request.
const ANSWER_KEPT: u64 = 64 * 1024;
/// How long answers to requests with an Idempotency-Key are kept, microseconds.
const ANSWER_AGE: i64 = 24 * 3600 * 1_000_000;
/// How much of a body is read on when nothing of it is wanted any more, in bytes.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;
/// The longest Idempotency-Key.
const MAX_KEY: usize = 255;

/// What the query string says.
#[derive(Debug, Default)]
struct Parameters {
    source: Option<String>,
    mode: Mode,
    all_results: bool,
    listed_at: Option<i64>,
    kinds: Vec<String>,
    namespaces: Vec<String>,
}

/// The route.
pub async fn post(State(app): State<Arc<App>>, request: Request) -> Response {
    let trace = trace_id(&request);
    let (parts, body) = request.into_parts();
    let body = Hashed::new(body, app.limits.read_timeout(), &terms_of(&parts));
    match answer(&app, &parts, body.clone(), &trace).await {
        Ok(response) => response,
        Err(error) => {
            body.discard();
            error.respond(&trace)
        }
    }
}

/// Reads a refused body on beside the answer: many clients see no answer while they cannot send.
pub fn discard(body: Body, idle: Duration) {
    Hashed::new(body, idle, "").discard();
}

/// What a request asks for, besides its body.
fn terms_of(parts: &Parts) -> String {
    let query = parts.uri.query().unwrap_or_default();
    let [media, encoding] =
        [header::CONTENT_TYPE, header::CONTENT_ENCODING].map(|name| text(&parts.headers, name).unwrap_or_default());
    json!([query, media, encoding]).to_string()
}

async fn answer(app: &App, parts: &Parts, body: Hashed, trace: &str) -> Result<Response, RestError> {
    let Some(identity) = parts.extensions.get::<Identity>().cloned() else {
        return Err(crate::auth::AuthError::Unauthenticated.into());
    };
    let parameters = Parameters::read(parts.uri.query().unwrap_or_default())?;
    let sender = sender(app, &identity, &parameters)?;
    let Ok(_place) = app.ingests.try_acquire() else {
        return Err(RestError::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "Too many bodies are being read."));
    };
    let headers = &parts.headers;
    let format = detect(text(headers, header::CONTENT_TYPE), None, b"{").map_err(|_| {
        let message = "Send application/x-ndjson, application/json or application/yaml.";
        RestError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    })?;
    let encoding =
        Encoding::from_header(text(headers, header::CONTENT_ENCODING).unwrap_or_default()).ok_or_else(|| {
            let message = "Send the body plain, or with Content-Encoding gzip or zstd.";
            RestError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
        })?;
    let key = idempotency_key(headers, &identity, &sender.terms.source)?;
    if let Some(key) = &key
        && let Some((first, kept)) = kept_answer(app, &identity, key).await?
    {
        return repeat(body, &first, kept).await;
    }
    let reader = StreamReader::new(body.clone());
    let limits = ReaderLimits { item: sender.terms.limits, yaml_bytes: app.limits.yaml_bytes };
    let reader = ItemReader::new(decode(reader, encoding, DecodeLimits::default()), format, limits);
    let mut lines = Lines::new();
    let summary = ingest(&app.writer, &sender, reader, |result: ItemResult| {
        if parameters.all_results || !is_plain(&result) {
            lines.push(&result);
        }
    })
    .await;
    // What follows a fault that ends the reading belongs to the request all the same.
    let is_whole = body.finish().await;
    let status = match &summary {
        Ok(_) if is_whole && !lines.broke_off => StatusCode::OK,
        Ok(_) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    match summary {
        Ok(summary) => lines.finish(&json!({"summary": summary})),
        Err(error) => {
            let error = RestError::from(error);
            if lines.is_empty() {
                return Err(error);
            }
            lines.finish(&error.envelope(trace));
        }
    }
    if status == StatusCode::OK
        && let Some(key) = key
    {
        keep_answer(app, &identity, &key, &body.digest(), &mut lines).await;
    }
    lines.respond(status)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn sender(app: &App, identity: &Identity, parameters: &Parameters) -> Result<Sender, RestError> {
    let forbidden = |message: &str| RestError::new(StatusCode::FORBIDDEN, "FORBIDDEN", message);
    let Identity { principal, tenant } = identity;
    if !principal.has(Scope::Ingest) {
        return Err(forbidden("This needs the scope lineage.ingest."));
    }
    let source = parameters.source.clone().unwrap_or_else(|| "default".to_owned());
    if !crate::auth::valid_tenant(&source) {
        return Err(RestError::bad_input("A source is 1 to 253 letters, digits, `-`, `_` or `.`."));
    }
    let binding = &principal.ingest_binding;
    if !binding.allows_source(&source) {
        return Err(forbidden("This token may not send records of that source."));
    }
    let snapshot = parameters.listed_at.map(|at| SnapshotScope::named(&parameters.kinds, &parameters.namespaces, at));
    if let Some(scope) = &snapshot
        && !binding.allows_listing(&scope.kinds, &scope.namespaces)
    {
        return Err(forbidden("This token may not close records outside of its kinds and namespaces."));
    }
    Ok(Sender {
        tenant: tenant.to_string(),
        principal: principal.subject.to_string(),
        terms: Terms {
            source,
            mode: parameters.mode,
            binding: Arc::clone(binding),
            listed_at: parameters.listed_at,
            limits: app.item_limits(),
        },
        snapshot,
    })
}

impl Parameters {
    fn read(query: &str) -> Result<Self, RestError> {
        let mut parameters = Self::default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
            .map_err(|_| RestError::bad_input("The query string is not well formed."))?;
        for (name, value) in pairs {
            match name.as_str() {
                "source" => parameters.source = Some(value),
                "mode" => {
                    parameters.mode = match value.to_ascii_lowercase().as_str() {
                        "lenient" => Mode::Lenient,
                        "strict" => Mode::Strict,
                        _ => return Err(RestError::bad_input("mode is lenient or strict.")),
                    }
                }
                "results" => {
                    parameters.all_results = match value.as_str() {
                        "all" => true,
                        "notable" => false,
                        _ => return Err(RestError::bad_input("results is all or notable.")),
                    }
                }
                "snapshot" => {
                    let at = parse_rfc3339(&value);
                    let message = "snapshot is the RFC 3339 time of a complete listing.";
                    parameters.listed_at = Some(at.ok_or_else(|| RestError::bad_input(message))?);
                }
                "kinds" => parameters.kinds.extend(list(&value)),
                "namespaces" => parameters.namespaces.extend(list(&value)),
                _ => {
                    return Err(RestError::bad_input(
                        "Known parameters: source, mode, results, snapshot, kinds, namespaces.",
                    ));
                }
            }
        }
        if parameters.listed_at.is_some() && parameters.kinds.is_empty() {
            return Err(RestError::bad_input("A snapshot names the kinds that it is complete for: kinds=A,B."));
        }
        if parameters.listed_at.is_none() && !(parameters.kinds.is_empty() && parameters.namespaces.is_empty()) {
            return Err(RestError::bad_input("kinds and namespaces say what a snapshot covers: name its time too."));
        }
        Ok(parameters)
    }
}

fn list(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(ToOwned::to_owned)
}

/// Stored, new or known, with nothing to say about it.
fn is_plain(result: &ItemResult) -> bool {
    let is_stored =
        matches!(result.outcome, Outcome::Created | Outcome::Updated | Outcome::Duplicate | Outcome::Closed);
    is_stored && result.warnings.is_empty() && result.error.is_none()
}

/// The key of a request that may be repeated: each caller has its own in each source.
fn idempotency_key(headers: &HeaderMap, identity: &Identity, source: &str) -> Result<Option<String>, RestError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let is_valid = |key: &&str| (1..=MAX_KEY).contains(&key.len());
    let Some(key) = value.to_str().ok().filter(is_valid) else {
        return Err(RestError::bad_input("An Idempotency-Key is 1 to 255 visible ASCII characters."));
    };
    let parts = json!([source, &*identity.principal.subject, key]).to_string();
    Ok(Some(format!("ingest/{}", Digest::of_bytes(parts.as_bytes()).hex())))
}

async fn kept_answer(app: &App, identity: &Identity, key: &str) -> Result<Option<(Digest, String)>, RestError> {
    let found = app.store.find_answer(&identity.tenant, key).await;
    found.map_err(|error| crate::service::ingest::writer::WriteError::from(error).into())
}

/// Answers a repeated request as before, provided that it is the same request.
async fn repeat(body: Hashed, first: &Digest, kept: String) -> Result<Response, RestError> {
    if !body.finish().await {
        return Err(RestError::bad_input("The body broke off."));
    }
    if body.digest() != *first {
        let message = "This Idempotency-Key was used for another request.";
        return Err(RestError::new(StatusCode::CONFLICT, "IDEMPOTENCY_CONFLICT", message));
    }
    Ok(([(header::CONTENT_TYPE, NDJSON), (REPLAYED, "true")], kept).into_response())
}

const REPLAYED: header::HeaderName = header::HeaderName::from_static("idempotency-replayed");

/// Keeps the answer for a repetition. A failure only means that the repetition is read again, and
/// finds duplicates.
async fn keep_answer(app: &App, identity: &Identity, key: &str, digest: &Digest, lines: &mut Lines) {
    let Some(answer) = lines.kept() else { return };
    let now = app.clock.now();
    let kept = app.store.keep_answer(&identity.tenant, key, digest, &answer, now, ANSWER_AGE).await;
    if let Err(error) = kept {
        tracing::warn!(%error, "an answer could not be kept");
    }
}

/// The lines of an answer.
struct Lines {
    file: tempfile::SpooledTempFile,
    summary: String,
    length: u64,
    failed: bool,
    broke_off: bool,
}

impl Lines {
    fn new() -> Self {
        Self {
            file: tempfile::spooled_tempfile(ANSWER_IN_MEMORY),
            summary: String::new(),
            length: 0,
            failed: false,
            broke_off: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn push(&mut self, result: &ItemResult) {
        if let Some(error) = &result.error
            && matches!(
                error.code.as_str(),
                "READ_FAILED" | "INVALID_ENCODING" | "DECODED_TOO_LARGE" | "BODY_TOO_LARGE"
            )
        {
            self.broke_off = true;
        }
        self.line(&serde_json::to_value(result).unwrap_or_default());
    }

    fn line(&mut self, value: &serde_json::Value) {
        let line = format!("{value}\n");
        self.length += line.len() as u64;
        self.failed |= self.file.write_all(line.as_bytes()).is_err();
    }

    fn finish(&mut self, last: &serde_json::Value) {
        self.summary = format!("{last}\n");
        self.line(last);
    }

    /// The whole answer, or its summary where it is long.
    fn kept(&mut self) -> Option<String> {
        if self.length > ANSWER_KEPT {
            return Some(self.summary.clone());
        }
        let mut all = String::new();
        self.file.rewind().ok()?;
        self.file.read_to_string(&mut all).ok()?;
        Some(all)
    }

    fn respond(mut self, status: StatusCode) -> Result<Response, RestError> {
        let broken =
            || RestError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "The answer could not be written.");
        if self.failed || self.file.rewind().is_err() {
            return Err(broken());
        }
        let body = match self.file.into_inner() {
            tempfile::SpooledData::InMemory(cursor) => Body::from(cursor.into_inner()),
            tempfile::SpooledData::OnDisk(file) => {
                let file = tokio::fs::File::from_std(file);
                Body::from_stream(tokio_util::io::ReaderStream::new(file))
            }
        };
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
        Ok(response)
    }
}

/// A body that is hashed as it is read, and ends with an error when nothing comes for too long.
/// Clones are one body: what the reader of its items left over can be read to the end.
#[derive(Clone)]
struct Hashed {
    shared: Arc<Mutex<Reading>>,
    idle: Duration,
}

struct Reading {
    chunks: Chunks,
    hasher: Sha256,
    broke_off: bool,
    /// Whether the end was reached, and not by an error.
    is_whole: bool,
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

impl Hashed {
    /// A body, and what else its digest tells apart.
    fn new(body: Body, idle: Duration, terms: &str) -> Self {
        let chunks = body.into_data_stream();
        let chunks = futures_util::stream::unfold(Some(chunks), move |chunks| async move {
            let mut chunks = chunks?;
            match tokio::time::timeout(idle, chunks.next()).await {
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(chunks))),
                Ok(Some(Err(error))) => Some((Err(std::io::Error::other(error)), None)),
                Ok(None) => None,
                Err(_) => Some((Err(std::io::ErrorKind::TimedOut.into()), None)),
            }
        });
        // The length keeps terms and body apart.
        let hasher = Sha256::new().chain_update(terms.len().to_be_bytes()).chain_update(terms);
        let reading = Reading { chunks: Box::pin(chunks.fuse()), hasher, broke_off: false, is_whole: false };
        Self { shared: Arc::new(Mutex::new(reading)), idle }
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest of what was read so far.
    fn digest(&self) -> Digest {
        Digest(self.reading().hasher.clone().finalize().into())
    }

    /// Reads to the end, throwing away what comes, within limits of bytes and time; tells whether
    /// the whole body arrived.
    async fn finish(&self) -> bool {
        let mut body = self.clone();
        let rest = async move {
            let mut left = MAX_DISCARDED;
            while let Some(Ok(chunk)) = body.next().await {
                left = left.saturating_sub(chunk.len());
                if left == 0 {
                    break;
                }
            }
        };
        let _in_time = tokio::time::timeout(self.idle, rest).await;
        self.reading().is_whole
    }

    /// Reads to the end beside the answer.
    fn discard(self) {
        drop(tokio::spawn(async move { self.finish().await }));
    }
}

impl Stream for Hashed {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let reading = &mut *self.reading();
        let next = reading.chunks.poll_next_unpin(context);
        match &next {
            Poll::Ready(Some(Ok(bytes))) => reading.hasher.update(bytes),
            Poll::Ready(Some(Err(_))) => reading.broke_off = true,
            Poll::Ready(None) => reading.is_whole = !reading.broke_off,
            Poll::Pending => {}
        }
        next
    }
}
