//! What is asked, and how the commands end.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::sync::Notify;

use super::server::{Asked, COMPLETE, Server, answer, batch, cursor, events, failed, next, open, page, status, whole};
use super::{change_lines, changes, entries, entry_lines, program, run, signal, stderr, stdout};

/// A server that gives the whole log at once.
async fn log_of(entries: Vec<Value>) -> Server {
    Server::start(move |_, asked: &Asked| {
        if asked.is_subscription() {
            return whole(batch(&entries[asked.after()..], entries.len(), true) + COMPLETE);
        }
        page(&entries, asked)
    })
    .await
}

/// A server that gives the same answer always.
async fn always(response: impl Fn() -> Response + Send + Sync + 'static) -> Server {
    Server::start(move |_, _| response()).await
}

/// The command fails for good, with one request, saying this.
async fn refused(server: &Server, args: &[&str], saying: &str) {
    let output = run(server, args).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains(saying), "{}", stderr(&output));
    assert!(!stderr(&output).contains("trying again"), "{}", stderr(&output));
    assert!(!stderr(&output).contains('\x1b'), "{}", stderr(&output));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_subscription_is_asked_for_as_the_protocol_says() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let server = log_of(entries(3)).await;
    let args = ["logs", "r 1", "--follow", "--tenant", "t1", "--token-file", token.to_str().unwrap()];
    assert_eq!(run(&server, &args).await.status.code(), Some(0));
    let asked = &server.asked()[0];
    assert_eq!(asked.header("accept"), Some("text/event-stream"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("authorization"), Some("Bearer secret"));
    assert_eq!(asked.header("x-stellaops-tenant"), Some("t1"));
    assert_eq!(asked.variables(), &json!({"runId": "r 1"}));
}

#[tokio::test]
async fn the_token_comes_from_the_environment_too() {
    let server = log_of(entries(3)).await;
    for args in [["logs", "r"].as_slice(), &["logs", "r", "--follow"]] {
        let output = program(&server, args).env("PACKTRAIL_TOKEN", "secret").output().await.unwrap();
        assert_eq!(output.status.code(), Some(0));
    }
    for asked in server.asked() {
        assert_eq!(asked.header("authorization"), Some("Bearer secret"));
        assert_eq!(asked.header("x-stellaops-tenant"), None);
    }
}

#[tokio::test]
async fn filters_and_cursors_reach_the_server() {
    let server = log_of(entries(9)).await;
    let after = format!("--after={}", cursor(7));
    let args = ["logs", "r", "-f", "--step", "a", "--step", "b", "--level", "warn", "--grep", "x y", &after];
    let output = run(&server, &args).await;
    assert_eq!(stdout(&output), entry_lines(&entries(9)[7..]));
    let filter = json!({"stepIds": ["a", "b"], "minLevel": "WARN", "contains": "x y"});
    let expected = json!({"runId": "r", "filter": filter, "after": cursor(7)});
    assert_eq!(server.asked()[0].variables(), &expected);

    let feed = Server::start(|_, _| next_error("FORBIDDEN", "no")).await;
    run(&feed, &["tail", "--from-start", "--source", "s", "--kind", "K", "--kind", "L", "--cluster", "c"]).await;
    let filter = json!({"sources": ["s"], "kinds": ["K", "L"], "clusters": ["c"]});
    assert_eq!(feed.asked()[0].variables(), &json!({"from": "BEGINNING", "filter": filter}));
}

fn next_error(code: &str, message: &str) -> Response {
    whole(next(&failed(code, message)) + COMPLETE)
}

#[tokio::test]
async fn a_log_as_it_is_now_is_read_in_pages() {
    let server = log_of(entries(250)).await;
    let output = run(&server, &["logs", "r"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), entry_lines(&entries(250)));
    let after: Vec<usize> = server.asked().iter().map(Asked::after).collect();
    assert_eq!(after, [0, 100, 200]);

    let after = format!("--after={}", cursor(240));
    assert_eq!(stdout(&run(&server, &["logs", "r", &after]).await), entry_lines(&entries(250)[240..]));
}

