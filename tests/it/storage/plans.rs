//! Hot statements find their rows through an index, and pages are read in its order.

use packtrail::storage::catalogue;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::support::db::{Database, execute};

/// `to_seq` of a row that still holds.
const OPEN: &str = "9223372036854775807";

/// What each table is filled with, for `i` from 1: table, columns, values.
const ROWS: [(&str, &str, &str); 38] = [
    (
        "listing",
        "term, place, key_hash, from_seq, to_seq, object_id",
        "i % 20, i / 3, i * 7919 % 3001, i / 5, CASE i % 3 WHEN 0 THEN i / 5 + 1 ELSE {open} END, i / 2",
    ),
    (
        "node",
        "id, source_id, kind, cluster, namespace, name",
        "i, 1 + i % 3, CASE i % 4 WHEN 0 THEN '~sequence' WHEN 1 THEN 'PackReceipt' ELSE 'PackOperationResult' END, \
         '', 'ns' || (i % 10), 'name' || i",
    ),
    ("edge", "dst, kind, src", "i / 4, 1 + i % 3, i"),
    (
        "lineage",
        "src, by_dst, kind, dst, within, field, from_n, from_seq, to_seq, rules",
        "i / 4, i % 2, 1 + i % 29, i / 3, CASE i % 29 WHEN 14 THEN 7 ELSE 0 END, 1, 0, i, {open}, 1",
    ),
    ("object", "id, node_id, uid, last_seen_at", "i, i, 'u' || i, i"),
    ("body", "id, digest, location, bytes", "i, CAST('body' || i AS {bytes}), 'inline', CAST('x' AS {bytes})"),
    ("content", "id, digest, spec_digest, facts", "i, CAST('content' || i AS {bytes}), CAST('spec' AS {bytes}), '{}'"),
    (
        "observation",
        "object_id, id, content_id, body_id, deleted, own_time, received_at, asserter",
        "i / 2, i, i, i, 0, i, i, 'a'",
    ),
    ("snapshot", "source_id, kind, namespace, at, received_at", "1 + i % 3, 'kind' || (i % 5), 'ns' || (i % 10), i, i"),
    (
        "version",
        "object_id, n, from_seq, to_seq, from_at, content_id, observation_id, rules",
        "i / 4, i % 4, i, CASE i % 2 WHEN 0 THEN {open} ELSE i + 5 END, i, i, i, 1",
    ),
    (
        "state",
        "object_id, from_seq, to_seq, source_id, node_id, key_hash, kind, born_at, first_at, live, versions, \
         content_id, observation_id, namespace, name, cluster, pack, status, rules",
        "i / 2, i, CASE i % 2 WHEN 0 THEN {open} ELSE i + 1 END, 1 + i % 3, i / 2, i * 7919 % 3001, \
         CASE i % 3 WHEN 0 THEN 'PackReceipt' ELSE 'PackOperationResult' END, i / 3, i, 1, 1, i, i, 'ns' || (i % 10), \
         'name' || i, 'c' || (i % 7), 'p', 'Succeeded', 1",
    ),
    (
        "epoch",
        "sequence_id, uid, from_seq, to_seq, source_id, position, status, born_at, revisions, head_id, head_revision, \
         detail, rules",
        "i / 2 * 4, 'u' || (i % 2), i, CASE i % 3 WHEN 0 THEN i + 1 ELSE {open} END, 1 + i % 3, i % 2, 'COMPLETE', i, 1, \
         i, 1, '{}', 1",
    ),
    (
        "revision",
        "sequence_id, epoch_uid, revision, first_at, key_hash, object_id, from_seq, to_seq, version_n, live, superseded, \
         rules",
        "i / 20 * 4, 'u' || (i % 2), i % 10, i, i, i, i, CASE i % 3 WHEN 0 THEN i + 1 ELSE {open} END, 0, 1, 0, 1",
    ),
    (
        "finding",
        "unit_id, code, subject, from_seq, to_seq, id, source_id, severity, detail, rules, raised_seq, cluster, namespace",
        "i / 3, 'C' || (i % 20), 's' || i, i / 5, CASE i % 3 WHEN 0 THEN i + 1 ELSE {open} END, i * 7919 % 3001, \
         1 + i % 3, CASE i % 4 WHEN 0 THEN 'error' WHEN 1 THEN 'critical' ELSE 'info' END, '{}', 1, i / 5, \
         'c' || (i % 70), 'ns' || (i % 100)",
    ),
    (
        "quarantine_refusal",
        "id, from_seq, to_seq, code, path, message, principal, refused_at, strict",
        "i, i, CASE i % 3 WHEN 0 THEN i + 1 ELSE {open} END, 'C', '', '', 'a', i, 0",
    ),
    (
        "quarantine",
        "id, source_id, digest, from_seq, to_seq, code, path, message, principal, received_at, strict, size, bytes",
        "i, 1 + i % 3, CAST('q' || i AS {bytes}), i / 5, {open}, 'C', '', '', 'a', i, 0, 1, CAST('x' AS {bytes})",
    ),
    ("body_base", "likeness, body_id", "i, i"),
    ("word", "id, text", "i, 'word' || i"),
    ("thing", "id, source_id, kind, name, resource_id", "i + 100000, 1 + i % 3, '~resource', 'n' || i, i"),
    ("posting", "document_id, word_id, born_at, key_hash", "i / 4, i % 300, i / 8, i / 4 * 7919 % 3001"),
    ("document", "id, born_at, key_hash, words", "i, i / 2, i * 7919 % 3001, ' word' || i || ' '"),
    ("label", "id, text", "i, 'label' || i"),
    (
        "operation",
        "object_id, node_id, source_id, content_id, counted_at, duration, cluster_id, pack_id, base_id, status_id, \
         capability_id, category_id, step_id, rules",
        "i, i / 2, 1 + i % 3, i, i, i, i % 7, i % 11, i % 13, 1, 2, 3, 4, 1",
    ),
    ("resource", "id, api_version, kind, namespace, name", "i, 'v1', 'Secret', 'ns', 'n' || i"),
    ("resource_set_member", "set_id, resource_id", "i / 5, i"),
    (
        "mention",
        "kind, source_id, name, from_seq",
        "CASE i % 2 WHEN 0 THEN 'CLUSTER' ELSE 'PACK_FAMILY' END, 1 + i % 3, 'm' || i, i",
    ),
    (
        "run",
        "id, run_id, pack, version, plan_hash, plan, manifest, subjects, created_at, created_by, idempotency_key, \
         request_digest, from_seq",
        "i, 'run' || i, 'pack' || (i % 20), '1.0.0', 'h', CAST('p' AS {bytes}), CAST('m' AS {bytes}), '[]', i, 'a', \
         'k' || i, CAST('d' AS {bytes}), i",
    ),
    (
        "run_state",
        "run, from_seq, to_seq, status, created_at, state",
        "i / 2, i, CASE i % 2 WHEN 0 THEN i + 1 ELSE {open} END, i % 6, i / 2, '{}'",
    ),
    (
        "run_step",
        "run, n, from_seq, to_seq, state",
        "i / 10, i % 5, i, CASE i % 2 WHEN 0 THEN i + 1 ELSE {open} END, '{}'",
    ),
    ("run_transition", "run, n, seq, entry", "i / 10, i, i, '{}'"),
    (
        "run_approval",
        "run, approval, from_seq, to_seq, status, requested_at, state",
        "i / 4, 'a' || (i % 2), i, CASE i % 2 WHEN 0 THEN i + 1 ELSE {open} END, i % 6, i, '{}'",
    ),
    ("run_due", "run, at", "i, i"),
    ("run_live", "run, changes, logged, line_bytes, open_bytes, is_cut", "i, 0, 10, 0, 0, 0"),
    ("run_queue", "run, n, uses, ready_at", "i, i % 5, 'uses' || (i % 20), i"),
    (
        "run_lease",
        "run, n, secret, attempt, principal, worker, granted_at, length, expires_at, deadline, state, next_line",
        "i / 10, i % 5, CAST('s' || i AS {bytes}), 1, 'p', 'w', i, 30, i, i, i % 4, 0",
    ),
    (
        "run_upload",
        "run, n, secret, name, digest, size, at",
        "i / 10, i % 5, CAST('s' || i AS {bytes}), 'a', CAST('d' AS {bytes}), 1, i",
    ),
    ("run_log", "run, first, last, packed, entries", "i / 10, i, i, i % 2, CAST('e' AS {bytes})"),
    ("idempotency", "key, request_digest, answer, created_at", "'k' || i, CAST('d' AS {bytes}), '', i"),
];

