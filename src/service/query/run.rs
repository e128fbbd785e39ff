//! Runs, as of a commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use super::{Event, MAX_VERSIONS, QueryError, Scope};
use crate::domain::run::import::RunReport;
use crate::domain::run::objective::Measured;
use crate::domain::run::{LogEntry, Waiting};
use crate::domain::taskpack::Plan;
use crate::storage::{
    ApprovalFilter, ApprovalPlace, Page, Rows, RunFilter, RunPlace, StoreError, StoredApproval, StoredRun,
    StoredTransition,
};

/// The most steps that are read at once.
const MAX_STEPS: usize = 50_000;

/// A list of runs.
pub type RunsAsked = RunFilter;

/// A run with all that belongs to it.
#[derive(Debug, Clone)]
pub struct RunDetail {
    /// The run, its steps and approvals filled in.
    pub run: StoredRun,
    /// Its plan.
    pub plan: Arc<Plan>,
    waiting: OnceLock<BTreeMap<usize, Waiting>>,
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    n: i64,
    /// When, microseconds.
    pub at: i64,
    /// What.
    pub event: Event,
    /// The step that moved; `None` for the creation and the end.
    pub transition: Option<StoredTransition>,
}

impl RunEvent {
    /// Its place in the history, in the form of that of records.
    #[must_use]
    pub fn place(&self) -> (i64, bool) {
        (self.n, false)
    }
}

impl RunDetail {
    /// What its pending steps wait for, by their numbers; as of the time at which this is first asked.
    pub fn waiting(&self, now: i64) -> &BTreeMap<usize, Waiting> {
        self.waiting.get_or_init(|| self.run.run.waiting(&self.plan, now).into_iter().collect())
    }
}

