//! `GET /graphql/ws`: who gets a WebSocket.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::protocol::PROTOCOL;
use super::{Admitted, Connection, Denied, Live, Place, Subscriptions, errors};

/// Holds a client's frames of usual size, and is kept by each connection.
const READ_BUFFER: usize = 4 * 1024;

/// Frames that are written with one system call. None at all would mean one call a frame.
const WRITE_BUFFER: usize = 16 * 1024;

/// Room for goodbyes behind what a peer does not take.
const SPARE_BUFFER: usize = 1024 * 1024;

/// The route `/graphql/ws`.
pub fn routes<S: Subscriptions>(live: Arc<Live<S>>) -> Router {
    Router::new().route("/graphql/ws", get(upgrade::<S>)).with_state(live)
}

async fn upgrade<S: Subscriptions>(State(live): State<Arc<Live<S>>>, request: Request) -> Response {
    let (mut parts, _body) = request.into_parts();
    let socket = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(socket) => socket.protocols([PROTOCOL]),
        Err(rejection) => return rejection.into_response(),
    };
    if socket.selected_protocol().is_none() {
        return Refusal::bad_request(format!("Ask for the sub-protocol {PROTOCOL}.")).into_response();
    }
    match admit(&live, &parts).await {
        Ok((place, known)) => open(live, socket, parts, place, known),
        Err(refusal) => refusal.into_response(),
    }
}

type Known<S> = Option<Admitted<<S as Subscriptions>::Caller>>;

async fn admit<S: Subscriptions>(live: &Live<S>, parts: &Parts) -> Result<(Place, Known<S>), Refusal> {
    if !is_origin_allowed(parts, &live.origins) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "FORBIDDEN", "Pages of this origin may not connect."));
    }
    if live.draining.has_begun() {
        return Err(Refusal::overloaded("The server is stopping."));
    }
    let mut place = live.places.enter().map_err(|_full| Refusal::overloaded("The server has no more connections."))?;
    match live.subscriptions.admit(parts, None).await {
        Ok(known) => {
            place.assign(&known.principal).map_err(|_full| Refusal::too_many())?;
            Ok((place, Some(known)))
        }
        Err(Denied::Missing(_)) => Ok((place, None)),
        Err(denied) => Err(denied.into()),
    }
}

fn open<S: Subscriptions>(
    live: Arc<Live<S>>,
    socket: WebSocketUpgrade,
    parts: Parts,
    place: Place,
    known: Known<S>,
) -> Response {
    let limits = &live.limits;
    socket
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + limits.event_bytes + SPARE_BUFFER)
        .max_message_size(limits.message_bytes)
        .max_frame_size(limits.message_bytes)
        .on_upgrade({
            let parts = Box::new(parts);
            move |socket| Connection::new(live, socket, parts, place, known)
        })
}

/// Tokens in headers are no cookies, but a page of another origin has no business here all the
/// same. Programs that are no browsers send no origin.
fn is_origin_allowed(parts: &Parts, allowed: &[HeaderValue]) -> bool {
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => is_own(parts, origin) || allowed.contains(origin),
        (Some(_), Some(_)) => false,
    }
}

fn is_own(parts: &Parts, origin: &HeaderValue) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_scheme, rest)| rest);
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str));
    matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), header: None }
    }

    fn with_header(self, name: HeaderName, value: &'static str) -> Self {
        Self { header: Some((name, HeaderValue::from_static(value))), ..self }
    }

    fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_USER_INPUT", message)
    }

    fn overloaded(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", message).with_header(RETRY_AFTER, "5")
    }

    fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", "Too many connections.").with_header(RETRY_AFTER, "5")
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Missing(message) | Denied::Unauthenticated(message) => {
                Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message).with_header(WWW_AUTHENTICATE, "Bearer")
            }
            Denied::Forbidden(message) => Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message),
            Denied::Invalid(message) => Self::bad_request(message),
            Denied::Unavailable(message) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message).with_header(RETRY_AFTER, "5")
            }
        }
    }
}

impl axum::response::IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = format!(r#"{{"errors":{}}}"#, errors(self.code, &self.message));
        let json = HeaderValue::from_static("application/json");
        let mut response = (self.status, [(CONTENT_TYPE, json)], body).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = axum::http::Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request.into_parts().0
    }

    #[test]
    fn pages_of_our_own_and_of_listed_origins_may_connect() {
        let allowed = [HeaderValue::from_static("https://app.example.com")];
        let may = |headers: &[_]| is_origin_allowed(&parts(headers), &allowed);
        assert!(may(&[]));
        assert!(may(&[("host", "a.example:8080"), ("origin", "http://A.example:8080")]));
        assert!(may(&[("host", "a.example"), ("origin", "https://app.example.com")]));
        assert!(!may(&[("host", "a.example"), ("origin", "https://a.example.evil")]));
        assert!(!may(&[("host", "a.example:8080"), ("origin", "http://a.example")]));
        assert!(!may(&[("host", "a.example"), ("origin", "null")]));
        assert!(!may(&[("origin", "https://a.example")]));
        assert!(!may(&[("host", "a"), ("origin", "http://a"), ("origin", "http://a")]));
    }
}
