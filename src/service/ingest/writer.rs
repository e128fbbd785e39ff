//! The one writer of a process: many senders, one transaction at a time.
//!
//! A transaction on disk costs one sync whatever it holds, so requests that wait together are
//! written together, and each is answered when its transaction is on disk.
//!
//! Reports of runs that happened elsewhere have a transaction of their own, before that of the records: if the
//! latter fails, the items are sent again, and what is reported again changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::clock::SharedClock;
use crate::domain::digest::Digest;
use crate::storage::{Changes, Entry, NewRefusal, QuarantineReason, Store, StoreError};

use super::batch::{self, QuarantineBounds, Request};
use super::imports::{self, Imports};
use super::item::{Item, ItemResult, Prepared, Refusal};
use super::pace::Pace;
use super::prepare::FORBIDDEN;
use super::snapshot::{SnapshotScope, close_omitted};

/// Bounds of the writer.
#[derive(Debug, Clone, Copy)]
pub struct WriterLimits {
    /// How many requests may wait.
    pub queue: usize,
    /// How many items go into one transaction. While commands come, the writer takes fewer.
    pub batch: usize,
    /// How long a transaction waits for more requests.
    pub delay: Duration,
    /// Bounds of the quarantine.
    pub quarantine: QuarantineBounds,
}

impl Default for WriterLimits {
    fn default() -> Self {
        Self {
            queue: 1024,
            batch: 256,
            delay: Duration::from_millis(2),
            quarantine: QuarantineBounds { items: 100_000, bytes: 1 << 30 },
        }
    }
}

/// Why a request was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The database is away; a later try may succeed.
    #[error("the database is unavailable")]
    Unavailable,
    /// A defect; the cause is in the log.
    #[error("the records could not be written")]
    Failed,
    /// The server is shutting down.
    #[error("the writer has stopped")]
    Stopped,
}

/// An item of the quarantine, read again.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// Its id in quarantine.
    pub quarantine: i64,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Who sent it first.
    pub sender: String,
    /// The item.
    pub item: Prepared,
}

struct Job {
    tenant: String,
    source: String,
    principal: String,
    work: Work,
}

enum Work {
    Items(Vec<Prepared>, oneshot::Sender<Result<Vec<ItemResult>, WriteError>>),
    Snapshot(SnapshotScope, oneshot::Sender<Result<u64, WriteError>>),
    Replay(Vec<Replayed>, oneshot::Sender<Result<Vec<ItemResult>, WriteError>>),
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a write failed");
        if error.is_unavailable() { Self::Unavailable } else { Self::Failed }
    }
}

/// A handle to the writer.
#[derive(Debug, Clone)]
pub struct Writer {
    sender: mpsc::Sender<Job>,
}

/// The writer itself, ends when every handle is gone and all that was sent is written.
pub struct WriterTask {
    store: Store,
    clock: SharedClock,
    limits: WriterLimits,
    jobs: mpsc::Receiver<Job>,
    /// What came and had no room.
    held: Option<Job>,
    pace: Pace,
    growth: Growth,
}

/// When the planner is told how much there is: as it grows, and no more once a database has had the
/// time to see for itself.
struct Growth {
    written: usize,
    next: usize,
}

impl Growth {
    const FIRST: usize = 200;
    const LAST: usize = 100_000;

    /// Notes items; true if it is time.
    fn add(&mut self, items: usize) -> bool {
        self.written += items;
        let is_due = self.written >= self.next && self.next <= Self::LAST;
        while self.next <= self.written {
            self.next *= 4;
        }
        is_due
    }
}

impl Writer {
    /// A handle and its writer, to be run by [`WriterTask::run`].
    #[must_use]
    pub fn new(store: Store, clock: SharedClock, limits: WriterLimits) -> (Self, WriterTask) {
        let (sender, jobs) = mpsc::channel(limits.queue);
        let growth = Growth { written: 0, next: Growth::FIRST };
        let pace = Pace::new(limits.batch);
        (Self { sender }, WriterTask { store, clock, limits, jobs, held: None, pace, growth })
    }

    /// Writes items; when this returns, what it acknowledges is on disk.
    ///
    /// # Errors
    /// If not all were written. Of many items, the first ones may be: sent again, they change nothing.
    pub async fn write(
        &self,
        tenant: &str,
        source: &str,
        principal: &str,
        items: Vec<Prepared>,
    ) -> Result<Vec<ItemResult>, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.send(tenant, source, principal, Work::Items(items, reply)).await?;
        answer.await.map_err(|_| WriteError::Stopped)?
    }

    /// Closes what a complete listing omits; its items must be written before.
    ///
    /// # Errors
    /// If it could not be finished.
    pub async fn close_omitted(
        &self,
        tenant: &str,
        source: &str,
        principal: &str,
        scope: SnapshotScope,
    ) -> Result<u64, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.send(tenant, source, principal, Work::Snapshot(scope, reply)).await?;
        answer.await.map_err(|_| WriteError::Stopped)?
    }

    /// Writes items of the quarantine and takes those out of it that are stored now.
    ///
    /// # Errors
    /// If nothing was written.
    pub async fn replay(
        &self,
        tenant: &str,
        source: &str,
        principal: &str,
        items: Vec<Replayed>,
    ) -> Result<Vec<ItemResult>, WriteError> {
        let (reply, answer) = oneshot::channel();
        self.send(tenant, source, principal, Work::Replay(items, reply)).await?;
        answer.await.map_err(|_| WriteError::Stopped)?
    }

    async fn send(&self, tenant: &str, source: &str, principal: &str, work: Work) -> Result<(), WriteError> {
        let job = Job { tenant: tenant.to_owned(), source: source.to_owned(), principal: principal.to_owned(), work };
        self.sender.send(job).await.map_err(|_| WriteError::Stopped)
    }
}