#[tokio::test]
async fn pages_are_filtered_like_streams() {
    let server = log_of(entries(250)).await;
    let args = ["logs", "r", "--step", "s1", "--step", "s2", "--level", "WARN", "--grep", "line 1"];
    let wanted = |entry: &&Value| {
        let text = |key: &str| entry[key].as_str().unwrap();
        text("stepId") != "s0" && ["WARN", "ERROR"].contains(&text("level")) && text("message").contains("line 1")
    };
    let all = entries(250);
    let chosen: Vec<Value> = all.iter().filter(wanted).cloned().collect();
    assert!(!chosen.is_empty());
    assert_eq!(stdout(&run(&server, &args).await), entry_lines(&chosen));
}

#[tokio::test]
async fn times_are_printed_when_asked_for() {
    let server = log_of(entries(1)).await;
    for args in [["logs", "r", "--timestamps"].as_slice(), &["logs", "r", "-f", "--timestamps"]] {
        assert_eq!(stdout(&run(&server, args).await), "2026-05-04T08:00:00Z DEBUG [s0] line 0 of it\n");
    }
}

#[tokio::test]
async fn nothing_in_an_entry_steers_the_terminal() {
    let mut all = entries(1);
    all[0]["level"] = json!("ERROR");
    all[0]["message"] = json!("\x1b]0;owned\x07\x1b[2J\u{9b}A\u{202e}\r\n\u{7f}\ttab");
    all[0]["stepId"] = json!("s\x1b[31m");
    let server = log_of(all.clone()).await;
    let shown = "ERROR [s␛[31m] ␛]0;owned␇␛[2J\\u{9b}A\\u{202e}␍␊␡\ttab\n";
    assert_eq!(stdout(&run(&server, &["logs", "r"]).await), shown);
    assert_eq!(stdout(&run(&server, &["logs", "r", "--follow"]).await), shown);
    let colored = run(&server, &["logs", "r", "--follow", "--color", "always"]).await;
    let expected = "\x1b[1m\x1b[31mERROR\x1b[0m \x1b[36m[s␛[31m]\x1b[0m ␛]0;owned␇␛[2J\\u{9b}A\\u{202e}␍␊␡\ttab\n";
    assert_eq!(stdout(&colored), expected);

    let output = run(&server, &["logs", "r", "--json"]).await;
    let line = stdout(&output).strip_suffix('\n').unwrap();
    assert!(!line.chars().any(char::is_control), "{line}");
    assert!(line.contains("\\u001b]0;owned\\u0007\\u001b[2J\\u009bA\\u202e\\r\\n\\u007f\\ttab"), "{line}");
    assert_eq!(serde_json::from_str::<Value>(line).unwrap(), all[0]);
}

#[tokio::test]
async fn an_unknown_run_is_named() {
    let saying = "there is no run r␛7, or the token may not see it";
    let missing = always(|| Json(json!({"data": {"answer": null}})).into_response()).await;
    refused(&missing, &["logs", "r\x1b7"], saying).await;
    for code in ["NOT_FOUND", "RUN_NOT_FOUND"] {
        let streamed = always(move || next_error(code, "none")).await;
        refused(&streamed, &["logs", "r\x1b7", "--follow"], saying).await;
        let answered = always(move || answer(404, &failed(code, "none"))).await;
        refused(&answered, &["logs", "r\x1b7", "--follow"], saying).await;
    }
}

#[tokio::test]
async fn what_will_not_go_away_ends_the_command() {
    let saying = [
        ("CURSOR_EXPIRED", "the cursor is older than what the server can go on from: no␛[2J"),
        ("UNAUTHENTICATED", "the server does not know the token (PACKTRAIL_TOKEN or --token-file): no␛[2J"),
        ("FORBIDDEN", "the token may not do this: no␛[2J"),
        ("BAD_USER_INPUT", "the server answers BAD_USER_INPUT: no␛[2J"),
    ];
    for (code, saying) in saying {
        for args in [["logs", "r", "-f", "--after=x"].as_slice(), &["tail", "--after=x"]] {
            refused(&always(move || next_error(code, "no\x1b[2J")).await, args, saying).await;
            let answered = always(move || answer(400, &failed(code, "no\x1b[2J"))).await;
            refused(&answered, args, saying).await;
        }
    }
    for args in [["logs", "r", "-f"].as_slice(), &["logs", "r"], &["tail"]] {
        refused(&always(|| status(401)).await, args, "401 Unauthorized").await;
        refused(&always(|| status(404)).await, args, "404 Not Found").await;
        refused(&always(|| status(302)).await, args, "302 Found").await;
        refused(&always(|| "hello".into_response()).await, args, "cannot be read").await;
    }
    let answered = always(|| answer(200, &json!({"data": {"answer": null}}))).await;
    refused(&answered, &["logs", "r", "-f"], "does not answer with a stream of events").await;
}

