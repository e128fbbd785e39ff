//! `packtrail demo`: the main job on a generated fleet, without anything to set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::CommandError;
use super::serve::announce;
use crate::auth::{IngestBinding, check_start};
use crate::clock::SystemClock;
use crate::config::{Config, DatabaseUrl, Overrides};
use crate::domain::json::JsonLimits;
use crate::http::App;
use crate::http::server::{Options, Server};
use crate::service::demo_fleet;
use crate::service::ingest::item::Mode;
use crate::service::ingest::prepare::{Terms, prepare};
use crate::service::ingest::stream::Summary;
use crate::service::run::{CreateRun, RunError};
use crate::shutdown::{Shutdown, signals};
use crate::worker::{Worker, WorkerConfig};

/// How many events are written together.
const CHUNK: usize = 256;

/// What the demo asks, and why somebody would.
const QUESTIONS: [(&str, &str); 6] = [
    ("Which operation sequences are not whole?", include_str!("demo/sequences.graphql")),
    ("What happened to one of them, revision by revision?", include_str!("demo/chain.graphql")),
    ("What needs a person's eyes?", include_str!("demo/findings.graphql")),
    ("What became of one pack on one cluster, across its versions?", include_str!("demo/history.graphql")),
    ("What is on one cluster now, and by which revision?", include_str!("demo/cluster.graphql")),
    ("Where does a run of a task pack stand, and what does it wait for?", include_str!("demo/run.graphql")),
];
/// The run that a worker of the demo does, up to its gate.
const RUN: &str = "promote-1";
/// Its task pack.
const MANIFEST: &str = include_str!("demo/taskpack.yaml");
/// How often, and how long apart, the demo looks whether the run is at its gate.
const LOOKS: (u32, Duration) = (300, Duration::from_millis(100));

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 for any.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The database to fill; a fresh `SQLite` file in a temporary folder if left out.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Stop after the answers instead of serving.
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    let (database, _folder) = database(&args)?;
    let overrides = Overrides {
        listen: Some(args.listen),
        database: Some(DatabaseUrl::from(database.as_str())),
        dev_insecure: Some(true),
        ..Overrides::default()
    };
    let config = Config::load_from(None, std::iter::empty(), overrides)?;
    let auth = check_start(&config)?;
    let shutdown = Shutdown::new();
    let signals = signals()?;
    let stopping = shutdown.clone();
    tokio::spawn(async move { stopping.follow(signals).await });
    let server = Server::bind(Options {
        listen: config.listen,
        database: database.clone(),
        artifacts: config.artifact_place().parse()?,
        migrate: true,
        auth,
        limits: config.limits,
        allowed_origins: Vec::new(),
        direct: None,
        metrics: None,
        clock: Arc::new(SystemClock),
        shutdown: shutdown.clone(),
    })
    .await?;
    let address = server.address()?;
    let app = server.app();
    let serving = tokio::spawn(server.run());
    println!("Filling {database} with a generated fleet …");
    let summary = fill(&app, &config.tenant).await?;
    create_run(&app, &config.tenant).await?;
    drop(app);
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(worker(address)?.run(async { drop(stopped.await) }));
    println!(
        "{} watch events of 6 clusters: {} objects seen, {} changes, {} closed, {} known before, {} contradictions.\n",
        summary.items, summary.created, summary.updated, summary.closed, summary.duplicate, summary.conflict
    );
    ask_all(address).await?;
    announce(address)?;
    if args.once {
        shutdown.drain();
    } else {
        println!("The run {RUN} waits for you: decideApproval lets a worker of the demo finish it.");
        println!("Explore it at http://{address}/graphiql — Ctrl-C stops.");
    }
    shutdown.draining().await;
    drop(stop);
    working.await??;
    serving.await??;
    Ok(ExitCode::SUCCESS)
}

/// A worker that does what needs no command.
fn worker(address: SocketAddr) -> Result<Worker, CommandError> {
    Ok(Worker::new(WorkerConfig {
        server: format!("http://{address}"),
        name: Some("demo".to_owned()),
        parallel: 2,
        builtins: true,
        ..WorkerConfig::default()
    })?)
}

/// Creates the run, unless an earlier demo on the same database has.
async fn create_run(app: &App, tenant: &str) -> Result<(), CommandError> {
    let asked = CreateRun {
        run_id: Some(RUN.to_owned()),
        manifest: MANIFEST.to_owned(),
        inputs: serde_json::Map::from_iter([("cluster".to_owned(), json!("ccs-dev"))]),
        ..CreateRun::default()
    };
    match app.runs.create(tenant, "demo", asked).await {
        Ok(_) | Err(RunError::Exists) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until nothing of the run is left to workers.
async fn at_the_gate(client: &reqwest::Client, address: SocketAddr) -> Result<(), CommandError> {
    let question = json!({"query": format!("{{ run(runId: \"{RUN}\") {{ status }} }}")});
    for _ in 0..LOOKS.0 {
        let answer = client.post(format!("http://{address}/graphql")).json(&question).send().await?;
        let answer: Value = answer.json().await?;
        if !matches!(answer["data"]["run"]["status"].as_str(), Some("PENDING" | "RUNNING")) {
            return Ok(());
        }
        tokio::time::sleep(LOOKS.1).await;
    }
    Err("the run of the demo did not come to its gate".into())
}

/// The database, and the folder that goes away with the demo.
fn database(args: &Args) -> Result<(String, Option<tempfile::TempDir>), CommandError> {
    if let Some(url) = &args.database {
        return Ok((url.clone(), None));
    }
    let folder = tempfile::Builder::new().prefix("packtrail-demo-").tempdir()?;
    let file: PathBuf = folder.path().join("packtrail.db");
    Ok((format!("sqlite://{}", file.display()), Some(folder)))
}

async fn fill(app: &App, tenant: &str) -> Result<Summary, CommandError> {
    let terms = Terms {
        source: "demo".to_owned(),
        mode: Mode::Lenient,
        binding: Arc::new(IngestBinding::default()),
        listed_at: None,
        limits: JsonLimits::default(),
    };
    let mut summary = Summary::default();
    let events: Vec<Value> = demo_fleet::events().collect();
    for chunk in events.chunks(CHUNK) {
        let items = (0..).zip(chunk).map(|(i, event)| prepare(&terms, i, None, event.to_string().as_bytes())).collect();
        for result in app.writer.write(tenant, &terms.source, "demo", items).await? {
            summary.add(&result);
        }
    }
    Ok(summary)
}

async fn ask_all(address: SocketAddr) -> Result<(), CommandError> {
    let client = reqwest::Client::builder().build()?;
    at_the_gate(&client, address).await?;
    for (question, query) in QUESTIONS {
        let body = json!({"query": query});
        let answer: Value = client.post(format!("http://{address}/graphql")).json(&body).send().await?.json().await?;
        if let Some(errors) = answer.get("errors") {
            return Err(format!("{question} {errors}").into());
        }
        println!("# {question}\n{}\n{}\n", query.trim(), serde_json::to_string_pretty(&answer["data"])?);
    }
    Ok(())
}
