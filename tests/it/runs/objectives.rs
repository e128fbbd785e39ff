//! What packs aim at: measured over their runs, a finding where it is missed, and the queues of work.

use packtrail::domain::run::Decision;
use serde_json::{Value, json};

use super::fixture::{decide, gate, hash_of, runs_at};
use super::pack::{pack, run, text};
use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::feed::NOW;
use crate::support::worker;
use packtrail::service::run::CreateRun;

const SECOND: i64 = 1_000_000;

const ASKED: &str = "{ taskPackObjectives(pack: \"pack\", version: \"1.0.0\") { runs runP95Seconds runP95Aim approvals
    approvalP95Seconds approvalP95Aim waitingRuns maxQueueDepth missed } }";
const FINDINGS: &str = "{ findings(first: 10) { nodes { id code severity source message detail } } }";

fn aiming() -> Value {
    let mut manifest = pack(json!([gate("g", "go"), run("a")]));
    manifest["metadata"] = json!({"name": "pack", "version": "1.0.0"});
    manifest["spec"]["approvals"] = json!([{"id": "go"}]);
    manifest["spec"]["slo"] = json!({"runP95Seconds": 60, "approvalP95Seconds": 10, "maxQueueDepth": 2});
    manifest
}

async fn create(api: &Api, run_id: &str, at: i64) {
    let asked = CreateRun { run_id: Some(run_id.to_owned()), manifest: text(&aiming()), ..CreateRun::default() };
    runs_at(api, at).create(&api.tenant, "tester", asked).await.unwrap();
}

/// Approves a run, `waited` after its creation, and lets a worker do it, `took` after its creation.
async fn finish(api: &Api, run_id: &str, at: i64, waited: i64, took: i64) {
    let hash = hash_of(api, run_id).await;
    let approved = decide("go", Decision::Approved, &hash, "ann");
    runs_at(api, at + waited).decide(&api.tenant, run_id, &approved).await.unwrap();
    worker::work(&runs_at(api, at + took), &api.tenant, run_id, 1, Value::Null).await;
}

fn missed(found: &Value) -> Vec<String> {
    let nodes = found["findings"]["nodes"].as_array().unwrap().iter();
    let mut names: Vec<String> = nodes.map(|node| node["detail"]["objective"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_a_pack_aims_at_is_measured_and_a_miss_is_a_finding_while_it_lasts() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        assert_eq!(api.ask(ASKED).await["taskPackObjectives"], Value::Null, "no runs");
        create(&api, "slow", NOW).await;
        finish(&api, "slow", NOW, 11 * SECOND, 61 * SECOND).await;
        let measured = api.ask(ASKED).await["taskPackObjectives"].clone();
        let expected = json!({"runs": 1, "runP95Seconds": 61, "runP95Aim": 60, "approvals": 1, "approvalP95Seconds": 11,
            "approvalP95Aim": 10, "waitingRuns": 0, "maxQueueDepth": 2, "missed": ["runP95Seconds", "approvalP95Seconds"]});
        assert_eq!(measured, expected);
        let found = api.ask(FINDINGS).await;
        assert_eq!(missed(&found), ["approvalP95Seconds", "runP95Seconds"]);
        let finding = &found["findings"]["nodes"][0];
        assert_eq!((&finding["code"], &finding["severity"]), (&json!("OBJECTIVE_MISSED"), &json!("WARNING")));
        assert!(finding["message"].as_str().unwrap().contains("pack 1.0.0"), "{finding}");
        let node = api.ask(&format!("{{ node(id: {}) {{ ... on Finding {{ detail }} }} }}", finding["id"])).await;
        assert_eq!(node["node"]["detail"], finding["detail"], "its id leads to it");

        // Twenty quick runs: the slow one is no longer among 95 of 100.
        for n in 0..20 {
            let (id, at) = (format!("quick{n}"), NOW + (100 + n) * SECOND);
            create(&api, &id, at).await;
            finish(&api, &id, at, SECOND, 2 * SECOND).await;
        }
        assert_eq!(missed(&api.ask(FINDINGS).await), Vec::<String>::new());
        let measured = api.ask(ASKED).await["taskPackObjectives"].clone();
        assert_eq!((&measured["runs"], &measured["missed"]), (&json!(21), &json!([])));
        let all = api.ask("{ findings(filter: {state: ALL}, first: 10) { nodes { clearedSeq } } }").await;
        assert_eq!(all["findings"]["nodes"].as_array().unwrap().len(), 2, "what was is kept");
        assert!(all["findings"]["nodes"][0]["clearedSeq"].is_number(), "{all}");
        store.close().await;
    }
}

#[tokio::test]
async fn runs_that_wait_are_counted_and_the_queue_tells_for_what() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let mut manifest = aiming();
        manifest["spec"]["steps"] = json!([run("a")]);
        for n in 0..3 {
            let asked = CreateRun { run_id: Some(format!("r{n}")), manifest: text(&manifest), ..CreateRun::default() };
            runs_at(&api, NOW + n * SECOND).create("t", "tester", asked).await.unwrap();
        }
        assert_eq!(missed(&api.ask(FINDINGS).await), ["maxQueueDepth"]);
        let queue = api.ask("{ workQueue { uses depth waitingSince } }").await;
        let expected = json!([{"uses": "builtin:noop", "depth": 1, "waitingSince": "2026-06-01T00:00:00Z"}]);
        assert_eq!(queue["workQueue"], expected, "the others wait from a later time on");
        let code = api.code("{ asOf(point: {seq: 1}) { workQueue { uses } } }").await;
        assert_eq!(code, "NOT_SUPPORTED_AS_OF", "nobody is told of an empty queue");
        worker::work(&runs_at(&api, NOW + 5 * SECOND), "t", "r0", 0, Value::Null).await;
        assert_eq!(missed(&api.ask(FINDINGS).await), Vec::<String>::new());
        store.close().await;
    }
}
