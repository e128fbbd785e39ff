//! What HTTP clients of `/graphql` may rely on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use futures_util::stream;
use packtrail::http::graphql::{GraphqlLimits, GraphqlService, PrincipalKey, TraceId};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use super::toy::{self, Gate, Inside};

const GRAPHQL: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

struct Server {
    router: Router,
    inside: Inside,
    gate: Gate,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none")
    }

    fn is(&self, status: u16, code: &str) -> bool {
        self.status == status && self.code() == code && self.body.get("data").is_none()
    }
}

impl Server {
    fn new() -> Self {
        Self::with(GraphqlLimits::default())
    }

    fn with(limits: GraphqlLimits) -> Self {
        let (inside, gate) = (Inside::default(), Gate::default());
        let schema = toy::schema(inside.clone(), gate.clone(), false);
        let router = GraphqlService::new(schema, limits).routes();
        Self { router, inside, gate }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    async fn post(&self, body: &Value) -> Answer {
        self.send(post(body.to_string(), GRAPHQL)).await
    }

    async fn query(&self, query: &str) -> Answer {
        self.post(&json!({ "query": query })).await
    }

    async fn get(&self, query: &str) -> Answer {
        let uri = format!("/graphql?{query}");
        let request = Request::get(uri).header(header::ACCEPT, GRAPHQL);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    fn bumps(&self) -> usize {
        self.inside.bumps.load(Ordering::SeqCst)
    }
}

async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: serde_json::from_slice(&bytes).unwrap() }
}

fn post(body: impl Into<Body>, accept: &str) -> Request<Body> {
    Request::post("/graphql")
        .header(header::CONTENT_TYPE, JSON)
        .header(header::ACCEPT, accept)
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn a_query_is_answered_by_post_and_by_get() {
    let server = Server::new();
    let answer = server.query("{ hello }").await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({"data": {"hello": "world"}})));
    let answer = server.get("query=query%20q($v:Int)%7Becho(value:$v)%7D&variables=%7B%22v%22:3%7D").await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({"data": {"echo": 3}})));
}

#[tokio::test]
async fn mutations_run_by_json_post_alone() {
    let server = Server::new();
    let answer = server.get("query=mutation%7Bbump%7D").await;
    assert!(answer.is(405, "METHOD_NOT_ALLOWED"));
    assert_eq!(answer.headers[header::ALLOW], "POST");
    let named = "query=query%20a%7Bhello%7D%20mutation%20b%7Bbump%7D&operationName=b";
    assert_eq!(server.get(named).await.status, 405);

    let body = json!({"query": "mutation { bump }"}).to_string();
    let multipart = "multipart/form-data; boundary=x";
    let form = "application/x-www-form-urlencoded";
    let utf16 = "application/json; charset=utf-16";
    for kind in ["text/plain", multipart, form, utf16, "application/graphql", ""] {
        let request = Request::post("/graphql").header(header::CONTENT_TYPE, kind);
        let answer = server.send(request.body(Body::from(body.clone())).unwrap()).await;
        assert!(answer.is(415, "UNSUPPORTED_MEDIA_TYPE"), "{kind}");
    }
    assert_eq!(server.bumps(), 0);
    assert_eq!(server.query("mutation { bump }").await.body["data"]["bump"], 1);
}

