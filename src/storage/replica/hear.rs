//! Hearing the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::ReplicaError;
use super::gather::Gather;
use super::link::{Duty, Link, Stop};
use super::wake::{Heard, Origin, decode};

/// What this server hears of the others. Dropped and unread it stays within its bound.
#[derive(Debug)]
pub struct Hearing {
    inbox: Arc<Gather>,
    batch: std::vec::IntoIter<Heard>,
}

impl Hearing {
    pub(super) fn new(inbox: Arc<Gather>) -> Self {
        Self { inbox, batch: Vec::new().into_iter() }
    }

    /// Waits for the next thing; `None` after the replica was stopped or dropped. The order of wakes for different
    /// places is lost, and of several for one place only the highest arrives. May be dropped at any time without
    /// losing anything.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.batch.next() {
                return Some(heard);
            }
            let closed = self.inbox.is_closed();
            self.batch = self.inbox.take().into_iter();
            if self.batch.len() == 0 {
                if closed {
                    return None;
                }
                self.inbox.added().await;
            }
        }
    }
}

/// Listens, and says `Everything` whenever it begins to.
pub(super) struct Listener {
    pub(super) inbox: Arc<Gather>,
    pub(super) origin: Origin,
    pub(super) channel: String,
    pub(super) pulse: Duration,
}

impl Duty for Listener {
    const ROLE: &'static str = "listener";

    async fn serve(&mut self, link: &mut Link, stop: &mut Stop) -> Result<(), ReplicaError> {
        link.listen(&self.channel).await?;
        // What was committed before the LISTEN was is seen by whoever looks from now on, and what is
        // told after it is heard: nothing falls in between.
        self.hear([Heard::Everything]);
        let mut pulse = interval(self.pulse);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                notification = link.notification() => self.hear(decode(self.origin, notification?.payload())),
                // Also while notifications come: Postgres ends sessions that ask nothing.
                _ = pulse.tick() => link.ping().await?,
                () = stop.told() => return Ok(()),
            }
        }
    }
}

impl Listener {
    fn hear(&self, heard: impl IntoIterator<Item = Heard>) {
        self.inbox.add(heard.into_iter().inspect(|heard| {
            let what = if *heard == Heard::Everything { "everything" } else { "wake" };
            metrics::counter!("packtrail_replica_heard_total", "what" => what).increment(1);
        }));
    }
}
