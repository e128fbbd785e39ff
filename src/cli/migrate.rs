//! `packtrail migrate`.

use std::process::ExitCode;

use super::CommandError;
use super::config::ConfigArgs;
use crate::clock::{Clock as _, SystemClock};
use crate::service::rebuild::follow_rules;
use crate::storage::Store;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    let config = args.config.load(None, false, false)?;
    let store = Store::open(config.database.expose(), true).await?;
    follow_rules(&store, true, SystemClock.now()).await?;
    store.close().await;
    println!("the schema is up to date");
    Ok(ExitCode::SUCCESS)
}
