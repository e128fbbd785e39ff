//! Reports of runs that happened elsewhere, written down.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{edge, new_edges};
use crate::domain::digest::Digest;
use crate::domain::lineage::{EdgeKind, Field, thing};
use crate::domain::run::import::{
    Entry, ImportItem, Imported, Known, MAX_KEPT, MAX_KNOWN_STEPS, grown, moves, new_entries, run_of,
};
use crate::domain::run::{Effects, LogEntry, Run};
use crate::domain::taskpack::Plan;
use crate::storage::{
    Creation, FoundImport, ImportChange, LockedImport, NewRun, RunChange, RunEdge, RunTx, Store, StoreError,
};

/// The most that the plan of a run elsewhere can be, in bytes of JSON.
const MAX_PLAN: usize = 4 * MAX_KEPT;

/// An item of a report, with who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Reported<'a> {
    /// Who sent it.
    pub principal: &'a str,
    /// The item.
    pub item: &'a ImportItem,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It is the first that is known of a run; the commit that has it.
    Created(i64),
    /// It changed what is known of a run; the commit that has it.
    Updated(i64),
    /// It says nothing new.
    Duplicate,
    /// A run of this server has that name.
    Exists,
    /// Another source reports the run.
    OfOtherSource,
    /// The run would have more steps, or more of it would be kept, than there is room for.
    TooLarge,
    /// The run could not be written; the cause is in the log.
    Failed,
}

/// The items of one sender about one run, by their places.
struct Group<'a> {
    principal: &'a str,
    run_id: &'a str,
    places: Vec<usize>,
}

/// Writes items that one source reports, in their order, and tells what became of each. A run that cannot be
/// written does not keep the others from it.
///
/// # Errors
/// If the database is away: what was written then is not known. Items can be sent again.
pub async fn write(
    store: &Store,
    tenant: &str,
    source: &str,
    reported: &[Reported<'_>],
    now: i64,
) -> Result<Vec<Told>, StoreError> {
    let groups = grouped(reported);
    match write_groups(store, tenant, source, reported, &groups, now).await {
        Ok(told) => return Ok(told),
        Err(error) if error.is_unavailable() => return Err(error),
        Err(error) => tracing::warn!(%error, "reports could not be written; their runs are written one by one"),
    }
    let mut told = vec![Told::Failed; reported.len()];
    for group in groups {
        match write_groups(store, tenant, source, reported, std::slice::from_ref(&group), now).await {
            Ok(alone) => group.places.iter().for_each(|place| told[*place] = alone[*place]),
            Err(error) if error.is_unavailable() => return Err(error),
            Err(error) => tracing::error!(%error, tenant, run = group.run_id, "a report could not be written"),
        }
    }
    Ok(told)
}

fn grouped<'a>(reported: &[Reported<'a>]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<(&str, &str), usize> = HashMap::new();
    for (place, Reported { principal, item }) in reported.iter().enumerate() {
        let run_id = item.run_id();
        let group = *known.entry((principal, run_id)).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Group { principal, run_id, places: Vec::new() });
        }
        groups[group].places.push(place);
    }
    groups
}

