//! Telling the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::ReplicaError;
use super::gather::Gather;
use super::link::{Duty, Link, Stop};
use super::wake::{Heard, Origin, encode};

/// Sends what was gathered: at once when it was idle, and never two times within `pause`.
pub(super) struct Teller {
    pub(super) outbox: Arc<Gather>,
    pub(super) origin: Origin,
    pub(super) channel: String,
    pub(super) pause: Duration,
    pub(super) pulse: Duration,
}

impl Duty for Teller {
    const ROLE: &'static str = "teller";

    async fn serve(&mut self, link: &mut Link, stop: &mut Stop) -> Result<(), ReplicaError> {
        let mut pulse = interval(self.pulse);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Instant::now();
        // What an earlier link was told of and could not send any more.
        self.send(link).await?;
        loop {
            tokio::select! {
                () = self.outbox.added() => {}
                _ = pulse.tick() => {
                    link.ping().await?;
                    continue;
                }
                error = link.lost() => return Err(error),
                () = stop.told() => return self.send(link).await,
            }
            sleep_until(next).await;
            next = Instant::now() + self.pause;
            self.send(link).await?;
        }
    }
}

impl Teller {
    /// Sends all that is gathered. What could not be sent, or may not have been, is gathered again:
    /// to hear it twice does no harm.
    async fn send(&self, link: &mut Link) -> Result<(), ReplicaError> {
        let mut taken = Taken { told: self.outbox.take(), outbox: &self.outbox };
        let payloads = encode(self.origin, taken.told.iter().copied());
        if payloads.is_empty() {
            return Ok(());
        }
        link.notify(&self.channel, &payloads).await?;
        taken.told.clear();
        let payloads = u64::try_from(payloads.len()).unwrap_or(u64::MAX);
        metrics::counter!("packtrail_replica_notifications_total").increment(payloads);
        Ok(())
    }
}

/// What is being sent. It is gathered again unless it was sent, also where the sending is given up in the middle.
struct Taken<'a> {
    told: Vec<Heard>,
    outbox: &'a Gather,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let told = std::mem::take(&mut self.told);
        if !told.is_empty() {
            self.outbox.add(told);
        }
    }
}
