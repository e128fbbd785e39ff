-- Runs that happened elsewhere. The name of the source that reports a run; null for those of this server.
ALTER TABLE run ADD COLUMN source TEXT;

-- What holds of all reports of a run, changed in place: what was shown of it is in the other tables.
CREATE TABLE run_import (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    -- The first time that is known of it, microseconds.
    since INTEGER NOT NULL,
    -- JSON, compressed (zstd).
    state BLOB NOT NULL,
    PRIMARY KEY (tenant_id, run)
) STRICT;

-- How often the log of such a run has an entry, by the digest of what it says.
CREATE TABLE run_import_line (
    tenant_id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    digest BLOB NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, run, digest)
) STRICT, WITHOUT ROWID;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('run_import', 'sqlite_autoindex_run_import_1', '10000 10000 1'),
    ('run_import_line', 'run_import_line', '10000000 10000000 1000 1');
ANALYZE sqlite_schema;
