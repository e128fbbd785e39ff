//! Use cases.

pub mod demo_fleet;
