//! What several tests need.

pub mod db;
pub mod ingest;
pub mod server;
