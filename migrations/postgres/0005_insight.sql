-- Search: each word once, and where it is. What observed contents have in words is only ever added;
-- a record's birth is repeated for the order of answers and moves with it.
CREATE TABLE word (
    tenant_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, text)
);

-- What is found beside records: deployed resources, clusters and pack families of a source.
CREATE TABLE thing (
    tenant_id BIGINT NOT NULL,
    -- A hash of source, kind and names: the same in every store.
    id BIGINT NOT NULL,
    source_id BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    resource_id BIGINT,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE posting (
    tenant_id BIGINT NOT NULL,
    -- An object, or a thing.
    document_id BIGINT NOT NULL,
    word_id BIGINT NOT NULL,
    born_at BIGINT NOT NULL,
    key_hash BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, document_id, word_id)
);
CREATE INDEX posting_by_word ON posting (tenant_id, word_id, born_at, key_hash, document_id);

-- The names that operations are grouped by, each once.
CREATE TABLE label (
    tenant_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, text)
);

-- One row a result, as statistics count it: derived, and true of the latest commit only. A label of
-- 0 is none. The indexes hold all that is counted, so that the rows themselves are not read.
CREATE TABLE operation (
    tenant_id BIGINT NOT NULL,
    object_id BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    source_id BIGINT NOT NULL,
    content_id BIGINT NOT NULL,
    counted_at BIGINT NOT NULL,
    duration BIGINT,
    cluster_id BIGINT NOT NULL,
    pack_id BIGINT NOT NULL,
    base_id BIGINT NOT NULL,
    status_id BIGINT NOT NULL,
    capability_id BIGINT NOT NULL,
    category_id BIGINT NOT NULL,
    step_id BIGINT NOT NULL,
    rules BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, object_id)
);
CREATE INDEX operation_of_node ON operation (tenant_id, node_id);
CREATE INDEX operation_of_content ON operation (tenant_id, content_id);
CREATE INDEX operation_by_time ON operation (tenant_id, counted_at, source_id, cluster_id, pack_id, base_id, status_id, capability_id, category_id, step_id, duration);
CREATE INDEX operation_by_cluster ON operation (tenant_id, cluster_id, counted_at, source_id, pack_id, base_id, status_id, capability_id, category_id, step_id, duration);
CREATE INDEX operation_by_pack ON operation (tenant_id, pack_id, counted_at, source_id, cluster_id, base_id, status_id, capability_id, category_id, step_id, duration);
CREATE INDEX operation_by_base ON operation (tenant_id, base_id, counted_at, source_id, cluster_id, pack_id, status_id, capability_id, category_id, step_id, duration);

-- Which contents applied a set of resources.
CREATE INDEX content_of_set ON content (tenant_id, resource_set_id);
