//! How much memory an upload and a download take.

use super::*;

const CHUNK: usize = 64 << 10;
const CHUNKS: u64 = 2048;

/// The most memory that this process had so far, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The chunks of 128 MiB, made as they are read.
fn generated() -> impl Iterator<Item = Bytes> + Send {
    (0..CHUNKS).map(|at| Bytes::from(at.to_le_bytes().repeat(CHUNK / 8)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_artifact_passes_in_little_memory() {
    use sha2::Digest as _;

    let directory = tempfile::tempdir().unwrap();
    let store = ArtifactStore::open(directory.path().to_str().unwrap()).unwrap();
    let mut hasher = sha2::Sha256::new();
    generated().for_each(|chunk| hasher.update(&chunk));
    let digest = Digest(hasher.finalize().into());
    let size = CHUNKS * CHUNK as u64;

    let before = peak_kib();
    let body = stream::iter(generated().map(Ok::<_, io::Error>));
    assert_eq!(store.put(TENANT, &digest, size, body).await.unwrap(), size);
    let mut content = store.get(TENANT, &digest, None).await.unwrap();
    let mut hasher = sha2::Sha256::new();
    while let Some(chunk) = content.try_next().await.unwrap() {
        hasher.update(&chunk);
    }
    assert_eq!(Digest(hasher.finalize().into()), digest);
    let grown = peak_kib() - before;
    assert!(grown < 64 << 10, "{grown} KiB");
}
