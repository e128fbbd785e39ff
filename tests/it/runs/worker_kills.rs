//! kill −9 of server, worker or both: every run comes to its right end, no step runs twice, no line is lost or
//! doubled, and no process is left behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use reqwest::Client;
use serde_json::{Value, json};

use super::pack::{pack, text};
use crate::support::db::Database;
use crate::support::server::{PROGRAM, Server, client, eventually, serve, times};

const STEPS: usize = 4;
const LINES: usize = 5;
/// How many runs are created before each kill.
const RUNS: usize = 3;

/// Notes that it ran, writes its lines, and leaves a process behind that would live for an hour.
const SCRIPT: &str = "echo \"$PACKTRAIL_RUN_ID $PACKTRAIL_STEP_ID\" >> \"$NOTES\"
sleep 3600 &
for n in 1 2 3 4 5; do echo \"line $n\"; sleep 0.03; done";

struct Workshop {
    folder: tempfile::TempDir,
    database: String,
    server: Server,
    worker: Option<Worker>,
    client: Client,
}

/// A worker's process. Dropping it kills it as a power cut would.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped_already = self.0.wait();
    }
}

fn start(database: &str, listen: &str) -> Server {
    let mut command = Command::new(PROGRAM);
    let mut args = serve(database);
    args[2] = listen;
    command.args(args).arg("--dev-insecure").env("PACKTRAIL_LIMITS__RATE_PER_MINUTE", "1000000");
    Server::spawn(&mut command)
}

impl Workshop {
    fn open(database: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = start(&database, "127.0.0.1:0");
        let mut shop = Self { folder, database, server, worker: None, client: client() };
        shop.start_worker();
        shop
    }

    fn notes(&self) -> std::path::PathBuf {
        self.folder.path().join("notes")
    }

    fn start_worker(&mut self) {
        let config = self.folder.path().join("worker.toml");
        let notes = self.notes();
        let own = format!(
            "server = '{}'\nparallel = 4\nlease_seconds = 3\nwork_dir = '{}'\n[[steps]]\nuses = 'note'\n\
             command = ['sh', '-c', '''{SCRIPT}''']\npass_env = ['PATH']\nenv = {{ NOTES = '{}' }}\n",
            self.server.url(),
            self.folder.path().display(),
            notes.display(),
        );
        fs::write(&config, own).unwrap();
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("worker.log")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("worker").arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.worker = Some(Worker(command.spawn().unwrap()));
    }

    /// The same address, so that the worker finds it again.
    fn restart_server(&mut self) {
        let address = self.server.address().to_owned();
        self.server.kill();
        self.server = start(&self.database, &address);
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let body = json!({"query": query, "variables": variables});
        let answer = self.client.post(format!("{}/graphql", self.server.url())).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert!(answer.get("errors").is_none(), "{answer:#}");
        answer["data"].clone()
    }

    async fn create(&self, run_id: &str) {
        let steps: Vec<Value> = (0..STEPS).map(|n| json!({"id": format!("s{n}"), "run": {"uses": "note"}})).collect();
        let create = "mutation ($input: CreateRunInput!) { createRun(input: $input) { __typename } }";
        let input = json!({"runId": run_id, "manifest": text(&pack(Value::Array(steps)))});
        let made = self.ask(create, json!({"input": input})).await;
        assert_eq!(made["createRun"]["__typename"], "CreateRunSuccess");
    }

