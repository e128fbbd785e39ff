//! What names a thing: natural keys of records, and of the collections that rules speak about.

use std::fmt;

/// The kind of the collection of all results of one execution name.
pub const SEQUENCE: &str = "~sequence";
/// The kind of the collection of all receipts for one pack on one cluster.
pub const DELIVERY: &str = "~delivery";
/// The kind of the collection of all executions of one base pack on one cluster.
pub const FAMILY: &str = "~family";

/// The namespace of receipts, the same on every tenant cluster.
pub const RECEIPT_NAMESPACE: &str = "ont-system";

/// Kind, place and name, within one source. Names are reused in real clusters: a key can have had
/// many objects, told apart by their uids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NaturalKey {
    /// The canonical kind, or that of a collection.
    pub kind: String,
    /// The cluster of residence where the namespace does not tell it (receipts live in the same
    /// namespace on every tenant cluster); else empty.
    pub cluster: String,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl NaturalKey {
    /// A key of a record whose namespace tells where it lives.
    #[must_use]
    pub fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), cluster: String::new(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The collection of the results of the execution name `name`.
    #[must_use]
    pub fn sequence(namespace: &str, name: &str) -> Self {
        Self::new(SEQUENCE, namespace, name)
    }

    /// The collection of the receipts for `pack` on `cluster`.
    #[must_use]
    pub fn delivery(cluster: &str, pack: &str) -> Self {
        Self { cluster: cluster.to_owned(), ..Self::new(DELIVERY, "", pack) }
    }

    /// The collection of the executions of the base pack `base` on `cluster`.
    #[must_use]
    pub fn family(cluster: &str, base: &str) -> Self {
        Self { cluster: cluster.to_owned(), ..Self::new(FAMILY, "", base) }
    }

    /// Whether this names a collection and not a record.
    #[must_use]
    pub fn is_collection(&self) -> bool {
        self.kind.starts_with('~')
    }

    /// `kind/cluster/namespace/name/uid`, with `-` for no uid: the key of one object.
    #[must_use]
    pub fn object_key(&self, uid: Option<&str>) -> String {
        format!("{self}/{}", uid.unwrap_or("-"))
    }
}

impl fmt::Display for NaturalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.kind, self.cluster, self.namespace, self.name)
    }
}
