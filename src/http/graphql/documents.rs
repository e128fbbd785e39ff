//! Documents that were answered before, so that they are not parsed and measured again.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use crate::graphql::guard::Known;

/// Parsed documents by their text, the latest used ones, up to a number and a size.
pub struct Documents {
    bytes: usize,
    kept: Mutex<Kept>,
}

struct Kept {
    by_text: LruCache<Arc<str>, Arc<Known>>,
    /// The size of all of them.
    bytes: usize,
}

impl Documents {
    /// Room for `count` documents that take `bytes` bytes together; none at all if either is 0.
    #[must_use]
    pub fn new(count: usize, bytes: usize) -> Self {
        let (count, bytes) = NonZeroUsize::new(count).map_or((NonZeroUsize::MIN, 0), |count| (count, bytes));
        Self { bytes, kept: Mutex::new(Kept { by_text: LruCache::new(count), bytes: 0 }) }
    }

    /// The document of a text.
    #[must_use]
    pub fn get(&self, text: &str) -> Option<Arc<Known>> {
        let found = self.kept().by_text.get(text).cloned();
        let outcome = if found.is_some() { "hit" } else { "miss" };
        metrics::counter!("packtrail_graphql_document_cache_total", "outcome" => outcome).increment(1);
        found
    }

    /// Keeps a document that was within the limits and valid, in place of those not used for longest.
    pub fn keep(&self, text: &str, document: Known) {
        let size = document.size();
        if size > self.bytes {
            return;
        }
        let mut kept = self.kept();
        let dropped = kept.by_text.push(text.into(), Arc::new(document));
        kept.bytes += size;
        kept.bytes -= dropped.map_or(0, |(_, dropped)| dropped.size());
        while kept.bytes > self.bytes {
            let Some((_, dropped)) = kept.by_text.pop_lru() else { break };
            kept.bytes -= dropped.size();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Request;

    use super::*;
    use crate::graphql::guard;
    use crate::graphql::limits::GuardLimits;

    fn known(text: &str) -> Known {
        let mut guarded = guard::check(Request::new(text), &GuardLimits::default()).unwrap();
        guard::known(&mut guarded.request, &GuardLimits::default()).unwrap()
    }

    fn keep(documents: &Documents, text: &str) {
        documents.keep(text, known(text));
    }

    #[test]
    fn the_document_used_least_lately_makes_room() {
        let documents = Documents::new(2, usize::MAX);
        keep(&documents, "{ a }");
        keep(&documents, "{ b }");
        assert!(documents.get("{ a }").is_some());
        keep(&documents, "{ c }");
        let has = |text: &str| documents.get(text).is_some();
        assert_eq!([has("{ a }"), has("{ b }"), has("{ c }")], [true, false, true]);
    }

    #[test]
    fn bytes_are_bounded_whatever_comes() {
        let size = known("{ a0 }").size();
        let documents = Documents::new(1000, 3 * size);
        for n in 0..10 {
            keep(&documents, &format!("{{ a{n} }}"));
            keep(&documents, "{ a9 }");
            assert!(documents.kept().bytes <= 3 * size);
        }
        let count = || documents.kept().by_text.len();
        let sum: usize = documents.kept().by_text.iter().map(|(_, known)| known.size()).sum();
        assert_eq!(documents.kept().bytes, sum);
        assert_eq!(count(), 3);
        keep(&documents, &format!("{{ a(x: [{}]) }}", "1 ".repeat(500)));
        assert_eq!(count(), 3, "one that is too large for all is not kept");
    }

    #[test]
    fn nothing_is_kept_without_room() {
        for documents in [Documents::new(0, 1 << 20), Documents::new(10, 0)] {
            keep(&documents, "{ a }");
            assert!(documents.get("{ a }").is_none());
        }
    }

    #[test]
    fn a_document_is_larger_than_its_text() {
        for text in ["{ a }", "query Q($x: Int = 1) { a(x: $x) @skip(if: false) { ...F } } fragment F on A { b c }"] {
            assert!(known(text).size() > 2 * text.len());
        }
    }
}
