//! `packtrail demo`: the main job on a generated fleet, without anything to set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

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
use crate::shutdown::{Shutdown, signals};

/// How many events are written together.
const CHUNK: usize = 256;

/// What the demo asks, and why somebody would.
const QUESTIONS: [(&str, &str); 5] = [
    ("Which operation sequences are not whole?", include_str!("demo/sequences.graphql")),
    ("What happened to one of them, revision by revision?", include_str!("demo/chain.graphql")),
    ("What needs a person's eyes?", include_str!("demo/findings.graphql")),
    ("What became of one pack on one cluster, across its versions?", include_str!("demo/history.graphql")),
    ("What is on one cluster now, and by which revision?", include_str!("demo/cluster.graphql")),
];

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
        migrate: true,
        auth,
        limits: config.limits,
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
    drop(app);
    println!(
        "{} watch events of 6 clusters: {} objects seen, {} changes, {} closed, {} known before, {} contradictions.\n",
        summary.items, summary.created, summary.updated, summary.closed, summary.duplicate, summary.conflict
    );
    ask_all(address).await?;
    announce(address)?;
    if args.once {
        shutdown.drain();
    } else {
        println!("Explore it at http://{address}/graphiql — Ctrl-C stops.");
    }
    serving.await??;
    Ok(ExitCode::SUCCESS)
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
