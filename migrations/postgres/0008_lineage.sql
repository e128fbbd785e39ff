-- The lineage graph: what was made of what, as records declare it. An edge runs from cause to effect and is asserted by
-- the object at one of its ends (`by_dst`), for its versions from `from_n` to `to_n`, or to its latest: so that the
-- end of an object, of which there is one for each, touches no edge. A vertex is an object, or a node for what has
-- only names; the `dst` of resources that were applied is their set, on the cluster `within`.
CREATE TABLE lineage (
    tenant_id BIGINT NOT NULL,
    src BIGINT NOT NULL,
    by_dst BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    dst BIGINT NOT NULL,
    -- The cluster of a set of resources; else 0.
    within BIGINT NOT NULL,
    -- The field that declares it.
    field BIGINT NOT NULL,
    from_n BIGINT NOT NULL,
    to_n BIGINT,
    -- What the field says beside the name.
    attribute TEXT COLLATE "C",
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    rules BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, src, by_dst, kind, dst, within, field, from_n, from_seq)
);
CREATE INDEX lineage_back ON lineage (tenant_id, dst, by_dst, kind, within, src, field, from_n, from_seq);

-- From when a successful result counts as what is on its cluster, microseconds; 0 for all else.
ALTER TABLE state ADD COLUMN counted_at BIGINT NOT NULL DEFAULT 0;
-- The pack that such a result is about, where neither its base nor the result itself names it.
ALTER TABLE state ADD COLUMN deployed_pack TEXT COLLATE "C" NOT NULL DEFAULT '';
