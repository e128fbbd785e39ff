//! Lists that are filled at once answer exactly what the stock executor answers.

use packtrail::graphql::connection::Listed;
use packtrail::graphql::types::chain::RevisionChain;
use packtrail::graphql::types::cluster_pack::ClusterPack;
use packtrail::graphql::types::finding::Finding;
use packtrail::graphql::types::operation_result::PackOperationResult;
use packtrail::graphql::types::pack_execution::PackExecution;
use packtrail::graphql::types::pack_receipt::PackReceipt;
use packtrail::graphql::types::quarantine::QuarantinedItem;
use packtrail::graphql::types::sequence::OperationSequence;
use packtrail::graphql::types::source::Source;
use packtrail::graphql::types::version::RecordVersion;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::{Database, TENANT, execute, for_each_database};

/// The variables of generated queries.
fn variables() -> Value {
    json!({"yes": true, "no": false})
}

/// Asks on all ways; the answer.
async fn same(api: &Api, query: &str) -> String {
    let stock = api.text(query, &variables(), true).await;
    let filled = api.text(query, &variables(), false).await;
    assert_eq!(filled, stock, "{query}");
    if let Some(written) = api.written(query, &variables()).await {
        assert_eq!(written, stock, "{query}");
    }
    stock
}

/// The plain fields of a type, by their names in the schema.
fn plain<T: Listed>() -> Vec<String> {
    T::PLAIN.iter().copied().flatten().map(|field| camel(field.name)).collect()
}

fn camel(method: &str) -> String {
    let mut words = method.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

#[tokio::test]
async fn every_plain_field_has_the_value_of_the_stock_executor() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let lists = [
            ("operationResults(first: 100) { LIST }", plain::<PackOperationResult>()),
            ("clusterPacks(first: 100) { LIST }", plain::<ClusterPack>()),
            ("packExecutions(first: 100) { LIST }", plain::<PackExecution>()),
            ("packReceipts(first: 100) { LIST }", plain::<PackReceipt>()),
            ("findings(first: 100) { LIST }", plain::<Finding>()),
            ("quarantine(first: 100) { LIST }", plain::<QuarantinedItem>()),
            ("sources(first: 100) { LIST }", plain::<Source>()),
            ("operationSequences(first: 100) { LIST }", plain::<OperationSequence>()),
            ("operationSequences(first: 100) { nodes { epochs { LIST } } }", plain::<RevisionChain>()),
            ("operationResults(first: 100) { nodes { versions { LIST } } }", plain::<RecordVersion>()),
        ];
        for (list, fields) in lists {
            assert!(!fields.is_empty(), "{list}");
            for field in fields {
                let both = format!("nodes {{ {field} }} edges {{ cursor node {{ {field} }} }}");
                let answer = same(&api, &format!("{{ {} }}", list.replace("LIST", &both))).await;
                assert!(!answer.contains("errors"), "{field}: {answer}");
                assert!(answer.contains(&format!("\"{field}\"")), "{list} has no element");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_reviewed_answer_is_the_same_on_both_ways() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        same(&api, include_str!("big.graphql")).await;
    })
    .await;
}

/// What else may be selected of a result: what waits, fails without bodies, or has members of its own.
const OTHER: [&str; 9] =
    ["phase", "kind", "raw", "labels", "previous", "findings", "deployedResources", "sequence", "head"];

/// The members that are selected of a field of [`OTHER`]: another set each time, so that they have to be merged.
fn members(field: &str, random: &mut ChaCha8Rng) -> String {
    let any = |random: &mut ChaCha8Rng, of: &[&str]| {
        let kept: Vec<&str> = of.iter().copied().filter(|_| random.random_bool(0.6)).collect();
        if kept.is_empty() { of[0].to_owned() } else { kept.join(" ") }
    };
    match field {
        "labels" => format!("{{ {} }}", any(random, &["key", "value"])),
        "previous" => {
            format!(
                "{{ {} }}",
                any(random, &["name", "uid", "record { __typename name }", "record { uid apiVersion }"])
            )
        }
        "findings" => {
            format!("{{ {} nodes {{ {} }} }}", any(random, &["totalCount"]), any(random, &["code", "severity"]))
        }
        "deployedResources" => format!("(first: 2) {{ nodes {{ {} }} }}", any(random, &["kind", "name"])),
        "sequence" => format!("{{ {} }}", any(random, &["id", "name", "newest { status }"])),
        _ => String::new(),
    }
}

/// Writes selection sets.
struct Writer {
    random: ChaCha8Rng,
    plain: Vec<String>,
    fragments: Vec<String>,
}

