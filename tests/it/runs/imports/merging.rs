//! What holds of many reports does not depend on their order, nor on how often they come.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use packtrail::domain::run::ArtifactStatus;
use packtrail::domain::run::import::{ArtifactReport, ImportItem, Imported, MAX_ARTIFACTS, RunReport};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::reports::{self, RUN_ID};
use super::{cases, read};

/// The naive model: all reports that ever came, and of them the greatest.
fn model(items: &[ImportItem]) -> Imported {
    let states = items.iter().filter_map(|item| match item {
        ImportItem::Run(report) => Some(report.as_ref().clone()),
        _ => None,
    });
    let mut artifacts: BTreeMap<String, Vec<ArtifactReport>> = BTreeMap::new();
    for item in items {
        if let ImportItem::Artifact { artifact, .. } = item {
            artifacts.entry(artifact.name.clone()).or_default().push(artifact.clone());
        }
    }
    let holding =
        artifacts.into_iter().map(|(name, reports)| (name, reports.into_iter().max_by(later_artifact).unwrap()));
    Imported { state: states.max_by(later_state), artifacts: holding.collect() }
}

fn later_state(a: &RunReport, b: &RunReport) -> Ordering {
    (a.updated_at, digest(a)).cmp(&(b.updated_at, digest(b)))
}

fn later_artifact(a: &ArtifactReport, b: &ArtifactReport) -> Ordering {
    let rank = |status| match status {
        ArtifactStatus::Pending => 0,
        ArtifactStatus::Captured | ArtifactStatus::Failed => 1,
    };
    (rank(a.status), a.captured_at, digest(a)).cmp(&(rank(b.status), b.captured_at, digest(b)))
}

fn digest(report: &impl Serialize) -> Vec<u8> {
    Sha256::digest(serde_json_canonicalizer::to_vec(report).unwrap()).to_vec()
}

/// Up to five items of a run, some twice.
fn items(rng: &mut ChaCha8Rng) -> Vec<ImportItem> {
    let mut items: Vec<ImportItem> = Vec::new();
    for _ in 0..rng.random_range(0..=5) {
        let item = match (rng.random_range(0..4), items.is_empty()) {
            (0, false) => items[rng.random_range(0..items.len())].clone(),
            (1, _) => read(&reports::item(rng)),
            (2, _) => read(&reports::artifact(rng)),
            _ => read(&reports::state(rng)),
        };
        items.push(item);
    }
    items
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = orders(last);
    let with_last = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, last);
        order
    };
    shorter.iter().flat_map(|order| (0..=last).map(move |at| with_last(order, at))).collect()
}

fn fold<'a>(items: impl IntoIterator<Item = &'a ImportItem>) -> Imported {
    let mut imported = Imported::default();
    for item in items {
        let before = imported.clone();
        let is_changed = imported.add(item.clone());
        assert_eq!(is_changed, imported != before, "it tells whether it changed");
    }
    imported
}

#[test]
fn every_order_of_reports_comes_to_what_the_model_says() {
    for (seed, mut rng) in cases() {
        let items = items(&mut rng);
        let expected = model(&items);
        for order in orders(items.len()) {
            assert_eq!(fold(order.iter().map(|n| &items[*n])), expected, "seed {seed}, order {order:?}");
        }
    }
}

#[test]
fn reports_that_come_again_change_nothing() {
    for (seed, mut rng) in cases() {
        let items = items(&mut rng);
        let mut imported = fold(&items);
        for item in &items {
            assert!(!imported.add(item.clone()), "seed {seed}");
        }
        assert_eq!(imported, fold(&items), "seed {seed}");
    }
}

#[test]
fn parts_are_merged_in_any_grouping() {
    for (seed, mut rng) in cases() {
        let items = items(&mut rng);
        let (from, to) = (rng.random_range(0..=items.len()), rng.random_range(0..=items.len()));
        let (from, to) = (from.min(to), from.max(to));
        let [a, b, c] = [&items[..from], &items[from..to], &items[to..]].map(fold);
        let merged = |a: &Imported, b: &Imported| {
            let mut merged = a.clone();
            assert_eq!(merged.merge(b.clone()), merged != *a, "seed {seed}");
            merged
        };
        assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)), "seed {seed}");
        assert_eq!(merged(&a, &b), merged(&b, &a), "seed {seed}");
        assert_eq!(merged(&a, &a), a, "seed {seed}");
        assert_eq!(merged(&merged(&a, &b), &c), model(&items), "seed {seed}");
    }
}

#[test]
fn what_holds_is_kept_as_json_and_goes_on() {
    for (seed, mut rng) in cases() {
        let imported = fold(&items(&mut rng));
        let kept = serde_json::to_string(&imported).unwrap();
        assert_eq!(serde_json::from_str::<Imported>(&kept).unwrap(), imported, "seed {seed}");
    }
}

#[test]
fn spelling_does_not_make_another_report() {
    let mut rng = cases().nth(3).unwrap().1;
    let mut item = reports::state(&mut rng);
    item["updatedAt"] = json!("2025-12-06T10:00:01Z");
    let mut respelled = item.clone();
    respelled["updatedAt"] = json!("2025-12-06T11:00:01.000+01:00");
    respelled["note"] = json!("more");
    let mut imported = fold(&[read(&item)]);
    assert!(!imported.add(read(&respelled)));
}

#[test]
fn beyond_the_bound_the_first_names_hold_in_every_order() {
    let artifact = |n: usize, status: &str| {
        read(
            &json!({"kind": "RunArtifact", "runId": RUN_ID, "name": format!("{n:05}"), "type": "file", "status": status}),
        )
    };
    let count = MAX_ARTIFACTS + 5;
    let up: Vec<ImportItem> = (0..count).map(|n| artifact(n, "pending")).collect();
    let mut forwards = fold_fast(&up);
    let backwards = fold_fast(up.iter().rev());
    assert_eq!(forwards, backwards);
    assert_eq!(forwards.artifacts.len(), MAX_ARTIFACTS);
    assert_eq!(forwards.artifacts.keys().next_back().unwrap(), &format!("{:05}", MAX_ARTIFACTS - 1));
    assert!(!forwards.add(artifact(MAX_ARTIFACTS, "captured")));
    assert!(forwards.add(artifact(MAX_ARTIFACTS - 1, "captured")));
}

fn fold_fast<'a>(items: impl IntoIterator<Item = &'a ImportItem>) -> Imported {
    let mut imported = Imported::default();
    for item in items {
        imported.add(item.clone());
    }
    imported
}
