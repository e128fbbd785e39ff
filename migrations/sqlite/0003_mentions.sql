-- What records name without being it: clusters, and the families that packs are versions of. A row is
-- written with the first record that names the thing, and never changed.
CREATE TABLE mention (
    tenant_id INTEGER NOT NULL,
    -- CLUSTER or PACK_FAMILY.
    kind TEXT NOT NULL,
    source_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- The commit that named it first.
    from_seq INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, kind, source_id, name)
) STRICT, WITHOUT ROWID;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('mention', 'mention', '1000000 1000000 500000 100000 1');
ANALYZE sqlite_schema;
