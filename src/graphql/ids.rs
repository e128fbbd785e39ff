//! Global ids: opaque to clients, made of natural identity alone, so that they are the same in every
//! store and survive a rebuild.

use async_graphql::ID;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::domain::identity::NaturalKey;
use crate::service::query::lineage::Entity;

/// What a global id names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GlobalId {
    /// A record: source, canonical kind, cluster of residence, namespace, name, uid.
    #[serde(rename = "r")]
    Record(String, String, String, String, String, Option<String>),
    /// A source: name.
    #[serde(rename = "s")]
    Source(String),
    /// A sequence: source, namespace, name.
    #[serde(rename = "q")]
    Sequence(String, String, String),
    /// A chain: source, namespace, name, identity of the epoch.
    #[serde(rename = "c")]
    Chain(String, String, String, String),
    /// A finding: source, code, subject.
    #[serde(rename = "f")]
    Finding(String, String, String),
    /// A cluster: source, name.
    #[serde(rename = "k")]
    Cluster(String, String),
    /// A pack family: source, name.
    #[serde(rename = "p")]
    PackFamily(String, String),
    /// A vertex of the lineage graph that is nothing of the above.
    #[serde(rename = "v")]
    Vertex(Entity),
    /// A run: its name.
    #[serde(rename = "n")]
    Run(String),
    /// An item in quarantine: the hash of its source and bytes.
    #[serde(rename = "x")]
    Quarantined(i64),
}

/// [`GlobalId::Record`] of parts that are elsewhere: lists of records are full of ids.
#[derive(Serialize)]
struct RecordId<'a> {
    r: (&'a str, &'a str, &'a str, &'a str, &'a str, Option<&'a str>),
}

/// [`GlobalId::Vertex`] of an entity that is elsewhere.
#[derive(Serialize)]
struct VertexId<'a> {
    v: &'a Entity,
}

fn encoded(id: &impl Serialize) -> ID {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(id).unwrap_or_default()).into()
}

impl GlobalId {
    /// The id of a record, as clients see it.
    #[must_use]
    pub fn of_record(source: &str, key: &NaturalKey, uid: Option<&str>) -> ID {
        encoded(&RecordId { r: (source, &key.kind, &key.cluster, &key.namespace, &key.name, uid) })
    }

    /// The id that an entity of this canonical kind has as a record.
    #[must_use]
    pub fn of_record_entity(kind: &str, entity: &Entity) -> ID {
        let Entity { source, cluster, namespace, name, uid, .. } = entity;
        encoded(&RecordId { r: (source, kind, cluster, namespace, name, uid.as_deref()) })
    }

    /// The id of a vertex that only the graph has.
    #[must_use]
    pub fn of_vertex(entity: &Entity) -> ID {
        encoded(&VertexId { v: entity })
    }

    /// The id as clients see it.
    #[must_use]
    pub fn encode(&self) -> ID {
        encoded(self)
    }

    /// Reads an id.
    ///
    /// # Errors
    /// If it is none of ours.
    pub fn decode(id: &ID) -> Result<Self, ApiError> {
        let bytes = URL_SAFE_NO_PAD.decode(id.as_bytes()).ok();
        let read: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        // One thing has one id, so that clients can compare them.
        read.filter(|read| read.encode() == *id).ok_or_else(|| ApiError::bad_input("This is no id of this server."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_one_id_however_it_is_made() {
        for (cluster, uid) in [("", None), ("c", Some("u"))] {
            let key = NaturalKey { cluster: cluster.to_owned(), ..NaturalKey::new("k", "n\"s", "n") };
            let text = str::to_owned;
            let whole = GlobalId::Record(text("s"), text("k"), text(cluster), text("n\"s"), text("n"), uid.map(text));
            assert_eq!(GlobalId::of_record("s", &key, uid), whole.encode());
        }
    }

    #[test]
    fn an_id_reads_back_and_others_are_refused() {
        let part = || "x".to_owned();
        for id in [
            GlobalId::Record(part(), part(), String::new(), part(), part(), None),
            GlobalId::Source(part()),
            GlobalId::Sequence(part(), part(), part()),
            GlobalId::Chain(part(), part(), part(), part()),
            GlobalId::Finding(part(), part(), part()),
            GlobalId::Cluster(part(), part()),
            GlobalId::PackFamily(part(), part()),
            GlobalId::Run(part()),
            GlobalId::Quarantined(7),
        ] {
            assert_eq!(GlobalId::decode(&id.encode()).unwrap(), id);
        }
        let spaced = URL_SAFE_NO_PAD.encode(br#"{"s": "x"}"#);
        for text in ["", "x", "!", spaced.as_str()] {
            assert!(GlobalId::decode(&ID::from(text)).is_err(), "{text}");
        }
    }
}
