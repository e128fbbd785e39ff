//! Records: what the store makes of them, against a naive model of the same rules.

mod append;
pub mod fleet;
mod heartbeats;
pub mod model;
mod model_tests;
mod samples;
mod scenarios;
mod twin;
