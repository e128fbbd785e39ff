//! What workers do with steps: they claim them, for as long as they are heard of, and report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{RunError, Runs};
use crate::domain::digest::Digest;
use crate::domain::run::{Completed, Effects, FileAnswer, FileWanted, Files, LogEntry, LogLevel, Run, planned, uses};
use crate::domain::taskpack::{Plan, Sandbox, Secret, StepKind};
use crate::storage::{LeaseKey, LeaseState, Live, LockedRun, NewLease, RunTx, StoredLease, Upload};

/// The most steps that are claimed at once.
pub const MAX_CLAIMED: usize = 100;
/// The most patterns that tell what a worker can do.
pub const MAX_CAPABILITIES: usize = 1_000;
/// The longest a claim waits for a step.
pub const MAX_WAIT: Duration = Duration::from_secs(30);
/// The shortest and the longest time that a lease holds without a sign of life, in seconds.
pub const LEASE_SECONDS: std::ops::RangeInclusive<i64> = 1..=3_600;
/// The most lines that are appended at once.
pub const MAX_LINES: usize = 10_000;
/// The longest line, in bytes.
pub const MAX_LINE: usize = 16 * 1024;
/// The largest outputs of a step, in bytes of JSON.
pub const MAX_OUTPUTS: usize = 256 * 1024;
/// The longest words of why an attempt failed, in bytes: what is longer is cut.
const MAX_ERROR: usize = 4_096;
/// The longest name of a worker, in bytes.
const MAX_WORKER: usize = 255;
/// How often a waiting claim looks by itself: for steps whose time comes, and for those of other servers.
const LOOK: Duration = Duration::from_secs(1);

/// What a worker can do, and may.
#[derive(Debug, Clone, Default)]
pub struct Abilities {
    asked: Arc<[String]>,
    allowed: Arc<[String]>,
}

impl Abilities {
    /// What is among those that are asked for and, unless these are none, among those that are allowed.
    pub fn new(asked: impl IntoIterator<Item = String>, allowed: impl IntoIterator<Item = String>) -> Self {
        Self { asked: asked.into_iter().collect(), allowed: allowed.into_iter().collect() }
    }

    /// Whether a step that uses this is for the worker.
    #[must_use]
    pub fn include(&self, step: &str) -> bool {
        let is_among = |patterns: &[String]| patterns.iter().any(|pattern| uses::matches(pattern, step));
        is_among(&self.asked) && (self.allowed.is_empty() || is_among(&self.allowed))
    }

    /// Ranges of names in which all that is for the worker is: those of what is asked for, cut to those of what is
    /// allowed.
    fn ranges(&self) -> BTreeSet<(String, String)> {
        let ranges = |patterns: &[String]| patterns.iter().map(|pattern| uses::range(pattern)).collect::<BTreeSet<_>>();
        let (asked, allowed) = (ranges(&self.asked), ranges(&self.allowed));
        if allowed.is_empty() {
            return asked;
        }
        let cut = |(low, high): &(String, String)| {
            let both = allowed.iter().map(|(least, most)| (low.max(least).clone(), high.min(most).clone()));
            both.filter(|(low, high)| low < high).collect::<Vec<_>>()
        };
        asked.iter().flat_map(cut).collect()
    }
}

/// A claim of steps.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What the worker calls itself.
    pub worker: String,
    /// What it can do.
    pub abilities: Abilities,
    /// How many steps at most.
    pub max: usize,
    /// How long a lease holds after each sign of life.
    pub lease_seconds: i64,
}

/// A step that a worker has.
#[derive(Debug, Clone)]
pub struct Granted {
    /// What it is reported with.
    pub token: String,
    /// The run.
    pub run_id: String,
    /// The step.
    pub step_id: String,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// What does it.
    pub uses: String,
    /// Its parameters, rendered.
    pub with: Value,
    /// What the plan says of it.
    pub kind: StepKind,
    /// What it may use.
    pub sandbox: Option<Sandbox>,
    /// The secrets that its parameters refer to.
    pub secrets: Vec<Secret>,
    /// Files that the run is to leave behind, and where this step would have them.
    pub files: Vec<FileWanted>,
    /// When the lease ends without a sign of life, microseconds.
    pub expires_at: i64,
    /// The same, in whole seconds from now.
    pub lease_seconds: i64,
}

