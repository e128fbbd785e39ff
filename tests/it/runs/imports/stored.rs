//! What is stored of runs that happened elsewhere, and how it is shown.

use std::collections::HashMap;
use std::sync::Arc;

use packtrail::auth::{IngestBinding, Scope};
use packtrail::domain::run::import::{Entry, ImportItem, Imported, Known, run_of};
use packtrail::domain::time::format_micros;
use packtrail::service::ingest::item::{ItemResult, Mode, Outcome};
use packtrail::service::ingest::prepare::{Terms, prepare};
use packtrail::storage::Store;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::read;
use super::reports::{self, RUN_ID};
use crate::runs::fixture::{create, runs_at};
use crate::runs::pack::run as work;
use crate::support::api::{Api, principal};
use crate::support::db::Database;
use crate::support::feed::{NOW, feed_values};
use crate::support::ingest::terms;

/// All that does not depend on what arrived when.
const STATE: &str = "fragment state on Run { runId importedFrom status createdAt updatedAt startedAt endedAt
    failurePolicy { maxAttempts backoffSeconds continueOnError } planHash pack version inputs manifest subjectIds
    steps(first: 50) { totalCount nodes { stepId templateId name kind enabled continueOnError maxParallel uses approvalId
        gateMessage status statusReason attempts lastTransitionAt nextAttemptAt outputs parent { stepId }
        waitsFor { kind forStepId approvalId uses until } } }
    approvals(first: 50) { nodes { approvalId status requestedAt expiresAt decision decidedBy grants decidableByMe } }
    artifacts(first: 50) { nodes { name type status source sourcePath storedPath notes capturedAt value url } } }";

/// The rest, as of a commit.
const STORY: &str = "fragment story on Run { seq
    logs(first: 100) { totalCount nodes { seq timestamp eventType message stepId metadata } }
    transitions(first: 100) { totalCount nodes { stepId from to at cause reason seq } } }";

/// How an item went: its outcome, and the code of its error.
fn outcomes(results: &[ItemResult]) -> Vec<(Outcome, Option<&str>)> {
    results.iter().map(|result| (result.outcome, result.error.as_ref().map(|error| error.code.as_str()))).collect()
}

fn log_of(run_id: &str, entries: &[Value]) -> Value {
    json!({"kind": "RunLog", "runId": run_id, "entries": entries})
}

fn entry(n: usize) -> Value {
    json!({"timestamp": "2025-12-06T10:00:00Z", "level": "info", "eventType": "step.log", "message": format!("line {n}")})
}

/// A report of the state of a run: its steps by id, status and reason.
fn state_of(run_id: &str, updated_at: &str, steps: &[(&str, &str, Option<&str>)]) -> Value {
    let step = |(id, status, reason): &(&str, &str, Option<&str>)| {
        let kind = if reason.is_some() { "GateApproval" } else { "Run" };
        json!({"stepId": id, "kind": kind, "enabled": true, "continueOnError": false, "status": status, "attempts": 0,
            "approvalId": id, "statusReason": reason})
    };
    json!({"kind": "Run", "runId": run_id, "planHash": format!("sha256:{}", "0".repeat(64)),
        "failurePolicy": {"maxAttempts": 1, "backoffSeconds": 0, "continueOnError": false},
        "createdAt": "2025-12-06T10:00:00Z", "updatedAt": updated_at,
        "steps": steps.iter().map(step).collect::<Vec<_>>()})
}

async fn state(api: &Api, run_id: &str) -> Value {
    api.ask(&format!("{STATE} {{ run(runId: \"{run_id}\") {{ ...state }} }}")).await["run"].clone()
}

