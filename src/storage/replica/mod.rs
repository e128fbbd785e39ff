//! What several servers on one Postgres need to know of each other: that there is something new to
//! read, and which of them does the work that one must do for all.
//!
//! All of it runs over three connections of its own to Postgres itself, never through a pooler:
//! `LISTEN` and locks belong to a session. Wakes only save waiting. One is told *after* the commit it
//! is about, since a `NOTIFY` within a transaction makes all commits of the instance queue; a server
//! that dies in between never tells it. So readers select after their cursor, and also look by
//! themselves now and then.

mod backoff;
mod gather;
mod hear;
mod lead;
mod link;
mod tell;
mod wake;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use hear::Hearing;
pub use lead::Leadership;
pub use wake::{Heard, Wake};

use gather::Gather;
use lead::Candidate;
use link::{Direct, Stop, keep};
use wake::Origin;

/// How the servers of one installation talk. All of them need the same `name` and `belief`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who belongs together: servers of other installations in the same database (another schema) need another.
    pub name: String,
    /// The least time between two sendings.
    pub pause: Duration,
    /// How many places may wait to be told, and to be heard; beyond it they become `Everything`.
    pub bound: usize,
    /// How long Postgres may take to answer before a connection counts as broken.
    pub answer: Duration,
    /// How often the connections that tell and hear ask for a sign of life.
    pub pulse: Duration,
    /// How often the leader asks for one, and the others for the lock.
    pub beat: Duration,
    /// How long a leader believes in itself without an answer.
    pub belief: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "packtrail".to_owned(),
            pause: Duration::from_millis(2),
            bound: 16_384,
            answer: Duration::from_secs(3),
            pulse: Duration::from_secs(2),
            beat: Duration::from_millis(500),
            belief: Duration::from_secs(3),
        }
    }
}

impl Settings {
    /// The channel on which they notify each other.
    #[must_use]
    pub fn channel(&self) -> String {
        format!("packtrail_{:016x}", hash(&self.name))
    }

    /// The key of the advisory lock of the leader.
    fn key(&self) -> i64 {
        hash(&self.name).cast_signed()
    }
}

/// A failure of the direct connection.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The URL cannot be read. It is not repeated here, since it may hold a password.
    #[error("not a valid postgres:// URL")]
    Url,
    /// The URL leads to a pooler.
    #[error("the direct database URL leads to a pooler; it must lead to Postgres itself")]
    Pooled,
    /// The database does not know what its bytes mean.
    #[error("the database has the encoding SQL_ASCII; it must be UTF8")]
    Encoding,
    /// The connection ended.
    #[error("the connection ended")]
    Lost,
    /// Postgres did not answer in time.
    #[error("Postgres did not answer in time")]
    Silent,
    /// The connection failed, or Postgres refused a statement or setting.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// This server among the others. Dropped, it falls silent at once.
#[derive(Debug)]
pub struct Replica {
    outbox: Arc<Gather>,
    inbox: Arc<Gather>,
    leadership: Leadership,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Replica {
    /// Joins the others. The URL must lead to Postgres itself (14 or newer), not to a pooler.
    ///
    /// The first thing heard is `Everything`, and so it is after each time the connection was lost.
    ///
    /// # Errors
    /// If the URL is wrong, leads to a pooler, or Postgres does not answer now. Later it may go and
    /// come: then the replica waits for it.
    pub async fn start(direct_url: &str, settings: Settings) -> Result<(Self, Hearing), ReplicaError> {
        let origin = Origin(backoff::random());
        let direct = Direct::new(direct_url, origin, settings.answer)?;
        // Says a mistake in the URL to whoever starts the server, and not to the log each two seconds.
        drop(direct.link("check", settings.answer).await?);
        Ok(Self::join(&direct, origin, &settings))
    }

    fn join(direct: &Direct, origin: Origin, settings: &Settings) -> (Self, Hearing) {
        let (channel, key) = (settings.channel(), settings.key());
        let Settings { pause, bound, answer, pulse, beat, belief, .. } = *settings;
        let (outbox, inbox) = (Arc::new(Gather::new(bound)), Arc::new(Gather::new(bound)));
        let (stop, stopped) = watch::channel(false);
        let stopped = Stop(stopped);
        let (candidate, leadership) = Candidate::new(key, beat, belief);
        let teller = tell::Teller { outbox: Arc::clone(&outbox), origin, channel: channel.clone(), pause, pulse };
        let listener = hear::Listener { inbox: Arc::clone(&inbox), origin, channel, pulse };
        let second = Duration::from_secs(1);
        let tasks = vec![
            tokio::spawn(keep(teller, direct.clone(), pulse + 2 * answer, stopped.clone())),
            tokio::spawn(keep(listener, direct.clone(), pulse + 2 * answer, stopped.clone())),
            tokio::spawn(keep(candidate, direct.clone(), belief + second, stopped)),
        ];
        let hearing = Hearing::new(Arc::clone(&inbox));
        (Self { outbox, inbox, leadership, stop, tasks: Mutex::new(tasks) }, hearing)
    }

    /// Tells the others, soon. Call it after the commit. Never waits for them or Postgres and never
    /// fails: while Postgres is away the highest number of each place is kept, up to the bound.
    pub fn tell(&self, wake: Wake) {
        self.outbox.add([Heard::Wake(wake)]);
    }

    /// What tells the others, to keep.
    #[must_use]
    pub fn voice(&self) -> Voice {
        Voice(Arc::clone(&self.outbox))
    }

    /// Whether this server leads, to keep.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Leaves in order: tells what is still to tell, and gives up leadership. Takes as long as
    /// Postgres needs to answer, at most about [`Settings::answer`] twice.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // Each ends by itself within its own limits; one that panicked has nothing left to do.
            let _ = task.await;
        }
        self.inbox.close();
    }
}

/// Tells the others what this server committed.
#[derive(Debug, Clone)]
pub struct Voice(Arc<Gather>);

impl Voice {
    /// As [`Replica::tell`].
    pub fn tell(&self, wake: Wake) {
        self.0.add([Heard::Wake(wake)]);
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.inbox.close();
    }
}

/// FNV-1a: the same number for the same name on every server.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
