//! Pages.

use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;
use crate::support::feed::feed_values;

const NS: &str = "ns";

/// `count` results of one execution, all born in the same second but for every third.
async fn with_results(api: &Api, tenant: &str, count: usize) {
    let results: Vec<Value> = (1..=count)
        .map(|i| {
            json!({
                "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackOperationResult",
                "metadata": {"name": format!("r{i}"), "namespace": NS, "uid": format!("u{i}"),
                    "creationTimestamp": format!("2026-05-01T00:00:0{}Z", i % 3)},
                "spec": {"revision": i, "capability": "pack-deploy", "status": "Succeeded",
                    "packExecutionRef": "e", "targetClusterRef": "c",
                    "deployedResources": (0..7).map(|n| json!({"apiVersion": "v1", "kind": "Secret", "name": format!("s{n}")}))
                        .collect::<Vec<_>>()},
            })
        })
        .collect();
    feed_values(&api.writer, tenant, "default", &results).await;
}

/// A list: where it is in an answer, and its document with `PAGE` for its arguments.
struct Listed {
    path: &'static str,
    document: &'static str,
}

const LISTS: [Listed; 11] = [
    Listed { path: "/operationResults", document: "{ operationResults(PAGE) { PARTS } }" },
    Listed { path: "/operationResults", document: "{ operationResults(filter: {cluster: \"c\"}, PAGE) { PARTS } }" },
    Listed { path: "/operationSequences", document: "{ operationSequences(PAGE) { PARTS } }" },
    Listed { path: "/search", document: "{ search(text: \"ns\", PAGE) { PARTS } }" },
    Listed { path: "/findings", document: "{ findings(PAGE) { PARTS } }" },
    Listed { path: "/sources", document: "{ sources(PAGE) { PARTS } }" },
    Listed { path: "/quarantine", document: "{ quarantine(PAGE) { PARTS } }" },
    Listed {
        path: "/packHistory",
        document: "{ packHistory(basePack: \"cert-manager-helm\", cluster: \"ccs-dev\", PAGE) { PARTS } }",
    },
    Listed {
        path: "/revisionChain/revisions",
        document: "{ revisionChain(source: \"default\", namespace: \"ns\", packExecution: \"e\") { revisions(PAGE) { PARTS } } }",
    },
    Listed {
        path: "/operationResult/deployedResources",
        document: "{ operationResult(source: \"default\", namespace: \"ns\", name: \"r1\") { deployedResources(PAGE) { PARTS } } }",
    },
    Listed {
        path: "/packReceipt/versions",
        document: "{ packReceipt(source: \"default\", cluster: \"ccs-dev\", name: \"cert-manager-helm-ccs-dev\") { versions(PAGE) { PARTS } } }",
    },
];

const PARTS: &str =
    "totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor } nodes { __typename }";

async fn page(api: &Api, list: &Listed, arguments: &str) -> Value {
    let document = list.document.replace("PAGE", arguments).replace("PARTS", PARTS);
    api.ask(&document).await.pointer(list.path).unwrap().clone()
}

fn cursors(page: &Value) -> Vec<String> {
    page["edges"].as_array().unwrap().iter().map(|edge| edge["cursor"].as_str().unwrap().to_owned()).collect()
}

async fn prepared(store: &packtrail::storage::Store, tenant: &str) -> Api {
    let api = Api::with_samples(store, tenant).await;
    with_results(&api, tenant, 8).await;
    let unread = json!({"kind": "Odd"});
    let other = json!({"kind": "Odder"});
    feed_values(&api.writer, tenant, "second", &[unread, other]).await;
    api
}

