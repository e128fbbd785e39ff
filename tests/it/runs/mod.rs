//! Runs of task packs.

mod bad_values;
mod expression;
mod pack;
mod plan_bounds;
mod plan_errors;
mod plan_hash;
mod plan_properties;
mod simulation;
