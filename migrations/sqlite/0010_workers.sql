-- What changes of a run without a commit; the row that its commands lock.
CREATE TABLE run_live (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    -- Raised with each change: raising it locks the run.
    changes INTEGER NOT NULL,
    -- How many entries its log has: workers append between commits.
    logged INTEGER NOT NULL,
    -- How many bytes of lines its workers wrote, and how many of all entries are in chunks that are not packed.
    line_bytes INTEGER NOT NULL,
    open_bytes INTEGER NOT NULL,
    -- Whether its workers wrote more than is kept.
    is_cut INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, run)
) STRICT, WITHOUT ROWID;
INSERT INTO run_live (tenant_id, run, changes, logged, line_bytes, open_bytes, is_cut)
    SELECT r.tenant_id, r.id, r.changes, s.state ->> 'logged', 0, 0, 0 FROM run r
    JOIN run_state s ON s.tenant_id = r.tenant_id AND s.run = r.id AND s.to_seq = 9223372036854775807;
ALTER TABLE run DROP COLUMN changes;
-- Those that workers could go on with are looked after once, and come into the queue by that.
INSERT INTO run_due (tenant_id, run, at)
    SELECT s.tenant_id, s.run, 0 FROM run_state s WHERE s.to_seq = 9223372036854775807 AND s.status < 3
    ON CONFLICT (tenant_id, run) DO UPDATE SET at = 0;

-- The steps that workers can take.
CREATE TABLE run_queue (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    n INTEGER NOT NULL,
    -- What does it: what the step uses, or `policy:` and the policy.
    uses TEXT NOT NULL,
    -- Since when it can be taken, microseconds; in the future after a failed attempt.
    ready_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, run, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_queue_uses ON run_queue (tenant_id, uses, ready_at, run, n);

-- Who had which step: an attempt of a worker.
CREATE TABLE run_lease (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    n INTEGER NOT NULL,
    -- SHA-256 of the secret part of the token.
    secret BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    -- Whose token claimed it, and what the worker called itself.
    principal TEXT NOT NULL,
    worker TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    -- How long it holds after a sign of life, when it ends without one, and when in any case; microseconds.
    length INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    -- 0 open, 1 reported, 2 expired, 3 taken away.
    state INTEGER NOT NULL,
    -- The number of the next line of its log.
    next_line INTEGER NOT NULL,
    -- The digest of the report that ended it.
    report BLOB,
    PRIMARY KEY (tenant_id, run, n, secret)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_lease_open ON run_lease (state, expires_at, tenant_id, run, n);

-- The files that workers brought before they reported.
CREATE TABLE run_upload (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    n INTEGER NOT NULL,
    secret BLOB NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    size INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, run, n, secret, name)
) STRICT, WITHOUT ROWID;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('run_live', 'run_live', '100000 100000 1'),
    ('run_queue', 'run_queue', '1000 1000 2 1'),
    ('run_queue', 'run_queue_uses', '1000 1000 100 2 1 1'),
    ('run_lease', 'run_lease', '1000000 1000000 10 1 1'),
    ('run_lease', 'run_lease_open', '1000000 250000 2 2 1 1'),
    ('run_upload', 'run_upload', '10000 10000 2 1 1 1');
ANALYZE sqlite_schema;
