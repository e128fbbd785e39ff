//! The document of the surface: what it says is what the contract says, and what is served.

use packtrail::http::openapi::DOCUMENT;
use reqwest::Method;
use serde_json::{Value, json};

use super::contract::{assert_shape, contract};
use super::{Answer, Rest, for_each_server};
use crate::support::server::run;

fn kept() -> Value {
    serde_saphyr::from_str(DOCUMENT).unwrap()
}

/// The places of the contract that the document says otherwise.
const OTHERWISE: [&str; 3] = ["/servers", "/security", "/components/securitySchemes"];

/// Every place of the contract that the document lacks or has otherwise, words for people left out.
fn differences(contract: &Value, kept: &Value, at: &str, found: &mut Vec<String>) {
    if OTHERWISE.contains(&at) || at.ends_with("/description") || at.contains("/examples/") {
        return;
    }
    match (contract, kept) {
        (Value::Object(contract), Value::Object(kept)) => {
            for (key, value) in contract {
                differences(value, kept.get(key).unwrap_or(&Value::Null), &format!("{at}/{key}"), found);
            }
        }
        (Value::Array(contract), Value::Array(kept)) if contract.len() <= kept.len() => {
            for (n, (one, other)) in contract.iter().zip(kept).enumerate() {
                differences(one, other, &format!("{at}/{n}"), found);
            }
        }
        _ if contract == kept => {}
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn the_document_has_all_that_the_contract_has() {
    let mut found = Vec::new();
    differences(&contract(), &kept(), "", &mut found);
    assert!(found.is_empty(), "{found:#?}");
    let mut less = kept();
    less["components"]["schemas"]["RunLogEntry"]["properties"]["level"]["enum"] = json!(["debug"]);
    differences(&contract(), &less, "", &mut found);
    assert_eq!(found, ["/components/schemas/RunLogEntry/properties/level/enum"]);
}

#[test]
fn the_server_reads_its_document_as_others_do() {
    assert_eq!(*packtrail::http::openapi::value(), kept());
}

#[test]
fn the_command_prints_the_document() {
    let printed = run(&["openapi"], b"");
    assert!(printed.status.success());
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), DOCUMENT);
}

#[tokio::test]
async fn everybody_is_told_of_the_document() {
    for_each_server(async |rest: &Rest| {
        let ask = async |path: &str, header: (&str, &str)| {
            Answer::to(rest.client.get(format!("{}{path}", rest.url)).header(header.0, header.1)).await
        };
        let metadata = ask("/.well-known/openapi", ("accept", "*/*")).await;
        let (etag, signature) = (metadata.header("etag").to_owned(), metadata.header("x-signature").to_owned());
        let body = metadata.expect(200);
        assert_shape("OpenApiMetadata", &body);
        assert_eq!((&body["etag"], &body["signature"]), (&json!(etag), &json!(signature)));
        assert_eq!((&body["specUrl"], &body["version"]), (&json!("/openapi"), &json!("0.1.0-draft")));

        let document = ask("/openapi", ("accept", "*/*")).await;
        assert_eq!((document.header("content-type"), &*document.text), ("application/yaml", DOCUMENT));
        assert_eq!((document.header("etag"), document.header("x-signature")), (&*etag, &*signature));
        assert_eq!(signature, packtrail::domain::digest::Digest::of_bytes(DOCUMENT.as_bytes()).to_string());
        let as_json = ask("/openapi", ("accept", "application/json, */*")).await;
        assert_eq!((as_json.header("content-type"), &as_json.body), ("application/json", &kept()));
        assert_ne!(as_json.header("etag"), etag);
        assert_eq!(as_json.header("vary"), "accept");

        for path in ["/.well-known/openapi", "/openapi"] {
            for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
                let answer = ask(path, ("if-none-match", &known)).await;
                assert_eq!((answer.status, answer.header("etag"), &*answer.text), (304, &*etag, ""), "{path} {known}");
            }
            assert_eq!(ask(path, ("if-none-match", "\"x\"")).await.status, 200);
        }
    })
    .await;
}

#[tokio::test]
async fn every_operation_of_the_document_is_served() {
    for_each_server(async |rest: &Rest| {
        for (path, operations) in kept()["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                let method: Method = method.to_uppercase().parse().unwrap();
                let path = path.replace("{runId}", "x").replace("{approvalId}", "x");
                let answer = Answer::to(rest.request(method.clone(), &path, "both")).await;
                assert!(!["not_found", "method_not_allowed"].contains(&answer.refusal().1), "{method} {path}");
            }
        }
    })
    .await;
}
