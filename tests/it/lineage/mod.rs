//! The lineage graph, against a naive model of it.

mod as_of;
mod bare;
mod deployments;
pub mod edges;
mod large;
mod placeholders;
mod questions;
mod times;
mod walks;
