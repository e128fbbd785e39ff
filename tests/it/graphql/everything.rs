//! Everything at once: one document, made of the schema itself, that selects every field of every type
//! below the root fields of queries. Fields that are added to the schema join by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use packtrail::graphql::schema;
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::for_each_database;

/// How many things with an id deep every field is selected; one step below, leaves only. What has no id
/// is a part of the thing that it belongs to.
const DEPTH: usize = 1;
/// The page size of every list: more would show the same again.
const PAGE: usize = 2;

/// Values for required arguments, by field and argument, else by argument: what the samples have. Those
/// that begin with `$` are variables.
const VALUES: &[(&str, &str)] = &[
    ("namespace", "\"seam-tenant-ccs-dev\""),
    ("cluster", "\"ccs-dev\""),
    ("basePack", "\"cert-manager-helm\""),
    ("packExecution", "\"nginx-ccs-dev-ccs-dev\""),
    ("id", "$result"),
    ("ids", "[$result, $pack]"),
    ("record", "$rewritten"),
    ("kind", "\"PackInstance\""),
    ("text", "\"cert-manager\""),
    ("operationStats.groupBy", "[CLUSTER, PACK, STATUS, DAY]"),
    ("clusterPack.name", "\"cert-manager-helm-v1.14.4-r1\""),
    ("packExecution.name", "\"cert-manager-helm-v1.14.0-r1-ccs-dev\""),
    ("operationResult.name", "\"pack-deploy-result-cert-manager-helm-v1.14.0-r1-ccs-dev-r2\""),
    ("packReceipt.name", "\"cert-manager-helm-ccs-dev\""),
    ("packInstance.name", "\"cert-manager-helm-ccs-dev\""),
    ("driftSignal.name", "\"drift-cert-manager-helm-ccs-dev\""),
    ("lineageIndex.name", "\"infrastructurepackexecution-cert-manager-helm-v1.14.0-r1-ccs-dev\""),
    ("record.kind", "\"PackReceipt\""),
    ("record.name", "\"cert-manager-helm-ccs-dev\", cluster: \"ccs-dev\", namespace: \"ont-system\""),
    ("cluster.name", "\"ccs-dev\""),
    ("packFamily.name", "\"cert-manager-helm\""),
    ("revisionDiff.from", "$result"),
    ("revisionDiff.to", "$other"),
    ("lineage.node", "$result, limit: 6"),
    ("lineagePaths.from", "$pack"),
    ("lineagePaths.to", "$result, maxDepth: 4, limit: 2"),
    ("impact.", "node: $pack, limit: 2"),
    ("history.node", "$rewritten"),
    ("delta.from", "\"2026-05-04T08:00:00Z\", cluster: \"ccs-dev\""),
    ("delta.to", "\"2026-05-09T08:00:00Z\""),
    ("asOf.point", "{seq: 3}"),
    ("run.runId", "\"train\""),
    ("taskPackObjectives.pack", "\"release-train\""),
    ("taskPackObjectives.version", "\"1.2.0\""),
    ("step.stepId", "\"approval\""),
    ("Run.steps.", "first: 4"),
    (
        "simulateTaskPack.input",
        "{manifest: \"apiVersion: stellaops.io/pack.v1\\nkind: TaskPack\\nmetadata: {name: a, version: 1.0.0}\\nspec: {steps: [{id: one, run: {uses: x}}]}\"}",
    ),
    ("resourceOwners.apiVersion", "\"apps/v1\", namespace: \"cert-manager\""),
    ("resourceOwners.kind", "\"Deployment\""),
    ("resourceOwners.name", "\"cert-manager\""),
    ("versionDiff.from", "1"),
    ("versionDiff.to", "2"),
];

