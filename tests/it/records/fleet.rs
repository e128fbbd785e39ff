//! Seeded random fleets: what a few clusters might send, mishaps included.
//!
//! A fleet is told by a small world that lives through a handful of deeds (a pack is published, an
//! execution is made anew, a result is written, a watch misses something) and reports each of them
//! more or less faithfully. Names are few and short, so that they collide and a failing fleet can
//! be read by eye; chances are high for what is rare in life, because a test should meet it. All
//! values are JSON without floats. The same seed gives the same fleet.

use chrono::DateTime;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::model::Input;

/// Start of every fleet's time, 2026-05-01T00:00:00Z, in seconds since the Unix epoch.
const START: i64 = 1_777_593_600;

/// How often a content may be seen in one fleet. The server coalesces longer runs of heartbeats,
/// and inside such a run a late split depends on arrival.
const MOST_SIGHTINGS: usize = 6;

/// What one world does next, each as often as it stands here.
const DEEDS: [Deed; 34] = [
    Deed::Publish,
    Deed::Publish,
    Deed::Execute,
    Deed::Execute,
    Deed::Execute,
    Deed::Report,
    Deed::Report,
    Deed::Report,
    Deed::Report,
    Deed::Report,
    Deed::Report,
    Deed::Install,
    Deed::Acknowledge,
    Deed::Acknowledge,
    Deed::Acknowledge,
    Deed::Change,
    Deed::Change,
    Deed::Change,
    Deed::Change,
    Deed::Change,
    Deed::Delete,
    Deed::Delete,
    Deed::Delete,
    Deed::Revive,
    Deed::Alternate,
    Deed::List,
    Deed::List,
    Deed::Reappear,
    Deed::Outlive,
    Deed::Outlive,
    Deed::Deploy,
    Deed::Dump,
    Deed::Beat,
    Deed::Noise,
];

#[derive(Clone, Copy)]
enum Deed {
    /// A `ClusterPack` appears.
    Publish,
    /// A `PackExecution` appears, perhaps in the place of one of the same name.
    Execute,
    /// A `PackOperationResult` appears.
    Report,
    /// A `PackInstance` appears.
    Install,
    /// A `PackReceipt` appears.
    Acknowledge,
    /// Something changes in place.
    Change,
    /// Something goes.
    Delete,
    /// Something deleted is seen again.
    Revive,
    /// Two states are seen in turn.
    Alternate,
    /// Everything is listed, or nearly.
    List,
    /// Something is left out of a listing and then seen again as it was.
    Reappear,
    /// Something is still listed after its owner went, and then no more.
    Outlive,
    /// A delivery goes as it should.
    Deploy,
    /// Something is dumped without its uid.
    Dump,
    /// Only a heartbeat or a resource version moves.
    Beat,
    /// Something arrives that is no record of ours, or none at all.
    Noise,
}

/// Makes the fleet of a seed: 10 to 60 items of one source, sometimes two.
#[must_use]
pub fn fleet(seed: u64) -> Vec<Input> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let sources: &[&str] = if random.random_ratio(1, 5) { &["default", "other"] } else { &["default"] };
    let mut inputs = Vec::new();
    let wanted = random.random_range(10..=60) / sources.len();
    for source in sources {
        inputs.extend(World::new(source, &mut random).live(wanted));
    }
    if random.random_bool(0.5) {
        inputs.shuffle(&mut random);
    }
    inputs
}

/// One source while its fleet is being told.
struct World<'a> {
    random: &'a mut ChaCha8Rng,
    source: String,
    /// Seconds since `START`.
    now: i64,
    next_uid: u32,
    next_version: u32,
    alive: Vec<Value>,
    dead: Vec<Value>,
    inputs: Vec<Input>,
    /// Items told so far, those of listings included.
    told: usize,
    /// Contents told so far, to keep below [`MOST_SIGHTINGS`].
    contents: Vec<Value>,
}

impl<'a> World<'a> {
    fn new(source: &str, random: &'a mut ChaCha8Rng) -> Self {
        Self {
            random,
            source: source.to_owned(),
            now: 0,
            next_uid: 0,
            next_version: 10,
            alive: Vec::new(),
            dead: Vec::new(),
            inputs: Vec::new(),
            told: 0,
            contents: Vec::new(),
        }
    }

