//! Reading: use cases on one tenant as of one commit, so that one answer is one consistent view.

mod body;
mod chain;
mod deployment;
mod diff;
mod export;
mod feed;
mod finding;
mod history;
mod insight;
pub mod lineage;
mod mention;
mod quarantine;
mod record;
mod reference;
mod run;

use std::sync::Arc;

use crate::domain::search::QuestionError;
use crate::storage::{AsOf, Store, StoreError, StoredSource};

pub use body::{Body, bounded, member_text};
pub use chain::{ChainPick, Position, SequenceName};
pub use deployment::{Claimed, Deployment, Intent, MAX_PACKS};
pub use diff::ContentDiff;
pub use finding::{FindingTarget, FindingsAsked};
pub use history::{Event, HistoryEvent, MAX_VERSIONS};
pub use insight::{MAX_BUCKETS, OperationsAsked, SearchAsked};
pub use quarantine::QuarantineAsked;
pub use record::{Identity, RecordsAsked, Which};
pub use reference::{Question, Reference, Relation};
pub use run::{RunDetail, RunEvent, RunsAsked};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tenant has several sources and none was named.
    #[error("the tenant has several sources; name one")]
    AmbiguousSource,
    /// The question is answered only as of the latest commit.
    #[error("{0} is answered as of the latest commit only")]
    NotSupportedAsOf(&'static str),
    /// There is no such commit.
    #[error("there is no commit {0}")]
    NoCommit(i64),
    /// The text is none that can be searched for.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// The ledger has entries of before it named objects by their rows.
    #[error(
        "the ledger has entries of an older version of packtrail, which an export would not have; ingest what was kept elsewhere into a new database"
    )]
    NotExported,
    /// The answer would have more parts than are given, and what to do instead.
    #[error("the answer has more than {0} parts: {1}")]
    TooMany(usize, &'static str),
}

/// One tenant as of one commit of its ledger.
#[derive(Debug, Clone)]
pub struct Scope {
    as_of: AsOf,
    tenant: Arc<str>,
    /// It is the latest commit, and not one that was asked for.
    is_latest: bool,
    /// A commit was asked for by `asOf`.
    is_asked: bool,
}

impl Scope {
    /// The tenant as of its latest commit.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn now(store: &Store, tenant: Arc<str>) -> Result<Self, QueryError> {
        let as_of = store.as_of_now(&tenant).await?;
        Ok(Self { as_of, tenant, is_latest: true, is_asked: false })
    }

    /// The tenant as of one of its commits, because that was asked for; `None` if there is no such commit.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn as_of(store: &Store, tenant: Arc<str>, seq: i64) -> Result<Option<Self>, QueryError> {
        let as_of = store.as_of(&tenant, seq).await?;
        Ok(as_of.map(|as_of| Self { as_of, tenant, is_latest: false, is_asked: true }))
    }

    /// The same tenant as of the commit that a list is read at; `None` if there is no such commit.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pinned(&self, store: &Store, seq: i64) -> Result<Option<Self>, QueryError> {
        let as_of = store.as_of(&self.tenant, seq).await?;
        Ok(as_of.map(|as_of| Self { as_of, tenant: Arc::clone(&self.tenant), is_latest: false, ..*self }))
    }

    /// The tenant as of one of its commits, because what follows it has come so far; `None` if there is no such
    /// commit.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn at(store: &Store, tenant: Arc<str>, seq: i64) -> Result<Option<Self>, QueryError> {
        let as_of = store.as_of(&tenant, seq).await?;
        Ok(as_of.map(|as_of| Self { as_of, tenant, is_latest: false, is_asked: false }))
    }

    /// The last commit that was made at a time or before; 0 where there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn seq_at(store: &Store, tenant: &str, at: i64) -> Result<i64, QueryError> {
        Ok(store.seq_at(tenant, at).await?)
    }

    /// Whether live values, which are kept for no commit but the latest, can be shown.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.is_asked
    }

    /// The tenant's name.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The commit that everything is read as of.
    #[must_use]
    pub fn seq(&self) -> i64 {
        self.as_of.seq()
    }

    /// When that commit was made, microseconds; 0 before the first.
    #[must_use]
    pub fn committed_at(&self) -> i64 {
        self.as_of.committed_at()
    }

    /// Lets through what is answered as of the latest commit only: what is counted and searched is
    /// kept for that one alone.
    ///
    /// # Errors
    /// [`QueryError::NotSupportedAsOf`] in any other scope.
    pub fn needs_latest(&self, question: &'static str) -> Result<(), QueryError> {
        if self.is_latest && !self.is_asked { Ok(()) } else { Err(QueryError::NotSupportedAsOf(question)) }
    }

    /// All sources, by name.
    #[must_use]
    pub fn sources(&self) -> &[StoredSource] {
        self.as_of.sources()
    }

    /// A source by name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&StoredSource> {
        self.sources().iter().find(|source| source.name == name)
    }

    /// The name of a source.
    #[must_use]
    pub fn source_name(&self, id: i64) -> &str {
        self.sources().iter().find(|source| source.id == id).map_or("", |source| &source.name)
    }

    /// The source that a look-up means: the one named, else the only one. `None` if there is none.
    ///
    /// # Errors
    /// [`QueryError::AmbiguousSource`] if none is named and there are several: a guess could show
    /// another cluster's record.
    pub fn pick_source(&self, name: Option<&str>) -> Result<Option<&StoredSource>, QueryError> {
        match (name, self.sources()) {
            (Some(name), _) => Ok(self.source(name)),
            (None, []) => Ok(None),
            (None, [only]) => Ok(Some(only)),
            (None, _) => Err(QueryError::AmbiguousSource),
        }
    }

    /// The row that a filter on a source asks for: `None` for all sources, and a row that is nobody's
    /// for a source that is not there.
    fn filter_source(&self, name: Option<&str>) -> Option<i64> {
        name.map(|name| self.source(name).map_or(-1, |source| source.id))
    }
}
