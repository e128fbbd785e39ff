//! What clients of the `TaskRunner` contract may rely on.

mod contract;
mod decisions;
mod imports;
mod logs;
mod openapi;
mod refusals;
mod runs;

use std::sync::Arc;

use packtrail::auth::{check_start, hash_token};
use packtrail::clock::FixedClock;
use packtrail::config::{AuthConfig, Config, TokenConfig};
use packtrail::http::App;
use packtrail::http::server::{Options, Server};
use packtrail::shutdown::Shutdown;
use packtrail::storage::artifacts::ArtifactUrl;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::db::Database;
use crate::support::feed::NOW;
use crate::support::server::client;
use crate::support::worker;

/// Where runs are made.
const RUNS: &str = "/v1/task-runner/runs";
const SIMULATIONS: &str = "/v1/task-runner/simulations";

/// Who asks: the name of a token, its scopes, grants and tenants.
type Token = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// All who ask.
const TOKENS: [Token; 7] = [
    ("viewer", &["taskrunner.viewer"], &[], &[]),
    ("operator", &["taskrunner.operator"], &["packs.approve"], &[]),
    ("ungranted", &["taskrunner.operator"], &["packs.other"], &[]),
    ("admin", &["taskrunner.admin"], &[], &[]),
    ("collector", &["lineage.ingest", "taskrunner.worker"], &["packs.approve"], &[]),
    ("both", &["taskrunner.admin"], &["packs.approve"], &["default", "b"]),
    ("other", &["taskrunner.admin"], &["packs.approve"], &["b"]),
];

/// A server that listens, with its inside.
struct Rest {
    url: String,
    app: Arc<App>,
    shutdown: Shutdown,
    client: Client,
}

/// What it answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
    body: Value,
}

impl Answer {
    async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, body }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the code of an envelope.
    fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or_default())
    }

    /// The paths of what is wrong with a plan.
    fn paths(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| error["path"].as_str().unwrap()).collect()
    }

    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }
}

fn token(name: &str) -> String {
    format!("{name}-0123456789abcdef0123456789abcdef")
}

fn config() -> Config {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let tokens = TOKENS.iter().map(|(name, scopes, grants, tenants)| TokenConfig {
        capabilities: Vec::new(),
        name: (*name).to_owned(),
        hash: hash_token(&token(name)).unwrap().to_hex(),
        tenants: owned(tenants),
        scopes: owned(scopes),
        grants: owned(grants),
        sources: vec![],
        namespaces: vec![],
        kinds: vec![],
    });
    let auth = AuthConfig { tokens: tokens.collect() };
    Config { auth, listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
}

/// Runs a test against a server on a fresh database of each kind.
async fn for_each_server(test: impl AsyncFn(&Rest)) {
    for_each_server_with(|_| {}, test).await;
}

async fn for_each_server_with(change: impl Fn(&mut Config), test: impl AsyncFn(&Rest)) {
    for database in Database::all() {
        let mut config = config();
        change(&mut config);
        let shutdown = Shutdown::new();
        let server = Server::bind(Options {
            listen: config.listen,
            database: database.url().await,
            artifacts: ArtifactUrl::Memory,
            migrate: true,
            auth: check_start(&config).unwrap(),
            limits: config.limits,
            allowed_origins: Vec::new(),
            direct: None,
            metrics: None,
            clock: Arc::new(FixedClock::new(NOW)),
            shutdown: shutdown.clone(),
        })
        .await
        .unwrap();
        let url = format!("http://{}", server.address().unwrap());
        let rest = Rest { url, app: server.app(), shutdown, client: client() };
        let serving = tokio::spawn(server.run());
        test(&rest).await;
        let shutdown = rest.shutdown.clone();
        drop(rest);
        shutdown.drain();
        serving.await.unwrap().unwrap();
    }
}

impl Rest {
    fn request(&self, method: Method, path: &str, caller: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token(caller))
    }

    async fn get(&self, caller: &str, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path, caller)).await
    }

    async fn post(&self, caller: &str, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path, caller).json(body)).await
    }

    /// Creates a run.
    async fn create(&self, run_id: &str, manifest: &str) -> Value {
        self.post("operator", RUNS, &json!({"runId": run_id, "manifest": manifest})).await.expect(201)
    }

    /// Lets a worker do a step of a run, by its number.
    async fn work(&self, run_id: &str, n: usize, outputs: Value) {
        worker::work(&self.app.runs, "default", run_id, n, outputs).await;
    }

    /// Decides the approval `security-review` of a run.
    async fn decide(&self, caller: &str, run_id: &str, decision: &Value) -> Answer {
        self.post(caller, &format!("{RUNS}/{run_id}/approvals/security-review"), decision).await
    }
}

/// A pack with a step, a gate and a step, and something to leave behind.
const GATED: &str = r#"
apiVersion: stellaops.io/pack.v1
kind: TaskPack
metadata: {name: gated, version: 1.0.0}
spec:
  approvals:
    - {id: security-review, grants: [packs.approve]}
  steps:
    - {id: build, run: {uses: "builtin:build"}}
    - {id: approval, gate: {approval: {id: security-review, message: Look at it}}}
    - {id: deploy, run: {uses: "builtin:deploy"}}
  outputs:
    - {name: image, type: object, expression: steps.build.outputs.image}
    - {name: report, type: file, path: out/report.json}
"#;

/// A pack of one step.
const PLAIN: &str = r#"
apiVersion: stellaops.io/pack.v1
kind: TaskPack
metadata: {name: plain, version: 1.0.0}
spec:
  steps:
    - {id: build, run: {uses: "builtin:build"}}
"#;
