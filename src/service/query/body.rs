//! The raw object of a record, and its fields by path.

use serde_json::{Map, Value};

use crate::domain::time::parse_rfc3339;
use crate::storage::StoreError;

/// The longest text of one field that is shown, in bytes: reasons and messages are written by
/// programs that failed, and may be anything.
const MAX_TEXT: usize = 64 * 1024;
/// What marks a text as cut.
const CUT: &str = "…[cut]";

/// A raw object.
#[derive(Debug, Clone, PartialEq)]
pub struct Body(Value);

impl Body {
    /// Reads a stored body.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(bytes).map(Self).map_err(|e| StoreError::Corrupt(format!("body: {e}")))
    }

    /// The whole object.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The value at a path of members; `None` where it is absent or null.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.0, |value, name| value.get(*name)).filter(|value| !value.is_null())
    }

    /// A text, cut to 64 KiB.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<String> {
        self.at(path).and_then(Value::as_str).map(bounded)
    }

    /// The first text that is there: the same fact has other places in other dialects.
    #[must_use]
    pub fn first_text(&self, paths: &[&[&str]]) -> Option<String> {
        paths.iter().find_map(|path| self.text(path))
    }

    /// A flag.
    #[must_use]
    pub fn flag(&self, path: &[&str]) -> Option<bool> {
        self.at(path).and_then(Value::as_bool)
    }

    /// An integer.
    #[must_use]
    pub fn int(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(Value::as_i64)
    }

    /// A time, microseconds.
    #[must_use]
    pub fn time(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(Value::as_str).and_then(parse_rfc3339)
    }

    /// The objects of a list; anything else in it is left to `raw`.
    pub fn objects(&self, path: &[&str]) -> impl Iterator<Item = &Map<String, Value>> {
        self.at(path).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
    }

    /// The texts of a list.
    #[must_use]
    pub fn texts(&self, path: &[&str]) -> Vec<String> {
        let items = self.at(path).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(bounded).collect()
    }

    /// The texts of a map, by key.
    #[must_use]
    pub fn pairs(&self, path: &[&str]) -> Vec<(String, String)> {
        let members = self.at(path).and_then(Value::as_object).into_iter().flatten();
        members.filter_map(|(key, value)| Some((key.clone(), bounded(value.as_str()?)))).collect()
    }
}

/// The text of a member, cut to 64 KiB.
#[must_use]
pub fn member_text(object: &Map<String, Value>, name: &str) -> Option<String> {
    object.get(name).and_then(Value::as_str).map(bounded)
}

/// A text cut to 64 KiB, the cut marked.
#[must_use]
pub fn bounded(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{CUT}", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_by_path_and_null_is_absent() {
        let body = Body(json!({"spec": {"n": 3, "t": "1970-01-01T00:00:01Z", "none": null, "list": ["a", 1, "b"]}}));
        assert_eq!(body.int(&["spec", "n"]), Some(3));
        assert_eq!(body.time(&["spec", "t"]), Some(1_000_000));
        assert_eq!(body.at(&["spec", "none"]), None);
        assert_eq!(body.at(&["status", "x"]), None);
        assert_eq!(body.texts(&["spec", "list"]), ["a", "b"]);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_marked() {
        let long = "ä".repeat(MAX_TEXT);
        let cut = bounded(&format!("x{long}"));
        assert!(cut.ends_with("ä…[cut]"));
        assert_eq!(cut.len(), MAX_TEXT - 1 + CUT.len());
        assert_eq!(bounded("short"), "short");
    }
}
