//! The worker's configuration.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::{Deserialize, Serialize};

use super::builtin;

/// The most steps that one worker runs at a time; the server grants no more in one claim.
const MAX_PARALLEL: u32 = 100;
/// The shortest lease that leaves time for a renewal that is tried again.
const MIN_LEASE_SECONDS: u32 = 3;
/// What a policy's claims begin with.
pub const POLICY: &str = "policy:";

/// What a worker serves, and for whom.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// The server: an HTTP URL.
    pub server: String,
    /// A file with the token; surrounding white space is dropped.
    pub token_file: Option<PathBuf>,
    /// The token itself, for callers in this process. A configuration file names a file instead.
    #[serde(skip)]
    pub token: Option<String>,
    /// The tenant, if the token knows several.
    pub tenant: Option<String>,
    /// The name that the server shows; the host's name and the process id if left out.
    pub name: Option<String>,
    /// How many steps run at a time, 1 to 100.
    pub parallel: u32,
    /// How long the server waits for a sign of life before it gives a step up, in seconds.
    pub lease_seconds: u32,
    /// How long running steps may go on after the worker was told to stop, in seconds.
    pub grace_seconds: u32,
    /// Whether the builtins are offered.
    pub builtins: bool,
    /// Whether the worker ends when nothing is left to claim.
    #[serde(skip)]
    pub once: bool,
    /// Where each attempt gets a folder of its own; a fresh temporary folder if left out.
    pub work_dir: Option<PathBuf>,
    /// The program that is run as `<program> guard` around each command; this very one if left out.
    #[serde(skip)]
    pub guard: Option<PathBuf>,
    /// Where the values of secrets come from, by their names in packs.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The steps that are served by commands.
    pub steps: Vec<StepCommand>,
    /// The policies that are answered.
    pub policies: Vec<PolicyAnswer>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            server: "http://127.0.0.1:8080".to_owned(),
            token_file: None,
            token: None,
            tenant: None,
            name: None,
            parallel: 1,
            lease_seconds: 30,
            grace_seconds: 30,
            builtins: false,
            once: false,
            work_dir: None,
            guard: None,
            secrets: BTreeMap::new(),
            steps: Vec::new(),
            policies: Vec::new(),
        }
    }
}

impl std::fmt::Debug for WorkerConfig {
    /// Everything but the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerConfig")
            .field("server", &self.server)
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .field("parallel", &self.parallel)
            .field("lease_seconds", &self.lease_seconds)
            .field("capabilities", &self.capabilities())
            .finish_non_exhaustive()
    }
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// A variable of the worker's environment.
    Env(String),
    /// A file; one newline at its end is dropped.
    File(PathBuf),
}

/// What a command itself holds its step to. The worker believes it, and refuses a step whose
/// sandbox asks for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// No network.
    Sealed,
    /// No network but the hosts of the step.
    Egress,
    /// The limit on processors.
    Cpu,
    /// The limit on memory.
    Memory,
}

impl Enforcement {
    /// As in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Egress => "egress",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// A step that is served by a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepCommand {
    /// What packs call it, exactly.
    pub uses: String,
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// Variables for the command.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of the worker's own environment that reach the command; no other does.
    #[serde(default)]
    pub pass_env: Vec<String>,
    /// How long an attempt may take.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// A file in the step's folder that holds the outputs as JSON.
    #[serde(default)]
    pub outputs: Option<String>,
    /// What the command itself enforces.
    #[serde(default)]
    pub enforces: Vec<Enforcement>,
}

/// How a policy is answered: by a fixed verdict, or by a command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyAnswer {
    /// The policy.
    pub id: String,
    /// The fixed verdict.
    #[serde(default)]
    pub allow: Option<bool>,
    /// What is told beside the verdict.
    #[serde(default)]
    pub message: Option<String>,
    /// The program and its arguments: exit code 0 allows, 1 denies, others are no verdict.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables for the command.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Variables of the worker's own environment that reach the command; no other does.
    #[serde(default)]
    pub pass_env: Vec<String>,
    /// How long an attempt may take.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// What the command itself enforces.
    #[serde(default)]
    pub enforces: Vec<Enforcement>,
}

