//! Who may use a root field. Default deny: every root field carries a guard, and a test looks for one
//! without.

use async_graphql::{Context, Guard};

use super::context::RequestContext;
use super::error::ApiError;
use crate::auth::Scope;

/// Lets a principal through that holds a scope.
pub struct Needs(pub Scope);

impl Guard for Needs {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        if RequestContext::of(ctx)?.principal.has(self.0) {
            return Ok(());
        }
        Err(ApiError::forbidden(format!("This needs the scope {}.", self.0)).into())
    }
}

/// Lets every known principal through.
pub struct Authenticated;

impl Guard for Authenticated {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        RequestContext::of(ctx)?;
        Ok(())
    }
}
