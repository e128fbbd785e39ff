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

-- The words of each document as one text, each between spaces, in place of a row each. Where it stands among answers
-- is in its postings too, which are found by word alone.
CREATE TABLE document (
    tenant_id INTEGER NOT NULL,
    -- An object, or a thing.
    id INTEGER NOT NULL,
    born_at INTEGER NOT NULL,
    key_hash INTEGER NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
INSERT INTO document (tenant_id, id, born_at, key_hash, words)
    SELECT p.tenant_id, p.document_id, MIN(p.born_at), MIN(p.key_hash), ' ' || group_concat(w.text, ' ' ORDER BY w.text) || ' '
    FROM posting p JOIN word w ON w.tenant_id = p.tenant_id AND w.id = p.word_id GROUP BY p.tenant_id, p.document_id;

ALTER TABLE posting RENAME TO former_posting;
CREATE TABLE posting (
    tenant_id INTEGER NOT NULL,
    word_id INTEGER NOT NULL,
    born_at INTEGER NOT NULL,
    key_hash INTEGER NOT NULL,
    document_id INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, word_id, born_at, key_hash, document_id)
) STRICT, WITHOUT ROWID;
INSERT INTO posting (tenant_id, word_id, born_at, key_hash, document_id)
    SELECT tenant_id, word_id, born_at, key_hash, document_id FROM former_posting
    ORDER BY tenant_id, word_id, born_at, key_hash, document_id;
DROP TABLE former_posting;

DELETE FROM sqlite_stat1 WHERE idx IN ('posting', 'posting_by_word');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('body_base', 'body_base', '1000000 1000000 1'),
    ('document', 'document', '1000000 1000000 1'),
    ('posting', 'posting', '1000000 1000000 100 2 2 1');
ANALYZE sqlite_schema;
