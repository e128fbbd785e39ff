use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::*;

/// Of every event's text in turn: whoever changes the fleet changes this, knowingly.
const DIGEST: &str = "7ea2b761142b0fff781068e71b73368bdbe6b970c1779a68cd00ed20bdad0ee5";

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["object"]["kind"] == kind).collect()
}

fn field<'a>(event: &'a Value, pointer: &str) -> &'a str {
    text(event["object"].pointer(pointer).unwrap_or(&Value::Null))
}

/// The results of one sequence: revision, uid and event type, as observed.
fn sequence(events: &[Value], name: &str) -> Vec<(i64, String, String)> {
    of_kind(events, "PackOperationResult")
        .into_iter()
        .filter(|event| field(event, "/spec/packExecutionRef") == name)
        .map(|event| {
            let revision = event["object"]["spec"]["revision"].as_i64().unwrap();
            let uid = field(event, "/metadata/uid").to_owned();
            (revision, uid, text(&event["type"]).to_owned())
        })
        .collect()
}

fn revisions(events: &[Value], name: &str) -> BTreeSet<i64> {
    sequence(events, name).into_iter().map(|(revision, ..)| revision).collect()
}

/// The name of the execution in which a scenario happens.
fn place(wanted: Scenario) -> String {
    let (base, version, cluster, _) = SCENARIOS.iter().find(|s| s.3 == wanted).unwrap();
    format!("{base}-{version}-{cluster}")
}

#[test]
fn the_stream_is_the_same_every_time() {
    let mut hash = Sha256::new();
    for event in events() {
        hash.update(event.to_string());
    }
    assert_eq!(hex::encode(hash.finalize()), DIGEST);
}

#[test]
fn events_are_ordered_and_end_with_october() {
    let events: Vec<Value> = events().collect();
    assert!((1_400..=1_700).contains(&events.len()), "{}", events.len());
    assert!(events.is_sorted_by_key(|event| text(&event["observedAt"]).to_owned()));
    assert_eq!(events.last().unwrap()["observedAt"], "2026-11-01T00:00:00Z");
    assert!(text(&events[0]["observedAt"]) >= "2026-08-01");
}

#[test]
fn every_object_satisfies_its_published_schema() {
    let schema = |text: &str| jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap();
    let schemas = BTreeMap::from([
        ("InfrastructureClusterPack", schema(include_str!("../../../contracts/InfrastructureClusterPack.schema.json"))),
        (
            "InfrastructurePackExecution",
            schema(include_str!("../../../contracts/InfrastructurePackExecution.schema.json")),
        ),
        ("PackOperationResult", schema(include_str!("../../../contracts/PackOperationResult.schema.json"))),
        ("PackReceipt", schema(include_str!("../../../contracts/PackReceipt.schema.json"))),
    ]);
    let mut checked = 0;
    for event in events() {
        if let Some(schema) = schemas.get(text(&event["object"]["kind"])) {
            let errors: Vec<String> = schema.iter_errors(&event["object"]).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?} in {event}");
            checked += 1;
        }
    }
    assert!(checked > 900, "only {checked} checked");
}

#[test]
fn an_object_lives_from_added_to_deleted_and_its_version_grows() {
    let mut live: BTreeMap<String, (u64, bool)> = BTreeMap::new();
    for event in events() {
        let metadata = &event["object"]["metadata"];
        let version: u64 = text(&metadata["resourceVersion"]).parse().unwrap();
        let uid = text(&metadata["uid"]).to_owned();
        match (text(&event["type"]), live.get(&uid)) {
            ("ADDED", None) => {}
            ("ADDED", Some((last, _))) => assert!(version <= *last, "{event}"),
            (_, None) => panic!("never added: {event}"),
            (_, Some((last, deleted))) => assert!(version > *last && !deleted, "{event}"),
        }
        let entry = live.entry(uid).or_default();
        entry.0 = entry.0.max(version);
        entry.1 |= event["type"] == "DELETED";
    }
}

#[test]
fn every_cluster_pack_and_kind_takes_part() {
    let events: Vec<Value> = events().collect();
    let kinds: BTreeSet<&str> = events.iter().map(|event| field(event, "/kind")).collect();
    let expected = BTreeSet::from([
        "DriftSignal",
        "InfrastructureClusterPack",
        "InfrastructureLineageIndex",
        "InfrastructurePackExecution",
        "InfrastructurePackInstance",
        "PackOperationResult",
        "PackReceipt",
    ]);
    assert_eq!(kinds, expected);
    let results = of_kind(&events, "PackOperationResult");
    let clusters: BTreeSet<&str> = results.iter().map(|event| field(event, "/spec/targetClusterRef")).collect();
    assert_eq!(clusters.len(), CLUSTERS.len());
    let packs = of_kind(&events, "InfrastructureClusterPack");
    let bases: BTreeSet<&str> = packs.iter().map(|event| field(event, "/spec/basePackName")).collect();
    assert_eq!(bases.len(), PACKS.len());
}

#[test]
fn failures_of_several_categories_are_retried() {
    let events: Vec<Value> = events().collect();
    let results = of_kind(&events, "PackOperationResult");
    let categories: BTreeSet<&str> = results
        .iter()
        .map(|event| field(event, "/spec/failureReason/category"))
        .filter(|category| !category.is_empty())
        .collect();
    assert!(categories.len() >= 5, "{categories:?}");
    let retried = results
        .iter()
        .any(|event| field(event, "/spec/status") == "Succeeded" && event["object"]["spec"]["revision"] == 2);
    assert!(retried);
}

