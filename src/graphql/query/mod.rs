//! The root fields of queries, one file a noun.

mod chain;
mod diff;
mod finding;
mod insight;
mod kind;
mod mention;
mod node;
mod quarantine;
mod record;
mod source;
mod viewer;

use async_graphql::MergedObject;

/// What can be asked. Everything of one request is answered as of one commit of the tenant's ledger.
#[derive(MergedObject, Default)]
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
);