    /// A run once it has ended.
    async fn ended(&self, run_id: &str) -> Value {
        let query = "query ($id: String!) { run(runId: $id) { runId status
            steps(first: 10) { nodes { stepId status statusReason attempts } }
            logs(first: 100) { totalCount nodes { seq eventType stepId message } } } }";
        for _ in 0..3000 {
            let run = self.ask(query, json!({"id": run_id})).await["run"].clone();
            if ["SUCCEEDED", "FAILED"].contains(&run["status"].as_str().unwrap()) {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{run_id} does not end: {}", fs::read_to_string(self.folder.path().join("worker.log")).unwrap());
    }

    /// How often a step ran.
    fn ran(&self, run_id: &str, step: &Value) -> usize {
        let note = format!("{run_id} {}", step.as_str().unwrap());
        let notes = fs::read_to_string(self.notes()).unwrap_or_default();
        notes.lines().filter(|line| *line == note).count()
    }

    fn check(&self, run: &Value) {
        let id = run["runId"].as_str().unwrap();
        let logs = run["logs"]["nodes"].as_array().unwrap();
        assert_eq!(run["logs"]["totalCount"], logs.len(), "all of them are looked at");
        let expected: Vec<String> = (1..=LINES).map(|n| format!("line {n}")).collect();
        let mut has_failed = false;
        for step in run["steps"]["nodes"].as_array().unwrap() {
            let ran = self.ran(id, &step["stepId"]);
            let of_step =
                logs.iter().filter(|entry| entry["eventType"] == "step.log" && entry["stepId"] == step["stepId"]);
            let lines: Vec<&str> = of_step.map(|entry| entry["message"].as_str().unwrap()).collect();
            match step["status"].as_str().unwrap() {
                "SUCCEEDED" => {
                    assert_eq!((ran, has_failed), (1, false), "{run:#}");
                    assert_eq!(lines, expected, "{run:#}");
                }
                "FAILED" => {
                    has_failed = true;
                    assert_eq!(step["statusReason"], "lease-expired", "{run:#}");
                    assert!(ran <= 1, "a step with one attempt ran {ran} times: {run:#}");
                    assert!(
                        expected.starts_with(&lines.iter().map(ToString::to_string).collect::<Vec<_>>()),
                        "{run:#}"
                    );
                }
                "SKIPPED" => assert_eq!((ran, has_failed, lines.len()), (0, true, 0), "{run:#}"),
                other => panic!("{other}: {run:#}"),
            }
        }
        assert_eq!(run["status"] == "FAILED", has_failed, "{run:#}");
        assert!(logs.iter().enumerate().all(|(n, entry)| entry["seq"] == n + 1), "{run:#}");
    }
}

/// Whether a process is left that has something to do with a folder.
fn is_something_left(folder: &Path) -> bool {
    let own = std::process::id().to_string();
    let folder = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|process| process.file_name().to_string_lossy() != own).any(|process| {
        let part = |name: &str| fs::read(process.path().join(name)).unwrap_or_default();
        let about = [part("environ"), part("cmdline")].concat();
        let is_server = part("cmdline").starts_with(PROGRAM.as_bytes())
            && !String::from_utf8_lossy(&part("cmdline")).contains("guard");
        !is_server && String::from_utf8_lossy(&about).contains(folder)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kills_of_server_and_worker_every_run_comes_to_its_right_end() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for database in Database::all() {
        let mut shop = Workshop::open(database.url().await);
        let mut created = Vec::new();
        for round in 0..times("PACKTRAIL_TEST_WORKER_KILLS", 3) {
            for n in 0..RUNS {
                let id = format!("r{round}-{n}");
                shop.create(&id).await;
                created.push(id);
            }
            // A random point in the time that the runs take.
            tokio::time::sleep(Duration::from_millis(rng.random_range(50..900))).await;
            match round % 3 {
                0 => {
                    shop.worker = None;
                    shop.start_worker();
                }
                1 => shop.restart_server(),
                _ => {
                    shop.worker = None;
                    shop.restart_server();
                    shop.start_worker();
                }
            }
        }
        for id in &created {
            let run = shop.ended(id).await;
            shop.check(&run);
        }
        shop.worker = None;
        let folder = shop.folder.path().to_owned();
        eventually("no process is left", || (!is_something_left(&folder)).then_some(())).await;
        let succeeded = fs::read_to_string(shop.notes()).unwrap_or_default().lines().count();
        assert!(succeeded > 0, "something was done");
        shop.server.kill();
    }
}
