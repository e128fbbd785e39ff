//! A running server is fed the whole corpus of bad bodies, and takes it calmly.

use futures_util::future::join_all;
use serde_json::Value;

use super::load::record;
use crate::input::corpus::{BadInput, corpus};
use crate::support::db::Database;
use crate::support::server::{Answer, Server};

/// How much the server may need beyond what it needs for a good record, at any time, KiB. The allocator keeps what
/// each thread needed once: about 50 MiB were seen, and a bomb that is unpacked takes gigabytes.
const GROWTH: u64 = 128 * 1024;

#[tokio::test]
async fn every_bad_body_is_answered_for_what_is_wrong_with_it_and_its_neighbours_are_stored() {
    let corpus = corpus();
    join_all(Database::all().iter().map(|database| feed(database, &corpus))).await;
}

async fn feed(database: &Database, corpus: &[BadInput]) {
    let mut server = Server::start(&database.url().await);
    assert_eq!(server.send(&[record("a", 0)]).await.outcomes(), ["CREATED"]);
    let before = server.memory("VmHWM");
    let mut complaints = Vec::new();
    for input in corpus {
        let answer = post(&server, input).await;
        complaints.extend(complaint(input, &answer));
        assert!(server.is_alive().await, "{}: {}", input.name, server.log());
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let grown = server.memory("VmHWM") - before;
    assert!(grown < GROWTH, "the server grew by {grown} KiB");
}

async fn post(server: &Server, input: &BadInput) -> Answer {
    let mut request = server.ingest("").header("content-type", input.content_type).body(input.body.clone());
    if let Some(encoding) = input.encoding {
        request = request.header("content-encoding", encoding);
    }
    Answer::to(request).await
}

/// What is wrong with an answer, if anything.
fn complaint(input: &BadInput, answer: &Answer) -> Option<String> {
    let (refused, stored): (Vec<&Value>, Vec<&Value>) =
        answer.results.iter().partition(|result| !result["error"].is_null());
    let is_stored = |result: &&Value| matches!(result["outcome"].as_str(), Some("CREATED" | "DUPLICATE"));
    let is_right = matches!(answer.status.as_u16(), 200 | 400)
        && !answer.last["summary"].is_null()
        && refused.len() == 1
        && refused[0]["error"]["code"] == input.expect_code
        && input.expect_path.is_none_or(|path| refused[0]["error"]["path"] == path)
        && input.expect_line.is_none_or(|line| refused[0]["error"]["line"] == line)
        && stored.iter().all(is_stored)
        && (input.good_neighbours == usize::MAX || stored.len() == input.good_neighbours);
    let wanted = (input.expect_code, input.expect_path, input.expect_line, input.good_neighbours);
    let begin: String = answer.text.chars().take(1500).collect();
    (!is_right).then(|| format!("{}: wanted {wanted:?}, got {} {begin}", input.name, answer.status))
}
