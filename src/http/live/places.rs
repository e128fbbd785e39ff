//! How many connections there are: in all, and for each principal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Counts of connections.
pub struct Places {
    all: usize,
    each: usize,
    counts: Mutex<Counts>,
    emptied: Notify,
}

#[derive(Default)]
struct Counts {
    all: usize,
    each: HashMap<Arc<str>, usize>,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// One connection, until dropped.
pub struct Place {
    owner: Arc<Places>,
    principal: Option<Arc<str>>,
}

impl Places {
    /// Room for `all` connections, `each` of them for one principal.
    #[must_use]
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, counts: Mutex::default(), emptied: Notify::new() })
    }

    /// Takes a place for somebody who may not be known yet.
    ///
    /// # Errors
    /// [`Full`] when there is none.
    pub fn enter(self: &Arc<Self>) -> Result<Place, Full> {
        let mut counts = self.counts();
        if counts.all >= self.all {
            return Err(Full);
        }
        counts.all += 1;
        Ok(Place { owner: Arc::clone(self), principal: None })
    }

    /// Connections there are.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.counts().all
    }

    /// Waits until there is no connection: upgraded connections are not among those that
    /// `axum::serve` waits for when it stops.
    pub async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.taken() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Counts stay right if a holder panics: each change is one step.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts the connection for `principal` from now on.
    ///
    /// # Errors
    /// [`Full`] when that one has as many as it may.
    pub fn assign(&mut self, principal: &Arc<str>) -> Result<(), Full> {
        let mut counts = self.owner.counts();
        let mine = counts.each.get(principal).copied().unwrap_or(0);
        if mine >= self.owner.each {
            return Err(Full);
        }
        counts.leave(self.principal.as_ref());
        counts.each.insert(Arc::clone(principal), mine + 1);
        self.principal = Some(Arc::clone(principal));
        Ok(())
    }
}

impl Counts {
    fn leave(&mut self, principal: Option<&Arc<str>>) {
        let Some(principal) = principal else { return };
        if let Some(mine) = self.each.get_mut(principal) {
            *mine = mine.saturating_sub(1);
            if *mine == 0 {
                self.each.remove(principal);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.owner.counts();
        counts.all = counts.all.saturating_sub(1);
        counts.leave(self.principal.as_ref());
        if counts.all == 0 {
            self.owner.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_place_is_free_again_when_dropped() {
        let places = Places::new(2, 1);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let mut first = places.enter().unwrap();
        let mut second = places.enter().unwrap();
        assert_eq!(places.enter().err(), Some(Full));
        assert_eq!(first.assign(&one), Ok(()));
        assert_eq!(second.assign(&one), Err(Full));
        assert_eq!(second.assign(&other), Ok(()));
        drop(first);
        assert_eq!(places.enter().unwrap().assign(&one), Ok(()));
        drop(second);
        assert_eq!(places.taken(), 0);
        assert!(places.counts().each.is_empty());
    }

    #[test]
    fn emptiness_is_waited_for() {
        let places = Places::new(1, 1);
        let place = places.enter().unwrap();
        let mut empty = std::pin::pin!(places.empty());
        assert!(empty.as_mut().now_or_never().is_none());
        drop(place);
        assert!(empty.now_or_never().is_some());
    }
}
