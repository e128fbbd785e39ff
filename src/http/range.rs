//! `Range` and `If-Range` (RFC 9110 §13.1.5, §14): which part of a content a request asks for.
//!
//! A server may ignore any `Range`, so everything that is not one plain range of bytes means the
//! whole content; only a well-formed range that no byte satisfies is told with 416.

use std::ops::Range;

/// What a `Range` field asks for, of a content of a known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requested {
    /// All of it: 200.
    Whole,
    /// These bytes, never none, all within the content: 206.
    Part(Range<u64>),
    /// A range without one byte of the content: 416 with `Content-Range: bytes */<size>`.
    Unsatisfiable,
}

/// What the `Range` field asks for, of a content of `size` bytes.
///
/// Several ranges, other units and nonsense are ignored, as the RFC allows.
#[must_use]
pub fn requested(header: Option<&str>, size: u64) -> Requested {
    header.and_then(only_spec).and_then(|spec| satisfy(spec, size)).unwrap_or(Requested::Whole)
}

/// Whether a `Range` counts under this `If-Range`: there is none, or it names the content's tag (`ETag`).
///
/// `etag` is the strong tag with its quotes. Weak tags never match, and neither do dates: what is
/// served here has no date of modification.
#[must_use]
pub fn range_applies(if_range: Option<&str>, etag: &str) -> bool {
    if_range.is_none_or(|tag| tag.trim() == etag)
}

/// `Content-Range` of a part of a content of `size` bytes; the part is not empty.
#[must_use]
pub fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))
}

/// `Content-Range` of a 416.
#[must_use]
pub fn unsatisfied_range(size: u64) -> String {
    format!("bytes */{size}")
}

/// The one range of a field whose unit is bytes; empty elements of its list do not count.
fn only_spec(field: &str) -> Option<&str> {
    let (unit, list) = field.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = list.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty());
    let only = specs.next()?;
    specs.next().is_none().then_some(only)
}

/// What `a-b`, `a-` or `-n` asks for; `None` if it is none of them.
fn satisfy(spec: &str, size: u64) -> Option<Requested> {
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        return Some(suffix(position(last)?, size));
    }
    let first = position(first)?;
    let last = if last.is_empty() { u64::MAX } else { position(last)? };
    if last < first {
        return None;
    }
    if first >= size {
        return Some(Requested::Unsatisfiable);
    }
    Some(Requested::Part(first..last.saturating_add(1).min(size)))
}

/// The last `length` bytes. Of an empty content that is all of it, and no part can be named.
fn suffix(length: u64, size: u64) -> Requested {
    match (length, size) {
        (0, _) => Requested::Unsatisfiable,
        (_, 0) => Requested::Whole,
        _ => Requested::Part(size.saturating_sub(length)..size),
    }
}

/// A position in digits; one beyond all sizes is the largest.
fn position(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Requested::{Part, Unsatisfiable, Whole};
    use super::*;

    #[test]
    fn one_range_of_bytes_is_a_part() {
        let cases = [
            ("bytes=0-0", 10, Part(0..1)),
            ("bytes=0-9", 10, Part(0..10)),
            ("bytes=0-", 10, Part(0..10)),
            ("bytes=3-5", 10, Part(3..6)),
            ("bytes=3-", 10, Part(3..10)),
            ("bytes=9-9", 10, Part(9..10)),
            ("bytes=5-99", 10, Part(5..10)),
            ("bytes=5-99999999999999999999999999", 10, Part(5..10)),
            ("bytes=-3", 10, Part(7..10)),
            ("bytes=-10", 10, Part(0..10)),
            ("bytes=-11", 10, Part(0..10)),
            ("bytes=-99999999999999999999999999", 10, Part(0..10)),
            ("BYTES=1-2", 10, Part(1..3)),
            ("bytes= 1-2 ", 10, Part(1..3)),
            ("bytes=,1-2, ,", 10, Part(1..3)),
            ("bytes=01-02", 10, Part(1..3)),
            ("bytes=0-18446744073709551615", u64::MAX, Part(0..u64::MAX)),
        ];
        for (field, size, expected) in cases {
            assert_eq!(requested(Some(field), size), expected, "{field} of {size}");
        }
    }

    #[test]
    fn a_range_without_a_byte_is_unsatisfiable() {
        let cases = [
            ("bytes=10-", 10),
            ("bytes=10-20", 10),
            ("bytes=99999999999999999999999999-", 10),
            ("bytes=-0", 10),
            ("bytes=-0", 0),
            ("bytes=0-", 0),
            ("bytes=0-0", 0),
        ];
        for (field, size) in cases {
            assert_eq!(requested(Some(field), size), Unsatisfiable, "{field} of {size}");
        }
    }

    #[test]
    fn everything_else_is_the_whole() {
        let fields = [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=5-3",
            "bytes=0-1,2-3",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=0x1-2",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=1 - 2",
            "bytes=1",
            "bytes 0-1",
            "lines=0-1",
            "=0-1",
            "bytes=0-1=",
            "bytes=1-2-3",
            "bytes =0-1",
            "bytes=٣-",
        ];
        for field in fields {
            assert_eq!(requested(Some(field), 10), Whole, "{field}");
        }
        assert_eq!(requested(None, 10), Whole);
        assert_eq!(requested(Some("bytes=-5"), 0), Whole);
    }

    #[test]
    fn a_range_counts_only_for_the_same_strong_tag() {
        assert!(range_applies(None, "\"a\""));
        assert!(range_applies(Some("\"a\""), "\"a\""));
        for other in ["\"b\"", "W/\"a\"", "a", "", "*", "Sat, 21 Nov 2026 23:23:20 GMT", "\"a\", \"b\""] {
            assert!(!range_applies(Some(other), "\"a\""), "{other}");
        }
    }

    #[test]
    fn content_range_names_the_last_byte() {
        assert_eq!(content_range(&(3..6), 10), "bytes 3-5/10");
        assert_eq!(unsatisfied_range(10), "bytes */10");
    }

    proptest! {
        #[test]
        fn a_part_is_the_slice_that_its_positions_name(size in 0u64..50, first in 0u64..60, last in 0u64..60) {
            let bytes: Vec<u64> = (0..size).collect();
            let named: Vec<u64> = (0..size).filter(|at| (first..=last).contains(at)).collect();
            match requested(Some(&format!("bytes={first}-{last}")), size) {
                Part(part) => {
                    let part = usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap();
                    prop_assert_eq!(&bytes[part], &named[..]);
                    prop_assert!(!named.is_empty());
                }
                Whole => prop_assert!(last < first),
                Unsatisfiable => prop_assert!(named.is_empty() && first <= last),
            }
        }

        #[test]
        fn no_text_names_bytes_outside_of_the_content(text in "(bytes=)?[0-9, -]{0,12}|.{0,20}", size in any::<u64>()) {
            if let Part(part) = requested(Some(&text), size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
