//! Asking the server, each time once: queries, and subscriptions as streams of events.

use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::events::{Event, MAX_EVENT, Parser};
use super::print::safe;
use crate::cli::CommandError;

/// The variable with the token.
const TOKEN: &str = "PACKTRAIL_TOKEN";
/// How long a query may take.
const REQUEST: Duration = Duration::from_secs(30);
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a stream may be silent: two heartbeats of the server, 12 s apart, and some time to travel.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest that a server may hold a command back with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(2);
/// The first wait after a failure; see [`Backoff`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait after a failure that the server does not ask for.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Which server, as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    /// The server.
    #[arg(long, env = "PACKTRAIL_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// A file with the token; otherwise `PACKTRAIL_TOKEN` is it.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The tenant, if the token knows several.
    #[arg(long)]
    pub tenant: Option<String>,
}

impl ServerArgs {
    fn token(&self) -> Result<Option<String>, CommandError> {
        let Some(path) = &self.token_file else { return Ok(std::env::var(TOKEN).ok()) };
        let token = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Some(token.trim().to_owned()))
    }
}

/// Why nothing came, or no more. Messages are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server cannot be reached, or cannot answer now: try again.
    #[error("{message}")]
    Away {
        /// What happened.
        message: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// The server ended the stream because this reader was behind: go on at once.
    #[error("the server ended the stream: its entries were not read fast enough")]
    Slow,
    /// It will not go away.
    #[error("{message}")]
    Refused {
        /// The server's word for it; empty if it has none.
        code: String,
        /// What is wrong.
        message: String,
    },
    /// The output takes no more.
    #[error("standard output takes no more")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// Try again.
    pub fn away(message: impl Into<String>) -> Self {
        Self::Away { message: message.into(), retry_after: None }
    }

    /// It will not go away, and the server has no code for it.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Refused { code: String::new(), message: message.into() }
    }

    fn unreadable(error: &serde_json::Error) -> Self {
        Self::refused(format!("the server's answer cannot be read: {}", safe(&error.to_string())))
    }

    fn broken(what: &str, error: &dyn Error) -> Self {
        // The outer message names only the address; the reason is at the end of the chain.
        let mut cause = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::away(safe(&format!("{what}: {cause}")))
    }

    fn unsent(error: &reqwest::Error) -> Self {
        let what = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        };
        Self::broken(what, error)
    }
}

/// How long to wait before the next try, growing from a quarter of a second, spread so that many
/// readers do not come back at once.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
    random: RandomState,
}

