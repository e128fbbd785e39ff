//! What the references of records lead to: names resolve in time, by the rules of the domain.
//!
//! The rules read the world by name and note what is not loaded; that is fetched in bulk and the
//! rules run again, so that a whole page of references costs a few statements.

use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::domain::facts::Detail;
use crate::domain::history::Version;
use crate::domain::identity::NaturalKey;
use crate::domain::kind;
use crate::domain::reference;
use crate::domain::world::{Object, Reader, World, pack_name, resolve_pack, result_facts};

use super::{QueryError, Scope};
use crate::storage::StoredRecord;

/// The references that a record can make.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Relation {
    /// A result's predecessor, as of one of its versions.
    Previous {
        /// The version.
        version: i64,
    },
    /// A result's execution.
    Execution,
    /// The pack of an execution, receipt or instance; of a result that names none, that of its execution.
    Pack,
    /// The result that an execution reports.
    Report,
    /// The instance that a receipt is of.
    Instance,
    /// The lineage index of the root, as the labels name it.
    RootIndex {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An owner, as `ownerReferences` name it.
    Owner {
        /// Its canonical kind.
        kind: String,
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
}

/// Asks for one reference of one record. Records are told apart by their rows.
#[derive(Debug, Clone)]
pub struct Question {
    /// The record.
    pub record: Arc<StoredRecord>,
    /// Which reference.
    pub relation: Relation,
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.record.object == other.record.object && self.relation == other.relation
    }
}

impl Eq for Question {}

impl Hash for Question {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.record.object.hash(state);
        self.relation.hash(state);
    }
}

/// A reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The canonical kind of the target.
    pub kind: String,
    /// Where the target is, or would be looked for first.
    pub namespace: String,
    /// The target's name.
    pub name: String,
    /// The target's uid: the one found, else the one declared.
    pub uid: Option<String>,
    /// The version that the reference names.
    pub version: Option<String>,
    /// The target's row; `None` while it was never seen.
    pub target: Option<i64>,
}

impl Reference {
    fn new(kind: &str, referrer: &Object, name: &str, found: Option<&Object>) -> Self {
        let namespace = found.map_or(&referrer.key.namespace, |found| &found.key.namespace);
        Self {
            kind: kind.to_owned(),
            namespace: namespace.clone(),
            name: name.to_owned(),
            uid: found.and_then(|found| found.uid.clone()),
            version: None,
            target: found.map(|found| found.id),
        }
    }
}

impl Scope {
    /// The references asked for, in their order; `None` where the record makes none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn resolve(&self, asked: &[Question]) -> Result<Vec<Option<Reference>>, QueryError> {
        let mut worlds: HashMap<i64, World> = HashMap::new();
        // A record that never changed is known from its row; of others, the history is loaded.
        let referrers: Vec<Option<Object>> = asked.iter().map(|question| question.record.alone()).collect();
        loop {
            let mut missing: BTreeSet<(i64, NaturalKey)> = BTreeSet::new();
            let mut answers = Vec::with_capacity(asked.len());
            for (question, referrer) in asked.iter().zip(&referrers) {
                let source = question.record.source;
                let reader = Reader::new(worlds.entry(source).or_default());
                answers.push(answer(&reader, question, referrer.as_ref()));
                missing.extend(reader.finish().missing.into_iter().map(|key| (source, key)));
            }
            if missing.is_empty() {
                return Ok(answers);
            }
            self.load(&mut worlds, missing).await?;
        }
    }

    async fn load(
        &self,
        worlds: &mut HashMap<i64, World>,
        missing: BTreeSet<(i64, NaturalKey)>,
    ) -> Result<(), QueryError> {
        let missing: Vec<(i64, NaturalKey)> = missing.into_iter().collect();
        let mut groups = self.as_of.list_groups(&missing).await?;
        for (i, (source, key)) in missing.into_iter().enumerate() {
            let objects = groups.remove(&i).unwrap_or_default();
            worlds.entry(source).or_default().put_group(key, objects);
        }
        Ok(())
    }
}