/// Tables of few rows, which join the large ones.
const SMALL: &str = "INSERT INTO source (tenant_id, id, name, incarnation, created_at, from_seq) \
    VALUES (1, 1, 'a', '', 0, 1), (1, 2, 'b', '', 0, 1), (1, 3, 'c', '', 0, 1), (2, 1, 'a', '', 0, 1), (3, 1, 'a', '', 0, 1); \
    INSERT INTO ledger_commit (tenant_id, seq, committed_at, entries) \
    WITH RECURSIVE r(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM r WHERE i < 1000) SELECT 1, i, i, 1 FROM r;";

/// What comes in the order of names, and within one name is sorted by the hash of the uid.
const SORTED_WITHIN_A_NAME: [&str; 2] = ["LISTING_NAME_PAGE", "LISTING_NAME_PAGE_BACK"];

/// A hot statement (counts of everything that a tenant has are none: they read it all by any index): its name, literal arguments, and whether its rows must come in order without a sort.
type Hot = (&'static str, &'static [&'static str], bool);

const KEYS: &str = "'[{\"i\":0,\"kind\":\"PackReceipt\",\"cluster\":\"\",\"namespace\":\"ns1\",\"name\":\"name1\"}]'";
const BEATS: &str = "'[{\"i\":0,\"kind\":\"PackReceipt\",\"cluster\":\"\",\"namespace\":\"ns1\",\"name\":\"name1\",\
    \"uid\":\"u1\",\"resource_version\":\"7\"}]'";
const LIKENESSES: &str = "'[{\"i\":0,\"likeness\":5},{\"i\":1,\"likeness\":6}]'";
const LOOKUPS: &str =
    "'[{\"i\":0,\"source_id\":1,\"kind\":\"PackReceipt\",\"cluster\":\"\",\"namespace\":\"ns1\",\"name\":\"name1\"}]'";
const UIDS: &str = "'[{\"uid\":\"u1\"},{\"uid\":\"u2\"}]'";
const TERMS: &str = "'[{\"term\":5},{\"term\":6}]'";
const LISTED: &str = "'[{\"term\":5,\"place\":1,\"key_hash\":1}]'";
const SEQUENCE_NAMES: &str = "'[{\"i\":0,\"source_id\":1,\"namespace\":\"ns4\",\"name\":\"name4\"}]'";
const PLACES: &str = "'[{\"object_id\":5,\"n\":1}]'";
const DIGESTS: &str = "'[{\"i\":0,\"digest\":\"00\"},{\"i\":1,\"digest\":\"01\"}]'";
const TIMES: &str = "'[{\"i\":0,\"kind\":\"kind1\",\"namespace\":\"ns1\",\"t\":100}]'";
const SUBJECTS: &str = "'[{\"subject\":\"s1\"},{\"subject\":\"s2\"}]'";
const MENTIONED: &str = "'[{\"i\":0,\"source_id\":1,\"kind\":\"CLUSTER\",\"name\":\"m2\"}]'";
const ITEMS: &str = "'[5,6,7]'";
const ANY: &str = "''";

const HOT: &[Hot] = &[
    ("NODES_FIND", &["1", "1", KEYS], false),
    ("BEATS_FIND", &["1", "1", BEATS], false),
    ("BASES_FIND", &["1", LIKENESSES], false),
    ("NODES_LOOKUP", &["1", LOOKUPS], false),
    ("NODES_PAGE", &["1", "100", "1", "50"], true),
    ("OBJECTS_OF_NODES", &["1", ITEMS], false),
    ("OBSERVATIONS_OF_NODES", &["1", ITEMS], false),
    ("VERSIONS_OF_NODES", &["1", ITEMS], false),
    ("ENDS_OF_NODES", &["1", ITEMS], false),
    ("MEMBERS", &["1", ITEMS], false),
    ("DEPENDENTS", &["1", ITEMS, "1"], false),
    ("COLLECTIONS_OF", &["1", ITEMS], false),
    ("LINEAGE_OPEN", &["1", ITEMS], false),
    ("LINEAGE_DOWN", &["1", "900", ITEMS, "100"], false),
    ("LINEAGE_UP", &["1", "900", ITEMS, "100"], false),
    ("LINEAGE_DOWN_KINDS", &["1", "900", ITEMS, "100", ITEMS], false),
    ("LINEAGE_UP_KINDS", &["1", "900", ITEMS, "100", ITEMS], false),
    ("LINEAGE_DOWN_AMONG", &["1", "900", ITEMS, "100", ITEMS], false),
    ("LINEAGE_UP_AMONG", &["1", "900", ITEMS, "100", ITEMS], false),
    ("LINEAGE_DOWN_KINDS_AT", &["1", "900", ITEMS, "100", ITEMS, "500"], false),
    ("LINEAGE_UP_KINDS_AT", &["1", "900", ITEMS, "100", ITEMS, "500"], false),
    ("LINEAGE_DOWN_AMONG_AT", &["1", "900", ITEMS, "100", ITEMS, "500"], false),
    ("LINEAGE_UP_AMONG_AT", &["1", "900", ITEMS, "100", ITEMS, "500"], false),
    ("LINEAGE_APPLIERS", &["1", "900", "'[{\"id\":14,\"within\":7}]'", "100"], false),
    ("LINEAGE_APPLIERS_AT", &["1", "900", "'[{\"id\":14,\"within\":7}]'", "100", "500"], false),
    ("SET_MEMBERS", &["1", ITEMS, "100"], false),
    ("VERTEX_NAMES", &["1", ITEMS], false),
    ("VERSIONS_AT", &["1", "900", ITEMS, "500"], false),
    ("RESOURCES_BY_ID", &["1", ITEMS], false),
    ("RESOURCE_LOOKUP", &["1", "'Secret'", "'ns'", "'n7'", "'v1'"], false),
    ("COMMIT_AT", &["1", "500"], true),
    ("MENTIONS_OF_PREFIX", &["1", "'CLUSTER'", "1", "'m1'", "'m2'", "900", "50"], true),
    ("DEPLOYED_LATEST", &["1", "900", "500", "'[{\"i\":0,\"term\":7}]'"], false),
    ("DEPLOYED_HIGHER", &["1", "900", "500", "'[{\"i\":0,\"term\":7,\"object_id\":9}]'"], false),
    ("DEPLOYED_BY", &["1", "900", ITEMS], false),
    ("DEPLOYED_PACKS_CLOSED", &["1", "900", ITEMS], false),
    ("NODES_TORN_DOWN", &["1", "900", ITEMS], false),
    ("SETS_WITH_RESOURCES", &["1", ITEMS, ITEMS], false),
    ("CONTENTS_SETS", &["1", ITEMS], false),
    ("GROUPS_BY_NAME", &["1", LOOKUPS, "900"], false),
    ("SNAPSHOT_NEXT", &["1", "1", TIMES], false),
    ("SNAPSHOT_OMITTED", &["1", "1", "'[]'", "1", "'[]'", "1", "5000", "100", "50"], false),
    ("CONTENTS_FIND", &["1", DIGESTS], false),
    ("BODIES_FIND", &["1", DIGESTS], false),
    ("BODIES_BY_ID", &["1", ITEMS], false),
    ("STATES_OPEN", &["1", ITEMS], false),
    ("EPOCHS_OPEN", &["1", ITEMS], false),
    ("REVISIONS_OPEN", &["1", ITEMS], false),
    ("REVISIONS_OF_OBJECTS_OPEN", &["1", ITEMS], false),
    ("ACTIVES_OPEN", &["1", ITEMS], false),
    ("FINDINGS_OPEN", &["1", ITEMS], false),
    ("FINDINGS_OPEN_OF_CODE", &["1", ITEMS, "'C1'"], false),
    ("QUARANTINE_FIND", &["1", ITEMS], false),
    ("QUARANTINE_BY_ID", &["1", "900", ITEMS], false),
    ("RECORDS_BY_OBJECT", &["1", ITEMS, "900"], false),
    ("RECORDS_BY_OBJECT_LEAN", &["1", ITEMS, "900"], false),
    ("RECORDS_BY_NODE", &["1", ITEMS, "900"], false),
    ("RECORDS_BY_UID", &["1", UIDS, "900"], false),
    ("LISTING_PAGE", LISTING, true),
    ("LISTING_PAGE_BACK", LISTING, true),
    ("LISTING_CHANGED_PAGE", LISTING, true),
    ("LISTING_CHANGED_PAGE_BACK", LISTING, true),
    ("LISTING_CHANGED_SORTED", LISTING, false),
    ("LISTING_CHANGED_SORTED_BACK", LISTING, false),
    ("LISTING_NAME_PAGE", BY_NAME, true),
    ("LISTING_NAME_PAGE_BACK", BY_NAME, true),
    ("LISTING_NAME_SORTED", NAMES_OF_TERM, false),
    ("LISTING_NAME_SORTED_BACK", NAMES_OF_TERM, false),
    ("LISTING_COUNT", &["1", "5", "900", "0", "1000", TERMS, TERMS], false),
    ("LISTING_RARITY", &["1", TERMS, "900", "2000"], false),
    ("LISTING_OPEN", &["1", LISTED], false),
    ("FINDINGS_ON_OBJECTS", &["1", ITEMS], false),
    ("FACTS_OF_NODES", &["1", ITEMS], false),
    ("VERSIONS_PAGE", &["1", "5", "900", "0", "50"], true),
    ("VERSIONS_PAGE_BACK", &["1", "5", "900", "9", "50"], true),
    ("VERSIONS_BY_N", &["1", PLACES, "900"], false),
    ("EPOCHS_OF", &["1", ITEMS, "900"], false),
    ("EPOCHS_BY_NAME", &["1", SEQUENCE_NAMES, "900"], false),
    ("REVISIONS_PAGE", CHAIN, true),
    ("REVISIONS_PAGE_BACK", CHAIN, true),
    ("REVISIONS_LEAN_PAGE", CHAIN, true),
    ("REVISIONS_LEAN_PAGE_BACK", CHAIN, true),
    ("REVISIONS_OF_OBJECTS", &["1", ITEMS, "900"], false),
    ("FINDINGS_BY_SUBJECT", &["1", "900", SUBJECTS, "2"], false),
    ("FINDINGS_PAGE", FINDINGS, true),
    ("FINDINGS_PAGE_BACK", FINDINGS, true),
    ("FINDINGS_OF_UNIT_PAGE", OF_UNIT, true),
    ("FINDINGS_OF_UNIT_PAGE_BACK", OF_UNIT, true),
    ("FINDINGS_OF_UNIT_COUNT", OF_UNIT_COUNTED, false),
    ("FINDINGS_OF_SUBJECT_PAGE", OF_TEXT, true),
    ("FINDINGS_OF_SUBJECT_PAGE_BACK", OF_TEXT, true),
    ("FINDINGS_OF_SUBJECT_COUNT", OF_TEXT_COUNTED, false),
    ("FINDINGS_OF_CLUSTER_PAGE", OF_TEXT, true),
    ("FINDINGS_OF_CLUSTER_PAGE_BACK", OF_TEXT, true),
    ("FINDINGS_OF_CLUSTER_COUNT", OF_TEXT_COUNTED, false),
    ("FINDINGS_OF_NAMESPACE_PAGE", OF_TEXT, true),
    ("FINDINGS_OF_NAMESPACE_PAGE_BACK", OF_TEXT, true),
    ("FINDINGS_OF_NAMESPACE_COUNT", OF_TEXT_COUNTED, false),
    ("FINDINGS_OF_CODE_PAGE", OF_TEXT, true),
    ("FINDINGS_OF_CODE_PAGE_BACK", OF_TEXT, true),
    ("FINDINGS_OF_CODE_COUNT", OF_TEXT_COUNTED, false),
    ("FINDINGS_OF_SEVERITY_PAGE", OF_TEXT, true),
    ("FINDINGS_OF_SEVERITY_PAGE_BACK", OF_TEXT, true),
    ("FINDINGS_OF_SEVERITY_COUNT", OF_TEXT_COUNTED, false),
    ("FINDINGS_OF_SOURCE_PAGE", OF_SOURCE, true),
    ("FINDINGS_OF_SOURCE_PAGE_BACK", OF_SOURCE, true),
    ("FINDINGS_OF_SOURCE_COUNT", OF_SOURCE_COUNTED, false),
    ("COMMIT_FROM", &["1", "500"], true),
    ("SEQUENCES_PAGE", SEQUENCES, true),
    ("SEQUENCES_PAGE_BACK", SEQUENCES, true),
    ("MENTIONS_FIND", &["1", "1", MENTIONED], false),
    ("MENTIONS_LOOKUP", &["1", MENTIONED, "900"], false),
    ("MENTIONS_PAGE", MENTIONS, true),
    ("MENTIONS_PAGE_BACK", MENTIONS, true),
    ("MENTIONS_COUNT", &["1", "'CLUSTER'", "900", "1", "1"], false),
    ("QUARANTINE_PAGE", QUARANTINE, true),
    ("QUARANTINE_PAGE_BACK", QUARANTINE, true),
    ("QUARANTINE_REASONS", &["1", ITEMS], false),
    ("CONTENTS_OBSERVED", &["1", PAIRS], false),
    ("WORDS_FIND", &["1", TEXTS], false),
    ("THINGS_FIND", &["1", ITEMS], false),
    ("POSTINGS_FIND", &["1", POSTINGS], false),
    ("POSTINGS_MOVE", &["1", POSTINGS], false),
    ("DOCUMENTS_BY_ID", &["1", ITEMS], false),
    ("DOCUMENTS_MOVED", &["1", BIRTHS], false),
    ("BIRTHS_OF_OBJECTS", &["1", ITEMS], false),
    ("CONTENTS_OF_NODES", &["1", ITEMS], false),
    ("WORDS_COUNT", &["1", TEXTS, "1000"], false),
    ("RANGES_COUNT", &["1", RANGES, "1000"], false),
    ("HITS_OF_WORD", HITS, true),
    ("HITS_OF_WORD_BACK", HITS, true),
    ("HITS_OF_WORD_COUNT", HITS, false),
    ("HITS_OF_RANGE", HITS_IN_RANGE, false),
    ("HITS_OF_RANGE_BACK", HITS_IN_RANGE, false),
    ("HITS_OF_RANGE_COUNT", HITS_IN_RANGE, false),
    ("APPLIERS_PAGE", APPLIERS, false),
    ("APPLIERS_PAGE_BACK", APPLIERS, false),
    ("APPLIERS_COUNT", APPLIERS, false),
    ("LABELS_FIND", &["1", TEXTS], false),
    ("LABELS_BY_ID", &["1", ITEMS], false),
    ("OPERATIONS_OF_NODES", &["1", ITEMS], false),
    ("STATS_BY_TIME", STATS, false),
    ("STATS_BY_CLUSTER", STATS, false),
    ("STATS_BY_PACK", STATS, false),
    ("STATS_BY_BASE", STATS, false),
    ("IDEMPOTENCY_FIND", &["1", "'key'"], false),
    ("RUN_FIND", &["1", "900", "'run7'"], false),
    ("RUN_BY_KEY", &["1", "'k7'"], false),
    ("RUNS_BY_ID", &["1", "900", ITEMS], false),
    ("RUNS_PAGE", RUNS, true),
    ("RUNS_PAGE_BACK", RUNS, true),
    ("RUNS_PAGE_PACK", RUNS_OF_PACK, true),
    ("RUNS_PAGE_PACK_BACK", RUNS_OF_PACK, true),
    ("RUNS_PAGE_ENDED", RUNS_OF_STATUS, true),
    ("RUNS_PAGE_ENDED_BACK", RUNS_OF_STATUS, true),
    ("RUNS_PAGE_ACTIVE", RUNS_OF_STATUS, false),
    ("RUNS_PAGE_ACTIVE_BACK", RUNS_OF_STATUS, false),
    ("RUN_STATE_OPEN", &["1", "7"], false),
    ("RUNS_OPEN", &["1", ITEMS], false),
    ("RUN_STEPS_OPEN", &["1", ITEMS], false),
    ("RUN_STEP_OPEN", &["1", "7", "1"], false),
    ("RUN_APPROVALS_OPEN", &["1", ITEMS], false),
    ("RUN_LOGGED", &["1", "7"], false),
    ("QUEUE_NEXT", &["1", "'uses7'", "900", "10"], true),
    ("QUEUE_OF_RUN", &["1", "7"], true),
    ("RUN_STEPS", &["1", "900", ITEMS, "100"], false),
    ("RUN_APPROVALS", &["1", "900", ITEMS], false),
    ("RUN_PLANS", &["1", ITEMS], false),
    ("RUN_MANIFESTS", &["1", ITEMS], false),
    ("RUN_TRANSITIONS", &["1", "900", "7", "70", "20"], true),
    ("RUN_TRANSITIONS_BACK", &["1", "900", "7", "77", "20"], true),
    ("RUN_LOG", &["1", "7", "73", "20"], true),
    ("RUN_LOG_OPEN", &["1", "7"], true),
    ("APPROVALS_PAGE_ACTIVE", APPROVALS, false),
    ("APPROVALS_PAGE_ACTIVE_BACK", APPROVALS, false),
    ("APPROVALS_PAGE_ENDED", APPROVALS, true),
    ("APPROVALS_PAGE_ENDED_BACK", APPROVALS, true),
];
const RUNS: &[&str] = &["1", "900", ANY, "0", "1000", "-1", "500", "0", "50"];
const RUNS_OF_PACK: &[&str] = &["1", "900", "'pack7'", "0", "1000", "-1", "500", "0", "50"];
const RUNS_OF_STATUS: &[&str] = &["1", "900", ANY, "0", "1000", "3", "500", "0", "50"];
const APPROVALS: &[&str] = &["1", "900", "1", "-1", "500", "0", ANY, "50"];
const PAIRS: &str = "'[{\"i\":0,\"object_id\":5,\"content_id\":9}]'";
const TEXTS: &str = "'[{\"i\":0,\"text\":\"word1\"}]'";
const RANGES: &str = "'[{\"low\":\"word1\",\"high\":\"word2\"}]'";
const POSTINGS: &str = "'[{\"i\":0,\"word_id\":7,\"born_at\":3,\"key_hash\":5,\"document_id\":9,\"moved_to\":4}]'";
const BIRTHS: &str = "'[{\"document_id\":9,\"born_at\":3}]'";
const PATTERNS: &str = "'[{\"pattern\":\"% word1 %\"},{\"pattern\":\"% word2%\"}]'";
const NAMES: &str = "'[{\"name\":\"PackReceipt\"}]'";
const HITS: &[&str] = &["1", "900", "7", ANY, PATTERNS, "0", "1", NAMES, "1", NAMES, "500", "0", "20"];
const HITS_IN_RANGE: &[&str] =
    &["1", "900", "'word15'", "'word16'", PATTERNS, "0", "1", NAMES, "1", NAMES, "500", "0", "20"];
const APPLIERS: &[&str] = &["1", "5", "1", "500", "0", "900", "20"];
const STATS: &[&str] = &["1", "100", "900", "255", "1", "2", "0", "3", "3", "3", "0", "0", "0", "0", "1001"];
/// Every filter and order of records is one of these: a filter is a term, whatever its facet.
const LISTING: &[&str] = &["1", "5", "900", "200", "0", "0", "1000", TERMS, TERMS, "50"];
const BY_NAME: &[&str] =
    &["1", "'PackOperationResult'", "900", "2", "'ns3'", "'name'", "''", "0", "0", "1000", TERMS, TERMS, "50"];
const NAMES_OF_TERM: &[&str] = &["1", "5", "900", "2", "'ns3'", "'name'", "''", "0", "0", "1000", TERMS, TERMS, "50"];
const CHAIN: &[&str] = &["1", "8", "'u1'", "900", "3", "0", "0", "50"];
const FINDINGS: &[&str] = &["1", "900", ANY, "0", "-1", "500", "0", "2", "'[]'", "'[]'", "0", ANY, ANY, "50"];
const OF_UNIT: &[&str] = &["1", "900", "'5'", "0", "-1", "500", "0", "0", WORDS, WORDS, "1", ANY, ANY, "50"];
const OF_UNIT_COUNTED: &[&str] = &["1", "900", "'5'", "0", "-1", "500", "0", "0", WORDS, WORDS, "1", ANY, ANY];
const OF_TEXT: &[&str] = &["1", "900", "'c1'", "0", "-1", "500", "0", "0", WORDS, WORDS, "1", "'c1'", "'c1'", "50"];
const OF_TEXT_COUNTED: &[&str] = &["1", "900", "'c1'", "0", "-1", "500", "0", "0", WORDS, WORDS, "1", "'c1'", "'c1'"];
const OF_SOURCE: &[&str] = &["1", "900", ANY, "0", "-1", "500", "0", "1", "'[]'", WORDS, "2", ANY, ANY, "50"];
const OF_SOURCE_COUNTED: &[&str] = &["1", "900", ANY, "0", "-1", "500", "0", "1", "'[]'", WORDS, "2", ANY, ANY];
const WORDS: &str = "'[{\"word\":\"C1\"},{\"word\":\"error\"}]'";
const SEQUENCES: &[&str] = &["1", "900", "2", "'ns3'", "'name'", "50", "0", ANY, ANY, ANY];
const MENTIONS: &[&str] = &["1", "'CLUSTER'", "900", "2", "'m3'", "50", "1", "3"];
const QUARANTINE: &[&str] = &["1", "900", "0", ANY, "0", "900", "500", "0", "50"];

#[tokio::test]
async fn hot_statements_never_scan_a_table() {
    let mut faults = Vec::new();
    for database in Database::all() {
        let url = database.url().await;
        database.open().await.close().await;
        fill(&url).await;
        if url.starts_with("sqlite") {
            // Nobody analyzes a SQLite file: its plans must be good from the first row on.
            faults.extend(sqlite_faults(&url).await.into_iter().map(|fault| format!("as migrated: {fault}")));
        }
        execute(&url, "ANALYZE").await;
        faults.extend(if url.starts_with("sqlite") { sqlite_faults(&url).await } else { postgres_faults(&url).await });
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// Each filter reads findings through the index that was made for it, whatever else is checked.
#[tokio::test]
async fn a_filter_of_findings_drives_its_own_index() {
    for database in Database::all() {
        let url = database.url().await;
        database.open().await.close().await;
        if !url.starts_with("sqlite") {
            continue;
        }
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let driven = hot().filter(|((name, ..), ..)| name.starts_with("FINDINGS_OF_"));
        for ((name, arguments, _), text, _) in driven {
            let question = format!("EXPLAIN QUERY PLAN {}", with_arguments(text, arguments));
            let steps: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(AssertSqlSafe(question)).fetch_all(&mut connection).await.unwrap();
            let column = name["FINDINGS_OF_".len()..].split('_').next().unwrap().to_lowercase();
            let index = format!("SEARCH f USING INDEX finding_by_{column} (");
            assert!(steps.iter().any(|step| step.3.starts_with(&index)), "{name}: {steps:#?}");
        }
    }
}

/// A thousand rows of each of three tenants in each table.
async fn fill(url: &str) {
    let bytes = if url.starts_with("sqlite") { "BLOB" } else { "BYTEA" };
    let mut statements = vec!["BEGIN; ".to_owned(), SMALL.to_owned()];
    for (table, columns, values) in ROWS {
        let values = values.replace("{bytes}", bytes).replace("{open}", OPEN);
        statements.extend((1..=3).map(|tenant| {
            format!(
                "INSERT INTO {table} (tenant_id, {columns}) \
                 WITH RECURSIVE r(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM r WHERE i < 1000) \
                 SELECT {tenant}, {values} FROM r;\n"
            )
        }));
    }
    statements.push("COMMIT;".to_owned());
    execute(url, &statements.concat()).await;
}

fn hot() -> impl Iterator<Item = (Hot, &'static str, &'static str)> {
    HOT.iter().map(|hot| {
        let (_, sqlite, postgres) = catalogue().find(|(name, ..)| *name == hot.0).unwrap();
        (*hot, sqlite, postgres)
    })
}

/// What must be found by an index that has the open rows apart from the former ones.
const OPEN_ROWS: [(&str, &str); 5] = [
    ("EPOCHS_OPEN", "epoch_open"),
    ("REVISIONS_OF_OBJECTS_OPEN", "revision_of_object"),
    ("ACTIVES_OPEN", "revision_active"),
    ("FINDINGS_OPEN", "finding_open"),
    ("FINDINGS_OPEN_OF_CODE", "finding_open"),
];

#[tokio::test]
async fn open_rows_are_found_among_any_number_of_former_ones() {
    for database in Database::all().into_iter().filter(|database| matches!(database, Database::Sqlite(_))) {
        let url = database.url().await;
        database.open().await.close().await;
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        for (name, index) in OPEN_ROWS {
            let ((_, arguments, _), text, _) = hot().find(|((hot, ..), ..)| *hot == name).unwrap();
            let question = format!("EXPLAIN QUERY PLAN {}", with_arguments(text, arguments));
            let steps: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(AssertSqlSafe(question)).fetch_all(&mut connection).await.unwrap();
            let uses = |step: &str| step.contains(&format!("INDEX {index} ")) && step.contains("to_seq=?");
            assert!(steps.iter().any(|(.., step)| uses(step)), "{name}: {steps:#?}");
        }
    }
}

async fn sqlite_faults(url: &str) -> Vec<String> {
    let mut connection = sqlx::SqliteConnection::connect(url).await.unwrap();
    let mut faults = Vec::new();
    for ((name, arguments, ordered), text, _) in hot() {
        let question = format!("EXPLAIN QUERY PLAN {}", with_arguments(text, arguments));
        let steps: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(question)).fetch_all(&mut connection).await.unwrap();
        let steps: Vec<String> = steps.into_iter().map(|(.., detail)| detail).collect();
        let within = SORTED_WITHIN_A_NAME.contains(&name);
        let is_sort = |step: &str| {
            step.contains("TEMP B-TREE FOR") && !(within && step.ends_with("TEMP B-TREE FOR LAST TERM OF ORDER BY"))
        };
        let fault = steps.iter().find(|step| is_scan(step) || (ordered && is_sort(step)));
        faults.extend(fault.map(|fault| format!("SQLite {name}: {fault}\n    {}", steps.join("\n    "))));
    }
    faults
}

/// Lists of parameters (`r`, `p`, `x`) and single rows may be read through; of tables only what an index narrows
/// down to more than the tenant.
fn is_scan(step: &str) -> bool {
    let words: Vec<&str> = step.split(' ').collect();
    match words[..] {
        ["SCAN", what, ..] => !["json_each", "jsonb_each", "r", "p", "x", "CONSTANT"].contains(&what),
        ["SEARCH", ..] => step.ends_with("(tenant_id=?)"),
        _ => false,
    }
}

/// The statement with literals in place of its parameters, the highest first so that `$1` is not found in `$12`.
fn with_arguments(text: &str, arguments: &[&str]) -> String {
    let mut text = text.to_owned();
    for (i, argument) in arguments.iter().enumerate().rev() {
        text = text.replace(&format!("${}", i + 1), argument);
    }
    text
}

async fn postgres_faults(url: &str) -> Vec<String> {
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    // Tables of tests are small enough for scans to be right: asked is whether there is another way.
    let settings = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";
    sqlx::raw_sql(settings).execute(&mut connection).await.unwrap();
    let mut faults = Vec::new();
    for ((name, arguments, ordered), _, text) in hot() {
        // What is not asked for in the order of an index has to be sorted.
        let sort = if ordered { "off" } else { "on" };
        let within = SORTED_WITHIN_A_NAME.contains(&name);
        let incremental = if within { "on" } else { sort };
        let sorts = format!("SET enable_sort = {sort}; SET enable_incremental_sort = {incremental}");
        sqlx::raw_sql(AssertSqlSafe(sorts)).execute(&mut connection).await.unwrap();
        let types: Vec<&str> = arguments.iter().map(|a| if a.starts_with('\'') { "TEXT" } else { "BIGINT" }).collect();
        let prepare = format!("PREPARE {name} ({}) AS {text}", types.join(", "));
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut connection).await.unwrap();
        // The driver keeps statements prepared, so Postgres may plan them without looking at the arguments.
        for mode in ["force_custom_plan", "force_generic_plan"] {
            sqlx::raw_sql(AssertSqlSafe(format!("SET plan_cache_mode = {mode}")))
                .execute(&mut connection)
                .await
                .unwrap();
            let question = format!("EXPLAIN (FORMAT JSON) EXECUTE {name} ({})", arguments.join(", "));
            let plan: Value = sqlx::query_scalar(AssertSqlSafe(question)).fetch_one(&mut connection).await.unwrap();
            let mut found = Vec::new();
            plan_faults(&plan[0]["Plan"], ordered && !within, &mut found);
            if within {
                faults.extend(
                    whole_sorts(&plan[0]["Plan"]).into_iter().map(|fault| format!("Postgres {name} ({mode}): {fault}")),
                );
            }
            faults.extend(found.into_iter().map(|fault| format!("Postgres {name} ({mode}): {fault}")));
        }
    }
    faults
}

/// Sorts of more than what one name has.
fn whole_sorts(plan: &Value) -> Option<String> {
    if plan["Node Type"] == "Sort" {
        return Some(format!("sorts by {}", plan["Sort Key"]));
    }
    plan["Plans"].as_array().into_iter().flatten().find_map(whole_sorts)
}

/// Scans of tables, uses of an index for the tenant alone, and with `ordered` sorts.
fn plan_faults(plan: &Value, ordered: bool, faults: &mut Vec<String>) {
    let kind = plan["Node Type"].as_str().unwrap();
    let condition = plan["Index Cond"].as_str().unwrap_or_default();
    if kind == "Seq Scan" {
        faults.push(format!("scans {}", plan["Relation Name"]));
    } else if kind.contains("Index") && !condition.contains(" AND ") {
        faults.push(format!("reads through {} with {condition:?}", plan["Index Name"]));
    } else if ordered && kind.contains("Sort") {
        faults.push(format!("sorts by {}", plan["Sort Key"]));
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        plan_faults(part, ordered, faults);
    }
}
