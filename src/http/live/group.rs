//! Subscribers who ask for the same: one execution for each piece, its answers shared by all.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_graphql::Executor;
use axum::extract::ws::Utf8Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::task::JoinHandle;

use super::Event;
use crate::graphql::subscription::{Delivery, Opened};
use crate::http::graphql::{Delivered, Followed};
use crate::service::live::{Hub, Piece, Position, Reached, Reader, Ring};

/// How many pieces of what is not new any more are made at once: those who come back after a restart come together.
const BACKFILLS: usize = 8;
/// How often a delivery that failed is tried again, and how long after the first time; twice as long each time.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);

/// What a piece of a feed tells subscribers.
#[derive(Debug)]
pub enum Told {
    /// The answers.
    Answers(Vec<Utf8Bytes>),
    /// Nothing, and the subscription ends: a JSON array of errors.
    Failed(Utf8Bytes),
}

type ToldPiece = Arc<Piece<Told>>;
type Wanted = (Position, Position, bool);

/// The groups of a server. Cheap to clone.
pub struct Groups<E>(Arc<Inner<E>>);

struct Inner<E> {
    hub: Hub,
    groups: Mutex<HashMap<String, Weak<Group<E>>>>,
    backfills: Semaphore,
}

/// Subscribers who ask for the same.
struct Group<E> {
    making: Arc<Making<E>>,
    task: JoinHandle<()>,
    key: String,
    all: Weak<Inner<E>>,
}

/// What makes the pieces of a group.
struct Making<E> {
    followed: Box<Followed<E>>,
    opened: Arc<Opened>,
    reader: Arc<Reader>,
    ring: Ring<Told>,
    /// Whether it was given up.
    has_failed: AtomicBool,
    /// Older pieces that are being made.
    wanted: Mutex<HashMap<Wanted, Weak<OnceCell<ToldPiece>>>>,
}

/// One who follows, and how far.
struct Subscriber<E> {
    group: Arc<Group<E>>,
    reached: watch::Receiver<Reached>,
    position: Position,
    is_first: bool,
    is_over: bool,
    ready: VecDeque<Event>,
}

impl<E> Clone for Groups<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: Executor> Groups<E> {
    /// The groups over the readers of a server.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self(Arc::new(Inner { hub, groups: Mutex::default(), backfills: Semaphore::new(BACKFILLS) }))
    }

    /// Follows what a subscription asks for.
    ///
    /// # Errors
    /// The errors to tell, if it is refused.
    pub async fn follow(
        &self,
        tenant: &Arc<str>,
        followed: Box<Followed<E>>,
    ) -> Result<BoxStream<'static, Event>, String> {
        let opened = followed.begin().await?;
        let group = self.group(tenant, followed, &opened).await?;
        let reached = group.making.ring.watch();
        let known = group.making.reader.position();
        let here = reached.borrow().position;
        let position = opened.after.unwrap_or(here);
        // Nothing was ever there: it is a cursor of another store, such as one that was restored since.
        if position.0 > known.0.max(here.0) {
            return Err(super::errors(
                "CURSOR_EXPIRED",
                "The server does not have what this cursor follows: it is ahead of it.",
            ));
        }
        let subscriber =
            Subscriber { reached, group, position, is_first: true, is_over: false, ready: VecDeque::new() };
        Ok(stream::unfold(subscriber, |mut subscriber| async move {
            let event = subscriber.next().await?;
            Some((event, subscriber))
        })
        .boxed())
    }

    async fn group(
        &self,
        tenant: &Arc<str>,
        followed: Box<Followed<E>>,
        opened: &Opened,
    ) -> Result<Arc<Group<E>>, String> {
        let key = format!("{:?}\n{}", opened.feed, followed.key());
        let find = |groups: &HashMap<String, Weak<Group<E>>>| {
            let group = groups.get(&key).and_then(Weak::upgrade)?;
            (!group.making.has_failed.load(Ordering::Relaxed)).then_some(group)
        };
        if let Some(group) = find(&self.0.lock()) {
            return Ok(group);
        }
        let reader = self.0.hub.follow(tenant, &opened.feed).await.map_err(|error| {
            tracing::error!(%error, "a feed could not be followed");
            super::errors("UNAVAILABLE", "The store is unavailable; try again.")
        })?;
        let mut groups = self.0.lock();
        // Meanwhile somebody else may have begun to follow it.
        if let Some(group) = find(&groups) {
            return Ok(group);
        }
        let ring = Ring::new(reader.position());
        let opened = Arc::new(opened.clone());
        let (has_failed, wanted) = (AtomicBool::new(false), Mutex::default());
        let making = Arc::new(Making { followed, opened, reader, ring, has_failed, wanted });
        let task = tokio::spawn(keep_making(Arc::clone(&making)));
        let group = Arc::new(Group { making, task, key: key.clone(), all: Arc::downgrade(&self.0) });
        groups.insert(key, Arc::downgrade(&group));
        Ok(group)
    }
}

