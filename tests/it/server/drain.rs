//! SIGTERM: finish what is in flight, then end.

use std::net::TcpStream;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use packtrail::clock::SystemClock;
use packtrail::config::Config;
use packtrail::http::router;
use packtrail::http::server::{Options, Server as InProcess};
use packtrail::shutdown::Shutdown;
use packtrail::storage::artifacts::ArtifactUrl;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

use super::load::{Load, check};
use crate::support::db::Database;
use crate::support::server::{Server, eventually, times};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stopped_under_load_ends_well_and_has_stored_what_it_acknowledged() {
    for database in Database::all() {
        let url = database.url().await;
        let mut server = Server::start(&url);
        let mut load = Load::start(&server, "load");
        let mut acknowledged = load.answers(16).await;
        server.terminate();
        acknowledged.extend(load.rest().await);
        assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
        check(&url, &acknowledged).await;
    }
}

/// An upload of which the server waits for the rest.
async fn stalled_upload(server: &Server) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let head = "POST /v1/ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "the server says that it reads the body");
    stream
}

async fn wait_until_it_accepts_nothing(server: &Server) {
    eventually("the server stops accepting", || TcpStream::connect(server.address()).err()).await;
}

#[tokio::test]
async fn a_second_signal_ends_a_server_that_waits_for_a_stalled_upload() {
    for database in Database::all() {
        let mut server = Server::start(&database.url().await);
        let _stalled = stalled_upload(&server).await;
        server.terminate();
        wait_until_it_accepts_nothing(&server).await;
        server.terminate();
        assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    }
}

#[tokio::test]
async fn a_stalled_upload_does_not_hold_a_stopping_server_beyond_its_deadline() {
    if times("PACKTRAIL_TEST_DEADLINES", 0) == 0 {
        return; // half a minute, for the long run
    }
    let [database, ..] = &Database::all()[..] else { return };
    let mut server = Server::start(&database.url().await);
    let _stalled = stalled_upload(&server).await;
    server.terminate();
    // Longer than the server's own deadline, which platforms cut off at 30 s.
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
}

#[tokio::test]
async fn a_draining_server_is_alive_and_not_ready() {
    let database = Database::all().remove(0);
    let shutdown = Shutdown::new();
    let config = Config { dev_insecure: true, listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let server = InProcess::bind(Options {
        listen: config.listen,
        database: database.url().await,
        artifacts: ArtifactUrl::Memory,
        migrate: true,
        auth: packtrail::auth::check_start(&config).unwrap(),
        limits: config.limits,
        allowed_origins: Vec::new(),
        direct: None,
        metrics: None,
        clock: Arc::new(SystemClock),
        shutdown: shutdown.clone(),
    })
    .await
    .unwrap();
    let ask = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router(&server.app()).oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!((ask("/livez").await, ask("/readyz").await), (200, 200));
    shutdown.drain();
    assert_eq!((ask("/livez").await, ask("/readyz").await), (200, 503));
}
