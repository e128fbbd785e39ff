//! References from record to record.

use std::sync::Arc;

use async_graphql::{Context, Object};
use tokio::sync::OnceCell;

use super::record::{Record, Recorded, Shown};
use crate::domain::identity::NaturalKey;
use crate::graphql::breadth::of_record;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::rows::{LateField, PlainField, late, plain};
use crate::graphql::view::{RecordKey, View};
use crate::service::ingest::item::RecordName;
use crate::service::query::{Identity, Reference, Which};
use crate::storage::Store;

/// A view that is opened when something is first read through it: after a write, and only if the
/// client asks for what was written.
pub struct LateView {
    store: Store,
    tenant: Arc<str>,
    largest_page: usize,
    view: OnceCell<View>,
}

impl LateView {
    /// A view of a tenant, as of when it is first used.
    #[must_use]
    pub fn new(store: &Store, tenant: &Arc<str>, largest_page: usize) -> Arc<Self> {
        Arc::new(Self { store: store.clone(), tenant: Arc::clone(tenant), largest_page, view: OnceCell::new() })
    }

    async fn get(&self) -> Result<&View, ApiError> {
        let view = || View::now(&self.store, Arc::clone(&self.tenant), self.largest_page);
        self.view.get_or_try_init(view).await
    }
}

enum Target {
    Resolved(View, Arc<Reference>),
    Written { late: Arc<LateView>, source: String, name: RecordName },
}

/// A reference to a record. Names are reused, so a reference leads to the object that lived when it
/// was made, as far as that is known.
pub struct RecordRef(Target);

impl RecordRef {
    /// A reference that was looked up.
    #[must_use]
    pub fn resolved(view: &View, reference: Arc<Reference>) -> Self {
        Self(Target::Resolved(view.clone(), reference))
    }

    /// A reference to a record that was just written.
    #[must_use]
    pub fn written(late: Arc<LateView>, source: &str, name: RecordName) -> Self {
        Self(Target::Written { late, source: source.to_owned(), name })
    }
}

/// A reference to a record. Names are reused, so a reference leads to the object that lived when it
/// was made, as far as that is known.
#[Object]
impl RecordRef {
    /// The canonical kind.
    async fn kind(&self) -> &str {
        match &self.0 {
            Target::Resolved(_, reference) => &reference.kind,
            Target::Written { name, .. } => &name.kind,
        }
    }

    /// The namespace in which it was found, else the one in which it is looked for first; null for
    /// cluster-scoped objects.
    async fn namespace(&self) -> Option<&str> {
        let namespace = match &self.0 {
            Target::Resolved(_, reference) => &reference.namespace,
            Target::Written { name, .. } => &name.namespace,
        };
        Some(namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// The name.
    async fn name(&self) -> &str {
        match &self.0 {
            Target::Resolved(_, reference) => &reference.name,
            Target::Written { name, .. } => &name.name,
        }
    }

    /// The uid: of the object found, else the one that the reference names.
    async fn uid(&self) -> Option<&str> {
        match &self.0 {
            Target::Resolved(_, reference) => reference.uid.as_deref(),
            Target::Written { name, .. } => name.uid.as_deref(),
        }
    }

    /// The version that the reference names.
    async fn version(&self) -> Option<&str> {
        match &self.0 {
            Target::Resolved(_, reference) => reference.version.as_deref(),
            Target::Written { .. } => None,
        }
    }

    /// The record; null while it was never seen.
    async fn record(&self, ctx: &Context<'_>) -> Result<Option<Shown>, ApiError> {
        match &self.0 {
            Target::Resolved(view, reference) => {
                let Some(row) = reference.target else { return Ok(None) };
                let found = view.load(RecordKey(row, of_record(ctx))).await?;
                Ok(found.map(|record| Shown(Record::of(Recorded::new(view, record)))))
            }
            Target::Written { late, source, name } => Ok(written(late.get().await?, source, name).await?.map(Shown)),
        }
    }
}

impl Listed for RecordRef {
    const NAME: &'static str = "RecordRef";
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[plain![kind, namespace, name, uid, version]];
    const LATE: &'static [LateField<Self>] = late![record];
}

async fn written(view: &View, source: &str, name: &RecordName) -> Result<Option<Record>, ApiError> {
    let Some(source) = view.scope().source(source) else { return Ok(None) };
    let key = NaturalKey {
        kind: name.kind.clone(),
        cluster: name.cluster.clone(),
        namespace: name.namespace.clone(),
        name: name.name.clone(),
    };
    let identity = |which| Identity { source: source.id, key: key.clone(), which };
    let found = match view.load(identity(Which::Uid(name.uid.clone()))).await? {
        // A dump without uid may have become part of its twin.
        None if name.uid.is_none() => view.load(identity(Which::Newest)).await?,
        found => found,
    };
    Ok(found.map(|record| Record::of(Recorded::new(view, record))))
}
