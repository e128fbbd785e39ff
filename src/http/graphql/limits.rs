//! What one HTTP client may ask of `/graphql`.

use std::time::Duration;

use crate::graphql::limits::GuardLimits;

/// The limits of the GraphQL endpoint. Every one is inclusive.
#[derive(Clone, Debug)]
pub struct GraphqlLimits {
    /// Bytes of a request body.
    pub body_bytes: usize,
    /// Bytes of a body over the limit that are still read, and thrown away: many clients read no
    /// answer before they have sent everything.
    pub drain_bytes: usize,
    /// Time to read a body: a client that trickles must not hold memory for ever.
    pub read_timeout: Duration,
    /// Open brackets in the variables: the 64 levels of a record and the 8 an input may put
    /// around it.
    pub variable_depth: usize,
    /// Values in the variables: each costs many times its bytes once decoded.
    pub variable_values: usize,
    /// Bytes of a response body.
    pub response_bytes: usize,
    /// Time to execute an operation.
    pub execution_timeout: Duration,
    /// Operations in flight, of all principals.
    pub in_flight: usize,
    /// Operations in flight, of one principal: one client alone must not fill the server.
    pub in_flight_each: usize,
    /// Operations a minute of one principal, weighted by cost.
    pub operations_per_minute: u32,
    /// The same of one that is a worker.
    pub worker_operations_per_minute: u32,
    /// The cost up to which an operation counts as one.
    pub cost_per_operation: u64,
    /// Errors of one refused request: validation can find one a token.
    pub errors: usize,
    /// Bytes of one error message: messages repeat names and lines of the query.
    pub message_bytes: usize,
    /// Documents kept parsed, so that they are not parsed and measured for each request; 0 keeps none.
    pub cached_documents: usize,
    /// Bytes that they take together: a large document takes many times its text.
    pub cached_document_bytes: usize,
    /// What one document may ask for.
    pub guard: GuardLimits,
}

impl Default for GraphqlLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            drain_bytes: 64 * 1024 * 1024,
            read_timeout: Duration::from_secs(30),
            variable_depth: 72,
            variable_values: 100_000,
            response_bytes: 8 * 1024 * 1024,
            execution_timeout: Duration::from_secs(10),
            in_flight: 256,
            in_flight_each: 32,
            operations_per_minute: 600,
            worker_operations_per_minute: 60_000,
            cost_per_operation: 100,
            errors: 20,
            message_bytes: 1024,
            cached_documents: 1_000,
            cached_document_bytes: 16 * 1024 * 1024,
            guard: GuardLimits::default(),
        }
    }
}
