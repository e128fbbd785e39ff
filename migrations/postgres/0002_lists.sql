-- What lists are narrowed and ordered by: a row for each term that holds for a record, such as "is a
-- result of cluster c", in the order that pages are read in. One index so answers every filter, and
-- several of them together, without reading what does not match.
CREATE TABLE listing (
    tenant_id BIGINT NOT NULL,
    -- A hash of kind, facet and value.
    term BIGINT NOT NULL,
    -- The record's birth; for the order of changes, when it last changed.
    place BIGINT NOT NULL,
    key_hash BIGINT NOT NULL,
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    object_id BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, term, place, key_hash, from_seq)
);

ALTER TABLE state ADD COLUMN changed_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN base_pack TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE state ADD COLUMN capability TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE state ADD COLUMN failure_category TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE state ADD COLUMN failed_step TEXT COLLATE "C" NOT NULL DEFAULT '';
-- The clusters that a pack is meant for, with a space between.
ALTER TABLE state ADD COLUMN targets TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE state ADD COLUMN drift TEXT COLLATE "C" NOT NULL DEFAULT '';
-- Empty, true or false: a receipt's claim.
ALTER TABLE state ADD COLUMN verified TEXT COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX state_by_birth;
DROP INDEX state_by_cluster;

-- The record that a finding is about, if it is about one.
ALTER TABLE finding ADD COLUMN object_id BIGINT;
CREATE INDEX finding_by_object ON finding (tenant_id, object_id, to_seq);

-- The version of the rules that the derived rows of a tenant follow.
ALTER TABLE tenant ADD COLUMN rules BIGINT NOT NULL DEFAULT 1;
