//! The raw twin of the reading goals: axum, a pool of connections, hand-written SQL over the
//! product's own tables, and serde_json. It answers `/chain`, `/nested` and `/lineage` as the product
//! answers the GraphQL queries of [`crate::goals`], always as of the latest commit, and does nothing else: no
//! authentication, no limits, no GraphQL.

pub mod broadcast;
mod lineage;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::OpenFlags;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::database::connect;
use crate::fleet::{PACKS, rfc3339};

/// Connections that the product reads with.
const SQLITE_READERS: usize = 8;
/// Likewise on Postgres.
const POSTGRES_CONNECTIONS: usize = 10;
/// `to_seq` of a row that still holds.
const OPEN: &str = "9223372036854775807";

/// The queries of one database.
enum Source {
    Sqlite { free: Mutex<Vec<rusqlite::Connection>>, places: Semaphore },
    Postgres { clients: Vec<PostgresClient>, next: std::sync::atomic::AtomicUsize },
}

struct PostgresClient {
    client: tokio_postgres::Client,
    epoch: tokio_postgres::Statement,
    chain: tokio_postgres::Statement,
    executions: tokio_postgres::Statement,
    chains: tokio_postgres::Statement,
    revisions: tokio_postgres::Statement,
    packs: tokio_postgres::Statement,
    lineage: lineage::Prepared,
}

/// Serves until it is killed.
pub async fn serve(database: &str) -> Result<()> {
    let source = match database.strip_prefix("sqlite://") {
        Some(file) => {
            let open = || rusqlite::Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY);
            let free = (0..SQLITE_READERS).map(|_| open()).collect::<rusqlite::Result<Vec<_>>>()?;
            Source::Sqlite { free: Mutex::new(free), places: Semaphore::new(SQLITE_READERS) }
        }
        None => {
            let mut clients = Vec::new();
            for _ in 0..POSTGRES_CONNECTIONS {
                clients.push(PostgresClient::open(database).await?);
            }
            Source::Postgres { clients, next: std::sync::atomic::AtomicUsize::new(0) }
        }
    };
    let router = Router::new()
        .route("/chain", post(chain))
        .route("/nested", post(nested))
        .route("/lineage/{by}", post(lineage::lineage))
        .route("/empty", post(async || Json(Data { data: () })))
        .with_state(Arc::new(source));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, router).await?;
    Ok(())
}

type Answer<T> = Result<Json<Data<T>>, (StatusCode, String)>;

#[derive(Serialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Request<V> {
    variables: V,
}

#[derive(Deserialize)]
struct ChainOf {
    namespace: String,
    name: String,
    first: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChainAnswer {
    revision_chain: Option<Chain>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chain {
    status: String,
    epoch_uid: String,
    revisions: Nodes<Revision>,
}

#[derive(Serialize)]
struct Nodes<T> {
    nodes: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Revision {
    id: String,
    name: String,
    namespace: String,
    uid: String,
    revision: i64,
    status: &'static str,
    started_at: Option<String>,
    completed_at: Option<String>,
    capability: Option<String>,
    target_cluster_ref: Option<String>,
    live: bool,
}

/// What the twin needs of the stored facts.
#[derive(Deserialize)]
struct Facts<'a> {
    #[serde(borrow)]
    cluster: Option<Cow<'a, str>>,
    #[serde(borrow)]
    detail: Detail<'a>,
}

#[derive(Deserialize)]
enum Detail<'a> {
    Result(#[serde(borrow)] ResultFacts<'a>),
    Execution(#[serde(borrow)] ExecutionFacts<'a>),
}

#[derive(Deserialize)]
struct ResultFacts<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    capability: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pack: Option<Cow<'a, str>>,
    started: Option<i64>,
    completed: Option<i64>,
}

#[derive(Deserialize)]
struct ExecutionFacts<'a> {
    #[serde(borrow)]
    pack: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pack_version: Option<Cow<'a, str>>,
}

fn status(word: Option<&str>) -> &'static str {
    match word {
        Some("Succeeded") => "SUCCEEDED",
        Some("Failed") => "FAILED",
        _ => "UNKNOWN",
    }
}

