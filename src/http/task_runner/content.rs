//! The content of artifacts: brought by workers, taken by who may read the run.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{BoxError, Json};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;

use super::failure::Failure;
use super::{Answer, App, Call, Named, run_name};
use crate::auth::Scope as Permission;
use crate::domain::digest::Digest;
use crate::domain::run::ArtifactStatus;
use crate::http::content_digest;
use crate::http::error::RestError;
use crate::http::graphql::Place;
use crate::http::range::{self, Requested};
use crate::service::query::Scope;
use crate::storage::Upload;
use crate::storage::artifacts::ArtifactError;

/// The token of a worker's lease, with which it brings files.
const LEASE: HeaderName = HeaderName::from_static("x-packtrail-lease");
/// RFC 9530.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// How long a client may take none of what it asked for.
const IDLE: Duration = Duration::from_mins(1);

/// `GET` and `HEAD`: the content, or a part of it.
pub async fn get(State(app): State<Arc<App>>, names: Named<(String, String)>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.finish(body, call.content(names)).await
}

/// `PUT`: a worker brings the content.
pub async fn put(State(app): State<Arc<App>>, names: Named<(String, String)>, request: Request) -> Response {
    let (call, body) = Call::new(app, request);
    call.bring(names, body).await.unwrap_or_else(|failure| failure.respond(&call.trace))
}

/// What was kept.
#[derive(Serialize)]
struct Kept {
    name: String,
    digest: Digest,
    size: u64,
}

impl Call {
    async fn content(&self, names: Named<(String, String)>) -> Answer {
        let (run_id, name) = names.map(|Path(names)| names).map_err(|_| unknown_artifact())?;
        let tenant = self.tenant(self.caller(Permission::Viewer)?, None)?;
        let scope = Scope::now(&self.app.store, Arc::clone(&tenant)).await?;
        let run = scope.find_run(&run_name(Some(run_id))?).await?.ok_or_else(super::unknown_run)?;
        let artifact = run.run.artifacts.iter().find(|artifact| artifact.name == name).ok_or_else(unknown_artifact)?;
        let Some(digest) = artifact.digest.filter(|_| artifact.status == ArtifactStatus::Captured) else {
            let message = "This artifact has no content of its own.";
            return Err(RestError::new(StatusCode::NOT_FOUND, "ARTIFACT_NOT_FOUND", message).into());
        };
        let size = artifact.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        let file_name = artifact.stored_path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or(&name);
        self.send(&tenant, &digest, size, file_name).await
    }

