//! The view that every object of an answer holds: a tenant as of one commit, and the loaders that
//! gather what sibling fields ask for into one read.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::Context;
use async_graphql::dataloader::Loader;

use super::context::RequestContext;
use super::error::ApiError;
use super::gather::Gather;
use crate::domain::mention::Named;
use crate::domain::taskpack::Plan;
use crate::service::query::{Body, Identity, Position, Question, Reference, RunDetail, Scope, SequenceName};
use crate::storage::{
    Breadth, ChainRow, FindingState, Page, RevisionPlace, Rows, Store, StoredEpoch, StoredFinding, StoredMention,
    StoredRecord, StoredRun, StoredVersion,
};

/// A tenant as of one commit. Cheap to clone.
#[derive(Clone)]
pub struct View(Arc<Inner>);

struct Inner {
    scope: Scope,
    largest_page: usize,
    load: Gather<Loads>,
}

/// What the loaders read from: one scope, so that their keys need not name it.
pub struct Loads(Scope);

/// A raw object, by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyKey(pub i64);
/// A record, by its row, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKey(pub i64, pub Breadth);
/// A result's place in its sequence, by the result's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PositionKey(pub i64);
/// The epochs of a sequence, by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EpochsKey(pub i64);
/// A version, by its object's row and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionKey(pub i64, pub i64);
/// A page of the versions of an object, by its row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionsKey(pub i64, pub Page<i64>);
/// A page of a chain, by the sequence's row and the identity of the epoch, and how much of its results.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RevisionsKey(pub i64, pub String, pub Page<RevisionPlace>, pub Breadth);
/// A result of a source, by its identity as chains name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentKey(pub i64, pub String);
/// The findings on a subject of a source, those that stand or others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FindingsKey(pub i64, pub String, pub FindingState);
/// A cluster or pack family, by its source's row and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MentionKey(pub i64, pub Named, pub String);
/// A run with its steps, approvals and plan, by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunKey(pub i64);
/// A run without its parts, by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BareRunKey(pub i64);
/// The plan of a run, by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanKey(pub i64);
/// The manifest of a run, by its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ManifestKey(pub i64);
/// The bytes of an item in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QuarantineKey(pub i64);

impl View {
    /// A tenant as of its latest commit, with the largest page of its lists.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn now(store: &Store, tenant: Arc<str>, largest_page: usize) -> Result<Self, ApiError> {
        Ok(Self::over(Scope::now(store, tenant).await?, largest_page))
    }

    /// The tenant of a request as of one of its commits, as `asOf` asks for it; `None` if there is no such
    /// commit.
    ///
    /// # Errors
    /// If the store fails, or nobody is known to be asking.
    pub async fn as_of(ctx: &Context<'_>, seq: i64) -> Result<Option<Self>, ApiError> {
        let request = RequestContext::of(ctx)?;
        let scope = Scope::as_of(&request.store, Arc::clone(&request.tenant), seq).await?;
        Ok(scope.map(|scope| Self::over(scope, request.largest_page)))
    }

    /// The same view at the commit that a cursor names, so that the pages of a list are of one state;
    /// `None` if that is later, or not there.
    ///
    /// # Errors
    /// If the store fails, or nobody is known to be asking.
    pub async fn pinned(&self, ctx: &Context<'_>, seq: i64) -> Result<Option<Self>, ApiError> {
        if seq > self.scope().seq() {
            return Ok(None);
        }
        let scope = self.scope().pinned(&RequestContext::of(ctx)?.store, seq).await?;
        Ok(scope.map(|scope| Self::over(scope, self.largest_page())))
    }

    /// What a scope has, with the largest page of its lists.
    #[must_use]
    pub fn over(scope: Scope, largest_page: usize) -> Self {
        let load = Gather::new(Loads(scope.clone()));
        Self(Arc::new(Inner { scope, largest_page, load }))
    }

    /// What is asked as of the commit.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// The largest page that a list gives: bounds the work and memory of one field.
    #[must_use]
    pub fn largest_page(&self) -> usize {
        self.0.largest_page
    }

    /// Loads one thing together with what its siblings ask for.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn load<K>(&self, key: K) -> Result<Option<<Loads as Loader<K>>::Value>, ApiError>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        Loads: Loader<K, Error = ApiError>,
    {
        self.0.load.load(key).await
    }

    /// The raw object of a content.
    ///
    /// # Errors
    /// If the store fails or has lost it.
    pub async fn body(&self, row: i64) -> Result<Arc<Body>, ApiError> {
        self.load(BodyKey(row)).await?.ok_or_else(|| {
            tracing::error!(row, "a body is missing");
            ApiError::internal()
        })
    }
}

impl Loader<BodyKey> for Loads {
    type Value = Arc<Body>;
    type Error = ApiError;

