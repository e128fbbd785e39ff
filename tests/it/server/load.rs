//! Many clients that send distinct records at once and remember what was acknowledged.

use packtrail::service::rebuild::rebuild;
use packtrail::storage::Store;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::db::number;
use crate::support::ingest::{NOW, state};
use crate::support::server::{Answer, Server, client, lines};

const CLIENTS: u64 = 8;

/// A record that no other client or number gives. Chains, replaced executions and receipts shared
/// between clients make the rules work.
pub fn record(client: &str, n: u64) -> Value {
    let (chain, revision) = (n / 12, n % 12 + 1);
    let execution = format!("execution-{client}-{}", chain % 2);
    let cluster = format!("cluster-{}", n % 3);
    let at = format!("2026-05-04T{:02}:{:02}:{:02}Z", n / 3600 % 24, n / 60 % 60, n % 60);
    let (kind, name, spec) = match n % 6 {
        0 => ("PackExecution", execution, json!({"clusterPackRef": {"name": "pack"}, "targetClusterRef": cluster})),
        1 => {
            ("ClusterPack", format!("pack-{}", n % 5), json!({"version": format!("v{n}"), "targetClusters": [cluster]}))
        }
        2 => ("PackReceipt", format!("receipt-{}", n % 4), json!({"targetClusterRef": cluster, "deployed": true})),
        _ => (
            "PackOperationResult",
            format!("{execution}-{chain}-r{revision}"),
            json!({"packExecutionRef": execution, "revision": revision, "capability": "pack-deploy",
                "status": "Succeeded", "targetClusterRef": cluster, "completedAt": at}),
        ),
    };
    let object = json!({
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": "seam-tenant", "uid": format!("{client}-{n}"),
            "creationTimestamp": at, "resourceVersion": (n + 1).to_string()},
    });
    if n.is_multiple_of(5) { object } else { json!({"type": "ADDED", "observedAt": at, "object": object}) }
}

/// The uid of a record or of the record of an event.
pub fn uid(item: &Value) -> &str {
    item.pointer("/object/metadata/uid").or(item.pointer("/metadata/uid")).unwrap().as_str().unwrap()
}

/// Clients at work until the server is gone.
pub struct Load {
    acknowledged: mpsc::UnboundedReceiver<Vec<Value>>,
}

impl Load {
    /// Starts the clients; `name` tells the records of several loads apart.
    pub fn start(server: &Server, name: &str) -> Self {
        let (sender, acknowledged) = mpsc::unbounded_channel();
        for client in 0..CLIENTS {
            let (url, name, sender) = (server.url().to_owned(), format!("{name}-{client}"), sender.clone());
            tokio::spawn(async move { send_until_cut(&url, &name, &sender).await });
        }
        Self { acknowledged }
    }

    /// Waits until so many requests were answered.
    pub async fn answers(&mut self, count: u64) -> Vec<Value> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.extend(self.acknowledged.recv().await.expect("the clients work until the server is gone"));
        }
        items
    }

    /// Waits until all clients were cut off; returns what was acknowledged meanwhile.
    pub async fn rest(mut self) -> Vec<Value> {
        let mut items = Vec::new();
        while let Some(more) = self.acknowledged.recv().await {
            items.extend(more);
        }
        items
    }
}

async fn send_until_cut(url: &str, name: &str, acknowledged: &mpsc::UnboundedSender<Vec<Value>>) {
    let client = client();
    let mut next = 0;
    for request in 0_u64.. {
        let size = request * 7 % 20 + 1;
        let items: Vec<Value> = (next..next + size).map(|n| record(name, n)).collect();
        next += size;
        let post = client
            .post(format!("{url}/v1/ingest?results=all"))
            .header("content-type", "application/x-ndjson")
            .body(lines(&items));
        let Ok(mut response) = post.send().await else { return };
        let mut text = Vec::new();
        let is_cut = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        let stored = stored(&text, items);
        assert!(is_cut || u64::try_from(stored.len()).unwrap() == size, "{}", String::from_utf8_lossy(&text));
        if acknowledged.send(stored).is_err() || is_cut {
            return;
        }
    }
}

