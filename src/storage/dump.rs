//! The whole derived state of a tenant as of a commit, in terms of names alone: two stores that know
//! the same give the same text, whatever order they learned it in.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use sqlx::FromRow;

use super::driver::Arg;
use super::error::StoreError;
use super::sql::{self, Statement};
use super::write::read_digest;
use super::{Store, TenantName};
use crate::domain::identity::NaturalKey;

#[derive(FromRow)]
struct VersionRow {
    object_id: i64,
    source: String,
    kind: String,
    cluster: String,
    namespace: String,
    name: String,
    uid: String,
    from_at: i64,
    to_at: Option<i64>,
    end_kind: Option<String>,
    digest: Vec<u8>,
    spec_digest: Vec<u8>,
}

#[derive(FromRow)]
struct EpochRow {
    source: String,
    namespace: String,
    name: String,
    uid: String,
    position: i64,
    status: String,
    detail: String,
}

#[derive(FromRow)]
struct RevisionRow {
    source: String,
    namespace: String,
    name: String,
    epoch_uid: String,
    revision: i64,
    first_at: i64,
    object_id: i64,
    live: i64,
}

#[derive(FromRow)]
struct FindingRow {
    source: String,
    code: String,
    severity: String,
    subject: String,
}

#[derive(FromRow)]
struct StateRow {
    object_id: i64,
    live: i64,
    versions: i64,
    closed_at: Option<i64>,
}

/// Source, sequence and epoch.
type EpochKey = (String, String, String);

/// One source's part of the dump.
#[derive(Default)]
struct Source {
    objects: BTreeMap<String, Value>,
    sequences: BTreeMap<String, Vec<Value>>,
    findings: Vec<Value>,
}

