//! What moved: whoever follows a ledger or a log waits here instead of asking the database again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use serde::Serialize;
use sqlx::FromRow;
use tokio::sync::watch;

use super::Store;
use super::driver::json;
use super::error::StoreError;
use super::sql::{self, Statement};

/// What can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The ledger of a tenant, by its row: the number is that of its last commit.
    Ledger {
        /// The tenant's row.
        tenant: i64,
    },
    /// A run, by rows: the number is that of the commit that last changed it.
    Run {
        /// The tenant's row.
        tenant: i64,
        /// The run's row.
        run: i64,
    },
    /// The log of a run, by rows: the number is that of [`log_number`].
    Log {
        /// The tenant's row.
        tenant: i64,
        /// The run's row.
        run: i64,
    },
}

/// How far a log has come: twice the number of its last entry, and one more once its run is over.
#[must_use]
pub fn log_number(logged: i64, is_over: bool) -> i64 {
    2 * logged + i64::from(is_over)
}

/// Takes what this server committed, to tell it to others. It must not block.
pub type Teller = Box<dyn Fn(Topic, i64) + Send + Sync>;

/// Who waits for what. Cheap to clone.
#[derive(Clone, Default)]
pub struct Wakes(Arc<Inner>);

#[derive(Default)]
struct Inner {
    watched: Mutex<HashMap<Topic, Weak<Watch>>>,
    teller: OnceLock<Teller>,
}

struct Watch {
    topic: Topic,
    number: watch::Sender<i64>,
    wakes: Weak<Inner>,
}

/// A topic that is followed, until dropped.
#[derive(Debug)]
pub struct Watched {
    watch: Arc<Watch>,
    receiver: watch::Receiver<i64>,
}

#[derive(Serialize)]
struct TopicRow {
    tenant: i64,
    run: i64,
}

#[derive(FromRow)]
struct NumberRow {
    tenant: i64,
    run: i64,
    number: i64,
}

impl std::fmt::Debug for Wakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wakes").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Wakes {
    /// Follows a topic, of which nothing is known yet but what others who follow it know.
    #[must_use]
    pub fn watch(&self, topic: Topic) -> Watched {
        let mut watched = self.lock();
        let found = watched.get(&topic).and_then(Weak::upgrade);
        let watch = found.unwrap_or_else(|| {
            let watch = Watch { topic, number: watch::Sender::new(0), wakes: Arc::downgrade(&self.0) };
            let watch = Arc::new(watch);
            watched.insert(topic, Arc::downgrade(&watch));
            watch
        });
        let receiver = watch.number.subscribe();
        Watched { watch, receiver }
    }

    /// Says how far a topic has come, by a commit of this server: to those who wait here, and to other servers.
    pub fn tell(&self, topic: Topic, number: i64) {
        self.heard(topic, number);
        if let Some(teller) = self.0.teller.get() {
            teller(topic, number);
        }
    }

    /// Says how far a topic has come, as far as it is known: to those who wait here.
    pub fn heard(&self, topic: Topic, number: i64) {
        let found = self.lock().get(&topic).and_then(Weak::upgrade);
        if let Some(watch) = found {
            watch.number.send_if_modified(|known| {
                let is_news = number > *known;
                *known = number.max(*known);
                is_news
            });
        }
    }

    /// Lets others know from now on what this server commits. Only the first teller is taken.
    pub fn tell_others(&self, teller: Teller) {
        let _ = self.0.teller.set(teller);
    }

    fn topics(&self) -> Vec<Topic> {
        self.lock().keys().copied().collect()
    }

    /// A holder that panics leaves a table that is whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Weak<Watch>>> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(inner) = self.wakes.upgrade() else { return };
        let mut watched = inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // Meanwhile somebody else may have begun to follow it.
        if watched.get(&self.topic).is_some_and(|watch| watch.strong_count() == 0) {
            watched.remove(&self.topic);
        }
    }
}

impl Watched {
    /// How far the topic has come, as far as it is known.
    #[must_use]
    pub fn number(&self) -> i64 {
        *self.receiver.borrow()
    }