/// The whole log, in an order of its own, without numbers.
async fn log(api: &Api) -> Vec<String> {
    let asked = "query ($run: String!, $after: String) { run(runId: $run) { logs(first: 100, after: $after) {
        nodes { timestamp level eventType message stepId metadata } pageInfo { hasNextPage endCursor } } } }";
    let (mut entries, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = api.ask_with(asked, json!({"run": RUN_ID, "after": after})).await["run"]["logs"].clone();
        entries.extend(page["nodes"].as_array().unwrap().iter().map(ToString::to_string));
        if page["pageInfo"]["hasNextPage"] != json!(true) {
            entries.sort();
            return entries;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

/// What holds of all items, told naively: the merge, the first time, the number of entries of the log.
fn model(items: &[Value]) -> (Imported, i64, usize) {
    let mut imported = Imported::default();
    let mut since = i64::MAX;
    let mut times: HashMap<Entry, usize> = HashMap::new();
    for item in items.iter().map(read) {
        since = since.min(item.since().unwrap_or(NOW));
        if let ImportItem::Log { entries, .. } = &item {
            for entry in entries {
                let told = entries.iter().filter(|other| *other == entry).count();
                let known = times.entry(entry.clone()).or_default();
                *known = (*known).max(told);
            }
        }
        imported.add(item);
    }
    (imported, since, times.values().sum())
}

/// Steps as the model has them, in the words of the API.
fn steps(imported: &Imported, since: i64) -> Value {
    let run = run_of(imported, &Known { since, logged: 0, moved: 0 });
    let step = |step: &packtrail::domain::run::Step| {
        let status = format!("{:?}", step.status).to_uppercase();
        json!([step.id, status, step.attempts, step.reason, step.last_transition_at.map(format_micros)])
    };
    json!([
        format_micros(run.created_at),
        format_micros(run.updated_at),
        run.steps.iter().map(step).collect::<Vec<_>>()
    ])
}

fn shown_steps(shown: &Value) -> Value {
    let step = |step: &Value| {
        json!([step["stepId"], step["status"], step["attempts"], step["statusReason"], step["lastTransitionAt"]])
    };
    let steps = shown["steps"]["nodes"].as_array().unwrap();
    json!([shown["createdAt"], shown["updatedAt"], steps.iter().map(step).collect::<Vec<_>>()])
}

#[tokio::test]
async fn what_is_shown_depends_neither_on_the_order_of_reports_nor_on_how_often_they_come() {
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..25 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let count = rng.random_range(1..12);
            let items: Vec<Value> = (0..count).map(|_| reports::item(&mut rng)).collect();
            let told = Api::new(&store, &format!("told-{seed}"));
            feed_values(&told.writer, &told.tenant, "s", &items).await;
            let mixed = Api::new(&store, &format!("mixed-{seed}"));
            let mut again: Vec<Value> = items.iter().chain(items.iter().take(count / 2)).cloned().collect();
            again.shuffle(&mut rng);
            for part in again.chunks(rng.random_range(1..4)) {
                feed_values(&mixed.writer, &mixed.tenant, "s", part).await;
            }
            let (shown, logged) = (state(&told, RUN_ID).await, log(&told).await);
            assert_eq!(shown, state(&mixed, RUN_ID).await, "seed {seed}");
            assert_eq!(logged, log(&mixed).await, "seed {seed}");
            let (imported, since, entries) = model(&items);
            assert_eq!(shown_steps(&shown), steps(&imported, since), "seed {seed}");
            assert_eq!(shown["importedFrom"], "s");
            assert_eq!(logged.len(), entries, "seed {seed}");
            // All of it once more is nothing new.
            let results = feed_values(&mixed.writer, &mixed.tenant, "s", &items).await;
            assert!(results.iter().all(|result| result.outcome == Outcome::Duplicate && result.seq.is_none()));
        }
        store.close().await;
    }
}

