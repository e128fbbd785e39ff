//! Findings, and what they are about.

use crate::domain::findings::Severity;
use crate::domain::identity::NaturalKey;
use crate::storage::{
    FindingCount, FindingFilter, FindingOrder, FindingPlace, FindingState, FindingsAbout, Page, Rows, StoredFinding,
};

use super::{Identity, QueryError, Scope, Which};

/// What narrows a list of findings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FindingsAsked {
    /// The source's name; `None` for all.
    pub source: Option<String>,
    /// Whether they stand.
    pub state: FindingState,
    /// The codes; empty for all.
    pub codes: Vec<String>,
    /// The severities; empty for all.
    pub severities: Vec<Severity>,
    /// What they are about.
    pub about: Option<FindingsAbout>,
    /// The cluster that they are about.
    pub cluster: Option<String>,
    /// The namespace that they are about.
    pub namespace: Option<String>,
    /// Raised at this time or later, microseconds.
    pub raised_from: Option<i64>,
    /// Raised before this time, microseconds.
    pub raised_until: Option<i64>,
}

/// What a finding is about, as far as it is a thing of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingTarget {
    /// A record.
    Record(Identity),
    /// One epoch of a sequence: namespace, name, identity of the epoch.
    Chain(String, String, String),
    /// A sequence: namespace, name.
    Sequence(String, String),
    /// A collection of records that has no page of its own.
    Collection,
}

impl FindingTarget {
    /// The records of a collection that a finding names.
    #[must_use]
    pub fn named(finding: &StoredFinding) -> Vec<Identity> {
        let detail: serde_json::Value = serde_json::from_str(&finding.detail).unwrap_or_default();
        ["receipts", "executions"]
            .iter()
            .flat_map(|member| detail[*member].as_array().cloned().unwrap_or_default())
            .filter_map(|key| identity_of_key(finding.source, key.as_str()?))
            .collect()
    }

    /// Reads the subject of a finding.
    #[must_use]
    pub fn of(finding: &StoredFinding) -> Self {
        let Some((kind, rest)) = finding.subject.split_once(':') else { return Self::Collection };
        let (namespace, name) = (finding.unit_namespace.clone(), finding.unit_name.clone());
        match kind {
            "object" => identity_of_key(finding.source, rest).map_or(Self::Collection, Self::Record),
            // Names come from references and may hold any character: the unit tells where they end.
            "epoch" => match rest.strip_prefix(&format!("{namespace}/{name}@")) {
                Some(uid) => Self::Chain(namespace, name, uid.to_owned()),
                None => Self::Collection,
            },
            "sequence" => Self::Sequence(namespace, name),
            _ => Self::Collection,
        }
    }
}

/// Reads an object key from its end: only a kind may hold the separator.
pub(super) fn identity_of_key(source: i64, key: &str) -> Option<Identity> {
    let mut parts = key.rsplitn(5, '/');
    let mut part = || parts.next().map(ToOwned::to_owned);
    let (uid, name, namespace, cluster, kind) = (part()?, part()?, part()?, part()?, part()?);
    let uid = Some(uid).filter(|uid| uid != "-");
    Some(Identity { source, key: NaturalKey { kind, cluster, namespace, name }, which: Which::Uid(uid) })
}

impl Scope {
    /// A page of findings.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_findings(
        &self,
        asked: &FindingsAsked,
        order: FindingOrder,
        page: &Page<FindingPlace>,
    ) -> Result<Rows<StoredFinding>, QueryError> {
        Ok(self.as_of.list_findings(&self.finding_filter(asked), order, page).await?)
    }

    /// How many findings [`Self::list_findings`] has, of each code and severity, worst first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_findings(&self, asked: &FindingsAsked) -> Result<Vec<FindingCount>, QueryError> {
        Ok(self.as_of.count_findings(&self.finding_filter(asked)).await?)
    }

    fn finding_filter(&self, asked: &FindingsAsked) -> FindingFilter {
        FindingFilter {
            state: asked.state,
            codes: asked.codes.clone(),
            severities: asked.severities.clone(),
            source: self.filter_source(asked.source.as_deref()),
            about: asked.about.clone(),
            cluster: asked.cluster.clone(),
            namespace: asked.namespace.clone(),
            raised_from: asked.raised_from,
            raised_until: asked.raised_until,
        }
    }

    /// The findings on subjects of whatever source, newest raised first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn findings_by_subject(
        &self,
        subjects: &[&str],
        state: FindingState,
    ) -> Result<Vec<StoredFinding>, QueryError> {
        Ok(self.as_of.findings_by_subject(subjects, state).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(subject: &str) -> StoredFinding {
        StoredFinding {
            id: 1,
            source: 7,
            code: "BROKEN_LINK".into(),
            severity: "warning".into(),
            subject: subject.into(),
            detail: "{}".into(),
            cluster: String::new(),
            namespace: "ns".into(),
            raised_seq: 1,
            raised_at: 0,
            cleared_seq: None,
            cleared_at: None,
            unit_namespace: "ns".into(),
            unit_name: "odd@name/x".into(),
        }
    }

    #[test]
    fn a_subject_reads_back_to_what_it_is_about() {
        let key = NaturalKey::new("Kind.example.com", "ns", "name");
        let record = |uid: &str, which| {
            let target = FindingTarget::of(&finding(&format!("object:{}", key.object_key(Some(uid)))));
            assert_eq!(target, FindingTarget::Record(Identity { source: 7, key: key.clone(), which }));
        };
        record("u-1", Which::Uid(Some("u-1".into())));
        record("-", Which::Uid(None));
        let chain = FindingTarget::Chain("ns".into(), "odd@name/x".into(), "u@1".into());
        assert_eq!(FindingTarget::of(&finding("epoch:ns/odd@name/x@u@1")), chain);
        let sequence = FindingTarget::Sequence("ns".into(), "odd@name/x".into());
        assert_eq!(FindingTarget::of(&finding("sequence:ns/odd@name/x")), sequence);
        assert_eq!(FindingTarget::of(&finding("delivery:c/p")), FindingTarget::Collection);
    }
}
