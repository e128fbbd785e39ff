//! Who is asking, and in which tenant.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{AuthError, Scope};

/// Longest tenant name; names end up in keys and log lines.
const MAX_TENANT_LEN: usize = 253;

/// An authenticated caller. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name recorded as the actor of everything the caller does.
    pub subject: Arc<str>,
    /// Where the caller may act.
    pub tenants: TenantSet,
    /// What the caller may do.
    pub scopes: Arc<[Scope]>,
    /// Which records the caller may send, if it may send any.
    pub ingest_binding: Arc<IngestBinding>,
    /// Which approvals the caller may decide, beside those that ask for nothing.
    pub grants: Grants,
    /// Which steps a worker may claim, as patterns over what they use; none means all.
    pub capabilities: Arc<[String]>,
}

/// What task packs may ask of who decides their approvals. No scope stands for a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grants {
    /// These.
    Only(Arc<BTreeSet<String>>),
    /// All: a server without authentication.
    Any,
}

impl Grants {
    /// Whether a grant is held.
    #[must_use]
    pub fn has(&self, grant: &str) -> bool {
        match self {
            Self::Only(held) => held.contains(grant),
            Self::Any => true,
        }
    }
}

impl Principal {
    /// Whether the caller may do what asks for `needed`.
    #[must_use]
    pub fn has(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|held| held.grants(needed))
    }

    /// The tenant of a request: the one named by its `X-StellaOps-Tenant` header, else the only one
    /// the caller has.
    ///
    /// # Errors
    /// [`AuthError::TenantForbidden`] when the named one is not the caller's,
    /// [`AuthError::TenantRequired`] when none is named and the caller has several.
    pub fn tenant(&self, header: Option<&str>) -> Result<Arc<str>, AuthError> {
        self.tenants.choose(header)
    }
}

/// The tenants a principal may act in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantSet {
    /// These; never empty.
    Only(Arc<BTreeSet<Arc<str>>>),
    /// Every tenant, this one where none is named: a server without authentication.
    Any {
        /// The configured single tenant.
        default: Arc<str>,
    },
}

impl TenantSet {
    fn choose(&self, named: Option<&str>) -> Result<Arc<str>, AuthError> {
        match (self, named) {
            (Self::Only(set), Some(name)) => set.get(name).cloned().ok_or(AuthError::TenantForbidden),
            (Self::Only(set), None) => match (set.first(), set.len()) {
                (Some(only), 1) => Ok(only.clone()),
                _ => Err(AuthError::TenantRequired),
            },
            (Self::Any { .. }, Some(name)) if valid_tenant(name) => Ok(name.into()),
            (Self::Any { .. }, Some(_)) => Err(AuthError::TenantForbidden),
            (Self::Any { default }, None) => Ok(default.clone()),
        }
    }
}

/// Whether `name` can be a tenant: 1 to 253 letters, digits, `-`, `_` or `.`.
#[must_use]
pub fn valid_tenant(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=MAX_TENANT_LEN).contains(&name.len()) && name.bytes().all(allowed)
}

/// Which records a principal may send, so that one cluster's collector cannot forge another's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestBinding {
    /// Sources; empty means all.
    pub sources: BTreeSet<String>,
    /// Namespaces; empty means all.
    pub namespaces: BTreeSet<String>,
    /// Kinds; empty means all.
    pub kinds: BTreeSet<String>,
}

impl IngestBinding {
    /// Whether a record of this source, namespace and kind may be sent.
    ///
    /// `kind` is the kind's canonical name: dialects are resolved before asking.
    #[must_use]
    pub fn allows(&self, source: &str, namespace: &str, kind: &str) -> bool {
        self.allows_source(source) && empty_or_has(&self.namespaces, namespace) && empty_or_has(&self.kinds, kind)
    }

    /// Whether anything of this source may be sent: the check before a body is read.
    #[must_use]
    pub fn allows_source(&self, source: &str) -> bool {
        empty_or_has(&self.sources, source)
    }
}

impl IngestBinding {
    /// Whether a complete listing of these kinds and namespaces (empty means all) may be sent: it
    /// closes what it omits, so it must stay within what the principal may send.
    #[must_use]
    pub fn allows_listing(&self, kinds: &[String], namespaces: &[String]) -> bool {
        within(&self.kinds, kinds) && within(&self.namespaces, namespaces)
    }
}

fn within(bound: &BTreeSet<String>, listed: &[String]) -> bool {
    bound.is_empty() || (!listed.is_empty() && listed.iter().all(|name| bound.contains(name)))
}

fn empty_or_has(set: &BTreeSet<String>, item: &str) -> bool {
    set.is_empty() || set.contains(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(names: &[&str]) -> TenantSet {
        TenantSet::Only(Arc::new(names.iter().map(|name| Arc::from(*name)).collect()))
    }

    #[test]
    fn the_header_chooses_within_the_tokens_tenants() {
        let set = only(&["a", "b"]);
        assert_eq!(set.choose(Some("b")).as_deref(), Ok("b"));
        assert_eq!(set.choose(Some("c")), Err(AuthError::TenantForbidden));
        assert_eq!(set.choose(Some("")), Err(AuthError::TenantForbidden));
        assert_eq!(set.choose(Some("A")), Err(AuthError::TenantForbidden));
    }

    #[test]
    fn without_a_header_the_only_tenant_is_taken_and_several_are_an_error() {
        assert_eq!(only(&["a"]).choose(None).as_deref(), Ok("a"));
        assert_eq!(only(&["a", "b"]).choose(None), Err(AuthError::TenantRequired));
        assert_eq!(only(&[]).choose(None), Err(AuthError::TenantRequired));
    }

    #[test]
    fn without_authentication_any_well_formed_tenant_may_be_named() {
        let set = TenantSet::Any { default: "d".into() };
        assert_eq!(set.choose(None).as_deref(), Ok("d"));
        assert_eq!(set.choose(Some("x-1.y_Z")).as_deref(), Ok("x-1.y_Z"));
        for bad in ["", "a b", "a/b", "ä", "a\0", &"a".repeat(254)] {
            assert_eq!(set.choose(Some(bad)), Err(AuthError::TenantForbidden), "{bad}");
        }
    }

    #[test]
    fn a_binding_needs_source_namespace_and_kind_to_match() {
        let binding = IngestBinding {
            sources: ["mgmt-a".to_owned()].into(),
            namespaces: ["seam-tenant-a".to_owned()].into(),
            kinds: ["PackOperationResult".to_owned()].into(),
        };
        assert!(binding.allows("mgmt-a", "seam-tenant-a", "PackOperationResult"));
        assert!(!binding.allows("mgmt-b", "seam-tenant-a", "PackOperationResult"));
        assert!(!binding.allows("mgmt-a", "seam-tenant-b", "PackOperationResult"));
        assert!(!binding.allows("mgmt-a", "seam-tenant-a", "PackReceipt"));
        assert!(IngestBinding::default().allows("any", "", "Kind"));
    }
}
