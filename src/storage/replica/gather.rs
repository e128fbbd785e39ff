//! What waits to be told or heard: bounded, and coalesced by place.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::wake::{Heard, Wake};
use crate::storage::Topic;

/// Wakes on their way from many that add to one that takes. Of a place only the highest number is
/// kept, and beyond the bound they become [`Heard::Everything`], which stands for any number of them.
#[derive(Debug)]
pub(super) struct Gather {
    bound: usize,
    held: Mutex<Held>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Held {
    everything: bool,
    closed: bool,
    highest: HashMap<Topic, i64>,
}

impl Gather {
    /// Holds up to so many places.
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, held: Mutex::default(), added: Notify::new() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing that holds the lock can leave it half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds these, under the lock once.
    pub(super) fn add(&self, heard: impl IntoIterator<Item = Heard>) {
        let mut held = self.held();
        for heard in heard {
            held.add(heard, self.bound);
        }
        drop(held);
        self.added.notify_one();
    }

    /// Takes all that is held.
    pub(super) fn take(&self) -> Vec<Heard> {
        let mut held = self.held();
        if std::mem::take(&mut held.everything) {
            return vec![Heard::Everything];
        }
        let highest = std::mem::take(&mut held.highest);
        drop(held);
        highest.into_iter().map(|(topic, number)| Heard::Wake(Wake { topic, number })).collect()
    }

    /// Waits until something may have been added since the last wait. May be dropped at any time.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }

    /// Nothing more will be added.
    pub(super) fn close(&self) {
        self.held().closed = true;
        self.added.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.held().closed
    }

    /// How many places are held.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.held().highest.len()
    }
}

impl Held {
    fn add(&mut self, heard: Heard, bound: usize) {
        match heard {
            // Whoever takes `Everything` looks after that: what comes before is in it.
            _ if self.everything => {}
            Heard::Everything => self.overflow(),
            Heard::Wake(wake) => {
                let highest = self.highest.entry(wake.topic).or_insert(wake.number);
                *highest = wake.number.max(*highest);
                if self.highest.len() > bound {
                    self.overflow();
                }
            }
        }
    }

    fn overflow(&mut self) {
        self.everything = true;
        self.highest = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ledger(tenant: i64, head: i64) -> Heard {
        Heard::Wake(Wake { topic: Topic::Ledger { tenant }, number: head })
    }

    fn log(run: i64, logged: i64) -> Heard {
        Heard::Wake(Wake { topic: Topic::Log { tenant: 1, run }, number: logged })
    }

    #[test]
    fn of_each_place_the_highest_is_kept() {
        let gather = Gather::new(10);
        gather.add([ledger(1, 5), ledger(1, 9), ledger(1, 7), ledger(2, 1), log(1, 3), log(1, 2)]);
        let taken: HashSet<_> = gather.take().into_iter().collect();
        assert_eq!(taken, HashSet::from([ledger(1, 9), ledger(2, 1), log(1, 3)]));
        assert_eq!(gather.take(), [], "what was taken is gone");
    }

    #[test]
    fn beyond_its_bound_it_holds_everything_and_nothing_else() {
        let gather = Gather::new(10);
        for run in 0..1_000_000 {
            gather.add([log(run, 1)]);
            assert!(gather.len() <= 10);
        }
        assert_eq!(gather.take(), [Heard::Everything]);
        gather.add([log(1, 1)]);
        assert_eq!(gather.take(), [log(1, 1)], "after that it begins anew");
    }

    #[test]
    fn everything_stands_for_what_came_before_and_after_it() {
        let gather = Gather::new(10);
        gather.add([ledger(1, 5), Heard::Everything, ledger(1, 6)]);
        assert_eq!(gather.take(), [Heard::Everything]);
        assert_eq!(gather.take(), []);
    }
}
