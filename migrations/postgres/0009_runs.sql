-- Runs of task packs. What a run is from its creation on.
CREATE TABLE run (
    tenant_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    -- As its creator named it, or as it was given.
    run_id TEXT COLLATE "C" NOT NULL,
    pack TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    plan_hash TEXT COLLATE "C" NOT NULL,
    -- The plan, which is never made anew, and the manifest as it was sent: compressed (zstd).
    plan BYTEA NOT NULL,
    manifest BYTEA NOT NULL,
    -- The global ids of what the run acts on, as a JSON array.
    subjects TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    -- Tells a creation that is repeated.
    idempotency_key TEXT COLLATE "C",
    request_digest BYTEA NOT NULL,
    -- Raised with each change: raising it locks the run.
    changes BIGINT NOT NULL,
    from_seq BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, run_id),
    UNIQUE (tenant_id, idempotency_key)
);
CREATE INDEX run_created ON run (tenant_id, created_at, id);
CREATE INDEX run_pack ON run (tenant_id, pack, created_at, id);

-- Where a run stands, from commit to commit.
CREATE TABLE run_state (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    status BIGINT NOT NULL,
    -- That of the run, so that a list of one status is read in its order.
    created_at BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, run, from_seq)
);
-- Of statuses that nothing follows.
CREATE INDEX run_state_status ON run_state (tenant_id, status, created_at, run);
-- Of the others, whose rows end: few hold.
CREATE INDEX run_state_active ON run_state (tenant_id, status, to_seq, created_at, run);

-- Where each step stands, from commit to commit.
CREATE TABLE run_step (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    n BIGINT NOT NULL,
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, run, n, from_seq)
);

-- Every move of a step, in their order.
CREATE TABLE run_transition (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    n BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    entry TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, run, n)
);

-- Where each approval stands, from commit to commit.
CREATE TABLE run_approval (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    approval TEXT COLLATE "C" NOT NULL,
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    status BIGINT NOT NULL,
    -- When it was asked for, microseconds; 0 while nothing waits for it.
    requested_at BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, run, approval, from_seq)
);
CREATE INDEX run_approval_status ON run_approval (tenant_id, status, requested_at, run, approval);
CREATE INDEX run_approval_active ON run_approval (tenant_id, status, to_seq, requested_at, run, approval);

-- When the time has something to do with a run, microseconds.
CREATE TABLE run_due (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, run)
);
CREATE INDEX run_due_at ON run_due (at, tenant_id, run);

-- The log of a run in chunks: one for each append; those of a run that has ended are packed together.
CREATE TABLE run_log (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    -- The numbers of the first and last entry.
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    -- Whether it is compressed (zstd).
    packed BIGINT NOT NULL,
    -- JSON, an entry a line.
    entries BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, run, first)
);