impl<E> Inner<E> {
    /// A holder that panics leaves a table that is whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Group<E>>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Drop for Group<E> {
    fn drop(&mut self) {
        self.task.abort();
        let Some(all) = self.all.upgrade() else { return };
        let mut groups = all.lock();
        if groups.get(&self.key).is_some_and(|group| group.strong_count() == 0) {
            groups.remove(&self.key);
        }
    }
}

/// Makes each new piece, before anybody asks for it.
async fn keep_making<E: Executor>(making: Arc<Making<E>>) {
    let mut reached = making.reader.watch();
    loop {
        let Reached { position, is_over } = *reached.borrow_and_update();
        while making.ring.position() < position {
            let piece = making.make((making.ring.position(), position, false)).await;
            let has_failed = matches!(piece.content, Told::Failed(_));
            making.ring.push(piece);
            // Those who follow are told, and nobody follows any more.
            if has_failed {
                making.has_failed.store(true, Ordering::Relaxed);
                return;
            }
        }
        if is_over {
            making.ring.end();
        }
        if reached.changed().await.is_err() {
            return;
        }
    }
}

impl<E: Executor> Making<E> {
    /// The answers to what follows a place, up to another or before.
    async fn make(&self, (from, upto, is_first): Wanted) -> ToldPiece {
        let mut pause = PAUSE;
        let mut tries = TRIES;
        loop {
            let (error, piece) = match self.reader.read(from, upto).await {
                Ok(piece) if piece.content.is_empty() && !is_first && !piece.is_last => {
                    return told(&piece, Vec::new());
                }
                Ok(piece) => {
                    let opened = Arc::clone(&self.opened);
                    let delivery = Delivery { opened, piece: Arc::clone(&piece), is_first };
                    match self.followed.deliver(delivery).await {
                        Delivered::Told(answers) => return told(&piece, answers),
                        Delivered::Failed(errors) => (errors, Some(piece)),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a feed could not be read for a subscription");
                    (super::errors("UNAVAILABLE", "The store is unavailable; go on from your cursor."), None)
                }
            };
            tries -= 1;
            if tries == 0 {
                let to = piece.map_or(upto, |piece| piece.to);
                let content = Told::Failed(error.into());
                return Arc::new(Piece { from, to, size: 0, is_last: true, content });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// The piece that many may ask for at once, made once.
    async fn shared(&self, wanted: Wanted, backfills: &Semaphore) -> ToldPiece {
        let cell = self.cell(wanted);
        let make = async {
            let _one = backfills.acquire().await;
            self.make(wanted).await
        };
        Arc::clone(cell.get_or_init(|| make).await)
    }

    fn cell(&self, wanted: Wanted) -> Arc<OnceCell<ToldPiece>> {
        // A holder that panics leaves a table that is whole.
        let mut cells = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(&wanted).and_then(Weak::upgrade) {
            return cell;
        }
        cells.retain(|_, cell| cell.strong_count() > 0);
        let cell = Arc::new(OnceCell::new());
        cells.insert(wanted, Arc::downgrade(&cell));
        cell
    }
}

fn told(piece: &Piece<crate::service::live::Batch>, answers: Vec<String>) -> ToldPiece {
    let answers: Vec<Utf8Bytes> = answers.into_iter().map(Utf8Bytes::from).collect();
    let size = 256 + answers.iter().map(|answer| answer.as_str().len()).sum::<usize>();
    let content = Told::Answers(answers);
    Arc::new(Piece { from: piece.from, to: piece.to, size, is_last: piece.is_last, content })
}

impl<E: Executor> Subscriber<E> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            let piece = self.piece().await?;
            self.take(&piece);
        }
    }

    /// The next piece, once there is one.
    async fn piece(&mut self) -> Option<ToldPiece> {
        loop {
            let Reached { position, is_over } = *self.reached.borrow_and_update();
            let making = &self.group.making;
            let wanted = (self.position, position.max(self.position), self.is_first);
            let kept = making.ring.after(self.position, position).filter(|_| !self.is_first);
            if kept.is_some() {
                return kept;
            }
            let all = self.group.all.upgrade()?;
            if self.is_first || self.position < position {
                return Some(making.shared(wanted, &all.backfills).await);
            }
            if is_over {
                let piece = making.shared(wanted, &all.backfills).await;
                // Else more was reported since of a run that happened elsewhere.
                if piece.is_last {
                    return Some(piece);
                }
            }
            self.reached.changed().await.ok()?;
        }
    }

    fn take(&mut self, piece: &Piece<Told>) {
        self.position = piece.to;
        self.is_first = false;
        self.is_over = piece.is_last;
        match &piece.content {
            Told::Answers(answers) => self.ready.extend(answers.iter().cloned().map(Event::Next)),
            Told::Failed(errors) => self.ready.push_back(Event::Error(errors.clone())),
        }
    }
}
