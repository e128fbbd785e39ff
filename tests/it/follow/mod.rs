//! `packtrail logs` and `packtrail tail` against a server that fails in every way it can.

mod chaos;
mod ending;
mod server;

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use server::Server;

/// Entries of a log, in three steps and four levels.
fn entries(count: usize) -> Vec<Value> {
    let level = |i: usize| ["DEBUG", "INFO", "WARN", "ERROR"][i % 4];
    let entry = |i: usize| {
        json!({"seq": i + 1, "timestamp": "2026-05-04T08:00:00Z", "level": level(i), "eventType": "step.log",
            "message": format!("line {i} of it"), "stepId": format!("s{}", i % 3), "metadata": {"attempt": "1"}})
    };
    (0..count).map(entry).collect()
}

/// What is printed of them.
fn entry_lines(entries: &[Value]) -> String {
    let line = |entry: &Value| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        format!("{:<6}[{}] {}\n", text("level"), text("stepId"), text("message"))
    };
    entries.iter().map(line).collect()
}

fn changes(count: usize) -> Vec<Value> {
    let change = |i: usize| {
        json!({"seq": i * 3 + 1, "committedAt": "2026-05-04T08:00:00Z", "change": "UPDATED", "source": "hub",
            "cluster": null,
            "record": {"id": i.to_string(), "kind": "PackInstance", "namespace": "ns", "name": format!("n{i}")}})
    };
    (0..count).map(change).collect()
}

fn change_lines(changes: &[Value]) -> String {
    let line = |change: &Value| {
        let name = change["record"]["name"].as_str().unwrap();
        format!("2026-05-04T08:00:00Z {} UPDATED   PackInstance ns/{name} source=hub\n", change["seq"])
    };
    changes.iter().map(line).collect()
}

fn json_lines(items: &[Value]) -> String {
    items.iter().flat_map(|item| [item.to_string(), "\n".to_owned()]).collect()
}

/// The program with these arguments, and nothing of this process's own settings.
fn program(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_packtrail"));
    for name in ["PACKTRAIL_TOKEN", "NO_COLOR", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.args(args).env("PACKTRAIL_URL", &server.url).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run(server: &Server, args: &[&str]) -> Output {
    program(server, args).output().await.unwrap()
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}
