//! Stopping without losing work: first softly, then hard.
//!
//! The first signal makes the server unready and ends its accepting; what is in flight may finish
//! within a deadline. A second signal, or the deadline, aborts.

use std::future::Future;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::watch;

/// How long work in flight may take after the first signal: platforms kill after 30 s, and closing
/// the database needs some of them.
pub const DRAIN: Duration = Duration::from_secs(25);

/// How far stopping has come; only ever moves down the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Running,
    /// Unready, accepting nothing new, finishing what is in flight.
    Draining,
    /// Dropping what is in flight.
    Aborting,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained<T> {
    /// The work ended by itself, with this.
    Finished(T),
    /// The deadline passed first.
    TimedOut,
    /// A second signal came first.
    Aborted,
}

/// A handle to the process's stopping; clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: watch::Sender<Phase>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// Running.
    #[must_use]
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Running) }
    }

    /// How far stopping has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether new work is welcome; `/readyz` is 503 from the moment it is not.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Running
    }

    /// Starts draining. Whoever waits on [`Shutdown::draining`] wakes after
    /// [`Shutdown::is_ready`] has turned false.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Gives up on what is in flight.
    pub fn abort(&self) {
        self.advance(Phase::Aborting);
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = to > *phase;
            if later {
                *phase = to;
            }
            later
        });
    }

    /// Waits until draining starts: the signal that `axum::serve(…).with_graceful_shutdown` takes.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Phase::Draining)
    }

    /// Waits until aborting starts.
    pub fn aborting(&self) -> impl Future<Output = ()> + Send + use<> {
        self.reached(Phase::Aborting)
    }

    fn reached(&self, phase: Phase) -> impl Future<Output = ()> + Send + use<> {
        // The sender lives in the future too, so the channel cannot close under it.
        let sender = self.phase.clone();
        async move {
            let mut receiver = sender.subscribe();
            let _ = receiver.wait_for(|now| *now >= phase).await;
        }
    }

    /// Runs `work`, such as a server that stops by itself once draining starts, and drops it
    /// `deadline` after that start, or at once when aborted.
    pub async fn run<T>(&self, work: impl Future<Output = T>, deadline: Duration) -> Drained<T> {
        let too_late = async {
            self.draining().await;
            tokio::time::sleep(deadline).await;
        };
        tokio::select! {
            biased;
            value = work => Drained::Finished(value),
            () = self.aborting() => Drained::Aborted,
            () = too_late => Drained::TimedOut,
        }
    }

    /// Turns the first of `signals` into [`Shutdown::drain`], the second into [`Shutdown::abort`].
    pub async fn follow(&self, signals: impl Stream<Item = ()>) {
        let mut signals = std::pin::pin!(signals);
        if signals.next().await.is_some() {
            tracing::info!("stopping: finishing what is in flight; a second signal aborts");
            self.drain();
        }
        if signals.next().await.is_some() {
            tracing::warn!("second signal: aborting");
            self.abort();
        }
    }
}

/// The SIGTERM and SIGINT this process receives from now on.
///
/// # Errors
/// The operating system refused the handlers.
pub fn signals() -> std::io::Result<impl Stream<Item = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let pair = (terminate, interrupt);
    Ok(futures_util::stream::unfold(pair, async |mut pair| {
        tokio::select! {
            _ = pair.0.recv() => (),
            _ = pair.1.recv() => (),
        }
        Some(((), pair))
    }))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;
    use futures_util::stream;

    use super::*;

    /// Long enough that no test reaches it.
    const NEVER: Duration = Duration::from_hours(1);

    #[test]
    fn a_phase_is_never_left_backwards() {
        let shutdown = Shutdown::new();
        assert!(shutdown.is_ready());
        shutdown.abort();
        shutdown.drain();
        assert_eq!(shutdown.phase(), Phase::Aborting);
        assert!(!shutdown.is_ready());
    }

    #[tokio::test]
    async fn draining_wakes_waiters_after_readiness_is_gone() {
        let shutdown = Shutdown::new();
        let seen = shutdown.clone();
        let waiter = tokio::spawn(async move {
            seen.draining().await;
            seen.is_ready()
        });
        shutdown.drain();
        assert!(!waiter.await.unwrap());
    }

    #[tokio::test]
    async fn whoever_asks_late_does_not_wait() {
        let shutdown = Shutdown::new();
        assert!(shutdown.draining().now_or_never().is_none());
        shutdown.abort();
        assert!(shutdown.draining().now_or_never().is_some());
        assert!(shutdown.aborting().now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_aborts() {
        let one = Shutdown::new();
        one.follow(stream::iter([()])).await;
        assert_eq!(one.phase(), Phase::Draining);

        let two = Shutdown::new();
        two.follow(stream::iter([(), ()])).await;
        assert_eq!(two.phase(), Phase::Aborting);
    }

    #[tokio::test]
    async fn work_that_heeds_the_drain_finishes() {
        let shutdown = Shutdown::new();
        let work = shutdown.draining().map(|()| 7);
        shutdown.drain();
        assert_eq!(shutdown.run(work, NEVER).await, Drained::Finished(7));
        assert_eq!(shutdown.run(ready(8), Duration::ZERO).await, Drained::Finished(8));
    }

    #[tokio::test]
    async fn work_that_does_not_is_dropped_at_the_deadline() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        let ended = shutdown.run(pending::<()>(), Duration::ZERO).await;
        assert_eq!(ended, Drained::TimedOut);
    }

    #[tokio::test]
    async fn the_deadline_does_not_run_before_the_drain() {
        let shutdown = Shutdown::new();
        let run = shutdown.run(pending::<()>(), Duration::ZERO);
        assert!(run.now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_second_signal_ends_the_wait() {
        let shutdown = Shutdown::new();
        shutdown.follow(stream::iter([(), ()])).await;
        let ended = shutdown.run(pending::<()>(), NEVER).await;
        assert_eq!(ended, Drained::Aborted);
    }
}
