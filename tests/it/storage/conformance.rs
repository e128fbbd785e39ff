//! What the store promises, on both databases. Every public method of the store has a case.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use packtrail::domain::RULES;
use packtrail::domain::digest::Digest;
use packtrail::domain::facts::{Facts, Owner};
use packtrail::domain::history::{Content, End};
use packtrail::domain::identity::NaturalKey;
use packtrail::domain::operation::Operation;
use packtrail::domain::record::Resource;
use packtrail::domain::run::Run;
use packtrail::domain::run::import::{ImportItem, Imported, Known, grown, run_of};
use packtrail::domain::world::Ended;
use packtrail::storage::{
    AskedBeat, Beat, Changes, Commit, Creation, Difference, DueRun, EdgeKind, Entry, EpochRow, FindingRow, FoundImport,
    ImportChange, LeaseKey, LeaseState, LineageRow, Live, MovedObservation, NewLease, NewObject, NewObservation,
    NewOperation, NewQuarantine, NewRefusal, NewRun, NewVersion, OldVersion, Patch, QuarantineReason, RevisionRow,
    RunChange, RunEdge, RunVertex, SeenObject, StateRow, Store, StoreError, Timeouts, Topic, Upload, WriteTx,
    log_number,
};
use serde_json::json;

use crate::support::db::{Database, fetch};

/// Where a case runs: on a store of its own tenant.
#[derive(Clone)]
struct On {
    store: Store,
    url: String,
    tenant: String,
}

/// A promise, the methods that keep it, and what would show a breach.
struct Case {
    claim: &'static str,
    covers: &'static [&'static str],
    run: fn(On) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

macro_rules! case {
    ($claim:literal, $run:ident, [$($method:literal),+]) => {
        Case { claim: $claim, covers: &[$($method),+], run: |on| Box::pin($run(on)) }
    };
}

/// All cases. A new public method of `Store` or `WriteTx` needs one here.
const CASES: &[Case] = &[
    case!("ids never repeat", ids, ["Store::write", "WriteTx::id", "WriteTx::commit"]),
    case!(
        "nodes are made once, byte for byte",
        nodes,
        ["WriteTx::ensure_nodes", "WriteTx::find_nodes", "WriteTx::node"]
    ),
    case!("the nodes of a source come in pages", node_pages, ["WriteTx::nodes_page"]),
    case!("names are ordered by their bytes", byte_order, ["Store::source_names", "WriteTx::source_name"]),
    case!("a source keeps its incarnation", incarnation, ["WriteTx::set_incarnation"]),
    case!(
        "observations read back as written",
        observations,
        ["WriteTx::insert_objects", "WriteTx::insert_observations", "WriteTx::observed"]
    ),
    case!("a heartbeat moves in place", heartbeat, ["WriteTx::update_seen", "WriteTx::move_observations"]),
    case!("what a heartbeat moves is found at once", beats, ["WriteTx::beats", "WriteTx::update_seen"]),
    case!("the same content is kept once", deduplication, ["WriteTx::insert_observations", "WriteTx::content_id"]),
    case!("what is alike is kept as a difference", differences, ["WriteTx::insert_observations", "WriteTx::contents"]),
    case!("the ledger names objects and contents by their rows", named_entries, ["WriteTx::apply"]),
    case!("links are found from both ends", links, ["WriteTx::members", "WriteTx::dependents", "WriteTx::collections"]),
    case!("the next listing is found", snapshots, ["WriteTx::insert_snapshot", "WriteTx::next_snapshots"]),
    case!("what a listing omitted comes in pages", omissions, ["WriteTx::omitted"]),
    case!("the quarantine keeps an item once", quarantine, ["WriteTx::quarantined", "WriteTx::quarantine_size"]),
    case!(
        "a run is locked, changed and read as of each commit",
        runs,
        ["Store::write_run", "Store::due_runs", "Store::commands"]
    ),
    case!(
        "a lease holds until it is over, whatever comes late",
        leases,
        ["Store::queue_uses", "Store::queue_depth", "Store::queue_depths", "Store::silent_runs"]
    ),
    case!(
        "what happened is read on from any place, and told to who follows it",
        feeds,
        [
            "Store::ensure_tenant",
            "Store::is_shared",
            "Store::look",
            "Store::look_at",
            "Store::open_pooled",
            "Store::wakes"
        ]
    ),
    case!("what is reported of a run is kept, and read as of each commit", imports, ["Store::write_reports"]),
    case!("an item in quarantine has the reason of its last refusal", refusals, ["WriteTx::quarantine_reasons"]),
    case!("a finding that changes while it stands is one", finding_rows, ["WriteTx::apply"]),
    case!("the index has the words of all contents", index, ["WriteTx::check_index"]),
    case!("operations follow what is derived", operations, ["WriteTx::compare", "WriteTx::apply"]),
    case!("the ledger has no gaps and no way back", ledger, ["WriteTx::apply", "Store::head"]),
    case!("derived rows hold from commit to commit", derived, ["WriteTx::compare", "WriteTx::groups", "Store::dump"]),
    case!(
        "what newer rules need of contents is read and written",
        contents,
        ["WriteTx::contents", "WriteTx::set_facts"]
    ),
    case!("a tenant keeps the rules that it follows", rules, ["Store::tenants_behind", "Store::set_rules"]),
    case!(
        "the end of a chain is read and written alone",
        tails,
        ["WriteTx::open_epochs", "WriteTx::open_tails", "WriteTx::work"]
    ),
    case!("the edges of a record are replaced, not kept twice", lineage, ["WriteTx::apply", "WriteTx::resource_sets"]),
    case!("an owner's end is known without its history", ends, ["WriteTx::ends"]),
    case!("an answer is repeated until it is forgotten", answers, ["Store::keep_answer", "Store::find_answer"]),
    case!("what is not committed was never there", rollback, ["Store::write"]),
    case!("tenants know nothing of each other", tenants, ["Store::write"]),
    case!(
        "a closed store says that it is away",
        lifecycle,
        ["Store::open", "Store::open_with", "Store::ping", "Store::analyze", "Store::close"]
    ),
];

/// Methods whose cases are elsewhere, and where.
const ELSEWHERE: &[(&str, &str)] = &[
    // One read of the store is one field of the API, where the tests ask for it in all its forms.
    ("src/storage/read.rs", "tests/it/graphql"),
    ("src/storage/list.rs", "tests/it/graphql"),
    ("src/storage/findings.rs", "tests/it/graphql"),
];

#[tokio::test]
async fn every_case_holds_on_both_databases() {
    let mut failed = Vec::new();
    for database in Database::all() {
        let url = database.url().await;
        let store = database.open().await;
        for (n, case) in CASES.iter().enumerate() {
            let on = On { store: store.clone(), url: url.clone(), tenant: format!("t{n}") };
            // A task of its own, so that one failure does not hide the others.
            if tokio::spawn((case.run)(on)).await.is_err() {
                failed.push(format!("{} ({})", case.claim, url.split(':').next().unwrap()));
            }
        }
        store.close().await;
    }
    assert!(failed.is_empty(), "see above: {failed:#?}");
}

#[test]
fn every_public_method_has_a_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let this = fs::read_to_string(root.join("tests/it/storage/conformance.rs")).unwrap();
    let mut methods = BTreeSet::new();
    let folders = ["src/storage", "src/storage/run"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
    for path in folders.into_iter().flatten().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap();
        if !ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name) {
            methods.extend(public_methods(&fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(methods.len() > 30, "the sources were not read: {methods:?}");
    let covered: BTreeSet<String> = CASES.iter().flat_map(|case| case.covers).map(|name| (*name).to_owned()).collect();
    let missing: Vec<_> = methods.difference(&covered).collect();
    assert!(missing.is_empty(), "add a case for {missing:?} to tests/it/storage/conformance.rs");
    let stale: Vec<_> = covered.difference(&methods).collect();
    assert!(stale.is_empty(), "no such methods: {stale:?}");
    for name in &covered {
        let method = name.split("::").last().unwrap();
        let is_called = this.contains(&format!(".{method}(")) || this.contains(&format!("Store::{method}("));
        assert!(is_called, "a case says that it covers {name} but none calls it");
    }
    for (_, tests) in ELSEWHERE {
        assert!(root.join(tests).is_dir(), "{tests} is gone");
    }
}

/// The public methods of the store and its transactions in a formatted source.
fn public_methods(source: &str) -> BTreeSet<String> {
    let mut methods = BTreeSet::new();
    let mut subject = None;
    for line in source.lines() {
        match line {
            "impl Store {" => subject = Some("Store"),
            "impl WriteTx {" => subject = Some("WriteTx"),
            "}" => subject = None,
            _ => {}
        }
        let public = line.strip_prefix("    pub ").map(|rest| rest.strip_prefix("async ").unwrap_or(rest));
        if let (Some(subject), Some(signature)) = (subject, public.and_then(|rest| rest.strip_prefix("fn "))) {
            let name: String = signature.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            methods.insert(format!("{subject}::{name}"));
        }
    }
    methods
}

#[test]
fn public_methods_are_found_in_a_source() {
    let source = "impl Store {\n    pub async fn a(&self) {\n    }\n    pub(super) fn b() {}\n    fn c() {}\n}\n\
        impl Other {\n    pub fn d() {}\n}\nimpl WriteTx {\n    pub fn e<T>() {}\n}\n";
    let found: Vec<String> = public_methods(source).into_iter().collect();
    assert_eq!(found, ["Store::a", "WriteTx::e"]);
}

impl On {
    async fn write(&self) -> WriteTx {
        self.write_source("s").await
    }

    async fn write_source(&self, source: &str) -> WriteTx {
        self.store.write(&self.tenant, source, 1).await.unwrap()
    }

    /// The one number that a question about this tenant's rows has for its answer.
    async fn count(&self, table: &str) -> i64 {
        let question = format!(
            "SELECT COUNT(*) FROM {table} WHERE tenant_id = (SELECT id FROM tenant WHERE name = '{}')",
            self.tenant
        );
        fetch::<(i64,)>(&self.url, &question).await[0].0
    }

    async fn rows<T>(&self, columns: &str, rest: &str) -> Vec<T>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
        T: Send + Unpin,
    {
        let (table, order) = rest.split_once(' ').unwrap_or((rest, ""));
        let question = format!(
            "SELECT {columns} FROM {table} WHERE tenant_id = (SELECT id FROM tenant WHERE name = '{}') {order}",
            self.tenant
        );
        fetch(&self.url, &question).await
    }
}

fn key(name: &str) -> NaturalKey {
    NaturalKey::new("PackReceipt", "ns", name)
}

fn content(text: &str) -> Arc<Content> {
    let facts = Facts {
        created: Some(7),
        owner: Some(Owner { uid: "owner-ü".to_owned(), name: "o".to_owned() }),
        cluster: Some(text.to_owned()),
        ..Facts::default()
    };
    Arc::new(Content { digest: Digest::of_bytes(text.as_bytes()), spec: Digest::of_bytes(b"spec"), facts })
}

/// The node of a key and an object without uid on it.
async fn make_object(tx: &mut WriteTx, key: &NaturalKey) -> (i64, i64) {
    make_object_with(tx, key, "").await
}

async fn make_object_with(tx: &mut WriteTx, key: &NaturalKey, uid: &str) -> (i64, i64) {
    tx.ensure_nodes(std::slice::from_ref(key)).await.unwrap();
    let node = tx.node(key).unwrap();
    let id = tx.id().await.unwrap();
    let object =
        NewObject { id, node_id: node, uid: uid.to_owned(), sighted_at: None, last_seen_at: 1, heartbeat: None };
    tx.insert_objects(&[object]).await.unwrap();
    (node, id)
}

async fn observation(tx: &mut WriteTx, object_id: i64, text: &str) -> NewObservation {
    NewObservation {
        object_id,
        id: tx.id().await.unwrap(),
        resource_version: None,
        content: content(text),
        warnings: None,
        resources: None,
        body: Arc::from(text.as_bytes()),
        object: None,
        deleted: false,
        stamped_at: None,
        sighted_at: None,
        own_time: 5,
        received_at: 6,
        asserter: "tester".to_owned(),
    }
}

fn entry(kind: &'static str, identity: &str) -> Entry {
    Entry {
        kind,
        identity: identity.to_owned(),
        object: None,
        content: None,
        previous: None,
        principal: "tester".to_owned(),
    }
}

async fn ids(on: On) {
    let mut all = Vec::new();
    // As another process has it.
    let other = On { store: Store::open(&on.url, false).await.unwrap(), ..on.clone() };
    for on in [&on, &other, &on, &other] {
        let mut tx = on.write().await;
        for _ in 0..300 {
            all.push(tx.id().await.unwrap());
        }
        tx.commit().await.unwrap();
    }
    other.store.close().await;
    for _ in 0..2 {
        let mut tx = on.write().await;
        for _ in 0..5000 {
            all.push(tx.id().await.unwrap());
        }
        tx.commit().await.unwrap();
    }
    let both = ["a", "b"].map(|source| {
        let on = on.clone();
        tokio::spawn(async move {
            let mut tx = on.write_source(source).await;
            let mut ids = Vec::new();
            for _ in 0..100 {
                ids.push(tx.id().await.unwrap());
            }
            tx.commit().await.unwrap();
            ids
        })
    });
    for task in both {
        all.extend(task.await.unwrap());
    }
    let distinct: BTreeSet<i64> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len());
    assert!(all.iter().all(|id| *id > 0));
}

async fn nodes(on: On) {
    let names = ["a", "A", "a ", "\u{e1}", "a\u{301}", "ss", "\u{df}", "\u{1f4e6}", "'\"\\", "%_", ""];
    let mut keys: Vec<NaturalKey> = names.iter().map(|name| key(name)).collect();
    keys.push(NaturalKey { cluster: "c".to_owned(), ..key("a") });
    keys.push(NaturalKey::new("PackReceipt", "NS", "a"));
    keys.push(NaturalKey::new("packreceipt", "ns", "a"));
    let mut tx = on.write().await;
    tx.find_nodes(&keys).await.unwrap();
    assert!(keys.iter().all(|key| tx.node(key).is_none()));
    // Twice in one call, and again: an id stays.
    let twice: Vec<NaturalKey> = keys.iter().chain(&keys).cloned().collect();
    tx.ensure_nodes(&twice).await.unwrap();
    tx.ensure_nodes(&keys).await.unwrap();
    let made: Vec<i64> = keys.iter().map(|key| tx.node(key).unwrap()).collect();
    assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), keys.len(), "two names were taken for one");
    tx.commit().await.unwrap();
    let mut tx = on.write().await;
    tx.find_nodes(&keys).await.unwrap();
    let found: Vec<i64> = keys.iter().map(|key| tx.node(key).unwrap()).collect();
    assert_eq!(found, made);
    tx.ensure_nodes(&keys).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = on.write_source("other").await;
    tx.find_nodes(&keys).await.unwrap();
    assert!(keys.iter().all(|key| tx.node(key).is_none()), "another source's nodes were found");
    drop(tx);
    assert_eq!(on.count("node").await, i64::try_from(keys.len()).unwrap());
}

