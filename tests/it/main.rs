//! The one integration binary; a module for each part of the server.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails best where it stands"
)]

mod input;
