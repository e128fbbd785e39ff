//! The rules, pure: no I/O, no clock, no framework.

pub mod canonical;
pub mod contract;
pub mod diff;
pub mod digest;
pub mod envelope;
pub mod face;
pub mod facts;
pub mod finding_text;
pub mod findings;
pub mod history;
pub mod identity;
pub mod json;
pub mod kind;
pub mod lineage;
pub mod mention;
pub mod names;
pub mod operation;
pub mod pack_version;
pub mod path;
pub mod record;
pub mod reference;
pub mod run;
pub mod search;
pub mod sequence;
pub mod taskpack;
pub mod time;
pub mod world;
pub mod yaml_scalar;

/// The version of the rules. Raise it with every change of what they derive: a store whose rows follow
/// older rules is derived anew before it is served.
pub const RULES: i64 = 5;
