//! The program itself, started as its users start it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_packtrail");

/// How often a test looks for something that must come, and how long it waits in between: a minute in all.
const LOOKS: usize = 3000;
const BETWEEN: Duration = Duration::from_millis(20);

/// A running server. Dropping it kills and reaps it.
pub struct Server {
    child: Child,
    url: String,
    client: Client,
    // Its end would be a full or broken pipe for the server.
    _stdout: BufReader<std::process::ChildStdout>,
    log: tempfile::NamedTempFile,
}

impl Server {
    /// A server that lets everybody in.
    pub fn start(database: &str) -> Self {
        Self::spawn(Command::new(PROGRAM).args(serve(database)).arg("--dev-insecure"))
    }

    /// A server with a configuration file.
    pub fn start_configured(database: &str, config: &Path) -> Self {
        Self::spawn(Command::new(PROGRAM).args(serve(database)).arg("--config").arg(config))
    }

    /// Runs a command that starts a server, and waits until it listens.
    pub fn spawn(command: &mut Command) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.reopen().unwrap()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let status = child.wait().unwrap();
            panic!("the server did not start: {status}, {line}{}", std::fs::read_to_string(log.path()).unwrap());
        };
        Self { url: url.to_owned(), client: client(), child, _stdout: stdout, log }
    }

    /// Its address, such as `http://127.0.0.1:8080`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its host and port.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// Ends it as a power cut would end it, from its own point of view.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().unwrap().success());
    }

    /// How it ended; it must have been asked to.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the server ends", || child.try_wait().unwrap()).await
    }

    /// Whether the process is there and answers.
    pub async fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none() && self.get("/livez").await.status() == StatusCode::OK
    }

    /// A field of `/proc/PID/status` in KiB, such as `VmRSS`.
    pub fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Asks for a path.
    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// A request to `/v1/ingest` with all results and these further parameters.
    pub fn ingest(&self, parameters: &str) -> RequestBuilder {
        self.client.post(format!("{}/v1/ingest?results=all{parameters}", self.url))
    }

    /// Posts lines to `/v1/ingest`.
    pub async fn send(&self, items: &[Value]) -> Answer {
        Answer::to(self.ingest("").header("content-type", "application/x-ndjson").body(lines(items))).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

/// The arguments of a server on any port.
pub fn serve(database: &str) -> [&str; 5] {
    ["serve", "--listen", "127.0.0.1:0", "--database", database]
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub replayed: bool,
    /// The results of items.
    pub results: Vec<Value>,
    /// The last line: a summary or an error.
    pub last: Value,
    pub text: String,
}

impl Answer {
    /// The answer to a request.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let status = response.status();
        let replayed = response.headers().get("idempotency-replayed").is_some_and(|value| value == "true");
        let text = response.text().await.unwrap();
        let mut results: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = results.pop().unwrap_or_default();
        Self { status, replayed, results, last, text }
    }

    /// What became of each item.
    pub fn outcomes(&self) -> Vec<&str> {
        self.results.iter().map(|result| result["outcome"].as_str().unwrap()).collect()
    }

    /// The status and the code of an error.
    pub fn refusal(&self) -> (u16, &str) {
        (self.status.as_u16(), self.last["error"]["code"].as_str().unwrap_or_default())
    }
}

/// Items as NDJSON.
pub fn lines(items: &[Value]) -> String {
    items.iter().map(|item| item.to_string() + "\n").collect()
}

/// A client with connections of its own.
pub fn client() -> Client {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    Client::builder().no_proxy().build().unwrap()
}

/// Looks until there is something to see.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..LOOKS {
        if let Some(seen) = look() {
            return seen;
        }
        tokio::time::sleep(BETWEEN).await;
    }
    panic!("never seen: {what}");
}

/// Runs the program to its end.
pub fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    let _unread = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Writes a file into a folder.
pub fn file(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// How often something is tried: a few times, or as often as the long run says.
pub fn times(variable: &str, quick: u64) -> u64 {
    std::env::var(variable).ok().and_then(|count| count.parse().ok()).unwrap_or(quick)
}