#[tokio::test]
async fn an_expired_cursor_is_not_recommended() {
    let server = always(|| next_error("CURSOR_EXPIRED", "gone")).await;
    let output = run(&server, &["tail", "--after=x"]).await;
    assert!(!stderr(&output).contains("go on with"), "{}", stderr(&output));
}

#[tokio::test]
async fn a_failure_in_the_middle_tells_where_to_go_on() {
    let server = always(|| whole(batch(&entries(2), 2, false) + &next(&failed("FORBIDDEN", "no")))).await;
    let output = run(&server, &["logs", "r", "-f"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), entry_lines(&entries(2)));
    assert!(stderr(&output).contains(&format!("go on with --after={}\n", cursor(2))), "{}", stderr(&output));
}

#[tokio::test]
async fn an_event_that_is_too_long_ends_the_command() {
    let long = || format!("data: \"{}\"\n\n", "x".repeat(17 * 1024 * 1024));
    refused(&always(move || whole(long())).await, &["logs", "r", "-f"], "an event of more than 16 MiB").await;
}

#[tokio::test]
async fn an_outage_is_told_once_and_outlived() {
    let server = Server::start(|n, asked| match n {
        0 | 1 => status(503),
        2 => ([("retry-after", "1")], status(429)).into_response(),
        3 => whole(":\n\n"),
        4 => whole(batch(&entries(5)[..2], 2, false)),
        5 => status(502),
        _ => whole(batch(&entries(5)[asked.after()..], 5, true) + COMPLETE),
    })
    .await;
    let output = run(&server, &["logs", "r", "--follow"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), entry_lines(&entries(5)));
    let told: Vec<&str> = stderr(&output).lines().collect();
    let first = "packtrail: the server answers 503 Service Unavailable; trying again";
    assert_eq!(told, [first, "packtrail: the connection ended; trying again"]);
    assert_eq!(server.asked().last().unwrap().after(), 2);
}

#[tokio::test]
async fn whoever_was_too_slow_goes_on_without_a_word() {
    let server = Server::start(|n, asked| {
        let at = asked.after();
        if n < 20 {
            return whole(batch(&entries(30)[at..=at], at + 1, false) + &next(&failed("SLOW_CONSUMER", "slow")));
        }
        whole(batch(&entries(30)[at..], 30, true))
    })
    .await;
    let output = run(&server, &["logs", "r", "--follow"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), entry_lines(&entries(30)));
    assert_eq!(stderr(&output), "");
}

#[tokio::test]
async fn the_end_of_the_log_is_the_end_even_if_the_connection_stays() {
    let server = always(|| open(batch(&entries(2), 2, true))).await;
    let output = run(&server, &["logs", "r", "--follow"]).await;
    assert_eq!(output.status.code(), Some(0));
    let completed = always(|| open(batch(&entries(2), 2, false) + "event: complete\n\n")).await;
    let output = run(&completed, &["logs", "r", "--follow"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), entry_lines(&entries(2)));
}

#[tokio::test]
async fn the_feed_begins_where_it_is_now() {
    let server = Server::start(|_, asked| {
        let from = asked.variables()["from"].clone();
        match asked.variables()["after"].as_str() {
            // The first batch of now is empty, and the connection is cut off after it.
            None if from == "NOW" => whole(batch(&[], 7, false)),
            _ => open(batch(&changes(9)[asked.after()..], 9, false)),
        }
    })
    .await;
    let expected = change_lines(&changes(9)[7..]);
    let mut child = program(&server, &["tail"]).spawn().unwrap();
    let mut printed = vec![0; expected.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut printed).await.unwrap();
    assert_eq!(String::from_utf8(printed).unwrap(), expected);
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(143));
    let told = format!("packtrail: the connection ended; trying again\npacktrail: go on with --after={}\n", cursor(9));
    assert_eq!(stderr(&output), told);
}