/// The newest epoch of a sequence: `$1` namespace, `$2` name.
fn epoch_sql() -> String {
    format!(
        "SELECT e.sequence_id, e.uid, e.status, u.name FROM source u JOIN node n ON n.tenant_id = 1 \
         AND n.kind = '~sequence' AND n.source_id = u.id AND n.namespace = $1 AND n.name = $2 AND n.cluster = '' \
         JOIN epoch e ON e.tenant_id = 1 AND e.sequence_id = n.id AND e.to_seq = {OPEN} \
         WHERE u.tenant_id = 1 AND u.name = 'default' ORDER BY e.position DESC LIMIT 1"
    )
}

/// The rows of a chain: `$1` sequence, `$2` epoch, `$3` how many.
fn chain_sql() -> String {
    format!(
        "SELECT r.revision, s.namespace, s.name, s.live, o.uid, c.facts FROM revision r \
         JOIN state s ON s.tenant_id = 1 AND s.object_id = r.object_id AND s.to_seq = {OPEN} \
         JOIN object o ON o.tenant_id = 1 AND o.id = r.object_id \
         JOIN content c ON c.tenant_id = 1 AND c.id = s.content_id \
         WHERE r.tenant_id = 1 AND r.sequence_id = $1 AND r.epoch_uid = $2 AND r.to_seq = {OPEN} \
         ORDER BY r.revision, r.first_at, r.key_hash LIMIT $3"
    )
}

/// The newest executions: `$1` how many.
fn executions_sql() -> String {
    format!(
        "SELECT s.namespace, s.name, s.live, o.uid, c.facts FROM state s \
         JOIN object o ON o.tenant_id = 1 AND o.id = s.object_id \
         JOIN content c ON c.tenant_id = 1 AND c.id = s.content_id \
         WHERE s.tenant_id = 1 AND s.kind = 'PackExecution' AND s.to_seq = {OPEN} \
         ORDER BY s.born_at DESC, s.key_hash DESC LIMIT $1"
    )
}

/// The epochs of executions: `{names}` is a relation of namespace, name and uid.
fn chains_sql(names: &str) -> String {
    format!(
        "SELECT j.uid, e.sequence_id, e.status FROM {names} \
         JOIN source u ON u.tenant_id = 1 AND u.name = 'default' \
         JOIN node n ON n.tenant_id = 1 AND n.kind = '~sequence' AND n.source_id = u.id \
         AND n.namespace = j.namespace AND n.name = j.name AND n.cluster = '' \
         JOIN epoch e ON e.tenant_id = 1 AND e.sequence_id = n.id AND e.uid = j.uid AND e.to_seq = {OPEN}"
    )
}

/// The first rows of chains: `{chains}` is a relation of sequence and uid, `$3` how many of each.
fn revisions_sql(chains: &str) -> String {
    format!(
        "SELECT p.uid, p.revision, s.name, c.facts FROM (SELECT j.uid, r.revision, r.object_id, \
         ROW_NUMBER() OVER (PARTITION BY r.sequence_id, r.epoch_uid ORDER BY r.revision, r.first_at, r.key_hash) AS place \
         FROM {chains} JOIN revision r ON r.tenant_id = 1 AND r.sequence_id = j.sequence AND r.epoch_uid = j.uid \
         AND r.to_seq = {OPEN}) p \
         JOIN state s ON s.tenant_id = 1 AND s.object_id = p.object_id AND s.to_seq = {OPEN} \
         JOIN content c ON c.tenant_id = 1 AND c.id = s.content_id WHERE p.place <= $3 ORDER BY p.uid, p.place"
    )
}

/// The uids of packs by name: `{names}` is a relation of names, `$1` the namespace.
fn packs_sql(names: &str) -> String {
    format!(
        "SELECT n.name, o.uid FROM {names} JOIN source u ON u.tenant_id = 1 AND u.name = 'default' \
         JOIN node n ON n.tenant_id = 1 AND n.kind = 'ClusterPack' AND n.source_id = u.id AND n.namespace = $1 \
         AND n.name = j.name AND n.cluster = '' JOIN object o ON o.tenant_id = 1 AND o.node_id = n.id"
    )
}

/// `?1` for `$1`: SQLite takes the latter for a name, and numbers names as they come.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

