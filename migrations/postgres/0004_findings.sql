-- Findings that can be searched, and later refusals of what is in quarantine.

-- A finding is one thing from when it is raised until it is cleared, though its severity and detail may change
-- between: `raised_seq` is the commit that raised it, and a row that another one of the same finding follows at once
-- is `replaced` and was not cleared. `cluster` and `namespace` are what it is about; rows of before get theirs with
-- the next `packtrail rebuild`.
ALTER TABLE finding ADD COLUMN raised_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE finding ADD COLUMN replaced BIGINT NOT NULL DEFAULT 0;
ALTER TABLE finding ADD COLUMN cluster TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE finding ADD COLUMN namespace TEXT COLLATE "C" NOT NULL DEFAULT '';

UPDATE finding SET replaced = 1 WHERE EXISTS (
    SELECT 1 FROM finding n WHERE n.tenant_id = finding.tenant_id AND n.unit_id = finding.unit_id
    AND n.code = finding.code AND n.subject = finding.subject AND n.from_seq = finding.to_seq
);
UPDATE finding SET raised_seq = (
    SELECT MAX(f.from_seq) FROM finding f WHERE f.tenant_id = finding.tenant_id AND f.unit_id = finding.unit_id
    AND f.code = finding.code AND f.subject = finding.subject AND f.from_seq <= finding.from_seq
    AND NOT EXISTS (
        SELECT 1 FROM finding p WHERE p.tenant_id = f.tenant_id AND p.unit_id = f.unit_id
        AND p.code = f.code AND p.subject = f.subject AND p.to_seq = f.from_seq
    )
);

DROP INDEX finding_by_age;
DROP INDEX finding_by_subject;
CREATE INDEX finding_by_raised ON finding (tenant_id, raised_seq, id);
CREATE INDEX finding_by_unit ON finding (tenant_id, unit_id, raised_seq, id);
CREATE INDEX finding_by_subject ON finding (tenant_id, subject, raised_seq, id);
CREATE INDEX finding_by_cluster ON finding (tenant_id, cluster, raised_seq, id);
CREATE INDEX finding_by_namespace ON finding (tenant_id, namespace, raised_seq, id);
CREATE INDEX finding_by_code ON finding (tenant_id, code, raised_seq, id);
CREATE INDEX finding_by_severity ON finding (tenant_id, severity, raised_seq, id);
CREATE INDEX finding_by_source ON finding (tenant_id, source_id, raised_seq, id);
-- Commits never go back in time, so that a time is a place in the ledger.
CREATE INDEX ledger_commit_by_time ON ledger_commit (tenant_id, committed_at, seq);

-- Why an item in quarantine was refused again, for another reason than before: in force from commit to commit, and
-- then instead of the reason in `quarantine`.
CREATE TABLE quarantine_refusal (
    tenant_id BIGINT NOT NULL,
    id BIGINT NOT NULL,
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    code TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    refused_at BIGINT NOT NULL,
    strict BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id, from_seq)
);
