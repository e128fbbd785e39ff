//! What a step can do to the server and to its neighbours: floods of lines, large files, tricks with names, bytes
//! that are no text. Memory is bounded, the outcome is told, and the neighbours go on.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::pack::{pack, run, text};
use crate::support::db::Database;
use crate::support::server::{PROGRAM, Server, client, serve, times};

/// How much memory may come on top, in KiB: parts of uploads, chunks of logs, answers.
const MORE: u64 = 300 * 1024;

struct Worker(Child);

impl Worker {
    fn start(server: &Server, folder: &std::path::Path, steps: &str) -> Self {
        let config = folder.join("worker.toml");
        let own = format!(
            "server = '{}'\nparallel = 4\nbuiltins = true\nwork_dir = '{}'\n{steps}",
            server.url(),
            folder.display()
        );
        fs::write(&config, own).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("worker").arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// The most memory that it had, KiB.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

async fn ask(server: &Server, query: &str, variables: Value) -> Value {
    let body = json!({"query": query, "variables": variables});
    let answer = client().post(format!("{}/graphql", server.url())).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert!(answer.get("errors").is_none(), "{answer:#}");
    answer["data"].clone()
}

async fn create(server: &Server, run_id: &str, manifest: &Value) {
    let query = "mutation ($input: CreateRunInput!) { createRun(input: $input) { __typename
        ... on PlanInvalid { errors { path message } } } }";
    let made = ask(server, query, json!({"input": {"runId": run_id, "manifest": text(manifest)}})).await;
    assert_eq!(made["createRun"]["__typename"], "CreateRunSuccess", "{made}");
}

async fn ended(server: &Server, run_id: &str) -> Value {
    let query = "query ($id: String!) { run(runId: $id) { status
        steps(first: 5) { nodes { stepId status statusReason } }
        artifacts { nodes { name status notes size digest url } }
        first: logs(first: 30) { totalCount nodes { seq eventType message } } last: logs(last: 3) { nodes { seq eventType } } } }";
    for _ in 0..12_000 {
        let run = ask(server, query, json!({"id": run_id})).await["run"].clone();
        if ["SUCCEEDED", "FAILED"].contains(&run["status"].as_str().unwrap()) {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{run_id} does not end");
}

fn start(database: &str, folder: &std::path::Path) -> Server {
    let mut command = Command::new(PROGRAM);
    command.args(serve(database)).arg("--dev-insecure").env("PACKTRAIL_LIMITS__RATE_PER_MINUTE", "1000000");
    command.env("PACKTRAIL_ARTIFACTS", folder.join("artifacts"));
    Server::spawn(&mut command)
}

fn step(uses: &str, script: &str) -> String {
    format!("[[steps]]\nuses = '{uses}'\ncommand = ['sh', '-c', '''{script}''']\npass_env = ['PATH']\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_lines_and_a_large_file_cost_no_memory_and_no_neighbour() {
    let log = times("PACKTRAIL_TEST_FLOOD_MIB", 80);
    let file = times("PACKTRAIL_TEST_ARTIFACT_MIB", 96);
    for database in Database::all() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(&database.url().await, folder.path());
        let line = "x".repeat(1000);
        let flood = step("flood", &format!("yes {line} | head -c {log}M"));
        let large = step("large", &format!("head -c {file}M /dev/zero > big.bin"));
        let worker = Worker::start(&server, folder.path(), &format!("{flood}{large}"));
        create(&server, "warm", &pack(json!([run("a")]))).await;
        ended(&server, "warm").await;
        let (of_server, of_worker) = (server.memory("VmHWM"), worker.memory());

        create(&server, "flood", &pack(json!([{"id": "a", "run": {"uses": "flood"}}]))).await;
        let mut manifest = pack(json!([{"id": "a", "run": {"uses": "large"}}]));
        manifest["spec"]["outputs"] = json!([{"name": "big", "type": "file", "path": "/big.bin"}]);
        create(&server, "large", &manifest).await;
        create(&server, "neighbour", &pack(json!([run("a"), run("b")]))).await;
        assert_eq!(ended(&server, "neighbour").await["status"], "SUCCEEDED");

        let flood = ended(&server, "flood").await;
        assert_eq!(flood["status"], "SUCCEEDED", "{flood:#}");
        let last: Vec<&str> =
            flood["last"]["nodes"].as_array().unwrap().iter().map(|e| e["eventType"].as_str().unwrap()).collect();
        assert_eq!(last, ["log.truncated", "step.completed", "run.completed"], "it says that it was cut");
        let kept = flood["first"]["totalCount"].as_i64().unwrap() * 1000;
        assert!((60 << 20..70 << 20).contains(&kept), "{kept} bytes of lines are kept");

        let large = ended(&server, "large").await;
        let artifact = &large["artifacts"]["nodes"][0];
        assert_eq!((&artifact["status"], &artifact["size"]), (&json!("CAPTURED"), &json!(file << 20)), "{large:#}");
        let part = client().get(format!("{}{}", server.url(), artifact["url"].as_str().unwrap()));
        let part = part.header("range", "bytes=1000000-1000009").send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.bytes().await.unwrap().as_ref(), [0; 10]);

        let (server_more, worker_more) = (server.memory("VmHWM") - of_server, worker.memory() - of_worker);
        assert!(server_more < MORE && worker_more < MORE, "{server_more} and {worker_more} KiB on top");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_and_paths_that_lead_elsewhere_do_no_harm() {
    for database in Database::all() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(&database.url().await, folder.path());
        fs::write(folder.path().join("secret"), "not yours").unwrap();
        let odd = step(
            "odd",
            r"printf 'a\377b\000c\033[31m\r\n\n\360\237\230\200\n'; ln -s /etc/passwd link; ln -s .. up; echo ok > good",
        );
        let _worker = Worker::start(&server, folder.path(), &odd);
        let mut manifest = pack(json!([{"id": "a", "run": {"uses": "odd"}}]));
        // What is written into a manifest is refused at once; what a template gives is not known then.
        manifest["spec"]["inputs"] = json!([
            {"name": "up", "type": "string", "default": "../secret"},
            {"name": "far", "type": "string", "default": "/../../../../etc/passwd"},
        ]);
        let output = |name: &str, path: &str| json!({"name": name, "type": "file", "path": path});
        manifest["spec"]["outputs"] = json!([
            output("escape", "{{ inputs.up }}"),
            output("absolute", "{{ inputs.far }}"),
            output("link", "/link"),
            output("through", "/up/secret"),
            output("proc", "/proc/self/environ"),
            output("good", "/good"),
        ]);
        create(&server, "odd", &manifest).await;
        let run = ended(&server, "odd").await;
        assert_eq!(run["status"], "SUCCEEDED", "a file that cannot be kept fails nothing: {run:#}");
        for artifact in run["artifacts"]["nodes"].as_array().unwrap() {
            let is_good = artifact["name"] == "good";
            assert_eq!(artifact["status"], if is_good { "CAPTURED" } else { "FAILED" }, "{artifact}");
            assert_eq!(artifact["notes"].is_string(), !is_good, "{artifact}");
        }
        let written: Vec<&str> = run["first"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["eventType"] == "step.log")
            .map(|entry| entry["message"].as_str().unwrap())
            .collect();
        assert_eq!(written, ["a\u{fffd}b\u{fffd}c\u{1b}[31m", "", "\u{1f600}"]);
        for name in ["../secret", "%2e%2e%2fsecret", "good%00", "..", "unknown"] {
            let path = format!("/v1/task-runner/runs/odd/artifacts/{name}/content");
            assert_eq!(server.get(&path).await.status(), 404, "{name}");
        }
    }
}