type Waiting = (String, Vec<Prepared>, oneshot::Sender<Result<Vec<ItemResult>, WriteError>>);

impl WriterTask {
    /// Writes until every handle is gone.
    pub async fn run(self) {
        self.run_until(std::future::pending()).await;
    }

    /// Writes until every handle is gone or `stop` is over; what was sent until then is written, what
    /// is sent later is refused.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop.fuse());
        loop {
            let next = tokio::select! {
                next = next(&mut self.held, &mut self.jobs) => next,
                () = &mut stop => {
                    self.jobs.close();
                    continue;
                }
            };
            let Some(first) = next else { return };
            let room = self.pace.room(self.store.commands());
            let jobs = self.gather(first, room).await;
            let items = jobs.iter().map(weight).sum();
            self.write(jobs, room).await;
            if self.growth.add(items) {
                let store = self.store.clone();
                tokio::spawn(async move {
                    if let Err(error) = store.analyze().await {
                        tracing::warn!(%error, "the planner could not be told how much there is");
                    }
                });
            }
        }
    }

    /// The first request and what comes along within the delay, as far as there is room.
    async fn gather(&mut self, first: Job, room: usize) -> Vec<Job> {
        let deadline = Instant::now() + self.limits.delay;
        let mut count = weight(&first);
        let mut jobs = vec![first];
        while count < room {
            let next = match self.jobs.try_recv() {
                Ok(job) => Some(job),
                Err(mpsc::error::TryRecvError::Disconnected) => None,
                // Alone, a request has nobody to wait for: the delay is for company already there.
                Err(mpsc::error::TryRecvError::Empty) if jobs.len() == 1 => None,
                Err(mpsc::error::TryRecvError::Empty) => timeout_at(deadline, self.jobs.recv()).await.ok().flatten(),
            };
            let Some(job) = next else { break };
            count += weight(&job);
            if count > room {
                self.held = Some(job);
                break;
            }
            jobs.push(job);
        }
        jobs
    }

    async fn write(&mut self, jobs: Vec<Job>, room: usize) {
        let mut groups: BTreeMap<(String, String), Vec<Waiting>> = BTreeMap::new();
        for job in jobs {
            let place = (job.tenant, job.source);
            match job.work {
                Work::Items(items, reply) => groups.entry(place).or_default().push((job.principal, items, reply)),
                Work::Snapshot(scope, reply) => {
                    // What was sent before it must be stored before it.
                    if let Some(waiting) = groups.remove(&place) {
                        self.write_group(&place, waiting, room).await;
                    }
                    let now = self.clock.now();
                    let closed = close_omitted(&self.store, &place.0, &place.1, &scope, now).await;
                    let _gone = reply.send(closed.map_err(WriteError::from));
                }
                Work::Replay(items, reply) => {
                    let results = self.commit_replay(&place, &job.principal, &items).await;
                    let _gone = reply.send(results.map_err(WriteError::from));
                }
            }
        }
        for (place, waiting) in groups {
            self.write_group(&place, waiting, room).await;
        }
    }

    async fn write_group(&mut self, place: &(String, String), waiting: Vec<Waiting>, room: usize) {
        let requests: Vec<Request> = waiting.iter().map(|(principal, items, _)| Request { principal, items }).collect();
        let written = match &requests[..] {
            [alone] => self.commit_alone(place, alone, room).await.map(|results| vec![results]),
            _ => self.commit(place, &requests).await,
        };
        match written {
            Ok(results) => {
                for ((_, _, reply), results) in waiting.into_iter().zip(results) {
                    let _gone = reply.send(Ok(results));
                }
            }
            // One request must not take its neighbours down.
            Err(error) if waiting.len() > 1 && !error.is_unavailable() => {
                tracing::warn!(%error, "a batch failed; its requests are written one by one");
                for (principal, items, reply) in waiting {
                    let alone = Request { principal: &principal, items: &items };
                    let results = self.commit_alone(place, &alone, room).await;
                    let _gone = reply.send(results.map_err(WriteError::from));
                }
            }
            Err(error) => {
                tracing::error!(%error, "a batch failed");
                let is_unavailable = error.is_unavailable();
                for (_, _, reply) in waiting {
                    let error = if is_unavailable { WriteError::Unavailable } else { WriteError::Failed };
                    let _gone = reply.send(Err(error));
                }
            }
        }
    }

    /// Writes one request, in as many transactions as it needs for its size.
    async fn commit_alone(
        &mut self,
        place: &(String, String),
        request: &Request<'_>,
        room: usize,
    ) -> Result<Vec<ItemResult>, StoreError> {
        let mut results = Vec::with_capacity(request.items.len());
        for items in request.items.chunks(room.max(1)) {
            let part = [Request { principal: request.principal, items }];
            results.extend(self.commit(place, &part).await?.into_iter().flatten());
        }
        Ok(results)
    }

    async fn commit(
        &mut self,
        place: &(String, String),
        requests: &[Request<'_>],
    ) -> Result<Vec<Vec<ItemResult>>, StoreError> {
        let now = self.clock.now();
        let imports = Imports::write(&self.store, &place.0, &place.1, requests, now).await?;
        let mut results = if let Some(results) = imports::alone(requests) {
            results
        } else {
            let mut tx = self.store.write(&place.0, &place.1, now).await?;
            // Without the wait for the turn: only from now on others wait for this one.
            let began = Instant::now();
            let results = batch::write(&mut tx, requests, self.limits.quarantine, now).await?;
            tx.commit().await?;
            self.pace.note(results.iter().map(Vec::len).sum(), began.elapsed());
            results
        };
        imports.tell(&mut results);
        Ok(results)
    }

    async fn commit_replay(
        &self,
        place: &(String, String),
        principal: &str,
        items: &[Replayed],
    ) -> Result<Vec<ItemResult>, StoreError> {
        let now = self.clock.now();
        // Each under the name of its first sender, who still is the one who says so.
        let requests: Vec<Request> = items
            .iter()
            .map(|replayed| Request { principal: &replayed.sender, items: std::slice::from_ref(&replayed.item) })
            .collect();
        let imports = Imports::write(&self.store, &place.0, &place.1, &requests, now).await?;
        let mut tx = self.store.write(&place.0, &place.1, now).await?;
        let mut results = batch::write(&mut tx, &requests, self.limits.quarantine, now).await?;
        imports.tell(&mut results);
        let results: Vec<ItemResult> = results.into_iter().flatten().collect();
        let ids: Vec<i64> = items.iter().map(|replayed| replayed.quarantine).collect();
        let reasons = tx.quarantine_reasons(&ids).await?;
        let mut changes = Changes::default();
        for (replayed, result) in items.iter().zip(&results) {
            // What another call released meanwhile is not here any more.
            let Some(known) = reasons.get(&replayed.quarantine) else { continue };
            if result.error.is_none() {
                changes.released.push(replayed.quarantine);
                changes.entries.push(replay_entry("RELEASED", replayed, principal));
            } else if let Some(reason) = reason(&replayed.item.item).filter(|reason| reason != known) {
                let principal = principal.to_owned();
                changes.entries.push(replay_entry("QUARANTINED", replayed, &principal));
                changes.refused.push(NewRefusal { id: replayed.quarantine, reason, principal, refused_at: now });
            }
        }
        tx.apply(&changes, now).await?;
        tx.commit().await?;
        Ok(results)
    }
}

