//! What `logs` and `tail` share: a stream of the server on the terminal, without a gap or a
//! repetition, whatever happens to the connection.
//!
//! The cursor moves only when a whole batch was written and flushed, and every new connection goes on
//! from the cursor. So does whoever calls the command again: it tells the cursor when it is stopped.

mod client;
mod events;
mod print;

use std::io;
use std::process::ExitCode;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use client::{Backoff, LONGEST_WAIT};
pub use client::{Client, Failure, ServerArgs, Variables, read_result};
pub use print::{OutputArgs, Printer, Text, safe};
use print::{push_json_line, say, unread};

use super::CommandError;

/// How often in a row a command that is to end by itself tries: about half a minute.
pub const TRIES: u32 = 8;

/// What a stream is made of, as text.
pub trait Entry: DeserializeOwned {
    /// Adds the entry as one line.
    fn print(&self, text: &mut Text);
}

/// Some entries of a stream, and the place behind them.
#[derive(Debug, Deserialize)]
pub struct Batch {
    /// The entries, as the server gave them.
    pub items: Vec<Box<RawValue>>,
    /// The place behind the last of them.
    pub cursor: String,
    /// Whether there will never be more.
    #[serde(default)]
    pub end: bool,
}

/// A subscription. Its one field is called `answer` and gives [`Batch`]es; it takes `$after`.
pub struct Feed {
    /// The operation.
    pub document: &'static str,
    /// Its variables, but for `after`.
    pub variables: Variables,
    /// Whether the stream has an end at all.
    pub ends: bool,
}

/// The connection to a server, and the output.
pub struct Session {
    client: Client,
    printer: Printer,
    json: bool,
    colored: bool,
    outage: Outage,
}

impl Session {
    /// Connects nothing yet. It gives up after `tries` failures in a row, if it is ever to.
    ///
    /// # Errors
    /// The server's URL, the token or the tenant cannot be used.
    pub fn new(server: &ServerArgs, output: &OutputArgs, tries: Option<u32>) -> Result<Self, CommandError> {
        let outage = Outage::new(tries);
        let printer = Printer::new(io::stdout(), None)?;
        Ok(Self { client: Client::new(server)?, printer, json: output.json, colored: output.colored(), outage })
    }

    /// Where the output goes to.
    pub fn printer(&self) -> Printer {
        self.printer.clone()
    }

    /// Goes on from this cursor.
    ///
    /// # Errors
    /// Never, as nothing is written.
    pub async fn start_at(&self, cursor: Option<String>) -> Result<(), Failure> {
        Ok(self.printer.print(Vec::new(), cursor).await?)
    }

    /// Asks until the server answers.
    ///
    /// # Errors
    /// What will not go away.
    pub async fn ask<T: DeserializeOwned>(
        &mut self,
        document: &str,
        variables: &Variables,
    ) -> Result<Option<T>, Failure> {
        loop {
            match self.client.ask(document, variables).await {
                Ok(answer) => {
                    self.outage.end();
                    return Ok(answer);
                }
                Err(failure) => self.outage.wait(failure).await?,
            }
        }
    }

    /// Prints what comes, until the end of the stream.
    ///
    /// # Errors
    /// What will not go away.
    pub async fn follow<E: Entry>(&mut self, feed: &Feed) -> Result<(), Failure> {
        loop {
            match self.read_once::<E>(feed).await {
                Ok(()) => return Ok(()),
                Err(failure) => self.outage.wait(failure).await?,
            }
        }
    }

    /// Prints what comes over one connection; succeeds only at the end of the stream.
    async fn read_once<E: Entry>(&mut self, feed: &Feed) -> Result<(), Failure> {
        let mut variables = feed.variables.clone();
        if let Some(cursor) = self.printer.cursor() {
            variables.insert("after".to_owned(), Value::from(cursor));
        }
        let mut events = self.client.subscribe(feed.document, &variables).await?;
        let begun = Instant::now();
        loop {
            let event = match events.next().await {
                Ok(event) => event,
                Err(failure) => return Err(self.broke(begun, failure)),
            };
            let Some(event) = event else {
                return Err(self.broke(begun, Failure::away("the connection ended")));
            };
            match event.name.as_str() {
                "next" if self.take_batch::<E>(&event.data).await? => return Ok(()),
                "complete" if feed.ends => return Ok(()),
                "complete" => return Err(self.broke(begun, Failure::away("the server ended the stream"))),
                _ => (),
            }
        }
    }

    /// A connection that lived for some time was no failed try.
    fn broke(&mut self, begun: Instant, failure: Failure) -> Failure {
        if begun.elapsed() >= LONGEST_WAIT {
            self.outage.end();
        }
        failure
    }

    /// Whether this was the end of the stream.
    async fn take_batch<E: Entry>(&mut self, result: &[u8]) -> Result<bool, Failure> {
        let batch: Option<Batch> = read_result(result)?;
        let batch = batch.ok_or_else(|| Failure::refused("the server's answer is empty"))?;
        self.print::<E>(&batch.items, Some(batch.cursor)).await?;
        self.outage.end();
        Ok(batch.end)
    }

