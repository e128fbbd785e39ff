//! What a record says of its root: the sealed causal chain, and the labels of derived objects.

use async_graphql::{Enum, Object, SimpleObject};
use serde_json::{Map, Value};

use super::common::member_time;
use super::enums::CreationRationale;
use super::record::Recorded;
use super::reference::RecordRef;
use crate::domain::names::LABELS;
use crate::graphql::error::ApiError;
use crate::graphql::rows::One;
use crate::graphql::scalar::{DateTime, Int53};
use crate::service::query::{Body, Relation, bounded, member_text};

/// The form in which a causal chain is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum LineageShape {
    /// With `rootKind`, `rootName` …: as the operators write it.
    Root,
    /// With `originKind`, `originName` …: as the published schemas have it.
    Origin,
    /// With neither.
    Unknown,
}

/// An operator that made something.
#[derive(Debug, Clone, SimpleObject)]
pub struct CreatingOperator {
    /// Its name.
    name: Option<String>,
    /// Its version.
    version: Option<String>,
}

/// Why an object exists, written once at its creation. Both shapes that are in use are read into the
/// same fields; what a shape does not have is null.
#[derive(Debug, Clone, SimpleObject)]
pub struct SealedLineage {
    /// The shape that it is written in.
    shape: LineageShape,
    /// The kind of the root declaration.
    root_kind: Option<String>,
    /// The name of the root declaration.
    root_name: Option<String>,
    /// The namespace of the root declaration.
    root_namespace: Option<String>,
    /// The uid of the root declaration.
    root_uid: Option<String>,
    /// The operator that made the object.
    creating_operator: Option<CreatingOperator>,
    /// Why the object was made.
    creation_rationale: CreationRationale,
    /// The word that the record has for it.
    creation_rationale_raw: Option<String>,
    /// The generation at creation. By its name that of the root; operators are known to write the
    /// object's own.
    root_generation_at_creation: Option<Int53>,
    /// When the chain was sealed.
    sealed_at: Option<DateTime>,
    /// Who sealed it.
    sealed_by: Option<String>,
}

/// `spec.lineage`.
#[must_use]
pub fn sealed(body: &Body) -> Option<SealedLineage> {
    let chain = body.at(&["spec", "lineage"])?.as_object()?;
    let has = |prefix: &str| chain.keys().any(|name| name.starts_with(prefix));
    let shape = match (has("root"), has("origin")) {
        (true, _) => LineageShape::Root,
        (false, true) => LineageShape::Origin,
        (false, false) => LineageShape::Unknown,
    };
    let root = |part: &str| ["root", "origin"].iter().find_map(|shape| member_text(chain, &format!("{shape}{part}")));
    let rationale = member_text(chain, "creationRationale");
    Some(SealedLineage {
        shape,
        root_kind: root("Kind"),
        root_name: root("Name"),
        root_namespace: root("Namespace"),
        root_uid: root("UID"),
        creating_operator: chain.get("creatingOperator").and_then(operator),
        creation_rationale: CreationRationale::of(rationale.as_deref().unwrap_or_default()),
        creation_rationale_raw: rationale,
        root_generation_at_creation: member_int(chain, "rootGenerationAtCreation"),
        sealed_at: member_time(chain, "sealedAt"),
        sealed_by: member_text(chain, "sealedBy"),
    })
}

fn operator(value: &Value) -> Option<CreatingOperator> {
    match value {
        Value::Object(operator) => {
            Some(CreatingOperator { name: member_text(operator, "name"), version: member_text(operator, "version") })
        }
        Value::String(name) => Some(CreatingOperator { name: Some(bounded(name)), version: None }),
        _ => None,
    }
}

/// An integer of a member.
#[must_use]
pub fn member_int(object: &Map<String, Value>, name: &str) -> Option<Int53> {
    object.get(name).and_then(Value::as_i64).map(Int53)
}

/// What the labels of a derived object say of its root.
pub struct LineageLabels {
    recorded: Recorded,
    index: Option<String>,
    index_namespace: Option<String>,
    operator: Option<String>,
    rationale: Option<String>,
    actor: Option<String>,
}

impl LineageLabels {
    /// The labels of a record; `None` where it has none of them.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn of(recorded: &Recorded) -> Result<Option<Self>, ApiError> {
        let body = recorded.body().await?;
        let label = |name: &str| body.text(&["metadata", "labels", &format!("{LABELS}/{name}")]);
        let labels = Self {
            recorded: recorded.clone(),
            index: label("root-ili"),
            index_namespace: label("root-ili-namespace"),
            operator: label("seam-operator"),
            rationale: label("creation-rationale"),
            actor: label("actor-ref"),
        };
        let parts = [&labels.index, &labels.index_namespace, &labels.operator, &labels.rationale, &labels.actor];
        let has_any = parts.iter().any(|part| part.is_some());
        Ok(has_any.then_some(labels))
    }
}

/// What the labels of a derived object say of its root.
#[Object]
impl LineageLabels {
    /// The lineage index of the root; null where the labels name none.
    async fn root_index(&self) -> Result<Option<One<RecordRef>>, ApiError> {
        let Some(name) = self.index.clone() else { return Ok(None) };
        let namespace = self.index_namespace.clone().unwrap_or_else(|| self.recorded.record.key.namespace.clone());
        self.recorded.refer(Relation::RootIndex { namespace, name }).await
    }

    /// The operator that made the object.
    async fn operator(&self) -> Option<&str> {
        self.operator.as_deref()
    }

    /// Why the object was made.
    async fn creation_rationale(&self) -> CreationRationale {
        CreationRationale::of(self.rationale.as_deref().unwrap_or_default())
    }

    /// The word that the label has for it.
    async fn creation_rationale_raw(&self) -> Option<&str> {
        self.rationale.as_deref()
    }

    /// Who declared the root; empty where the platform does not know.
    async fn actor_ref(&self) -> Option<&str> {
        self.actor.as_deref()
    }
}
