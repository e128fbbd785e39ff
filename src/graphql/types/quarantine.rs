//! Items in quarantine.

use async_graphql::{ID, Object};

use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::{DateTime, Digest, Int53};
use crate::graphql::view::{QuarantineKey, View};
use crate::service::query::bounded;
use crate::storage::StoredQuarantine;

/// An item that could not be stored as a record.
#[derive(Clone)]
pub struct QuarantinedItem {
    view: View,
    item: StoredQuarantine,
}

impl QuarantinedItem {
    /// An item of a view.
    #[must_use]
    pub fn new(view: &View, item: StoredQuarantine) -> Self {
        Self { view: view.clone(), item }
    }
}

/// An item that could not be stored as a record. It is kept as it came, to be replayed after a fix:
/// this may be the only copy.
#[Object]
impl QuarantinedItem {
    /// The global id, for `node` and `replayQuarantine`.
    pub(crate) async fn id(&self) -> ID {
        GlobalId::Quarantined(self.item.id).encode()
    }

    /// The source that it came from.
    async fn source(&self) -> &str {
        self.view.scope().source_name(self.item.source)
    }

    /// The stable code of the reason for which it was refused last.
    async fn code(&self) -> &str {
        &self.item.code
    }

    /// Where in the item, as a JSON path.
    async fn path(&self) -> &str {
        &self.item.path
    }

    /// The reason.
    async fn message(&self) -> String {
        bounded(&self.item.message)
    }

    /// Who sent it.
    async fn principal(&self) -> &str {
        &self.item.principal
    }

    /// When it came.
    async fn received_at(&self) -> DateTime {
        DateTime(self.item.received_at)
    }

    /// When it was replayed and refused for the reason that it has now; null where that is the first one.
    async fn refused_again_at(&self) -> Option<DateTime> {
        self.item.refused_at.map(DateTime)
    }

    /// Who replayed it then.
    async fn refused_again_by(&self) -> Option<&str> {
        self.item.refused_by.as_deref()
    }

    /// The commit of the ledger that put it here.
    async fn seq(&self) -> Int53 {
        Int53(self.item.from_seq)
    }

    /// Whether strict mode refused it: it may pass in lenient mode.
    async fn strict(&self) -> bool {
        self.item.strict != 0
    }

    /// Its size in bytes.
    async fn size(&self) -> Int53 {
        Int53(self.item.size)
    }

    /// The digest of its bytes.
    async fn digest(&self) -> Digest {
        Digest(self.item.digest)
    }

    /// The item as it came. A text, since it may be no valid JSON. Bytes that are no text are replaced.
    async fn raw(&self) -> Result<String, ApiError> {
        let text = self.view.load(QuarantineKey(self.item.id)).await?;
        Ok(text.map(|text| text.to_string()).unwrap_or_default())
    }
}

impl Listed for QuarantinedItem {
    const NAME: &'static str = "Quarantine";
    const PLAIN: &'static [&'static [PlainField<Self>]] =
        &[plain![id, source, code, path, message, principal, received_at, seq, strict, size, digest]];
}
