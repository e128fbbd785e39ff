//! Comparisons.

use async_graphql::{Context, ID, Object};

use crate::auth::Scope;
use crate::domain::identity::NaturalKey;
use crate::domain::kind;
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::permission::Needs;
use crate::graphql::scalar::Int53;
use crate::graphql::types::diff::{RevisionDiff, VersionDiff};
use crate::graphql::types::record::Recorded;
use crate::graphql::view::{VersionKey, View};
use crate::service::query::{Identity, Which};

#[derive(Clone, Default)]
pub struct DiffQuery(pub Seat);

#[Object]
impl DiffQuery {
    /// What differs between two results, of whatever chains or clusters; null if one of them is not there.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn revision_diff(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the first result.")] from: ID,
        #[graphql(desc = "The id of the second result.")] to: ID,
    ) -> Result<Option<RevisionDiff>, ApiError> {
        let view = self.0.view(ctx).await?;
        let (from, to) = tokio::try_join!(result(&view, &from), result(&view, &to))?;
        match from.zip(to) {
            Some((from, to)) => RevisionDiff::of(from, to).await.map(Some),
            None => Ok(None),
        }
    }

    /// What differs between two versions of a record; null if the record or one of them is not there.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn version_diff(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the record.")] record: ID,
        #[graphql(desc = "The number of the first version, from 1.")] from: Int53,
        #[graphql(desc = "The number of the second version, from 1.")] to: Int53,
    ) -> Result<Option<VersionDiff>, ApiError> {
        let view = self.0.view(ctx).await?;
        let Some(record) = find(&view, &record).await? else { return Ok(None) };
        let version = |number: Int53| view.load(VersionKey(record.record.object, number.0 - 1));
        let (from, to) = tokio::try_join!(version(from), version(to))?;
        match from.zip(to) {
            Some((from, to)) => VersionDiff::of(record, (*from).clone(), (*to).clone()).await.map(Some),
            None => Ok(None),
        }
    }
}

async fn find(view: &View, id: &ID) -> Result<Option<Recorded>, ApiError> {
    let GlobalId::Record(source, kind, cluster, namespace, name, uid) = GlobalId::decode(id)? else {
        return Err(ApiError::bad_input("This is not the id of a record."));
    };
    let Some(source) = view.scope().source(&source) else { return Ok(None) };
    let key = NaturalKey { kind, cluster, namespace, name };
    let found = view.load(Identity { source: source.id, key, which: Which::Uid(uid) }).await?;
    Ok(found.map(|record| Recorded::new(view, record)))
}

async fn result(view: &View, id: &ID) -> Result<Option<Recorded>, ApiError> {
    if !matches!(GlobalId::decode(id)?, GlobalId::Record(_, kind, ..) if kind == kind::RESULT) {
        return Err(ApiError::bad_input("This is not the id of a result."));
    }
    find(view, id).await
}
