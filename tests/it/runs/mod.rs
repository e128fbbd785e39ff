//! Runs of task packs.

mod bad_values;
mod expression;
pub mod fixture;
mod pack;
mod plan_bounds;
mod plan_errors;
mod plan_hash;
mod plan_properties;
mod races;
mod simulation;
mod story;
