//! What workers can do, as patterns over what steps use.

/// Whether a pattern stands for what a step uses: `*` for any characters, all else for itself.
#[must_use]
pub fn matches(pattern: &str, uses: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| uses.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The first place is as good as any: what is between may be anything.
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The names that a pattern can stand for, as a range in the order of their bytes: the first one, and what they
/// are before. What is in it need not match.
#[must_use]
pub fn range(pattern: &str) -> (String, String) {
    match pattern.split_once('*') {
        Some((prefix, _)) => (prefix.to_owned(), format!("{prefix}{}", char::MAX)),
        None => (pattern.to_owned(), format!("{pattern}\u{1}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pattern_stands_for_is_in_its_range() {
        let names = ["", "a", "a-b", "ab", "abc", "b", "builtin:noop", "policy:über", "z"];
        for pattern in ["", "*", "a", "a*", "ab", "*c", "a*c", "builtin:*", "policy:ü*", "z"] {
            let (low, high) = range(pattern);
            for name in names {
                let is_in_range = *low <= *name && *name < *high;
                assert!(!matches(pattern, name) || is_in_range, "{pattern} {name}");
                assert!(pattern.contains('*') || matches(pattern, name) == is_in_range, "{pattern} {name}");
            }
        }
    }

    #[test]
    fn a_star_stands_for_any_characters_and_all_else_for_itself() {
        let cases = [
            ("scan", "scan", true),
            ("scan", "scans", false),
            ("scan", "sca", false),
            ("*", "", true),
            ("*", "anything", true),
            ("builtin:*", "builtin:noop", true),
            ("builtin:*", "builtin", false),
            ("*-scan", "deep-scan", true),
            ("*-scan", "deep-scans", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("a*ba", "aba", true),
            ("*ab*ab", "ab", false),
            ("", "", true),
            ("", "x", false),
            ("[a-z]", "b", false),
            ("ü*", "über", true),
            ("ü*", "uber", false),
        ];
        for (pattern, uses, expected) in cases {
            assert_eq!(matches(pattern, uses), expected, "{pattern} {uses}");
        }
    }
}
