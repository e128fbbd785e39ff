//! Walks, paths and pages on random graphs, against a naive walk of the model's edges.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::records::model::Input;
use crate::records::model::lineage::edges_at;
use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::ingest::send_all;

/// How many graphs a quick run tries on each database.
fn graphs() -> u64 {
    std::env::var("PACKTRAIL_TEST_GRAPHS").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

const NODES: usize = 9;

fn uid(node: usize) -> String {
    format!("uid-{node}")
}

/// A lineage index that registers others, so that any graph can be said: with cycles, diamonds and nodes
/// that are never sent.
fn index(node: usize, version: usize, registers: &BTreeSet<usize>, root: usize, by: &str) -> Value {
    let entry = |node: &usize| {
        json!({"group": "infrastructure.ontai.dev", "version": "v1alpha1", "kind": "LineageIndex",
            "namespace": "ns", "name": format!("i{node}"), "uid": uid(*node)})
    };
    json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "LineageIndex",
        "metadata": {"namespace": "ns", "name": format!("i{node}"), "uid": uid(node),
            "resourceVersion": version.to_string(), "creationTimestamp": "2026-05-01T00:00:00Z"},
        "spec": {"descendantRegistry": registers.iter().map(entry).collect::<Vec<_>>(),
            "rootBinding": {"rootKind": "LineageIndex", "rootNamespace": "ns", "rootName": format!("i{root}"),
                "rootUID": uid(root), "declaringPrincipal": by}}})
}

fn time(second: usize) -> String {
    format!("2026-05-01T00:{:02}:{:02}Z", second / 60, second % 60)
}

fn graph(seed: u64) -> Vec<Input> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut inputs = Vec::new();
    let registers = |random: &mut ChaCha8Rng| -> BTreeSet<usize> {
        (0..random.random_range(0..4)).map(|_| random.random_range(0..NODES)).collect()
    };
    for step in 0..24 {
        let node = random.random_range(0..NODES - 1);
        let (registers, root) = (registers(&mut random), random.random_range(0..NODES));
        let by = ["alice", "bob"].choose(&mut random).unwrap();
        let event = if random.random_range(0..8) == 0 { "DELETED" } else { "MODIFIED" };
        let object = index(node, step + 1, &registers, root, by);
        inputs.push(Input::Item {
            source: "default".to_owned(),
            item: json!({"type": event, "observedAt": time(step * 10), "object": object}),
        });
    }
    inputs
}

/// An edge of the model: kind, cause, effect.
type Edge = (String, String, String);

fn model_edges(inputs: &[Input], at: Option<i64>) -> BTreeSet<Edge> {
    edges_at(inputs, at)
        .iter()
        .map(|line| {
            let mut words = line.split(' ').skip(1);
            let kind = words.next().unwrap().to_owned();
            let from = words.next().unwrap().to_owned();
            (kind, from, words.nth(1).unwrap().to_owned())
        })
        .collect()
}

/// What a question asks, in words of the model.
#[derive(Debug, Clone)]
struct Asked {
    direction: &'static str,
    depth: usize,
    nodes: Option<Vec<&'static str>>,
    edges: Option<Vec<&'static str>>,
}

fn asked(random: &mut ChaCha8Rng) -> Asked {
    let nodes = [None, Some(vec!["PRINCIPAL"]), Some(vec!["ROOT_DECLARATION"]), Some(vec!["RECORD", "PRINCIPAL"])];
    let edges = [None, Some(vec!["REGISTERS"]), Some(vec!["INDEXED_BY", "DECLARED_BY"]), Some(vec!["OWNS"])];
    Asked {
        direction: ["UPSTREAM", "DOWNSTREAM", "BOTH"].choose(random).unwrap(),
        depth: random.random_range(0..7),
        nodes: nodes.choose(random).unwrap().clone(),
        edges: edges.choose(random).unwrap().clone(),
    }
}

fn kind_of(key: &str) -> &'static str {
    if key.starts_with("~principal") { "PRINCIPAL" } else { "ROOT_DECLARATION" }
}