    async fn send(&self, tenant: &str, digest: &Digest, size: u64, file_name: &str) -> Answer {
        let etag = format!("\"{}\"", digest.hex());
        let headers = &self.parts.headers;
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let mut common = HeaderMap::new();
        common.insert(header::ETAG, visible(&etag));
        common.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if text(header::IF_NONE_MATCH).is_some_and(|known| known.split(',').any(|one| one.trim() == etag)) {
            return Ok((StatusCode::NOT_MODIFIED, common).into_response());
        }
        let asked = text(header::RANGE).filter(|_| range::range_applies(text(header::IF_RANGE), &etag));
        let (status, part) = match range::requested(asked, size) {
            Requested::Whole => (StatusCode::OK, None),
            Requested::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part)),
            Requested::Unsatisfiable => {
                let message = "The artifact has no such part.";
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let mut response = RestError::new(status, "BAD_USER_INPUT", message).respond(&self.trace);
                response.headers_mut().insert(header::CONTENT_RANGE, visible(&range::unsatisfied_range(size)));
                return Ok(response);
            }
        };
        let length = part.as_ref().map_or(size, |part| part.end - part.start);
        common.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        common.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        common.insert(header::CONTENT_DISPOSITION, visible(&attachment(file_name)));
        common.insert(HeaderName::from_static("repr-digest"), visible(&content_digest::field(digest)));
        if let Some(part) = &part {
            common.insert(header::CONTENT_RANGE, visible(&range::content_range(part, size)));
        }
        let body =
            if self.parts.method == Method::HEAD { Body::empty() } else { self.body(tenant, digest, part).await? };
        Ok((status, common, body).into_response())
    }

    /// The content as a body. It keeps its place among the requests in flight until it is taken.
    async fn body(&self, tenant: &str, digest: &Digest, part: Option<Range<u64>>) -> Result<Body, Failure> {
        let content = self.app.artifacts.get(tenant, digest, part).await?;
        let place = self.parts.extensions.get::<Arc<Place>>().cloned();
        let kept = stream::unfold((content, place), |(mut content, place)| async move {
            let next = content.next().await?;
            if let Err(error) = &next {
                tracing::error!(%error, "an artifact could not be read on");
            }
            Some((next, (content, place)))
        });
        Ok(Body::from_stream(kept))
    }

    async fn bring(&self, names: Named<(String, String)>, body: Body) -> Answer {
        match self.may_bring(names).await {
            Ok(asked) => self.take(asked, body).await,
            Err(failure) => {
                crate::http::ingest::discard(body, self.app.limits.read_timeout());
                Err(failure)
            }
        }
    }

    /// What is checked before a large body is read.
    async fn may_bring(&self, names: Named<(String, String)>) -> Result<Brought, Failure> {
        let caller = self.caller(Permission::Worker)?;
        let tenant = self.tenant(caller, None)?;
        let (run_id, name) = names.map(|Path(names)| names).map_err(|_| unknown_artifact())?;
        let run_id = run_name(Some(run_id))?;
        let headers = &self.parts.headers;
        let lease = headers.get(LEASE).and_then(|value| value.to_str().ok());
        let lease = lease.ok_or_else(|| RestError::bad_input("Name the lease in X-Packtrail-Lease."))?;
        let fields: Vec<&str> = headers.get_all(CONTENT_DIGEST).iter().filter_map(|v| v.to_str().ok()).collect();
        let digest = content_digest::sha256(&fields.join(", ")).ok().flatten();
        let wrong = || RestError::bad_input("Send the digest of the body as Content-Digest: sha-256=:…:.");
        let digest = digest.ok_or_else(wrong)?;
        let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > self.app.limits.artifact_bytes) {
            return Err(too_large(self.app.limits.artifact_bytes));
        }
        self.app.runs.check_upload(&tenant, &caller.subject, lease, &run_id, &name).await?;
        let (principal, lease) = (Arc::clone(&caller.subject), lease.to_owned());
        Ok(Brought { tenant, principal, run_id, name, lease, digest })
    }

    async fn take(&self, asked: Brought, body: Body) -> Answer {
        let chunks = in_time(body, IDLE);
        let most = self.app.limits.artifact_bytes;
        let size = self.app.artifacts.put(&asked.tenant, &asked.digest, most, Box::pin(chunks)).await?;
        let upload =
            Upload { name: asked.name.clone(), digest: asked.digest, size: i64::try_from(size).unwrap_or(i64::MAX) };
        let Brought { tenant, principal, run_id, lease, .. } = &asked;
        self.app.runs.note_upload(tenant, principal, lease, run_id, &upload).await?;
        let kept = Kept { name: asked.name, digest: asked.digest, size };
        Ok((StatusCode::CREATED, Json(kept)).into_response())
    }
}

/// A file that a worker brings.
struct Brought {
    tenant: Arc<str>,
    principal: Arc<str>,
    run_id: String,
    name: String,
    lease: String,
    digest: Digest,
}

/// A body that breaks off where nothing comes for too long.
fn in_time(body: Body, idle: Duration) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    stream::unfold(Some(body.into_data_stream()), move |chunks| async move {
        let mut chunks = chunks?;
        match tokio::time::timeout(idle, chunks.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => Some((Err(error.into()), None)),
            Ok(None) => None,
            Err(_elapsed) => Some((Err("the body did not arrive in time".into()), None)),
        }
    })
}

/// A header of characters that are all visible.
fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A download under a name, which is encoded as RFC 8187 says.
fn attachment(file_name: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    format!("attachment; filename*=UTF-8''{}", file_name.bytes().map(encode).collect::<String>())
}

fn unknown_artifact() -> Failure {
    RestError::new(StatusCode::NOT_FOUND, "ARTIFACT_NOT_FOUND", "There is no such artifact.").into()
}

fn too_large(most: u64) -> Failure {
    let message = format!("An artifact has at most {most} bytes.");
    RestError::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message).into()
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        let (status, code, message) = match &error {
            ArtifactError::TooLarge { limit } => return too_large(*limit),
            ArtifactError::DigestMismatch { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "DIGEST_MISMATCH", "The body has another digest than it says.")
            }
            ArtifactError::BodyBroke(_) => (StatusCode::BAD_REQUEST, "BAD_USER_INPUT", "The body broke off."),
            error if error.is_unavailable() => {
                tracing::error!(%error, "the store of artifacts is away");
                (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "The store of artifacts is unavailable; try again.")
            }
            error => {
                tracing::error!(%error, "an artifact could not be read or written");
                (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "An unexpected error occurred.")
            }
        };
        RestError::new(status, code, message).into()
    }
}
