//! The whole history as lines, for others to read: in the ledger's order, a bounded part at a time.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::domain::kind;
use crate::domain::time::format_micros;
use crate::service::query::{Body, QueryError, Scope};
use crate::storage::{LedgerVersion, StoreError, VertexNames};

/// How many commits are read together.
const COMMITS: i64 = 200;
/// Who speaks, in the terms of `OpenLineage`.
const PRODUCER: &str = concat!("https://packtrail.dev/v", env!("CARGO_PKG_VERSION"));
/// The form of a run event.
const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// The form of the facet that tells why a run failed.
const ERROR_FACET: &str = "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json";

/// The form of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Versions as watch events, each with its place in the ledger.
    Events,
    /// Finished operations as `OpenLineage` run events.
    OpenLineage,
}

/// Reads the history of a tenant as of one commit.
pub struct Exporter<'s> {
    scope: &'s Scope,
    format: Format,
    after: i64,
}

impl<'s> Exporter<'s> {
    /// An exporter of what came after a commit.
    ///
    /// # Errors
    /// If the store fails, or its ledger has entries that name their objects in words alone: an export
    /// without them would not be whole.
    pub async fn new(scope: &'s Scope, format: Format, after: i64) -> Result<Self, QueryError> {
        match scope.count_worded_entries().await? {
            0 => Ok(Self { scope, format, after }),
            _ => Err(QueryError::NotExported),
        }
    }

    /// The next lines; `None` at the end. May be empty in between.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn next(&mut self) -> Result<Option<Vec<Value>>, QueryError> {
        if self.after >= self.scope.seq() {
            return Ok(None);
        }
        let versions = self.scope.list_ledger_versions(self.after, COMMITS).await?;
        self.after = self.after.saturating_add(COMMITS);
        let objects: Vec<i64> = versions.iter().map(|version| version.object_id).collect();
        let names = self.scope.vertex_names(&objects).await?;
        let wanted: Vec<&LedgerVersion> = versions
            .iter()
            .filter(|version| self.format == Format::Events || names.get(&version.object_id).is_some_and(is_result))
            .collect();
        let bodies: Vec<i64> = wanted.iter().map(|version| version.body_id).collect();
        let bodies: HashMap<i64, _> = self.scope.bodies(&bodies).await?;
        let missing = || StoreError::Corrupt("a version of the ledger has no names or no body".to_owned());
        let line = |version: &&LedgerVersion| {
            let found = names.get(&version.object_id).zip(bodies.get(&version.body_id));
            let (names, body) = found.ok_or_else(missing)?;
            let source = self.scope.source_name(version.source_id);
            Ok(match self.format {
                Format::Events => watch_event(version, source, body),
                Format::OpenLineage => run_event(version, source, names, body),
            })
        };
        wanted.iter().map(line).collect::<Result<_, QueryError>>().map(Some)
    }
}

fn is_result(names: &VertexNames) -> bool {
    names.key.kind == kind::RESULT
}

/// A version as the event that would tell of it. What ended by other means than a deletion that was
/// seen is no deletion here: an import infers that by itself.
fn watch_event(version: &LedgerVersion, source: &str, body: &Body) -> Value {
    let is_deletion = version.end_kind.as_deref() == Some("DELETED");
    let (event, at) = match (is_deletion, version.to_at) {
        (true, Some(to)) => ("DELETED", to),
        _ => ("MODIFIED", version.from_at),
    };
    json!({
        "type": event,
        "observedAt": format_micros(at),
        "object": body.value(),
        "ledger": {
            "seq": version.seq, "entry": version.entry, "kind": version.entry_kind, "source": source,
            "committedAt": format_micros(version.committed_at), "principal": version.principal,
            "version": version.n + 1, "from": format_micros(version.from_at),
            "to": version.to_at.map(format_micros), "end": version.end_kind,
        },
    })
}

/// A finished operation: its execution is the job, its pack goes in, its resources come out.
fn run_event(version: &LedgerVersion, source: &str, names: &VertexNames, body: &Body) -> Value {
    let text = |path: &[&str]| body.text(path);
    let own = body.time(&["spec", "completedAt"]).or_else(|| body.time(&["metadata", "creationTimestamp"]));
    let time = own.unwrap_or(version.from_at);
    let status = text(&["spec", "status"]).unwrap_or_default();
    let event = match status.as_str() {
        "Succeeded" => "COMPLETE",
        "Failed" => "FAIL",
        _ => "OTHER",
    };
    let namespace = format!("packtrail/{source}/{}", names.key.namespace);
    let execution = text(&["spec", "packExecutionRef"])
        .or_else(|| text(&["metadata", "labels", "ontai.dev/pack-execution"]))
        .unwrap_or_else(|| names.key.name.clone());
    let pack = body.first_text(&[&["spec", "clusterPackRef", "name"], &["spec", "clusterPackRef"]]);
    let cluster = text(&["spec", "targetClusterRef"]).unwrap_or_default();
    let resource = |resource: &Map<String, Value>| {
        let part = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
        let parts = [part("apiVersion"), part("kind"), part("namespace"), part("name")];
        json!({"namespace": format!("kubernetes://{cluster}"), "name": parts.join("/")})
    };
    let outputs: Vec<Value> = body.objects(&["spec", "deployedResources"]).map(resource).collect();
    let mut facets = Map::new();
    if let Some(reason) = text(&["spec", "failureReason", "reason"]) {
        facets.insert(
            "errorMessage".to_owned(),
            json!({"_producer": PRODUCER, "_schemaURL": ERROR_FACET, "message": reason, "programmingLanguage": "none"}),
        );
    }
    json!({
        "eventType": event,
        "eventTime": format_micros(time),
        "producer": PRODUCER,
        "schemaURL": RUN_EVENT,
        "run": {"runId": run_id(source, names), "facets": facets},
        "job": {"namespace": namespace, "name": execution},
        "inputs": pack.map(|pack| json!({"namespace": namespace, "name": format!("ClusterPack/{pack}")})).into_iter().collect::<Vec<_>>(),
        "outputs": outputs,
    })
}

/// A UUID (version 8 of RFC 9562) of the result's identity: the same in every export.
fn run_id(source: &str, names: &VertexNames) -> String {
    let key = names.key.object_key(names.uid.as_deref());
    let hash = Sha256::digest(format!("{source}\n{key}"));
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
