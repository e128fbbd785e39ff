//! `packtrail logs`.

use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::CommandError;
use super::follow::{
    Entry, Failure, Feed, OutputArgs, ServerArgs, Session, TRIES, Text, Variables, read_entry, safe, until_stopped,
};

/// Everything that is and will be in a log.
const SUBSCRIPTION: &str = "subscription($runId:String!,$after:String,$filter:RunLogFilter){\
    answer:runLogs(runId:$runId,after:$after,filter:$filter){\
    items:entries{seq timestamp level eventType message stepId metadata} cursor end:endOfLog}}";
/// What is in a log now, a page at a time.
const PAGE: &str = "query($runId:String!,$after:String){answer:run(runId:$runId){logs(first:100,after:$after){\
    items:nodes{seq timestamp level eventType message stepId metadata} page:pageInfo{hasNextPage endCursor}}}}";

/// How wide the column of levels is, in characters.
const LEVEL_WIDTH: usize = 6;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run.
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on until the run has ended.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    server: ServerArgs,
    /// Only this step's entries; may be given several times.
    #[arg(long = "step", value_name = "ID")]
    steps: Vec<String>,
    /// Only entries of this level and graver ones.
    #[arg(long, ignore_case = true)]
    level: Option<Level>,
    /// Only entries whose message contains this text.
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Go on after this cursor.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Print the time of each entry.
    #[arg(long)]
    timestamps: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode, CommandError> {
    // What is there now can be asked for again; a log that is followed is waited for.
    let tries = (!args.follow).then_some(TRIES);
    let session = Session::new(&args.server, &args.output, tries)?;
    until_stopped(session.printer(), read(args, session)).await
}

async fn read(args: Args, session: Session) -> Result<(), Failure> {
    session.start_at(args.after.clone()).await?;
    let log = Log {
        filter: Filter { step_ids: args.steps, min_level: args.level, contains: args.grep },
        run: args.run,
        session,
    };
    match (args.follow, args.timestamps) {
        (true, true) => log.follow::<Stamped>().await,
        (true, false) => log.follow::<LogEntry>().await,
        (false, true) => log.print_all::<Stamped>().await,
        (false, false) => log.print_all::<LogEntry>().await,
    }
}

/// How grave an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    /// For who looks for a cause.
    Debug,
    /// As it should be.
    Info,
    /// Somebody should look.
    Warn,
    /// It failed.
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Debug => Style::new().dimmed(),
            Self::Info => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Error => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// Which entries are wanted: the server's `RunLogFilter`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    step_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
}

impl Filter {
    /// The same choice as the server's, for pages, which take no filter.
    fn admits(&self, entry: &LogEntry) -> bool {
        let step = || entry.step_id.as_ref().is_some_and(|step| self.step_ids.contains(step));
        (self.step_ids.is_empty() || step())
            && self.min_level.is_none_or(|level| entry.level >= level)
            && self.contains.as_ref().is_none_or(|text| entry.message.contains(text))
    }

    fn is_empty(&self) -> bool {
        self.step_ids.is_empty() && self.min_level.is_none() && self.contains.is_none()
    }
}

/// An entry of a log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    timestamp: String,
    level: Level,
    message: String,
    step_id: Option<String>,
}

impl Entry for LogEntry {
    fn print(&self, text: &mut Text) {
        text.styled(self.level.style(), self.level.as_str(), LEVEL_WIDTH);
        if let Some(step) = &self.step_id {
            text.styled(AnsiColor::Cyan.on_default(), &format!("[{step}]"), 0).add(" ");
        }
        text.add(&self.message).end();
    }
}

/// An entry that is shown with its time.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Stamped(LogEntry);

impl Entry for Stamped {
    fn print(&self, text: &mut Text) {
        text.styled(Style::new().dimmed(), &self.0.timestamp, 0).add(" ");
        self.0.print(text);
    }
}

/// The log of a run, or what the filter leaves of it.
struct Log {
    run: String,
    filter: Filter,
    session: Session,
}

/// A run, as far as it is asked for.
#[derive(Deserialize)]
struct Run {
    logs: Page,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    page: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

impl Log {
    fn variables(&self) -> Variables {
        Variables::from_iter([("runId".to_owned(), Value::from(self.run.as_str()))])
    }

