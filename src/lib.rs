//! packtrail: a GraphQL lineage and query server for pack deployments.
//!
//! Modules are layers, and each may use only those to its left:
//! `domain ← storage ← service ← graphql ← http ← cli`.
//! `sqlx` is known only to `storage`, `async_graphql` only to `graphql` and `http`, `axum` only to
//! `http`; `domain` is pure and knows none of them, nor `tokio`.
//! `clock`, `config`, `auth`, `telemetry` and `shutdown` stand beside the layers and use none of
//! them but `domain`. A test reads the sources and fails where one breaks the rule.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod graphql;
pub mod http;
pub mod service;
pub mod shutdown;
pub mod storage;
pub mod telemetry;
pub mod worker;
