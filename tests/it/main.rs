//! The one integration test binary.

#[cfg(test)] // tells clippy that helpers of tests are tests
mod layering;
