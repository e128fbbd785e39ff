//! Reads the members of a manifest's objects, and notes what is wrong with them.

use serde_json::{Map, Value};

use super::errors::Errors;
use super::number;
use crate::domain::path::PathSegment;

/// The path of a member.
pub(super) fn member(path: &str, name: &str) -> String {
    let segment = if is_name(name) { format!(".{name}") } else { PathSegment::Key(name.to_owned()).to_string() };
    if path.is_empty() { segment.strip_prefix('.').unwrap_or(&segment).to_owned() } else { format!("{path}{segment}") }
}

/// The path of an element.
pub(super) fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// An object whose members are read one after the other; what is then left over is unknown.
pub(super) struct Fields<'v> {
    pub(super) path: String,
    members: &'v Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'v> Fields<'v> {
    /// The members of a value that must be an object.
    pub(super) fn of(value: &'v Value, path: &str, errors: &mut Errors) -> Option<Self> {
        let Value::Object(members) = value else {
            errors.add(path, "must be an object");
            return None;
        };
        Some(Self { path: path.to_owned(), members, known: Vec::new() })
    }

    /// The path of one member.
    pub(super) fn at(&self, name: &str) -> String {
        member(&self.path, name)
    }

    /// A member, unless it is absent or null.
    pub(super) fn take(&mut self, name: &'static str) -> Option<&'v Value> {
        self.known.push(name);
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// A member that must be there.
    pub(super) fn required(&mut self, name: &'static str, errors: &mut Errors) -> Option<&'v Value> {
        let value = self.take(name);
        if value.is_none() {
            errors.add(self.at(name), "is required");
        }
        value
    }

    /// Names the members that nobody asked for.
    pub(super) fn finish(self, errors: &mut Errors) {
        for name in self.members.keys().filter(|name| !self.known.contains(&name.as_str())) {
            errors.add(self.at(name), format!("unknown field '{name}'"));
        }
    }

    /// An object inside.
    pub(super) fn object(&mut self, name: &'static str, errors: &mut Errors) -> Option<Fields<'v>> {
        let path = self.at(name);
        self.take(name).and_then(|value| Fields::of(value, &path, errors))
    }

    /// The elements of a list with their paths; none where it is absent.
    pub(super) fn list(&mut self, name: &'static str, errors: &mut Errors) -> Vec<(String, &'v Value)> {
        let path = self.at(name);
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(elements)) => {
                elements.iter().enumerate().map(|(index, value)| (element(&path, index), value)).collect()
            }
            Some(_) => {
                errors.add(path, "must be a list");
                Vec::new()
            }
        }
    }

    /// A list that must have an element.
    pub(super) fn filled_list(&mut self, name: &'static str, errors: &mut Errors) -> Vec<(String, &'v Value)> {
        let before = errors.len();
        let elements = self.list(name, errors);
        if elements.is_empty() && errors.len() == before && !errors.is_full() {
            errors.add(self.at(name), "must have at least one element");
        }
        elements
    }

    /// A list of strings, each of 1 to `most` bytes.
    pub(super) fn texts(&mut self, name: &'static str, most: usize, errors: &mut Errors) -> Vec<(String, String)> {
        let elements = self.list(name, errors);
        elements
            .into_iter()
            .filter_map(|(path, value)| text(value, &path, most, errors).map(|text| (path, text)))
            .collect()
    }

    /// A string of 1 to `most` bytes.
    pub(super) fn text(&mut self, name: &'static str, most: usize, errors: &mut Errors) -> Option<String> {
        let path = self.at(name);
        self.take(name).and_then(|value| text(value, &path, most, errors))
    }

    /// A string that must be there.
    pub(super) fn required_text(&mut self, name: &'static str, most: usize, errors: &mut Errors) -> Option<String> {
        let path = self.at(name);
        self.required(name, errors).and_then(|value| text(value, &path, most, errors))
    }

    /// `false` where it is absent.
    pub(super) fn boolean(&mut self, name: &'static str, errors: &mut Errors) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(value)) => *value,
            Some(_) => {
                errors.add(self.at(name), "must be true or false");
                false
            }
        }
    }

    /// An integer within bounds.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        (least, most): (i64, i64),
        errors: &mut Errors,
    ) -> Option<i64> {
        let value = self.take(name)?;
        let integer = value.as_number().and_then(number::normal).and_then(|number| number.as_i64());
        match integer {
            Some(integer) if (least..=most).contains(&integer) => return Some(integer),
            Some(integer) if integer < least => errors.add(self.at(name), format!("must be at least {least}")),
            Some(_) => errors.add(self.at(name), format!("must be at most {most}")),
            None => errors.add(self.at(name), "must be an integer"),
        }
        None
    }

    /// As [`Fields::integer`], from `least` to `most`.
    pub(super) fn count(&mut self, name: &'static str, (least, most): (u32, u32), errors: &mut Errors) -> Option<u32> {
        let integer = self.integer(name, (least.into(), most.into()), errors)?;
        u32::try_from(integer).ok()
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        errors: &mut Errors,
    ) -> Option<T> {
        let value = self.take(name)?;
        choose(value, &self.at(name), choices, errors)
    }
}

