-- The product's rows as tables that PostGraphile can expose at its best: plain columns instead of
-- JSON, keys and foreign keys, an index for every order that is asked for.
CREATE SCHEMA peer;

CREATE TABLE peer.pack AS
SELECT s.name, o.uid
FROM state s JOIN object o ON o.tenant_id = s.tenant_id AND o.id = s.object_id
WHERE s.kind = 'ClusterPack' AND s.to_seq = 9223372036854775807;
ALTER TABLE peer.pack ADD PRIMARY KEY (name);

CREATE TABLE peer.execution AS
SELECT o.uid, s.name, s.namespace, s.live = 1 AS live, c.facts::jsonb ->> 'cluster' AS target_cluster_ref,
    c.facts::jsonb #>> '{detail,Execution,pack}' AS pack_name,
    c.facts::jsonb #>> '{detail,Execution,pack_version}' AS pack_version, e.status,
    (ROW_NUMBER() OVER (ORDER BY s.born_at DESC, s.key_hash DESC))::int AS place
FROM state s
JOIN object o ON o.tenant_id = s.tenant_id AND o.id = s.object_id
JOIN content c ON c.tenant_id = s.tenant_id AND c.id = s.content_id
LEFT JOIN epoch e ON e.tenant_id = s.tenant_id AND e.uid = o.uid AND e.to_seq = 9223372036854775807
WHERE s.kind = 'PackExecution' AND s.to_seq = 9223372036854775807;
ALTER TABLE peer.execution ADD PRIMARY KEY (uid), ADD UNIQUE (namespace, name), ADD UNIQUE (place);
ALTER TABLE peer.execution ADD FOREIGN KEY (pack_name) REFERENCES peer.pack (name);
CREATE INDEX ON peer.execution (pack_name);

CREATE TABLE peer.result AS
SELECT r.epoch_uid AS execution_uid, r.revision::int AS revision, s.name, s.namespace, o.uid,
    UPPER(s.status) AS status,
    TO_CHAR(TO_TIMESTAMP((c.facts::jsonb #>> '{detail,Result,started}')::bigint / 1000000) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS started_at,
    TO_CHAR(TO_TIMESTAMP((c.facts::jsonb #>> '{detail,Result,completed}')::bigint / 1000000) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS completed_at,
    c.facts::jsonb #>> '{detail,Result,capability}' AS capability,
    c.facts::jsonb ->> 'cluster' AS target_cluster_ref, s.live = 1 AS live, s.pack AS pack_name
FROM revision r
JOIN state s ON s.tenant_id = r.tenant_id AND s.object_id = r.object_id AND s.to_seq = 9223372036854775807
JOIN object o ON o.tenant_id = s.tenant_id AND o.id = s.object_id
JOIN content c ON c.tenant_id = s.tenant_id AND c.id = s.content_id
WHERE r.to_seq = 9223372036854775807;
ALTER TABLE peer.result ADD PRIMARY KEY (execution_uid, revision);
ALTER TABLE peer.result ADD FOREIGN KEY (execution_uid) REFERENCES peer.execution (uid);
ALTER TABLE peer.result ADD FOREIGN KEY (pack_name) REFERENCES peer.pack (name);
CREATE INDEX ON peer.result (pack_name);

ANALYZE peer.pack, peer.execution, peer.result;
