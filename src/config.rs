//! The configuration: one struct, filled from defaults, then a TOML file, then `PACKTRAIL_…`
//! variables, then flags, each overriding the one before.
//!
//! A nested key is written `PACKTRAIL_LIMITS__QUERY_BYTES` in the environment. Lists take TOML:
//! `PACKTRAIL_AUTH__TOKENS='[{name = "ci", …}]'`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};

const ENV_PREFIX: &str = "PACKTRAIL_";

/// Everything an operator can set.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address the HTTP server binds; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where the records are kept.
    pub database: DatabaseUrl,
    /// The database itself, where `database` leads to a pooler such as `PgBouncer`: for the schema, and for what
    /// servers tell each other. Empty if there is no pooler.
    pub database_direct: DatabaseUrl,
    /// Where the content of artifacts is kept: a folder, or `s3://bucket/prefix`. Empty is a folder beside the
    /// file of `SQLite`, and `packtrail-artifacts` in the working directory else.
    pub artifacts: String,
    /// Refuse to start on an empty or older database instead of migrating it.
    pub no_migrate: bool,
    /// Serve without any authentication; only on a loopback address.
    pub dev_insecure: bool,
    /// The tenant of an installation that has one: used where neither token nor header names one.
    pub tenant: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `tracing`'s `EnvFilter`, such as `info,packtrail=debug`.
    pub log_filter: String,
    /// Origins, such as `https://dashboard.example`, whose pages may open `WebSocket`s beside the server's own.
    pub allowed_origins: Vec<String>,
    /// Who may do what.
    pub auth: AuthConfig,
    /// Bounds on what clients can make the server do.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            database: DatabaseUrl::from("sqlite://packtrail.db"),
            database_direct: DatabaseUrl::from(""),
            artifacts: String::new(),
            no_migrate: false,
            dev_insecure: false,
            tenant: "default".to_owned(),
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            allowed_origins: Vec::new(),
            auth: AuthConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// Values given as flags; `None` leaves the lower layers' value.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// See [`Config::listen`].
    pub listen: Option<SocketAddr>,
    /// See [`Config::database`].
    pub database: Option<DatabaseUrl>,
    /// See [`Config::no_migrate`].
    pub no_migrate: Option<bool>,
    /// See [`Config::dev_insecure`].
    pub dev_insecure: Option<bool>,
    /// See [`Config::tenant`].
    pub tenant: Option<String>,
    /// See [`Config::log_format`].
    pub log_format: Option<LogFormat>,
    /// See [`Config::log_filter`].
    pub log_filter: Option<String>,
}

/// A value that is missing, misspelt or of the wrong type; says which key, and where it was found.
///
/// Its text may quote the value at fault, so it belongs on the operator's terminal, not in an answer.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct ConfigError(Box<figment::Error>);

impl Config {
    /// Where the content of artifacts is kept.
    #[must_use]
    pub fn artifact_place(&self) -> String {
        if !self.artifacts.is_empty() {
            return self.artifacts.clone();
        }
        let file = self.database.expose().strip_prefix("sqlite:").map(|path| path.trim_start_matches("//"));
        let file = file.map(|path| path.split('?').next().unwrap_or(path)).filter(|path| !path.is_empty());
        file.map_or_else(|| "packtrail-artifacts".to_owned(), |path| format!("{path}-artifacts"))
    }

    /// Reads `file`, if one is named, and the variables of this process.
    ///
    /// # Errors
    /// The file cannot be read, holds an unknown key, or a value has the wrong type.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        // A variable that is not UTF-8 cannot be one of ours.
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::load_from(file, env, overrides)
    }

    /// As [`Config::load`], from the given variables instead of the process's.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_from(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = file {
            figment = figment.merge(Toml::file_exact(path));
        }
        let known = known_keys();
        for (name, value) in env {
            if let Some(variable) = Variable::known(&name, value, &known) {
                figment = figment.merge(variable);
            }
        }
        let config: Self = figment.extract().map_err(|error| ConfigError(Box::new(error)))?;
        Ok(config.overridden(overrides))
    }

    fn overridden(self, flags: Overrides) -> Self {
        Self {
            listen: flags.listen.unwrap_or(self.listen),
            database: flags.database.unwrap_or(self.database),
            database_direct: self.database_direct,
            artifacts: self.artifacts,
            no_migrate: flags.no_migrate.unwrap_or(self.no_migrate),
            dev_insecure: flags.dev_insecure.unwrap_or(self.dev_insecure),
            tenant: flags.tenant.unwrap_or(self.tenant),
            log_format: flags.log_format.unwrap_or(self.log_format),
            log_filter: flags.log_filter.unwrap_or(self.log_filter),
            allowed_origins: self.allowed_origins,
            auth: self.auth,
            limits: self.limits,
        }
    }
}

