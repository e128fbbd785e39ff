//! Sequences and chains.

use async_graphql::{Context, InputObject, Object};

use crate::auth::Scope;
use crate::graphql::connection::{Connection, List, PageArgs, Total};
use crate::graphql::context::Seat;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::types::chain::RevisionChain;
use crate::graphql::types::enums::ChainStatus;
use crate::graphql::types::sequence::OperationSequence;
use crate::service::query::{ChainPick, SequenceName};
use crate::storage::{Page, SequenceFilter, StoredSequence};

/// What narrows a list of sequences.
#[derive(Debug, Clone, Default, InputObject)]
struct OperationSequenceFilter {
    /// Only of this source.
    source: Option<String>,
    /// Only in this namespace.
    namespace: Option<String>,
    /// Only of the execution with this name.
    name: Option<String>,
    /// Only those with an epoch whose chain is in this state.
    status: Option<ChainStatus>,
}

#[derive(Clone, Default)]
pub struct ChainQuery(pub Seat);

#[Object]
impl ChainQuery {
    /// Sequences of results, by source, namespace and name.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn operation_sequences(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What narrows the list.")] filter: Option<OperationSequenceFilter>,
        #[graphql(desc = "How many, from the start; 20 unless said otherwise, 100 at most.")] first: Option<i32>,
        #[graphql(desc = "The cursor that the page follows.")] after: Option<String>,
        #[graphql(desc = "How many, from the end.")] last: Option<i32>,
        #[graphql(desc = "The cursor that the page precedes.")] before: Option<String>,
    ) -> Result<Connection<OperationSequence>, ApiError> {
        let view = self.0.view(ctx).await?;
        let OperationSequenceFilter { source, namespace, name, status } = filter.unwrap_or_default();
        let filter = SequenceFilter { source: None, namespace, name, status: status.map(Into::into) };
        let listed =
            List::new(&view, "operationSequences", &(&source, &filter.namespace, &filter.name, &filter.status));
        let page: Page<(String, String, String)> = PageArgs::new(first, after, last, before).page(&listed)?;
        let rows = view.scope().list_sequences(source.as_deref(), &filter, page.clone()).await?;
        let scope = view.scope().clone();
        let total = Total::count(move || {
            let (scope, source, filter) = (scope.clone(), source.clone(), filter.clone());
            async move { Ok(scope.count_sequences(source.as_deref(), &filter).await?) }
        });
        let place = |sequence: &StoredSequence| {
            let source = view.scope().source_name(sequence.source).to_owned();
            (source, sequence.namespace.clone(), sequence.name.clone())
        };
        Ok(Connection::new(&listed, &page, rows, total, place, |sequence| OperationSequence::new(&view, sequence)))
    }

    /// The chain of results of an execution, by revision; null if no result of it was ever seen.
    /// Without `epoch` and `epochUid`, that of the newest epoch.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn revision_chain(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The source; may be left out while the tenant has only one.")] source: Option<String>,
        #[graphql(desc = "The namespace of the results.")] namespace: String,
        #[graphql(desc = "The name of the execution.")] pack_execution: String,
        #[graphql(desc = "The rank of the epoch, from 1. It changes when older epochs become known.")] epoch: Option<
            i32,
        >,
        #[graphql(desc = "The identity of the epoch: the uid of its execution where that is known.")] epoch_uid: Option<
            String,
        >,
    ) -> Result<Option<RevisionChain>, ApiError> {
        let pick = match (epoch, epoch_uid) {
            (None, None) => ChainPick::Newest,
            (Some(rank), None) => ChainPick::Rank(rank.into()),
            (None, Some(uid)) => ChainPick::Uid(uid),
            (Some(_), Some(_)) => {
                return Err(ApiError::bad_input("Name the epoch by epoch or by epochUid, not by both."));
            }
        };
        let view = self.0.view(ctx).await?;
        let Some(source) = view.scope().pick_source(source.as_deref())? else { return Ok(None) };
        let sequence = SequenceName { source: source.id, namespace, name: pack_execution };
        RevisionChain::find(&view, sequence, &pick).await
    }
}