/// The items that an answer, or what came of it, says are stored.
fn stored(text: &[u8], items: Vec<Value>) -> Vec<Value> {
    let whole_lines = text.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n"));
    let results: Vec<Value> = whole_lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let is_stored = |index: usize| {
        results.iter().any(|result| {
            result["index"].as_u64() == u64::try_from(index).ok()
                && matches!(result["outcome"].as_str(), Some("CREATED" | "UPDATED" | "CLOSED"))
        })
    };
    items.into_iter().enumerate().filter(|(index, _)| is_stored(*index)).map(|(_, item)| item).collect()
}

/// Checks that a database holds what was acknowledged, each record once, in a ledger without gaps, and
/// that all derived rows follow from it.
pub async fn check(url: &str, acknowledged: &[Value]) {
    let store = Store::open(url, false).await.unwrap();
    let dump = state(&store, "default").await;
    let objects = dump["default"]["objects"].as_object().unwrap();
    let mut uids: Vec<&str> = objects.keys().map(|key| key.rsplit_once('/').unwrap().1).collect();
    uids.sort_unstable();
    let missing: Vec<&str> = acknowledged.iter().map(uid).filter(|uid| uids.binary_search(uid).is_err()).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    let doubled: Vec<&[&str]> = uids.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    let doubled = number(
        url,
        "SELECT count(*) FROM (SELECT object_id FROM observation GROUP BY tenant_id, object_id HAVING count(*) > 1) AS d",
    );
    assert_eq!(doubled.await, 0, "objects observed more often than they were sent");
    check_ledger(url).await;
    for source in store.source_names("default").await.unwrap() {
        let report = rebuild(&store, "default", &source, true, NOW).await.unwrap();
        assert!(report.is_clean() && report.keys > 0, "{report:?}");
    }
    store.close().await;
}

/// Checks that the one tenant's ledger has neither a gap nor a loose end.
pub async fn check_ledger(url: &str) {
    for (claim, difference) in [
        ("commits are numbered from 1 on", "SELECT coalesce(max(seq), 0) - count(*) FROM ledger_commit"),
        ("the first commit is 1", "SELECT coalesce(min(seq), 1) - 1 FROM ledger_commit"),
        (
            "the head is the last commit",
            "SELECT coalesce((SELECT max(seq) FROM ledger_commit), 0) - (SELECT seq FROM ledger_head)",
        ),
        ("the head counts the leaves", "SELECT (SELECT count(*) FROM ledger_entry) - (SELECT leaves FROM ledger_head)"),
        (
            "each commit has its entries",
            "SELECT count(*) FROM ledger_commit AS c WHERE entries <> \
             (SELECT count(*) FROM ledger_entry AS e WHERE e.tenant_id = c.tenant_id AND e.seq = c.seq)",
        ),
        (
            "leaves are numbered as entries follow each other",
            "SELECT count(*) FROM (SELECT leaf, row_number() OVER (ORDER BY seq, n) - 1 AS place FROM ledger_entry) AS l \
             WHERE leaf <> place",
        ),
        (
            "no time is before its predecessor's",
            "SELECT count(*) FROM ledger_commit AS a JOIN ledger_commit AS b \
             ON b.tenant_id = a.tenant_id AND b.seq = a.seq + 1 WHERE b.committed_at < a.committed_at",
        ),
    ] {
        assert_eq!(number(url, difference).await, 0, "{claim}");
    }
}

/// Sends everything again: nothing of it may be new.
pub async fn check_known(server: &Server, acknowledged: &[Value]) {
    for items in acknowledged.chunks(200) {
        let answer =
            Answer::to(server.ingest("").header("content-type", "application/x-ndjson").body(lines(items))).await;
        let new: Vec<&Value> = answer.results.iter().filter(|result| result["outcome"] != "DUPLICATE").collect();
        assert!(new.is_empty() && answer.results.len() == items.len(), "{new:?}");
    }
}