    async fn load(&self, keys: &[BodyKey]) -> Result<HashMap<BodyKey, Arc<Body>>, ApiError> {
        let rows: Vec<i64> = keys.iter().map(|key| key.0).collect();
        Ok(self.0.bodies(&rows).await?.into_iter().map(|(row, body)| (BodyKey(row), body)).collect())
    }
}

impl Loader<RecordKey> for Loads {
    type Value = Arc<StoredRecord>;
    type Error = ApiError;

    async fn load(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Arc<StoredRecord>>, ApiError> {
        let mut found = HashMap::with_capacity(keys.len());
        for breadth in [Breadth::Full, Breadth::Lean] {
            let rows: Vec<i64> = keys.iter().filter(|key| key.1 == breadth).map(|key| key.0).collect();
            let records = self.0.records_by_object(&rows, breadth).await?;
            found.extend(records.into_iter().map(|record| (RecordKey(record.object, breadth), Arc::new(record))));
        }
        Ok(found)
    }
}

impl Loader<Identity> for Loads {
    type Value = Arc<StoredRecord>;
    type Error = ApiError;

    async fn load(&self, keys: &[Identity]) -> Result<HashMap<Identity, Arc<StoredRecord>>, ApiError> {
        let records = self.0.find_records(keys).await?;
        Ok(keys.iter().cloned().zip(records).filter_map(|(key, record)| Some((key, Arc::new(record?)))).collect())
    }
}

impl Loader<Question> for Loads {
    type Value = Arc<Reference>;
    type Error = ApiError;

    async fn load(&self, keys: &[Question]) -> Result<HashMap<Question, Arc<Reference>>, ApiError> {
        let answers = self.0.resolve(keys).await?;
        Ok(keys.iter().cloned().zip(answers).filter_map(|(key, answer)| Some((key, Arc::new(answer?)))).collect())
    }
}

impl Loader<PositionKey> for Loads {
    type Value = Arc<Position>;
    type Error = ApiError;

    async fn load(&self, keys: &[PositionKey]) -> Result<HashMap<PositionKey, Arc<Position>>, ApiError> {
        let rows: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let positions = self.0.positions(&rows).await?;
        Ok(positions.into_iter().map(|(row, position)| (PositionKey(row), Arc::new(position))).collect())
    }
}

impl Loader<EpochsKey> for Loads {
    type Value = Arc<[StoredEpoch]>;
    type Error = ApiError;

    async fn load(&self, keys: &[EpochsKey]) -> Result<HashMap<EpochsKey, Arc<[StoredEpoch]>>, ApiError> {
        let rows: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let epochs = self.0.list_epochs(&rows).await?;
        Ok(epochs.into_iter().map(|(row, epochs)| (EpochsKey(row), epochs.into())).collect())
    }
}

impl Loader<SequenceName> for Loads {
    type Value = Arc<[StoredEpoch]>;
    type Error = ApiError;

    async fn load(&self, keys: &[SequenceName]) -> Result<HashMap<SequenceName, Arc<[StoredEpoch]>>, ApiError> {
        let epochs = self.0.find_epochs(keys).await?;
        Ok(keys.iter().cloned().zip(epochs).map(|(key, epochs)| (key, epochs.into())).collect())
    }
}

impl Loader<IdentKey> for Loads {
    type Value = Arc<StoredRecord>;
    type Error = ApiError;

    async fn load(&self, keys: &[IdentKey]) -> Result<HashMap<IdentKey, Arc<StoredRecord>>, ApiError> {
        let asked: Vec<(i64, &str)> = keys.iter().map(|key| (key.0, key.1.as_str())).collect();
        let found = self.0.results_by_ident(&asked).await?;
        let found = keys.iter().cloned().zip(found);
        Ok(found.filter_map(|(key, record)| Some((key, Arc::new(record?)))).collect())
    }
}

impl Loader<VersionKey> for Loads {
    type Value = Arc<StoredVersion>;
    type Error = ApiError;

    async fn load(&self, keys: &[VersionKey]) -> Result<HashMap<VersionKey, Arc<StoredVersion>>, ApiError> {
        let asked: Vec<(i64, i64)> = keys.iter().map(|key| (key.0, key.1)).collect();
        let found = self.0.versions_by_n(&asked).await?.into_iter();
        Ok(found.map(|version| (VersionKey(version.object, version.content.n), Arc::new(version))).collect())
    }
}

impl Loader<VersionsKey> for Loads {
    type Value = Rows<StoredVersion>;
    type Error = ApiError;

