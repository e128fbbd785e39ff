//! `packtrail worker`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::CommandError;
use crate::config::LogFormat;
use crate::shutdown::{Shutdown, signals};
use crate::telemetry::init_logs;
use crate::worker::{Worker, WorkerConfig};

/// The variable with the token.
const TOKEN: &str = "PACKTRAIL_WORKER_TOKEN";

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration file (TOML).
    #[arg(long, env = "PACKTRAIL_WORKER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// A file with the token; otherwise `PACKTRAIL_WORKER_TOKEN` is it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The tenant, if the token knows several.
    #[arg(long)]
    tenant: Option<String>,
    /// The name that the server shows; the host's name and the process id if left out.
    #[arg(long)]
    name: Option<String>,
    /// How many steps run at a time, 1 to 100.
    #[arg(long, value_name = "N")]
    parallel: Option<u32>,
    /// How long the server waits for a sign of life before it gives a step up.
    #[arg(long, value_name = "SECONDS")]
    lease_seconds: Option<u32>,
    /// Offer the builtins: noop, echo, sleep and fail.
    #[arg(long)]
    builtins: bool,
    /// End when nothing is left to claim.
    #[arg(long)]
    once: bool,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    init_logs(LogFormat::Text, "info")?;
    let worker = Worker::new(config(args)?)?;
    let shutdown = Shutdown::new();
    let signals = signals()?;
    let stopping = shutdown.clone();
    tokio::spawn(async move { stopping.follow(signals).await });
    tokio::select! {
        ended = worker.run(shutdown.draining()) => ended?,
        // Dropping the worker cuts the life lines of its guards, which end what they guard.
        () = shutdown.aborting() => return Ok(ExitCode::FAILURE),
    }
    Ok(ExitCode::SUCCESS)
}

fn config(args: Args) -> Result<WorkerConfig, CommandError> {
    let mut config = match &args.config {
        Some(file) => WorkerConfig::load(file)?,
        None => WorkerConfig::default(),
    };
    if args.token_file.is_some() {
        config.token_file = args.token_file;
    } else if let Ok(token) = std::env::var(TOKEN) {
        config.token = Some(token);
    }
    config.server = args.server.unwrap_or(config.server);
    config.tenant = args.tenant.or(config.tenant);
    config.name = args.name.or(config.name);
    config.parallel = args.parallel.unwrap_or(config.parallel);
    config.lease_seconds = args.lease_seconds.unwrap_or(config.lease_seconds);
    config.builtins |= args.builtins;
    config.once = args.once;
    Ok(config)
}