impl PostgresClient {
    async fn open(url: &str) -> Result<Self> {
        let client = connect(url).await?;
        Ok(Self {
            epoch: client.prepare(&epoch_sql()).await?,
            chain: client.prepare(&chain_sql()).await?,
            executions: client.prepare(&executions_sql()).await?,
            chains: client
                .prepare(&chains_sql("UNNEST($1::text[], $2::text[], $3::text[]) AS j (namespace, name, uid)"))
                .await?,
            revisions: client.prepare(&revisions_sql("UNNEST($1::bigint[], $2::text[]) AS j (sequence, uid)")).await?,
            packs: client.prepare(&packs_sql("UNNEST($2::text[]) AS j (name)")).await?,
            lineage: lineage::Prepared::of(&client).await?,
            client,
        })
    }
}

impl Source {
    /// Runs on a connection of its own, off the threads that serve.
    async fn sqlite<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let Self::Sqlite { places, .. } = &**self else { anyhow::bail!("not SQLite") };
        let _place = places.acquire().await?;
        let source = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let Self::Sqlite { free, .. } = &*source else { anyhow::bail!("not SQLite") };
            let taken = free.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.pop();
            let connection = taken.context("a place is a connection")?;
            let done = work(&connection);
            free.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.push(connection);
            done
        })
        .await?
    }

    fn postgres(&self) -> Option<&PostgresClient> {
        let Self::Postgres { clients, next } = self else { return None };
        Some(&clients[next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % clients.len()])
    }
}

fn failed(error: &anyhow::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}

fn parsed<V: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<V> {
    Ok(serde_json::from_slice::<Request<V>>(body)?.variables)
}

async fn chain(State(source): State<Arc<Source>>, body: Bytes) -> Answer<ChainAnswer> {
    let revision_chain = chain_of(&source, &body).await.map_err(|error| failed(&error))?;
    Ok(Json(Data { data: ChainAnswer { revision_chain } }))
}

