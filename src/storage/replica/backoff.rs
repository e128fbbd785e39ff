//! How long to wait before the next try, and the randomness for it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Waits that double from 100 ms to 2 s, each shortened by up to a half at random, so that servers
/// that lost the database together do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    pub(super) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        let part = u32::try_from(random() >> 32).unwrap_or(u32::MAX);
        wait.mul_f64(1.0 - f64::from(part) / f64::from(u32::MAX) / 2.0)
    }
}

/// A random number, from what the standard library seeds its hash maps with: no secret.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_seconds_and_vary_by_half() {
        let mut backoff = Backoff::new();
        for expected in [100, 200, 400, 800, 1600, 2000, 2000] {
            let expected = Duration::from_millis(expected);
            let wait = backoff.next();
            assert!(wait <= expected && wait >= expected / 2, "{wait:?} of {expected:?}");
        }
    }
}