fn answer(reader: &Reader, question: &Question, referrer: Option<&Object>) -> Option<Reference> {
    let is_it = |object: &&Object| object.id == question.record.object;
    let object = referrer.or_else(|| reader.group(&question.record.key).iter().find(is_it))?;
    match &question.relation {
        Relation::Previous { version } => previous(reader, object, *version),
        Relation::Execution => execution(reader, object),
        Relation::Pack => pack(reader, object),
        Relation::Report => report(reader, object),
        Relation::Instance => instance(reader, object),
        Relation::RootIndex { namespace, name } => Some(root_index(reader, object, namespace, name)),
        Relation::Owner { kind, name, uid } => Some(owner(reader, object, kind, name, uid)),
    }
}

fn previous(reader: &Reader, object: &Object, version: i64) -> Option<Reference> {
    let versions = &object.history.versions;
    let facts = result_facts(versions.get(usize::try_from(version).ok()?)?)?;
    let name = facts.previous.as_deref()?;
    let brought = versions.iter().position(|v| result_facts(v).is_some_and(|f| f.revision == facts.revision))?;
    let at = if brought == 0 { object.birth() } else { versions[brought].from };
    let found = reference::previous(reader, object, name, at);
    Some(Reference::new(kind::RESULT, object, name, found))
}

fn execution(reader: &Reader, object: &Object) -> Option<Reference> {
    if let Some(owner) = object.history.owner() {
        return Some(self::owner(reader, object, kind::EXECUTION, &owner.name, &owner.uid));
    }
    let (name, is_named) = object.sequence_name();
    if !is_named {
        return None;
    }
    let found = reference::execution(reader, object, name, object.birth());
    Some(Reference::new(kind::EXECUTION, object, name, found))
}

fn pack(reader: &Reader, object: &Object) -> Option<Reference> {
    if let Some(name) = pack_name(object.latest()) {
        let version = match &object.latest().content.facts.detail {
            Detail::Execution(facts) => facts.pack.version.clone(),
            Detail::Receipt(facts) => facts.pack.version.clone(),
            Detail::Instance(facts) => facts.pack.version.clone(),
            _ => None,
        };
        let found = resolve_pack(reader, object);
        return Some(Reference { version, ..Reference::new(kind::PACK, object, name, found) });
    }
    object.result()?;
    // A result of an early failure names no pack, but its execution does.
    let execution = execution(reader, object)?;
    let key = NaturalKey::new(kind::EXECUTION, &execution.namespace, &execution.name);
    let execution = reader.group(&key).iter().find(|found| Some(found.id) == execution.target)?;
    pack(reader, execution)
}

fn report(reader: &Reader, object: &Object) -> Option<Reference> {
    let name_of = |version: &Version| match &version.content.facts.detail {
        Detail::Execution(facts) => facts.result.clone(),
        _ => None,
    };
    let name = name_of(object.latest())?;
    let at = object.status_reference_at(name_of);
    let found = reference::report(reader, object, &name, at);
    Some(Reference::new(kind::RESULT, object, &name, found))
}

fn instance(reader: &Reader, object: &Object) -> Option<Reference> {
    let declared = |version: &Version| match &version.content.facts.detail {
        Detail::Receipt(facts) => facts.instance.clone(),
        _ => None,
    };
    let is_declared = declared(object.latest()).is_some();
    // The published contract has no such field; its writer names the receipt after the instance.
    let name_of = |version: &Version| declared(version).unwrap_or_else(|| object.key.name.clone());
    let name = name_of(object.latest());
    let at = object.spec_reference_at(name_of);
    let found = reference::instance(reader, object, &name, at);
    (is_declared || found.is_some()).then(|| Reference::new(kind::INSTANCE, object, &name, found))
}

fn root_index(reader: &Reader, object: &Object, namespace: &str, name: &str) -> Reference {
    let found = reference::index(reader, namespace, name, object.birth());
    Reference { namespace: namespace.to_owned(), ..Reference::new(kind::LINEAGE_INDEX, object, name, found) }
}

fn owner(reader: &Reader, object: &Object, kind: &str, name: &str, uid: &str) -> Reference {
    let found = reference::by_uid(reader, &object.key.namespace, kind, name, uid);
    Reference { uid: Some(uid.to_owned()), ..Reference::new(kind, object, name, found) }
}
