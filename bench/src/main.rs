//! The benchmark harness of packtrail; see README.md.

mod copies;
mod database;
mod facts;
mod fleet;
mod goals;
mod http;
mod measure;
mod process;
mod rows;
mod store;
mod subscriber;
mod twin;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

use crate::database::Kind;
use crate::measure::Line;
use crate::process::Product;

/// Measures packtrail against its limits and its peers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Which goals, such as `G1 G4`; all if none is named.
    goals: Vec<String>,
    /// Small and short, to see that it works; the figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// The packtrail program; built in release mode if none is named.
    #[arg(long, env = "PACKTRAIL_BENCH_PROGRAM")]
    program: Option<PathBuf>,
    /// Only on this database.
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// A store that `fill` made, to be used for a large store of so many records, and kept; may be given
    /// several times.
    #[arg(long = "store", value_name = "RECORDS=DATABASE", value_parser = store_of)]
    stores: Vec<(usize, String)>,
    /// A Postgres in which databases can be made; without it, SQLite alone is measured.
    #[arg(long, env = "PACKTRAIL_BENCH_POSTGRES", hide_env_values = true)]
    postgres: Option<String>,
    /// Where databases are made; this should be a local disk.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    folder: PathBuf,
    /// Pairs of repetitions.
    #[arg(long)]
    pairs: Option<usize>,
    /// Records in the large store of G8 and G14.
    #[arg(long, default_value_t = 1_000_000)]
    large: usize,
    /// Connections that ask in closed loops (G4 to G6, G13).
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Seconds of a repetition of a closed loop.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Where the results are written as JSON.
    #[arg(long, default_value = "bench-results.json")]
    json: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the watch events of a large store to standard output, without holding it in memory.
    Generate {
        /// How many records, about.
        #[arg(long)]
        records: usize,
    },
    /// Makes a large store, to be measured with `--store`, and tells how that went.
    Fill {
        /// The database, as the product is given it; new or empty.
        database: String,
        /// How many records, about.
        #[arg(long)]
        records: usize,
        /// Stop where less than this is free on the disk, GiB.
        #[arg(long, default_value_t = 20)]
        keep_free: u64,
    },
    /// Serves the raw twin of the reading goals; started by the harness itself.
    #[command(hide = true)]
    Twin {
        /// The database, as the product is given it.
        database: String,
    },
    /// Serves the raw twin of the fan-out goals; started by the harness itself.
    #[command(hide = true)]
    Broadcast,
}

/// What every goal needs.
pub struct Bench {
    /// Small and short.
    pub quick: bool,
    /// Pairs of repetitions.
    pub pairs: usize,
    /// Records in the large store.
    pub large: usize,
    /// Connections in closed loops.
    pub clients: usize,
    /// How long a repetition of a closed loop takes.
    pub time: Duration,
    /// The product.
    pub product: Product,
    /// Where databases are made.
    pub folder: PathBuf,
    /// A Postgres, if there is one.
    pub postgres: Option<String>,
    /// Only on this database.
    pub only: Option<Kind>,
    /// Stores that are there, by records.
    pub stores: Vec<(usize, String)>,
    /// The root of the repository.
    pub root: PathBuf,
}

/// `RECORDS=DATABASE`.
fn store_of(text: &str) -> Result<(usize, String)> {
    let (records, url) = text.split_once('=').context("RECORDS=DATABASE")?;
    Ok((records.parse()?, url.to_owned()))
}

impl Bench {
    /// The databases to measure on.
    pub fn kinds(&self) -> Vec<Kind> {
        let kinds = [Kind::Sqlite, Kind::Postgres].into_iter();
        let is_there = |kind: &Kind| *kind == Kind::Sqlite || self.postgres.is_some();
        kinds.filter(is_there).filter(|kind| self.only.is_none_or(|only| only == *kind)).collect()
    }

    /// A new, empty database.
    pub async fn database(&self, kind: Kind) -> Result<database::Database> {
        database::Database::create(kind, &self.folder, self.postgres.as_deref()).await
    }

    /// One of two figures: for a quick run, or for a full one.
    pub fn size<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().context("bench/ is in the repository")?.to_owned();
    match &arguments.command {
        Some(Command::Twin { database }) => return twin::serve(database).await,
        Some(Command::Broadcast) => return twin::broadcast::serve().await,
        Some(Command::Generate { records }) => return store::generate(*records),
        _ => {}
    }
    let program = match arguments.program {
        Some(program) => program,
        None => facts::build(&root)?,
    };
    let folder = tempfile::Builder::new().prefix("packtrail-bench-").tempdir_in(&arguments.folder)?;
    let log = folder.path().join("server.log");
    let product = Product { program, config: root.join("bench/server.toml"), log };
    if let Some(Command::Fill { database, records, keep_free }) = arguments.command {
        return store::fill(&product, &database, records, keep_free << 30).await;
    }
    let bench = Bench {
        quick: arguments.quick,
        pairs: arguments.pairs.unwrap_or(if arguments.quick { 2 } else { 5 }),
        large: if arguments.quick { 4_000 } else { arguments.large },
        clients: arguments.clients,
        time: Duration::from_secs_f64(if arguments.quick { 0.5 } else { arguments.seconds }),
        product,
        folder: folder.path().to_owned(),
        postgres: arguments.postgres,
        only: arguments.only,
        stores: arguments.stores,
        root,
    };
    let wanted: Vec<String> = arguments.goals.iter().map(|goal| goal.to_uppercase()).collect();
    let unknown: Vec<&String> = wanted.iter().filter(|goal| !goals::ALL.contains(&goal.as_str())).collect();
    ensure!(unknown.is_empty(), "no such goals: {unknown:?}; there are {:?}", goals::ALL);
    let done = measure(&bench, &wanted, &arguments.json).await;
    if let Some(admin) = &bench.postgres {
        database::sweep(admin).await?;
    }
    done
}

/// Measures what is wanted, and tells it.
async fn measure(bench: &Bench, wanted: &[String], json: &Path) -> Result<()> {
    let facts = facts::gather(bench).await?;
    let mut lines = Vec::new();
    for group in goals::GROUPS {
        let asked = |goal: &&str| wanted.is_empty() || wanted.iter().any(|name| name == goal);
        let asked: Vec<&str> = group.goals.iter().copied().filter(|goal| asked(goal)).collect();
        if asked.is_empty() {
            continue;
        }
        eprintln!("measuring {}", asked.join(", "));
        let mut measured = goals::run(group, bench, &asked).await?;
        if bench.quick {
            measured.iter_mut().for_each(|line| line.noisy = Some("a quick run".to_owned()));
        }
        lines.extend(measured);
        // Written after each group, so that a run that is cut off loses little.
        let results = serde_json::json!({"quick": bench.quick, "facts": facts, "results": lines.iter().map(Line::json).collect::<Vec<_>>()});
        std::fs::write(json, serde_json::to_string_pretty(&results)?)?;
    }
    print!("{}", facts::markdown(&facts));
    print!("{}", goals::markdown(&lines));
    Ok(())
}
