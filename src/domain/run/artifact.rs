//! What a run leaves behind, as its pack declares.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Machine, scope};
use crate::domain::taskpack::{OutputSource, PlanOutput};

/// The largest value that is kept of an object, in bytes of JSON.
const MAX_OBJECT: usize = 256 * 1024;

/// Where an artifact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactStatus {
    /// Its steps have not ended.
    Pending,
    /// It is kept.
    Captured,
    /// It could not be kept; the notes say why. That never fails the run.
    Failed,
}

/// What a run leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Whether it is a file; else it is the value of an expression.
    pub is_file: bool,
    /// The path or the expression, as the pack has it.
    pub source: String,
    /// Where it stands.
    pub status: ArtifactStatus,
    /// The path of a file as the pack names it, its templates rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_path: Option<String>,
    /// Where the content of a file is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_path: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When it was kept, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<i64>,
    /// The value of an object, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression_json: Option<String>,
}

impl Artifact {
    /// An artifact that is to be.
    #[must_use]
    pub fn new(output: &PlanOutput) -> Self {
        let (is_file, source) = match &output.source {
            OutputSource::File(path) => (true, path.clone()),
            OutputSource::Object(expression) => (false, expression.clone()),
        };
        Self {
            name: output.name.clone(),
            is_file,
            source,
            status: ArtifactStatus::Pending,
            source_path: None,
            stored_path: None,
            notes: None,
            captured_at: None,
            expression_json: None,
        }
    }
}

impl Machine<'_> {
    /// Keeps the objects whose steps have ended.
    pub(super) fn capture(&mut self) {
        for i in 0..self.run.artifacts.len() {
            let artifact = &self.run.artifacts[i];
            if artifact.status != ArtifactStatus::Pending || artifact.is_file {
                continue;
            }
            let steps = scope::steps_of_expression(&artifact.source);
            let mut named = steps.iter().map(|name| self.resolve(None, name));
            let are_over = named.all(|step| step.is_some_and(|n| self.step(n).status.is_terminal()));
            if are_over && !steps.is_empty() {
                self.capture_object(i);
            }
        }
    }

    /// At the end of the run: the objects that are left, and files that nobody brought.
    pub(super) fn capture_rest(&mut self) {
        for i in 0..self.run.artifacts.len() {
            let artifact = &self.run.artifacts[i];
            match (artifact.status, artifact.is_file) {
                (ArtifactStatus::Pending, true) => self.lose(i, "no worker captured the file"),
                (ArtifactStatus::Pending, false) => self.capture_object(i),
                _ => {}
            }
        }
    }

    fn capture_object(&mut self, i: usize) {
        let now = self.now;
        let source = self.run.artifacts[i].source.clone();
        match self.value(None, &source) {
            Ok(Value::Null) => self.lose(i, "the expression gives nothing"),
            Ok(value) => {
                let text = value.to_string();
                if text.len() > MAX_OBJECT {
                    return self.lose(i, "the value is too large");
                }
                let artifact = &mut self.run.artifacts[i];
                artifact.status = ArtifactStatus::Captured;
                artifact.captured_at = Some(now);
                artifact.expression_json = Some(text);
            }
            Err(error) => self.lose(i, &error.to_string()),
        }
    }

    fn lose(&mut self, i: usize, why: &str) {
        let artifact = &mut self.run.artifacts[i];
        artifact.status = ArtifactStatus::Failed;
        artifact.notes = Some(why.to_owned());
    }
}
