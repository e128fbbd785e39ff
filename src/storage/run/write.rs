//! Writing runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;
use sqlx::FromRow;

use super::import::ImportChange;
use super::{corrupt, due, pack, read_json, read_plan, write_json};
use crate::domain::RULES;
use crate::domain::digest::Digest;
use crate::domain::identity::NaturalKey;
use crate::domain::lineage::{EdgeKind, Field, thing};
use crate::domain::run::{Approval, Effects, Ready, Run, Step};
use crate::domain::taskpack::Plan;
use crate::storage::dialect::Dialect;
use crate::storage::driver::{Tx, json};
use crate::storage::error::StoreError;
use crate::storage::sql;
use crate::storage::turn::{self, Turn};
use crate::storage::write::{LedgerRow, NodeKey, ensure_tenant, index, node_key, read_digest, take_commit};
use crate::storage::{Commit, LineageRow, Store, Topic, Wakes, ids, log_number};

/// A run to be.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// Its name.
    pub run_id: &'a str,
    /// Its plan.
    pub plan: &'a Plan,
    /// The hash of the plan.
    pub plan_hash: &'a str,
    /// The manifest as it was sent.
    pub manifest: &'a str,
    /// The global ids of what it acts on.
    pub subjects: &'a [String],
    /// Who creates it.
    pub created_by: &'a str,
    /// Tells a creation that is repeated.
    pub idempotency_key: Option<&'a str>,
    /// The digest of what was asked for.
    pub request_digest: Digest,
    /// The source that reports it; `None` for a run of this server.
    pub source: Option<&'a str>,
}

/// What became of a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The run is made: its row.
    Made(i64),
    /// The same creation was made before: the name of its run.
    Repeated(String),
    /// The key was used for something else.
    OtherRequest,
    /// There is a run of this name.
    Exists,
}

/// How far the log of a run is: what changes without a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromRow)]
pub struct Live {
    /// How many entries it has.
    pub logged: i64,
    /// How many bytes of lines workers wrote.
    pub line_bytes: i64,
    /// How many bytes are in chunks that are not packed.
    pub open_bytes: i64,
    /// 1 if workers wrote more than is kept.
    pub is_cut: i64,
}

/// A run whose row is locked.
#[derive(Debug, Clone)]
pub struct LockedRun {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub run_id: String,
    /// How far its log is.
    pub live: Live,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// The hash of its plan.
    pub plan_hash: String,
    /// The source that reports it; `None` for a run of this server.
    pub source: Option<String>,
    /// Its state.
    pub run: Run,
}

/// What a command did to a run.
#[derive(Debug, Clone, Copy)]
pub struct RunChange<'a> {
    /// The run's row.
    pub id: i64,
    /// Its name.
    pub run_id: &'a str,
    /// The run that was locked; `None` for one that is new.
    pub before: Option<&'a Run>,
    /// The run as it is now.
    pub after: &'a Run,
    /// Its plan.
    pub plan: &'a Plan,
    /// How far its log was.
    pub live: Live,
    /// The moves and log entries.
    pub effects: &'a Effects,
    /// Who gave the command.
    pub principal: &'a str,
    /// The edges that the run asserts from now on.
    pub edges: &'a [RunEdge],
    /// What reports told, where it happened elsewhere: then nothing here moves it.
    pub import: Option<ImportChange<'a>>,
}

/// What an edge of a run leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunVertex {
    /// A vertex that is there, by its row.
    Row(i64),
    /// What is of the tenant, by its key; made where it is new.
    Key(NaturalKey),
}

/// An edge of the lineage graph that a run asserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEdge {
    /// What it says.
    pub kind: EdgeKind,
    /// Whether the run is the effect: the edge runs from the other vertex to it.
    pub is_effect: bool,
    /// The other vertex.
    pub other: RunVertex,
    /// The field of the run that declares it.
    pub field: Field,
    /// What the field says beside the name.
    pub attribute: Option<String>,
    /// From when it holds, microseconds.
    pub at: i64,
}

/// The source of what is of the tenant.
const OF_TENANT: i64 = 0;

