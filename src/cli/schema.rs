//! `packtrail schema`.

use std::process::ExitCode;

use super::CommandError;

/// Runs the command.
pub fn run() -> Result<ExitCode, CommandError> {
    print!("{}", crate::graphql::sdl());
    Ok(ExitCode::SUCCESS)
}
