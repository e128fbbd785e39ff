//! Findings.

use async_graphql::{ID, Object, SimpleObject};

use futures_util::future::try_join_all;

use super::chain::RevisionChain;
use super::enums::{FindingCode, Severity};
use super::node::Node;
use super::record::{Record, Recorded};
use super::sequence::OperationSequence;
use crate::domain::finding_text::explain;
use crate::domain::findings::Subject;
use crate::domain::identity::NaturalKey;
use crate::graphql::connection::Listed;
use crate::graphql::error::ApiError;
use crate::graphql::ids::GlobalId;
use crate::graphql::rows::{PlainField, plain};
use crate::graphql::scalar::{DateTime, Int53, Json};
use crate::graphql::view::View;
use crate::service::query::{ChainPick, FindingTarget, SequenceName, bounded};
use crate::storage::{FindingsAbout, StoredFinding};

/// The most records that stand for a collection.
const MOST_SUBJECTS: usize = 20;

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

    fn derived_from(&self) -> serde_json::Value {
        serde_json::from_str(&self.finding.detail).unwrap_or_default()
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
        severity_of(&self.finding.severity)
    }

    /// The source of the records that it is about.
    async fn source(&self) -> &str {
        self.source_name()
    }

    /// What it is about: `object:`, `epoch:`, `sequence:`, `delivery:` or `family:` and a key.
    async fn subject(&self) -> &str {
        &self.finding.subject
    }

    /// The cluster that its records act on; null where there is none.
    async fn cluster(&self) -> Option<&str> {
        Some(self.finding.cluster.as_str()).filter(|cluster| !cluster.is_empty())
    }

    /// The namespace of its record or sequence; null where there is none.
    async fn namespace(&self) -> Option<&str> {
        Some(self.finding.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// What it was derived from; its members depend on the code.
    async fn detail(&self) -> Json {
        Json(self.derived_from())
    }

    /// What is wrong and what to look at, in a sentence or two.
    async fn message(&self) -> String {
        bounded(&explain(&self.finding.code, &self.finding.severity, &self.derived_from()))
    }

    /// When it was raised, by this server's clock. Severity and detail may have changed since.
    async fn raised_at(&self) -> DateTime {
        DateTime(self.finding.raised_at)
    }

    /// The commit of the ledger that raised it.
    async fn raised_seq(&self) -> Int53 {
        Int53(self.finding.raised_seq)
    }

    /// When it was cleared, by this server's clock; null while it stands.
    async fn cleared_at(&self) -> Option<DateTime> {
        self.finding.cleared_at.map(DateTime)
    }

    /// The commit of the ledger that cleared it; null while it stands.
    async fn cleared_seq(&self) -> Option<Int53> {
        self.finding.cleared_seq.map(Int53)
    }

    /// What it is about, as nodes: the record, chain or sequence; of a collection, the records that the detail
    /// names, 20 at most.
    async fn subjects(&self) -> Result<Vec<Node>, ApiError> {
        Ok(match FindingTarget::of(&self.finding) {
            FindingTarget::Record(_) => self.own_record().await?.into_iter().map(Into::into).collect(),
            FindingTarget::Chain(..) => self.own_chain().await?.into_iter().map(Into::into).collect(),
            FindingTarget::Sequence(..) => self.own_sequence().await?.into_iter().map(Into::into).collect(),
            FindingTarget::Collection => {
                let named = FindingTarget::named(&self.finding).into_iter().take(MOST_SUBJECTS);
                let found = try_join_all(named.map(|identity| self.view.load(identity))).await?;
                let node = |record| Record::of(Recorded::new(&self.view, record)).into();
                found.into_iter().flatten().map(node).collect()
            }
        })
    }

    /// The record that it is about, if it is about one.
    async fn record(&self) -> Result<Option<Record>, ApiError> {
        self.own_record().await
    }

    /// The chain that it is about, if it is about one.
    async fn chain(&self) -> Result<Option<RevisionChain>, ApiError> {
        self.own_chain().await
    }

    /// The sequence that it is about, if it is about one or about a chain of it.
    async fn sequence(&self) -> Result<Option<OperationSequence>, ApiError> {
        self.own_sequence().await
    }
}

impl Finding {
    async fn own_record(&self) -> Result<Option<Record>, ApiError> {
        let FindingTarget::Record(identity) = FindingTarget::of(&self.finding) else { return Ok(None) };
        let record = self.view.load(identity).await?;
        Ok(record.map(|record| Record::of(Recorded::new(&self.view, record))))
    }

    async fn own_chain(&self) -> Result<Option<RevisionChain>, ApiError> {
        let FindingTarget::Chain(namespace, name, uid) = FindingTarget::of(&self.finding) else { return Ok(None) };
        let sequence = SequenceName { source: self.finding.source, namespace, name };
        RevisionChain::find(&self.view, sequence, &ChainPick::Uid(uid)).await
    }

    async fn own_sequence(&self) -> Result<Option<OperationSequence>, ApiError> {
        let (FindingTarget::Chain(namespace, name, _) | FindingTarget::Sequence(namespace, name)) =
            FindingTarget::of(&self.finding)
        else {
            return Ok(None);
        };
        OperationSequence::find(&self.view, SequenceName { source: self.finding.source, namespace, name }).await
    }
}

/// How many findings there are of a code and severity.
#[derive(Debug, Clone, SimpleObject)]
pub struct FindingCount {
    /// The code.
    code: FindingCode,
    /// The severity.
    severity: Severity,
    /// How many.
    count: Int53,
}

impl From<crate::storage::FindingCount> for FindingCount {
    fn from(count: crate::storage::FindingCount) -> Self {
        let crate::storage::FindingCount(code, severity, count) = count;
        Self { code: FindingCode::of(&code), severity: severity_of(&severity), count: Int53(count) }
    }
}

fn severity_of(stored: &str) -> Severity {
    match stored {
        "critical" => Severity::Critical,
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        _ => Severity::Info,
    }
}

/// What the findings about a thing are about, by its global id, and its source; `None` if it was never seen.
///
/// # Errors
/// If the id is none of a record, chain or sequence, or the store fails.
pub async fn about(view: &View, id: &ID) -> Result<Option<(String, FindingsAbout)>, ApiError> {
    Ok(match GlobalId::decode(id)? {
        GlobalId::Record(source, kind, cluster, namespace, name, uid) => {
            let key = NaturalKey { kind, cluster, namespace, name };
            Some((source, FindingsAbout::Subjects(vec![format!("object:{}", key.object_key(uid.as_deref()))])))
        }
        GlobalId::Chain(source, namespace, name, uid) => {
            let subject = Subject::Epoch(NaturalKey::sequence(&namespace, &name), uid);
            Some((source, FindingsAbout::Subjects(vec![subject.to_string()])))
        }
        GlobalId::Sequence(source, namespace, name) => {
            let Some(row) = view.scope().source(&source).map(|found| found.id) else { return Ok(None) };
            let epochs = view.load(SequenceName { source: row, namespace, name }).await?.unwrap_or_default();
            epochs.first().map(|epoch| (source, FindingsAbout::Unit(epoch.sequence.id)))
        }
        _ => return Err(ApiError::bad_input("Findings are about records, chains and sequences: give the id of one.")),
    })
}

impl Listed for Finding {
    const NAME: &'static str = "Finding";
    const PLAIN: &'static [&'static [PlainField<Self>]] =
        &[plain![id, code, code_raw, severity, source, subject, detail, raised_at, raised_seq]];
}
