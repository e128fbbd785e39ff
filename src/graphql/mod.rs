//! The GraphQL API: the schema, and what a request may cost.

pub mod breadth;
pub mod code;
pub mod connection;
pub mod context;
pub mod error;
pub mod gather;
pub mod guard;
pub mod ids;
pub mod limits;
pub mod mutation;
pub mod patience;
pub mod permission;
pub mod query;
pub mod raw;
pub mod record_list;
pub mod rows;
pub mod scalar;
pub mod subscription;
pub mod types;
pub mod view;
pub mod written;

use async_graphql::{SDLExportOptions, Schema, SchemaBuilder};

use mutation::MutationRoot;
use query::QueryRoot;
use subscription::SubscriptionRoot;

/// The schema of this server.
pub type ApiSchema = Schema<QueryRoot, MutationRoot, SubscriptionRoot>;

/// The schema, to be hardened with limits and extensions. It needs no data: everything that resolvers
/// use comes with each request, as a [`context::RequestContext`].
#[must_use]
pub fn builder() -> SchemaBuilder<QueryRoot, MutationRoot, SubscriptionRoot> {
    Schema::build(QueryRoot::default(), MutationRoot::default(), SubscriptionRoot)
        .register_output_type::<types::node::Node>()
        .register_output_type::<types::record::Record>()
        .register_output_type::<types::user_error::UserError>()
}

/// The schema without limits.
#[must_use]
pub fn schema() -> ApiSchema {
    builder().finish()
}

/// The schema definition as it is committed in `schema.graphql`.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    let mut text = schema().sdl_with_options(options);
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
