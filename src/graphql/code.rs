//! The stable words of `extensions.code`. Clients branch on these, never on messages.

/// A natural key was asked for without its source, and there are several.
pub const AMBIGUOUS_SOURCE: &str = "AMBIGUOUS_SOURCE";
/// The request is malformed or names something the schema does not have.
pub const BAD_USER_INPUT: &str = "BAD_USER_INPUT";
/// An array of requests was sent; batching is off.
pub const BATCH_DISABLED: &str = "BATCH_DISABLED";
/// What is asked about is not there.
pub const NOT_FOUND: &str = "NOT_FOUND";
/// The caller lacks the scope for this.
pub const FORBIDDEN: &str = "FORBIDDEN";
/// The server failed; the cause is in its log under the trace id.
pub const INTERNAL: &str = "INTERNAL";
/// The method is not served here.
pub const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
/// No media type the client accepts can be produced.
pub const NOT_ACCEPTABLE: &str = "NOT_ACCEPTABLE";
/// The server has as many operations in flight as it takes.
pub const OVERLOADED: &str = "OVERLOADED";
/// The field is answered as of the latest commit only.
pub const NOT_SUPPORTED_AS_OF: &str = "NOT_SUPPORTED_AS_OF";
/// The body is larger than the limit.
pub const PAYLOAD_TOO_LARGE: &str = "PAYLOAD_TOO_LARGE";
/// The operation has too many aliases, root fields or directives, or costs too much.
pub const QUERY_TOO_COMPLEX: &str = "QUERY_TOO_COMPLEX";
/// The operation selects too much or nests too deeply.
pub const QUERY_TOO_DEEP: &str = "QUERY_TOO_DEEP";
/// The query text, or the variables beside it, are too large.
pub const QUERY_TOO_LARGE: &str = "QUERY_TOO_LARGE";
/// The principal asks for more than its share.
pub const RATE_LIMITED: &str = "RATE_LIMITED";
/// The operation, or the reading of its request, took too long.
pub const TIMEOUT: &str = "TIMEOUT";
/// The caller is not known.
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
/// The store cannot be reached.
pub const UNAVAILABLE: &str = "UNAVAILABLE";
/// The body is not `application/json`.
pub const UNSUPPORTED_MEDIA_TYPE: &str = "UNSUPPORTED_MEDIA_TYPE";
