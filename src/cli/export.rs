//! `packtrail export`.

use std::io::{BufWriter, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use super::CommandError;
use super::config::ConfigArgs;
use crate::service::export::{Exporter, Format};
use crate::service::query::Scope;
use crate::storage::Store;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// The form of the lines.
    #[arg(long, value_enum, default_value_t = FormatName::Ndjson)]
    format: FormatName,
    /// The tenant; the configured one if left out.
    #[arg(long)]
    tenant: Option<String>,
    /// Only what came after this commit: to continue an earlier export.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: i64,
}

/// The forms of lines.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FormatName {
    /// Each version as a watch event that `packtrail ingest` takes, with its place in the ledger.
    Ndjson,
    /// Each finished operation as an `OpenLineage` run event.
    Openlineage,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    let config = args.config.load(None, false, false)?;
    let store = Store::open(config.database.expose(), false).await?;
    let tenant: Arc<str> = args.tenant.unwrap_or(config.tenant).into();
    let format = match args.format {
        FormatName::Ndjson => Format::Events,
        FormatName::Openlineage => Format::OpenLineage,
    };
    let scope = Scope::now(&store, tenant).await?;
    let mut exporter = Exporter::new(&scope, format, args.after).await?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    while let Some(lines) = exporter.next().await? {
        for line in lines {
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
