//! The naive twin of the lineage graph: every edge that the known records assert, as a line of text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    EXECUTION, INSTANCE, Input, Object, PACK, RECEIPT, RESULT, Version, World, canonical_kind, given_sequence_name,
    list, owned, pack_name, received, result_pack, revision, revisions, sequence_key, sequence_name, text, time,
};

const SIGNAL: &str = "DriftSignal";
const INDEX: &str = "LineageIndex";
const OPERATOR_LABEL: &str = "metadata.labels[infrastructure.ontai.dev/seam-operator]";

/// The edges of each source: `source KIND cause -> effect by record: field [attribute] first..last`.
#[must_use]
pub fn edges(inputs: &[Input]) -> BTreeSet<String> {
    edges_at(inputs, None)
}

/// The edges that held at a time; all that ever did, without one.
#[must_use]
pub fn edges_at(inputs: &[Input], at: Option<i64>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (source, received) in received(inputs) {
        let world = World::new(&received);
        for object in &world.objects {
            let mut asserting = Asserting { world: &world, object, at, edges: Vec::new() };
            asserting.all();
            all.extend(asserting.edges.into_iter().map(|edge| format!("{source} {edge}")));
        }
    }
    all
}

/// What may be on a cluster of a source at a time, by pack family: the results of which one is to be
/// found, several only where they tie, with the resources of each.
#[must_use]
pub fn deployments(
    inputs: &[Input],
    source: &str,
    cluster: &str,
    at: i64,
) -> BTreeMap<String, BTreeMap<String, Option<BTreeSet<String>>>> {
    let Some(received) = received(inputs).remove(source) else { return BTreeMap::new() };
    World::new(&received).deployments(cluster, at)
}

/// Every cluster that a source names as a target.
#[must_use]
pub fn clusters(inputs: &[Input], source: &str) -> BTreeSet<String> {
    let received = received(inputs).remove(source).unwrap_or_default();
    World::new(&received).objects.iter().filter_map(|object| target(object.latest())).collect()
}

impl World {
    fn deployments(&self, cluster: &str, at: i64) -> BTreeMap<String, BTreeMap<String, Option<BTreeSet<String>>>> {
        let mut families: BTreeMap<String, Vec<(i64, usize)>> = BTreeMap::new();
        for (index, object) in self.objects.iter().enumerate().filter(|(_, object)| object.is(RESULT)) {
            let operation = self.operation("", object);
            let base = if operation.base.is_empty() { operation.pack } else { operation.base };
            let counted = time(&object.latest()["spec"]["completedAt"]).unwrap_or_else(|| object.birth());
            if operation.status == "Succeeded" && operation.cluster == cluster && !base.is_empty() && counted <= at {
                families.entry(base).or_default().push((counted, index));
            }
        }
        let mut found = BTreeMap::new();
        for (base, results) in families {
            let last = results.iter().map(|(counted, _)| *counted).max().unwrap();
            let mut holders = BTreeMap::new();
            for (_, latest) in results.iter().filter(|(counted, _)| *counted == last) {
                let epoch = (sequence_key(&self.objects[*latest]), self.epoch_uid(*latest));
                let highest = |index: usize| *revisions(&self.objects[index]).last().unwrap();
                let of_epoch = results
                    .iter()
                    .filter(|(_, index)| (sequence_key(&self.objects[*index]), self.epoch_uid(*index)) == epoch);
                let top = of_epoch.clone().map(|(_, index)| highest(*index)).max().unwrap();
                for (counted, index) in of_epoch.filter(|(_, index)| highest(*index) == top) {
                    if self.is_torn_down(&base, cluster, *index, *counted, at) {
                        holders.insert(String::new(), None);
                    } else {
                        holders.insert(self.objects[*index].key(), resources(self.objects[*index].latest()));
                    }
                }
            }
            found.insert(base, holders);
        }
        found
    }

