//! What reaches the terminal: text without anything that could steer it, written whole or not at all.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc;
use std::time::Duration;

use clap::ColorChoice;
use clap::builder::styling::Style;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::{oneshot, watch};

/// How long a write that is under way may take once the command is to end: whoever stopped reading
/// must not keep it.
const SETTLE: Duration = Duration::from_millis(250);

/// Where and how the output goes.
#[derive(Debug, Clone, clap::Args)]
pub struct OutputArgs {
    /// Print JSON, an object a line, as the server gave it.
    #[arg(long)]
    pub json: bool,
    /// When to colour; `auto` is on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

impl OutputArgs {
    /// Whether standard output is to be coloured.
    pub fn colored(&self) -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
        }
    }
}

/// Lines for people. Whatever is added is made safe; only the styles of this program stay.
#[derive(Debug)]
pub struct Text {
    out: String,
    colored: bool,
}

impl Text {
    /// Nothing yet.
    pub fn new(colored: bool) -> Self {
        Self { out: String::new(), colored }
    }

    /// Adds text.
    pub fn add(&mut self, text: &str) -> &mut Self {
        push_safe(&mut self.out, text);
        self
    }

    /// Adds text in a style, filled up with spaces to `width` characters.
    pub fn styled(&mut self, style: Style, text: &str, width: usize) -> &mut Self {
        let style = if self.colored { style } else { Style::new() };
        let _ = write!(self.out, "{style}");
        self.add(text);
        let _ = write!(self.out, "{style:#}");
        self.out.extend(std::iter::repeat_n(' ', width.saturating_sub(text.chars().count())));
        self
    }

    /// Ends the line.
    pub fn end(&mut self) {
        self.out.push('\n');
    }

    /// All lines.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }
}

/// The text without anything that a terminal would obey or that turns the order of letters around:
/// control characters are shown as symbols or by their numbers. The tabulator stays.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_safe(&mut out, text);
    out
}

