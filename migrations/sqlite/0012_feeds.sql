-- What happened to runs, in the order of the ledger, for those who follow it.
CREATE INDEX run_state_by_seq ON run_state (tenant_id, from_seq, run);
CREATE INDEX run_approval_by_seq ON run_approval (tenant_id, from_seq, run, approval);

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('run_state', 'run_state_by_seq', '1000000 1000000 1 1'),
    ('run_approval', 'run_approval_by_seq', '200000 200000 2 1 1');
ANALYZE sqlite_schema;
