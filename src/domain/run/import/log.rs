//! Which entries of a report are new to a log.

use std::collections::HashMap;

use super::Entry;

/// The entries of a report that a log lacks, in the order of the report: the place of each, its digest, and
/// how many entries of that digest the log has with it.
///
/// `known` tells how many entries of each digest the log has. A report that holds an entry several times
/// says that it came that often at least: the log has each as often as the report that has it most often.
/// So a log that is reported again, in whole or in part, adds nothing, and nothing is lost.
#[must_use]
pub fn new_entries<S: std::hash::BuildHasher>(
    known: &HashMap<[u8; 32], u32, S>,
    report: &[Entry],
) -> Vec<(usize, [u8; 32], u32)> {
    let mut seen: HashMap<[u8; 32], u32> = HashMap::with_capacity(report.len());
    let mut new = Vec::new();
    for (place, entry) in report.iter().enumerate() {
        let digest = entry.digest();
        let count = seen.entry(digest).or_insert(0);
        *count += 1;
        if *count > known.get(&digest).copied().unwrap_or(0) {
            new.push((place, digest, *count));
        }
    }
    new
}
