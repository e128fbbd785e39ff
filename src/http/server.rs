//! The server: from its options to a listening socket, and back to nothing without losing work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use super::live::{Places, Stalling};
use super::{App, router};
use crate::auth::{AuthMode, Authenticator};
use crate::clock::SharedClock;
use crate::config::Limits;
use crate::service::ingest::batch::QuarantineBounds;
use crate::service::ingest::writer::{Writer, WriterLimits, WriterTask};
use crate::service::live::Hub;
use crate::service::rebuild;
use crate::service::run::{RunLimits, Runs};
use crate::shutdown::{DRAIN, Drained, Shutdown};
use crate::storage::artifacts::{ArtifactError, ArtifactStore, ArtifactUrl};
use crate::storage::replica::{Heard, Hearing, Leadership, Replica, ReplicaError, Settings, Wake};
use crate::storage::{Store, StoreError, Timeouts};
use crate::telemetry::Metrics;

/// How long the database may take to close after requests in flight were given up.
const CLOSING: Duration = Duration::from_secs(3);
/// How long `WebSocket`s may take to close once the server stops.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long a client may take nothing of what is written to it before its connection breaks: longer than what is
/// written has patience with it, which can say why.
const STALLED: Duration = Duration::from_secs(75);
/// How old what an upload left behind is when nobody can still be at it.
const ABANDONED: Duration = Duration::from_hours(24);

/// What a server is made of.
pub struct Options {
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// The database URL.
    pub database: String,
    /// The URL of the database itself, where the other one leads to a pooler.
    pub direct: Option<String>,
    /// Where the content of artifacts is kept.
    pub artifacts: ArtifactUrl,
    /// Whether to bring an older schema up to date.
    pub migrate: bool,
    /// How callers are known.
    pub auth: AuthMode,
    /// The limits.
    pub limits: Limits,
    /// Origins whose pages may open `WebSocket`s beside the server's own.
    pub allowed_origins: Vec<String>,
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
    /// The other servers of the database could not be joined.
    #[error("the direct connection to the database: {0}")]
    Replica(#[from] ReplicaError),
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
    others: Option<Others>,
}

/// The other servers of the same database.
struct Others {
    replica: Replica,
    hearing: Hearing,
}

impl Server {
    /// Opens the database and the socket.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn bind(options: Options) -> Result<Self, ServeError> {
        let timeouts =
            Timeouts { acquire: options.limits.db_acquire_timeout(), statement: options.limits.db_statement_timeout() };
        let store = open(&options, timeouts).await?;
        let others = join(&store, &options).await?;
        let artifacts = ArtifactStore::at(&options.artifacts)?;
        let clock = options.clock;
        rebuild::follow_rules(&store, options.migrate, clock.now()).await?;
        let (writer, task) = Writer::new(store.clone(), Arc::clone(&clock), writer_limits(&options.limits));
        let listener =
            TcpListener::bind(options.listen).await.map_err(|error| ServeError::Listen(options.listen, error))?;
        let sockets = Places::new(options.limits.sockets_total, options.limits.sockets_per_principal);
        let app = Arc::new(App {
            runs: Runs::new(store.clone(), Arc::clone(&clock))
                .with_limits(run_limits(&options.limits))
                .with_shutdown(options.shutdown.clone()),
            artifacts,
            store: store.clone(),
            writer,
            clock,
            authenticator: Authenticator::new(options.auth),
            limits: options.limits,
            allowed_origins: options.allowed_origins,
            hub: Hub::new(store.clone()),
            sockets,
            metrics: options.metrics,
            shutdown: options.shutdown,
            ingests: App::ingest_places(),
        });
        Ok(Self { listener, app, task, others })
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
        let Self { listener, app, task, others } = self;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let writing = tokio::spawn(task.run_until(async { drop(stopped.await) }));
        let shutdown = app.shutdown.clone();
        let store = app.store.clone();
        let (replica, hearing) = others.map(|others| (others.replica, others.hearing)).unzip();
        let leadership = replica.as_ref().map(Replica::leadership);
        let is_mine = move || leadership.as_ref().is_none_or(Leadership::is_leader);
        let watching = tokio::spawn(app.runs.clone().watch(shutdown.draining(), is_mine));
        if let Some(hearing) = hearing {
            tokio::spawn(hear(hearing, store.clone()));
        }
        let following = tokio::spawn(app.hub.clone().watch(shutdown.draining()));
        tokio::spawn(tidy(app.artifacts.clone(), app.clock.now()));
        // What is written is to leave at once: events are small, and each is waited for.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let serving = axum::serve(Stalling::new(listener, STALLED), router(&app));
        let serving = serving.with_graceful_shutdown(shutdown.draining());
        let sockets = Arc::clone(&app.sockets);
        drop(app);
        let ended = shutdown.run(std::future::IntoFuture::into_future(serving), DRAIN).await;
        // They are told to go, which the server does not wait for by itself.
        drop(tokio::time::timeout(GOODBYE, sockets.empty()).await);
        // Connections that were given up still hold handles of the writer, which would wait for them.
        drop(stop);
        let closing = async {
            if let Err(error) = writing.await {
                tracing::error!(%error, "the writer broke off");
            }
            if let Err(error) = watching.await {
                tracing::error!(%error, "the watch over runs broke off");
            }
            if let Err(error) = following.await {
                tracing::error!(%error, "the watch over feeds broke off");
            }
            if let Some(replica) = replica {
                replica.stop().await;
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

/// Opens the database: through a pooler, only after the schema was brought up to date without it.
async fn open(options: &Options, timeouts: Timeouts) -> Result<Store, StoreError> {
    let Some(direct) = &options.direct else {
        return Store::open_with(&options.database, options.migrate, timeouts).await;
    };
    Store::open_with(direct, options.migrate, timeouts).await?.close().await;
    Store::open_pooled(&options.database, timeouts).await
}

/// Joins the other servers of a Postgres, and tells them from now on what this one commits.
async fn join(store: &Store, options: &Options) -> Result<Option<Others>, ReplicaError> {
    if !store.is_shared() {
        return Ok(None);
    }
    let url = options.direct.as_ref().unwrap_or(&options.database);
    let (replica, hearing) = Replica::start(url, Settings::default()).await?;
    let voice = replica.voice();
    store.wakes().tell_others(Box::new(move |topic, number| voice.tell(Wake { topic, number })));
    Ok(Some(Others { replica, hearing }))
}

/// Passes on what other servers committed.
async fn hear(mut hearing: Hearing, store: Store) {
    while let Some(heard) = hearing.next().await {
        match heard {
            Heard::Wake(wake) => store.wakes().heard(wake.topic, wake.number),
            Heard::Everything => {
                if let Err(error) = store.look().await {
                    tracing::warn!(%error, "it could not be looked at what moved; it is, within a second");
                }
            }
        }
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
