-- Bodies by difference: most objects are nearly what another of their likeness was. `base_id` is the body, itself
-- whole, that the bytes are the difference to.
ALTER TABLE body ADD COLUMN base_id BIGINT;

-- The whole body that the next ones of a likeness are held against: what a hash says that they have in common.
CREATE TABLE body_base (
    tenant_id BIGINT NOT NULL,
    likeness BIGINT NOT NULL,
    body_id BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, likeness)
);

-- The entry of an object names it and its contents by their rows: their texts are in there. What is about no object
-- has its texts in `identity` and the digests, and so have the entries of before.
ALTER TABLE ledger_entry ADD COLUMN object_id BIGINT;
ALTER TABLE ledger_entry ADD COLUMN content_id BIGINT;
ALTER TABLE ledger_entry ADD COLUMN previous_id BIGINT;

-- Live value, outside of the ledger: the observation that the next heartbeat moves, where that is all that it does.
ALTER TABLE object ADD COLUMN beat_id BIGINT;

-- The words of each document as one text, each between spaces, in place of a row each. Where it stands among answers
-- is in its postings too, which are found by word alone.
CREATE TABLE document (
    tenant_id BIGINT NOT NULL,
    -- An object, or a thing.
    id BIGINT NOT NULL,
    born_at BIGINT NOT NULL,
    key_hash BIGINT NOT NULL,
    words TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
INSERT INTO document (tenant_id, id, born_at, key_hash, words)
    SELECT p.tenant_id, p.document_id, MIN(p.born_at), MIN(p.key_hash), ' ' || string_agg(w.text, ' ' ORDER BY w.text) || ' '
    FROM posting p JOIN word w ON w.tenant_id = p.tenant_id AND w.id = p.word_id GROUP BY p.tenant_id, p.document_id;

ALTER TABLE posting RENAME TO former_posting;
CREATE TABLE posting (
    tenant_id BIGINT NOT NULL,
    word_id BIGINT NOT NULL,
    born_at BIGINT NOT NULL,
    key_hash BIGINT NOT NULL,
    document_id BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, word_id, born_at, key_hash, document_id)
);
INSERT INTO posting (tenant_id, word_id, born_at, key_hash, document_id)
    SELECT tenant_id, word_id, born_at, key_hash, document_id FROM former_posting
    ORDER BY tenant_id, word_id, born_at, key_hash, document_id;
DROP TABLE former_posting;
