//! What clients can follow. A subscription is executed once to begin it, which tells what it follows and from where,
//! and once for each piece of that, whoever asks: what a piece holds is put into the request.

mod batch;
mod filter;

use std::sync::{Arc, OnceLock};

use async_graphql::{Context, Enum, Subscription};
use futures_util::stream::{self, Iter};

pub use self::batch::{ApprovalBatch, FindingBatch, RecordChange, RecordChangeBatch, RunLogBatch};
use self::filter::{RecordChangeFilter, RunLogFilter};
use super::connection::List;
use super::context::RequestContext;
use super::error::ApiError;
use super::permission::Needs;
use super::query::finding::FindingFilter;
use super::query::run::{ApprovalFilter, RunFilter};
use super::types::run::Run;
use super::view::View;
use crate::auth::Scope;
use crate::service::live::{Batch, Feed, Piece, Position};
use crate::service::query::FindingsAsked;
use crate::storage::FindingState;

/// Where a stream begins that has no cursor to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
pub enum StreamStart {
    /// With the first entry that there is.
    #[default]
    Beginning,
    /// With what comes from now on. The first batch is empty, and has the cursor of now.
    Now,
}

/// What a subscription follows, and from where.
#[derive(Debug, Clone)]
pub struct Opened {
    /// What.
    pub feed: Feed,
    /// After which place; `None` for what comes from now on.
    pub after: Option<Position>,
    list: List,
}

/// Takes what a subscription follows, when it is executed to begin it.
#[derive(Debug, Clone, Default)]
pub struct Opening(Arc<OnceLock<Opened>>);

impl Opening {
    /// What it follows; `None` if it was refused.
    #[must_use]
    pub fn opened(&self) -> Option<Opened> {
        self.0.get().cloned()
    }
}

/// A piece of what a subscription follows, when it is executed to deliver it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What the subscription follows.
    pub opened: Arc<Opened>,
    /// The piece.
    pub piece: Arc<Piece<Batch>>,
    /// Whether the subscriber had none before.
    pub is_first: bool,
}

impl Delivery {
    fn cursor(&self) -> String {
        match &self.opened.feed {
            // That of the list of entries, so that either goes on with the other's.
            Feed::Log(_) => self.opened.list.encode(&self.piece.to.0),
            _ => self.opened.list.encode(&self.piece.to),
        }
    }

    /// Whether a batch is delivered although nothing is in it: to tell the end, or a cursor to begin with.
    fn is_told(&self) -> bool {
        self.piece.is_last || (self.is_first && self.opened.after.is_none())
    }
}

/// What the executed subscription is to do.
enum Part<'a> {
    Begin(&'a Opening),
    Deliver(&'a Delivery),
}

impl<'a> Part<'a> {
    fn of(ctx: &Context<'a>) -> Result<Self, ApiError> {
        match (ctx.data_opt::<Opening>(), ctx.data_opt::<Delivery>()) {
            (Some(opening), _) => Ok(Self::Begin(opening)),
            (None, Some(delivery)) => Ok(Self::Deliver(delivery)),
            (None, None) => Err(ApiError::bad_input("Subscriptions are served at /graphql/ws and as event streams.")),
        }
    }
}

type Items<T> = Iter<std::vec::IntoIter<T>>;

fn items<T>(items: impl IntoIterator<Item = T>) -> Items<T> {
    stream::iter(items.into_iter().collect::<Vec<_>>())
}

/// What a subscription with a cursor begins with.
struct Begin<'a> {
    ctx: &'a Context<'a>,
    opening: &'a Opening,
    after: Option<String>,
    from: StreamStart,
}

impl Begin<'_> {
    async fn view(&self) -> Result<View, ApiError> {
        RequestContext::of(self.ctx)?.view().await
    }

    /// Begins with a feed of the ledger.
    fn ledger(&self, list: List, feed: Feed) -> Result<(), ApiError> {
        let after = self.after.as_deref().map(|cursor| list.decode::<Position>(cursor)).transpose()?;
        self.open(list, feed, after, (0, 0))
    }

    fn open(&self, list: List, feed: Feed, after: Option<Position>, first: Position) -> Result<(), ApiError> {
        let after = match (after, self.from) {
            (Some(after), _) => Some(after),
            (None, StreamStart::Beginning) => Some(first),
            (None, StreamStart::Now) => None,
        };
        open(self.opening, Opened { feed, after, list })
    }
}

fn open(opening: &Opening, opened: Opened) -> Result<(), ApiError> {
    opening.0.set(opened).map_err(|_| ApiError::bad_input("A subscription has one field."))
}

/// The root of subscriptions.
pub struct SubscriptionRoot;

