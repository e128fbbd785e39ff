//! The command line: the same records by every way in, and exit codes that scripts can trust.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::load::record;
use crate::input::corpus::gzip;
use crate::support::db::Database;
use crate::support::ingest::state;
use crate::support::server::{Server, file, lines, run, serve};

const FILES: [(&str, &str); 3] = [
    ("events.ndjson", include_str!("../../fixtures/samples/events.ndjson")),
    ("more-events.ndjson", include_str!("../../fixtures/samples/more-events.ndjson")),
    ("dialect-code.ndjson", include_str!("../../fixtures/samples/dialect-code.ndjson")),
];

/// Every way to hand the samples over: the inputs, and what comes on standard input.
fn ways(folder: &Path) -> Vec<(&'static str, Vec<String>, Vec<u8>)> {
    let name = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let all: String = FILES.map(|(_, text)| text).concat();
    let each = |mark: &str| all.lines().map(|line| [mark, line, "\n"].concat()).collect::<String>();
    let files = FILES.map(|(file_name, text)| name(file(folder, &format!("files/deeper/{file_name}"), text)));
    file(folder, "files/README.md", "Not a record.");
    let zstd = zstd::encode_all(all.as_bytes(), 3).unwrap();
    let json = format!("[{}]", all.lines().collect::<Vec<_>>().join(",\n"));
    let yaml = format!("apiVersion: v1\nkind: List\nitems:\n{}", each("- "));
    let documents = each("---\n");
    vec![
        ("files", files.into(), vec![]),
        ("a folder", vec![name(folder.join("files"))], vec![]),
        ("standard input", vec!["-".to_owned()], all.clone().into_bytes()),
        ("gzip on standard input", vec!["-".to_owned()], gzip(all.as_bytes())),
        ("gzip", vec![name(file(folder, "all.ndjson.gz", gzip(all.as_bytes())))], vec![]),
        ("zstd", vec![name(file(folder, "all.ndjson.zst", zstd))], vec![]),
        ("a JSON array", vec![name(file(folder, "all.json", json))], vec![]),
        ("a YAML list", vec![name(file(folder, "list.yaml", yaml))], vec![]),
        ("YAML documents", vec![name(file(folder, "documents.yml", documents))], vec![]),
    ]
}

fn expected() -> Value {
    serde_json::from_str(include_str!("../../fixtures/samples_state.json")).unwrap()
}

