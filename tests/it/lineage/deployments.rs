//! What is on a cluster at a time, against the naive model, on random fleets.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::records::fleet::fleet;
use crate::records::model::Input;
use crate::records::model::lineage::{clusters, deployments};
use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::ingest::send_all;

/// How many fleets a quick run tries on each database.
fn fleets() -> u64 {
    std::env::var("PACKTRAIL_TEST_FLEETS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

const QUESTION: &str = "query ($source: String!, $cluster: String!, $at: DateTime!) {
    deployments(source: $source, cluster: $cluster, at: $at, first: 100) { nodes { basePack resourcesKnown
        result { uid namespace name } } }
    deployedResources(source: $source, cluster: $cluster, at: $at, first: 100) { totalCount nodes {
        kind namespace name apiVersion claims { contested deployment { basePack } } } } }";

fn times(inputs: &[Input]) -> Vec<String> {
    let of = |input: &Input| match input {
        Input::Item { item, .. } => item["observedAt"].as_str().map(str::to_owned),
        Input::Snapshot { at, .. } => Some(at.clone()),
    };
    let times: BTreeSet<String> = inputs.iter().filter_map(of).collect();
    times.into_iter().collect()
}

fn claimed(found: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut claimed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for resource in found["deployedResources"]["nodes"].as_array().unwrap() {
        let text = |name: &str| resource[name].as_str().unwrap_or_default();
        let name = format!("{} {} {} {}", text("kind"), text("namespace"), text("name"), text("apiVersion"));
        let claims = resource["claims"].as_array().unwrap();
        for claim in claims {
            assert_eq!(claim["contested"], claims.len() > 1, "{resource}");
            let base = claim["deployment"]["basePack"].as_str().unwrap().to_owned();
            claimed.entry(base).or_default().insert(name.clone());
        }
    }
    claimed
}

#[tokio::test]
async fn what_is_on_a_cluster_at_a_time_is_what_the_naive_model_says() {
    let mut seen = 0;
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..fleets() {
            let mut inputs = fleet(seed);
            let times = times(&inputs);
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            inputs.shuffle(&mut random);
            let api = Api::new(&store, &format!("d{seed}"));
            send_all(&store, &api.tenant, &inputs, 5).await;
            for source in api.ask("{ sources { nodes { name } } }").await["sources"]["nodes"].as_array().unwrap() {
                let source = source["name"].as_str().unwrap();
                for cluster in clusters(&inputs, source) {
                    let at = &times[random.random_range(0..times.len())];
                    let micros = packtrail::domain::time::parse_rfc3339(at).unwrap();
                    let expected = deployments(&inputs, source, &cluster, micros);
                    let variables = json!({"source": source, "cluster": cluster, "at": at});
                    let found = api.ask_with(QUESTION, variables).await;
                    let what = format!("fleet {seed}: {source}/{cluster} at {at}: {expected:#?} {found:#}");
                    let claimed = claimed(&found);
                    let mut answered = BTreeSet::new();
                    for deployment in found["deployments"]["nodes"].as_array().unwrap() {
                        seen += 1;
                        let base = deployment["basePack"].as_str().unwrap().to_owned();
                        let result = &deployment["result"];
                        let text = |name: &str| result[name].as_str().unwrap_or("-");
                        let key =
                            format!("PackOperationResult//{}/{}/{}", text("namespace"), text("name"), text("uid"));
                        let Some(resources) = expected.get(&base).and_then(|holders| holders.get(&key)) else {
                            panic!("{base} by {key}: {what}");
                        };
                        assert_eq!(deployment["resourcesKnown"], resources.is_some(), "{what}");
                        let listed = claimed.get(&base).cloned().unwrap_or_default();
                        assert_eq!(listed, resources.clone().unwrap_or_default(), "{base}: {what}");
                        answered.insert(base);
                    }
                    let missing: Vec<&String> = expected
                        .iter()
                        .filter(|(base, holders)| !answered.contains(*base) && !holders.contains_key(""))
                        .map(|(base, _)| base)
                        .collect();
                    assert!(missing.is_empty(), "{missing:?}: {what}");
                }
            }
        }
        store.close().await;
    }
    assert!(seen > 20, "the fleets deploy too little: {seen}");
}
