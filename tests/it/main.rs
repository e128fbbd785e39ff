//! The one integration test binary, one module a surface.

#![expect(clippy::unwrap_used, reason = "a helper that fails should end its test, just as the test itself may")]

mod docs;
mod follow;
mod graphql;
mod http;
mod input;
mod insight;
#[cfg(test)] // tells clippy that helpers of tests are tests
mod layering;
mod lineage;
mod live;
mod records;
mod runs;
mod server;
mod storage;
mod support;
mod worker;
