//! The worked example of the documentation, block by block.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::db::Database;
use crate::support::server::{PROGRAM, Server, client};

const PAGE: &str = include_str!("../../../docs/worked-example.md");

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

/// The text of the block after a mark, such as `<!-- ask: create -->`.
fn block(mark: &str) -> &'static str {
    let after = PAGE.split_once(&format!("<!-- {mark} -->")).unwrap_or_else(|| panic!("no block {mark}")).1;
    let (_, block) = after.split_once("```").unwrap().1.split_once('\n').unwrap();
    block.split_once("```").unwrap().0
}

/// The shell commands of the page.
fn commands() -> &'static str {
    let (_, after) = PAGE.split_once("```sh\n").unwrap();
    after.split_once("```").unwrap().0
}

async fn ask(server: &Server, query: &str, variables: Value) -> Value {
    let body = json!({"query": query, "variables": variables});
    let answer = client().post(format!("{}/graphql", server.url())).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert!(answer.get("errors").is_none(), "{answer:#}");
    answer["data"].clone()
}

async fn until(server: &Server, query: &str, status: &str) -> Value {
    for _ in 0..3000 {
        let answer = ask(server, query, json!({})).await;
        if answer["run"]["status"] == status {
            return answer["run"].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not become {status}");
}

#[tokio::test]
async fn every_block_of_the_worked_example_does_what_the_page_says() {
    for database in Database::all() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["release.yaml", "worker.toml"] {
            fs::write(folder.path().join(name), block(&format!("file: {name}"))).unwrap();
        }
        let mut command = Command::new(PROGRAM);
        let url = database.url().await;
        command.args(crate::support::server::serve(&url)).arg("--dev-insecure");
        command.env("PACKTRAIL_ARTIFACTS", folder.path().join("artifacts"));
        let server = Server::spawn(&mut command);
        let mut command = Command::new(PROGRAM);
        command.args(["worker", "--config", "worker.toml", "--server", server.url()]).current_dir(folder.path());
        let _worker = Worker(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        by_graphql(&server).await;
        by_curl(&server, folder.path());
    }
}

async fn by_graphql(server: &Server) {
    let created = ask(server, block("ask: create"), json!({"manifest": block("file: release.yaml")})).await;
    assert_eq!(created["createRun"]["run"]["runId"], "release-1");
    let waiting = until(server, block("ask: wait"), "AWAITING_APPROVAL").await;
    assert_eq!(waiting["waitsFor"], json!([{"stepId": "wait", "kind": "APPROVAL", "approvalId": "sign-off"}]));
    assert_eq!(waiting["step"]["outputs"]["with"], json!({"service": "checkout"}));
    assert_eq!(waiting["planHash"], created["createRun"]["run"]["planHash"]);
    let decided = ask(server, block("ask: approve"), json!({"planHash": waiting["planHash"]})).await;
    assert_eq!(decided["decideApproval"], json!({"decision": "APPROVED", "resumed": true}));
    let ended = until(server, block("ask: end"), "SUCCEEDED").await;
    let artifacts = &ended["artifacts"]["nodes"];
    assert_eq!(artifacts[1]["value"], "checkout is released");
    assert_eq!(artifacts[0]["status"], "CAPTURED");
    let content = server.get(artifacts[0]["url"].as_str().unwrap()).await.bytes().await.unwrap();
    assert_eq!(artifacts[0]["size"], content.len());
    let facts: Value = serde_json::from_slice(&content).unwrap();
    assert_eq!((facts["runId"].as_str(), facts["with"]["service"].as_str()), (Some("release-1"), Some("checkout")));
    let events: Vec<&str> =
        ended["logs"]["nodes"].as_array().unwrap().iter().map(|entry| entry["eventType"].as_str().unwrap()).collect();
    assert_eq!((events.first(), events.last()), (Some(&"run.created"), Some(&"run.completed")));
    assert!(events.contains(&"step.log"), "what tee wrote");
}

fn by_curl(server: &Server, folder: &std::path::Path) {
    let mut command = Command::new("sh");
    command.args(["-euc", commands()]).env("SERVER", server.url()).current_dir(folder);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8(done.stdout).unwrap(), r#"{"status":"approved","resumed":true}"#);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(json(read("log.ndjson").lines().last().unwrap())["eventType"], "run.completed");
    let artifacts = json(&read("artifacts.json"));
    assert_eq!(artifacts[0]["storedPath"], "runs/release-2/artifacts/facts.json");
    assert_eq!(artifacts[1]["expressionJson"], "\"checkout is released\"");
    assert_eq!(json(&read("facts.json"))["runId"], "release-2");
}
