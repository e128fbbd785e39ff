//! Findings: what is wrong, or worth knowing, about records and what they say of each other.
//!
//! A finding is open while its cause holds and closes with it. Here the causes are derived anew from
//! what is known; the store compares them with what is open and keeps the history.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::facts::{Chart, Detail, PackFacts, ReceiptFacts};
use super::history::Version;
use super::identity::NaturalKey;
use super::kind;
use super::pack_version::PackVersion;
use super::reference;
use super::world::{Object, Reader, pack_name, resolve_pack};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Should be looked at.
    Warning,
    /// The records contradict each other.
    Error,
    /// A security incident.
    Critical,
}

impl Severity {
    /// The name under which it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One object: its natural key and uid.
    Object(NaturalKey, Option<String>),
    /// One epoch of a sequence.
    Epoch(NaturalKey, String),
    /// A sequence.
    Sequence(NaturalKey),
    /// All receipts for a pack on a cluster.
    Delivery(NaturalKey),
    /// All executions of a base pack on a cluster.
    Family(NaturalKey),
    /// Something that a task pack aims at: the pack, and the field of its manifest.
    Objective(NaturalKey, &'static str),
}

impl Subject {
    /// The subject that is an object.
    #[must_use]
    pub fn object(object: &Object) -> Self {
        Self::Object(object.key.clone(), object.uid.clone())
    }

