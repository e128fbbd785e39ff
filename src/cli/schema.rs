//! `packtrail schema`.

use std::process::ExitCode;

/// Runs the command.
pub fn run() -> ExitCode {
    print!("{}", crate::graphql::sdl());
    ExitCode::SUCCESS
}
