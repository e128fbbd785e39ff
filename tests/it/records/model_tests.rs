//! Claims about the twin: order does not matter, the fleets meet every rule, and the hardest rules
//! give what a reader of the rules computes by hand.

use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::fleet::fleet;
use super::model::{Input, state};

/// 2026-05-04T10:00:00Z in microseconds.
const TEN: i64 = 1_777_888_800_000_000;

fn stamp(second: i64) -> String {
    format!("2026-05-04T10:{:02}:{:02}Z", second / 60, second % 60)
}

/// A record of a result: name, uid, birth second, spec.
fn result(name: &str, uid: &str, born: i64, spec: &Value) -> Value {
    record("PackOperationResult", "ns", name, uid, born, spec)
}

fn record(kind: &str, namespace: &str, name: &str, uid: &str, born: i64, spec: &Value) -> Value {
    json!({
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {
            "name": name, "namespace": namespace, "uid": uid, "creationTimestamp": stamp(born),
        },
    })
}

fn owned_by(mut object: Value, name: &str, uid: &str) -> Value {
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "seam.ontai.dev/v1", "kind": "PackExecution", "name": name, "uid": uid,
    }]);
    object
}

fn labelled(mut object: Value, name: &str, value: &str) -> Value {
    object["metadata"]["labels"][name] = json!(value);
    object
}

fn event(event_type: &str, second: i64, version: u64, object: &Value) -> Input {
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    item(json!({"type": event_type, "observedAt": stamp(second), "object": object}))
}

fn item(item: Value) -> Input {
    Input::Item { source: "s".into(), item }
}

fn snapshot(second: i64, items: Vec<Value>) -> Input {
    let (kinds, namespaces) = (vec![], vec![]);
    Input::Snapshot { source: "s".into(), kinds, namespaces, at: stamp(second), items }
}

/// The versions of an object as (from, to, end), seconds after ten.
fn versions(state: &Value, key: &str) -> Vec<(i64, Option<i64>, Option<String>)> {
    let second = |time: &Value| time.as_i64().map(|time| (time - TEN) / 1_000_000);
    let versions = state["s"]["objects"][key]["versions"].as_array().expect("the object exists");
    let version = |v: &Value| (second(&v["from"]).unwrap(), second(&v["to"]), end(v));
    versions.iter().map(version).collect()
}

fn end(version: &Value) -> Option<String> {
    version["end"].as_str().map(str::to_owned)
}

fn closed(from: i64, to: i64, end: &str) -> (i64, Option<i64>, Option<String>) {
    (from, Some(to), Some(end.to_owned()))
}

fn epochs<'a>(state: &'a Value, sequence: &str) -> &'a Vec<Value> {
    state["s"]["sequences"][sequence].as_array().expect("the sequence exists")
}

/// Codes of the findings on a subject.
fn codes(state: &Value, subject: &str) -> Vec<String> {
    let findings = state["s"]["findings"].as_array().expect("a source has findings");
    let on_it = findings.iter().filter(|finding| finding["subject"] == json!(subject));
    on_it.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

fn has_finding(state: &Value, code: &str, severity: &str, subject: &str) -> bool {
    let wanted = json!({"code": code, "severity": severity, "subject": subject});
    state["s"]["findings"].as_array().expect("a source has findings").contains(&wanted)
}

const A: &str = "PackOperationResult//ns/a/u1";

fn spec(revision: i64) -> Value {
    json!({"packExecutionRef": "pe", "revision": revision, "status": "Succeeded"})
}

fn following(revision: i64, previous: &str) -> Value {
    let mut spec = spec(revision);
    spec["previousRevisionRef"] = json!(previous);
    spec
}

// Laws -----------------------------------------------------------------------------------------

#[test]
fn any_order_of_inputs_gives_the_same_state() {
    for seed in 0..300 {
        let mut inputs = fleet(seed);
        let expected = state(&inputs);
        for shuffle in 0..3 {
            inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(shuffle));
            assert_eq!(state(&inputs), expected, "seed {seed}, shuffle {shuffle}");
        }
    }
}

#[test]
fn telling_everything_twice_changes_nothing() {
    for seed in 0..60 {
        let inputs = fleet(seed);
        let twice = [inputs.clone(), inputs.clone()].concat();
        assert_eq!(state(&twice), state(&inputs), "seed {seed}");
    }
}

#[test]
fn a_seed_always_gives_the_same_fleet_of_modest_size() {
    for seed in 0..300 {
        let (fleet_once, fleet_again) = (fleet(seed), fleet(seed));
        assert_eq!(format!("{fleet_once:?}"), format!("{fleet_again:?}"));
        let items: usize = fleet_once
            .iter()
            .map(|input| match input {
                Input::Item { .. } => 1,
                Input::Snapshot { items, .. } => items.len(),
            })
            .sum();
        assert!((5..=90).contains(&items), "seed {seed} has {items} items");
    }
}

