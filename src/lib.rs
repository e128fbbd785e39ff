//! Lineage and query server for pack deployments.
//!
//! Layers import downward only: `domain` is pure and knows no runtime, database or web crate.

pub mod domain;
pub mod service;
