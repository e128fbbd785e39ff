//! The one place that reads the time.
//!
//! Whatever needs the time is handed a [`Clock`], so that tests and replays decide what it is.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01T00:00:00Z; negative before.
    fn now(&self) -> i64;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
    fn now(&self) -> i64 {
        let micros = |span: std::time::Duration| i64::try_from(span.as_micros());
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => micros(since).unwrap_or(i64::MAX),
            Err(before) => micros(before.duration()).map_or(i64::MIN, |micros| -micros),
        }
    }
}

/// A clock that stands still until it is told to move.
#[derive(Debug, Default)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// Stands at `micros` since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(micros: i64) -> Self {
        Self(AtomicI64::new(micros))
    }

    /// Moves the clock to `micros`, backwards too.
    pub fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }

    /// Moves the clock by `micros`.
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = FixedClock::new(7);
        assert_eq!((clock.now(), clock.now()), (7, 7));
        clock.advance(3);
        assert_eq!(clock.now(), 10);
        clock.set(-1);
        assert_eq!(clock.now(), -1);
    }

    #[test]
    fn the_system_clock_counts_microseconds_since_1970() {
        let start_of_2026 = 1_767_225_600_000_000;
        let start_of_2200 = 7_258_118_400_000_000;
        assert!((start_of_2026..start_of_2200).contains(&SystemClock.now()));
    }
}
