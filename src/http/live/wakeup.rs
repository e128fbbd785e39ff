//! Tells what a task was woken for, so that a turn for an event does not ask after everything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// A waker that remembers, and wakes its task.
pub struct Wakeup {
    is_set: AtomicBool,
    task: AtomicWaker,
}

impl Wakeup {
    /// One that is set, as nobody has been asked to call it yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { is_set: AtomicBool::new(true), task: AtomicWaker::new() })
    }

    /// Wakes `task` from now on.
    pub fn wakes(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Whether it was set since it was last asked.
    pub fn take(&self) -> bool {
        // Most turns find it unset; only a change needs to be exclusive.
        self.is_set.load(Ordering::Acquire) && self.is_set.swap(false, Ordering::AcqRel)
    }

    /// Sets it, without waking anybody.
    pub fn set(&self) {
        self.is_set.store(true, Ordering::Release);
    }
}

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.set();
        self.task.wake();
    }
}
