//! The flags that every command with a configuration has.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::{Config, ConfigError, DatabaseUrl, LogFormat, Overrides};

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgs {
    /// The configuration file (TOML).
    #[arg(long, env = "PACKTRAIL_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database: `sqlite://path/file.db` or `postgres://…`.
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// How to write the log: text or json.
    #[arg(long, value_name = "FORMAT", value_parser = log_format)]
    pub log_format: Option<LogFormat>,
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}

impl ConfigArgs {
    /// The configuration: defaults, then the file, then the environment, then these flags.
    ///
    /// # Errors
    /// If one of them is wrong.
    pub fn load(self, listen: Option<SocketAddr>, no_migrate: bool, dev_insecure: bool) -> Result<Config, ConfigError> {
        let overrides = Overrides {
            listen,
            database: self.database.as_deref().map(DatabaseUrl::from),
            no_migrate: no_migrate.then_some(true),
            dev_insecure: dev_insecure.then_some(true),
            log_format: self.log_format,
            ..Overrides::default()
        };
        Config::load(self.config.as_deref(), overrides)
    }
}
