//! Running a command behind its guard.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::config::StepCommand;
use super::guard::Order;
use super::log::LogSender;
use super::protocol::{StepLease, Stream};
use super::secrets::reference;

/// How long a guard may take to end everything. Only a process that the kernel does not let go takes
/// longer than moments.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest parameter that is passed as a variable: the kernel refuses to start a command with
/// more than 128 KiB in one.
const MAX_VARIABLE: usize = 32 * 1024;
/// Exit codes of a guard above this one tell of a signal.
const SIGNALLED: i32 = 128;
/// The highest signal.
const LAST_SIGNAL: i32 = 64;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnd {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It took too long, and was killed.
    TimedOut,
    /// It was not wanted any more, and was killed.
    Halted,
}

/// What a guard is told: the command, its folder, its environment and its input.
pub fn order(command: &StepCommand, lease: &StepLease, with: &Value, folder: &Path) -> Order {
    let input = json!({
        "runId": lease.run_id, "stepId": lease.step_id, "attempt": lease.attempt, "uses": lease.uses,
        "with": with, "policy": lease.policy,
    });
    Order {
        argv: command.command.clone(),
        cwd: folder.to_owned(),
        env: environment(command, lease),
        stdin: input.to_string(),
    }
}

/// The whole environment of a command. Secrets are not in it: other processes may read it.
fn environment(command: &StepCommand, lease: &StepLease) -> BTreeMap<String, String> {
    let passed = command.pass_env.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
    let declared = command.env.clone();
    let sandbox = lease.sandbox.as_ref().and_then(|sandbox| serde_json::to_string(sandbox).ok());
    let own = [
        ("PACKTRAIL_RUN_ID", lease.run_id.clone()),
        ("PACKTRAIL_STEP_ID", lease.step_id.clone()),
        ("PACKTRAIL_ATTEMPT", lease.attempt.to_string()),
        ("PACKTRAIL_USES", lease.uses.clone()),
    ];
    let own = own.into_iter().chain(sandbox.map(|sandbox| ("PACKTRAIL_SANDBOX", sandbox)));
    let own = own.map(|(name, value)| (name.to_owned(), value));
    passed.chain(declared).chain(parameters(&lease.with)).chain(own).collect()
}

/// The parameters that fit into variables.
fn parameters(with: &Value) -> impl Iterator<Item = (String, String)> {
    let members = with.as_object().into_iter().flatten().filter(|(_, value)| reference(value).is_none());
    members.filter_map(|(name, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return None,
        };
        (text.len() <= MAX_VARIABLE && !text.contains('\0')).then(|| (variable(name), text))
    })
}

fn variable(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("PACKTRAIL_WITH_{}", name.chars().map(plain).collect::<String>())
}

/// Runs a command to its end, for at most `limit`, or until `halt`. When this returns, nothing that
/// the command started is left, and all that it wrote has been sent on, as long as somebody takes it.
///
/// If the future is dropped, the guard ends everything by itself.
///
/// # Errors
/// There is no guard: it could not be started, or somebody killed it.
pub async fn run(
    guard: &Path,
    order: &Order,
    logs: LogSender,
    limit: Duration,
    halt: &CancellationToken,
) -> std::io::Result<CommandEnd> {
    let line = format!("{}\n", serde_json::to_string(order)?);
    let mut child = start(guard)?;
    let mut readers = JoinSet::new();
    if let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) {
        readers.spawn(logs.clone().read(Stream::Stdout, output));
        readers.spawn(logs.read(Stream::Stderr, errors));
    }
    let mut life_line = child.stdin.take();
    let ended = tokio::select! {
        biased;
        () = halt.cancelled() => Err(CommandEnd::Halted),
        status = tell_and_wait(&line, life_line.as_mut(), &mut child) => Ok(status?),
        () = tokio::time::sleep(limit) => Err(CommandEnd::TimedOut),
    };
    drop(life_line);
    let end = match ended {
        Ok(status) => end(status)?,
        Err(end) if has_ended(&mut child).await => end,
        Err(end) => return Ok(end),
    };
    // Nobody writes any more, so the readers end as soon as what they read is taken, or nobody takes.
    while readers.join_next().await.is_some() {}
    Ok(end)
}

