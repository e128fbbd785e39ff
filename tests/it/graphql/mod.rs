//! The schema and what it answers.

mod chains;
mod lookups;
mod mutations;
mod nodes;
mod paging;
mod references;
mod rows;
mod schema;
mod snapshot;
mod statements;
mod views;
