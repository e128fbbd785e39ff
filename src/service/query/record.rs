//! Records: by natural key, by uid, in lists; their versions and raw bodies.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::identity::NaturalKey;
use crate::storage::{Breadth, Page, RecordList, RecordPlace, Rows, StoredRecord, StoredVersion};

use super::{Body, QueryError, Scope};

/// Which of the objects that ever had one name is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Which {
    /// The newest live one, else the newest closed one.
    Newest,
    /// The one with this uid; `None` is the one without any.
    Uid(Option<String>),
}

/// Names one record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The source's row.
    pub source: i64,
    /// The natural key.
    pub key: NaturalKey,
    /// Which of its objects.
    pub which: Which,
}

/// What narrows a list of records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordsAsked {
    /// The source's name; `None` for all.
    pub source: Option<String>,
    /// What narrows and orders it otherwise; the source in its filter is not looked at.
    pub list: RecordList,
}

impl Scope {
    /// The record that a look-up by natural key means.
    ///
    /// # Errors
    /// If the store fails, or the source is ambiguous.
    pub async fn find_record(
        &self,
        source: Option<&str>,
        key: NaturalKey,
        uid: Option<String>,
    ) -> Result<Option<StoredRecord>, QueryError> {
        let Some(source) = self.pick_source(source)? else { return Ok(None) };
        let which = uid.map_or(Which::Newest, |uid| Which::Uid(Some(uid)));
        let asked = [Identity { source: source.id, key, which }];
        Ok(self.find_records(&asked).await?.pop().flatten())
    }

    /// The records of identities, in their order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find_records(&self, asked: &[Identity]) -> Result<Vec<Option<StoredRecord>>, QueryError> {
        let keys: Vec<(i64, NaturalKey)> = asked.iter().map(|id| (id.source, id.key.clone())).collect();
        let nodes = self.as_of.find_nodes(&keys).await?;
        let ids: Vec<i64> = nodes.values().copied().collect();
        let mut groups: HashMap<i64, Vec<StoredRecord>> = HashMap::new();
        for record in self.as_of.records_by_node(&ids).await? {
            groups.entry(record.node).or_default().push(record);
        }
        Ok(asked.iter().enumerate().map(|(i, id)| pick(groups.get(nodes.get(&i)?)?, &id.which)).collect())
    }

    /// Records by row.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn records_by_object(&self, objects: &[i64], breadth: Breadth) -> Result<Vec<StoredRecord>, QueryError> {
        Ok(self.as_of.records_by_object(objects, breadth).await?)
    }

    /// The records with uids, each with its source.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn records_by_uid(&self, uids: &[&str]) -> Result<Vec<StoredRecord>, QueryError> {
        Ok(self.as_of.records_by_uid(uids).await?)
    }

    /// The records of a kind with their places.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_records(
        &self,
        kind: &str,
        asked: &RecordsAsked,
        page: &Page<RecordPlace>,
        breadth: Breadth,
    ) -> Result<Rows<(RecordPlace, StoredRecord)>, QueryError> {
        Ok(self.as_of.list_records(kind, &self.record_list(asked), page, breadth).await?)
    }

    /// How many records [`Self::list_records`] has.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn count_records(&self, kind: &str, asked: &RecordsAsked) -> Result<i64, QueryError> {
        Ok(self.as_of.count_records(kind, &self.record_list(asked).filter).await?)
    }

    fn record_list(&self, asked: &RecordsAsked) -> RecordList {
        let mut list = asked.list.clone();
        list.filter.source = self.filter_source(asked.source.as_deref());
        list
    }

    /// Pages of the versions of objects, oldest first, in their order.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_versions(&self, asked: &[(i64, Page<i64>)]) -> Result<Vec<Rows<StoredVersion>>, QueryError> {
        Ok(self.as_of.list_versions_of(asked).await?)
    }

    /// Versions by object and number.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn versions_by_n(&self, asked: &[(i64, i64)]) -> Result<Vec<StoredVersion>, QueryError> {
        Ok(self.as_of.versions_by_n(asked).await?)
    }

    /// Raw objects, by row.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn bodies(&self, ids: &[i64]) -> Result<HashMap<i64, Arc<Body>>, QueryError> {
        let bytes = self.as_of.bodies(ids).await?;
        bytes.into_iter().map(|(id, bytes)| Ok((id, Arc::new(Body::read(&bytes)?)))).collect()
    }
}

fn pick(group: &[StoredRecord], which: &Which) -> Option<StoredRecord> {
    match which {
        Which::Uid(uid) => group.iter().find(|record| record.uid == *uid),
        Which::Newest => group.iter().max_by(|a, b| {
            let place = |record: &StoredRecord| (record.live, record.born_at);
            place(a).cmp(&place(b)).then_with(|| a.uid.cmp(&b.uid))
        }),
    }
    .cloned()
}
