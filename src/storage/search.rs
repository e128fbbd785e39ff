//! The index of words: what is found by which word, and the asking.
//!
//! The words of an object are those of every content that was ever observed of it, so they are only
//! ever added, and do not depend on the order in which records arrived. Each document has them as one text, for
//! questions about it; and each word has postings, which repeat the births of their documents: where these stand among
//! the answers. They move with the birth.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;

use super::body::{BodyRow, unpack};
use super::driver::json;
use super::error::StoreError;
use super::hash63;
use super::page::{Page, Rows};
use super::read::{AsOf, BirthPlace, StoredRecord};
use super::sql::{self, Statement};
use super::write::{Difference, NewObservation, StateRow, WithSeq, WriteTx, index};
use crate::domain::facts::{self, Detail};
use crate::domain::identity::NaturalKey;
use crate::domain::kind;
use crate::domain::lineage::thing;
use crate::domain::record::{Resource, resources};
use crate::domain::search::{Question, beyond, words_of_name, words_of_object, words_of_resource};

/// The kind of a deployed resource among what is found.
pub const FOUND_RESOURCE: &str = "~resource";
/// The kind of a cluster among what is found.
pub const FOUND_CLUSTER: &str = thing::CLUSTER;
/// The kind of a pack family among what is found.
pub const FOUND_FAMILY: &str = "~family";

/// Where the birth of what has none stands: after all records.
const UNBORN: i64 = i64::MIN;
/// How far postings are counted to find the rarest word: beyond, a word is common, and which of two
/// common words drives a question matters little.
const COUNTED: i64 = 1000;
/// Bodies that are unpacked at once while the index is checked: bounds its memory.
const BODIES: usize = 64;
/// Words told of one hit: a prefix can match many.
const MATCHED: usize = 8;

/// What a content adds to the index.
#[derive(Debug, Default)]
pub(super) struct Document {
    object: i64,
    words: BTreeSet<String>,
    things: Vec<Thing>,
}

/// Something that is found and is no record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Cluster(String),
    Family(String),
    Resource(Resource),
}

impl Thing {
    fn kind(&self) -> &'static str {
        match self {
            Self::Cluster(_) => FOUND_CLUSTER,
            Self::Family(_) => FOUND_FAMILY,
            Self::Resource(_) => FOUND_RESOURCE,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Cluster(name) | Self::Family(name) => name,
            Self::Resource(resource) => &resource.name,
        }
    }

    fn words(&self) -> BTreeSet<String> {
        match self {
            Self::Cluster(name) | Self::Family(name) => words_of_name(name),
            Self::Resource(resource) => words_of_resource(resource),
        }
    }

    /// A hash of its source, kind and names: its row, the same in every store.
    fn id(&self, source: &str) -> i64 {
        let mut parts = vec![source, self.kind(), self.name()];
        if let Self::Resource(resource) = self {
            parts.extend([resource.namespace.as_str(), &resource.kind, &resource.api_version]);
        }
        let parts: Vec<&[u8]> = parts.into_iter().map(str::as_bytes).collect();
        hash63(&parts)
    }
}

/// Reads what a body adds to the index.
fn document(object: i64, body: &[u8]) -> Document {
    match serde_json::from_slice(body) {
        Ok(body) => document_of(object, &body),
        Err(_) => Document { object, ..Document::default() },
    }
}

/// The same of an object that is parsed.
fn document_of(object: i64, body: &Value) -> Document {
    let Some(body) = body.as_object() else { return Document { object, ..Document::default() } };
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let facts = facts::extract(&kind::canonical(text("apiVersion"), text("kind")), body);
    let base = match facts.detail {
        Detail::Pack(pack) => pack.base,
        _ => None,
    };
    let things = facts.cluster.map(Thing::Cluster).into_iter().chain(base.map(Thing::Family));
    let resources = resources(body).unwrap_or_default().into_iter().map(Thing::Resource);
    Document { object, words: words_of_object(body), things: things.chain(resources).collect() }
}

