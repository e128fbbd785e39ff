//! Subscribers who ask for the same: one execution for each piece, its answers shared by all.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_graphql::Executor;
use axum::extract::ws::Utf8Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::Event;
use crate::domain::digest::Digest;
use crate::graphql::subscription::{Delivery, Opened};
use crate::http::graphql::{Delivered, Followed};
use crate::http::identity::Identity;
use crate::service::live::{Hub, Piece, Position, Reached, Reader, Ring};
use crate::service::query::QueryError;

/// How many pieces of what is not new any more are made at once: those who come back after a restart come together.
const BACKFILLS: usize = 8;
/// How many pieces of what is new are made at once.
const MAKINGS: usize = 16;
/// How many groups one principal makes: each is read for and executed by itself.
const GROUPS_EACH: usize = 100;
/// How often a delivery that failed is tried again, and how long after the first time; twice as long each time.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);
/// The most bytes of the answers to a piece: what is larger is made of smaller pieces.
const ANSWERS: usize = 1 << 20;

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
    groups: Mutex<Table<E>>,
    backfills: Arc<Semaphore>,
    makings: Arc<Semaphore>,
}

struct Table<E> {
    groups: HashMap<Digest, Weak<Group<E>>>,
    /// How many each principal made.
    made: HashMap<Arc<str>, usize>,
}

/// Subscribers who ask for the same.
struct Group<E> {
    making: Arc<Making<E>>,
    task: JoinHandle<()>,
    key: Digest,
    maker: Arc<str>,
    all: Weak<Inner<E>>,
}

/// What makes the pieces of a group.
struct Making<E> {
    followed: Box<Followed<E>>,
    opened: Arc<Opened>,
    reader: Arc<Reader>,
    ring: Ring<Told>,
    /// Why it was given up, if it was.
    failure: OnceLock<Utf8Bytes>,
    /// Older pieces that are being made.
    wanted: Mutex<HashMap<Wanted, Weak<Backfill>>>,
}

/// An older piece that is being made, for all who wait for it: by a task of its own, so that nothing is held up by one
/// of them that is slow.
struct Backfill {
    made: watch::Receiver<Option<ToldPiece>>,
    task: JoinHandle<()>,
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
        let table = Table { groups: HashMap::new(), made: HashMap::new() };
        let semaphore = |places| Arc::new(Semaphore::new(places));
        let (backfills, makings) = (semaphore(BACKFILLS), semaphore(MAKINGS));
        Self(Arc::new(Inner { hub, groups: Mutex::new(table), backfills, makings }))
    }

    /// Follows what a subscription asks for.
    ///
    /// # Errors
    /// The errors to tell, if it is refused.
    pub async fn follow(
        &self,
        identity: &Identity,
        followed: Box<Followed<E>>,
    ) -> Result<BoxStream<'static, Event>, String> {
        let opened = followed.begin().await?;
        let group = self.group(identity, followed, &opened).await?;
        let reached = group.making.ring.watch();
        let here = reached.borrow().position;
        let position = opened.after.unwrap_or(here);
        if position.0 > here.0 {
            // Another server may have told of more than is known here yet.
            let stored = group.making.reader.stored().await.map_err(|error| away(&error))?;
            if position.0 > stored.0 {
                let message = "The server does not have what this cursor follows: the cursor is ahead of it.";
                return Err(super::errors("CURSOR_EXPIRED", message));
            }
        }
        let ready = VecDeque::new();
        let subscriber = Subscriber { reached, group, position, is_first: true, is_over: false, ready };
        Ok(stream::unfold(subscriber, |mut subscriber| async move {
            let event = subscriber.next().await?;
            Some((event, subscriber))
        })
        .boxed())
    }

    async fn group(
        &self,
        identity: &Identity,
        followed: Box<Followed<E>>,
        opened: &Opened,
    ) -> Result<Arc<Group<E>>, String> {
        let key = format!("{:?}\n{}\n{}", opened.feed, opened.after.is_none(), followed.key());
        let key = Digest::of_bytes(key.as_bytes());
        if let Some(group) = self.find(&key) {
            return Ok(group);
        }
        let reader = self.0.hub.follow(&identity.tenant, &opened.feed).await.map_err(|error| away(&error))?;
        // Meanwhile somebody else may have begun to follow it.
        if let Some(group) = self.find(&key) {
            return Ok(group);
        }
        let maker = Arc::clone(&identity.principal.subject);
        let mut table = self.0.lock();
        let made = table.made.entry(Arc::clone(&maker)).or_default();
        if *made >= GROUPS_EACH {
            let message = format!("At most {GROUPS_EACH} subscriptions that differ are served at once.");
            return Err(super::errors("TOO_MANY_SUBSCRIPTIONS", &message));
        }
        *made += 1;
        let ring = Ring::new(reader.position());
        let opened = Arc::new(opened.clone());
        let (failure, wanted) = (OnceLock::new(), Mutex::default());
        let making = Arc::new(Making { followed, opened, reader, ring, failure, wanted });
        let task = tokio::spawn(keep_making(Arc::clone(&making), Arc::clone(&self.0.makings)));
        let group = Arc::new(Group { making, task, key, maker, all: Arc::downgrade(&self.0) });
        table.groups.insert(key, Arc::downgrade(&group));
        Ok(group)
    }

    /// A group that was not given up. It is let go of only outside of the lock, which its end takes too.
    fn find(&self, key: &Digest) -> Option<Arc<Group<E>>> {
        let found = self.0.lock().groups.get(key).and_then(Weak::upgrade);
        found.filter(|group| group.making.failure.get().is_none())
    }
}

