//! Requests that may wait: what they give back meanwhile, and how much longer they may take.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a request may take beyond the usual. The transport makes one for each request, and asks it when the
/// time is over.
pub struct Patience {
    extra_ms: AtomicU64,
    /// Its place among the operations in flight.
    place: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Patience {
    /// The patience with a request that holds a place.
    #[must_use]
    pub fn new(place: Box<dyn Any + Send>) -> Arc<Self> {
        Arc::new(Self { extra_ms: AtomicU64::new(0), place: Mutex::new(Some(place)) })
    }

    /// Lets the request wait so much longer, and gives its place back: who waits does nothing. A request waits
    /// once; false if it has waited before.
    pub fn wait(&self, time: Duration) -> bool {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let is_first = self.extra_ms.compare_exchange(0, ms, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_first {
            self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        is_first
    }

    /// How much longer the request may take.
    #[must_use]
    pub fn extra(&self) -> Duration {
        Duration::from_millis(self.extra_ms.load(Ordering::Acquire))
    }
}