/// The URL of a database, which may carry a password: neither `Debug` nor serialising shows it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL itself, if there is one.
    #[must_use]
    pub fn given(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.clone())
    }

    /// The URL itself, to connect with; never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A text for logs: a `SQLite` path as it is, of anything else only the scheme.
    ///
    /// A Postgres URL can hold its password in several places, so nothing of it is shown.
    #[must_use]
    pub fn redacted(&self) -> String {
        match self.0.split_once(':') {
            Some(("sqlite", _)) => self.0.clone(),
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_lowercase()) => {
                format!("{scheme}://[redacted]")
            }
            _ => "[redacted]".to_owned(),
        }
    }
}

impl From<&str> for DatabaseUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for collectors.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Who may do what.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// The static access tokens.
    pub tokens: Vec<TokenConfig>,
}

/// One static access token. `auth::check_start` gives the texts their meaning and refuses bad ones.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The principal the token stands for; shown in the records of what it did.
    pub name: String,
    /// SHA-256 of the token in hex, as `packtrail token` prints it; the token itself is kept nowhere.
    #[serde(serialize_with = "redact")]
    pub hash: String,
    /// Tenants it may act in; empty means the one of [`Config::tenant`].
    #[serde(default)]
    pub tenants: Vec<String>,
    /// What it may do, such as `taskrunner.viewer` or `lineage.ingest`.
    pub scopes: Vec<String>,
    /// Approvals that it may decide ask for some of these, such as `packs.approve`; `taskrunner.operator`
    /// is needed beside.
    #[serde(default)]
    pub grants: Vec<String>,
    /// Steps that it may claim, as patterns over what they use, such as `builtin:*`; empty means all.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Sources it may write records of; empty means all.
    #[serde(default)]
    pub sources: Vec<String>,
    /// Namespaces it may write records of; empty means all.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Kinds it may write records of; empty means all.
    #[serde(default)]
    pub kinds: Vec<String>,
}

impl fmt::Debug for TokenConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenConfig")
            .field("name", &self.name)
            .field("hash", &"[redacted]")
            .field("tenants", &self.tenants)
            .field("scopes", &self.scopes)
            .field("grants", &self.grants)
            .field("capabilities", &self.capabilities)
            .field("sources", &self.sources)
            .field("namespaces", &self.namespaces)
            .field("kinds", &self.kinds)
            .finish()
    }
}

fn redact<S: serde::Serializer>(_secret: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("[redacted]")
}

