//! `packtrail ingest`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::CommandError;
use super::config::ConfigArgs;
use crate::auth::IngestBinding;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::json::JsonLimits;
use crate::domain::time::{format_micros, parse_rfc3339};
use crate::http::server::writer_limits;
use crate::service::ingest::item::{ItemResult, Mode};
use crate::service::ingest::prepare::Terms;
use crate::service::ingest::snapshot::SnapshotScope;
use crate::service::ingest::stream::{Sender, Summary, ingest};
use crate::service::ingest::writer::Writer;
use crate::service::reader::{DecodeLimits, Encoding, Format, ItemReader, ReaderLimits, decode, detect};
use crate::service::rebuild::follow_rules;
use crate::storage::Store;

/// How many refusals are shown one by one.
const SHOWN: u64 = 20;
/// How much of an input is looked at to tell its format.
const BEGINNING: usize = 64 * 1024;
/// File names that a folder is searched for.
const ENDINGS: [&str; 5] = ["json", "ndjson", "jsonl", "yaml", "yml"];

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, folders (searched for YAML, JSON and NDJSON, also .gz and .zst), or - for standard input.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Send to this server instead of writing to a database.
    #[arg(long, value_name = "URL", conflicts_with = "database")]
    url: Option<String>,
    /// The token for that server.
    #[arg(long, env = "PACKTRAIL_TOKEN", hide_env_values = true, requires = "url")]
    token: Option<String>,
    /// The tenant; the configured or the token's only one if left out.
    #[arg(long)]
    tenant: Option<String>,
    /// The source that the records come from.
    #[arg(long, default_value = "default")]
    source: String,
    /// Send items that break their contract to quarantine.
    #[arg(long)]
    strict: bool,
    /// The one input is a complete listing, taken at this time (RFC 3339): what it omits is closed.
    #[arg(long, value_name = "TIME", requires = "kinds")]
    snapshot: Option<String>,
    /// The kinds that the listing is complete for.
    #[arg(long, value_delimiter = ',', requires = "snapshot")]
    kinds: Vec<String>,
    /// The namespaces that the listing is complete for; all if left out.
    #[arg(long, value_delimiter = ',', requires = "snapshot")]
    namespaces: Vec<String>,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    let inputs = find(&args.inputs)?;
    if args.snapshot.is_some() && inputs.len() != 1 {
        return Err("a complete listing is one file: put its items into one List".into());
    }
    let snapshot = scope(&args)?;
    let progress = progress_bar();
    let summary = match &args.url {
        Some(url) => Remote::new(url, &args, snapshot)?.send_all(&inputs, &progress).await?,
        None => to_database(&args, snapshot, &inputs, &progress).await?,
    };
    progress.finish_and_clear();
    println!(
        "{} items: {} created, {} updated, {} duplicate, {} closed, {} conflicts, {} quarantined, {} rejected",
        summary.items,
        summary.created,
        summary.updated,
        summary.duplicate,
        summary.closed,
        summary.conflict,
        summary.quarantined,
        summary.rejected
    );
    if args.snapshot.is_some() {
        println!("{} closed because the listing omits them", summary.closed_by_snapshot);
    }
    Ok(if summary.refused() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn scope(args: &Args) -> Result<Option<SnapshotScope>, CommandError> {
    let Some(time) = &args.snapshot else { return Ok(None) };
    let at = parse_rfc3339(time).ok_or("--snapshot takes an RFC 3339 time such as 2026-05-04T08:00:00Z")?;
    Ok(Some(SnapshotScope::named(&args.kinds, &args.namespaces, at)))
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} items {per_sec} {msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// One input: a file, or standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Input {
    Standard,
    File(PathBuf),
}

impl Input {
    fn name(&self) -> String {
        match self {
            Self::Standard => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The input, its compression and its format.
    async fn open(&self) -> Result<(Box<dyn AsyncBufRead + Send + Unpin>, Encoding, Format), CommandError> {
        let mut reader: Box<dyn AsyncBufRead + Send + Unpin> = match self {
            Self::Standard => Box::new(BufReader::with_capacity(BEGINNING, tokio::io::stdin())),
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await.map_err(|e| format!("{}: {e}", path.display()))?;
                Box::new(BufReader::with_capacity(BEGINNING, file))
            }
        };
        let beginning = reader.fill_buf().await?.to_vec();
        let encoding = Encoding::sniff(&beginning);
        let name = match self {
            Self::Standard => None,
            Self::File(path) => path.file_name().and_then(|name| name.to_str()),
        };
        let plain = plain_beginning(beginning, encoding).await;
        let format = detect(None, name, &plain).map_err(|e| format!("{}: {e}", self.name()))?;
        Ok((reader, encoding, format))
    }
}

async fn plain_beginning(beginning: Vec<u8>, encoding: Encoding) -> Vec<u8> {
    let decoded = decode(std::io::Cursor::new(beginning), encoding, DecodeLimits::default());
    let mut plain = Vec::new();
    // The beginning of a compressed file ends in the middle: what could be read of it is enough.
    let _cut = decoded.take(BEGINNING as u64).read_to_end(&mut plain).await;
    plain
}

fn find(paths: &[PathBuf]) -> Result<Vec<Input>, CommandError> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            found.push(Input::Standard);
        } else if path.is_dir() {
            search(path, &mut found)?;
        } else {
            found.push(Input::File(path.clone()));
        }
    }
    if found.is_empty() {
        return Err("no YAML, JSON or NDJSON files found".into());
    }
    Ok(found)
}