#[tokio::test]
async fn subscriptions_are_refused_and_not_started() {
    let server = Server::new();
    assert!(server.query("subscription { ticks }").await.is(400, "BAD_USER_INPUT"));
    assert!(server.get("query=subscription%7Bticks%7D").await.is(400, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn other_methods_are_told_which_are_served() {
    let server = Server::new();
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let request = Request::builder().method(method).uri("/graphql");
        let answer = server.send(request.body(Body::empty()).unwrap()).await;
        assert!(answer.is(405, "METHOD_NOT_ALLOWED"));
        assert_eq!(answer.headers[header::ALLOW], "GET, HEAD, POST");
    }
}

#[tokio::test]
async fn batches_are_refused() {
    let server = Server::new();
    let answer = server.post(&json!([{"query": "mutation { bump }"}])).await;
    assert!(answer.is(400, "BATCH_DISABLED"));
    assert_eq!(server.bumps(), 0);
}

#[tokio::test]
async fn bodies_that_are_no_request_are_refused() {
    let server = Server::new();
    let bodies = [
        "",
        "null",
        "\"{ hello }\"",
        "{",
        "{\"query\": 1}",
        "{\"query\": null}",
        "{\"qeury\": \"{ hello }\"}",
        "{\"query\": \"{ hello }\", \"query\": \"{ n }\"}",
        "{\"query\": \"{ hello }\"} {}",
        "{\"query\": \"{ hello }\", \"variables\": []}",
        "{\"query\": \"{ hello }\", \"variables\": \"{}\"}",
        "{\"query\": \"{ hello }\", \"extensions\": 0}",
        "{\"query\": \"{ hello }\", \"operationName\": {}}",
    ];
    for body in bodies {
        let answer = server.send(post(body, JSON)).await;
        assert!(answer.is(400, "BAD_USER_INPUT"), "{body}");
    }
    for query in ["", "query=%7Bhello%7D&query=%7Bn%7D", "query=%7Bhello%7D&variables=x"] {
        assert!(server.get(query).await.is(400, "BAD_USER_INPUT"), "{query}");
    }
}

#[tokio::test]
async fn parameters_that_are_null_count_as_absent() {
    let answer = Server::new()
        .post(&json!({"query": "{ hello }", "variables": null, "operationName": null, "extensions": null}))
        .await;
    assert_eq!(answer.body, json!({"data": {"hello": "world"}}));
}

#[tokio::test]
async fn a_body_of_64_mib_is_refused_after_the_limit() {
    let server = Server::new();
    let pulled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&pulled);
    let chunks = (0..1024).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 64 * 1024]))
    });
    let answer = server.send(post(Body::from_stream(stream::iter(chunks)), GRAPHQL)).await;
    assert!(answer.is(413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(pulled.load(Ordering::SeqCst), 17);
}

/// A client that sends all of a large body before it reads anything.
#[tokio::test]
async fn a_client_that_sends_64_mib_first_can_still_read_the_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, Server::new().router).into_future());
    let mut client = TcpStream::connect(address).await.unwrap();
    let length = 64 * 1024 * 1024;
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let part = vec![b' '; 64 * 1024];
    for _ in 0..1024 {
        client.write_all(&part).await.unwrap();
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("PAYLOAD_TOO_LARGE"));
    server.abort();
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_unread() {
    let server = Server::new();
    let never = stream::pending::<std::io::Result<Bytes>>();
    let mut request = post(Body::from_stream(never), GRAPHQL);
    request.headers_mut().insert(header::CONTENT_LENGTH, "67108864".parse().unwrap());
    assert!(server.send(request).await.is(413, "PAYLOAD_TOO_LARGE"));
}

#[tokio::test]
async fn a_body_that_never_ends_times_out() {
    let server = Server::with(GraphqlLimits { read_timeout: Duration::from_millis(20), ..GraphqlLimits::default() });
    let never = stream::pending::<std::io::Result<Bytes>>();
    assert!(server.send(post(Body::from_stream(never), GRAPHQL)).await.is(408, "TIMEOUT"));
}

#[tokio::test]
async fn the_media_type_decides_the_status_of_a_wrong_document() {
    let server = Server::new();
    let refused = [
        json!({"query": "{"}),
        json!({"query": "{ nothing }"}),
        json!({"query": "{ hello }", "operationName": "other"}),
        json!({"query": "query q($v: Int!) { echo(value: $v) }"}),
    ];
    for body in refused {
        let (plain, typed) = (post(body.to_string(), JSON), post(body.to_string(), GRAPHQL));
        let (plain, typed) = (server.send(plain).await, server.send(typed).await);
        assert!(plain.is(200, "BAD_USER_INPUT"), "{body}: {}", plain.body);
        assert!(typed.is(400, "BAD_USER_INPUT"), "{body}: {}", typed.body);
        assert!(plain.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(JSON));
        assert!(typed.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(GRAPHQL));
    }
}

#[tokio::test]
async fn a_client_that_accepts_neither_type_gets_406() {
    let answer = Server::new().send(post("{\"query\": \"{ hello }\"}", "text/html")).await;
    assert!(answer.is(406, "NOT_ACCEPTABLE"));
}