    /// The natural key of the record or collection.
    #[must_use]
    pub fn key(&self) -> &NaturalKey {
        match self {
            Self::Object(key, _)
            | Self::Epoch(key, _)
            | Self::Sequence(key)
            | Self::Delivery(key)
            | Self::Family(key)
            | Self::Objective(key, _) => key,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object(key, uid) => write!(f, "object:{}", key.object_key(uid.as_deref())),
            Self::Epoch(key, epoch) => write!(f, "epoch:{}/{}@{epoch}", key.namespace, key.name),
            Self::Sequence(key) => write!(f, "sequence:{}/{}", key.namespace, key.name),
            Self::Delivery(key) => write!(f, "delivery:{}/{}", key.cluster, key.name),
            Self::Family(key) => write!(f, "family:{}/{}", key.cluster, key.name),
            // A task pack has its version where others have a cluster.
            Self::Objective(key, field) => write!(f, "objective:{}@{}#{field}", key.name, key.cluster),
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its code, as documented.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// The row of the object that it is about, if it is about one.
    pub object: Option<i64>,
    /// The cluster that it is about: the target of its records; empty where they have none.
    pub cluster: String,
    /// What it was derived from, for people.
    pub detail: Map<String, Value>,
}

impl Finding {
    /// A finding without details.
    #[must_use]
    pub fn new(code: &'static str, severity: Severity, subject: Subject) -> Self {
        let cluster = match &subject {
            Subject::Objective(..) => String::new(),
            subject => subject.key().cluster.clone(),
        };
        Self { code, severity, subject, object: None, cluster, detail: Map::new() }
    }

    /// A finding about an object.
    #[must_use]
    pub fn on(code: &'static str, severity: Severity, object: &Object) -> Self {
        let finding = Self::new(code, severity, Subject::object(object)).on_cluster(object.cluster());
        Self { object: Some(object.id), ..finding }
    }

    /// Says which cluster it is about.
    #[must_use]
    pub fn on_cluster(mut self, cluster: Option<&str>) -> Self {
        if let Some(cluster) = cluster {
            cluster.clone_into(&mut self.cluster);
        }
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.detail.insert(name.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
        self
    }
}

/// The findings on the objects of one natural key, and the collections they join.
pub fn derive(reader: &Reader, key: &NaturalKey) -> (Vec<Finding>, Vec<NaturalKey>) {
    let mut findings = Vec::new();
    let mut joins = Vec::new();
    for object in reader.group(key) {
        findings.extend(history_findings(object));
        match &object.latest().content.facts.detail {
            Detail::Result(_) => {
                findings.extend(result_findings(object));
                joins.push(NaturalKey::sequence(&key.namespace, object.sequence_name().0));
            }
            Detail::Execution(_) => {
                findings.extend(execution_findings(reader, object));
                joins.extend(family(reader, object));
            }
            Detail::Pack(_) => findings.extend(regressed_pack(object)),
            Detail::Receipt(facts) => {
                findings.extend(receipt_findings(reader, object, facts));
                joins.extend(delivery(object));
            }
            Detail::Instance(_) | Detail::None => {}
        }
    }
    joins.sort();
    joins.dedup();
    (findings, joins)
}

/// The finding on a collection of receipts.
pub fn derive_delivery(reader: &Reader, key: &NaturalKey) -> Vec<Finding> {
    let mut live: Vec<String> = reader
        .members(key)
        .into_iter()
        .filter(|object| object.history.is_live() && delivery(object).as_ref() == Some(key))
        .map(Object::object_key)
        .collect();
    if live.len() < 2 {
        return Vec::new();
    }
    // Members come in the order in which they joined, which is that of arrival.
    live.sort();
    vec![Finding::new("DUPLICATE_RECEIPT", Severity::Info, Subject::Delivery(key.clone())).with("receipts", live)]
}

/// The finding on the executions of a base pack on a cluster.
pub fn derive_family(reader: &Reader, key: &NaturalKey) -> Vec<Finding> {
    let mut executions: Vec<&Object> =
        reader.members(key).into_iter().filter(|object| family(reader, object).as_ref() == Some(key)).collect();
    executions.sort_by_cached_key(|object| (object.birth(), object.ident(), object.object_key()));
    let version = |object: &&Object| match &object.latest().content.facts.detail {
        Detail::Execution(facts) => facts.pack.version.clone(),
        _ => None,
    };
    let versions: Vec<Option<String>> = executions.iter().map(version).collect();
    regression(&versions)
        .map(|(from, to)| {
            Finding::new("VERSION_REGRESSED", Severity::Info, Subject::Family(key.clone()))
                .with("from", &versions[from])
                .with("to", &versions[to])
                .with("executions", [executions[from].object_key(), executions[to].object_key()])
        })
        .into_iter()
        .collect()
}

/// How an object of a sealed kind was rewritten: `Info` where every step is one the platform itself
/// takes, `Error` where one is not, `None` where the spec never changed.
#[must_use]
pub fn rewrite(object: &Object) -> Option<Severity> {
    if !kind::is_sealed(&object.key.kind) {
        return None;
    }
    object
        .history
        .versions
        .windows(2)
        .filter(|pair| pair[0].content.spec != pair[1].content.spec)
        .map(|pair| if is_expected(object, &pair[0], &pair[1]) { Severity::Info } else { Severity::Error })
        .max()
}

fn is_expected(object: &Object, before: &Version, after: &Version) -> bool {
    match (&before.content.facts.detail, &after.content.facts.detail) {
        (Detail::Result(_), Detail::Result(_)) => {
            object.key.name == format!("pack-deploy-result-{}", object.sequence_name().0)
        }
        (Detail::Pack(a), Detail::Pack(b)) => a.rollback || b.rollback || a.anchor == b.anchor,
        (Detail::Receipt(a), Detail::Receipt(b)) => a.signature != b.signature,
        _ => false,
    }
}

fn history_findings(object: &Object) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(severity) = rewrite(object) {
        findings.push(Finding::on("SPEC_REWRITTEN", severity, object));
    }
    if object.history.is_resurrected() {
        findings.push(Finding::on("RESURRECTED", Severity::Warning, object));
    }
    findings
}

fn result_findings(object: &Object) -> Vec<Finding> {
    let Some(facts) = object.result() else {
        return Vec::new();
    };
    let is_inconsistent = match facts.status.as_deref() {
        Some("Succeeded") => facts.has_failure || facts.has_failed_step,
        Some("Failed") => !facts.has_failure,
        _ => false,
    };
    let mut findings = Vec::new();
    if is_inconsistent {
        findings.push(Finding::on("STATUS_INCONSISTENT", Severity::Warning, object));
    }
    if let (Some(started), Some(completed)) = (facts.started, facts.completed)
        && completed < started
    {
        findings.push(Finding::on("TIME_INCONSISTENT", Severity::Info, object));
    }
    findings
}

fn execution_findings(reader: &Reader, object: &Object) -> Vec<Finding> {
    let Detail::Execution(facts) = &object.latest().content.facts.detail else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if facts.pack.name.is_some() {
        match resolve_pack(reader, object) {
            None => findings.push(Finding::on("ORPHAN_EXECUTION", Severity::Info, object)),
            Some(pack) => findings.extend(against_pack(object, pack)),
        }
    }
    if let Some(name) = &facts.result
        && !reports_known_result(reader, object, name)
    {
        findings.push(Finding::on("DANGLING_RESULT_REF", Severity::Info, object).with("name", name));
    }
    findings
}

fn against_pack(object: &Object, pack: &Object) -> Vec<Finding> {
    let Detail::Execution(facts) = &object.latest().content.facts.detail else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if let Some(at_birth) = pack_at(pack, object.birth()) {
        if let (Some(wanted), Some(found)) = (&facts.pack.version, &at_birth.version)
            && wanted != found
        {
            findings.push(
                Finding::on("PACK_VERSION_MISMATCH", Severity::Warning, object)
                    .with("execution", wanted)
                    .with("pack", found),
            );
        }
        findings.extend(chart_mismatch(object, &facts.chart, at_birth));
    }
    if let Some(at) = executed_at(object)
        && let Some(then) = pack_at(pack, at)
    {
        if then.signed == Some(false) {
            findings.push(Finding::on("EXECUTED_UNSIGNED", Severity::Error, object));
        }
        if then.revoked {
            findings.push(Finding::on("EXECUTED_REVOKED", Severity::Error, object));
        }
    }
    findings
}

fn chart_mismatch(object: &Object, chart: &Chart, pack: &PackFacts) -> Option<Finding> {
    chart.contradicts(&pack.chart).then(|| {
        Finding::on("CHART_MISMATCH", Severity::Warning, object).with("record", chart).with("pack", &pack.chart)
    })
}

fn pack_at(pack: &Object, at: i64) -> Option<&PackFacts> {
    match &pack.history.version_at(at)?.content.facts.detail {
        Detail::Pack(facts) => Some(facts),
        _ => None,
    }
}

fn executed_at(object: &Object) -> Option<i64> {
    let executed = |version: &Version| match &version.content.facts.detail {
        Detail::Execution(facts) if facts.executed => Some(facts.executed_at.unwrap_or(version.from)),
        _ => None,
    };
    let Detail::Execution(latest) = &object.latest().content.facts.detail else {
        return None;
    };
    if !latest.executed {
        return None;
    }
    latest.executed_at.or_else(|| {
        object.history.versions.iter().find(|version| executed(version).is_some()).map(|version| version.from)
    })
}

fn reports_known_result(reader: &Reader, object: &Object, name: &str) -> bool {
    let at = object.status_reference_at(|version| match &version.content.facts.detail {
        Detail::Execution(facts) => facts.result.clone(),
        _ => None,
    });
    reference::report(reader, object, name, at).is_some()
}

fn family(reader: &Reader, object: &Object) -> Option<NaturalKey> {
    let pack = resolve_pack(reader, object)?;
    match &pack.latest().content.facts.detail {
        Detail::Pack(facts) => Some(NaturalKey::family(object.cluster()?, facts.base.as_deref()?)),
        _ => None,
    }
}

fn delivery(object: &Object) -> Option<NaturalKey> {
    Some(NaturalKey::delivery(object.cluster()?, pack_name(object.latest())?))
}

fn regressed_pack(object: &Object) -> Option<Finding> {
    let version = |version: &Version| match &version.content.facts.detail {
        Detail::Pack(facts) => facts.version.clone(),
        _ => None,
    };
    let versions: Vec<Option<String>> = object.history.versions.iter().map(version).collect();
    let (from, to) = regression(&versions)?;
    let finding = Finding::on("VERSION_REGRESSED", Severity::Info, object);
    Some(finding.with("from", &versions[from]).with("to", &versions[to]))
}

/// The places of the highest version and of the last one, if the last is lower. What is no version is
/// skipped, but a last one that is none compares with nothing.
fn regression(versions: &[Option<String>]) -> Option<(usize, usize)> {
    let parsed: Vec<Option<PackVersion>> =
        versions.iter().map(|version| version.as_deref().and_then(PackVersion::parse)).collect();
    let last = parsed.last()?.as_ref()?;
    let highest = parsed.iter().enumerate().filter_map(|(i, version)| Some((version.as_ref()?, i))).max()?;
    (last < highest.0).then_some((highest.1, versions.len() - 1))
}

fn receipt_findings(reader: &Reader, object: &Object, facts: &ReceiptFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if last_claim(object) == Some(false) {
        findings.push(Finding::on("RECEIPT_UNVERIFIED", Severity::Critical, object));
    }
    if object.history.is_live() && facts.drift.as_deref() == Some("Drifted") {
        findings.push(Finding::on("RECEIPT_DRIFTED", Severity::Warning, object));
    }
    if let Some(pack) = resolve_pack(reader, object) {
        findings.extend(pack_at(pack, object.birth()).and_then(|at| chart_mismatch(object, &facts.chart, at)));
        findings.extend(layer_mismatch(object, facts, pack));
    }
    findings.extend(signature_mismatch(reader, object, facts));
    findings
}

fn last_claim(object: &Object) -> Option<bool> {
    object.history.versions.iter().rev().find_map(|version| match &version.content.facts.detail {
        Detail::Receipt(facts) => facts.verified,
        _ => None,
    })
}

fn layer_mismatch(object: &Object, facts: &ReceiptFacts, pack: &Object) -> Option<Finding> {
    let carried = |digest: &Option<String>, role: fn(&PackFacts) -> &Option<String>| {
        digest.is_none()
            || pack.history.versions.iter().any(|version| match &version.content.facts.detail {
                Detail::Pack(facts) => role(facts) == digest,
                _ => false,
            })
    };
    let rbac = carried(&facts.rbac_digest, |pack| &pack.rbac_digest);
    let workload = carried(&facts.workload_digest, |pack| &pack.workload_digest);
    let roles: Vec<&str> =
        [(rbac, "rbac"), (workload, "workload")].into_iter().filter(|(ok, _)| !ok).map(|(_, role)| role).collect();
    (!roles.is_empty()).then(|| Finding::on("LAYER_DIGEST_MISMATCH", Severity::Error, object).with("roles", roles))
}

fn signature_of(version: &Version) -> Option<&str> {
    match &version.content.facts.detail {
        Detail::Receipt(facts) => facts.signature.as_deref(),
        _ => None,
    }
}

fn signature_mismatch(reader: &Reader, object: &Object, facts: &ReceiptFacts) -> Option<Finding> {
    let signature = facts.signature.as_deref()?;
    let name = |version: &Version| match &version.content.facts.detail {
        Detail::Receipt(facts) => facts.instance.clone().unwrap_or_else(|| object.key.name.clone()),
        _ => object.key.name.clone(),
    };
    // A new signature speaks of the instance of its own time, which may be another of the same name.
    let at = object.spec_reference_at(|version| (name(version), signature_of(version).map(ToOwned::to_owned)));
    let instance = reference::instance(reader, object, &name(object.latest()), at)?;
    let mut signatures = instance
        .history
        .versions
        .iter()
        .filter_map(|version| match &version.content.facts.detail {
            Detail::Instance(facts) => facts.signature.as_deref(),
            _ => None,
        })
        .peekable();
    signatures.peek()?;
    signatures
        .all(|known| known != signature)
        .then(|| Finding::on("SIGNATURE_MISMATCH", Severity::Error, object).with("instance", instance.object_key()))
}