#[test]
fn the_fleets_meet_every_code_end_status_gap_and_epoch_rule() {
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let state = state(&fleet(seed));
        collect(&state, &mut seen);
    }
    let wanted = [
        "code REVISION_GAP warning",
        "code STARTED_LATE info",
        "code REVISION_FORK error",
        "code BROKEN_LINK warning",
        "code SPEC_REWRITTEN error",
        "code SPEC_REWRITTEN info",
        "code TWO_ACTIVES warning",
        "code RESURRECTED warning",
        "code STATUS_INCONSISTENT warning",
        "code TIME_INCONSISTENT info",
        "code VERSION_REGRESSED info",
        "code ORPHAN_RESULT info",
        "code ORPHAN_EXECUTION info",
        "code RECEIPT_UNVERIFIED critical",
        "code RECEIPT_DRIFTED warning",
        "code DUPLICATE_RECEIPT info",
        "code PACK_VERSION_MISMATCH warning",
        "code CHART_MISMATCH warning",
        "code LAYER_DIGEST_MISMATCH error",
        "code SIGNATURE_MISMATCH error",
        "code EXECUTED_UNSIGNED error",
        "code EXECUTED_REVOKED error",
        "code DANGLING_RESULT_REF info",
        "subject family",
        "subject delivery",
        "subject sequence",
        "subject epoch",
        "end CHANGED",
        "end DELETED",
        "end SNAPSHOT",
        "end OWNER",
        "end SUCCESSOR",
        "status CONFLICTED",
        "status FORKED",
        "status BROKEN",
        "status INCOMPLETE",
        "status STARTED_LATE",
        "status COMPLETE",
        "kind HOLE",
        "kind BEFORE_FIRST_SEEN",
        "epoch unknown",
        "epoch uid",
        "epoch key",
        "object without uid",
        "rank 2",
        "rank 3",
        "sources 1",
        "sources 2",
    ];
    let missing: Vec<_> = wanted.iter().filter(|wanted| !seen.contains(**wanted)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}

#[test]
fn the_fleets_refute_inferred_closings_and_delete_without_time() {
    let (mut omissions, mut outlived, mut bare, mut bare_dumps) = (0, 0, 0, 0);
    for seed in 0..300 {
        let inputs = fleet(seed);
        let state = state(&inputs);
        for life in lives(&inputs, &state) {
            omissions += usize::from(life.refutes_an_omission());
            outlived += usize::from(life.outlives_its_owner());
        }
        for record in records(&inputs).iter().filter(|r| r.deleted && r.stamp.is_none()) {
            let metadata = &record.object["metadata"];
            if metadata["uid"].is_string() {
                bare += usize::from(metadata["resourceVersion"].is_null());
            } else {
                bare_dumps += 1;
            }
        }
    }
    let counts = (omissions, outlived, bare, bare_dumps);
    assert!(
        omissions > 50 && outlived > 20 && bare > 20 && bare_dumps > 10,
        "omissions, outlived, bare, bare dumps: {counts:?}"
    );
}

/// One record in a fleet, that of a listing included.
struct Record {
    source: String,
    stamp: Option<i64>,
    deleted: bool,
    object: Value,
}

fn micros(time: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(time).unwrap().timestamp_micros()
}

fn records(inputs: &[Input]) -> Vec<Record> {
    let record = |source: &str, item: &Value, listed: Option<i64>| Record {
        source: source.to_owned(),
        stamp: item["observedAt"].as_str().map(micros).or(listed),
        deleted: item["type"] == json!("DELETED"),
        object: item.get("object").unwrap_or(item).clone(),
    };
    let all = inputs.iter().flat_map(|input| match input {
        Input::Item { source, item } => vec![record(source, item, None)],
        Input::Snapshot { source, at, items, .. } => {
            let at = Some(micros(at));
            items.iter().map(|item| record(source, item, at)).collect()
        }
    });
    all.collect()
}

/// A uid that was only seen with stamps and resource versions, and never deleted.
struct Life {
    /// When it was last seen in a state not seen before.
    last: i64,
    /// When its last version closed, and how.
    closed: Option<i64>,
    end: String,
    /// Times of the listings that cover it and hold neither it nor anything without uid.
    omitted: Vec<i64>,
    /// When its owner closed, by a reported deletion.
    owner_closed: Option<i64>,
}

impl Life {
    fn refutes_an_omission(&self) -> bool {
        let stands = |at: &i64| *at > self.last && self.closed.is_none_or(|closed| closed > *at);
        self.omitted.iter().any(stands)
    }

    fn outlives_its_owner(&self) -> bool {
        self.end == "SNAPSHOT" && self.closed > self.owner_closed && self.owner_closed > Some(self.last)
    }
}

fn lives(inputs: &[Input], state: &Value) -> Vec<Life> {
    let records = records(inputs);
    let mut found = Vec::new();
    for (source, state) in state.as_object().unwrap() {
        let objects = state["objects"].as_object().unwrap();
        for (key, object) in objects {
            let parts: Vec<_> = key.split('/').collect();
            let is_own = |r: &&Record| r.source == *source && r.object["metadata"]["uid"] == parts[4];
            let own: Vec<_> = records.iter().filter(is_own).collect();
            let plain =
                |r: &&Record| !r.deleted && r.stamp.is_some() && r.object["metadata"]["resourceVersion"].is_string();
            if own.is_empty() || !own.iter().all(plain) {
                continue;
            }
            let first = |r: &&Record| {
                let same = own.iter().filter(|other| other.object == r.object);
                same.filter_map(|other| other.stamp).min()
            };
            let version = list(&object["versions"]).last().unwrap();
            let owners = own.last().unwrap().object["metadata"]["ownerReferences"].clone();
            let owner = list(&owners).last().map(|owner| owner["uid"].as_str().unwrap_or_default());
            let owner_closed = objects
                .iter()
                .filter(|(key, _)| owner.is_some_and(|uid| key.ends_with(&format!("/{uid}"))))
                .filter_map(|(_, owner)| list(&owner["versions"]).last())
                .filter(|version| version["end"] == json!("DELETED"))
                .find_map(|version| version["to"].as_i64());
            found.push(Life {
                last: own.iter().filter_map(first).max().unwrap(),
                closed: version["to"].as_i64(),
                end: end(version).unwrap_or_default(),
                omitted: omissions(inputs, source, &parts),
                owner_closed,
            });
        }
    }
    found
}

