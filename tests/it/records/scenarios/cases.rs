//! The scenarios: a few records that open a finding, and some more that close it or show that it stays.
//!
//! What is expected follows from docs/rules.md. Results are of the execution `pe` and carry no owner
//! reference, so that the execution `e1`, born first, is their epoch.

use serde_json::{Value, json};

/// A few records and what is open after them.
pub struct Scenario {
    /// What it shows, as a sentence.
    pub name: &'static str,
    /// The code that it is about.
    pub code: &'static str,
    /// The first events.
    pub opening: Vec<Value>,
    /// The findings open after them.
    pub opened: Vec<Expected>,
    /// Further events.
    pub closing: Vec<Value>,
    /// The findings open after all of them.
    pub closed: Vec<Expected>,
}

/// A finding that is expected to be open.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its code.
    pub code: &'static str,
    /// Its severity.
    pub severity: &'static str,
    /// Its subject.
    pub subject: String,
    /// The members of its detail that matter.
    pub detail: Value,
}

impl Scenario {
    /// Whether the finding is open after the opening part.
    pub fn opens(&self) -> bool {
        self.opened.iter().any(|expected| expected.code == self.code)
    }

    /// Whether the finding is closed by the closing part.
    pub fn closes(&self) -> bool {
        self.opens() && !self.closed.iter().any(|expected| expected.code == self.code)
    }
}

/// A scenario as it is written down.
struct Told(&'static str, &'static str);

impl Told {
    fn opens(self, opening: Vec<Value>, opened: Vec<Expected>) -> Begun {
        Begun { told: self, opening, opened }
    }
}

struct Begun {
    told: Told,
    opening: Vec<Value>,
    opened: Vec<Expected>,
}

impl Begun {
    fn then(self, closing: Vec<Value>, closed: Vec<Expected>) -> Scenario {
        let Self { told: Told(code, name), opening, opened } = self;
        Scenario { name, code, opening, opened, closing, closed }
    }
}

/// Where the records of the tenant cluster `c1` live.
const NS: &str = "seam-tenant-c1";

fn time(second: i64) -> String {
    format!("2026-05-04T10:{:02}:{:02}Z", second / 60, second % 60)
}

fn seen(second: i64, object: &Value) -> Value {
    json!({"type": "MODIFIED", "observedAt": time(second), "object": object})
}

fn gone(second: i64, object: &Value) -> Value {
    json!({"type": "DELETED", "observedAt": time(second), "object": object})
}

fn object(kind: &str, namespace: &str, name: &str, uid: &str, born: i64, spec: &Value) -> Value {
    json!({
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": time(born)},
    })
}

/// An object with some values put in at their paths.
fn with(mut object: Value, values: &[(&str, Value)]) -> Value {
    for (path, value) in values {
        let mut place = &mut object;
        for part in path.split('/') {
            place = &mut place[part];
        }
        *place = value.clone();
    }
    object
}

fn without_uid(mut object: Value) -> Value {
    object["metadata"].as_object_mut().unwrap().remove("uid");
    object
}