#[tokio::test]
async fn as_of_a_commit_a_run_elsewhere_is_what_it_was_then() {
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..8 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let api = Api::new(&store, &format!("t{seed}"));
            let asked = format!(
                "run(runId: \"{RUN_ID}\") {{ ...state ...story }} runs {{ totalCount nodes {{ ...story }} }}
                 approvals {{ totalCount nodes {{ approvalId }} }}"
            );
            let mut then = Vec::new();
            for _ in 0..12 {
                feed_values(&api.writer, &api.tenant, "s", &[reports::item(&mut rng)]).await;
                let seq = store.head(&api.tenant).await.unwrap();
                then.push((seq, known_then(api.ask(&format!("{STATE} {STORY} {{ {asked} }}")).await)));
            }
            for (seq, expected) in then {
                let asked =
                    format!("{STATE} {STORY} query ($seq: Int53!) {{ asOf(point: {{seq: $seq}}) {{ {asked} }} }}");
                let found = api.ask_with(&asked, json!({"seq": seq})).await["asOf"].take();
                assert_eq!(known_then(found), expected, "seed {seed} as of {seq}");
            }
        }
        store.close().await;
    }
}

/// An answer without what is only known as it was reported last: what plans say.
fn known_then(mut answer: Value) -> Value {
    let run = &mut answer["run"];
    run.as_object_mut().unwrap().remove("failurePolicy");
    for step in run["steps"]["nodes"].as_array_mut().unwrap() {
        let step = step.as_object_mut().unwrap();
        for member in ["kind", "gateMessage", "approvalId", "maxParallel", "waitsFor"] {
            step.remove(member);
        }
    }
    answer
}

#[tokio::test]
async fn steps_that_a_later_report_has_no_more_are_gone_from_then_on() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let waiting = Some("awaiting-approval");
        let first = state_of(
            "r",
            "2025-12-06T10:01:00Z",
            &[("a", "Running", None), ("b", "Pending", waiting), ("c", "Pending", None)],
        );
        let second = state_of("r", "2025-12-06T10:02:00Z", &[("c", "Running", None), ("d", "Pending", None)]);
        let third = state_of("r", "2025-12-06T10:03:00Z", &[("b", "Pending", waiting)]);
        let results = feed_values(&api.writer, "t", "s", &[first]).await;
        assert_eq!(outcomes(&results), [(Outcome::Created, None)]);
        feed_values(&api.writer, "t", "s", &[second]).await;
        feed_values(&api.writer, "t", "s", &[third]).await;
        let asked = "query ($seq: Int53!) { asOf(point: {seq: $seq}) { approvals { nodes { approvalId } }
            run(runId: \"r\") { steps { nodes { stepId kind status } } approvals { nodes { approvalId } } } } }";
        let step = |id: &str, kind: &str, status: &str| json!({"stepId": id, "kind": kind, "status": status});
        let gates = json!([{"approvalId": "b"}]);
        let expected = [
            (
                vec![step("a", "RUN", "RUNNING"), step("b", "GATE_APPROVAL", "PENDING"), step("c", "RUN", "PENDING")],
                &gates,
            ),
            (vec![step("c", "RUN", "RUNNING"), step("d", "RUN", "PENDING")], &json!([])),
            (vec![step("b", "GATE_APPROVAL", "PENDING")], &gates),
        ];
        for (seq, (steps, approvals)) in (1..).zip(expected) {
            let found = api.ask_with(asked, json!({"seq": seq})).await["asOf"].clone();
            assert_eq!(found["run"]["steps"]["nodes"], json!(steps), "as of {seq}");
            assert_eq!(&found["run"]["approvals"]["nodes"], approvals, "as of {seq}");
            assert_eq!(&found["approvals"]["nodes"], approvals, "as of {seq}");
        }
        store.close().await;
    }
}