fn search(folder: &Path, found: &mut Vec<Input>) -> Result<(), CommandError> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            search(&path, found)?;
        } else if is_known(&path) {
            found.push(Input::File(path));
        }
    }
    Ok(())
}

fn is_known(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    ENDINGS.iter().any(|ending| plain.ends_with(&format!(".{ending}")))
}

/// Tells of an item that was refused, until it is too much.
struct Telling<'a> {
    progress: &'a ProgressBar,
    input: String,
    shown: u64,
}

impl Telling<'_> {
    fn tell(&mut self, result: &ItemResult) {
        self.progress.inc(1);
        let Some(error) = &result.error else { return };
        self.shown += 1;
        if self.shown > SHOWN {
            return;
        }
        let place = error.line.map_or_else(|| format!("item {}", result.index), |line| format!("line {line}"));
        self.progress.suspend(|| {
            let Telling { input, .. } = self;
            eprintln!(
                "{input}: {place}: {} {} at {}: {}",
                result.outcome.as_str(),
                error.code,
                error.path,
                error.message
            );
            if self.shown == SHOWN {
                eprintln!("{input}: further refusals are not shown");
            }
        });
    }
}

fn add(total: &mut Summary, part: &Summary) {
    total.items += part.items;
    total.created += part.created;
    total.updated += part.updated;
    total.duplicate += part.duplicate;
    total.closed += part.closed;
    total.conflict += part.conflict;
    total.quarantined += part.quarantined;
    total.rejected += part.rejected;
    total.quarantined_before += part.quarantined_before;
    total.closed_by_snapshot += part.closed_by_snapshot;
    total.seq = total.seq.max(part.seq);
}

