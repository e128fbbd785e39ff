//! What others can see of the objects of a natural key: whether a change of them concerns anybody.
//!
//! A rule that looks up a record by name learns when it lived, and which facts it had from when on. A
//! version that changes no fact, such as one of a condition that no rule knows, is seen by none.

use std::borrow::Cow;

use super::facts::{Detail, ExecutionFacts, Facts, PackFacts, PackRef};
use super::names::Names;
use super::world::Object;

/// Whether the objects look the same to whoever looks them up.
#[must_use]
pub fn looks_same(before: &[Object], after: &[Object]) -> bool {
    is_same(before, after, without_names)
}

/// What a record names for the graph concerns nobody but itself.
fn without_names(facts: &Facts) -> Cow<'_, Facts> {
    if facts.names.is_empty() {
        return Cow::Borrowed(facts);
    }
    Cow::Owned(Facts { names: Names::default(), ..facts.clone() })
}

/// Whether the objects look the same to whoever does not ask how executions went.
#[must_use]
pub fn looks_same_but_for_status(before: &[Object], after: &[Object]) -> bool {
    is_same(before, after, |facts| match &facts.detail {
        Detail::Execution(execution) => {
            let without = ExecutionFacts { result: None, executed: false, executed_at: None, ..execution.clone() };
            Cow::Owned(Facts { detail: Detail::Execution(without), names: Names::default(), ..facts.clone() })
        }
        _ => without_names(facts),
    })
}

/// Whether the objects look the same to a result, which asks a pack or an execution of nothing but
/// when it lived, where it looks up its pack, and which pack or base it names.
#[must_use]
pub fn looks_same_to_results(before: &[Object], after: &[Object]) -> bool {
    is_same(before, after, |facts| {
        let detail = match &facts.detail {
            Detail::Pack(pack) => Detail::Pack(PackFacts { base: pack.base.clone(), ..PackFacts::default() }),
            Detail::Execution(execution) => {
                let pack = PackRef { name: execution.pack.name.clone(), version: None };
                Detail::Execution(ExecutionFacts { pack, ..ExecutionFacts::default() })
            }
            other => other.clone(),
        };
        Cow::Owned(Facts { owner: None, detail, names: Names::default(), ..facts.clone() })
    })
}

fn is_same(before: &[Object], after: &[Object], view: fn(&Facts) -> Cow<'_, Facts>) -> bool {
    before.len() == after.len()
        && before.iter().all(|before| {
            after.iter().find(|after| after.id == before.id).is_some_and(|after| {
                before.uid == after.uid
                    && before.history.closed_at() == after.history.closed_at()
                    && stretches(before, view) == stretches(after, view)
            })
        })
}

/// The facts that an object had, each from when on.
fn stretches(object: &Object, view: fn(&Facts) -> Cow<'_, Facts>) -> Vec<(i64, Cow<'_, Facts>)> {
    let versions = object.history.versions.iter();
    let mut stretches: Vec<(i64, Cow<Facts>)> = versions.map(|v| (v.from, view(&v.content.facts))).collect();
    stretches.dedup_by(|next, known| next.1 == known.1);
    stretches
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::history::{Content, History, Version};
    use crate::domain::identity::NaturalKey;

    fn object(versions: &[(i64, Option<i64>, Detail)]) -> Vec<Object> {
        let versions = versions
            .iter()
            .map(|(from, to, detail)| Version {
                from: *from,
                to: *to,
                end: None,
                content: Arc::new(Content {
                    digest: Digest::of_bytes(&from.to_be_bytes()),
                    spec: Digest::of_bytes(b""),
                    facts: Facts { detail: detail.clone(), ..Facts::default() },
                }),
                observation: *from,
            })
            .collect();
        let key = NaturalKey::new("ClusterPack", "ns", "pack");
        vec![Object { id: 1, key, uid: Some("u".to_owned()), history: History { versions } }]
    }

    fn pack(signed: bool) -> Detail {
        Detail::Pack(PackFacts { signed: Some(signed), ..PackFacts::default() })
    }

    fn execution(result: Option<&str>) -> Detail {
        Detail::Execution(ExecutionFacts { result: result.map(str::to_owned), ..ExecutionFacts::default() })
    }

    #[test]
    fn a_version_without_new_facts_is_not_seen() {
        let before = object(&[(1, None, pack(false))]);
        assert!(looks_same(&before, &object(&[(1, Some(5), pack(false)), (5, None, pack(false))])));
        assert!(!looks_same(&before, &object(&[(1, Some(5), pack(false)), (5, None, pack(true))])));
    }

    #[test]
    fn births_ends_and_the_times_of_facts_are_seen() {
        let before = object(&[(1, Some(5), pack(false)), (5, None, pack(true))]);
        assert!(!looks_same(&before, &object(&[(1, Some(6), pack(false)), (6, None, pack(true))])));
        assert!(!looks_same(&before, &object(&[(1, Some(5), pack(false)), (5, Some(9), pack(true))])));
        assert!(!looks_same(&before, &object(&[(2, Some(5), pack(false)), (5, None, pack(true))])));
        assert!(!looks_same(&before, &[]) && !looks_same(&[], &before));
    }

    #[test]
    fn a_result_sees_names_and_clusters_and_no_status() {
        let before = object(&[(1, None, pack(false))]);
        let signed = object(&[(1, Some(5), pack(false)), (5, None, pack(true))]);
        assert!(looks_same_to_results(&before, &signed) && !looks_same(&before, &signed));
        let based = Detail::Pack(PackFacts { base: Some("base".to_owned()), ..PackFacts::default() });
        assert!(!looks_same_to_results(&before, &object(&[(1, Some(5), pack(false)), (5, None, based)])));
        let moved = |cluster: &str| {
            let mut objects = object(&[(1, None, execution(None))]);
            let mut content = Content::clone(&objects[0].history.versions[0].content);
            content.facts.cluster = Some(cluster.to_owned());
            objects[0].history.versions[0].content = Arc::new(content);
            objects
        };
        assert!(!looks_same_to_results(&moved("a"), &moved("b")), "it is where the pack is looked up");
    }

    #[test]
    fn the_status_of_an_execution_is_seen_by_some() {
        let before = object(&[(1, None, execution(None))]);
        let after = object(&[(1, Some(5), execution(None)), (5, None, execution(Some("r1")))]);
        assert!(!looks_same(&before, &after) && looks_same_but_for_status(&before, &after));
    }
}
