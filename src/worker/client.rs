//! The worker's side of the protocol: one method a request, each tried once.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::protocol::{Appended, Beat, Claim, Ended, FileCapture, Line, StepArtifact, StepLease, Uploaded};

/// How long one request may take, beyond what it asks the server to wait.
const REQUEST: Duration = Duration::from_secs(15);
/// How long an upload may take at the least; see [`upload_time`].
const UPLOAD: Duration = Duration::from_mins(1);
/// The slowest upload that is waited for, in bytes a second.
const SLOWEST: u64 = 64 * 1024;
/// How much of a file is read at once, in bytes.
const CHUNK: usize = 64 * 1024;
/// The longest answer that is read: far above what a hundred leases need.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// The longest that a server may hold the worker back with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(2);

const CLAIM: &str = "mutation($input:ClaimStepsInput!){answer:claimSteps(input:$input){__typename \
    ...on ClaimStepsSuccess{leases{token runId stepId attempt uses with policy{policyId policyVersion message} \
    sandbox{mode egressAllowlist cpuLimitMillicores memoryLimitMiB quotaSeconds} egress secrets{name scope} \
    captures{name path} leaseSeconds}} ...on InputInvalid{code message}}}";
const HEARTBEAT: &str = "mutation($input:HeartbeatStepInput!){answer:heartbeatStep(input:$input){__typename \
    ...on HeartbeatStepSuccess{leaseSeconds cancelRequested}}}";
const APPEND: &str = "mutation($input:AppendStepLogsInput!){answer:appendStepLogs(input:$input){__typename \
    ...on AppendStepLogsSuccess{nextSeq cancelRequested truncated} ...on LogOutOfSequence{nextSeq} \
    ...on InputInvalid{code message}}}";
const COMPLETE: &str = "mutation($input:CompleteStepInput!){answer:completeStep(input:$input){__typename \
    ...on CapturesNeeded{captures{name path}} ...on InputInvalid{code message}}}";
const FAIL: &str = "mutation($input:FailStepInput!){answer:failStep(input:$input){__typename \
    ...on InputInvalid{code message}}}";
const RELEASE: &str = "mutation($input:ReleaseStepInput!){answer:releaseStep(input:$input){__typename}}";

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server cannot be reached, or cannot answer now: try again.
    #[error("{message}")]
    Away {
        /// What happened.
        message: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// The token is not good for this.
    #[error("the server refuses this worker: {0}")]
    Denied(String),
    /// The server does not understand the request, or the worker not the answer.
    #[error("the server does not understand this worker: {0}")]
    Misunderstood(String),
}

impl CallError {
    fn away(error: &reqwest::Error) -> Self {
        // The outer message names only the address; the reason is at the end of the chain.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Away { message: format!("{}: {cause}", kind(error)), retry_after: None }
    }
}

