//! Findings in a sentence or two: what is wrong, and what to look at.

use serde_json::Value;

/// The most items of a list that a message names.
const MOST_NAMED: usize = 5;

/// A member of the detail as it is.
fn word(detail: &Value, member: &str) -> String {
    detail
        .get(member)
        .map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned))
        .unwrap_or_default()
}

/// What a finding says. `detail` is what it was derived from; a member that it lacks is left out.
#[must_use]
pub fn explain(code: &str, severity: &str, detail: &Value) -> String {
    match code {
        "OBJECTIVE_MISSED" => format!(
            "The runs of {} {} miss what their pack aims at: {} is {} and should be at most {}. Look at the slowest of \
             its last 100 runs, at the approvals that waited, and at the queue of work.",
            word(detail, "pack"),
            word(detail, "version"),
            word(detail, "objective"),
            word(detail, "measured"),
            word(detail, "aim")
        ),
        "REVISION_GAP" => format!(
            "Of this chain, {} between seen revisions never came. Look for them in dumps, logs and backups, and \
             check that the collector ran at that time.",
            revisions(detail)
        ),
        "STARTED_LATE" => format!(
            "This chain is known from a later revision on: {} never came. That is to be expected where the cluster is \
             older than this server.",
            revisions(detail)
        ),
        "REVISION_FORK" => format!(
            "Different results claim one place in this chain{}. Compare them: two executors ran at once, or a result \
             was forged.",
            forks(detail)
        ),
        "BROKEN_LINK" => format!(
            "The previousRevisionRef of {} cannot be true. Look at what it names: the writer is at fault, or the record \
             was edited.",
            rows(detail, "some results")
        ),
        "SPEC_REWRITTEN" if severity == "info" => {
            "The spec of this sealed record changed in a way that the platform itself takes. All versions are kept."
                .to_owned()
        }
        "SPEC_REWRITTEN" => {
            "The spec of this sealed record changed under its uid. Compare its versions and find out who wrote."
                .to_owned()
        }
        "TWO_ACTIVES" => format!(
            "More than one result of this sequence is live and not superseded: {}. The executor broke off between two \
             steps, or a deletion was missed: send a complete listing.",
            rows(detail, "several")
        ),
        "RESURRECTED" => {
            "This record was seen deleted and lives. Check the collector's clock; a restored cluster does this too."
                .to_owned()
        }
        "STATUS_INCONSISTENT" => {
            "The status of this result contradicts its steps or its failure reason. Read the steps, and believe them \
             rather than the status."
                .to_owned()
        }
        "TIME_INCONSISTENT" => {
            "This result was completed before it was started. Check the clocks of its cluster.".to_owned()
        }
        _ => explain_pack(code, detail),
    }
}

/// The findings on packs, executions and receipts.
fn explain_pack(code: &str, detail: &Value) -> String {
    match code {
        "VERSION_REGRESSED" => format!(
            "The version went back{}. Nothing is wrong if that was a rollback.",
            change(detail, "from", "to").map(|(from, to)| format!(" from {from} to {to}")).unwrap_or_default()
        ),
        "ORPHAN_RESULT" => {
            "The execution of this result was never seen. Send the executions of its namespace too.".to_owned()
        }
        "ORPHAN_EXECUTION" => "The pack of this execution was never seen. Send the packs too.".to_owned(),
        "RECEIPT_UNVERIFIED" => {
            "The cluster says that the signature of what it got does not verify. Treat it as an incident: compare the \
             receipt's signature and digests with those of the pack, and find out who delivered."
                .to_owned()
        }
        "RECEIPT_DRIFTED" => {
            "The cluster says that what it got is not there any more. The platform redeploys by itself; see whether it \
             succeeds."
                .to_owned()
        }
        "DUPLICATE_RECEIPT" => format!(
            "{} live receipts speak of one pack on one cluster. Remove the stale one there, or send a complete listing.",
            detail["receipts"].as_array().map_or(2, Vec::len)
        ),
        "PACK_VERSION_MISMATCH" => format!(
            "This execution asked for {} than its pack had then. Check which of them was deployed.",
            change(detail, "execution", "pack")
                .map_or("another version".to_owned(), |(asked, had)| format!("the version {asked}, another ({had})"))
        ),
        "CHART_MISMATCH" => {
            "The chart or Helm version of this record is not that of its pack. Compare the two in the detail."
                .to_owned()
        }
        "LAYER_DIGEST_MISMATCH" => format!(
            "This receipt carries {} that no known version of its pack has. Send the pack's missing version if there is \
             one; else treat it as an incident.",
            words(&detail["roles"]).map_or("a layer".to_owned(), |roles| format!("a digest ({roles})"))
        ),
        "SIGNATURE_MISMATCH" => {
            "The signature of this receipt is none that its instance ever carried. Find out who signed it.".to_owned()
        }
        "EXECUTED_UNSIGNED" => {
            "This execution ran while its pack was not signed. Check the signing, and the gates of the execution."
                .to_owned()
        }
        "EXECUTED_REVOKED" => {
            "This execution ran while its pack was revoked. Check the gates of the execution, and consider a rollback."
                .to_owned()
        }
        "DANGLING_RESULT_REF" => format!(
            "This execution reports the result{} that was never seen. Look for it in dumps and logs.",
            detail["name"].as_str().map(|name| format!(" {name}")).unwrap_or_default()
        ),
        _ => "This server does not know the code; a newer one raised it.".to_owned(),
    }
}