fn away(error: &QueryError) -> String {
    tracing::error!(%error, "a feed could not be followed");
    super::errors("UNAVAILABLE", "The store is unavailable; try again.")
}

impl<E> Inner<E> {
    /// A holder that panics leaves a table that is whole.
    fn lock(&self) -> MutexGuard<'_, Table<E>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Drop for Group<E> {
    fn drop(&mut self) {
        self.task.abort();
        let Some(all) = self.all.upgrade() else { return };
        let mut table = all.lock();
        if table.groups.get(&self.key).is_some_and(|group| group.strong_count() == 0) {
            table.groups.remove(&self.key);
        }
        if let Some(made) = table.made.get_mut(&self.maker) {
            *made -= 1;
            if *made == 0 {
                table.made.remove(&self.maker);
            }
        }
    }
}

impl Drop for Backfill {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backfill {
    /// The piece, once it is made.
    async fn piece(&self) -> Option<ToldPiece> {
        let mut made = self.made.clone();
        made.wait_for(Option::is_some).await.ok().and_then(|made| made.clone())
    }
}

/// Makes each new piece, before anybody asks for it.
async fn keep_making<E: Executor>(making: Arc<Making<E>>, places: Arc<Semaphore>) {
    let mut reached = making.reader.watch();
    loop {
        let Reached { position, is_over } = *reached.borrow_and_update();
        while making.ring.position() < position {
            let piece = making.make((making.ring.position(), position, false), &places).await;
            if let Told::Failed(errors) = &piece.content {
                // Those who follow are told, and nobody follows any more.
                let _ = making.failure.set(errors.clone());
                making.ring.push(piece);
                return;
            }
            let has_more = piece.to > piece.from;
            making.ring.push(piece);
            if !has_more {
                break;
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
    /// The answers to what follows a place, up to another or before. Each try takes one of the places.
    async fn make(&self, wanted: Wanted, places: &Semaphore) -> ToldPiece {
        let (mut pause, mut tries) = (PAUSE, TRIES);
        loop {
            let place = places.acquire().await;
            let made = self.attempt(wanted).await;
            drop(place);
            let (errors, is_passing) = match made {
                Ok(piece) => return piece,
                Err(failed) => failed,
            };
            tries -= 1;
            if tries == 0 || !is_passing {
                let (from, to, _) = wanted;
                let content = Told::Failed(errors.into());
                return Arc::new(Piece { from, to, size: 0, is_last: true, content });
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Reads and executes: of less and less, while the answers are too large, or cannot be had of so much.
    async fn attempt(&self, (from, upto, is_first): Wanted) -> Result<ToldPiece, (String, bool)> {
        let unavailable = |error: QueryError| (away(&error), true);
        let mut piece = self.reader.read(from, upto).await.map_err(unavailable)?;
        loop {
            if piece.content.is_empty() && !is_first && !piece.is_last {
                return Ok(told(&piece, Vec::new()));
            }
            let delivery = Delivery { opened: Arc::clone(&self.opened), piece: Arc::clone(&piece), is_first };
            let failure = match self.followed.deliver(delivery).await {
                Delivered::Told(answers) if !is_too_large(&answers) || piece.content.len() <= 1 => {
                    return Ok(told(&piece, answers));
                }
                Delivered::Told(_) => None,
                Delivered::Failed(errors, is_passing) => Some((errors, is_passing)),
            };
            match failure {
                Some(failure) if failure.1 || piece.content.len() <= 1 => return Err(failure),
                _ => {}
            }
            let less = self.reader.read_less(from, upto, piece.content.len() / 2).await.map_err(unavailable)?;
            // Of one commit, or one run, there may be no less.
            if less.content.len() >= piece.content.len() {
                return Err(failure.unwrap_or_else(|| (too_large(), false)));
            }
            piece = less;
        }
    }

    /// The piece that many may ask for at once, made once.
    async fn shared(self: &Arc<Self>, wanted: Wanted, backfills: &Arc<Semaphore>) -> Option<ToldPiece> {
        let backfill = self.backfill(wanted, backfills);
        backfill.piece().await
    }

    fn backfill(self: &Arc<Self>, wanted: Wanted, places: &Arc<Semaphore>) -> Arc<Backfill> {
        // A holder that panics leaves a table that is whole.
        let mut all = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backfill) = all.get(&wanted).and_then(Weak::upgrade) {
            return backfill;
        }
        all.retain(|_, backfill| backfill.strong_count() > 0);
        let (sender, made) = watch::channel(None);
        let (making, places) = (Arc::clone(self), Arc::clone(places));
        let task = tokio::spawn(async move {
            let piece = making.make(wanted, &places).await;
            sender.send_replace(Some(piece));
        });
        let backfill = Arc::new(Backfill { made, task });
        all.insert(wanted, Arc::downgrade(&backfill));
        backfill
    }
}

fn is_too_large(answers: &[String]) -> bool {
    answers.iter().map(String::len).sum::<usize>() > ANSWERS
}

fn too_large() -> String {
    super::errors("QUERY_TOO_COMPLEX", "The answers to one commit are too large; select less.")
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
                return making.shared(wanted, &all.backfills).await;
            }
            if let Some(errors) = making.failure.get() {
                let content = Told::Failed(errors.clone());
                return Some(Arc::new(Piece { from: position, to: position, size: 0, is_last: true, content }));
            }
            if is_over {
                let piece = making.shared(wanted, &all.backfills).await?;
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