async fn to_database(
    args: &Args,
    snapshot: Option<SnapshotScope>,
    inputs: &[Input],
    progress: &ProgressBar,
) -> Result<Summary, CommandError> {
    let config: Config = args.config.clone().load(None, false, false)?;
    let limits = &config.limits;
    let item = JsonLimits { max_bytes: limits.ingest_record_bytes, max_depth: limits.json_depth };
    let store = Store::open(config.database.expose(), !config.no_migrate).await?;
    follow_rules(&store, !config.no_migrate, SystemClock.now()).await?;
    let (writer, task) = Writer::new(store.clone(), Arc::new(SystemClock), writer_limits(limits));
    let writing = tokio::spawn(task.run());
    let sender = Sender {
        tenant: args.tenant.clone().unwrap_or_else(|| config.tenant.clone()),
        principal: "packtrail ingest".to_owned(),
        terms: Terms {
            source: args.source.clone(),
            mode: if args.strict { Mode::Strict } else { Mode::Lenient },
            binding: Arc::new(IngestBinding::default()),
            listed_at: snapshot.as_ref().map(|scope| scope.at),
            limits: item,
        },
        snapshot,
    };
    let mut total = Summary::default();
    for input in inputs {
        let (reader, encoding, format) = input.open().await?;
        let reader = decode(reader, encoding, DecodeLimits::default());
        let reader = ItemReader::new(reader, format, ReaderLimits { item, yaml_bytes: limits.yaml_bytes });
        let mut telling = Telling { progress, input: input.name(), shown: 0 };
        let summary = ingest(&writer, &sender, reader, |result| telling.tell(&result)).await?;
        add(&mut total, &summary);
    }
    drop(writer);
    writing.await?;
    // Whoever asks next need not wait for the database to see for itself how much came.
    if let Err(error) = store.analyze().await {
        // The records are stored all the same, and that is what the exit code tells.
        tracing::warn!(%error, "the planner could not be told how much there is");
    }
    store.close().await;
    Ok(total)
}

/// A server to send to.
struct Remote {
    client: reqwest::Client,
    request: reqwest::Url,
    token: Option<String>,
    tenant: Option<String>,
}

impl Remote {
    fn new(url: &str, args: &Args, snapshot: Option<SnapshotScope>) -> Result<Self, CommandError> {
        let mut request = reqwest::Url::parse(url)?.join("/v1/ingest")?;
        {
            let mut query = request.query_pairs_mut();
            query
                .append_pair("source", &args.source)
                .append_pair("mode", if args.strict { "strict" } else { "lenient" });
            if let Some(scope) = snapshot {
                query.append_pair("snapshot", &format_micros(scope.at)).append_pair("kinds", &scope.kinds.join(","));
                if !scope.namespaces.is_empty() {
                    query.append_pair("namespaces", &scope.namespaces.join(","));
                }
            }
        }
        Ok(Self {
            client: reqwest::Client::builder().build()?,
            request,
            token: args.token.clone(),
            tenant: args.tenant.clone(),
        })
    }

    async fn send_all(&self, inputs: &[Input], progress: &ProgressBar) -> Result<Summary, CommandError> {
        let mut total = Summary::default();
        for input in inputs {
            progress.set_message(input.name());
            let summary = self.send(input, progress).await?;
            add(&mut total, &summary);
            progress.set_position(total.items);
        }
        Ok(total)
    }

    async fn send(&self, input: &Input, progress: &ProgressBar) -> Result<Summary, CommandError> {
        let (reader, encoding, format) = input.open().await?;
        let media = match format {
            Format::Ndjson => "application/x-ndjson",
            Format::Json => "application/json",
            Format::Yaml => "application/yaml",
        };
        let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::new(reader));
        let mut request = self.client.post(self.request.clone()).header("content-type", media).body(body);
        request = match encoding {
            Encoding::Identity => request,
            Encoding::Gzip => request.header("content-encoding", "gzip"),
            Encoding::Zstd => request.header("content-encoding", "zstd"),
        };
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("x-stellaops-tenant", tenant);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        let mut telling = Telling { progress, input: input.name(), shown: 0 };
        let mut found = None;
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line)?;
            if let Some(error) = value["error"]["message"].as_str().filter(|_| value.get("outcome").is_none()) {
                return Err(format!("{}: the server answers {status}: {error}", input.name()).into());
            }
            match value.get("summary") {
                Some(summary) => found = Some(serde_json::from_value(summary.clone())?),
                None => telling.tell(&serde_json::from_value(value)?),
            }
        }
        found.ok_or_else(|| format!("{}: the server answers {status} without a summary", input.name()).into())
    }
}