/// Bounds on what clients can make the server do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a GraphQL request body, decompressed: the query and its variables fit many times over.
    pub graphql_body_bytes: usize,
    /// Seconds to read a request body, so that trickling clients do not hold connections.
    pub read_timeout_secs: u64,
    /// Bytes of a GraphQL document: parsing costs time before any other limit can apply.
    pub query_bytes: usize,
    /// Tokens of a GraphQL document, for the same reason.
    pub query_tokens: usize,
    /// Open brackets inside each other in a document: a recursive parser must not exhaust its stack.
    pub query_nesting: usize,
    /// Fields inside each other, fragments expanded; the introspection query needs 15.
    pub query_depth: u64,
    /// Fields after expanding fragments, which can double with every level.
    pub query_selections: u64,
    /// Aliases in a document: each repeats a field's work.
    pub query_aliases: usize,
    /// Fields at the root, which run side by side.
    pub query_root_fields: u64,
    /// Directives in a document: each may be answered with an error of its own.
    pub query_directives: usize,
    /// Fields times page sizes, an estimate of the rows touched.
    pub query_cost: u64,
    /// Documents kept parsed, since clients send the same few again and again; 0 keeps none.
    pub cached_documents: usize,
    /// Bytes that they take together.
    pub cached_document_bytes: usize,
    /// Elements of a page: each list of a query is read and held in memory as a whole.
    pub page_size: usize,
    /// Bytes of an answer, held in memory until it is sent.
    pub response_bytes: usize,
    /// Seconds an operation may take.
    pub request_timeout_secs: u64,
    /// Milliseconds to wait for a database connection before answering "unavailable".
    pub db_acquire_timeout_ms: u64,
    /// Milliseconds for one SQL statement, so that a stuck one frees its connection.
    pub db_statement_timeout_ms: u64,
    /// Operations running at once, of all principals: more would only wait for each other.
    pub in_flight_total: usize,
    /// Operations running at once of one principal, so that one cannot take every place.
    pub in_flight_per_principal: usize,
    /// Cost-weighted operations of one principal in a minute.
    pub rate_per_minute: u32,
    /// The same of one that is a worker: it tells many times a minute that it lives.
    pub worker_rate_per_minute: u32,
    /// `WebSocket`s at once, of all principals, and as many event streams: each costs memory and a file descriptor.
    pub sockets_total: usize,
    /// `WebSocket`s at once of one principal: one client alone must not take every place.
    pub sockets_per_principal: usize,
    /// Seconds until `connection_init`: who never says who they are must not hold a connection.
    pub socket_init_secs: u64,
    /// Bytes of one message of a client.
    pub socket_message_bytes: usize,
    /// Operations at once on one WebSocket.
    pub socket_subscriptions: usize,
    /// Seconds between pings, which keep proxies and their timers content.
    pub socket_ping_secs: u64,
    /// Seconds without a sign of life of a client after which it is taken for dead.
    pub socket_dead_secs: u64,
    /// Seconds that a subscriber may take nothing of what is written to it.
    pub slow_consumer_secs: u64,
    /// Bytes of lines of steps that the log of one run keeps.
    pub run_log_bytes: u64,
    /// Bytes of one artifact's content.
    pub artifact_bytes: u64,
    /// Bytes of one ingested ingested record; the platform's own store takes about as many.
    pub ingest_record_bytes: usize,
    /// Arrays and objects inside each other in an ingested record.
    pub json_depth: usize,
    /// Bytes of an ingested YAML document: unlike NDJSON it is parsed as a whole, in memory.
    pub yaml_bytes: usize,
    /// Records kept in one tenant's quarantine, which anybody who may ingest can fill.
    pub quarantine_max_items: u64,
    /// Bytes kept in one tenant's quarantine, for the same reason.
    pub quarantine_max_bytes: u64,
    /// Batches waiting for the database's one writer; beyond it, senders wait.
    pub writer_queue_len: usize,
    /// Records the writer commits together: they share the cost of one fsync.
    pub writer_batch_records: usize,
    /// Milliseconds the writer waits for a batch to fill; each adds to the latency of a lone record.
    pub writer_batch_delay_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            graphql_body_bytes: 1 << 20,
            read_timeout_secs: 30,
            query_bytes: 32 << 10,
            query_tokens: 2_000,
            query_nesting: 32,
            query_depth: 15,
            query_selections: 5_000,
            query_aliases: 30,
            query_root_fields: 10,
            query_directives: 20,
            query_cost: 10_000,
            cached_documents: 1_000,
            cached_document_bytes: 16 << 20,
            page_size: 100,
            response_bytes: 8 << 20,
            request_timeout_secs: 10,
            db_acquire_timeout_ms: 2_000,
            db_statement_timeout_ms: 5_000,
            in_flight_total: 256,
            in_flight_per_principal: 32,
            rate_per_minute: 600,
            worker_rate_per_minute: 60_000,
            sockets_total: 2_000,
            sockets_per_principal: 10,
            socket_init_secs: 5,
            socket_message_bytes: 64 << 10,
            socket_subscriptions: 20,
            socket_ping_secs: 20,
            socket_dead_secs: 40,
            slow_consumer_secs: 10,
            run_log_bytes: 64 << 20,
            artifact_bytes: 4 << 30,
            ingest_record_bytes: 3 << 19,
            json_depth: 64,
            yaml_bytes: 64 << 20,
            quarantine_max_items: 10_000,
            quarantine_max_bytes: 256 << 20,
            writer_queue_len: 256,
            writer_batch_records: 512,
            writer_batch_delay_ms: 2,
        }
    }
}

