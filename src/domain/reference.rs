//! What the names in records lead to, each resolved at a time: the one place that knows where a kind
//! of reference is looked up.

use super::identity::{NaturalKey, RECEIPT_NAMESPACE};
use super::kind;
use super::world::{Object, Reader, lookup_namespaces};

/// The object of an owner reference, or of any other that names a uid: in the referrer's namespace,
/// else cluster-scoped.
pub fn by_uid<'a>(reader: &Reader<'a>, namespace: &str, kind: &str, name: &str, uid: &str) -> Option<&'a Object> {
    let is_it = |found: &&Object| found.uid.as_deref() == Some(uid);
    [namespace, ""]
        .iter()
        .find_map(|namespace| reader.group(&NaturalKey::new(kind, namespace, name)).iter().find(is_it))
}

/// The row of [`by_uid`], without the object's history.
pub fn seen(reader: &Reader, namespace: &str, kind: &str, name: &str, uid: &str) -> Option<i64> {
    [namespace, ""].iter().find_map(|namespace| reader.seen(&NaturalKey::new(kind, namespace, name), uid))
}

/// The execution that a result or an instance names.
pub fn execution<'a>(reader: &Reader<'a>, referrer: &Object, name: &str, at: i64) -> Option<&'a Object> {
    reader.resolve(kind::EXECUTION, &lookup_namespaces(referrer), name, at)
}

/// The pack that a record names.
pub fn pack<'a>(reader: &Reader<'a>, referrer: &Object, name: &str, at: i64) -> Option<&'a Object> {
    reader.resolve(kind::PACK, &lookup_namespaces(referrer), name, at)
}

/// The instance that a receipt names.
pub fn instance<'a>(reader: &Reader<'a>, receipt: &Object, name: &str, at: i64) -> Option<&'a Object> {
    reader.resolve(kind::INSTANCE, &lookup_namespaces(receipt), name, at)
}

/// The predecessor that a result names.
pub fn previous<'a>(reader: &Reader<'a>, result: &Object, name: &str, at: i64) -> Option<&'a Object> {
    reader.resolve(kind::RESULT, std::slice::from_ref(&result.key.namespace), name, at)
}

/// The result that an execution reports: one that it owns, before any other of the name.
pub fn report<'a>(reader: &Reader<'a>, execution: &Object, name: &str, at: i64) -> Option<&'a Object> {
    let namespace = std::slice::from_ref(&execution.key.namespace);
    let is_own = |result: &Object| result.history.owner().map(|owner| &owner.uid) == execution.uid.as_ref();
    reader
        .resolve_where(kind::RESULT, namespace, name, at, is_own)
        .or_else(|| reader.resolve(kind::RESULT, namespace, name, at))
}

/// The lineage index that labels name. Some operators leave the prefix of the kind out of the name.
pub fn index<'a>(reader: &Reader<'a>, namespace: &str, name: &str, at: i64) -> Option<&'a Object> {
    let namespaces = [namespace.to_owned()];
    let find = |name: &str| reader.resolve(kind::LINEAGE_INDEX, &namespaces, name, at);
    find(name).or_else(|| find(&format!("infrastructure{name}")))
}

/// The key of the receipt that a drift signal names: it lives on the cluster.
#[must_use]
pub fn receipt_key(cluster: &str, name: &str) -> NaturalKey {
    NaturalKey { cluster: cluster.to_owned(), ..NaturalKey::new(kind::RECEIPT, RECEIPT_NAMESPACE, name) }
}
