//! `packtrail token`.

use std::io::Read as _;
use std::process::ExitCode;

use super::CommandError;
use crate::auth::{generate_token, hash_token};

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hash the token on standard input instead of making one.
    #[arg(long)]
    hash: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, CommandError> {
    if args.hash {
        let mut token = String::new();
        std::io::stdin().read_to_string(&mut token)?;
        println!("{}", hash_token(token.trim())?.to_hex());
        return Ok(ExitCode::SUCCESS);
    }
    let token = generate_token()?;
    println!("token (give it to the caller): {token}");
    println!("hash (for the configuration):  {}", hash_token(&token)?.to_hex());
    Ok(ExitCode::SUCCESS)
}