/// The nodes with their depths, the edges, and whether that is all.
fn naive(edges: &BTreeSet<Edge>, root: &str, asked: &Asked) -> (BTreeMap<String, usize>, BTreeSet<Edge>, bool) {
    let allowed = |kind: &str| asked.edges.as_ref().is_none_or(|kinds| kinds.contains(&kind));
    let mut depths: BTreeMap<String, usize> = BTreeMap::new();
    let mut followed: BTreeSet<Edge> = BTreeSet::new();
    let mut is_whole = true;
    let ways: &[bool] = match asked.direction {
        "UPSTREAM" => &[false],
        "DOWNSTREAM" => &[true],
        _ => &[false, true],
    };
    for is_down in ways {
        let mut cone: BTreeMap<String, usize> = BTreeMap::from([(root.to_owned(), 0)]);
        let mut queue = VecDeque::from([root.to_owned()]);
        while let Some(node) = queue.pop_front() {
            let depth = cone[&node];
            for edge in edges.iter().filter(|edge| allowed(&edge.0)) {
                let (from, to) = if *is_down { (&edge.1, &edge.2) } else { (&edge.2, &edge.1) };
                if *from != node {
                    continue;
                }
                if depth == asked.depth {
                    is_whole &= cone.contains_key(to);
                    continue;
                }
                followed.insert(edge.clone());
                if !cone.contains_key(to) {
                    cone.insert(to.clone(), depth + 1);
                    queue.push_back(to.clone());
                }
            }
        }
        for (node, depth) in cone {
            let least = depths.entry(node).or_insert(depth);
            *least = depth.min(*least);
        }
    }
    let shown = |node: &str| asked.nodes.as_ref().is_none_or(|kinds| kinds.contains(&kind_of(node)));
    depths.retain(|node, _| shown(node));
    followed.retain(|(_, from, to)| depths.contains_key(from) && depths.contains_key(to));
    (depths, followed, is_whole)
}

const LINEAGE: &str = "query ($node: ID!, $direction: LineageDirection!, $depth: Int!, $nodes: [LineageNodeKind!],
    $edges: [LineageEdgeKind!], $limit: Int!, $after: String, $at: DateTime, $seq: Int53!) {
    asOf(point: {seq: $seq}) { lineage(node: $node, direction: $direction, depth: $depth, nodeKinds: $nodes,
        edgeKinds: $edges, limit: $limit, after: $after, at: $at) {
        nodes { id kind resourceKind namespace name uid placeholder depth }
        edges { kind from to }
        completeness { complete reason frontier asOfSeq continueCursor } } } }";

/// What is left out to see that it changes nothing else.
const EDGES: &str = "edges { kind from to }";

fn key_of(node: &Value) -> String {
    let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
    if node["kind"] == "PRINCIPAL" {
        return format!("~principal///{}", text("name"));
    }
    if node["placeholder"] == true {
        format!("~unseen/{}/{}/{}/{}", text("uid"), text("namespace"), text("resourceKind"), text("name"))
    } else {
        format!("{}//{}/{}/{}", text("resourceKind"), text("namespace"), text("name"), text("uid"))
    }
}

/// An answer, and how it was put together.
struct Answer {
    nodes: Vec<(usize, String)>,
    edges: Vec<Edge>,
    is_whole: bool,
    reason: Value,
    pages: usize,
}

