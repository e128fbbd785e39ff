//! `packtrail rebuild`.

use std::process::ExitCode;

use super::CommandError;
use super::config::ConfigArgs;
use crate::clock::{Clock as _, SystemClock};
use crate::service::rebuild::rebuild;
use crate::storage::Store;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only compare, and fail if anything differs.
    #[arg(long)]
    verify: bool,
    /// The tenant; the configured one if left out.
    #[arg(long)]
    tenant: Option<String>,
    /// The source; all of the tenant's if left out.
    #[arg(long)]
    source: Option<String>,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    let config = args.config.load(None, false, false)?;
    let store = Store::open(config.database.expose(), false).await?;
    let tenant = args.tenant.unwrap_or(config.tenant);
    let sources = store.source_names(&tenant).await?;
    let chosen: Vec<String> =
        sources.into_iter().filter(|name| args.source.as_ref().is_none_or(|wanted| wanted == name)).collect();
    if chosen.is_empty() {
        return Err("no such source".into());
    }
    let mut clean = true;
    for source in chosen {
        let report = rebuild(&store, &tenant, &source, args.verify, SystemClock.now()).await?;
        clean &= report.is_clean();
        println!(
            "{source}: {} names, {} rows that should not be there, {} rows missing, {} commits",
            report.keys, report.surplus, report.missing, report.commits
        );
    }
    store.close().await;
    Ok(if args.verify && !clean { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
