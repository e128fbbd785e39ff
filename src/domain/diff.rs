//! What differs between two states of records. Pure: everything that is compared is given.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::record::Resource;

/// What differs between two sets, each part in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetDiff<T> {
    /// Only in the second.
    pub added: Vec<T>,
    /// Only in the first.
    pub removed: Vec<T>,
    /// In both.
    pub kept: Vec<T>,
}

impl<T: Ord + Clone> SetDiff<T> {
    /// Compares two sets.
    #[must_use]
    pub fn of(from: &BTreeSet<T>, to: &BTreeSet<T>) -> Self {
        Self {
            added: to.difference(from).cloned().collect(),
            removed: from.difference(to).cloned().collect(),
            kept: from.intersection(to).cloned().collect(),
        }
    }
}

/// What differs between two maps, each part in order of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapDiff<V> {
    /// Only in the second.
    pub added: Vec<V>,
    /// Only in the first.
    pub removed: Vec<V>,
    /// In both and different: the values of the first and the second.
    pub changed: Vec<(V, V)>,
}

impl<V: PartialEq + Clone> MapDiff<V> {
    /// Compares two maps.
    #[must_use]
    pub fn of(from: &BTreeMap<String, V>, to: &BTreeMap<String, V>) -> Self {
        let only = |these: &BTreeMap<String, V>, those: &BTreeMap<String, V>| {
            these.iter().filter(|(key, _)| !those.contains_key(*key)).map(|(_, value)| value.clone()).collect()
        };
        let both = from.iter().filter_map(|(key, old)| Some((old, to.get(key)?)));
        Self {
            added: only(to, from),
            removed: only(from, to),
            changed: both.filter(|(old, new)| old != new).map(|(old, new)| (old.clone(), new.clone())).collect(),
        }
    }
}

/// The resources that a raw object lists as deployed, each once; `None` where it does not list them.
#[must_use]
pub fn resources(object: &Value) -> Option<BTreeSet<Resource>> {
    let listed = ["/spec/deployedResources", "/status/deployedResources"].iter().find_map(|path| object.pointer(path));
    Some(listed?.as_array()?.iter().filter_map(Resource::read).collect())
}

/// The members of a list of a raw object by their names; the first of a name counts.
#[must_use]
pub fn by_name(object: &Value, pointer: &str) -> BTreeMap<String, Map<String, Value>> {
    let mut named = BTreeMap::new();
    for member in object.pointer(pointer).and_then(Value::as_array).into_iter().flatten() {
        if let (Some(name), Some(member)) = (member.get("name").and_then(Value::as_str), member.as_object()) {
            named.entry(name.to_owned()).or_insert_with(|| member.clone());
        }
    }
    named
}

/// A place in which two values differ.
#[derive(Debug, Clone, PartialEq)]
pub struct PathChange {
    /// The JSON pointer (RFC 6901) of the place.
    pub path: String,
    /// What the first has there; `None` if nothing.
    pub old: Option<Value>,
    /// What the second has there; `None` if nothing.
    pub new: Option<Value>,
}

/// The places in which two values differ, from the outside in: a value that only one side has is one
/// change, however large it is. Elements of arrays are compared place by place.
#[must_use]
pub fn paths(from: &Value, to: &Value) -> Vec<PathChange> {
    let mut changes = Vec::new();
    compare(String::new(), Some(from), Some(to), &mut changes);
    changes
}

fn compare(path: String, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<PathChange>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                compare(format!("{path}/{}", escaped(name)), old.get(name), new.get(name), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for i in 0..old.len().max(new.len()) {
                compare(format!("{path}/{i}"), old.get(i), new.get(i), changes);
            }
        }
        (old, new) => changes.push(PathChange { path, old: old.cloned(), new: new.cloned() }),
    }
}

