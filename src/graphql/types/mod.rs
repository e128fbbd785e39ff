//! The types of the API, one file a noun.

pub mod chain;
pub mod cluster_pack;
pub mod common;
pub mod diff;
pub mod drift;
pub mod drift_signal;
pub mod enums;
pub mod finding;
pub mod lineage;
pub mod lineage_index;
pub mod listing;
pub mod mention;
pub mod node;
pub mod operation_result;
pub mod pack_execution;
pub mod pack_history;
pub mod pack_instance;
pub mod pack_receipt;
pub mod quarantine;
pub mod record;
pub mod reference;
pub mod security;
pub mod sequence;
pub mod source;
pub mod version;
pub mod viewer;
