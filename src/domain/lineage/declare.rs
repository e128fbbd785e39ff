//! The edges that the objects of one natural key assert, each for the stretches of versions that do.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Declared, EdgeKind, Field, Vertex, thing};
use crate::domain::facts::{
    Chart, Detail, ExecutionFacts, InstanceFacts, Owner, PackFacts, PackRef, ReceiptFacts, ResultFacts,
};
use crate::domain::history::Version;
use crate::domain::identity::NaturalKey;
use crate::domain::names::{Artifact, Named, Place, Stated};
use crate::domain::world::{Object, Reader, lookup_namespaces, pack_name, result_facts};
use crate::domain::{kind, operation, reference};

/// The kind of an execution's profile.
const PROFILE: &str = "RBACProfile";
/// The kind of a job.
const JOB: &str = "Job.batch";
/// The kind of what a cluster operation resulted in.
const CLUSTER_RESULT: &str = "TalosClusterOperationResult";

/// The edges that the objects of a key assert, each once, in a fixed order.
pub fn declare(reader: &Reader, key: &NaturalKey) -> Vec<Declared> {
    let mut declared: Vec<Declared> =
        reader.group(key).iter().flat_map(|object| Declaring { reader, object, edges: Vec::new() }.all()).collect();
    declared.sort();
    declared.dedup();
    declared
}

/// A stretch of versions without a gap between them, that say the same.
struct Stretch<T> {
    value: T,
    /// The first version.
    first: usize,
    /// The last version.
    last: usize,
    /// When the first one began.
    from: i64,
}

struct Declaring<'r, 'w, 'o> {
    reader: &'r Reader<'w>,
    object: &'o Object,
    edges: Vec<Declared>,
}

