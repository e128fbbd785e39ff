//! A connection to Postgres itself, and what it is used for.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgPool, Row as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ReplicaError;
use super::backoff::Backoff;
use super::wake::Origin;

/// A setting that Postgres takes for any program's own: a pooler in between loses or refuses it.
const MARK: &str = "packtrail.link";

/// Where Postgres is reached directly, and how.
#[derive(Debug, Clone)]
pub(super) struct Direct {
    options: PgConnectOptions,
    mark: String,
    /// How long Postgres may take to answer.
    answer: Duration,
}

/// One connection. It notices its end while it waits, which is why it is a [`PgListener`] even where
/// nothing is listened for: no other connection of sqlx reads while nothing is asked.
///
/// A listener connects anew by itself, and whoever stops waiting for it just then is never told: the
/// lock is gone and notifications were missed, and the next statement finds a new session in which
/// all seems well. So its pool is closed once it has its one connection: a link is used until its
/// first failure and replaced as a whole.
pub(super) struct Link {
    listener: PgListener,
    answer: Duration,
}

impl Direct {
    pub(super) fn new(url: &str, origin: Origin, answer: Duration) -> Result<Self, ReplicaError> {
        let options = PgConnectOptions::from_str(url).map_err(|_| ReplicaError::Url)?.disable_statement_logging();
        Ok(Self { options, mark: origin.to_string(), answer })
    }

    /// Connects. Postgres ends the session when it was silent for `patience`, or when the other end
    /// acknowledges nothing for about as long: so a holder of a lock that lost its power or its
    /// network does not keep it. Whoever holds a link must ask something more often.
    pub(super) async fn link(&self, role: &str, patience: Duration) -> Result<Link, ReplicaError> {
        let millis = patience.as_millis().to_string();
        // The first probe after a second, then one each second: whole seconds are all there is.
        let probes = patience.as_secs().saturating_sub(1).max(1).to_string();
        let options = self
            .options
            .clone()
            .application_name(&format!("packtrail {role}"))
            .options([("idle_session_timeout", millis.as_str()), ("tcp_user_timeout", millis.as_str())])
            .options([("tcp_keepalives_idle", "1"), ("tcp_keepalives_interval", "1")])
            .options([("tcp_keepalives_count", probes.as_str()), (MARK, self.mark.as_str())]);
        timeout(self.answer, self.connect(options)).await.map_err(|_| ReplicaError::Silent)?
    }

    async fn connect(&self, options: PgConnectOptions) -> Result<Link, ReplicaError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .test_before_acquire(false)
            .acquire_timeout(self.answer)
            .connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await.map_err(explain)?;
        listener.eager_reconnect(false);
        listener.ignore_pool_close_event(true);
        close(&pool);
        let mut link = Link { listener, answer: self.answer };
        link.check(&self.mark).await?;
        Ok(link)
    }
}

/// `PgBouncer` refuses settings at the start of a session unless told to ignore them.
fn explain(error: sqlx::Error) -> ReplicaError {
    match error.as_database_error() {
        Some(cause) if cause.message().starts_with("unsupported startup parameter") => ReplicaError::Pooled,
        _ => error.into(),
    }
}

