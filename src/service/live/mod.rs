//! What happens, for those who follow it: one reader a feed, however many follow.

mod read;
mod ring;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::task::JoinHandle;

pub use self::read::Batch;
pub use self::ring::{Piece, Position, Reached, Ring};
use crate::service::query::{FindingsAsked, QueryError, Scope};
use crate::storage::{Store, Topic, Watched};

/// How many readers read at once: queries need connections too.
const READS: usize = 4;
/// How often it is looked at whether something moved without a word.
const LOOK: Duration = Duration::from_secs(1);
/// How long a reader waits after its first failure, and at most, before it reads again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What can be followed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Feed {
    /// The log of a run, by its row.
    Log(i64),
    /// The changes of records.
    Changes,
    /// The findings that are raised, as far as they are asked for.
    Findings(Box<FindingsAsked>),
    /// The approvals that gates begin to wait for.
    Approvals,
    /// The runs that change.
    Runs,
    /// One run, by its row.
    Run(i64),
}

impl Feed {
    fn topic(&self, tenant: i64) -> Topic {
        match self {
            Self::Log(run) => Topic::Log { tenant, run: *run },
            Self::Run(run) => Topic::Run { tenant, run: *run },
            _ => Topic::Ledger { tenant },
        }
    }

    /// The place up to which everything is there once its topic has come so far.
    fn position(&self, number: i64) -> Position {
        match self {
            Self::Log(_) => (number / 2, 0),
            _ => (number, i64::MAX),
        }
    }

    /// Whether a log ends where its topic has come.
    fn is_over(&self, number: i64) -> bool {
        matches!(self, Self::Log(_)) && number % 2 == 1
    }
}

/// The readers of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Inner>);

type Key = (i64, Feed);

#[derive(Debug)]
struct Inner {
    store: Store,
    readers: Mutex<HashMap<Key, Weak<Reader>>>,
    reads: Arc<Semaphore>,
}

/// A feed that is read once for all who follow it, until the last one stops.
#[derive(Debug)]
pub struct Reader {
    feed: Arc<FeedOf>,
    task: JoinHandle<()>,
    key: Key,
    hub: Weak<Inner>,
}

/// A feed of a tenant, and what is known of it.
#[derive(Debug)]
struct FeedOf {
    store: Store,
    tenant: Arc<str>,
    topic: Topic,
    feed: Feed,
    ring: Ring<Batch>,
    /// What logs are read through.
    any: OnceCell<Scope>,
}

impl Hub {
    /// The readers of a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let reads = Arc::new(Semaphore::new(READS));
        Self(Arc::new(Inner { store, readers: Mutex::default(), reads }))
    }

    /// Follows a feed.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn follow(&self, tenant: &Arc<str>, feed: &Feed) -> Result<Arc<Reader>, QueryError> {
        let store = &self.0.store;
        let row = store.ensure_tenant(tenant).await?;
        let key = (row, feed.clone());
        if let Some(reader) = self.lock().get(&key).and_then(Weak::upgrade) {
            return Ok(reader);
        }
        let topic = feed.topic(row);
        let watched = store.wakes().watch(topic);
        let number = store.look_at(topic).await?;
        let mut readers = self.lock();
        // Meanwhile somebody else may have begun to follow it.
        if let Some(reader) = readers.get(&key).and_then(Weak::upgrade) {
            return Ok(reader);
        }
        let ring = Ring::new(feed.position(number));
        let (store, tenant, feed) = (store.clone(), Arc::clone(tenant), feed.clone());
        let of = Arc::new(FeedOf { store, tenant, topic, feed, ring, any: OnceCell::new() });
        let task = tokio::spawn(keep_reading(Arc::clone(&of), watched, number, Arc::clone(&self.0.reads)));
        let reader = Reader { feed: of, task, key: key.clone(), hub: Arc::downgrade(&self.0) };
        let reader = Arc::new(reader);
        readers.insert(key, Arc::downgrade(&reader));
        Ok(reader)
    }

    /// Looks every second, until told to stop, whether something moved without a word: a server of the same database
    /// may have stopped before it told, and not every program tells.
    pub async fn watch(self, stopping: impl Future<Output = ()>) {
        let mut stopping = std::pin::pin!(stopping);
        loop {
            tokio::select! {
                () = &mut stopping => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Err(error) = self.0.store.look().await {
                tracing::warn!(%error, "it could not be looked at what moved");
            }
        }
    }

    /// How many feeds are read.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Weak<Reader>>> {
        self.0.lock()
    }
}

impl Inner {
    /// A holder that panics leaves a table that is whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Weak<Reader>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
        let Some(hub) = self.hub.upgrade() else { return };
        let mut readers = hub.lock();
        if readers.get(&self.key).is_some_and(|reader| reader.strong_count() == 0) {
            readers.remove(&self.key);
        }
    }
}

impl Reader {
    /// Up to where the feed is known.
    #[must_use]
    pub fn position(&self) -> Position {
        self.feed.ring.position()
    }

    /// Tells whoever waits for the feed to go on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Reached> {
        self.feed.ring.watch()
    }

    /// What follows a place, up to another or before: from memory where it is new, else from the store.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read(&self, from: Position, upto: Position) -> Result<Arc<Piece<Batch>>, QueryError> {
        match self.feed.ring.after(from, upto) {
            Some(piece) => Ok(piece),
            None => self.read_less(from, upto, usize::MAX).await,
        }
    }

    /// The same, with so much in it at most.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn read_less(
        &self,
        from: Position,
        upto: Position,
        most: usize,
    ) -> Result<Arc<Piece<Batch>>, QueryError> {
        Ok(Arc::new(self.feed.read(from, upto, most).await?))
    }

    /// Up to where the feed is in the store, which may be further than is known.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn stored(&self) -> Result<Position, QueryError> {
        Ok(self.feed.feed.position(self.feed.store.look_at(self.feed.topic).await?))
    }
}

/// Reads a feed on whenever it moved.
async fn keep_reading(feed: Arc<FeedOf>, mut watched: Watched, mut seen: i64, reads: Arc<Semaphore>) {
    loop {
        seen = watched.beyond(seen).await;
        let upto = feed.feed.position(seen);
        // A log may end without another entry: that is one more piece, without any.
        let mut is_news = true;
        while is_news {
            let piece = insist(&reads, || feed.read(feed.ring.position(), upto, usize::MAX)).await;
            let has_more = piece.to > piece.from;
            feed.ring.push(Arc::new(piece));
            is_news = has_more && feed.ring.position() < upto;
        }
    }
}

/// Reads again and again until it works: who follows waits meanwhile, and loses nothing.
async fn insist<T, F: Future<Output = Result<T, QueryError>>>(reads: &Semaphore, read: impl Fn() -> F) -> T {
    let mut pause = PAUSES.0;
    loop {
        let one = reads.acquire().await;
        match read().await {
            Ok(read) => return read,
            Err(error) => tracing::warn!(%error, "a feed could not be read; it is read again"),
        }
        drop(one);
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(PAUSES.1);
    }
}