    fn is_torn_down(&self, base: &str, cluster: &str, result: usize, counted: i64, at: i64) -> bool {
        let object = &self.objects[result];
        let ended = |other: &Object, by: &[&str]| {
            let versions = other.versions.iter().filter(|version| version.end.is_some_and(|end| by.contains(&end)));
            versions.filter_map(|version| version.to).any(|closed| counted < closed && closed <= at)
        };
        let mut asserting = Asserting { world: self, object, at: None, edges: Vec::new() };
        asserting.all();
        let packs = self
            .of_kind(PACK)
            .filter(|pack| asserting.edges.iter().any(|edge| edge.starts_with(&format!("DEPLOYED {} ->", pack.key()))));
        let namespaces = [object.natural.namespace.clone(), "seam-system".to_owned(), format!("seam-tenant-{cluster}")];
        let named = self.named(INSTANCE, &namespaces, &format!("{base}-{cluster}"));
        let any = ["DELETED", "SNAPSHOT", "OWNER", "SUCCESSOR"];
        packs.into_iter().any(|pack| ended(pack, &any))
            || named.into_iter().any(|instance| ended(instance, &["DELETED", "SNAPSHOT"]))
    }
}

fn resources(content: &Value) -> Option<BTreeSet<String>> {
    let listed = content["spec"]["deployedResources"].as_array()?;
    let text = |resource: &Value, name: &str| resource[name].as_str().map(str::to_owned);
    let named = |resource: &Value| {
        let namespace = text(resource, "namespace").unwrap_or_default();
        let (api_version, kind, name) =
            (text(resource, "apiVersion")?, text(resource, "kind")?, text(resource, "name")?);
        Some(format!("{kind} {namespace} {name} {api_version}"))
    };
    Some(listed.iter().filter_map(named).collect())
}

struct Asserting<'a> {
    world: &'a World,
    object: &'a Object,
    at: Option<i64>,
    edges: Vec<String>,
}

/// First and last version of a stretch, with what it says.
type Stretch = (usize, usize, String);

