//! The lineage graph, against a naive model of it.

pub mod edges;
mod walks;