fn omissions(inputs: &[Input], of: &str, key: &[&str]) -> Vec<i64> {
    let covers = |words: &[String], word: &str| words.is_empty() || words.iter().any(|w| w == word);
    let omitted = inputs.iter().filter_map(|input| match input {
        Input::Snapshot { source, kinds, namespaces, at, items } => {
            let shown = |item: &Value| {
                let uid = &item.get("object").unwrap_or(item)["metadata"]["uid"];
                uid.is_null() || *uid == json!(key[4])
            };
            let omits = source == of && covers(kinds, key[0]) && covers(namespaces, key[2]);
            (omits && !items.iter().any(shown)).then(|| micros(at))
        }
        Input::Item { .. } => None,
    });
    omitted.collect()
}

#[test]
fn some_fleets_are_healthy_and_some_label_all_but_the_newest_result() {
    let (mut healthy, mut labelled) = (0, 0);
    for seed in 0..300 {
        let inputs = fleet(seed);
        let records = records(&inputs);
        let is_labelled = |uid: &Value| {
            let label = |r: &Record| r.object["metadata"]["labels"]["ontai.dev/superseded"].is_string();
            records.iter().any(|r| r.object["metadata"]["uid"] == *uid && label(r))
        };
        for source in state(&inputs).as_object().unwrap().values() {
            let all = source["sequences"].as_object().unwrap().values();
            let chains = all.clone().flat_map(list).filter(|epoch| {
                let rows: Vec<_> = list(&epoch["rows"]).collect();
                let older = rows.iter().rev().skip(1);
                rows.len() > 1
                    && epoch["active"] == epoch["head"]
                    && older.clone().all(|row| row["live"] == json!(true) && is_labelled(&row["uid"]))
            });
            labelled += chains.count();
            let complete = all.flat_map(list).all(|e| e["status"] == json!("COMPLETE"));
            let calm = complete && list(&source["findings"]).count() == 0;
            healthy += usize::from(calm && !source["sequences"].as_object().unwrap().is_empty());
        }
    }
    assert!(healthy > 10 && labelled > 50, "healthy {healthy}, labelled {labelled}");
}

