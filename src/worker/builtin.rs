//! Steps that the worker serves by itself: inert, for trials and tests. They see no secrets.

use std::time::Duration;

use serde_json::{Value, json};

use super::attempt::Outcome;
use super::log::LogSender;
use super::protocol::Stream;

/// What the names of builtins begin with.
pub const PREFIX: &str = "builtin:";
/// All of them.
pub const NAMES: [&str; 4] = ["builtin:noop", "builtin:echo", "builtin:sleep", "builtin:fail"];
/// The longest sleep, in seconds.
const MAX_SLEEP: f64 = 3600.0;

/// Does what a builtin does; none if there is no such builtin.
pub async fn run(uses: &str, with: &Value, logs: &LogSender) -> Option<Outcome> {
    Some(match uses {
        "builtin:noop" => Outcome::Completed(None),
        "builtin:echo" => echo(with, logs).await,
        "builtin:sleep" => sleep(with).await,
        "builtin:fail" => fail(with),
        _ => return None,
    })
}

async fn echo(with: &Value, logs: &LogSender) -> Outcome {
    let Some(message) = with.get("message") else {
        return Outcome::Completed(Some(with.clone()));
    };
    let text = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    for line in text.lines() {
        logs.line(Stream::Stdout, line).await;
    }
    Outcome::Completed(Some(json!({"message": message})))
}

async fn sleep(with: &Value) -> Outcome {
    let seconds = with.get("seconds").and_then(Value::as_f64).filter(|seconds| (0.0..=MAX_SLEEP).contains(seconds));
    let Some(seconds) = seconds else {
        return Outcome::failed("with-invalid: seconds must be a number from 0 to 3600", false);
    };
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    Outcome::Completed(None)
}

fn fail(with: &Value) -> Outcome {
    let message = with.get("message").and_then(Value::as_str).unwrap_or("failed as asked");
    let retryable = with.get("retryable").and_then(Value::as_bool).unwrap_or(true);
    Outcome::failed(message, retryable)
}
