//! What is served over HTTP, and what guards it.

mod graphiql;
mod guard;
mod over_http;
mod task_runner;
mod toy;