/// A sign of life was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// When the lease ends without another, microseconds.
    pub expires_at: i64,
    /// The same, in whole seconds from now.
    pub lease_seconds: i64,
    /// Whether the worker is to stop: the run was cancelled.
    pub is_cancelled: bool,
}

/// A line that a step wrote.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its text.
    pub text: String,
    /// Whether it was written as an error.
    pub is_stderr: bool,
    /// How grave it is, where the worker knows.
    pub level: Option<LogLevel>,
}

/// Lines were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The number of the next line.
    pub next_line: i64,
    /// Whether the worker is to stop: the run was cancelled.
    pub is_cancelled: bool,
    /// Whether the run's log is full: its lines are not kept any more.
    pub is_truncated: bool,
}

/// What a worker says of a file that the run is to leave behind.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// The name of the artifact.
    pub name: String,
    /// The digest of the content that was uploaded; `None` if there is none.
    pub digest: Option<Digest>,
    /// Why there is none.
    pub note: Option<String>,
}

/// How a worker ends its part.
#[derive(Debug, Clone)]
pub enum Report {
    /// The step is done.
    Completed {
        /// What it gave.
        outputs: Value,
        /// What became of files.
        files: Vec<FileReport>,
    },
    /// The attempt failed.
    Failed {
        /// Why.
        error: String,
        /// Whether another attempt is of any use.
        is_retryable: bool,
    },
    /// The worker did nothing, and gives the step back.
    Released,
}

impl Report {
    /// Tells a report that is repeated from another one.
    fn digest(&self) -> Digest {
        Digest::of_value(&match self {
            Self::Completed { outputs, files } => {
                let files: Vec<Value> = files
                    .iter()
                    .map(|file| json!([file.name, file.digest.map(|digest| digest.to_string()), file.note]))
                    .collect();
                json!(["completed", outputs, files])
            }
            Self::Failed { error, is_retryable } => json!(["failed", error, is_retryable]),
            Self::Released => json!(["released"]),
        })
    }
}

/// The token of a lease: the run's row, the step's number, and what only the worker knows.
fn new_token(run: i64, n: usize) -> Result<(String, LeaseKey), RunError> {
    let secret = crate::auth::generate_token().map_err(|_| RunError::Broken)?;
    let token = format!("{run}.{n}.{secret}");
    Ok((token, LeaseKey { run, n, secret: Digest::of_bytes(secret.as_bytes()) }))
}

fn read_token(token: &str) -> Option<LeaseKey> {
    let mut parts = token.splitn(3, '.');
    let (run, n, secret) = (parts.next()?, parts.next()?, parts.next()?);
    Some(LeaseKey { run: run.parse().ok()?, n: n.parse().ok()?, secret: Digest::of_bytes(secret.as_bytes()) })
}

/// Whole seconds, rounded down: nobody is to believe that a lease holds longer than it does.
fn seconds_until(expires_at: i64, now: i64) -> i64 {
    expires_at.saturating_sub(now).max(0) / 1_000_000
}

impl Runs {
    /// Gives steps to a worker. Waits up to `wait` for the first one.
    ///
    /// # Errors
    /// If what is asked for makes no sense, or the store fails.
    pub async fn claim(
        &self,
        tenant: &Arc<str>,
        principal: &str,
        claim: &Claim,
        wait: Duration,
    ) -> Result<Vec<Granted>, RunError> {
        check(claim)?;
        let until = Instant::now() + wait.min(MAX_WAIT);
        loop {
            // Whoever waits is on the list before looking, so that no step comes between the two.
            let waiting = self.waiters.enter(tenant, &claim.abilities);
            let granted = self.claim_now(tenant, principal, claim).await?;
            let now = Instant::now();
            let Some(waiting) = waiting.filter(|_| granted.is_empty() && now < until && self.is_open()) else {
                return Ok(granted);
            };
            tokio::select! {
                () = waiting.woken() => {}
                () = tokio::time::sleep_until(until.min(now + LOOK)) => {}
                () = self.closing.draining() => {}
            }
        }
    }