async fn node_pages(on: On) {
    let mut other = on.write_source("other").await;
    other.ensure_nodes(&[key("a"), key("z")]).await.unwrap();
    other.commit().await.unwrap();
    let mut tx = on.write().await;
    let keys: Vec<NaturalKey> = (0..5).map(|i| key(&format!("n{i}"))).collect();
    tx.ensure_nodes(&keys).await.unwrap();
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = tx.nodes_page(after, 2).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        assert!(page.len() <= 2 && *last > after);
        after = *last;
        found.extend(page);
    }
    assert_eq!(found.iter().map(|(_, key)| key.clone()).collect::<Vec<_>>(), keys);
    assert!(found.iter().all(|(id, key)| tx.node(key) == Some(*id)));
    assert!(tx.nodes_page(0, 0).await.unwrap().is_empty());
}

async fn byte_order(on: On) {
    assert!(on.store.source_names(&on.tenant).await.unwrap().is_empty());
    for name in ["z", "\u{e1}", "a", "B", "_", "a-b", "ab"] {
        let tx = on.write_source(name).await;
        assert_eq!(tx.source_name(), name);
        tx.commit().await.unwrap();
    }
    let names = on.store.source_names(&on.tenant).await.unwrap();
    assert_eq!(names, ["B", "_", "a", "a-b", "ab", "z", "\u{e1}"]);
}

async fn incarnation(on: On) {
    on.write_source("other").await.commit().await.unwrap();
    for incarnation in ["one", "two"] {
        let mut tx = on.write().await;
        tx.set_incarnation(incarnation).await.unwrap();
        tx.commit().await.unwrap();
        on.write().await.commit().await.unwrap();
    }
    let rows: Vec<(String, String)> = on.rows("name, incarnation", "source ORDER BY name").await;
    assert_eq!(rows, [("other".to_owned(), String::new()), ("s".to_owned(), "two".to_owned())]);
}

async fn observations(on: On) {
    let mut tx = on.write().await;
    tx.ensure_nodes(&[key("a"), key("b")]).await.unwrap();
    let (a, b) = (tx.node(&key("a")).unwrap(), tx.node(&key("b")).unwrap());
    let (first, second) = (tx.id().await.unwrap(), tx.id().await.unwrap());
    let object = |id, uid: &str, sighted_at, last_seen_at| NewObject {
        id,
        node_id: a,
        uid: uid.to_owned(),
        sighted_at,
        last_seen_at,
        heartbeat: None,
    };
    tx.insert_objects(&[object(first, "", None, -5), object(second, "u-1", Some(i64::MAX), 9)]).await.unwrap();
    let plain = observation(&mut tx, first, "plain").await;
    let full = NewObservation {
        resource_version: Some("0042".to_owned()),
        warnings: Some("[\"w\"]".to_owned()),
        deleted: true,
        stamped_at: Some(-1),
        ..observation(&mut tx, second, "{\"text\": \"ü\u{1f4e6}\\n\"}").await
    };
    tx.insert_observations(&[plain.clone(), full.clone()]).await.unwrap();
    tx.insert_observations(&[]).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = on.write().await;
    let mut groups = tx.observed(&[a, b, i64::MAX]).await.unwrap();
    assert_eq!(groups.len(), 1, "nodes without objects have no group");
    let group = groups.remove(&a).unwrap();
    assert_eq!(group.iter().map(|o| (o.id, o.last_seen_at)).collect::<Vec<_>>(), [(first, -5), (second, 9)]);
    assert_eq!(group[0].observed.uid, None);
    assert_eq!(group[1].observed.uid.as_deref(), Some("u-1"));
    assert_eq!((group[0].observed.sighted_at, group[1].observed.sighted_at), (None, Some(i64::MAX)));
    for (read, written) in group.iter().map(|object| &object.observed.observations).zip([&plain, &full]) {
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].id, written.id);
        assert_eq!(read[0].resource_version, written.resource_version);
        assert_eq!((read[0].deleted, read[0].stamped_at), (written.deleted, written.stamped_at));
        assert_eq!(read[0].own_time, written.own_time);
        assert_eq!(read[0].content.digest, written.content.digest);
        assert_eq!(read[0].content.spec, written.content.spec);
        assert_eq!(read[0].content.facts, written.content.facts);
    }
    assert!(tx.observed(&[]).await.unwrap().is_empty());
    let rest: Vec<(i64, String)> = on.rows("received_at, asserter", "observation").await;
    assert_eq!(rest, vec![(6, "tester".to_owned()); 2]);
}

async fn heartbeat(on: On) {
    let mut tx = on.write().await;
    let (node, object) = make_object(&mut tx, &key("a")).await;
    let (_, other) = make_object(&mut tx, &key("b")).await;
    let seen = observation(&mut tx, object, "a").await;
    let still = observation(&mut tx, other, "a").await;
    tx.insert_observations(&[seen.clone(), still]).await.unwrap();
    let beat = |heartbeat: Option<&str>, at| SeenObject {
        id: object,
        sighted_at: Some(at),
        last_seen_at: at,
        heartbeat: heartbeat.map(str::to_owned),
        beat_id: None,
    };
    tx.update_seen(&[beat(Some("{\"checked\":1}"), 10)]).await.unwrap();
    tx.update_seen(&[beat(None, 20)]).await.unwrap();
    let moved = |resource_version: Option<&str>, stamped_at| MovedObservation {
        object_id: object,
        id: seen.id,
        resource_version: resource_version.map(str::to_owned),
        stamped_at,
        sighted_at: None,
    };
    tx.move_observations(&[moved(None, Some(1))]).await.unwrap();
    tx.move_observations(&[moved(Some("2"), None)]).await.unwrap();
    let groups = tx.observed(&[node]).await.unwrap();
    let stored = &groups[&node][0];
    assert_eq!((stored.last_seen_at, stored.observed.sighted_at), (20, Some(20)));
    let observed = &stored.observed.observations;
    assert_eq!(observed.len(), 1, "a heartbeat must not grow the store");
    assert_eq!((observed[0].resource_version.as_deref(), observed[0].stamped_at), (Some("2"), None));
    tx.commit().await.unwrap();
    let rows: Vec<(i64, Option<String>)> = on.rows("last_seen_at, heartbeat", "object ORDER BY id").await;
    assert_eq!(rows, [(20, Some("{\"checked\":1}".to_owned())), (1, None)]);
}