fn start(guard: &Path) -> std::io::Result<Child> {
    // A group of its own: Ctrl-C at the terminal is for the worker alone. No environment: the
    // worker's may hold secrets, and the guard's can be read by what it runs.
    Command::new(guard)
        .arg("guard")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

async fn tell_and_wait(
    line: &str,
    life_line: Option<&mut ChildStdin>,
    child: &mut Child,
) -> std::io::Result<ExitStatus> {
    if let Some(pipe) = life_line {
        // A guard that is gone already says more by its status than by its broken pipe.
        let _broken = pipe.write_all(line.as_bytes()).await;
    }
    child.wait().await
}

fn end(status: ExitStatus) -> std::io::Result<CommandEnd> {
    let code = status.code().ok_or_else(|| std::io::Error::other("the guard was killed"))?;
    let is_signal = (SIGNALLED + 1..=SIGNALLED + LAST_SIGNAL).contains(&code);
    Ok(if is_signal { CommandEnd::Signalled(code - SIGNALLED) } else { CommandEnd::Exited(code) })
}

/// Waits for a guard whose life line is cut.
async fn has_ended(guard: &mut Child) -> bool {
    let in_time = tokio::time::timeout(PATIENCE, guard.wait()).await.is_ok();
    if !in_time {
        tracing::error!(guard = guard.id(), "a command does not end; its guard is left to wait for it");
    }
    in_time
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease() -> StepLease {
        serde_json::from_value(json!({
            "token": "t", "runId": "r", "stepId": "s", "attempt": 2, "uses": "scan",
            "with": {
                "image-name": "a", "deep": {"b": 1}, "count": 3, "yes": true, "none": null,
                "password": {"secretRef": "db"}, "long": "x".repeat(MAX_VARIABLE + 1),
            },
            "policy": null, "sandbox": {"mode": "OPEN", "egressAllowlist": [], "memoryLimitMiB": 5},
            "egress": [], "secrets": [], "captures": [], "leaseSeconds": 30,
        }))
        .unwrap()
    }

    fn command() -> StepCommand {
        let own = json!({
            "uses": "scan", "command": ["scan"], "env": {"LANG": "C", "PACKTRAIL_RUN_ID": "forged"},
            "pass_env": ["CARGO_MANIFEST_DIR", "PACKTRAIL_TEST_ABSENT"],
        });
        serde_json::from_value(own).unwrap()
    }

    #[test]
    fn only_what_is_declared_reaches_the_environment() {
        let environment = environment(&command(), &lease());
        let names: Vec<&str> = environment.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "CARGO_MANIFEST_DIR",
                "LANG",
                "PACKTRAIL_ATTEMPT",
                "PACKTRAIL_RUN_ID",
                "PACKTRAIL_SANDBOX",
                "PACKTRAIL_STEP_ID",
                "PACKTRAIL_USES",
                "PACKTRAIL_WITH_COUNT",
                "PACKTRAIL_WITH_IMAGE_NAME",
                "PACKTRAIL_WITH_YES",
            ]
        );
        assert_eq!(environment["PACKTRAIL_RUN_ID"], "r");
        assert_eq!(environment["PACKTRAIL_WITH_COUNT"], "3");
        assert!(environment["PACKTRAIL_SANDBOX"].contains(r#""memoryLimitMiB":5"#));
    }

    #[test]
    fn the_input_has_the_values_of_secrets() {
        let order = order(&command(), &lease(), &json!({"password": "hunter2"}), Path::new("/"));
        let input: Value = serde_json::from_str(&order.stdin).unwrap();
        assert_eq!(input["with"], json!({"password": "hunter2"}));
        assert_eq!(input["attempt"], 2);
    }

    #[test]
    fn codes_above_128_are_signals() {
        use std::os::unix::process::ExitStatusExt as _;

        let ended = |code: i32| end(ExitStatus::from_raw(code << 8)).unwrap();
        assert_eq!(ended(0), CommandEnd::Exited(0));
        assert_eq!(ended(128), CommandEnd::Exited(128));
        assert_eq!(ended(137), CommandEnd::Signalled(9));
        assert_eq!(ended(255), CommandEnd::Exited(255));
        assert!(end(ExitStatus::from_raw(9)).is_err());
    }
}
