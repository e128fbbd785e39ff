//! Graphs that are far too large for one answer: the work is bounded, and the answer says so.

use std::collections::BTreeSet;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::records::fleet::fleet;
use crate::support::api::Api;
use crate::support::db::{Database, execute};
use crate::support::ingest::send_all;

/// How many nodes a graph has.
const NODES: u32 = 100_000;
/// The first row of the planted nodes.
const FIRST: u32 = 50_000_000;

/// Plants the operators `{name}{i}`, and edges between them: cause and effect of the edge `i`.
async fn plant(url: &str, name: &str, first: u32, edges: u32, cause: &str, effect: &str) {
    let numbers = |count: u32| {
        format!(
            "WITH RECURSIVE r(i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM r WHERE i < {})",
            count - 1
        )
    };
    let nodes = numbers(NODES);
    let edges = numbers(edges);
    execute(
        url,
        &format!(
            "INSERT INTO node (tenant_id, id, source_id, kind, cluster, namespace, name) {nodes} \
             SELECT s.tenant_id, {first} + i, s.id, '~operator', '', '', '{name}' || i FROM r, source s \
             WHERE s.name = (SELECT MIN(name) FROM source)"
        ),
    )
    .await;
    execute(
        url,
        &format!(
            "INSERT INTO lineage (tenant_id, src, by_dst, kind, dst, within, field, from_n, from_seq, to_seq, rules) {edges} \
             SELECT t.id, {first} + {cause}, 0, 18, {first} + {effect}, 0, 1, i, 1, 9223372036854775807, 3 \
             FROM r, tenant t"
        ),
    )
    .await;
}

fn id(source: &str, name: &str) -> String {
    let id = format!(
        r#"{{"v":{{"source":"{source}","kind":{{"Thing":"~operator"}},"cluster":"","namespace":"","name":"{name}","uid":null}}}}"#
    );
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id)
}

async fn walk(api: &Api, node: &str, depth: u32, limit: u32, after: &Value) -> Value {
    let question = "query ($node: ID!, $depth: Int!, $limit: Int!, $after: String) {
        lineage(node: $node, direction: DOWNSTREAM, depth: $depth, limit: $limit, after: $after) {
            nodes { name depth } completeness { complete reason frontier continueCursor } } }";
    let variables = json!({"node": node, "depth": depth, "limit": limit, "after": after});
    api.ask_with(question, variables).await["lineage"].clone()
}

fn names(found: &Value) -> BTreeSet<&str> {
    found["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_walk_over_a_hundred_thousand_nodes_is_bounded_and_says_so() {
    for database in Database::all() {
        let url = database.url().await;
        let store = database.open().await;
        let api = Api::new(&store, "t");
        send_all(&store, "t", &fleet(1)[..3], 1).await;
        let sources = api.ask("{ sources { nodes { name } } }").await;
        let source = sources["sources"]["nodes"][0]["name"].as_str().unwrap();

        // A hub: one cause, and each of the others its effect.
        plant(&url, "hub", FIRST, NODES - 1, "0", "1 + i").await;
        let hub = id(source, "hub0");
        let first = walk(&api, &hub, 2, 5000, &Value::Null).await;
        assert_eq!(first["completeness"]["reason"], "LIMIT");
        assert_eq!(first["completeness"]["frontier"], NODES - 5000);
        let second = walk(&api, &hub, 2, 5000, &first["completeness"]["continueCursor"]).await;
        assert_eq!((names(&first).len(), names(&second).len()), (5000, 5000));
        assert!(names(&first).is_disjoint(&names(&second)), "a page repeats nodes");
        let impact = api
            .ask_with(
                "query ($n: ID!) { impact(node: $n) { counts { kind count } completeness { complete } } }",
                json!({"n": hub}),
            )
            .await;
        let expected =
            json!({"counts": [{"kind": "OPERATOR", "count": NODES - 1}], "completeness": {"complete": true}});
        assert_eq!(impact["impact"], expected);

        // A chain: as deep as it is long.
        plant(&url, "chain", FIRST + NODES, NODES - 1, "i", "i + 1").await;
        let chain = id(source, "chain0");
        let deep = walk(&api, &chain, 100, 5000, &Value::Null).await;
        assert_eq!(names(&deep).len(), 101);
        let expected = json!({"complete": false, "reason": "DEPTH", "frontier": 1, "continueCursor": null});
        assert_eq!(deep["completeness"], expected);

        // More edges than one question may read: no answer pretends to be all, and none goes on.
        plant(&url, "dense", FIRST + 2 * NODES, 3 * NODES, "0", "i % 99999 + 1").await;
        let dense = walk(&api, &id(source, "dense0"), 1, 10, &Value::Null).await;
        assert_eq!(names(&dense), BTreeSet::from(["dense0"]));
        let expected = json!({"complete": false, "reason": "LIMIT", "frontier": 1, "continueCursor": null});
        assert_eq!(dense["completeness"], expected);
        store.close().await;
    }
}
