//! One answer is one view.

use packtrail::domain::kind;
use packtrail::service::query::{RecordsAsked, Scope};
use packtrail::storage::{Breadth, Page};
use serde_json::{Value, json};

use crate::support::api::Api;
use crate::support::db::{Database, TENANT, execute, for_each_database};
use crate::support::feed::feed_values;

fn pack(name: &str, version: &str, at: u8) -> Value {
    json!({"type": "MODIFIED", "observedAt": format!("2026-05-01T00:00:0{at}Z"), "object": {
        "apiVersion": "infrastructure.ontai.dev/v1alpha1", "kind": "ClusterPack",
        "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": at.to_string()},
        "spec": {"version": version, "registryRef": {"url": "r"}},
    }})
}

#[tokio::test]
async fn what_is_written_meanwhile_does_not_show() {
    for_each_database(async |store, tenant| {
        let api = Api::new(&store, tenant);
        feed_values(&api.writer, tenant, "default", &[pack("a", "v1", 1)]).await;
        let before = Scope::now(&store, tenant.into()).await.unwrap();
        feed_values(&api.writer, tenant, "default", &[pack("a", "v2", 2), pack("b", "v1", 2)]).await;
        let after = Scope::now(&store, tenant.into()).await.unwrap();
        assert_eq!((before.seq(), after.seq()), (1, 2));
        let told = async |scope: &Scope| {
            let asked = RecordsAsked::default();
            let rows = scope.list_records(kind::PACK, &asked, &Page::first(10), Breadth::Lean).await.unwrap().rows;
            let count = scope.count_records(kind::PACK, &asked).await.unwrap();
            assert_eq!(usize::try_from(count).unwrap(), rows.len());
            let mut told: Vec<(String, i64)> = rows.into_iter().map(|(_, r)| (r.key.name, r.versions)).collect();
            told.sort();
            told
        };
        assert_eq!(told(&before).await, [("a".to_owned(), 1)]);
        assert_eq!(told(&after).await, [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    })
    .await;
}

#[tokio::test]
async fn fields_that_need_no_body_read_none() {
    for database in Database::all() {
        let store = database.open().await;
        let api = Api::new(&store, TENANT);
        feed_values(&api.writer, TENANT, "default", &[pack("a", "v1", 1)]).await;
        let light =
            "{ clusterPacks { nodes { id name version signed rbacDigest live digest versions { totalCount } } } }";
        let whole = api.ask(light).await;
        // Without its body the record still answers all but what stands in the body alone.
        execute(&database.url().await, "DELETE FROM body").await;
        assert_eq!(api.ask(light).await, whole);
        assert_eq!(api.code("{ clusterPacks { nodes { checksum } } }").await, "INTERNAL");
    }
}