#[tokio::test]
async fn each_item_of_a_request_has_its_result_in_its_place() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        create(&api, "own", json!([work("one")])).await;
        feed_values(&api.writer, "t", "other", &[log_of("theirs", &[entry(1)])]).await;
        let record = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "uid": "u"}});
        let items = [
            log_of("r", &[entry(1)]),
            record.clone(),
            log_of("own", &[entry(1)]),
            json!({"kind": "Run", "runId": "r", "steps": []}),
            log_of("theirs", &[entry(2)]),
            log_of("r", &[entry(1), entry(2)]),
            log_of("r", &[entry(2)]),
            json!({"type": "BOOKMARK", "object": {}}),
            log_of("r2", &[]),
        ];
        let results = feed_values(&api.writer, "t", "s", &items).await;
        let expected = [
            (Outcome::Created, None),
            (Outcome::Created, None),
            (Outcome::Rejected, Some("RUN_EXISTS")),
            (Outcome::Quarantined, Some("INVALID_RECORD")),
            (Outcome::Rejected, Some("RUN_OF_OTHER_SOURCE")),
            (Outcome::Updated, None),
            (Outcome::Duplicate, None),
            (Outcome::Duplicate, None),
            (Outcome::Created, None),
        ];
        assert_eq!(outcomes(&results), expected);
        assert_eq!(results.iter().map(|result| result.index).collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
        assert_eq!(results[0].seq, results[5].seq, "the items of a run are one commit");
        assert!(results[0].seq.is_some() && results[1].seq.is_some() && results[0].seq != results[1].seq);
        assert!(results[8].seq.is_some() && results[8].seq != results[0].seq);
        assert_eq!(results[3].error.as_ref().unwrap().path, "$");
        assert!(results.iter().filter(|result| result.outcome == Outcome::Rejected).all(|result| result.seq.is_none()));
        let ledger = "{ runs { nodes { runId importedFrom createdBy } } }";
        let mut runs: Vec<String> =
            api.ask(ledger).await["runs"]["nodes"].as_array().unwrap().iter().map(ToString::to_string).collect();
        runs.sort();
        let shown =
            |id: &str, from: Value, by: &str| json!({"runId": id, "importedFrom": from, "createdBy": by}).to_string();
        let mut expected = vec![
            shown("own", Value::Null, "tester"),
            shown("r", json!("s"), "collector"),
            shown("r2", json!("s"), "collector"),
            shown("theirs", json!("other"), "collector"),
        ];
        expected.sort();
        assert_eq!(runs, expected);
        store.close().await;
    }
}

/// Sends items under terms.
async fn send(api: &Api, terms: &Terms, items: &[Value]) -> Vec<ItemResult> {
    let prepared =
        (0..).zip(items).map(|(i, item)| prepare(terms, i, Some(i + 1), item.to_string().as_bytes())).collect();
    api.writer.write(&api.tenant, &terms.source, "bound", prepared).await.unwrap()
}

#[tokio::test]
async fn a_sender_reports_only_what_its_token_allows() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let items = [state_of("r", "2025-12-06T10:01:00Z", &[]), log_of("r", &[entry(1)])];
        let bound = |kinds: &[&str], namespaces: &[&str]| Terms {
            binding: Arc::new(IngestBinding {
                kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
                namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
                ..IngestBinding::default()
            }),
            ..terms("s")
        };
        let refused = (Outcome::Rejected, Some("FORBIDDEN"));
        let sent = send(&api, &bound(&["PackReceipt"], &[]), &items).await;
        assert_eq!(outcomes(&sent), [refused, refused]);
        let sent = send(&api, &bound(&[], &["n"]), &items).await;
        assert_eq!(outcomes(&sent), [refused, refused], "a run is of no namespace");
        let sent = send(&api, &bound(&["Run"], &[]), &items).await;
        assert_eq!(outcomes(&sent), [(Outcome::Created, None), refused]);
        store.close().await;
    }
}