impl Writer {
    fn directive(&mut self) -> &'static str {
        let some = ["@include(if: $yes)", "@include(if: $no)", "@skip(if: $no)", "@skip(if: $yes)", "@skip(if: false)"];
        if self.random.random_bool(0.1) { some.choose(&mut self.random).unwrap() } else { "" }
    }

    fn field(&mut self) -> String {
        let directive = self.directive();
        if self.random.random_bool(0.1) {
            return format!("{}__typename {directive}", ["", "t: "].choose(&mut self.random).unwrap());
        }
        let mut field = self.plain.choose(&mut self.random).unwrap().clone();
        if self.random.random_bool(0.3) {
            field = (*OTHER.choose(&mut self.random).unwrap()).to_owned();
        }
        if field == "head" {
            let member = self.plain.choose(&mut self.random).unwrap();
            return format!("chain {directive} {{ head {{ {member} }} }}");
        }
        // One name in the answer is one field.
        let alias = if self.random.random_bool(0.05) { format!("x_{field}: ") } else { String::new() };
        let members = members(&field, &mut self.random);
        match members.strip_prefix("(first: 2)") {
            Some(set) => format!("{alias}{field}(first: 2) {directive} {set}"),
            None => format!("{alias}{field} {directive} {members}"),
        }
    }

    fn set(&mut self, depth: usize) -> String {
        let mut set = String::from("name ");
        for _ in 0..self.random.random_range(1..6) {
            let part = match self.random.random_range(0..8) {
                0 if depth > 0 => {
                    let inner = self.set(depth - 1);
                    format!("... {} {{ {inner} }}", self.directive())
                }
                1 if depth > 0 => {
                    let inner = self.set(depth - 1);
                    format!("... on PackOperationResult {} {{ {inner} }}", self.directive())
                }
                2 if depth > 0 => {
                    let fields = "id uid canonicalKind labels { key } x_name: name";
                    format!("... on Record {} {{ {fields} }}", self.directive())
                }
                3 if depth > 0 => {
                    "... on Node { id __typename ... on PackOperationResult { revision kind } }".to_owned()
                }
                4 if depth > 0 => {
                    let inner = self.set(depth - 1);
                    let name = format!("F{}", self.fragments.len());
                    self.fragments.push(format!("fragment {name} on PackOperationResult {{ {inner} }}"));
                    format!("...{name} {}", self.directive())
                }
                _ => self.field(),
            };
            set = set + &part + " ";
        }
        set
    }

    fn new(seed: u64) -> Self {
        let plain = plain::<PackOperationResult>();
        Self { random: ChaCha8Rng::seed_from_u64(seed), plain, fragments: Vec::new() }
    }

    /// A query that selects a list in all ways at once.
    fn query(seed: u64) -> String {
        let mut writer = Self::new(seed);
        let (nodes, edges, again) = (writer.set(3), writer.set(2), writer.set(1));
        let list = format!(
            "nodes {{ {nodes} }} edges {{ cursor node {{ {edges} }} ... {{ __typename node {{ {again} }} c: cursor }} }}
             nodes {{ {again} }} pageInfo {{ hasNextPage startCursor endCursor }}"
        );
        writer.finish(seed, &list)
    }

    /// A query that selects a list in one way.
    fn short_query(seed: u64) -> String {
        let mut writer = Self::new(seed);
        let set = writer.set(1);
        let list = if seed % 4 < 2 { format!("nodes {{ {set} }}") } else { format!("edges {{ node {{ {set} }} }}") };
        writer.finish(seed, &list)
    }

    fn finish(self, seed: u64, list: &str) -> String {
        let root = if seed.is_multiple_of(2) {
            format!("operationResults(first: 40) {{ {list} }}")
        } else {
            let chain = "revisionChain(namespace: \"seam-tenant-ccs-dev\", packExecution: \"nginx-ccs-dev-ccs-dev\")";
            format!("{chain} {{ revisions {{ {list} }} }}")
        };
        let fragments = self.fragments.join("\n");
        format!(
            "query ($yes: Boolean!, $no: Boolean!) {{
                {root}
                viewer @include(if: $yes) @skip(if: $no) {{ tenant }}
            }}
            {fragments}"
        )
    }
}

#[tokio::test]
async fn generated_queries_are_answered_the_same_on_both_ways() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let mut invalid = Vec::new();
        for seed in 0..60 {
            let query = Writer::query(seed);
            let answer = same(&api, &query).await;
            invalid.extend(answer.contains("errors").then_some(answer));
        }
        assert!(invalid.len() < 5, "{} queries were not valid: {invalid:#?}", invalid.len());
    })
    .await;
}

#[tokio::test]
async fn errors_and_their_paths_are_the_same_on_both_ways() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::with_samples(&store, TENANT).await;
        execute(&database.url().await, "DELETE FROM body").await;
        let mut failed = 0;
        for seed in 100..180 {
            let answer = same(&api, &Writer::short_query(seed)).await;
            failed += usize::from(answer.contains("INTERNAL"));
        }
        assert!(failed > 20, "only {failed} queries failed");
        for list in ["nodes { name phase }", "nodes { name kind }", "edges { node { uid raw phase } }"] {
            let answer = same(&api, &format!("{{ operationResults(first: 3) {{ {list} }} }}")).await;
            assert!(answer.contains("INTERNAL"), "{answer}");
        }
        // Where several lists fail, the executor reports the first to fail, which is a matter of time.
        for seed in 200..230 {
            let query = Writer::query(seed);
            let answer = async |is_stock| -> Value {
                serde_json::from_str(&api.text(&query, &variables(), is_stock).await).unwrap()
            };
            let (stock, filled) = (answer(true).await, answer(false).await);
            assert_eq!(filled["data"].to_string(), stock["data"].to_string(), "{query}");
            assert_eq!(filled.get("errors").is_some(), stock.get("errors").is_some(), "{query}");
        }
        store.close().await;
    }
}