    fn live(mut self, wanted: usize) -> Vec<Input> {
        if self.chance(15) {
            return self.live_calmly(wanted);
        }
        self.publish();
        self.execute();
        self.report();
        while self.told < wanted {
            if !self.chance(10) {
                self.now += self.random.random_range(1..=40);
            }
            match self.pick(&DEEDS) {
                Deed::Publish => self.publish(),
                Deed::Execute => self.execute(),
                Deed::Report => self.report(),
                Deed::Install => self.install(),
                Deed::Acknowledge => self.acknowledge(),
                Deed::Change => self.change(),
                Deed::Delete => self.delete(),
                Deed::Revive => self.revive(),
                Deed::Alternate => self.alternate(),
                Deed::List => self.list(),
                Deed::Reappear => self.reappear(),
                Deed::Outlive => self.outlive(),
                Deed::Deploy => self.deploy(),
                Deed::Dump => self.dump(),
                Deed::Beat => self.beat(),
                Deed::Noise => self.noise(),
            }
        }
        self.inputs
    }

    /// A world in which nothing goes wrong.
    fn live_calmly(mut self, wanted: usize) -> Vec<Input> {
        while self.told < wanted {
            self.deploy();
        }
        self.inputs
    }

    // Chance and names ---------------------------------------------------------------------

