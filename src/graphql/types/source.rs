//! Sources.

use async_graphql::{ID, Object};

use crate::graphql::connection::Listed;
use crate::graphql::ids::GlobalId;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::DateTime;
use crate::storage::StoredSource;

/// Where records come from: a management cluster, or a dump.
#[derive(Clone)]
pub struct Source(pub StoredSource);

/// Where records come from: a management cluster, or a dump. It is part of every identity, since two
/// clusters use the same names.
#[Object]
impl Source {
    /// The global id, for `node`.
    pub(crate) async fn id(&self) -> ID {
        GlobalId::Source(self.0.name.clone()).encode()
    }

    /// The name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The uid of the cluster behind the name, where it is known: a source may be rebuilt.
    async fn incarnation(&self) -> Option<&str> {
        Some(self.0.incarnation.as_str()).filter(|incarnation| !incarnation.is_empty())
    }

    /// When its first record came.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

impl Listed for Source {
    const NAME: &'static str = "Source";
    const PLAIN: &'static [&'static [PlainField<Self>]] = &[plain![id, name, incarnation, created_at]];
}
