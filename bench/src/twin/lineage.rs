//! The twin of the lineage goal: what a pack led to, all of it, found either by one statement a hop or
//! by one recursive statement, and then named by one statement for each kind of rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{Answer, Data, Nodes, OPEN, PostgresClient, Source, failed, numbered, parsed};
use crate::fleet::PACKS;

#[derive(Deserialize)]
struct LineageOf {
    name: String,
}

#[derive(Serialize)]
pub struct LineageAnswer {
    lineage: Nodes<Node>,
}

#[derive(Serialize)]
struct Node {
    id: String,
    kind: &'static str,
    name: String,
}

/// Which statements find the vertices.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// One a hop.
    Hop,
    /// One in all.
    Cte,
}

/// The prepared statements of one connection.
pub struct Prepared {
    root: tokio_postgres::Statement,
    hop: tokio_postgres::Statement,
    walk: tokio_postgres::Statement,
    members: tokio_postgres::Statement,
    names: tokio_postgres::Statement,
    resources: tokio_postgres::Statement,
}

/// The pack of a name: `$1` namespace, `$2` name.
const ROOT: &str = "SELECT o.id FROM source u JOIN node n ON n.tenant_id = 1 AND n.kind = 'ClusterPack' \
    AND n.source_id = u.id AND n.namespace = $1 AND n.name = $2 AND n.cluster = '' \
    JOIN object o ON o.tenant_id = 1 AND o.node_id = n.id WHERE u.tenant_id = 1 AND u.name = 'default'";

/// The effects of vertices: `{ids}` is a condition on a column. Resources come as their set, on a cluster.
fn hop_sql(ids: &str) -> String {
    format!("l.dst, l.within FROM lineage l WHERE l.tenant_id = 1 AND l.src {ids} AND l.to_seq = {OPEN}")
}

/// All effects of a vertex, `$1`, and itself.
fn walk_sql() -> String {
    format!(
        "WITH RECURSIVE w (id, cluster) AS (SELECT CAST($1 AS BIGINT), CAST(0 AS BIGINT) UNION \
         SELECT l.dst, l.within FROM w JOIN lineage l ON l.tenant_id = 1 AND l.src = w.id AND l.to_seq = {OPEN} \
         WHERE w.cluster = 0) SELECT id, cluster FROM w"
    )
}

/// The resources of sets.
fn members_sql(ids: &str) -> String {
    format!("SELECT set_id, resource_id FROM resource_set_member WHERE tenant_id = 1 AND set_id {ids}")
}

/// The names of objects and nodes.
fn names_sql(ids: &str) -> String {
    format!(
        "SELECT o.id, u.name, n.kind, n.cluster, n.namespace, n.name, o.uid FROM object o \
         JOIN node n ON n.tenant_id = 1 AND n.id = o.node_id JOIN source u ON u.tenant_id = 1 AND u.id = n.source_id \
         WHERE o.tenant_id = 1 AND o.id {ids} UNION ALL \
         SELECT n.id, u.name, n.kind, n.cluster, n.namespace, n.name, NULL FROM node n \
         JOIN source u ON u.tenant_id = 1 AND u.id = n.source_id WHERE n.tenant_id = 1 AND n.id {ids}"
    )
}

/// The names of resources.
fn resources_sql(ids: &str) -> String {
    format!("SELECT id, api_version, kind, namespace, name FROM resource WHERE tenant_id = 1 AND id {ids}")
}

const SQLITE_IDS: &str = "IN (SELECT value FROM json_each($1))";
const POSTGRES_IDS: &str = "= ANY ($1)";

impl Prepared {
    pub async fn of(client: &tokio_postgres::Client) -> Result<Self> {
        Ok(Self {
            root: client.prepare(ROOT).await?,
            hop: client.prepare(&format!("SELECT DISTINCT {}", hop_sql(POSTGRES_IDS))).await?,
            walk: client.prepare(&walk_sql()).await?,
            members: client.prepare(&members_sql(POSTGRES_IDS)).await?,
            names: client.prepare(&names_sql(POSTGRES_IDS)).await?,
            resources: client.prepare(&resources_sql(POSTGRES_IDS)).await?,
        })
    }
}

/// Answers what the product answers the lineage query, in another order.
pub async fn lineage(State(source): State<Arc<Source>>, Path(by): Path<By>, body: Bytes) -> Answer<LineageAnswer> {
    let nodes = lineage_of(&source, by, &body).await.map_err(|error| failed(&error))?;
    Ok(Json(Data { data: LineageAnswer { lineage: Nodes { nodes } } }))
}

async fn lineage_of(source: &Arc<Source>, by: By, body: &Bytes) -> Result<Vec<Node>> {
    let asked: LineageOf = parsed(body)?;
    match source.postgres() {
        Some(postgres) => lineage_postgres(postgres, by, &asked.name).await,
        None => source.sqlite(move |db| lineage_sqlite(db, by, &asked.name)).await,
    }
}

