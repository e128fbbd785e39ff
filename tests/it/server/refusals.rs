//! Requests that are refused before their items are read, and items that their sender may not send.

use packtrail::auth::hash_token;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::load::record;
use crate::support::db::{Database, number};
use crate::support::ingest::state;
use crate::support::server::{Answer, Server, file, lines};

const NDJSON: &str = "application/x-ndjson";

fn token(name: &str) -> String {
    format!("{name}-0123456789abcdef0123456789abcdef")
}

/// A server with tokens: `anyone` sends everything, `viewer` only reads, `bound` is bound, `both` has two tenants.
fn guarded(database: &str) -> (Server, tempfile::TempDir) {
    let entry = |name: &str, rest: &str| {
        let hash = hash_token(&token(name)).unwrap().to_hex();
        format!("[[auth.tokens]]\nname = '{name}'\nhash = '{hash}'\n{rest}\n")
    };
    let config = [
        entry("anyone", "scopes = ['lineage.ingest']"),
        entry("viewer", "scopes = ['taskrunner.viewer']"),
        entry("admin", "scopes = ['taskrunner.admin']"),
        entry(
            "bound",
            "scopes = ['lineage.ingest']\nsources = ['mgmt']\nnamespaces = ['seam-tenant']\nkinds = ['PackOperationResult']",
        ),
        entry("both", "scopes = ['lineage.ingest']\ntenants = ['a', 'b']"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "packtrail.toml", config.concat());
    (Server::start_configured(database, &path), folder)
}

fn post(server: &Server, name: &str, parameters: &str, items: &[Value]) -> RequestBuilder {
    server.ingest(parameters).header("content-type", NDJSON).bearer_auth(token(name)).body(lines(items))
}

#[tokio::test]
async fn only_known_callers_with_the_scope_send_records() {
    let url = Database::all().remove(0).url().await;
    let (mut server, _config) = guarded(&url);
    let items = [record("a", 0)];
    let anonymous = Answer::to(server.ingest("").header("content-type", NDJSON).body(lines(&items))).await;
    assert_eq!(anonymous.refusal(), (401, "unauthenticated"));
    assert!(anonymous.last["error"]["traceId"].as_str().is_some_and(|id| id.len() == 32), "{}", anonymous.text);
    for header in ["Bearer ", "Bearer unknown-0123456789abcdef0123456789abcdef", "Basic YTpi", &token("anyone"), "ä"] {
        let request = server.ingest("").header("content-type", NDJSON);
        let request = request.header("authorization", header.as_bytes()).body(lines(&items));
        assert_eq!(Answer::to(request).await.refusal(), (401, "unauthenticated"), "{header}");
    }
    for reader in ["viewer", "admin"] {
        let answer = Answer::to(post(&server, reader, "", &items)).await;
        assert_eq!(answer.refusal(), (403, "forbidden"), "{reader}");
    }
    assert_eq!(Answer::to(post(&server, "anyone", "", &items)).await.outcomes(), ["CREATED"]);
    assert_eq!(number(&url, "SELECT count(*) FROM object").await, 1);
    assert!(server.is_alive().await, "health needs no token");
}

#[tokio::test]
async fn a_refused_caller_with_a_large_body_reads_why() {
    let (server, _config) = guarded(&Database::all().remove(0).url().await);
    let large = "x".repeat(32 * 1024 * 1024);
    let anonymous = server.ingest("").header("content-type", NDJSON).body(large.clone());
    assert_eq!(Answer::to(anonymous).await.refusal(), (401, "unauthenticated"));
    let untyped = server.ingest("").header("content-type", "text/html").bearer_auth(token("anyone")).body(large);
    assert_eq!(Answer::to(untyped).await.refusal(), (415, "unsupported_media_type"));
}

#[tokio::test]
async fn a_token_sends_only_the_sources_namespaces_and_kinds_it_is_bound_to() {
    for database in Database::all() {
        let url = database.url().await;
        let (server, _config) = guarded(&url);
        let mut foreign = record("a", 3);
        foreign["object"]["metadata"]["namespace"] = json!("another");
        let items = [record("a", 3), foreign, record("a", 0), record("a", 4)];
        let answer = Answer::to(post(&server, "bound", "&source=mgmt", &items)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.outcomes(), ["CREATED", "REJECTED", "REJECTED", "CREATED"], "{}", answer.text);
        for n in [1, 2] {
            assert_eq!(answer.results[n]["error"]["code"], "FORBIDDEN");
            assert_eq!(answer.results[n]["error"]["line"], n + 1);
        }
        for parameters in ["", "&source=other"] {
            let answer = Answer::to(post(&server, "bound", parameters, &items)).await;
            assert_eq!(answer.refusal(), (403, "forbidden"), "{parameters}");
        }
        // A deletion of a foreign record is no record of one's own either.
        let mut deletion = record("a", 1);
        deletion["type"] = json!("DELETED");
        let answer = Answer::to(post(&server, "bound", "&source=mgmt", &[deletion])).await;
        assert_eq!(answer.outcomes(), ["REJECTED"]);
    }
}

#[tokio::test]
async fn a_token_closes_only_what_it_is_bound_to() {
    for database in Database::all() {
        let url = database.url().await;
        let (server, _config) = guarded(&url);
        let stored = Answer::to(post(&server, "anyone", "&source=mgmt", &[record("a", 0), record("a", 3)])).await;
        assert_eq!(stored.outcomes(), ["CREATED", "CREATED"]);
        let at = "&source=mgmt&snapshot=2027-05-05T00:00:00Z";
        for scope in [
            "&kinds=PackExecution&namespaces=seam-tenant",
            "&kinds=PackOperationResult,PackExecution&namespaces=seam-tenant",
            "&kinds=PackOperationResult",
            "&kinds=PackOperationResult&namespaces=seam-tenant,another",
        ] {
            let answer = Answer::to(post(&server, "bound", &format!("{at}{scope}"), &[])).await;
            assert_eq!(answer.refusal(), (403, "forbidden"), "{scope}");
        }
        let own = format!("{at}&kinds=PackOperationResult&namespaces=seam-tenant");
        let refused = Answer::to(post(&server, "bound", &own, &[record("a", 0)])).await;
        assert_eq!(refused.last["summary"]["closedBySnapshot"], 0, "a listing with foreign items is not complete");
        let answer = Answer::to(post(&server, "bound", &own, &[])).await;
        assert_eq!(answer.last["summary"]["closedBySnapshot"], 1, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_listing_with_an_item_in_quarantine_closes_nothing() {
    for database in Database::all() {
        let server = Server::start(&database.url().await);
        server.send(&[record("a", 3), record("a", 4)]).await;
        let listing = "&snapshot=2027-05-05T00:00:00Z&kinds=PackOperationResult";
        let with_a_bad_item = lines(&[record("a", 3)]) + "{\"a\":1,\"a\":2}\n";
        for _ in ["quarantined", "known to be there"] {
            let request = server.ingest(listing).header("content-type", NDJSON).body(with_a_bad_item.clone());
            let answer = Answer::to(request).await;
            assert_eq!(answer.results[1]["error"]["code"], "DUPLICATE_KEY");
            assert_eq!(answer.last["summary"]["closedBySnapshot"], 0, "{}", answer.text);
        }
        let request = server.ingest(listing).header("content-type", NDJSON).body(lines(&[record("a", 3)]));
        assert_eq!(Answer::to(request).await.last["summary"]["closedBySnapshot"], 1);
    }
}

#[tokio::test]
async fn the_header_chooses_among_a_tokens_tenants() {
    for database in Database::all() {
        let url = database.url().await;
        let (server, _config) = guarded(&url);
        let items = [record("a", 0)];
        let ask = |name: &str, tenant: Option<&str>| {
            let request = post(&server, name, "", &items);
            Answer::to(match tenant {
                Some(tenant) => request.header("x-stellaops-tenant", tenant),
                None => request,
            })
        };
        assert_eq!(ask("both", None).await.refusal(), (400, "tenant_required"));
        for foreign in ["c", "", "A", "a b"] {
            assert_eq!(ask("both", Some(foreign)).await.refusal(), (403, "tenant_forbidden"), "{foreign}");
        }
        assert_eq!(ask("anyone", Some("a")).await.refusal(), (403, "tenant_forbidden"));
        for (name, tenant) in [("both", Some("a")), ("both", Some("b")), ("anyone", None), ("anyone", Some("default"))]
        {
            let expected = if tenant == Some("default") { "DUPLICATE" } else { "CREATED" };
            assert_eq!(ask(name, tenant).await.outcomes(), [expected], "{name} in {tenant:?}");
        }
        let store = database.open().await;
        for tenant in ["a", "b", "default"] {
            assert_eq!(state(&store, tenant).await["default"]["objects"].as_object().unwrap().len(), 1, "{tenant}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn without_authentication_any_well_formed_tenant_may_be_named() {
    let database = Database::all().remove(0);
    let server = Server::start(&database.url().await);
    let ask = |tenant: &'static str| {
        let request = server.ingest("").header("content-type", NDJSON).header("x-stellaops-tenant", tenant);
        Answer::to(request.body(lines(&[record("a", 0)])))
    };
    assert_eq!(ask("team").await.outcomes(), ["CREATED"]);
    assert_eq!(ask("other").await.outcomes(), ["CREATED"]);
    assert_eq!(ask("no/tenant").await.refusal(), (403, "tenant_forbidden"));
}

#[tokio::test]
async fn requests_that_are_not_understood_are_refused_as_a_whole() {
    let url = Database::all().remove(0).url().await;
    let mut server = Server::start(&url);
    let body = lines(&[record("a", 0)]);
    for media in ["text/html", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"] {
        let request = server.ingest("").header("content-type", media).body(body.clone());
        assert_eq!(Answer::to(request).await.refusal(), (415, "unsupported_media_type"), "{media}");
    }
    for encoding in ["br", "deflate", "gzip, gzip", "x"] {
        let request = server.ingest("").header("content-type", NDJSON).header("content-encoding", encoding);
        let answer = Answer::to(request.body(body.clone())).await;
        assert_eq!(answer.refusal(), (415, "unsupported_media_type"), "{encoding}");
    }
    for parameters in [
        "&mode=loose",
        "&results=none",
        "&source=",
        "&source=a/b",
        "&snapshot=noon&kinds=X",
        "&snapshot=2027-05-05T00:00:00Z",
        "&kinds=X",
        "&namespaces=x",
        "&unknown=1",
    ] {
        let request = server.ingest(parameters).header("content-type", NDJSON).body(body.clone());
        assert_eq!(Answer::to(request).await.refusal(), (400, "bad_user_input"), "{parameters}");
    }
    assert_eq!(server.get("/v1/ingest").await.status(), 405);
    assert_eq!(number(&url, "SELECT count(*) FROM object").await, 0);
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn large_headers_are_refused_and_large_enough_ones_are_not() {
    let mut server = Server::start(&Database::all().remove(0).url().await);
    let ask = |size: usize| {
        let request = server.ingest("").header("content-type", NDJSON).header("x-padding", "x".repeat(size));
        Answer::to(request.body(lines(&[record("a", 0)])))
    };
    assert_eq!(ask(8 * 1024).await.status, 200);
    assert_eq!(ask(17 * 1024).await.refusal(), (431, "payload_too_large"));
    assert!(server.is_alive().await);
}

#[tokio::test]
async fn a_page_has_as_many_elements_as_configured_and_no_more() {
    let url = Database::all().remove(0).url().await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "packtrail.toml", "dev_insecure = true\n[limits]\npage_size = 2\n");
    let server = Server::start_configured(&url, &path);
    let items: Vec<Value> = (0..3).map(|i| json!({"kind": "PackOperationResult", "apiVersion": "infrastructure.ontai.dev/v1alpha1", "metadata": {"name": format!("r{i}"), "namespace": "ns"}})).collect();
    server.send(&items).await;
    for (arguments, expected) in [("first: 2", Some(2)), ("last: 2", Some(2)), ("first: 3", None), ("last: 3", None)] {
        let query = format!("{{operationResults({arguments}){{nodes{{name}}}}}}");
        let path = format!("/graphql?{}", serde_urlencoded::to_string([("query", &query)]).unwrap());
        let answer: Value = server.get(&path).await.json().await.unwrap();
        let found = answer["data"]["operationResults"]["nodes"].as_array().map(Vec::len);
        assert_eq!(found, expected, "{arguments}: {answer}");
    }
    let default: Value = server.get("/graphql?query={operationResults{nodes{name}}}").await.json().await.unwrap();
    assert_eq!(default["data"]["operationResults"]["nodes"].as_array().unwrap().len(), 2, "{default}");
}
