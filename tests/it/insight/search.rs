//! The search, against a look through all records.

use std::collections::BTreeSet;

use packtrail::domain::record::Resource;
use packtrail::domain::search::{MAX_TEXT, Question, words_of_name, words_of_object, words_of_resource};
use packtrail::service::query::{Scope, SearchAsked};
use packtrail::storage::{FOUND_CLUSTER, FOUND_FAMILY, FOUND_RESOURCE, Page, Store, StoredHit, hash63};
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::records::fleet::fleet;
use crate::records::model::{self, Input};
use crate::support::api::Api;
use crate::support::db::{Database, for_each_database};
use crate::support::ingest::send_all;

/// Something that can be found: its place, its source, its kind, what it is, and its words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Document {
    place: (i64, i64),
    source: String,
    kind: String,
    name: String,
    words: BTreeSet<String>,
}

/// What a search has to say of a hit.
type Hit = ((i64, i64), String, String, Vec<String>);

fn thing(source: &str, kind: &str, parts: &[&str], words: BTreeSet<String>) -> Document {
    let all: Vec<&[u8]> = [source, kind].iter().chain(parts).map(|part| part.as_bytes()).collect();
    let name = parts.join("|");
    Document { place: (i64::MIN, hash63(&all)), source: source.to_owned(), kind: kind.to_owned(), name, words }
}

/// Everything that can be found, in the order of answers.
fn documents(inputs: &[Input]) -> Vec<Document> {
    let mut found = BTreeSet::new();
    for seen in model::seen(inputs) {
        let words = seen.contents.iter().flat_map(|content| words_of_object(content.as_object().unwrap())).collect();
        let place = (seen.birth, hash63(&[seen.source.as_bytes(), seen.key.as_bytes()]));
        found.insert(Document { place, source: seen.source, kind: seen.kind, name: seen.key, words });
    }
    for (source, content) in model::contents(inputs) {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        let spec = &content["spec"];
        if let Some(name) = text(&spec["targetClusterRef"]).or_else(|| text(&spec["clusterRef"])) {
            found.insert(thing(&source, FOUND_CLUSTER, &[&name], words_of_name(&name)));
        }
        if let Some(name) = text(&spec["basePackName"]).filter(|_| content["kind"] == "ClusterPack") {
            found.insert(thing(&source, FOUND_FAMILY, &[&name], words_of_name(&name)));
        }
        for entry in spec["deployedResources"].as_array().into_iter().flatten() {
            let text = |name: &str| entry[name].as_str().map(ToOwned::to_owned);
            let (Some(api_version), Some(kind), Some(name)) = (text("apiVersion"), text("kind"), text("name")) else {
                continue;
            };
            let resource = Resource { api_version, kind, namespace: text("namespace").unwrap_or_default(), name };
            let parts = [&resource.name, &resource.namespace, &resource.kind, &resource.api_version];
            found.insert(thing(&source, FOUND_RESOURCE, &parts.map(String::as_str), words_of_resource(&resource)));
        }
    }
    let mut found: Vec<Document> = found.into_iter().collect();
    found.reverse();
    found
}

fn naive(documents: &[Document], asked: &SearchAsked) -> Vec<Hit> {
    let question = Question::read(&asked.text).unwrap();
    let is_kind = |kind: &String| {
        let is_listed = asked.kinds.as_ref().is_none_or(|kinds| kinds.contains(kind));
        let is_beside = asked.beside.as_ref().is_some_and(|beside| !beside.contains(kind) && !kind.starts_with('~'));
        is_listed || is_beside
    };
    documents
        .iter()
        .filter(|document| question.is_met_by(&document.words))
        .filter(|document| asked.source.as_ref().is_none_or(|source| *source == document.source))
        .filter(|document| is_kind(&document.kind))
        .map(|document| {
            let matched = question.matched(&document.words).into_iter().take(8).collect();
            (document.place, document.source.clone(), document.kind.clone(), matched)
        })
        .collect()
}

/// Hits as the naive search has them: the hash in its place tells which record a hit is.
fn hits(scope: &Scope, found: Vec<StoredHit>) -> Vec<Hit> {
    let source = |hit: &StoredHit| scope.source_name(hit.source).to_owned();
    found.into_iter().map(|hit| (hit.place, source(&hit), hit.kind, hit.matched)).collect()
}

