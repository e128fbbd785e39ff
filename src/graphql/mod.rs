//! The GraphQL side of the server: what a request may cost and, later, the schema itself.

pub mod code;
pub mod guard;
pub mod limits;

/// The schema.
#[must_use]
pub fn sdl() -> String {
    String::new()
}
