//! Who may have how much in flight, and how often.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The principal a request counts for. Authentication puts it into the request's extensions;
/// requests without one share [`PrincipalKey::anonymous`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrincipalKey {
    name: Arc<str>,
    is_worker: bool,
}

impl PrincipalKey {
    /// The key of a principal; workers may ask more often.
    #[must_use]
    pub fn new(name: Arc<str>, is_worker: bool) -> Self {
        Self { name, is_worker }
    }

    /// The key of requests nobody signed.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::new("anonymous".into(), false)
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
    of_workers: f64,
    now: Now,
    buckets: Mutex<HashMap<PrincipalKey, Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rate {
    /// Buckets that refill with `per_minute` tokens a minute, those of workers with `of_workers`.
    #[must_use]
    pub fn new(per_minute: u32, of_workers: u32, now: Now) -> Self {
        let [per_minute, of_workers] = [per_minute, of_workers].map(|tokens| f64::from(tokens.max(1)));
        Self { per_minute, of_workers, now, buckets: Mutex::default() }
    }

    /// How many tokens a bucket holds, and gets in a minute.
    fn size(&self, principal: &PrincipalKey) -> f64 {
        if principal.is_worker { self.of_workers } else { self.per_minute }
    }

    /// Takes `tokens` from the bucket of `principal`; more than a bucket holds counts as all of it.
    ///
    /// # Errors
    /// The whole seconds to wait until there are as many.
    pub fn take(&self, principal: &PrincipalKey, tokens: u32) -> Result<(), u64> {
        let size = self.size(principal);
        self.with_bucket(principal, |bucket| {
            let wanted = f64::from(tokens).min(size);
            if bucket.tokens < wanted {
                return Err(wait_for(wanted - bucket.tokens, size));
            }
            bucket.tokens -= wanted;
            Ok(())
        })
    }

    /// The whole seconds until [`Self::take`] can take `tokens`; at least one.
    #[must_use]
    pub fn wait(&self, principal: &PrincipalKey, tokens: u32) -> u64 {
        let size = self.size(principal);
        self.with_bucket(principal, |bucket| {
            let wanted = f64::from(tokens).min(size);
            wait_for((wanted - bucket.tokens).max(0.0), size)
        })
    }

    fn with_bucket<T>(&self, principal: &PrincipalKey, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let now = (self.now)();
        let mut buckets = locked(&self.buckets);
        self.forget_full(&mut buckets, now);
        let size = self.size(principal);
        let full = || Bucket { tokens: size, filled: now };
        let bucket = buckets.entry(principal.clone()).or_insert_with(full);
        bucket.tokens = level(bucket, size, now);
        bucket.filled = now;
        act(bucket)
    }

    /// A full bucket says nothing an absent one does not.
    fn forget_full(&self, buckets: &mut HashMap<PrincipalKey, Bucket>, now: Instant) {
        if buckets.len() >= REMEMBERED {
            buckets.retain(|principal, bucket| {
                let size = self.size(principal);
                level(bucket, size, now) < size
            });
        }
    }
}

/// The whole seconds until a bucket of a size has got what is missing.
fn wait_for(missing: f64, size: f64) -> u64 {
    let time = Duration::from_secs_f64(missing * 60.0 / size);
    let rest = u64::from(time.subsec_nanos() > 0);
    (time.as_secs() + rest).max(1)
}

fn level(bucket: &Bucket, size: f64, now: Instant) -> f64 {
    let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
    (bucket.tokens + passed * size / 60.0).min(size)
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
        let rate = Rate::new(60, 600, turned(&time));
        let key = |name: &str, is_worker| PrincipalKey::new(name.into(), is_worker);
        let (one, other, worker) = (key("one", false), key("other", false), key("worker", true));
        assert_eq!(rate.take(&worker, 600), Ok(()));
        assert_eq!(rate.take(&worker, 5), Err(1));
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
        let rate = Rate::new(60, 60, turned(&time));
        for number in 0..REMEMBERED {
            rate.take(&PrincipalKey::new(number.to_string().into(), false), 1).unwrap();
        }
        *time.lock().unwrap() += Duration::from_mins(1);
        rate.take(&PrincipalKey::anonymous(), 1).unwrap();
        assert_eq!(locked(&rate.buckets).len(), 1);
    }

    #[test]
    fn a_place_is_free_again_when_dropped() {
        let in_flight = InFlight::new(2, 1);
        let key = |name: &str| PrincipalKey::new(name.into(), false);
        let (one, other) = (key("one"), key("other"));
        let first = in_flight.enter(&one).ok().unwrap();
        assert_eq!(in_flight.enter(&one).err(), Some(Full::Principal));
        let _second = in_flight.enter(&other).ok().unwrap();
        assert_eq!(in_flight.enter(&other).err(), Some(Full::Server));
        drop(first);
        assert!(in_flight.enter(&one).is_ok());
    }
}