/// The choice that a value names.
pub(super) fn choose<T: Copy>(value: &Value, path: &str, choices: &[(&str, T)], errors: &mut Errors) -> Option<T> {
    let found = value.as_str().and_then(|word| choices.iter().find(|(name, _)| *name == word));
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        errors.add(path, format!("must be one of: {}", names.join(", ")));
    }
    found.map(|(_, choice)| *choice)
}

/// A value that must be a string of 1 to `most` bytes.
pub(super) fn text(value: &Value, path: &str, most: usize, errors: &mut Errors) -> Option<String> {
    let Value::String(text) = value else {
        errors.add(path, "must be a string");
        return None;
    };
    if text.trim().is_empty() {
        errors.add(path, "must not be empty");
        return None;
    }
    if text.len() > most {
        errors.add(path, format!("must have at most {most} bytes"));
        return None;
    }
    Some(text.clone())
}

/// Whether a text is a name: 1 to 64 letters, digits, `_` and `-`. So `[`, `]` and `::` stay free for
/// the ids that maps make.
pub(super) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A required name.
pub(super) fn name(fields: &mut Fields<'_>, field: &'static str, errors: &mut Errors) -> Option<String> {
    let path = fields.at(field);
    let Value::String(text) = fields.required(field, errors)? else {
        errors.add(path, "must be a string");
        return None;
    };
    if !is_name(text) {
        errors.add(path, "must be 1 to 64 letters, digits, '_' and '-'");
        return None;
    }
    Some(text.clone())
}

/// Notes the second of two equal names.
pub(super) fn distinct<'n>(names: impl Iterator<Item = (String, &'n str)>, what: &str, errors: &mut Errors) {
    let mut seen = std::collections::HashSet::new();
    for (path, name) in names {
        if !seen.insert(name) {
            errors.add(path, format!("duplicate {what} '{name}'"));
        }
    }
}

/// Brings every number of a manifest or an input into its one form, and notes those without one, NUL
/// characters and values that are nested too deeply.
pub(super) fn normalise(value: &mut Value, path: &str, depth: usize, errors: &mut Errors) {
    match value {
        Value::Number(number) => match number::normal(number) {
            Some(normal) => *number = normal,
            None => errors.add(path, "a number lies beyond ±(2^53−1)"),
        },
        Value::String(text) if text.contains('\0') => errors.add(path, "a string holds a NUL character"),
        Value::Array(_) | Value::Object(_) if depth == 0 => errors.add(path, "the value is nested too deeply"),
        Value::Array(elements) => {
            for (index, value) in elements.iter_mut().enumerate() {
                normalise(value, &element(path, index), depth - 1, errors);
            }
        }
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if name.contains('\0') {
                    errors.add(path, "a key holds a NUL character");
                }
                normalise(value, &member(path, name), depth - 1, errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
