//! What records name without being it: clusters, and the families that packs are versions of.

use super::facts::Detail;
use super::history::Version;
use super::identity::NaturalKey;

/// What can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Named {
    /// A cluster: by what acts on it, or is meant for it.
    Cluster,
    /// What all versions of a pack are versions of: by the packs.
    PackFamily,
    /// A pack family on a cluster, by what is about both: see [`pack_on_cluster`].
    PackOnCluster,
}

/// Separates the parts of a name that has two: a control character, which no name of Kubernetes has.
const BETWEEN: char = '\u{1f}';

/// The name of a pack family on a cluster, so that those of one cluster are next to each other.
#[must_use]
pub fn pack_on_cluster(cluster: &str, base: &str) -> String {
    format!("{cluster}{BETWEEN}{base}")
}

/// The range, its end exclusive, of the names of the pack families on a cluster.
#[must_use]
pub fn packs_on(cluster: &str) -> (String, String) {
    (format!("{cluster}{BETWEEN}"), format!("{cluster} "))
}

impl Named {
    /// The word for it in the store.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cluster => "CLUSTER",
            Self::PackFamily => "PACK_FAMILY",
            Self::PackOnCluster => "PACK_ON_CLUSTER",
        }
    }
}

/// What a version of an object names. A pack without a base pack is a family of its own, by its name.
#[must_use]
pub fn mentions(key: &NaturalKey, version: &Version) -> Vec<(Named, String)> {
    let facts = &version.content.facts;
    let mut named: Vec<(Named, String)> =
        facts.cluster.iter().map(|cluster| (Named::Cluster, cluster.clone())).collect();
    if let Detail::Pack(pack) = &facts.detail {
        named.extend(pack.targets.iter().map(|cluster| (Named::Cluster, cluster.clone())));
        named.push((Named::PackFamily, pack.base.clone().unwrap_or_else(|| key.name.clone())));
    }
    named
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::facts::{Facts, PackFacts};
    use crate::domain::history::Content;

    fn version(facts: Facts) -> Version {
        let digest = Digest::of_bytes(b"");
        let content = Arc::new(Content { digest, spec: digest, facts });
        Version { from: 0, to: None, end: None, content, observation: 1 }
    }

    #[test]
    fn a_pack_names_its_family_and_the_clusters_it_is_meant_for() {
        let key = NaturalKey::new("ClusterPack", "ns", "own");
        let pack = |base: Option<&str>| Facts {
            detail: Detail::Pack(PackFacts {
                base: base.map(ToOwned::to_owned),
                targets: vec!["a".into(), "b".into()],
                ..PackFacts::default()
            }),
            ..Facts::default()
        };
        let clusters = [(Named::Cluster, "a".to_owned()), (Named::Cluster, "b".to_owned())];
        let with = |family: &str| [&clusters[..], &[(Named::PackFamily, family.to_owned())]].concat();
        assert_eq!(mentions(&key, &version(pack(Some("base")))), with("base"));
        assert_eq!(mentions(&key, &version(pack(None))), with("own"));
    }

    #[test]
    fn whatever_acts_on_a_cluster_names_it() {
        let key = NaturalKey::new("PackReceipt", "ns", "r");
        let facts = Facts { cluster: Some("c".into()), ..Facts::default() };
        assert_eq!(mentions(&key, &version(facts)), [(Named::Cluster, "c".to_owned())]);
        assert_eq!(mentions(&key, &version(Facts::default())), []);
    }
}
