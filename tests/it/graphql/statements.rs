//! How many statements an answer costs. Postgres is asked on the thread of the test, so its statements
//! can be counted there; the layer above both databases is the same.

use std::sync::{Arc, Mutex};

use packtrail::storage::Store;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::support::api::Api;
use crate::support::db::{Database, TENANT};

/// Notes the statements of this thread.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<usize>>);

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        *self.0.lock().unwrap() += usize::from(event.metadata().target() == "sqlx::query");
    }
}

/// The samples in a Postgres; none where a developer left Postgres out.
async fn samples() -> Option<(Store, Api)> {
    let database = Database::all().into_iter().find(|database| matches!(database, Database::Postgres { .. }))?;
    let store = database.open().await;
    let api = Api::with_samples(&store, TENANT).await;
    Some((store, api))
}

async fn statements(api: &Api, query: &str) -> usize {
    let counted = Statements::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(counted.clone()));
    api.ask(query).await;
    *counted.0.lock().unwrap()
}

#[tokio::test]
async fn a_chain_is_one_statement_beside_its_name_and_the_view() {
    let Some((store, api)) = samples().await else { return };
    let chain = "revisionChain(namespace: \"seam-tenant-ccs-dev\", packExecution: \"nginx-ccs-dev-ccs-dev\")";
    let list = "revisions { totalCount nodes { revision name uid status live digest } pageInfo { endCursor } }";
    assert_eq!(statements(&api, &format!("{{ {chain} {{ status epoch {list} }} }}")).await, 3);
    assert_eq!(statements(&api, &format!("{{ {chain} {{ {list} head {{ name }} }} }}")).await, 4);
    store.close().await;
}

/// The view, the places of the page, its records; then one for each thing that all of them are asked for.
#[tokio::test]
async fn siblings_share_their_statements() {
    let Some((store, api)) = samples().await else { return };
    for (fields, count) in [
        ("name status digest", 3),
        ("name phase labels { key } artifacts { name } steps { name }", 4),
        ("name a: findings { totalCount } b: findings(first: 1) { nodes { code } } phase", 5),
        ("name versions { nodes { number } }", 4),
    ] {
        for first in [1, 2, 31, 100] {
            let query = format!("{{ operationResults(first: {first}) {{ nodes {{ {fields} }} }} }}");
            assert_eq!(statements(&api, &query).await, count, "{query}");
        }
    }
    let counted = "{ operationResults(first: 1) { totalCount nodes { name } } }";
    assert_eq!(statements(&api, counted).await, 4, "what is counted is counted when it is selected");
    store.close().await;
}