impl PolicyAnswer {
    /// The command as that of a step without outputs.
    #[must_use]
    pub fn step(&self) -> StepCommand {
        StepCommand {
            uses: format!("{POLICY}{}", self.id),
            command: self.command.clone(),
            env: self.env.clone(),
            pass_env: self.pass_env.clone(),
            timeout_seconds: self.timeout_seconds,
            outputs: None,
            enforces: self.enforces.clone(),
        }
    }
}

/// An hour: a command that hangs must not keep its place for ever.
fn default_timeout() -> u32 {
    3600
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum WorkerConfigError {
    /// The file cannot be read, or a key in it is unknown or of the wrong type.
    #[error("{0}")]
    Read(Box<figment::Error>),
    /// A value is out of its range.
    #[error("{path}: {message}")]
    Value {
        /// The key.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

fn wrong(path: impl Into<String>, message: impl Into<String>) -> WorkerConfigError {
    WorkerConfigError::Value { path: path.into(), message: message.into() }
}

impl WorkerConfig {
    /// Reads a TOML file. Relative paths in it start at its folder.
    ///
    /// # Errors
    /// If the file cannot be read, or has an unknown key or a value of the wrong type.
    pub fn load(file: &Path) -> Result<Self, WorkerConfigError> {
        let read = Figment::new().merge(Toml::file_exact(file)).extract();
        let mut config: Self = read.map_err(|error| WorkerConfigError::Read(Box::new(error)))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let files = config.secrets.values_mut().filter_map(|source| match source {
            SecretSource::File(path) => Some(path),
            SecretSource::Env(_) => None,
        });
        for path in files.chain(&mut config.token_file).chain(&mut config.work_dir) {
            *path = folder.join(&*path);
        }
        Ok(config)
    }

    /// Refuses values out of their range.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), WorkerConfigError> {
        if !(1..=MAX_PARALLEL).contains(&self.parallel) {
            return Err(wrong("parallel", format!("must be 1 to {MAX_PARALLEL}")));
        }
        if self.lease_seconds < MIN_LEASE_SECONDS {
            return Err(wrong("lease_seconds", format!("must be at least {MIN_LEASE_SECONDS}")));
        }
        for (i, step) in self.steps.iter().enumerate() {
            check_step(&format!("steps[{i}]"), step)?;
        }
        for (i, policy) in self.policies.iter().enumerate() {
            check_policy(&format!("policies[{i}]"), policy)?;
        }
        let mut seen = HashSet::new();
        let capabilities = self.capabilities();
        if capabilities.is_empty() {
            return Err(wrong("steps", "nothing is offered: no steps, no policies, no builtins"));
        }
        match capabilities.iter().find(|uses| !seen.insert(*uses)) {
            Some(twice) => Err(wrong("steps", format!("'{twice}' is there twice"))),
            None => Ok(()),
        }
    }

    /// What the worker claims.
    #[must_use]
    pub fn capabilities(&self) -> Vec<String> {
        let builtins: &[&str] = if self.builtins { &builtin::NAMES } else { &[] };
        let steps = self.steps.iter().map(|step| step.uses.clone());
        let policies = self.policies.iter().map(|policy| format!("{POLICY}{}", policy.id));
        builtins.iter().map(|name| (*name).to_owned()).chain(steps).chain(policies).collect()
    }

    /// How long running steps may go on after the worker was told to stop.
    pub(super) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds.into())
    }
}

fn check_step(path: &str, step: &StepCommand) -> Result<(), WorkerConfigError> {
    if step.uses.is_empty() {
        return Err(wrong(format!("{path}.uses"), "must not be empty"));
    }
    if step.uses.starts_with(POLICY) || step.uses.starts_with(builtin::PREFIX) {
        return Err(wrong(format!("{path}.uses"), "must not begin like a policy or a builtin"));
    }
    check_command(path, step)
}

