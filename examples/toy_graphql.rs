//! Serves the test schema on loopback, for the clients in `tests/clients`.
//!
//! `cargo run --example toy_graphql -- [ADDRESS]`; port 0, the default, takes any free one.

#[path = "../tests/it/http/toy.rs"]
mod toy;

use packtrail::http::graphiql;
use packtrail::http::graphql::{GraphqlLimits, GraphqlService};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let schema = toy::schema(toy::Inside::default(), toy::Gate::default(), true);
    let service = GraphqlService::new(schema, GraphqlLimits::default());
    axum::serve(listener, service.routes().merge(graphiql::routes())).await
}
