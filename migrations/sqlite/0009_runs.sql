-- Runs of task packs. What a run is from its creation on.
CREATE TABLE run (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    -- As its creator named it, or as it was given.
    run_id TEXT NOT NULL,
    pack TEXT NOT NULL,
    version TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    -- The plan, which is never made anew, and the manifest as it was sent: compressed (zstd).
    plan BLOB NOT NULL,
    manifest BLOB NOT NULL,
    -- The global ids of what the run acts on, as a JSON array.
    subjects TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    -- Tells a creation that is repeated.
    idempotency_key TEXT,
    request_digest BLOB NOT NULL,
    -- Raised with each change: raising it locks the run.
    changes INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, run_id),
    UNIQUE (tenant_id, idempotency_key)
) STRICT;
CREATE INDEX run_created ON run (tenant_id, created_at, id);
CREATE INDEX run_pack ON run (tenant_id, pack, created_at, id);

-- Where a run stands, from commit to commit.
CREATE TABLE run_state (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    status INTEGER NOT NULL,
    -- That of the run, so that a list of one status is read in its order.
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (tenant_id, run, from_seq)
) STRICT, WITHOUT ROWID;
-- Of statuses that nothing follows.
CREATE INDEX run_state_status ON run_state (tenant_id, status, created_at, run);
-- Of the others, whose rows end: few hold.
CREATE INDEX run_state_active ON run_state (tenant_id, status, to_seq, created_at, run);

-- Where each step stands, from commit to commit.
CREATE TABLE run_step (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    n INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (tenant_id, run, n, from_seq)
) STRICT, WITHOUT ROWID;

-- Every move of a step, in their order.
CREATE TABLE run_transition (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    n INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    entry TEXT NOT NULL,
    PRIMARY KEY (tenant_id, run, n)
) STRICT, WITHOUT ROWID;

-- Where each approval stands, from commit to commit.
CREATE TABLE run_approval (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    approval TEXT NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    status INTEGER NOT NULL,
    -- When it was asked for, microseconds; 0 while nothing waits for it.
    requested_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (tenant_id, run, approval, from_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_approval_status ON run_approval (tenant_id, status, requested_at, run, approval);
CREATE INDEX run_approval_active ON run_approval (tenant_id, status, to_seq, requested_at, run, approval);

-- When the time has something to do with a run, microseconds.
CREATE TABLE run_due (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_due_at ON run_due (at, tenant_id, run);

-- The log of a run in chunks: one for each append; those of a run that has ended are packed together.
CREATE TABLE run_log (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    -- The numbers of the first and last entry.
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    -- Whether it is compressed (zstd).
    packed INTEGER NOT NULL,
    -- JSON, an entry a line.
    entries BLOB NOT NULL,
    PRIMARY KEY (tenant_id, run, first)
) STRICT;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('run', 'sqlite_autoindex_run_1', '100000 100000 1'),
    ('run', 'sqlite_autoindex_run_2', '100000 100000 1'),
    ('run', 'sqlite_autoindex_run_3', '100000 100000 1'),
    ('run', 'run_created', '100000 100000 1 1'),
    ('run', 'run_pack', '100000 100000 1000 1 1'),
    ('run_state', 'run_state', '1000000 1000000 10 1'),
    ('run_state', 'run_state_status', '1000000 1000000 200000 10 4'),
    ('run_state', 'run_state_active', '1000000 1000000 200000 100 1 1'),
    ('run_step', 'run_step', '10000000 10000000 100 4 1'),
    ('run_transition', 'run_transition', '10000000 10000000 100 1'),
    ('run_approval', 'run_approval', '200000 200000 3 2 1'),
    ('run_approval', 'run_approval_status', '200000 200000 40000 2 2 1'),
    ('run_approval', 'run_approval_active', '200000 200000 40000 100 2 2 1'),
    ('run_due', 'run_due', '1000 1000 1'),
    ('run_due', 'run_due_at', '1000 1 1 1'),
    ('run_log', 'sqlite_autoindex_run_log_1', '1000000 1000000 10 1');
ANALYZE sqlite_schema;