fn ingest(target: [&str; 2], inputs: &[String], input: &[u8]) -> Output {
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    run(&[&["ingest"], &target[..], &inputs].concat(), input)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Of the samples, one has a revision that no reader of JSON can be trusted with.
fn check_samples(way: &str, done: &Output) {
    let said = said(done);
    assert_eq!(done.status.code(), Some(1), "{way}: {said}");
    assert_eq!(said.matches("UNSAFE_INTEGER at $.object.spec.revision").count(), 1, "{way}: {said}");
    let refused = said.contains("1 quarantined, 0 rejected") || said.contains("0 quarantined, 1 rejected");
    assert!(refused && said.contains("36 items"), "{way}: {said}");
}

#[tokio::test]
async fn every_way_into_a_database_gives_the_same_state() {
    let folder = tempfile::tempdir().unwrap();
    for (way, inputs, input) in ways(folder.path()) {
        let url = format!("sqlite://{}", folder.path().join(format!("{way}.db")).display());
        let done = ingest(["--database", &url], &inputs, &input);
        check_samples(way, &done);
        let store = packtrail::storage::Store::open(&url, false).await.unwrap();
        assert_eq!(state(&store, "default").await, expected(), "{way}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_and_a_server_on_it_take_the_same_state() {
    for database in Database::all() {
        let url = database.url().await;
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&url);
        for (way, inputs, input) in ways(folder.path()) {
            let tenant = way.replace(' ', "-");
            let to_server = [inputs.clone(), vec!["--tenant".to_owned(), tenant.clone()]].concat();
            let done = ingest(["--url", server.url()], &to_server, &input);
            check_samples(way, &done);
            let store = database.open().await;
            assert_eq!(state(&store, &tenant).await, expected(), "{way}");
            store.close().await;
            let to_database = ingest(["--database", &url], &to_server, &input);
            assert!(said(&to_database).contains(" 0 created, 0 updated"), "{way}: {}", said(&to_database));
        }
    }
}

#[tokio::test]
async fn the_exit_code_is_1_if_something_was_refused() {
    for database in Database::all() {
        let url = database.url().await;
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&url);
        for (n, target) in [["--database", &url], ["--url", server.url()]].into_iter().enumerate() {
            let first = u64::try_from(n).unwrap() * 12;
            let good = lines(&[record("a", first)]);
            for (bad, code) in [("{\"a\":1,\"a\":1}", "DUPLICATE_KEY"), ("{\"a\":tru}", "INVALID_JSON")] {
                let name = format!("{n}-{code}.ndjson");
                let bad = bad.replace('1', &n.to_string());
                let mixed = file(folder.path(), &name, format!("{good}{bad}\n{}", lines(&[record("a", first + 1)])));
                let done = ingest(target, &[mixed.to_str().unwrap().to_owned()], b"");
                assert_eq!(done.status.code(), Some(1), "{}", said(&done));
                assert!(said(&done).contains("3 items"), "{}", said(&done));
                assert!(said(&done).contains(&format!("{name}: line 2: ")), "{}", said(&done));
                assert!(said(&done).contains(code), "{}", said(&done));
            }
            let again = folder.path().join(format!("{n}-DUPLICATE_KEY.ndjson")).to_str().unwrap().to_owned();
            let done = ingest(target, &[again], b"");
            assert_eq!(done.status.code(), Some(1), "what is in quarantine is no record still: {}", said(&done));
            let done = ingest(target, &["-".to_owned()], good.as_bytes());
            assert_eq!(done.status.code(), Some(0), "what is known is not refused: {}", said(&done));
            let missing = ingest(target, &["/nonexistent.json".to_owned()], b"");
            assert_eq!(missing.status.code(), Some(1));
            assert!(said(&missing).contains("/nonexistent.json"), "{}", said(&missing));
        }
    }
}

#[tokio::test]
async fn a_complete_listing_closes_what_it_omits() {
    for database in Database::all() {
        let url = database.url().await;
        let server = Server::start(&url);
        for (n, target) in [["--database", &url], ["--url", server.url()]].into_iter().enumerate() {
            let client = format!("client{n}");
            let both = lines(&[record(&client, 3), record(&client, 4)]);
            let source = ["--source".to_owned(), client.clone(), "-".to_owned()];
            assert!(ingest(target, &source, both.as_bytes()).status.success());
            let listing = ["--snapshot", "2027-01-01T00:00:00Z", "--kinds", "PackOperationResult"];
            let arguments = [&source[..], &listing.map(str::to_owned)[..]].concat();
            let done = ingest(target, &arguments, lines(&[record(&client, 3)]).as_bytes());
            assert!(done.status.success() && said(&done).contains("1 closed because"), "{}", said(&done));
            let store = database.open().await;
            let dump = state(&store, "default").await;
            let objects = dump[&client]["objects"].as_object().unwrap();
            let live = |suffix: &str| objects.iter().find(|(key, _)| key.ends_with(suffix)).unwrap().1["live"].clone();
            assert_eq!((live(&format!("{client}-3")), live(&format!("{client}-4"))), (true.into(), false.into()));
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_refuses_says_why_at_the_terminal() {
    let server = Server::start(&Database::all().remove(0).url().await);
    let large = format!("\"{}\"\n", "x".repeat(1000)).repeat(10_000);
    let done =
        ingest(["--url", server.url()], &["--tenant".to_owned(), "a/b".to_owned(), "-".to_owned()], large.as_bytes());
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("This token may not act in that tenant."), "{}", said(&done));
    let absent = ingest(["--url", "http://127.0.0.1:1/"], &["-".to_owned()], b"{}");
    assert_eq!(absent.status.code(), Some(1), "{}", said(&absent));
}

/// The lines of an export.
fn exported(database: &str, format: &str) -> Vec<serde_json::Value> {
    let done = run(&["export", "--database", database, "--format", format], b"");
    assert!(done.status.success(), "{}", said(&done));
    String::from_utf8(done.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_export_read_into_another_database_gives_the_same_history() {
    for database in Database::all() {
        let url = database.url().await;
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/samples");
        let done = run(&["ingest", "--database", &url, samples], b"");
        let lines = exported(&url, "ndjson");
        let place = |line: &serde_json::Value| (line["ledger"]["seq"].as_i64(), line["ledger"]["entry"].as_i64());
        assert!(lines.len() > 30 && lines.is_sorted_by_key(place), "{}", said(&done));
        let folder = tempfile::tempdir().unwrap();
        let copy = format!("sqlite://{}", folder.path().join("copy.db").display());
        let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let text = text.join("\n");
        let done = run(&["ingest", "--database", &copy, "-"], text.as_bytes());
        assert!(done.status.success(), "{}", said(&done));
        let latest = |lines: &[serde_json::Value]| -> std::collections::BTreeMap<String, serde_json::Value> {
            let key = |line: &serde_json::Value| {
                let metadata = &line["object"]["metadata"];
                format!("{}/{}/{}", line["object"]["kind"], metadata["name"], metadata["uid"])
            };
            lines.iter().map(|line| (key(line), line["object"]["spec"].clone())).collect()
        };
        assert_eq!(latest(&exported(&copy, "ndjson")), latest(&lines));
        let events = exported(&url, "openlineage");
        assert!(!events.is_empty());
        for event in events {
            assert!(["COMPLETE", "FAIL", "OTHER"].contains(&event["eventType"].as_str().unwrap()), "{event}");
            assert_eq!(event["run"]["runId"].as_str().unwrap().len(), 36, "{event}");
        }
    }
}

#[test]
fn the_demo_answers_all_of_its_questions() {
    let done = run(&["demo", "--once", "--listen", "127.0.0.1:0"], b"");
    assert!(done.status.success(), "{}", said(&done));
    let text = String::from_utf8(done.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("# ")).count(), 6, "{text}");
    assert!(!text.contains("\"nodes\": []"), "a question of the demo has no answer: {text}");
}

#[test]
fn every_command_explains_itself() {
    let help = run(&["--help"], b"");
    let text = String::from_utf8(help.stdout).unwrap();
    let commands: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()))
        .collect();
    for wanted in ["serve", "ingest", "migrate", "rebuild", "schema", "demo", "worker"] {
        assert!(commands.contains(&wanted), "{commands:?}");
    }
    for command in commands.into_iter().filter(|command| *command != "help") {
        let help = run(&[command, "--help"], b"");
        assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Usage:"), "{command}");
    }
}

#[tokio::test]
async fn a_server_that_must_not_migrate_wants_it_done_before() {
    for database in Database::all() {
        let url = database.url().await;
        let early = run(&[&serve(&url)[..], &["--dev-insecure", "--no-migrate"]].concat(), b"");
        assert_eq!(early.status.code(), Some(1));
        assert!(said(&early).contains("packtrail migrate"), "{}", said(&early));
        assert!(run(&["migrate", "--database", &url], b"").status.success());
        assert!(run(&["migrate", "--database", &url], b"").status.success(), "again");
        let mut server = Server::spawn(
            std::process::Command::new(crate::support::server::PROGRAM)
                .args(serve(&url))
                .args(["--dev-insecure", "--no-migrate"]),
        );
        assert!(server.is_alive().await);
        assert_eq!(server.get("/readyz").await.status(), 200);
    }
}

#[tokio::test]
async fn a_server_that_would_be_open_to_all_does_not_start() {
    let url = Database::all().remove(0).url().await;
    let open = run(&serve(&url), b"");
    assert_eq!(open.status.code(), Some(1));
    assert!(
        said(&open).contains("no access tokens are configured") && said(&open).contains("--dev-insecure"),
        "{}",
        said(&open)
    );
    for address in ["0.0.0.0:0", "[::]:0"] {
        let open = run(&["serve", "--dev-insecure", "--listen", address, "--database", &url], b"");
        assert_eq!(open.status.code(), Some(1), "{address}");
        assert!(said(&open).contains("needs a loopback address"), "{}", said(&open));
    }
}