fn owned_by(object: Value, uid: &str) -> Value {
    let owner =
        json!({"apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "PackExecution", "name": "pe", "uid": uid});
    with(object, &[("metadata/ownerReferences", json!([owner]))])
}

/// A record after its label says that a later one replaced it.
fn superseded(object: Value) -> Value {
    let mut object = object;
    object["metadata"]["labels"]["ontai.dev/superseded"] = json!("true");
    object
}

fn result(name: &str, born: i64, revision: i64) -> Value {
    let spec = json!({"packExecutionRef": "pe", "targetClusterRef": "c1", "revision": revision, "status": "Succeeded"});
    object("PackOperationResult", NS, name, &format!("u-{name}"), born, &spec)
}

fn after(result: Value, previous: &str) -> Value {
    with(result, &[("spec/previousRevisionRef", json!(previous))])
}

/// A result of the era that patched it in place.
fn in_place(revision: i64, told: &[(&str, Value)]) -> Value {
    with(result("pack-deploy-result-pe", 10, revision), told)
}

fn execution(name: &str, uid: &str, born: i64) -> Value {
    object("PackExecution", NS, name, uid, born, &json!({"targetClusterRef": "c1"}))
}

/// The execution that all results are of.
fn e1() -> Value {
    seen(1, &execution("pe", "e1", 0))
}

/// An execution of a version of the pack `p`.
fn executing(name: &str, uid: &str, born: i64, pack: &str, version: &str) -> Value {
    with(execution(name, uid, born), &[("spec/clusterPackRef", json!({"name": pack, "version": version}))])
}

fn pack(name: &str, born: i64, values: &[(&str, Value)]) -> Value {
    with(object("ClusterPack", NS, name, &format!("u-{name}"), born, &json!({"version": "v1.0.0-r1"})), values)
}

fn receipt(name: &str, born: i64, values: &[(&str, Value)]) -> Value {
    let spec = json!({"targetClusterRef": "c1"});
    with(object("PackReceipt", "ont-system", name, &format!("u-{name}"), born, &spec), values)
}

fn finding(code: &'static str, severity: &'static str, subject: impl Into<String>, detail: Value) -> Expected {
    Expected { code, severity, subject: subject.into(), detail }
}

fn of_object(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/kind");
    let cluster = if kind == "PackReceipt" { text("/spec/targetClusterRef") } else { "" };
    let uid = Some(text("/metadata/uid")).filter(|uid| !uid.is_empty()).unwrap_or("-");
    format!("object:{kind}/{cluster}/{}/{}/{uid}", text("/metadata/namespace"), text("/metadata/name"))
}

fn on(object: &Value, code: &'static str, severity: &'static str) -> Expected {
    finding(code, severity, of_object(object), json!({}))
}

fn on_epoch(epoch: &str, code: &'static str, severity: &'static str, detail: Value) -> Expected {
    finding(code, severity, format!("epoch:{NS}/pe@{epoch}"), detail)
}

fn gap(kind: &str, from: i64, to: i64) -> Value {
    json!({"gaps": [{"kind": kind, "from": from, "to": to}]})
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    [
        gaps(),
        forks(),
        broken_links(),
        rewrites(),
        actives(),
        lives(),
        statuses(),
        regressions(),
        orphans(),
        claims(),
        versions_and_charts(),
        digests_and_signatures(),
        executed(),
        dangling(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn gaps() -> Vec<Scenario> {
    let (r1, r2) = (superseded(result("pe-r1", 10, 1)), superseded(after(result("pe-r2", 20, 2), "pe-r1")));
    let r3 = after(result("pe-r3", 30, 3), "pe-r2");
    let late = || on_epoch("e1", "STARTED_LATE", "info", gap("BEFORE_FIRST_SEEN", 1, 2));
    let hole = || on_epoch("e1", "REVISION_GAP", "warning", gap("HOLE", 2, 2));
    let (first, second) =
        (owned_by(result("pe-r1", 10, 1), "e1"), owned_by(after(result("pe-r2", 25, 2), "pe-r1"), "e2"));
    let e2 = seen(21, &execution("pe", "e2", 20));
    let before = on_epoch("e2", "STARTED_LATE", "info", gap("BEFORE_FIRST_SEEN", 1, 1));
    vec![
        Told("REVISION_GAP", "a hole closes with the revision that was missing")
            .opens(vec![e1(), seen(11, &r1), seen(31, &r3)], vec![hole()])
            .then(vec![seen(21, &r2)], vec![]),
        Told("REVISION_GAP", "a deleted revision was seen and leaves no hole, its neighbour does")
            .opens(vec![e1(), seen(11, &r1), seen(31, &r3), gone(40, &r1)], vec![hole()])
            .then(vec![gone(29, &r2)], vec![]),
        Told("STARTED_LATE", "a late start closes with the first revisions")
            .opens(vec![e1(), seen(31, &r3)], vec![late()])
            .then(vec![seen(11, &r1), seen(21, &r2)], vec![]),
        Told("STARTED_LATE", "a late start becomes a hole once the first revision is seen")
            .opens(vec![e1(), seen(31, &r3)], vec![late()])
            .then(vec![seen(11, &r1)], vec![hole()]),
        Told("STARTED_LATE", "an epoch that goes on from an older one did not start late")
            .opens(vec![e2, seen(26, &second)], vec![before])
            .then(vec![e1(), seen(11, &first)], vec![]),
    ]
}

fn forks() -> Vec<Scenario> {
    let a = superseded(result("pe-r1", 10, 1));
    let b = with(result("pe-r1-b", 20, 1), &[("spec/capability", json!("pack-deploy"))]);
    let forked = on_epoch(
        "e1",
        "REVISION_FORK",
        "error",
        json!({"forks": [{"revision": 1, "members": ["u-pe-r1", "u-pe-r1-b"]}]}),
    );
    let r2 = superseded(after(result("pe-r2", 20, 2), "pe-r1"));
    let r3 = after(result("pe-r3", 30, 3), "pe-r1");
    let children = || {
        vec![
            on_epoch(
                "e1",
                "REVISION_FORK",
                "error",
                json!({"forks": [{"revision": 2, "members": ["u-pe-r2", "u-pe-r3"]}]}),
            ),
            on_epoch("e1", "BROKEN_LINK", "warning", json!({"results": [{"revision": 3, "ident": "u-pe-r3"}]})),
        ]
    };
    let twin = with(a.clone(), &[("metadata/name", json!("pe-r1-c")), ("metadata/uid", json!("u-c"))]);
    vec![
        Told("REVISION_FORK", "two results of one revision are none once one is of another epoch")
            .opens(vec![e1(), seen(11, &a), seen(21, &b)], vec![forked])
            .then(vec![seen(16, &execution("pe", "e2", 15))], vec![]),
        Told("REVISION_FORK", "two children of one predecessor fork, and their deletion does not undo it")
            .opens(vec![e1(), seen(11, &a), seen(21, &r2), seen(31, &r3)], children())
            .then(vec![gone(41, &r2), gone(42, &r3)], children()),
        Told("REVISION_FORK", "an equal result under another uid is a duplicate and no fork")
            .opens(vec![e1(), seen(11, &a)], vec![])
            .then(vec![seen(12, &twin)], vec![]),
    ]
}

fn broken_links() -> Vec<Scenario> {
    let r1 = superseded(result("pe-r1", 10, 1));
    let past = after(result("pe-r2", 20, 2), "pe-r0");
    let twin = with(r1.clone(), &[("metadata/name", json!("pe-r0")), ("metadata/uid", json!("u-pe-r0"))]);
    let itself = after(result("pe-r2", 20, 2), "pe-r2");
    let broken = |results: Value| on_epoch("e1", "BROKEN_LINK", "warning", json!({ "results": results }));
    let row = |revision: i64| json!({"revision": revision, "ident": format!("u-pe-r{revision}")});
    let ahead = superseded(after(result("pe-r1", 20, 1), "pe-r2"));
    let back = after(result("pe-r2", 10, 2), "pe-r1");
    let started_late = on_epoch("e1", "STARTED_LATE", "info", gap("BEFORE_FIRST_SEEN", 1, 1));
    vec![
        Told("BROKEN_LINK", "a reference to a name never seen is whole once that has the revision before")
            .opens(vec![e1(), seen(11, &r1), seen(21, &past)], vec![broken(json!([row(2)]))])
            .then(vec![seen(12, &twin)], vec![]),
        Told("BROKEN_LINK", "a missing reference is not broken before the predecessor is seen")
            .opens(vec![e1(), seen(21, &past)], vec![started_late.clone()])
            .then(vec![seen(11, &r1)], vec![broken(json!([row(2)]))]),
        Told("BROKEN_LINK", "a reference to itself stays broken")
            .opens(vec![e1(), seen(21, &itself)], vec![broken(json!([row(2)])), started_late])
            .then(vec![seen(11, &r1), gone(30, &itself)], vec![broken(json!([row(2)]))]),
        Told("BROKEN_LINK", "a circle of references is broken all around")
            .opens(vec![e1(), seen(21, &ahead)], vec![])
            .then(vec![seen(12, &back)], vec![broken(json!([row(1), row(2)]))]),
    ]
}

fn rewrites() -> Vec<Scenario> {
    let r1 = result("pe-r1", 10, 1);
    let changed = with(r1.clone(), &[("spec/capability", json!("other"))]);
    let (one, two) = (in_place(1, &[]), in_place(2, &[]));
    let run = execution("pe", "e1", 0);
    let rerun = with(run.clone(), &[("spec/clusterPackRef", json!(""))]);
    let (bare, rewritten) = (without_uid(run.clone()), without_uid(rerun.clone()));
    let p1 = pack("p", 0, &[]);
    let p2 = pack("p", 0, &[("spec/version", json!("v2.0.0-r1"))]);
    let rollback = pack("p", 0, &[("spec/rollbackToRevision", json!(3))]);
    let relabelled = pack("p", 0, &[("spec/targetClusters", json!(["c1"]))]);
    let signed = receipt("x", 0, &[("spec/packSignature", json!("s1"))]);
    let resigned = receipt("x", 0, &[("spec/packSignature", json!("s2")), ("spec/rbacDigest", json!("sha256:a"))]);
    let altered = receipt("x", 0, &[("spec/packSignature", json!("s1")), ("spec/rbacDigest", json!("sha256:a"))]);
    let error = |object: &Value| vec![on(object, "SPEC_REWRITTEN", "error")];
    let info = |object: &Value| vec![on(object, "SPEC_REWRITTEN", "info")];
    vec![
        Told("SPEC_REWRITTEN", "a sealed result that changed stays contradicted, also once it is as it was, and gone")
            .opens(vec![e1(), seen(11, &r1), seen(12, &changed)], error(&r1))
            .then(vec![seen(13, &r1), gone(14, &r1)], error(&r1)),
        Told("SPEC_REWRITTEN", "a result of the era that patched in place is expected to change")
            .opens(vec![e1(), seen(11, &one), seen(12, &two)], info(&one))
            .then(vec![gone(20, &two)], info(&one)),
        Told("SPEC_REWRITTEN", "an execution is never expected to change")
            .opens(vec![seen(1, &run), seen(2, &rerun)], error(&run))
            .then(vec![gone(3, &rerun)], error(&run)),
        Told("SPEC_REWRITTEN", "a dump without uid leaves the rewritten one once its twin is known")
            .opens(vec![seen(1, &bare), seen(2, &rewritten)], error(&bare))
            .then(vec![seen(3, &run)], vec![]),
        Told("SPEC_REWRITTEN", "a pack's change is expected once the rollback between is seen")
            .opens(vec![seen(1, &p1), seen(9, &p2)], error(&p1))
            .then(vec![seen(5, &rollback)], info(&p1)),
        Told("SPEC_REWRITTEN", "a pack may change in what is not sealed, and one other step makes it an error")
            .opens(vec![seen(1, &p1), seen(3, &relabelled)], info(&p1))
            .then(vec![seen(5, &p2)], error(&p1)),
        Told("SPEC_REWRITTEN", "a receipt is rewritten with a new signature")
            .opens(vec![seen(1, &signed), seen(2, &resigned)], info(&signed))
            .then(vec![gone(3, &resigned)], info(&signed)),
        Told("SPEC_REWRITTEN", "a receipt that keeps its signature may not change")
            .opens(vec![seen(1, &signed), seen(2, &altered)], error(&signed))
            .then(vec![gone(3, &altered)], error(&signed)),
    ]
}

fn actives() -> Vec<Scenario> {
    let (r1, r2) = (result("pe-r1", 10, 1), after(result("pe-r2", 20, 2), "pe-r1"));
    let two = || {
        let results = json!([{"revision": 1, "ident": "u-pe-r1"}, {"revision": 2, "ident": "u-pe-r2"}]);
        vec![finding("TWO_ACTIVES", "warning", format!("sequence:{NS}/pe"), json!({ "results": results }))]
    };
    let opening = || vec![e1(), seen(11, &r1), seen(21, &r2)];
    let again = owned_by(result("pe-r1-again", 30, 1), "e2");
    let epochs = json!([{"revision": 1, "ident": "u-pe-r1"}, {"revision": 1, "ident": "u-pe-r1-again"}]);
    let over_epochs = finding("TWO_ACTIVES", "warning", format!("sequence:{NS}/pe"), json!({ "results": epochs }));
    let e2 = seen(26, &execution("pe", "e2", 25));
    let namesake = with(r1.clone(), &[("metadata/name", json!("pe-r1-b"))]);
    let same = json!([{"revision": 1, "ident": "u-pe-r1"}, {"revision": 1, "ident": "u-pe-r1"}]);
    let namesakes = finding("TWO_ACTIVES", "warning", format!("sequence:{NS}/pe"), json!({ "results": same }));
    vec![
        Told("TWO_ACTIVES", "two results with one uid are two")
            .opens(vec![e1(), seen(11, &r1), seen(11, &namesake)], vec![namesakes])
            .then(vec![gone(22, &r1)], vec![]),
        Told("TWO_ACTIVES", "the label of the replaced result leaves one active")
            .opens(opening(), two())
            .then(vec![seen(22, &superseded(r1.clone()))], vec![]),
        Told("TWO_ACTIVES", "the deletion of the replaced result leaves one active")
            .opens(opening(), two())
            .then(vec![gone(22, &r1)], vec![]),
        Told("TWO_ACTIVES", "results of two epochs count together, until one is gone with its owner")
            .opens(vec![e1(), seen(11, &r1), e2, seen(31, &again)], vec![over_epochs])
            .then(vec![seen(12, &owned_by(r1.clone(), "e1"))], vec![]),
    ]
}

fn lives() -> Vec<Scenario> {
    let run = execution("pe", "e1", 0);
    let other = execution("pe", "e2", 40);
    let back = || vec![on(&run, "RESURRECTED", "warning")];
    let opening = || vec![seen(10, &run), gone(20, &run), seen(30, &run)];
    vec![
        Told("RESURRECTED", "what came back is gone again").opens(opening(), back()).then(vec![gone(40, &run)], vec![]),
        Told("RESURRECTED", "what came back is closed by the younger object of its name")
            .opens(opening(), back())
            .then(vec![seen(41, &other)], vec![]),
        Told("RESURRECTED", "a record older than the deletion brings nothing back")
            .opens(vec![gone(20, &run)], vec![])
            .then(vec![seen(10, &run)], vec![]),
    ]
}

fn statuses() -> Vec<Scenario> {
    let failed_step = ("spec/steps", json!([{"name": "a", "status": "Succeeded"}, {"name": "b", "status": "Failed"}]));
    let reason = ("spec/failureReason", json!({"category": "ExecutionFailure", "reason": "it broke"}));
    let failed = ("spec/status", json!("Failed"));
    let good = || seen(30, &in_place(2, &[]));
    let case = |name, told: &[(&'static str, Value)], code, severity| {
        let result = in_place(1, told);
        Told(code, name)
            .opens(vec![e1(), seen(11, &result)], vec![on(&result, code, severity)])
            .then(vec![good()], vec![on(&result, "SPEC_REWRITTEN", "info")])
    };
    let fine = |name, told: &[(&'static str, Value)], code| {
        Told(code, name).opens(vec![e1(), seen(11, &in_place(1, told))], vec![]).then(vec![], vec![])
    };
    let times = |started: i64, completed: i64| {
        [("spec/startedAt", json!(time(started))), ("spec/completedAt", json!(time(completed)))]
    };
    let (status, order) = ("STATUS_INCONSISTENT", "TIME_INCONSISTENT");
    vec![
        case("a success with a failed step", std::slice::from_ref(&failed_step), status, "warning"),
        case("a success with a failure reason", std::slice::from_ref(&reason), status, "warning"),
        case("a failure without a reason", std::slice::from_ref(&failed), status, "warning"),
        case(
            "a failure with a word for a reason",
            &[failed.clone(), ("spec/failureReason", json!("oops"))],
            status,
            "warning",
        ),
        fine("a failure with a failed step and a reason", &[failed, failed_step, reason], status),
        fine("a success with a null for a reason", &[("spec/failureReason", Value::Null)], status),
        case("completed before it started", &times(10, 9), order, "info"),
        fine("completed in the moment in which it started", &times(10, 10), order),
    ]
}

fn regressions() -> Vec<Scenario> {
    let at = |version: &str| pack("p", 0, &[("spec/version", json!(version)), ("spec/rollbackToRevision", json!(1))]);
    let (high, low, higher) = (at("v4.10.0-r1"), at("v4.9.0-r1"), at("v4.10.0-r2"));
    let rewritten = || on(&high, "SPEC_REWRITTEN", "info");
    let back = finding("VERSION_REGRESSED", "info", of_object(&high), json!({"from": "v4.10.0-r1", "to": "v4.9.0-r1"}));
    let of_base = |name: &str, version: &str| {
        seen(1, &pack(name, 0, &[("spec/version", json!(version)), ("spec/basePackName", json!("base"))]))
    };
    let runs = |name: &str, born: i64, pack: &str, version: &str| {
        seen(born + 1, &executing(name, &format!("u-{name}"), born, pack, version))
    };
    let family =
        finding("VERSION_REGRESSED", "info", "family:c1/base", json!({"from": "v2.0.0-r1", "to": "v1.0.0-r1"}));
    vec![
        Told("VERSION_REGRESSED", "a pack goes back and then beyond where it was")
            .opens(vec![seen(1, &high), seen(2, &low)], vec![rewritten(), back.clone()])
            .then(vec![seen(3, &higher)], vec![rewritten()]),
        Told("VERSION_REGRESSED", "a pack that stays back stays so when it is gone")
            .opens(vec![seen(1, &high), seen(2, &low)], vec![rewritten(), back.clone()])
            .then(vec![gone(3, &low)], vec![rewritten(), back]),
        Told("VERSION_REGRESSED", "a base pack goes back on a cluster until a later execution catches up")
            .opens(
                vec![
                    of_base("base-1", "v1.0.0-r1"),
                    of_base("base-2", "v2.0.0-r1"),
                    runs("a", 10, "base-2", "v2.0.0-r1"),
                    runs("b", 20, "base-1", "v1.0.0-r1"),
                ],
                vec![family],
            )
            .then(vec![runs("c", 30, "base-2", "v2.0.0-r1")], vec![]),
    ]
}

fn orphans() -> Vec<Scenario> {
    let r1 = result("pe-r1", 10, 1);
    let orphan = |object: &Value| vec![on(object, "ORPHAN_RESULT", "info")];
    let owned = owned_by(r1.clone(), "e1");
    let stranger = seen(6, &execution("pe", "e9", 5));
    let unnamed = object("PackOperationResult", NS, "pe", "u-pe", 10, &json!({"revision": 1}));
    let named = with(unnamed.clone(), &[("metadata/labels", json!({"ontai.dev/pack-execution": "pe"}))]);
    let lonely = executing("pe", "e1", 10, "p", "v1.0.0-r1");
    let without_pack = || vec![on(&lonely, "ORPHAN_EXECUTION", "info")];
    let system = with(pack("p", 5, &[]), &[("metadata/namespace", json!("seam-system"))]);
    vec![
        Told("ORPHAN_RESULT", "a result has its execution once that is seen")
            .opens(vec![seen(11, &r1)], orphan(&r1))
            .then(vec![e1()], vec![]),
        Told("ORPHAN_RESULT", "a younger execution of the name is not that of the result")
            .opens(vec![seen(11, &r1)], orphan(&r1))
            .then(vec![seen(21, &execution("pe", "e2", 20))], orphan(&r1)),
        Told("ORPHAN_RESULT", "an owner is known by its uid, not by its name")
            .opens(vec![seen(11, &owned), stranger], orphan(&owned))
            .then(vec![e1()], vec![]),
        Told("ORPHAN_RESULT", "a result that names no execution is not of the one with its own name until it says so")
            .opens(vec![e1(), seen(11, &unnamed)], orphan(&unnamed))
            .then(vec![seen(12, &named)], vec![]),
        Told("ORPHAN_EXECUTION", "an execution has its pack once that is seen, also among the system's")
            .opens(vec![seen(11, &lonely)], without_pack())
            .then(vec![seen(12, &system)], vec![]),
        Told("ORPHAN_EXECUTION", "a pack born after the execution is not what it ran")
            .opens(vec![seen(11, &lonely)], without_pack())
            .then(vec![seen(21, &pack("p", 20, &[]))], without_pack()),
    ]
}

fn claims() -> Vec<Scenario> {
    let claim = |told: bool| receipt("x", 0, &[("status/verified", json!(told))]);
    let silent = receipt("x", 0, &[("status/acknowledged", json!(true))]);
    let spec_claim =
        |told: bool| receipt("x", 0, &[("spec/signatureVerified", json!(told)), ("status/verified", json!(!told))]);
    let drift = |word: &str| receipt("x", 0, &[("status/driftStatus", json!(word))]);
    let unverified = |object: &Value| vec![on(object, "RECEIPT_UNVERIFIED", "critical")];
    let drifted = || vec![on(&drift("Drifted"), "RECEIPT_DRIFTED", "warning")];
    let of = |name: &str| receipt(name, 0, &[("spec/clusterPackRef", json!({"name": "p"}))]);
    let (a, b) = (of("a"), of("b"));
    let twice = || {
        let receipts = json!(["PackReceipt/c1/ont-system/a/u-a", "PackReceipt/c1/ont-system/b/u-b"]);
        vec![finding("DUPLICATE_RECEIPT", "info", "delivery:c1/p", json!({ "receipts": receipts }))]
    };
    let other = receipt("b", 0, &[("spec/clusterPackRef", json!("q")), ("spec/packSignature", json!("s"))]);
    vec![
        Told("RECEIPT_UNVERIFIED", "a later claim that it verified ends the incident")
            .opens(vec![seen(1, &claim(false))], unverified(&claim(false)))
            .then(vec![seen(2, &claim(true))], vec![]),
        Told("RECEIPT_UNVERIFIED", "neither silence nor its end takes the claim back")
            .opens(vec![seen(1, &claim(false))], unverified(&claim(false)))
            .then(vec![seen(2, &silent), gone(3, &silent)], unverified(&claim(false))),
        Told("RECEIPT_UNVERIFIED", "the claim of the spec counts before that of the status")
            .opens(vec![seen(1, &spec_claim(false))], unverified(&claim(false)))
            .then(vec![seen(2, &spec_claim(true))], vec![on(&claim(false), "SPEC_REWRITTEN", "error")]),
        Told("RECEIPT_DRIFTED", "a cluster is in sync again")
            .opens(vec![seen(1, &drift("Drifted"))], drifted())
            .then(vec![seen(2, &drift("InSync"))], vec![]),
        Told("RECEIPT_DRIFTED", "a receipt that is gone tells no more of drift")
            .opens(vec![seen(1, &drift("Drifted"))], drifted())
            .then(vec![gone(2, &drift("Drifted"))], vec![]),
        Told("DUPLICATE_RECEIPT", "one of two receipts goes")
            .opens(vec![seen(1, &a), seen(2, &b)], twice())
            .then(vec![gone(3, &a)], vec![]),
        Told("DUPLICATE_RECEIPT", "one of two receipts turns to another pack")
            .opens(vec![seen(1, &a), seen(2, &b)], twice())
            .then(vec![seen(3, &other)], vec![on(&b, "SPEC_REWRITTEN", "info")]),
    ]
}

fn versions_and_charts() -> Vec<Scenario> {
    let run = executing("pe", "e1", 10, "p", "v1.0.0-r1");
    let later = pack("p", 0, &[("spec/version", json!("v2.0.0-r1")), ("spec/rollbackToRevision", json!(1))]);
    let earlier = pack("p", 0, &[("spec/version", json!("v1.0.0-r1"))]);
    let versions = json!({"execution": "v1.0.0-r1", "pack": "v2.0.0-r1"});
    let mismatch = || vec![finding("PACK_VERSION_MISMATCH", "warning", of_object(&run), versions.clone())];
    let charted =
        |version: &str| pack("p", 0, &[("spec/chartName", json!("nginx")), ("spec/chartVersion", json!(version))]);
    let chart = |object: Value| {
        with(object, &[("spec/clusterPackRef", json!({"name": "p"})), ("spec/chartVersion", json!("1.0"))])
    };
    let charts = json!({"record": {"version": "1.0"}, "pack": {"name": "nginx", "version": "1.1"}});
    let differs = |object: &Value| vec![finding("CHART_MISMATCH", "warning", of_object(object), charts.clone())];
    let rewritten = || vec![on(&earlier, "SPEC_REWRITTEN", "info")];
    let (ran, received) = (chart(execution("pe", "e1", 10)), chart(receipt("x", 10, &[])));
    vec![
        Told("PACK_VERSION_MISMATCH", "the version that the pack had at the execution's birth is seen late")
            .opens(vec![seen(20, &later), seen(11, &run)], mismatch())
            .then(vec![seen(5, &earlier)], rewritten()),
        Told("PACK_VERSION_MISMATCH", "a pack that gets the version later leaves the mismatch")
            .opens(vec![seen(5, &later), seen(11, &run)], mismatch())
            .then(
                vec![seen(20, &earlier)],
                [
                    mismatch(),
                    rewritten(),
                    vec![finding("VERSION_REGRESSED", "info", of_object(&earlier), json!({"to": "v1.0.0-r1"}))],
                ]
                .concat(),
            ),
        Told("CHART_MISMATCH", "the chart that the pack had at the execution's birth is seen late")
            .opens(vec![seen(20, &charted("1.1")), seen(11, &ran)], differs(&ran))
            .then(vec![seen(5, &charted("1.0"))], rewritten()),
        Told("CHART_MISMATCH", "the chart that the pack had at the receipt's birth is seen late")
            .opens(vec![seen(20, &charted("1.1")), seen(11, &received)], differs(&received))
            .then(vec![seen(5, &charted("1.0"))], rewritten()),
    ]
}

fn digests_and_signatures() -> Vec<Scenario> {
    let carries = |rbac: &str, workload: &str| {
        pack(
            "p",
            0,
            &[
                ("spec/rbacDigest", json!(rbac)),
                ("spec/workloadDigest", json!(workload)),
                ("spec/rollbackToRevision", json!(1)),
            ],
        )
    };
    let (first, second) = (carries("sha256:a", "sha256:b"), carries("sha256:c", "sha256:d"));
    let received = receipt(
        "x",
        10,
        &[
            ("spec/clusterPackRef", json!("p")),
            ("spec/rbacDigest", json!("sha256:a")),
            ("spec/workloadDigest", json!("sha256:d")),
        ],
    );
    let differs =
        |roles: Value| finding("LAYER_DIGEST_MISMATCH", "error", of_object(&received), json!({ "roles": roles }));
    let rewritten = on(&first, "SPEC_REWRITTEN", "info");
    let signed = |signature: &str| {
        let key = "infrastructure.ontai.dev/management-signature";
        with(
            object("PackInstance", NS, "inst", "u-inst", 0, &json!({})),
            &[("metadata/annotations", json!({ key: signature }))],
        )
    };
    let named = receipt("x", 10, &[("spec/packInstanceRef", json!("inst")), ("spec/packSignature", json!("s2"))]);
    let mismatch = || {
        let detail = json!({"instance": format!("PackInstance//{NS}/inst/u-inst")});
        vec![finding("SIGNATURE_MISMATCH", "error", of_object(&named), detail)]
    };
    let resigned = receipt("x", 10, &[("spec/packInstanceRef", json!("inst")), ("spec/packSignature", json!("s1"))]);
    vec![
        Told("LAYER_DIGEST_MISMATCH", "any version of the pack may carry a layer, before or after")
            .opens(vec![seen(1, &first), seen(11, &received)], vec![differs(json!(["workload"]))])
            .then(vec![seen(20, &second)], vec![rewritten]),
        Told("LAYER_DIGEST_MISMATCH", "the other layer is missed as well")
            .opens(vec![seen(1, &second), seen(11, &received)], vec![differs(json!(["rbac"]))])
            .then(vec![gone(20, &second)], vec![differs(json!(["rbac"]))]),
        Told("SIGNATURE_MISMATCH", "the instance is signed with what the receipt has")
            .opens(vec![seen(1, &signed("s1")), seen(11, &named)], mismatch())
            .then(vec![seen(12, &signed("s2"))], vec![]),
        Told("SIGNATURE_MISMATCH", "the receipt takes over the instance's signature")
            .opens(vec![seen(1, &signed("s1")), seen(11, &named)], mismatch())
            .then(vec![seen(12, &resigned)], vec![on(&named, "SPEC_REWRITTEN", "info")]),
    ]
}

fn executed() -> Vec<Scenario> {
    let run = with(executing("pe", "e1", 10, "p", "v1.0.0-r1"), &[("status/jobName", json!("job"))]);
    let told = json!([{"type": "Running", "status": "True", "lastTransitionTime": time(15)}]);
    let running = with(executing("pe", "e1", 10, "p", "v1.0.0-r1"), &[("status/conditions", told)]);
    let signed = |told: bool| pack("p", 0, &[("status/signed", json!(told))]);
    let revoked = |told: &str| pack("p", 0, &[("status/conditions", json!([{"type": "Revoked", "status": told}]))]);
    let unsigned = || vec![on(&run, "EXECUTED_UNSIGNED", "error")];
    let while_revoked = || vec![on(&run, "EXECUTED_REVOKED", "error")];
    vec![
        Told("EXECUTED_UNSIGNED", "the signature was there in time and is seen late")
            .opens(vec![seen(5, &signed(false)), seen(15, &run)], unsigned())
            .then(vec![seen(12, &signed(true))], vec![]),
        Told("EXECUTED_UNSIGNED", "a signature after the execution comes too late")
            .opens(vec![seen(5, &signed(false)), seen(20, &running)], unsigned())
            .then(vec![seen(16, &signed(true))], unsigned()),
        Told("EXECUTED_REVOKED", "the revocation was lifted in time, which is seen late")
            .opens(vec![seen(5, &revoked("True")), seen(20, &running)], while_revoked())
            .then(vec![seen(14, &revoked("False"))], vec![]),
        Told("EXECUTED_REVOKED", "a revocation that is lifted after the execution stays")
            .opens(vec![seen(5, &revoked("True")), seen(15, &run)], while_revoked())
            .then(vec![seen(20, &revoked("False"))], while_revoked()),
    ]
}

fn dangling() -> Vec<Scenario> {
    let reports = with(execution("pe", "e1", 0), &[("status/operationResultRef", json!("pe-r1"))]);
    let dangling = || vec![finding("DANGLING_RESULT_REF", "info", of_object(&reports), json!({"name": "pe-r1"}))];
    vec![
        Told("DANGLING_RESULT_REF", "the result that was reported is seen")
            .opens(vec![seen(20, &reports)], dangling())
            .then(vec![seen(11, &result("pe-r1", 10, 1))], vec![]),
        Told("DANGLING_RESULT_REF", "the execution reports another result, which is known")
            .opens(vec![seen(20, &reports), seen(11, &result("pe-r2", 10, 1))], dangling())
            .then(vec![seen(21, &with(reports.clone(), &[("status/operationResultRef", json!("pe-r2"))]))], vec![]),
        Told("DANGLING_RESULT_REF", "a result that was born after the report is another")
            .opens(vec![seen(20, &reports)], dangling())
            .then(vec![seen(31, &result("pe-r1", 30, 1))], dangling()),
    ]
}
