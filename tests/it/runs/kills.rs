//! kill −9 under commands on runs: after it every run stands where its ledger says.

use std::collections::BTreeMap;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::fixture::gate;
use super::pack::{pack, run, text};
use crate::support::db::Database;
use crate::support::server::{PROGRAM, Server, client, serve, times};

const CLIENTS: usize = 8;

/// What was acknowledged: a creation with the hash of its plan, or a decision or cancellation of a run.
type Told = (String, &'static str, String);

fn manifest() -> String {
    let inner = json!([gate("b", "second"), {"id": "inner", "parallel": {"steps": [gate("c", "third"), run("work")]}}]);
    let mut manifest = pack(json!([gate("a", "first"), {"id": "both", "parallel": {"steps": inner}}, run("last")]));
    manifest["spec"]["approvals"] = json!([{"id": "first"}, {"id": "second"}, {"id": "third"}]);
    text(&manifest)
}

/// The data of an answer; `None` once the server is gone.
async fn ask(client: &Client, url: &str, query: &str, variables: Value) -> Option<Value> {
    let body = json!({"query": query, "variables": variables}).to_string();
    let request = client.post(format!("{url}/graphql")).header("content-type", "application/json").body(body);
    let answer: Value = serde_json::from_slice(&request.send().await.ok()?.bytes().await.ok()?).ok()?;
    assert!(answer.get("errors").is_none(), "{answer:#}");
    Some(answer["data"].clone())
}

/// Creates runs and moves them until the server is gone.
async fn command_until_cut(url: &str, name: &str, told: &mpsc::UnboundedSender<Told>) -> Option<()> {
    let client = client();
    let manifest = manifest();
    for n in 0.. {
        let id = format!("{name}-{n}");
        let create = "mutation ($input: CreateRunInput!) { createRun(input: $input) { __typename
            ... on CreateRunSuccess { run { planHash } } } }";
        let made = ask(&client, url, create, json!({"input": {"runId": id, "manifest": manifest}})).await?;
        let hash = made["createRun"]["run"]["planHash"].as_str().unwrap().to_owned();
        told.send((id.clone(), "CREATED", hash.clone())).ok()?;
        for approval in ["first", "third", "second"].into_iter().take(n % 4) {
            let decide = "mutation ($input: DecideApprovalInput!) { decideApproval(input: $input) { __typename } }";
            let input = json!({"runId": id, "approvalId": approval, "decision": "APPROVED", "planHash": hash});
            let decided = ask(&client, url, decide, json!({"input": input})).await?;
            assert_eq!(decided["decideApproval"]["__typename"], "DecideApprovalSuccess");
            told.send((id.clone(), "APPROVED", approval.to_owned())).ok()?;
        }
        if n % 3 == 2 {
            let cancel = "mutation ($id: String!) { cancelRun(input: {runId: $id}) { __typename } }";
            ask(&client, url, cancel, json!({"id": id})).await?;
            told.send((id.clone(), "CANCELLED", String::new())).ok()?;
        }
    }
    None
}

const RUNS: &str = "query ($after: String) { runs(first: 5, after: $after) {
    pageInfo { hasNextPage endCursor } nodes { runId planHash status seq
        steps(first: 10) { nodes { stepId status } } approvals(first: 5) { nodes { approvalId decision } }
        logs(first: 50) { totalCount nodes { seq eventType } }
        transitions(first: 50) { totalCount nodes { stepId from to seq } } } } }";

async fn all_runs(server: &Server) -> BTreeMap<String, Value> {
    let (client, mut after, mut found) = (client(), Value::Null, BTreeMap::new());
    loop {
        let page = ask(&client, server.url(), RUNS, json!({"after": after})).await.unwrap();
        for run in page["runs"]["nodes"].as_array().unwrap() {
            found.insert(run["runId"].as_str().unwrap().to_owned(), run.clone());
        }
        if page["runs"]["pageInfo"]["hasNextPage"] == false {
            return found;
        }
        after = page["runs"]["pageInfo"]["endCursor"].clone();
    }
}

/// A run agrees with its own moves and log.
fn check(run: &Value) {
    let list = |part: &str| run[part]["nodes"].as_array().unwrap().clone();
    let mut stands: BTreeMap<String, String> = BTreeMap::new();
    let mut newest = 0;
    for moved in list("transitions") {
        let step = moved["stepId"].as_str().unwrap().to_owned();
        let before = stands.insert(step, moved["to"].as_str().unwrap().to_owned());
        assert_eq!(before.as_deref().unwrap_or("PENDING"), moved["from"], "{run:#}");
        assert!(moved["seq"].as_i64().unwrap() >= newest, "{run:#}");
        newest = moved["seq"].as_i64().unwrap();
    }
    assert!(run["seq"].as_i64().unwrap() >= newest, "{run:#}");
    for step in list("steps") {
        let moved = stands.get(step["stepId"].as_str().unwrap()).map_or("PENDING", String::as_str);
        assert_eq!(step["status"], moved, "{run:#}");
    }
    let log = list("logs");
    assert_eq!(run["logs"]["totalCount"], log.len());
    assert!(log.iter().enumerate().all(|(n, entry)| entry["seq"] == n + 1), "{run:#}");
    assert_eq!(log[0]["eventType"], "run.created");
    let is_over = ["CANCELLED", "FAILED", "SUCCEEDED"].contains(&run["status"].as_str().unwrap());
    let ends = log
        .iter()
        .filter(|e| ["run.cancelled", "run.failed", "run.completed"].contains(&e["eventType"].as_str().unwrap()));
    assert_eq!(ends.count(), usize::from(is_over), "{run:#}");
}

/// A server that takes as many operations as the clients have.
fn start(database: &str) -> Server {
    let mut command = std::process::Command::new(PROGRAM);
    command.args(serve(database)).arg("--dev-insecure").env("PACKTRAIL_LIMITS__RATE_PER_MINUTE", "1000000");
    Server::spawn(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_every_run_stands_where_its_ledger_says() {
    for database in Database::all() {
        let url = database.url().await;
        let mut known: Vec<Told> = Vec::new();
        let mut server = start(&url);
        for round in 0..times("PACKTRAIL_TEST_KILLS", 2) {
            let (sender, mut told) = mpsc::unbounded_channel();
            let mut clients = Vec::new();
            for client in 0..CLIENTS {
                let (url, name, sender) = (server.url().to_owned(), format!("r{round}-c{client}"), sender.clone());
                clients.push(tokio::spawn(async move { command_until_cut(&url, &name, &sender).await }));
            }
            drop(sender);
            for _ in 0..20 + round * 13 % 37 {
                known.push(told.recv().await.expect("the clients work until the server is gone"));
            }
            server.kill();
            while let Some(more) = told.recv().await {
                known.push(more);
            }
            for client in clients {
                client.await.expect("no client was told anything wrong");
            }
            server = start(&url);
            let found = all_runs(&server).await;
            found.values().for_each(check);
            for (id, what, detail) in &known {
                let run = found.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is gone"));
                let approvals = run["approvals"]["nodes"].as_array().unwrap();
                match *what {
                    "CREATED" => assert_eq!(run["planHash"], detail.as_str()),
                    "APPROVED" => {
                        let approval = approvals.iter().find(|a| a["approvalId"] == detail.as_str()).unwrap();
                        assert_eq!(approval["decision"], "APPROVED", "{run:#}");
                    }
                    _ => assert_eq!(run["status"], "CANCELLED", "{run:#}"),
                }
            }
        }
        server.kill();
    }
}
