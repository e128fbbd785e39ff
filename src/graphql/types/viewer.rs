//! Who asks.

use async_graphql::SimpleObject;

/// Who asks, where, and what they may do.
#[derive(Debug, Clone, SimpleObject)]
pub struct Viewer {
    /// The name recorded as the actor of everything that the caller does.
    pub principal: String,
    /// The tenant of this request.
    pub tenant: String,
    /// What the caller may do.
    pub scopes: Vec<String>,
}
