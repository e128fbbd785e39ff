//! Sending records.

use std::sync::Arc;

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};

use crate::auth::{IngestBinding, Scope, valid_tenant};
use crate::graphql::context::RequestContext;
use crate::graphql::error::ApiError;
use crate::graphql::permission::Needs;
use crate::graphql::raw::{RawError, RawVariables};
use crate::graphql::scalar::{DateTime, Int53, Json};
use crate::graphql::types::common::RecordWarning;
use crate::graphql::types::reference::{LateView, RecordRef};
use crate::service::ingest::item::{ItemResult, Mode, Outcome, Refusal};
use crate::service::ingest::prepare::{Terms, prepare};
use crate::service::ingest::snapshot::SnapshotScope;
use crate::service::ingest::stream::Summary;
use crate::service::ingest::writer::Writer;

/// The most items of one call: they are answered together. More go through the streaming endpoint.
const MAX_ITEMS: usize = 1_000;
/// The source of items that name none.
const DEFAULT_SOURCE: &str = "default";

/// How strictly items are held to their contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Mode")]
pub enum IngestMode {
    /// A breach of the contract is kept as a warning.
    Lenient,
    /// A breach of the contract sends the item to quarantine.
    Strict,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Outcome")]
pub enum IngestOutcome {
    /// The first that was seen of this object.
    Created,
    /// It changed what is known of an object.
    Updated,
    /// It says nothing new.
    Duplicate,
    /// It closed an object.
    Closed,
    /// It contradicts what was sealed; both are kept.
    Conflict,
    /// It cannot be stored as a record, and is kept raw.
    Quarantined,
    /// It was not kept.
    Rejected,
}

/// What the items are a complete listing of: what it omits is closed.
#[derive(Debug, Clone, InputObject)]
struct SnapshotScopeInput {
    /// Canonical kinds; one at least.
    kinds: Vec<String>,
    /// Namespaces; empty for all.
    namespaces: Vec<String>,
    /// When the listing was taken.
    at: DateTime,
}

/// Records to store.
#[derive(InputObject)]
struct IngestInput {
    /// Objects, or watch events `{type, observedAt, object}` around them; 1,000 at most. Pass them by a
    /// variable: in the document, numbers and repeated keys do not survive.
    items: Vec<Json>,
    /// How strictly contracts are held.
    #[graphql(default_with = "IngestMode::Lenient")]
    mode: IngestMode,
    /// The source of the records; `default` unless said otherwise.
    source: Option<String>,
    /// What the items are a complete listing of.
    snapshot: Option<SnapshotScopeInput>,
}

/// Why an item was refused.
#[derive(Debug, Clone, SimpleObject)]
pub struct IngestError {
    /// A stable code.
    code: String,
    /// Where in the item, as a JSON path.
    path: String,
    /// The line of the item, from 1, where it is known.
    line: Option<Int53>,
    /// Why.
    message: String,
}

/// What became of one item.
#[derive(SimpleObject)]
pub struct IngestItemResult {
    /// The place of the item in the request, from 0.
    index: Int53,
    /// What became of it.
    outcome: IngestOutcome,
    /// The record that it is of.
    record: Option<RecordRef>,
    /// The commit of the ledger that holds it; null where it changed nothing.
    seq: Option<Int53>,
    /// What its sender should know.
    warnings: Vec<RecordWarning>,
    /// Why it was refused.
    error: Option<IngestError>,
}

/// How many items became what.
#[derive(Debug, Clone, Copy, SimpleObject)]
pub struct IngestSummary {
    /// All items.
    items: Int53,
    /// Those that were the first of their object.
    created: Int53,
    /// Those that changed what is known of an object.
    updated: Int53,
    /// Those that said nothing new.
    duplicate: Int53,
    /// Those that closed an object.
    closed: Int53,
    /// Those that contradict what was sealed.
    conflict: Int53,
    /// Those in quarantine.
    quarantined: Int53,
    /// Those that were not kept.
    rejected: Int53,
    /// Objects that the complete listing omitted and that were closed for it.
    closed_by_snapshot: Int53,
    /// The last commit that was made; null where nothing changed.
    seq: Option<Int53>,
}

/// What became of the items. What it acknowledges is on disk.
#[derive(SimpleObject)]
pub struct IngestPayload {
    /// The result of each item, in the order of the request.
    results: Vec<IngestItemResult>,
    /// How many became what.
    summary: IngestSummary,
}

impl From<Summary> for IngestSummary {
    fn from(summary: Summary) -> Self {
        let count = |count: u64| Int53(i64::try_from(count).unwrap_or(i64::MAX));
        Self {
            items: count(summary.items),
            created: count(summary.created),
            updated: count(summary.updated),
            duplicate: count(summary.duplicate),
            closed: count(summary.closed),
            conflict: count(summary.conflict),
            quarantined: count(summary.quarantined),
            rejected: count(summary.rejected),
            closed_by_snapshot: count(summary.closed_by_snapshot),
            seq: summary.seq.map(Int53),
        }
    }
}

impl From<Refusal> for IngestError {
    fn from(refusal: Refusal) -> Self {
        let line = refusal.line.and_then(|line| i64::try_from(line).ok()).map(Int53);
        Self { code: refusal.code, path: refusal.path, line, message: refusal.message }
    }
}

impl IngestItemResult {
    /// The result as clients see it; its record is read after the write, if a client asks for it.
    #[must_use]
    pub fn new(result: ItemResult, source: &str, late: &Arc<LateView>) -> Self {
        let warnings = result.warnings.into_iter();
        Self {
            index: Int53(i64::try_from(result.index).unwrap_or(i64::MAX)),
            outcome: result.outcome.into(),
            record: result.record.map(|name| RecordRef::written(Arc::clone(late), source, name)),
            seq: result.seq.map(Int53),
            warnings: warnings.map(|w| RecordWarning { code: w.code, path: w.path, message: w.message }).collect(),
            error: result.error.map(Into::into),
        }
    }
}

/// The writer of a request.
///
/// # Errors
/// On a server that only reads.
pub fn writer(request: &RequestContext) -> Result<&Writer, ApiError> {
    request.writer.as_ref().ok_or_else(ApiError::unavailable)
}

#[derive(Default)]
pub struct IngestMutation;

#[Object]
impl IngestMutation {
    /// Stores records. One bad item never loses its neighbours: each has a result of its own.
    #[graphql(guard = "Needs(Scope::Ingest)")]
    async fn ingest(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The records.")] input: IngestInput,
    ) -> Result<IngestPayload, ApiError> {
        let request = RequestContext::of(ctx)?;
        let binding = &request.principal.ingest_binding;
        if input.items.len() > MAX_ITEMS {
            return Err(ApiError::bad_input(format!("Send at most {MAX_ITEMS} items in one call.")));
        }
        let source = source(binding, input.source)?;
        let snapshot = input.snapshot.map(|snapshot| snapshot_scope(binding, snapshot)).transpose()?;
        let terms = Terms {
            source,
            mode: input.mode.into(),
            binding: Arc::clone(binding),
            listed_at: snapshot.as_ref().map(|snapshot| snapshot.at),
            limits: request.item_limits,
        };
        let prepared =
            (0..).zip(texts(ctx)?).map(|(index, text)| prepare(&terms, index, None, text.as_bytes())).collect();
        let (tenant, principal, writer) = (&request.tenant, &request.principal.subject, writer(request)?);
        let results = writer.write(tenant, &terms.source, principal, prepared).await?;
        let mut summary = Summary::default();
        for result in &results {
            summary.add(result);
        }
        // Half a listing says nothing about what it omits.
        if let Some(snapshot) = snapshot.filter(|_| summary.rejected == 0) {
            summary.closed_by_snapshot = writer.close_omitted(tenant, &terms.source, principal, snapshot).await?;
        }
        let late = LateView::new(&request.store, tenant, request.largest_page);
        let results = results.into_iter().map(|result| IngestItemResult::new(result, &terms.source, &late)).collect();
        Ok(IngestPayload { results, summary: summary.into() })
    }
}

/// The items as the client wrote them.
fn texts<'a>(ctx: &Context<'a>) -> Result<Vec<&'a str>, ApiError> {
    let literal = || ApiError::bad_input("Pass the items by a variable, not in the document.");
    let variables: &'a RawVariables = ctx.data_opt().ok_or_else(literal)?;
    let arguments = &ctx.item.node.arguments;
    let input = arguments.iter().find(|(name, _)| name.node == "input").ok_or_else(literal)?;
    variables.list(&input.1.node, "items").map_err(|error| match error {
        RawError::Literal => literal(),
        RawError::Ambiguous => ApiError::bad_input("The variables have a key twice."),
    })
}

/// The source of the items: the one named, else the default.
fn source(binding: &IngestBinding, named: Option<String>) -> Result<String, ApiError> {
    let source = named.unwrap_or_else(|| DEFAULT_SOURCE.to_owned());
    // Sources have names of the same form as tenants.
    if !valid_tenant(&source) {
        return Err(ApiError::bad_input("A source is 1 to 253 letters, digits, `-`, `_` or `.`."));
    }
    if !binding.allows_source(&source) {
        return Err(ApiError::forbidden("You may not send records of this source."));
    }
    Ok(source)
}

/// What a listing covers. A sender that is bound to namespaces or kinds may only list those: a listing
/// closes what it omits.
fn snapshot_scope(binding: &IngestBinding, input: SnapshotScopeInput) -> Result<SnapshotScope, ApiError> {
    let SnapshotScopeInput { kinds, namespaces, at } = input;
    if kinds.is_empty() {
        return Err(ApiError::bad_input("A listing names the kinds that it is complete for."));
    }
    let scope = SnapshotScope::named(&kinds, &namespaces, at.0);
    if !binding.allows_listing(&scope.kinds, &scope.namespaces) {
        return Err(ApiError::forbidden("You may not close records outside of your kinds and namespaces."));
    }
    Ok(scope)
}
