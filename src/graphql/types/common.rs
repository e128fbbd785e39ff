//! Parts that several records have.

use async_graphql::SimpleObject;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::enums::{ConditionStatus, OperationStatus};
use crate::domain::record::Resource;
use crate::domain::time::parse_rfc3339;
use crate::graphql::connection::Listed;
use crate::graphql::scalar::{DateTime, Int53};
use crate::service::query::{Body, member_text};

/// A label or an annotation.
#[derive(Debug, Clone, SimpleObject)]
pub struct KeyValue {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Where an item breaches its contract.
#[derive(Debug, Clone, SimpleObject, Deserialize)]
pub struct RecordWarning {
    /// A stable code.
    pub code: String,
    /// Where in the record, as a JSON path.
    pub path: String,
    /// What.
    pub message: String,
}

/// A Kubernetes condition, as the controller wrote it.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(name = "Condition")]
pub struct Condition {
    /// Its type, such as `Available` or `Succeeded`.
    #[graphql(name = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The word that the record has for it.
    pub status_raw: Option<String>,
    /// A word for programs.
    pub reason: Option<String>,
    /// A sentence for people.
    pub message: Option<String>,
    /// When the status last changed.
    pub last_transition_time: Option<DateTime>,
    /// The generation that it speaks of.
    pub observed_generation: Option<Int53>,
}

/// The Helm chart that a pack was rendered from; absent for packs that are no charts.
#[derive(Debug, Clone, SimpleObject)]
pub struct HelmChart {
    /// The chart's name.
    pub name: Option<String>,
    /// The chart's repository. Data: this server never fetches it.
    pub url: Option<String>,
    /// The chart's version.
    pub version: Option<String>,
    /// The version of the Helm SDK that rendered it.
    pub helm_version: Option<String>,
}

/// A Kubernetes resource that was applied.
#[derive(Debug, Clone, SimpleObject)]
pub struct AppliedResource {
    /// Its API version.
    pub api_version: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// Its namespace; null for cluster-scoped resources.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

impl AppliedResource {
    /// A resource that was read.
    #[must_use]
    pub fn of(resource: &Resource) -> Self {
        Self {
            api_version: Some(resource.api_version.clone()),
            kind: Some(resource.kind.clone()),
            namespace: Some(resource.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            name: Some(resource.name.clone()),
        }
    }
}

impl Listed for AppliedResource {
    const NAME: &'static str = "AppliedResource";
}

/// The result of one step of an operation.
#[derive(Debug, Clone, SimpleObject)]
pub struct OperationStep {
    /// The step, such as `pull-rbac-layer` or `wait-ready`.
    pub name: Option<String>,
    /// How it ended.
    pub status: OperationStatus,
    /// The word that the record has for it.
    pub status_raw: Option<String>,
    /// When it began.
    pub started_at: Option<DateTime>,
    /// When it ended.
    pub completed_at: Option<DateTime>,
    /// How long it took, in milliseconds; null where a time is missing or the end is before the start.
    pub duration_ms: Option<Int53>,
    /// More about the outcome.
    pub message: Option<String>,
}

/// The pairs of a map.
#[must_use]
pub fn pairs(body: &Body, path: &[&str]) -> Vec<KeyValue> {
    body.pairs(path).into_iter().map(|(key, value)| KeyValue { key, value }).collect()
}

/// `status.conditions`.
#[must_use]
pub fn conditions(body: &Body) -> Vec<Condition> {
    body.objects(&["status", "conditions"]).filter_map(condition).collect()
}

fn condition(object: &Map<String, Value>) -> Option<Condition> {
    let status_raw = member_text(object, "status");
    Some(Condition {
        kind: member_text(object, "type")?,
        status: ConditionStatus::of(status_raw.as_deref().unwrap_or_default()),
        status_raw,
        reason: member_text(object, "reason"),
        message: member_text(object, "message"),
        last_transition_time: member_time(object, "lastTransitionTime"),
        observed_generation: object.get("observedGeneration").and_then(Value::as_i64).map(Int53),
    })
}

/// The chart fields of `spec`; `None` where there are none.
#[must_use]
pub fn chart(body: &Body) -> Option<HelmChart> {
    let field = |name: &str| body.text(&["spec", name]);
    let chart = HelmChart {
        name: field("chartName"),
        url: field("chartURL"),
        version: field("chartVersion"),
        helm_version: field("helmVersion"),
    };
    let is_some = [&chart.name, &chart.url, &chart.version, &chart.helm_version].iter().any(|part| part.is_some());
    is_some.then_some(chart)
}

/// The resources that a list of a record names.
#[must_use]
pub fn applied_resources(body: &Body, path: &[&str]) -> Vec<AppliedResource> {
    body.objects(path)
        .map(|object| AppliedResource {
            api_version: member_text(object, "apiVersion"),
            kind: member_text(object, "kind"),
            namespace: member_text(object, "namespace").filter(|namespace| !namespace.is_empty()),
            name: member_text(object, "name"),
        })
        .collect()
}

/// `spec.steps`.
#[must_use]
pub fn steps(body: &Body) -> Vec<OperationStep> {
    body.objects(&["spec", "steps"])
        .map(|object| {
            let status_raw = member_text(object, "status");
            let (started_at, completed_at) = (member_time(object, "startedAt"), member_time(object, "completedAt"));
            OperationStep {
                name: member_text(object, "name"),
                status: OperationStatus::of(status_raw.as_deref().unwrap_or_default()),
                status_raw,
                started_at,
                completed_at,
                duration_ms: duration_ms(started_at, completed_at),
                message: member_text(object, "message"),
            }
        })
        .collect()
}

/// The milliseconds between two times; `None` where one is missing or they contradict each other.
#[must_use]
pub fn duration_ms(started: Option<DateTime>, completed: Option<DateTime>) -> Option<Int53> {
    let micros = completed?.0 - started?.0;
    (micros >= 0).then_some(Int53(micros / 1_000))
}

/// The time of a member.
#[must_use]
pub fn member_time(object: &Map<String, Value>, name: &str) -> Option<DateTime> {
    object.get(name).and_then(Value::as_str).and_then(parse_rfc3339).map(DateTime)
}
