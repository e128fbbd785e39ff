//! The worker against a server that does what a test wants.

mod mock;

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use mock::{End, FileCapture, Mock, PolicyQuestion, RunSandbox, RunSecret, SandboxMode, State, Stream, lease};
use packtrail::worker::{PolicyAnswer, SecretSource, StepCommand, Worker, WorkerConfig, WorkerError};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_packtrail");

fn config(mock: &Mock) -> WorkerConfig {
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    WorkerConfig {
        server: mock.url(),
        name: Some("tester".to_owned()),
        builtins: true,
        guard: Some(PROGRAM.into()),
        ..WorkerConfig::default()
    }
}

/// A step that a shell serves.
fn step(uses: &str, script: &str) -> StepCommand {
    let own = json!({"uses": uses, "command": ["sh", "-c", script], "outputs": "outputs.json", "pass_env": ["PATH"]});
    serde_json::from_value(own).unwrap()
}

/// A worker that runs until it is dropped.
struct Running(JoinHandle<Result<(), WorkerError>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn start(config: WorkerConfig) -> Running {
    Running(tokio::spawn(Worker::new(config).unwrap().run(pending())))
}

/// Runs one script as a step and returns how it ended.
async fn run(mock: &Mock, script: &str) -> End {
    run_lease(mock, step("test", script), lease("t", "test", json!({}))).await
}

async fn run_lease(mock: &Mock, step: StepCommand, lease: mock::StepLease) -> End {
    let token = lease.token.clone();
    let mut config = config(mock);
    config.steps.push(step);
    mock.push(lease);
    let _worker = start(config);
    mock.end(&token).await
}

fn completed(outputs: Value) -> End {
    End::Completed { outputs, artifacts: Vec::new() }
}

fn failed(error: &str, retryable: bool) -> End {
    End::Failed { error: error.to_owned(), retryable }
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether these processes end, which takes the kernel a moment.
async fn end(pids: &[u32]) -> bool {
    for _ in 0..2000 {
        if !pids.iter().any(|pid| is_alive(*pid)) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// A script with a child in its group and one that left it; each writes its number.
const FAMILY: &str = "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & echo $$; wait";

// What is done.

#[tokio::test]
async fn a_command_is_run_logged_and_completed() {
    let mock = Mock::start().await;
    let script = r#"cat > input; echo "hello $PACKTRAIL_WITH_NAME"; echo oops >&2; echo '{"n": 1}' > outputs.json"#;
    let ended = run_lease(&mock, step("test", script), lease("t", "test", json!({"name": "you"}))).await;
    assert_eq!(ended, completed(json!({"n": 1})));
    let mut lines = mock.with(|state| state.lines["t"].clone());
    lines.sort_by_key(|(_, stream)| *stream == Stream::Stderr);
    assert_eq!(lines, [("hello you".to_owned(), Stream::Stdout), ("oops".to_owned(), Stream::Stderr)]);
}

#[tokio::test]
async fn a_command_knows_its_step_and_nothing_of_the_worker() {
    let mock = Mock::start().await;
    let mut lease = lease("t", "test", json!({"a": {"deep": [1]}, "password": {"secretRef": "db"}}));
    lease.secrets.push(RunSecret { name: "db".to_owned(), scope: "run".to_owned() });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
    let mut config = config(&mock);
    config.secrets.insert("db".to_owned(), SecretSource::File(folder.path().join("secret")));
    // What the command writes of its secret would be masked, so it only counts it.
    let script = "printf '{\"env\": \"%s\", \"secret\": %s}' \"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\" \
        \"$(grep -c '\"password\":\"hunter2\"')\" > outputs.json";
    config.steps.push(step("test", script));
    mock.push(lease);
    let _worker = start(config);
    let End::Completed { outputs, .. } = mock.end("t").await else { panic!() };
    assert_eq!(outputs["secret"], 1);
    let env = outputs["env"].as_str().unwrap();
    let own = ["PACKTRAIL_ATTEMPT", "PACKTRAIL_RUN_ID", "PACKTRAIL_STEP_ID", "PACKTRAIL_USES", "PATH"];
    let shells = ["PWD", "SHLVL", "_", "OLDPWD"];
    let others: Vec<&str> = env.split_whitespace().filter(|name| !shells.contains(name)).collect();
    assert_eq!(others, own);
}

#[tokio::test]
async fn each_attempt_has_a_folder_that_is_removed() {
    let mock = Mock::start().await;
    let work = tempfile::tempdir().unwrap();
    let mut config = config(&mock);
    config.work_dir = Some(work.path().to_owned());
    config.once = true;
    config.steps.push(step("test", "touch here; mkdir -p a/b; ls; pwd >&2"));
    mock.push(lease("a", "test", json!({})));
    mock.push(lease("b", "test", json!({})));
    Worker::new(config).unwrap().run(pending()).await.unwrap();
    for token in ["a", "b"] {
        assert_eq!(mock.end(token).await, completed(Value::Null));
        let lines = mock.lines(token);
        assert!(lines.contains(&"a".to_owned()) && lines.contains(&"here".to_owned()) && lines.len() == 3, "{lines:?}");
    }
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn builtins_do_what_they_say() {
    let mock = Mock::start().await;
    let mut config = config(&mock);
    config.parallel = 5;
    config.once = true;
    for (token, uses, with) in [
        ("noop", "builtin:noop", json!({})),
        ("echo", "builtin:echo", json!({"message": "hi"})),
        ("echo-all", "builtin:echo", json!({"a": 1})),
        ("sleep", "builtin:sleep", json!({"seconds": 0.01})),
        ("long", "builtin:sleep", json!({"seconds": 3601})),
        ("fail", "builtin:fail", json!({"message": "no", "retryable": false})),
        ("fail-default", "builtin:fail", json!({})),
    ] {
        mock.push(lease(token, uses, with));
    }
    Worker::new(config).unwrap().run(pending()).await.unwrap();
    let ends = mock.with(|state| state.ends.clone());
    assert_eq!(ends["noop"], completed(Value::Null));
    assert_eq!(ends["echo"], completed(json!({"message": "hi"})));
    assert_eq!(mock.lines("echo"), ["hi"]);
    assert_eq!(ends["echo-all"], completed(json!({"a": 1})));
    assert_eq!(ends["sleep"], completed(Value::Null));
    assert_eq!(ends["long"], failed("with-invalid: seconds must be a number from 0 to 3600", false));
    assert_eq!(ends["fail"], failed("no", false));
    assert_eq!(ends["fail-default"], failed("failed as asked", true));
    assert!(mock.with(|state| state.largest_claim) <= 5);
}

#[tokio::test]
async fn policies_are_answered() {
    let mock = Mock::start().await;
    let mut config = config(&mock);
    config.once = true;
    let answers = [
        json!({"id": "yes", "allow": true, "message": "fine"}),
        json!({"id": "no", "allow": false}),
        json!({"id": "asks", "command": ["sh", "-c", "grep -q '\"policyVersion\":\"7\"'"]}),
        json!({"id": "breaks", "command": ["sh", "-c", "exit 3"]}),
    ];
    config.policies = answers.map(|answer| serde_json::from_value::<PolicyAnswer>(answer).unwrap()).into();
    for (token, id, version) in
        [("1", "yes", "7"), ("2", "no", "7"), ("3", "asks", "7"), ("4", "asks", "8"), ("5", "breaks", "7")]
    {
        let mut lease = lease(token, &format!("policy:{id}"), json!({}));
        let (policy_id, policy_version) = (id.to_owned(), Some(version.to_owned()));
        lease.policy = Some(PolicyQuestion { policy_id, policy_version, message: None });
        mock.push(lease);
    }
    Worker::new(config).unwrap().run(pending()).await.unwrap();
    let ends = mock.with(|state| state.ends.clone());
    assert_eq!(ends["1"], completed(json!({"allowed": true, "message": "fine"})));
    assert_eq!(ends["2"], completed(json!({"allowed": false, "message": null})));
    assert_eq!(ends["3"], completed(json!({"allowed": true, "message": null})));
    assert_eq!(ends["4"], completed(json!({"allowed": false, "message": null})));
    assert_eq!(ends["5"], failed("exit-code: 3", true));
}

// What is logged.

#[tokio::test]
async fn a_flood_arrives_whole_and_in_order() {
    let mock = Mock::start().await;
    assert_eq!(run(&mock, "seq 1 100000").await, completed(Value::Null));
    let lines = mock.lines("t");
    assert_eq!(lines.len(), 100_000);
    assert!(lines.iter().zip(1..).all(|(line, number)| *line == number.to_string()));
}

#[tokio::test]
async fn lines_arrive_once_although_answers_are_lost() {
    let mock = Mock::start().await;
    mock.with(|state| state.answers_lost = 2);
    assert_eq!(run(&mock, "seq 1 20000").await, completed(Value::Null));
    let lines = mock.lines("t");
    assert_eq!(lines.len(), 20_000);
    assert!(lines.iter().zip(1..).all(|(line, number)| *line == number.to_string()));
}

#[tokio::test]
async fn any_bytes_are_logged() {
    let mock = Mock::start().await;
    let script =
        r"printf 'a\377b\r\n\nnul\000here\n'; head -c 40000 /dev/zero | tr '\0' 'x'; printf '\n\001\002\nlast'";
    assert_eq!(run(&mock, script).await, completed(Value::Null));
    let lines = mock.lines("t");
    assert_eq!(lines[..3], ["a\u{fffd}b", "", "nul\u{fffd}here"]);
    assert_eq!(lines[3..6].concat(), "x".repeat(40_000));
    assert_eq!(lines[6..], ["\u{1}\u{2}", "last"]);
}

#[tokio::test]
async fn batches_stay_below_what_the_server_takes_however_they_are_written() {
    let mock = Mock::start().await;
    // Control characters are six times as long in JSON.
    assert_eq!(run(&mock, r"head -c 3000000 /dev/zero | tr '\0' '\001'; echo").await, completed(Value::Null));
    assert_eq!(mock.lines("t").concat().len(), 3_000_000);
}

#[tokio::test]
async fn a_full_log_does_not_stop_the_step() {
    let mock = Mock::start().await;
    mock.with(|state| state.log_limit = Some(1));
    assert_eq!(run(&mock, "seq 1 100000; echo '1' > outputs.json").await, completed(json!(1)));
    assert!(mock.lines("t").len() < 100_000);
}

#[tokio::test]
async fn secrets_are_masked_in_lines_and_errors() {
    let mock = Mock::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "hunter2").unwrap();
    let mut config = config(&mock);
    config.secrets.insert("db".to_owned(), SecretSource::File(folder.path().join("secret")));
    config.steps.push(step("test", "printf 'a hunter2'; printf ' b hunter'; printf '2\\n'; echo hunter2 >&2; exit 1"));
    mock.push(lease("t", "test", json!({})));
    mock.push(lease("u", "builtin:fail", json!({"message": "hunter2 is wrong"})));
    let _worker = start(config);
    assert_eq!(mock.end("t").await, failed("exit-code: 1", true));
    let mut lines = mock.lines("t");
    lines.sort();
    assert_eq!(lines, ["***", "a *** b ***"]);
    assert_eq!(mock.end("u").await, failed("*** is wrong", true));
}

// How steps fail.

#[tokio::test]
async fn failures_are_told_apart() {
    for (script, error, retryable) in [
        ("exit 7", "exit-code: 7", true),
        ("kill -9 $$", "signal: 9", true),
        ("kill -15 $$", "signal: 15", true),
        ("printf '{' > outputs.json", "outputs-invalid: EOF while parsing an object at line 1 column 1", false),
        ("head -c 300000 /dev/zero > outputs.json", "outputs-invalid: longer than 262144 bytes", false),
        ("ln -s /etc/hostname outputs.json", "outputs-invalid: file-refused: a symbolic link", false),
    ] {
        let mock = Mock::start().await;
        assert_eq!(run(&mock, script).await, failed(error, retryable), "{script}");
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_says_so() {
    let mock = Mock::start().await;
    let mut absent = step("test", "");
    absent.command = vec!["/nonexistent/program".to_owned()];
    let ended = run_lease(&mock, absent, lease("t", "test", json!({}))).await;
    assert_eq!(ended, failed("exit-code: 127", true));
    assert!(mock.lines("t")[0].contains("/nonexistent/program"));
}

#[tokio::test]
async fn a_secret_that_is_not_configured_fails_the_step_for_good() {
    let mock = Mock::start().await;
    let mut lease = lease("t", "test", json!({"a": {"secretRef": "db"}}));
    lease.secrets.push(RunSecret { name: "db".to_owned(), scope: "run".to_owned() });
    let ended = run_lease(&mock, step("test", "true"), lease).await;
    assert_eq!(ended, failed("secret-unavailable: db", false));
}

#[tokio::test]
async fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let mock = Mock::start().await;
    let mut slow = step("test", FAMILY);
    slow.timeout_seconds = 2;
    assert_eq!(run_lease(&mock, slow, lease("t", "test", json!({}))).await, failed("timed-out: 2s", true));
    assert!(end(&mock.pids("t", 3).await).await);
}

#[tokio::test]
async fn the_quota_of_the_sandbox_is_a_time_limit_too() {
    let mock = Mock::start().await;
    let mut lease = lease("t", "test", json!({}));
    lease.sandbox = Some(sandbox(SandboxMode::Open));
    lease.sandbox.as_mut().unwrap().quota_seconds = Some(1);
    assert_eq!(run_lease(&mock, step("test", "sleep 1000"), lease).await, failed("timed-out: 1s", true));
}

fn sandbox(mode: SandboxMode) -> RunSandbox {
    RunSandbox {
        mode,
        egress_allowlist: Vec::new(),
        cpu_limit_millicores: None,
        memory_limit_mib: None,
        quota_seconds: None,
    }
}

#[tokio::test]
async fn a_sandbox_that_nobody_enforces_is_refused() {
    let mock = Mock::start().await;
    let mut sealed = lease("t", "test", json!({}));
    sealed.sandbox = Some(sandbox(SandboxMode::Sealed));
    let ended = run_lease(&mock, step("test", "true"), sealed.clone()).await;
    assert_eq!(ended, failed("sandbox-not-enforceable: sealed", false));

    let mock = Mock::start().await;
    let mut enforcing = step("test", "true");
    enforcing.enforces = vec![packtrail::worker::Enforcement::Sealed];
    assert_eq!(run_lease(&mock, enforcing, sealed).await, completed(Value::Null));
}

// What is taken from a step.

fn capture(name: &str, path: &str) -> FileCapture {
    FileCapture { name: name.to_owned(), path: path.to_owned() }
}

#[tokio::test]
async fn files_are_uploaded_with_their_digest_or_noted() {
    let mock = Mock::start().await;
    mock.with(|state| state.asks_for = vec![capture("later", "/output/later.txt")]);
    let script = "mkdir output; head -c 3000000 /dev/zero > output/report.json; echo x > output/later.txt; \
        ln -s /etc/passwd output/link; mkfifo output/pipe";
    let mut lease = lease("t", "test", json!({}));
    lease.captures = [
        ("report", "/output/report.json"),
        ("missing", "/output/none"),
        ("escape", "../../etc/passwd"),
        ("link", "/output/link"),
        ("pipe", "/output/pipe"),
    ]
    .map(|(name, path)| capture(name, path))
    .into();
    let ended = run_lease(&mock, step("test", script), lease).await;
    let End::Completed { artifacts, .. } = ended else { panic!("{ended:?}") };
    let told: Vec<(&str, String)> = artifacts
        .iter()
        .map(|(name, sha256, note)| (name.as_str(), sha256.clone().or_else(|| note.clone()).unwrap()))
        .collect();
    let text = str::to_owned;
    assert_eq!(
        told,
        [
            ("report", text("sha256:35bce4eae54ec8e6cc2868baa8d157914d6ae2858811b4cc0c078c94460fa26f")),
            ("missing", text("file-missing: the step left no such file")),
            ("escape", text("path-refused: it leaves the step's folder")),
            ("link", text("file-refused: a symbolic link")),
            ("pipe", text("file-refused: not a regular file")),
            ("later", text("sha256:73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac")),
        ]
    );
    let (uploads, headers) = mock.with(|state| (state.uploads.clone(), state.headers.clone()));
    assert_eq!(uploads.keys().collect::<Vec<_>>(), ["later", "report"]);
    assert!(uploads["report"] == vec![0; 3_000_000]);
    let sent = headers.iter().find(|headers| headers.get("content-length").is_some_and(|l| l == "2")).unwrap();
    assert_eq!(sent["content-digest"], "sha-256=:c8s4WKaHqElMozIwUwFigvPa051Cz2LKTnndoqrH2aw=:");
    assert_eq!(sent["x-packtrail-lease"], "t");
}

#[tokio::test]
async fn an_upload_that_is_refused_is_noted() {
    let mock = Mock::start().await;
    mock.with(|state| state.upload_status = Some(413));
    let mut lease = lease("t", "test", json!({}));
    lease.captures.push(capture("a", "a"));
    let ended = run_lease(&mock, step("test", "echo > a"), lease).await;
    let note = Some("upload-refused: the server answers 413".to_owned());
    assert_eq!(ended, End::Completed { outputs: Value::Null, artifacts: vec![("a".to_owned(), None, note)] });
}

// How steps are ended from outside.

/// Starts a family as a step of half a minute, changes something, and tells whether it ended.
async fn family_ends_after(change: impl FnOnce(&mut State)) -> (Mock, bool) {
    let mock = Mock::start().await;
    let mut config = config(&mock);
    config.steps.push(step("test", FAMILY));
    let mut lease = lease("t", "test", json!({}));
    lease.lease_seconds = 6;
    mock.push(lease);
    let _worker = start(config);
    let pids = mock.pids("t", 3).await;
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    mock.with(change);
    let ended = end(&pids).await;
    (mock, ended)
}

#[tokio::test]
async fn a_cancelled_step_is_killed_with_all_that_it_started_and_not_reported() {
    let (mock, ended) = family_ends_after(|state| {
        state.cancelled.insert("t".to_owned());
    })
    .await;
    assert!(ended);
    assert!(mock.with(|state| state.ends.is_empty()));
}

#[tokio::test]
async fn a_step_whose_lease_is_lost_is_killed_and_not_reported() {
    let (mock, ended) = family_ends_after(|state| {
        state.lost.insert("t".to_owned());
    })
    .await;
    assert!(ended);
    assert!(mock.with(|state| state.ends.is_empty()));
}

#[tokio::test]
async fn a_step_whose_lease_cannot_be_renewed_is_killed() {
    let (mock, ended) = family_ends_after(|state| state.is_away = true).await;
    assert!(ended);
    assert!(mock.with(|state| state.ends.is_empty()));
}

#[tokio::test]
async fn a_worker_that_gave_a_step_up_goes_on_with_the_next() {
    let mock = Mock::start().await;
    mock.with(|state| state.cancelled.insert("t".to_owned()));
    let mut lost = lease("t", "builtin:sleep", json!({"seconds": 1000}));
    lost.lease_seconds = 3;
    mock.push(lost);
    mock.push(lease("u", "builtin:noop", json!({})));
    let _worker = start(config(&mock));
    assert_eq!(mock.end("u").await, completed(Value::Null));
}

#[tokio::test]
async fn nothing_outlives_a_worker_that_is_killed() {
    let mock = Mock::start().await;
    let folder = tempfile::tempdir().unwrap();
    let script = FAMILY.replace('"', "\\\"");
    let file = folder.path().join("worker.toml");
    let text = format!(
        "server = \"{}\"\n[[steps]]\nuses = \"test\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\npass_env = [\"PATH\"]",
        mock.url()
    );
    std::fs::write(&file, text).unwrap();
    let mut worker = tokio::process::Command::new(PROGRAM)
        .args(["worker", "--config"])
        .arg(&file)
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    mock.push(lease("t", "test", json!({})));
    let pids = mock.pids("t", 3).await;
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    worker.kill().await.unwrap();
    assert!(end(&pids).await);
}

#[tokio::test]
async fn a_worker_that_is_terminated_gives_its_steps_up_and_ends_well() {
    let mock = Mock::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("worker.toml");
    std::fs::write(&file, "grace_seconds = 0\nbuiltins = true").unwrap();
    let mut worker = tokio::process::Command::new(PROGRAM)
        .args(["worker", "--server", &mock.url(), "--config"])
        .arg(&file)
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    mock.push(lease("s", "builtin:echo", json!({"message": "here"})));
    mock.end("s").await;
    let mut long = lease("t", "builtin:sleep", json!({"seconds": 1000}));
    long.lease_seconds = 3;
    mock.push(long);
    mock.until(|state| (state.queue.is_empty() && state.beats > 0).then_some(())).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(worker.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(worker.wait().await.unwrap().success());
    assert_eq!(mock.end("t").await, failed("worker-stopped", true));
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_killed() {
    let mock = Mock::start().await;
    let script =
        "sleep 1000 & echo $!; setsid sh -c 'echo $$; touch up; exec sleep 1000' & while ! test -e up; do :; done";
    assert_eq!(run(&mock, script).await, completed(Value::Null));
    assert!(end(&mock.pids("t", 2).await).await);
}

// The server and the worker.

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let mock = Mock::start().await;
    mock.with(|state| state.is_away = true);
    let _worker = start(config(&mock));
    mock.until(|state| (state.turned_away >= 2).then_some(())).await;
    mock.with(|state| state.is_away = false);
    mock.push(lease("t", "builtin:noop", json!({})));
    assert_eq!(mock.end("t").await, completed(Value::Null));
}

#[tokio::test]
async fn lines_and_ends_wait_for_a_server_that_is_away() {
    let mock = Mock::start().await;
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let mut config = config(&mock);
    let script = format!("echo 1; while ! test -e {}; do sleep 0.05; done; seq 2 1000", go.display());
    config.steps.push(step("test", &script));
    mock.push(lease("t", "test", json!({})));
    let _worker = start(config);
    mock.until(|state| state.lines.contains_key("t").then_some(())).await;
    mock.with(|state| state.is_away = true);
    std::fs::write(go, "").unwrap();
    mock.until(|state| (state.turned_away >= 2).then_some(())).await;
    mock.with(|state| state.is_away = false);
    assert_eq!(mock.end("t").await, completed(Value::Null));
    let lines = mock.lines("t");
    assert!(lines.len() == 1000 && lines.iter().zip(1..).all(|(line, number)| *line == number.to_string()));
}

#[tokio::test]
async fn a_worker_that_is_not_let_in_ends_with_the_reason() {
    let mock = Mock::start().await;
    mock.with(|state| state.token = Some("good".to_owned()));
    let mut config = config(&mock);
    config.token = Some("bad".to_owned());
    let error = Worker::new(config.clone()).unwrap().run(pending()).await.unwrap_err();
    assert!(matches!(&error, WorkerError::Denied(message) if message.contains("who are you?")), "{error}");

    config.token = Some("good".to_owned());
    config.tenant = Some("acme".to_owned());
    config.once = true;
    Worker::new(config).unwrap().run(pending()).await.unwrap();
    let last = mock.with(|state| state.headers.pop().unwrap());
    assert_eq!(last["x-stellaops-tenant"], "acme");
}

#[tokio::test]
async fn more_than_was_asked_for_is_given_back() {
    let mock = Mock::start().await;
    mock.with(|state| state.is_generous = true);
    mock.push(lease("t", "builtin:sleep", json!({"seconds": 1000})));
    mock.push(lease("u", "builtin:noop", json!({})));
    let _worker = start(config(&mock));
    assert_eq!(mock.end("u").await, End::Released);
}

#[tokio::test]
async fn what_is_granted_while_the_worker_stops_is_given_back() {
    let mock = Mock::start().await;
    let worker = Worker::new(config(&mock)).unwrap();
    let granting = mock.clone();
    let stop = async move {
        granting.until(|state| (state.claims == 1).then_some(())).await;
        // The answer takes the way over the network, and the worker has stopped by then.
        granting.push(lease("t", "builtin:noop", json!({})));
    };
    worker.run(stop).await.unwrap();
    assert_eq!(mock.end("t").await, End::Released);
}

#[tokio::test]
async fn a_worker_that_stops_lets_its_steps_end() {
    let mock = Mock::start().await;
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let mut config = config(&mock);
    config.steps.push(step("test", &format!("echo ready; while ! test -e {}; do sleep 0.05; done", go.display())));
    let (stop, stopped) = oneshot::channel::<()>();
    mock.push(lease("t", "test", json!({})));
    let worker = tokio::spawn(Worker::new(config).unwrap().run(async move {
        let _ = stopped.await;
    }));
    mock.until(|state| state.lines.contains_key("t").then_some(())).await;
    stop.send(()).unwrap();
    std::fs::write(go, "").unwrap();
    worker.await.unwrap().unwrap();
    assert_eq!(mock.end("t").await, completed(Value::Null));
}

#[tokio::test]
async fn a_step_that_does_not_end_in_the_grace_is_killed_and_may_be_tried_again() {
    let mock = Mock::start().await;
    let mut config = config(&mock);
    config.grace_seconds = 0;
    config.steps.push(step("test", FAMILY));
    let (stop, stopped) = oneshot::channel::<()>();
    mock.push(lease("t", "test", json!({})));
    let worker = tokio::spawn(Worker::new(config).unwrap().run(async move {
        let _ = stopped.await;
    }));
    let pids = mock.pids("t", 3).await;
    stop.send(()).unwrap();
    worker.await.unwrap().unwrap();
    assert_eq!(mock.end("t").await, failed("worker-stopped", true));
    assert!(end(&pids).await);
}