#[test]
fn superseded_results_are_labelled_or_deleted() {
    let events: Vec<Value> = events().collect();
    let results = of_kind(&events, "PackOperationResult");
    let labelled = results.iter().filter(|event| {
        event["type"] == "MODIFIED" && field(event, "/metadata/labels/ontai.dev~1superseded") == "true"
    });
    assert!(labelled.count() >= 10);
    assert!(results.iter().filter(|event| event["type"] == "DELETED").count() >= 10);
}

#[test]
fn one_sequence_has_a_hole_and_one_starts_late() {
    let events: Vec<Value> = events().collect();
    assert_eq!(revisions(&events, &place(Scenario::Hole)), BTreeSet::from([1, 3]));
    assert_eq!(revisions(&events, &place(Scenario::LateStart)), BTreeSet::from([3]));
    let names: BTreeSet<&str> = of_kind(&events, "PackOperationResult")
        .into_iter()
        .map(|event| field(event, "/spec/packExecutionRef"))
        .collect();
    let broken = names.iter().filter(|name| {
        let revisions = revisions(&events, name);
        revisions.iter().copied().ne(1..=i64::try_from(revisions.len()).unwrap())
    });
    assert_eq!(broken.count(), 2);
}

#[test]
fn one_revision_was_written_twice() {
    let events: Vec<Value> = events().collect();
    let uids: BTreeSet<String> = sequence(&events, &place(Scenario::Fork))
        .into_iter()
        .filter(|(revision, ..)| *revision == 2)
        .map(|(_, uid, _)| uid)
        .collect();
    assert_eq!(uids.len(), 2);
}

#[test]
fn one_result_changed_under_its_uid() {
    let events: Vec<Value> = events().collect();
    let mut specs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for event in of_kind(&events, "PackOperationResult") {
        let spec = event["object"]["spec"].to_string();
        specs.entry(field(event, "/metadata/uid")).or_default().insert(spec);
    }
    assert_eq!(specs.values().filter(|specs| specs.len() > 1).count(), 1);
}

#[test]
fn drift_resets_the_epoch_of_five_sequences() {
    let events: Vec<Value> = events().collect();
    let mut executions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for event in of_kind(&events, "InfrastructurePackExecution") {
        let uid = field(event, "/metadata/uid");
        executions.entry(field(event, "/metadata/name")).or_default().insert(uid);
    }
    let reset: Vec<&str> = executions.iter().filter(|(_, uids)| uids.len() == 2).map(|(name, _)| *name).collect();
    assert_eq!(reset.len(), 5);
    for name in reset {
        let first: BTreeSet<String> = sequence(&events, name)
            .into_iter()
            .filter(|(revision, ..)| *revision == 1)
            .map(|(_, uid, _)| uid)
            .collect();
        assert_eq!(first.len(), 2, "{name}");
    }
    let signals = of_kind(&events, "DriftSignal");
    for state in ["pending", "delivered", "queued", "confirmed"] {
        assert!(signals.iter().any(|event| field(event, "/spec/state") == state), "{state}");
    }
    let escalated = |event: &&&Value| event["object"]["spec"]["escalationCounter"] == 3;
    assert_eq!(signals.iter().filter(escalated).count(), 2);
}

#[test]
fn receipts_verify_but_for_one_and_some_drift() {
    let events: Vec<Value> = events().collect();
    let receipts = of_kind(&events, "PackReceipt");
    let unverified: BTreeSet<&str> = receipts
        .iter()
        .filter(|event| event["object"]["spec"]["signatureVerified"] == false)
        .map(|event| field(event, "/metadata/uid"))
        .collect();
    assert_eq!(unverified.len(), 1);
    let drifted: BTreeSet<&str> = receipts
        .iter()
        .filter(|event| field(event, "/status/driftStatus") == "Drifted")
        .map(|event| field(event, "/metadata/uid"))
        .collect();
    assert_eq!(drifted.len(), 7);
    let still = receipts.iter().filter(|event| {
        event["observedAt"] == "2026-11-01T00:00:00Z" && field(event, "/status/driftStatus") == "Drifted"
    });
    assert!(still.count() >= 1);
}

#[test]
fn a_pack_goes_back_to_its_earlier_version() {
    let events: Vec<Value> = events().collect();
    let instances = of_kind(&events, "InfrastructurePackInstance");
    let directions: BTreeSet<&str> = instances.iter().map(|event| field(event, "/status/upgradeDirection")).collect();
    assert_eq!(directions, BTreeSet::from(["Initial", "Redeploy", "Rollback", "Upgrade"]));
}

#[test]
fn one_delivery_never_succeeds() {
    let events: Vec<Value> = events().collect();
    let name = place(Scenario::Failing);
    let results = of_kind(&events, "PackOperationResult");
    let statuses: BTreeSet<&str> = results
        .iter()
        .filter(|event| field(event, "/spec/packExecutionRef") == name)
        .map(|event| field(event, "/spec/status"))
        .collect();
    assert_eq!(statuses, BTreeSet::from(["Failed"]));
}

#[test]
fn lineage_indexes_name_their_descendants() {
    let events: Vec<Value> = events().collect();
    let indexes = of_kind(&events, "InfrastructureLineageIndex");
    assert!(
        indexes.iter().any(|event| { field(event, "/spec/descendantRegistry/0/kind") == "InfrastructurePackInstance" })
    );
}

#[test]
fn some_events_are_delivered_twice() {
    let mut seen = BTreeSet::new();
    let twice = events().filter(|event| {
        let metadata = &event["object"]["metadata"];
        !seen.insert(format!("{}{}", metadata["uid"], metadata["resourceVersion"]))
    });
    assert!(twice.count() >= 5);
}