/// A transaction on runs of a tenant.
pub struct RunTx {
    pub(super) tx: Tx,
    wakes: Wakes,
    pub(super) tenant: i64,
    tenant_name: String,
    ids: ids::Ids,
    /// What does the steps that came into the queue.
    pub(super) queued: Vec<String>,
}

#[derive(FromRow)]
struct Row {
    id: i64,
    run_id: String,
    plan_hash: String,
    plan: Vec<u8>,
    source: Option<String>,
    state: String,
}

#[derive(FromRow)]
struct LockedRow {
    run: i64,
    #[sqlx(flatten)]
    live: Live,
}

#[derive(FromRow)]
struct StepState {
    run: i64,
    state: String,
}

#[derive(FromRow)]
struct ApprovalState {
    run: i64,
    approval: String,
    state: String,
}

#[derive(FromRow)]
struct Id(i64);

#[derive(Serialize)]
struct StepRow {
    n: i64,
    state: String,
}

#[derive(Serialize)]
struct QueueRow<'a> {
    n: usize,
    uses: &'a str,
    ready_at: i64,
}

/// An approval whose state ends.
#[derive(Serialize)]
struct Ended<'a> {
    approval: &'a str,
}

impl<'a> Ended<'a> {
    fn of(approval: &'a str) -> Self {
        Self { approval }
    }
}

#[derive(Serialize)]
struct ApprovalRow<'a> {
    approval: &'a str,
    status: i64,
    requested_at: i64,
    state: String,
}

impl Store {
    /// Begins a command on runs, making the tenant if it is new.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn write_run(&self, tenant: &str) -> Result<RunTx, StoreError> {
        // Before it waits for anything, so that others can see that it does.
        self.commands.fetch_add(1, Ordering::Relaxed);
        self.write_reports(tenant).await
    }

    /// Begins a change of runs that nobody waits for, such as what is reported of them, making the tenant if it is
    /// new.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn write_reports(&self, tenant: &str) -> Result<RunTx, StoreError> {
        self.stock_ids(tenant).await?;
        let mut tx = self.pool.begin().await?;
        let tenant_name = tenant.to_owned();
        let tenant = ensure_tenant(&mut tx, tenant).await?;
        let (wakes, ids) = (self.wakes.clone(), self.ids.clone());
        Ok(RunTx { tx, wakes, tenant, tenant_name, ids, queued: Vec::new() })
    }
}

