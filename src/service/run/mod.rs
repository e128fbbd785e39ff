//! Runs of task packs: planned, simulated, created, decided, cancelled, and moved by the time.

pub mod import;
mod objective;
mod waiters;
pub mod work;

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::SharedClock;
use crate::domain::digest::Digest;
use crate::domain::identity::NaturalKey;
use crate::domain::lineage::{EdgeKind, Field, thing};
use crate::domain::names;
use crate::domain::run::{Artifact, ArtifactStatus, Decide, Decided, Effects, FileWanted, Refusal, Run};
use crate::domain::taskpack::{PlanError, Simulation, plan, simulate};
use crate::domain::time::format_micros;
use crate::service::query::lineage::Entity;
use crate::service::query::{QueryError, Scope};
use crate::shutdown::Shutdown;
use crate::storage::{Creation, Live, LockedRun, NewRun, RunChange, RunEdge, RunTx, RunVertex, Store, StoreError};

use self::waiters::Waiters;

/// The longest name of a run, in characters.
pub const MAX_RUN_ID: usize = 128;
/// The longest key that tells a creation that is repeated, in bytes.
pub const MAX_KEY: usize = 255;
/// The most things that a run can be declared to act on.
pub const MAX_SUBJECTS: usize = 100;
/// The longest words of who decides, in bytes: of the actor that is claimed, and of the summary.
pub const MAX_SUMMARY: usize = 16 * 1024;
/// How many runs are looked after at once.
const DUE: i64 = 100;
/// After how many looks at the time the queues are looked at, for the metrics.
const TOLD_EVERY: u32 = 10;
/// How often the time is looked at.
const TICK: Duration = Duration::from_secs(1);

/// A run to be created.
#[derive(Debug, Clone, Default)]
pub struct CreateRun {
    /// Its name; made up where there is none.
    pub run_id: Option<String>,
    /// The manifest of its pack, YAML.
    pub manifest: String,
    /// The inputs.
    pub inputs: Map<String, Value>,
    /// What it acts on.
    pub subjects: Vec<Subject>,
    /// Tells a creation that is repeated: it is answered as the first one.
    pub idempotency_key: Option<String>,
}

/// What a run acts on.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its global id.
    pub id: String,
    /// What the graph has it as.
    pub entity: Entity,
}

/// Why a command on runs was not carried out. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The manifest or its inputs are no plan: all that is wrong.
    #[error("the manifest or its inputs are no plan")]
    Plan(Vec<PlanError>),
    /// A run cannot have this name.
    #[error("a run's name is 1 to {MAX_RUN_ID} letters, digits, `-` or `_`")]
    BadRunId,
    /// Something is longer than it may be.
    #[error("{0}")]
    TooLong(&'static str),
    /// What the run is to act on is not there, or is a resource: its id.
    #[error("there is no such node, or it is a resource: {0}")]
    UnknownSubject(String),
    /// There is a run of this name.
    #[error("there is a run of this name")]
    Exists,
    /// The key was used for another creation.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// There is no such run.
    #[error("there is no such run")]
    NotFound,
    /// The run happens elsewhere.
    #[error("the run happens elsewhere, and is only reported here")]
    Imported,
    /// The run does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The worker has the step no more: its time was over, it has reported, or the run was cancelled.
    #[error("the lease does not hold any more")]
    LeaseLost,
    /// What a worker asks for makes no sense: the field and why.
    #[error("{1}")]
    BadClaim(&'static str, String),
    /// Lines before those that were sent are not there: the number to go on from.
    #[error("lines are missing before the first one")]
    LinesMissing(i64),
    /// The run is to leave no such file behind: its name.
    #[error("the run has no such file: {0}")]
    UnknownArtifact(String),
    /// A file is said to be uploaded and is not: its name.
    #[error("this file was not uploaded with this digest: {0}")]
    NotUploaded(String),
    /// The worker has yet to say what became of these files.
    #[error("files are to be looked for first")]
    FilesWanted(Vec<FileWanted>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A defect.
    #[error("planning broke off")]
    Broken,
}

impl RunError {
    /// The error's words as a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let text = self.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let sentence: String = first.into_iter().chain(letters).collect();
        format!("{}.", sentence.trim_end_matches('.'))
    }
}

/// Bounds of what runs keep.
#[derive(Debug, Clone, Copy)]
pub struct RunLimits {
    /// How many bytes of lines of steps the log of a run has.
    pub log_bytes: i64,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self { log_bytes: 64 << 20 }
    }
}