    async fn claim_now(&self, tenant: &str, principal: &str, claim: &Claim) -> Result<Vec<Granted>, RunError> {
        let now = self.clock.now();
        let mut uses = self.store.queue_uses(tenant, &claim.abilities.ranges()).await?;
        uses.retain(|(uses, ready_at)| *ready_at <= now && claim.abilities.include(uses));
        if uses.is_empty() {
            return Ok(Vec::new());
        }
        uses.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        uses.dedup();
        let mut tx = self.store.write_run(tenant).await?;
        let mut picked: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        let mut left = claim.max;
        for (uses, _) in &uses {
            if left == 0 {
                break;
            }
            let steps = tx.next_steps(uses, now, left).await?;
            left -= steps.len();
            for (run, n) in steps {
                picked.entry(run).or_default().push(n);
            }
        }
        let rows: Vec<i64> = picked.keys().copied().collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let locked = tx.lock_rows(&rows).await?;
        let now = self.clock.now();
        let mut granted = Vec::new();
        let mut leases = Vec::new();
        for mut run in locked {
            let before = run.run.clone();
            let mut effects = Effects::default();
            for n in picked.remove(&run.id).unwrap_or_default() {
                // Another worker was quicker, or there is no room for one more.
                let Ok((with, more)) = run.run.start(&run.plan, n, Some(&claim.worker), now) else { continue };
                effects.extend(more);
                if let Some(with) = with {
                    let (lease, given) = grant(&run, n, with, claim, now)?;
                    leases.push(lease);
                    granted.push(given);
                }
            }
            if run.run != before {
                self.keep(&mut tx, &before, &run, &effects, principal).await?;
            }
        }
        if !leases.is_empty() {
            tx.grant(&leases, principal, &claim.worker, now, claim.lease_seconds * 1_000_000).await?;
        }
        self.commit(tx, tenant).await?;
        Ok(granted)
    }

    /// Hears of a worker.
    ///
    /// # Errors
    /// [`RunError::LeaseLost`] if it has the step no more.
    pub async fn heartbeat(&self, tenant: &str, principal: &str, token: &str) -> Result<Renewed, RunError> {
        let key = read_token(token).ok_or(RunError::LeaseLost)?;
        let mut tx = self.store.write_run(tenant).await?;
        let now = self.clock.now();
        let renewed = match tx.renew(&key, principal, now).await? {
            Some(expires_at) => {
                Renewed { expires_at, lease_seconds: seconds_until(expires_at, now), is_cancelled: false }
            }
            None if self.is_taken(&mut tx, &key, principal).await? => {
                Renewed { expires_at: now, lease_seconds: 0, is_cancelled: true }
            }
            None => return Err(RunError::LeaseLost),
        };
        tx.commit().await?;
        Ok(renewed)
    }

    async fn is_taken(&self, tx: &mut RunTx, key: &LeaseKey, principal: &str) -> Result<bool, RunError> {
        let lease = tx.lease(key).await?;
        Ok(lease.is_some_and(|lease| lease.principal == principal && lease.state == LeaseState::Taken))
    }