/// What can be followed, over WebSocket (`graphql-transport-ws`) or as server-sent events (`graphql-sse`). What has a
/// cursor is a stream: its entries come in the order of the server, with no gap and no duplicate after the cursor given,
/// whatever reconnects, replicas or restarts happen in between; first what is stored, then what comes. What has none is
/// a state: the latest is told, and states between may be left out.
#[Subscription]
impl SubscriptionRoot {
    /// The log of a run. It completes after the last entry of a run that ended.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn run_logs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's name.")] run_id: String,
        #[graphql(desc = "The cursor to go on from: that of a batch, or of an entry of `Run.logs`.")] after: Option<
            String,
        >,
        #[graphql(desc = "Which entries; all unless said otherwise.")] filter: Option<RunLogFilter>,
        #[graphql(default, desc = "Where to begin without a cursor.")] from: StreamStart,
    ) -> Result<Items<RunLogBatch>, ApiError> {
        match Part::of(ctx)? {
            Part::Begin(opening) => {
                let begin = Begin { ctx, opening, after, from };
                let view = begin.view().await?;
                let run = Run::find(&view, &run_id).await?.ok_or_else(|| no_run(&run_id))?;
                let list = run.list("runLogs");
                let after = begin.after.as_deref().map(|cursor| list.decode::<i64>(cursor)).transpose()?;
                begin.open(list, Feed::Log(run.row()), after.map(|after| (after, 0)), (0, 0))?;
                Ok(items(None))
            }
            Part::Deliver(delivery) => Ok(items(RunLogBatch::of(delivery, &filter.unwrap_or_default()))),
        }
    }

    /// A run: as it stands, and again when it changed. It completes when the run ended, unless that happens elsewhere
    /// and is only reported here.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn run_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's name.")] run_id: String,
    ) -> Result<Items<Run>, ApiError> {
        match Part::of(ctx)? {
            Part::Begin(opening) => {
                let view = RequestContext::of(ctx)?.view().await?;
                let run = Run::find(&view, &run_id).await?.ok_or_else(|| no_run(&run_id))?;
                let list = run.list("runUpdated");
                open(opening, Opened { feed: Feed::Run(run.row()), after: Some((0, 0)), list })?;
                Ok(items(None))
            }
            Part::Deliver(delivery) => runs(ctx, delivery, &RunFilter::default()),
        }
    }

    /// The runs that change from now on, those that are created included: each as it stands then.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn runs_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which runs, by how they stand then; all unless said otherwise.")] filter: Option<RunFilter>,
    ) -> Result<Items<Run>, ApiError> {
        match Part::of(ctx)? {
            Part::Begin(opening) => {
                let view = RequestContext::of(ctx)?.view().await?;
                let list = List::new(&view, "runsChanged", &());
                open(opening, Opened { feed: Feed::Runs, after: None, list })?;
                Ok(items(None))
            }
            Part::Deliver(delivery) => runs(ctx, delivery, &filter.unwrap_or_default()),
        }
    }

    /// The approvals that gates begin to wait for, each as it stands when it is read.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn approval_requested(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cursor to go on from.")] after: Option<String>,
        #[graphql(desc = "Which approvals, by how they stand when they are read; all unless said otherwise.")]
        filter: Option<ApprovalFilter>,
        #[graphql(default, desc = "Where to begin without a cursor.")] from: StreamStart,
    ) -> Result<Items<ApprovalBatch>, ApiError> {
        match Part::of(ctx)? {
            Part::Begin(opening) => {
                let begin = Begin { ctx, opening, after, from };
                let list = List::new(&begin.view().await?, "approvalRequested", &());
                begin.ledger(list, Feed::Approvals)?;
                Ok(items(None))
            }
            Part::Deliver(delivery) => Ok(items(ApprovalBatch::of(ctx, delivery, filter).await?)),
        }
    }

    /// The changes of records, as the ledger has them: created, updated, closed, or in conflict with what is known.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn record_changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cursor to go on from.")] after: Option<String>,
        #[graphql(desc = "Which changes; all unless said otherwise.")] filter: Option<RecordChangeFilter>,
        #[graphql(default, desc = "Where to begin without a cursor.")] from: StreamStart,
    ) -> Result<Items<RecordChangeBatch>, ApiError> {
        match Part::of(ctx)? {
            Part::Begin(opening) => {
                let begin = Begin { ctx, opening, after, from };
                let list = List::new(&begin.view().await?, "recordChanges", &());
                begin.ledger(list, Feed::Changes)?;
                Ok(items(None))
            }
            Part::Deliver(delivery) => {
                Ok(items(RecordChangeBatch::of(ctx, delivery, &filter.unwrap_or_default()).await?))
            }
        }
    }

    /// The findings that are raised. Without a filter all of them; a filter says of those that it does not tell apart by
    /// `state` that they must still stand when they are read. A finding that changes while it stands is not raised again,
    /// whatever the filter.
    #[graphql(guard = "Needs(Scope::Viewer)")]
    async fn finding_raised(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The cursor to go on from.")] after: Option<String>,
        #[graphql(desc = "Which findings.")] filter: Option<FindingFilter>,
        #[graphql(default, desc = "Where to begin without a cursor.")] from: StreamStart,
    ) -> Result<Items<FindingBatch>, ApiError> {
        match Part::of(ctx)? {
            Part::Begin(opening) => {
                let begin = Begin { ctx, opening, after, from };
                let view = begin.view().await?;
                let asked = match filter {
                    None => FindingsAsked { state: FindingState::All, ..FindingsAsked::default() },
                    Some(filter) => filter.asked(&view).await?.ok_or_else(none_such)?,
                };
                let list = List::new(&view, "findingRaised", &format!("{asked:?}"));
                begin.ledger(list, Feed::Findings(Box::new(asked)))?;
                Ok(items(None))
            }
            Part::Deliver(delivery) => Ok(items(FindingBatch::of(ctx, delivery)?)),
        }
    }
}

/// The runs of a piece that are asked for.
fn runs(ctx: &Context<'_>, delivery: &Delivery, filter: &RunFilter) -> Result<Items<Run>, ApiError> {
    let Batch::Runs(scope, found) = &delivery.piece.content else { return Err(ApiError::internal()) };
    let view = View::over(scope.clone(), RequestContext::of(ctx)?.largest_page);
    let asked = filter.asked();
    let found = found.iter().filter(|run| asked.includes(run));
    Ok(items(found.map(|run| Run::new(&view, Arc::clone(run)))))
}

fn no_run(run_id: &str) -> ApiError {
    ApiError::not_found(format!("There is no run {run_id}."))
}

fn none_such() -> ApiError {
    ApiError::bad_input("The filter excludes every finding.")
}
