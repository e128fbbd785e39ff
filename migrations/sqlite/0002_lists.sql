-- What lists are narrowed and ordered by: a row for each term that holds for a record, such as "is a
-- result of cluster c", in the order that pages are read in. One index so answers every filter, and
-- several of them together, without reading what does not match.
CREATE TABLE listing (
    tenant_id INTEGER NOT NULL,
    -- A hash of kind, facet and value.
    term INTEGER NOT NULL,
    -- The record's birth; for the order of changes, when it last changed.
    place INTEGER NOT NULL,
    key_hash INTEGER NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, term, place, key_hash, from_seq)
) STRICT, WITHOUT ROWID;

ALTER TABLE state ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN base_pack TEXT NOT NULL DEFAULT '';
ALTER TABLE state ADD COLUMN capability TEXT NOT NULL DEFAULT '';
ALTER TABLE state ADD COLUMN failure_category TEXT NOT NULL DEFAULT '';
ALTER TABLE state ADD COLUMN failed_step TEXT NOT NULL DEFAULT '';
-- The clusters that a pack is meant for, with a space between.
ALTER TABLE state ADD COLUMN targets TEXT NOT NULL DEFAULT '';
ALTER TABLE state ADD COLUMN drift TEXT NOT NULL DEFAULT '';
-- Empty, true or false: a receipt's claim.
ALTER TABLE state ADD COLUMN verified TEXT NOT NULL DEFAULT '';
DROP INDEX state_by_birth;
DROP INDEX state_by_cluster;

-- The record that a finding is about, if it is about one.
ALTER TABLE finding ADD COLUMN object_id INTEGER;
CREATE INDEX finding_by_object ON finding (tenant_id, object_id, to_seq);

-- The version of the rules that the derived rows of a tenant follow.
ALTER TABLE tenant ADD COLUMN rules INTEGER NOT NULL DEFAULT 1;

DELETE FROM sqlite_stat1 WHERE idx IN ('state_by_birth', 'state_by_cluster');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('listing', 'listing', '1000000 1000000 5000 2 2 1'),
    ('finding', 'finding_by_object', '1000000 1000000 5 2');
ANALYZE sqlite_schema;
