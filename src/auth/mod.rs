//! Who may do what: static bearer tokens, scopes, tenants.

mod principal;
mod scope;
mod token;

use std::collections::BTreeSet;
use std::sync::Arc;

use subtle::ConditionallySelectable as _;

pub use principal::{Grants, IngestBinding, Principal, TenantSet, valid_tenant};
pub use scope::{Scope, UnknownScope};
pub use token::{MIN_TOKEN_LEN, TOKEN_LEN, TokenError, TokenHash, generate_token, hash_token};

use crate::config::{Config, TokenConfig};

/// How the server knows its callers. [`check_start`] makes one.
#[derive(Clone, Debug)]
pub enum AuthMode {
    /// Every request carries one of these tokens.
    Tokens(Vec<Entry>),
    /// Everybody is this principal, who may do everything: for development, on loopback.
    Insecure(Principal),
}

/// A configured token.
#[derive(Clone, Debug)]
pub struct Entry {
    hash: TokenHash,
    principal: Principal,
}

/// Why a request is refused before it is looked at.
///
/// Deliberately without detail: a caller learns neither which token was close nor which tenants exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthError {
    /// No token, a malformed header, or an unknown token.
    Unauthenticated,
    /// The tenant named is not one of the caller's.
    TenantForbidden,
    /// The caller has several tenants and named none.
    TenantRequired,
}

impl AuthError {
    /// The stable code that clients see.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::TenantForbidden => "TENANT_FORBIDDEN",
            Self::TenantRequired => "TENANT_REQUIRED",
        }
    }
}

