//! A server that speaks the worker's protocol and does what a test wants.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_graphql::{Context, EmptySubscription, Enum, InputObject, Json, Object, Schema, SimpleObject, Union};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State as Extracted};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{post, put};
use serde_json::Value;
use tokio::sync::watch;

/// Far longer than anything takes, so that a test that fails ends.
const NEVER: Duration = Duration::from_mins(2);

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Completed { outputs: Value, artifacts: Vec<(String, Option<String>, Option<String>)> },
    Failed { error: String, retryable: bool },
    Released,
}

/// What a test sees and sets.
#[derive(Default)]
pub struct State {
    pub queue: VecDeque<StepLease>,
    pub ends: BTreeMap<String, End>,
    pub lines: HashMap<String, Vec<(String, Stream)>>,
    pub uploads: BTreeMap<String, Vec<u8>>,
    pub headers: Vec<HeaderMap>,
    pub claims: usize,
    pub beats: usize,
    pub largest_claim: i32,
    /// Every request is answered 503.
    pub is_away: bool,
    /// So many requests were answered 503.
    pub turned_away: usize,
    /// Steps that are to end.
    pub cancelled: HashSet<String>,
    /// Leases that are lost.
    pub lost: HashSet<String>,
    /// So many batches are stored, but the answer is 503.
    pub answers_lost: usize,
    /// Files that the server asks for on the first completion.
    pub asks_for: Vec<FileCapture>,
    /// Grants one more than asked for.
    pub is_generous: bool,
    /// The whole log is full after so many lines.
    pub log_limit: Option<usize>,
    /// The token that is let in.
    pub token: Option<String>,
    /// The status of uploads.
    pub upload_status: Option<u16>,
}

#[derive(Clone)]
pub struct Mock {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
    pub address: SocketAddr,
}

impl Mock {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mock = Self { state: Arc::default(), changed: watch::Sender::new(()), address };
        let schema = Schema::build(Query, Mutation, EmptySubscription).data(mock.clone()).finish();
        let router = Router::new()
            .route("/graphql", post(graphql))
            .layer(DefaultBodyLimit::max(1024 * 1024))
            .route(
                "/v1/task-runner/runs/{run}/artifacts/{name}/content",
                put(upload).layer(DefaultBodyLimit::disable()),
            )
            .with_state((mock.clone(), schema));
        tokio::spawn(async move { axum::serve(listener, router).await });
        mock
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes or reads the state, and wakes who waits for it.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
        value
    }

    /// Waits until there is something.
    pub async fn until<T>(&self, what: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = what(&self.state.lock().unwrap()) {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(NEVER, waiting).await.expect("it never came")
    }

    pub fn push(&self, lease: StepLease) {
        self.with(|state| state.queue.push_back(lease));
    }

    /// How a step ended, once it has.
    pub async fn end(&self, token: &str) -> End {
        self.until(|state| state.ends.get(token).cloned()).await
    }

    /// The lines of a step so far.
    pub fn lines(&self, token: &str) -> Vec<String> {
        self.with(|state| state.lines.get(token).into_iter().flatten().map(|(text, _)| text.clone()).collect())
    }

    /// The numbers that the first lines of a step are.
    pub async fn pids(&self, token: &str, count: usize) -> Vec<u32> {
        let lines = self.until(|state| state.lines.get(token).filter(|lines| lines.len() >= count).cloned()).await;
        lines[..count].iter().map(|(text, _)| text.parse().unwrap()).collect()
    }
}

type App = (Mock, Schema<Query, Mutation, EmptySubscription>);

