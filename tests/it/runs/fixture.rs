//! Runs to test with.

use packtrail::clock::FixedClock;
use packtrail::domain::run::{Completed, Decide, Decision};
use packtrail::service::run::{CreateRun, Runs};
use serde_json::{Value, json};

use super::pack::{inputs, pack, rich, run, text};
use crate::support::api::Api;
use crate::support::feed::NOW;
use crate::support::worker;

/// The commands on the runs of an API's store, at a time.
pub fn runs_at(api: &Api, now: i64) -> Runs {
    Runs::new(api.store.clone(), std::sync::Arc::new(FixedClock::new(now)))
}

/// The hash of a run's plan.
pub async fn hash_of(api: &Api, run_id: &str) -> String {
    let found = api.ask(&format!("{{ run(runId: \"{run_id}\") {{ planHash }} }}")).await;
    found["run"]["planHash"].as_str().unwrap().to_owned()
}

/// Decides an approval as somebody who is granted everything.
pub fn decide<'a>(approval: &'a str, decision: Decision, plan_hash: &'a str, actor: &'a str) -> Decide<'a> {
    Decide { approval, decision, plan_hash, actor, claimed_actor: None, summary: None, has_grant: &|_| true }
}

/// A run with every kind of step, which waits at its gate; and one that is cancelled.
pub async fn train(api: &Api) {
    let runs = runs_at(api, NOW);
    let asked = CreateRun {
        run_id: Some("train".to_owned()),
        manifest: text(&rich()),
        inputs: inputs(),
        ..CreateRun::default()
    };
    runs.create(&api.tenant, "tester", asked).await.unwrap();
    let later = runs_at(api, NOW + 1_000_000);
    let (token, _) = worker::begin(&later, &api.tenant, "train", 0).await;
    let ended = Completed::Succeeded(json!({"ok": true, "count": 3}));
    worker::end(&runs_at(api, NOW + 3_000_000), &api.tenant, &token, ended).await;
    create(api, "cancelled", json!([run("one")])).await;
    later.cancel(&api.tenant, "cancelled", "tester").await.unwrap();
}

/// Creates a run of steps.
pub async fn create(api: &Api, run_id: &str, steps: Value) {
    let mut manifest = pack(steps);
    manifest["spec"]["approvals"] =
        json!([{"id": "go", "grants": []}, {"id": "late", "grants": [], "expiresAfter": "PT1M"}]);
    let asked = CreateRun { run_id: Some(run_id.to_owned()), manifest: text(&manifest), ..CreateRun::default() };
    runs_at(api, NOW).create(&api.tenant, "tester", asked).await.unwrap();
}

/// A gate.
pub fn gate(id: &str, approval: &str) -> Value {
    json!({"id": id, "gate": {"approval": {"id": approval}}})
}
