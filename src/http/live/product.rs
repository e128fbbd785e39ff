//! What the transports carry here: operations of the API, by callers with a tenant.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::group::Groups;
use super::{Admitted, Begun, Denied, Draining, Event, Live, LiveLimits, Places, Subscriptions, sse};
use crate::auth::AuthError;
use crate::graphql::ApiSchema;
use crate::http::App;
use crate::http::error::RestError;
use crate::http::graphql::{self, GraphqlService, Operation, Refusal, Source};
use crate::http::identity::{self, Identity};

/// Subscriptions of this server.
#[derive(Clone)]
pub struct Product {
    app: Arc<App>,
    service: GraphqlService<ApiSchema>,
    groups: Groups<ApiSchema>,
}

/// Who subscribes: a request of theirs, with who they are in its extensions.
pub struct Caller {
    parts: Parts,
    identity: Identity,
}

impl Product {
    async fn follow(&self, parts: &Parts, identity: &Identity, source: Source<'_>) -> Begun {
        match self.service.operation(parts, source).await {
            Ok(Operation::Answered(answer)) => Begun::Events(stream::iter([Event::Next(answer.into())]).boxed()),
            Ok(Operation::Followed(followed)) => match self.groups.follow(identity, followed).await {
                Ok(events) => Begun::Events(events),
                Err(errors) => Begun::Refused(errors.into()),
            },
            Err(errors) => Begun::Refused(errors.into()),
        }
    }

    fn identify(&self, parts: &Parts, init: Option<&Map<String, Value>>) -> Result<Identity, Denied> {
        let (token, tenant) =
            (member(init, &["authorization", "token"]), member(init, &["x-stellaops-tenant", "tenant"]));
        let token = token.map(|token| if token.contains(' ') { token.to_owned() } else { format!("Bearer {token}") });
        let header = identity::authorization(&parts.headers);
        let is_missing = header.is_none() && token.is_none();
        let principal = self.app.authenticator.authenticate(header.or(token.as_deref()));
        let named = identity::named_tenant(&parts.headers).or(tenant);
        let identity = principal.and_then(|principal| {
            let tenant = principal.tenant(named)?;
            Ok(Identity { principal, tenant })
        });
        identity.map_err(|error| {
            let RestError { message, .. } = RestError::from(error);
            match error {
                AuthError::Unauthenticated if is_missing => Denied::Missing(message),
                // The tenant may come with the first message too.
                AuthError::TenantRequired if init.is_none() => Denied::Missing(message),
                AuthError::Unauthenticated => Denied::Unauthenticated(message),
                AuthError::TenantForbidden => Denied::Forbidden(message),
                AuthError::TenantRequired => Denied::Invalid(message),
            }
        })
    }
}

/// A text of the first message, under any of some names, however they are capitalised.
fn member<'a>(init: Option<&'a Map<String, Value>>, names: &[&str]) -> Option<&'a str> {
    let found = init?.iter().find(|(name, _)| names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)));
    found.and_then(|(_, value)| value.as_str())
}

impl Subscriptions for Product {
    type Caller = Caller;

    async fn admit(&self, parts: &Parts, init: Option<&Map<String, Value>>) -> Result<Admitted<Self::Caller>, Denied> {
        let identity = self.identify(parts, init)?;
        let principal = Arc::clone(&identity.principal.subject);
        let mut parts = parts.clone();
        identity::admit(&mut parts.extensions, identity.clone());
        Ok(Admitted { caller: Arc::new(Caller { parts, identity }), principal, expires: None })
    }

    async fn begin(&self, caller: &Arc<Self::Caller>, payload: Box<RawValue>) -> Begun {
        self.follow(&caller.parts, &caller.identity, Source::Json(payload.get().as_bytes())).await
    }
}

/// The transports of subscriptions of a server.
#[derive(Clone)]
pub struct Transports {
    live: Arc<Live<Product>>,
    streams: Arc<Places>,
}

impl Transports {
    /// The transports over the service of all other operations, whose limits are theirs too.
    #[must_use]
    pub fn new(app: &Arc<App>, service: GraphqlService<ApiSchema>, limits: LiveLimits) -> Self {
        let draining = Draining::when(app.shutdown.draining());
        let product = Product { app: Arc::clone(app), service, groups: Groups::new(app.hub.clone()) };
        let mut live = Live::new(product, limits, draining);
        live.places = Arc::clone(&app.sockets);
        live.origins = app.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        // Each event stream is one subscription: a principal has as many as on its WebSockets.
        let streams = Places::new(live.limits.connections, live.limits.connections_each * live.limits.subscriptions);
        Self { live: Arc::new(live), streams }
    }

    /// The route of `WebSocket`s.
    pub fn routes(&self) -> Router {
        super::routes(Arc::clone(&self.live))
    }

    async fn event_stream(&self, request: Request) -> Response {
        let live = &self.live;
        let (parts, body) = request.into_parts();
        let Some(identity) = parts.extensions.get::<Identity>().cloned() else {
            let message = "Authenticate first.";
            return graphql::refuse(&parts.headers, Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message));
        };
        // Before anything is done: who is refused did nothing.
        let mut place = match self.streams.enter() {
            Ok(place) => place,
            Err(_full) => return graphql::refuse(&parts.headers, Refusal::overloaded()),
        };
        if place.assign(&identity.principal.subject).is_err() {
            return graphql::refuse(&parts.headers, Refusal::rate_limited(1, "Too many event streams."));
        }
        let begun = match live.subscriptions.service.sent(&parts, body).await {
            Ok(sent) => live.subscriptions.follow(&parts, &identity, sent.source()).await,
            Err(errors) => Begun::Refused(errors.into()),
        };
        let events = match begun {
            Begun::Events(events) => events,
            Begun::Refused(errors) => stream::iter([Event::Error(errors)]).boxed(),
        };
        sse::respond(events, None, &live.draining, &live.limits, place)
    }
}

/// Answers what asks for an event stream as one, and lets all else through.
pub async fn divert(State(transports): State<Transports>, request: Request, next: Next) -> Response {
    if sse::is_wanted(request.headers()) { transports.event_stream(request).await } else { next.run(request).await }
}
