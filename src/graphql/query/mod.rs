//! The root fields of queries, one file a noun.

mod as_of;
mod chain;
mod deployed;
mod diff;
pub mod finding;
mod history;
mod insight;
mod kind;
mod lineage;
mod mention;
mod node;
mod quarantine;
mod record;
pub mod run;
mod source;
mod viewer;

use async_graphql::MergedObject;

use crate::graphql::context::Seat;
use crate::graphql::view::View;

/// What can be asked. Everything of one request is answered as of one commit of the tenant's ledger.
#[derive(MergedObject, Clone, Default)]
#[graphql(name = "Query")]
pub struct QueryRoot(
    node::NodeQuery,
    viewer::ViewerQuery,
    source::SourceQuery,
    record::RecordQuery,
    diff::DiffQuery,
    kind::KindQuery,
    mention::MentionQuery,
    chain::ChainQuery,
    finding::FindingQuery,
    insight::InsightQuery,
    quarantine::QuarantineQuery,
    lineage::LineageQuery,
    deployed::DeployedQuery,
    history::HistoryQuery,
    run::RunQuery,
    as_of::AsOfQuery,
);

impl QueryRoot {
    /// All fields, as of one view.
    #[must_use]
    pub fn at(view: View) -> Self {
        let seat = Seat::at(view);
        Self(
            node::NodeQuery(seat.clone()),
            viewer::ViewerQuery,
            source::SourceQuery(seat.clone()),
            record::RecordQuery(seat.clone()),
            diff::DiffQuery(seat.clone()),
            kind::KindQuery(seat.clone()),
            mention::MentionQuery(seat.clone()),
            chain::ChainQuery(seat.clone()),
            finding::FindingQuery(seat.clone()),
            insight::InsightQuery(seat.clone()),
            quarantine::QuarantineQuery(seat.clone()),
            lineage::LineageQuery(seat.clone()),
            deployed::DeployedQuery(seat.clone()),
            history::HistoryQuery(seat.clone()),
            run::RunQuery(seat.clone()),
            as_of::AsOfQuery(seat),
        )
    }
}