/// The commands on runs.
#[derive(Clone)]
pub struct Runs {
    store: Store,
    clock: SharedClock,
    limits: RunLimits,
    waiters: Waiters,
    closing: Shutdown,
}

impl Runs {
    /// The commands on the runs of a store.
    #[must_use]
    pub fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock, limits: RunLimits::default(), waiters: Waiters::default(), closing: Shutdown::new() }
    }

    /// The commands with other bounds.
    #[must_use]
    pub fn with_limits(self, limits: RunLimits) -> Self {
        Self { limits, ..self }
    }

    /// The commands of a server that may stop: then nobody waits any more.
    #[must_use]
    pub fn with_shutdown(self, closing: Shutdown) -> Self {
        Self { closing, ..self }
    }

    fn is_open(&self) -> bool {
        self.closing.is_ready()
    }

    /// What a run would do. Nothing is kept.
    ///
    /// # Errors
    /// If there is no plan.
    pub async fn simulate(&self, manifest: String, inputs: Map<String, Value>) -> Result<Simulation, RunError> {
        planned(move || plan(&manifest, &inputs).map(|plan| simulate(&plan))).await
    }

    /// Creates a run, and lets it go as far as it goes without anybody. Returns its name, and whether it
    /// was created now: a creation that is repeated has the answer of the first one.
    ///
    /// # Errors
    /// If there is no plan, or no run can have this name.
    pub async fn create(&self, tenant: &str, actor: &str, asked: CreateRun) -> Result<(String, bool), RunError> {
        check(&asked)?;
        let subjects: Vec<String> = asked.subjects.iter().map(|subject| subject.id.clone()).collect();
        let request = json!([asked.run_id, asked.manifest, asked.inputs, subjects]);
        let request_digest = Digest::of_value(&request);
        let (manifest, inputs) = (asked.manifest.clone(), asked.inputs.clone());
        let plan = planned(move || plan(&manifest, &inputs)).await?;
        let hash = plan.hash();
        let now = self.clock.now();
        let run_id = asked.run_id.clone().unwrap_or_else(|| made_up(tenant, now));
        let mut edges = vec![
            edge(EdgeKind::RunOf, thing::task_pack(&plan.name, &plan.version), Field::RunPack, None, now),
            edge(EdgeKind::DeclaredBy, thing::named(thing::PRINCIPAL, actor), Field::RunCreator, None, now),
        ];
        edges.extend(self.subjects(tenant, &asked.subjects, now).await?);
        let mut tx = self.store.write_run(tenant).await?;
        let new = NewRun {
            run_id: &run_id,
            plan: &plan,
            plan_hash: &hash,
            manifest: &asked.manifest,
            subjects: &subjects,
            created_by: actor,
            idempotency_key: asked.idempotency_key.as_deref(),
            request_digest,
            source: None,
        };
        let id = match tx.insert(&new, now).await? {
            Creation::Made(id) => id,
            Creation::Repeated(first) => return Ok((first, false)),
            Creation::OtherRequest => return Err(RunError::KeyReused),
            Creation::Exists => return Err(RunError::Exists),
        };
        let (run, effects) = Run::create(&plan, &hash, now);
        edges.extend(new_edges(&run_id, None, &run));
        let change = RunChange {
            id,
            run_id: &run_id,
            before: None,
            after: &run,
            plan: &plan,
            live: Live::default(),
            effects: &effects,
            principal: actor,
            edges: &edges,
            import: None,
        };
        let commit = tx.save(&change).await?;
        self.follow_objectives(&mut tx, &plan, None, &run, commit.seq).await?;
        self.commit(tx, tenant).await?;
        Ok((run_id, true))
    }

    /// Decides an approval; a decision that is repeated has the answer of the first one.
    ///
    /// # Errors
    /// If there is no such run, or the decision is refused.
    pub async fn decide(&self, tenant: &str, run_id: &str, asked: &Decide<'_>) -> Result<Decided, RunError> {
        let is_long = |text: Option<&str>| text.is_some_and(|text| text.len() > MAX_SUMMARY);
        if is_long(asked.summary) || is_long(asked.claimed_actor) {
            return Err(RunError::TooLong("The summary and the actor have at most 16 KiB each."));
        }
        self.change(tenant, run_id, asked.actor, |locked, now| {
            locked.run.decide(&locked.plan, &locked.plan_hash, asked, now)
        })
        .await
    }

    /// Cancels a run; one that was cancelled before stays as it is.
    ///
    /// # Errors
    /// If there is no such run, or it completed or failed.
    pub async fn cancel(&self, tenant: &str, run_id: &str, actor: &str) -> Result<(), RunError> {
        self.change(tenant, run_id, actor, |locked, now| {
            locked.run.cancel(&locked.plan, actor, now).map(|effects| ((), effects))
        })
        .await
    }

    /// The edges to what a run is to act on.
    async fn subjects(&self, tenant: &str, subjects: &[Subject], now: i64) -> Result<Vec<RunEdge>, RunError> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let scope = Scope::now(&self.store, tenant.into()).await?;
        let mut edges = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let found = scope.find_vertex(&subject.entity).await?.filter(|(vertex, _)| !vertex.is_resource());
            let (vertex, _) = found.ok_or_else(|| RunError::UnknownSubject(subject.id.clone()))?;
            edges.push(RunEdge {
                kind: EdgeKind::ActsOn,
                is_effect: false,
                other: RunVertex::Row(vertex.id),
                field: Field::RunSubjects,
                attribute: None,
                at: now,
            });
        }
        Ok(edges)
    }

    async fn change<T>(
        &self,
        tenant: &str,
        run_id: &str,
        actor: &str,
        command: impl FnOnce(&mut LockedRun, i64) -> Result<(T, Effects), Refusal>,
    ) -> Result<T, RunError> {
        let mut tx = self.store.write_run(tenant).await?;
        let mut locked = tx.lock(run_id).await?.ok_or(RunError::NotFound)?;
        if locked.source.is_some() {
            return Err(RunError::Imported);
        }
        let before = locked.run.clone();
        // The time is read under the lock, so that it never runs backwards in a run.
        let (answer, effects) = command(&mut locked, self.clock.now())?;
        if locked.run != before {
            self.keep(&mut tx, &before, &locked, &effects, actor).await?;
            self.commit(tx, tenant).await?;
        }
        Ok(answer)
    }

    /// Writes what a command did to a run that is locked.
    async fn keep(
        &self,
        tx: &mut RunTx,
        before: &Run,
        locked: &LockedRun,
        effects: &Effects,
        actor: &str,
    ) -> Result<(), RunError> {
        let edges = new_edges(&locked.run_id, Some(before), &locked.run);
        let change = RunChange {
            id: locked.id,
            run_id: &locked.run_id,
            before: Some(before),
            after: &locked.run,
            plan: &locked.plan,
            live: locked.live,
            effects,
            principal: actor,
            edges: &edges,
            import: None,
        };
        let commit = tx.save(&change).await?;
        self.follow_objectives(tx, &locked.plan, Some(before), &locked.run, commit.seq).await?;
        Ok(())
    }

    /// Commits, and tells the workers that wait what there is to do now.
    async fn commit(&self, tx: RunTx, tenant: &str) -> Result<(), RunError> {
        let queued = tx.commit().await?;
        self.waiters.wake(tenant, &queued);
        Ok(())
    }

    /// Does what the time has to do with runs: approvals that nobody decided expire, and so do the attempts of
    /// workers that were not heard of. Returns how many runs it looked after.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn sweep(&self) -> Result<usize, RunError> {
        let now = self.clock.now();
        let mut due = self.store.silent_runs(now, DUE).await?;
        let others = self.store.due_runs(now, DUE).await?;
        due.extend(others.into_iter().filter(|run| !due.contains(run)).collect::<Vec<_>>());
        for run in &due {
            // One run that cannot be moved must not keep the others from it.
            if let Err(error) = self.look_after(&run.tenant, &run.run_id).await {
                tracing::error!(%error, tenant = run.tenant, run = run.run_id, "the time could not move a run");
            }
        }
        Ok(due.len())
    }

    async fn look_after(&self, tenant: &str, run_id: &str) -> Result<(), RunError> {
        let mut tx = self.store.write_run(tenant).await?;
        let mut locked = tx.lock(run_id).await?.filter(|run| run.source.is_none()).ok_or(RunError::NotFound)?;
        let (before, now) = (locked.run.clone(), self.clock.now());
        let mut effects = Effects::default();
        for (n, is_final) in tx.expire_leases(locked.id, now).await? {
            let reason = if is_final { "quota-exceeded" } else { "lease-expired" };
            effects.extend(locked.run.expire(&locked.plan, n, reason, now)?);
        }
        effects.extend(locked.run.tick(&locked.plan, now));
        if locked.run == before {
            tx.settle(&locked).await?;
        } else {
            self.keep(&mut tx, &before, &locked, &effects, "system").await?;
        }
        self.commit(tx, tenant).await
    }

    /// Sweeps once a second, until `stop` is over, while that is for this server to do.
    pub async fn watch(self, stop: impl Future<Output = ()>, is_mine: impl Fn() -> bool) {
        let mut stop = std::pin::pin!(stop);
        let (mut told, mut known) = (0_u32, BTreeSet::new());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = ticks.tick() => {}
            }
            if !is_mine() {
                continue;
            }
            if told.is_multiple_of(TOLD_EVERY)
                && let Err(error) = self.tell_queues(&mut known).await
            {
                tracing::warn!(%error, "the queues could not be looked at");
            }
            told = told.wrapping_add(1);
            // What one sweep leaves for want of room, the next one takes.
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "runs could not be looked after");
            }
        }
    }
}

