-- Runs that happened elsewhere. The name of the source that reports a run; null for those of this server.
ALTER TABLE run ADD COLUMN source TEXT COLLATE "C";

-- What holds of all reports of a run, changed in place: what was shown of it is in the other tables.
CREATE TABLE run_import (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    -- The first time that is known of it, microseconds.
    since BIGINT NOT NULL,
    -- JSON, compressed (zstd).
    state BYTEA NOT NULL,
    PRIMARY KEY (tenant_id, run)
);

-- How often the log of such a run has an entry, by the digest of what it says.
CREATE TABLE run_import_line (
    tenant_id BIGINT NOT NULL,
    run BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    times BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, run, digest)
);