impl Declaring<'_, '_, '_> {
    fn all(mut self) -> Vec<Declared> {
        self.common();
        match &self.object.latest().content.facts.detail {
            Detail::Result(_) => self.result(),
            Detail::Execution(_) => self.execution(),
            Detail::Pack(_) => self.pack(),
            Detail::Receipt(_) => self.receipt(),
            Detail::Instance(_) => self.instance(),
            Detail::None => match self.object.key.kind.as_str() {
                kind::DRIFT_SIGNAL => self.drift_signal(),
                kind::LINEAGE_INDEX => self.lineage_index(),
                _ => {}
            },
        }
        self.edges
    }

    /// What any record can say: its root, its operator, its principal, the cluster that it acts on, and
    /// the execution that owns it.
    fn common(&mut self) {
        let is_index = self.object.key.kind == kind::LINEAGE_INDEX;
        let (root, field) =
            if is_index { (EdgeKind::IndexedBy, Field::RootBinding) } else { (EdgeKind::DerivedFrom, Field::Lineage) };
        for stretch in self.stretches(|version| version.content.facts.names.root.clone()) {
            let other = self.named(&stretch.value, self.brought(&stretch));
            self.effect(root, other, field, None, &stretch);
        }
        for stretch in self.stretches(|version| version.content.facts.names.index.clone()) {
            let named = &stretch.value;
            let at = self.brought(&stretch);
            let found = reference::index(self.reader, &named.namespace, &named.name, at);
            let other = found.map_or_else(|| placeholder(&named.kind, &named.namespace, &named.name), vertex);
            self.effect(EdgeKind::DerivedFrom, other, Field::IndexLabel, None, &stretch);
        }
        for stretch in self.stretches(|version| version.content.facts.names.operator.clone()) {
            let Stated { name, version, place } = stretch.value.clone();
            let other = Vertex::Key(thing::named(thing::OPERATOR, &name));
            let field = if place == Place::Label { Field::OperatorLabel } else { Field::Lineage };
            self.effect(EdgeKind::CreatedBy, other, field, version, &stretch);
        }
        for stretch in self.stretches(|version| version.content.facts.names.principal.clone()) {
            let other = Vertex::Key(thing::named(thing::PRINCIPAL, &stretch.value.name));
            let field = match stretch.value.place {
                Place::Spec => Field::RootBinding,
                Place::Annotation => Field::Principal,
                Place::Label => Field::PrincipalLabel,
            };
            self.effect(EdgeKind::DeclaredBy, other, field, None, &stretch);
        }
        let cluster = |version: &Version| {
            let facts = &version.content.facts;
            Some((facts.cluster.clone()?, facts.names.cluster_ref))
        };
        for stretch in self.stretches(cluster) {
            let (name, is_cluster_ref) = &stretch.value;
            let field = if *is_cluster_ref { Field::ClusterRef } else { Field::Cluster };
            let other = Vertex::Key(thing::cluster(name));
            self.cause(EdgeKind::Targets, other, field, &stretch);
        }
        if !matches!(self.object.key.kind.as_str(), kind::RESULT | kind::EXECUTION) {
            self.owner();
        }
    }

    /// The execution that owns a record which is no result.
    fn owner(&mut self) {
        let is_instance = self.object.key.kind == kind::INSTANCE;
        let kind = if is_instance { EdgeKind::Installs } else { EdgeKind::Owns };
        if let Some(owner) = self.object.history.owner() {
            let other = self.owned_by(owner);
            self.whole_life(kind, other, Field::Owner);
        }
    }

    fn owned_by(&self, owner: &Owner) -> Vertex {
        let namespace = &self.object.key.namespace;
        let key = NaturalKey::new(kind::EXECUTION, namespace, &owner.name);
        let unseen = || Named {
            kind: key.kind.clone(),
            namespace: namespace.clone(),
            name: owner.name.clone(),
            uid: Some(owner.uid.clone()),
        };
        let found = self.reader.owner(&key, &owner.uid);
        found.map_or_else(|| Vertex::Key(thing::unseen(&unseen())), Vertex::Object)
    }

    fn result(&mut self) {
        let object = self.object;
        let (sequence, is_named) = object.sequence_name();
        let field = match (is_named, self.is_labelled().execution) {
            (false, _) => Field::Name,
            (true, _) if object.result().is_some_and(|facts| facts.execution.is_none()) => Field::Owner,
            (true, true) => Field::ExecutionLabel,
            (true, false) => Field::Execution,
        };
        let sequence_key = NaturalKey::sequence(&object.key.namespace, sequence);
        self.whole_life(EdgeKind::PartOf, Vertex::Key(sequence_key), field);
        if let Some(owner) = object.history.owner() {
            let other = self.owned_by(owner);
            self.whole_life(EdgeKind::ResultOf, other, Field::Owner);
        } else if is_named {
            let found = reference::execution(self.reader, object, sequence, object.birth());
            let other = found.map_or_else(|| placeholder(kind::EXECUTION, &object.key.namespace, sequence), vertex);
            self.whole_life(EdgeKind::ResultOf, other, field);
        }
        // A revision that is rewritten in place speaks of another predecessor each time.
        let previous = |facts: &ResultFacts| Some((facts.previous.clone()?, facts.revision));
        for stretch in self.stretches(|version| result_facts(version).and_then(previous)) {
            let name = &stretch.value.0;
            let found = reference::previous(self.reader, object, name, self.brought(&stretch));
            let other = found.map_or_else(|| placeholder(kind::RESULT, &object.key.namespace, name), vertex);
            self.effect(EdgeKind::Supersedes, other, Field::Previous, None, &stretch);
        }
        let is_about_pack = self.deployed();
        for stretch in self.stretches(|version| {
            result_facts(version).map(|_| (version.content.spec, version.content.facts.cluster.clone()))
        }) {
            let cluster = thing::cluster(stretch.value.1.as_deref().unwrap_or_default());
            self.cause(EdgeKind::Applied, Vertex::Resources(cluster), Field::Resources, &stretch);
        }
        self.produced(is_about_pack);
        for stretch in self.stretches(|version| version.content.facts.names.cluster_result.clone()) {
            let other = self.in_namespace(CLUSTER_RESULT, &stretch.value, self.brought(&stretch));
            self.effect(EdgeKind::CrossRef, other, Field::ClusterResult, None, &stretch);
        }
    }

    fn is_labelled(&self) -> crate::domain::names::Labelled {
        self.object.latest().content.facts.names.labelled
    }

    /// The pack that a result names; a result of an early failure names none, but its execution does.
    /// Returns whether there is one.
    fn deployed(&mut self) -> bool {
        let object = self.object;
        if pack_name(object.latest()).is_none() {
            let execution = operation::execution(self.reader, object);
            let named = execution.and_then(|execution| Some((execution, pack_name(execution.latest())?)));
            if let Some((execution, name)) = named {
                let at = execution.spec_reference_at(|version| pack_name(version).map(ToOwned::to_owned));
                let found = reference::pack(self.reader, execution, name, at);
                let other = found.map_or_else(|| placeholder(kind::PACK, &execution.key.namespace, name), vertex);
                self.whole_life(EdgeKind::Deployed, other, Field::PackOfExecution);
            }
            return named.is_some();
        }
        let field = if self.is_labelled().pack { Field::PackLabel } else { Field::Pack };
        for stretch in self.stretches(|version| pack_name(version).map(ToOwned::to_owned)) {
            let other = self.pack_named(&stretch.value, self.brought(&stretch));
            self.effect(EdgeKind::Deployed, other, field, None, &stretch);
        }
        true
    }

    /// Artifacts by where they are, and by their digests. What is about a pack brought its layers and did
    /// not make them: their digests lead to it, or every pack that shares one would be its effect.
    fn produced(&mut self, is_about_pack: bool) {
        let cluster = |version: &Version| version.content.facts.cluster.clone().unwrap_or_default();
        for stretch in self.each(|version| {
            let artifacts = version.content.facts.names.artifacts.iter();
            artifacts.map(|artifact| thing::artifact(&cluster(version), artifact)).collect()
        }) {
            self.cause(EdgeKind::Produced, Vertex::Key((*stretch.value).clone()), Field::Artifacts, &stretch);
        }
        for stretch in self.each(|version| version.content.facts.names.artifacts.iter().flat_map(digests).collect()) {
            let digest = Vertex::Key((*stretch.value).clone());
            if is_about_pack {
                self.effect(EdgeKind::HasLayer, digest, Field::Artifacts, None, &stretch);
            } else {
                self.cause(EdgeKind::Produced, digest, Field::Artifacts, &stretch);
            }
        }
    }

    fn execution(&mut self) {
        let object = self.object;
        let sequence = NaturalKey::sequence(&object.key.namespace, &object.key.name);
        self.whole_life(EdgeKind::PartOf, Vertex::Key(sequence), Field::Name);
        let facts = |version: &Version| match &version.content.facts.detail {
            Detail::Execution(facts) => Some(facts.clone()),
            _ => None,
        };
        let pack = |version: &Version| facts(version).map(|ExecutionFacts { pack, .. }| pack);
        self.pack_reference(EdgeKind::Executes, pack);
        for stretch in self.stretches(|version| version.content.facts.names.profile.clone()) {
            let other = self.in_namespace(PROFILE, &stretch.value, self.brought(&stretch));
            self.effect(EdgeKind::AdmittedBy, other, Field::Profile, None, &stretch);
        }
        for stretch in self.stretches(|version| facts(version).and_then(|facts| facts.result)) {
            let name = &stretch.value;
            let found = reference::report(self.reader, object, name, stretch.from);
            let other = found.map_or_else(|| placeholder(kind::RESULT, &object.key.namespace, name), vertex);
            self.cause(EdgeKind::Reports, other, Field::Report, &stretch);
        }
        self.job(Field::Job);
        for stretch in self.stretches(|version| version.content.facts.names.run.clone()) {
            let other = Vertex::Key(thing::named(thing::RUN, &stretch.value));
            self.effect(EdgeKind::Triggered, other, Field::RunAnnotation, None, &stretch);
        }
    }

    fn job(&mut self, field: Field) {
        for stretch in self.stretches(|version| version.content.facts.names.job.clone()) {
            let other = self.in_namespace(JOB, &stretch.value, stretch.from);
            self.cause(EdgeKind::RanAs, other, field, &stretch);
        }
    }

    fn pack(&mut self) {
        let object = self.object;
        let facts = |version: &Version| match &version.content.facts.detail {
            Detail::Pack(facts) => Some(facts.clone()),
            _ => None,
        };
        for stretch in self.stretches(|version| facts(version).map(|PackFacts { base, .. }| base)) {
            let field = if stretch.value.is_some() { Field::Base } else { Field::Name };
            let family = thing::pack_family(stretch.value.as_deref().unwrap_or(&object.key.name));
            self.effect(EdgeKind::VersionOf, Vertex::Key(family), field, None, &stretch);
        }
        for stretch in self.stretches(|version| version.content.facts.names.build.clone()) {
            let other = Vertex::Key(thing::named(thing::BUILD, &stretch.value));
            self.effect(EdgeKind::BuiltFrom, other, Field::Build, None, &stretch);
        }
        let chart = |version: &Version| facts(version).map(|facts| facts.chart).filter(|chart| chart.name.is_some());
        for stretch in self.stretches(chart) {
            let Chart { name, url, version, .. } = stretch.value.clone();
            let text = |text: Option<String>| text.unwrap_or_default();
            let other = Vertex::Key(thing::chart(&text(url), &text(name), &text(version)));
            self.effect(EdgeKind::RenderedFrom, other, Field::Chart, None, &stretch);
        }
        self.layer(Field::RbacDigest, |version| facts(version).and_then(|facts| facts.rbac_digest));
        self.layer(Field::WorkloadDigest, |version| facts(version).and_then(|facts| facts.workload_digest));
        self.layer(Field::ClusterScopedDigest, |version| version.content.facts.names.cluster_scoped_digest.clone());
        self.layer(Field::RegistryDigest, |version| version.content.facts.names.registry_digest.clone());
        for stretch in self.each(|version| facts(version).map(|facts| facts.targets).unwrap_or_default()) {
            let other = Vertex::Key(thing::cluster(&stretch.value));
            self.cause(EdgeKind::IntendedFor, other, Field::Targets, &stretch);
        }
    }

    fn layer(&mut self, field: Field, digest: impl Fn(&Version) -> Option<String>) {
        for stretch in self.stretches(digest) {
            self.effect(EdgeKind::HasLayer, Vertex::Key(thing::digest(&stretch.value)), field, None, &stretch);
        }
    }

    fn receipt(&mut self) {
        let object = self.object;
        let facts = |version: &Version| match &version.content.facts.detail {
            Detail::Receipt(facts) => Some(facts.clone()),
            _ => None,
        };
        self.pack_reference(EdgeKind::Acknowledges, |version| facts(version).map(|ReceiptFacts { pack, .. }| pack));
        self.layer(Field::RbacDigest, |version| facts(version).and_then(|facts| facts.rbac_digest));
        self.layer(Field::WorkloadDigest, |version| facts(version).and_then(|facts| facts.workload_digest));
        for stretch in self.stretches(|version| facts(version).map(|facts| facts.instance)) {
            // The published contract has no such field; its writer names the receipt after the instance.
            let (name, field) = match &stretch.value {
                Some(name) => (name, Field::Instance),
                None => (&object.key.name, Field::Name),
            };
            let other = match reference::instance(self.reader, object, name, self.brought(&stretch)) {
                Some(found) => vertex(found),
                None if stretch.value.is_none() => continue,
                None => placeholder(kind::INSTANCE, &object.key.namespace, name),
            };
            self.effect(EdgeKind::ReceiptOf, other, field, None, &stretch);
        }
    }

    fn instance(&mut self) {
        self.pack_reference(EdgeKind::InstanceOf, |version| match &version.content.facts.detail {
            Detail::Instance(InstanceFacts { pack, .. }) => Some(pack.clone()),
            _ => None,
        });
    }

    /// A signal names the receipt of what drifted; the management cluster answers by deleting the
    /// receipt's execution, so that the next one of its name is there because of the signal.
    fn drift_signal(&mut self) {
        self.job(Field::CorrectionJob);
        let named = |version: &Version| {
            let facts = &version.content.facts;
            Some((facts.cluster.clone().unwrap_or_default(), facts.names.receipt.clone()?))
        };
        for stretch in self.stretches(named) {
            let (cluster, name) = &stretch.value;
            let key = reference::receipt_key(cluster, name);
            let found = self.reader.resolve_key(&key, self.brought(&stretch));
            let other = found.map_or_else(|| Vertex::Key(key), vertex);
            self.effect(EdgeKind::Drifted, other, Field::Receipt, None, &stretch);
            let redone = found.and_then(|receipt| self.redone(receipt, cluster));
            if let Some(execution) = redone {
                self.cause(EdgeKind::Retriggered, vertex(execution), Field::Receipt, &stretch);
            }
        }
    }

    fn redone(&self, receipt: &Object, cluster: &str) -> Option<&Object> {
        let name = format!("{}-{cluster}", pack_name(receipt.latest())?);
        lookup_namespaces(self.object)
            .iter()
            .flat_map(|namespace| self.reader.group(&NaturalKey::new(kind::EXECUTION, namespace, &name)))
            .filter(|execution| execution.birth() >= self.object.birth())
            .min_by_key(|execution| (execution.birth(), execution.ident()))
    }

    fn lineage_index(&mut self) {
        for stretch in self.each(|version| version.content.facts.names.descendants.clone()) {
            let other = self.named(&stretch.value, self.brought(&stretch));
            self.cause(EdgeKind::Registers, other, Field::Descendants, &stretch);
        }
    }

    /// A `clusterPackRef`, with the version that it names.
    fn pack_reference(&mut self, kind: EdgeKind, pack: impl Fn(&Version) -> Option<PackRef>) {
        let named = |version: &Version| pack(version).and_then(|pack| Some((pack.name?, pack.version)));
        // A new version of the same pack does not look its name up anew.
        let by_name = self.stretches(|version| named(version).map(|(name, _)| name));
        for stretch in self.stretches(named) {
            let (name, version) = &stretch.value;
            let brought = by_name.iter().rfind(|named| named.first <= stretch.first).map(|named| self.brought(named));
            let other = self.pack_named(name, brought.unwrap_or(stretch.from));
            self.effect(kind, other, Field::Pack, version.clone(), &stretch);
        }
    }

    fn pack_named(&self, name: &str, at: i64) -> Vertex {
        let found = reference::pack(self.reader, self.object, name, at);
        found.map_or_else(|| placeholder(kind::PACK, &self.object.key.namespace, name), vertex)
    }

    /// A record of the object's own namespace.
    fn in_namespace(&self, kind: &str, name: &str, at: i64) -> Vertex {
        let key = NaturalKey::new(kind, &self.object.key.namespace, name);
        self.reader.resolve_key(&key, at).map_or_else(|| placeholder(kind, &key.namespace, name), vertex)
    }

    /// A record that is named with its namespace, and perhaps its uid.
    fn named(&self, named: &Named, at: i64) -> Vertex {
        let Named { kind, namespace, name, uid } = named;
        match uid {
            Some(uid) => reference::seen(self.reader, namespace, kind, name, uid)
                .map_or_else(|| Vertex::Key(thing::unseen(named)), Vertex::Object),
            None => self
                .reader
                .resolve_key(&NaturalKey::new(kind, namespace, name), at)
                .map_or_else(|| placeholder(kind, namespace, name), vertex),
        }
    }

    /// When the value of a stretch of a `spec` field was brought: at birth if it was always there.
    fn brought<T>(&self, stretch: &Stretch<T>) -> i64 {
        if stretch.first == 0 { self.object.birth() } else { stretch.from }
    }

    /// The stretches of versions with a value.
    fn stretches<T: PartialEq>(&self, value: impl Fn(&Version) -> Option<T>) -> Vec<Stretch<T>> {
        let mut found: Vec<Stretch<T>> = Vec::new();
        for (i, version) in self.object.history.versions.iter().enumerate() {
            let Some(value) = value(version) else { continue };
            match found.last_mut() {
                Some(last) if last.value == value && self.follows(i, last.last) => last.last = i,
                _ => found.push(Stretch { value, first: i, last: i, from: version.from }),
            }
        }
        found
    }

    /// The stretches of versions with each of several values.
    fn each<T: Ord>(&self, values: impl Fn(&Version) -> Vec<T>) -> Vec<Stretch<Rc<T>>> {
        let mut found: BTreeMap<Rc<T>, Vec<Stretch<Rc<T>>>> = BTreeMap::new();
        for (i, version) in self.object.history.versions.iter().enumerate() {
            for value in values(version) {
                let value = Rc::new(value);
                let stretches = found.entry(Rc::clone(&value)).or_default();
                match stretches.last_mut() {
                    Some(last) if last.last == i || self.follows(i, last.last) => last.last = i,
                    _ => stretches.push(Stretch { value, first: i, last: i, from: version.from }),
                }
            }
        }
        found.into_values().flatten().collect()
    }

    /// Whether a version follows another without a gap: an object that was closed and came back says
    /// nothing in between.
    fn follows(&self, version: usize, before: usize) -> bool {
        let versions = &self.object.history.versions;
        version == before + 1 && versions[before].to == Some(versions[version].from)
    }

    /// Something that holds for as long as the object lives, or lived.
    fn whole_life(&mut self, kind: EdgeKind, other: Vertex, field: Field) {
        let last = self.object.history.versions.len() - 1;
        let life = Stretch { value: (), first: 0, last, from: self.object.history.first_at() };
        self.effect(kind, other, field, None, &life);
    }

    fn cause<T>(&mut self, kind: EdgeKind, other: Vertex, field: Field, stretch: &Stretch<T>) {
        self.push(false, kind, other, field, None, stretch);
    }

    fn effect<T>(&mut self, kind: EdgeKind, other: Vertex, field: Field, says: Option<String>, stretch: &Stretch<T>) {
        self.push(true, kind, other, field, says, stretch);
    }

    fn push<T>(
        &mut self,
        is_effect: bool,
        kind: EdgeKind,
        other: Vertex,
        field: Field,
        attribute: Option<String>,
        stretch: &Stretch<T>,
    ) {
        let is_latest = stretch.last + 1 == self.object.history.versions.len();
        self.edges.push(Declared {
            object: self.object.id,
            is_effect,
            kind,
            other,
            field,
            attribute,
            first: stretch.first,
            last: (!is_latest).then_some(stretch.last),
        });
    }
}

/// The digests of an artifact: its checksum, and what its reference ends with.
fn digests(artifact: &Artifact) -> Vec<NaturalKey> {
    let in_reference = artifact.reference.rsplit_once('@').map(|(_, digest)| digest.to_owned());
    let digests = artifact.checksum.clone().into_iter().chain(in_reference);
    digests
        .filter(|digest| thing::normal_digest(digest).starts_with("sha256:"))
        .map(|digest| thing::digest(&digest))
        .collect()
}

fn vertex(object: &Object) -> Vertex {
    Vertex::Object(object.id)
}

fn placeholder(kind: &str, namespace: &str, name: &str) -> Vertex {
    Vertex::Key(NaturalKey::new(kind, &thing::bounded(namespace), &thing::bounded(name)))
}