/// Why the server refuses to start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Neither tokens nor the flag to do without.
    #[error(
        "no access tokens are configured: add [[auth.tokens]] (`packtrail token` makes one), \
         or start with --dev-insecure on a loopback address"
    )]
    NoAuth,
    /// Without authentication, reachable from other machines.
    #[error("--dev-insecure needs a loopback address to listen on, not {0}")]
    InsecureBind(std::net::SocketAddr),
    /// Both: it would be unclear whether tokens are asked for.
    #[error("--dev-insecure and access tokens exclude each other")]
    InsecureWithTokens,
    /// A tenant's name that cannot be one.
    #[error("`{0}` is not a tenant's name: 1 to 253 letters, digits, `-`, `_` or `.`")]
    BadTenant(String),
    /// A token's settings make no sense.
    #[error("token `{name}`: {problem}")]
    BadToken {
        /// Which one.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Decides whether the server may start with this configuration, and how it knows its callers.
///
/// # Errors
/// Without tokens, unless `dev_insecure` is set and the address is loopback; with tokens that are
/// malformed, ambiguous or useless.
pub fn check_start(config: &Config) -> Result<AuthMode, StartError> {
    if !valid_tenant(&config.tenant) {
        return Err(StartError::BadTenant(config.tenant.clone()));
    }
    match (config.auth.tokens.is_empty(), config.dev_insecure) {
        (false, false) => entries(config).map(AuthMode::Tokens),
        (false, true) => Err(StartError::InsecureWithTokens),
        (true, false) => Err(StartError::NoAuth),
        (true, true) if !config.listen.ip().is_loopback() => Err(StartError::InsecureBind(config.listen)),
        (true, true) => Ok(AuthMode::Insecure(insecure_principal(&config.tenant))),
    }
}

fn insecure_principal(tenant: &str) -> Principal {
    Principal {
        subject: "anonymous".into(),
        tenants: TenantSet::Any { default: tenant.into() },
        scopes: Scope::ALL.into(),
        ingest_binding: Arc::default(),
        grants: Grants::Any,
        capabilities: Arc::default(),
    }
}

fn entries(config: &Config) -> Result<Vec<Entry>, StartError> {
    let mut entries: Vec<Entry> = Vec::new();
    for token in &config.auth.tokens {
        let bad = |problem: String| StartError::BadToken { name: token.name.clone(), problem };
        let entry = entry(token, &config.tenant).map_err(bad)?;
        if let Some(twin) = entries.iter().find(|other| clash(other, &entry)) {
            let twin = &twin.principal.subject;
            return Err(bad(format!("shares its name or its hash with `{twin}`")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Two entries of one name could not be told apart in the records, two of one hash not at all.
fn clash(a: &Entry, b: &Entry) -> bool {
    a.hash == b.hash || a.principal.subject == b.principal.subject
}

fn entry(token: &TokenConfig, default_tenant: &str) -> Result<Entry, String> {
    if token.name.trim().is_empty() {
        return Err("needs a name".to_owned());
    }
    let hash = TokenHash::from_hex(&token.hash).map_err(|error| error.to_string())?;
    let scopes: Result<Vec<Scope>, _> = token.scopes.iter().map(|name| name.parse()).collect();
    let scopes = scopes.map_err(|error: UnknownScope| error.to_string())?;
    if scopes.is_empty() {
        return Err("needs at least one scope".to_owned());
    }
    Ok(Entry {
        hash,
        principal: Principal {
            subject: token.name.as_str().into(),
            tenants: tenants(&token.tenants, default_tenant)?,
            scopes: scopes.into(),
            ingest_binding: Arc::new(binding(token)),
            grants: Grants::Only(Arc::new(token.grants.iter().cloned().collect())),
            capabilities: token.capabilities.iter().cloned().collect(),
        },
    })
}

fn tenants(names: &[String], default: &str) -> Result<TenantSet, String> {
    if let Some(bad) = names.iter().find(|name| !valid_tenant(name)) {
        return Err(StartError::BadTenant(bad.clone()).to_string());
    }
    let mut set: BTreeSet<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
    if set.is_empty() {
        set.insert(default.into());
    }
    Ok(TenantSet::Only(Arc::new(set)))
}

fn binding(token: &TokenConfig) -> IngestBinding {
    let set = |items: &[String]| items.iter().cloned().collect();
    IngestBinding { sources: set(&token.sources), namespaces: set(&token.namespaces), kinds: set(&token.kinds) }
}

/// Tells principals from requests.
#[derive(Clone, Debug)]
pub struct Authenticator {
    mode: Arc<AuthMode>,
}

impl Authenticator {
    /// From what [`check_start`] returned.
    #[must_use]
    pub fn new(mode: AuthMode) -> Self {
        Self { mode: Arc::new(mode) }
    }

    /// The caller behind an `Authorization` header.
    ///
    /// # Errors
    /// [`AuthError::Unauthenticated`] unless the header carries a known token.
    pub fn authenticate(&self, header: Option<&str>) -> Result<Principal, AuthError> {
        match &*self.mode {
            AuthMode::Insecure(principal) => Ok(principal.clone()),
            AuthMode::Tokens(entries) => {
                let token = header.and_then(bearer).ok_or(AuthError::Unauthenticated)?;
                find(entries, token).ok_or(AuthError::Unauthenticated)
            }
        }
    }
}

/// The token of a `Bearer` header; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Compares with every entry, always, so that time tells neither whether nor where one matched.
fn find(entries: &[Entry], token: &str) -> Option<Principal> {
    let presented = TokenHash::of(token);
    let mut found = u64::MAX;
    for (index, entry) in (0u64..).zip(entries) {
        found.conditional_assign(&index, entry.hash.ct_eq(&presented));
    }
    let index = usize::try_from(found).ok()?;
    entries.get(index).map(|entry| entry.principal.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AuthConfig;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn token(name: &str, secret: &str, scopes: &[&str]) -> TokenConfig {
        TokenConfig {
            name: name.to_owned(),
            hash: TokenHash::of(secret).to_hex(),
            tenants: vec![],
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            grants: vec![],
            capabilities: Vec::new(),
            sources: vec![],
            namespaces: vec![],
            kinds: vec![],
        }
    }

    fn with_tokens(tokens: Vec<TokenConfig>) -> Config {
        Config { auth: AuthConfig { tokens }, ..Config::default() }
    }

    fn authenticator(tokens: Vec<TokenConfig>) -> Authenticator {
        Authenticator::new(check_start(&with_tokens(tokens)).unwrap())
    }

    fn problem(token: TokenConfig) -> String {
        match check_start(&with_tokens(vec![token])) {
            Err(StartError::BadToken { problem, .. }) => problem,
            other => format!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_server_without_tokens_does_not_start() {
        assert_eq!(check_start(&Config::default()).unwrap_err(), StartError::NoAuth);
    }

    #[test]
    fn dev_insecure_starts_on_loopback_only() {
        for (listen, starts) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9:0", true),
            ("[::1]:8080", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("192.168.0.1:8080", false),
        ] {
            let config = Config { dev_insecure: true, listen: listen.parse().unwrap(), ..Config::default() };
            assert_eq!(check_start(&config).is_ok(), starts, "{listen}");
        }
    }

    #[test]
    fn dev_insecure_beside_tokens_is_refused() {
        let config = Config { dev_insecure: true, ..with_tokens(vec![token("a", TOKEN, &["taskrunner.viewer"])]) };
        assert_eq!(check_start(&config).unwrap_err(), StartError::InsecureWithTokens);
    }

    #[test]
    fn with_tokens_any_address_will_do() {
        let config = Config {
            listen: "0.0.0.0:8080".parse().unwrap(),
            ..with_tokens(vec![token("a", TOKEN, &["taskrunner.viewer"])])
        };
        assert!(check_start(&config).is_ok());
    }

    #[test]
    fn malformed_tokens_are_refused_with_the_reason() {
        assert!(problem(token("", TOKEN, &["lineage.ingest"])).contains("name"));
        assert!(problem(token("a", TOKEN, &[])).contains("scope"));
        assert!(problem(token("a", TOKEN, &["root"])).contains("`root`"));
        let mut bad_hash = token("a", TOKEN, &["lineage.ingest"]);
        bad_hash.hash = TOKEN.to_owned();
        assert!(problem(bad_hash).contains("64 hex digits"));
        let mut bad_tenant = token("a", TOKEN, &["lineage.ingest"]);
        bad_tenant.tenants = vec!["a/b".to_owned()];
        assert!(problem(bad_tenant).contains("`a/b`"));
    }

    #[test]
    fn two_tokens_of_one_name_or_one_hash_are_refused() {
        let scopes = &["taskrunner.viewer"];
        for (a, b) in [(("a", "1"), ("a", "2")), (("a", "1"), ("b", "1"))] {
            let tokens = vec![token(a.0, a.1, scopes), token(b.0, b.1, scopes)];
            let error = check_start(&with_tokens(tokens)).unwrap_err();
            assert!(error.to_string().contains("shares its name or its hash"), "{error}");
        }
    }

    #[test]
    fn each_token_gives_its_own_principal() {
        let tokens: Vec<_> =
            (0..5).map(|i| token(&format!("p{i}"), &format!("{TOKEN}{i}"), &["taskrunner.viewer"])).collect();
        let auth = authenticator(tokens);
        for i in 0..5 {
            let principal = auth.authenticate(Some(&format!("Bearer {TOKEN}{i}"))).unwrap();
            assert_eq!(&*principal.subject, format!("p{i}"));
        }
    }

    #[test]
    fn anything_but_a_known_token_is_unauthenticated() {
        let auth = authenticator(vec![token("a", TOKEN, &["taskrunner.viewer"])]);
        let hash = TokenHash::of(TOKEN).to_hex();
        for header in [
            None,
            Some(""),
            Some(TOKEN),
            Some("Bearer"),
            Some("Bearer "),
            Some(&*format!("Basic {TOKEN}")),
            Some(&*format!("Bearer {TOKEN}x")),
            Some(&*format!("Bearer {hash}")),
            Some(&*format!("Bearer {}", TOKEN.to_uppercase())),
        ] {
            assert_eq!(auth.authenticate(header), Err(AuthError::Unauthenticated), "{header:?}");
        }
        assert!(auth.authenticate(Some(&format!("bearer  {TOKEN}"))).is_ok());
    }

    #[test]
    fn a_token_without_tenants_acts_in_the_configured_one() {
        let auth = authenticator(vec![token("a", TOKEN, &["taskrunner.viewer"])]);
        let principal = auth.authenticate(Some(&format!("Bearer {TOKEN}"))).unwrap();
        assert_eq!(principal.tenant(None).as_deref(), Ok("default"));
        assert_eq!(principal.tenant(Some("x")), Err(AuthError::TenantForbidden));
    }

    #[test]
    fn scopes_and_binding_come_from_the_token() {
        let mut collector = token("a", TOKEN, &["lineage.ingest"]);
        collector.sources = vec!["mgmt-a".to_owned()];
        let auth = authenticator(vec![collector]);
        let principal = auth.authenticate(Some(&format!("Bearer {TOKEN}"))).unwrap();
        assert!(principal.has(Scope::Ingest));
        assert!(!principal.has(Scope::Viewer));
        assert!(principal.ingest_binding.allows("mgmt-a", "n", "k"));
        assert!(!principal.ingest_binding.allows("mgmt-b", "n", "k"));
    }

    #[test]
    fn without_authentication_everything_is_allowed_to_everybody() {
        let config = Config { dev_insecure: true, ..Config::default() };
        let auth = Authenticator::new(check_start(&config).unwrap());
        let principal = auth.authenticate(None).unwrap();
        assert!(Scope::ALL.into_iter().all(|scope| principal.has(scope)));
        assert_eq!(principal.tenant(None).as_deref(), Ok("default"));
    }
}
