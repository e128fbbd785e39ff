//! Feeds a store the way senders do.

use std::sync::Arc;

use packtrail::auth::IngestBinding;
use packtrail::clock::{FixedClock, SharedClock};
use packtrail::domain::json::JsonLimits;
use packtrail::service::ingest::item::{ItemResult, Mode};
use packtrail::service::ingest::prepare::{Terms, prepare};
use packtrail::service::ingest::writer::{Writer, WriterLimits};
use packtrail::storage::Store;
use serde_json::Value;

/// The samples, in the order of their files.
pub const SAMPLES: [&str; 3] = [
    include_str!("../../fixtures/samples/events.ndjson"),
    include_str!("../../fixtures/samples/more-events.ndjson"),
    include_str!("../../fixtures/samples/dialect-code.ndjson"),
];

/// The time of everything: 2026-06-01T00:00:00Z.
pub const NOW: i64 = 1_780_272_000_000_000;

/// A clock that stands at [`NOW`].
pub fn clock() -> SharedClock {
    Arc::new(FixedClock::new(NOW))
}

/// A writer that runs until the last handle to it is gone.
pub fn writer(store: &Store) -> Writer {
    let (writer, task) = Writer::new(store.clone(), clock(), WriterLimits::default());
    tokio::spawn(task.run());
    writer
}

/// Writes items, each line one, in one request.
pub async fn feed<'a>(
    writer: &Writer,
    tenant: &str,
    source: &str,
    lines: impl IntoIterator<Item = &'a str>,
) -> Vec<ItemResult> {
    let terms = Terms {
        source: source.to_owned(),
        mode: Mode::Lenient,
        binding: Arc::new(IngestBinding::default()),
        listed_at: None,
        limits: JsonLimits::default(),
    };
    let lines = lines.into_iter().filter(|line| !line.trim().is_empty());
    let items = (0..).zip(lines).map(|(index, line)| prepare(&terms, index, None, line.as_bytes())).collect();
    writer.write(tenant, source, "collector", items).await.unwrap()
}

/// Writes all samples, file by file.
pub async fn feed_samples(writer: &Writer, tenant: &str, source: &str) {
    for file in SAMPLES {
        feed(writer, tenant, source, file.lines()).await;
    }
}

/// Writes values.
pub async fn feed_values(writer: &Writer, tenant: &str, source: &str, values: &[Value]) -> Vec<ItemResult> {
    let lines: Vec<String> = values.iter().map(ToString::to_string).collect();
    feed(writer, tenant, source, lines.iter().map(String::as_str)).await
}
