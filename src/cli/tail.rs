//! `packtrail tail`.

use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Style};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::CommandError;
use super::follow::{Entry, Failure, Feed, OutputArgs, ServerArgs, Session, Text, Variables, until_stopped};

/// Everything that was and will be written down.
const SUBSCRIPTION: &str = "subscription($after:String,$from:StreamStart!,$filter:RecordChangeFilter){\
    answer:recordChanges(after:$after,from:$from,filter:$filter){items:changes{seq committedAt change:type source \
    cluster record{id kind namespace name}} cursor}}";

/// How wide the column of changes is, in characters.
const CHANGE_WIDTH: usize = 9;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Only changes from this source; may be given several times.
    #[arg(long = "source", value_name = "SOURCE")]
    sources: Vec<String>,
    /// Only changes of records of this kind; may be given several times.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Only changes of records of this cluster; may be given several times.
    #[arg(long = "cluster", value_name = "CLUSTER")]
    clusters: Vec<String>,
    /// Go on after this cursor; otherwise only what comes from now on is shown.
    #[arg(long, value_name = "CURSOR", conflicts_with = "from_start")]
    after: Option<String>,
    /// Show everything from the beginning.
    #[arg(long)]
    from_start: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    let session = Session::new(&args.server, &args.output, None)?;
    until_stopped(session.printer(), read(args, session)).await
}

async fn read(args: Args, mut session: Session) -> Result<(), Failure> {
    session.start_at(args.after).await?;
    let filter = Filter { sources: args.sources, kinds: args.kinds, clusters: args.clusters };
    let mut variables = Variables::new();
    // Where it begins without a cursor; the first batch of now is empty, and has one.
    variables.insert("from".to_owned(), json!(if args.from_start { "BEGINNING" } else { "NOW" }));
    if !filter.is_empty() {
        variables.insert("filter".to_owned(), json!(filter));
    }
    session.follow::<Change>(&Feed { document: SUBSCRIPTION, variables, ends: false }).await
}

/// Which changes are wanted: the server's `RecordChangeFilter`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clusters: Vec<String>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.kinds.is_empty() && self.clusters.is_empty()
    }
}

/// A change of the feed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    seq: i64,
    committed_at: String,
    #[serde(rename = "change")]
    what: Option<String>,
    source: Option<String>,
    cluster: Option<String>,
    record: Option<Record>,
}

/// What changed.
#[derive(Debug, Default, Deserialize)]
struct Record {
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

impl Record {
    /// Its kind and its name in its namespace, as far as they are known.
    fn title(&self) -> String {
        let parts = [&self.namespace, &self.name].into_iter().flatten().filter(|part| !part.is_empty());
        let name = parts.map(String::as_str).collect::<Vec<_>>().join("/");
        format!("{} {name}", self.kind.as_deref().unwrap_or("-"))
    }
}

impl Entry for Change {
    fn print(&self, text: &mut Text) {
        let what = self.what.as_deref().unwrap_or("-");
        text.styled(Style::new().dimmed(), &self.committed_at, 0).add(&format!(" {} ", self.seq));
        text.styled(style(what), what, CHANGE_WIDTH);
        if let Some(record) = &self.record {
            text.add(" ").add(&record.title());
        }
        add_place(text, "cluster", self.cluster.as_deref());
        add_place(text, "source", self.source.as_deref());
        text.end();
    }
}

fn add_place(text: &mut Text, name: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        text.add(" ").styled(Style::new().dimmed(), &format!("{name}={value}"), 0);
    }
}

fn style(what: &str) -> Style {
    match what {
        "CREATED" => AnsiColor::Green.on_default(),
        "UPDATED" => AnsiColor::Cyan.on_default(),
        "CLOSED" => AnsiColor::Yellow.on_default(),
        "CONFLICT" => AnsiColor::Red.on_default().bold(),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(change: serde_json::Value) -> String {
        let mut text = Text::new(false);
        serde_json::from_value::<Change>(change).unwrap().print(&mut text);
        String::from_utf8(text.into_bytes()).unwrap()
    }

    #[test]
    fn a_change_is_a_line() {
        let record = json!({"id": "x", "kind": "PackInstance", "namespace": "ns\x1b", "name": "a"});
        let change = json!({"seq": 7, "committedAt": "2026-05-04T08:00:00Z", "change": "UPDATED", "source": "hub",
            "cluster": "c1", "record": record});
        assert_eq!(line(change), "2026-05-04T08:00:00Z 7 UPDATED   PackInstance ns␛/a cluster=c1 source=hub\n");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let change = json!({"seq": 7, "committedAt": "2026-05-04T08:00:00Z", "change": null, "source": null,
            "record": null});
        assert_eq!(line(change), "2026-05-04T08:00:00Z 7 -        \n");
        let record = json!({"id": null, "kind": null, "namespace": null, "name": "a"});
        let change = json!({"seq": 8, "committedAt": "2026-05-04T08:00:00Z", "cluster": "", "record": record});
        assert_eq!(line(change), "2026-05-04T08:00:00Z 8 -         - a\n");
    }
}
