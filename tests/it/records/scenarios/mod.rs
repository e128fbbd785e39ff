//! Each finding opens and closes with its cause, whatever the order in which the records arrive.

mod cases;

use std::collections::BTreeSet;

use async_graphql::resolver_utils::EnumType as _;
use packtrail::graphql::types::enums::FindingCode;
use packtrail::storage::{FindingFilter, FindingOrder, Page, Store, StoredFinding};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use self::cases::{Expected, Scenario};
use super::model::{self, Input};
use crate::support::db::{Database, fetch};
use crate::support::ingest::{send, terms};

/// Orders of a scenario that a quick run tries on Postgres; the long run tries all on both.
const QUICK_ORDERS: usize = 3;
/// The most events that are permuted exhaustively: 720 orders.
const MOST_EVENTS: usize = 6;

fn is_long() -> bool {
    std::env::var_os("PACKTRAIL_TEST_SCENARIOS").is_some()
}

/// All orders of `n` events.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    assert!(n <= MOST_EVENTS, "{n} events have too many orders");
    let mut orders = vec![vec![]];
    for i in 0..n {
        let with_next =
            |order: Vec<usize>| (0..=order.len()).map(move |place| [&order[..place], &[i], &order[place..]].concat());
        orders = orders.into_iter().flat_map(with_next).collect();
    }
    orders
}

/// The orders that a run tries: all, or some by a seed.
fn orders(n: usize, most: Option<usize>) -> Vec<Vec<usize>> {
    let mut orders = permutations(n);
    if let Some(most) = most {
        orders.shuffle(&mut ChaCha8Rng::seed_from_u64(7));
        orders.truncate(most);
    }
    orders
}

fn ordered(events: &[Value], order: &[usize]) -> Vec<Value> {
    order.iter().map(|i| events[*i].clone()).collect()
}

/// The parts of a scenario: what is sent, and what is expected to be open then.
fn parts(scenario: &Scenario) -> [(Vec<Value>, &[Expected]); 2] {
    let whole = [&scenario.opening[..], &scenario.closing[..]].concat();
    [(scenario.opening.clone(), &scenario.opened), (whole, &scenario.closed)]
}

fn named(expected: &[Expected]) -> BTreeSet<(String, String, String)> {
    expected.iter().map(|e| (e.code.to_owned(), e.severity.to_owned(), e.subject.clone())).collect()
}

fn open_in_model(events: &[Value]) -> BTreeSet<(String, String, String)> {
    let inputs: Vec<Input> =
        events.iter().map(|item| Input::Item { source: "s".to_owned(), item: item.clone() }).collect();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let state = model::state(&inputs);
    let findings = state["s"]["findings"].as_array().cloned().unwrap_or_default();
    findings.iter().map(|f| (text(f, "code"), text(f, "severity"), text(f, "subject"))).collect()
}

async fn open_in_store(store: &Store, tenant: &str) -> Vec<StoredFinding> {
    let as_of = store.as_of_now(tenant).await.unwrap();
    as_of.list_findings(&FindingFilter::default(), FindingOrder::default(), &Page::first(100)).await.unwrap().rows
}

fn assert_open(found: &[StoredFinding], expected: &[Expected], place: &str) {
    let names: BTreeSet<(String, String, String)> =
        found.iter().map(|f| (f.code.clone(), f.severity.clone(), f.subject.clone())).collect();
    assert_eq!(names, named(expected), "{place}");
    for expected in expected {
        let found = found.iter().find(|f| f.code == expected.code && f.subject == expected.subject).unwrap();
        let detail: Value = serde_json::from_str(&found.detail).unwrap();
        for (member, value) in expected.detail.as_object().unwrap() {
            assert_eq!(&detail[member], value, "{place}: {} {member}", expected.code);
        }
    }
}

#[test]
fn every_code_has_a_scenario_that_opens_it_and_one_that_closes_it() {
    let scenarios = cases::all();
    let codes = |holds: fn(&Scenario) -> bool| -> BTreeSet<&str> {
        scenarios.iter().filter(|scenario| holds(scenario)).map(|scenario| scenario.code).collect()
    };
    // That of task packs is no record's: `runs::objectives`.
    let is_of_records = |code: &&str| *code != "OBJECTIVE_MISSED";
    let words = FindingCode::items().iter().filter_map(|item| item.value.word());
    let all: BTreeSet<&str> = words.filter(is_of_records).collect();
    assert_eq!(codes(Scenario::opens), all);
    assert_eq!(codes(Scenario::closes), all);
    let rewritten = scenarios.iter().flat_map(|scenario| &scenario.opened).filter(|e| e.code == "SPEC_REWRITTEN");
    assert_eq!(rewritten.map(|e| e.severity).collect::<BTreeSet<&str>>(), BTreeSet::from(["info", "error"]));
    let names: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), scenarios.len(), "a scenario has a name of its own");
}

