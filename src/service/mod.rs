//! The use cases, shared by every surface.

pub mod reader;
