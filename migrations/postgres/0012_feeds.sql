-- What happened to runs, in the order of the ledger, for those who follow it.
CREATE INDEX run_state_by_seq ON run_state (tenant_id, from_seq, run);
CREATE INDEX run_approval_by_seq ON run_approval (tenant_id, from_seq, run, approval);
