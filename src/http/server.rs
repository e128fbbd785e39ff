//! The server: from its options to a listening socket, and back to nothing without losing work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::net::TcpListener;

use super::{App, router};
use crate::auth::{AuthMode, Authenticator};
use crate::clock::SharedClock;
use crate::config::Limits;
use crate::service::ingest::batch::QuarantineBounds;
use crate::service::ingest::writer::{Writer, WriterLimits, WriterTask};
use crate::service::rebuild;
use crate::service::run::{RunLimits, Runs};
use crate::shutdown::{DRAIN, Drained, Shutdown};
use crate::storage::artifacts::{ArtifactError, ArtifactStore, ArtifactUrl};
use crate::storage::{Store, StoreError, Timeouts};
use crate::telemetry::Metrics;

/// How long the database may take to close after requests in flight were given up.
const CLOSING: Duration = Duration::from_secs(3);
/// How old what an upload left behind is when nobody can still be at it.
const ABANDONED: Duration = Duration::from_hours(24);

/// What a server is made of.
pub struct Options {
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// The database URL.
    pub database: String,
    /// Where the content of artifacts is kept.
    pub artifacts: ArtifactUrl,
    /// Whether to bring an older schema up to date.
    pub migrate: bool,
    /// How callers are known.
    pub auth: AuthMode,
    /// The limits.
    pub limits: Limits,
    /// The metrics, if this process has them.
    pub metrics: Option<Metrics>,
    /// The time.
    pub clock: SharedClock,
    /// Tells when to stop.
    pub shutdown: Shutdown,
}

/// Why a server did not start, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store of artifacts could not be opened.
    #[error("the store of artifacts: {0}")]
    Artifacts(#[from] ArtifactError),
    /// The address could not be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The socket broke.
    #[error("the server broke off: {0}")]
    Serve(std::io::Error),
}

/// A server that listens and is not serving yet.
pub struct Server {
    listener: TcpListener,
    app: Arc<App>,
    task: WriterTask,
}

impl Server {
    /// Opens the database and the socket.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn bind(options: Options) -> Result<Self, ServeError> {
        let timeouts =
            Timeouts { acquire: options.limits.db_acquire_timeout(), statement: options.limits.db_statement_timeout() };
        let store = Store::open_with(&options.database, options.migrate, timeouts).await?;
        let artifacts = ArtifactStore::at(&options.artifacts)?;
        let clock = options.clock;
        rebuild::follow_rules(&store, options.migrate, clock.now()).await?;
        let (writer, task) = Writer::new(store.clone(), Arc::clone(&clock), writer_limits(&options.limits));
        let listener =
            TcpListener::bind(options.listen).await.map_err(|error| ServeError::Listen(options.listen, error))?;
        let app = Arc::new(App {
            runs: Runs::new(store.clone(), Arc::clone(&clock))
                .with_limits(run_limits(&options.limits))
                .with_shutdown(options.shutdown.clone()),
            artifacts,
            store,
            writer,
            clock,
            authenticator: Authenticator::new(options.auth),
            limits: options.limits,
            metrics: options.metrics,
            shutdown: options.shutdown,
            ingests: App::ingest_places(),
        });
        Ok(Self { listener, app, task })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// If the socket is gone.
    pub fn address(&self) -> Result<SocketAddr, ServeError> {
        self.listener.local_addr().map_err(ServeError::Serve)
    }

    /// What its surfaces share.
    #[must_use]
    pub fn app(&self) -> Arc<App> {
        Arc::clone(&self.app)
    }

    /// Serves until told to stop, finishes what is in flight, writes what was taken, closes the database.
    ///
    /// # Errors
    /// If the socket breaks.
    pub async fn run(self) -> Result<(), ServeError> {
        let Self { listener, app, task } = self;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let writing = tokio::spawn(task.run_until(async { drop(stopped.await) }));
        let shutdown = app.shutdown.clone();
        let store = app.store.clone();
        let watching = tokio::spawn(app.runs.clone().watch(shutdown.draining()));
        tokio::spawn(tidy(app.artifacts.clone(), app.clock.now()));
        let serving = axum::serve(listener, router(&app)).with_graceful_shutdown(shutdown.draining());
        drop(app);
        let ended = shutdown.run(std::future::IntoFuture::into_future(serving), DRAIN).await;
        // Connections that were given up still hold handles of the writer, which would wait for them.
        drop(stop);
        let closing = async {
            if let Err(error) = writing.await {
                tracing::error!(%error, "the writer broke off");
            }
            if let Err(error) = watching.await {
                tracing::error!(%error, "the watch over runs broke off");
            }
            store.close().await;
        };
        match ended {
            Drained::Finished(result) => {
                closing.await;
                result.map_err(ServeError::Serve)
            }
            Drained::TimedOut | Drained::Aborted => {
                if tokio::time::timeout(CLOSING, closing).await.is_err() {
                    tracing::warn!("the database was not closed in time; nothing acknowledged is lost");
                }
                Ok(())
            }
        }
    }
}

/// The bounds of runs, from the configured ones.
#[must_use]
pub fn run_limits(limits: &Limits) -> RunLimits {
    RunLimits { log_bytes: i64::try_from(limits.run_log_bytes).unwrap_or(i64::MAX) }
}

/// The writer's bounds, from the configured ones.
#[must_use]
pub fn writer_limits(limits: &Limits) -> WriterLimits {
    let bound = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    WriterLimits {
        queue: limits.writer_queue_len,
        batch: limits.writer_batch_records,
        delay: limits.writer_batch_delay(),
        quarantine: QuarantineBounds {
            items: bound(limits.quarantine_max_items),
            bytes: bound(limits.quarantine_max_bytes),
        },
    }
}

/// Removes what uploads left behind that were broken off long ago.
async fn tidy(artifacts: ArtifactStore, now: i64) {
    let now = UNIX_EPOCH + Duration::from_micros(now.unsigned_abs());
    let Some(before) = now.checked_sub(ABANDONED) else { return };
    match artifacts.remove_unfinished(before).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "what uploads left behind was removed"),
        Err(error) => tracing::warn!(%error, "what uploads left behind could not be removed"),
    }
}
