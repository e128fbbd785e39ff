//! Every SQL text, once. Tests prepare each on both databases.

use std::sync::OnceLock;

use super::dialect::{Dialect, expand};

/// A statement of the catalogue.
#[derive(Debug)]
pub struct Statement {
    /// Its name, for tests and logs.
    pub name: &'static str,
    text: &'static str,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Statement {
    const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    /// Its text for a database.
    pub fn text(&'static self, dialect: Dialect) -> &'static str {
        let cell = match dialect {
            Dialect::Sqlite => &self.sqlite,
            Dialect::Postgres => &self.postgres,
        };
        cell.get_or_init(|| expand(self.text, dialect))
    }
}

macro_rules! catalogue {
    ($($(#[doc = $doc:expr])+ $name:ident = $text:expr;)+) => {
        $($(#[doc = $doc])+ pub static $name: Statement = Statement::new(stringify!($name), $text);)+
        /// All statements.
        pub static CATALOGUE: &[&Statement] = &[$(&$name),+];
    };
}

/// The columns of an object's state with a content.
macro_rules! record_fields {
    () => {
        "s.object_id, s.source_id, s.node_id, s.key_hash, s.kind, s.namespace, s.name, s.cluster, s.pack, s.status, \
         s.born_at, s.first_at, s.closed_at, s.end_kind, s.live, s.versions, o.uid, o.last_seen_at, o.heartbeat, \
         n.cluster AS residence, c.digest, c.spec_digest, c.facts, c.warnings, ob.body_id, ob.asserter, \
         ob.resource_version "
    };
}

/// The columns of an object's state with its latest content, for every read of records but chains.
macro_rules! record_columns {
    () => {
        concat!(
            record_fields!(),
            "FROM state s \
             JOIN object o ON o.tenant_id = s.tenant_id AND o.id = s.object_id \
             JOIN node n ON n.tenant_id = s.tenant_id AND n.id = s.node_id \
             JOIN content c ON c.tenant_id = s.tenant_id AND c.id = s.content_id \
             JOIN observation ob ON ob.tenant_id = s.tenant_id AND ob.object_id = s.object_id \
             AND ob.id = s.observation_id "
        )
    };
}

/// The columns of a row of a chain: the result's state with the content of its version.
macro_rules! chain_fields {
    () => {
        concat!("r.revision, r.first_at AS place_at, r.key_hash AS place_hash, r.version_n, ", record_fields!())
    };
}

/// From the rows `r` of chains to what their fields need, as of a commit.
macro_rules! chain_joins {
    ($seq:literal) => {
        concat!(
            "JOIN state s ON s.tenant_id = r.tenant_id AND s.object_id = r.object_id AND s.from_seq <= ",
            $seq,
            " AND s.to_seq > ",
            $seq,
            " JOIN object o ON o.tenant_id = r.tenant_id AND o.id = r.object_id \
             JOIN node n ON n.tenant_id = s.tenant_id AND n.id = s.node_id \
             JOIN version v ON v.tenant_id = r.tenant_id AND v.object_id = r.object_id AND v.n = r.version_n \
             AND v.from_seq <= ",
            $seq,
            " AND v.to_seq > ",
            $seq,
            " JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id \
             JOIN observation ob ON ob.tenant_id = v.tenant_id AND ob.object_id = v.object_id \
             AND ob.id = v.observation_id "
        )
    };
}

/// What narrows a list of records, beside its kind and cluster.
macro_rules! record_filter {
    () => {
        "AND s.from_seq <= $3 AND s.to_seq > $3 AND ($6 = 0 OR s.source_id = $6) AND ($8 = '' OR s.pack = $8) \
         AND ($9 = '' OR s.status = $9) AND ($10 = -1 OR s.live = $10) AND ($11 = '' OR s.namespace = $11) "
    };
}

/// What makes a result one of the packs $7 or of the executions $8.
macro_rules! pack_results {
    () => {
        "AND (EXISTS (SELECT 1 FROM {rows $7: source_id int, name text} p \
         WHERE p.source_id = s.source_id AND p.name = s.pack) \
         OR EXISTS (SELECT 1 FROM revision r JOIN node q ON q.tenant_id = r.tenant_id AND q.id = r.sequence_id \
         JOIN {rows $8: source_id int, namespace text, name text} x ON x.source_id = q.source_id \
         AND x.namespace = q.namespace AND x.name = q.name \
         WHERE r.tenant_id = s.tenant_id AND r.object_id = s.object_id AND r.from_seq <= $2 AND r.to_seq > $2)) "
    };
}

/// The columns of a version with its content.
macro_rules! version_columns {
    () => {
        "v.object_id, v.n, v.from_at, v.to_at, v.end_kind, c.digest, c.spec_digest, c.facts, c.warnings, \
         ob.body_id, ob.resource_version, ob.asserter "
    };
}

macro_rules! version_joins {
    () => {
        "JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id \
         JOIN observation ob ON ob.tenant_id = v.tenant_id AND ob.object_id = v.object_id AND ob.id = v.observation_id "
    };
}

macro_rules! sequence_filter {
    () => {
        "AND ($7 = 0 OR n.source_id = $7) AND ($8 = '' OR n.namespace = $8) AND ($9 = '' OR n.name = $9) \
         AND EXISTS (SELECT 1 FROM epoch e WHERE e.tenant_id = n.tenant_id AND e.sequence_id = n.id \
         AND e.from_seq <= $2 AND e.to_seq > $2 AND ($10 = '' OR e.status = $10)) "
    };
}

/// The columns of a finding, the key of the unit that derives it, and when it was raised.
macro_rules! finding_columns {
    () => {
        "f.id, f.source_id, f.code, f.severity, f.subject, f.detail, f.from_seq, k.committed_at, \
         n.namespace AS unit_namespace, n.name AS unit_name "
    };
}

macro_rules! finding_joins {
    () => {
        "JOIN ledger_commit k ON k.tenant_id = f.tenant_id AND k.seq = f.from_seq \
         JOIN node n ON n.tenant_id = f.tenant_id AND n.id = f.unit_id "
    };
}

/// The columns of an item in quarantine without its bytes.
macro_rules! quarantine_columns {
    () => {
        "q.id, q.source_id, q.from_seq, q.digest, q.code, q.path, q.message, q.principal, q.received_at, q.strict, \
         q.size FROM quarantine q "
    };
}

catalogue! {
    /// Makes a tenant on its first record.
    TENANT_ENSURE = "INSERT INTO tenant (name, next_id) VALUES ($1, 1) ON CONFLICT (name) DO NOTHING";
    /// Finds a tenant.
    TENANT_BY_NAME = "SELECT id FROM tenant WHERE name = $1";
    /// Makes the head of a tenant's ledger.
    LEDGER_ENSURE = "INSERT INTO ledger_head (tenant_id, seq, leaves, committed_at) VALUES ($1, 0, 0, 0) \
        ON CONFLICT (tenant_id) DO NOTHING";
    /// Takes a block of ids, and with it the lock of the tenant's one writer.
    IDS_TAKE = "UPDATE tenant SET next_id = next_id + $2 WHERE id = $1 RETURNING next_id - $2";
    /// Finds a source.
    SOURCE_BY_NAME = "SELECT id, incarnation FROM source WHERE tenant_id = $1 AND name = $2";
    /// Makes a source on its first record.
    SOURCE_INSERT = "INSERT INTO source (tenant_id, id, name, incarnation, created_at, from_seq) \
        VALUES ($1, $2, $3, '', $4, $5)";
    /// Notes a new incarnation of a source.
    SOURCE_INCARNATION = "UPDATE source SET incarnation = $3 WHERE tenant_id = $1 AND id = $2";

    /// Takes the next commit of the ledger: last in a transaction, so that its row is locked briefly.
    LEDGER_TAKE = "UPDATE ledger_head SET seq = seq + 1, leaves = leaves + $2, \
        committed_at = CASE WHEN committed_at > $3 THEN committed_at ELSE $3 END \
        WHERE tenant_id = $1 RETURNING seq, leaves - $2, committed_at";
    /// Writes the commit.
    LEDGER_COMMIT_INSERT = "INSERT INTO ledger_commit (tenant_id, seq, committed_at, entries) VALUES ($1, $2, $3, $4)";
    /// Writes the entries of a commit.
    LEDGER_ENTRIES_INSERT = "INSERT INTO ledger_entry (tenant_id, seq, n, leaf, kind, source_id, identity, \
        content_digest, previous_digest, principal) \
        SELECT $1, $2, r.n, r.leaf, r.kind, r.source_id, r.identity, r.content_digest, r.previous_digest, r.principal \
        FROM {rows $3: n int, leaf int, kind text, source_id int, identity text, content_digest bytes, \
        previous_digest bytes, principal text} r";
    /// Where the ledger stands.
    LEDGER_HEAD = "SELECT seq, leaves, committed_at FROM ledger_head WHERE tenant_id = $1";
    /// Finds nodes by their keys.
    NODES_FIND = "SELECT r.i, n.id FROM {rows $3: i int, kind text, cluster text, namespace text, name text} r \
        JOIN node n ON n.tenant_id = $1 AND n.source_id = $2 AND n.kind = r.kind AND n.namespace = r.namespace \
        AND n.name = r.name AND n.cluster = r.cluster";
    /// Writes new nodes.
    NODES_INSERT = "INSERT INTO node (tenant_id, id, source_id, kind, cluster, namespace, name) \
        SELECT $1, r.id, $2, r.kind, r.cluster, r.namespace, r.name \
        FROM {rows $3: id int, kind text, cluster text, namespace text, name text} r";
    /// The record nodes of a source after one, a page at a time: for rebuilding.
    NODES_PAGE = "SELECT id, kind, cluster, namespace, name FROM node \
        WHERE tenant_id = $1 AND id > $2 AND source_id = $3 ORDER BY id LIMIT $4";

    /// The objects of nodes.
    OBJECTS_OF_NODES = "SELECT id, node_id, uid, sighted_at, last_seen_at FROM object \
        WHERE tenant_id = $1 AND node_id IN {ints $2} ORDER BY id";
    /// Writes new objects.
    OBJECTS_INSERT = "INSERT INTO object (tenant_id, id, node_id, uid, sighted_at, last_seen_at, heartbeat) \
        SELECT $1, r.id, r.node_id, r.uid, r.sighted_at, r.last_seen_at, r.heartbeat \
        FROM {rows $2: id int, node_id int, uid text, sighted_at int, last_seen_at int, heartbeat text} r";
    /// Moves the live values of objects.
    OBJECTS_SEEN = "UPDATE object SET sighted_at = r.sighted_at, last_seen_at = r.last_seen_at, \
        heartbeat = COALESCE(r.heartbeat, object.heartbeat) \
        FROM {rows $2: id int, sighted_at int, last_seen_at int, heartbeat text} r \
        WHERE object.tenant_id = $1 AND object.id = r.id";
    /// The observations of the objects of nodes, with their contents.
    OBSERVATIONS_OF_NODES = "SELECT b.object_id, b.id, b.resource_version, b.content_id, b.deleted, b.stamped_at, \
        b.sighted_at, b.own_time, c.digest, c.spec_digest, c.facts \
        FROM object o JOIN observation b ON b.tenant_id = o.tenant_id AND b.object_id = o.id \
        JOIN content c ON c.tenant_id = b.tenant_id AND c.id = b.content_id \
        WHERE o.tenant_id = $1 AND o.node_id IN {ints $2} ORDER BY b.object_id, b.id";
    /// Writes new observations.
    OBSERVATIONS_INSERT = "INSERT INTO observation (tenant_id, object_id, id, resource_version, content_id, body_id, \
        deleted, stamped_at, sighted_at, own_time, received_at, asserter) \
        SELECT $1, r.object_id, r.id, r.resource_version, r.content_id, r.body_id, r.deleted, r.stamped_at, \
        r.sighted_at, r.own_time, r.received_at, r.asserter \
        FROM {rows $2: object_id int, id int, resource_version text, content_id int, body_id int, deleted int, \
        stamped_at int, sighted_at int, own_time int, received_at int, asserter text} r";
    /// Moves an observation: an earlier sighting, or a later heartbeat in its place.
    OBSERVATIONS_MOVE = "UPDATE observation SET resource_version = r.resource_version, stamped_at = r.stamped_at, \
        sighted_at = r.sighted_at \
        FROM {rows $2: object_id int, id int, resource_version text, stamped_at int, sighted_at int} r \
        WHERE observation.tenant_id = $1 AND observation.object_id = r.object_id AND observation.id = r.id";
    /// The versions that hold now of the objects of nodes, with their contents.
    VERSIONS_OF_NODES = "SELECT o.node_id, o.uid, v.object_id, v.n, v.from_seq, v.from_at, v.to_at, v.end_kind, v.observation_id, \
        v.content_id, c.digest, c.spec_digest, c.facts \
        FROM object o JOIN version v ON v.tenant_id = o.tenant_id AND v.object_id = o.id AND v.to_seq = 9223372036854775807 \
        JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id \
        WHERE o.tenant_id = $1 AND o.node_id IN {ints $2} ORDER BY v.object_id, v.n";

    /// What ever joined collections.
    MEMBERS = "SELECT e.dst, e.src, n.kind, n.cluster, n.namespace, n.name FROM edge e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.src \
        WHERE e.tenant_id = $1 AND e.dst IN {ints $2} AND e.kind = 3 ORDER BY e.dst, e.src";
    /// What reads nodes (1), or is owned by them (2).
    DEPENDENTS = "SELECT e.dst, e.src, n.kind, n.cluster, n.namespace, n.name FROM edge e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.src \
        WHERE e.tenant_id = $1 AND e.dst IN {ints $2} AND e.kind = $3 ORDER BY e.dst, e.src";
    /// The collections that nodes ever joined.
    COLLECTIONS_OF = "SELECT e.dst, e.src, n.kind, n.cluster, n.namespace, n.name FROM edge e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.dst \
        WHERE e.tenant_id = $1 AND e.src IN {ints $2} AND e.kind = 3 ORDER BY e.dst, e.src";
    /// Writes edges that are not there yet.
    EDGES_INSERT = "INSERT INTO edge (tenant_id, dst, kind, src) \
        SELECT $1, r.dst, r.kind, r.src FROM {rows $2: dst int, kind int, src int} r WHERE 1 = 1 \
        ON CONFLICT (tenant_id, dst, kind, src) DO NOTHING";

    /// The first complete listing after a time that covers a kind and a namespace.
    SNAPSHOT_NEXT = "SELECT r.i, (SELECT MIN(s.at) FROM snapshot s WHERE s.tenant_id = $1 AND s.source_id = $2 \
        AND s.kind IN ('', r.kind) AND s.namespace IN ('', r.namespace) AND s.at > r.t) \
        FROM {rows $3: i int, kind text, namespace text, t int} r";
    /// Writes a complete listing.
    SNAPSHOT_INSERT = "INSERT INTO snapshot (tenant_id, source_id, kind, namespace, at, received_at) \
        SELECT $1, $2, r.kind, r.namespace, $4, $5 FROM {rows $3: kind text, namespace text} r WHERE 1 = 1 \
        ON CONFLICT (tenant_id, source_id, kind, namespace, at) DO NOTHING";
    /// The objects that a listing covers and did not see, a page at a time: those that live, and those for
    /// which a later time was inferred than that of this listing.
    SNAPSHOT_OMITTED = "SELECT DISTINCT s.node_id, n.kind, n.cluster, n.namespace, n.name FROM state s \
        JOIN object o ON o.tenant_id = s.tenant_id AND o.id = s.object_id \
        JOIN node n ON n.tenant_id = s.tenant_id AND n.id = s.node_id \
        WHERE s.tenant_id = $1 AND s.to_seq = 9223372036854775807 AND s.source_id = $2 \
        AND (s.live = 1 OR (s.closed_at >= $7 AND s.end_kind IN ('SNAPSHOT', 'OWNER', 'SUCCESSOR'))) \
        AND (s.kind IN {rows $3: name text} OR $4 = 1) AND (s.namespace IN {rows $5: name text} OR $6 = 1) \
        AND (o.sighted_at IS NULL OR o.sighted_at < $7 OR o.uid = '') AND s.node_id > $8 ORDER BY s.node_id LIMIT $9";

    /// Finds contents by digest.
    CONTENTS_FIND = "SELECT r.i, c.id FROM {rows $2: i int, digest bytes} r \
        JOIN content c ON c.tenant_id = $1 AND c.digest = r.digest";
    /// Writes new contents.
    CONTENTS_INSERT = "INSERT INTO content (tenant_id, id, digest, spec_digest, facts, warnings, resource_set_id) \
        SELECT $1, r.id, r.digest, r.spec_digest, r.facts, r.warnings, r.resource_set_id \
        FROM {rows $2: id int, digest bytes, spec_digest bytes, facts text, warnings text, resource_set_id int} r";
    /// Finds bodies by digest.
    BODIES_FIND = "SELECT r.i, b.id FROM {rows $2: i int, digest bytes} r \
        JOIN body b ON b.tenant_id = $1 AND b.digest = r.digest";
    /// Writes new bodies.
    BODIES_INSERT = "INSERT INTO body (tenant_id, id, digest, location, bytes) \
        SELECT $1, r.id, r.digest, 'inline', r.bytes FROM {rows $2: id int, digest bytes, bytes bytes} r";
    /// The bytes of bodies.
    BODIES_BY_ID = "SELECT id, location, bytes FROM body WHERE tenant_id = $1 AND id IN {ints $2}";
    /// Finds resources by their names.
    RESOURCES_FIND = "SELECT r.i, x.id FROM {rows $2: i int, api_version text, kind text, namespace text, name text} r \
        JOIN resource x ON x.tenant_id = $1 AND x.kind = r.kind AND x.namespace = r.namespace AND x.name = r.name \
        AND x.api_version = r.api_version";
    /// Writes new resources.
    RESOURCES_INSERT = "INSERT INTO resource (tenant_id, id, api_version, kind, namespace, name) \
        SELECT $1, r.id, r.api_version, r.kind, r.namespace, r.name \
        FROM {rows $2: id int, api_version text, kind text, namespace text, name text} r";
    /// Finds resource sets by digest.
    RESOURCE_SETS_FIND = "SELECT r.i, x.id FROM {rows $2: i int, digest bytes} r \
        JOIN resource_set x ON x.tenant_id = $1 AND x.digest = r.digest";
    /// Writes new resource sets.
    RESOURCE_SETS_INSERT = "INSERT INTO resource_set (tenant_id, id, digest, size) \
        SELECT $1, r.id, r.digest, r.size FROM {rows $2: id int, digest bytes, size int} r";
    /// Writes the members of new resource sets.
    RESOURCE_MEMBERS_INSERT = "INSERT INTO resource_set_member (tenant_id, set_id, resource_id) \
        SELECT $1, r.set_id, r.resource_id FROM {rows $2: set_id int, resource_id int} r";

    /// The states that hold now of objects.
    STATES_OPEN = "SELECT object_id, node_id, key_hash, kind, born_at, first_at, closed_at, end_kind, live, versions, \
        content_id, observation_id, namespace, name, cluster, pack, status, from_seq FROM state \
        WHERE tenant_id = $1 AND object_id IN {ints $2} AND to_seq = 9223372036854775807";
    /// The epochs that hold now of sequences.
    EPOCHS_OPEN = "SELECT sequence_id, uid, position, status, born_at, revisions, head_id, head_revision, active_id, \
        active_revision, detail, from_seq FROM epoch \
        WHERE tenant_id = $1 AND sequence_id IN {ints $2} AND to_seq = 9223372036854775807";
    /// The revisions that hold now of sequences.
    REVISIONS_OPEN = "SELECT sequence_id, epoch_uid, revision, first_at, key_hash, object_id, version_n, live, superseded, from_seq \
        FROM revision WHERE tenant_id = $1 AND sequence_id IN {ints $2} AND to_seq = 9223372036854775807";
    /// The findings that are open on units.
    FINDINGS_OPEN = "SELECT unit_id, code, subject, severity, detail, id, from_seq FROM finding \
        WHERE tenant_id = $1 AND unit_id IN {ints $2} AND to_seq = 9223372036854775807";

    /// Ends versions.
    VERSIONS_CLOSE = "UPDATE version SET to_seq = $2 FROM {rows $3: object_id int, n int, from_seq int} r \
        WHERE version.tenant_id = $1 AND version.object_id = r.object_id AND version.n = r.n \
        AND version.from_seq = r.from_seq";
    /// Writes versions.
    VERSIONS_INSERT = "INSERT INTO version (tenant_id, object_id, n, from_seq, to_seq, from_at, to_at, end_kind, \
        content_id, observation_id, rules) \
        SELECT $1, r.object_id, r.n, $2, 9223372036854775807, r.from_at, r.to_at, r.end_kind, r.content_id, \
        r.observation_id, $4 \
        FROM {rows $3: object_id int, n int, from_at int, to_at int, end_kind text, content_id int, observation_id int} r";
    /// Ends states.
    STATES_CLOSE = "UPDATE state SET to_seq = $2 FROM {rows $3: object_id int, from_seq int} r \
        WHERE state.tenant_id = $1 AND state.object_id = r.object_id AND state.from_seq = r.from_seq";
    /// Writes states.
    STATES_INSERT = "INSERT INTO state (tenant_id, object_id, from_seq, to_seq, source_id, node_id, key_hash, kind, \
        born_at, first_at, closed_at, end_kind, live, versions, content_id, observation_id, namespace, name, cluster, \
        pack, status, rules) \
        SELECT $1, r.object_id, $2, 9223372036854775807, $4, r.node_id, r.key_hash, r.kind, r.born_at, r.first_at, r.closed_at, \
        r.end_kind, r.live, r.versions, r.content_id, r.observation_id, r.namespace, r.name, r.cluster, r.pack, \
        r.status, $5 \
        FROM {rows $3: object_id int, node_id int, key_hash int, kind text, born_at int, first_at int, closed_at int, end_kind text, \
        live int, versions int, content_id int, observation_id int, namespace text, name text, cluster text, \
        pack text, status text} r";
    /// Ends epochs.
    EPOCHS_CLOSE = "UPDATE epoch SET to_seq = $2 FROM {rows $3: sequence_id int, uid text, from_seq int} r \
        WHERE epoch.tenant_id = $1 AND epoch.sequence_id = r.sequence_id AND epoch.uid = r.uid \
        AND epoch.from_seq = r.from_seq";
    /// Writes epochs.
    EPOCHS_INSERT = "INSERT INTO epoch (tenant_id, sequence_id, uid, from_seq, to_seq, source_id, position, status, \
        born_at, revisions, head_id, head_revision, active_id, active_revision, detail, rules) \
        SELECT $1, r.sequence_id, r.uid, $2, 9223372036854775807, $4, r.position, r.status, r.born_at, r.revisions, \
        r.head_id, r.head_revision, r.active_id, r.active_revision, r.detail, $5 \
        FROM {rows $3: sequence_id int, uid text, position int, status text, born_at int, revisions int, head_id int, \
        head_revision int, active_id int, active_revision int, detail text} r";
    /// Ends revisions.
    REVISIONS_CLOSE = "UPDATE revision SET to_seq = $2 \
        FROM {rows $3: sequence_id int, epoch_uid text, revision int, first_at int, key_hash int, from_seq int} r \
        WHERE revision.tenant_id = $1 AND revision.sequence_id = r.sequence_id AND revision.epoch_uid = r.epoch_uid \
        AND revision.revision = r.revision AND revision.first_at = r.first_at AND revision.key_hash = r.key_hash \
        AND revision.from_seq = r.from_seq";
    /// Writes revisions.
    REVISIONS_INSERT = "INSERT INTO revision (tenant_id, sequence_id, epoch_uid, revision, first_at, key_hash, \
        object_id, from_seq, to_seq, version_n, live, superseded, rules) \
        SELECT $1, r.sequence_id, r.epoch_uid, r.revision, r.first_at, r.key_hash, r.object_id, $2, 9223372036854775807, \
        r.version_n, r.live, r.superseded, $4 \
        FROM {rows $3: sequence_id int, epoch_uid text, revision int, first_at int, key_hash int, object_id int, version_n int, \
        live int, superseded int} r";
    /// Ends findings.
    FINDINGS_CLOSE = "UPDATE finding SET to_seq = $2 FROM {rows $3: unit_id int, code text, subject text, from_seq int} r \
        WHERE finding.tenant_id = $1 AND finding.unit_id = r.unit_id AND finding.code = r.code \
        AND finding.subject = r.subject AND finding.from_seq = r.from_seq";
    /// Writes findings.
    FINDINGS_INSERT = "INSERT INTO finding (tenant_id, unit_id, code, subject, from_seq, to_seq, id, source_id, \
        severity, detail, rules) \
        SELECT $1, r.unit_id, r.code, r.subject, $2, 9223372036854775807, r.id, $4, r.severity, r.detail, $5 \
        FROM {rows $3: unit_id int, code text, subject text, id int, severity text, detail text} r";

    /// What is or was in quarantine already.
    QUARANTINE_FIND = "SELECT id FROM quarantine WHERE tenant_id = $1 AND id IN {ints $2}";
    /// How full the quarantine is.
    QUARANTINE_SIZE = "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM quarantine \
        WHERE tenant_id = $1 AND to_seq = 9223372036854775807";
    /// Puts items into quarantine.
    QUARANTINE_INSERT = "INSERT INTO quarantine (tenant_id, id, source_id, digest, from_seq, to_seq, code, path, \
        message, principal, received_at, strict, size, bytes) \
        SELECT $1, r.id, $4, r.digest, $2, 9223372036854775807, r.code, r.path, r.message, r.principal, \
        r.received_at, r.strict, r.size, r.bytes \
        FROM {rows $3: id int, digest bytes, code text, path text, message text, principal text, received_at int, \
        strict int, size int, bytes bytes} r";
    /// Takes items out of quarantine.
    QUARANTINE_CLOSE = "UPDATE quarantine SET to_seq = $2 WHERE tenant_id = $1 AND id IN {ints $3} \
        AND to_seq = 9223372036854775807";
    /// The items in quarantine as of a commit, newest first, a page at a time; without their bytes.
    QUARANTINE_PAGE = concat!("SELECT ", quarantine_columns!(),
        "WHERE q.tenant_id = $1 AND q.from_seq <= $2 AND q.to_seq > $2 AND (q.from_seq, q.id) < ($3, $4) \
        AND ($6 = 0 OR q.source_id = $6) AND ($7 = '' OR q.code = $7) ORDER BY q.from_seq DESC, q.id DESC LIMIT $5");
    /// The same, oldest first.
    QUARANTINE_PAGE_BACK = concat!("SELECT ", quarantine_columns!(),
        "WHERE q.tenant_id = $1 AND q.from_seq <= $2 AND q.to_seq > $2 AND (q.from_seq, q.id) > ($3, $4) \
        AND ($6 = 0 OR q.source_id = $6) AND ($7 = '' OR q.code = $7) ORDER BY q.from_seq, q.id LIMIT $5");
    /// How many items in quarantine match.
    QUARANTINE_COUNT = "SELECT COUNT(*) FROM quarantine q WHERE q.tenant_id = $1 AND q.from_seq <= $2 AND q.to_seq > $2 \
        AND ($3 = 0 OR q.source_id = $3) AND ($4 = '' OR q.code = $4)";
    /// Items in quarantine as of a commit, by id.
    QUARANTINE_BY_ID = concat!("SELECT ", quarantine_columns!(),
        "WHERE q.tenant_id = $1 AND q.id IN {ints $3} AND q.from_seq <= $2 AND q.to_seq > $2 ORDER BY q.id");
    /// The bytes of items in quarantine.
    QUARANTINE_BYTES = "SELECT id, bytes FROM quarantine WHERE tenant_id = $1 AND id IN {ints $2}";

    /// The answer given to a request before.
    IDEMPOTENCY_FIND = "SELECT request_digest, answer FROM idempotency WHERE tenant_id = $1 AND key = $2";
    /// Keeps an answer.
    IDEMPOTENCY_INSERT = "INSERT INTO idempotency (tenant_id, key, request_digest, answer, created_at) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, key) DO NOTHING";
    /// Forgets old answers.
    IDEMPOTENCY_PRUNE = "DELETE FROM idempotency WHERE tenant_id = $1 AND created_at < $2";

    /// A tenant, where its ledger stands, and its sources, a row each; one row without, where it has none.
    HEAD_OF_TENANT = "SELECT t.id AS tenant_id, h.seq, h.committed_at, s.id, s.name, s.incarnation, s.created_at \
        FROM tenant t JOIN ledger_head h ON h.tenant_id = t.id \
        LEFT JOIN source s ON s.tenant_id = t.id AND s.from_seq <= h.seq WHERE t.name = $1 ORDER BY s.name";
    /// All sources.
    SOURCES = "SELECT id, name, incarnation, created_at FROM source WHERE tenant_id = $1 AND from_seq <= $2 ORDER BY name";
    /// Finds nodes by their sources and keys.
    NODES_LOOKUP = "SELECT r.i, n.id FROM {rows $2: i int, source_id int, kind text, cluster text, namespace text, name text} r \
        JOIN node n ON n.tenant_id = $1 AND n.source_id = r.source_id AND n.kind = r.kind AND n.namespace = r.namespace \
        AND n.name = r.name AND n.cluster = r.cluster";
    /// The objects of nodes with their versions and contents as of a commit: for resolving names in time.
    GROUPS_OF_NODES = "SELECT n.kind, n.cluster, n.namespace, n.name, o.uid, v.object_id, v.from_at, v.to_at, v.end_kind, \
        v.observation_id, c.digest, c.spec_digest, c.facts \
        FROM object o JOIN node n ON n.tenant_id = o.tenant_id AND n.id = o.node_id \
        JOIN version v ON v.tenant_id = o.tenant_id AND v.object_id = o.id AND v.from_seq <= $3 AND v.to_seq > $3 \
        JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id \
        WHERE o.tenant_id = $1 AND o.node_id IN {ints $2} ORDER BY v.object_id, v.n";
    /// One object's state as of a commit.
    RECORDS_BY_OBJECT = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.object_id IN {ints $2} AND s.from_seq <= $3 AND s.to_seq > $3");
    /// The states of all objects of nodes as of a commit.
    RECORDS_BY_NODE = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.node_id IN {ints $2} AND s.from_seq <= $3 AND s.to_seq > $3");
    /// The states of the objects with uids as of a commit; a uid is an object's only within its source.
    RECORDS_BY_UID = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.object_id IN (SELECT u.id FROM {rows $2: uid text} r \
        JOIN object u ON u.tenant_id = $1 AND u.uid = r.uid) AND s.from_seq <= $3 AND s.to_seq > $3");
    /// Records of a kind in order of birth, newest first, a page at a time.
    RECORDS_PAGE = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.kind = $2 AND (s.born_at, s.key_hash) < ($4, $5) ", record_filter!(),
        "AND ($7 = '' OR s.cluster = $7) ORDER BY s.born_at DESC, s.key_hash DESC LIMIT $12");
    /// The same, oldest first.
    RECORDS_PAGE_BACK = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.kind = $2 AND (s.born_at, s.key_hash) > ($4, $5) ", record_filter!(),
        "AND ($7 = '' OR s.cluster = $7) ORDER BY s.born_at, s.key_hash LIMIT $12");
    /// Records of a kind on a cluster in order of birth, newest first: apart, since an optional
    /// condition keeps the index on the cluster from being used.
    RECORDS_OF_CLUSTER_PAGE = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.kind = $2 AND s.cluster = $7 AND (s.born_at, s.key_hash) < ($4, $5) ",
        record_filter!(), "ORDER BY s.born_at DESC, s.key_hash DESC LIMIT $12");
    /// The same, oldest first.
    RECORDS_OF_CLUSTER_PAGE_BACK = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.kind = $2 AND s.cluster = $7 AND (s.born_at, s.key_hash) > ($4, $5) ",
        record_filter!(), "ORDER BY s.born_at, s.key_hash LIMIT $12");
    /// How many records match.
    RECORDS_COUNT = "SELECT COUNT(*) FROM state s WHERE s.tenant_id = $1 AND s.kind = $2 \
        AND s.from_seq <= $3 AND s.to_seq > $3 \
        AND ($4 = 0 OR s.source_id = $4) AND ($5 = '' OR s.cluster = $5) AND ($6 = '' OR s.pack = $6) \
        AND ($7 = '' OR s.status = $7) AND ($8 = -1 OR s.live = $8) AND ($9 = '' OR s.namespace = $9)";
    /// The packs of one base pack as of a commit: by the fact, since no column has it.
    PACKS_OF_BASE = "SELECT DISTINCT s.source_id, s.name FROM state s \
        JOIN content c ON c.tenant_id = s.tenant_id AND c.id = s.content_id \
        WHERE s.tenant_id = $1 AND s.kind = 'ClusterPack' AND s.from_seq <= $2 AND s.to_seq > $2 \
        AND {field c.facts detail.Pack.base} = $3";
    /// The executions of packs on a cluster as of a commit.
    EXECUTIONS_OF_PACKS = "SELECT DISTINCT s.source_id, s.namespace, s.name \
        FROM {rows $4: source_id int, name text} r JOIN state s ON s.tenant_id = $1 AND s.kind = 'PackExecution' \
        AND s.cluster = $3 AND s.source_id = r.source_id AND s.pack = r.name AND s.from_seq <= $2 AND s.to_seq > $2";
    /// The results on a cluster of packs (by name) and of executions (by the sequence they are in) as of
    /// a commit, newest first, a page at a time.
    PACK_RESULTS_PAGE = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.kind = 'PackOperationResult' AND s.cluster = $3 \
        AND (s.born_at, s.key_hash) < ($4, $5) AND s.from_seq <= $2 AND s.to_seq > $2 ", pack_results!(),
        "ORDER BY s.born_at DESC, s.key_hash DESC LIMIT $6");
    /// The same, oldest first.
    PACK_RESULTS_PAGE_BACK = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.kind = 'PackOperationResult' AND s.cluster = $3 \
        AND (s.born_at, s.key_hash) > ($4, $5) AND s.from_seq <= $2 AND s.to_seq > $2 ", pack_results!(),
        "ORDER BY s.born_at, s.key_hash LIMIT $6");
    /// How many there are. The parameters are those of the pages.
    PACK_RESULTS_COUNT = concat!("SELECT COUNT(*) FROM state s \
        WHERE s.tenant_id = $1 AND s.kind = 'PackOperationResult' AND s.cluster = $3 \
        AND (s.born_at, s.key_hash) < ($4, $5) AND s.from_seq <= $2 AND s.to_seq > $2 AND $6 > 0 ", pack_results!());
    /// The versions of an object as of a commit, oldest first, a page at a time.
    VERSIONS_PAGE = concat!("SELECT ", version_columns!(), "FROM version v ", version_joins!(),
        "WHERE v.tenant_id = $1 AND v.object_id = $2 AND v.from_seq <= $3 AND v.to_seq > $3 AND v.n > $4 \
        ORDER BY v.n LIMIT $5");
    /// The same, newest first.
    VERSIONS_PAGE_BACK = concat!("SELECT ", version_columns!(), "FROM version v ", version_joins!(),
        "WHERE v.tenant_id = $1 AND v.object_id = $2 AND v.from_seq <= $3 AND v.to_seq > $3 AND v.n < $4 \
        ORDER BY v.n DESC LIMIT $5");
    /// The same pages of several objects at once, each after its own version.
    VERSIONS_PAGES = concat!("SELECT v.i, ", version_columns!(), "FROM (SELECT r.i, v.*, \
        ROW_NUMBER() OVER (PARTITION BY r.i ORDER BY v.n) AS place FROM {rows $2: i int, object_id int, n int} r \
        JOIN version v ON v.tenant_id = $1 AND v.object_id = r.object_id AND v.n > r.n AND v.from_seq <= $3 \
        AND v.to_seq > $3) v ", version_joins!(), "WHERE v.place <= $4 ORDER BY v.i, v.n");
    /// The same, newest first.
    VERSIONS_PAGES_BACK = concat!("SELECT v.i, ", version_columns!(), "FROM (SELECT r.i, v.*, \
        ROW_NUMBER() OVER (PARTITION BY r.i ORDER BY v.n DESC) AS place FROM {rows $2: i int, object_id int, n int} r \
        JOIN version v ON v.tenant_id = $1 AND v.object_id = r.object_id AND v.n < r.n AND v.from_seq <= $3 \
        AND v.to_seq > $3) v ", version_joins!(), "WHERE v.place <= $4 ORDER BY v.i, v.n DESC");
    /// Sequences in order of source, namespace and name, a page at a time.
    SEQUENCES_PAGE = concat!("SELECT n.id, n.source_id, n.namespace, n.name FROM node n \
        WHERE n.tenant_id = $1 AND n.kind = '~sequence' AND (n.source_id, n.namespace, n.name) > ($3, $4, $5) ",
        sequence_filter!(), "ORDER BY n.source_id, n.namespace, n.name LIMIT $6");
    /// The same backwards.
    SEQUENCES_PAGE_BACK = concat!("SELECT n.id, n.source_id, n.namespace, n.name FROM node n \
        WHERE n.tenant_id = $1 AND n.kind = '~sequence' AND (n.source_id, n.namespace, n.name) < ($3, $4, $5) ",
        sequence_filter!(), "ORDER BY n.source_id DESC, n.namespace DESC, n.name DESC LIMIT $6");
    /// How many sequences match.
    SEQUENCES_COUNT = "SELECT COUNT(DISTINCT e.sequence_id) FROM epoch e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.sequence_id \
        WHERE e.tenant_id = $1 AND e.from_seq <= $2 AND e.to_seq > $2 \
        AND ($3 = 0 OR e.source_id = $3) AND ($4 = '' OR n.namespace = $4) AND ($5 = '' OR n.name = $5) \
        AND ($6 = '' OR e.status = $6)";
    /// The epochs of sequences as of a commit, by age.
    EPOCHS_OF = "SELECT e.sequence_id, e.uid, e.position, e.status, e.born_at, e.revisions, e.head_id, e.head_revision, \
        e.active_id, e.active_revision, e.detail, e.source_id, n.namespace, n.name FROM epoch e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.sequence_id \
        WHERE e.tenant_id = $1 AND e.sequence_id IN {ints $2} AND e.from_seq <= $3 AND e.to_seq > $3 \
        ORDER BY e.sequence_id, e.position";
    /// The same of sequences by their sources and names.
    EPOCHS_BY_NAME = "SELECT x.i, e.sequence_id, e.uid, e.position, e.status, e.born_at, e.revisions, e.head_id, \
        e.head_revision, e.active_id, e.active_revision, e.detail, e.source_id, n.namespace, n.name \
        FROM {rows $2: i int, source_id int, namespace text, name text} x \
        JOIN node n ON n.tenant_id = $1 AND n.source_id = x.source_id AND n.kind = '~sequence' \
        AND n.namespace = x.namespace AND n.name = x.name AND n.cluster = '' \
        JOIN epoch e ON e.tenant_id = n.tenant_id AND e.sequence_id = n.id AND e.from_seq <= $3 AND e.to_seq > $3 \
        ORDER BY x.i, e.position";
    /// The revisions of an epoch as of a commit in the order of the chain, a page at a time.
    REVISIONS_PAGE = concat!("SELECT ", chain_fields!(), "FROM revision r ", chain_joins!("$4"),
        "WHERE r.tenant_id = $1 AND r.sequence_id = $2 AND r.epoch_uid = $3 \
        AND (r.revision, r.first_at, r.key_hash) > ($5, $6, $7) AND r.from_seq <= $4 AND r.to_seq > $4 \
        ORDER BY r.revision, r.first_at, r.key_hash LIMIT $8");
    /// The same against the order of the chain.
    REVISIONS_PAGE_BACK = concat!("SELECT ", chain_fields!(), "FROM revision r ", chain_joins!("$4"),
        "WHERE r.tenant_id = $1 AND r.sequence_id = $2 AND r.epoch_uid = $3 \
        AND (r.revision, r.first_at, r.key_hash) < ($5, $6, $7) AND r.from_seq <= $4 AND r.to_seq > $4 \
        ORDER BY r.revision DESC, r.first_at DESC, r.key_hash DESC LIMIT $8");
    /// The same pages of several epochs at once, each after its own row.
    REVISIONS_PAGES = concat!("SELECT r.i, ", chain_fields!(), "FROM (SELECT r.i, v.*, \
        ROW_NUMBER() OVER (PARTITION BY r.i ORDER BY v.revision, v.first_at, v.key_hash) AS place \
        FROM {rows $2: i int, sequence_id int, epoch_uid text, revision int, first_at int, key_hash int} r \
        JOIN revision v ON v.tenant_id = $1 AND v.sequence_id = r.sequence_id AND v.epoch_uid = r.epoch_uid \
        AND (v.revision, v.first_at, v.key_hash) > (r.revision, r.first_at, r.key_hash) \
        AND v.from_seq <= $3 AND v.to_seq > $3) r ", chain_joins!("$3"), "WHERE r.place <= $4 ORDER BY r.i, r.place");
    /// The same against the order of the chains.
    REVISIONS_PAGES_BACK = concat!("SELECT r.i, ", chain_fields!(), "FROM (SELECT r.i, v.*, \
        ROW_NUMBER() OVER (PARTITION BY r.i ORDER BY v.revision DESC, v.first_at DESC, v.key_hash DESC) AS place \
        FROM {rows $2: i int, sequence_id int, epoch_uid text, revision int, first_at int, key_hash int} r \
        JOIN revision v ON v.tenant_id = $1 AND v.sequence_id = r.sequence_id AND v.epoch_uid = r.epoch_uid \
        AND (v.revision, v.first_at, v.key_hash) < (r.revision, r.first_at, r.key_hash) \
        AND v.from_seq <= $3 AND v.to_seq > $3) r ", chain_joins!("$3"), "WHERE r.place <= $4 ORDER BY r.i, r.place");
    /// Where objects stand in their sequences as of a commit.
    REVISIONS_OF_OBJECTS = "SELECT sequence_id, epoch_uid, revision, first_at, key_hash, object_id, version_n, live, superseded \
        FROM revision WHERE tenant_id = $1 AND object_id IN {ints $2} AND from_seq <= $3 AND to_seq > $3 \
        ORDER BY object_id, version_n";
    /// The findings open on subjects as of a commit.
    FINDINGS_BY_SUBJECT = concat!("SELECT ", finding_columns!(), "FROM {rows $2: subject text} r \
        JOIN finding f ON f.tenant_id = $1 AND f.subject = r.subject AND f.from_seq <= $3 AND f.to_seq > $3 ",
        finding_joins!(), "ORDER BY f.from_seq DESC, f.id DESC");
    /// The findings open as of a commit, newest first, a page at a time.
    FINDINGS_PAGE = concat!("SELECT ", finding_columns!(), "FROM finding f ", finding_joins!(),
        "WHERE f.tenant_id = $1 AND (f.from_seq, f.id) < ($3, $4) AND f.from_seq <= $2 AND f.to_seq > $2 \
        AND ($6 = '' OR f.code = $6) AND ($7 = '' OR f.severity = $7) AND ($8 = 0 OR f.source_id = $8) \
        ORDER BY f.from_seq DESC, f.id DESC LIMIT $5");
    /// The same, oldest first.
    FINDINGS_PAGE_BACK = concat!("SELECT ", finding_columns!(), "FROM finding f ", finding_joins!(),
        "WHERE f.tenant_id = $1 AND (f.from_seq, f.id) > ($3, $4) AND f.from_seq <= $2 AND f.to_seq > $2 \
        AND ($6 = '' OR f.code = $6) AND ($7 = '' OR f.severity = $7) AND ($8 = 0 OR f.source_id = $8) \
        ORDER BY f.from_seq, f.id LIMIT $5");
    /// How many findings match.
    FINDINGS_COUNT = "SELECT COUNT(*) FROM finding f WHERE f.tenant_id = $1 AND f.from_seq <= $2 AND f.to_seq > $2 \
        AND ($3 = '' OR f.code = $3) AND ($4 = '' OR f.severity = $4) AND ($5 = 0 OR f.source_id = $5)";
    /// All versions as of a commit with their objects' keys: for exact comparison of whole states.
    DUMP_VERSIONS = "SELECT v.object_id, s.name AS source, n.kind, n.cluster, n.namespace, n.name, o.uid, v.n, v.from_at, v.to_at, \
        v.end_kind, c.digest, c.spec_digest FROM version v \
        JOIN object o ON o.tenant_id = v.tenant_id AND o.id = v.object_id \
        JOIN node n ON n.tenant_id = o.tenant_id AND n.id = o.node_id \
        JOIN source s ON s.tenant_id = n.tenant_id AND s.id = n.source_id \
        JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id \
        WHERE v.tenant_id = $1 AND v.from_seq <= $2 AND v.to_seq > $2 ORDER BY v.object_id, v.n";
    /// All epochs as of a commit: likewise.
    DUMP_EPOCHS = "SELECT s.name AS source, n.namespace, n.name, e.uid, e.position, e.status, e.head_id, e.head_revision, \
        e.active_id, e.active_revision, e.detail FROM epoch e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.sequence_id \
        JOIN source s ON s.tenant_id = e.tenant_id AND s.id = e.source_id \
        WHERE e.tenant_id = $1 AND e.from_seq <= $2 AND e.to_seq > $2 ORDER BY s.name, n.namespace, n.name, e.position";
    /// All revisions as of a commit: likewise.
    DUMP_REVISIONS = "SELECT s.name AS source, n.namespace, n.name, r.epoch_uid, r.revision, r.first_at, r.object_id, r.live FROM revision r \
        JOIN node n ON n.tenant_id = r.tenant_id AND n.id = r.sequence_id \
        JOIN source s ON s.tenant_id = n.tenant_id AND s.id = n.source_id \
        WHERE r.tenant_id = $1 AND r.from_seq <= $2 AND r.to_seq > $2 \
        ORDER BY s.name, n.namespace, n.name, r.epoch_uid, r.revision, r.first_at, r.object_id";
    /// All findings as of a commit: likewise.
    DUMP_FINDINGS = "SELECT s.name AS source, f.code, f.severity, f.subject FROM finding f \
        JOIN source s ON s.tenant_id = f.tenant_id AND s.id = f.source_id \
        WHERE f.tenant_id = $1 AND f.from_seq <= $2 AND f.to_seq > $2 ORDER BY s.name, f.subject, f.code";
    /// All states as of a commit: likewise.
    DUMP_STATES = "SELECT s.object_id, s.live, s.versions, s.closed_at FROM state s \
        WHERE s.tenant_id = $1 AND s.from_seq <= $2 AND s.to_seq > $2 ORDER BY s.object_id";
    /// Answers whether the database is there.
    PING = "SELECT CAST(1 AS BIGINT)";
}