/// Notes what of the rules a state shows.
fn collect(state: &Value, seen: &mut BTreeSet<String>) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let sources = state.as_object().unwrap();
    seen.insert(format!("sources {}", sources.len()));
    for source in sources.values() {
        for finding in source["findings"].as_array().unwrap() {
            seen.insert(format!("code {} {}", word(&finding["code"]), word(&finding["severity"])));
            let subject = word(&finding["subject"]);
            seen.insert(format!("subject {}", subject.split(':').next().unwrap()));
        }
        for (key, object) in source["objects"].as_object().unwrap() {
            if key.ends_with("/-") {
                seen.insert("object without uid".into());
            }
            for version in object["versions"].as_array().unwrap() {
                seen.insert(format!("end {}", word(&version["end"])));
            }
        }
        for epoch in source["sequences"].as_object().unwrap().values().flat_map(list) {
            seen.insert(format!("status {}", word(&epoch["status"])));
            seen.insert(format!("rank {}", epoch["rank"]));
            let uid = word(&epoch["uid"]);
            let kind = if uid == "unknown" { "unknown" } else { "uid" };
            seen.insert(format!("epoch {}", if uid.contains('/') { "key" } else { kind }));
            for gap in list(&epoch["gaps"]) {
                seen.insert(format!("kind {}", word(&gap["kind"])));
            }
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

// Observations and versions --------------------------------------------------------------------

#[test]
fn a_late_b_splits_the_run_of_a() {
    let a = result("a", "u1", 0, &spec(1));
    let b = labelled(a.clone(), "x", "b");
    let inputs = [event("ADDED", 1, 1, &a), event("MODIFIED", 9, 3, &a), event("MODIFIED", 5, 2, &b)];
    let expected = vec![closed(1, 5, "CHANGED"), closed(5, 9, "CHANGED"), (9, None, None)];
    assert_eq!(versions(&state(&inputs), A), expected);
}

#[test]
fn a_relisted_resource_version_is_no_new_observation() {
    let a = result("a", "u1", 0, &spec(1));
    let b = labelled(a.clone(), "x", "b");
    let inputs = [event("ADDED", 1, 1, &a), event("ADDED", 9, 1, &a), event("MODIFIED", 5, 2, &b)];
    assert_eq!(versions(&state(&inputs), A), vec![closed(1, 5, "CHANGED"), (5, None, None)]);
}

#[test]
fn an_unstamped_record_follows_the_stamped_ones_of_lower_resource_version() {
    let a = result("a", "u1", 0, &spec(1));
    let mut b = labelled(a.clone(), "x", "b");
    b["metadata"]["resourceVersion"] = json!("20");
    let inputs = [event("ADDED", 7, 9, &a), event("MODIFIED", 30, 21, &labelled(a, "x", "c")), item(b)];
    let expected = vec![closed(7, 7, "CHANGED"), closed(7, 30, "CHANGED"), (30, None, None)];
    assert_eq!(versions(&state(&inputs), A), expected);
}

#[test]
fn an_unstamped_record_of_known_content_adds_nothing() {
    let a = result("a", "u1", 0, &spec(1));
    let inputs = [event("ADDED", 7, 9, &a), item(a)];
    assert_eq!(versions(&state(&inputs), A), vec![(7, None, None)]);
}

#[test]
fn a_repeated_deletion_counts_once_unless_its_content_differs() {
    let a = result("a", "u1", 0, &spec(1));
    let b = labelled(a.clone(), "x", "b");
    let mut inputs = vec![event("ADDED", 1, 1, &a), event("DELETED", 5, 2, &a), event("DELETED", 6, 3, &a)];
    assert_eq!(versions(&state(&inputs), A), vec![closed(1, 5, "DELETED")]);
    inputs.push(event("DELETED", 7, 4, &b));
    let expected = vec![closed(1, 5, "DELETED"), closed(7, 7, "DELETED")];
    assert_eq!(versions(&state(&inputs), A), expected);
}

#[test]
fn a_deletion_with_other_content_is_a_moment_of_its_own() {
    let a = result("a", "u1", 0, &spec(1));
    let b = labelled(a.clone(), "x", "b");
    let inputs = [event("ADDED", 1, 1, &a), event("DELETED", 5, 2, &b)];
    let expected = vec![closed(1, 5, "CHANGED"), closed(5, 5, "DELETED")];
    assert_eq!(versions(&state(&inputs), A), expected);
}

#[test]
fn what_is_seen_after_its_deletion_is_resurrected() {
    let a = result("a", "u1", 0, &spec(1));
    let inputs = [event("DELETED", 5, 2, &a), event("ADDED", 1, 1, &a), event("MODIFIED", 8, 3, &a)];
    let state = state(&inputs);
    assert_eq!(versions(&state, A), vec![closed(1, 5, "DELETED"), (8, None, None)]);
    assert!(has_finding(&state, "RESURRECTED", "warning", &format!("object:{A}")));
}

#[test]
fn heartbeats_and_dialects_are_no_content() {
    let mut a = record("PackReceipt", "ont-system", "r", "u1", 0, &json!({"targetClusterRef": "c"}));
    a["status"] = json!({"lastDriftCheckAt": stamp(1), "conditions": [{"observedGeneration": 1}]});
    let mut b = a.clone();
    b["kind"] = json!("InfrastructurePackReceipt");
    b["apiVersion"] = json!("seam.ontai.dev/v1");
    b["status"] = json!({"conditions": [{"observedGeneration": 2}]});
    let state = state(&[event("ADDED", 1, 1, &a), event("MODIFIED", 5, 2, &b)]);
    assert_eq!(versions(&state, "PackReceipt/c/ont-system/r/u1"), vec![(1, None, None)]);
}

#[test]
fn what_cannot_be_a_record_leaves_no_trace() {
    let mut nameless = result("a", "u1", 0, &spec(1));
    nameless["metadata"]["name"] = json!("");
    let good = result("a", "u1", 0, &spec(1));
    let inputs = [
        item(nameless),
        event("ADDED", 1, 1, &result("a", "u1", 0, &spec(9_007_199_254_740_992))),
        event("BOOKMARK", 1, 1, &good),
        event("ERROR", 1, 1, &good),
    ];
    assert_eq!(state(&inputs), json!({}));
}

#[test]
fn a_bare_deletion_comes_after_all_that_was_seen_alive() {
    let a = result("a", "u1", 0, &spec(1));
    let gone = |object: &Value| item(json!({"type": "DELETED", "object": object}));
    let seen = [event("ADDED", 1, 1, &a), event("MODIFIED", 9, 2, &a)];
    let expected = vec![closed(1, 9, "DELETED")];
    let own = [&seen[..], &[gone(&a)]].concat();
    assert_eq!(versions(&state(&own), A), expected);
    // A dump lacks the uid, so its content is another.
    let expected = vec![closed(1, 9, "CHANGED"), closed(9, 9, "DELETED")];
    let attached = [&seen[..], &[gone(&dump(&a))]].concat();
    assert_eq!(versions(&state(&attached), A), expected);
    // Its own times count where they are later.
    let mut late = a.clone();
    late["metadata"]["deletionTimestamp"] = json!(stamp(20));
    let late = [&seen[..], &[gone(&late)]].concat();
    let expected = vec![closed(1, 20, "CHANGED"), closed(20, 20, "DELETED")];
    assert_eq!(versions(&state(&late), A), expected);
}

#[test]
fn a_bare_deletion_does_not_wait_for_mere_sightings() {
    // The second sighting and the dump are no observations of their own.
    let a = result("a", "u1", 0, &spec(1));
    let again = json!({"type": "ADDED", "observedAt": stamp(30), "object": dump(&a)});
    let inputs = [
        event("ADDED", 7, 1, &a),
        event("ADDED", 20, 1, &a),
        item(again),
        item(json!({"type": "DELETED", "object": a})),
    ];
    assert_eq!(versions(&state(&inputs), A), vec![closed(7, 7, "DELETED")]);
}

// Closings -------------------------------------------------------------------------------------

/// A record as a listing shows it.
fn versioned(object: &Value, version: u64) -> Value {
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
}

#[test]
fn an_omission_is_refuted_by_any_later_sight() {
    let a = result("a", "u1", 0, &spec(1));
    let base = [event("ADDED", 1, 1, &a), snapshot(5, vec![])];
    let end = |more: &[Input]| versions(&state(&[&base, more].concat()), A);
    let open = vec![(1, None, None)];
    assert_eq!(end(&[]), vec![closed(1, 5, "SNAPSHOT")]);
    assert_eq!(end(&[event("ADDED", 8, 1, &a)]), open, "a known version again");
    assert_eq!(end(&[snapshot(8, vec![versioned(&a, 1)])]), open, "listed");
    let dumped = json!({"type": "ADDED", "observedAt": stamp(8), "object": dump(&a)});
    assert_eq!(end(&[item(dumped)]), open, "dumped");
    assert_eq!(end(&[item(dump(&a))]), vec![closed(1, 5, "SNAPSHOT")], "no stamp");
    // Seen at five is evidence against a listing of five.
    assert_eq!(end(&[event("ADDED", 5, 1, &a)]), open);
    let again = [snapshot(8, vec![versioned(&a, 1)]), snapshot(12, vec![])];
    assert_eq!(end(&again), vec![closed(1, 12, "SNAPSHOT")], "omitted again");
}

#[test]
fn a_listed_item_is_observed_at_its_own_stamp_and_seen_at_the_listing() {
    let a = versioned(&result("a", "u1", 0, &spec(1)), 1);
    let listed = json!({"type": "ADDED", "observedAt": stamp(3), "object": a});
    let inputs = [snapshot(9, vec![listed.clone()]), snapshot(6, vec![])];
    assert_eq!(versions(&state(&inputs), A), vec![(3, None, None)]);
    let inputs = [snapshot(9, vec![listed]), snapshot(10, vec![])];
    assert_eq!(versions(&state(&inputs), A), vec![closed(3, 10, "SNAPSHOT")]);
}

#[test]
fn what_outlives_its_owner_ends_when_it_is_no_longer_listed() {
    let pe = record("PackExecution", "ns", "pe", "p1", 0, &json!({}));
    let a = owned_by(result("a", "u1", 2, &spec(1)), "pe", "p1");
    let base = [event("ADDED", 1, 1, &pe), event("ADDED", 2, 2, &a), event("DELETED", 8, 9, &pe)];
    let end = |more: &[Input]| versions(&state(&[&base, more].concat()), A);
    assert_eq!(end(&[event("ADDED", 8, 2, &a)]), vec![closed(2, 8, "OWNER")]);
    let listed = snapshot(10, vec![versioned(&a, 2)]);
    assert_eq!(end(std::slice::from_ref(&listed)), vec![(2, None, None)]);
    let omitted = [listed, snapshot(14, vec![])];
    assert_eq!(end(&omitted), vec![closed(2, 14, "SNAPSHOT")]);
}

#[test]
fn a_successor_closes_though_the_older_is_still_listed() {
    let (old, new) = (result("a", "u1", 0, &spec(1)), result("a", "u2", 20, &spec(2)));
    let inputs = [
        event("ADDED", 1, 1, &old),
        event("ADDED", 21, 2, &new),
        snapshot(25, vec![versioned(&old, 1), versioned(&new, 2)]),
    ];
    assert_eq!(versions(&state(&inputs), A), vec![closed(1, 20, "SUCCESSOR")]);
}

#[test]
fn a_snapshot_closes_what_it_omits_but_not_what_was_seen_later() {
    let a = result("a", "u1", 0, &spec(1));
    let inputs = [event("ADDED", 1, 1, &a), snapshot(5, vec![]), snapshot(9, vec![])];
    assert_eq!(versions(&state(&inputs), A), vec![closed(1, 5, "SNAPSHOT")]);
    let inputs = [event("ADDED", 5, 1, &a), snapshot(5, vec![])];
    assert_eq!(versions(&state(&inputs), A), vec![(5, None, None)]);
    let inputs = [event("ADDED", 1, 1, &a), snapshot(5, vec![]), event("MODIFIED", 9, 2, &a)];
    assert_eq!(versions(&state(&inputs), A), vec![(1, None, None)]);
}

#[test]
fn a_snapshot_lists_by_uid_or_by_what_attaches() {
    let a = result("a", "u1", 0, &spec(1));
    let mut bare = a.clone();
    bare["metadata"] = json!({"name": "a", "namespace": "ns"});
    let added = event("ADDED", 1, 1, &a);
    assert_eq!(versions(&state(&[added.clone(), snapshot(5, vec![bare.clone()])]), A).len(), 1);
    bare["spec"]["other"] = json!(true);
    let state = state(&[added, snapshot(5, vec![bare])]);
    assert_eq!(versions(&state, A), vec![closed(1, 5, "SNAPSHOT")]);
    assert_eq!(versions(&state, "PackOperationResult//ns/a/-"), vec![(5, None, None)]);
}

#[test]
fn the_successor_closes_at_its_birth_or_at_the_last_sight_of_the_older() {
    let (old, new) = (result("a", "u1", 0, &spec(1)), result("a", "u2", 20, &spec(1)));
    let mut inputs = vec![event("ADDED", 30, 3, &new), event("ADDED", 1, 1, &old)];
    assert_eq!(versions(&state(&inputs), A), vec![closed(1, 20, "SUCCESSOR")]);
    inputs.push(event("MODIFIED", 40, 4, &old));
    let state = state(&inputs);
    assert_eq!(versions(&state, A), vec![closed(1, 40, "SUCCESSOR")]);
    assert_eq!(versions(&state, "PackOperationResult//ns/a/u2"), vec![(30, None, None)]);
}

#[test]
fn the_closing_of_the_owner_closes_what_it_owns() {
    let pe = record("PackExecution", "ns", "pe", "p1", 0, &json!({}));
    let a = owned_by(result("a", "u1", 2, &spec(1)), "pe", "p1");
    let gone = [event("ADDED", 1, 1, &pe), event("ADDED", 2, 2, &a), event("DELETED", 8, 9, &pe)];
    assert_eq!(versions(&state(&gone), A), vec![closed(2, 8, "OWNER")]);
    let late = [event("ADDED", 1, 1, &pe), event("DELETED", 8, 9, &pe), event("ADDED", 9, 10, &a)];
    assert_eq!(versions(&state(&late), A), vec![(9, None, None)]);
}

#[test]
fn of_inferred_closings_at_one_time_the_snapshot_is_named() {
    let pe = record("PackExecution", "ns", "pe", "p1", 0, &json!({}));
    let a = owned_by(result("a", "u1", 2, &spec(1)), "pe", "p1");
    let inputs =
        [event("ADDED", 1, 1, &pe), event("ADDED", 2, 2, &a), event("DELETED", 8, 9, &pe), snapshot(8, vec![])];
    assert_eq!(versions(&state(&inputs), A), vec![closed(2, 8, "SNAPSHOT")]);
}

// Without uid ----------------------------------------------------------------------------------

fn dump(object: &Value) -> Value {
    let mut dump = object.clone();
    dump["metadata"].as_object_mut().unwrap().remove("uid");
    dump
}

#[test]
fn a_dump_attaches_to_its_twin_whenever_that_arrives() {
    let a = result("a", "u1", 0, &spec(1));
    let state = state(&[item(dump(&a)), event("ADDED", 5, 1, &a)]);
    assert_eq!(versions(&state, A), vec![(5, None, None)]);
    assert!(state["s"]["objects"].get("PackOperationResult//ns/a/-").is_none());
}

#[test]
fn a_dump_with_another_spec_stands_alone() {
    let (a, b) = (result("a", "u1", 9, &spec(1)), result("a", "u1", 3, &spec(2)));
    let state = state(&[item(dump(&b)), event("ADDED", 12, 1, &a)]);
    let expected = vec![closed(3, 9, "SUCCESSOR")];
    assert_eq!(versions(&state, "PackOperationResult//ns/a/-"), expected);
}

#[test]
fn of_two_twins_a_dump_takes_the_one_of_its_creation() {
    let (old, new) = (result("a", "u1", 0, &spec(1)), result("a", "u2", 20, &spec(1)));
    let gone = json!({"type": "DELETED", "observedAt": stamp(50), "object": dump(&old)});
    let state = state(&[event("ADDED", 1, 1, &old), event("ADDED", 21, 2, &new), item(gone)]);
    let expected = vec![closed(1, 50, "CHANGED"), closed(50, 50, "DELETED")];
    assert_eq!(versions(&state, A), expected);
    assert_eq!(versions(&state, "PackOperationResult//ns/a/u2"), vec![(21, None, None)]);
}

// Epochs ---------------------------------------------------------------------------------------

/// The uid of the epoch that has a row of an object.
fn epoch_of(state: &Value, sequence: &str, uid: &str) -> String {
    let epoch = epochs(state, sequence)
        .iter()
        .find(|epoch| list(&epoch["rows"]).any(|row| row["uid"] == json!(uid)))
        .expect("a row of the object");
    epoch["uid"].as_str().unwrap().to_owned()
}

#[test]
fn epoch_rule_1_is_the_owner() {
    let a = owned_by(result("a", "u1", 0, &spec(4)), "pe", "p1");
    assert_eq!(epoch_of(&state(&[event("ADDED", 1, 1, &a)]), "ns/pe", "u1"), "p1");
}

#[test]
fn epoch_rule_2_is_the_epoch_of_the_predecessor() {
    let a = owned_by(result("a", "u1", 0, &spec(1)), "pe", "p1");
    let b = result("b", "u2", 5, &following(2, "a"));
    let pe = record("PackExecution", "ns", "pe", "p2", 3, &json!({}));
    let inputs = [event("ADDED", 6, 2, &b), event("ADDED", 1, 1, &a), event("ADDED", 4, 3, &pe)];
    assert_eq!(epoch_of(&state(&inputs), "ns/pe", "u2"), "p1");
}

#[test]
fn epoch_rule_3_is_the_execution_that_lived() {
    let pe = record("PackExecution", "seam-system", "pe", "p2", 3, &json!({}));
    let a = result("a", "u1", 5, &spec(1));
    let mut inputs = vec![event("ADDED", 4, 3, &pe), event("ADDED", 6, 2, &a)];
    assert_eq!(epoch_of(&state(&inputs), "ns/pe", "u1"), "p2");
    inputs.push(event("DELETED", 4, 4, &pe));
    assert_eq!(epoch_of(&state(&inputs), "ns/pe", "u1"), "u1");
}

#[test]
fn epoch_rule_4_is_a_first_revision_of_its_own_even_without_uid() {
    let a = dump(&result("a", "u1", 0, &spec(1)));
    let state = state(&[item(a)]);
    let key = "PackOperationResult//ns/a/-";
    assert_eq!(epoch_of(&state, "ns/pe", key), key);
}

#[test]
fn epoch_rule_5_is_the_last_earlier_lower_result() {
    let inputs = [
        event("ADDED", 1, 1, &result("a", "u1", 0, &spec(1))),
        event("ADDED", 2, 2, &result("b", "u2", 2, &spec(1))),
        event("ADDED", 4, 3, &result("c", "u3", 4, &spec(3))),
    ];
    let state = state(&inputs);
    assert_eq!(epoch_of(&state, "ns/pe", "u3"), "u2");
    assert_eq!(epochs(&state, "ns/pe").len(), 2);
}

#[test]
fn epoch_rule_6_is_unknown() {
    let state = state(&[event("ADDED", 1, 1, &result("a", "u1", 0, &spec(3)))]);
    assert_eq!(epoch_of(&state, "ns/pe", "u1"), "unknown");
    let gaps = json!([{"kind": "BEFORE_FIRST_SEEN", "from": 1, "to": 2}]);
    assert_eq!(epochs(&state, "ns/pe")[0]["gaps"], gaps);
    assert_eq!(epochs(&state, "ns/pe")[0]["status"], json!("STARTED_LATE"));
}

// Chains ---------------------------------------------------------------------------------------

/// A result of the execution `p1`.
fn owned_result(name: &str, uid: &str, born: i64, spec: &Value) -> Input {
    let object = owned_by(result(name, uid, born, spec), "pe", "p1");
    event("ADDED", born, 1, &object)
}

#[test]
fn a_second_epoch_that_points_at_a_dying_first_did_not_start_late() {
    let old = owned_result("r1", "u1", 0, &spec(1));
    let new = owned_by(result("r2", "u2", 5, &following(2, "r1")), "pe", "p2");
    let state = state(&[event("ADDED", 6, 2, &new), old]);
    let epochs = epochs(&state, "ns/pe");
    assert_eq!((&epochs[1]["uid"], &epochs[1]["rank"]), (&json!("p2"), &json!(2)));
    assert_eq!(epochs[1]["gaps"], json!([]));
    assert_eq!(epochs[1]["status"], json!("COMPLETE"));
    assert_eq!(epochs[0]["active"], Value::Null);
    assert_eq!(epochs[1]["active"], json!({"revision": 2, "uid": "u2"}));
    assert_eq!(codes(&state, "sequence:ns/pe"), ["TWO_ACTIVES"]);
}

#[test]
fn one_revision_with_two_specs_forks_and_with_one_is_a_duplicate() {
    let mut other = spec(1);
    other["build"] = json!("y");
    let first = owned_result("x", "u1", 0, &spec(1));
    let state_of_fork = state(&[first.clone(), owned_result("y", "u2", 1, &other)]);
    let fork = json!([{"revision": 1, "members": ["u1", "u2"]}]);
    assert_eq!(epochs(&state_of_fork, "ns/pe")[0]["forks"], fork);
    assert_eq!(epochs(&state_of_fork, "ns/pe")[0]["status"], json!("FORKED"));
    let duplicate = state(&[first, owned_result("y", "u2", 1, &spec(1))]);
    assert_eq!(epochs(&duplicate, "ns/pe")[0]["forks"], json!([]));
}

#[test]
fn one_object_alone_is_no_fork() {
    // One object, two revisions, both after the same predecessor.
    let name = "pack-deploy-result-pe";
    let second = result(name, "u2", 1, &following(2, "r1"));
    let third = result(name, "u2", 1, &following(3, "r1"));
    let state = state(&[
        owned_result("r1", "u1", 0, &spec(1)),
        event("ADDED", 2, 2, &owned_by(second, "pe", "p1")),
        event("MODIFIED", 3, 3, &owned_by(third, "pe", "p1")),
    ]);
    assert_eq!(epochs(&state, "ns/pe")[0]["forks"], json!([]));
    assert_eq!(epochs(&state, "ns/pe")[0]["rows"].as_array().unwrap().len(), 3);
}

#[test]
fn two_children_of_one_predecessor_fork_at_the_lower_revision() {
    let inputs = [
        owned_result("r1", "u1", 0, &spec(1)),
        owned_result("r2", "u2", 1, &following(2, "r1")),
        owned_result("r3", "u3", 2, &following(3, "r1")),
    ];
    let state = state(&inputs);
    let fork = json!([{"revision": 2, "members": ["u2", "u3"]}]);
    assert_eq!(epochs(&state, "ns/pe")[0]["forks"], fork);
    // r3 also skips r2, which is seen; the worse status hides it, the finding does not.
    assert_eq!(codes(&state, "epoch:ns/pe@p1"), ["BROKEN_LINK", "REVISION_FORK"]);
}

#[test]
fn children_of_one_name_that_nobody_had_fork_too() {
    let inputs =
        [owned_result("r2", "u2", 1, &following(2, "gone")), owned_result("r3", "u3", 2, &following(4, "gone"))];
    let state = state(&inputs);
    assert_eq!(codes(&state, "epoch:ns/pe@p1"), ["REVISION_FORK", "REVISION_GAP", "STARTED_LATE"]);
}

#[test]
fn a_link_is_broken_to_itself_upward_or_past_a_known_predecessor() {
    let broken = |inputs: &[Input]| {
        let state = state(inputs);
        codes(&state, "epoch:ns/pe@p1").contains(&"BROKEN_LINK".to_owned())
    };
    let first = owned_result("r1", "u1", 0, &spec(1));
    let second = owned_result("r2", "u2", 1, &following(2, "r1"));
    assert!(!broken(&[first.clone(), second.clone()]));
    assert!(broken(&[owned_result("r2", "u2", 1, &following(2, "r2"))]), "to itself");
    let upward = owned_result("r2", "u2", 1, &following(2, "r3"));
    let third = owned_result("r3", "u3", 0, &spec(3));
    assert!(broken(&[upward, third]), "upward");
    let elsewhere = owned_result("r2", "u2", 1, &following(2, "gone"));
    assert!(broken(&[first.clone(), elsewhere.clone()]), "past a known predecessor");
    assert!(!broken(&[elsewhere]), "to an unseen predecessor");
    assert!(!broken(&[first, owned_result("r2", "u2", 1, &spec(2))]), "nowhere");
}

#[test]
fn a_jump_is_a_hole() {
    let state = state(&[owned_result("r2", "u2", 0, &spec(2)), owned_result("r6", "u6", 1, &following(6, "r5"))]);
    let gaps = json!([
        {"kind": "BEFORE_FIRST_SEEN", "from": 1, "to": 1}, {"kind": "HOLE", "from": 3, "to": 5},
    ]);
    assert_eq!(epochs(&state, "ns/pe")[0]["gaps"], gaps);
    assert_eq!(epochs(&state, "ns/pe")[0]["status"], json!("INCOMPLETE"));
}

#[test]
fn a_result_written_in_place_has_a_row_a_revision_and_one_life() {
    let name = "pack-deploy-result-pe";
    let (first, second) = (result(name, "u1", 0, &spec(1)), result(name, "u1", 0, &spec(2)));
    let state = state(&[event("ADDED", 1, 1, &first), event("MODIFIED", 5, 2, &second)]);
    let rows = json!([
        {"revision": 1, "uid": "u1", "live": false}, {"revision": 2, "uid": "u1", "live": true},
    ]);
    assert_eq!(epochs(&state, "ns/pe")[0]["rows"], rows);
    assert_eq!(epochs(&state, "ns/pe")[0]["status"], json!("COMPLETE"));
    let subject = format!("object:PackOperationResult//ns/{name}/u1");
    assert!(has_finding(&state, "SPEC_REWRITTEN", "info", &subject));
}

#[test]
fn a_sealed_result_that_is_rewritten_conflicts() {
    let (first, second) = (result("a", "u1", 0, &spec(1)), result("a", "u1", 0, &spec(2)));
    let state = state(&[event("ADDED", 1, 1, &first), event("MODIFIED", 5, 2, &second)]);
    assert!(has_finding(&state, "SPEC_REWRITTEN", "error", &format!("object:{A}")));
    assert_eq!(epochs(&state, "ns/pe")[0]["status"], json!("CONFLICTED"));
}

// References and findings ----------------------------------------------------------------------

#[test]
fn a_result_reference_prefers_the_executions_own_result() {
    let mut pe = record("PackExecution", "ns", "pe", "p1", 0, &json!({}));
    pe["status"] = json!({"operationResultRef": "r1"});
    let own = owned_by(result("r1", "u1", 2, &spec(1)), "pe", "p1");
    let unborn = event("ADDED", 1, 5, &pe);
    let state_of = |inputs: &[Input]| codes(&state(inputs), "object:PackExecution//ns/pe/p1");
    assert_eq!(state_of(&[unborn, event("ADDED", 3, 6, &own)]), ["DANGLING_RESULT_REF"]);
    let later = event("MODIFIED", 4, 7, &pe);
    assert!(state_of(&[later, event("ADDED", 3, 6, &own)]).is_empty());
}

#[test]
fn an_execution_is_judged_by_its_pack_as_it_was_when_executed() {
    let pack = |signed: bool, seen: i64, version: u64| {
        let mut pack = record("ClusterPack", "seam-system", "p", "k1", 0, &json!({}));
        pack["status"] = json!({"signed": signed});
        event("MODIFIED", seen, version, &pack)
    };
    let mut pe = record("PackExecution", "ns", "pe", "p1", 1, &json!({"clusterPackRef": "p"}));
    pe["status"]["conditions"] = json!([{"type": "Running", "status": "True", "lastTransitionTime": stamp(10)}]);
    let executed = event("ADDED", 30, 9, &pe);
    let state_of = |inputs: &[Input]| codes(&state(inputs), "object:PackExecution//ns/pe/p1");
    let unsigned = [pack(false, 5, 1), pack(true, 15, 2), executed.clone()];
    assert_eq!(state_of(&unsigned), ["EXECUTED_UNSIGNED"]);
    assert!(state_of(&[pack(true, 5, 1), pack(false, 15, 2), executed]).is_empty());
}

#[test]
fn a_reference_changed_in_place_is_read_when_it_changed() {
    let to = |pack: &str| record("PackExecution", "ns", "pe", "p1", 1, &json!({"clusterPackRef": pack}));
    let late = record("ClusterPack", "ns", "late", "k1", 20, &json!({}));
    let early = record("ClusterPack", "ns", "early", "k2", 0, &json!({}));
    let packs = [event("ADDED", 20, 1, &late), event("ADDED", 1, 1, &early)];
    let orphan = |executions: &[Input]| {
        let state = state(&[&packs, executions].concat());
        codes(&state, "object:PackExecution//ns/pe/p1").contains(&"ORPHAN_EXECUTION".to_owned())
    };
    assert!(orphan(&[event("ADDED", 30, 2, &to("late"))]), "born before the pack");
    assert!(!orphan(&[event("ADDED", 5, 2, &to("early")), event("MODIFIED", 30, 3, &to("late"))]));
}

#[test]
fn a_false_claim_stands_beyond_the_end_of_its_receipt_and_drift_does_not() {
    let mut receipt = record("PackReceipt", "ont-system", "r", "u1", 0, &json!({"targetClusterRef": "c"}));
    receipt["status"] = json!({"verified": false, "driftStatus": "Drifted"});
    let mut inputs = vec![event("ADDED", 1, 1, &receipt)];
    let subject = "object:PackReceipt/c/ont-system/r/u1";
    assert_eq!(codes(&state(&inputs), subject), ["RECEIPT_DRIFTED", "RECEIPT_UNVERIFIED"]);
    inputs.push(event("DELETED", 5, 2, &receipt));
    assert_eq!(codes(&state(&inputs), subject), ["RECEIPT_UNVERIFIED"]);
}

#[test]
fn pack_versions_compare_by_numbers_and_regress_on_one_uid() {
    let pack = |version: &str| record("ClusterPack", "ns", "p", "u1", 0, &json!({"version": version}));
    let regressed = |before: &str, after: &str| {
        let inputs = [event("ADDED", 1, 1, &pack(before)), event("MODIFIED", 2, 2, &pack(after))];
        codes(&state(&inputs), "object:ClusterPack//ns/p/u1").contains(&"VERSION_REGRESSED".to_owned())
    };
    assert!(regressed("v4.10.0-r1", "v4.9.0-r1"));
    assert!(!regressed("v4.9.0-r1", "v4.10"));
    assert!(regressed("v1.0.0-r2", "1.0"));
    assert!(!regressed("v2.0.0", "latest"));
}
