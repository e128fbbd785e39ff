//! How much the writer takes into one transaction.
//!
//! A large transaction is cheaper an item, but whoever wants to write waits for its end. So it is bounded by number,
//! and by time as well while people or workers give commands.

use std::time::Duration;

/// How long a transaction may take while commands come: some of them wait for two, and have 50 ms in all.
const TURN: Duration = Duration::from_millis(20);
/// For how many transactions after a command the next one is reckoned with: a second or two.
const LOOKOUT: u32 = 64;
/// So many items are taken in any case. Some forty statements and a sync take as long as two dozen items, whatever
/// their number: with fewer, ingest loses more than half of its rate, and commands hardly wait less.
const LEAST: usize = 24;
/// What an item takes is the mean of about so many items.
const MEAN_OF: u64 = 128;
/// What an item is thought to take before any was written, nanoseconds.
const AT_FIRST: u64 = 500_000;

/// The bound of the next transaction, from what the last ones took and whether commands come.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    nanos_per_item: u64,
    commands: u64,
    lookout: u32,
}

impl Pace {
    /// At most so many items in a transaction.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, nanos_per_item: AT_FIRST, commands: 0, lookout: 0 }
    }

    /// How many items the next transaction may have, when so many commands were begun so far.
    pub fn room(&mut self, commands: u64) -> usize {
        self.lookout = if commands == self.commands { self.lookout.saturating_sub(1) } else { LOOKOUT };
        self.commands = commands;
        if self.lookout == 0 { self.most } else { fitting(self.nanos_per_item).min(self.most) }
    }

    /// Notes what a transaction of so many items took.
    pub fn note(&mut self, items: usize, took: Duration) {
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        if items == 0 {
            return;
        }
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let known = self.nanos_per_item.saturating_mul(MEAN_OF);
        self.nanos_per_item = known.saturating_add(took) / MEAN_OF.saturating_add(items);
    }
}

/// How many items fit into a transaction while commands come.
fn fitting(nanos_per_item: u64) -> usize {
    let turn = u64::try_from(TURN.as_nanos()).unwrap_or(u64::MAX);
    usize::try_from(turn / nanos_per_item.max(1)).unwrap_or(usize::MAX).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace that has seen items of so many microseconds.
    fn pace(most: usize, micros_per_item: u64) -> Pace {
        let mut pace = Pace::new(most);
        for _ in 0..100 {
            pace.note(100, Duration::from_micros(100 * micros_per_item));
        }
        pace
    }

    #[test]
    fn without_commands_a_transaction_is_bounded_by_number_alone() {
        assert_eq!(pace(512, 400).room(0), 512);
        assert_eq!(pace(512, 1_000_000).room(0), 512);
    }

    #[test]
    fn with_commands_it_has_what_fits_into_twenty_milliseconds() {
        for (micros, room) in [(400, 50), (800, 25), (100, 200), (1, 512), (1_000_000, LEAST)] {
            let found = pace(512, micros).room(1);
            assert!(found.abs_diff(room) <= 1 + room / 50, "{found} items of {micros} µs");
        }
        assert_eq!(Pace::new(512).room(1), 40, "before anything was measured");
        assert_eq!(pace(3, 1_000_000).room(1), 3, "never more than by number");
    }

    #[test]
    fn commands_are_reckoned_with_for_a_while_after_the_last() {
        let mut pace = pace(512, 400);
        let narrow = pace.room(1);
        assert!(narrow < 512);
        for _ in 1..LOOKOUT {
            assert_eq!(pace.room(1), narrow);
        }
        assert_eq!(pace.room(1), 512, "no command for {LOOKOUT} transactions");
        assert_eq!(pace.room(2), narrow, "another one");
    }

    #[test]
    fn few_items_say_little_of_what_one_takes() {
        let mut pace = pace(512, 400);
        let before = pace.room(1);
        pace.note(1, Duration::from_millis(4));
        pace.note(0, Duration::from_secs(1));
        assert!(pace.room(1) > before * 9 / 10, "one slow sync");
        pace.note(100, Duration::from_millis(400));
        pace.note(100, Duration::from_millis(400));
        pace.note(100, Duration::from_millis(400));
        assert!(pace.room(1) < before * 2 / 3, "three slow batches");
    }
}
