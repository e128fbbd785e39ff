//! Reads the members of an object, and says where one is wrong.

use serde_json::{Map, Number, Value};

use super::{ImportError, MAX_NAME, MAX_TEXT};
use crate::domain::path::{JsonPath, PathSegment};
use crate::domain::time::parse_rfc3339;

/// What a value is read as, or what is wrong with it.
type Read<T> = Result<T, String>;

/// An object of an item.
pub(super) struct Fields<'a> {
    members: &'a Map<String, Value>,
    path: Vec<PathSegment>,
}

impl<'a> Fields<'a> {
    /// The item itself.
    pub(super) fn root(members: &'a Map<String, Value>) -> Self {
        Self { members, path: Vec::new() }
    }

    /// An object within an item: a member of this one.
    pub(super) fn inner(&self, key: &str) -> Result<Self, ImportError> {
        let members = self.required(key, object)?;
        Ok(Self { members, path: self.path_of(key) })
    }

    /// The objects of a list, which is a member of this one and has so many at most.
    pub(super) fn list(&self, key: &str, most: usize) -> Result<Vec<Self>, ImportError> {
        let elements = self.required(key, |value| list(value, most))?;
        let inner = elements.iter().enumerate().map(|(i, element)| {
            let mut path = self.path_of(key);
            path.push(PathSegment::Index(i));
            match object(element) {
                Ok(members) => Ok(Self { members, path }),
                Err(message) => Err(ImportError { path: JsonPath(path), message }),
            }
        });
        inner.collect()
    }

    /// Whether there is such a member.
    pub(super) fn has(&self, key: &str) -> bool {
        self.members.contains_key(key)
    }

    /// A member that must be there.
    pub(super) fn required<T>(&self, key: &str, read: impl Fn(&'a Value) -> Read<T>) -> Result<T, ImportError> {
        match self.members.get(key) {
            Some(value) => read(value).map_err(|message| self.error(key, message)),
            None => Err(ImportError { path: JsonPath(self.path.clone()), message: format!("\"{key}\" is missing") }),
        }
    }

    /// A member that may be absent. Null is absent: some writers spell it so.
    pub(super) fn optional<T>(&self, key: &str, read: impl Fn(&'a Value) -> Read<T>) -> Result<Option<T>, ImportError> {
        let value = self.members.get(key).filter(|value| !value.is_null());
        value.map(|value| read(value).map_err(|message| self.error(key, message))).transpose()
    }

    /// The members of this object, each read alike.
    pub(super) fn each<T>(&self, read: impl Fn(&'a Value) -> Read<T>) -> Result<Vec<(&'a str, T)>, ImportError> {
        let members = self.members.iter();
        members.map(|(key, _)| Ok((key.as_str(), self.required(key, &read)?))).collect()
    }

    /// The error of a member.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> ImportError {
        ImportError { path: JsonPath(self.path_of(key)), message: message.into() }
    }

    fn path_of(&self, key: &str) -> Vec<PathSegment> {
        let mut path = self.path.clone();
        path.push(PathSegment::Key(key.to_owned()));
        path
    }
}

fn object(value: &Value) -> Read<&Map<String, Value>> {
    value.as_object().ok_or_else(|| "the value is no object".to_owned())
}

fn list(value: &Value, most: usize) -> Read<&Vec<Value>> {
    let elements = value.as_array().ok_or_else(|| "the value is no array".to_owned())?;
    if elements.len() > most { Err(format!("the array has more than {most} elements")) } else { Ok(elements) }
}

/// A text of at most [`MAX_TEXT`] bytes.
pub(super) fn text(value: &Value) -> Read<String> {
    text_within(value, MAX_TEXT)
}

/// A text of at most [`MAX_NAME`] bytes.
pub(super) fn word(value: &Value) -> Read<String> {
    text_within(value, MAX_NAME)
}

/// A text of 1 to [`MAX_NAME`] bytes: something is known by it.
pub(super) fn name(value: &Value) -> Read<String> {
    let name = word(value)?;
    if name.is_empty() { Err("the text is empty".to_owned()) } else { Ok(name) }
}

/// The id of a run: what a path of the contract can hold.
pub(super) fn run_id(value: &Value) -> Read<String> {
    let id = text(value)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=128).contains(&id.len()) && id.bytes().all(is_plain) {
        Ok(id)
    } else {
        Err("the text is not 1 to 128 letters, digits, _ and -".to_owned())
    }
}

/// The hash of a plan, or what stands for one: the contract's own examples are shortened.
pub(super) fn plan_hash(value: &Value) -> Read<String> {
    let hash = text(value)?;
    let is_visible = |c: char| !c.is_whitespace() && !c.is_control();
    if (1..=128).contains(&hash.chars().count()) && hash.chars().all(is_visible) {
        Ok(hash)
    } else {
        Err("the text is not 1 to 128 visible characters".to_owned())
    }
}

/// Any text, however long the item lets it be.
pub(super) fn long_text(value: &Value) -> Read<String> {
    text_within(value, usize::MAX)
}

fn text_within(value: &Value, most: usize) -> Read<String> {
    let text = value.as_str().ok_or_else(|| "the value is no string".to_owned())?;
    if text.len() > most { Err(format!("the text has more than {most} bytes")) } else { Ok(text.to_owned()) }
}

/// An instant, microseconds.
pub(super) fn instant(value: &Value) -> Read<i64> {
    value.as_str().and_then(parse_rfc3339).ok_or_else(|| "the value is no RFC 3339 date-time".to_owned())
}

/// A boolean.
pub(super) fn flag(value: &Value) -> Read<bool> {
    value.as_bool().ok_or_else(|| "the value is no boolean".to_owned())
}

/// A whole number from a least one on.
pub(super) fn count(least: u32) -> impl Fn(&Value) -> Read<u32> {
    move |value| {
        let count = value.as_number().and_then(whole).filter(|count| *count >= least);
        count.ok_or_else(|| format!("the value is no integer from {least} to {}", u32::MAX))
    }
}

/// A number that is whole; JSON Schema takes 1.0 for an integer.
fn whole(number: &Number) -> Option<u32> {
    if let Some(whole) = number.as_u64() {
        return u32::try_from(whole).ok();
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && *float >= 0.0)?;
    format!("{:.0}", float.abs()).parse().ok()
}

/// One of some words.
pub(super) fn one_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Value) -> Read<T> {
    move |value| {
        let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        found.map(|(_, meant)| *meant).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("the value is none of {}", words.join(", "))
        })
    }
}
