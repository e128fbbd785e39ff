-- Search: each word once, and where it is. What observed contents have in words is only ever added;
-- a record's birth is repeated for the order of answers and moves with it.
CREATE TABLE word (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, text)
) STRICT, WITHOUT ROWID;

-- What is found beside records: deployed resources, clusters and pack families of a source.
CREATE TABLE thing (
    tenant_id INTEGER NOT NULL,
    -- A hash of source, kind and names: the same in every store.
    id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    resource_id INTEGER,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE posting (
    tenant_id INTEGER NOT NULL,
    -- An object, or a thing.
    document_id INTEGER NOT NULL,
    word_id INTEGER NOT NULL,
    born_at INTEGER NOT NULL,
    key_hash INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, document_id, word_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX posting_by_word ON posting (tenant_id, word_id, born_at, key_hash, document_id);

-- The names that operations are grouped by, each once.
CREATE TABLE label (
    tenant_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, text)
) STRICT, WITHOUT ROWID;

-- One row a result, as statistics count it: derived, and true of the latest commit only. A label of
-- 0 is none. The indexes hold all that is counted, so that the rows themselves are not read.
CREATE TABLE operation (
    tenant_id INTEGER NOT NULL,
    object_id INTEGER NOT NULL,
    node_id INTEGER NOT NULL,
    source_id INTEGER NOT NULL,
    content_id INTEGER NOT NULL,
    counted_at INTEGER NOT NULL,
    duration INTEGER,
    cluster_id INTEGER NOT NULL,
    pack_id INTEGER NOT NULL,
    base_id INTEGER NOT NULL,
    status_id INTEGER NOT NULL,
    capability_id INTEGER NOT NULL,
    category_id INTEGER NOT NULL,
    step_id INTEGER NOT NULL,
    rules INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, object_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX operation_of_node ON operation (tenant_id, node_id);
CREATE INDEX operation_of_content ON operation (tenant_id, content_id);
CREATE INDEX operation_by_time ON operation (tenant_id, counted_at, source_id, cluster_id, pack_id, base_id, status_id, capability_id, category_id, step_id, duration);
CREATE INDEX operation_by_cluster ON operation (tenant_id, cluster_id, counted_at, source_id, pack_id, base_id, status_id, capability_id, category_id, step_id, duration);
CREATE INDEX operation_by_pack ON operation (tenant_id, pack_id, counted_at, source_id, cluster_id, base_id, status_id, capability_id, category_id, step_id, duration);
CREATE INDEX operation_by_base ON operation (tenant_id, base_id, counted_at, source_id, cluster_id, pack_id, status_id, capability_id, category_id, step_id, duration);

-- Which contents applied a set of resources.
CREATE INDEX content_of_set ON content (tenant_id, resource_set_id);

-- See the end of the first migration.
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('word', 'word', '1000000 1000000 1'),
    ('word', 'sqlite_autoindex_word_2', '1000000 1000000 1'),
    ('thing', 'thing', '1000000 1000000 1'),
    ('posting', 'posting', '1000000 1000000 40 1'),
    ('posting', 'posting_by_word', '1000000 1000000 100 2 2 2'),
    ('label', 'label', '1000000 1000000 1'),
    ('label', 'sqlite_autoindex_label_2', '1000000 1000000 1'),
    ('operation', 'operation', '1000000 1000000 1'),
    ('operation', 'operation_of_node', '1000000 1000000 2'),
    ('operation', 'operation_of_content', '1000000 1000000 2'),
    ('operation', 'operation_by_time', '1000000 1000000 2 2 2 2 2 2 2 2 2 2'),
    ('operation', 'operation_by_cluster', '1000000 1000000 5000 2 2 2 2 2 2 2 2 2'),
    ('operation', 'operation_by_pack', '1000000 1000000 5000 2 2 2 2 2 2 2 2 2'),
    ('operation', 'operation_by_base', '1000000 1000000 5000 2 2 2 2 2 2 2 2 2'),
    ('content', 'content_of_set', '1000000 1000000 10');
ANALYZE sqlite_schema;