#[derive(FromRow)]
struct Pair(i64, i64);

#[derive(FromRow)]
struct Number(i64);

#[derive(FromRow)]
struct BirthRow {
    id: i64,
    uid: String,
    kind: String,
    cluster: String,
    namespace: String,
    name: String,
    born_at: Option<i64>,
}

#[derive(FromRow)]
struct ContentRow {
    object_id: i64,
    body_id: i64,
}

#[derive(FromRow)]
struct DocumentRow {
    id: i64,
    born_at: i64,
    key_hash: i64,
    words: String,
}

impl DocumentRow {
    fn indexed(self) -> (i64, Indexed) {
        let words = self.words.split(' ').filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect();
        (self.id, Indexed { born_at: self.born_at, key_hash: self.key_hash, words })
    }
}

#[derive(Serialize)]
struct Posting {
    i: usize,
    word_id: i64,
    born_at: i64,
    key_hash: i64,
    document_id: i64,
}

/// A posting on its way to another birth.
#[derive(Serialize)]
struct Move {
    #[serde(flatten)]
    posting: Posting,
    moved_to: i64,
}

/// A document as the index should have it.
#[derive(Debug, PartialEq, Eq)]
struct Indexed {
    born_at: i64,
    key_hash: i64,
    words: BTreeSet<String>,
}

impl Indexed {
    /// The words as one text, each between spaces, so that a pattern finds a word or its beginning.
    fn text(&self) -> String {
        let mut text = String::with_capacity(self.words.iter().map(|word| word.len() + 1).sum::<usize>() + 1);
        text.push(' ');
        for word in &self.words {
            text.push_str(word);
            text.push(' ');
        }
        text
    }
}