    async fn load(&self, keys: &[VersionsKey]) -> Result<HashMap<VersionsKey, Rows<StoredVersion>>, ApiError> {
        let asked: Vec<(i64, Page<i64>)> = keys.iter().map(|key| (key.0, key.1.clone())).collect();
        Ok(keys.iter().cloned().zip(self.0.list_versions(&asked).await?).collect())
    }
}

impl Loader<RevisionsKey> for Loads {
    type Value = Rows<ChainRow>;
    type Error = ApiError;

    async fn load(&self, keys: &[RevisionsKey]) -> Result<HashMap<RevisionsKey, Rows<ChainRow>>, ApiError> {
        let mut found = HashMap::with_capacity(keys.len());
        for breadth in [Breadth::Full, Breadth::Lean] {
            let keys = keys.iter().filter(|key| key.3 == breadth);
            let asked: Vec<(i64, String, Page<RevisionPlace>)> =
                keys.clone().map(|key| (key.0, key.1.clone(), key.2.clone())).collect();
            found.extend(keys.cloned().zip(self.0.list_revisions(&asked, breadth).await?));
        }
        Ok(found)
    }
}

impl Loader<FindingsKey> for Loads {
    type Value = Arc<[StoredFinding]>;
    type Error = ApiError;

    async fn load(&self, keys: &[FindingsKey]) -> Result<HashMap<FindingsKey, Arc<[StoredFinding]>>, ApiError> {
        let mut found: HashMap<FindingsKey, Vec<StoredFinding>> = HashMap::new();
        for state in [FindingState::Open, FindingState::Cleared, FindingState::All] {
            let mut subjects: Vec<&str> = keys.iter().filter(|key| key.2 == state).map(|key| key.1.as_str()).collect();
            subjects.sort_unstable();
            subjects.dedup();
            for finding in self.0.findings_by_subject(&subjects, state).await? {
                let key = FindingsKey(finding.source, finding.subject.clone(), state);
                found.entry(key).or_default().push(finding);
            }
        }
        Ok(found.into_iter().map(|(key, findings)| (key, findings.into())).collect())
    }
}

impl Loader<MentionKey> for Loads {
    type Value = StoredMention;
    type Error = ApiError;

    async fn load(&self, keys: &[MentionKey]) -> Result<HashMap<MentionKey, StoredMention>, ApiError> {
        let asked: Vec<(i64, Named, String)> = keys.iter().map(|key| (key.0, key.1, key.2.clone())).collect();
        let found = self.0.find_mentions(&asked).await?;
        Ok(keys.iter().cloned().zip(found).filter_map(|(key, mention)| Some((key, mention?))).collect())
    }
}

impl Loader<RunKey> for Loads {
    type Value = Arc<RunDetail>;
    type Error = ApiError;

    async fn load(&self, keys: &[RunKey]) -> Result<HashMap<RunKey, Arc<RunDetail>>, ApiError> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let found = self.0.run_details(&ids).await?;
        Ok(found.into_iter().map(|detail| (RunKey(detail.run.id), Arc::new(detail))).collect())
    }
}

impl Loader<BareRunKey> for Loads {
    type Value = Arc<StoredRun>;
    type Error = ApiError;

    async fn load(&self, keys: &[BareRunKey]) -> Result<HashMap<BareRunKey, Arc<StoredRun>>, ApiError> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let found = self.0.runs_by_id(&ids).await?;
        Ok(found.into_iter().map(|(id, run)| (BareRunKey(id), Arc::new(run))).collect())
    }
}

impl Loader<PlanKey> for Loads {
    type Value = Arc<Plan>;
    type Error = ApiError;

    async fn load(&self, keys: &[PlanKey]) -> Result<HashMap<PlanKey, Arc<Plan>>, ApiError> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let found = self.0.run_plans(&ids).await?;
        Ok(found.into_iter().map(|(id, plan)| (PlanKey(id), plan)).collect())
    }
}

impl Loader<ManifestKey> for Loads {
    type Value = Arc<str>;
    type Error = ApiError;

    async fn load(&self, keys: &[ManifestKey]) -> Result<HashMap<ManifestKey, Arc<str>>, ApiError> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let found = self.0.run_manifests(&ids).await?;
        Ok(found.into_iter().map(|(id, text)| (ManifestKey(id), text.into())).collect())
    }
}

impl Loader<QuarantineKey> for Loads {
    type Value = Arc<str>;
    type Error = ApiError;

    async fn load(&self, keys: &[QuarantineKey]) -> Result<HashMap<QuarantineKey, Arc<str>>, ApiError> {
        let ids: Vec<i64> = keys.iter().map(|key| key.0).collect();
        let bytes = self.0.quarantine_bytes(&ids).await?;
        let text = |bytes: Vec<u8>| Arc::from(String::from_utf8_lossy(&bytes));
        Ok(bytes.into_iter().map(|(id, bytes)| (QuarantineKey(id), text(bytes))).collect())
    }
}
