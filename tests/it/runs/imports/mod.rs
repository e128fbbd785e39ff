//! Runs that happened elsewhere: how reports are read, what holds of many, and what is shown of it.

mod histories;
mod logs;
mod merging;
mod reading;
mod reports;
mod states;
mod stored;

use packtrail::domain::run::import::{ImportItem, Imported, Known, RunReport};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// What is known beside reports, where a test does not look at it.
const KNOWN: Known = Known { since: 7, logged: 3, moved: 2 };

/// So many random cases a test has.
const CASES: u64 = 400;

/// The generators of as many cases, each with its seed.
fn cases() -> impl Iterator<Item = (u64, ChaCha8Rng)> {
    (0..CASES).map(|seed| (seed, ChaCha8Rng::seed_from_u64(seed)))
}

/// An item that is a report.
fn read(item: &Value) -> ImportItem {
    ImportItem::read(item.as_object().unwrap()).unwrap_or_else(|error| panic!("{error}: {item}")).unwrap()
}

/// The path and the message with which an item is refused.
fn refusal(item: &Value) -> (String, String) {
    match ImportItem::read(item.as_object().unwrap()) {
        Err(error) => (error.path.to_string(), error.message),
        Ok(read) => panic!("it is read: {read:?}"),
    }
}

fn report(item: &Value) -> RunReport {
    match read(item) {
        ImportItem::Run(report) => *report,
        other => panic!("no state: {other:?}"),
    }
}

/// What is known from one item alone.
fn imported(item: &Value) -> Imported {
    let mut imported = Imported::default();
    assert!(imported.add(read(item)));
    imported
}