    /// Whether something happens that does so `percent` of the time.
    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.random.random_range(0..of.len())].clone()
    }

    /// A living object of a kind, by the end of its kind's name.
    fn any_of(&mut self, kind: &str) -> Option<Value> {
        let named = |object: &&Value| text(object, "/kind").ends_with(kind);
        let all: Vec<_> = self.alive.iter().filter(named).cloned().collect();
        if all.is_empty() { None } else { Some(self.pick(&all)) }
    }

    /// A uid whose order says nothing about age.
    fn uid(&mut self) -> String {
        self.next_uid += 1;
        let letter = self.pick(&["a", "b", "c", "d", "e", "f"]);
        format!("{letter}{}", self.next_uid)
    }

    fn resource_version(&mut self) -> String {
        self.next_version += 1;
        self.next_version.to_string()
    }

    fn timestamp(&self) -> String {
        rfc3339(self.now)
    }

    fn digest(&mut self) -> String {
        self.pick(&["sha256:aa", "sha256:bb", "sha256:cc"]).to_owned()
    }

    fn namespace(&mut self, cluster: &str) -> String {
        if self.chance(10) { "seam-system".into() } else { format!("seam-tenant-{cluster}") }
    }

    // Births -------------------------------------------------------------------------------

    /// Makes an object that lives from now on, in the dialect of one of the operators.
    fn object(&mut self, kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
        let mut metadata = json!({
            "name": name,
            "namespace": namespace,
            "uid": self.uid(),
            "resourceVersion": self.resource_version(),
            "generation": 1,
        });
        if !self.chance(12) {
            let age = if self.chance(20) { self.random.random_range(1..=60) } else { 0 };
            metadata["creationTimestamp"] = json!(rfc3339(self.now - age));
        }
        let renamed = match kind {
            "ClusterPack" => "PackDelivery",
            "PackInstance" => "PackInstalled",
            "PackOperationResult" => "PackLog",
            other => other,
        };
        let (group, kind) = match self.random.random_range(0..10) {
            0 => ("infra", format!("Infrastructure{kind}")),
            1 => ("runner", kind.to_owned()),
            2 => ("seam", renamed.to_owned()),
            3..=5 => ("infrastructure", format!("Infrastructure{kind}")),
            _ => ("infrastructure", kind.to_owned()),
        };
        let api_version = format!("{group}.ontai.dev/v1alpha1");
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
    }

    /// Adds an object to the world and tells of it, or fails to.
    fn born(&mut self, object: &Value) {
        self.alive.push(object.clone());
        if !self.chance(6) {
            self.tell("ADDED", object);
        }
    }

    fn publish(&mut self) {
        let cluster = self.pick(&["c1", "c1", "c2"]);
        let name = self.pick(&["web-v1", "web-v2", "db", "db"]);
        let namespace = self.namespace(cluster);
        let version = self.pick(&["v1.0.0-r1", "v1.9.0-r1", "v1.10.0-r1", "v1.10.0-r2", "latest"]);
        let (rbac, workload) = (self.digest(), self.digest());
        let mut spec = json!({
            "version": version,
            "rbacDigest": rbac,
            "workloadDigest": workload,
            "registryRef": {"url": "registry/x", "digest": workload},
            "targetClusters": [cluster],
        });
        if self.chance(80) {
            spec["basePackName"] = json!(name.split('-').next());
        }
        if self.chance(40) {
            spec["chartName"] = json!(name);
            spec["chartVersion"] = json!(self.pick(&["v1", "v2"]));
        }
        let mut pack = self.object("ClusterPack", &namespace, name, &spec);
        if self.chance(70) {
            pack["status"] = json!({"signed": !self.chance(30), "observedGeneration": 1});
        }
        if self.chance(15) {
            let revoked = self.pick(&["True", "False"]);
            pack["status"]["conditions"] = json!([self.condition("Revoked", revoked)]);
        }
        self.replace_or_join(&pack, 30);
    }

    fn condition(&mut self, kind: &str, status: &str) -> Value {
        let mut condition = json!({"type": kind, "status": status});
        if !self.chance(15) {
            let ago = self.random.random_range(0..=60);
            condition["lastTransitionTime"] = json!(rfc3339(self.now - ago));
        }
        condition
    }

    /// Lets an object take the place of one of its name: reported, missed, or never.
    fn replace_or_join(&mut self, object: &Value, joins: u32) {
        let same = |other: &Value| {
            ["/metadata/name", "/metadata/namespace"].iter().all(|at| text(other, at) == text(object, at))
                && short_kind(other) == short_kind(object)
        };
        let places: Vec<_> = self.alive.iter().filter(|other| same(other)).cloned().collect();
        for old in places {
            if !self.chance(joins) {
                self.die(&old);
            }
        }
        self.born(object);
    }

    fn execute(&mut self) {
        let Some(pack) = self.any_of_packs() else {
            return;
        };
        let cluster = text(&pack, "/spec/targetClusters/0");
        let name = text(&pack, "/metadata/name");
        let mut version = text(&pack, "/spec/version");
        if self.chance(15) {
            version = "v1.0.0-r9".into();
        }
        let namespace = self.namespace(&cluster);
        let mut spec = json!({"targetClusterRef": cluster});
        match self.random.random_range(0..20) {
            0 => {}
            1 => spec["clusterPackRef"] = json!(name),
            2 => spec["clusterPackRef"] = json!({"name": "nowhere", "version": version}),
            3 => spec["clusterPackRef"] = json!({"name": name}),
            _ => spec["clusterPackRef"] = json!({"name": name, "version": version}),
        }
        if self.chance(25) {
            spec["chartVersion"] = json!(self.pick(&["v1", "v2"]));
        }
        let name = format!("{name}-{cluster}");
        let execution = self.object("PackExecution", &namespace, &name, &spec);
        self.replace_or_join(&execution, 25);
    }

    fn any_of_packs(&mut self) -> Option<Value> {
        let delivery = self.any_of("PackDelivery");
        if self.chance(20) && delivery.is_some() { delivery } else { self.any_of("ClusterPack") }
    }

    fn report(&mut self) {
        let Some(execution) = self.any_of("PackExecution") else {
            return;
        };
        let (pe, namespace) = (text(&execution, "/metadata/name"), text(&execution, "/metadata/namespace"));
        let last = self.last_revision(&pe, &namespace);
        let revision = match self.random.random_range(0..14) {
            0 => last + 2,
            1 => last.max(1),
            2 => 1,
            _ => last + 1,
        };
        let in_place = self.chance(10);
        let name =
            if in_place { format!("pack-deploy-result-{pe}") } else { format!("pack-deploy-result-{pe}-r{revision}") };
        let mut spec = self.result_spec(&execution);
        if !in_place || self.chance(60) {
            spec["revision"] = json!(revision);
        }
        if (revision > 1 && !in_place) || self.chance(5) {
            self.point_back(&mut spec, &pe, revision);
        }
        let mut result = self.object("PackOperationResult", &namespace, &name, &spec);
        self.bind_result(&mut result, &execution);
        self.supersede(&pe, &namespace);
        self.replace_or_join(&result, 40);
        if self.chance(40) {
            self.finish(&execution, &name);
        }
    }

    /// The highest living revision of an execution's results.
    fn last_revision(&self, pe: &str, namespace: &str) -> i64 {
        let prefix = format!("pack-deploy-result-{pe}-r");
        let results = self.alive.iter().filter(|object| {
            text(object, "/metadata/name").starts_with(&prefix) && text(object, "/metadata/namespace") == namespace
        });
        results.filter_map(|result| result["spec"]["revision"].as_i64()).max().unwrap_or(0)
    }

    fn result_spec(&mut self, execution: &Value) -> Value {
        let failed = self.chance(25);
        let started = self.now - self.random.random_range(0..=20);
        let status = if failed { "Failed" } else { "Succeeded" };
        let mut spec = json!({
            "targetClusterRef": execution["spec"]["targetClusterRef"],
            "status": status,
            "startedAt": rfc3339(started),
            "build": self.pick(&["x", "y"]),
        });
        if !self.chance(20) {
            let took = self.random.random_range(-2..=20);
            spec["completedAt"] = json!(rfc3339(started + took));
        }
        if !self.chance(12) {
            spec["packExecutionRef"] = execution["metadata"]["name"].clone();
        }
        if failed != self.chance(8) {
            spec["failureReason"] = json!({"category": "ExecutionFailure", "reason": "lost"});
        }
        if self.chance(30) {
            let outcome = if self.chance(10) { "Failed" } else { "Succeeded" };
            spec["steps"] = json!([{"name": "apply-workload", "status": outcome}]);
        }
        spec
    }

    /// Sets the predecessor: mostly right, sometimes wrong, itself or nobody.
    fn point_back(&mut self, spec: &mut Value, pe: &str, revision: i64) {
        let target = match self.random.random_range(0..16) {
            0 => return,
            1 => revision,
            2 => revision + 1,
            3 => revision - 2,
            _ => revision - 1,
        };
        spec["previousRevisionRef"] = json!(format!("pack-deploy-result-{pe}-r{target}"));
    }

    fn bind_result(&mut self, result: &mut Value, execution: &Value) {
        if !self.chance(20) {
            result["metadata"]["ownerReferences"] = json!([
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "z0"},
                {
                    "apiVersion": execution["apiVersion"],
                    "kind": execution["kind"],
                    "name": execution["metadata"]["name"],
                    "uid": execution["metadata"]["uid"],
                },
            ]);
        }
        if !self.chance(20) {
            result["metadata"]["labels"] = json!({"ontai.dev/pack-execution": execution["metadata"]["name"]});
        }
    }

    /// What the eras of writers do with the older results: label, delete, or forget them.
    fn supersede(&mut self, pe: &str, namespace: &str) {
        let dutiful = self.chance(25);
        let prefix = format!("pack-deploy-result-{pe}-r");
        let older = self.alive.iter().filter(|object| {
            text(object, "/metadata/name").starts_with(&prefix) && text(object, "/metadata/namespace") == namespace
        });
        for old in older.cloned().collect::<Vec<_>>() {
            let way = if dutiful { 0 } else { self.random.random_range(0..10) };
            match way {
                0..4 => self.modify(&old, |new| {
                    new["metadata"]["labels"]["ontai.dev/superseded"] = json!("true");
                }),
                4..6 => self.die(&old),
                _ => {}
            }
        }
    }

    /// A pack, its execution and one to three linked results; each but the newest is labelled.
    fn deploy(&mut self) {
        let (cluster, revisions) = (self.pick(&["c1", "c2"]), self.random.random_range(1..=3));
        let namespace = format!("seam-tenant-{cluster}");
        let pack = format!("ok{}", self.next_uid);
        let pe = format!("{pack}-{cluster}");
        let spec = json!({"version": "v1.0.0-r1", "targetClusters": [cluster]});
        self.appear("ClusterPack", &namespace, &pack, &spec, None);
        let spec = json!({
            "clusterPackRef": {"name": pack, "version": "v1.0.0-r1"}, "targetClusterRef": cluster,
        });
        let execution = self.appear("PackExecution", &namespace, &pe, &spec, None);
        let mut previous: Option<Value> = None;
        for revision in 1..=revisions {
            let mut spec = json!({
                "packExecutionRef": pe, "targetClusterRef": cluster, "revision": revision,
                "status": "Succeeded", "completedAt": self.timestamp(),
            });
            if let Some(previous) = &previous {
                spec["previousRevisionRef"] = previous["metadata"]["name"].clone();
            }
            let name = format!("pack-deploy-result-{pe}-r{revision}");
            let owner = Some(&execution);
            let result = self.appear("PackOperationResult", &namespace, &name, &spec, owner);
            if let Some(mut old) = previous.replace(result) {
                self.alive.retain(|other| *other != old);
                old["metadata"]["labels"] = json!({"ontai.dev/superseded": "true"});
                old["metadata"]["resourceVersion"] = json!(self.resource_version());
                self.alive.push(old.clone());
                self.tell_plainly("MODIFIED", &old);
            }
        }
    }

    /// An object is born now, told of without fail.
    fn appear(&mut self, kind: &str, namespace: &str, name: &str, spec: &Value, owner: Option<&Value>) -> Value {
        self.now += 1;
        let mut object = self.object(kind, namespace, name, spec);
        object["metadata"]["creationTimestamp"] = json!(self.timestamp());
        if let Some(owner) = owner {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": owner["apiVersion"], "kind": owner["kind"],
                "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            }]);
        }
        self.alive.push(object.clone());
        self.tell_plainly("ADDED", &object);
        object
    }

    /// The execution reports its result.
    fn finish(&mut self, execution: &Value, result: &str) {
        let outcome = self.pick(&["Succeeded", "Failed", "Running", "Pending"]);
        let condition = self.condition(outcome, "True");
        let result = if self.chance(12) { "nothing".into() } else { result.to_owned() };
        let told = self.chance(80);
        self.modify(execution, |new| {
            new["status"] = json!({"conditions": [condition], "observedGeneration": 1});
            if told {
                new["status"]["operationResultRef"] = json!(result);
            }
        });
    }

    fn install(&mut self) {
        let Some(execution) = self.any_of("PackExecution") else {
            return;
        };
        let cluster = text(&execution, "/spec/targetClusterRef");
        let namespace = text(&execution, "/metadata/namespace");
        let pack = pack_name(&execution);
        let name = format!("{}-{cluster}", pack.split('-').next().unwrap_or_default());
        let spec = json!({"clusterPackRef": pack, "targetClusterRef": cluster});
        let mut instance = self.object("PackInstance", &namespace, &name, &spec);
        if self.chance(70) {
            let group = self.pick(&["infrastructure", "infrastructure", "runner"]);
            let signature = self.pick(&["sigA", "sigB"]);
            let annotation = format!("{group}.ontai.dev/management-signature");
            instance["metadata"]["annotations"] = json!({annotation: signature});
        }
        if self.chance(60) {
            self.bind_result(&mut instance, &execution);
        }
        self.replace_or_join(&instance, 30);
    }

    fn acknowledge(&mut self) {
        let Some(pack) = self.any_of_packs() else {
            return;
        };
        let cluster = text(&pack, "/spec/targetClusters/0");
        let name = text(&pack, "/metadata/name");
        let signature = self.pick(&["sigA", "sigB"]);
        let verified = !self.chance(25);
        let mut spec = json!({});
        if !self.chance(8) {
            spec["targetClusterRef"] = json!(cluster);
        }
        for role in ["rbacDigest", "workloadDigest"] {
            match self.random.random_range(0..10) {
                0 => spec[role] = json!(self.digest()),
                1..6 => spec[role] = pack["spec"][role].clone(),
                _ => {}
            }
        }
        if self.chance(30) {
            spec["chartVersion"] = json!(self.pick(&["v1", "v2"]));
        }
        let instance = format!("{}-{cluster}", name.split('-').next().unwrap_or_default());
        let published = self.chance(50);
        let mut status = json!({"lastDriftCheckAt": self.timestamp()});
        if published {
            spec["clusterPackRef"] = json!({"name": name, "version": pack["spec"]["version"]});
            spec["packSignature"] = json!(signature);
            spec["signatureVerified"] = json!(verified);
            status["driftStatus"] = json!(self.pick(&["InSync", "InSync", "Drifted"]));
            status["deliveredAt"] = json!(self.timestamp());
        } else {
            spec["clusterPackRef"] = json!(name);
            spec["packInstanceRef"] = json!(instance);
            status["signature"] = json!(signature);
            status["verified"] = json!(verified);
        }
        if self.chance(15) {
            spec["signatureVerified"] = json!(null);
            status["verified"] = json!("unknown");
        }
        let name = if published { &instance } else { &name };
        let mut receipt = self.object("PackReceipt", "ont-system", name, &spec);
        receipt["status"] = status;
        self.replace_or_join(&receipt, 50);
    }

    // Lives and deaths ---------------------------------------------------------------------

    /// Changes a living object and tells of it, or fails to.
    fn modify(&mut self, old: &Value, change: impl FnOnce(&mut Value)) {
        let mut new = old.clone();
        change(&mut new);
        new["metadata"]["resourceVersion"] = json!(self.resource_version());
        let place = self.alive.iter().position(|object| object == old);
        if let Some(place) = place {
            self.alive[place] = new.clone();
            if !self.chance(6) {
                self.tell("MODIFIED", &new);
            }
        }
    }

    fn change(&mut self) {
        if self.alive.is_empty() {
            return;
        }
        let all = self.alive.clone();
        let object = self.pick(&all);
        let (sealed, word) = (self.chance(45), self.pick(&["x", "y", "z"]));
        if !sealed {
            return self.modify(&object, |new| {
                new["metadata"]["labels"]["note"] = json!(word);
            });
        }
        let kind = short_kind(&object);
        let revision = object["spec"]["revision"].as_i64().unwrap_or(0) + 1;
        let (digest, signature) = (self.digest(), self.pick(&["sigA", "sigB", "sigC"]));
        let version = self.pick(&["v1.0.0-r1", "v1.9.0-r1", "v1.10.0-r1", "1.2"]);
        let way = self.random.random_range(0..4);
        let pack = self.pick(&["web-v1", "web-v2", "db"]);
        self.modify(&object, |new| match (kind.as_str(), way) {
            ("ClusterPack", 0) => {
                new["spec"]["rollbackToRevision"] = json!(revision);
                new["spec"]["version"] = json!(version);
            }
            ("ClusterPack", 1) => new["spec"]["targetClusters"] = json!(["c1", word]),
            ("ClusterPack", 2) => new["spec"]["version"] = json!(version),
            ("ClusterPack", _) => new["status"] = json!({"signed": word == "x"}),
            ("PackReceipt", 0) => new["spec"]["packSignature"] = json!(signature),
            ("PackReceipt", 1) => {
                new["spec"]["rbacDigest"] = json!(digest);
                new["spec"]["packSignature"] = json!(signature);
            }
            ("PackReceipt", 2) => new["spec"]["rbacDigest"] = json!(digest),
            ("PackReceipt", _) => new["status"]["driftStatus"] = json!("Drifted"),
            ("PackOperationResult", 0) => new["spec"]["build"] = json!(word),
            ("PackOperationResult", 1) => new["metadata"]["ownerReferences"] = json!([]),
            ("PackOperationResult", _) => new["spec"]["revision"] = json!(revision),
            ("PackExecution", 0) => {
                new["spec"]["clusterPackRef"] = json!({"name": pack, "version": version});
            }
            ("PackExecution", _) => new["status"] = json!({"jobName": "job", "step": word}),
            ("PackInstance", _) => {
                new["spec"]["version"] = json!(version);
                new["metadata"]["annotations"] = json!({"infrastructure.ontai.dev/management-signature": signature});
            }
            _ => new["spec"]["state"] = json!(word),
        });
    }

    fn delete(&mut self) {
        if self.alive.is_empty() {
            return;
        }
        let all = self.alive.clone();
        let object = self.pick(&all);
        self.die(&object);
    }

    /// Ends a life; the deletion may be missed, repeated, or carry the last state's version.
    fn die(&mut self, object: &Value) {
        self.alive.retain(|other| other != object);
        let mut last = object.clone();
        if self.chance(60) {
            last["metadata"]["resourceVersion"] = json!(self.resource_version());
        }
        if self.chance(15) {
            last["metadata"]["deletionTimestamp"] = json!(self.timestamp());
        }
        self.dead.push(last.clone());
        if self.chance(30) {
            return;
        }
        if self.chance(8) {
            // Told by someone who knows neither when nor which state.
            let mut bare = last.clone();
            if let Some(metadata) = bare["metadata"].as_object_mut() {
                metadata.remove("resourceVersion");
            }
            self.send(json!({"type": "DELETED", "object": bare}), &bare);
            return;
        }
        self.tell("DELETED", &last);
        if self.chance(15) {
            self.now += 1;
            if self.chance(50) {
                last["metadata"]["resourceVersion"] = json!(self.resource_version());
            }
            if self.chance(30) {
                last["metadata"]["labels"]["note"] = json!("late");
            }
            self.tell("DELETED", &last);
        }
    }

    fn revive(&mut self) {
        if self.dead.is_empty() {
            return;
        }
        let all = self.dead.clone();
        let mut object = self.pick(&all);
        object["metadata"]["resourceVersion"] = json!(self.resource_version());
        self.tell("MODIFIED", &object);
    }

    /// Two states in turn, the later told first: A B A by time.
    fn alternate(&mut self) {
        if self.alive.is_empty() {
            return;
        }
        let all = self.alive.clone();
        let first = self.pick(&all);
        let mut second = first.clone();
        second["metadata"]["labels"]["note"] = json!("between");
        let (mut third, versioned) = (first.clone(), self.chance(70));
        for object in [&mut second, &mut third] {
            let version = self.resource_version();
            let version = if versioned { json!(version) } else { Value::Null };
            object["metadata"]["resourceVersion"] = version;
        }
        for (object, after) in [(&first, 0), (&third, 2), (&second, 1)] {
            let stamp = rfc3339(self.now + after);
            self.send(json!({"type": "MODIFIED", "observedAt": stamp, "object": object}), object);
        }
        self.now += 2;
        if let Some(place) = self.alive.iter().position(|object| *object == first) {
            self.alive[place] = third;
        }
    }

    /// Lists what lives, with omissions and, where they hold no uid, mere names.
    fn list(&mut self) {
        let kinds: Vec<&str> = match self.random.random_range(0..4) {
            0 => vec!["PackOperationResult"],
            1 => vec!["PackExecution", "PackReceipt", "ClusterPack"],
            _ => vec![],
        };
        let namespaces: Vec<&str> = self.pick(&[vec![], vec![], vec!["seam-tenant-c1", "ont-system"]]);
        let covered = |object: &Value| {
            (kinds.is_empty() || kinds.contains(&short_kind(object).as_str()))
                && (namespaces.is_empty() || namespaces.contains(&text(object, "/metadata/namespace").as_str()))
        };
        let mut items = Vec::new();
        for mut object in self.alive.clone().into_iter().filter(covered) {
            if items.len() >= 8 || self.chance(12) {
                continue;
            }
            if self.chance(10) {
                forget_uid(&mut object);
            }
            if self.may_tell(&object) {
                let stamped = json!({"type": "ADDED", "observedAt": self.timestamp(), "object": object});
                items.push(if self.chance(20) { stamped } else { object });
            }
        }
        self.told += items.len().max(1);
        self.inputs.push(Input::Snapshot {
            source: self.source.clone(),
            kinds: kinds.into_iter().map(str::to_owned).collect(),
            namespaces: namespaces.into_iter().map(str::to_owned).collect(),
            at: self.timestamp(),
            items,
        });
        self.now += 1;
    }

    /// A listing misses something; later it is seen again in the state that was known.
    fn reappear(&mut self) {
        if self.alive.is_empty() {
            return;
        }
        let all = self.alive.clone();
        let object = self.pick(&all);
        self.list_beside(&object, false);
        self.now += self.random.random_range(0..=5);
        match self.random.random_range(0..4) {
            0 => self.tell_plainly("ADDED", &object),
            1 => {
                let mut dump = object.clone();
                forget_uid(&mut dump);
                self.tell_plainly("ADDED", &dump);
            }
            _ => self.list_beside(&object, true),
        }
        if self.chance(30) {
            self.now += self.random.random_range(0..=5);
            self.list_beside(&object, false);
        }
    }

    /// The garbage collector is late: the owner is gone, what it owns goes later.
    fn outlive(&mut self) {
        let is_owner = |owner: &Value, owned: &Value| {
            let owners = owned["metadata"]["ownerReferences"].as_array();
            let uid = &owner["metadata"]["uid"];
            owners.is_some_and(|all| all.iter().any(|reference| reference["uid"] == *uid))
        };
        let mut pairs = Vec::new();
        for owner in &self.alive {
            let owned = self.alive.iter().filter(|object| is_owner(owner, object));
            pairs.extend(owned.map(|object| (owner.clone(), object.clone())));
        }
        if pairs.is_empty() {
            return;
        }
        let (mut owner, left) = self.pick(&pairs);
        self.alive.retain(|object| *object != owner);
        owner["metadata"]["resourceVersion"] = json!(self.resource_version());
        self.tell_plainly("DELETED", &owner);
        self.now += self.random.random_range(0..=2);
        self.list_beside(&left, true);
        if self.chance(70) {
            self.alive.retain(|object| *object != left);
            self.list_beside(&left, false);
            self.dead.push(left);
        }
        self.dead.push(owner);
    }

    /// Lists what lives of an object's kind and namespace, with or without that object.
    fn list_beside(&mut self, object: &Value, shown: bool) {
        let kind = short_kind(object);
        let namespace = text(object, "/metadata/namespace");
        let mut items = Vec::new();
        for other in self.alive.clone() {
            let beside = short_kind(&other) == kind && text(&other, "/metadata/namespace") == namespace;
            let listed = beside && (shown || other != *object);
            if listed && self.may_tell(&other) {
                items.push(other);
            }
        }
        self.told += items.len().max(1);
        self.inputs.push(Input::Snapshot {
            source: self.source.clone(),
            kinds: vec![kind],
            namespaces: vec![namespace],
            at: self.timestamp(),
            items,
        });
        self.now += 1;
    }

    /// A record without uid: of something known, of something never seen, or of twins.
    fn dump(&mut self) {
        let all = [self.alive.clone(), self.dead.clone()].concat();
        if all.is_empty() {
            return;
        }
        let mut object = self.pick(&all);
        if self.chance(30) {
            // A twin under the same name with the same spec.
            let mut twin = object.clone();
            twin["metadata"]["uid"] = json!(self.uid());
            twin["metadata"]["resourceVersion"] = json!(self.resource_version());
            if self.chance(60) {
                twin["metadata"]["creationTimestamp"] = json!(self.timestamp());
            }
            self.alive.push(twin.clone());
            self.tell("ADDED", &twin);
        }
        if self.chance(25) {
            object["spec"]["build"] = json!(self.pick(&["dumped", "y"]));
        }
        forget_uid(&mut object);
        if self.chance(20) {
            object["metadata"]["resourceVersion"] = json!(self.resource_version());
        }
        match self.random.random_range(0..10) {
            0..6 => self.send(object.clone(), &object),
            6 => self.send(json!({"type": "DELETED", "object": object.clone()}), &object),
            7 => self.tell("DELETED", &object),
            _ => self.tell("ADDED", &object),
        }
    }

    /// A new resource version, or a heartbeat, and nothing else.
    fn beat(&mut self) {
        if self.alive.is_empty() {
            return;
        }
        let all = self.alive.clone();
        let object = self.pick(&all);
        let now = self.timestamp();
        self.modify(&object, |new| {
            if new["status"].is_object() {
                new["status"]["lastDriftCheckAt"] = json!(now);
            }
        });
    }

    fn noise(&mut self) {
        let (now, version) = (self.timestamp(), self.resource_version());
        let family = "infrastructure.ontai.dev/v1alpha1";
        let metadata = json!({"name": "n", "namespace": "seam-tenant-c1", "resourceVersion": version});
        let object = match self.random.random_range(0..6) {
            0 => json!({"apiVersion": family, "kind": "ClusterPack", "metadata": {}}),
            1 => json!({"apiVersion": family, "metadata": metadata}),
            2 => json!({
                "apiVersion": family, "kind": "PackOperationResult", "metadata": metadata,
                "spec": {"revision": 9_007_199_254_740_993_i64},
            }),
            3 => json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}),
            4 => json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}),
            _ => json!({
                "apiVersion": "seam.ontai.dev/v1", "kind": "LineageRecord", "metadata": metadata,
                "spec": {"domainRef": "d"},
            }),
        };
        let event_type = self.pick(&["ADDED", "ADDED", "ADDED", "BOOKMARK", "ERROR"]);
        self.send(json!({"type": event_type, "observedAt": now, "object": object}), &object);
    }

    // Telling ------------------------------------------------------------------------------

    /// Tells what happened to an object, in one of the ways collectors do.
    fn tell(&mut self, event_type: &str, object: &Value) {
        let stamp = self.timestamp();
        let mut object = object.clone();
        let unversioned = self.chance(8);
        if unversioned && let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        let deleted = event_type == "DELETED";
        let item = match self.random.random_range(0..12) {
            0 if !deleted => object.clone(),
            1 => json!({"type": event_type, "object": object}),
            _ => json!({"type": event_type, "observedAt": stamp, "object": object}),
        };
        self.send(item.clone(), &object);
        if self.chance(10) {
            let later = rfc3339(self.now + self.random.random_range(0..=3));
            let again = json!({"type": event_type, "observedAt": later, "object": object});
            self.send(again, &object);
        }
    }

    /// Tells what happened to an object as a faithful watch does.
    fn tell_plainly(&mut self, event_type: &str, object: &Value) {
        let item = json!({"type": event_type, "observedAt": self.timestamp(), "object": object.clone()});
        self.send(item, object);
    }

    fn send(&mut self, item: Value, object: &Value) {
        if self.may_tell(object) {
            self.told += 1;
            self.inputs.push(Input::Item { source: self.source.clone(), item });
        }
    }

    /// Whether a content was not yet told as often as is allowed; counts it.
    fn may_tell(&mut self, object: &Value) -> bool {
        let mut content = object.clone();
        if let Some(metadata) = content["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        if let Some(status) = content.get_mut("status").and_then(Value::as_object_mut) {
            status.remove("lastDriftCheckAt");
        }
        let told = self.contents.iter().filter(|other| **other == content).count();
        self.contents.push(content);
        told < MOST_SIGHTINGS
    }
}

fn rfc3339(seconds: i64) -> String {
    let time = DateTime::from_timestamp(START + seconds, 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The string at a pointer, empty if there is none.
fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn pack_name(object: &Value) -> String {
    let name = text(object, "/spec/clusterPackRef/name");
    if name.is_empty() { text(object, "/spec/clusterPackRef") } else { name }
}

/// The kind under the name that the published schemas give it.
fn short_kind(object: &Value) -> String {
    let kind = text(object, "/kind");
    match kind.strip_prefix("Infrastructure").unwrap_or(&kind) {
        "PackDelivery" => "ClusterPack".into(),
        "PackInstalled" => "PackInstance".into(),
        "PackLog" => "PackOperationResult".into(),
        other => other.to_owned(),
    }
}

/// Leaves what a dump leaves: no uid, owner or resource version.
fn forget_uid(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for member in ["uid", "ownerReferences", "resourceVersion"] {
            metadata.remove(member);
        }
    }
}