    /// Appends lines of a step to its run's log; `first` is the number of the first, from 0 in each attempt.
    /// Lines that are there already are not appended again. It is a sign of life.
    ///
    /// # Errors
    /// [`RunError::LeaseLost`] if the worker has the step no more, [`RunError::LinesMissing`] if lines before
    /// the first are not there.
    pub async fn append_lines(
        &self,
        tenant: &str,
        principal: &str,
        token: &str,
        first: i64,
        lines: &[Line],
    ) -> Result<Appended, RunError> {
        check_lines(first, lines)?;
        let key = read_token(token).ok_or(RunError::LeaseLost)?;
        let mut tx = self.store.write_run(tenant).await?;
        let (run, live) = tx.lock_log(key.run).await?.ok_or(RunError::LeaseLost)?;
        let now = self.clock.now();
        let lease = match held(tx.lease(&key).await?, principal, now) {
            Ok(lease) => lease,
            Err(Some(lease)) if lease.state == LeaseState::Taken => {
                let next_line = lease.next_line;
                return Ok(Appended { next_line, is_cancelled: true, is_truncated: live.is_cut == 1 });
            }
            Err(_) => return Err(RunError::LeaseLost),
        };
        if first > lease.next_line {
            return Err(RunError::LinesMissing(lease.next_line));
        }
        let known = usize::try_from(lease.next_line - first).unwrap_or(usize::MAX);
        let new = lines.get(known..).unwrap_or_default();
        let next_line = lease.next_line + i64::try_from(new.len()).unwrap_or(0);
        let step = tx.step_id(&key).await?.ok_or(RunError::LeaseLost)?;
        let (live, entries) = self.entries(&run, live, &step, &lease, new, now);
        tx.append_lines(&key, live, &entries, next_line, now).await?;
        self.commit(tx, tenant).await?;
        Ok(Appended { next_line, is_cancelled: false, is_truncated: live.is_cut == 1 })
    }

    /// The log entries of lines, as many as there is room for.
    fn entries(
        &self,
        run: &Run,
        mut live: Live,
        step: &str,
        lease: &StoredLease,
        lines: &[Line],
        now: i64,
    ) -> (Live, Vec<LogEntry>) {
        let mut entries = Vec::new();
        let mut seq = live.logged;
        let at = now.max(run.updated_at);
        for line in lines {
            let size = i64::try_from(line.text.len()).unwrap_or(i64::MAX);
            if live.is_cut == 1 || live.line_bytes.saturating_add(size) > self.limits.log_bytes {
                break;
            }
            live.line_bytes += size;
            seq += 1;
            entries.push(entry(seq, at, step, lease, line));
        }
        if entries.len() < lines.len() && live.is_cut == 0 {
            live.is_cut = 1;
            entries.push(LogEntry {
                seq: seq + 1,
                at,
                level: LogLevel::Warn,
                event: "log.truncated".to_owned(),
                message: format!("Steps wrote more than {} bytes: the rest is not kept.", self.limits.log_bytes),
                step: None,
                metadata: BTreeMap::new(),
            });
        }
        (live, entries)
    }

