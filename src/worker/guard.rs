//! The process between the worker and a command, `packtrail guard`.
//!
//! Its standard input comes from the worker: one line that says what to run, then nothing until it
//! ends. The end means that the worker wants the command gone, or is gone itself, however it went.
//! The guard then kills the command and everything that the command started; it does the same when
//! the command ends by itself. So nothing outlives an attempt.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

/// The exit code when the command cannot be started, as shells have it.
const CANNOT_START: u8 = 127;
/// What is added to the number of the signal that ended the command, as shells have it.
const SIGNALLED: i32 = 128;

/// What a guard runs.
#[derive(Serialize, Deserialize)]
pub struct Order {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The folder that it starts in.
    pub cwd: PathBuf,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Its standard input.
    pub stdin: String,
}

/// Runs the command that standard input orders, and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let mut input = BufReader::new(std::io::stdin());
    let mut line = String::new();
    let order: Order = match input.read_line(&mut line).map(|_| serde_json::from_str(&line)) {
        Ok(Ok(order)) => order,
        // The worker ended before it said what to run.
        _ if line.is_empty() => return ExitCode::SUCCESS,
        _ => return cannot_start("guard", "standard input is not an order"),
    };
    adopt_descendants();
    if let Err(error) = outlast_signals() {
        return cannot_start("guard", &error.to_string());
    }
    let program = order.argv.first().cloned().unwrap_or_default();
    match start(order) {
        Ok(child) => code(guard(child, input)),
        Err(error) => cannot_start(&program, &error.to_string()),
    }
}

fn cannot_start(program: &str, error: &str) -> ExitCode {
    eprintln!("packtrail: cannot start '{program}': {error}");
    ExitCode::from(CANNOT_START)
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| SIGNALLED + status.signal().unwrap_or_default());
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Descendants whose parent ends become children of this process, so that they can be found.
fn adopt_descendants() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        eprintln!("packtrail: processes that leave the group of the command are not found: {error}");
    }
}

/// Lets signals that end a process pass: whoever stops a service may signal all of its processes,
/// and the guard has to be the last of them. The life line says when it is over.
fn outlast_signals() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
            // The handler stays when what it returns is dropped; commands start with the default.
            let _stream = signal(kind)?;
        }
        Ok(())
    })
}

fn start(order: Order) -> std::io::Result<Child> {
    let (program, arguments) = order.argv.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(order.cwd)
        .env_clear()
        .envs(order.env)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // On a thread: a command that does not read must not stop the guard. One that ends before it
        // has read everything breaks the pipe, which is its right.
        thread::spawn(move || stdin.write_all(order.stdin.as_bytes()));
    }
    Ok(child)
}

/// Waits for the command, or for the end of the life line, and leaves nothing running.
fn guard(mut child: Child, mut life_line: BufReader<std::io::Stdin>) -> ExitStatus {
    let pid = Pid::from_child(&child);
    // Whether the command's number still names the command: until it is reaped, nobody else gets it.
    let is_ours = Arc::new(Mutex::new(true));
    let also_is_ours = Arc::clone(&is_ours);
    thread::spawn(move || {
        let _gone = std::io::copy(&mut life_line, &mut std::io::sink());
        if *also_is_ours.lock().unwrap_or_else(PoisonError::into_inner) {
            kill(pid);
        }
    });
    wait(pid);
    let mut is_ours = is_ours.lock().unwrap_or_else(PoisonError::into_inner);
    kill(pid);
    *is_ours = false;
    let status = child.wait().unwrap_or_else(|_| ExitStatus::from_raw(1 << 8));
    drop(is_ours);
    sweep();
    status
}

/// Waits until the command is over, without reaping it.
fn wait(pid: Pid) {
    let over = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(rustix::process::waitid(WaitId::Pid(pid), over), Err(rustix::io::Errno::INTR)) {}
}

/// Kills the command and its group. It may have left the group, or be alone in it, or be over.
fn kill(pid: Pid) {
    let _over = rustix::process::kill_process(pid, Signal::KILL);
    let _empty = rustix::process::kill_process_group(pid, Signal::KILL);
}

/// Kills what is left of the descendants, until there is none.
///
/// A child that dies leaves its children to this process, so the list is read again and again.
#[cfg(target_os = "linux")]
fn sweep() {
    use rustix::process::{WaitOptions, waitpid};

    loop {
        let children = children();
        for pid in &children {
            let _over = rustix::process::kill_process(*pid, Signal::KILL);
        }
        for pid in &children {
            let _reaped = waitpid(Some(*pid), WaitOptions::empty());
        }
        if !children.is_empty() {
            continue;
        }
        match waitpid(None, WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => (),
            // Born while the list was read.
            Ok(None) => thread::yield_now(),
            Err(_) => return,
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn sweep() {}

/// The children of all threads of this process.
#[cfg(target_os = "linux")]
fn children() -> Vec<Pid> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(pid).collect::<Vec<_>>()).collect()
}

#[cfg(target_os = "linux")]
fn pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}
