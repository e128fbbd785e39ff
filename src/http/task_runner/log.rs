//! Logs of runs as lines, read from the store page by page as the client takes them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;

use super::wire::RunLogEntry;
use crate::domain::run::LogEntry;
use crate::http::App;
use crate::http::error::RestError;
use crate::http::graphql::Place;
use crate::service::query::{QueryError, Scope};
use crate::storage::Page;

/// How many entries are in memory at once.
const PAGE: usize = 200;
/// How long a follower waits before it looks for more.
const PAUSE: Duration = Duration::from_millis(500);

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
    /// Whether it has seen all that there was, and waits.
    is_waiting: bool,
    is_over: bool,
}

impl Reader {
    /// The lines, as a body that reads on as it is taken. An error breaks it off. It keeps its place among
    /// the requests in flight: followers count for as long as they follow.
    pub fn body(self, place: Option<Arc<Place>>) -> Body {
        let after = self.parameters.after.unwrap_or(0);
        let start = Position { reader: self, after, is_waiting: false, is_over: false };
        Body::from_stream(stream::unfold((start, place), |(mut position, place)| async move {
            let lines = position.next().await.transpose()?;
            if let Err(error) = &lines {
                tracing::error!(%error, "a log could not be read on");
                position.is_over = true;
            }
            Some((lines, (position, place)))
        }))
    }

    async fn pause(&self) {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = self.app.shutdown.draining() => {}
        }
    }
}

impl Position {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        while !self.is_over {
            if self.is_waiting {
                self.reader.pause().await;
            }
            let entries = self.read().await?;
            // A stopping server lets its followers go: they go on elsewhere, after the last number.
            self.is_over |= self.reader.parameters.follow && !self.reader.app.shutdown.is_ready();
            if !entries.is_empty() {
                return Ok(Some(lines(&entries, self.reader.parameters.is_numbered())));
            }
        }
        Ok(None)
    }

    /// Reads a page, and notes whether more can come.
    async fn read(&mut self) -> Result<Vec<LogEntry>, QueryError> {
        let Reader { app, tenant, run_id, parameters, .. } = &self.reader;
        let scope = Scope::now(&app.store, Arc::clone(tenant)).await?;
        let Some(run) = scope.find_run(run_id).await? else {
            self.is_over = true;
            return Ok(Vec::new());
        };
        let page = Page { limit: PAGE, backward: false, from: Some(self.after) };
        let logged = scope.run_logged(&run).await?;
        let page = scope.run_log(run.id, logged, &page).await?;
        self.after = page.rows.last().map_or(self.after, |last| last.seq);
        self.is_waiting = !page.more;
        self.is_over = !page.more && (!parameters.follow || run.run.status.is_terminal());
        Ok(page.rows)
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
