//! Workers and their leases: who has a step, for how long, and what comes too late.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use packtrail::clock::FixedClock;
use packtrail::domain::digest::Digest;
use packtrail::domain::run::{ArtifactStatus, LogEntry, RunStatus, StepStatus};
use packtrail::service::query::{RunDetail, Scope};
use packtrail::service::run::work::{Abilities, Claim, FileReport, Granted, Line, Report};
use packtrail::service::run::{CreateRun, RunError, RunLimits, Runs};
use packtrail::storage::{Page, Store, Upload};
use serde_json::{Value, json};

use super::fixture::{decide, gate};
use super::pack::{pack, run, text};
use crate::support::db::Database;
use crate::support::feed::NOW;
use crate::support::worker::{claim, claimed};

const SECOND: i64 = 1_000_000;
const TENANT: &str = "t";

/// A store with its runs, at a time that the test moves.
struct Shop {
    store: Store,
    clock: Arc<FixedClock>,
    runs: Runs,
}

impl Shop {
    async fn create(&self, run_id: &str, manifest: &Value) {
        let asked = CreateRun { run_id: Some(run_id.to_owned()), manifest: text(manifest), ..CreateRun::default() };
        self.runs.create(TENANT, "operator", asked).await.unwrap();
    }

    async fn one(&self) -> Granted {
        let mut granted = claimed(&self.runs, TENANT, 1).await;
        assert_eq!(granted.len(), 1, "there is a step to be had");
        granted.remove(0)
    }

    async fn report(&self, granted: &Granted, report: Report) -> Result<(), RunError> {
        self.runs.report(TENANT, "worker", &granted.token, report).await
    }

    async fn lines(&self, granted: &Granted, first: i64, lines: &[&str]) -> Result<(i64, bool, bool), RunError> {
        let line = |text: &&str| Line { text: (*text).to_owned(), is_stderr: false, level: None };
        let lines: Vec<Line> = lines.iter().map(line).collect();
        let done = self.runs.append_lines(TENANT, "worker", &granted.token, first, &lines).await?;
        Ok((done.next_line, done.is_cancelled, done.is_truncated))
    }

    async fn detail(&self, run_id: &str) -> RunDetail {
        self.scope().await.run_detail(run_id).await.unwrap().unwrap()
    }

    async fn scope(&self) -> Scope {
        Scope::now(&self.store, TENANT.into()).await.unwrap()
    }

    async fn step(&self, run_id: &str, id: &str) -> (StepStatus, u32, Option<String>) {
        let detail = self.detail(run_id).await;
        let step = detail.run.run.steps.iter().find(|step| step.id == id).unwrap().clone();
        (step.status, step.attempts, step.reason)
    }

    async fn log(&self, run_id: &str) -> Vec<LogEntry> {
        let scope = self.scope().await;
        let run = scope.find_run(run_id).await.unwrap().unwrap();
        let logged = scope.run_logged(&run).await.unwrap();
        let log = scope.run_log(run.id, logged, &Page::first(100_000)).await.unwrap().rows;
        assert!(log.iter().map(|entry| entry.seq).eq(1..=logged), "numbered without gaps");
        log
    }

    async fn written(&self, run_id: &str) -> Vec<String> {
        let log = self.log(run_id).await.into_iter();
        log.filter(|entry| entry.event == "step.log").map(|entry| entry.message).collect()
    }

    /// Lets the time go on, and do its work.
    async fn later(&self, seconds: i64) {
        self.clock.advance(seconds * SECOND);
        self.runs.sweep().await.unwrap();
    }
}

async fn on_both(test: impl AsyncFn(Shop)) {
    on_both_with(RunLimits::default(), test).await;
}

async fn on_both_with(limits: RunLimits, test: impl AsyncFn(Shop)) {
    for database in Database::all() {
        let store = database.open().await;
        let clock = Arc::new(FixedClock::new(NOW));
        let runs = Runs::new(store.clone(), clock.clone()).with_limits(limits);
        test(Shop { store: store.clone(), clock, runs }).await;
        store.close().await;
    }
}

