//! Runs of task packs: plans, the machine that moves runs, their storage and surfaces.

mod bad_values;
mod examples;
mod expression;
pub mod fixture;
mod floods;
mod graph;
mod histories;
mod imports;
mod kills;
mod leases;
mod machine;
mod model;
mod naive;
mod objectives;
pub mod pack;
mod plan_bounds;
mod plan_errors;
mod plan_hash;
mod plan_properties;
mod plans;
mod races;
mod simulation;
mod story;
mod turns;
mod work;
mod worked_example;
mod worker_kills;
