//! The page for people who explore the schema.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use tower::ServiceExt;

async fn get(path: &str, tag: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
    if let Some(tag) = tag {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    let routes = packtrail::http::graphiql::routes();
    let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// The files the page names.
async fn named_files() -> Vec<String> {
    let (_, _, page) = get("/graphiql", None).await;
    let parts = page.split('"').filter(|part| part.starts_with("/graphiql/"));
    parts.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_and_all_it_names_come_from_this_origin() {
    let (status, headers, page) = get("/graphiql", None).await;
    assert_eq!(status, 200);
    assert!(!page.contains("http"), "{page}");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-eval"));
    let files = named_files().await;
    assert_eq!(files.len(), 2);
    for file in files {
        let (status, headers, body) = get(&file, None).await;
        assert_eq!(status, 200);
        assert!(body.len() > 1_000);
        assert!(headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        let kind = headers[header::CONTENT_TYPE].to_str().unwrap();
        assert!(kind.starts_with("text/javascript") || kind.starts_with("text/css"));
    }
}

#[tokio::test]
async fn a_known_tag_is_not_sent_again() {
    for path in ["/graphiql".to_owned(), named_files().await.remove(0)] {
        let (_, headers, _) = get(&path, None).await;
        let tag = headers[header::ETAG].to_str().unwrap();
        let (status, _, body) = get(&path, Some(tag)).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    }
}

#[tokio::test]
async fn other_names_are_not_found() {
    for path in ["/graphiql/nothing.js", "/graphiql/..%2F..%2FCargo.toml"] {
        assert_eq!(get(path, None).await.0, 404);
    }
}
