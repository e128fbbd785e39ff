//! Runs over GraphQL, from their creation to their end.

use packtrail::auth::{Grants, Principal, Scope};
use packtrail::domain::run::Completed;
use serde_json::{Value, json};

use super::fixture::{create, decide, gate, hash_of, runs_at, train};
use super::pack::{pack, run, text};
use crate::support::api::{Api, principal};
use crate::support::db::Database;
use crate::support::feed::NOW;
use crate::support::worker;

const CREATE: &str = "mutation ($input: CreateRunInput!) { createRun(input: $input) { __typename
    ... on CreateRunSuccess { created run { runId status } }
    ... on UserError { code message path } ... on PlanInvalid { errors { path message } } } }";
const DECIDE: &str = "mutation ($input: DecideApprovalInput!) { decideApproval(input: $input) { __typename
    ... on DecideApprovalSuccess { decision resumed run { status } } ... on UserError { code } } }";
const CANCEL: &str = "mutation ($id: String!) { cancelRun(input: {runId: $id}) { __typename
    ... on CancelRunSuccess { run { status } } ... on UserError { code } } }";

fn operator(api: &Api) -> Api {
    api.for_principal(principal(&api.tenant, &[Scope::Viewer, Scope::Operator]))
}

async fn status(api: &Api, run_id: &str) -> String {
    let found = api.ask(&format!("{{ run(runId: \"{run_id}\") {{ status }} }}")).await;
    found["run"]["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_run_goes_from_its_creation_through_its_gate_to_its_end() {
    for database in Database::all() {
        let store = database.open().await;
        let api = operator(&Api::new(&store, "t"));
        let manifest = text(&{
            let mut manifest = pack(json!([run("build"), gate("review", "go"), run("deploy")]));
            manifest["spec"]["approvals"] = json!([{"id": "go", "grants": ["packs.approve"]}]);
            manifest
        });
        let created = api.ask_with(CREATE, json!({"input": {"runId": "r", "manifest": manifest}})).await;
        let expected =
            json!({"__typename": "CreateRunSuccess", "created": true, "run": {"runId": "r", "status": "PENDING"}});
        assert_eq!(created["createRun"], expected);
        let waits = "{ run(runId: \"r\") { waitsFor { kind stepId uses approvalId } } }";
        let worker = json!([{"kind": "WORKER", "stepId": "build", "uses": "builtin:noop", "approvalId": null}]);
        assert_eq!(api.ask(waits).await["run"]["waitsFor"], worker);
        let runs = runs_at(&api, NOW + 1_000_000);
        let (token, _) = worker::begin(&runs, "t", "r", 0).await;
        assert_eq!(status(&api, "r").await, "RUNNING");
        worker::end(&runs, "t", &token, Completed::Succeeded(json!({"image": "i"}))).await;
        assert_eq!(status(&api, "r").await, "AWAITING_APPROVAL");

        let waiting = "{ approvals { totalCount nodes { approvalId status decidableByMe run { runId } } } }";
        let found = api.ask(waiting).await["approvals"].clone();
        let asked = json!({"approvalId": "go", "status": "WAITING", "decidableByMe": true, "run": {"runId": "r"}});
        assert_eq!(found, json!({"totalCount": 1, "nodes": [asked]}));

        let hash = hash_of(&api, "r").await;
        let stale = format!("sha256:{}", "0".repeat(64));
        let decision = async |api: &Api, hash: &str, decision: &str| {
            let input = json!({"runId": "r", "approvalId": "go", "decision": decision, "planHash": hash});
            api.ask_with(DECIDE, json!({"input": input})).await["decideApproval"].clone()
        };
        let refused = |kind: &str, code: &str| json!({"__typename": kind, "code": code});
        assert_eq!(decision(&api, &stale, "APPROVED").await, refused("PlanHashMismatch", "PLAN_HASH_MISMATCH"));
        let ungranted =
            api.for_principal(Principal { grants: Grants::Only(std::sync::Arc::default()), ..api.principal.clone() });
        assert_eq!(decision(&ungranted, &hash, "APPROVED").await, refused("GrantsMissing", "GRANTS_MISSING"));
        let approved = json!({"__typename": "DecideApprovalSuccess", "decision": "APPROVED", "resumed": true, "run": {"status": "RUNNING"}});
        assert_eq!(decision(&api, &hash, "APPROVED").await, approved);
        assert_eq!(decision(&api, &hash, "APPROVED").await, approved, "the first answer again");
        let other = refused("ApprovalAlreadyDecided", "APPROVAL_ALREADY_DECIDED");
        assert_eq!(decision(&api, &hash, "REJECTED").await, other);

        worker::work(&runs, "t", "r", 2, Value::Null).await;
        assert_eq!(status(&api, "r").await, "SUCCEEDED");
        assert_eq!(decision(&api, &hash, "APPROVED").await["resumed"], true, "still the first answer");
        let late = api.ask_with(CANCEL, json!({"id": "r"})).await;
        assert_eq!(late["cancelRun"], refused("RunNotActive", "RUN_NOT_ACTIVE"));
        let log =
            api.ask("{ run(runId: \"r\") { logs(first: 50) { totalCount nodes { seq eventType stepId } } } }").await;
        let log = &log["run"]["logs"];
        let events: Vec<&str> =
            log["nodes"].as_array().unwrap().iter().map(|entry| entry["eventType"].as_str().unwrap()).collect();
        let expected = [
            "run.created",
            "run.started",
            "step.started",
            "step.completed",
            "gate.awaiting",
            "gate.approved",
            "step.started",
            "step.completed",
            "run.completed",
        ];
        assert_eq!(events, expected);
        assert_eq!(log["totalCount"], expected.len());
        store.close().await;
    }
}

#[tokio::test]
async fn a_creation_says_what_is_wrong_and_repeats_its_answer_under_its_key() {
    for database in Database::all() {
        let store = database.open().await;
        let api = operator(&Api::new(&store, "t"));
        let good = text(&pack(json!([run("one")])));
        let create = async |input: Value| api.ask_with(CREATE, json!({"input": input})).await["createRun"].clone();
        let invalid = create(json!({"manifest": "kind: Other"})).await;
        assert_eq!((&invalid["__typename"], &invalid["code"]), (&json!("PlanInvalid"), &json!("PLAN_INVALID")));
        assert!(invalid["errors"].as_array().unwrap().iter().any(|error| error["path"] == "kind"), "{invalid}");
        let named = json!({"runId": "a b", "manifest": good});
        assert_eq!(create(named).await["__typename"], "InputInvalid");
        assert_eq!(create(json!({"manifest": good, "inputs": [1]})).await["path"], json!(["input", "inputs"]));
        assert_eq!(create(json!({"manifest": good, "subjects": ["x"]})).await["path"], json!(["input", "subjects"]));
        let first = create(json!({"manifest": good, "idempotencyKey": "k"})).await;
        assert_eq!(first["created"], true);
        let again = create(json!({"manifest": good, "idempotencyKey": "k"})).await;
        assert_eq!((&again["created"], &again["run"]["runId"]), (&json!(false), &first["run"]["runId"]));
        let other = text(&pack(json!([run("two")])));
        assert_eq!(
            create(json!({"manifest": other, "idempotencyKey": "k"})).await["__typename"],
            "IdempotencyKeyReused"
        );
        assert_eq!(create(json!({"runId": "r", "manifest": good})).await["created"], true);
        assert_eq!(create(json!({"runId": "r", "manifest": good})).await["__typename"], "RunIdConflict");
        let foreign = operator(&Api::new(&store, "other"));
        let mine = foreign.ask_with(CREATE, json!({"input": {"runId": "r", "manifest": good}})).await;
        assert_eq!(mine["createRun"]["created"], true, "a name is one tenant's alone");
        let viewer = Api::new(&store, "t");
        let denied = viewer.execute(CREATE, json!({"input": {"manifest": good}})).await;
        assert_eq!(denied["errors"][0]["extensions"]["code"], "FORBIDDEN");
        store.close().await;
    }
}

#[tokio::test]
async fn the_history_of_a_run_has_every_move_with_its_commit() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        create(&api, "r", json!([run("one"), gate("wait", "go")])).await;
        let runs = runs_at(&api, NOW + 1_000_000);
        worker::begin(&runs, "t", "r", 0).await;
        runs_at(&api, NOW + 2_000_000).cancel("t", "r", "a").await.unwrap();
        let id = api.ask("{ run(runId: \"r\") { id } }").await["run"]["id"].clone();
        let question = "query ($id: ID!, $from: DateTime, $last: Int) { history(node: $id, from: $from, last: $last) {
            totalCount nodes { at event version { number } transition { stepId from to cause seq } } } }";
        let ask = async |from: Value, last: Value| {
            let found = api.ask_with(question, json!({"id": id, "from": from, "last": last})).await;
            let nodes = found["history"]["nodes"].as_array().unwrap().clone();
            let line = |node: &Value| {
                assert_eq!(node["version"], Value::Null);
                let moved = &node["transition"];
                let moved = moved["stepId"].as_str().map(|step| format!(" {step} {} {}", moved["to"], moved["seq"]));
                format!("{}{}", node["event"].as_str().unwrap(), moved.unwrap_or_default())
            };
            nodes.iter().map(line).collect::<Vec<_>>()
        };
        let skipped = "CHANGED wait \"SKIPPED\" 3";
        let all = ["CREATED", "CHANGED one \"RUNNING\" 2", "CHANGED one \"SKIPPED\" 3", skipped, "CLOSED"];
        assert_eq!(ask(Value::Null, Value::Null).await, all);
        assert_eq!(ask(json!("2026-06-01T00:00:02Z"), Value::Null).await, all[2..]);
        assert_eq!(ask(Value::Null, json!(2)).await, all[3..]);
        store.close().await;
    }
}

