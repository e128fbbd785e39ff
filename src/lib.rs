//! GraphQL lineage and query server for pack deployments.

pub mod graphql;
pub mod http;