impl WriteTx {
    /// Notes the words of contents that were not observed of their objects before; their observations
    /// are not written yet.
    pub(super) async fn note_words(&mut self, new: &[NewObservation]) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row {
            i: usize,
            object_id: i64,
            content_id: i64,
        }
        let mut pairs: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        for (i, observation) in new.iter().enumerate() {
            pairs.entry((observation.object_id, self.content_id(&observation.content.digest)?)).or_insert(i);
        }
        let rows: Vec<Row> =
            pairs.into_iter().map(|((object_id, content_id), i)| Row { i, object_id, content_id }).collect();
        let args = [self.tenant.into(), json(&rows)];
        let known: BTreeSet<i64> =
            self.tx.rows(&sql::CONTENTS_OBSERVED, &args).await?.into_iter().map(|Number(i)| i).collect();
        for row in rows {
            if !known.contains(&i64::try_from(row.i).unwrap_or(i64::MAX)) {
                let NewObservation { object, body, .. } = &new[row.i];
                let parsed = object.as_deref().map(|object| document_of(row.object_id, object));
                self.unindexed.push(parsed.unwrap_or_else(|| document(row.object_id, body)));
            }
        }
        Ok(())
    }

    /// Writes what was noted. An object whose state is not among those derived keeps its birth.
    pub(super) async fn write_index(&mut self, states: &[StateRow]) -> Result<(), StoreError> {
        let noted = std::mem::take(&mut self.unindexed);
        if noted.is_empty() {
            return Ok(());
        }
        let (mut objects, mut things) = (BTreeMap::<i64, BTreeSet<String>>::new(), BTreeSet::new());
        for document in noted {
            objects.entry(document.object).or_default().extend(document.words);
            things.extend(document.things);
        }
        let mut stored = self.stored_documents(objects.keys().copied().collect()).await?;
        objects.retain(|id, words| stored.get(id).is_none_or(|stored| !words.is_subset(&stored.words)));
        let mut documents = self.indexed_objects(objects).await?;
        for state in states {
            if let Some(document) = documents.get_mut(&state.object_id) {
                document.born_at = state.born_at;
            }
        }
        documents.extend(self.ensure_things(things).await?);
        // The new words of a document that is there stand where it stands; if its birth changed, all of them move.
        let mut new_words = documents;
        let mut whole = Vec::with_capacity(new_words.len());
        for (id, document) in &mut new_words {
            let stored = stored.remove(id);
            if let Some(stored) = &stored {
                (document.born_at, document.key_hash) = (stored.born_at, stored.key_hash);
                document.words.retain(|word| !stored.words.contains(word));
            }
            let words = stored.into_iter().flat_map(|stored| stored.words).chain(document.words.iter().cloned());
            let words = words.collect();
            whole.push((*id, Indexed { words, born_at: document.born_at, key_hash: document.key_hash }));
        }
        self.put_documents(&whole).await?;
        let postings = self.postings(&new_words).await?;
        self.write_rows(&sql::POSTINGS_INSERT, &[self.tenant.into()], &postings, &[]).await
    }

    async fn stored_documents(&mut self, ids: Vec<i64>) -> Result<BTreeMap<i64, Indexed>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<DocumentRow> = self.tx.rows(&sql::DOCUMENTS_BY_ID, &[self.tenant.into(), json(&ids)]).await?;
        Ok(rows.into_iter().map(DocumentRow::indexed).collect())
    }

    async fn put_documents(&mut self, documents: &[(i64, Indexed)]) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row {
            document_id: i64,
            born_at: i64,
            key_hash: i64,
            words: String,
        }
        let rows: Vec<Row> = documents
            .iter()
            .map(|(id, document)| Row {
                document_id: *id,
                born_at: document.born_at,
                key_hash: document.key_hash,
                words: document.text(),
            })
            .collect();
        self.write_rows(&sql::DOCUMENTS_PUT, &[self.tenant.into()], &rows, &[]).await
    }

    /// How objects with words stand in the index.
    async fn indexed_objects(
        &mut self,
        mut words: BTreeMap<i64, BTreeSet<String>>,
    ) -> Result<BTreeMap<i64, Indexed>, StoreError> {
        let ids: Vec<i64> = words.keys().copied().collect();
        let rows: Vec<BirthRow> = self.tx.rows(&sql::BIRTHS_OF_OBJECTS, &[self.tenant.into(), json(&ids)]).await?;
        Ok(rows
            .into_iter()
            .map(|r| {
                let key = NaturalKey { kind: r.kind, cluster: r.cluster, namespace: r.namespace, name: r.name };
                let key = key.object_key(Some(r.uid.as_str()).filter(|uid| !uid.is_empty()));
                let indexed = Indexed {
                    born_at: r.born_at.unwrap_or(UNBORN),
                    key_hash: hash63(&[self.source_name.as_bytes(), key.as_bytes()]),
                    words: words.remove(&r.id).unwrap_or_default(),
                };
                (r.id, indexed)
            })
            .collect())
    }

    /// Writes the things that are not there yet, and tells how they stand in the index.
    async fn ensure_things(&mut self, things: BTreeSet<Thing>) -> Result<BTreeMap<i64, Indexed>, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: i64,
            kind: &'a str,
            name: &'a str,
            resource_id: Option<i64>,
        }
        let mut by_id: BTreeMap<i64, Thing> =
            things.into_iter().map(|thing| (thing.id(&self.source_name), thing)).collect();
        let ids: Vec<i64> = by_id.keys().copied().collect();
        for Number(known) in self.tx.rows(&sql::THINGS_FIND, &[self.tenant.into(), json(&ids)]).await? {
            by_id.remove(&known);
        }
        let resources = self.resource_rows(&by_id).await?;
        let rows: Vec<Row> = by_id
            .iter()
            .map(|(id, thing)| Row {
                id: *id,
                kind: thing.kind(),
                name: thing.name(),
                resource_id: resources.get(id).copied(),
            })
            .collect();
        self.write_rows(&sql::THINGS_INSERT, &[self.tenant.into(), self.source.into()], &rows, &[]).await?;
        let indexed = |id: i64, thing: &Thing| Indexed { born_at: UNBORN, key_hash: id, words: thing.words() };
        Ok(by_id.iter().map(|(id, thing)| (*id, indexed(*id, thing))).collect())
    }

    async fn resource_rows(&mut self, things: &BTreeMap<i64, Thing>) -> Result<HashMap<i64, i64>, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            i: usize,
            api_version: &'a str,
            kind: &'a str,
            namespace: &'a str,
            name: &'a str,
        }
        let asked: Vec<(i64, &Resource)> = things
            .iter()
            .filter_map(|(id, thing)| match thing {
                Thing::Resource(resource) => Some((*id, resource)),
                _ => None,
            })
            .collect();
        if asked.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<Row> = asked
            .iter()
            .enumerate()
            .map(|(i, (_, r))| Row {
                i,
                api_version: &r.api_version,
                kind: &r.kind,
                namespace: &r.namespace,
                name: &r.name,
            })
            .collect();
        let found: Vec<Pair> = self.tx.rows(&sql::RESOURCES_FIND, &[self.tenant.into(), json(&rows)]).await?;
        found.into_iter().map(|Pair(i, id)| Ok((asked[index(i)?].0, id))).collect()
    }

    /// The postings of documents, whose words get rows where they have none.
    async fn postings(&mut self, documents: &BTreeMap<i64, Indexed>) -> Result<Vec<Posting>, StoreError> {
        let words: BTreeSet<&str> =
            documents.values().flat_map(|document| &document.words).map(String::as_str).collect();
        let ids = self.ensure_words(words.into_iter().collect()).await?;
        Ok(documents
            .iter()
            .flat_map(|(id, document)| document.words.iter().map(move |word| (*id, document, word)))
            .enumerate()
            .map(|(i, (document_id, document, word))| Posting {
                i,
                word_id: ids[word.as_str()],
                born_at: document.born_at,
                key_hash: document.key_hash,
                document_id,
            })
            .collect())
    }

    async fn ensure_words<'a>(&mut self, words: Vec<&'a str>) -> Result<HashMap<&'a str, i64>, StoreError> {
        #[derive(Serialize)]
        struct Row<'a> {
            i: usize,
            id: i64,
            text: &'a str,
        }
        let mut ids = HashMap::with_capacity(words.len());
        if words.is_empty() {
            return Ok(ids);
        }
        let asked: Vec<Row> = words.iter().enumerate().map(|(i, text)| Row { i, id: 0, text }).collect();
        for Pair(i, id) in self.tx.rows(&sql::WORDS_FIND, &[self.tenant.into(), json(&asked)]).await? {
            ids.insert(words[index(i)?], id);
        }
        let mut rows = Vec::new();
        for text in words {
            if !ids.contains_key(text) {
                let id = self.id().await?;
                ids.insert(text, id);
                rows.push(Row { i: 0, id, text });
            }
        }
        self.write_rows(&sql::WORDS_INSERT, &[self.tenant.into()], &rows, &[]).await?;
        Ok(ids)
    }

    /// Moves the documents whose birth changed, or became known.
    pub(super) async fn move_documents(
        &mut self,
        old: &[WithSeq<StateRow>],
        new: &[StateRow],
    ) -> Result<(), StoreError> {
        #[derive(Serialize)]
        struct Row {
            document_id: i64,
            born_at: i64,
        }
        let births: HashMap<i64, i64> = old.iter().map(|old| (old.row.object_id, old.row.born_at)).collect();
        let rows: Vec<Row> = new
            .iter()
            .filter(|new| births.get(&new.object_id) != Some(&new.born_at))
            .map(|new| Row { document_id: new.object_id, born_at: new.born_at })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let now: HashMap<i64, i64> = rows.iter().map(|row| (row.document_id, row.born_at)).collect();
        let moved: Vec<DocumentRow> = self.tx.rows(&sql::DOCUMENTS_MOVED, &[self.tenant.into(), json(&rows)]).await?;
        if moved.is_empty() {
            return Ok(());
        }
        let mut documents: BTreeMap<i64, Indexed> = moved.into_iter().map(DocumentRow::indexed).collect();
        let steps: Vec<Move> = self
            .postings(&documents)
            .await?
            .into_iter()
            .map(|posting| Move {
                moved_to: now.get(&posting.document_id).copied().unwrap_or(posting.born_at),
                posting,
            })
            .collect();
        self.write_rows(&sql::POSTINGS_MOVE, &[self.tenant.into()], &steps, &[]).await?;
        for (id, document) in &mut documents {
            document.born_at = now.get(id).copied().unwrap_or(document.born_at);
        }
        self.put_documents(&documents.into_iter().collect::<Vec<_>>()).await
    }

    /// How the index differs from what the stored contents of nodes and their states say, in words of
    /// documents. With `mend`, writes the documents that differ anew.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn check_index(&mut self, nodes: &[i64], mend: bool) -> Result<Difference, StoreError> {
        let args = [self.tenant.into(), json(&nodes)];
        let contents: Vec<ContentRow> = self.tx.rows(&sql::CONTENTS_OF_NODES, &args).await?;
        let (mut words, mut things) = (BTreeMap::<i64, BTreeSet<String>>::new(), BTreeSet::new());
        for part in contents.chunks(BODIES) {
            for document in self.documents(part).await? {
                words.entry(document.object).or_default().extend(document.words);
                things.extend(document.things);
            }
        }
        let mut expected = self.indexed_objects(words).await?;
        let all: BTreeMap<i64, Indexed> = things
            .iter()
            .map(|thing| {
                let id = thing.id(&self.source_name);
                (id, Indexed { born_at: UNBORN, key_hash: id, words: thing.words() })
            })
            .collect();
        let missing = self.ensure_things(things).await?;
        expected.extend(all);
        let difference = self.differing(&mut expected).await?;
        if mend && difference != Difference::default() {
            let ids: Vec<i64> = expected.keys().copied().collect();
            self.write_rows(&sql::POSTINGS_PURGE, &[self.tenant.into()], &ids, &[]).await?;
            let postings = self.postings(&expected).await?;
            self.write_rows(&sql::POSTINGS_INSERT, &[self.tenant.into()], &postings, &[]).await?;
            self.put_documents(&expected.into_iter().collect::<Vec<_>>()).await?;
        }
        Ok(Difference { missing: difference.missing + missing.len(), ..difference })
    }

    async fn documents(&mut self, contents: &[ContentRow]) -> Result<Vec<Document>, StoreError> {
        let ids: Vec<i64> = contents.iter().map(|content| content.body_id).collect();
        let bodies: Vec<BodyRow> = self.tx.rows(&sql::BODIES_BY_ID, &[self.tenant.into(), json(&ids)]).await?;
        let bodies: HashMap<i64, BodyRow> = bodies.into_iter().map(|body| (body.id, body)).collect();
        contents
            .iter()
            .map(|content| {
                let id = content.body_id;
                let body = bodies.get(&id).ok_or_else(|| StoreError::Corrupt(format!("body {id}")))?;
                Ok(document(content.object_id, &unpack(body)?))
            })
            .collect()
    }

    /// Keeps the documents that are stored otherwise, and counts the words that differ.
    async fn differing(&mut self, expected: &mut BTreeMap<i64, Indexed>) -> Result<Difference, StoreError> {
        let mut stored = self.stored_documents(expected.keys().copied().collect()).await?;
        // The hash of a thing is its row.
        let is_object = |id: i64, document: &Indexed| document.key_hash != id;
        let unborn =
            expected.iter_mut().filter(|(id, document)| document.born_at == UNBORN && is_object(**id, document));
        for (id, document) in unborn {
            // An object without state is not found: where it once stood says nothing.
            document.born_at = stored.get(id).map_or(UNBORN, |stored| stored.born_at);
        }
        let lost = self.lost_postings(expected).await?;
        let mut difference = Difference::default();
        expected.retain(|id, document| {
            let known = stored.remove(id);
            let is_in_place = known
                .as_ref()
                .is_some_and(|known| (known.born_at, known.key_hash) == (document.born_at, document.key_hash));
            let known = known.map(|known| known.words).unwrap_or_default();
            let lost = lost.get(id).cloned().unwrap_or_default();
            let missing =
                document.words.iter().filter(|word| !is_in_place || !known.contains(*word) || lost.contains(*word));
            let missing = missing.count();
            let surplus = known.difference(&document.words).count();
            difference.missing += missing;
            difference.surplus += surplus;
            missing > 0 || surplus > 0
        });
        Ok(difference)
    }

    /// The words of documents that have no posting of them.
    async fn lost_postings(
        &mut self,
        documents: &BTreeMap<i64, Indexed>,
    ) -> Result<HashMap<i64, BTreeSet<String>>, StoreError> {
        let postings = self.postings(documents).await?;
        let mut lost: HashMap<i64, BTreeSet<String>> = HashMap::new();
        if postings.is_empty() {
            return Ok(lost);
        }
        let args = [self.tenant.into(), json(&postings)];
        let found: BTreeSet<i64> =
            self.tx.rows(&sql::POSTINGS_FIND, &args).await?.into_iter().map(|Number(i)| i).collect();
        let all = documents.iter().flat_map(|(id, document)| document.words.iter().map(move |word| (*id, word)));
        for (i, (id, word)) in (0_i64..).zip(all) {
            if !found.contains(&i) {
                lost.entry(id).or_default().insert(word.clone());
            }
        }
        Ok(lost)
    }
}

