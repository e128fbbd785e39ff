-- Bodies by difference: most objects are nearly what another of their likeness was. `base_id` is the body, itself
-- whole, that the bytes are the difference to.
ALTER TABLE body ADD COLUMN base_id INTEGER;

-- The whole body that the next ones of a likeness are held against: what a hash says that they have in common.
CREATE TABLE body_base (
    tenant_id INTEGER NOT NULL,
    likeness INTEGER NOT NULL,
    body_id INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, likeness)
) STRICT, WITHOUT ROWID;

-- The entry of an object names it and its contents by their rows: their texts are in there. What is about no object
-- has its texts in `identity` and the digests, and so have the entries of before.
ALTER TABLE ledger_entry ADD COLUMN object_id INTEGER;
ALTER TABLE ledger_entry ADD COLUMN content_id INTEGER;
ALTER TABLE ledger_entry ADD COLUMN previous_id INTEGER;

-- Live value, outside of the ledger: the observation that the next heartbeat moves, where that is all that it does.
ALTER TABLE object ADD COLUMN beat_id INTEGER;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('body_base', 'body_base', '1000000 1000000 1');
ANALYZE sqlite_schema;