fn push_safe(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\t' => out.push('\t'),
            // Unicode has a symbol for each of them, in the same order.
            '\0'..='\x1f' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER)),
            '\x7f' => out.push('\u{2421}'),
            c if is_treacherous(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// The control characters beyond ASCII, and what breaks lines or turns the direction of writing.
fn is_treacherous(c: char) -> bool {
    matches!(
        c,
        '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Adds a JSON text as one line: without white space between its parts, and with everything escaped
/// that a terminal could obey. Numbers and the order of keys stay as they are.
pub fn push_json_line(out: &mut Vec<u8>, json: &str) {
    let (mut in_text, mut escaped) = (false, false);
    for c in json.chars() {
        if !in_text {
            in_text = c == '"';
            if !c.is_ascii_whitespace() {
                push_char(out, c);
            }
            continue;
        }
        in_text = escaped || c != '"';
        escaped = c == '\\' && !escaped;
        if c == '\x7f' || is_treacherous(c) {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
        } else {
            push_char(out, c);
        }
    }
    out.push(b'\n');
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Says something beside the output. A terminal that is gone is no reason to fail.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "packtrail: {}", safe(text));
}

/// Waits until nobody reads standard output any more. Without it, `| head` would keep a stream in
/// which nothing happens.
pub async fn unread() {
    let (gone, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("unread".to_owned());
    let watching = thread.spawn(move || {
        if is_left() {
            let _ended = gone.send(());
        }
    });
    if watching.is_err() || told.await.is_err() {
        // The next write will tell.
        std::future::pending::<()>().await;
    }
}

/// Blocks for as long as somebody reads standard output; for ever if it is no pipe.
fn is_left() -> bool {
    let output = io::stdout();
    // Nothing is asked for: only what is always told ends the wait.
    let mut watched = [PollFd::new(&output, PollFlags::empty())];
    loop {
        match poll(&mut watched, None) {
            Ok(_) => return watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
            Err(Errno::INTR) => (),
            Err(_) => return false,
        }
    }
}

/// Something to write, and the cursor that counts once it is written.
struct Job {
    bytes: Vec<u8>,
    cursor: Option<String>,
    written: oneshot::Sender<io::Result<()>>,
}

/// Writes batches to the output, from a thread of its own: a reader that does not read must not keep
/// signals from being heard. The thread ends with the last clone.
#[derive(Clone)]
pub struct Printer {
    jobs: mpsc::Sender<Job>,
    cursor: watch::Receiver<Option<String>>,
}

impl Printer {
    /// Writes to `output`; `start` is the cursor so far.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn new(output: impl Write + Send + 'static, start: Option<String>) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let (at, cursor) = watch::channel(start);
        let thread = std::thread::Builder::new().name("printer".to_owned());
        thread.spawn(move || write_all(output, &waiting, &at))?;
        Ok(Self { jobs, cursor })
    }

    /// Writes and flushes all of `bytes`; only then, `cursor` is the place to go on from.
    ///
    /// # Errors
    /// The output takes no more.
    pub async fn print(&self, bytes: Vec<u8>, cursor: Option<String>) -> io::Result<()> {
        let (written, answer) = oneshot::channel();
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.jobs.send(Job { bytes, cursor, written }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The cursor behind what was written.
    pub fn cursor(&self) -> Option<String> {
        self.cursor.borrow().clone()
    }

    /// Waits for the write that is under way, but not long.
    pub async fn settle(&self) {
        let _late = tokio::time::timeout(SETTLE, self.print(Vec::new(), None)).await;
    }
}

/// Ends at the first failure: what comes after a batch that is missing must not be written.
fn write_all(mut output: impl Write, jobs: &mpsc::Receiver<Job>, at: &watch::Sender<Option<String>>) {
    for Job { bytes, cursor, written } in jobs {
        let done = if bytes.is_empty() { Ok(()) } else { output.write_all(&bytes).and_then(|()| output.flush()) };
        let failed = done.is_err();
        if !failed && cursor.is_some() {
            at.send_replace(cursor);
        }
        let _ended = written.send(done);
        if failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn escape_sequences_are_shown_and_not_obeyed() {
        assert_eq!(safe("\x1b]0;title\x07\x1b[2J\r\n\t\x7f"), "␛]0;title␇␛[2J␍␊\t␡");
        assert_eq!(safe("\u{9b}31m \u{202e}evil\u{2066} \u{2028}"), "\\u{9b}31m \\u{202e}evil\\u{2066} \\u{2028}");
        assert_eq!(safe("naïve — 漢字 👩‍🚀"), "naïve — 漢字 👩‍🚀");
    }

    #[test]
    fn styles_are_there_only_with_colours() {
        let style = clap::builder::styling::AnsiColor::Red.on_default();
        let lines = |colored: bool| {
            let mut text = Text::new(colored);
            text.styled(style, "ab\x1b", 5).add("|").end();
            String::from_utf8(text.into_bytes()).unwrap()
        };
        assert_eq!(lines(false), "ab␛  |\n");
        assert_eq!(lines(true), "\x1b[31mab␛\x1b[0m  |\n");
    }

    fn json_line(json: &str) -> String {
        let mut out = Vec::new();
        push_json_line(&mut out, json);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_one_line_and_keeps_its_numbers_and_order() {
        let json = "{\n \"b\" : 1.10,\r\n\t\"a\":[ 1e3 , \" a \\\" b \\\\\" ] }";
        assert_eq!(json_line(json), "{\"b\":1.10,\"a\":[1e3,\" a \\\" b \\\\\"]}\n");
    }

    #[test]
    fn json_escapes_what_a_terminal_could_obey() {
        assert_eq!(json_line("\"\\u001b]\u{7f}\u{9b}\u{202e}é\""), "\"\\u001b]\\u007f\\u009b\\u202eé\"\n");
    }

    proptest! {
        #[test]
        fn no_control_character_but_the_tabulator_is_left(text in any::<String>()) {
            prop_assert!(safe(&text).chars().all(|c| c == '\t' || !(c.is_control() || is_treacherous(c))));
        }

        #[test]
        fn a_json_line_means_the_same(texts in proptest::collection::vec(any::<String>(), 0..5)) {
            let value = Value::from(texts);
            let line = json_line(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
            let body = line.strip_suffix('\n').unwrap();
            prop_assert!(!body.chars().any(|c| c.is_control() || is_treacherous(c)));
        }
    }

    /// Takes one batch and refuses the next in its middle.
    struct Narrow(usize);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_cursor_moves_only_with_whole_batches_and_nothing_follows_a_hole() {
        let printer = Printer::new(Narrow(5), Some("0".to_owned())).unwrap();
        assert_eq!(printer.cursor().as_deref(), Some("0"));
        printer.print(b"abc".to_vec(), Some("1".to_owned())).await.unwrap();
        printer.print(Vec::new(), Some("2".to_owned())).await.unwrap();
        assert_eq!(printer.cursor().as_deref(), Some("2"));
        let failed = printer.print(b"def".to_vec(), Some("3".to_owned())).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        assert!(printer.print(b"g".to_vec(), Some("4".to_owned())).await.is_err());
        assert_eq!(printer.cursor().as_deref(), Some("2"));
    }
}
