//! What each subscription delivers, and from where.

use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{LOGS, Socket};
use super::servers::{Servers, read};
use super::transport::script;
use crate::runs::fixture::gate;
use crate::runs::pack::{pack, text};
use crate::support::db::Database;
use crate::support::feed::SAMPLES;
use crate::support::server::client;

async fn on_both(test: impl AsyncFn(Arc<Servers>)) {
    for database in Database::all() {
        test(Servers::start(&database, "").await).await;
    }
}

async fn begun(servers: &Servers, query: &str, variables: Value) -> Socket {
    let mut socket = servers.socket(0).await;
    socket.subscribe("1", query, variables).await.unwrap();
    socket
}

async fn refusal(servers: &Servers, query: &str, variables: Value) -> String {
    begun(servers, query, variables).await.refusal().await
}

fn samples() -> Vec<Value> {
    let lines = SAMPLES.iter().flat_map(|file| file.lines()).filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn send(servers: &Servers, items: &[Value]) {
    let body: String = items.iter().map(|item| item.to_string() + "\n").collect();
    let url = format!("{}/v1/ingest", servers.url(0).unwrap());
    let request = client().post(url).header("content-type", "application/x-ndjson").body(body);
    assert!(request.send().await.unwrap().status().is_success());
}

async fn create(servers: &Servers, run_id: &str, manifest: &Value) {
    let create = "mutation($m: String!, $r: String!) { createRun(input: {runId: $r, manifest: $m}) { __typename } }";
    let created = servers.ask(create, json!({"m": text(manifest), "r": run_id})).await;
    assert_eq!(created["createRun"]["__typename"], "CreateRunSuccess");
}

#[tokio::test]
async fn a_log_is_followed_to_its_end_and_from_any_cursor() {
    on_both(async |servers| {
        let token = servers.begin("r").await;
        let mut live = begun(&servers, LOGS, json!({"r": "r"})).await;
        let (mut found, mut cursors) = (Vec::new(), Vec::new());
        servers.append(&token, 0, &["a".to_owned(), "b".to_owned()]).await;
        servers.append(&token, 2, &["c".to_owned()]).await;
        servers.end(&token).await;
        loop {
            let batch = live.event().await["runLogs"].clone();
            found.extend(read(&batch["entries"]));
            cursors.push((found.len(), batch["cursor"].clone()));
            if batch["endOfLog"] == true {
                break;
            }
        }
        assert_eq!(live.next().await.unwrap()["type"], "complete");
        assert_eq!(found, servers.stored("r").await);
        for (known, cursor) in cursors {
            let mut again = begun(&servers, LOGS, json!({"r": "r", "a": cursor})).await;
            let batch = again.event().await["runLogs"].clone();
            assert_eq!(read(&batch["entries"]), found[known..], "after {known}");
            assert_eq!(batch["endOfLog"], true);
            assert_eq!(again.next().await.unwrap()["type"], "complete");
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_is_narrowed_and_its_cursor_is_that_of_the_list_of_entries() {
    on_both(async |servers| {
        let token = servers.begin("r").await;
        let lines: Vec<String> = (0..5).map(|n| format!("line {n}")).collect();
        servers.append(&token, 0, &lines).await;
        servers.end(&token).await;
        let narrowed = "subscription($f: RunLogFilter, $a: String) { runLogs(runId: \"r\", filter: $f, after: $a) { \
            entries { seq message } cursor endOfLog } }";
        let all = servers.stored("r").await;
        let count = async |filter: Value, after: Value| {
            let batch = begun(&servers, narrowed, json!({"f": filter, "a": after})).await.event().await;
            assert_eq!(batch["runLogs"]["endOfLog"], true);
            read(&batch["runLogs"]["entries"]).len()
        };
        assert_eq!(count(json!(null), json!(null)).await, all.len());
        assert_eq!(count(json!({"eventTypes": ["step.log"]}), json!(null)).await, 5);
        assert_eq!(count(json!({"contains": "line 3"}), json!(null)).await, 1);
        assert_eq!(count(json!({"minLevel": "ERROR"}), json!(null)).await, 0, "the end is told nevertheless");
        assert_eq!(count(json!({"stepIds": ["b"]}), json!(null)).await, 0);
        let first = "{ run(runId: \"r\") { logs(first: 2) { pageInfo { endCursor } } } }";
        let page = servers.ask(first, json!({})).await;
        let after = page["run"]["logs"]["pageInfo"]["endCursor"].clone();
        assert_eq!(count(json!(null), after).await, all.len() - 2);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_by_its_code() {
    on_both(async |servers| {
        let token = servers.begin("r").await;
        servers.end(&token).await;
        assert_eq!(refusal(&servers, LOGS, json!({"r": "none"})).await, "NOT_FOUND");
        assert_eq!(refusal(&servers, LOGS, json!({"r": "r", "a": "x"})).await, "BAD_USER_INPUT");
        assert_eq!(refusal(&servers, "subscription { nothing }", json!({})).await, "BAD_USER_INPUT");
        let two = "subscription { a: recordChanges { cursor } b: recordChanges { cursor } }";
        assert_eq!(refusal(&servers, two, json!({})).await, "BAD_USER_INPUT");
        let changes = "subscription($a: String) { recordChanges(after: $a, from: NOW) { cursor } }";
        let now = begun(&servers, changes, json!({})).await.event().await["recordChanges"]["cursor"].clone();
        assert_eq!(refusal(&servers, LOGS, json!({"r": "r", "a": now})).await, "BAD_USER_INPUT");
        // As after a restore of an older backup: nobody is to wait for what was lost.
        let databases = Database::all();
        let later = Servers::start(&databases[0], "").await;
        assert_eq!(refusal(&later, changes, json!({"a": now})).await, "CURSOR_EXPIRED");
    })
    .await;
}

#[tokio::test]
async fn the_changes_of_records_are_the_ledger_wherever_one_goes_on() {
    on_both(async |servers| {
        let items = samples();
        let half = items.len() / 2;
        let changes = "subscription($a: String, $f: RecordChangeFilter) { recordChanges(after: $a, filter: $f) { \
            changes { seq leaf type digest record { __typename id } } cursor } }";
        send(&servers, &items[..half]).await;
        let mut socket = begun(&servers, changes, json!({})).await;
        let first = socket.event().await["recordChanges"].clone();
        send(&servers, &items[half..]).await;
        let mut all: Vec<Value> = first["changes"].as_array().unwrap().clone();
        // The rest is read by another subscriber, from the first one's cursor: how much comes at once may differ.
        let known = all.len();
        let rest = begun(&servers, changes, json!({"a": first["cursor"]})).await.event().await;
        all.extend(rest["recordChanges"]["changes"].as_array().unwrap().iter().cloned());
        assert!(all.len() > known);
        let mut whole = begun(&servers, changes, json!({})).await;
        let mut again = Vec::new();
        while again.len() < all.len() {
            again.extend(whole.event().await["recordChanges"]["changes"].as_array().unwrap().iter().cloned());
        }
        let leaves = |changes: &[Value]| changes.iter().map(|change| change["leaf"].clone()).collect::<Vec<_>>();
        assert_eq!(leaves(&again), leaves(&all), "from the start or from the cursor: the same, once, in order");
        assert!(all.iter().all(|change| change["record"]["id"].is_string()));
        let filter = json!({"kinds": ["PackReceipt"], "types": ["CREATED"]});
        let found = begun(&servers, changes, json!({"f": filter})).await.event().await;
        let found = found["recordChanges"]["changes"].as_array().unwrap().clone();
        assert!(!found.is_empty());
        assert!(
            found.iter().all(|change| change["record"]["__typename"] == "PackReceipt" && change["type"] == "CREATED")
        );
    })
    .await;
}

#[tokio::test]
async fn findings_are_told_once_when_they_are_raised() {
    on_both(async |servers| {
        let raised = "subscription($a: String, $f: FindingFilter) { findingRaised(after: $a, filter: $f) { \
            findings { id code raisedSeq } cursor } }";
        let mut live = begun(&servers, raised, json!({})).await;
        send(&servers, &samples()).await;
        let all = servers
            .ask(
                "{ findings(filter: {state: ALL}, orderBy: {direction: ASC}, first: 100) { \
            nodes { id code raisedSeq } } }",
                json!({}),
            )
            .await;
        let all = all["findings"]["nodes"].as_array().unwrap().clone();
        let mut found = Vec::new();
        while found.len() < all.len() {
            found.extend(live.event().await["findingRaised"]["findings"].as_array().unwrap().iter().cloned());
        }
        assert_eq!(found, all);
        let code = all[0]["code"].clone();
        let filter = json!({"codes": [code], "state": "ALL"});
        let narrowed = begun(&servers, raised, json!({"f": filter})).await.event().await;
        let wanted: Vec<Value> = all.iter().filter(|finding| finding["code"] == code).cloned().collect();
        assert_eq!(narrowed["findingRaised"]["findings"], json!(wanted));
    })
    .await;
}

#[tokio::test]
async fn approvals_and_runs_are_told_as_they_come() {
    on_both(async |servers| {
        let approvals = "subscription($f: ApprovalFilter) { approvalRequested(filter: $f) { \
            approvals { approvalId status run { runId } } cursor } }";
        let mut asked = begun(&servers, approvals, json!({})).await;
        let mut changed = begun(&servers, "subscription { runsChanged { runId status } }", json!({})).await;
        // The first one is told nothing of what was before it: it must be there.
        let now = "subscription { approvalRequested(from: NOW) { cursor } }";
        begun(&servers, now, json!({})).await.event().await;
        let mut manifest = pack(json!([gate("a", "ok")]));
        manifest["spec"]["approvals"] = json!([{"id": "ok"}]);
        create(&servers, "r", &manifest).await;
        let told = asked.event().await["approvalRequested"]["approvals"].clone();
        assert_eq!(told, json!([{"approvalId": "ok", "status": "WAITING", "run": {"runId": "r"}}]));
        assert_eq!(changed.event().await["runsChanged"], json!({"runId": "r", "status": "AWAITING_APPROVAL"}));
        let mut run = begun(&servers, "subscription { runUpdated(runId: \"r\") { status } }", json!({})).await;
        assert_eq!(run.event().await["runUpdated"]["status"], "AWAITING_APPROVAL");
        let cancel = "mutation { cancelRun(input: {runId: \"r\"}) { __typename } }";
        servers.ask(cancel, json!({})).await;
        assert_eq!(run.event().await["runUpdated"]["status"], "CANCELLED");
        assert_eq!(run.next().await.unwrap()["type"], "complete");
        assert_eq!(changed.event().await["runsChanged"]["status"], "CANCELLED");
        let waiting = begun(&servers, approvals, json!({"f": {"status": "VOID"}})).await.event().await;
        assert_eq!(waiting["approvalRequested"]["approvals"][0]["status"], "VOID", "as it stands when it is read");
    })
    .await;
}

#[tokio::test]
async fn every_client_library_follows_a_log() {
    let databases = Database::all();
    let servers = Servers::start(&databases[0], "").await;
    let token = servers.begin("r").await;
    servers.append(&token, 0, &["one line".to_owned()]).await;
    let document = "subscription Logs($r: String!) { runLogs(runId: $r) { entries { message } } }";
    for name in ["graphql-ws.mjs", "graphql-ws-header.mjs", "graphql-sse.mjs", "apollo.mjs", "urql.mjs"] {
        let url = servers.url(0).unwrap();
        let (success, out, err) = script(name, &url, "none", document, &json!({"r": "r"}), 1).await;
        assert!(success && out.contains("one line"), "{name}: {out}{err}");
    }
}
