//! The reference worker: claims steps from a server, runs them, and reports.
//!
//! It speaks to the server over GraphQL alone and knows nothing else of this program. A lease is
//! renewed while its step runs; when it cannot be, the step is killed and nothing is reported, so
//! that a step never runs twice at once. Commands run behind a guard process, so that nothing that
//! they start outlives the attempt, not even when the worker is killed.

mod attempt;
mod builtin;
mod capture;
mod claim;
mod client;
mod command;
mod config;
pub mod guard;
mod lease;
mod log;
mod protocol;
mod sandbox;
mod secrets;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attempt::Shared;
use client::Client;
pub use config::{Enforcement, PolicyAnswer, SecretSource, StepCommand, WorkerConfig, WorkerConfigError};
use lease::Ending;
use secrets::Secrets;

/// Why a worker does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] WorkerConfigError),
    /// A file or folder that it needs cannot be used.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// A secret has no value.
    #[error("{0}")]
    Secret(String),
    /// The server's URL, the token or the tenant cannot be used.
    #[error("{0}")]
    Connection(String),
    /// The server does not let this worker in.
    #[error("{0}")]
    Denied(String),
    /// The server speaks another version of the protocol.
    #[error("{0}")]
    Misunderstood(String),
}

/// A worker that is ready to run.
pub struct Worker {
    shared: Arc<Shared>,
    name: String,
    /// Removed with the worker, if nobody named one.
    _folder: Option<tempfile::TempDir>,
}

impl Worker {
    /// Reads what the configuration names; asks the server nothing yet.
    ///
    /// # Errors
    /// Something in the configuration is wrong or missing.
    pub fn new(config: WorkerConfig) -> Result<Self, WorkerError> {
        config.check()?;
        let token = token(&config)?;
        let client = Client::new(&config.server, token.as_deref(), config.tenant.as_deref());
        let client = client.map_err(WorkerError::Connection)?;
        let secrets = Secrets::read(&config.secrets).map_err(WorkerError::Secret)?;
        let (work_dir, folder) = work_dir(config.work_dir.as_deref())?;
        let guard = match &config.guard {
            Some(guard) => guard.clone(),
            None => std::env::current_exe().map_err(|error| file("this program", error))?,
        };
        let name = config.name.clone().unwrap_or_else(own_name);
        let masks = Arc::new(secrets.masks());
        let ending = Arc::default();
        let shared = Arc::new(Shared { config, client, secrets, masks, work_dir, guard, ending });
        Ok(Self { shared, name, _folder: folder })
    }

    /// Claims and runs steps until `stop`, then lets running ones end for the configured grace.
    ///
    /// # Errors
    /// The server refuses the worker, or does not understand it. A server that is away is no error.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), WorkerError> {
        let ending: Arc<Ending> = Arc::clone(&self.shared.ending);
        let stopping = async {
            stop.await;
            ending.stop.cancel();
            std::future::pending::<Infallible>().await
        };
        let capabilities = self.shared.config.capabilities().join(" ");
        tracing::info!(worker = self.name, server = self.shared.config.server, capabilities, "the worker begins");
        let served = tokio::select! {
            biased;
            never = stopping => match never {},
            served = claim::serve(Arc::clone(&self.shared), self.name.clone()) => served,
        };
        tracing::info!(worker = self.name, "the worker ends");
        served
    }
}

fn file(path: impl Into<PathBuf>, error: std::io::Error) -> WorkerError {
    WorkerError::File { path: path.into(), error }
}

fn token(config: &WorkerConfig) -> Result<Option<String>, WorkerError> {
    if config.token.is_some() {
        return Ok(config.token.clone());
    }
    let Some(path) = &config.token_file else { return Ok(None) };
    let token = std::fs::read_to_string(path).map_err(|error| file(path, error))?;
    Ok(Some(token.trim().to_owned()))
}

fn work_dir(configured: Option<&Path>) -> Result<(PathBuf, Option<tempfile::TempDir>), WorkerError> {
    if let Some(path) = configured {
        std::fs::create_dir_all(path).map_err(|error| file(path, error))?;
        // Commands start in folders below it, and would read a relative path anew.
        return Ok((path.canonicalize().map_err(|error| file(path, error))?, None));
    }
    let folder = tempfile::Builder::new().prefix("packtrail-worker-").tempdir();
    let folder = folder.map_err(|error| file(std::env::temp_dir(), error))?;
    Ok((folder.path().to_owned(), Some(folder)))
}

/// The host's name and the number of this process.
fn own_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    let host = host.unwrap_or_else(|_: std::env::VarError| "worker".to_owned());
    format!("{}-{}", host.trim(), std::process::id())
}