#[tokio::test]
async fn pages_concatenate_to_the_whole_list_both_ways() {
    for_each_database(async |store, tenant| {
        let api = prepared(&store, tenant).await;
        for list in &LISTS {
            let whole = page(&api, list, "first: 100").await;
            let all = cursors(&whole);
            assert!(all.len() > 1, "{}: {whole}", list.document);
            assert_eq!(whole["totalCount"], all.len(), "{}", list.document);
            assert_eq!(whole["pageInfo"]["hasNextPage"], false);
            for size in [1, 2, 3] {
                let mut forward = Vec::new();
                let mut arguments = format!("first: {size}");
                loop {
                    let found = page(&api, list, &arguments).await;
                    assert_eq!(found["pageInfo"]["hasPreviousPage"], !forward.is_empty());
                    forward.extend(cursors(&found));
                    if found["pageInfo"]["hasNextPage"] == false {
                        break;
                    }
                    arguments = format!("first: {size}, after: {}", found["pageInfo"]["endCursor"]);
                }
                assert_eq!(forward, all, "{} forward by {size}", list.document);
                let mut backward: Vec<String> = Vec::new();
                let mut arguments = format!("last: {size}");
                loop {
                    let found = page(&api, list, &arguments).await;
                    assert_eq!(found["pageInfo"]["hasNextPage"], !backward.is_empty());
                    backward.splice(0..0, cursors(&found));
                    if found["pageInfo"]["hasPreviousPage"] == false {
                        break;
                    }
                    arguments = format!("last: {size}, before: {}", found["pageInfo"]["startCursor"]);
                }
                assert_eq!(backward, all, "{} backward by {size}", list.document);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_alone() {
    for_each_database(async |store, tenant| {
        let api = prepared(&store, tenant).await;
        let other = prepared(&store, "other").await;
        let mut owned = Vec::new();
        for list in &LISTS {
            owned.push(page(&api, list, "first: 1").await["pageInfo"]["endCursor"].clone());
        }
        for (i, list) in LISTS.iter().enumerate() {
            for (j, cursor) in owned.iter().enumerate() {
                let arguments = format!("first: 1, after: {cursor}");
                let document = list.document.replace("PAGE", &arguments).replace("PARTS", PARTS);
                if i == j {
                    api.ask(&document).await;
                    assert_eq!(other.code(&document).await, "BAD_USER_INPUT", "of another tenant: {document}");
                } else {
                    assert_eq!(api.code(&document).await, "BAD_USER_INPUT", "{document}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn arguments_that_make_no_page_are_refused() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        for arguments in [
            "first: 1, last: 1",
            "first: 101",
            "last: 101",
            "first: -1",
            "after: \"x\"",
            "before: \"\"",
            "first: 1, before: \"x\"",
            "after: \"e30\"",
        ] {
            let document = format!("{{ operationResults({arguments}) {{ totalCount }} }}");
            assert_eq!(api.code(&document).await, "BAD_USER_INPUT", "{arguments}");
        }
        let none = api.ask("{ operationResults(first: 0) { nodes { id } pageInfo { hasNextPage } } }").await;
        assert_eq!(none["operationResults"], json!({"nodes": [], "pageInfo": {"hasNextPage": true}}));
    })
    .await;
}

#[tokio::test]
async fn pages_below_the_elements_of_a_list_are_those_of_the_elements_alone() {
    for_each_database(async |store, tenant| {
        let api = prepared(&store, tenant).await;
        let parts = "nodes { number from } pageInfo { hasNextPage hasPreviousPage endCursor } totalCount";
        let chain = "nodes { name revision } pageInfo { hasNextPage hasPreviousPage endCursor } totalCount";
        for arguments in ["first: 1", "first: 2", "last: 1"] {
            let together = api
                .ask(&format!("{{ operationResults(first: 50) {{ nodes {{ id versions({arguments}) {{ {parts} }} }} }} }}"))
                .await;
            for record in together["operationResults"]["nodes"].as_array().unwrap() {
                let alone = format!(
                    "query ($id: ID!) {{ node(id: $id) {{ ... on Record {{ id versions({arguments}) {{ {parts} }} }} }} }}"
                );
                assert_eq!(api.ask_with(&alone, json!({"id": record["id"]})).await["node"], *record);
            }
            let together = api
                .ask(&format!(
                    "{{ operationSequences {{ nodes {{ epochs {{ nodes {{ id revisions({arguments}) {{ {chain} }} }} }} }} }} }}"
                ))
                .await;
            for sequence in together["operationSequences"]["nodes"].as_array().unwrap() {
                for epoch in sequence["epochs"]["nodes"].as_array().unwrap() {
                    let alone = format!(
                        "query ($id: ID!) {{ node(id: $id) {{ ... on RevisionChain {{ id revisions({arguments}) {{ {chain} }} }} }} }}"
                    );
                    assert_eq!(api.ask_with(&alone, json!({"id": epoch["id"]})).await["node"], *epoch);
                }
            }
        }
    })
    .await;
}
