//! What differs between two contents of records.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Body;
use crate::domain::diff::{self, MapDiff, PathChange, SetDiff};
use crate::domain::record::{Resource, content_of};

/// What differs between two contents.
#[derive(Debug, Clone)]
pub struct ContentDiff {
    /// The resources; `None` where a side does not list its own.
    pub resources: Option<SetDiff<Resource>>,
    /// The artifacts, by name.
    pub artifacts: MapDiff<Map<String, Value>>,
    /// Every changed place of the content: of the object without what moves by itself.
    pub paths: Vec<PathChange>,
}

impl ContentDiff {
    /// Compares two objects of a canonical kind each.
    #[must_use]
    pub fn of((from_kind, from): (&str, &Body), (to_kind, to): (&str, &Body)) -> Self {
        let sets: Option<(BTreeSet<Resource>, BTreeSet<Resource>)> =
            diff::resources(from.value()).zip(diff::resources(to.value()));
        let artifacts = |body: &Body| diff::by_name(body.value(), "/spec/artifacts");
        let content = |kind: &str, body: &Body| body.value().as_object().map(|object| content_of(kind, object));
        let nothing = || Value::Null;
        Self {
            resources: sets.map(|(from, to)| SetDiff::of(&from, &to)),
            artifacts: MapDiff::of(&artifacts(from), &artifacts(to)),
            paths: diff::paths(
                &content(from_kind, from).unwrap_or_else(nothing),
                &content(to_kind, to).unwrap_or_else(nothing),
            ),
        }
    }
}
