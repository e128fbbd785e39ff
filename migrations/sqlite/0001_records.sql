-- Every key begins with the tenant. Times are microseconds since 1970 (UTC). Flags are 0 or 1.
-- Rows with from_seq and to_seq hold from one commit of the ledger until before another; to_seq is
-- the highest integer while the row still holds, so that one comparison answers for any commit.

CREATE TABLE tenant (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- The next free id of any row of the tenant. Taking ids is also the lock of its one writer.
    next_id INTEGER NOT NULL
) STRICT;

CREATE TABLE source (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- Tells the objects of before and after a rebuild under the same name apart.
    incarnation TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
) STRICT, WITHOUT ROWID;

-- The ledger: one row a commit, gap-free, and the entries in it.
CREATE TABLE ledger_head (
    tenant_id INTEGER NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    leaves INTEGER NOT NULL,
    committed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE ledger_commit (
    tenant_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_entry (
    tenant_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    -- The entry's place in the tenant's Merkle log, gap-free.
    leaf INTEGER NOT NULL,
    kind TEXT NOT NULL,
    source_id INTEGER,
    identity TEXT NOT NULL,
    content_digest BLOB,
    previous_digest BLOB,
    principal TEXT NOT NULL,
    PRIMARY KEY (tenant_id, seq, n),
    UNIQUE (tenant_id, leaf)
) STRICT, WITHOUT ROWID;

-- Natural keys, and the collections that rules speak about, as integers.
CREATE TABLE node (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    cluster TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    -- The kind first, so that lists of one kind are read in the order of source and name.
    UNIQUE (tenant_id, kind, source_id, namespace, name, cluster)
) STRICT, WITHOUT ROWID;

-- What reads what (kind 1), what is owned by what (2), what is a member of what (3).
CREATE TABLE edge (
    tenant_id INTEGER NOT NULL,
    dst INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    src INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, dst, kind, src)
) STRICT, WITHOUT ROWID;
CREATE INDEX edge_forward ON edge (tenant_id, src, kind, dst);

CREATE TABLE object (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    node_id INTEGER NOT NULL,
    -- Empty for what came without one.
    uid TEXT NOT NULL,
    -- Live values, outside of the ledger: the latest stamped sighting, the latest sighting of any
    -- kind, and the volatile fields of the latest heartbeat.
    sighted_at INTEGER,
    last_seen_at INTEGER NOT NULL,
    heartbeat TEXT,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, node_id, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX object_uid ON object (tenant_id, uid);

-- Raw objects, compressed (zstd), by the digest of their text. The bytes can move to where the
-- location says without touching any index.
CREATE TABLE body (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    location TEXT NOT NULL,
    bytes BLOB,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, digest)
) STRICT;

-- Contents: what the rules need of them, by digest.
CREATE TABLE content (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    spec_digest BLOB NOT NULL,
    facts TEXT NOT NULL,
    warnings TEXT,
    resource_set_id INTEGER,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE resource (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    api_version TEXT NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, kind, namespace, name, api_version)
) STRICT, WITHOUT ROWID;

CREATE TABLE resource_set (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE resource_set_member (
    tenant_id INTEGER NOT NULL,
    set_id INTEGER NOT NULL,
    resource_id INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, set_id, resource_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX resource_set_of ON resource_set_member (tenant_id, resource_id, set_id);

CREATE TABLE observation (
    tenant_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    resource_version TEXT,
    content_id INTEGER NOT NULL,
    body_id INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    stamped_at INTEGER,
    -- Live value, outside of the ledger: the latest stamped sighting of a record without uid.
    sighted_at INTEGER,
    own_time INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    asserter TEXT NOT NULL,
    PRIMARY KEY (tenant_id, object_id, id)
) STRICT, WITHOUT ROWID;

-- Complete listings: a row for each kind and namespace covered, empty for all.
CREATE TABLE snapshot (
    tenant_id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, source_id, kind, namespace, at)
) STRICT, WITHOUT ROWID;

-- Derived from here on: every row carries the version of the rules that made it.
CREATE TABLE version (
    tenant_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    n INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    from_at INTEGER NOT NULL,
    to_at INTEGER,
    end_kind TEXT,
    content_id INTEGER NOT NULL,
    observation_id INTEGER NOT NULL,
    rules INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, object_id, n, from_seq)
) STRICT, WITHOUT ROWID;

-- The latest state of each object, for lists and look-ups.
CREATE TABLE state (
    tenant_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    node_id INTEGER NOT NULL,
    -- A hash of the natural identity: the tie-breaker of lists, the same in every store.
    key_hash INTEGER NOT NULL,
    kind TEXT NOT NULL,
    born_at INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    closed_at INTEGER,
    end_kind TEXT,
    live INTEGER NOT NULL,
    versions INTEGER NOT NULL,
    content_id INTEGER NOT NULL,
    observation_id INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    cluster TEXT NOT NULL,
    pack TEXT NOT NULL,
    status TEXT NOT NULL,
    rules INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, object_id, from_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX state_by_birth ON state (tenant_id, kind, born_at, key_hash, to_seq);
CREATE INDEX state_by_cluster ON state (tenant_id, kind, cluster, born_at, key_hash, to_seq);
CREATE INDEX state_by_node ON state (tenant_id, node_id, to_seq);

CREATE TABLE epoch (
    tenant_id INTEGER NOT NULL,
    sequence_id INTEGER NOT NULL,
    uid TEXT NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    status TEXT NOT NULL,
    born_at INTEGER NOT NULL,
    revisions INTEGER NOT NULL,
    head_id INTEGER NOT NULL,
    head_revision INTEGER NOT NULL,
    active_id INTEGER,
    active_revision INTEGER,
    detail TEXT NOT NULL,
    rules INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, sequence_id, uid, from_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX epoch_by_source ON epoch (tenant_id, source_id, sequence_id, position, to_seq);

CREATE TABLE revision (
    tenant_id INTEGER NOT NULL,
    sequence_id INTEGER NOT NULL,
    epoch_uid TEXT NOT NULL,
    revision INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    key_hash INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    version_n INTEGER NOT NULL,
    live INTEGER NOT NULL,
    superseded INTEGER NOT NULL,
    rules INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, sequence_id, epoch_uid, revision, first_at, key_hash, from_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX revision_of_object ON revision (tenant_id, object_id, to_seq);

CREATE TABLE finding (
    tenant_id INTEGER NOT NULL,
    unit_id INTEGER NOT NULL,
    code TEXT NOT NULL,
    subject TEXT NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    -- A hash of code and subject: the same in every store.
    id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    severity TEXT NOT NULL,
    detail TEXT NOT NULL,
    rules INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, unit_id, code, subject, from_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_by_age ON finding (tenant_id, from_seq, id, to_seq);
CREATE INDEX finding_by_subject ON finding (tenant_id, subject, to_seq);

-- What could not be stored as a record, kept raw: ours may be the only copy.
CREATE TABLE quarantine (
    tenant_id INTEGER NOT NULL,
    -- A hash of source and digest: the same in every store.
    id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    path TEXT NOT NULL,
    message TEXT NOT NULL,
    principal TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    strict INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT;
CREATE INDEX quarantine_by_age ON quarantine (tenant_id, from_seq, id, to_seq);

-- Answers to repeat for a retried request.
CREATE TABLE idempotency (
    tenant_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    answer TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (tenant_id, created_at);

-- What the planner assumes of each index: the rows of the table, then how many share its first
-- column, its first two, and so on. Without figures it takes a tenant for a few rows and reads all
-- of them in place of the few that a statement asks for. ANALYZE replaces them by what it counts.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('tenant', 'sqlite_autoindex_tenant_1', '10 1'),
    ('source', 'source', '10 10 1'),
    ('source', 'sqlite_autoindex_source_2', '10 10 1'),
    ('ledger_commit', 'ledger_commit', '1000000 1000000 1'),
    ('ledger_entry', 'ledger_entry', '1000000 1000000 5 1'),
    ('ledger_entry', 'sqlite_autoindex_ledger_entry_2', '1000000 1000000 1'),
    ('node', 'node', '1000000 1000000 1'),
    ('node', 'sqlite_autoindex_node_2', '1000000 1000000 100000 20000 1000 2 1'),
    ('edge', 'edge', '1000000 1000000 5 2 1'),
    ('edge', 'edge_forward', '1000000 1000000 5 2 2'),
    ('object', 'object', '1000000 1000000 1'),
    ('object', 'sqlite_autoindex_object_2', '1000000 1000000 2 1'),
    ('object', 'object_uid', '1000000 1000000 2'),
    ('body', 'sqlite_autoindex_body_1', '1000000 1000000 1'),
    ('body', 'sqlite_autoindex_body_2', '1000000 1000000 1'),
    ('content', 'content', '1000000 1000000 1'),
    ('content', 'sqlite_autoindex_content_2', '1000000 1000000 1'),
    ('resource', 'resource', '1000000 1000000 1'),
    ('resource', 'sqlite_autoindex_resource_2', '1000000 1000000 100000 5000 2 1'),
    ('resource_set', 'resource_set', '1000000 1000000 1'),
    ('resource_set', 'sqlite_autoindex_resource_set_2', '1000000 1000000 1'),
    ('resource_set_member', 'resource_set_member', '1000000 1000000 100 1'),
    ('resource_set_member', 'resource_set_of', '1000000 1000000 10 2'),
    ('observation', 'observation', '1000000 1000000 5 1'),
    ('snapshot', 'snapshot', '1000000 1000000 200000 20000 1000 1'),
    ('version', 'version', '1000000 1000000 5 2 1'),
    ('state', 'state', '1000000 1000000 5 1'),
    ('state', 'state_by_birth', '1000000 1000000 100000 2 2 2'),
    ('state', 'state_by_cluster', '1000000 1000000 100000 5000 2 2 2'),
    ('state', 'state_by_node', '1000000 1000000 2 2'),
    ('epoch', 'epoch', '1000000 1000000 10 2 1'),
    ('epoch', 'epoch_by_source', '1000000 1000000 200000 2 2 2'),
    ('revision', 'revision', '1000000 1000000 10 5 2 2 2 1'),
    ('revision', 'revision_of_object', '1000000 1000000 5 2'),
    ('finding', 'finding', '1000000 1000000 5 2 2 1'),
    ('finding', 'finding_by_age', '1000000 1000000 10 2 2'),
    ('finding', 'finding_by_subject', '1000000 1000000 5 2'),
    ('quarantine', 'sqlite_autoindex_quarantine_1', '1000000 1000000 1'),
    ('quarantine', 'quarantine_by_age', '1000000 1000000 10 2 2'),
    ('idempotency', 'idempotency', '1000000 1000000 1'),
    ('idempotency', 'idempotency_by_age', '1000000 1000000 10');
ANALYZE sqlite_schema;
