//! Gathers what sibling fields ask for into one read.
//!
//! All fields of a request are polled by one task. The first to ask for a kind of thing opens a batch
//! and lets the others go first: each time it is polled again, everything that was ready has had its
//! turn. The batch is read when a turn brought nothing new, so it waits neither for a timer nor for
//! another thread.

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_graphql::dataloader::Loader;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;
use tokio::task::coop::{Unconstrained, unconstrained};

use super::error::ApiError;

/// Turns without a new key after which a batch is read. A turn may be cut short when several fields
/// wake at once, so one alone says too little.
const QUIET_TURNS: usize = 2;
/// Turns after which a batch is read in any case.
const MAX_TURNS: usize = 256;

/// What a batch found.
type Found<K, V> = Result<Arc<HashMap<K, V>>, ApiError>;
/// Gives everybody who asked what was found. Unconstrained, since the runtime would let only some of
/// many siblings go on at once, and so break the next batch apart.
type Answer<K, V> = Shared<Unconstrained<oneshot::Receiver<Found<K, V>>>>;

/// Reads things by key, those that are asked for at the same time together.
pub struct Gather<L>(Arc<Inner<L>>);

struct Inner<L> {
    loads: L,
    /// The open batch of each type of key.
    open: Mutex<HashMap<TypeId, Box<dyn Any + Send>>>,
}

/// Keys that wait to be read.
struct Batch<K, V> {
    keys: HashSet<K>,
    answer: oneshot::Sender<Found<K, V>>,
    found: Answer<K, V>,
}

impl<L: Send + Sync + 'static> Gather<L> {
    /// Reads by `loads`.
    pub fn new(loads: L) -> Self {
        Self(Arc::new(Inner { loads, open: Mutex::default() }))
    }

    /// Reads one thing together with what else is asked for.
    ///
    /// # Errors
    /// If the read fails.
    pub async fn load<K>(&self, key: K) -> Result<Option<L::Value>, ApiError>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        L: Loader<K, Error = ApiError>,
    {
        let (found, is_first) = self.0.join(key.clone());
        if is_first {
            let inner = Arc::clone(&self.0);
            Kept(Some(async move { inner.read::<K>().await }.boxed())).await;
        }
        // Only a reader that panicked gives no answer.
        let found = found.await.map_err(|_gone| ApiError::internal())??;
        Ok(found.get(&key).cloned())
    }
}

impl<L: Send + Sync + 'static> Inner<L> {
    /// Adds a key to the open batch of its type; also says whether that batch is new.
    fn join<K>(&self, key: K) -> (Answer<K, L::Value>, bool)
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        L: Loader<K, Error = ApiError>,
    {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(batch) = open.get_mut(&TypeId::of::<K>()).and_then(|any| any.downcast_mut::<Batch<K, L::Value>>()) {
            batch.keys.insert(key);
            return (batch.found.clone(), false);
        }
        let (answer, found) = oneshot::channel();
        let batch = Batch { keys: HashSet::from([key]), answer, found: unconstrained(found).shared() };
        let found = batch.found.clone();
        open.insert(TypeId::of::<K>(), Box::new(batch));
        (found, true)
    }

    /// How many keys the open batch has.
    fn size<K>(&self) -> usize
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        L: Loader<K, Error = ApiError>,
    {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = open.get(&TypeId::of::<K>()).and_then(|any| any.downcast_ref::<Batch<K, L::Value>>());
        batch.map_or(0, |batch| batch.keys.len())
    }

    /// Waits until nobody joins any longer, and reads the batch.
    async fn read<K>(&self)
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        L: Loader<K, Error = ApiError>,
    {
        self.gathered::<K>().await;
        let batch = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.remove(&TypeId::of::<K>()).and_then(|any| any.downcast::<Batch<K, L::Value>>().ok())
        };
        let Some(batch) = batch else { return };
        let keys: Vec<K> = batch.keys.into_iter().collect();
        let found = self.loads.load(&keys).await.map(Arc::new);
        // Nobody may be left to hear it.
        let _heard = batch.answer.send(found);
    }

    async fn gathered<K>(&self)
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        L: Loader<K, Error = ApiError>,
    {
        let (mut size, mut quiet) = (self.size::<K>(), 0);
        for _ in 0..MAX_TURNS {
            turn().await;
            let now = self.size::<K>();
            quiet = if now == size { quiet + 1 } else { 0 };
            size = now;
            if quiet == QUIET_TURNS {
                return;
            }
        }
    }
}

