//! What a content names that no rule but the graph's asks for: profiles, jobs, artifacts, roots.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::facts::{EXECUTION_LABEL, Object, PACK_LABEL, View, pack_ref, string, text};
use super::kind;

/// The prefix of the labels that derived objects carry.
pub const LABELS: &str = "infrastructure.ontai.dev";
/// The annotation that names who declared an object.
pub const DECLARING_PRINCIPAL: &str = "infrastructure.ontai.dev/declaring-principal";

/// The annotation that names the run which triggered an execution.
const RUN_ID: &str = "packtrail.dev/run-id";

/// The names in one content; what is absent takes no room in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// `spec.admissionProfileRef` of an execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// `status.jobName` of an execution, `spec.correctionJobRef` of a drift signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// `spec.sourceBuildRef` of a pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// `spec.clusterScopedDigest` of a pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_scoped_digest: Option<String>,
    /// `spec.registryRef.digest` of a pack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_digest: Option<String>,
    /// `spec.receiptRef` of a drift signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// `spec.talosClusterOperationResultRef` of a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_result: Option<String>,
    /// `spec.artifacts` of a result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// The root of `spec.lineage`, or of a lineage index's `spec.rootBinding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Named>,
    /// The operator that made the object: that of `spec.lineage`, else of the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<Stated>,
    /// Who declared the object: a lineage index's own field, else the annotation, else the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<Stated>,
    /// The run that triggered an execution, by the annotation `packtrail.dev/run-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The cluster is that of `spec.clusterRef`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cluster_ref: bool,
    /// The lineage index of the labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Named>,
    /// The descendants that a lineage index registers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub descendants: Vec<Named>,
    /// A result names its execution, or its pack, in a label alone.
    #[serde(skip_serializing_if = "Labelled::is_none")]
    pub labelled: Labelled,
}

/// Which names only a label has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Labelled {
    /// The execution.
    pub execution: bool,
    /// The pack.
    pub pack: bool,
}

impl Labelled {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// A name that can stand in several places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stated {
    /// The name.
    pub name: String,
    /// The version beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Where a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the spec.
    Spec,
    /// In an annotation.
    Annotation,
    /// In a label.
    Label,
}

impl Place {
    fn states(self, name: Option<String>) -> Option<Stated> {
        name.map(|name| Stated { name, version: None, place: self })
    }
}

/// A record as another one names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Named {
    /// Its canonical kind.
    pub kind: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, where that is named too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// What an operation produced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Artifact {
    /// `ConfigMap`, `Secret`, `OCIImage`, `S3Object`, …
    pub kind: String,
    /// Where it is, in the form of its kind.
    pub reference: String,
    /// Its checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

impl Names {
    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads what an object of a canonical kind names.
    #[must_use]
    pub(super) fn read(kind: &str, view: &View) -> Self {
        let spec = view.spec;
        let lineage = nested(spec, "lineage");
        let operator = nested(lineage, "creatingOperator");
        let label = |name: &str| view.label(&format!("{LABELS}/{name}"));
        let sealed = text(operator, "name").or_else(|| text(lineage, "creatingOperator"));
        let sealed = sealed.map(|name| Stated { name, version: text(operator, "version"), place: Place::Spec });
        let principal = Place::Annotation.states(view.annotation(DECLARING_PRINCIPAL));
        let mut names = Self {
            root: lineage.and_then(root),
            operator: sealed.or_else(|| Place::Label.states(label("seam-operator"))),
            principal: principal.or_else(|| Place::Label.states(label("actor-ref"))),
            cluster_ref: text(spec, "targetClusterRef").is_none() && text(spec, "clusterRef").is_some(),
            index: label("root-ili").map(|name| Named {
                kind: kind::LINEAGE_INDEX.to_owned(),
                namespace: label("root-ili-namespace").unwrap_or_default(),
                name,
                uid: None,
            }),
            ..Self::default()
        };
        match kind {
            kind::RESULT => {
                names.artifacts = artifacts(spec);
                names.cluster_result = text(spec, "talosClusterOperationResultRef");
                names.labelled = Labelled {
                    execution: text(spec, "packExecutionRef").is_none() && view.label(EXECUTION_LABEL).is_some(),
                    pack: pack_ref(spec).name.is_none() && view.label(PACK_LABEL).is_some(),
                };
            }
            kind::EXECUTION => {
                names.profile = text(spec, "admissionProfileRef");
                names.job = text(view.status, "jobName");
                names.run = view.annotation(RUN_ID);
            }
            kind::PACK => {
                names.build = text(spec, "sourceBuildRef");
                names.cluster_scoped_digest = text(spec, "clusterScopedDigest");
                names.registry_digest = text(nested(spec, "registryRef"), "digest");
            }
            kind::DRIFT_SIGNAL => {
                names.receipt = text(spec, "receiptRef");
                names.job = text(spec, "correctionJobRef");
            }
            kind::LINEAGE_INDEX => {
                let binding = nested(spec, "rootBinding");
                names.root = binding.and_then(root);
                names.principal = Place::Spec.states(text(binding, "declaringPrincipal")).or(names.principal);
                names.descendants = descendants(spec);
            }
            _ => {}
        }
        names
    }
}

fn nested<'a>(object: Object<'a>, name: &str) -> Object<'a> {
    object?.get(name)?.as_object()
}

/// Both shapes in use: `rootKind` …, and `originKind` … without a uid.
fn root(lineage: &Map<String, Value>) -> Option<Named> {
    let part = |part: &str| ["root", "origin"].iter().find_map(|shape| string(lineage.get(&format!("{shape}{part}"))));
    Some(Named {
        kind: kind::named(&part("Kind")?),
        namespace: part("Namespace").unwrap_or_default(),
        name: part("Name")?,
        uid: part("UID"),
    })
}

/// Sorted, each once.
fn artifacts(spec: Object) -> Vec<Artifact> {
    let mut found: Vec<Artifact> = objects(spec, "artifacts")
        .filter_map(|artifact| {
            Some(Artifact {
                kind: text(Some(artifact), "kind").unwrap_or_default(),
                reference: text(Some(artifact), "reference")?,
                checksum: text(Some(artifact), "checksum"),
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The registry of the operators' code, else that of the published schema; sorted, each once.
fn descendants(spec: Object) -> Vec<Named> {
    let mut found: Vec<Named> = objects(spec, "descendantRegistry")
        .chain(objects(spec, "descendants"))
        .filter_map(|entry| {
            let entry = Some(entry);
            let group = text(entry, "group").unwrap_or_default();
            let version = text(entry, "version").unwrap_or_default();
            let kind = text(entry, "kind")?;
            let canonical = match group.as_str() {
                "" => kind::named(&kind),
                group => kind::canonical(&format!("{group}/{version}"), &kind),
            };
            Some(Named {
                kind: canonical,
                namespace: text(entry, "namespace").unwrap_or_default(),
                name: text(entry, "name")?,
                uid: text(entry, "uid"),
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn objects<'a>(object: Object<'a>, name: &str) -> impl Iterator<Item = &'a Map<String, Value>> {
    let list = object.and_then(|object| object.get(name)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object)
}