fn kind(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

/// How long to wait before the next try, growing from a quarter of a second, spread so that many
/// workers do not come back at once.
#[derive(Debug)]
pub struct Backoff {
    tries: u32,
    longest: Duration,
    random: RandomState,
}

impl Backoff {
    /// Never waits longer than `longest` unless the server asks for it.
    pub fn new(longest: Duration) -> Self {
        Self { tries: 0, longest, random: RandomState::new() }
    }

    /// The wait after one more failure.
    pub fn next(&mut self, error: &CallError) -> Duration {
        let whole = Duration::from_millis(250).saturating_mul(1 << self.tries.min(10)).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        let share = u32::try_from(self.random.hash_one(self.tries) % 1000).unwrap_or_default();
        let spread = whole / 2 + whole / 2000 * share;
        match error {
            CallError::Away { retry_after: Some(asked), .. } => *asked + spread / 2,
            _ => spread,
        }
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<Data<T>>,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct Data<T> {
    answer: Option<T>,
}

#[derive(Deserialize)]
struct GraphQlError {
    message: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
struct Extensions {
    code: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
}

impl Refusal {
    fn text(self) -> String {
        format!("{}: {}", self.code, self.message)
    }
}

#[derive(Deserialize)]
#[serde(tag = "__typename")]
enum ClaimAnswer {
    #[serde(rename = "ClaimStepsSuccess")]
    Success {
        leases: Vec<StepLease>,
    },
    InputInvalid(Refusal),
}

#[derive(Deserialize)]
#[serde(tag = "__typename")]
enum HeartbeatAnswer {
    #[serde(rename = "HeartbeatStepSuccess", rename_all = "camelCase")]
    Success {
        lease_seconds: u32,
        cancel_requested: bool,
    },
    LeaseLost,
}

#[derive(Deserialize)]
#[serde(tag = "__typename")]
enum AppendAnswer {
    #[serde(rename = "AppendStepLogsSuccess", rename_all = "camelCase")]
    Success {
        next_seq: u64,
        cancel_requested: bool,
        truncated: bool,
    },
    #[serde(rename_all = "camelCase")]
    LogOutOfSequence {
        next_seq: u64,
    },
    LeaseLost,
    InputInvalid(Refusal),
}

#[derive(Deserialize)]
#[serde(tag = "__typename")]
enum EndAnswer {
    #[serde(alias = "CompleteStepSuccess", alias = "FailStepSuccess", alias = "ReleaseStepSuccess")]
    Success,
    CapturesNeeded {
        captures: Vec<FileCapture>,
    },
    LeaseLost,
    InputInvalid(Refusal),
}

impl From<EndAnswer> for Ended {
    fn from(answer: EndAnswer) -> Self {
        match answer {
            EndAnswer::Success => Self::Recorded,
            EndAnswer::CapturesNeeded { captures } => Self::CapturesNeeded(captures),
            EndAnswer::LeaseLost => Self::Lost,
            EndAnswer::InputInvalid(refusal) => Self::Invalid(refusal.text()),
        }
    }
}

/// A connection to a server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
}

impl Client {
    /// Connects nothing yet.
    ///
    /// # Errors
    /// A sentence about the URL, the token or the tenant.
    pub fn new(server: &str, token: Option<&str>, tenant: Option<&str>) -> Result<Self, String> {
        let server = Url::parse(server).map_err(|error| format!("server: {error}"))?;
        if !["http", "https"].contains(&server.scheme()) {
            return Err("server: must be an http or https URL".to_owned());
        }
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| "the token has characters that no header carries")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(tenant) = tenant {
            let value = HeaderValue::from_str(tenant).map_err(|_| "tenant: not a header value")?;
            headers.insert("x-stellaops-tenant", value);
        }
        // A redirect could carry the lease and the logs to another host.
        let builder = reqwest::Client::builder().default_headers(headers).redirect(reqwest::redirect::Policy::none());
        let http = builder.connect_timeout(REQUEST).build().map_err(|error| error.to_string())?;
        Ok(Self { http, server })
    }

    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    async fn ask<T: for<'de> Deserialize<'de>>(
        &self,
        query: &str,
        input: impl Serialize,
        time: Duration,
    ) -> Result<T, CallError> {
        let body = json!({"query": query, "variables": {"input": input}});
        let request = self.http.post(self.url(&["graphql"])).json(&body).timeout(time);
        let response = request.send().await.map_err(|error| CallError::away(&error))?;
        read_answer(response).await
    }

    /// Asks for steps.
    pub async fn claim(&self, claim: &Claim) -> Result<Vec<StepLease>, CallError> {
        let time = REQUEST + Duration::from_secs(claim.wait_seconds.into());
        match self.ask(CLAIM, claim, time).await? {
            ClaimAnswer::Success { leases } => Ok(leases),
            ClaimAnswer::InputInvalid(refusal) => Err(CallError::Misunderstood(refusal.text())),
        }
    }

    /// Renews a lease.
    pub async fn heartbeat(&self, token: &str, time: Duration) -> Result<Beat, CallError> {
        Ok(match self.ask(HEARTBEAT, json!({"token": token}), time.min(REQUEST)).await? {
            HeartbeatAnswer::Success { lease_seconds, cancel_requested } => {
                Beat::Renewed { lease_seconds, cancel: cancel_requested }
            }
            HeartbeatAnswer::LeaseLost => Beat::Lost,
        })
    }

    /// Hands lines over, the first of them with this number.
    pub async fn append(&self, token: &str, first: u64, lines: &[Line]) -> Result<Appended, CallError> {
        let input = json!({"token": token, "firstSeq": first, "lines": lines});
        Ok(match self.ask(APPEND, input, REQUEST).await? {
            AppendAnswer::Success { next_seq, cancel_requested, truncated } => {
                Appended::Stored { next: next_seq, cancel: cancel_requested, truncated }
            }
            AppendAnswer::LogOutOfSequence { next_seq } => Appended::OutOfSequence { next: next_seq },
            AppendAnswer::LeaseLost => Appended::Lost,
            AppendAnswer::InputInvalid(refusal) => Appended::Invalid(refusal.text()),
        })
    }

    /// Ends a step well.
    pub async fn complete(
        &self,
        token: &str,
        outputs: Option<&Value>,
        artifacts: &[StepArtifact],
    ) -> Result<Ended, CallError> {
        let input = json!({"token": token, "outputs": outputs, "artifacts": artifacts});
        self.ask(COMPLETE, input, REQUEST).await.map(|answer: EndAnswer| answer.into())
    }

    /// Ends an attempt badly.
    pub async fn fail(&self, token: &str, error: &str, retryable: bool) -> Result<Ended, CallError> {
        let input = json!({"token": token, "error": error, "retryable": retryable});
        self.ask(FAIL, input, REQUEST).await.map(|answer: EndAnswer| answer.into())
    }

    /// Gives a lease back unused.
    pub async fn release(&self, token: &str) -> Result<Ended, CallError> {
        self.ask(RELEASE, json!({"token": token}), REQUEST).await.map(|answer: EndAnswer| answer.into())
    }

    /// Uploads a file of `size` bytes with this SHA-256.
    pub async fn upload(
        &self,
        lease: &StepLease,
        name: &str,
        digest: &[u8],
        size: u64,
        file: Arc<File>,
    ) -> Result<Uploaded, CallError> {
        let url = self.url(&["v1", "task-runner", "runs", &lease.run_id, "artifacts", name, "content"]);
        let body = reqwest::Body::wrap_stream(chunks(Arc::clone(&file), size));
        let request = self.http.put(url).header("x-packtrail-lease", &lease.token).header(CONTENT_LENGTH, size);
        let request = request.header("content-digest", format!("sha-256=:{}:", STANDARD.encode(digest)));
        let response = request.timeout(upload_time(size)).body(body).send().await;
        let response = match response {
            Ok(response) => response,
            Err(_) if file.metadata().map(|now| now.len()).ok() != Some(size) => {
                return Ok(Uploaded::Refused("file-changed: its size changed while it was read".to_owned()));
            }
            Err(error) => return Err(CallError::away(&error)),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(Uploaded::Stored);
        }
        if status == StatusCode::CONFLICT {
            return Ok(Uploaded::Lost);
        }
        match by_status(&response) {
            Some(error) => Err(error),
            None => Ok(Uploaded::Refused(format!("upload-refused: the server answers {}", status.as_u16()))),
        }
    }
}

/// The contents of a file, a piece at a time. It is read by position, so that one upload does not
/// disturb the next.
fn chunks(file: Arc<File>, size: u64) -> impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> {
    futures_util::stream::try_unfold(0, move |at| {
        let file = Arc::clone(&file);
        async move {
            if at >= size {
                return Ok(None);
            }
            let chunk = tokio::task::spawn_blocking(move || read_chunk(&file, at, size)).await??;
            let next = at + chunk.len() as u64;
            Ok(Some((chunk, next)))
        }
    })
}

fn read_chunk(file: &File, at: u64, size: u64) -> std::io::Result<Vec<u8>> {
    let mut chunk = vec![0; usize::try_from(size - at).map_or(CHUNK, |left| left.min(CHUNK))];
    file.read_exact_at(&mut chunk, at)?;
    Ok(chunk)
}

fn upload_time(size: u64) -> Duration {
    UPLOAD + Duration::from_secs(size / SLOWEST)
}

/// What a status alone says.
fn by_status(response: &Response) -> Option<CallError> {
    let status = response.status();
    let message = format!("the server answers {}", status.as_u16());
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(CallError::Denied(message)),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            Some(CallError::Away { message, retry_after: retry_after(response) })
        }
        status if status.is_server_error() => Some(CallError::Away { message, retry_after: retry_after(response) }),
        _ => None,
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

async fn read_answer<T: for<'de> Deserialize<'de>>(mut response: Response) -> Result<T, CallError> {
    let status = response.status();
    let by_status = by_status(&response);
    let retry_after = retry_after(&response);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| CallError::away(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(CallError::Misunderstood("its answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    let answer: Answer<T> = match serde_json::from_slice(&body) {
        Ok(answer) => answer,
        // A proxy in between answers in its own words.
        Err(error) => {
            let text = format!("status {}, {error}", status.as_u16());
            return Err(by_status.unwrap_or(CallError::Misunderstood(text)));
        }
    };
    if let Some(error) = answer.errors.into_iter().next() {
        return Err(by_code(error, retry_after, by_status));
    }
    let found = answer.data.and_then(|data| data.answer);
    found.ok_or_else(|| by_status.unwrap_or_else(|| CallError::Misunderstood("its answer is empty".to_owned())))
}

fn by_code(error: GraphQlError, retry_after: Option<Duration>, by_status: Option<CallError>) -> CallError {
    let code = error.extensions.code.unwrap_or_default();
    let message = format!("{code}: {}", error.message);
    match code.as_str() {
        "UNAUTHENTICATED" | "FORBIDDEN" => CallError::Denied(message),
        "RATE_LIMITED" | "OVERLOADED" | "UNAVAILABLE" | "TIMEOUT" | "INTERNAL" => {
            CallError::Away { message, retry_after }
        }
        _ => by_status.unwrap_or(CallError::Misunderstood(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away(retry_after: Option<Duration>) -> CallError {
        CallError::Away { message: String::new(), retry_after }
    }

    #[test]
    fn waits_grow_up_to_the_longest_and_never_beyond() {
        let longest = Duration::from_secs(8);
        let mut backoff = Backoff::new(longest);
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next(&away(None))).collect();
        assert!(waits[0] <= Duration::from_millis(250) && waits[0] >= Duration::from_millis(125));
        assert!(waits.iter().all(|wait| *wait <= longest));
        assert!(waits[20..].iter().all(|wait| *wait >= longest / 2));
    }

    #[test]
    fn a_wait_that_the_server_asks_for_is_kept() {
        let asked = Duration::from_mins(1);
        assert!(Backoff::new(Duration::from_secs(1)).next(&away(Some(asked))) >= asked);
    }

    #[test]
    fn codes_tell_what_can_be_tried_again() {
        let told = |code: &str| {
            let extensions = Extensions { code: Some(code.to_owned()) };
            by_code(GraphQlError { message: String::new(), extensions }, None, None)
        };
        assert!(matches!(told("UNAUTHENTICATED"), CallError::Denied(_)));
        assert!(matches!(told("FORBIDDEN"), CallError::Denied(_)));
        assert!(matches!(told("OVERLOADED"), CallError::Away { .. }));
        assert!(matches!(told("BAD_USER_INPUT"), CallError::Misunderstood(_)));
    }

    #[test]
    fn urls_keep_the_path_of_the_server_and_escape_names() {
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::new("http://localhost:1/base/", None, None).unwrap();
        let url = client.url(&["runs", "a/b ?", "content"]);
        assert_eq!(url.as_str(), "http://localhost:1/base/runs/a%2Fb%20%3F/content");
    }

    #[test]
    fn what_is_no_http_is_refused() {
        assert!(Client::new("ftp://localhost", None, None).is_err());
        assert!(Client::new("localhost", None, None).is_err());
    }
}