#[tokio::test]
async fn what_breaks_the_contract_is_quarantined_with_its_path_and_its_line() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let mut wrong = state_of("r", "2025-12-06T10:01:00Z", &[("a", "Running", None)]);
        wrong["steps"][0]["attempts"] = json!(-1);
        let mut odd = state_of("r", "2025-12-06T10:01:00Z", &[]);
        odd["planHash"] = json!("sha256:a1b2c3d4...");
        let sent = send(&api, &terms("s"), &[odd.clone(), wrong]).await;
        assert_eq!(outcomes(&sent), [(Outcome::Created, None), (Outcome::Quarantined, Some("INVALID_RECORD"))]);
        let error = sent[1].error.clone().unwrap();
        assert_eq!((error.path.as_str(), error.line), ("$.steps[0].attempts", Some(2)));
        assert_eq!((sent[0].warnings.len(), sent[0].warnings[0].path.as_str()), (1, "$.planHash"));
        assert_eq!(api.ask("{ run(runId: \"r\") { planHash } }").await["run"]["planHash"], Value::Null);
        let strict = Terms { mode: Mode::Strict, ..terms("s") };
        let sent = send(&api, &strict, &[odd]).await;
        assert_eq!(outcomes(&sent), [(Outcome::Quarantined, Some("CONTRACT_BREACH"))]);
        store.close().await;
    }
}

#[tokio::test]
async fn nobody_here_moves_a_run_elsewhere() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t").for_principal(principal("t", &[Scope::Viewer, Scope::Operator]));
        let waiting = Some("awaiting-approval");
        let item = state_of("r", "2025-12-06T10:01:00Z", &[("a", "Pending", None), ("go", "Pending", waiting)]);
        feed_values(&api.writer, "t", "s", &[item]).await;
        let before = state(&api, "r").await;
        let refused = json!({"__typename": "RunImported", "code": "RUN_IMPORTED"});
        let decide = format!(
            "mutation {{ decideApproval(input: {{runId: \"r\", approvalId: \"go\", decision: APPROVED,
             planHash: \"sha256:{}\"}}) {{ __typename ... on UserError {{ code }} }} }}",
            "0".repeat(64)
        );
        assert_eq!(api.ask(&decide).await["decideApproval"], refused);
        let cancel = "mutation { cancelRun(input: {runId: \"r\"}) { __typename ... on UserError { code } } }";
        assert_eq!(api.ask(cancel).await["cancelRun"], refused);
        let manifest = crate::runs::pack::text(&crate::runs::pack::pack(json!([work("one")])));
        let taken = api
            .ask_with(
                "mutation ($input: CreateRunInput!) { createRun(input: $input) { __typename } }",
                json!({"input": {"runId": "r", "manifest": manifest}}),
            )
            .await;
        assert_eq!(taken["createRun"]["__typename"], "RunIdConflict");
        assert_eq!(runs_at(&api, i64::MAX).sweep().await.unwrap(), 0, "the time has nothing to do with it");
        assert!(store.queue_depth("t", i64::MAX).await.unwrap().is_empty(), "workers have nothing to do with it");
        let asked = "{ approvals { nodes { approvalId decidableByMe } } }";
        let expected = json!([{"approvalId": "go", "decidableByMe": false}]);
        assert_eq!(api.ask(asked).await["approvals"]["nodes"], expected);
        assert_eq!(state(&api, "r").await, before);
        store.close().await;
    }
}

#[tokio::test]
async fn a_log_of_ten_thousand_entries_is_one_item() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let entries: Vec<Value> = (0..10_000).map(entry).collect();
        let item = log_of(RUN_ID, &entries);
        feed_values(&api.writer, "t", "s", std::slice::from_ref(&item)).await;
        let again = feed_values(&api.writer, "t", "s", &[item, log_of(RUN_ID, &[entry(3), entry(3)])]).await;
        assert_eq!(outcomes(&again), [(Outcome::Duplicate, None), (Outcome::Updated, None)]);
        let asked =
            format!("{{ run(runId: \"{RUN_ID}\") {{ logs(last: 2) {{ totalCount nodes {{ seq message }} }} }} }}");
        let last = json!({"totalCount": 10_001, "nodes": [
            {"seq": 10_000, "message": "line 9999"}, {"seq": 10_001, "message": "line 3"}]});
        assert_eq!(api.ask(&asked).await["run"]["logs"], last);
        store.close().await;
    }
}

