//! The store: what replaces the compiler for SQL, on both databases.

mod catalogue;
mod conformance;
mod opening;
mod plans;
mod schema;
