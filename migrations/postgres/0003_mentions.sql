-- What records name without being it: clusters, and the families that packs are versions of. A row is
-- written with the first record that names the thing, and never changed.
CREATE TABLE mention (
    tenant_id BIGINT NOT NULL,
    -- CLUSTER or PACK_FAMILY.
    kind TEXT COLLATE "C" NOT NULL,
    source_id BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    -- The commit that named it first.
    from_seq BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, source_id, name)
);
