//! Work of the time is done by one server, and by another when that one goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::servers::Servers;
use crate::runs::fixture::gate;
use crate::runs::pack::{pack, text};
use crate::support::db::Database;
use crate::support::server::client;

/// How long a takeover may take.
const TAKEOVER: Duration = Duration::from_secs(10);

/// Which server leads, once one does.
async fn leader(servers: &Servers) -> usize {
    loop {
        for n in 0..servers.count() {
            let Some(url) = servers.url(n) else { continue };
            let Ok(response) = client().get(format!("{url}/metrics")).send().await else { continue };
            let metrics = response.text().await.unwrap_or_default();
            if metrics.lines().any(|line| line == "packtrail_replica_leader 1") {
                return n;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs with gates that expire at once, and how often each was said to have expired.
async fn expiring(servers: &Servers, prefix: &str) -> Vec<String> {
    let mut manifest = pack(json!([gate("a", "ok")]));
    manifest["spec"]["approvals"] = json!([{"id": "ok", "expiresAfter": "PT1S"}]);
    let names: Vec<String> = (0..10).map(|n| format!("{prefix}-{n}")).collect();
    for name in &names {
        let create =
            "mutation($m: String!, $r: String!) { createRun(input: {runId: $r, manifest: $m}) { __typename } }";
        servers.ask(create, json!({"m": text(&manifest), "r": name})).await;
    }
    names
}

async fn assert_expired_once(servers: &Servers, names: &[String]) {
    let asked = "query($r: String!) { run(runId: $r) { status approvals { nodes { status } } } }";
    for name in names {
        let mut run = Value::Null;
        while run["approvals"]["nodes"][0]["status"] != "EXPIRED" {
            run = servers.ask(asked, json!({"r": name})).await["run"].clone();
        }
        let log = servers.stored(name).await;
        let told: Vec<_> = log.iter().filter(|(_, message)| message.starts_with("Expired: ")).collect();
        assert_eq!(told.len(), 1, "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_of_a_leader_that_is_killed_is_taken_over_and_done_once() {
    let databases = Database::all();
    let Some(database) = databases.iter().find(|database| matches!(database, Database::Postgres { .. })) else {
        return;
    };
    let servers: Arc<Servers> = Servers::start(database, "").await;
    let first = leader(&servers).await;
    let before = expiring(&servers, "before").await;
    assert_expired_once(&servers, &before).await;
    let meanwhile = expiring(&servers, "meanwhile").await;
    let killed = Instant::now();
    servers.kill(first);
    assert_eq!(leader(&servers).await, 1 - first);
    assert!(killed.elapsed() < TAKEOVER, "after {:?}", killed.elapsed());
    assert_expired_once(&servers, &meanwhile).await;
    let after = expiring(&servers, "after").await;
    assert_expired_once(&servers, &after).await;
}
