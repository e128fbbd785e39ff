//! The values of secrets: where they are filled in, and where they are masked.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use serde_json::Value;

use super::config::SecretSource;

/// What stands in a text where a secret was.
const MASK: &str = "***";
/// Shorter values would mask what is no secret.
const SHORTEST: usize = 4;
/// The longest value: it bounds what a line keeps back while it is searched.
const LONGEST: usize = 64 * 1024;
/// The one key of a reference to a secret.
const REFERENCE: &str = "secretRef";

/// The values that the worker knows, by name.
#[derive(Default)]
pub struct Secrets {
    values: BTreeMap<String, String>,
}

impl std::fmt::Debug for Secrets {
    /// The names alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    /// Reads the values, once.
    ///
    /// # Errors
    /// The first that cannot be read, without its value.
    pub fn read(sources: &BTreeMap<String, SecretSource>) -> Result<Self, String> {
        let values = sources.iter().map(|(name, source)| {
            let value = read(source).map_err(|error| format!("secrets.{name}: {error}"))?;
            if value.len() > LONGEST {
                return Err(format!("secrets.{name}: longer than {LONGEST} bytes"));
            }
            Ok((name.clone(), value))
        });
        Ok(Self { values: values.collect::<Result<_, _>>()? })
    }

    /// `with`, with values in place of the references to secrets.
    ///
    /// # Errors
    /// The name of a secret that has no value here, or that the run does not declare: inputs of a
    /// run may look like a reference too, and must not reach what the pack did not ask for.
    pub fn fill(&self, with: &Value, declared: &[&str]) -> Result<Value, String> {
        if let Some(name) = reference(with) {
            let value = self.values.get(name).filter(|_| declared.contains(&name));
            return value.map(|value| Value::String(value.clone())).ok_or_else(|| name.to_owned());
        }
        Ok(match with {
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.fill(item, declared)).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let filled = members.iter().map(|(key, value)| Ok((key.clone(), self.fill(value, declared)?)));
                Value::Object(filled.collect::<Result<_, String>>()?)
            }
            plain => plain.clone(),
        })
    }

    /// What hides the values.
    pub fn masks(&self) -> Masks {
        Masks::new(self.values.values().map(String::as_str))
    }
}

fn read(source: &SecretSource) -> Result<String, String> {
    match source {
        SecretSource::Env(variable) => {
            std::env::var(variable).map_err(|_| format!("the variable {variable} is not set, or is not UTF-8"))
        }
        SecretSource::File(path) => {
            let mut value = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            if value.ends_with('\n') {
                value.pop();
            }
            Ok(value)
        }
    }
}

/// The name of the secret that a value refers to.
pub fn reference(value: &Value) -> Option<&str> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    members.get(REFERENCE)?.as_str()
}

/// Hides values in texts.
#[derive(Default)]
pub struct Masks {
    patterns: Vec<String>,
    longest: usize,
}

impl Masks {
    /// Hides these values, each of their lines, and both as JSON writes them.
    fn new<'v>(values: impl Iterator<Item = &'v str>) -> Self {
        let mut patterns = HashSet::new();
        for part in values.flat_map(|value| value.lines().chain([value])) {
            let written = Value::from(part).to_string();
            patterns.insert(written[1..written.len() - 1].to_owned());
            patterns.insert(part.trim_end_matches('\r').to_owned());
        }
        patterns.retain(|pattern| pattern.len() >= SHORTEST);
        let longest = patterns.iter().map(String::len).max().unwrap_or_default();
        Self { patterns: patterns.into_iter().collect(), longest }
    }

    /// Hides one value.
    #[cfg(test)]
    pub fn of(value: &str) -> Self {
        Self::new([value].into_iter())
    }

    /// The longest that may be hidden, in bytes.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Where secrets are, in order and apart from each other.
    pub fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for pattern in &self.patterns {
            let mut from = 0;
            while let Some(at) = text[from..].find(pattern.as_str()).map(|at| from + at) {
                found.push(at..at + pattern.len());
                // The next may begin inside this one.
                from = text.ceil_char_boundary(at + 1);
            }
        }
        found.sort_by_key(|range| range.start);
        found.into_iter().fold(Vec::new(), |mut apart: Vec<Range<usize>>, range| {
            match apart.last_mut().filter(|last| range.start < last.end) {
                Some(last) => last.end = last.end.max(range.end),
                None => apart.push(range),
            }
            apart
        })
    }

    /// The text with secrets hidden.
    pub fn hide(&self, text: &str) -> String {
        let mut hidden = String::with_capacity(text.len());
        let mut from = 0;
        for range in self.ranges(text) {
            hidden.push_str(&text[from..range.start]);
            hidden.push_str(MASK);
            from = range.end;
        }
        hidden.push_str(&text[from..]);
        hidden
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secrets() -> Secrets {
        let values = [("db", "hunter2"), ("pin", "123"), ("key", "first line\nsecond line")];
        Secrets { values: values.map(|(name, value)| (name.to_owned(), value.to_owned())).into() }
    }

    #[test]
    fn references_are_filled_wherever_they_stand() {
        let with = json!({"a": {"secretRef": "db"}, "b": [{"secretRef": "pin"}, 1], "c": {"d": "e"}});
        let filled = secrets().fill(&with, &["db", "pin"]).unwrap();
        assert_eq!(filled, json!({"a": "hunter2", "b": ["123", 1], "c": {"d": "e"}}));
    }

    #[test]
    fn a_secret_that_is_not_configured_or_not_declared_is_named() {
        assert_eq!(secrets().fill(&json!([{"secretRef": "other"}]), &["other"]).unwrap_err(), "other");
        assert_eq!(secrets().fill(&json!([{"secretRef": "db"}]), &["pin"]).unwrap_err(), "db");
    }

    #[test]
    fn an_object_with_more_than_a_reference_is_none() {
        let with = json!({"secretRef": "db", "b": 1});
        assert_eq!(secrets().fill(&with, &[]).unwrap(), with);
    }

    #[test]
    fn values_are_hidden_and_short_ones_are_not() {
        assert_eq!(secrets().masks().hide("hunter2:hunter2 123"), "***:*** 123");
    }

    #[test]
    fn each_line_of_a_value_is_hidden() {
        assert_eq!(secrets().masks().hide("a second line"), "a ***");
        assert_eq!(secrets().masks().hide(r#"{"k":"first line\nsecond line"}"#), r#"{"k":"***"}"#);
    }

    #[test]
    fn values_that_overlap_are_hidden_whole() {
        let masks = Masks::new(["abcd", "cdef", "aaaa"].into_iter());
        assert_eq!(masks.hide("xabcdefx"), "x***x");
        assert_eq!(masks.hide("aaaaaa!"), "***!");
    }

    #[test]
    fn debug_shows_no_value() {
        assert!(!format!("{:?}", secrets()).contains("hunter2"));
    }

    #[test]
    fn a_file_loses_one_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "value\n\n").unwrap();
        assert_eq!(read(&SecretSource::File(path)).unwrap(), "value\n");
    }
}
