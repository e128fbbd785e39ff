//! What the operating system saw: the record is on disk before the answer leaves.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use super::load::record;
use crate::support::db::{Database, execute_in, number};
use crate::support::server::{PROGRAM, Server, eventually, run, serve};

/// A system call: the lines of the trace at which it began and returned.
#[derive(Debug)]
struct Call {
    name: String,
    text: String,
    began: usize,
    returned: usize,
}

impl Call {
    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    /// Whether it answers an HTTP request with success.
    fn is_answer(&self) -> bool {
        self.is(&SENDS) && self.text.contains("\"HTTP/1.1 200")
    }
}

const SYNCS: [&str; 2] = ["fsync", "fdatasync"];
const SENDS: [&str; 5] = ["write", "writev", "sendto", "sendmsg", "sendmmsg"];
const RECEIVES: [&str; 4] = ["read", "readv", "recvfrom", "recvmsg"];
const WRITES: [&str; 3] = ["pwrite64", "pwritev", "write"];

/// Starts a server under the eyes of `strace`, as a process of its own beside it.
fn traced(database: &str, trace: &Path) -> Server {
    let calls = [&SYNCS[..], &SENDS[..], &RECEIVES[..], &["pwrite64", "pwritev"]].concat().join(",");
    let installed = Command::new("strace").arg("--version").output();
    assert!(
        installed.is_ok_and(|output| output.status.success()),
        "this test needs strace: run ./scripts/test, which installs it, or: apt-get install strace"
    );
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-yy", "-s", "256", "-e", &format!("trace={calls}"), "-o"]).arg(trace);
    Server::spawn(command.arg(PROGRAM).args(serve(database)).arg("--dev-insecure"))
}

/// All calls of a trace in the order in which they returned.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: HashMap<&str, Call> = HashMap::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((process, event)) = line.trim().split_once(' ') else { continue };
        let event = event.trim();
        if event.starts_with("<... ") {
            let Some(mut call) = unfinished.remove(process) else { continue };
            call.text.push_str(event);
            call.returned = at;
            calls.push(call);
        } else if let Some((name, _)) = event.split_once('(') {
            let call = Call { name: name.to_owned(), text: event.to_owned(), began: at, returned: at };
            if event.ends_with("<unfinished ...>") {
                unfinished.insert(process, call);
            } else {
                calls.push(call);
            }
        }
    }
    calls
}

/// Sends one record and returns the calls between its server's answer to an earlier request and its own
/// answer, and that.
async fn calls_of_one_request(database: &str) -> (Vec<Call>, Call) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    let mut server = traced(database, &path);
    assert_eq!(server.send(&[record("a", 0)]).await.outcomes(), ["CREATED"], "a first one, that makes the tenant");
    assert_eq!(server.send(&[record("a", 1)]).await.outcomes(), ["CREATED"]);
    server.kill();
    let read = || std::fs::read_to_string(&path).ok().filter(|trace| trace.contains("+++ killed by SIGKILL"));
    let trace = eventually("the end of the trace", read).await;
    let (answers, others): (Vec<Call>, Vec<Call>) = calls(&trace).into_iter().partition(Call::is_answer);
    let [earlier, answer] = <[Call; 2]>::try_from(answers).unwrap_or_else(|found| panic!("two answers: {found:?}"));
    (others.into_iter().filter(|call| call.began > earlier.began).collect(), answer)
}

#[tokio::test]
async fn on_sqlite_the_log_is_synced_before_the_answer_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("packtrail.db").display());
    let (calls, answer) = calls_of_one_request(&database).await;
    let on_the_log = |call: &&Call| call.text.contains("packtrail.db-wal>");
    let last_write = calls.iter().filter(|call| call.is(&WRITES)).filter(on_the_log).map(|call| call.returned).max();
    let last_write = last_write.expect("the record is written to the log");
    let syncs: Vec<&Call> = calls.iter().filter(|call| call.is(&SYNCS)).filter(on_the_log).collect();
    assert!(
        syncs.iter().any(|sync| last_write < sync.began && sync.returned < answer.began && sync.text.ends_with("= 0")),
        "written at {last_write}, synced at {syncs:?}, answered at {answer:?}"
    );
}

#[tokio::test]
async fn on_postgres_the_commit_is_confirmed_before_the_answer_leaves() {
    for database in Database::all() {
        let url = database.url().await;
        if url.starts_with("sqlite") {
            continue;
        }
        let settings = "SELECT count(*) FROM pg_settings WHERE setting = 'on' \
                        AND name IN ('fsync', 'full_page_writes', 'synchronous_commit')";
        assert_eq!(number(&url, settings).await, 3, "a confirmed commit is on disk");
        // Encrypted, the trace could not be read.
        let (calls, answer) = calls_of_one_request(&format!("{url}?sslmode=disable")).await;
        let says_commit = |call: &&Call| call.text.contains("COMMIT\\0");
        let sent = calls.iter().filter(|call| call.is(&SENDS)).filter(says_commit).map(|call| call.began).max();
        let confirmed =
            calls.iter().filter(|call| call.is(&RECEIVES)).filter(says_commit).map(|call| call.returned).max();
        let (sent, confirmed) = (sent.expect("COMMIT is sent"), confirmed.expect("COMMIT is confirmed"));
        assert!(sent < confirmed && confirmed < answer.began, "{sent}, {confirmed}, {answer:?}");
    }
}

#[tokio::test]
async fn a_postgres_that_may_lose_commits_is_refused() {
    for database in Database::all() {
        let url = database.url().await;
        let Database::Postgres { name, .. } = &database else { continue };
        execute_in(&url, format!("ALTER DATABASE {name} SET synchronous_commit TO off")).await;
        for command in [&serve(&url)[..], &["migrate", "--database", &url]] {
            let command =
                if command[0] == "serve" { [command, &["--dev-insecure"]].concat() } else { command.to_vec() };
            let refused = run(&command, b"");
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(1), "{said}");
            assert!(said.contains("synchronous_commit is off"), "{said}");
        }
    }
}
