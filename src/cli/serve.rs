//! `packtrail serve`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use super::CommandError;
use super::config::ConfigArgs;
use crate::auth::check_start;
use crate::clock::SystemClock;
use crate::http::server::{Options, Server};
use crate::shutdown::{Shutdown, signals};
use crate::telemetry::{Metrics, init_logs};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where to listen; port 0 for any.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Refuse to start on a database whose schema is not up to date, instead of migrating it.
    #[arg(long)]
    no_migrate: bool,
    /// Let everybody in: for development, on loopback only.
    #[arg(long)]
    dev_insecure: bool,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    let config = args.config.load(args.listen, args.no_migrate, args.dev_insecure)?;
    let auth = check_start(&config)?;
    init_logs(config.log_format, &config.log_filter)?;
    let metrics = Metrics::install()?;
    let shutdown = Shutdown::new();
    let signals = signals()?;
    let stopping = shutdown.clone();
    tokio::spawn(async move { stopping.follow(signals).await });
    tokio::spawn(metrics.clone().maintain());
    tracing::info!(database = %config.database.redacted(), "opening");
    let server = Server::bind(Options {
        listen: config.listen,
        database: config.database.expose().to_owned(),
        artifacts: config.artifact_place().parse()?,
        migrate: !config.no_migrate,
        auth,
        limits: config.limits,
        allowed_origins: config.allowed_origins,
        direct: config.database_direct.given(),
        metrics: Some(metrics),
        clock: Arc::new(SystemClock),
        shutdown,
    })
    .await?;
    announce(server.address()?)?;
    server.run().await?;
    Ok(ExitCode::SUCCESS)
}

/// Says where the server listens, for people and for scripts that chose port 0.
pub fn announce(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()
}
