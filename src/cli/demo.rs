//! `packtrail demo`.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::CommandError;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 for any.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Runs the command.
pub async fn run(_args: Args) -> Result<ExitCode, CommandError> {
    Ok(ExitCode::SUCCESS)
}