#[tokio::test]
async fn limits_are_400_in_either_type_and_cost_is_told() {
    let server = Server::new();
    let body = json!({"query": "{ clusters(first: 2147483647) { nodes { id } } }"}).to_string();
    for accept in [JSON, GRAPHQL] {
        let answer = server.send(post(body.clone(), accept)).await;
        assert!(answer.is(400, "QUERY_TOO_COMPLEX"));
        let extensions = &answer.body["errors"][0]["extensions"];
        assert_eq!(extensions["cost"], 4_294_967_295_u64);
        assert_eq!(extensions["limit"], 10_000);
    }
}

#[tokio::test]
async fn killer_documents_get_a_code_and_a_short_answer() {
    let server = Server::new();
    let doubling = (0..26)
        .map(|level| format!("fragment f{level} on Tree {{ ...f{0} ...f{0} }} ", level + 1))
        .collect::<Vec<_>>()
        .concat();
    let killers = [
        format!("{{ literal(value: {}1{}) }}", "[".repeat(2_000), "]".repeat(2_000)),
        format!("{{ literal(value: {}1{}) }}", "{a:".repeat(2_000), "}".repeat(2_000)),
        format!("{{ tree {{ ...f0 }} }} {doubling} fragment f26 on Tree {{ leaf }}"),
        format!("{{ {} }}", "a: hello ".repeat(100_000)),
        format!("{{ {} }}", "a: __typename ".repeat(20_000)),
        format!("{{ hello {} }}", "@skip(if: false) ".repeat(10_000)),
        format!("query q({}) {{ hello }}", "$v: Int ".repeat(50_000)),
        "{ hello } fragment a on Tree { ...a }".to_owned(),
    ];
    for query in killers {
        let answer = server.query(&query).await;
        assert_eq!(answer.status, 400);
        assert_ne!(answer.code(), "none");
        assert!(answer.body.to_string().len() < 2_048);
    }
}

#[tokio::test]
async fn a_negative_page_size_reaches_the_resolver() {
    let answer = Server::new().query("{ clusters(first: -1) { nodes { id } } }").await;
    assert_eq!(answer.body["data"]["clusters"]["nodes"], json!([]));
}

#[tokio::test]
async fn validation_errors_are_few_and_short() {
    let fields = (0..1_900).map(|n| format!("x{n} ")).collect::<Vec<_>>().concat();
    let answer = Server::new().query(&format!("{{ tree {{ {fields} }} }}")).await;
    assert!(answer.is(400, "BAD_USER_INPUT"));
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 20);

    let answer = Server::new().query(&format!("{{ {} }}", "x".repeat(30_000))).await;
    assert!(answer.is(400, "BAD_USER_INPUT"));
    assert!(answer.body.to_string().len() < 2_048);
}

#[tokio::test]
async fn variables_are_bounded_in_depth_and_number() {
    let server = Server::new();
    let query = "query q($v: JSON!) { literal(value: $v) }";
    let nested = |depth: usize| {
        let value = format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        format!("{{\"query\": \"{query}\", \"variables\": {{\"v\": {value}}}}}")
    };
    assert_eq!(server.send(post(nested(72), GRAPHQL)).await.status, 200);
    assert!(server.send(post(nested(73), GRAPHQL)).await.is(400, "QUERY_TOO_LARGE"));
    assert!(!server.send(post(nested(400_000), GRAPHQL)).await.status.is_success());
    let many = json!({"query": query, "variables": {"v": vec![0; 100_000]}});
    assert!(server.post(&many).await.is(400, "QUERY_TOO_LARGE"));
}

#[tokio::test]
async fn a_failed_field_nulls_its_nearest_nullable_parent() {
    let server = Server::new();
    let cases = [
        ("{ n { n { x } } }", json!({"n": null}), json!(["n", "n", "x"])),
        ("{ maybe { x } hello }", json!({"maybe": null, "hello": "world"}), json!(["maybe", "x"])),
        ("{ strict { x } hello }", Value::Null, json!(["strict", "x"])),
    ];
    for (query, data, path) in cases {
        let answer = server.query(query).await;
        assert_eq!(answer.status, 200, "{query}");
        assert_eq!(answer.body.get("data"), Some(&data), "{query}");
        assert_eq!(answer.body["errors"][0]["path"], path, "{query}");
        assert_eq!(answer.code(), "NOT_FOUND", "{query}");
    }
}