async fn chain_of(source: &Arc<Source>, body: &Bytes) -> Result<Option<Chain>> {
    let asked: ChainOf = parsed(body)?;
    if let Some(postgres) = source.postgres() {
        let Some(row) = postgres.client.query_opt(&postgres.epoch, &[&asked.namespace, &asked.name]).await? else {
            return Ok(None);
        };
        let (sequence, uid, status, origin): (i64, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let rows = postgres.client.query(&postgres.chain, &[&sequence, &uid, &asked.first]).await?;
        let nodes = rows
            .iter()
            .map(|row| {
                revision(&origin, row.get(0), row.get(1), row.get(2), row.get::<_, i64>(3) == 1, row.get(4), row.get(5))
            })
            .collect::<Result<_>>()?;
        return Ok(Some(Chain { status, epoch_uid: uid, revisions: Nodes { nodes } }));
    }
    source
        .sqlite(move |db| {
            let mut statement = db.prepare_cached(&numbered(&epoch_sql()))?;
            let mut rows = statement.query((&asked.namespace, &asked.name))?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let (sequence, uid, status, origin): (i64, String, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let mut statement = db.prepare_cached(&numbered(&chain_sql()))?;
            let mut rows = statement.query((sequence, &uid, asked.first))?;
            let mut nodes = Vec::new();
            while let Some(row) = rows.next()? {
                let text = |i: usize| row.get_ref(i)?.as_str().map_err(anyhow::Error::from);
                nodes.push(revision(
                    &origin,
                    row.get(0)?,
                    text(1)?,
                    text(2)?,
                    row.get::<_, i64>(3)? == 1,
                    text(4)?,
                    text(5)?,
                )?);
            }
            Ok(Some(Chain { status, epoch_uid: uid, revisions: Nodes { nodes } }))
        })
        .await
}

#[derive(Serialize)]
struct Id<'a> {
    r: (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str),
}

fn revision(
    origin: &str,
    revision: i64,
    namespace: &str,
    name: &str,
    live: bool,
    uid: &str,
    facts: &str,
) -> Result<Revision> {
    let facts: Facts = serde_json::from_str(facts)?;
    let Detail::Result(result) = facts.detail else { anyhow::bail!("{name} is no result") };
    let id = Id { r: (origin, "PackOperationResult", "", namespace, name, uid) };
    Ok(Revision {
        id: URL_SAFE_NO_PAD.encode(serde_json::to_vec(&id)?),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: uid.to_owned(),
        revision,
        status: status(result.status.as_deref()),
        started_at: result.started.map(rfc3339),
        completed_at: result.completed.map(rfc3339),
        capability: result.capability.map(Cow::into_owned),
        target_cluster_ref: facts.cluster.map(Cow::into_owned),
        live,
    })
}

#[derive(Deserialize)]
struct NestedOf {
    executions: i64,
    revisions: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NestedAnswer {
    pack_executions: Nodes<Execution>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Execution {
    #[serde(skip)]
    namespace: String,
    name: String,
    uid: String,
    live: bool,
    target_cluster_ref: Option<String>,
    cluster_pack: Option<PackRef>,
    revision_chain: Option<ShortChain>,
}

#[derive(Serialize)]
struct PackRef {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    record: Option<Uid>,
}

#[derive(Serialize)]
struct Uid {
    uid: String,
}

#[derive(Serialize)]
struct ShortChain {
    status: String,
    revisions: Nodes<ShortRevision>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShortRevision {
    name: String,
    revision: i64,
    status: &'static str,
    completed_at: Option<String>,
    cluster_pack: Option<PackRef>,
}

async fn nested(State(source): State<Arc<Source>>, body: Bytes) -> Answer<NestedAnswer> {
    let nodes = nested_of(&source, &body).await.map_err(|error| failed(&error))?;
    Ok(Json(Data { data: NestedAnswer { pack_executions: Nodes { nodes } } }))
}

async fn nested_of(source: &Arc<Source>, body: &Bytes) -> Result<Vec<Execution>> {
    let asked: NestedOf = parsed(body)?;
    match source.postgres() {
        Some(postgres) => nested_postgres(postgres, &asked).await,
        None => source.sqlite(move |db| nested_sqlite(db, &asked)).await,
    }
}

async fn nested_postgres(postgres: &PostgresClient, asked: &NestedOf) -> Result<Vec<Execution>> {
    let client = &postgres.client;
    let rows = client.query(&postgres.executions, &[&asked.executions]).await?;
    let mut nodes = rows
        .iter()
        .map(|row| execution(row.get(0), row.get(1), row.get::<_, i64>(2) == 1, row.get(3), row.get(4)))
        .collect::<Result<Vec<_>>>()?;
    let of = |read: fn(&Execution) -> &str| nodes.iter().map(read).collect::<Vec<&str>>();
    let (namespaces, names, uids) = (of(|e| &e.namespace), of(|e| &e.name), of(|e| &e.uid));
    let rows = client.query(&postgres.chains, &[&namespaces, &names, &uids]).await?;
    let chains: Chains = rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    let (uids, sequences) = attach_chains(&mut nodes, chains);
    let rows = client.query(&postgres.revisions, &[&sequences, &uids, &asked.revisions]).await?;
    for row in &rows {
        attach_revision(&mut nodes, row.get(0), row.get(1), row.get(2), row.get(3))?;
    }
    let names = pack_names(&nodes);
    let rows = client.query(&postgres.packs, &[&PACKS, &names]).await?;
    attach_packs(&mut nodes, &rows.iter().map(|row| (row.get(0), row.get(1))).collect());
    Ok(nodes)
}

fn nested_sqlite(db: &rusqlite::Connection, asked: &NestedOf) -> Result<Vec<Execution>> {
    let mut statement = db.prepare_cached(&numbered(&executions_sql()))?;
    let mut rows = statement.query([asked.executions])?;
    let mut nodes = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |i: usize| row.get_ref(i)?.as_str().map_err(anyhow::Error::from);
        nodes.push(execution(text(0)?, text(1)?, row.get::<_, i64>(2)? == 1, text(3)?, text(4)?)?);
    }
    let list: Vec<_> = nodes.iter().map(|e: &Execution| (&e.namespace, &e.name, &e.uid)).collect();
    let names = "(SELECT value ->> 0 AS namespace, value ->> 1 AS name, value ->> 2 AS uid FROM json_each($1)) j";
    let chains: Chains = db
        .prepare_cached(&numbered(&chains_sql(names)))?
        .query_map([serde_json::to_string(&list)?], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<rusqlite::Result<_>>()?;
    let (uids, sequences) = attach_chains(&mut nodes, chains);
    let list: Vec<_> = sequences.iter().zip(&uids).collect();
    let names = "(SELECT value ->> 0 AS sequence, value ->> 1 AS uid FROM json_each($1)) j";
    let sql = numbered(&revisions_sql(names).replace("$3", "$2"));
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query((serde_json::to_string(&list)?, asked.revisions))?;
    while let Some(row) = rows.next()? {
        let text = |i: usize| row.get_ref(i)?.as_str().map_err(anyhow::Error::from);
        attach_revision(&mut nodes, text(0)?, row.get(1)?, text(2)?, text(3)?)?;
    }
    let names = pack_names(&nodes);
    let packs = db
        .prepare_cached(&numbered(&packs_sql("(SELECT value AS name FROM json_each($2)) j")))?
        .query_map((PACKS, serde_json::to_string(&names)?), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    attach_packs(&mut nodes, &packs);
    Ok(nodes)
}

/// By uid: sequence and status.
type Chains = HashMap<String, (i64, String)>;

fn execution(namespace: &str, name: &str, live: bool, uid: &str, facts: &str) -> Result<Execution> {
    let facts: Facts = serde_json::from_str(facts)?;
    let Detail::Execution(detail) = facts.detail else { anyhow::bail!("{name} is no execution") };
    let version = detail.pack_version.map(Cow::into_owned);
    let cluster_pack = detail.pack.map(|name| PackRef { name: name.into_owned(), version, record: None });
    Ok(Execution {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        live,
        target_cluster_ref: facts.cluster.map(Cow::into_owned),
        cluster_pack,
        revision_chain: None,
    })
}

fn attach_chains(nodes: &mut [Execution], mut chains: Chains) -> (Vec<String>, Vec<i64>) {
    let (mut uids, mut sequences) = (Vec::new(), Vec::new());
    for node in nodes {
        if let Some((sequence, status)) = chains.remove(&node.uid) {
            uids.push(node.uid.clone());
            sequences.push(sequence);
            node.revision_chain = Some(ShortChain { status, revisions: Nodes { nodes: Vec::new() } });
        }
    }
    (uids, sequences)
}

fn attach_revision(nodes: &mut [Execution], uid: &str, revision: i64, name: &str, facts: &str) -> Result<()> {
    let facts: Facts = serde_json::from_str(facts)?;
    let Detail::Result(result) = facts.detail else { anyhow::bail!("{name} is no result") };
    let chain = nodes.iter_mut().find(|node| node.uid == uid).and_then(|node| node.revision_chain.as_mut());
    let cluster_pack = result.pack.map(|name| PackRef { name: name.into_owned(), version: None, record: None });
    chain.context("it was asked for")?.revisions.nodes.push(ShortRevision {
        name: name.to_owned(),
        revision,
        status: status(result.status.as_deref()),
        completed_at: result.completed.map(rfc3339),
        cluster_pack,
    });
    Ok(())
}

fn pack_refs(nodes: &mut [Execution]) -> impl Iterator<Item = &mut PackRef> {
    nodes.iter_mut().flat_map(|node| {
        let below = node.revision_chain.iter_mut().flat_map(|chain| &mut chain.revisions.nodes);
        node.cluster_pack.iter_mut().chain(below.filter_map(|revision| revision.cluster_pack.as_mut()))
    })
}

fn pack_names(nodes: &[Execution]) -> Vec<String> {
    let below = |node: &Execution| {
        let revisions = node.revision_chain.iter().flat_map(|chain| &chain.revisions.nodes);
        revisions.filter_map(|revision| Some(revision.cluster_pack.as_ref()?.name.clone())).collect::<Vec<_>>()
    };
    let own = nodes.iter().filter_map(|node| Some(node.cluster_pack.as_ref()?.name.clone()));
    let mut names: Vec<String> = own.chain(nodes.iter().flat_map(below)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn attach_packs(nodes: &mut [Execution], packs: &HashMap<String, String>) {
    for reference in pack_refs(nodes) {
        reference.record = packs.get(&reference.name).map(|uid| Uid { uid: uid.clone() });
    }
}
