-- What changes of a run without a commit; the row that its commands lock.
CREATE TABLE run_live (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    -- Raised with each change: raising it locks the run.
    changes BIGINT NOT NULL,
    -- How many entries its log has: workers append between commits.
    logged BIGINT NOT NULL,
    -- How many bytes of lines its workers wrote, and how many of all entries are in chunks that are not packed.
    line_bytes BIGINT NOT NULL,
    open_bytes BIGINT NOT NULL,
    -- Whether its workers wrote more than is kept.
    is_cut BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, run)
);
INSERT INTO run_live (tenant_id, run, changes, logged, line_bytes, open_bytes, is_cut)
    SELECT r.tenant_id, r.id, r.changes, CAST(CAST(s.state AS json) ->> 'logged' AS BIGINT), 0, 0, 0 FROM run r
    JOIN run_state s ON s.tenant_id = r.tenant_id AND s.run = r.id AND s.to_seq = 9223372036854775807;
ALTER TABLE run DROP COLUMN changes;
-- Those that workers could go on with are looked after once, and come into the queue by that.
INSERT INTO run_due (tenant_id, run, at)
    SELECT s.tenant_id, s.run, 0 FROM run_state s WHERE s.to_seq = 9223372036854775807 AND s.status < 3
    ON CONFLICT (tenant_id, run) DO UPDATE SET at = 0;

-- The steps that workers can take.
CREATE TABLE run_queue (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    n BIGINT NOT NULL,
    -- What does it: what the step uses, or `policy:` and the policy.
    uses TEXT COLLATE "C" NOT NULL,
    -- Since when it can be taken, microseconds; in the future after a failed attempt.
    ready_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, run, n)
);
CREATE INDEX run_queue_uses ON run_queue (tenant_id, uses, ready_at, run, n);

-- Who had which step: an attempt of a worker.
CREATE TABLE run_lease (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    n BIGINT NOT NULL,
    -- SHA-256 of the secret part of the token.
    secret BYTEA NOT NULL,
    attempt BIGINT NOT NULL,
    -- Whose token claimed it, and what the worker called itself.
    principal TEXT COLLATE "C" NOT NULL,
    worker TEXT COLLATE "C" NOT NULL,
    granted_at BIGINT NOT NULL,
    -- How long it holds after a sign of life, when it ends without one, and when in any case; microseconds.
    length BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    -- 0 open, 1 reported, 2 expired, 3 taken away.
    state BIGINT NOT NULL,
    -- The number of the next line of its log.
    next_line BIGINT NOT NULL,
    -- The digest of the report that ended it.
    report BYTEA,
    PRIMARY KEY (tenant_id, run, n, secret)
);
CREATE INDEX run_lease_open ON run_lease (state, expires_at, tenant_id, run, n);

-- The files that workers brought before they reported.
CREATE TABLE run_upload (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    n BIGINT NOT NULL,
    secret BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    size BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, run, n, secret, name)
);
