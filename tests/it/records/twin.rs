//! Random fleets, in random orders and batches, against the naive model.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::fleet::fleet;
use super::model;
use super::samples::pretty_assertions;
use crate::support::db::Database;
use crate::support::ingest::{send_all, state};

/// How many fleets a quick run tries on each database; the long run tries thousands.
fn fleets() -> u64 {
    std::env::var("PACKTRAIL_TEST_FLEETS").ok().and_then(|count| count.parse().ok()).unwrap_or(25)
}

#[tokio::test]
async fn random_fleets_in_any_order_equal_the_naive_model() {
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..fleets() {
            let mut inputs = fleet(seed);
            let expected = model::state(&inputs);
            inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            let tenant = format!("t{seed}");
            send_all(&store, &tenant, &inputs, 1 + usize::try_from(seed).unwrap() % 9).await;
            pretty_assertions(&state(&store, &tenant).await, &expected, &format!("fleet {seed}"));
        }
        store.close().await;
    }
}