#[tokio::test]
async fn a_signal_ends_whatever_is_waited_for() {
    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for args in [["logs", "r"].as_slice(), &["logs", "r", "-f"], &["tail"]] {
            let asked = Arc::new(Notify::new());
            let told = Arc::clone(&asked);
            let server = Server::start(move |_, _| {
                told.notify_one();
                events(stream::pending())
            })
            .await;
            let child = program(&server, args).spawn().unwrap();
            asked.notified().await;
            signal(&child, sent);
            let output = child.wait_with_output().await.unwrap();
            assert_eq!(output.status.code(), Some(code), "{args:?}");
            assert_eq!(stderr(&output), "");
        }
    }
}

#[tokio::test]
async fn a_signal_is_heard_while_nobody_reads_and_the_cursor_is_before_what_was_not_read() {
    let server = always(|| {
        let mut long = entries(3);
        long[1]["message"] = json!("x".repeat(1024 * 1024));
        open(batch(&long[..1], 1, false) + &batch(&long[1..], 3, false))
    })
    .await;
    let mut child = program(&server, &["logs", "r", "-f"]).spawn().unwrap();
    // Once the second batch has begun, the pipe is too small for the rest of it.
    let mut begun = vec![0; entry_lines(&entries(1)).len() + 10];
    child.stdout.as_mut().unwrap().read_exact(&mut begun).await.unwrap();
    signal(&child, Signal::INT);
    let stdout = child.stdout.take();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(stderr(&output), format!("packtrail: go on with --after={}\n", cursor(1)));
    drop(stdout);
}

#[tokio::test]
async fn an_output_that_is_closed_ends_the_command_quietly() {
    for args in [["logs", "r", "-f"].as_slice(), &["tail", "--from-start"]] {
        let closed = Arc::new(Notify::new());
        let gate = Arc::clone(&closed);
        let is_log = args[0] == "logs";
        let server = Server::start(move |_, _| {
            let items = if is_log { entries(9) } else { changes(9) };
            let gate = Arc::clone(&gate);
            let first = Bytes::from(batch(&items[..2], 2, false));
            let rest = Bytes::from(batch(&items[2..], 9, false));
            let rest = stream::once(async move {
                gate.notified().await;
                Ok(rest)
            });
            events(stream::iter([Ok(first)]).chain(rest).chain(stream::pending()))
        })
        .await;
        let mut child = program(&server, args).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.next_line().await.unwrap().is_some());
        drop(lines);
        closed.notify_one();
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
    }
}

#[tokio::test]
async fn an_output_that_is_closed_ends_the_command_even_if_nothing_happens_any_more() {
    let server = always(|| open(batch(&changes(1), 1, false))).await;
    let mut child = program(&server, &["tail", "--from-start"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().is_some());
    drop(lines);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[tokio::test]
async fn an_output_that_is_a_file_is_written_to_the_end() {
    let server = log_of(entries(250)).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    for args in [["logs", "r"].as_slice(), &["logs", "r", "-f"]] {
        let file = std::fs::File::create(&path).unwrap();
        let status = program(&server, args).stdout(file).status().await.unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), entry_lines(&entries(250)));
    }
}

#[tokio::test]
async fn an_output_that_is_full_is_a_failure_and_the_cursor_stays() {
    let server = always(|| whole(batch(&entries(2), 2, true))).await;
    let full = std::fs::File::create("/dev/full").unwrap();
    let after = format!("--after={}", cursor(1));
    let child = program(&server, &["logs", "r", "-f", &after]).stdout(full).spawn().unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told: Vec<&str> = stderr(&output).lines().collect();
    assert_eq!(told[0], format!("packtrail: go on with --after={}", cursor(1)));
    assert_eq!(told[1], "packtrail: standard output takes no more");
    assert!(told[2].contains("No space left on device"), "{told:?}");
}

#[tokio::test]
async fn misuse_has_its_own_exit_code() {
    let server = log_of(entries(0)).await;
    for args in [["logs"].as_slice(), &["logs", "r", "--level", "loud"], &["tail", "--after=x", "--from-start"]] {
        assert_eq!(run(&server, args).await.status.code(), Some(2), "{args:?}");
    }
    let output = run(&server, &["tail", "--url", "ftp://localhost"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--url: must be an http or https URL"));
    assert!(server.asked().is_empty());
}
