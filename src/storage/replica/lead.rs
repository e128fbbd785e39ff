//! Which of the servers does the work that one must do for all.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::ReplicaError;
use super::link::{Duty, Link, Stop};

/// Whether this server is the leader.
///
/// The leader holds an advisory lock of its session, which Postgres frees when the session ends. That alone says
/// little: a session may end (a restart, an administrator, a network that drops the connection) before its holder
/// learns of it. So two more rules apply.
///
/// * A leader believes in itself for `belief` (3 s) *from the sending* of its last question that was answered,
///   and asks each `beat` (0.5 s). It stops at once when it sees the connection end.
/// * Whoever gets the lock waits a tenth longer than `belief`, asking all the while, before it believes. Whatever
///   ended the session before, its holder's last answered question was sent before the lock was free.
///
/// **Promised:** at no moment does [`Self::is_leader`] answer `true` on two servers of one Postgres, whatever
/// ends a session and however long a server sleeps, as long as monotonic clocks agree within a tenth on how
/// long 3 s are, and do not stand still while a machine is suspended (Linux's does: a virtual machine that is
/// paused as a whole may wake up believing, until its next question).
///
/// **Takeover:** when the leader stops in order, is killed or its session is terminated, about 3.3 to 3.8 s later; when it
/// falls silent (power, network, a stopped process) Postgres ends the session after 4 s (`idle_session_timeout`; for
/// sockets that acknowledge nothing also `tcp_user_timeout` and keepalives, set for this session alone), so within
/// 8 s. A Postgres that is away has no leader; after its restart the wait is the same.
///
/// **Not promised:** a `true` is old when it arrives. A server may be stopped between the answer and the statement
/// that follows from it, and the statement arrives when another leads. And when a standby is promoted while its old
/// primary still answers, each has its own locks. So leadership saves double work and does not replace
/// conditions: what a leader writes must be conditional (`WHERE state = 'open' AND due <= …`), and right when two do it.
#[derive(Debug, Clone)]
pub struct Leadership {
    until: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    /// Whether this server leads now. Ask before each piece of work, and keep pieces shorter than a second.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until leadership was gained or lost since the last call, and says which; `None` after the replica
    /// was stopped or dropped. May be dropped at any time.
    pub async fn changed(&mut self) -> Option<bool> {
        self.until.changed().await.ok()?;
        Some(self.until.borrow_and_update().is_some())
    }

    /// Waits until this server leads; `false` after the replica was stopped or dropped.
    pub async fn leads(&mut self) -> bool {
        self.until.wait_for(Option::is_some).await.is_ok()
    }
}

/// Tries to get the lock and keeps it.
pub(super) struct Candidate {
    key: i64,
    beat: Duration,
    belief: Duration,
    until: watch::Sender<Option<Instant>>,
}

impl Candidate {
    pub(super) fn new(key: i64, beat: Duration, belief: Duration) -> (Self, Leadership) {
        let (sender, until) = watch::channel(None);
        (Self { key, beat, belief, until: sender }, Leadership { until })
    }

    /// Believes until then, or not at all. Only a turn wakes those who wait.
    fn believe(&self, until: Option<Instant>) {
        let turned = self.until.send_if_modified(|believed| {
            let turned = believed.is_some() != until.is_some();
            *believed = until;
            turned
        });
        if turned {
            let leads = until.is_some();
            tracing::info!(leads, "leadership changed");
            metrics::gauge!("packtrail_replica_leader").set(if leads { 1.0 } else { 0.0 });
        }
    }

    async fn campaign(&self, link: &mut Link, stop: &mut Stop) -> Result<(), ReplicaError> {
        // When it may begin to believe: known once it has the lock.
        let mut settled = None;
        let mut trusted = Instant::now() + self.belief;
        loop {
            let sent = Instant::now();
            match settled {
                None if link.try_lock(self.key).await? => settled = Some(Instant::now() + self.belief * 11 / 10),
                None => {}
                Some(_) => link.ping_until(trusted).await?,
            }
            trusted = sent + self.belief;
            if settled.is_some_and(|settled| settled <= Instant::now()) {
                self.believe(Some(trusted));
            }
            tokio::select! {
                () = sleep_until(sent + self.beat) => {}
                error = link.lost() => return Err(error),
                () = stop.told() => {
                    self.believe(None);
                    return if settled.is_some() { link.unlock(self.key).await } else { Ok(()) };
                }
            }
        }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.believe(None);
    }
}

impl Duty for Candidate {
    const ROLE: &'static str = "leader";

    async fn serve(&mut self, link: &mut Link, stop: &mut Stop) -> Result<(), ReplicaError> {
        let result = self.campaign(link, stop).await;
        self.believe(None);
        result
    }
}