/// A member's name as a part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Makes the first value the second, by its changes.
    fn apply(from: &Value, changes: &[PathChange]) -> Value {
        let mut value = from.clone();
        // The ends of arrays go first and from behind, so that the places of the others stay.
        for change in changes.iter().rev().filter(|change| change.new.is_none()) {
            let (parent, name) = split(&change.path);
            match value.pointer_mut(parent).unwrap() {
                Value::Object(map) => drop(map.remove(&name)),
                Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                other => panic!("{other} has no members"),
            }
        }
        for change in changes {
            let Some(new) = change.new.clone() else { continue };
            if change.old.is_some() {
                *value.pointer_mut(&change.path).unwrap() = new;
                continue;
            }
            let (parent, name) = split(&change.path);
            match value.pointer_mut(parent).unwrap() {
                Value::Object(map) => drop(map.insert(name, new)),
                Value::Array(items) => items.push(new),
                other => panic!("{other} has no members"),
            }
        }
        value
    }

    fn split(path: &str) -> (&str, String) {
        let (parent, name) = path.rsplit_once('/').unwrap();
        (parent, name.replace("~1", "/").replace("~0", "~"))
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4).prop_map(Value::from),
            "[a-c/~]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c/~]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn any_set() -> impl Strategy<Value = BTreeSet<u8>> {
        prop::collection::btree_set(0_u8..12, 0..12)
    }

    proptest! {
        #[test]
        fn a_value_does_not_differ_from_itself(value in any_value()) {
            prop_assert_eq!(paths(&value, &value), vec![]);
        }

        #[test]
        fn the_changes_make_the_first_value_the_second(from in any_value(), to in any_value()) {
            prop_assert_eq!(apply(&from, &paths(&from, &to)), to);
        }

        #[test]
        fn the_other_way_round_old_and_new_swap(from in any_value(), to in any_value()) {
            let swapped: Vec<PathChange> = paths(&to, &from)
                .into_iter()
                .map(|change| PathChange { path: change.path, old: change.new, new: change.old })
                .collect();
            prop_assert_eq!(paths(&from, &to), swapped);
        }

        #[test]
        fn sets_are_what_was_kept_and_what_came_or_went(from in any_set(), to in any_set()) {
            let diff = SetDiff::of(&from, &to);
            let with_kept = |part: &[u8]| part.iter().chain(&diff.kept).copied().collect::<BTreeSet<u8>>();
            prop_assert_eq!(with_kept(&diff.added), to.clone());
            prop_assert_eq!(with_kept(&diff.removed), from.clone());
            let back = SetDiff::of(&to, &from);
            prop_assert_eq!((back.added, back.removed, back.kept), (diff.removed, diff.added, diff.kept));
            let same = SetDiff::of(&from, &from);
            prop_assert_eq!((same.added, same.removed), (vec![], vec![]));
        }

        #[test]
        fn maps_swap_when_exchanged(
            from in prop::collection::btree_map("[a-d]", 0_u8..3, 0..5),
            to in prop::collection::btree_map("[a-d]", 0_u8..3, 0..5),
        ) {
            let (there, back) = (MapDiff::of(&from, &to), MapDiff::of(&to, &from));
            prop_assert_eq!(&there.added, &back.removed);
            prop_assert_eq!(&there.removed, &back.added);
            let swapped: Vec<(u8, u8)> = back.changed.into_iter().map(|(old, new)| (new, old)).collect();
            prop_assert_eq!(there.changed, swapped);
            let same = MapDiff::of(&from, &from);
            prop_assert!(same.added.is_empty() && same.removed.is_empty() && same.changed.is_empty());
        }
    }

    #[test]
    fn changes_are_told_by_pointer_from_the_outside_in() {
        let from = json!({"a": {"x/y": 1, "gone": {"deep": 1}}, "l": [1, 2, 3], "t": "text"});
        let to = json!({"a": {"x/y": 2, "~new": null}, "l": [1, 4], "t": ["text"]});
        let change = |path: &str, old: Option<Value>, new: Option<Value>| PathChange { path: path.into(), old, new };
        let expected = vec![
            change("/a/gone", Some(json!({"deep": 1})), None),
            change("/a/x~1y", Some(json!(1)), Some(json!(2))),
            change("/a/~0new", None, Some(Value::Null)),
            change("/l/1", Some(json!(2)), Some(json!(4))),
            change("/l/2", Some(json!(3)), None),
            change("/t", Some(json!("text")), Some(json!(["text"]))),
        ];
        assert_eq!(paths(&from, &to), expected);
    }

    #[test]
    fn resources_are_a_set_and_absent_is_not_empty() {
        let entry =
            |namespace: Value| json!({"apiVersion": "v1", "kind": "Namespace", "name": "n", "namespace": namespace});
        let listed = json!({"spec": {"deployedResources": [entry(json!("")), entry(Value::Null), {"kind": "odd"}]}});
        assert_eq!(resources(&listed).unwrap().len(), 1);
        assert_eq!(resources(&json!({"spec": {"deployedResources": []}})), Some(BTreeSet::new()));
        assert_eq!(resources(&json!({"spec": {}})), None);
        assert_eq!(resources(&json!({"status": {"deployedResources": [entry(json!("a"))]}})).unwrap().len(), 1);
    }
}