    /// Prints all of a batch, and then goes on from its cursor.
    ///
    /// # Errors
    /// An entry cannot be read, or the output takes no more.
    pub async fn print<E: Entry>(&self, items: &[Box<RawValue>], cursor: Option<String>) -> Result<(), Failure> {
        let bytes = if self.json { json_lines(items) } else { text_lines::<E>(items, self.colored)? };
        Ok(self.printer.print(bytes, cursor).await?)
    }
}

fn json_lines(items: &[Box<RawValue>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        push_json_line(&mut bytes, item.get());
    }
    bytes
}

fn text_lines<E: Entry>(items: &[Box<RawValue>], colored: bool) -> Result<Vec<u8>, Failure> {
    let mut text = Text::new(colored);
    for item in items {
        read_entry::<E>(item)?.print(&mut text);
    }
    Ok(text.into_bytes())
}

/// Reads an entry.
///
/// # Errors
/// It is of another form.
pub fn read_entry<E: DeserializeOwned>(item: &RawValue) -> Result<E, Failure> {
    serde_json::from_str(item.get())
        .map_err(|error| Failure::refused(format!("the server's entry cannot be read: {}", safe(&error.to_string()))))
}

/// The failures since the server last gave something.
#[derive(Default)]
struct Outage {
    backoff: Backoff,
    told: bool,
    /// After how many of them to give up.
    tries: Option<u32>,
}

impl Outage {
    fn new(tries: Option<u32>) -> Self {
        Self { tries, ..Self::default() }
    }

    fn end(&mut self) {
        *self = Self::new(self.tries);
    }

    /// Waits until it is time to try again, and says so once.
    async fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        let is_first = self.backoff.tries() == 0;
        let (message, wait) = match failure {
            // It counts all the same: to be too slow again and again is a failure like others.
            Failure::Slow if is_first => {
                self.backoff.next(None);
                return Ok(());
            }
            Failure::Slow => (failure.to_string(), self.backoff.next(None)),
            Failure::Away { message, retry_after } => (message, self.backoff.next(retry_after)),
            lasting => return Err(lasting),
        };
        if self.tries.is_some_and(|tries| self.backoff.tries() >= tries) {
            return Err(Failure::refused(message));
        }
        if !self.told {
            say(&format!("{message}; trying again"));
            self.told = true;
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// The signals that end a command, and the exit codes that shells know them by.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::from(130),
            _ = self.terminate.recv() => ExitCode::from(143),
        }
    }
}

/// Does `work` until it is done or a signal comes, and tells where to go on if there is more.
///
/// # Errors
/// Those of `work`. That nobody reads the output any more is none.
pub async fn until_stopped(
    printer: Printer,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::new()?;
    let done = tokio::select! {
        biased;
        code = signals.next() => {
            printer.settle().await;
            tell_cursor(&printer);
            return Ok(code);
        }
        done = work => done,
        () = unread() => return Ok(ExitCode::SUCCESS),
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(failure) => {
            if !is_unusable_cursor(&failure) {
                tell_cursor(&printer);
            }
            Err(failure.into())
        }
    }
}

/// Whether the server does not go on from the cursor, or not with these arguments.
fn is_unusable_cursor(failure: &Failure) -> bool {
    let codes = ["CURSOR_EXPIRED", "BAD_USER_INPUT", "NOT_FOUND", "RUN_NOT_FOUND"];
    matches!(failure, Failure::Refused { code, .. } if codes.contains(&code.as_str()))
}

fn tell_cursor(printer: &Printer) {
    if let Some(cursor) = printer.cursor() {
        say(&format!("go on with --after={cursor}"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_command_that_is_to_end_gives_up() {
        let mut outage = Outage::new(Some(TRIES));
        for _ in 1..TRIES {
            outage.wait(Failure::away("gone")).await.unwrap();
        }
        let begun = Instant::now();
        assert!(matches!(outage.wait(Failure::away("gone")).await, Err(Failure::Refused { .. })));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_waited_for_is_tried_for_ever() {
        let mut outage = Outage::new(None);
        for _ in 0..1000 {
            outage.wait(Failure::away("gone")).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_too_slow_goes_on_at_once_but_not_again_and_again() {
        let mut outage = Outage::new(None);
        let begun = Instant::now();
        outage.wait(Failure::Slow).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        outage.wait(Failure::Slow).await.unwrap();
        let waited = begun.elapsed();
        assert!(waited > Duration::ZERO);
        outage.end();
        outage.wait(Failure::Slow).await.unwrap();
        assert_eq!(begun.elapsed(), waited);
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_go_away_is_not_waited_for() {
        let begun = Instant::now();
        assert!(Outage::new(None).wait(Failure::refused("no")).await.is_err());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