/// What was found: objects and nodes, and sets of resources on clusters.
struct Found {
    vertices: HashSet<i64>,
    sets: HashSet<(i64, i64)>,
    /// The vertices of the last hop.
    last: Vec<i64>,
}

impl Found {
    fn from(root: i64) -> Self {
        Self { vertices: HashSet::from([root]), sets: HashSet::new(), last: vec![root] }
    }

    fn add(&mut self, id: i64, within: i64) {
        if within != 0 {
            self.sets.insert((id, within));
        } else if self.vertices.insert(id) {
            self.last.push(id);
        }
    }

    /// The vertices, with the clusters of resources.
    fn named(&self) -> Vec<i64> {
        self.vertices.union(&self.sets.iter().map(|(_, cluster)| *cluster).collect()).copied().collect()
    }

    fn distinct_sets(&self) -> Vec<i64> {
        self.sets.iter().map(|(set, _)| *set).collect::<HashSet<_>>().into_iter().collect()
    }

    /// The resources on clusters, and the resources.
    fn resources(&self, members: &[(i64, i64)]) -> (HashSet<(i64, i64)>, Vec<i64>) {
        let of = |set: i64| members.iter().filter(move |member| member.0 == set).map(|member| member.1);
        let on = self.sets.iter().flat_map(|(set, cluster)| of(*set).map(|resource| (resource, *cluster))).collect();
        (on, members.iter().map(|member| member.1).collect::<HashSet<_>>().into_iter().collect())
    }
}

/// The names of an object or node, as the database holds them.
struct Names<'a> {
    source: &'a str,
    kind: &'a str,
    cluster: &'a str,
    namespace: &'a str,
    name: &'a str,
    uid: Option<&'a str>,
}

/// The names of a resource.
struct Resource {
    id: i64,
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
}

#[derive(Serialize)]
enum Id<'a> {
    #[serde(rename = "r")]
    Record(&'a str, &'a str, &'a str, &'a str, &'a str, &'a str),
    #[serde(rename = "k")]
    Cluster(&'a str, &'a str),
    #[serde(rename = "v")]
    Vertex(Vertex<'a>),
}

#[derive(Serialize)]
struct Vertex<'a> {
    source: &'a str,
    kind: VertexKind<'a>,
    cluster: &'a str,
    namespace: &'a str,
    name: &'a str,
    uid: Option<&'a str>,
}

#[derive(Serialize)]
enum VertexKind<'a> {
    Placeholder(&'a str),
    Thing(&'a str),
    Resource(&'a str, &'a str),
}

fn encoded(id: &Id) -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(id)?))
}

fn node(names: &Names) -> Result<Node> {
    let Names { source, kind, cluster, namespace, name, uid } = *names;
    let vertex = |kind| Id::Vertex(Vertex { source, kind, cluster, namespace, name, uid: None });
    let id = match (uid, kind) {
        (Some(uid), _) => Id::Record(source, kind, cluster, namespace, name, uid),
        (None, "~cluster") => Id::Cluster(source, name),
        (None, kind) if kind.starts_with('~') => vertex(VertexKind::Thing(kind)),
        (None, kind) => vertex(VertexKind::Placeholder(kind)),
    };
    Ok(Node { id: encoded(&id)?, kind: kind_of(kind)?, name: name.to_owned() })
}

fn kind_of(stored: &str) -> Result<&'static str> {
    Ok(match stored {
        "ClusterPack" => "CLUSTER_PACK",
        "PackExecution" => "PACK_EXECUTION",
        "PackOperationResult" => "OPERATION_RESULT",
        "PackReceipt" => "PACK_RECEIPT",
        "Job.batch" => "JOB",
        "~cluster" => "CLUSTER",
        "~artifact" | "~digest" => "ARTIFACT",
        other => anyhow::bail!("{other} is not expected"),
    })
}

/// The nodes of resources on clusters. `clusters` are the names of sources and clusters by row.
fn resource_nodes(
    on: &HashSet<(i64, i64)>,
    resources: &[Resource],
    clusters: &HashMap<i64, (String, String)>,
) -> Result<Vec<Node>> {
    let by_id: HashMap<i64, &Resource> = resources.iter().map(|found| (found.id, found)).collect();
    let node = |(resource, cluster): &(i64, i64)| {
        let Resource { api_version, kind, namespace, name, .. } = by_id.get(resource).context("a resource")?;
        let (source, cluster) = clusters.get(cluster).context("a cluster")?;
        let kind = VertexKind::Resource(api_version, kind);
        let id = encoded(&Id::Vertex(Vertex { source, kind, cluster, namespace, name, uid: None }))?;
        Ok(Node { id, kind: "DEPLOYED_RESOURCE", name: name.clone() })
    };
    on.iter().map(node).collect()
}