impl Store {
    /// The last commit of a tenant's ledger; 0 while it has none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn head(&self, tenant: &TenantName) -> Result<i64, StoreError> {
        #[derive(FromRow)]
        struct Row {
            seq: i64,
        }
        let Some(tenant) = self.tenant_id(tenant).await? else { return Ok(0) };
        let row: Option<Row> = self.pool.row(&sql::LEDGER_HEAD, &[tenant.into()]).await?;
        Ok(row.map_or(0, |row| row.seq))
    }

    pub(super) async fn tenant_id(&self, tenant: &TenantName) -> Result<Option<i64>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            id: i64,
        }
        let row: Option<Row> = self.pool.row(&sql::TENANT_BY_NAME, &[tenant.into()]).await?;
        Ok(row.map(|row| row.id))
    }

    /// The names of a tenant's sources.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn source_names(&self, tenant: &TenantName) -> Result<Vec<String>, StoreError> {
        #[derive(FromRow)]
        struct Row {
            name: String,
        }
        let Some(tenant) = self.tenant_id(tenant).await? else { return Ok(Vec::new()) };
        let rows: Vec<Row> = self.pool.rows(&sql::SOURCES, &[tenant.into(), i64::MAX.into()]).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    /// The versions, chains and open findings of a tenant as of a commit.
    ///
    /// # Errors
    /// If the database fails, or the state of an object contradicts its versions.
    pub async fn dump(&self, tenant: &TenantName, seq: i64) -> Result<Value, StoreError> {
        let Some(tenant) = self.tenant_id(tenant).await? else { return Ok(json!({})) };
        let args = [tenant.into(), seq.into()];
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        let idents = self.dump_objects(&args, &mut sources).await?;
        self.dump_sequences(&args, &idents, &mut sources).await?;
        for row in self.dump_rows::<FindingRow>(&sql::DUMP_FINDINGS, &args).await? {
            let finding = json!({"code": row.code, "severity": row.severity, "subject": row.subject});
            sources.entry(row.source).or_default().findings.push(finding);
        }
        Ok(sources
            .into_iter()
            .map(|(name, source)| {
                let Source { objects, sequences, findings } = source;
                (name, json!({"objects": objects, "sequences": sequences, "findings": findings}))
            })
            .collect::<Map<_, _>>()
            .into())
    }

    async fn dump_rows<T: super::driver::Row>(
        &self,
        statement: &'static Statement,
        args: &[Arg],
    ) -> Result<Vec<T>, StoreError> {
        self.pool.rows(statement, args).await
    }

    async fn dump_objects(
        &self,
        args: &[Arg],
        sources: &mut BTreeMap<String, Source>,
    ) -> Result<HashMap<i64, String>, StoreError> {
        let states: HashMap<i64, StateRow> = self
            .dump_rows::<StateRow>(&sql::DUMP_STATES, args)
            .await?
            .into_iter()
            .map(|row| (row.object_id, row))
            .collect();
        let mut idents = HashMap::new();
        let mut objects: BTreeMap<i64, (String, String, Vec<Value>, Option<i64>)> = BTreeMap::new();
        for row in self.dump_rows::<VersionRow>(&sql::DUMP_VERSIONS, args).await? {
            let key = NaturalKey { kind: row.kind, cluster: row.cluster, namespace: row.namespace, name: row.name };
            let uid = Some(row.uid).filter(|uid| !uid.is_empty());
            let object_key = key.object_key(uid.as_deref());
            idents.insert(row.object_id, uid.unwrap_or_else(|| object_key.clone()));
            let object = objects.entry(row.object_id).or_insert((row.source, object_key, Vec::new(), None));
            object.3 = row.to_at;
            object.2.push(json!({
                "from": row.from_at, "to": row.to_at, "end": row.end_kind,
                "content": read_digest(&row.digest)?.hex(), "spec": read_digest(&row.spec_digest)?.hex(),
            }));
        }
        if states.len() != objects.len() {
            return Err(StoreError::Corrupt("states and versions name different objects".to_owned()));
        }
        for (id, (source, key, versions, closed_at)) in objects {
            let agrees = states.get(&id).is_some_and(|state| {
                (state.live != 0) == closed_at.is_none()
                    && state.closed_at == closed_at
                    && usize::try_from(state.versions).is_ok_and(|count| count == versions.len())
            });
            if !agrees {
                return Err(StoreError::Corrupt(format!("the state of {key} contradicts its versions")));
            }
            let object = json!({"live": closed_at.is_none(), "versions": versions});
            sources.entry(source).or_default().objects.insert(key, object);
        }
        Ok(idents)
    }

    async fn dump_sequences(
        &self,
        args: &[Arg],
        idents: &HashMap<i64, String>,
        sources: &mut BTreeMap<String, Source>,
    ) -> Result<(), StoreError> {
        let mut rows: HashMap<EpochKey, BTreeMap<(i64, i64, String), Value>> = HashMap::new();
        for row in self.dump_rows::<RevisionRow>(&sql::DUMP_REVISIONS, args).await? {
            let key = (row.source, format!("{}/{}", row.namespace, row.name), row.epoch_uid);
            let uid = idents.get(&row.object_id).cloned().unwrap_or_default();
            let place = (row.revision, row.first_at, uid.clone());
            let shown = json!({"revision": row.revision, "uid": uid, "live": row.live != 0});
            rows.entry(key).or_default().insert(place, shown);
        }
        for row in self.dump_rows::<EpochRow>(&sql::DUMP_EPOCHS, args).await? {
            let detail: Value = serde_json::from_str(&row.detail)
                .map_err(|e| StoreError::Corrupt(format!("details of epoch {}: {e}", row.uid)))?;
            let name = format!("{}/{}", row.namespace, row.name);
            let place = |part: &str| match &detail[part] {
                Value::Object(place) => json!({"revision": place["revision"], "uid": place["ident"]}),
                _ => Value::Null,
            };
            let revisions = rows.remove(&(row.source.clone(), name.clone(), row.uid.clone())).unwrap_or_default();
            let revisions: Vec<Value> = revisions.into_values().collect();
            let epoch = json!({
                "uid": row.uid, "rank": row.position, "status": row.status, "head": place("head"),
                "active": place("active"), "gaps": detail["gaps"], "forks": detail["forks"], "rows": revisions,
            });
            sources.entry(row.source).or_default().sequences.entry(name).or_default().push(epoch);
        }
        if let Some((name, _)) = rows.into_iter().next() {
            return Err(StoreError::Corrupt(format!("revisions without an epoch: {name:?}")));
        }
        Ok(())
    }
}
