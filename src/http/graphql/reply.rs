//! Turns what the executor answers into what a client may read.

use std::collections::BTreeMap;

use async_graphql::{Response as Executed, ServerError, Value};
use axum::http::StatusCode;

use super::limits::GraphqlLimits;
use super::media::Media;
use super::refusal::Refusal;
use crate::graphql::code;
use crate::graphql::written::{text_size, write_name, write_value};

/// What a client reads of a fault of ours.
pub const INTERNAL_MESSAGE: &str = "The server failed; its log has the cause under this trace id.";

/// A response of an executed request, or of one that validation refused.
pub struct Reply {
    /// The status of the response.
    pub status: StatusCode,
    /// The JSON of the response.
    pub body: Vec<u8>,
}

/// The JSON of a refusal.
///
/// # Errors
/// Only if JSON cannot be written to memory.
pub fn refused(refusal: &Refusal) -> serde_json::Result<Vec<u8>> {
    write(None, std::slice::from_ref(refusal.error.as_ref()), &BTreeMap::new())
}

/// The reply to an executed request.
///
/// # Errors
/// A [`Refusal`] when the response would be larger than the limit.
pub fn executed(mut executed: Executed, media: Media, limits: &GraphqlLimits, trace: &str) -> Result<Reply, Refusal> {
    let refused = publish(&mut executed, limits, trace);
    let too_large = || {
        let limit = limits.response_bytes;
        let message = format!("The response would be larger than {limit} bytes; select less or ask for smaller pages.");
        Refusal::new(StatusCode::BAD_REQUEST, code::QUERY_TOO_COMPLEX, message)
    };
    if text_size(&executed.data) > limits.response_bytes {
        return Err(too_large());
    }
    let data = (!refused).then_some(&executed.data);
    let body = write(data, &executed.errors, &executed.extensions).map_err(|_error| Refusal::internal(trace))?;
    if body.len() > limits.response_bytes {
        return Err(too_large());
    }
    Ok(Reply { status: status(&executed, refused, media), body })
}

/// Makes the errors of `executed` fit for clients: each has a code, none tells of the inside, and a
/// refused request has only a few. Returns whether the request was refused before any field ran, in
/// which case its `data` must not be sent.
pub fn publish(executed: &mut Executed, limits: &GraphqlLimits, trace: &str) -> bool {
    let refused = is_request_error(executed);
    if refused {
        executed.errors.truncate(limits.errors);
    }
    for error in &mut executed.errors {
        make_public(error, trace, limits.message_bytes);
    }
    refused
}

/// Whether the request was refused before any field ran. The executor says `data: null` then too,
/// but errors of fields have a path and errors of requests have none.
#[must_use]
pub fn is_request_error(executed: &Executed) -> bool {
    executed.data == Value::Null
        && !executed.errors.is_empty()
        && executed.errors.iter().all(|error| error.path.is_empty())
}

/// 400 for a refused request, if the media type lets the status speak; 503 when nothing at all
/// could be read from the store, so that balancers and clients try again.
fn status(executed: &Executed, refused: bool, media: Media) -> StatusCode {
    let unavailable = |error: &ServerError| code_of(error) == Some(code::UNAVAILABLE);
    if refused {
        invalid_status(media)
    } else if executed.data == Value::Null && executed.errors.iter().any(unavailable) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

/// The status of a request whose document is wrong.
#[must_use]
pub fn invalid_status(media: Media) -> StatusCode {
    match media {
        Media::Graphql => StatusCode::BAD_REQUEST,
        Media::Json => StatusCode::OK,
    }
}

/// Gives every error a code. One that a resolver raised without a code is a fault of ours: its
/// text may hold anything, so it goes to the log and the client gets the trace id.
fn make_public(error: &mut ServerError, trace: &str, message_bytes: usize) {
    let is_fault = error.extensions.as_ref().is_none_or(|it| it.get("code").is_none())
        && !error.path.is_empty()
        && !is_input_error(error);
    if is_fault {
        tracing::error!(trace, message = %error.message, path = ?error.path, "a resolver failed");
        error.message = INTERNAL_MESSAGE.into();
        error.source = None;
    }
    shorten(&mut error.message, message_bytes);
    let extensions = error.extensions.get_or_insert_default();
    if is_fault {
        extensions.set("code", code::INTERNAL);
    } else if extensions.get("code").is_none() {
        extensions.set("code", code::BAD_USER_INPUT);
    }
    if extensions.get("code") == Some(&Value::from(code::INTERNAL)) {
        extensions.set("traceId", trace);
    }
}

/// Custom scalars are parsed by the field that takes them, so their errors look like a field's.
fn is_input_error(error: &ServerError) -> bool {
    let beginnings = ["Failed to parse \"", "Expected input type \""];
    beginnings.iter().any(|it| error.message.starts_with(it))
}

fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

fn shorten(message: &mut String, limit: usize) {
    if message.len() > limit {
        let end = (0..=limit).rev().find(|at| message.is_char_boundary(*at));
        message.truncate(end.unwrap_or(0));
        message.push('…');
    }
}

/// The JSON of a response, `data` left out when nothing was executed.
fn write(
    data: Option<&Value>,
    errors: &[ServerError],
    extensions: &BTreeMap<String, Value>,
) -> serde_json::Result<Vec<u8>> {
    // All but long lists is small.
    let mut out = Vec::with_capacity(1024 + data.map_or(0, text_size));
    if let Some(data) = data {
        member("data", &mut out);
        write_value(data, &mut out);
    }
    if !errors.is_empty() {
        member("errors", &mut out);
        serde_json::to_writer(&mut out, errors)?;
    }
    if !extensions.is_empty() {
        member("extensions", &mut out);
        serde_json::to_writer(&mut out, extensions)?;
    }
    out.extend_from_slice(if out.is_empty() { b"{}" } else { b"}" });
    Ok(out)
}

/// Begins a member of the response.
fn member(name: &str, out: &mut Vec<u8>) {
    out.push(if out.is_empty() { b'{' } else { b',' });
    write_name(name, out);
}