/// Asks with pages of `limit` until nothing follows.
async fn ask(api: &Api, seq: i64, root: &str, asked: &Asked, at: Option<&str>, limit: usize) -> Answer {
    let mut answer = Answer { nodes: Vec::new(), edges: Vec::new(), is_whole: false, reason: Value::Null, pages: 0 };
    let mut keys: HashMap<String, String> = HashMap::new();
    let mut after = Value::Null;
    loop {
        let variables = json!({"node": root, "direction": asked.direction, "depth": asked.depth, "nodes": asked.nodes,
            "edges": asked.edges, "limit": limit, "after": after, "at": at, "seq": seq});
        let found = api.ask_with(LINEAGE, variables.clone()).await["asOf"]["lineage"].clone();
        let bare = api.ask_with(&LINEAGE.replace(EDGES, ""), variables).await["asOf"]["lineage"].clone();
        for part in ["nodes", "completeness"] {
            assert_eq!(bare[part], found[part], "{part} without the edges");
        }
        answer.pages += 1;
        let nodes = found["nodes"].as_array().unwrap();
        assert!(nodes.len() <= limit);
        for node in nodes {
            let key = key_of(node);
            keys.insert(node["id"].as_str().unwrap().to_owned(), key.clone());
            answer.nodes.push((usize::try_from(node["depth"].as_u64().unwrap()).unwrap(), key));
        }
        for edge in found["edges"].as_array().unwrap() {
            let end = |name: &str| keys[edge[name].as_str().unwrap()].clone();
            answer.edges.push((edge["kind"].as_str().unwrap().to_owned(), end("from"), end("to")));
        }
        let completeness = &found["completeness"];
        assert_eq!(completeness["asOfSeq"], seq);
        answer.is_whole = completeness["complete"] == true;
        answer.reason = completeness["reason"].clone();
        assert_eq!(answer.is_whole, completeness["frontier"] == 0, "{completeness}");
        after = completeness["continueCursor"].clone();
        if after.is_null() {
            return answer;
        }
        assert_eq!(answer.reason, "LIMIT");
    }
}

fn id_of(key: &str) -> String {
    use base64::Engine as _;
    let name = key.split('/').nth(3).unwrap();
    let uid = key.split('/').nth(4);
    let id = if key.starts_with("~principal") {
        json!({"v": {"source": "default", "kind": {"Thing": "~principal"}, "cluster": "", "namespace": "",
            "name": name, "uid": null}})
    } else {
        json!({"r": ["default", "LineageIndex", "", "ns", name, uid]})
    };
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(ordered(&id))
}

/// The text of an id, in the order of its fields.
fn ordered(id: &Value) -> String {
    match &id["v"] {
        Value::Null => id.to_string(),
        vertex => format!(
            r#"{{"v":{{"source":{},"kind":{},"cluster":"","namespace":"","name":{},"uid":null}}}}"#,
            vertex["source"], vertex["kind"], vertex["name"]
        ),
    }
}

/// The commits of a graph, each with the inputs that it knows.
async fn commits(api: &Api, inputs: &[Input]) -> Vec<(i64, usize)> {
    let mut commits: Vec<(i64, usize)> = Vec::new();
    for (n, input) in inputs.iter().enumerate() {
        send_all(&api.store, &api.tenant, std::slice::from_ref(input), 1).await;
        let head = api.store.head(&api.tenant).await.unwrap();
        commits.retain(|(seq, _)| *seq != head);
        commits.push((head, n + 1));
    }
    commits
}

#[tokio::test]
async fn lineage_equals_a_naive_walk_at_every_cut_and_commit() {
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..graphs() {
            let inputs = graph(seed);
            let api = Api::new(&store, &format!("g{seed}"));
            let commits = commits(&api, &inputs).await;
            let mut random = ChaCha8Rng::seed_from_u64(seed + 1000);
            for round in 0..12 {
                let (seq, taken) = *commits.choose(&mut random).unwrap();
                let second = random.random_range(0..240);
                let at = (round % 3 == 0).then(|| time(second));
                let micros = at.as_deref().map(|at| packtrail::domain::time::parse_rfc3339(at).unwrap());
                let edges = model_edges(&inputs[..taken], micros);
                let known: BTreeSet<String> = model_edges(&inputs[..taken], None)
                    .into_iter()
                    .flat_map(|(_, from, to)| [from, to])
                    .filter(|key| !key.starts_with("~unseen"))
                    .collect();
                let known: Vec<&String> = known.iter().collect();
                let Some(root) = known.choose(&mut random) else { continue };
                let asked = asked(&mut random);
                let what = format!("graph {seed} as of {seq} at {at:?} from {root}: {asked:?}");
                let (depths, followed, is_whole) = naive(&edges, root, &asked);
                let uncut = ask(&api, seq, &id_of(root), &asked, at.as_deref(), 5000).await;
                let found: BTreeMap<String, usize> = uncut.nodes.iter().map(|(d, key)| (key.clone(), *d)).collect();
                assert_eq!(found, depths, "{what}");
                assert_eq!(found.len(), uncut.nodes.len(), "each node once: {what}");
                assert!(uncut.nodes.is_sorted_by_key(|(depth, _)| *depth), "{what}");
                let distinct: BTreeSet<Edge> = uncut.edges.iter().cloned().collect();
                assert_eq!(distinct, followed, "{what}");
                assert_eq!(uncut.is_whole, is_whole, "{what}");
                assert_eq!(uncut.reason, if is_whole { Value::Null } else { json!("DEPTH") }, "{what}");
                let limit = random.random_range(1..5);
                let cut = ask(&api, seq, &id_of(root), &asked, at.as_deref(), limit).await;
                assert_eq!(cut.nodes, uncut.nodes, "by {limit}: {what}");
                let sorted = |mut edges: Vec<Edge>| {
                    edges.sort();
                    edges
                };
                assert_eq!(sorted(cut.edges), sorted(uncut.edges), "by {limit}: {what}");
                assert_eq!((cut.is_whole, cut.reason), (uncut.is_whole, uncut.reason), "by {limit}: {what}");
                assert!(cut.pages > 1 || depths.len() <= limit, "{what}");
            }
        }
        store.close().await;
    }
}