#[tokio::test]
async fn a_failed_item_nulls_the_item_or_the_list_as_its_type_says() {
    let server = Server::new();
    let answer = server.query("{ list { x } }").await;
    assert_eq!(answer.body["data"], json!({"list": null}));
    let answer = server.query("{ sparse { x y } }").await;
    assert_eq!(answer.body["data"], json!({"sparse": [null, null]}));
    assert_eq!(answer.body["errors"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn faults_of_resolvers_are_opaque_and_traced() {
    let (inside, gate) = (Inside::default(), Gate::default());
    let schema = toy::schema(inside, gate, false);
    let router = GraphqlService::new(schema, GraphqlLimits::default()).routes();
    for query in ["{ secret }", "{ panics }"] {
        let mut request = post(json!({ "query": query }).to_string(), GRAPHQL);
        request.extensions_mut().insert(TraceId("trace-7".into()));
        let answer = send(router.clone(), request).await;
        let error = &answer.body["errors"][0];
        assert_eq!(error["extensions"], json!({"code": "INTERNAL", "traceId": "trace-7"}));
        let text = answer.body.to_string();
        assert!(!text.contains("password") && !text.contains("secret of"), "{text}");
    }
}

#[tokio::test]
async fn a_panic_is_500_and_the_next_request_is_served() {
    let server = Server::new();
    assert!(server.query("{ panics }").await.is(500, "INTERNAL"));
    assert_eq!(server.query("{ hello }").await.status, 200);
}

#[tokio::test]
async fn codes_of_resolvers_are_kept() {
    let server = Server::new();
    let answer = server.query("{ hello coded }").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (200, "NOT_FOUND"));
    assert_eq!(answer.body["errors"][0]["message"], "No such run.");
    let answer = server.query("{ away }").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn a_scalar_its_field_cannot_parse_is_the_clients_mistake() {
    let answer = Server::new().query("{ even(number: 3) }").await;
    assert_eq!(answer.code(), "BAD_USER_INPUT");
    assert!(answer.body["errors"][0]["message"].as_str().unwrap().contains("odd"));
}

#[tokio::test]
async fn an_operation_that_never_ends_times_out() {
    let server =
        Server::with(GraphqlLimits { execution_timeout: Duration::from_millis(20), ..GraphqlLimits::default() });
    assert!(server.query("{ never }").await.is(504, "TIMEOUT"));
}

#[tokio::test]
async fn a_response_over_the_limit_is_refused_whole() {
    let server = Server::with(GraphqlLimits { response_bytes: 1_000, ..GraphqlLimits::default() });
    let size = 1_000 - "{\"data\":{\"big\":\"\"}}".len();
    assert_eq!(server.query(&format!("{{ big(size: {size}) }}")).await.status, 200);
    let answer = server.query(&format!("{{ big(size: {}) }}", size + 1)).await;
    assert!(answer.is(400, "QUERY_TOO_COMPLEX"));
}

#[tokio::test]
async fn suggestions_are_off_unless_asked_for() {
    let message = |suggestions| async move {
        let schema = toy::schema(Inside::default(), Gate::default(), suggestions);
        let router = GraphqlService::new(schema, GraphqlLimits::default()).routes();
        let answer = send(router, post("{\"query\": \"{ helo }\"}", JSON)).await;
        answer.body["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    assert!(!message(false).await.contains("hello"));
    assert!(message(true).await.contains("hello"));
}

fn signed(mut request: Request<Body>, principal: &str) -> Request<Body> {
    request.extensions_mut().insert(PrincipalKey::new(principal.into(), false));
    request
}

#[tokio::test]
async fn places_in_flight_are_counted_for_each_and_for_all() {
    let server = Server::with(GraphqlLimits { in_flight: 2, in_flight_each: 1, ..GraphqlLimits::default() });
    let wait = |principal| signed(post("{\"query\": \"{ wait }\"}", GRAPHQL), principal);
    let hello = |principal| signed(post("{\"query\": \"{ hello }\"}", GRAPHQL), principal);
    let first = tokio::spawn(send(server.router.clone(), wait("one")));
    server.gate.entered.acquire().await.unwrap().forget();

    let answer = server.send(hello("one")).await;
    assert!(answer.is(429, "RATE_LIMITED"));
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    assert_eq!(server.send(hello("two")).await.status, 200);

    let second = tokio::spawn(send(server.router.clone(), wait("two")));
    server.gate.entered.acquire().await.unwrap().forget();
    assert!(server.send(hello("three")).await.is(503, "OVERLOADED"));

    server.gate.leave.add_permits(2);
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(second.await.unwrap().status, 200);
    assert_eq!(server.send(hello("one")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_place() {
    let server = Server::with(GraphqlLimits { in_flight: 1, ..GraphqlLimits::default() });
    let gone = tokio::spawn(send(server.router.clone(), post("{\"query\": \"{ wait }\"}", JSON)));
    server.gate.entered.acquire().await.unwrap().forget();
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(server.query("{ hello }").await.status, 200);
}

#[tokio::test]
async fn operations_a_minute_are_weighted_by_cost() {
    let start = Instant::now();
    let passed = Arc::new(Mutex::new(Duration::ZERO));
    let clock = Arc::clone(&passed);
    let limits = GraphqlLimits { operations_per_minute: 60, ..GraphqlLimits::default() };
    let schema = toy::schema(Inside::default(), Gate::default(), false);
    let router =
        GraphqlService::new(schema, limits).with_clock(Arc::new(move || start + *clock.lock().unwrap())).routes();
    let ask = |principal, query: &str| {
        let body = json!({ "query": query }).to_string();
        send(router.clone(), signed(post(body, GRAPHQL), principal))
    };
    // 1 + 1,000 × 3 fields weigh as 31 operations.
    let dear = "{ clusters(first: 1000) { nodes { id name } } }";
    assert_eq!(ask("one", dear).await.status, 200);
    let answer = ask("one", dear).await;
    assert!(answer.is(429, "RATE_LIMITED"));
    assert_eq!(answer.headers[header::RETRY_AFTER], "3");
    assert_eq!(ask("two", dear).await.status, 200);
    *passed.lock().unwrap() = Duration::from_secs(3);
    assert_eq!(ask("one", dear).await.status, 200);
    assert_eq!(ask("one", "{ hello }").await.status, 429);
}

#[tokio::test]
async fn a_document_is_answered_the_same_the_second_time() {
    let (kept, parsed) =
        (Server::new(), Server::with(GraphqlLimits { cached_documents: 0, ..GraphqlLimits::default() }));
    let text = "query a($v: Int, $n: Boolean = true) { echo(value: $v) hello @include(if: $n) ...F } \
                query b { hello } query c($w: Int!) { echo(value: $w) } fragment F on Query { again: hello }";
    let bodies = [
        json!({"query": text, "operationName": "a", "variables": {"v": 1}}),
        json!({"query": text, "operationName": "a", "variables": {"v": 2, "n": false}}),
        json!({"query": text, "operationName": "a", "variables": {"v": "x"}}),
        json!({"query": text, "operationName": "b", "variables": {"v": 3}}),
        json!({"query": text, "operationName": "c"}),
        json!({"query": text, "operationName": "d"}),
        json!({"query": text}),
        json!({"query": "{ nothing }"}),
        json!({"query": "{ hello"}),
        json!({"query": "mutation { bump }"}),
    ];
    for _ in 0..3 {
        for body in &bodies {
            let (one, other) = (kept.post(body).await, parsed.post(body).await);
            assert_eq!((one.status, one.body), (other.status, other.body), "{body}");
        }
    }
    assert_eq!((kept.bumps(), parsed.bumps()), (3, 3));
    assert_eq!(kept.get("query=mutation%7Bbump%7D").await.status, 405, "what may be sent by POST alone stays so");
    assert!(kept.get("query=mutation%20%7B%20bump%20%7D").await.is(405, "METHOD_NOT_ALLOWED"));
    assert_eq!(kept.bumps(), 3);
}

#[tokio::test]
async fn what_variables_cost_counts_for_known_documents_too() {
    let server = Server::new();
    let text = "query ($n: Int) { clusters(first: $n) { nodes { __typename } } }";
    let ask = async |n: i32| server.post(&json!({"query": text, "variables": {"n": n}})).await;
    let first = ask(1).await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(ask(1).await.body, first.body);
    assert!(ask(1_000_000).await.is(400, "QUERY_TOO_COMPLEX"));
    assert_eq!(ask(1).await.body, first.body);
}
