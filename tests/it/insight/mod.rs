//! Searching and counting, against naive answers over all records.

mod search;
mod stats;
