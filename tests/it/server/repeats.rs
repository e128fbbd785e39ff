//! Retries after a lost answer: exactly one record.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use reqwest::RequestBuilder;

use super::load::{check_ledger, record};
use crate::support::db::{Database, number};
use crate::support::server::{Answer, Server, lines, times};

fn keyed(server: &Server, key: &str, parameters: &str, body: &str) -> RequestBuilder {
    server
        .ingest(parameters)
        .header("content-type", "application/x-ndjson")
        .header("idempotency-key", key)
        .body(body.to_owned())
}

async fn commits(url: &str) -> i64 {
    number(url, "SELECT count(*) FROM ledger_commit").await
}

#[tokio::test]
async fn the_same_key_and_request_get_the_same_answer_and_change_nothing() {
    for database in Database::all() {
        let url = database.url().await;
        let mut server = Server::start(&url);
        let body = lines(&[record("a", 0), record("a", 1)]) + "{\"a\":1,\"a\":2}\n";
        let first = Answer::to(keyed(&server, "k", "", &body)).await;
        assert_eq!(first.outcomes(), ["CREATED", "CREATED", "QUARANTINED"], "{}", first.text);
        assert!(!first.replayed);
        let before = commits(&url).await;
        for restarted in [false, true] {
            if restarted {
                server.kill();
                server = Server::start(&url);
            }
            let again = Answer::to(keyed(&server, "k", "", &body)).await;
            assert!(again.replayed);
            assert_eq!((again.status, &again.text), (first.status, &first.text));
        }
        assert_eq!(commits(&url).await, before);
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_source() {
    for database in Database::all() {
        let url = database.url().await;
        let server = Server::start(&url);
        let body = lines(&[record("a", 0)]);
        assert_eq!(Answer::to(keyed(&server, "k", "", &body)).await.status, 200);
        let before = commits(&url).await;
        let other_body = Answer::to(keyed(&server, "k", "", &lines(&[record("a", 1)]))).await;
        assert_eq!(other_body.refusal(), (409, "idempotency_conflict"));
        let other_mode = Answer::to(keyed(&server, "k", "&mode=strict", &body)).await;
        assert_eq!(other_mode.refusal(), (409, "idempotency_conflict"), "a request is more than its body");
        let listing = "&snapshot=2026-05-05T00:00:00Z&kinds=PackExecution";
        let as_listing = Answer::to(keyed(&server, "k", listing, &body)).await;
        assert_eq!(as_listing.refusal(), (409, "idempotency_conflict"));
        assert_eq!(commits(&url).await, before);
        let other_source = Answer::to(keyed(&server, "k", "&source=b", &body)).await;
        assert_eq!((other_source.outcomes(), other_source.replayed), (vec!["CREATED"], false));
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_on_is_repeated_like_any_other() {
    let database = Database::all().remove(0);
    let server = Server::start(&database.url().await);
    // The fault ends the reading long before the body ends.
    let body = format!("[{},]{}", record("a", 0), "x".repeat(3_000_000));
    let send = || {
        let request = server.ingest("").header("content-type", "application/json").header("idempotency-key", "k");
        Answer::to(request.body(body.clone()))
    };
    let first = send().await;
    assert_eq!((first.status.as_u16(), first.outcomes()), (200, vec!["CREATED", "REJECTED"]), "{}", first.text);
    let again = send().await;
    assert_eq!((again.status, again.replayed, &again.text), (first.status, true, &first.text));
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let database = Database::all().remove(0);
    let server = Server::start(&database.url().await);
    for key in ["", "x".repeat(256).as_str()] {
        let answer = Answer::to(keyed(&server, key, "", "{}")).await;
        assert_eq!(answer.refusal(), (400, "bad_user_input"), "{key}");
    }
}

#[tokio::test]
async fn a_client_cut_off_before_its_answer_may_send_again() {
    for database in Database::all() {
        let url = database.url().await;
        let mut server = Server::start(&url);
        // Cut at once, after the server has begun to answer, and in the middle of the body.
        let cuts = times("PACKTRAIL_TEST_CUTS", 30);
        for n in 0..cuts {
            let key = format!("key-{n}");
            let body = lines(&[record("a", n)]);
            cut_off(&server, &key, &body, n % 3);
            let answer = Answer::to(keyed(&server, &key, "", &body)).await;
            assert_eq!(answer.status, 200);
            assert!(matches!(answer.outcomes()[..], ["CREATED" | "UPDATED" | "DUPLICATE"]), "{}", answer.text);
        }
        assert!(server.is_alive().await);
        let expected = i64::try_from(cuts).unwrap();
        assert_eq!(number(&url, "SELECT count(*) FROM object").await, expected);
        assert_eq!(number(&url, "SELECT count(*) FROM observation").await, expected);
        check_ledger(&url).await;
    }
}

fn cut_off(server: &Server, key: &str, body: &str, how: u64) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "POST /v1/ingest?results=all HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let sent = if how == 2 { &body[..body.len() / 2] } else { body };
    stream.write_all(format!("{head}{sent}").as_bytes()).unwrap();
    if how == 1 {
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
    }
    stream.shutdown(Shutdown::Both).unwrap();
}
