//! The edges that a store has, in the words of the naive model.

use std::collections::{BTreeSet, HashMap};

use packtrail::domain::lineage::{EdgeKind, Field};

use crate::support::db::fetch;

type Row = (i64, i64, i64, i64, i64, i64, i64, Option<i64>, Option<String>);

/// The edges of a tenant as of a commit; see [`crate::records::model::lineage::edges`].
pub async fn stored_edges(url: &str, tenant: &str, seq: i64) -> BTreeSet<String> {
    let of = format!("tenant_id = (SELECT id FROM tenant WHERE name = '{tenant}')");
    let nodes: Vec<(i64, String, String)> = fetch(
        url,
        &format!(
            "SELECT n.id, n.kind || '/' || n.cluster || '/' || n.namespace || '/' || n.name, s.name FROM node n \
             JOIN source s ON s.tenant_id = n.tenant_id AND s.id = n.source_id WHERE n.{of}"
        ),
    )
    .await;
    let mut names: HashMap<i64, (String, String)> = nodes.into_iter().map(|(id, key, s)| (id, (key, s))).collect();
    let objects: Vec<(i64, i64, String)> = fetch(url, &format!("SELECT id, node_id, uid FROM object WHERE {of}")).await;
    for (id, node, uid) in objects {
        let (key, source) = names[&node].clone();
        let uid = if uid.is_empty() { "-".to_owned() } else { uid };
        names.insert(id, (format!("{key}/{uid}"), source));
    }
    let members: Vec<(i64, String)> = fetch(
        url,
        &format!(
            "SELECT m.set_id, r.api_version || ' ' || r.kind || ' ' || r.namespace || ' ' || r.name \
             FROM resource_set_member m JOIN resource r ON r.tenant_id = m.tenant_id AND r.id = m.resource_id \
             WHERE m.{of}"
        ),
    )
    .await;
    let rows: Vec<Row> = fetch(
        url,
        &format!(
            "SELECT src, by_dst, kind, dst, within, field, from_n, to_n, attribute FROM lineage \
             WHERE {of} AND from_seq <= {seq} AND to_seq > {seq}"
        ),
    )
    .await;
    let mut lines = BTreeSet::new();
    for (src, by_dst, kind, dst, within, field, from_n, to_n, attribute) in rows {
        let (from, source) = &names[&src];
        let effects: Vec<String> = match within {
            0 => vec![names[&dst].0.clone()],
            cluster => {
                let cluster = names[&cluster].0.strip_prefix("~cluster///").unwrap();
                let of_set = members.iter().filter(|(set, _)| *set == dst);
                of_set.map(|(_, resource)| format!("~resource {cluster} {resource}")).collect()
            }
        };
        let kind = word(EdgeKind::of_code(kind).unwrap());
        let (field, attribute) = (Field::path(field), attribute.unwrap_or_default());
        let last = to_n.map(|n| n.to_string()).unwrap_or_default();
        for to in effects {
            let by = if by_dst == 1 { &to } else { from };
            let line = format!("{source} {kind} {from} -> {to} by {by}: {field} [{attribute}] {from_n}..{last}");
            assert!(lines.insert(line), "twice: {source} {kind} {from} -> {to}");
        }
    }
    lines
}

/// The word of a kind in the API.
pub fn word(kind: EdgeKind) -> String {
    let mut word = String::new();
    for (i, letter) in format!("{kind:?}").chars().enumerate() {
        if i > 0 && letter.is_ascii_uppercase() {
            word.push('_');
        }
        word.push(letter.to_ascii_uppercase());
    }
    word
}

/// Compares edges, and shows those that differ alone.
pub fn assert_same_edges(found: &BTreeSet<String>, expected: &BTreeSet<String>, what: &str) {
    let surplus: Vec<&String> = found.difference(expected).collect();
    let missing: Vec<&String> = expected.difference(found).collect();
    assert!(surplus.is_empty() && missing.is_empty(), "{what}\nsurplus: {surplus:#?}\nmissing: {missing:#?}");
}
