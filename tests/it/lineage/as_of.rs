//! The whole schema as of a commit: the answers of a store that knows only that much.

use packtrail::domain::run::{Completed, Decision};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::records::fleet::fleet;
use crate::records::model::Input;
use crate::runs::fixture::{create, decide, gate, hash_of, runs_at};
use crate::runs::pack::run;
use crate::support::api::Api;
use crate::support::db::Database;
use crate::support::feed::NOW;
use crate::support::ingest::send_all;
use crate::support::worker;

/// A question that touches every type that can be asked about as of a commit. Live values are left out:
/// they are null there.
const QUESTION: &str = "fragment all on Query {
    sources(first: 5) { nodes { id name createdAt } }
    clusters(first: 9) { totalCount nodes { id name clusterPacks(first: 3) { nodes { id } } } }
    packFamilies(first: 9) { nodes { id name } }
    clusterPacks(first: 9) { totalCount nodes { id name uid live version basePackName closedAt closedBy digest
        updatedAt raw versions(first: 5) { nodes { number from to end digest asserter raw } }
        findings(first: 5) { nodes { id code severity } } } }
    packExecutions(first: 9) { totalCount nodes { id name uid live clusterPack { name record { id } }
        operationResult { name record { id } } revisionChain { epoch status } } }
    operationResults(first: 9, orderBy: {field: UPDATED_AT, direction: DESC}) { totalCount nodes { id name uid
        revision status previous { name record { id } } packExecution { uid record { id } } } }
    packReceipts(first: 9) { nodes { id name live signatureVerified driftStatus } }
    packInstances(first: 9) { nodes { id name version } }
    driftSignals(first: 9) { nodes { id name } }
    lineageIndexes(first: 9) { nodes { id name } }
    operationSequences(first: 9) { totalCount nodes { id name epochs(first: 3) { nodes { id epoch epochUid status
        gaps { kind fromRevision toRevision } forks { revision }
        revisions(first: 9) { nodes { id revision digest } } } } } }
    findings(first: 20, filter: {state: ALL}) { totalCount nodes { id code severity raisedAt clearedAt message } }
    findingCounts { code severity count }
    quarantine(first: 9) { nodes { id code message } }
    approvals(first: 9) { totalCount nodes { approvalId status requestedAt run { runId } } }
    runs(first: 9) { totalCount nodes { id runId status planHash updatedAt seq endedAt
        steps(first: 9) { nodes { stepId status statusReason attempts outputs } }
        approvals(first: 3) { nodes { approvalId status decision decidedBy } }
        logs(first: 20) { totalCount nodes { seq eventType stepId } }
        transitions(first: 20) { nodes { stepId from to seq } } } }
}
query ($seq: Int53!) { asOf(point: {seq: $seq}) { ...all } }";

const GRAPH: &str = "query ($seq: Int53!, $node: ID!, $cluster: String!, $source: String) {
    asOf(point: {seq: $seq}) {
        lineage(node: $node, depth: 3, limit: 200) { nodes { id kind name placeholder depth }
            edges { kind from to field version assertedBy validFrom validTo knownSince }
            completeness { complete reason frontier } }
        impact(node: $node) { counts { kind count } clusters { name } }
        history(node: $node, first: 20) { totalCount nodes { at event closedBy version { number digest } } }
        deployments(source: $source, cluster: $cluster, first: 20) { nodes { basePack since result { id } } }
        deployedResources(source: $source, cluster: $cluster, first: 50) { nodes { kind name
            claims { deployment { basePack } } } }
        intent(source: $source, cluster: $cluster, first: 20) { nodes { basePack agrees intended { id }
            executed { id } acknowledged { id } } }
    } }";

/// The question asked plainly, without `asOf`.
async fn plain(api: &Api, question: &str, mut variables: Value) -> Value {
    let question = question.replace("$seq: Int53!, ", "").replace("query ($seq: Int53!)", "query");
    let question = question.replacen("asOf(point: {seq: $seq})", "... on Query", 1);
    variables.as_object_mut().unwrap().remove("seq");
    let response = api.execute(&question, variables).await;
    assert!(response.get("errors").is_none(), "{response:#}");
    response["data"].clone()
}

async fn answer(api: &Api, question: &str, variables: Value) -> Value {
    let response = api.execute(question, variables).await;
    assert!(response.get("errors").is_none(), "{response:#}");
    response["data"]["asOf"].clone()
}

async fn ids(api: &Api, seq: i64) -> Vec<String> {
    let found = answer(api, QUESTION, json!({"seq": seq})).await;
    let lists = ["clusterPacks", "packExecutions", "operationResults", "packReceipts"];
    let nodes = lists.iter().flat_map(|list| found[*list]["nodes"].as_array().unwrap());
    nodes.map(|node| node["id"].as_str().unwrap().to_owned()).collect()
}

/// What can happen to a store.
enum Happening {
    /// Something is sent.
    Sent(Input),
    /// A command is given to a run: they are counted through.
    Command(usize),
}

impl Happening {
    async fn to(&self, api: &Api, token: &mut Option<String>) {
        match self {
            Self::Sent(input) => send_all(&api.store, &api.tenant, std::slice::from_ref(input), 1).await,
            Self::Command(n) => command(api, *n, token).await,
        }
    }
}

