//! Where in a JSON value something was found, written `$.spec.steps[3].name`.

use std::fmt;

/// The longest part of a key that a path shows, in characters. Keys come from senders: a path is
/// stored and shown, so it must stay short whatever they wrote.
const KEY_SHOWN: usize = 60;

/// One step from a JSON value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSegment {
    /// The member of an object.
    Key(String),
    /// The element of an array, from 0.
    Index(usize),
}

/// The way from the root of a JSON value to a place inside it; empty means the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonPath(pub Vec<PathSegment>);

impl JsonPath {
    /// The path of one member of the root.
    #[must_use]
    pub fn key(name: &str) -> Self {
        Self(vec![PathSegment::Key(name.to_owned())])
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|segment| segment.fmt(f))
    }
}

impl fmt::Display for PathSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "[{index}]"),
            Self::Key(key) if is_plain(key) => write!(f, ".{key}"),
            Self::Key(key) => write!(f, "[{:?}]", bounded(key, KEY_SHOWN)),
        }
    }
}

/// Whether a key can be written after a dot without quotes.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= KEY_SHOWN
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// At most `chars` characters of `text`; a cut is marked with `…`.
#[must_use]
pub fn bounded(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_one_would_type_it() {
        let path = JsonPath(vec![
            PathSegment::Key("metadata".into()),
            PathSegment::Key("labels".into()),
            PathSegment::Key("ontai.dev/pack-execution".into()),
            PathSegment::Index(3),
        ]);
        assert_eq!(path.to_string(), r#"$.metadata.labels["ontai.dev/pack-execution"][3]"#);
        assert_eq!(JsonPath::default().to_string(), "$");
    }

    #[test]
    fn a_long_key_is_cut() {
        let path = JsonPath::key(&"k".repeat(10_000));
        assert!(path.to_string().chars().count() < 80);
    }
}