/// What narrows what is found; empty is all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchFilter {
    /// The source's row.
    pub source: Option<i64>,
    /// Only of these kinds: canonical kinds of records, and those of things.
    pub kinds: Option<Vec<String>>,
    /// With `kinds`: also records of kinds that are none of these.
    pub beside: Option<Vec<String>>,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHit {
    /// Its place: birth and hash of its natural identity.
    pub place: BirthPlace,
    /// The record's row, or that of a thing.
    pub document: i64,
    /// The canonical kind of a record, or that of a thing.
    pub kind: String,
    /// The source's row.
    pub source: i64,
    /// The name of a thing.
    pub name: String,
    /// The resource, with its row.
    pub resource: Option<(i64, Resource)>,
    /// Words of it that were asked for, in byte order.
    pub matched: Vec<String>,
}

#[derive(FromRow)]
struct HitRow {
    born_at: i64,
    key_hash: i64,
    document_id: i64,
    kind: String,
    source_id: i64,
    name: String,
    resource_id: Option<i64>,
    resource_api_version: Option<String>,
    resource_kind: Option<String>,
    resource_namespace: Option<String>,
    resource_name: Option<String>,
}

impl HitRow {
    fn read(self, matched: Vec<String>) -> StoredHit {
        let resource = self.resource_id.map(|id| {
            let resource = Resource {
                api_version: self.resource_api_version.unwrap_or_default(),
                kind: self.resource_kind.unwrap_or_default(),
                namespace: self.resource_namespace.unwrap_or_default(),
                name: self.resource_name.unwrap_or_default(),
            };
            (id, resource)
        });
        StoredHit {
            place: (self.born_at, self.key_hash),
            document: self.document_id,
            kind: self.kind,
            source: self.source_id,
            name: self.name,
            resource,
            matched,
        }
    }
}

