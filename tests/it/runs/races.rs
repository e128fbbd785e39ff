//! Decisions, cancellations and expiry at the same time, on both databases: one wins, and every answer fits
//! one order of the commands.

use std::collections::BTreeSet;

use packtrail::domain::run::{Decision, Refusal};
use packtrail::service::run::RunError;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::fixture::{create, decide, gate, hash_of, runs_at};
use super::pack::run;
use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::feed::NOW;
use crate::support::server::times;

/// What a client did and was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Decided(Decision, bool),
    Cancelled,
    AlreadyDecided(Decision),
    NotActive,
    Swept,
}

async fn act(api: &Api, hash: &str, choice: u32, client: u32) -> Told {
    let name = format!("client-{client}");
    let runs = runs_at(api, NOW + if choice == 4 { 61_000_000 } else { 59_000_000 });
    let decision = match choice {
        0 => Decision::Approved,
        1 => Decision::Rejected,
        2 => Decision::Expired,
        3 => {
            return match runs.cancel(&api.tenant, "r", &name).await {
                Ok(()) => Told::Cancelled,
                Err(RunError::Refused(Refusal::RunNotActive)) => Told::NotActive,
                Err(error) => panic!("{error}"),
            };
        }
        _ => {
            runs.sweep().await.unwrap();
            return Told::Swept;
        }
    };
    match runs.decide(&api.tenant, "r", &decide("late", decision, hash, &name)).await {
        Ok(decided) => Told::Decided(decided.decision, decided.resumed),
        Err(RunError::Refused(Refusal::AlreadyDecided)) => Told::AlreadyDecided(decision),
        Err(RunError::Refused(Refusal::RunNotActive)) => Told::NotActive,
        Err(error) => panic!("{error}"),
    }
}

/// What must hold of a history, whatever the order was.
fn check(told: &[Told], end: &Value, what: &str) {
    let decisions: BTreeSet<String> = told
        .iter()
        .filter_map(|told| match told {
            Told::Decided(decision, _) => Some(format!("{decision:?}")),
            _ => None,
        })
        .collect();
    assert!(decisions.len() <= 1, "{what}: two decisions were accepted: {told:?}");
    let approval = &end["approvals"]["nodes"][0];
    let decided = approval["decision"].as_str();
    if let Some(accepted) = decisions.first() {
        assert_eq!(decided, Some(accepted.to_uppercase().as_str()), "{what}: {told:?}");
    }
    for refused in told.iter().filter_map(|told| if let Told::AlreadyDecided(d) = told { Some(d) } else { None }) {
        let other = format!("{refused:?}").to_uppercase();
        assert!(decided.is_some() && decided != Some(other.as_str()), "{what}: refused for nothing: {told:?} {end:#}");
    }
    let status = end["status"].as_str().unwrap();
    let was_cancelled = told.contains(&Told::Cancelled);
    let resumed = told.iter().any(|told| matches!(told, Told::Decided(Decision::Approved, true)));
    let expected: &[&str] = match (was_cancelled, decided) {
        (true, _) => &["CANCELLED"],
        (false, Some("APPROVED")) => &["RUNNING"],
        (false, Some(_)) => &["FAILED"],
        (false, None) => &["AWAITING_APPROVAL"],
    };
    assert!(expected.contains(&status), "{what}: {status}, {told:?} {end:#}");
    let after = end["steps"]["nodes"][1]["status"].as_str().unwrap();
    // Approved and then cancelled: the gate passed, what follows it never ran.
    let gate = end["steps"]["nodes"][0]["status"].as_str().unwrap();
    assert_eq!(gate == "SUCCEEDED", resumed, "{what}: {told:?} {end:#}");
    assert_eq!(after == "PENDING", matches!(status, "RUNNING" | "AWAITING_APPROVAL"), "{what}: {end:#}");
    let log = end["logs"]["nodes"].as_array().unwrap();
    let count = |event: &str| log.iter().filter(|entry| entry["eventType"] == event).count();
    assert!(count("gate.approved") + count("gate.rejected") <= 1, "{what}: {end:#}");
    assert!(count("run.cancelled") + count("run.failed") <= 1, "{what}: {end:#}");
    for (n, entry) in log.iter().enumerate() {
        assert_eq!(entry["seq"], n + 1, "{what}: the log has a gap");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_commands_one_decides_and_nothing_goes_on_after_a_cancellation() {
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..times("PACKTRAIL_TEST_RACES", 12) {
            let api = std::sync::Arc::new(Api::new(&store, &format!("t{seed}")));
            create(&api, "r", json!([gate("wait", "late"), run("after")])).await;
            let hash = hash_of(&api, "r").await;
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let clients: Vec<_> = (0..8)
                .map(|client| {
                    let (api, hash, choice) = (std::sync::Arc::clone(&api), hash.clone(), random.random_range(0..5));
                    tokio::spawn(async move { act(&api, &hash, choice, client).await })
                })
                .collect();
            let mut told = Vec::new();
            for client in clients {
                told.push(client.await.unwrap());
            }
            let end = api
                .ask(
                    "{ run(runId: \"r\") { status steps { nodes { stepId status statusReason } }
                    approvals(last: 1) { nodes { approvalId decision } } logs(first: 100) { nodes { seq eventType } } } }",
                )
                .await;
            check(&told, &end["run"], &format!("history {seed}"));
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_creations_of_one_name_one_wins_and_of_one_key_all_have_its_run() {
    for database in Database::all() {
        let store = database.open().await;
        let api = std::sync::Arc::new(Api::new(&store, "t"));
        let manifest = super::pack::text(&super::pack::pack(json!([run("one")])));
        for round in 0..times("PACKTRAIL_TEST_RACES", 6) {
            for by_key in [false, true] {
                let tasks: Vec<_> = (0..8)
                    .map(|_| {
                        let (api, manifest) = (std::sync::Arc::clone(&api), manifest.clone());
                        let asked = packtrail::service::run::CreateRun {
                            run_id: (!by_key).then(|| format!("r{round}")),
                            manifest,
                            idempotency_key: by_key.then(|| format!("k{round}")),
                            ..Default::default()
                        };
                        tokio::spawn(async move { runs_at(&api, NOW).create("t", "a", asked).await })
                    })
                    .collect();
                let mut made = 0;
                let mut names = BTreeSet::new();
                for task in tasks {
                    match task.await.unwrap() {
                        Ok((name, created)) => {
                            made += usize::from(created);
                            names.insert(name);
                        }
                        Err(RunError::Exists) => assert!(!by_key),
                        Err(error) => panic!("{error}"),
                    }
                }
                assert_eq!((made, names.len()), (1, 1), "by key: {by_key}");
            }
        }
        store.close().await;
    }
}
