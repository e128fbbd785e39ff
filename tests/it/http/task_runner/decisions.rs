//! Decisions of approvals.

use futures_util::future::join;
use serde_json::{Value, json};

use super::{GATED, RUNS, Rest, for_each_server};

/// A run whose gate waits, and the hash of its plan.
async fn waiting(rest: &Rest, run_id: &str) -> Value {
    let state = rest.create(run_id, GATED).await;
    rest.work(run_id, 0, json!({"image": "i"})).await;
    state["planHash"].clone()
}

fn decision(word: &str, hash: &Value) -> Value {
    json!({"decision": word, "planHash": hash})
}

async fn gate(rest: &Rest, run_id: &str) -> Value {
    let mut state = rest.get("viewer", &format!("{RUNS}/{run_id}")).await.expect(200);
    state["steps"][1]["status"].take()
}

#[tokio::test]
async fn an_approved_gate_lets_the_run_go_on_and_others_fail_it() {
    for_each_server(async |rest: &Rest| {
        for (word, status, resumed) in
            [("approved", "Succeeded", true), ("rejected", "Failed", false), ("expired", "Failed", false)]
        {
            let hash = waiting(rest, word).await;
            // Repeated, it is answered as the first time.
            for _ in 0..2 {
                let answer = rest.decide("operator", word, &decision(word, &hash)).await.expect(200);
                assert_eq!(answer, json!({"status": word, "resumed": resumed}));
            }
            assert_eq!(gate(rest, word).await, status);
            let other = if word == "approved" { "rejected" } else { "approved" };
            let answer = rest.decide("operator", word, &decision(other, &hash)).await;
            assert_eq!(answer.refusal(), (409, "approval_already_decided"), "{word}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_decision_before_the_gate_is_kept_for_it() {
    for_each_server(async |rest: &Rest| {
        let state = rest.create("early", GATED).await;
        let early = decision("approved", &state["planHash"]);
        let answer = rest.decide("operator", "early", &early).await.expect(200);
        assert_eq!(answer, json!({"status": "approved", "resumed": false}));
        rest.work("early", 0, json!({})).await;
        assert_eq!(gate(rest, "early").await, "Succeeded");
        let again = rest.decide("operator", "early", &early).await.expect(200);
        assert_eq!(again, json!({"status": "approved", "resumed": false}));
    })
    .await;
}

#[tokio::test]
async fn a_decision_needs_the_grants_of_its_approval() {
    for_each_server(async |rest: &Rest| {
        let approve = decision("approved", &waiting(rest, "a").await);
        for caller in ["ungranted", "admin"] {
            assert_eq!(rest.decide(caller, "a", &approve).await.refusal(), (403, "grants_missing"), "{caller}");
        }
        assert_eq!(gate(rest, "a").await, "Pending");
        rest.decide("operator", "a", &approve).await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_decision_about_another_plan_or_none_changes_nothing() {
    for_each_server(async |rest: &Rest| {
        let hash = waiting(rest, "a").await;
        let upper = json!(hash.as_str().unwrap().to_uppercase().replace("SHA256", "sha256"));
        let zeros = json!(format!("sha256:{:064}", 0));
        for (body, expected) in [
            (decision("approved", &zeros), (409, "plan_hash_mismatch")),
            (decision("approved", &upper), (400, "invalid_plan_hash")),
            (decision("approved", &json!("sha256:a1b2")), (400, "invalid_plan_hash")),
            (decision("Approved", &hash), (400, "invalid_decision")),
            (json!({"decision": "approved"}), (400, "bad_user_input")),
            (json!({"planHash": hash}), (400, "bad_user_input")),
            (json!({"decision": 1, "planHash": hash}), (400, "bad_user_input")),
            (json!({"decision": "approved", "planHash": hash, "summary": null}), (400, "bad_user_input")),
            (json!({"decision": "approved", "planHash": hash, "actorId": "a".repeat(16385)}), (400, "bad_user_input")),
            (json!([]), (400, "bad_user_input")),
        ] {
            assert_eq!(rest.decide("operator", "a", &body).await.refusal(), expected, "{body}");
        }
        let approve = decision("approved", &hash);
        for (path, code) in [("a/approvals/unknown", "approval_not_found"), ("x/approvals/unknown", "run_not_found")] {
            assert_eq!(rest.post("operator", &format!("{RUNS}/{path}"), &approve).await.refusal(), (404, code));
        }
        assert_eq!(gate(rest, "a").await, "Pending");
    })
    .await;
}

#[tokio::test]
async fn of_two_opposite_decisions_at_once_one_holds() {
    for_each_server(async |rest: &Rest| {
        let hash = waiting(rest, "a").await;
        let (approve, reject) = (decision("approved", &hash), decision("rejected", &hash));
        let (one, other) = join(rest.decide("operator", "a", &approve), rest.decide("operator", "a", &reject)).await;
        let (held, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        assert_eq!(lost.refusal(), (409, "approval_already_decided"));
        let expected = if held.expect(200)["status"] == "approved" { "Succeeded" } else { "Failed" };
        assert_eq!(gate(rest, "a").await, expected);
    })
    .await;
}

#[tokio::test]
async fn an_ended_run_takes_no_decision() {
    for_each_server(async |rest: &Rest| {
        let hash = waiting(rest, "a").await;
        rest.app.runs.cancel("default", "a", "somebody").await.unwrap();
        let answer = rest.decide("operator", "a", &decision("approved", &hash)).await;
        assert_eq!(answer.refusal(), (409, "run_not_active"));
    })
    .await;
}