/// All pages of an answer, put together in its order.
async fn paged(scope: &Scope, asked: &SearchAsked, limit: usize, backward: bool) -> Vec<Hit> {
    let mut page = Page { limit, backward, from: None };
    let mut parts: Vec<Vec<StoredHit>> = Vec::new();
    loop {
        let rows = scope.search(asked, &page).await.unwrap();
        page.from = if backward { rows.rows.first() } else { rows.rows.last() }.map(|hit| hit.place);
        parts.push(rows.rows);
        if !rows.more {
            break;
        }
    }
    if backward {
        parts.reverse();
    }
    hits(scope, parts.concat())
}

/// A question about what is there, about what is nearly there, or about anything.
fn question(documents: &[Document], random: &mut ChaCha8Rng) -> SearchAsked {
    let count = random.random_range(1..4);
    let mut words: Vec<String> = Vec::new();
    let one = documents.choose(random).unwrap();
    for _ in 0..count {
        let of = if random.random_ratio(4, 5) { one } else { documents.choose(random).unwrap() };
        let of: Vec<&String> = of.words.iter().collect();
        words.extend(of.choose(random).map(|word| (*word).clone()));
    }
    let mut last = words.pop().unwrap_or_default();
    let shorter = random.random_range(2..=last.chars().count().max(2));
    last = last.chars().take(shorter).collect();
    if last.chars().count() < 2 {
        last.push('0');
    }
    words.push(last);
    let kinds = ["PackOperationResult", "ClusterPack", FOUND_RESOURCE, FOUND_CLUSTER];
    let kinds = random.random_ratio(1, 4).then(|| vec![(*kinds.choose(random).unwrap()).to_owned()]);
    let beside = (kinds.is_some() && random.random_ratio(1, 2)).then(|| vec!["PackReceipt".to_owned()]);
    let source = random.random_ratio(1, 5).then(|| one.source.clone());
    SearchAsked { text: words.join([" ", "-", "\" %"].choose(random).unwrap()), source, kinds, beside }
}

fn fleets() -> u64 {
    std::env::var("PACKTRAIL_TEST_FLEETS").ok().and_then(|count| count.parse().ok()).unwrap_or(6)
}

async fn check(store: &Store, tenant: &str, seed: u64, documents: &[Document]) -> usize {
    let scope = Scope::now(store, tenant.into()).await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut several = 0;
    for n in 0..12 {
        let asked = question(documents, &mut random);
        let expected = naive(documents, &asked);
        let whole = paged(&scope, &asked, 1000, false).await;
        assert_eq!(whole, expected, "fleet {seed}, question {n}: {asked:?}");
        assert_eq!(scope.count_search(&asked).await.unwrap(), i64::try_from(expected.len()).unwrap(), "{asked:?}");
        if (2..30).contains(&expected.len()) {
            several += 1;
            for (limit, backward) in [(1, false), (3, true)] {
                assert_eq!(paged(&scope, &asked, limit, backward).await, expected, "{asked:?} by {limit}");
            }
        }
    }
    several
}

#[tokio::test]
async fn random_questions_to_random_fleets_are_answered_like_a_look_through_all() {
    for database in Database::all() {
        let store = database.open().await;
        let mut several = 0;
        for seed in 0..fleets() {
            let mut inputs = fleet(seed);
            let documents = documents(&inputs);
            if documents.is_empty() {
                continue;
            }
            for order in 0..2 {
                inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed + order * 1000));
                let tenant = format!("t{seed}-{order}");
                send_all(&store, &tenant, &inputs, 1 + usize::try_from(seed).unwrap() % 9).await;
                several += check(&store, &tenant, seed, &documents).await;
            }
        }
        assert!(several > 10, "too few questions had several answers: {several}");
        store.close().await;
    }
}

const PARTS: &str = "totalCount pageInfo { hasNextPage endCursor } edges { cursor } nodes { kind matched node { __typename \
    ... on Record { id name source } ... on Cluster { name source } ... on PackFamily { name source } \
    ... on KnownResource { source apiVersion kind namespace name appliedBy(first: 2) { totalCount nodes { name } } } } }";

