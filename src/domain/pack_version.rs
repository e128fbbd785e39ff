//! Pack versions `vX.Y.Z-rN`, compared as four numbers so that v4.9 comes before v4.10.

/// The four numbers of a pack version; missing parts are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackVersion([u64; 4]);

impl PackVersion {
    /// Reads `vX.Y.Z-rN`; the `v`, trailing parts and `-rN` may be missing. `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (numbers, revision) = match text.split_once("-r") {
            Some((numbers, revision)) => (numbers, number(revision)?),
            None => (text, 0),
        };
        let mut parts = [0, 0, 0, revision];
        if numbers.split('.').count() > 3 {
            return None;
        }
        for (part, text) in parts.iter_mut().zip(numbers.split('.')) {
            *part = number(text)?;
        }
        Some(Self(parts))
    }
}

fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let v = |text| PackVersion::parse(text).unwrap();
        assert!(v("v4.9") < v("v4.10"));
        assert!(v("v1.14.0-r9") < v("v1.14.0-r10"));
        assert!(v("v1.14.0-r1") < v("v1.14.4-r1"));
        assert_eq!(v("1.2"), v("v1.2.0-r0"));
    }

    #[test]
    fn other_texts_are_not_comparable() {
        for text in ["", "v", "latest", "1.2.3.4", "v1.2.3-rc1", "v1.-2", "v1.2.3-r", "v1..2"] {
            assert_eq!(PackVersion::parse(text), None, "{text}");
        }
    }
}