#[tokio::test]
async fn an_approval_that_nobody_decides_expires_and_its_run_fails() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        create(&api, "r", json!([gate("wait", "late"), run("after")])).await;
        assert_eq!(status(&api, "r").await, "AWAITING_APPROVAL");
        assert_eq!(runs_at(&api, NOW + 59_000_000).sweep().await.unwrap(), 0);
        assert_eq!(runs_at(&api, NOW + 60_000_000).sweep().await.unwrap(), 1);
        assert_eq!(runs_at(&api, NOW + 61_000_000).sweep().await.unwrap(), 0, "once");
        let found = api
            .ask(
                "{ run(runId: \"r\") { status steps { nodes { stepId status statusReason } }
            approvals { nodes { approvalId status decidedBy } } } }",
            )
            .await;
        assert_eq!(
            found["run"],
            json!({"status": "FAILED",
            "steps": {"nodes": [{"stepId": "wait", "status": "FAILED", "statusReason": "approval-expired"},
                {"stepId": "after", "status": "SKIPPED", "statusReason": "run-aborted"}]},
            "approvals": {"nodes": [{"approvalId": "go", "status": "VOID", "decidedBy": null},
                {"approvalId": "late", "status": "EXPIRED", "decidedBy": "system"}]}})
        );
        store.close().await;
    }
}