#[tokio::test]
async fn both_databases_answer_in_the_same_words() {
    let mut answers: Vec<Vec<String>> = Vec::new();
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::with_samples(&store, "acme").await;
        let mut texts = Vec::new();
        for text in ["cert", "ccs-dev", "nginx", "sha256", "v1 14", "Deployment", "local path provisioner"] {
            for arguments in ["first: 100", "last: 3", "first: 2, kinds: [DEPLOYED_RESOURCE, CLUSTER, RECORD]"] {
                let query = format!("query ($text: String!) {{ search(text: $text, {arguments}) {{ {PARTS} }} }}");
                let answer = api.ask_with(&query, json!({"text": text})).await;
                texts.push(answer.to_string());
            }
        }
        assert!(texts[0].contains("PackReceipt") && texts[3].contains("\"CLUSTER\""), "{}", texts[3]);
        answers.push(texts);
        store.close().await;
    }
    for other in &answers[1..] {
        assert_eq!(&answers[0], other);
    }
}

#[tokio::test]
async fn a_resource_leads_to_the_results_that_applied_it() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let result = |n: usize, resource: &str| {
            json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackOperationResult",
                "metadata": {"name": format!("r{n}"), "namespace": "ns", "uid": format!("u{n}"),
                    "creationTimestamp": format!("2026-05-0{n}T00:00:00Z")},
                "spec": {"revision": n, "packExecutionRef": "e", "targetClusterRef": "c", "capability": "pack-deploy",
                    "status": "Succeeded", "deployedResources": [
                        {"apiVersion": "v1", "kind": "Secret", "name": resource, "namespace": "ns"}]}})
        };
        let results = [result(1, "shared"), result(2, "other"), result(3, "shared")];
        crate::support::feed::feed_values(&api.writer, tenant, "default", &results).await;
        let query = "{ search(text: \"secret shared\") { totalCount nodes { kind node { ... on KnownResource { name \
            appliedBy(PAGE) { totalCount nodes { name } pageInfo { hasNextPage hasPreviousPage } } } } } } }";
        for (page, names) in
            [("first: 5", json!(["r3", "r1"])), ("first: 1", json!(["r3"])), ("last: 1", json!(["r1"]))]
        {
            let found = api.ask(&query.replace("PAGE", page)).await;
            let names: Vec<Value> = names.as_array().unwrap().iter().map(|name| json!({"name": name})).collect();
            assert_eq!(found["search"]["totalCount"], 1);
            assert_eq!(found["search"]["nodes"][0]["kind"], "DEPLOYED_RESOURCE");
            assert_eq!(found["search"]["nodes"][0]["node"]["appliedBy"]["nodes"], json!(names), "{page}");
            assert_eq!(found["search"]["nodes"][0]["node"]["appliedBy"]["totalCount"], 2);
        }
    })
    .await;
}

#[tokio::test]
async fn hostile_questions_are_bounded_and_typed() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let query = "query ($text: String!) { search(text: $text) { totalCount nodes { kind } } }";
        let refused = ["", " ", "x", "nginx x", "🚀🚀", "%", "_", "'\"", "\0\0", "\u{301}\u{301}"];
        let long = [
            "a".repeat(10_000),
            "ab ".repeat(4000),
            "x".repeat(MAX_TEXT + 1),
            (0..99).fold(String::new(), |all, i| format!("{all}w{i} ")),
        ];
        for text in refused.iter().map(ToString::to_string).chain(long) {
            let answer = api.execute(query, json!({"text": text})).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{text:?}: {answer}");
            assert!(answer["errors"][0]["message"].as_str().unwrap().ends_with('.'), "{answer}");
        }
        let nothing =
            ["zz\0zz", "%%ccs%%xx", "שלום", "'; DROP TABLE word; --", "e\u{301}e\u{301} zz", "\u{10ffff}zz", "ce__rt"];
        for text in nothing {
            let answer = api.ask_with(query, json!({"text": text})).await;
            assert_eq!(answer["search"]["totalCount"], 0, "{text:?}");
        }
        for text in
            ["\"CERT manager\"", "%cert%_manager", "manager\0cert", "\u{202e}cert manager 🚀", &"cert ".repeat(190)]
        {
            let answer = api.ask_with(query, json!({"text": text})).await;
            assert_ne!(answer["search"]["totalCount"], 0, "{text:?}");
        }
    })
    .await;
}
