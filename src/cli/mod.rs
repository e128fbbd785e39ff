//! The command line, one file a subcommand.

mod config;
mod demo;
mod export;
mod follow;
mod ingest;
mod logs;
mod migrate;
mod openapi;
mod rebuild;
mod schema;
mod serve;
mod tail;
mod token;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What was done to a fleet, by whom, and whether the record is whole.
#[derive(Debug, Parser)]
#[command(name = "packtrail", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Args),
    /// Read records from files, folders or standard input into a database or a server.
    Ingest(ingest::Args),
    /// Bring the database schema up to date.
    Migrate(migrate::Args),
    /// Derive all versions, chains and findings anew from the stored observations.
    Rebuild(rebuild::Args),
    /// Write the whole history to standard output, in the ledger's order.
    Export(export::Args),
    /// Print the GraphQL schema.
    Schema,
    /// Print the `OpenAPI` document of the REST surface.
    Openapi,
    /// Fill a fresh database with a generated fleet, serve it, and show queries with their answers.
    Demo(demo::Args),
    /// Make an access token, or the hash of one for the configuration.
    Token(token::Args),
    /// Print the log of a run, and follow it until it ends.
    Logs(logs::Args),
    /// Print what changes from now on, as the ledger has it.
    Tail(tail::Args),
    /// Claim steps of runs from a server and do them.
    Worker(worker::Args),
    /// Run one command for a worker, and leave nothing of it behind.
    #[command(hide = true)]
    Guard,
}

/// Why a command failed; shown to the person at the terminal.
pub type CommandError = Box<dyn std::error::Error + Send + Sync>;

impl Cli {
    /// Whether this is the guard of a command, which runs before everything else is set up.
    #[must_use]
    pub fn is_guard(&self) -> bool {
        matches!(self.command, Command::Guard)
    }
}

/// Runs the command that the arguments name.
pub async fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Ingest(args) => ingest::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::Rebuild(args) => rebuild::run(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Schema => Ok(schema::run()),
        Command::Openapi => Ok(openapi::run()),
        Command::Demo(args) => demo::run(args).await,
        Command::Token(args) => token::run(&args),
        Command::Logs(args) => logs::run(args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Worker(args) => worker::run(args).await,
        Command::Guard => Ok(crate::worker::guard::run()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            let mut causes = String::new();
            let mut source = error.source();
            while let Some(cause) = source {
                causes = format!("{causes}\n  caused by: {cause}");
                source = cause.source();
            }
            eprintln!("packtrail: {error}{causes}");
            ExitCode::FAILURE
        }
    }
}