fn check_command(path: &str, step: &StepCommand) -> Result<(), WorkerConfigError> {
    if step.command.first().is_none_or(String::is_empty) {
        return Err(wrong(format!("{path}.command"), "must name a program"));
    }
    if step.timeout_seconds == 0 {
        return Err(wrong(format!("{path}.timeout_seconds"), "must be at least 1"));
    }
    Ok(())
}

fn check_policy(path: &str, policy: &PolicyAnswer) -> Result<(), WorkerConfigError> {
    if policy.id.is_empty() {
        return Err(wrong(format!("{path}.id"), "must not be empty"));
    }
    match (policy.allow, policy.command.is_empty()) {
        (Some(_), true) => Ok(()),
        (None, false) => check_command(path, &policy.step()),
        _ => Err(wrong(path, "must have either allow or command")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<WorkerConfig, WorkerConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.toml");
        std::fs::write(&file, text).unwrap();
        let config = WorkerConfig::load(&file)?;
        config.check()?;
        Ok(config)
    }

    #[test]
    fn a_whole_file_is_read() {
        let config = load(
            r#"
            token_file = "token"
            builtins = true
            [secrets.db-password]
            env = "DB_PASSWORD"
            [secrets.key]
            file = "/run/key"
            [[steps]]
            uses = "scan"
            command = ["/usr/bin/scan", "--json"]
            enforces = ["sealed", "cpu"]
            [[policies]]
            id = "freeze"
            allow = true
            "#,
        )
        .unwrap();
        assert!(config.capabilities().ends_with(&["scan".to_owned(), "policy:freeze".to_owned()]));
        assert!(config.capabilities().contains(&"builtin:echo".to_owned()));
        assert!(config.token_file.unwrap().is_absolute(), "a relative path starts at the file's folder");
        assert!(matches!(&config.secrets["key"], SecretSource::File(path) if path == Path::new("/run/key")));
        assert_eq!(config.steps[0].enforces, [Enforcement::Sealed, Enforcement::Cpu]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_path() {
        let error = load("[[steps]]\nuses = \"a\"\ncommand = [\"a\"]\nshell = true").unwrap_err().to_string();
        assert!(error.contains("shell") && error.contains("steps"), "{error}");
        let error = load("servr = \"x\"").unwrap_err().to_string();
        assert!(error.contains("servr"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_refused_with_their_path() {
        for (text, path) in [
            ("builtins = true\nparallel = 0", "parallel"),
            ("builtins = true\nparallel = 101", "parallel"),
            ("builtins = true\nlease_seconds = 1", "lease_seconds"),
            ("", "steps"),
            ("[[steps]]\nuses = \"a\"\ncommand = []", "steps[0].command"),
            ("[[steps]]\nuses = \"policy:a\"\ncommand = [\"a\"]", "steps[0].uses"),
            ("[[policies]]\nid = \"a\"", "policies[0]"),
            ("[[policies]]\nid = \"a\"\nallow = true\ncommand = [\"a\"]", "policies[0]"),
            ("[[steps]]\nuses = \"a\"\ncommand = [\"a\"]\n[[steps]]\nuses = \"a\"\ncommand = [\"b\"]", "steps"),
        ] {
            let error = load(text).unwrap_err();
            assert!(matches!(&error, WorkerConfigError::Value { path: p, .. } if p == path), "{text}: {error}");
        }
    }

    #[test]
    fn the_token_is_never_shown() {
        let config = WorkerConfig { token: Some("pt_hidden".to_owned()), ..WorkerConfig::default() };
        assert!(!format!("{config:?}").contains("pt_hidden"));
        assert!(!serde_json::to_string(&config).unwrap().contains("pt_hidden"));
    }
}
