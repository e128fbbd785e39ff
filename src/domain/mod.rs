//! The rules, pure: no I/O, no clock, no framework.

pub mod contract;
pub mod diff;
pub mod digest;
pub mod envelope;
pub mod facts;
pub mod findings;
pub mod history;
pub mod identity;
pub mod json;
pub mod kind;
pub mod mention;
pub mod pack_version;
pub mod path;
pub mod record;
pub mod sequence;
pub mod time;
pub mod world;