    /// Notes a file that a worker brought for a step that it has.
    ///
    /// # Errors
    /// [`RunError::LeaseLost`] if it has the step no more.
    pub async fn note_upload(
        &self,
        tenant: &str,
        principal: &str,
        token: &str,
        run_id: &str,
        upload: &Upload,
    ) -> Result<(), RunError> {
        let (mut tx, key, now) = self.may_upload(tenant, principal, token, run_id, &upload.name).await?;
        tx.note_upload(&key, upload, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether a worker may bring a file now: asked before a large body is read.
    ///
    /// # Errors
    /// [`RunError::LeaseLost`] if it has no step of the run, [`RunError::UnknownArtifact`] if the run is to leave no
    /// such file behind.
    pub async fn check_upload(
        &self,
        tenant: &str,
        principal: &str,
        token: &str,
        run_id: &str,
        name: &str,
    ) -> Result<(), RunError> {
        self.may_upload(tenant, principal, token, run_id, name).await.map(drop)
    }

    async fn may_upload(
        &self,
        tenant: &str,
        principal: &str,
        token: &str,
        run_id: &str,
        name: &str,
    ) -> Result<(RunTx, LeaseKey, i64), RunError> {
        let key = read_token(token).ok_or(RunError::LeaseLost)?;
        let mut tx = self.store.write_run(tenant).await?;
        let (run, now) = (tx.lock(run_id).await?.ok_or(RunError::NotFound)?, self.clock.now());
        held(tx.lease(&key).await?.filter(|_| run.id == key.run), principal, now).map_err(|_| RunError::LeaseLost)?;
        if !run.run.artifacts.iter().any(|artifact| artifact.is_file && artifact.name == name) {
            return Err(RunError::UnknownArtifact(name.to_owned()));
        }
        Ok((tx, key, now))
    }

    /// Ends the part of a worker. A report that is repeated changes nothing.
    ///
    /// # Errors
    /// [`RunError::LeaseLost`] if it has the step no more, [`RunError::FilesWanted`] if it has yet to say what
    /// became of files.
    pub async fn report(&self, tenant: &str, principal: &str, token: &str, report: Report) -> Result<(), RunError> {
        let report = checked(report)?;
        let key = read_token(token).ok_or(RunError::LeaseLost)?;
        let mut tx = self.store.write_run(tenant).await?;
        let mut run = tx.lock_rows(&[key.run]).await?.pop().ok_or(RunError::LeaseLost)?;
        let now = self.clock.now();
        let digest = report.digest();
        match held(tx.lease(&key).await?, principal, now) {
            Ok(_) => {}
            Err(Some(lease)) if lease.report == Some(digest) => return Ok(()),
            Err(_) => return Err(RunError::LeaseLost),
        }
        let before = run.run.clone();
        let effects = match report {
            Report::Completed { outputs, files } => {
                let answers = self.answers(&mut tx, &key, &run, files).await?;
                let files = Files { run_id: &run.run_id, answers: &answers };
                let (wanted, effects) = run.run.complete_with(&run.plan, key.n, outputs, &files, now)?;
                if !wanted.is_empty() {
                    return Err(RunError::FilesWanted(wanted));
                }
                effects
            }
            Report::Failed { error, is_retryable } => {
                run.run.complete(&run.plan, key.n, Completed::Failed { error, is_retryable }, now)?
            }
            Report::Released => run.run.release(&run.plan, key.n, now)?,
        };
        tx.report(&key, digest).await?;
        self.keep(&mut tx, &before, &run, &effects, principal).await?;
        self.commit(tx, tenant).await
    }

    /// What a worker says of files, once it is known that it brought what it says.
    async fn answers(
        &self,
        tx: &mut RunTx,
        key: &LeaseKey,
        run: &LockedRun,
        files: Vec<FileReport>,
    ) -> Result<BTreeMap<String, FileAnswer>, RunError> {
        let uploads = if files.is_empty() { Vec::new() } else { tx.uploads(key).await? };
        let mut answers = BTreeMap::new();
        for file in files {
            if !run.run.artifacts.iter().any(|artifact| artifact.is_file && artifact.name == file.name) {
                return Err(RunError::UnknownArtifact(file.name));
            }
            let answer = match file.digest {
                Some(digest) => {
                    let is_it = |upload: &&Upload| upload.name == file.name && upload.digest == digest;
                    let upload = uploads.iter().find(is_it);
                    let upload = upload.ok_or_else(|| RunError::NotUploaded(file.name.clone()))?;
                    FileAnswer::Kept { digest, size: upload.size }
                }
                None => FileAnswer::Missing(file.note.unwrap_or_else(|| "the file is not there".to_owned())),
            };
            answers.insert(file.name, answer);
        }
        Ok(answers)
    }
}

/// The lease, if a principal holds it now; else what there is of it.
fn held(lease: Option<StoredLease>, principal: &str, now: i64) -> Result<StoredLease, Option<StoredLease>> {
    match lease.filter(|lease| lease.principal == principal) {
        Some(lease) if lease.state == LeaseState::Open && lease.expires_at > now => Ok(lease),
        other => Err(other),
    }
}

fn check(claim: &Claim) -> Result<(), RunError> {
    let refuse = |field, message: String| Err(RunError::BadClaim(field, message));
    // Postgres keeps no NUL, and nobody reads the others.
    let is_plain = |text: &str| !text.contains(char::is_control);
    if claim.worker.is_empty() || claim.worker.len() > MAX_WORKER || !is_plain(&claim.worker) {
        return refuse("worker", format!("A worker has a name of 1 to {MAX_WORKER} bytes, none of them a control."));
    }
    if !(1..=MAX_CLAIMED).contains(&claim.max) {
        return refuse("max", format!("1 to {MAX_CLAIMED} steps can be claimed at once."));
    }
    if !LEASE_SECONDS.contains(&claim.lease_seconds) {
        let (least, most) = (LEASE_SECONDS.start(), LEASE_SECONDS.end());
        return refuse("leaseSeconds", format!("A lease holds {least} to {most} seconds."));
    }
    if claim.abilities.asked.len() > MAX_CAPABILITIES {
        return refuse("capabilities", format!("A worker has at most {MAX_CAPABILITIES} capabilities."));
    }
    if !claim.abilities.asked.iter().all(|pattern| is_plain(pattern)) {
        return refuse("capabilities", "A capability has no control characters.".to_owned());
    }
    Ok(())
}

fn check_lines(first: i64, lines: &[Line]) -> Result<(), RunError> {
    if first < 0 {
        return Err(RunError::BadClaim("firstSeq", "Lines are numbered from 0.".to_owned()));
    }
    if lines.len() > MAX_LINES || lines.iter().any(|line| line.text.len() > MAX_LINE) {
        let message = format!("At most {MAX_LINES} lines of {MAX_LINE} bytes each are appended at once.");
        return Err(RunError::BadClaim("lines", message));
    }
    Ok(())
}

/// A report within its bounds. Words of why an attempt failed are cut, since the failure must not be lost.
fn checked(report: Report) -> Result<Report, RunError> {
    match report {
        Report::Completed { outputs, .. } if outputs.to_string().len() > MAX_OUTPUTS => {
            let message = format!("The outputs of a step have at most {MAX_OUTPUTS} bytes.");
            Err(RunError::BadClaim("outputs", message))
        }
        Report::Failed { error, is_retryable } => {
            let end = error.floor_char_boundary(MAX_ERROR);
            Ok(Report::Failed { error: error[..end].to_owned(), is_retryable })
        }
        report => Ok(report),
    }
}

fn grant(run: &LockedRun, n: usize, with: Value, claim: &Claim, now: i64) -> Result<(NewLease, Granted), RunError> {
    let (token, key) = new_token(run.id, n)?;
    let step = &run.run.steps[n];
    let kind = planned(&run.plan, &step.path).kind.clone();
    let quota = run.plan.sandbox.as_ref().and_then(|sandbox| sandbox.quota_seconds);
    let deadline = quota.map_or(i64::MAX, |seconds| now.saturating_add(i64::from(seconds) * 1_000_000));
    let expires_at = now.saturating_add(claim.lease_seconds * 1_000_000).min(deadline);
    let granted = Granted {
        token,
        run_id: run.run_id.clone(),
        step_id: step.id.clone(),
        attempt: step.attempts,
        uses: kind.uses().unwrap_or_default().into_owned(),
        secrets: secrets(&run.plan, &with),
        with,
        sandbox: run.plan.sandbox.clone(),
        files: run.run.files_wanted(&run.plan, n),
        kind,
        expires_at,
        lease_seconds: seconds_until(expires_at, now),
    };
    Ok((NewLease { key, attempt: step.attempts, expires_at, deadline }, granted))
}

/// The secrets that parameters refer to.
fn secrets(plan: &Plan, with: &Value) -> Vec<Secret> {
    fn names<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                if let (1, Some(Value::String(name))) = (members.len(), members.get("secretRef")) {
                    found.insert(name);
                }
                members.values().for_each(|member| names(member, found));
            }
            Value::Array(elements) => elements.iter().for_each(|element| names(element, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    names(with, &mut found);
    plan.secrets.iter().filter(|secret| found.contains(secret.name.as_str())).cloned().collect()
}

fn entry(seq: i64, at: i64, step: &str, lease: &StoredLease, line: &Line) -> LogEntry {
    let (stream, level) = if line.is_stderr { ("stderr", LogLevel::Warn) } else { ("stdout", LogLevel::Info) };
    let metadata = [("attempt", lease.attempt.to_string()), ("stream", stream.to_owned())];
    LogEntry {
        seq,
        at,
        level: line.level.unwrap_or(level),
        event: "step.log".to_owned(),
        message: line.text.clone(),
        step: Some(step.to_owned()),
        metadata: metadata.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
    }
}
