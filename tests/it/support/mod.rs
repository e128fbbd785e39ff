//! What several tests need.

pub mod api;
pub mod counts;
pub mod db;
pub mod feed;
pub mod ingest;
pub mod server;
pub mod worker;
