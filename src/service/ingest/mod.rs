//! Ingest: from items as they come in to a commit of the ledger.

pub mod batch;
mod heartbeat;
mod imports;
pub mod item;
mod pace;
pub mod prepare;
pub mod snapshot;
pub mod stream;
pub mod writer;