impl Backoff {
    /// How many waits there were.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The wait after one more failure; at least as long as the server asked for.
    pub fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let whole = FIRST_WAIT.saturating_mul(1 << self.tries.min(10)).min(LONGEST_WAIT);
        self.tries = self.tries.saturating_add(1);
        let share = u32::try_from(self.random.hash_one(self.tries) % 1000).unwrap_or_default();
        let spread = whole / 2 + whole / 2000 * share;
        retry_after.map_or(spread, |asked| asked + spread / 2)
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Option<Data<T>>,
    errors: Option<Vec<GraphQlError>>,
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

/// Reads the result of an operation: what its field `answer` holds, which may be null.
///
/// # Errors
/// The operation failed, or its result is not of this type.
pub fn read_result<T: DeserializeOwned>(result: &[u8]) -> Result<Option<T>, Failure> {
    let answer: Answer<T> = serde_json::from_slice(result).map_err(|error| Failure::unreadable(&error))?;
    match answer.errors.into_iter().flatten().next() {
        Some(error) => Err(by_code(error, None, None)),
        None => Ok(answer.data.and_then(|data| data.answer)),
    }
}

/// What an error means; its code says more than the status of the response.
fn by_code(error: GraphQlError, retry_after: Option<Duration>, by_status: Option<Failure>) -> Failure {
    let code = error.extensions.code.unwrap_or_default();
    let told = safe(&error.message);
    let refused = |message: String| Failure::Refused { code: code.clone(), message };
    match code.as_str() {
        "SLOW_CONSUMER" => Failure::Slow,
        "RATE_LIMITED" | "TOO_MANY_SUBSCRIPTIONS" | "OVERLOADED" | "UNAVAILABLE" | "TIMEOUT" | "INTERNAL" => {
            Failure::Away { message: format!("the server answers {code}: {told}"), retry_after }
        }
        "UNAUTHENTICATED" => refused(format!("the server does not know the token ({TOKEN} or --token-file): {told}")),
        "FORBIDDEN" => refused(format!("the token may not do this: {told}")),
        "CURSOR_EXPIRED" => refused(format!("the cursor is older than what the server can go on from: {told}")),
        "" => by_status.unwrap_or_else(|| refused(format!("the server answers: {told}"))),
        _ => match by_status {
            Some(away @ Failure::Away { .. }) => away,
            _ => refused(format!("the server answers {}: {told}", safe(&code))),
        },
    }
}

/// What a status alone says; nothing if it is a good one.
fn by_status(response: &Response) -> Option<Failure> {
    let status = response.status();
    let message = format!("the server answers {status}");
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            Some(Failure::Away { message, retry_after: retry_after(response) })
        }
        StatusCode::UNAUTHORIZED => {
            Some(Failure::refused(format!("{message}: it takes a token ({TOKEN} or --token-file)")))
        }
        status if status.is_server_error() => Some(Failure::Away { message, retry_after: retry_after(response) }),
        status if status.is_success() => None,
        _ => Some(Failure::refused(format!("{message}: is {} right?", response.url()))),
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::unsent(&error))? {
        if body.len() + chunk.len() > MAX_EVENT {
            return Err(Failure::refused("the server's answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The result in a response that is no stream.
async fn read_answer<T: DeserializeOwned>(mut response: Response) -> Result<Option<T>, Failure> {
    let (by_status, retry_after) = (by_status(&response), retry_after(&response));
    let body = match read_body(&mut response).await {
        Ok(body) => body,
        Err(error) => return Err(by_status.unwrap_or(error)),
    };
    let answer: Answer<T> = match serde_json::from_slice(&body) {
        Ok(answer) => answer,
        // A proxy in between answers in its own words.
        Err(error) => return Err(by_status.unwrap_or_else(|| Failure::unreadable(&error))),
    };
    if let Some(error) = answer.errors.into_iter().flatten().next() {
        return Err(by_code(error, retry_after, by_status));
    }
    by_status.map_or_else(|| Ok(answer.data.and_then(|data| data.answer)), Err)
}

/// A connection to a server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Url,
}

impl Client {
    /// Connects nothing yet.
    ///
    /// # Errors
    /// The URL, the token or the tenant cannot be used.
    pub fn new(server: &ServerArgs) -> Result<Self, CommandError> {
        let mut endpoint = Url::parse(&server.url).map_err(|error| format!("--url: {error}"))?;
        if !["http", "https"].contains(&endpoint.scheme()) {
            return Err("--url: must be an http or https URL".into());
        }
        if let Ok(mut path) = endpoint.path_segments_mut() {
            path.pop_if_empty().push("graphql");
        }
        let headers = headers(server.token()?.as_deref(), server.tenant.as_deref())?;
        // A redirect could carry the token to another host.
        let builder = reqwest::Client::builder().default_headers(headers).redirect(reqwest::redirect::Policy::none());
        Ok(Self { http: builder.connect_timeout(CONNECT).build()?, endpoint })
    }

    /// Asks a query whose one field is called `answer`.
    ///
    /// # Errors
    /// As the server says, or because it says nothing.
    pub async fn ask<T: DeserializeOwned>(&self, document: &str, variables: &Variables) -> Result<Option<T>, Failure> {
        let body = json!({"query": document, "variables": variables});
        let request = self.http.post(self.endpoint.clone()).json(&body).timeout(REQUEST);
        read_answer(request.send().await.map_err(|error| Failure::unsent(&error))?).await
    }

    /// Begins a subscription.
    ///
    /// # Errors
    /// As the server says, or because it says nothing.
    pub async fn subscribe(&self, document: &str, variables: &Variables) -> Result<Events<Chunks>, Failure> {
        let body = json!({"query": document, "variables": variables});
        let request = self.http.post(self.endpoint.clone()).header(ACCEPT, "text/event-stream").json(&body);
        let response = tokio::time::timeout(SILENCE, request.send()).await.map_err(|_| silent())?;
        let response = response.map_err(|error| Failure::unsent(&error))?;
        if response.status().is_success() && is_event_stream(&response) {
            return Ok(Events::new(response.bytes_stream().boxed()));
        }
        let answer = tokio::time::timeout(REQUEST, read_answer::<Value>(response)).await.map_err(|_| silent())?;
        answer.and_then(|_| Err(Failure::refused("the server does not answer with a stream of events")))
    }
}

/// The variables of an operation.
pub type Variables = Map<String, Value>;

fn headers(token: Option<&str>, tenant: Option<&str>) -> Result<HeaderMap, CommandError> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| "the token has characters that no header carries")?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(tenant) = tenant {
        let value = HeaderValue::from_str(tenant).map_err(|_| "--tenant: not a header value")?;
        headers.insert("x-stellaops-tenant", value);
    }
    Ok(headers)
}

fn is_event_stream(response: &Response) -> bool {
    let media = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn silent() -> Failure {
    Failure::away(format!("the server was silent for {} s", SILENCE.as_secs()))
}

/// The body of a response as it comes.
pub type Chunks = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// The events of a subscription.
pub struct Events<S> {
    chunks: S,
    chunk: Bytes,
    parser: Parser,
}

impl<S, E> Events<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Error + 'static,
{
    /// In a body from its beginning.
    pub fn new(chunks: S) -> Self {
        Self { chunks, chunk: Bytes::new(), parser: Parser::default() }
    }

    /// The next event; none when the body ended, which says nothing about the subscription.
    ///
    /// # Errors
    /// The connection broke or is silent, not even with heartbeats; or an event is too long.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.parse()? {
                return Ok(Some(event));
            }
            match tokio::time::timeout(SILENCE, self.chunks.next()).await {
                Ok(Some(Ok(chunk))) => self.chunk = chunk,
                Ok(Some(Err(error))) => return Err(Failure::broken("the connection broke", &error)),
                Ok(None) => return Ok(None),
                Err(_) => return Err(silent()),
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Event>, Failure> {
        let mut rest = &self.chunk[..];
        let event = self.parser.next(&mut rest);
        let used = self.chunk.len() - rest.len();
        self.chunk.advance(used);
        event.map_err(|error| Failure::refused(format!("the server cannot be understood: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_never_beyond() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next(None)).collect();
        assert!(waits[0] <= FIRST_WAIT && waits[0] >= FIRST_WAIT / 2);
        assert!(waits.iter().all(|wait| *wait <= LONGEST_WAIT));
        assert!(waits[20..].iter().all(|wait| *wait >= LONGEST_WAIT / 2));
    }

    #[test]
    fn a_wait_that_the_server_asks_for_is_kept() {
        let asked = Duration::from_mins(1);
        assert!(Backoff::default().next(Some(asked)) >= asked);
    }

    fn told(code: &str) -> Failure {
        let result = json!({"data": null, "errors": [{"message": "no\x1b", "extensions": {"code": code}}]});
        read_result::<Value>(result.to_string().as_bytes()).unwrap_err()
    }

    #[test]
    fn codes_tell_what_can_be_tried_again() {
        for code in ["RATE_LIMITED", "OVERLOADED", "UNAVAILABLE", "TIMEOUT", "INTERNAL", "TOO_MANY_SUBSCRIPTIONS"] {
            assert!(matches!(told(code), Failure::Away { .. }), "{code}");
        }
        assert!(matches!(told("SLOW_CONSUMER"), Failure::Slow));
        for code in ["UNAUTHENTICATED", "FORBIDDEN", "BAD_USER_INPUT", "CURSOR_EXPIRED", "NOT_FOUND", "NEW_\x1b", ""] {
            let Failure::Refused { code: kept, message } = told(code) else { panic!("{code} is tried again") };
            assert_eq!(kept, code);
            assert!(!message.contains('\x1b'), "{message:?}");
        }
    }

    #[test]
    fn an_unknown_code_does_not_turn_a_passing_failure_into_a_lasting_one() {
        let error = || GraphQlError { message: String::new(), extensions: Extensions { code: Some("X".to_owned()) } };
        assert!(matches!(by_code(error(), None, Some(Failure::away("503"))), Failure::Away { .. }));
        assert!(matches!(by_code(error(), None, Some(Failure::refused("400"))), Failure::Refused { .. }));
    }

    /// Each piece after this many seconds without any.
    fn pieces(
        pieces: Vec<(u64, &'static str)>,
    ) -> Events<impl Stream<Item = Result<Bytes, Infallible>> + Unpin + use<>> {
        let chunks = stream::iter(pieces).then(|(seconds, text)| async move {
            sleep(Duration::from_secs(seconds)).await;
            Ok(Bytes::from_static(text.as_bytes()))
        });
        Events::new(chunks.boxed())
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_keep_a_silent_stream_alive() {
        let mut beats = vec![(12, ":\n\n"); 100];
        beats.extend([(29, "da"), (29, "ta: 1"), (29, "\n\n")]);
        let event = pieces(beats).next().await.unwrap().unwrap();
        assert_eq!(event.data, b"1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_heartbeats_is_given_up() {
        let begun = Instant::now();
        let failure = pieces(vec![(12, ":\n\n"), (31, "data: 1\n\n")]).next().await.unwrap_err();
        assert!(matches!(failure, Failure::Away { .. }), "{failure}");
        assert_eq!(begun.elapsed(), Duration::from_secs(12) + SILENCE);
    }

    #[tokio::test]
    async fn the_end_of_the_body_is_no_event() {
        let mut events = pieces(vec![(0, "data: 1\n\ndata: 2\n\ndata: 3")]);
        assert_eq!(events.next().await.unwrap().unwrap().data, b"1");
        assert_eq!(events.next().await.unwrap().unwrap().data, b"2");
        assert!(events.next().await.unwrap().is_none());
    }

    fn server(url: &str) -> ServerArgs {
        ServerArgs { url: url.to_owned(), token_file: None, tenant: None }
    }

    #[test]
    fn urls_keep_the_path_of_the_server() {
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        for (url, endpoint) in [
            ("http://localhost:1", "http://localhost:1/graphql"),
            ("http://localhost:1/base/", "http://localhost:1/base/graphql"),
        ] {
            assert_eq!(Client::new(&server(url)).unwrap().endpoint.as_str(), endpoint);
        }
        assert!(Client::new(&server("ftp://localhost")).is_err());
        assert!(Client::new(&server("localhost")).is_err());
    }

    #[test]
    fn a_token_that_no_header_carries_is_refused() {
        assert!(headers(Some("a\nb"), None).is_err());
        assert!(headers(None, Some("a\nb")).is_err());
    }
}
