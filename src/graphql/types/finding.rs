//! Findings.

use async_graphql::{ID, Object};

use super::chain::RevisionChain;
use super::enums::{FindingCode, Severity};
use super::record::{Record, Recorded};
use super::sequence::OperationSequence;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::{DateTime, Int53, Json};
use crate::graphql::view::View;
use crate::service::query::{ChainPick, FindingTarget, SequenceName};
use crate::storage::StoredFinding;

/// Something wrong with records, or worth knowing of them.
#[derive(Clone)]
pub struct Finding {
    view: View,
    finding: StoredFinding,
}

impl Finding {
    /// A finding of a view.
    #[must_use]
    pub fn new(view: &View, finding: StoredFinding) -> Self {
        Self { view: view.clone(), finding }
    }

    fn source_name(&self) -> &str {
        self.view.scope().source_name(self.finding.source)
    }
}

/// Something wrong with records, or worth knowing of them. It is open while its cause holds.
#[Object]
impl Finding {
    /// The global id, for `node`. It leads to the finding while that is open.
    pub(crate) async fn id(&self) -> ID {
        let finding = &self.finding;
        GlobalId::Finding(self.source_name().to_owned(), finding.code.clone(), finding.subject.clone()).encode()
    }

    /// What it says.
    async fn code(&self) -> FindingCode {
        FindingCode::of(&self.finding.code)
    }

    /// The code as it is stored.
    async fn code_raw(&self) -> &str {
        &self.finding.code
    }

    /// How bad it is.
    async fn severity(&self) -> Severity {
        match self.finding.severity.as_str() {
            "critical" => Severity::Critical,
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Info,
        }
    }

    /// The source of the records that it is about.
    async fn source(&self) -> &str {
        self.source_name()
    }

    /// What it is about: `object:`, `epoch:`, `sequence:`, `delivery:` or `family:` and a key.
    async fn subject(&self) -> &str {
        &self.finding.subject
    }

    /// What it was derived from; its members depend on the code.
    async fn detail(&self) -> Json {
        Json(serde_json::from_str(&self.finding.detail).unwrap_or_default())
    }

    /// When it was raised, by this server's clock.
    async fn raised_at(&self) -> DateTime {
        DateTime(self.finding.committed_at)
    }

    /// The commit of the ledger that raised it.
    async fn raised_seq(&self) -> Int53 {
        Int53(self.finding.from_seq)
    }

    /// The record that it is about, if it is about one.
    async fn record(&self) -> Result<Option<Record>, ApiError> {
        let FindingTarget::Record(identity) = FindingTarget::of(&self.finding) else { return Ok(None) };
        let record = self.view.load(identity).await?;
        Ok(record.map(|record| Record::of(Recorded::new(&self.view, record))))
    }

    /// The chain that it is about, if it is about one.
    async fn chain(&self) -> Result<Option<RevisionChain>, ApiError> {
        let FindingTarget::Chain(namespace, name, uid) = FindingTarget::of(&self.finding) else { return Ok(None) };
        let sequence = SequenceName { source: self.finding.source, namespace, name };
        RevisionChain::find(&self.view, sequence, &ChainPick::Uid(uid)).await
    }

    /// The sequence that it is about, if it is about one or about a chain of it.
    async fn sequence(&self) -> Result<Option<OperationSequence>, ApiError> {
        let (FindingTarget::Chain(namespace, name, _) | FindingTarget::Sequence(namespace, name)) =
            FindingTarget::of(&self.finding)
        else {
            return Ok(None);
        };
        OperationSequence::find(&self.view, SequenceName { source: self.finding.source, namespace, name }).await
    }
}

impl Listed for Finding {
    const NAME: &'static str = "Finding";
    const PLAIN: &'static [&'static [PlainField<Self>]] =
        &[plain![id, code, code_raw, severity, source, subject, detail, raised_at, raised_seq]];
}