impl Asserting<'_> {
    fn all(&mut self) {
        let object = self.object;
        self.any();
        match object.natural.kind.as_str() {
            RESULT => self.result(),
            EXECUTION => self.execution(),
            PACK => self.pack(),
            RECEIPT => self.receipt(),
            INSTANCE => self.pack_reference("INSTANCE_OF"),
            SIGNAL => self.signal(),
            INDEX => self.index(),
            _ => {}
        }
    }

    fn any(&mut self) {
        let is_index = self.object.is(INDEX);
        let chain = if is_index { ["spec", "rootBinding"] } else { ["spec", "lineage"] };
        let root = |content: &Value| {
            let chain = &content[chain[0]][chain[1]];
            let part = |part: &str| {
                owned(chain, &[&format!("root{part}")]).or_else(|| owned(chain, &[&format!("origin{part}")]))
            };
            Some(join(&[
                canonical_kind("infrastructure.ontai.dev/v1", &part("Kind")?),
                part("Namespace").unwrap_or_default(),
                part("Name")?,
                part("UID").unwrap_or_default(),
            ]))
        };
        let (kind, field) =
            if is_index { ("INDEXED_BY", "spec.rootBinding") } else { ("DERIVED_FROM", "spec.lineage") };
        for stretch in self.stretches(root) {
            let other = self.named(&split(&stretch.2), self.brought(&stretch));
            self.effect(kind, &other, field, "", &stretch);
        }
        let index = |content: &Value| {
            let name = label(content, "infrastructure.ontai.dev/root-ili")?;
            Some(join(&[label(content, "infrastructure.ontai.dev/root-ili-namespace").unwrap_or_default(), name]))
        };
        for stretch in self.stretches(index) {
            let named = split(&stretch.2);
            let at = self.brought(&stretch);
            let find = |name: &str| self.world.resolve(INDEX, &[named[0].clone()], name, at, |_| true);
            let found = find(&named[1]).or_else(|| find(&format!("infrastructure{}", named[1])));
            let other = found.map_or_else(|| format!("{INDEX}//{}/{}", named[0], named[1]), Object::key);
            let field = "metadata.labels[infrastructure.ontai.dev/root-ili]";
            self.effect("DERIVED_FROM", &other, field, "", &stretch);
        }
        let operator = |content: &Value| {
            let made = &content["spec"]["lineage"]["creatingOperator"];
            let sealed = owned(made, &["name"]).or_else(|| owned(content, &["spec", "lineage", "creatingOperator"]));
            let labelled = || Some((OPERATOR_LABEL, label(content, "infrastructure.ontai.dev/seam-operator")?));
            let (field, name) = sealed.clone().map(|name| ("spec.lineage", name)).or_else(labelled)?;
            let version = sealed.and_then(|_| owned(made, &["version"])).unwrap_or_default();
            Some(join(&[field.to_owned(), name, version]))
        };
        for stretch in self.stretches(operator) {
            let [field, name, version] = split(&stretch.2).try_into().unwrap();
            self.effect("CREATED_BY", &format!("~operator///{name}"), &field, &version, &stretch);
        }
        let principal = |content: &Value| {
            let annotations = ["metadata", "annotations", "infrastructure.ontai.dev/declaring-principal"];
            let places = [
                (
                    "spec.rootBinding",
                    owned(content, &["spec", "rootBinding", "declaringPrincipal"]).filter(|_| is_index),
                ),
                ("metadata.annotations[infrastructure.ontai.dev/declaring-principal]", owned(content, &annotations)),
                (
                    "metadata.labels[infrastructure.ontai.dev/actor-ref]",
                    label(content, "infrastructure.ontai.dev/actor-ref"),
                ),
            ];
            places.into_iter().find_map(|(field, name)| Some(join(&[field.to_owned(), name?])))
        };
        for stretch in self.stretches(principal) {
            let [field, name] = split(&stretch.2).try_into().unwrap();
            self.effect("DECLARED_BY", &format!("~principal///{name}"), &field, "", &stretch);
        }
        let cluster = |content: &Value| {
            let fields = ["targetClusterRef", "clusterRef"];
            fields.iter().find_map(|field| Some(join(&[format!("spec.{field}"), owned(content, &["spec", field])?])))
        };
        for stretch in self.stretches(cluster) {
            let [field, name] = split(&stretch.2).try_into().unwrap();
            self.cause("TARGETS", &format!("~cluster///{name}"), &field, &stretch);
        }
        if !self.object.is(RESULT) && !self.object.is(EXECUTION) && self.object.owner().is_some() {
            let kind = if self.object.is(INSTANCE) { "INSTALLS" } else { "OWNS" };
            let other = self.owner();
            self.effect(kind, &other, "metadata.ownerReferences", "", &self.life());
        }
    }

    fn result(&mut self) {
        let object = self.object;
        let namespace = &object.natural.namespace;
        let latest = object.latest();
        let referred = text(latest, &["spec", "packExecutionRef"]).is_some();
        let labelled = label(latest, "ontai.dev/pack-execution").is_some();
        let field = match (referred, labelled) {
            (true, _) => "spec.packExecutionRef",
            (false, true) => "metadata.labels[ontai.dev/pack-execution]",
            (false, false) if object.owner().is_some() => "metadata.ownerReferences",
            (false, false) => "metadata.name",
        };
        let sequence = sequence_name(object);
        self.effect("PART_OF", &format!("~sequence//{namespace}/{sequence}"), field, "", &self.life());
        if object.owner().is_some() {
            let other = self.owner();
            self.effect("RESULT_OF", &other, "metadata.ownerReferences", "", &self.life());
        } else if let Some(name) = given_sequence_name(object) {
            let found = self.world.resolve(EXECUTION, &object.lookup_namespaces(), &name, object.birth(), |_| true);
            let other = found.map_or_else(|| format!("{EXECUTION}//{namespace}/{name}"), Object::key);
            self.effect("RESULT_OF", &other, field, "", &self.life());
        }
        let previous = |content: &Value| {
            Some(join(&[owned(content, &["spec", "previousRevisionRef"])?, revision(content).to_string()]))
        };
        for stretch in self.stretches(previous) {
            let name = &split(&stretch.2)[0];
            let other = self.here(RESULT, name, self.brought(&stretch));
            self.effect("SUPERSEDES", &other, "spec.previousRevisionRef", "", &stretch);
        }
        if result_pack(latest).is_some() {
            let field = match pack_name(latest) {
                Some(_) => "spec.clusterPackRef",
                None => "metadata.labels[ontai.dev/cluster-pack]",
            };
            for stretch in self.stretches(result_pack) {
                let other = self.pack_named(&stretch.2, self.brought(&stretch));
                self.effect("DEPLOYED", &other, field, "", &stretch);
            }
        } else if let Some(execution) = self.world.execution_of(object)
            && let Some(name) = pack_name(execution.latest())
        {
            let found = self.world.pack_of(execution);
            let other = found.map_or_else(|| format!("{PACK}//{}/{name}", execution.natural.namespace), Object::key);
            let field = "spec.packExecutionRef -> spec.clusterPackRef";
            self.effect("DEPLOYED", &other, field, "", &self.life());
        }
        let applied = |content: &Value| {
            Some(join(&[
                content["spec"].to_string(),
                owned(content, &["spec", "targetClusterRef"]).unwrap_or_default(),
            ]))
        };
        for stretch in self.stretches(applied) {
            let cluster = split(&stretch.2)[1].clone();
            let content = &object.versions[stretch.0].body.content;
            let of = |resource: &Value, name: &str| resource[name].as_str().map(str::to_owned);
            for resource in list(&content["spec"]["deployedResources"]) {
                let named = (of(resource, "apiVersion"), of(resource, "kind"), of(resource, "name"));
                let (Some(api_version), Some(kind), Some(name)) = named else { continue };
                let namespace = of(resource, "namespace").unwrap_or_default();
                let other = format!("~resource {cluster} {api_version} {kind} {namespace} {name}");
                self.cause("APPLIED", &other, "spec.deployedResources", &stretch);
            }
        }
        self.produced();
        for stretch in self.stretches(|content| owned(content, &["spec", "talosClusterOperationResultRef"])) {
            let other = self.here("TalosClusterOperationResult", &stretch.2, self.brought(&stretch));
            self.effect("CROSS_REF", &other, "spec.talosClusterOperationResultRef", "", &stretch);
        }
    }

    fn produced(&mut self) {
        let artifacts = |content: &Value| -> BTreeSet<String> {
            let cluster = owned(content, &["spec", "targetClusterRef"]).unwrap_or_default();
            list(&content["spec"]["artifacts"])
                .filter_map(|artifact| {
                    let kind = owned(artifact, &["kind"]).unwrap_or_default();
                    Some(format!("~artifact/{cluster}/{kind}/{}", owned(artifact, &["reference"])?))
                })
                .collect()
        };
        for stretch in self.each(artifacts) {
            self.cause("PRODUCED", &stretch.2, "spec.artifacts", &stretch);
        }
        let digests = |content: &Value| -> BTreeSet<String> {
            let mut found = BTreeSet::new();
            for artifact in list(&content["spec"]["artifacts"]) {
                let Some(reference) = owned(artifact, &["reference"]) else { continue };
                let named = [owned(artifact, &["checksum"]), reference.rsplit('@').next().map(str::to_owned)];
                let named = named.into_iter().flatten().filter(|digest| *digest != reference);
                found.extend(named.map(|digest| sha256(&digest)).filter(|digest| digest.starts_with("sha256:")));
            }
            found
        };
        let execution = self.world.execution_of(self.object);
        let is_about_pack = result_pack(self.object.latest()).is_some()
            || execution.is_some_and(|execution| pack_name(execution.latest()).is_some());
        for stretch in self.each(digests) {
            let digest = format!("~digest///{}", stretch.2);
            if is_about_pack {
                self.effect("HAS_LAYER", &digest, "spec.artifacts", "", &stretch);
            } else {
                self.cause("PRODUCED", &digest, "spec.artifacts", &stretch);
            }
        }
    }

    fn execution(&mut self) {
        let object = self.object;
        let sequence = format!("~sequence//{}/{}", object.natural.namespace, object.natural.name);
        self.effect("PART_OF", &sequence, "metadata.name", "", &self.life());
        self.pack_reference("EXECUTES");
        for stretch in self.stretches(|content| owned(content, &["spec", "admissionProfileRef"])) {
            let other = self.here("RBACProfile", &stretch.2, self.brought(&stretch));
            self.effect("ADMITTED_BY", &other, "spec.admissionProfileRef", "", &stretch);
        }
        for stretch in self.stretches(|content| owned(content, &["status", "operationResultRef"])) {
            let at = object.versions[stretch.0].from;
            let own = |result: &Object| result.owner_uid() == object.uid.as_deref();
            let namespaces = [object.natural.namespace.clone()];
            let found = self.world.resolve(RESULT, &namespaces, &stretch.2, at, own);
            let other = found.map_or_else(|| self.here(RESULT, &stretch.2, at), Object::key);
            self.cause("REPORTS", &other, "status.operationResultRef", &stretch);
        }
        self.job(&["status", "jobName"]);
        let annotation = ["metadata", "annotations", "packtrail.dev/run-id"];
        for stretch in self.stretches(|content| owned(content, &annotation)) {
            let field = "metadata.annotations[packtrail.dev/run-id]";
            self.effect("TRIGGERED", &format!("~run///{}", stretch.2), field, "", &stretch);
        }
    }

    fn job(&mut self, path: &[&str]) {
        for stretch in self.stretches(|content| owned(content, path)) {
            let other = self.here("Job.batch", &stretch.2, self.object.versions[stretch.0].from);
            self.cause("RAN_AS", &other, &path.join("."), &stretch);
        }
    }

    fn pack(&mut self) {
        let own = self.object.natural.name.clone();
        for stretch in self.stretches(|content| Some(owned(content, &["spec", "basePackName"]).unwrap_or_default())) {
            let (name, field) = if stretch.2.is_empty() {
                (own.as_str(), "metadata.name")
            } else {
                (stretch.2.as_str(), "spec.basePackName")
            };
            self.effect("VERSION_OF", &format!("~pack-family///{name}"), field, "", &stretch);
        }
        for stretch in self.stretches(|content| owned(content, &["spec", "sourceBuildRef"])) {
            self.effect("BUILT_FROM", &format!("~build///{}", stretch.2), "spec.sourceBuildRef", "", &stretch);
        }
        let chart = |content: &Value| {
            owned(content, &["spec", "chartName"])?;
            let parts = ["chartVersion", "chartURL", "chartName", "helmVersion"];
            Some(join(&parts.map(|part| owned(content, &["spec", part]).unwrap_or_default())))
        };
        for stretch in self.stretches(chart) {
            let parts = split(&stretch.2);
            let other = format!("~chart/{}/{}/{}", parts[0], parts[1], parts[2]);
            self.effect("RENDERED_FROM", &other, "spec.chartName", "", &stretch);
        }
        self.layers(&[&["spec", "rbacDigest"], &["spec", "workloadDigest"], &["spec", "clusterScopedDigest"]]);
        self.layers(&[&["spec", "registryRef", "digest"]]);
        let targets = |content: &Value| -> BTreeSet<String> {
            let targets = list(&content["spec"]["targetClusters"]).filter_map(Value::as_str);
            targets.filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        for stretch in self.each(targets) {
            self.cause("INTENDED_FOR", &format!("~cluster///{}", stretch.2), "spec.targetClusters", &stretch);
        }
    }

    fn layers(&mut self, paths: &[&[&str]]) {
        for path in paths {
            for stretch in self.stretches(|content| owned(content, path)) {
                let other = format!("~digest///{}", sha256(&stretch.2));
                self.effect("HAS_LAYER", &other, &path.join("."), "", &stretch);
            }
        }
    }

    fn receipt(&mut self) {
        let object = self.object;
        self.pack_reference("ACKNOWLEDGES");
        self.layers(&[&["spec", "rbacDigest"], &["spec", "workloadDigest"]]);
        let instance = |content: &Value| Some(owned(content, &["spec", "packInstanceRef"]).unwrap_or_default());
        for stretch in self.stretches(instance) {
            let is_named = !stretch.2.is_empty();
            let name = if is_named { stretch.2.clone() } else { object.natural.name.clone() };
            let at = self.brought(&stretch);
            let found = self.world.resolve(INSTANCE, &object.lookup_namespaces(), &name, at, |_| true);
            let other = match found {
                Some(found) => found.key(),
                None if is_named => format!("{INSTANCE}//{}/{name}", object.natural.namespace),
                None => continue,
            };
            let field = if is_named { "spec.packInstanceRef" } else { "metadata.name" };
            self.effect("RECEIPT_OF", &other, field, "", &stretch);
        }
    }

    fn signal(&mut self) {
        self.job(&["spec", "correctionJobRef"]);
        let object = self.object;
        let named = |content: &Value| {
            Some(join(&[target(content).unwrap_or_default(), owned(content, &["spec", "receiptRef"])?]))
        };
        for stretch in self.stretches(named) {
            let parts = split(&stretch.2);
            let (cluster, name) = (&parts[0], &parts[1]);
            let at = self.brought(&stretch);
            let receipts = self.world.of_kind(RECEIPT).filter(|receipt| {
                receipt.natural.cluster == *cluster
                    && receipt.natural.namespace == "ont-system"
                    && receipt.natural.name == *name
                    && receipt.birth() <= at
            });
            // Who lived then, else who died last before.
            let receipt = receipts.filter(|receipt| receipt.birth() <= at).max_by_key(|receipt| {
                let alive = receipt.closed().is_none_or(|closed| at < closed);
                let ended = if alive { None } else { receipt.closed() };
                (alive, ended, receipt.birth(), receipt.id())
            });
            let other = receipt.map_or_else(|| format!("{RECEIPT}/{cluster}/ont-system/{name}"), Object::key);
            self.effect("DRIFTED", &other, "spec.receiptRef", "", &stretch);
            let Some(pack) = receipt.and_then(|receipt| pack_name(receipt.latest())) else { continue };
            let tenant = target(object.latest()).map(|cluster| format!("seam-tenant-{cluster}"));
            let namespaces = [Some(object.natural.namespace.clone()), Some("seam-system".to_owned()), tenant];
            let redone = self.world.of_kind(EXECUTION).filter(|execution| {
                execution.natural.name == format!("{pack}-{cluster}")
                    && namespaces.contains(&Some(execution.natural.namespace.clone()))
                    && execution.birth() >= object.birth()
            });
            if let Some(execution) = redone.min_by_key(|execution| (execution.birth(), execution.id())) {
                self.cause("RETRIGGERED", &execution.key(), "spec.receiptRef", &stretch);
            }
        }
    }

    fn index(&mut self) {
        let descendants = |content: &Value| -> BTreeSet<String> {
            let spec = &content["spec"];
            let registered = list(&spec["descendantRegistry"]).chain(list(&spec["descendants"]));
            let named = |entry: &Value| {
                let of = |name: &str| owned(entry, &[name]).unwrap_or_default();
                let group = Some(of("group")).filter(|group| !group.is_empty());
                let group = group.unwrap_or_else(|| "infrastructure.ontai.dev".to_owned());
                let kind = canonical_kind(&format!("{group}/{}", of("version")), &owned(entry, &["kind"])?);
                Some(join(&[kind, of("namespace"), owned(entry, &["name"])?, of("uid")]))
            };
            registered.filter_map(named).collect()
        };
        for stretch in self.each(descendants) {
            let other = self.named(&split(&stretch.2), self.brought(&stretch));
            self.cause("REGISTERS", &other, "spec.descendantRegistry", &stretch);
        }
    }

    /// An edge from the pack that `spec.clusterPackRef` names.
    fn pack_reference(&mut self, kind: &str) {
        let is_instance = self.object.is(INSTANCE);
        let named = |content: &Value| {
            let version = owned(content, &["spec", "clusterPackRef", "version"]);
            let version = version.or_else(|| owned(content, &["spec", "version"]).filter(|_| is_instance));
            Some(join(&[pack_name(content)?, version.unwrap_or_default()]))
        };
        let by_name = self.stretches(pack_name);
        for stretch in self.stretches(named) {
            let parts = split(&stretch.2);
            let brought = by_name.iter().rev().find(|named| named.0 <= stretch.0).unwrap();
            let other = self.pack_named(&parts[0], self.brought(brought));
            self.effect(kind, &other, "spec.clusterPackRef", &parts[1], &stretch);
        }
    }

    fn pack_named(&self, name: &str, at: i64) -> String {
        let found = self.world.resolve(PACK, &self.object.lookup_namespaces(), name, at, |_| true);
        found.map_or_else(|| format!("{PACK}//{}/{name}", self.object.natural.namespace), Object::key)
    }

    fn here(&self, kind: &str, name: &str, at: i64) -> String {
        let namespace = &self.object.natural.namespace;
        let found = self.world.resolve(kind, std::slice::from_ref(namespace), name, at, |_| true);
        found.map_or_else(|| format!("{kind}//{namespace}/{name}"), Object::key)
    }

    /// Kind, namespace, name and uid.
    fn named(&self, parts: &[String], at: i64) -> String {
        let [kind, namespace, name, uid] = parts else { panic!("{parts:?}") };
        if uid.is_empty() {
            let found = self.world.resolve(kind, std::slice::from_ref(namespace), name, at, |_| true);
            return found.map_or_else(|| format!("{kind}//{namespace}/{name}"), Object::key);
        }
        let found = [namespace.as_str(), ""].iter().find_map(|namespace| {
            self.world.objects.iter().find(|object| {
                object.is(kind)
                    && object.natural.cluster.is_empty()
                    && object.natural.namespace == *namespace
                    && object.natural.name == *name
                    && object.uid.as_deref() == Some(uid)
            })
        });
        found.map_or_else(|| format!("~unseen/{uid}/{namespace}/{kind}/{name}"), Object::key)
    }

    fn owner(&self) -> String {
        let owner = self.object.owner().unwrap();
        let part = |name: &str| owned(owner, &[name]).unwrap();
        let unseen =
            || format!("~unseen/{}/{}/{EXECUTION}/{}", part("uid"), self.object.natural.namespace, part("name"));
        self.world.seen_owner(self.object).map_or_else(unseen, Object::key)
    }

    fn life(&self) -> Stretch {
        (0, self.object.versions.len() - 1, String::new())
    }

    fn brought(&self, stretch: &Stretch) -> i64 {
        if stretch.0 == 0 { self.object.birth() } else { self.object.versions[stretch.0].from }
    }

    fn stretches(&self, says: impl Fn(&Value) -> Option<String>) -> Vec<Stretch> {
        let mut found = self.each(|content| says(content).into_iter().collect());
        found.sort();
        found
    }

    fn each(&self, says: impl Fn(&Value) -> BTreeSet<String>) -> Vec<Stretch> {
        let versions = &self.object.versions;
        let said: Vec<BTreeSet<String>> = versions.iter().map(|v: &Version| says(&v.body.content)).collect();
        let all: BTreeSet<&String> = said.iter().flatten().collect();
        let mut found = Vec::new();
        for what in all {
            let mut i = 0;
            while i < said.len() {
                if !said[i].contains(what) {
                    i += 1;
                    continue;
                }
                let first = i;
                while i + 1 < said.len() && said[i + 1].contains(what) && versions[i].to == Some(versions[i + 1].from) {
                    i += 1;
                }
                found.push((first, i, what.clone()));
                i += 1;
            }
        }
        found
    }

    fn effect(&mut self, kind: &str, other: &str, field: &str, attribute: &str, stretch: &Stretch) {
        let key = self.object.key();
        self.push(kind, other, &key, field, attribute, stretch);
    }

    fn cause(&mut self, kind: &str, other: &str, field: &str, stretch: &Stretch) {
        let key = self.object.key();
        self.push(kind, &key, other, field, "", stretch);
    }

    fn push(&mut self, kind: &str, from: &str, to: &str, field: &str, attribute: &str, stretch: &Stretch) {
        let mut versions = self.object.versions[stretch.0..=stretch.1].iter();
        let at = self.at;
        let holds = |version: &Version| at.is_none_or(|at| version.from <= at && version.to.is_none_or(|to| at < to));
        if !versions.any(holds) {
            return;
        }
        let is_latest = stretch.1 + 1 == self.object.versions.len();
        let last = if is_latest { String::new() } else { stretch.1.to_string() };
        let by = self.object.key();
        self.edges.push(format!("{kind} {from} -> {to} by {by}: {field} [{attribute}] {}..{last}", stretch.0));
    }
}

fn join(parts: &[String]) -> String {
    parts.join("\u{1f}")
}

fn split(text: &str) -> Vec<String> {
    text.split('\u{1f}').map(str::to_owned).collect()
}

fn label(content: &Value, name: &str) -> Option<String> {
    owned(content, &["metadata", "labels", name])
}

fn target(content: &Value) -> Option<String> {
    owned(content, &["spec", "targetClusterRef"]).or_else(|| owned(content, &["spec", "clusterRef"]))
}

fn sha256(text: &str) -> String {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = hex.len() == hex::encode(Sha256::digest("")).len() && hex.chars().all(|c| c.is_ascii_hexdigit());
    if is_hex { format!("sha256:{}", hex.to_lowercase()) } else { text.to_owned() }
}
