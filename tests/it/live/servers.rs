//! Servers of one database, which come and go, and a run that writes its log through them.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::Socket;
use crate::runs::pack::{pack, text};
use crate::support::db::Database;
use crate::support::server::{Server, client, file};

/// Limits that do not stand in the way of many subscribers of one principal.
const CONFIG: &str = r"
dev_insecure = true
[limits]
sockets_per_principal = 2000
rate_per_minute = 10000000
in_flight_per_principal = 250
";

/// Some servers of one database.
pub struct Servers {
    url: String,
    config: TempDir,
    running: Mutex<Vec<Option<Server>>>,
}

impl Servers {
    /// As many servers as the database can have, two at most.
    pub async fn start(database: &Database, more: &str) -> Arc<Self> {
        let config = TempDir::new().unwrap();
        file(config.path(), "packtrail.toml", format!("{CONFIG}{more}"));
        let count = if matches!(database, Database::Postgres { .. }) { 2 } else { 1 };
        let servers = Self { url: database.url().await, config, running: Mutex::default() };
        for _ in 0..count {
            let server = servers.spawn();
            servers.running.lock().unwrap().push(Some(server));
        }
        Arc::new(servers)
    }

    fn spawn(&self) -> Server {
        Server::start_configured(&self.url, &self.config.path().join("packtrail.toml"))
    }

    /// The URL of the database.
    pub fn database(&self) -> &str {
        &self.url
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.running.lock().unwrap().len()
    }

    /// Where one of them is, unless it is away.
    pub fn url(&self, n: usize) -> Option<String> {
        let running = self.running.lock().unwrap();
        running[n % running.len()].as_ref().map(|server| server.url().to_owned())
    }

    /// A field of the process of one of them.
    pub fn memory(&self, n: usize, field: &str) -> u64 {
        self.running.lock().unwrap()[n].as_ref().unwrap().memory(field)
    }

    /// Ends one as a power cut would.
    pub fn kill(&self, n: usize) {
        let old = self.running.lock().unwrap()[n].take();
        drop(old);
    }

    /// Ends one as a power cut would, and starts it anew somewhere else.
    pub fn restart(&self, n: usize) {
        self.kill(n);
        let new = self.spawn();
        self.running.lock().unwrap()[n] = Some(new);
    }

    /// Asks a server until one answers with data.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let body = json!({"query": query, "variables": variables}).to_string();
        for n in 0..3_000 {
            if let Some(url) = self.url(n) {
                let request = client().post(format!("{url}/graphql")).header("content-type", "application/json");
                if let Ok(response) = request.body(body.clone()).send().await
                    && let Ok(text) = response.text().await
                    && let Ok(answer) = serde_json::from_str::<Value>(&text)
                    && answer["errors"].is_null()
                {
                    return answer["data"].clone();
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("nobody answers {query}");
    }

    /// A subscriber at one of the servers, once it is there.
    pub async fn socket(&self, n: usize) -> Socket {
        for _ in 0..3_000 {
            if let Some(url) = self.url(n)
                && let Some(socket) = Socket::connect(&url).await
            {
                return socket;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("no server takes a subscriber");
    }

    /// Creates a run of one step, and takes the step; its token.
    pub async fn begin(&self, run_id: &str) -> String {
        let manifest = text(&pack(json!([{"id": "a", "run": {"uses": "noop"}}])));
        let create =
            "mutation($m: String!, $r: String!) { createRun(input: {runId: $r, manifest: $m}) { __typename } }";
        self.ask(create, json!({"m": manifest, "r": run_id})).await;
        let claim = "mutation { claimSteps(input: {worker: \"w\", capabilities: [\"*\"], max: 1, leaseSeconds: 3600}) { \
            ... on ClaimStepsSuccess { leases { token } } } }";
        let claimed = self.ask(claim, json!({})).await;
        claimed["claimSteps"]["leases"][0]["token"].as_str().unwrap().to_owned()
    }

    /// Appends lines of a step; again, should the answer be lost.
    pub async fn append(&self, token: &str, first: usize, lines: &[String]) {
        let append = "mutation($t: String!, $f: Int53!, $l: [StepLogLineInput!]!) { \
            appendStepLogs(input: {token: $t, firstSeq: $f, lines: $l}) { __typename } }";
        let lines: Vec<Value> = lines.iter().map(|line| json!({"text": line})).collect();
        let answer = self.ask(append, json!({"t": token, "f": first, "l": lines})).await;
        assert_eq!(answer["appendStepLogs"]["__typename"], "AppendStepLogsSuccess", "{answer}");
    }

    /// Ends the step, and with it the run.
    pub async fn end(&self, token: &str) {
        let complete = "mutation($t: String!) { completeStep(input: {token: $t}) { __typename } }";
        self.ask(complete, json!({"t": token})).await;
    }

    /// The whole log of a run, by pages: numbers and messages.
    pub async fn stored(&self, run_id: &str) -> Vec<(i64, String)> {
        let page = "query($r: String!, $a: String) { run(runId: $r) { logs(first: 100, after: $a) { \
            nodes { seq message } pageInfo { endCursor hasNextPage } } } }";
        let (mut found, mut after) = (Vec::new(), Value::Null);
        loop {
            let logs = self.ask(page, json!({"r": run_id, "a": after})).await["run"]["logs"].clone();
            found.extend(read(&logs["nodes"]));
            if logs["pageInfo"]["hasNextPage"] != true {
                return found;
            }
            after = logs["pageInfo"]["endCursor"].clone();
        }
    }
}

/// Entries as numbers and messages.
pub fn read(entries: &Value) -> Vec<(i64, String)> {
    let entry = |entry: &Value| (entry["seq"].as_i64().unwrap(), entry["message"].as_str().unwrap().to_owned());
    entries.as_array().unwrap().iter().map(entry).collect()
}