/// The things whose ids the document asks with.
const IDS: &str = "{
    result: operationResult(namespace: \"seam-tenant-ccs-dev\",
        name: \"pack-deploy-result-cert-manager-helm-v1.14.0-r1-ccs-dev-r1\") { id }
    other: operationResult(namespace: \"seam-tenant-ccs-dev\",
        name: \"pack-deploy-result-cert-manager-helm-v1.14.4-r1-ccs-dev-r2\") { id }
    rewritten: operationResult(namespace: \"seam-tenant-ccs-dev\",
        name: \"pack-deploy-result-cert-manager-helm-v1.14.0-r1-ccs-dev-r2\") { id }
    pack: clusterPack(namespace: \"seam-tenant-ccs-dev\", name: \"cert-manager-helm-v1.14.4-r1\") { id }
}";

/// The types of the schema by name.
struct Schema {
    types: BTreeMap<String, Value>,
    query: String,
}

impl Schema {
    async fn read() -> Self {
        let answer =
            serde_json::to_value(schema().execute(include_str!("../http/introspection.graphql")).await).unwrap();
        let schema = &answer["data"]["__schema"];
        let types = schema["types"].as_array().unwrap().iter();
        Self {
            types: types.map(|one| (text(&one["name"]).to_owned(), one.clone())).collect(),
            query: text(&schema["queryType"]["name"]).to_owned(),
        }
    }

    fn fields(&self, name: &str) -> &[Value] {
        self.types[name]["fields"].as_array().map_or(&[], Vec::as_slice)
    }

    fn members(&self, name: &str) -> impl Iterator<Item = &str> {
        self.types[name]["possibleTypes"].as_array().into_iter().flatten().map(|member| text(&member["name"]))
    }

    fn has_parts(&self, name: &str) -> bool {
        matches!(text(&self.types[name]["kind"]), "OBJECT" | "INTERFACE" | "UNION")
    }

    fn has_id(&self, name: &str) -> bool {
        self.fields(name).iter().any(|field| field["name"] == "id")
    }

    /// Every field of every type that queries can reach.
    fn reachable(&self) -> BTreeSet<(String, String)> {
        let mut fields = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut pending = vec![self.query.clone()];
        while let Some(name) = pending.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            pending.extend(self.members(&name).map(ToOwned::to_owned));
            for field in self.fields(&name) {
                fields.insert((name.clone(), text(&field["name"]).to_owned()));
                let inner = named(&field["type"]);
                if self.has_parts(inner) {
                    pending.push(inner.to_owned());
                }
            }
        }
        fields
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The type inside of lists and non-nulls.
fn named(kind: &Value) -> &str {
    if kind["ofType"].is_null() { text(&kind["name"]) } else { named(&kind["ofType"]) }
}

/// The document: one named fragment for each type and the depth that is left at it, so that its text
/// grows with the schema and not with the paths through it.
struct Document<'s> {
    schema: &'s Schema,
    fragments: BTreeMap<String, String>,
    pending: Vec<(String, usize)>,
    selected: BTreeSet<(String, String)>,
}

impl<'s> Document<'s> {
    fn of(schema: &'s Schema) -> (String, BTreeSet<(String, String)>) {
        let mut document = Self { schema, fragments: BTreeMap::new(), pending: Vec::new(), selected: BTreeSet::new() };
        let mut query = "query Everything($result: ID!, $other: ID!, $rewritten: ID!, $pack: ID!) {\n".to_owned();
        for field in schema.fields(&schema.query) {
            let parts = document.field(&schema.query, field, DEPTH + 1);
            writeln!(query, "  {parts}").unwrap();
        }
        query.push_str("}\n");
        while let Some((name, depth)) = document.pending.pop() {
            document.fragment(&name, depth);
        }
        for fragment in document.fragments.values() {
            query.push_str(fragment);
        }
        (query, document.selected)
    }

    /// Asks for a type's fragment.
    fn spread(&mut self, name: &str, depth: usize) -> String {
        let fragment = format!("{name}_{depth}");
        if !self.fragments.contains_key(&fragment) {
            self.pending.push((name.to_owned(), depth));
        }
        format!("...{fragment}")
    }

    fn fragment(&mut self, name: &str, depth: usize) {
        let key = format!("{name}_{depth}");
        if self.fragments.contains_key(&key) {
            return;
        }
        self.fragments.insert(key.clone(), String::new());
        let mut parts = vec!["__typename".to_owned()];
        for field in self.schema.fields(name) {
            let inner = named(&field["type"]);
            // At the end only leaves, and none that are large.
            if depth > 0 || is_edge(name) || !(self.schema.has_parts(inner) || inner == "JSON") {
                parts.push(self.field(name, field, depth));
            }
        }
        let members: Vec<String> = self.schema.members(name).map(ToOwned::to_owned).collect();
        parts.extend(members.iter().map(|member| self.spread(member, depth)));
        self.fragments.insert(key.clone(), format!("fragment {key} on {name} {{ {} }}\n", parts.join(" ")));
    }

    fn field(&mut self, owner: &str, field: &Value, depth: usize) -> String {
        let name = text(&field["name"]);
        self.selected.insert((owner.to_owned(), name.to_owned()));
        let arguments = arguments(name, &field["args"]);
        let inner = named(&field["type"]);
        if !self.schema.has_parts(inner) {
            return format!("{name}{arguments}");
        }
        if inner == self.schema.query {
            return format!("{name}{arguments} {{ __typename }}");
        }
        // Steps are in steps without end, too.
        let is_level = self.schema.has_id(inner) || (owner == "RunStep" && inner.starts_with("RunStep"));
        let depth = match (is_edge(owner), is_level) {
            // The edges of a list would show again what its nodes show.
            (true, true) => 0,
            (false, true) => depth - 1,
            (_, false) => depth,
        };
        format!("{name}{arguments} {{ {} }}", self.spread(inner, depth))
    }
}

fn is_edge(name: &str) -> bool {
    name.ends_with("Edge") && !["LineageEdge", "DeltaEdge"].contains(&name)
}

/// The arguments that a field needs, and the page size of a list.
fn arguments(field: &str, arguments: &Value) -> String {
    let mut given = Vec::new();
    for argument in arguments.as_array().unwrap() {
        let name = text(&argument["name"]);
        if name == "first" {
            given.push(format!("first: {PAGE}"));
        } else if argument["type"]["kind"] == "NON_NULL" && argument["defaultValue"].is_null() {
            let full = format!("{field}.{name}");
            let find = |key: &str| VALUES.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
            let value = find(&full).or_else(|| find(name));
            let value = value.unwrap_or_else(|| panic!("add a value for `{full}` to the table of this test"));
            given.push(format!("{name}: {value}"));
        }
    }
    // What a field needs although none of its arguments is required by itself.
    given.extend(VALUES.iter().filter(|(key, _)| *key == format!("{field}.")).map(|(_, value)| (*value).to_owned()));
    if given.is_empty() { String::new() } else { format!("({})", given.join(", ")) }
}

#[tokio::test]
async fn every_field_answers_as_reviewed_on_both_databases() {
    let schema = Schema::read().await;
    let (document, selected) = Document::of(&schema);
    let missed: Vec<_> = schema.reachable().difference(&selected).cloned().collect();
    assert!(missed.is_empty(), "not selected, so not tested: {missed:#?}");
    let answers = std::sync::Mutex::new(Vec::new());
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        crate::runs::fixture::train(&api).await;
        let ids = api.ask(IDS).await;
        let id = |name: &str| ids[name]["id"].clone();
        let variables =
            json!({"result": id("result"), "other": id("other"), "rewritten": id("rewritten"), "pack": id("pack")});
        let response = api.execute(&document, variables).await;
        assert!(response.get("errors").is_none(), "{:#}", response["errors"]);
        answers.lock().unwrap().push(serde_json::to_string_pretty(&response["data"]).unwrap());
    })
    .await;
    let answers = answers.into_inner().unwrap();
    for other in &answers[1..] {
        let differing = answers[0].lines().zip(other.lines()).enumerate().find(|(_, (a, b))| a != b);
        assert!(differing.is_none(), "the databases differ, first in line {differing:?}");
        assert!(answers[0] == *other, "the databases differ in length");
    }
    insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => "snapshots"}, {
        insta::assert_snapshot!("everything", answers[0]);
    });
}
