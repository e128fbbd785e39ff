//! Workers that wait for steps, and what wakes them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::work::Abilities;

/// How many workers may wait at once; more are answered at once.
const MOST: usize = 4_096;

/// The workers that wait, the first come first.
#[derive(Debug, Clone, Default)]
pub struct Waiters {
    waiting: Arc<Mutex<VecDeque<Arc<Waiter>>>>,
}

#[derive(Debug)]
struct Waiter {
    tenant: Arc<str>,
    abilities: Abilities,
    woken: Notify,
}

/// A worker that waits, until dropped.
#[derive(Debug)]
pub struct Waiting {
    waiter: Arc<Waiter>,
    all: Waiters,
}

impl Waiters {
    /// Lets a worker wait; `None` if too many do.
    #[must_use]
    pub fn enter(&self, tenant: &Arc<str>, abilities: &Abilities) -> Option<Waiting> {
        let mut waiting = self.lock();
        if waiting.len() >= MOST {
            return None;
        }
        let waiter =
            Arc::new(Waiter { tenant: Arc::clone(tenant), abilities: abilities.clone(), woken: Notify::new() });
        waiting.push_back(Arc::clone(&waiter));
        Some(Waiting { waiter, all: self.clone() })
    }

    /// Wakes a worker for each step that became ready, told by what it uses.
    pub fn wake(&self, tenant: &str, steps: &[String]) {
        let mut waiting = self.lock();
        for uses in steps {
            let fits = |waiter: &Arc<Waiter>| *waiter.tenant == *tenant && waiter.abilities.include(uses);
            let Some(at) = waiting.iter().position(fits) else { continue };
            // It is woken for this one step; should it wait on, it enters anew.
            if let Some(waiter) = waiting.remove(at) {
                waiter.woken.notify_one();
            }
        }
    }

    /// A holder that panics leaves a list that is whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Waiter>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Returns once a step became ready that this worker can do.
    pub async fn woken(&self) {
        self.waiter.woken.notified().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.lock().retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn abilities(patterns: &[&str]) -> Abilities {
        Abilities::new(patterns.iter().map(|pattern| (*pattern).to_owned()), [])
    }

    #[test]
    fn a_step_wakes_the_first_worker_that_can_do_it_and_no_other() {
        let waiters = Waiters::default();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let other = waiters.enter(&two, &abilities(&["*"])).unwrap();
        let scanner = waiters.enter(&one, &abilities(&["scan"])).unwrap();
        let first = waiters.enter(&one, &abilities(&["builtin:*"])).unwrap();
        let second = waiters.enter(&one, &abilities(&["*"])).unwrap();
        waiters.wake("one", &["builtin:noop".to_owned()]);
        let is_woken = |waiting: &Waiting| waiting.woken().now_or_never().is_some();
        assert_eq!([&other, &scanner, &first, &second].map(is_woken), [false, false, true, false]);
        waiters.wake("one", &["builtin:noop".to_owned()]);
        assert!(is_woken(&second), "the first was woken before");
    }

    #[test]
    fn who_has_gone_is_not_woken() {
        let waiters = Waiters::default();
        let tenant: Arc<str> = "one".into();
        let first = waiters.enter(&tenant, &abilities(&["*"])).unwrap();
        let second = waiters.enter(&tenant, &abilities(&["*"])).unwrap();
        drop(first);
        waiters.wake("one", &["x".to_owned()]);
        assert!(second.woken().now_or_never().is_some());
        drop(second);
        assert!(waiters.lock().is_empty());
    }
}
