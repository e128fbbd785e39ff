//! A worker whose clock is an hour off from the server's.

use std::sync::Arc;

use packtrail::clock::{Clock, SystemClock};
use packtrail::config::Config;
use packtrail::domain::run::RunStatus;
use packtrail::http::server::{Options, Server};
use packtrail::service::query::Scope;
use packtrail::service::run::CreateRun;
use packtrail::shutdown::Shutdown;
use packtrail::storage::artifacts::ArtifactUrl;
use packtrail::worker::{Worker, WorkerConfig};
use serde_json::json;

use super::pack::{pack, text};
use crate::support::db::Database;

const HOUR: i64 = 3_600_000_000;

/// The system's clock, wrongly set.
struct Off(i64);

impl Clock for Off {
    fn now(&self) -> i64 {
        SystemClock.now() + self.0
    }
}

/// The step lasts longer than a lease, so that signs of life must come and count.
async fn is_done(url: String, off: i64) {
    let config = Config { dev_insecure: true, listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let shutdown = Shutdown::new();
    let server = Server::bind(Options {
        listen: config.listen,
        database: url,
        artifacts: ArtifactUrl::Memory,
        migrate: true,
        auth: packtrail::auth::check_start(&config).unwrap(),
        limits: config.limits,
        allowed_origins: Vec::new(),
        direct: None,
        metrics: None,
        clock: Arc::new(Off(off)),
        shutdown: shutdown.clone(),
    })
    .await
    .unwrap();
    let (url, app) = (format!("http://{}", server.address().unwrap()), server.app());
    let serving = tokio::spawn(server.run());
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let worker = WorkerConfig { server: url, builtins: true, lease_seconds: 3, ..WorkerConfig::default() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(Worker::new(worker).unwrap().run(async { drop(stopped.await) }));
    let manifest = pack(json!([{"id": "a", "run": {"uses": "builtin:sleep", "with": {"seconds": 5}}}]));
    let asked = CreateRun { run_id: Some("r".to_owned()), manifest: text(&manifest), ..CreateRun::default() };
    app.runs.create("default", "tester", asked).await.unwrap();
    let mut run = None;
    for _ in 0..1_000 {
        let scope = Scope::now(&app.store, "default".into()).await.unwrap();
        run = scope.run_detail("r").await.unwrap().filter(|run| run.run.run.status.is_terminal());
        if run.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let run = run.expect("it ends").run.run;
    assert_eq!((run.status, run.steps[0].attempts), (RunStatus::Succeeded, 1), "{off}: {:?}", run.steps[0]);
    drop((stop, app));
    working.await.unwrap().unwrap();
    shutdown.drain();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_worker_goes_by_the_length_of_its_lease_and_not_by_the_time_of_day() {
    for (one, other) in Database::all().iter().zip(&Database::all()) {
        tokio::join!(is_done(one.url().await, HOUR), is_done(other.url().await, -HOUR));
    }
}
