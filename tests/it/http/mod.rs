//! GraphQL over HTTP and what guards it.

mod graphiql;
mod guard;
mod over_http;
mod toy;
