//! `packtrail openapi`.

use std::process::ExitCode;

/// Runs the command.
pub fn run() -> ExitCode {
    print!("{}", crate::http::openapi::DOCUMENT);
    ExitCode::SUCCESS
}
