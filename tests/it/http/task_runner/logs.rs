//! Logs: as they are, from an entry on, and followed to their end.

use serde_json::{Value, json};

use super::{GATED, PLAIN, RUNS, Rest, for_each_server};

fn entries(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(entries: &[Value]) -> Vec<i64> {
    entries.iter().map(|entry| entry["seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_log_goes_on_after_any_entry() {
    for_each_server(async |rest: &Rest| {
        rest.create("a", GATED).await;
        rest.work("a", 0, json!({})).await;
        let path = format!("{RUNS}/a/logs");
        let all = entries(&rest.get("viewer", &format!("{path}?after=0")).await.text);
        let count = i64::try_from(all.len()).unwrap();
        assert_eq!(numbers(&all), (1..=count).collect::<Vec<_>>());
        for after in 0..=count + 1 {
            let rest = entries(&rest.get("viewer", &format!("{path}?after={after}")).await.text);
            assert_eq!(rest, all[usize::try_from(after.min(count)).unwrap()..]);
        }
        let plain = entries(&rest.get("viewer", &path).await.text);
        let unnumbered = |mut entry: Value| {
            entry.as_object_mut().unwrap().shift_remove("seq");
            entry
        };
        assert_eq!(plain, all.into_iter().map(unnumbered).collect::<Vec<_>>());
        for query in
            ["after=-1", "after=x", "after=", "follow=1", "follow=True", "since=1", "after=99999999999999999999"]
        {
            let answer = rest.get("viewer", &format!("{path}?{query}")).await;
            assert_eq!(answer.refusal(), (400, "bad_user_input"), "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_of_many_pages_comes_whole() {
    use std::fmt::Write as _;
    let mut manifest = PLAIN.to_owned();
    for n in 0..150 {
        writeln!(manifest, "    - {{id: s{n}, run: {{uses: x}}}}").unwrap();
    }
    for_each_server(async |rest: &Rest| {
        rest.create("a", &manifest).await;
        for n in 0..=150 {
            rest.work("a", n, json!({})).await;
        }
        let log = entries(&rest.get("viewer", &format!("{RUNS}/a/logs?after=0")).await.text);
        let count = i64::try_from(log.len()).unwrap();
        assert!(count > 300, "{count}");
        assert_eq!(numbers(&log), (1..=count).collect::<Vec<_>>());
        assert_eq!(log[log.len() - 1]["eventType"], "run.completed");
    })
    .await;
}

#[tokio::test]
async fn a_followed_log_ends_with_its_run() {
    for_each_server(async |rest: &Rest| {
        rest.create("a", GATED).await;
        let path = format!("{RUNS}/a/logs?follow=true");
        let mut followed = rest.request(reqwest::Method::GET, &path, "viewer").send().await.unwrap();
        let first = followed.chunk().await.unwrap().unwrap();
        rest.work("a", 0, json!({})).await;
        let awaited = followed.chunk().await.unwrap().unwrap();
        rest.app.runs.cancel("default", "a", "somebody").await.unwrap();
        let last = followed.bytes().await.unwrap();
        let text = String::from_utf8([first, awaited, last].concat()).unwrap();
        let log = entries(&text);
        assert_eq!(log, entries(&rest.get("viewer", &format!("{RUNS}/a/logs?after=0")).await.text));
        assert_eq!(log[log.len() - 1]["eventType"], "run.cancelled");
        // One that has ended is told at once, to its end.
        assert_eq!(rest.get("viewer", &path).await.text, text);
    })
    .await;
}

#[tokio::test]
async fn a_followed_log_ends_when_the_server_stops() {
    for_each_server(async |rest: &Rest| {
        rest.create("a", GATED).await;
        let path = format!("{RUNS}/a/logs?follow=true");
        let mut followed = rest.request(reqwest::Method::GET, &path, "viewer").send().await.unwrap();
        let first = followed.chunk().await.unwrap().unwrap();
        rest.shutdown.drain();
        assert_eq!(followed.bytes().await.unwrap().len(), 0);
        assert_eq!(entries(std::str::from_utf8(&first).unwrap())[0]["eventType"], "run.created");
    })
    .await;
}
