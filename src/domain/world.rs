//! The records that a derivation can see, and how it looks them up.
//!
//! Rules read other records by name. A [`Reader`] notes every name it is asked for: names that are
//! not loaded yet are fetched and the rule runs again, and the names that were read are stored as the
//! rule's dependencies, so that a later change of any of them runs the rule again. Completeness of
//! the recomputation so does not depend on anybody remembering what a rule reads.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use super::facts::{Detail, ResultFacts};
use super::history::{History, Version};
use super::identity::NaturalKey;
use super::reference;

/// One object with its derived history.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its row in the store.
    pub id: i64,
    /// Its natural key.
    pub key: NaturalKey,
    /// Its uid.
    pub uid: Option<String>,
    /// Its history; never empty.
    pub history: History,
}

impl Object {
    /// The uid, or the object key of an object without one.
    #[must_use]
    pub fn ident(&self) -> String {
        self.uid.clone().unwrap_or_else(|| self.object_key())
    }

    /// The object key.
    #[must_use]
    pub fn object_key(&self) -> String {
        self.key.object_key(self.uid.as_deref())
    }

    /// Its birth, microseconds.
    #[must_use]
    pub fn birth(&self) -> i64 {
        self.history.birth()
    }

    /// Whether it lived at `at`.
    #[must_use]
    pub fn lived_at(&self, at: i64) -> bool {
        self.birth() <= at && self.history.closed_at().is_none_or(|closed| at < closed)
    }

    /// The latest version.
    ///
    /// # Panics
    /// Never: an object exists through its versions.
    #[must_use]
    pub fn latest(&self) -> &Version {
        &self.history.versions[self.history.versions.len() - 1]
    }

    /// The facts of a result's latest version.
    #[must_use]
    pub fn result(&self) -> Option<&ResultFacts> {
        result_facts(self.latest())
    }

    /// The cluster that the latest version names as its target.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.latest().content.facts.cluster.as_deref()
    }

    /// The name of the sequence that a result belongs to, and whether a reference gave it: its
    /// `packExecutionRef`, else its label, else its owner, else its own name.
    #[must_use]
    pub fn sequence_name(&self) -> (&str, bool) {
        let named = self.result().and_then(|facts| facts.execution.as_deref());
        match named.or_else(|| self.history.owner().map(|owner| owner.name.as_str())) {
            Some(name) => (name, true),
            None => (&self.key.name, false),
        }
    }

    /// When the value of a `spec` reference was brought: at birth if it never changed, else with the
    /// first version of the last stretch that has it.
    pub fn spec_reference_at<T: PartialEq>(&self, value: impl Fn(&Version) -> T) -> i64 {
        let brought = self.stretch_start(value);
        if brought == 0 { self.birth() } else { self.history.versions[brought].from }
    }

    /// When the value of a `status` reference was brought.
    pub fn status_reference_at<T: PartialEq>(&self, value: impl Fn(&Version) -> T) -> i64 {
        self.history.versions[self.stretch_start(value)].from
    }

    fn stretch_start<T: PartialEq>(&self, value: impl Fn(&Version) -> T) -> usize {
        let latest = value(self.latest());
        let versions = &self.history.versions;
        versions.iter().rposition(|version| value(version) != latest).map_or(0, |i| i + 1)
    }
}

/// The facts of a version of a result.
#[must_use]
pub fn result_facts(version: &Version) -> Option<&ResultFacts> {
    match &version.content.facts.detail {
        Detail::Result(facts) => Some(facts),
        _ => None,
    }
}

/// An object that was seen, and when it was closed: all that is asked of owners, whose histories are long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its row in the store.
    pub id: i64,
    /// Its uid.
    pub uid: Option<String>,
    /// Its closing, microseconds; `None` while it lives.
    pub closed_at: Option<i64>,
}

/// The loaded part of one source.
#[derive(Debug, Default)]
pub struct World {
    groups: HashMap<NaturalKey, Vec<Object>>,
    ends: HashMap<NaturalKey, Vec<Ended>>,
    members: HashMap<NaturalKey, Vec<NaturalKey>>,
}

impl World {
    /// Puts in the whole group of a natural key; an empty one says that nothing of it was ever seen.
    pub fn put_group(&mut self, key: NaturalKey, objects: Vec<Object>) {
        self.groups.insert(key, objects);
    }

    /// Puts in the ends of the objects of a natural key, for as long as its group is not loaded.
    pub fn put_ends(&mut self, key: NaturalKey, ends: Vec<Ended>) {
        self.ends.insert(key, ends);
    }

