//! The processes under test, and the CPU time that they take.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::http::{Call, once};

/// A server process that says `listening on http://host:port` when it is ready. Dropping it ends it.
pub struct Process {
    child: Child,
    /// `host:port`.
    pub host: String,
    // Kept open: the end of it would be a broken pipe for the server.
    _stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a command and waits until it listens. What it logs goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log_file = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        let mut stdout = BufReader::new(child.stdout.take().context("a pipe was asked for")?);
        let mut line = String::new();
        while stdout.read_line(&mut line)? > 0 {
            if let Some(host) = line.trim().strip_prefix("listening on http://") {
                return Ok(Self { host: host.to_owned(), child, _stdout: stdout });
            }
            line.clear();
        }
        bail!("it did not start: {}", std::fs::read_to_string(log).unwrap_or_default())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// User and system time that it and its children that are still there have taken, seconds.
    pub fn cpu(&self) -> f64 {
        cpu_of(self.id()) + children(self.id()).into_iter().map(cpu_of).sum::<f64>()
    }

    /// Bytes of memory that are resident, and the most that were.
    pub fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0)
        };
        (kib("VmRSS") * 1024, kib("VmHWM") * 1024)
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        let pid = self.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "cannot stop {pid}");
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

/// User and system time of a process, seconds; 0 if it is gone.
pub fn cpu_of(pid: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The command in parentheses may hold anything; fields 14 and 15 are counted after it.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / ticks_per_second()
}

/// This process's own time, seconds.
pub fn own_cpu() -> f64 {
    cpu_of(std::process::id())
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

fn ticks_per_second() -> f64 {
    static TICKS: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    *TICKS.get_or_init(|| {
        let out = Command::new("getconf").arg("CLK_TCK").output().ok();
        out.and_then(|out| String::from_utf8_lossy(&out.stdout).trim().parse().ok()).unwrap_or(100.0)
    })
}

/// How to start the product.
#[derive(Clone)]
pub struct Product {
    /// Its program.
    pub program: PathBuf,
    /// Its configuration: `bench/server.toml`.
    pub config: PathBuf,
    /// Where logs go.
    pub log: PathBuf,
}

impl Product {
    /// Starts a server on a database.
    pub fn serve(&self, database: &str) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--dev-insecure", "--listen", "127.0.0.1:0", "--database", database, "--config"]);
        command.arg(&self.config).env("PACKTRAIL_LOG_FILTER", "warn");
        Process::start(&mut command, &self.log)
    }

    /// Makes an empty database.
    pub fn migrate(&self, database: &str) -> Result<()> {
        let out = Command::new(&self.program).args(["migrate", "--database", database]).output()?;
        ensure!(out.status.success(), "migrate: {}", String::from_utf8_lossy(&out.stderr));
        Ok(())
    }
}

/// Sends bodies one after the other over one connection, for preparing a store.
pub async fn feed(host: &str, bodies: impl IntoIterator<Item = String>) -> Result<()> {
    for body in bodies {
        check_summary(&once(host, &Call::ingest(body)).await?)?;
    }
    Ok(())
}

/// What an ingest answer counts.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Items.
    pub items: u64,
    /// Nothing new.
    pub duplicate: u64,
    /// In quarantine.
    pub quarantined: u64,
    /// Not kept.
    pub rejected: u64,
}

/// The summary of an ingest answer, in which nothing may have been refused.
pub fn check_summary(answer: &[u8]) -> Result<Summary> {
    #[derive(serde::Deserialize)]
    struct Last {
        summary: Summary,
    }
    let text = std::str::from_utf8(answer)?;
    let last: Last = serde_json::from_str(text.lines().last().unwrap_or_default()).with_context(|| text.to_owned())?;
    ensure!(last.summary.quarantined + last.summary.rejected == 0, "refused: {text}");
    Ok(last.summary)
}
