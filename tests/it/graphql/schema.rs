//! The schema itself.

use futures_util::StreamExt as _;
use packtrail::graphql::{schema, sdl};
use serde_json::{Value, json};

use crate::support::api::{Api, principal};
use crate::support::db::for_each_database;

const COMMITTED: &str = include_str!("../../../schema.graphql");

#[test]
fn the_committed_schema_is_the_schema() {
    assert!(
        sdl() == COMMITTED,
        "schema.graphql is not the schema any more; if the change is meant, print it anew: \
         cargo run -- schema > schema.graphql"
    );
}

async fn introspect() -> Value {
    let query = include_str!("../http/introspection.graphql");
    let response = serde_json::to_value(schema().execute(query).await).unwrap();
    assert!(response.get("errors").is_none(), "{response:#}");
    response["data"]["__schema"].clone()
}

fn own_types(schema: &Value) -> impl Iterator<Item = &Value> {
    let types = schema["types"].as_array().unwrap().iter();
    let builtin = ["String", "Int", "Float", "Boolean", "ID"];
    types.filter(move |t| {
        let name = t["name"].as_str().unwrap();
        !name.starts_with("__") && !builtin.contains(&name)
    })
}

#[tokio::test]
async fn every_type_field_argument_and_value_has_a_description() {
    let schema = introspect().await;
    let mut bare = Vec::new();
    let mut look = |path: String, thing: &Value| {
        if thing["description"].as_str().is_none_or(str::is_empty) {
            bare.push(path);
        }
    };
    for own in own_types(&schema) {
        let name = own["name"].as_str().unwrap();
        look(name.to_owned(), own);
        for part in ["fields", "inputFields", "enumValues"] {
            for member in own[part].as_array().into_iter().flatten() {
                let path = format!("{name}.{}", member["name"].as_str().unwrap());
                look(path.clone(), member);
                for argument in member["args"].as_array().into_iter().flatten() {
                    look(format!("{path}({})", argument["name"].as_str().unwrap()), argument);
                }
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
fn every_own_scalar_says_where_it_is_specified() {
    for scalar in ["DateTime", "Int53", "JSON", "Digest"] {
        let line = COMMITTED.lines().find(|line| line.starts_with(&format!("scalar {scalar} "))).unwrap();
        assert!(line.contains("@specifiedBy(url: \"https://"), "{line}");
    }
}

/// A value for a required argument; which one does not matter, as the guard comes first.
fn literal(schema: &Value, kind: &Value) -> String {
    match kind["kind"].as_str().unwrap() {
        "NON_NULL" => literal(schema, &kind["ofType"]),
        "LIST" => "[]".to_owned(),
        "ENUM" => {
            let found = own_types(schema).find(|t| t["name"] == kind["name"]).unwrap();
            found["enumValues"][0]["name"].as_str().unwrap().to_owned()
        }
        "INPUT_OBJECT" => {
            let found = own_types(schema).find(|t| t["name"] == kind["name"]).unwrap();
            let required = literals(schema, &found["inputFields"]);
            // Of one whose members exclude each other, the first.
            let first = &found["inputFields"][0];
            let first = || format!("{}: {}", first["name"].as_str().unwrap(), literal(schema, &first["type"]));
            format!("{{{}}}", if required.is_empty() { first() } else { required })
        }
        _ => match kind["name"].as_str().unwrap() {
            "Int" | "Int53" | "Float" => "1".to_owned(),
            "Boolean" => "true".to_owned(),
            "Digest" => format!("\"sha256:{}\"", "0".repeat(64)),
            "DateTime" => "\"2026-01-01T00:00:00Z\"".to_owned(),
            _ => "\"x\"".to_owned(),
        },
    }
}

fn literals(schema: &Value, arguments: &Value) -> String {
    let required = arguments.as_array().unwrap().iter();
    let required = required.filter(|a| a["type"]["kind"] == "NON_NULL" && a["defaultValue"].is_null());
    let given = required.map(|a| format!("{}: {}", a["name"].as_str().unwrap(), literal(schema, &a["type"])));
    given.collect::<Vec<_>>().join(", ")
}

/// Every root field with a kind of operation, as a whole document.
fn root_fields(schema: &Value) -> Vec<(String, String)> {
    let mut documents = Vec::new();
    for (operation, root) in
        [("query", "queryType"), ("mutation", "mutationType"), ("subscription", "subscriptionType")]
    {
        let Some(root) = own_types(schema).find(|t| t["name"] == schema[root]["name"]) else { continue };
        for field in root["fields"].as_array().unwrap() {
            let name = field["name"].as_str().unwrap();
            let arguments = literals(schema, &field["args"]);
            let arguments = if arguments.is_empty() { arguments } else { format!("({arguments})") };
            documents.push((name.to_owned(), format!("{operation} {{ {name}{arguments} {{ __typename }} }}")));
        }
    }
    documents
}

#[tokio::test]
async fn no_root_field_answers_somebody_without_scopes() {
    let schema = introspect().await;
    let documents = root_fields(&schema);
    assert!(documents.len() > 15, "{documents:?}");
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant).for_principal(principal(tenant, &[]));
        for (name, document) in &documents {
            if name == "viewer" {
                assert_eq!(api.ask(document).await, json!({"viewer": {"__typename": "Viewer"}}));
            } else {
                assert_eq!(api.code(document).await, "FORBIDDEN", "{name}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_root_field_answers_a_request_of_nobody() {
    let schema_of_types = introspect().await;
    for (name, document) in root_fields(&schema_of_types) {
        let responses: Vec<_> = schema().execute_stream(document).collect().await;
        let response = serde_json::to_value(&responses[0]).unwrap();
        assert_eq!(response["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{name}");
    }
}

#[tokio::test]
async fn the_viewer_is_who_asks() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        let expected = json!({"viewer": {
            "principal": "tester", "tenant": tenant, "scopes": ["taskrunner.viewer", "lineage.ingest"],
        }});
        assert_eq!(api.ask("{ viewer { principal tenant scopes } }").await, expected);
    })
    .await;
}