#[derive(FromRow)]
struct CommonWord {
    text: String,
    id: i64,
    documents: i64,
}

#[derive(FromRow)]
struct CommonRange {
    low: String,
    high: String,
    id: Option<i64>,
    words: i64,
    documents: i64,
}

#[derive(Debug, Clone, Serialize)]
struct Range {
    low: String,
    high: String,
}

/// What the text of a document's words must be like.
#[derive(Serialize)]
struct Pattern {
    pattern: String,
}

impl Pattern {
    fn word(word: &str) -> Self {
        Self { pattern: format!("% {word} %") }
    }

    /// Words have no characters that mean something in a pattern.
    fn beginning(prefix: &str) -> Self {
        Self { pattern: format!("% {prefix}%") }
    }
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

/// How a question is asked: by its rarest part, the others on each candidate.
struct Plan {
    driver: Driver,
    patterns: Vec<Pattern>,
}

enum Driver {
    Word(i64),
    Range(Range),
}

impl Plan {
    fn args(&self, tenant: i64, seq: i64, filter: &SearchFilter) -> Vec<super::driver::Arg> {
        let names =
            |names: &Option<Vec<String>>| json(&names.iter().flatten().map(|name| Name { name }).collect::<Vec<_>>());
        let mut args = vec![tenant.into(), seq.into()];
        match &self.driver {
            Driver::Word(id) => args.extend([(*id).into(), "".into()]),
            Driver::Range(range) => args.extend([range.low.as_str().into(), range.high.as_str().into()]),
        }
        args.extend([
            json(&self.patterns),
            filter.source.unwrap_or(0).into(),
            i64::from(filter.kinds.is_some()).into(),
            names(&filter.kinds),
            i64::from(filter.beside.is_some()).into(),
            names(&filter.beside),
        ]);
        args
    }
}

impl AsOf {
    /// What answers a question: first the records, newest birth first, then the other things.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn search(
        &self,
        question: &Question,
        filter: &SearchFilter,
        page: &Page<BirthPlace>,
    ) -> Result<Rows<StoredHit>, StoreError> {
        let Some(plan) = self.plan(question).await? else { return Ok(Rows::none()) };
        let statement: &'static Statement = match (&plan.driver, page.backward) {
            (Driver::Word(_), false) => &sql::HITS_OF_WORD,
            (Driver::Word(_), true) => &sql::HITS_OF_WORD_BACK,
            (Driver::Range(_), false) => &sql::HITS_OF_RANGE,
            (Driver::Range(_), true) => &sql::HITS_OF_RANGE_BACK,
        };
        let start = if page.backward { (i64::MIN, i64::MIN) } else { (i64::MAX, i64::MAX) };
        let (born_at, key_hash) = page.from.unwrap_or(start);
        let mut args = plan.args(self.tenant, self.seq, filter);
        args.extend([born_at.into(), key_hash.into(), page.fetch().into()]);
        let rows: Rows<HitRow> = page.rows(self.pool.rows(statement, &args).await?);
        let mut words = self.words_of(rows.rows.iter().map(|row| row.document_id).collect()).await?;
        Ok(rows.map(|row| {
            let words = words.remove(&row.document_id).unwrap_or_default();
            row.read(question.matched(&words).into_iter().take(MATCHED).collect())
        }))
    }

    /// How many answers [`Self::search`] has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_search(&self, question: &Question, filter: &SearchFilter) -> Result<i64, StoreError> {
        let Some(plan) = self.plan(question).await? else { return Ok(0) };
        let statement = match plan.driver {
            Driver::Word(_) => &sql::HITS_OF_WORD_COUNT,
            Driver::Range(_) => &sql::HITS_OF_RANGE_COUNT,
        };
        self.count(statement, &plan.args(self.tenant, self.seq, filter)).await
    }

    /// The rarest part of a question and the others; `None` if a word is nowhere.
    async fn plan(&self, question: &Question) -> Result<Option<Plan>, StoreError> {
        #[derive(Serialize)]
        struct Text<'a> {
            text: &'a str,
        }
        let texts: Vec<Text> = question.words.iter().map(|text| Text { text }).collect();
        let args = [self.tenant.into(), json(&texts), COUNTED.into()];
        let words: Vec<CommonWord> = self.pool.rows(&sql::WORDS_COUNT, &args).await?;
        let ranges: Vec<Range> =
            question.prefixes.iter().map(|prefix| Range { low: prefix.clone(), high: beyond(prefix) }).collect();
        let args = [self.tenant.into(), json(&ranges), COUNTED.into()];
        let ranges: Vec<CommonRange> = self.pool.rows(&sql::RANGES_COUNT, &args).await?;
        if words.len() < question.words.len() || ranges.iter().any(|range| range.words == 0) {
            return Ok(None);
        }
        Ok(plan(&words, ranges))
    }

    async fn words_of(&self, documents: Vec<i64>) -> Result<HashMap<i64, BTreeSet<String>>, StoreError> {
        let args = [self.tenant.into(), json(&documents)];
        let rows: Vec<DocumentRow> = self.pool.rows(&sql::DOCUMENTS_BY_ID, &args).await?;
        Ok(rows.into_iter().map(DocumentRow::indexed).map(|(id, document)| (id, document.words)).collect())
    }

    /// The results of a source whose latest version applied a resource, newest birth first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_appliers(
        &self,
        source: i64,
        resource: i64,
        page: &Page<BirthPlace>,
    ) -> Result<Rows<StoredRecord>, StoreError> {
        let statement = if page.backward { &sql::APPLIERS_PAGE_BACK } else { &sql::APPLIERS_PAGE };
        let start = if page.backward { (i64::MIN, i64::MIN) } else { (i64::MAX, i64::MAX) };
        let (born_at, key_hash) = page.from.unwrap_or(start);
        let args = [
            self.tenant.into(),
            resource.into(),
            source.into(),
            born_at.into(),
            key_hash.into(),
            self.seq.into(),
            page.fetch().into(),
        ];
        Ok(page.rows(self.read_records(statement, &args).await?))
    }

    /// How many results [`Self::list_appliers`] has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_appliers(&self, source: i64, resource: i64) -> Result<i64, StoreError> {
        self.count(&sql::APPLIERS_COUNT, &[self.tenant.into(), resource.into(), source.into()]).await
    }
}

