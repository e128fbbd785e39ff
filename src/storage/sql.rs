//! Every SQL text, once. Tests prepare each on both databases.

use std::sync::OnceLock;

use super::dialect::{Dialect, expand};
use super::pack::{Columns, Packed, packing};

/// A statement of the catalogue.
#[derive(Debug)]
pub struct Statement {
    /// Its name, for tests and logs.
    pub name: &'static str,
    text: &'static str,
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
    packed: OnceLock<String>,
}

impl Statement {
    const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, sqlite: OnceLock::new(), postgres: OnceLock::new(), packed: OnceLock::new() }
    }

    /// Its text for a database.
    pub fn text(&'static self, dialect: Dialect) -> &'static str {
        let cell = match dialect {
            Dialect::Sqlite => &self.sqlite,
            Dialect::Postgres => &self.postgres,
        };
        cell.get_or_init(|| expand(self.text, dialect))
    }

    /// Its text for `SQLite`, answering its rows as one packed value. A statement has one type of rows.
    pub fn packed<T: Packed>(&'static self) -> &'static str {
        self.packed.get_or_init(|| {
            let mut columns = Columns::new();
            T::columns("", &mut columns);
            packing(self.text(Dialect::Sqlite), &columns)
        })
    }
}

macro_rules! catalogue {
    ($($(#[doc = $doc:expr])+ $name:ident = $text:expr;)+) => {
        $($(#[doc = $doc])+ pub static $name: Statement = Statement::new(stringify!($name), $text);)+
        /// All statements.
        pub static CATALOGUE: &[&Statement] = &[$(&$name),+];
    };
}

/// A commit of a tenant and its sources, a row each.
macro_rules! head_columns {
    () => {
        "t.id AS tenant_id, h.seq, h.committed_at, s.id, s.name, s.incarnation, s.created_at "
    };
}

macro_rules! head_sources {
    () => {
        "LEFT JOIN source s ON s.tenant_id = t.id AND s.from_seq <= h.seq "
    };
}

/// The observation that began a version. What came without uid may be of another object of the node
/// than the one whose life it ended.
macro_rules! observed {
    ($of:literal, $node:literal) => {
        concat!(
            "JOIN object og ON og.tenant_id = ",
            $of,
            ".tenant_id AND og.node_id = ",
            $node,
            ".node_id \
             JOIN observation ob ON ob.tenant_id = ",
            $of,
            ".tenant_id AND ob.object_id = og.id AND ob.id = ",
            $of,
            ".observation_id "
        )
    };
}

/// The state of a run as of a commit.
macro_rules! run_state {
    () => {
        "JOIN run_state s ON s.tenant_id = r.tenant_id AND s.run = r.id AND s.from_seq <= $2 AND s.to_seq > $2 "
    };
}

/// A run as of a commit.
macro_rules! run_columns {
    () => {
        concat!(
            "r.id, r.run_id, r.pack, r.version, r.plan_hash, r.subjects, r.created_at, r.created_by, r.source, s.state, s.from_seq \
             FROM run r ",
            run_state!()
        )
    };
}

/// What narrows a list of runs.
macro_rules! run_filter {
    ($created:literal) => {
        concat!(
            "($3 = '' OR r.pack = $3) AND ",
            $created,
            " >= $4 AND ",
            $created,
            " < $5 AND ($6 < 0 OR s.status = $6) "
        )
    };
}

/// A page of runs, newest first.
macro_rules! run_page {
    ($created:literal, $run:literal) => {
        concat!(
            "(",
            $created,
            ", ",
            $run,
            ") < ($7, $8) AND ",
            run_filter!($created),
            "ORDER BY ",
            $created,
            " DESC, ",
            $run,
            " DESC LIMIT $9"
        )
    };
}

/// The same, oldest first.
macro_rules! run_page_back {
    ($created:literal, $run:literal) => {
        concat!(
            "(",
            $created,
            ", ",
            $run,
            ") > ($7, $8) AND ",
            run_filter!($created),
            "ORDER BY ",
            $created,
            ", ",
            $run,
            " LIMIT $9"
        )
    };
}

/// Approvals of one status as of a commit; of one run, where one is named.
macro_rules! approval_joins {
    () => {
        "FROM run_approval a WHERE a.tenant_id = $1 AND a.status = $3 AND a.from_seq <= $2 AND a.to_seq > $2 \
         AND ($4 < 0 OR a.run = $4) "
    };
}

/// The columns of an object's state with the facts of a content. Only receipts have a residence.
macro_rules! record_fields {
    () => {
        "s.object_id, s.source_id, s.node_id, s.key_hash, s.kind, s.namespace, s.name, s.cluster, s.pack, s.status, \
         s.born_at, s.first_at, s.changed_at, s.closed_at, s.end_kind, s.live, s.versions, o.uid, o.last_seen_at, o.heartbeat, \
         CASE WHEN s.kind = 'PackReceipt' THEN (SELECT n.cluster FROM node n WHERE n.tenant_id = s.tenant_id \
         AND n.id = s.node_id) ELSE '' END AS residence, c.facts "
    };
}

/// The columns of the provenance of a content.
macro_rules! provenance_fields {
    () => {
        ", c.digest, c.spec_digest, c.warnings, ob.body_id, ob.asserter, ob.resource_version "
    };
}

/// From a state to what its fields need.
macro_rules! record_joins {
    () => {
        "FROM state s \
         JOIN object o ON o.tenant_id = s.tenant_id AND o.id = s.object_id \
         JOIN content c ON c.tenant_id = s.tenant_id AND c.id = s.content_id "
    };
}

/// An object's state with the facts of its latest content, which is all that most lists show.
macro_rules! lean_record_columns {
    () => {
        concat!(record_fields!(), record_joins!())
    };
}

/// The same with the provenance of the content, for every read of records but chains.
macro_rules! record_columns {
    () => {
        concat!(record_fields!(), provenance_fields!(), record_joins!(), observed!("s", "s"))
    };
}

/// The columns of a row of a chain: the result's state with the facts of its version.
macro_rules! chain_fields {
    () => {
        concat!("r.revision, r.first_at AS place_at, r.key_hash AS place_hash, r.version_n, ", record_fields!())
    };
}

/// From the rows `r` of chains to what their fields need, as of a commit. The last version of a result
/// has the content of its state, so that most rows need not be looked up among versions.
macro_rules! lean_chain_joins {
    ($seq:literal) => {
        concat!(
            "JOIN state s ON s.tenant_id = r.tenant_id AND s.object_id = r.object_id AND s.from_seq <= ",
            $seq,
            " AND s.to_seq > ",
            $seq,
            " JOIN object o ON o.tenant_id = r.tenant_id AND o.id = r.object_id \
             JOIN content c ON c.tenant_id = r.tenant_id AND c.id = CASE WHEN r.version_n = s.versions - 1 \
             THEN s.content_id ELSE (SELECT v.content_id FROM version v WHERE v.tenant_id = r.tenant_id \
             AND v.object_id = r.object_id AND v.n = r.version_n AND v.from_seq <= ",
            $seq,
            " AND v.to_seq > ",
            $seq,
            ") END "
        )
    };
}

/// The same with the provenance of the content.
macro_rules! chain_joins {
    ($seq:literal) => {
        concat!(
            "JOIN state s ON s.tenant_id = r.tenant_id AND s.object_id = r.object_id AND s.from_seq <= ",
            $seq,
            " AND s.to_seq > ",
            $seq,
            " JOIN object o ON o.tenant_id = r.tenant_id AND o.id = r.object_id \
             JOIN version v ON v.tenant_id = r.tenant_id AND v.object_id = r.object_id AND v.n = r.version_n \
             AND v.from_seq <= ",
            $seq,
            " AND v.to_seq > ",
            $seq,
            " JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id ",
            observed!("v", "s")
        )
    };
}

/// A page of a chain: rows `$beyond` a place, in an order of the chain.
macro_rules! chain_page {
    ($fields:expr, $joins:expr, $beyond:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $fields,
            "FROM revision r ",
            $joins,
            "WHERE r.tenant_id = $1 AND r.sequence_id = $2 AND r.epoch_uid = $3 AND (r.revision, r.first_at, r.key_hash) ",
            $beyond,
            " ($5, $6, $7) AND r.from_seq <= $4 AND r.to_seq > $4 ORDER BY r.revision ",
            $order,
            ", r.first_at ",
            $order,
            ", r.key_hash ",
            $order,
            " LIMIT $8"
        )
    };
}

/// The same pages of several epochs at once, each beyond its own row.
macro_rules! chain_pages {
    ($fields:expr, $joins:expr, $beyond:literal, $order:literal) => {
        concat!(
            "SELECT r.i, ",
            $fields,
            "FROM (SELECT r.i, v.*, ROW_NUMBER() OVER (PARTITION BY r.i ORDER BY v.revision ",
            $order,
            ", v.first_at ",
            $order,
            ", v.key_hash ",
            $order,
            ") AS place \
             FROM {rows $2: i int, sequence_id int, epoch_uid text, revision int, first_at int, key_hash int} r \
             JOIN revision v ON v.tenant_id = $1 AND v.sequence_id = r.sequence_id AND v.epoch_uid = r.epoch_uid \
             AND (v.revision, v.first_at, v.key_hash) ",
            $beyond,
            " (r.revision, r.first_at, r.key_hash) AND v.from_seq <= $3 AND v.to_seq > $3) r ",
            $joins,
            "WHERE r.place <= $4 ORDER BY r.i, r.place"
        )
    };
}

/// What narrows a page of a listing beside the term that it is read through: the terms `$others` hold at
/// the record's birth, none of `$excluded` does.
macro_rules! listed_where {
    ($birth:literal, $key_hash:literal, $others:literal, $excluded:literal) => {
        concat!(
            "AND NOT EXISTS (SELECT 1 FROM {rows ",
            $others,
            ": term int} r WHERE NOT EXISTS (SELECT 1 FROM listing x \
             WHERE x.tenant_id = $1 AND x.term = r.term AND x.place = ",
            $birth,
            " AND x.key_hash = ",
            $key_hash,
            " \
             AND x.from_seq <= $3 AND x.to_seq > $3)) \
             AND NOT EXISTS (SELECT 1 FROM {rows ",
            $excluded,
            ": term int} r JOIN listing x \
             ON x.tenant_id = $1 AND x.term = r.term AND x.place = ",
            $birth,
            " AND x.key_hash = ",
            $key_hash,
            " \
             AND x.from_seq <= $3 AND x.to_seq > $3) "
        )
    };
}

/// A page of a listing in the order of birth.
macro_rules! listing_page {
    ($beyond:literal, $order:literal) => {
        concat!(
            "SELECT l.object_id, l.place, l.key_hash FROM listing l WHERE l.tenant_id = $1 AND l.term = $2 \
             AND (l.place, l.key_hash) ",
            $beyond,
            " ($4, $5) AND l.from_seq <= $3 AND l.to_seq > $3 \
             AND l.place >= $6 AND l.place < $7 ",
            listed_where!("l.place", "l.key_hash", "$8", "$9"),
            "ORDER BY l.place ",
            $order,
            ", l.key_hash ",
            $order,
            " LIMIT $10"
        )
    };
}

/// A page in the order of change: `$2` is the term of that order, or with `sorted` any rare one.
macro_rules! listing_changed {
    ($place:literal, $beyond:literal, $order:literal) => {
        concat!(
            "SELECT l.object_id, ",
            $place,
            " AS place, l.key_hash FROM listing l JOIN state s ON s.tenant_id = $1 \
             AND s.object_id = l.object_id AND s.from_seq <= $3 AND s.to_seq > $3 \
             WHERE l.tenant_id = $1 AND l.term = $2 AND (",
            $place,
            ", l.key_hash) ",
            $beyond,
            " ($4, $5) \
             AND l.from_seq <= $3 AND l.to_seq > $3 AND s.born_at >= $6 AND s.born_at < $7 ",
            listed_where!("s.born_at", "l.key_hash", "$8", "$9"),
            "ORDER BY ",
            $place,
            " ",
            $order,
            ", l.key_hash ",
            $order,
            " LIMIT $10"
        )
    };
}

/// A page in the order of names, read through the nodes of the kind `$2`.
macro_rules! listing_name_page {
    ($from:literal, $beyond:literal, $order:literal) => {
        concat!(
            "SELECT s.object_id, n.source_id, n.namespace, n.name, n.cluster, s.key_hash FROM node n \
             JOIN state s ON s.tenant_id = $1 AND s.node_id = n.id AND s.from_seq <= $3 AND s.to_seq > $3 \
             WHERE n.tenant_id = $1 AND n.kind = $2 AND (n.source_id, n.namespace, n.name, n.cluster) ",
            $from,
            " ($4, $5, $6, $7) AND (n.source_id, n.namespace, n.name, n.cluster, s.key_hash) ",
            $beyond,
            " ($4, $5, $6, $7, $8) AND s.born_at >= $9 AND s.born_at < $10 ",
            listed_where!("s.born_at", "s.key_hash", "$11", "$12"),
            "ORDER BY n.source_id ",
            $order,
            ", n.namespace ",
            $order,
            ", n.name ",
            $order,
            ", n.cluster ",
            $order,
            ", s.key_hash ",
            $order,
            " LIMIT $13"
        )
    };
}

/// A page in the order of names of what has a rare term `$2`.
macro_rules! listing_name_sorted {
    ($beyond:literal, $order:literal) => {
        concat!(
            "SELECT l.object_id, n.source_id, n.namespace, n.name, n.cluster, l.key_hash FROM listing l \
             JOIN state s ON s.tenant_id = $1 AND s.object_id = l.object_id AND s.from_seq <= $3 AND s.to_seq > $3 \
             JOIN node n ON n.tenant_id = $1 AND n.id = s.node_id \
             WHERE l.tenant_id = $1 AND l.term = $2 AND l.from_seq <= $3 AND l.to_seq > $3 \
             AND (n.source_id, n.namespace, n.name, n.cluster, l.key_hash) ",
            $beyond,
            " ($4, $5, $6, $7, $8) \
             AND l.place >= $9 AND l.place < $10 ",
            listed_where!("l.place", "l.key_hash", "$11", "$12"),
            "ORDER BY n.source_id ",
            $order,
            ", n.namespace ",
            $order,
            ", n.name ",
            $order,
            ", n.cluster ",
            $order,
            ", l.key_hash ",
            $order,
            " LIMIT $13"
        )
    };
}

/// The columns of a version with its content.
macro_rules! version_columns {
    () => {
        "v.object_id, v.n, v.from_at, v.to_at, v.end_kind, c.digest, c.spec_digest, c.facts, c.warnings, \
         ob.body_id, ob.resource_version, ob.asserter "
    };
}

macro_rules! version_joins {
    () => {
        concat!(
            "JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id \
             JOIN object vo ON vo.tenant_id = v.tenant_id AND vo.id = v.object_id ",
            observed!("v", "vo")
        )
    };
}

macro_rules! sequence_filter {
    () => {
        "AND ($7 = 0 OR n.source_id = $7) AND ($8 = '' OR n.namespace = $8) AND ($9 = '' OR n.name = $9) \
         AND EXISTS (SELECT 1 FROM epoch e WHERE e.tenant_id = n.tenant_id AND e.sequence_id = n.id \
         AND e.from_seq <= $2 AND e.to_seq > $2 AND ($10 = '' OR e.status = $10)) "
    };
}

/// The columns of a finding, the key of the unit that derives it, when it was raised, and when it was cleared.
macro_rules! finding_columns {
    () => {
        "f.id, f.source_id, f.code, f.severity, f.subject, f.detail, f.cluster, f.namespace, f.raised_seq, \
         k.committed_at AS raised_at, c.seq AS cleared_seq, c.committed_at AS cleared_at, n.namespace AS unit_namespace, n.name AS unit_name "
    };
}

/// What [`finding_columns`] needs. What was cleared after the commit $2 is not known to be. The first join is an outer
/// one, though its row is always there, so that no planner begins with all commits and sorts their findings.
macro_rules! finding_joins {
    () => {
        "LEFT JOIN ledger_commit k ON k.tenant_id = f.tenant_id AND k.seq = f.raised_seq \
         JOIN node n ON n.tenant_id = f.tenant_id AND n.id = f.unit_id \
         LEFT JOIN ledger_commit c ON c.tenant_id = f.tenant_id AND c.seq = f.to_seq AND f.to_seq <= $2 "
    };
}

/// The findings that are open on the units $2.
macro_rules! findings_open {
    () => {
        "SELECT unit_id, code, subject, object_id, severity, detail, id, cluster, namespace, from_seq FROM finding \
         WHERE tenant_id = $1 AND unit_id IN {ints $2} AND to_seq = 9223372036854775807 "
    };
}

/// The revisions that hold now.
macro_rules! revisions_open {
    () => {
        "SELECT sequence_id, epoch_uid, revision, first_at, key_hash, object_id, version_n, live, superseded, \
         from_seq FROM revision WHERE tenant_id = $1 AND to_seq = 9223372036854775807 "
    };
}

/// The findings open (0), cleared (1) or either (2) as of the commit $2, each once: the row of a finding that another
/// row of it follows was replaced.
macro_rules! finding_state {
    ($state:literal) => {
        concat!(
            "AND f.from_seq <= $2 AND ((f.to_seq > $2 AND ",
            $state,
            " <> 1) \
             OR (f.to_seq <= $2 AND f.replaced = 0 AND ",
            $state,
            " <> 0)) "
        )
    };
}

/// The findings of one value of one column, which drives, raised within bounds; all else is checked.
macro_rules! finding_rows {
    ($driven:literal) => {
        concat!(
            "WHERE f.tenant_id = $1 AND ", $driven, " AND (f.raised_seq, f.id) > ($4, $5) \
             AND (f.raised_seq, f.id) < ($6, $7) ", finding_state!("$8"),
            "AND ($9 = '[]' OR f.code IN (SELECT r.word FROM {rows $9: word text} r)) \
             AND ($10 = '[]' OR f.severity IN (SELECT r.word FROM {rows $10: word text} r)) \
             AND ($11 = 0 OR f.source_id = $11) AND ($12 = '' OR f.cluster = $12) AND ($13 = '' OR f.namespace = $13) "
        )
    };
}

/// A page of findings, newest raised first.
macro_rules! findings_page {
    ($driven:literal) => {
        concat!(
            "SELECT ",
            finding_columns!(),
            "FROM finding f ",
            finding_joins!(),
            finding_rows!($driven),
            "ORDER BY f.raised_seq DESC, f.id DESC LIMIT $14"
        )
    };
}

/// A page of findings, oldest raised first.
macro_rules! findings_page_back {
    ($driven:literal) => {
        concat!(
            "SELECT ",
            finding_columns!(),
            "FROM finding f ",
            finding_joins!(),
            finding_rows!($driven),
            "ORDER BY f.raised_seq, f.id LIMIT $14"
        )
    };
}

/// How many findings there are of each code and severity.
macro_rules! findings_count {
    ($driven:literal) => {
        concat!(
            "SELECT f.code, f.severity, COUNT(*) FROM finding f ",
            finding_rows!($driven),
            "GROUP BY f.code, f.severity"
        )
    };
}

/// The columns of an item in quarantine without its bytes, with the reason in force as of the commit $2.
macro_rules! quarantine_columns {
    () => {
        "q.id, q.source_id, q.from_seq, q.digest, COALESCE(r.code, q.code) AS code, COALESCE(r.path, q.path) AS path, \
         COALESCE(r.message, q.message) AS message, q.principal, q.received_at, COALESCE(r.strict, q.strict) AS strict, \
         q.size, r.refused_at, r.principal AS refused_by "
    };
}

macro_rules! quarantine_joins {
    () => {
        "FROM quarantine q LEFT JOIN quarantine_refusal r ON r.tenant_id = q.tenant_id AND r.id = q.id \
         AND r.from_seq <= $2 AND r.to_seq > $2 "
    };
}

/// What narrows a list of items in quarantine: source, code of the reason, when received.
macro_rules! quarantine_filter {
    () => {
        "AND q.from_seq <= $2 AND q.to_seq > $2 AND ($3 = 0 OR q.source_id = $3) \
         AND ($4 = '' OR COALESCE(r.code, q.code) = $4) AND q.received_at >= $5 AND q.received_at < $6 "
    };
}

/// What a search shows of a document: a record's state, or a thing with its resource.
macro_rules! hit_columns {
    () => {
        "p.born_at, p.key_hash, p.document_id, COALESCE(t.kind, s.kind) AS kind, \
         COALESCE(t.source_id, s.source_id) AS source_id, COALESCE(t.name, '') AS name, t.resource_id, \
         x.api_version AS resource_api_version, x.kind AS resource_kind, x.namespace AS resource_namespace, \
         x.name AS resource_name "
    };
}

macro_rules! hit_joins {
    () => {
        "LEFT JOIN state s ON s.tenant_id = p.tenant_id AND s.object_id = p.document_id AND s.from_seq <= $2 \
         AND s.to_seq > $2 \
         LEFT JOIN thing t ON t.tenant_id = p.tenant_id AND t.id = p.document_id \
         LEFT JOIN resource x ON x.tenant_id = t.tenant_id AND x.id = t.resource_id "
    };
}

/// What makes a document an answer: its words are like all patterns $5, and the filters. Asked of the document's own
/// words, so that the postings of a common word are not read where another is rare; the offset keeps Postgres from
/// hashing all documents instead.
macro_rules! hit_filter {
    () => {
        "AND NOT EXISTS (SELECT 1 FROM {rows $5: pattern text} r WHERE NOT EXISTS (SELECT 1 FROM document d \
         WHERE d.tenant_id = p.tenant_id AND d.id = p.document_id AND d.words LIKE r.pattern LIMIT 1 OFFSET 0)) \
         AND (s.object_id IS NOT NULL OR t.id IS NOT NULL) \
         AND ($6 = 0 OR COALESCE(t.source_id, s.source_id) = $6) \
         AND ($7 = 0 OR COALESCE(t.kind, s.kind) IN {rows $8: name text} \
         OR ($9 = 1 AND s.kind NOT IN {rows $10: name text})) "
    };
}

macro_rules! hits_of_word {
    () => {
        concat!("FROM posting p ", hit_joins!(), "WHERE p.tenant_id = $1 AND p.word_id = $3 AND $4 = '' ")
    };
}

/// The words of a range first: there are fewer of them than postings.
macro_rules! words_of_range {
    () => {
        "WITH r AS MATERIALIZED (SELECT w.id FROM word w WHERE w.tenant_id = $1 AND w.text >= $3 AND w.text < $4) "
    };
}

macro_rules! hits_of_range {
    () => {
        concat!("FROM r CROSS JOIN posting p ", hit_joins!(), "WHERE p.tenant_id = $1 AND p.word_id = r.id ")
    };
}

/// The results that applied a resource, from the columns of a record on.
macro_rules! applied_by {
    () => {
        "WHERE s.tenant_id = $1 AND s.from_seq <= $6 AND s.to_seq > $6 AND s.object_id IN (SELECT a.object_id \
         FROM resource_set_member m JOIN content k ON k.tenant_id = m.tenant_id AND k.resource_set_id = m.set_id \
         JOIN operation a ON a.tenant_id = m.tenant_id AND a.content_id = k.id AND a.source_id = $3 \
         WHERE m.tenant_id = $1 AND m.resource_id = $2) "
    };
}

/// Groups operations by the dimensions of the bit mask $4; `narrowed` names the index to read by.
macro_rules! operation_stats {
    ($narrowed:literal) => {
        concat!(
            "SELECT CASE WHEN ($4 & 1) > 0 THEN o.cluster_id ELSE 0 END AS cluster_id, \
            CASE WHEN ($4 & 2) > 0 THEN o.pack_id ELSE 0 END AS pack_id, \
            CASE WHEN ($4 & 4) > 0 THEN o.base_id ELSE 0 END AS base_id, \
            CASE WHEN ($4 & 8) > 0 THEN o.status_id ELSE 0 END AS status_id, \
            CASE WHEN ($4 & 16) > 0 THEN o.category_id ELSE 0 END AS category_id, \
            CASE WHEN ($4 & 32) > 0 THEN o.step_id ELSE 0 END AS step_id, \
            CASE WHEN ($4 & 64) > 0 THEN o.counted_at - (o.counted_at % 86400000000 + 86400000000) % 86400000000 \
            ELSE 0 END AS day, \
            CASE WHEN ($4 & 128) > 0 THEN o.counted_at - (o.counted_at % 3600000000 + 3600000000) % 3600000000 \
            ELSE 0 END AS hour, \
            COUNT(*) AS operations, \
            CAST(SUM(CASE WHEN o.status_id = $5 THEN 1 ELSE 0 END) AS BIGINT) AS succeeded, \
            CAST(SUM(CASE WHEN o.status_id = $6 THEN 1 ELSE 0 END) AS BIGINT) AS failed, \
            COUNT(o.duration) AS timed, CAST(SUM(o.duration / 1000000) AS BIGINT) AS seconds, \
            CAST(SUM(o.duration % 1000000) AS BIGINT) AS micros, MIN(o.duration) AS shortest, \
            MAX(o.duration) AS longest, MIN(o.counted_at) AS first_at, MAX(o.counted_at) AS last_at \
            FROM operation o WHERE o.tenant_id = $1 ",
            $narrowed,
            "AND o.counted_at >= $2 AND o.counted_at < $3 \
            AND ($7 = 0 OR o.source_id = $7) AND ($8 = 0 OR o.cluster_id = $8) AND ($9 = 0 OR o.pack_id = $9) \
            AND ($10 = 0 OR o.base_id = $10) AND ($11 = 0 OR o.status_id = $11) \
            AND ($12 = 0 OR o.capability_id = $12) AND ($13 = 0 OR o.category_id = $13) \
            AND ($14 = 0 OR o.step_id = $14) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 LIMIT $15"
        )
    };
}

/// The columns of an edge `l`.
macro_rules! lineage_columns {
    () => {
        "l.src, l.by_dst, l.kind, l.dst, l.within, l.field, l.from_n, l.to_n, l.attribute, l.from_seq "
    };
}

/// Where the edges of some vertices are that hold as of a commit: $1 tenant, $2 commit, $3 vertices.
macro_rules! lineage_held {
    ($end:literal) => {
        concat!(
            "FROM lineage l WHERE l.tenant_id = $1 AND l.",
            $end,
            " IN {ints $3} AND l.from_seq <= $2 AND l.to_seq > $2 "
        )
    };
}

/// These edges.
macro_rules! lineage_hop {
    ($end:literal) => {
        concat!("SELECT ", lineage_columns!(), lineage_held!($end))
    };
}

/// Only edges of some kinds, $5: each column of the index is named, so that they are found among the many edges of a
/// busy vertex.
macro_rules! lineage_of_kinds {
    () => {
        "AND l.by_dst IN (0, 1) AND l.kind IN {ints $5} "
    };
}

/// The same for many kinds: what would be looked for kind by kind is read through instead.
macro_rules! lineage_among_kinds {
    () => {
        "AND l.kind + 0 IN {ints $5} "
    };
}

/// Only edges whose asserting object said so at a time. Those of runs (fields 35 to 39) hold from a time on.
macro_rules! lineage_at {
    ($at:literal) => {
        concat!(
            "AND ((l.field BETWEEN 35 AND 39 AND l.from_n <= ",
            $at,
            ") OR EXISTS (SELECT 1 FROM version v WHERE v.tenant_id = l.tenant_id \
             AND v.object_id = CASE WHEN l.by_dst = 1 THEN l.dst ELSE l.src END \
             AND v.n >= l.from_n AND v.n <= COALESCE(l.to_n, 9223372036854775807) \
             AND v.from_seq <= $2 AND v.to_seq > $2 AND v.from_at <= ",
            $at,
            " AND (v.to_at IS NULL OR v.to_at > ",
            $at,
            "))) "
        )
    };
}

/// The edges by which resources were applied: $1 tenant, $2 commit, $3 resources on clusters. 15 is `APPLIED`.
macro_rules! lineage_appliers {
    () => {
        concat!(
            "SELECT m.resource_id, ",
            lineage_columns!(),
            "FROM {rows $3: id int, within int} r \
             JOIN resource_set_member m ON m.tenant_id = $1 AND m.resource_id = r.id \
             JOIN lineage l ON l.tenant_id = $1 AND l.dst = m.set_id AND l.by_dst = 0 AND l.kind = 15 \
             AND l.within = r.within AND l.from_seq <= $2 AND l.to_seq > $2 WHERE 1 = 1 "
        )
    };
}

catalogue! {
    /// Makes a tenant on its first record.
    TENANT_ENSURE = "INSERT INTO tenant (name, next_id, rules) VALUES ($1, 1, $2) ON CONFLICT (name) DO NOTHING";
    /// The tenants whose derived rows follow older rules.
    TENANTS_BEHIND = "SELECT name FROM tenant WHERE rules < $1 ORDER BY id";
    /// Notes the rules that a tenant's derived rows follow.
    TENANT_RULES = "UPDATE tenant SET rules = $2 WHERE name = $1";
    /// Finds a tenant.
    TENANT_BY_NAME = "SELECT id FROM tenant WHERE name = $1";
    /// Makes the head of a tenant's ledger.
    LEDGER_ENSURE = "INSERT INTO ledger_head (tenant_id, seq, leaves, committed_at) VALUES ($1, 0, 0, 0) \
        ON CONFLICT (tenant_id) DO NOTHING";
    /// Takes ids for a transaction, which locks the tenant's row.
    IDS_TAKE = "UPDATE tenant SET next_id = next_id + $2 WHERE id = $1 RETURNING next_id - $2";
    /// Takes ids for a process, in a statement of its own.
    IDS_STOCK = "UPDATE tenant SET next_id = next_id + $2 WHERE name = $1 RETURNING next_id - $2";
    /// Waits for a turn of a tenant: $2 is which. A lock of no row, so that only who takes turns waits.
    TURN_TAKE = "SELECT {turn $1 $2}";
    /// Finds a source.
    SOURCE_BY_NAME = "SELECT id, incarnation FROM source WHERE tenant_id = $1 AND name = $2";
    /// Makes a source on its first record.
    SOURCE_INSERT = "INSERT INTO source (tenant_id, id, name, incarnation, created_at, from_seq) \
        VALUES ($1, $2, $3, '', $4, $5)";
    /// Notes a new incarnation of a source.
    SOURCE_INCARNATION = "UPDATE source SET incarnation = $3 WHERE tenant_id = $1 AND id = $2";

    /// Takes the next commit of the ledger: last in a transaction, so that its row is locked briefly.
    LEDGER_TAKE = "UPDATE ledger_head SET seq = seq + 1, leaves = leaves + $2, \
        committed_at = CASE WHEN committed_at > $3 THEN committed_at ELSE $3 END \
        WHERE tenant_id = $1 RETURNING seq, leaves - $2, committed_at";
    /// Writes the commit.
    LEDGER_COMMIT_INSERT = "INSERT INTO ledger_commit (tenant_id, seq, committed_at, entries) VALUES ($1, $2, $3, $4)";
    /// Writes the entries of a commit.
    LEDGER_ENTRIES_INSERT = "INSERT INTO ledger_entry (tenant_id, seq, n, leaf, kind, source_id, identity, \
        object_id, content_id, content_digest, previous_id, previous_digest, principal) \
        SELECT $1, $2, r.n, r.leaf, r.kind, r.source_id, r.identity, r.object_id, r.content_id, r.content_digest, \
        r.previous_id, r.previous_digest, r.principal \
        FROM {rows $3: n int, leaf int, kind text, source_id int, identity text, object_id int, content_id int, \
        content_digest bytes, previous_id int, previous_digest bytes, principal text} r";
    /// Where the ledger stands.
    LEDGER_HEAD = "SELECT seq, leaves, committed_at FROM ledger_head WHERE tenant_id = $1";
    /// Finds nodes by their keys.
    NODES_FIND = "SELECT r.i, n.id FROM {rows $3: i int, kind text, cluster text, namespace text, name text} r \
        JOIN node n ON n.tenant_id = $1 AND n.source_id = CASE WHEN r.kind = '~run' THEN 0 ELSE $2 END \
        AND n.kind = r.kind AND n.namespace = r.namespace AND n.name = r.name AND n.cluster = r.cluster";
    /// Writes new nodes. A run is of no source, but of the tenant.
    NODES_INSERT = "INSERT INTO node (tenant_id, id, source_id, kind, cluster, namespace, name) \
        SELECT $1, r.id, CASE WHEN r.kind = '~run' THEN 0 ELSE $2 END, r.kind, r.cluster, r.namespace, r.name \
        FROM {rows $3: id int, kind text, cluster text, namespace text, name text} r";
    /// The record nodes of a source after one, a page at a time: for rebuilding.
    NODES_PAGE = "SELECT id, kind, cluster, namespace, name FROM node \
        WHERE tenant_id = $1 AND id > $2 AND source_id = $3 ORDER BY id LIMIT $4";

    /// The objects of nodes.
    OBJECTS_OF_NODES = "SELECT id, node_id, uid, sighted_at, last_seen_at, beat_id FROM object \
        WHERE tenant_id = $1 AND node_id IN {ints $2} ORDER BY id";
    /// Writes new objects.
    OBJECTS_INSERT = "INSERT INTO object (tenant_id, id, node_id, uid, sighted_at, last_seen_at, heartbeat) \
        SELECT $1, r.id, r.node_id, r.uid, r.sighted_at, r.last_seen_at, r.heartbeat \
        FROM {rows $2: id int, node_id int, uid text, sighted_at int, last_seen_at int, heartbeat text} r";
    /// Moves the live values of objects.
    OBJECTS_SEEN = "UPDATE object SET sighted_at = r.sighted_at, last_seen_at = r.last_seen_at, \
        heartbeat = COALESCE(r.heartbeat, object.heartbeat), beat_id = r.beat_id \
        FROM {rows $2: id int, sighted_at int, last_seen_at int, heartbeat text, beat_id int} r \
        WHERE object.tenant_id = $1 AND object.id = r.id";
    /// The observations that sightings may move as heartbeats: of objects that live and are steady, where the
    /// resourceVersion is a new one.
    BEATS_FIND = "SELECT r.i, o.id AS object, o.uid, o.sighted_at, o.last_seen_at, b.id AS observation, b.stamped_at, \
        c.digest FROM {rows $3: i int, kind text, cluster text, namespace text, name text, uid text, \
        resource_version text} r \
        JOIN node n ON n.tenant_id = $1 AND n.source_id = $2 AND n.kind = r.kind AND n.namespace = r.namespace \
        AND n.name = r.name AND n.cluster = r.cluster \
        JOIN object o ON o.tenant_id = $1 AND o.node_id = n.id AND o.uid = r.uid \
        JOIN observation b ON b.tenant_id = $1 AND b.object_id = o.id AND b.id = o.beat_id \
        JOIN content c ON c.tenant_id = $1 AND c.id = b.content_id \
        JOIN state s ON s.tenant_id = $1 AND s.node_id = n.id AND s.to_seq = 9223372036854775807 \
        AND s.object_id = o.id AND s.live = 1 \
        WHERE NOT EXISTS (SELECT 1 FROM observation x WHERE x.tenant_id = $1 AND x.object_id = o.id \
        AND x.resource_version = r.resource_version)";
    /// The observations of the objects of nodes, with their contents.
    OBSERVATIONS_OF_NODES = "SELECT b.object_id, b.id, b.resource_version, b.content_id, b.deleted, b.stamped_at, \
        b.sighted_at, b.own_time, c.digest, c.spec_digest, c.facts \
        FROM object o JOIN observation b ON b.tenant_id = o.tenant_id AND b.object_id = o.id \
        JOIN content c ON c.tenant_id = b.tenant_id AND c.id = b.content_id \
        WHERE o.tenant_id = $1 AND o.node_id IN {ints $2} ORDER BY b.object_id, b.id";
    /// Writes new observations.
    OBSERVATIONS_INSERT = "INSERT INTO observation (tenant_id, object_id, id, resource_version, content_id, body_id, \
        deleted, stamped_at, sighted_at, own_time, received_at, asserter) \
        SELECT $1, r.object_id, r.id, r.resource_version, r.content_id, r.body_id, r.deleted, r.stamped_at, \
        r.sighted_at, r.own_time, r.received_at, r.asserter \
        FROM {rows $2: object_id int, id int, resource_version text, content_id int, body_id int, deleted int, \
        stamped_at int, sighted_at int, own_time int, received_at int, asserter text} r";
    /// Moves an observation: an earlier sighting, or a later heartbeat in its place.
    OBSERVATIONS_MOVE = "UPDATE observation SET resource_version = r.resource_version, stamped_at = r.stamped_at, \
        sighted_at = r.sighted_at \
        FROM {rows $2: object_id int, id int, resource_version text, stamped_at int, sighted_at int} r \
        WHERE observation.tenant_id = $1 AND observation.object_id = r.object_id AND observation.id = r.id";
    /// The versions that hold now of the objects of nodes, with their contents.
    VERSIONS_OF_NODES = "SELECT o.node_id, o.uid, v.object_id, v.n, v.from_seq, v.from_at, v.to_at, v.end_kind, v.observation_id, \
        v.content_id, c.digest, c.spec_digest, c.facts \
        FROM object o JOIN version v ON v.tenant_id = o.tenant_id AND v.object_id = o.id AND v.to_seq = 9223372036854775807 \
        JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id \
        WHERE o.tenant_id = $1 AND o.node_id IN {ints $2} ORDER BY v.object_id, v.n";

    /// The uids of the objects of nodes, and when they were closed: without their histories.
    ENDS_OF_NODES = "SELECT s.node_id, s.object_id, o.uid, s.closed_at FROM state s \
        JOIN object o ON o.tenant_id = s.tenant_id AND o.id = s.object_id \
        WHERE s.tenant_id = $1 AND s.node_id IN {ints $2} AND s.to_seq = 9223372036854775807";

    /// What ever joined collections.
    MEMBERS = "SELECT e.dst, e.src, n.kind, n.cluster, n.namespace, n.name FROM edge e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.src \
        WHERE e.tenant_id = $1 AND e.dst IN {ints $2} AND e.kind = 3 ORDER BY e.dst, e.src";
    /// What reads nodes (1), or is owned by them (2).
    DEPENDENTS = "SELECT e.dst, e.src, n.kind, n.cluster, n.namespace, n.name FROM edge e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.src \
        WHERE e.tenant_id = $1 AND e.dst IN {ints $2} AND e.kind = $3 ORDER BY e.dst, e.src";
    /// The collections that nodes ever joined.
    COLLECTIONS_OF = "SELECT e.dst, e.src, n.kind, n.cluster, n.namespace, n.name FROM edge e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.dst \
        WHERE e.tenant_id = $1 AND e.src IN {ints $2} AND e.kind = 3 ORDER BY e.dst, e.src";
    /// Writes edges that are not there yet.
    EDGES_INSERT = "INSERT INTO edge (tenant_id, dst, kind, src) \
        SELECT $1, r.dst, r.kind, r.src FROM {rows $2: dst int, kind int, src int} r WHERE 1 = 1 \
        ON CONFLICT (tenant_id, dst, kind, src) DO NOTHING";

    /// The first complete listing after a time that covers a kind and a namespace.
    SNAPSHOT_NEXT = "SELECT r.i, (SELECT MIN(s.at) FROM snapshot s WHERE s.tenant_id = $1 AND s.source_id = $2 \
        AND s.kind IN ('', r.kind) AND s.namespace IN ('', r.namespace) AND s.at > r.t) \
        FROM {rows $3: i int, kind text, namespace text, t int} r";
    /// Writes a complete listing.
    SNAPSHOT_INSERT = "INSERT INTO snapshot (tenant_id, source_id, kind, namespace, at, received_at) \
        SELECT $1, $2, r.kind, r.namespace, $4, $5 FROM {rows $3: kind text, namespace text} r WHERE 1 = 1 \
        ON CONFLICT (tenant_id, source_id, kind, namespace, at) DO NOTHING";
    /// The objects that a listing covers and did not see, a page at a time: those that live, and those for
    /// which a later time was inferred than that of this listing.
    SNAPSHOT_OMITTED = "SELECT DISTINCT s.node_id, n.kind, n.cluster, n.namespace, n.name FROM state s \
        JOIN object o ON o.tenant_id = s.tenant_id AND o.id = s.object_id \
        JOIN node n ON n.tenant_id = s.tenant_id AND n.id = s.node_id \
        WHERE s.tenant_id = $1 AND s.to_seq = 9223372036854775807 AND s.source_id = $2 \
        AND (s.live = 1 OR (s.closed_at >= $7 AND s.end_kind IN ('SNAPSHOT', 'OWNER', 'SUCCESSOR'))) \
        AND (s.kind IN {rows $3: name text} OR $4 = 1) AND (s.namespace IN {rows $5: name text} OR $6 = 1) \
        AND (o.sighted_at IS NULL OR o.sighted_at < $7 OR o.uid = '') AND s.node_id > $8 ORDER BY s.node_id LIMIT $9";

    /// Finds contents by digest.
    CONTENTS_FIND = "SELECT r.i, c.id FROM {rows $2: i int, digest bytes} r \
        JOIN content c ON c.tenant_id = $1 AND c.digest = r.digest";
    /// The contents of nodes with their facts, each with a body that says it.
    FACTS_OF_NODES = "SELECT c.id, n.kind, c.facts, MIN(b.body_id) AS body_id FROM object o \
        JOIN node n ON n.tenant_id = o.tenant_id AND n.id = o.node_id \
        JOIN observation b ON b.tenant_id = o.tenant_id AND b.object_id = o.id \
        JOIN content c ON c.tenant_id = b.tenant_id AND c.id = b.content_id \
        WHERE o.tenant_id = $1 AND o.node_id IN {ints $2} GROUP BY c.id, n.kind, c.facts ORDER BY c.id";
    /// Writes what newer rules need of contents.
    FACTS_UPDATE = "UPDATE content SET facts = r.facts FROM {rows $2: id int, facts text} r \
        WHERE content.tenant_id = $1 AND content.id = r.id";
    /// Writes new contents.
    CONTENTS_INSERT = "INSERT INTO content (tenant_id, id, digest, spec_digest, facts, warnings, resource_set_id) \
        SELECT $1, r.id, r.digest, r.spec_digest, r.facts, r.warnings, r.resource_set_id \
        FROM {rows $2: id int, digest bytes, spec_digest bytes, facts text, warnings text, resource_set_id int} r";
    /// Finds bodies by digest.
    BODIES_FIND = "SELECT r.i, b.id FROM {rows $2: i int, digest bytes} r \
        JOIN body b ON b.tenant_id = $1 AND b.digest = r.digest";
    /// Writes new bodies.
    BODIES_INSERT = "INSERT INTO body (tenant_id, id, digest, location, base_id, bytes) \
        SELECT $1, r.id, r.digest, 'inline', r.base_id, r.bytes \
        FROM {rows $2: id int, digest bytes, base_id int, bytes bytes} r";
    /// The bytes of bodies, with those of their bases.
    BODIES_BY_ID = "SELECT b.id, b.location, b.bytes, d.bytes AS base FROM body b \
        LEFT JOIN body d ON d.tenant_id = b.tenant_id AND d.id = b.base_id \
        WHERE b.tenant_id = $1 AND b.id IN {ints $2}";
    /// The whole bodies that others of their likeness are held against.
    BASES_FIND = "SELECT r.i, b.id, b.location, b.bytes, d.bytes AS base FROM {rows $2: i int, likeness int} r \
        JOIN body_base x ON x.tenant_id = $1 AND x.likeness = r.likeness \
        JOIN body b ON b.tenant_id = x.tenant_id AND b.id = x.body_id \
        LEFT JOIN body d ON d.tenant_id = b.tenant_id AND d.id = b.base_id";
    /// Notes them.
    BASES_PUT = "INSERT INTO body_base (tenant_id, likeness, body_id) \
        SELECT $1, r.likeness, r.body_id FROM {rows $2: likeness int, body_id int} r WHERE 1 = 1 \
        ON CONFLICT (tenant_id, likeness) DO UPDATE SET body_id = excluded.body_id";
    /// Finds resources by their names.
    RESOURCES_FIND = "SELECT r.i, x.id FROM {rows $2: i int, api_version text, kind text, namespace text, name text} r \
        JOIN resource x ON x.tenant_id = $1 AND x.kind = r.kind AND x.namespace = r.namespace AND x.name = r.name \
        AND x.api_version = r.api_version";
    /// Writes new resources.
    RESOURCES_INSERT = "INSERT INTO resource (tenant_id, id, api_version, kind, namespace, name) \
        SELECT $1, r.id, r.api_version, r.kind, r.namespace, r.name \
        FROM {rows $2: id int, api_version text, kind text, namespace text, name text} r";
    /// Finds resource sets by digest.
    RESOURCE_SETS_FIND = "SELECT r.i, x.id FROM {rows $2: i int, digest bytes} r \
        JOIN resource_set x ON x.tenant_id = $1 AND x.digest = r.digest";
    /// Writes new resource sets.
    RESOURCE_SETS_INSERT = "INSERT INTO resource_set (tenant_id, id, digest, size) \
        SELECT $1, r.id, r.digest, r.size FROM {rows $2: id int, digest bytes, size int} r";
    /// Writes the members of new resource sets.
    RESOURCE_MEMBERS_INSERT = "INSERT INTO resource_set_member (tenant_id, set_id, resource_id) \
        SELECT $1, r.set_id, r.resource_id FROM {rows $2: set_id int, resource_id int} r";

    /// The states that hold now of objects.
    STATES_OPEN = "SELECT object_id, node_id, key_hash, kind, born_at, first_at, closed_at, end_kind, live, versions, \
        content_id, observation_id, namespace, name, cluster, pack, status, changed_at, base_pack, capability, \
        failure_category, failed_step, targets, drift, verified, counted_at, deployed_pack, from_seq FROM state \
        WHERE tenant_id = $1 AND object_id IN {ints $2} AND to_seq = 9223372036854775807";
    /// The epochs that hold now of sequences.
    EPOCHS_OPEN = "SELECT sequence_id, uid, position, status, born_at, revisions, head_id, head_revision, active_id, \
        active_revision, detail, from_seq FROM epoch \
        WHERE tenant_id = $1 AND sequence_id IN {ints $2} AND to_seq = 9223372036854775807";
    /// The revisions that hold now of sequences.
    REVISIONS_OPEN = concat!(revisions_open!(), "AND sequence_id IN {ints $2}");
    /// The revisions that hold now of results.
    REVISIONS_OF_OBJECTS_OPEN = concat!(revisions_open!(), "AND object_id IN {ints $2}");
    /// The revisions of sequences that are live and not superseded.
    ACTIVES_OPEN = "SELECT r.sequence_id, r.epoch_uid, r.revision, r.first_at, r.object_id, r.version_n, o.uid, \
        n.kind, n.cluster, n.namespace, n.name FROM revision r \
        JOIN object o ON o.tenant_id = r.tenant_id AND o.id = r.object_id \
        JOIN node n ON n.tenant_id = o.tenant_id AND n.id = o.node_id \
        WHERE r.tenant_id = $1 AND r.sequence_id IN {ints $2} AND r.live = 1 AND r.superseded = 0 \
        AND r.to_seq = 9223372036854775807";
    /// The findings that are open on units.
    FINDINGS_OPEN = findings_open!();
    /// Those of one code.
    FINDINGS_OPEN_OF_CODE = concat!(findings_open!(), "AND code = $3");

    /// Ends versions.
    VERSIONS_CLOSE = "UPDATE version SET to_seq = $2 FROM {rows $3: object_id int, n int, from_seq int} r \
        WHERE version.tenant_id = $1 AND version.object_id = r.object_id AND version.n = r.n \
        AND version.from_seq = r.from_seq";
    /// Writes versions.
    VERSIONS_INSERT = "INSERT INTO version (tenant_id, object_id, n, from_seq, to_seq, from_at, to_at, end_kind, \
        content_id, observation_id, rules) \
        SELECT $1, r.object_id, r.n, $2, 9223372036854775807, r.from_at, r.to_at, r.end_kind, r.content_id, \
        r.observation_id, $4 \
        FROM {rows $3: object_id int, n int, from_at int, to_at int, end_kind text, content_id int, observation_id int} r";
    /// Ends states.
    STATES_CLOSE = "UPDATE state SET to_seq = $2 FROM {rows $3: object_id int, from_seq int} r \
        WHERE state.tenant_id = $1 AND state.object_id = r.object_id AND state.from_seq = r.from_seq";
    /// Writes states.
    STATES_INSERT = "INSERT INTO state (tenant_id, object_id, from_seq, to_seq, source_id, node_id, key_hash, kind, \
        born_at, first_at, closed_at, end_kind, live, versions, content_id, observation_id, namespace, name, cluster, \
        pack, status, changed_at, base_pack, capability, failure_category, failed_step, targets, drift, verified, counted_at, deployed_pack, rules) \
        SELECT $1, r.object_id, $2, 9223372036854775807, $4, r.node_id, r.key_hash, r.kind, r.born_at, r.first_at, r.closed_at, \
        r.end_kind, r.live, r.versions, r.content_id, r.observation_id, r.namespace, r.name, r.cluster, r.pack, \
        r.status, r.changed_at, r.base_pack, r.capability, r.failure_category, r.failed_step, r.targets, r.drift, \
        r.verified, r.counted_at, r.deployed_pack, $5 \
        FROM {rows $3: object_id int, node_id int, key_hash int, kind text, born_at int, first_at int, closed_at int, end_kind text, \
        live int, versions int, content_id int, observation_id int, namespace text, name text, cluster text, \
        pack text, status text, changed_at int, base_pack text, capability text, failure_category text, \
        failed_step text, targets text, drift text, verified text, counted_at int, deployed_pack text} r";
    /// Ends epochs.
    EPOCHS_CLOSE = "UPDATE epoch SET to_seq = $2 FROM {rows $3: sequence_id int, uid text, from_seq int} r \
        WHERE epoch.tenant_id = $1 AND epoch.sequence_id = r.sequence_id AND epoch.uid = r.uid \
        AND epoch.from_seq = r.from_seq";
    /// Writes epochs.
    EPOCHS_INSERT = "INSERT INTO epoch (tenant_id, sequence_id, uid, from_seq, to_seq, source_id, position, status, \
        born_at, revisions, head_id, head_revision, active_id, active_revision, detail, rules) \
        SELECT $1, r.sequence_id, r.uid, $2, 9223372036854775807, $4, r.position, r.status, r.born_at, r.revisions, \
        r.head_id, r.head_revision, r.active_id, r.active_revision, r.detail, $5 \
        FROM {rows $3: sequence_id int, uid text, position int, status text, born_at int, revisions int, head_id int, \
        head_revision int, active_id int, active_revision int, detail text} r";
    /// Ends revisions.
    REVISIONS_CLOSE = "UPDATE revision SET to_seq = $2 \
        FROM {rows $3: sequence_id int, epoch_uid text, revision int, first_at int, key_hash int, from_seq int} r \
        WHERE revision.tenant_id = $1 AND revision.sequence_id = r.sequence_id AND revision.epoch_uid = r.epoch_uid \
        AND revision.revision = r.revision AND revision.first_at = r.first_at AND revision.key_hash = r.key_hash \
        AND revision.from_seq = r.from_seq";
    /// Writes revisions.
    REVISIONS_INSERT = "INSERT INTO revision (tenant_id, sequence_id, epoch_uid, revision, first_at, key_hash, \
        object_id, from_seq, to_seq, version_n, live, superseded, rules) \
        SELECT $1, r.sequence_id, r.epoch_uid, r.revision, r.first_at, r.key_hash, r.object_id, $2, 9223372036854775807, \
        r.version_n, r.live, r.superseded, $4 \
        FROM {rows $3: sequence_id int, epoch_uid text, revision int, first_at int, key_hash int, object_id int, version_n int, \
        live int, superseded int} r";
    /// Ends findings; those that another row of the same follows are replaced, not cleared.
    FINDINGS_CLOSE = "UPDATE finding SET to_seq = $2, replaced = r.replaced \
        FROM {rows $3: unit_id int, code text, subject text, from_seq int, replaced int} r \
        WHERE finding.tenant_id = $1 AND finding.unit_id = r.unit_id AND finding.code = r.code \
        AND finding.subject = r.subject AND finding.from_seq = r.from_seq";
    /// Writes findings. One that takes the place of a row that ends here was raised when that was.
    FINDINGS_INSERT = "INSERT INTO finding (tenant_id, unit_id, code, subject, from_seq, to_seq, id, source_id, \
        object_id, severity, detail, rules, raised_seq, replaced, cluster, namespace) \
        SELECT $1, r.unit_id, r.code, r.subject, $2, 9223372036854775807, r.id, $4, r.object_id, r.severity, r.detail, $5, \
        COALESCE((SELECT MAX(p.raised_seq) FROM finding p WHERE p.tenant_id = $1 AND p.unit_id = r.unit_id \
        AND p.code = r.code AND p.subject = r.subject AND p.to_seq = $2 AND p.replaced = 1), $2), 0, r.cluster, r.namespace \
        FROM {rows $3: unit_id int, code text, subject text, object_id int, id int, severity text, detail text, \
        cluster text, namespace text} r";
    /// The findings open on records.
    FINDINGS_ON_OBJECTS = "SELECT object_id, unit_id, code FROM finding \
        WHERE tenant_id = $1 AND object_id IN {ints $2} AND to_seq = 9223372036854775807";

    /// Which names are stored.
    MENTIONS_FIND = "SELECT r.i, m.from_seq FROM {rows $3: i int, kind text, name text} r \
        JOIN mention m ON m.tenant_id = $1 AND m.kind = r.kind AND m.source_id = $2 AND m.name = r.name";
    /// Writes names that are not stored yet.
    MENTIONS_INSERT = "INSERT INTO mention (tenant_id, kind, source_id, name, from_seq) \
        SELECT $1, r.kind, $4, r.name, $2 FROM {rows $3: kind text, name text} r WHERE 1 = 1 \
        ON CONFLICT (tenant_id, kind, source_id, name) DO NOTHING";
    /// The resource sets of contents.
    CONTENTS_SETS = "SELECT id, resource_set_id FROM content WHERE tenant_id = $1 AND id IN {ints $2} \
        AND resource_set_id IS NOT NULL";
    /// The edges that objects assert now.
    LINEAGE_OPEN = concat!("SELECT ", lineage_columns!(), "FROM lineage l WHERE l.tenant_id = $1 \
        AND l.src IN {ints $2} AND l.by_dst = 0 AND l.to_seq = 9223372036854775807 \
        UNION ALL SELECT ", lineage_columns!(), "FROM lineage l WHERE l.tenant_id = $1 \
        AND l.dst IN {ints $2} AND l.by_dst = 1 AND l.to_seq = 9223372036854775807");
    /// Ends edges.
    LINEAGE_CLOSE = "UPDATE lineage SET to_seq = $2 FROM {rows $3: src int, by_dst int, kind int, dst int, \
        within int, field int, from_n int, from_seq int} r WHERE lineage.tenant_id = $1 AND lineage.src = r.src \
        AND lineage.by_dst = r.by_dst AND lineage.kind = r.kind AND lineage.dst = r.dst \
        AND lineage.within = r.within AND lineage.field = r.field AND lineage.from_n = r.from_n \
        AND lineage.from_seq = r.from_seq";
    /// Writes edges.
    LINEAGE_INSERT = "INSERT INTO lineage (tenant_id, src, by_dst, kind, dst, within, field, from_n, to_n, attribute, \
        from_seq, to_seq, rules) SELECT $1, r.src, r.by_dst, r.kind, r.dst, r.within, r.field, r.from_n, r.to_n, \
        r.attribute, $2, 9223372036854775807, $4 FROM {rows $3: src int, by_dst int, kind int, dst int, within int, \
        field int, from_n int, to_n int, attribute text} r";
    /// One hop from cause to effect.
    LINEAGE_DOWN = concat!(lineage_hop!("src"), "LIMIT $4");
    /// One hop from effect to cause.
    LINEAGE_UP = concat!(lineage_hop!("dst"), "LIMIT $4");
    /// What one hop from cause to effect reaches, each once, with the number of edges.
    LINEAGE_REACH_DOWN = concat!("SELECT id, within, COUNT(*) AS edges FROM (SELECT l.dst AS id, l.within ",
        lineage_held!("src"), "LIMIT $4) e GROUP BY id, within");
    /// What one hop from effect to cause reaches, each once, with the number of edges.
    LINEAGE_REACH_UP = concat!("SELECT id, CAST(0 AS BIGINT) AS within, COUNT(*) AS edges FROM (SELECT l.src AS id ",
        lineage_held!("dst"), "LIMIT $4) e GROUP BY id");
    /// One hop from cause to effect, by some kinds of edges.
    LINEAGE_DOWN_KINDS = concat!(lineage_hop!("src"), lineage_of_kinds!(), "LIMIT $4");
    /// One hop from effect to cause, by some kinds of edges.
    LINEAGE_UP_KINDS = concat!(lineage_hop!("dst"), lineage_of_kinds!(), "LIMIT $4");
    /// One hop from cause to effect, by many kinds of edges.
    LINEAGE_DOWN_AMONG = concat!(lineage_hop!("src"), lineage_among_kinds!(), "LIMIT $4");
    /// One hop from effect to cause, by many kinds of edges.
    LINEAGE_UP_AMONG = concat!(lineage_hop!("dst"), lineage_among_kinds!(), "LIMIT $4");
    /// One hop from cause to effect, by some kinds of edges that held at a time.
    LINEAGE_DOWN_KINDS_AT = concat!(lineage_hop!("src"), lineage_of_kinds!(), lineage_at!("$6"), "LIMIT $4");
    /// One hop from effect to cause, by some kinds of edges that held at a time.
    LINEAGE_UP_KINDS_AT = concat!(lineage_hop!("dst"), lineage_of_kinds!(), lineage_at!("$6"), "LIMIT $4");
    /// One hop from cause to effect, by many kinds of edges that held at a time.
    LINEAGE_DOWN_AMONG_AT = concat!(lineage_hop!("src"), lineage_among_kinds!(), lineage_at!("$6"), "LIMIT $4");
    /// One hop from effect to cause, by many kinds of edges that held at a time.
    LINEAGE_UP_AMONG_AT = concat!(lineage_hop!("dst"), lineage_among_kinds!(), lineage_at!("$6"), "LIMIT $4");
    /// The packs that were ever on, or meant for, a cluster: names with a prefix.
    MENTIONS_OF_PREFIX = "SELECT name FROM mention WHERE tenant_id = $1 AND kind = $2 AND source_id = $3 \
        AND name >= $4 AND name < $5 AND from_seq <= $6 ORDER BY name LIMIT $7";
    /// The latest successful result of each of some packs on a cluster at a time.
    DEPLOYED_LATEST = "SELECT r.i, (SELECT l.object_id FROM listing l WHERE l.tenant_id = $1 AND l.term = r.term \
        AND l.place <= $3 AND l.from_seq <= $2 AND l.to_seq > $2 ORDER BY l.place DESC, l.key_hash DESC LIMIT 1) \
        FROM {rows $4: i int, term int} r";
    /// Of the same epochs, the successful results of higher revisions that counted at the time, each with its revision.
    DEPLOYED_HIGHER = "SELECT h.i, q.revision, s.object_id FROM {rows $4: i int, term int, object_id int} h \
        JOIN revision r ON r.tenant_id = $1 AND r.object_id = h.object_id AND r.from_seq <= $2 AND r.to_seq > $2 \
        JOIN revision q ON q.tenant_id = $1 AND q.sequence_id = r.sequence_id AND q.epoch_uid = r.epoch_uid \
        AND q.revision > r.revision AND q.from_seq <= $2 AND q.to_seq > $2 \
        JOIN state s ON s.tenant_id = $1 AND s.object_id = q.object_id AND s.from_seq <= $2 AND s.to_seq > $2 \
        AND s.counted_at > 0 AND s.counted_at <= $3 \
        JOIN listing l ON l.tenant_id = $1 AND l.term = h.term AND l.place = s.counted_at \
        AND l.key_hash = s.key_hash AND l.from_seq <= $2 AND l.to_seq > $2";
    /// From when results count, and the resources that they applied.
    DEPLOYED_BY = "SELECT s.object_id, s.counted_at, c.resource_set_id FROM state s \
        JOIN content c ON c.tenant_id = s.tenant_id AND c.id = s.content_id \
        WHERE s.tenant_id = $1 AND s.object_id IN {ints $3} AND s.from_seq <= $2 AND s.to_seq > $2";
    /// When the packs of results were closed. 4 is `DEPLOYED`.
    DEPLOYED_PACKS_CLOSED = "SELECT l.dst, v.to_at FROM lineage l \
        JOIN version v ON v.tenant_id = l.tenant_id AND v.object_id = l.src AND v.from_seq <= $2 AND v.to_seq > $2 \
        AND v.to_at IS NOT NULL AND v.end_kind <> 'CHANGED' \
        WHERE l.tenant_id = $1 AND l.dst IN {ints $3} AND l.by_dst = 1 AND l.kind = 4 \
        AND l.from_seq <= $2 AND l.to_seq > $2";
    /// When the objects of nodes were deleted, or missing from a listing.
    NODES_TORN_DOWN = "SELECT o.node_id, v.to_at FROM object o \
        JOIN version v ON v.tenant_id = o.tenant_id AND v.object_id = o.id AND v.from_seq <= $2 AND v.to_seq > $2 \
        AND v.to_at IS NOT NULL AND v.end_kind IN ('DELETED', 'SNAPSHOT') \
        WHERE o.tenant_id = $1 AND o.node_id IN {ints $3}";
    /// The resources of sets, by kind and names, a page at a time.
    RESOURCES_OF_SETS = "SELECT DISTINCT r.id, r.api_version, r.kind, r.namespace, r.name FROM resource_set_member m \
        JOIN resource r ON r.tenant_id = m.tenant_id AND r.id = m.resource_id \
        WHERE m.tenant_id = $1 AND m.set_id IN {ints $2} AND (r.kind, r.namespace, r.name, r.api_version) > ($3, $4, $5, $6) \
        AND ($7 = '' OR r.kind = $7) AND ($8 = '' OR r.namespace = $8) \
        ORDER BY r.kind, r.namespace, r.name, r.api_version LIMIT $9";
    /// The same backwards.
    RESOURCES_OF_SETS_BACK = "SELECT DISTINCT r.id, r.api_version, r.kind, r.namespace, r.name FROM resource_set_member m \
        JOIN resource r ON r.tenant_id = m.tenant_id AND r.id = m.resource_id \
        WHERE m.tenant_id = $1 AND m.set_id IN {ints $2} AND ($10 = 0 OR (r.kind, r.namespace, r.name, r.api_version) < ($3, $4, $5, $6)) \
        AND ($7 = '' OR r.kind = $7) AND ($8 = '' OR r.namespace = $8) \
        ORDER BY r.kind DESC, r.namespace DESC, r.name DESC, r.api_version DESC LIMIT $9";
    /// How many resources sets have together.
    RESOURCES_OF_SETS_COUNT = "SELECT COUNT(DISTINCT r.id) FROM resource_set_member m \
        JOIN resource r ON r.tenant_id = m.tenant_id AND r.id = m.resource_id \
        WHERE m.tenant_id = $1 AND m.set_id IN {ints $2} AND ($3 = '' OR r.kind = $3) AND ($4 = '' OR r.namespace = $4)";
    /// Which of some sets have which of some resources.
    SETS_WITH_RESOURCES = "SELECT set_id, resource_id FROM resource_set_member \
        WHERE tenant_id = $1 AND set_id IN {ints $2} AND resource_id IN {ints $3} ORDER BY set_id, resource_id";
    /// By which edges resources on clusters were applied.
    LINEAGE_APPLIERS = concat!(lineage_appliers!(), "LIMIT $4");
    /// The same, by what held at a time.
    LINEAGE_APPLIERS_AT = concat!(lineage_appliers!(), lineage_at!("$5"), "LIMIT $4");
    /// The resources of sets.
    SET_MEMBERS = "SELECT set_id, resource_id FROM resource_set_member \
        WHERE tenant_id = $1 AND set_id IN {ints $2} LIMIT $3";
    /// The versions that some commits wrote, in the ledger's order.
    LEDGER_VERSIONS = concat!("SELECT e.seq, e.n AS entry, e.kind AS entry_kind, k.committed_at, e.principal, \
        o2.source_id, v.object_id, v.n, v.from_at, v.to_at, v.end_kind, ob.body_id FROM ledger_entry e \
        JOIN ledger_commit k ON k.tenant_id = e.tenant_id AND k.seq = e.seq \
        JOIN version v ON v.tenant_id = e.tenant_id AND v.object_id = e.object_id AND v.from_seq = e.seq \
        JOIN object o ON o.tenant_id = e.tenant_id AND o.id = e.object_id \
        JOIN node o2 ON o2.tenant_id = o.tenant_id AND o2.id = o.node_id ", observed!("v", "o"),
        "WHERE e.tenant_id = $1 AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq, e.n, v.n");
    /// How many entries name an object in words alone: kind, cluster, namespace, name and uid.
    LEDGER_WORDED = "SELECT COUNT(*) FROM ledger_entry WHERE tenant_id = $1 AND seq <= $2 AND object_id IS NULL \
        AND kind IN ('CREATED', 'UPDATED', 'CLOSED', 'CONFLICT') AND identity LIKE '%/%/%/%/%'";
    /// The versions of objects at a time.
    VERSIONS_AT = "SELECT object_id, n, content_id FROM version WHERE tenant_id = $1 AND object_id IN {ints $3} \
        AND from_seq <= $2 AND to_seq > $2 AND from_at <= $4 AND (to_at IS NULL OR to_at > $4)";
    /// The names of objects, and of nodes that are none.
    VERTEX_NAMES = "SELECT o.id, CAST(1 AS BIGINT) AS is_object, n.source_id, n.kind, n.cluster, n.namespace, n.name, o.uid \
        FROM object o JOIN node n ON n.tenant_id = o.tenant_id AND n.id = o.node_id \
        WHERE o.tenant_id = $1 AND o.id IN {ints $2} \
        UNION ALL SELECT n.id, CAST(0 AS BIGINT), n.source_id, n.kind, n.cluster, n.namespace, n.name, '' FROM node n \
        WHERE n.tenant_id = $1 AND n.id IN {ints $2}";
    /// Resources by row.
    RESOURCES_BY_ID = "SELECT id, api_version, kind, namespace, name FROM resource \
        WHERE tenant_id = $1 AND id IN {ints $2}";
    /// A resource by its names.
    RESOURCE_LOOKUP = "SELECT id FROM resource WHERE tenant_id = $1 AND kind = $2 AND namespace = $3 AND name = $4 \
        AND api_version = $5";
    /// What is or was in quarantine already.
    QUARANTINE_FIND = "SELECT id FROM quarantine WHERE tenant_id = $1 AND id IN {ints $2}";
    /// How full the quarantine is.
    QUARANTINE_SIZE = "SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM quarantine \
        WHERE tenant_id = $1 AND to_seq = 9223372036854775807";
    /// Puts items into quarantine.
    QUARANTINE_INSERT = "INSERT INTO quarantine (tenant_id, id, source_id, digest, from_seq, to_seq, code, path, \
        message, principal, received_at, strict, size, bytes) \
        SELECT $1, r.id, $4, r.digest, $2, 9223372036854775807, r.code, r.path, r.message, r.principal, \
        r.received_at, r.strict, r.size, r.bytes \
        FROM {rows $3: id int, digest bytes, code text, path text, message text, principal text, received_at int, \
        strict int, size int, bytes bytes} r";
    /// Takes items out of quarantine.
    QUARANTINE_CLOSE = "UPDATE quarantine SET to_seq = $2 WHERE tenant_id = $1 AND id IN {ints $3} \
        AND to_seq = 9223372036854775807";
    /// The items in quarantine as of a commit, newest first, a page at a time; without their bytes.
    QUARANTINE_PAGE = concat!("SELECT ", quarantine_columns!(), quarantine_joins!(),
        "WHERE q.tenant_id = $1 AND (q.from_seq, q.id) < ($7, $8) ", quarantine_filter!(),
        "ORDER BY q.from_seq DESC, q.id DESC LIMIT $9");
    /// The same, oldest first.
    QUARANTINE_PAGE_BACK = concat!("SELECT ", quarantine_columns!(), quarantine_joins!(),
        "WHERE q.tenant_id = $1 AND (q.from_seq, q.id) > ($7, $8) ", quarantine_filter!(),
        "ORDER BY q.from_seq, q.id LIMIT $9");
    /// How many items in quarantine match.
    QUARANTINE_COUNT = concat!("SELECT COUNT(*) ", quarantine_joins!(), "WHERE q.tenant_id = $1 ", quarantine_filter!());
    /// Items in quarantine as of a commit, by id.
    QUARANTINE_BY_ID = concat!("SELECT ", quarantine_columns!(), quarantine_joins!(),
        "WHERE q.tenant_id = $1 AND q.id IN {ints $3} AND q.from_seq <= $2 AND q.to_seq > $2 ORDER BY q.id");
    /// The reasons for which items in quarantine were refused last.
    QUARANTINE_REASONS = "SELECT q.id, COALESCE(r.code, q.code) AS code, COALESCE(r.path, q.path) AS path, \
        COALESCE(r.message, q.message) AS message, COALESCE(r.strict, q.strict) AS strict FROM quarantine q \
        LEFT JOIN quarantine_refusal r ON r.tenant_id = q.tenant_id AND r.id = q.id AND r.to_seq = 9223372036854775807 \
        WHERE q.tenant_id = $1 AND q.id IN {ints $2} AND q.to_seq = 9223372036854775807";
    /// Ends the reasons in force of items in quarantine.
    QUARANTINE_REFUSALS_CLOSE = "UPDATE quarantine_refusal SET to_seq = $2 WHERE tenant_id = $1 AND id IN {ints $3} \
        AND to_seq = 9223372036854775807";
    /// Puts new reasons into force.
    QUARANTINE_REFUSALS_INSERT = "INSERT INTO quarantine_refusal (tenant_id, id, from_seq, to_seq, code, path, message, \
        principal, refused_at, strict) \
        SELECT $1, r.id, $2, 9223372036854775807, r.code, r.path, r.message, r.principal, r.refused_at, r.strict \
        FROM {rows $3: id int, code text, path text, message text, principal text, refused_at int, strict int} r";
    /// The bytes of items in quarantine.
    QUARANTINE_BYTES = "SELECT id, bytes FROM quarantine WHERE tenant_id = $1 AND id IN {ints $2}";

    /// The answer given to a request before.
    IDEMPOTENCY_FIND = "SELECT request_digest, answer FROM idempotency WHERE tenant_id = $1 AND key = $2";
    /// Keeps an answer.
    IDEMPOTENCY_INSERT = "INSERT INTO idempotency (tenant_id, key, request_digest, answer, created_at) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, key) DO NOTHING";
    /// Forgets old answers.
    IDEMPOTENCY_PRUNE = "DELETE FROM idempotency WHERE tenant_id = $1 AND created_at < $2";

    /// A tenant, where its ledger stands, and its sources, a row each; one row without, where it has none.
    HEAD_OF_TENANT = concat!("SELECT ", head_columns!(),
        "FROM tenant t JOIN ledger_head h ON h.tenant_id = t.id ", head_sources!(), "WHERE t.name = $1 ORDER BY s.name");
    /// The last commit at a time or before.
    COMMIT_AT = "SELECT seq FROM ledger_commit WHERE tenant_id = $1 AND committed_at <= $2 \
        ORDER BY committed_at DESC, seq DESC LIMIT 1";
    /// The same as of one of its commits.
    COMMIT_OF_TENANT = concat!("SELECT ", head_columns!(),
        "FROM tenant t JOIN ledger_commit h ON h.tenant_id = t.id AND h.seq = $2 ", head_sources!(),
        "WHERE t.name = $1 ORDER BY s.name");
    /// All sources.
    SOURCES = "SELECT id, name, incarnation, created_at FROM source WHERE tenant_id = $1 AND from_seq <= $2 ORDER BY name";
    /// Finds nodes by their sources and keys.
    NODES_LOOKUP = "SELECT r.i, n.id FROM {rows $2: i int, source_id int, kind text, cluster text, namespace text, name text} r \
        JOIN node n ON n.tenant_id = $1 AND n.source_id = r.source_id AND n.kind = r.kind AND n.namespace = r.namespace \
        AND n.name = r.name AND n.cluster = r.cluster";
    /// The objects of keys with their versions and contents as of a commit: for resolving names in time.
    GROUPS_BY_NAME = "SELECT r.i, o.uid, v.object_id, v.from_at, v.to_at, v.end_kind, v.observation_id, \
        c.digest, c.spec_digest, c.facts \
        FROM {rows $2: i int, source_id int, kind text, cluster text, namespace text, name text} r \
        JOIN node n ON n.tenant_id = $1 AND n.source_id = r.source_id AND n.kind = r.kind AND n.namespace = r.namespace \
        AND n.name = r.name AND n.cluster = r.cluster \
        JOIN object o ON o.tenant_id = n.tenant_id AND o.node_id = n.id \
        JOIN version v ON v.tenant_id = o.tenant_id AND v.object_id = o.id AND v.from_seq <= $3 AND v.to_seq > $3 \
        JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id ORDER BY r.i, v.object_id, v.n";
    /// One object's state as of a commit.
    RECORDS_BY_OBJECT = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.object_id IN {ints $2} AND s.from_seq <= $3 AND s.to_seq > $3");
    /// The same without provenance.
    RECORDS_BY_OBJECT_LEAN = concat!("SELECT ", lean_record_columns!(),
        "WHERE s.tenant_id = $1 AND s.object_id IN {ints $2} AND s.from_seq <= $3 AND s.to_seq > $3");
    /// The states of all objects of nodes as of a commit.
    RECORDS_BY_NODE = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.node_id IN {ints $2} AND s.from_seq <= $3 AND s.to_seq > $3");
    /// The states of the objects with uids as of a commit; a uid is an object's only within its source.
    RECORDS_BY_UID = concat!("SELECT ", record_columns!(),
        "WHERE s.tenant_id = $1 AND s.object_id IN (SELECT u.id FROM {rows $2: uid text} r \
        JOIN object u ON u.tenant_id = $1 AND u.uid = r.uid) AND s.from_seq <= $3 AND s.to_seq > $3");
    /// The records of a term in order of birth, newest first, a page at a time.
    LISTING_PAGE = listing_page!("<", "DESC");
    /// The same, oldest first.
    LISTING_PAGE_BACK = listing_page!(">", "ASC");
    /// Records in the order of change, latest first, a page at a time.
    LISTING_CHANGED_PAGE = listing_changed!("l.place", "<", "DESC");
    /// The same, earliest first.
    LISTING_CHANGED_PAGE_BACK = listing_changed!("l.place", ">", "ASC");
    /// The same of a rare term, which is read whole and sorted: latest first.
    LISTING_CHANGED_SORTED = listing_changed!("s.changed_at", "<", "DESC");
    /// The same, earliest first.
    LISTING_CHANGED_SORTED_BACK = listing_changed!("s.changed_at", ">", "ASC");
    /// Records in the order of source, namespace and name, a page at a time.
    LISTING_NAME_PAGE = listing_name_page!(">=", ">", "ASC");
    /// The same backwards.
    LISTING_NAME_PAGE_BACK = listing_name_page!("<=", "<", "DESC");
    /// The same of a rare term, which is read whole and sorted.
    LISTING_NAME_SORTED = listing_name_sorted!(">", "ASC");
    /// The same backwards.
    LISTING_NAME_SORTED_BACK = listing_name_sorted!("<", "DESC");
    /// How many records have a term and match.
    LISTING_COUNT = concat!("SELECT COUNT(*) FROM listing l WHERE l.tenant_id = $1 AND l.term = $2 \
        AND l.place >= $4 AND l.place < $5 AND l.from_seq <= $3 AND l.to_seq > $3 ",
        listed_where!("l.place", "l.key_hash", "$6", "$7"));
    /// How many rows terms have, counted up to a limit.
    LISTING_RARITY = "SELECT r.term, (SELECT COUNT(*) FROM (SELECT 1 FROM listing l WHERE l.tenant_id = $1 \
        AND l.term = r.term AND l.from_seq <= $3 AND l.to_seq > $3 LIMIT $4) x) AS rows FROM {rows $2: term int} r";
    /// Which of some listings hold now.
    LISTING_OPEN = "SELECT l.term, l.place, l.key_hash, l.object_id \
        FROM {rows $2: term int, place int, key_hash int} r JOIN listing l ON l.tenant_id = $1 AND l.term = r.term \
        AND l.place = r.place AND l.key_hash = r.key_hash AND l.to_seq = 9223372036854775807";
    /// Ends listings.
    LISTING_CLOSE = "UPDATE listing SET to_seq = $2 FROM {rows $3: term int, place int, key_hash int} r \
        WHERE listing.tenant_id = $1 AND listing.term = r.term AND listing.place = r.place \
        AND listing.key_hash = r.key_hash AND listing.to_seq = 9223372036854775807";
    /// Writes listings.
    LISTING_INSERT = "INSERT INTO listing (tenant_id, term, place, key_hash, from_seq, to_seq, object_id) \
        SELECT $1, r.term, r.place, r.key_hash, $2, 9223372036854775807, r.object_id \
        FROM {rows $3: term int, place int, key_hash int, object_id int} r";
    /// The versions of an object as of a commit, oldest first, a page at a time.
    VERSIONS_PAGE = concat!("SELECT ", version_columns!(), "FROM version v ", version_joins!(),
        "WHERE v.tenant_id = $1 AND v.object_id = $2 AND v.from_seq <= $3 AND v.to_seq > $3 AND v.n > $4 \
        ORDER BY v.n LIMIT $5");
    /// The same, newest first.
    VERSIONS_PAGE_BACK = concat!("SELECT ", version_columns!(), "FROM version v ", version_joins!(),
        "WHERE v.tenant_id = $1 AND v.object_id = $2 AND v.from_seq <= $3 AND v.to_seq > $3 AND v.n < $4 \
        ORDER BY v.n DESC LIMIT $5");
    /// The same pages of several objects at once, each after its own version.
    VERSIONS_PAGES = concat!("SELECT v.i, ", version_columns!(), "FROM (SELECT r.i, v.*, \
        ROW_NUMBER() OVER (PARTITION BY r.i ORDER BY v.n) AS place FROM {rows $2: i int, object_id int, n int} r \
        JOIN version v ON v.tenant_id = $1 AND v.object_id = r.object_id AND v.n > r.n AND v.from_seq <= $3 \
        AND v.to_seq > $3) v ", version_joins!(), "WHERE v.place <= $4 ORDER BY v.i, v.n");
    /// The same, newest first.
    VERSIONS_PAGES_BACK = concat!("SELECT v.i, ", version_columns!(), "FROM (SELECT r.i, v.*, \
        ROW_NUMBER() OVER (PARTITION BY r.i ORDER BY v.n DESC) AS place FROM {rows $2: i int, object_id int, n int} r \
        JOIN version v ON v.tenant_id = $1 AND v.object_id = r.object_id AND v.n < r.n AND v.from_seq <= $3 \
        AND v.to_seq > $3) v ", version_joins!(), "WHERE v.place <= $4 ORDER BY v.i, v.n DESC");
    /// Versions by object and number as of a commit.
    VERSIONS_BY_N = concat!("SELECT ", version_columns!(), "FROM {rows $2: object_id int, n int} r \
        JOIN version v ON v.tenant_id = $1 AND v.object_id = r.object_id AND v.n = r.n AND v.from_seq <= $3 AND v.to_seq > $3 ",
        version_joins!());
    /// Sequences in order of source, namespace and name, a page at a time.
    SEQUENCES_PAGE = concat!("SELECT n.id, n.source_id, n.namespace, n.name FROM node n \
        WHERE n.tenant_id = $1 AND n.kind = '~sequence' AND (n.source_id, n.namespace, n.name) > ($3, $4, $5) ",
        sequence_filter!(), "ORDER BY n.source_id, n.namespace, n.name LIMIT $6");
    /// The same backwards.
    SEQUENCES_PAGE_BACK = concat!("SELECT n.id, n.source_id, n.namespace, n.name FROM node n \
        WHERE n.tenant_id = $1 AND n.kind = '~sequence' AND (n.source_id, n.namespace, n.name) < ($3, $4, $5) ",
        sequence_filter!(), "ORDER BY n.source_id DESC, n.namespace DESC, n.name DESC LIMIT $6");
    /// How many sequences match.
    SEQUENCES_COUNT = "SELECT COUNT(DISTINCT e.sequence_id) FROM epoch e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.sequence_id \
        WHERE e.tenant_id = $1 AND e.from_seq <= $2 AND e.to_seq > $2 \
        AND ($3 = 0 OR e.source_id = $3) AND ($4 = '' OR n.namespace = $4) AND ($5 = '' OR n.name = $5) \
        AND ($6 = '' OR e.status = $6)";
    /// The epochs of sequences as of a commit, by age.
    EPOCHS_OF = "SELECT e.sequence_id, e.uid, e.position, e.status, e.born_at, e.revisions, e.head_id, e.head_revision, \
        e.active_id, e.active_revision, e.detail, e.source_id, n.namespace, n.name FROM epoch e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.sequence_id \
        WHERE e.tenant_id = $1 AND e.sequence_id IN {ints $2} AND e.from_seq <= $3 AND e.to_seq > $3 \
        ORDER BY e.sequence_id, e.position";
    /// The same of sequences by their sources and names.
    EPOCHS_BY_NAME = "SELECT x.i, e.sequence_id, e.uid, e.position, e.status, e.born_at, e.revisions, e.head_id, \
        e.head_revision, e.active_id, e.active_revision, e.detail, e.source_id, n.namespace, n.name \
        FROM {rows $2: i int, source_id int, namespace text, name text} x \
        JOIN node n ON n.tenant_id = $1 AND n.source_id = x.source_id AND n.kind = '~sequence' \
        AND n.namespace = x.namespace AND n.name = x.name AND n.cluster = '' \
        JOIN epoch e ON e.tenant_id = n.tenant_id AND e.sequence_id = n.id AND e.from_seq <= $3 AND e.to_seq > $3 \
        ORDER BY x.i, e.position";
    /// The revisions of an epoch as of a commit in the order of the chain, a page at a time.
    REVISIONS_PAGE =
        chain_page!(concat!(chain_fields!(), provenance_fields!()), chain_joins!("$4"), ">", "ASC");
    /// The same against the order of the chain.
    REVISIONS_PAGE_BACK =
        chain_page!(concat!(chain_fields!(), provenance_fields!()), chain_joins!("$4"), "<", "DESC");
    /// A page of a chain without provenance.
    REVISIONS_LEAN_PAGE = chain_page!(chain_fields!(), lean_chain_joins!("$4"), ">", "ASC");
    /// The same against the order of the chain.
    REVISIONS_LEAN_PAGE_BACK = chain_page!(chain_fields!(), lean_chain_joins!("$4"), "<", "DESC");
    /// The same pages of several epochs at once, each after its own row.
    REVISIONS_PAGES =
        chain_pages!(concat!(chain_fields!(), provenance_fields!()), chain_joins!("$3"), ">", "ASC");
    /// The same against the order of the chains.
    REVISIONS_PAGES_BACK =
        chain_pages!(concat!(chain_fields!(), provenance_fields!()), chain_joins!("$3"), "<", "DESC");
    /// Pages of several epochs without provenance.
    REVISIONS_LEAN_PAGES = chain_pages!(chain_fields!(), lean_chain_joins!("$3"), ">", "ASC");
    /// The same against the order of the chains.
    REVISIONS_LEAN_PAGES_BACK = chain_pages!(chain_fields!(), lean_chain_joins!("$3"), "<", "DESC");
    /// Where objects stand in their sequences as of a commit.
    REVISIONS_OF_OBJECTS = "SELECT sequence_id, epoch_uid, revision, first_at, key_hash, object_id, version_n, live, superseded \
        FROM revision WHERE tenant_id = $1 AND object_id IN {ints $2} AND from_seq <= $3 AND to_seq > $3 \
        ORDER BY object_id, version_n";
    /// The findings on subjects as of a commit.
    FINDINGS_BY_SUBJECT = concat!("SELECT ", finding_columns!(), "FROM {rows $3: subject text} r \
        JOIN finding f ON f.tenant_id = $1 AND f.subject = r.subject ", finding_state!("$4"),
        finding_joins!(), "ORDER BY f.raised_seq DESC, f.id DESC");
    /// The first commit from a time on.
    COMMIT_FROM = "SELECT seq FROM ledger_commit WHERE tenant_id = $1 AND committed_at >= $2 \
        ORDER BY committed_at, seq LIMIT 1";
    /// The findings of all sources as of a commit, newest raised first, a page at a time.
    FINDINGS_PAGE = findings_page!("$3 = ''");
    /// The same, oldest raised first.
    FINDINGS_PAGE_BACK = findings_page_back!("$3 = ''");
    /// How many there are of each code and severity.
    FINDINGS_COUNT = findings_count!("$3 = ''");
    /// The findings of a unit as of a commit, newest raised first, a page at a time.
    FINDINGS_OF_UNIT_PAGE = findings_page!("f.unit_id = CAST(CAST($3 AS TEXT) AS BIGINT)");
    /// The same, oldest raised first.
    FINDINGS_OF_UNIT_PAGE_BACK = findings_page_back!("f.unit_id = CAST(CAST($3 AS TEXT) AS BIGINT)");
    /// How many there are of each code and severity.
    FINDINGS_OF_UNIT_COUNT = findings_count!("f.unit_id = CAST(CAST($3 AS TEXT) AS BIGINT)");
    /// The findings of a subject as of a commit, newest raised first, a page at a time.
    FINDINGS_OF_SUBJECT_PAGE = findings_page!("f.subject = $3");
    /// The same, oldest raised first.
    FINDINGS_OF_SUBJECT_PAGE_BACK = findings_page_back!("f.subject = $3");
    /// How many there are of each code and severity.
    FINDINGS_OF_SUBJECT_COUNT = findings_count!("f.subject = $3");
    /// The findings of a cluster as of a commit, newest raised first, a page at a time.
    FINDINGS_OF_CLUSTER_PAGE = findings_page!("f.cluster = $3");
    /// The same, oldest raised first.
    FINDINGS_OF_CLUSTER_PAGE_BACK = findings_page_back!("f.cluster = $3");
    /// How many there are of each code and severity.
    FINDINGS_OF_CLUSTER_COUNT = findings_count!("f.cluster = $3");
    /// The findings of a namespace as of a commit, newest raised first, a page at a time.
    FINDINGS_OF_NAMESPACE_PAGE = findings_page!("f.namespace = $3");
    /// The same, oldest raised first.
    FINDINGS_OF_NAMESPACE_PAGE_BACK = findings_page_back!("f.namespace = $3");
    /// How many there are of each code and severity.
    FINDINGS_OF_NAMESPACE_COUNT = findings_count!("f.namespace = $3");
    /// The findings of a code as of a commit, newest raised first, a page at a time.
    FINDINGS_OF_CODE_PAGE = findings_page!("f.code = $3");
    /// The same, oldest raised first.
    FINDINGS_OF_CODE_PAGE_BACK = findings_page_back!("f.code = $3");
    /// How many there are of each code and severity.
    FINDINGS_OF_CODE_COUNT = findings_count!("f.code = $3");
    /// The findings of a severity as of a commit, newest raised first, a page at a time.
    FINDINGS_OF_SEVERITY_PAGE = findings_page!("f.severity = $3");
    /// The same, oldest raised first.
    FINDINGS_OF_SEVERITY_PAGE_BACK = findings_page_back!("f.severity = $3");
    /// How many there are of each code and severity.
    FINDINGS_OF_SEVERITY_COUNT = findings_count!("f.severity = $3");
    /// The findings of a source as of a commit, newest raised first, a page at a time.
    FINDINGS_OF_SOURCE_PAGE = findings_page!("f.source_id = $11 AND $3 = ''");
    /// The same, oldest raised first.
    FINDINGS_OF_SOURCE_PAGE_BACK = findings_page_back!("f.source_id = $11 AND $3 = ''");
    /// How many there are of each code and severity.
    FINDINGS_OF_SOURCE_COUNT = findings_count!("f.source_id = $11 AND $3 = ''");

    /// Which of these pairs of objects and contents were observed before.
    CONTENTS_OBSERVED = "SELECT r.i FROM {rows $2: i int, object_id int, content_id int} r WHERE EXISTS \
        (SELECT 1 FROM observation o WHERE o.tenant_id = $1 AND o.object_id = r.object_id \
        AND o.content_id = r.content_id)";
    /// Finds words.
    WORDS_FIND = "SELECT r.i, w.id FROM {rows $2: i int, text text} r \
        JOIN word w ON w.tenant_id = $1 AND w.text = r.text";
    /// Writes new words.
    WORDS_INSERT = "INSERT INTO word (tenant_id, id, text) SELECT $1, r.id, r.text FROM {rows $2: id int, text text} r";
    /// Which things are there.
    THINGS_FIND = "SELECT t.id FROM thing t WHERE t.tenant_id = $1 AND t.id IN {ints $2}";
    /// Writes new things.
    THINGS_INSERT = "INSERT INTO thing (tenant_id, id, source_id, kind, name, resource_id) \
        SELECT $1, r.id, $2, r.kind, r.name, r.resource_id \
        FROM {rows $3: id int, kind text, name text, resource_id int} r";
    /// Writes postings that are not there yet.
    POSTINGS_INSERT = "INSERT INTO posting (tenant_id, word_id, born_at, key_hash, document_id) \
        SELECT $1, r.word_id, r.born_at, r.key_hash, r.document_id \
        FROM {rows $2: word_id int, born_at int, key_hash int, document_id int} r WHERE 1 = 1 \
        ON CONFLICT (tenant_id, word_id, born_at, key_hash, document_id) DO NOTHING";
    /// Which postings are there.
    POSTINGS_FIND = "SELECT r.i FROM {rows $2: i int, word_id int, born_at int, key_hash int, document_id int} r \
        JOIN posting p ON p.tenant_id = $1 AND p.word_id = r.word_id AND p.born_at = r.born_at \
        AND p.key_hash = r.key_hash AND p.document_id = r.document_id";
    /// Moves postings to other births.
    POSTINGS_MOVE = "UPDATE posting SET born_at = r.moved_to \
        FROM {rows $2: word_id int, born_at int, key_hash int, document_id int, moved_to int} r \
        WHERE posting.tenant_id = $1 AND posting.word_id = r.word_id AND posting.born_at = r.born_at \
        AND posting.key_hash = r.key_hash AND posting.document_id = r.document_id";
    /// Takes all postings of damaged documents away, wherever they stand: reads all that there are.
    POSTINGS_PURGE = "DELETE FROM posting WHERE tenant_id = $1 AND document_id IN {ints $2}";
    /// Writes documents.
    DOCUMENTS_PUT = "INSERT INTO document (tenant_id, id, born_at, key_hash, words) \
        SELECT $1, r.document_id, r.born_at, r.key_hash, r.words \
        FROM {rows $2: document_id int, born_at int, key_hash int, words text} r WHERE 1 = 1 \
        ON CONFLICT (tenant_id, id) DO UPDATE SET born_at = excluded.born_at, key_hash = excluded.key_hash, \
        words = excluded.words";
    /// Documents with their words.
    DOCUMENTS_BY_ID = "SELECT id, born_at, key_hash, words FROM document WHERE tenant_id = $1 AND id IN {ints $2} \
        ORDER BY id";
    /// Those of some documents that stand at another birth.
    DOCUMENTS_MOVED = "SELECT d.id, d.born_at, d.key_hash, d.words FROM {rows $2: document_id int, born_at int} r \
        JOIN document d ON d.tenant_id = $1 AND d.id = r.document_id AND d.born_at <> r.born_at ORDER BY d.id";
    /// Where objects stand in lists: their births now, for those that exist, and their natural keys.
    BIRTHS_OF_OBJECTS = "SELECT o.id, o.uid, n.kind, n.cluster, n.namespace, n.name, s.born_at FROM object o \
        JOIN node n ON n.tenant_id = o.tenant_id AND n.id = o.node_id \
        LEFT JOIN state s ON s.tenant_id = o.tenant_id AND s.object_id = o.id AND s.to_seq = 9223372036854775807 \
        WHERE o.tenant_id = $1 AND o.id IN {ints $2}";
    /// Each content that was observed of the objects of nodes, with a body that has it.
    CONTENTS_OF_NODES = "SELECT o.id AS object_id, b.content_id, MIN(b.body_id) AS body_id FROM object o \
        JOIN observation b ON b.tenant_id = o.tenant_id AND b.object_id = o.id \
        WHERE o.tenant_id = $1 AND o.node_id IN {ints $2} GROUP BY o.id, b.content_id ORDER BY o.id, b.content_id";
    /// How common words are: how many documents have them, counted up to a bound.
    WORDS_COUNT = "SELECT w.text, w.id, (SELECT COUNT(*) FROM (SELECT 1 FROM posting p WHERE p.tenant_id = w.tenant_id \
        AND p.word_id = w.id LIMIT $3) AS x) AS documents \
        FROM {rows $2: text text} r JOIN word w ON w.tenant_id = $1 AND w.text = r.text";
    /// How common the words of ranges are: how often they are in documents, counted up to a bound; the
    /// first of them, and whether there are more.
    RANGES_COUNT = "SELECT r.low, r.high, (SELECT w.id FROM word w WHERE w.tenant_id = $1 AND w.text >= r.low \
        AND w.text < r.high ORDER BY w.text LIMIT 1) AS id, \
        (SELECT COUNT(*) FROM (SELECT 1 FROM word w WHERE w.tenant_id = $1 AND w.text >= r.low \
        AND w.text < r.high LIMIT 2) AS x) AS words, \
        (SELECT COUNT(*) FROM (SELECT 1 FROM word w JOIN posting p ON p.tenant_id = w.tenant_id AND p.word_id = w.id \
        WHERE w.tenant_id = $1 AND w.text >= r.low AND w.text < r.high LIMIT $3) AS x) AS documents \
        FROM {rows $2: low text, high text} r";
    /// What has a word and answers a question, newest birth first, a page at a time: read in order.
    HITS_OF_WORD = concat!("SELECT ", hit_columns!(), hits_of_word!(), "AND (p.born_at, p.key_hash) < ($11, $12) ",
        hit_filter!(), "ORDER BY p.born_at DESC, p.key_hash DESC LIMIT $13");
    /// The same, oldest first.
    HITS_OF_WORD_BACK = concat!("SELECT ", hit_columns!(), hits_of_word!(),
        "AND (p.born_at, p.key_hash) > ($11, $12) ", hit_filter!(), "ORDER BY p.born_at, p.key_hash LIMIT $13");
    /// How many there are.
    HITS_OF_WORD_COUNT = concat!("SELECT COUNT(*) ", hits_of_word!(), hit_filter!());
    /// What has a word of a range and answers a question, newest birth first, a page at a time.
    HITS_OF_RANGE = concat!(words_of_range!(), "SELECT DISTINCT ", hit_columns!(), hits_of_range!(),
        "AND (p.born_at, p.key_hash) < ($11, $12) ", hit_filter!(),
        "ORDER BY p.born_at DESC, p.key_hash DESC LIMIT $13");
    /// The same, oldest first.
    HITS_OF_RANGE_BACK = concat!(words_of_range!(), "SELECT DISTINCT ", hit_columns!(), hits_of_range!(),
        "AND (p.born_at, p.key_hash) > ($11, $12) ", hit_filter!(), "ORDER BY p.born_at, p.key_hash LIMIT $13");
    /// How many there are.
    HITS_OF_RANGE_COUNT = concat!(words_of_range!(), "SELECT COUNT(DISTINCT p.document_id) ", hits_of_range!(), hit_filter!());
    /// The results of a source whose latest version applied a resource, newest first, a page at a time.
    APPLIERS_PAGE = concat!("SELECT ", record_columns!(), applied_by!(),
        "AND (s.born_at, s.key_hash) < ($4, $5) ORDER BY s.born_at DESC, s.key_hash DESC LIMIT $7");
    /// The same, oldest first.
    APPLIERS_PAGE_BACK = concat!("SELECT ", record_columns!(), applied_by!(),
        "AND (s.born_at, s.key_hash) > ($4, $5) ORDER BY s.born_at, s.key_hash LIMIT $7");
    /// How many there are.
    APPLIERS_COUNT = "SELECT COUNT(*) FROM resource_set_member m \
        JOIN content c ON c.tenant_id = m.tenant_id AND c.resource_set_id = m.set_id \
        JOIN operation p ON p.tenant_id = m.tenant_id AND p.content_id = c.id \
        WHERE m.tenant_id = $1 AND m.resource_id = $2 AND p.source_id = $3";

    /// Finds labels.
    LABELS_FIND = "SELECT r.i, l.id FROM {rows $2: i int, text text} r \
        JOIN label l ON l.tenant_id = $1 AND l.text = r.text";
    /// Writes new labels.
    LABELS_INSERT = "INSERT INTO label (tenant_id, id, text) \
        SELECT $1, r.id, r.text FROM {rows $2: id int, text text} r";
    /// The texts of labels.
    LABELS_BY_ID = "SELECT id, text FROM label WHERE tenant_id = $1 AND id IN {ints $2}";
    /// The operations of the results of nodes.
    OPERATIONS_OF_NODES = "SELECT object_id, node_id, content_id, counted_at, duration, cluster_id, pack_id, base_id, \
        status_id, capability_id, category_id, step_id FROM operation WHERE tenant_id = $1 AND node_id IN {ints $2}";
    /// Takes operations away, also to write them anew.
    OPERATIONS_DELETE = "DELETE FROM operation WHERE tenant_id = $1 AND object_id IN {ints $2}";
    /// Writes operations.
    OPERATIONS_INSERT = "INSERT INTO operation (tenant_id, object_id, node_id, source_id, content_id, counted_at, \
        duration, cluster_id, pack_id, base_id, status_id, capability_id, category_id, step_id, rules) \
        SELECT $1, r.object_id, r.node_id, $2, r.content_id, r.counted_at, r.duration, r.cluster_id, r.pack_id, \
        r.base_id, r.status_id, r.capability_id, r.category_id, r.step_id, $4 \
        FROM {rows $3: object_id int, node_id int, content_id int, counted_at int, duration int, cluster_id int, \
        pack_id int, base_id int, status_id int, capability_id int, category_id int, step_id int} r";
    /// Operations of a time, grouped.
    STATS_BY_TIME = operation_stats!("");
    /// Operations on a cluster, grouped.
    STATS_BY_CLUSTER = operation_stats!("AND o.cluster_id = $8 ");
    /// Operations about a pack, grouped.
    STATS_BY_PACK = operation_stats!("AND o.pack_id = $9 ");
    /// Operations about a base pack, grouped.
    STATS_BY_BASE = operation_stats!("AND o.base_id = $10 ");

    /// What is named as of a commit, by source and name, a page at a time.
    MENTIONS_PAGE = "SELECT m.source_id, m.name, m.from_seq, k.committed_at FROM mention m \
        JOIN ledger_commit k ON k.tenant_id = m.tenant_id AND k.seq = m.from_seq \
        WHERE m.tenant_id = $1 AND m.kind = $2 AND (m.source_id, m.name) > ($4, $5) \
        AND m.source_id >= $7 AND m.source_id <= $8 AND m.from_seq <= $3 ORDER BY m.source_id, m.name LIMIT $6";
    /// The same backwards.
    MENTIONS_PAGE_BACK = "SELECT m.source_id, m.name, m.from_seq, k.committed_at FROM mention m \
        JOIN ledger_commit k ON k.tenant_id = m.tenant_id AND k.seq = m.from_seq \
        WHERE m.tenant_id = $1 AND m.kind = $2 AND (m.source_id, m.name) < ($4, $5) \
        AND m.source_id >= $7 AND m.source_id <= $8 AND m.from_seq <= $3 \
        ORDER BY m.source_id DESC, m.name DESC LIMIT $6";
    /// How many there are.
    MENTIONS_COUNT = "SELECT COUNT(*) FROM mention m WHERE m.tenant_id = $1 AND m.kind = $2 AND m.from_seq <= $3 \
        AND m.source_id >= $4 AND m.source_id <= $5";
    /// Finds what is named as of a commit.
    MENTIONS_LOOKUP = "SELECT r.i, m.source_id, m.name, m.from_seq, k.committed_at \
        FROM {rows $2: i int, source_id int, kind text, name text} r \
        JOIN mention m ON m.tenant_id = $1 AND m.kind = r.kind AND m.source_id = r.source_id AND m.name = r.name \
        AND m.from_seq <= $3 JOIN ledger_commit k ON k.tenant_id = m.tenant_id AND k.seq = m.from_seq";
    /// All versions as of a commit with their objects' keys: for exact comparison of whole states.
    DUMP_VERSIONS = "SELECT v.object_id, s.name AS source, n.kind, n.cluster, n.namespace, n.name, o.uid, v.n, v.from_at, v.to_at, \
        v.end_kind, c.digest, c.spec_digest FROM version v \
        JOIN object o ON o.tenant_id = v.tenant_id AND o.id = v.object_id \
        JOIN node n ON n.tenant_id = o.tenant_id AND n.id = o.node_id \
        JOIN source s ON s.tenant_id = n.tenant_id AND s.id = n.source_id \
        JOIN content c ON c.tenant_id = v.tenant_id AND c.id = v.content_id \
        WHERE v.tenant_id = $1 AND v.from_seq <= $2 AND v.to_seq > $2 ORDER BY v.object_id, v.n";
    /// All epochs as of a commit: likewise.
    DUMP_EPOCHS = "SELECT s.name AS source, n.namespace, n.name, e.uid, e.position, e.status, e.head_id, e.head_revision, \
        e.active_id, e.active_revision, e.detail FROM epoch e \
        JOIN node n ON n.tenant_id = e.tenant_id AND n.id = e.sequence_id \
        JOIN source s ON s.tenant_id = e.tenant_id AND s.id = e.source_id \
        WHERE e.tenant_id = $1 AND e.from_seq <= $2 AND e.to_seq > $2 ORDER BY s.name, n.namespace, n.name, e.position";
    /// All revisions as of a commit: likewise.
    DUMP_REVISIONS = "SELECT s.name AS source, n.namespace, n.name, r.epoch_uid, r.revision, r.first_at, r.object_id, r.live FROM revision r \
        JOIN node n ON n.tenant_id = r.tenant_id AND n.id = r.sequence_id \
        JOIN source s ON s.tenant_id = n.tenant_id AND s.id = n.source_id \
        WHERE r.tenant_id = $1 AND r.from_seq <= $2 AND r.to_seq > $2 \
        ORDER BY s.name, n.namespace, n.name, r.epoch_uid, r.revision, r.first_at, r.object_id";
    /// All findings as of a commit: likewise.
    DUMP_FINDINGS = "SELECT s.name AS source, f.code, f.severity, f.subject FROM finding f \
        JOIN source s ON s.tenant_id = f.tenant_id AND s.id = f.source_id \
        WHERE f.tenant_id = $1 AND f.from_seq <= $2 AND f.to_seq > $2 ORDER BY s.name, f.subject, f.code";
    /// All states as of a commit: likewise.
    DUMP_STATES = "SELECT s.object_id, s.live, s.versions, s.closed_at FROM state s \
        WHERE s.tenant_id = $1 AND s.from_seq <= $2 AND s.to_seq > $2 ORDER BY s.object_id";
    /// Makes a run; it appears with its first commit.
    RUN_INSERT = "INSERT INTO run (tenant_id, id, run_id, pack, version, plan_hash, plan, manifest, subjects, created_at, \
        created_by, idempotency_key, request_digest, source, from_seq) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 9223372036854775807) \
        ON CONFLICT DO NOTHING RETURNING id";
    /// Lets a run appear.
    RUN_APPEAR = "UPDATE run SET from_seq = $3 WHERE tenant_id = $1 AND id = $2";
    /// The run that a key made.
    RUN_BY_KEY = "SELECT run_id, request_digest FROM run WHERE tenant_id = $1 AND idempotency_key = $2";
    /// Makes the row that commands on a run lock.
    RUN_LIVE_INSERT = "INSERT INTO run_live (tenant_id, run, changes, logged, line_bytes, open_bytes, is_cut) \
        VALUES ($1, $2, 0, 0, 0, 0, 0)";
    /// Locks a run, by its name, against other changes.
    RUN_LOCK = "UPDATE run_live SET changes = changes + 1 WHERE tenant_id = $1 AND run = (SELECT r.id FROM run r \
        WHERE r.tenant_id = $1 AND r.run_id = $2) RETURNING run, logged, line_bytes, open_bytes, is_cut";
    /// Locks runs, by their rows, against other changes.
    RUNS_LOCK = "UPDATE run_live SET changes = changes + 1 WHERE tenant_id = $1 AND run IN {ints $2} \
        RETURNING run, logged, line_bytes, open_bytes, is_cut";
    /// Notes how long the log of a run has become.
    RUN_LIVE_LOGGED = "UPDATE run_live SET logged = $3, line_bytes = $4, open_bytes = $5, is_cut = $6 \
        WHERE tenant_id = $1 AND run = $2";
    /// How many entries the log of a run has.
    RUN_LOGGED = "SELECT logged FROM run_live WHERE tenant_id = $1 AND run = $2";
    /// Runs with their plans and where they stand now.
    RUNS_OPEN = "SELECT r.id, r.run_id, r.plan_hash, r.plan, r.source, s.state FROM run r \
        JOIN run_state s ON s.tenant_id = r.tenant_id AND s.run = r.id AND s.to_seq = 9223372036854775807 \
        WHERE r.tenant_id = $1 AND r.id IN {ints $2}";
    /// Where their steps stand now.
    RUN_STEPS_OPEN = "SELECT run, state FROM run_step WHERE tenant_id = $1 AND run IN {ints $2} \
        AND to_seq = 9223372036854775807 ORDER BY run, n";
    /// Where their approvals stand now.
    RUN_APPROVALS_OPEN = "SELECT run, approval, state FROM run_approval WHERE tenant_id = $1 AND run IN {ints $2} \
        AND to_seq = 9223372036854775807 ORDER BY run, approval";
    /// Where a run stands now, without its steps.
    RUN_STATE_OPEN = "SELECT state FROM run_state WHERE tenant_id = $1 AND run = $2 AND to_seq = 9223372036854775807";
    /// How far ledgers have come.
    LEDGERS_MOVED = "SELECT r.tenant, r.run, h.seq AS number FROM {rows $1: tenant int, run int} r \
        JOIN ledger_head h ON h.tenant_id = r.tenant";
    /// The commits that last changed runs.
    RUNS_MOVED = "SELECT r.tenant, r.run, s.from_seq AS number FROM {rows $1: tenant int, run int} r \
        JOIN run_state s ON s.tenant_id = r.tenant AND s.run = r.run AND s.to_seq = 9223372036854775807";
    /// How far logs have come, and whether their runs are over.
    LOGS_MOVED = "SELECT r.tenant, r.run, 2 * l.logged + CASE WHEN s.status >= 3 THEN 1 ELSE 0 END AS number \
        FROM {rows $1: tenant int, run int} r \
        JOIN run_live l ON l.tenant_id = r.tenant AND l.run = r.run \
        JOIN run_state s ON s.tenant_id = r.tenant AND s.run = r.run AND s.to_seq = 9223372036854775807";
    /// The changes of records after a place in the ledger.
    CHANGES_AFTER = "SELECT e.seq, e.n, e.leaf, c.committed_at, e.kind, e.source_id, e.object_id, \
        COALESCE(e.content_digest, k.digest) AS digest, COALESCE(e.previous_digest, p.digest) AS previous, e.principal \
        FROM ledger_entry e JOIN ledger_commit c ON c.tenant_id = e.tenant_id AND c.seq = e.seq \
        LEFT JOIN content k ON k.tenant_id = e.tenant_id AND k.id = e.content_id \
        LEFT JOIN content p ON p.tenant_id = e.tenant_id AND p.id = e.previous_id \
        WHERE e.tenant_id = $1 AND e.seq >= $2 AND (e.seq > $2 OR e.n > $3) AND e.seq <= $4 \
        AND e.kind IN ('CREATED', 'UPDATED', 'CLOSED', 'CONFLICT') ORDER BY e.seq, e.n LIMIT $5";
    /// The first commits after one of them that changed runs.
    RUN_COMMITS = "SELECT DISTINCT s.from_seq FROM run_state s WHERE s.tenant_id = $1 AND s.from_seq > $2 \
        AND s.from_seq <= $3 ORDER BY s.from_seq LIMIT $4";
    /// The runs that changed between commits.
    RUNS_CHANGED = "SELECT DISTINCT s.run FROM run_state s WHERE s.tenant_id = $1 AND s.from_seq > $2 AND s.from_seq <= $3";
    /// The approvals that gates began to wait for between commits.
    APPROVALS_REQUESTED = "SELECT a.run, a.approval FROM run_approval a \
        WHERE a.tenant_id = $1 AND a.from_seq > $2 AND a.from_seq <= $3 AND a.status = $4 \
        AND NOT EXISTS (SELECT 1 FROM run_approval b WHERE b.tenant_id = a.tenant_id AND b.run = a.run \
        AND b.approval = a.approval AND b.to_seq = a.from_seq AND b.status = a.status) \
        ORDER BY a.from_seq, a.run, a.approval";
    /// What is in the queue and since when, by what does it, in ranges of names: found one by one, however much there
    /// is of each, and in turn of each range, so that none hides another.
    QUEUE_USES = "WITH RECURSIVE u(uses, high) AS (\
        SELECT (SELECT MIN(q.uses) FROM run_queue q WHERE q.tenant_id = $1 AND q.uses >= r.low AND q.uses < r.high), r.high \
        FROM {rows $2: low text, high text} r UNION ALL \
        SELECT (SELECT MIN(q.uses) FROM run_queue q WHERE q.tenant_id = $1 AND q.uses > u.uses AND q.uses < u.high), u.high \
        FROM u WHERE u.uses IS NOT NULL) \
        SELECT u.uses, (SELECT MIN(q.ready_at) FROM run_queue q WHERE q.tenant_id = $1 AND q.uses = u.uses) AS ready_at \
        FROM u WHERE u.uses IS NOT NULL LIMIT $3";
    /// The steps that can be taken now, of runs that nobody else is changing, the one that waits longest first.
    QUEUE_NEXT = "SELECT q.run, q.n FROM run_queue q JOIN run_live l ON l.tenant_id = q.tenant_id AND l.run = q.run \
        WHERE q.tenant_id = $1 AND q.uses = $2 AND q.ready_at <= $3 ORDER BY q.ready_at, q.run, q.n LIMIT $4 {unlocked l}";
    /// How many steps wait for each thing that does them.
    QUEUE_DEPTH = "SELECT uses, COUNT(*) AS depth, MIN(ready_at) AS ready_at FROM run_queue \
        WHERE tenant_id = $1 AND ready_at <= $2 GROUP BY uses ORDER BY MIN(ready_at), uses LIMIT $3";
    /// How many steps wait, by tenant and what does them.
    QUEUE_DEPTHS = "SELECT t.name AS tenant, q.uses, COUNT(*) AS depth, MIN(q.ready_at) AS ready_at FROM run_queue q \
        JOIN tenant t ON t.id = q.tenant_id WHERE q.ready_at <= $1 GROUP BY t.name, q.uses \
        ORDER BY MIN(q.ready_at), t.name, q.uses LIMIT $2";
    /// The newest runs of a pack as of a commit.
    RUNS_OF_PACK = "SELECT r.id, s.state FROM run r \
        JOIN run_state s ON s.tenant_id = r.tenant_id AND s.run = r.id AND s.from_seq <= $2 AND s.to_seq > $2 \
        WHERE r.tenant_id = $1 AND r.pack = $3 AND r.version = $4 ORDER BY r.created_at DESC, r.id DESC LIMIT $5";
    /// How many runs of a pack have not begun.
    RUNS_WAITING = "SELECT COUNT(*) FROM run_state s JOIN run r ON r.tenant_id = s.tenant_id AND r.id = s.run \
        WHERE s.tenant_id = $1 AND s.status = 0 AND s.to_seq > $2 AND s.from_seq <= $2 AND r.pack = $3 AND r.version = $4";
    /// The steps of a run that are in the queue.
    QUEUE_OF_RUN = "SELECT n, uses, ready_at FROM run_queue WHERE tenant_id = $1 AND run = $2 ORDER BY n";
    /// Puts steps into the queue.
    QUEUE_INSERT = "INSERT INTO run_queue (tenant_id, run, n, uses, ready_at) \
        SELECT $1, $2, r.n, r.uses, r.ready_at FROM {rows $3: n int, uses text, ready_at int} r \
        WHERE true ON CONFLICT (tenant_id, run, n) DO UPDATE SET uses = excluded.uses, ready_at = excluded.ready_at";
    /// Takes steps out of the queue.
    QUEUE_DELETE = "DELETE FROM run_queue WHERE tenant_id = $1 AND run = $2 AND n IN {ints $3}";
    /// Gives steps to a worker.
    LEASES_INSERT = "INSERT INTO run_lease (tenant_id, run, n, secret, attempt, principal, worker, granted_at, length, expires_at, \
        deadline, state, next_line) SELECT $1, r.run, r.n, r.secret, r.attempt, $3, $4, $5, $6, r.expires_at, r.deadline, 0, 0 \
        FROM {rows $2: run int, n int, secret bytes, attempt int, expires_at int, deadline int} r";
    /// A lease, by the parts of its token.
    LEASE = "SELECT run, n, attempt, principal, worker, expires_at, deadline, length, state, next_line, report FROM run_lease \
        WHERE tenant_id = $1 AND run = $2 AND n = $3 AND secret = $4";
    /// Where a step stands now.
    RUN_STEP_OPEN = "SELECT state FROM run_step WHERE tenant_id = $1 AND run = $2 AND n = $3 AND to_seq = 9223372036854775807";
    /// Prolongs a lease that holds.
    LEASE_RENEW = "UPDATE run_lease SET expires_at = CASE WHEN $5 + length < deadline THEN $5 + length ELSE deadline END \
        WHERE tenant_id = $1 AND run = $2 AND n = $3 AND secret = $4 AND state = 0 AND expires_at > $5 AND principal = $6 \
        RETURNING expires_at";
    /// Prolongs a lease that holds, and notes the number of its next line.
    LEASE_LINES = "UPDATE run_lease SET next_line = $6, expires_at = CASE WHEN $5 + length < deadline THEN $5 + length \
        ELSE deadline END WHERE tenant_id = $1 AND run = $2 AND n = $3 AND secret = $4 AND state = 0";
    /// Ends a lease by a report.
    LEASE_REPORT = "UPDATE run_lease SET state = 1, report = $5 \
        WHERE tenant_id = $1 AND run = $2 AND n = $3 AND secret = $4 AND state = 0";
    /// Ends the leases of a run that are over; tells of which steps, and whether in any case.
    LEASES_EXPIRE = "UPDATE run_lease SET state = 2 WHERE tenant_id = $1 AND run = $2 AND state = 0 AND expires_at <= $3 \
        RETURNING n, deadline";
    /// Takes steps away from their workers.
    LEASES_TAKE = "UPDATE run_lease SET state = 3 WHERE tenant_id = $1 AND run = $2 AND state = 0";
    /// The runs of which leases are over, the oldest first.
    LEASES_OVER = "SELECT t.name AS tenant, r.run_id FROM run_lease l JOIN tenant t ON t.id = l.tenant_id \
        JOIN run r ON r.tenant_id = l.tenant_id AND r.id = l.run WHERE l.state = 0 AND l.expires_at <= $1 \
        ORDER BY l.expires_at, l.tenant_id, l.run, l.n LIMIT $2";
    /// Notes a file that a worker brought.
    UPLOAD_INSERT = "INSERT INTO run_upload (tenant_id, run, n, secret, name, digest, size, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (tenant_id, run, n, secret, name) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at";
    /// The files that a worker brought.
    UPLOADS = "SELECT name, digest, size FROM run_upload WHERE tenant_id = $1 AND run = $2 AND n = $3 AND secret = $4 ORDER BY name";
    /// Ends a state.
    RUN_STATE_CLOSE = "UPDATE run_state SET to_seq = $3 WHERE tenant_id = $1 AND run = $2 AND to_seq = 9223372036854775807";
    /// Writes a state.
    RUN_STATE_INSERT = "INSERT INTO run_state (tenant_id, run, from_seq, to_seq, status, created_at, state) \
        VALUES ($1, $2, $3, 9223372036854775807, $4, $5, $6)";
    /// Ends the states of steps.
    RUN_STEPS_CLOSE = "UPDATE run_step SET to_seq = $3 WHERE tenant_id = $1 AND run = $2 AND n IN {ints $4} \
        AND to_seq = 9223372036854775807";
    /// Writes the states of steps.
    RUN_STEPS_INSERT = "INSERT INTO run_step (tenant_id, run, n, from_seq, to_seq, state) \
        SELECT $1, $2, r.n, $3, 9223372036854775807, r.state FROM {rows $4: n int, state text} r";
    /// Ends the states of approvals.
    RUN_APPROVALS_CLOSE = "UPDATE run_approval SET to_seq = $3 WHERE tenant_id = $1 AND run = $2 \
        AND approval IN (SELECT r.approval FROM {rows $4: approval text} r) AND to_seq = 9223372036854775807";
    /// Writes the states of approvals.
    RUN_APPROVALS_INSERT = "INSERT INTO run_approval (tenant_id, run, approval, from_seq, to_seq, status, requested_at, \
        state) SELECT $1, $2, r.approval, $3, 9223372036854775807, r.status, r.requested_at, r.state \
        FROM {rows $4: approval text, status int, requested_at int, state text} r";
    /// Writes moves of steps.
    RUN_TRANSITIONS_INSERT = "INSERT INTO run_transition (tenant_id, run, n, seq, entry) \
        SELECT $1, $2, r.n, $3, r.entry FROM {rows $4: n int, entry text} r";
    /// Where a run happened, no value where it is of this server; and its place in lists.
    RUN_SOURCE = "SELECT source, created_at FROM run WHERE tenant_id = $1 AND run_id = $2";
    /// Takes what is known of the plan of a run that happened elsewhere.
    RUN_REPLAN = "UPDATE run SET plan = $3, plan_hash = $4 WHERE tenant_id = $1 AND id = $2";
    /// What holds of all reports of a run.
    RUN_IMPORT = "SELECT since, state FROM run_import WHERE tenant_id = $1 AND run = $2";
    /// Changes it.
    RUN_IMPORT_SAVE = "INSERT INTO run_import (tenant_id, run, since, state) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (tenant_id, run) DO UPDATE SET since = excluded.since, state = excluded.state";
    /// How often the log of a run has entries.
    RUN_LINES_KNOWN = "SELECT digest, times FROM run_import_line WHERE tenant_id = $1 AND run = $2 \
        AND digest IN (SELECT r.digest FROM {rows $3: digest bytes} r)";
    /// Notes how often.
    RUN_LINES_NOTE = "INSERT INTO run_import_line (tenant_id, run, digest, times) \
        SELECT $1, $2, r.digest, r.times FROM {rows $3: digest bytes, times int} r \
        WHERE true ON CONFLICT (tenant_id, run, digest) DO UPDATE SET times = excluded.times";
    /// Forgets when the time has something to do with a run.
    RUN_DUE_FORGET = "DELETE FROM run_due WHERE tenant_id = $1 AND run = $2";
    /// Notes when.
    RUN_DUE_INSERT = "INSERT INTO run_due (tenant_id, run, at) VALUES ($1, $2, $3)";
    /// The runs with which the time has something to do, the most urgent first.
    RUNS_DUE = "SELECT t.name AS tenant, r.run_id FROM run_due d JOIN tenant t ON t.id = d.tenant_id \
        JOIN run r ON r.tenant_id = d.tenant_id AND r.id = d.run WHERE d.at <= $1 ORDER BY d.at, d.tenant_id, d.run LIMIT $2";
    /// Writes a chunk of a log.
    RUN_LOG_INSERT = "INSERT INTO run_log (tenant_id, run, first, last, packed, entries) VALUES ($1, $2, $3, $4, $5, $6)";
    /// The chunks of a log that are not packed.
    RUN_LOG_OPEN = "SELECT first, entries FROM run_log WHERE tenant_id = $1 AND run = $2 AND packed = 0 ORDER BY first";
    /// Removes them.
    RUN_LOG_CLEAR = "DELETE FROM run_log WHERE tenant_id = $1 AND run = $2 AND packed = 0";
    /// The chunks of a log from an entry on.
    RUN_LOG = "SELECT first, last, packed, entries FROM run_log WHERE tenant_id = $1 AND run = $2 AND first >= COALESCE((SELECT \
        MAX(l.first) FROM run_log l WHERE l.tenant_id = $1 AND l.run = $2 AND l.first <= $3), 0) ORDER BY first LIMIT $4";
    /// A run as of a commit, by its name.
    RUN_FIND = concat!("SELECT ", run_columns!(), "WHERE r.tenant_id = $1 AND r.run_id = $3");
    /// Runs as of a commit, by row.
    RUNS_BY_ID = concat!("SELECT ", run_columns!(), "WHERE r.tenant_id = $1 AND r.id IN {ints $3}");
    /// The plans and manifests of runs.
    RUN_PLANS = "SELECT id, plan FROM run WHERE tenant_id = $1 AND id IN {ints $2}";
    /// The manifests of runs.
    RUN_MANIFESTS = "SELECT id, manifest AS plan FROM run WHERE tenant_id = $1 AND id IN {ints $2}";
    /// Runs as of a commit, newest first, a page at a time.
    RUNS_PAGE = concat!("SELECT ", run_columns!(), "WHERE r.tenant_id = $1 AND ", run_page!("r.created_at", "r.id"));
    /// The same, oldest first.
    RUNS_PAGE_BACK = concat!("SELECT ", run_columns!(), "WHERE r.tenant_id = $1 AND ", run_page_back!("r.created_at", "r.id"));
    /// Runs of one pack: likewise.
    RUNS_PAGE_PACK = concat!("SELECT ", run_columns!(), "WHERE r.tenant_id = $1 AND r.pack = $3 AND ",
        run_page!("r.created_at", "r.id"));
    /// The same, oldest first.
    RUNS_PAGE_PACK_BACK = concat!("SELECT ", run_columns!(), "WHERE r.tenant_id = $1 AND r.pack = $3 AND ",
        run_page_back!("r.created_at", "r.id"));
    /// Runs of one status that nothing follows: likewise.
    RUNS_PAGE_ENDED = concat!("SELECT ", run_columns!(), "WHERE s.tenant_id = $1 AND s.status = $6 AND ",
        run_page!("s.created_at", "s.run"));
    /// The same, oldest first.
    RUNS_PAGE_ENDED_BACK = concat!("SELECT ", run_columns!(), "WHERE s.tenant_id = $1 AND s.status = $6 AND ",
        run_page_back!("s.created_at", "s.run"));
    /// Runs of one status that does not last: likewise.
    RUNS_PAGE_ACTIVE = concat!("SELECT ", run_columns!(), "WHERE s.tenant_id = $1 AND s.status = $6 AND s.to_seq > $2 AND ",
        run_page!("s.created_at", "s.run"));
    /// The same, oldest first.
    RUNS_PAGE_ACTIVE_BACK = concat!("SELECT ", run_columns!(), "WHERE s.tenant_id = $1 AND s.status = $6 AND s.to_seq > $2 AND ",
        run_page_back!("s.created_at", "s.run"));
    /// How many runs match.
    RUNS_COUNT = concat!("SELECT COUNT(*) FROM run r ", run_state!(), "WHERE r.tenant_id = $1 AND ", run_filter!("r.created_at"));
    /// The steps of runs as of a commit.
    RUN_STEPS = "SELECT run, state FROM run_step WHERE tenant_id = $1 AND run IN {ints $3} AND from_seq <= $2 \
        AND to_seq > $2 ORDER BY run, n LIMIT $4";
    /// The approvals of runs as of a commit.
    RUN_APPROVALS = "SELECT run, approval, state FROM run_approval WHERE tenant_id = $1 AND run IN {ints $3} \
        AND from_seq <= $2 AND to_seq > $2 ORDER BY run, approval";
    /// The moves of a run's steps until a commit, a page at a time.
    RUN_TRANSITIONS = "SELECT n, seq, entry FROM run_transition WHERE tenant_id = $1 AND run = $3 AND n > $4 AND seq <= $2 \
        ORDER BY n LIMIT $5";
    /// The same from the end.
    RUN_TRANSITIONS_BACK = "SELECT n, seq, entry FROM run_transition WHERE tenant_id = $1 AND run = $3 AND n < $4 AND seq <= $2 \
        ORDER BY n DESC LIMIT $5";
    /// Approvals of a status that does not last, oldest first, a page at a time.
    APPROVALS_PAGE_ACTIVE = concat!("SELECT a.run, a.approval, a.requested_at, a.state ", approval_joins!(),
        "AND a.to_seq > $2 AND (a.requested_at, a.run, a.approval) > ($5, $6, $7) \
        ORDER BY a.requested_at, a.run, a.approval LIMIT $8");
    /// The same, newest first.
    APPROVALS_PAGE_ACTIVE_BACK = concat!("SELECT a.run, a.approval, a.requested_at, a.state ", approval_joins!(),
        "AND a.to_seq > $2 AND (a.requested_at, a.run, a.approval) < ($5, $6, $7) \
        ORDER BY a.requested_at DESC, a.run DESC, a.approval DESC LIMIT $8");
    /// Approvals of a status that nothing follows, oldest first, a page at a time.
    APPROVALS_PAGE_ENDED = concat!("SELECT a.run, a.approval, a.requested_at, a.state ", approval_joins!(),
        "AND (a.requested_at, a.run, a.approval) > ($5, $6, $7) ORDER BY a.requested_at, a.run, a.approval LIMIT $8");
    /// The same, newest first.
    APPROVALS_PAGE_ENDED_BACK = concat!("SELECT a.run, a.approval, a.requested_at, a.state ", approval_joins!(),
        "AND (a.requested_at, a.run, a.approval) < ($5, $6, $7) \
        ORDER BY a.requested_at DESC, a.run DESC, a.approval DESC LIMIT $8");
    /// How many approvals match.
    APPROVALS_COUNT = concat!("SELECT COUNT(*) ", approval_joins!());
    /// Answers whether the database is there.
    PING = "SELECT CAST(1 AS BIGINT)";
}