/// Lets a pool give out no further connection, and end the one that is out when it comes back.
fn close(pool: &PgPool) {
    // The call closes it; its future would wait for the connection that is out.
    drop(Box::pin(pool.close()) as Pin<Box<dyn Future<Output = ()> + '_>>);
}

impl Link {
    /// Refuses a pooler, behind which a lock would stay with a connection that others use, and a
    /// database without an encoding, whose notifications need not be text.
    async fn check(&mut self, mark: &str) -> Result<(), ReplicaError> {
        let question = format!("SELECT current_setting('{MARK}', true), current_setting('server_encoding')");
        let row = sqlx::raw_sql(AssertSqlSafe(question)).fetch_one(&mut self.listener).await?;
        if row.try_get::<Option<&str>, _>(0)? != Some(mark) {
            return Err(ReplicaError::Pooled);
        }
        if row.try_get::<&str, _>(1)? == "SQL_ASCII" {
            return Err(ReplicaError::Encoding);
        }
        Ok(())
    }

    pub(super) async fn listen(&mut self, channel: &str) -> Result<(), ReplicaError> {
        timeout(self.answer, self.listener.listen(channel)).await.map_err(|_| ReplicaError::Silent)??;
        Ok(())
    }

    /// Waits for the next notification, or for the end of the connection. May be dropped at any time.
    pub(super) async fn notification(&mut self) -> Result<PgNotification, ReplicaError> {
        self.listener.try_recv().await?.ok_or(ReplicaError::Lost)
    }

    /// Waits for the end of the connection. May be dropped at any time.
    pub(super) async fn lost(&mut self) -> ReplicaError {
        loop {
            if let Err(error) = self.notification().await {
                return error;
            }
        }
    }

    /// Asks for a sign of life.
    pub(super) async fn ping(&mut self) -> Result<(), ReplicaError> {
        self.ping_until(Instant::now() + self.answer).await
    }

    /// [`Self::ping`], answered before then.
    pub(super) async fn ping_until(&mut self, limit: Instant) -> Result<(), ReplicaError> {
        let answer = sqlx::raw_sql("SELECT 1").execute(&mut self.listener);
        timeout_at(limit, answer).await.map_err(|_| ReplicaError::Silent)??;
        Ok(())
    }

    /// Sends these payloads, in one transaction.
    pub(super) async fn notify(&mut self, channel: &str, payloads: &[String]) -> Result<(), ReplicaError> {
        let sent = sqlx::query("SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload")
            .bind(channel)
            .bind(payloads)
            .execute(&mut self.listener);
        timeout(self.answer, sent).await.map_err(|_| ReplicaError::Silent)??;
        Ok(())
    }

    /// Tries to take the lock of the session; it must not hold it already.
    pub(super) async fn try_lock(&mut self, key: i64) -> Result<bool, ReplicaError> {
        let locked = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(key).fetch_one(&mut self.listener);
        Ok(timeout(self.answer, locked).await.map_err(|_| ReplicaError::Silent)??)
    }

    pub(super) async fn unlock(&mut self, key: i64) -> Result<(), ReplicaError> {
        let unlocked = sqlx::query("SELECT pg_advisory_unlock($1)").bind(key).execute(&mut self.listener);
        timeout(self.answer, unlocked).await.map_err(|_| ReplicaError::Silent)??;
        Ok(())
    }
}

/// What is done over a link for as long as it holds.
pub(super) trait Duty: Send {
    /// For logs, metrics and `pg_stat_activity`.
    const ROLE: &'static str;

    /// Works until the link fails, or returns in order when told to stop.
    fn serve(&mut self, link: &mut Link, stop: &mut Stop) -> impl Future<Output = Result<(), ReplicaError>> + Send;
}

/// Says when to stop.
#[derive(Debug, Clone)]
pub(super) struct Stop(pub(super) watch::Receiver<bool>);

impl Stop {
    /// Waits for it. May be dropped at any time.
    pub(super) async fn told(&mut self) {
        // That the sender is gone also means to stop.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

/// Does a duty until told to stop, over one link after another.
pub(super) async fn keep<D: Duty>(mut duty: D, direct: Direct, patience: Duration, mut stop: Stop) {
    let mut backoff = Backoff::new();
    loop {
        let linked = tokio::select! {
            linked = direct.link(D::ROLE, patience) => linked,
            () = stop.told() => return,
        };
        let error = match linked {
            Ok(mut link) => {
                backoff = Backoff::new();
                let Err(error) = duty.serve(&mut link, &mut stop).await else { return };
                error
            }
            Err(error) => error,
        };
        tracing::warn!(role = D::ROLE, %error, "the direct connection to Postgres failed");
        metrics::counter!("packtrail_replica_link_failures_total", "role" => D::ROLE).increment(1);
        tokio::select! {
            () = sleep(backoff.next()) => {}
            () = stop.told() => return,
        }
    }
}