async fn beats(on: On) {
    let mut tx = on.write().await;
    let state = stated(&mut tx, &key("a")).await;
    let seen = observation(&mut tx, state.object_id, "beat").await;
    let seen = NewObservation { resource_version: Some("7".to_owned()), stamped_at: Some(70), ..seen };
    tx.insert_observations(std::slice::from_ref(&seen)).await.unwrap();
    let changes = Changes {
        entries: vec![entry("OBSERVED", "a")],
        objects: vec![state.object_id],
        states: vec![state.clone()],
        rules: 1,
        ..Changes::default()
    };
    tx.apply(&changes, 1).await.unwrap();
    let (a, b) = (key("a"), key("b"));
    let asked = |key, resource_version| AskedBeat { key, uid: "", resource_version };
    let asked = [asked(&b, "8"), asked(&a, "7"), asked(&a, "8")];
    assert!(tx.beats(&asked).await.unwrap().is_empty(), "nobody said which observation moves");
    let note = SeenObject {
        id: state.object_id,
        sighted_at: Some(70),
        last_seen_at: 71,
        heartbeat: None,
        beat_id: Some(seen.id),
    };
    tx.update_seen(std::slice::from_ref(&note)).await.unwrap();
    let beat = Beat {
        object: state.object_id,
        uid: String::new(),
        sighted_at: Some(70),
        last_seen_at: 71,
        observation: seen.id,
        stamped_at: 70,
        content: content("beat").digest,
    };
    let found = tx.beats(&asked).await.unwrap();
    assert_eq!(found, std::collections::HashMap::from([(2, beat)]), "one is of no object, one is known");
    assert_eq!(tx.observed(&[state.node_id]).await.unwrap()[&state.node_id][0].beat_id, Some(seen.id));
    let closed = StateRow { live: 0, ..state };
    tx.apply(&Changes { states: vec![closed], ..changes }, 2).await.unwrap();
    assert!(tx.beats(&asked).await.unwrap().is_empty(), "what is closed may be opened by it");
    assert!(tx.beats(&[]).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}

async fn deduplication(on: On) {
    let resource = |name: &str| Resource {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: "ns".to_owned(),
        name: name.to_owned(),
    };
    let mut tx = on.write().await;
    assert!(matches!(tx.content_id(&content("same").digest), Err(StoreError::Corrupt(_))));
    let (_, object) = make_object(&mut tx, &key("a")).await;
    let with = |observation: NewObservation, names: &[&str]| NewObservation {
        resources: Some(names.iter().map(|name| resource(name)).collect()),
        ..observation
    };
    let same = with(observation(&mut tx, object, "same").await, &["x", "y"]);
    let again = with(observation(&mut tx, object, "same").await, &["x", "y"]);
    let set = with(observation(&mut tx, object, "other").await, &["x", "y"]);
    tx.insert_observations(&[same, again, set]).await.unwrap();
    let id = tx.content_id(&content("same").digest).unwrap();
    tx.commit().await.unwrap();
    let mut tx = on.write().await;
    let later = with(observation(&mut tx, object, "same").await, &["x", "y"]);
    let third = with(observation(&mut tx, object, "third").await, &["y", "z"]);
    let empty = with(observation(&mut tx, object, "empty").await, &[]);
    let none = observation(&mut tx, object, "none").await;
    tx.insert_observations(&[later, third, empty, none]).await.unwrap();
    assert_eq!(tx.content_id(&content("same").digest).unwrap(), id);
    tx.commit().await.unwrap();

    let counts = [("observation", 7), ("content", 5), ("body", 5), ("resource", 3), ("resource_set", 3)];
    for (table, expected) in counts {
        assert_eq!(on.count(table).await, expected, "{table}");
    }
    assert_eq!(on.count("resource_set_member").await, 4);
    let sets: Vec<(i64,)> = on.rows("size", "resource_set ORDER BY size").await;
    assert_eq!(sets, [(0,), (2,), (2,)]);
    let without: Vec<(Vec<u8>,)> = on.rows("digest", "content AND resource_set_id IS NULL").await;
    assert_eq!(without, [(content("none").digest.0.to_vec(),)]);
    let bodies: Vec<(Vec<u8>, Vec<u8>)> = on.rows("digest, bytes", "body").await;
    let mut texts = BTreeSet::new();
    for (digest, compressed) in bodies {
        let text = zstd::bulk::decompress(&compressed, 1000).unwrap();
        assert_eq!(Digest::of_bytes(&text).0.to_vec(), digest);
        texts.insert(String::from_utf8(text).unwrap());
    }
    assert_eq!(texts.into_iter().collect::<Vec<_>>(), ["empty", "none", "other", "same", "third"]);
}

async fn differences(on: On) {
    let long = |name: &str| format!("{{\"name\":\"{name}\",\"rest\":\"{:?}\"}}", (0..200).collect::<Vec<u32>>());
    // What has nothing in common with the rest: written out as digests.
    let other: String = (0..20).map(|i: u8| Digest::of_bytes(&[i]).hex()).collect();
    let texts = [long("a"), long("b"), other.clone(), other + "!", long("c")];
    let mut tx = on.write().await;
    let (node, object) = make_object(&mut tx, &key("a")).await;
    for text in &texts[..2] {
        let seen = observation(&mut tx, object, text).await;
        tx.insert_observations(&[seen]).await.unwrap();
    }
    tx.commit().await.unwrap();
    // A later batch finds the base, replaces it where it is of no use, and goes by the new one within itself.
    let mut tx = on.write().await;
    let mut seen = Vec::new();
    for text in &texts[2..] {
        seen.push(observation(&mut tx, object, text).await);
    }
    tx.insert_observations(&seen).await.unwrap();
    let bodies: BTreeSet<Vec<u8>> = tx.contents(&[node]).await.unwrap().into_iter().map(|found| found.body).collect();
    assert_eq!(bodies, texts.iter().map(|text| text.as_bytes().to_vec()).collect());
    tx.commit().await.unwrap();
    let rows: Vec<(i64, i64)> = on
        .rows(
            "CAST(CASE WHEN base_id IS NULL THEN 1 ELSE 0 END AS BIGINT), CAST(LENGTH(bytes) AS BIGINT)",
            "body ORDER BY id",
        )
        .await;
    assert_eq!(rows.iter().map(|(whole, _)| *whole).collect::<Vec<_>>(), [1, 0, 1, 0, 1]);
    assert!(rows[1].1 < 40 && rows[3].1 < 40, "{rows:?}");
    let chained =
        "body AND base_id IN (SELECT b.id FROM body b WHERE b.tenant_id = body.tenant_id AND b.base_id IS NOT NULL)";
    assert_eq!(on.rows::<(i64,)>("id", chained).await, [], "a base is whole");
    assert_eq!(on.count("body_base").await, 1);
}

async fn named_entries(on: On) {
    let mut tx = on.write().await;
    let (_, object) = make_object_with(&mut tx, &key("a"), "u").await;
    let seen = observation(&mut tx, object, "now").await;
    tx.insert_observations(&[seen]).await.unwrap();
    let entry = Entry {
        object: Some(object),
        content: Some(content("now").digest),
        // A content that is not there is named by its digest.
        previous: Some(content("lost").digest),
        ..entry("UPDATED", &key("a").object_key(Some("u")))
    };
    tx.apply(&Changes { entries: vec![entry.clone()], rules: 1, ..Changes::default() }, 1).await.unwrap();
    tx.commit().await.unwrap();
    let columns = "identity, (SELECT n.kind || '/' || n.cluster || '/' || n.namespace || '/' || n.name || '/' || o.uid \
        FROM object o JOIN node n ON n.tenant_id = o.tenant_id AND n.id = o.node_id \
        WHERE o.tenant_id = ledger_entry.tenant_id AND o.id = object_id), (SELECT c.digest FROM content c \
        WHERE c.tenant_id = ledger_entry.tenant_id AND c.id = content_id), previous_digest";
    let rows: Vec<(String, String, Vec<u8>, Vec<u8>)> = on.rows(columns, "ledger_entry").await;
    let digest = |text: &str| content(text).digest.0.to_vec();
    assert_eq!(rows, [(String::new(), entry.identity, digest("now"), digest("lost"))]);
}

async fn links(on: On) {
    let keys: Vec<NaturalKey> = ["a", "b", "c"].iter().map(|name| key(name)).collect();
    let sets = [NaturalKey::sequence("ns", "one"), NaturalKey::delivery("c", "two")];
    let mut tx = on.write().await;
    tx.ensure_nodes(&keys).await.unwrap();
    tx.ensure_nodes(&sets).await.unwrap();
    let [a, b, c] = [0, 1, 2].map(|i| tx.node(&keys[i]).unwrap());
    let [one, two] = [0, 1].map(|i| tx.node(&sets[i]).unwrap());
    let edges = vec![
        (a, EdgeKind::MemberOf, one),
        (b, EdgeKind::MemberOf, one),
        (b, EdgeKind::MemberOf, two),
        (a, EdgeKind::Reads, c),
        (b, EdgeKind::OwnedBy, c),
        (c, EdgeKind::Reads, one),
    ];
    let changes = Changes { edges, ..Changes::default() };
    assert_eq!(tx.apply(&changes, 1).await.unwrap(), None, "edges alone make no commit");
    assert_eq!(tx.apply(&changes, 1).await.unwrap(), None, "an edge may be there already");
    tx.commit().await.unwrap();
    assert_eq!(on.store.head(&on.tenant).await.unwrap(), 0);
    assert_eq!(on.count("edge").await, 6);

    let mut tx = on.write().await;
    let members = tx.members(&[one, two, a]).await.unwrap();
    assert_eq!(members.len(), 2);
    assert_eq!(members[&one], [(a, keys[0].clone()), (b, keys[1].clone())]);
    assert_eq!(members[&two], [(b, keys[1].clone())]);
    assert_eq!(tx.node(&keys[1]), Some(b), "what was linked is known from then on");
    assert_eq!(tx.dependents(&[c], EdgeKind::Reads).await.unwrap()[&c], [(a, keys[0].clone())]);
    assert_eq!(tx.dependents(&[c], EdgeKind::OwnedBy).await.unwrap()[&c], [(b, keys[1].clone())]);
    assert_eq!(tx.dependents(&[one], EdgeKind::Reads).await.unwrap()[&one], [(c, keys[2].clone())]);
    let collections = tx.collections(&[a, b, c]).await.unwrap();
    assert_eq!(collections.len(), 2);
    assert_eq!(collections[&b], [(one, sets[0].clone()), (two, sets[1].clone())]);
    assert!(tx.members(&[]).await.unwrap().is_empty());
}

async fn snapshots(on: On) {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut tx = on.write_source("other").await;
    tx.insert_snapshot(&[], &[], 1, 1).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = on.write().await;
    tx.insert_snapshot(&names(&["A", "B"]), &names(&["x"]), 10, 1).await.unwrap();
    tx.insert_snapshot(&names(&["A"]), &[], 20, 1).await.unwrap();
    tx.insert_snapshot(&[], &names(&["y"]), 30, 1).await.unwrap();
    tx.insert_snapshot(&[], &[], 40, 1).await.unwrap();
    // The same listing again is the same listing.
    tx.insert_snapshot(&[], &[], 40, 2).await.unwrap();
    let cases = [
        (("A", "x", 0), Some(10)),
        (("B", "x", 9), Some(10)),
        (("A", "x", 10), Some(20)),
        (("A", "z", 0), Some(20)),
        (("B", "x", 10), Some(40)),
        (("C", "y", 0), Some(30)),
        (("C", "y", 30), Some(40)),
        (("a", "x", 0), Some(40)),
        (("C", "", 0), Some(40)),
        (("A", "x", 40), None),
    ];
    let asked: Vec<(&str, &str, i64)> = cases.iter().map(|(asked, _)| *asked).collect();
    let found = tx.next_snapshots(&asked).await.unwrap();
    for ((asked, expected), found) in cases.iter().zip(found) {
        assert_eq!(found, *expected, "{asked:?}");
    }
    assert!(tx.next_snapshots(&[]).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    assert_eq!(on.count("snapshot").await, 6);
}

/// The state of a live object with one version.
fn state_row(object_id: i64, node_id: i64, key: &NaturalKey, content_id: i64, observation_id: i64) -> StateRow {
    StateRow {
        object_id,
        node_id,
        key_hash: object_id,
        kind: key.kind.clone(),
        born_at: 5,
        first_at: 5,
        closed_at: None,
        end_kind: None,
        live: 1,
        versions: 1,
        content_id,
        observation_id,
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        cluster: String::new(),
        pack: String::new(),
        status: String::new(),
        changed_at: 5,
        base_pack: String::new(),
        capability: String::new(),
        failure_category: String::new(),
        failed_step: String::new(),
        targets: String::new(),
        drift: String::new(),
        verified: String::new(),
        counted_at: 0,
        deployed_pack: String::new(),
    }
}

/// An object with an observation, and its state.
async fn stated(tx: &mut WriteTx, key: &NaturalKey) -> StateRow {
    stated_with(tx, key, "").await
}

async fn stated_with(tx: &mut WriteTx, key: &NaturalKey, uid: &str) -> StateRow {
    let (node, object) = make_object_with(tx, key, uid).await;
    let seen = observation(tx, object, &key.to_string()).await;
    tx.insert_observations(std::slice::from_ref(&seen)).await.unwrap();
    state_row(object, node, key, tx.content_id(&seen.content.digest).unwrap(), seen.id)
}

async fn omissions(on: On) {
    let closed =
        |row: StateRow, at, how: &str| StateRow { live: 0, closed_at: Some(at), end_kind: Some(how.to_owned()), ..row };
    let mut tx = on.write().await;
    let kind = |kind: &str, namespace: &str, name: &str| NaturalKey::new(kind, namespace, name);
    let mut states = Vec::new();
    for name in ["a", "b", "c", "seen", "deleted", "inferred early", "inferred late"] {
        states.push(stated_with(&mut tx, &kind("A", "x", name), &format!("uid of {name}")).await);
    }
    states.push(stated(&mut tx, &kind("B", "x", "d")).await);
    states.push(stated(&mut tx, &kind("A", "y", "e")).await);
    let seen = SeenObject {
        id: states[3].object_id,
        sighted_at: Some(100),
        last_seen_at: 100,
        heartbeat: None,
        beat_id: None,
    };
    let before =
        SeenObject { id: states[2].object_id, sighted_at: Some(99), last_seen_at: 99, heartbeat: None, beat_id: None };
    tx.update_seen(&[seen, before]).await.unwrap();
    states[4] = closed(states[4].clone(), 200, "DELETED");
    states[5] = closed(states[5].clone(), 99, "SNAPSHOT");
    states[6] = closed(states[6].clone(), 200, "OWNER");
    let objects = states.iter().map(|state| state.object_id).collect();
    let entries = vec![entry("OBSERVED", "x")];
    let changes = Changes { entries, objects, states, rules: 1, ..Changes::default() };
    tx.apply(&changes, 1).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = on.write().await;
    for (kinds, namespaces, expected) in [
        (vec!["A"], vec!["x"], vec!["a", "b", "c", "inferred late"]),
        (vec!["A"], vec![], vec!["a", "b", "c", "inferred late", "e"]),
        (vec!["B", "C"], vec!["x", "y"], vec!["d"]),
        (vec![], vec![], vec!["a", "b", "c", "inferred late", "d", "e"]),
        (vec!["a"], vec![], vec![]),
    ] {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let page = tx.omitted(&owned(&kinds), &owned(&namespaces), 100, after, 2).await.unwrap();
            let Some((last, _)) = page.last() else { break };
            assert!(page.len() <= 2 && *last > after);
            after = *last;
            found.extend(page.into_iter().map(|(_, key)| key.name));
        }
        assert_eq!(found, expected, "{kinds:?} {namespaces:?}");
    }
    drop(tx);
    let mut tx = on.write_source("other").await;
    assert!(tx.omitted(&[], &[], 100, 0, 10).await.unwrap().is_empty());
}

fn bad_item(bytes: &[u8]) -> NewQuarantine {
    NewQuarantine {
        code: "BAD_JSON".to_owned(),
        path: "$.a".to_owned(),
        message: "not \u{fc}".to_owned(),
        principal: "tester".to_owned(),
        received_at: 9,
        strict: true,
        bytes: bytes.to_vec(),
    }
}

async fn quarantine(on: On) {
    // Any bytes at all: what is here is here because it could not be read.
    let (one, two) = (bad_item(&[0, 0xff, 0xfe, b'{']), bad_item(b"two"));
    assert_ne!(one.id("s"), one.id("other"), "one item of two sources is two");
    let ids = [one.id("s"), two.id("s"), 42];
    let mut tx = on.write().await;
    assert_eq!(tx.quarantine_size().await.unwrap(), (0, 0));
    assert!(tx.quarantined(&ids).await.unwrap().is_empty());
    let changes = Changes {
        entries: vec![entry("QUARANTINED", "one"), entry("QUARANTINED", "two")],
        quarantine: vec![one.clone(), two.clone()],
        ..Changes::default()
    };
    tx.apply(&changes, 1).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = on.write().await;
    assert_eq!(tx.quarantine_size().await.unwrap(), (2, 7));
    let found: BTreeSet<i64> = tx.quarantined(&ids).await.unwrap().into_iter().collect();
    assert_eq!(found, BTreeSet::from([ids[0], ids[1]]));
    assert!(tx.quarantined(&[]).await.unwrap().is_empty());
    let release = Changes { entries: vec![entry("RELEASED", "two")], released: vec![ids[1]], ..Changes::default() };
    tx.apply(&release, 1).await.unwrap();
    assert_eq!(tx.quarantine_size().await.unwrap(), (1, 4));
    assert_eq!(tx.quarantined(&[ids[1]]).await.unwrap(), [ids[1]], "it is still known that it was there");
    tx.commit().await.unwrap();
    let rows: Vec<(i64, i64, Vec<u8>, String, i64)> =
        on.rows("from_seq, to_seq, bytes, message, strict", "quarantine ORDER BY to_seq").await;
    assert_eq!(
        rows,
        [
            (1, 2, b"two".to_vec(), "not \u{fc}".to_owned(), 1),
            (1, i64::MAX, vec![0, 0xff, 0xfe, b'{'], "not \u{fc}".to_owned(), 1),
        ]
    );
}

/// Kind, identity, digests of after and before, principal, and whether it is of the source.
type LedgerEntry = (String, String, Option<Vec<u8>>, Option<Vec<u8>>, String, i64);

async fn ledger(on: On) {
    assert_eq!(on.store.head(&on.tenant).await.unwrap(), 0);
    let full = Entry {
        content: Some(Digest::of_bytes(b"now")),
        previous: Some(Digest::of_bytes(b"before")),
        ..entry("OBSERVED", "PackReceipt//ns/\u{fc}/-")
    };
    let mut commits = Vec::new();
    for (now, entries) in [(50, vec![full.clone(), entry("A", "a")]), (40, vec![entry("B", "b")]), (60, vec![full; 3])]
    {
        let mut tx = on.write().await;
        let changes = Changes { entries, rules: 1, ..Changes::default() };
        commits.push(tx.apply(&changes, now).await.unwrap().unwrap());
        tx.commit().await.unwrap();
        assert_eq!(on.store.head(&on.tenant).await.unwrap(), commits.last().unwrap().seq);
        // Nothing to say is no commit, and what was not committed leaves no gap.
        let mut tx = on.write().await;
        assert_eq!(tx.apply(&Changes::default(), now).await.unwrap(), None);
        let lost = Changes { entries: vec![entry("LOST", "x")], ..Changes::default() };
        assert!(tx.apply(&lost, 1000).await.unwrap().is_some());
    }
    let commit = |seq, committed_at| Commit { seq, committed_at };
    assert_eq!(commits, [commit(1, 50), commit(2, 50), commit(3, 60)], "the clock went back, the ledger did not");
    let rows: Vec<(i64, i64, i64)> = on.rows("seq, committed_at, entries", "ledger_commit ORDER BY seq").await;
    assert_eq!(rows, [(1, 50, 2), (2, 50, 1), (3, 60, 3)]);
    let rows: Vec<(i64, i64, i64)> = on.rows("seq, n, leaf", "ledger_entry ORDER BY seq, n").await;
    assert_eq!(rows, [(1, 0, 0), (1, 1, 1), (2, 0, 2), (3, 0, 3), (3, 1, 4), (3, 2, 5)]);
    let columns = "kind, identity, content_digest, previous_digest, principal, \
        (SELECT COUNT(*) FROM source s WHERE s.tenant_id = ledger_entry.tenant_id AND s.id = source_id AND s.name = 's')";
    let rows: Vec<LedgerEntry> = on.rows(columns, "ledger_entry ORDER BY seq, n LIMIT 2").await;
    let (now, before) = (Digest::of_bytes(b"now").0.to_vec(), Digest::of_bytes(b"before").0.to_vec());
    let tester = || "tester".to_owned();
    assert_eq!(
        rows,
        [
            ("OBSERVED".to_owned(), "PackReceipt//ns/\u{fc}/-".to_owned(), Some(now), Some(before), tester(), 1),
            ("A".to_owned(), "a".to_owned(), None, None, tester(), 1),
        ]
    );
}

async fn runs(on: On) {
    let manifest = "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: a, version: 1.0.0}\n\
        spec: {approvals: [{id: go, expiresAfter: PT1M}], steps: [{id: g, gate: {approval: {id: go}}}]}";
    let plan = packtrail::domain::taskpack::plan(manifest, &serde_json::Map::new()).unwrap();
    let new = NewRun {
        run_id: "r",
        plan: &plan,
        plan_hash: &plan.hash(),
        manifest,
        subjects: &[],
        created_by: "a",
        idempotency_key: Some("k"),
        request_digest: Digest::of_bytes(b"one"),
        source: None,
    };
    let commands = on.store.commands();
    let mut tx = on.store.write_run(&on.tenant).await.unwrap();
    assert_eq!(on.store.commands(), commands + 1);
    let Creation::Made(id) = tx.insert(&new, 5).await.unwrap() else { panic!("it was not made") };
    let (run, effects) = Run::create(&plan, &plan.hash(), 5);
    let edge = RunEdge {
        kind: packtrail::domain::lineage::EdgeKind::RunOf,
        is_effect: true,
        other: RunVertex::Key(packtrail::domain::lineage::thing::task_pack("a", "1.0.0")),
        field: packtrail::domain::lineage::Field::RunPack,
        attribute: None,
        at: 5,
    };
    let made = RunChange {
        id,
        run_id: "r",
        before: None,
        after: &run,
        plan: &plan,
        live: Live::default(),
        effects: &effects,
        principal: "a",
        edges: std::slice::from_ref(&edge),
        import: None,
    };
    let first = tx.save(&made).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = on.store.write_run(&on.tenant).await.unwrap();
    assert_eq!(tx.insert(&new, 6).await.unwrap(), Creation::Repeated("r".to_owned()));
    let other = NewRun { request_digest: Digest::of_bytes(b"two"), ..new.clone() };
    assert_eq!(tx.insert(&other, 6).await.unwrap(), Creation::OtherRequest);
    assert_eq!(tx.insert(&NewRun { idempotency_key: None, ..new }, 6).await.unwrap(), Creation::Exists);
    drop(tx);
    let due = on.store.due_runs(60_000_005, 100).await.unwrap();
    assert!(due.iter().any(|due| due.tenant == on.tenant && due.run_id == "r"), "{due:?}");
    assert!(on.store.due_runs(60_000_004, 100).await.unwrap().iter().all(|due| due.tenant != on.tenant));
    let mut tx = on.store.write_run(&on.tenant).await.unwrap();
    assert!(tx.lock("none").await.unwrap().is_none());
    let mut locked = tx.lock("r").await.unwrap().unwrap();
    assert_eq!(locked.run, run, "it reads back as it was written");
    assert_eq!((&*locked.plan, &locked.plan_hash), (&plan, &plan.hash()));
    let effects = locked.run.cancel(&locked.plan, "a", 7).unwrap();
    let live = locked.live;
    let change = RunChange { before: Some(&run), after: &locked.run, live, effects: &effects, edges: &[], ..made };
    let second = tx.save(&change).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(second.seq, first.seq + 1);
    assert!(on.store.due_runs(i64::MAX, 100).await.unwrap().iter().all(|due| due.tenant != on.tenant));
    let then = on.store.as_of(&on.tenant, first.seq).await.unwrap().unwrap();
    let before = then.find_run("r").await.unwrap().unwrap();
    assert_eq!((before.run.status, before.run.logged), (run.status, run.logged));
    let now = on.store.as_of_now(&on.tenant).await.unwrap();
    let after = now.find_run("r").await.unwrap().unwrap();
    assert_eq!((after.run.status, after.run.logged), (locked.run.status, locked.run.logged));
    // The log was packed when the run ended, and reads as before.
    let log = now.run_log(id, 1, after.run.logged, 100).await.unwrap();
    assert_eq!(log.iter().map(|entry| entry.seq).collect::<Vec<_>>(), (1..=after.run.logged).collect::<Vec<_>>());
    let part = now.run_log(id, 2, 3, 100).await.unwrap();
    assert_eq!(part, log[1..3]);
    assert_eq!(on.store.as_of(&on.tenant, 0).await.unwrap().unwrap().find_run("r").await.unwrap(), None);
}

/// A report of the state of a run, with steps of these ids; each is a gate that waits for an approval of its name.
fn reported(updated_at: i64, steps: &[&str]) -> Imported {
    let time = packtrail::domain::time::format_micros;
    let step = |id: &&str| {
        serde_json::json!({"stepId": id, "kind": "GateApproval", "enabled": true, "continueOnError": false,
            "approvalId": id, "status": "Pending", "attempts": 0, "statusReason": "awaiting-approval"})
    };
    let item = serde_json::json!({"kind": "Run", "runId": "e", "planHash": "h", "createdAt": time(1),
        "updatedAt": time(updated_at), "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "failurePolicy": {"maxAttempts": 1, "backoffSeconds": 0, "continueOnError": false}});
    let mut imported = Imported::default();
    imported.add(ImportItem::read(item.as_object().unwrap()).unwrap().unwrap());
    imported
}

async fn imports(on: On) {
    let known = Known { since: 1, logged: 0, moved: 0 };
    let first = reported(2, &["a", "b"]);
    let mut before = run_of(&first, &known);
    let plan = grown(None, first.state.as_ref(), &mut before);
    let commands = on.store.commands();
    let mut tx = on.store.write_reports(&on.tenant).await.unwrap();
    assert_eq!(on.store.commands(), commands, "nobody waits for it");
    assert!(tx.lock_import("e").await.unwrap().is_none());
    let new = NewRun {
        run_id: "e",
        plan: &plan,
        plan_hash: "h",
        manifest: "",
        subjects: &[],
        created_by: "p",
        idempotency_key: None,
        request_digest: Digest::of_bytes(b""),
        source: Some("s"),
    };
    let Creation::Made(id) = tx.insert(&new, 1).await.unwrap() else { panic!("it was not made") };
    let import = ImportChange { at: 9, listed_at: 1, since: 1, imported: &first, is_replanned: false };
    let made = RunChange {
        id,
        run_id: "e",
        before: None,
        after: &before,
        plan: &plan,
        live: Live::default(),
        effects: &packtrail::domain::run::Effects::default(),
        principal: "p",
        edges: &[],
        import: Some(import),
    };
    let then = tx.save(&made).await.unwrap();
    let lines = [([1; 32], 2), ([2; 32], 1)].into();
    tx.note_lines(id, &lines).await.unwrap();
    assert!(tx.commit().await.unwrap().is_empty(), "nothing of it comes into the queue");
    let second = reported(3, &["b"]);
    let mut after = run_of(&second, &known);
    let plan = grown(Some(&plan), second.state.as_ref(), &mut after);
    let mut tx = on.store.write_run(&on.tenant).await.unwrap();
    let Some(FoundImport::Import(locked)) = tx.lock_import("e").await.unwrap() else { panic!("it is not found") };
    assert_eq!((locked.locked.run, &locked.imported, locked.since, locked.listed_at), (before.clone(), &first, 1, 1));
    assert_eq!(locked.locked.source.as_deref(), Some("s"));
    tx.note_lines(id, &[([2; 32], 5)].into()).await.unwrap();
    let known = tx.known_lines(id, &[[1; 32], [2; 32], [3; 32]]).await.unwrap();
    assert_eq!(known, [([1; 32], 2), ([2; 32], 5)].into());
    let import = ImportChange { imported: &second, is_replanned: true, ..import };
    let change = RunChange { before: Some(&before), after: &after, plan: &plan, import: Some(import), ..made };
    let now = tx.save(&change).await.unwrap();
    tx.commit().await.unwrap();
    for (seq, steps) in [(then.seq, vec!["a", "b"]), (now.seq, vec!["b"])] {
        let as_of = on.store.as_of(&on.tenant, seq).await.unwrap().unwrap();
        let run = as_of.find_run("e").await.unwrap().unwrap();
        assert_eq!((run.source.as_deref(), run.created_at), (Some("s"), 1));
        let found = as_of.run_steps(&[id], 10).await.unwrap().remove(&id).unwrap();
        assert_eq!(found.iter().map(|step| step.id.as_str()).collect::<Vec<_>>(), steps);
        let plan = &as_of.run_plans(&[id]).await.unwrap()[&id];
        assert!(found.iter().all(|step| packtrail::domain::run::planned(plan, &step.path).id == step.id));
        let approvals = as_of.run_approvals(&[id]).await.unwrap().remove(&id).unwrap();
        assert_eq!(approvals.keys().collect::<Vec<_>>(), steps);
        assert_eq!(as_of.run_report(id).await.unwrap(), second.state, "of reports, the one that holds now is kept");
    }
    let mut tx = on.store.write_run(&on.tenant).await.unwrap();
    let Creation::Made(_) = tx.insert(&NewRun { run_id: "own", source: None, ..new }, 1).await.unwrap() else {
        panic!("it was not made")
    };
    assert!(matches!(tx.lock_import("own").await.unwrap(), Some(FoundImport::Own)));
}

async fn feeds(on: On) {
    let store = &on.store;
    let tenant = store.ensure_tenant(&on.tenant).await.unwrap();
    assert_eq!(store.ensure_tenant(&on.tenant).await.unwrap(), tenant);
    assert_eq!(store.is_shared(), on.url.starts_with("postgres"));
    let ledger = Topic::Ledger { tenant };
    let watched = store.wakes().watch(ledger);
    let (run, _) = work_run(&on, 5).await;
    assert_eq!(watched.number(), 1, "who follows is told by the commit");
    assert_eq!(store.look_at(ledger).await.unwrap(), 1);
    assert_eq!(store.look_at(Topic::Run { tenant, run }).await.unwrap(), 1);
    assert_eq!(store.look_at(Topic::Log { tenant, run }).await.unwrap(), log_number(1, false));
    assert_eq!(store.look_at(Topic::Log { tenant, run: i64::MAX }).await.unwrap(), 0, "there is no such run");

    let now = store.as_of_now(&on.tenant).await.unwrap();
    assert_eq!(now.run_commits(0, 10).await.unwrap(), [1]);
    assert!(now.run_commits(1, 10).await.unwrap().is_empty());
    let changed: Vec<i64> = now.runs_changed(0).await.unwrap().iter().map(|run| run.id).collect();
    assert_eq!(changed, [run]);
    assert_eq!(now.runs_changed(1).await.unwrap(), []);
    assert_eq!(now.approvals_requested(0).await.unwrap(), [], "no gate waits for anybody");
    assert_eq!(now.changes_after((0, 0), 10).await.unwrap(), [], "no record changed");

    // Another program commits, and tells nobody.
    let other = if store.is_shared() {
        Store::open_pooled(&on.url, Timeouts::default()).await.unwrap()
    } else {
        Store::open(&on.url, true).await.unwrap()
    };
    let mut tx = other.write_run(&on.tenant).await.unwrap();
    let mut locked = tx.lock("w").await.unwrap().unwrap();
    let before = locked.run.clone();
    let effects = locked.run.cancel(&locked.plan, "a", 6).unwrap();
    let change = RunChange {
        id: run,
        run_id: "w",
        before: Some(&before),
        after: &locked.run,
        plan: &locked.plan,
        live: locked.live,
        effects: &effects,
        principal: "a",
        edges: &[],
        import: None,
    };
    tx.save(&change).await.unwrap();
    tx.commit().await.unwrap();
    other.close().await;
    assert_eq!(watched.number(), 1);
    store.look().await.unwrap();
    assert_eq!(watched.number(), 2);
    let logged = locked.live.logged + i64::try_from(effects.logs.len()).unwrap();
    assert_eq!(store.look_at(Topic::Log { tenant, run }).await.unwrap(), log_number(logged, true), "it is over");
}

/// A run of one step that workers do, and its row.
async fn work_run(on: &On, now: i64) -> (i64, packtrail::domain::taskpack::Plan) {
    let manifest = "apiVersion: stellaops.io/pack.v1\nkind: TaskPack\nmetadata: {name: a, version: 1.0.0}\n\
        spec: {steps: [{id: s, run: {uses: 'builtin:noop'}}]}";
    let plan = packtrail::domain::taskpack::plan(manifest, &serde_json::Map::new()).unwrap();
    let new = NewRun {
        run_id: "w",
        plan: &plan,
        plan_hash: &plan.hash(),
        manifest,
        subjects: &[],
        created_by: "a",
        idempotency_key: None,
        request_digest: Digest::of_bytes(b"work"),
        source: None,
    };
    let mut tx = on.store.write_run(&on.tenant).await.unwrap();
    let Creation::Made(id) = tx.insert(&new, now).await.unwrap() else { panic!("it was not made") };
    let (run, effects) = Run::create(&plan, &plan.hash(), now);
    let made = RunChange {
        id,
        run_id: "w",
        before: None,
        after: &run,
        plan: &plan,
        live: Live::default(),
        effects: &effects,
        principal: "a",
        edges: &[],
        import: None,
    };
    tx.save(&made).await.unwrap();
    assert_eq!(tx.commit().await.unwrap(), ["builtin:noop"], "it tells what came into the queue");
    (id, plan)
}

async fn leases(on: On) {
    let (id, plan) = work_run(&on, 5).await;
    let store = &on.store;
    let uses = async |low: &str, high: &str| {
        let ranges = BTreeSet::from([(low.to_owned(), high.to_owned())]);
        store.queue_uses(&on.tenant, &ranges).await.unwrap()
    };
    assert_eq!(uses("", "z").await, [("builtin:noop".to_owned(), 5)]);
    assert_eq!(uses("builtin:noop", "builtin:noop~").await, [("builtin:noop".to_owned(), 5)]);
    assert_eq!((uses("", "builtin:noop").await, uses("c", "z").await), (vec![], vec![]));
    assert_eq!(store.queue_uses(&on.tenant, &BTreeSet::new()).await.unwrap(), []);
    let depth = store.queue_depth(&on.tenant, 5).await.unwrap();
    assert_eq!((depth.len(), depth[0].depth, depth[0].ready_at), (1, 1, 5));
    assert_eq!(store.queue_depth(&on.tenant, 4).await.unwrap(), []);
    let all = store.queue_depths(5).await.unwrap();
    assert!(all.iter().any(|queue| queue.tenant == on.tenant && queue.uses == "builtin:noop" && queue.depth == 1));
    let now = store.as_of_now(&on.tenant).await.unwrap();
    assert_eq!(now.newest_run("a", "1.0.0").await.unwrap(), Some(id));
    assert_eq!(now.newest_run("a", "2.0.0").await.unwrap(), None);
    assert_eq!(now.measure_pack("a", "1.0.0").await.unwrap().waiting, 1);

    let mut tx = store.write_run(&on.tenant).await.unwrap();
    assert_eq!(tx.next_steps("builtin:noop", 4, 10).await.unwrap(), []);
    assert_eq!(tx.next_steps("other", 5, 10).await.unwrap(), []);
    assert_eq!(tx.next_steps("builtin:noop", 5, 10).await.unwrap(), [(id, 0)]);
    let mut locked = tx.lock_rows(&[id]).await.unwrap().pop().unwrap();
    tx.settle(&locked).await.unwrap();
    assert_eq!(tx.next_steps("builtin:noop", 5, 10).await.unwrap(), [(id, 0)], "it was settled");
    let before = locked.run.clone();
    let (_, effects) = locked.run.start(&plan, 0, Some("w"), 6).unwrap();
    let change = RunChange {
        id,
        run_id: "w",
        before: Some(&before),
        after: &locked.run,
        plan: &plan,
        live: locked.live,
        effects: &effects,
        principal: "p",
        edges: &[],
        import: None,
    };
    tx.save(&change).await.unwrap();
    let key = LeaseKey { run: id, n: 0, secret: Digest::of_bytes(b"secret") };
    let lease = NewLease { key, attempt: 1, expires_at: 16, deadline: 40 };
    tx.grant(&[lease], "p", "w", 6, 10).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(uses("", "z").await, [], "it is with a worker");

    let mut tx = store.write_run(&on.tenant).await.unwrap();
    let about = packtrail::domain::lineage::thing::task_pack("none", "1.0.0");
    tx.put_findings(&about, "CODE", |_| panic!("there is no such vertex"), 1).await.unwrap();
    assert_eq!(tx.measure_pack("a", "1.0.0").await.unwrap().waiting, 0, "it has begun");
    let found = tx.lease(&key).await.unwrap().unwrap();
    assert_eq!((found.attempt, found.principal.as_str(), found.worker.as_str()), (1, "p", "w"));
    assert_eq!((found.expires_at, found.state, found.next_line), (16, LeaseState::Open, 0));
    let other = LeaseKey { secret: Digest::of_bytes(b"guess"), ..key };
    assert_eq!(tx.lease(&other).await.unwrap(), None);
    assert_eq!(tx.step_id(&key).await.unwrap().as_deref(), Some("s"));
    assert_eq!(tx.renew(&key, "p", 16).await.unwrap(), None, "its time is over at that very moment");
    assert_eq!(tx.renew(&key, "other", 10).await.unwrap(), None);
    assert_eq!(tx.renew(&key, "p", 10).await.unwrap(), Some(20));
    assert_eq!(tx.renew(&key, "p", 19).await.unwrap(), Some(29));
    assert_eq!(tx.renew(&key, "p", 28).await.unwrap(), Some(38));
    assert_eq!(tx.renew(&key, "p", 37).await.unwrap(), Some(40), "no further than its deadline");

    let (_, live) = tx.lock_log(id).await.unwrap().unwrap();
    let entry = |seq: i64| packtrail::domain::run::LogEntry {
        seq,
        at: 20,
        level: packtrail::domain::run::LogLevel::Info,
        event: "step.log".to_owned(),
        message: format!("line {seq}"),
        step: Some("s".to_owned()),
        metadata: std::collections::BTreeMap::new(),
    };
    let entries = [entry(live.logged + 1), entry(live.logged + 2)];
    tx.append_lines(&key, Live { line_bytes: 12, ..live }, &entries, 2, 20).await.unwrap();
    assert_eq!(tx.lease(&key).await.unwrap().unwrap().next_line, 2);
    let upload = Upload { name: "report".to_owned(), digest: Digest::of_bytes(b"x"), size: 1 };
    tx.note_upload(&key, &upload, 20).await.unwrap();
    let again = Upload { size: 2, ..upload };
    tx.note_upload(&key, &again, 21).await.unwrap();
    assert_eq!(tx.uploads(&key).await.unwrap(), [again]);
    tx.commit().await.unwrap();
    let now = store.as_of_now(&on.tenant).await.unwrap();
    assert_eq!(now.run_logged(id).await.unwrap(), live.logged + 2);
    assert_eq!(now.run_log(id, live.logged + 1, i64::MAX, 10).await.unwrap(), entries);

    let is_silent = |runs: Vec<DueRun>| runs.iter().any(|run| run.tenant == on.tenant && run.run_id == "w");
    assert!(!is_silent(store.silent_runs(29, 1000).await.unwrap()));
    assert!(is_silent(store.silent_runs(30, 1000).await.unwrap()));
    let mut tx = store.write_run(&on.tenant).await.unwrap();
    let locked = tx.lock("w").await.unwrap().unwrap();
    assert_eq!((locked.live.logged, locked.live.line_bytes), (live.logged + 2, 12));
    assert_eq!(locked.run.logged, live.logged + 2, "what comes next is numbered after the lines");
    assert_eq!(tx.expire_leases(id, 29).await.unwrap(), []);
    assert_eq!(tx.expire_leases(id, 40).await.unwrap(), [(0, true)]);
    assert_eq!(tx.expire_leases(id, 40).await.unwrap(), [], "once");
    tx.report(&key, Digest::of_bytes(b"report")).await.unwrap();
    let found = tx.lease(&key).await.unwrap().unwrap();
    assert_eq!((found.state, found.report), (LeaseState::Expired, None), "too late to report");
}

async fn refusals(on: On) {
    let (one, two) = (bad_item(b"one"), bad_item(b"two"));
    let ids = [one.id("s"), two.id("s"), 42];
    let refusal = |code: &str, at: i64| NewRefusal {
        id: ids[0],
        reason: QuarantineReason { code: code.to_owned(), path: "$.p".to_owned(), message: "m".to_owned(), strict: 0 },
        principal: "other".to_owned(),
        refused_at: at,
    };
    let mut tx = on.write().await;
    let changes =
        Changes { entries: vec![entry("QUARANTINED", "one")], quarantine: vec![one, two], ..Changes::default() };
    tx.apply(&changes, 1).await.unwrap();
    for (at, code) in [(2, "AGAIN"), (3, "AT_LAST")] {
        let changes = Changes {
            entries: vec![entry("QUARANTINED", "one")],
            refused: vec![refusal(code, at)],
            ..Changes::default()
        };
        tx.apply(&changes, at).await.unwrap();
    }
    let reasons = tx.quarantine_reasons(&ids).await.unwrap();
    assert_eq!(reasons.len(), 2);
    assert_eq!(reasons[&ids[0]], refusal("AT_LAST", 3).reason);
    assert_eq!((reasons[&ids[1]].path.as_str(), reasons[&ids[1]].strict), ("$.a", 1), "it was never tried again");
    assert!(tx.quarantine_reasons(&[]).await.unwrap().is_empty());
    let release = Changes { entries: vec![entry("RELEASED", "one")], released: vec![ids[0]], ..Changes::default() };
    tx.apply(&release, 4).await.unwrap();
    assert!(!tx.quarantine_reasons(&ids).await.unwrap().contains_key(&ids[0]));
    tx.commit().await.unwrap();
    let rows: Vec<(i64, i64, String, String)> =
        on.rows("from_seq, to_seq, code, principal", "quarantine_refusal ORDER BY from_seq").await;
    let row = |from: i64, to: i64, code: &str| (from, to, code.to_owned(), "other".to_owned());
    assert_eq!(rows, [row(2, 3, "AGAIN"), row(3, i64::MAX, "AT_LAST")], "what was said before is kept");
}

/// A finding: its detail changes, it is cleared, and it is raised anew.
async fn finding_rows(on: On) {
    let mut tx = on.write().await;
    let key = NaturalKey::sequence("ns", "q");
    tx.ensure_nodes(std::slice::from_ref(&key)).await.unwrap();
    let unit_id = tx.node(&key).unwrap();
    let row = |detail: &str| FindingRow {
        unit_id,
        code: "F".to_owned(),
        subject: "x".to_owned(),
        object_id: None,
        severity: "info".to_owned(),
        detail: detail.to_owned(),
        id: 1,
        cluster: String::new(),
        namespace: "ns".to_owned(),
    };
    let states = [vec![row("1")], vec![row("2")], vec![row("3")], vec![row("3")], vec![], vec![row("4")]];
    for (at, findings) in (1..).zip(states) {
        let changes =
            Changes { entries: vec![entry("OBSERVED", "a")], units: vec![unit_id], findings, ..Changes::default() };
        tx.apply(&changes, at).await.unwrap();
    }
    tx.commit().await.unwrap();
    let rows: Vec<(i64, i64, i64, i64, String)> =
        on.rows("from_seq, to_seq, raised_seq, replaced, detail", "finding ORDER BY from_seq").await;
    let row = |from, to, raised, replaced, detail: &str| (from, to, raised, replaced, detail.to_owned());
    let expected = [row(1, 2, 1, 1, "1"), row(2, 3, 1, 1, "2"), row(3, 5, 1, 0, "3"), row(6, i64::MAX, 6, 0, "4")];
    assert_eq!(rows, expected);
}

/// One version of one object with its state, a chain of one row, and a finding.
fn derive(state: &StateRow, sequence: i64) -> Changes {
    let id = state.object_id;
    Changes {
        entries: vec![entry("OBSERVED", "a")],
        new_versions: vec![NewVersion {
            object_id: id,
            n: 0,
            from_at: 5,
            to_at: None,
            end_kind: None,
            content_id: state.content_id,
            observation_id: state.observation_id,
        }],
        objects: vec![id],
        states: vec![state.clone()],
        sequences: vec![sequence],
        epochs: vec![EpochRow {
            sequence_id: sequence,
            uid: "e".to_owned(),
            position: 0,
            status: "COMPLETE".to_owned(),
            born_at: 5,
            revisions: 1,
            head_id: id,
            head_revision: 1,
            active_id: None,
            active_revision: None,
            detail: "{\"gaps\":[]}".to_owned(),
        }],
        revisions: vec![RevisionRow {
            sequence_id: sequence,
            epoch_uid: "e".to_owned(),
            revision: 1,
            first_at: 5,
            key_hash: i64::MAX,
            object_id: id,
            version_n: 0,
            live: 1,
            superseded: 0,
        }],
        units: vec![sequence],
        findings: vec![FindingRow {
            unit_id: sequence,
            code: "F".to_owned(),
            subject: "x".to_owned(),
            object_id: Some(state.object_id),
            severity: "ERROR".to_owned(),
            detail: "{}".to_owned(),
            id: 1,
            cluster: "c".to_owned(),
            namespace: "ns".to_owned(),
        }],
        rules: 1,
        ..Changes::default()
    }
}

/// The same as [`derive`] after the object was deleted at 8: everything moved on.
fn derive_deleted(state: &StateRow, sequence: i64) -> Changes {
    let mut changes = derive(state, sequence);
    changes.old_versions = vec![OldVersion { object_id: state.object_id, n: 0, from_seq: 1 }];
    changes.new_versions[0].to_at = Some(8);
    changes.new_versions[0].end_kind = Some("DELETED");
    changes.states[0].live = 0;
    changes.states[0].closed_at = Some(8);
    changes.states[0].end_kind = Some("DELETED".to_owned());
    "BROKEN".clone_into(&mut changes.epochs[0].status);
    changes.revisions[0].live = 0;
    changes.findings.clear();
    changes
}

async fn contents(on: On) {
    let mut tx = on.write().await;
    let state = stated(&mut tx, &key("a")).await;
    assert!(tx.contents(&[]).await.unwrap().is_empty());
    let found = tx.contents(&[state.node_id]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].kind.as_str()), (state.content_id, key("a").kind.as_str()));
    assert!(!found[0].body.is_empty());
    tx.set_facts(&[(state.content_id, "{\"created\":7}".to_owned())]).await.unwrap();
    assert_eq!(tx.contents(&[state.node_id]).await.unwrap()[0].facts, "{\"created\":7}");
    tx.commit().await.unwrap();
}

async fn rules(on: On) {
    on.write().await.commit().await.unwrap();
    let is_behind = async |rules| on.store.tenants_behind(rules).await.unwrap().contains(&on.tenant);
    assert!(!is_behind(RULES).await, "a new tenant follows the rules of the program that made it");
    assert!(is_behind(RULES + 1).await);
    on.store.set_rules(&on.tenant, RULES + 1).await.unwrap();
    assert!(!is_behind(RULES + 1).await);
}

async fn derived(on: On) {
    let sequence = NaturalKey::sequence("ns", "q");
    let mut tx = on.write().await;
    tx.ensure_nodes(std::slice::from_ref(&sequence)).await.unwrap();
    let node = tx.node(&sequence).unwrap();
    let state = stated(&mut tx, &key("a")).await;
    let first = derive(&state, node);
    assert_eq!(tx.compare(&first).await.unwrap(), Difference { surplus: 0, missing: 5 });
    tx.apply(&first, 1).await.unwrap();
    // Versions are compared by whoever loaded them; all else by the store.
    let rest = Changes { new_versions: Vec::new(), ..derive(&state, node) };
    assert_eq!(tx.compare(&rest).await.unwrap(), Difference::default());
    tx.commit().await.unwrap();

    let mut tx = on.write().await;
    let second = derive_deleted(&state, node);
    assert_eq!(tx.compare(&second).await.unwrap(), Difference { surplus: 5, missing: 4 });
    tx.apply(&second, 2).await.unwrap();
    let groups = tx.groups(&[state.node_id, node]).await.unwrap();
    assert_eq!(groups.len(), 1);
    let object = &groups[&state.node_id][0];
    assert_eq!((object.id, &object.uid, &object.from_seq), (state.object_id, &None, &vec![2]));
    let versions = &object.history.versions;
    assert_eq!(versions.len(), 1);
    assert_eq!((versions[0].from, versions[0].to, versions[0].end), (5, Some(8), Some(End::Deleted)));
    assert_eq!(versions[0].observation, state.observation_id);
    assert_eq!(versions[0].content.facts, content(&key("a").to_string()).facts);
    assert!(tx.groups(&[]).await.unwrap().is_empty());
    tx.commit().await.unwrap();

    for (table, rows) in [("version", 2), ("state", 2), ("epoch", 2), ("revision", 2), ("finding", 1)] {
        assert_eq!(on.count(table).await, rows, "{table}: history is kept");
    }
    let dump = async |seq| on.store.dump(&on.tenant, seq).await.unwrap();
    assert_eq!(dump(0).await, json!({}));
    let (then, now) = (dump(1).await, dump(2).await);
    let name = key("a").object_key(None);
    assert_eq!(then["s"]["objects"][&name]["live"], json!(true));
    assert_eq!(now["s"]["objects"][&name]["versions"][0]["to"], json!(8));
    assert_eq!(then["s"]["sequences"]["ns/q"][0]["status"], json!("COMPLETE"));
    assert_eq!(now["s"]["sequences"]["ns/q"][0]["status"], json!("BROKEN"));
    assert_eq!(then["s"]["findings"].as_array().unwrap().len(), 1);
    assert_eq!(now["s"]["findings"], json!([]));
    assert_eq!(dump(i64::MAX - 1).await, now);
}

async fn tails(on: On) {
    let sequence = NaturalKey::sequence("ns", "q");
    let mut tx = on.write().await;
    tx.ensure_nodes(std::slice::from_ref(&sequence)).await.unwrap();
    let node = tx.node(&sequence).unwrap();
    let state = stated_with(&mut tx, &key("a"), "u").await;
    let other = stated(&mut tx, &key("b")).await;
    let first = derive(&state, node);
    tx.apply(&first, 1).await.unwrap();
    assert!(tx.open_tails(&[], &[], "F").await.unwrap().actives.is_empty());
    assert!(tx.open_epochs(&[]).await.unwrap().is_empty());

    let epochs = tx.open_epochs(&[node]).await.unwrap();
    assert_eq!((&epochs[0].row, epochs[0].from_seq, epochs.len()), (&first.epochs[0], 1, 1));
    let tails = tx.open_tails(&[node], &[state.object_id, other.object_id], "F").await.unwrap();
    let active = &tails.actives[0];
    assert_eq!((active.sequence_id, active.epoch_uid.as_str(), active.revision, active.first_at), (node, "e", 1, 5));
    assert_eq!((active.object_id, active.version_n), (state.object_id, 0));
    assert_eq!((&active.key, active.uid.as_deref(), tails.actives.len()), (&key("a"), Some("u"), 1));
    assert_eq!((&tails.revisions[0].row, tails.revisions.len()), (&first.revisions[0], 1));
    assert_eq!((&tails.findings[0].row, tails.findings.len()), (&first.findings[0], 1));
    assert!(tx.open_tails(&[node], &[], "G").await.unwrap().findings.is_empty(), "another code");

    // The one row is superseded by another result's; nothing else of the sequence is looked at.
    let before = tx.work();
    let mut patch = Patch {
        old_epochs: epochs,
        new_epochs: vec![EpochRow { head_id: other.object_id, revisions: 2, ..first.epochs[0].clone() }],
        old_revisions: tails.revisions,
        new_revisions: vec![RevisionRow { superseded: 1, ..first.revisions[0].clone() }],
        old_findings: tails.findings,
        new_findings: vec![FindingRow { code: "G".to_owned(), id: 2, ..first.findings[0].clone() }],
    };
    patch.new_revisions.push(RevisionRow { object_id: other.object_id, revision: 2, ..first.revisions[0].clone() });
    let changes = Changes { entries: vec![entry("OBSERVED", "b")], patch, rules: 1, ..Changes::default() };
    assert_eq!(tx.compare(&changes).await.unwrap(), Difference { surplus: 3, missing: 4 });
    tx.apply(&changes, 2).await.unwrap();
    let work = tx.work();
    assert_eq!(work.written - before.written, 3 + 4 + 2, "rows ended, rows begun, the commit and its entry");
    assert!(work.statements > before.statements && work.read > before.read);

    let epochs = tx.open_epochs(&[node]).await.unwrap();
    assert_eq!((epochs[0].row.head_id, epochs[0].from_seq, epochs.len()), (other.object_id, 2, 1));
    let tails = tx.open_tails(&[node], &[state.object_id], "G").await.unwrap();
    assert_eq!(
        (tails.actives[0].object_id, tails.actives.len()),
        (other.object_id, 1),
        "a superseded row is not active"
    );
    assert_eq!((tails.revisions[0].row.superseded, tails.revisions[0].from_seq, tails.revisions.len()), (1, 2, 1));
    assert_eq!((tails.findings[0].row.id, tails.findings.len()), (2, 1));
    tx.commit().await.unwrap();
}

async fn ends(on: On) {
    let sequence = NaturalKey::sequence("ns", "q");
    let mut tx = on.write().await;
    tx.ensure_nodes(std::slice::from_ref(&sequence)).await.unwrap();
    let node = tx.node(&sequence).unwrap();
    let named = stated_with(&mut tx, &key("a"), "u").await;
    let nameless = stated(&mut tx, &key("b")).await;
    tx.apply(&derive(&named, node), 1).await.unwrap();
    tx.apply(&Changes { units: Vec::new(), ..derive(&nameless, node) }, 1).await.unwrap();
    let end = |state: &StateRow, uid: Option<&str>, closed_at| {
        vec![Ended { id: state.object_id, uid: uid.map(str::to_owned), closed_at }]
    };
    let ends = tx.ends(&[named.node_id, nameless.node_id, node]).await.unwrap();
    assert_eq!(ends[&named.node_id], end(&named, Some("u"), None));
    assert_eq!((&ends[&nameless.node_id], ends.len()), (&end(&nameless, None, None), 2));
    tx.apply(&derive_deleted(&named, node), 2).await.unwrap();
    let ends = tx.ends(&[named.node_id]).await.unwrap();
    assert_eq!(ends[&named.node_id], end(&named, Some("u"), Some(8)), "the former state no longer counts");
    assert!(tx.ends(&[]).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}

async fn lineage(on: On) {
    let mut tx = on.write().await;
    let state = stated(&mut tx, &key("a")).await;
    let seen = worded(&mut tx, state.object_id, "one").await;
    tx.insert_observations(std::slice::from_ref(&seen)).await.unwrap();
    let content = tx.content_id(&seen.content.digest).unwrap();
    let set = tx.resource_sets(&[content, state.content_id]).await.unwrap();
    assert_eq!(set.keys().collect::<Vec<_>>(), [&content], "contents without resources have no set");
    assert!(tx.resource_sets(&[]).await.unwrap().is_empty());
    let edge = |by_dst: i64, attribute: Option<&str>| LineageRow {
        src: if by_dst == 1 { state.node_id } else { state.object_id },
        by_dst,
        kind: 3,
        dst: if by_dst == 1 { state.object_id } else { set[&content] },
        within: 0,
        field: 2,
        from_n: 0,
        to_n: None,
        attribute: attribute.map(str::to_owned),
    };
    let derived = |lineage: Vec<LineageRow>| Changes {
        entries: vec![entry("OBSERVED", "a")],
        objects: vec![state.object_id],
        states: vec![state.clone()],
        lineage,
        rules: 1,
        ..Changes::default()
    };
    tx.apply(&derived(vec![edge(0, None), edge(1, None)]), 1).await.unwrap();
    let changed = derived(vec![edge(0, None), edge(1, Some("v1"))]);
    assert_eq!(tx.compare(&changed).await.unwrap(), Difference { surplus: 1, missing: 1 });
    tx.apply(&changed, 2).await.unwrap();
    assert_eq!(tx.compare(&changed).await.unwrap(), Difference::default());
    tx.commit().await.unwrap();
    let rows: Vec<(i64, i64, Option<String>)> =
        on.rows("by_dst, from_seq, attribute", "lineage ORDER BY by_dst, from_seq").await;
    assert_eq!(rows, [(0, 1, None), (1, 1, None), (1, 2, Some("v1".to_owned()))]);
}

/// An observation of a record whose words are those of a cluster's name and a resource.
async fn worded(tx: &mut WriteTx, object_id: i64, cluster: &str) -> NewObservation {
    let body = json!({"apiVersion": "v1", "kind": "Odd", "metadata": {"name": "a"},
        "spec": {"targetClusterRef": cluster, "deployedResources": [{"apiVersion": "v1", "kind": "K", "name": "x"}]}});
    let resource = Resource { api_version: "v1".into(), kind: "K".into(), namespace: String::new(), name: "x".into() };
    let seen = observation(tx, object_id, cluster).await;
    NewObservation { resources: Some(vec![resource]), body: body.to_string().into_bytes().into(), ..seen }
}

async fn index(on: On) {
    let mut tx = on.write().await;
    let state = stated(&mut tx, &key("a")).await;
    let nodes = [state.node_id];
    for cluster in ["one-\u{fc}", "two", "two"] {
        let seen = worded(&mut tx, state.object_id, cluster).await;
        tx.insert_observations(&[seen]).await.unwrap();
    }
    let changes = Changes {
        entries: vec![entry("OBSERVED", "a")],
        objects: vec![state.object_id],
        states: vec![state.clone()],
        rules: 1,
        ..Changes::default()
    };
    tx.apply(&changes, 1).await.unwrap();
    assert_eq!(tx.check_index(&nodes, false).await.unwrap(), Difference::default());
    tx.commit().await.unwrap();
    let found = async || {
        let words: Vec<(String, i64)> = on
            .rows(
                "(SELECT w.text FROM word w WHERE w.tenant_id = posting.tenant_id AND w.id = posting.word_id), born_at",
                "posting ORDER BY 1, 2",
            )
            .await;
        words
    };
    let words = found().await;
    let of = |word: &str, born: i64| (word.to_owned(), born);
    for (word, born) in [("a", 5), ("one", 5), ("\u{fc}", 5), ("two", 5), ("two", i64::MIN), ("x", i64::MIN)] {
        assert_eq!(words.iter().filter(|found| **found == of(word, born)).count(), 1, "{word} {born}: {words:?}");
    }
    assert_eq!(on.count("thing").await, 3, "two clusters and a resource");

    // A later birth moves the record, and a check finds what was lost.
    let mut tx = on.write().await;
    let moved = StateRow { born_at: 9, ..state };
    tx.apply(&Changes { states: vec![moved], ..changes }, 2).await.unwrap();
    assert_eq!(tx.check_index(&nodes, true).await.unwrap(), Difference::default());
    tx.commit().await.unwrap();
    assert!(found().await.contains(&of("a", 9)));
    crate::support::db::execute(&on.url, "DELETE FROM posting").await;
    crate::support::db::execute(&on.url, "DELETE FROM thing").await;
    let mut tx = on.write().await;
    let lost = tx.check_index(&nodes, true).await.unwrap();
    assert_eq!((lost.surplus, lost.missing), (0, words.len() + 3));
    assert_eq!(tx.check_index(&nodes, false).await.unwrap(), Difference::default());
    tx.commit().await.unwrap();
    assert_eq!(found().await.len(), words.len());
}

fn counted(state: &StateRow, content: &Content) -> NewOperation {
    let operation = Operation {
        object: state.object_id,
        content: content.digest,
        at: -5,
        duration: None,
        cluster: "c".repeat(1000),
        pack: "\u{fc}".to_owned(),
        base: String::new(),
        status: "\u{fc}".to_owned(),
        capability: String::new(),
        category: String::new(),
        step: String::new(),
    };
    NewOperation { node: state.node_id, operation }
}

async fn operations(on: On) {
    let mut tx = on.write().await;
    let state = stated(&mut tx, &key("a")).await;
    let content = content(&key("a").to_string());
    let with = |operations: Vec<NewOperation>| Changes {
        entries: vec![entry("OBSERVED", "a")],
        units: vec![state.node_id],
        operations,
        rules: 1,
        ..Changes::default()
    };
    let first = with(vec![counted(&state, &content)]);
    assert_eq!(tx.compare(&first).await.unwrap(), Difference { surplus: 0, missing: 1 });
    tx.apply(&first, 1).await.unwrap();
    assert_eq!(tx.compare(&first).await.unwrap(), Difference::default());
    tx.commit().await.unwrap();
    let labels: Vec<(String,)> = on.rows("text", "label ORDER BY text").await;
    assert_eq!(labels, [("c".repeat(253),), ("\u{fc}".to_owned(),)], "once each, and cut");

    let mut tx = on.write().await;
    tx.observed(&[state.node_id]).await.unwrap();
    let mut other = counted(&state, &content);
    other.operation.duration = Some(7);
    let second = with(vec![other]);
    assert_eq!(tx.compare(&second).await.unwrap(), Difference { surplus: 1, missing: 1 });
    tx.apply(&second, 2).await.unwrap();
    tx.commit().await.unwrap();
    let rows: Vec<(i64, Option<i64>, i64)> = on.rows("counted_at, duration, rules", "operation").await;
    assert_eq!(rows, [(-5, Some(7), 1)]);
    let mut tx = on.write().await;
    tx.apply(&with(Vec::new()), 3).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(on.count("operation").await, 0);
}

async fn answers(on: On) {
    let (tenant, store) = (on.tenant.as_str(), &on.store);
    let digest = |text: &str| Digest::of_bytes(text.as_bytes());
    store.keep_answer(tenant, "k", &digest("lost"), "lost", 1, 100).await.unwrap();
    assert_eq!(store.find_answer(tenant, "k").await.unwrap(), None, "a tenant without records has no answers");
    on.write().await.commit().await.unwrap();
    store.keep_answer(tenant, "k", &digest("one"), "first \u{fc}", 10, 100).await.unwrap();
    store.keep_answer(tenant, "k", &digest("two"), "second", 11, 100).await.unwrap();
    store.keep_answer(tenant, "K", &digest("three"), "third", 12, 100).await.unwrap();
    let first = Some((digest("one"), "first \u{fc}".to_owned()));
    assert_eq!(store.find_answer(tenant, "k").await.unwrap(), first, "the first answer stays");
    assert_eq!(store.find_answer(tenant, "K").await.unwrap(), Some((digest("three"), "third".to_owned())));
    assert_eq!(store.find_answer(tenant, "unknown").await.unwrap(), None);
    store.keep_answer(tenant, "new", &digest("four"), "fourth", 110, 100).await.unwrap();
    assert_eq!(store.find_answer(tenant, "k").await.unwrap(), first, "it is just old enough to be kept");
    store.keep_answer(tenant, "newer", &digest("five"), "fifth", 111, 100).await.unwrap();
    assert_eq!(store.find_answer(tenant, "k").await.unwrap(), None);
    assert!(store.find_answer(tenant, "K").await.unwrap().is_some());
}

/// All tables with rows of tenants.
const TABLES: [&str; 19] = [
    "source",
    "ledger_head",
    "ledger_commit",
    "ledger_entry",
    "node",
    "edge",
    "object",
    "body",
    "body_base",
    "content",
    "resource",
    "resource_set",
    "observation",
    "snapshot",
    "version",
    "state",
    "epoch",
    "revision",
    "finding",
];

/// A row in every table.
async fn write_everywhere(tx: &mut WriteTx) {
    let sequence = NaturalKey::sequence("ns", "q");
    tx.ensure_nodes(std::slice::from_ref(&sequence)).await.unwrap();
    let node = tx.node(&sequence).unwrap();
    let state = stated(tx, &key("a")).await;
    let resource = Resource { api_version: "v1".into(), kind: "K".into(), namespace: "n".into(), name: "x".into() };
    let seen = observation(tx, state.object_id, "resources").await;
    tx.insert_observations(&[NewObservation { resources: Some(vec![resource]), ..seen }]).await.unwrap();
    tx.insert_snapshot(&[], &[], 1, 1).await.unwrap();
    let mut changes = derive(&state, node);
    changes.edges = vec![(state.node_id, EdgeKind::MemberOf, node)];
    changes.quarantine = vec![bad_item(b"bad")];
    tx.apply(&changes, 1).await.unwrap();
}

async fn rollback(on: On) {
    let mut tx = on.write().await;
    write_everywhere(&mut tx).await;
    drop(tx);
    // The next writer comes only after the first is undone.
    let mut next = on.store.write("next", "s", 1).await.unwrap();
    next.id().await.unwrap();
    next.commit().await.unwrap();
    for table in TABLES.iter().chain(&["quarantine", "resource_set_member"]) {
        assert_eq!(on.count(table).await, 0, "{table}");
    }
    let tenants: Vec<(i64,)> = fetch(&on.url, &format!("SELECT id FROM tenant WHERE name = '{}'", on.tenant)).await;
    assert!(tenants.is_empty());
    assert!(on.store.source_names(&on.tenant).await.unwrap().is_empty());
}

async fn tenants(on: On) {
    let others = On { tenant: format!("{}-other", on.tenant), ..on.clone() };
    for on in [&on, &others] {
        let mut tx = on.write().await;
        tx.find_nodes(&[key("a")]).await.unwrap();
        assert_eq!(tx.node(&key("a")), None);
        assert_eq!(tx.quarantine_size().await.unwrap(), (0, 0));
        assert!(tx.quarantined(&[bad_item(b"bad").id("s")]).await.unwrap().is_empty());
        assert_eq!(tx.next_snapshots(&[("K", "n", 0)]).await.unwrap(), [None]);
        assert!(tx.omitted(&[], &[], 100, 0, 10).await.unwrap().is_empty());
        assert!(tx.nodes_page(0, 10).await.unwrap().is_empty());
        // Every id of the one is an id of the other, too.
        let ids: Vec<i64> = (1..100).collect();
        assert!(tx.observed(&ids).await.unwrap().is_empty());
        assert!(tx.groups(&ids).await.unwrap().is_empty());
        assert!(tx.members(&ids).await.unwrap().is_empty());
        assert!(tx.collections(&ids).await.unwrap().is_empty());
        assert!(tx.dependents(&ids, EdgeKind::MemberOf).await.unwrap().is_empty());
        write_everywhere(&mut tx).await;
        tx.commit().await.unwrap();
    }
    for table in TABLES.iter().chain(&["quarantine", "resource_set_member"]) {
        assert!(on.count(table).await > 0, "{table} is not tried");
        assert_eq!(on.count(table).await, others.count(table).await, "{table}");
    }
    let dump = async |on: &On| on.store.dump(&on.tenant, 1).await.unwrap();
    assert_eq!(dump(&on).await, dump(&others).await);
    let mut tx = on.write().await;
    let more =
        Changes { entries: vec![entry("A", "a")], released: vec![bad_item(b"bad").id("s")], ..Changes::default() };
    tx.apply(&more, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(on.store.head(&on.tenant).await.unwrap(), 2);
    assert_eq!(others.store.head(&others.tenant).await.unwrap(), 1);
    assert_eq!(others.write().await.quarantine_size().await.unwrap(), (1, 3));
    let digest = Digest::of_bytes(b"");
    on.store.keep_answer(&on.tenant, "k", &digest, "mine", 1, 100).await.unwrap();
    assert_eq!(on.store.find_answer(&others.tenant, "k").await.unwrap(), None);
    assert_eq!(on.store.dump("nobody", 1).await.unwrap(), json!({}));
}

async fn lifecycle(on: On) {
    let store = Store::open(&on.url, false).await.unwrap();
    store.ping().await.unwrap();
    store.analyze().await.unwrap();
    store.close().await;
    let error = store.ping().await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    on.store.ping().await.unwrap();
    let patient = Timeouts { acquire: Duration::from_secs(9), ..Timeouts::default() };
    let store = Store::open_with(&on.url, false, patient).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
}