    /// Whether enough of a key is loaded to tell the ends of its objects.
    #[must_use]
    pub fn has_ends(&self, key: &NaturalKey) -> bool {
        self.groups.contains_key(key) || self.ends.contains_key(key)
    }

    /// The end of the object of a key with a uid, if it was ever seen.
    #[must_use]
    pub fn end(&self, key: &NaturalKey, uid: &str) -> Option<Ended> {
        let is_it = |other: &Option<String>| other.as_deref() == Some(uid);
        match self.group(key) {
            Some(group) => group.iter().find(|object| is_it(&object.uid)).map(|object| Ended {
                id: object.id,
                uid: object.uid.clone(),
                closed_at: object.history.closed_at(),
            }),
            None => self.ends.get(key)?.iter().find(|ended| is_it(&ended.uid)).cloned(),
        }
    }

    /// Puts in the keys that ever joined a collection.
    pub fn put_members(&mut self, collection: NaturalKey, members: Vec<NaturalKey>) {
        self.members.insert(collection, members);
    }

    /// Adds a member to a collection that is loaded.
    pub fn join(&mut self, collection: &NaturalKey, member: &NaturalKey) {
        if let Some(members) = self.members.get_mut(collection)
            && !members.contains(member)
        {
            members.push(member.clone());
        }
    }

    /// The keys that ever joined a collection, as far as they are loaded.
    #[must_use]
    pub fn members(&self, collection: &NaturalKey) -> &[NaturalKey] {
        self.members.get(collection).map(Vec::as_slice).unwrap_or_default()
    }

    /// The group of a key, if it is loaded.
    #[must_use]
    pub fn group(&self, key: &NaturalKey) -> Option<&[Object]> {
        self.groups.get(key).map(Vec::as_slice)
    }
}

/// A view of the world that notes what was read and what was missing.
pub struct Reader<'a> {
    world: &'a World,
    read: RefCell<BTreeSet<NaturalKey>>,
    missing: RefCell<BTreeSet<NaturalKey>>,
    missing_ends: RefCell<BTreeSet<NaturalKey>>,
}

impl<'a> Reader<'a> {
    /// A reader of `world`.
    #[must_use]
    pub fn new(world: &'a World) -> Self {
        Self { world, read: RefCell::default(), missing: RefCell::default(), missing_ends: RefCell::default() }
    }

    /// The objects of a key.
    pub fn group(&self, key: &NaturalKey) -> &'a [Object] {
        self.read.borrow_mut().insert(key.clone());
        self.loaded(key)
    }

    /// Whether an object of a key with a uid was ever seen.
    pub fn was_seen(&self, key: &NaturalKey, uid: &str) -> bool {
        self.seen(key, uid).is_some()
    }

    /// The row of an owner, if it was ever seen. Not noted as read: who owns what is stored by itself, and
    /// an owner that is new reaches what it owns that way. A status that moves on an execution so concerns
    /// none of its thousands of results.
    pub fn owner(&self, key: &NaturalKey, uid: &str) -> Option<i64> {
        if !self.world.has_ends(key) {
            self.missing_ends.borrow_mut().insert(key.clone());
        }
        self.world.end(key, uid).map(|ended| ended.id)
    }

    /// The row of the object of a key with a uid, if it was ever seen: without its history, which can be
    /// long.
    pub fn seen(&self, key: &NaturalKey, uid: &str) -> Option<i64> {
        self.read.borrow_mut().insert(key.clone());
        if !self.world.has_ends(key) {
            self.missing_ends.borrow_mut().insert(key.clone());
        }
        self.world.end(key, uid).map(|ended| ended.id)
    }

    /// The objects of all keys that ever joined a collection, by natural key and uid: never in the
    /// order in which they arrived. Not noted as read: a change of a member reaches its collections by
    /// the membership itself.
    pub fn members(&self, collection: &NaturalKey) -> Vec<&'a Object> {
        let Some(members) = self.world.members.get(collection) else {
            self.missing.borrow_mut().insert(collection.clone());
            return Vec::new();
        };
        let mut objects: Vec<&Object> = members.iter().flat_map(|member| self.loaded(member)).collect();
        objects.sort_by(|a, b| (&a.key, &a.uid).cmp(&(&b.key, &b.uid)));
        objects
    }

    fn loaded(&self, key: &NaturalKey) -> &'a [Object] {
        self.world.group(key).unwrap_or_else(|| {
            self.missing.borrow_mut().insert(key.clone());
            &[]
        })
    }

    /// What was read, and what of it (and of members) was missing.
    #[must_use]
    pub fn finish(self) -> Reads {
        Reads {
            read: self.read.into_inner(),
            missing: self.missing.into_inner(),
            missing_ends: self.missing_ends.into_inner(),
        }
    }

    /// Resolves a name in time: what lived at `at` in the first namespace that has one, else what
    /// lived last before.
    pub fn resolve(&self, kind: &str, namespaces: &[String], name: &str, at: i64) -> Option<&'a Object> {
        self.resolve_where(kind, namespaces, name, at, |_| true)
    }

    /// [`Self::resolve`] of one natural key.
    pub fn resolve_key(&self, key: &NaturalKey, at: i64) -> Option<&'a Object> {
        let group = [self.group(key).iter().collect()];
        alive(&group, at).or_else(|| last_before(&group, at))
    }

    /// [`Self::resolve`] among the objects that `accepts` lets through.
    pub fn resolve_where(
        &self,
        kind: &str,
        namespaces: &[String],
        name: &str,
        at: i64,
        accepts: impl Fn(&Object) -> bool,
    ) -> Option<&'a Object> {
        let groups: Vec<Vec<&Object>> = namespaces
            .iter()
            .map(|namespace| self.group(&NaturalKey::new(kind, namespace, name)))
            .map(|group| group.iter().filter(|object| accepts(object)).collect())
            .collect();
        alive(&groups, at).or_else(|| last_before(&groups, at))
    }

    /// What lived at `at`, and nothing else.
    pub fn resolve_alive(&self, kind: &str, namespaces: &[String], name: &str, at: i64) -> Option<&'a Object> {
        let groups: Vec<Vec<&Object>> = namespaces
            .iter()
            .map(|namespace| self.group(&NaturalKey::new(kind, namespace, name)).iter().collect())
            .collect();
        alive(&groups, at)
    }
}

