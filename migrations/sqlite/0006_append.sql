-- The rows that hold now, at once: of an epoch or a finding there are as many former rows as it had
-- changes, and a chain is longer than what of it is active.
CREATE INDEX epoch_open ON epoch (tenant_id, sequence_id, to_seq);
CREATE INDEX revision_active ON revision (tenant_id, sequence_id, to_seq, live, superseded);
CREATE INDEX finding_open ON finding (tenant_id, unit_id, to_seq, code);

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('epoch', 'epoch_open', '1000000 1000000 10 2'),
    ('revision', 'revision_active', '1000000 1000000 10 6 4 2'),
    ('finding', 'finding_open', '1000000 1000000 5 2 1');
ANALYZE sqlite_schema;
