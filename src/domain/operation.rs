//! What statistics count: one operation for each result, with what it was about.

use super::digest::Digest;
use super::facts::Detail;
use super::identity::NaturalKey;
use super::kind;
use super::reference;
use super::world::{Object, Reader, pack_name, resolve_pack};

/// One result as statistics count it. Texts are empty where the record has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The result's row.
    pub object: i64,
    /// Its latest content.
    pub content: Digest,
    /// When it counts: at its completion, else its start, else its birth, microseconds.
    pub at: i64,
    /// From start to completion, microseconds; `None` unless both are known and in order.
    pub duration: Option<i64>,
    /// The cluster that it acted on.
    pub cluster: String,
    /// The pack that it is about: its own reference, else that of its execution.
    pub pack: String,
    /// The base of that pack.
    pub base: String,
    /// `spec.status`.
    pub status: String,
    /// `spec.capability`.
    pub capability: String,
    /// `spec.failureReason.category`.
    pub category: String,
    /// `spec.failureReason.failedStep`.
    pub step: String,
}

/// The operations of the results of one natural key.
pub fn derive(reader: &Reader, key: &NaturalKey) -> Vec<Operation> {
    reader.group(key).iter().filter_map(|object| operation(reader, object)).collect()
}

fn operation(reader: &Reader, object: &Object) -> Option<Operation> {
    let facts = object.result()?;
    let (pack, base) = pack(reader, object);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let duration = facts.completed.zip(facts.started).map(|(completed, started)| completed - started);
    Some(Operation {
        object: object.id,
        content: object.latest().content.digest,
        at: facts.completed.or(facts.started).unwrap_or_else(|| object.birth()),
        duration: duration.filter(|duration| *duration >= 0),
        cluster: object.cluster().unwrap_or_default().to_owned(),
        pack,
        base,
        status: text(&facts.status),
        capability: text(&facts.capability),
        category: text(&facts.failure_category),
        step: text(&facts.failed_step),
    })
}

/// The names of the pack and of its base.
fn pack(reader: &Reader, result: &Object) -> (String, String) {
    // A result of an early failure names no pack, but its execution does.
    let referrer = if pack_name(result.latest()).is_some() { Some(result) } else { execution(reader, result) };
    let Some((referrer, name)) = referrer.and_then(|referrer| Some((referrer, pack_name(referrer.latest())?))) else {
        return (String::new(), String::new());
    };
    let base = resolve_pack(reader, referrer).and_then(base_of);
    (name.to_owned(), base.unwrap_or_default().to_owned())
}

/// The base that the latest version of a pack names; a pack that names none is its own.
#[must_use]
pub fn base_of(pack: &Object) -> Option<&str> {
    match &pack.latest().content.facts.detail {
        Detail::Pack(facts) => Some(facts.base.as_deref().unwrap_or(&pack.key.name)),
        _ => None,
    }
}

/// The base of the pack that an object is about: the name that all versions of the pack share.
#[must_use]
pub fn base_pack(reader: &Reader, object: &Object) -> Option<String> {
    match &object.latest().content.facts.detail {
        Detail::Pack(_) => base_of(object).map(ToOwned::to_owned),
        Detail::Result(_) => Some(pack(reader, object).1).filter(|base| !base.is_empty()),
        _ => resolve_pack(reader, object).and_then(base_of).map(ToOwned::to_owned),
    }
}

/// The execution of a result: its owner, else the one of its sequence's name.
pub fn execution<'a>(reader: &Reader<'a>, result: &Object) -> Option<&'a Object> {
    if let Some(owner) = result.history.owner() {
        return reference::by_uid(reader, &result.key.namespace, kind::EXECUTION, &owner.name, &owner.uid);
    }
    let (name, is_named) = result.sequence_name();
    is_named.then(|| reference::execution(reader, result, name, result.birth())).flatten()
}
