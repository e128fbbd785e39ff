//! Use cases.

pub mod derive;
