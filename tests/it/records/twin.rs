//! Random fleets, in random orders and batches, against the naive model.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::fleet::fleet;
use super::model;
use super::model::lineage::edges;
use super::samples::pretty_assertions;
use packtrail::service::rebuild::{follow_rules, rebuild};

use crate::lineage::edges::{assert_same_edges, stored_edges};
use crate::support::db::{Database, execute, fetch};
use crate::support::ingest::{NOW, send_all, state};

/// How many fleets a quick run tries on each database; the long run tries thousands.
fn fleets() -> u64 {
    std::env::var("PACKTRAIL_TEST_FLEETS").ok().and_then(|count| count.parse().ok()).unwrap_or(25)
}

#[tokio::test]
async fn random_fleets_in_any_order_equal_the_naive_model() {
    for database in Database::all() {
        let url = database.url().await;
        let store = database.open().await;
        for seed in 0..fleets() {
            let mut inputs = fleet(seed);
            let expected = model::state(&inputs);
            inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            let tenant = format!("t{seed}");
            send_all(&store, &tenant, &inputs, 1 + usize::try_from(seed).unwrap() % 9).await;
            pretty_assertions(&state(&store, &tenant).await, &expected, &format!("fleet {seed}"));
            let head = store.head(&tenant).await.unwrap();
            assert_same_edges(&stored_edges(&url, &tenant, head).await, &edges(&inputs), &format!("fleet {seed}"));
            for source in expected.as_object().unwrap().keys() {
                let report = rebuild(&store, &tenant, source, true, NOW).await.unwrap();
                assert!(report.is_clean(), "fleet {seed}: {report:?}");
            }
        }
        store.close().await;
    }
}

#[tokio::test]
async fn every_tenth_commit_reads_back_as_a_store_that_knows_only_that_much() {
    for database in Database::all() {
        let url = database.url().await;
        let store = database.open().await;
        for seed in 0..=fleets() / 5 {
            let mut inputs = fleet(seed);
            inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed + 1));
            let tenant = format!("t{seed}");
            let mut commits: Vec<(i64, usize)> = Vec::new();
            for (n, input) in inputs.iter().enumerate() {
                send_all(&store, &tenant, std::slice::from_ref(input), 1).await;
                let head = store.head(&tenant).await.unwrap();
                // Of the items that made no commit, all belong to the prefix.
                commits.retain(|(seq, _)| *seq != head);
                commits.push((head, n + 1));
            }
            for (seq, taken) in commits.into_iter().filter(|(seq, _)| seq % 10 == 0) {
                let expected = model::state(&inputs[..taken]);
                let found = store.dump(&tenant, seq).await.unwrap();
                pretty_assertions(&found, &expected, &format!("fleet {seed} as of {seq}"));
                let found = stored_edges(&url, &tenant, seq).await;
                assert_same_edges(&found, &edges(&inputs[..taken]), &format!("fleet {seed} as of {seq}"));
            }
        }
        store.close().await;
    }
}

#[tokio::test]
async fn rebuild_agrees_and_finds_what_was_planted() {
    for database in Database::all() {
        let url = database.url().await;
        let store = database.open().await;
        let inputs = fleet(3);
        send_all(&store, "t", &inputs, 4).await;
        let before = state(&store, "t").await;
        let listings = listed(&url).await;
        let sources: Vec<String> = before.as_object().unwrap().keys().cloned().collect();
        for source in &sources {
            let report = rebuild(&store, "t", source, true, NOW).await.unwrap();
            assert!(report.is_clean() && report.keys > 0, "{report:?}");
        }
        for plant in [
            "UPDATE epoch SET status = 'COMPLETE', head_revision = 99",
            "DELETE FROM finding",
            "UPDATE revision SET live = 1 - live",
            "UPDATE version SET to_at = 5, end_kind = 'DELETED' WHERE to_at IS NULL",
            "UPDATE state SET live = 1 - live",
            "UPDATE operation SET cluster_id = 0, counted_at = 7",
            "DELETE FROM operation",
            "DELETE FROM posting",
            "DELETE FROM thing",
            "UPDATE posting SET born_at = 3",
            "DELETE FROM document",
            "UPDATE document SET words = ' other '",
            "UPDATE document SET born_at = 3, key_hash = 4",
            "DELETE FROM listing",
            "UPDATE state SET base_pack = 'x', changed_at = 0",
            "DELETE FROM mention",
            "DELETE FROM lineage WHERE kind = 4",
            "UPDATE lineage SET field = 1, attribute = 'x' WHERE kind = 2",
        ] {
            execute(&url, plant).await;
            let mut surplus = 0;
            for source in &sources {
                let planted = rebuild(&store, "t", source, true, NOW).await.unwrap();
                surplus += planted.surplus + planted.missing;
                let mended = rebuild(&store, "t", source, false, NOW).await.unwrap();
                assert_eq!(planted.is_clean(), mended.commits == 0, "{plant}: {mended:?}");
                let again = rebuild(&store, "t", source, true, NOW).await.unwrap();
                assert!(again.is_clean(), "{plant}: {again:?}");
            }
            assert!(surplus > 0, "{plant} was not noticed");
            pretty_assertions(&state(&store, "t").await, &before, plant);
            assert_eq!(listed(&url).await, listings, "{plant}");
        }
        store.close().await;
    }
}

/// The listings that hold now, however often each.
async fn listed(url: &str) -> Vec<(i64, i64, i64, i64)> {
    let rows =
        "SELECT term, place, key_hash, object_id FROM listing WHERE to_seq = 9223372036854775807 ORDER BY 1, 2, 3, 4";
    fetch(url, rows).await
}

#[tokio::test]
async fn a_store_of_older_rules_is_derived_anew_before_it_answers() {
    for database in Database::all() {
        let url = database.url().await;
        let store = database.open().await;
        send_all(&store, "t", &fleet(3), 4).await;
        let (before, listings) = (state(&store, "t").await, listed(&url).await);
        let edges = stored_edges(&url, "t", store.head("t").await.unwrap()).await;
        assert!(!edges.is_empty());
        follow_rules(&store, false, NOW).await.unwrap();
        // As older rules left it: without listings, and with facts that lack what the new ones ask for.
        for older in [
            "UPDATE tenant SET rules = 1",
            "DELETE FROM listing",
            "DELETE FROM lineage",
            "UPDATE state SET base_pack = '', changed_at = 0",
            "UPDATE content SET facts = '{}'",
        ] {
            execute(&url, older).await;
        }
        let refused = follow_rules(&store, false, NOW).await.unwrap_err();
        assert!(refused.to_string().contains("packtrail migrate"), "{refused}");
        follow_rules(&store, true, NOW).await.unwrap();
        pretty_assertions(&state(&store, "t").await, &before, "derived anew");
        assert_eq!(listed(&url).await, listings);
        assert_same_edges(&stored_edges(&url, "t", store.head("t").await.unwrap()).await, &edges, "derived anew");
        follow_rules(&store, false, NOW).await.unwrap();
        store.close().await;
    }
}
