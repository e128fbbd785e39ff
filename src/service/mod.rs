//! Use cases: what the surfaces call, and the only layer that knows both the rules and the store.

pub mod demo_fleet;
pub mod derive;
pub mod export;
pub mod ingest;
pub mod live;
pub mod query;
pub mod reader;
pub mod rebuild;
pub mod run;
