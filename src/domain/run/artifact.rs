//! What a run leaves behind, as its pack declares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Machine, StepStatus, scope};
use crate::domain::digest::Digest;
use crate::domain::taskpack::{OutputSource, PlanOutput};

/// The largest value that is kept of an object, in bytes of JSON.
const MAX_OBJECT: usize = 256 * 1024;
/// The longest path of a file, in bytes.
const MAX_PATH: usize = 4096;

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
    /// The SHA-256 of the content of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The size of the content of a file, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Why it failed, or was not there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When it was kept, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<i64>,
    /// The value of an object, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression_json: Option<String>,
}

/// A file that a run is to leave behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileWanted {
    /// The name of the artifact.
    pub name: String,
    /// Where the worker finds it.
    pub path: String,
    /// Whether the path depends on what steps gave: then no other step can bring it.
    pub is_of_steps: bool,
}

/// What a worker says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAnswer {
    /// Its content is kept.
    Kept {
        /// The SHA-256 of the content.
        digest: Digest,
        /// Its size, bytes.
        size: i64,
    },
    /// It is not there, or could not be kept: why.
    Missing(String),
}

/// What a worker says of the files of a run.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The name of the run.
    pub run_id: &'a str,
    /// What it says, by the names of the artifacts.
    pub answers: &'a BTreeMap<String, FileAnswer>,
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
            digest: None,
            size: None,
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
                (ArtifactStatus::Pending, true) => {
                    let why = artifact.notes.clone();
                    self.lose(i, why.as_deref().unwrap_or("no worker captured the file"));
                }
                (ArtifactStatus::Pending, false) => self.capture_object(i),
                _ => {}
            }
        }
    }

    /// The files whose places are known: those that depend on no step, and those whose steps are all done.
    pub(super) fn files(&mut self) -> Vec<(usize, FileWanted)> {
        let mut found = Vec::new();
        for i in 0..self.run.artifacts.len() {
            let artifact = &self.run.artifacts[i];
            if artifact.status != ArtifactStatus::Pending || !artifact.is_file {
                continue;
            }
            let (name, source) = (artifact.name.clone(), Value::String(artifact.source.clone()));
            let steps = scope::steps_of(&source);
            let mut named = steps.iter().map(|name| self.resolve(None, name));
            if !named.all(|step| step.is_some_and(|n| self.step(n).status == StepStatus::Succeeded)) {
                continue;
            }
            match self.render(None, &source) {
                Ok(Value::String(path)) if (1..=MAX_PATH).contains(&path.len()) => {
                    found.push((i, FileWanted { name, path, is_of_steps: !steps.is_empty() }));
                }
                Ok(_) => self.lose(i, "the path is no text, empty or too long"),
                Err(error) => self.lose(i, &error.to_string()),
            }
        }
        found
    }

    /// Notes what became of files; returns those of which nothing is said.
    pub(super) fn take_files(&mut self, files: &Files<'_>) -> Vec<FileWanted> {
        let mut wanted = Vec::new();
        for (i, file) in self.files() {
            let path = file.path.clone();
            match files.answers.get(&file.name) {
                None => wanted.push(file),
                Some(FileAnswer::Kept { digest, size }) => {
                    let stored = self.stored_path(files.run_id, i, &path);
                    let artifact = &mut self.run.artifacts[i];
                    artifact.status = ArtifactStatus::Captured;
                    (artifact.source_path, artifact.stored_path) = (Some(path), Some(stored));
                    (artifact.digest, artifact.size) = (Some(*digest), Some(*size));
                    (artifact.captured_at, artifact.notes) = (Some(self.now), None);
                }
                Some(FileAnswer::Missing(why)) => {
                    let artifact = &mut self.run.artifacts[i];
                    artifact.source_path = Some(path);
                    // What no step names may yet come from a later one.
                    if file.is_of_steps {
                        self.lose(i, why);
                    } else {
                        artifact.notes = Some(why.clone());
                    }
                }
            }
        }
        wanted
    }

    /// Where a file is said to be kept: under the name that it had, as in the contract's example, unless
    /// another artifact has that place.
    fn stored_path(&self, run_id: &str, i: usize, path: &str) -> String {
        let folder = format!("runs/{run_id}/artifacts/");
        let file_name = path.rsplit('/').next().unwrap_or_default();
        let own = format!("{folder}{file_name}");
        let is_taken = self.run.artifacts.iter().any(|other| other.stored_path.as_ref() == Some(&own));
        if is_taken || file_name.is_empty() { format!("{folder}{}", self.run.artifacts[i].name) } else { own }
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