fn lineage_sqlite(db: &rusqlite::Connection, by: By, name: &str) -> Result<Vec<Node>> {
    let root = db.prepare_cached(&numbered(ROOT))?.query_row((PACKS, name), |row| row.get(0))?;
    let mut found = Found::from(root);
    match by {
        By::Hop => {
            let sql = numbered(&format!("SELECT {}", hop_sql(SQLITE_IDS)));
            while !found.last.is_empty() {
                let mut statement = db.prepare_cached(&sql)?;
                let mut rows = statement.query([serde_json::to_string(&std::mem::take(&mut found.last))?])?;
                while let Some(row) = rows.next()? {
                    found.add(row.get(0)?, row.get(1)?);
                }
            }
        }
        By::Cte => {
            let mut statement = db.prepare_cached(&numbered(&walk_sql()))?;
            let mut rows = statement.query([root])?;
            while let Some(row) = rows.next()? {
                found.add(row.get(0)?, row.get(1)?);
            }
        }
    }
    let members: Vec<(i64, i64)> = db
        .prepare_cached(&numbered(&members_sql(SQLITE_IDS)))?
        .query_map([serde_json::to_string(&found.distinct_sets())?], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let (on, resources) = found.resources(&members);
    let (mut nodes, mut clusters) = (Vec::new(), HashMap::new());
    let mut statement = db.prepare_cached(&numbered(&names_sql(SQLITE_IDS)))?;
    let mut rows = statement.query([serde_json::to_string(&found.named())?])?;
    while let Some(row) = rows.next()? {
        let text = |i: usize| row.get_ref(i)?.as_str().map_err(anyhow::Error::from);
        let (source, kind, name) = (text(1)?, text(2)?, text(5)?);
        let uid = row.get_ref(6)?.as_str_or_null()?;
        let id = row.get(0)?;
        if kind == "~cluster" {
            clusters.insert(id, (source.to_owned(), name.to_owned()));
        }
        if found.vertices.contains(&id) {
            nodes.push(node(&Names { source, kind, cluster: text(3)?, namespace: text(4)?, name, uid })?);
        }
    }
    let resources: Vec<Resource> = db
        .prepare_cached(&numbered(&resources_sql(SQLITE_IDS)))?
        .query_map([serde_json::to_string(&resources)?], |row| {
            let (id, api_version, kind, namespace, name) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(Resource { id, api_version, kind, namespace, name })
        })?
        .collect::<rusqlite::Result<_>>()?;
    nodes.extend(resource_nodes(&on, &resources, &clusters)?);
    Ok(nodes)
}

async fn lineage_postgres(postgres: &PostgresClient, by: By, name: &str) -> Result<Vec<Node>> {
    let (client, prepared) = (&postgres.client, &postgres.lineage);
    let root: i64 = client.query_one(&prepared.root, &[&PACKS, &name]).await?.get(0);
    let mut found = Found::from(root);
    match by {
        By::Hop => {
            while !found.last.is_empty() {
                let from = std::mem::take(&mut found.last);
                for row in client.query(&prepared.hop, &[&from]).await? {
                    found.add(row.get(0), row.get(1));
                }
            }
        }
        By::Cte => {
            for row in client.query(&prepared.walk, &[&root]).await? {
                found.add(row.get(0), row.get(1));
            }
        }
    }
    let rows = client.query(&prepared.members, &[&found.distinct_sets()]).await?;
    let members: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let (on, resources) = found.resources(&members);
    let (mut nodes, mut clusters) = (Vec::new(), HashMap::new());
    // Side by side, since neither needs the other.
    let named = found.named();
    let (names_rows, resource_rows) =
        tokio::try_join!(async { client.query(&prepared.names, &[&named]).await }, async {
            client.query(&prepared.resources, &[&resources]).await
        },)?;
    for row in &names_rows {
        let (id, source, kind, name) = (row.get(0), row.get(1), row.get::<_, &str>(2), row.get(5));
        if kind == "~cluster" {
            clusters.insert(id, (str::to_owned(source), str::to_owned(name)));
        }
        if found.vertices.contains(&id) {
            nodes.push(node(&Names {
                source,
                kind,
                cluster: row.get(3),
                namespace: row.get(4),
                name,
                uid: row.get(6),
            })?);
        }
    }
    let resource = |row: &tokio_postgres::Row| Resource {
        id: row.get(0),
        api_version: row.get(1),
        kind: row.get(2),
        namespace: row.get(3),
        name: row.get(4),
    };
    let resources: Vec<Resource> = resource_rows.iter().map(resource).collect();
    nodes.extend(resource_nodes(&on, &resources, &clusters)?);
    Ok(nodes)
}
