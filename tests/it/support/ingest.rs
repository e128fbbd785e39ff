//! Feeding a store the way the server does.

use std::sync::Arc;

use packtrail::auth::IngestBinding;
use packtrail::domain::json::JsonLimits;
use packtrail::domain::time::parse_rfc3339;
use packtrail::service::ingest::batch::{self, QuarantineBounds, Request};
use packtrail::service::ingest::item::{ItemResult, Mode, Prepared};
use packtrail::service::ingest::prepare::{Terms, prepare};
use packtrail::service::ingest::snapshot::{SnapshotScope, close_omitted};
use packtrail::storage::Store;
use serde_json::Value;

use crate::records::model::Input;

/// A time later than all that the tests observe.
pub const NOW: i64 = 1_800_000_000_000_000;

/// Bounds that no test reaches by accident.
pub const BOUNDS: QuarantineBounds = QuarantineBounds { items: 1000, bytes: 100_000_000 };

/// The terms of an ordinary sender.
pub fn terms(source: &str) -> Terms {
    Terms {
        source: source.to_owned(),
        mode: Mode::Lenient,
        binding: Arc::new(IngestBinding::default()),
        listed_at: None,
        limits: JsonLimits::default(),
    }
}

/// Prepares items.
pub fn prepared(terms: &Terms, items: &[Value]) -> Vec<Prepared> {
    items
        .iter()
        .enumerate()
        .map(|(i, item)| prepare(terms, u64::try_from(i).unwrap(), None, item.to_string().as_bytes()))
        .collect()
}

/// Writes items as one batch.
pub async fn send(store: &Store, tenant: &str, terms: &Terms, items: &[Value]) -> Vec<ItemResult> {
    write(store, tenant, &terms.source, prepared(terms, items)).await
}

/// Writes prepared items as one batch.
pub async fn write(store: &Store, tenant: &str, source: &str, items: Vec<Prepared>) -> Vec<ItemResult> {
    let mut tx = store.write(tenant, source, NOW).await.unwrap();
    let request = Request { principal: "tester", items: &items };
    let results = batch::write(&mut tx, &[request], BOUNDS, NOW).await.unwrap();
    tx.commit().await.unwrap();
    results.into_iter().next().unwrap()
}

/// Writes inputs in their order, `chunk` items of one source to a batch.
pub async fn send_all(store: &Store, tenant: &str, inputs: &[Input], chunk: usize) {
    let mut waiting: Vec<Value> = Vec::new();
    let mut place = String::new();
    for input in inputs {
        match input {
            Input::Item { source, item } => {
                if *source != place || waiting.len() >= chunk {
                    flush(store, tenant, &place, &mut waiting).await;
                    place.clone_from(source);
                }
                waiting.push(item.clone());
            }
            Input::Snapshot { source, kinds, namespaces, at, items } => {
                flush(store, tenant, &place, &mut waiting).await;
                let at = parse_rfc3339(at).unwrap();
                let terms = Terms { listed_at: Some(at), ..terms(source) };
                send(store, tenant, &terms, items).await;
                let scope = SnapshotScope { kinds: kinds.clone(), namespaces: namespaces.clone(), at };
                close_omitted(store, tenant, source, &scope, NOW).await.unwrap();
            }
        }
    }
    flush(store, tenant, &place, &mut waiting).await;
}

async fn flush(store: &Store, tenant: &str, source: &str, waiting: &mut Vec<Value>) {
    if !waiting.is_empty() {
        let items = std::mem::take(waiting);
        send(store, tenant, &terms(source), &items).await;
    }
}

/// The whole state of a tenant, now.
pub async fn state(store: &Store, tenant: &str) -> Value {
    let head = store.head(tenant).await.unwrap();
    store.dump(tenant, head).await.unwrap()
}
