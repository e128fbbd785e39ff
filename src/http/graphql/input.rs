//! Reads and decodes requests.

use std::sync::Arc;

use async_graphql::{Request, Variables};
use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::limits::GraphqlLimits;
use super::refusal::Refusal;
use crate::graphql::code;
pub use crate::graphql::raw::RawVariables;
use crate::http::body::{self, BodyError, BodyLimits};

/// Reads a whole body within the limits. What is beyond them is never kept.
///
/// # Errors
/// 413 when it is larger, 408 when it does not arrive in time, 400 when it breaks off.
pub async fn read(headers: &HeaderMap, body: Body, limits: &GraphqlLimits) -> Result<Bytes, Refusal> {
    let (bytes, time, drained) = (limits.body_bytes, limits.read_timeout, limits.drain_bytes);
    body::read(headers, body, BodyLimits { bytes, time, drained }).await.map_err(|error| match error {
        BodyError::TooLarge => too_large(bytes),
        BodyError::TooSlow => too_slow(),
        BodyError::BrokeOff => Refusal::malformed("The body broke off."),
    })
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("The body is larger than {limit} bytes.");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, code::PAYLOAD_TOO_LARGE, message)
}

fn too_slow() -> Refusal {
    let message = "The body did not arrive in time.";
    Refusal::new(StatusCode::REQUEST_TIMEOUT, code::TIMEOUT, message)
}

/// The parameters of a request. Duplicate ones are an error, so that no two readers of one request
/// can see different ones; unknown ones are ignored, as the specification reserves them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<Box<RawValue>>,
    #[serde(default)]
    extensions: Option<Box<RawValue>>,
}

/// Decodes a JSON body.
///
/// # Errors
/// 400 when it is not one JSON object with the parameters of a request.
pub fn from_json(body: &[u8], limits: &GraphqlLimits) -> Result<Request, Refusal> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => {}
        Some(b'[') => {
            let message = "Send one request at a time; batching is off.";
            let status = StatusCode::BAD_REQUEST;
            return Err(Refusal::new(status, code::BATCH_DISABLED, message));
        }
        _ => return Err(Refusal::malformed("The body is not a JSON object.")),
    }
    let parameters: Parameters = serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Refusal::malformed(format!(
            "The body is not a GraphQL request: {} at line {line}, column {column}.",
            reason(&error)
        ))
    })?;
    request(parameters, limits)
}

/// What is wrong, without the decoder's own words, which repeat the client's text.
fn reason(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "a parameter is missing, repeated or of the wrong type",
        _ => "it is not valid JSON",
    }
}

/// Decodes the query string of a GET.
///
/// # Errors
/// 400 when it does not hold the parameters of a request.
pub fn from_uri(uri: &Uri, limits: &GraphqlLimits) -> Result<Request, Refusal> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_rejected| Refusal::malformed("The query string cannot be decoded."))?;
    let mut parameters = Parameters::default();
    let mut seen = Vec::new();
    for (name, value) in pairs.0 {
        let known = ["query", "operationName", "variables", "extensions"];
        let Some(name) = known.into_iter().find(|known| *known == name) else {
            continue;
        };
        if seen.contains(&name) {
            return Err(Refusal::malformed(format!("Parameter \"{name}\" is repeated.")));
        }
        seen.push(name);
        match name {
            "query" => parameters.query = value,
            "operationName" => parameters.operation_name = Some(value),
            "variables" => parameters.variables = Some(raw(name, value)?),
            _ => parameters.extensions = Some(raw(name, value)?),
        }
    }
    if !seen.contains(&"query") {
        return Err(Refusal::malformed("Parameter \"query\" is missing."));
    }
    request(parameters, limits)
}

fn raw(name: &str, text: String) -> Result<Box<RawValue>, Refusal> {
    RawValue::from_string(text)
        .map_err(|_invalid| Refusal::malformed(format!("Parameter \"{name}\" is not valid JSON.")))
}

fn request(parameters: Parameters, limits: &GraphqlLimits) -> Result<Request, Refusal> {
    let mut request = Request::new(parameters.query);
    request.operation_name = parameters.operation_name;
    if let Some(extensions) = parameters.extensions.filter(is_some) {
        let map = object("extensions", &extensions, limits)?;
        for (name, value) in map {
            let value = async_graphql::Value::from_json(value)
                .map_err(|_invalid| Refusal::malformed("Parameter \"extensions\" is invalid."))?;
            request.extensions.0.insert(name, value);
        }
    }
    if let Some(variables) = parameters.variables.filter(is_some) {
        let map = object("variables", &variables, limits)?;
        request.variables = Variables::from_json(map.into());
        request.data.insert(RawVariables(Arc::from(variables)));
    }
    Ok(request)
}

/// A parameter that is JSON `null` counts as absent.
#[expect(clippy::borrowed_box, reason = "`Option::filter` passes the box by reference")]
fn is_some(raw: &Box<RawValue>) -> bool {
    raw.get() != "null"
}

fn object(
    name: &str,
    raw: &RawValue,
    limits: &GraphqlLimits,
) -> Result<serde_json::Map<String, serde_json::Value>, Refusal> {
    check_json(name, raw.get(), limits)?;
    serde_json::from_str(raw.get())
        .map_err(|_other| Refusal::malformed(format!("Parameter \"{name}\" is not an object.")))
}

/// Bounds the depth and the number of values before anything recurses over them.
fn check_json(name: &str, text: &str, limits: &GraphqlLimits) -> Result<(), Refusal> {
    let (depth, values) = json_extent(text);
    for (what, actual, limit) in [("levels", depth, limits.variable_depth), ("values", values, limits.variable_values)]
    {
        if actual > limit {
            let message = format!("Parameter \"{name}\" has more than {limit} {what}.");
            let status = StatusCode::BAD_REQUEST;
            return Err(Refusal::new(status, code::QUERY_TOO_LARGE, message));
        }
    }
    Ok(())
}

/// The depth of valid JSON text and an upper bound of its values.
fn json_extent(text: &str) -> (usize, usize) {
    let (mut open, mut depth, mut values) = (0_usize, 0, 1);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => {
                open += 1;
                values += 1;
                depth = depth.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
    }
    (depth, values)
}

fn skip_string(bytes: &mut impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}
