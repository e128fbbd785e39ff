//! The schema and what it answers.

mod chains;
mod clusters;
mod diffs;
mod everything;
mod fields;
mod findings;
mod kinds;
mod lists;
mod lookups;
mod mutations;
mod nodes;
mod paging;
mod references;
mod rows;
mod schema;
mod statements;
mod views;
