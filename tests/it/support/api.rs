//! Asks the schema as the transports do.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_graphql::{Request, Response, Variables};
use futures_util::StreamExt as _;
use packtrail::auth::{Grants, IngestBinding, Principal, Scope, TenantSet};
use packtrail::graphql::context::RequestContext;
use packtrail::graphql::guard::repeats;
use packtrail::graphql::raw::RawVariables;
use packtrail::graphql::rows::StockOnly;
use packtrail::graphql::written::{WriteLists, write_value};
use packtrail::graphql::{ApiSchema, schema};
use packtrail::service::ingest::writer::Writer;
use packtrail::storage::Store;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::feed;

/// Somebody with scopes.
pub fn principal(tenant: &str, scopes: &[Scope]) -> Principal {
    Principal {
        subject: "tester".into(),
        tenants: TenantSet::Only(Arc::new(BTreeSet::from([Arc::from(tenant)]))),
        scopes: scopes.into(),
        ingest_binding: Arc::new(IngestBinding::default()),
        capabilities: Arc::default(),
        grants: Grants::Only(Arc::new(BTreeSet::from(["packs.approve".to_owned()]))),
    }
}

/// The API of one tenant.
pub struct Api {
    pub store: Store,
    pub writer: Writer,
    pub tenant: Arc<str>,
    pub principal: Principal,
    schema: ApiSchema,
}

impl Api {
    /// An API for somebody who may read and send.
    pub fn new(store: &Store, tenant: &str) -> Self {
        Self {
            writer: feed::writer(store),
            store: store.clone(),
            tenant: tenant.into(),
            principal: principal(tenant, &[Scope::Viewer, Scope::Ingest]),
            schema: schema(),
        }
    }

    /// An API whose tenant has all samples.
    pub async fn with_samples(store: &Store, tenant: &str) -> Self {
        let api = Self::new(store, tenant);
        feed::feed_samples(&api.writer, tenant, "default").await;
        api
    }

    /// The same store for somebody else.
    pub fn for_principal(&self, principal: Principal) -> Self {
        Self {
            store: self.store.clone(),
            writer: self.writer.clone(),
            tenant: Arc::clone(&self.tenant),
            principal,
            schema: self.schema.clone(),
        }
    }

    /// The whole response.
    pub async fn execute(&self, query: &str, variables: Value) -> Value {
        self.execute_raw(query, &variables.to_string()).await
    }

    /// The whole response to variables as they are written.
    pub async fn execute_raw(&self, query: &str, variables: &str) -> Value {
        serde_json::to_value(self.respond(query, variables, |request| request).await).unwrap()
    }

    /// The text of the response, its lists filled by the stock executor or, as ever, at once.
    pub async fn text(&self, query: &str, variables: &Value, is_stock: bool) -> String {
        let mark = |request: Request| if is_stock { request.data(StockOnly) } else { request };
        serde_json::to_string(&self.respond(query, &variables.to_string(), mark).await).unwrap()
    }

    /// The text of the response, its lists written at once; `None` if its document does not allow that.
    pub async fn written(&self, query: &str, variables: &Value) -> Option<String> {
        let document = async_graphql::parser::parse_query(query).unwrap();
        if repeats(&document) {
            return None;
        }
        let mut response = self.respond(query, &variables.to_string(), |request| request.data(WriteLists)).await;
        let mut data = Vec::new();
        write_value(&std::mem::take(&mut response.data), &mut data);
        let data = String::from_utf8(data).unwrap();
        // What is left of it is `{"data":null}`, with errors behind where there are any.
        Some(serde_json::to_string(&response).unwrap().replacen("null", &data, 1))
    }

    async fn respond(&self, query: &str, variables: &str, mark: impl FnOnce(Request) -> Request) -> Response {
        let raw = RawValue::from_string(variables.to_owned()).unwrap();
        let decoded: Value = serde_json::from_str(variables).unwrap();
        let context = RequestContext::new(
            self.principal.clone(),
            Arc::clone(&self.tenant),
            self.store.clone(),
            Some(self.writer.clone()),
            feed::clock(),
        );
        let request =
            Request::new(query).variables(Variables::from_json(decoded)).data(RawVariables(raw.into())).data(context);
        if query.starts_with("subscription") {
            let mut answers = self.schema.execute_stream(mark(request));
            return answers.next().await.unwrap();
        }
        self.schema.execute(mark(request)).await
    }

    /// The data of a response without errors.
    pub async fn ask_with(&self, query: &str, variables: Value) -> Value {
        let mut response = self.execute(query, variables).await;
        assert!(response.get("errors").is_none(), "{query}: {response:#}");
        response["data"].take()
    }

    /// The data of a response without errors.
    pub async fn ask(&self, query: &str) -> Value {
        self.ask_with(query, json!({})).await
    }

    /// The code of the one error of a response.
    pub async fn code(&self, query: &str) -> String {
        let response = self.execute(query, json!({})).await;
        let errors = response["errors"].as_array().unwrap_or_else(|| panic!("{query}: {response:#}"));
        assert_eq!(errors.len(), 1, "{response:#}");
        errors[0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{response:#}")).to_owned()
    }
}