/// The next request: what had no room before, or else what comes.
async fn next(held: &mut Option<Job>, jobs: &mut mpsc::Receiver<Job>) -> Option<Job> {
    match held.take() {
        Some(job) => Some(job),
        None => jobs.recv().await,
    }
}

/// The ledger's entry of an item of the quarantine that was released, or refused for another reason.
fn replay_entry(kind: &'static str, replayed: &Replayed, principal: &str) -> Entry {
    Entry {
        kind,
        identity: format!("quarantine/{}", replayed.quarantine),
        object: None,
        content: (kind == "QUARANTINED").then_some(replayed.digest),
        previous: Some(replayed.digest),
        principal: principal.to_owned(),
    }
}

/// Why an item stays in quarantine. What the caller may not send says nothing of the item.
fn reason(item: &Item) -> Option<QuarantineReason> {
    let (refusal, strict) = match item {
        Item::Quarantine { refusal, strict, .. } => (refusal, *strict),
        Item::Reject(refusal) if refusal.code != FORBIDDEN => (refusal, false),
        _ => return None,
    };
    let Refusal { code, path, message, .. } = refusal.clone();
    Some(QuarantineReason { code, path, message, strict: i64::from(strict) })
}

fn weight(job: &Job) -> usize {
    match &job.work {
        Work::Items(items, _) => items.len().max(1),
        Work::Replay(items, _) => items.len().max(1),
        Work::Snapshot(..) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planner_is_told_at_each_fourfold_growth_and_at_last_no_more() {
        let mut growth = Growth { written: 0, next: Growth::FIRST };
        let due: Vec<usize> = (1..=1_000_000).filter(|_| growth.add(1)).collect();
        assert_eq!(due, [200, 800, 3_200, 12_800, 51_200]);
        let mut growth = Growth { written: 0, next: Growth::FIRST };
        assert!(!growth.add(199));
        assert!(growth.add(5_000), "in one leap");
        assert!(!growth.add(1));
    }
}
