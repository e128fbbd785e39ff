//! A small schema with every behaviour the endpoint must cope with.

#![expect(clippy::unused_async, reason = "a resolver is asynchronous even if its answer is at hand")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{
    Context, ErrorExtensions, ID, InputValueError, InputValueResult, Object, Scalar, ScalarType, Schema, SimpleObject,
    Subscription, Value,
};
use futures_util::Stream;
use packtrail::graphql::limits::GuardLimits;
use tokio::sync::Semaphore;

pub type Toy = Schema<Query, Mutation, Ticks>;

/// What tests see of the inside.
#[derive(Clone, Default)]
pub struct Inside {
    /// Times the mutation ran.
    pub bumps: Arc<AtomicUsize>,
}

/// Lets `Query.wait` go on.
#[derive(Clone)]
pub struct Gate {
    pub entered: Arc<Semaphore>,
    pub leave: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { entered: Arc::new(Semaphore::new(0)), leave: Arc::new(Semaphore::new(0)) }
    }
}

pub fn schema(inside: Inside, gate: Gate, suggestions: bool) -> Toy {
    let builder = Schema::build(Query, Mutation, Ticks).data(inside).data(gate);
    GuardLimits::default().harden(builder, suggestions).finish()
}

pub struct Query;

#[Object]
impl Query {
    async fn hello(&self) -> &str {
        "world"
    }

    async fn echo(&self, value: Option<i32>, text: Option<String>) -> Option<i32> {
        drop(text);
        value
    }

    async fn literal(&self, value: async_graphql::Json<serde_json::Value>) -> bool {
        value.0.is_null()
    }

    async fn even(&self, number: Even) -> i32 {
        number.0
    }

    /// Fails below a field that must not be null.
    async fn n(&self) -> Option<Outer> {
        Some(Outer)
    }

    async fn strict(&self) -> N {
        N
    }

    async fn maybe(&self) -> Option<N> {
        Some(N)
    }

    async fn list(&self) -> Option<Vec<N>> {
        Some(vec![N, N])
    }

    async fn sparse(&self) -> Vec<Option<N>> {
        vec![Some(N), Some(N)]
    }

    async fn tree(&self) -> Tree {
        Tree
    }

    async fn clusters(&self, first: Option<i32>, last: Option<i32>) -> Connection {
        let _ = (first, last);
        Connection::default()
    }

    async fn nodes(&self, ids: Vec<ID>) -> Vec<Option<Cluster>> {
        ids.iter().map(|_| None).collect()
    }

    async fn secret(&self) -> async_graphql::Result<i32> {
        Err("SELECT password FROM users".into())
    }

    async fn coded(&self) -> async_graphql::Result<i32> {
        Err(async_graphql::Error::new("No such run.").extend_with(|_, e| e.set("code", "NOT_FOUND")))
    }

    async fn away(&self) -> async_graphql::Result<i32> {
        Err(async_graphql::Error::new("Away.").extend_with(|_, e| e.set("code", "UNAVAILABLE")))
    }

    async fn panics(&self) -> i32 {
        fall()
    }

    async fn never(&self) -> i32 {
        std::future::pending().await
    }

    async fn wait(&self, context: &Context<'_>) -> bool {
        let gate = context.data_unchecked::<Gate>();
        gate.entered.add_permits(1);
        gate.leave.acquire().await.is_ok()
    }

    async fn big(&self, size: usize) -> String {
        "x".repeat(size)
    }
}

fn fall() -> i32 {
    panic!("a secret of the panic")
}

/// A custom scalar: only its field parses it.
pub struct Even(i32);

#[Scalar]
impl ScalarType for Even {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => match number.as_i64().and_then(|it| i32::try_from(it).ok()) {
                Some(even) if even % 2 == 0 => Ok(Self(even)),
                _ => Err(InputValueError::custom("an odd number")),
            },
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        self.0.into()
    }
}

pub struct Outer;

#[Object]
impl Outer {
    async fn n(&self) -> N {
        N
    }
}

pub struct N;

#[Object]
impl N {
    async fn x(&self) -> async_graphql::Result<i32> {
        Err(async_graphql::Error::new("x fails").extend_with(|_, e| e.set("code", "NOT_FOUND")))
    }

    async fn y(&self) -> Option<i32> {
        Some(1)
    }
}

pub struct Tree;

#[Object]
impl Tree {
    async fn t(&self) -> Tree {
        Tree
    }

    async fn leaf(&self) -> i32 {
        1
    }
}

#[derive(SimpleObject, Default)]
pub struct Connection {
    edges: Vec<Edge>,
    nodes: Vec<Cluster>,
    total_count: Option<i32>,
}

#[derive(SimpleObject)]
pub struct Edge {
    node: Cluster,
}

#[derive(SimpleObject)]
pub struct Cluster {
    id: ID,
    name: String,
    packs: Connection,
}

pub struct Mutation;

#[Object]
impl Mutation {
    async fn bump(&self, context: &Context<'_>) -> usize {
        let bumps = &context.data_unchecked::<Inside>().bumps;
        bumps.fetch_add(1, Ordering::SeqCst) + 1
    }
}

pub struct Ticks;

#[Subscription]
impl Ticks {
    async fn ticks(&self) -> impl Stream<Item = i32> {
        futures_util::stream::iter([1, 2, 3])
    }
}
