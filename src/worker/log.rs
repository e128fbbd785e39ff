//! The way of log lines from a step to the server: in order, each once, with bounded memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::lease::{Held, Reason, Undone};
use super::protocol::{Appended, Line, Stream};
use super::secrets::Masks;

/// The longest line that the server takes, in bytes; longer ones are cut.
const MAX_LINE: usize = 16 * 1024;
/// How much of a step's output waits for the server. A command that writes more is held up.
const MAX_WAITING: usize = 512 * 1024;
/// What a line costs beyond its text, in the worker's memory.
const LINE_COST: usize = 64;
/// The most lines that the server takes at once.
const MAX_BATCH_LINES: usize = 10_000;
/// The most that a batch weighs as JSON, half of what the server takes, since a query is with it.
const MAX_BATCH_BYTES: usize = 400 * 1024;
/// What a line weighs as JSON beyond its text.
const LINE_FRAME: usize = 56;
/// How long a batch waits for more lines.
const GATHER: Duration = Duration::from_millis(200);
/// How much is read at once.
const READ: usize = 8 * 1024;
/// How often the server may ask for another number without taking a line in between.
const MAX_RESYNCS: u32 = 5;

/// The near end: where a step writes its lines.
#[derive(Clone)]
pub struct LogSender {
    lines: mpsc::UnboundedSender<Line>,
    /// Bytes that may still wait. Closed when nobody takes lines any more.
    room: Arc<Semaphore>,
    masks: Arc<Masks>,
}

/// The far end: what carries the lines to the server.
pub struct Delivery {
    lines: mpsc::UnboundedReceiver<Line>,
    room: Arc<Semaphore>,
    held: Arc<Held>,
    waiting: VecDeque<Line>,
    /// What the waiting lines weigh as JSON.
    weight: usize,
    next: u64,
    is_full: bool,
}

/// Why lines did not reach the server.
#[derive(Debug)]
pub enum Undelivered {
    /// The attempt is no longer this worker's.
    Late,
    /// The server does not take them.
    Refused(String),
}

/// A way for the lines of one attempt.
pub fn pipe(held: Arc<Held>, masks: Arc<Masks>) -> (LogSender, Delivery) {
    let (sender, lines) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(MAX_WAITING));
    let near = LogSender { lines: sender, room: Arc::clone(&room), masks };
    (near, Delivery { lines, room, held, waiting: VecDeque::new(), weight: 0, next: 0, is_full: false })
}

fn cost(text: &str) -> u32 {
    u32::try_from(text.len() + LINE_COST).unwrap_or(u32::MAX)
}

/// What a text weighs as JSON.
fn weight(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..0x20 => 6,
        _ => 1,
    };
    LINE_FRAME + text.bytes().map(escaped).sum::<usize>()
}

impl LogSender {
    /// Sends a text as one line, or as several if it is too long. Waits for room; says whether
    /// somebody still takes lines.
    pub async fn line(&self, stream: Stream, text: &str) -> bool {
        self.pieces(stream, &self.masks.hide(text)).await
    }

    /// Sends a text without secrets, cut where it is too long.
    async fn pieces(&self, stream: Stream, text: &str) -> bool {
        let mut rest = text;
        loop {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(MAX_LINE));
            if !self.send(stream, piece.to_owned()).await {
                return false;
            }
            if after.is_empty() {
                return true;
            }
            rest = after;
        }
    }

    async fn send(&self, stream: Stream, text: String) -> bool {
        let Ok(room) = self.room.acquire_many(cost(&text)).await else { return false };
        room.forget();
        let level = match stream {
            Stream::Stdout => "INFO",
            Stream::Stderr => "WARN",
        };
        self.lines.send(Line { text, stream, level }).is_ok()
    }

    /// Sends what a command writes, line by line, until it ends.
    pub async fn read(self, stream: Stream, mut output: impl AsyncRead + Unpin) {
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; READ];
        let mut text = String::new();
        let mut is_continued = false;
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            decoder.push(&buffer[..count], &mut text);
            if !self.lines_of(stream, &mut text, &mut is_continued).await {
                return;
            }
        }
        decoder.finish(&mut text);
        if !text.is_empty() {
            self.line(stream, &text).await;
        }
    }

    /// Takes whole lines off the front of a text, and the front of a line that is too long.
    async fn lines_of(&self, stream: Stream, text: &mut String, is_continued: &mut bool) -> bool {
        let mut done = 0;
        while let Some(end) = text[done..].find('\n').map(|at| done + at) {
            let line = &text[done..end];
            let line = line.strip_suffix('\r').unwrap_or(line);
            // The end of a line that was cut is no line of its own.
            let is_rest = std::mem::take(is_continued) && line.is_empty();
            if !is_rest && !self.line(stream, line).await {
                return false;
            }
            done = end + 1;
        }
        while text.len() - done >= MAX_LINE + self.masks.longest() + '\r'.len_utf8() {
            let cut = done + self.cut(&text[done..]);
            if !self.line(stream, &text[done..cut]).await {
                return false;
            }
            done = cut;
            *is_continued = true;
        }
        text.drain(..done);
        true
    }

    /// Where to cut a line of which more is to come: never inside a secret.
    fn cut(&self, text: &str) -> usize {
        let cut = text.floor_char_boundary(MAX_LINE);
        let secret = self.masks.ranges(text).into_iter().find(|range| range.start < cut && cut < range.end);
        secret.map_or(cut, |range| if range.start > 0 { range.start } else { range.end })
    }
}

