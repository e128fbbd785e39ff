//! Claiming steps, one request at a time, and ending well.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::WorkerError;
use super::attempt::{self, Shared};
use super::client::{Backoff, CallError};
use super::protocol::{Claim, StepLease};

/// How long the server may wait for a step before it answers that there is none.
const WAIT_SECONDS: u32 = 20;
/// The same for a worker that ends when there is none: steps that just became ready are seen.
const WAIT_ONCE_SECONDS: u32 = 1;
/// The longest wait between claims while the server is away.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long an unanswered claim is waited for when the worker stops: what it grants would be lost
/// until its lease ends.
const LINGER: Duration = Duration::from_secs(2);
/// How long a worker waits between claims that the server answers at once, with nothing.
const PAUSE: Duration = Duration::from_secs(1);
/// How often giving a lease back is tried.
const RELEASE_TRIES: u32 = 3;

/// Claims and runs steps until the worker is to stop, and then ends what runs.
pub async fn serve(shared: Arc<Shared>, name: String) -> Result<(), WorkerError> {
    let mut claims = Claims { shared, name, running: JoinSet::new(), giving_back: JoinSet::new(), outage: None };
    let served = claims.claim_all().await;
    claims.drain().await;
    match claims.shared.ending.denied() {
        Some(message) => Err(WorkerError::Denied(message.to_owned())),
        None => served,
    }
}

struct Claims {
    shared: Arc<Shared>,
    name: String,
    running: JoinSet<()>,
    /// Leases that were granted but are not begun.
    giving_back: JoinSet<()>,
    outage: Option<Outage>,
}

/// A time without the server.
struct Outage {
    since: Instant,
    tries: u32,
    backoff: Backoff,
}

impl Claims {
    async fn claim_all(&mut self) -> Result<(), WorkerError> {
        while self.free_place().await {
            let asked = Instant::now();
            let Some(answer) = self.claim().await else { return Ok(()) };
            match answer {
                Ok(leases) => {
                    self.is_back();
                    let is_none = leases.is_empty();
                    self.begin(leases, asked);
                    if is_none && !self.go_on(asked).await {
                        return Ok(());
                    }
                }
                Err(error @ CallError::Away { .. }) => {
                    let wait = self.is_away(&error);
                    self.pause(wait).await;
                }
                Err(error @ CallError::Denied(_)) => self.shared.ending.deny(error.to_string()),
                Err(error @ CallError::Misunderstood(_)) => {
                    return Err(WorkerError::Misunderstood(error.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Waits for a free place; false when the worker is to stop.
    async fn free_place(&mut self) -> bool {
        let places = self.shared.config.parallel as usize;
        while self.running.len() >= places && !self.shared.ending.stop.is_cancelled() {
            tokio::select! {
                () = self.shared.ending.stop.cancelled() => (),
                Some(done) = self.running.join_next() => note(done),
            }
        }
        !self.shared.ending.stop.is_cancelled()
    }

    /// One request; none if the worker stopped before it was answered.
    async fn claim(&mut self) -> Option<Result<Vec<StepLease>, CallError>> {
        let config = &self.shared.config;
        let wait = if config.once { WAIT_ONCE_SECONDS } else { WAIT_SECONDS };
        let claim = Claim {
            worker: self.name.clone(),
            capabilities: config.capabilities(),
            max: (config.parallel as usize).saturating_sub(self.running.len()),
            // The lease is counted from before the request, so a third of it has to be left.
            wait_seconds: wait.min(config.lease_seconds * 2 / 3),
            lease_seconds: config.lease_seconds,
        };
        let mut asking = std::pin::pin!(self.shared.client.claim(&claim));
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return Some(answer),
                () = self.shared.ending.stop.cancelled() => return timeout(LINGER, asking).await.ok(),
                Some(done) = self.running.join_next() => note(done),
            }
        }
    }

    fn begin(&mut self, leases: Vec<StepLease>, asked: Instant) {
        let places = self.shared.config.parallel as usize;
        for lease in leases {
            if self.running.len() < places && !self.shared.ending.stop.is_cancelled() {
                self.running.spawn(attempt::run(Arc::clone(&self.shared), lease, asked));
            } else {
                self.giving_back.spawn(release(Arc::clone(&self.shared), lease));
            }
        }
    }

    /// What to do when there was nothing to claim: false to end.
    async fn go_on(&mut self, asked: Instant) -> bool {
        if self.shared.config.once {
            // A step that ends may make the next one ready.
            let done = self.running.join_next().await;
            return done.map(note).is_some();
        }
        if asked.elapsed() < PAUSE {
            self.pause(PAUSE).await;
        }
        true
    }

    async fn pause(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                () = self.shared.ending.stop.cancelled() => return,
                Some(done) = self.running.join_next() => note(done),
            }
        }
    }

    /// The server cannot be reached: how long to wait.
    fn is_away(&mut self, error: &CallError) -> Duration {
        if self.outage.is_none() {
            tracing::warn!(%error, "the server is away; trying until it is back");
        }
        let outage = self.outage.get_or_insert_with(|| Outage {
            since: Instant::now(),
            tries: 0,
            backoff: Backoff::new(LONGEST_WAIT),
        });
        outage.tries += 1;
        outage.backoff.next(error)
    }

    fn is_back(&mut self) {
        if let Some(outage) = self.outage.take() {
            tracing::info!(tries = outage.tries, seconds = outage.since.elapsed().as_secs(), "the server is back");
        }
    }

    /// Waits for what runs, but not for ever, and for what is being given back.
    async fn drain(&mut self) {
        if timeout(self.shared.config.grace(), finish(&mut self.running)).await.is_err() {
            tracing::warn!(steps = self.running.len(), "killing steps that did not end in time");
            self.shared.ending.kill.cancel();
            finish(&mut self.running).await;
        }
        finish(&mut self.giving_back).await;
    }
}

async fn finish(tasks: &mut JoinSet<()>) {
    while let Some(done) = tasks.join_next().await {
        note(done);
    }
}

fn note(done: Result<(), JoinError>) {
    if let Err(error) = done {
        tracing::error!(%error, "an attempt broke off");
    }
}

async fn release(shared: Arc<Shared>, lease: StepLease) {
    let mut backoff = Backoff::new(PAUSE);
    for _ in 0..RELEASE_TRIES {
        match shared.client.release(&lease.token).await {
            Ok(_) => break,
            Err(error) => sleep(backoff.next(&error).min(PAUSE)).await,
        }
    }
    tracing::info!(run = lease.run_id, step = lease.step_id, attempt = lease.attempt, "step given back");
}
