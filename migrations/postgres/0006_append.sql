-- The rows that hold now, at once: of an epoch or a finding there are as many former rows as it had
-- changes, and a chain is longer than what of it is active.
CREATE INDEX epoch_open ON epoch (tenant_id, sequence_id, to_seq);
CREATE INDEX revision_active ON revision (tenant_id, sequence_id, to_seq, live, superseded);
CREATE INDEX finding_open ON finding (tenant_id, unit_id, to_seq, code);
