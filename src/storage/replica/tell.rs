//! Telling the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::ReplicaError;
use super::gather::Gather;
use super::link::{Duty, Link, Stop};
use super::wake::{Origin, encode};

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
        let told = self.outbox.take();
        let payloads = encode(self.origin, told.iter().copied());
        if payloads.is_empty() {
            return Ok(());
        }
        let sent = link.notify(&self.channel, &payloads).await;
        if sent.is_err() {
            self.outbox.add(told);
        } else {
            let payloads = u64::try_from(payloads.len()).unwrap_or(u64::MAX);
            metrics::counter!("packtrail_replica_notifications_total").increment(payloads);
        }
        sent
    }
}