/// Turns bytes that come in pieces into text. What is no UTF-8 becomes U+FFFD, and so does NUL, which
/// databases cannot hold.
#[derive(Default)]
struct Decoder {
    /// The beginning of a character whose end is still to come.
    rest: Vec<u8>,
}

impl Decoder {
    fn push(&mut self, bytes: &[u8], text: &mut String) {
        self.rest.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.rest);
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            append(chunk.valid(), text);
            if chunks.peek().is_none() && is_beginning(chunk.invalid()) {
                self.rest = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    fn finish(self, text: &mut String) {
        if !self.rest.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

fn append(valid: &str, text: &mut String) {
    for (i, part) in valid.split('\0').enumerate() {
        if i > 0 {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        text.push_str(part);
    }
}

fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

impl Delivery {
    /// Carries lines until the last sender is gone and all are there.
    ///
    /// # Errors
    /// Some did not get there; nothing is taken from the senders any more.
    pub async fn run(mut self) -> Result<(), Undelivered> {
        let done = self.carry().await;
        self.room.close();
        done
    }

    async fn carry(&mut self) -> Result<(), Undelivered> {
        while self.gather().await? {
            let count = self.batch();
            let mut batch: Vec<Line> = self.waiting.drain(..count).collect();
            self.weight -= batch.iter().map(|line| weight(&line.text)).sum::<usize>();
            let room: u32 = batch.iter().map(|line| cost(&line.text)).sum();
            if !self.is_full {
                self.deliver(&mut batch).await?;
            }
            self.room.add_permits(room as usize);
        }
        Ok(())
    }

    /// Waits for lines, and a little longer for more of them. False when no more will come.
    async fn gather(&mut self) -> Result<bool, Undelivered> {
        let held = Arc::clone(&self.held);
        if self.waiting.is_empty() {
            let first = tokio::select! {
                first = self.lines.recv() => first,
                () = held.too_late() => return Err(Undelivered::Late),
            };
            match first {
                Some(line) => self.wait_with(line),
                None => return Ok(false),
            }
        }
        let until = Instant::now() + GATHER;
        while !self.is_enough() {
            match tokio::time::timeout_at(until, self.lines.recv()).await {
                Ok(Some(line)) => self.wait_with(line),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(true)
    }

    fn wait_with(&mut self, line: Line) {
        self.weight += weight(&line.text);
        self.waiting.push_back(line);
    }

    /// Whether a batch is full, or cannot become fuller because there is no room for more lines.
    fn is_enough(&self) -> bool {
        self.waiting.len() >= MAX_BATCH_LINES
            || self.weight >= MAX_BATCH_BYTES
            || self.room.available_permits() < MAX_LINE + LINE_COST
    }

    /// How many of the waiting lines go into one request: at least one.
    fn batch(&self) -> usize {
        let mut weight_so_far = 0;
        let fitting = self.waiting.iter().take(MAX_BATCH_LINES).take_while(|line| {
            weight_so_far += weight(&line.text);
            weight_so_far <= MAX_BATCH_BYTES
        });
        fitting.count().max(1)
    }

    /// Brings one batch to the server, however often that takes.
    async fn deliver(&mut self, batch: &mut Vec<Line>) -> Result<(), Undelivered> {
        let mut resyncs = 0;
        while !batch.is_empty() {
            match self.append(batch).await? {
                Appended::Stored { next, cancel, truncated } => {
                    self.next = next;
                    self.is_full = truncated;
                    if cancel {
                        self.held.give_up(Reason::Cancelled);
                    }
                    return Ok(());
                }
                Appended::OutOfSequence { next } if resyncs < MAX_RESYNCS => {
                    resyncs += 1;
                    self.resync(batch, next);
                }
                Appended::OutOfSequence { next } => {
                    return Err(Undelivered::Refused(format!("the server keeps asking for line {next}")));
                }
                Appended::Invalid(message) => return Err(Undelivered::Refused(message)),
                Appended::Lost => {
                    self.held.give_up(Reason::Lost);
                    return Err(Undelivered::Late);
                }
            }
        }
        Ok(())
    }

    async fn append(&self, batch: &[Line]) -> Result<Appended, Undelivered> {
        let held = &self.held;
        let appended = held.insist(|| held.client().append(held.token(), self.next, batch)).await;
        appended.map_err(|undone| match undone {
            Undone::Late => Undelivered::Late,
            Undone::Refused(message) => Undelivered::Refused(message),
        })
    }

    /// Goes on where the server is: lines that it has are not sent again. A number outside of the
    /// batch cannot come from a lost answer; then nothing is left out.
    fn resync(&mut self, batch: &mut Vec<Line>, next: u64) {
        let known = next.checked_sub(self.next).and_then(|known| usize::try_from(known).ok());
        if let Some(known) = known.filter(|known| *known <= batch.len()) {
            batch.drain(..known);
        }
        self.next = next;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn sender(secrets: &[&str]) -> (LogSender, mpsc::UnboundedReceiver<Line>) {
        let sources = secrets.iter().map(|value| Masks::of(value)).next().unwrap_or_default();
        let (lines, receiver) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        (LogSender { lines, room, masks: Arc::new(sources) }, receiver)
    }

    /// The lines of an output that comes in these pieces.
    async fn lines(pieces: &[&[u8]], secrets: &[&str]) -> Vec<String> {
        let (sender, mut receiver) = sender(secrets);
        let pieces: Vec<std::io::Result<Vec<u8>>> = pieces.iter().map(|piece| Ok(piece.to_vec())).collect();
        let stream = futures_util::stream::iter(pieces.into_iter().map(|piece| piece.map(std::io::Cursor::new)));
        sender.read(Stream::Stdout, tokio_util::io::StreamReader::new(stream)).await;
        let mut lines = Vec::new();
        while let Some(line) = receiver.recv().await {
            lines.push(line.text);
        }
        lines
    }

    #[tokio::test]
    async fn lines_end_with_either_newline_and_the_last_needs_none() {
        assert_eq!(lines(&[b"a\r\nb\n\nc"], &[]).await, ["a", "b", "", "c"]);
        assert_eq!(lines(&[b"a\r", b"\nb\n"], &[]).await, ["a", "b"]);
        assert!(lines(&[], &[]).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_utf8_is_replaced_and_what_is_cut_by_a_read_is_not() {
        assert_eq!(
            lines(&[b"a\xffb\xe2\n", b"\xe2\x82", b"\xac\0\xe2"], &[]).await,
            ["a\u{fffd}b\u{fffd}", "€\u{fffd}\u{fffd}"]
        );
    }

    #[tokio::test]
    async fn long_lines_are_cut_between_characters() {
        let long = "€".repeat(20_000);
        let cut = lines(&[long.as_bytes(), b"\nb\n"], &[]).await;
        assert!(cut.iter().all(|line| line.len() <= MAX_LINE));
        assert_eq!(cut[..cut.len() - 1].concat(), long);
        assert_eq!(cut.last().unwrap(), "b");
    }

    #[tokio::test]
    async fn a_line_of_exactly_the_limit_is_one_line() {
        let whole = "x".repeat(MAX_LINE);
        for pieces in [[format!("{whole}\r\n"), String::new()], [whole.clone(), "\nb".to_owned()]] {
            let found = lines(&[pieces[0].as_bytes(), pieces[1].as_bytes()], &[]).await;
            assert_eq!(found[0], whole);
            assert!(found.len() == 1 || found[1..] == ["b"]);
        }
    }

    #[tokio::test]
    async fn a_secret_is_hidden_wherever_a_line_or_a_read_is_cut() {
        for before in MAX_LINE - 10..=MAX_LINE + 2 {
            let text = format!("{}hunter2{}", "x".repeat(before), "y".repeat(40_000));
            let (a, b) = text.as_bytes().split_at(before + 3);
            let found = lines(&[a, b], &["hunter2"]).await.concat();
            assert!(found.contains("x***y"), "at {before}");
        }
    }

    #[tokio::test]
    async fn a_flood_that_nobody_takes_is_held_up() {
        let (lines, mut receiver) = mpsc::unbounded_channel();
        let sender = LogSender { lines, room: Arc::new(Semaphore::new(MAX_WAITING)), masks: Arc::default() };
        let reading = tokio::task::unconstrained(sender.read(Stream::Stdout, tokio::io::repeat(b'x')));
        assert!(reading.now_or_never().is_none());
        let mut waiting = 0;
        while let Ok(line) = receiver.try_recv() {
            waiting += cost(&line.text) as usize;
        }
        assert!(waiting <= MAX_WAITING && waiting > MAX_WAITING / 2, "{waiting}");
    }

    #[test]
    fn the_weight_of_a_line_is_not_less_than_what_is_written() {
        for text in ["", "plain", "\"\\\n\r\t\u{8}\u{c}", "\u{1}\u{1f}\u{7f}", "€ü"] {
            let line = Line { text: text.to_owned(), stream: Stream::Stderr, level: "ERROR" };
            assert!(serde_json::to_string(&line).unwrap().len() < weight(text), "{text:?}");
        }
    }
}
