//! Taking items out of quarantine.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::ingest::{IngestItemResult, IngestMode, writer};
use crate::auth::Scope;
use crate::graphql::context::RequestContext;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::permission::Needs;
use crate::graphql::types::reference::LateView;
use crate::graphql::view::View;
use crate::service::ingest::item::{ItemResult, Outcome};
use crate::service::ingest::prepare::{Terms, prepare};
use crate::service::ingest::writer::Replayed;
use crate::storage::StoredQuarantine;

/// The most items of one call.
const MAX_ITEMS: usize = 100;

/// What became of one item of the quarantine.
#[derive(SimpleObject)]
pub struct ReplayResult {
    /// The item.
    id: ID,
    /// Whether it left the quarantine.
    released: bool,
    /// What became of it; null if there is no such item in quarantine.
    result: Option<IngestItemResult>,
}

/// What became of the items.
#[derive(SimpleObject)]
pub struct ReplayQuarantinePayload {
    /// The result of each item, in the order of the request.
    results: Vec<ReplayResult>,
}

#[derive(Default)]
pub struct QuarantineMutation;

#[Object]
impl QuarantineMutation {
    /// Reads items of the quarantine again and stores those that can be stored now, under the names of
    /// their first senders. Those leave the quarantine; the others stay.
    #[graphql(guard = "Needs(Scope::Ingest)")]
    async fn replay_quarantine(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The items, 100 at most.")] ids: Vec<ID>,
        #[graphql(
            desc = "How strictly contracts are held: what strict mode refused may pass in lenient mode.",
            default_with = "IngestMode::Lenient"
        )]
        mode: IngestMode,
    ) -> Result<ReplayQuarantinePayload, ApiError> {
        let request = RequestContext::of(ctx)?;
        if ids.len() > MAX_ITEMS {
            return Err(ApiError::bad_input(format!("Replay at most {MAX_ITEMS} items in one call.")));
        }
        let keys: Vec<i64> = ids.iter().map(key).collect::<Result<_, _>>()?;
        // Not the view of the request: an earlier mutation of it may have written.
        let view = View::now(&request.store, Arc::clone(&request.tenant), request.largest_page).await?;
        let results = replay(request, &view, &keys, mode).await?;
        let late = LateView::new(&request.store, &request.tenant, request.largest_page);
        let results = ids.into_iter().zip(&keys).map(|(id, key)| {
            let found = results.get(key).cloned();
            let released = found.as_ref().is_some_and(|(_, result)| result.error.is_none());
            ReplayResult { id, released, result: found.map(|(source, r)| IngestItemResult::new(r, &source, &late)) }
        });
        Ok(ReplayQuarantinePayload { results: results.collect() })
    }
}

fn key(id: &ID) -> Result<i64, ApiError> {
    match GlobalId::decode(id)? {
        GlobalId::Quarantined(key) => Ok(key),
        _ => Err(ApiError::bad_input("This is not the id of an item in quarantine.")),
    }
}

/// Replays items, source by source; tells of each its source and what became of it.
async fn replay(
    request: &RequestContext,
    view: &View,
    keys: &[i64],
    mode: IngestMode,
) -> Result<BTreeMap<i64, (String, ItemResult)>, ApiError> {
    let scope = view.scope();
    let binding = &request.principal.ingest_binding;
    let mut by_source: BTreeMap<&str, Vec<StoredQuarantine>> = BTreeMap::new();
    for item in scope.quarantine_by_id(keys).await? {
        let source = scope.source_name(item.source);
        // What the caller may not send it may not touch: to it, there is no such item.
        if binding.allows_source(source) {
            by_source.entry(source).or_default().push(item);
        }
    }
    let mut bytes = scope.quarantine_bytes(keys).await?;
    let mut found = BTreeMap::new();
    for (source, items) in by_source {
        let terms = Terms {
            source: source.to_owned(),
            mode: mode.into(),
            binding: Arc::clone(binding),
            listed_at: None,
            limits: request.item_limits,
        };
        let replayed: Vec<Replayed> = items
            .into_iter()
            .filter_map(|item| {
                let index = keys.iter().position(|key| *key == item.id).and_then(|index| u64::try_from(index).ok())?;
                Some(Replayed {
                    quarantine: item.id,
                    digest: item.digest,
                    item: prepare(&terms, index, None, &bytes.remove(&item.id)?),
                    sender: item.principal,
                })
            })
            .collect();
        let ids: Vec<i64> = replayed.iter().map(|replayed| replayed.quarantine).collect();
        let principal = &request.principal.subject;
        let results = writer(request)?.replay(&request.tenant, source, principal, replayed).await?;
        for (id, mut result) in ids.into_iter().zip(results) {
            // To the writer, bytes that are in quarantine already say nothing new.
            if result.error.is_some() && result.outcome == Outcome::Duplicate {
                result.outcome = Outcome::Quarantined;
            }
            found.insert(id, (source.to_owned(), result));
        }
    }
    Ok(found)
}
