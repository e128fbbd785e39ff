//! S3 as it is spoken: signed requests, parts, and the end of uploads that fail.

use std::sync::Mutex;

use object_store::aws::AmazonS3Builder;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// The requests that a service was sent: method and target, `Authorization`.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// What a service answers to a method and target: status and body.
type Answer = fn(&str) -> (&'static str, &'static str);

/// Answers as an empty S3 service that takes everything.
fn take_everything(request: &str) -> (&'static str, &'static str) {
    match request.split_once(' ').unwrap() {
        ("HEAD", _) => ("404 Not Found", ""),
        ("DELETE", _) => ("204 No Content", ""),
        ("PUT", _) => ("200 OK", ""),
        (_, target) if target.ends_with("?uploads=") => {
            ("200 OK", "<InitiateMultipartUploadResult><UploadId>7</UploadId></InitiateMultipartUploadResult>")
        }
        _ => ("200 OK", "<CompleteMultipartUploadResult><ETag>\"1\"</ETag></CompleteMultipartUploadResult>"),
    }
}

/// Starts a service; its address.
async fn serve(seen: Seen, answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve_one(Arc::clone(&seen), connection, answer));
        }
    });
    address
}

/// Reads one request of HTTP/1.1, notes and answers it.
async fn serve_one(seen: Seen, connection: TcpStream, answer: Answer) {
    let mut connection = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let length = field("content-length:").parse().unwrap_or(0);
    connection.read_exact(&mut vec![0; length]).await.unwrap();

    let request = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let (status, body) = answer(&request);
    seen.lock().unwrap().push((request, field("authorization:").to_owned()));
    let length = body.len();
    let text =
        format!("HTTP/1.1 {status}\r\netag: \"1\"\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    connection.write_all(text.as_bytes()).await.unwrap();
}

/// A store in an empty service, and what the service sees.
async fn s3_store() -> (Seen, ArtifactStore) {
    let seen = Seen::default();
    let address = serve(Arc::clone(&seen), take_everything).await;
    (seen, store_at(&format!("s3://bucket/pre/fix?region=eu-1&allow_http=true&endpoint=http://{address}")))
}

/// The store at this URL, with a key that no variable has.
fn store_at(url: &str) -> ArtifactStore {
    let Ok(ArtifactUrl::S3(location)) = url.parse() else { panic!("{url}") };
    let keys = AmazonS3Builder::new().with_access_key_id("KEY").with_secret_access_key("hidden");
    ArtifactStore { part_bytes: PART, ..open::s3(keys, &location).unwrap() }
}

/// Which requests were sent, sorted.
fn requests(seen: &Seen) -> Vec<String> {
    let mut lines: Vec<_> = seen.lock().unwrap().iter().map(|(request, _)| request.clone()).collect();
    // Parts are sent side by side.
    lines.sort();
    lines
}

fn target(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("/bucket/pre/fix/acme/sha256/{}/{hex}", &hex[..2])
}

#[tokio::test]
async fn a_small_body_is_one_signed_request() {
    let (seen, store) = s3_store().await;
    let bytes = content(10);
    let digest = Digest::of_bytes(&bytes);
    assert_eq!(store.put(TENANT, &digest, 1000, body(&bytes)).await.unwrap(), 10);

    let target = target(&digest);
    assert_eq!(requests(&seen), [format!("HEAD {target}"), format!("PUT {target}")]);
    for (_, signature) in seen.lock().unwrap().iter() {
        assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=KEY/"), "{signature}");
        assert!(signature.contains("/eu-1/s3/aws4_request"), "{signature}");
    }
}

#[tokio::test]
async fn a_large_body_is_sent_in_parts() {
    let (seen, store) = s3_store().await;
    let bytes = content(2 * PART + 5);
    let digest = Digest::of_bytes(&bytes);
    store.put(TENANT, &digest, 1000, body(&bytes)).await.unwrap();

    let target = target(&digest);
    let expected = [
        format!("HEAD {target}"),
        format!("POST {target}?uploadId=7"),
        format!("POST {target}?uploads="),
        format!("PUT {target}?partNumber=1&uploadId=7"),
        format!("PUT {target}?partNumber=2&uploadId=7"),
        format!("PUT {target}?partNumber=3&uploadId=7"),
    ];
    assert_eq!(requests(&seen), expected);
    assert!(seen.lock().unwrap().iter().all(|(_, signature)| signature.starts_with("AWS4-HMAC-SHA256")));
}

#[tokio::test]
async fn a_failed_upload_is_aborted_and_not_completed() {
    let (seen, store) = s3_store().await;
    let wrong = store.put(TENANT, &Digest::of_bytes(b""), 1000, body(&content(3 * PART))).await;
    assert!(matches!(wrong, Err(ArtifactError::DigestMismatch { .. })), "{wrong:?}");
    let target = target(&Digest::of_bytes(b""));
    let requests = requests(&seen);
    assert!(requests.contains(&format!("DELETE {target}?uploadId=7")), "{requests:?}");
    assert!(!requests.contains(&format!("POST {target}?uploadId=7")), "{requests:?}");
}

#[tokio::test]
async fn an_upload_whose_client_is_gone_is_aborted() {
    let (seen, store) = s3_store().await;
    let bytes = content(3 * PART);
    abandon(&store, &bytes, || ()).await;
    let aborted = format!("DELETE {}?uploadId=7", target(&Digest::of_bytes(&bytes)));
    eventually(|| requests(&seen).contains(&aborted)).await;
}

#[tokio::test]
async fn a_refusal_of_the_service_is_told_without_its_text() {
    let address = serve(Seen::default(), |_| ("403 Forbidden", "x-amz-security-token:hidden")).await;
    let store = store_at(&format!("s3://bucket?allow_http=true&endpoint=http://{address}"));
    let digest = Digest::of_bytes(b"");
    let errors = [
        store.size(TENANT, &digest).await.unwrap_err(),
        store.put(TENANT, &digest, 1000, body(b"")).await.unwrap_err(),
        store.get(TENANT, &digest, None).await.err().unwrap(),
        store.get(TENANT, &digest, Some(0..1)).await.err().unwrap(),
    ];
    for error in errors {
        assert!(error.is_unavailable(), "{error:?}");
        assert!(error.to_string().ends_with("permission denied"), "{error}");
        assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
    }
    assert!(!format!("{store:?}").contains("hidden"), "{store:?}");
}