/// The missing revisions, as in `revisions 2 and 4 to 6`.
fn revisions(detail: &Value) -> String {
    let gaps = detail["gaps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<String> = gaps
        .iter()
        .map(|gap| match (&gap["from"], &gap["to"]) {
            (from, to) if from == to => from.to_string(),
            (from, to) => format!("{from} to {to}"),
        })
        .collect();
    match &named[..] {
        [] => "some revisions".to_owned(),
        [one] if !one.contains(' ') => format!("revision {one}"),
        _ => format!("revisions {}", list(&named)),
    }
}

fn forks(detail: &Value) -> String {
    let forks = detail["forks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<String> = forks.iter().map(|fork| format!("revision {}", fork["revision"])).collect();
    if named.is_empty() { String::new() } else { format!(", at {}", list(&named)) }
}

fn rows(detail: &Value, otherwise: &str) -> String {
    let rows = detail["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |row: &Value| format!("revision {} ({})", row["revision"], row["ident"].as_str().unwrap_or_default());
    let named: Vec<String> = rows.iter().map(name).collect();
    if named.is_empty() { otherwise.to_owned() } else { list(&named) }
}

fn change<'a>(detail: &'a Value, from: &str, to: &str) -> Option<(&'a str, &'a str)> {
    detail[from].as_str().zip(detail[to].as_str())
}

fn words(list_of: &Value) -> Option<String> {
    let words: Vec<String> = list_of.as_array()?.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
    (!words.is_empty()).then(|| list(&words))
}

/// `a, b and c`, and no more than a reader wants.
fn list(all: &[String]) -> String {
    if all.len() > MOST_NAMED {
        return format!("{} and {} more", all[..MOST_NAMED].join(", "), all.len() - MOST_NAMED);
    }
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_revisions_are_named() {
        let one = json!({"gaps": [{"kind": "HOLE", "from": 2, "to": 2}]});
        assert!(explain("REVISION_GAP", "warning", &one).contains("revision 2 between"));
        let two = json!({"gaps": [{"from": 2, "to": 2}, {"from": 4, "to": 6}]});
        assert!(explain("REVISION_GAP", "warning", &two).contains("revisions 2 and 4 to 6 between"));
        let before = json!({"gaps": [{"from": 1, "to": 3}]});
        assert!(explain("STARTED_LATE", "info", &before).contains("revisions 1 to 3 never"));
    }

    #[test]
    fn a_message_names_what_the_detail_has_and_does_without() {
        let regressed = json!({"from": "v2", "to": "v1"});
        assert!(explain("VERSION_REGRESSED", "info", &regressed).starts_with("The version went back from v2 to v1."));
        assert!(explain("VERSION_REGRESSED", "info", &json!({})).starts_with("The version went back."));
        let mismatch = json!({"execution": "v1", "pack": "v2"});
        assert!(explain("PACK_VERSION_MISMATCH", "warning", &mismatch).contains("v1, another (v2) than its pack"));
        let roles = json!({"roles": ["rbac", "workload"]});
        assert!(explain("LAYER_DIGEST_MISMATCH", "error", &roles).contains("a digest (rbac and workload)"));
        assert!(explain("DANGLING_RESULT_REF", "info", &json!({"name": "r1"})).contains("the result r1 that"));
        let many: Vec<Value> = (1..=7).map(|n| json!({"revision": n, "ident": "u"})).collect();
        assert!(explain("TWO_ACTIVES", "warning", &json!({"results": many})).contains("revision 5 (u) and 2 more"));
    }

    #[test]
    fn a_rewrite_says_whether_it_was_to_be_expected() {
        let text = |severity: &str| explain("SPEC_REWRITTEN", severity, &json!({}));
        assert_ne!(text("info"), text("error"));
        assert!(explain("OF_A_NEWER_SERVER", "info", &json!({})).contains("newer"));
    }
}