const WHOLE: &str = "fragment whole on Run { runId status updatedAt seq startedAt endedAt
    steps(first: 50) { nodes { stepId status statusReason attempts lastTransitionAt outputs } }
    approvals(first: 50) { nodes { approvalId status requestedAt decision } }
    artifacts(first: 50) { nodes { name status } }
    logs(first: 100) { totalCount nodes { seq eventType message } }
    transitions(first: 100) { nodes { stepId from to cause seq } } }";

#[tokio::test]
async fn as_of_a_commit_a_run_is_what_it_was_then() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let question = format!(
            "{WHOLE} {{ run(runId: \"train\") {{ ...whole }} runs {{ totalCount nodes {{ ...whole }} }}
            approvals {{ totalCount nodes {{ approvalId }} }} }}"
        );
        let mut then = Vec::new();
        // Each command makes a commit; what is asked after it must be what is told as of it.
        let seen = async |then: &mut Vec<(i64, Value)>| {
            let seq = store.head("t").await.unwrap();
            then.push((seq, api.ask(&question).await));
        };
        seen(&mut then).await;
        train(&api).await;
        seen(&mut then).await;
        let hash = hash_of(&api, "train").await;
        let runs = runs_at(&api, NOW + 9_000_000);
        runs.decide("t", "train", &decide("security-review", packtrail::domain::run::Decision::Approved, &hash, "a"))
            .await
            .unwrap();
        seen(&mut then).await;
        create(&api, "other", json!([gate("wait", "go")])).await;
        seen(&mut then).await;
        assert!(then.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1), "{then:#?}");
        for (seq, expected) in then {
            let asked = format!(
                "{WHOLE} query ($seq: Int53!) {{ asOf(point: {{seq: $seq}}) {{
                run(runId: \"train\") {{ ...whole }} runs {{ totalCount nodes {{ ...whole }} }}
                approvals {{ totalCount nodes {{ approvalId }} }} }} }}"
            );
            let found = api.ask_with(&asked, json!({"seq": seq})).await;
            assert_eq!(found["asOf"], expected, "as of {seq}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn lists_of_runs_page_both_ways_and_are_narrowed() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        for n in 0..7 {
            create(&api, &format!("r{n}"), json!([run("one")])).await;
        }
        runs_at(&api, NOW).cancel("t", "r3", "a").await.unwrap();
        let ids = |found: &Value| -> Vec<String> {
            let nodes = found["runs"]["nodes"].as_array().unwrap();
            nodes.iter().map(|node| node["runId"].as_str().unwrap().to_owned()).collect()
        };
        for (filter, count) in [
            ("{}", 7),
            ("{status: PENDING}", 6),
            ("{status: CANCELLED}", 1),
            ("{status: FAILED}", 0),
            ("{pack: \"none\"}", 0),
        ] {
            let page = "totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } nodes { runId }";
            let all = api.ask(&format!("{{ runs(filter: {filter}, first: 50) {{ {page} }} }}")).await;
            assert_eq!(all["runs"]["totalCount"], count, "{filter}");
            assert_eq!(ids(&all).len(), count, "{filter}");
            for (size, cursor, more, end) in
                [("first", "after", "hasNextPage", "endCursor"), ("last", "before", "hasPreviousPage", "startCursor")]
            {
                let (mut parts, mut at) = (Vec::new(), String::new());
                loop {
                    let found = api.ask(&format!("{{ runs(filter: {filter}, {size}: 2{at}) {{ {page} }} }}")).await;
                    parts.push(ids(&found));
                    if found["runs"]["pageInfo"][more] == false {
                        break;
                    }
                    at = format!(", {cursor}: {}", found["runs"]["pageInfo"][end]);
                }
                if size == "last" {
                    parts.reverse();
                }
                assert_eq!(parts.concat(), ids(&all), "{filter} by {size}");
            }
        }
        store.close().await;
    }
}