fn refusal(mock: &Mock, headers: &HeaderMap) -> Option<Response> {
    mock.with(|state| {
        state.headers.push(headers.clone());
        if state.is_away {
            state.turned_away += 1;
            return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        let given = headers.get("authorization").and_then(|value| value.to_str().ok());
        let wanted = state.token.as_ref().map(|token| format!("Bearer {token}"));
        if wanted.is_some() && wanted.as_deref() != given {
            let body = r#"{"errors":[{"message":"who are you?","extensions":{"code":"UNAUTHENTICATED"}}]}"#;
            return Some((StatusCode::UNAUTHORIZED, body).into_response());
        }
        None
    })
}

async fn graphql(Extracted((mock, schema)): Extracted<App>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refusal) = refusal(&mock, &headers) {
        return refusal;
    }
    let request: async_graphql::Request = serde_json::from_slice(&body).unwrap();
    let is_append = request.query.contains("appendStepLogs");
    let answer = schema.execute(request).await;
    let is_lost = mock.with(|state| {
        let is_lost = is_append && state.answers_lost > 0;
        state.answers_lost -= usize::from(is_lost);
        is_lost
    });
    if is_lost {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    axum::Json(answer).into_response()
}

async fn upload(
    Extracted((mock, _)): Extracted<App>,
    Path((_run, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = refusal(&mock, &headers) {
        return refusal;
    }
    mock.with(|state| {
        if let Some(status) = state.upload_status {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        assert_eq!(headers["content-length"], body.len().to_string());
        state.uploads.insert(name, body.to_vec());
        StatusCode::CREATED.into_response()
    })
}

pub struct Query;

#[Object]
impl Query {
    async fn nothing(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SandboxMode {
    Sealed,
    Open,
}

#[derive(Debug, Clone, SimpleObject)]
pub struct RunSandbox {
    pub mode: SandboxMode,
    pub egress_allowlist: Vec<String>,
    pub cpu_limit_millicores: Option<i32>,
    #[graphql(name = "memoryLimitMiB")]
    pub memory_limit_mib: Option<i32>,
    pub quota_seconds: Option<i32>,
}

#[derive(Debug, Clone, SimpleObject)]
pub struct RunSecret {
    pub name: String,
    pub scope: String,
}

#[derive(Debug, Clone, SimpleObject)]
pub struct FileCapture {
    pub name: String,
    pub path: String,
}

#[derive(Debug, Clone, SimpleObject)]
pub struct PolicyQuestion {
    pub policy_id: String,
    pub policy_version: Option<String>,
    pub message: Option<String>,
}

#[derive(Debug, Clone, SimpleObject)]
pub struct StepLease {
    pub token: String,
    pub run_id: String,
    pub step_id: String,
    pub attempt: i32,
    pub uses: String,
    pub with: Json<Value>,
    pub policy: Option<PolicyQuestion>,
    pub sandbox: Option<RunSandbox>,
    pub egress: Vec<String>,
    pub secrets: Vec<RunSecret>,
    pub captures: Vec<FileCapture>,
    pub expires_at: String,
    pub lease_seconds: i32,
}

/// A lease of half a minute.
pub fn lease(token: &str, uses: &str, with: Value) -> StepLease {
    StepLease {
        token: token.to_owned(),
        run_id: "run 1".to_owned(),
        step_id: "step/1".to_owned(),
        attempt: 1,
        uses: uses.to_owned(),
        with: Json(with),
        policy: None,
        sandbox: None,
        egress: Vec::new(),
        secrets: Vec::new(),
        captures: Vec::new(),
        expires_at: "2026-05-04T08:00:00Z".to_owned(),
        lease_seconds: 30,
    }
}

macro_rules! objects {
    ($($name:ident { $($field:ident: $type:ty),* })*) => {$(
        #[derive(SimpleObject)]
        pub struct $name { $($field: $type),* }
    )*};
}

objects! {
    ClaimStepsSuccess { leases: Vec<StepLease> }
    HeartbeatStepSuccess { expires_at: String, lease_seconds: i32, cancel_requested: bool }
    AppendStepLogsSuccess { next_seq: u64, cancel_requested: bool, truncated: bool }
    LogOutOfSequence { code: String, message: String, path: Vec<String>, next_seq: u64 }
    CompleteStepSuccess { ok: bool }
    CapturesNeeded { captures: Vec<FileCapture> }
    FailStepSuccess { ok: bool }
    ReleaseStepSuccess { ok: bool }
    LeaseLost { code: String, message: String, path: Vec<String> }
    InputInvalid { code: String, message: String, path: Vec<String> }
}

#[derive(Union)]
pub enum ClaimStepsResult {
    Success(ClaimStepsSuccess),
    Invalid(InputInvalid),
}

#[derive(Union)]
pub enum HeartbeatStepResult {
    Success(HeartbeatStepSuccess),
    Lost(LeaseLost),
}

#[derive(Union)]
pub enum AppendStepLogsResult {
    Success(AppendStepLogsSuccess),
    Sequence(LogOutOfSequence),
    Lost(LeaseLost),
    Invalid(InputInvalid),
}

#[derive(Union)]
pub enum CompleteStepResult {
    Success(CompleteStepSuccess),
    Needed(CapturesNeeded),
    Lost(LeaseLost),
    Invalid(InputInvalid),
}

#[derive(Union)]
pub enum FailStepResult {
    Success(FailStepSuccess),
    Lost(LeaseLost),
    Invalid(InputInvalid),
}

#[derive(Union)]
pub enum ReleaseStepResult {
    Success(ReleaseStepSuccess),
    Lost(LeaseLost),
}

fn lost() -> LeaseLost {
    LeaseLost { code: "LEASE_LOST".to_owned(), message: "gone".to_owned(), path: Vec::new() }
}

fn invalid(message: &str) -> InputInvalid {
    InputInvalid { code: "INPUT_INVALID".to_owned(), message: message.to_owned(), path: Vec::new() }
}

#[derive(InputObject)]
pub struct ClaimStepsInput {
    worker: String,
    capabilities: Vec<String>,
    #[graphql(default = 1)]
    max: i32,
    #[graphql(default)]
    wait_seconds: u32,
    #[graphql(default = 30)]
    lease_seconds: i32,
}

#[derive(InputObject)]
pub struct HeartbeatStepInput {
    token: String,
}

#[derive(InputObject)]
pub struct AppendStepLogsInput {
    token: String,
    first_seq: u64,
    lines: Vec<StepLogLineInput>,
}

#[derive(InputObject)]
pub struct StepLogLineInput {
    text: String,
    #[graphql(default_with = "Stream::Stdout")]
    stream: Stream,
    level: Option<LogLevel>,
}

#[derive(InputObject)]
pub struct CompleteStepInput {
    token: String,
    outputs: Option<Json<Value>>,
    #[graphql(default)]
    artifacts: Vec<StepArtifactInput>,
}

#[derive(InputObject, Clone)]
pub struct StepArtifactInput {
    name: String,
    sha256: Option<String>,
    note: Option<String>,
}

#[derive(InputObject)]
pub struct FailStepInput {
    token: String,
    error: String,
    #[graphql(default = true)]
    retryable: bool,
}

#[derive(InputObject)]
pub struct ReleaseStepInput {
    token: String,
}

pub struct Mutation;

fn mock<'a>(ctx: &Context<'a>) -> &'a Mock {
    ctx.data_unchecked()
}

#[Object]
impl Mutation {
    async fn claim_steps(&self, ctx: &Context<'_>, input: ClaimStepsInput) -> ClaimStepsResult {
        assert!(!input.worker.is_empty());
        assert!(input.wait_seconds <= 30 && input.lease_seconds >= 3);
        mock(ctx).with(|state| {
            state.claims += 1;
            state.largest_claim = state.largest_claim.max(input.max);
        });
        let wait = Duration::from_secs(input.wait_seconds.into());
        let waiting = mock(ctx).until(|state| (!state.queue.is_empty()).then_some(()));
        let _nothing = tokio::time::timeout(wait, waiting).await;
        let leases = mock(ctx).with(|state| {
            let max = usize::try_from(input.max).unwrap() + usize::from(state.is_generous);
            let count = state.queue.len().min(max);
            state.queue.drain(..count).collect::<Vec<_>>()
        });
        assert!(leases.iter().all(|lease| input.capabilities.contains(&lease.uses)));
        ClaimStepsResult::Success(ClaimStepsSuccess { leases })
    }

    async fn heartbeat_step(&self, ctx: &Context<'_>, input: HeartbeatStepInput) -> HeartbeatStepResult {
        mock(ctx).with(|state| {
            state.beats += 1;
            if state.lost.contains(&input.token) {
                return HeartbeatStepResult::Lost(lost());
            }
            HeartbeatStepResult::Success(HeartbeatStepSuccess {
                expires_at: String::new(),
                lease_seconds: 3,
                cancel_requested: state.cancelled.contains(&input.token),
            })
        })
    }

    async fn append_step_logs(&self, ctx: &Context<'_>, input: AppendStepLogsInput) -> AppendStepLogsResult {
        mock(ctx).with(|state| {
            if state.lost.contains(&input.token) {
                return AppendStepLogsResult::Lost(lost());
            }
            if input.lines.len() > 10_000 || input.lines.iter().any(|line| line.text.len() > 16 * 1024) {
                return AppendStepLogsResult::Invalid(invalid("too much"));
            }
            let limit = state.log_limit.unwrap_or(usize::MAX);
            let lines = state.lines.entry(input.token.clone()).or_default();
            let next_seq = lines.len() as u64;
            if input.first_seq != next_seq {
                return AppendStepLogsResult::Sequence(LogOutOfSequence {
                    code: "LOG_OUT_OF_SEQUENCE".to_owned(),
                    message: "not yet".to_owned(),
                    path: Vec::new(),
                    next_seq,
                });
            }
            for line in input.lines {
                let wanted = if line.stream == Stream::Stdout { LogLevel::Info } else { LogLevel::Warn };
                assert_eq!(line.level, Some(wanted));
                lines.push((line.text, line.stream));
            }
            let truncated = lines.len() >= limit;
            AppendStepLogsResult::Success(AppendStepLogsSuccess {
                next_seq: lines.len() as u64,
                cancel_requested: false,
                truncated,
            })
        })
    }

    async fn complete_step(&self, ctx: &Context<'_>, input: CompleteStepInput) -> CompleteStepResult {
        mock(ctx).with(|state| {
            if state.lost.contains(&input.token) {
                return CompleteStepResult::Lost(lost());
            }
            let known: HashSet<&str> = input.artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
            let needed: Vec<_> = state.asks_for.iter().filter(|c| !known.contains(c.name.as_str())).cloned().collect();
            if !needed.is_empty() {
                return CompleteStepResult::Needed(CapturesNeeded { captures: needed });
            }
            let outputs = input.outputs.map_or(Value::Null, |value| value.0);
            let artifacts = input.artifacts.into_iter().map(|a| (a.name, a.sha256, a.note)).collect();
            state.ends.insert(input.token, End::Completed { outputs, artifacts });
            CompleteStepResult::Success(CompleteStepSuccess { ok: true })
        })
    }

    async fn fail_step(&self, ctx: &Context<'_>, input: FailStepInput) -> FailStepResult {
        mock(ctx).with(|state| {
            if state.lost.contains(&input.token) {
                return FailStepResult::Lost(lost());
            }
            state.ends.insert(input.token, End::Failed { error: input.error, retryable: input.retryable });
            FailStepResult::Success(FailStepSuccess { ok: true })
        })
    }

    async fn release_step(&self, ctx: &Context<'_>, input: ReleaseStepInput) -> ReleaseStepResult {
        mock(ctx).with(|state| state.ends.insert(input.token, End::Released));
        ReleaseStepResult::Success(ReleaseStepSuccess { ok: true })
    }
}
