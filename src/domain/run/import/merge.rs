//! What holds of all reports of a run, whatever their order and however often they come.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ArtifactReport, ImportItem, MAX_ARTIFACTS, RunReport, digest};
use crate::domain::run::ArtifactStatus;

/// What is known of a run from all its reports, but for its log. Only what holds is kept; that is enough
/// to go on, since of two reports the same one holds whichever came first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Imported {
    /// The state: of all reports the one that was updated last, and of several such the one with the
    /// greatest digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunReport>,
    /// The artifacts by name: of each the report that says most, was captured last, has the greatest
    /// digest. Beyond [`MAX_ARTIFACTS`] the first names hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub artifacts: BTreeMap<String, ArtifactReport>,
}

impl Imported {
    /// Adds what an item says of this run. Whether that changed anything; entries of a log never do, see
    /// [`super::new_entries`].
    pub fn add(&mut self, item: ImportItem) -> bool {
        match item {
            ImportItem::Run(report) => self.hold_state(*report),
            ImportItem::Artifact { artifact, .. } => self.hold_artifact(artifact),
            ImportItem::Log { .. } => false,
        }
    }

    /// Adds all that is known elsewhere of the same run. Whether that changed anything.
    pub fn merge(&mut self, other: Self) -> bool {
        let mut is_changed = other.state.is_some_and(|report| self.hold_state(report));
        for artifact in other.artifacts.into_values() {
            is_changed |= self.hold_artifact(artifact);
        }
        is_changed
    }

    /// How much it is, in bytes of JSON.
    ///
    /// # Panics
    /// Never: reports are JSON with text keys.
    #[must_use]
    pub fn size(&self) -> usize {
        serde_json::to_vec(self).expect("a report is JSON").len()
    }

    fn hold_state(&mut self, report: RunReport) -> bool {
        let holds = self.state.as_ref().is_none_or(|held| order_of_states(held, &report).is_lt());
        if holds {
            self.state = Some(report);
        }
        holds
    }

    fn hold_artifact(&mut self, report: ArtifactReport) -> bool {
        let holds = match self.artifacts.get(&report.name) {
            Some(held) => order_of_artifacts(held, &report).is_lt(),
            None => self.has_room(&report.name),
        };
        if holds {
            self.artifacts.insert(report.name.clone(), report);
            if self.artifacts.len() > MAX_ARTIFACTS {
                self.artifacts.pop_last();
            }
        }
        holds
    }

    /// Whether a new name is among the first ones. A name that had to go never comes back, since the names
    /// before it only become more; so what is kept does not depend on the order either.
    fn has_room(&self, name: &str) -> bool {
        self.artifacts.len() < MAX_ARTIFACTS
            || self.artifacts.last_key_value().is_some_and(|(last, _)| name < last.as_str())
    }
}

fn order_of_states(a: &RunReport, b: &RunReport) -> Ordering {
    a.updated_at.cmp(&b.updated_at).then_with(|| order_of_digests(a, b))
}

fn order_of_artifacts(a: &ArtifactReport, b: &ArtifactReport) -> Ordering {
    let said = |report: &ArtifactReport| (report.status != ArtifactStatus::Pending, report.captured_at);
    said(a).cmp(&said(b)).then_with(|| order_of_digests(a, b))
}

/// The order of reports that nothing else tells apart. Equal reports need no digest, and are the rule.
fn order_of_digests<T: PartialEq + Serialize>(a: &T, b: &T) -> Ordering {
    if a == b { Ordering::Equal } else { digest(a).cmp(&digest(b)) }
}