fn one_step() -> Value {
    pack(json!([run("a")]))
}

fn retried(attempts: u32) -> Value {
    let mut manifest = one_step();
    manifest["spec"]["failure"] = json!({"retries": {"maxAttempts": attempts, "backoffSeconds": 5}});
    manifest
}

fn done(outputs: Value) -> Report {
    Report::Completed { outputs, files: Vec::new() }
}

fn failed() -> Report {
    Report::Failed { error: "boom".to_owned(), is_retryable: true }
}

fn is_lost<T>(result: &Result<T, RunError>) -> bool {
    matches!(result, Err(RunError::LeaseLost))
}

#[tokio::test]
async fn a_step_is_claimed_done_and_its_run_ends() {
    on_both(async |shop| {
        shop.create("r", &one_step()).await;
        let granted = shop.one().await;
        assert_eq!((granted.run_id.as_str(), granted.step_id.as_str(), granted.attempt), ("r", "a", 1));
        assert_eq!((granted.uses.as_str(), granted.lease_seconds), ("builtin:noop", 30));
        assert_eq!(granted.expires_at, NOW + 30 * SECOND);
        assert_eq!(shop.lines(&granted, 0, &["one", "two"]).await.unwrap(), (2, false, false));
        shop.report(&granted, done(json!({"n": 1}))).await.unwrap();
        assert_eq!(shop.detail("r").await.run.run.status, RunStatus::Succeeded);
        assert_eq!(shop.written("r").await, ["one", "two"]);
        let log = shop.log("r").await;
        assert_eq!(log.last().unwrap().event, "run.completed");
        let started = log.iter().find(|entry| entry.event == "step.started").unwrap();
        assert_eq!(started.metadata["worker"], "w", "it says who");
        assert!(claimed(&shop.runs, TENANT, 10).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_zombie_is_told_so_and_changes_nothing() {
    on_both(async |shop| {
        shop.create("r", &retried(2)).await;
        let zombie = shop.one().await;
        shop.lines(&zombie, 0, &["before"]).await.unwrap();
        shop.later(30).await;
        assert_eq!(shop.step("r", "a").await, (StepStatus::Pending, 1, Some("lease-expired".to_owned())));
        assert!(claimed(&shop.runs, TENANT, 1).await.is_empty(), "it waits for its next attempt");
        shop.later(5).await;
        let second = shop.one().await;
        assert_eq!(second.attempt, 2);
        assert!(is_lost(&shop.report(&zombie, done(json!("zombie"))).await));
        assert!(is_lost(&shop.report(&zombie, failed()).await));
        assert!(is_lost(&shop.report(&zombie, Report::Released).await));
        assert!(is_lost(&shop.lines(&zombie, 1, &["after"]).await));
        assert!(is_lost(&shop.runs.heartbeat(TENANT, "worker", &zombie.token).await));
        shop.report(&second, done(json!("second"))).await.unwrap();
        let detail = shop.detail("r").await;
        assert_eq!(
            (detail.run.run.status, detail.run.run.steps[0].outputs.clone()),
            (RunStatus::Succeeded, Some(json!("second")))
        );
        assert_eq!(shop.written("r").await, ["before"]);
    })
    .await;
}

#[tokio::test]
async fn what_comes_after_the_time_and_before_anybody_looked_is_too_late_too() {
    on_both(async |shop| {
        shop.create("r", &one_step()).await;
        let granted = shop.one().await;
        shop.clock.advance(30 * SECOND);
        assert!(is_lost(&shop.report(&granted, done(Value::Null)).await));
        assert!(is_lost(&shop.runs.heartbeat(TENANT, "worker", &granted.token).await));
        shop.runs.sweep().await.unwrap();
        assert_eq!(shop.step("r", "a").await, (StepStatus::Failed, 1, Some("lease-expired".to_owned())));
        assert_eq!(shop.detail("r").await.run.run.status, RunStatus::Failed, "a step runs once at most");
    })
    .await;
}

#[tokio::test]
async fn signs_of_life_keep_a_lease_but_not_beyond_the_packs_quota() {
    on_both(async |shop| {
        let mut manifest = one_step();
        manifest["spec"]["sandbox"] = json!({"mode": "sealed", "quotaSeconds": 60});
        shop.create("r", &manifest).await;
        let granted = shop.one().await;
        for lived in [20, 40] {
            shop.later(20).await;
            let renewed = shop.runs.heartbeat(TENANT, "worker", &granted.token).await.unwrap();
            let left = (60 - lived).min(30);
            assert_eq!((renewed.lease_seconds, renewed.is_cancelled), (left, false));
            assert_eq!(renewed.expires_at, NOW + (lived + left) * SECOND);
        }
        shop.later(19).await;
        shop.lines(&granted, 0, &["still here"]).await.unwrap();
        shop.later(1).await;
        assert_eq!(shop.step("r", "a").await, (StepStatus::Failed, 1, Some("quota-exceeded".to_owned())));
    })
    .await;
}

#[tokio::test]
async fn lines_are_signs_of_life() {
    on_both(async |shop| {
        shop.create("r", &one_step()).await;
        let granted = shop.one().await;
        for n in 0..5 {
            shop.later(29).await;
            shop.lines(&granted, n, &["line"]).await.unwrap();
        }
        shop.report(&granted, done(Value::Null)).await.unwrap();
        assert_eq!(shop.detail("r").await.run.run.status, RunStatus::Succeeded);
    })
    .await;
}

#[tokio::test]
async fn a_worker_learns_of_a_cancellation_and_its_late_words_are_not_kept() {
    on_both(async |shop| {
        shop.create("r", &one_step()).await;
        let granted = shop.one().await;
        shop.lines(&granted, 0, &["one"]).await.unwrap();
        shop.runs.cancel(TENANT, "r", "operator").await.unwrap();
        assert!(shop.runs.heartbeat(TENANT, "worker", &granted.token).await.unwrap().is_cancelled);
        assert_eq!(shop.lines(&granted, 1, &["two"]).await.unwrap(), (1, true, false));
        assert!(is_lost(&shop.report(&granted, done(Value::Null)).await));
        assert_eq!(shop.step("r", "a").await, (StepStatus::Skipped, 1, Some("cancelled".to_owned())));
        assert_eq!(shop.log("r").await.last().unwrap().event, "run.cancelled", "nothing follows the end");
        shop.later(60).await;
        assert_eq!(shop.step("r", "a").await.0, StepStatus::Skipped);
    })
    .await;
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_costs_an_attempt_and_no_more() {
    on_both(async |shop| {
        shop.create("r", &retried(2)).await;
        drop(shop.one().await);
        assert!(claimed(&shop.runs, TENANT, 1).await.is_empty(), "somebody has it");
        shop.later(30).await;
        shop.later(5).await;
        let granted = shop.one().await;
        shop.report(&granted, done(Value::Null)).await.unwrap();
        assert_eq!(shop.step("r", "a").await, (StepStatus::Succeeded, 2, None));
    })
    .await;
}

#[tokio::test]
async fn of_many_workers_one_gets_a_step() {
    on_both(async |shop| {
        for n in 0..6 {
            shop.create(&format!("r{n}"), &pack(json!([{"id": "p", "parallel": {"steps": [run("a"), run("b")]}}])))
                .await;
        }
        let mut had = Vec::new();
        while had.len() < 12 {
            let claims = (0..8).map(|_| claimed(&shop.runs, TENANT, 2));
            let granted = futures_util::future::join_all(claims).await.concat();
            had.extend(granted.iter().map(|granted| (granted.run_id.clone(), granted.step_id.clone())));
        }
        let distinct: BTreeSet<_> = had.iter().collect();
        assert_eq!((had.len(), distinct.len()), (12, 12));
    })
    .await;
}

#[tokio::test]
async fn no_more_steps_are_given_out_than_a_container_lets_run() {
    on_both(async |shop| {
        let steps: Vec<Value> = (0..5).map(|n| run(&format!("s{n}"))).collect();
        shop.create("r", &pack(json!([{"id": "p", "parallel": {"maxParallel": 2, "steps": steps}}]))).await;
        let first = claimed(&shop.runs, TENANT, 10).await;
        assert_eq!(first.len(), 2);
        assert!(claimed(&shop.runs, TENANT, 10).await.is_empty());
        shop.report(&first[0], done(Value::Null)).await.unwrap();
        assert_eq!(claimed(&shop.runs, TENANT, 10).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_report_that_is_repeated_is_taken_again_and_another_one_is_not() {
    on_both(async |shop| {
        shop.create("r", &retried(3)).await;
        let granted = shop.one().await;
        shop.report(&granted, failed()).await.unwrap();
        let before = shop.detail("r").await.run.seq;
        shop.report(&granted, failed()).await.unwrap();
        assert_eq!(shop.detail("r").await.run.seq, before, "it changed nothing");
        assert!(is_lost(&shop.report(&granted, done(Value::Null)).await));
        assert_eq!(shop.step("r", "a").await, (StepStatus::Pending, 1, Some("boom".to_owned())));
    })
    .await;
}

#[tokio::test]
async fn a_step_that_is_given_back_can_be_had_at_once_and_has_lost_no_attempt() {
    on_both(async |shop| {
        shop.create("r", &one_step()).await;
        let granted = shop.one().await;
        shop.report(&granted, Report::Released).await.unwrap();
        assert_eq!(shop.step("r", "a").await, (StepStatus::Pending, 0, None));
        let again = shop.one().await;
        assert_eq!(again.attempt, 1);
        assert!(is_lost(&shop.report(&granted, done(Value::Null)).await), "the first lease is over");
        shop.report(&again, done(Value::Null)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_who_claimed_a_step_can_speak_for_it() {
    on_both(async |shop| {
        shop.create("r", &one_step()).await;
        let granted = shop.one().await;
        let other = |token: String| {
            let runs = shop.runs.clone();
            async move { runs.report(TENANT, "other", &token, done(Value::Null)).await }
        };
        assert!(is_lost(&other(granted.token.clone()).await), "another principal");
        let elsewhere = shop.runs.report("elsewhere", "worker", &granted.token, done(Value::Null)).await;
        assert!(is_lost(&elsewhere), "another tenant");
        let mut forged = granted.clone();
        forged.token = granted.token.replace("packtrail_", "packtrail-");
        assert!(is_lost(&shop.report(&forged, done(Value::Null)).await));
        for nonsense in ["", ".", "1.2", "1.2.3", "-1.0.x", "99999999999999999999.0.x", "1.0.\u{0}"] {
            forged.token = nonsense.to_owned();
            assert!(is_lost(&shop.report(&forged, done(Value::Null)).await), "{nonsense}");
            assert!(is_lost(&shop.lines(&forged, 0, &["x"]).await), "{nonsense}");
            assert!(is_lost(&shop.runs.heartbeat(TENANT, "worker", nonsense).await), "{nonsense}");
        }
        shop.report(&granted, done(Value::Null)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn lines_are_kept_once_in_their_order() {
    on_both(async |shop| {
        shop.create("r", &one_step()).await;
        let granted = shop.one().await;
        assert_eq!(shop.lines(&granted, 0, &["a", "b"]).await.unwrap().0, 2);
        assert_eq!(shop.lines(&granted, 0, &["a", "b"]).await.unwrap().0, 2, "the answer was lost");
        assert_eq!(shop.lines(&granted, 1, &["b", "c"]).await.unwrap().0, 3, "some of it was");
        assert!(matches!(shop.lines(&granted, 4, &["e"]).await, Err(RunError::LinesMissing(3))));
        assert_eq!(shop.lines(&granted, 3, &[]).await.unwrap().0, 3);
        assert_eq!(shop.lines(&granted, 3, &["d\nstill d", "\u{0}\u{1b}[31m", "ü"]).await.unwrap().0, 6);
        assert!(matches!(shop.lines(&granted, -1, &["x"]).await, Err(RunError::BadClaim("firstSeq", _))));
        let long = "x".repeat(16 * 1024 + 1);
        assert!(matches!(shop.lines(&granted, 6, &[&long]).await, Err(RunError::BadClaim("lines", _))));
        shop.report(&granted, done(Value::Null)).await.unwrap();
        assert_eq!(shop.written("r").await, ["a", "b", "c", "d\nstill d", "\u{0}\u{1b}[31m", "ü"]);
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_lines_is_cut_once_and_its_neighbours_go_on() {
    on_both_with(RunLimits { log_bytes: 3 << 20 }, async |shop| {
        shop.create("loud", &one_step()).await;
        shop.create("quiet", &one_step()).await;
        let granted = claimed(&shop.runs, TENANT, 2).await;
        let (loud, quiet) = (&granted[0], &granted[1]);
        let line = "x".repeat(10_000);
        let batch = vec![line.as_str(); 50];
        let (mut next, mut cut) = (0, 0);
        for _ in 0..10 {
            let (now, _, is_truncated) = shop.lines(loud, next, &batch).await.unwrap();
            assert_eq!(now, next + 50, "what is not kept is counted");
            next = now;
            cut += u32::from(is_truncated);
        }
        assert_eq!(cut, 4, "half a megabyte each: the seventh did not fit as a whole");
        shop.lines(quiet, 0, &["hello"]).await.unwrap();
        shop.report(loud, done(Value::Null)).await.unwrap();
        shop.report(quiet, done(Value::Null)).await.unwrap();
        assert_eq!(shop.written("loud").await.len(), (3 << 20) / 10_000);
        let log = shop.log("loud").await;
        assert_eq!(log.iter().filter(|entry| entry.event == "log.truncated").count(), 1);
        assert_eq!(log.last().unwrap().event, "run.completed");
        assert_eq!(shop.written("quiet").await, ["hello"]);
    })
    .await;
}

#[tokio::test]
async fn a_worker_is_given_what_it_can_do_and_may() {
    on_both(async |shop| {
        let uses = |id: &str, uses: &str| json!({"id": id, "run": {"uses": uses}});
        let steps = json!([{"id": "p", "parallel": {"steps": [uses("a", "scan"), uses("b", "builtin:noop"), uses("c", "deploy")]}}]);
        shop.create("r", &pack(steps)).await;
        let claims = |asked: &[&str], allowed: &[&str]| {
            let list = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
            let abilities = Abilities::new(list(asked), list(allowed));
            let claim = Claim { abilities, ..claim(10) };
            let runs = shop.runs.clone();
            async move {
                let granted = runs.claim(&TENANT.into(), "worker", &claim, Duration::ZERO).await.unwrap();
                granted.into_iter().map(|granted| granted.uses).collect::<Vec<_>>()
            }
        };
        assert!(claims(&["nothing", "scan*er"], &[]).await.is_empty());
        assert!(claims(&["*"], &["test:*"]).await.is_empty(), "its token does not let it");
        assert_eq!(claims(&["builtin:*", "scan"], &["builtin:*"]).await, ["builtin:noop"]);
        assert_eq!(claims(&["s*n"], &[]).await, ["scan"]);
        assert_eq!(claims(&["*"], &["*"]).await, ["deploy"]);
    })
    .await;
}

#[tokio::test]
async fn those_that_wait_longest_come_first_and_the_queue_tells_how_long() {
    on_both(async |shop| {
        for n in 0..4 {
            shop.create(&format!("r{n}"), &one_step()).await;
            shop.clock.advance(SECOND);
        }
        let depth = shop.store.queue_depth(TENANT, NOW + 4 * SECOND).await.unwrap();
        assert_eq!((depth.len(), depth[0].depth, depth[0].ready_at), (1, 4, NOW));
        let ids: Vec<String> = claimed(&shop.runs, TENANT, 3).await.into_iter().map(|granted| granted.run_id).collect();
        assert_eq!(ids, ["r0", "r1", "r2"]);
        assert_eq!(shop.store.queue_depth(TENANT, i64::MAX).await.unwrap()[0].depth, 1);
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_waits_is_woken_by_what_it_can_do() {
    on_both(async |shop| {
        let runs = shop.runs.clone();
        let waiting = tokio::spawn(async move {
            runs.claim(&TENANT.into(), "worker", &claim(1), Duration::from_secs(30)).await.unwrap()
        });
        let mut manifest = pack(json!([gate("g", "go"), run("a")]));
        manifest["spec"]["approvals"] = json!([{"id": "go"}]);
        shop.create("r", &manifest).await;
        let hash = shop.detail("r").await.run.plan_hash;
        shop.runs
            .decide(TENANT, "r", &decide("go", packtrail::domain::run::Decision::Approved, &hash, "a"))
            .await
            .unwrap();
        let granted = waiting.await.unwrap();
        assert_eq!((granted.len(), granted[0].step_id.as_str()), (1, "a"));
    })
    .await;
}

#[tokio::test]
async fn claims_that_make_no_sense_are_refused_by_their_field() {
    on_both(async |shop| {
        let refused = |claim: Claim| {
            let runs = shop.runs.clone();
            async move {
                match runs.claim(&TENANT.into(), "worker", &claim, Duration::ZERO).await {
                    Err(RunError::BadClaim(field, _)) => field,
                    other => panic!("{other:?}"),
                }
            }
        };
        assert_eq!(refused(Claim { max: 0, ..claim(1) }).await, "max");
        assert_eq!(refused(Claim { max: 101, ..claim(1) }).await, "max");
        assert_eq!(refused(Claim { lease_seconds: 0, ..claim(1) }).await, "leaseSeconds");
        assert_eq!(refused(Claim { lease_seconds: 3_601, ..claim(1) }).await, "leaseSeconds");
        assert_eq!(refused(Claim { worker: String::new(), ..claim(1) }).await, "worker");
        let many = Abilities::new((0..1_001).map(|n| n.to_string()), []);
        assert_eq!(refused(Claim { abilities: many, ..claim(1) }).await, "capabilities");
        shop.create("r", &one_step()).await;
        let granted = shop.one().await;
        let large = json!("x".repeat(256 * 1024));
        assert!(matches!(shop.report(&granted, done(large)).await, Err(RunError::BadClaim("outputs", _))));
        let error = "ü".repeat(5_000);
        shop.report(&granted, Report::Failed { error, is_retryable: true }).await.unwrap();
        assert_eq!(shop.step("r", "a").await.2.unwrap(), "ü".repeat(2_048), "cut, not lost");
    })
    .await;
}

#[tokio::test]
async fn a_policy_is_asked_of_workers_that_evaluate_it() {
    on_both(async |shop| {
        let policy = json!({"id": "g", "gate": {"policy": {"policyId": "freeze", "policyVersion": "3"}}});
        shop.create("r", &pack(json!([policy, run("a")]))).await;
        let granted = shop.one().await;
        assert_eq!(granted.uses, "policy:freeze");
        assert!(matches!(shop.report(&granted, done(json!({"allowed": 1}))).await, Err(RunError::Refused(_))));
        shop.report(&granted, done(json!({"allowed": true}))).await.unwrap();
        assert_eq!(shop.step("r", "g").await.0, StepStatus::Succeeded);
        assert_eq!(shop.one().await.step_id, "a");
    })
    .await;
}

fn with_files() -> Value {
    let mut manifest = pack(json!([run("a"), run("b")]));
    manifest["spec"]["outputs"] = json!([
        {"name": "plain", "type": "file", "path": "/out/plain.txt"},
        {"name": "told", "type": "file", "path": "/out/{{ steps.a.outputs.file }}"},
        {"name": "value", "type": "object", "expression": "steps.a.outputs"},
    ]);
    manifest
}

fn file(name: &str, digest: Option<Digest>) -> FileReport {
    FileReport { name: name.to_owned(), digest, note: digest.is_none().then(|| "not there".to_owned()) }
}

#[tokio::test]
async fn a_worker_is_asked_for_files_until_it_has_answered_for_each() {
    on_both(async |shop| {
        shop.create("r", &with_files()).await;
        let granted = shop.one().await;
        assert_eq!(granted.files.len(), 1, "where the other would be is not known yet");
        assert_eq!((granted.files[0].name.as_str(), granted.files[0].path.as_str()), ("plain", "/out/plain.txt"));
        let outputs = json!({"file": "report.json"});
        let report = |files: Vec<FileReport>| Report::Completed { outputs: outputs.clone(), files };
        let Err(RunError::FilesWanted(wanted)) = shop.report(&granted, report(vec![file("plain", None)])).await else {
            panic!("it was not asked");
        };
        assert_eq!((wanted.len(), wanted[0].path.as_str()), (1, "/out/report.json"));
        assert_eq!(shop.step("r", "a").await.0, StepStatus::Running, "not done yet");
        let digest = Digest::of_bytes(b"{}");
        let both = || report(vec![file("plain", None), file("told", Some(digest))]);
        assert!(matches!(shop.report(&granted, both()).await, Err(RunError::NotUploaded(name)) if name == "told"));
        let upload = Upload { name: "told".to_owned(), digest, size: 2 };
        shop.runs.note_upload(TENANT, "worker", &granted.token, "r", &upload).await.unwrap();
        let unknown = Upload { name: "value".to_owned(), ..upload.clone() };
        let refused = shop.runs.note_upload(TENANT, "worker", &granted.token, "r", &unknown).await;
        assert!(matches!(refused, Err(RunError::UnknownArtifact(_))), "it is no file");
        shop.report(&granted, both()).await.unwrap();
        shop.report(&granted, both()).await.unwrap();
        let artifacts = shop.detail("r").await.run.run.artifacts;
        assert_eq!((artifacts[0].status, artifacts[0].notes.as_deref()), (ArtifactStatus::Pending, Some("not there")));
        assert_eq!(
            (artifacts[1].status, artifacts[1].digest, artifacts[1].size),
            (ArtifactStatus::Captured, Some(digest), Some(2))
        );
        assert_eq!(artifacts[1].source_path.as_deref(), Some("/out/report.json"));
        assert_eq!(artifacts[1].stored_path.as_deref(), Some("runs/r/artifacts/report.json"));
        let b = shop.one().await;
        let missing = Report::Completed { outputs: Value::Null, files: vec![file("plain", None)] };
        shop.report(&b, missing).await.unwrap();
        let detail = shop.detail("r").await;
        let artifact = &detail.run.run.artifacts[0];
        assert_eq!((artifact.status, artifact.notes.as_deref()), (ArtifactStatus::Failed, Some("not there")));
        assert_eq!(detail.run.run.status, RunStatus::Succeeded, "that never fails the run");
    })
    .await;
}

#[tokio::test]
async fn a_file_that_one_attempt_brought_is_not_that_of_another() {
    on_both(async |shop| {
        let mut manifest = retried(2);
        manifest["spec"]["outputs"] = json!([{"name": "plain", "type": "file", "path": "/out/plain.txt"}]);
        shop.create("r", &manifest).await;
        let first = shop.one().await;
        let upload = Upload { name: "plain".to_owned(), digest: Digest::of_bytes(b"old"), size: 3 };
        shop.runs.note_upload(TENANT, "worker", &first.token, "r", &upload).await.unwrap();
        shop.report(&first, failed()).await.unwrap();
        let late = shop.runs.note_upload(TENANT, "worker", &first.token, "r", &upload).await;
        assert!(is_lost(&late));
        shop.later(5).await;
        let second = shop.one().await;
        let claims = Report::Completed { outputs: Value::Null, files: vec![file("plain", Some(upload.digest))] };
        assert!(matches!(shop.report(&second, claims).await, Err(RunError::NotUploaded(_))));
    })
    .await;
}

#[tokio::test]
async fn secrets_are_given_by_reference_and_only_those_that_a_step_names() {
    on_both(async |shop| {
        let mut manifest = pack(json!([{"id": "a", "run": {"uses": "x", "with": {"key": "{{ secrets.token }}"}}}]));
        manifest["spec"]["secrets"] = json!([{"name": "token", "scope": "vault"}, {"name": "other"}]);
        shop.create("r", &manifest).await;
        let granted = shop.one().await;
        assert_eq!(granted.with, json!({"key": {"secretRef": "token"}}));
        assert_eq!(granted.secrets.len(), 1);
        assert_eq!((granted.secrets[0].name.as_str(), granted.secrets[0].scope.as_deref()), ("token", Some("vault")));
    })
    .await;
}

/// Steps that use so many things that nobody looks at all of them.
fn many(prefix: &str, runs: usize) -> Vec<Value> {
    let step = |n: usize| json!({"id": format!("s{n}"), "run": {"uses": format!("{prefix}{n:04}")}});
    let steps = |run: usize| Value::Array((run * 64..run * 64 + 64).map(step).collect());
    let together = |run| json!([{"id": "all", "parallel": {"maxParallel": 64, "steps": steps(run)}}]);
    (0..runs).map(|run| pack(together(run))).collect()
}

#[tokio::test]
async fn what_nobody_can_do_hides_nothing_from_those_who_can_do_something() {
    on_both(async |shop| {
        for (n, manifest) in many("aaa:", 16).iter().enumerate() {
            shop.create(&format!("junk-{n}"), manifest).await;
        }
        let wanted = json!({"id": "a", "run": {"uses": "scan"}});
        shop.create("wanted", &pack(json!([wanted]))).await;
        let granted = async |asked: &[&str], allowed: &[&str]| {
            let texts = |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            let abilities = Abilities::new(texts(asked), texts(allowed));
            let claim = Claim { abilities, ..claim(1) };
            let granted = shop.runs.claim(&TENANT.into(), "worker", &claim, Duration::ZERO).await.unwrap();
            for granted in &granted {
                shop.report(granted, Report::Released).await.unwrap();
            }
            granted.into_iter().map(|granted| granted.uses).collect::<Vec<_>>()
        };
        assert_eq!(granted(&["scan"], &[]).await, ["scan"]);
        assert_eq!(granted(&["s*"], &[]).await, ["scan"]);
        assert_eq!(granted(&["*"], &["scan"]).await, ["scan"]);
        assert_eq!(granted(&["zzz", "*"], &["b*", "sc*"]).await, ["scan"]);
        assert_eq!(granted(&["aaa:*"], &["s*"]).await, Vec::<String>::new());
        assert_eq!(granted(&["aaa:1019"], &["*9"]).await, ["aaa:1019"]);
        assert_eq!(granted(&["*"], &[]).await, ["aaa:0000"], "what waits longest comes first");
    })
    .await;
}

#[tokio::test]
async fn no_worker_says_what_postgres_cannot_keep() {
    on_both(async |shop| {
        let told = async |claim: Claim| match shop.runs.claim(&TENANT.into(), "worker", &claim, Duration::ZERO).await {
            Err(RunError::BadClaim(field, _)) => Some(field),
            _ => None,
        };
        assert_eq!(told(claim(1)).await, None);
        assert_eq!(told(Claim { worker: "a\0".to_owned(), ..claim(1) }).await, Some("worker"));
        let abilities = Abilities::new(["a\0".to_owned()], []);
        assert_eq!(told(Claim { abilities, ..claim(1) }).await, Some("capabilities"));
    })
    .await;
}