#[test]
fn the_naive_model_gives_what_the_rules_say_in_every_order() {
    for scenario in cases::all() {
        for (events, expected) in parts(&scenario) {
            for order in permutations(events.len()) {
                let found = open_in_model(&ordered(&events, &order));
                assert_eq!(found, named(expected), "{}, {order:?}", scenario.name);
            }
        }
    }
}

/// Sends the events of a scenario in some orders: one by one, and as one batch. Where the order begins
/// with the opening part, what is open after that is checked on the way.
async fn try_orders(store: &Store, number: usize, scenario: &Scenario, most: Option<usize>) {
    let [(opening, _), (whole, _)] = parts(scenario);
    for (n, order) in orders(whole.len(), most).into_iter().enumerate() {
        let place = format!("{}, {order:?}", scenario.name);
        let begins_with_opening = order[..opening.len()].iter().all(|i| *i < opening.len());
        let events = ordered(&whole, &order);
        let alone = format!("s{number}-{n}");
        for (sent, event) in events.iter().enumerate() {
            send(store, &alone, &terms("s"), std::slice::from_ref(event)).await;
            if begins_with_opening && sent + 1 == opening.len() {
                assert_open(&open_in_store(store, &alone).await, &scenario.opened, &format!("{place}, opening"));
            }
        }
        assert_open(&open_in_store(store, &alone).await, &scenario.closed, &format!("{place}, one by one"));
        let together = format!("{alone}-batch");
        send(store, &together, &terms("s"), &events).await;
        assert_open(&open_in_store(store, &together).await, &scenario.closed, &format!("{place}, as one batch"));
    }
    send(store, &format!("s{number}"), &terms("s"), &opening).await;
    let opened = open_in_store(store, &format!("s{number}")).await;
    assert_open(&opened, &scenario.opened, &format!("{}, opening as one batch", scenario.name));
}

/// Runs every fourth scenario, so that the parts run beside each other.
async fn try_part(part: usize) {
    for database in Database::all() {
        let store = database.open().await;
        let is_quick = !is_long() && matches!(database, Database::Postgres { .. });
        for (number, scenario) in cases::all().iter().enumerate().filter(|(number, _)| number % 4 == part) {
            try_orders(&store, number, scenario, is_quick.then_some(QUICK_ORDERS)).await;
        }
        store.close().await;
    }
}

#[tokio::test]
async fn the_store_gives_what_the_rules_say_in_every_order_part_1() {
    try_part(0).await;
}

#[tokio::test]
async fn the_store_gives_what_the_rules_say_in_every_order_part_2() {
    try_part(1).await;
}

#[tokio::test]
async fn the_store_gives_what_the_rules_say_in_every_order_part_3() {
    try_part(2).await;
}

#[tokio::test]
async fn the_store_gives_what_the_rules_say_in_every_order_part_4() {
    try_part(3).await;
}

/// A stored row of a finding: from which commit, to which, its severity.
type Row = (i64, i64, String);

/// The stored rows of a code of a tenant.
async fn rows(url: &str, tenant: &str, code: &str) -> Vec<Row> {
    let question = format!(
        "SELECT f.from_seq, f.to_seq, f.severity FROM finding f JOIN tenant t ON t.id = f.tenant_id \
         WHERE t.name = '{tenant}' AND f.code = '{code}' ORDER BY f.from_seq"
    );
    fetch(url, &question).await
}

const OPEN: i64 = i64::MAX;

#[tokio::test]
async fn a_finding_that_was_cleared_on_the_way_is_ended_and_not_deleted() {
    let scenarios = cases::all();
    let scenario = |name: &str| scenarios.iter().find(|scenario| scenario.name == name).unwrap();
    let hole = scenario("a hole closes with the revision that was missing");
    let rollback = scenario("a pack's change is expected once the rollback between is seen");
    let back = scenario("what came back is gone again");
    let info = |from: i64, to: i64, severity: &str| (from, to, severity.to_owned());
    // In the order of the records, and with the last of all sent before what it explains.
    let cases: [(&str, &Scenario, &[usize], Vec<Row>); 6] = [
        ("hole", hole, &[0, 1, 2, 3], vec![info(3, 4, "warning")]),
        ("no-hole", hole, &[0, 1, 3, 2], vec![]),
        ("worse-first", rollback, &[0, 1, 2], vec![info(2, 3, "error"), info(3, OPEN, "info")]),
        ("never-worse", rollback, &[0, 2, 1], vec![info(2, OPEN, "info")]),
        ("back", back, &[0, 1, 2, 3], vec![info(3, 4, "warning")]),
        // Seen again, gone, and then seen to have been gone before: it came back and is gone in one.
        ("never-back", back, &[0, 2, 3, 1], vec![]),
    ];
    for database in Database::all() {
        let url = database.url().await;
        let store = database.open().await;
        for (tenant, scenario, order, expected) in &cases {
            let [_, (events, _)] = parts(scenario);
            for event in ordered(&events, order) {
                send(&store, tenant, &terms("s"), &[event]).await;
            }
            assert_eq!(rows(&url, tenant, scenario.code).await, *expected, "{tenant}");
        }
        store.close().await;
    }
}
