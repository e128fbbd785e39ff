//! The pure rules: values, times, contracts. No I/O, no runtime, no clock of its own.

pub mod contract;
pub mod digest;
pub mod envelope;
pub mod json;
pub mod path;
pub mod time;
