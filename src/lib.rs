//! packtrail: a GraphQL lineage and query server for pack deployments.
//!
//! Layers import downward only: `domain ← storage ← service ← graphql ← http ← cli`.

pub mod domain;
pub mod service;
pub mod storage;