fn plan(words: &[CommonWord], mut ranges: Vec<CommonRange>) -> Option<Plan> {
    // In one order, whatever the order of rows: ties must not change what is asked.
    ranges.sort_by(|a, b| a.low.cmp(&b.low));
    let rarest_word = words.iter().min_by(|a, b| (a.documents, &a.text).cmp(&(b.documents, &b.text)));
    let rarest_range = ranges.iter().enumerate().min_by_key(|(_, range)| range.documents);
    let word = rarest_word.map(|word| (word.documents, word.id));
    let (driver, taken) = match (word, rarest_range) {
        (Some((documents, id)), Some((_, range))) if documents <= range.documents => (Driver::Word(id), None),
        (Some((_, id)), None) => (Driver::Word(id), None),
        (_, Some((i, CommonRange { id: Some(id), words: 1, .. }))) => (Driver::Word(*id), Some(i)),
        (_, Some((i, range))) => (Driver::Range(Range { low: range.low.clone(), high: range.high.clone() }), Some(i)),
        (None, None) => return None,
    };
    if let Some(taken) = taken {
        ranges.remove(taken);
    }
    let words = words.iter().filter(|word| !matches!(driver, Driver::Word(id) if id == word.id));
    let words = words.map(|word| Pattern::word(&word.text));
    let patterns = words.chain(ranges.iter().map(|range| Pattern::beginning(&range.low))).collect();
    Some(Plan { driver, patterns })
}
