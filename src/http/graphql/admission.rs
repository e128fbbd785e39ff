//! Who may have how much in flight, and how often.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The principal a request counts for. Authentication puts it into the request's extensions;
/// requests without one share [`PrincipalKey::anonymous`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrincipalKey(pub Arc<str>);

impl PrincipalKey {
    /// The key of requests nobody signed.
    #[must_use]
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }
}

/// A source of monotonic time; a parameter so that tests can turn it by hand.
pub type Now = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Principals remembered before those with full buckets are forgotten.
const REMEMBERED: usize = 10_000;

/// Token buckets, one a principal. A bucket holds a minute's worth, so that a burst after a pause
/// is served at once.
pub struct Rate {
    per_minute: f64,
    now: Now,
    buckets: Mutex<HashMap<PrincipalKey, Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rate {
    /// Buckets that refill with `per_minute` tokens a minute.
    #[must_use]
    pub fn new(per_minute: u32, now: Now) -> Self {
        Self { per_minute: f64::from(per_minute.max(1)), now, buckets: Mutex::default() }
    }

    /// Takes `tokens` from the bucket of `principal`; more than a bucket holds counts as all of it.
    ///
    /// # Errors
    /// The whole seconds to wait until there are as many.
    pub fn take(&self, principal: &PrincipalKey, tokens: u32) -> Result<(), u64> {
        self.with_bucket(principal, |bucket| {
            let wanted = f64::from(tokens).min(self.per_minute);
            if bucket.tokens < wanted {
                return Err(self.wait_for(wanted - bucket.tokens));
            }
            bucket.tokens -= wanted;
            Ok(())
        })
    }

    /// The whole seconds until [`Self::take`] can take `tokens`; at least one.
    #[must_use]
    pub fn wait(&self, principal: &PrincipalKey, tokens: u32) -> u64 {
        self.with_bucket(principal, |bucket| {
            let wanted = f64::from(tokens).min(self.per_minute);
            self.wait_for((wanted - bucket.tokens).max(0.0))
        })
    }

    fn with_bucket<T>(&self, principal: &PrincipalKey, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let now = (self.now)();
        let mut buckets = locked(&self.buckets);
        self.forget_full(&mut buckets, now);
        let full = || Bucket { tokens: self.per_minute, filled: now };
        let bucket = buckets.entry(principal.clone()).or_insert_with(full);
        bucket.tokens = self.level(bucket, now);
        bucket.filled = now;
        act(bucket)
    }

    fn wait_for(&self, missing: f64) -> u64 {
        let time = Duration::from_secs_f64(missing * 60.0 / self.per_minute);
        let rest = u64::from(time.subsec_nanos() > 0);
        (time.as_secs() + rest).max(1)
    }

    fn level(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        (bucket.tokens + passed * self.per_minute / 60.0).min(self.per_minute)
    }

    /// A full bucket says nothing an absent one does not.
    fn forget_full(&self, buckets: &mut HashMap<PrincipalKey, Bucket>, now: Instant) {
        if buckets.len() >= REMEMBERED {
            buckets.retain(|_, bucket| self.level(bucket, now) < self.per_minute);
        }
    }
}

/// Counts of operations in flight.
pub struct InFlight {
    all: usize,
    each: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    each: HashMap<PrincipalKey, usize>,
}

/// Which count is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The server's.
    Server,
    /// The principal's own.
    Principal,
}

/// One operation in flight, until dropped.
pub struct Place {
    owner: Arc<InFlight>,
    principal: PrincipalKey,
}

impl InFlight {
    /// Room for `all` operations, `each` of them for one principal.
    #[must_use]
    pub fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, counts: Mutex::default() })
    }

    /// Takes a place for `principal`.
    ///
    /// # Errors
    /// [`Full`] when there is none.
    pub fn enter(self: &Arc<Self>, principal: &PrincipalKey) -> Result<Place, Full> {
        let mut counts = locked(&self.counts);
        if counts.all >= self.all {
            return Err(Full::Server);
        }
        let mine = counts.each.get(principal).copied().unwrap_or(0);
        if mine >= self.each {
            return Err(Full::Principal);
        }
        counts.all += 1;
        counts.each.insert(principal.clone(), mine + 1);
        Ok(Place { owner: Arc::clone(self), principal: principal.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = locked(&self.owner.counts);
        counts.all = counts.all.saturating_sub(1);
        if let Some(mine) = counts.each.get_mut(&self.principal) {
            *mine = mine.saturating_sub(1);
            if *mine == 0 {
                counts.each.remove(&self.principal);
            }
        }
    }
}

/// Counts stay right if a holder panics: each change is one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(time: &Arc<Mutex<Instant>>) -> Now {
        let time = Arc::clone(time);
        Arc::new(move || *time.lock().unwrap())
    }

    #[test]
    fn a_bucket_empties_and_refills_with_time() {
        let time = Arc::new(Mutex::new(Instant::now()));
        let rate = Rate::new(60, turned(&time));
        let (one, other) = (PrincipalKey("one".into()), PrincipalKey("other".into()));
        assert_eq!(rate.take(&one, 60), Ok(()));
        assert_eq!(rate.take(&one, 5), Err(5));
        assert_eq!(rate.take(&other, 5), Ok(()));
        *time.lock().unwrap() += Duration::from_secs(5);
        assert_eq!(rate.take(&one, 5), Ok(()));
        assert_eq!(rate.take(&one, 1), Err(1));
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let time = Arc::new(Mutex::new(Instant::now()));
        let rate = Rate::new(60, turned(&time));
        for number in 0..REMEMBERED {
            rate.take(&PrincipalKey(number.to_string().into()), 1).unwrap();
        }
        *time.lock().unwrap() += Duration::from_mins(1);
        rate.take(&PrincipalKey::anonymous(), 1).unwrap();
        assert_eq!(locked(&rate.buckets).len(), 1);
    }

    #[test]
    fn a_place_is_free_again_when_dropped() {
        let in_flight = InFlight::new(2, 1);
        let (one, other) = (PrincipalKey("one".into()), PrincipalKey("other".into()));
        let first = in_flight.enter(&one).ok().unwrap();
        assert_eq!(in_flight.enter(&one).err(), Some(Full::Principal));
        let _second = in_flight.enter(&other).ok().unwrap();
        assert_eq!(in_flight.enter(&other).err(), Some(Full::Server));
        drop(first);
        assert!(in_flight.enter(&one).is_ok());
    }
}
