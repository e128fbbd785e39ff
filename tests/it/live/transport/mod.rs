//! The transports as clients see them: over connections in memory, on a clock that only moves when nobody has
//! anything to do.

mod clients;
mod fake;
mod flow;
mod server;
mod socket;
mod sse;

pub use clients::script;