impl Scope {
    /// A run by its name, with its steps, approvals and plan.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_detail(&self, run_id: &str) -> Result<Option<RunDetail>, QueryError> {
        let Some(run) = self.as_of.find_run(run_id).await? else { return Ok(None) };
        Ok(self.whole(vec![run]).await?.pop())
    }

    /// Runs by their rows, with their steps, approvals and plans.
    ///
    /// # Errors
    /// If the store fails, or they have more than 50,000 steps together.
    pub async fn run_details(&self, ids: &[i64]) -> Result<Vec<RunDetail>, QueryError> {
        let runs = self.as_of.runs_by_id(ids).await?;
        self.whole(runs.into_values().collect()).await
    }

    async fn whole(&self, runs: Vec<StoredRun>) -> Result<Vec<RunDetail>, QueryError> {
        let ids: Vec<i64> = runs.iter().map(|run| run.id).collect();
        let mut steps = self.as_of.run_steps(&ids, MAX_STEPS + 1).await?;
        if steps.values().map(Vec::len).sum::<usize>() > MAX_STEPS {
            return Err(QueryError::TooMany(MAX_STEPS, "ask for the steps of fewer runs at once"));
        }
        let mut approvals = self.as_of.run_approvals(&ids).await?;
        let plans = self.as_of.run_plans(&ids).await?;
        let whole = |mut run: StoredRun| {
            run.run.steps = steps.remove(&run.id).unwrap_or_default();
            run.run.approvals = approvals.remove(&run.id).unwrap_or_default();
            let plan = plans.get(&run.id).cloned();
            let plan = plan.ok_or_else(|| StoreError::Corrupt("a run has no plan".to_owned()))?;
            Ok(RunDetail { run, plan, waiting: OnceLock::new() })
        };
        runs.into_iter().map(whole).collect()
    }

    /// A run by its name, without its steps and approvals.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_run(&self, run_id: &str) -> Result<Option<StoredRun>, QueryError> {
        Ok(self.as_of.find_run(run_id).await?)
    }

    /// The report of the state of a run elsewhere that holds now; `None` if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_report(&self, run: &StoredRun) -> Result<Option<RunReport>, QueryError> {
        if run.source.is_none() {
            return Ok(None);
        }
        Ok(self.as_of.run_report(run.id).await?)
    }

    /// How the newest runs of a pack did, and the plan of the newest; `None` if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pack_objectives(
        &self,
        pack: &str,
        version: &str,
    ) -> Result<Option<(Arc<Plan>, Measured)>, QueryError> {
        let Some(newest) = self.as_of.newest_run(pack, version).await? else { return Ok(None) };
        let plan = self.as_of.run_plans(&[newest]).await?.remove(&newest);
        let plan = plan.ok_or_else(|| StoreError::Corrupt("a run has no plan".to_owned()))?;
        Ok(Some((plan, self.as_of.measure_pack(pack, version).await?)))
    }

    /// A page of runs, newest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_runs(&self, asked: &RunsAsked, page: &Page<RunPlace>) -> Result<Rows<StoredRun>, QueryError> {
        Ok(self.as_of.list_runs(asked, page).await?)
    }

    /// How many runs there are.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_runs(&self, asked: &RunsAsked) -> Result<i64, QueryError> {
        Ok(self.as_of.count_runs(asked).await?)
    }

    /// Runs by their rows, without their steps and approvals.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn runs_by_id(&self, ids: &[i64]) -> Result<HashMap<i64, StoredRun>, QueryError> {
        Ok(self.as_of.runs_by_id(ids).await?)
    }

    /// The plans of runs, by the run's row.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_plans(&self, ids: &[i64]) -> Result<HashMap<i64, Arc<Plan>>, QueryError> {
        Ok(self.as_of.run_plans(ids).await?)
    }

    /// The manifests of runs, by the run's row.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_manifests(&self, runs: &[i64]) -> Result<HashMap<i64, String>, QueryError> {
        Ok(self.as_of.run_manifests(runs).await?)
    }

    /// A page of the moves of a run's steps, oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_transitions(&self, run: i64, page: &Page<i64>) -> Result<Rows<StoredTransition>, QueryError> {
        Ok(self.as_of.run_transitions(run, page).await?)
    }

    /// What happened to a run, oldest first, at or after `from` and before `to`; `None` if there is none of this
    /// name.
    ///
    /// # Errors
    /// If the store fails, or its steps moved more often than is told at once.
    pub async fn run_history(
        &self,
        run_id: &str,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<Option<Vec<RunEvent>>, QueryError> {
        let Some(run) = self.as_of.find_run(run_id).await? else { return Ok(None) };
        let moved = self.as_of.run_transitions(run.id, &Page::first(MAX_VERSIONS)).await?;
        if moved.more {
            return Err(QueryError::TooMany(MAX_VERSIONS, "page through the transitions of the run"));
        }
        let at = |at: i64, event: Event| RunEvent { n: 0, at, event, transition: None };
        let mut events = vec![at(run.run.created_at, Event::Created)];
        events.extend(moved.rows.into_iter().map(|moved| RunEvent {
            n: 0,
            at: moved.transition.at,
            event: Event::Changed,
            transition: Some(moved),
        }));
        events.extend(run.run.ended_at.map(|ended| at(ended, Event::Closed)));
        let numbered = (0..).zip(events).map(|(n, event)| RunEvent { n, ..event });
        let is_asked = |event: &RunEvent| from.is_none_or(|from| event.at >= from) && to.is_none_or(|to| event.at < to);
        Ok(Some(numbered.filter(is_asked).collect()))
    }

    /// How many entries the log of a run has. Workers append between commits: as of an earlier one, those are
    /// known that its run had when it last changed until then.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_logged(&self, run: &StoredRun) -> Result<i64, QueryError> {
        if self.is_latest { Ok(self.as_of.run_logged(run.id).await?) } else { Ok(run.run.logged) }
    }

    /// A page of a run's log, oldest first; `logged` is how many entries it has, as [`Self::run_logged`] tells. Entries
    /// are numbered from 1 without gaps, so that a page from the end is one from where it begins.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run_log(&self, run: i64, logged: i64, page: &Page<i64>) -> Result<Rows<LogEntry>, QueryError> {
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        let (from, last) = if page.backward {
            let last = page.from.map_or(logged, |before| (before - 1).min(logged));
            ((last - limit + 1).max(1), last)
        } else {
            let from = page.from.map_or(1, |after| after.max(0).saturating_add(1));
            (from, logged.min(from.saturating_add(limit - 1)))
        };
        if limit == 0 || last < from {
            return Ok(Rows { rows: Vec::new(), more: limit == 0 && logged > 0 });
        }
        let rows = self.as_of.run_log(run, from, last, page.limit).await?;
        Ok(Rows { rows, more: if page.backward { from > 1 } else { last < logged } })
    }

    /// A page of approvals, the one that waits longest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_approvals(
        &self,
        filter: &ApprovalFilter,
        page: &Page<ApprovalPlace>,
    ) -> Result<Rows<StoredApproval>, QueryError> {
        Ok(self.as_of.list_approvals(filter, page).await?)
    }

    /// How many approvals there are.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_approvals(&self, filter: &ApprovalFilter) -> Result<i64, QueryError> {
        Ok(self.as_of.count_approvals(filter).await?)
    }
}