    async fn follow<E: Entry>(mut self) -> Result<(), Failure> {
        let mut variables = self.variables();
        if !self.filter.is_empty() {
            variables.insert("filter".to_owned(), json!(self.filter));
        }
        let feed = Feed { document: SUBSCRIPTION, variables, ends: true };
        let followed = self.session.follow::<E>(&feed).await;
        followed.map_err(|failure| self.name_unknown_run(failure))
    }

    /// Says which run there is none of.
    fn name_unknown_run(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused { code, .. } if ["NOT_FOUND", "RUN_NOT_FOUND"].contains(&code.as_str()) => {
                Failure::Refused { code, message: self.unknown_run() }
            }
            other => other,
        }
    }

    fn unknown_run(&self) -> String {
        format!("there is no run {}, or the token may not see it", safe(&self.run))
    }

    /// Prints what is there now, a page at a time.
    async fn print_all<E: Entry>(mut self) -> Result<(), Failure> {
        let mut variables = self.variables();
        loop {
            let after = self.session.printer().cursor();
            if let Some(cursor) = &after {
                variables.insert("after".to_owned(), Value::from(cursor.as_str()));
            }
            let run: Option<Run> = self.session.ask(PAGE, &variables).await.map_err(|f| self.name_unknown_run(f))?;
            let Run { logs } = run.ok_or_else(|| Failure::refused(self.unknown_run()))?;
            let end = logs.page.end_cursor;
            if logs.page.has_next_page && (end.is_none() || end == after) {
                return Err(Failure::refused("the server's next page is the same again"));
            }
            let items = self.choose(logs.items)?;
            self.session.print::<E>(&items, end).await?;
            if !logs.page.has_next_page {
                return Ok(());
            }
        }
    }

    fn choose(&self, items: Vec<Box<RawValue>>) -> Result<Vec<Box<RawValue>>, Failure> {
        if self.filter.is_empty() {
            return Ok(items);
        }
        let mut chosen = Vec::new();
        for item in items {
            if self.filter.admits(&read_entry(&item)?) {
                chosen.push(item);
            }
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(level: Level, step_id: Option<&str>, message: &str) -> LogEntry {
        LogEntry {
            timestamp: "2026-05-04T08:00:00Z".to_owned(),
            level,
            message: message.to_owned(),
            step_id: step_id.map(str::to_owned),
        }
    }

    fn text(entry: &impl Entry, colored: bool) -> String {
        let mut text = Text::new(colored);
        entry.print(&mut text);
        String::from_utf8(text.into_bytes()).unwrap()
    }

    #[test]
    fn an_entry_is_a_line() {
        let built = entry(Level::Info, Some("build"), "done\n\x1b[2J");
        assert_eq!(text(&built, false), "INFO  [build] done␊␛[2J\n");
        assert_eq!(text(&Stamped(built), false), "2026-05-04T08:00:00Z INFO  [build] done␊␛[2J\n");
        assert_eq!(text(&entry(Level::Error, None, "Run failed."), false), "ERROR Run failed.\n");
        let colored = text(&entry(Level::Warn, None, "\x1b[0m"), true);
        assert_eq!(colored, "\x1b[33mWARN\x1b[0m  ␛[0m\n");
    }

    #[test]
    fn every_condition_of_a_filter_must_hold() {
        let filter = Filter {
            step_ids: vec!["a".to_owned(), "b".to_owned()],
            min_level: Some(Level::Warn),
            contains: Some("disk".to_owned()),
        };
        assert!(filter.admits(&entry(Level::Error, Some("b"), "the disk is full")));
        assert!(!filter.admits(&entry(Level::Info, Some("b"), "the disk is full")));
        assert!(!filter.admits(&entry(Level::Error, Some("c"), "the disk is full")));
        assert!(!filter.admits(&entry(Level::Error, None, "the disk is full")));
        assert!(!filter.admits(&entry(Level::Error, Some("a"), "the Disk is full")));
        assert!(Filter::default().admits(&entry(Level::Debug, None, "")));
    }

    #[test]
    fn a_filter_has_the_names_of_the_schema() {
        let filter =
            Filter { step_ids: vec!["a".to_owned()], min_level: Some(Level::Warn), contains: Some("x".to_owned()) };
        assert_eq!(json!(filter), json!({"stepIds": ["a"], "minLevel": "WARN", "contains": "x"}));
        assert_eq!(json!(Filter::default()), json!({}));
    }
}