    /// Returns how far the topic has come, once that is further than `number`.
    pub async fn beyond(&mut self, number: i64) -> i64 {
        // The sender is held beside the receiver, so there is always one.
        self.receiver.wait_for(|known| *known > number).await.map_or(number, |known| *known)
    }

    /// Notes what was read of the topic, for all who follow it.
    pub fn note(&self, number: i64) {
        self.watch.number.send_if_modified(|known| {
            let is_news = number > *known;
            *known = number.max(*known);
            is_news
        });
    }
}

impl Store {
    /// Who waits for what this store commits.
    #[must_use]
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// Looks how far all that is followed has come, and says so to who follows it: whatever was committed by others
    /// without a word is found by this.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.look_at_all(&self.wakes.topics()).await.map(drop)
    }

    /// Looks at topics, and returns the numbers of those that are there.
    pub(super) async fn look_at_all(&self, topics: &[Topic]) -> Result<Vec<i64>, StoreError> {
        let (mut ledgers, mut runs, mut logs) = (Vec::new(), Vec::new(), Vec::new());
        for topic in topics {
            match *topic {
                Topic::Ledger { tenant } => ledgers.push(TopicRow { tenant, run: 0 }),
                Topic::Run { tenant, run } => runs.push(TopicRow { tenant, run }),
                Topic::Log { tenant, run } => logs.push(TopicRow { tenant, run }),
            }
        }
        let mut numbers = self.look_by(&sql::LEDGERS_MOVED, &ledgers, |tenant, _| Topic::Ledger { tenant }).await?;
        numbers.extend(self.look_by(&sql::RUNS_MOVED, &runs, |tenant, run| Topic::Run { tenant, run }).await?);
        numbers.extend(self.look_by(&sql::LOGS_MOVED, &logs, |tenant, run| Topic::Log { tenant, run }).await?);
        Ok(numbers)
    }

    async fn look_by(
        &self,
        statement: &'static Statement,
        rows: &[TopicRow],
        topic: impl Fn(i64, i64) -> Topic,
    ) -> Result<Vec<i64>, StoreError> {
        let mut numbers = Vec::new();
        for rows in rows.chunks(LOOKED_AT) {
            let found: Vec<NumberRow> = self.pool.rows(statement, &[json(&rows)]).await?;
            for NumberRow { tenant, run, number } in found {
                self.wakes.heard(topic(tenant, run), number);
                numbers.push(number);
            }
        }
        Ok(numbers)
    }
}

/// How many topics are looked at by one statement.
const LOOKED_AT: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Topic = Topic::Log { tenant: 1, run: 2 };

    #[tokio::test]
    async fn who_follows_hears_the_highest_number_and_nothing_of_other_topics() {
        let wakes = Wakes::default();
        let mut watched = wakes.watch(TOPIC);
        wakes.tell(Topic::Ledger { tenant: 1 }, 9);
        wakes.tell(TOPIC, 3);
        wakes.heard(TOPIC, 2);
        assert_eq!(watched.beyond(0).await, 3);
        assert_eq!(wakes.watch(TOPIC).number(), 3, "one who comes later knows it too");
        let (moved, ()) = tokio::join!(watched.beyond(3), async { wakes.tell(TOPIC, 4) });
        assert_eq!(moved, 4);
    }

    #[test]
    fn what_nobody_follows_any_more_is_forgotten() {
        let wakes = Wakes::default();
        let (one, other) = (wakes.watch(TOPIC), wakes.watch(TOPIC));
        drop(one);
        assert_eq!(wakes.topics(), [TOPIC]);
        drop(other);
        assert_eq!(wakes.topics(), []);
        wakes.tell(TOPIC, 1);
        assert_eq!(wakes.watch(TOPIC).number(), 0);
    }

    #[test]
    fn others_are_told_what_is_committed_here_and_not_what_they_told() {
        let wakes = Wakes::default();
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        wakes.tell_others(Box::new(move |topic, number| kept.lock().unwrap().push((topic, number))));
        wakes.tell(TOPIC, 1);
        wakes.heard(TOPIC, 2);
        assert_eq!(*told.lock().unwrap(), [(TOPIC, 1)]);
    }
}