/// In turn: a run is created, moved by a worker, approved, and every other one is cancelled.
async fn command(api: &Api, n: usize, token: &mut Option<String>) {
    let (id, at) = (format!("r{}", n / 4), NOW + i64::try_from(n).unwrap() * 1_000_000);
    let runs = runs_at(api, at);
    match n % 4 {
        0 => create(api, &id, json!([run("one"), gate("wait", "go"), run("two")])).await,
        1 => {
            *token = Some(worker::begin(&runs, &api.tenant, &id, 0).await.0);
        }
        2 => {
            let ended = Completed::Succeeded(json!({"n": n}));
            worker::end(&runs, &api.tenant, token.as_deref().unwrap(), ended).await;
        }
        _ if n % 8 == 3 => runs.cancel(&api.tenant, &id, "tester").await.unwrap(),
        _ => {
            let hash = hash_of(api, &id).await;
            runs.decide(&api.tenant, &id, &decide("go", Decision::Approved, &hash, "tester")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn every_tenth_commit_answers_as_a_store_that_knows_only_that_much() {
    for database in Database::all() {
        let store = database.open().await;
        for seed in 0..3 {
            let mut inputs = fleet(seed);
            inputs.shuffle(&mut ChaCha8Rng::seed_from_u64(seed + 7));
            let mut happenings = Vec::new();
            for (n, input) in inputs.into_iter().enumerate() {
                happenings.push(Happening::Sent(input));
                if n % 4 == 0 {
                    happenings.push(Happening::Command(n / 4));
                }
            }
            let whole = Api::new(&store, &format!("w{seed}"));
            let mut commits: Vec<(i64, usize)> = Vec::new();
            let mut token = None;
            for (n, happening) in happenings.iter().enumerate() {
                happening.to(&whole, &mut token).await;
                let head = store.head(&whole.tenant).await.unwrap();
                commits.retain(|(seq, _)| *seq != head);
                commits.push((head, n + 1));
            }
            for (seq, taken) in commits.into_iter().filter(|(seq, _)| seq % 10 == 0) {
                let fresh = Api::new(&store, &format!("f{seed}-{seq}"));
                let mut token = None;
                for happening in &happenings[..taken] {
                    happening.to(&fresh, &mut token).await;
                }
                let what = format!("fleet {seed} as of {seq}");
                assert_eq!(store.head(&fresh.tenant).await.unwrap(), seq, "{what}");
                let then = answer(&whole, QUESTION, json!({"seq": seq})).await;
                let now = plain(&fresh, QUESTION, json!({})).await;
                assert_eq!(then, now, "{what}");
                let clusters = now["clusters"]["nodes"].as_array().unwrap();
                let sources = now["sources"]["nodes"].as_array().unwrap();
                for (n, id) in ids(&fresh, seq).await.into_iter().enumerate().filter(|(n, _)| n % 5 == 0) {
                    let cluster = &clusters[n % clusters.len()]["name"];
                    let source = &sources[n % sources.len()]["name"];
                    let variables = json!({"seq": seq, "node": id, "cluster": cluster, "source": source});
                    let then = answer(&whole, GRAPH, variables.clone()).await;
                    assert_eq!(then, plain(&fresh, GRAPH, variables).await, "{what}: {id}");
                }
            }
        }
        store.close().await;
    }
}

#[tokio::test]
async fn as_of_takes_numbers_and_times_and_refuses_what_it_cannot_answer() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::with_samples(&store, "t").await;
        let head = store.head("t").await.unwrap();
        let count = |point: &str| format!("{{ asOf(point: {point}) {{ clusterPacks {{ totalCount }} }} }}");
        let total =
            async |point: &str| api.ask(&count(point)).await["asOf"]["clusterPacks"]["totalCount"].as_i64().unwrap();
        assert_eq!(total("{seq: 0}").await, 0, "nothing was known before the first commit");
        assert_eq!(total("{time: \"1990-01-01T00:00:00Z\"}").await, 0);
        let all = api.ask("{ clusterPacks { totalCount } }").await["clusterPacks"]["totalCount"].as_i64().unwrap();
        assert_eq!(total(&format!("{{seq: {head}}}")).await, all);
        assert_eq!(total("{time: \"2999-01-01T00:00:00Z\"}").await, all);
        for (question, code) in [
            (count(&format!("{{seq: {}}}", head + 1)), "BAD_USER_INPUT"),
            (count("{seq: -1}"), "BAD_USER_INPUT"),
            ("{ asOf(point: {seq: 1}) { asOf(point: {seq: 1}) { __typename } } }".to_owned(), "BAD_USER_INPUT"),
            ("{ asOf(point: {seq: 1}) { search(text: \"cert\") { totalCount } } }".to_owned(), "NOT_SUPPORTED_AS_OF"),
            ("{ asOf(point: {seq: 1}) { operationStats(groupBy: []) { count } } }".to_owned(), "NOT_SUPPORTED_AS_OF"),
        ] {
            assert_eq!(api.code(&question).await, code, "{question}");
        }
        let live = "{ asOf(point: {seq: 1}) { packReceipts { nodes { lastSeenAt lastDriftCheckAt } } } }";
        for receipt in api.ask(live).await["asOf"]["packReceipts"]["nodes"].as_array().unwrap() {
            assert_eq!(*receipt, json!({"lastSeenAt": null, "lastDriftCheckAt": null}));
        }
        store.close().await;
    }
}
