//! A log has each entry as often as the report that has it most often.

use std::collections::HashMap;

use packtrail::domain::run::import::{Entry, ImportItem, new_entries};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::reports::{self, RUN_ID};
use super::{cases, read};

/// How often each entry is there.
fn counts(entries: &[Entry]) -> HashMap<Entry, u32> {
    let mut counts = HashMap::new();
    for entry in entries {
        *counts.entry(entry.clone()).or_insert(0) += 1;
    }
    counts
}

/// The naive model: of each entry the most that a report has.
fn model(reports: &[Vec<Entry>]) -> HashMap<Entry, u32> {
    let mut most: HashMap<Entry, u32> = HashMap::new();
    for report in reports {
        for (entry, count) in counts(report) {
            let held = most.entry(entry).or_insert(0);
            *held = count.max(*held);
        }
    }
    most
}

/// A log as it would be stored.
#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
    known: HashMap<[u8; 32], u32>,
}

impl Log {
    /// Adds a report, and gives how many entries were new.
    fn add(&mut self, report: &[Entry]) -> usize {
        let new = new_entries(&self.known, report);
        assert!(new.is_sorted_by_key(|(place, ..)| *place), "in the order of the report");
        for (place, digest, count) in &new {
            assert_eq!(*digest, report[*place].digest());
            assert_eq!(*count, self.known.get(digest).copied().unwrap_or(0) + 1, "each makes one more");
            self.known.insert(*digest, *count);
            self.entries.push(report[*place].clone());
        }
        new.len()
    }
}

fn entries(item: &Value) -> Vec<Entry> {
    match read(item) {
        ImportItem::Log { entries, .. } => entries,
        other => panic!("no log: {other:?}"),
    }
}

/// Reports of few different entries.
fn some_reports(rng: &mut ChaCha8Rng) -> Vec<Vec<Entry>> {
    let pool: Vec<Value> = (0..4).map(|_| Value::Object(reports::entry(rng))).collect();
    let report = |rng: &mut ChaCha8Rng| {
        let picked: Vec<&Value> = (0..rng.random_range(0..8)).map(|_| &pool[rng.random_range(0..4)]).collect();
        entries(&json!({"kind": "RunLog", "runId": RUN_ID, "entries": picked}))
    };
    (0..rng.random_range(1..6)).map(|_| report(rng)).collect()
}

#[test]
fn a_log_has_what_the_model_says_whatever_the_order_of_reports() {
    for (seed, mut rng) in cases() {
        let mut reports = some_reports(&mut rng);
        let expected = model(&reports);
        for _ in 0..5 {
            let mut log = Log::default();
            for report in &reports {
                log.add(report);
            }
            assert_eq!(counts(&log.entries), expected, "seed {seed}");
            reports.shuffle(&mut rng);
        }
    }
}

#[test]
fn a_log_that_comes_again_in_whole_or_in_part_adds_nothing() {
    for (seed, mut rng) in cases() {
        let mut log = Log::default();
        for report in some_reports(&mut rng) {
            log.add(&report);
            assert_eq!(log.add(&report), 0, "seed {seed}");
        }
        let whole = log.entries.clone();
        assert_eq!(log.add(&whole), 0, "seed {seed}");
        let part: Vec<Entry> = whole.into_iter().filter(|_| rng.random_bool(0.5)).collect();
        assert_eq!(log.add(&part), 0, "seed {seed}");
    }
}

#[test]
fn the_first_report_of_a_log_is_the_log() {
    for (seed, mut rng) in cases() {
        let mut log = Log::default();
        let report = some_reports(&mut rng).concat();
        assert_eq!(log.add(&report), report.len(), "seed {seed}");
        assert_eq!(log.entries, report, "seed {seed}");
    }
}

#[test]
fn an_entry_is_what_it_says_without_its_number_and_its_spelling() {
    let entry = |timestamp: &str, more: Value| {
        let mut item = json!({
            "kind": "RunLog", "runId": RUN_ID, "timestamp": timestamp, "level": "info", "eventType": "step.log",
            "message": "hello",
        });
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entries(&item)[0].digest()
    };
    let time = "2025-12-06T10:00:00Z";
    let plain = entry(time, json!({}));
    for same in [json!({"seq": 7}), json!({"metadata": {}}), json!({"metadata": null}), json!({"pod": "a"})] {
        assert_eq!(entry(time, same), plain);
    }
    assert_eq!(entry("2025-12-06T11:00:00.0000000+01:00", json!({})), plain);
    for other in [
        json!({"message": "hello "}),
        json!({"level": "warn"}),
        json!({"eventType": "step.started"}),
        json!({"stepId": "build"}),
        json!({"metadata": {"a": ""}}),
    ] {
        assert_ne!(entry(time, other), plain);
    }
    assert_ne!(entry("2025-12-06T10:00:00.000001Z", json!({})), plain);
    let late = ["9999-12-31T23:59:59.999998Z", "9999-12-31T23:59:59.999999Z"].map(|time| entry(time, json!({})));
    assert_ne!(late[0], late[1], "late times are not rounded");
}