impl RunTx {
    /// Makes a run, without its state: see [`Self::save`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn insert(&mut self, new: &NewRun<'_>, now: i64) -> Result<Creation, StoreError> {
        if let Some(found) = self.repeated(new).await? {
            return Ok(found);
        }
        let id = self.take_ids(1).await?;
        let args = [
            self.tenant.into(),
            id.into(),
            new.run_id.into(),
            new.plan.name.as_str().into(),
            new.plan.version.as_str().into(),
            new.plan_hash.into(),
            pack(write_json(new.plan)?.as_bytes())?.into(),
            pack(new.manifest.as_bytes())?.into(),
            write_json(&new.subjects)?.into(),
            now.into(),
            new.created_by.into(),
            new.idempotency_key.map(ToOwned::to_owned).into(),
            new.request_digest.0.to_vec().into(),
            new.source.map(ToOwned::to_owned).into(),
        ];
        let made: Option<Id> = self.tx.row(&sql::RUN_INSERT, &args).await?;
        match made {
            Some(Id(id)) => {
                self.tx.execute(&sql::RUN_LIVE_INSERT, &[self.tenant.into(), id.into()]).await?;
                Ok(Creation::Made(id))
            }
            // Another call came first, meanwhile.
            None => Ok(self.repeated(new).await?.unwrap_or(Creation::Exists)),
        }
    }

    async fn take_ids(&mut self, count: i64) -> Result<i64, StoreError> {
        ids::take(&mut self.tx, &self.ids, (&self.tenant_name, self.tenant), count).await
    }

    /// Waits for the turn to make vertices of the tenant.
    pub(super) async fn take_turn(&mut self) -> Result<(), StoreError> {
        turn::take(&mut self.tx, self.tenant, Turn::Vertices).await
    }

    async fn repeated(&mut self, new: &NewRun<'_>) -> Result<Option<Creation>, StoreError> {
        #[derive(FromRow)]
        struct Known {
            run_id: String,
            request_digest: Vec<u8>,
        }
        let Some(key) = new.idempotency_key else { return Ok(None) };
        let known: Option<Known> = self.tx.row(&sql::RUN_BY_KEY, &[self.tenant.into(), key.into()]).await?;
        known
            .map(|known| {
                let is_same = read_digest(&known.request_digest)? == new.request_digest;
                Ok(if is_same { Creation::Repeated(known.run_id) } else { Creation::OtherRequest })
            })
            .transpose()
    }

    /// Locks a run and reads its state; `None` if there is none of this name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lock(&mut self, run_id: &str) -> Result<Option<LockedRun>, StoreError> {
        let row: Option<LockedRow> = self.tx.row(&sql::RUN_LOCK, &[self.tenant.into(), run_id.into()]).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(self.load(vec![row]).await?.pop())
    }

    /// Locks runs, by their rows, and reads their states; in the order of the rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lock_rows(&mut self, runs: &[i64]) -> Result<Vec<LockedRun>, StoreError> {
        let rows: Vec<LockedRow> = self.tx.rows(&sql::RUNS_LOCK, &[self.tenant.into(), json(&runs)]).await?;
        self.load(rows).await
    }

    async fn load(&mut self, locked: Vec<LockedRow>) -> Result<Vec<LockedRun>, StoreError> {
        let ids: Vec<i64> = locked.iter().map(|row| row.run).collect();
        let args = [self.tenant.into(), json(&ids)];
        let rows: Vec<Row> = self.tx.rows(&sql::RUNS_OPEN, &args).await?;
        let mut found = BTreeMap::new();
        for row in rows {
            let live = locked.iter().find(|locked| locked.run == row.id).map(|locked| locked.live).unwrap_or_default();
            let mut run: Run = read_json(&row.state)?;
            run.logged = live.logged;
            let plan = Arc::new(read_plan(&row.plan)?);
            let Row { id, run_id, plan_hash, source, .. } = row;
            found.insert(id, LockedRun { id, run_id, live, plan, plan_hash, source, run });
        }
        let steps: Vec<StepState> = self.tx.rows(&sql::RUN_STEPS_OPEN, &args).await?;
        for step in steps {
            let run = found.get_mut(&step.run).ok_or_else(|| corrupt("the state"))?;
            run.run.steps.push(read_json(&step.state)?);
        }
        let approvals: Vec<ApprovalState> = self.tx.rows(&sql::RUN_APPROVALS_OPEN, &args).await?;
        for row in approvals {
            let run = found.get_mut(&row.run).ok_or_else(|| corrupt("the state"))?;
            run.run.approvals.insert(row.approval, read_json(&row.state)?);
        }
        if found.len() == ids.len() { Ok(found.into_values().collect()) } else { Err(corrupt("the state")) }
    }

    /// Writes what a command did, as one commit of the ledger.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn save(&mut self, change: &RunChange<'_>) -> Result<Commit, StoreError> {
        let RunChange { id, run_id, before, after, plan, live, effects, principal, edges, import } = *change;
        let (kind, digest) = match &import {
            Some(import) => ("RUN_IMPORTED", write_json(&(import.imported, &effects.logs))?),
            None if before.is_none() => ("RUN_CREATED", write_json(&(&effects.transitions, &effects.logs))?),
            None => ("RUN_CHANGED", write_json(&(&effects.transitions, &effects.logs))?),
        };
        let entry = LedgerRow {
            kind,
            source_id: None,
            identity: &format!("run/{run_id}"),
            object_id: None,
            content_id: None,
            content_digest: Some(Digest::of_bytes(digest.as_bytes()).hex()),
            previous_id: None,
            previous_digest: None,
            principal,
        };
        // What is reported of a run that ended stays open: packed one by one, its entries were chunks of their own.
        let is_over = before.is_some_and(|before| import.is_none() || before.ended_at.is_none());
        self.append(id, live, &effects.logs, is_over && after.ended_at.is_some()).await?;
        let logged = effects.logs.last().map_or(live.logged, |entry| entry.seq);
        let topic = Topic::Log { tenant: self.tenant, run: id };
        self.tx.moves(topic, log_number(logged, after.status.is_terminal()));
        let edges = self.place_edges(run_id, edges).await?;
        // What is reported has times of its own: the ledger has those of this server.
        let at = import.as_ref().map_or(after.updated_at, |import| import.at);
        let commit = take_commit(&mut self.tx, self.tenant, vec![entry], at).await?;
        if before.is_none() {
            self.tx.execute(&sql::RUN_APPEAR, &[self.tenant.into(), id.into(), commit.seq.into()]).await?;
        }
        self.tx.moves(Topic::Run { tenant: self.tenant, run: id }, commit.seq);
        let listed_at = import.as_ref().map_or(after.created_at, |import| import.listed_at);
        if before.is_some() {
            self.tx.execute(&sql::RUN_STATE_CLOSE, &[self.tenant.into(), id.into(), commit.seq.into()]).await?;
        }
        self.write_state(id, after, listed_at, commit.seq).await?;
        self.write_steps(id, before.map_or(&[], |run| &run.steps), &after.steps, commit.seq).await?;
        self.write_approvals(id, before.map(|run| &run.approvals), &after.approvals, commit.seq).await?;
        self.write_transitions(id, after, effects, commit.seq).await?;
        match &import {
            Some(import) => self.write_import(id, plan, import).await?,
            None => self.write_work(id, before, after, plan).await?,
        }
        if !edges.is_empty() {
            let args = [self.tenant.into(), commit.seq.into(), json(&edges), RULES.into()];
            self.tx.execute(&sql::LINEAGE_INSERT, &args).await?;
        }
        Ok(commit)
    }

    /// Writes what there is to do: for the time, and for workers.
    async fn write_work(&mut self, id: i64, before: Option<&Run>, after: &Run, plan: &Plan) -> Result<(), StoreError> {
        self.write_due(id, before.and_then(due), due(after)).await?;
        let was_ready = before.map(|before| before.ready(plan)).unwrap_or_default();
        self.write_queue(id, &was_ready, &after.ready(plan), after.updated_at).await?;
        if after.is_cancelled {
            self.take_away(id).await?;
        }
        Ok(())
    }

    /// The rows of edges, with the nodes that they lead to.
    async fn place_edges(&mut self, run_id: &str, edges: &[RunEdge]) -> Result<Vec<LineageRow>, StoreError> {
        if edges.is_empty() {
            return Ok(Vec::new());
        }
        let own = thing::named(thing::RUN, run_id);
        let mut keys: Vec<NaturalKey> = vec![own.clone()];
        keys.extend(edges.iter().filter_map(|edge| match &edge.other {
            RunVertex::Key(key) => Some(key.clone()),
            RunVertex::Row(_) => None,
        }));
        keys.sort();
        keys.dedup();
        let nodes = self.nodes(&keys).await?;
        let run = nodes[&own];
        let row = |edge: &RunEdge| {
            let other = match &edge.other {
                RunVertex::Row(row) => *row,
                RunVertex::Key(key) => nodes[key],
            };
            let (src, dst) = if edge.is_effect { (other, run) } else { (run, other) };
            LineageRow {
                src,
                by_dst: i64::from(edge.is_effect),
                kind: edge.kind.code(),
                dst,
                within: 0,
                field: edge.field.code(),
                from_n: edge.at,
                to_n: None,
                attribute: edge.attribute.clone(),
            }
        };
        let mut rows: Vec<LineageRow> = edges.iter().map(row).collect();
        // One field says one thing of two vertices at a time.
        rows.sort_by_key(|row| (row.src, row.by_dst, row.kind, row.dst, row.field));
        rows.dedup_by_key(|row| (row.src, row.by_dst, row.kind, row.dst, row.field));
        Ok(rows)
    }

    /// The nodes of what is of the tenant, made where they are new.
    async fn nodes(&mut self, keys: &[NaturalKey]) -> Result<BTreeMap<NaturalKey, i64>, StoreError> {
        let mut nodes = self.find_nodes(keys).await?;
        if nodes.len() == keys.len() {
            return Ok(nodes);
        }
        self.take_turn().await?;
        if self.tx.dialect() == Dialect::Postgres {
            // Whoever had the turn may have made them meanwhile.
            nodes.extend(self.find_nodes(keys).await?);
        }
        let new: Vec<&NaturalKey> = keys.iter().filter(|key| !nodes.contains_key(*key)).collect();
        if new.is_empty() {
            return Ok(nodes);
        }
        let first = self.take_ids(i64::try_from(new.len()).unwrap_or(i64::MAX)).await?;
        let rows: Vec<NodeKey> = (first..).zip(&new).map(|(id, key)| node_key(0, id, key)).collect();
        self.tx.execute(&sql::NODES_INSERT, &[self.tenant.into(), OF_TENANT.into(), json(&rows)]).await?;
        nodes.extend(new.into_iter().cloned().zip(first..));
        Ok(nodes)
    }

    pub(super) async fn find_nodes(&mut self, keys: &[NaturalKey]) -> Result<BTreeMap<NaturalKey, i64>, StoreError> {
        let asked: Vec<NodeKey> = keys.iter().enumerate().map(|(i, key)| node_key(i, 0, key)).collect();
        let args = [self.tenant.into(), OF_TENANT.into(), json(&asked)];
        let found: Vec<(i64, i64)> = self.tx.rows(&sql::NODES_FIND, &args).await?;
        found.into_iter().map(|(i, id)| Ok((keys[index(i)?].clone(), id))).collect()
    }

    async fn write_state(&mut self, id: i64, run: &Run, listed_at: i64, seq: i64) -> Result<(), StoreError> {
        let args = [
            self.tenant.into(),
            id.into(),
            seq.into(),
            run.status.code().into(),
            listed_at.into(),
            write_json(run)?.into(),
        ];
        self.tx.execute(&sql::RUN_STATE_INSERT, &args).await?;
        Ok(())
    }

    async fn write_steps(&mut self, id: i64, before: &[Step], after: &[Step], seq: i64) -> Result<(), StoreError> {
        let changed = (0_i64..).zip(after).enumerate().filter(|(i, (_, step))| before.get(*i) != Some(*step));
        let row = |(_, (n, step)): (usize, (i64, &Step))| Ok(StepRow { n, state: write_json(step)? });
        let rows: Vec<StepRow> = changed.map(row).collect::<Result<_, StoreError>>()?;
        // A later report of a run elsewhere may have fewer steps.
        let gone = (0_i64..).zip(before).skip(after.len()).map(|(n, _)| n);
        let numbers: Vec<i64> = rows.iter().map(|row| row.n).chain(gone).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let place = [self.tenant.into(), id.into(), seq.into()];
        if !before.is_empty() {
            let args = [&place[..], &[json(&numbers)]].concat();
            self.tx.execute(&sql::RUN_STEPS_CLOSE, &args).await?;
        }
        if !rows.is_empty() {
            self.tx.execute(&sql::RUN_STEPS_INSERT, &[&place[..], &[json(&rows)]].concat()).await?;
        }
        Ok(())
    }

    async fn write_approvals(
        &mut self,
        id: i64,
        before: Option<&BTreeMap<String, Approval>>,
        after: &BTreeMap<String, Approval>,
        seq: i64,
    ) -> Result<(), StoreError> {
        let is_changed = |name: &String, approval: &Approval| before.and_then(|b| b.get(name)) != Some(approval);
        let changed = after.iter().filter(|(name, approval)| is_changed(name, approval));
        let rows: Vec<ApprovalRow> = changed
            .map(|(name, approval)| {
                Ok(ApprovalRow {
                    approval: name,
                    status: approval.status.code(),
                    requested_at: approval.requested_at.unwrap_or(0),
                    state: write_json(approval)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        // A later report of a run elsewhere may have other gates.
        let gone = before.iter().flat_map(|before| before.keys()).filter(|name| !after.contains_key(*name));
        let ended: Vec<Ended> =
            rows.iter().map(|row| row.approval).chain(gone.map(String::as_str)).map(Ended::of).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let place = [self.tenant.into(), id.into(), seq.into()];
        if before.is_some() {
            self.tx.execute(&sql::RUN_APPROVALS_CLOSE, &[&place[..], &[json(&ended)]].concat()).await?;
        }
        if !rows.is_empty() {
            self.tx.execute(&sql::RUN_APPROVALS_INSERT, &[&place[..], &[json(&rows)]].concat()).await?;
        }
        Ok(())
    }

    async fn write_transitions(&mut self, id: i64, run: &Run, effects: &Effects, seq: i64) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row {
            n: i64,
            entry: String,
        }
        let count = i64::try_from(effects.transitions.len()).unwrap_or(i64::MAX);
        let numbered = (run.moved - count..).zip(&effects.transitions);
        let row = |(n, transition)| Ok(Row { n, entry: write_json(transition)? });
        let rows: Vec<Row> = numbered.map(row).collect::<Result<_, StoreError>>()?;
        if !rows.is_empty() {
            let args = [self.tenant.into(), id.into(), seq.into(), json(&rows)];
            self.tx.execute(&sql::RUN_TRANSITIONS_INSERT, &args).await?;
        }
        Ok(())
    }

    /// Puts the steps into the queue that became ready, and takes those out that are not any more.
    async fn write_queue(&mut self, id: i64, before: &[Ready], after: &[Ready], now: i64) -> Result<(), StoreError> {
        let gone: Vec<usize> =
            before.iter().filter(|old| !after.iter().any(|new| new.n == old.n)).map(|old| old.n).collect();
        if !gone.is_empty() {
            self.tx.execute(&sql::QUEUE_DELETE, &[self.tenant.into(), id.into(), json(&gone)]).await?;
        }
        // A time that is over is no other time: since when a step waits stays as it was.
        let is_same = |old: &Ready, new: &Ready| {
            old.n == new.n && old.uses == new.uses && (new.not_before.is_none() || new.not_before == old.not_before)
        };
        let new = after.iter().filter(|new| !before.iter().any(|old| is_same(old, new)));
        let rows: Vec<QueueRow> = new
            .map(|ready| QueueRow { n: ready.n, uses: &ready.uses, ready_at: ready.not_before.unwrap_or(now) })
            .collect();
        if !rows.is_empty() {
            self.tx.execute(&sql::QUEUE_INSERT, &[self.tenant.into(), id.into(), json(&rows)]).await?;
            self.queued.extend(rows.iter().map(|row| row.uses.to_owned()));
        }
        Ok(())
    }

    /// Makes the queue and what the time has to do what they should be for a run as it stands.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn settle(&mut self, locked: &LockedRun) -> Result<(), StoreError> {
        let place = [self.tenant.into(), locked.id.into()];
        let rows: Vec<(i64, String, i64)> = self.tx.rows(&sql::QUEUE_OF_RUN, &place).await?;
        let known = rows.into_iter().map(|(n, uses, at)| Ok(Ready { n: index(n)?, uses, not_before: Some(at) }));
        let known: Vec<Ready> = known.collect::<Result<_, StoreError>>()?;
        let after = locked.run.ready(&locked.plan);
        // Since when one waits stays as it was.
        let kept = |ready: &Ready| match known.iter().find(|known| known.n == ready.n && known.uses == ready.uses) {
            Some(known) => known.clone(),
            None => ready.clone(),
        };
        let after: Vec<Ready> = after.iter().map(kept).collect();
        self.write_queue(locked.id, &known, &after, locked.run.updated_at).await?;
        self.tx.execute(&sql::RUN_DUE_FORGET, &place).await?;
        self.write_due(locked.id, None, due(&locked.run)).await
    }

    async fn write_due(&mut self, id: i64, before: Option<i64>, after: Option<i64>) -> Result<(), StoreError> {
        if before == after {
            return Ok(());
        }
        let args = [self.tenant.into(), id.into()];
        self.tx.execute(&sql::RUN_DUE_FORGET, &args).await?;
        if let Some(at) = after {
            self.tx.execute(&sql::RUN_DUE_INSERT, &[&args[..], &[at.into()]].concat()).await?;
        }
        Ok(())
    }

    /// Makes everything written durable: when this returns, it is on disk. Returns what does the steps that
    /// came into the queue.
    ///
    /// # Errors
    /// If the database fails; nothing was written then.
    pub async fn commit(self) -> Result<Vec<String>, StoreError> {
        let queued = self.queued;
        self.tx.commit_and_tell(&self.wakes).await?;
        Ok(queued)
    }
}