/// An edge from something of the tenant to a run.
fn edge(kind: EdgeKind, other: NaturalKey, field: Field, attribute: Option<String>, at: i64) -> RunEdge {
    RunEdge { kind, is_effect: true, other: RunVertex::Key(other), field, attribute, at }
}

/// The edges that a command added: who decided, and what was left behind.
fn new_edges(run_id: &str, before: Option<&Run>, after: &Run) -> Vec<RunEdge> {
    let mut edges = Vec::new();
    for (id, approval) in &after.approvals {
        let was_decided = before.and_then(|run| run.approvals.get(id)).is_some_and(|known| known.decided.is_some());
        if let Some(decided) = approval.decided.as_ref().filter(|_| !was_decided) {
            let principal = thing::named(thing::PRINCIPAL, &decided.actor);
            let what = format!("{id}: {}", decided.decision.word());
            edges.push(edge(EdgeKind::Decided, principal, Field::RunApprovals, Some(what), decided.at));
        }
    }
    // By name: what a run elsewhere leaves behind comes in no certain order.
    let known: HashSet<&str> = before.into_iter().flat_map(captured).map(|artifact| artifact.name.as_str()).collect();
    for artifact in captured(after) {
        if !known.contains(artifact.name.as_str()) {
            let at = artifact.captured_at.unwrap_or(after.updated_at);
            let reference = format!("runs/{run_id}/artifacts/{}", artifact.name);
            let kind = "RunArtifact".to_owned();
            let key = thing::artifact("", &names::Artifact { kind, reference, checksum: None });
            let produced =
                |key| RunEdge { is_effect: false, ..edge(EdgeKind::Produced, key, Field::RunArtifacts, None, at) };
            edges.push(produced(key));
            // What records say of the same content leads on from its digest.
            edges.extend(artifact.digest.map(|digest| produced(thing::digest(&digest.to_string()))));
        }
    }
    edges
}