/// All simple paths, by length.
fn naive_paths(edges: &BTreeSet<Edge>, from: &str, to: &str, depth: usize) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![vec![from.to_owned()]];
    while let Some(path) = open.pop() {
        let end = path.last().unwrap().clone();
        if end == to {
            found.push(path);
            continue;
        }
        if path.len() > depth {
            continue;
        }
        let next: BTreeSet<&String> = edges.iter().filter(|edge| edge.1 == end).map(|edge| &edge.2).collect();
        for next in next.into_iter().filter(|next| !path.contains(next)) {
            let mut longer = path.clone();
            longer.push(next.clone());
            open.push(longer);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn lineage_paths_equal_naive_enumeration() {
    let query = "query ($from: ID!, $to: ID!, $depth: Int!, $limit: Int!) {
        lineagePaths(from: $from, to: $to, maxDepth: $depth, limit: $limit) {
            paths { length nodes { kind resourceKind namespace name uid placeholder depth } }
            edges { kind } completeness { complete reason } } }";
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..graphs() {
            let inputs = graph(seed);
            let api = Api::new(&store, &format!("p{seed}"));
            commits(&api, &inputs).await;
            let edges = model_edges(&inputs, None);
            let known: BTreeSet<&String> = edges.iter().flat_map(|(_, from, to)| [from, to]).collect();
            let known: Vec<&&String> = known.iter().filter(|key| !key.starts_with("~unseen")).collect();
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            for _ in 0..8 {
                let (from, to) = (*known.choose(&mut random).unwrap(), *known.choose(&mut random).unwrap());
                let depth = random.random_range(1..5);
                let expected = naive_paths(&edges, from, to, depth);
                let variables = json!({"from": id_of(from), "to": id_of(to), "depth": depth, "limit": 100});
                let found = api.ask_with(query, variables).await["lineagePaths"].clone();
                let what = format!("graph {seed}: {from} to {to} in {depth}");
                let paths: Vec<Vec<String>> = found["paths"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|path| path["nodes"].as_array().unwrap().iter().map(key_of).collect())
                    .collect();
                assert!(paths.is_sorted_by_key(Vec::len), "{what}");
                if expected.len() > 100 {
                    assert_eq!(found["completeness"], json!({"complete": false, "reason": "LIMIT"}), "{what}");
                    assert!(paths.iter().all(|path| expected.contains(path)), "{what}");
                    continue;
                }
                let mut sorted = paths.clone();
                sorted.sort();
                assert_eq!(sorted, expected, "{what}");
                assert_eq!(found["completeness"]["complete"], true, "{what}");
                if expected.len() > 1 {
                    let variables = json!({"from": id_of(from), "to": id_of(to), "depth": depth, "limit": 1});
                    let one = api.ask_with(query, variables).await["lineagePaths"].clone();
                    assert_eq!(one["completeness"], json!({"complete": false, "reason": "LIMIT"}), "{what}");
                    assert_eq!(one["paths"].as_array().unwrap().len(), 1);
                }
            }
        }
        store.close().await;
    }
}
