-- The lineage graph: what was made of what, as records declare it. An edge runs from cause to effect and is asserted by
-- the object at one of its ends (`by_dst`), for its versions from `from_n` to `to_n`, or to its latest: so that the
-- end of an object, of which there is one for each, touches no edge. A vertex is an object, or a node for what has
-- only names; the `dst` of resources that were applied is their set, on the cluster `within`.
CREATE TABLE lineage (
    tenant_id INTEGER NOT NULL,
    src INTEGER NOT NULL,
    by_dst INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    dst INTEGER NOT NULL,
    -- The cluster of a set of resources; else 0.
    within INTEGER NOT NULL,
    -- The field that declares it.
    field INTEGER NOT NULL,
    from_n INTEGER NOT NULL,
    to_n INTEGER,
    -- What the field says beside the name.
    attribute TEXT,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    rules INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, src, by_dst, kind, dst, within, field, from_n, from_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX lineage_back ON lineage (tenant_id, dst, by_dst, kind, within, src, field, from_n, from_seq);

-- From when a successful result counts as what is on its cluster, microseconds; 0 for all else.
ALTER TABLE state ADD COLUMN counted_at INTEGER NOT NULL DEFAULT 0;
-- The pack that such a result is about, where neither its base nor the result itself names it.
ALTER TABLE state ADD COLUMN deployed_pack TEXT NOT NULL DEFAULT '';

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('lineage', 'lineage', '10000000 10000000 10 8 5 2 2 2 2 1'),
    ('lineage', 'lineage_back', '10000000 10000000 10 8 5 4 2 2 2 1');
ANALYZE sqlite_schema;
