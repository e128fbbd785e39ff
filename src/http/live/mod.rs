//! GraphQL subscriptions over WebSocket (`graphql-transport-ws`) and server-sent events
//! (`graphql-sse`, distinct connections).
//!
//! Both only carry events: what an operation is, who may ask for it and what its events say is
//! known to a [`Subscriptions`]. Events are pulled, never queued: a stream is asked for its next
//! event only when the peer has taken what was written before, so a slow peer costs one write
//! buffer and is cut off when it takes nothing for [`LiveLimits::flush_timeout`].

mod group;
mod operation;
mod places;
mod product;
mod protocol;
mod socket;
pub mod sse;
mod stalling;
mod upgrade;
mod wakeup;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use axum::http::HeaderValue;
use axum::http::request::Parts;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::places::{Full, Place, Places};
pub use self::product::{Transports, divert};
pub use self::protocol::{ClientMessage, Close, parse};
pub use self::socket::Connection;
pub use self::stalling::{Stalling, StallingIo};
pub use self::upgrade::routes;

/// What the transports carry.
pub trait Subscriptions: Clone + Send + Sync + 'static {
    /// Who calls, as [`Subscriptions::begin`] wants to know it.
    type Caller: Send + Sync + 'static;

    /// Who is calling. Asked at the upgrade, with its headers alone: what they tell is final, unless
    /// they are [`Denied::Missing`] something. Then asked again with the payload of
    /// `connection_init`, which is empty if the client sent none.
    fn admit(
        &self,
        parts: &Parts,
        init: Option<&Map<String, Value>>,
    ) -> impl Future<Output = Result<Admitted<Self::Caller>, Denied>> + Send;

    /// Begins an operation. `payload` is a JSON object, `{query, operationName, variables, extensions}`
    /// if the client keeps to the protocol. The future is dropped when the client completes the
    /// operation first. It runs on even while the peer is slow, its stream does not: what holds
    /// scarce things, such as a connection of the database, belongs here.
    fn begin(&self, caller: &Arc<Self::Caller>, payload: Box<RawValue>) -> impl Future<Output = Begun> + Send;
}

/// A caller who may subscribe.
pub struct Admitted<C> {
    /// Who calls.
    pub caller: Arc<C>,
    /// Whom the connection counts for.
    pub principal: Arc<str>,
    /// When what the caller showed ceases to be valid.
    pub expires: Option<Instant>,
}

/// Why somebody may not subscribe. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Something is missing that `connection_init` can still bring: 4401 if it does not.
    Missing(String),
    /// Nobody we know: 401, or 4401.
    Unauthenticated(String),
    /// Known, and not allowed: 403, or 4403.
    Forbidden(String),
    /// The request makes no sense, such as a choice of tenant that was not made: 400, or 4400.
    Invalid(String),
    /// Nobody can tell now: 503, or 1013, after which clients try again.
    Unavailable(String),
}

/// How an operation began.
pub enum Begun {
    /// Not at all. A JSON array of GraphQL errors.
    Refused(Utf8Bytes),
    /// With events to come. A query or a mutation is a stream of one. The end of the stream
    /// completes the operation.
    Events(BoxStream<'static, Event>),
}

/// What an operation tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The JSON of an `ExecutionResult` without raw newlines, as `serde_json` writes it. Text that
    /// many subscribers share is cheap to clone.
    Next(Utf8Bytes),
    /// The last event: a JSON array of GraphQL errors.
    Error(Utf8Bytes),
}

/// The limits of the transports. Every one is inclusive.
#[derive(Clone, Debug)]
pub struct LiveLimits {
    /// WebSocket connections, of all principals: each costs some 10 KB and a file descriptor.
    pub connections: usize,
    /// WebSocket connections of one principal: one client alone must not fill the server.
    pub connections_each: usize,
    /// Time until `connection_init`: who never says who they are must not hold a connection.
    pub init_timeout: Duration,
    /// Bytes of one message of a client; an operation's document and variables fit well.
    pub message_bytes: usize,
    /// Bytes of one event; the write buffer must have room for one.
    pub event_bytes: usize,
    /// Live operations of one connection.
    pub subscriptions: usize,
    /// Time between our pings, which keep proxies and their timers content.
    pub ping_every: Duration,
    /// Time without any sign of the peer after which it is taken for dead: two pings.
    pub dead_after: Duration,
    /// Time the peer may take nothing of what was written.
    pub flush_timeout: Duration,
    /// Time for saying goodbye.
    pub farewell: Duration,
    /// Time between comments in an event stream.
    pub heartbeat: Duration,
}

impl Default for LiveLimits {
    fn default() -> Self {
        Self {
            connections: 2_000,
            connections_each: 10,
            init_timeout: Duration::from_secs(5),
            message_bytes: 64 * 1024,
            event_bytes: 8 * 1024 * 1024,
            subscriptions: 20,
            ping_every: Duration::from_secs(20),
            dead_after: Duration::from_secs(40),
            flush_timeout: Duration::from_secs(10),
            farewell: Duration::from_secs(1),
            heartbeat: Duration::from_secs(12),
        }
    }
}

/// Tells connections that the server is stopping; clones share it.
#[derive(Clone, Debug)]
pub struct Draining(watch::Receiver<bool>);

impl Draining {
    /// Draining from the moment `signal` completes. Must be called within a runtime.
    #[must_use]
    pub fn when(signal: impl Future<Output = ()> + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            signal.await;
            sender.send_replace(true);
            // Late subscribers still read the value; none waits on a closed channel for ever.
        });
        Self(receiver)
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when it begins.
    #[must_use]
    pub fn begun(&self) -> BoxFuture<'static, ()> {
        let mut receiver = self.0.clone();
        async move {
            if receiver.wait_for(|begun| *begun).await.is_err() {
                // The runtime is going away, and this with it.
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

/// Everything the transports need.
pub struct Live<S> {
    /// What they carry.
    pub subscriptions: S,
    /// Their limits.
    pub limits: LiveLimits,
    /// The connections there are.
    pub places: Arc<Places>,
    /// Origins, such as `https://app.example.com`, whose pages may connect besides our own.
    pub origins: Vec<HeaderValue>,
    /// Whether the server is stopping.
    pub draining: Draining,
}

impl<S: Subscriptions> Live<S> {
    /// Transports for pages of our own origin alone.
    #[must_use]
    pub fn new(subscriptions: S, limits: LiveLimits, draining: Draining) -> Self {
        let places = Places::new(limits.connections, limits.connections_each);
        Self { subscriptions, limits, places, origins: Vec::new(), draining }
    }
}

/// The JSON array of one GraphQL error.
#[must_use]
pub fn errors(code: &str, message: &str) -> String {
    serde_json::json!([{ "message": message, "extensions": { "code": code } }]).to_string()
}
