use std::fs;
use std::future::{Future, pending};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures_util::stream::once;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;

mod memory;
mod s3;

const TENANT: &str = "acme";
const PART: usize = 64;

/// A store in a directory, with small parts.
fn directory_store() -> (TempDir, ArtifactStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = ArtifactStore::open(directory.path().to_str().unwrap()).unwrap();
    (directory, ArtifactStore { part_bytes: PART, ..store })
}

/// Every file below the store, unfinished ones too, as paths within it.
fn files(directory: &TempDir) -> Vec<String> {
    let mut found = vec![];
    let mut open: Vec<PathBuf> = vec![directory.path().to_owned()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(directory.path()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// Bytes that repeat in no part.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * at / 7 % 251).unwrap()).collect()
}

type Chunk = Result<Bytes, io::Error>;

/// A body in chunks of this many bytes.
fn chunks(bytes: &[u8], length: usize) -> Vec<Chunk> {
    bytes.chunks(length).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect()
}

fn body(bytes: &[u8]) -> impl Stream<Item = Chunk> + Unpin + Send + use<> {
    stream::iter(chunks(bytes, 10))
}

fn broken() -> Chunk {
    Err(io::Error::other("the client went away"))
}

async fn read(store: &ArtifactStore, digest: &Digest, range: Option<Range<u64>>) -> Result<Vec<u8>, ArtifactError> {
    let pieces: Vec<Bytes> = store.get(TENANT, digest, range).await?.try_collect().await?;
    Ok(pieces.concat())
}

/// Cuts bytes into chunks of these lengths, and the rest.
fn cut(bytes: &[u8], lengths: &[usize]) -> Vec<Chunk> {
    let mut rest = Bytes::copy_from_slice(bytes);
    let mut cut: Vec<Chunk> = lengths.iter().map(|length| Ok(rest.split_to(rest.len().min(*length)))).collect();
    cut.push(Ok(rest));
    cut
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_of_a_body_is_the_same_object_and_ranges_are_its_slices(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        lengths in prop::collection::vec(0usize..90, 0..12),
        part_bytes in 1usize..100,
        ends in prop::collection::vec((0usize..320, 0usize..320), 1..6),
        in_memory in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_directory, files) = directory_store();
            let store = if in_memory { ArtifactStore::open("memory:").unwrap() } else { files };
            let store = ArtifactStore { part_bytes, ..store };
            let (digest, size) = (Digest::of_bytes(&bytes), bytes.len() as u64);

            let stored = store.put(TENANT, &digest, size, stream::iter(cut(&bytes, &lengths))).await.unwrap();
            prop_assert_eq!(stored, size);
            prop_assert_eq!(store.size(TENANT, &digest).await.unwrap(), Some(size));
            prop_assert_eq!(&read(&store, &digest, None).await.unwrap(), &bytes);
            for (a, b) in ends {
                let (start, end) = (a.min(b), a.max(b));
                let part = read(&store, &digest, Some(start as u64..end as u64)).await;
                match bytes.get(start..end) {
                    Some(slice) => prop_assert_eq!(&part.unwrap(), slice),
                    None => prop_assert!(matches!(part, Err(ArtifactError::OutOfRange)), "{:?}", part),
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn content_is_one_file_at_its_digest() {
    let (directory, store) = directory_store();
    for bytes in [content(10), content(PART), content(5 * PART), content(5 * PART + 1), vec![]] {
        let digest = Digest::of_bytes(&bytes);
        store.put(TENANT, &digest, 1000, body(&bytes)).await.unwrap();
        let hex = digest.hex();
        let path = format!("acme/sha256/{}/{hex}", &hex[..2]);
        assert_eq!(fs::read(directory.path().join(&path)).unwrap(), bytes);
        assert!(files(&directory).contains(&path));
    }
    assert_eq!(files(&directory).len(), 5);
}

#[tokio::test]
async fn a_failed_upload_leaves_nothing() {
    let (directory, store) = directory_store();
    let kept = content(30);
    store.put(TENANT, &Digest::of_bytes(&kept), 30, body(&kept)).await.unwrap();
    let before = files(&directory);

    for length in [0, 1, PART - 1, PART, PART + 1, 3 * PART, 10 * PART + 5] {
        let bytes = content(length);
        let digest = Digest::of_bytes(&bytes);
        let other = Digest::of_bytes(b"other");

        let wrong = store.put(TENANT, &other, 1000, body(&bytes)).await;
        assert!(matches!(wrong, Err(ArtifactError::DigestMismatch { found }) if found == digest), "{wrong:?}");

        let broke = store.put(TENANT, &digest, 1000, body(&bytes).chain(stream::iter([broken()]))).await;
        assert!(matches!(broke, Err(ArtifactError::BodyBroke(_))), "{broke:?}");

        let more = body(&bytes).chain(stream::iter([Ok(Bytes::from_static(b"x"))]));
        let large = store.put(TENANT, &digest, length as u64, more).await;
        assert!(matches!(large, Err(ArtifactError::TooLarge { limit }) if limit == length as u64), "{large:?}");

        assert_eq!(files(&directory), before, "{length} bytes");
        assert_eq!(store.size(TENANT, &digest).await.unwrap(), None);
        assert!(matches!(read(&store, &digest, None).await, Err(ArtifactError::NotFound)));
        assert!(matches!(read(&store, &digest, Some(0..1)).await, Err(ArtifactError::NotFound)));
        assert!(matches!(read(&store, &digest, Some(0..0)).await, Err(ArtifactError::NotFound)));
    }
}

/// Starts an upload whose client sends these bytes and then nothing, and drops it there.
async fn abandon(store: &ArtifactStore, bytes: &[u8], at_the_end: impl FnOnce()) {
    let (sent, all_sent) = oneshot::channel();
    let silence = once(Box::pin(async move {
        sent.send(()).unwrap();
        pending().await
    }));
    let body = body(bytes).chain(silence);
    let (store, digest) = (store.clone(), Digest::of_bytes(bytes));
    let upload = tokio::spawn(async move { store.put(TENANT, &digest, 1000, body).await });
    all_sent.await.unwrap();
    at_the_end();
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled());
}

/// Waits for something that another task brings about.
async fn eventually(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it never came");
}

#[tokio::test]
async fn an_upload_whose_client_is_gone_leaves_nothing() {
    let (directory, store) = directory_store();
    abandon(&store, &content(10), || assert_eq!(files(&directory).len(), 0)).await;
    abandon(&store, &content(10 * PART), || assert_eq!(files(&directory).len(), 1)).await;
    eventually(|| files(&directory).is_empty()).await;
}

#[tokio::test]
async fn only_old_unfinished_uploads_are_removed() {
    let (directory, store) = directory_store();
    let bytes = content(3 * PART);
    let digest = Digest::of_bytes(&bytes);
    store.put(TENANT, &digest, 1000, body(&bytes)).await.unwrap();
    let finished = directory.path().join(files(&directory).remove(0));
    let number = |number: u64| finished.with_file_name(format!("{}#{number}", digest.hex()));
    let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for (path, written) in [(finished.clone(), 1), (number(1), 1), (number(2), 9), (number(3), 10)] {
        let file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.set_modified(time(written)).unwrap();
    }

    assert_eq!(store.remove_unfinished(time(1)).await.unwrap(), 0);
    assert_eq!(store.remove_unfinished(time(10)).await.unwrap(), 2);
    assert!(finished.exists() && number(3).exists());
    assert_eq!(files(&directory).len(), 2);
    assert_eq!(ArtifactStore::open("memory:").unwrap().remove_unfinished(time(10)).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_the_same_content_at_once_all_succeed() {
    for length in [10, 10 * PART + 7] {
        let (directory, store) = directory_store();
        let bytes = content(length);
        let digest = Digest::of_bytes(&bytes);
        let uploads = (0..16).map(|_| {
            let (store, body) = (store.clone(), body(&bytes));
            tokio::spawn(async move { store.put(TENANT, &digest, 1000, body).await })
        });
        for upload in futures_util::future::join_all(uploads).await {
            assert_eq!(upload.unwrap().unwrap(), length as u64);
        }
        assert_eq!(files(&directory).len(), 1);
        assert_eq!(read(&store, &digest, None).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_body_is_checked_although_its_content_is_there() {
    let (directory, store) = directory_store();
    let bytes = content(3 * PART);
    let digest = Digest::of_bytes(&bytes);
    store.put(TENANT, &digest, 1000, body(&bytes)).await.unwrap();

    assert_eq!(store.put(TENANT, &digest, 1000, body(&bytes)).await.unwrap(), 3 * PART as u64);
    let wrong = store.put(TENANT, &digest, 1000, body(b"wrong")).await;
    assert!(matches!(wrong, Err(ArtifactError::DigestMismatch { .. })), "{wrong:?}");
    let broke = store.put(TENANT, &digest, 1000, stream::iter([broken()])).await;
    assert!(matches!(broke, Err(ArtifactError::BodyBroke(_))), "{broke:?}");
    let large = store.put(TENANT, &digest, 5, body(&bytes)).await;
    assert!(matches!(large, Err(ArtifactError::TooLarge { limit: 5 })), "{large:?}");

    assert_eq!(files(&directory).len(), 1);
    assert_eq!(read(&store, &digest, None).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_file_that_was_cut_is_damage() {
    let (directory, store) = directory_store();
    let bytes = content(30);
    let digest = Digest::of_bytes(&bytes);
    store.put(TENANT, &digest, 1000, body(&bytes)).await.unwrap();
    let path = directory.path().join(files(&directory).remove(0));
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();

    let reader = store.get(TENANT, &digest, None).await.unwrap();
    file.set_len(20).unwrap();
    let cut = reader.try_collect::<Vec<Bytes>>().await;
    assert!(matches!(cut, Err(ArtifactError::Damaged { stored: 20, expected: 30 })), "{cut:?}");
    let again = store.put(TENANT, &digest, 1000, body(&bytes)).await;
    assert!(matches!(again, Err(ArtifactError::Damaged { stored: 20, expected: 30 })), "{again:?}");
}

#[tokio::test]
async fn no_tenant_leaves_the_directory_or_reads_another() {
    let (directory, store) = directory_store();
    let bytes = content(10);
    let digest = Digest::of_bytes(&bytes);
    let longest = "a".repeat(MAX_TENANT_BYTES);
    for tenant in [".", "..", "...", "a", "A", "a.b", "_-.", "sha256", &longest] {
        assert_eq!(store.size(tenant, &digest).await.unwrap(), None, "{tenant}");
        store.put(tenant, &digest, 1000, body(&bytes)).await.unwrap();
        assert_eq!(store.size(tenant, &digest).await.unwrap(), Some(10), "{tenant}");
    }
    assert_eq!(files(&directory).len(), 9);
    let above = directory.path().parent().unwrap();
    assert!(!above.join("sha256").exists() && !directory.path().join("sha256").join(&digest.hex()[..2]).exists());

    let too_long = "a".repeat(MAX_TENANT_BYTES + 1);
    for tenant in ["", "/", "a/b", "../a", "a\\b", "a%2fb", "a#1", "ä", "a b", "a\0", &too_long] {
        let refused = store.put(tenant, &digest, 1000, body(&bytes)).await;
        assert!(matches!(refused, Err(ArtifactError::BadTenant)), "{tenant}");
        assert!(matches!(store.size(tenant, &digest).await, Err(ArtifactError::BadTenant)), "{tenant}");
        assert!(matches!(store.get(tenant, &digest, None).await.err(), Some(ArtifactError::BadTenant)), "{tenant}");
    }
    assert_eq!(files(&directory).len(), 9);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_is_unavailable() {
    // Not by its mode, which does not hold for root.
    let (directory, store) = directory_store();
    fs::write(directory.path().join(TENANT), "in the way").unwrap();
    for length in [10, 10 * PART] {
        let bytes = content(length);
        let failed = store.put(TENANT, &Digest::of_bytes(&bytes), 1000, body(&bytes)).await.unwrap_err();
        assert!(failed.is_unavailable(), "{failed:?}");
        assert!(failed.to_string().contains("os error"), "{failed}");
    }
    for url in ["/proc/packtrail-artifacts", "/dev/null", "/dev/null/artifacts"] {
        let failed = ArtifactStore::open(url).unwrap_err();
        assert!(failed.is_unavailable(), "{url}: {failed:?}");
    }
}

#[tokio::test]
async fn opening_makes_the_directory_and_leaves_no_file() {
    let above = tempfile::tempdir().unwrap();
    let path = above.path().join("a b/c");
    let url = ::url::Url::from_file_path(&path).unwrap();
    let bytes = content(10);
    let digest = Digest::of_bytes(&bytes);
    ArtifactStore::open(url.as_str()).unwrap().put(TENANT, &digest, 10, body(&bytes)).await.unwrap();
    let again = ArtifactStore::open(path.to_str().unwrap()).unwrap();
    assert_eq!(again.size(TENANT, &digest).await.unwrap(), Some(10));
    assert_eq!(files(&above).len(), 1);
}

#[test]
fn the_futures_can_be_spawned() {
    fn is_send(_: impl Future + Send) {}
    let store = ArtifactStore::open("memory:").unwrap();
    let digest = Digest::of_bytes(b"");
    is_send(store.put(TENANT, &digest, 0, body(b"")));
    is_send(store.get(TENANT, &digest, None));
}