impl Limits {
    /// [`Limits::read_timeout_secs`] as a duration.
    #[must_use]
    pub fn read_timeout(&self) -> Duration {
        Duration::from_secs(self.read_timeout_secs)
    }

    /// [`Limits::request_timeout_secs`] as a duration.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_secs)
    }

    /// [`Limits::db_acquire_timeout_ms`] as a duration.
    #[must_use]
    pub fn db_acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.db_acquire_timeout_ms)
    }

    /// [`Limits::db_statement_timeout_ms`] as a duration.
    #[must_use]
    pub fn db_statement_timeout(&self) -> Duration {
        Duration::from_millis(self.db_statement_timeout_ms)
    }

    /// [`Limits::writer_batch_delay_ms`] as a duration.
    #[must_use]
    pub fn writer_batch_delay(&self) -> Duration {
        Duration::from_millis(self.writer_batch_delay_ms)
    }
}

/// One environment variable that sets a key.
struct Variable {
    name: String,
    /// With dots between the levels.
    key: String,
    value: String,
}

impl Variable {
    /// `None` for a variable that sets no known key.
    ///
    /// Unknown ones are passed over and not refused: Kubernetes itself sets
    /// `PACKTRAIL_SERVICE_HOST` and the like where a Service is called `packtrail`.
    fn known(name: &str, value: String, known: &[String]) -> Option<Self> {
        let key = name.strip_prefix(ENV_PREFIX)?.to_ascii_lowercase();
        let key = key.replace("__", ".");
        known.contains(&key).then(|| Self { name: name.to_owned(), key, value })
    }
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        let name = self.name.clone();
        Metadata::named("environment variable").interpolater(move |_, _| name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value: Value = match self.value.parse() {
            Ok(value) => value,
            Err(never) => match never {},
        };
        let nested = figment::util::nest(&self.key, value);
        let dict = nested.into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

/// Every key, with dots between the levels, read off the defaults so that no second list can lag.
fn known_keys() -> Vec<String> {
    let mut keys = Vec::new();
    if let Ok(value) = Value::serialize(Config::default()) {
        collect_keys("", &value, &mut keys);
    }
    keys
}

fn collect_keys(path: &str, value: &Value, keys: &mut Vec<String>) {
    match value.as_dict() {
        Some(dict) => {
            for (name, inner) in dict {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect_keys(&path, inner, keys);
            }
        }
        None => keys.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let config = Config::load_from(None, [], Overrides::default()).unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.tenant, "default");
        assert_eq!(config.limits.ingest_record_bytes, 1_572_864);
    }

    #[test]
    fn each_layer_overrides_the_one_before() {
        let file = file(
            "tenant = 'file'\nlog_filter = 'file'\nlisten = '127.0.0.1:1'\n[limits]\nquery_bytes = 1\nquery_cost = 1",
        );
        let env = env(&[
            ("PACKTRAIL_TENANT", "env"),
            ("PACKTRAIL_LISTEN", "127.0.0.1:2"),
            ("PACKTRAIL_LIMITS__QUERY_BYTES", "2"),
        ]);
        let flags = Overrides { listen: Some("127.0.0.1:3".parse().unwrap()), ..Overrides::default() };
        let config = Config::load_from(Some(file.path()), env, flags).unwrap();
        assert_eq!(config.log_filter, "file");
        assert_eq!(config.tenant, "env");
        assert_eq!(config.listen.port(), 3);
        assert_eq!(config.limits.query_bytes, 2);
        assert_eq!(config.limits.query_cost, 1);
        assert_eq!(config.limits.query_tokens, Limits::default().query_tokens);
    }

    #[test]
    fn every_flag_overrides() {
        let flags = Overrides {
            listen: Some("127.0.0.1:3".parse().unwrap()),
            database: Some(DatabaseUrl::from("sqlite://x.db")),
            no_migrate: Some(true),
            dev_insecure: Some(true),
            tenant: Some("t".to_owned()),
            log_format: Some(LogFormat::Json),
            log_filter: Some("debug".to_owned()),
        };
        let config = Config::load_from(None, [], flags).unwrap();
        let default = Config::default();
        assert_ne!(config.listen, default.listen);
        assert_ne!(config.database, default.database);
        assert!(config.no_migrate && config.dev_insecure);
        assert_eq!((config.tenant.as_str(), config.log_filter.as_str()), ("t", "debug"));
        assert_eq!(config.log_format, LogFormat::Json);
    }

    #[test]
    fn an_unknown_key_in_the_file_is_an_error_that_names_it() {
        for (text, key) in [
            ("listn = '127.0.0.1:1'", "listn"),
            ("[limits]\nquery_byte = 1", "query_byte"),
            ("[auth]\ntoken = []", "token"),
            ("[[auth.tokens]]\nname='a'\nhash='b'\nscopes=[]\nscope='c'", "scope"),
        ] {
            let file = file(text);
            let error = Config::load_from(Some(file.path()), [], Overrides::default()).unwrap_err();
            assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_names_its_key_or_variable() {
        let file = file("[limits]\nquery_bytes = 'many'");
        let error = Config::load_from(Some(file.path()), [], Overrides::default()).unwrap_err();
        assert!(error.to_string().contains("limits.query_bytes"), "{error}");

        let env = env(&[("PACKTRAIL_LIMITS__QUERY_BYTES", "many")]);
        let error = Config::load_from(None, env, Overrides::default()).unwrap_err();
        assert!(error.to_string().contains("PACKTRAIL_LIMITS__QUERY_BYTES"), "{error}");
    }

    #[test]
    fn a_named_file_must_exist() {
        let missing = Path::new("/nonexistent/packtrail.toml");
        assert!(Config::load_from(Some(missing), [], Overrides::default()).is_err());
    }

    #[test]
    fn variables_that_set_no_key_are_passed_over() {
        let env = env(&[
            ("PACKTRAIL_SERVICE_HOST", "10.0.0.1"),
            ("PACKTRAIL_PORT", "tcp://10.0.0.1:8080"),
            ("PACKTRAIL_LIMITS", "none"),
            ("OTHER_TENANT", "x"),
        ]);
        let config = Config::load_from(None, env, Overrides::default()).unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn tokens_can_come_from_the_environment() {
        let env = env(&[(
            "PACKTRAIL_AUTH__TOKENS",
            r#"[{name = "ci", hash = "ab", scopes = ["lineage.ingest"], sources = ["dump"]}]"#,
        )]);
        let config = Config::load_from(None, env, Overrides::default()).unwrap();
        assert_eq!(config.auth.tokens[0].name, "ci");
        assert_eq!(config.auth.tokens[0].sources, ["dump"]);
    }

    #[test]
    fn secrets_appear_neither_in_debug_nor_serialised() {
        let token = TokenConfig {
            name: "ci".to_owned(),
            hash: "5ecre7".to_owned(),
            tenants: vec![],
            scopes: vec![],
            grants: vec![],
            capabilities: Vec::new(),
            sources: vec![],
            namespaces: vec![],
            kinds: vec![],
        };
        let config = Config {
            database: DatabaseUrl::from("postgres://me:5ecre7@db/x?password=5ecre7"),
            auth: AuthConfig { tokens: vec![token] },
            ..Config::default()
        };
        let shown = format!("{config:?} {config:#?}");
        assert!(!shown.contains("5ecre7"), "{shown}");
        assert!(!serde_json::to_string(&config).unwrap().contains("5ecre7"));
        assert!(shown.contains("postgres://[redacted]"));
        assert_eq!(DatabaseUrl::from("me:5ecre7@db").redacted(), "me://[redacted]");
        assert_eq!(DatabaseUrl::from("5ecre7@db").redacted(), "[redacted]");
        assert_eq!(DatabaseUrl::from("sqlite://a.db").redacted(), "sqlite://a.db");
    }

    #[test]
    fn the_example_file_shows_every_key_with_its_default() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packtrail.example.toml"));
        let mut config = Config::load_from(Some(path), [], Overrides::default()).unwrap();
        assert_eq!(config.auth.tokens.len(), 1, "the example shows one token");
        config.auth = AuthConfig::default();
        assert_eq!(config, Config::default());

        let text = std::fs::read_to_string(path).unwrap();
        for key in known_keys() {
            let name = key.rsplit('.').next().unwrap();
            assert!(text.contains(name), "packtrail.example.toml lacks {key}");
        }
    }
}