/// Writes groups in one transaction. What is of none of them is a duplicate.
async fn write_groups(
    store: &Store,
    tenant: &str,
    source: &str,
    reported: &[Reported<'_>],
    groups: &[Group<'_>],
    now: i64,
) -> Result<Vec<Told>, StoreError> {
    let mut told = vec![Told::Duplicate; reported.len()];
    let mut tx = store.write_reports(tenant).await?;
    for group in groups {
        let items: Vec<&ImportItem> = group.places.iter().map(|place| reported[*place].item).collect();
        let of_group = write_group(&mut tx, source, group, &items, now).await?;
        group.places.iter().zip(of_group).for_each(|(place, one)| told[*place] = one);
    }
    tx.commit().await?;
    Ok(told)
}

async fn write_group(
    tx: &mut RunTx,
    source: &str,
    group: &Group<'_>,
    items: &[&ImportItem],
    now: i64,
) -> Result<Vec<Told>, StoreError> {
    let known = match tx.lock_import(group.run_id).await? {
        Some(FoundImport::Own) => return Ok(vec![Told::Exists; items.len()]),
        Some(FoundImport::Import(known)) if known.locked.source.as_deref() != Some(source) => {
            return Ok(vec![Told::OfOtherSource; items.len()]);
        }
        Some(FoundImport::Import(known)) => Some(known),
        None => None,
    };
    let mut merge = Merge::new(known.as_deref());
    if let Some(known) = &known {
        merge.lines = tx.known_lines(known.locked.id, &digests(items)).await?;
    }
    let mut told: Vec<Told> = items.iter().map(|item| merge.add(item, now)).collect();
    if told.contains(&Told::Updated(0)) {
        match save(tx, source, group, known.as_deref(), merge, now).await? {
            Some(seq) => commit_of(&mut told, known.is_none(), seq),
            None => return Ok(vec![Told::Exists; items.len()]),
        }
    }
    Ok(told)
}

fn size_of(plan: &Plan) -> usize {
    serde_json::to_vec(plan).map_or(usize::MAX / 2, |json| json.len())
}

/// Names the commit of what changed; the first change of a run that is new made it.
fn commit_of(told: &mut [Told], is_new: bool, seq: i64) {
    let mut changed = told.iter_mut().filter(|told| matches!(told, Told::Updated(_)));
    if let Some(first) = changed.next() {
        *first = if is_new { Told::Created(seq) } else { Told::Updated(seq) };
    }
    changed.for_each(|told| *told = Told::Updated(seq));
}

/// The digests of all entries of logs, each once.
fn digests(items: &[&ImportItem]) -> Vec<[u8; 32]> {
    let entries = items.iter().flat_map(|item| match item {
        ImportItem::Log { entries, .. } => entries.as_slice(),
        _ => &[],
    });
    let digests: HashSet<[u8; 32]> = entries.map(Entry::digest).collect();
    digests.into_iter().collect()
}

/// What is known of a run while items are added to it.
struct Merge {
    imported: Imported,
    since: i64,
    /// How much is kept of its reports, in bytes of JSON: never less than it is.
    kept: usize,
    /// How much its plan is, likewise.
    planned: usize,
    /// The ids of steps that its plan has, or may have after this.
    steps: HashSet<String>,
    /// How often its log has entries, as far as these items have them.
    lines: HashMap<[u8; 32], u32>,
    /// The same, where it changed.
    noted: BTreeMap<[u8; 32], u32>,
    logs: Vec<LogEntry>,
    logged: i64,
}

impl Merge {
    fn new(known: Option<&LockedImport>) -> Self {
        let imported = known.map(|known| known.imported.clone()).unwrap_or_default();
        let steps = known.map(|known| known.locked.plan.steps.iter().map(|step| step.id.clone()).collect());
        Self {
            kept: imported.size(),
            planned: known.map_or(0, |known| size_of(&known.locked.plan)),
            imported,
            since: known.map_or(i64::MAX, |known| known.since),
            steps: steps.unwrap_or_default(),
            lines: HashMap::new(),
            noted: BTreeMap::new(),
            logs: Vec::new(),
            logged: known.map_or(0, |known| known.locked.live.logged),
        }
    }

    /// Adds an item, and tells whether it changed anything; of which commit is told later.
    fn add(&mut self, item: &ImportItem, now: i64) -> Told {
        let is_changed = match item {
            ImportItem::Log { entries, .. } => self.append(entries),
            _ if !self.has_room(item) => return Told::TooLarge,
            _ => self.imported.add(item.clone()),
        };
        // Where nothing tells a time, that of the server stands for it.
        let since = item.since().unwrap_or(now);
        let is_earlier = since < self.since && (self.imported.state.is_none() || self.since == i64::MAX);
        if is_earlier {
            self.since = since;
        }
        if is_changed || is_earlier { Told::Updated(0) } else { Told::Duplicate }
    }

    fn append(&mut self, entries: &[Entry]) -> bool {
        let new = new_entries(&self.lines, entries);
        for (place, digest, times) in &new {
            self.lines.insert(*digest, *times);
            self.noted.insert(*digest, *times);
            self.logged += 1;
            self.logs.push(entries[*place].numbered(self.logged));
        }
        !new.is_empty()
    }

    /// Whether there is room for an item; if so, it is counted.
    fn has_room(&mut self, item: &ImportItem) -> bool {
        let size = item.size();
        if let ImportItem::Run(report) = item {
            let new = report.steps.iter().filter(|step| !self.steps.contains(&step.step_id)).count();
            // A plan names a step twice, and has less of it than a report else. It grows by the last report alone.
            if self.steps.len() + new > MAX_KNOWN_STEPS || self.planned + 2 * size > MAX_PLAN {
                return false;
            }
            self.steps.extend(report.steps.iter().map(|step| step.step_id.clone()));
        }
        self.kept += size;
        if self.kept > MAX_KEPT {
            // What was replaced was counted too.
            let mut grown = self.imported.clone();
            grown.add(item.clone());
            self.kept = grown.size();
            if self.kept > MAX_KEPT {
                self.kept = self.imported.size();
                return false;
            }
        }
        true
    }
}

/// Writes what is known of a run now; `None` if a run of this server came first.
async fn save(
    tx: &mut RunTx,
    source: &str,
    group: &Group<'_>,
    known: Option<&LockedImport>,
    merge: Merge,
    now: i64,
) -> Result<Option<i64>, StoreError> {
    let report = merge.imported.state.as_ref();
    let before = known.map(|known| &known.locked.run);
    let moved = before.map_or(0, |run| run.moved);
    let mut run = run_of(&merge.imported, &Known { since: merge.since, logged: merge.logged, moved });
    let plan = grown(known.map(|known| known.locked.plan.as_ref()), report, &mut run);
    let plan_hash = report.map_or("", |report| report.plan_hash.as_str());
    let transitions = moves(before, &run);
    run.moved += i64::try_from(transitions.len()).unwrap_or(i64::MAX);
    let (id, listed_at) = match known {
        Some(known) => (known.locked.id, known.listed_at),
        None => match insert(tx, source, group, &plan, plan_hash, merge.since).await? {
            Some(id) => (id, merge.since),
            None => return Ok(None),
        },
    };
    let is_same = |known: &LockedImport| known.locked.plan_hash == plan_hash && *known.locked.plan == plan;
    let change = RunChange {
        id,
        run_id: group.run_id,
        before,
        after: &run,
        plan: &plan,
        live: known.map(|known| known.locked.live).unwrap_or_default(),
        effects: &Effects { transitions, logs: merge.logs },
        principal: group.principal,
        edges: &edges(group, before, &run, listed_at),
        import: Some(ImportChange {
            at: now,
            listed_at,
            since: merge.since,
            imported: &merge.imported,
            is_replanned: known.is_some_and(|known| !is_same(known)),
        }),
    };
    let commit = tx.save(&change).await?;
    tx.note_lines(id, &merge.noted).await?;
    Ok(Some(commit.seq))
}

async fn insert(
    tx: &mut RunTx,
    source: &str,
    group: &Group<'_>,
    plan: &Plan,
    plan_hash: &str,
    listed_at: i64,
) -> Result<Option<i64>, StoreError> {
    let new = NewRun {
        run_id: group.run_id,
        plan,
        plan_hash,
        manifest: "",
        subjects: &[],
        created_by: group.principal,
        idempotency_key: None,
        request_digest: Digest::of_bytes(b""),
        source: Some(source),
    };
    match tx.insert(&new, listed_at).await? {
        Creation::Made(id) => Ok(Some(id)),
        _ => Ok(None),
    }
}

/// The edges that reports added. Who reported a run first stands for who created it, which nobody told.
fn edges(group: &Group<'_>, before: Option<&Run>, after: &Run, at: i64) -> Vec<RunEdge> {
    let mut edges = new_edges(group.run_id, before, after);
    if before.is_none() {
        let sender = thing::named(thing::PRINCIPAL, group.principal);
        edges.push(edge(EdgeKind::DeclaredBy, sender, Field::RunCreator, None, at));
    }
    edges
}