#[tokio::test]
async fn the_steps_that_are_known_of_a_run_are_bounded() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let report = |k: usize| {
            let ids: Vec<String> = (0..5_000).map(|n| format!("{k}-{n}")).collect();
            let steps: Vec<_> = ids.iter().map(|id| (id.as_str(), "Pending", None)).collect();
            state_of("r", &format!("2025-12-06T10:0{k}:00Z"), &steps)
        };
        for k in 0..4 {
            assert!(feed_values(&api.writer, "t", "s", &[report(k)]).await[0].error.is_none(), "{k}");
        }
        let results = feed_values(&api.writer, "t", "s", &[report(4), report(3), log_of("r", &[entry(1)])]).await;
        let expected =
            [(Outcome::Rejected, Some("RUN_TOO_LARGE")), (Outcome::Duplicate, None), (Outcome::Updated, None)];
        assert_eq!(outcomes(&results), expected);
        let found = api.ask("{ run(runId: \"r\") { steps(last: 1) { totalCount nodes { stepId } } } }").await;
        assert_eq!(found["run"]["steps"], json!({"totalCount": 5_000, "nodes": [{"stepId": "3-4999"}]}));
        store.close().await;
    }
}

#[tokio::test]
async fn a_run_elsewhere_is_in_the_lineage_graph_with_what_it_left() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let artifact = |status: &str| json!({"kind": "RunArtifact", "runId": "r", "name": "report", "type": "file", "status": status});
        feed_values(&api.writer, "t", "s", &[artifact("pending")]).await;
        let walk = async || {
            let id = api.ask("{ run(runId: \"r\") { id } }").await["run"]["id"].clone();
            let asked = "query ($node: ID!) { lineage(node: $node, direction: BOTH, depth: 1, limit: 20) {
                root { name node { __typename } } edges { kind fromNode { name } toNode { name } } } }";
            let found = api.ask_with(asked, json!({"node": id})).await["lineage"].clone();
            assert_eq!(found["root"], json!({"name": "r", "node": {"__typename": "Run"}}));
            let mut edges: Vec<String> = found["edges"].as_array().unwrap().iter().map(ToString::to_string).collect();
            edges.sort();
            edges
        };
        let edge = |kind: &str, from: &str, to: &str| {
            json!({"kind": kind, "fromNode": {"name": from}, "toNode": {"name": to}}).to_string()
        };
        let declared = edge("DECLARED_BY", "collector", "r");
        assert_eq!(walk().await, std::slice::from_ref(&declared));
        for _ in 0..2 {
            feed_values(&api.writer, "t", "s", &[artifact("captured")]).await;
            assert_eq!(walk().await, [declared.clone(), edge("PRODUCED", "r", "runs/r/artifacts/report")]);
        }
        store.close().await;
    }
}

/// The number of commits of a tenant.
async fn commits(store: &Store) -> i64 {
    store.head("t").await.unwrap()
}

#[tokio::test]
async fn the_reports_of_many_runs_in_one_request_are_a_commit_each() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, "t");
        let items: Vec<Value> = (0..40).map(|n| log_of(&format!("r{}", n % 20), &[entry(n)])).collect();
        let results = feed_values(&api.writer, "t", "s", &items).await;
        assert!(results[..20].iter().all(|result| result.outcome == Outcome::Created));
        assert!(results[20..].iter().all(|result| result.outcome == Outcome::Updated));
        assert_eq!(commits(&store).await, 20);
        assert_eq!(results[..20].iter().map(|r| r.seq.unwrap()).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
        let found =
            api.ask("{ runs(first: 1) { totalCount nodes { status logs { totalCount } planHash pack } } }").await;
        let shown = json!({"status": "PENDING", "logs": {"totalCount": 2}, "planHash": null, "pack": null});
        assert_eq!(found["runs"], json!({"totalCount": 20, "nodes": [shown]}));
        store.close().await;
    }
}
