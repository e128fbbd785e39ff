//! Logs of runs as lines, read from the store page by page as the client takes them.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::sync::watch;

use super::wire::RunLogEntry;
use crate::domain::run::LogEntry;
use crate::http::App;
use crate::http::error::RestError;
use crate::http::graphql::Place;
use crate::service::live::{self, Batch, Feed, Piece, Reached};
use crate::service::query::{QueryError, Scope};
use crate::storage::Page;

/// How many entries are in memory at once.
const PAGE: usize = 200;

/// What the query string says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The number of the entry to go on from.
    pub after: Option<i64>,
    /// Whether to wait for entries until the run has ended.
    pub follow: bool,
}

impl Parameters {
    /// Reads a query string.
    pub fn read(query: &str) -> Result<Self, RestError> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query)
            .map_err(|_| RestError::bad_input("The query string is not well formed."))?;
        let mut parameters = Self::default();
        for (name, value) in pairs {
            match (name.as_str(), value.as_str()) {
                ("after", digits) => {
                    let after = digits.parse().ok().filter(|after: &i64| *after >= 0);
                    let wrong = || RestError::bad_input("after is the seq of an entry, or 0.");
                    parameters.after = Some(after.ok_or_else(wrong)?);
                }
                ("follow", "true") => parameters.follow = true,
                ("follow", "false") => parameters.follow = false,
                ("follow", _) => return Err(RestError::bad_input("follow is true or false.")),
                _ => return Err(RestError::bad_input("Known parameters: after, follow.")),
            }
        }
        Ok(parameters)
    }

    /// Whether entries are shown with their numbers: to clients that go on from one.
    fn is_numbered(self) -> bool {
        self.after.is_some() || self.follow
    }
}

/// A reader of the log of one run.
pub struct Reader {
    /// What the surfaces share.
    pub app: Arc<App>,
    /// Whose run.
    pub tenant: Arc<str>,
    /// Its name.
    pub run_id: String,
    /// What to show.
    pub parameters: Parameters,
}

/// Where a reader is.
struct Position {
    reader: Reader,
    after: i64,
    /// What it follows, once it does.
    followed: Option<Followed>,
    is_over: bool,
}

/// A log that is followed, with all others who follow it.
struct Followed {
    log: Arc<live::Reader>,
    reached: watch::Receiver<Reached>,
    /// Whether it is looked at for the first time.
    is_first: bool,
}

impl Reader {
    /// The lines, as a body that reads on as it is taken. An error breaks it off. It keeps its place among
    /// the requests in flight: followers count for as long as they follow.
    pub fn body(self, place: Option<Arc<Place>>) -> Body {
        let after = self.parameters.after.unwrap_or(0);
        let start = Position { reader: self, after, followed: None, is_over: false };
        Body::from_stream(stream::unfold((start, place), |(mut position, place)| async move {
            let lines = position.next().await.transpose()?;
            if let Err(error) = &lines {
                tracing::error!(%error, "a log could not be read on");
                position.is_over = true;
            }
            Some((lines, (position, place)))
        }))
    }

    async fn scope(&self) -> Result<Scope, QueryError> {
        Scope::now(&self.app.store, Arc::clone(&self.tenant)).await
    }

    /// Follows the log; `None` if the run is gone.
    async fn follow(&self) -> Result<Option<Followed>, QueryError> {
        let Some(run) = self.scope().await?.find_run(&self.run_id).await? else { return Ok(None) };
        let log = self.app.hub.follow(&self.tenant, &Feed::Log(run.id)).await?;
        let reached = log.watch();
        Ok(Some(Followed { log, reached, is_first: true }))
    }
}

impl Followed {
    /// Waits until there is something after an entry, and reads it.
    async fn read_on(&mut self, after: i64) -> Result<Arc<Piece<Batch>>, QueryError> {
        loop {
            let Reached { position, is_over } = *self.reached.borrow_and_update();
            let from = (after, 0);
            if std::mem::take(&mut self.is_first) || from < position || is_over {
                let piece = self.log.read(from, position.max(from)).await?;
                if piece.is_last || piece.to > from {
                    return Ok(piece);
                }
            }
            // It lives as long as the log is followed, which is here.
            let _ = self.reached.changed().await;
        }
    }
}

impl Position {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        let is_numbered = self.reader.parameters.is_numbered();
        while !self.is_over {
            let entries = if self.reader.parameters.follow { self.follow().await? } else { self.read().await? };
            if !entries.is_empty() {
                return Ok(Some(lines(&entries, is_numbered)));
            }
        }
        Ok(None)
    }

    /// Reads a page, and notes whether more can come.
    async fn read(&mut self) -> Result<Vec<LogEntry>, QueryError> {
        let scope = self.reader.scope().await?;
        let Some(run) = scope.find_run(&self.reader.run_id).await? else {
            self.is_over = true;
            return Ok(Vec::new());
        };
        let page = Page { limit: PAGE, backward: false, from: Some(self.after) };
        let logged = scope.run_logged(&run).await?;
        let page = scope.run_log(run.id, logged, &page).await?;
        self.after = page.rows.last().map_or(self.after, |last| last.seq);
        self.is_over = !page.more;
        Ok(page.rows)
    }

    /// Waits for more, until the run has ended. A stopping server lets its followers go: they go on elsewhere, after
    /// the last number.
    async fn follow(&mut self) -> Result<Vec<LogEntry>, QueryError> {
        if self.followed.is_none() {
            self.followed = self.reader.follow().await?;
        }
        let Some(followed) = &mut self.followed else {
            self.is_over = true;
            return Ok(Vec::new());
        };
        let piece = tokio::select! {
            piece = followed.read_on(self.after) => piece?,
            () = self.reader.app.shutdown.draining() => {
                self.is_over = true;
                return Ok(Vec::new());
            }
        };
        self.after = piece.to.0;
        self.is_over = piece.is_last;
        match &piece.content {
            Batch::Log(entries) => Ok(entries.clone()),
            _ => Ok(Vec::new()),
        }
    }
}

fn lines(entries: &[LogEntry], is_numbered: bool) -> Bytes {
    let mut text = Vec::new();
    for entry in entries {
        text.extend(serde_json::to_vec(&RunLogEntry::of(entry, is_numbered)).unwrap_or_default());
        text.push(b'\n');
    }
    text.into()
}
