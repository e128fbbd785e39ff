//! An operation is what its document says; a caller is what its token says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::request::Parts;
use futures_util::stream::{self, StreamExt as _};
use packtrail::http::live::{Admitted, Begun, Denied, Event, Subscriptions, errors};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

#[derive(Clone, Default)]
pub struct Fake(Arc<Inner>);

#[derive(Default)]
struct Inner {
    driven: Mutex<HashMap<String, mpsc::UnboundedSender<Event>>>,
    live: AtomicUsize,
    pulled: AtomicUsize,
    begun: AtomicUsize,
}

/// Counts something live until dropped.
struct Alive(Fake);

impl Alive {
    fn new(fake: &Fake) -> Self {
        fake.0.live.fetch_add(1, Ordering::SeqCst);
        Self(fake.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.live.fetch_sub(1, Ordering::SeqCst);
    }
}

pub fn next(data: &Value) -> Event {
    Event::Next(json!({ "data": data }).to_string().into())
}

impl Fake {
    /// Operations that begin or run.
    pub fn live(&self) -> usize {
        self.0.live.load(Ordering::SeqCst)
    }

    /// Events taken from endless streams.
    pub fn pulled(&self) -> usize {
        self.0.pulled.load(Ordering::SeqCst)
    }

    /// Operations begun so far.
    pub fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    /// Sends to the live operation `{ driven }` of this name; dropped, it completes.
    pub fn driver(&self, name: &str) -> mpsc::UnboundedSender<Event> {
        self.0.driven.lock().unwrap().remove(name).unwrap()
    }

    fn driven(&self, name: &str) -> Begun {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.driven.lock().unwrap().insert(name.to_owned(), sender);
        let state = (receiver, Alive::new(self));
        Begun::Events(stream::unfold(state, async |mut it| Some((it.0.recv().await?, it))).boxed())
    }

    fn endless(&self, bytes: usize) -> Begun {
        let fake = self.clone();
        let text = "x".repeat(bytes);
        let state = (Alive::new(self), fake, text, 0_u64);
        let events = stream::unfold(state, |(alive, fake, text, n)| async move {
            fake.0.pulled.fetch_add(1, Ordering::SeqCst);
            Some((next(&json!({ "n": n, "text": text })), (alive, fake, text, n + 1)))
        });
        Begun::Events(events.boxed())
    }
}

impl Subscriptions for Fake {
    type Caller = String;

    async fn admit(&self, parts: &Parts, init: Option<&Map<String, Value>>) -> Result<Admitted<String>, Denied> {
        let header = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let named = init.and_then(|init| Some(init.get("Authorization")?.as_str()?.to_owned()));
        let Some(token) = header.or(named) else { return Err(Denied::Missing("no token".into())) };
        let name = token.strip_prefix("Bearer ").unwrap_or_default();
        let mut expires = None;
        match name {
            "bad" => return Err(Denied::Unauthenticated("no such token".into())),
            "forbidden" => return Err(Denied::Forbidden("no such tenant".into())),
            "away" => return Err(Denied::Unavailable("no keys".into())),
            "vague" => return Err(Denied::Invalid("name a tenant".into())),
            "slow" => sleep(Duration::from_secs(3)).await,
            "expiring" => expires = Some(Instant::now() + Duration::from_secs(30)),
            _ => {}
        }
        Ok(Admitted { caller: Arc::new(name.to_owned()), principal: name.into(), expires })
    }

    async fn begin(&self, _caller: &Arc<String>, payload: Box<RawValue>) -> Begun {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let payload: Value = serde_json::from_str(payload.get()).unwrap();
        let query: String = payload["query"].as_str().unwrap_or_default().split_whitespace().collect();
        let name = payload["operationName"].as_str().unwrap_or("it");
        let variables = &payload["variables"];
        // Clients add names and variables of their own to documents.
        let is = |field: &str| query.contains(field);
        if is("{driven") {
            self.driven(name)
        } else if is("{endless") {
            self.endless(usize::try_from(variables["bytes"].as_u64().unwrap_or(10)).unwrap())
        } else if is("{never") {
            let _alive = Alive::new(self);
            std::future::pending().await
        } else if is("{panics}") {
            panic!("a beginning that panics")
        } else if is("{panicsLater}") {
            let events =
                stream::iter(0..2).map(|n| if n == 0 { next(&json!(0)) } else { panic!("a stream that panics") });
            Begun::Events(events.boxed())
        } else if is("count(") {
            let to = variables["to"].as_u64().unwrap_or(3);
            Begun::Events(stream::iter(1..=to).map(|n| next(&json!({ "count": n }))).boxed())
        } else if is("{one") {
            Begun::Events(stream::iter([next(&json!({ "one": 1 }))]).boxed())
        } else {
            Begun::Refused(errors("BAD_USER_INPUT", "no such field").into())
        }
    }
}