/// What a derivation read.
#[derive(Debug, Default)]
pub struct Reads {
    /// Every key that was asked for by name.
    pub read: BTreeSet<NaturalKey>,
    /// The keys and collections that were not loaded: the result is not to be used before they are.
    pub missing: BTreeSet<NaturalKey>,
    /// The keys of whose objects the ends were not loaded: likewise.
    pub missing_ends: BTreeSet<NaturalKey>,
}

impl Reads {
    /// Whether all that was asked for was loaded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.missing_ends.is_empty()
    }
}

fn alive<'a>(groups: &[Vec<&'a Object>], at: i64) -> Option<&'a Object> {
    groups.iter().find_map(|group| {
        group
            .iter()
            .copied()
            .filter(|object| object.lived_at(at))
            .max_by(|a, b| (a.birth(), a.ident()).cmp(&(b.birth(), b.ident())))
    })
}

fn last_before<'a>(groups: &[Vec<&'a Object>], at: i64) -> Option<&'a Object> {
    groups
        .iter()
        .flatten()
        .copied()
        .filter(|object| object.birth() <= at && object.history.closed_at().is_some_and(|closed| closed <= at))
        .max_by(|a, b| {
            (a.history.closed_at(), a.birth(), a.ident()).cmp(&(b.history.closed_at(), b.birth(), b.ident()))
        })
}

/// Where packs, executions and instances are looked for: the referrer's namespace, the system
/// namespace of the published schema, the tenant namespace of the operators' code.
#[must_use]
pub fn lookup_namespaces(referrer: &Object) -> Vec<String> {
    let mut namespaces = vec![referrer.key.namespace.clone()];
    let tenant = referrer.cluster().map(|cluster| format!("seam-tenant-{cluster}"));
    for namespace in std::iter::once("seam-system".to_owned()).chain(tenant) {
        if !namespaces.contains(&namespace) {
            namespaces.push(namespace);
        }
    }
    namespaces
}

/// The pack that an execution, receipt or instance refers to, resolved at the time its reference was brought.
pub fn resolve_pack<'a>(reader: &Reader<'a>, referrer: &Object) -> Option<&'a Object> {
    let name = pack_name(referrer.latest())?;
    let at = referrer.spec_reference_at(|version| pack_name(version).map(ToOwned::to_owned));
    reference::pack(reader, referrer, name, at)
}

/// The name in `clusterPackRef`.
#[must_use]
pub fn pack_name(version: &Version) -> Option<&str> {
    match &version.content.facts.detail {
        Detail::Execution(facts) => facts.pack.name.as_deref(),
        Detail::Receipt(facts) => facts.pack.name.as_deref(),
        Detail::Instance(facts) => facts.pack.name.as_deref(),
        Detail::Result(facts) => facts.pack.as_deref(),
        Detail::Pack(_) | Detail::None => None,
    }
}