/// What a run left behind and is kept.
fn captured(run: &Run) -> impl Iterator<Item = &Artifact> {
    run.artifacts.iter().filter(|artifact| artifact.status == ArtifactStatus::Captured)
}

/// Plans away from the threads that serve: a large pack takes its time.
async fn planned<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Vec<PlanError>> + Send + 'static,
) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| RunError::Broken)?.map_err(RunError::Plan)
}

fn check(asked: &CreateRun) -> Result<(), RunError> {
    if asked.run_id.as_deref().is_some_and(|id| !valid_run_id(id)) {
        return Err(RunError::BadRunId);
    }
    if asked.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_KEY) {
        return Err(RunError::TooLong("An idempotency key has 1 to 255 bytes."));
    }
    if asked.subjects.len() > MAX_SUBJECTS {
        return Err(RunError::TooLong("A run acts on at most 100 subjects."));
    }
    Ok(())
}

/// Whether a run can have this name: that of the contract's paths.
#[must_use]
pub fn valid_run_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_RUN_ID).contains(&id.len()) && id.bytes().all(is_allowed)
}

/// A name that no other run has: the day, and what no other call can repeat.
fn made_up(tenant: &str, now: i64) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let salt = crate::auth::generate_token().unwrap_or_default();
    let unique = Digest::of_bytes(format!("{tenant}/{now}/{n}/{}/{salt}", std::process::id()).as_bytes()).hex();
    let day: String = format_micros(now).chars().filter(char::is_ascii_digit).take(8).collect();
    format!("run-{day}-{}", &unique[..16])
}
