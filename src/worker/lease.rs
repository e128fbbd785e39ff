//! The life of a lease: renewed while its step runs, given up when it is not this worker's any more.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{Backoff, CallError, Client};
use super::protocol::Beat;

/// The longest wait between tries of a report: leases are short.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long reports may take after running steps were killed because the worker stops.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What ends all work of a worker.
#[derive(Debug, Default)]
pub struct Ending {
    /// No more steps are claimed.
    pub stop: CancellationToken,
    /// Running steps are killed.
    pub kill: CancellationToken,
    denied: OnceLock<String>,
}

impl Ending {
    /// The server refuses this worker: nothing that it does can be reported.
    pub fn deny(&self, message: String) {
        // The first refusal is the reason.
        let _known = self.denied.set(message);
        self.stop.cancel();
        self.kill.cancel();
    }

    /// Why the server refuses this worker, if it does.
    pub fn denied(&self) -> Option<&str> {
        self.denied.get().map(String::as_str)
    }
}

/// Why a lease was given up. Nothing is reported then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server says that it is another's, or nobody's.
    Lost,
    /// The step is to end.
    Cancelled,
    /// It could not be renewed in time.
    Expired,
}

impl Reason {
    /// For the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lease-lost",
            Self::Cancelled => "cancelled",
            Self::Expired => "lease-expired",
        }
    }
}

/// Why something could not be told to the server.
#[derive(Debug)]
pub enum Undone {
    /// The lease is over, or the worker is.
    Late,
    /// The server does not take it.
    Refused(String),
}

/// A lease that this worker holds, or held.
pub struct Held {
    client: Client,
    token: String,
    ending: Arc<Ending>,
    halt: CancellationToken,
    reason: watch::Sender<Option<Reason>>,
}

impl Held {
    /// Just granted.
    pub fn new(client: Client, token: String, ending: Arc<Ending>) -> Self {
        let halt = ending.kill.child_token();
        Self { client, token, ending, halt, reason: watch::Sender::new(None) }
    }

    /// The connection to the server.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What proves the lease.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Cancelled when the step has to end at once, for whatever reason.
    pub fn halt(&self) -> &CancellationToken {
        &self.halt
    }

    /// Why it was given up, if it was.
    pub fn reason(&self) -> Option<Reason> {
        *self.reason.borrow()
    }

    /// Ends the step. The first reason stays.
    pub fn give_up(&self, reason: Reason) {
        self.reason.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert(reason);
            is_first
        });
        self.halt.cancel();
    }

    /// Waits until nothing can be told to the server about this attempt any more.
    pub async fn too_late(&self) {
        let mut reason = self.reason.subscribe();
        let last_words = async {
            self.ending.kill.cancelled().await;
            if self.ending.denied().is_none() {
                tokio::time::sleep(LAST_WORDS).await;
            }
        };
        tokio::select! {
            _ = reason.wait_for(Option::is_some) => (),
            () = last_words => (),
        }
    }

    /// Asks again and again while the server is away.
    ///
    /// # Errors
    /// It is too late, or the server does not take it.
    pub async fn insist<T, F>(&self, call: impl Fn() -> F) -> Result<T, Undone>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let asking = async {
            let mut backoff = Backoff::new(LONGEST_WAIT);
            loop {
                match call().await {
                    Ok(answer) => return Ok(answer),
                    Err(error @ CallError::Away { .. }) => tokio::time::sleep(backoff.next(&error)).await,
                    Err(CallError::Misunderstood(message)) => return Err(Undone::Refused(message)),
                    Err(error @ CallError::Denied(_)) => {
                        self.ending.deny(error.to_string());
                        return Err(Undone::Late);
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = self.too_late() => Err(Undone::Late),
            answer = asking => answer,
        }
    }

    /// Renews the lease, which was asked for at `asked`, until it is given up.
    pub async fn renew(&self, asked: Instant, lease_seconds: u32) {
        let mut clock = LeaseClock::new(asked, lease_seconds);
        loop {
            let beating = async {
                tokio::time::sleep_until(clock.next).await;
                let asked = Instant::now();
                (asked, self.client.heartbeat(&self.token, clock.period()).await)
            };
            let answer = tokio::select! {
                biased;
                () = self.halted_by_loss() => return,
                answer = beating => answer,
                () = tokio::time::sleep_until(clock.end) => return self.give_up(Reason::Expired),
            };
            match answer {
                (asked, Ok(Beat::Renewed { lease_seconds, cancel: false })) => {
                    clock = LeaseClock::new(asked, lease_seconds);
                }
                (_, Ok(Beat::Renewed { cancel: true, .. })) => return self.give_up(Reason::Cancelled),
                (_, Ok(Beat::Lost)) => return self.give_up(Reason::Lost),
                (_, Err(CallError::Denied(message))) => {
                    self.ending.deny(CallError::Denied(message).to_string());
                    return;
                }
                (_, Err(error)) => clock.missed(&error),
            }
        }
    }

    async fn halted_by_loss(&self) {
        let mut reason = self.reason.subscribe();
        let _ = reason.wait_for(Option::is_some).await;
    }
}

/// When a lease is renewed and when it ends, on the monotonic clock.
struct LeaseClock {
    whole: Duration,
    next: Instant,
    end: Instant,
    backoff: Backoff,
}

impl LeaseClock {
    /// Counted from before the request, since nobody knows when in between the server granted it.
    fn new(asked: Instant, lease_seconds: u32) -> Self {
        let whole = Duration::from_secs(lease_seconds.into());
        let backoff = Backoff::new(whole / 6);
        Self { whole, next: asked + whole / 3, end: asked + whole, backoff }
    }

    fn period(&self) -> Duration {
        self.whole / 3
    }

    /// Tries again sooner than it would have been renewed.
    fn missed(&mut self, error: &CallError) {
        self.next = Instant::now() + self.backoff.next(error);
    }
}