/// Lets everything else of the task that is ready go first.
async fn turn() {
    let mut is_over = false;
    poll_fn(|context| {
        if is_over {
            return Poll::Ready(());
        }
        is_over = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Work for several fields, done by one of them. If that one is given up, since a sibling failed, the
/// work goes on without it.
struct Kept(Option<BoxFuture<'static, ()>>);

impl Future for Kept {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.0 else { return Poll::Ready(()) };
        let poll = work.poll_unpin(context);
        if poll.is_ready() {
            self.0 = None;
        }
        poll
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{Either, join_all, select};

    use super::*;

    /// Doubles numbers, and notes what is read together.
    struct Doubles(Arc<Mutex<Vec<usize>>>);

    impl Loader<u32> for Doubles {
        type Value = u32;
        type Error = ApiError;

        async fn load(&self, keys: &[u32]) -> Result<HashMap<u32, u32>, ApiError> {
            self.0.lock().unwrap().push(keys.len());
            turn().await;
            if keys.contains(&0) {
                return Err(ApiError::internal());
            }
            Ok(keys.iter().filter(|key| **key != 13).map(|key| (*key, key * 2)).collect())
        }
    }

    fn gather() -> (Gather<Doubles>, Arc<Mutex<Vec<usize>>>) {
        let reads = Arc::<Mutex<Vec<usize>>>::default();
        (Gather::new(Doubles(Arc::clone(&reads))), reads)
    }

    #[tokio::test]
    async fn siblings_of_any_number_are_read_at_once_level_by_level() {
        for siblings in [1_u32, 2, 30, 31, 500, 3000] {
            let (gather, reads) = gather();
            let field = async |key: u32| {
                let next = gather.load(key + 100).await.ok().flatten().unwrap();
                gather.load(next).await.ok().flatten()
            };
            let answers = join_all((0..siblings).map(field)).await;
            assert!((0..).zip(answers).all(|(key, answer)| answer == Some((key + 100) * 4)));
            let all = usize::try_from(siblings).unwrap();
            assert_eq!(*reads.lock().unwrap(), [all, all], "{siblings}");
        }
    }

    #[tokio::test]
    async fn lists_inside_of_lists_are_read_at_once() {
        let (gather, reads) = gather();
        let row = async |row: u32| {
            let first = gather.load(1000 + row).await.ok().flatten().unwrap();
            join_all((0..40).map(|cell| gather.load(first * 100 + cell))).await.len()
        };
        assert_eq!(join_all((0..100).map(row)).await.into_iter().sum::<usize>(), 4000);
        assert_eq!(*reads.lock().unwrap(), [100, 4000]);
    }

    #[tokio::test]
    async fn one_key_is_read_once_and_what_is_absent_is_none() {
        let (gather, reads) = gather();
        let (a, b, c) = tokio::join!(gather.load(7), gather.load(7), gather.load(13));
        assert_eq!((a.ok().flatten(), b.ok().flatten(), c.ok().flatten()), (Some(14), Some(14), None));
        assert_eq!(*reads.lock().unwrap(), [2]);
    }

    #[tokio::test]
    async fn an_error_reaches_all_who_asked_and_no_later_ones() {
        let (gather, _) = gather();
        let (a, b) = tokio::join!(gather.load(0), gather.load(1));
        assert!(a.is_err() && b.is_err());
        assert_eq!(gather.load(1).await.ok().flatten(), Some(2));
    }

    #[tokio::test]
    async fn who_asked_first_may_leave() {
        let (gather, _) = gather();
        for turns in 0..5 {
            let mut first = gather.load(5).boxed();
            let second = gather.load(6);
            let polled = async {
                for _ in 0..=turns {
                    if let Either::Left(_) = select(&mut first, turn().boxed()).await {
                        break;
                    }
                }
                drop(first);
            };
            let ((), second) = tokio::join!(polled, second);
            assert_eq!(second.ok().flatten(), Some(12), "after {turns} turns");
        }
    }
}
