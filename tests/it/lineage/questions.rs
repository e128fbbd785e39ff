//! The questions of `docs/queries.md`, asked of the demo fleet.

use std::fs;
use std::path::Path;

use packtrail::service::demo_fleet;
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::ingest::{send, terms};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/queries.md");

/// The fenced blocks of a page: how they begin, and their texts.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find("```") {
        let (kind, after) = rest[start + 3..].split_once('\n').unwrap();
        let (text, after) = after.split_once("```").unwrap();
        found.push((kind, text));
        rest = after;
    }
    found
}

/// A question, its variables, and its answer as it stands in the page.
fn questions(page: &str) -> Vec<(String, Value, String)> {
    let mut found: Vec<(String, Value, String)> = Vec::new();
    for (kind, text) in blocks(page) {
        match kind {
            "graphql" => found.push((text.to_owned(), json!({}), String::new())),
            "json variables" => found.last_mut().unwrap().1 = serde_json::from_str(text).unwrap(),
            "json" => text.clone_into(&mut found.last_mut().unwrap().2),
            other => panic!("what is a block of {other}?"),
        }
    }
    found
}

/// Asks every question of the page. With `PACKTRAIL_TEST_WRITE_ANSWERS` the answers are written into it.
#[tokio::test]
async fn the_answers_in_the_page_are_those_of_the_demo() {
    let mut page = fs::read_to_string(Path::new(PAGE)).unwrap();
    let questions = questions(&page);
    assert!(questions.len() >= 15, "the page was not read");
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "demo");
        let events: Vec<Value> = demo_fleet::events().collect();
        for chunk in events.chunks(256) {
            send(&store, "demo", &terms("demo"), chunk).await;
        }
        for (question, variables, stated) in &questions {
            let answer = api.ask_with(question, variables.clone()).await;
            let text = format!("{}\n", serde_json::to_string_pretty(&answer).unwrap());
            if std::env::var_os("PACKTRAIL_TEST_WRITE_ANSWERS").is_some() {
                let at = page.find(question).unwrap();
                let start = at + page[at..].find("```json\n").unwrap() + "```json\n".len();
                let end = start + page[start..].find("```").unwrap();
                page.replace_range(start..end, &text);
            } else {
                assert_eq!(text, *stated, "{question}");
            }
        }
        store.close().await;
    }
    if std::env::var_os("PACKTRAIL_TEST_WRITE_ANSWERS").is_some() {
        fs::write(PAGE, page).unwrap();
    }
}
