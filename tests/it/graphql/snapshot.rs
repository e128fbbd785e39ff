//! One large answer, reviewed as a whole.

use crate::support::api::Api;
use crate::support::db::for_each_database;

#[tokio::test]
async fn the_samples_are_answered_as_reviewed() {
    for_each_database(async |store, tenant| {
        let api = Api::with_samples(&store, tenant).await;
        let answer = api.ask(include_str!("big.graphql")).await;
        insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => "snapshots"}, {
            insta::assert_json_snapshot!("samples", answer);
        });
    })
    .await;
}
