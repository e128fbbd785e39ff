//! Bodies that are held in memory as a whole, within limits of bytes and time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;

/// What a body may be. Every limit is inclusive.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Its bytes.
    pub bytes: usize,
    /// The time to read it: a client that trickles must not hold memory for ever.
    pub time: Duration,
    /// Bytes of a body over the limit that are still read, and thrown away: many clients read no answer
    /// before they have sent everything.
    pub drained: usize,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than it may be.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
    /// It broke off.
    BrokeOff,
}

/// Reads a whole body. What is beyond the limits is never kept.
///
/// # Errors
/// See [`BodyError`].
pub async fn read(headers: &HeaderMap, body: Body, limits: BodyLimits) -> Result<Bytes, BodyError> {
    let mut chunks = body.into_data_stream();
    if declared_length(headers).is_some_and(|length| length > limits.bytes as u64) {
        drain(chunks, limits);
        return Err(BodyError::TooLarge);
    }
    let collected = collect(&mut chunks, limits.bytes);
    match tokio::time::timeout(limits.time, collected).await {
        Ok(Ok(Some(whole))) => Ok(whole),
        Ok(Ok(None)) => {
            drain(chunks, limits);
            Err(BodyError::TooLarge)
        }
        Ok(Err(_broken)) => Err(BodyError::BrokeOff),
        Err(_elapsed) => Err(BodyError::TooSlow),
    }
}

/// The whole body; none if it is larger than `limit`.
async fn collect(chunks: &mut BodyDataStream, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if whole.len() + chunk.len() > limit {
            return Ok(None);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(Some(whole.into()))
}

/// Reads on beside the answer, throwing away what comes.
fn drain(mut chunks: BodyDataStream, limits: BodyLimits) {
    let mut left = limits.drained;
    let discard = async move {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    drop(tokio::spawn(tokio::time::timeout(limits.time, discard)));
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}
